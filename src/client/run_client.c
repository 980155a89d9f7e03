#include "client/run_client.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/http_problem.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "wire/json.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 8 << 20, EVENT_MAX = 256 * 1024, POLL_MS = 300, STREAM_QUIET_MS = 60000 };

/* ---- the request ---- */

static clo_err find_version(clo_client_session *server, clo_arena *a, const clo_collab_dataset_terms *d, uint8_t version[32])
{
    char path[160], id[65];
    clo_hex_encode(id, clo_span_of(d->id, sizeof d->id));
    (void)snprintf(path, sizeof path, "/api/v1/datasets?id=%s", id);
    clo_wire_node *answer = NULL;
    clo_err e = clo_client_session_json(server, a, "GET", path, NULL, clo_span_of(NULL, 0), &answer);
    if (clo_failed(e) && e.code == CLO_E_NOT_FOUND)
        return CLO_FAILF(CLO_E_NOT_FOUND, "the operator has no complete version of dataset %s; %s runs: cloister dataset push %s",
                         d->name, d->owner, d->name);
    CLO_TRY(e);
    const clo_wire_node *list = clo_wire_get(answer, "datasets");
    CLO_CHECKF(list != NULL && list->type == CLO_WIRE_ARRAY && list->first != NULL, CLO_E_NOT_FOUND,
               "the operator has no complete version of dataset %s; %s runs: cloister dataset push %s", d->name, d->owner,
               d->name);
    const clo_wire_node *value = clo_wire_get(list->first, "version");
    CLO_CHECK(value != NULL, CLO_E_MALFORMED);
    return clo_wire_node_fixed(value, "version", version, 32);
}

static clo_err take_parameter(const char *text, clo_collab_run_request *r)
{
    const char *equals = strchr(text, '=');
    CLO_CHECKF(equals != NULL && equals != text, CLO_E_USAGE, "\"%.60s\" is no parameter; write NAME=VALUE", text);
    CLO_CHECKF(r->parameter_count < CLO_RUN_PARAMETERS_MAX, CLO_E_TOO_MANY, "at most %d parameters are allowed",
               CLO_RUN_PARAMETERS_MAX);
    size_t i = r->parameter_count;
    CLO_TRY(clo_str_set(r->parameters[i].name, sizeof r->parameters[i].name, clo_span_of(text, (size_t)(equals - text))));
    CLO_TRY(clo_str_set(r->parameters[i].value, sizeof r->parameters[i].value, clo_span_str(equals + 1)));
    r->parameter_count++;
    return CLO_OK;
}

clo_err clo_client_run_request(clo_client_session *server, const clo_client_run_options *o, clo_collab_run_request *out,
                               clo_buf *request)
{
    const clo_collab_agreement *g = o->agreement;
    const clo_collab_run_terms *terms = clo_collab_agreement_run(g, o->run);
    if (terms == NULL) {
        char names[200] = "";
        for (size_t i = 0, n = 0; i < g->run_count && n < sizeof names - 70; i++)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ", " : "", g->runs[i].name);
        return CLO_FAILF(CLO_E_NOT_FOUND, "the agreement has no run \"%.60s\"; it has: %s", o->run, names);
    }
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_collab_run_request), &memory));
    clo_collab_run_request *r = memory;
    memcpy(r->agreement, g->id, sizeof r->agreement);
    r->epoch = g->epoch;
    CLO_TRY(clo_str_set(r->run, sizeof r->run, clo_span_str(terms->name)));
    CLO_TRY(clo_crypto_random(r->run_id, sizeof r->run_id));
    CLO_TRY(clo_str_set(r->starter, sizeof r->starter, clo_span_str(o->who->public_half.name)));
    r->created = o->now;
    r->rho = terms->rho;
    for (size_t i = 0; i < terms->dataset_count; i++) {
        const clo_collab_dataset_terms *d = clo_collab_agreement_dataset(g, terms->datasets[i]);
        CLO_CHECK(d != NULL, CLO_E_MALFORMED);
        memcpy(r->datasets[i].id, d->id, sizeof d->id);
        CLO_TRY(find_version(server, &a, d, r->datasets[i].version));
        r->dataset_count++;
    }
    for (size_t i = 0; i < o->parameter_count; i++) CLO_TRY(take_parameter(o->parameters[i], r));
    CLO_TRY(clo_collab_run_request_sign(r, o->who, request));
    *out = *r;
    return CLO_OK;
}

/* ---- watching ---- */

bool clo_client_run_over(const char *state)
{
    return state != NULL && (strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0);
}

