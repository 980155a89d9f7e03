/* Durable log records per second with many callers, and the limit that the disk sets: synced writes of one record each, one after another, on the same
 * file system in the same run. Figures are JSON lines; "peer" of log-N is N records per such synced write, which no group commit can exceed on
 * a log that signs and syncs once per group of all callers. Usage: bench_log DIR [seconds per figure] */
#include "audit/tlog.h"
#include "base/clo_own.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLERS_MAX = 1024, ENTRY = 256, STACK = 256 * 1024 };

static clo_audit_log *trail;
static atomic_bool stop;
static atomic_ullong appended;

static void must(clo_err e, const char *what)
{
    if (!clo_failed(e)) return;
    (void)fprintf(stderr, "bench_log: %s: %s\n", what, clo_err_text());
    exit(1);
}

static void *caller(void *unused)
{
    (void)unused;
    uint8_t data[ENTRY];
    uint64_t index = 0;
    memset(data, 'x', sizeof data);
    while (!atomic_load(&stop)) {
        must(clo_audit_log_append(trail, clo_span_of(data, sizeof data), &index), "append");
        atomic_fetch_add(&appended, 1);
    }
    return NULL;
}

static double per_second(size_t callers, unsigned seconds)
{
    static pthread_t threads[CALLERS_MAX];
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK);
    atomic_store(&stop, false);
    for (size_t i = 0; i < callers; i++)
        if (pthread_create(&threads[i], &attr, caller, NULL) != 0) exit(1);
    clo_os_sleep_ms(300); /* warm */
    unsigned long long before = atomic_load(&appended);
    uint64_t began = clo_os_now_ns();
    clo_os_sleep_ms(seconds * 1000);
    double rate = (double)(atomic_load(&appended) - before) * 1e9 / (double)(clo_os_now_ns() - began);
    atomic_store(&stop, true);
    for (size_t i = 0; i < callers; i++) (void)pthread_join(threads[i], NULL);
    (void)pthread_attr_destroy(&attr);
    return rate;
}

static double syncs_per_second(const char *dir, unsigned seconds)
{
    char path[600];
    int fd = -1;
    uint8_t record[ENTRY + 36] = {1};
    uint64_t n = 0, began = 0, now = 0;
    must(clo_os_path_join(path, sizeof path, dir, "synced"), "path");
    must(clo_os_file_open(&fd, path, CLO_OS_OPEN_CREATE, 0600), "open");
    began = clo_os_now_ns();
    do {
        must(clo_os_file_pwrite(fd, n * sizeof record, clo_span_of(record, sizeof record)), "write");
        must(clo_os_file_sync(fd), "sync");
        n++;
        now = clo_os_now_ns();
    } while (now - began < (uint64_t)seconds * 1000000000);
    clo_os_fd_close(&fd);
    return (double)n * 1e9 / (double)(now - began);
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {64, 256, 1024};
    unsigned seconds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;
    clo_crypto_private_key sk;
    clo_crypto_public_key pk;
    char dir[600];
    if (argc < 2 || seconds == 0) {
        (void)fprintf(stderr, "usage: bench_log DIR [SECONDS]\n");
        return 2;
    }
    must(clo_os_path_join(dir, sizeof dir, argv[1], "log"), "path");
    must(clo_os_dir_make(dir), "directory");
    must(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk), "key");
    const clo_audit_log_options options = {.directory = dir, .origin = "bench.example/log", .sk = &sk};
    must(clo_audit_log_open(&trail, &options), "open");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        double syncs = syncs_per_second(argv[1], 1), rate = per_second(counts[i], seconds), limit = syncs * (double)counts[i];
        (void)printf("{\"name\":\"log-%zu\",\"ours\":%.0f,\"peer\":%.0f,\"unit\":\"records/s\",\"ratio\":%.3f,\"syncs\":%.0f}\n", counts[i], rate, limit,
                     rate / limit, syncs);
        (void)fflush(stdout);
    }
    clo_audit_log_close(&trail);
    return 0;
}
