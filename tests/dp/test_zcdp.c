/* Proves that costs are exact, that the noise found for a budget costs at most that budget and is the smallest on its grid, and
 * that conversions to epsilon and delta agree with published values and never round in our favour. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dp/dp_test_rng.h"
#include "dp/zcdp.h"

static clo_dp_rational q(uint64_t n, uint64_t d)
{
    clo_dp_rational r = clo_dp_rational_zero();
    assert_false(clo_failed(clo_dp_rational_make(n, d, &r)));
    return r;
}

static void test_costs(void **state)
{
    (void)state;
    clo_dp_rational rho = {0, 1};
    assert_false(clo_failed(clo_dp_zcdp_gaussian(2, q(9, 4), &rho)));
    assert_int_equal(clo_dp_rational_compare(rho, q(4, 9)), 0);
    assert_false(clo_failed(clo_dp_zcdp_pure(q(1, 2), &rho)));
    assert_int_equal(clo_dp_rational_compare(rho, q(1, 8)), 0);
    assert_int_equal(clo_dp_zcdp_gaussian(2, q(0, 1), &rho).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_gaussian(2, (clo_dp_rational){1, 0}, &rho).code, CLO_E_RANGE);
}

static void test_noise_for_budget(void **state)
{
    (void)state;
    dp_test_rng rng = {7, -1};
    print_message("# seed 7\n");
    for (int i = 0; i < 5000; i++) {
        uint64_t sensitivity = 1 + (dp_test_rng_next(&rng) >> (64 - 1 - i % 17));
        clo_dp_rational budget = q(1 + (dp_test_rng_next(&rng) >> (64 - 1 - i % 31)), 1000000000u);
        clo_dp_rational sigma2 = {0, 1}, scale = {0, 1}, cost = {0, 1}, less = {0, 1};
        if (!clo_failed(clo_dp_zcdp_sigma_squared(sensitivity * sensitivity, budget, &sigma2))) {
            assert_true(sigma2.num <= ((uint64_t)1 << 56) && sigma2.den <= ((uint64_t)1 << 32));
            /* cost = s^2/(2 sigma2) <= budget, compared without overflow: s^2 <= 2 sigma2 budget in long double is not exact,
             * so compare s^2 / sigma2 with 2 budget as rationals. */
            assert_false(clo_failed(clo_dp_rational_times(budget, 2, &less)));
            if (!clo_failed(clo_dp_zcdp_gaussian(sensitivity * sensitivity, sigma2, &cost)))
                assert_true(clo_dp_rational_compare(cost, budget) <= 0);
        }
        if (!clo_failed(clo_dp_zcdp_scale(sensitivity, budget, &scale))) {
            double b = clo_dp_rational_double(scale), rho = clo_dp_rational_double(budget);
            double used = (double)sensitivity * (double)sensitivity / (2 * b * b);
            double before = (double)sensitivity / (b - 1.0 / 1024);
            assert_true(used <= rho * (1 + 1e-9));
            if (b > 2.0 / 1024) assert_true(before * before / 2 >= rho * (1 - 1e-9));
        }
    }
    clo_dp_rational out = {5, 7};
    assert_int_equal(clo_dp_zcdp_sigma_squared(1, q(0, 1), &out).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_sigma_squared(0, q(1, 1), &out).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_sigma_squared((uint64_t)1 << 60, q(1, 1000000000), &out).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_scale(1, q(0, 1), &out).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_scale((uint64_t)1 << 62, q(1, 1000000000), &out).code, CLO_E_RANGE);
    assert_int_equal(out.num, 5);
    assert_false(clo_failed(clo_dp_zcdp_sigma_squared(2, q(1, 4), &out)));
    assert_int_equal(clo_dp_rational_compare(out, q(4, 1)), 0);
    assert_false(clo_failed(clo_dp_zcdp_scale(1, q(1, 2), &out)));
    assert_int_equal(clo_dp_rational_compare(out, q(1, 1)), 0);
}

