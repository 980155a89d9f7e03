/* A borrowed run of bytes: pointer and length that never travel apart. */
#ifndef CLO_SPAN_H
#define CLO_SPAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const uint8_t *p;
    size_t n;
} clo_span;

static inline clo_span clo_span_of(const void *p, size_t n)
{
    clo_span s;
    s.p = (const uint8_t *)p;
    s.n = n;
    return s;
}
/** The bytes of a C string without its end. */
static inline clo_span clo_span_str(const char *text) { return clo_span_of(text, strlen(text)); }
/** Equality of public bytes (variable time: never for secrets). */
static inline bool clo_span_equal(clo_span a, clo_span b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }

#ifdef __cplusplus
}
#endif
#endif
