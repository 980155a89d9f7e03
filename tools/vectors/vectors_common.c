#include "vectors.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20, NAMES_MAX = 4096 };

void clo_vectors_pass(clo_vectors_report *r) { r->passed++; }

void clo_vectors_fail(clo_vectors_report *r, const char *file, const char *name, const char *expected, const char *got)
{
    r->failed++;
    printf("FAIL %s %s: expected %s, got %s\n", file, name, expected, got);
}

void clo_vectors_skip(clo_vectors_report *r, const char *file, const char *name, const char *reason)
{
    r->skipped++;
    printf("SKIP %s %s: %s\n", file, name, reason);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
}

CLO_R clo_vectors_read(clo_arena *a, const char *dir, const char *name, clo_span *out)
{
    const char *path = NULL;
    CLO_TRY(clo_arena_printf(a, &path, "%s/%s", dir, name));
    CLO_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLO_CHECKF(fd >= 0, CLO_E_IO, "cannot open %s", path);
    struct stat st;
    CLO_CHECKF(fstat(fd, &st) == 0 && S_ISREG(st.st_mode), CLO_E_IO, "%s is no file", path);
    CLO_CHECKF(st.st_size <= FILE_MAX, CLO_E_TOO_LARGE, "%s is larger than 64 MiB", path);
    size_t size = (size_t)st.st_size, done = 0;
    void *bytes = NULL;
    CLO_TRY(clo_arena_alloc(a, size + 1, &bytes));
    while (done < size) {
        ssize_t n = read(fd, (char *)bytes + done, size - done);
        CLO_CHECKF(n > 0, CLO_E_IO, "cannot read %s", path);
        done += (size_t)n;
    }
    *out = clo_span_of(bytes, size);
    return CLO_OK;
}

CLO_R clo_vectors_json(clo_arena *a, const char *dir, const char *name, clo_wire_node **out)
{
    clo_span text;
    CLO_TRY(clo_vectors_read(a, dir, name, &text));
    return clo_wire_json_decode(a, text, out);
}

static int by_name(const void *x, const void *y) { return strcmp(*(const char *const *)x, *(const char *const *)y); }

static void close_dir(DIR **d)
{
    if (*d != NULL) (void)closedir(*d);
}

CLO_R clo_vectors_list(clo_arena *a, const char *dir, const char *suffix, const char ***names, size_t *count)
{
    CLO_AUTO(close_dir) DIR *d = opendir(dir);
    CLO_CHECKF(d != NULL, CLO_E_IO, "cannot list %s", dir);
    void *list = NULL;
    CLO_TRY(clo_arena_array(a, NAMES_MAX, sizeof(char *), &list));
    const char **found = list;
    size_t n = 0;
    for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        size_t size = strlen(entry->d_name), tail = strlen(suffix);
        if (entry->d_name[0] == '.' || size < tail || strcmp(entry->d_name + size - tail, suffix) != 0) continue;
        CLO_CHECK(n < NAMES_MAX, CLO_E_TOO_MANY);
        CLO_TRY(clo_arena_str(a, clo_span_str(entry->d_name), &found[n++]));
    }
    qsort(found, n, sizeof found[0], by_name);
    *names = found;
    *count = n;
    return CLO_OK;
}

CLO_R clo_vectors_hex(clo_arena *a, const clo_wire_node *map, const char *key, clo_span *out, bool *present)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    bool have = n != NULL && n->type == CLO_WIRE_TEXT;
    if (present != NULL) *present = have;
    *out = clo_span_of(NULL, 0);
    if (!have) return CLO_OK;
    void *bytes = NULL;
    CLO_TRY(clo_arena_alloc(a, n->text.n / 2 + 1, &bytes));
    CLO_TRY(clo_hex_decode(bytes, n->text.n / 2, n->text));
    *out = clo_span_of(bytes, n->text.n / 2);
    return CLO_OK;
}

const char *clo_vectors_text(const clo_wire_node *map, const char *key)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    return n != NULL && n->type == CLO_WIRE_TEXT ? (const char *)n->text.p : NULL;
}

int64_t clo_vectors_int(const clo_wire_node *map, const char *key, int64_t fallback)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    return n != NULL && n->type == CLO_WIRE_INT ? n->integer : fallback;
}
