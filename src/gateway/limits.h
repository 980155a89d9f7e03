/* Token buckets per peer address and per principal. */
#ifndef CLO_GATEWAY_LIMITS_H
#define CLO_GATEWAY_LIMITS_H
#include "base/clo_err.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    double peer_per_second;      /* 0 = unlimited */
    double peer_burst;           /* at least 1 where a rate is set */
    double principal_per_second; /* 0 = unlimited */
    double principal_burst;
    double failures_per_second;  /* of an address: refused requests (but not 404) and broken handshakes; beyond: 429, and no new connections. 0 = 50, burst 1,000 */
    double failures_burst;
} clo_gateway_limits;

/* A table of buckets under one lock (rank: leaf). The longest unused bucket makes room for a new name. */
typedef struct clo_gateway_buckets clo_gateway_buckets;
CLO_R clo_gateway_buckets_new(clo_gateway_buckets **out, size_t names_max, double per_second, double burst);
void clo_gateway_buckets_free(clo_gateway_buckets **buckets);
/** Take one token of `name` at this time. false: none left; *retry_after_seconds (>= 1) says when one will be. Any thread. */
bool clo_gateway_buckets_take(clo_gateway_buckets *buckets, const char *name, uint64_t now_ns, unsigned *retry_after_seconds);
/** Is there no token of `name`? Takes none. */
bool clo_gateway_buckets_empty(clo_gateway_buckets *buckets, const char *name, uint64_t now_ns, unsigned *retry_after_seconds);

#ifdef __cplusplus
}
#endif
#endif
