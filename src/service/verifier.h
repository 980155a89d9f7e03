/* The operator's verifier of evidence: its key, its nonces, and one appraisal under a named policy. The library does the judging. */
#ifndef CLO_SERVICE_VERIFIER_H
#define CLO_SERVICE_VERIFIER_H
#include "attest/attest.h"
#include "attest/collateral_bundle.h"
#include "crypto/sign.h"
#include "os/clock.h"
#include "store/store.h"

#include <pthread.h>

enum { VERIFIER_NONCE = 32, VERIFIER_NONCE_SECONDS = 300, VERIFIER_NONCES_USED = 4096 };

typedef struct {
    clo_crypto_private_key key; /* ES256: signs results */
    clo_crypto_public_key public_key;
    clo_attest_cache *cache;
    uint8_t nonce_key[32];
    bool have_collateral_key;
    clo_crypto_public_key collateral_key; /* whose bundles count */
    char collateral_path[600];
    pthread_rwlock_t collateral_lock; /* guards the two; held for reading through an appraisal that uses them */
    clo_arena collateral_arena;
    clo_attest_collateral_set collateral; /* version 0 = none */
    pthread_mutex_t lock; /* leaf; guards used */
    struct {
        int64_t expires;
        uint8_t nonce[VERIFIER_NONCE];
    } used[VERIFIER_NONCES_USED];
} clo_service_verifier;

/** home/attestation.key is made on first use. Errors: IO, MALFORMED. */
CLO_R clo_service_verifier_open(clo_service_verifier *v, const char *home);
/** Pin the key of collateral bundles and load home/collateral.bundle where it is there; one that is over is left alone and said. */
CLO_R clo_service_collateral_load(clo_service_verifier *v, const char *home, clo_span key, int64_t now);
/** Install a newer bundle, durably. Errors: UNSUPPORTED (no key is pinned), those of clo_attest_collateral_open. */
CLO_R clo_service_collateral_install(clo_service_verifier *v, clo_span file, int64_t now);
/** What is installed; version 0 = nothing. */
clo_attest_collateral_set clo_service_collateral_installed(clo_service_verifier *v);
void clo_service_verifier_close(clo_service_verifier *v);

/** be64 expiry ‖ 8 random bytes ‖ 16 bytes of HMAC-SHA-256 over both under a key of this process: nothing is kept until it is used. */
CLO_R clo_service_nonce_make(clo_service_verifier *v, int64_t now, uint8_t nonce[VERIFIER_NONCE], int64_t *expires);
/** Use it up. Errors: DENIED with claim attestation.nonce (not ours, expired, used before); AGAIN (too many were used just now). */
CLO_R clo_service_nonce_take(clo_service_verifier *v, int64_t now, clo_span nonce);

typedef struct {
    const char *type;
    const clo_attest_part *evidence, *collateral;
    size_t evidence_count, collateral_count;
    const char *policy;           /* "default" = the strictest */
    const char *reference_values; /* a set that narrows the policy; NULL = none */
    clo_span nonce;               /* taken already; empty = none */
    const char *domain;           /* report data is SHA-512(domain ‖ 0 ‖ nonce); NULL = the nonce itself, zero padded */
} clo_service_question;
/** Appraise under the stored policy. *policy and *out are the arena's. Errors: NOT_FOUND (policy, values), those of the values. Bad evidence is a result. */
CLO_R clo_service_appraise(clo_service_verifier *v, clo_store *store, clo_arena *a, const clo_service_question *q, int64_t now,
                           clo_attest_policy **policy, clo_attest_result **out);

/* A policy as its owner signed it: COSE_Sign1, content type application/cloister-attest-policy, over {"format": "cloister-attest-policy/1", "name",
 * "version", "policy": the object of an agreement}. Reference values are attest/reference_values.h's. */
typedef struct {
    char name[64];
    int64_t version;
    const clo_wire_node *policy;
} clo_service_policy_file;
/** Errors: BAD_SIGNATURE, MALFORMED, and those of the policy's reader. */
CLO_R clo_service_policy_open(clo_arena *a, clo_span file, const clo_crypto_public_key *key, clo_service_policy_file *out);

#endif
