/* A service with one route of each kind, on a live server, and a libcurl client: what the server tests share. */
#ifndef CLO_SERVER_FIXTURE_H
#define CLO_SERVER_FIXTURE_H
#include "cmocka_all.h"
#include "gateway/config.h"
#include <curl/curl.h>
#include <stdatomic.h>

#define OK(expr) assert_ok(expr)

typedef struct {
    const char *method, *headers[4];
    const char *body;
    size_t body_size;
    long version;        /* CURL_HTTP_VERSION_…; 0 = 1.1 */
    uint64_t send_bytes; /* made up as they go */
} call;
typedef struct {
    long status;
    char head[2048], body[3072];
    size_t head_size, body_size;
    uint64_t received;
    CURLcode code;
} answer;
typedef struct {
    clo_gateway_server *server;
    clo_crypto_tls_context *tls;
    char base[64];
    uint16_t port;
} fixture;

/* What the handlers saw; `hold` keeps GET /hold waiting. */
extern atomic_bool fixture_hold;
extern atomic_uint fixture_held, fixture_aborted, fixture_calls;
extern clo_gateway_hub *fixture_hub;
extern char fixture_home[256];
extern uint64_t fixture_big_size; /* of the file "big" in the home */
extern fixture fixture_shared;    /* TLS, HTTP/1.1 and HTTP/2 */

int fixture_open(void **state);
int fixture_close(void **state);
/** Options of a server over the fixture's routes; tls NULL = plain. */
clo_gateway_options fixture_options(clo_crypto_tls_context *tls);
void fixture_start(fixture *f, clo_gateway_options *o);
void fixture_stop(fixture *f);
void fixture_fetch(const fixture *f, const char *path, const call *c, answer *a);
#endif
