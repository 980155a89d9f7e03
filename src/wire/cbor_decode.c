/* The CBOR decoder: bounded, and deterministic form only unless the limits say otherwise. */
#include <math.h>

#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire/wire_int.h"

enum { ITEMS_MAX_DEFAULT = 65536 };
enum { MAJOR_UINT, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP, MAJOR_TAG, MAJOR_SIMPLE };

typedef struct {
    clo_arena *arena;
    clo_rd rd;
    const uint8_t *start;
    size_t items_left;
    unsigned depth_max;
    bool lenient, indefinite;
} decoder;

typedef struct {
    unsigned major, info;
    uint64_t argument;
    size_t offset; /* of the head, for messages */
    bool open;     /* a break ends it */
} head;

static clo_err truncated(const decoder *d)
{
    (void)d;
    return CLO_FAILF(CLO_E_TRUNCATED, "the CBOR item ends too early; it was cut or its lengths are wrong");
}

static clo_err read_head(decoder *d, head *h)
{
    h->offset = (size_t)(d->rd.p - d->start);
    if (d->rd.left == 0) return truncated(d);
    uint8_t first = clo_rd_u8(&d->rd);
    h->major = first >> 5;
    h->info = first & 31u;
    uint64_t v = h->info;
    uint64_t least = 0; /* smaller arguments have a shorter head */
    switch (h->info) {
    case 24:
        v = clo_rd_u8(&d->rd);
        least = 24;
        break;
    case 25:
        v = clo_rd_u16be(&d->rd);
        least = UINT64_C(1) << 8;
        break;
    case 26:
        v = clo_rd_u32be(&d->rd);
        least = UINT64_C(1) << 16;
        break;
    case 27:
        v = clo_rd_u64be(&d->rd);
        least = UINT64_C(1) << 32;
        break;
    case 31:
        h->open = d->indefinite && h->major >= MAJOR_BYTES && h->major <= MAJOR_MAP;
        if (h->open) break;
        return CLO_FAILF(CLO_E_UNSUPPORTED,
                         "CBOR offset %zu: indefinite lengths and breaks are not accepted; write definite lengths", h->offset);
    default:
        CLO_CHECKF(h->info < 24, CLO_E_MALFORMED, "CBOR offset %zu: reserved head 0x%02x", h->offset, (unsigned)first);
        break;
    }
    if (d->rd.bad) return truncated(d);
    CLO_CHECKF(h->major == MAJOR_SIMPLE || d->lenient || v >= least, CLO_E_NOT_CANONICAL,
               "CBOR offset %zu: the head is not the shortest; write deterministic CBOR (RFC 8949 4.2.1)", h->offset);
    h->argument = v;
    return CLO_OK;
}

static double half_value(uint16_t bits)
{
    int exponent = (bits >> 10) & 31;
    double mantissa = bits & 1023;
    double v = exponent == 0 ? ldexp(mantissa, -24) : ldexp(mantissa + 1024, exponent - 25);
    return (bits & 0x8000) != 0 ? -v : v;
}

static double float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static clo_err decode_simple(decoder *d, const head *h, clo_wire_node **out)
{
    double v = 0;
    unsigned size = 0;
    switch (h->info) {
    case 20:
        return clo_wire_bool(d->arena, false, out);
    case 21:
        return clo_wire_bool(d->arena, true, out);
    case 22:
        return clo_wire_null(d->arena, out);
    case 25:
        CLO_CHECKF((h->argument >> 10 & 31) != 31, CLO_E_RANGE,
                   "CBOR offset %zu: infinite or not a number; only finite numbers are allowed", h->offset);
        v = half_value((uint16_t)h->argument);
        size = 2;
        break;
    case 26:
        v = float_of((uint32_t)h->argument);
        size = 4;
        break;
    case 27:
        v = double_of(h->argument);
        size = 8;
        break;
    default:
        return CLO_FAILF(CLO_E_UNSUPPORTED, "CBOR offset %zu: simple value %llu is not accepted", h->offset,
                         (unsigned long long)h->argument);
    }
    CLO_CHECKF(isfinite(v), CLO_E_RANGE, "CBOR offset %zu: infinite or not a number; only finite numbers are allowed", h->offset);
    CLO_CHECKF(d->lenient || clo_wire_cbor_float_size(v) == size, CLO_E_NOT_CANONICAL,
               "CBOR offset %zu: the number has a shorter form; write deterministic CBOR (RFC 8949 4.2.1)", h->offset);
    return clo_wire_float(d->arena, v, out);
}

