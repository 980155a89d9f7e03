/* A view on JSON text (RFC 8259): where members and elements stand, without a tree and without copies. For documents of which the exact bytes
 * of one value are signed, and which are read often. json.h reads everything else.
 *
 * What is stepped over must nest properly (at most CLO_WIRE_DEPTH_MAX deep); what is read must be right. Texts are printable ASCII without
 * escapes, which is all that such documents hold. Whoever reads an object refuses members that come twice. */
#ifndef CLO_WIRE_JSON_VIEW_H
#define CLO_WIRE_JSON_VIEW_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Latches its first error, which clo_wire_json_view_end tells. */
typedef struct {
    clo_span rest;
    uint8_t close; /* '}' or ']' */
    bool begun, done, bad;
} clo_wire_json_view;

/** Over the members of an object or the elements of an array; `text` is the whole value, white space around it is allowed. */
clo_wire_json_view clo_wire_json_view_object(clo_span text);
clo_wire_json_view clo_wire_json_view_array(clo_span text);
/** The next member or element, as the exact bytes of its value (no white space around it); key: without quotes, empty in an array. False at
 *  the end and after an error. */
bool clo_wire_json_view_next(clo_wire_json_view *v, clo_span *key, clo_span *value);
/** Success where everything was seen and nothing stands behind it. Errors: MALFORMED. */
CLO_R clo_wire_json_view_end(const clo_wire_json_view *v);
/** A text's bytes between its quotes. Errors: MALFORMED. */
CLO_R clo_wire_json_view_text(clo_span value, clo_span *out);
/** An integer of 0..max. Errors: MALFORMED, RANGE. */
CLO_R clo_wire_json_view_uint(clo_span value, uint64_t max, uint64_t *out);
/** A text of exactly 2n hex digits, as n bytes. Errors: MALFORMED. */
CLO_R clo_wire_json_view_hex(clo_span value, void *to, size_t n);

#ifdef __cplusplus
}
#endif
#endif
