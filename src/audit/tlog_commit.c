#include "audit/tlog_commit.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { GROUP_MAX = 32 << 20, NOTE_MAX = CLO_NOTE_MAX };

/* Sign the tree as it is now: body and signed note. Called with the lock held (hashing the right edge is microseconds). */
static clo_err sign_tree(clo_audit_log *log, clo_buf *note)
{
    clo_wire_checkpoint c = {.size = log->tree.size};
    CLO_TRY(clo_str_set(c.origin, sizeof c.origin, clo_span_str(log->origin)));
    CLO_TRY(clo_wire_merkle_root_of(c.size, clo_audit_tree_get, &log->tree, &c.root));
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, NOTE_MAX);
    CLO_TRY(clo_wire_checkpoint_write(&c, &body));
    return clo_wire_note_sign(clo_buf_span(&body), log->origin, &log->sk, note);
}

/* Ask the witnesses about a published note; on success it becomes the witnessed one. Called without the lock. */
static bool witness_note(clo_audit_log *log, clo_span note, uint64_t size)
{
    uint64_t asked_ns = clo_os_now_ns();
    CLO_AUTO(clo_buf_free) clo_buf lines;
    clo_buf_init(&lines, NOTE_MAX);
    if (clo_failed(log->options.witness(log->options.context, log, note, size, &lines)) || lines.len == 0) return false;
    CLO_AUTO(clo_buf_free) clo_buf whole;
    clo_buf_init(&whole, NOTE_MAX);
    if (clo_failed(clo_buf_put_span(&whole, note)) || clo_failed(clo_buf_put_span(&whole, clo_buf_span(&lines)))) return false;
    (void)pthread_mutex_lock(&log->lock);
    if (size >= log->witnessed_size) {
        clo_buf_free(&log->witnessed);
        log->witnessed = whole;
        log->witnessed_size = size;
        log->witnessed_ns = asked_ns;
        log->refresh = false;
        clo_buf_init(&whole, NOTE_MAX);
    }
    (void)pthread_cond_broadcast(&log->published);
    (void)pthread_mutex_unlock(&log->lock);
    return true;
}

/* Write one group durably, add it to the tree, sign. The journal is synced before any signature that covers it exists. *usable = memory and disk still agree
 * after a failure (a full disk); a sync that failed leaves that unknown. */
static clo_err commit_group(clo_audit_log *log, clo_audit_waiter *group, clo_buf *note, uint64_t *size, bool *usable)
{
    *usable = true;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, (size_t)GROUP_MAX + CLO_AUDIT_ENTRY_MAX + RECORD_EXTRA);
    for (clo_audit_waiter *w = group; w != NULL; w = w->next) CLO_TRY(clo_audit_journal_record(&bytes, w->data, &w->leaf));
    clo_err written = clo_os_file_pwrite(log->fd, log->journal_size, clo_buf_span(&bytes));
    if (clo_failed(written)) *usable = !clo_failed(clo_os_file_truncate(log->fd, log->journal_size));
    CLO_TRY(written);
    *usable = false;
    CLO_TRY(clo_os_file_sync(log->fd));
    (void)pthread_mutex_lock(&log->lock);
    clo_err e = CLO_OK;
    uint64_t at = log->journal_size;
    for (clo_audit_waiter *w = group; w != NULL && !clo_failed(e); w = w->next) {
        w->index = log->tree.size;
        e = clo_audit_tree_add(&log->tree, &w->leaf, at + 4, (uint32_t)w->data.n);
        at += RECORD_EXTRA + w->data.n;
    }
    log->journal_size = at;
    if (!clo_failed(e)) e = sign_tree(log, note);
    *size = log->tree.size;
    (void)pthread_mutex_unlock(&log->lock);
    CLO_TRY(e);
    *usable = true; /* the entries are in; without a stored checkpoint they are only not acknowledged */
    return clo_os_file_write_atomic(log->checkpoint_path, clo_buf_span(note), 0644);
}

