#include "service/routes_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/leaf.h"
#include "os/log.h"

#include <string.h>

/* Submissions of one daemon are settled one after another: two last signatures that arrive together must not both log. */
static pthread_mutex_t settling = PTHREAD_MUTEX_INITIALIZER;

static clo_err state_named(const char *name, clo_collab_agreement_state *out)
{
    for (int i = 0; i < CLO_AGREEMENT_STATES; i++) {
        *out = (clo_collab_agreement_state)i;
        if (strcmp(clo_collab_agreement_state_name(*out), name) == 0) return CLO_OK;
    }
    return CLO_FAILF(CLO_E_DATABASE, "the operator's database holds an unknown state");
}

static clo_err names(clo_arena *a, const clo_collab_agreement *g, uint32_t mask, bool wanted, clo_wire_node **out)
{
    CLO_TRY(clo_wire_array(a, out));
    for (size_t i = 0; i < g->member_count; i++) {
        clo_wire_node *item = NULL;
        if (((mask >> i & 1) != 0) != wanted) continue;
        CLO_TRY(clo_wire_text(a, clo_span_str(g->members[i].party.name), &item));
        CLO_TRY(clo_wire_append(*out, item));
    }
    return CLO_OK;
}

static clo_err view(clo_service *s, clo_arena *a, const clo_store_agreement *r, clo_wire_node **out)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_wire_node *child = NULL;
    CLO_TRY(clo_service_agreement_parse(a, r, &g, &mask));
    bool live = strcmp(r->state, "active") == 0 || strcmp(r->state, "suspended") == 0;
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_service_set_hex(a, *out, "id", r->id, 32));
    CLO_TRY(clo_wire_set_text(a, *out, "title", r->title));
    CLO_TRY(clo_wire_set_int(a, *out, "epoch", r->epoch));
    CLO_TRY(clo_wire_set_text(a, *out, "state", live && r->not_after < clo_os_clock_wall(s->clock) ? "expired" : r->state));
    CLO_TRY(names(a, g, mask, true, &child));
    CLO_TRY(clo_wire_set(a, *out, "signed", child));
    CLO_TRY(names(a, g, mask, false, &child));
    CLO_TRY(clo_wire_set(a, *out, "missing", child));
    CLO_TRY(names(a, g, r->resumes_missing, true, &child));
    CLO_TRY(clo_wire_set(a, *out, "must_resume", child));
    CLO_TRY(clo_wire_set_time(a, *out, "not_after", r->not_after));
    CLO_TRY(clo_service_set_hex(a, *out, "lineage", r->lineage, 32));
    if (r->log_index < 0)
        CLO_TRY(clo_wire_null(a, &child));
    else
        CLO_TRY(clo_wire_int(a, r->log_index, &child));
    return clo_wire_set(a, *out, "log_index", child);
}

static clo_err answer(clo_service *s, clo_gateway_request *request, clo_gateway_response *response, const clo_store_agreement *r)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(view(s, request->arena, r, &tree));
    return clo_gateway_response_tree(response, tree);
}

static clo_err save(clo_service *s, clo_arena *a, const clo_store_agreement *r, const clo_collab_agreement *g)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_array(a, CLO_PARTIES_MAX, 32, &memory));
    uint8_t(*kids)[32] = memory;
    for (size_t i = 0; i < g->member_count; i++) CLO_TRY(clo_collab_party_kid(&g->members[i].party, kids[i]));
    for (size_t i = 0; i < g->dataset_count; i++) CLO_TRY(clo_store_scope_put(s->store, g->datasets[i].id, r->id));
    return clo_store_agreement_put(s->store, r, (const uint8_t(*)[32])kids, g->member_count);
}

