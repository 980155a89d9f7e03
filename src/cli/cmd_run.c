/* cloister run …: asking for a computation and following it. */
#include "cli/cli_int.h"

#include "os/file.h"

static const char *text_or(const clo_wire_node *n, const char *key, const char *otherwise)
{
    const char *text = clo_client_text(n, key);
    return text == NULL || text[0] == 0 ? otherwise : text;
}

static clo_err say_run(clo_cli *c, const clo_wire_node *run)
{
    const clo_wire_node *simulated = clo_wire_get(run, "simulated"), *denial = clo_wire_get(run, "denial");
    bool sim = simulated != NULL && simulated->type == CLO_WIRE_BOOL && simulated->boolean;
    clo_cli_say(c, "run       %s (%s)\nstate     %s\nagreement %s\nstarter   %s\ncreated   %s\n", text_or(run, "id", "?"),
                text_or(run, "run", "?"), text_or(run, "state", "?"), text_or(run, "agreement", "?"),
                text_or(run, "starter", "?"), text_or(run, "created", "?"));
    if (text_or(run, "tee", "")[0] != 0)
        clo_cli_say(c, "tee       %s%s\n", text_or(run, "tee", "?"), sim ? " (simulated: no protection from the operator)" : "");
    if (text_or(run, "text", "")[0] != 0) clo_cli_say(c, "          %s\n", text_or(run, "text", ""));
    if (denial != NULL && denial->type == CLO_WIRE_MAP) {
        if (text_or(denial, "owner", "")[0] != 0)
            clo_cli_say(c, "refused by the key service of %s\n", text_or(denial, "owner", ""));
        clo_cli_say_denial(c, text_or(denial, "claim", ""), text_or(denial, "expected", ""), text_or(denial, "actual", ""),
                           text_or(denial, "source", ""), text_or(denial, "remedy", ""));
    }
    return CLO_OK;
}

typedef struct {
    clo_cli *c;
    char phase[64];
} watching;

static clo_err seen(void *context, const clo_wire_node *run)
{
    watching *w = context;
    clo_cli *c = w->c;
    const char *state = text_or(run, "state", "");
    const clo_wire_node *done = clo_wire_get(run, "done"), *total = clo_wire_get(run, "total");
    if (strcmp(state, w->phase) != 0) {
        clo_os_progress_end(&c->progress);
        (void)snprintf(w->phase, sizeof w->phase, "%s", state);
        clo_cli_note(c, "  %s\n", state);
        if (!c->json) (void)fflush(stdout);
        uint64_t all = total != NULL && total->type == CLO_WIRE_INT && total->integer > 0 ? (uint64_t)total->integer : 0;
        if (all > 0) clo_os_progress_start(&c->progress, state, all, false, c->quiet || c->json);
    }
    if (done != NULL && done->type == CLO_WIRE_INT && done->integer >= 0)
        clo_os_progress_set(&c->progress, (uint64_t)done->integer);
    return CLO_OK;
}

static clo_err follow(clo_cli *c, clo_client_session *server, const char *id)
{
    clo_wire_node *run = NULL;
    watching w = {.c = c};
    CLO_TRY(clo_client_run_watch(server, &c->arena, id, seen, &w, &run));
    clo_os_progress_end(&c->progress);
    clo_err e = clo_client_run_verdict(run);
    if (clo_failed(e)) {
        (void)snprintf(c->explain, sizeof c->explain, "%s", id);
        clo_cli_say(c, "run       %s failed\n", id);
        if (c->json) {
            /* The run is the document; the sentence goes to standard error. */
            char text[400];
            (void)snprintf(text, sizeof text, "%s", clo_err_text());
            clo_denial d = {0};
            bool denied = clo_err_denial() != NULL;
            if (denied) d = *clo_err_denial();
            CLO_TRY(clo_cli_emit(c, run));
            return denied ? clo_deny_again(e.code, &d) : clo_err_again(e.code, text);
        }
        return e;
    }
    CLO_TRY(say_run(c, run));
    return clo_cli_emit(c, run);
}

static clo_err make_request(clo_cli *c, clo_client_session *server, clo_buf *request)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_span file;
    const clo_collab_identity *who = NULL;
    const char *parameters[CLO_RUN_PARAMETERS_MAX + 1];
    size_t count = 0;
    CLO_TRY(clo_cli_identity(c, &who));
    CLO_TRY(clo_cli_agreement(c, c->args[0], &g, &mask, &file));
    CLO_TRY(clo_cli_agreement_keep(c, g, file));
    for (const char *p = NULL; count <= CLO_RUN_PARAMETERS_MAX && (p = clo_cli_value_at(c, "--param", count)) != NULL; count++)
        parameters[count] = p;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_collab_run_request), &memory));
    clo_client_run_options o = {
        .agreement = g, .run = c->args[1], .who = who, .parameters = parameters, .parameter_count = count, .now = clo_cli_now()};
    return clo_client_run_request(server, &o, memory, request);
}

