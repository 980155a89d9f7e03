/* A library to be preloaded: it counts the calls by which a program changes files below one folder, or sends on the network, and at the n-th of
 * them fails, writes a part, kills the process, or cuts the power (every change that was not synced is undone, or, mixed, some of them). It also
 * moves the wall clock. What it does stands in a control file that the test maps and may change at any time (CLOISTER_FAULT names it). */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
enum { WRITE = 1, SYNC = 2, RENAME = 4, LINK = 8, UNLINK = 16, TRUNCATE = 32, CREATE = 64, MAKE_DIR = 128, SEND = 256 };
enum { NOTHING, FAIL_IO, FULL, READ_ONLY, SHORT, TORN, KILL, KILL_AFTER, POWER, POWER_MIXED, NO_DESCRIPTORS, STOP };
enum { PATH_SIZE = 512 };

/* Layout shared with fault_control.py. */
typedef struct {
    _Atomic uint64_t calls;
    uint64_t first, last; /* calls that are hit; 0 = none */
    uint32_t how, kinds;
    int64_t wall_offset;
    _Atomic uint64_t hits;
    char folder[PATH_SIZE], scratch[PATH_SIZE]; /* what is watched; where names are kept that a power cut brings back */
} control;

static control *shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(name) *)(uintptr_t)real_symbol(#name))
static void *real_symbol(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) abort();
    return found;
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CLOISTER_FAULT");
    if (path == NULL) return;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED) shared = at;
}

/* ---- what is watched ---- */

static bool watched_path(const char *path)
{
    size_t n = shared == NULL ? 0 : strlen(shared->folder);
    return n > 0 && strncmp(path, shared->folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static bool path_of(int fd, char path[PATH_SIZE])
{
    char link_name[40];
    int saved = errno;
    (void)snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link_name, path, PATH_SIZE - 1);
    path[n > 0 ? n : 0] = 0;
    errno = saved;
    return n > 0;
}

static bool watched_file(int fd, char path[PATH_SIZE]) { return shared != NULL && shared->folder[0] != 0 && path_of(fd, path) && watched_path(path); }

static bool watched_socket(int fd)
{
    if (shared == NULL || (shared->kinds & SEND) == 0) return false;
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    int saved = errno;
    bool yes = getsockname(fd, (struct sockaddr *)&address, &n) == 0 && (address.ss_family == AF_INET || address.ss_family == AF_INET6);
    errno = saved;
    return yes;
}

/* ---- what a power cut takes back ---- */

enum { DATA, MADE, REPLACED, REMOVED };
typedef struct change {
    struct change *before; /* the one before */
    int what;
    char path[PATH_SIZE], from[PATH_SIZE], saved[PATH_SIZE];
    ino_t file;
    off_t offset, size_before, size_after;
    size_t old_size, fresh_size;
    uint8_t *old, *fresh;
} change;
static change *newest;
static unsigned saved_count;

static bool recording(void) { return shared->how == POWER || shared->how == POWER_MIXED; }

static change *note(int what, const char *path)
{
    change *c = calloc(1, sizeof *c);
    if (c == NULL) abort();
    c->what = what;
    (void)snprintf(c->path, sizeof c->path, "%s", path);
    c->before = newest;
    newest = c;
    return c;
}

static void forget(change **at)
{
    change *c = *at;
    *at = c->before;
    if (c->saved[0] != 0) (void)REAL(unlink)(c->saved);
    free(c->old);
    free(c->fresh);
    free(c);
}

static bool shared_memory_of_sqlite(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, "-shm") == 0; /* made anew by the first who opens the database */
}

/* Before bytes [offset, offset + n) of the file change, or, with fresh == NULL, before it is cut to `offset`. */
static void note_data(int fd, const char *path, const void *fresh, size_t n, off_t offset)
{
    struct stat st;
    if (!recording() || shared_memory_of_sqlite(path) || fstat(fd, &st) != 0) return;
    change *c = note(DATA, path);
    c->file = st.st_ino;
    c->offset = offset;
    c->size_before = st.st_size;
    off_t end = fresh == NULL ? st.st_size : offset + (off_t)n;
    c->size_after = fresh == NULL ? offset : end > st.st_size ? end : st.st_size;
    size_t kept = st.st_size > offset ? (size_t)((st.st_size < end ? st.st_size : end) - offset) : 0;
    c->old = malloc(kept + 1);
    c->fresh = malloc(n + 1);
    if (c->old == NULL || c->fresh == NULL) abort();
    /* A second descriptor is opened only where this one cannot read: closing it would drop SQLite's POSIX locks. */
    int reader = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR ? fd : REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (kept > 0 && reader >= 0) c->old_size = (size_t)(pread(reader, c->old, kept, offset) < 0 ? 0 : kept);
    if (fresh != NULL) memcpy(c->fresh, fresh, n);
    c->fresh_size = fresh == NULL ? 0 : n;
    if (reader >= 0 && reader != fd) (void)close(reader);
}

