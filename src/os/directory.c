/* Directories: making, listing, removing and copying trees. */
#include "base/clo_own.h"
#include "os/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_TEXT_MAX = 4096, DEPTH_MAX = 64, ENTRIES_MAX = 100000 };

static clo_err fail_errno(const char *path, const char *doing)
{
    int why = errno;
    if (why == ENOENT || why == ENOTDIR) return CLO_FAILF(CLO_E_NOT_FOUND, "cannot %s %s: there is no such directory", doing, path);
    return CLO_FAILF(CLO_E_IO, "cannot %s %s: %s", doing, path, strerrordesc_np(why));
}

/* The name that was just made must outlive a power cut: sync the directory that holds it, the first n bytes of the path. */
static clo_err sync_parent(const char *path, size_t n)
{
    char parent[PATH_TEXT_MAX] = ".";
    if (n > 0) {
        memcpy(parent, path, n);
        parent[n] = 0;
    }
    return clo_os_dir_sync(parent);
}

clo_err clo_os_dir_make(const char *path)
{
    char part[PATH_TEXT_MAX];
    size_t n = strlen(path), parent = path[0] == '/' ? 1 : 0;
    CLO_CHECKF(n != 0 && n < sizeof part, CLO_E_TOO_LARGE, "this path is empty or too long");
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0) continue;
        char was = part[i];
        part[i] = 0;
        bool made = mkdir(part, 0700) == 0;
        if (!made && errno != EEXIST) return fail_errno(part, "make");
        if (made) CLO_TRY(sync_parent(part, parent));
        parent = i;
        part[i] = was;
    }
    CLO_CHECKF(clo_os_dir_exists(path), CLO_E_IO, "cannot make %s: a file of this name is in the way", path);
    return CLO_OK;
}

typedef struct {
    char *name;
    bool is_directory;
} entry;
typedef struct {
    entry *items;
    size_t count, cap;
} entries;

static void entries_free(entries *e)
{
    for (size_t i = 0; i < e->count; i++) free(e->items[i].name);
    free(e->items);
    *e = (entries){0};
}

static void dir_close(DIR **d)
{
    if (*d != NULL) (void)closedir(*d);
    *d = NULL;
}

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

