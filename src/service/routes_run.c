#include "service/routes_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/run.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

static clo_err answer(clo_gateway_request *request, clo_gateway_response *response, const clo_store_run *r)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_service_run_tree(request->arena, r, &tree));
    return clo_gateway_response_tree(response, tree);
}

static clo_err check_inputs(clo_service *s, clo_arena *a, const clo_collab_run_request *r)
{
    for (size_t i = 0; i < r->dataset_count; i++) {
        clo_store_dataset d;
        CLO_TRY(clo_store_dataset_get(s->store, a, r->datasets[i].version, &d));
        CLO_CHECKF(d.complete && memcmp(d.id, r->datasets[i].id, 32) == 0, CLO_E_NOT_FOUND,
                   "dataset %s is not uploaded completely; its owner runs: cloister dataset push %s", d.name, d.name);
    }
    return CLO_OK;
}

/* The key services decide; the operator only saves a run that they would refuse from being started. */
static clo_err require_active(const clo_service *s, const clo_store_agreement *record)
{
    bool ended = record->not_after < clo_os_clock_wall(s->clock);
    if (!ended && strcmp(record->state, "active") == 0) return CLO_OK;
    return CLO_DENY(CLO_E_DENIED, "agreement.state", "active", ended ? "expired" : record->state, "operator",
                    "see what it waits for with: cloister agreement status");
}

CLO_HANDLER(clo_service_post_run)
{
    clo_service *s = context;
    clo_arena *a = request->arena;
    clo_store_agreement record;
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    void *memory = NULL;
    const clo_collab_run_terms *terms = NULL;
    CLO_TRY(clo_service_require_records(s));
    CLO_TRY(clo_service_platform_require(s));
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_collab_run_request), &memory));
    clo_collab_run_request *r = memory;
    CLO_TRY(clo_collab_run_request_peek(a, request->body, r)); /* which agreement; it is believed only after the agreement verified it */
    CLO_TRY(clo_service_agreement_for(s, request, r->agreement, &record));
    CLO_TRY(clo_service_agreement_parse(a, &record, &g, &mask));
    CLO_TRY(clo_collab_run_request_open(a, request->body, g, r, &terms));
    CLO_TRY(check_inputs(s, a, r));
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_store_run), &memory));
    clo_store_run *run = memory;
    if (clo_failed(clo_store_run_get(s->store, a, r->run_id, run))) CLO_TRY(require_active(s, &record));
    memset(run, 0, sizeof *run);
    run->created = run->changed = clo_os_clock_wall(s->clock);
    run->log_index = -1;
    run->request = request->body;
    memcpy(run->id, r->run_id, sizeof run->id);
    memcpy(run->agreement, g->id, sizeof run->agreement);
    memcpy(run->run, r->run, sizeof run->run);
    memcpy(run->starter, r->starter, sizeof run->starter);
    const clo_collab_member *caller = NULL;
    CLO_TRY(clo_service_member_of(g, request, &caller));
    if (strcmp(caller->party.name, r->starter) != 0)
        return CLO_DENY(CLO_E_DENIED, "run.starter", r->starter, caller->party.name, "run request", "have its starter submit it");
    memcpy(run->starter_kid, request->principal.key, 32);
    CLO_TRY(clo_str_set(run->state, sizeof run->state, clo_span_str("queued")));
    clo_err e = clo_store_run_put(s->store, run);
    if (clo_failed(e) && e.code == CLO_E_EXISTS)
        CLO_TRY(clo_store_run_get(s->store, a, r->run_id, run));
    else
        CLO_TRY(e);
    clo_service_scheduler_wake(s);
    clo_gateway_response_status(response, 202);
    return answer(request, response, run);
}

static clo_err list_runs(clo_service *s, clo_gateway_request *request, clo_gateway_response *response, const char *name, bool only_done)
{
    int64_t before = 0, next = 0;
    size_t max = 0, count = 0;
    const char *wanted = NULL;
    uint8_t agreement[32];
    clo_store_run *list = NULL;
    clo_wire_node *array = NULL;
    CLO_TRY(clo_service_page(request, &before, &max));
    CLO_TRY(clo_gateway_request_query(request, "agreement", &wanted));
    if (wanted != NULL) CLO_TRY(clo_hex_decode(agreement, sizeof agreement, clo_span_str(wanted)));
    CLO_TRY(clo_store_run_list(s->store, request->arena, request->principal.key, wanted != NULL ? agreement : NULL, before, max, &list, &count, &next));
    CLO_TRY(clo_wire_array(request->arena, &array));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *tree = NULL;
        if (only_done && strcmp(list[i].state, "done") != 0) continue;
        CLO_TRY(clo_service_run_tree(request->arena, &list[i], &tree));
        CLO_TRY(clo_wire_append(array, tree));
    }
    return clo_service_answer_list(request, response, name, array, next);
}

