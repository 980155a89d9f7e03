/* DHKEM(X25519, HKDF-SHA256) and DHKEM(P-256, HKDF-SHA256), RFC 9180 §4.1 and §7.1. */
#include "crypto/hpke_int.h"

static clo_span kem_suite(uint16_t kem)
{
    static const uint8_t x25519[5] = {'K', 'E', 'M', 0x00, 0x20}, p256[5] = {'K', 'E', 'M', 0x00, 0x10};
    return clo_span_of(kem == CLO_HPKE_KEM_X25519 ? x25519 : p256, 5);
}

size_t clo_crypto_hpke_public_size(uint16_t kem)
{
    if (kem == CLO_HPKE_KEM_X25519) return CLO_HPKE_X25519_PUBLIC;
    return kem == CLO_HPKE_KEM_P256 ? CLO_HPKE_PUBLIC_MAX : 0;
}

static clo_err kem_check(uint16_t kem)
{
    CLO_CHECKF(clo_crypto_hpke_public_size(kem) != 0, CLO_E_UNSUPPORTED, "HPKE KEM 0x%04x is not available", kem);
    return CLO_OK;
}

void clo_crypto_hpke_private_wipe(clo_crypto_hpke_private *sk) { clo_key32_wipe(&sk->secret); }

clo_err clo_crypto_hpke_public_of(const clo_crypto_hpke_private *sk, clo_crypto_hpke_public *pk)
{
    CLO_TRY(kem_check(sk->kem));
    CLO_TRY(clo_crypto_init_quick());
    clo_crypto_hpke_public made = {.kem = sk->kem, .n = clo_crypto_hpke_public_size(sk->kem)};
    CLO_KEY32(own);
    clo_key32_copy(&own, &sk->secret);
    CLO_CT_PUBLIC(own.b, 32); /* as in dh: OpenSSL's arithmetic is its own concern */
    if (sk->kem == CLO_HPKE_KEM_P256) {
        CLO_TRY(clo_crypto_ec_public(CLO_SIGN_ES256, own.b, made.bytes));
    } else {
        CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, own.b, 32);
        size_t n = 32;
        if (key == NULL || EVP_PKEY_get_raw_public_key(key, made.bytes, &n) != 1 || n != 32)
            return clo_crypto_fail(CLO_E_NOMEM, "the public key could not be computed");
    }
    *pk = made;
    return CLO_OK;
}

clo_err clo_crypto_hpke_public_parse(uint16_t kem, clo_span bytes, clo_crypto_hpke_public *out)
{
    CLO_TRY(kem_check(kem));
    size_t want = clo_crypto_hpke_public_size(kem);
    CLO_CHECKF(bytes.n == want, CLO_E_MALFORMED, "the HPKE public key has %zu bytes, this KEM's have %zu", bytes.n, want);
    if (kem == CLO_HPKE_KEM_P256) {
        clo_crypto_public_key point;
        CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ES256, bytes, &point));
    }
    clo_crypto_hpke_public made = {.kem = kem, .n = want};
    memcpy(made.bytes, bytes.p, want);
    *out = made;
    return CLO_OK;
}

clo_err clo_crypto_hpke_generate(uint16_t kem, clo_crypto_hpke_private *sk, clo_crypto_hpke_public *pk)
{
    CLO_TRY(kem_check(kem));
    CLO_AUTO(clo_crypto_hpke_private_wipe) clo_crypto_hpke_private made = {.kem = kem};
    clo_crypto_hpke_public half = {.kem = kem};
    if (kem == CLO_HPKE_KEM_P256) {
        CLO_AUTO(clo_crypto_private_key_wipe) clo_crypto_private_key ec = {.alg = CLO_SIGN_ES256};
        clo_crypto_public_key point;
        CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ES256, &ec, &point));
        memcpy(made.secret.b, ec.bytes, 32);
        half.n = point.n;
        memcpy(half.bytes, point.bytes, point.n);
    } else {
        CLO_TRY(clo_crypto_random(made.secret.b, 32));
        CLO_TRY(clo_crypto_hpke_public_of(&made, &half));
    }
    sk->kem = kem;
    clo_key32_copy(&sk->secret, &made.secret);
    *pk = half;
    return CLO_OK;
}

clo_err clo_crypto_hpke_derive(uint16_t kem, clo_span ikm, clo_crypto_hpke_private *sk, clo_crypto_hpke_public *pk)
{
    CLO_TRY(kem_check(kem));
    clo_span none = clo_span_of(NULL, 0);
    CLO_AUTO(clo_crypto_hpke_private_wipe) clo_crypto_hpke_private made = {.kem = kem};
    clo_crypto_hpke_public half = {.kem = kem};
    CLO_KEY32(prk);
    CLO_TRY(clo_crypto_hpke_labeled_extract(CLO_HASH_SHA256, kem_suite(kem), none, "dkp_prk", ikm, prk.b));
    clo_span prk_span = clo_span_of(prk.b, 32);
    if (kem == CLO_HPKE_KEM_X25519) {
        CLO_TRY(clo_crypto_hpke_labeled_expand(CLO_HASH_SHA256, kem_suite(kem), prk_span, "sk", &none, 1, made.secret.b, 32));
        CLO_TRY(clo_crypto_hpke_public_of(&made, &half));
    } else {
        clo_err e = CLO_FAIL(CLO_E_RANGE);
        for (unsigned counter = 0; counter < 256 && clo_failed(e); counter++) {
            uint8_t byte = (uint8_t)counter;
            clo_span candidate = clo_span_of(&byte, 1);
            CLO_TRY(clo_crypto_hpke_labeled_expand(CLO_HASH_SHA256, kem_suite(kem), prk_span, "candidate", &candidate, 1,
                                                   made.secret.b, 32));
            e = clo_crypto_hpke_public_of(&made, &half); /* refuses 0 and what is not below the order */
        }
        CLO_TRY(e);
    }
    sk->kem = kem;
    clo_key32_copy(&sk->secret, &made.secret);
    *pk = half;
    return CLO_OK;
}