static clo_err decode_item(decoder *d, unsigned depth, clo_wire_node **out);

/* The break of an open item is next, and is taken. */
static bool take_break(decoder *d)
{
    if (d->rd.left == 0 || d->rd.p[0] != 0xff) return false;
    (void)clo_rd_u8(&d->rd);
    return true;
}

/* The pieces of an open text or byte string, as one. Pieces are of its kind and have lengths of their own. */
static clo_err join_pieces(decoder *d, const head *h, clo_span *out)
{
    void *p = NULL;
    size_t n = 0;
    clo_rd ahead = d->rd;
    for (bool copy = false;; copy = true) {
        size_t at = 0;
        while (!take_break(d)) {
            head piece = {0};
            CLO_TRY(read_head(d, &piece));
            CLO_CHECKF(piece.major == h->major && !piece.open, CLO_E_MALFORMED, "CBOR offset %zu: a piece of another kind", piece.offset);
            if (piece.argument > d->rd.left) return truncated(d);
            clo_span s = clo_rd_span(&d->rd, (size_t)piece.argument);
            if (copy && s.n != 0) memcpy((uint8_t *)p + at, s.p, s.n);
            at += s.n;
        }
        if (copy) break;
        n = at;
        CLO_TRY(clo_arena_alloc(d->arena, n + 1, &p));
        d->rd = ahead;
    }
    *out = clo_span_of(p, n);
    return CLO_OK;
}

static clo_err decode_text(decoder *d, const head *h, clo_wire_node **out)
{
    clo_span s;
    if (h->open) {
        CLO_TRY(join_pieces(d, h, &s));
    } else {
        if (h->argument > d->rd.left) return truncated(d);
        s = clo_rd_span(&d->rd, (size_t)h->argument);
    }
    if (h->major == MAJOR_BYTES) return clo_wire_bytes(d->arena, s, out);
    CLO_CHECKF(clo_utf8_valid(s), CLO_E_MALFORMED, "CBOR offset %zu: the text is not valid UTF-8", h->offset);
    return clo_wire_text(d->arena, s, out);
}

static clo_err decode_array(decoder *d, const head *h, unsigned depth, clo_wire_node **out)
{
    if (!h->open && h->argument > d->rd.left) return truncated(d); /* an element has at least one byte */
    clo_wire_node *array = NULL;
    CLO_TRY(clo_wire_array(d->arena, &array));
    for (uint64_t i = 0; h->open ? !take_break(d) : i < h->argument; i++) {
        clo_wire_node *child = NULL;
        CLO_TRY(decode_item(d, depth + 1, &child));
        clo_wire_link(array, child);
    }
    *out = array;
    return CLO_OK;
}

static clo_err decode_map(decoder *d, const head *h, unsigned depth, clo_wire_node **out)
{
    if (!h->open && h->argument > d->rd.left / 2) return truncated(d);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(d->arena, &map));
    for (uint64_t i = 0; h->open ? !take_break(d) : i < h->argument; i++) {
        size_t offset = (size_t)(d->rd.p - d->start);
        clo_wire_node *key = NULL, *value = NULL;
        CLO_TRY(decode_item(d, depth + 1, &key));
        CLO_CHECKF(key->type == CLO_WIRE_TEXT || key->type == CLO_WIRE_INT, CLO_E_UNSUPPORTED,
                   "CBOR offset %zu: a key must be text or an integer", offset);
        if (map->last != NULL && !d->lenient) {
            int order = clo_wire_key_compare(map->last->key, key);
            CLO_CHECKF(order != 0, CLO_E_DUPLICATE, "CBOR offset %zu: the key is there twice", offset);
            CLO_CHECKF(order < 0, CLO_E_NOT_CANONICAL,
                       "CBOR offset %zu: the keys are not sorted; write deterministic CBOR (RFC 8949 4.2.1)", offset);
        }
        CLO_TRY(decode_item(d, depth + 1, &value));
        value->key = key;
        clo_wire_link(map, value);
    }
    if (d->lenient) CLO_TRY(clo_wire_map_check_unique(map, "CBOR map"));
    *out = map;
    return CLO_OK;
}

