/* Shared by the COSE reader and writer. */
#ifndef CLO_WIRE_COSE_INT_H
#define CLO_WIRE_COSE_INT_H
#include "wire/cose.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { COSE_ALG = 1, COSE_CRIT = 2, COSE_CONTENT_TYPE = 3, COSE_KID = 4 };
enum { COSE_TAG_MAC0 = 17, COSE_TAG_SIGN1 = 18, COSE_TAG_CWT = 61, COSE_TAG_SIGN = 98 };
enum { COSE_BYTES_MAX = 1 << 28 }; /* of one object */

CLO_R clo_wire_cose_alg_id(clo_crypto_sign_alg alg, int64_t *id);
/** Sig_structure of RFC 9052 §4.4; sign_protected is left out of a Sign1. */
CLO_R clo_wire_cose_structure(bool is_sign1, clo_span body_protected, clo_span sign_protected, clo_span external_aad,
                              clo_span payload, clo_buf *out);
/** The bytes that signature `index` covers, appended, where its algorithm is the key's. Errors: as clo_wire_cose_verify. */
CLO_R clo_wire_cose_covered(const clo_wire_cose *c, size_t index, const clo_crypto_public_key *pk, clo_span external_aad, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
