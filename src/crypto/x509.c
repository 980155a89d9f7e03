/* Reading certificates. */
#include "crypto/x509_int.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <time.h>

enum { CERT_MAX = 64 * 1024, PEM_MAX = 1024 * 1024 };

void clo_crypto_cert_free(clo_crypto_cert **c)
{
    if (*c == NULL) return;
    X509_free((*c)->x509);
    free((*c)->der);
    free(*c);
    *c = NULL;
}

clo_err clo_crypto_cert_wrap(X509 *x509, clo_crypto_cert **out)
{
    CLO_AUTO(clo_crypto_x509_auto) X509 *x = x509;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    int n = i2d_X509(x, NULL);
    if (n <= 0) return clo_crypto_fail(CLO_E_MALFORMED, "the certificate cannot be encoded");
    CLO_CHECKF(n <= CERT_MAX, CLO_E_TOO_LARGE, "a certificate has at most 64 KiB");
    c->der = malloc((size_t)n);
    CLO_CHECK(c->der != NULL, CLO_E_NOMEM);
    uint8_t *at = c->der;
    c->der_size = (size_t)i2d_X509(x, &at);
    c->x509 = CLO_TAKE(x);
    *out = CLO_TAKE(c);
    return CLO_OK;
}

clo_err clo_crypto_cert_parse(clo_crypto_cert **out, clo_span der)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(der.n <= CERT_MAX, CLO_E_TOO_LARGE, "a certificate has at most 64 KiB");
    const uint8_t *at = der.p;
    CLO_AUTO(clo_crypto_x509_auto) X509 *x = der.n != 0 ? d2i_X509(NULL, &at, (long)der.n) : NULL;
    if (x == NULL) return clo_crypto_fail(CLO_E_MALFORMED, "the bytes are not a DER certificate");
    CLO_CHECKF(at == der.p + der.n, CLO_E_TRAILING, "there are bytes behind the certificate");
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *c = NULL;
    CLO_TRY(clo_crypto_cert_wrap(CLO_TAKE(x), &c));
    CLO_CHECKF(clo_span_equal(clo_crypto_cert_der(c), der), CLO_E_NOT_CANONICAL, "the certificate is not encoded in DER");
    *out = CLO_TAKE(c);
    return CLO_OK;
}

clo_err clo_crypto_cert_parse_pem(clo_crypto_cert **out, size_t max, size_t *count, clo_span pem_or_der)
{
    *count = 0;
    if (pem_or_der.n != 0 && pem_or_der.p[0] == 0x30 && max > 0) {
        CLO_TRY(clo_crypto_cert_parse(&out[0], pem_or_der));
        *count = 1;
        return CLO_OK;
    }
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(pem_or_der.n != 0 && pem_or_der.n <= PEM_MAX, CLO_E_TOO_LARGE, "a certificate file has between 1 byte and 1 MiB");
    CLO_AUTO(clo_crypto_bio_auto) BIO *bio = BIO_new_mem_buf(pem_or_der.p, (int)pem_or_der.n);
    CLO_CHECK(bio != NULL, CLO_E_NOMEM);
    clo_err e = CLO_OK;
    size_t n = 0;
    for (;;) {
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (x == NULL) break;
        if (n == max) {
            X509_free(x);
            e = CLO_FAILF(CLO_E_TOO_MANY, "the file has more than %zu certificates", max);
            break;
        }
        e = clo_crypto_cert_wrap(x, &out[n]);
        if (clo_failed(e)) break;
        n++;
    }
    if (!clo_failed(e)) {
        unsigned long why = ERR_peek_last_error();
        bool clean = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
        ERR_clear_error();
        if (n == 0 || !clean) e = clo_crypto_fail(CLO_E_MALFORMED, "the file is not a sequence of PEM certificates");
    }
    if (clo_failed(e)) {
        while (n > 0) clo_crypto_cert_free(&out[--n]);
        return e;
    }
    *count = n;
    return CLO_OK;
}

clo_span clo_crypto_cert_der(const clo_crypto_cert *c) { return clo_span_of(c->der, c->der_size); }

void clo_crypto_cert_sha256(const clo_crypto_cert *c, uint8_t out[32])
{
    if (clo_failed(clo_crypto_sha256(clo_crypto_cert_der(c), out))) memset(out, 0, 32);
}

static void openssl_auto(unsigned char **p) { OPENSSL_free(*p); }

