/* Hardening, namespaces and Landlock. */
#include "os/sandbox.h"
#include "base/clo_own.h"
#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const layer_names[] = {
    [CLO_OS_LAYER_NO_DUMP] = "no-dump",     [CLO_OS_LAYER_NO_NEW_PRIVS] = "no-new-privileges",
    [CLO_OS_LAYER_RLIMITS] = "rlimits",     [CLO_OS_LAYER_USER_NS] = "user-namespace",
    [CLO_OS_LAYER_MOUNT_NS] = "mount-namespace", [CLO_OS_LAYER_PID_NS] = "pid-namespace",
    [CLO_OS_LAYER_NET_NS] = "net-namespace", [CLO_OS_LAYER_IPC_NS] = "ipc-namespace",
    [CLO_OS_LAYER_UTS_NS] = "uts-namespace", [CLO_OS_LAYER_EMPTY_ROOT] = "empty-root",
    [CLO_OS_LAYER_LANDLOCK] = "landlock",   [CLO_OS_LAYER_SECCOMP] = "seccomp",
};
_Static_assert(sizeof layer_names / sizeof layer_names[0] == CLO_OS_LAYER_COUNT, "every layer has a name");

const char *clo_os_layer_name(clo_os_layer layer) { return layer < CLO_OS_LAYER_COUNT ? layer_names[layer] : "unknown"; }

static void note(clo_os_sandbox_report *r, clo_os_layer layer, bool active, const char *why)
{
    r->active[layer] = active;
    r->why[layer][0] = 0;
    if (!active) (void)snprintf(r->why[layer], sizeof r->why[layer], "%s", why);
}

static bool limit(int resource, rlim_t most)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0) return false;
    /* Never above the limit that is there already. */
    rlim_t value = now.rlim_max != RLIM_INFINITY && now.rlim_max < most ? now.rlim_max : most;
    struct rlimit to = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)resource, &to) == 0;
}

clo_err clo_os_sandbox_harden(clo_os_sandbox_report *report, const clo_os_limits *limits)
{
    CLO_CHECKF(prctl(PR_SET_DUMPABLE, 0) == 0, CLO_E_IO, "the kernel refuses PR_SET_DUMPABLE");
    note(report, CLO_OS_LAYER_NO_DUMP, true, "");
    CLO_CHECKF(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, CLO_E_IO, "the kernel refuses PR_SET_NO_NEW_PRIVS");
    note(report, CLO_OS_LAYER_NO_NEW_PRIVS, true, "");
    bool good = limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, limits->open_files_max != 0 ? limits->open_files_max : 64);
    if (limits->address_space_max != 0) good = limit(RLIMIT_AS, limits->address_space_max) && good;
    if (limits->cpu_seconds_max != 0) good = limit(RLIMIT_CPU, limits->cpu_seconds_max) && good;
    CLO_CHECKF(good, CLO_E_IO, "cannot set resource limits: %s", strerrordesc_np(errno));
    note(report, CLO_OS_LAYER_RLIMITS, true, "");
    return CLO_OK;
}

