/* Proves, with raw sockets and what no honest client would send: smuggling is refused, deadlines hold, pipelined requests are answered in
 * order, overload is told, a stop lets running requests end, a listener that lags is told what it lost, what one address
 * holds is bounded, resets in a row, made or provoked, end the connection. */
#include "server_fixture.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/loop.h"
#include "os/net.h"
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Raw sockets on a plain server. */

/* How long an answer may take: a busy machine is no failure. Below the server's own limit for a request head, 10 s, so that a close is an answer. */
enum { PATIENCE_MS = 8000 };

static uint64_t soon(unsigned ms) { return clo_os_now_ns() + (uint64_t)ms * 1000000u; }

static int dial(const fixture *f)
{
    int fd = -1;
    OK(clo_os_net_connect(&fd, "127.0.0.1", f->port, PATIENCE_MS));
    return fd;
}
static void say(int fd, const char *text) { OK(clo_os_net_send_all(fd, clo_span_str(text), soon(PATIENCE_MS))); }

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

static const struct {
    const char *send, *want;
    bool closes;
} exchanges[] = {
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

static void test_raw(void **state)
{
    (void)state;
    clo_gateway_options o = fixture_options(NULL);
    o.head_timeout_ms = 300;
    o.idle_timeout_ms = 600;
    o.rate_window_ms = 200;
    fixture f = {0};
    fixture_start(&f, &o);
    for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++) {
        char got[8192] = "";
        int fd = dial(&f);
        say(fd, exchanges[i].send);
        bool closed = hear(fd, got, sizeof got, exchanges[i].closes ? NULL : exchanges[i].want, PATIENCE_MS);
        bool good = strstr(got, exchanges[i].want) != NULL && closed == exchanges[i].closes;
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
    assert_true(hear(fd, got, sizeof got, NULL, PATIENCE_MS));
    assert_string_equal(got, "");
    clo_os_fd_close(&fd);
    /* Pipelined requests are answered in order, those on workers too; a head may come byte by byte. */
    fd = dial(&f);
    say(fd, "GET /items/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /status HTTP/1.1\r\nHost: a\r\n\r\nPOST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
            "GET /items/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /items/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    got[0] = 0;
    assert_true(hear(fd, got, sizeof got, NULL, PATIENCE_MS));
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
    assert_false(hear(fd, got, sizeof got, "\"id\":\"drip\"", PATIENCE_MS));
    clo_os_fd_close(&fd);
    /* Half closed after the request: the answer still comes. */
    fd = dial(&f);
    say(fd, "GET /items/half HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    got[0] = 0;
    assert_true(hear(fd, got, sizeof got, NULL, PATIENCE_MS));
    assert_non_null(strstr(got, "\"id\":\"half\""));
    clo_os_fd_close(&fd);
    /* A body that trickles below the floor ends the connection and the upload. */
    unsigned before = atomic_load(&fixture_aborted);
    fd = dial(&f);
    say(fd, "PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
    got[0] = 0;
    assert_true(hear(fd, got, sizeof got, NULL, PATIENCE_MS));
    for (int i = 0; i < 200 && atomic_load(&fixture_aborted) == before; i++) clo_os_sleep_ms(5);
    assert_int_equal(atomic_load(&fixture_aborted), before + 1);
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
    fixture_fetch(b->f, b->path, &c, &b->a);
}

static void test_overload_and_stop(void **state)
{
    (void)state;
    clo_gateway_options o = fixture_options(NULL);
    o.workers = 1;
    o.queue_max = 1;
    o.connections_per_peer_max = 8;
    fixture f = {0};
    fixture_start(&f, &o);
    atomic_store(&fixture_hold, true);
    unsigned before = atomic_load(&fixture_held);
    static background first, second;
    first = (background){.f = &f, .path = "/hold"};
    second = (background){.f = &f, .path = "/hold"};
    OK(clo_os_thread_start(&first.thread, "c", run_background, &first));
    while (atomic_load(&fixture_held) == before) clo_os_sleep_ms(1);
    OK(clo_os_thread_start(&second.thread, "c", run_background, &second));
    while (clo_gateway_server_pending(f.server) < 2) clo_os_sleep_ms(1);
    clo_os_sleep_ms(20);
    answer a;
    const call c = {.method = "GET"};
    fixture_fetch(&f, "/items/x", &c, &a);
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.head, "Retry-After: 1"));
    fixture_fetch(&f, "/status", &c, &a); /* inline answers go on */
    assert_int_equal(a.status, 200);
    int fds[10];
    for (int i = 0; i < 10; i++) fds[i] = dial(&f);
    char got[64] = "";
    assert_true(hear(fds[9], got, sizeof got, NULL, PATIENCE_MS)); /* beyond the peer's share */
    assert_string_equal(got, "");
    for (int i = 0; i < 10; i++) clo_os_fd_close(&fds[i]);
    /* The stop waits for the two that run. */
    clo_os_sleep_ms(20);
    atomic_store(&fixture_hold, false);
    fixture_stop(&f);
    clo_os_thread_join(&first.thread);
    clo_os_thread_join(&second.thread);
    assert_int_equal(first.a.status, 200);
    assert_int_equal(second.a.status, 200);
}

/* A client that does not read while much is published: it is told how much it lost. */
static void test_lagged(void **state)
{
    (void)state;
    clo_gateway_options o = fixture_options(NULL);
    fixture f = {0};
    fixture_start(&f, &o);
    int fd = dial(&f);
    say(fd, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < PATIENCE_MS / 2 && clo_gateway_hub_listeners(fixture_hub) == 0; i++) clo_os_sleep_ms(2);
    assert_int_not_equal(clo_gateway_hub_listeners(fixture_hub), 0);
    char *data = malloc(16000);
    assert_non_null(data);
    memset(data, 'z', 16000);
    for (int i = 0; i < 2000; i++) OK(clo_gateway_hub_publish(fixture_hub, "runs", NULL, clo_span_of(data, 16000)));
    free(data);
    char *all = calloc(1, 20000000);
    assert_non_null(all);
    assert_false(hear(fd, all, 20000000, "event: lagged\ndata: {\"lost\":", PATIENCE_MS));
    assert_non_null(strstr(all, "event: lagged"));
    free(all);
    clo_os_fd_close(&fd);
    fixture_stop(&f);
}

/* What an exchange knew of one caller is gone when the next one uses it. */
static void test_callers_apart(void **state)
{
    (void)state;
    clo_gateway_options o = fixture_options(NULL);
    o.loops = 1;
    fixture f = {0};
    fixture_start(&f, &o);
    int fd = dial(&f);
    char got[4096] = "";
    say(fd, "POST /post HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Length: 1\r\n\r\nx");
    (void)hear(fd, got, sizeof got, "\"who\":\"alice\",\"key\":7}", PATIENCE_MS);
    assert_non_null(strstr(got, "\"who\":\"alice\",\"key\":7}"));
    got[0] = 0;
    say(fd, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    (void)hear(fd, got, sizeof got, "}", PATIENCE_MS);
    assert_non_null(strstr(got, "\"who\":\"\",\"key\":0}"));
    clo_os_fd_close(&fd);
    fixture_stop(&f);
}

/* Bodies that never end: what one address may hold is bounded, and comes back when it lets go. */
static void test_held_bytes(void **state)
{
    (void)state;
    clo_gateway_options o = fixture_options(NULL);
    o.held_per_peer_max = 1500;
    fixture f = {0};
    fixture_start(&f, &o);
    static const char head[] = "PUT /items/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n";
    static const char upload[] = "PUT /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n";
    char part[801], got[2048] = "", again[2048] = "", streamed[2048] = "";
    memset(part, '1', 800);
    part[800] = 0;
    int first = dial(&f), second = dial(&f);
    say(first, head);
    say(first, part);
    clo_os_sleep_ms(50);
    say(second, head);
    say(second, part);
    (void)hear(second, got, sizeof got, "\r\n\r\n", PATIENCE_MS);
    assert_non_null(strstr(got, "HTTP/1.1 503"));
    assert_non_null(strstr(got, "Retry-After: 1"));
    clo_os_fd_close(&second);
    clo_os_fd_close(&first);
    clo_os_sleep_ms(50);
    second = dial(&f);
    say(second, head);
    OK(clo_os_net_send_all(second, clo_span_of(part, 800), soon(PATIENCE_MS)));
    OK(clo_os_net_send_all(second, clo_span_of(part, 100), soon(PATIENCE_MS)));
    (void)hear(second, again, sizeof again, "\r\n\r\n", PATIENCE_MS);
    assert_null(strstr(again, "HTTP/1.1 503"));
    assert_non_null(strstr(again, "HTTP/1.1 "));
    clo_os_fd_close(&second);
    /* An upload's pieces are worked off, and count only until then. */
    second = dial(&f);
    say(second, upload);
    for (int i = 0; i < 40; i++) {
        clo_os_sleep_ms(20);
        OK(clo_os_net_send_all(second, clo_span_of(part, 100), soon(PATIENCE_MS)));
    }
    (void)hear(second, streamed, sizeof streamed, NULL, PATIENCE_MS);
    if (strstr(streamed, "HTTP/1.1 200") == NULL) fail_msg("%s", streamed);
    clo_os_fd_close(&second);
    fixture_stop(&f);
}

/* Streams opened and reset at once, by the client or by what it makes the server do. */
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
    return clo_failed(clo_os_net_send_all(c->fd, clo_span_of(data, n), soon(PATIENCE_MS))) ? NGHTTP2_ERR_CALLBACK_FAILURE : (ssize_t)n;
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

/* A window that overflows: the server must reset the stream. */
static void provoke(int fd, int32_t id)
{
    const uint8_t frame[13] = {0, 0, 4, 8, 0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id, 0x7f, 0xff, 0xff, 0xff};
    OK(clo_os_net_send_all(fd, clo_span_of(frame, sizeof frame), soon(PATIENCE_MS)));
}

static void storm(bool provoked)
{
    clo_gateway_options o = fixture_options(NULL);
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
        int32_t id = provoked ? nghttp2_submit_headers(s, NGHTTP2_FLAG_NONE, -1, NULL, nv, 4, NULL) : nghttp2_submit_request(s, NULL, nv, 4, NULL, NULL);
        assert_true(id > 0);
        if (nghttp2_session_send(s) != 0) break;
        if (provoked) provoke(c.fd, id);
        else (void)nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
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

static void test_rapid_reset(void **state)
{
    (void)state;
    storm(false);
}

static void test_provoked_reset(void **state)
{
    (void)state;
    storm(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_overload_and_stop),
        cmocka_unit_test(test_lagged),
        cmocka_unit_test(test_callers_apart),
        cmocka_unit_test(test_held_bytes),
        cmocka_unit_test(test_rapid_reset),
        cmocka_unit_test(test_provoked_reset),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