/* Everybody signed: into the log. Each step is saved, so that a crash or an absent witness only delays. */
static clo_err enter_log(clo_service *s, clo_arena *a, clo_store_agreement *r, const clo_collab_agreement *g)
{
    uint64_t index = 0;
    if (r->log_index >= 0) return CLO_OK;
    CLO_TRY(clo_service_log_append(s, CLO_LEAF_AGREEMENT, r->file, &index));
    r->log_index = (int64_t)index;
    return save(s, a, r, g);
}

/* With the witnessed proof it is active. */
static clo_err activate(clo_service *s, clo_arena *a, clo_store_agreement *r, clo_span proof)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_collab_agreement_state state;
    CLO_TRY(clo_store_agreement_get(s->store, a, r->id, r)); /* an order may have come meanwhile */
    if (r->proof.n > 0) return CLO_OK;
    CLO_TRY(clo_service_agreement_parse(a, r, &g, &mask));
    CLO_TRY(state_named(r->state, &state));
    if (state == CLO_AGREEMENT_PROPOSED) CLO_TRY(clo_collab_agreement_step(&state, CLO_ORDER_ALL_SIGNED));
    CLO_TRY(clo_str_set(r->state, sizeof r->state, clo_span_str(clo_collab_agreement_state_name(state))));
    CLO_TRY(clo_arena_copy(a, proof, &r->proof));
    return save(s, a, r, g);
}

/* The witness is waited for without the lock: others go on meanwhile. */
static clo_err await_witness(clo_service *s, clo_arena *a, clo_store_agreement *r, unsigned wait_ms)
{
    if (r->log_index < 0 || r->proof.n > 0) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf proof;
    clo_buf_init(&proof, CLO_NOTE_MAX + 65536);
    CLO_TRY(clo_audit_log_proof(s->log, (uint64_t)r->log_index, wait_ms, &proof));
    (void)pthread_mutex_lock(&settling);
    clo_err e = activate(s, a, r, clo_buf_span(&proof));
    (void)pthread_mutex_unlock(&settling);
    return e;
}

static clo_err require_member(const clo_collab_agreement *g, const clo_gateway_request *request)
{
    const clo_collab_member *caller = NULL;
    if (!clo_failed(clo_service_member_of(g, request, &caller))) return CLO_OK;
    return CLO_DENY(CLO_E_DENIED, "agreement.parties", "the submitting party is one of them", request->principal.name, "agreement",
                    "have a member submit it");
}

static clo_err submit(clo_service *s, clo_gateway_request *request, clo_store_agreement *r)
{
    clo_arena *a = request->arena;
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    CLO_TRY(clo_collab_agreement_new(a, &g));
    CLO_TRY(clo_collab_agreement_file_open(a, request->body, g, &mask));
    CLO_TRY(require_member(g, request));
    clo_err e = clo_store_agreement_get(s->store, a, g->id, r);
    clo_span file = request->body;
    CLO_AUTO(clo_buf_free) clo_buf merged;
    clo_buf_init(&merged, 4 << 20);
    if (clo_failed(e) && e.code != CLO_E_NOT_FOUND) return e;
    if (clo_failed(e)) {
        memset(r, 0, sizeof *r);
        memcpy(r->id, g->id, 32);
        memcpy(r->lineage, g->lineage, 32);
        r->epoch = g->epoch;
        r->not_after = g->not_after;
        r->created = clo_os_clock_wall(s->clock);
        r->log_index = -1;
        CLO_TRY(clo_str_set(r->title, sizeof r->title, clo_span_str(g->title)));
        CLO_TRY(clo_str_set(r->state, sizeof r->state, clo_span_str(clo_collab_agreement_state_name(CLO_AGREEMENT_PROPOSED))));
    } else if (r->log_index >= 0)
        return CLO_OK; /* complete and registered: its bytes stay as they were logged */
    else {
        CLO_TRY(clo_collab_agreement_file_merge(r->file, request->body, &merged));
        CLO_TRY(clo_arena_copy(a, clo_buf_span(&merged), &file));
        CLO_TRY(clo_collab_agreement_file_open(a, file, g, &mask));
    }
    r->file = file;
    r->signed_mask = mask;
    CLO_TRY(save(s, a, r, g));
    if (clo_failed(clo_collab_agreement_require_signed(g, mask))) return CLO_OK;
    return enter_log(s, a, r, g);
}

