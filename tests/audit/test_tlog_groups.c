/* Proves what the log does around its groups: the stored checkpoint follows, an unstorable one stops it, everybody who waits is answered, nothing
 * is signed before it is on disk. */
#include "cmocka_all.h"

#include "audit/tlog.h"
#include "base/clo_own.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stands before the C library's, to tell the order of what is made durable: j = journal, c = checkpoint. */
static char synced[64];
static pthread_mutex_t synced_lock = PTHREAD_MUTEX_INITIALIZER;
int fsync(int fd)
{
    char link[64], path[400] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)!readlink(link, path, sizeof path - 1);
    (void)pthread_mutex_lock(&synced_lock); /* the log's threads come here too */
    size_t n = strlen(synced);
    if (n + 1 < sizeof synced && strstr(path, "/journal") != NULL) synced[n] = 'j';
    if (n + 1 < sizeof synced && strstr(path, "/checkpoint") != NULL) synced[n] = 'c';
    (void)pthread_mutex_unlock(&synced_lock);
    return (int)syscall(SYS_fsync, fd);
}

static const char origin[] = "operator.example/log";
static clo_crypto_private_key log_sk;
static clo_wire_note_key log_vkey;

static int keys(void **state)
{
    (void)state;
    clo_crypto_public_key pk;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &log_sk, &pk));
    assert_ok(clo_wire_note_key_make(origin, 1, &pk, &log_vkey));
    return 0;
}

static clo_span entry(int i, char text[32]) { return clo_span_of(text, (size_t)snprintf(text, 32, "entry %d", i)); }

/* Entries of the checkpoint on disk; 0 where it cannot be read. */
static uint64_t stored_size(const char *dir)
{
    char path[400];
    CLO_AUTO(clo_buf_free) clo_buf note;
    clo_buf_init(&note, CLO_NOTE_MAX);
    clo_wire_checkpoint c;
    clo_wire_log_policy plain = {.log = log_vkey};
    assert_ok(clo_os_path_join(path, sizeof path, dir, "checkpoint"));
    if (clo_failed(clo_os_file_read(path, CLO_NOTE_MAX, &note))) return 0;
    assert_ok(clo_wire_checkpoint_verify(clo_buf_span(&note), &plain, &c, NULL));
    return c.size;
}

/* The checkpoint on disk follows soon after the last entry, and an end in order stores the last one. */
static void the_stored_checkpoint_follows(void **state)
{
    (void)state;
    char dir[256];
    assert_ok(clo_os_dir_temporary("clo-tlog-", dir));
    clo_audit_log *log = NULL;
    char text[32];
    uint64_t index = 0;
    clo_audit_log_options o = {.directory = dir, .origin = origin, .sk = &log_sk};
    assert_ok(clo_audit_log_open(&log, &o));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 30; i++) assert_ok(clo_audit_log_append(log, entry(round * 30 + i, text), &index));
        assert_true(stored_size(dir) <= index + 1);
        for (int wait = 0; wait < 500 && stored_size(dir) != index + 1; wait++) clo_os_sleep_ms(10);
        assert_int_equal(stored_size(dir), index + 1);
    }
    for (int i = 90; i < 95; i++) assert_ok(clo_audit_log_append(log, entry(i, text), &index));
    clo_audit_log_close(&log);
    assert_int_equal(stored_size(dir), 95);
    assert_ok(clo_os_tree_remove(dir));
}

/* Where no checkpoint can be stored no further entry is taken, and what was refused is nowhere; once it can be stored, all goes on. */
static void an_unstorable_checkpoint_stops_the_log(void **state)
{
    (void)state;
    char dir[256];
    assert_ok(clo_os_dir_temporary("clo-tlog-", dir));
    clo_audit_log *log = NULL;
    char text[32], path[400], inside[420];
    uint64_t index = 0, size = 0;
    int taken = -1;
    clo_err e = CLO_OK;
    clo_audit_log_options o = {.directory = dir, .origin = origin, .sk = &log_sk};
    assert_ok(clo_audit_log_open(&log, &o));
    assert_ok(clo_os_path_join(path, sizeof path, dir, "checkpoint"));
    assert_ok(clo_os_path_join(inside, sizeof inside, path, "full"));
    assert_ok(clo_os_file_remove(path));
    assert_ok(clo_os_dir_make(inside)); /* a directory that is not empty cannot be replaced */
    while (taken < 500 && !clo_failed(e)) {
        e = clo_audit_log_append(log, entry(++taken, text), &index);
        clo_os_sleep_ms(10);
    }
    assert_code(e, CLO_E_IO);
    assert_true(taken > 0); /* what was taken before is durable by the journal alone */
    assert_code(clo_audit_log_append(log, entry(taken, text), &index), CLO_E_IO);
    assert_int_equal(clo_audit_log_size(log), taken);
    assert_ok(clo_os_tree_remove(path));
    assert_ok(clo_audit_log_append(log, entry(taken, text), &index));
    assert_int_equal(index, taken);
    clo_audit_log_close(&log);
    assert_ok(clo_audit_log_check(dir, &log_vkey, &size));
    assert_int_equal(size, taken + 1);
    assert_ok(clo_os_tree_remove(dir));
}

