/* Reading certificates. */
#include "crypto/x509_int.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { CERT_MAX = 64 * 1024, PEM_MAX = 1024 * 1024 };
/* Certificates of the field have up to 133 elements in 7 levels; OpenSSL would give a hundred bytes or more to each. */
enum { ELEMENTS_MAX = 400, LEVELS_MAX = 16 };

/* Are there few enough elements? What is no DER is the parser's to refuse. */
static bool elements_few(const uint8_t *at, size_t n, unsigned levels, unsigned *left)
{
    if (n == 0) return true;
    for (const uint8_t *end = at + n; at < end;) {
        long size = 0;
        int tag = 0, class = 0, form = ASN1_get_object(&at, &size, &tag, &class, (long)(end - at));
        if ((form & 0x80) != 0 || form == 0x21) return true; /* an error, or an indefinite length */
        if (*left == 0 || levels == 0) return false;
        (*left)--;
        if ((form & V_ASN1_CONSTRUCTED) != 0 && !elements_few(at, (size_t)size, levels - 1, left)) return false;
        at += size;
    }
    return true;
}

void clo_crypto_cert_free(clo_crypto_cert **c)
{
    clo_crypto_cert *gone = *c;
    *c = NULL;
    if (gone == NULL || atomic_fetch_sub(&gone->owners, 1) != 1) return;
    X509_free(gone->x509);
    EVP_PKEY_free(gone->key);
    OPENSSL_free(gone->der);
    free(gone);
}

static OSSL_LIB_CTX *light_context;

static void light_context_make(void)
{
    OSSL_LIB_CTX *made = OSSL_LIB_CTX_new();
    if (made != NULL && OSSL_PROVIDER_load(made, "null") != NULL) {
        light_context = made;
        return;
    }
    OSSL_LIB_CTX_free(made);
}

/* Parse in the context without decoders; NULL where that cannot be or the bytes are no certificate. */
static X509 *light_parse(const uint8_t **at, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (pthread_once(&once, light_context_make) != 0 || light_context == NULL) return NULL;
    X509 *x = X509_new_ex(light_context, NULL);
    if (x == NULL || d2i_X509(&x, at, (long)n) == NULL) return NULL; /* it has freed x */
    /* The first look at its extensions complains that there is no SHA-1 for a fingerprint; they are read nevertheless, and kept. */
    (void)X509_check_purpose(x, -1, 0);
    ERR_clear_error();
    return x;
}

static bool signed_by_ecdsa(const X509 *x)
{
    int digest = NID_undef, kind = NID_undef;
    return OBJ_find_sigid_algs(X509_get_signature_nid(x), &digest, &kind) == 1 && kind == NID_X9_62_id_ecPublicKey;
}

/* The key of a SubjectPublicKeyInfo with an uncompressed point on one of the named curves; NULL for any other. */
static EVP_PKEY *named_curve_key(const X509 *x, clo_crypto_public_key *out)
{
    static const struct {
        int nid;
        clo_crypto_sign_alg alg;
    } curves[] = {{NID_X9_62_prime256v1, CLO_SIGN_ES256}, {NID_secp384r1, CLO_SIGN_ES384}, {NID_secp521r1, CLO_SIGN_ES512}};
    ASN1_OBJECT *object = NULL;
    const uint8_t *point = NULL;
    int n = 0, type = 0;
    X509_ALGOR *algor = NULL;
    const void *parameters = NULL;
    EVP_PKEY *key = NULL;
    if (X509_PUBKEY_get0_param(&object, &point, &n, &algor, X509_get_X509_PUBKEY(x)) != 1 || OBJ_obj2nid(object) != NID_X9_62_id_ecPublicKey) return NULL;
    X509_ALGOR_get0(NULL, &type, &parameters, algor);
    for (size_t i = 0; type == V_ASN1_OBJECT && i < sizeof curves / sizeof curves[0]; i++) {
        clo_crypto_public_key raw = {.alg = curves[i].alg, .n = (size_t)n};
        if (OBJ_obj2nid(parameters) != curves[i].nid || n <= 0 || (size_t)n > sizeof raw.bytes) continue;
        memcpy(raw.bytes, point, (size_t)n);
        if (clo_failed(clo_crypto_pkey_public(&raw, &key))) return NULL;
        *out = raw;
    }
    return key;
}

