/* Proves that the view on JSON text finds the exact bytes of members and elements, steps over what it is not asked about, and refuses what
 * is not well-formed where it looks: table-driven, and against every cut of a text. */
#include "cmocka_all.h"

#include "base/clo_buf.h"
#include "base/clo_own.h"
#include "wire/json_view.h"
#include "wire/tree.h"

#include <string.h>

static clo_span text(const char *s) { return clo_span_str(s); }

/* Member `key` of the text's object, or the class of what is wrong. */
static const char *member(const char *json, const char *key, char out[128])
{
    clo_wire_json_view v = clo_wire_json_view_object(text(json));
    clo_span name, value;
    (void)snprintf(out, 128, "%s", "absent");
    while (clo_wire_json_view_next(&v, &name, &value)) {
        if (clo_span_equal(name, text(key))) (void)snprintf(out, 128, "%.*s", (int)value.n, (const char *)value.p);
    }
    if (clo_failed(clo_wire_json_view_end(&v))) (void)snprintf(out, 128, "%s", "malformed");
    return out;
}

static void test_members(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{\"a\":1}", "1"},
        {" { \"a\" :\t1 , \"b\" : 2 } \n", "1"},
        {"{\"b\":{\"a\":7},\"a\":[1, {\"x\":\"]\"}, 2]}", "[1, {\"x\":\"]\"}, 2]"},
        {"{\"b\":\"\\\"a\\\":3\",\"a\":\"x y\"}", "\"x y\""},
        {"{\"a\":{}}", "{}"},
        {"{}", "absent"},
        {"{\"b\":-1.5e+3,\"c\":null}", "absent"},
        {"", "malformed"},
        {"[]", "malformed"},
        {"{", "malformed"},
        {"{\"a\"}", "malformed"},
        {"{\"a\":}", "malformed"},
        {"{\"a\":1,}", "malformed"},
        {"{,\"a\":1}", "malformed"},
        {"{\"a\":1 \"b\":2}", "malformed"},
        {"{\"a\":1}x", "malformed"},
        {"{\"a\":1}}", "malformed"},
        {"{\"a\":[1}}", "malformed"},
        {"{\"a\":[{]}}", "malformed"},
        {"{\"a\":\"x}", "malformed"},
        {"{\"a\":\"x\n\"}", "malformed"},
        {"{a:1}", "malformed"},
        {"{\"\\u0061\":1}", "malformed"},
    };
    char got[128];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(member(cases[i].json, "a", got), cases[i].want) != 0) fail_msg("%s: %s, wanted %s", cases[i].json, got, cases[i].want);
    }
}

static void test_every_cut(void **state)
{
    (void)state;
    static const char json[] = "{\"a\":[1,{\"b\":\"c\\\\\"}],\"d\":\"e\"}";
    for (size_t n = 0; n < sizeof json - 1; n++) {
        clo_wire_json_view v = clo_wire_json_view_object(clo_span_of(json, n));
        clo_span name, value;
        while (clo_wire_json_view_next(&v, &name, &value)) continue;
        assert_code(clo_wire_json_view_end(&v), CLO_E_MALFORMED);
        assert_false(clo_wire_json_view_next(&v, &name, &value));
    }
}

static void test_elements(void **state)
{
    (void)state;
    clo_wire_json_view v = clo_wire_json_view_array(text("[ 1, \"two\" ,[3],{\"four\":4} ]"));
    static const char *const want[] = {"1", "\"two\"", "[3]", "{\"four\":4}"};
    clo_span name, value;
    size_t n = 0;
    while (clo_wire_json_view_next(&v, &name, &value)) {
        assert_true(n < 4);
        assert_true(name.n == 0 && clo_span_equal(value, text(want[n])));
        n++;
    }
    assert_ok(clo_wire_json_view_end(&v));
    assert_int_equal(n, 4);
    v = clo_wire_json_view_array(text("[]"));
    assert_false(clo_wire_json_view_next(&v, &name, &value));
    assert_ok(clo_wire_json_view_end(&v));
}

/* As deep as everything else that wire reads, and no deeper. */
static void test_depth(void **state)
{
    (void)state;
    for (size_t depth = CLO_WIRE_DEPTH_MAX - 1; depth <= CLO_WIRE_DEPTH_MAX + 1; depth++) {
        CLO_AUTO(clo_buf_free) clo_buf b;
        clo_span name, value;
        clo_buf_init(&b, 4096);
        assert_ok(clo_buf_put_u8(&b, '['));
        for (size_t i = 0; i < depth; i++) assert_ok(clo_buf_put_u8(&b, '['));
        for (size_t i = 0; i < depth; i++) assert_ok(clo_buf_put_u8(&b, ']'));
        assert_ok(clo_buf_put_u8(&b, ']'));
        clo_wire_json_view v = clo_wire_json_view_array(clo_buf_span(&b));
        assert_true(clo_wire_json_view_next(&v, &name, &value) == (depth <= CLO_WIRE_DEPTH_MAX));
    }
}

static void test_scalars(void **state)
{
    (void)state;
    uint64_t n = 7;
    uint8_t bytes[2] = {1, 1};
    clo_span s = {NULL, 0};
    assert_ok(clo_wire_json_view_uint(text("255"), 255, &n));
    assert_int_equal(n, 255);
    assert_code(clo_wire_json_view_uint(text("256"), 255, &n), CLO_E_RANGE);
    assert_code(clo_wire_json_view_uint(text("-1"), 255, &n), CLO_E_MALFORMED);
    assert_code(clo_wire_json_view_uint(text("01"), 255, &n), CLO_E_NOT_CANONICAL);
    assert_code(clo_wire_json_view_uint(text("1.0"), 255, &n), CLO_E_MALFORMED);
    assert_code(clo_wire_json_view_uint(text("\"1\""), 255, &n), CLO_E_MALFORMED);
    assert_int_equal(n, 255);
    assert_ok(clo_wire_json_view_hex(text("\"aBfF\""), bytes, 2));
    assert_true(bytes[0] == 0xab && bytes[1] == 0xff);
    assert_code(clo_wire_json_view_hex(text("\"abf\""), bytes, 2), CLO_E_MALFORMED);
    assert_code(clo_wire_json_view_hex(text("\"abfg\""), bytes, 2), CLO_E_MALFORMED);
    assert_code(clo_wire_json_view_hex(text("abff"), bytes, 2), CLO_E_MALFORMED);
    assert_ok(clo_wire_json_view_text(text("\"\""), &s));
    assert_int_equal(s.n, 0);
    assert_code(clo_wire_json_view_text(text("\""), &s), CLO_E_MALFORMED);
    assert_code(clo_wire_json_view_text(text("\"\xc3\xa4\""), &s), CLO_E_MALFORMED);
    assert_code(clo_wire_json_view_text(text("\"a\\n\""), &s), CLO_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_members), cmocka_unit_test(test_every_cut), cmocka_unit_test(test_elements), cmocka_unit_test(test_depth),
                                       cmocka_unit_test(test_scalars)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
