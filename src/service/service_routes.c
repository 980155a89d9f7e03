#include "service/routes_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { OBJECT_MAX = 4 << 20 };

/* Keep a refusal under the request's id, for `cloister explain`. */
static clo_err note(clo_service *s, const clo_gateway_request *request, clo_err e)
{
    clo_store_reason reason = {.time = clo_os_clock_wall(s->clock)};
    if (!clo_failed(e) || clo_err_class(e) != CLO_CLASS_DENIED || strlen(request->request_id) >= sizeof reason.id) return e;
    const clo_denial *d = clo_err_denial();
    /* What strangers ask for in vain costs no disk. */
    if (request->principal.kind == CLO_GATEWAY_PRINCIPAL_NONE && d == NULL) return e;
    (void)snprintf(reason.id, sizeof reason.id, "%s", request->request_id);
    memcpy(reason.kid, request->principal.key, sizeof reason.kid);
    (void)snprintf(reason.what, sizeof reason.what, "%s %.50s", clo_gateway_method_name(request->method), request->route->path);
    (void)snprintf(reason.code, sizeof reason.code, "%s", clo_err_name(e));
    (void)snprintf(reason.text, sizeof reason.text, "%s", clo_err_text());
    reason.have_denial = d != NULL;
    if (d != NULL) reason.denial = *d;
    (void)clo_store_reason_put(s->store, &reason).code;
    /* The store's own failures, if any, must not hide the one that is answered. */
    return reason.have_denial ? clo_deny_again(e.code, &reason.denial) : clo_err_again(e.code, reason.text);
}

