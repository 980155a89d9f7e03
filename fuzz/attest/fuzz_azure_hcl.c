/* Any bytes as an HCL report: one verdict, never valid (no hardware signed it), and its claims are read as if the hardware had vouched for them. */
#include "attest/azure_hcl.h"
#include "wire/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    clo_arena a;
    azure_hcl hcl;
    clo_arena_init(&a, 128 * 1024);
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    clo_attest_part part = {.role = "hcl_report", .bytes = clo_span_of(data, size)};
    if (!clo_failed(clo_attest_verify(&a, "azure-vtpm", &part, 1, NULL, 0, &p, 0, &result)) && result.valid) abort();
    clo_wire_node *claims = NULL;
    clo_crypto_verify_key *ak = NULL;
    if (!clo_failed(clo_attest_azure_hcl_parse(part.bytes, &hcl)) && !clo_failed(clo_wire_json_decode_bounded(&a, hcl.claims, 128, 6, &claims)) &&
        claims->type == CLO_WIRE_MAP && !clo_failed(clo_attest_azure_ak(&a, claims, &ak)))
        clo_crypto_verify_key_free(&ak);
    clo_arena_free(&a);
    return 0;
}
