/* Proves, in forked children, that the layers which report themselves as active really hold: after them no file can be opened, no
 * socket made, no process started, no other descriptor written; and that pure work (memory, threads, the own pipe) still goes. */
#include "cmocka_all.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/sandbox.h"
#include "os/secmem.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Runs the body in a child; its return value is the exit code, 0 for "held". */
static int in_child(int (*body)(int pipe_fd))
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(body(ends[1]));
    (void)close(ends[1]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(ends[0]);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool opens(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) (void)close(fd);
    return fd >= 0;
}

static int harden_body(int pipe_fd)
{
    (void)pipe_fd;
    clo_os_sandbox_report r = {0};
    clo_os_limits l = {.open_files_max = 32, .cpu_seconds_max = 10};
    if (clo_failed(clo_os_sandbox_harden(&r, &l))) return 1;
    if (prctl(PR_GET_DUMPABLE) != 0) return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 3;
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != 0) return 4;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 32) return 5;
    return r.active[CLO_OS_LAYER_NO_DUMP] && r.active[CLO_OS_LAYER_RLIMITS] ? 0 : 6;
}

static int paths_body(int pipe_fd)
{
    (void)pipe_fd;
    clo_os_sandbox_report r = {0};
    if (clo_failed(clo_os_sandbox_deny_paths(&r))) return 1;
    if (!r.active[CLO_OS_LAYER_LANDLOCK]) return r.why[CLO_OS_LAYER_LANDLOCK][0] != 0 ? 0 : 2;
    return !opens("/etc/passwd") && !opens("/") && !opens("/proc/self/maps") ? 0 : 3;
}

static int namespaces_body(int pipe_fd)
{
    (void)pipe_fd;
    clo_os_sandbox_report r = {0};
    if (clo_failed(clo_os_sandbox_namespaces(&r))) return 1;
    if (r.active[CLO_OS_LAYER_EMPTY_ROOT] && (opens("/etc/passwd") || opens("/proc/self/maps") || opens("/tmp"))) return 2;
    if (r.active[CLO_OS_LAYER_EMPTY_ROOT] && open("/made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0) return 3;
    if (r.active[CLO_OS_LAYER_NET_NS]) {
        int fd = -1;
        if (!clo_failed(clo_os_net_connect(&fd, "127.0.0.1", 22, 200))) return 4;
    }
    for (unsigned i = 0; i < CLO_OS_LAYER_SECCOMP; i++) {
        bool own = i >= CLO_OS_LAYER_USER_NS && i <= CLO_OS_LAYER_EMPTY_ROOT;
        if (own && !r.active[i] && r.why[i][0] == 0) return 5;
    }
    return 0;
}

static int program_body(int pipe_fd)
{
    clo_os_sandbox_report r = {0};
    int other = dup(2);
    clo_os_seccomp s = {.profile = CLO_OS_PROFILE_PROGRAM, .fds = &pipe_fd, .fd_count = 1};
    if (clo_failed(clo_os_sandbox_system_calls(&r, &s)) || !r.active[CLO_OS_LAYER_SECCOMP]) return 1;
    if (opens("/etc/passwd") || errno != EPERM) return 2;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) return 3;
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0) return 4;
    if (write(other, "x", 1) >= 0 || errno != EPERM) return 5;
    if (write(pipe_fd, "x", 1) != 1) return 6;
    int ends[2];
    if (pipe2(ends, 0) == 0) return 7;
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    if (pid > 0) return 8;
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) return 9;
    if (kill(getppid(), 0) == 0) return 10;
    struct stat st;
    if (stat("/etc/passwd", &st) == 0) return 11;
    if (prctl(PR_SET_DUMPABLE, 1) == 0) return 12;
    void *p = malloc(3000000);
    if (p == NULL) return 13;
    memset(p, 1, 3000000);
    free(p);
    return 0;
}

static int exec_body(int pipe_fd)
{
    clo_os_sandbox_report r = {0};
    clo_os_seccomp s = {.profile = CLO_OS_PROFILE_PROGRAM, .fds = &pipe_fd, .fd_count = 1};
    if (clo_failed(clo_os_sandbox_system_calls(&r, &s))) return 1;
    char *argv[] = {NULL}, *env[] = {NULL};
    (void)execve("/bin/true", argv, env);
    return 2;
}

static void *thread_body(void *context)
{
    *(int *)context = 7;
    return NULL;
}

static int runtime_body(int pipe_fd)
{
    clo_os_sandbox_report r = {0};
    clo_os_seccomp s = {.profile = CLO_OS_PROFILE_RUNTIME, .allow_fork = true, .allow_threads = true};
    if (clo_failed(clo_os_sandbox_system_calls(&r, &s))) return 1;
    if (opens("/etc/passwd")) return 2;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0) return 3;
    pid_t pid = fork();
    if (pid == 0) {
        clo_os_seccomp tight = {.profile = CLO_OS_PROFILE_PROGRAM, .fds = &pipe_fd, .fd_count = 1};
        if (clo_failed(clo_os_sandbox_system_calls(&r, &tight))) _exit(1);
        _exit(write(pipe_fd, "x", 1) == 1 ? 0 : 2);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) return 4;
    s.allow_fork = false;
    if (clo_failed(clo_os_sandbox_system_calls(&r, &s))) return 5;
    pid = fork();
    if (pid == 0) _exit(0);
    if (pid > 0) return 6;
    pthread_t id;
    int seen = 0;
    if (pthread_create(&id, NULL, thread_body, &seen) != 0 || pthread_join(id, NULL) != 0 || seen != 7) return 7;
    clo_os_secret secret = {0};
    if (clo_failed(clo_os_secret_new(&secret, 4096, false))) return 8;
    clo_os_secret_free(&secret);
    return 0;
}

static void test_layers(void **state)
{
    (void)state;
    assert_int_equal(in_child(harden_body), 0);
    assert_int_equal(in_child(paths_body), 0);
    assert_int_equal(in_child(namespaces_body), 0);
}

static void test_system_calls(void **state)
{
    (void)state;
    if (SANITIZED) skip_because("the sanitizer's own system calls are not on the allow-list"); /* the sanitizer's own calls are not on the list */
    assert_int_equal(in_child(program_body), 0);
    assert_int_equal(in_child(exec_body), 1000 + SIGSYS);
    assert_int_equal(in_child(runtime_body), 0);
}

static void test_report(void **state)
{
    (void)state;
    clo_os_sandbox_report r = {0};
    r.active[CLO_OS_LAYER_SECCOMP] = true;
    (void)snprintf(r.why[CLO_OS_LAYER_LANDLOCK], sizeof r.why[0], "no kernel");
    clo_buf b;
    clo_buf_init(&b, 4096);
    assert_false(clo_failed(clo_os_sandbox_report_text(&r, &b)));
    const char *text = NULL;
    assert_false(clo_failed(clo_buf_cstr(&b, &text)));
    assert_non_null(strstr(text, "active: seccomp; inactive: "));
    assert_non_null(strstr(text, "landlock (no kernel)"));
    clo_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_system_calls),
        cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
