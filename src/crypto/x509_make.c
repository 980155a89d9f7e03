/* Making key pairs and certificates: the development root of the software TEE, self-signed TLS leaves. */
#include "base/clo_ct.h"
#include "crypto/x509_int.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>

clo_err clo_crypto_keypair_make(clo_crypto_keypair_kind kind, clo_buf *private_pem)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    switch (kind) {
    case CLO_KEYPAIR_RSA4096:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096);
        break;
    case CLO_KEYPAIR_RSA2048:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
        break;
    case CLO_KEYPAIR_P521:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
        break;
    case CLO_KEYPAIR_P256:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        break;
    case CLO_KEYPAIR_P384:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        break;
    case CLO_KEYPAIR_ED25519:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    default:
        return CLO_FAILF(CLO_E_UNSUPPORTED, "this kind of key pair is not available");
    }
    CLO_AUTO(clo_crypto_bio_auto) BIO *bio = BIO_new(BIO_s_mem()); /* OpenSSL clears it when it is freed */
    char *text = NULL;
    if (key == NULL || bio == NULL || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return clo_crypto_fail(CLO_E_RNG, "the key pair could not be made");
    long n = BIO_get_mem_data(bio, &text);
    clo_err e = clo_buf_put(private_pem, text, (size_t)n);
    clo_wipe(text, (size_t)n);
    return e;
}

/* A file that is encrypted must fail, not ask on the terminal. */
static int no_passphrase(char *to, int size, int writing, void *data)
{
    (void)to;
    (void)size;
    (void)writing;
    (void)data;
    return -1;
}

clo_err clo_crypto_pem_key(clo_span private_pem, EVP_PKEY **out)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(private_pem.n != 0 && private_pem.n <= 64 * 1024, CLO_E_TOO_LARGE,
               "a private key file has between 1 byte and 64 KiB");
    CLO_AUTO(clo_crypto_bio_auto) BIO *bio = BIO_new_mem_buf(private_pem.p, (int)private_pem.n);
    CLO_CHECK(bio != NULL, CLO_E_NOMEM);
    *out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (*out == NULL) return clo_crypto_fail(CLO_E_MALFORMED, "the bytes are not an unencrypted PKCS#8 private key in PEM");
    return CLO_OK;
}

static void bn_auto(BIGNUM **p) { BN_clear_free(*p); }

clo_err clo_crypto_keypair_private(clo_span private_pem, clo_crypto_private_key *out)
{
    static const struct {
        const char *group;
        clo_crypto_sign_alg alg;
        int size;
    } curves[] = {{"prime256v1", CLO_SIGN_ES256, 32}, {"secp384r1", CLO_SIGN_ES384, 48}, {"secp521r1", CLO_SIGN_ES512, 66}};
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pem_key(private_pem, &key));
    CLO_AUTO(clo_crypto_private_key_wipe) clo_crypto_private_key made = {.alg = CLO_SIGN_ED25519};
    if (EVP_PKEY_is_a(key, "ED25519")) {
        size_t n = 32;
        if (EVP_PKEY_get_raw_private_key(key, made.bytes, &n) != 1 || n != 32)
            return clo_crypto_fail(CLO_E_MALFORMED, "the private key is unreadable");
        *out = made;
        return CLO_OK;
    }
    char group[40] = "";
    size_t n = 0;
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &n) != 1) group[0] = 0;
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (strcmp(group, curves[i].group) != 0) continue;
        CLO_AUTO(bn_auto) BIGNUM *d = NULL;
        made.alg = curves[i].alg;
        if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d) != 1 ||
            BN_bn2binpad(d, made.bytes, curves[i].size) != curves[i].size)
            return clo_crypto_fail(CLO_E_MALFORMED, "the private key is unreadable");
        *out = made;
        return CLO_OK;
    }
    return clo_crypto_fail(CLO_E_UNSUPPORTED, "the private key is neither on P-256, P-384, P-521 nor Ed25519");
}

/* The signing context for a key: PSS with SHA-384 and a salt of 48 bytes where asked, else the digest that fits the key. */
static bool sign_start(EVP_MD_CTX *ctx, EVP_PKEY *key, bool pss384)
{
    const EVP_MD *md = clo_crypto_md(CLO_HASH_SHA256);
    EVP_PKEY_CTX *borrowed = NULL;
    if (EVP_PKEY_is_a(key, "ED25519"))
        md = NULL;
    else if (pss384 || EVP_PKEY_get_bits(key) == 384)
        md = clo_crypto_md(CLO_HASH_SHA384);
    else if (EVP_PKEY_get_bits(key) == 521)
        md = clo_crypto_md(CLO_HASH_SHA512);
    if (EVP_DigestSignInit(ctx, &borrowed, md, NULL, key) != 1) return false;
    if (!pss384) return true;
    return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_CTX_set_rsa_padding(borrowed, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(borrowed, 48) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(borrowed, md) == 1;
}

clo_err clo_crypto_sign_crl(X509_CRL *crl, EVP_PKEY *key, bool pss384)
{
    CLO_AUTO(clo_crypto_md_ctx_auto) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || !sign_start(ctx, key, pss384) || X509_CRL_sign_ctx(crl, ctx) <= 0)
        return clo_crypto_fail(CLO_E_USAGE, "the revocation list could not be signed with this key");
    return CLO_OK;
}

