/* Proves, with a live server: TLS with HTTP/1.1 and HTTP/2 (libcurl as the client) and raw sockets for what no client would send. Dispatch,
 * authentication, statuses, bodies in constant memory both ways, event streams, deadlines, overload, limits, pipelining, resets, and a stop
 * that lets running requests end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clo_own.h"
#include "gateway/config.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include <curl/curl.h>
#include <nghttp2/nghttp2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK(expr) assert_int_equal((expr).code, 0)

/* The service under test. */

static atomic_bool hold;
static atomic_uint held, begun, aborted, calls;
static atomic_ullong uploaded, checksum;
static clo_gateway_hub *hub;
static char home[256];
static uint64_t big_size;

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
    atomic_fetch_add(&held, 1u);
    while (atomic_load(&hold)) clo_os_sleep_ms(1);
    return clo_gateway_response_jsonf(r, "{\"held\":true}");
}
static clo_err h_post(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    unsigned n = atomic_fetch_add(&calls, 1u) + 1;
    clo_gateway_response_status(r, 201);
    return clo_gateway_response_jsonf(r, "{\"call\":%u,\"bytes\":%zu,\"who\":\"%s\"}", n, q->body.n, q->principal.name);
}
static clo_err h_file(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    char path[300];
    int fd = -1;
    CLO_TRY(clo_os_path_join(path, sizeof path, home, "big"));
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    return clo_gateway_response_file(r, "application/octet-stream", fd, 0, big_size);
}
static clo_err h_events(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    return clo_gateway_response_events(r, hub, "runs");
}
static clo_err u_begin(void *context, clo_gateway_request *q)
{
    (void)context;
    atomic_fetch_add(&begun, 1u);
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
    atomic_fetch_add(&aborted, 1u);
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
    return CLO_OK;
}

static clo_gateway_options options_of(clo_crypto_tls_context *tls)
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

typedef struct {
    const char *method, *headers[4];
    const char *body;
    size_t body_size;
    long version;
    uint64_t send_bytes; /* made up as they go */
} call;
typedef struct {
    long status;
    char head[2048], body[3072];
    size_t head_size, body_size;
    uint64_t received;
    CURLcode code;
} answer;

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

