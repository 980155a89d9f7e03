/* Revocation lists: reading and making them. */
#include "crypto/x509_int.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

enum { CRL_MAX = 16 * 1024 * 1024 };

void clo_crypto_crl_free(clo_crypto_crl **c)
{
    if (*c == NULL) return;
    X509_CRL_free((*c)->crl);
    free(*c);
    *c = NULL;
}

static void crl_auto(X509_CRL **c) { X509_CRL_free(*c); }

/* Any critical extension (scope, indirect, delta) changes what the list means: refuse what we do not read. */
static bool critical_free(const X509_CRL *crl)
{
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)) != 0) return false;
    return true;
}

clo_err clo_crypto_crl_parse(clo_crypto_crl **out, clo_span der_or_pem)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(der_or_pem.n != 0 && der_or_pem.n <= CRL_MAX, CLO_E_TOO_LARGE, "a revocation list has between 1 byte and 16 MiB");
    CLO_AUTO(crl_auto) X509_CRL *crl = NULL;
    if (der_or_pem.p[0] == 0x30) {
        const uint8_t *at = der_or_pem.p;
        crl = d2i_X509_CRL(NULL, &at, (long)der_or_pem.n);
        if (crl != NULL && at != der_or_pem.p + der_or_pem.n)
            return clo_crypto_fail(CLO_E_TRAILING, "there are bytes behind the revocation list");
    } else {
        CLO_AUTO(clo_crypto_bio_auto) BIO *bio = BIO_new_mem_buf(der_or_pem.p, (int)der_or_pem.n);
        if (bio != NULL) crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    }
    if (crl == NULL) return clo_crypto_fail(CLO_E_MALFORMED, "the bytes are not a certificate revocation list in DER or PEM");
    CLO_CHECKF(critical_free(crl), CLO_E_UNSUPPORTED, "the revocation list has a critical extension that is not understood");
    clo_crypto_crl *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    c->crl = CLO_TAKE(crl);
    *out = c;
    return CLO_OK;
}

clo_err clo_crypto_crl_signed_by(const clo_crypto_crl *c, const clo_crypto_cert *issuer)
{
    if (X509_NAME_cmp(X509_CRL_get_issuer(c->crl), X509_get_subject_name(issuer->x509)) != 0)
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the revocation list is of another issuer");
    /* Absent key usage allows all (RFC 5280 §4.2.1.3); a present one must allow it. */
    uint32_t usage = X509_get_key_usage(issuer->x509);
    if (X509_check_ca(issuer->x509) != 1 || (usage != UINT32_MAX && (usage & KU_CRL_SIGN) == 0))
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the issuer may not sign revocation lists");
    if (issuer->key == NULL || X509_CRL_verify(c->crl, issuer->key) != 1)
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the revocation list's signature does not verify");
    return CLO_OK;
}

clo_err clo_crypto_crl_window(const clo_crypto_crl *c, int64_t *this_update, int64_t *next_update)
{
    int64_t from = 0, to = 0;
    CLO_TRY(clo_crypto_asn1_seconds(X509_CRL_get0_lastUpdate(c->crl), &from));
    CLO_CHECKF(X509_CRL_get0_nextUpdate(c->crl) != NULL, CLO_E_MISSING_FIELD,
               "the revocation list does not say until when it holds");
    CLO_TRY(clo_crypto_asn1_seconds(X509_CRL_get0_nextUpdate(c->crl), &to));
    *this_update = from;
    *next_update = to;
    return CLO_OK;
}

bool clo_crypto_crl_lists(const clo_crypto_crl *c, const clo_crypto_cert *cert)
{
    X509_REVOKED *entry = NULL;
    return X509_CRL_get0_by_cert(c->crl, &entry, cert->x509) != 0;
}

static void revoked_auto(X509_REVOKED **r) { X509_REVOKED_free(*r); }
static void time_auto(ASN1_TIME **t) { ASN1_TIME_free(*t); }

static bool crl_add(X509_CRL *crl, const clo_crypto_cert *cert, ASN1_TIME *when)
{
    CLO_AUTO(revoked_auto) X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *serial = X509_get_serialNumber(cert->x509);
    if (entry == NULL || X509_REVOKED_set_serialNumber(entry, serial) != 1 || X509_REVOKED_set_revocationDate(entry, when) != 1 ||
        X509_CRL_add0_revoked(crl, entry) != 1)
        return false;
    entry = NULL;
    return true;
}

clo_err clo_crypto_crl_make(const clo_crypto_cert *issuer, clo_span issuer_pem, int64_t this_update, int64_t next_update,
                            const clo_crypto_cert *const *revoked, size_t revoked_count, clo_buf *der)
{
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pem_key(issuer_pem, &key));
    CLO_AUTO(crl_auto) X509_CRL *crl = X509_CRL_new();
    CLO_AUTO(time_auto) ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)this_update);
    CLO_AUTO(time_auto) ASN1_TIME *to = ASN1_TIME_set(NULL, (time_t)next_update);
    bool ok = crl != NULL && from != NULL && to != NULL && X509_CRL_set_version(crl, 1) == 1 &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)) == 1 &&
              X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, to) == 1;
    for (size_t i = 0; ok && i < revoked_count; i++) ok = crl_add(crl, revoked[i], from);
    if (!ok) return clo_crypto_fail(CLO_E_NOMEM, "the revocation list could not be made");
    X509_CRL_sort(crl);
    CLO_TRY(clo_crypto_sign_crl(crl, key, clo_crypto_cert_is_pss384(issuer)));
    int n = i2d_X509_CRL(crl, NULL);
    uint8_t *at = NULL;
    if (n <= 0) return clo_crypto_fail(CLO_E_NOMEM, "the revocation list could not be encoded");
    CLO_TRY(clo_buf_reserve(der, (size_t)n, &at));
    der->len += (size_t)i2d_X509_CRL(crl, &at);
    return CLO_OK;
}
