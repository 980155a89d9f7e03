#include "service/service_int.h"

#include "base/clo_own.h"
#include "os/clock.h"
#include "os/loop.h"

#include <string.h>

/* Take the oldest queued run, or wait. false = stop. */
static bool next_run(clo_service *s, clo_arena *a, clo_store_run *run, size_t slot)
{
    while (true) {
        /* The slot is filled in the same moment as the run leaves the queue: a cancel finds it in one of the two. */
        (void)pthread_mutex_lock(&s->lock);
        bool stop = s->stop;
        clo_err e = stop ? CLO_FAIL(CLO_E_CANCELLED) : clo_service_platform_require(s);
        if (!clo_failed(e)) e = clo_store_run_take(s->store, a, run);
        if (stop) {
            (void)pthread_mutex_unlock(&s->lock);
            return false;
        }
        if (!clo_failed(e)) {
            s->slots[slot] = (clo_service_slot){.used = true};
            memcpy(s->slots[slot].id, run->id, sizeof run->id);
            (void)pthread_mutex_unlock(&s->lock);
            return true;
        }
        struct timespec until; /* a wake-up that was lost costs a second, never a run */
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        (void)pthread_cond_timedwait(&s->wake, &s->lock, &until);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

static void work(void *context)
{
    const struct clo_service_worker *w = context;
    clo_service *s = w->service;
    while (true) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, SERVICE_ARENA_MAX);
        void *run = NULL;
        if (clo_failed(clo_arena_alloc(&a, sizeof(clo_store_run), &run))) {
            if (clo_service_stopping(s)) return;
            clo_os_sleep_ms(100); /* memory that is short now must not cost a worker */
            continue;
        }
        if (!next_run(s, &a, run, w->index)) return;
        clo_service_run_execute(s, run, &s->slots[w->index].cancel);
        (void)pthread_mutex_lock(&s->lock);
        s->slots[w->index].used = false;
        (void)pthread_cond_signal(&s->settle);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

CLO_R clo_service_scheduler_start(clo_service *s)
{
    for (size_t i = 0; i < (size_t)s->config.runs_max; i++) {
        s->workers[i].service = s;
        s->workers[i].index = i;
        CLO_TRY(clo_os_thread_start(&s->threads[i], "run", work, &s->workers[i]));
    }
    return clo_os_thread_start(&s->settler, "settler", clo_service_settler_run, s);
}

bool clo_service_stopping(clo_service *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    (void)pthread_mutex_unlock(&s->lock);
    return stop;
}

void clo_service_settler_wake(clo_service *s)
{
    (void)pthread_mutex_lock(&s->lock);
    (void)pthread_cond_signal(&s->settle);
    (void)pthread_mutex_unlock(&s->lock);
}

void clo_service_settler_wait(clo_service *s, unsigned seconds)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    (void)pthread_mutex_lock(&s->lock);
    if (!s->stop) (void)pthread_cond_timedwait(&s->settle, &s->lock, &until);
    (void)pthread_mutex_unlock(&s->lock);
}

void clo_service_scheduler_wake(clo_service *s)
{
    (void)pthread_mutex_lock(&s->lock);
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
}

bool clo_service_scheduler_cancel(clo_service *s, const uint8_t id[16])
{
    bool found = false;
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < SERVICE_RUNS_MAX; i++) {
        if (!s->slots[i].used || memcmp(s->slots[i].id, id, 16) != 0) continue;
        __atomic_store_n(&s->slots[i].cancel, true, __ATOMIC_RELEASE);
        found = true;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return found;
}

bool clo_service_scheduler_has(clo_service *s, const uint8_t id[16])
{
    bool found = false;
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < SERVICE_RUNS_MAX; i++) found = found || (s->slots[i].used && memcmp(s->slots[i].id, id, 16) == 0);
    (void)pthread_mutex_unlock(&s->lock);
    return found;
}

void clo_service_scheduler_stop(clo_service *s)
{
    if (!s->locks_ready) return;
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    for (size_t i = 0; i < SERVICE_RUNS_MAX; i++) __atomic_store_n(&s->slots[i].cancel, true, __ATOMIC_RELEASE);
    (void)pthread_cond_broadcast(&s->wake);
    (void)pthread_cond_broadcast(&s->settle);
    (void)pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < SERVICE_RUNS_MAX; i++)
        if (s->threads[i] != NULL) clo_os_thread_join(&s->threads[i]);
    if (s->settler != NULL) clo_os_thread_join(&s->settler);
}
