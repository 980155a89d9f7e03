/* cloister agreement …: what the parties sign. */
#include "cli/cli_int.h"

#include "client/template.h"
#include "os/file.h"
#include "wire/container.h"

#include <stdlib.h>

static bool is_agreement_file(clo_span bytes) { return bytes.n >= 8 && memcmp(bytes.p, CLO_MAGIC_AGREEMENT, 8) == 0; }

/* A template or an agreement. */
static clo_err load_any(clo_cli *c, const char *reference, clo_collab_agreement **g, uint32_t *mask, bool *is_template)
{
    *is_template = false;
    *mask = 0;
    if (clo_os_file_exists(reference)) {
        clo_span bytes;
        CLO_TRY(clo_cli_read(c, reference, &bytes));
        if (!is_agreement_file(bytes)) {
            clo_wire_node *tree = NULL;
            *is_template = true;
            CLO_TRY(clo_client_template_read(&c->arena, reference, &tree));
            CLO_TRY(clo_collab_agreement_new(&c->arena, g));
            clo_err e = clo_collab_agreement_read(&c->arena, tree, *g);
            return clo_failed(e) ? clo_err_prefix(e, reference) : CLO_OK;
        }
    }
    return clo_cli_agreement(c, reference, g, mask, NULL);
}

static clo_err signatures(clo_cli *c, const clo_collab_agreement *g, uint32_t mask, clo_wire_node *map)
{
    clo_wire_node *have = NULL, *missing = NULL;
    CLO_TRY(clo_wire_array(&c->arena, &have));
    CLO_TRY(clo_wire_array(&c->arena, &missing));
    for (size_t i = 0; i < g->member_count; i++) {
        clo_wire_node *name = NULL;
        bool signed_it = (mask >> i & 1u) != 0;
        CLO_TRY(clo_wire_text(&c->arena, clo_span_str(g->members[i].party.name), &name));
        CLO_TRY(clo_wire_append(signed_it ? have : missing, name));
        clo_cli_say(c, "  %s  %s\n", signed_it ? "signed " : "missing", g->members[i].party.name);
    }
    CLO_TRY(clo_wire_set(&c->arena, map, "signed", have));
    return clo_wire_set(&c->arena, map, "missing", missing);
}

static clo_err summary(clo_cli *c, const clo_collab_agreement *g, uint32_t mask, const char *file)
{
    clo_wire_node *map = NULL;
    char id[65];
    clo_hex_encode(id, clo_span_of(g->id, sizeof g->id));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "id", id));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "title", g->title));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "epoch", g->epoch));
    CLO_TRY(clo_wire_set_bool(&c->arena, map, "allow_simulated", g->allow_simulated));
    if (file != NULL) CLO_TRY(clo_wire_set_text(&c->arena, map, "file", file));
    clo_cli_say(c, "agreement %s\n  \"%s\", epoch %lld\n", id, g->title, (long long)g->epoch);
    CLO_TRY(signatures(c, g, mask, map));
    if (g->allow_simulated) clo_cli_say(c, "  It accepts the software TEE, which gives no protection from the operator.\n");
    if (file != NULL) clo_cli_say(c, "  file %s\n", file);
    return clo_cli_emit(c, map);
}

clo_err clo_cli_agreement_new(clo_cli *c)
{
    const char *template = c->args[0], *out = clo_cli_value(c, "--out");
    clo_wire_node *tree = NULL;
    clo_collab_agreement *g = NULL;
    char path[CLO_CLIENT_PATH];
    CLO_TRY(clo_client_template_read(&c->arena, template, &tree));
    CLO_TRY(clo_collab_agreement_new(&c->arena, &g));
    clo_err e = clo_collab_agreement_read(&c->arena, tree, g);
    if (clo_failed(e)) return clo_err_prefix(e, template);
    if (out == NULL) {
        const char *slash = strrchr(template, '/'), *dot = strrchr(template, '.');
        size_t n = dot != NULL && (slash == NULL || dot > slash) ? (size_t)(dot - template) : strlen(template);
        CLO_CHECKF(n + 11 < sizeof path, CLO_E_TOO_LARGE, "the path is too long; give --out FILE");
        (void)snprintf(path, sizeof path, "%.*s.agreement", (int)n, template);
        out = path;
    }
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, CLI_FILE_MAX);
    CLO_TRY(clo_collab_agreement_file_make(g, &file));
    CLO_TRY(clo_os_file_write_atomic(out, clo_buf_span(&file), 0644));
    return summary(c, g, 0, out);
}

