/* A view on DER (X.690): bounded, no copies, definite lengths in their shortest form only. For the extensions that OpenSSL hands out as bytes. */
#ifndef CLO_WIRE_DER_H
#define CLO_WIRE_DER_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

enum {
    CLO_DER_BOOLEAN = 0x01,
    CLO_DER_INTEGER = 0x02,
    CLO_DER_BITS = 0x03,
    CLO_DER_OCTETS = 0x04,
    CLO_DER_OID = 0x06,
    CLO_DER_ENUMERATED = 0x0a,
    CLO_DER_UTF8 = 0x0c,
    CLO_DER_IA5 = 0x16,
    CLO_DER_SEQUENCE = 0x30,
    CLO_DER_SET = 0x31,
};

/** Take the next value off the front of `in`: its tag byte (single-byte tags only) and content. Errors: TRUNCATED, MALFORMED. */
CLO_R clo_wire_der_next(clo_span *in, uint8_t *tag, clo_span *content);
/** The same, and the tag must be this one (MALFORMED). */
CLO_R clo_wire_der_take(clo_span *in, uint8_t tag, clo_span *content);
/** A non-negative INTEGER or ENUMERATED of at most 8 bytes in its shortest form. Errors: MALFORMED, RANGE. */
CLO_R clo_wire_der_take_uint(clo_span *in, uint64_t *out);
/** An OBJECT IDENTIFIER in dotted form. Errors: MALFORMED, TOO_LARGE (`to` too small). */
CLO_R clo_wire_der_take_oid(clo_span *in, char *to, size_t to_size);

#ifdef __cplusplus
}
#endif
#endif
