/* The service, the server and the client of the server tests. */
#include "server_fixture.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include <stdio.h>
#include <stdlib.h>

/* The service under test. */

atomic_bool fixture_hold;
atomic_uint fixture_held, fixture_aborted, fixture_calls;
static atomic_ullong uploaded, checksum;
clo_gateway_hub *fixture_hub;
char fixture_home[256];
uint64_t fixture_big_size;

static clo_err h_status(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    uint8_t exporter[32], own[32];
    return clo_gateway_response_jsonf(r, "{\"peer\":\"%s\",\"http2\":%d,\"exporter\":%d,\"own\":%d}", q->peer, q->http2,
                                      clo_gateway_request_exporter(q, exporter), clo_gateway_request_own_spki(q, own));
}
static clo_err h_item(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    const char *view = NULL;
    int64_t limit = 0;
    CLO_TRY(clo_gateway_request_query(q, "view", &view));
    CLO_TRY(clo_gateway_request_query_int(q, "limit", 50, 1, 100, &limit));
    CLO_TRY(clo_gateway_response_etag(r, "\"v1\""));
    CLO_TRY(clo_gateway_response_header(r, "X-Thing", "yes"));
    return clo_gateway_response_jsonf(r, "{\"id\":\"%s\",\"view\":\"%s\",\"limit\":%lld}", clo_gateway_request_param(q, "id"), view != NULL ? view : "",
                                      (long long)limit);
}
static clo_err h_put_item(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    clo_wire_node *node = NULL;
    CLO_TRY(clo_gateway_request_if_match(q, "\"v1\""));
    CLO_TRY(clo_gateway_request_tree(q, &node));
    return clo_gateway_response_tree(r, node);
}
static clo_err h_rest(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    return clo_gateway_response_bytes(r, "text/plain", clo_span_str(clo_gateway_request_param(q, "rest")));
}
static clo_err h_denied(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    (void)r;
    return CLO_DENY(CLO_E_BUDGET, "budget.rho", "at most 1/8", "3/8 asked \"now\"", "agreement a1", "ask for less");
}
static clo_err h_broken(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    (void)r;
    return CLO_FAILF(CLO_E_IO, "secret path /x/y");
}
static clo_err h_hold(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    atomic_fetch_add(&fixture_held, 1u);
    while (atomic_load(&fixture_hold)) clo_os_sleep_ms(1);
    return clo_gateway_response_jsonf(r, "{\"held\":true}");
}
static clo_err h_post(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    unsigned n = atomic_fetch_add(&fixture_calls, 1u) + 1;
    clo_gateway_response_status(r, 201);
    return clo_gateway_response_jsonf(r, "{\"call\":%u,\"bytes\":%zu,\"who\":\"%s\",\"key\":%u}", n, q->body.n, q->principal.name, q->principal.key[31]);
}
static clo_err h_file(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    char path[300];
    int fd = -1;
    CLO_TRY(clo_os_path_join(path, sizeof path, fixture_home, "big"));
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    return clo_gateway_response_file(r, "application/octet-stream", fd, 0, fixture_big_size);
}
static clo_err h_events(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    return clo_gateway_response_events(r, fixture_hub, "runs");
}
static clo_err u_begin(void *context, clo_gateway_request *q)
{
    (void)context;
    atomic_store(&uploaded, 0u);
    atomic_store(&checksum, 0u);
    q->upload = &uploaded;
    return CLO_OK;
}
static clo_err u_data(void *context, clo_gateway_request *q, clo_span piece)
{
    (void)context;
    assert_ptr_equal(q->upload, &uploaded);
    unsigned long long sum = atomic_load(&checksum);
    for (size_t i = 0; i < piece.n; i++) sum = sum * 31 + piece.p[i];
    atomic_store(&checksum, sum);
    atomic_fetch_add(&uploaded, piece.n);
    CLO_CHECKF(piece.n == 0 || piece.p[0] != 'X', CLO_E_MALFORMED, "this upload is bad");
    return CLO_OK;
}
static clo_err u_end(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    return clo_gateway_response_jsonf(r, "{\"bytes\":%llu}", atomic_load(&uploaded));
}
static void u_abort(void *context, clo_gateway_request *q)
{
    (void)context;
    (void)q;
    atomic_fetch_add(&fixture_aborted, 1u);
}
static const clo_gateway_upload upload = {.begin = u_begin, .data = u_data, .end = u_end, .abort = u_abort};

static const clo_gateway_route routes[] = {
    {.method = CLO_GATEWAY_GET, .path = "/status", .flags = CLO_GATEWAY_INLINE, .handler = h_status, .produces = "application/json"},
    {.method = CLO_GATEWAY_GET, .path = "/items/{id}", .handler = h_item, .produces = "application/json", .summary = "One item", .tag = "items"},
    {.method = CLO_GATEWAY_PUT, .path = "/items/{id}", .handler = h_put_item, .body_max = 1000, .consumes = "application/json, application/cbor"},
    {.method = CLO_GATEWAY_GET, .path = "/items/special", .flags = CLO_GATEWAY_INLINE, .handler = h_status},
    {.method = CLO_GATEWAY_GET, .path = "/log/{rest*}", .handler = h_rest},
    {.method = CLO_GATEWAY_GET, .path = "/denied", .handler = h_denied},
    {.method = CLO_GATEWAY_GET, .path = "/broken", .flags = CLO_GATEWAY_INLINE, .handler = h_broken},
    {.method = CLO_GATEWAY_GET, .path = "/hold", .handler = h_hold},
    {.method = CLO_GATEWAY_POST, .path = "/post", .flags = CLO_GATEWAY_IDEMPOTENT, .auth = CLO_GATEWAY_AUTH_PARTY, .handler = h_post,
     .body_max = 4 << 20},
    {.method = CLO_GATEWAY_POST, .path = "/open", .flags = CLO_GATEWAY_INLINE, .handler = h_post, .body_max = 100},
    {.method = CLO_GATEWAY_GET, .path = "/file", .handler = h_file},
    {.method = CLO_GATEWAY_GET, .path = "/events", .flags = CLO_GATEWAY_INLINE, .handler = h_events, .produces = "text/event-stream"},
    {.method = CLO_GATEWAY_PUT, .path = "/upload", .upload = &upload, .body_max = (uint64_t)1 << 40},
    {.method = CLO_GATEWAY_PUT, .path = "/small-upload", .upload = &upload, .body_max = 1000},
};

