/* Proves one-shot AEAD: published values, every cut and every flipped bit refused with the output wiped, nonce limits, in-place
 * work. */
#include "crypto/aead.h"
#include "crypto_test.h"

static const clo_crypto_aead_alg algs[] = {CLO_AEAD_AES_128_GCM, CLO_AEAD_AES_192_GCM, CLO_AEAD_AES_256_GCM,
                                           CLO_AEAD_CHACHA20_POLY1305};
static const uint8_t key[32] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t nonce12[12] = {9, 9, 9};

static void known(void **state)
{
    (void)state;
    /* GCM specification, test case 14; RFC 8439 A.5 is covered by the vector runner */
    uint8_t zero_key[32] = {0}, zero_nonce[12] = {0}, zero[16] = {0}, out[32];
    test_bytes want = unhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    assert_ok(clo_crypto_aead_seal(CLO_AEAD_AES_256_GCM, zero_key, clo_span_of(zero_nonce, 12), clo_span_of(NULL, 0),
                                   clo_span_of(zero, 16), out));
    assert_memory_equal(out, want.b, 32);
}

static void tampering(void **state)
{
    (void)state;
    uint8_t plain[37], sealed[37 + 16], opened[37];
    memset(plain, 0x42, sizeof plain);
    clo_span aad = clo_span_str("header"), nonce = clo_span_of(nonce12, 12);
    for (size_t a = 0; a < 4; a++) {
        assert_ok(clo_crypto_aead_seal(algs[a], key, nonce, aad, clo_span_of(plain, 37), sealed));
        assert_ok(clo_crypto_aead_open(algs[a], key, nonce, aad, clo_span_of(sealed, sizeof sealed), opened));
        assert_memory_equal(opened, plain, 37);
        for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
            memset(opened, 0x77, sizeof opened);
            sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_code(clo_crypto_aead_open(algs[a], key, nonce, aad, clo_span_of(sealed, sizeof sealed), opened),
                        CLO_E_AUTHENTICATION);
            assert_true(all_zero(opened, 37));
            sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t n = 0; n < sizeof sealed; n++)
            assert_code(clo_crypto_aead_open(algs[a], key, nonce, aad, clo_span_of(sealed, n), opened),
                        n < 16 ? CLO_E_TRUNCATED : CLO_E_AUTHENTICATION);
        assert_code(clo_crypto_aead_open(algs[a], key, nonce, clo_span_str("Header"), clo_span_of(sealed, sizeof sealed), opened),
                    CLO_E_AUTHENTICATION);
        assert_code(clo_crypto_aead_open(algs[a], key, nonce, clo_span_of(NULL, 0), clo_span_of(sealed, sizeof sealed), opened),
                    CLO_E_AUTHENTICATION);
    }
}

static void nonce_limits(void **state)
{
    (void)state;
    uint8_t long_nonce[129] = {1}, out[17], plain[1];
    clo_span in = clo_span_str("x"), none = clo_span_of(NULL, 0);
    for (size_t n = 0; n <= 129; n++) {
        bool gcm_good = n >= 1 && n <= 128;
        clo_err e = clo_crypto_aead_seal(CLO_AEAD_AES_256_GCM, key, clo_span_of(long_nonce, n), none, in, out);
        assert_int_equal(clo_failed(e), !gcm_good);
        if (gcm_good)
            assert_ok(
                clo_crypto_aead_open(CLO_AEAD_AES_256_GCM, key, clo_span_of(long_nonce, n), none, clo_span_of(out, 17), plain));
        else
            assert_int_equal(e.code, CLO_E_RANGE);
        e = clo_crypto_aead_seal(CLO_AEAD_CHACHA20_POLY1305, key, clo_span_of(long_nonce, n), none, in, out);
        assert_int_equal(clo_failed(e), n != 12);
        plain[0] = 7;
        if (n != 12) {
            assert_code(clo_crypto_aead_open(CLO_AEAD_CHACHA20_POLY1305, key, clo_span_of(long_nonce, n), none,
                                             clo_span_of(out, 17), plain),
                        CLO_E_RANGE);
            assert_int_equal(plain[0], 0);
        }
    }
    assert_code(clo_crypto_aead_seal((clo_crypto_aead_alg)9, key, clo_span_of(nonce12, 12), none, in, out), CLO_E_UNSUPPORTED);
    assert_int_equal(clo_crypto_aead_key_size((clo_crypto_aead_alg)9), 0);
}

static void in_place_and_empty(void **state)
{
    (void)state;
    for (size_t a = 0; a < 4; a++) {
        uint8_t work[100 + 16];
        for (size_t n = 0; n <= 100; n++) {
            for (size_t i = 0; i < n; i++) work[i] = (uint8_t)i;
            assert_ok(
                clo_crypto_aead_seal(algs[a], key, clo_span_of(nonce12, 12), clo_span_of(NULL, 0), clo_span_of(work, n), work));
            assert_ok(clo_crypto_aead_open(algs[a], key, clo_span_of(nonce12, 12), clo_span_of(NULL, 0),
                                           clo_span_of(work, n + 16), work));
            for (size_t i = 0; i < n; i++) assert_int_equal(work[i], i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known), cmocka_unit_test(tampering), cmocka_unit_test(nonce_limits),
                                       cmocka_unit_test(in_place_and_empty)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
