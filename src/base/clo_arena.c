#include "clo_arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 4096, ALIGN = 16 };

struct clo_arena_block {
    clo_arena_block *next;
    size_t used, size;
    alignas(ALIGN) uint8_t bytes[];
};

void clo_arena_init(clo_arena *a, size_t max) { *a = (clo_arena){.max = max}; }

CLO_R clo_arena_alloc(clo_arena *a, size_t n, void **out)
{
    CLO_CHECK(n <= a->max && a->used <= a->max - n, CLO_E_TOO_LARGE);
    CLO_CHECK(n <= SIZE_MAX / 2, CLO_E_TOO_LARGE);
    size_t need = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (need == 0) need = ALIGN;
    if (a->head == NULL || a->head->size - a->head->used < need) {
        /* Blocks double, so that many small allocations cost few calls. */
        size_t size = a->head == NULL ? BLOCK_MIN : a->head->size * 2;
        if (size > (size_t)1 << 20) size = (size_t)1 << 20;
        if (size < need) size = need;
        clo_arena_block *block = calloc(1, sizeof *block + size);
        CLO_CHECK(block != NULL, CLO_E_NOMEM);
        block->size = size;
        block->next = a->head;
        a->head = block;
    }
    *out = a->head->bytes + a->head->used;
    a->head->used += need;
    a->used += n;
    return CLO_OK;
}

CLO_R clo_arena_array(clo_arena *a, size_t count, size_t size, void **out)
{
    size_t n = 0;
    CLO_CHECK(!__builtin_mul_overflow(count, size, &n), CLO_E_OVERFLOW);
    return clo_arena_alloc(a, n, out);
}

CLO_R clo_arena_copy(clo_arena *a, clo_span from, clo_span *out)
{
    void *to = NULL;
    CLO_CHECK(from.n < SIZE_MAX, CLO_E_TOO_LARGE);
    CLO_TRY(clo_arena_alloc(a, from.n + 1, &to));
    if (from.n != 0) memcpy(to, from.p, from.n);
    *out = clo_span_of(to, from.n);
    return CLO_OK;
}

CLO_R clo_arena_str(clo_arena *a, clo_span from, const char **out)
{
    CLO_CHECK(from.n == 0 || memchr(from.p, 0, from.n) == NULL, CLO_E_MALFORMED);
    clo_span copy = {0};
    CLO_TRY(clo_arena_copy(a, from, &copy));
    *out = (const char *)copy.p;
    return CLO_OK;
}

CLO_R clo_arena_printf(clo_arena *a, const char **out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    void *to = NULL;
    clo_err e = n < 0 ? CLO_FAIL(CLO_E_BUG) : clo_arena_alloc(a, (size_t)n + 1, &to);
    if (!clo_failed(e)) {
        (void)vsnprintf(to, (size_t)n + 1, fmt, again);
        *out = to;
    }
    va_end(again);
    return e;
}

void clo_arena_free(clo_arena *a)
{
    clo_arena_block *block = a->head;
    while (block != NULL) {
        clo_arena_block *next = block->next;
        free(block);
        block = next;
    }
    *a = (clo_arena){.max = a->max};
}
