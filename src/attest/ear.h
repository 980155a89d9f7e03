/* Attestation results for others: EAR (draft-ietf-rats-ear, EAT profile tag:github.com,2023:veraison/ear) with an AR4SI trustworthiness vector
 * per submodule, as JWT and as CWT, and tokens under Azure's names. What a vector says is derived from the checks that were made: no check, no
 * claim; the software TEE never gets an affirming value for hardware or memory. */
#ifndef CLO_ATTEST_EAR_H
#define CLO_ATTEST_EAR_H
#include "attest/attest.h"
#include "crypto/sign.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CLO_EAR_PROFILE "tag:github.com,2023:veraison/ear"
enum { CLO_EAR_LIFETIME_S = 300, CLO_EAR_NONCE_MIN = 8, CLO_EAR_NONCE_MAX = 64, CLO_EAR_CLAIMS = 8 };

/* The tiers of AR4SI; a vector's values belong to them by size: 2..31, 32..95, 96..127 (and below zero alike). */
enum { CLO_EAR_NONE = 0, CLO_EAR_AFFIRMING = 2, CLO_EAR_WARNING = 32, CLO_EAR_CONTRAINDICATED = 96 };
enum { CLO_EAR_INSTANCE, CLO_EAR_CONFIGURATION, CLO_EAR_EXECUTABLES, CLO_EAR_FILES, CLO_EAR_HARDWARE, CLO_EAR_RUNTIME, CLO_EAR_STORAGE, CLO_EAR_SOURCED };
typedef struct {
    int8_t claims[CLO_EAR_CLAIMS]; /* by CLO_EAR_INSTANCE…; 0 = no claim */
    int8_t status;
} clo_attest_ear_vector;

typedef struct {
    const clo_crypto_private_key *key;
    const char *issuer;          /* iss; NULL = none */
    const char *developer, *build; /* who verified, with what */
    const char *policy_id;       /* which policy; NULL = none */
    clo_span nonce;              /* the relying party's, 8..64 bytes; empty = none */
    clo_span raw_evidence;       /* empty = left out */
    int64_t now, lifetime_s;     /* 0 = CLO_EAR_LIFETIME_S */
} clo_attest_ear_options;

/** What can honestly be said of a result under this policy. Submodules: pass NULL for the whole. */
void clo_attest_ear_derive(const clo_attest_result *r, const clo_attest_submodule *part, const clo_attest_policy *p, clo_attest_ear_vector *out);
/** "urn:cloister:policy:sha256:HEX" of the policy's written form; open policies get "urn:cloister:policy:open". */
CLO_R clo_attest_policy_id(clo_arena *a, const clo_attest_policy *p, const char **out);
/** When a token about this result ends: its lifetime, but not after what the verdict relied on. */
int64_t clo_attest_ear_expiry(const clo_attest_result *r, const clo_attest_ear_options *o);
/** The claims under their JSON names; binary values as BYTES. */
CLO_R clo_attest_ear_claims(clo_arena *a, const clo_attest_result *r, const clo_attest_policy *p, const clo_attest_ear_options *o, clo_wire_node **out);
CLO_R clo_attest_ear_jwt(clo_arena *a, const clo_attest_result *r, const clo_attest_policy *p, const clo_attest_ear_options *o, clo_buf *out);
/** COSE_Sign1, tagged; kid = the JWK thumbprint's text. */
CLO_R clo_attest_ear_cwt(clo_arena *a, const clo_attest_result *r, const clo_attest_policy *p, const clo_attest_ear_options *o, clo_buf *out);
/** A token under Azure's claim names (ear_maa.h), signed with this product's keys: valid results only. */
CLO_R clo_attest_maa_token(clo_arena *a, const clo_attest_result *r, const clo_attest_ear_options *o, clo_buf *out);

/** The claims of an EAR's payload under their JSON names (CWT labels renamed), nothing verified. jwt: compact JWS, else COSE_Sign1. */
CLO_R clo_attest_ear_decode(clo_arena *a, clo_span bytes, clo_wire_node **claims);

#ifdef __cplusplus
}
#endif
#endif