clo_err clo_crypto_cert_full(const clo_crypto_cert *c, X509 **out)
{
    const uint8_t *at = c->der;
    if (!c->light) {
        CLO_CHECK(X509_up_ref(c->x509) == 1, CLO_E_NOMEM);
        *out = c->x509;
        return CLO_OK;
    }
    *out = d2i_X509(NULL, &at, (long)c->der_size);
    return *out != NULL ? CLO_OK : clo_crypto_fail(CLO_E_NOMEM, "the certificate could not be loaded");
}

clo_err clo_crypto_cert_parse(clo_crypto_cert **out, clo_span der)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(der.n <= CERT_MAX, CLO_E_TOO_LARGE, "a certificate has at most 64 KiB");
    unsigned left = ELEMENTS_MAX;
    if (!elements_few(der.p, der.n, LEVELS_MAX, &left))
        return clo_crypto_fail(CLO_E_TOO_MANY, "a certificate has at most 400 elements in at most 16 levels");
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    c->owners = 1;
    const uint8_t *at = der.p;
    c->x509 = der.n != 0 ? light_parse(&at, der.n) : NULL;
    c->light = c->x509 != NULL && signed_by_ecdsa(c->x509) && (c->key = named_curve_key(c->x509, &c->raw)) != NULL;
    if (!c->light) {
        X509_free(c->x509);
        at = der.p;
        c->x509 = der.n != 0 ? d2i_X509(NULL, &at, (long)der.n) : NULL;
        if (c->x509 == NULL) return clo_crypto_fail(CLO_E_MALFORMED, "the bytes are not a DER certificate");
        c->key = X509_get0_pubkey(c->x509);
        if (c->key != NULL && EVP_PKEY_up_ref(c->key) != 1) c->key = NULL;
        ERR_clear_error();
    }
    CLO_CHECKF(at == der.p + der.n, CLO_E_TRAILING, "there are bytes behind the certificate");
    int n = i2d_X509(c->x509, &c->der);
    if (n <= 0) return clo_crypto_fail(CLO_E_MALFORMED, "the certificate cannot be encoded");
    c->der_size = (size_t)n;
    CLO_CHECKF(clo_span_equal(clo_crypto_cert_der(c), der), CLO_E_NOT_CANONICAL, "the certificate is not encoded in DER");
    *out = CLO_TAKE(c);
    return CLO_OK;
}

static const char pem_begin[] = "-----BEGIN CERTIFICATE-----", pem_end[] = "-----END CERTIFICATE-----";

/* Take the next certificate off a PEM text (RFC 7468), as DER in `to` (at least the text's size); *size 0: there is none. Text
 * before and between certificates is skipped, as OpenSSL does. */
static clo_err pem_take(clo_span *in, uint8_t *to, size_t *size)
{
    static const char wrong[] = "the file is not a sequence of PEM certificates";
    *size = 0;
    const uint8_t *begin = memmem(in->p, in->n, pem_begin, sizeof pem_begin - 1);
    if (begin == NULL) return CLO_OK;
    begin += sizeof pem_begin - 1;
    const uint8_t *end = memmem(begin, in->n - (size_t)(begin - in->p), pem_end, sizeof pem_end - 1);
    CLO_CHECKF(end != NULL, CLO_E_MALFORMED, wrong);
    *in = clo_span_of(end + sizeof pem_end - 1, in->n - (size_t)(end - in->p) - (sizeof pem_end - 1));
    size_t n = 0, padding = 0;
    for (const uint8_t *at = begin; at < end; at++) {
        if (*at == '\n' || *at == '\r' || *at == ' ' || *at == '\t') continue;
        CLO_CHECKF(padding == 0 || *at == '=', CLO_E_MALFORMED, wrong);
        if (*at == '=') padding++;
        to[n++] = *at;
    }
    CLO_CHECKF(n != 0 && n % 4 == 0 && padding <= 2 && EVP_DecodeBlock(to, to, (int)n) == (int)(n / 4 * 3), CLO_E_MALFORMED, wrong); /* in place */
    *size = n / 4 * 3 - padding;
    return CLO_OK;
}

