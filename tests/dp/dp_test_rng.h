/* A seeded random source for tests of samplers and engines: repeatable, fast, and never in the product. */
#ifndef CLO_DP_TEST_RNG_H
#define CLO_DP_TEST_RNG_H
#include <string.h>

#include "dp/sampler.h"

typedef struct {
    uint64_t state;
    long fail_after; /* fills until failure; negative: never */
} dp_test_rng;

/* splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t dp_test_rng_next(dp_test_rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline clo_err dp_test_rng_fill(void *context, uint8_t *to, size_t n)
{
    dp_test_rng *r = (dp_test_rng *)context;
    if (r->fail_after == 0) return CLO_FAIL(CLO_E_RNG);
    if (r->fail_after > 0) r->fail_after--;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = dp_test_rng_next(r);
        memcpy(to + i, &v, n - i < 8 ? n - i : 8);
    }
    return CLO_OK;
}

static inline clo_dp_rng dp_test_rng_of(dp_test_rng *r) { return (clo_dp_rng){r, dp_test_rng_fill}; }
#endif