static void fetch_url(const char *base, const char *path, const call *c, answer *a)
{
    char url[512];
    (void)snprintf(url, sizeof url, "%s%s", base, path);
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

typedef struct {
    clo_gateway_server *server;
    clo_crypto_tls_context *tls;
    char base[64];
    uint16_t port;
} fixture;

static void fixture_start(fixture *f, clo_gateway_options *o)
{
    OK(clo_gateway_server_start(&f->server, o));
    f->port = clo_gateway_server_port(f->server);
    (void)snprintf(f->base, sizeof f->base, "%s://127.0.0.1:%u", o->tls != NULL ? "https" : "http", (unsigned)f->port);
}
static void fixture_stop(fixture *f)
{
    clo_gateway_server_stop(&f->server, 500);
    assert_null(f->server);
}

static fixture shared;
static int start_shared(void **state)
{
    (void)state;
    uint8_t spki[32];
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (clo_failed(clo_os_log_open("test", NULL, CLO_OS_LOG_NONE))) return -1;
    if (clo_failed(clo_os_dir_temporary("cloister-gateway-", home))) return -1;
    if (clo_failed(clo_gateway_hub_new(&hub, 16))) return -1;
    if (clo_failed(clo_gateway_identity_open(home, "test", 1790000000, false, &shared.tls, spki))) {
        print_message("# %s\n", clo_err_text());
        return -1;
    }
    clo_gateway_options o = options_of(shared.tls);
    fixture_start(&shared, &o);
    return 0;
}
static int stop_shared(void **state)
{
    (void)state;
    fixture_stop(&shared);
    clo_crypto_tls_context_free(&shared.tls);
    clo_gateway_hub_free(&hub);
    return clo_failed(clo_os_tree_remove(home)) ? -1 : 0;
}
static void fetch(const char *path, const call *c, answer *a) { fetch_url(shared.base, path, c, a); }

static const long versions[] = {CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_2TLS};

static void test_dispatch(void **state)
{
    (void)state;
    answer a;
    static const struct {
        const char *method, *path, *header, *body;
        long status;
        const char *in_body, *in_head;
    } cases[] = {
        {"GET", "/status", NULL, NULL, 200, "\"exporter\":1,\"own\":1", "application/json"},
        {"HEAD", "/status", NULL, NULL, 200, NULL, "ontent-"},
        {"GET", "/status", "X-Request-Id: my-id.1", NULL, 200, NULL, "my-id.1"},
        {"GET", "/items/a%20b?limit=7&view=x%2By+z", NULL, NULL, 200, "{\"id\":\"a b\",\"view\":\"x+y z\",\"limit\":7}", "\"v1\""},
        {"GET", "/items/special", NULL, NULL, 200, "peer", NULL},
        {"GET", "/items/a?limit=101", NULL, NULL, 400, "within 1..100", "problem+json"},
        {"GET", "/items/a?limit=x", NULL, NULL, 400, "limit", NULL},
        {"GET", "/items/a?view=1&view=2", NULL, NULL, 400, "twice", NULL},
        {"GET", "/items/%zz", NULL, NULL, 400, "percent", NULL},
        {"GET", "/items/%00", NULL, NULL, 400, "control", NULL},
        {"GET", "/items/", NULL, NULL, 404, "not-found", NULL},
        {"GET", "/items/a/b", NULL, NULL, 404, "not-found", NULL},
        {"GET", "/log/tile/0/x001", NULL, NULL, 200, "tile/0/x001", NULL},
        {"GET", "/items/a", "If-None-Match: W/\"v1\"", NULL, 304, NULL, "\"v1\""},
        {"GET", "/items/a", "Accept: text/html", NULL, 406, "application/json only", NULL},
        {"GET", "/items/a", "Accept: text/html, application/*;q=0.5", NULL, 200, NULL, NULL},
        {"GET", "/items/a", "Accept: application/json;q=0", NULL, 406, NULL, NULL},
        {"DELETE", "/items/a", NULL, NULL, 405, "GET, HEAD, PUT", "llow: GET, HEAD, PUT"},
        {"OPTIONS", "/items/a", NULL, NULL, 204, NULL, "llow: GET, HEAD, PUT"},
        {"BREW", "/items/a", NULL, NULL, 501, NULL, NULL},
        {"PUT", "/items/a", "Content-Type: application/json", "{\"x\":1}", 200, "{\"x\":1}", NULL},
        {"PUT", "/items/a", "Content-Type: application/json; charset=utf-8", "{\"x\":1}", 200, "{\"x\":1}", NULL},
        {"PUT", "/items/a", "Content-Type: application/json", "{\"x\":1,\"x\":2}", 400, NULL, NULL},
        {"PUT", "/items/a", "Content-Type: text/plain", "x", 415, NULL, NULL},
        {"GET", "/denied", NULL, NULL, 403, "\"claim\":\"budget.rho\",\"expected\":\"at most 1/8\",\"actual\":\"3/8 asked \\\"now\\\"\"", NULL},
        {"GET", "/broken", NULL, NULL, 500, "its log has the reason", NULL},
        {"POST", "/post", NULL, "x", 401, "Bearer", "Bearer realm"},
        {"POST", "/post", "Authorization: Bearer bad", "x", 401, "not valid", NULL},
        {"POST", "/post", "Authorization: Basic good", "x", 401, NULL, NULL},
        {"POST", "/post", "Authorization: Bearer good", "x", 201, "\"who\":\"alice\"", NULL},
        {"POST", "/open", NULL, "hello", 201, "\"bytes\":5", NULL},
        {"GET", "/healthz", NULL, NULL, 200, "ok", NULL},
        {"GET", "/readyz", NULL, NULL, 200, "ready", NULL},
        {"GET", "/metrics", NULL, NULL, 200, "cloister_http_requests_total{class=\"2xx\"}", "text/plain"},
        {"GET", "/openapi.json", NULL, NULL, 200, "\"openapi\":\"3.1.0\"", NULL},
    };
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const call c = {.method = cases[i].method, .headers = {cases[i].header}, .body = cases[i].body, .version = versions[v]};
            fetch(cases[i].path, &c, &a);
            bool good = a.status == cases[i].status && (cases[i].in_body == NULL || strstr(a.body, cases[i].in_body) != NULL) &&
                        (cases[i].in_head == NULL || strstr(a.head, cases[i].in_head) != NULL);
            if (!good) print_message("# HTTP/%zu case %zu: %ld %s\n%s\n", v + 1, i, a.status, a.head, a.body);
            assert_true(good);
            assert_int_equal(a.code, CURLE_OK);
            if (a.status >= 500) assert_null(strstr(a.body, "secret"));
        }
    }
    const call big = {.method = "PUT", .headers = {"Content-Type: application/json"}, .send_bytes = 1001};
    fetch("/items/a", &big, &a);
    assert_int_equal(a.status, 413);
    const call stale = {.method = "PUT", .headers = {"Content-Type: application/json", "If-Match: \"v0\""}, .body = "{}"};
    fetch("/items/a", &stale, &a);
    assert_int_equal(a.status, 412);
    const call with_body = {.method = "GET", .body = "x"};
    fetch("/status", &with_body, &a);
    assert_int_equal(a.status, 413);
}

