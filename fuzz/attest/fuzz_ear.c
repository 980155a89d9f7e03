/* Any bytes as an attestation result, by the type's verifier with a key set that signed none of them: never valid. */
#include "attest/attest.h"

#include <stdlib.h>
#include <string.h>

static const char keys[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"1\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\"y\":\"4Etl6SRW2YiLUr"
                           "N5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\"alg\":\"ES256\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    static clo_attest_policy p;
    clo_arena a;
    clo_arena_init(&a, 1 << 23);
    clo_attest_part part = {"report", clo_span_of(data, size)}, jwks = {"jwks", clo_span_of((const uint8_t *)keys, sizeof keys - 1)};
    clo_attest_policy_init_open(&p);
    if (clo_failed(clo_attest_verify(&a, "ear", &part, 1, &jwks, 1, &p, 1800000000, &result)) || result.valid) abort();
    clo_arena_free(&a);
    return 0;
}