clo_err clo_cli_run_start(clo_cli *c)
{
    clo_client_session *server = NULL;
    clo_wire_node *run = NULL;
    const char *again = clo_cli_value(c, "--request"), *keep = clo_cli_value(c, "--request-out");
    CLO_AUTO(clo_buf_free) clo_buf request;
    clo_buf_init(&request, 1 << 20);
    CLO_TRY(clo_cli_server(c, &server));
    if (again != NULL) {
        clo_span bytes;
        CLO_TRY(clo_cli_read(c, again, &bytes));
        CLO_TRY(clo_buf_put_span(&request, bytes));
    } else
        CLO_TRY(make_request(c, server, &request));
    if (keep != NULL) CLO_TRY(clo_os_file_write_atomic(keep, clo_buf_span(&request), 0644));
    CLO_TRY(clo_client_session_json(server, &c->arena, "POST", "/api/v1/runs", "application/cose", clo_buf_span(&request), &run));
    const char *id = clo_client_text(run, "id");
    CLO_CHECKF(id != NULL && clo_cli_is_run_id(id), CLO_E_MALFORMED, "the operator's answer names no run");
    if (!clo_cli_flag(c, "--watch")) {
        if (c->quiet) clo_cli_say(c, "%s\n", id);
        else CLO_TRY(say_run(c, run));
        clo_cli_note(c, "Follow it with: cloister run watch %s\n", id);
        return clo_cli_emit(c, run);
    }
    clo_cli_note(c, "run %s\n", id);
    return follow(c, server, id);
}

clo_err clo_cli_run_watch(clo_cli *c)
{
    clo_client_session *server = NULL;
    CLO_CHECKF(clo_cli_is_run_id(c->args[0]), CLO_E_USAGE, "\"%.40s\" is no run; its id has 32 hex digits", c->args[0]);
    CLO_TRY(clo_cli_server(c, &server));
    return follow(c, server, c->args[0]);
}

clo_err clo_cli_run_show(clo_cli *c)
{
    clo_client_session *server = NULL;
    clo_wire_node *run = NULL;
    char path[100];
    CLO_CHECKF(clo_cli_is_run_id(c->args[0]), CLO_E_USAGE, "\"%.40s\" is no run; its id has 32 hex digits", c->args[0]);
    CLO_TRY(clo_cli_server(c, &server));
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", c->args[0]);
    CLO_TRY(clo_cli_get(c, server, path, &run));
    CLO_TRY(say_run(c, run));
    return clo_cli_emit(c, run);
}

clo_err clo_cli_run_cancel(clo_cli *c)
{
    clo_client_session *server = NULL;
    clo_wire_node *run = NULL;
    char path[100];
    CLO_CHECKF(clo_cli_is_run_id(c->args[0]), CLO_E_USAGE, "\"%.40s\" is no run; its id has 32 hex digits", c->args[0]);
    CLO_TRY(clo_cli_server(c, &server));
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s/cancel", c->args[0]);
    CLO_TRY(clo_client_session_json(server, &c->arena, "POST", path, NULL, clo_span_of(NULL, 0), &run));
    CLO_TRY(say_run(c, run));
    return clo_cli_emit(c, run);
}

clo_err clo_cli_run_list(clo_cli *c)
{
    static const clo_cli_column columns[] = {
        {"id", "ID", 0}, {"run", "RUN", 0}, {"state", "STATE", 0}, {"starter", "STARTER", 0}, {"created", "CREATED", 0}};
    clo_client_session *server = NULL;
    clo_wire_node *answer = NULL;
    char path[160];
    const char *agreement = clo_cli_value(c, "--agreement");
    CLO_CHECKF(agreement == NULL || (strlen(agreement) == 64 && strspn(agreement, "0123456789abcdef") == 64), CLO_E_USAGE,
               "--agreement takes the 64 hex digits of its id");
    CLO_TRY(clo_cli_server(c, &server));
    (void)snprintf(path, sizeof path, "/api/v1/runs%s%s", agreement != NULL ? "?agreement=" : "",
                   agreement != NULL ? agreement : "");
    CLO_TRY(clo_client_session_list(server, &c->arena, path, "runs", &answer));
    clo_cli_table(c, clo_wire_get(answer, "runs"), columns, sizeof columns / sizeof columns[0], "No runs.");
    return clo_cli_emit(c, answer);
}