clo_err clo_cli_agreement_check(clo_cli *c)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    bool is_template = false;
    CLO_TRY(load_any(c, c->args[0], &g, &mask, &is_template));
    clo_cli_say(c, "The %s holds together.\n", is_template ? "template" : "agreement");
    if (g->not_after < clo_cli_now()) {
        clo_cli_say(c, "But it has expired.\n");
        c->negative = true;
    }
    return summary(c, g, mask, NULL);
}

clo_err clo_cli_agreement_show(clo_cli *c)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    bool is_template = false;
    CLO_TRY(load_any(c, c->args[0], &g, &mask, &is_template));
    if (c->json) {
        clo_wire_node *tree = NULL;
        CLO_TRY(clo_collab_agreement_tree(&c->arena, g, &tree));
        return clo_cli_emit(c, tree);
    }
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, CLI_FILE_MAX);
    CLO_TRY(clo_collab_agreement_describe(g, &text));
    clo_cli_say(c, "%.*s\n", (int)text.len, (const char *)text.p);
    return is_template ? CLO_OK : summary(c, g, mask, NULL);
}

clo_err clo_cli_agreement_diff(clo_cli *c)
{
    clo_collab_agreement *old = NULL, *next = NULL;
    uint32_t mask = 0;
    bool is_template = false;
    clo_collab_change *changes = NULL;
    size_t count = 0, widening = 0;
    clo_wire_node *map = NULL, *list = NULL;
    CLO_TRY(load_any(c, c->args[0], &old, &mask, &is_template));
    CLO_TRY(load_any(c, c->args[1], &next, &mask, &is_template));
    CLO_TRY(clo_collab_agreement_diff(&c->arena, old, next, &changes, &count));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_array(&c->arena, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_map(&c->arena, &one));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "path", changes[i].path));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "change", changes[i].text));
        CLO_TRY(clo_wire_set_bool(&c->arena, one, "widens", changes[i].widens));
        CLO_TRY(clo_wire_append(list, one));
        widening += changes[i].widens ? 1 : 0;
        clo_cli_say(c, "%s %s\n    %s\n", changes[i].widens ? "WIDENS " : "narrows", changes[i].path, changes[i].text);
    }
    CLO_TRY(clo_wire_set(&c->arena, map, "changes", list));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "widening", (int64_t)widening));
    clo_cli_say(c, "%zu changes, %zu of them let something happen that was not allowed before.\n", count, widening);
    return clo_cli_emit(c, map);
}

clo_err clo_cli_agreement_sign(clo_cli *c)
{
    const clo_collab_identity *who = NULL;
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_span file;
    const char *out = clo_cli_value(c, "--out");
    CLO_TRY(clo_cli_identity(c, &who));
    CLO_TRY(clo_cli_agreement(c, c->args[0], &g, &mask, &file));
    CLO_AUTO(clo_buf_free) clo_buf result;
    clo_buf_init(&result, CLI_FILE_MAX);
    CLO_TRY(clo_collab_agreement_file_sign(file, who, &result));
    if (out == NULL && clo_os_file_exists(c->args[0])) out = c->args[0];
    if (out != NULL)
        CLO_TRY(clo_os_file_write_atomic(out, clo_buf_span(&result), 0644));
    else
        CLO_TRY(clo_cli_agreement_keep(c, g, clo_buf_span(&result)));
    CLO_TRY(clo_collab_agreement_file_open(&c->arena, clo_buf_span(&result), g, &mask));
    return summary(c, g, mask, out);
}

/* ---- at the servers ---- */

static clo_err submit_to_kms(clo_cli *c, const clo_collab_agreement *g, clo_span file)
{
    const clo_collab_identity *who = NULL;
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_cli_identity(c, &who));
    const clo_collab_member *me = clo_collab_agreement_member(g, who->public_half.name);
    if (!c->home.kms.known || me == NULL || !me->data_owner) return CLO_OK;
    CLO_TRY(clo_cli_kms(c, &kms));
    CLO_TRY(clo_client_session_json(kms, &c->arena, "POST", "/v1/agreements", "application/octet-stream", file, &answer));
    clo_cli_note(c, "Your key service knows it.\n");
    return CLO_OK;
}

static clo_err say_state(clo_cli *c, const clo_wire_node *answer)
{
    char index[40];
    clo_cli_text_of(clo_wire_get(answer, "log_index"), index, sizeof index);
    const char *id = clo_client_text(answer, "id"), *state = clo_client_text(answer, "state"),
               *end = clo_client_text(answer, "not_after");
    clo_cli_say(c, "agreement %s\n  state %s, until %s, log entry %s\n", id == NULL ? "?" : id, state == NULL ? "?" : state,
                end == NULL ? "?" : end, index);
    const clo_wire_node *missing = clo_wire_get(answer, "missing");
    for (const clo_wire_node *n = missing == NULL ? NULL : missing->first; n != NULL; n = n->next)
        if (n->type == CLO_WIRE_TEXT) clo_cli_say(c, "  missing the signature of %s\n", (const char *)n->text.p);
    return CLO_OK;
}

