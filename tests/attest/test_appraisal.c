/* Proves the policy's object form (strict and open, round trip, each bad member), evidence bundles (golden file, every cut, unknown and
 * duplicate members), the dispatch over types, and the JSON form of a result. */
#include "cmocka_all.h"

#include "attest/attest_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The golden bundle was made at 2026-11-20; its root and what it says. */
#define GOLDEN_ROOT "d7006bf51842ade18acc967464761b26595f8a7b762ce19cc97d8a5ac833fb60"
enum { GOLDEN_TIME = 1795205319 };

static clo_attest_result result;

static clo_err read_policy(clo_arena *a, const char *json, bool open, clo_attest_policy *p)
{
    clo_wire_node *node = NULL;
    CLO_TRY(clo_wire_json_decode(a, clo_span_str(json), &node));
    return open ? clo_attest_policy_read_open(a, node, p) : clo_attest_policy_read(a, node, p);
}

static void test_absent_is_strict(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p;
    assert_ok(read_policy(&a, "{}", false, &p));
    assert_false(p.allow_debug || p.allow_simulated || p.allow_trailing_bytes || p.allow_provisional_firmware || p.allow_migration_agent);
    assert_true(p.require_crl && p.strict_reserved && p.require_binding);
    assert_int_equal(p.accept_tcb_status, CLO_ATTEST_TCB_UP_TO_DATE);
    assert_false(p.any_advisory || p.any_td_attributes || p.allow_mac || p.allow_sha1 || p.custom_root || p.claims_only || p.ak_trusted);
    assert_int_equal(p.vmpl_max, 0);
    assert_ok(read_policy(&a, "{}", true, &p));
    assert_false(p.allow_debug || p.allow_simulated || p.require_crl || p.strict_reserved || p.skip_chip_match || p.skip_tcb_certificate_match);
    assert_int_equal(p.vmpl_max, 3);
    assert_ok(read_policy(&a, "{\"require_collateral\":true,\"check_chip_id\":false}", true, &p));
    assert_true(p.require_crl && p.skip_chip_match);
}

static void test_parts(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p, back;
    clo_wire_node *tree = NULL;
    assert_ok(read_policy(&a, "{\"expected_nonce\":\"aa\",\"required_claims\":{\"cpu.vmpl\":0},\"parts\":{\"cpu\":{\"vmpl_max\":1},\"gpu\":{}}}", false, &p));
    assert_ok(clo_attest_policy_tree(&a, &p, &tree));
    assert_ok(clo_attest_policy_read(&a, tree, &back));
    assert_true(back.part_count == 2 && back.parts[0].policy->vmpl_max == 1 && !back.parts[0].policy->require_binding && back.require_binding);
    assert_code(read_policy(&a, "{\"vmpl_max\":1,\"parts\":{\"cpu\":{}}}", false, &p), CLO_E_MALFORMED);
    assert_code(read_policy(&a, "{\"allow_debug\":true,\"parts\":{\"cpu\":{}}}", true, &p), CLO_E_MALFORMED);
}

