/* Collateral for machines without a network: one signed, versioned file of certificates, lists and vendors' documents. Signed means who
 * collected it; each item is judged by the verifiers as if it had come with the evidence.
 *
 * COSE_Sign1, content type application/cloister-collateral, over deterministic CBOR {"format": "cloister-collateral/1", "version", "issued",
 * "not_after", "items": [{"type", "role", "when": {claim path: text}, "bytes"}]}. */
#ifndef CLO_ATTEST_COLLATERAL_BUNDLE_H
#define CLO_ATTEST_COLLATERAL_BUNDLE_H
#include "attest/attest.h"
#include "wire/cose.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_COLLATERAL_BUNDLE_MAX = 4 << 20, CLO_COLLATERAL_ITEMS_MAX = 4096 };

typedef struct {
    char type[24], role[32];     /* of evidence; of the part that it becomes */
    const clo_wire_node *when;   /* MAP claim path -> text (bytes as hex) that the evidence must claim; empty = any of the type */
    clo_span bytes;
} clo_attest_collateral_item;
typedef struct {
    int64_t version; /* rises with each release: an older one never replaces a newer one */
    int64_t issued, not_after;
    size_t count;
    clo_attest_collateral_item *items; /* arena */
} clo_attest_collateral_set;

CLO_R clo_attest_collateral_seal(clo_arena *a, const clo_attest_collateral_set *set, const clo_wire_cose_signer *signer, clo_buf *out);
/** Spans and nodes are of the arena. Errors: BAD_SIGNATURE, MALFORMED, REPLAYED (below min_version), EXPIRED (now is outside issued..not_after). */
CLO_R clo_attest_collateral_open(clo_arena *a, clo_span in, const clo_crypto_public_key *key, int64_t min_version, int64_t now,
                                 clo_attest_collateral_set *out);
/** The items for evidence of this type and these claims, in roles that `parts` does not have yet, appended to parts[max]: the first item of
 *  a role counts. */
void clo_attest_collateral_select(const clo_attest_collateral_set *set, const char *type, const clo_wire_node *claims, clo_attest_part *parts,
                                  size_t *count, size_t max);

#ifdef __cplusplus
}
#endif
#endif
