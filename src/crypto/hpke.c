/* HPKE, RFC 9180: the key encapsulation is in hpke_kem.c, the key schedule and the message contexts are here. */
#include "crypto/hpke.h"
#include "crypto/aead.h"
#include "crypto/hpke_int.h"
#include <stdlib.h>

const clo_crypto_hpke_suite CLO_HPKE_DEFAULT = {CLO_HPKE_KEM_X25519, CLO_HPKE_KDF_SHA256, CLO_HPKE_AEAD_AES256GCM};

struct clo_crypto_hpke_context {
    clo_crypto_hash_alg hash;
    uint16_t aead_id;
    clo_crypto_aead_alg aead;
    bool sender;
    uint8_t suite_id[10];
    uint8_t key[32];
    uint8_t base_nonce[CLO_AEAD_NONCE];
    uint8_t exporter[CLO_HASH_MAX];
    uint64_t sequence;
};

void clo_crypto_hpke_context_free(clo_crypto_hpke_context **c)
{
    if (*c == NULL) return;
    clo_wipe(*c, sizeof **c);
    free(*c);
    *c = NULL;
}

clo_err clo_crypto_hpke_labeled_extract(clo_crypto_hash_alg hash, clo_span suite_id, clo_span salt, const char *label,
                                        clo_span ikm, uint8_t *prk)
{
    clo_span parts[4] = {clo_span_str("HPKE-v1"), suite_id, clo_span_str(label), ikm};
    return clo_crypto_hmac_parts(hash, salt, parts, 4, prk);
}

clo_err clo_crypto_hpke_labeled_expand(clo_crypto_hash_alg hash, clo_span suite_id, clo_span prk, const char *label,
                                       const clo_span *info, size_t info_count, uint8_t *out, size_t n)
{
    CLO_CHECKF(info_count <= 3, CLO_E_BUG, "an HPKE label has at most 3 parts of info");
    CLO_CHECKF(n <= 0xffff, CLO_E_RANGE, "HPKE derives at most 65535 bytes");
    uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    clo_span parts[7] = {clo_span_of(length, 2), clo_span_str("HPKE-v1"), suite_id, clo_span_str(label)};
    for (size_t i = 0; i < info_count; i++) parts[4 + i] = info[i];
    return clo_crypto_hkdf_expand_parts(hash, prk, parts, 4 + info_count, out, n);
}

static clo_err suite_check(const clo_crypto_hpke_suite *suite, clo_crypto_hpke_context *c)
{
    CLO_CHECKF(clo_crypto_hpke_public_size(suite->kem) != 0, CLO_E_UNSUPPORTED, "HPKE KEM 0x%04x is not available", suite->kem);
    switch (suite->kdf) {
    case CLO_HPKE_KDF_SHA256:
        c->hash = CLO_HASH_SHA256;
        break;
    case CLO_HPKE_KDF_SHA384:
        c->hash = CLO_HASH_SHA384;
        break;
    case CLO_HPKE_KDF_SHA512:
        c->hash = CLO_HASH_SHA512;
        break;
    default:
        return CLO_FAILF(CLO_E_UNSUPPORTED, "HPKE KDF 0x%04x is not available", suite->kdf);
    }
    switch (suite->aead) {
    case CLO_HPKE_AEAD_AES128GCM:
        c->aead = CLO_AEAD_AES_128_GCM;
        break;
    case CLO_HPKE_AEAD_AES256GCM:
        c->aead = CLO_AEAD_AES_256_GCM;
        break;
    case CLO_HPKE_AEAD_CHACHA20:
        c->aead = CLO_AEAD_CHACHA20_POLY1305;
        break;
    case CLO_HPKE_AEAD_EXPORT:
        break;
    default:
        return CLO_FAILF(CLO_E_UNSUPPORTED, "HPKE AEAD 0x%04x is not available", suite->aead);
    }
    c->aead_id = suite->aead;
    uint16_t ids[3] = {suite->kem, suite->kdf, suite->aead};
    memcpy(c->suite_id, "HPKE", 4);
    for (size_t i = 0; i < 3; i++) {
        c->suite_id[4 + 2 * i] = (uint8_t)(ids[i] >> 8);
        c->suite_id[5 + 2 * i] = (uint8_t)ids[i];
    }
    return CLO_OK;
}

/* VerifyPSKInputs, RFC 9180 §5.1, and the rule of §9.5 that a PSK has at least 32 bytes. */
static clo_err psk_check(const clo_crypto_hpke_setup *setup)
{
    CLO_CHECKF(setup->mode >= CLO_HPKE_BASE && setup->mode <= CLO_HPKE_AUTH_PSK, CLO_E_UNSUPPORTED, "HPKE mode %d is unknown",
               setup->mode);
    bool wanted = setup->mode == CLO_HPKE_PSK || setup->mode == CLO_HPKE_AUTH_PSK;
    CLO_CHECKF((setup->psk.n != 0) == (setup->psk_id.n != 0), CLO_E_USAGE, "an HPKE pre-shared key and its id go together");
    CLO_CHECKF((setup->psk.n != 0) == wanted, CLO_E_USAGE, "HPKE mode %d %s a pre-shared key", setup->mode,
               wanted ? "needs" : "takes no");
    CLO_CHECKF(!wanted || setup->psk.n >= 32, CLO_E_RANGE, "an HPKE pre-shared key has at least 32 bytes");
    return CLO_OK;
}