/* Every handler is called through one of these, so that its refusals are kept. */
#define NOTED(name)                                                                                                   \
    static clo_err noted_##name(void *context, clo_gateway_request *request, clo_gateway_response *response)           \
    {                                                                                                                  \
        return note(context, request, clo_service_##name(context, request, response));                                 \
    }
NOTED(get_info)
NOTED(get_attestation)
NOTED(get_nonce)
NOTED(post_verify)
NOTED(get_certs)
NOTED(post_policy)
NOTED(get_policies)
NOTED(get_policy)
NOTED(post_values)
NOTED(get_values_list)
NOTED(get_values)
NOTED(get_evidences)
NOTED(get_evidence)
NOTED(get_history)
NOTED(put_collateral)
NOTED(get_collateral)
NOTED(post_party)
NOTED(get_parties)
NOTED(post_agreement)
NOTED(get_agreements)
NOTED(get_agreement)
NOTED(get_agreement_file)
NOTED(get_agreement_proof)
NOTED(post_order)
NOTED(post_dataset)
NOTED(get_datasets)
NOTED(get_dataset)
NOTED(get_manifest)
NOTED(post_run)
NOTED(get_runs)
NOTED(get_run)
NOTED(post_cancel)
NOTED(get_run_events)
NOTED(get_outputs)
NOTED(get_output)
NOTED(get_shares)
NOTED(get_receipts)
NOTED(get_receipt)
NOTED(get_explain)
NOTED(get_events)
NOTED(get_checkpoint)
NOTED(get_tile)

static clo_err noted_begin(void *context, clo_gateway_request *request)
{
    return note(context, request, clo_service_dataset_upload.begin(context, request));
}

static clo_err noted_data(void *context, clo_gateway_request *request, clo_span piece)
{
    return note(context, request, clo_service_dataset_upload.data(context, request, piece));
}

static clo_err noted_end(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    return note(context, request, clo_service_dataset_upload.end(context, request, response));
}

static void upload_abort(void *context, clo_gateway_request *request) { clo_service_dataset_upload.abort(context, request); }

static const clo_gateway_upload noted_upload = {.begin = noted_begin, .data = noted_data, .end = noted_end, .abort = upload_abort};

#define GET(path, name, summary, tag, schema) \
    {CLO_GATEWAY_GET, path, CLO_GATEWAY_AUTH_PARTY, 0, 0, NULL, NULL, noted_##name, NULL, tag, summary, NULL, schema, 0}
#define OPEN(path, name, summary, tag, schema) \
    {CLO_GATEWAY_GET, path, CLO_GATEWAY_AUTH_NONE, 0, 0, NULL, NULL, noted_##name, NULL, tag, summary, NULL, schema, 0}
#define POST(path, name, summary, tag, request, schema, status)                                                            \
    {CLO_GATEWAY_POST, path, CLO_GATEWAY_AUTH_PARTY, CLO_GATEWAY_IDEMPOTENT, OBJECT_MAX, NULL, NULL, noted_##name, NULL, tag, \
     summary, request, schema, status}

const clo_gateway_route clo_service_routes[] = {
    OPEN("/api/v1/info", get_info, "Who the operator is: keys of its log, witnesses, platform", "operator", "Info"),
    {CLO_GATEWAY_GET, "/api/v1/compute/status", CLO_GATEWAY_AUTH_NONE, CLO_GATEWAY_INLINE | CLO_GATEWAY_UNLIMITED, 0, NULL, "application/json",
     clo_service_get_status, NULL, "compute", "Whether computations can run", NULL, "Status", 0},
    OPEN("/api/v1/compute/attestation", get_attestation, "Evidence about the runtime's executable over a nonce", "compute", "Attestation"),
    OPEN("/api/v1/attestation/nonce", get_nonce, "A nonce for evidence, good once and for five minutes", "attestation", "Nonce"),
    {CLO_GATEWAY_POST, "/api/v1/attestation/verify", CLO_GATEWAY_AUTH_NONE, 0, 2 << 20, "application/json, application/cbor", NULL, noted_post_verify, NULL, "attestation",
     "Appraise evidence under a named policy; the answer is a result and a signed token", "VerifyRequest", "Verification", 0},
    OPEN("/api/v1/attestation/certs", get_certs, "Keys that sign results (JWKS)", "attestation", "Jwks"),
    OPEN("/api/v1/attestation/history", get_history, "Appraisals of this platform, newest first", "attestation", "History"),
    POST("/api/v1/attestation/policies", post_policy, "A new version of a policy (COSE_Sign1 by its owner)", "attestation", "Binary", "AttestObject", 0),
    OPEN("/api/v1/attestation/policies", get_policies, "Policies, the newest version of each", "attestation", "Policies"),
    OPEN("/api/v1/attestation/policies/{name}", get_policy, "The signed file; ?version= an older one", "attestation", "Binary"),
    POST("/api/v1/attestation/reference-values", post_values, "A new version of a set of reference values (COSE_Sign1 by its owner)", "attestation", "Binary",
         "AttestObject", 0),
    OPEN("/api/v1/attestation/reference-values", get_values_list, "Sets of reference values, the newest version of each", "attestation", "ReferenceValues"),
    OPEN("/api/v1/attestation/reference-values/{name}", get_values, "The signed file; ?version= an older one", "attestation", "Binary"),
    GET("/api/v1/attestation/collateral", get_collateral, "The installed bundle of collateral", "attestation", "Collateral"),
    {CLO_GATEWAY_PUT, "/api/v1/attestation/collateral", CLO_GATEWAY_AUTH_PARTY, 0, CLO_COLLATERAL_BUNDLE_MAX, NULL, NULL, noted_put_collateral, NULL, "attestation",
     "Install a newer bundle, signed by the key that this operator pins", "Binary", "Collateral", 0},
    GET("/api/v1/attestation/records", get_evidences, "Evidence of the caller that was recorded", "attestation", "Records"),
    GET("/api/v1/attestation/records/{id}", get_evidence, "One evidence record, for replay", "attestation", "Binary"),
    {CLO_GATEWAY_POST, "/api/v1/parties", CLO_GATEWAY_AUTH_NONE, 0, 65536, NULL, NULL, noted_post_party, NULL, "parties", "Register a party (*.party file)", "Binary",
     "Party", 0},
    GET("/api/v1/parties", get_parties, "Registered parties", "parties", "Parties"),
    POST("/api/v1/agreements", post_agreement, "Submit an agreement with any number of signatures", "agreements", "Binary", "Agreement", 0),
    GET("/api/v1/agreements", get_agreements, "Agreements of the caller", "agreements", "Agreements"),
    GET("/api/v1/agreements/{id}", get_agreement, "One agreement: state, who signed, whose signature is missing", "agreements", "Agreement"),
    GET("/api/v1/agreements/{id}/file", get_agreement_file, "The signed file", "agreements", "Binary"),
    GET("/api/v1/agreements/{id}/proof", get_agreement_proof, "Its proof of inclusion in the transparency log", "agreements", "Text"),
    POST("/api/v1/agreements/{id}/orders", post_order, "Stop, resume or terminate (a signed order)", "agreements", "Binary", "Agreement", 0),
    POST("/api/v1/datasets", post_dataset, "Announce a sealed dataset by its manifest", "datasets", "Binary", "Dataset", 0),
    GET("/api/v1/datasets", get_datasets, "Datasets of the caller; ?id= the newest version of one", "datasets", "Datasets"),
    GET("/api/v1/datasets/{version}", get_dataset, "One version", "datasets", "Dataset"),
    GET("/api/v1/datasets/{version}/manifest", get_manifest, "The owner's signed manifest", "datasets", "Binary"),
    {CLO_GATEWAY_PUT, "/api/v1/datasets/{version}/content", CLO_GATEWAY_AUTH_PARTY, 0, (uint64_t)1 << 50, NULL, NULL, NULL, &noted_upload,
     "datasets", "Upload sealed chunks from ?offset= on", "Binary", "Dataset", 0},
    POST("/api/v1/runs", post_run, "Start a run (a signed request)", "runs", "Binary", "Run", 202),
    GET("/api/v1/runs", get_runs, "Runs of the caller's agreements", "runs", "Runs"),
    GET("/api/v1/runs/{id}", get_run, "One run", "runs", "Run"),
    POST("/api/v1/runs/{id}/cancel", post_cancel, "End a run", "runs", NULL, "Run", 0),
    GET("/api/v1/runs/{id}/events", get_run_events, "Progress as server-sent events", "runs", "Text"),
    GET("/api/v1/outputs", get_outputs, "Runs whose output the caller receives", "outputs", "Runs"),
    GET("/api/v1/outputs/{id}", get_output, "The sealed output", "outputs", "Binary"),
    GET("/api/v1/outputs/{id}/shares", get_shares, "The sealed shares of the output's key", "outputs", "Binary"),
    GET("/api/v1/receipts", get_receipts, "Runs that have a receipt", "receipts", "Runs"),
    GET("/api/v1/receipts/{id}", get_receipt, "The receipt", "receipts", "Binary"),
    GET("/api/v1/explain/{id}", get_explain, "Why a run or a request was refused", "operator", "Reason"),
    GET("/events", get_events, "Progress of all the caller's runs as server-sent events", "runs", "Text"),
    OPEN("/log/checkpoint", get_checkpoint, "Signed, witnessed checkpoint (C2SP tlog-tiles)", "log", "Text"),
    OPEN("/log/tile/{path*}", get_tile, "Tiles and entry bundles (C2SP tlog-tiles)", "log", "Binary"),
};
const size_t clo_service_route_count = sizeof clo_service_routes / sizeof clo_service_routes[0];
