/* The CBOR encoder: every tree has exactly one encoding (RFC 8949 §4.2.1). */
#include <math.h>
#include <stdlib.h>

#include "wire/cbor.h"
#include "wire/wire_int.h"

clo_err clo_wire_cbor_put_head(clo_buf *out, unsigned major, uint64_t v)
{
    uint8_t first = (uint8_t)(major << 5);
    if (v < 24) return clo_buf_put_u8(out, (uint8_t)(first | v));
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, 9, &at));
    unsigned size = v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
    at[0] = (uint8_t)(first | (size == 1 ? 24u : size == 2 ? 25u : size == 4 ? 26u : 27u));
    for (unsigned i = 0; i < size; i++) at[1 + i] = (uint8_t)(v >> (8 * (size - 1 - i)));
    out->len += 1 + size;
    return CLO_OK;
}

static uint16_t half_bits(double v)
{
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    double m = fabs(v);
    if (!(m > 0)) return sign;
    int exponent = 0;
    (void)frexp(m, &exponent); /* m = f * 2^exponent, 0.5 <= f < 1 */
    if (exponent < -13) return (uint16_t)(sign | (unsigned)ldexp(m, 24));
    unsigned mantissa = (unsigned)ldexp(m, 11 - exponent) & 1023u;
    return (uint16_t)(sign | (unsigned)(exponent + 14) << 10 | mantissa);
}

static clo_err put_float(clo_buf *out, double v)
{
    CLO_CHECKF(isfinite(v), CLO_E_RANGE, "the number is infinite or not a number; only finite numbers are allowed");
    float narrow = (float)v;
    uint32_t bits32;
    uint64_t bits64;
    memcpy(&bits32, &narrow, sizeof bits32);
    memcpy(&bits64, &v, sizeof bits64);
    switch (clo_wire_cbor_float_size(v)) {
    case 2:
        CLO_TRY(clo_buf_put_u8(out, 0xf9));
        return clo_buf_put_u16be(out, half_bits(v));
    case 4:
        CLO_TRY(clo_buf_put_u8(out, 0xfa));
        return clo_buf_put_u32be(out, bits32);
    default:
        CLO_TRY(clo_buf_put_u8(out, 0xfb));
        return clo_buf_put_u64be(out, bits64);
    }
}

static clo_err encode(const clo_wire_node *n, unsigned depth, clo_buf *out);

static clo_err encode_member(const clo_wire_node *n, unsigned depth, clo_buf *out)
{
    CLO_TRY(encode(n->key, depth, out));
    return encode(n, depth, out);
}

static clo_err encode_map(const clo_wire_node *map, unsigned depth, clo_buf *out)
{
    CLO_TRY(clo_wire_cbor_put_head(out, 5, map->count));
    const clo_wire_node **members = NULL;
    CLO_TRY(clo_wire_map_sorted(map, &members));
    clo_err e = CLO_OK;
    const clo_wire_node *n = map->first;
    for (size_t i = 0; i < map->count && !clo_failed(e); i++) {
        const clo_wire_node *member = members != NULL ? members[i] : n;
        if (members != NULL && i > 0 && clo_wire_key_compare(members[i - 1]->key, member->key) == 0)
            e = CLO_FAIL(CLO_E_DUPLICATE);
        else
            e = encode_member(member, depth + 1, out);
        if (n != NULL) n = n->next;
    }
    free(members);
    return e;
}

static clo_err encode(const clo_wire_node *n, unsigned depth, clo_buf *out)
{
    CLO_CHECKF(depth < CLO_WIRE_DEPTH_MAX, CLO_E_TOO_MANY, "the value nests deeper than %d levels", CLO_WIRE_DEPTH_MAX);
    switch (n->type) {
    case CLO_WIRE_NULL:
        return clo_buf_put_u8(out, 0xf6);
    case CLO_WIRE_BOOL:
        return clo_buf_put_u8(out, n->boolean ? 0xf5 : 0xf4);
    case CLO_WIRE_INT:
        return n->integer >= 0 ? clo_wire_cbor_put_head(out, 0, (uint64_t)n->integer)
                               : clo_wire_cbor_put_head(out, 1, (uint64_t)(-1 - n->integer));
    case CLO_WIRE_FLOAT:
        return put_float(out, n->number);
    case CLO_WIRE_TEXT:
    case CLO_WIRE_BYTES:
        CLO_TRY(clo_wire_cbor_put_head(out, n->type == CLO_WIRE_TEXT ? 3 : 2, n->text.n));
        return clo_buf_put_span(out, n->text);
    case CLO_WIRE_MAP:
        return encode_map(n, depth, out);
    case CLO_WIRE_ARRAY:
        CLO_TRY(clo_wire_cbor_put_head(out, 4, n->count));
        break;
    case CLO_WIRE_TAG:
        CLO_TRY(clo_wire_cbor_put_head(out, 6, n->tag));
        break;
    default:
        return CLO_FAIL(CLO_E_BUG);
    }
    for (const clo_wire_node *c = n->first; c != NULL; c = c->next) CLO_TRY(encode(c, depth + 1, out));
    return CLO_OK;
}

clo_err clo_wire_cbor_encode(const clo_wire_node *node, clo_buf *out)
{
    size_t before = out->len;
    clo_err e = encode(node, 0, out);
    if (clo_failed(e)) out->len = before;
    return e;
}
