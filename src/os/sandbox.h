/* Layers that a process takes off its own power: hardening, namespaces, Landlock, seccomp. Each step records in the report
 * whether it is active, and why not where it is not: a layer that the kernel lacks is said, never assumed. */
#ifndef CLO_OS_SANDBOX_H
#define CLO_OS_SANDBOX_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CLO_OS_LAYER_NO_DUMP,      /* PR_SET_DUMPABLE 0: no core, no ptrace by the same user */
    CLO_OS_LAYER_NO_NEW_PRIVS,
    CLO_OS_LAYER_RLIMITS,      /* core 0, open files, address space, processes */
    CLO_OS_LAYER_USER_NS,
    CLO_OS_LAYER_MOUNT_NS,
    CLO_OS_LAYER_PID_NS,       /* holds for children made afterwards */
    CLO_OS_LAYER_NET_NS,
    CLO_OS_LAYER_IPC_NS,
    CLO_OS_LAYER_UTS_NS,
    CLO_OS_LAYER_EMPTY_ROOT,   /* the file system tree is an empty read-only tmpfs */
    CLO_OS_LAYER_LANDLOCK,     /* every path access denied */
    CLO_OS_LAYER_SECCOMP,
    CLO_OS_LAYER_COUNT
} clo_os_layer;

typedef struct {
    bool active[CLO_OS_LAYER_COUNT];
    int landlock_abi;                 /* 0 = none */
    char why[CLO_OS_LAYER_COUNT][48]; /* of an inactive layer: the reason; empty = was not asked for */
} clo_os_sandbox_report;

typedef struct {
    size_t address_space_max; /* bytes; 0 = unlimited */
    unsigned open_files_max;  /* 0 = 64 */
    unsigned cpu_seconds_max; /* 0 = unlimited */
} clo_os_limits;

/** No dump, no new privileges, rlimits. Errors: IO where one of them is refused (they never are on a supported kernel). */
CLO_R clo_os_sandbox_harden(clo_os_sandbox_report *report, const clo_os_limits *limits);
/** Own user, mount, pid, net, ipc, uts namespaces, as many as the kernel grants, and an empty root where mounts are granted.
 *  Call it before any thread exists. Degrades, so the report tells. */
CLO_R clo_os_sandbox_namespaces(clo_os_sandbox_report *report);
/** Deny every path to this process and its children (Landlock, all rights of the ABI). Degrades. */
CLO_R clo_os_sandbox_deny_paths(clo_os_sandbox_report *report);

typedef enum {
    CLO_OS_PROFILE_RUNTIME, /* read, write, poll, socket input/output on the descriptors it has; memory (never executable), futex, clock, randomness,
                               exit, waiting for and killing its own child; optionally fork and threads; may take RUNTIME again without
                               fork, or PROGRAM */
    CLO_OS_PROFILE_PROGRAM, /* read and write on the named descriptors, memory, exit: nothing else */
} clo_os_profile;
typedef struct {
    clo_os_profile profile;
    bool allow_fork;      /* RUNTIME: until the program child is made; then take the profile again without it */
    bool allow_threads;   /* clone with CLONE_THREAD */
    const int *fds;       /* PROGRAM: what it may read and write; at most 8 */
    size_t fd_count;
} clo_os_seccomp;
/** Install the allow-list for all threads. Other calls fail with EPERM; those that only an attacker makes (execve, ptrace, bpf,
 *  module loading, other processes' memory) kill the process. Errors: UNSUPPORTED, IO: a missing filter is fatal for the caller. */
CLO_R clo_os_sandbox_system_calls(clo_os_sandbox_report *report, const clo_os_seccomp *options);

/** Name of a layer ("no-dump", "seccomp"…). */
const char *clo_os_layer_name(clo_os_layer layer);
/** Two lists in one line: "active: a, b; inactive: c (reason)". */
CLO_R clo_os_sandbox_report_text(const clo_os_sandbox_report *report, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
