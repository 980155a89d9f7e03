#include "client/chunks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_ct.h"
#include "os/file.h"

enum { BATCH_BYTES = 1024 * 1024, TAG = 16, THREADS_MAX = 16, FAILURE_MAX = 1024 };

typedef struct {
    const clo_client_chunks *o;
    uint64_t chunk_count, batch_chunks;
    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t next;   /* first chunk of the next batch that is to be taken */
    uint64_t hashed; /* chunks whose leaves are in the tree */
    clo_wire_merkle_range tree;
    clo_err failure; /* the first */
    char failure_text[FAILURE_MAX];
} job;

/* One thread's batch. */
typedef struct {
    job *j;
    pthread_t thread;
    bool started;
    uint64_t first, count;
    size_t plain_size, sealed_size;
    uint8_t *plain, *sealed;
    clo_wire_hash *leaves;
} worker;

/* The lock is held. */
static void fail(job *j, clo_err e)
{
    if (!clo_failed(j->failure)) {
        j->failure = e;
        (void)snprintf(j->failure_text, sizeof j->failure_text, "%s", clo_err_text());
    }
    (void)pthread_cond_broadcast(&j->turn);
}

/* The next plain bytes. False: nothing is left, or somebody failed. */
static bool batch_take(worker *w)
{
    job *j = w->j;
    (void)pthread_mutex_lock(&j->lock);
    bool more = !clo_failed(j->failure) && j->next < j->chunk_count;
    if (more) {
        w->first = j->next;
        w->count = j->chunk_count - j->next < j->batch_chunks ? j->chunk_count - j->next : j->batch_chunks;
        w->plain_size = (size_t)(w->count - 1) * j->o->info.chunk_size + clo_crypto_stream_chunk_plain(&j->o->info, w->first + w->count - 1);
        j->next += w->count;
        clo_err e = j->o->source(j->o->context, w->plain, w->plain_size);
        if (clo_failed(e)) {
            fail(j, e);
            more = false;
        }
    }
    (void)pthread_mutex_unlock(&j->lock);
    return more;
}

static clo_err batch_seal(worker *w)
{
    const clo_client_chunks *o = w->j->o;
    size_t plain = 0, sealed = 0;
    for (uint64_t i = 0; i < w->count; i++) {
        size_t n = clo_crypto_stream_chunk_plain(&o->info, w->first + i);
        CLO_TRY(clo_crypto_stream_seal(o->stream, w->first + i, clo_span_of(w->plain + plain, n), w->sealed + sealed));
        CLO_TRY(clo_wire_merkle_leaf(clo_span_of(w->sealed + sealed, n + TAG), &w->leaves[i]));
        plain += n;
        sealed += n + TAG;
    }
    uint64_t at = o->offset + w->first * ((uint64_t)o->info.chunk_size + TAG);
    CLO_TRY(clo_os_file_pwrite(o->fd, at, clo_span_of(w->sealed, sealed)));
    clo_os_file_write_early(o->fd, at, sealed);
    return CLO_OK;
}

/* Leaves enter the tree in their order. */
static void batch_hash(worker *w, clo_err e)
{
    job *j = w->j;
    (void)pthread_mutex_lock(&j->lock);
    if (clo_failed(e)) fail(j, e);
    while (!clo_failed(j->failure) && j->hashed != w->first) (void)pthread_cond_wait(&j->turn, &j->lock);
    for (uint64_t i = 0; i < w->count && !clo_failed(j->failure); i++) {
        e = clo_wire_merkle_range_add(&j->tree, &w->leaves[i]);
        if (clo_failed(e)) fail(j, e);
    }
    j->hashed += w->count;
    (void)pthread_cond_broadcast(&j->turn);
    (void)pthread_mutex_unlock(&j->lock);
}

static void *worker_run(void *argument)
{
    worker *w = argument;
    while (batch_take(w)) batch_hash(w, batch_seal(w));
    return NULL;
}

static bool worker_make(worker *w, job *j)
{
    size_t batch = (size_t)j->batch_chunks * j->o->info.chunk_size;
    *w = (worker){.j = j, .plain = malloc(batch), .sealed = malloc(batch + (size_t)j->batch_chunks * TAG),
                  .leaves = calloc((size_t)j->batch_chunks, sizeof *w->leaves)};
    return w->plain != NULL && w->sealed != NULL && w->leaves != NULL;
}

static void worker_free(worker *w)
{
    if (w->plain != NULL) clo_wipe(w->plain, (size_t)w->j->batch_chunks * w->j->o->info.chunk_size);
    free(w->plain);
    free(w->sealed);
    free(w->leaves);
}

/* Where a thread cannot be started, the caller's does its part. */
static clo_err work(job *j, unsigned threads)
{
    worker workers[THREADS_MAX] = {{.started = false}};
    unsigned made = 0;
    bool complete = true;
    while (complete && made < threads) complete = worker_make(&workers[made++], j);
    if (complete) {
        for (unsigned i = 1; i < made; i++) workers[i].started = pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) == 0;
        (void)worker_run(&workers[0]);
        for (unsigned i = 1; i < made; i++)
            if (workers[i].started) (void)pthread_join(workers[i].thread, NULL);
    }
    for (unsigned i = 0; i < made; i++) worker_free(&workers[i]);
    CLO_CHECK(complete, CLO_E_NOMEM);
    return clo_failed(j->failure) ? clo_err_again(j->failure.code, j->failure_text) : CLO_OK;
}

clo_err clo_client_chunks_write(const clo_client_chunks *o, clo_wire_hash *root)
{
    unsigned threads = o->threads == 0 ? 2 : o->threads;
    CLO_CHECK(threads <= THREADS_MAX, CLO_E_RANGE);
    job *j = calloc(1, sizeof *j);
    CLO_CHECK(j != NULL, CLO_E_NOMEM);
    j->o = o;
    j->chunk_count = clo_crypto_stream_chunk_count(&o->info);
    j->batch_chunks = BATCH_BYTES / o->info.chunk_size == 0 ? 1 : BATCH_BYTES / o->info.chunk_size;
    if (j->batch_chunks > j->chunk_count) j->batch_chunks = j->chunk_count;
    uint64_t batches = (j->chunk_count + j->batch_chunks - 1) / j->batch_chunks;
    (void)pthread_mutex_init(&j->lock, NULL);
    (void)pthread_cond_init(&j->turn, NULL);
    clo_err e = work(j, batches < threads ? (unsigned)batches : threads);
    if (!clo_failed(e)) e = clo_wire_merkle_range_root(&j->tree, root);
    (void)pthread_cond_destroy(&j->turn);
    (void)pthread_mutex_destroy(&j->lock);
    free(j);
    return e;
}
