/* A public key in whatever form it comes. */
#ifndef CLO_WIRE_PUBLIC_KEY_H
#define CLO_WIRE_PUBLIC_KEY_H
#include "base/clo_arena.h"
#include "crypto/verify_key.h"
#ifdef __cplusplus
extern "C" {
#endif

/** JWK, PEM or DER SubjectPublicKeyInfo, COSE_Key, raw SEC1 point; at most 16 KiB. Given to the caller. Errors: MALFORMED, UNSUPPORTED and those of
 *  the forms, all of class INPUT, DENIED or LIMIT where the bytes are at fault. */
CLO_R clo_wire_public_key_read(clo_arena *a, clo_span bytes, clo_crypto_verify_key **out);

#ifdef __cplusplus
}
#endif
#endif
