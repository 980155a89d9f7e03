/* Any bytes as a token of Confidential Space: never a crash, never valid under a time at which no certificate holds. */
#include "attest/attest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.expected_nonce = clo_span_of("hello", 5);
    clo_attest_part part = {.role = "report", .bytes = clo_span_of(data, size)};
    if (!clo_failed(clo_attest_verify(&a, "gcp-confidential-space", &part, 1, NULL, 0, &p, 1, &result)) && result.valid) abort();
    clo_arena_free(&a);
    return 0;
}