static void note_name(int what, const char *path, const char *from)
{
    struct stat st;
    if (!recording() || shared_memory_of_sqlite(path)) return;
    change *c = note(what, path);
    if (from != NULL) (void)snprintf(c->from, sizeof c->from, "%s", from);
    if (what != MADE && lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        (void)snprintf(c->saved, sizeof c->saved, "%.480s/%u", shared->scratch, saved_count++);
        if (REAL(link)(path, c->saved) != 0) c->saved[0] = 0;
    }
    for (change *d = newest; d != NULL; d = d->before) {
        if (d->what != DATA) continue;
        if (what == REMOVED && strcmp(d->path, path) == 0) (void)snprintf(d->path, sizeof d->path, "%s", c->saved);
        if (what != REPLACED) continue;
        if (strcmp(d->path, path) == 0) (void)snprintf(d->path, sizeof d->path, "%s", c->saved);
        if (strcmp(d->path, from) == 0) (void)snprintf(d->path, sizeof d->path, "%s", path);
    }
}

static bool in_folder(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t n = strlen(folder);
    return slash != NULL && (size_t)(slash - path) == n && strncmp(path, folder, n) == 0;
}

/* This file, or the names in this folder, are safe now. */
static void note_sync(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return;
    for (change **at = &newest; *at != NULL;) {
        change *c = *at;
        bool safe = S_ISDIR(st.st_mode) ? c->what != DATA && in_folder(c->path, path) : c->what == DATA && c->file == st.st_ino;
        if (safe)
            forget(at);
        else
            at = &c->before;
    }
}

static void put_back(const change *c, bool fresh)
{
    int fd = REAL(open)(c->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    const uint8_t *bytes = fresh ? c->fresh : c->old;
    size_t n = fresh ? c->fresh_size : c->old_size;
    if (n > 0 && REAL(pwrite)(fd, bytes, n, c->offset) < 0) abort();
    struct stat st;
    off_t size = fresh ? c->size_after : c->size_before;
    bool wrong = fstat(fd, &st) == 0 && (fresh ? c->fresh_size == 0 || st.st_size < size : st.st_size != size);
    if (wrong && REAL(ftruncate)(fd, size) != 0) abort();
    (void)close(fd);
}

static bool survives(const change *c, unsigned index)
{
    return shared->how == POWER_MIXED && (((index + (unsigned)shared->first) * 2654435761u + (unsigned)c->what) >> 16 & 1) != 0;
}

static void take_name_back(change *c)
{
    if (c->what == MADE && REAL(unlink)(c->path) != 0) {
        /* A folder that was never durable is gone with all that is in it. */
        char lost[PATH_SIZE];
        (void)snprintf(lost, sizeof lost, "%.480s/lost-%u", shared->scratch, saved_count++);
        (void)REAL(rename)(c->path, lost);
    }
    if (c->what == REPLACED) (void)REAL(rename)(c->path, c->from);
    if (c->saved[0] != 0) (void)REAL(rename)(c->saved, c->path);
}

static void cut_power(void)
{
    unsigned count = 0, index = 0;
    for (change *c = newest; c != NULL; c = c->before, count++)
        if (c->what == DATA) put_back(c, false);
    change **order = calloc(count + 1, sizeof(change *));
    if (order == NULL) abort();
    for (change *c = newest; c != NULL; c = c->before) order[index++] = c;
    while (index-- > 0)
        if (order[index]->what == DATA && survives(order[index], index)) put_back(order[index], true);
    index = 0;
    for (change *c = newest; c != NULL; c = c->before, index++)
        if (c->what != DATA && !survives(c, index)) take_name_back(c);
}

/* ---- the decision ---- */

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    while (true) (void)pause();
}

static int error_of(unsigned kind)
{
    switch (shared->how) {
    case FULL: return ENOSPC;
    case READ_ONLY: return EROFS;
    case NO_DESCRIPTORS: return EMFILE;
    default: return kind == SEND ? ECONNRESET : EIO;
    }
}