static void test_idempotency(void **state)
{
    (void)state;
    clo_gateway_replay_store *store = NULL;
    OK(clo_gateway_replay_store_new(&store, 2));
    clo_gateway_options o = options_of(NULL);
    o.idempotency = clo_gateway_replay_store_hooks(store);
    fixture f = {0};
    fixture_start(&f, &o);
    answer a, b;
    const call first = {.method = "POST", .headers = {"Authorization: Bearer good", "Idempotency-Key: k1"}, .body = "x"};
    const call other = {.method = "POST", .headers = {"Authorization: Bearer good", "Idempotency-Key: k1"}, .body = "y"};
    unsigned before = atomic_load(&calls);
    fetch_url(f.base, "/post", &first, &a);
    fetch_url(f.base, "/post", &first, &b);
    assert_int_equal(a.status, 201);
    assert_int_equal(b.status, 201);
    assert_string_equal(a.body, b.body);
    assert_non_null(strstr(b.head, "Idempotency-Replayed: true"));
    assert_int_equal(atomic_load(&calls), before + 1);
    fetch_url(f.base, "/post", &other, &b);
    assert_int_equal(b.status, 409);
    fixture_stop(&f);
    clo_gateway_replay_store_free(&store);
}

static uint64_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
    (void)fclose(f);
    return (uint64_t)resident * 4096u;
}

static void test_streams(void **state)
{
    (void)state;
    answer a;
    enum { MANY = 200 * 1000 * 1000 };
    char path[300], want[64];
    int fd = -1;
    big_size = MANY;
    OK(clo_os_path_join(path, sizeof path, home, "big"));
    OK(clo_os_file_open(&fd, path, CLO_OS_OPEN_CREATE, 0600));
    OK(clo_os_file_truncate(fd, big_size));
    clo_os_fd_close(&fd);
    const call small = {.method = "GET"};
    fetch("/status", &small, &a);
    for (size_t v = 0; v < 2; v++) {
        uint64_t before = resident_bytes();
        const call up = {.method = "PUT", .send_bytes = MANY, .version = versions[v]};
        uint64_t t0 = clo_os_now_ns();
        fetch("/upload", &up, &a);
        uint64_t t1 = clo_os_now_ns();
        (void)snprintf(want, sizeof want, "{\"bytes\":%d}", MANY);
        assert_string_equal(a.body, want);
        const call down = {.method = "GET", .version = versions[v]};
        fetch("/file", &down, &a);
        uint64_t t2 = clo_os_now_ns();
        assert_int_equal(a.code, CURLE_OK);
        assert_int_equal(a.received, MANY);
        uint64_t after = resident_bytes();
        print_message("# %s up %.0f MB/s, down %.0f MB/s, memory +%.1f MB\n", v == 0 ? "HTTP/1.1" : "HTTP/2", 2e11 / (double)(t1 - t0),
                      2e11 / (double)(t2 - t1), (double)after / 1e6 - (double)before / 1e6);
#if !defined(__SANITIZE_ADDRESS__)
        assert_true(after < before + 24000000u);
#endif
    }
    const call range = {.method = "GET", .headers = {"Range: bytes=10-19"}};
    fetch("/file", &range, &a);
    assert_int_equal(a.status, 206);
    assert_int_equal(a.received, 10);
    assert_non_null(strstr(a.head, "Content-Range: bytes 10-19/200000000"));
    const call tail = {.method = "GET", .headers = {"Range: bytes=-5"}};
    fetch("/file", &tail, &a);
    assert_int_equal(a.received, 5);
    const call beyond = {.method = "GET", .headers = {"Range: bytes=200000000-"}};
    fetch("/file", &beyond, &a);
    assert_int_equal(a.status, 416);
    const call chunked = {.method = "PUT", .headers = {"Transfer-Encoding: chunked"}, .send_bytes = 3000000};
    fetch("/upload", &chunked, &a);
    assert_string_equal(a.body, "{\"bytes\":3000000}");
}

