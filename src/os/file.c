/* Opening, reading and writing regular files. */
#include "os/file.h"
#include "base/clo_ct.h"
#include "base/clo_own.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_TEXT_MAX = 4096 };

static clo_err fail_errno(const char *path, const char *doing)
{
    int why = errno;
    if (why == ENOENT || why == ENOTDIR) return CLO_FAILF(CLO_E_NOT_FOUND, "cannot %s %s: there is no such file", doing, path);
    if (why == EEXIST) return CLO_FAILF(CLO_E_EXISTS, "cannot %s %s: it exists already", doing, path);
    if (why == ELOOP) return CLO_FAILF(CLO_E_IO, "cannot %s %s: it is a symbolic link; name the file itself", doing, path);
    return CLO_FAILF(CLO_E_IO, "cannot %s %s: %s", doing, path, strerrordesc_np(why));
}

static clo_err fail_fd(const char *doing)
{
    return CLO_FAILF(CLO_E_IO, "cannot %s: %s", doing, strerrordesc_np(errno));
}

void clo_os_fd_close(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

clo_err clo_os_fd_finish(int *fd)
{
    int was = *fd;
    *fd = -1;
    if (was < 0) return CLO_OK;
    /* EINTR of close on Linux has closed the descriptor. */
    if (close(was) != 0 && errno != EINTR) return fail_fd("close a written file");
    return CLO_OK;
}

clo_err clo_os_file_open(int *fd, const char *path, clo_os_open_mode mode, unsigned permissions)
{
    static const int flags_of[] = {
        [CLO_OS_OPEN_READ] = O_RDONLY,
        [CLO_OS_OPEN_READ_WRITE] = O_RDWR | O_NOFOLLOW,
        [CLO_OS_OPEN_CREATE] = O_RDWR | O_CREAT | O_NOFOLLOW,
        [CLO_OS_OPEN_NEW] = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
        [CLO_OS_OPEN_APPEND] = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
    };
    /* O_NONBLOCK: opening a FIFO must not hang; it does nothing to regular files. */
    CLO_AUTO(clo_os_fd_close) int f = open(path, flags_of[mode] | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, (mode_t)permissions);
    if (f < 0) return fail_errno(path, mode == CLO_OS_OPEN_READ ? "read" : "open");
    struct stat st;
    if (fstat(f, &st) != 0) return fail_errno(path, "look at");
    CLO_CHECKF(S_ISREG(st.st_mode), CLO_E_IO, "cannot open %s: it is no regular file", path);
    *fd = f;
    f = -1;
    return CLO_OK;
}

static clo_err read_some(int fd, void *to, size_t size, size_t *n)
{
    for (;;) {
        ssize_t got = read(fd, to, size);
        if (got >= 0) {
            *n = (size_t)got;
            return CLO_OK;
        }
        if (errno != EINTR) return fail_fd("read a file");
    }
}

clo_err clo_os_file_read(const char *path, size_t max, clo_buf *out)
{
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    struct stat st;
    if (fstat(fd, &st) != 0) return fail_errno(path, "look at");
    CLO_CHECKF(st.st_size >= 0 && (uint64_t)st.st_size <= max, CLO_E_TOO_LARGE, "%s has %lld bytes; at most %zu are read here", path,
               (long long)st.st_size, max);
    size_t before = out->len;
    /* One byte more than the size shows a file that grows meanwhile; files of /proc say 0 and have content. */
    size_t step = (size_t)st.st_size + 1 > 4096 ? (size_t)st.st_size + 1 : 4096;
    for (;;) {
        size_t had = out->len - before;
        size_t room = step;
        if (room > max - had) room = max - had;
        bool last = room == 0;
        uint8_t probe = 0, *at = &probe;
        size_t n = 0;
        clo_err e = CLO_OK;
        if (!last) e = clo_buf_reserve(out, room, &at);
        if (!clo_failed(e)) e = read_some(fd, at, last ? 1 : room, &n);
        if (!clo_failed(e) && last && n != 0) e = CLO_FAILF(CLO_E_TOO_LARGE, "%s has more than %zu bytes", path, max);
        if (clo_failed(e)) {
            out->len = before;
            return e;
        }
        if (n == 0) return CLO_OK;
        out->len += n;
        step = 64 * 1024;
    }
}

clo_err clo_os_file_read_secret(const char *path, void *to, size_t size, size_t *n)
{
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    struct stat st;
    if (fstat(fd, &st) != 0) return fail_errno(path, "look at");
    CLO_CHECKF((st.st_mode & 077) == 0, CLO_E_DENIED, "%s holds a secret and others may read it; run: chmod 600 %s", path, path);
    CLO_CHECKF(st.st_size >= 0 && (uint64_t)st.st_size <= size, CLO_E_TOO_LARGE, "%s has %lld bytes; a secret here has at most %zu", path,
               (long long)st.st_size, size);
    size_t had = 0;
    while (had < (size_t)st.st_size) {
        size_t got = 0;
        clo_err e = read_some(fd, (uint8_t *)to + had, (size_t)st.st_size - had, &got);
        if (clo_failed(e)) {
            clo_wipe(to, size);
            return e;
        }
        if (got == 0) break;
        had += got;
    }
    *n = had;
    return CLO_OK;
}

clo_err clo_os_file_write_all(int fd, clo_span bytes)
{
    size_t done = 0;
    while (done < bytes.n) {
        ssize_t n = write(fd, bytes.p + done, bytes.n - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EPIPE) return CLO_FAILF(CLO_E_CLOSED, "the reader of this output has gone");
        if (n <= 0) return fail_fd("write");
        done += (size_t)n;
    }
    return CLO_OK;
}

static clo_err dir_of(const char *path, char dir[PATH_TEXT_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    CLO_CHECKF(n + 2 <= PATH_TEXT_MAX, CLO_E_TOO_LARGE, "this path is too long");
    if (slash == NULL) {
        memcpy(dir, ".", 2);
    } else if (n == 0) {
        memcpy(dir, "/", 2);
    } else {
        memcpy(dir, path, n);
        dir[n] = 0;
    }
    return CLO_OK;
}

clo_err clo_os_dir_sync(const char *path)
{
    CLO_AUTO(clo_os_fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(path, "open");
    /* EINVAL: a file system whose directories need no sync. */
    if (fsync(fd) != 0 && errno != EINVAL) return fail_errno(path, "sync");
    return CLO_OK;
}

static clo_err write_temporary(char *temporary, clo_span bytes, unsigned permissions)
{
    CLO_AUTO(clo_os_fd_close) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return fail_errno(temporary, "make");
    clo_err e = clo_os_file_write_all(fd, bytes);
    if (!clo_failed(e) && fchmod(fd, (mode_t)permissions) != 0) e = fail_errno(temporary, "set the mode of");
    if (!clo_failed(e)) e = clo_os_file_sync(fd);
    if (!clo_failed(e)) e = clo_os_fd_finish(&fd);
    if (clo_failed(e)) (void)unlink(temporary);
    return e;
}

static clo_err temporary_name(const char *path, char temporary[PATH_TEXT_MAX])
{
    int n = snprintf(temporary, PATH_TEXT_MAX, "%s" CLO_OS_TEMPORARY "XXXXXX", path);
    CLO_CHECKF(n > 0 && n < PATH_TEXT_MAX, CLO_E_TOO_LARGE, "this path is too long");
    return CLO_OK;
}

clo_err clo_os_file_write_atomic(const char *path, clo_span bytes, unsigned permissions)
{
    char temporary[PATH_TEXT_MAX];
    CLO_TRY(temporary_name(path, temporary));
    CLO_TRY(write_temporary(temporary, bytes, permissions));
    clo_err e = clo_os_file_rename(temporary, path);
    if (clo_failed(e)) (void)unlink(temporary);
    return e;
}

clo_err clo_os_file_write_new(const char *path, clo_span bytes, unsigned permissions)
{
    char temporary[PATH_TEXT_MAX], dir[PATH_TEXT_MAX];
    CLO_TRY(temporary_name(path, temporary));
    CLO_TRY(dir_of(path, dir));
    CLO_TRY(write_temporary(temporary, bytes, permissions));
    /* link, unlike rename, refuses to replace. */
    clo_err e = link(temporary, path) == 0 ? CLO_OK : fail_errno(path, "make");
    (void)unlink(temporary);
    if (!clo_failed(e)) e = clo_os_dir_sync(dir);
    return e;
}

clo_err clo_os_file_append_sync(int fd, clo_span bytes)
{
    CLO_TRY(clo_os_file_write_all(fd, bytes));
    return clo_os_file_sync_data(fd);
}

clo_err clo_os_file_pread(int fd, uint64_t offset, void *to, size_t n)
{
    size_t done = 0;
    CLO_CHECK(offset <= INT64_MAX - n, CLO_E_RANGE);
    while (done < n) {
        ssize_t got = pread(fd, (uint8_t *)to + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_fd("read a file");
        CLO_CHECKF(got > 0, CLO_E_TRUNCATED, "the file ends at byte %llu, %zu bytes too early", (unsigned long long)(offset + done), n - done);
        done += (size_t)got;
    }
    return CLO_OK;
}

clo_err clo_os_file_pwrite(int fd, uint64_t offset, clo_span bytes)
{
    size_t done = 0;
    CLO_CHECK(offset <= INT64_MAX - bytes.n, CLO_E_RANGE);
    while (done < bytes.n) {
        ssize_t put = pwrite(fd, bytes.p + done, bytes.n - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return fail_fd("write a file");
        done += (size_t)put;
    }
    return CLO_OK;
}

void clo_os_file_write_early(int fd, uint64_t offset, size_t n)
{
    (void)sync_file_range(fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

clo_err clo_os_file_sync(int fd)
{
    if (fsync(fd) != 0) return fail_fd("sync a file");
    return CLO_OK;
}

clo_err clo_os_file_sync_data(int fd)
{
    if (fdatasync(fd) != 0) return fail_fd("sync a file");
    return CLO_OK;
}

clo_err clo_os_file_truncate(int fd, uint64_t size)
{
    CLO_CHECK(size <= INT64_MAX, CLO_E_RANGE);
    if (ftruncate(fd, (off_t)size) != 0) return fail_fd("truncate a file");
    return CLO_OK;
}

clo_err clo_os_file_size_fd(int fd, uint64_t *size)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return fail_fd("look at a file");
    *size = (uint64_t)st.st_size;
    return CLO_OK;
}

clo_err clo_os_file_still(int fd, const char *path)
{
    struct stat open_one, named;
    if (fstat(fd, &open_one) != 0) return fail_errno(path, "look at");
    if (stat(path, &named) != 0) return fail_errno(path, "look at");
    CLO_CHECKF(open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino, CLO_E_CONFLICT, "another file was put in the place of %s", path);
    return CLO_OK;
}

clo_err clo_os_file_reserve(int fd, uint64_t offset, uint64_t n)
{
    CLO_CHECK(offset <= INT64_MAX - n, CLO_E_RANGE);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)n) != 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
        return fail_fd("make room in a file");
    return CLO_OK;
}

clo_err clo_os_file_size(const char *path, uint64_t *size)
{
    struct stat st;
    if (stat(path, &st) != 0) return fail_errno(path, "look at");
    *size = (uint64_t)st.st_size;
    return CLO_OK;
}

bool clo_os_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool clo_os_dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

clo_err clo_os_file_rename(const char *from, const char *to)
{
    char dir[PATH_TEXT_MAX];
    CLO_TRY(dir_of(to, dir));
    if (rename(from, to) != 0) return fail_errno(to, "replace");
    return clo_os_dir_sync(dir);
}

clo_err clo_os_file_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT) return fail_errno(path, "remove");
    return CLO_OK;
}

static clo_err copy_into(int from, int to)
{
    void *piece = malloc(64 * 1024);
    CLO_CHECK(piece != NULL, CLO_E_NOMEM);
    clo_err e = CLO_OK;
    for (;;) {
        size_t n = 0;
        e = read_some(from, piece, 64 * 1024, &n);
        if (clo_failed(e) || n == 0) break;
        e = clo_os_file_write_all(to, clo_span_of(piece, n));
        if (clo_failed(e)) break;
    }
    free(piece);
    return e;
}

clo_err clo_os_file_copy(const char *from, const char *to, unsigned permissions)
{
    char temporary[PATH_TEXT_MAX];
    CLO_TRY(temporary_name(to, temporary));
    CLO_AUTO(clo_os_fd_close) int in = -1;
    CLO_TRY(clo_os_file_open(&in, from, CLO_OS_OPEN_READ, 0));
    CLO_AUTO(clo_os_fd_close) int out = mkostemp(temporary, O_CLOEXEC);
    if (out < 0) return fail_errno(temporary, "make");
    clo_err e = copy_into(in, out);
    if (!clo_failed(e) && fchmod(out, (mode_t)permissions) != 0) e = fail_errno(temporary, "set the mode of");
    if (!clo_failed(e)) e = clo_os_file_sync(out);
    if (!clo_failed(e)) e = clo_os_fd_finish(&out);
    if (!clo_failed(e)) e = clo_os_file_rename(temporary, to);
    if (clo_failed(e)) (void)unlink(temporary);
    return e;
}

clo_err clo_os_path_join(char *to, size_t to_size, const char *dir, const char *name)
{
    size_t dir_size = strlen(dir), name_size = strlen(name);
    bool slash = dir_size != 0 && dir[dir_size - 1] != '/';
    CLO_CHECKF(dir_size + name_size + 2 <= to_size, CLO_E_TOO_LARGE, "the path %s/%s is too long", dir, name);
    char joined[PATH_TEXT_MAX];
    CLO_CHECK(dir_size + name_size + 2 <= sizeof joined, CLO_E_TOO_LARGE);
    memcpy(joined, dir, dir_size);
    if (slash) joined[dir_size++] = '/';
    memcpy(joined + dir_size, name, name_size + 1);
    memcpy(to, joined, dir_size + name_size + 1);
    return CLO_OK;
}

clo_err clo_os_path_program_dir(char *to, size_t to_size)
{
    char link_text[PATH_TEXT_MAX], dir[PATH_TEXT_MAX];
    ssize_t n = readlink("/proc/self/exe", link_text, sizeof link_text - 1);
    if (n < 0) return fail_errno("/proc/self/exe", "read");
    link_text[n] = 0;
    CLO_TRY(dir_of(link_text, dir));
    size_t size = strlen(dir) + 1;
    CLO_CHECK(size <= to_size, CLO_E_TOO_LARGE);
    memcpy(to, dir, size);
    return CLO_OK;
}

clo_err clo_os_lock_take(const char *path, int *fd)
{
    CLO_AUTO(clo_os_fd_close) int f = -1;
    CLO_TRY(clo_os_file_open(&f, path, CLO_OS_OPEN_CREATE, 0600));
    if (flock(f, LOCK_EX | LOCK_NB) != 0) {
        char holder[24] = "unknown";
        ssize_t n = pread(f, holder, sizeof holder - 1, 0);
        if (n > 0) holder[strspn(holder, "0123456789")] = 0;
        return CLO_FAILF(CLO_E_CONFLICT, "%s is held by process %s: stop it first, or use another directory", path, holder);
    }
    char text[24];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    CLO_TRY(clo_os_file_truncate(f, 0));
    CLO_TRY(clo_os_file_pwrite(f, 0, clo_span_of(text, (size_t)n)));
    *fd = f;
    f = -1;
    return CLO_OK;
}