static clo_err dh(uint16_t kem, const clo_key32 *secret, clo_span public_key, uint8_t shared[32])
{
    CLO_KEY32(own);
    clo_key32_copy(&own, secret);
    CLO_CT_PUBLIC(own.b, 32); /* OpenSSL's curve arithmetic is its own concern, not ours; what it returns is secret again */
    if (kem == CLO_HPKE_KEM_X25519)
        CLO_TRY(clo_crypto_x25519(own.b, public_key.p, shared));
    else
        CLO_TRY(clo_crypto_ecdh_p256(own.b, public_key, shared));
    CLO_CT_SECRET(shared, 32);
    return CLO_OK;
}

typedef struct {
    uint8_t b[64];
    size_t n;
} dh_bytes;
static void dh_wipe(dh_bytes *d) { clo_wipe(d->b, sizeof d->b); }

/* ExtractAndExpand over dh with kem_context = enc ‖ recipient [‖ sender]. */
static clo_err shared_secret(uint16_t kem, const dh_bytes *d, const clo_span *context, size_t context_count, clo_key32 *shared)
{
    CLO_KEY32(prk);
    CLO_TRY(clo_crypto_hpke_labeled_extract(CLO_HASH_SHA256, kem_suite(kem), clo_span_of(NULL, 0), "eae_prk",
                                            clo_span_of(d->b, d->n), prk.b));
    return clo_crypto_hpke_labeled_expand(CLO_HASH_SHA256, kem_suite(kem), clo_span_of(prk.b, 32), "shared_secret", context,
                                          context_count, shared->b, 32);
}

static clo_span public_span(const clo_crypto_hpke_public *pk) { return clo_span_of(pk->bytes, pk->n); }

clo_err clo_crypto_hpke_encap(uint16_t kem, const clo_crypto_hpke_public *recipient, const clo_crypto_hpke_private *sender,
                              const clo_crypto_hpke_private *ephemeral, clo_key32 *shared, clo_crypto_hpke_public *enc)
{
    CLO_CHECKF(recipient->kem == kem && recipient->n == clo_crypto_hpke_public_size(kem), CLO_E_USAGE,
               "the HPKE recipient's key is of another KEM");
    CLO_CHECKF(sender == NULL || sender->kem == kem, CLO_E_USAGE, "the HPKE sender's key is of another KEM");
    CLO_CHECKF(ephemeral == NULL || ephemeral->kem == kem, CLO_E_USAGE, "the HPKE ephemeral key is of another KEM");
    CLO_AUTO(clo_crypto_hpke_private_wipe) clo_crypto_hpke_private fresh = {.kem = kem};
    clo_crypto_hpke_public made, sender_public = {.n = 0};
    if (ephemeral != NULL) {
        clo_key32_copy(&fresh.secret, &ephemeral->secret);
        CLO_TRY(clo_crypto_hpke_public_of(&fresh, &made));
    } else {
        CLO_TRY(clo_crypto_hpke_generate(kem, &fresh, &made));
    }
    CLO_AUTO(dh_wipe) dh_bytes d = {.n = 32};
    CLO_TRY(dh(kem, &fresh.secret, public_span(recipient), d.b));
    if (sender != NULL) {
        d.n = 64;
        CLO_TRY(dh(kem, &sender->secret, public_span(recipient), d.b + 32));
        CLO_TRY(clo_crypto_hpke_public_of(sender, &sender_public));
    }
    clo_span context[3] = {public_span(&made), public_span(recipient), public_span(&sender_public)};
    CLO_TRY(shared_secret(kem, &d, context, sender != NULL ? 3 : 2, shared));
    *enc = made;
    return CLO_OK;
}

clo_err clo_crypto_hpke_decap(uint16_t kem, const clo_crypto_hpke_private *sk, clo_span enc, const clo_crypto_hpke_public *sender,
                              clo_key32 *shared)
{
    CLO_CHECKF(sk->kem == kem, CLO_E_USAGE, "the HPKE recipient's key is of another KEM");
    CLO_CHECKF(sender == NULL || (sender->kem == kem && sender->n == clo_crypto_hpke_public_size(kem)), CLO_E_USAGE,
               "the HPKE sender's key is of another KEM");
    clo_crypto_hpke_public theirs, own;
    CLO_TRY(clo_crypto_hpke_public_parse(kem, enc, &theirs));
    CLO_TRY(clo_crypto_hpke_public_of(sk, &own));
    CLO_AUTO(dh_wipe) dh_bytes d = {.n = 32};
    CLO_TRY(dh(kem, &sk->secret, enc, d.b));
    clo_span context[3] = {enc, public_span(&own), clo_span_of(NULL, 0)};
    if (sender != NULL) {
        d.n = 64;
        CLO_TRY(dh(kem, &sk->secret, public_span(sender), d.b + 32));
        context[2] = public_span(sender);
    }
    return shared_secret(kem, &d, context, sender != NULL ? 3 : 2, shared);
}