static clo_err decode_item(decoder *d, unsigned depth, clo_wire_node **out)
{
    CLO_CHECKF(depth < d->depth_max, CLO_E_TOO_MANY, "the CBOR item nests deeper than %u levels", d->depth_max);
    CLO_CHECKF(d->items_left > 0, CLO_E_TOO_MANY, "the CBOR item has too many parts");
    d->items_left--;
    head h = {0};
    CLO_TRY(read_head(d, &h));
    clo_wire_node *content = NULL;
    switch (h.major) {
    case MAJOR_UINT:
    case MAJOR_NEGATIVE:
        CLO_CHECKF(h.argument <= (uint64_t)INT64_MAX, CLO_E_RANGE, "CBOR offset %zu: the integer is beyond 64 bits with sign",
                   h.offset);
        return clo_wire_int(d->arena, h.major == MAJOR_UINT ? (int64_t)h.argument : -1 - (int64_t)h.argument, out);
    case MAJOR_BYTES:
    case MAJOR_TEXT:
        return decode_text(d, &h, out);
    case MAJOR_ARRAY:
        return decode_array(d, &h, depth, out);
    case MAJOR_MAP:
        return decode_map(d, &h, depth, out);
    case MAJOR_TAG:
        CLO_TRY(decode_item(d, depth + 1, &content));
        return clo_wire_tag(d->arena, h.argument, content, out);
    default:
        return decode_simple(d, &h, out);
    }
}

clo_err clo_wire_cbor_decode(clo_arena *a, clo_span in, const clo_wire_cbor_limits *limits, clo_wire_node **out)
{
    decoder d = {.arena = a, .rd = clo_rd_init(in), .start = in.p, .items_left = ITEMS_MAX_DEFAULT, .depth_max = CLO_WIRE_DEPTH_MAX};
    if (limits != NULL) {
        if (limits->items_max != 0) d.items_left = limits->items_max;
        if (limits->depth_max != 0 && limits->depth_max < CLO_WIRE_DEPTH_MAX) d.depth_max = limits->depth_max;
        d.lenient = limits->allow_unsorted;
        d.indefinite = limits->allow_unsorted && limits->allow_indefinite;
    }
    clo_wire_node *node = NULL;
    CLO_TRY(decode_item(&d, 0, &node));
    CLO_CHECKF(d.rd.left == 0, CLO_E_TRAILING, "%zu bytes follow the CBOR item; remove them", d.rd.left);
    *out = node;
    return CLO_OK;
}

unsigned clo_wire_cbor_float_size(double v)
{
    float narrow = (float)v;
    if (bits_of((double)narrow) != bits_of(v)) return 8;
    /* Half precision has 11 significant bits and exponents from 2^-24 (subnormal) to 2^15. */
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    int exponent = (int)(bits >> 23 & 255) - 127;
    uint32_t mantissa = bits & 0x7fffff;
    if (exponent == -127) return mantissa == 0 ? 2 : 4; /* zero; subnormal floats are below half precision */
    if (exponent > 15 || exponent < -24) return 4;
    unsigned lost = exponent >= -14 ? 13 : (unsigned)(13 + (-14 - exponent));
    return (mantissa & ((UINT32_C(1) << lost) - 1)) == 0 ? 2 : 4;
}
