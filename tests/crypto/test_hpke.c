/* Proves HPKE beyond the published vectors (which the vector runner replays): round trips of every suite and mode, single-shot
 * messages cut and altered at every place, wrong roles, keys and modes refused, and buffers unchanged on failure. */
#include "crypto/hpke.h"
#include "crypto_test.h"

static const uint16_t kems[] = {CLO_HPKE_KEM_P256, CLO_HPKE_KEM_X25519};

static void rfc9180_base(void **state)
{
    (void)state;
    /* RFC 9180 A.1.1: keys derived from the published input, and the first message */
    test_bytes ikm_e = unhex("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234");
    test_bytes ikm_r = unhex("6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037");
    test_bytes info = unhex("4f6465206f6e2061204772656369616e2055726e"), aad = unhex("436f756e742d30");
    test_bytes pt = unhex("4265617574792069732074727574682c20747275746820626561757479");
    test_bytes ct = unhex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a");
    clo_crypto_hpke_private e, r;
    clo_crypto_hpke_public e_public, r_public, enc;
    assert_ok(clo_crypto_hpke_derive(CLO_HPKE_KEM_X25519, span(&ikm_e), &e, &e_public));
    assert_ok(clo_crypto_hpke_derive(CLO_HPKE_KEM_X25519, span(&ikm_r), &r, &r_public));
    clo_crypto_hpke_setup setup = {
        .suite = {CLO_HPKE_KEM_X25519, CLO_HPKE_KDF_SHA256, CLO_HPKE_AEAD_AES128GCM}, .info = span(&info), .ephemeral = &e};
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *c = NULL;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 4096);
    assert_ok(clo_crypto_hpke_sender(&c, &setup, &r_public, &enc));
    assert_memory_equal(enc.bytes, e_public.bytes, 32);
    assert_ok(clo_crypto_hpke_context_seal(c, span(&aad), span(&pt), &out));
    assert_int_equal(out.len, ct.n);
    assert_memory_equal(out.p, ct.b, ct.n);
}

static void every_suite(void **state)
{
    (void)state;
    static const uint16_t kdfs[] = {1, 2, 3}, aeads[] = {1, 2, 3, 0xffff};
    uint8_t psk[32] = {5};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < 3 * 4 * 4; i++) {
            int mode = (int)(i % 4);
            bool auth = mode >= CLO_HPKE_AUTH, with_psk = mode == CLO_HPKE_PSK || mode == CLO_HPKE_AUTH_PSK;
            clo_crypto_hpke_private sk, own;
            clo_crypto_hpke_public pk, own_public, enc;
            assert_ok(clo_crypto_hpke_generate(kems[k], &sk, &pk));
            assert_ok(clo_crypto_hpke_generate(kems[k], &own, &own_public));
            clo_crypto_hpke_setup setup = {
                .suite = {kems[k], kdfs[i / 16], aeads[(i / 4) % 4]}, .mode = mode, .info = clo_span_str("info")};
            if (with_psk) {
                setup.psk = clo_span_of(psk, 32);
                setup.psk_id = clo_span_str("id");
            }
            setup.sender_key = auth ? &own : NULL;
            setup.sender_public = auth ? &own_public : NULL;
            CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *s = NULL;
            CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *r = NULL;
            CLO_AUTO(clo_buf_free) clo_buf ct;
            CLO_AUTO(clo_buf_free) clo_buf pt;
            clo_buf_init(&ct, 4096);
            clo_buf_init(&pt, 4096);
            assert_ok(clo_crypto_hpke_sender(&s, &setup, &pk, &enc));
            assert_ok(clo_crypto_hpke_recipient(&r, &setup, &sk, clo_span_of(enc.bytes, enc.n)));
            uint8_t a[40], b[40];
            assert_ok(clo_crypto_hpke_context_export(s, clo_span_str("x"), a, sizeof a));
            assert_ok(clo_crypto_hpke_context_export(r, clo_span_str("x"), b, sizeof b));
            assert_memory_equal(a, b, sizeof a);
            if (setup.suite.aead == CLO_HPKE_AEAD_EXPORT) {
                assert_code(clo_crypto_hpke_context_seal(s, clo_span_str(""), clo_span_str("m"), &ct), CLO_E_UNSUPPORTED);
                continue;
            }
            for (int n = 0; n < 3; n++) {
                clo_buf_clear(&ct);
                clo_buf_clear(&pt);
                assert_ok(clo_crypto_hpke_context_seal(s, clo_span_str("aad"), clo_span_str("message"), &ct));
                assert_code(clo_crypto_hpke_context_open(r, clo_span_str("AAD"), clo_buf_span(&ct), &pt), CLO_E_AUTHENTICATION);
                assert_int_equal(pt.len, 0);
                assert_ok(clo_crypto_hpke_context_open(r, clo_span_str("aad"), clo_buf_span(&ct), &pt));
                assert_true(clo_span_equal(clo_buf_span(&pt), clo_span_str("message")));
                /* the same bytes again are another message */
                assert_code(clo_crypto_hpke_context_open(r, clo_span_str("aad"), clo_buf_span(&ct), &pt), CLO_E_AUTHENTICATION);
            }
            assert_code(clo_crypto_hpke_context_open(s, clo_span_str(""), clo_buf_span(&ct), &pt), CLO_E_USAGE);
            assert_code(clo_crypto_hpke_context_seal(r, clo_span_str(""), clo_span_str(""), &ct), CLO_E_USAGE);
            assert_code(clo_crypto_hpke_context_seek(s, 0), CLO_E_USAGE);
            assert_ok(clo_crypto_hpke_context_seek(s, UINT64_MAX));
            assert_code(clo_crypto_hpke_context_seal(s, clo_span_str(""), clo_span_str(""), &ct), CLO_E_TOO_MANY);
        }
}

