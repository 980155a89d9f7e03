/* A request as a handler sees it. Everything in it is borrowed and dies when the handler's answer has been sent. */
#ifndef CLO_GATEWAY_REQUEST_H
#define CLO_GATEWAY_REQUEST_H
#include "base/clo_arena.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "gateway/auth.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CLO_GATEWAY_GET,
    CLO_GATEWAY_HEAD,
    CLO_GATEWAY_POST,
    CLO_GATEWAY_PUT,
    CLO_GATEWAY_PATCH,
    CLO_GATEWAY_DELETE,
    CLO_GATEWAY_OPTIONS,
    CLO_GATEWAY_METHOD_COUNT,
    CLO_GATEWAY_METHOD_UNKNOWN = CLO_GATEWAY_METHOD_COUNT,
} clo_gateway_method;
const char *clo_gateway_method_name(clo_gateway_method method);

typedef struct {
    clo_span name; /* lower case on HTTP/2; as sent on HTTP/1.1 */
    clo_span value;
} clo_gateway_header;

enum { CLO_GATEWAY_PARAMS_MAX = 6, CLO_GATEWAY_HEADERS_MAX = 100, CLO_GATEWAY_REQUEST_ID_MAX = 64 };

typedef struct clo_gateway_route clo_gateway_route;
typedef struct clo_gateway_channel clo_gateway_channel;
struct clo_gateway_request {
    clo_gateway_method method; /* HEAD is handed to a GET handler as HEAD; the body of its answer is not sent */
    clo_span path;             /* as sent, without the query */
    clo_span query;            /* as sent, without '?' */
    const clo_gateway_route *route;
    const char *params[CLO_GATEWAY_PARAMS_MAX]; /* percent-decoded, in the order of the pattern */
    const clo_gateway_header *headers;
    size_t header_count;
    clo_span body;             /* whole body of a buffered route; empty on streamed ones */
    uint64_t body_size;        /* declared length; UINT64_MAX where unknown */
    clo_arena *arena;          /* for whatever the handler needs until the answer is sent; maximum 8 MiB beyond the body */
    clo_gateway_principal principal; /* who; kind NONE on routes without authentication */
    const char *request_id;    /* for log lines */
    const char *peer;          /* numeric address */
    bool http2;
    void *upload;              /* streamed routes: what `begin` made */
    const clo_gateway_channel *channel;
};

/** Path parameter by its name in the pattern; asserts that the pattern has it. */
const char *clo_gateway_request_param(const clo_gateway_request *request, const char *name);
/** First header of this name (any case), surrounding blanks cut; p = NULL where absent. */
clo_span clo_gateway_request_header(const clo_gateway_request *request, const char *name);
/** Query parameter, decoded; *out = NULL where absent. Errors: MALFORMED, DUPLICATE. */
CLO_R clo_gateway_request_query(const clo_gateway_request *request, const char *name, const char **out);
/** Numeric query parameter within min..max, `standard` where absent. Errors: MALFORMED, RANGE. */
CLO_R clo_gateway_request_query_int(const clo_gateway_request *request, const char *name, int64_t standard, int64_t min, int64_t max,
                                    int64_t *out);
/** The body as a tree: application/json or application/cbor by Content-Type. Errors: those of the decoder; UNSUPPORTED (another type). */
CLO_R clo_gateway_request_tree(const clo_gateway_request *request, clo_wire_node **out);

/* The TLS channel that the request came on, captured at its handshake. */
/** Exporter value of label "EXPORTER-cloister-attest"; false on a plain connection. */
bool clo_gateway_request_exporter(const clo_gateway_request *request, uint8_t out[32]);
/** SHA-256 of the peer's leaf SPKI; false where the peer showed none. */
bool clo_gateway_request_peer_spki(const clo_gateway_request *request, uint8_t out[32]);
bool clo_gateway_request_own_spki(const clo_gateway_request *request, uint8_t out[32]);

/** Preconditions of an update: If-Match against the entity's current tag (given with its quotes). Success where the header is
 *  absent or matches; else CONFLICT, answered as 412. */
CLO_R clo_gateway_request_if_match(const clo_gateway_request *request, const char *etag);

#ifdef __cplusplus
}
#endif
#endif
