/* The route table: one line per operation, from which dispatch, authentication, limits and the OpenAPI document all come. */
#ifndef CLO_GATEWAY_ROUTE_H
#define CLO_GATEWAY_ROUTE_H
#include "gateway/auth.h"
#include "gateway/request.h"
#include "gateway/response.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Fill the response, or fail: the failure's class, sentence and denial become problem+json. `context` is the server's. */
typedef clo_err (*clo_gateway_handler)(void *context, clo_gateway_request *request, clo_gateway_response *response);

/* Streamed upload: begin once the head is accepted, data for each piece in order, then end (which answers) or abort (the body
 * never came whole, or a callback failed; no answer can be given beyond the failure's). All on worker threads, one at a time per request; while
 * one runs, the server reads at most 1 MiB ahead, then lets the peer wait. */
typedef struct {
    clo_err (*begin)(void *context, clo_gateway_request *request); /* may set request->upload */
    clo_err (*data)(void *context, clo_gateway_request *request, clo_span piece);
    clo_err (*end)(void *context, clo_gateway_request *request, clo_gateway_response *response);
    void (*abort)(void *context, clo_gateway_request *request); /* only after a successful begin */
} clo_gateway_upload;

enum {
    CLO_GATEWAY_INLINE = 1,     /* the handler runs on the loop thread: microseconds, no lock, no file, no database */
    CLO_GATEWAY_IDEMPOTENT = 2, /* POST: honour Idempotency-Key through the server's store */
    CLO_GATEWAY_HIDDEN = 4,     /* not in the OpenAPI document */
    CLO_GATEWAY_UNLIMITED = 8,  /* not subject to the rate limits (health) */
};

struct clo_gateway_route {
    clo_gateway_method method; /* GET answers HEAD too */
    const char *path;          /* "/api/v1/runs/{id}"; a last segment "{name*}" takes the rest of the path */
    clo_gateway_auth_kind auth;
    unsigned flags;
    uint64_t body_max;         /* bytes; 0 = no body is accepted. Buffered bodies: at most 64 MiB */
    const char *consumes;      /* media types, comma separated; NULL = any (not checked). Others: 415 */
    const char *produces;      /* media type of success, e.g. "application/json"; checked against Accept (406); NULL = not checked */
    clo_gateway_handler handler;
    const clo_gateway_upload *upload; /* instead of handler */
    /* For the OpenAPI document. */
    const char *tag, *summary;
    const char *request_schema, *response_schema; /* names in the server's schema list, or NULL */
    unsigned success;          /* status of success; 0 = 200 */
};

/* A named JSON schema of the OpenAPI document, as JSON text. */
typedef struct {
    const char *name;
    const char *json;
} clo_gateway_schema;

#ifdef __cplusplus
}
#endif
#endif
