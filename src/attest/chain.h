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
    bool verified; /* each signature held before (a cache has it): not computed again, everything else is judged */
    size_t verified_from; /* where not 0: those of this certificate and all above it held before */
} clo_attest_chain;

/** The vendors' roots that are built in, by SHA-256 of their DER (attestation formats, trust anchors). */
typedef enum { CLO_ATTEST_ANCHOR_INTEL, CLO_ATTEST_ANCHOR_NITRO, CLO_ATTEST_ANCHOR_NVIDIA, CLO_ATTEST_ANCHOR_NVIDIA_RIM, CLO_ATTEST_ANCHOR_GOOGLE,
               CLO_ATTEST_ANCHOR_PINNED /* no vendor's: a root that the policy pins, or the given one under custom_root and any_issuer */ } clo_attest_anchor;

/** Certificates of a PEM text (zero bytes at its end are ignored) or one DER, appended. Errors: MALFORMED, TOO_MANY. */
CLO_R clo_attest_chain_take(clo_attest_chain *chain, clo_span pem_or_der);
void clo_attest_chain_free(clo_attest_chain *chain);
/** Every certificate is signed by the next (issuer name, CA flag, path length, key usage), the windows hold at c->now, and the last one is
 *  the anchor: the built-in root, narrowed by the policy's pins and by a "root" among the collateral (which replaces it only under
 *  custom_root). A chain without its root is completed by the "root" of the collateral. Every finding is a check "<name>.signature",
 *  "<name>.root", "<name>.root.given", "<name>.root.pinned", "<name>.window" (in this order) with reasons bad_chain, expired, not_yet_valid (prefix "collateral_" where `collateral`: certificates get no grace), wrong_root.
 *  *ok: all held. Errors are errors of the call only. */
CLO_R clo_attest_chain_judge(clo_attest_context *c, const clo_attest_chain *chain, clo_attest_anchor anchor, bool collateral, bool *ok);
/** Is certificate `index` of the chain revoked? The list (DER, PEM, or hex text of DER) must be signed by the next certificate of the chain
 *  and its window must hold (with the policy's grace). crl empty: a failed check collateral_missing where the policy requires lists. Checks:
 *  "<name>.crl", "<name>.crl.window", "<name>.revoked". A list that several certificates are looked up in is taken once, by clo_attest_crl_*. */
CLO_R clo_attest_chain_revocation(clo_attest_context *c, const clo_attest_chain *chain, size_t index, clo_span crl, bool *ok);

/** Intel's root (first) and authorities, parsed once and shared by every chain that holds the same bytes; the number that are ready. */
enum { CLO_ATTEST_INTEL_KNOWN = 5 };
size_t clo_attest_intel_known(clo_crypto_cert *const **out);
/** Are both certificates of them, so that it is known that `issuer` signed `cert`? Windows and revocation are judged like any other's. */
bool clo_attest_chain_link_known(const clo_crypto_cert *cert, const clo_crypto_cert *issuer);

/* A revocation list whose signature holds. Apart, so that it can be kept: window and look-ups are judged on every appraisal. */
typedef struct {
    const char *name;    /* what the checks are called after, borrowed */
    clo_crypto_crl *crl; /* NULL where it was refused (a failed check) or is absent */
    bool waived;         /* absent, and the policy does not ask for one */
    int64_t from, to;
} clo_attest_crl;
/** Parse (DER, PEM, hex text of DER) and verify by its issuer; free with clo_attest_crl_free in any case. Check "<name>.crl": reasons
 *  collateral_missing (bytes empty and the policy requires lists), bad_collateral_signature (unreadable, another issuer, wrong signature,
 *  no window). issuer NULL: refused. Errors are errors of the call only. */
CLO_R clo_attest_crl_take(clo_attest_context *c, const char *name, const clo_crypto_cert *issuer, clo_span bytes, clo_attest_crl *out);
void clo_attest_crl_free(clo_attest_crl *crl);
/** Check "<name>.crl.window" (with the policy's grace). True where it holds or none is needed. */
bool clo_attest_crl_window(clo_attest_context *c, const clo_attest_crl *crl);
/** Check "<name>.revoked" for a certificate of the list's issuer; `name` is the certificate's. True where it is not listed or no list is needed. */
bool clo_attest_crl_revoked(clo_attest_context *c, const clo_attest_crl *crl, const char *name, const clo_crypto_cert *cert);
/** clo_attest_check_window for collateral that is no certificate: after `to` it counts for the policy's grace. Prefix "collateral_". */
bool clo_attest_check_collateral_window(clo_attest_context *c, const char *name, int64_t from, int64_t to);

/* What a cache keeps: collateral whose signatures all held, parsed once, never changed afterwards. Embed it as the first member. */
typedef struct clo_attest_verified clo_attest_verified;
struct clo_attest_verified {
    unsigned owners; /* who makes it sets 1 and is the first; afterwards counted atomically */
    void (*destroy)(clo_attest_verified *v);
};
/** Another owner of what was put under this key, or NULL. Safe from any thread; cache may be NULL. */
clo_attest_verified *clo_attest_cache_take(clo_attest_cache *cache, const uint8_t key[32]);
/** The cache becomes an owner too (or not, where it has no room or is NULL); the caller keeps his. */
void clo_attest_cache_keep(clo_attest_cache *cache, const uint8_t key[32], clo_attest_verified *v);
/** The key of collateral: SHA-256 over its kind (the type of evidence and what part of it), the policy's pinned roots and the exact bytes of
 *  every part (each behind its length). Parts that are absent are empty; their order and number belong to the kind. */
CLO_R clo_attest_cache_key_parts(const clo_attest_context *c, const char *kind, const clo_span *parts, size_t count, uint8_t key[32]);
/** One owner less; the last one destroys it. NULL is allowed. */
void clo_attest_verified_release(clo_attest_verified *v);

#endif
