/* Proves that COSE objects are made and read with every algorithm of the product, that each signature covers payload, headers and
 * outside data, and that altered, cut, doubled or ill-formed objects are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cose.h"

typedef struct {
    clo_crypto_private_key sk;
    clo_crypto_public_key pk;
    uint8_t kid[32];
    clo_wire_cose_signer signer;
} identity;

static void make_identity(identity *id, clo_crypto_sign_alg alg)
{
    assert_int_equal(clo_crypto_sign_generate(alg, &id->sk, &id->pk).code, 0);
    assert_int_equal(clo_wire_cose_kid(&id->pk, id->kid).code, 0);
    id->signer = (clo_wire_cose_signer){.sk = &id->sk, .kid = clo_span_of(id->kid, 32)};
}

static const clo_crypto_sign_alg all[] = {CLO_SIGN_ED25519, CLO_SIGN_ES256, CLO_SIGN_ES384, CLO_SIGN_ES512};

static void test_sign1(void **state)
{
    (void)state;
    clo_span payload = clo_span_str("payload"), aad = clo_span_str("outside"), none = clo_span_of(NULL, 0);
    for (size_t i = 0; i < 4; i++) {
        identity id, stranger;
        make_identity(&id, all[i]);
        make_identity(&stranger, all[i]);
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 24);
        CLO_AUTO(clo_buf_free) clo_buf b;
        clo_buf_init(&b, 4096);
        clo_wire_cose c;
        assert_int_equal(clo_wire_cose_sign1(&b, &id.signer, "application/x", aad, payload).code, 0);
        assert_int_equal(clo_wire_cose_parse(&a, clo_buf_span(&b), false, &c).code, 0);
        assert_true(c.is_sign1 && c.tagged && c.signature_count == 1);
        assert_true(clo_span_equal(c.payload, payload));
        assert_true(clo_span_equal(c.content_type, clo_span_str("application/x")));
        assert_true(clo_span_equal(c.signatures[0].kid, id.signer.kid));
        assert_int_equal(clo_wire_cose_verify(&c, 0, &id.pk, aad).code, 0);
        assert_int_equal(clo_wire_cose_verify(&c, 0, &id.pk, none).code, CLO_E_BAD_SIGNATURE);
        assert_int_equal(clo_wire_cose_verify(&c, 0, &stranger.pk, aad).code, CLO_E_BAD_SIGNATURE);
        assert_int_equal(clo_wire_cose_verify(&c, 1, &id.pk, aad).code, CLO_E_RANGE);
        make_identity(&stranger, all[(i + 1) % 4]);
        assert_int_equal(clo_wire_cose_verify(&c, 0, &stranger.pk, aad).code, CLO_E_BAD_SIGNATURE);
        for (size_t n = 0; n < b.len; n++) assert_true(clo_failed(clo_wire_cose_parse(&a, clo_span_of(b.p, n), false, &c)));
        for (size_t bit = 0; bit < b.len * 8; bit += i == 0 ? 1 : 11) {
            CLO_AUTO(clo_arena_free) clo_arena scratch;
            clo_arena_init(&scratch, 1 << 20);
            b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            clo_err e = clo_wire_cose_parse(&scratch, clo_buf_span(&b), false, &c);
            if (!clo_failed(e)) e = clo_wire_cose_verify(&c, 0, &id.pk, aad);
            assert_true(clo_failed(e));
            b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void test_sign(void **state)
{
    (void)state;
    identity id[4];
    for (size_t i = 0; i < 4; i++) make_identity(&id[i], all[i]);
    clo_span payload = clo_span_str("agreement"), none = clo_span_of(NULL, 0);
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    CLO_AUTO(clo_buf_free) clo_buf first;
    CLO_AUTO(clo_buf_free) clo_buf second;
    clo_buf_init(&first, 8192);
    clo_buf_init(&second, 8192);
    clo_wire_cose_signer signers[2] = {id[0].signer, id[1].signer};
    assert_int_equal(clo_wire_cose_sign(&first, signers, 2, NULL, none, payload).code, 0);
    assert_int_equal(clo_wire_cose_sign_add(&second, clo_buf_span(&first), &id[2].signer, none).code, 0);
    clo_buf_clear(&first);
    assert_int_equal(clo_wire_cose_sign_add(&first, clo_buf_span(&second), &id[3].signer, none).code, 0);
    clo_wire_cose c;
    assert_int_equal(clo_wire_cose_parse(&a, clo_buf_span(&first), false, &c).code, 0);
    assert_true(!c.is_sign1 && c.signature_count == 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(clo_wire_cose_verify(&c, i, &id[i].pk, none).code, 0);
        assert_true(clo_failed(clo_wire_cose_verify(&c, i, &id[(i + 1) % 4].pk, none)));
    }
    clo_buf_clear(&second);
    assert_int_equal(clo_wire_cose_sign_add(&second, clo_buf_span(&first), &id[2].signer, none).code, CLO_E_DUPLICATE);
    assert_int_equal(second.len, 0);
    signers[1] = signers[0];
    assert_int_equal(clo_wire_cose_sign(&second, signers, 2, NULL, none, payload).code, CLO_E_DUPLICATE);
    assert_int_equal(clo_wire_cose_sign(&second, signers, 0, NULL, none, payload).code, 0); /* proposed, not yet signed */
    assert_int_equal(clo_wire_cose_parse(&a, clo_buf_span(&second), false, &c).code, 0);
    assert_int_equal(c.signature_count, 0);
    clo_buf_clear(&second);
    assert_int_equal(clo_wire_cose_sign1(&second, signers, NULL, none, payload).code, 0);
    clo_buf_clear(&first);
    assert_int_equal(clo_wire_cose_sign_add(&first, clo_buf_span(&second), &id[1].signer, none).code, CLO_E_MALFORMED);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint32_t code, foreign;
    } cases[] = {
        {"d28443a10126a0414140", 0, 0},                                         /* a Sign1 with an empty signature */
        {"8443a10126a0414140", 0, 0},                                           /* without tag */
        {"d8628443a10126a0414140", CLO_E_MALFORMED, CLO_E_MALFORMED},           /* the other tag */
        {"d83d8443a10126a0414140", CLO_E_MALFORMED, 0},                         /* a CWT */
        {"d28443a10126a0f640", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},           /* detached */
        {"d28440a10126414140", CLO_E_MISSING_FIELD, 0},                         /* alg outside the protected header */
        {"d28441a0a10126414140", CLO_E_NOT_CANONICAL, 0},                       /* an empty map as bytes */
        {"d28443a10126a10126414140", CLO_E_DUPLICATE, CLO_E_DUPLICATE},         /* alg in both */
        {"d28440a0414140", CLO_E_MISSING_FIELD, CLO_E_MISSING_FIELD},           /* no alg */
        {"d28444a1016141a0414140", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},       /* alg as text */
        {"d28446a20126028118a0414140", CLO_E_TRUNCATED, CLO_E_TRUNCATED},       /* header cut */
        {"d28447a201260281187ba0414140", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED}, /* crit: unknown label */
        {"d28446a20126028103a0414140", CLO_E_MALFORMED, CLO_E_MALFORMED},       /* crit: label not there */
        {"d28446a20126028101a0414140", 0, 0},                                   /* crit: alg */
        {"d28445a201260280a0414140", CLO_E_MALFORMED, CLO_E_MALFORMED},         /* crit: empty */
        {"d28443a10126a1028101414140", CLO_E_MALFORMED, CLO_E_MALFORMED},       /* crit: not protected */
        {"d28443a10126a1046161414140", CLO_E_MALFORMED, 0},                     /* kid as text */
        {"d28343a10126a04141", CLO_E_MALFORMED, CLO_E_MALFORMED},
        {"d8628440a0414180", 0, CLO_E_MALFORMED}, /* no signature: ours only */
        {"d8628440a04141818243a10126a0", CLO_E_MALFORMED, CLO_E_MALFORMED},
        {"00", CLO_E_MALFORMED, CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int foreign = 0; foreign < 2; foreign++) {
            CLO_AUTO(clo_arena_free) clo_arena a;
            clo_arena_init(&a, 1 << 20);
            uint8_t bytes[64];
            size_t n = strlen(cases[i].hex) / 2;
            clo_wire_cose c;
            assert_int_equal(clo_hex_decode(bytes, n, clo_span_str(cases[i].hex)).code, 0);
            clo_err e = clo_wire_cose_parse(&a, clo_span_of(bytes, n), foreign != 0, &c);
            if (e.code != (foreign != 0 ? cases[i].foreign : cases[i].code))
                fail_msg("%s (foreign %d): got %s: %s", cases[i].hex, foreign, clo_err_name(e), clo_err_text());
        }
    }
}

