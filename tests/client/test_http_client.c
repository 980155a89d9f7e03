/* Proves the HTTP client against a real server: bodies both ways, files up and pieces down, tokens, problem documents that become
 * the same error and denial here, statuses that are none, a wrong pin, a dead port, a silent server, an answer that is too large.
 */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "client/http_client.h"
#include "client/http_problem.h"
#include "gateway/config.h"
#include "gateway/server.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/loop.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct {
    char dir[256], url[64];
    clo_crypto_tls_context *tls;
    clo_gateway_server *server;
    uint8_t spki[32];
} place;

static clo_err echo(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    return clo_gateway_response_bytes(response, "application/octet-stream", request->body);
}

static clo_err token(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    clo_span bearer;
    CLO_TRY(clo_gateway_bearer_token(request, &bearer));
    return clo_gateway_response_bytes(response, "text/plain", bearer);
}

static clo_err denied(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    (void)response;
    return CLO_DENY(CLO_E_BUDGET, "budget.left", ">= 1/10", "1/20", "hospital-a", "ask for less");
}

static clo_err failing(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    (void)response;
    return CLO_FAILF(CLO_E_DATABASE, "the disk is full");
}

static clo_err conflict(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    clo_gateway_response_status(response, 409);
    return clo_gateway_response_bytes(response, "text/plain", clo_span_str("42\n"));
}

static clo_err slow(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_os_sleep_ms(4000);
    return conflict(context, request, response);
}

static clo_gateway_hub *hub;
static atomic_bool quiet;

/* An answer that never ends: a few bytes now and then. */
static clo_err drip(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    return clo_gateway_response_events(response, hub, "drops");
}

static void drip_on(void *context)
{
    (void)context;
    for (int i = 0; i < 80 && !atomic_load(&quiet); i++) {
        assert_ok(clo_gateway_hub_publish(hub, "drops", "drop", clo_span_str("x")));
        clo_os_sleep_ms(100);
    }
}

static const clo_gateway_route routes[] = {
    {.method = CLO_GATEWAY_POST, .path = "/echo", .body_max = 8 << 20, .handler = echo},
    {.method = CLO_GATEWAY_PUT, .path = "/echo", .body_max = 8 << 20, .handler = echo},
    {.method = CLO_GATEWAY_GET, .path = "/token", .handler = token},
    {.method = CLO_GATEWAY_GET, .path = "/denied", .handler = denied},
    {.method = CLO_GATEWAY_GET, .path = "/failing", .handler = failing},
    {.method = CLO_GATEWAY_GET, .path = "/conflict", .handler = conflict},
    {.method = CLO_GATEWAY_GET, .path = "/slow", .handler = slow},
    {.method = CLO_GATEWAY_GET, .path = "/drip", .handler = drip},
};

static int start(void **state)
{
    (void)state;
    assert_ok(clo_os_dir_temporary("clo-http-", place.dir));
    assert_ok(clo_gateway_hub_new(&hub, 4));
    assert_ok(clo_gateway_identity_open(place.dir, "test", 1780000000, false, &place.tls, place.spki));
    const clo_gateway_options o = {
        .name = "test", .tls = place.tls, .http2 = true, .routes = routes, .route_count = sizeof routes / sizeof routes[0]};
    assert_ok(clo_gateway_server_start(&place.server, &o));
    (void)snprintf(place.url, sizeof place.url, "https://127.0.0.1:%u", (unsigned)clo_gateway_server_port(place.server));
    return 0;
}

static int end(void **state)
{
    (void)state;
    clo_gateway_server_stop(&place.server, 100);
    clo_gateway_hub_free(&hub);
    clo_crypto_tls_context_free(&place.tls);
    assert_ok(clo_os_tree_remove(place.dir));
    return 0;
}

static int connect_client(void **state)
{
    clo_client_http *http = NULL;
    assert_ok(clo_client_http_new(&http, place.url, place.spki));
    *state = http;
    return 0;
}

static int disconnect(void **state)
{
    clo_client_http *http = *state;
    clo_client_http_free(&http);
    assert_null(http);
    return 0;
}

