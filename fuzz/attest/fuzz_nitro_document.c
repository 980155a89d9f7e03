/* Any bytes as a Nitro attestation document: one verdict, never a crash, never valid (no document here is signed under AWS' root). */
#include "attest/attest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.allow_debug = true;
    p.expected_nonce = clo_span_str("nonce");
    clo_attest_part part = {.role = "report", .bytes = clo_span_of(data, size)};
    if (!clo_failed(clo_attest_verify(&a, "nitro", &part, 1, NULL, 0, &p, 1800000000, &result)) && result.valid) abort();
    clo_arena_free(&a);
    return 0;
}
