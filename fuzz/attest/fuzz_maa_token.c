/* Any bytes as a token of Azure Attestation: never a crash; never valid by a key set that did not sign it. Once with the signature skipped, so
 * that the claims are reached. */
#include "attest/attest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    static const char keys[] = "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"u8KooSPebGm0533eLf8gWM5LPIwBwtOW9vQacHkRXrtXLQ7VvHBJAhW1vdKiju16awepFDQQE9yf6-IPLD7XU"
                               "WvZykjm7-RcZWLpB8Qbl7thO5bGLhItuhXnrMOnilPiREFZyGW3zNAzjth2z1OifTfN9KiSYUrzUwVHe18Mz9zh9V-W8D8ufrKHzc4lq8kIpAeaZgbdWqvvuDpPHq5Q6_"
                               "uosIeW12DfliMSZLilhDB2GFHw97lLH0lgty4wllvUqKqUBQDRA87tiZpZG6WxFkWr_dvJ6I1TZHs0xaSkCUsm0lwd6jOeI9LVxKG8764JIO-aCt8Mij2MKSy232gDMw\","
                               "\"e\":\"AQAB\"}]}";
    clo_attest_part part = {.role = "report", .bytes = clo_span_of(data, size)}, jwks = {.role = "jwks", .bytes = clo_span_of(keys, sizeof keys - 1)};
    for (int skip = 0; skip < 2; skip++) {
        clo_arena a;
        clo_arena_init(&a, 1 << 20);
        clo_attest_policy p;
        clo_attest_policy_init_open(&p);
        p.skip_signature = skip != 0;
        p.expected_nonce = clo_span_of("hello", 5);
        if (!clo_failed(clo_attest_verify(&a, "maa", &part, 1, &jwks, 1, &p, 1665149033, &result)) && result.valid && skip == 0) abort();
        clo_arena_free(&a);
    }
    return 0;
}
