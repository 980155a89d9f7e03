/* Proves signatures and key agreement: published values, round trips of every algorithm, every flipped bit of a signature
 * refused, keys that are no keys refused. */
#include "crypto/sign.h"
#include "crypto_test.h"

static const clo_crypto_sign_alg algs[] = {CLO_SIGN_ED25519, CLO_SIGN_ES256, CLO_SIGN_ES384, CLO_SIGN_ES512};

static void ed25519_known(void **state)
{
    (void)state;
    /* RFC 8032 §7.1, test 2 */
    test_bytes seed = unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    test_bytes pub = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    test_bytes sig = unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                           "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    clo_crypto_private_key sk = {.alg = CLO_SIGN_ED25519};
    clo_crypto_public_key pk;
    uint8_t made[64];
    memcpy(sk.bytes, seed.b, 32);
    assert_ok(clo_crypto_sign_public_of(&sk, &pk));
    assert_int_equal(pk.n, 32);
    assert_memory_equal(pk.bytes, pub.b, 32);
    assert_ok(clo_crypto_sign(&sk, clo_span_of("\x72", 1), made));
    assert_memory_equal(made, sig.b, 64);
}

static void round_trips(void **state)
{
    (void)state;
    for (size_t a = 0; a < 4; a++) {
        clo_crypto_private_key sk;
        clo_crypto_public_key pk, parsed, other;
        uint8_t sig[CLO_SIGNATURE_MAX + 1];
        size_t n = clo_crypto_signature_size(algs[a]);
        assert_ok(clo_crypto_sign_generate(algs[a], &sk, &pk));
        assert_ok(clo_crypto_public_key_parse(algs[a], clo_crypto_public_key_span(&pk), &parsed));
        assert_true(clo_crypto_public_key_equal(&pk, &parsed));
        clo_span message = clo_span_str("the message");
        assert_ok(clo_crypto_sign(&sk, message, sig));
        assert_ok(clo_crypto_verify(&pk, message, clo_span_of(sig, n)));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_code(clo_crypto_verify(&pk, message, clo_span_of(sig, n)), CLO_E_BAD_SIGNATURE);
            sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t cut = 0; cut < n; cut++)
            assert_code(clo_crypto_verify(&pk, message, clo_span_of(sig, cut)), CLO_E_BAD_SIGNATURE);
        assert_code(clo_crypto_verify(&pk, message, clo_span_of(sig, n + 1)), CLO_E_BAD_SIGNATURE);
        assert_code(clo_crypto_verify(&pk, clo_span_str("The message"), clo_span_of(sig, n)), CLO_E_BAD_SIGNATURE);
        assert_ok(clo_crypto_sign(&sk, clo_span_of(NULL, 0), sig));
        assert_ok(clo_crypto_verify(&pk, clo_span_of(NULL, 0), clo_span_of(sig, n)));
        clo_crypto_private_key another;
        assert_ok(clo_crypto_sign_generate(algs[a], &another, &other));
        assert_false(clo_crypto_public_key_equal(&pk, &other));
        assert_code(clo_crypto_verify(&other, clo_span_of(NULL, 0), clo_span_of(sig, n)), CLO_E_BAD_SIGNATURE);
        clo_crypto_private_key_wipe(&sk);
        assert_true(all_zero(sk.bytes, sizeof sk.bytes));
        memset(sig, 0, sizeof sig);
        assert_code(clo_crypto_verify(&pk, message, clo_span_of(sig, n)), CLO_E_BAD_SIGNATURE);
    }
}

