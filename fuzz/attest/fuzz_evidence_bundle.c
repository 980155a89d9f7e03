/* Any bytes as a bundle: what decodes encodes to the same bytes again; the verdict is never valid under an empty list of roots. */
#include "attest/attest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    clo_arena a;
    clo_buf again;
    clo_arena_init(&a, 1 << 22);
    clo_buf_init(&again, 1 << 20);
    clo_attest_bundle b;
    clo_span in = clo_span_of(data, size);
    if (!clo_failed(clo_attest_bundle_decode(&a, in, &b)) && b.ek.n != 0 && b.crl.n != 0) {
        if (clo_failed(clo_attest_bundle_encode(&b, &again)) || !clo_span_equal(in, clo_buf_span(&again))) abort();
    }
    clo_attest_policy p;
    clo_attest_policy_init(&p);
    p.allow_simulated = true;
    if (!clo_failed(clo_attest_verify_bundle(&a, NULL, in, &p, 1800000000, &result)) && result.valid) abort();
    clo_buf_free(&again);
    clo_arena_free(&a);
    return 0;
}