CLO_HANDLER(clo_service_get_runs) { return list_runs(context, request, response, "runs", false); }
CLO_HANDLER(clo_service_get_receipts) { return list_runs(context, request, response, "receipts", true); }

CLO_HANDLER(clo_service_get_run)
{
    clo_store_run *run = NULL;
    CLO_TRY(clo_service_run_for(context, request, &run));
    return answer(request, response, run);
}

CLO_HANDLER(clo_service_get_run_events)
{
    clo_service *s = context;
    clo_store_run *run = NULL;
    char topic[33];
    CLO_TRY(clo_service_run_for(s, request, &run));
    /* A run that is over tells no more: say how it ended. Before that the stream begins with the newest event. */
    if (strcmp(run->state, "done") == 0 || strcmp(run->state, "failed") == 0 || strcmp(run->state, "cancelled") == 0) clo_service_run_publish(s, run, false);
    clo_hex_encode(topic, clo_span_of(run->id, 16));
    return clo_gateway_response_events(response, s->hub, topic);
}

/* The run's parties and terms, for who may do what. */
static clo_err terms_of(clo_service *s, const clo_gateway_request *request, const clo_store_run *run, clo_collab_agreement **g,
                        const clo_collab_run_terms **terms)
{
    clo_store_agreement record;
    uint32_t mask = 0;
    CLO_TRY(clo_store_agreement_get(s->store, request->arena, run->agreement, &record));
    CLO_TRY(clo_service_agreement_parse(request->arena, &record, g, &mask));
    *terms = clo_collab_agreement_run(*g, run->run);
    CLO_CHECK(*terms != NULL, CLO_E_NOT_FOUND);
    return CLO_OK;
}

CLO_HANDLER(clo_service_post_cancel)
{
    clo_service *s = context;
    clo_store_run *run = NULL;
    clo_collab_agreement *g = NULL;
    const clo_collab_run_terms *terms = NULL;
    size_t owners[CLO_PARTIES_MAX];
    CLO_TRY(clo_service_run_for(s, request, &run));
    CLO_TRY(terms_of(s, request, run, &g, &terms));
    const clo_collab_member *caller = NULL;
    CLO_TRY(clo_service_member_of(g, request, &caller));
    bool allowed = strcmp(caller->party.name, run->starter) == 0, queued = false;
    size_t count = clo_collab_run_owners(g, terms, owners);
    for (size_t i = 0; i < count; i++) allowed = allowed || &g->members[owners[i]] == caller;
    if (!allowed)
        return CLO_DENY(CLO_E_DENIED, "run.cancel", "the starter or an owner of its data", request->principal.name, "agreement", "ask one of them");
    CLO_TRY(clo_store_run_cancel_queued(s->store, run->id, clo_os_clock_wall(s->clock), &queued));
    bool told = !queued && clo_service_scheduler_cancel(s, run->id);
    CLO_TRY(clo_store_run_get(s->store, request->arena, run->id, run));
    if (queued) clo_service_run_publish(s, run, true);
    CLO_CHECKF(queued || told || strcmp(run->state, "cancelled") == 0, CLO_E_CONFLICT, "the run can no longer be cancelled: it is %s", run->state);
    return answer(request, response, run);
}

static clo_err is_recipient(const clo_collab_agreement *g, const clo_collab_run_terms *terms, const clo_gateway_request *request, bool *is)
{
    const clo_collab_member *caller = NULL;
    *is = false;
    CLO_TRY(clo_service_member_of(g, request, &caller));
    for (size_t i = 0; i < terms->recipient_count; i++) *is = *is || strcmp(terms->recipients[i], caller->party.name) == 0;
    return CLO_OK;
}

/* Outputs and shares are sealed to their recipients; still, only they are served. */
static clo_err output_for(clo_service *s, const clo_gateway_request *request, clo_store_run **run)
{
    clo_collab_agreement *g = NULL;
    const clo_collab_run_terms *terms = NULL;
    CLO_TRY(clo_service_run_for(s, request, run));
    CLO_TRY(terms_of(s, request, *run, &g, &terms));
    bool recipient = false;
    CLO_TRY(is_recipient(g, terms, request, &recipient));
    if (!recipient)
        return CLO_DENY(CLO_E_DENIED, "output.recipients", "a recipient that the agreement names", request->principal.name, "agreement",
                        "ask a recipient, or amend the agreement");
    CLO_CHECKF((*run)->commits.n > 0, CLO_E_NOT_FOUND, "the run has no output: it is %s; see: cloister run show ID", (*run)->state);
    return CLO_OK;
}

