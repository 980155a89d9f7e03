/* A home in a directory of its own, and the program called in it: what it prints and how it ends. */
#ifndef CLO_CLI_FIXTURE_H
#define CLO_CLI_FIXTURE_H
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "cli/cli_int.h"
#include "os/file.h"

#include <stdlib.h>
#include <unistd.h>

enum { ARGS_MAX = 24 };

typedef struct {
    char dir[256];
    clo_arena arena;
    const char *out, *err; /* of the last call */
    int code;
} fixture;

static inline int setup(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    clo_arena_init(&f.arena, 256 << 20);
    assert_ok(clo_os_dir_temporary("cloister-cli-", f.dir));
    *state = &f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;
    assert_ok(clo_os_tree_remove(f->dir));
    clo_arena_free(&f->arena);
    return 0;
}

static inline const char *path_in(fixture *f, const char *name)
{
    const char *path = NULL;
    assert_ok(clo_arena_printf(&f->arena, &path, "%s/%s", f->dir, name));
    return path;
}

static inline const char *read_text(fixture *f, const char *path)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 64 << 20);
    clo_span copy;
    assert_ok(clo_os_file_read(path, 64 << 20, &bytes));
    assert_ok(clo_arena_copy(&f->arena, clo_buf_span(&bytes), &copy));
    return (const char *)copy.p;
}

static inline void write_text(fixture *f, const char *name, const char *text)
{
    assert_ok(clo_os_file_write_atomic(path_in(f, name), clo_span_str(text), 0644));
}

/* Words at spaces; @ in front = a file in the fixture's directory; the home is there, too. */
static inline int call(fixture *f, const char *line)
{
    char *argv[ARGS_MAX];
    int argc = 0;
    const char *words = NULL;
    assert_ok(clo_arena_printf(&f->arena, &words, "cloister --home %s/home %s", f->dir, line));
    char *copy = strdup(words), *rest = NULL;
    for (char *w = strtok_r(copy, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < ARGS_MAX - 1);
        char *at = strchr(w, '@');
        const char *word = w;
        if (at != NULL) {
            *at = 0;
            assert_ok(clo_arena_printf(&f->arena, &word, "%s%s/%s", w, f->dir, at + 1));
        }
        argv[argc++] = strdup(word);
    }
    argv[argc] = NULL;
    const char *out = path_in(f, "stdout"), *err = path_in(f, "stderr");
    (void)fflush(stdout);
    (void)fflush(stderr);
    int saved_out = dup(1), saved_err = dup(2), out_fd = -1, err_fd = -1;
    assert_ok(clo_os_file_write_atomic(out, clo_span_of(NULL, 0), 0600));
    assert_ok(clo_os_file_write_atomic(err, clo_span_of(NULL, 0), 0600));
    assert_ok(clo_os_file_open(&out_fd, out, CLO_OS_OPEN_APPEND, 0600));
    assert_ok(clo_os_file_open(&err_fd, err, CLO_OS_OPEN_APPEND, 0600));
    assert_true(dup2(out_fd, 1) == 1 && dup2(err_fd, 2) == 2);
    f->code = clo_cli_main(argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    assert_true(dup2(saved_out, 1) == 1 && dup2(saved_err, 2) == 2);
    (void)close(saved_out);
    (void)close(saved_err);
    (void)close(out_fd);
    (void)close(err_fd);
    for (int i = 0; i < argc; i++) free(argv[i]);
    free(copy);
    f->out = read_text(f, out);
    f->err = read_text(f, err);
    return f->code;
}

static inline void expect(fixture *f, const char *line, int code)
{
    if (call(f, line) != code) fail_msg("cloister %s: exit %d, wanted %d: %s%s", line, f->code, code, f->out, f->err);
}

/* Exactly one JSON document; the text member at a dotted path, or "". */
static inline const clo_wire_node *document(fixture *f)
{
    clo_wire_node *tree = NULL;
    assert_ok(clo_wire_json_decode(&f->arena, clo_span_str(f->out), &tree));
    return tree;
}

static inline const char *text(const clo_wire_node *map, const char *key)
{
    const char *t = clo_client_text(map, key);
    return t == NULL ? "" : t;
}

/* One line, for people. */
static inline void expect_error(fixture *f, const char *says)
{
    size_t n = strlen(f->err);
    assert_true(n > 12 && strncmp(f->err, "cloister: ", 10) == 0 && strchr(f->err, '\n') == f->err + n - 1);
    if (strstr(f->err, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", f->err, says);
}

#endif
