/* SHA-2, HMAC and HKDF. */
#include "crypto/hash.h"
#include "crypto/crypto_int.h"
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>

size_t clo_crypto_hash_size(clo_crypto_hash_alg alg)
{
    switch (alg) {
    case CLO_HASH_SHA256:
        return 32;
    case CLO_HASH_SHA384:
        return 48;
    case CLO_HASH_SHA512:
        return 64;
    case CLO_HASH_SHA224:
        return 28;
    case CLO_HASH_SHA512_256:
        return 32;
    case CLO_HASH_SHA1:
        return 20;
    default:
        return 0;
    }
}

struct clo_crypto_hasher {
    EVP_MD_CTX *ctx;
    bool ended;
};

void clo_crypto_hasher_free(clo_crypto_hasher **h)
{
    if (*h == NULL) return;
    EVP_MD_CTX_free((*h)->ctx);
    free(*h);
    *h = NULL;
}

clo_err clo_crypto_hasher_new(clo_crypto_hasher **out, clo_crypto_hash_alg alg)
{
    const EVP_MD *md = clo_crypto_md(alg);
    if (md == NULL) return clo_crypto_fail(CLO_E_UNSUPPORTED, "this hash is not available");
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = calloc(1, sizeof *h);
    CLO_CHECK(h != NULL, CLO_E_NOMEM);
    h->ctx = EVP_MD_CTX_new();
    CLO_CHECK(h->ctx != NULL, CLO_E_NOMEM);
    if (EVP_DigestInit_ex2(h->ctx, md, NULL) != 1) return clo_crypto_fail(CLO_E_NOMEM, "the hash could not start");
    *out = CLO_TAKE(h);
    return CLO_OK;
}

clo_err clo_crypto_hasher_put(clo_crypto_hasher *h, clo_span in)
{
    CLO_CHECKF(!h->ended, CLO_E_BUG, "a hash that has ended takes no more input");
    if (in.n != 0 && EVP_DigestUpdate(h->ctx, in.p, in.n) != 1) return clo_crypto_fail(CLO_E_BUG, "the hash failed");
    return CLO_OK;
}

clo_err clo_crypto_hasher_end(clo_crypto_hasher *h, uint8_t *out)
{
    CLO_CHECKF(!h->ended, CLO_E_BUG, "a hash ends once");
    h->ended = true;
    if (EVP_DigestFinal_ex(h->ctx, out, NULL) != 1) return clo_crypto_fail(CLO_E_BUG, "the hash failed");
    return CLO_OK;
}

clo_err clo_crypto_hash(clo_crypto_hash_alg alg, clo_span in, uint8_t *out)
{
    const EVP_MD *md = clo_crypto_md(alg);
    if (md == NULL) return clo_crypto_fail(CLO_E_UNSUPPORTED, "this hash is not available");
    if (EVP_Digest(in.n != 0 ? (const void *)in.p : (const void *)"", in.n, out, NULL, md, NULL) != 1)
        return clo_crypto_fail(CLO_E_NOMEM, "the hash failed");
    return CLO_OK;
}

clo_err clo_crypto_sha256(clo_span in, uint8_t out[32]) { return clo_crypto_hash(CLO_HASH_SHA256, in, out); }

