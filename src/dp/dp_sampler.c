/* Canonne, Kamath, Steinke: "The Discrete Gaussian for Differential Privacy" (2020), algorithms 1 to 3.
 *
 * Every probability below is a ratio of integers that is decided by exact comparison of uniform integers. The sampler never
 * rounds; a loop that runs longer than its bound is an error, not a value (each bound has failure probability < 2^-512). */
#include "dp/sampler.h"

#include "base/clo_ct.h"

__extension__ typedef unsigned __int128 u128;

enum {
    UNIFORM_TRIES_MAX = 512,   /* each fails with probability < 1/2 */
    FACTORIAL_MAX = 120,       /* survival of k rounds of algorithm 1 has probability <= 1/k!; 120! > 2^660 */
    GEOMETRIC_MAX = 512,       /* survival of each trial e^-1: e^-512 < 2^-738 */
    LAPLACE_TRIES_MAX = 4096,  /* each accepts with probability > 1 - 1/e times 1/2 at worst: 0.69^4096 */
    GAUSSIAN_TRIES_MAX = 8192, /* each accepts with probability > 0.25 (theorem 23) */
};
static const uint64_t SCALE_MAX = (uint64_t)1 << 40, SCALE_DEN_MAX = (uint64_t)1 << 20;
static const uint64_t SIGMA2_MAX = (uint64_t)1 << 54, SIGMA2_NUM_MAX = (uint64_t)1 << 56, SIGMA2_DEN_MAX = (uint64_t)1 << 32;

void clo_dp_sampler_init(clo_dp_sampler *s, clo_dp_rng rng)
{
    s->rng = rng;
    s->left = 0;
    memset(s->pool, 0, sizeof s->pool);
}

void clo_dp_sampler_wipe(clo_dp_sampler *s)
{
    clo_wipe(s->pool, sizeof s->pool);
    s->left = 0;
}

static clo_err exhausted(void) { return CLO_FAILF(CLO_E_RNG, "the noise sampler did not end: the random source is broken"); }

/* Random bytes are used once and wiped in the pool. */
static clo_err draw(clo_dp_sampler *s, void *to, size_t n)
{
    if (s->left < n) {
        CLO_CHECKF(s->rng.fill != NULL, CLO_E_RNG, "the noise sampler has no random source");
        s->left = 0;
        CLO_TRY(s->rng.fill(s->rng.context, s->pool, sizeof s->pool));
        s->left = sizeof s->pool;
    }
    uint8_t *from = s->pool + (sizeof s->pool - s->left);
    memcpy(to, from, n);
    memset(from, 0, n);
    s->left -= n;
    return CLO_OK;
}

static clo_err draw_bit(clo_dp_sampler *s, bool *out)
{
    uint8_t b = 0;
    CLO_TRY(draw(s, &b, 1));
    *out = (b & 1) != 0;
    return CLO_OK;
}

clo_err clo_dp_sample_uniform(clo_dp_sampler *s, uint64_t bound, uint64_t *out)
{
    CLO_CHECKF(bound != 0, CLO_E_RANGE, "a uniform draw needs a bound above 0");
    uint64_t top = bound - 1;
    uint64_t mask = top == 0 ? 0 : UINT64_MAX >> __builtin_clzll(top);
    for (unsigned i = 0; i < UNIFORM_TRIES_MAX; i++) {
        uint64_t v = 0;
        CLO_TRY(draw(s, &v, mask <= UINT8_MAX ? 1 : mask <= UINT32_MAX ? 4 : 8));
        v &= mask;
        if (v <= top) {
            *out = v;
            return CLO_OK;
        }
    }
    return exhausted();
}

static clo_err uniform_wide(clo_dp_sampler *s, u128 bound, u128 *out)
{
    u128 top = bound - 1;
    uint64_t high = (uint64_t)(top >> 64);
    if (high == 0) {
        uint64_t v = 0;
        uint64_t small = (uint64_t)top;
        if (small != UINT64_MAX) {
            CLO_TRY(clo_dp_sample_uniform(s, small + 1, &v));
        } else {
            CLO_TRY(draw(s, &v, 8));
        }
        *out = v;
        return CLO_OK;
    }
    u128 mask = ~(u128)0 >> __builtin_clzll(high);
    for (unsigned i = 0; i < UNIFORM_TRIES_MAX; i++) {
        u128 v = 0;
        CLO_TRY(draw(s, &v, sizeof v));
        v &= mask;
        if (v <= top) {
            *out = v;
            return CLO_OK;
        }
    }
    return exhausted();
}

/* True with probability num/den <= 1. */
static clo_err bernoulli(clo_dp_sampler *s, u128 num, u128 den, bool *out)
{
    u128 v = 0;
    CLO_TRY(uniform_wide(s, den, &v));
    *out = v < num;
    return CLO_OK;
}

/* Algorithm 1, 0 <= num/den <= 1: K counts how long Bernoulli(gamma/K) succeeds; odd K means exp(-gamma).
 * Bernoulli(gamma/K) is drawn as the conjunction of Bernoulli(gamma) and Bernoulli(1/K), so no product can overflow. */
static clo_err bernoulli_exp_unit(clo_dp_sampler *s, u128 num, u128 den, bool *out)
{
    for (uint64_t k = 1; k <= FACTORIAL_MAX; k++) {
        uint64_t lot = 0;
        bool go_on = false;
        CLO_TRY(clo_dp_sample_uniform(s, k, &lot));
        if (lot == 0) CLO_TRY(bernoulli(s, num, den, &go_on));
        if (!go_on) {
            *out = (k & 1) != 0;
            return CLO_OK;
        }
    }
    return exhausted();
}

