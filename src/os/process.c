/* Spawning: fork, prepare with async-signal-safe calls only, exec; a close-on-exec pipe tells how exec went. */
#include "os/process.h"
#include "base/clo_own.h"
#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FD_MAP_MAX = 16, FD_HIGH = 512 };

extern char **environ;

static int pidfd_open_(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

clo_err clo_os_process_die_with_parent(pid_t parent)
{
    CLO_CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, CLO_E_IO);
    /* The parent may have gone before the call. */
    CLO_CHECKF(getppid() == parent, CLO_E_CANCELLED, "the parent process has gone");
    return CLO_OK;
}

/* In the child. Returns where it fails, with errno set. */
static void child_exec(const clo_os_spawn *o, int exec_fd)
{
    int at[FD_MAP_MAX];
    /* First lift everything above every target, so that no dup2 overwrites a source. */
    for (size_t i = 0; i < o->fd_count; i++) {
        at[i] = fcntl(o->fds[i].from, F_DUPFD_CLOEXEC, FD_HIGH);
        if (at[i] < 0) return;
    }
    int high_exec = exec_fd >= 0 ? fcntl(exec_fd, F_DUPFD_CLOEXEC, FD_HIGH) : -1;
    if (exec_fd >= 0 && high_exec < 0) return;
    bool mapped[3] = {false, false, false};
    for (size_t i = 0; i < o->fd_count; i++) {
        if (dup2(at[i], o->fds[i].to) < 0) return;
        if (o->fds[i].to <= 2) mapped[o->fds[i].to] = true;
    }
    if (!o->keep_stdio) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int i = 0; i < 3; i++)
            if (!mapped[i] && null >= 0 && dup2(null, i) < 0) return;
    }
    /* Whatever is above 2 and not a target closes at exec. */
    if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) != 0) return;
    for (size_t i = 0; i < o->fd_count; i++)
        if (fcntl(o->fds[i].to, F_SETFD, 0) != 0) return;
    char *const no_env[] = {NULL};
    char *const *argv = (char *const *)(uintptr_t)o->argv;
    char *const *env = no_env;
    if (o->inherit_env) env = environ;
    else if (o->env != NULL) env = (char *const *)(uintptr_t)o->env;
    if (exec_fd >= 0) (void)fexecve(high_exec, argv, env);
    else (void)execve(o->path, argv, env);
}

static void child_run(const clo_os_spawn *o, int report, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    /* Out of the way of every target number, so that a failure can be told. */
    report = fcntl(report, F_DUPFD_CLOEXEC, FD_HIGH);
    bool good = report >= 0;
    if (good && o->die_with_parent) good = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
    if (good && o->new_session) good = setsid() >= 0;
    if (good && o->cwd != NULL) good = chdir(o->cwd) == 0;
    if (good) child_exec(o, o->exec_fd);
    int why = errno;
    ssize_t n = write(report, &why, sizeof why);
    (void)n;
    _exit(127);
}

clo_err clo_os_process_spawn(clo_os_process *out, const clo_os_spawn *options)
{
    CLO_CHECK(options->fd_count <= FD_MAP_MAX, CLO_E_TOO_MANY);
    for (size_t i = 0; i < options->fd_count; i++) CLO_CHECK(options->fds[i].to >= 0 && options->fds[i].to < FD_HIGH, CLO_E_RANGE);
    const char *name = options->exec_fd >= 0 ? options->argv[0] : options->path;
    int ends[2];
    CLO_CHECKF(pipe2(ends, O_CLOEXEC) == 0, CLO_E_IO, "cannot make a pipe: %s", strerrordesc_np(errno));
    CLO_AUTO(clo_os_fd_close) int reader = ends[0];
    CLO_AUTO(clo_os_fd_close) int writer = ends[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    CLO_CHECKF(pid >= 0, CLO_E_NOMEM, "cannot start %s: %s", name, strerrordesc_np(errno));
    if (pid == 0) child_run(options, writer, parent);
    clo_os_fd_close(&writer);
    int why = 0;
    ssize_t n = -1;
    do n = read(reader, &why, sizeof why);
    while (n < 0 && errno == EINTR);
    if (n != 0) {
        (void)waitpid(pid, NULL, 0);
        CLO_CHECKF(why != ENOENT, CLO_E_NOT_FOUND, "cannot start %s: there is no such program", name);
        return CLO_FAILF(CLO_E_IO, "cannot start %s: %s", name, strerrordesc_np(why));
    }
    int pidfd = pidfd_open_(pid);
    if (pidfd < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return CLO_FAILF(CLO_E_IO, "cannot watch %s", name);
    }
    *out = (clo_os_process){.pid = pid, .pidfd = pidfd};
    return CLO_OK;
}

clo_err clo_os_process_wait(clo_os_process *p, int timeout_ms, clo_os_process_end *end)
{
    CLO_CHECKF(p->pid > 0, CLO_E_NOT_FOUND, "this process was waited for already");
    struct pollfd poll_fd = {.fd = p->pidfd, .events = POLLIN};
    int n = -1;
    do n = poll(&poll_fd, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    CLO_CHECK(n >= 0, CLO_E_IO);
    CLO_CHECKF(n > 0, CLO_E_TIMEOUT, "the process is still running");
    int status = 0;
    pid_t got = -1;
    do got = waitpid(p->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    CLO_CHECK(got == p->pid, CLO_E_IO);
    clo_os_process_end how = {.exited = WIFEXITED(status)};
    if (how.exited) how.code = WEXITSTATUS(status);
    else how.signal = WTERMSIG(status);
    clo_os_fd_close(&p->pidfd);
    p->pid = 0;
    if (end != NULL) *end = how;
    return CLO_OK;
}

clo_err clo_os_process_signal(const clo_os_process *p, int signal)
{
    if (p->pid <= 0) return CLO_OK;
    if (syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0) != 0 && errno != ESRCH)
        return CLO_FAILF(CLO_E_IO, "cannot signal a process: %s", strerrordesc_np(errno));
    return CLO_OK;
}

void clo_os_process_kill(clo_os_process *p)
{
    if (p->pid <= 0) return;
    clo_err e = clo_os_process_signal(p, SIGKILL);
    if (!clo_failed(e)) e = clo_os_process_wait(p, -1, NULL);
    if (clo_failed(e)) clo_os_fd_close(&p->pidfd);
    *p = CLO_OS_PROCESS_NONE;
}

bool clo_os_process_running(const clo_os_process *p)
{
    if (p->pid <= 0) return false;
    struct pollfd poll_fd = {.fd = p->pidfd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 0;
}

void clo_os_process_end_text(const clo_os_process_end *end, char to[64])
{
    if (end->exited) {
        (void)snprintf(to, 64, "exit code %d", end->code);
        return;
    }
    const char *what = sigdescr_np(end->signal);
    (void)snprintf(to, 64, "signal %d (%s)", end->signal, what != NULL ? what : "unknown");
}
