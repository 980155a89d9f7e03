/* Arena: many small allocations that die together, under one maximum. */
#ifndef CLO_ARENA_H
#define CLO_ARENA_H
#include "clo_err.h"
#include "clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_arena_block clo_arena_block;
typedef struct {
    clo_arena_block *head;
    size_t used, max; /* bytes handed out; maximum of those */
} clo_arena;

void clo_arena_init(clo_arena *a, size_t max);
/** Zeroed, 16-byte aligned memory owned by the arena. Errors: TOO_LARGE, NOMEM. */
CLO_R clo_arena_alloc(clo_arena *a, size_t n, void **out);
/** Zeroed array of count elements of size bytes. Errors also: OVERFLOW. */
CLO_R clo_arena_array(clo_arena *a, size_t count, size_t size, void **out);
/** Copy of bytes, with a zero byte behind (not counted). */
CLO_R clo_arena_copy(clo_arena *a, clo_span from, clo_span *out);
/** Copy of bytes as a C string; Errors also: MALFORMED where a zero byte is inside. */
CLO_R clo_arena_str(clo_arena *a, clo_span from, const char **out);
/** Formatted C string. */
CLO_R clo_arena_printf(clo_arena *a, const char **out, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** Free everything; usable with CLO_AUTO. */
void clo_arena_free(clo_arena *a);

#ifdef __cplusplus
}
#endif
#endif
