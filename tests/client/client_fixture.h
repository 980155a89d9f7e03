/* A temporary home with a party in it. */
#ifndef CLO_CLIENT_FIXTURE_H
#define CLO_CLIENT_FIXTURE_H
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/home.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    char dir[256];
    clo_client_home home;
    clo_arena arena;
} client_fixture;

static inline int client_setup(void **state)
{
    static client_fixture f;
    memset(&f, 0, sizeof f);
    clo_arena_init(&f.arena, 64 << 20);
    assert_ok(clo_os_dir_temporary("cloister-client-", f.dir));
    assert_ok(clo_client_home_open(&f.home, f.dir));
    *state = &f;
    return 0;
}

static inline int client_teardown(void **state)
{
    client_fixture *f = *state;
    assert_ok(clo_os_tree_remove(f->dir));
    clo_arena_free(&f->arena);
    return 0;
}

/** Path of a file in the fixture's directory; the last few stay valid. */
static inline const char *client_path(const client_fixture *f, const char *name)
{
    static char paths[8][CLO_CLIENT_PATH];
    static unsigned next;
    char *path = paths[next++ % 8];
    assert_ok(clo_os_path_join(path, CLO_CLIENT_PATH, f->dir, name));
    return path;
}

static inline const char *client_write(const client_fixture *f, const char *name, const char *text)
{
    const char *path = client_path(f, name);
    assert_ok(clo_os_file_write_atomic(path, clo_span_str(text), 0600));
    return path;
}

#endif
