/* Proves, without a server: the mapping of failures to statuses and problem documents, token buckets on a driven clock, the metrics text,
 * the OpenAPI document, the store of recorded answers, configuration with its errors by line, and the daemon's TLS identity. */
#include "cmocka_all.h"
#include "base/clo_own.h"
#include "gateway/events.h"
#include "gateway/config.h"
#include "gateway/openapi.h"
#include "gateway/problem.h"
#include "os/file.h"
#include "wire/json.h"
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>

static void test_problem(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        unsigned status;
    } cases[] = {
        {CLO_E_MALFORMED, 400}, {CLO_E_RANGE, 400},     {CLO_E_UNAUTHENTICATED, 401}, {CLO_E_DENIED, 403}, {CLO_E_BUDGET, 403},
        {CLO_E_EXPIRED, 403},   {CLO_E_REPLAYED, 403},  {CLO_E_NOT_FOUND, 404},       {CLO_E_EXISTS, 409}, {CLO_E_CONFLICT, 409},
        {CLO_E_TOO_LARGE, 413}, {CLO_E_TOO_MANY, 429},  {CLO_E_AGAIN, 503},           {CLO_E_IO, 500},     {CLO_E_BUG, 500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_err e = {.code = cases[i].code};
        assert_int_equal(clo_gateway_problem_status(e), cases[i].status);
        CLO_AUTO(clo_buf_free) clo_buf b;
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_buf_init(&b, 10000);
        clo_arena_init(&a, 1 << 20);
        const clo_denial d = {.claim = "a.b", .expected = "\"x\"\n", .actual = "\xff\x01", .source = "s", .remedy = "r"};
        assert_ok(clo_gateway_problem_write(&b, cases[i].status, e, "what \\ is", &d, "id-1"));
        clo_wire_node *top = NULL;
        assert_ok(clo_wire_json_decode(&a, clo_buf_span(&b), &top));
        assert_int_equal(clo_wire_get(top, "status")->integer, cases[i].status);
        assert_string_equal((const char *)clo_wire_get(top, "instance")->text.p, "urn:request:id-1");
        bool internal = cases[i].status == 500;
        assert_int_equal(clo_wire_get(top, "claim") == NULL, internal);
        if (!internal) assert_string_equal((const char *)clo_wire_get(top, "expected")->text.p, "\"x\"\n");
        if (!internal) assert_string_equal((const char *)clo_wire_get(top, "detail")->text.p, "what \\ is");
    }
    CLO_AUTO(clo_buf_free) clo_buf tight;
    clo_buf_init(&tight, 60);
    assert_code(clo_gateway_problem_write(&tight, 400, (clo_err){CLO_E_RANGE}, "long enough not to fit", NULL, NULL), CLO_E_TOO_LARGE);
    assert_int_equal(tight.len, 0);
}

static void test_buckets(void **state)
{
    (void)state;
    clo_gateway_buckets *b = NULL;
    unsigned wait = 0;
    uint64_t now = 1000000000u;
    assert_code(clo_gateway_buckets_new(&b, 8, 0.0, 1), CLO_E_RANGE);
    assert_ok(clo_gateway_buckets_new(&b, 8, 0.5, 2));
    assert_true(clo_gateway_buckets_take(b, "a", now, &wait));
    assert_true(clo_gateway_buckets_take(b, "a", now, &wait));
    assert_false(clo_gateway_buckets_take(b, "a", now, &wait));
    assert_int_equal(wait, 3);
    assert_true(clo_gateway_buckets_take(b, "b", now, &wait));
    assert_true(clo_gateway_buckets_take(b, "a", now + 2000000000u, &wait));
    assert_false(clo_gateway_buckets_take(b, "a", now, &wait)); /* a clock that goes back gives nothing */
    for (int i = 0; i < 100; i++) {
        char name[80];
        (void)snprintf(name, sizeof name, "a very long name of a peer that is cut somewhere before its end %d", i);
        (void)clo_gateway_buckets_take(b, name, now + 3000000000u + (uint64_t)i, &wait);
    }
    clo_gateway_buckets_free(&b);
}

static double ask(void *context) { return *(double *)context; }

