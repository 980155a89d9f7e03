/* Shared inside crypto only: OpenSSL handles, fetched once, and the forms of HMAC and HKDF that take their input in parts. */
#ifndef CLO_CRYPTO_INT_H
#define CLO_CRYPTO_INT_H
#include "base/clo_err.h"
#include "base/clo_own.h"
#include "base/clo_span.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include <openssl/evp.h>

/* The fetched algorithms; NULL where start-up failed (then every function fails with ENV). */
const EVP_MD *clo_crypto_md(clo_crypto_hash_alg alg);
const EVP_CIPHER *clo_crypto_cipher(clo_crypto_aead_alg alg);
EVP_MAC *clo_crypto_mac(void);

/* Start-up done? Cheap after the first call. */
CLO_R clo_crypto_init_quick(void);

/* Empties OpenSSL's error queue and notes our own failure: what OpenSSL says may name data and is never shown. */
clo_err clo_crypto_fail(uint32_t code, const char *sentence);

/* HMAC over the concatenation of parts; out has the hash size. */
CLO_R clo_crypto_hmac_parts(clo_crypto_hash_alg alg, clo_span key, const clo_span *parts, size_t count, uint8_t *out);
/* HKDF-Expand whose info is the concatenation of at most 7 parts. */
CLO_R clo_crypto_hkdf_expand_parts(clo_crypto_hash_alg alg, clo_span prk, const clo_span *parts, size_t count, uint8_t *out,
                                   size_t out_size);

/* OpenSSL keys from the product's own raw forms; the result is given to the caller. */
CLO_R clo_crypto_pkey_public(const clo_crypto_public_key *pk, EVP_PKEY **out);
CLO_R clo_crypto_pkey_private(const clo_crypto_private_key *sk, EVP_PKEY **out);

/* The raw form of an EC or Ed25519 key. Errors: UNSUPPORTED (other kinds), MALFORMED. */
CLO_R clo_crypto_pkey_raw_public(EVP_PKEY *key, clo_crypto_public_key *out);

enum { CLO_CRYPTO_ECDSA_DER_MAX = 160 }; /* SEQUENCE of two INTEGERs of at most 67 bytes each */
/* The DER that OpenSSL takes, from r‖s; its size, 0 on failure. */
size_t clo_crypto_ecdsa_der(clo_span sig, uint8_t *der, size_t der_size);
/* r‖s of fixed width from DER; false where a number is too large or the bytes are no signature. */
bool clo_crypto_ecdsa_p1363(clo_crypto_sign_alg alg, const uint8_t *der, size_t n, uint8_t *out);
/* Does the DER signature over the digest hold under this EC key, whose raw form is beside it (n = 0: not known)? Public data only. */
bool clo_crypto_ecdsa_check(const clo_crypto_public_key *raw, EVP_PKEY *key, clo_span digest, clo_span der);
/* The same for r‖s. */
bool clo_crypto_ecdsa_check_p1363(const clo_crypto_public_key *raw, EVP_PKEY *key, clo_span digest, clo_span rs);

/* The uncompressed public point of an EC private scalar; refuses 0 and scalars >= the order. */
CLO_R clo_crypto_ec_public(clo_crypto_sign_alg alg, const uint8_t *scalar, uint8_t *point);

/* Does the encoding name a point of edwards25519 that is canonical and not of small order? */
bool clo_crypto_ed25519_usable(const uint8_t encoding[32]);

static inline void clo_crypto_pkey_auto(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static inline void clo_crypto_pkey_ctx_auto(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }
static inline void clo_crypto_md_ctx_auto(EVP_MD_CTX **p) { EVP_MD_CTX_free(*p); }
static inline void clo_crypto_mac_ctx_auto(EVP_MAC_CTX **p) { EVP_MAC_CTX_free(*p); }
static inline void clo_crypto_cipher_ctx_auto(EVP_CIPHER_CTX **p) { EVP_CIPHER_CTX_free(*p); }
#endif
