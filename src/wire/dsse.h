/* DSSE envelopes (Dead Simple Signing Envelope 1.0): JSON around signed bytes of a stated type, as in-toto statements come. */
#ifndef CLO_WIRE_DSSE_H
#define CLO_WIRE_DSSE_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "crypto/sign.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_DSSE_MAX = 4 * 1024 * 1024, CLO_DSSE_SIGNATURES_MAX = 8 };

/** The payload (of the arena) of an envelope that this key signed: payloadType must be `type`. EC signatures are in DER, Ed25519's raw. Any
 *  one signature suffices; the others are not looked at. Errors: MALFORMED, TOO_LARGE, TOO_MANY, UNSUPPORTED (another payloadType),
 *  BAD_SIGNATURE (none by this key). */
CLO_R clo_wire_dsse_open(clo_arena *a, clo_span json, const char *type, const clo_crypto_public_key *key, clo_span *payload);
/** The bytes that a signature covers (PAE), appended. */
CLO_R clo_wire_dsse_signed_bytes(const char *type, clo_span payload, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
