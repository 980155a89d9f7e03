#include "client/home.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/x509.h"
#include "os/file.h"
#include "os/net.h"
#include "wire/json.h"
#include "wire/note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 8 << 20, IDENTITY_MAX = 4096 };

const char *clo_client_text(const clo_wire_node *map, const char *key)
{
    const clo_wire_node *n = map == NULL || map->type != CLO_WIRE_MAP ? NULL : clo_wire_get(map, key);
    return n != NULL && n->type == CLO_WIRE_TEXT ? (const char *)n->text.p : NULL;
}

clo_err clo_client_json_file(clo_arena *a, const char *path, clo_wire_node **out)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, CLO_CLIENT_JSON_MAX);
    CLO_TRY(clo_os_file_read(path, CLO_CLIENT_JSON_MAX, &text));
    clo_err e = clo_wire_json_decode(a, clo_buf_span(&text), out);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}

clo_err clo_client_home_path(const clo_client_home *h, const char *sub, const char *name, char to[CLO_CLIENT_PATH])
{
    char dir[CLO_CLIENT_PATH];
    if (sub == NULL) return clo_os_path_join(to, CLO_CLIENT_PATH, h->dir, name);
    CLO_TRY(clo_os_path_join(dir, sizeof dir, h->dir, sub));
    return clo_os_path_join(to, CLO_CLIENT_PATH, dir, name);
}

static clo_err find_dir(clo_client_home *h, const char *dir)
{
    if (dir == NULL) dir = getenv("CLOISTER_HOME");
    if (dir != NULL && dir[0] != 0) return clo_str_set(h->dir, sizeof h->dir, clo_span_str(dir));
    const char *user = getenv("HOME");
    CLO_CHECKF(user != NULL && user[0] == '/', CLO_E_USAGE, "where is your home? give --home DIR or set CLOISTER_HOME");
    return clo_os_path_join(h->dir, sizeof h->dir, user, ".cloister");
}

static clo_err read_server(clo_arena *a, const clo_wire_node *node, const char *what, clo_client_server *s, clo_client_home *kms)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, what);
    clo_wire_take_str(&f, "url", s->url, sizeof s->url);
    clo_wire_take_fixed(&f, "spki", s->spki, sizeof s->spki);
    if (kms != NULL) {
        clo_wire_take_fixed(&f, "hpke", kms->kms_hpke, sizeof kms->kms_hpke);
        clo_wire_take_name(&f, "owner", kms->kms_owner);
    }
    CLO_TRY(clo_wire_fields_end(&f));
    s->known = true;
    return CLO_OK;
}

static clo_err read_config(clo_client_home *h, const char *path)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 65536);
    CLO_TRY(clo_os_file_read(path, 65536, &text));
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_wire_yaml_decode(&a, clo_buf_span(&text), &tree));
    clo_wire_fields f;
    const clo_wire_node *server = NULL, *kms = NULL;
    clo_wire_fields_open(&f, &a, tree, "config");
    if (clo_wire_has(&f, "server")) clo_wire_take_map(&f, "server", &server);
    if (clo_wire_has(&f, "kms")) clo_wire_take_map(&f, "kms", &kms);
    CLO_TRY(clo_wire_fields_end(&f));
    if (server != NULL) CLO_TRY(read_server(&a, server, "config.server", &h->server, NULL));
    if (kms != NULL) CLO_TRY(read_server(&a, kms, "config.kms", &h->kms, h));
    return CLO_OK;
}

clo_err clo_client_home_open(clo_client_home *out, const char *dir)
{
    clo_client_home h;
    memset(&h, 0, sizeof h);
    CLO_TRY(find_dir(&h, dir));
    char path[CLO_CLIENT_PATH];
    CLO_TRY(clo_client_home_path(&h, NULL, "config.yaml", path));
    if (clo_os_file_exists(path)) {
        clo_err e = read_config(&h, path);
        if (clo_failed(e)) return clo_err_prefix(e, path);
    }
    *out = h;
    return CLO_OK;
}

