/* Proves how claims are found and compared, and Azure release policies: each operator with each type, absence, nesting, import and export,
 * every malformed form. */
#include "cmocka_all.h"

#include "attest/attest.h"
#include "attest/policy_claims.h"
#include "attest/policy_diff.h"
#include "attest/skr_policy.h"
#include "base/clo_own.h"
#include "wire/cbor.h"
#include "wire/json.h"

#include <stdlib.h>
#include <string.h>

static clo_arena arena;

static int set_up(void **state)
{
    (void)state;
    clo_arena_init(&arena, 1 << 22);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clo_arena_free(&arena);
    return 0;
}

static clo_wire_node *json(const char *text)
{
    clo_wire_node *n = NULL;
    assert_ok(clo_wire_json_decode(&arena, clo_span_str(text), &n));
    return n;
}

static void test_find(void **state)
{
    (void)state;
    clo_wire_node *claims = json("{\"a\":{\"b\":{\"c\":1}},\"a.b\":{\"d\":2},\"pcrs\":{\"4\":\"x\"},\"list\":[[7,8],9],\"x\":{\"y\":3},\"x.y\":4,\"e\":{\"\":5}}"), *node = NULL;
    assert_int_equal(clo_attest_claim_find(claims, "a.b.c")->integer, 1);
    assert_int_equal(clo_attest_claim_find(claims, "a.b.d")->integer, 2);
    assert_non_null(clo_attest_claim_find(claims, "pcrs.4"));
    assert_int_equal(clo_attest_claim_find(claims, "list.0.1")->integer, 8);
    assert_int_equal(clo_attest_claim_find(claims, "list.1")->integer, 9);
    static const char *const absent[] = {"x.y", "a.b", "", "a.", ".a", "a..b", "list.2", "list.00", "list.-1", "e.", "z", "a.b.c.d", "pcrs.4.0"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        if (clo_attest_claim_find(claims, absent[i]) != NULL) fail_msg("\"%s\" was found", absent[i]);
    }
    assert_null(clo_attest_claim_find(NULL, "a"));
    clo_wire_node *deep = json("{\"a\":1}");
    for (int i = 0; i < 20; i++) {
        assert_ok(clo_wire_map(&arena, &node));
        assert_ok(clo_wire_set(&arena, node, "a", deep));
        deep = node;
    }
    assert_non_null(clo_attest_claim_find(deep, "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"));
    assert_null(clo_attest_claim_find(deep, "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"));
}

static void test_equal(void **state)
{
    (void)state;
    clo_wire_node *bytes = NULL;
    assert_ok(clo_wire_bytes(&arena, clo_span_of((const uint8_t *)"\xab\xcd", 2), &bytes));
    assert_true(clo_attest_claim_equal(bytes, json("\"abcd\"")));
    static const char *const other[] = {"\"ABCD\"", "\"abc\"", "\"abcde\"", "\"\"", "43981", "true", "null", "\"0xabcd\""};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) assert_false(clo_attest_claim_equal(bytes, json(other[i])));
    static const char *const values[] = {"1", "\"1\"", "true", "\"true\"", "0", "false", "\"\"", "null", "1.0", "[1]", "{\"a\":1}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            bool comparable = i < 7, same = clo_attest_claim_equal(json(values[i]), json(values[k]));
            if (same != (i == k && comparable)) fail_msg("%s and %s", values[i], values[k]);
        }
    }
}

#define SKR(conditions) "{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a.example\",\"allOf\":[" conditions "]}]}"

