/* The route table of the owner's daemon and its handlers. */
#include "broker/broker_int.h"
#include "gateway/problem.h"
#include "os/log.h"
#include "wire/cbor.h"
#include "wire/json.h"
#include <stdio.h>

enum {
    RELEASE_MAX = 8 << 20,
    COMMIT_MAX = 64 << 10,
    KEY_MAX = 64 << 10,
    AGREEMENT_MAX = 4 << 20,
    ORDER_MAX = 16 << 10,
    SMALL_MAX = 4 << 10,
    REPLY_MAX = 64 << 10
};
static const char cbor_type[] = "application/cbor";

/* ---- failures ---- */

static bool wants_cbor(const clo_gateway_request *request)
{
    clo_span accept = clo_gateway_request_header(request, "accept");
    return accept.p != NULL && memmem(accept.p, accept.n, cbor_type, sizeof cbor_type - 1) != NULL;
}

static clo_err problem_cbor(clo_arena *a, clo_span json, clo_buf *out)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_wire_json_decode(a, json, &tree));
    return clo_wire_cbor_encode(tree, out);
}

clo_err broker_refuse(clo_broker *b, const clo_gateway_request *request, clo_gateway_response *response, const char *what,
                      clo_err e)
{
    char id[CLO_KMS_ID];
    clo_kms_denial_note(b->kms, what, e, id);
    clo_os_log_failure(what, id, e);
    clo_gateway_metric_add(b->denials, 1);
    char text[512];
    (void)snprintf(text, sizeof text, "%s", clo_err_text());
    const clo_denial *noted = clo_err_denial();
    clo_denial denial;
    if (noted != NULL) denial = *noted;
    unsigned status = clo_gateway_problem_status(e);
    CLO_AUTO(clo_buf_free) clo_buf json;
    clo_buf_init(&json, REPLY_MAX);
    CLO_TRY(clo_gateway_problem_write(&json, status, e, text, noted != NULL ? &denial : NULL, id));
    clo_gateway_response_status(response, status);
    if (status == 429 || status == 503) CLO_TRY(clo_gateway_response_header(response, "Retry-After", "1"));
    if (!wants_cbor(request)) return clo_gateway_response_bytes(response, "application/problem+json", clo_buf_span(&json));
    CLO_AUTO(clo_buf_free) clo_buf cbor;
    clo_buf_init(&cbor, REPLY_MAX);
    CLO_TRY(problem_cbor(request->arena, clo_buf_span(&json), &cbor));
    return clo_gateway_response_bytes(response, cbor_type, clo_buf_span(&cbor));
}

/* A handler proper may simply fail; this turns the failure into an answer that can be explained later. */
typedef clo_err (*work_fn)(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response);
static clo_err answer(void *context, clo_gateway_request *request, clo_gateway_response *response, const char *what, work_fn work)
{
    clo_broker *b = context;
    clo_err e = work(b, request, response);
    return clo_failed(e) ? broker_refuse(b, request, response, what, e) : CLO_OK;
}
#define HANDLER(name, what)                                                                                                      \
    static clo_err handle_##name(void *context, clo_gateway_request *request, clo_gateway_response *response)                    \
    {                                                                                                                            \
        return answer(context, request, response, what, work_##name);                                                            \
    }

clo_err broker_authenticate(void *context, const clo_gateway_request *request, clo_gateway_principal *out)
{
    clo_broker *b = context;
    clo_span token = {NULL, 0};
    CLO_TRY(clo_gateway_bearer_token(request, &token));
    CLO_CHECKF(token.n > 0, CLO_E_UNAUTHENTICATED, "send a party's token: \"Authorization: Bearer …\"");
    int64_t now = 0;
    CLO_TRY(clo_kms_now(b->kms, &now));
    char name[64];
    uint8_t kid[32];
    CLO_TRY(clo_collab_token_peek(token, name, kid));
    clo_collab_party party;
    CLO_TRY(clo_kms_party_find(b->kms, kid, &party));
    CLO_TRY(clo_collab_token_verify(token, &party, b->audience, now));
    clo_gateway_principal p = {.kind = CLO_GATEWAY_PRINCIPAL_PARTY};
    (void)snprintf(p.name, sizeof p.name, "%s", party.name);
    memcpy(p.key, kid, sizeof p.key);
    *out = p;
    return CLO_OK;
}

static bool is_owner(const clo_broker *b, const clo_gateway_request *request)
{
    return request->principal.kind == CLO_GATEWAY_PRINCIPAL_PARTY &&
           memcmp(request->principal.key, clo_kms_owner_kid(b->kms), 32) == 0;
}

static clo_err require_owner(const clo_broker *b, const clo_gateway_request *request)
{
    if (is_owner(b, request)) return CLO_OK;
    return CLO_DENY(CLO_E_DENIED, "caller.party", clo_kms_owner(b->kms)->name, request->principal.name,
                    "owner of this key service", "only the owner may do this; use the owner's identity");
}

/* ---- open ---- */

static clo_err work_info(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_wire_node *m = NULL;
    CLO_TRY(broker_view_info(request->arena, b, &m));
    return clo_gateway_response_tree(response, m);
}
HANDLER(info, "info")

static clo_err work_nonce(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)request;
    uint8_t nonce[CLO_NONCE];
    CLO_TRY(clo_kms_nonce(b->kms, nonce));
    clo_gateway_metric_add(b->nonces, 1);
    CLO_TRY(clo_gateway_response_header(response, "Cache-Control", "no-store"));
    return clo_gateway_response_bytes(response, "application/octet-stream", clo_span_of(nonce, sizeof nonce));
}
HANDLER(nonce, "nonce")

