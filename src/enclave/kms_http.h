/* The smallest strict HTTP/1.1 client that can talk to a key service: one request, one response, body by Content-Length only.
 * Sans-I/O: bytes in, events out. */
#ifndef CLO_ENCLAVE_KMS_HTTP_H
#define CLO_ENCLAVE_KMS_HTTP_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_ENCLAVE_HTTP_HEAD_MAX = 8192, CLO_ENCLAVE_HTTP_BODY_MAX = 1024 * 1024, CLO_ENCLAVE_HTTP_HEADERS_MAX = 64 };

/** Append a request: method GET without, POST with a body (application/cbor). host is "name:port". */
CLO_R clo_enclave_http_request(clo_buf *out, const char *method, const char *path, const char *host, const char *content_type, clo_span body);

typedef enum { CLO_ENCLAVE_HTTP_HEAD, CLO_ENCLAVE_HTTP_BODY, CLO_ENCLAVE_HTTP_DONE, CLO_ENCLAVE_HTTP_DEAD } clo_enclave_http_state;

/* A response being read. Free with clo_enclave_http_response_free. */
typedef struct {
    clo_enclave_http_state state;
    unsigned status;            /* 200..599 once past HEAD */
    char content_type[64];      /* lower case, without parameters; empty where absent */
    bool close;                 /* the server will close this connection */
    size_t body_size;           /* announced */
    clo_buf head;
    clo_buf body;
} clo_enclave_http_response;
void clo_enclave_http_response_init(clo_enclave_http_response *r);
/** Feed bytes as they come. Refused: any version but 1.1, status outside 200..599, Transfer-Encoding, a missing or repeated or
 *  malformed Content-Length (but for 204), bare LF or CR, folded lines, control bytes, heads over 8 KiB, bodies over 1 MiB, and bytes
 *  behind the response. After an error the response is dead and its content is freed.
 *  Errors: MALFORMED, UNSUPPORTED, TOO_LARGE, DUPLICATE, TRAILING. */
CLO_R clo_enclave_http_response_feed(clo_enclave_http_response *r, clo_span in);
/** The peer has closed: fine where the response is complete. Errors: TRUNCATED. */
CLO_R clo_enclave_http_response_end(const clo_enclave_http_response *r);
void clo_enclave_http_response_free(clo_enclave_http_response *r);

#ifdef __cplusplus
}
#endif
#endif