static void bad_keys(void **state)
{
    (void)state;
    clo_crypto_public_key out = {.n = 0};
    /* wrong lengths */
    uint8_t zero[140] = {0};
    for (size_t a = 0; a < 4; a++) {
        clo_crypto_private_key sk;
        clo_crypto_public_key pk;
        assert_ok(clo_crypto_sign_generate(algs[a], &sk, &pk));
        assert_code(clo_crypto_public_key_parse(algs[a], clo_span_of(pk.bytes, pk.n - 1), &out), CLO_E_MALFORMED);
        assert_code(clo_crypto_public_key_parse(algs[a], clo_span_of(zero, pk.n), &out), CLO_E_MALFORMED);
        assert_code(clo_crypto_public_key_parse(algs[a], clo_span_of(NULL, 0), &out), CLO_E_MALFORMED);
        if (algs[a] == CLO_SIGN_ED25519) continue;
        pk.bytes[pk.n - 1] ^= 1; /* off the curve */
        assert_code(clo_crypto_public_key_parse(algs[a], clo_crypto_public_key_span(&pk), &out), CLO_E_MALFORMED);
        pk.bytes[pk.n - 1] ^= 1;
        pk.bytes[0] = 6; /* the hybrid form */
        assert_code(clo_crypto_public_key_parse(algs[a], clo_crypto_public_key_span(&pk), &out), CLO_E_MALFORMED);
        /* private scalars 0 and beyond the order */
        memset(sk.bytes, 0, sizeof sk.bytes);
        assert_code(clo_crypto_sign_public_of(&sk, &pk), CLO_E_MALFORMED);
        memset(sk.bytes, 0xff, sizeof sk.bytes);
        assert_code(clo_crypto_sign_public_of(&sk, &pk), CLO_E_MALFORMED);
        assert_code(clo_crypto_sign(&sk, clo_span_str("m"), zero), CLO_E_MALFORMED);
    }
    assert_int_equal(out.n, 0);
    assert_code(clo_crypto_public_key_parse((clo_crypto_sign_alg)9, clo_span_of(zero, 32), &out), CLO_E_UNSUPPORTED);
    assert_int_equal(clo_crypto_signature_size((clo_crypto_sign_alg)9), 0);
}

static void ed25519_points(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0100000000000000000000000000000000000000000000000000000000000000", /* the neutral point */
        "0000000000000000000000000000000000000000000000000000000000000080", /* order 4 */
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* order 2 */
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", /* order 8 */
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* y = p: not canonical */
        "efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* y = p + 2: not canonical */
        "0200000000000000000000000000000000000000000000000000000000000000", /* no point has y = 2 */
    };
    clo_crypto_public_key out;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        test_bytes b = unhex(bad[i]);
        assert_code(clo_crypto_public_key_parse(CLO_SIGN_ED25519, span(&b), &out), CLO_E_MALFORMED);
    }
    test_bytes base = unhex("5866666666666666666666666666666666666666666666666666666666666666");
    assert_ok(clo_crypto_public_key_parse(CLO_SIGN_ED25519, span(&base), &out));
}

static void agreement(void **state)
{
    (void)state;
    /* RFC 7748 §5.2, first vector */
    test_bytes alice = unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    test_bytes u = unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    test_bytes want = unhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    uint8_t zero[32] = {0}, shared[32];
    assert_ok(clo_crypto_x25519(alice.b, u.b, shared));
    assert_memory_equal(shared, want.b, 32);
    assert_code(clo_crypto_x25519(alice.b, zero, shared), CLO_E_AUTHENTICATION);
    assert_true(all_zero(shared, 32));
    clo_crypto_private_key one, two;
    clo_crypto_public_key one_public, two_public;
    uint8_t other[32];
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES256, &one, &one_public));
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES256, &two, &two_public));
    assert_ok(clo_crypto_ecdh_p256(one.bytes, clo_crypto_public_key_span(&two_public), shared));
    assert_ok(clo_crypto_ecdh_p256(two.bytes, clo_crypto_public_key_span(&one_public), other));
    assert_memory_equal(shared, other, 32);
    two_public.bytes[40] ^= 1;
    assert_code(clo_crypto_ecdh_p256(one.bytes, clo_crypto_public_key_span(&two_public), shared), CLO_E_MALFORMED);
}

static void der_forms(void **state)
{
    (void)state;
    clo_crypto_private_key sk;
    clo_crypto_public_key pk;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk));
    assert_code(clo_crypto_verify_der(&pk, clo_span_str("m"), clo_span_str("x")), CLO_E_UNSUPPORTED);
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES256, &sk, &pk));
    uint8_t raw[64], der[80], body[80];
    size_t at = 0;
    assert_ok(clo_crypto_sign(&sk, clo_span_str("m"), raw));
    for (size_t half = 0; half < 2; half++) {
        const uint8_t *v = raw + 32 * half;
        size_t n = 32;
        for (; n > 1 && v[0] == 0; n--) v++;
        bool pad = (v[0] & 0x80) != 0;
        body[at++] = 2;
        body[at++] = (uint8_t)(n + (pad ? 1 : 0));
        if (pad) body[at++] = 0;
        memcpy(body + at, v, n);
        at += n;
    }
    der[0] = 0x30;
    der[1] = (uint8_t)at;
    memcpy(der + 2, body, at);
    assert_ok(clo_crypto_verify_der(&pk, clo_span_str("m"), clo_span_of(der, at + 2)));
    for (size_t n = 0; n < at + 2; n++)
        assert_code(clo_crypto_verify_der(&pk, clo_span_str("m"), clo_span_of(der, n)), CLO_E_BAD_SIGNATURE);
    der[at + 2] = 0;
    assert_code(clo_crypto_verify_der(&pk, clo_span_str("m"), clo_span_of(der, at + 3)), CLO_E_BAD_SIGNATURE);
    uint8_t longer[82] = {0x30, 0x81, (uint8_t)at}; /* BER: length in the long form */
    memcpy(longer + 3, body, at);
    assert_code(clo_crypto_verify_der(&pk, clo_span_str("m"), clo_span_of(longer, at + 3)), CLO_E_BAD_SIGNATURE);
}

