/* SHA-2, HMAC and HKDF over OpenSSL. */
#ifndef CLO_CRYPTO_HASH_H
#define CLO_CRYPTO_HASH_H
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Start OpenSSL without any configuration file or environment, fetch the algorithms, seed the generator. Optional (first use
 * does it), but a process calls it before it shuts itself into its sandbox. Errors: IO, RNG. */
CLO_R clo_crypto_init(void);

/* The product's own formats use SHA-256, SHA-384 and SHA-512; the others are for checking what others made (SHA-1: TPM banks
 * and their logs, where a policy allows it by name). */
typedef enum { CLO_HASH_SHA256, CLO_HASH_SHA384, CLO_HASH_SHA512, CLO_HASH_SHA224, CLO_HASH_SHA512_256, CLO_HASH_SHA1 } clo_crypto_hash_alg;
enum { CLO_HASH_MAX = 64 };
/** Digest size in bytes: 32, 48, 64, 28, 32, 20; 0 for an unknown algorithm. */
size_t clo_crypto_hash_size(clo_crypto_hash_alg alg);
/** One-shot digest into out (clo_crypto_hash_size bytes). */
CLO_R clo_crypto_hash(clo_crypto_hash_alg alg, clo_span in, uint8_t *out);
CLO_R clo_crypto_sha256(clo_span in, uint8_t out[32]);

/* Incremental digest; free with clo_crypto_hasher_free (CLO_AUTO; NULL allowed). */
typedef struct clo_crypto_hasher clo_crypto_hasher;
CLO_R clo_crypto_hasher_new(clo_crypto_hasher **out, clo_crypto_hash_alg alg);
CLO_R clo_crypto_hasher_put(clo_crypto_hasher *h, clo_span in);
CLO_R clo_crypto_hasher_end(clo_crypto_hasher *h, uint8_t *out);
void clo_crypto_hasher_free(clo_crypto_hasher **h);

/** HMAC (RFC 2104). On failure out is wiped. out has clo_crypto_hash_size bytes. */
CLO_R clo_crypto_hmac(clo_crypto_hash_alg alg, clo_span key, clo_span in, uint8_t *out);
/** HKDF (RFC 5869) extract, expand, both. out_size <= 255 * hash size, else RANGE. */
CLO_R clo_crypto_hkdf_extract(clo_crypto_hash_alg alg, clo_span salt, clo_span ikm, uint8_t *prk);
CLO_R clo_crypto_hkdf_expand(clo_crypto_hash_alg alg, clo_span prk, clo_span info, uint8_t *out, size_t out_size);
CLO_R clo_crypto_hkdf(clo_crypto_hash_alg alg, clo_span salt, clo_span ikm, clo_span info, uint8_t *out, size_t out_size);

/** Seed the calling thread's generators afresh from the kernel, with prediction resistance: after a fork, so that the child, which has a
 *  copy of their state, cannot know what the parent draws. Errors: RNG. */
CLO_R clo_crypto_reseed(void);

/** n random bytes from the process DRBG (OpenSSL, seeded by getrandom). Errors: RNG, and then `to` is wiped. */
CLO_R clo_crypto_random(void *to, size_t n);

#ifdef __cplusplus
}
#endif
#endif