static void bodies(void **state)
{
    clo_client_http *http = *state;
    static uint8_t big[3 << 20];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (uint8_t)(i * 31 >> 3);
    static const size_t sizes[] = {0, 1, 65536, sizeof big};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CLO_AUTO(clo_buf_free) clo_buf answer;
        clo_buf_init(&answer, 4 << 20);
        assert_ok(clo_buf_put_str(&answer, "kept"));
        clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("POST", "/echo");
        r.body = clo_span_of(big, sizes[i]);
        r.content_type = "application/octet-stream";
        unsigned status = 0;
        assert_ok(clo_client_http_do(http, &r, &answer, &status));
        assert_int_equal(status, 200);
        assert_int_equal(answer.len, sizes[i] + 4);
        assert_memory_equal(answer.p, "kept", 4);
        if (sizes[i] > 0) assert_memory_equal(answer.p + 4, big, sizes[i]);
    }
}

typedef struct {
    uint64_t bytes, stop_after, last_done;
} counting;

static clo_err count_piece(void *context, clo_span piece)
{
    counting *c = context;
    c->bytes += piece.n;
    CLO_CHECK(c->stop_after == 0 || c->bytes < c->stop_after, CLO_E_CANCELLED);
    return CLO_OK;
}

static void note_progress(void *context, uint64_t done, uint64_t total)
{
    (void)total;
    ((counting *)context)->last_done = done;
}

static void files_up_and_pieces_down(void **state)
{
    clo_client_http *http = *state;
    char path[300];
    static uint8_t bytes[2 << 20];
    counting c = {0};
    int fd = -1;
    memset(bytes, 'f', sizeof bytes);
    bytes[1000] = 'F';
    assert_ok(clo_os_path_join(path, sizeof path, place.dir, "file"));
    assert_ok(clo_os_file_write_atomic(path, clo_span_of(bytes, sizeof bytes), 0600));
    assert_ok(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("PUT", "/echo?offset=1000");
    r.upload_fd = fd;
    r.upload_offset = 1000;
    r.upload_size = sizeof bytes - 1000;
    r.sink = count_piece;
    r.progress = note_progress;
    r.context = &c;
    assert_ok(clo_client_http_do(http, &r, NULL, NULL));
    assert_int_equal(c.bytes, sizeof bytes - 1000);
    assert_int_equal(c.last_done, sizeof bytes - 1000);
    /* A sink that has enough ends the transfer with its own error. */
    c = (counting){.stop_after = 100};
    assert_code(clo_client_http_do(http, &r, NULL, NULL), CLO_E_CANCELLED);
    /* A file that is shorter than promised. */
    c = (counting){0};
    r.upload_size = sizeof bytes;
    assert_code(clo_client_http_do(http, &r, NULL, NULL), CLO_E_TRUNCATED);
    clo_os_fd_close(&fd);
}

static void tokens(void **state)
{
    clo_client_http *http = *state;
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, 1000);
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("GET", "/token");
    r.accept = "*/*";
    assert_ok(clo_client_http_token(http, "abc-DEF_1"));
    assert_ok(clo_client_http_do(http, &r, &answer, NULL));
    assert_int_equal(answer.len, 9);
    assert_memory_equal(answer.p, "abc-DEF_1", 9);
    assert_ok(clo_client_http_token(http, NULL));
    clo_buf_clear(&answer);
    assert_ok(clo_client_http_do(http, &r, &answer, NULL));
    assert_int_equal(answer.len, 0);
    static char long_token[5000];
    memset(long_token, 'x', sizeof long_token - 1);
    assert_code(clo_client_http_token(http, long_token), CLO_E_TOO_LARGE);
}

static void problems_are_errors_again(void **state)
{
    clo_client_http *http = *state;
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, 1000);
    unsigned status = 0;
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("GET", "/denied");
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_BUDGET);
    assert_int_equal(status, 403);
    assert_int_equal(answer.len, 0);
    assert_non_null(clo_err_denial());
    assert_string_equal(clo_err_denial()->claim, "budget.left");
    assert_string_equal(clo_err_denial()->actual, "1/20");
    assert_string_equal(clo_err_denial()->remedy, "ask for less");
    assert_true(clo_client_http_instance(http)[0] != 0);
    r.path = "/failing"; /* their disk is not ours */
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_UNREACHABLE);
    assert_int_equal(status, 500);
    r.path = "/nothing";
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_NOT_FOUND);
    assert_int_equal(status, 404);
    r.path = "/conflict";
    r.accept = "*/*";
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_CONFLICT);
    assert_int_equal(status, 409);
    assert_string_equal(clo_client_http_refusal(http), "42\n");
    assert_string_equal(clo_client_http_instance(http), "");
    r.path = "relative";
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_MALFORMED);
    /* The connection is still good. */
    clo_client_http_request again = CLO_CLIENT_HTTP_REQUEST("POST", "/echo");
    again.body = clo_span_str("x");
    assert_ok(clo_client_http_do(http, &again, &answer, &status));
    assert_string_equal(clo_client_http_refusal(http), "");
}

