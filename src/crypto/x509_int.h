/* Shared by the files about certificates. */
#ifndef CLO_CRYPTO_X509_INT_H
#define CLO_CRYPTO_X509_INT_H
#include "crypto/crypto_int.h"
#include "crypto/x509.h"
#include <openssl/bio.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* OpenSSL 3.0 takes longer to decode a certificate's EC key than to verify with it. So a certificate with an EC key on a named curve and an
 * ECDSA signature is parsed in a context that has no decoders (`light`: its x509 has no key and can fetch no algorithm), and its key is
 * made here. */
struct clo_crypto_cert {
    X509 *x509;
    EVP_PKEY *key; /* NULL where it cannot be used */
    bool light;
    clo_crypto_public_key raw; /* where light: the key's bytes */
    _Atomic unsigned owners;
    uint8_t *der;
    size_t der_size;
};
struct clo_crypto_crl {
    X509_CRL *crl;
};

/* The certificate as one that OpenSSL parsed whole, key and all; given. */
CLO_R clo_crypto_cert_full(const clo_crypto_cert *c, X509 **out);
/* The private key of a PKCS#8 PEM; given. */
CLO_R clo_crypto_pem_key(clo_span private_pem, EVP_PKEY **out);
/* Signs the list with the digest that fits the key, RSASSA-PSS with SHA-384 where asked. */
CLO_R clo_crypto_sign_crl(X509_CRL *crl, EVP_PKEY *key, bool pss384);
/* Seconds since 1970. */
CLO_R clo_crypto_asn1_seconds(const ASN1_TIME *t, int64_t *seconds);
/* SHA-256 of the SubjectPublicKeyInfo. */
CLO_R clo_crypto_x509_spki(const X509 *x509, uint8_t out[32]);

static inline void clo_crypto_bio_auto(BIO **b) { BIO_free_all(*b); }
static inline void clo_crypto_x509_auto(X509 **x) { X509_free(*x); }
#endif