clo_err clo_crypto_cert_file_sha256(clo_span pem_or_der, uint8_t out[32])
{
    if (pem_or_der.n != 0 && pem_or_der.p[0] == 0x30) return clo_crypto_sha256(pem_or_der, out);
    CLO_CHECKF(pem_or_der.n != 0 && pem_or_der.n <= PEM_MAX, CLO_E_MALFORMED, "a certificate file has between 1 byte and 1 MiB");
    CLO_AUTO(clo_crypto_bio_auto) BIO *bio = BIO_new_mem_buf(pem_or_der.p, (int)pem_or_der.n);
    CLO_AUTO(openssl_auto) unsigned char *der = NULL;
    long n = 0;
    if (bio == NULL || PEM_bytes_read_bio(&der, &n, NULL, PEM_STRING_X509, bio, NULL, NULL) != 1 || n <= 0)
        return clo_crypto_fail(CLO_E_MALFORMED, "the file holds no PEM certificate");
    return clo_crypto_sha256(clo_span_of(der, (size_t)n), out);
}

clo_err clo_crypto_x509_spki(const X509 *x509, uint8_t out[32])
{
    uint8_t *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    if (n <= 0) return clo_crypto_fail(CLO_E_MALFORMED, "the certificate's public key cannot be encoded");
    clo_err e = clo_crypto_sha256(clo_span_of(der, (size_t)n), out);
    OPENSSL_free(der);
    return e;
}

clo_err clo_crypto_cert_spki_sha256(const clo_crypto_cert *c, uint8_t out[32]) { return clo_crypto_x509_spki(c->x509, out); }

clo_err clo_crypto_asn1_seconds(const ASN1_TIME *t, int64_t *seconds)
{
    struct tm tm = {0};
    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
        return clo_crypto_fail(CLO_E_MALFORMED, "the certificate has an unreadable time");
    *seconds = (int64_t)timegm(&tm);
    return CLO_OK;
}

clo_err clo_crypto_cert_window(const clo_crypto_cert *c, int64_t *not_before, int64_t *not_after)
{
    int64_t from = 0, to = 0;
    CLO_TRY(clo_crypto_asn1_seconds(X509_get0_notBefore(c->x509), &from));
    CLO_TRY(clo_crypto_asn1_seconds(X509_get0_notAfter(c->x509), &to));
    *not_before = from;
    *not_after = to;
    return CLO_OK;
}

static clo_err common_name(const X509_NAME *name, char *to, size_t to_size)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0) {
        to[0] = 0;
        return CLO_OK;
    }
    CLO_CHECKF(X509_NAME_get_index_by_NID(name, NID_commonName, at) < 0, CLO_E_DUPLICATE, "the certificate has two common names");
    uint8_t *text = NULL;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (n < 0) return clo_crypto_fail(CLO_E_MALFORMED, "the certificate's common name is unreadable");
    clo_err e = CLO_OK;
    if ((size_t)n >= to_size)
        e = CLO_FAILF(CLO_E_TOO_LARGE, "the certificate's common name is longer than %zu bytes", to_size - 1);
    else if (memchr(text, 0, (size_t)n) != NULL)
        e = CLO_FAILF(CLO_E_MALFORMED, "the certificate's common name has a zero byte");
    else {
        memcpy(to, text, (size_t)n);
        to[n] = 0;
    }
    OPENSSL_free(text);
    return e;
}

clo_err clo_crypto_cert_common_name(const clo_crypto_cert *c, char *to, size_t to_size)
{
    return common_name(X509_get_subject_name(c->x509), to, to_size);
}

clo_err clo_crypto_cert_issuer_common_name(const clo_crypto_cert *c, char *to, size_t to_size)
{
    return common_name(X509_get_issuer_name(c->x509), to, to_size);
}

bool clo_crypto_cert_is_ca(const clo_crypto_cert *c) { return X509_check_ca(c->x509) == 1; }

clo_err clo_crypto_cert_public_key(const clo_crypto_cert *c, clo_crypto_public_key *out)
{
    EVP_PKEY *key = X509_get0_pubkey(c->x509);
    if (key == NULL) return clo_crypto_fail(CLO_E_UNSUPPORTED, "the certificate's public key is of an unknown kind");
    return clo_crypto_pkey_raw_public(key, out);
}

bool clo_crypto_cert_path_length(const clo_crypto_cert *c, uint64_t *most)
{
    long n = X509_get_pathlen(c->x509);
    if (n < 0) return false;
    *most = (uint64_t)n;
    return true;
}

bool clo_crypto_cert_self_issued(const clo_crypto_cert *c)
{
    return X509_NAME_cmp(X509_get_subject_name(c->x509), X509_get_issuer_name(c->x509)) == 0;
}

static void object_auto(ASN1_OBJECT **o) { ASN1_OBJECT_free(*o); }

