/* One-shot AEAD. */
#include "crypto/aead.h"
#include "base/clo_ct.h"
#include "crypto/crypto_int.h"
#include <limits.h>

size_t clo_crypto_aead_key_size(clo_crypto_aead_alg alg)
{
    switch (alg) {
    case CLO_AEAD_AES_128_GCM:
        return 16;
    case CLO_AEAD_AES_192_GCM:
        return 24;
    case CLO_AEAD_AES_256_GCM:
    case CLO_AEAD_CHACHA20_POLY1305:
        return 32;
    default:
        return 0;
    }
}

static clo_err nonce_check(clo_crypto_aead_alg alg, clo_span nonce)
{
    CLO_CHECKF(clo_crypto_aead_key_size(alg) != 0, CLO_E_UNSUPPORTED, "this AEAD algorithm is not available");
    size_t min = alg == CLO_AEAD_CHACHA20_POLY1305 ? CLO_AEAD_NONCE : 1;
    size_t max = alg == CLO_AEAD_CHACHA20_POLY1305 ? CLO_AEAD_NONCE : CLO_AEAD_NONCE_MAX;
    CLO_CHECKF(nonce.n >= min && nonce.n <= max, CLO_E_RANGE,
               "an AEAD nonce of %zu bytes is refused; use 12 random or counted bytes", nonce.n);
    return CLO_OK;
}

static EVP_CIPHER_CTX *aead_start(clo_crypto_aead_alg alg, const uint8_t *key, clo_span nonce, int encrypt)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) return NULL;
    if (EVP_CipherInit_ex2(ctx, clo_crypto_cipher(alg), NULL, NULL, encrypt, NULL) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)nonce.n, NULL) == 1 &&
        EVP_CipherInit_ex2(ctx, NULL, key, nonce.p, encrypt, NULL) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

/* EVP counts in int: long input goes in parts. out NULL = associated data. */
static bool aead_put(EVP_CIPHER_CTX *ctx, uint8_t *out, clo_span in)
{
    const size_t part_max = (size_t)1 << 30;
    for (size_t done = 0; done < in.n;) {
        size_t part = in.n - done < part_max ? in.n - done : part_max;
        int n = 0;
        if (EVP_CipherUpdate(ctx, out != NULL ? out + done : NULL, &n, in.p + done, (int)part) != 1) return false;
        if (out != NULL && (size_t)n != part) return false;
        done += part;
    }
    return true;
}

clo_err clo_crypto_aead_seal(clo_crypto_aead_alg alg, const uint8_t *key, clo_span nonce, clo_span aad, clo_span in, uint8_t *out)
{
    CLO_TRY(nonce_check(alg, nonce));
    CLO_CHECK(in.n <= SIZE_MAX - CLO_AEAD_TAG, CLO_E_OVERFLOW);
    CLO_AUTO(clo_crypto_cipher_ctx_auto) EVP_CIPHER_CTX *ctx = aead_start(alg, key, nonce, 1);
    uint8_t none[CLO_AEAD_TAG];
    int n = 0;
    if (ctx != NULL && aead_put(ctx, NULL, aad) && aead_put(ctx, out, in) && EVP_CipherFinal_ex(ctx, none, &n) == 1 && n == 0 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CLO_AEAD_TAG, out + in.n) == 1)
        return CLO_OK;
    clo_wipe(out, in.n + CLO_AEAD_TAG);
    return clo_crypto_fail(CLO_E_NOMEM, "sealing failed inside OpenSSL");
}

clo_err clo_crypto_aead_open(clo_crypto_aead_alg alg, const uint8_t *key, clo_span nonce, clo_span aad, clo_span in, uint8_t *out)
{
    CLO_CHECKF(in.n >= CLO_AEAD_TAG, CLO_E_TRUNCATED, "a sealed message of %zu bytes is shorter than its tag", in.n);
    size_t plain = in.n - CLO_AEAD_TAG;
    clo_err e = nonce_check(alg, nonce);
    if (clo_failed(e)) {
        clo_wipe(out, plain);
        return e;
    }
    uint8_t tag[CLO_AEAD_TAG]; /* a copy: EVP wants it writable */
    memcpy(tag, in.p + plain, sizeof tag);
    CLO_AUTO(clo_crypto_cipher_ctx_auto) EVP_CIPHER_CTX *ctx = aead_start(alg, key, nonce, 0);
    uint8_t none[CLO_AEAD_TAG];
    int n = 0;
    if (ctx != NULL && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CLO_AEAD_TAG, tag) == 1 && aead_put(ctx, NULL, aad) &&
        aead_put(ctx, out, clo_span_of(in.p, plain)) && EVP_CipherFinal_ex(ctx, none, &n) == 1 && n == 0)
        return CLO_OK;
    clo_wipe(out, plain);
    return clo_crypto_fail(CLO_E_AUTHENTICATION,
                           "the sealed message does not open: it was altered, or the key or its context is another");
}