static void single_shot(void **state)
{
    (void)state;
    clo_crypto_hpke_private sk, other;
    clo_crypto_hpke_public pk, other_public;
    assert_ok(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &sk, &pk));
    assert_ok(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &other, &other_public));
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 4096);
    assert_ok(clo_buf_put_str(&out, "before"));
    clo_span info = clo_span_str("cloister test"), aad = clo_span_str("aad"),
             secret = clo_span_str("thirty-two bytes of key material");
    assert_ok(clo_crypto_hpke_seal(pk.bytes, info, aad, secret, &out));
    assert_int_equal(out.len, 6 + 48 + 32);
    uint8_t *sealed = out.p + 6, plain[33];
    assert_ok(clo_crypto_hpke_open(&sk.secret, info, aad, clo_span_of(sealed, 80), plain, 32));
    assert_memory_equal(plain, secret.p, 32);
    assert_code(clo_crypto_hpke_open(&other.secret, info, aad, clo_span_of(sealed, 80), plain, 32), CLO_E_AUTHENTICATION);
    assert_true(all_zero(plain, 32));
    assert_code(clo_crypto_hpke_open(&sk.secret, clo_span_str("other"), aad, clo_span_of(sealed, 80), plain, 32),
                CLO_E_AUTHENTICATION);
    assert_code(clo_crypto_hpke_open(&sk.secret, info, clo_span_str("bad"), clo_span_of(sealed, 80), plain, 32),
                CLO_E_AUTHENTICATION);
    for (size_t bit = 0; bit < 8 * 80; bit++) {
        memset(plain, 0x31, sizeof plain);
        sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        /* X25519 ignores the top bit of a public key, but the key schedule does not */
        assert_code(clo_crypto_hpke_open(&sk.secret, info, aad, clo_span_of(sealed, 80), plain, 32), CLO_E_AUTHENTICATION);
        assert_true(all_zero(plain, 32));
        sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t n = 0; n < 80; n++) {
        memset(plain, 0x31, sizeof plain);
        assert_code(clo_crypto_hpke_open(&sk.secret, info, aad, clo_span_of(sealed, n), plain, 32), CLO_E_TRUNCATED);
        assert_true(all_zero(plain, 32));
        if (n >= 48)
            assert_code(clo_crypto_hpke_open(&sk.secret, info, aad, clo_span_of(sealed, n), plain, n - 48), CLO_E_AUTHENTICATION);
    }
    /* a full buffer stays as it was */
    CLO_AUTO(clo_buf_free) clo_buf small;
    clo_buf_init(&small, 79);
    assert_code(clo_crypto_hpke_seal(pk.bytes, info, aad, secret, &small), CLO_E_TOO_LARGE);
    assert_int_equal(small.len, 0);
    /* a recipient of small order */
    uint8_t zero[32] = {0};
    size_t before = out.len;
    assert_code(clo_crypto_hpke_seal(zero, info, aad, secret, &out), CLO_E_AUTHENTICATION);
    assert_int_equal(out.len, before);
    /* empty plain text */
    clo_buf_clear(&out);
    assert_ok(clo_crypto_hpke_seal(pk.bytes, info, aad, clo_span_of(NULL, 0), &out));
    assert_int_equal(out.len, 48);
    assert_ok(clo_crypto_hpke_open(&sk.secret, info, aad, clo_buf_span(&out), plain, 0));
}