enum { CROWD = 96, CROWD_ENTRIES = 12 };
typedef struct {
    clo_audit_log *log;
    uint8_t self;
    uint64_t indices[CROWD_ENTRIES];
} crowd_member;

static void *crowd_appender(void *arg)
{
    crowd_member *m = arg;
    for (uint8_t i = 0; i < CROWD_ENTRIES; i++) {
        uint8_t data[2] = {m->self, i};
        if (clo_failed(clo_audit_log_append(m->log, clo_span_of(data, sizeof data), &m->indices[i]))) return arg;
    }
    return NULL;
}

/* Nobody of a crowd is forgotten when a group is woken, and each gets the index of its own entry. */
static void everybody_of_a_crowd_is_answered(void **state)
{
    (void)state;
    char dir[256];
    assert_ok(clo_os_dir_temporary("clo-tlog-", dir));
    clo_audit_log *log = NULL;
    static crowd_member members[CROWD];
    static bool seen[CROWD * CROWD_ENTRIES];
    pthread_t threads[CROWD];
    clo_audit_log_options o = {.directory = dir, .origin = origin, .sk = &log_sk};
    assert_ok(clo_audit_log_open(&log, &o));
    for (size_t i = 0; i < CROWD; i++) {
        members[i] = (crowd_member){.log = log, .self = (uint8_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_appender, &members[i]), 0);
    }
    for (size_t i = 0; i < CROWD; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(clo_audit_log_size(log), CROWD * CROWD_ENTRIES);
    for (size_t i = 0; i < CROWD; i++) {
        for (uint8_t k = 0; k < CROWD_ENTRIES; k++) {
            uint64_t at = members[i].indices[k];
            uint8_t want[4] = {0, 2, (uint8_t)i, k};
            assert_true(at < CROWD * CROWD_ENTRIES && !seen[at]);
            seen[at] = true;
            CLO_AUTO(clo_buf_free) clo_buf bundle;
            clo_buf_init(&bundle, 1 << 20);
            assert_ok(clo_audit_log_bundle(log, at / CLO_AUDIT_TILE, (unsigned)(at % CLO_AUDIT_TILE) + 1, &bundle));
            assert_memory_equal(bundle.p + bundle.len - sizeof want, want, sizeof want);
        }
    }
    clo_audit_log_close(&log);
    assert_ok(clo_os_tree_remove(dir));
}

/* A process that is killed between writing records and their sync leaves them in the page cache: the next one must make them durable before it signs
 * them, else a power cut after that would set the log back behind its witness. */
static void what_a_killed_process_left_is_synced_before_it_is_signed(void **state)
{
    (void)state;
    char dir[256];
    assert_ok(clo_os_dir_temporary("clo-tlog-", dir));
    clo_audit_log_options o = {.directory = dir, .origin = origin, .sk = &log_sk};
    clo_audit_log *log = NULL;
    char text[32];
    uint64_t index = 0;
    assert_ok(clo_audit_log_open(&log, &o));
    assert_ok(clo_audit_log_append(log, entry(1, text), &index));
    clo_audit_log_close(&log);
    memset(synced, 0, sizeof synced);
    assert_ok(clo_audit_log_open(&log, &o));
    assert_true(strlen(synced) >= 2);
    assert_memory_equal(synced, "jc", 2);
    clo_audit_log_close(&log);
    assert_ok(clo_os_tree_remove(dir));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_stored_checkpoint_follows), cmocka_unit_test(an_unstorable_checkpoint_stops_the_log),
                                       cmocka_unit_test(everybody_of_a_crowd_is_answered), cmocka_unit_test(what_a_killed_process_left_is_synced_before_it_is_signed)};
    return cmocka_run_group_tests(tests, keys, NULL);
}