/* KeySchedule, RFC 9180 §5.1. */
static clo_err schedule(clo_crypto_hpke_context *c, const clo_crypto_hpke_setup *setup, const uint8_t shared[32])
{
    size_t hash_size = clo_crypto_hash_size(c->hash);
    clo_span suite = clo_span_of(c->suite_id, sizeof c->suite_id), none = clo_span_of(NULL, 0);
    uint8_t mode = (uint8_t)setup->mode, psk_id_hash[CLO_HASH_MAX], info_hash[CLO_HASH_MAX];
    CLO_TRY(clo_crypto_hpke_labeled_extract(c->hash, suite, none, "psk_id_hash", setup->psk_id, psk_id_hash));
    CLO_TRY(clo_crypto_hpke_labeled_extract(c->hash, suite, none, "info_hash", setup->info, info_hash));
    clo_span context[3] = {clo_span_of(&mode, 1), clo_span_of(psk_id_hash, hash_size), clo_span_of(info_hash, hash_size)};
    uint8_t secret[CLO_HASH_MAX];
    clo_span secret_span = clo_span_of(secret, hash_size);
    clo_err e = clo_crypto_hpke_labeled_extract(c->hash, suite, clo_span_of(shared, 32), "secret", setup->psk, secret);
    if (!clo_failed(e))
        e = clo_crypto_hpke_labeled_expand(c->hash, suite, secret_span, "exp", context, 3, c->exporter, hash_size);
    if (!clo_failed(e) && c->aead_id != CLO_HPKE_AEAD_EXPORT) {
        e = clo_crypto_hpke_labeled_expand(c->hash, suite, secret_span, "key", context, 3, c->key,
                                           clo_crypto_aead_key_size(c->aead));
        if (!clo_failed(e))
            e = clo_crypto_hpke_labeled_expand(c->hash, suite, secret_span, "base_nonce", context, 3, c->base_nonce,
                                               CLO_AEAD_NONCE);
    }
    clo_wipe(secret, sizeof secret);
    return e;
}

clo_err clo_crypto_hpke_sender(clo_crypto_hpke_context **out, const clo_crypto_hpke_setup *setup,
                               const clo_crypto_hpke_public *recipient, clo_crypto_hpke_public *enc)
{
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    c->sender = true;
    CLO_TRY(suite_check(&setup->suite, c));
    CLO_TRY(psk_check(setup));
    bool auth = setup->mode == CLO_HPKE_AUTH || setup->mode == CLO_HPKE_AUTH_PSK;
    CLO_CHECKF(auth == (setup->sender_key != NULL), CLO_E_USAGE, "HPKE mode %d %s a sender key", setup->mode,
               auth ? "needs" : "takes no");
    CLO_KEY32(shared);
    clo_crypto_hpke_public made;
    CLO_TRY(clo_crypto_hpke_encap(setup->suite.kem, recipient, setup->sender_key, setup->ephemeral, &shared, &made));
    CLO_TRY(schedule(c, setup, shared.b));
    *enc = made;
    *out = CLO_TAKE(c);
    return CLO_OK;
}

clo_err clo_crypto_hpke_recipient(clo_crypto_hpke_context **out, const clo_crypto_hpke_setup *setup,
                                  const clo_crypto_hpke_private *sk, clo_span enc)
{
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    CLO_TRY(suite_check(&setup->suite, c));
    CLO_TRY(psk_check(setup));
    bool auth = setup->mode == CLO_HPKE_AUTH || setup->mode == CLO_HPKE_AUTH_PSK;
    CLO_CHECKF(auth == (setup->sender_public != NULL), CLO_E_USAGE, "HPKE mode %d %s a sender's public key", setup->mode,
               auth ? "needs" : "takes no");
    CLO_KEY32(shared);
    CLO_TRY(clo_crypto_hpke_decap(setup->suite.kem, sk, enc, setup->sender_public, &shared));
    CLO_TRY(schedule(c, setup, shared.b));
    *out = CLO_TAKE(c);
    return CLO_OK;
}

/* The nonce of the next message; the counter moves only when the message worked. */
static clo_err next_nonce(const clo_crypto_hpke_context *c, bool sender, uint8_t nonce[CLO_AEAD_NONCE])
{
    CLO_CHECKF(c->aead_id != CLO_HPKE_AEAD_EXPORT, CLO_E_UNSUPPORTED, "an export-only HPKE context carries no messages");
    CLO_CHECKF(c->sender == sender, CLO_E_USAGE, "an HPKE sender seals and a recipient opens");
    CLO_CHECKF(c->sequence != UINT64_MAX, CLO_E_TOO_MANY, "this HPKE context has carried all its messages; make a new one");
    memcpy(nonce, c->base_nonce, CLO_AEAD_NONCE);
    for (size_t i = 0; i < 8; i++) nonce[CLO_AEAD_NONCE - 1 - i] ^= (uint8_t)(c->sequence >> (8 * i));
    return CLO_OK;
}

