/* Certificates and revocation lists, as far as evidence and TLS need them; parsing by OpenSSL. */
#ifndef CLO_CRYPTO_X509_H
#define CLO_CRYPTO_X509_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "crypto/sign.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_crypto_cert clo_crypto_cert;
typedef struct clo_crypto_crl clo_crypto_crl;

/** One DER certificate, nothing behind it. Given to the caller. Errors: MALFORMED, TRAILING, TOO_LARGE (64 KiB),
 *  TOO_MANY (400 elements of DER, 16 levels). */
CLO_R clo_crypto_cert_parse(clo_crypto_cert **out, clo_span der);
/** 1..max certificates of a PEM text (or one DER). Each is given to the caller. */
CLO_R clo_crypto_cert_parse_pem(clo_crypto_cert **out, size_t max, size_t *count, clo_span pem_or_der);
/** The same; a certificate of a PEM text with the bytes of one that is known is not parsed again but shared with it. */
CLO_R clo_crypto_cert_parse_pem_known(clo_crypto_cert **out, size_t max, size_t *count, clo_span pem_or_der, clo_crypto_cert *const *known,
                                      size_t known_count);
void clo_crypto_cert_free(clo_crypto_cert **c);
/** The DER bytes, borrowed from the certificate. */
clo_span clo_crypto_cert_der(const clo_crypto_cert *c);
void clo_crypto_cert_sha256(const clo_crypto_cert *c, uint8_t out[32]);
/** SHA-256 of the DER of one certificate that stands in a file as DER or PEM, without reading what it says. Errors: MALFORMED. */
CLO_R clo_crypto_cert_file_sha256(clo_span pem_or_der, uint8_t out[32]);
/** SHA-256 of the SubjectPublicKeyInfo. */
CLO_R clo_crypto_cert_spki_sha256(const clo_crypto_cert *c, uint8_t out[32]);
/** Validity window in seconds since 1970. */
CLO_R clo_crypto_cert_window(const clo_crypto_cert *c, int64_t *not_before, int64_t *not_after);
/** Subject common name, empty where absent. */
CLO_R clo_crypto_cert_common_name(const clo_crypto_cert *c, char *to, size_t to_size);
CLO_R clo_crypto_cert_issuer_common_name(const clo_crypto_cert *c, char *to, size_t to_size);
bool clo_crypto_cert_is_ca(const clo_crypto_cert *c);
/** How many further authorities may stand between this one and a leaf; false where it does not say. */
bool clo_crypto_cert_path_length(const clo_crypto_cert *c, uint64_t *most);
/** Issuer name = subject name. */
bool clo_crypto_cert_self_issued(const clo_crypto_cert *c);
/** EC or Ed25519 public key. Errors: UNSUPPORTED (RSA and others). */
CLO_R clo_crypto_cert_public_key(const clo_crypto_cert *c, clo_crypto_public_key *out);
/** Content octets of the extension with this dotted OID, borrowed; n = 0 and p = NULL where absent. Errors: DUPLICATE. */
CLO_R clo_crypto_cert_extension(const clo_crypto_cert *c, const char *oid, clo_span *out);
/** Signature, issuer name = subject name, basic constraints and key usage of the issuer, digest of SHA-256 or better. No time and no
 *  path length check. Errors: BAD_SIGNATURE. */
CLO_R clo_crypto_cert_signed_by(const clo_crypto_cert *c, const clo_crypto_cert *issuer);
/** Signature algorithm is RSASSA-PSS with SHA-384, MGF1-SHA-384 and a 48-byte salt (AMD chains)? */
bool clo_crypto_cert_is_pss384(const clo_crypto_cert *c);

/** One CRL, DER or PEM. */
CLO_R clo_crypto_crl_parse(clo_crypto_crl **out, clo_span der_or_pem);
void clo_crypto_crl_free(clo_crypto_crl **c);
CLO_R clo_crypto_crl_signed_by(const clo_crypto_crl *c, const clo_crypto_cert *issuer);
CLO_R clo_crypto_crl_window(const clo_crypto_crl *c, int64_t *this_update, int64_t *next_update);
bool clo_crypto_crl_lists(const clo_crypto_crl *c, const clo_crypto_cert *cert);

/* Making certificates: the development root of the software TEE and the self-signed leaves of TLS. Keys that sign are PEM
 * (PKCS#8) in a buffer that the caller wipes. */
typedef struct {
    const char *oid; /* dotted */
    clo_span der;    /* content of the extension value */
} clo_crypto_extension;
typedef struct {
    const char *common_name;
    int64_t not_before, not_after;
    bool is_ca;
    bool limited; /* of an authority: at most path_length further authorities below it */
    unsigned path_length;
    bool pss384; /* sign RSASSA-PSS SHA-384, salt 48 */
    uint64_t serial;
    const clo_crypto_extension *extensions;
    size_t extension_count;
    const char *dns_name; /* subject alternative name, or NULL */
} clo_crypto_cert_request;
typedef enum {
    CLO_KEYPAIR_RSA4096,
    CLO_KEYPAIR_P256,
    CLO_KEYPAIR_P384,
    CLO_KEYPAIR_ED25519,
    CLO_KEYPAIR_RSA2048,
    CLO_KEYPAIR_P521,
} clo_crypto_keypair_kind;
CLO_R clo_crypto_keypair_make(clo_crypto_keypair_kind kind, clo_buf *private_pem);
/** Certify the public half of subject_pem with issuer_pem; issuer NULL = self-signed. out receives DER. */
CLO_R clo_crypto_cert_make(const clo_crypto_cert_request *request, clo_span subject_pem, const clo_crypto_cert *issuer,
                           clo_span issuer_pem, clo_buf *der);
/** An (empty or listing) CRL signed by issuer. */
CLO_R clo_crypto_crl_make(const clo_crypto_cert *issuer, clo_span issuer_pem, int64_t this_update, int64_t next_update,
                          const clo_crypto_cert *const *revoked, size_t revoked_count, clo_buf *der);
/** The raw P-384/P-256/Ed25519 private key of a PEM, e.g. to sign reports. */
CLO_R clo_crypto_keypair_private(clo_span private_pem, clo_crypto_private_key *out);
/** DER or PEM certificate as PEM text appended to out. */
CLO_R clo_crypto_cert_to_pem(const clo_crypto_cert *c, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