static void test_metrics(void **state)
{
    (void)state;
    clo_gateway_metrics *m = NULL;
    clo_gateway_metric *c = NULL, *same = NULL, *other = NULL, *g = NULL, *h = NULL;
    double asked = 2.5;
    static const double bounds[] = {0.1, 1};
    assert_ok(clo_gateway_metrics_new(&m));
    assert_ok(clo_gateway_counter(m, "x_total", "k=\"1\"", "Counts.", &c));
    assert_ok(clo_gateway_gauge(m, "y", NULL, "Gauges.", &g));
    assert_ok(clo_gateway_counter(m, "x_total", "k=\"1\"", "Counts.", &same));
    assert_ok(clo_gateway_counter(m, "x_total", "k=\"2\"", "Counts.", &other));
    assert_ok(clo_gateway_histogram(m, "z", NULL, "Times.", bounds, 2, &h));
    assert_ok(clo_gateway_gauge_fn(m, "w", NULL, "Asked.", ask, &asked));
    assert_ptr_equal(c, same);
    assert_ptr_not_equal(c, other);
    assert_code(clo_gateway_gauge(m, "x_total", NULL, "", &g), CLO_E_CONFLICT);
    assert_code(clo_gateway_gauge(m, "X", NULL, "", &other), CLO_E_MALFORMED);
    clo_gateway_metric_add(c, 3);
    clo_gateway_metric_set(g, -1.5);
    clo_gateway_metric_observe(h, 0.05);
    clo_gateway_metric_observe(h, 0.5);
    clo_gateway_metric_observe(h, 5);
    clo_gateway_metric_add(NULL, 1);
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 1 << 16);
    assert_ok(clo_gateway_metrics_write(m, &b));
    const char *text = NULL;
    assert_ok(clo_buf_cstr(&b, &text));
    assert_string_equal(text, "# HELP x_total Counts.\n# TYPE x_total counter\nx_total{k=\"1\"} 3\nx_total{k=\"2\"} 0\n"
                              "# HELP y Gauges.\n# TYPE y gauge\ny -1.5\n"
                              "# HELP z Times.\n# TYPE z histogram\nz_bucket{le=\"0.1\"} 1\nz_bucket{le=\"1\"} 2\nz_bucket{le=\"+Inf\"} 3\n"
                              "z_count 3\nz_sum 5.55\n"
                              "# HELP w Asked.\n# TYPE w gauge\nw 2.5\n");
    clo_gateway_metrics_free(&m);
}

static clo_err nothing(void *context, clo_gateway_request *q, clo_gateway_response *r)
{
    (void)context;
    (void)q;
    (void)r;
    return CLO_OK;
}

static void test_openapi(void **state)
{
    (void)state;
    static const clo_gateway_route routes[] = {
        {.method = CLO_GATEWAY_GET, .path = "/runs/{id}", .handler = nothing, .tag = "runs", .summary = "A \"run\"", .produces = "application/json",
         .response_schema = "Run"},
        {.method = CLO_GATEWAY_DELETE, .path = "/runs/{id}", .handler = nothing, .auth = CLO_GATEWAY_AUTH_PARTY, .success = 204},
        {.method = CLO_GATEWAY_POST, .path = "/runs", .handler = nothing, .body_max = 10, .consumes = "application/json, application/cose",
         .success = 201},
        {.method = CLO_GATEWAY_GET, .path = "/log/{rest*}", .handler = nothing},
        {.method = CLO_GATEWAY_GET, .path = "/hidden", .handler = nothing, .flags = CLO_GATEWAY_HIDDEN},
    };
    static const clo_gateway_schema good[] = {{"Run", "{\"type\":\"object\"}"}}, bad[] = {{"Run", "{\"type\":"}};
    CLO_AUTO(clo_buf_free) clo_buf b;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_buf_init(&b, 1 << 18);
    clo_arena_init(&a, 1 << 20);
    assert_true(clo_failed(clo_gateway_openapi_write(&b, "t", "1", routes, 5, bad, 1)));
    assert_non_null(strstr(clo_err_text(), "Run"));
    assert_int_equal(b.len, 0);
    assert_ok(clo_gateway_openapi_write(&b, "t", "1", routes, 5, good, 1));
    clo_wire_node *top = NULL;
    assert_ok(clo_wire_json_decode(&a, clo_buf_span(&b), &top));
    const clo_wire_node *paths = clo_wire_get(top, "paths");
    assert_int_equal(paths->count, 3);
    const clo_wire_node *run = clo_wire_get(paths, "/runs/{id}");
    assert_int_equal(run->count, 2);
    assert_string_equal((const char *)clo_wire_get(clo_wire_get(run, "get"), "summary")->text.p, "A \"run\"");
    assert_int_equal(clo_wire_get(clo_wire_get(run, "delete"), "security")->count, 1);
    assert_non_null(clo_wire_get(clo_wire_get(clo_wire_get(run, "delete"), "responses"), "204"));
    const clo_wire_node *content = clo_wire_get(clo_wire_get(clo_wire_get(clo_wire_get(paths, "/runs"), "post"), "requestBody"), "content");
    assert_int_equal(content->count, 2);
    assert_non_null(clo_wire_get(paths, "/log/{rest}"));
}

