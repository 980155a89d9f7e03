/* Any bytes as a collection of CCA tokens: never a crash, never valid by a platform key that nobody has; a claims set in JSON as itself. */
#include "attest/attest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    static const char key[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"eeupDov0UKZ1FXatRZmwet-TjaO7C9F9ADbtSaLQ_D8\",\"y\":\"v836iVa1aL_bhnPmSNi1jZKZVbFKJsMIDzQRfZcdaGQ\"}";
    clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.claims_only = size != 0 && data[0] == '{';
    clo_attest_part part = {.role = "report", .bytes = clo_span_of(data, size)}, cpak = {.role = "cpak_public", .bytes = clo_span_of(key, sizeof key - 1)};
    if (!clo_failed(clo_attest_verify(&a, "cca", &part, 1, &cpak, 1, &p, 1, &result)) && result.valid && !p.claims_only) abort();
    clo_arena_free(&a);
    return 0;
}
