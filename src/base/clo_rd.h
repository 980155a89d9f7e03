/* Reader over hostile bytes. It latches the first bad read: later reads yield 0 and touch nothing, and clo_rd_end is the
 * one place that must be looked at. A length from outside is never used as a number: take a sub-reader instead. */
#ifndef CLO_RD_H
#define CLO_RD_H
#include "clo_err.h"
#include "clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const uint8_t *p;
    size_t left;
    bool bad;
} clo_rd;

static inline clo_rd clo_rd_init(clo_span s)
{
    clo_rd r;
    r.p = s.p;
    r.left = s.n;
    r.bad = false;
    return r;
}
static inline const uint8_t *clo_rd_bytes(clo_rd *r, size_t n)
{
    if (r->bad || n > r->left) {
        r->bad = true;
        r->left = 0;
        return NULL;
    }
    const uint8_t *at = r->p;
    if (n != 0) r->p += n;
    r->left -= n;
    return at;
}
static inline uint8_t clo_rd_u8(clo_rd *r)
{
    const uint8_t *b = clo_rd_bytes(r, 1);
    return b ? b[0] : (uint8_t)0;
}
uint16_t clo_rd_u16be(clo_rd *r);
uint32_t clo_rd_u32be(clo_rd *r);
uint64_t clo_rd_u64be(clo_rd *r);
uint16_t clo_rd_u16le(clo_rd *r);
uint32_t clo_rd_u32le(clo_rd *r);
uint64_t clo_rd_u64le(clo_rd *r);
/** n bytes copied to `to`; on a short input the reader turns bad and `to` is zeroed. */
void clo_rd_copy(clo_rd *r, void *to, size_t n);
/** n bytes as a borrowed span (empty where the reader is or turns bad). */
clo_span clo_rd_span(clo_rd *r, size_t n);
/** A sub-reader over n bytes. */
clo_rd clo_rd_sub(clo_rd *r, size_t n);
/** A sub-reader over what a 16-bit, 32-bit big-endian length announces. */
clo_rd clo_rd_vec16(clo_rd *r);
clo_rd clo_rd_vec32(clo_rd *r);
/** Success where everything was read and nothing is left. Errors: TRUNCATED, TRAILING. */
CLO_R clo_rd_end(const clo_rd *r);

#ifdef __cplusplus
}
#endif
#endif
