/* JSON (RFC 8259) and YAML (1.1 subset by libyaml) to and from the tree. */
#ifndef CLO_WIRE_JSON_H
#define CLO_WIRE_JSON_H
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

/** One JSON value, by jansson with duplicate keys refused, valid UTF-8, depth bounded. Integers beyond int64: RANGE. */
CLO_R clo_wire_json_decode(clo_arena *a, clo_span in, clo_wire_node **out);
/** The same for small hostile documents: text with more than values_max values (keys count too) or deeper than depth_max is refused before
 *  anything is allocated (TOO_MANY). */
CLO_R clo_wire_json_decode_bounded(clo_arena *a, clo_span in, size_t values_max, unsigned depth_max, clo_wire_node **out);
/** Append JSON text; `indent` spaces (0 = one line). BYTES become lower-case hex text. */
CLO_R clo_wire_json_encode(const clo_wire_node *node, unsigned indent, clo_buf *out);
/** One YAML document: no tags, anchors, aliases, merge keys or second document; duplicate keys refused; plain scalars stay text
 *  with `plain` set; every node has its line. Errors name the line. */
CLO_R clo_wire_yaml_decode(clo_arena *a, clo_span in, clo_wire_node **out);

#ifdef __cplusplus
}
#endif
#endif
