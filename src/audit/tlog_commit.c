#include "audit/tlog_commit.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "os/clock.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { GROUP_MAX = 32 << 20, NOTE_MAX = CLO_NOTE_MAX, STORE_EVERY_MS = 20, STORE_AGAIN_MS = 500, GATHER_MAX_NS = 2000000, BYTES_KEPT = 4 << 20 };

/* Sign the tree as it is now: body and signed note. Called with the lock held (hashing the right edge is microseconds). */
static clo_err sign_tree(clo_audit_log *log, clo_buf *note)
{
    clo_wire_checkpoint c = {.size = log->tree.size};
    CLO_TRY(clo_str_set(c.origin, sizeof c.origin, clo_span_str(log->origin)));
    CLO_TRY(clo_wire_merkle_root_of(c.size, clo_audit_tree_get, &log->tree, &c.root));
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, NOTE_MAX);
    CLO_TRY(clo_wire_checkpoint_write(&c, &body));
    return clo_wire_note_sign_loaded(clo_buf_span(&body), &log->key, log->sk, note);
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

/* What the committer keeps from group to group. */
typedef struct {
    clo_buf bytes;    /* of the group's records */
    uint64_t sync_ns; /* how long the last sync took */
    size_t callers;   /* that the last group answered or found waiting behind it */
} committer;

/* Write one group durably, add it to the tree, sign. The journal is synced before any signature that covers it exists. *usable = memory and disk still agree
 * after a failure (a full disk); a sync that failed leaves that unknown. */
static clo_err commit_group(clo_audit_log *log, clo_audit_waiter *group, committer *own, clo_buf *note, uint64_t *size, bool *usable)
{
    *usable = true;
    CLO_TRY(clo_os_file_still(log->fd, log->journal_path)); /* a removed file would take the entries and forget them */
    clo_buf_clear(&own->bytes);
    for (clo_audit_waiter *w = group; w != NULL; w = w->next) CLO_TRY(clo_audit_journal_record(&own->bytes, w->data, &w->leaf));
    clo_err written = clo_os_file_pwrite(log->fd, log->journal_size, clo_buf_span(&own->bytes));
    if (clo_failed(written)) *usable = !clo_failed(clo_os_file_truncate(log->fd, log->journal_size));
    CLO_TRY(written);
    *usable = false;
    uint64_t began = clo_os_now_ns();
    CLO_TRY(clo_os_file_sync_data(log->fd));
    own->sync_ns = clo_os_now_ns() - began;
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
    if (!clo_failed(e)) *usable = true;
    return e;
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

/* Each of a group wakes two others, the first is woken here: the committer does not spend its time on a thousand wake-ups. */
static void wake_group(clo_audit_waiter *group, uint32_t code)
{
    clo_audit_waiter *waker = group;
    size_t side = 0;
    group->code = code;
    for (clo_audit_waiter *w = group->next; w != NULL; w = w->next) {
        w->code = code;
        waker->wakes[side++] = w;
        if (side < 2) continue;
        waker = waker->next;
        side = 0;
    }
    (void)sem_post(&group->done); /* from here on the group is gone as its threads wake */
}

static void finish_group(clo_audit_log *log, clo_audit_waiter *group, clo_err e, bool usable, clo_buf *note, uint64_t size)
{
    char why[sizeof log->why] = "";
    if (clo_failed(e)) (void)snprintf(why, sizeof why, "the transparency log could not be written (%.110s); the operator must look at its disk", clo_err_text());
    if (e.code == CLO_E_NOT_FOUND || e.code == CLO_E_CONFLICT) e.code = CLO_E_IO; /* the operator's trouble, not the caller's */
    (void)pthread_mutex_lock(&log->lock);
    if (clo_failed(e)) memcpy(log->why, why, sizeof why);
    if (!usable) log->broken = true; /* memory and disk may differ now: only a restart, which reads the disk, is safe */
    if (!clo_failed(e)) {
        clo_buf_free(&log->note);
        log->note = *note;
        log->note_size = size;
        clo_buf_init(note, NOTE_MAX);
    }
    (void)pthread_cond_broadcast(&log->published);
    (void)pthread_cond_signal(&log->ask);
    if (log->keeper_idle) (void)pthread_cond_signal(&log->keep);
    (void)pthread_mutex_unlock(&log->lock);
    wake_group(group, e.code);
}

static struct timespec after_ns(uint64_t ns)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    return until;
}

/* The next group. Callers that were answered come back at once where they have more: a part of a sync's time is well spent on waiting for them,
 * since whoever is late waits for a whole one. Lock held; NULL = stop. */
