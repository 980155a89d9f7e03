/* Proves, with a live server over TLS and plain, HTTP/1.1 and HTTP/2, and libcurl as the client: dispatch, authentication, statuses,
 * idempotency, bodies in constant memory both ways, event streams, limits, and tables that contradict themselves. */
#include "server_fixture.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/loop.h"
#include <stdio.h>
#include <stdlib.h>

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
            fixture_fetch(&fixture_shared, cases[i].path, &c, &a);
            bool good = a.status == cases[i].status && (cases[i].in_body == NULL || strstr(a.body, cases[i].in_body) != NULL) &&
                        (cases[i].in_head == NULL || strstr(a.head, cases[i].in_head) != NULL);
            if (!good) print_message("# HTTP/%zu case %zu: %ld %s\n%s\n", v + 1, i, a.status, a.head, a.body);
            assert_true(good);
            assert_int_equal(a.code, CURLE_OK);
            if (a.status >= 500) assert_null(strstr(a.body, "secret"));
        }
    }
    const call big = {.method = "PUT", .headers = {"Content-Type: application/json"}, .send_bytes = 1001};
    fixture_fetch(&fixture_shared, "/items/a", &big, &a);
    assert_int_equal(a.status, 413);
    const call stale = {.method = "PUT", .headers = {"Content-Type: application/json", "If-Match: \"v0\""}, .body = "{}"};
    fixture_fetch(&fixture_shared, "/items/a", &stale, &a);
    assert_int_equal(a.status, 412);
    const call with_body = {.method = "GET", .body = "x"};
    fixture_fetch(&fixture_shared, "/status", &with_body, &a);
    assert_int_equal(a.status, 413);
}