static bool write_proc(const char *path, const char *text)
{
    CLO_AUTO(clo_os_fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* The new user namespace maps only this user, to itself. */
static void map_user(uid_t user, gid_t group)
{
    char map[64];
    (void)write_proc("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof map, "%lu %lu 1", (unsigned long)user, (unsigned long)user);
    (void)write_proc("/proc/self/uid_map", map);
    (void)snprintf(map, sizeof map, "%lu %lu 1", (unsigned long)group, (unsigned long)group);
    (void)write_proc("/proc/self/gid_map", map);
}

static void own_namespace(clo_os_sandbox_report *r, clo_os_layer layer, int flag)
{
    bool got = unshare(flag) == 0;
    note(r, layer, got, got ? "" : strerrordesc_np(errno));
}

/* An empty read-only tmpfs becomes the root; the old tree is detached. */
static void empty_root(clo_os_sandbox_report *r)
{
    const char *at = "/tmp";
    bool good = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    good = good && mount("none", at, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=0500") == 0;
    good = good && mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
    good = good && chdir(at) == 0;
    /* pivot_root(".", ".") stacks the new root over the old one, which is then unmounted. */
    good = good && syscall(SYS_pivot_root, ".", ".") == 0;
    good = good && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
    note(r, CLO_OS_LAYER_EMPTY_ROOT, good, good ? "" : strerrordesc_np(errno));
}

clo_err clo_os_sandbox_namespaces(clo_os_sandbox_report *report)
{
    uid_t user = geteuid();
    gid_t group = getegid();
    /* A process that is not dumpable does not own its /proc files, so the maps need this moment. */
    int dumpable = prctl(PR_GET_DUMPABLE);
    (void)prctl(PR_SET_DUMPABLE, 1);
    own_namespace(report, CLO_OS_LAYER_USER_NS, CLONE_NEWUSER);
    if (report->active[CLO_OS_LAYER_USER_NS]) map_user(user, group);
    own_namespace(report, CLO_OS_LAYER_NET_NS, CLONE_NEWNET);
    own_namespace(report, CLO_OS_LAYER_IPC_NS, CLONE_NEWIPC);
    own_namespace(report, CLO_OS_LAYER_UTS_NS, CLONE_NEWUTS);
    own_namespace(report, CLO_OS_LAYER_PID_NS, CLONE_NEWPID);
    own_namespace(report, CLO_OS_LAYER_MOUNT_NS, CLONE_NEWNS);
    if (report->active[CLO_OS_LAYER_MOUNT_NS]) empty_root(report);
    else note(report, CLO_OS_LAYER_EMPTY_ROOT, false, "no mount namespace");
    CLO_CHECKF(prctl(PR_SET_DUMPABLE, (unsigned long)(dumpable == 1)) == 0, CLO_E_IO, "the kernel refuses PR_SET_DUMPABLE");
    return CLO_OK;
}

/* Landlock rights by ABI: 1 has bits 0..12; 2 adds REFER; 3 TRUNCATE; 5 IOCTL_DEV. */
static uint64_t landlock_rights(int abi)
{
    uint64_t rights = (UINT64_C(1) << 13) - 1;
    if (abi >= 2) rights |= UINT64_C(1) << 13;
    if (abi >= 3) rights |= UINT64_C(1) << 14;
    if (abi >= 5) rights |= UINT64_C(1) << 15;
    return rights;
}

clo_err clo_os_sandbox_deny_paths(clo_os_sandbox_report *report)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) {
        note(report, CLO_OS_LAYER_LANDLOCK, false, "the kernel has no Landlock");
        return CLO_OK;
    }
    /* handled_access_fs, then (ABI 4) handled_access_net, then (ABI 6) scoped. */
    uint64_t attributes[3] = {landlock_rights((int)abi), 0, 0};
    size_t size = sizeof attributes[0];
    if (abi >= 4) {
        attributes[1] = 3; /* TCP bind and connect */
        size = 2 * sizeof attributes[0];
    }
    if (abi >= 6) {
        attributes[2] = 3; /* abstract UNIX sockets and signals to processes outside */
        size = 3 * sizeof attributes[0];
    }
    CLO_AUTO(clo_os_fd_close) int rules = (int)syscall(SYS_landlock_create_ruleset, attributes, size, 0);
    bool good = rules >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    good = good && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    note(report, CLO_OS_LAYER_LANDLOCK, good, good ? "" : strerrordesc_np(errno));
    if (good) report->landlock_abi = (int)abi;
    return CLO_OK;
}

clo_err clo_os_sandbox_report_text(const clo_os_sandbox_report *report, clo_buf *out)
{
    size_t before = out->len;
    clo_err e = clo_buf_put_str(out, "active:");
    const char *between = " ";
    for (unsigned i = 0; i < CLO_OS_LAYER_COUNT && !clo_failed(e); i++) {
        if (!report->active[i]) continue;
        e = clo_buf_printf(out, "%s%s", between, layer_names[i]);
        between = ", ";
    }
    if (!clo_failed(e)) e = clo_buf_put_str(out, "; inactive:");
    between = " ";
    for (unsigned i = 0; i < CLO_OS_LAYER_COUNT && !clo_failed(e); i++) {
        if (report->active[i]) continue;
        e = clo_buf_printf(out, "%s%s (%s)", between, layer_names[i], report->why[i][0] != 0 ? report->why[i] : "not asked for");
        between = ", ";
    }
    if (clo_failed(e)) out->len = before;
    return e;
}
