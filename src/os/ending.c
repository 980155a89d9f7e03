#include "os/ending.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void ending(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
}

void clo_os_ending_leaves_nothing(void)
{
    const struct rlimit none = {0, 0};
    (void)prctl(PR_SET_DUMPABLE, 0); /* for a core_pattern that is a pipe the limit alone would not do */
    (void)setrlimit(RLIMIT_CORE, &none);
}

void clo_os_ending_block(void)
{
    sigset_t set;
    ending(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

CLO_R clo_os_ending_wait(const char *line)
{
    sigset_t set;
    ending(&set);
    CLO_CHECKF(printf("%s\n", line) > 0 && fflush(stdout) == 0, CLO_E_IO, "cannot write to standard output");
    while (sigwaitinfo(&set, NULL) < 0)
        CLO_CHECK(errno == EINTR, CLO_E_IO);
    return CLO_OK;
}

int clo_os_exit_code(clo_err e)
{
    if (e.code == CLO_E_NOT_FOUND) return 3; /* what is not there could not be reached */
    switch (clo_err_class(e)) {
    case CLO_CLASS_OK: return 0;
    case CLO_CLASS_DENIED: return 1;
    case CLO_CLASS_INPUT: return 2;
    case CLO_CLASS_LIMIT: return 4;
    case CLO_CLASS_AGAIN:
    case CLO_CLASS_ENV:
    case CLO_CLASS_BUG: break;
    }
    return 3;
}
