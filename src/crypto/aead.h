/* One-shot AEAD: AES-256-GCM, AES-192-GCM, AES-128-GCM, ChaCha20-Poly1305 (RFC 5116, RFC 8439). 16-byte tag appended to the
 * ciphertext. The product's own formats use AES-256-GCM; HPKE peers may choose the 128-bit and ChaCha20 suites; AES-192 is for
 * what others made. */
#ifndef CLO_CRYPTO_AEAD_H
#define CLO_CRYPTO_AEAD_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum { CLO_AEAD_AES_128_GCM, CLO_AEAD_AES_256_GCM, CLO_AEAD_CHACHA20_POLY1305, CLO_AEAD_AES_192_GCM } clo_crypto_aead_alg;
enum { CLO_AEAD_TAG = 16, CLO_AEAD_NONCE = 12, CLO_AEAD_NONCE_MAX = 128 };
/** 16, 24 or 32 bytes; 0 for an unknown algorithm. */
size_t clo_crypto_aead_key_size(clo_crypto_aead_alg alg);
/** out receives in.n + 16 bytes; out may be in.p itself (in place), not overlap it otherwise. The product's nonces are 12 bytes;
 *  AES-GCM takes 1..128 (OpenSSL's limit), ChaCha20-Poly1305 exactly 12. On failure out is wiped. Errors: RANGE, NOMEM. */
CLO_R clo_crypto_aead_seal(clo_crypto_aead_alg alg, const uint8_t *key, clo_span nonce, clo_span aad, clo_span in, uint8_t *out);
/** out receives in.n - 16 bytes (in place as above); on failure it is wiped. Errors: TRUNCATED, RANGE, AUTHENTICATION. */
CLO_R clo_crypto_aead_open(clo_crypto_aead_alg alg, const uint8_t *key, clo_span nonce, clo_span aad, clo_span in, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