static void test_match(void **state)
{
    (void)state;
    clo_wire_node *claims = json("{\"t\":\"x\",\"n\":5,\"b\":true,\"f\":1.5,\"z\":null,\"o\":{\"i\":{\"c\":\"azure\"}}}");
    static const struct {
        const char *condition;
        bool holds;
    } cases[] = {
        {"{\"claim\":\"t\",\"equals\":\"x\"}", true},           {"{\"claim\":\"t\",\"equals\":\"X\"}", false},
        {"{\"claim\":\"t\",\"notEquals\":\"y\"}", true},        {"{\"claim\":\"t\",\"notEquals\":\"x\"}", false},
        {"{\"claim\":\"t\",\"notEquals\":1}", false},           {"{\"claim\":\"absent\",\"notEquals\":\"y\"}", false},
        {"{\"claim\":\"absent\",\"equals\":\"y\"}", false},     {"{\"claim\":\"absent\",\"exists\":true}", false},
        {"{\"claim\":\"t\",\"exists\":true}", true},            {"{\"claim\":\"z\",\"exists\":true}", true},
        {"{\"claim\":\"n\",\"equals\":5}", true},               {"{\"claim\":\"n\",\"equals\":\"5\"}", false},
        {"{\"claim\":\"n\",\"less\":6}", true},                 {"{\"claim\":\"n\",\"less\":5}", false},
        {"{\"claim\":\"n\",\"lessOrEquals\":5}", true},         {"{\"claim\":\"n\",\"lessOrEquals\":4}", false},
        {"{\"claim\":\"n\",\"greater\":4}", true},              {"{\"claim\":\"n\",\"greater\":5}", false},
        {"{\"claim\":\"n\",\"greaterOrEquals\":5}", true},      {"{\"claim\":\"n\",\"greaterOrEquals\":6}", false},
        {"{\"claim\":\"t\",\"less\":6}", false},                {"{\"claim\":\"f\",\"less\":6}", false},
        {"{\"claim\":\"b\",\"greater\":0}", false},             {"{\"claim\":\"b\",\"equals\":true}", true},
        {"{\"claim\":\"b\",\"equals\":1}", false},              {"{\"claim\":\"o.i.c\",\"equals\":\"azure\"}", true},
        {"{\"anyOf\":[{\"claim\":\"n\",\"equals\":4},{\"claim\":\"n\",\"equals\":5}]}", true},
        {"{\"anyOf\":[{\"claim\":\"n\",\"equals\":4},{\"claim\":\"n\",\"equals\":6}]}", false},
        {"{\"allOf\":[{\"claim\":\"n\",\"equals\":5},{\"anyOf\":[{\"claim\":\"t\",\"equals\":\"x\"}]}]}", true},
        {"{\"claim\":\"n\",\"equals\":5},{\"claim\":\"t\",\"equals\":\"q\"}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600], why[200];
        clo_wire_node *read = NULL;
        (void)snprintf(text, sizeof text, SKR("%s"), cases[i].condition);
        assert_ok(clo_attest_skr_read(&arena, json(text), &read));
        if (clo_attest_skr_match(read, claims, "https://a.example/", why) != cases[i].holds) fail_msg("%s: %s", cases[i].condition, why);
        assert_true(why[0] != '\0');
        assert_true(clo_attest_skr_match(read, claims, NULL, NULL) == cases[i].holds);
        assert_false(clo_attest_skr_match(read, claims, "https://b.example", why));
    }
}

static void test_bad_release_policies(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "[]",
        "{}",
        "{\"version\":\"1.0.0\"}",
        "{\"version\":\"0.2\",\"anyOf\":[{\"authority\":\"https://a\",\"allOf\":[{\"claim\":\"a\",\"equals\":1}]}]}",
        "{\"version\":\"1.0.0\",\"anyOf\":[]}",
        "{\"version\":\"1.0.0\",\"anyOf\":[1]}",
        "{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"http://a\",\"allOf\":[{\"claim\":\"a\",\"equals\":1}]}]}",
        "{\"version\":\"1.0.0\",\"anyOf\":[{\"allOf\":[{\"claim\":\"a\",\"equals\":1}]}]}",
        "{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a\"}]}",
        "{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a\",\"allOf\":[]}]}",
        "{\"version\":\"1.0.0\",\"extra\":1,\"anyOf\":[{\"authority\":\"https://a\",\"allOf\":[{\"claim\":\"a\",\"equals\":1}]}]}",
        SKR("{\"claim\":\"a\"}"),
        SKR("{\"claim\":\"a\",\"equals\":1,\"less\":2}"),
        SKR("{\"claim\":\"a\",\"matches\":1}"),
        SKR("{\"claim\":\"\",\"equals\":1}"),
        SKR("{\"claim\":1,\"equals\":1}"),
        SKR("{\"claim\":\"a\",\"equals\":null}"),
        SKR("{\"claim\":\"a\",\"equals\":1.5}"),
        SKR("{\"claim\":\"a\",\"equals\":[1]}"),
        SKR("{\"claim\":\"a\",\"less\":\"1\"}"),
        SKR("{\"claim\":\"a\",\"greater\":true}"),
        SKR("{\"claim\":\"a\",\"exists\":false}"),
        SKR("{\"claim\":\"a\",\"exists\":1}"),
        SKR("{\"not\":{\"claim\":\"a\",\"equals\":1}}"),
        SKR("{\"anyOf\":[{\"claim\":\"a\",\"equals\":1}],\"allOf\":[{\"claim\":\"a\",\"equals\":1}]}"),
        SKR("{\"anyOf\":[]}"),
        SKR("{\"anyOf\":{}}"),
        SKR("7"),
        SKR("{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"claim\":\"a\",\"equals\":1}]}]}]}]}]}]}]}]}"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_wire_node *out = NULL;
        if (!clo_failed(clo_attest_skr_read(&arena, json(cases[i]), &out))) fail_msg("%s was accepted", cases[i]);
        assert_null(out);
    }
}

static void encoded(const clo_wire_node *n, char *to, size_t size)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    const char *c = NULL;
    clo_buf_init(&text, 65536);
    assert_ok(clo_wire_json_encode(n, 0, &text));
    assert_ok(clo_buf_cstr(&text, &c));
    (void)snprintf(to, size, "%s", c);
}

