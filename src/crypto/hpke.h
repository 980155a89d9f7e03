/* HPKE (RFC 9180): modes base, psk, auth, auth_psk for DHKEM(X25519, HKDF-SHA256) and DHKEM(P-256, HKDF-SHA256), KDF
 * HKDF-SHA256/384/512, AEAD AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305 and export-only. The product's own suite is
 * CLO_HPKE_DEFAULT = {X25519, HKDF-SHA256, AES-256-GCM}. */
#ifndef CLO_CRYPTO_HPKE_H
#define CLO_CRYPTO_HPKE_H
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_HPKE_KEM_P256 = 0x10, CLO_HPKE_KEM_X25519 = 0x20 };
enum { CLO_HPKE_KDF_SHA256 = 1, CLO_HPKE_KDF_SHA384 = 2, CLO_HPKE_KDF_SHA512 = 3 };
enum { CLO_HPKE_AEAD_AES128GCM = 1, CLO_HPKE_AEAD_AES256GCM = 2, CLO_HPKE_AEAD_CHACHA20 = 3, CLO_HPKE_AEAD_EXPORT = 0xffff };
enum { CLO_HPKE_BASE = 0, CLO_HPKE_PSK = 1, CLO_HPKE_AUTH = 2, CLO_HPKE_AUTH_PSK = 3 };
enum { CLO_HPKE_PUBLIC_MAX = 65, CLO_HPKE_X25519_PUBLIC = 32 };

typedef struct {
    uint16_t kem, kdf, aead;
} clo_crypto_hpke_suite;
extern const clo_crypto_hpke_suite CLO_HPKE_DEFAULT;

typedef struct {
    uint16_t kem;
    uint8_t bytes[CLO_HPKE_PUBLIC_MAX]; /* X25519: 32; P-256: uncompressed point, 65 */
    size_t n;
} clo_crypto_hpke_public;
typedef struct {
    uint16_t kem;
    clo_key32 secret; /* both KEMs have 32-byte private keys */
} clo_crypto_hpke_private;

/** Fresh key pair. Errors: RNG, UNSUPPORTED. */
CLO_R clo_crypto_hpke_generate(uint16_t kem, clo_crypto_hpke_private *sk, clo_crypto_hpke_public *pk);
/** DeriveKeyPair (RFC 9180 §7.1.3). */
CLO_R clo_crypto_hpke_derive(uint16_t kem, clo_span ikm, clo_crypto_hpke_private *sk, clo_crypto_hpke_public *pk);
/** The public half. */
CLO_R clo_crypto_hpke_public_of(const clo_crypto_hpke_private *sk, clo_crypto_hpke_public *pk);
/** Parse a serialized public key; refuses wrong lengths and points off the curve. */
CLO_R clo_crypto_hpke_public_parse(uint16_t kem, clo_span bytes, clo_crypto_hpke_public *out);
void clo_crypto_hpke_private_wipe(clo_crypto_hpke_private *sk);

/** Single shot, base mode, default suite: out receives enc (32) ‖ ciphertext (in.n + 16). */
CLO_R clo_crypto_hpke_seal(const uint8_t recipient[32], clo_span info, clo_span aad, clo_span in, clo_buf *out);
/** Opens what clo_crypto_hpke_seal made; plain receives exactly plain_size bytes (in.n must be plain_size + 48) and is wiped on
 * failure. Errors: TRUNCATED, AUTHENTICATION. */
CLO_R clo_crypto_hpke_open(const clo_key32 *secret, clo_span info, clo_span aad, clo_span in, uint8_t *plain, size_t plain_size);

/* Full contexts, for the published vectors and for sequences of messages. */
typedef struct clo_crypto_hpke_context clo_crypto_hpke_context;
typedef struct {
    clo_crypto_hpke_suite suite;
    int mode;
    clo_span info, psk, psk_id;
    const clo_crypto_hpke_private *sender_key;   /* auth modes, sender side */
    const clo_crypto_hpke_public *sender_public; /* auth modes, recipient side */
    const clo_crypto_hpke_private *ephemeral;    /* tests only: fixes the encapsulation; NULL in the product */
} clo_crypto_hpke_setup;
CLO_R clo_crypto_hpke_sender(clo_crypto_hpke_context **out, const clo_crypto_hpke_setup *setup,
                             const clo_crypto_hpke_public *recipient, clo_crypto_hpke_public *enc);
CLO_R clo_crypto_hpke_recipient(clo_crypto_hpke_context **out, const clo_crypto_hpke_setup *setup,
                                const clo_crypto_hpke_private *sk, clo_span enc);
CLO_R clo_crypto_hpke_context_seal(clo_crypto_hpke_context *c, clo_span aad, clo_span in, clo_buf *out);
CLO_R clo_crypto_hpke_context_open(clo_crypto_hpke_context *c, clo_span aad, clo_span in, clo_buf *out);
CLO_R clo_crypto_hpke_context_export(clo_crypto_hpke_context *c, clo_span exporter_context, uint8_t *out, size_t n);
/** Set the sequence number (vectors only; refuses to go back). */
CLO_R clo_crypto_hpke_context_seek(clo_crypto_hpke_context *c, uint64_t sequence);
void clo_crypto_hpke_context_free(clo_crypto_hpke_context **c);

#ifdef __cplusplus
}
#endif
#endif