/* Values of the authors' own cdp2adp.py. */
static void test_published(void **state)
{
    (void)state;
    static const struct {
        double rho, delta, epsilon;
    } rows[] = {
        {0.001, 1e-3, 0.0903620511381331}, {0.001, 1e-10, 0.2627904751404585}, {0.01, 1e-6, 0.6216926545596025},
        {0.05, 1e-10, 2.000276047522277},  {0.1, 1e-6, 2.141938928385474},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double epsilon = 0, standard = 0, delta = 0, rho = 0;
        clo_dp_rational exact = q((uint64_t)llround(rows[i].rho * 1e9), 1000000000u), granted = {0, 1};
        assert_false(clo_failed(clo_dp_zcdp_epsilon(exact, rows[i].delta, &epsilon)));
        assert_false(clo_failed(clo_dp_zcdp_epsilon_standard(exact, rows[i].delta, &standard)));
        assert_true(epsilon >= rows[i].epsilon && epsilon <= rows[i].epsilon * (1 + 1e-6));
        assert_true(epsilon <= standard);
        assert_false(clo_failed(clo_dp_zcdp_delta(exact, rows[i].epsilon, &delta)));
        assert_true(delta >= rows[i].delta * (1 - 1e-9) && delta <= rows[i].delta * (1 + 1e-6));
        assert_false(clo_failed(clo_dp_zcdp_rho_real(rows[i].epsilon, rows[i].delta, &rho)));
        assert_true(rho <= rows[i].rho && rho >= rows[i].rho * (1 - 1e-6));
        assert_false(clo_failed(clo_dp_zcdp_rho(epsilon, rows[i].delta, &granted)));
        assert_true(clo_dp_rational_compare(granted, exact) <= 0);
        assert_true(clo_dp_rational_double(granted) >= rows[i].rho - 2e-9);
    }
}

static void test_order(void **state)
{
    (void)state;
    double last_epsilon = -1, last_delta = -1;
    for (uint64_t r = 0; r < 3000000000u; r += 1 + r / 3) {
        double epsilon = 0, delta = 0;
        assert_false(clo_failed(clo_dp_zcdp_epsilon(q(r, 1000000000u), 1e-6, &epsilon)));
        assert_false(clo_failed(clo_dp_zcdp_delta(q(r, 1000000000u), 1.0, &delta)));
        assert_true(isfinite(epsilon) && isfinite(delta) && delta <= 1);
        assert_true(epsilon > last_epsilon && delta >= last_delta);
        last_epsilon = epsilon;
        last_delta = delta;
    }
    for (double e = 0.01; e < 900; e *= 1.7) {
        clo_dp_rational r = {0, 1};
        double shown = 0;
        assert_false(clo_failed(clo_dp_zcdp_rho(e, 1e-6, &r)));
        assert_false(clo_failed(clo_dp_zcdp_epsilon(r, 1e-6, &shown)));
        assert_true(shown <= e && shown >= e * 0.999);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    double out = 42;
    clo_dp_rational r = {5, 7};
    const double bad_delta[] = {0, 1, -1e-9, 1.5, (double)NAN, HUGE_VAL};
    for (size_t i = 0; i < sizeof bad_delta / sizeof bad_delta[0]; i++) {
        assert_int_equal(clo_dp_zcdp_epsilon(q(1, 2), bad_delta[i], &out).code, CLO_E_RANGE);
        assert_int_equal(clo_dp_zcdp_epsilon_standard(q(1, 2), bad_delta[i], &out).code, CLO_E_RANGE);
        assert_int_equal(clo_dp_zcdp_rho(1, bad_delta[i], &r).code, CLO_E_RANGE);
    }
    const double bad_epsilon[] = {0, -1, 1001, (double)NAN, HUGE_VAL};
    for (size_t i = 0; i < sizeof bad_epsilon / sizeof bad_epsilon[0]; i++)
        assert_int_equal(clo_dp_zcdp_rho(bad_epsilon[i], 1e-6, &r).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_epsilon_real(-1, 1e-6, &out).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_epsilon_real((double)NAN, 1e-6, &out).code, CLO_E_RANGE);
    assert_int_equal(clo_dp_zcdp_delta(q(1, 2), -1, &out).code, CLO_E_RANGE);
    assert_true(out > 41 && out < 43);
    assert_int_equal(r.num, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs), cmocka_unit_test(test_noise_for_budget), cmocka_unit_test(test_published),
        cmocka_unit_test(test_order), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