static void test_idempotency(void **state)
{
    (void)state;
    clo_gateway_replay_store *store = NULL;
    OK(clo_gateway_replay_store_new(&store, 2));
    clo_gateway_options o = fixture_options(NULL);
    o.idempotency = clo_gateway_replay_store_hooks(store);
    fixture f = {0};
    fixture_start(&f, &o);
    answer a, b;
    const call first = {.method = "POST", .headers = {"Authorization: Bearer good", "Idempotency-Key: k1"}, .body = "x"};
    const call other = {.method = "POST", .headers = {"Authorization: Bearer good", "Idempotency-Key: k1"}, .body = "y"};
    unsigned before = atomic_load(&fixture_calls);
    fixture_fetch(&f, "/post", &first, &a);
    fixture_fetch(&f, "/post", &first, &b);
    assert_int_equal(a.status, 201);
    assert_int_equal(b.status, 201);
    assert_string_equal(a.body, b.body);
    assert_non_null(strstr(b.head, "Idempotency-Replayed: true"));
    assert_int_equal(atomic_load(&fixture_calls), before + 1);
    fixture_fetch(&f, "/post", &other, &b);
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
    fixture_big_size = MANY;
    OK(clo_os_path_join(path, sizeof path, fixture_home, "big"));
    OK(clo_os_file_open(&fd, path, CLO_OS_OPEN_CREATE, 0600));
    OK(clo_os_file_truncate(fd, fixture_big_size));
    clo_os_fd_close(&fd);
    const call small = {.method = "GET"};
    fixture_fetch(&fixture_shared, "/status", &small, &a);
    for (size_t v = 0; v < 2; v++) {
        uint64_t before = resident_bytes();
        const call up = {.method = "PUT", .send_bytes = MANY, .version = versions[v]};
        uint64_t t0 = clo_os_now_ns();
        fixture_fetch(&fixture_shared, "/upload", &up, &a);
        uint64_t t1 = clo_os_now_ns();
        (void)snprintf(want, sizeof want, "{\"bytes\":%d}", MANY);
        assert_string_equal(a.body, want);
        const call down = {.method = "GET", .version = versions[v]};
        fixture_fetch(&fixture_shared, "/file", &down, &a);
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
    fixture_fetch(&fixture_shared, "/file", &range, &a);
    assert_int_equal(a.status, 206);
    assert_int_equal(a.received, 10);
    assert_non_null(strstr(a.head, "Content-Range: bytes 10-19/200000000"));
    const call tail = {.method = "GET", .headers = {"Range: bytes=-5"}};
    fixture_fetch(&fixture_shared, "/file", &tail, &a);
    assert_int_equal(a.received, 5);
    const call beyond = {.method = "GET", .headers = {"Range: bytes=200000000-"}};
    fixture_fetch(&fixture_shared, "/file", &beyond, &a);
    assert_int_equal(a.status, 416);
    const call chunked = {.method = "PUT", .headers = {"Transfer-Encoding: chunked"}, .send_bytes = 3000000};
    fixture_fetch(&fixture_shared, "/upload", &chunked, &a);
    assert_string_equal(a.body, "{\"bytes\":3000000}");
}

static void test_upload_failures(void **state)
{
    (void)state;
    answer a;
    for (size_t v = 0; v < 2; v++) {
        unsigned before = atomic_load(&fixture_aborted);
        const call bad = {.method = "PUT", .body = "X rest", .version = versions[v]};
        fixture_fetch(&fixture_shared, "/upload", &bad, &a);
        assert_int_equal(a.status, 400);
        assert_non_null(strstr(a.body, "this upload is bad"));
        assert_int_equal(atomic_load(&fixture_aborted), before + 1);
        const call empty = {.method = "PUT", .body = "", .version = versions[v]};
        fixture_fetch(&fixture_shared, "/upload", &empty, &a);
        assert_string_equal(a.body, "{\"bytes\":0}");
        const call declared = {.method = "PUT", .send_bytes = 1001, .version = versions[v]};
        fixture_fetch(&fixture_shared, "/small-upload", &declared, &a);
        if (a.status != 413) print_message("# HTTP/%zu: curl %d %s\n", v + 1, (int)a.code, a.head);
        assert_int_equal(a.status, 413);
    }
    const call unknown = {.method = "PUT", .headers = {"Transfer-Encoding: chunked"}, .send_bytes = 100000};
    unsigned before = atomic_load(&fixture_aborted);
    fixture_fetch(&fixture_shared, "/small-upload", &unknown, &a);
    assert_int_equal(a.status, 413);
    for (int i = 0; i < 200 && atomic_load(&fixture_aborted) == before; i++) clo_os_sleep_ms(5);
    assert_int_equal(atomic_load(&fixture_aborted), before + 1);
}

static void test_rate_limit(void **state)
{
    (void)state;
    clo_gateway_options o = fixture_options(NULL);
    o.limits = (clo_gateway_limits){.peer_per_second = 1, .peer_burst = 3};
    fixture f = {0};
    fixture_start(&f, &o);
    answer a;
    const call c = {.method = "GET"};
    unsigned refused = 0;
    for (int i = 0; i < 6; i++) {
        fixture_fetch(&f, "/status", &c, &a);
        refused += a.status == 429 && strstr(a.head, "Retry-After:") != NULL;
    }
    assert_in_range(refused, 2, 3);
    fixture_fetch(&f, "/healthz", &c, &a);
    assert_int_equal(a.status, 200);
    fixture_stop(&f);
}

/* Whoever is refused again and again is held off, at first within its connection, then before a handshake is spent on it; and served again later. */
static void T25_refusals_of_an_address_run_out(void **state)
{
    (void)state;
    clo_gateway_options o = fixture_options(NULL);
    o.limits = (clo_gateway_limits){.failures_per_second = 2, .failures_burst = 4};
    fixture f = {0};
    fixture_start(&f, &o);
    answer a;
    const call c = {.method = "GET"};
    const call wrong = {.method = "DELETE"};
    unsigned found = 0, missing = 0, refused = 0, held = 0;
    for (int i = 0; i < 40; i++) {
        fixture_fetch(&f, "/status", &c, &a);
        found += a.status == 200;
        fixture_fetch(&f, "/nothing", &c, &a);
        missing += a.status == 404;
    }
    assert_int_equal(found, 40); /* what is served costs nothing, and what is not there neither */
    assert_int_equal(missing, 40);
    for (int i = 0; i < 12; i++) {
        fixture_fetch(&f, "/status", &wrong, &a);
        refused += a.status == 405;
        held += a.status == 429 || a.status == 0;
    }
    assert_in_range(refused, 4, 6);
    assert_int_equal(refused + held, 12);
    clo_os_sleep_ms(1200);
    fixture_fetch(&f, "/status", &c, &a);
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
    (void)snprintf(url, sizeof url, "%s/events", fixture_shared.base);
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
    while (clo_gateway_hub_listeners(fixture_hub) == 0) clo_os_sleep_ms(2);
    for (int i = 0; i < 3; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "live %d\nsecond", i);
        clo_err e = clo_gateway_hub_publish(fixture_hub, "runs", "progress", clo_span_str(text));
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
        while (clo_gateway_hub_listeners(fixture_hub) != 0) clo_os_sleep_ms(2); /* of the round before */
        OK(clo_os_thread_start(&t, "pub", publish_later, NULL));
        /* Who names no last event begins with the newest: in the second round that is the end of the first. */
        listen_events(versions[v], NULL, v == 0 ? 6 : 8, &h);
        clo_os_thread_join(&t);
        const char *first = strstr(h.text, "event: progress\ndata: live 0\ndata: second\n\n");
        assert_non_null(first);
        const char *before = strstr(h.text, "data: live 2");
        assert_non_null(before);
        assert_true(v == 0 ? before > first : before < first);
        const char *id = strstr(h.text, "id: ");
        for (const char *at = id; at != NULL && at < first; at = strstr(at + 1, "id: ")) id = at;
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
    for (int i = 0; i < 400 && clo_gateway_hub_listeners(fixture_hub) != 0; i++) clo_os_sleep_ms(5);
    assert_int_equal(clo_gateway_hub_listeners(fixture_hub), 0);
}

static clo_err h_status(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    (void)r;
    return CLO_OK;
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
        clo_gateway_options o = fixture_options(NULL);
        clo_gateway_server *s = NULL;
        o.routes = tables[i];
        o.route_count = i == 0 ? 2 : 1;
        assert_int_equal(clo_gateway_server_start(&s, &o).code, CLO_E_RANGE);
        assert_null(s);
    }
    clo_gateway_options o = fixture_options(NULL);
    clo_gateway_server *s = NULL;
    o.port = fixture_shared.port;
    assert_int_equal(clo_gateway_server_start(&s, &o).code, CLO_E_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch),   cmocka_unit_test(test_idempotency), cmocka_unit_test(test_streams),   cmocka_unit_test(test_upload_failures),
        cmocka_unit_test(test_rate_limit), cmocka_unit_test(T25_refusals_of_an_address_run_out), cmocka_unit_test(test_events),      cmocka_unit_test(test_bad_tables),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
