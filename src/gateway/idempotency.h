/* Idempotency-Key on POST: the server asks a store of the service whether this key was answered before. */
#ifndef CLO_GATEWAY_IDEMPOTENCY_H
#define CLO_GATEWAY_IDEMPOTENCY_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    unsigned status;
    char type[64];
    clo_buf body; /* at most 1 MiB; larger answers are not recorded */
} clo_gateway_recorded;

/* All functions run on worker threads. begin NULL = no store. */
typedef struct {
    /** Claim (principal, key) for a request with this fingerprint (SHA-256 of method, path and body), or find its recorded answer
     *  (*found = true, recorded filled). Errors: CONFLICT (same key, another fingerprint), AGAIN (the first is still being worked on). */
    clo_err (*begin)(void *context, const char *principal, const char *key, const uint8_t fingerprint[32], bool *found,
                     clo_gateway_recorded *recorded);
    /** Record the answer of a claimed key; statuses of 500 and above, and 429, release the claim instead (recorded NULL). */
    clo_err (*finish)(void *context, const char *principal, const char *key, const clo_gateway_recorded *recorded);
    void *context;
} clo_gateway_idempotency;

/* A store in memory: the last `capacity` keys. For daemons without a database table of their own. */
typedef struct clo_gateway_replay_store clo_gateway_replay_store;
CLO_R clo_gateway_replay_store_new(clo_gateway_replay_store **out, size_t capacity);
void clo_gateway_replay_store_free(clo_gateway_replay_store **store);
/** The functions to put into the server's options. */
clo_gateway_idempotency clo_gateway_replay_store_hooks(clo_gateway_replay_store *store);

#ifdef __cplusplus
}
#endif
#endif
