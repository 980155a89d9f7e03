/* Proves: timers fire in order and can be cleared and moved; messages of many threads all arrive; a source that a callback removes is
 * not called again; signals arrive; the pool runs everything once, refuses beyond its queue, and drains at its end; no wake-up is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "os/clock.h"
#include "os/loop.h"
#include "os/net.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK(expr) assert_int_equal((expr).code, 0)

typedef struct {
    clo_os_loop *loop;
    unsigned fired;
    unsigned order[64];
} bench;
typedef struct {
    clo_os_loop_timer timer;
    bench *home;
    unsigned number;
} numbered;

static void note(void *context)
{
    numbered *n = context;
    n->home->order[n->home->fired++] = n->number;
}
static void stop(void *context) { clo_os_loop_stop(((bench *)context)->loop); }

static void test_timers(void **state)
{
    (void)state;
    bench b = {0};
    OK(clo_os_loop_new(&b.loop));
    numbered t[40];
    memset(t, 0, sizeof t);
    for (unsigned i = 0; i < 40; i++) {
        t[i] = (numbered){.home = &b, .number = (i * 7) % 40};
        t[i].timer.fire = note;
        t[i].timer.context = &t[i];
        OK(clo_os_loop_timer_set(b.loop, &t[i].timer, 200));
    }
    for (unsigned i = 0; i < 40; i++) OK(clo_os_loop_timer_set(b.loop, &t[i].timer, 1 + t[i].number)); /* moved */
    for (unsigned i = 0; i < 40; i++)
        if (t[i].number % 4 == 0) clo_os_loop_timer_clear(b.loop, &t[i].timer);
    clo_os_loop_timer_clear(b.loop, &t[0].timer);
    clo_os_loop_timer end = {.fire = stop, .context = &b};
    OK(clo_os_loop_timer_set(b.loop, &end, 60));
    OK(clo_os_loop_run(b.loop));
    assert_int_equal(b.fired, 30);
    for (unsigned i = 1; i < b.fired; i++) assert_true(b.order[i - 1] < b.order[i]);
    clo_os_loop_free(&b.loop);
}

typedef struct {
    bench *home;
    clo_os_loop_message messages[100];
    clo_os_thread *thread;
} sender;
static void count_message(void *context)
{
    bench *b = context;
    if (++b->fired == 400) clo_os_loop_stop(b->loop);
}
static void send_all(void *context)
{
    sender *s = context;
    for (size_t i = 0; i < 100; i++) {
        s->messages[i] = (clo_os_loop_message){.receive = count_message, .context = s->home};
        clo_os_loop_post(s->home->loop, &s->messages[i]);
    }
}

static void test_messages(void **state)
{
    (void)state;
    bench b = {0};
    OK(clo_os_loop_new(&b.loop));
    sender *senders = calloc(4, sizeof *senders);
    assert_non_null(senders);
    for (int i = 0; i < 4; i++) {
        senders[i].home = &b;
        OK(clo_os_thread_start(&senders[i].thread, "sender", send_all, &senders[i]));
    }
    OK(clo_os_loop_run(b.loop));
    assert_int_equal(b.fired, 400);
    for (int i = 0; i < 4; i++) clo_os_thread_join(&senders[i].thread);
    free(senders);
    clo_os_loop_free(&b.loop);
}

typedef struct {
    bench *home;
    clo_os_loop_source mine, other;
    unsigned calls;
} pair;
static void first_ready(void *context, unsigned events)
{
    pair *p = context;
    assert_true((events & CLO_OS_READABLE) != 0);
    p->calls++;
    clo_os_loop_remove(p->home->loop, &p->other);
    clo_os_loop_remove(p->home->loop, &p->mine);
    memset(&p->other, 0xff, sizeof p->other); /* a later call would crash */
    memset(&p->mine, 0xff, sizeof p->mine);
}

static void test_sources(void **state)
{
    (void)state;
    bench b = {0};
    OK(clo_os_loop_new(&b.loop));
    int one[2], two[2];
    OK(clo_os_net_pair(one));
    OK(clo_os_net_pair(two));
    OK(clo_os_net_send_all(one[1], clo_span_str("a"), 0));
    OK(clo_os_net_send_all(two[1], clo_span_str("b"), 0));
    pair p = {.home = &b};
    p.mine = (clo_os_loop_source){.fd = one[0], .ready = first_ready, .context = &p};
    p.other = (clo_os_loop_source){.fd = two[0], .ready = first_ready, .context = &p};
    OK(clo_os_loop_add(b.loop, &p.mine, CLO_OS_READABLE));
    OK(clo_os_loop_add(b.loop, &p.other, CLO_OS_READABLE));
    clo_os_loop_timer end = {.fire = stop, .context = &b};
    OK(clo_os_loop_timer_set(b.loop, &end, 30));
    OK(clo_os_loop_run(b.loop));
    assert_int_equal(p.calls, 1);
    clo_os_loop_free(&b.loop);
    for (int i = 0; i < 2; i++) {
        (void)close(one[i]);
        (void)close(two[i]);
    }
}