static void strangers_and_silence(void **state)
{
    (void)state;
    uint8_t wrong[32] = {1};
    clo_client_http *http = NULL;
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, 100);
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("GET", "/conflict");
    unsigned status = 7;
    assert_ok(clo_client_http_new(&http, place.url, wrong));
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "tls.pin");
    assert_int_equal(strspn(clo_err_denial()->expected, "0123456789abcdef"), 64); /* in the form in which pins are given */
    assert_int_equal(status, 0);
    clo_client_http_free(&http);
    assert_ok(clo_client_http_new(&http, "https://127.0.0.1:1", place.spki));
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_UNREACHABLE);
    assert_non_null(strstr(clo_err_text(), "127.0.0.1:1"));
    clo_client_http_free(&http);
    assert_ok(clo_client_http_new(&http, place.url, place.spki));
    r.path = "/slow";
    r.timeout_ms = 1000;
    assert_code(clo_client_http_do(http, &r, &answer, &status), CLO_E_TIMEOUT);
    clo_client_http_request big = CLO_CLIENT_HTTP_REQUEST("POST", "/echo");
    static uint8_t bytes[200];
    big.body = clo_span_of(bytes, sizeof bytes);
    assert_code(clo_client_http_do(http, &big, &answer, &status), CLO_E_TOO_LARGE); /* the buffer takes 100 */
    assert_int_equal(answer.len, 0);
    clo_client_http_free(&http);
    clo_client_http_free(&http); /* twice is no error */
    static const char *const bad[] = {"", "http://127.0.0.1:1", "https://host/path", "ftp://x", "127.0.0.1:443"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(clo_client_http_new(&http, bad[i], place.spki), CLO_E_MALFORMED);
    assert_code(clo_client_http_new(&http, place.url, NULL), CLO_E_MISSING_FIELD);
}

/* Whoever names a time gets an answer or an error in it, whatever the server does. */
static void a_server_that_drips(void **state)
{
    clo_client_http *http = *state;
    clo_os_thread *thread = NULL;
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, 1 << 20);
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("GET", "/drip");
    r.accept = "*/*";
    r.timeout_ms = 1000;
    atomic_store(&quiet, false);
    assert_ok(clo_os_thread_start(&thread, "drip", drip_on, NULL));
    uint64_t began = clo_os_now_ns();
    assert_code(clo_client_http_do(http, &r, &answer, NULL), CLO_E_TIMEOUT);
    assert_true(clo_os_now_ns() - began < 3000000000u);
    assert_int_equal(answer.len, 0);
    atomic_store(&quiet, true);
    clo_os_thread_join(&thread);
}

static void hostile_problem_documents(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *body;
        uint32_t code;
        const char *instance;
    } cases[] = {
        {403, "{\"code\":\"expired\",\"detail\":\"too late\",\"instance\":\"urn:request:abc\"}", CLO_E_EXPIRED, "abc"},
        {403, "{\"code\":\"no-such-code\",\"detail\":\"?\"}", CLO_E_DENIED, ""},
        {500, "{\"code\":\"bug\",\"detail\":\"?\"}", CLO_E_UNREACHABLE, ""},
        {503, "{\"detail\":\"later\"}", CLO_E_AGAIN, ""},
        {401, "", CLO_E_UNAUTHENTICATED, ""},
        {404, "<html>", CLO_E_NOT_FOUND, ""},
        {413, "[1]", CLO_E_TOO_LARGE, ""},
        {429, "{\"code\":7,\"detail\":[]}", CLO_E_TOO_MANY, ""},
        {418, "{", CLO_E_MALFORMED, ""},
        {302, "null", CLO_E_MALFORMED, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char instance[80] = "x";
        assert_code(clo_client_problem_read(clo_span_str(cases[i].body), cases[i].status, "them", instance), cases[i].code);
        assert_string_equal(instance, cases[i].instance);
        assert_true(clo_err_text()[0] != 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, connect_client, disconnect)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(bodies),
                                       TEST(files_up_and_pieces_down),
                                       TEST(tokens),
                                       TEST(problems_are_errors_again),
                                       TEST(a_server_that_drips),
                                       cmocka_unit_test(strangers_and_silence),
                                       cmocka_unit_test(hostile_problem_documents)};
    return cmocka_run_group_tests(tests, start, end);
}