static clo_err work_explain(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_kms_denial d;
    CLO_TRY(clo_kms_explain(b->kms, clo_gateway_request_param(request, "id"), &d));
    clo_wire_node *m = NULL;
    CLO_TRY(broker_view_denial(request->arena, &d, &m));
    return clo_gateway_response_tree(response, m);
}
HANDLER(explain, "explain")

/* ---- release in two phases ---- */

static clo_kms_channel channel_of(const clo_gateway_request *request)
{
    clo_kms_channel c = {.have_exporter = false};
    c.have_exporter = clo_gateway_request_exporter(request, c.exporter);
    c.have_client = clo_gateway_request_peer_spki(request, c.client_spki);
    c.have_server = clo_gateway_request_own_spki(request, c.server_spki);
    return c;
}

static clo_err send_cbor(clo_gateway_response *response, const clo_buf *body)
{
    CLO_TRY(clo_gateway_response_header(response, "Cache-Control", "no-store"));
    return clo_gateway_response_bytes(response, cbor_type, clo_buf_span(body));
}

static clo_err work_release(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_AUTO(clo_buf_free) clo_buf reply;
    clo_buf_init(&reply, REPLY_MAX);
    clo_kms_channel channel = channel_of(request);
    CLO_TRY(clo_kms_release(b->kms, request->body, &channel, &reply));
    clo_gateway_metric_add(b->releases, 1);
    return send_cbor(response, &reply);
}
HANDLER(release, "release")

static clo_err work_renew(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_AUTO(clo_buf_free) clo_buf reply;
    clo_buf_init(&reply, REPLY_MAX);
    clo_kms_channel channel = channel_of(request);
    CLO_TRY(clo_kms_renew(b->kms, request->body, &channel, &reply));
    clo_gateway_metric_add(b->renewals, 1);
    return send_cbor(response, &reply);
}
HANDLER(renew, "renew")

static clo_err work_commit(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_AUTO(clo_buf_free) clo_buf reply;
    clo_buf_init(&reply, REPLY_MAX);
    CLO_TRY(clo_kms_commit(b->kms, request->body, &reply));
    clo_gateway_metric_add(b->commits, 1);
    return send_cbor(response, &reply);
}
HANDLER(commit, "commit")

static clo_err work_shares(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    uint8_t run_id[16];
    if (clo_failed(clo_hex_decode(run_id, sizeof run_id, clo_span_str(clo_gateway_request_param(request, "id")))))
        return CLO_FAILF(CLO_E_MALFORMED, "a run id is 32 hex digits");
    CLO_AUTO(clo_buf_free) clo_buf reply;
    clo_buf_init(&reply, REPLY_MAX);
    CLO_TRY(clo_kms_shares(b->kms, run_id, &reply));
    return send_cbor(response, &reply);
}
HANDLER(shares, "shares")