static void test_round_trip(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p, back;
    char json[4096], h32[65], h48[97], h64[129];
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i + 1);
    clo_hex_encode(h32, clo_span_of(bytes, 32));
    clo_hex_encode(h48, clo_span_of(bytes, 48));
    clo_hex_encode(h64, clo_span_of(bytes, 64));
    (void)snprintf(json, sizeof json,
                   "{\"allow_debug\":true,\"allow_simulated\":true,\"allow_trailing_bytes\":true,\"allow_provisional_firmware\":true,"
                   "\"allow_migration_agent\":true,\"strict_reserved\":false,\"require_crl\":false,\"expected_report_data\":\"%s\","
                   "\"expected_nonce\":\"aabb\",\"min_reported_tcb\":{\"fmc\":1,\"bl\":2,\"tee\":3,\"snp\":4,\"ucode\":255},\"min_guest_svn\":9,"
                   "\"vmpl_max\":3,\"measurements\":[\"%s\",\"%s\"],\"host_data\":\"%s\",\"id_key_digests\":[\"%s\"],"
                   "\"author_key_digests\":[\"%s\"],\"roots\":[\"%s\"],\"chips\":[\"%s\"],\"allow_mac\":true,\"allow_sha1\":true,"
                   "\"any_td_attributes\":true,\"require_binding\":false,\"expected_issuer\":\"https://a.example\","
                   "\"accept_tcb_status\":[\"UpToDate\",\"SWHardeningNeeded\"],\"accepted_advisories\":[\"INTEL-SA-00615\"],"
                   "\"min_tcb_date\":\"2024-01-01T00:00:00Z\",\"min_tcb_evaluation_number\":17,\"collateral_grace_seconds\":3600,"
                   "\"max_age_seconds\":60,\"required_claims\":{\"pcrs.4\":\"aa\",\"svn\":[1,2],\"x.debug\":false},"
                   "\"release_policy\":{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a.example\",\"allOf\":[{\"claim\":\"c\","
                   "\"equals\":1}]}]}}",
                   h64, h48, h48, h32, h48, h48, h32, h64);
    assert_ok(read_policy(&a, json, false, &p));
    assert_int_equal(p.measurement_count, 2);
    assert_int_equal(p.min_reported_tcb.ucode, 255);
    assert_int_equal(p.accept_tcb_status, 3);
    assert_int_equal(p.min_tcb_date, 1704067200);
    assert_true(p.advisory_count == 1 && p.required_claims->count == 3 && p.release_policy != NULL);
    assert_memory_equal(p.measurements[1], bytes, 48);
    assert_memory_equal(p.chips[0], bytes, 64);
    assert_true(p.have_report_data && p.have_host_data && p.expected_nonce.n == 2);
    clo_wire_node *tree = NULL, *again = NULL;
    CLO_AUTO(clo_buf_free) clo_buf one;
    CLO_AUTO(clo_buf_free) clo_buf two;
    clo_buf_init(&one, 65536);
    clo_buf_init(&two, 65536);
    assert_ok(clo_attest_policy_tree(&a, &p, &tree));
    assert_ok(clo_wire_cbor_encode(tree, &one));
    assert_ok(clo_attest_policy_read(&a, tree, &back));
    assert_ok(clo_attest_policy_tree(&a, &back, &again));
    assert_ok(clo_wire_cbor_encode(again, &two));
    assert_true(clo_span_equal(clo_buf_span(&one), clo_buf_span(&two)));
    p.skip_chip_match = true;
    assert_code(clo_attest_policy_tree(&a, &p, &tree), CLO_E_RANGE);
}

/* What the published cases say, and floors by product. */
static void test_open_words(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p;
    assert_ok(read_policy(&a, "{\"accept_tcb_status\":\"UpToDate only\",\"custom_root\":true,\"level\":\"claims only\",\"ak_trusted\":\"given\"}", true, &p));
    assert_int_equal(p.accept_tcb_status, CLO_ATTEST_TCB_UP_TO_DATE);
    assert_true(p.custom_root && p.claims_only && p.ak_trusted && !p.require_binding);
    assert_ok(read_policy(&a, "{\"accept_tcb_status\":\"any except Revoked\",\"revocation\":\"skip\",\"signature\":\"skip: none\","
                              "\"hardware_signature\":\"skip: certificate not published\",\"expected_challenge\":\"abab\"}", true, &p));
    assert_int_equal(p.accept_tcb_status, CLO_ATTEST_TCB_ANY);
    assert_true(p.skip_revocation && p.skip_signature && p.skip_hardware_signature && p.expected_nonce.n == 2);
    assert_ok(read_policy(&a, "{\"accept_tcb_status\":\"OutOfDate\"}", true, &p));
    assert_int_equal(p.accept_tcb_status, CLO_ATTEST_TCB_OUT_OF_DATE);
    assert_ok(read_policy(&a, "{\"min_reported_tcb\":{\"Turin\":{\"fmc\":1,\"snp\":2},\"Milan\":{\"bl\":4}}}", false, &p));
    assert_true(p.have_product_tcb && !p.min_reported_tcb.have && p.product_tcb[CLO_ATTEST_TURIN].snp == 2 && !p.product_tcb[CLO_ATTEST_GENOA].have);
    clo_wire_node *tree = NULL;
    assert_ok(clo_attest_policy_tree(&a, &p, &tree));
    assert_non_null(clo_wire_get(clo_wire_get(tree, "min_reported_tcb"), "Turin"));
    assert_null(clo_wire_get(clo_wire_get(tree, "min_reported_tcb"), "Genoa"));
}

