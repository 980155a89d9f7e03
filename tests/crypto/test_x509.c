/* Proves certificates and revocation lists: a development root (RSA-4096, RSASSA-PSS), its authority and leaf with private
 * extensions, CRLs, refusal of wrong issuers, of non-authorities, of altered, cut and trailing bytes; and real SEV-SNP chains
 * where the vectors are at hand. */
#include "crypto/x509.h"
#include "crypto_test.h"
#include <stdio.h>

enum { T0 = 1700000000, T1 = 1900000000 };
static clo_buf root_key, leaf_key, root_der, leaf_der;
static clo_crypto_cert *root, *leaf;

static int make_chain(void **state)
{
    (void)state;
    clo_buf_init(&root_key, 65536);
    clo_buf_init(&leaf_key, 65536);
    clo_buf_init(&root_der, 65536);
    clo_buf_init(&leaf_der, 65536);
    static const uint8_t number[3] = {2, 1, 7};
    const clo_crypto_extension extensions[2] = {{"1.3.6.1.4.1.3704.1.3.1", clo_span_of(number, 3)},
                                                {"1.3.6.1.4.1.3704.1.4", clo_span_of("chip", 4)}};
    clo_crypto_cert_request ca = {
        .common_name = "Development root", .not_before = T0, .not_after = T1, .is_ca = true, .pss384 = true, .serial = 1};
    clo_crypto_cert_request end = {.common_name = "Development leaf",
                                   .not_before = T0,
                                   .not_after = T1,
                                   .pss384 = true,
                                   .serial = 0xfedcba9876543210u,
                                   .extensions = extensions,
                                   .extension_count = 2,
                                   .dns_name = "leaf.example"};
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_RSA4096, &root_key));
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_P384, &leaf_key));
    assert_ok(clo_crypto_cert_make(&ca, clo_buf_span(&root_key), NULL, clo_span_of(NULL, 0), &root_der));
    assert_ok(clo_crypto_cert_parse(&root, clo_buf_span(&root_der)));
    assert_ok(clo_crypto_cert_make(&end, clo_buf_span(&leaf_key), root, clo_buf_span(&root_key), &leaf_der));
    assert_ok(clo_crypto_cert_parse(&leaf, clo_buf_span(&leaf_der)));
    return 0;
}

static int drop_chain(void **state)
{
    (void)state;
    clo_crypto_cert_free(&root);
    clo_crypto_cert_free(&leaf);
    clo_buf_free(&root_key);
    clo_buf_free(&leaf_key);
    clo_buf_free(&root_der);
    clo_buf_free(&leaf_der);
    return 0;
}

static void chain(void **state)
{
    (void)state;
    assert_ok(clo_crypto_cert_signed_by(root, root));
    assert_ok(clo_crypto_cert_signed_by(leaf, root));
    assert_code(clo_crypto_cert_signed_by(leaf, leaf), CLO_E_BAD_SIGNATURE);
    assert_code(clo_crypto_cert_signed_by(root, leaf), CLO_E_BAD_SIGNATURE);
    assert_true(clo_crypto_cert_is_ca(root));
    assert_false(clo_crypto_cert_is_ca(leaf));
    assert_true(clo_crypto_cert_is_pss384(root));
    assert_true(clo_crypto_cert_is_pss384(leaf));
    int64_t from = 0, to = 0;
    assert_ok(clo_crypto_cert_window(leaf, &from, &to));
    assert_int_equal(from, T0);
    assert_int_equal(to, T1);
    char name[64];
    assert_ok(clo_crypto_cert_common_name(leaf, name, sizeof name));
    assert_string_equal(name, "Development leaf");
    assert_ok(clo_crypto_cert_issuer_common_name(leaf, name, sizeof name));
    assert_string_equal(name, "Development root");
    assert_code(clo_crypto_cert_common_name(leaf, name, 16), CLO_E_TOO_LARGE);
}