/* A loaded key does what its bytes do: signs what they verify and the reverse, refuses the same, and lives as long as its last owner. */
static void loaded_keys(void **state)
{
    (void)state;
    static const uint8_t text[40] = "a message";
    clo_span message = clo_span_of(text, sizeof text);
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        clo_crypto_private_key sk;
        clo_crypto_public_key pk;
        clo_crypto_loaded_key *secret = NULL, *open = NULL, *shared = NULL;
        uint8_t by_key[CLO_SIGNATURE_MAX], by_bytes[CLO_SIGNATURE_MAX];
        assert_ok(clo_crypto_sign_generate(algs[i], &sk, &pk));
        assert_ok(clo_crypto_load_private(&sk, &secret));
        assert_ok(clo_crypto_load_public(&pk, &open));
        assert_ok(clo_crypto_loaded_share(open, &shared));
        clo_crypto_loaded_free(&open);
        assert_null(open);
        clo_crypto_loaded_free(&open);
        size_t n = clo_crypto_signature_size(algs[i]);
        assert_ok(clo_crypto_loaded_sign(secret, message, by_key));
        assert_ok(clo_crypto_sign(&sk, message, by_bytes));
        assert_ok(clo_crypto_verify(&pk, message, clo_span_of(by_key, n)));
        assert_ok(clo_crypto_loaded_verify(shared, message, clo_span_of(by_bytes, n)));
        assert_ok(clo_crypto_loaded_verify(shared, message, clo_span_of(by_key, n)));
        if (algs[i] == CLO_SIGN_ED25519) assert_memory_equal(by_key, by_bytes, n);
        by_key[n / 3] ^= 4;
        assert_code(clo_crypto_loaded_verify(shared, message, clo_span_of(by_key, n)), CLO_E_BAD_SIGNATURE);
        assert_code(clo_crypto_loaded_verify(shared, message, clo_span_of(by_bytes, n - 1)), CLO_E_BAD_SIGNATURE);
        assert_code(clo_crypto_loaded_verify(shared, clo_span_of(text, 5), clo_span_of(by_bytes, n)), CLO_E_BAD_SIGNATURE);
        assert_code(clo_crypto_loaded_sign(shared, message, by_key), CLO_E_UNSUPPORTED);
        assert_code(clo_crypto_loaded_verify(secret, message, clo_span_of(by_bytes, n)), CLO_E_UNSUPPORTED);
        clo_crypto_loaded_free(&shared);
        clo_crypto_loaded_free(&secret);
        if (algs[i] == CLO_SIGN_ED25519) continue;
        memset(sk.bytes, 0xff, sizeof sk.bytes); /* beyond the order */
        pk.bytes[7] ^= 1;
        assert_code(clo_crypto_load_private(&sk, &secret), CLO_E_MALFORMED);
        assert_code(clo_crypto_load_public(&pk, &open), CLO_E_MALFORMED);
        memset(sk.bytes, 0, sizeof sk.bytes);
        assert_code(clo_crypto_load_private(&sk, &secret), CLO_E_MALFORMED);
        assert_code(clo_crypto_sign(&sk, message, by_bytes), CLO_E_MALFORMED);
        assert_true(secret == NULL && open == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ed25519_known), cmocka_unit_test(round_trips),
                                       cmocka_unit_test(bad_keys),      cmocka_unit_test(ed25519_points),
                                       cmocka_unit_test(agreement),     cmocka_unit_test(der_forms),
                                       cmocka_unit_test(loaded_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
