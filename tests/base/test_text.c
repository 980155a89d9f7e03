/* Proves that the text forms are strict: what they accept they write back, and each malformed form is refused. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"

#include <string.h>

static clo_span str(const char *s) { return clo_span_of(s, strlen(s)); }

static void hex(void **state)
{
    (void)state;
    uint8_t b[3] = {9, 9, 9};
    assert_ok(clo_hex_decode(b, 3, str("00aBff")));
    char text[7];
    clo_hex_encode(text, clo_span_of(b, 3));
    assert_string_equal(text, "00abff");
    assert_code(clo_hex_decode(b, 3, str("00abf")), CLO_E_MALFORMED);
    assert_code(clo_hex_decode(b, 3, str("00abfg")), CLO_E_MALFORMED);
    assert_int_equal(b[2], 0xff);
}

static void base64(void **state)
{
    (void)state;
    static const struct { const char *plain, *padded, *url; } cases[] = {
        {"", "", ""}, {"f", "Zg==", "Zg"}, {"fo", "Zm8=", "Zm8"}, {"foo", "Zm9v", "Zm9v"}, {"foob", "Zm9vYg==", "Zm9vYg"},
        {"\xff\xfe\xfb", "//77", "__77"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_buf_free) clo_buf b;
        clo_buf_init(&b, 100);
        assert_ok(clo_base64_encode(&b, str(cases[i].plain)));
        assert_int_equal(b.len, strlen(cases[i].padded));
        assert_memory_equal(b.p, cases[i].padded, b.len);
        clo_buf_clear(&b);
        assert_ok(clo_base64_decode(&b, str(cases[i].padded)));
        assert_int_equal(b.len, strlen(cases[i].plain));
        clo_buf_clear(&b);
        assert_ok(clo_base64url_decode(&b, str(cases[i].url)));
        assert_int_equal(b.len, strlen(cases[i].plain));
    }
    static const char *const bad[] = {"Zg=", "Zg", "Zh==", "Zg==Zg==", "Z===", "Zm9 ", "====", "Zm9v\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLO_AUTO(clo_buf_free) clo_buf b;
        clo_buf_init(&b, 100);
        assert_true(clo_failed(clo_base64_decode(&b, str(bad[i]))));
        assert_int_equal(b.len, 0);
    }
}

static void numbers(void **state)
{
    (void)state;
    uint64_t u = 7;
    int64_t i = 7;
    double d = 7;
    assert_ok(clo_u64_parse(&u, str("18446744073709551615")));
    assert_true(u == UINT64_MAX);
    assert_code(clo_u64_parse(&u, str("18446744073709551616")), CLO_E_OVERFLOW);
    assert_code(clo_u64_parse(&u, str("01")), CLO_E_NOT_CANONICAL);
    assert_code(clo_u64_parse(&u, str("")), CLO_E_MALFORMED);
    assert_code(clo_u64_parse(&u, str("+1")), CLO_E_MALFORMED);
    assert_ok(clo_i64_parse(&i, str("-9223372036854775808")));
    assert_true(i == INT64_MIN);
    assert_code(clo_i64_parse(&i, str("9223372036854775808")), CLO_E_OVERFLOW);
    assert_code(clo_i64_parse(&i, str("-0")), CLO_E_NOT_CANONICAL);
    assert_ok(clo_f64_parse(&d, str("-1.5e3")));
    assert_true(d < -1499.9 && d > -1500.1);
    static const char *const bad[] = {"", "nan", "inf", "0x10", "1.", ".5", "+1", "1e", " 1", "1 ", "01", "1e999", "--1", "1,5"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) assert_true(clo_failed(clo_f64_parse(&d, str(bad[k]))));
}

static void times(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t seconds; } good[] = {{"1970-01-01T00:00:00Z", 0}, {"2000-02-29T12:34:56Z", 951827696},
        {"2026-11-20T19:20:00.5Z", 1795202400}, {"1969-12-31T23:59:59Z", -1}, {"9999-12-31T23:59:59Z", 253402300799}};
    for (size_t k = 0; k < sizeof good / sizeof good[0]; k++) {
        int64_t s = 0;
        assert_ok(clo_time_parse(&s, str(good[k].text)));
        assert_true(s == good[k].seconds);
        char text[21];
        clo_time_format(text, s);
        assert_memory_equal(text, good[k].text, 19);
    }
    static const char *const bad[] = {"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01 00:00:00Z",
                                      "2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        int64_t s = 5;
        assert_true(clo_failed(clo_time_parse(&s, str(bad[k]))));
        assert_true(s == 5);
    }
}

static void utf8_and_names(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82"};
    for (size_t k = 0; k < sizeof good / sizeof good[0]; k++) assert_true(clo_utf8_valid(str(good[k])));
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) assert_false(clo_utf8_valid(str(bad[k])));
    assert_true(clo_name_valid("hospital-a.v2_x"));
    assert_false(clo_name_valid("") || clo_name_valid("-a") || clo_name_valid("A") || clo_name_valid("a b") || clo_name_valid("../a"));
    char to[4] = "zz";
    assert_code(clo_str_set(to, sizeof to, str("abcd")), CLO_E_TOO_LARGE);
    assert_string_equal(to, "zz");
    assert_ok(clo_str_set(to, sizeof to, str("abc")));
    assert_string_equal(to, "abc");
}

static void hidden_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {{"", 0}, {"a", 0}, {"~", 0}, {" ", 0}, {"\x1b[2J", 1}, {"\n", 1}, {"\t", 1}, {"\x7f", 1}, {"\x1f", 1},
                 {"\xc2\x9b" "31m", 2}, {"\xc2\x80", 2}, {"\xc2\xa0", 0}, {"\xc2", 0}, {"\xc3\xa4", 0},
                 {"\xe2\x80\x8e", 3}, {"\xe2\x80\xa8", 3}, {"\xe2\x80\xae", 3}, {"\xe2\x81\xa6", 3}, {"\xe2\x81\xa9", 3},
                 {"\xe2\x80\xa7", 0}, {"\xe2\x80\xaf", 0}, {"\xe2\x81\xaa", 0}, {"\xe2\x80", 0}, {"\xe2\x82\xac", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_int_equal(clo_utf8_hidden(str(cases[i].text)), cases[i].size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hex), cmocka_unit_test(base64), cmocka_unit_test(numbers), cmocka_unit_test(times),
                                       cmocka_unit_test(utf8_and_names), cmocka_unit_test(hidden_characters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
