/* Any bytes as an envelope with a statement: nothing is taken without its signature. */
#include "attest/intoto.h"
#include "base/clo_own.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 16 << 20);
    clo_attest_reference_set set;
    clo_crypto_public_key key = {.alg = CLO_SIGN_ED25519, .n = 32};
    for (size_t i = 0; i < 32; i++) key.bytes[i] = (uint8_t)(i + 1);
    clo_attest_intoto_use use = {.tee = "snp", .path = "measurement", .algorithm = "sha384", .signer = &key};
    if (clo_failed(clo_attest_references_init(&a, "f", 1, 0, &set))) return 0;
    if (!clo_failed(clo_attest_intoto_import(&a, clo_span_of(data, size), &use, &set))) abort();
    return 0;
}