/* A keyed HMAC context, given to the caller; NULL on failure. */
static EVP_MAC_CTX *hmac_start(clo_crypto_hash_alg alg, clo_span key)
{
    EVP_MAC *mac = clo_crypto_mac();
    if (mac == NULL || clo_crypto_md(alg) == NULL) return NULL;
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    if (ctx == NULL) return NULL;
    char digest[24] = ""; /* the parameter is not const in OpenSSL */
    (void)snprintf(digest, sizeof digest, "%s", EVP_MD_get0_name(clo_crypto_md(alg)));
    OSSL_PARAM params[2] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    /* An empty key must still be a key: OpenSSL takes NULL for "keep the old one". */
    static const uint8_t empty[1] = {0};
    if (EVP_MAC_init(ctx, key.n != 0 ? key.p : empty, key.n, params) == 1) return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static bool hmac_put(EVP_MAC_CTX *ctx, clo_span part) { return part.n == 0 || EVP_MAC_update(ctx, part.p, part.n) == 1; }

clo_err clo_crypto_hmac_parts(clo_crypto_hash_alg alg, clo_span key, const clo_span *parts, size_t count, uint8_t *out)
{
    CLO_AUTO(clo_crypto_mac_ctx_auto) EVP_MAC_CTX *ctx = hmac_start(alg, key);
    bool ok = ctx != NULL;
    for (size_t i = 0; ok && i < count; i++) ok = hmac_put(ctx, parts[i]);
    size_t n = 0;
    size_t size = clo_crypto_hash_size(alg);
    if (ok && EVP_MAC_final(ctx, out, &n, size) == 1 && n == size) return CLO_OK;
    clo_wipe(out, size);
    return clo_crypto_fail(CLO_E_NOMEM, "HMAC failed");
}

clo_err clo_crypto_hmac(clo_crypto_hash_alg alg, clo_span key, clo_span in, uint8_t *out)
{
    return clo_crypto_hmac_parts(alg, key, &in, 1, out);
}

clo_err clo_crypto_hkdf_extract(clo_crypto_hash_alg alg, clo_span salt, clo_span ikm, uint8_t *prk)
{
    /* An absent salt is a run of zeros of the hash size (RFC 5869 §2.2), which HMAC makes of the empty key too. */
    return clo_crypto_hmac_parts(alg, salt, &ikm, 1, prk);
}

enum { EXPAND_PARTS = 7 };

clo_err clo_crypto_hkdf_expand_parts(clo_crypto_hash_alg alg, clo_span prk, const clo_span *parts, size_t count, uint8_t *out,
                                     size_t out_size)
{
    size_t size = clo_crypto_hash_size(alg);
    CLO_CHECKF(size != 0, CLO_E_UNSUPPORTED, "this hash is not available");
    CLO_CHECKF(out_size <= 255 * size, CLO_E_RANGE, "HKDF gives at most %zu bytes with this hash, asked for %zu", 255 * size,
               out_size);
    CLO_CHECKF(count <= EXPAND_PARTS, CLO_E_BUG, "HKDF info has at most %d parts", EXPAND_PARTS);
    uint8_t block[CLO_HASH_MAX] = {0};
    uint8_t counter = 0;
    clo_span input[EXPAND_PARTS + 2];
    for (size_t i = 0; i < count; i++) input[i + 1] = parts[i];
    input[count + 1] = clo_span_of(&counter, 1);
    for (size_t done = 0; done < out_size; done += size) {
        input[0] = clo_span_of(block, counter == 0 ? 0 : size);
        counter = (uint8_t)(counter + 1u);
        clo_err e = clo_crypto_hmac_parts(alg, prk, input, count + 2, block);
        if (clo_failed(e)) {
            clo_wipe(block, sizeof block);
            clo_wipe(out, out_size);
            return e;
        }
        memcpy(out + done, block, out_size - done < size ? out_size - done : size);
    }
    clo_wipe(block, sizeof block);
    return CLO_OK;
}

clo_err clo_crypto_hkdf_expand(clo_crypto_hash_alg alg, clo_span prk, clo_span info, uint8_t *out, size_t out_size)
{
    return clo_crypto_hkdf_expand_parts(alg, prk, &info, 1, out, out_size);
}

clo_err clo_crypto_hkdf(clo_crypto_hash_alg alg, clo_span salt, clo_span ikm, clo_span info, uint8_t *out, size_t out_size)
{
    uint8_t prk[CLO_HASH_MAX] = {0};
    size_t size = clo_crypto_hash_size(alg);
    clo_err e = clo_crypto_hkdf_extract(alg, salt, ikm, prk);
    if (!clo_failed(e)) e = clo_crypto_hkdf_expand(alg, clo_span_of(prk, size), info, out, out_size);
    clo_wipe(prk, sizeof prk);
    return e;
}
