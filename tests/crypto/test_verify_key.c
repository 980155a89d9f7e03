/* Proves the public keys and signature schemes of evidence: every kind of key taken from a certificate, an SPKI and its raw parts says the
 * same; each scheme accepts what was signed under it and nothing under another scheme, key, length or bit; weak and ill-formed keys are
 * refused; and the published Wycheproof cases for RSA (PKCS #1 v1.5, PSS) and P-521. */
#include "crypto/verify_key.h"
#include "base/clo_own.h"
#include "crypto_test.h"

typedef struct {
    clo_crypto_keypair_kind kind;
    clo_crypto_scheme schemes[6];
    size_t scheme_count;
    clo_buf pem, der;
    clo_crypto_cert *cert;
    clo_crypto_verify_key *key;
} subject;

static subject subjects[] = {
    {.kind = CLO_KEYPAIR_RSA2048,
     .schemes = {CLO_SCHEME_RS256, CLO_SCHEME_RS384, CLO_SCHEME_RS512, CLO_SCHEME_PS256, CLO_SCHEME_PS384, CLO_SCHEME_PS512},
     .scheme_count = 6},
    {.kind = CLO_KEYPAIR_P256, .schemes = {CLO_SCHEME_ES256}, .scheme_count = 1},
    {.kind = CLO_KEYPAIR_P384, .schemes = {CLO_SCHEME_ES384}, .scheme_count = 1},
    {.kind = CLO_KEYPAIR_P521, .schemes = {CLO_SCHEME_ES512}, .scheme_count = 1},
    {.kind = CLO_KEYPAIR_ED25519, .schemes = {CLO_SCHEME_EDDSA}, .scheme_count = 1},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0], SCHEMES = CLO_SCHEME_PS512 + 1 };

static int make_subjects(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        subject *s = &subjects[i];
        clo_crypto_cert_request r = {.common_name = "subject", .not_before = 1, .not_after = 2, .is_ca = true, .serial = 1};
        clo_buf_init(&s->pem, 8192);
        clo_buf_init(&s->der, 8192);
        if (clo_failed(clo_crypto_keypair_make(s->kind, &s->pem)) ||
            clo_failed(clo_crypto_cert_make(&r, clo_buf_span(&s->pem), NULL, clo_span_of(NULL, 0), &s->der)) ||
            clo_failed(clo_crypto_cert_parse(&s->cert, clo_buf_span(&s->der))) || clo_failed(clo_crypto_verify_key_of_cert(s->cert, &s->key)))
            return -1;
    }
    return 0;
}

static int drop_subjects(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        clo_crypto_verify_key_free(&subjects[i].key);
        clo_crypto_verify_key_free(&subjects[i].key); /* NULL is allowed */
        clo_crypto_cert_free(&subjects[i].cert);
        clo_buf_free(&subjects[i].pem);
        clo_buf_free(&subjects[i].der);
    }
    return 0;
}

static bool has(const subject *s, clo_crypto_scheme scheme)
{
    for (size_t i = 0; i < s->scheme_count; i++)
        if (s->schemes[i] == scheme) return true;
    return false;
}

static void schemes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        const subject *s = &subjects[i];
        const subject *stranger = &subjects[(i + 1) % SUBJECTS];
        for (unsigned k = 0; k < SCHEMES; k++) {
            clo_crypto_scheme scheme = (clo_crypto_scheme)k;
            CLO_AUTO(clo_buf_free) clo_buf signature;
            clo_buf_init(&signature, 2048);
            clo_span message = clo_span_str("a quote");
            assert_int_equal(clo_crypto_verify_key_fits(s->key, scheme), has(s, scheme));
            if (!has(s, scheme)) {
                assert_code(clo_crypto_keypair_sign(clo_buf_span(&s->pem), scheme, message, &signature), CLO_E_UNSUPPORTED);
                assert_code(clo_crypto_verify_with(s->key, scheme, message, clo_span_str("x")), CLO_E_UNSUPPORTED);
                continue;
            }
            assert_ok(clo_crypto_keypair_sign(clo_buf_span(&s->pem), scheme, message, &signature));
            clo_span good = clo_buf_span(&signature);
            assert_ok(clo_crypto_verify_with(s->key, scheme, message, good));
            assert_code(clo_crypto_verify_with(stranger->key, stranger->schemes[0], message, good), CLO_E_BAD_SIGNATURE);
            assert_code(clo_crypto_verify_with(s->key, scheme, clo_span_str("a quota"), good), CLO_E_BAD_SIGNATURE);
            assert_code(clo_crypto_verify_with(s->key, scheme, message, clo_span_of(good.p, good.n - 1)), CLO_E_BAD_SIGNATURE);
            assert_code(clo_crypto_verify_with(s->key, scheme, message, clo_span_of(NULL, 0)), CLO_E_BAD_SIGNATURE);
            for (unsigned other = 0; other < SCHEMES; other++) {
                if (other == k || !has(s, (clo_crypto_scheme)other)) continue;
                assert_code(clo_crypto_verify_with(s->key, (clo_crypto_scheme)other, message, good), CLO_E_BAD_SIGNATURE);
            }
            for (size_t at = 0; at < signature.len; at++) {
                signature.p[at] ^= 0x10;
                assert_code(clo_crypto_verify_with(s->key, scheme, message, good), CLO_E_BAD_SIGNATURE);
                signature.p[at] ^= 0x10;
            }
            uint8_t zeros[256] = {0};
            assert_code(clo_crypto_verify_with(s->key, scheme, message, clo_span_of(zeros, good.n)), CLO_E_BAD_SIGNATURE);
        }
    }
}

