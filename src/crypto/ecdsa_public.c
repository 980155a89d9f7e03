/* Verification of ECDSA signatures of others over public data, by the product's own P-384 where the CPU can. Apart from sign.c, so that
 * what only checks the product's own messages (the enclave) is not made of it. */
#include "crypto/p384_verify.h"
#include "crypto/verify_key.h"
#include "crypto/crypto_int.h"
#include "crypto/hash.h"

static bool own_curve(const clo_crypto_public_key *raw) { return raw->alg == CLO_SIGN_ES384 && raw->n == 97 && clo_crypto_p384_available(); }

/* The leftmost 384 bits of the digest; a shorter one is a smaller number (FIPS 186-5, 6.4.2). */
static bool own_verify(const clo_crypto_public_key *raw, clo_span digest, const uint8_t rs[96])
{
    uint8_t e[48] = {0};
    if (digest.n >= sizeof e) {
        memcpy(e, digest.p, sizeof e);
    } else {
        memcpy(e + sizeof e - digest.n, digest.p, digest.n);
    }
    return clo_crypto_p384_verify(raw->bytes, e, rs);
}

static bool openssl_verify(EVP_PKEY *key, clo_span digest, clo_span der)
{
    CLO_AUTO(clo_crypto_pkey_ctx_auto) EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    return ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_verify(ctx, der.p, der.n, digest.p, digest.n) == 1;
}

bool clo_crypto_ecdsa_check(const clo_crypto_public_key *raw, EVP_PKEY *key, clo_span digest, clo_span der)
{
    uint8_t rs[96], again[CLO_CRYPTO_ECDSA_DER_MAX];
    if (!own_curve(raw)) return openssl_verify(key, digest, der);
    /* Only the one DER form of the two numbers. */
    return clo_crypto_ecdsa_p1363(CLO_SIGN_ES384, der.p, der.n, rs) &&
           clo_span_equal(clo_span_of(again, clo_crypto_ecdsa_der(clo_span_of(rs, sizeof rs), again, sizeof again)), der) && own_verify(raw, digest, rs);
}

bool clo_crypto_ecdsa_check_p1363(const clo_crypto_public_key *raw, EVP_PKEY *key, clo_span digest, clo_span rs)
{
    uint8_t der[CLO_CRYPTO_ECDSA_DER_MAX];
    if (own_curve(raw)) return rs.n == 96 && own_verify(raw, digest, rs.p);
    size_t n = clo_crypto_ecdsa_der(rs, der, sizeof der);
    return n != 0 && openssl_verify(key, digest, clo_span_of(der, n));
}

clo_err clo_crypto_verify_public(const clo_crypto_public_key *pk, clo_span message, clo_span signature)
{
    uint8_t digest[48];
    if (!own_curve(pk)) return clo_crypto_verify(pk, message, signature);
    CLO_CHECKF(signature.n == 96, CLO_E_BAD_SIGNATURE, "the signature has %zu bytes, this algorithm makes 96", signature.n);
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, message, digest));
    if (!own_verify(pk, clo_span_of(digest, sizeof digest), signature.p))
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the signature does not verify: the bytes were altered or another key signed");
    return CLO_OK;
}
