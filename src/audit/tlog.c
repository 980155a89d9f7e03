#include "audit/tlog.h"

#include "audit/tlog_commit.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUNDLE_MAX = CLO_AUDIT_TILE * (CLO_AUDIT_ENTRY_MAX + 2) };

/* The stored checkpoint must be one of ours and must not cover more than the journal has, nor another tree. */
static clo_err check_stored(clo_audit_log *log)
{
    CLO_AUTO(clo_buf_free) clo_buf stored;
    clo_buf_init(&stored, CLO_NOTE_MAX);
    if (!clo_os_file_exists(log->checkpoint_path)) return CLO_OK;
    CLO_TRY(clo_os_file_read(log->checkpoint_path, CLO_NOTE_MAX, &stored));
    clo_wire_log_policy policy = {.log = log->key};
    clo_wire_checkpoint c;
    CLO_TRY(clo_wire_checkpoint_verify(clo_buf_span(&stored), &policy, &c, NULL));
    CLO_CHECKF(c.size <= log->tree.size, CLO_E_CONFLICT,
               "the log's journal has %llu whole entries but its checkpoint covers %llu: it was cut or altered; restore it from a backup",
               (unsigned long long)log->tree.size, (unsigned long long)c.size);
    clo_wire_hash root;
    CLO_TRY(clo_wire_merkle_root_of(c.size, clo_audit_tree_get, &log->tree, &root));
    CLO_CHECKF(memcmp(root.b, c.root.b, 32) == 0, CLO_E_CONFLICT, "the log's journal does not give its checkpoint's root: it was altered");
    return CLO_OK;
}

static clo_err open_files(clo_audit_log *log)
{
    CLO_TRY(clo_os_dir_make(log->directory));
    char path[600];
    CLO_TRY(clo_os_path_join(path, sizeof path, log->directory, "lock"));
    CLO_TRY(clo_os_lock_take(path, &log->lock_fd));
    CLO_TRY(clo_os_dir_sweep(log->directory));
    CLO_TRY(clo_os_path_join(log->checkpoint_path, sizeof log->checkpoint_path, log->directory, "checkpoint"));
    CLO_TRY(clo_os_path_join(log->journal_path, sizeof log->journal_path, log->directory, "journal"));
    CLO_TRY(clo_os_file_open(&log->fd, log->journal_path, CLO_OS_OPEN_CREATE, 0600));
    CLO_TRY(clo_os_dir_sync(log->directory));
    uint64_t size = 0;
    CLO_TRY(clo_audit_journal_load(log->fd, &log->tree, &log->journal_size));
    CLO_TRY(check_stored(log));
    CLO_TRY(clo_os_file_size_fd(log->fd, &size));
    /* What lies behind the last whole record was never acknowledged. */
    if (size > log->journal_size) CLO_TRY(clo_os_file_truncate(log->fd, log->journal_size));
    /* Whole records of a process that was killed before its sync may be in the page cache only; they are about to be signed. */
    CLO_TRY(clo_os_file_sync(log->fd));
    return clo_audit_commit_sign_now(log);
}

CLO_R clo_audit_log_open(clo_audit_log **out, const clo_audit_log_options *options)
{
    clo_audit_log *log = calloc(1, sizeof *log);
    CLO_CHECK(log != NULL, CLO_E_NOMEM);
    log->fd = log->lock_fd = -1;
    log->options = *options;
    log->options.sk = NULL; /* the caller's */
    clo_buf_init(&log->note, CLO_NOTE_MAX);
    clo_buf_init(&log->witnessed, CLO_NOTE_MAX);
    (void)pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&log->work, &monotonic);
    (void)pthread_cond_init(&log->published, &monotonic);
    (void)pthread_cond_init(&log->ask, &monotonic);
    (void)pthread_cond_init(&log->keep, &monotonic);
    (void)pthread_mutex_init(&log->store_lock, NULL);
    (void)pthread_condattr_destroy(&monotonic);
    clo_crypto_public_key pk;
    clo_err e = clo_crypto_sign_public_of(options->sk, &pk);
    if (!clo_failed(e)) e = clo_crypto_load_private(options->sk, &log->sk);
    if (!clo_failed(e)) e = clo_str_set(log->origin, sizeof log->origin, clo_span_str(options->origin));
    if (!clo_failed(e)) e = clo_str_set(log->directory, sizeof log->directory, clo_span_str(options->directory));
    if (!clo_failed(e)) e = clo_wire_note_key_make(log->origin, 1, &pk, &log->key);
    if (!clo_failed(e)) e = open_files(log);
    if (!clo_failed(e)) {
        log->wanted = 1;
        log->running = pthread_create(&log->committer, NULL, clo_audit_commit_thread, log) == 0;
        log->keeping = log->running && pthread_create(&log->keeper, NULL, clo_audit_keeper_thread, log) == 0;
        log->asking = log->keeping && options->witness != NULL && pthread_create(&log->asker, NULL, clo_audit_witness_thread, log) == 0;
        if (!log->keeping || log->asking != (options->witness != NULL)) e = CLO_FAILF(CLO_E_NOMEM, "cannot start the log's threads");
    }
    if (clo_failed(e)) {
        clo_audit_log_close(&log);
        return e;
    }
    *out = log;
    return CLO_OK;
}

