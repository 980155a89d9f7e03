#include "audit/witness.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "gateway/config.h"
#include "gateway/listen_address.h"
#include "gateway/server.h"
#include "os/ending.h"
#include "os/file.h"
#include "service/serve.h"
#include "service/service_arguments.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOGS_MAX = 64 };

/* witness.yaml: name, url, listen, logs, open_logs. */
typedef struct {
    char home[512], name[64], url[256], address[64];
    uint16_t port;
    size_t log_count;
    char logs[LOGS_MAX][512];
    clo_crypto_private_key sk;
    clo_wire_note_key key;
    char vkey[512];
    uint8_t spki[32];
    int64_t open_logs; /* how many ledgers of key services may make themselves known */
    pthread_mutex_t lock; /* logs and the file that holds them, while serving */
    clo_audit_witness *witness;
    clo_gateway_server *server;
    clo_gateway_options listen;
} witness;

static clo_err get_info(void *context, clo_gateway_request *request, clo_gateway_response *response);

static clo_err add_checkpoint(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    const witness *w = context;
    unsigned status = 0;
    CLO_AUTO(clo_buf_free) clo_buf lines;
    clo_buf_init(&lines, 64 * 1024);
    CLO_TRY(clo_audit_witness_add_checkpoint(w->witness, request->body, &status, &lines));
    clo_gateway_response_status(response, status);
    return clo_gateway_response_bytes(response, status == 409 ? "text/x.tlog.size" : "text/plain", clo_buf_span(&lines));
}

/* The name of a ledger's log is made from its key, so nobody can take another's. */
static clo_err require_ledger_key(const clo_wire_note_key *key)
{
    static const char prefix[] = "cloister-kms/";
    uint8_t digest[32];
    char wanted[sizeof prefix + 32];
    CLO_TRY(clo_crypto_sha256(clo_span_of(key->key.bytes, key->key.n), digest));
    (void)snprintf(wanted, sizeof wanted, "%s", prefix);
    clo_hex_encode(wanted + sizeof prefix - 1, clo_span_of(digest, 16));
    if (key->type == 1 && strcmp(key->name, wanted) == 0) return CLO_OK;
    return CLO_DENY(CLO_E_DENIED, "log.origin", wanted, key->name, "this witness",
                    "only ledgers of key services make themselves known; the witness's operator adds other logs with --log");
}

static size_t ledgers_known(const witness *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->log_count; i++) count += strncmp(w->logs[i], "cloister-kms/", 13) == 0;
    return count;
}

static clo_err write_config(const witness *w, const char *path);

static clo_err introduce(witness *w, const char *vkey)
{
    clo_wire_note_key key;
    char path[600], most[40], known[40];
    CLO_TRY(clo_wire_note_key_parse(vkey, &key));
    CLO_TRY(require_ledger_key(&key));
    for (size_t i = 0; i < w->log_count; i++)
        if (strcmp(w->logs[i], vkey) == 0) return CLO_OK;
    size_t count = ledgers_known(w);
    (void)snprintf(most, sizeof most, "at most %lld ledgers", (long long)w->open_logs);
    (void)snprintf(known, sizeof known, "%zu are known already", count);
    if ((int64_t)count >= w->open_logs || w->log_count == LOGS_MAX)
        return CLO_DENY(CLO_E_DENIED, "witness.open_logs", most, known, "this witness's configuration",
                        "ask the witness's operator to add this log with --log VKEY, or to raise --open-logs");
    CLO_TRY(clo_audit_witness_add_log(w->witness, &key));
    CLO_TRY(clo_str_set(w->logs[w->log_count++], sizeof w->logs[0], clo_span_str(vkey)));
    CLO_TRY(clo_os_path_join(path, sizeof path, w->home, "witness.yaml"));
    return write_config(w, path);
}

static clo_err add_log(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    witness *w = context;
    char vkey[sizeof w->logs[0]];
    clo_span line = request->body;
    if (line.n > 0 && line.p[line.n - 1] == '\n') line.n--;
    CLO_TRY(clo_str_set(vkey, sizeof vkey, line));
    (void)pthread_mutex_lock(&w->lock);
    clo_err e = introduce(w, vkey);
    (void)pthread_mutex_unlock(&w->lock);
    CLO_TRY(e);
    return clo_gateway_response_bytes(response, "text/plain", clo_span_str("known\n"));
}

static const clo_gateway_route routes[] = {
    {CLO_GATEWAY_POST, "/add-checkpoint", CLO_GATEWAY_AUTH_NONE, 0, 128 * 1024, NULL, NULL, add_checkpoint, NULL, "witness",
     "Cosign a checkpoint that extends the last one (C2SP tlog-witness)", NULL, NULL, 0},
    {CLO_GATEWAY_POST, "/logs", CLO_GATEWAY_AUTH_NONE, 0, 1024, NULL, NULL, add_log, NULL, "witness",
     "Make the ledger of a key service known, by its verifier key, where the witness is open to that", NULL, NULL, 0},
    {CLO_GATEWAY_GET, "/info", CLO_GATEWAY_AUTH_NONE, 0, 0, NULL, NULL, get_info, NULL, "witness", "Name, URL, keys", NULL, NULL, 0},
};