static void test_replay_store(void **state)
{
    (void)state;
    clo_gateway_replay_store *s = NULL;
    assert_ok(clo_gateway_replay_store_new(&s, 2));
    const clo_gateway_idempotency h = clo_gateway_replay_store_hooks(s);
    const uint8_t one[32] = {1}, two[32] = {2};
    bool found = true;
    clo_gateway_recorded r = {.status = 0};
    clo_buf_init(&r.body, 100);
    assert_ok(h.begin(h.context, "p", "k", one, &found, &r));
    assert_false(found);
    assert_code(h.begin(h.context, "p", "k", one, &found, &r), CLO_E_AGAIN);
    assert_code(h.begin(h.context, "p", "k", two, &found, &r), CLO_E_CONFLICT);
    assert_ok(h.begin(h.context, "other", "k", two, &found, &r));
    assert_code(h.begin(h.context, "p", "full", two, &found, &r), CLO_E_AGAIN);
    assert_ok(h.finish(h.context, "other", "k", NULL)); /* released: may be tried again */
    clo_gateway_recorded kept = {.status = 201, .type = "t/x"};
    clo_buf_init(&kept.body, 100);
    assert_ok(clo_buf_put_str(&kept.body, "answer"));
    assert_ok(h.finish(h.context, "p", "k", &kept));
    assert_ok(h.begin(h.context, "p", "k", one, &found, &r));
    assert_true(found);
    assert_int_equal(r.status, 201);
    assert_string_equal(r.type, "t/x");
    assert_true(clo_span_equal(clo_buf_span(&r.body), clo_span_str("answer")));
    assert_ok(h.begin(h.context, "p", "k2", one, &found, &r));
    assert_ok(h.begin(h.context, "p", "k3", one, &found, &r)); /* the finished one made room */
    assert_false(found);
    clo_buf_free(&r.body);
    clo_buf_free(&kept.body);
    clo_gateway_replay_store_free(&s);
}

static char home[256];
static clo_err read_config(const char *text, clo_gateway_options *o, clo_arena *a)
{
    char path[300];
    clo_wire_fields f;
    assert_ok(clo_os_path_join(path, sizeof path, home, "c.yaml"));
    assert_ok(clo_os_file_write_atomic(path, clo_span_str(text), 0600));
    CLO_TRY(clo_gateway_config_open(a, path, &f));
    clo_gateway_config_listen(&f, o);
    return clo_gateway_config_end(&f, path);
}

