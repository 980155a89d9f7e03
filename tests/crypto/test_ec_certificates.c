/* Proves that certificates with EC keys, whose keys OpenSSL does not decode here, are judged as OpenSSL judges them: certificates of many
 * shapes are made, and "signed by" must say what X509_check_issued and X509_verify say of the same bytes parsed whole. Also flips every
 * byte of a good certificate, and shows that keys, TLS forms and shared certificates are right. */
#include "crypto/verify_key.h"
#include "crypto/x509_int.h"
#include "crypto_test.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

typedef struct {
    const char *name, *subject, *issuer, *constraints, *usage;
    bool authority_id, wrong_authority_id, by_other_key, unknown_critical, sha1, sha384, rsa, proxy;
} shape;

static EVP_PKEY *ca_key, *leaf_key, *other_key, *rsa_key;
static X509 *ca_full;

static int keys_make(void **state)
{
    (void)state;
    ca_key = EVP_EC_gen("P-256");
    leaf_key = EVP_EC_gen("P-384");
    other_key = EVP_EC_gen("P-256");
    rsa_key = EVP_RSA_gen(2048);
    return ca_key == NULL || leaf_key == NULL || other_key == NULL || rsa_key == NULL;
}

static int keys_drop(void **state)
{
    (void)state;
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(leaf_key);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(rsa_key);
    X509_free(ca_full);
    return 0;
}

static void add(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static X509 *make(const shape *s, EVP_PKEY *subject, X509 *issuer, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 77);
    X509_gmtime_adj(X509_getm_notBefore(x), -1000);
    X509_gmtime_adj(X509_getm_notAfter(x), 100000);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)s->subject, -1, -1, 0);
    X509_NAME *name = X509_NAME_new();
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)s->issuer, -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_NAME_free(name);
    X509_set_pubkey(x, subject);
    if (s->constraints != NULL) add(x, issuer, NID_basic_constraints, s->constraints);
    if (s->usage != NULL) add(x, issuer, NID_key_usage, s->usage);
    add(x, issuer, NID_subject_key_identifier, "hash");
    if (s->authority_id) add(x, issuer == NULL ? x : issuer, NID_authority_key_identifier, "keyid:always");
    if (s->wrong_authority_id) add(x, x, NID_authority_key_identifier, "keyid:always");
    if (s->proxy) {
        PROXY_CERT_INFO_EXTENSION *info = PROXY_CERT_INFO_EXTENSION_new();
        info->proxyPolicy->policyLanguage = OBJ_nid2obj(NID_id_ppl_anyLanguage);
        assert_int_equal(X509_add1_ext_i2d(x, NID_proxyCertInfo, info, 1, 0), 1);
        PROXY_CERT_INFO_EXTENSION_free(info);
    }
    if (s->unknown_critical) {
        ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        assert_int_equal(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2), 1);
        X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
        assert_int_equal(X509_add_ext(x, e, -1), 1);
        X509_EXTENSION_free(e);
        ASN1_OCTET_STRING_free(value);
        ASN1_OBJECT_free(oid);
    }
    assert_true(X509_sign(x, s->by_other_key ? other_key : key, s->sha1 ? EVP_sha1() : s->sha384 ? EVP_sha384() : EVP_sha256()) > 0);
    return x;
}

static clo_crypto_cert *parsed(X509 *x)
{
    unsigned char *der = NULL;
    int n = i2d_X509(x, &der);
    clo_crypto_cert *c = NULL;
    assert_ok(clo_crypto_cert_parse(&c, clo_span_of(der, (size_t)n)));
    OPENSSL_free(der);
    return c;
}

/* OpenSSL's answer on whole certificates; what this project asks beyond it is in the shapes. */
static bool openssl_says(X509 *cert, X509 *issuer)
{
    return X509_check_ca(issuer) == 1 && X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(issuer)) == 1;
}