static clo_err info_tree(const witness *w, clo_arena *a, clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, "name", w->name));
    CLO_TRY(clo_wire_set_text(a, *out, "url", w->url));
    CLO_TRY(clo_wire_set_bytes(a, *out, "spki", clo_span_of(w->spki, 32)));
    return clo_wire_set_text(a, *out, "vkey", w->vkey);
}

static clo_err get_info(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(info_tree(context, request->arena, &tree));
    return clo_gateway_response_tree(response, tree);
}

static clo_err write_config(const witness *w, const char *path)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 32768);
    CLO_TRY(clo_buf_printf(&text, "# An independent witness. `logs` are the verifier keys of the logs that it cosigns.\nname: %s\nurl: \"%s\"\n", w->name, w->url));
    CLO_TRY(clo_gateway_config_listen_write(w->address, w->port, &w->listen, &text));
    CLO_TRY(clo_buf_printf(&text, "open_logs: %lld\nlogs:%s", (long long)w->open_logs, w->log_count == 0 ? " []" : ""));
    for (size_t i = 0; i < w->log_count; i++) CLO_TRY(clo_buf_printf(&text, "\n  - \"%s\"", w->logs[i]));
    CLO_TRY(clo_buf_put_str(&text, "\n"));
    return clo_os_file_write_atomic(path, clo_buf_span(&text), 0600);
}

static clo_err read_config(witness *w, const char *path)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    clo_wire_fields f;
    clo_gateway_options listen = {0};
    const clo_wire_node *list = NULL;
    CLO_TRY(clo_gateway_config_open(&a, path, &f));
    if (clo_wire_has(&f, "name")) clo_wire_take_name(&f, "name", w->name);
    if (clo_wire_has(&f, "url")) clo_wire_take_str(&f, "url", w->url, sizeof w->url);
    if (clo_wire_has(&f, "listen")) clo_gateway_config_listen(&f, &listen);
    if (listen.address != NULL) (void)snprintf(w->address, sizeof w->address, "%s", listen.address);
    if (listen.port != 0) w->port = listen.port;
    w->listen = listen;
    w->listen.address = NULL; /* its text ends with the arena */
    if (clo_wire_has(&f, "open_logs")) clo_wire_take_int(&f, "open_logs", &w->open_logs, 0, LOGS_MAX);
    if (clo_wire_has(&f, "logs")) clo_wire_take_array(&f, "logs", &list, LOGS_MAX);
    CLO_TRY(clo_gateway_config_end(&f, path));
    w->log_count = 0;
    for (const clo_wire_node *n = list != NULL ? list->first : NULL; n != NULL; n = n->next) {
        const char *text = NULL;
        CLO_TRY(clo_wire_node_text(&a, n, "logs", &text, sizeof w->logs[0] - 1));
        CLO_TRY(clo_str_set(w->logs[w->log_count++], sizeof w->logs[0], clo_span_str(text)));
    }
    return CLO_OK;
}

static clo_err add_logs(witness *w, const clo_service_arguments *a)
{
    for (size_t i = 0; i < a->log_count; i++) {
        clo_wire_note_key key;
        CLO_TRY(clo_wire_note_key_parse(a->logs[i], &key));
        size_t k = 0;
        while (k < w->log_count && strcmp(w->logs[k], a->logs[i]) != 0) k++;
        if (k < w->log_count) continue;
        CLO_CHECKF(k < LOGS_MAX, CLO_E_TOO_MANY, "a witness is configured for at most %d logs", LOGS_MAX);
        CLO_TRY(clo_str_set(w->logs[w->log_count++], sizeof w->logs[0], clo_span_str(a->logs[i])));
    }
    return CLO_OK;
}

static clo_err open_key(witness *w)
{
    char path[600];
    size_t n = 0;
    clo_crypto_public_key pk;
    CLO_TRY(clo_os_path_join(path, sizeof path, w->home, "witness.key"));
    if (!clo_os_file_exists(path)) {
        CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ED25519, &w->sk, &pk));
        CLO_TRY(clo_os_file_write_new(path, clo_span_of(w->sk.bytes, 32), 0600));
    }
    CLO_TRY(clo_os_file_read_secret(path, w->sk.bytes, 32, &n));
    CLO_CHECKF(n == 32, CLO_E_MALFORMED, "%s is no witness key of 32 bytes", path);
    w->sk.alg = CLO_SIGN_ED25519;
    CLO_TRY(clo_crypto_sign_public_of(&w->sk, &pk));
    CLO_TRY(clo_wire_note_key_make(w->name, 4, &pk, &w->key));
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, sizeof w->vkey);
    CLO_TRY(clo_wire_note_key_text(&w->key, &text));
    return clo_str_set(w->vkey, sizeof w->vkey, clo_buf_span(&text));
}