static void test_upload_failures(void **state)
{
    (void)state;
    answer a;
    for (size_t v = 0; v < 2; v++) {
        unsigned before = atomic_load(&aborted);
        const call bad = {.method = "PUT", .body = "X rest", .version = versions[v]};
        fetch("/upload", &bad, &a);
        assert_int_equal(a.status, 400);
        assert_non_null(strstr(a.body, "this upload is bad"));
        assert_int_equal(atomic_load(&aborted), before + 1);
        const call empty = {.method = "PUT", .body = "", .version = versions[v]};
        fetch("/upload", &empty, &a);
        assert_string_equal(a.body, "{\"bytes\":0}");
        const call declared = {.method = "PUT", .send_bytes = 1001, .version = versions[v]};
        fetch("/small-upload", &declared, &a);
        if (a.status != 413) print_message("# HTTP/%zu: curl %d %s\n", v + 1, (int)a.code, a.head);
        assert_int_equal(a.status, 413);
    }
    const call unknown = {.method = "PUT", .headers = {"Transfer-Encoding: chunked"}, .send_bytes = 100000};
    unsigned before = atomic_load(&aborted);
    fetch("/small-upload", &unknown, &a);
    assert_int_equal(a.status, 413);
    for (int i = 0; i < 200 && atomic_load(&aborted) == before; i++) clo_os_sleep_ms(5);
    assert_int_equal(atomic_load(&aborted), before + 1);
}

/* Raw sockets on a plain server. */

static uint64_t soon(unsigned ms) { return clo_os_now_ns() + (uint64_t)ms * 1000000u; }

static int dial(const fixture *f)
{
    int fd = -1;
    OK(clo_os_net_connect(&fd, "127.0.0.1", f->port, 2000));
    return fd;
}
static void say(int fd, const char *text) { OK(clo_os_net_send_all(fd, clo_span_str(text), soon(2000))); }

/* Read until the end of the stream, or until `until` has come, or the time is over; returns whether the peer closed. */
static bool hear(int fd, char *to, size_t size, const char *until, unsigned ms)
{
    size_t n = strlen(to), looked = 0;
    uint64_t deadline = soon(ms);
    while (until == NULL || strstr(to + looked, until) == NULL) {
        looked = n > 100 ? n - 100 : 0;
        size_t got = 0;
        if (n + 1 >= size || clo_failed(clo_os_net_receive(fd, to + n, size - 1 - n, deadline, &got))) return false;
        if (got == 0) return true;
        n += got;
        to[n] = 0;
    }
    return false;
}