static void extension_auto(X509_EXTENSION **e) { X509_EXTENSION_free(*e); }
static void object_auto(ASN1_OBJECT **o) { ASN1_OBJECT_free(*o); }
static void octets_auto(ASN1_OCTET_STRING **o) { ASN1_OCTET_STRING_free(*o); }
static void names_auto(GENERAL_NAMES **n) { GENERAL_NAMES_free(*n); }
static void time_auto(ASN1_TIME **t) { ASN1_TIME_free(*t); }

static bool add_text(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx = {0};
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    CLO_AUTO(extension_auto) X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    return e != NULL && X509_add_ext(x, e, -1) == 1;
}

static bool add_raw(X509 *x, const clo_crypto_extension *extension)
{
    CLO_AUTO(object_auto) ASN1_OBJECT *object = OBJ_txt2obj(extension->oid, 1);
    CLO_AUTO(octets_auto) ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    if (object == NULL || value == NULL || extension->der.n > 0xffff ||
        ASN1_OCTET_STRING_set(value, extension->der.p, (int)extension->der.n) != 1)
        return false;
    CLO_AUTO(extension_auto) X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, object, 0, value);
    return e != NULL && X509_add_ext(x, e, -1) == 1;
}

/* Subject alternative name without OpenSSL's configuration language, in which a comma would start another name. */
static bool add_dns(X509 *x, const char *dns)
{
    CLO_AUTO(names_auto) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    if (names == NULL || name == NULL || text == NULL || ASN1_STRING_set(text, dns, -1) != 1) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(text);
        return false;
    }
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1;
}

static bool fill(X509 *x, const clo_crypto_cert_request *request, EVP_PKEY *subject, const clo_crypto_cert *issuer)
{
    X509_NAME *name = X509_get_subject_name(x);
    CLO_AUTO(time_auto) ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)request->not_before);
    CLO_AUTO(time_auto) ASN1_TIME *to = ASN1_TIME_set(NULL, (time_t)request->not_after);
    if (from == NULL || to == NULL || X509_set_version(x, 2) != 1 ||
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), request->serial) != 1 ||
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)request->common_name, -1, -1, 0) !=
            1 ||
        X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer->x509) : name) != 1 ||
        X509_set1_notBefore(x, from) != 1 || X509_set1_notAfter(x, to) != 1 || X509_set_pubkey(x, subject) != 1)
        return false;
    X509 *signer = issuer != NULL ? issuer->x509 : x;
    char constraints[64];
    (void)snprintf(constraints, sizeof constraints, request->limited ? "critical,CA:%s,pathlen:%u" : "critical,CA:%s", request->is_ca ? "TRUE" : "FALSE",
                   request->path_length);
    bool ok = add_text(x, signer, NID_basic_constraints, constraints) &&
              add_text(x, signer, NID_key_usage, request->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
              (request->dns_name == NULL || add_dns(x, request->dns_name));
    for (size_t i = 0; ok && i < request->extension_count; i++) ok = add_raw(x, &request->extensions[i]);
    return ok;
}

clo_err clo_crypto_cert_make(const clo_crypto_cert_request *request, clo_span subject_pem, const clo_crypto_cert *issuer,
                             clo_span issuer_pem, clo_buf *der)
{
    CLO_CHECKF(request->not_before <= request->not_after, CLO_E_RANGE, "the certificate would end before it begins");
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *subject = NULL;
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *signer = NULL;
    CLO_TRY(clo_crypto_pem_key(subject_pem, &subject));
    CLO_TRY(clo_crypto_pem_key(issuer != NULL ? issuer_pem : subject_pem, &signer));
    CLO_CHECKF(issuer == NULL || (issuer->key != NULL && EVP_PKEY_eq(issuer->key, signer) == 1), CLO_E_USAGE,
               "the issuer's certificate and private key do not belong together");
    CLO_AUTO(clo_crypto_x509_auto) X509 *x = X509_new();
    CLO_AUTO(clo_crypto_md_ctx_auto) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (x == NULL || ctx == NULL || !fill(x, request, subject, issuer))
        return clo_crypto_fail(CLO_E_MALFORMED, "the certificate could not be made of this request");
    if (!sign_start(ctx, signer, request->pss384) || X509_sign_ctx(x, ctx) <= 0)
        return clo_crypto_fail(CLO_E_USAGE, "the certificate could not be signed with this key");
    int n = i2d_X509(x, NULL);
    uint8_t *at = NULL;
    if (n <= 0) return clo_crypto_fail(CLO_E_NOMEM, "the certificate could not be encoded");
    CLO_TRY(clo_buf_reserve(der, (size_t)n, &at));
    der->len += (size_t)i2d_X509(x, &at);
    return CLO_OK;
}
