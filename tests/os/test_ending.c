/* Proves: each class of failure has its exit code, and a program that waits for its end hears a signal that came before it waited. */
#include "cmocka_all.h"

#include "os/ending.h"

#include <signal.h>
#include <unistd.h>

static void exit_codes(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        int wanted;
    } cases[] = {{0, 0}, {CLO_E_DENIED, 1}, {CLO_E_UNAUTHENTICATED, 1}, {CLO_E_USAGE, 2}, {CLO_E_MALFORMED, 2}, {CLO_E_NOT_FOUND, 3},
                 {CLO_E_UNREACHABLE, 3}, {CLO_E_IO, 3}, {CLO_E_AGAIN, 3}, {CLO_E_NOMEM, 3}, {CLO_E_BUG, 3}, {CLO_E_TOO_MANY, 4}, {CLO_E_TOO_LARGE, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_int_equal(clo_os_exit_code((clo_err){cases[i].code}), cases[i].wanted);
}

static void an_early_signal_is_heard(void **state)
{
    (void)state;
    clo_os_ending_block();
    assert_int_equal(raise(SIGPIPE), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    (void)alarm(20);
    assert_ok(clo_os_ending_wait("# ready"));
    assert_int_equal(kill(getpid(), SIGINT), 0);
    assert_ok(clo_os_ending_wait("# ready"));
    (void)alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exit_codes), cmocka_unit_test(an_early_signal_is_heard)};
    return cmocka_run_group_tests_name("ending", tests, NULL, NULL);
}