static void test_bad_policies(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool open;
    } cases[] = {
        {"{\"allow_debgu\":true}", false},
        {"{\"allow_debug\":1}", false},
        {"{\"allow_debug\":\"false\"}", true},
        {"{\"check_chip_id\":false}", false},
        {"{\"check_tcb_matches_cert\":false}", false},
        {"{\"expected_report_data\":\"00\"}", true},
        {"{\"expected_nonce\":\"\"}", true},
        {"{\"vmpl_max\":4}", false},
        {"{\"vmpl_max\":-1}", false},
        {"{\"min_guest_svn\":4294967296}", false},
        {"{\"min_reported_tcb\":{\"ucode\":256}}", true},
        {"{\"min_reported_tcb\":{\"microcode\":1}}", true},
        {"{\"min_reported_tcb\":[]}", true},
        {"{\"measurements\":[]}", false},
        {"{\"measurements\":[\"00\"]}", false},
        {"{\"measurements\":\"00\"}", false},
        {"{\"roots\":[1]}", false},
        {"[]", false},
        {"{\"custom_root\":true}", false},
        {"{\"level\":\"claims only\"}", false},
        {"{\"revocation\":\"skip\"}", false},
        {"{\"signature\":\"skip: no key\"}", false},
        {"{\"hardware_signature\":\"skip: none\"}", false},
        {"{\"ak_trusted\":\"given\"}", false},
        {"{\"level\":\"everything\"}", true},
        {"{\"revocation\":true}", true},
        {"{\"accept_tcb_status\":\"Revoked\"}", true},
        {"{\"accept_tcb_status\":[]}", false},
        {"{\"accept_tcb_status\":[\"UpToDate\",\"Revoked\"]}", false},
        {"{\"accept_tcb_status\":7}", false},
        {"{\"expected_nonce\":\"00\",\"expected_challenge\":\"00\"}", false},
        {"{\"expected_issuer\":\"\"}", false},
        {"{\"collateral_grace_seconds\":7776001}", false},
        {"{\"max_age_seconds\":-1}", false},
        {"{\"min_tcb_date\":\"yesterday\"}", false},
        {"{\"accepted_advisories\":[\"\"]}", false},
        {"{\"accepted_advisories\":[\"a name of an advisory that is too long\"]}", false},
        {"{\"min_reported_tcb\":{\"Milan\":{\"bl\":1},\"bl\":1}}", false},
        {"{\"min_reported_tcb\":{\"Rome\":{\"bl\":1}}}", false},
        {"{\"required_claims\":{}}", false},
        {"{\"required_claims\":{\"a\":[]}}", false},
        {"{\"required_claims\":{\"a\":[null]}}", false},
        {"{\"required_claims\":{\"a\":[1.5]}}", false},
        {"{\"required_claims\":{\"a\":{\"b\":1}}}", false},
        {"{\"required_claims\":{\"\":1}}", false},
        {"{\"required_claims\":[]}", false},
        {"{\"release_policy\":{}}", false},
        {"{\"parts\":{}}", false},
        {"{\"parts\":{\"cpu\":{\"parts\":{\"x\":{}}}}}", false},
        {"{\"parts\":{\"a name that is too long\":{}}}", false},
        {"{\"parts\":{\"cpu\":{\"custom_root\":true}}}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        clo_attest_policy p, untouched;
        memset(&p, 0x77, sizeof p);
        untouched = p;
        clo_err e = read_policy(&a, cases[i].json, cases[i].open, &p);
        if (!clo_failed(e)) fail_msg("%s was accepted", cases[i].json);
        assert_int_equal(clo_err_class(e), CLO_CLASS_INPUT);
        assert_memory_equal(&p, &untouched, sizeof p);
    }
}

static clo_span golden(clo_buf *to)
{
    FILE *f = fopen("tests/attest/golden/sim_evidence.cbor", "rb");
    assert_non_null(f);
    uint8_t *at = NULL;
    clo_buf_init(to, 65536);
    assert_ok(clo_buf_reserve(to, 65536, &at));
    to->len = fread(at, 1, 65536, f);
    (void)fclose(f);
    return clo_buf_span(to);
}

static void golden_policy(clo_attest_policy *p)
{
    clo_attest_policy_init(p);
    p->allow_simulated = true;
    p->root_count = 1;
    assert_ok(clo_hex_decode(p->roots[0], 32, clo_span_str(GOLDEN_ROOT)));
    p->measurement_count = 2;
    memset(p->measurements[1], 1, 48);
    p->have_host_data = true;
    memset(p->host_data, 2, 32);
    p->have_report_data = true;
    memset(p->report_data, 3, 64);
}

static void test_golden_bundle(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf file;
    CLO_AUTO(clo_buf_free) clo_buf again;
    clo_arena_init(&a, 1 << 22);
    clo_span bytes = golden(&file);
    clo_attest_bundle b;
    clo_attest_policy p;
    golden_policy(&p);
    assert_ok(clo_attest_bundle_decode(&a, bytes, &b));
    clo_buf_init(&again, 65536);
    assert_ok(clo_attest_bundle_encode(&b, &again));
    assert_true(clo_span_equal(bytes, clo_buf_span(&again)));
    assert_ok(clo_attest_verify_bundle(&a, NULL, bytes, &p, GOLDEN_TIME, &result));
    assert_string_equal(result.reason, "");
    assert_true(result.valid);
    assert_ok(clo_attest_deny(&result, ""));
    clo_wire_node *tree = NULL;
    CLO_AUTO(clo_buf_free) clo_buf json;
    const char *text = NULL;
    clo_buf_init(&json, 65536);
    assert_ok(clo_attest_result_tree(&a, &result, &tree));
    assert_ok(clo_wire_json_encode(tree, 0, &json));
    assert_ok(clo_buf_cstr(&json, &text));
    assert_non_null(strstr(text, "\"verdict\":\"valid\""));
    assert_non_null(strstr(text, "\"tee\":\"sim\""));
    assert_non_null(strstr(text, "\"host_data\":\"0202"));
    for (size_t n = 0; n < bytes.n; n++) assert_true(clo_failed(clo_attest_bundle_decode(&a, clo_span_of(bytes.p, n), &b)));
}