clo_err clo_crypto_hpke_context_seal(clo_crypto_hpke_context *c, clo_span aad, clo_span in, clo_buf *out)
{
    uint8_t nonce[CLO_AEAD_NONCE];
    CLO_TRY(next_nonce(c, true, nonce));
    CLO_CHECK(in.n <= SIZE_MAX - CLO_AEAD_TAG, CLO_E_OVERFLOW);
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, in.n + CLO_AEAD_TAG, &at));
    CLO_TRY(clo_crypto_aead_seal(c->aead, c->key, clo_span_of(nonce, sizeof nonce), aad, in, at));
    out->len += in.n + CLO_AEAD_TAG;
    c->sequence++;
    return CLO_OK;
}

clo_err clo_crypto_hpke_context_open(clo_crypto_hpke_context *c, clo_span aad, clo_span in, clo_buf *out)
{
    uint8_t nonce[CLO_AEAD_NONCE];
    CLO_TRY(next_nonce(c, false, nonce));
    CLO_CHECKF(in.n >= CLO_AEAD_TAG, CLO_E_TRUNCATED, "a sealed message of %zu bytes is shorter than its tag", in.n);
    uint8_t *at = NULL;
    uint8_t nothing = 0;
    CLO_TRY(clo_buf_reserve(out, in.n - CLO_AEAD_TAG, &at));
    CLO_TRY(clo_crypto_aead_open(c->aead, c->key, clo_span_of(nonce, sizeof nonce), aad, in, at != NULL ? at : &nothing));
    out->len += in.n - CLO_AEAD_TAG;
    c->sequence++;
    return CLO_OK;
}

clo_err clo_crypto_hpke_context_export(clo_crypto_hpke_context *c, clo_span exporter_context, uint8_t *out, size_t n)
{
    return clo_crypto_hpke_labeled_expand(c->hash, clo_span_of(c->suite_id, sizeof c->suite_id),
                                          clo_span_of(c->exporter, clo_crypto_hash_size(c->hash)), "sec", &exporter_context, 1,
                                          out, n);
}

clo_err clo_crypto_hpke_context_seek(clo_crypto_hpke_context *c, uint64_t sequence)
{
    CLO_CHECKF(sequence >= c->sequence, CLO_E_USAGE, "an HPKE sequence never goes back: a nonce would be used twice");
    c->sequence = sequence;
    return CLO_OK;
}

clo_err clo_crypto_hpke_seal(const uint8_t recipient[32], clo_span info, clo_span aad, clo_span in, clo_buf *out)
{
    clo_crypto_hpke_setup setup = {.suite = CLO_HPKE_DEFAULT, .mode = CLO_HPKE_BASE, .info = info};
    clo_crypto_hpke_public to = {.kem = CLO_HPKE_KEM_X25519, .n = 32}, enc = {.n = 0};
    memcpy(to.bytes, recipient, 32);
    CLO_CHECK(in.n <= SIZE_MAX - 48, CLO_E_OVERFLOW);
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, in.n + 48, &at)); /* so that a full buffer fails before anything is appended */
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *c = NULL;
    CLO_TRY(clo_crypto_hpke_sender(&c, &setup, &to, &enc));
    size_t before = out->len;
    CLO_TRY(clo_buf_put(out, enc.bytes, enc.n));
    clo_err e = clo_crypto_hpke_context_seal(c, aad, in, out);
    if (clo_failed(e)) out->len = before;
    return e;
}

clo_err clo_crypto_hpke_open(const clo_key32 *secret, clo_span info, clo_span aad, clo_span in, uint8_t *plain, size_t plain_size)
{
    clo_crypto_hpke_setup setup = {.suite = CLO_HPKE_DEFAULT, .mode = CLO_HPKE_BASE, .info = info};
    CLO_AUTO(clo_crypto_hpke_private_wipe) clo_crypto_hpke_private sk = {.kem = CLO_HPKE_KEM_X25519};
    clo_key32_copy(&sk.secret, secret);
    clo_wipe(plain, plain_size);
    CLO_CHECKF(in.n >= 48 && plain_size == in.n - 48, CLO_E_TRUNCATED, "an HPKE message of %zu bytes does not carry %zu", in.n,
               plain_size);
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *c = NULL;
    CLO_TRY(clo_crypto_hpke_recipient(&c, &setup, &sk, clo_span_of(in.p, 32)));
    uint8_t nonce[CLO_AEAD_NONCE];
    CLO_TRY(next_nonce(c, false, nonce));
    return clo_crypto_aead_open(c->aead, c->key, clo_span_of(nonce, sizeof nonce), aad, clo_span_of(in.p + 32, in.n - 32), plain);
}