static void test_shapes(void **state)
{
    (void)state;
    static const shape authorities[] = {
        {.name = "authority", .subject = "CA", .issuer = "CA", .constraints = "critical,CA:TRUE", .usage = "critical,keyCertSign,cRLSign"},
        {.name = "authority of any usage", .subject = "CA", .issuer = "CA", .constraints = "critical,CA:TRUE"},
        {.name = "authority that signs lists only", .subject = "CA", .issuer = "CA", .constraints = "critical,CA:TRUE", .usage = "critical,cRLSign"},
        {.name = "no authority", .subject = "CA", .issuer = "CA", .constraints = "critical,CA:FALSE", .usage = "critical,keyCertSign"},
        {.name = "no constraints", .subject = "CA", .issuer = "CA"},
        {.name = "another name", .subject = "CB", .issuer = "CB", .constraints = "critical,CA:TRUE"},
        {.name = "authority with an RSA key", .subject = "CA", .issuer = "CA", .constraints = "critical,CA:TRUE", .rsa = true},
    };
    static const shape leaves[] = {
        {.name = "leaf", .subject = "leaf", .issuer = "CA"},
        {.name = "leaf with key identifier", .subject = "leaf", .issuer = "CA", .authority_id = true, .usage = "critical,digitalSignature"},
        {.name = "leaf with another's key identifier", .subject = "leaf", .issuer = "CA", .wrong_authority_id = true},
        {.name = "leaf by another key", .subject = "leaf", .issuer = "CA", .by_other_key = true},
        {.name = "leaf with SHA-384", .subject = "leaf", .issuer = "CA", .sha384 = true},
        {.name = "leaf with an RSA key", .subject = "leaf", .issuer = "CA", .rsa = true},
        {.name = "a proxy", .subject = "leaf", .issuer = "CA", .usage = "critical,digitalSignature", .proxy = true},
        {.name = "self-issued", .subject = "CA", .issuer = "CA", .constraints = "critical,CA:TRUE"},
    };
    unsigned good = 0;
    for (size_t a = 0; a < sizeof authorities / sizeof authorities[0]; a++) {
        EVP_PKEY *key = authorities[a].rsa ? rsa_key : ca_key;
        X509 *issuer = make(&authorities[a], key, NULL, key);
        clo_crypto_cert *ours = parsed(issuer);
        assert_true(ours->light == !authorities[a].rsa);
        for (size_t l = 0; l < sizeof leaves / sizeof leaves[0]; l++) {
            X509 *cert = make(&leaves[l], leaves[l].rsa ? rsa_key : leaf_key, issuer, key);
            clo_crypto_cert *leaf = parsed(cert);
            bool want = openssl_says(cert, issuer) && !leaves[l].proxy, got = !clo_failed(clo_crypto_cert_signed_by(leaf, ours));
            if (want != got) fail_msg("%s under %s: %s", leaves[l].name, authorities[a].name, got ? "accepted" : clo_err_text());
            good += want ? 1 : 0;
            clo_crypto_cert_free(&leaf);
            X509_free(cert);
        }
        clo_crypto_cert_free(&ours);
        X509_free(issuer);
    }
    assert_true(good >= 8);
}

static const shape usual_ca = {.name = "CA", .subject = "CA", .issuer = "CA", .constraints = "critical,CA:TRUE", .usage = "critical,keyCertSign,cRLSign"};

static void test_refused(void **state)
{
    (void)state;
    static const shape leaves[] = {{.name = "SHA-1", .subject = "leaf", .issuer = "CA", .sha1 = true},
                                   {.name = "unknown critical extension", .subject = "leaf", .issuer = "CA", .unknown_critical = true}};
    X509 *issuer = make(&usual_ca, ca_key, NULL, ca_key);
    clo_crypto_cert *ca = parsed(issuer);
    for (size_t i = 0; i < 2; i++) {
        X509 *cert = make(&leaves[i], leaf_key, issuer, ca_key);
        clo_crypto_cert *leaf = parsed(cert);
        assert_code(clo_crypto_cert_signed_by(leaf, ca), CLO_E_BAD_SIGNATURE);
        clo_crypto_cert_free(&leaf);
        X509_free(cert);
    }
    clo_crypto_cert_free(&ca);
    X509_free(issuer);
}