static void test_bad_bundles(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}",
        "{\"tee\":\"sim\",\"chain\":[]}",
        "{\"tee\":\"sim\",\"report\":\"00\"}",
        "{\"tee\":\"sim\",\"report\":\"00\",\"chain\":[],\"extra\":1}",
        "{\"tee\":\"sim\",\"report\":\"00\",\"chain\":[1]}",
        "{\"tee\":1,\"report\":\"00\",\"chain\":[]}",
        "{\"tee\":\"a name that is far too long for a tee\",\"report\":\"00\",\"chain\":[]}",
        "{\"tee\":\"sim\",\"report\":\"00\",\"chain\":[[],[],[],[],[]]}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf cbor;
        clo_arena_init(&a, 1 << 20);
        clo_buf_init(&cbor, 65536);
        clo_wire_node *node = NULL;
        clo_attest_bundle b;
        clo_attest_policy p;
        clo_attest_policy_init(&p);
        assert_ok(clo_wire_json_decode(&a, clo_span_str(cases[i]), &node));
        assert_ok(clo_wire_cbor_encode(node, &cbor));
        if (!clo_failed(clo_attest_bundle_decode(&a, clo_buf_span(&cbor), &b))) fail_msg("%s was accepted", cases[i]);
        assert_ok(clo_attest_verify_bundle(&a, NULL, clo_buf_span(&cbor), &p, 0, &result));
        assert_string_equal(result.reason, "malformed");
        assert_non_null(result.claims);
    }
}

static void test_dispatch(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p;
    golden_policy(&p);
    clo_attest_part part = {.role = "bundle", .bytes = golden(&file)}, odd = {.role = "report", .bytes = clo_span_str("?")};
    assert_code(clo_attest_verify(&a, "zdx", &part, 1, NULL, 0, &p, 0, &result), CLO_E_UNSUPPORTED);
    assert_code(clo_attest_verify(&a, "auto", &odd, 1, NULL, 0, &p, 0, &result), CLO_E_UNSUPPORTED);
    assert_code(clo_attest_verify(&a, "snp", &part, CLO_ATTEST_PARTS_MAX + 1, NULL, 0, &p, 0, &result), CLO_E_TOO_MANY);
    assert_ok(clo_attest_verify(&a, "sim", &part, 1, NULL, 0, &p, GOLDEN_TIME, &result));
    assert_true(result.valid);
    assert_ok(clo_attest_verify(&a, "snp", &part, 1, NULL, 0, &p, GOLDEN_TIME, &result));
    assert_string_equal(result.reason, "malformed"); /* it says sim */
    assert_ok(clo_attest_verify(&a, "snp", NULL, 0, NULL, 0, &p, GOLDEN_TIME, &result));
    assert_string_equal(result.reason, "malformed");
    assert_false(result.valid);
    assert_int_equal(result.valid_until, 0);
}

/* Texts of checks are cut and come from others: whatever they hold, a result can be written. */
static void test_texts_of_checks(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    char text[400];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xe2\x80\xa6", 3);
        text[sizeof text - 1] = '\0';
        clo_attest_result_open(&result, "snp");
        (void)clo_attest_check_add(&result, text, true, "claims", text, text);
        (void)clo_attest_check_add(&result, text, false, "claims", text, text);
        (void)clo_attest_check_add(&result, "latin", false, "claims", "M\xfcnchen", "\xff\xfe");
        (void)clo_attest_check_add(&result, "latin", true, "claims", "M\xfcnchen", "\xff\xfe");
        clo_attest_result_close(&result);
        clo_wire_node *tree = NULL;
        assert_ok(clo_attest_result_tree(&a, &result, &tree));
        assert_string_equal(result.checks[2].expected, "M?nchen");
        assert_string_equal(result.checks[2].actual, "??");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_is_strict), cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_bad_policies),
        cmocka_unit_test(test_open_words), cmocka_unit_test(test_parts), cmocka_unit_test(test_texts_of_checks),
        cmocka_unit_test(test_golden_bundle),    cmocka_unit_test(test_bad_bundles), cmocka_unit_test(test_dispatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
