/* Attested releases per second, as JSON lines. "release-N": N callers of the key service itself, whose messages (fresh nonce, request, evidence,
 * channel proof) are made beforehand; each is verified, its evidence appraised, budget reserved, the record committed and synced, the key sealed.
 * "release-tls-N": the same through the daemon's TLS and HTTP on this machine, the callers' own work (nonce fetched, request signed, report signed
 * by the software TEE) within the measured time. Usage: bench_releases */
#include "bench_releases.h"
#include "kms/kms_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static world w;
static runtime who;
static clo_span bodies[RELEASES_MAX];
static clo_kms_channel channels[RELEASES_MAX];

/* ---- many callers at once ---- */

static struct {
    void (*operation)(size_t caller, size_t number);
    size_t next, count;
    uint64_t waited_ns[RELEASES_MAX];
    double caller_ms[CALLERS_MAX];
} round_;

static double cpu_ms_of(int whom)
{
    struct rusage u;
    if (getrusage(whom, &u) != 0) exit(1);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void *caller(void *context)
{
    size_t self = (size_t)((double *)context - round_.caller_ms);
    double before = cpu_ms_of(RUSAGE_THREAD);
    for (;;) {
        size_t i = __atomic_fetch_add(&round_.next, 1, __ATOMIC_RELAXED);
        if (i >= round_.count) break;
        uint64_t began = clo_os_now_ns();
        round_.operation(self, i);
        round_.waited_ns[i] = clo_os_now_ns() - began;
    }
    round_.caller_ms[self] = cpu_ms_of(RUSAGE_THREAD) - before;
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

figures measure(size_t callers, size_t count, void (*operation)(size_t, size_t))
{
    pthread_t threads[CALLERS_MAX];
    figures f = {.rate = 0};
    round_.operation = operation;
    round_.next = 0;
    round_.count = count;
    double cpu = cpu_ms_of(RUSAGE_SELF);
    uint64_t start = clo_os_now_ns();
    for (size_t i = 0; i < callers; i++)
        if (pthread_create(&threads[i], NULL, caller, &round_.caller_ms[i]) != 0) exit(1);
    for (size_t i = 0; i < callers; i++)
        if (pthread_join(threads[i], NULL) != 0) exit(1);
    f.rate = (double)count * 1e9 / (double)(clo_os_now_ns() - start);
    f.cpu_ms = (cpu_ms_of(RUSAGE_SELF) - cpu) / (double)count;
    for (size_t i = 0; i < callers; i++) f.caller_ms += round_.caller_ms[i] / (double)count;
    qsort(round_.waited_ns, count, sizeof round_.waited_ns[0], by_time);
    f.p50_ms = (double)round_.waited_ns[count / 2] / 1e6;
    f.p99_ms = (double)round_.waited_ns[count * 99 / 100] / 1e6;
    return f;
}

/* ---- the key service itself ---- */

static void release_direct(size_t self, size_t i)
{
    (void)self;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    if (clo_failed(clo_kms_release(w.kms, bodies[i], &channels[i], &out))) {
        (void)fprintf(stderr, "bench_releases: %s\n", clo_err_text());
        exit(1);
    }
    clo_buf_free(&out);
}

static figures releases_direct(size_t callers, size_t count)
{
    static message m;
    for (size_t i = 0; i < count; i++) {
        message_begin(&w, &m, &who);
        bodies[i] = message_finish(&w, &m);
        channels[i] = m.channel;
    }
    return measure(callers, count, release_direct);
}

static void print(const char *way, size_t callers, figures f)
{
    (void)printf("{\"name\":\"release-%s%zu\",\"ours\":%.1f,\"unit\":\"releases/s\",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"cpu_ms\":%.3f,"
                 "\"caller_cpu_ms\":%.3f}\n",
                 way, callers, f.rate, f.p50_ms, f.p99_ms, f.cpu_ms, f.caller_ms);
    (void)fflush(stdout);
}

static void run(void **state)
{
    (void)state;
    world_open(&w);
    world_begin(&w, &(terms){.budget = "1000", .price = "0.000001", .count_max = 1000000});
    runtime_make(&who);
    (void)releases_direct(1, 4);
    print("", 1, releases_direct(1, 512));
    print("", 64, releases_direct(64, 3072));
    world_end(&w);
    world_close(&w);
    print("tls-", 1, releases_over_tls(1, 256));
    print("tls-", 64, releases_over_tls(64, 2048));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(run)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