/* exp(-num/den) = exp(-1)^whole * exp(-rest). A broken source could spin through `whole`; it is bounded like the rest. */
static clo_err bernoulli_exp(clo_dp_sampler *s, u128 num, u128 den, bool *out)
{
    u128 whole = num / den;
    for (u128 i = 0; i < whole; i++) {
        bool one = false;
        if (i >= GEOMETRIC_MAX) return exhausted();
        CLO_TRY(bernoulli_exp_unit(s, 1, 1, &one));
        if (!one) {
            *out = false;
            return CLO_OK;
        }
    }
    return bernoulli_exp_unit(s, num % den, den, out);
}

clo_err clo_dp_sample_bernoulli_exp(clo_dp_sampler *s, clo_dp_rational gamma, bool *out)
{
    CLO_CHECKF(gamma.den != 0, CLO_E_RANGE, "an amount has the denominator 0");
    return bernoulli_exp(s, gamma.num, gamma.den, out);
}

/* Algorithm 2 with scale t/d: U + t*V is geometric of rate 1/t, divided by d it has rate d/t. */
static clo_err laplace(clo_dp_sampler *s, uint64_t t, uint64_t d, int64_t *out)
{
    for (unsigned i = 0; i < LAPLACE_TRIES_MAX; i++) {
        uint64_t u = 0, v = 0;
        bool keep = false, negative = false;
        CLO_TRY(clo_dp_sample_uniform(s, t, &u));
        CLO_TRY(bernoulli_exp_unit(s, u, t, &keep));
        if (!keep) continue;
        for (bool more = true; more;) {
            CLO_TRY(bernoulli_exp_unit(s, 1, 1, &more));
            if (more && ++v > GEOMETRIC_MAX) return exhausted();
        }
        uint64_t y = (u + t * v) / d; /* t < 2^54 and v <= 512, so the sum is below 2^64, and y <= 513 * 2^40 */
        CLO_TRY(draw_bit(s, &negative));
        if (negative && y == 0) continue;
        *out = negative ? -(int64_t)y : (int64_t)y;
        return CLO_OK;
    }
    return exhausted();
}

clo_err clo_dp_sample_laplace(clo_dp_sampler *s, clo_dp_rational scale, int64_t *out)
{
    CLO_CHECKF(clo_dp_rational_valid(scale) && scale.num != 0, CLO_E_RANGE, "the scale of Laplace noise must be above 0");
    CLO_CHECKF(scale.den <= SCALE_DEN_MAX && scale.num / scale.den < SCALE_MAX && scale.num <= (UINT64_MAX >> 10), CLO_E_RANGE,
               "the scale of Laplace noise must be at most 2^40 on a grid of 2^-20");
    return laplace(s, scale.num, scale.den, out);
}

/* The largest r with r*r <= v. */
static uint64_t root(uint64_t v)
{
    uint64_t r = 0;
    for (int bit = 31; bit >= 0; bit--) {
        uint64_t next = r | ((uint64_t)1 << bit);
        if (next * next <= v) r = next;
    }
    return r;
}

/* Algorithm 3, sigma^2 = n/d, t = floor(sigma) + 1: accept a discrete Laplace Y of scale t with probability
 *   exp(-(|Y| - sigma^2/t)^2 / (2 sigma^2)) = exp(-(|Y| d t - n)^2 / (2 n d t^2)).
 * Sizes: n <= 2^56 and n/d <= 2^54 and d <= 2^32. t <= sigma + 1, so d t^2 <= 2 (n + d) <= 2^58 and the denominator is below
 * 2^115. |Y| <= 513 t (laplace is bounded), so |Y| d t <= 513 * 2^58 < 2^68, its square overflows only beyond 2^64: there
 * gamma exceeds every bound of bernoulli_exp and the draw is a refusal except with probability < 2^-512. */
clo_err clo_dp_sample_gaussian(clo_dp_sampler *s, clo_dp_rational sigma_squared, int64_t *out)
{
    uint64_t n = sigma_squared.num, d = sigma_squared.den;
    CLO_CHECKF(clo_dp_rational_valid(sigma_squared) && n != 0, CLO_E_RANGE, "the variance of Gaussian noise must be above 0");
    CLO_CHECKF(n <= SIGMA2_NUM_MAX && d <= SIGMA2_DEN_MAX && n / d < SIGMA2_MAX, CLO_E_RANGE,
               "the variance of Gaussian noise must be at most 2^54, with a numerator of at most 2^56");
    uint64_t t = root(n / d) + 1;
    u128 den = 2 * (u128)n * ((u128)d * t * t);
    for (unsigned i = 0; i < GAUSSIAN_TRIES_MAX; i++) {
        int64_t y = 0;
        bool keep = false;
        CLO_TRY(laplace(s, t, 1, &y));
        u128 a = (u128)(y < 0 ? -y : y) * ((u128)d * t);
        u128 off = a > n ? a - n : n - a;
        if (off > UINT64_MAX) off = UINT64_MAX;
        CLO_TRY(bernoulli_exp(s, off * off, den, &keep));
        if (!keep) continue;
        *out = y;
        return CLO_OK;
    }
    return exhausted();
}

clo_err clo_dp_progress_step(const clo_dp_progress *p, const char *phase, uint64_t done, uint64_t total)
{
    if (p == NULL || p->step == NULL) return CLO_OK;
    return p->step(p->context, phase, done, total);
}
