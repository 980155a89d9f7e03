/* Signatures: Ed25519 (RFC 8032), ECDSA P-256/SHA-256 and P-384/SHA-384 with r‖s signatures (IEEE P1363), low-level verification
 * for evidence. */
#ifndef CLO_CRYPTO_SIGN_H
#define CLO_CRYPTO_SIGN_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum { CLO_SIGN_ED25519, CLO_SIGN_ES256, CLO_SIGN_ES384, CLO_SIGN_ES512 } clo_crypto_sign_alg;
enum { CLO_SIGN_PUBLIC_MAX = 133, CLO_SIGN_PRIVATE_MAX = 66, CLO_SIGNATURE_MAX = 132 };

typedef struct {
    clo_crypto_sign_alg alg;
    size_t n; /* Ed25519 32; P-256 65, P-384 97, P-521 133 (uncompressed points) */
    uint8_t bytes[CLO_SIGN_PUBLIC_MAX];
} clo_crypto_public_key;
typedef struct {
    clo_crypto_sign_alg alg;
    uint8_t bytes[CLO_SIGN_PRIVATE_MAX]; /* Ed25519 seed 32; big-endian scalar 32, 48, 66 */
} clo_crypto_private_key;

CLO_R clo_crypto_sign_generate(clo_crypto_sign_alg alg, clo_crypto_private_key *sk, clo_crypto_public_key *pk);
CLO_R clo_crypto_sign_public_of(const clo_crypto_private_key *sk, clo_crypto_public_key *pk);
/** Parse raw public bytes: 32 = Ed25519, 65 = P-256, 97 = P-384; refuses points off the curve and small-order Ed25519 encodings
 * that do not decode. */
CLO_R clo_crypto_public_key_parse(clo_crypto_sign_alg alg, clo_span bytes, clo_crypto_public_key *out);
static inline clo_span clo_crypto_public_key_span(const clo_crypto_public_key *k) { return clo_span_of(k->bytes, k->n); }
bool clo_crypto_public_key_equal(const clo_crypto_public_key *a, const clo_crypto_public_key *b);
void clo_crypto_private_key_wipe(clo_crypto_private_key *sk);

/** Signature bytes: 64, 64, 96, 132. */
size_t clo_crypto_signature_size(clo_crypto_sign_alg alg);
CLO_R clo_crypto_sign(const clo_crypto_private_key *sk, clo_span message, uint8_t *signature);
/** Errors: BAD_SIGNATURE for anything but a valid signature of exactly the right length. */
CLO_R clo_crypto_verify(const clo_crypto_public_key *pk, clo_span message, clo_span signature);
/** ECDSA verification of a DER signature (X.509, Wycheproof); strict DER. */
CLO_R clo_crypto_verify_der(const clo_crypto_public_key *pk, clo_span message, clo_span signature_der);

/* A key that is used often, checked and prepared once. For any number of threads; what it does is what the functions above do with its bytes. */
typedef struct clo_crypto_loaded_key clo_crypto_loaded_key;
/** Given to the caller. Errors: MALFORMED, UNSUPPORTED, NOMEM. */
CLO_R clo_crypto_load_private(const clo_crypto_private_key *sk, clo_crypto_loaded_key **out);
CLO_R clo_crypto_load_public(const clo_crypto_public_key *pk, clo_crypto_loaded_key **out);
/** Another owner of the same key. */
CLO_R clo_crypto_loaded_share(const clo_crypto_loaded_key *key, clo_crypto_loaded_key **out);
void clo_crypto_loaded_free(clo_crypto_loaded_key **key);
CLO_R clo_crypto_loaded_sign(const clo_crypto_loaded_key *key, clo_span message, uint8_t *signature);
CLO_R clo_crypto_loaded_verify(const clo_crypto_loaded_key *key, clo_span message, clo_span signature);

/** Diffie-Hellman: X25519 (all-zero result refused) and P-256 x-coordinate. Errors: AUTHENTICATION, MALFORMED. */
CLO_R clo_crypto_x25519(const uint8_t secret[32], const uint8_t public_key[32], uint8_t shared[32]);
CLO_R clo_crypto_ecdh_p256(const uint8_t secret[32], clo_span public_point, uint8_t shared[32]);

#ifdef __cplusplus
}
#endif
#endif