CLO_HANDLER(clo_service_post_agreement)
{
    clo_service *s = context;
    clo_store_agreement r;
    CLO_TRY(clo_service_require_records(s));
    (void)pthread_mutex_lock(&settling);
    clo_err e = submit(s, request, &r);
    (void)pthread_mutex_unlock(&settling);
    CLO_TRY(e);
    CLO_TRY(await_witness(s, request->arena, &r, SERVICE_PROOF_MS));
    return answer(s, request, response, &r);
}

CLO_HANDLER(clo_service_get_agreements)
{
    clo_service *s = context;
    int64_t before = 0, next = 0;
    size_t max = 0, count = 0;
    clo_store_agreement *list = NULL;
    clo_wire_node *array = NULL;
    CLO_TRY(clo_service_page(request, &before, &max));
    CLO_TRY(clo_store_agreement_list(s->store, request->arena, request->principal.key, before, max, &list, &count, &next));
    CLO_TRY(clo_wire_array(request->arena, &array));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *tree = NULL;
        CLO_AUTO(clo_arena_free) clo_arena scratch;
        clo_arena_init(&scratch, 8 << 20);
        clo_store_agreement whole;
        CLO_TRY(clo_store_agreement_get(s->store, &scratch, list[i].id, &whole));
        CLO_TRY(view(s, request->arena, &whole, &tree));
        CLO_TRY(clo_wire_append(array, tree));
    }
    return clo_service_answer_list(request, response, "agreements", array, next);
}

static clo_err load(clo_service *s, const clo_gateway_request *request, clo_store_agreement *r)
{
    uint8_t id[32];
    CLO_TRY(clo_service_param_id(request, "id", id, sizeof id));
    return clo_service_agreement_for(s, request, id, r);
}

CLO_HANDLER(clo_service_get_agreement)
{
    clo_store_agreement r;
    CLO_TRY(load(context, request, &r));
    (void)await_witness(context, request->arena, &r, 0).code; /* a witness that was away may be back; else it stays proposed */
    return answer(context, request, response, &r);
}

CLO_HANDLER(clo_service_get_agreement_file)
{
    clo_store_agreement r;
    CLO_TRY(load(context, request, &r));
    return clo_gateway_response_bytes(response, "application/octet-stream", r.file);
}

CLO_HANDLER(clo_service_get_agreement_proof)
{
    clo_store_agreement r;
    CLO_TRY(load(context, request, &r));
    (void)await_witness(context, request->arena, &r, 0).code;
    CLO_CHECKF(r.proof.n > 0, CLO_E_NOT_FOUND, "this agreement is not in the log yet; `cloister agreement status` says whose signature is missing");
    return clo_gateway_response_bytes(response, "text/plain", r.proof);
}

static clo_err apply_order(clo_store_agreement *r, const clo_collab_agreement *g, const clo_collab_order *order)
{
    clo_collab_agreement_state state;
    CLO_TRY(state_named(r->state, &state));
    uint32_t all = g->member_count >= 32 ? UINT32_MAX : ((uint32_t)1 << g->member_count) - 1;
    if (strcmp(order->verb, "stop") == 0) {
        CLO_TRY(clo_collab_agreement_step(&state, CLO_ORDER_STOP));
        r->resumes_missing = all;
    } else if (strcmp(order->verb, "terminate") == 0) {
        CLO_TRY(clo_collab_agreement_step(&state, CLO_ORDER_TERMINATE));
        r->resumes_missing = 0;
    } else {
        CLO_CHECKF(state == CLO_AGREEMENT_SUSPENDED, CLO_E_CONFLICT, "the agreement is %s; only a suspended one is resumed", r->state);
        for (size_t i = 0; i < g->member_count; i++)
            if (strcmp(g->members[i].party.name, order->party) == 0) r->resumes_missing &= ~((uint32_t)1 << i);
        if (r->resumes_missing == 0) CLO_TRY(clo_collab_agreement_step(&state, CLO_ORDER_ALL_RESUMED));
    }
    return clo_str_set(r->state, sizeof r->state, clo_span_str(clo_collab_agreement_state_name(state)));
}