clo_err clo_cli_agreement_submit(clo_cli *c)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_span file;
    clo_client_session *server = NULL;
    clo_wire_node *answer = NULL;
    char path[160], id[65];
    CLO_TRY(clo_cli_agreement(c, c->args[0], &g, &mask, &file));
    CLO_TRY(clo_cli_server(c, &server));
    CLO_TRY(clo_client_session_json(server, &c->arena, "POST", "/api/v1/agreements", "application/octet-stream", file, &answer));
    clo_hex_encode(id, clo_span_of(g->id, sizeof g->id));
    (void)snprintf(path, sizeof path, "/api/v1/agreements/%s/file", id);
    CLO_TRY(clo_client_session_get(server, &c->arena, path, CLI_FILE_MAX, &file));
    CLO_TRY(clo_collab_agreement_file_open(&c->arena, file, g, &mask));
    CLO_TRY(clo_cli_agreement_require(g, id));
    CLO_TRY(clo_cli_agreement_keep(c, g, file));
    if (!clo_failed(clo_collab_agreement_require_signed(g, mask))) CLO_TRY(submit_to_kms(c, g, file));
    CLO_TRY(say_state(c, answer));
    return clo_cli_emit(c, answer);
}

static clo_err kms_state(clo_cli *c, const char *id, clo_wire_node *map)
{
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_cli_kms(c, &kms));
    CLO_TRY(clo_cli_get(c, kms, "/v1/agreements", &answer));
    const clo_wire_node *list = clo_wire_get(answer, "agreements");
    for (const clo_wire_node *n = list == NULL ? NULL : list->first; n != NULL; n = n->next) {
        const char *other = clo_client_text(n, "id"), *state = clo_client_text(n, "state");
        if (other == NULL || state == NULL || strcmp(other, id) != 0) continue;
        clo_cli_say(c, "  at your key service: %s\n", state);
        return clo_wire_set_text(&c->arena, map, "kms_state", state);
    }
    clo_cli_say(c, "  at your key service: not known (it learns it with the first run, or by: cloister agreement submit)\n");
    return CLO_OK;
}

clo_err clo_cli_agreement_status(clo_cli *c)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_client_session *server = NULL;
    clo_wire_node *answer = NULL;
    char path[160], id[65];
    CLO_TRY(clo_cli_agreement(c, c->args[0], &g, &mask, NULL));
    CLO_TRY(clo_cli_server(c, &server));
    clo_hex_encode(id, clo_span_of(g->id, sizeof g->id));
    (void)snprintf(path, sizeof path, "/api/v1/agreements/%s", id);
    CLO_TRY(clo_cli_get(c, server, path, &answer));
    CLO_TRY(say_state(c, answer));
    if (c->home.kms.known) CLO_TRY(kms_state(c, id, answer));
    return clo_cli_emit(c, answer);
}

clo_err clo_cli_agreement_list(clo_cli *c)
{
    static const clo_cli_column columns[] = {
        {"id", "ID", 12}, {"title", "TITLE", 48}, {"epoch", "EPOCH", 0}, {"state", "STATE", 0}, {"not_after", "UNTIL", 0}};
    clo_client_session *server = NULL;
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_cli_server(c, &server));
    CLO_TRY(clo_client_session_list(server, &c->arena, "/api/v1/agreements", "agreements", &answer));
    clo_cli_table(c, clo_wire_get(answer, "agreements"), columns, sizeof columns / sizeof columns[0], "No agreements.");
    return clo_cli_emit(c, answer);
}

/* A party's orders are numbered; the last number is kept in the home. */
static clo_err next_sequence(clo_cli *c, int64_t *out)
{
    char path[CLO_CLIENT_PATH], text[32];
    uint64_t last = 0, now = (uint64_t)clo_cli_now();
    CLO_TRY(clo_client_home_path(&c->home, NULL, "order.sequence", path));
    if (clo_os_file_exists(path)) {
        clo_span bytes;
        CLO_TRY(clo_cli_read(c, path, &bytes));
        CLO_TRY(clo_u64_parse(&last, bytes));
    }
    uint64_t next = last + 1 > now ? last + 1 : now;
    CLO_CHECK(next < INT64_MAX, CLO_E_RANGE);
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)next);
    *out = (int64_t)next;
    return clo_os_file_write_atomic(path, clo_span_of(text, (size_t)n), 0600);
}

