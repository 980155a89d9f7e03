/* Reference values: what builds and firmware measure to, as their makers state it. A set is versioned, signed as one object, and narrows a
 * policy; it never widens one. Imports: corim.h, intoto.h. */
#ifndef CLO_ATTEST_REFERENCE_VALUES_H
#define CLO_ATTEST_REFERENCE_VALUES_H
#include "attest/attest.h"
#include "wire/cose.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_ATTEST_REFERENCES_MAX = 256, CLO_ATTEST_REFERENCE_SET_MAX = 4 * 1024 * 1024 };

/* One thing that can be measured: evidence must match all its claims. */
typedef struct {
    const char *name, *version;       /* "cloister-enclave", "0.1.0"; version may be empty */
    char tee[24];                     /* type of evidence that it is about */
    const clo_wire_node *environment; /* MAP of what the maker calls the place: vendor, model, class_id, layer, index, instance, group */
    const clo_wire_node *claims;      /* MAP path -> ARRAY of allowed values, as in clo_attest_policy.required_claims */
    bool have_min_svn;
    uint32_t min_svn;                 /* floor of the guest's or enclave's security version; snp alone can check one */
} clo_attest_reference;

typedef struct {
    const char *name;   /* of the set: who keeps it, for what */
    int64_t version;    /* grows by one with each change; the keeper of the newest one refuses older ones */
    int64_t issued, expires; /* seconds; expires 0 = does not */
    size_t count;
    clo_attest_reference *values; /* room for CLO_ATTEST_REFERENCES_MAX, of the arena */
} clo_attest_reference_set;

/** An empty set. */
CLO_R clo_attest_references_init(clo_arena *a, const char *name, int64_t version, int64_t issued, clo_attest_reference_set *out);
/** Add a value without claims; the texts and the environment (NULL = none) are borrowed for as long as the arena lives. TOO_MANY. */
CLO_R clo_attest_reference_add(clo_arena *a, clo_attest_reference_set *set, const char *name, const char *version, const char *tee,
                               const clo_wire_node *environment, clo_attest_reference **out);
/** Allow `value` (BYTES, TEXT, INT or BOOL) for the claim at `path`. Errors: RANGE (path), TOO_MANY. */
CLO_R clo_attest_reference_allow(clo_arena *a, clo_attest_reference *r, const char *path, const clo_wire_node *value);

/** Deterministic CBOR {"format": "cloister-reference-values/1", name, version, issued, expires, values: [{name, version, tee, environment,
 *  claims, min_svn}]}. */
CLO_R clo_attest_references_encode(clo_arena *a, const clo_attest_reference_set *set, clo_buf *out);
CLO_R clo_attest_references_decode(clo_arena *a, clo_span in, clo_attest_reference_set *out);
/** The same, signed: COSE_Sign1 of content type application/cloister-reference-values. */
CLO_R clo_attest_references_seal(clo_arena *a, const clo_attest_reference_set *set, const clo_wire_cose_signer *signer, clo_buf *out);
/** Errors: BAD_SIGNATURE, EXPIRED (at `now`), REPLAYED (a version below `min_version`), MALFORMED. */
CLO_R clo_attest_references_open(clo_arena *a, clo_span in, const clo_crypto_public_key *key, int64_t min_version, int64_t now,
                                 clo_attest_reference_set *out);

/** Narrow a policy by the values of a set that are about `tee` and, where given (not NULL), have this name and version: what it required
 *  before stays required. Values about different claims must all hold; values about one and the same single claim are alternatives. As a
 *  policy has no alternatives of several claims at once, those are refused (CONFLICT: name one version). Policy nodes are of the arena.
 *  Errors: NOT_FOUND (nothing in the set fits), DENIED (policy and set have no value in common), UNSUPPORTED (a floor that the type cannot
 *  check), TOO_MANY, CONFLICT. On error the policy is unchanged. */
CLO_R clo_attest_references_narrow(clo_arena *a, const clo_attest_reference_set *set, const char *tee, const char *name, const char *version,
                                   clo_attest_policy *policy);

#ifdef __cplusplus
}
#endif
#endif
