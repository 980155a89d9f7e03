/* Any text as a token: parsed or refused, and no token verifies under a key that never signed one. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* RFC 8032 §7.1, test 1: its secret key is public, but no corpus is signed with it. */
    static const clo_crypto_public_key pk = {.alg = CLO_SIGN_ED25519, .n = 32, .bytes = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
                                             0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7,
                                             0x07, 0x51, 0x1a}};
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_wire_jws jws;
    clo_crypto_scheme scheme = CLO_SCHEME_EDDSA;
    clo_arena_init(&a, (size_t)1 << 22);
    if (clo_failed(clo_wire_jws_parse(&a, clo_span_of(data, size), &jws))) return 0;
    if (clo_failed(clo_wire_jws_scheme(jws.alg, &scheme)) || clo_failed(clo_crypto_verify_key_of_public(&pk, &key))) return 0;
    if (!clo_failed(clo_wire_jws_verify(&jws, key, scheme))) abort();
    return 0;
}
