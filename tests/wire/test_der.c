/* Proves that the DER view takes exactly the one form of each value: lengths, numbers and identifiers at every boundary, long and padded
 * forms refused, every cut refused, and that a failed take leaves the input where it was. */
#include "cmocka_all.h"

#include "wire/der.h"

#include <stdlib.h>
#include <string.h>

#define BYTES(text) clo_span_of(text, sizeof text - 1)

static void test_lengths(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000};
    uint8_t *bytes = calloc(1, 0x10010);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i], head = 2;
        bytes[0] = 0x04;
        if (n < 0x80) {
            bytes[1] = (uint8_t)n;
        } else {
            size_t count = n < 0x100 ? 1 : n < 0x10000 ? 2 : 3;
            bytes[1] = (uint8_t)(0x80 | count);
            for (size_t k = 0; k < count; k++) bytes[2 + k] = (uint8_t)(n >> (8 * (count - 1 - k)));
            head += count;
        }
        clo_span in = clo_span_of(bytes, head + n + 1), content = {NULL, 0};
        uint8_t tag = 0;
        assert_ok(clo_wire_der_next(&in, &tag, &content));
        assert_int_equal(tag, 4);
        assert_int_equal(content.n, n);
        assert_int_equal(in.n, 1);
        clo_span cut = clo_span_of(bytes, head + n - 1), before = cut;
        assert_code(clo_wire_der_next(&cut, &tag, &content), CLO_E_TRUNCATED);
        assert_true(cut.p == before.p && cut.n == before.n);
    }
    free(bytes);
}

static void test_refused_forms(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        uint32_t code;
    } cases[] = {
        {"", 0, CLO_E_TRUNCATED},
        {"\x04", 1, CLO_E_TRUNCATED},
        {"\x04\x81", 2, CLO_E_TRUNCATED},
        {"\x04\x82\x01", 3, CLO_E_TRUNCATED},
        {"\x30\x80\x00\x00", 4, CLO_E_MALFORMED},           /* indefinite */
        {"\x04\x81\x01\x00", 4, CLO_E_MALFORMED},           /* long form of a short length */
        {"\x04\x81\x7f", 3, CLO_E_MALFORMED},
        {"\x04\x82\x00\x80", 4, CLO_E_MALFORMED},           /* leading zero */
        {"\x04\x85\x01\x00\x00\x00\x00", 7, CLO_E_MALFORMED}, /* five bytes */
        {"\x04\x84\xff\xff\xff\xff", 6, CLO_E_TRUNCATED},
        {"\x1f\x01\x00", 3, CLO_E_MALFORMED},               /* tag of several bytes */
        {"\xbf\x81\x01\x00", 4, CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_span in = clo_span_of(cases[i].bytes, cases[i].n), before = in, content = {NULL, 7};
        uint8_t tag = 9;
        assert_code(clo_wire_der_next(&in, &tag, &content), cases[i].code);
        assert_true(in.p == before.p && in.n == before.n && tag == 9 && content.n == 7);
    }
    clo_span in = BYTES("\x02\x01\x05"), content = {NULL, 0};
    assert_code(clo_wire_der_take(&in, CLO_DER_OCTETS, &content), CLO_E_MALFORMED);
    assert_int_equal(in.n, 3);
    assert_ok(clo_wire_der_take(&in, CLO_DER_INTEGER, &content));
    assert_int_equal(in.n, 0);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        uint32_t code;
        uint64_t value;
    } cases[] = {
        {"\x02\x01\x00", 3, 0, 0},
        {"\x02\x01\x7f", 3, 0, 127},
        {"\x0a\x02\x00\x80", 4, 0, 128},
        {"\x02\x08\x7f\xff\xff\xff\xff\xff\xff\xff", 10, 0, INT64_MAX},
        {"\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff", 11, 0, UINT64_MAX},
        {"\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", 11, CLO_E_RANGE, 0},
        {"\x02\x0a\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 12, CLO_E_RANGE, 0},
        {"\x02\x01\x80", 3, CLO_E_RANGE, 0},
        {"\x02\x02\xff\x7f", 4, CLO_E_RANGE, 0},
        {"\x02\x02\x00\x7f", 4, CLO_E_MALFORMED, 0},
        {"\x02\x02\xff\x80", 4, CLO_E_MALFORMED, 0},
        {"\x02\x00", 2, CLO_E_MALFORMED, 0},
        {"\x04\x01\x00", 3, CLO_E_MALFORMED, 0},
        {"\x02\x02\x01", 3, CLO_E_TRUNCATED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_span in = clo_span_of(cases[i].bytes, cases[i].n);
        uint64_t got = 42;
        assert_code(clo_wire_der_take_uint(&in, &got), cases[i].code);
        assert_true(got == (cases[i].code == 0 ? cases[i].value : 42));
        assert_int_equal(in.n, cases[i].code == 0 ? 0 : cases[i].n);
    }
}

static void test_identifiers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        uint32_t code;
        const char *text;
    } cases[] = {
        {"\x06\x0a\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01\x02", 12, 0, "1.2.840.113741.1.13.1.2"},
        {"\x06\x09\x2b\x06\x01\x04\x01\x9c\x78\x01\x04", 11, 0, "1.3.6.1.4.1.3704.1.4"},
        {"\x06\x01\x00", 3, 0, "0.0"},
        {"\x06\x01\x27", 3, 0, "0.39"},
        {"\x06\x01\x4f", 3, 0, "1.39"},
        {"\x06\x01\x50", 3, 0, "2.0"},
        {"\x06\x03\x88\x37\x03", 5, 0, "2.999.3"},
        {"\x06\x0b\x2a\x81\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 13, 0, "1.2.18446744073709551615"},
        {"\x06\x0b\x2a\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00", 13, CLO_E_MALFORMED, ""},
        {"\x06\x00", 2, CLO_E_MALFORMED, ""},
        {"\x06\x02\x2a\x86", 4, CLO_E_MALFORMED, ""},
        {"\x06\x03\x2a\x80\x01", 5, CLO_E_MALFORMED, ""},
        {"\x05\x01\x00", 3, CLO_E_MALFORMED, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_span in = clo_span_of(cases[i].bytes, cases[i].n);
        char text[64] = "";
        assert_code(clo_wire_der_take_oid(&in, text, sizeof text), cases[i].code);
        assert_string_equal(text, cases[i].text);
    }
    clo_span in = BYTES("\x06\x01\x27");
    char small[4] = "";
    assert_code(clo_wire_der_take_oid(&in, small, sizeof small), CLO_E_TOO_LARGE);
    assert_int_equal(in.n, 3);
    uint8_t many[130] = {6, 127};
    memset(many + 2, 0x7f, 127);
    in = clo_span_of(many, 129);
    char large[600];
    assert_code(clo_wire_der_take_oid(&in, large, sizeof large), CLO_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_refused_forms),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_identifiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