/* Count this call. What is to happen to it: NOTHING, SHORT, TORN, KILL_AFTER, or FAIL_IO with errno set. Does not return from KILL and the power cut. */
static int decide(unsigned kind)
{
    if ((shared->kinds & kind) == 0) return NOTHING;
    uint64_t number = atomic_fetch_add(&shared->calls, 1) + 1;
    if (shared->first == 0 || number < shared->first || number > shared->last) return NOTHING;
    int how = (int)shared->how;
    bool data = kind == WRITE;
    if (how == FULL && (kind & (WRITE | CREATE | MAKE_DIR | LINK)) == 0) return NOTHING; /* a full disk syncs, renames, removes */
    if (how == NO_DESCRIPTORS && kind != CREATE) return NOTHING;
    atomic_fetch_add(&shared->hits, 1);
    if (how == SHORT || how == KILL_AFTER || (how == TORN && data)) return how;
    if (how == FULL && data && number == shared->first) return SHORT;
    if (how == STOP) {
        (void)raise(SIGSTOP);
        return NOTHING;
    }
    if (how == POWER || how == POWER_MIXED) cut_power();
    if (how == TORN || how == KILL || how == POWER || how == POWER_MIXED) die();
    errno = error_of(kind);
    return FAIL_IO;
}

#define GUARDED(kind, fallible, record) \
    (void)pthread_mutex_lock(&lock); \
    int how = decide(kind); \
    int result = -1; \
    if (how == SHORT) { errno = shared->how == FULL ? ENOSPC : EIO; how = FAIL_IO; } \
    if (how != FAIL_IO) { record; result = (fallible); } \
    if (how == KILL_AFTER) die(); \
    (void)pthread_mutex_unlock(&lock); \
    return result

/* ---- writes ---- */

static ssize_t put_bytes(int fd, const void *bytes, size_t n, off_t offset, bool positioned)
{
    return positioned ? REAL(pwrite)(fd, bytes, n, offset) : REAL(write)(fd, bytes, n);
}

static ssize_t guarded_write(int fd, const char *path, const void *bytes, size_t n, off_t offset, bool positioned)
{
    (void)pthread_mutex_lock(&lock);
    int how = decide(WRITE);
    ssize_t result = -1;
    if (how == SHORT && n < 2) {
        errno = ENOSPC;
        how = FAIL_IO;
    }
    if (how != FAIL_IO) {
        size_t some = how == SHORT || how == TORN ? n / 2 : n;
        off_t at = offset;
        if (!positioned) at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
        note_data(fd, path, bytes, some, at);
        result = put_bytes(fd, bytes, some, offset, positioned);
    }
    if (how == TORN || how == KILL_AFTER) die();
    (void)pthread_mutex_unlock(&lock);
    return result;
}

/* True where the send is not to happen; errno is set then. */
static bool send_fails(int *how)
{
    *how = decide(SEND);
    return *how == FAIL_IO;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t n)
{
    char path[PATH_SIZE];
    int how = NOTHING;
    if (watched_file(fd, path)) return guarded_write(fd, path, bytes, n, 0, false);
    bool sends = watched_socket(fd);
    if (sends && send_fails(&how)) return -1;
    ssize_t done = REAL(write)(fd, bytes, (how == SHORT || how == TORN) && n > 1 ? n / 2 : n);
    if (how == TORN || how == KILL_AFTER) die();
    return done;
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    char path[PATH_SIZE];
    return watched_file(fd, path) ? guarded_write(fd, path, bytes, n, offset, true) : REAL(pwrite)(fd, bytes, n, offset);
}
EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset) { return pwrite(fd, bytes, n, offset); }

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    int how = NOTHING;
    if (watched_socket(fd) && send_fails(&how)) return -1;
    ssize_t done = REAL(writev)(fd, parts, count);
    if (how == TORN || how == KILL_AFTER) die();
    return done;
}

EXPORT ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    int how = NOTHING;
    if (watched_socket(fd) && send_fails(&how)) return -1;
    ssize_t done = REAL(send)(fd, bytes, (how == SHORT || how == TORN) && n > 1 ? n / 2 : n, flags);
    if (how == TORN || how == KILL_AFTER) die();
    return done;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int how = NOTHING;
    if (watched_socket(fd) && send_fails(&how)) return -1;
    ssize_t done = REAL(sendmsg)(fd, message, flags);
    if (how == TORN || how == KILL_AFTER) die();
    return done;
}

/* ---- sync, size, names ---- */