static void keys_and_extensions(void **state)
{
    (void)state;
    clo_crypto_public_key from_cert, from_key;
    clo_crypto_private_key sk;
    assert_ok(clo_crypto_cert_public_key(leaf, &from_cert));
    assert_ok(clo_crypto_keypair_private(clo_buf_span(&leaf_key), &sk));
    assert_ok(clo_crypto_sign_public_of(&sk, &from_key));
    assert_true(clo_crypto_public_key_equal(&from_cert, &from_key));
    assert_int_equal(from_cert.alg, CLO_SIGN_ES384);
    assert_code(clo_crypto_cert_public_key(root, &from_cert), CLO_E_UNSUPPORTED);
    assert_code(clo_crypto_keypair_private(clo_buf_span(&root_key), &sk), CLO_E_UNSUPPORTED);
    assert_code(clo_crypto_keypair_private(clo_span_str("-----BEGIN"), &sk), CLO_E_MALFORMED);
    clo_span value;
    assert_ok(clo_crypto_cert_extension(leaf, "1.3.6.1.4.1.3704.1.3.1", &value));
    assert_true(clo_span_equal(value, clo_span_of("\x02\x01\x07", 3)));
    assert_ok(clo_crypto_cert_extension(leaf, "1.3.6.1.4.1.3704.1.3.2", &value));
    assert_null(value.p);
    assert_code(clo_crypto_cert_extension(leaf, "no oid", &value), CLO_E_USAGE);
    uint8_t a[32], b[32];
    assert_ok(clo_crypto_cert_spki_sha256(leaf, a));
    clo_crypto_cert_sha256(leaf, b);
    assert_memory_not_equal(a, b, 32);
}

static void other_kinds(void **state)
{
    (void)state;
    static const clo_crypto_keypair_kind kinds[] = {CLO_KEYPAIR_P256, CLO_KEYPAIR_P384, CLO_KEYPAIR_ED25519};
    for (size_t i = 0; i < 3; i++) {
        CLO_AUTO(clo_buf_free) clo_buf key;
        CLO_AUTO(clo_buf_free) clo_buf der;
        CLO_AUTO(clo_buf_free) clo_buf pem;
        CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *c = NULL;
        clo_crypto_cert *again[2] = {NULL, NULL};
        clo_crypto_public_key pk;
        size_t count = 0;
        clo_buf_init(&key, 65536);
        clo_buf_init(&der, 65536);
        clo_buf_init(&pem, 65536);
        clo_crypto_cert_request request = {.common_name = "self", .not_before = T0, .not_after = T1, .is_ca = true, .serial = 5};
        assert_ok(clo_crypto_keypair_make(kinds[i], &key));
        assert_ok(clo_crypto_cert_make(&request, clo_buf_span(&key), NULL, clo_span_of(NULL, 0), &der));
        assert_ok(clo_crypto_cert_parse(&c, clo_buf_span(&der)));
        assert_ok(clo_crypto_cert_signed_by(c, c));
        assert_false(clo_crypto_cert_is_pss384(c));
        assert_ok(clo_crypto_cert_public_key(c, &pk));
        assert_ok(clo_crypto_cert_to_pem(c, &pem));
        assert_ok(clo_crypto_cert_to_pem(c, &pem));
        assert_ok(clo_crypto_cert_parse_pem(again, 2, &count, clo_buf_span(&pem)));
        assert_int_equal(count, 2);
        assert_true(clo_span_equal(clo_crypto_cert_der(again[1]), clo_buf_span(&der)));
        clo_crypto_cert_free(&again[0]);
        clo_crypto_cert_free(&again[1]);
        assert_code(clo_crypto_cert_parse_pem(again, 1, &count, clo_buf_span(&pem)), CLO_E_TOO_MANY);
        assert_null(again[0]);
        assert_code(clo_crypto_cert_parse_pem(again, 2, &count, clo_span_of(pem.p, pem.len - 40)), CLO_E_MALFORMED);
        assert_null(again[0]);
        assert_code(clo_crypto_cert_parse_pem(again, 2, &count, clo_span_str("nothing")), CLO_E_MALFORMED);
        /* the root's key does not go with this certificate; a backward window is refused; an EC key cannot sign PSS */
        CLO_AUTO(clo_buf_free) clo_buf none;
        clo_buf_init(&none, 65536);
        assert_code(clo_crypto_cert_make(&request, clo_buf_span(&key), c, clo_buf_span(&root_key), &none), CLO_E_USAGE);
        request.pss384 = true;
        assert_code(clo_crypto_cert_make(&request, clo_buf_span(&key), NULL, clo_span_of(NULL, 0), &none), CLO_E_USAGE);
        request.not_after = T0 - 1;
        assert_code(clo_crypto_cert_make(&request, clo_buf_span(&key), NULL, clo_span_of(NULL, 0), &none), CLO_E_RANGE);
        assert_int_equal(none.len, 0);
    }
}