static void refusals(void **state)
{
    (void)state;
    clo_crypto_hpke_private sk, p256;
    clo_crypto_hpke_public pk, p256_public, enc;
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *c = NULL;
    uint8_t psk[32] = {1};
    assert_ok(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &sk, &pk));
    assert_ok(clo_crypto_hpke_generate(CLO_HPKE_KEM_P256, &p256, &p256_public));
    const clo_crypto_hpke_setup good = {.suite = CLO_HPKE_DEFAULT};
    clo_crypto_hpke_setup bad = good;
    bad.suite.kem = 0x12;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_UNSUPPORTED);
    bad = good;
    bad.suite.kdf = 4;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_UNSUPPORTED);
    bad = good;
    bad.suite.aead = 4;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_UNSUPPORTED);
    bad = good;
    bad.mode = 4;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_UNSUPPORTED);
    bad = good;
    bad.mode = CLO_HPKE_PSK;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_USAGE);
    bad.psk = clo_span_of(psk, 32);
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_USAGE);
    bad.psk_id = clo_span_str("id");
    bad.psk.n = 31;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_RANGE);
    bad.psk.n = 32;
    bad.mode = CLO_HPKE_BASE;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_USAGE);
    bad = good;
    bad.mode = CLO_HPKE_AUTH;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_USAGE);
    assert_code(clo_crypto_hpke_recipient(&c, &bad, &sk, clo_span_of(pk.bytes, 32)), CLO_E_USAGE);
    bad.sender_key = &p256;
    assert_code(clo_crypto_hpke_sender(&c, &bad, &pk, &enc), CLO_E_USAGE);
    assert_code(clo_crypto_hpke_sender(&c, &good, &p256_public, &enc), CLO_E_USAGE);
    assert_code(clo_crypto_hpke_recipient(&c, &good, &p256, clo_span_of(pk.bytes, 32)), CLO_E_USAGE);
    assert_code(clo_crypto_hpke_recipient(&c, &good, &sk, clo_span_of(pk.bytes, 31)), CLO_E_MALFORMED);
    assert_null(c);
    assert_code(clo_crypto_hpke_generate(0x12, &sk, &pk), CLO_E_UNSUPPORTED);
    assert_code(clo_crypto_hpke_derive(0x12, clo_span_str("x"), &sk, &pk), CLO_E_UNSUPPORTED);
    assert_code(clo_crypto_hpke_public_parse(0x12, clo_span_str("x"), &pk), CLO_E_UNSUPPORTED);
    p256_public.bytes[64] ^= 1;
    assert_code(clo_crypto_hpke_public_parse(CLO_HPKE_KEM_P256, clo_span_of(p256_public.bytes, 65), &pk), CLO_E_MALFORMED);
    clo_crypto_hpke_private_wipe(&sk);
    assert_true(all_zero(sk.secret.b, 32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rfc9180_base), cmocka_unit_test(every_suite),
                                       cmocka_unit_test(single_shot), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
