/* Proves that the samplers draw the stated distributions: chi-square of 200,000 seeded draws against the exact probabilities,
 * and that the same test catches planted wrong samplers. Also that a failing or stuck random source is an error, never a value.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dp/dp_test_rng.h"
#include "dp/sampler.h"

enum { DRAWS = 200000, CELLS = 401 };
static const uint64_t seed = 0x434c4f49;

static clo_dp_rational q(uint64_t n, uint64_t d)
{
    clo_dp_rational r = clo_dp_rational_zero();
    assert_false(clo_failed(clo_dp_rational_make(n, d, &r)));
    return r;
}

/* Normal deviate of a chi-square statistic (Wilson and Hilferty 1931); above 4.9 has probability below 10^-6. */
static double chi_deviate(double statistic, double freedom)
{
    double c = 2 / (9 * freedom);
    return (cbrt(statistic / freedom) - (1 - c)) / sqrt(c);
}

typedef double (*weight_of)(double x, double parameter);
static double weight_laplace(double x, double scale) { return exp(-fabs(x) / scale); }
static double weight_gaussian(double x, double sigma2) { return exp(-x * x / (2 * sigma2)); }

/* counts[i] = draws of i * stride .. (i + 1) * stride - 1 around 0; the outermost cells also take the tails. */
static double deviate(const unsigned *counts, weight_of weight, double parameter, int64_t stride)
{
    static double p[CELLS];
    const int64_t half = CELLS / 2;
    double total = 0, statistic = 0, pooled_p = 0, pooled_n = 0;
    unsigned freedom = 0;
    for (int64_t i = 0; i < CELLS; i++) {
        p[i] = 0;
        for (int64_t k = 0; k < stride; k++) p[i] += weight((double)((i - half) * stride + k), parameter);
        total += p[i];
    }
    for (int i = 0; i < CELLS; i++) {
        pooled_p += p[i] / total * DRAWS;
        pooled_n += counts[i];
        if (pooled_p < 10 && i != CELLS - 1) continue;
        statistic += (pooled_n - pooled_p) * (pooled_n - pooled_p) / fmax(pooled_p, 1e-9);
        freedom++;
        pooled_p = pooled_n = 0;
    }
    return chi_deviate(statistic, fmax(freedom - 1.0, 1));
}

typedef clo_err (*sample_of)(clo_dp_sampler *s, clo_dp_rational parameter, int64_t *out);

static double run(sample_of sample, clo_dp_rational parameter, weight_of weight, double reach)
{
    static unsigned counts[CELLS];
    memset(counts, 0, sizeof counts);
    dp_test_rng rng = {seed, -1};
    clo_dp_sampler s;
    clo_dp_sampler_init(&s, dp_test_rng_of(&rng));
    int64_t stride = 1 + (int64_t)(reach * 2 / CELLS);
    for (int i = 0; i < DRAWS; i++) {
        int64_t v = 0;
        assert_false(clo_failed(sample(&s, parameter, &v)));
        int64_t cell = (v >= 0 ? v / stride : -((-v + stride - 1) / stride)) + CELLS / 2;
        counts[cell < 0 ? 0 : cell >= CELLS ? CELLS - 1 : cell]++;
    }
    return deviate(counts, weight, clo_dp_rational_double(parameter), stride);
}

static const struct {
    uint64_t num, den;
} parameters[] = {{1, 16}, {1, 4}, {1, 1}, {7, 3}, {4, 1}, {1000, 7}, {25, 1}, {10000, 1}, {1234567, 1000}};

static void test_laplace(void **state)
{
    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        clo_dp_rational scale = q(parameters[i].num, parameters[i].den);
        double z = run(clo_dp_sample_laplace, scale, weight_laplace, 12 * clo_dp_rational_double(scale));
        if (z > 4.9) fail_msg("scale %llu/%llu: deviate %f", (unsigned long long)scale.num, (unsigned long long)scale.den, z);
    }
}

