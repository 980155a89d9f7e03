/* What commands have in common: options, home, sessions, files, agreements. */
#include "cli/cli_int.h"

#include "os/file.h"

#include <stdlib.h>

const char *clo_cli_value_at(const clo_cli *c, const char *name, size_t index)
{
    for (size_t i = 0; i < c->value_count; i++)
        if (strcmp(c->values[i].name, name) == 0 && index-- == 0) return c->values[i].value;
    return NULL;
}

const char *clo_cli_value(const clo_cli *c, const char *name)
{
    const char *found = NULL;
    for (size_t i = 0; i < c->value_count; i++)
        if (strcmp(c->values[i].name, name) == 0) found = c->values[i].value;
    return found;
}

bool clo_cli_flag(const clo_cli *c, const char *name) { return clo_cli_value(c, name) != NULL; }

clo_err clo_cli_require(const clo_cli *c, const char *name, const char **out)
{
    *out = clo_cli_value(c, name);
    CLO_CHECKF(*out != NULL && (*out)[0] != 0, CLO_E_USAGE, "%s is missing; see --help", name);
    return CLO_OK;
}

clo_err clo_cli_value_number(const clo_cli *c, const char *name, double *out)
{
    const char *text = clo_cli_value(c, name);
    if (text == NULL) return CLO_OK;
    clo_err e = clo_f64_parse(out, clo_span_str(text));
    if (clo_failed(e)) return CLO_FAILF(CLO_E_USAGE, "%s takes a number, not \"%.40s\"", name, text);
    return CLO_OK;
}

clo_err clo_cli_value_count(const clo_cli *c, const char *name, uint64_t max, uint64_t *out)
{
    const char *text = clo_cli_value(c, name);
    if (text == NULL) return CLO_OK;
    uint64_t v = 0;
    clo_err e = clo_u64_parse(&v, clo_span_str(text));
    if (clo_failed(e) || v > max)
        return CLO_FAILF(CLO_E_USAGE, "%s takes a whole number up to %llu, not \"%.40s\"", name, (unsigned long long)max, text);
    *out = v;
    return CLO_OK;
}

clo_err clo_cli_home(clo_cli *c)
{
    if (c->home_open) return CLO_OK;
    CLO_TRY(clo_client_home_open(&c->home, c->home_dir));
    if (c->server_url != NULL) {
        CLO_CHECKF(strlen(c->server_url) < sizeof c->home.server.url, CLO_E_TOO_LARGE, "--server is too long");
        if (c->server_pin == NULL)
            CLO_CHECKF(c->home.server.known && strcmp(c->home.server.url, c->server_url) == 0, CLO_E_USAGE,
                       "--server needs --pin HEX, the SHA-256 of its TLS key; its operator has it from cloisterd init");
        (void)snprintf(c->home.server.url, sizeof c->home.server.url, "%s", c->server_url);
        c->home.server.known = true;
    }
    if (c->server_pin != NULL) {
        clo_err e = clo_hex_decode(c->home.server.spki, sizeof c->home.server.spki, clo_span_str(c->server_pin));
        if (clo_failed(e)) return CLO_FAILF(CLO_E_USAGE, "--pin takes 64 hex digits");
    }
    c->home_open = true;
    return CLO_OK;
}

clo_err clo_cli_identity(clo_cli *c, const clo_collab_identity **out)
{
    if (!c->have_who) {
        CLO_TRY(clo_cli_home(c));
        CLO_TRY(clo_client_home_identity(&c->home, &c->who));
        c->have_who = true;
    }
    *out = &c->who;
    return CLO_OK;
}

clo_err clo_cli_server(clo_cli *c, clo_client_session **out)
{
    if (c->server == NULL) {
        const clo_collab_identity *who = NULL;
        CLO_TRY(clo_cli_home(c));
        CLO_CHECKF(c->home.server.known, CLO_E_USAGE,
                   "no operator is known; run: cloister init --operator FILE.json, or give --server URL --pin HEX");
        CLO_TRY(clo_cli_identity(c, &who));
        CLO_TRY(clo_client_session_open(&c->server, &c->home.server, who));
    }
    *out = c->server;
    return CLO_OK;
}

clo_err clo_cli_kms(clo_cli *c, clo_client_session **out)
{
    if (c->kms == NULL) {
        const clo_collab_identity *who = NULL;
        CLO_TRY(clo_cli_home(c));
        CLO_CHECKF(c->home.kms.known, CLO_E_USAGE,
                   "no key service is known; run: cloister init --kms FILE.json (what cloister-kms init printed)");
        CLO_TRY(clo_cli_identity(c, &who));
        CLO_TRY(clo_client_session_open(&c->kms, &c->home.kms, who));
    }
    *out = c->kms;
    return CLO_OK;
}

clo_err clo_cli_get(clo_cli *c, clo_client_session *s, const char *path, clo_wire_node **out)
{
    return clo_client_session_json(s, &c->arena, "GET", path, NULL, clo_span_of(NULL, 0), out);
}

clo_err clo_cli_read(clo_cli *c, const char *path, clo_span *out)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, CLI_FILE_MAX);
    CLO_TRY(clo_os_file_read(path, CLI_FILE_MAX, &bytes));
    return clo_arena_copy(&c->arena, clo_buf_span(&bytes), out);
}