static void test_raw(void **state)
{
    (void)state;
    clo_gateway_options o = options_of(NULL);
    o.head_timeout_ms = 300;
    o.idle_timeout_ms = 600;
    o.rate_window_ms = 200;
    fixture f = {0};
    fixture_start(&f, &o);
    static const struct {
        const char *send, *want;
        bool closes;
    } cases[] = {
        {"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /status HTTP/1.1\r\n", "400 Bad", true},
        {"GET /status HTTP/1.1\nHost: a\n\n", "400 Bad", true},
        {"GET /status HTTP/1.1\r\n\r\n", "400 Bad", true},
        {"GET /status HTTP/3.0\r\nHost: a\r\n\r\n", "505 HTTP", true},
        {"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not", true},
        {"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400 Bad", true},
        {"GET /status HTTP/1.0\r\n\r\n", "200 OK", true},
        {"GET /status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: keep-alive", false},
        {"GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "Connection: close", true},
        {"GET /items/x HTTP/1.1\r\nHost: a\r\n\r\n", "\"id\":\"x\"", false},
        {"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "100 Continue", false},
        {"PUT /items/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n", "413 Content", true},
        {"G", "408 Request Timeout", true},
        {"GET /status HTTP/1.1\r\nHost: a\r\nX: ", "408 Request Timeout", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[8192] = "";
        int fd = dial(&f);
        say(fd, cases[i].send);
        bool closed = hear(fd, got, sizeof got, cases[i].closes ? NULL : cases[i].want, 3000);
        bool good = strstr(got, cases[i].want) != NULL && closed == cases[i].closes;
        if (!good) print_message("# case %zu closed %d: %s\n", i, closed, got);
        assert_true(good);
        const char *second = strstr(got, "\nHTTP/1.1 ");
        if (second != NULL) print_message("# case %zu: %s\n", i, got);
        assert_true(second == NULL); /* nothing smuggled */
        clo_os_fd_close(&fd);
    }
    /* Silence: closed without a word. */
    char got[8192] = "";
    int fd = dial(&f);
    assert_true(hear(fd, got, sizeof got, NULL, 3000));
    assert_string_equal(got, "");
    clo_os_fd_close(&fd);
    /* Pipelined requests are answered in order, those on workers too; a head may come byte by byte. */
    fd = dial(&f);
    say(fd, "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /status HTTP/1.1\r\nHost: a\r\n\r\nPOST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
            "GET /items/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /items/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    got[0] = 0;
    assert_true(hear(fd, got, sizeof got, NULL, 3000));
    const char *one = strstr(got, "\"id\":\"1\""), *two = strstr(got, "\"peer\""), *three = strstr(got, "\"bytes\":2"), *four = strstr(got, "\"id\":\"2\"");
    assert_true(one != NULL && two > one && three > two && four > three);
    assert_null(strstr(got, "\"id\":\"3\""));
    clo_os_fd_close(&fd);
    fd = dial(&f);
    static const char drip[] = "GET /items/drip HTTP/1.1\r\nHost: a\r\n\r\n";
    for (size_t i = 0; i < sizeof drip - 1; i++) {
        OK(clo_os_net_send_all(fd, clo_span_of(drip + i, 1), soon(1000)));
        clo_os_sleep_ms(1);
    }
    got[0] = 0;
    assert_false(hear(fd, got, sizeof got, "\"id\":\"drip\"", 3000));
    clo_os_fd_close(&fd);
    /* Half closed after the request: the answer still comes. */
    fd = dial(&f);
    say(fd, "GET /items/half HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    got[0] = 0;
    assert_true(hear(fd, got, sizeof got, NULL, 3000));
    assert_non_null(strstr(got, "\"id\":\"half\""));
    clo_os_fd_close(&fd);
    /* A body that trickles below the floor ends the connection and the upload. */
    unsigned before = atomic_load(&aborted);
    fd = dial(&f);
    say(fd, "PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
    got[0] = 0;
    assert_true(hear(fd, got, sizeof got, NULL, 3000));
    for (int i = 0; i < 200 && atomic_load(&aborted) == before; i++) clo_os_sleep_ms(5);
    assert_int_equal(atomic_load(&aborted), before + 1);
    clo_os_fd_close(&fd);
    fixture_stop(&f);
}

typedef struct {
    fixture *f;
    const char *path;
    answer a;
    clo_os_thread *thread;
} background;
static void run_background(void *context)
{
    background *b = context;
    const call c = {.method = "GET"};
    fetch_url(b->f->base, b->path, &c, &b->a);
}

static void test_overload_and_stop(void **state)
{
    (void)state;
    clo_gateway_options o = options_of(NULL);
    o.workers = 1;
    o.queue_max = 1;
    o.connections_per_peer_max = 8;
    fixture f = {0};
    fixture_start(&f, &o);
    atomic_store(&hold, true);
    unsigned before = atomic_load(&held);
    static background first, second;
    first = (background){.f = &f, .path = "/hold"};
    second = (background){.f = &f, .path = "/hold"};
    OK(clo_os_thread_start(&first.thread, "c", run_background, &first));
    while (atomic_load(&held) == before) clo_os_sleep_ms(1);
    OK(clo_os_thread_start(&second.thread, "c", run_background, &second));
    while (clo_gateway_server_pending(f.server) < 2) clo_os_sleep_ms(1);
    clo_os_sleep_ms(20);
    answer a;
    const call c = {.method = "GET"};
    fetch_url(f.base, "/items/x", &c, &a);
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.head, "Retry-After: 1"));
    fetch_url(f.base, "/status", &c, &a); /* inline answers go on */
    assert_int_equal(a.status, 200);
    int fds[10];
    for (int i = 0; i < 10; i++) fds[i] = dial(&f);
    char got[64] = "";
    assert_true(hear(fds[9], got, sizeof got, NULL, 2000)); /* beyond the peer's share */
    for (int i = 0; i < 10; i++) clo_os_fd_close(&fds[i]);
    /* The stop waits for the two that run. */
    clo_os_sleep_ms(20);
    atomic_store(&hold, false);
    fixture_stop(&f);
    clo_os_thread_join(&first.thread);
    clo_os_thread_join(&second.thread);
    assert_int_equal(first.a.status, 200);
    assert_int_equal(second.a.status, 200);
}

static void test_rate_limit(void **state)
{
    (void)state;
    clo_gateway_options o = options_of(NULL);
    o.limits = (clo_gateway_limits){.peer_per_second = 1, .peer_burst = 3};
    fixture f = {0};
    fixture_start(&f, &o);
    answer a;
    const call c = {.method = "GET"};
    unsigned refused = 0;
    for (int i = 0; i < 6; i++) {
        fetch_url(f.base, "/status", &c, &a);
        refused += a.status == 429 && strstr(a.head, "Retry-After:") != NULL;
    }
    assert_in_range(refused, 2, 3);
    fetch_url(f.base, "/healthz", &c, &a);
    assert_int_equal(a.status, 200);
    fixture_stop(&f);
}

/* Events. */

typedef struct {
    char text[4096];
    size_t n;
    unsigned wanted;
} heard;
static size_t on_event(char *p, size_t size, size_t n, void *context)
{
    heard *h = context;
    if (h->n + size * n < sizeof h->text) memcpy(h->text + h->n, p, size * n);
    h->n += size * n;
    unsigned seen = 0;
    for (const char *at = strstr(h->text, "data: "); at != NULL; at = strstr(at + 1, "data: ")) seen++;
    return seen >= h->wanted ? 0 : size * n; /* 0 ends the transfer */
}
static void listen_events(long version, const char *last, unsigned wanted, heard *h)
{
    char url[128], header[128] = "Accept: text/event-stream";
    (void)snprintf(url, sizeof url, "%s/events", shared.base);
    struct curl_slist *list = curl_slist_append(NULL, header);
    if (last != NULL) {
        (void)snprintf(header, sizeof header, "Last-Event-ID: %s", last);
        list = curl_slist_append(list, header);
    }
    *h = (heard){.wanted = wanted};
    CURL *c = curl_easy_init();
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, version);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_event);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 10L);
    (void)curl_easy_perform(c);
    curl_slist_free_all(list);
    curl_easy_cleanup(c);
}
static void publish_later(void *context)
{
    (void)context;
    while (clo_gateway_hub_listeners(hub) == 0) clo_os_sleep_ms(2);
    for (int i = 0; i < 3; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "live %d\nsecond", i);
        clo_err e = clo_gateway_hub_publish(hub, "runs", "progress", clo_span_str(text));
        assert_int_equal(e.code, 0);
        clo_os_sleep_ms(10);
    }
}