/* ---- agreements ---- */

static clo_err send_agreement(clo_gateway_request *request, clo_gateway_response *response, const clo_kms_agreement *g)
{
    clo_wire_node *m = NULL;
    CLO_TRY(broker_view_agreement(request->arena, g, &m));
    return clo_gateway_response_tree(response, m);
}

static clo_err work_order(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_kms_agreement g;
    CLO_TRY(clo_kms_order(b->kms, request->body, &g));
    return send_agreement(request, response, &g);
}
HANDLER(order, "order")

/* Anybody may bring an agreement: it speaks by its signatures, the owner's among them. So a party that orders a stop can first make an
 * agreement known that this service has not seen. */
static clo_err work_submit(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_kms_agreement g;
    CLO_TRY(clo_kms_agreement_submit(b->kms, request->body, &g));
    return send_agreement(request, response, &g);
}
HANDLER(submit, "agreement")

/* A list of views under one name. */
typedef clo_err (*view_fn)(clo_arena *a, const void *item, clo_wire_node **out);
static clo_err list_of(clo_arena *a, clo_wire_node *map, const char *name, const void *items, size_t count, size_t size,
                       view_fn view)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(view(a, (const uint8_t *)items + i * size, &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    return clo_wire_set(a, map, name, list);
}
static clo_err view_key(clo_arena *a, const void *item, clo_wire_node **out) { return broker_view_key(a, item, out); }
static clo_err view_agreement(clo_arena *a, const void *item, clo_wire_node **out) { return broker_view_agreement(a, item, out); }
static clo_err view_budget(clo_arena *a, const void *item, clo_wire_node **out) { return broker_view_budget(a, item, out); }
static clo_err view_entry(clo_arena *a, const void *item, clo_wire_node **out) { return broker_view_entry(a, item, out); }
static clo_err view_run(clo_arena *a, const void *item, clo_wire_node **out) { return broker_view_run(a, item, out); }
static clo_err view_kek(clo_arena *a, const void *item, clo_wire_node **out)
{
    const clo_kms_kek *k = item;
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_int(a, *out, "version", k->version));
    return clo_wire_set_text(a, *out, "state", clo_kms_key_state_name(k->state));
}

static clo_err work_agreements(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_kms_agreement *items = NULL;
    size_t count = 0;
    CLO_TRY(clo_kms_agreement_list(b->kms, request->arena, is_owner(b, request) ? NULL : request->principal.key, &items, &count));
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(request->arena, &m));
    CLO_TRY(list_of(request->arena, m, "agreements", items, count, sizeof *items, view_agreement));
    return clo_gateway_response_tree(response, m);
}
HANDLER(agreements, "agreements")

/* ---- keys ---- */

static clo_err send_key(clo_gateway_request *request, clo_gateway_response *response, const clo_kms_key *k)
{
    clo_wire_node *m = NULL;
    CLO_TRY(broker_view_key(request->arena, k, &m));
    return clo_gateway_response_tree(response, m);
}

static clo_err work_key_import(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_TRY(require_owner(b, request));
    clo_kms_key k;
    CLO_TRY(clo_kms_key_import(b->kms, request->body, &k));
    return send_key(request, response, &k);
}
HANDLER(key_import, "key import")

static clo_err work_keys(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_TRY(require_owner(b, request));
    clo_kms_key *keys = NULL;
    clo_kms_kek *keks = NULL;
    size_t key_count = 0, kek_count = 0;
    CLO_TRY(clo_kms_key_list(b->kms, request->arena, &keys, &key_count));
    CLO_TRY(clo_kms_kek_list(b->kms, request->arena, &keks, &kek_count));
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(request->arena, &m));
    CLO_TRY(list_of(request->arena, m, "keys", keys, key_count, sizeof *keys, view_key));
    CLO_TRY(list_of(request->arena, m, "keks", keks, kek_count, sizeof *keks, view_kek));
    return clo_gateway_response_tree(response, m);
}
HANDLER(keys, "keys")

