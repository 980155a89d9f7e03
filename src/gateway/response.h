/* What a handler answers. The last body that was set counts. Nothing is sent before the handler has returned. */
#ifndef CLO_GATEWAY_RESPONSE_H
#define CLO_GATEWAY_RESPONSE_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "gateway/events.h"
#include "gateway/request.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_gateway_response clo_gateway_response;

/** 200 unless set. Statuses below 200 are a bug. */
void clo_gateway_response_status(clo_gateway_response *response, unsigned status);
/** Add a header; both are copied. Content-Length, Connection, Transfer-Encoding, Date are the server's own (bug). Errors: MALFORMED
 *  (control characters), TOO_MANY (24). */
CLO_R clo_gateway_response_header(clo_gateway_response *response, const char *name, const char *value);

/** Body copied into the request's arena. type = media type, borrowed for ever (a literal). */
CLO_R clo_gateway_response_bytes(clo_gateway_response *response, const char *type, clo_span body);
/** Body that stays valid for the life of the server (static files, the OpenAPI text) or of the request's arena: not copied. */
void clo_gateway_response_borrow(clo_gateway_response *response, const char *type, clo_span body);
/** JSON from a format; the whole text has at most 64 KiB. The caller is responsible for its escaping. */
CLO_R clo_gateway_response_jsonf(clo_gateway_response *response, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A tree as application/json, or as application/cbor where the request's Accept asks for it. */
CLO_R clo_gateway_response_tree(clo_gateway_response *response, const clo_wire_node *node);
/** A tree as application/cbor in any case. */
CLO_R clo_gateway_response_cbor(clo_gateway_response *response, const clo_wire_node *node);
/** A range of a file, sent in constant memory; fd is given. Answers "Range: bytes=a-b" of the request by 206 or 416 by itself. */
CLO_R clo_gateway_response_file(clo_gateway_response *response, const char *type, int fd, uint64_t offset, uint64_t size);
/** Entity tag, with its quotes; the server answers a matching If-None-Match of GET by 304. Copied. */
CLO_R clo_gateway_response_etag(clo_gateway_response *response, const char *etag);
/** Keep the answer open as text/event-stream of a topic. Events after the request's Last-Event-ID that the hub still holds come first. */
CLO_R clo_gateway_response_events(clo_gateway_response *response, clo_gateway_hub *hub, const char *topic);

#ifdef __cplusplus
}
#endif
#endif
