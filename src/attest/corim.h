/* Import of CoRIM (draft-ietf-rats-corim): reference and endorsed values of CoMID tags, unsigned (tag 501) or in a COSE_Sign1 (tag 18). */
#ifndef CLO_ATTEST_CORIM_H
#define CLO_ATTEST_CORIM_H
#include "attest/reference_values.h"
#ifdef __cplusplus
extern "C" {
#endif

/* How measurements become claims. A measurement's key (mkey) that is a text names the claim's path; a number n, and each integrity register
 * n, is register n of the type ("pcrs.n", "body.rtmrn", "measurements.n"); without a key it is the type's main measurement. */
typedef struct {
    const char *tee;                   /* "snp", "tdx", "nitro", …: type of evidence that the values are about */
    const clo_crypto_public_key *signer; /* NULL: only the unsigned form is taken, and what it says is as good as where it came from */
    int64_t now;                       /* rim-validity and the signature's validity are judged at this time */
    bool endorsed;                     /* take endorsed values too, not reference values alone */
} clo_attest_corim_use;

/** Add what the manifest says to the set (name: CoMID's model or vendor or the manifest's id; version: the measurement's or the tag's).
 *  Digests must be SHA-256, SHA-384 or SHA-512 in full length; raw values are exact; masked values, sets, flags and whatever else a value
 *  may demand are refused rather than half read. Other triples (identities, keys, conditional endorsements) are not looked at. Errors: MALFORMED, UNSUPPORTED, BAD_SIGNATURE, EXPIRED, TOO_MANY, NOT_FOUND (nothing to take). On error
 *  the set is unchanged. */
CLO_R clo_attest_corim_import(clo_arena *a, clo_span in, const clo_attest_corim_use *use, clo_attest_reference_set *set);

#ifdef __cplusplus
}
#endif
#endif
