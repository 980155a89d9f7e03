/* The plain form of an output before it is sealed: deterministic CBOR {pad, kind, name, content, media_type}, padded with zero bytes so
 * that its whole size is a power of two >= 4096: the size tells nothing finer. */
#ifndef CLO_ENCLAVE_OUTPUT_PLAIN_H
#define CLO_ENCLAVE_OUTPUT_PLAIN_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Append the padded form to an empty `out`, whose memory is reserved whole, so that growth leaves no copies: wipe it afterwards.
 *  Errors: TOO_LARGE. */
CLO_R clo_enclave_output_plain(const char *kind, const char *name, const char *media_type, clo_span content, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