static clo_err change_key(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response, clo_kms_key_verb verb)
{
    CLO_TRY(require_owner(b, request));
    clo_kms_key k;
    CLO_TRY(clo_kms_key_change(b->kms, clo_gateway_request_param(request, "id"), verb, &k));
    return send_key(request, response, &k);
}
#define KEY_VERB(name, verb)                                                                                                     \
    static clo_err work_key_##name(clo_broker *b, clo_gateway_request *q, clo_gateway_response *r)                               \
    {                                                                                                                            \
        return change_key(b, q, r, verb);                                                                                        \
    }                                                                                                                            \
    HANDLER(key_##name, "key " #name)
KEY_VERB(enable, CLO_KMS_KEY_ENABLE)
KEY_VERB(disable, CLO_KMS_KEY_DISABLE)
KEY_VERB(revoke, CLO_KMS_KEY_REVOKE)
KEY_VERB(destroy, CLO_KMS_KEY_DESTROY)

static clo_err work_rotate(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_TRY(require_owner(b, request));
    int64_t version = 0;
    CLO_TRY(clo_kms_kek_rotate(b->kms, &version));
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(request->arena, &m));
    CLO_TRY(clo_wire_set_int(request->arena, m, "version", version));
    return clo_gateway_response_tree(response, m);
}
HANDLER(rotate, "key rotate")

/* ---- budget ---- */

static clo_err work_budgets(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_kms_budget *items = NULL;
    size_t count = 0;
    CLO_TRY(clo_kms_budget_list(b->kms, request->arena, is_owner(b, request) ? NULL : request->principal.key, &items, &count));
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(request->arena, &m));
    CLO_TRY(list_of(request->arena, m, "budgets", items, count, sizeof *items, view_budget));
    clo_wire_node *ledger = NULL;
    CLO_TRY(broker_view_ledger(request->arena, b, &ledger));
    CLO_TRY(clo_wire_set(request->arena, m, "ledger", ledger));
    return clo_gateway_response_tree(response, m);
}
HANDLER(budgets, "budgets")

static clo_err work_budget_set(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_TRY(require_owner(b, request));
    uint8_t dataset[32];
    if (clo_failed(clo_hex_decode(dataset, sizeof dataset, clo_span_str(clo_gateway_request_param(request, "dataset")))))
        return CLO_FAILF(CLO_E_MALFORMED, "a dataset id is 64 hex digits");
    clo_wire_node *body = NULL;
    CLO_TRY(clo_gateway_request_tree(request, &body));
    clo_wire_fields f;
    const char *text = NULL;
    clo_wire_fields_open(&f, request->arena, body, "budget");
    clo_wire_take_text(&f, "limit", &text, CLO_DP_RATIONAL_TEXT);
    CLO_TRY(clo_wire_fields_end(&f));
    clo_dp_rational limit;
    CLO_TRY(clo_dp_rational_parse(clo_span_str(text), &limit));
    CLO_TRY(clo_kms_budget_set(b->kms, dataset, limit));
    return work_budgets(b, request, response);
}
HANDLER(budget_set, "budget")

static clo_err work_ledger(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_TRY(require_owner(b, request));
    int64_t after = 0, limit = 0;
    CLO_TRY(clo_gateway_request_query_int(request, "after", 0, 0, INT64_MAX, &after));
    CLO_TRY(clo_gateway_request_query_int(request, "limit", 100, 1, 1000, &limit));
    clo_kms_entry *items = NULL;
    size_t count = 0;
    CLO_TRY(clo_kms_ledger_list(b->kms, request->arena, after, (size_t)limit, &items, &count));
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(request->arena, &m));
    CLO_TRY(list_of(request->arena, m, "entries", items, count, sizeof *items, view_entry));
    return clo_gateway_response_tree(response, m);
}
HANDLER(ledger, "ledger")

