/* Shared by the files that encode the host protocol's bodies. */
#ifndef CLO_ENCLAVE_FRAMES_INT_H
#define CLO_ENCLAVE_FRAMES_INT_H
#include "enclave/frames.h"
#include "wire/cbor.h"
#include "wire/tree.h"

/* An arena for a body with this much in it, and its empty map. */
CLO_R clo_enclave_body_begin(clo_arena *a, size_t bytes_max, clo_wire_node **map);
/* Decode a body and open its fields under the message's name. */
CLO_R clo_enclave_body_read(clo_arena *a, clo_span in, const char *name, clo_wire_fields *f);
/* A list of byte strings as a member, and back. */
CLO_R clo_enclave_spans_set(clo_arena *a, clo_wire_node *map, const char *key, const clo_span *spans, size_t count);
CLO_R clo_enclave_spans_take(const clo_wire_node *list, const char *what, clo_span *spans, size_t max, size_t *count);
#endif
