/* Shared by the files about JSON Web Signatures and Keys. */
#ifndef CLO_WIRE_JWS_INT_H
#define CLO_WIRE_JWS_INT_H
#include "wire/jws.h"
#ifdef __cplusplus
extern "C" {
#endif

/** base64 (padded) or base64url (unpadded) text as bytes of the arena. */
CLO_R clo_wire_base64_take(clo_arena *a, clo_span text, bool url, clo_span *out);
/** The one scheme of an EC or Ed25519 key. */
CLO_R clo_wire_jwk_scheme(clo_crypto_sign_alg alg, clo_crypto_scheme *out);

#ifdef __cplusplus
}
#endif
#endif
