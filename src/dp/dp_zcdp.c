#include "dp/zcdp.h"

#include <math.h>

__extension__ typedef unsigned __int128 u128;

static const uint64_t SIGMA2_WHOLE_MAX = (uint64_t)1 << 54, SIGMA2_NUM_MAX = (uint64_t)1 << 56,
                      SIGMA2_DEN_MAX = (uint64_t)1 << 32;
static const uint64_t SCALE_GRID = 1024, SCALE_MAX = (uint64_t)1 << 40;
static const uint64_t RHO_GRID = 1000000000u; /* budgets have at most 9 decimals */
static const double RHO_MAX = 1e9, EPSILON_MAX = 1000.0;

clo_err clo_dp_zcdp_gaussian(uint64_t sensitivity_squared, clo_dp_rational sigma_squared, clo_dp_rational *rho)
{
    CLO_CHECKF(clo_dp_rational_valid(sigma_squared) && sigma_squared.num != 0, CLO_E_RANGE,
               "the variance of Gaussian noise must be above 0");
    clo_dp_rational inverse = {sigma_squared.den, sigma_squared.num};
    clo_dp_rational cost = {0, 1};
    CLO_TRY(clo_dp_rational_divide(inverse, 2, &cost));
    return clo_dp_rational_times(cost, sensitivity_squared, rho);
}

clo_err clo_dp_zcdp_pure(clo_dp_rational epsilon, clo_dp_rational *rho)
{
    clo_dp_rational square = {0, 1};
    CLO_TRY(clo_dp_rational_multiply(epsilon, epsilon, &square));
    return clo_dp_rational_divide(square, 2, rho);
}

static clo_err positive(uint64_t sensitivity, clo_dp_rational rho)
{
    CLO_CHECKF(clo_dp_rational_valid(rho) && rho.num != 0, CLO_E_RANGE, "the privacy budget of a run must be above 0");
    CLO_CHECKF(sensitivity != 0, CLO_E_RANGE, "a sensitivity must be above 0");
    return CLO_OK;
}

static clo_err too_noisy(void)
{
    return CLO_FAILF(CLO_E_RANGE, "the privacy budget is so small that its noise cannot be represented; use a larger budget");
}

clo_err clo_dp_zcdp_sigma_squared(uint64_t sensitivity_squared, clo_dp_rational rho, clo_dp_rational *sigma_squared)
{
    enum { GRID = 65536 };
    CLO_TRY(positive(sensitivity_squared, rho));
    u128 p = (u128)sensitivity_squared * rho.den;
    u128 q = 2 * (u128)rho.num;
    u128 whole = p / q, rest = p % q;
    if (whole >= SIGMA2_WHOLE_MAX) return too_noisy();
    u128 a = p, b = q;
    while (b != 0) {
        u128 t = a % b;
        a = b;
        b = t;
    }
    if (p / a <= SIGMA2_NUM_MAX && q / a <= SIGMA2_DEN_MAX)
        return clo_dp_rational_make((uint64_t)(p / a), (uint64_t)(q / a), sigma_squared);
    /* Rounding up: more noise than was paid for. whole * grid stays below 2^56; rest * grid below 2^81. */
    uint64_t grid = whole < ((uint64_t)1 << 39) ? GRID : 1;
    u128 units = whole * grid + (rest * grid + q - 1) / q;
    return clo_dp_rational_make((uint64_t)units, grid, sigma_squared);
}

clo_err clo_dp_zcdp_scale(uint64_t sensitivity, clo_dp_rational rho, clo_dp_rational *scale)
{
    CLO_TRY(positive(sensitivity, rho));
    /* Smallest m with (sensitivity * grid / m)^2 / 2 <= num / den, that is m^2 >= sensitivity^2 grid^2 den / (2 num). */
    u128 square = 0, target = 0;
    if (__builtin_mul_overflow((u128)sensitivity * sensitivity, (u128)SCALE_GRID * SCALE_GRID / 2, &square) ||
        __builtin_mul_overflow(square, (u128)rho.den, &target))
        return too_noisy();
    target = target / rho.num + (target % rho.num != 0);
    u128 m = 0;
    for (int bit = 62; bit >= 0; bit--) {
        u128 next = m | ((u128)1 << bit);
        if (next * next < target) m = next;
    }
    m += 1; /* the largest m with m^2 < target, and one more */
    if (m >= (u128)SCALE_MAX * SCALE_GRID) return too_noisy();
    return clo_dp_rational_make((uint64_t)m, SCALE_GRID, scale);
}

/* ln of the delta of Canonne-Kamath-Steinke 2020, proposition 12, at the order alpha > 1. Every order gives a true bound, so
 * only the rounding of this one evaluation must be covered: `pad` times the size of the terms, far above 2^-52 of each. */
