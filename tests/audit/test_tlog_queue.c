/* Proves of the log's queue: no wake-up is lost however its threads pause, its bound refuses and harms nobody, and a journal that was removed or
 * replaced takes nothing until it is back. */
#include "cmocka_all.h"

#include "audit/tlog_int.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char origin[] = "operator.example/log";
static clo_crypto_private_key log_sk;
static clo_wire_note_key log_key;

typedef struct {
    char dir[256], log_dir[300];
} place;

static int keys(void **state)
{
    (void)state;
    clo_crypto_public_key pk;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &log_sk, &pk));
    assert_ok(clo_wire_note_key_make(origin, 1, &pk, &log_key));
    return 0;
}

static void open_place(place *p)
{
    assert_ok(clo_os_dir_temporary("clo-tlog-", p->dir));
    assert_true(snprintf(p->log_dir, sizeof p->log_dir, "%s/log", p->dir) > 0);
}

static clo_err open_log(place *p, clo_audit_log **log)
{
    const clo_audit_log_options o = {.directory = p->log_dir, .origin = origin, .sk = &log_sk};
    return clo_audit_log_open(log, &o);
}

static void close_place(place *p) { assert_ok(clo_os_tree_remove(p->dir)); }

static clo_span entry(int i, char text[32]) { return clo_span_of(text, (size_t)snprintf(text, 32, "entry %d", i)); }

/* Threads with pauses of their own: the committer falls asleep and is woken all the time. A wake-up that is lost hangs; the alarm ends that. */
static void *pausing_appender(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int i = 0; i < 60; i++) {
        uint64_t index = 0;
        if (rand_r(&seed) % 4 == 0) clo_os_sleep_ms((unsigned)rand_r(&seed) % 3);
        if (clo_failed(clo_audit_log_append(arg, clo_span_of("z", 1), &index))) return arg;
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    enum { THREADS = 24 };
    place p;
    pthread_t threads[THREADS];
    clo_audit_log *log = NULL;
    (void)alarm(100);
    open_place(&p);
    assert_ok(open_log(&p, &log));
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, pausing_appender, log), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(clo_audit_log_size(log), THREADS * 60);
    assert_int_equal(log->queued, 0);
    clo_audit_log_close(&log);
    close_place(&p);
    (void)alarm(0);
}

/* The queue has a bound: who comes beyond it is told to come again, and nobody who waits is touched. */
static void a_full_queue_refuses(void **state)
{
    (void)state;
    place p;
    clo_audit_log *log = NULL;
    char text[32];
    uint64_t index = 77;
    open_place(&p);
    assert_ok(open_log(&p, &log));
    assert_int_equal(QUEUE_MAX, 8192); /* as documented */
    (void)pthread_mutex_lock(&log->lock);
    log->queued = QUEUE_MAX;
    (void)pthread_mutex_unlock(&log->lock);
    assert_code(clo_audit_log_append(log, entry(0, text), &index), CLO_E_AGAIN);
    assert_int_equal(index, 77);
    (void)pthread_mutex_lock(&log->lock);
    assert_null(log->first);
    log->queued = 0;
    (void)pthread_mutex_unlock(&log->lock);
    assert_ok(clo_audit_log_append(log, entry(0, text), &index));
    assert_int_equal(index, 0);
    clo_audit_log_close(&log);
    close_place(&p);
}

/* What was removed is never written to as if it were there; put back, it is written again. */
static void a_removed_journal_takes_nothing(void **state)
{
    (void)state;
    place p;
    clo_audit_log *log = NULL;
    char text[32], journal[400], away[400];
    uint64_t index = 0, size = 0;
    open_place(&p);
    assert_ok(open_log(&p, &log));
    assert_ok(clo_audit_log_append(log, entry(0, text), &index));
    assert_ok(clo_audit_log_usable(log));
    assert_ok(clo_os_path_join(journal, sizeof journal, p.log_dir, "journal"));
    assert_ok(clo_os_path_join(away, sizeof away, p.log_dir, "away"));
    assert_ok(clo_os_file_rename(journal, away));
    assert_code(clo_audit_log_append(log, entry(1, text), &index), CLO_E_IO);
    assert_non_null(strstr(clo_err_text(), "could not be written"));
    assert_code(clo_audit_log_usable(log), CLO_E_IO);
    assert_ok(clo_os_file_copy(away, journal, 0600)); /* another file of that name is not it */
    assert_code(clo_audit_log_append(log, entry(1, text), &index), CLO_E_IO);
    assert_code(clo_audit_log_usable(log), CLO_E_IO);
    assert_ok(clo_os_file_rename(away, journal));
    assert_ok(clo_audit_log_usable(log));
    assert_ok(clo_audit_log_append(log, entry(1, text), &index));
    assert_int_equal(index, 1);
    clo_audit_log_close(&log);
    assert_ok(clo_audit_log_check(p.log_dir, &log_key, &size));
    assert_int_equal(size, 2);
    close_place(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_wake_up_is_lost), cmocka_unit_test(a_full_queue_refuses),
                                       cmocka_unit_test(a_removed_journal_takes_nothing)};
    return cmocka_run_group_tests(tests, keys, NULL);
}
