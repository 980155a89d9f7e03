/* JSON Web Signatures in the compact form (RFC 7515), JSON Web Keys (RFC 7517). One place for all tokens: what is read here is bounded,
 * decided by the key and never by the token: no "none", no HMAC, no key or URL that the token brings is trusted. */
#ifndef CLO_WIRE_JWS_H
#define CLO_WIRE_JWS_H
#include "crypto/verify_key.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_JWS_MAX = 64 * 1024, CLO_JWS_X5C_MAX = 8, CLO_JWS_VALUES_MAX = 512, CLO_JWS_HEADER_VALUES_MAX = 64, CLO_JWS_DEPTH_MAX = 16 };

typedef struct {
    clo_wire_node *header, *claims; /* MAPs; claims NULL where the payload is no JSON object (of at most CLO_JWS_VALUES_MAX values) */
    char alg[16];
    clo_span kid;                   /* text; empty where absent */
    size_t x5c_count;
    clo_span x5c[CLO_JWS_X5C_MAX];  /* DER, leaf first; brought by the token, so trusted by nobody */
    clo_span signed_input, payload, signature;
} clo_wire_jws;

/** Parse header.payload.signature: base64url without padding in its only form, JSON header without duplicates, no `crit`, `b64` or `zip`.
 *  Spans are of the arena or of `compact`. Errors: of class INPUT or LIMIT (MALFORMED, TOO_LARGE, UNSUPPORTED for crit, b64 and zip, …). The algorithm is not judged here;
 *  a signature whose letters make no whole bytes is an empty one, which no key verifies. */
CLO_R clo_wire_jws_parse(clo_arena *a, clo_span compact, clo_wire_jws *out);
/** The scheme of an `alg` value. Errors: DENIED for none and HMAC, UNSUPPORTED for others that are not known. */
CLO_R clo_wire_jws_scheme(const char *alg, clo_crypto_scheme *out);
/** The `alg` value of a scheme. */
const char *clo_wire_jws_alg(clo_crypto_scheme scheme);
/** Verify with this key; the header's alg must be `scheme`. Errors: BAD_SIGNATURE, DENIED (another alg), UNSUPPORTED (the key is of
 *  another kind than the scheme). */
CLO_R clo_wire_jws_verify(const clo_wire_jws *jws, const clo_crypto_verify_key *key, clo_crypto_scheme scheme);
/** One JWK (kty EC, OKP, RSA; or x5c alone, whose first certificate has the key). Given to the caller. */
CLO_R clo_wire_jwk_read(clo_arena *a, const clo_wire_node *jwk, clo_crypto_verify_key **out);
/** The key of a JWK set with this kid (exactly one; use, key_ops and alg must not forbid it). Errors: NOT_FOUND, MALFORMED, DUPLICATE. */
CLO_R clo_wire_jwks_find(clo_arena *a, clo_span jwks_json, clo_span kid, clo_crypto_scheme scheme, clo_crypto_verify_key **out);
/** The JWK of an EC or Ed25519 public key, with kid = its RFC 7638 thumbprint (base64url of SHA-256), use sig, alg. */
CLO_R clo_wire_jwk_make(clo_arena *a, const clo_crypto_public_key *key, clo_wire_node **out);
/** The thumbprint alone. */
CLO_R clo_wire_jwk_thumbprint(clo_arena *a, const clo_crypto_public_key *key, const char **out);
/** Make a token signed with an EC or Ed25519 key: header {alg, kid (thumbprint), typ}. */
CLO_R clo_wire_jws_make(clo_arena *a, const clo_crypto_private_key *key, const char *typ, const clo_wire_node *claims, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
