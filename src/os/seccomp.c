/* System call allow-lists. What is not listed fails with EPERM; what only an attacker calls ends the process. */
#include "base/clo_own.h"
#include "os/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { FDS_MAX = 8 };

/* Memory, time, randomness, threads' own affairs, the end: what pure computation with a C library needs. mmap and mprotect are
 * allowed by rule, without PROT_EXEC. */
static const int common_calls[] = {
    SCMP_SYS(brk),           SCMP_SYS(munmap),        SCMP_SYS(mremap),          SCMP_SYS(madvise),       SCMP_SYS(mlock),
    SCMP_SYS(mlock2),        SCMP_SYS(munlock),       SCMP_SYS(futex),           SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),   SCMP_SYS(getrandom),       SCMP_SYS(exit),          SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigaction),  SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),   SCMP_SYS(sigaltstack),   SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(getpid),    SCMP_SYS(gettid),          SCMP_SYS(getppid),       SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),          SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(membarrier),  SCMP_SYS(close),
    SCMP_SYS(fstat),         SCMP_SYS(lseek),           SCMP_SYS(getuid),        SCMP_SYS(geteuid),
    SCMP_SYS(uname),         SCMP_SYS(sysinfo),
};
/* On descriptors that exist: there is no call that makes one, but for anonymous memory. */
static const int runtime_calls[] = {
    SCMP_SYS(read),     SCMP_SYS(write),   SCMP_SYS(readv),    SCMP_SYS(writev),   SCMP_SYS(poll),     SCMP_SYS(ppoll),
    SCMP_SYS(recvfrom), SCMP_SYS(sendto),  SCMP_SYS(recvmsg),  SCMP_SYS(sendmsg),  SCMP_SYS(shutdown), SCMP_SYS(memfd_secret),
    SCMP_SYS(ftruncate), SCMP_SYS(wait4),  SCMP_SYS(waitid),   SCMP_SYS(pipe2),    SCMP_SYS(seccomp),  SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal), SCMP_SYS(getrusage), SCMP_SYS(socketpair), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(mincore),
};
static const int fatal_calls[] = {
    SCMP_SYS(execve),           SCMP_SYS(execveat),          SCMP_SYS(ptrace),        SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(bpf),              SCMP_SYS(init_module),   SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),    SCMP_SYS(kexec_load),        SCMP_SYS(kexec_file_load), SCMP_SYS(mount),
    SCMP_SYS(umount2),          SCMP_SYS(pivot_root),        SCMP_SYS(chroot),        SCMP_SYS(setns),
    SCMP_SYS(unshare),          SCMP_SYS(userfaultfd),       SCMP_SYS(perf_event_open), SCMP_SYS(keyctl),
    SCMP_SYS(add_key),          SCMP_SYS(request_key),       SCMP_SYS(io_uring_setup), SCMP_SYS(open_by_handle_at),
    SCMP_SYS(reboot),           SCMP_SYS(swapon),            SCMP_SYS(pidfd_getfd),
};

static int allow_all(scmp_filter_ctx f, const int *calls, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count && failed == 0; i++) failed = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
    return failed;
}

/* One condition on one argument; for MASKED_EQ: a is the mask, b the value. */
static int allow_if(scmp_filter_ctx f, int call, unsigned argument, enum scmp_compare compare, scmp_datum_t a, scmp_datum_t b)
{
    const struct scmp_arg_cmp condition = {.arg = argument, .op = compare, .datum_a = a, .datum_b = b};
    return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, call, 1, &condition);
}

static int common_rules(scmp_filter_ctx f)
{
    int failed = allow_all(f, common_calls, sizeof common_calls / sizeof common_calls[0]);
    const scmp_datum_t exec = PROT_EXEC;
    if (failed == 0) failed = allow_if(f, SCMP_SYS(mmap), 2, SCMP_CMP_MASKED_EQ, exec, 0);
    if (failed == 0) failed = allow_if(f, SCMP_SYS(mprotect), 2, SCMP_CMP_MASKED_EQ, exec, 0);
    /* abort() and assert() signal the own thread. */
    if (failed == 0) failed = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 0);
    for (size_t i = 0; i < sizeof fatal_calls / sizeof fatal_calls[0] && failed == 0; i++)
        failed = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, fatal_calls[i], 0);
    return failed;
}