static void test_gaussian(void **state)
{
    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        clo_dp_rational sigma2 = q(parameters[i].num, parameters[i].den);
        double z = run(clo_dp_sample_gaussian, sigma2, weight_gaussian, 6 * sqrt(clo_dp_rational_double(sigma2)));
        if (z > 4.9)
            fail_msg("variance %llu/%llu: deviate %f", (unsigned long long)sigma2.num, (unsigned long long)sigma2.den, z);
    }
}

/* The faults that implementations of these algorithms really have. */
static clo_err wrong_double_zero(clo_dp_sampler *s, clo_dp_rational scale, int64_t *out)
{
    /* -0 is not rejected: zero comes up twice as often as it should. */
    CLO_TRY(clo_dp_sample_laplace(s, scale, out));
    uint64_t again = 0;
    CLO_TRY(clo_dp_sample_uniform(s, 20, &again));
    if (again == 0 && (*out == 1 || *out == -1)) *out = 0;
    return CLO_OK;
}
static clo_err wrong_no_acceptance(clo_dp_sampler *s, clo_dp_rational sigma2, int64_t *out)
{
    return clo_dp_sample_laplace(s, q((uint64_t)sqrt(clo_dp_rational_double(sigma2)) + 1, 1), out);
}
static clo_err wrong_width(clo_dp_sampler *s, clo_dp_rational sigma2, int64_t *out)
{
    return clo_dp_sample_gaussian(s, q(sigma2.num * 26, sigma2.den * 25), out);
}
static clo_err wrong_sign(clo_dp_sampler *s, clo_dp_rational sigma2, int64_t *out)
{
    uint64_t lot = 0;
    CLO_TRY(clo_dp_sample_gaussian(s, sigma2, out));
    CLO_TRY(clo_dp_sample_uniform(s, 16, &lot));
    if (lot == 0 && *out < 0) *out = -*out;
    return CLO_OK;
}

static void test_planted_faults_are_found(void **state)
{
    (void)state;
    assert_true(run(wrong_double_zero, q(3, 1), weight_laplace, 36) > 4.9);
    assert_true(run(wrong_no_acceptance, q(25, 1), weight_gaussian, 30) > 4.9);
    assert_true(run(wrong_width, q(25, 1), weight_gaussian, 30) > 4.9);
    assert_true(run(wrong_sign, q(25, 1), weight_gaussian, 30) > 4.9);
}

static void test_bernoulli_exp(void **state)
{
    (void)state;
    static const uint64_t gammas[][2] = {{0, 1}, {1, 3}, {1, 1}, {22, 7}, {1, 1000}, {999, 1000}, {3, 10}, {UINT64_MAX, 3}};
    dp_test_rng rng = {seed, -1};
    clo_dp_sampler s;
    clo_dp_sampler_init(&s, dp_test_rng_of(&rng));
    for (size_t i = 0; i < sizeof gammas / sizeof gammas[0]; i++) {
        clo_dp_rational g = q(gammas[i][0], gammas[i][1]);
        double p = exp(-clo_dp_rational_double(g)), hits = 0;
        for (int k = 0; k < DRAWS; k++) {
            bool one = false;
            assert_false(clo_failed(clo_dp_sample_bernoulli_exp(&s, g, &one)));
            hits += one;
        }
        assert_true(fabs(hits - DRAWS * p) <= 4.9 * sqrt(DRAWS * p * (1 - p)) + 1e-6);
    }
}