/* A stored order: into the log, then into the agreement's state. Each step can be repeated, so that a crash between any two only delays. */
static clo_err settle_order(clo_service *s, clo_arena *a, const clo_store_order *stored)
{
    clo_store_agreement r;
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_collab_order order;
    uint64_t index = 0;
    CLO_TRY(clo_store_agreement_get(s->store, a, stored->agreement, &r));
    CLO_TRY(clo_service_agreement_parse(a, &r, &g, &mask));
    CLO_TRY(clo_collab_order_open(a, stored->file, g, &order));
    CLO_TRY(clo_service_log_append(s, CLO_LEAF_ORDER, stored->file, &index));
    clo_err e = apply_order(&r, g, &order);
    /* It was taken when it was stored; a state that does not take it now has followed it before a crash. */
    if (clo_failed(e) && e.code != CLO_E_CONFLICT) return e;
    if (!clo_failed(e)) CLO_TRY(save(s, a, &r, g));
    return clo_store_order_settle(s->store, stored->row);
}

/* One agreement's open orders, oldest first: none is settled before its predecessors. */
static clo_err settle_orders(clo_service *s, const uint8_t agreement[32])
{
    while (true) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 8 << 20);
        clo_store_order stored;
        clo_err e = clo_store_order_open(s->store, &a, agreement, 0, &stored);
        if (e.code == CLO_E_NOT_FOUND) return CLO_OK;
        CLO_TRY(e);
        CLO_TRY(settle_order(s, &a, &stored));
    }
}

void clo_service_orders_settle(clo_service *s)
{
    int64_t row = 0;
    while (true) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 8 << 20);
        clo_store_order stored;
        (void)pthread_mutex_lock(&settling);
        clo_err e = clo_store_order_open(s->store, &a, NULL, row, &stored);
        bool found = !clo_failed(e);
        if (found) e = settle_orders(s, stored.agreement);
        (void)pthread_mutex_unlock(&settling);
        if (clo_failed(e) && e.code != CLO_E_NOT_FOUND) clo_os_log_failure("settle-order", NULL, e);
        if (!found) return;
        row = stored.row;
    }
}

static clo_err take_order(clo_service *s, clo_gateway_request *request, clo_store_agreement *r)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    clo_collab_order order;
    CLO_TRY(load(s, request, r));
    CLO_TRY(settle_orders(s, r->id)); /* what a failing disk had left open counts before what comes now */
    CLO_TRY(clo_store_agreement_get(s->store, request->arena, r->id, r));
    CLO_TRY(clo_service_agreement_parse(request->arena, r, &g, &mask));
    CLO_TRY(clo_collab_order_open(request->arena, request->body, g, &order));
    clo_store_agreement changed = *r;
    CLO_TRY(apply_order(&changed, g, &order));
    CLO_TRY(clo_store_order_put(s->store, r->id, order.party, order.verb, order.sequence, request->body));
    /* What is stored is carried out: now, or by the settler as soon as the log can take it. */
    CLO_TRY(settle_orders(s, r->id));
    return clo_store_agreement_get(s->store, request->arena, r->id, r);
}

CLO_HANDLER(clo_service_post_order)
{
    clo_store_agreement r;
    CLO_TRY(clo_service_require_records(context));
    (void)pthread_mutex_lock(&settling);
    clo_err e = take_order(context, request, &r);
    (void)pthread_mutex_unlock(&settling);
    CLO_TRY(e);
    return answer(context, request, response, &r);
}
