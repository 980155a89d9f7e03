/* Proves that budget arithmetic is exact: every operation against 128-bit arithmetic on random and boundary operands, every
 * overflow is an error that leaves the output alone, and text round-trips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dp/dp_test_rng.h"
#include "dp/rational.h"

__extension__ typedef unsigned __int128 u128;

static clo_dp_rational q(uint64_t n, uint64_t d)
{
    clo_dp_rational r = clo_dp_rational_zero();
    assert_false(clo_failed(clo_dp_rational_make(n, d, &r)));
    return r;
}

static void assert_rational(clo_dp_rational r, uint64_t n, uint64_t d)
{
    assert_int_equal(r.num, n);
    assert_int_equal(r.den, d);
}

static void test_make(void **state)
{
    (void)state;
    assert_rational(q(6, 8), 3, 4);
    assert_rational(q(0, 77), 0, 1);
    assert_rational(q(UINT64_MAX, UINT64_MAX), 1, 1);
    clo_dp_rational r = {5, 7};
    assert_int_equal(clo_dp_rational_make(1, 0, &r).code, CLO_E_RANGE);
    assert_rational(r, 5, 7);
    assert_false(clo_dp_rational_valid((clo_dp_rational){1, 0}));
    assert_false(clo_dp_rational_valid((clo_dp_rational){2, 4}));
    assert_false(clo_dp_rational_valid((clo_dp_rational){0, 3}));
    assert_true(clo_dp_rational_valid((clo_dp_rational){0, 1}));
}

static void test_boundaries(void **state)
{
    (void)state;
    clo_dp_rational r = {5, 7};
    clo_dp_rational max = q(UINT64_MAX, 1), tiny = q(1, UINT64_MAX);
    assert_int_equal(clo_dp_rational_add(max, q(1, 1), &r).code, CLO_E_OVERFLOW);
    assert_int_equal(clo_dp_rational_add(max, tiny, &r).code, CLO_E_OVERFLOW);
    assert_int_equal(clo_dp_rational_add(tiny, q(1, UINT64_MAX - 1), &r).code, CLO_E_OVERFLOW);
    assert_int_equal(clo_dp_rational_times(max, 2, &r).code, CLO_E_OVERFLOW);
    assert_int_equal(clo_dp_rational_divide(tiny, 2, &r).code, CLO_E_OVERFLOW);
    assert_int_equal(clo_dp_rational_divide(max, 0, &r).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_rational_multiply(max, max, &r).code, CLO_E_OVERFLOW);
    assert_int_equal(clo_dp_rational_sub(q(1, 3), q(1, 2), &r).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_rational_add((clo_dp_rational){1, 0}, max, &r).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_rational_times((clo_dp_rational){2, 4}, 1, &r).code, CLO_E_RANGE);
    assert_rational(r, 5, 7);
    assert_false(clo_failed(clo_dp_rational_multiply(max, tiny, &r)));
    assert_rational(r, 1, 1);
    assert_false(clo_failed(clo_dp_rational_sub(max, max, &r)));
    assert_true(clo_dp_rational_is_zero(r));
    assert_int_equal(clo_dp_rational_compare(tiny, q(1, UINT64_MAX - 1)), -1);
    assert_int_equal(clo_dp_rational_compare(q(UINT64_MAX - 1, UINT64_MAX), q(UINT64_MAX - 2, UINT64_MAX - 1)), 1);
    assert_int_equal(clo_dp_rational_compare(max, max), 0);
}

/* A ledger: a million charges of one nano-unit and their sum by multiplication are the same number. */
static void test_ledger_sum(void **state)
{
    (void)state;
    clo_dp_rational sum = clo_dp_rational_zero(), nano = q(1, 1000000000), product = sum;
    for (int i = 0; i < 1000000; i++) assert_false(clo_failed(clo_dp_rational_add(sum, nano, &sum)));
    assert_false(clo_failed(clo_dp_rational_times(nano, 1000000, &product)));
    assert_int_equal(clo_dp_rational_compare(sum, product), 0);
    assert_rational(sum, 1, 1000);
}

