/* Proves that JSON and YAML are read strictly into the tree (duplicates, depth, encodings, anchors, tags refused with their
 * line), that JSON comes back as it was written, that objects are read by schema, and that the file head is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/container.h"
#include "wire/json.h"

static void test_json(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t code;
    } cases[] = {
        {"{\"a\":1,\"b\":[true,false,null,-1.5,\"x\\\"\\\\\\n\\u0007\"]}", 0},
        {"1", 0},
        {"\"\"", 0},
        {"[]", 0},
        {"{}", 0},
        {"9223372036854775807", 0},
        {"-9223372036854775808", 0},
        {"1e300", 0},
        {"0.1", 0},
        {"", CLO_E_TRUNCATED},
        {"{", CLO_E_TRUNCATED},
        {"[1,]", CLO_E_MALFORMED},
        {"{\"a\":1,\"a\":2}", CLO_E_DUPLICATE},
        {"1 2", CLO_E_TRAILING},
        {"9223372036854775808", CLO_E_RANGE},
        {"1e999", CLO_E_RANGE},
        {"NaN", CLO_E_MALFORMED},
        {"\"\\u0000\"", CLO_E_MALFORMED},
        {"\"\xff\"", CLO_E_MALFORMED},
        {"\"\\ud800\"", CLO_E_MALFORMED},
        {"'a'", CLO_E_MALFORMED},
        {"01", CLO_E_MALFORMED},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", CLO_E_TOO_MANY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        clo_wire_node *n = NULL, *again = NULL;
        clo_err e = clo_wire_json_decode(&a, clo_span_str(cases[i].text), &n);
        if (e.code != cases[i].code && !(cases[i].code == CLO_E_MALFORMED && e.code == CLO_E_TRAILING))
            fail_msg("%s: got %s: %s", cases[i].text, clo_err_name(e), clo_err_text());
        if (cases[i].code != 0) continue;
        for (unsigned indent = 0; indent <= 2; indent += 2) {
            CLO_AUTO(clo_buf_free) clo_buf out;
            clo_buf_init(&out, 4096);
            CLO_AUTO(clo_buf_free) clo_buf twice;
            clo_buf_init(&twice, 4096);
            assert_false(clo_failed(clo_wire_json_encode(n, indent, &out)));
            assert_false(clo_failed(clo_wire_json_decode(&a, clo_buf_span(&out), &again)));
            assert_false(clo_failed(clo_wire_json_encode(again, indent, &twice)));
            assert_true(clo_span_equal(clo_buf_span(&out), clo_buf_span(&twice)));
            if (indent == 0 && i == 0) assert_true(clo_span_equal(clo_buf_span(&out), clo_span_str(cases[0].text)));
        }
    }
}

static void test_json_bytes(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_wire_node *m = NULL;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 4096);
    assert_false(clo_failed(clo_wire_map(&a, &m)));
    assert_false(clo_failed(clo_wire_set_bytes(&a, m, "h", clo_span_of("\x01\xfe", 2))));
    assert_false(clo_failed(clo_wire_set_float(&a, m, "f", 1.0)));
    assert_int_equal(clo_wire_set_int(&a, m, "f", 1).code, CLO_E_DUPLICATE);
    assert_false(clo_failed(clo_wire_json_encode(m, 0, &out)));
    assert_true(clo_span_equal(clo_buf_span(&out), clo_span_str("{\"h\":\"01fe\",\"f\":1.0}")));
    assert_false(clo_failed(clo_wire_hexify(&a, m)));
    assert_int_equal(clo_wire_get(m, "h")->type, CLO_WIRE_TEXT);
}

static void test_yaml(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t code;
        const char *place;
    } cases[] = {
        {"a: 1\nb:\n  - x\n  - {c: d}\n", 0, ""},
        {"", CLO_E_TRUNCATED, "line 1"},
        {"a: 1\na: 2\n", CLO_E_DUPLICATE, "\"a\""},
        {"a: 1\nb: &x 2\n", CLO_E_UNSUPPORTED, "line 2"},
        {"a: *x\n", CLO_E_UNSUPPORTED, "line 1"},
        {"a: 1\nb: !!str 2\n", CLO_E_UNSUPPORTED, "line 2"},
        {"a:\n  <<: 2\n", CLO_E_UNSUPPORTED, "line 2"},
        {"a: 1\n---\nb: 1\n", CLO_E_TRAILING, "line 2"},
        {"a: [1\nb: 2\n", CLO_E_MALFORMED, "line 2"},
        {"? [a]\n: 1\n", CLO_E_UNSUPPORTED, "line 1"},
        {"a: \"\\0\"\n", CLO_E_MALFORMED, "line 1"},
        {"a: \xff\n", CLO_E_MALFORMED, "UTF-8"},
        {"%TAG ! tag:x,2000:\n---\na: 1\n", CLO_E_UNSUPPORTED, "tag directive"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", CLO_E_TOO_MANY, "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        clo_wire_node *n = NULL;
        clo_err e = clo_wire_yaml_decode(&a, clo_span_str(cases[i].text), &n);
        if (e.code != cases[i].code) fail_msg("%s: got %s: %s", cases[i].text, clo_err_name(e), clo_err_text());
        if (cases[i].code != 0 && strstr(clo_err_text(), cases[i].place) == NULL)
            fail_msg("%s: place %s not in: %s", cases[i].text, cases[i].place, clo_err_text());
    }
}

static const char document[] = "name: north\ncount: 12\nratio: 0.5\nopen: true\nwhen: 2026-01-31T12:00:00Z\nkey: 00ff\n"
                               "list: [a, b]\nmap: {x: 1}\nempty: ~\nquoted: \"12\"\n";

static void test_fields(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_wire_node *n = NULL;
    assert_false(clo_failed(clo_wire_yaml_decode(&a, clo_span_str(document), &n)));
    clo_wire_fields f;
    char name[64], fixed[2];
    int64_t count = 0, when = 0;
    double ratio = 0;
    bool open = false;
    const clo_wire_node *list = NULL, *map = NULL;
    const char *quoted = NULL;
    clo_wire_fields_open(&f, &a, n, "party");
    clo_wire_take_name(&f, "name", name);
    clo_wire_take_int(&f, "count", &count, 0, 100);
    clo_wire_take_float(&f, "ratio", &ratio);
    clo_wire_take_bool(&f, "open", &open);
    clo_wire_take_time(&f, "when", &when);
    clo_wire_take_fixed(&f, "key", fixed, 2);
    clo_wire_take_array(&f, "list", &list, 2);
    clo_wire_take_map(&f, "map", &map);
    assert_false(clo_wire_has(&f, "empty"));
    assert_false(clo_wire_has(&f, "absent"));
    assert_int_equal(clo_wire_fields_end(&f).code, CLO_E_UNKNOWN_FIELD);
    assert_non_null(strstr(clo_err_text(), "\"quoted\" (line 10)"));
    clo_wire_take_text(&f, "quoted", &quoted, 2);
    assert_false(clo_failed(clo_wire_fields_end(&f)));
    assert_string_equal(name, "north");
    assert_int_equal(count, 12);
    assert_true(ratio > 0.49 && ratio < 0.51);
    assert_true(open);
    assert_int_equal(when, 1769860800);
    assert_memory_equal(fixed, "\x00\xff", 2);
    assert_int_equal(list->count, 2);
    assert_string_equal(quoted, "12");
}

static void take_wrong(clo_wire_fields *f, int which)
{
    int64_t i = 1;
    double d = 1;
    bool b = true;
    char text[64];
    const clo_wire_node *n = NULL;
    const char *s = NULL;
    clo_span bytes;
    switch (which) {
    case 0:
        clo_wire_take_int(f, "quoted", &i, 0, 100);
        break;
    case 1:
        clo_wire_take_int(f, "count", &i, 0, 11);
        break;
    case 2:
        clo_wire_take_float(f, "name", &d);
        break;
    case 3:
        clo_wire_take_bool(f, "count", &b);
        break;
    case 4:
        clo_wire_take_time(f, "name", &i);
        break;
    case 5:
        clo_wire_take_fixed(f, "key", text, 3);
        break;
    case 6:
        clo_wire_take_array(f, "list", &n, 1);
        break;
    case 7:
        clo_wire_take_map(f, "list", &n);
        break;
    case 8:
        clo_wire_take_int(f, "missing", &i, 0, 1);
        break;
    case 9:
        clo_wire_take_text(f, "empty", &s, 10);
        break;
    case 10:
        clo_wire_take_text(f, "name", &s, 4);
        break;
    case 11:
        clo_wire_take_str(f, "name", text, 5);
        break;
    case 12:
        clo_wire_take_bytes(f, "key", &bytes, 1);
        break;
    case 13:
        clo_wire_take_bytes(f, "name", &bytes, 10);
        break;
    case 14:
        clo_wire_take_int(f, "ratio", &i, 0, 1);
        break;
    case 15:
        clo_wire_take_name(f, "when", text);
        break;
    default:
        clo_wire_take_text(f, "list", &s, 10);
        break;
    }
}

static void test_fields_refused(void **state)
{
    (void)state;
    static const uint32_t codes[] = {CLO_E_MALFORMED, CLO_E_RANGE,     CLO_E_MALFORMED, CLO_E_MALFORMED,     CLO_E_MALFORMED,
                                     CLO_E_MALFORMED, CLO_E_TOO_MANY,  CLO_E_MALFORMED, CLO_E_MISSING_FIELD, CLO_E_MISSING_FIELD,
                                     CLO_E_TOO_LARGE, CLO_E_TOO_LARGE, CLO_E_TOO_LARGE, CLO_E_MALFORMED,     CLO_E_MALFORMED,
                                     CLO_E_MALFORMED, CLO_E_MALFORMED};
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_wire_node *n = NULL;
    assert_false(clo_failed(clo_wire_yaml_decode(&a, clo_span_str(document), &n)));
    for (int i = 0; i < 17; i++) {
        clo_wire_fields f;
        clo_wire_fields_open(&f, &a, n, "party");
        take_wrong(&f, i);
        int64_t later = 5;
        clo_wire_take_int(&f, "count", &later, 0, 100); /* after the first error nothing is taken */
        assert_int_equal(later, 0);
        assert_true(clo_failed(CLO_FAIL(CLO_E_IO))); /* another failure does not replace the sentence */
        clo_err e = clo_wire_fields_end(&f);
        if (e.code != codes[i]) fail_msg("%d: got %s: %s", i, clo_err_name(e), clo_err_text());
        assert_non_null(strstr(clo_err_text(), "party."));
    }
    clo_wire_fields f;
    clo_wire_fields_open(&f, &a, NULL, "party");
    assert_false(clo_failed(clo_wire_fields_end(&f)));
    clo_wire_fields_open(&f, &a, n->first, "party");
    assert_int_equal(clo_wire_fields_end(&f).code, CLO_E_MALFORMED);
    clo_wire_fields_open(&f, &a, n, "party");
    clo_wire_fields_fail(&f, CLO_E_RANGE, "count", "is odd; make it even");
    assert_int_equal(clo_wire_fields_end(&f).code, CLO_E_RANGE);
    assert_string_equal(clo_err_text(), "party.count (line 2) is odd; make it even");
}

