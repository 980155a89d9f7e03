/* The DER view: each value is taken off the front; what is not in its one form is refused. */
#include "wire/der.h"
#include "base/clo_rd.h"
#include "base/clo_text.h"

#include <stdio.h>

enum { LENGTH_BYTES_MAX = 4, TAG_NUMBER = 0x1f, ARC_BITS_MAX = 57 };

clo_err clo_wire_der_next(clo_span *in, uint8_t *tag, clo_span *content)
{
    clo_rd r = clo_rd_init(*in);
    uint8_t t = clo_rd_u8(&r);
    uint8_t first = clo_rd_u8(&r);
    CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the DER value ends in its head");
    CLO_CHECKF((t & TAG_NUMBER) != TAG_NUMBER, CLO_E_MALFORMED, "a DER tag of more than one byte is not read");
    size_t n = first;
    if (first >= 0x80) {
        size_t count = first & 0x7fu;
        CLO_CHECKF(count != 0 && count <= LENGTH_BYTES_MAX, CLO_E_MALFORMED, "a DER length is indefinite or beyond 4 bytes");
        n = 0;
        for (size_t i = 0; i < count; i++) {
            uint8_t b = clo_rd_u8(&r);
            CLO_CHECKF(r.bad || i != 0 || b != 0, CLO_E_MALFORMED, "a DER length is not in its shortest form");
            n = n << 8 | b;
        }
        CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the DER value ends in its length");
        CLO_CHECKF(n >= 0x80, CLO_E_MALFORMED, "a DER length is not in its shortest form");
    }
    clo_span value = clo_rd_span(&r, n);
    CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the DER value ends before its %zu bytes of content", n);
    *tag = t;
    *content = value;
    *in = clo_span_of(r.p, r.left);
    return CLO_OK;
}

clo_err clo_wire_der_take(clo_span *in, uint8_t tag, clo_span *content)
{
    clo_span rest = *in, value = {NULL, 0};
    uint8_t got = 0;
    CLO_TRY(clo_wire_der_next(&rest, &got, &value));
    CLO_CHECKF(got == tag, CLO_E_MALFORMED, "the DER value has tag 0x%02x, not 0x%02x", got, tag);
    *content = value;
    *in = rest;
    return CLO_OK;
}

clo_err clo_wire_der_take_uint(clo_span *in, uint64_t *out)
{
    clo_span rest = *in, v = {NULL, 0};
    uint8_t tag = 0;
    CLO_TRY(clo_wire_der_next(&rest, &tag, &v));
    CLO_CHECKF(tag == CLO_DER_INTEGER || tag == CLO_DER_ENUMERATED, CLO_E_MALFORMED, "the DER value has tag 0x%02x, not that of a number", tag);
    CLO_CHECKF(v.n != 0, CLO_E_MALFORMED, "a DER number has no content");
    bool padded = v.n > 1 && ((v.p[0] == 0 && v.p[1] < 0x80) || (v.p[0] == 0xff && v.p[1] >= 0x80));
    CLO_CHECKF(!padded, CLO_E_MALFORMED, "a DER number is not in its shortest form");
    CLO_CHECKF(v.p[0] < 0x80, CLO_E_RANGE, "a DER number is negative");
    CLO_CHECKF(v.n <= 8 || (v.n == 9 && v.p[0] == 0), CLO_E_RANGE, "a DER number has more than 64 bits");
    uint64_t number = 0;
    for (size_t i = 0; i < v.n; i++) number = number << 8 | v.p[i];
    *out = number;
    *in = rest;
    return CLO_OK;
}

/* One base-128 number off the front of an identifier. */
static clo_err take_arc(clo_span *id, uint64_t *out)
{
    uint64_t v = 0;
    CLO_CHECKF(id->p[0] != 0x80, CLO_E_MALFORMED, "an object identifier is not in its shortest form");
    for (size_t i = 0; i < id->n; i++) {
        CLO_CHECKF(v >> ARC_BITS_MAX == 0, CLO_E_MALFORMED, "an object identifier has a number of more than 64 bits");
        v = v << 7 | (id->p[i] & 0x7fu);
        if (id->p[i] < 0x80) {
            *out = v;
            *id = clo_span_of(id->p + i + 1, id->n - i - 1);
            return CLO_OK;
        }
    }
    return CLO_FAILF(CLO_E_MALFORMED, "an object identifier ends inside a number");
}

clo_err clo_wire_der_take_oid(clo_span *in, char *to, size_t to_size)
{
    enum { TEXT_MAX = 256 };
    clo_span rest = *in, id = {NULL, 0};
    char text[TEXT_MAX];
    uint64_t arc = 0;
    CLO_TRY(clo_wire_der_take(&rest, CLO_DER_OID, &id));
    CLO_CHECKF(id.n != 0, CLO_E_MALFORMED, "an object identifier is empty");
    CLO_TRY(take_arc(&id, &arc));
    /* X.690 §8.19.4: the first number is 40 times the first arc (0, 1 or 2) plus the second. */
    unsigned first = arc < 80 ? (unsigned)(arc / 40) : 2;
    size_t used = (size_t)snprintf(text, sizeof text, "%u.%llu", first, (unsigned long long)(arc - 40ull * first));
    while (id.n != 0) {
        CLO_TRY(take_arc(&id, &arc));
        CLO_CHECKF(used + 22 <= sizeof text, CLO_E_TOO_LARGE, "an object identifier has more than %d characters", TEXT_MAX - 1);
        used += (size_t)snprintf(text + used, sizeof text - used, ".%llu", (unsigned long long)arc);
    }
    CLO_TRY(clo_str_set(to, to_size, clo_span_of(text, used)));
    *in = rest;
    return CLO_OK;
}