static void altered(void **state)
{
    (void)state;
    clo_crypto_cert *c = NULL;
    uint8_t bytes[4096];
    size_t n = leaf_der.len;
    assert_true(n < sizeof bytes);
    memcpy(bytes, leaf_der.p, n);
    for (size_t cut = 0; cut < n; cut++) assert_code(clo_crypto_cert_parse(&c, clo_span_of(bytes, cut)), CLO_E_MALFORMED);
    bytes[n] = 0;
    assert_code(clo_crypto_cert_parse(&c, clo_span_of(bytes, n + 1)), CLO_E_TRAILING);
    for (size_t at = 0; at < n; at++) {
        bytes[at] ^= 4;
        clo_err e = clo_crypto_cert_parse(&c, clo_span_of(bytes, n));
        if (!clo_failed(e)) {
            assert_true(clo_failed(clo_crypto_cert_signed_by(c, root)));
            clo_crypto_cert_free(&c);
        }
        bytes[at] ^= 4;
    }
    static uint8_t big[65537] = {0x30};
    assert_code(clo_crypto_cert_parse(&c, clo_span_of(big, sizeof big)), CLO_E_TOO_LARGE);
    assert_null(c);
    clo_crypto_cert_free(&c);
}

/* Many small elements, and deep ones, are refused before anything is made of them. */
static void bombs(void **state)
{
    (void)state;
    clo_crypto_cert *c = NULL;
    static uint8_t many[4 + 2 * 401] = {0x30, 0x82, (2 * 401) >> 8, (2 * 401) & 0xff};
    for (size_t i = 4; i < sizeof many; i += 2) many[i] = 5; /* NULL */
    assert_code(clo_crypto_cert_parse(&c, clo_span_of(many, sizeof many)), CLO_E_TOO_MANY);
    uint8_t deep[40];
    for (size_t i = 0; i < 20; i++) {
        deep[2 * i] = 0x30;
        deep[2 * i + 1] = (uint8_t)(38 - 2 * i);
    }
    assert_code(clo_crypto_cert_parse(&c, clo_span_of(deep, 40)), CLO_E_TOO_MANY);
    assert_code(clo_crypto_cert_parse(&c, clo_span_of(deep + 10, 30)), CLO_E_MALFORMED);
    assert_null(c);
}