static double log_delta(double rho, double epsilon, double alpha)
{
    const double pad = 1e-12;
    double a = (alpha - 1) * (alpha * rho - epsilon), b = alpha * log1p(-1 / alpha), c = -log(alpha - 1);
    return a + b + c + pad * (1 + (alpha - 1) * (alpha * rho + epsilon) + fabs(b) + fabs(c));
}

/* The best order is where the derivative (2 alpha - 1) rho - epsilon + ln(1 - 1/alpha) vanishes; it increases in alpha. */
static double best_log_delta(double rho, double epsilon)
{
    double low = 1 + 1e-9, high = (epsilon + 1) / (2 * rho) + 2;
    for (int i = 0; i < 200; i++) {
        double alpha = low + (high - low) / 2;
        if ((2 * alpha - 1) * rho - epsilon + log1p(-1 / alpha) < 0)
            low = alpha;
        else
            high = alpha;
    }
    double value = fmin(log_delta(rho, epsilon, high), log_delta(rho, epsilon, 1.01));
    return fmin(value, 0);
}

static clo_err check_rho(double rho)
{
    CLO_CHECKF(isfinite(rho) && rho >= 0 && rho <= RHO_MAX, CLO_E_RANGE, "rho must be between 0 and 10^9");
    return CLO_OK;
}

static clo_err check_delta(double delta)
{
    CLO_CHECKF(isfinite(delta) && delta > 0 && delta < 1, CLO_E_RANGE, "delta must be above 0 and below 1");
    return CLO_OK;
}

clo_err clo_dp_zcdp_delta_real(double rho, double epsilon, double *delta)
{
    CLO_TRY(check_rho(rho));
    CLO_CHECKF(isfinite(epsilon) && epsilon >= 0, CLO_E_RANGE, "epsilon must be at least 0");
    *delta = rho > 0 ? fmin(exp(best_log_delta(rho, epsilon)) * (1 + 1e-12), 1) : 0;
    return CLO_OK;
}

clo_err clo_dp_zcdp_epsilon_real(double rho, double delta, double *epsilon)
{
    CLO_TRY(check_rho(rho));
    CLO_TRY(check_delta(delta));
    if (!(rho > 0)) {
        *epsilon = 0;
        return CLO_OK;
    }
    double target = log(delta), low = 0, high = (rho + 2 * sqrt(rho * -target)) * (1 + 1e-12);
    for (int i = 0; i < 100; i++) {
        double middle = low + (high - low) / 2;
        if (best_log_delta(rho, middle) <= target)
            high = middle;
        else
            low = middle;
    }
    *epsilon = nextafter(high * (1 + 1e-12), HUGE_VAL);
    return CLO_OK;
}

clo_err clo_dp_zcdp_epsilon_standard(clo_dp_rational rho, double delta, double *epsilon)
{
    double r = clo_dp_rational_double(rho);
    CLO_TRY(check_rho(r));
    CLO_TRY(check_delta(delta));
    *epsilon = rho.num == 0 ? 0 : (r + 2 * sqrt(r * -log(delta))) * (1 + 1e-12);
    return CLO_OK;
}

clo_err clo_dp_zcdp_epsilon(clo_dp_rational rho, double delta, double *epsilon)
{
    return clo_dp_zcdp_epsilon_real(clo_dp_rational_double(rho) * (1 + 1e-15), delta, epsilon);
}

clo_err clo_dp_zcdp_delta(clo_dp_rational rho, double epsilon, double *delta)
{
    return clo_dp_zcdp_delta_real(clo_dp_rational_double(rho) * (1 + 1e-15), epsilon, delta);
}

clo_err clo_dp_zcdp_rho_real(double epsilon, double delta, double *rho)
{
    CLO_TRY(check_delta(delta));
    CLO_CHECKF(isfinite(epsilon) && epsilon > 0 && epsilon <= EPSILON_MAX, CLO_E_RANGE,
               "epsilon must be above 0 and at most 1000");
    double target = log(delta), low = 0, high = epsilon + 1;
    for (int i = 0; i < 200; i++) {
        double middle = low + (high - low) / 2;
        if (middle > 0 && best_log_delta(middle, epsilon) <= target)
            low = middle;
        else
            high = middle;
    }
    *rho = low * (1 - 1e-12);
    return CLO_OK;
}

clo_err clo_dp_zcdp_rho(double epsilon, double delta, clo_dp_rational *rho)
{
    double real = 0;
    CLO_TRY(clo_dp_zcdp_rho_real(epsilon, delta, &real));
    uint64_t units = (uint64_t)floor(real * (double)RHO_GRID);
    /* The ledger shows epsilon by clo_dp_zcdp_epsilon: what is granted here must not be shown as more than was asked for. */
    for (;; units--) {
        clo_dp_rational r = {0, 1};
        double shown = 0;
        CLO_TRY(clo_dp_rational_make(units, RHO_GRID, &r));
        CLO_TRY(clo_dp_zcdp_epsilon(r, delta, &shown));
        if (units == 0 || shown <= epsilon) {
            *rho = r;
            return CLO_OK;
        }
    }
}
