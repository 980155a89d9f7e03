/* Certificate chains of evidence and collateral: one way to take, judge and revoke them, for every type that is not AMD's (whose rules
 * snp_chain.c has). Paths are OpenSSL's; what is judged here is what a verifier must add: anchors, windows at a given time, revocation. */
#ifndef CLO_ATTEST_CHAIN_H
#define CLO_ATTEST_CHAIN_H
#include "attest/attest_int.h"

enum { CLO_ATTEST_CHAIN_MAX = 8 };

typedef struct {
    const char *name; /* what the checks are called after: "pck", "tcb_signing", "document" */
    clo_crypto_cert *certs[CLO_ATTEST_CHAIN_MAX]; /* leaf first, root last */
    size_t count;
} clo_attest_chain;

/** The vendors' roots that are built in, by SHA-256 of their DER (attestation formats, trust anchors). */
typedef enum { CLO_ATTEST_ANCHOR_INTEL, CLO_ATTEST_ANCHOR_NITRO, CLO_ATTEST_ANCHOR_NVIDIA, CLO_ATTEST_ANCHOR_NVIDIA_RIM, CLO_ATTEST_ANCHOR_GOOGLE } clo_attest_anchor;

/** Certificates of a PEM text (zero bytes at its end are ignored) or one DER, appended. Errors: MALFORMED, TOO_MANY. */
CLO_R clo_attest_chain_take(clo_attest_chain *chain, clo_span pem_or_der);
void clo_attest_chain_free(clo_attest_chain *chain);
/** Every certificate is signed by the next (issuer name, CA flag, path length, key usage), the windows hold at c->now, and the last one is
 *  the anchor: the built-in root, narrowed by the policy's pins and by a "root" among the collateral (which replaces it only under
 *  custom_root). A chain without its root is completed by the "root" of the collateral. Every finding is a check "<name>.signature",
 *  "<name>.window", "<name>.root" with reasons bad_chain, expired, not_yet_valid (prefix "collateral_" where `collateral`), wrong_root.
 *  *ok: all held. Errors are errors of the call only. */
CLO_R clo_attest_chain_judge(clo_attest_context *c, const clo_attest_chain *chain, clo_attest_anchor anchor, bool collateral, bool *ok);
/** Is certificate `index` of the chain revoked? The list (DER, PEM, or hex text of DER) must be signed by the next certificate of the chain
 *  and its window must hold (with the policy's grace). crl empty: a failed check collateral_missing where the policy requires lists. */
CLO_R clo_attest_chain_revocation(clo_attest_context *c, const clo_attest_chain *chain, size_t index, clo_span crl, bool *ok);

/* What a cache keeps: collateral whose signatures all held, parsed once, never changed afterwards. Embed it as the first member. */
typedef struct clo_attest_verified clo_attest_verified;
struct clo_attest_verified {
    _Atomic unsigned owners;
    void (*destroy)(clo_attest_verified *v);
};
/** Another owner of what was put under this key, or NULL. Safe from any thread; cache may be NULL. */
clo_attest_verified *clo_attest_cache_take(clo_attest_cache *cache, const uint8_t key[32]);
/** The cache becomes an owner too (or not, where it has no room or is NULL); the caller keeps his. */
void clo_attest_cache_keep(clo_attest_cache *cache, const uint8_t key[32], clo_attest_verified *v);
/** One owner less; the last one destroys it. NULL is allowed. */
void clo_attest_verified_release(clo_attest_verified *v);

#endif