static void revocation(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf der;
    clo_buf_init(&der, 65536);
    CLO_AUTO(clo_crypto_crl_free) clo_crypto_crl *empty = NULL;
    CLO_AUTO(clo_crypto_crl_free) clo_crypto_crl *listing = NULL;
    assert_ok(clo_crypto_crl_make(root, clo_buf_span(&root_key), T0, T1, NULL, 0, &der));
    assert_ok(clo_crypto_crl_parse(&empty, clo_buf_span(&der)));
    assert_ok(clo_crypto_crl_signed_by(empty, root));
    assert_code(clo_crypto_crl_signed_by(empty, leaf), CLO_E_BAD_SIGNATURE);
    assert_false(clo_crypto_crl_lists(empty, leaf));
    const clo_crypto_cert *revoked[1] = {leaf};
    clo_buf_clear(&der);
    assert_ok(clo_crypto_crl_make(root, clo_buf_span(&root_key), T0, T1, revoked, 1, &der));
    assert_ok(clo_crypto_crl_parse(&listing, clo_buf_span(&der)));
    assert_ok(clo_crypto_crl_signed_by(listing, root));
    assert_true(clo_crypto_crl_lists(listing, leaf));
    assert_false(clo_crypto_crl_lists(listing, root));
    int64_t from = 0, to = 0;
    assert_ok(clo_crypto_crl_window(listing, &from, &to));
    assert_int_equal(from, T0);
    assert_int_equal(to, T1);
    clo_crypto_crl *c = NULL;
    for (size_t cut = 0; cut < der.len; cut++) assert_true(clo_failed(clo_crypto_crl_parse(&c, clo_span_of(der.p, cut))));
    for (size_t at = 0; at < der.len; at += 3) {
        der.p[at] ^= 1;
        if (!clo_failed(clo_crypto_crl_parse(&c, clo_buf_span(&der)))) {
            assert_true(clo_failed(clo_crypto_crl_signed_by(c, root)));
            clo_crypto_crl_free(&c);
        }
        der.p[at] ^= 1;
    }
    assert_ok(clo_buf_put_u8(&der, 0));
    assert_code(clo_crypto_crl_parse(&c, clo_buf_span(&der)), CLO_E_TRAILING);
    assert_null(c);
}

static bool slurp(const char *name, clo_buf *out)
{
    const char *base = getenv("CLOISTER_SHARED");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/snp/%s", base != NULL ? base : "../shared", name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return false;
    uint8_t *at = NULL;
    assert_ok(clo_buf_reserve(out, 65536, &at));
    out->len = fread(at, 1, 65536, f);
    (void)fclose(f);
    return out->len != 0;
}

static void real_chains(void **state)
{
    (void)state;
    static const char *const sets[][2] = {{"ask_ark_milan.pem", "trustee-milan-v2.ek.der"},
                                          {"ask_ark_milan_vlek.pem", "trustee-milan-vlek-v3.ek.der"},
                                          {"ask_ark_genoa.pem", "oak-genoa-v5.ek.der"},
                                          {"ask_ark_turin_vcek.pem", "oak-turin-v5.ek.der"}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        CLO_AUTO(clo_buf_free) clo_buf pem;
        CLO_AUTO(clo_buf_free) clo_buf der;
        clo_buf_init(&pem, 65536);
        clo_buf_init(&der, 65536);
        if (!slurp(sets[i][0], &pem) || !slurp(sets[i][1], &der)) skip_because("the published certificates are not beside the project (../shared/vectors)");
        clo_crypto_cert *authorities[2] = {NULL, NULL};
        size_t count = 0;
        CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *ek = NULL;
        assert_ok(clo_crypto_cert_parse_pem(authorities, 2, &count, clo_buf_span(&pem)));
        assert_int_equal(count, 2);
        assert_ok(clo_crypto_cert_parse(&ek, clo_buf_span(&der)));
        assert_ok(clo_crypto_cert_signed_by(authorities[1], authorities[1]));
        assert_ok(clo_crypto_cert_signed_by(authorities[0], authorities[1]));
        assert_ok(clo_crypto_cert_signed_by(ek, authorities[0]));
        assert_code(clo_crypto_cert_signed_by(ek, authorities[1]), CLO_E_BAD_SIGNATURE);
        for (size_t j = 0; j < 2; j++) assert_true(clo_crypto_cert_is_pss384(authorities[j]));
        assert_true(clo_crypto_cert_is_pss384(ek));
        clo_crypto_public_key pk;
        assert_ok(clo_crypto_cert_public_key(ek, &pk));
        assert_int_equal(pk.alg, CLO_SIGN_ES384);
        clo_crypto_cert_free(&authorities[0]);
        clo_crypto_cert_free(&authorities[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain),   cmocka_unit_test(keys_and_extensions), cmocka_unit_test(other_kinds),
        cmocka_unit_test(altered), cmocka_unit_test(bombs),
        cmocka_unit_test(revocation),          cmocka_unit_test(real_chains),
    };
    return cmocka_run_group_tests(tests, make_chain, drop_chain);
}
