/* Event loop (epoll), one per thread: descriptors, timers, messages from other threads, signals; and a pool of worker threads.
 *
 * A source, timer or message is memory of the caller that stays where it is while registered. All functions belong to the
 * loop's thread but clo_os_loop_post and clo_os_loop_stop, which any thread may call. */
#ifndef CLO_OS_LOOP_H
#define CLO_OS_LOOP_H
#include "base/clo_err.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_os_loop clo_os_loop;

enum { CLO_OS_READABLE = 1, CLO_OS_WRITABLE = 2, CLO_OS_HANGUP = 4 };

typedef struct {
    int fd;
    unsigned interest; /* as last given */
    void (*ready)(void *context, unsigned events);
    void *context;
} clo_os_loop_source;

typedef struct {
    uint64_t due_ms;
    size_t place; /* in the heap, from 1; 0 = not set */
    void (*fire)(void *context);
    void *context;
} clo_os_loop_timer;

typedef struct clo_os_loop_message clo_os_loop_message;
struct clo_os_loop_message {
    clo_os_loop_message *next;
    void (*receive)(void *context);
    void *context;
};

/** Given to the caller. Errors: IO, NOMEM. */
CLO_R clo_os_loop_new(clo_os_loop **out);
void clo_os_loop_free(clo_os_loop **loop);
/** Watch source->fd for `interest` (level-triggered). HANGUP is always reported. The callback may remove or free any source. */
CLO_R clo_os_loop_add(clo_os_loop *loop, clo_os_loop_source *source, unsigned interest);
CLO_R clo_os_loop_change(clo_os_loop *loop, clo_os_loop_source *source, unsigned interest);
void clo_os_loop_remove(clo_os_loop *loop, clo_os_loop_source *source);
/** Fire once after delay_ms (re-arming moves it). Errors: NOMEM, TOO_MANY. */
CLO_R clo_os_loop_timer_set(clo_os_loop *loop, clo_os_loop_timer *timer, uint64_t delay_ms);
void clo_os_loop_timer_clear(clo_os_loop *loop, clo_os_loop_timer *timer);
/** Run message->receive on the loop's thread. The message must not be in flight already. */
void clo_os_loop_post(clo_os_loop *loop, clo_os_loop_message *message);
/** Call `fire` on the loop's thread for each of these signals, which are blocked in the calling thread (do so in main, before
 *  threads start). `signals` ends with 0. */
CLO_R clo_os_loop_signals(clo_os_loop *loop, const int *signals, void (*fire)(void *context, int signal), void *context);
/** Milliseconds (monotonic) as of the current round; cheap. */
uint64_t clo_os_loop_now_ms(const clo_os_loop *loop);
/** Work until stopped. Errors: IO. */
CLO_R clo_os_loop_run(clo_os_loop *loop);
void clo_os_loop_stop(clo_os_loop *loop);

/* Worker pool: N threads over one bounded queue. */
typedef struct clo_os_pool clo_os_pool;
typedef struct clo_os_job clo_os_job;
struct clo_os_job {
    clo_os_job *next;
    void (*run)(void *context);
    void *context;
};
/** threads 1..256; queue_max jobs waiting. Given to the caller. */
CLO_R clo_os_pool_new(clo_os_pool **out, const char *name, unsigned threads, size_t queue_max);
/** Errors: AGAIN (queue full), CANCELLED (closing). The job is memory of the caller until it has run. */
CLO_R clo_os_pool_submit(clo_os_pool *pool, clo_os_job *job);
/** Jobs waiting and running. */
size_t clo_os_pool_load(clo_os_pool *pool);
/** Run what is queued, end the threads, free. */
void clo_os_pool_free(clo_os_pool **pool);

/** Start a thread with all signals blocked and a name (15 bytes). Errors: NOMEM. join waits for it. */
typedef struct clo_os_thread clo_os_thread;
CLO_R clo_os_thread_start(clo_os_thread **out, const char *name, void (*run)(void *context), void *context);
void clo_os_thread_join(clo_os_thread **thread);

#ifdef __cplusplus
}
#endif
#endif
