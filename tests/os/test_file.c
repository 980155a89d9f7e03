/* Proves: reads are bounded and refuse links and secrets that others may read; writes are all or nothing; listing is ordered;
 * trees are removed without following links; the daemon lock is exclusive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "os/file.h"
#include "base/clo_own.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[256];

static int make_home(void **state)
{
    (void)state;
    return clo_failed(clo_os_dir_temporary("cloister-test-", home)) ? -1 : 0;
}
static int remove_home(void **state)
{
    (void)state;
    return clo_failed(clo_os_tree_remove(home)) ? -1 : 0;
}
static const char *at(const char *name)
{
    static char path[4][512];
    static unsigned turn;
    char *to = path[turn++ % 4];
    assert_false(clo_failed(clo_os_path_join(to, sizeof path[0], home, name)));
    return to;
}
#define OK(expr) assert_int_equal((expr).code, 0)
#define FAILS(expr, wanted) assert_int_equal((expr).code, (wanted))

/* Only what an interrupted write left goes. */
static void test_sweep(void **state)
{
    (void)state;
    static const char *const names[] = {"x.tmp-AbC123", "x.tmp-AbC12", "x.tmp-AbC1234", "tmp-AbC123", ".tmp-AbC123", "x.pinned"};
    for (size_t i = 0; i < 6; i++) OK(clo_os_file_write_new(at(names[i]), clo_span_str("x"), 0600));
    OK(clo_os_dir_make(at("d.tmp-AbC123")));
    OK(clo_os_dir_sweep(home));
    OK(clo_os_dir_sweep(at("none")));
    for (size_t i = 0; i < 6; i++) assert_int_equal(clo_os_file_exists(at(names[i])), i != 0);
    assert_true(clo_os_dir_exists(at("d.tmp-AbC123")));
}

static void test_read_write(void **state)
{
    (void)state;
    clo_buf b;
    clo_buf_init(&b, 1 << 20);
    OK(clo_os_file_write_atomic(at("a"), clo_span_str("hello"), 0640));
    OK(clo_os_file_write_atomic(at("a"), clo_span_str("other"), 0600));
    OK(clo_buf_put_str(&b, "x"));
    OK(clo_os_file_read(at("a"), 5, &b));
    assert_true(clo_span_equal(clo_buf_span(&b), clo_span_str("xother")));
    FAILS(clo_os_file_read(at("a"), 4, &b), CLO_E_TOO_LARGE);
    FAILS(clo_os_file_read(at("none"), 4, &b), CLO_E_NOT_FOUND);
    FAILS(clo_os_file_read(home, 4, &b), CLO_E_IO);
    assert_int_equal(b.len, 6);
    OK(clo_os_file_read("/proc/self/status", 1 << 20, &b)); /* says size 0, has content */
    assert_true(b.len > 100);
    FAILS(clo_os_file_write_new(at("a"), clo_span_str("no"), 0600), CLO_E_EXISTS);
    OK(clo_os_file_write_new(at("b"), clo_span_str("yes"), 0600));
    FAILS(clo_os_file_write_atomic(at("none/a"), clo_span_str("no"), 0600), CLO_E_NOT_FOUND);
    uint64_t size = 0;
    OK(clo_os_file_size(at("b"), &size));
    assert_int_equal(size, 3);
    OK(clo_os_file_copy(at("a"), at("c"), 0600));
    OK(clo_os_file_rename(at("c"), at("d")));
    assert_false(clo_os_file_exists(at("c")));
    assert_true(clo_os_file_exists(at("d")));
    OK(clo_os_file_remove(at("d")));
    OK(clo_os_file_remove(at("d")));
    clo_buf_free(&b);
}

