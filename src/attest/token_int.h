/* Shared by the verifiers of signed tokens: JWT (maa, gcp-confidential-space), COSE (psa, cca) and OP-TEE's signed hash. */
#ifndef CLO_ATTEST_TOKEN_INT_H
#define CLO_ATTEST_TOKEN_INT_H
#include "attest/attest_int.h"
#include "crypto/verify_key.h"
#include "wire/jws.h"

/* Larger tokens are refused unread, so that what a token makes us allocate stays within 64 KiB. */
enum { TOKEN_JWT_MAX = 16 * 1024, TOKEN_PSA_MAX = 8 * 1024, TOKEN_CCA_MAX = 8 * 1024, TOKEN_JSON_MAX = 8 * 1024 };

CLO_R clo_attest_maa_verify(clo_attest_context *c);
CLO_R clo_attest_google_verify(clo_attest_context *c);
CLO_R clo_attest_psa_verify(clo_attest_context *c);
CLO_R clo_attest_cca_verify(clo_attest_context *c);
CLO_R clo_attest_optee_verify(clo_attest_context *c);
bool clo_attest_maa_recognise(const clo_attest_part *evidence, size_t evidence_count);
bool clo_attest_google_recognise(const clo_attest_part *evidence, size_t evidence_count);
bool clo_attest_psa_recognise(const clo_attest_part *evidence, size_t evidence_count);
bool clo_attest_cca_recognise(const clo_attest_part *evidence, size_t evidence_count);

/* What claims must look like: "FORM NAME", one text for each. FORM: b boolean, u number from 0 up, t text, T text or list of texts, hN text of
 * N bytes in hex, e base64url, m object, a list; "!" before it: must be there. */
/** One check over a whole list: every claim that is there has its form, every one that must be there is. Reason "claims". */
bool clo_attest_token_shape(clo_attest_result *r, const char *name, const clo_wire_node *map, const char *const *rules, size_t count);
/** A failed check "claims" about one claim. */
void clo_attest_token_claim_bad(clo_attest_result *r, const char *name, const char *expected, const char *actual);
/** Member as text, empty where it is none. */
clo_span clo_attest_token_text(const clo_wire_node *map, const char *name);
/** Member as bytes of hex text; false where it is none of exactly n bytes. */
bool clo_attest_token_hex(const clo_wire_node *map, const char *name, uint8_t *to, size_t n);
/** Is the text these bytes: themselves, or their hex, base64 or base64url form? */
bool clo_attest_token_text_is(clo_span text, clo_span bytes);
/** A launch measurement against the policy's list, where it has one; shorter ones stand there with zeros behind. */
void clo_attest_token_measurement(clo_attest_context *c, clo_span measurement);
/** The bytes that a caller's challenge becomes (PSA nonce, CCA challenge, report data) against expected_nonce and expected report data:
 *  equal, or the nonce with zeros behind it. */
void clo_attest_token_challenge(clo_attest_context *c, clo_span challenge);

/** Parse the JWT of role "report" and judge its algorithm: RS256 and nothing else. out->claims = {header, claims}. *ok: it could be read. */
CLO_R clo_attest_jwt_open(clo_attest_context *c, clo_wire_jws *jws, bool *ok);
bool clo_attest_jwt_is_rs256(const clo_wire_jws *jws);
/** The key with the token's kid in the collateral "jwks", and the signature. */
CLO_R clo_attest_jwt_verify_jwks(clo_attest_context *c, const clo_wire_jws *jws);
/** The signature by a key that was found some other way. */
CLO_R clo_attest_jwt_verify_key(clo_attest_context *c, const clo_wire_jws *jws, const clo_crypto_verify_key *key);
/** iss against the policy, then nbf, iat, exp against now, then the policy's greatest age. */
void clo_attest_jwt_judge_envelope(clo_attest_context *c, const clo_wire_node *claims);
/** A TCB status by name, its date and its advisories against the policy (Intel's words); noted in the result. Absent: no check. */
void clo_attest_jwt_tcb(clo_attest_context *c, const clo_wire_node *map, const char *status, const char *date, const char *advisories);
/** Does the payload of a compact JWT hold these letters? For recognition only. */
bool clo_attest_jwt_payload_has(const clo_attest_part *evidence, size_t evidence_count, const char *letters);

/** A part of the collateral: keys and key sets that the evidence brings along are nobody's. NULL where absent. */
const clo_attest_part *clo_attest_token_collateral(const clo_attest_context *c, const char *role);
/** The EC key of a collateral role; a failed check collateral_missing or bad_key where there is none. *ok: it can be used. */
CLO_R clo_attest_token_collateral_key(clo_attest_context *c, const char *role, clo_crypto_public_key *out, bool *ok);

#endif
