/* Handlers of the operator's HTTP interface, and what they share. */
#ifndef CLO_SERVICE_ROUTES_INT_H
#define CLO_SERVICE_ROUTES_INT_H
#include "collab/agreement.h"
#include "service/service_int.h"

/** Who sent the request, from its token and the registered parties (gateway seam). */
clo_err clo_service_authenticate(void *service, const clo_gateway_request *request, clo_gateway_principal *out);
/** The caller's registered party. */
CLO_R clo_service_caller(clo_service *s, const clo_gateway_request *request, clo_collab_party *out);
/** Path parameter `name` as n bytes of hex. NOT_FOUND where it is none: an id that cannot exist. */
CLO_R clo_service_param_id(const clo_gateway_request *request, const char *name, void *to, size_t n);
/** An agreement that the caller is a member of; NOT_FOUND else, so that strangers learn nothing. */
CLO_R clo_service_agreement_for(clo_service *s, const clo_gateway_request *request, const uint8_t id[32], clo_store_agreement *out);
/** The member of the agreement that sent the request (by key: the name at the operator is only a label). NOT_FOUND. */
CLO_R clo_service_member_of(const clo_collab_agreement *g, const clo_gateway_request *request, const clo_collab_member **out);
/** A run of such an agreement. */
CLO_R clo_service_run_for(clo_service *s, const clo_gateway_request *request, clo_store_run **out);
/** Parse the file of a stored agreement. */
CLO_R clo_service_agreement_parse(clo_arena *a, const clo_store_agreement *record, clo_collab_agreement **out, uint32_t *signed_mask);
/** Cursor and limit of a list. */
CLO_R clo_service_page(const clo_gateway_request *request, int64_t *before, size_t *max);
/** Answer {name: array, "next": cursor or null}. */
CLO_R clo_service_answer_list(const clo_gateway_request *request, clo_gateway_response *response, const char *name, clo_wire_node *array,
                              int64_t next);
CLO_R clo_service_set_hex(clo_arena *a, clo_wire_node *map, const char *key, const void *bytes, size_t n);

#define CLO_HANDLER(name) clo_err name(void *context, clo_gateway_request *request, clo_gateway_response *response)
CLO_HANDLER(clo_service_get_info);
CLO_HANDLER(clo_service_get_status);
CLO_HANDLER(clo_service_get_attestation);
CLO_HANDLER(clo_service_get_nonce);
CLO_HANDLER(clo_service_post_verify);
CLO_HANDLER(clo_service_get_certs);
CLO_HANDLER(clo_service_post_policy);
CLO_HANDLER(clo_service_get_policies);
CLO_HANDLER(clo_service_get_policy);
CLO_HANDLER(clo_service_post_values);
CLO_HANDLER(clo_service_get_values_list);
CLO_HANDLER(clo_service_get_values);
CLO_HANDLER(clo_service_get_evidences);
CLO_HANDLER(clo_service_get_evidence);
CLO_HANDLER(clo_service_get_history);
CLO_HANDLER(clo_service_put_collateral);
CLO_HANDLER(clo_service_get_collateral);
CLO_HANDLER(clo_service_post_party);
CLO_HANDLER(clo_service_get_parties);
CLO_HANDLER(clo_service_post_agreement);
CLO_HANDLER(clo_service_get_agreements);
CLO_HANDLER(clo_service_get_agreement);
CLO_HANDLER(clo_service_get_agreement_file);
CLO_HANDLER(clo_service_get_agreement_proof);
CLO_HANDLER(clo_service_post_order);
CLO_HANDLER(clo_service_post_dataset);
CLO_HANDLER(clo_service_get_datasets);
CLO_HANDLER(clo_service_get_dataset);
CLO_HANDLER(clo_service_get_manifest);
CLO_HANDLER(clo_service_post_run);
CLO_HANDLER(clo_service_get_runs);
CLO_HANDLER(clo_service_get_run);
CLO_HANDLER(clo_service_post_cancel);
CLO_HANDLER(clo_service_get_run_events);
CLO_HANDLER(clo_service_get_outputs);
CLO_HANDLER(clo_service_get_output);
CLO_HANDLER(clo_service_get_shares);
CLO_HANDLER(clo_service_get_receipts);
CLO_HANDLER(clo_service_get_receipt);
CLO_HANDLER(clo_service_get_explain);
CLO_HANDLER(clo_service_get_events);
CLO_HANDLER(clo_service_get_checkpoint);
CLO_HANDLER(clo_service_get_tile);
extern const clo_gateway_upload clo_service_dataset_upload;

/* status_sampler.c: the answer of compute/status, formatted once a second off the request path. */
CLO_R clo_service_sampler_start(clo_service *s);
void clo_service_sampler_stop(void);
/** A copy: an answer may be read slower than the text changes. */
CLO_R clo_service_sampler_text(clo_arena *a, clo_span *out);

#endif