clo_err clo_cli_schema(clo_cli *c, const char *path, const char *set, clo_wire_schema *out, clo_wire_node **tree)
{
    clo_wire_node *node = NULL;
    CLO_TRY(clo_client_json_file(&c->arena, path, &node));
    if (set != NULL) {
        node = node->type == CLO_WIRE_MAP ? clo_wire_get(node, set) : NULL;
        CLO_CHECKF(node != NULL && node->type == CLO_WIRE_MAP, CLO_E_NOT_FOUND, "%s: has no set \"%.60s\"", path, set);
    } else
        CLO_CHECKF(node->type == CLO_WIRE_MAP && clo_wire_get(node, "columns") != NULL, CLO_E_MISSING_FIELD,
                   "%s: has no \"columns\"; where it holds several sets, choose one with --set NAME", path);
    if (tree != NULL) *tree = node;
    clo_err e = clo_wire_schema_read(&c->arena, node, out);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}

bool clo_cli_is_run_id(const char *text)
{
    uint8_t id[16];
    return strlen(text) == 32 && !clo_failed(clo_hex_decode(id, sizeof id, clo_span_str(text)));
}

/* ---- agreements by name ---- */

static bool is_hex(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");
    return n >= 4 && n <= 64 && text[n] == 0;
}

typedef struct {
    const char *prefix;
    char found[80];
    unsigned count;
} looking;

static clo_err look_at(void *context, const char *name, bool is_directory)
{
    looking *l = context;
    size_t n = strlen(name);
    if (is_directory || n != 64 + 10 || strcmp(name + 64, ".agreement") != 0 || strncmp(name, l->prefix, strlen(l->prefix)) != 0)
        return CLO_OK;
    l->count++;
    (void)snprintf(l->found, sizeof l->found, "%s", name);
    return CLO_OK;
}

static clo_err from_operator(clo_cli *c, const char *prefix, clo_span *file)
{
    clo_client_session *server = NULL;
    clo_wire_node *answer = NULL;
    char path[160];
    CLO_CHECKF(c->home.server.known, CLO_E_NOT_FOUND, "there is no agreement \"%.70s\"; give a file, or the beginning of an id",
               prefix);
    CLO_TRY(clo_cli_server(c, &server));
    CLO_TRY(clo_client_session_list(server, &c->arena, "/api/v1/agreements", "agreements", &answer));
    const clo_wire_node *list = clo_wire_get(answer, "agreements");
    const char *found = NULL;
    for (const clo_wire_node *n = list == NULL ? NULL : list->first; n != NULL; n = n->next) {
        const char *id = clo_client_text(n, "id");
        if (id == NULL || strncmp(id, prefix, strlen(prefix)) != 0) continue;
        CLO_CHECKF(found == NULL, CLO_E_USAGE, "more than one agreement begins with %s; give more digits", prefix);
        found = id;
    }
    CLO_CHECKF(found != NULL && strlen(found) == 64, CLO_E_NOT_FOUND,
               "there is no agreement \"%.70s\", neither here nor at the operator", prefix);
    (void)snprintf(path, sizeof path, "/api/v1/agreements/%s/file", found);
    return clo_client_session_get(server, &c->arena, path, CLI_FILE_MAX, file);
}

clo_err clo_cli_agreement(clo_cli *c, const char *reference, clo_collab_agreement **out, uint32_t *signed_mask, clo_span *file)
{
    clo_span bytes;
    char dir[CLO_CLIENT_PATH], path[CLO_CLIENT_PATH + 80];
    bool is_file = clo_os_file_exists(reference);
    if (is_file)
        CLO_TRY(clo_cli_read(c, reference, &bytes));
    else {
        CLO_CHECKF(is_hex(reference), CLO_E_NOT_FOUND, "there is no file %s; give one, or the beginning of an agreement's id",
                   reference);
        CLO_TRY(clo_cli_home(c));
        CLO_TRY(clo_client_home_path(&c->home, NULL, "agreements", dir));
        looking l = {.prefix = reference};
        if (clo_os_dir_exists(dir)) CLO_TRY(clo_os_dir_list(dir, look_at, &l));
        CLO_CHECKF(l.count < 2, CLO_E_USAGE, "more than one agreement begins with %s; give more digits", reference);
        if (l.count == 1) {
            CLO_TRY(clo_os_path_join(path, sizeof path, dir, l.found));
            CLO_TRY(clo_cli_read(c, path, &bytes));
        } else
            CLO_TRY(from_operator(c, reference, &bytes));
    }
    CLO_TRY(clo_collab_agreement_new(&c->arena, out));
    clo_err e = clo_collab_agreement_file_open(&c->arena, bytes, *out, signed_mask);
    if (clo_failed(e) && clo_err_denial() == NULL) return clo_err_prefix(e, reference);
    CLO_TRY(e);
    if (!is_file) CLO_TRY(clo_cli_agreement_require(*out, reference));
    if (file != NULL) *file = bytes;
    return CLO_OK;
}

clo_err clo_cli_agreement_require(const clo_collab_agreement *g, const char *id)
{
    char actual[65];
    clo_hex_encode(actual, clo_span_of(g->id, sizeof g->id));
    if (strncmp(actual, id, strlen(id)) == 0) return CLO_OK;
    return CLO_DENY(CLO_E_DENIED, "agreement.id", id, actual, "operator",
                    "the operator gave another agreement than was asked for; get its file from another member");
}

clo_err clo_cli_agreement_keep(clo_cli *c, const clo_collab_agreement *g, clo_span file)
{
    char name[80], path[CLO_CLIENT_PATH], id[65];
    clo_hex_encode(id, clo_span_of(g->id, sizeof g->id));
    (void)snprintf(name, sizeof name, "%s.agreement", id);
    CLO_TRY(clo_cli_home(c));
    CLO_TRY(clo_client_home_path(&c->home, NULL, "agreements", path));
    CLO_TRY(clo_os_dir_make(path));
    CLO_TRY(clo_client_home_path(&c->home, "agreements", name, path));
    return clo_os_file_write_atomic(path, file, 0644);
}
