/* Proves that a bundle of collateral opens only under its signer's key, in its time, at its version or above, whole; that it never brings a
 * root; and that items are chosen by type, claims and role. */
#include "attest/collateral_bundle.h"
#include "base/clo_own.h"
#include "cmocka_all.h"
#include "crypto/hash.h"

static clo_crypto_private_key sk;
static clo_crypto_public_key pk;

static void condition(clo_arena *a, clo_attest_collateral_item *item, const char *path, const char *value)
{
    clo_wire_node *when = NULL;
    assert_ok(clo_wire_map(a, &when));
    if (path != NULL) assert_ok(clo_wire_set_text(a, when, path, value));
    item->when = when;
}

static void seal(clo_arena *a, const char *role, clo_buf *out)
{
    clo_attest_collateral_item items[4] = {{.type = "tdx", .role = "tcb_info", .bytes = clo_span_str("one")},
                                           {.type = "tdx", .role = "tcb_info", .bytes = clo_span_str("two")},
                                           {.type = "tdx", .role = "root_ca_crl", .bytes = clo_span_str("three")},
                                           {.type = "snp", .bytes = clo_span_str("four")}};
    uint8_t kid[32];
    (void)snprintf(items[3].role, sizeof items[3].role, "%s", role);
    condition(a, &items[0], "pck.fmspc", "00806f050000");
    condition(a, &items[1], "pck.fmspc", "b0c06f000000");
    condition(a, &items[2], NULL, NULL);
    condition(a, &items[3], NULL, NULL);
    assert_ok(clo_wire_cose_kid(&pk, kid));
    const clo_wire_cose_signer signer = {.sk = &sk, .kid = clo_span_of(kid, sizeof kid)};
    const clo_attest_collateral_set set = {.version = 7, .issued = 1000, .not_after = 2000, .count = 4, .items = items};
    assert_ok(clo_attest_collateral_seal(a, &set, &signer, out));
}

static void opens_and_selects(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_arena_init(&a, 1 << 22);
    clo_buf_init(&file, 1 << 20);
    seal(&a, "crl", &file);
    clo_attest_collateral_set set;
    assert_ok(clo_attest_collateral_open(&a, clo_buf_span(&file), &pk, 7, 1500, &set));
    assert_int_equal(set.version, 7);
    assert_int_equal(set.count, 4);
    clo_wire_node *claims = NULL, *pck = NULL;
    static const uint8_t fmspc[6] = {0xb0, 0xc0, 0x6f, 0, 0, 0};
    assert_ok(clo_wire_map(&a, &claims));
    assert_ok(clo_wire_map(&a, &pck));
    assert_ok(clo_wire_set_bytes(&a, pck, "fmspc", clo_span_of(fmspc, 6)));
    assert_ok(clo_wire_set(&a, claims, "pck", pck));
    clo_attest_part parts[4] = {{.role = "root"}};
    size_t count = 1;
    clo_attest_collateral_select(&set, "tdx", claims, parts, &count, 4);
    assert_int_equal(count, 3);
    assert_true(clo_span_equal(parts[1].bytes, clo_span_str("two")) && clo_span_equal(parts[2].bytes, clo_span_str("three")));
    clo_attest_collateral_select(&set, "tdx", claims, parts, &count, 4); /* what is there stays */
    assert_int_equal(count, 3);
    count = 0;
    clo_attest_collateral_select(&set, "tdx", NULL, parts, &count, 4); /* without claims only what is for all */
    assert_int_equal(count, 1);
    count = 0;
    clo_attest_collateral_select(&set, "tdx", claims, parts, &count, 1); /* bounded */
    assert_int_equal(count, 1);
}

static void refuses(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf file, root;
    clo_crypto_private_key other_sk;
    clo_crypto_public_key other;
    clo_attest_collateral_set set = {.version = 99};
    clo_arena_init(&a, 1 << 26);
    clo_buf_init(&file, 1 << 20);
    clo_buf_init(&root, 1 << 20);
    seal(&a, "crl", &file);
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &other_sk, &other));
    assert_code(clo_attest_collateral_open(&a, clo_buf_span(&file), &other, 1, 1500, &set), CLO_E_BAD_SIGNATURE);
    assert_code(clo_attest_collateral_open(&a, clo_buf_span(&file), &pk, 8, 1500, &set), CLO_E_REPLAYED);
    assert_code(clo_attest_collateral_open(&a, clo_buf_span(&file), &pk, 7, 999, &set), CLO_E_EXPIRED);
    assert_code(clo_attest_collateral_open(&a, clo_buf_span(&file), &pk, 7, 2001, &set), CLO_E_EXPIRED);
    seal(&a, "root", &root);
    assert_code(clo_attest_collateral_open(&a, clo_buf_span(&root), &pk, 7, 1500, &set), CLO_E_DENIED);
    for (size_t n = 0; n < file.len; n++) assert_true(clo_failed(clo_attest_collateral_open(&a, clo_span_of(file.p, n), &pk, 7, 1500, &set)));
    for (size_t bit = 0; bit < file.len * 8; bit += 3) {
        file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CLO_AUTO(clo_arena_free) clo_arena one;
        clo_arena_init(&one, 1 << 22);
        clo_err e = clo_attest_collateral_open(&one, clo_buf_span(&file), &pk, 7, 1500, &set);
        if (!clo_failed(e)) fail_msg("bit %zu of the file can be turned", bit);
        file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(set.version, 99);
}

static int make_key(void **state)
{
    (void)state;
    return clo_failed(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk)) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(opens_and_selects), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, make_key, NULL);
}
