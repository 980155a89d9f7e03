/* Public keys of any kind that evidence brings (EC, Ed25519, RSA), and the signature schemes of certificates, COSE, JOSE and TPMs. */
#ifndef CLO_CRYPTO_VERIFY_KEY_H
#define CLO_CRYPTO_VERIFY_KEY_H
#include "crypto/hash.h"
#include "crypto/x509.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Signatures are r‖s (IEEE P1363) for ECDSA, the integer's bytes for RSA (as long as the modulus). */
typedef enum {
    CLO_SCHEME_EDDSA,
    CLO_SCHEME_ES256,
    CLO_SCHEME_ES384,
    CLO_SCHEME_ES512,
    CLO_SCHEME_RS256,
    CLO_SCHEME_RS384,
    CLO_SCHEME_RS512,
    CLO_SCHEME_PS256, /* salt as long as the digest, MGF1 with the same hash (RFC 7518 §3.5) */
    CLO_SCHEME_PS384,
    CLO_SCHEME_PS512,
    CLO_SCHEME_PS256_ANY_SALT, /* TPMs take the longest salt that fits */
    CLO_SCHEME_PS384_ANY_SALT,
    CLO_SCHEME_PS512_ANY_SALT,
    CLO_SCHEME_RS1, /* SHA-1: old TPM quotes, only where a policy allows it by name */
} clo_crypto_scheme;

/* For any number of threads once made. */
typedef struct clo_crypto_verify_key clo_crypto_verify_key;
/** The key of a certificate. Given to the caller. Errors: UNSUPPORTED (other kinds; RSA outside 2048..8192 bits), MALFORMED, NOMEM. */
CLO_R clo_crypto_verify_key_of_cert(const clo_crypto_cert *cert, clo_crypto_verify_key **out);
/** A SubjectPublicKeyInfo in DER, nothing behind it. */
CLO_R clo_crypto_verify_key_of_spki(clo_span der, clo_crypto_verify_key **out);
/** Raw point or Ed25519 bytes (sign.h). */
CLO_R clo_crypto_verify_key_of_public(const clo_crypto_public_key *key, clo_crypto_verify_key **out);
/** RSA by modulus and exponent, big-endian, leading zeros allowed. The exponent is odd and at least 65537, at most 64 bits. */
CLO_R clo_crypto_verify_key_of_rsa(clo_span modulus, clo_span exponent, clo_crypto_verify_key **out);
void clo_crypto_verify_key_free(clo_crypto_verify_key **key);
/** Bits of the modulus; 0 where it is no RSA key. */
unsigned clo_crypto_verify_key_rsa_bits(const clo_crypto_verify_key *key);
/** The raw key where it is an EC or Ed25519 key. Errors: UNSUPPORTED (RSA). */
CLO_R clo_crypto_verify_key_public(const clo_crypto_verify_key *key, clo_crypto_public_key *out);
/** RSA modulus, big-endian without leading zeros, borrowed from the key; empty where it is none. */
clo_span clo_crypto_verify_key_modulus(const clo_crypto_verify_key *key);
/** Does the scheme fit the key (curve, kind)? */
bool clo_crypto_verify_key_fits(const clo_crypto_verify_key *key, clo_crypto_scheme scheme);
/** Errors: BAD_SIGNATURE for anything but a valid signature of exactly the right length; UNSUPPORTED where the scheme does not fit the key. */
CLO_R clo_crypto_verify_with(const clo_crypto_verify_key *key, clo_crypto_scheme scheme, clo_span message, clo_span signature);
/** The same over a digest that was made elsewhere (TPMs); its length must be the scheme's. Not for EdDSA (UNSUPPORTED). */
CLO_R clo_crypto_verify_digest_with(const clo_crypto_verify_key *key, clo_crypto_scheme scheme, clo_span digest, clo_span signature);

/** What clo_crypto_verify does, with the product's own P-384 where the CPU can: for evidence and other public data. */
CLO_R clo_crypto_verify_public(const clo_crypto_public_key *pk, clo_span message, clo_span signature);

/** Sign with a key of clo_crypto_keypair_make (PKCS#8 PEM) under the scheme; the signature is appended to `signature` in the form that
 *  clo_crypto_verify_with takes. For test roots and tools. Errors: UNSUPPORTED (the scheme does not fit the key), MALFORMED. */
CLO_R clo_crypto_keypair_sign(clo_span private_pem, clo_crypto_scheme scheme, clo_span message, clo_buf *signature);

#ifdef __cplusplus
}
#endif
#endif
