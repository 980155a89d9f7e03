/* Durable key releases per second: messages are made beforehand, then 1, 4, 16, 64 callers at once have them verified, reserved,
 * committed and answered. */
#include "kms/kms_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 512 };
static world w;
static runtime who;
static clo_span bodies[MESSAGES];
static clo_kms_channel channels[MESSAGES];
static size_t next_message;
static size_t message_end;
static size_t failures;

static void *caller(void *context)
{
    (void)context;
    for (;;) {
        size_t i = __atomic_fetch_add(&next_message, 1, __ATOMIC_RELAXED);
        if (i >= message_end) return NULL;
        clo_buf out;
        clo_buf_init(&out, 64 << 10);
        if (clo_failed(clo_kms_release(w.kms, bodies[i], &channels[i], &out))) __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
        clo_buf_free(&out);
    }
}

static double measure(size_t callers, size_t count)
{
    static message m;
    pthread_t threads[64];
    for (size_t i = 0; i < count; i++) {
        message_begin(&w, &m, &who);
        bodies[i] = message_finish(&w, &m);
        channels[i] = m.channel;
    }
    next_message = 0;
    message_end = count;
    uint64_t start = clo_os_now_ns();
    for (size_t i = 0; i < callers; i++)
        if (pthread_create(&threads[i], NULL, caller, NULL) != 0) exit(1);
    for (size_t i = 0; i < callers; i++)
        if (pthread_join(threads[i], NULL) != 0) exit(1);
    return (double)count * 1e9 / (double)(clo_os_now_ns() - start);
}

static void run(void **state)
{
    (void)state;
    static const size_t callers[] = {1, 4, 16, 64};
    world_open(&w);
    world_begin(&w, &(terms){.budget = "1000", .price = "0.000001", .count_max = 1000000});
    runtime_make(&who);
    (void)measure(1, 4);
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        (void)printf("releases/s, %2zu callers: %8.1f\n", callers[i], measure(callers[i], callers[i] == 1 ? 64 : MESSAGES));
    if (failures != 0) fail_msg("%zu releases failed: %s", failures, clo_err_text());
    world_end(&w);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