static void test_every_byte(void **state)
{
    (void)state;
    static const shape usual = {.subject = "leaf", .issuer = "CA", .authority_id = true, .usage = "critical,digitalSignature"};
    X509 *issuer = make(&usual_ca, ca_key, NULL, ca_key), *cert = make(&usual, leaf_key, issuer, ca_key);
    clo_crypto_cert *ca = parsed(issuer), *leaf = parsed(cert);
    assert_ok(clo_crypto_cert_signed_by(leaf, ca));
    size_t n = leaf->der_size;
    uint8_t *der = OPENSSL_memdup(leaf->der, n);
    assert_non_null(der);
    for (size_t at = 0; at < n; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            clo_crypto_cert *other = NULL;
            der[at] ^= (uint8_t)(1u << bit);
            if (!clo_failed(clo_crypto_cert_parse(&other, clo_span_of(der, n)))) {
                if (!clo_failed(clo_crypto_cert_signed_by(other, ca))) fail_msg("byte %zu, bit %u", at, bit);
                clo_crypto_cert_free(&other);
            }
            der[at] ^= (uint8_t)(1u << bit);
        }
    }
    OPENSSL_free(der);
    clo_crypto_cert_free(&ca);
    clo_crypto_cert_free(&leaf);
    X509_free(issuer);
    X509_free(cert);
}

static void test_keys_and_sharing(void **state)
{
    (void)state;
    X509 *issuer = make(&usual_ca, ca_key, NULL, ca_key), *full = NULL;
    clo_crypto_cert *ca = parsed(issuer), *again[2] = {NULL, NULL};
    clo_crypto_public_key key;
    clo_crypto_verify_key *verify = NULL;
    size_t count = 0;
    assert_ok(clo_crypto_cert_public_key(ca, &key));
    assert_true(key.alg == CLO_SIGN_ES256 && key.n == 65);
    assert_int_equal(EVP_PKEY_eq(ca->key, ca_key), 1);
    assert_ok(clo_crypto_verify_key_of_cert(ca, &verify));
    assert_true(clo_crypto_verify_key_fits(verify, CLO_SCHEME_ES256));
    assert_ok(clo_crypto_cert_full(ca, &full));
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(full), ca_key), 1);
    CLO_AUTO(clo_buf_free) clo_buf pem;
    clo_buf_init(&pem, 65536);
    assert_ok(clo_crypto_cert_to_pem(ca, &pem));
    assert_ok(clo_crypto_cert_to_pem(ca, &pem));
    assert_ok(clo_crypto_cert_parse_pem_known(again, 2, &count, clo_buf_span(&pem), &ca, 1));
    assert_int_equal(count, 2);
    assert_ptr_equal(again[0], ca);
    clo_crypto_cert_free(&ca);
    clo_crypto_cert_free(&again[0]);
    assert_true(clo_crypto_cert_is_ca(again[1]));
    clo_crypto_cert_free(&again[1]);
    /* Text around certificates is skipped; a block that does not end, or does not decode, is none. */
    assert_ok(clo_crypto_cert_parse_pem(again, 2, &count, clo_buf_span(&pem)));
    clo_crypto_cert_free(&again[0]);
    clo_crypto_cert_free(&again[1]);
    assert_code(clo_crypto_cert_parse_pem(again, 2, &count, clo_span_of(pem.p, pem.len - 10)), CLO_E_MALFORMED);
    pem.p[60] = '*';
    assert_code(clo_crypto_cert_parse_pem(again, 2, &count, clo_buf_span(&pem)), CLO_E_MALFORMED);
    clo_crypto_verify_key_free(&verify);
    X509_free(full);
    X509_free(issuer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_refused), cmocka_unit_test(test_every_byte), cmocka_unit_test(test_keys_and_sharing)};
    return cmocka_run_group_tests(tests, keys_make, keys_drop);
}