static int thread_rules(scmp_filter_ctx f, const clo_os_seccomp *o)
{
    int failed = 0;
    /* clone3 keeps its flags in memory, where a filter cannot look: "not implemented" makes the C library use clone. */
    failed = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    const scmp_datum_t thread = CLONE_THREAD;
    const scmp_datum_t spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID;
    if (failed == 0 && o->allow_threads)
        failed = allow_if(f, SCMP_SYS(clone), 0, SCMP_CMP_MASKED_EQ, thread, thread);
    if (failed == 0 && o->allow_fork)
        failed = allow_if(f, SCMP_SYS(clone), 0, SCMP_CMP_MASKED_EQ, thread | spaces, 0);
    return failed;
}

static int runtime_rules(scmp_filter_ctx f)
{
    static const int options[] = {PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_GET_DUMPABLE, PR_SET_NAME};
    static const int controls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD};
    int failed = allow_all(f, runtime_calls, sizeof runtime_calls / sizeof runtime_calls[0]);
    for (size_t i = 0; i < sizeof options / sizeof options[0] && failed == 0; i++) {
        const scmp_datum_t option = (scmp_datum_t)options[i];
        failed = allow_if(f, SCMP_SYS(prctl), 0, SCMP_CMP_EQ, option, 0);
    }
    for (size_t i = 0; i < sizeof controls / sizeof controls[0] && failed == 0; i++) {
        const scmp_datum_t control = (scmp_datum_t)controls[i];
        failed = allow_if(f, SCMP_SYS(fcntl), 1, SCMP_CMP_EQ, control, 0);
    }
    /* To end its own child; nothing else is signalled. */
    const scmp_datum_t end_signal = SIGKILL;
    if (failed == 0) failed = allow_if(f, SCMP_SYS(kill), 1, SCMP_CMP_EQ, end_signal, 0);
    if (failed == 0) failed = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(setrlimit), 0);
    if (failed == 0) failed = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(getrlimit), 0);
    if (failed == 0) failed = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 0);
    return failed;
}

static int program_rules(scmp_filter_ctx f, const clo_os_seccomp *o)
{
    static const int calls[] = {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(sendto), SCMP_SYS(recvfrom)};
    int failed = 0;
    for (size_t i = 0; i < o->fd_count; i++) {
        const scmp_datum_t fd = (scmp_datum_t)o->fds[i];
        for (size_t c = 0; c < sizeof calls / sizeof calls[0] && failed == 0; c++)
            failed = allow_if(f, calls[c], 0, SCMP_CMP_EQ, fd, 0);
    }
    return failed;
}

static void filter_free(scmp_filter_ctx *f)
{
    if (*f != NULL) seccomp_release(*f);
    *f = NULL;
}

clo_err clo_os_sandbox_system_calls(clo_os_sandbox_report *report, const clo_os_seccomp *options)
{
    CLO_CHECK(options->fd_count <= FDS_MAX, CLO_E_TOO_MANY);
    CLO_AUTO(filter_free) scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    CLO_CHECK(f != NULL, CLO_E_NOMEM);
    int failed = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 1);
    /* A call through another ABI (32-bit, x32) would slip past numbers of this one. */
    if (failed == 0) failed = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (failed == 0) failed = common_rules(f);
    if (failed == 0) failed = thread_rules(f, options);
    if (failed == 0) failed = options->profile == CLO_OS_PROFILE_RUNTIME ? runtime_rules(f) : program_rules(f, options);
    if (failed == 0) (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (failed == 0) failed = seccomp_load(f);
    report->active[CLO_OS_LAYER_SECCOMP] = failed == 0 || report->active[CLO_OS_LAYER_SECCOMP];
    if (failed != 0) {
        (void)snprintf(report->why[CLO_OS_LAYER_SECCOMP], sizeof report->why[0], "%s", strerrordesc_np(-failed));
        return CLO_FAILF(CLO_E_UNSUPPORTED, "the kernel refuses the system call filter (%s)", strerrordesc_np(-failed));
    }
    report->why[CLO_OS_LAYER_SECCOMP][0] = 0;
    return CLO_OK;
}