/* The widest noise that is allowed: moments instead of cells. */
static void test_wide(void **state)
{
    (void)state;
    enum { WIDE_DRAWS = 20000 };
    dp_test_rng rng = {seed, -1};
    clo_dp_sampler s;
    clo_dp_sampler_init(&s, dp_test_rng_of(&rng));
    double sum = 0, squares = 0, sigma = exp2(27) * (1 - 1e-12);
    for (int i = 0; i < WIDE_DRAWS; i++) {
        int64_t v = 0;
        assert_false(clo_failed(clo_dp_sample_gaussian(&s, q(((uint64_t)1 << 54) - 1, 1), &v)));
        sum += (double)v / sigma;
        squares += (double)v / sigma * (double)v / sigma;
    }
    assert_true(fabs(sum) < 5 * sqrt(WIDE_DRAWS));
    assert_true(fabs(squares / WIDE_DRAWS - 1) < 5 * sqrt(2.0 / WIDE_DRAWS));
    int64_t v = 0;
    assert_false(clo_failed(clo_dp_sample_laplace(&s, q((((uint64_t)1 << 40) - 1) * 16383, 16384), &v)));
    assert_false(clo_failed(clo_dp_sample_gaussian(&s, q(1, (uint64_t)1 << 32), &v)));
    assert_int_equal(v, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    dp_test_rng rng = {seed, -1};
    clo_dp_sampler s;
    clo_dp_sampler_init(&s, dp_test_rng_of(&rng));
    int64_t v = 42;
    uint64_t u = 42;
    assert_int_equal(clo_dp_sample_uniform(&s, 0, &u).code, CLO_E_RANGE);
    const clo_dp_rational bad_sigma2[] = {
        {0, 1}, {1, 0}, {2, 4}, {((uint64_t)1 << 56) + 1, 1}, {(uint64_t)1 << 54, 1}, {1, ((uint64_t)1 << 32) + 1}};
    for (size_t i = 0; i < sizeof bad_sigma2 / sizeof bad_sigma2[0]; i++)
        assert_int_equal(clo_dp_sample_gaussian(&s, bad_sigma2[i], &v).code, CLO_E_RANGE);
    const clo_dp_rational bad_scale[] = {{0, 1}, {1, 0}, {2, 4}, {(uint64_t)1 << 40, 1}, {1, ((uint64_t)1 << 20) + 1}};
    for (size_t i = 0; i < sizeof bad_scale / sizeof bad_scale[0]; i++)
        assert_int_equal(clo_dp_sample_laplace(&s, bad_scale[i], &v).code, CLO_E_RANGE);
    assert_int_equal(v, 42);
    assert_int_equal(u, 42);
}

typedef struct {
    uint8_t byte;
} stuck_source;
static clo_err stuck_fill(void *context, uint8_t *to, size_t n)
{
    memset(to, ((stuck_source *)context)->byte, n);
    return CLO_OK;
}

/* A source that always says the same must end in a value or an error within the bounds; one that fails is an error at once. */
static void test_broken_source(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        stuck_source stuck = {(uint8_t)byte};
        clo_dp_sampler s;
        clo_dp_sampler_init(&s, (clo_dp_rng){&stuck, stuck_fill});
        int64_t v = 0;
        clo_err e = clo_dp_sample_gaussian(&s, q(10, 1), &v);
        assert_true(!clo_failed(e) || e.code == CLO_E_RNG);
        e = clo_dp_sample_laplace(&s, q(10, 3), &v);
        assert_true(!clo_failed(e) || e.code == CLO_E_RNG);
    }
    for (long after = 0; after < 4; after++) {
        dp_test_rng rng = {seed, after};
        clo_dp_sampler s;
        clo_dp_sampler_init(&s, dp_test_rng_of(&rng));
        clo_err e = CLO_OK;
        int64_t v = 0, last = 0;
        for (int i = 0; i < 1000 && !clo_failed(e); i++) {
            last = v;
            e = clo_dp_sample_gaussian(&s, q(10, 1), &v);
        }
        assert_int_equal(e.code, CLO_E_RNG);
        assert_int_equal(v, v == last ? last : v);
    }
    clo_dp_sampler none;
    clo_dp_sampler_init(&none, (clo_dp_rng){NULL, NULL});
    int64_t v = 0;
    assert_int_equal(clo_dp_sample_gaussian(&none, q(10, 1), &v).code, CLO_E_RNG);
    dp_test_rng rng = {seed, -1};
    clo_dp_sampler_init(&none, dp_test_rng_of(&rng));
    assert_false(clo_failed(clo_dp_sample_gaussian(&none, q(10, 1), &v)));
    clo_dp_sampler_wipe(&none);
    for (size_t i = 0; i < sizeof none.pool; i++) assert_int_equal(none.pool[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_laplace),       cmocka_unit_test(test_gaussian), cmocka_unit_test(test_planted_faults_are_found),
        cmocka_unit_test(test_bernoulli_exp), cmocka_unit_test(test_wide),     cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_broken_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
