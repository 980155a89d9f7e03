#include "service/routes_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { OBJECT_MAX = 4 << 20 };

/* Every handler goes through here: what it refuses is kept under the request's id, for `cloister explain`. */
static clo_err dispatch(void *context, clo_gateway_request *request, clo_gateway_response *response);

#define GET(path, summary, tag, schema) \
    {CLO_GATEWAY_GET, path, CLO_GATEWAY_AUTH_PARTY, 0, 0, NULL, NULL, dispatch, NULL, tag, summary, NULL, schema, 0}
#define OPEN(path, summary, tag, schema) \
    {CLO_GATEWAY_GET, path, CLO_GATEWAY_AUTH_NONE, 0, 0, NULL, NULL, dispatch, NULL, tag, summary, NULL, schema, 0}
#define POST(path, summary, tag, request, schema, status) \
    {CLO_GATEWAY_POST, path, CLO_GATEWAY_AUTH_PARTY, CLO_GATEWAY_IDEMPOTENT, OBJECT_MAX, NULL, NULL, dispatch, NULL, tag, summary, request, schema, status}

const clo_gateway_route clo_service_routes[] = {
    OPEN("/api/v1/info", "Who the operator is: keys of its log, witnesses, platform", "operator", "Info"),
    {CLO_GATEWAY_GET, "/api/v1/compute/status", CLO_GATEWAY_AUTH_NONE, CLO_GATEWAY_INLINE | CLO_GATEWAY_UNLIMITED, 0, NULL, "application/json",
     clo_service_get_status, NULL, "compute", "Whether computations can run", NULL, "Status", 0},
    OPEN("/api/v1/compute/attestation", "Evidence about the runtime's executable over a nonce", "compute", "Attestation"),
    {CLO_GATEWAY_POST, "/api/v1/parties", CLO_GATEWAY_AUTH_NONE, 0, 65536, NULL, NULL, dispatch, NULL, "parties", "Register a party (*.party file)", "Binary",
     "Party", 0},
    GET("/api/v1/parties", "Registered parties", "parties", "Parties"),
    POST("/api/v1/agreements", "Submit an agreement with any number of signatures", "agreements", "Binary", "Agreement", 0),
    GET("/api/v1/agreements", "Agreements of the caller", "agreements", "Agreements"),
    GET("/api/v1/agreements/{id}", "One agreement: state, who signed, whose signature is missing", "agreements", "Agreement"),
    GET("/api/v1/agreements/{id}/file", "The signed file", "agreements", "Binary"),
    GET("/api/v1/agreements/{id}/proof", "Its proof of inclusion in the transparency log", "agreements", "Text"),
    POST("/api/v1/agreements/{id}/orders", "Stop, resume or terminate (a signed order)", "agreements", "Binary", "Agreement", 0),
    POST("/api/v1/datasets", "Announce a sealed dataset by its manifest", "datasets", "Binary", "Dataset", 0),
    GET("/api/v1/datasets", "Datasets of the caller; ?id= the newest version of one", "datasets", "Datasets"),
    GET("/api/v1/datasets/{version}", "One version", "datasets", "Dataset"),
    GET("/api/v1/datasets/{version}/manifest", "The owner's signed manifest", "datasets", "Binary"),
    {CLO_GATEWAY_PUT, "/api/v1/datasets/{version}/content", CLO_GATEWAY_AUTH_PARTY, 0, (uint64_t)1 << 50, NULL, NULL, NULL, &clo_service_dataset_upload,
     "datasets", "Upload sealed chunks from ?offset= on", "Binary", "Dataset", 0},
    POST("/api/v1/runs", "Start a run (a signed request)", "runs", "Binary", "Run", 202),
    GET("/api/v1/runs", "Runs of the caller's agreements", "runs", "Runs"),
    GET("/api/v1/runs/{id}", "One run", "runs", "Run"),
    POST("/api/v1/runs/{id}/cancel", "End a run", "runs", NULL, "Run", 0),
    GET("/api/v1/runs/{id}/events", "Progress as server-sent events", "runs", "Text"),
    GET("/api/v1/outputs", "Runs whose output the caller receives", "outputs", "Runs"),
    GET("/api/v1/outputs/{id}", "The sealed output", "outputs", "Binary"),
    GET("/api/v1/outputs/{id}/shares", "The sealed shares of the output's key", "outputs", "Binary"),
    GET("/api/v1/receipts", "Runs that have a receipt", "receipts", "Runs"),
    GET("/api/v1/receipts/{id}", "The receipt", "receipts", "Binary"),
    GET("/api/v1/explain/{id}", "Why a run or a request was refused", "operator", "Reason"),
    OPEN("/log/checkpoint", "Signed, witnessed checkpoint (C2SP tlog-tiles)", "log", "Text"),
    OPEN("/log/tile/{path*}", "Tiles and entry bundles (C2SP tlog-tiles)", "log", "Binary"),
};
const size_t clo_service_route_count = sizeof clo_service_routes / sizeof clo_service_routes[0];

/* In the order of the routes; NULL where a route does not dispatch. */
static const clo_gateway_handler handlers[] = {
    clo_service_get_info, NULL, clo_service_get_attestation, clo_service_post_party, clo_service_get_parties, clo_service_post_agreement,
    clo_service_get_agreements, clo_service_get_agreement, clo_service_get_agreement_file, clo_service_get_agreement_proof, clo_service_post_order,
    clo_service_post_dataset, clo_service_get_datasets, clo_service_get_dataset, clo_service_get_manifest, NULL, clo_service_post_run,
    clo_service_get_runs, clo_service_get_run, clo_service_post_cancel, clo_service_get_run_events, clo_service_get_outputs, clo_service_get_output,
    clo_service_get_shares, clo_service_get_receipts, clo_service_get_receipt, clo_service_get_explain, clo_service_get_checkpoint,
    clo_service_get_tile};
_Static_assert(sizeof handlers / sizeof handlers[0] == sizeof clo_service_routes / sizeof clo_service_routes[0], "one handler per route");

static void note(clo_service *s, const clo_gateway_request *request, clo_err e)
{
    clo_store_reason reason = {.time = clo_os_clock_wall(s->clock)};
    const clo_denial *d = clo_err_denial();
    if (strlen(request->request_id) >= sizeof reason.id) return;
    (void)snprintf(reason.id, sizeof reason.id, "%s", request->request_id);
    (void)snprintf(reason.what, sizeof reason.what, "%s %.50s", clo_gateway_method_name(request->method), request->route->path);
    (void)snprintf(reason.code, sizeof reason.code, "%s", clo_err_name(e));
    (void)snprintf(reason.text, sizeof reason.text, "%s", clo_err_text());
    reason.have_denial = d != NULL;
    if (d != NULL) reason.denial = *d;
    (void)clo_store_reason_put(s->store, &reason).code;
    /* The store's own failures, if any, must not hide the one that is answered. */
    (void)(reason.have_denial ? clo_deny_again(e.code, &reason.denial) : clo_err_again(e.code, reason.text));
}

/* The server keeps its own copy of the table; the texts in it are ours. */
static size_t index_of(const clo_gateway_route *route)
{
    size_t i = 0;
    while (i < clo_service_route_count && (clo_service_routes[i].path != route->path || clo_service_routes[i].method != route->method)) i++;
    assert(i < clo_service_route_count);
    return i;
}

static clo_err dispatch(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_err e = handlers[index_of(request->route)](context, request, response);
    if (clo_failed(e) && clo_err_class(e) == CLO_CLASS_DENIED) note(context, request, e);
    return e;
}
