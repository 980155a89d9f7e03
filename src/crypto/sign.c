/* Signatures over OpenSSL's EVP: Ed25519 and ECDSA with r‖s signatures. */
#include "crypto/sign.h"
#include "base/clo_ct.h"
#include "crypto/crypto_int.h"
#include "crypto/hash.h"
#include <openssl/ec.h>
#include <stdlib.h>

size_t clo_crypto_signature_size(clo_crypto_sign_alg alg)
{
    switch (alg) {
    case CLO_SIGN_ED25519:
    case CLO_SIGN_ES256:
        return 64;
    case CLO_SIGN_ES384:
        return 96;
    case CLO_SIGN_ES512:
        return 132;
    default:
        return 0;
    }
}

static const EVP_MD *sign_md(clo_crypto_sign_alg alg)
{
    switch (alg) {
    case CLO_SIGN_ES256:
        return clo_crypto_md(CLO_HASH_SHA256);
    case CLO_SIGN_ES384:
        return clo_crypto_md(CLO_HASH_SHA384);
    case CLO_SIGN_ES512:
        return clo_crypto_md(CLO_HASH_SHA512);
    case CLO_SIGN_ED25519:
    default:
        return NULL; /* Ed25519 hashes inside */
    }
}

void clo_crypto_private_key_wipe(clo_crypto_private_key *sk) { clo_wipe(sk->bytes, sizeof sk->bytes); }

bool clo_crypto_public_key_equal(const clo_crypto_public_key *a, const clo_crypto_public_key *b)
{
    return a->alg == b->alg && clo_span_equal(clo_crypto_public_key_span(a), clo_crypto_public_key_span(b));
}

static void ecdsa_sig_auto(ECDSA_SIG **s) { ECDSA_SIG_free(*s); }

bool clo_crypto_ecdsa_p1363(clo_crypto_sign_alg alg, const uint8_t *der, size_t n, uint8_t *out)
{
    int half = (int)(clo_crypto_signature_size(alg) / 2);
    const uint8_t *at = der;
    CLO_AUTO(ecdsa_sig_auto) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)n);
    return sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, half) == half &&
           BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, half) == half;
}

size_t clo_crypto_ecdsa_der(clo_span sig, uint8_t *der, size_t der_size)
{
    int half = (int)(sig.n / 2);
    CLO_AUTO(ecdsa_sig_auto) ECDSA_SIG *parsed = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig.p, half, NULL);
    BIGNUM *s = BN_bin2bn(sig.p + half, half, NULL);
    if (parsed == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(parsed, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return 0;
    }
    int n = i2d_ECDSA_SIG(parsed, NULL);
    if (n <= 0 || (size_t)n > der_size) return 0;
    uint8_t *at = der;
    return i2d_ECDSA_SIG(parsed, &at) == n ? (size_t)n : 0;
}

enum { DER_MAX = CLO_CRYPTO_ECDSA_DER_MAX };

static clo_err sign_with(EVP_PKEY *key, clo_crypto_sign_alg alg, clo_span message, uint8_t *signature)
{
    size_t size = clo_crypto_signature_size(alg);
    CLO_AUTO(clo_crypto_md_ctx_auto) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CLO_CHECK(ctx != NULL, CLO_E_NOMEM);
    static const uint8_t empty[1] = {0};
    const uint8_t *m = message.n != 0 ? message.p : empty;
    uint8_t made[DER_MAX];
    size_t n = sizeof made;
    if (EVP_DigestSignInit(ctx, NULL, sign_md(alg), NULL, key) != 1 || EVP_DigestSign(ctx, made, &n, m, message.n) != 1)
        return clo_crypto_fail(CLO_E_RNG, "signing failed inside OpenSSL");
    if (alg != CLO_SIGN_ED25519) {
        uint8_t fixed[CLO_SIGNATURE_MAX];
        if (!clo_crypto_ecdsa_p1363(alg, made, n, fixed))
            return clo_crypto_fail(CLO_E_BUG, "OpenSSL made a signature of unknown form");
        memcpy(signature, fixed, size);
        return CLO_OK;
    }
    CLO_CHECKF(n == size, CLO_E_BUG, "OpenSSL made a signature of unknown form");
    memcpy(signature, made, size);
    return CLO_OK;
}

clo_err clo_crypto_sign(const clo_crypto_private_key *sk, clo_span message, uint8_t *signature)
{
    CLO_CHECKF(clo_crypto_signature_size(sk->alg) != 0, CLO_E_UNSUPPORTED, "this signature algorithm is not available");
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pkey_private(sk, &key));
    return sign_with(key, sk->alg, message, signature);
}

