/* Threads and the worker pool. */
#include "base/clo_own.h"
#include "os/loop.h"
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct clo_os_thread {
    pthread_t id;
    char name[16];
    void (*run)(void *context);
    void *context;
};

static void *thread_main(void *context)
{
    clo_os_thread *t = context;
    (void)pthread_setname_np(pthread_self(), t->name);
    t->run(t->context);
    return NULL;
}

clo_err clo_os_thread_start(clo_os_thread **out, const char *name, void (*run)(void *context), void *context)
{
    clo_os_thread *t = calloc(1, sizeof *t);
    CLO_CHECK(t != NULL, CLO_E_NOMEM);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->run = run;
    t->context = context;
    /* The new thread inherits the mask: signals belong to the thread that reads the signalfd. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&t->id, NULL, thread_main, t);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        free(t);
        return CLO_FAILF(CLO_E_NOMEM, "cannot start a thread");
    }
    *out = t;
    return CLO_OK;
}

void clo_os_thread_join(clo_os_thread **thread)
{
    clo_os_thread *t = *thread;
    *thread = NULL;
    if (t == NULL) return;
    (void)pthread_join(t->id, NULL);
    free(t);
}

enum { THREADS_MAX = 256 };

struct clo_os_pool {
    pthread_mutex_t lock; /* rank: leaf; guards all below */
    pthread_cond_t work;
    clo_os_job *first, *last;
    size_t waiting, running, queue_max;
    bool closing;
    unsigned thread_count;
    clo_os_thread *threads[];
};

static void pool_run(void *context)
{
    clo_os_pool *p = context;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->first == NULL && !p->closing) (void)pthread_cond_wait(&p->work, &p->lock);
        clo_os_job *job = p->first;
        if (job == NULL) break;
        p->first = job->next;
        if (p->first == NULL) p->last = NULL;
        p->waiting--;
        p->running++;
        (void)pthread_mutex_unlock(&p->lock);
        job->run(job->context); /* may free the job */
        (void)pthread_mutex_lock(&p->lock);
        p->running--;
    }
    (void)pthread_mutex_unlock(&p->lock);
}

clo_err clo_os_pool_new(clo_os_pool **out, const char *name, unsigned threads, size_t queue_max)
{
    CLO_CHECK(threads >= 1 && threads <= THREADS_MAX && queue_max >= 1, CLO_E_RANGE);
    CLO_AUTO(clo_os_pool_free) clo_os_pool *p = calloc(1, sizeof *p + threads * sizeof(clo_os_thread *));
    CLO_CHECK(p != NULL, CLO_E_NOMEM);
    p->queue_max = queue_max;
    CLO_CHECK(pthread_mutex_init(&p->lock, NULL) == 0, CLO_E_NOMEM);
    CLO_CHECK(pthread_cond_init(&p->work, NULL) == 0, CLO_E_NOMEM);
    for (unsigned i = 0; i < threads; i++) {
        CLO_TRY(clo_os_thread_start(&p->threads[i], name, pool_run, p));
        p->thread_count++;
    }
    *out = CLO_TAKE(p);
    return CLO_OK;
}

clo_err clo_os_pool_submit(clo_os_pool *pool, clo_os_job *job)
{
    uint32_t code = 0;
    job->next = NULL;
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->closing) {
        code = CLO_E_CANCELLED;
    } else if (pool->waiting >= pool->queue_max) {
        code = CLO_E_AGAIN;
    } else {
        if (pool->last != NULL) pool->last->next = job;
        else pool->first = job;
        pool->last = job;
        pool->waiting++;
        (void)pthread_cond_signal(&pool->work);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (code == CLO_E_AGAIN) return CLO_FAILF(CLO_E_AGAIN, "the server is at its limit of waiting work; try again shortly");
    if (code != 0) return CLO_FAIL(code);
    return CLO_OK;
}

size_t clo_os_pool_load(clo_os_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    size_t n = pool->waiting + pool->running;
    (void)pthread_mutex_unlock(&pool->lock);
    return n;
}

void clo_os_pool_free(clo_os_pool **pool)
{
    clo_os_pool *p = *pool;
    *pool = NULL;
    if (p == NULL) return;
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->thread_count; i++) clo_os_thread_join(&p->threads[i]);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}
