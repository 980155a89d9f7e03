/* HTTP client over libcurl. A server of this product is trusted by the SHA-256 of its SubjectPublicKeyInfo, never by a certificate authority;
 * only vendors' public services, whose answers are signed themselves, are known by the authorities of this machine. Redirects and proxies are
 * never followed. */
#ifndef CLO_CLIENT_HTTP_CLIENT_H
#define CLO_CLIENT_HTTP_CLIENT_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_client_http clo_client_http;

/** A client for one server; one request at a time, connection kept alive. spki: 32 bytes, the pin. Given to the caller.
 *  Errors: MALFORMED (url is not https://host[:port]), NOMEM. */
CLO_R clo_client_http_new(clo_client_http **out, const char *base_url, const uint8_t *spki);
/** The same for a vendor's public service: TLS 1.2 or later, a certificate for this name from one of the machine's authorities. */
CLO_R clo_client_http_new_public(clo_client_http **out, const char *base_url);
void clo_client_http_free(clo_client_http **c);
/** Token for the following requests ("Bearer …"); NULL = none. Copied. */
CLO_R clo_client_http_token(clo_client_http *c, const char *token);

typedef struct {
    const char *method;       /* "GET", "POST", "PUT" */
    const char *path;         /* "/api/v1/…", with query */
    const char *content_type; /* of body; NULL where there is none */
    clo_span body;
    const char *accept; /* NULL = "application/json" */
    int upload_fd;      /* -1, or: send upload_size bytes of this file from upload_offset instead of body */
    uint64_t upload_offset, upload_size;
    unsigned timeout_ms; /* 0 = 60,000 without any byte; given: for all of it, of uploads and sinks without any byte */
    /** Pieces of the answer instead of `answer` (downloads, event streams); a failure ends the transfer. */
    clo_err (*sink)(void *context, clo_span piece);
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
} clo_client_http_request;
#define CLO_CLIENT_HTTP_REQUEST(m, p) ((clo_client_http_request){.method = (m), .path = (p), .upload_fd = -1})

/** Do one request. 2xx: the body is appended to answer (may be NULL with a sink). Else the problem document becomes the error:
 * its code, sentence and denial, as if it had failed here; *status (may be NULL) is the HTTP status, 0 where none came; the
 * problem's instance id is kept for clo_client_http_instance. Errors also: UNREACHABLE (says which url and why; a wrong pin is
 * DENIED with claim "tls.pin"), TIMEOUT, TOO_LARGE. */
CLO_R clo_client_http_do(clo_client_http *c, const clo_client_http_request *request, clo_buf *answer, unsigned *status);
/** The first 255 bytes of the last answer that was no success, as text; for protocols whose failures are no problem documents. */
const char *clo_client_http_refusal(const clo_client_http *c);
/** A header of the last answer by its name in any case; NULL where it had none. Borrowed until the next request. */
const char *clo_client_http_header(const clo_client_http *c, const char *name);
/** Seconds that the last answer's Retry-After asks to wait, from now where it is a date; 0 = it says nothing that can be read. */
uint64_t clo_client_http_retry_after(const clo_client_http *c);
/** The last failure's id for `cloister explain`, or "". */
const char *clo_client_http_instance(const clo_client_http *c);

#ifdef __cplusplus
}
#endif
#endif
