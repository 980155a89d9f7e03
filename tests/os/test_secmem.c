/* Proves: secret pages are zeroed, guarded on both sides, absent from children of fork; shared regions reach the child, can be made
 * read-only, and are wiped for every process that shares them, without making the pages that nobody used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "os/secmem.h"
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
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

/* What the wipe did, seen through a second mapping that a child still has after the parent's is gone. */
static void test_region_wipe(void **state)
{
    (void)state;
    enum { PAGE = 4096, PAGES = 3000, USED = 2100 };
    clo_os_region r = {0};
    int go[2], answer[2];
    uint8_t byte = 0, present[PAGES];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(answer), 0);
    assert_false(clo_failed(clo_os_region_new(&r, (size_t)PAGES * PAGE)));
    uint8_t *p = r.p;
    memset(p + (size_t)USED * PAGE + 17, 0x5a, 2 * PAGE);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (read(go[0], &byte, 1) != 1 || mincore(p, (size_t)PAGES * PAGE, present) != 0) _exit(9);
        for (size_t i = 0; i < PAGES; i++) byte |= (uint8_t)((present[i] & 1) != 0 && (i < USED || i > USED + 2) ? 2 : 0);
        for (size_t i = 0; i < (size_t)3 * PAGE; i++) byte |= p[(size_t)USED * PAGE + i] != 0 ? 4 : 0;
        if (write(answer[1], &byte, 1) != 1) _exit(9);
        _exit(0);
    }
    clo_os_region_free(&r);
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(read(answer[0], &byte, 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(byte, 0); /* 2: pages that nobody used were made; 4: a page that was used was not wiped */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_secret), cmocka_unit_test(test_region), cmocka_unit_test(test_region_wipe)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