static clo_err work_runs(clo_broker *b, clo_gateway_request *request, clo_gateway_response *response)
{
    CLO_TRY(require_owner(b, request));
    int64_t limit = 0;
    CLO_TRY(clo_gateway_request_query_int(request, "limit", 100, 1, 1000, &limit));
    clo_kms_run *items = NULL;
    size_t count = 0;
    CLO_TRY(clo_kms_run_list(b->kms, request->arena, (size_t)limit, &items, &count));
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(request->arena, &m));
    CLO_TRY(list_of(request->arena, m, "runs", items, count, sizeof *items, view_run));
    return clo_gateway_response_tree(response, m);
}
HANDLER(runs, "runs")

/* ---- the table ---- */

#define GET(path_, auth_, handler_, tag_, summary_)                                                                              \
    {                                                                                                                            \
        .method = CLO_GATEWAY_GET, .path = (path_), .auth = (auth_), .handler = (handler_), .tag = (tag_), .summary = (summary_) \
    }
#define POST(path_, auth_, max_, consumes_, handler_, tag_, summary_)                                                            \
    {                                                                                                                            \
        .method = CLO_GATEWAY_POST, .path = (path_), .auth = (auth_), .body_max = (max_), .consumes = (consumes_),               \
        .handler = (handler_), .tag = (tag_), .summary = (summary_)                                                              \
    }
#define OPEN CLO_GATEWAY_AUTH_NONE
#define PARTY CLO_GATEWAY_AUTH_PARTY
#define SIGNED CLO_GATEWAY_AUTH_CHANNEL

const clo_gateway_route broker_routes[] = {
    GET("/v1/info", OPEN, handle_info, "service", "Who this key service is"),
    GET("/v1/nonce", OPEN, handle_nonce, "release", "A single-use nonce, 72 bytes"),
    POST("/v1/release", SIGNED, RELEASE_MAX, cbor_type, handle_release, "release", "Phase one: verify, reserve, release keys"),
    POST("/v1/renew", SIGNED, RELEASE_MAX, cbor_type, handle_renew, "release", "Extend a lease by fresh evidence"),
    POST("/v1/commit", SIGNED, COMMIT_MAX, cbor_type, handle_commit, "release", "Phase two: commit the spend, release the share"),
    GET("/v1/runs/{id}/shares", OPEN, handle_shares, "release", "Sealed shares of a committed run"),
    POST("/v1/orders", SIGNED, ORDER_MAX, NULL, handle_order, "agreements", "A party's signed order: stop, resume, terminate"),
    POST("/v1/agreements", SIGNED, AGREEMENT_MAX, NULL, handle_submit, "agreements", "Register a signed agreement"),
    GET("/v1/agreements", PARTY, handle_agreements, "agreements", "Agreements and their states"),
    POST("/v1/keys", PARTY, KEY_MAX, cbor_type, handle_key_import, "keys", "Entrust a dataset's key"),
    GET("/v1/keys", PARTY, handle_keys, "keys", "Data keys and key encryption keys"),
    POST("/v1/keys/rotate", PARTY, SMALL_MAX, NULL, handle_rotate, "keys", "New key encryption key"),
    POST("/v1/keys/{id}/enable", PARTY, SMALL_MAX, NULL, handle_key_enable, "keys", "Enable a key"),
    POST("/v1/keys/{id}/disable", PARTY, SMALL_MAX, NULL, handle_key_disable, "keys", "Disable a key"),
    POST("/v1/keys/{id}/revoke", PARTY, SMALL_MAX, NULL, handle_key_revoke, "keys", "Revoke a key for ever"),
    POST("/v1/keys/{id}/destroy", PARTY, SMALL_MAX, NULL, handle_key_destroy, "keys", "Erase a key for ever"),
    GET("/v1/budgets", PARTY, handle_budgets, "budget", "Budgets per dataset"),
    POST("/v1/budgets/{dataset}", PARTY, SMALL_MAX, "application/json,application/cbor", handle_budget_set, "budget",
         "Set a lifetime limit"),
    GET("/v1/ledger", PARTY, handle_ledger, "budget", "Entries of the ledger"),
    GET("/v1/runs", PARTY, handle_runs, "budget", "Runs and their releases"),
    GET("/v1/explain/{id}", OPEN, handle_explain, "service", "Why something was refused"),
};
size_t broker_route_count(void) { return sizeof broker_routes / sizeof broker_routes[0]; }