static void test_events(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        heard h;
        clo_os_thread *t = NULL;
        while (clo_gateway_hub_listeners(hub) != 0) clo_os_sleep_ms(2); /* of the round before */
        OK(clo_os_thread_start(&t, "pub", publish_later, NULL));
        listen_events(versions[v], NULL, 6, &h);
        clo_os_thread_join(&t);
        assert_non_null(strstr(h.text, "event: progress\ndata: live 0\ndata: second\n\n"));
        const char *id = strstr(h.text, "id: ");
        assert_non_null(id);
        char last[40] = "";
        memcpy(last, id + 4, strcspn(id + 4, "\n"));
        listen_events(versions[v], last, 4, &h); /* the two behind the first */
        assert_null(strstr(h.text, "live 0"));
        assert_non_null(strstr(h.text, "live 1"));
        assert_non_null(strstr(h.text, "live 2"));
        listen_events(versions[v], "00000000-7", 6, &h); /* of another life: all */
        assert_non_null(strstr(h.text, "live 0"));
    }
    for (int i = 0; i < 400 && clo_gateway_hub_listeners(hub) != 0; i++) clo_os_sleep_ms(5);
    assert_int_equal(clo_gateway_hub_listeners(hub), 0);
}

/* A client that does not read while much is published: it is told how much it lost. */
static void test_lagged(void **state)
{
    (void)state;
    clo_gateway_options o = options_of(NULL);
    fixture f = {0};
    fixture_start(&f, &o);
    int fd = dial(&f);
    say(fd, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    while (clo_gateway_hub_listeners(hub) == 0) clo_os_sleep_ms(2);
    char *data = malloc(16000);
    assert_non_null(data);
    memset(data, 'z', 16000);
    for (int i = 0; i < 2000; i++) OK(clo_gateway_hub_publish(hub, "runs", NULL, clo_span_of(data, 16000)));
    free(data);
    char *all = calloc(1, 20000000);
    assert_non_null(all);
    assert_false(hear(fd, all, 20000000, "event: lagged\ndata: {\"lost\":", 5000));
    assert_non_null(strstr(all, "event: lagged"));
    free(all);
    clo_os_fd_close(&fd);
    fixture_stop(&f);
}

/* Streams opened and reset at once. */
typedef struct {
    int fd;
    uint32_t goaway;
    bool ended;
} h2_client;
static ssize_t h2_send(nghttp2_session *s, const uint8_t *data, size_t n, int flags, void *user)
{
    (void)s;
    (void)flags;
    h2_client *c = user;
    return clo_failed(clo_os_net_send_all(c->fd, clo_span_of(data, n), soon(2000))) ? NGHTTP2_ERR_CALLBACK_FAILURE : (ssize_t)n;
}
static int h2_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    (void)s;
    h2_client *c = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        c->goaway = frame->goaway.error_code;
        c->ended = true;
    }
    return 0;
}