clo_err clo_crypto_cert_extension(const clo_crypto_cert *c, const char *oid, clo_span *out)
{
    CLO_AUTO(object_auto) ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    if (object == NULL) return clo_crypto_fail(CLO_E_USAGE, "the extension's identifier is not a dotted OID");
    int at = X509_get_ext_by_OBJ(c->x509, object, -1);
    if (at < 0) {
        *out = clo_span_of(NULL, 0);
        return CLO_OK;
    }
    CLO_CHECKF(X509_get_ext_by_OBJ(c->x509, object, at) < 0, CLO_E_DUPLICATE, "the certificate has extension %s twice", oid);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(c->x509, at));
    *out = clo_span_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    return CLO_OK;
}

/* A critical extension that nobody here understands makes a certificate unusable (RFC 5280 §4.2). */
static bool critical_known(const X509 *x)
{
    for (int i = 0; i < X509_get_ext_count(x); i++) {
        X509_EXTENSION *e = X509_get_ext(x, i);
        if (X509_EXTENSION_get_critical(e) != 0 && X509_supported_extension(e) != 1) return false;
    }
    return true;
}

/* SHA-256, SHA-384, SHA-512, or a scheme that hashes inside (Ed25519): for SHA-1 and older, collisions can be bought. */
static bool digest_strong(X509 *x)
{
    int md = NID_undef, key = NID_undef;
    if (X509_get_signature_info(x, &md, &key, NULL, NULL) != 1) return false;
    return md == NID_sha256 || md == NID_sha384 || md == NID_sha512 || (md == NID_undef && key == NID_ED25519);
}

clo_err clo_crypto_cert_signed_by(const clo_crypto_cert *c, const clo_crypto_cert *issuer)
{
    CLO_CHECKF(critical_known(c->x509) && critical_known(issuer->x509), CLO_E_BAD_SIGNATURE,
               "a certificate has a critical extension that is not understood");
    if (X509_check_ca(issuer->x509) != 1)
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the issuing certificate is not one of an authority");
    if (X509_check_issued(issuer->x509, c->x509) != X509_V_OK)
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE,
                               "the certificate names another issuer, or the issuer may not sign certificates");
    CLO_CHECKF(digest_strong(c->x509), CLO_E_BAD_SIGNATURE, "the certificate is signed with a digest that is too weak or unknown");
    EVP_PKEY *key = X509_get0_pubkey(issuer->x509);
    if (key == NULL || X509_verify(c->x509, key) != 1)
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the certificate's signature does not verify under its issuer's key");
    return CLO_OK;
}

static void pss_auto(RSA_PSS_PARAMS **p) { RSA_PSS_PARAMS_free(*p); }
static void algor_auto(X509_ALGOR **p) { X509_ALGOR_free(*p); }

static bool algor_is(const X509_ALGOR *algor, int nid)
{
    const ASN1_OBJECT *object = NULL;
    if (algor == NULL) return false;
    X509_ALGOR_get0(&object, NULL, NULL, algor);
    return OBJ_obj2nid(object) == nid;
}

bool clo_crypto_cert_is_pss384(const clo_crypto_cert *c)
{
    const X509_ALGOR *algor = NULL;
    X509_get0_signature(NULL, &algor, c->x509);
    if (!algor_is(algor, NID_rsassaPss)) return false;
    int type = 0;
    const void *value = NULL;
    X509_ALGOR_get0(NULL, &type, &value, algor);
    if (type != V_ASN1_SEQUENCE) return false;
    CLO_AUTO(pss_auto) RSA_PSS_PARAMS *pss = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
    bool good = false;
    if (pss != NULL && algor_is(pss->hashAlgorithm, NID_sha384) && algor_is(pss->maskGenAlgorithm, NID_mgf1)) {
        X509_ALGOR_get0(NULL, &type, &value, pss->maskGenAlgorithm);
        CLO_AUTO(algor_auto)
        X509_ALGOR *mask = type == V_ASN1_SEQUENCE ? ASN1_item_unpack(value, ASN1_ITEM_rptr(X509_ALGOR)) : NULL;
        good = algor_is(mask, NID_sha384) && pss->saltLength != NULL && ASN1_INTEGER_get(pss->saltLength) == 48 &&
               (pss->trailerField == NULL || ASN1_INTEGER_get(pss->trailerField) == 1);
    }
    ERR_clear_error();
    return good;
}

clo_err clo_crypto_cert_to_pem(const clo_crypto_cert *c, clo_buf *out)
{
    CLO_AUTO(clo_crypto_bio_auto) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio == NULL || PEM_write_bio_X509(bio, c->x509) != 1)
        return clo_crypto_fail(CLO_E_NOMEM, "the certificate cannot be written as PEM");
    long n = BIO_get_mem_data(bio, &text);
    return clo_buf_put(out, text, (size_t)n);
}