clo_err clo_client_home_save(const clo_client_home *h)
{
    static const char *const folders[] = {"roots", "agreements", "datasets", "outputs", "receipts"};
    char path[CLO_CLIENT_PATH], hex[65], hpke[65];
    CLO_TRY(clo_os_dir_make(h->dir));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        CLO_TRY(clo_client_home_path(h, NULL, folders[i], path));
        CLO_TRY(clo_os_dir_make(path));
    }
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 8192);
    CLO_TRY(clo_buf_put_str(&text, "# Servers of this party. A key that is not known here is an error.\n"));
    if (h->server.known) {
        clo_hex_encode(hex, clo_span_of(h->server.spki, 32));
        CLO_TRY(clo_buf_printf(&text, "server: {url: \"%s\", spki: \"%s\"}\n", h->server.url, hex));
    }
    if (h->kms.known) {
        clo_hex_encode(hex, clo_span_of(h->kms.spki, 32));
        clo_hex_encode(hpke, clo_span_of(h->kms_hpke, 32));
        CLO_TRY(clo_buf_printf(&text, "kms: {url: \"%s\", spki: \"%s\", hpke: \"%s\", owner: \"%s\"}\n", h->kms.url, hex, hpke,
                               h->kms_owner));
    }
    if (!h->server.known && !h->kms.known) CLO_TRY(clo_buf_put_str(&text, "{}\n"));
    CLO_TRY(clo_client_home_path(h, NULL, "config.yaml", path));
    return clo_os_file_write_atomic(path, clo_buf_span(&text), 0600);
}

clo_err clo_client_home_identity(const clo_client_home *h, clo_collab_identity *out)
{
    char path[CLO_CLIENT_PATH];
    uint8_t bytes[IDENTITY_MAX];
    size_t n = 0;
    CLO_TRY(clo_client_home_path(h, NULL, "identity.key", path));
    CLO_CHECKF(clo_os_file_exists(path), CLO_E_NOT_FOUND, "there is no party in %s; make one with: cloister party new NAME",
               h->dir);
    CLO_TRY(clo_os_file_read_secret(path, bytes, sizeof bytes, &n));
    clo_err e = clo_collab_identity_decode(clo_span_of(bytes, n), out);
    clo_wipe(bytes, sizeof bytes);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}

static clo_err write_identity(const clo_collab_identity *who, const char *key_path, const char *party_path)
{
    clo_buf secret;
    clo_buf_init(&secret, IDENTITY_MAX);
    CLO_AUTO(clo_buf_free) clo_buf party;
    clo_buf_init(&party, 65536);
    CLO_TRY(clo_collab_party_encode(who, &party));
    uint8_t *room = NULL; /* all at once, so that no growth leaves the key behind */
    CLO_TRY(clo_buf_reserve(&secret, IDENTITY_MAX, &room));
    clo_err e = clo_collab_identity_encode(who, &secret);
    if (!clo_failed(e)) e = clo_os_file_write_new(key_path, clo_buf_span(&secret), 0600);
    clo_wipe(room, IDENTITY_MAX);
    clo_buf_free(&secret);
    CLO_TRY(e);
    return clo_os_file_write_atomic(party_path, clo_buf_span(&party), 0644);
}

clo_err clo_client_home_identity_make(const clo_client_home *h, const char *name, char party_path[CLO_CLIENT_PATH])
{
    char key_path[CLO_CLIENT_PATH], file[72];
    CLO_CHECKF(clo_name_valid(name), CLO_E_MALFORMED,
               "\"%.70s\" is no name; use 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit", name);
    CLO_TRY(clo_client_home_path(h, NULL, "identity.key", key_path));
    CLO_CHECKF(!clo_os_file_exists(key_path), CLO_E_EXISTS, "%s is there already; one home holds one party: use another --home",
               key_path);
    (void)snprintf(file, sizeof file, "%s.party", name);
    CLO_TRY(clo_client_home_path(h, NULL, file, party_path));
    CLO_TRY(clo_client_home_save(h));
    clo_collab_identity who;
    CLO_TRY(clo_collab_identity_make(name, &who));
    clo_err e = write_identity(&who, key_path, party_path);
    clo_collab_identity_wipe(&who);
    return e;
}

/* What the other side says of itself ends up between quotes in our configuration: an address is an address, nothing more. */
static clo_err take_address(const clo_wire_node *tree, const char *what, clo_client_server *s)
{
    const char *url = clo_client_text(tree, "url");
    clo_os_net_url parts;
    CLO_CHECKF(url != NULL && strncmp(url, "https://", 8) == 0, CLO_E_MISSING_FIELD,
               "%s has no \"url\" that begins with https://", what);
    CLO_TRY(clo_os_net_url_parse(&parts, url));
    CLO_CHECKF(parts.path[0] == 0, CLO_E_MALFORMED, "%s has a \"url\" with a path; it must be https://host:port", what);
    CLO_TRY(clo_str_set(s->url, sizeof s->url, clo_span_str(url)));
    const clo_wire_node *spki = clo_wire_get(tree, "spki");
    CLO_CHECKF(spki != NULL, CLO_E_MISSING_FIELD, "%s has no \"spki\"", what);
    CLO_TRY(clo_wire_node_fixed(spki, "spki", s->spki, sizeof s->spki));
    s->known = true;
    return CLO_OK;
}