static void test_rapid_reset(void **state)
{
    (void)state;
    clo_gateway_options o = options_of(NULL);
    o.http2 = true;
    fixture f = {0};
    fixture_start(&f, &o);
    h2_client c = {.fd = dial(&f)};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_session *s = NULL;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_send_callback(callbacks, h2_send);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, h2_frame);
    assert_int_equal(nghttp2_session_client_new(&s, callbacks, &c), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(s, NGHTTP2_FLAG_NONE, NULL, 0), 0);
#define NV(n, v) {(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, sizeof(v) - 1, NGHTTP2_NV_FLAG_NONE}
    const nghttp2_nv nv[] = {NV(":method", "GET"), NV(":path", "/items/x"), NV(":scheme", "http"), NV(":authority", "a")};
    for (int i = 0; i < 400 && !c.ended; i++) {
        int32_t id = nghttp2_submit_request(s, NULL, nv, 4, NULL, NULL);
        assert_true(id > 0);
        if (nghttp2_session_send(s) != 0) break;
        (void)nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        if (nghttp2_session_send(s) != 0) break;
        static uint8_t in[16384];
        size_t n = 0;
        clo_err e = clo_os_net_receive(c.fd, in, sizeof in, soon(i < 390 ? 1 : 500), &n);
        if (!clo_failed(e) && n != 0) (void)nghttp2_session_mem_recv(s, in, n);
    }
    assert_true(c.ended);
    assert_int_equal(c.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    nghttp2_session_del(s);
    clo_os_fd_close(&c.fd);
    fixture_stop(&f);
}

static void test_bad_tables(void **state)
{
    (void)state;
    const clo_gateway_route twice[] = {{.method = CLO_GATEWAY_GET, .path = "/a/{x}", .handler = h_status},
                                       {.method = CLO_GATEWAY_GET, .path = "/a/{y}", .handler = h_status}};
    const clo_gateway_route none[] = {{.method = CLO_GATEWAY_GET, .path = "/a"}};
    const clo_gateway_route relative[] = {{.method = CLO_GATEWAY_GET, .path = "a", .handler = h_status}};
    const clo_gateway_route *const tables[] = {twice, none, relative};
    for (size_t i = 0; i < 3; i++) {
        clo_gateway_options o = options_of(NULL);
        clo_gateway_server *s = NULL;
        o.routes = tables[i];
        o.route_count = i == 0 ? 2 : 1;
        assert_int_equal(clo_gateway_server_start(&s, &o).code, CLO_E_RANGE);
        assert_null(s);
    }
    clo_gateway_options o = options_of(NULL);
    clo_gateway_server *s = NULL;
    o.port = shared.port;
    assert_int_equal(clo_gateway_server_start(&s, &o).code, CLO_E_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch),  cmocka_unit_test(test_idempotency),       cmocka_unit_test(test_streams),    cmocka_unit_test(test_upload_failures),
        cmocka_unit_test(test_raw),       cmocka_unit_test(test_overload_and_stop), cmocka_unit_test(test_rate_limit), cmocka_unit_test(test_events),
        cmocka_unit_test(test_lagged),    cmocka_unit_test(test_rapid_reset),       cmocka_unit_test(test_bad_tables),
    };
    return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
