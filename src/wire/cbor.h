/* Deterministic CBOR (RFC 8949 §4.2.1), and only that: shortest heads, definite lengths, sorted unique keys, shortest floats. */
#ifndef CLO_WIRE_CBOR_H
#define CLO_WIRE_CBOR_H
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    size_t items_max;    /* nodes in all; 0 = 65,536 */
    unsigned depth_max;  /* levels; 0 = CLO_WIRE_DEPTH_MAX, which is the most */
    bool allow_unsorted; /* evidence of others (COSE, PSA): any key order and head length; still bounded, no duplicates
                          */
    bool allow_indefinite; /* with allow_unsorted: items that only a break ends, too */
} clo_wire_cbor_limits;

/** Exactly one item over all of `in`. limits may be NULL. Text and bytes are copied into the arena.
 *  Errors: TRUNCATED, TRAILING, NOT_CANONICAL, DUPLICATE, MALFORMED, TOO_MANY, UNSUPPORTED (break, indefinite, undefined,
 * simple). */
CLO_R clo_wire_cbor_decode(clo_arena *a, clo_span in, const clo_wire_cbor_limits *limits, clo_wire_node **out);
/** Append the deterministic encoding of node to out. */
CLO_R clo_wire_cbor_encode(const clo_wire_node *node, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
