/* Durable log records per second with many callers, and what limits them, all in the same run on the same file system: synced writes of one record
 * each, one after another ("syncs"); N records per such write ("peer" of log-N: what group commit with one sync per group of all callers would give);
 * and what the processors would give if nothing ever waited for the disk ("cpu": cores over processor time per record). "bound" is the smaller of
 * the two limits, "group" the mean size of a group. Figures are JSON lines. Usage: bench_log DIR [seconds per figure] */
#include "audit/tlog.h"
#include "base/clo_own.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CALLERS_MAX = 1024, ENTRY = 256, STACK = 256 * 1024 };

static clo_audit_log *trail;
static atomic_bool stop;
static atomic_ullong appended;
static atomic_ullong syncs_done;

/* The log's syncs come through here. */
int fdatasync(int fd)
{
    atomic_fetch_add(&syncs_done, 1);
    return (int)syscall(SYS_fdatasync, fd);
}

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

typedef struct {
    double rate, cpu_us, group;
} figures;

static double cpu_us_now(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) exit(1);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static figures per_second(size_t callers, unsigned seconds)
{
    static pthread_t threads[CALLERS_MAX];
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK);
    atomic_store(&stop, false);
    for (size_t i = 0; i < callers; i++)
        if (pthread_create(&threads[i], &attr, caller, NULL) != 0) exit(1);
    clo_os_sleep_ms(300); /* warm */
    unsigned long long before = atomic_load(&appended), synced = atomic_load(&syncs_done);
    double cpu = cpu_us_now();
    uint64_t began = clo_os_now_ns();
    clo_os_sleep_ms(seconds * 1000);
    double records = (double)(atomic_load(&appended) - before);
    figures f = {.rate = records * 1e9 / (double)(clo_os_now_ns() - began),
                 .cpu_us = (cpu_us_now() - cpu) / records,
                 .group = records / (double)(atomic_load(&syncs_done) - synced)};
    atomic_store(&stop, true);
    for (size_t i = 0; i < callers; i++) (void)pthread_join(threads[i], NULL);
    (void)pthread_attr_destroy(&attr);
    return f;
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
        must(clo_os_file_sync_data(fd), "sync");
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
        double syncs = syncs_per_second(argv[1], 1);
        figures f = per_second(counts[i], seconds);
        syncs = (syncs + syncs_per_second(argv[1], 1)) / 2; /* before and after: disks change their mind */
        double limit = syncs * (double)counts[i], cpu = (double)sysconf(_SC_NPROCESSORS_ONLN) * 1e6 / f.cpu_us, bound = limit < cpu ? limit : cpu;
        (void)printf("{\"name\":\"log-%zu\",\"ours\":%.0f,\"peer\":%.0f,\"unit\":\"records/s\",\"ratio\":%.3f,\"syncs\":%.0f,\"cpu\":%.0f,"
                     "\"bound_ratio\":%.3f,\"group\":%.1f}\n",
                     counts[i], f.rate, limit, f.rate / limit, syncs, cpu, f.rate / bound, f.group);
        (void)fflush(stdout);
    }
    clo_audit_log_close(&trail);
    return 0;
}