static void test_import_export(void **state)
{
    (void)state;
    static const struct {
        const char *skr, *policy;
    } cases[] = {
        {SKR("{\"claim\":\"a\",\"equals\":1}"), "{\"expected_issuer\":\"https://a.example\",\"required_claims\":{\"claims.a\":[1]}}"},
        {SKR("{\"claim\":\"a\",\"equals\":1},{\"allOf\":[{\"claim\":\"b.c\",\"equals\":\"x\"}]}"),
         "{\"expected_issuer\":\"https://a.example\",\"required_claims\":{\"claims.a\":[1],\"claims.b.c\":[\"x\"]}}"},
        {SKR("{\"anyOf\":[{\"claim\":\"a\",\"equals\":1},{\"claim\":\"a\",\"equals\":2}]}"),
         "{\"expected_issuer\":\"https://a.example\",\"required_claims\":{\"claims.a\":[1,2]}}"},
        {"{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a.example\",\"anyOf\":[{\"claim\":\"a\",\"equals\":1},{\"claim\":\"a\",\"equals\":2}]}]}",
         "{\"expected_issuer\":\"https://a.example\",\"required_claims\":{\"claims.a\":[1,2]}}"},
    };
    static const char *const kept[] = {
        SKR("{\"claim\":\"a\",\"less\":1}"),
        SKR("{\"claim\":\"a\",\"equals\":1},{\"claim\":\"a\",\"equals\":1}"),
        SKR("{\"anyOf\":[{\"claim\":\"a\",\"equals\":1},{\"claim\":\"b\",\"equals\":2}]}"),
        SKR("{\"anyOf\":[{\"claim\":\"a\",\"equals\":1},{\"allOf\":[{\"claim\":\"a\",\"equals\":2}]}]}"),
        "{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a.example\",\"anyOf\":[{\"claim\":\"a\",\"equals\":1},{\"claim\":\"b\",\"equals\":2}]}]}",
        ("{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a\",\"allOf\":[{\"claim\":\"a\",\"equals\":1}]},{\"authority\":\"https://b\",\"allOf\":["
         "{\"claim\":\"a\",\"equals\":1}]}]}"),
    };
    char text[2000], again[2000];
    clo_wire_node *out = NULL;
    clo_attest_policy p;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_ok(clo_attest_skr_import(&arena, json(cases[i].skr), &out));
        encoded(out, text, sizeof text);
        assert_string_equal(text, cases[i].policy);
        assert_ok(clo_attest_policy_read(&arena, json(text), &p));
        assert_ok(clo_attest_skr_export(&arena, &p, "https://a.example", "maa", &out));
        assert_ok(clo_attest_skr_import(&arena, out, &out));
        encoded(out, again, sizeof again);
        assert_string_equal(again, text);
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        assert_ok(clo_attest_skr_import(&arena, json(kept[i]), &out));
        assert_non_null(clo_wire_get(out, "release_policy"));
        encoded(out, text, sizeof text);
        assert_ok(clo_attest_policy_read(&arena, json(text), &p));
        assert_ok(clo_attest_skr_export(&arena, &p, "https://a.example", "maa", &out));
        encoded(out, text, sizeof text);
        assert_string_equal(text, kept[i]);
    }
    assert_ok(clo_attest_policy_read(&arena, json("{\"vmpl_max\":1,\"min_guest_svn\":2,\"min_reported_tcb\":{\"bl\":3,\"ucode\":115}}"), &p));
    assert_ok(clo_attest_skr_export(&arena, &p, "https://a.example", "snp", &out));
    encoded(out, text, sizeof text);
    assert_non_null(strstr(text, "{\"claim\":\"x-ms-sevsnpvm-is-debuggable\",\"equals\":false}"));
    assert_non_null(strstr(text, "{\"claim\":\"x-ms-sevsnpvm-microcode-svn\",\"greaterOrEquals\":115}"));
    assert_code(clo_attest_skr_export(&arena, &p, "https://a.example", "maa", &out), CLO_E_UNSUPPORTED);
    static const char *const beyond[] = {"{\"expected_nonce\":\"00\"}", "{\"max_age_seconds\":1}", "{\"required_claims\":{\"a\":1}}", "{}"};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        assert_ok(clo_attest_policy_read(&arena, json(beyond[i]), &p));
        assert_code(clo_attest_skr_export(&arena, &p, "https://a.example", "maa", &out), CLO_E_UNSUPPORTED);
    }
}

