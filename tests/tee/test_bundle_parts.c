/* Proves that a bundle carries the further parts of evidence as they were given, that old bundles are the same bytes as before, and that nothing
 * but evidence comes through: no root, no key to trust, no empty or misplaced part. */
#include "cmocka_all.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "wire/cbor.h"

#include <stdio.h>
#include <string.h>

static clo_attest_result result;

static void add(clo_attest_bundle *b, const char *role, const char *bytes)
{
    (void)snprintf(b->parts[b->part_count].role, sizeof b->parts[0].role, "%s", role);
    b->parts[b->part_count++].bytes = clo_span_str(bytes);
}

static void test_round_trip(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf one;
    CLO_AUTO(clo_buf_free) clo_buf two;
    clo_attest_bundle b = {.tee = "tpm"}, back;
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(&one, 1 << 16);
    clo_buf_init(&two, 1 << 16);
    for (unsigned i = 0; i < CLO_ATTEST_BUNDLE_PARTS_MAX; i++) {
        char role[16];
        (void)snprintf(role, sizeof role, "part_%u", i);
        add(&b, role, "a part's bytes" + i);
    }
    assert_ok(clo_attest_bundle_encode(&b, &one));
    assert_ok(clo_attest_bundle_decode(&a, clo_buf_span(&one), &back));
    assert_int_equal(back.part_count, CLO_ATTEST_BUNDLE_PARTS_MAX);
    assert_int_equal(back.report.n, 0);
    assert_ok(clo_attest_bundle_encode(&back, &two));
    assert_true(clo_span_equal(clo_buf_span(&one), clo_buf_span(&two)));
    for (size_t n = 0; n < one.len; n++) assert_true(clo_failed(clo_attest_bundle_decode(&a, clo_span_of(one.p, n), &back)));
    /* A bundle without parts is what it was before there were any. */
    static const uint8_t old[] = {0xa3, 0x63, 't', 'e', 'e', 0x63, 's', 'n', 'p', 0x65, 'c', 'h', 'a', 'i', 'n', 0x80, 0x66, 'r', 'e', 'p', 'o', 'r', 't', 0x41, 'R'};
    clo_attest_bundle plain = {.tee = "snp", .report = clo_span_str("R")};
    clo_buf_clear(&one);
    assert_ok(clo_attest_bundle_encode(&plain, &one));
    assert_true(clo_span_equal(clo_buf_span(&one), clo_span_of(old, sizeof old)));
    assert_ok(clo_attest_bundle_decode(&a, clo_buf_span(&one), &back));
    assert_int_equal(back.part_count, 0);
    /* A report and parts go together. */
    add(&plain, "event_log", "log");
    clo_buf_clear(&one);
    assert_ok(clo_attest_bundle_encode(&plain, &one));
    assert_ok(clo_attest_bundle_decode(&a, clo_buf_span(&one), &back));
    assert_int_equal(back.report.n, 1);
    assert_string_equal(back.parts[0].role, "event_log");
}

/* {"tee": "tpm", "chain": [], "parts": …} with or without a report. */
static clo_err decode_of(clo_arena *a, clo_wire_node *parts, bool empty_report)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_attest_bundle b;
    clo_wire_node *map = NULL, *chain = NULL;
    clo_buf_init(&bytes, 1 << 16);
    assert_ok(clo_wire_map(a, &map));
    assert_ok(clo_wire_array(a, &chain));
    assert_ok(clo_wire_set_text(a, map, "tee", "tpm"));
    assert_ok(clo_wire_set(a, map, "chain", chain));
    if (empty_report) assert_ok(clo_wire_set_bytes(a, map, "report", clo_span_str("")));
    if (parts != NULL) assert_ok(clo_wire_set(a, map, "parts", parts));
    assert_ok(clo_wire_cbor_encode(map, &bytes));
    return clo_attest_bundle_decode(a, clo_buf_span(&bytes), &b);
}

static clo_wire_node *parts_of(clo_arena *a, const char *role, const char *bytes)
{
    clo_wire_node *map = NULL;
    assert_ok(clo_wire_map(a, &map));
    if (role != NULL) assert_ok(clo_wire_set_bytes(a, map, role, clo_span_str(bytes)));
    return map;
}

static void test_refusals(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_wire_node *map = NULL;
    clo_arena_init(&a, 1 << 20);
    assert_ok(decode_of(&a, parts_of(&a, "message", "m"), false));
    assert_code(decode_of(&a, NULL, false), CLO_E_MISSING_FIELD);
    assert_code(decode_of(&a, parts_of(&a, NULL, NULL), false), CLO_E_TOO_MANY);
    assert_code(decode_of(&a, parts_of(&a, "message", ""), false), CLO_E_MALFORMED);
    assert_code(decode_of(&a, parts_of(&a, "", "m"), false), CLO_E_MALFORMED);
    assert_code(decode_of(&a, parts_of(&a, "a_role_of_more_than_thirty_one_letters", "m"), false), CLO_E_MALFORMED);
    assert_code(decode_of(&a, parts_of(&a, "message", "m"), true), CLO_E_NOT_CANONICAL);
    map = parts_of(&a, "message", "m");
    assert_ok(clo_wire_set_text(&a, map, "text", "is no byte string"));
    assert_code(decode_of(&a, map, false), CLO_E_MALFORMED);
    map = parts_of(&a, "message", "m");
    for (unsigned i = 0; i < CLO_ATTEST_BUNDLE_PARTS_MAX; i++) {
        char role[16];
        (void)snprintf(role, sizeof role, "part_%u", i);
        assert_ok(clo_wire_set_bytes(&a, map, role, clo_span_str("x")));
    }
    assert_code(decode_of(&a, map, false), CLO_E_TOO_MANY);
    clo_attest_bundle b = {.tee = "tpm", .part_count = CLO_ATTEST_BUNDLE_PARTS_MAX + 1};
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 1 << 16);
    assert_code(clo_attest_bundle_encode(&b, &bytes), CLO_E_TOO_MANY);
}

/* Anchors and keys to trust are the caller's alone: a bundle that brings one is refused before any verifier sees it. */
static void test_evidence_alone(void **state)
{
    (void)state;
    static const char *const roles[] = {"root", "bundle", "report", "crl", "vcek_or_vlek", "jwks", "attestation_key", "ak_certificate", "iak", "cpak"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf bytes;
        clo_attest_policy p;
        clo_attest_bundle b = {.tee = "tpm"};
        clo_arena_init(&a, 4 << 20);
        clo_buf_init(&bytes, 1 << 16);
        clo_attest_policy_init_open(&p);
        add(&b, "message", "m");
        add(&b, roles[i], "x");
        assert_ok(clo_attest_bundle_encode(&b, &bytes));
        assert_ok(clo_attest_verify_bundle(&a, NULL, clo_buf_span(&bytes), &p, 1800000000, &result));
        assert_false(result.valid);
        assert_string_equal(result.reason, "malformed");
        assert_string_equal(result.checks[0].name, "parts");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_evidence_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
