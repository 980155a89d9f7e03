/* Random trees from a printed seed. */
#ifndef CLO_TEST_WIRE_RANDOM_H
#define CLO_TEST_WIRE_RANDOM_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t random_next(uint64_t *s)
{
    uint64_t z = (*s += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
/* CLOISTER_SEED fixes the seed of a run that failed. */
static inline uint64_t random_seed(void)
{
    const char *fixed = getenv("CLOISTER_SEED");
    uint64_t seed = fixed != NULL ? strtoull(fixed, NULL, 10) : (uint64_t)time(NULL) * 65537u + (uint64_t)getpid();
    (void)fprintf(stderr, "# CLOISTER_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}
#endif
