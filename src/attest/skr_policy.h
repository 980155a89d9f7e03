/* Azure secure key release policies (version, anyOf authorities, allOf/anyOf conditions over claims). Typed and total: a claim that is absent,
 * ambiguous or of another type meets no condition, not even notEquals; numbers are whole; a condition that absence would meet is refused. */
#ifndef CLO_ATTEST_SKR_POLICY_H
#define CLO_ATTEST_SKR_POLICY_H
#include "attest/attest.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_SKR_DEPTH_MAX = 8, CLO_SKR_CONDITIONS_MAX = 128 };

/** Is this a release policy of the grammar (cloud-api names; "exists": false, fractions and unknown members are errors)? Normalised copy,
 *  owned by the arena. Errors: MALFORMED, UNSUPPORTED (version), RANGE, TOO_MANY. */
CLO_R clo_attest_skr_read(clo_arena *a, const clo_wire_node *node, clo_wire_node **out);
/** Do these claims meet a policy that was read? issuer: who signed the claims; NULL: they were verified here, and no authority is asked for.
 *  why (may be NULL) receives a sentence: the first condition that failed, or what was met. */
bool clo_attest_skr_match(const clo_wire_node *policy, const clo_wire_node *claims, const char *issuer, char why[200]);
/** Release policy to policy object: {"expected_issuer", "required_claims"} where that says exactly the same, else {"release_policy"}. */
CLO_R clo_attest_skr_import(clo_arena *a, const clo_wire_node *skr, clo_wire_node **out);
/** Policy to release policy for tokens of this authority ("https://…") about this type ("snp", "sgx", "tdx", or "maa" for nothing but the
 *  required claims). Required claims are the token's ("claims.…", as clo_attest_skr_import writes them). Errors: UNSUPPORTED names the first member that a release policy cannot say. */
CLO_R clo_attest_skr_export(clo_arena *a, const clo_attest_policy *p, const char *authority, const char *type, clo_wire_node **out);

#ifdef __cplusplus
}
#endif
#endif