static bool entry_is_directory(int dir_fd, const struct dirent *d)
{
    if (d->d_type != DT_UNKNOWN) return d->d_type == DT_DIR;
    struct stat st;
    return fstatat(dir_fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static clo_err entries_add(entries *e, const char *name, bool is_directory)
{
    CLO_CHECKF(e->count < ENTRIES_MAX, CLO_E_TOO_MANY, "a directory has more than %d entries", ENTRIES_MAX);
    if (e->count == e->cap) {
        size_t cap = e->cap == 0 ? 64 : e->cap * 2;
        entry *more = realloc(e->items, cap * sizeof *more);
        CLO_CHECK(more != NULL, CLO_E_NOMEM);
        e->items = more;
        e->cap = cap;
    }
    char *copy = strdup(name);
    CLO_CHECK(copy != NULL, CLO_E_NOMEM);
    e->items[e->count++] = (entry){.name = copy, .is_directory = is_directory};
    return CLO_OK;
}

static clo_err entries_read(entries *out, const char *path)
{
    CLO_AUTO(dir_close) DIR *d = opendir(path);
    if (d == NULL) return fail_errno(path, "read");
    for (;;) {
        errno = 0;
        const struct dirent *at = readdir(d);
        if (at == NULL) break;
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0) continue;
        CLO_TRY(entries_add(out, at->d_name, entry_is_directory(dirfd(d), at)));
    }
    if (errno != 0) return fail_errno(path, "read");
    if (out->count > 1) qsort(out->items, out->count, sizeof *out->items, by_name);
    return CLO_OK;
}

clo_err clo_os_dir_list(const char *path, clo_os_dir_fn each, void *context)
{
    CLO_AUTO(entries_free) entries all = {0};
    CLO_TRY(entries_read(&all, path));
    for (size_t i = 0; i < all.count; i++) CLO_TRY(each(context, all.items[i].name, all.items[i].is_directory));
    return CLO_OK;
}

static bool is_temporary(const char *name)
{
    enum { LETTERS = 6, TAIL = sizeof CLO_OS_TEMPORARY - 1 + LETTERS };
    size_t n = strlen(name);
    return n > TAIL && memcmp(name + n - TAIL, CLO_OS_TEMPORARY, TAIL - LETTERS) == 0;
}

clo_err clo_os_dir_sweep(const char *path)
{
    CLO_AUTO(entries_free) entries all = {0};
    clo_err e = entries_read(&all, path);
    if (e.code == CLO_E_NOT_FOUND) return CLO_OK;
    CLO_TRY(e);
    for (size_t i = 0; i < all.count; i++) {
        char child[PATH_TEXT_MAX];
        if (all.items[i].is_directory || !is_temporary(all.items[i].name)) continue;
        CLO_TRY(clo_os_path_join(child, sizeof child, path, all.items[i].name));
        CLO_TRY(clo_os_file_remove(child));
    }
    return CLO_OK;
}

static clo_err remove_at(const char *path, unsigned depth)
{
    CLO_CHECKF(depth < DEPTH_MAX, CLO_E_TOO_MANY, "%s is nested more than %d deep", path, DEPTH_MAX);
    CLO_AUTO(entries_free) entries all = {0};
    CLO_TRY(entries_read(&all, path));
    for (size_t i = 0; i < all.count; i++) {
        char *child = NULL;
        if (asprintf(&child, "%s/%s", path, all.items[i].name) < 0) return CLO_FAIL(CLO_E_NOMEM);
        clo_err e = CLO_OK;
        if (all.items[i].is_directory) e = remove_at(child, depth + 1);
        else e = clo_os_file_remove(child);
        free(child);
        CLO_TRY(e);
    }
    if (rmdir(path) != 0 && errno != ENOENT) return fail_errno(path, "remove");
    return CLO_OK;
}

clo_err clo_os_tree_remove(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT ? CLO_OK : fail_errno(path, "look at");
    if (!S_ISDIR(st.st_mode)) return clo_os_file_remove(path);
    return remove_at(path, 0);
}

static clo_err copy_at(const char *from, const char *to, unsigned depth);

static clo_err copy_entry(const char *from, const char *to, const entry *e, unsigned depth)
{
    char *a = NULL, *b = NULL;
    clo_err result = CLO_OK;
    if (asprintf(&a, "%s/%s", from, e->name) < 0) a = NULL;
    if (asprintf(&b, "%s/%s", to, e->name) < 0) b = NULL;
    struct stat st;
    if (a == NULL || b == NULL) result = CLO_FAIL(CLO_E_NOMEM);
    else if (lstat(a, &st) != 0) result = fail_errno(a, "look at");
    else if (S_ISDIR(st.st_mode)) result = copy_at(a, b, depth + 1);
    else if (S_ISREG(st.st_mode)) result = clo_os_file_copy(a, b, st.st_mode & 0777);
    free(a);
    free(b);
    return result;
}

static clo_err copy_at(const char *from, const char *to, unsigned depth)
{
    CLO_CHECKF(depth < DEPTH_MAX, CLO_E_TOO_MANY, "%s is nested more than %d deep", from, DEPTH_MAX);
    struct stat st;
    if (stat(from, &st) != 0) return fail_errno(from, "look at");
    if (mkdir(to, 0700) != 0) {
        CLO_CHECKF(errno != EEXIST, CLO_E_EXISTS, "cannot copy to %s: it exists already", to);
        return fail_errno(to, "make");
    }
    CLO_AUTO(entries_free) entries all = {0};
    CLO_TRY(entries_read(&all, from));
    for (size_t i = 0; i < all.count; i++) CLO_TRY(copy_entry(from, to, &all.items[i], depth));
    if (chmod(to, st.st_mode & 0777) != 0) return fail_errno(to, "set the mode of");
    return CLO_OK;
}

clo_err clo_os_tree_copy(const char *from, const char *to) { return copy_at(from, to, 0); }

clo_err clo_os_dir_temporary(const char *prefix, char path[256])
{
    const char *base = secure_getenv("TMPDIR");
    if (base == NULL || base[0] == 0) base = "/tmp";
    char text[256];
    int n = snprintf(text, sizeof text, "%s/%sXXXXXX", base, prefix);
    CLO_CHECKF(n > 0 && (size_t)n < sizeof text, CLO_E_TOO_LARGE, "the path of the temporary directory is too long; shorten TMPDIR");
    if (mkdtemp(text) == NULL) return fail_errno(text, "make");
    memcpy(path, text, (size_t)n + 1);
    return CLO_OK;
}
