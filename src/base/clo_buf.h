/* Growing buffer with its maximum at birth. Never for secrets: growth leaves the old bytes behind. */
#ifndef CLO_BUF_H
#define CLO_BUF_H
#include "clo_err.h"
#include "clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint8_t *p;
    size_t len, cap, max;
} clo_buf;

void clo_buf_init(clo_buf *b, size_t max);
/** Append n bytes. On error b is unchanged. Errors: TOO_LARGE, NOMEM, OVERFLOW. */
CLO_R clo_buf_put(clo_buf *b, const void *src, size_t n);
CLO_R clo_buf_put_span(clo_buf *b, clo_span s);
CLO_R clo_buf_put_str(clo_buf *b, const char *text);
CLO_R clo_buf_put_u8(clo_buf *b, uint8_t v);
CLO_R clo_buf_put_u16be(clo_buf *b, uint16_t v);
CLO_R clo_buf_put_u32be(clo_buf *b, uint32_t v);
CLO_R clo_buf_put_u64be(clo_buf *b, uint64_t v);
CLO_R clo_buf_put_u32le(clo_buf *b, uint32_t v);
CLO_R clo_buf_put_u64le(clo_buf *b, uint64_t v);
/** Append formatted text (no end byte). */
CLO_R clo_buf_printf(clo_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Make room for n more bytes and return where they go; len is unchanged (add what you wrote yourself). */
CLO_R clo_buf_reserve(clo_buf *b, size_t n, uint8_t **at);
/** Ensure a zero byte after the content (not counted in len) and return the content as a C string, borrowed. */
CLO_R clo_buf_cstr(clo_buf *b, const char **text);
static inline clo_span clo_buf_span(const clo_buf *b) { return clo_span_of(b->p, b->len); }
/** Free the memory and leave an empty buffer with the same maximum; usable with CLO_AUTO. */
void clo_buf_free(clo_buf *b);
/** Empty the buffer, keep its memory. */
void clo_buf_clear(clo_buf *b);

#ifdef __cplusplus
}
#endif
#endif