/* The known certificate that has these bytes, with one more owner, or NULL. */
static clo_crypto_cert *share(clo_crypto_cert *const *known, size_t known_count, clo_span der)
{
    for (size_t i = 0; i < known_count; i++) {
        if (!clo_span_equal(clo_crypto_cert_der(known[i]), der)) continue;
        (void)atomic_fetch_add(&known[i]->owners, 1);
        return known[i];
    }
    return NULL;
}

static void bytes_auto(uint8_t **p) { free(*p); }

clo_err clo_crypto_cert_parse_pem_known(clo_crypto_cert **out, size_t max, size_t *count, clo_span pem_or_der, clo_crypto_cert *const *known,
                                       size_t known_count)
{
    *count = 0;
    if (pem_or_der.n != 0 && pem_or_der.p[0] == 0x30 && max > 0) {
        CLO_TRY(clo_crypto_cert_parse(&out[0], pem_or_der));
        *count = 1;
        return CLO_OK;
    }
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(pem_or_der.n != 0 && pem_or_der.n <= PEM_MAX, CLO_E_TOO_LARGE, "a certificate file has between 1 byte and 1 MiB");
    CLO_AUTO(bytes_auto) uint8_t *der = malloc(pem_or_der.n);
    CLO_CHECK(der != NULL, CLO_E_NOMEM);
    clo_err e = CLO_OK;
    size_t n = 0, size = 0;
    for (;;) {
        e = pem_take(&pem_or_der, der, &size);
        if (clo_failed(e) || size == 0) break;
        if (n == max) {
            e = CLO_FAILF(CLO_E_TOO_MANY, "the file has more than %zu certificates", max);
            break;
        }
        out[n] = share(known, known_count, clo_span_of(der, size));
        if (out[n] == NULL) e = clo_crypto_cert_parse(&out[n], clo_span_of(der, size));
        if (clo_failed(e)) break;
        n++;
    }
    if (!clo_failed(e) && n == 0) e = clo_crypto_fail(CLO_E_MALFORMED, "the file is not a sequence of PEM certificates");
    if (clo_failed(e)) {
        while (n > 0) clo_crypto_cert_free(&out[--n]);
        return e;
    }
    *count = n;
    return CLO_OK;
}

clo_err clo_crypto_cert_parse_pem(clo_crypto_cert **out, size_t max, size_t *count, clo_span pem_or_der)
{
    return clo_crypto_cert_parse_pem_known(out, max, count, pem_or_der, NULL, 0);
}

clo_span clo_crypto_cert_der(const clo_crypto_cert *c) { return clo_span_of(c->der, c->der_size); }

void clo_crypto_cert_sha256(const clo_crypto_cert *c, uint8_t out[32])
{
    if (clo_failed(clo_crypto_sha256(clo_crypto_cert_der(c), out))) memset(out, 0, 32);
}

clo_err clo_crypto_cert_file_sha256(clo_span pem_or_der, uint8_t out[32])
{
    if (pem_or_der.n != 0 && pem_or_der.p[0] == 0x30) return clo_crypto_sha256(pem_or_der, out);
    CLO_CHECKF(pem_or_der.n != 0 && pem_or_der.n <= PEM_MAX, CLO_E_MALFORMED, "a certificate file has between 1 byte and 1 MiB");
    CLO_AUTO(bytes_auto) uint8_t *der = malloc(pem_or_der.n);
    CLO_CHECK(der != NULL, CLO_E_NOMEM);
    size_t n = 0;
    CLO_TRY(pem_take(&pem_or_der, der, &n));
    CLO_CHECKF(n != 0, CLO_E_MALFORMED, "the file holds no PEM certificate");
    return clo_crypto_sha256(clo_span_of(der, n), out);
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
    if (c->key == NULL) return clo_crypto_fail(CLO_E_UNSUPPORTED, "the certificate's public key is of an unknown kind");
    if (!c->light) return clo_crypto_pkey_raw_public(c->key, out);
    *out = c->raw;
    return CLO_OK;
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