typedef struct {
    clo_buf line, data; /* of the event that is coming in */
    clo_client_run_seen seen;
    void *context;
    bool over, ours;
    clo_err err; /* of `seen` */
} stream;

static clo_err end_event(stream *s)
{
    if (s->data.len == 0) return CLO_OK;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    clo_wire_node *run = NULL;
    clo_err e = clo_wire_json_decode(&a, clo_buf_span(&s->data), &run);
    clo_buf_clear(&s->data);
    CLO_TRY(e);
    if (s->seen != NULL) {
        s->err = s->seen(s->context, run);
        CLO_TRY(s->err);
    }
    s->over = clo_client_run_over(clo_client_text(run, "state"));
    /* There is nothing more to come: end the transfer. */
    return s->over ? CLO_FAIL(CLO_E_CANCELLED) : CLO_OK;
}

static clo_err end_line(stream *s)
{
    const char *text = NULL;
    if (s->line.len > 0 && s->line.p[s->line.len - 1] == '\r') s->line.len--;
    if (s->line.len == 0) return end_event(s);
    CLO_TRY(clo_buf_cstr(&s->line, &text));
    clo_err e = CLO_OK;
    if (strncmp(text, "data:", 5) == 0) e = clo_buf_put_str(&s->data, text[5] == ' ' ? text + 6 : text + 5);
    clo_buf_clear(&s->line);
    return e;
}

static clo_err take_events(void *context, clo_span piece)
{
    stream *s = context;
    for (size_t i = 0; i < piece.n; i++) {
        if (piece.p[i] == '\n')
            CLO_TRY(end_line(s));
        else
            CLO_TRY(clo_buf_put_u8(&s->line, piece.p[i]));
    }
    return CLO_OK;
}

static clo_err ask(clo_client_session *server, clo_arena *a, const char *id, clo_wire_node **out)
{
    char path[100];
    (void)snprintf(path, sizeof path, "/api/v1/runs/%.40s", id);
    return clo_client_session_json(server, a, "GET", path, NULL, clo_span_of(NULL, 0), out);
}

clo_err clo_client_run_watch(clo_client_session *server, clo_arena *a, const char *id, clo_client_run_seen seen, void *context,
                             clo_wire_node **out)
{
    char path[100];
    stream s;
    memset(&s, 0, sizeof s);
    s.seen = seen;
    s.context = context;
    clo_buf_init(&s.line, EVENT_MAX);
    clo_buf_init(&s.data, EVENT_MAX);
    (void)snprintf(path, sizeof path, "/api/v1/runs/%.40s/events", id);
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("GET", path);
    r.accept = "text/event-stream";
    r.timeout_ms = STREAM_QUIET_MS;
    r.sink = take_events;
    r.context = &s;
    clo_err e = clo_client_session_do(server, &r, NULL, NULL);
    clo_buf_free(&s.line);
    clo_buf_free(&s.data);
    CLO_TRY(s.err);
    if (clo_failed(e) && clo_err_class(e) == CLO_CLASS_DENIED && !s.over) return e;
    clo_wire_node *run = NULL;
    for (unsigned failures = 0;;) {
        e = ask(server, a, id, &run);
        if (clo_failed(e) && (clo_err_class(e) == CLO_CLASS_DENIED || ++failures == 20)) return e;
        if (!clo_failed(e)) {
            failures = 0;
            if (seen != NULL) CLO_TRY(seen(context, run));
            if (clo_client_run_over(clo_client_text(run, "state"))) break;
        }
        clo_os_sleep_ms(POLL_MS);
    }
    *out = run;
    return CLO_OK;
}

clo_err clo_client_run_verdict(const clo_wire_node *run)
{
    const char *state = clo_client_text(run, "state"), *name = clo_client_text(run, "error"),
               *text = clo_client_text(run, "text");
    if (state != NULL && strcmp(state, "done") == 0) return CLO_OK;
    if (state != NULL && strcmp(state, "cancelled") == 0) return CLO_FAILF(CLO_E_CANCELLED, "the run was cancelled");
    uint32_t code = name == NULL ? 0 : clo_err_code_named(name);
    const clo_wire_node *denial = clo_wire_get(run, "denial");
    if (denial != NULL && denial->type == CLO_WIRE_MAP) {
        clo_denial d;
        clo_client_denial_read(denial, &d);
        return clo_deny_again(code != 0 ? code : (uint32_t)CLO_E_DENIED, &d);
    }
    return CLO_FAILF(code != 0 ? code : (uint32_t)CLO_E_CLOSED, "the run failed: %.300s",
                     text != NULL && text[0] != 0 ? text : "the operator gives no reason");
}
