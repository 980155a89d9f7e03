/* The event loop: epoll, a heap of timers, an eventfd for messages, a signalfd. */
#include "os/loop.h"
#include "base/clo_own.h"
#include "os/file.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_ROUND = 256, TIMERS_MAX = 1 << 20 };

struct clo_os_loop {
    int epoll_fd, wake_fd, signal_fd;
    uint64_t now_ms;
    clo_os_loop_timer **heap; /* 1-based: heap[1] is due first */
    size_t timer_count, heap_cap;
    pthread_mutex_t lock; /* rank: leaf; guards the message list */
    clo_os_loop_message *first, *last;
    atomic_bool wake_sent, stopping;
    void (*signal_fire)(void *context, int signal);
    void *signal_context;
    clo_os_loop_source wake_source, signal_source;
    struct epoll_event events[EVENTS_PER_ROUND];
    int event_count, event_at;
};

static uint64_t read_clock_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint32_t epoll_bits(unsigned interest)
{
    uint32_t bits = 0;
    /* A peer that has half closed is news only to who reads. */
    if ((interest & CLO_OS_READABLE) != 0) bits |= EPOLLIN | EPOLLRDHUP;
    if ((interest & CLO_OS_WRITABLE) != 0) bits |= EPOLLOUT;
    return bits;
}

clo_err clo_os_loop_add(clo_os_loop *loop, clo_os_loop_source *source, unsigned interest)
{
    struct epoll_event e = {.events = epoll_bits(interest), .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &e) != 0)
        return CLO_FAILF(CLO_E_IO, "cannot watch a descriptor: %s", strerrordesc_np(errno));
    source->interest = interest;
    return CLO_OK;
}

clo_err clo_os_loop_change(clo_os_loop *loop, clo_os_loop_source *source, unsigned interest)
{
    if (source->interest == interest) return CLO_OK;
    struct epoll_event e = {.events = epoll_bits(interest), .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &e) != 0)
        return CLO_FAILF(CLO_E_IO, "cannot watch a descriptor: %s", strerrordesc_np(errno));
    source->interest = interest;
    return CLO_OK;
}

void clo_os_loop_remove(clo_os_loop *loop, clo_os_loop_source *source)
{
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    /* What this round has still to deliver to it is dropped: the source may be freed now. */
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == source) loop->events[i].data.ptr = NULL;
}

/* Timers: a binary heap that each timer knows its place in. */
static void heap_put(clo_os_loop *loop, size_t at, clo_os_loop_timer *t)
{
    loop->heap[at] = t;
    t->place = at;
}

static void heap_up(clo_os_loop *loop, size_t at)
{
    clo_os_loop_timer *t = loop->heap[at];
    while (at > 1 && loop->heap[at / 2]->due_ms > t->due_ms) {
        heap_put(loop, at, loop->heap[at / 2]);
        at /= 2;
    }
    heap_put(loop, at, t);
}

static void heap_down(clo_os_loop *loop, size_t at)
{
    clo_os_loop_timer *t = loop->heap[at];
    for (;;) {
        size_t child = at * 2;
        if (child > loop->timer_count) break;
        if (child < loop->timer_count && loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms) child++;
        if (loop->heap[child]->due_ms >= t->due_ms) break;
        heap_put(loop, at, loop->heap[child]);
        at = child;
    }
    heap_put(loop, at, t);
}

clo_err clo_os_loop_timer_set(clo_os_loop *loop, clo_os_loop_timer *timer, uint64_t delay_ms)
{
    CLO_CHECK(!__builtin_add_overflow(loop->now_ms, delay_ms, &timer->due_ms), CLO_E_OVERFLOW);
    if (timer->place == 0) {
        CLO_CHECK(loop->timer_count < TIMERS_MAX, CLO_E_TOO_MANY);
        if (loop->timer_count + 2 > loop->heap_cap) {
            size_t cap = loop->heap_cap == 0 ? 64 : loop->heap_cap * 2;
            clo_os_loop_timer **more = realloc(loop->heap, cap * sizeof(clo_os_loop_timer *));
            CLO_CHECK(more != NULL, CLO_E_NOMEM);
            loop->heap = more;
            loop->heap_cap = cap;
        }
        heap_put(loop, ++loop->timer_count, timer);
    }
    heap_up(loop, timer->place);
    heap_down(loop, timer->place);
    return CLO_OK;
}

void clo_os_loop_timer_clear(clo_os_loop *loop, clo_os_loop_timer *timer)
{
    size_t at = timer->place;
    if (at == 0) return;
    clo_os_loop_timer *last = loop->heap[loop->timer_count--];
    timer->place = 0;
    if (last == timer) return;
    heap_put(loop, at, last);
    heap_up(loop, at);
    heap_down(loop, last->place);
}

static void fire_due(clo_os_loop *loop)
{
    while (loop->timer_count != 0 && loop->heap[1]->due_ms <= loop->now_ms) {
        clo_os_loop_timer *t = loop->heap[1];
        clo_os_loop_timer_clear(loop, t);
        t->fire(t->context);
    }
}