static void test_offsets(void **state)
{
    (void)state;
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    OK(clo_os_file_open(&fd, at("offsets"), CLO_OS_OPEN_NEW, 0600));
    OK(clo_os_file_pwrite(fd, 10, clo_span_str("abc")));
    char got[4] = "";
    OK(clo_os_file_pread(fd, 10, got, 3));
    assert_string_equal(got, "abc");
    FAILS(clo_os_file_pread(fd, 11, got, 3), CLO_E_TRUNCATED);
    FAILS(clo_os_file_pread(fd, UINT64_MAX, got, 3), CLO_E_RANGE);
    OK(clo_os_file_truncate(fd, 2));
    uint64_t size = 0;
    OK(clo_os_file_size_fd(fd, &size));
    assert_int_equal(size, 2);
    OK(clo_os_fd_finish(&fd));
    CLO_AUTO(clo_os_fd_close) int again = -1;
    OK(clo_os_file_open(&again, at("offsets"), CLO_OS_OPEN_APPEND, 0600));
    OK(clo_os_file_append_sync(again, clo_span_str("zz")));
    OK(clo_os_file_size(at("offsets"), &size));
    assert_int_equal(size, 4);
    int other = -1;
    FAILS(clo_os_file_open(&other, at("offsets"), CLO_OS_OPEN_NEW, 0600), CLO_E_EXISTS);
    assert_int_equal(other, -1);
}

static void test_secret(void **state)
{
    (void)state;
    uint8_t key[8];
    size_t n = 0;
    OK(clo_os_file_write_atomic(at("key"), clo_span_str("12345678"), 0644));
    FAILS(clo_os_file_read_secret(at("key"), key, sizeof key, &n), CLO_E_DENIED);
    assert_int_equal(chmod(at("key"), 0600), 0);
    FAILS(clo_os_file_read_secret(at("key"), key, 7, &n), CLO_E_TOO_LARGE);
    OK(clo_os_file_read_secret(at("key"), key, sizeof key, &n));
    assert_int_equal(n, 8);
}

static void test_links(void **state)
{
    (void)state;
    OK(clo_os_file_write_atomic(at("victim"), clo_span_str("keep"), 0600));
    assert_int_equal(symlink(at("victim"), at("link")), 0);
    int fd = -1;
    FAILS(clo_os_file_open(&fd, at("link"), CLO_OS_OPEN_CREATE, 0600), CLO_E_IO);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    FAILS(clo_os_file_open(&fd, at("fifo"), CLO_OS_OPEN_READ, 0), CLO_E_IO);
}

typedef struct {
    char text[64];
} names;
static clo_err collect(void *context, const char *name, bool is_directory)
{
    names *n = context;
    size_t used = strlen(n->text);
    (void)snprintf(n->text + used, sizeof n->text - used, "%s%s ", name, is_directory ? "/" : "");
    return CLO_OK;
}

static void test_trees(void **state)
{
    (void)state;
    OK(clo_os_dir_make(at("tree/x/y")));
    OK(clo_os_dir_make(at("tree/x/y")));
    OK(clo_os_file_write_new(at("tree/b"), clo_span_str("b"), 0600));
    OK(clo_os_file_write_new(at("tree/x/y/c"), clo_span_str("c"), 0600));
    OK(clo_os_file_write_new(at("outside"), clo_span_str("o"), 0600));
    FAILS(clo_os_dir_make(at("outside")), CLO_E_IO);
    assert_int_equal(symlink(home, at("tree/link")), 0);
    names n = {.text = ""};
    OK(clo_os_dir_list(at("tree"), collect, &n));
    assert_string_equal(n.text, "b link x/ ");
    OK(clo_os_tree_copy(at("tree"), at("twin")));
    assert_true(clo_os_file_exists(at("twin/x/y/c")));
    FAILS(clo_os_tree_copy(at("tree"), at("twin")), CLO_E_EXISTS);
    OK(clo_os_tree_remove(at("tree")));
    OK(clo_os_tree_remove(at("tree")));
    assert_true(clo_os_file_exists(at("outside")));
    FAILS(clo_os_dir_list(at("tree"), collect, &n), CLO_E_NOT_FOUND);
}

static void test_lock(void **state)
{
    (void)state;
    CLO_AUTO(clo_os_fd_close) int first = -1;
    int second = -1;
    OK(clo_os_lock_take(at("lock"), &first));
    FAILS(clo_os_lock_take(at("lock"), &second), CLO_E_CONFLICT);
    char pid[24];
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_non_null(strstr(clo_err_text(), pid));
    clo_os_fd_close(&first);
    OK(clo_os_lock_take(at("lock"), &second));
    clo_os_fd_close(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep), cmocka_unit_test(test_read_write), cmocka_unit_test(test_offsets), cmocka_unit_test(test_secret),
        cmocka_unit_test(test_links),      cmocka_unit_test(test_trees),   cmocka_unit_test(test_lock),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
