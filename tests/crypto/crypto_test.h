/* Small helpers of the crypto tests. */
#ifndef CLO_CRYPTO_TEST_H
#define CLO_CRYPTO_TEST_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_own.h"
#include "base/clo_span.h"
#include "base/clo_text.h"
#include "cmocka_all.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t b[512];
    size_t n;
} test_bytes;

/* Bytes from hex; fails the test where the text is none. */
static inline test_bytes unhex(const char *text)
{
    test_bytes out = {.n = strlen(text) / 2};
    assert_true(out.n <= sizeof out.b);
    assert_ok(clo_hex_decode(out.b, out.n, clo_span_str(text)));
    return out;
}
static inline clo_span span(const test_bytes *b) { return clo_span_of(b->b, b->n); }
static inline bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return false;
    return true;
}
#endif