static void on_signal(void *context, int signal)
{
    bench *b = context;
    assert_int_equal(signal, SIGUSR1);
    b->fired++;
    clo_os_loop_stop(b->loop);
}

static void test_signal(void **state)
{
    (void)state;
    bench b = {0};
    OK(clo_os_loop_new(&b.loop));
    const int signals[] = {SIGUSR1, 0};
    OK(clo_os_loop_signals(b.loop, signals, on_signal, &b));
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    OK(clo_os_loop_run(b.loop));
    assert_int_equal(b.fired, 1);
    clo_os_loop_free(&b.loop);
}

static atomic_uint ran;
static atomic_bool hold;
static void work(void *context)
{
    (void)context;
    while (atomic_load(&hold)) clo_os_sleep_ms(1);
    atomic_fetch_add(&ran, 1u);
}

static void test_pool(void **state)
{
    (void)state;
    clo_os_pool *pool = NULL;
    assert_int_equal(clo_os_pool_new(&pool, "w", 0, 1).code, CLO_E_RANGE);
    OK(clo_os_pool_new(&pool, "w", 2, 4));
    clo_os_job jobs[16];
    unsigned accepted = 0, refused = 0;
    atomic_store(&hold, true);
    for (size_t i = 0; i < 16; i++) {
        jobs[i] = (clo_os_job){.run = work};
        clo_err e = clo_os_pool_submit(pool, &jobs[i]);
        if (clo_failed(e)) {
            assert_int_equal(e.code, CLO_E_AGAIN);
            refused++;
        } else {
            accepted++;
        }
    }
    assert_true(accepted >= 4);
    assert_true(accepted <= 6);
    assert_int_equal(accepted + refused, 16);
    assert_int_equal(clo_os_pool_load(pool), accepted);
    atomic_store(&hold, false);
    clo_os_pool_free(&pool);
    assert_int_equal(atomic_load(&ran), accepted);
}

/* Lost wake-ups: rounds in which all threads send one message or job at the same time and nobody sends the next before all were answered, so
 * that loop and workers fall asleep all the time. One that is lost hangs the round for ever; the alarm ends that. */
enum { PLAYERS = 6, TURNS = 20000 };
typedef struct {
    clo_os_loop *loop;
    clo_os_pool *pool;
    clo_os_loop_message message;
    clo_os_job job;
    clo_os_thread *thread;
    sem_t back;
    pthread_barrier_t *start;
    unsigned turns, refused;
} player;
static void answer(void *context) { (void)sem_post(&((player *)context)->back); }
static void play(void *context)
{
    player *p = context;
    for (unsigned i = 0; i < TURNS; i++) {
        p->message = (clo_os_loop_message){.receive = answer, .context = p};
        p->job = (clo_os_job){.run = answer, .context = p};
        bool to_loop = i % 4 != 0;
        (void)pthread_barrier_wait(p->start);
        if (to_loop) clo_os_loop_post(p->loop, &p->message);
        else if (clo_failed(clo_os_pool_submit(p->pool, &p->job))) p->refused++;
        while (sem_wait(&p->back) != 0) {
        }
        p->turns++;
    }
}
static void run_loop(void *loop) { (void)clo_os_loop_run(loop).code; }

static void test_no_lost_wake_up(void **state)
{
    (void)state;
    static player players[PLAYERS];
    clo_os_loop *loop = NULL;
    clo_os_pool *pool = NULL;
    clo_os_thread *thread = NULL;
    pthread_barrier_t start;
    assert_int_equal(pthread_barrier_init(&start, NULL, PLAYERS), 0);
    (void)alarm(100);
    OK(clo_os_loop_new(&loop));
    OK(clo_os_pool_new(&pool, "worker", 3, PLAYERS));
    OK(clo_os_thread_start(&thread, "loop", run_loop, loop));
    for (size_t i = 0; i < PLAYERS; i++) {
        players[i] = (player){.loop = loop, .pool = pool, .start = &start};
        assert_int_equal(sem_init(&players[i].back, 0, 0), 0);
        OK(clo_os_thread_start(&players[i].thread, "player", play, &players[i]));
    }
    for (size_t i = 0; i < PLAYERS; i++) {
        clo_os_thread_join(&players[i].thread);
        assert_int_equal(players[i].turns, TURNS);
        assert_int_equal(players[i].refused, 0);
        (void)sem_destroy(&players[i].back);
    }
    clo_os_loop_stop(loop); /* while it sleeps */
    clo_os_thread_join(&thread);
    clo_os_loop_free(&loop);
    clo_os_pool_free(&pool);
    (void)pthread_barrier_destroy(&start);
    (void)alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers), cmocka_unit_test(test_messages), cmocka_unit_test(test_sources),
        cmocka_unit_test(test_signal), cmocka_unit_test(test_pool), cmocka_unit_test(test_no_lost_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