void clo_audit_log_close(clo_audit_log **logp)
{
    clo_audit_log *log = *logp;
    if (log == NULL) return;
    if (log->running) {
        (void)pthread_mutex_lock(&log->lock);
        log->stop = true;
        (void)pthread_cond_broadcast(&log->work);
        (void)pthread_cond_broadcast(&log->ask);
        (void)pthread_cond_broadcast(&log->keep);
        (void)pthread_mutex_unlock(&log->lock);
        (void)pthread_join(log->committer, NULL);
        if (log->asking) (void)pthread_join(log->asker, NULL);
        if (log->keeping) (void)pthread_join(log->keeper, NULL);
        clo_err stored = clo_audit_checkpoint_store(log);
        (void)stored; /* where that fails, the next start signs the journal again */
    }
    clo_os_fd_close(&log->fd);
    clo_os_fd_close(&log->lock_fd);
    clo_audit_tree_free(&log->tree);
    clo_buf_free(&log->note);
    clo_buf_free(&log->witnessed);
    clo_crypto_loaded_free(&log->sk);
    (void)pthread_cond_destroy(&log->work);
    (void)pthread_cond_destroy(&log->published);
    (void)pthread_cond_destroy(&log->ask);
    (void)pthread_cond_destroy(&log->keep);
    (void)pthread_mutex_destroy(&log->store_lock);
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
    *logp = NULL;
}

static clo_err failed_append(clo_audit_log *log, uint32_t code)
{
    char why[sizeof log->why];
    (void)pthread_mutex_lock(&log->lock);
    memcpy(why, log->why, sizeof why);
    (void)pthread_mutex_unlock(&log->lock);
    return clo_err_again(code, why);
}

CLO_R clo_audit_log_append(clo_audit_log *log, clo_span data, uint64_t *index)
{
    CLO_CHECKF(data.n <= CLO_AUDIT_ENTRY_MAX, CLO_E_TOO_LARGE, "a log entry has at most %d bytes", CLO_AUDIT_ENTRY_MAX);
    clo_audit_waiter w = {.data = data};
    CLO_TRY(clo_wire_merkle_leaf(data, &w.leaf));
    (void)sem_init(&w.done, 0, 0);
    (void)pthread_mutex_lock(&log->lock);
    if (log->stop || log->queued >= QUEUE_MAX) {
        (void)pthread_mutex_unlock(&log->lock);
        (void)sem_destroy(&w.done);
        return CLO_FAILF(CLO_E_AGAIN, "the log's queue is full; try again");
    }
    /* This frame stays until the committer has set `done`. */
    if (log->last != NULL)
        log->last->next = &w;
    else
        log->first = &w; // cppcheck-suppress autoVariables
    log->last = &w; // cppcheck-suppress autoVariables
    log->queued++;
    if (log->queued >= log->wanted) (void)pthread_cond_signal(&log->work);
    (void)pthread_mutex_unlock(&log->lock);
    while (sem_wait(&w.done) != 0) {
    } /* interrupted by a signal */
    for (size_t i = 0; i < 2 && w.wakes[i] != NULL; i++) (void)sem_post(&w.wakes[i]->done);
    (void)sem_destroy(&w.done);
    if (w.code != 0) return failed_append(log, w.code);
    *index = w.index;
    return CLO_OK;
}