static void digests(void **state)
{
    (void)state;
    static const struct {
        size_t subject;
        clo_crypto_scheme scheme;
        clo_crypto_hash_alg hash;
    } cases[] = {{0, CLO_SCHEME_RS256, CLO_HASH_SHA256}, {0, CLO_SCHEME_PS384, CLO_HASH_SHA384}, {1, CLO_SCHEME_ES256, CLO_HASH_SHA256},
                 {2, CLO_SCHEME_ES384, CLO_HASH_SHA384}, {3, CLO_SCHEME_ES512, CLO_HASH_SHA512}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const subject *s = &subjects[cases[i].subject];
        CLO_AUTO(clo_buf_free) clo_buf signature;
        uint8_t digest[CLO_HASH_MAX];
        size_t n = clo_crypto_hash_size(cases[i].hash);
        clo_buf_init(&signature, 2048);
        assert_ok(clo_crypto_keypair_sign(clo_buf_span(&s->pem), cases[i].scheme, clo_span_str("m"), &signature));
        assert_ok(clo_crypto_hash(cases[i].hash, clo_span_str("m"), digest));
        assert_ok(clo_crypto_verify_digest_with(s->key, cases[i].scheme, clo_span_of(digest, n), clo_buf_span(&signature)));
        assert_code(clo_crypto_verify_digest_with(s->key, cases[i].scheme, clo_span_of(digest, n - 1), clo_buf_span(&signature)), CLO_E_BAD_SIGNATURE);
        digest[n - 1] ^= 1;
        assert_code(clo_crypto_verify_digest_with(s->key, cases[i].scheme, clo_span_of(digest, n), clo_buf_span(&signature)), CLO_E_BAD_SIGNATURE);
    }
    assert_code(clo_crypto_verify_digest_with(subjects[4].key, CLO_SCHEME_EDDSA, clo_span_str("m"), clo_span_str("s")), CLO_E_BAD_SIGNATURE);
    uint8_t zeros[64] = {0};
    assert_code(clo_crypto_verify_digest_with(subjects[4].key, CLO_SCHEME_EDDSA, clo_span_str("m"), clo_span_of(zeros, 64)), CLO_E_UNSUPPORTED);
}

/* What TPMs make: PSS with the longest salt, and SHA-1. */
static void tpm_schemes(void **state)
{
    (void)state;
    static const clo_crypto_scheme any[] = {CLO_SCHEME_PS256_ANY_SALT, CLO_SCHEME_PS384_ANY_SALT, CLO_SCHEME_PS512_ANY_SALT},
                                   fixed[] = {CLO_SCHEME_PS256, CLO_SCHEME_PS384, CLO_SCHEME_PS512};
    clo_span pem = clo_buf_span(&subjects[0].pem), m = clo_span_str("m");
    const clo_crypto_verify_key *key = subjects[0].key;
    CLO_AUTO(clo_buf_free) clo_buf signature;
    clo_buf_init(&signature, 2048);
    for (size_t i = 0; i < 3; i++) {
        clo_buf_clear(&signature);
        assert_ok(clo_crypto_keypair_sign(pem, any[i], m, &signature));
        assert_ok(clo_crypto_verify_with(key, any[i], m, clo_buf_span(&signature)));
        assert_code(clo_crypto_verify_with(key, fixed[i], m, clo_buf_span(&signature)), CLO_E_BAD_SIGNATURE);
        assert_code(clo_crypto_verify_with(key, any[(i + 1) % 3], m, clo_buf_span(&signature)), CLO_E_BAD_SIGNATURE);
        clo_buf_clear(&signature);
        assert_ok(clo_crypto_keypair_sign(pem, fixed[i], m, &signature));
        assert_ok(clo_crypto_verify_with(key, any[i], m, clo_buf_span(&signature)));
    }
    clo_buf_clear(&signature);
    assert_ok(clo_crypto_keypair_sign(pem, CLO_SCHEME_RS1, m, &signature));
    assert_ok(clo_crypto_verify_with(key, CLO_SCHEME_RS1, m, clo_buf_span(&signature)));
    assert_code(clo_crypto_verify_with(key, CLO_SCHEME_RS256, m, clo_buf_span(&signature)), CLO_E_BAD_SIGNATURE);
}

