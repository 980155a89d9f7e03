/* Proves: listening, connecting and full transfers keep their deadlines and tell refusal, timeout, early and late end apart; URLs are
 * parsed strictly; log lines are one valid line whatever the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clo_buf.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "os/net.h"
#include "os/term.h"
#include <stdio.h>
#include <unistd.h>

#define OK(expr) assert_int_equal((expr).code, 0)
#define FAILS(expr, wanted) assert_int_equal((expr).code, (wanted))

static uint64_t soon(unsigned ms) { return clo_os_now_ns() + (uint64_t)ms * 1000000u; }

static void test_sockets(void **state)
{
    (void)state;
    int listener = -1, client = -1, server = -1, other = -1;
    uint16_t port = 0, same = 0;
    char peer[46];
    OK(clo_os_net_listen(&listener, "127.0.0.1", 0, &port));
    assert_true(port != 0);
    FAILS(clo_os_net_listen(&other, "127.0.0.1", port, &same), CLO_E_CONFLICT);
    FAILS(clo_os_net_listen(&other, "localhost", 0, &same), CLO_E_RANGE);
    FAILS(clo_os_net_accept(listener, &server, peer), CLO_E_AGAIN);
    OK(clo_os_net_connect(&client, "127.0.0.1", port, 1000));
    OK(clo_os_net_wait(listener, false, soon(1000)));
    OK(clo_os_net_accept(listener, &server, peer));
    assert_string_equal(peer, "127.0.0.1");
    char got[8] = "";
    FAILS(clo_os_net_receive_all(server, got, 5, soon(20)), CLO_E_TIMEOUT);
    OK(clo_os_net_send_all(client, clo_span_str("hello"), soon(1000)));
    OK(clo_os_net_receive_all(server, got, 5, soon(1000)));
    assert_string_equal(got, "hello");
    OK(clo_os_net_send_all(client, clo_span_str("hel"), soon(1000)));
    clo_os_fd_close(&client);
    FAILS(clo_os_net_receive_all(server, got, 5, soon(1000)), CLO_E_TRUNCATED);
    FAILS(clo_os_net_receive_all(server, got, 5, soon(1000)), CLO_E_CLOSED);
    clo_os_fd_close(&server);
    clo_os_fd_close(&listener);
    FAILS(clo_os_net_connect(&client, "127.0.0.1", port, 1000), CLO_E_UNREACHABLE);
    int pair[2];
    OK(clo_os_net_pair(pair));
    clo_os_fd_close(&pair[1]);
    FAILS(clo_os_net_send_all(pair[0], clo_span_str("x"), soon(100)), CLO_E_CLOSED);
    clo_os_fd_close(&pair[0]);
}

static void test_full_pipe(void **state)
{
    (void)state;
    int pair[2];
    OK(clo_os_net_pair(pair));
    static uint8_t much[4 << 20];
    uint64_t before = clo_os_now_ns();
    FAILS(clo_os_net_send_all(pair[0], clo_span_of(much, sizeof much), soon(50)), CLO_E_TIMEOUT);
    assert_true(clo_os_now_ns() - before < 2000000000u);
    clo_os_fd_close(&pair[0]);
    clo_os_fd_close(&pair[1]);
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *path;
        unsigned port;
        uint32_t code;
    } cases[] = {
        {"https://a.example", "a.example", "", 443, 0},
        {"https://a.example/", "a.example", "", 443, 0},
        {"https://127.0.0.1:8443/x/y/", "127.0.0.1", "/x/y", 8443, 0},
        {"https://[::1]:1", "::1", "", 1, 0},
        {"https://[::1]/p", "::1", "/p", 443, 0},
        {"http://a.example", "", "", 0, CLO_E_UNSUPPORTED},
        {"a.example", "", "", 0, CLO_E_UNSUPPORTED},
        {"https://", "", "", 0, CLO_E_MALFORMED},
        {"https://:80", "", "", 0, CLO_E_MALFORMED},
        {"https://a:", "", "", 0, CLO_E_MALFORMED},
        {"https://a:0", "", "", 0, CLO_E_RANGE},
        {"https://a:65536", "", "", 0, CLO_E_RANGE},
        {"https://a:08", "", "", 0, CLO_E_NOT_CANONICAL},
        {"https://u@a", "", "", 0, CLO_E_MALFORMED},
        {"https://a?x", "", "", 0, CLO_E_MALFORMED},
        {"https://a/b?x", "", "", 0, CLO_E_MALFORMED},
        {"https://a b", "", "", 0, CLO_E_MALFORMED},
        {"https://a\"b", "", "", 0, CLO_E_MALFORMED},
        {"https://a/\nb", "", "", 0, CLO_E_MALFORMED},
        {"https://a/\"b", "", "", 0, CLO_E_MALFORMED},
        {"https://[::1", "", "", 0, CLO_E_MALFORMED},
        {"https://[::1]x", "", "", 0, CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_os_net_url url = {.port = 9};
        clo_err e = clo_os_net_url_parse(&url, cases[i].text);
        if (e.code != cases[i].code) print_message("# case %s\n", cases[i].text);
        assert_int_equal(e.code, cases[i].code);
        if (cases[i].code != 0) {
            assert_int_equal(url.port, 9);
            continue;
        }
        assert_string_equal(url.host, cases[i].host);
        assert_string_equal(url.path, cases[i].path);
        assert_int_equal(url.port, cases[i].port);
    }
}

static void test_log(void **state)
{
    (void)state;
    char dir[256], path[300];
    OK(clo_os_dir_temporary("cloister-log-", dir));
    OK(clo_os_path_join(path, sizeof path, dir, "log"));
    OK(clo_os_log_open("test", path, CLO_OS_LOG_INFO));
    clo_os_log(CLO_OS_LOG_DEBUG, "hidden", NULL, "no");
    clo_os_log(CLO_OS_LOG_INFO, "shown", "id-1", "a \"quote\"\nnext %d", 5);
    char big[5000];
    memset(big, '\n', sizeof big - 1);
    big[sizeof big - 1] = 0;
    clo_os_log(CLO_OS_LOG_ERROR, "big", NULL, "%s", big);
    clo_os_log_failure("refused", "id-2", CLO_FAIL(CLO_E_DENIED));
    OK(clo_os_log_open("test", NULL, CLO_OS_LOG_NONE));
    clo_buf b;
    clo_buf_init(&b, 1 << 16);
    OK(clo_os_file_read(path, 1 << 16, &b));
    const char *text = NULL;
    OK(clo_buf_cstr(&b, &text));
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "\"level\":\"info\",\"program\":\"test\",\"event\":\"shown\",\"request\":\"id-1\",\"text\":\"a \\\"quote\\\"\\u000anext 5\"}\n"));
    unsigned lines = 0;
    for (const char *p = text; *p != 0; p++) lines += *p == '\n';
    assert_int_equal(lines, 3);
    assert_string_equal(text + b.len - 3, "\"}\n");
    clo_os_log_level level;
    OK(clo_os_log_level_parse(&level, "warning"));
    assert_int_equal(level, CLO_OS_LOG_WARNING);
    FAILS(clo_os_log_level_parse(&level, "loud"), CLO_E_MALFORMED);
    clo_buf_free(&b);
    OK(clo_os_tree_remove(dir));
}

static void test_clock(void **state)
{
    (void)state;
    clo_os_clock_manual_state s = {.monotonic_ns = 5, .wall_seconds = 7};
    clo_os_clock c = clo_os_clock_manual(&s);
    assert_int_equal(clo_os_clock_monotonic(&c), 5);
    s.wall_seconds = 9;
    assert_int_equal(clo_os_clock_wall(&c), 9);
    uint64_t a = clo_os_clock_monotonic(clo_os_clock_system());
    clo_os_sleep_ms(2);
    assert_true(clo_os_now_ns() >= a + 1000000u);
    clo_os_progress p;
    clo_os_progress_start(&p, "x", 10, true, true);
    clo_os_progress_set(&p, 5);
    clo_os_progress_end(&p);
    assert_false(p.active);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sockets), cmocka_unit_test(test_full_pipe), cmocka_unit_test(test_urls),
        cmocka_unit_test(test_log),     cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