static int guarded_sync(int fd, const char *path, int (*sync_it)(int))
{
    GUARDED(SYNC, sync_it(fd), note_sync(fd, path));
}
EXPORT int fsync(int fd)
{
    char path[PATH_SIZE];
    return watched_file(fd, path) ? guarded_sync(fd, path, REAL(fsync)) : REAL(fsync)(fd);
}
EXPORT int fdatasync(int fd)
{
    char path[PATH_SIZE];
    return watched_file(fd, path) ? guarded_sync(fd, path, REAL(fdatasync)) : REAL(fdatasync)(fd);
}

static int guarded_truncate(int fd, const char *path, off_t size)
{
    GUARDED(TRUNCATE, REAL(ftruncate)(fd, size), note_data(fd, path, NULL, 0, size));
}
EXPORT int ftruncate(int fd, off_t size)
{
    char path[PATH_SIZE];
    return watched_file(fd, path) ? guarded_truncate(fd, path, size) : REAL(ftruncate)(fd, size);
}
EXPORT int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* Room is data as far as a full disk goes. */
static int guarded_reserve(int fd, int mode, off_t offset, off_t n) { GUARDED(WRITE, REAL(fallocate)(fd, mode, offset, n), ); }
EXPORT int fallocate(int fd, int mode, off_t offset, off_t n)
{
    char path[PATH_SIZE];
    int result = watched_file(fd, path) ? guarded_reserve(fd, mode, offset, n) : REAL(fallocate)(fd, mode, offset, n);
    return result;
}
EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t n) { return fallocate(fd, mode, offset, n); }

static int guarded_rename(const char *from, const char *to) { GUARDED(RENAME, REAL(rename)(from, to), note_name(REPLACED, to, from)); }
EXPORT int rename(const char *from, const char *to) { return watched_path(to) ? guarded_rename(from, to) : REAL(rename)(from, to); }

static int guarded_link(const char *from, const char *to) { GUARDED(LINK, REAL(link)(from, to), if (access(to, F_OK) != 0) note_name(MADE, to, NULL)); }
EXPORT int link(const char *from, const char *to) { return watched_path(to) ? guarded_link(from, to) : REAL(link)(from, to); }

static int guarded_unlink(const char *path) { GUARDED(UNLINK, REAL(unlink)(path), note_name(REMOVED, path, NULL)); }
EXPORT int unlink(const char *path) { return watched_path(path) ? guarded_unlink(path) : REAL(unlink)(path); }

static int guarded_mkdir(const char *path, mode_t mode) { GUARDED(MAKE_DIR, REAL(mkdir)(path, mode), if (access(path, F_OK) != 0) note_name(MADE, path, NULL)); }
EXPORT int mkdir(const char *path, mode_t mode) { return watched_path(path) ? guarded_mkdir(path, mode) : REAL(mkdir)(path, mode); }

static int guarded_create(const char *path, int flags, mode_t mode)
{
    GUARDED(CREATE, REAL(open)(path, flags, mode), if (access(path, F_OK) != 0) note_name(MADE, path, NULL));
}
static int open_any(const char *path, int flags, mode_t mode)
{
    return (flags & O_CREAT) != 0 && watched_path(path) ? guarded_create(path, flags, mode) : REAL(open)(path, flags, mode);
}
EXPORT int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(path, flags, mode);
}
EXPORT int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_any(path, flags | O_LARGEFILE, mode);
}

static int make_temporary(char *path, int flags)
{
    int fd = REAL(mkostemp)(path, flags);
    if (fd >= 0) note_name(MADE, path, NULL);
    return fd;
}
static int guarded_temporary(char *path, int flags) { GUARDED(CREATE, make_temporary(path, flags), ); }
EXPORT int mkostemp(char *path, int flags) { return watched_path(path) ? guarded_temporary(path, flags) : REAL(mkostemp)(path, flags); }
EXPORT int mkostemp64(char *path, int flags) { return mkostemp(path, flags); }

/* ---- the wall clock ---- */

EXPORT int clock_gettime(clockid_t which, struct timespec *to)
{
    int result = REAL(clock_gettime)(which, to);
    if (result == 0 && shared != NULL && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) to->tv_sec += shared->wall_offset;
    return result;
}
EXPORT time_t time(time_t *to)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (to != NULL) *to = now.tv_sec;
    return now.tv_sec;
}
EXPORT int gettimeofday(struct timeval *restrict to, void *restrict zone)
{
    int result = REAL(gettimeofday)(to, zone);
    if (result == 0 && shared != NULL) to->tv_sec += shared->wall_offset;
    return result;
}
