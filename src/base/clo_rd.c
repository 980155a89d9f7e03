#include "clo_rd.h"

#include <string.h>

static uint64_t read_be(clo_rd *r, size_t n)
{
    const uint8_t *b = clo_rd_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = 0; b != NULL && i < n; i++) v = v << 8 | b[i];
    return v;
}

static uint64_t read_le(clo_rd *r, size_t n)
{
    const uint8_t *b = clo_rd_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = n; b != NULL && i > 0; i--) v = v << 8 | b[i - 1];
    return v;
}

uint16_t clo_rd_u16be(clo_rd *r) { return (uint16_t)read_be(r, 2); }
uint32_t clo_rd_u32be(clo_rd *r) { return (uint32_t)read_be(r, 4); }
uint64_t clo_rd_u64be(clo_rd *r) { return read_be(r, 8); }
uint16_t clo_rd_u16le(clo_rd *r) { return (uint16_t)read_le(r, 2); }
uint32_t clo_rd_u32le(clo_rd *r) { return (uint32_t)read_le(r, 4); }
uint64_t clo_rd_u64le(clo_rd *r) { return read_le(r, 8); }

void clo_rd_copy(clo_rd *r, void *to, size_t n)
{
    const uint8_t *b = clo_rd_bytes(r, n);
    if (n == 0) return;
    if (b != NULL)
        memcpy(to, b, n);
    else
        memset(to, 0, n);
}

clo_span clo_rd_span(clo_rd *r, size_t n)
{
    const uint8_t *b = clo_rd_bytes(r, n);
    return clo_span_of(b, b != NULL ? n : 0);
}

clo_rd clo_rd_sub(clo_rd *r, size_t n)
{
    const uint8_t *b = clo_rd_bytes(r, n);
    if (r->bad) return (clo_rd){.p = NULL, .left = 0, .bad = true};
    return clo_rd_init(clo_span_of(b, n));
}

clo_rd clo_rd_vec16(clo_rd *r) { return clo_rd_sub(r, clo_rd_u16be(r)); }
clo_rd clo_rd_vec32(clo_rd *r) { return clo_rd_sub(r, clo_rd_u32be(r)); }

CLO_R clo_rd_end(const clo_rd *r)
{
    CLO_CHECK(!r->bad, CLO_E_TRUNCATED);
    CLO_CHECK(r->left == 0, CLO_E_TRAILING);
    return CLO_OK;
}