/* The bytes of a Sign1 by the key of RFC 8032 §7.1 test 1: Ed25519 signatures are deterministic. */
static void test_golden(void **state)
{
    (void)state;
    static const char wanted[] =
        "d2845832a30127036a746578742f706c61696e04582021fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9a0"
        "4568656c6c6f584089f8f0d2e19b2740295a3d11488bcb1385b0f1f8dd706605818655f2ee578457d4c24a42ffcd2a987cb6b04ac91829"
        "2611e0f1d3338cdb0bea4bffe8d35f940f";
    identity id = {.sk = {.alg = CLO_SIGN_ED25519}};
    static const char seed[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    assert_int_equal(clo_hex_decode(id.sk.bytes, 32, clo_span_str(seed)).code, 0);
    assert_int_equal(clo_crypto_sign_public_of(&id.sk, &id.pk).code, 0);
    assert_int_equal(clo_wire_cose_kid(&id.pk, id.kid).code, 0);
    clo_wire_cose_signer signer = {.sk = &id.sk, .kid = clo_span_of(id.kid, 32)};
    CLO_AUTO(clo_buf_free) clo_buf b;
    CLO_AUTO(clo_buf_free) clo_buf hex;
    clo_buf_init(&b, 4096);
    clo_buf_init(&hex, 4096);
    const char *text = NULL;
    assert_int_equal(clo_wire_cose_sign1(&b, &signer, "text/plain", clo_span_str("aad"), clo_span_str("hello")).code, 0);
    assert_int_equal(clo_buf_put_hex(&hex, clo_buf_span(&b)).code, 0);
    assert_int_equal(clo_buf_cstr(&hex, &text).code, 0);
    assert_string_equal(text, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sign1), cmocka_unit_test(test_golden), cmocka_unit_test(test_sign),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
