#include "clo_buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void clo_buf_init(clo_buf *b, size_t max)
{
    assert(max > 0);
    *b = (clo_buf){.max = max};
}

CLO_R clo_buf_reserve(clo_buf *b, size_t n, uint8_t **at)
{
    assert(b->len <= b->cap);
    assert(b->cap <= b->max);
    size_t need = 0;
    CLO_CHECK(!__builtin_add_overflow(b->len, n, &need), CLO_E_OVERFLOW);
    CLO_CHECK(need <= b->max, CLO_E_TOO_LARGE);
    if (need > b->cap || b->p == NULL) {
        size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
        if (cap < 64) cap = b->max < 64 ? b->max : 64;
        if (cap < need) cap = need;
        uint8_t *q = realloc(b->p, cap);
        CLO_CHECK(q != NULL, CLO_E_NOMEM);
        b->p = q;
        b->cap = cap;
    }
    *at = b->p + b->len;
    return CLO_OK;
}

CLO_R clo_buf_put(clo_buf *b, const void *src, size_t n)
{
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(b, n, &at));
    if (n != 0) memcpy(at, src, n);
    b->len += n;
    return CLO_OK;
}

CLO_R clo_buf_put_span(clo_buf *b, clo_span s) { return clo_buf_put(b, s.p, s.n); }
CLO_R clo_buf_put_str(clo_buf *b, const char *text) { return clo_buf_put(b, text, strlen(text)); }
CLO_R clo_buf_put_u8(clo_buf *b, uint8_t v) { return clo_buf_put(b, &v, 1); }

static clo_err put_be(clo_buf *b, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    return clo_buf_put(b, bytes, n);
}

static clo_err put_le(clo_buf *b, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> (8 * i));
    return clo_buf_put(b, bytes, n);
}

CLO_R clo_buf_put_u16be(clo_buf *b, uint16_t v) { return put_be(b, v, 2); }
CLO_R clo_buf_put_u32be(clo_buf *b, uint32_t v) { return put_be(b, v, 4); }
CLO_R clo_buf_put_u64be(clo_buf *b, uint64_t v) { return put_be(b, v, 8); }
CLO_R clo_buf_put_u32le(clo_buf *b, uint32_t v) { return put_le(b, v, 4); }
CLO_R clo_buf_put_u64le(clo_buf *b, uint64_t v) { return put_le(b, v, 8); }

CLO_R clo_buf_printf(clo_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    uint8_t *at = NULL;
    clo_err e = n < 0 ? CLO_FAIL(CLO_E_BUG) : clo_buf_reserve(b, (size_t)n + 1, &at);
    if (!clo_failed(e)) {
        (void)vsnprintf((char *)at, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return e;
}

CLO_R clo_buf_cstr(clo_buf *b, const char **text)
{
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(b, 1, &at));
    *at = 0;
    *text = (const char *)b->p;
    return CLO_OK;
}

void clo_buf_free(clo_buf *b)
{
    free(b->p);
    *b = (clo_buf){.max = b->max};
}

void clo_buf_clear(clo_buf *b) { b->len = 0; }