static clo_err verify_native(EVP_PKEY *key, clo_crypto_sign_alg alg, clo_span message, clo_span signature)
{
    CLO_AUTO(clo_crypto_md_ctx_auto) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CLO_CHECK(ctx != NULL, CLO_E_NOMEM);
    static const uint8_t empty[1] = {0};
    const uint8_t *m = message.n != 0 ? message.p : empty;
    if (EVP_DigestVerifyInit(ctx, NULL, sign_md(alg), NULL, key) != 1)
        return clo_crypto_fail(CLO_E_NOMEM, "verification could not start");
    if (EVP_DigestVerify(ctx, signature.p, signature.n, m, message.n) != 1)
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE,
                               "the signature does not verify: the bytes were altered or another key signed");
    return CLO_OK;
}

static clo_err check_size(clo_crypto_sign_alg alg, clo_span signature)
{
    size_t size = clo_crypto_signature_size(alg);
    CLO_CHECKF(size != 0, CLO_E_UNSUPPORTED, "this signature algorithm is not available");
    CLO_CHECKF(signature.n == size, CLO_E_BAD_SIGNATURE, "the signature has %zu bytes, this algorithm makes %zu", signature.n,
               size);
    return CLO_OK;
}

static clo_err verify_with(EVP_PKEY *key, clo_crypto_sign_alg alg, clo_span message, clo_span signature)
{
    if (alg == CLO_SIGN_ED25519) return verify_native(key, alg, message, signature);
    uint8_t der[DER_MAX];
    size_t n = clo_crypto_ecdsa_der(signature, der, sizeof der);
    if (n == 0) return clo_crypto_fail(CLO_E_NOMEM, "the signature could not be read");
    return verify_native(key, alg, message, clo_span_of(der, n));
}

clo_err clo_crypto_verify(const clo_crypto_public_key *pk, clo_span message, clo_span signature)
{
    CLO_TRY(check_size(pk->alg, signature));
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pkey_public(pk, &key));
    return verify_with(key, pk->alg, message, signature);
}

clo_err clo_crypto_verify_der(const clo_crypto_public_key *pk, clo_span message, clo_span signature_der)
{
    CLO_CHECKF(pk->alg != CLO_SIGN_ED25519, CLO_E_UNSUPPORTED, "Ed25519 signatures have no DER form");
    CLO_CHECKF(signature_der.n != 0 && signature_der.n <= DER_MAX, CLO_E_BAD_SIGNATURE, "a DER signature of %zu bytes is refused",
               signature_der.n);
    /* OpenSSL encodes what it parsed again and compares: only the one DER form passes. */
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pkey_public(pk, &key));
    return verify_native(key, pk->alg, message, signature_der);
}

/* ---- loaded keys ---- */

struct clo_crypto_loaded_key {
    clo_crypto_sign_alg alg;
    bool secret;
    EVP_PKEY *key;
};

/* Takes the key. */
static clo_err loaded_new(clo_crypto_sign_alg alg, bool secret, EVP_PKEY *key, clo_crypto_loaded_key **out)
{
    clo_crypto_loaded_key *made = malloc(sizeof *made);
    if (made == NULL) {
        EVP_PKEY_free(key);
        return CLO_FAIL(CLO_E_NOMEM);
    }
    *made = (clo_crypto_loaded_key){alg, secret, key};
    *out = made;
    return CLO_OK;
}

clo_err clo_crypto_load_private(const clo_crypto_private_key *sk, clo_crypto_loaded_key **out)
{
    EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pkey_private(sk, &key));
    return loaded_new(sk->alg, true, key, out);
}

clo_err clo_crypto_load_public(const clo_crypto_public_key *pk, clo_crypto_loaded_key **out)
{
    EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pkey_public(pk, &key));
    return loaded_new(pk->alg, false, key, out);
}

clo_err clo_crypto_loaded_share(const clo_crypto_loaded_key *key, clo_crypto_loaded_key **out)
{
    if (EVP_PKEY_up_ref(key->key) != 1) return clo_crypto_fail(CLO_E_NOMEM, "the key could not be shared");
    return loaded_new(key->alg, key->secret, key->key, out);
}

void clo_crypto_loaded_free(clo_crypto_loaded_key **key)
{
    if (*key == NULL) return;
    EVP_PKEY_free((*key)->key);
    free(*key);
    *key = NULL;
}

clo_err clo_crypto_loaded_sign(const clo_crypto_loaded_key *key, clo_span message, uint8_t *signature)
{
    CLO_CHECKF(key->secret, CLO_E_UNSUPPORTED, "a public key signs nothing");
    return sign_with(key->key, key->alg, message, signature);
}

clo_err clo_crypto_loaded_verify(const clo_crypto_loaded_key *key, clo_span message, clo_span signature)
{
    CLO_CHECKF(!key->secret, CLO_E_UNSUPPORTED, "signatures are verified with the public key");
    CLO_TRY(check_size(key->alg, signature));
    return verify_with(key->key, key->alg, message, signature);
}