static void raw_parts(void **state)
{
    (void)state;
    for (size_t i = 1; i < SUBJECTS; i++) {
        clo_crypto_public_key a, b;
        CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *again = NULL;
        assert_ok(clo_crypto_verify_key_public(subjects[i].key, &a));
        assert_ok(clo_crypto_cert_public_key(subjects[i].cert, &b));
        assert_true(clo_crypto_public_key_equal(&a, &b));
        assert_int_equal(clo_crypto_verify_key_rsa_bits(subjects[i].key), 0);
        assert_int_equal(clo_crypto_verify_key_modulus(subjects[i].key).n, 0);
        assert_ok(clo_crypto_verify_key_of_public(&a, &again));
        assert_true(clo_crypto_verify_key_fits(again, subjects[i].schemes[0]));
        a.bytes[a.n - 1] ^= 1;
        if (a.alg != CLO_SIGN_ED25519) {
            clo_crypto_verify_key_free(&again);
            assert_code(clo_crypto_verify_key_of_public(&a, &again), CLO_E_MALFORMED);
        }
    }
    clo_crypto_public_key none;
    const clo_crypto_verify_key *rsa = subjects[0].key;
    assert_int_equal(clo_crypto_verify_key_rsa_bits(rsa), 2048);
    assert_code(clo_crypto_verify_key_public(rsa, &none), CLO_E_UNSUPPORTED);
    clo_span n = clo_crypto_verify_key_modulus(rsa);
    assert_int_equal(n.n, 256);
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *made = NULL;
    uint8_t padded[260] = {0}, even[256], large[1025];
    memcpy(padded + 4, n.p, 256);
    memcpy(even, n.p, 256);
    even[255] &= 0xfe;
    memset(large, 0xff, sizeof large);
    assert_ok(clo_crypto_verify_key_of_rsa(clo_span_of(padded, 260), clo_span_of("\0\x01\0\x01", 4), &made));
    assert_true(clo_span_equal(clo_crypto_verify_key_modulus(made), n));
    CLO_AUTO(clo_buf_free) clo_buf signature;
    clo_buf_init(&signature, 512);
    assert_ok(clo_crypto_keypair_sign(clo_buf_span(&subjects[0].pem), CLO_SCHEME_PS256, clo_span_str("m"), &signature));
    assert_ok(clo_crypto_verify_with(made, CLO_SCHEME_PS256, clo_span_str("m"), clo_buf_span(&signature)));
    clo_crypto_verify_key *no = NULL;
    static const struct {
        const char *e;
        size_t n;
        uint32_t code;
    } exponents[] = {{"\x03", 1, CLO_E_UNSUPPORTED},       {"\x01\0\0", 3, CLO_E_MALFORMED},  {"", 0, CLO_E_MALFORMED},
                     {"\xff\xff", 2, CLO_E_UNSUPPORTED},   {"\x01\0\x02", 3, CLO_E_MALFORMED}, {"\x01\0\0\0\0\0\0\0\x01", 9, CLO_E_UNSUPPORTED}};
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++)
        assert_code(clo_crypto_verify_key_of_rsa(n, clo_span_of(exponents[i].e, exponents[i].n), &no), exponents[i].code);
    clo_span e = clo_span_of("\x01\0\x01", 3);
    assert_code(clo_crypto_verify_key_of_rsa(clo_span_of(even, 256), e, &no), CLO_E_MALFORMED);
    assert_code(clo_crypto_verify_key_of_rsa(clo_span_of(n.p, 255), e, &no), CLO_E_UNSUPPORTED);
    assert_code(clo_crypto_verify_key_of_rsa(clo_span_of(large, 1025), e, &no), CLO_E_UNSUPPORTED);
    assert_code(clo_crypto_verify_key_of_rsa(clo_span_of(NULL, 0), e, &no), CLO_E_MALFORMED);
    assert_null(no);
}

static void public_key_files(void **state)
{
    (void)state;
    /* RFC 8410 §10.1 */
    static const uint8_t spki[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x19, 0xbf, 0x44,
                                   0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8, 0x50,
                                   0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1, 0};
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_crypto_verify_key *no = NULL;
    assert_ok(clo_crypto_verify_key_of_spki(clo_span_of(spki, 44), &key));
    assert_true(clo_crypto_verify_key_fits(key, CLO_SCHEME_EDDSA));
    assert_code(clo_crypto_verify_key_of_spki(clo_span_of(spki, 45), &no), CLO_E_TRAILING);
    for (size_t cut = 0; cut < 44; cut++) assert_code(clo_crypto_verify_key_of_spki(clo_span_of(spki, cut), &no), CLO_E_MALFORMED);
    assert_null(no);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemes),
        cmocka_unit_test(digests),
        cmocka_unit_test(tpm_schemes), cmocka_unit_test(raw_parts),
        cmocka_unit_test(public_key_files),
    };
    return cmocka_run_group_tests(tests, make_subjects, drop_subjects);
}
