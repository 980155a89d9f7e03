/* Any bytes as a PSA token, signed or with a MAC: never a crash, never valid by a key that nobody has; a claims set in JSON as itself. */
#include "attest/attest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    static const char key[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}";
    static const uint8_t secret[32] = {1, 2, 3};
    clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.allow_mac = true;
    p.claims_only = size != 0 && data[0] == '{';
    clo_attest_part part = {.role = "report", .bytes = clo_span_of(data, size)};
    clo_attest_part keys[2] = {{.role = "iak_public", .bytes = clo_span_of(key, sizeof key - 1)}, {.role = "iak_mac", .bytes = clo_span_of(secret, sizeof secret)}};
    if (!clo_failed(clo_attest_verify(&a, "psa", &part, 1, keys, 2, &p, 1, &result)) && result.valid && !p.claims_only) abort();
    clo_arena_free(&a);
    return 0;
}
