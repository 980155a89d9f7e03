/* The frame of every file of the product: 8-byte magic, be32 version, be32 flags (0), then the body. */
#ifndef CLO_WIRE_CONTAINER_H
#define CLO_WIRE_CONTAINER_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CLO_MAGIC_AGREEMENT "CLOAGREE"
#define CLO_MAGIC_SEALED "CLOSEAL\n"
#define CLO_MAGIC_RECEIPT "CLORECPT"
#define CLO_MAGIC_OUTPUT "CLOOUTPT"
#define CLO_MAGIC_IDENTITY "CLOIDENT"
#define CLO_MAGIC_PARTY "CLOPARTY"
#define CLO_MAGIC_TABLE "CLOTABLE"
#define CLO_MAGIC_MODEL "CLOMODEL"
enum { CLO_CONTAINER_HEAD = 16 };

CLO_R clo_wire_container_put(clo_buf *out, const char magic[8], uint32_t version);
/** Check the head and return the body. Errors: TRUNCATED, MALFORMED (other magic: says what the file is, where known), VERSION.
 */
CLO_R clo_wire_container_open(clo_span file, const char magic[8], uint32_t version_max, uint32_t *version, clo_span *body);

#ifdef __cplusplus
}
#endif
#endif