static clo_err take_open_logs(witness *w, const clo_service_arguments *a)
{
    uint64_t count = 0;
    if (a->open_logs == NULL) return CLO_OK;
    if (clo_failed(clo_u64_parse(&count, clo_span_str(a->open_logs))) || count > LOGS_MAX)
        return CLO_FAILF(CLO_E_USAGE, "--open-logs takes a number of 0..%d", LOGS_MAX);
    w->open_logs = (int64_t)count;
    return CLO_OK;
}

static clo_err prepare(witness *w, const clo_service_arguments *a)
{
    char path[600];
    CLO_TRY(clo_os_path_join(path, sizeof path, w->home, "witness.yaml"));
    CLO_TRY(clo_str_set(w->name, sizeof w->name, clo_span_str(a->name != NULL ? a->name : "witness")));
    CLO_CHECKF(clo_name_valid(w->name), CLO_E_USAGE, "--name has lower-case letters, digits, '.', '_' and '-' only");
    CLO_TRY(clo_str_set(w->address, sizeof w->address, clo_span_str("127.0.0.1")));
    if (a->listen != NULL) CLO_TRY(clo_gateway_listen_parse(a->listen, w->address, &w->port));
    CLO_CHECKF(a->verb == NULL || !clo_os_file_exists(path), CLO_E_EXISTS, "%s is a witness's home already; start it with: cloisterd --role witness --home %s",
               w->home, w->home);
    bool fresh = !clo_os_file_exists(path);
    if (fresh) {
        for (size_t i = 0; i < a->log_count; i++) { /* before anything is made */
            clo_wire_note_key key;
            CLO_TRY(clo_wire_note_key_parse(a->logs[i], &key));
        }
        CLO_TRY(take_open_logs(w, a));
        CLO_TRY(clo_gateway_listen_choose(w->address, &w->port));
        CLO_TRY(clo_gateway_listen_url(a->url, w->address, w->port, w->url));
        CLO_TRY(write_config(w, path));
    }
    CLO_TRY(read_config(w, a->config != NULL ? a->config : path));
    int64_t open_before = w->open_logs;
    CLO_TRY(take_open_logs(w, a));
    if (a->listen != NULL) CLO_TRY(clo_gateway_listen_parse(a->listen, w->address, &w->port));
    if (a->url != NULL) CLO_TRY(clo_gateway_listen_url(a->url, w->address, w->port, w->url));
    size_t before = w->log_count;
    CLO_TRY(add_logs(w, a));
    if ((w->log_count > before || w->open_logs != open_before) && a->config == NULL) CLO_TRY(write_config(w, path)); /* trusted from now on */
    CLO_TRY(open_key(w));
    if (fresh && a->verb == NULL) clo_service_home_say_new(w->home, "a witness");
    return clo_gateway_identity_open(w->home, w->name, clo_os_clock_wall(clo_os_clock_system()), false, &w->listen.tls, w->spki);
}

static clo_err serve(witness *w)
{
    char directory[600], line[400];
    CLO_TRY(clo_os_path_join(directory, sizeof directory, w->home, "state"));
    CLO_TRY(clo_audit_witness_open(&w->witness, directory, w->name, &w->sk, clo_os_clock_system()));
    for (size_t i = 0; i < w->log_count; i++) {
        clo_wire_note_key key;
        CLO_TRY(clo_wire_note_key_parse(w->logs[i], &key));
        CLO_TRY(clo_audit_witness_add_log(w->witness, &key));
    }
    clo_gateway_options *o = &w->listen;
    o->name = "cloister-witness";
    o->address = w->address;
    o->port = w->port;
    o->http2 = true;
    o->routes = routes;
    o->route_count = sizeof routes / sizeof routes[0];
    o->context = w;
    o->standard_routes = true;
    CLO_TRY(clo_gateway_server_start(&w->server, o));
    (void)snprintf(line, sizeof line, "cloisterd: witness %s at %s", w->name, w->url);
    return clo_os_ending_wait(line);
}

CLO_R clo_service_witness_main(const clo_service_arguments *a)
{
    witness *w = calloc(1, sizeof *w);
    CLO_CHECK(w != NULL, CLO_E_NOMEM);
    int lock = -1;
    (void)pthread_mutex_init(&w->lock, NULL);
    clo_os_ending_block();
    clo_err e = clo_service_arguments_home(a, ".cloister-witness", w->home);
    if (!clo_failed(e)) e = clo_service_home_lock(w->home, &lock);
    if (!clo_failed(e)) e = prepare(w, a);
    if (!clo_failed(e) && a->verb == NULL)
        e = serve(w);
    else if (!clo_failed(e)) {
        CLO_AUTO(clo_arena_free) clo_arena arena;
        clo_arena_init(&arena, 65536);
        clo_wire_node *tree = NULL;
        e = info_tree(w, &arena, &tree);
        if (!clo_failed(e)) e = clo_service_print(tree);
    }
    if (w->server != NULL) clo_gateway_server_stop(&w->server, 2000);
    clo_crypto_tls_context_free(&w->listen.tls);
    clo_audit_witness_close(&w->witness);
    clo_crypto_private_key_wipe(&w->sk);
    (void)pthread_mutex_destroy(&w->lock);
    clo_os_fd_close(&lock);
    free(w);
    return e;
}