static struct timespec deadline_of(unsigned ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + (int64_t)(ms % 1000) * 1000000;
    t.tv_sec += ms / 1000 + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

CLO_R clo_audit_log_proof(clo_audit_log *log, uint64_t index, unsigned wait_ms, clo_buf *out)
{
    struct timespec until = deadline_of(wait_ms);
    bool witnessed = log->options.witness != NULL;
    (void)pthread_mutex_lock(&log->lock);
    while (index < log->tree.size && index >= (witnessed ? log->witnessed_size : log->note_size))
        if (pthread_cond_timedwait(&log->published, &log->lock, &until) != 0) break;
    uint64_t size = witnessed ? log->witnessed_size : log->note_size;
    clo_err e = CLO_OK;
    if (index >= log->tree.size)
        e = CLO_FAILF(CLO_E_NOT_FOUND, "the log has no entry %llu", (unsigned long long)index);
    else if (index >= size)
        e = CLO_FAILF(CLO_E_AGAIN, "no witness has cosigned entry %llu yet; see that the witness runs, then try again", (unsigned long long)index);
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    if (!clo_failed(e)) e = clo_wire_merkle_prove_inclusion(index, size, clo_audit_tree_get, &log->tree, path, &count);
    if (!clo_failed(e)) e = clo_wire_tlog_proof_write(index, path, count, clo_buf_span(witnessed ? &log->witnessed : &log->note), out);
    (void)pthread_mutex_unlock(&log->lock);
    return e;
}

CLO_R clo_audit_log_refresh(clo_audit_log *log, unsigned max_age_ms, unsigned wait_ms)
{
    enum { NS_PER_MS = 1000000 };
    if (log->options.witness == NULL) return CLO_OK;
    struct timespec until = deadline_of(wait_ms);
    uint64_t now = clo_os_now_ns(), max_age = (uint64_t)max_age_ms * NS_PER_MS, oldest = now > max_age ? now - max_age : 0;
    (void)pthread_mutex_lock(&log->lock);
    bool fresh = log->witnessed.len > 0 && log->witnessed_ns >= oldest;
    while (!fresh) {
        log->refresh = true;
        (void)pthread_cond_signal(&log->ask);
        if (pthread_cond_timedwait(&log->published, &log->lock, &until) != 0) break;
        fresh = log->witnessed.len > 0 && log->witnessed_ns >= oldest;
    }
    (void)pthread_mutex_unlock(&log->lock);
    return fresh ? CLO_OK : CLO_FAILF(CLO_E_AGAIN, "no witness has cosigned the log's checkpoint again; see that the witness runs, then try again");
}

CLO_R clo_audit_log_checkpoint(clo_audit_log *log, clo_buf *out)
{
    (void)pthread_mutex_lock(&log->lock);
    const clo_buf *note = log->witnessed_size == log->note_size && log->witnessed.len > 0 ? &log->witnessed : &log->note;
    clo_err e = clo_buf_put_span(out, clo_buf_span(note));
    (void)pthread_mutex_unlock(&log->lock);
    return e;
}

clo_err clo_audit_log_usable(clo_audit_log *log)
{
    (void)pthread_mutex_lock(&log->lock);
    bool broken = log->broken;
    uint64_t at = log->journal_size;
    (void)pthread_mutex_unlock(&log->lock);
    CLO_CHECKF(!broken, CLO_E_IO, "the log stopped after a write failure; restart the daemon");
    CLO_CHECKF(!clo_failed(clo_os_file_still(log->fd, log->journal_path)), CLO_E_IO, "the log's journal was removed or replaced");
    return clo_os_file_reserve(log->fd, at, CLO_AUDIT_ENTRY_MAX + RECORD_EXTRA);
}

uint64_t clo_audit_log_size(clo_audit_log *log)
{
    (void)pthread_mutex_lock(&log->lock);
    uint64_t size = log->note_size;
    (void)pthread_mutex_unlock(&log->lock);
    return size;
}

CLO_R clo_audit_log_find(clo_audit_log *log, clo_span data, uint64_t *index)
{
    clo_wire_hash leaf;
    CLO_TRY(clo_wire_merkle_leaf(data, &leaf));
    (void)pthread_mutex_lock(&log->lock);
    const clo_audit_level *leaves = &log->tree.levels[0];
    uint64_t at = log->note_size; /* not acknowledged is not found */
    while (at > 0 && memcmp(leaves->hashes[at - 1].b, leaf.b, sizeof leaf.b) != 0) at--;
    (void)pthread_mutex_unlock(&log->lock);
    CLO_CHECK(at > 0, CLO_E_NOT_FOUND);
    *index = at - 1;
    return CLO_OK;
}

CLO_R clo_audit_log_consistency(clo_audit_log *log, uint64_t old_size, uint64_t new_size, clo_wire_hash *path, size_t *count)
{
    (void)pthread_mutex_lock(&log->lock);
    clo_err e = new_size > log->tree.size || old_size > new_size
                    ? CLO_FAILF(CLO_E_NOT_FOUND, "the log has no tree of that size")
                    : clo_wire_merkle_prove_consistency(old_size, new_size, clo_audit_tree_get, &log->tree, path, count);
    (void)pthread_mutex_unlock(&log->lock);
    return e;
}

CLO_R clo_audit_log_tile(clo_audit_log *log, unsigned level, uint64_t index, unsigned width, clo_buf *out)
{
    CLO_CHECK(level < 6 && width >= 1 && width <= CLO_AUDIT_TILE && index < (uint64_t)1 << 40, CLO_E_NOT_FOUND);
    (void)pthread_mutex_lock(&log->lock);
    const clo_audit_level *l = &log->tree.levels[level * 8];
    uint64_t first = index * CLO_AUDIT_TILE, published = log->note_size >> (level * 8);
    clo_err e = first + width > published || first + width > l->count ? CLO_FAIL(CLO_E_NOT_FOUND)
                                                                       : clo_buf_put(out, l->hashes[first].b, (size_t)width * 32);
    (void)pthread_mutex_unlock(&log->lock);
    return e;
}

CLO_R clo_audit_log_bundle(clo_audit_log *log, uint64_t index, unsigned width, clo_buf *out)
{
    CLO_CHECK(width >= 1 && width <= CLO_AUDIT_TILE && index < (uint64_t)1 << 40, CLO_E_NOT_FOUND);
    uint64_t offsets[CLO_AUDIT_TILE];
    uint32_t sizes[CLO_AUDIT_TILE];
    (void)pthread_mutex_lock(&log->lock);
    uint64_t first = index * CLO_AUDIT_TILE;
    bool have = first + width <= log->note_size;
    if (have) {
        memcpy(offsets, log->tree.offsets + first, width * sizeof offsets[0]);
        memcpy(sizes, log->tree.sizes + first, width * sizeof sizes[0]);
    }
    (void)pthread_mutex_unlock(&log->lock);
    CLO_CHECK(have, CLO_E_NOT_FOUND);
    for (unsigned i = 0; i < width; i++) {
        CLO_TRY(clo_buf_put_u16be(out, (uint16_t)sizes[i]));
        uint8_t *at = NULL;
        CLO_TRY(clo_buf_reserve(out, sizes[i], &at));
        CLO_TRY(clo_os_file_pread(log->fd, offsets[i], at, sizes[i]));
        out->len += sizes[i];
    }
    return CLO_OK;
}

CLO_R clo_audit_log_check(const char *directory, const clo_wire_note_key *key, uint64_t *size)
{
    clo_audit_log *log = calloc(1, sizeof *log);
    CLO_CHECK(log != NULL, CLO_E_NOMEM);
    log->fd = -1;
    log->key = *key;
    char path[600];
    clo_err e = clo_os_path_join(path, sizeof path, directory, "journal");
    if (!clo_failed(e)) e = clo_os_path_join(log->checkpoint_path, sizeof log->checkpoint_path, directory, "checkpoint");
    if (!clo_failed(e)) e = clo_os_file_open(&log->fd, path, CLO_OS_OPEN_READ, 0);
    if (!clo_failed(e)) e = clo_audit_journal_load(log->fd, &log->tree, &log->journal_size);
    if (!clo_failed(e)) e = check_stored(log);
    if (!clo_failed(e)) *size = log->tree.size;
    clo_os_fd_close(&log->fd);
    clo_audit_tree_free(&log->tree);
    free(log);
    return e;
}
