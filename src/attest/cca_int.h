/* Claims of CCA tokens: platform and realm. */
#ifndef CLO_ATTEST_CCA_INT_H
#define CLO_ATTEST_CCA_INT_H
#include "attest/psa_int.h"
#include "crypto/hash.h"

/** Every rule of a platform claims set. *state: the lifecycle's name; NULL where wrong. */
void clo_attest_cca_judge_platform(const token_claims *t, const char **state);

/* What binding and signature need of a realm token, whether its claims are right or not; empty where absent. */
typedef struct {
    clo_span challenge, key, measurement, key_hash;
    bool cose_key; /* the key is a COSE_Key (a profile is named), not a raw point */
} cca_realm;
void clo_attest_cca_read_realm(const clo_wire_node *map, cca_realm *out);
/** Every rule of a realm claims set; `whole_key`: the key itself is judged elsewhere (claims sets of tests hold fillings). */
void clo_attest_cca_judge_realm(clo_arena *a, const token_claims *t, bool whole_key);
/** The hash of an IANA name that a binder can be made with. */
bool clo_attest_cca_hash(clo_span name, clo_crypto_hash_alg *out);
/** Claims sets in JSON (claims only): platform, realm, or both in one object. */
CLO_R clo_attest_cca_verify_json(clo_attest_context *c);

#endif
