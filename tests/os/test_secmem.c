/* Proves: secret pages are zeroed, guarded on both sides, absent from children of fork; shared regions reach the child and can be made
 * read-only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "os/secmem.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends_with(void (*body)(uint8_t *), uint8_t *at)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        body(at);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
static void touch(uint8_t *at) { *(volatile uint8_t *)at = 1; }
static void touch_own_guards(uint8_t *size_sign)
{
    clo_os_secret s = {0};
    if (clo_failed(clo_os_secret_new(&s, 4096, false))) _exit(9);
    uint8_t *p = s.p;
    if (size_sign == NULL) touch(p - 1);
    else touch(p + 4096);
}

static void test_secret(void **state)
{
    (void)state;
    clo_os_secret s = {0};
    assert_false(clo_failed(clo_os_secret_new(&s, 5000, false)));
    assert_true(s.kind != CLO_OS_SECRET_NONE);
    print_message("# secret memory: %s\n", clo_os_secret_describe(s.kind));
    const uint8_t *p = s.p;
    for (size_t i = 0; i < s.size; i++) assert_int_equal(p[i], 0);
    memset(s.p, 0x5a, s.size);
    assert_int_equal(ends_with(touch, s.p), SIGSEGV); /* not there in a child */
    uint8_t other = 0;
    assert_int_equal(ends_with(touch_own_guards, NULL), SIGSEGV);
    assert_int_equal(ends_with(touch_own_guards, &other), SIGSEGV);
    clo_os_secret_free(&s);
    clo_os_secret_free(&s);
    assert_null(s.p);
    assert_int_equal(clo_os_secret_new(&s, 0, false).code, CLO_E_RANGE);
    assert_int_equal(clo_os_secret_new(&s, (size_t)1 << 40, false).code, CLO_E_RANGE);
}

static void test_region(void **state)
{
    (void)state;
    clo_os_region r = {0};
    assert_false(clo_failed(clo_os_region_new(&r, 3 << 20)));
    assert_int_equal(ends_with(touch, r.p), 0);
    assert_int_equal(*(const uint8_t *)r.p, 1);
    assert_false(clo_failed(clo_os_region_protect(&r)));
    assert_int_equal(ends_with(touch, r.p), SIGSEGV);
    clo_os_region_free(&r);
    clo_os_region_free(&r);
    assert_int_equal(clo_os_region_new(&r, SIZE_MAX - 5).code, CLO_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_secret), cmocka_unit_test(test_region)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