/* Take up to GROUP_MAX bytes of waiters off the queue. Lock held. */
static clo_audit_waiter *take_group(clo_audit_log *log)
{
    clo_audit_waiter *group = log->first, *last = NULL;
    size_t bytes = 0;
    for (clo_audit_waiter *w = group; w != NULL && bytes < GROUP_MAX; w = w->next) {
        bytes += w->data.n + RECORD_EXTRA;
        log->queued--;
        last = w;
    }
    if (last == NULL) return NULL;
    log->first = last->next;
    if (log->first == NULL) log->last = NULL;
    last->next = NULL;
    return group;
}

static void finish_group(clo_audit_log *log, clo_audit_waiter *group, clo_err e, bool usable, clo_buf *note, uint64_t size)
{
    (void)pthread_mutex_lock(&log->lock);
    if (!usable) log->broken = true; /* memory and disk may differ now: only a restart, which reads the disk, is safe */
    if (!clo_failed(e)) {
        clo_buf_free(&log->note);
        log->note = *note;
        log->note_size = size;
        clo_buf_init(note, NOTE_MAX);
    }
    (void)pthread_cond_broadcast(&log->published);
    (void)pthread_cond_signal(&log->ask);
    (void)pthread_mutex_unlock(&log->lock);
    for (clo_audit_waiter *w = group, *next; w != NULL; w = next) {
        next = w->next; /* w is gone once its thread wakes */
        w->code = e.code;
        (void)sem_post(&w->done);
    }
}

void *clo_audit_commit_thread(void *arg)
{
    clo_audit_log *log = arg;
    (void)pthread_mutex_lock(&log->lock);
    while (true) {
        while (log->first == NULL && !log->stop) (void)pthread_cond_wait(&log->work, &log->lock);
        if (log->first == NULL) break;
        clo_audit_waiter *group = take_group(log);
        bool broken = log->broken;
        (void)pthread_mutex_unlock(&log->lock);
        CLO_AUTO(clo_buf_free) clo_buf note;
        clo_buf_init(&note, NOTE_MAX);
        uint64_t size = 0;
        bool usable = !broken;
        clo_err e = broken ? CLO_FAILF(CLO_E_IO, "the log stopped after a write failure; restart the daemon")
                           : commit_group(log, group, &note, &size, &usable);
        finish_group(log, group, e, usable, &note, size);
        (void)pthread_mutex_lock(&log->lock);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* Wait until there is a checkpoint that no witness has seen, or that is to be seen again; after a try that failed, wait a while. Lock held. */
static void wait_for_checkpoint(clo_audit_log *log, bool failed)
{
    struct timespec until;
    unsigned ms = log->options.retry_ms == 0 ? 1000 : log->options.retry_ms;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (failed && !log->stop)
        if (pthread_cond_timedwait(&log->ask, &log->lock, &until) == ETIMEDOUT) break;
    while (!log->stop && !log->refresh && log->note_size <= log->witnessed_size) (void)pthread_cond_wait(&log->ask, &log->lock);
}

/* A witness may take its time: records are acknowledged meanwhile, and the next question covers all of them. */
void *clo_audit_witness_thread(void *arg)
{
    clo_audit_log *log = arg;
    bool failed = false;
    (void)pthread_mutex_lock(&log->lock);
    while (true) {
        wait_for_checkpoint(log, failed);
        if (log->stop) break;
        CLO_AUTO(clo_buf_free) clo_buf note;
        clo_buf_init(&note, NOTE_MAX);
        uint64_t size = log->note_size;
        clo_err e = clo_buf_put_span(&note, clo_buf_span(&log->note));
        (void)pthread_mutex_unlock(&log->lock);
        failed = clo_failed(e) || !witness_note(log, clo_buf_span(&note), size);
        (void)pthread_mutex_lock(&log->lock);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return NULL;
}

CLO_R clo_audit_commit_sign_now(clo_audit_log *log)
{
    clo_buf_clear(&log->note);
    CLO_TRY(sign_tree(log, &log->note));
    log->note_size = log->tree.size;
    return clo_os_file_write_atomic(log->checkpoint_path, clo_buf_span(&log->note), 0644);
}