CLO_HANDLER(clo_service_get_outputs)
{
    clo_service *s = context;
    int64_t before = 0, next = 0;
    size_t max = 0, count = 0;
    clo_store_run *list = NULL;
    clo_wire_node *array = NULL;
    CLO_TRY(clo_service_page(request, &before, &max));
    CLO_TRY(clo_store_run_list(s->store, request->arena, request->principal.key, NULL, before, max, &list, &count, &next));
    CLO_TRY(clo_wire_array(request->arena, &array));
    for (size_t i = 0; i < count; i++) {
        clo_collab_agreement *g = NULL;
        const clo_collab_run_terms *terms = NULL;
        clo_wire_node *tree = NULL;
        bool recipient = false;
        if (!list[i].released) continue;
        CLO_TRY(terms_of(s, request, &list[i], &g, &terms));
        CLO_TRY(is_recipient(g, terms, request, &recipient));
        if (!recipient) continue;
        CLO_TRY(clo_service_run_tree(request->arena, &list[i], &tree));
        CLO_TRY(clo_wire_append(array, tree));
    }
    return clo_service_answer_list(request, response, "outputs", array, next);
}

CLO_HANDLER(clo_service_get_output)
{
    clo_service *s = context;
    clo_store_run *run = NULL;
    char path[640];
    uint64_t size = 0;
    int fd = -1;
    CLO_TRY(output_for(s, request, &run));
    CLO_TRY(clo_store_blob_path(s->store, "output", clo_span_of(run->id, 16), path));
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    clo_err e = clo_os_file_size_fd(fd, &size);
    if (clo_failed(e)) {
        clo_os_fd_close(&fd);
        return e;
    }
    return clo_gateway_response_file(response, "application/octet-stream", fd, 0, size);
}

CLO_HANDLER(clo_service_get_shares)
{
    clo_store_run *run = NULL;
    CLO_TRY(output_for(context, request, &run));
    return clo_gateway_response_bytes(response, "application/cbor", run->commits);
}

CLO_HANDLER(clo_service_get_receipt)
{
    clo_store_run *run = NULL;
    CLO_TRY(clo_service_run_for(context, request, &run));
    CLO_CHECKF(run->receipt.n > 0, CLO_E_NOT_FOUND, "the run has no receipt: it is %s", run->state);
    return clo_gateway_response_bytes(response, "application/octet-stream", run->receipt);
}

/* Why a run ended as it did, for those who may see it. */
static clo_err run_reason(clo_service *s, const clo_gateway_request *request, clo_store_reason *out)
{
    clo_store_run *run = NULL;
    CLO_TRY(clo_service_run_for(s, request, &run));
    clo_hex_encode(out->id, clo_span_of(run->id, sizeof run->id));
    (void)snprintf(out->what, sizeof out->what, "run %.50s", run->run);
    (void)snprintf(out->code, sizeof out->code, "%s", run->code[0] != 0 ? run->code : run->state);
    (void)snprintf(out->text, sizeof out->text, "%s", run->text);
    out->time = run->changed;
    out->have_denial = run->have_denial;
    out->denial = run->denial;
    return CLO_OK;
}

CLO_HANDLER(clo_service_get_events)
{
    const clo_service *s = context;
    char topic[65];
    clo_hex_encode(topic, clo_span_of(request->principal.key, 32));
    return clo_gateway_response_events(response, s->hub, topic);
}

CLO_HANDLER(clo_service_get_explain)
{
    clo_service *s = context;
    clo_store_reason r = {0};
    clo_wire_node *map = NULL;
    clo_err e = run_reason(s, request, &r);
    if (clo_failed(e) && e.code == CLO_E_NOT_FOUND) e = clo_store_reason_get(s->store, clo_gateway_request_param(request, "id"), request->principal.key, &r);
    CLO_TRY(e);
    CLO_TRY(clo_wire_map(request->arena, &map));
    CLO_TRY(clo_wire_set_text(request->arena, map, "id", r.id));
    CLO_TRY(clo_wire_set_text(request->arena, map, "what", r.what));
    CLO_TRY(clo_wire_set_time(request->arena, map, "time", r.time));
    CLO_TRY(clo_wire_set_text(request->arena, map, "code", r.code));
    CLO_TRY(clo_wire_set_text(request->arena, map, "detail", r.text));
    CLO_TRY(clo_wire_set_denial(request->arena, map, &r.denial));
    return clo_gateway_response_tree(response, map);
}
