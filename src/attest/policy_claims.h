/* Claims by path, and what a policy may demand of them. Total and typed: an absent claim, another type or an ambiguous path never matches. */
#ifndef CLO_ATTEST_POLICY_CLAIMS_H
#define CLO_ATTEST_POLICY_CLAIMS_H
#include "attest/attest.h"
#ifdef __cplusplus
extern "C" {
#endif

/** The claim at a path: member names and list indexes joined by dots; a name may itself have dots. NULL where there is none, where two
 *  members could be meant, or beyond 16 steps. */
const clo_wire_node *clo_attest_claim_find(const clo_wire_node *claims, const char *path);
/** Same type and same value. A byte string is written in JSON as lower-case hex: that text equals it, no other form does. */
bool clo_attest_claim_equal(const clo_wire_node *claim, const clo_wire_node *wanted);
/** Read and normalise `required_claims` (values become lists; plain YAML scalars get the type they look like). Owned by the arena.
 *  Errors: MALFORMED, RANGE, TOO_MANY. */
CLO_R clo_attest_required_claims_read(clo_arena *a, const clo_wire_node *node, clo_wire_node **out);
/** One value that can be compared, as a node of its own: TEXT, INT, BOOL or BYTES. path is for the message. */
CLO_R clo_attest_claim_value_read(clo_arena *a, const clo_wire_node *n, const char *path, clo_wire_node **out);
/** A value for people, cut to size. */
void clo_attest_claim_text(const clo_wire_node *n, char *to, size_t size);

#ifdef __cplusplus
}
#endif
#endif
