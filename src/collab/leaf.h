/* The one leaf format of the transparency log: deterministic CBOR {"digest": SHA-256 of the object, "type": text}.
 * The log shows that something was registered and when, never what it says. */
#ifndef CLO_COLLAB_LEAF_H
#define CLO_COLLAB_LEAF_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CLO_LEAF_AGREEMENT "agreement" /* object = the whole *.agreement file with all signatures */
#define CLO_LEAF_STATEMENT "statement" /* object = the COSE_Sign1 of the runtime */
#define CLO_LEAF_ORDER "order"         /* object = the COSE_Sign1 of a stop, resume, terminate */

/** The leaf data of an object, appended to out. */
CLO_R clo_collab_leaf(const char *type, clo_span object, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