static void test_config(void **state)
{
    (void)state;
    assert_ok(clo_os_dir_temporary("cloister-config-", home));
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_gateway_options o = {.port = 7};
    assert_ok(read_config("listen:\n  address: 0.0.0.0\n  workers: 9\n  rate_per_peer: 2.5\n", &o, &a));
    assert_string_equal(o.address, "0.0.0.0");
    assert_int_equal(o.port, 7);
    assert_int_equal(o.workers, 9);
    assert_true(o.limits.peer_per_second > 2.4);
    assert_code(read_config("listen:\n  port: 1\n  colour: red\n", &o, &a), CLO_E_UNKNOWN_FIELD);
    assert_non_null(strstr(clo_err_text(), "c.yaml"));
    assert_non_null(strstr(clo_err_text(), "line 3"));
    assert_code(read_config("lisden:\n  port: 1\n", &o, &a), CLO_E_UNKNOWN_FIELD);
    assert_true(clo_failed(read_config("listen:\n  port: 70000\n", &o, &a)));
    assert_true(clo_failed(read_config("- a\n", &o, &a)));
    /* What is written anew reads the same. */
    CLO_AUTO(clo_buf_free) clo_buf written;
    clo_buf_init(&written, 1000);
    const char *text = NULL;
    const clo_gateway_options all = {.loops = 2, .workers = 9, .queue_max = 11, .connections_max = 12, .connections_per_peer_max = 13, .head_timeout_ms = 140,
                                     .idle_timeout_ms = 150, .limits = {.peer_per_second = 2.5, .principal_per_second = 0.125}};
    clo_gateway_options again = {0};
    assert_ok(clo_gateway_config_listen_write("0.0.0.0", 77, &all, &written));
    assert_ok(clo_buf_cstr(&written, &text));
    assert_ok(read_config(text, &again, &a));
    assert_string_equal(again.address, "0.0.0.0");
    assert_int_equal(again.port, 77);
    assert_int_equal(again.loops, 2);
    assert_int_equal(again.workers, 9);
    assert_int_equal(again.queue_max, 11);
    assert_int_equal(again.connections_max, 12);
    assert_int_equal(again.connections_per_peer_max, 13);
    assert_int_equal(again.head_timeout_ms, 140);
    assert_int_equal(again.idle_timeout_ms, 150);
    assert_true(again.limits.peer_per_second > 2.4 && again.limits.peer_per_second < 2.6);
    assert_true(again.limits.principal_per_second > 0.12 && again.limits.principal_per_second < 0.13);
    clo_wire_fields f;
    assert_ok(clo_gateway_config_open(&a, NULL, &f));
    clo_gateway_config_listen(&f, &o);
    assert_ok(clo_gateway_config_end(&f, NULL));
    assert_code(clo_gateway_config_open(&a, "/nowhere/c.yaml", &f), CLO_E_NOT_FOUND);
    assert_ok(clo_os_tree_remove(home));
}

static void test_identity(void **state)
{
    (void)state;
    char path[300];
    uint8_t first[32], again[32];
    clo_crypto_tls_context *tls = NULL;
    assert_ok(clo_os_dir_temporary("cloister-identity-", home));
    assert_ok(clo_gateway_identity_open(home, "test", 1790000000, true, &tls, first));
    clo_crypto_tls_context_free(&tls);
    assert_ok(clo_gateway_identity_open(home, "test", 1790000000, true, &tls, again));
    clo_crypto_tls_context_free(&tls);
    assert_memory_equal(first, again, 32);
    assert_ok(clo_os_path_join(path, sizeof path, home, "tls.key"));
    assert_int_equal(chmod(path, 0644), 0);
    assert_code(clo_gateway_identity_open(home, "test", 1790000000, true, &tls, again), CLO_E_DENIED);
    assert_ok(clo_os_file_remove(path));
    assert_code(clo_gateway_identity_open(home, "test", 1790000000, true, &tls, again), CLO_E_NOT_FOUND);
    assert_ok(clo_os_tree_remove(home));
}

/* Topics that nobody listens to any more (one per run) do not add up in memory. */
static void silent_topics_make_room(void **state)
{
    (void)state;
    clo_gateway_hub *hub = NULL;
    size_t before = 0;
    char name[32], data[200];
    memset(data, 'x', sizeof data);
    assert_ok(clo_gateway_hub_new(&hub, 1024));
    for (int i = 0; i < 1000; i++) {
        if (i == 100) before = mallinfo2().uordblks;
        (void)snprintf(name, sizeof name, "run-%d", i);
        for (int k = 0; k < 10; k++) assert_ok(clo_gateway_hub_publish(hub, name, "run", clo_span_of(data, sizeof data)));
    }
    assert_true(mallinfo2().uordblks <= before + 65536);
    clo_gateway_hub_free(&hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_topics_make_room), cmocka_unit_test(test_problem),      cmocka_unit_test(test_buckets), cmocka_unit_test(test_metrics),  cmocka_unit_test(test_openapi),
        cmocka_unit_test(test_replay_store), cmocka_unit_test(test_config),  cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
