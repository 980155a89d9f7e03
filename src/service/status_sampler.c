#include "service/routes_int.h"

#include "base/clo_own.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 512, SAMPLE_MS = 1000 };

static struct {
    pthread_mutex_t lock; /* leaf; guards text and size, for as long as a copy takes */
    char text[TEXT_MAX];
    size_t size;
    clo_service *service;
    clo_os_thread *thread;
    bool stop;
    uint64_t busy, total;
} sampler = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* First line of /proc/stat: user nice system idle iowait … */
static double cpu_utilization(void)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 1 << 20);
    const char *line = NULL;
    if (clo_failed(clo_os_file_read("/proc/stat", 1 << 20, &text)) || clo_failed(clo_buf_cstr(&text, &line))) return 0.0;
    unsigned long long v[8] = {0};
    if (sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 5) return 0.0;
    uint64_t total = 0;
    for (size_t i = 0; i < 8; i++) total += v[i];
    uint64_t busy = total - v[3] - v[4];
    uint64_t span = total - sampler.total, used = busy - sampler.busy;
    sampler.total = total;
    sampler.busy = busy;
    return span == 0 ? 0.0 : (double)used / (double)span;
}

static unsigned long long available_gib(void)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 1 << 16);
    const char *lines = NULL;
    unsigned long long kib = 0;
    if (clo_failed(clo_os_file_read("/proc/meminfo", 1 << 16, &text)) || clo_failed(clo_buf_cstr(&text, &lines))) return 0;
    const char *at = strstr(lines, "MemAvailable:");
    if (at == NULL || sscanf(at, "MemAvailable: %llu", &kib) != 1) return 0;
    return kib / 1048576;
}

static void sample(void)
{
    clo_service *s = sampler.service;
    uint64_t queued = 0, active = 0;
    clo_gateway_server *server = __atomic_load_n(&s->server, __ATOMIC_ACQUIRE); /* it starts after the sampler */
    static const char *const words[] = {[CLO_SERVICE_PLATFORM_PENDING] = "pending", [CLO_SERVICE_PLATFORM_VERIFIED] = "verified", [CLO_SERVICE_PLATFORM_FAILED] = "failed"};
    int platform = atomic_load(&s->platform);
    bool healthy = !clo_failed(clo_store_run_active(s->store, &queued, &active)) && platform != CLO_SERVICE_PLATFORM_FAILED;
    char text[TEXT_MAX];
    int n = snprintf(text, sizeof text,
                     "{\"status\":\"%s\",\"tee_technology\":\"SIM\",\"attestation_status\":\"%s\",\"available_models\":[],\"system_metrics\":"
                     "{\"available_memory\":\"%lluGB\",\"cpu_utilization\":%.2f,\"pending_requests\":%llu}}",
                     healthy ? "operational" : "degraded", words[platform], available_gib(), cpu_utilization(),
                     (unsigned long long)(queued + active + (server != NULL ? clo_gateway_server_pending(server) : 0)));
    (void)pthread_mutex_lock(&sampler.lock);
    sampler.size = n > 0 && n < TEXT_MAX ? (size_t)n : 0;
    memcpy(sampler.text, text, sampler.size);
    (void)pthread_mutex_unlock(&sampler.lock);
}

static void run(void *context)
{
    (void)context;
    while (!__atomic_load_n(&sampler.stop, __ATOMIC_ACQUIRE)) {
        sample();
        for (int k = 0; k < SAMPLE_MS / 100 && !__atomic_load_n(&sampler.stop, __ATOMIC_ACQUIRE); k++) clo_os_sleep_ms(100);
    }
}

CLO_R clo_service_sampler_start(clo_service *s)
{
    sampler.service = s;
    sample();
    return clo_os_thread_start(&sampler.thread, "status", run, NULL);
}

void clo_service_sampler_stop(void)
{
    __atomic_store_n(&sampler.stop, true, __ATOMIC_RELEASE);
    if (sampler.thread != NULL) clo_os_thread_join(&sampler.thread);
}

CLO_R clo_service_sampler_text(clo_arena *a, clo_span *out)
{
    (void)pthread_mutex_lock(&sampler.lock);
    clo_err e = clo_arena_copy(a, clo_span_of(sampler.text, sampler.size), out);
    (void)pthread_mutex_unlock(&sampler.lock);
    return e;
}
