/* Exact samplers of discrete noise (Canonne, Kamath, Steinke 2020, algorithms 1 to 3): integers and rationals only, no
 * floating point on the path of a release. Randomness comes in through a function, so tests can drive it.
 *
 * The running time depends on the values drawn; engines draw all noise of a release in one batch before they write any output. */
#ifndef CLO_DP_SAMPLER_H
#define CLO_DP_SAMPLER_H
#include "dp/rational.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Where random bytes come from: fills exactly n bytes or fails. In the product this is clo_crypto_random. */
typedef struct {
    void *context;
    clo_err (*fill)(void *context, uint8_t *to, size_t n);
} clo_dp_rng;

/* A sampler with a small pool of random bytes. One thread. */
typedef struct {
    clo_dp_rng rng;
    size_t left;
    uint8_t pool[512];
} clo_dp_sampler;

void clo_dp_sampler_init(clo_dp_sampler *s, clo_dp_rng rng);
/** Wipe the pool; usable with CLO_AUTO. */
void clo_dp_sampler_wipe(clo_dp_sampler *s);

/** Uniform in 0 .. bound-1. Errors: RANGE (bound 0), RNG. */
CLO_R clo_dp_sample_uniform(clo_dp_sampler *s, uint64_t bound, uint64_t *out);
/** True with probability exp(-gamma), exactly. */
CLO_R clo_dp_sample_bernoulli_exp(clo_dp_sampler *s, clo_dp_rational gamma, bool *out);
/** Discrete Laplace: P[x] proportional to exp(-|x| / scale). 0 < scale <= 2^40, its denominator <= 2^20. Errors: RANGE, RNG
 *  (also where a loop exceeds its bound, which has probability below 2^-512). */
CLO_R clo_dp_sample_laplace(clo_dp_sampler *s, clo_dp_rational scale, int64_t *out);
/** Discrete Gaussian: P[x] proportional to exp(-x^2 / (2 sigma_squared)). 0 < sigma_squared <= 2^54, numerator <= 2^56,
 *  denominator <= 2^32. Errors as above. */
CLO_R clo_dp_sample_gaussian(clo_dp_sampler *s, clo_dp_rational sigma_squared, int64_t *out);

/* Progress of an engine, and the way to end it: `step` returns an error (CANCELLED) to stop. May be NULL. Never sees data:
 * done and total count public work (rows, steps). */
typedef struct {
    void *context;
    clo_err (*step)(void *context, const char *phase, uint64_t done, uint64_t total);
} clo_dp_progress;
/** Call p->step if there is one. */
CLO_R clo_dp_progress_step(const clo_dp_progress *p, const char *phase, uint64_t done, uint64_t total);

#ifdef __cplusplus
}
#endif
#endif