/* A key service that has never seen the agreement gets it first: else a later release would register it as active. */
static clo_err send_order(clo_cli *c, clo_client_session *s, clo_span order, clo_span file, clo_wire_node **answer)
{
    clo_err e = clo_client_session_json(s, &c->arena, "POST", "/v1/orders", "application/cose", order, answer);
    if (e.code != CLO_E_NOT_FOUND) return e;
    clo_wire_node *ignored = NULL;
    CLO_TRY(clo_client_session_json(s, &c->arena, "POST", "/v1/agreements", "application/octet-stream", file, &ignored));
    return clo_client_session_json(s, &c->arena, "POST", "/v1/orders", "application/cose", order, answer);
}

static clo_err order_at_kms(clo_cli *c, const clo_collab_member *m, clo_span order, clo_span file, clo_wire_node *map)
{
    clo_client_server server = {.known = true};
    clo_client_session *s = NULL;
    clo_wire_node *answer = NULL;
    memcpy(server.url, m->kms_url, sizeof server.url);
    memcpy(server.spki, m->kms_spki, sizeof server.spki);
    CLO_TRY(clo_client_session_open(&s, &server, &c->who));
    clo_err e = send_order(c, s, order, file, &answer);
    clo_client_session_free(&s);
    const char *state = clo_failed(e) ? NULL : clo_client_text(answer, "state");
    const char *text = clo_failed(e) ? clo_err_text() : state == NULL ? "?" : state;
    const char *detail = clo_failed(e) ? NULL : clo_client_text(answer, "detail");
    char both[400];
    if (detail != NULL) {
        (void)snprintf(both, sizeof both, "%.40s; %.300s", text, detail);
        text = both;
    }
    clo_cli_say(c, "  key service of %s: %s\n", m->party.name, text);
    CLO_TRY(clo_wire_set_text(&c->arena, map, m->party.name, text));
    return e;
}

/* To every key service by itself: an order does not depend on the operator. */
static clo_err order(clo_cli *c, const char *verb)
{
    const clo_collab_identity *who = NULL;
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_span file;
    clo_client_session *server = NULL;
    clo_wire_node *map = NULL, *services = NULL, *answer = NULL;
    char path[160], id[65];
    unsigned refused = 0, unreached = 0;
    CLO_TRY(clo_cli_identity(c, &who));
    CLO_TRY(clo_cli_agreement(c, c->args[0], &g, &mask, &file));
    clo_collab_order o = {.time = clo_cli_now()};
    memcpy(o.agreement, g->id, sizeof o.agreement);
    CLO_TRY(clo_str_set(o.verb, sizeof o.verb, clo_span_str(verb)));
    CLO_TRY(clo_str_set(o.party, sizeof o.party, clo_span_str(who->public_half.name)));
    CLO_TRY(next_sequence(c, &o.sequence));
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 65536);
    CLO_TRY(clo_collab_order_make(who, &o, &bytes));
    clo_hex_encode(id, clo_span_of(g->id, sizeof g->id));
    clo_cli_say(c, "%s %s\n", verb, id);
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_map(&c->arena, &services));
    for (size_t i = 0; i < g->member_count; i++) {
        if (!g->members[i].data_owner) continue;
        clo_err e = order_at_kms(c, &g->members[i], clo_buf_span(&bytes), file, services);
        refused += clo_failed(e) && clo_err_class(e) == CLO_CLASS_DENIED ? 1 : 0;
        unreached += clo_failed(e) && clo_err_class(e) != CLO_CLASS_DENIED ? 1 : 0;
    }
    (void)snprintf(path, sizeof path, "/api/v1/agreements/%s/orders", id);
    CLO_TRY(clo_cli_server(c, &server));
    clo_err e = clo_client_session_json(server, &c->arena, "POST", path, "application/cose", clo_buf_span(&bytes), &answer);
    const char *state = clo_failed(e) ? clo_err_text() : clo_client_text(answer, "state");
    clo_cli_say(c, "  operator: %s\n", state == NULL ? "?" : state);
    CLO_TRY(clo_wire_set_text(&c->arena, map, "id", id));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "order", verb));
    CLO_TRY(clo_wire_set(&c->arena, map, "key_services", services));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "operator", state == NULL ? "?" : state));
    CLO_TRY(clo_cli_emit(c, map));
    CLO_CHECKF(unreached == 0, CLO_E_UNREACHABLE, "%u key services could not be reached; give the order again", unreached);
    CLO_CHECKF(refused == 0, CLO_E_CONFLICT, "%u key services refused the order", refused);
    return CLO_OK;
}

clo_err clo_cli_agreement_stop(clo_cli *c) { return order(c, "stop"); }
clo_err clo_cli_agreement_resume(clo_cli *c) { return order(c, "resume"); }
clo_err clo_cli_agreement_terminate(clo_cli *c) { return order(c, "terminate"); }