static clo_err authenticate(void *context, const clo_gateway_request *q, clo_gateway_principal *out)
{
    (void)context;
    clo_span token;
    CLO_TRY(clo_gateway_bearer_token(q, &token));
    if (token.n == 0) return CLO_OK;
    CLO_CHECKF(clo_span_equal(token, clo_span_str("good")), CLO_E_UNAUTHENTICATED, "this token is not valid");
    out->kind = CLO_GATEWAY_PRINCIPAL_PARTY;
    (void)snprintf(out->name, sizeof out->name, "alice");
    memset(out->key, 7, sizeof out->key);
    return CLO_OK;
}

clo_gateway_options fixture_options(clo_crypto_tls_context *tls)
{
    return (clo_gateway_options){.name = "test",
                                 .tls = tls,
                                 .http2 = tls != NULL,
                                 .routes = routes,
                                 .route_count = sizeof routes / sizeof routes[0],
                                 .authenticator = {.authenticate = authenticate},
                                 .openapi_path = "/openapi.json",
                                 .standard_routes = true,
                                 .loops = 2};
}

/* The client. */

static size_t on_body(char *p, size_t size, size_t n, void *context)
{
    answer *a = context;
    a->received += size * n;
    size_t room = sizeof a->body - 1 - a->body_size, take = size * n < room ? size * n : room;
    memcpy(a->body + a->body_size, p, take);
    a->body_size += take;
    a->body[a->body_size] = 0;
    return size * n;
}
static size_t on_head(char *p, size_t size, size_t n, void *context)
{
    answer *a = context;
    size_t room = sizeof a->head - 1 - a->head_size, take = size * n < room ? size * n : room;
    memcpy(a->head + a->head_size, p, take);
    a->head_size += take;
    a->head[a->head_size] = 0;
    return size * n;
}
static size_t on_send(char *p, size_t size, size_t n, void *context)
{
    uint64_t *left = context;
    size_t take = size * n < *left ? size * n : (size_t)*left;
    memset(p, 'a', take);
    *left -= take;
    return take;
}

void fixture_fetch(const fixture *f, const char *path, const call *c, answer *a)
{
    char url[512];
    (void)snprintf(url, sizeof url, "%s%s", f->base, path);
    *a = (answer){.status = 0};
    CURL *h = curl_easy_init();
    assert_non_null(h);
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < 4 && c->headers[i] != NULL; i++) list = curl_slist_append(list, c->headers[i]);
    uint64_t left = c->send_bytes;
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, c->version != 0 ? c->version : CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(h, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    if (c->send_bytes != 0) {
        curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->send_bytes);
        curl_easy_setopt(h, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(h, CURLOPT_READDATA, &left);
    } else if (c->body != NULL) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, c->body);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(c->body_size != 0 ? c->body_size : strlen(c->body)));
    }
    if (c->method != NULL && strcmp(c->method, "HEAD") == 0) curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    else if (c->method != NULL) curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, c->method);
    a->code = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &a->status);
    curl_slist_free_all(list);
    curl_easy_cleanup(h);
}

void fixture_start(fixture *f, clo_gateway_options *o)
{
    OK(clo_gateway_server_start(&f->server, o));
    f->port = clo_gateway_server_port(f->server);
    (void)snprintf(f->base, sizeof f->base, "%s://127.0.0.1:%u", o->tls != NULL ? "https" : "http", (unsigned)f->port);
}
void fixture_stop(fixture *f)
{
    clo_gateway_server_stop(&f->server, 500);
    assert_null(f->server);
}

fixture fixture_shared;
int fixture_open(void **state)
{
    (void)state;
    uint8_t spki[32];
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (clo_failed(clo_os_log_open("test", NULL, CLO_OS_LOG_NONE))) return -1;
    if (clo_failed(clo_os_dir_temporary("cloister-gateway-", fixture_home))) return -1;
    if (clo_failed(clo_gateway_hub_new(&fixture_hub, 16))) return -1;
    if (clo_failed(clo_gateway_identity_open(fixture_home, "test", 1790000000, false, &fixture_shared.tls, spki))) {
        print_message("# %s\n", clo_err_text());
        return -1;
    }
    clo_gateway_options o = fixture_options(fixture_shared.tls);
    fixture_start(&fixture_shared, &o);
    return 0;
}
int fixture_close(void **state)
{
    (void)state;
    fixture_stop(&fixture_shared);
    clo_crypto_tls_context_free(&fixture_shared.tls);
    clo_gateway_hub_free(&fixture_hub);
    return clo_failed(clo_os_tree_remove(fixture_home)) ? -1 : 0;
}
