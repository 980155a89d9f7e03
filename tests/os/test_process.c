/* Proves: a child gets exactly the arguments, environment and descriptors that it was given; its end is told; a missing program is
 * an error of the spawn; a child dies with its parent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clo_buf.h"
#include "base/clo_own.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK(expr) assert_int_equal((expr).code, 0)
#define FAILS(expr, wanted) assert_int_equal((expr).code, (wanted))

static void run_shell(const char *script, clo_os_process_end *end, char *out, size_t out_size, bool by_fd)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const char *const argv[] = {"sh", "-c", script, NULL};
    const char *const env[] = {"ONLY=this", NULL};
    const clo_os_fd_map map[] = {{.from = ends[1], .to = 5}};
    CLO_AUTO(clo_os_fd_close) int exec_fd = by_fd ? open("/bin/sh", O_RDONLY | O_CLOEXEC) : -1;
    clo_os_spawn o = {.path = "/bin/sh", .exec_fd = exec_fd, .argv = argv, .env = env, .cwd = "/", .fds = map, .fd_count = 1};
    clo_os_process p = CLO_OS_PROCESS_NONE;
    OK(clo_os_process_spawn(&p, &o));
    (void)close(ends[1]);
    size_t n = 0;
    for (;;) {
        ssize_t got = read(ends[0], out + n, out_size - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    out[n] = 0;
    (void)close(ends[0]);
    OK(clo_os_process_wait(&p, 10000, end));
    assert_int_equal(p.pid, 0);
    assert_false(clo_os_process_running(&p));
}

static void test_exact(void **state)
{
    (void)state;
    char out[4096];
    clo_os_process_end end;
    run_shell("echo $ONLY $HOME $PWD >&5; ls /proc/self/fd | tr '\\n' ' ' >&5; exit 3", &end, out, sizeof out, false);
    assert_true(end.exited);
    assert_int_equal(end.code, 3);
    assert_non_null(strstr(out, "this /\n")); /* no HOME */
    assert_non_null(strstr(out, "0 1 2 3 5 ")); /* 3 is the directory that ls reads */
    char text[64];
    clo_os_process_end_text(&end, text);
    assert_string_equal(text, "exit code 3");
    run_shell("echo by fd >&5", &end, out, sizeof out, true);
    assert_string_equal(out, "by fd\n");
}

static void test_missing(void **state)
{
    (void)state;
    const char *const argv[] = {"none", NULL};
    clo_os_spawn o = {.path = "/nowhere/none", .exec_fd = -1, .argv = argv};
    clo_os_process p = CLO_OS_PROCESS_NONE;
    FAILS(clo_os_process_spawn(&p, &o), CLO_E_NOT_FOUND);
    o.path = "/etc/hostname";
    FAILS(clo_os_process_spawn(&p, &o), CLO_E_IO);
    assert_int_equal(p.pid, 0);
}

static void test_signals(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "60", NULL};
    clo_os_spawn o = {.path = "/bin/sleep", .exec_fd = -1, .argv = argv, .die_with_parent = true};
    clo_os_process p = CLO_OS_PROCESS_NONE;
    OK(clo_os_process_spawn(&p, &o));
    assert_true(clo_os_process_running(&p));
    clo_os_process_end end;
    FAILS(clo_os_process_wait(&p, 10, &end), CLO_E_TIMEOUT);
    OK(clo_os_process_signal(&p, SIGTERM));
    OK(clo_os_process_wait(&p, 10000, &end));
    assert_false(end.exited);
    assert_int_equal(end.signal, SIGTERM);
    OK(clo_os_process_signal(&p, SIGTERM));
    FAILS(clo_os_process_wait(&p, 10, &end), CLO_E_NOT_FOUND);
    OK(clo_os_process_spawn(&p, &o));
    clo_os_process_kill(&p);
    clo_os_process_kill(&p);
}

static void test_die_with_parent(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t middle = fork();
    assert_true(middle >= 0);
    if (middle == 0) {
        const char *const argv[] = {"sleep", "60", NULL};
        clo_os_spawn o = {.path = "/bin/sleep", .exec_fd = -1, .argv = argv, .die_with_parent = true};
        clo_os_process p = CLO_OS_PROCESS_NONE;
        clo_err e = clo_os_process_spawn(&p, &o);
        ssize_t n = write(ends[1], &p.pid, sizeof p.pid);
        _exit(clo_failed(e) || n < 0 ? 1 : 0);
    }
    pid_t child = 0;
    assert_int_equal(read(ends[0], &child, sizeof child), sizeof child);
    assert_int_equal(waitpid(middle, NULL, 0), middle);
    bool gone = false;
    for (int i = 0; i < 200 && !gone; i++) {
        char path[64], line[256] = "";
        (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)child);
        FILE *f = fopen(path, "r");
        gone = f == NULL || fgets(line, sizeof line, f) == NULL || strstr(line, ") Z ") != NULL;
        if (f != NULL) (void)fclose(f);
        clo_os_sleep_ms(10);
    }
    assert_true(gone);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_die_with_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