static void policy(const char *text, clo_attest_policy *p) { assert_ok(clo_attest_policy_read(&arena, json(text), p)); }

/* Each pair: what the second admits that the first did not, and the other way round. */
static void test_diff(void **state)
{
    (void)state;
    static const struct {
        const char *old, *next, *member;
        bool admits, refuses;
    } cases[] = {
        {"{}", "{}", "", false, false},
        {"{}", "{\"allow_debug\":true}", "allow_debug", true, false},
        {"{\"allow_debug\":true}", "{}", "allow_debug", false, true},
        {"{}", "{\"require_crl\":false}", "require_crl", true, false},
        {"{\"vmpl_max\":1}", "{\"vmpl_max\":2}", "vmpl_max", true, false},
        {"{\"min_guest_svn\":1}", "{\"min_guest_svn\":2}", "min_guest_svn", false, true},
        {"{}", "{\"min_reported_tcb\":{\"snp\":3}}", "min_reported_tcb", false, true},
        {"{\"min_reported_tcb\":{\"snp\":3,\"bl\":1}}", "{\"min_reported_tcb\":{\"snp\":4,\"bl\":0}}", "min_reported_tcb", true, true},
        {"{}", "{\"accept_tcb_status\":[\"UpToDate\",\"OutOfDate\"]}", "accept_tcb_status", true, false},
        {"{\"accept_tcb_status\":\"OutOfDate\"}", "{}", "accept_tcb_status", true, true},
        {"{\"roots\":[\"0000000000000000000000000000000000000000000000000000000000000000\"]}", "{}", "roots", true, false},
        {"{}", "{\"roots\":[\"0000000000000000000000000000000000000000000000000000000000000000\"]}", "roots", false, true},
        {"{\"required_claims\":{\"a\":[1,2]}}", "{\"required_claims\":{\"a\":[2,3]}}", "required_claims.a", true, true},
        {"{\"required_claims\":{\"a\":1}}", "{}", "required_claims.a", true, false},
        {"{\"required_claims\":{\"a\":1}}", "{\"required_claims\":{\"a\":1,\"b\":2}}", "required_claims.b", false, true},
        {"{}", "{\"accepted_advisories\":[\"INTEL-SA-1\"]}", "accepted_advisories", true, false},
        {"{\"expected_issuer\":\"https://a\"}", "{\"expected_issuer\":\"https://b\"}", "expected_issuer", true, true},
        {"{}", "{\"collateral_grace_seconds\":60}", "collateral_grace_seconds", true, false},
        {"{\"max_age_seconds\":60}", "{\"max_age_seconds\":90}", "max_age_seconds", true, false},
        {"{\"max_age_seconds\":60}", "{}", "max_age_seconds", true, false},
        {"{}", "{\"max_age_seconds\":60}", "max_age_seconds", false, true},
        {"{}", "{\"release_policy\":" SKR("{\"claim\":\"a\",\"equals\":1}") "}", "release_policy", false, true},
        {"{\"release_policy\":" SKR("{\"claim\":\"a\",\"equals\":1}") "}", "{\"release_policy\":" SKR("{\"claim\":\"a\",\"equals\":2}") "}", "release_policy", true, true},
        {"{\"parts\":{\"cpu\":{}}}", "{\"parts\":{\"cpu\":{\"allow_debug\":true}}}", "parts.cpu.allow_debug", true, false},
        {"{\"parts\":{\"cpu\":{}}}", "{\"parts\":{\"gpu\":{}}}", "parts", true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static clo_attest_policy old, next;
        clo_attest_policy_change *changes = NULL;
        size_t count = 0;
        bool admits = false, refuses = false;
        policy(cases[i].old, &old);
        policy(cases[i].next, &next);
        assert_ok(clo_attest_policy_diff(&arena, &old, &next, &changes, &count));
        for (size_t k = 0; k < count; k++) {
            admits = admits || changes[k].admits;
            refuses = refuses || !changes[k].admits;
            if (strncmp(changes[k].member, cases[i].member, strlen(cases[i].member)) != 0) fail_msg("case %zu: %s", i, changes[k].member);
            assert_true(changes[k].text[0] != '\0');
        }
        if (admits != cases[i].admits || refuses != cases[i].refuses) fail_msg("case %zu (%s -> %s): %d %d", i, cases[i].old, cases[i].next, admits, refuses);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find), cmocka_unit_test(test_equal),         cmocka_unit_test(test_match), cmocka_unit_test(test_bad_release_policies),
        cmocka_unit_test(test_import_export), cmocka_unit_test(test_diff),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
