/* Shared inside the module: members of maps in their one order. */
#ifndef CLO_WIRE_INT_H
#define CLO_WIRE_INT_H
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Hang a fresh child behind the others; no check. */
void clo_wire_link(clo_wire_node *parent, clo_wire_node *child);
/** Order of two keys (TEXT or INT) by their deterministic encoding. */
int clo_wire_key_compare(const clo_wire_node *a, const clo_wire_node *b);
/** The members in encoding order, to be freed by the caller; NULL where the map is strictly sorted as it stands. */
CLO_R clo_wire_map_sorted(const clo_wire_node *map, const clo_wire_node ***out);
/** DUPLICATE where a key occurs twice; `what` begins the sentence. */
CLO_R clo_wire_map_check_unique(const clo_wire_node *map, const char *what);
/** The shortest CBOR head of a major type (0..7) with its argument. */
CLO_R clo_wire_cbor_put_head(clo_buf *out, unsigned major, uint64_t v);
/** Bytes of the shortest of half, single and double precision that holds v exactly: 2, 4 or 8. */
unsigned clo_wire_cbor_float_size(double v);
/** The shortest decimal text (at most 31 bytes and its end) that reads back as v, with a point or an exponent. */
void clo_wire_float_text(char to[32], double v);

#ifdef __cplusplus
}
#endif
#endif