static void test_random(void **state)
{
    (void)state;
    dp_test_rng rng = {20260101, -1};
    print_message("# seed %llu\n", (unsigned long long)rng.state);
    for (int i = 0; i < 20000; i++) {
        uint64_t v[4];
        for (int k = 0; k < 4; k++) v[k] = dp_test_rng_next(&rng) >> (i % 64);
        clo_dp_rational a = q(v[0], v[1] | 1), b = q(v[2], v[3] | 1), sum = {0, 1}, back = {0, 1};
        assert_int_equal(clo_dp_rational_compare(a, b), -clo_dp_rational_compare(b, a));
        if (clo_failed(clo_dp_rational_add(a, b, &sum))) continue;
        assert_true(clo_dp_rational_valid(sum));
        assert_true(clo_dp_rational_compare(sum, a) >= 0);
        assert_false(clo_failed(clo_dp_rational_sub(sum, b, &back)));
        assert_int_equal(clo_dp_rational_compare(back, a), 0);
        if (a.den < (1u << 20) && b.den < (1u << 20) && a.num < ((uint64_t)1 << 40) && b.num < ((uint64_t)1 << 40)) {
            u128 wanted = (u128)a.num * b.den + (u128)b.num * a.den;
            assert_true(wanted * sum.den == (u128)sum.num * a.den * b.den);
        }
    }
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t code;
        uint64_t num, den;
    } rows[] = {
        {"0", 0, 0, 1},
        {"0.25", 0, 1, 4},
        {"1/8", 0, 1, 8},
        {"2/16", 0, 1, 8},
        {"3", 0, 3, 1},
        {"007.50", 0, 15, 2},
        {"0.000000001", 0, 1, 1000000000},
        {"18446744073709551615", 0, UINT64_MAX, 1},
        {"18446744073709551615/18446744073709551614", 0, UINT64_MAX, UINT64_MAX - 1},
        {"18446744073.709551615", 0, UINT64_C(3689348814741910323), 200000000},
        {"0.0000000001", CLO_E_MALFORMED, 0, 0},
        {"18446744073709551616", CLO_E_OVERFLOW, 0, 0},
        {"18446744073709551615.1", CLO_E_OVERFLOW, 0, 0},
        {"1/0", CLO_E_RANGE, 0, 0},
        {"", CLO_E_MALFORMED, 0, 0},
        {"-1", CLO_E_MALFORMED, 0, 0},
        {"+1", CLO_E_MALFORMED, 0, 0},
        {" 1", CLO_E_MALFORMED, 0, 0},
        {"1 ", CLO_E_MALFORMED, 0, 0},
        {"1e3", CLO_E_MALFORMED, 0, 0},
        {"1.", CLO_E_MALFORMED, 0, 0},
        {".5", CLO_E_MALFORMED, 0, 0},
        {"1/", CLO_E_MALFORMED, 0, 0},
        {"/2", CLO_E_MALFORMED, 0, 0},
        {"1/2/3", CLO_E_MALFORMED, 0, 0},
        {"1.5/2", CLO_E_MALFORMED, 0, 0},
        {"nan", CLO_E_MALFORMED, 0, 0},
        {"inf", CLO_E_MALFORMED, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clo_dp_rational r = {5, 7}, again = {0, 1};
        clo_err e = clo_dp_rational_parse(clo_span_str(rows[i].text), &r);
        if (e.code != rows[i].code) fail_msg("%s: code %x", rows[i].text, e.code);
        if (clo_failed(e)) {
            assert_rational(r, 5, 7);
            continue;
        }
        assert_rational(r, rows[i].num, rows[i].den);
        char text[CLO_DP_RATIONAL_TEXT];
        clo_dp_rational_format(text, r);
        assert_false(clo_failed(clo_dp_rational_parse(clo_span_str(text), &again)));
        assert_int_equal(clo_dp_rational_compare(r, again), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),   cmocka_unit_test(test_boundaries), cmocka_unit_test(test_ledger_sum),
        cmocka_unit_test(test_random), cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