static int wait_ms(const clo_os_loop *loop)
{
    if (loop->timer_count == 0) return -1;
    uint64_t due = loop->heap[1]->due_ms;
    if (due <= loop->now_ms) return 0;
    return due - loop->now_ms > 3600000u ? 3600000 : (int)(due - loop->now_ms);
}

void clo_os_loop_post(clo_os_loop *loop, clo_os_loop_message *message)
{
    message->next = NULL;
    (void)pthread_mutex_lock(&loop->lock);
    if (loop->last != NULL) loop->last->next = message;
    else loop->first = message;
    loop->last = message;
    (void)pthread_mutex_unlock(&loop->lock);
    if (atomic_exchange(&loop->wake_sent, true)) return;
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof one);
    (void)n;
}

static void wake_ready(void *context, unsigned events)
{
    (void)events;
    clo_os_loop *loop = context;
    uint64_t count = 0;
    ssize_t n = read(loop->wake_fd, &count, sizeof count);
    (void)n;
    atomic_store(&loop->wake_sent, false);
    (void)pthread_mutex_lock(&loop->lock);
    clo_os_loop_message *at = loop->first;
    loop->first = loop->last = NULL;
    (void)pthread_mutex_unlock(&loop->lock);
    while (at != NULL) {
        clo_os_loop_message *next = at->next; /* receive may free or re-post the message */
        at->receive(at->context);
        at = next;
    }
}

static void signal_ready(void *context, unsigned events)
{
    (void)events;
    clo_os_loop *loop = context;
    struct signalfd_siginfo info;
    while (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) loop->signal_fire(loop->signal_context, (int)info.ssi_signo);
}

clo_err clo_os_loop_signals(clo_os_loop *loop, const int *signals, void (*fire)(void *context, int signal), void *context)
{
    assert(loop->signal_fd < 0);
    sigset_t set;
    (void)sigemptyset(&set);
    for (; *signals != 0; signals++) (void)sigaddset(&set, *signals);
    CLO_CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0, CLO_E_IO);
    loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CLO_CHECK(loop->signal_fd >= 0, CLO_E_IO);
    loop->signal_fire = fire;
    loop->signal_context = context;
    loop->signal_source = (clo_os_loop_source){.fd = loop->signal_fd, .ready = signal_ready, .context = loop};
    return clo_os_loop_add(loop, &loop->signal_source, CLO_OS_READABLE);
}

clo_err clo_os_loop_new(clo_os_loop **out)
{
    CLO_AUTO(clo_os_loop_free) clo_os_loop *loop = calloc(1, sizeof *loop);
    CLO_CHECK(loop != NULL, CLO_E_NOMEM);
    loop->signal_fd = -1;
    CLO_CHECK(pthread_mutex_init(&loop->lock, NULL) == 0, CLO_E_NOMEM);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CLO_CHECKF(loop->epoll_fd >= 0 && loop->wake_fd >= 0, CLO_E_IO, "cannot make an event loop: %s", strerrordesc_np(errno));
    loop->now_ms = read_clock_ms();
    loop->wake_source = (clo_os_loop_source){.fd = loop->wake_fd, .ready = wake_ready, .context = loop};
    CLO_TRY(clo_os_loop_add(loop, &loop->wake_source, CLO_OS_READABLE));
    *out = CLO_TAKE(loop);
    return CLO_OK;
}

void clo_os_loop_free(clo_os_loop **loop)
{
    clo_os_loop *l = *loop;
    *loop = NULL;
    if (l == NULL) return;
    clo_os_fd_close(&l->signal_fd);
    clo_os_fd_close(&l->wake_fd);
    clo_os_fd_close(&l->epoll_fd);
    (void)pthread_mutex_destroy(&l->lock);
    free(l->heap);
    free(l);
}

uint64_t clo_os_loop_now_ms(const clo_os_loop *loop) { return loop->now_ms; }

static unsigned events_of(uint32_t bits)
{
    unsigned events = 0;
    if ((bits & (EPOLLIN | EPOLLRDHUP)) != 0) events |= CLO_OS_READABLE;
    if ((bits & EPOLLOUT) != 0) events |= CLO_OS_WRITABLE;
    if ((bits & (EPOLLHUP | EPOLLERR)) != 0) events |= CLO_OS_HANGUP;
    return events;
}

clo_err clo_os_loop_run(clo_os_loop *loop)
{
    while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed)) {
        int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_ROUND, wait_ms(loop));
        if (n < 0 && errno != EINTR) return CLO_FAILF(CLO_E_IO, "cannot wait for events: %s", strerrordesc_np(errno));
        loop->now_ms = read_clock_ms();
        loop->event_count = n > 0 ? n : 0;
        for (int i = 0; i < loop->event_count; i++) {
            loop->event_at = i + 1;
            clo_os_loop_source *s = loop->events[i].data.ptr;
            if (s != NULL) s->ready(s->context, events_of(loop->events[i].events));
        }
        loop->event_count = loop->event_at = 0;
        fire_due(loop);
    }
    atomic_store(&loop->stopping, false);
    return CLO_OK;
}

void clo_os_loop_stop(clo_os_loop *loop)
{
    atomic_store(&loop->stopping, true);
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof one);
    (void)n;
}