static clo_audit_waiter *next_group(clo_audit_log *log, committer *own, size_t *count)
{
    log->wanted = 1;
    while (log->first == NULL && !log->stop) (void)pthread_cond_wait(&log->work, &log->lock);
    if (log->queued < own->callers && !log->stop) {
        struct timespec until = after_ns(own->sync_ns / 4 < GATHER_MAX_NS ? own->sync_ns / 4 : GATHER_MAX_NS);
        log->wanted = own->callers;
        while (log->queued < log->wanted && !log->stop)
            if (pthread_cond_timedwait(&log->work, &log->lock, &until) != 0) break;
    }
    log->wanted = SIZE_MAX;
    size_t before = log->queued;
    clo_audit_waiter *group = take_group(log);
    *count = before - log->queued;
    return group;
}

static clo_err serve_group(clo_audit_log *log, clo_audit_waiter *group, committer *own, clo_buf *note, uint64_t *size, bool *usable, bool unstored)
{
    *usable = true;
    if (unstored) CLO_TRY(clo_audit_checkpoint_store(log)); /* a disk that takes no checkpoint takes no entries */
    return commit_group(log, group, own, note, size, usable);
}

void *clo_audit_commit_thread(void *arg)
{
    clo_audit_log *log = arg;
    committer own = {.sync_ns = 0};
    clo_buf_init(&own.bytes, (size_t)GROUP_MAX + CLO_AUDIT_ENTRY_MAX + RECORD_EXTRA);
    (void)pthread_mutex_lock(&log->lock);
    while (true) {
        size_t count = 0;
        clo_audit_waiter *group = next_group(log, &own, &count);
        if (group == NULL) break;
        bool broken = log->broken, unstored = log->store_code != 0, usable = !broken;
        (void)pthread_mutex_unlock(&log->lock);
        CLO_AUTO(clo_buf_free) clo_buf note;
        clo_buf_init(&note, NOTE_MAX);
        uint64_t size = 0;
        clo_err e = broken ? CLO_FAILF(CLO_E_IO, "the log stopped after a write failure; restart the daemon")
                           : serve_group(log, group, &own, &note, &size, &usable, unstored);
        finish_group(log, group, e, usable, &note, size);
        if (own.bytes.len > BYTES_KEPT) clo_buf_free(&own.bytes);
        (void)pthread_mutex_lock(&log->lock);
        own.callers = count + log->queued;
    }
    (void)pthread_mutex_unlock(&log->lock);
    clo_buf_free(&own.bytes);
    return NULL;
}

clo_err clo_audit_checkpoint_store(clo_audit_log *log)
{
    CLO_AUTO(clo_buf_free) clo_buf note;
    clo_buf_init(&note, NOTE_MAX);
    (void)pthread_mutex_lock(&log->store_lock);
    (void)pthread_mutex_lock(&log->lock);
    uint64_t size = log->note_size;
    bool due = log->stored_size != size || log->store_code != 0;
    clo_err e = due ? clo_buf_put_span(&note, clo_buf_span(&log->note)) : CLO_OK;
    (void)pthread_mutex_unlock(&log->lock);
    if (due && !clo_failed(e)) e = clo_os_file_write_atomic(log->checkpoint_path, clo_buf_span(&note), 0644);
    (void)pthread_mutex_lock(&log->lock);
    log->store_code = e.code;
    if (!clo_failed(e)) log->stored_size = size;
    (void)pthread_mutex_unlock(&log->lock);
    (void)pthread_mutex_unlock(&log->store_lock);
    return e;
}

/* The stored checkpoint lets a restart notice a journal that was cut or altered. It is no part of an entry's durability: it may be a little older
 * than what was acknowledged, so that an entry costs one sync and not three. */
void *clo_audit_keeper_thread(void *arg)
{
    clo_audit_log *log = arg;
    (void)pthread_mutex_lock(&log->lock);
    while (!log->stop) {
        if (log->stored_size == log->note_size && log->store_code == 0) {
            log->keeper_idle = true;
            (void)pthread_cond_wait(&log->keep, &log->lock);
            log->keeper_idle = false;
            continue;
        }
        (void)pthread_mutex_unlock(&log->lock);
        clo_err e = clo_audit_checkpoint_store(log);
        (void)pthread_mutex_lock(&log->lock);
        struct timespec until = after_ns((clo_failed(e) ? STORE_AGAIN_MS : STORE_EVERY_MS) * UINT64_C(1000000));
        while (!log->stop)
            if (pthread_cond_timedwait(&log->keep, &log->lock, &until) == ETIMEDOUT) break;
    }
    (void)pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* Wait until there is a checkpoint that no witness has seen, or that is to be seen again; after a try that failed, wait a while. Lock held. */
static void wait_for_checkpoint(clo_audit_log *log, bool failed)
{
    unsigned ms = log->options.retry_ms == 0 ? 1000 : log->options.retry_ms;
    struct timespec until = after_ns(ms * UINT64_C(1000000));
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
    log->note_size = log->stored_size = log->tree.size;
    return clo_os_file_write_atomic(log->checkpoint_path, clo_buf_span(&log->note), 0644);
}
