/* Secret types and constant-time operations. The valgrind build (CLO_CT_TEST) marks secrets as undefined memory, so that
 * a branch or an index that depends on one is reported. */
#ifndef CLO_CT_H
#define CLO_CT_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(CLO_CT_TEST)
#include <valgrind/memcheck.h>
#define CLO_CT_SECRET(p, n) VALGRIND_MAKE_MEM_UNDEFINED((p), (n))
#define CLO_CT_PUBLIC(p, n) VALGRIND_MAKE_MEM_DEFINED((p), (n))
#else
#define CLO_CT_SECRET(p, n) ((void)(p), (void)(n))
#define CLO_CT_PUBLIC(p, n) ((void)(p), (void)(n))
#endif

/* A decision about secrets: all ones or zero. */
typedef struct {
    uint32_t m;
} clo_mask;

/* The compiler forgets what it knew of x. */
static inline uint32_t clo_ct_hide(uint32_t x)
{
    __asm__("" : "+r"(x));
    return x;
}
static inline clo_mask clo_ct_nonzero(uint32_t x)
{
    x = clo_ct_hide(x);
    clo_mask m;
    m.m = (uint32_t)0 - ((x | ((uint32_t)0 - x)) >> 31);
    return m;
}
static inline clo_mask clo_ct_differ(const void *a, const void *b, size_t n)
{
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    uint32_t d = 0;
    for (size_t i = 0; i < n; i++) d |= (uint32_t)(x[i] ^ y[i]);
    return clo_ct_nonzero(d);
}
static inline uint32_t clo_ct_pick(clo_mask m, uint32_t a, uint32_t b) { return b ^ (clo_ct_hide(m.m) & (a ^ b)); }
/* The verdict leaves the secret world: each caller says why it may. */
static inline int clo_ct_declassify(clo_mask m)
{
    CLO_CT_PUBLIC(&m, sizeof m);
    return m.m != 0;
}

/* A 256-bit secret: DEK, KEK, share, HPKE private key. Copied only by clo_key32_copy, wiped by clo_key32_wipe. */
typedef struct {
    uint8_t b[32];
} clo_key32;
void clo_key32_wipe(clo_key32 *k);
void clo_key32_copy(clo_key32 *to, const clo_key32 *from);
/** to ^= with, for n-of-n shares. */
void clo_key32_xor(clo_key32 *to, const clo_key32 *with);
/** Wipe any memory in a way the compiler keeps. */
void clo_wipe(void *p, size_t n);
#define CLO_KEY32(name) __attribute__((cleanup(clo_key32_wipe))) clo_key32 name = {{0}}

#ifdef __cplusplus
}
#endif
#endif
