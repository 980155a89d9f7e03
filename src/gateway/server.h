/* The HTTP server of every daemon: TLS 1.3, HTTP/1.1 and HTTP/2, one route table.
 *
 * N loop threads own the connections (a connection belongs to one loop for life); INLINE handlers run there, the others on a
 * worker pool. Everything is bounded: head 16 KiB, 100 headers, body per route, connections in all and per peer, requests in
 * flight, times. */
#ifndef CLO_GATEWAY_SERVER_H
#define CLO_GATEWAY_SERVER_H
#include "crypto/tls.h"
#include "gateway/idempotency.h"
#include "gateway/limits.h"
#include "gateway/metrics.h"
#include "gateway/route.h"
#include "os/clock.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_gateway_server clo_gateway_server;

typedef struct {
    const char *name;          /* of the program, for logs */
    const char *address;       /* numeric; NULL = "127.0.0.1" */
    uint16_t port;             /* 0 = the kernel chooses */
    clo_crypto_tls_context *tls; /* borrowed; NULL = plain HTTP (tests, and behind a terminating proxy on loopback) */
    bool http2;                /* with TLS: the context must offer it too; plain: prior knowledge */

    const clo_gateway_route *routes; /* borrowed for the life of the server */
    size_t route_count;
    void *context;             /* handed to every handler */
    clo_gateway_authenticator authenticator;
    clo_gateway_idempotency idempotency;   /* zero = Idempotency-Key is ignored */
    const clo_gateway_schema *schemas;     /* for /api/v1/openapi.json */
    size_t schema_count;
    const char *title, *version;           /* of the OpenAPI document; NULL = name, CLO_VERSION */
    const char *openapi_path;              /* route of the document; NULL = none */
    bool standard_routes;      /* adds GET /healthz, /readyz, /metrics */
    bool (*ready)(void *context, char why[160]); /* /readyz; NULL = always. Runs on a worker */

    unsigned loops;            /* 0 = one per CPU, at most 8 */
    unsigned workers;          /* 0 = 4 */
    size_t queue_max;          /* requests waiting for a worker; beyond: 503 with Retry-After. 0 = 256 */
    size_t connections_max;    /* 0 = 10,000 */
    size_t connections_per_peer_max; /* 0 = 1,000 */
    size_t held_max;           /* bytes of request bodies in memory, of all; beyond: 503. 0 = 256 MiB */
    size_t held_per_peer_max;  /* of one address. 0 = 96 MiB */
    unsigned head_timeout_ms;  /* 0 = 10,000: from connect or the first byte to the end of the head */
    unsigned idle_timeout_ms;  /* 0 = 60,000: between requests */
    unsigned body_rate_min;    /* bytes per second averaged over the window, both ways; 0 = 1,024 */
    unsigned rate_window_ms;   /* 0 = 10,000 */
    clo_gateway_limits limits; /* rates; zero = none */
    const clo_os_clock *clock; /* NULL = the system's */
} clo_gateway_options;

/** Bind and start serving. Given to the caller. Errors: CONFLICT (port in use), RANGE (a route table that contradicts itself), IO, NOMEM. */
CLO_R clo_gateway_server_start(clo_gateway_server **out, const clo_gateway_options *options);
/** The bound port. */
uint16_t clo_gateway_server_port(const clo_gateway_server *server);
/** Registry for the service's own metrics, served at /metrics. */
clo_gateway_metrics *clo_gateway_server_metrics(clo_gateway_server *server);
/** Requests being worked on now (system_metrics.pending_requests). */
size_t clo_gateway_server_pending(const clo_gateway_server *server);
/** Stop accepting, let requests in flight end for up to grace_ms, close, join all threads, free. Event streams end at once. */
void clo_gateway_server_stop(clo_gateway_server **server, unsigned grace_ms);

#ifdef __cplusplus
}
#endif
#endif
