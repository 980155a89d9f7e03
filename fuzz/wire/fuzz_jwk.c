/* Any text as a key and as a key set. */
#include "base/clo_own.h"
#include "wire/json.h"
#include "wire/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *found = NULL;
    clo_wire_node *jwk = NULL;
    clo_arena_init(&a, (size_t)1 << 22);
    clo_span in = clo_span_of(data, size);
    clo_err e = clo_wire_json_decode_bounded(&a, in, CLO_JWS_VALUES_MAX, CLO_JWS_DEPTH_MAX, &jwk);
    if (!clo_failed(e)) e = clo_wire_jwk_read(&a, jwk, &key);
    e = clo_wire_jwks_find(&a, in, clo_span_str("a"), CLO_SCHEME_ES256, &found);
    (void)e; /* either verdict is right here; only crashes count */
    return 0;
}
