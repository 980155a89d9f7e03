/* Any bytes as a public key in one of its forms: never a crash. */
#include "wire/public_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_crypto_verify_key *key = NULL;
    if (!clo_failed(clo_wire_public_key_read(&a, clo_span_of(data, size), &key))) clo_crypto_verify_key_free(&key);
    clo_arena_free(&a);
    return 0;
}
