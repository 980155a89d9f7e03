/* Proves that Ed25519 signatures and HMAC do not branch or index by the private key, and that a comparison of codes does not stop early. The
 * leak: a branch on a bit of the private key. */
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "ct_test.h"
#include <string.h>
#if !defined(PLANT_LEAK)
#define PLANT_LEAK 0
#endif

int main(void)
{
    static const uint8_t message[200] = {3};
    clo_crypto_private_key sk;
    clo_crypto_public_key pk;
    uint8_t signature[CLO_SIGNATURE_MAX], again[CLO_SIGNATURE_MAX], mac[32], guess[32] = {0};
    clo_key32 key;
    ct_must(clo_crypto_init());
    ct_must(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk));
    ct_must(clo_crypto_random(key.b, sizeof key.b));
    CLO_CT_SECRET(sk.bytes, 32);
    CLO_CT_SECRET(&key, sizeof key);
    ct_must(clo_crypto_sign(&sk, clo_span_of(message, sizeof message), signature));
    ct_must(clo_crypto_sign(&sk, clo_span_of(message, sizeof message), again));
    CLO_CT_PUBLIC(signature, sizeof signature);
    CLO_CT_PUBLIC(again, sizeof again);
    if (PLANT_LEAK && (sk.bytes[4] & 1) != 0) ct_observe("odd");
    ct_must(clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(key.b, sizeof key.b), clo_span_of(message, sizeof message), mac));
    int equal = !clo_ct_declassify(clo_ct_differ(mac, guess, sizeof mac));
    ct_must(clo_crypto_verify(&pk, clo_span_of(message, sizeof message), clo_span_of(signature, 64)));
    clo_crypto_private_key_wipe(&sk);
    return equal || memcmp(signature, again, 64) != 0 ? 3 : 0;
}