static void test_container(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 100);
    assert_false(clo_failed(clo_wire_container_put(&b, CLO_MAGIC_RECEIPT, 1)));
    assert_false(clo_failed(clo_buf_put_str(&b, "body")));
    uint32_t version = 0;
    clo_span body = {0};
    assert_false(clo_failed(clo_wire_container_open(clo_buf_span(&b), CLO_MAGIC_RECEIPT, 1, &version, &body)));
    assert_int_equal(version, 1);
    assert_true(clo_span_equal(body, clo_span_str("body")));
    assert_int_equal(clo_wire_container_open(clo_buf_span(&b), CLO_MAGIC_AGREEMENT, 1, &version, &body).code, CLO_E_MALFORMED);
    assert_non_null(strstr(clo_err_text(), "a receipt, not an agreement"));
    for (size_t n = 0; n < CLO_CONTAINER_HEAD; n++)
        assert_int_equal(clo_wire_container_open(clo_span_of(b.p, n), CLO_MAGIC_RECEIPT, 1, &version, &body).code,
                         CLO_E_TRUNCATED);
    for (size_t bit = 0; bit < (size_t)CLO_CONTAINER_HEAD * 8; bit++) {
        b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(clo_failed(clo_wire_container_open(clo_buf_span(&b), CLO_MAGIC_RECEIPT, 1, &version, &body)));
        b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    clo_buf tiny;
    clo_buf_init(&tiny, 10);
    assert_int_equal(clo_wire_container_put(&tiny, CLO_MAGIC_RECEIPT, 1).code, CLO_E_TOO_LARGE);
    assert_int_equal(tiny.len, 0);
    clo_buf_free(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),   cmocka_unit_test(test_json_bytes),     cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_fields), cmocka_unit_test(test_fields_refused), cmocka_unit_test(test_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
