/* Child processes: spawned with an exact argument list, environment and descriptor table, watched through a pidfd. */
#ifndef CLO_OS_PROCESS_H
#define CLO_OS_PROCESS_H
#include "base/clo_err.h"
#include <stddef.h>
#include <sys/types.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    pid_t pid; /* 0 = none or already waited for */
    int pidfd; /* readable when the process has ended; usable with clo_os_loop and poll; -1 = none */
} clo_os_process;
#define CLO_OS_PROCESS_NONE ((clo_os_process){0, -1})

typedef struct {
    int from; /* descriptor here … */
    int to;   /* … becomes this number there */
} clo_os_fd_map;

typedef struct {
    const char *path;        /* executable; ignored where exec_fd >= 0 */
    int exec_fd;             /* execute this open file (fexecve) so that what was measured is what runs; -1 = use path */
    const char *const *argv; /* NULL-terminated, argv[0] included */
    const char *const *env;  /* NULL-terminated "K=V"; NULL = empty environment */
    bool inherit_env;        /* take the parent's environment instead of env */
    const char *cwd;         /* NULL = the parent's */
    const clo_os_fd_map *fds; /* every other descriptor above 2 is closed; 0, 1, 2 that are not in the map become /dev/null */
    size_t fd_count;         /* at most 16 */
    bool keep_stdio;         /* 0, 1, 2 that are not in the map stay the parent's */
    bool die_with_parent;    /* SIGKILL when the spawning thread ends: spawn from a thread that lives as long as the child may */
    bool new_session;        /* setsid: terminal signals do not reach it */
} clo_os_spawn;

/** Start a program. Waits until exec succeeded or failed. *out is given to the caller (wait, then free).
 *  Errors: NOT_FOUND (no such program), IO, NOMEM. */
CLO_R clo_os_process_spawn(clo_os_process *out, const clo_os_spawn *options);

typedef struct {
    bool exited;   /* by itself, with this code … */
    int code;
    int signal;    /* … or by this signal */
} clo_os_process_end;
/** Wait for the end. timeout_ms < 0 = for ever, 0 = only look. Errors: TIMEOUT (still running), IO. After success pid is 0 and
 *  pidfd closed. */
CLO_R clo_os_process_wait(clo_os_process *p, int timeout_ms, clo_os_process_end *end);
/** Send a signal through the pidfd: never reaches a recycled process id. A process that has ended is no error. */
CLO_R clo_os_process_signal(const clo_os_process *p, int signal);
/** SIGKILL and wait; accepts an empty one. Usable with CLO_AUTO. */
void clo_os_process_kill(clo_os_process *p);
/** Is it still running? */
bool clo_os_process_running(const clo_os_process *p);
/** The end as a sentence: "exit code 3", "signal 9 (Killed)". */
void clo_os_process_end_text(const clo_os_process_end *end, char to[64]);
/** The calling process dies with its parent from now on (SIGKILL). Errors: CANCELLED where the parent is gone already. */
CLO_R clo_os_process_die_with_parent(pid_t parent);

#ifdef __cplusplus
}
#endif
#endif