/* log.policy in the form of C2SP tlog-policy: log VKEY, witness NAME VKEY, group NAME K MEMBER…, quorum NAME. */
static clo_err log_policy_text(const clo_wire_node *log, clo_buf *text)
{
    const char *vkey = clo_client_text(log, "vkey");
    clo_wire_note_key key;
    CLO_CHECKF(vkey != NULL, CLO_E_MISSING_FIELD, "the operator's description has no log.vkey");
    CLO_TRY(clo_wire_note_key_parse(vkey, &key));
    CLO_TRY(clo_buf_printf(text, "log %s\n", vkey));
    const clo_wire_node *list = clo_wire_get(log, "witnesses"), *quorum = clo_wire_get(log, "quorum");
    size_t count = 0;
    if (list != NULL && list->type == CLO_WIRE_ARRAY)
        for (const clo_wire_node *n = list->first; n != NULL; n = n->next, count++) {
            CLO_CHECKF(n->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "the operator's description has a witness that is no text");
            CLO_TRY(clo_wire_note_key_parse((const char *)n->text.p, &key));
            CLO_TRY(clo_buf_printf(text, "witness w%zu %s\n", count + 1, (const char *)n->text.p));
        }
    if (count > 0 && quorum != NULL && quorum->type == CLO_WIRE_INT) {
        CLO_TRY(clo_buf_printf(text, "group all %lld", (long long)quorum->integer));
        for (size_t i = 0; i < count; i++) CLO_TRY(clo_buf_printf(text, " w%zu", i + 1));
        CLO_TRY(clo_buf_put_str(text, "\nquorum all\n"));
    } else
        CLO_TRY(clo_buf_put_str(text, "quorum none\n"));
    return CLO_OK;
}

static clo_err write_log_policy(const clo_client_home *h, clo_span text)
{
    char path[CLO_CLIENT_PATH];
    CLO_TRY(clo_client_home_path(h, "roots", "log.policy", path));
    return clo_os_file_write_atomic(path, text, 0644);
}

static clo_err write_tee_root(clo_arena *a, const clo_client_home *h, const clo_wire_node *tee)
{
    const char *root = clo_client_text(tee, "root");
    if (root == NULL || root[0] == 0) return CLO_OK;
    size_t n = strlen(root) / 2;
    void *der = NULL;
    CLO_TRY(clo_arena_alloc(a, n + 1, &der));
    CLO_TRY(clo_hex_decode(der, n, clo_span_str(root)));
    char path[CLO_CLIENT_PATH];
    CLO_TRY(clo_client_home_path(h, "roots", "sim-root.der", path));
    return clo_os_file_write_atomic(path, clo_span_of(der, n), 0644);
}

clo_err clo_client_home_take_operator(clo_client_home *h, clo_span json)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_wire_json_decode(&a, json, &tree));
    clo_client_server s = {.known = false};
    CLO_TRY(take_address(tree, "the operator's description", &s));
    const clo_wire_node *log = clo_wire_get(tree, "log"), *tee = clo_wire_get(tree, "tee");
    CLO_CHECKF(log != NULL && log->type == CLO_WIRE_MAP, CLO_E_MISSING_FIELD,
               "the operator's description lacks \"log\"; use what cloisterd init printed (not a witness's or a key service's)");
    CLO_AUTO(clo_buf_free) clo_buf policy;
    clo_buf_init(&policy, 16384);
    CLO_TRY(log_policy_text(log, &policy));
    h->server = s;
    CLO_TRY(clo_client_home_save(h));
    CLO_TRY(write_log_policy(h, clo_buf_span(&policy)));
    if (tee != NULL && tee->type == CLO_WIRE_MAP) CLO_TRY(write_tee_root(&a, h, tee));
    char path[CLO_CLIENT_PATH];
    CLO_TRY(clo_client_home_path(h, "roots", "operator.json", path));
    return clo_os_file_write_atomic(path, json, 0644);
}

clo_err clo_client_home_take_kms(clo_client_home *h, clo_span json)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_wire_json_decode(&a, json, &tree));
    clo_client_server s = {.known = false};
    CLO_TRY(take_address(tree, "the key service's description", &s));
    const clo_wire_node *hpke = clo_wire_get(tree, "hpke");
    const char *owner = clo_client_text(tree, "owner");
    CLO_CHECKF(hpke != NULL && owner != NULL, CLO_E_MISSING_FIELD,
               "the key service's description lacks \"hpke\" or \"owner\"; use what cloister-kms init printed");
    CLO_CHECKF(clo_name_valid(owner), CLO_E_MALFORMED, "the key service's description has an \"owner\" that is no party's name");
    CLO_TRY(clo_wire_node_fixed(hpke, "hpke", h->kms_hpke, sizeof h->kms_hpke));
    CLO_TRY(clo_str_set(h->kms_owner, sizeof h->kms_owner, clo_span_str(owner)));
    h->kms = s;
    return clo_client_home_save(h);
}
