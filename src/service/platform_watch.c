/* Continuous attestation of what this operator would run: evidence over a fresh nonce, appraised by the library that everybody uses. While it
 * fails no run starts, and runs under way end. */
#include "service/service_int.h"

#include "base/clo_own.h"
#include "crypto/hash.h"
#include "os/log.h"
#include "service/runtime_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WATCH_ARENA_MAX = 4 << 20 };

static clo_err appraise(clo_service *s, clo_arena *a, clo_attest_result **out)
{
    static const uint8_t no_host_data[32] = {0};
    uint8_t measured[48];
    void *memory = NULL;
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    clo_buf_init(&bundle, 65536);
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *policy = memory;
    clo_attest_policy_init(policy);
    policy->allow_simulated = true;
    policy->root_count = 1;
    clo_tee_sim_root_sha256(s->sim, policy->roots[0]);
    policy->measurement_count = 1;
    memcpy(policy->measurements[0], s->measurement, sizeof s->measurement);
    policy->have_report_data = true;
    CLO_TRY(clo_crypto_random(policy->report_data, sizeof policy->report_data));
    /* What would be started now, not what was there when this daemon started. */
    CLO_TRY(clo_service_host_measure(s->config.enclave, measured));
    CLO_TRY(clo_tee_sim_report(s->sim, measured, no_host_data, policy->report_data, &bundle));
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_result), &memory));
    *out = memory;
    return clo_attest_verify_bundle(a, s->verifier.cache, clo_buf_span(&bundle), policy, clo_os_clock_wall(s->clock), *out);
}

static void end_runs(clo_service *s)
{
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < SERVICE_RUNS_MAX; i++) s->slots[i].cancel = s->slots[i].cancel || s->slots[i].used;
    (void)pthread_mutex_unlock(&s->lock);
}

void clo_service_platform_check(clo_service *s)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, WATCH_ARENA_MAX);
    clo_attest_result *r = NULL;
    clo_store_platform entry = {.time = clo_os_clock_wall(s->clock), .tee = "sim"};
    clo_err e = appraise(s, &a, &r);
    bool valid = !clo_failed(e) && r->valid;
    (void)snprintf(entry.verdict, sizeof entry.verdict, "%s", valid ? "valid" : "invalid");
    if (clo_failed(e)) {
        (void)snprintf(entry.reason, sizeof entry.reason, "%s", clo_err_name(e));
        (void)snprintf(entry.detail, sizeof entry.detail, "%s", clo_err_text());
    } else {
        (void)snprintf(entry.reason, sizeof entry.reason, "%s", r->reason);
        (void)snprintf(entry.detail, sizeof entry.detail, "%s", r->detail);
        entry.valid_until = r->valid_until;
    }
    int before = atomic_exchange(&s->platform, valid ? CLO_SERVICE_PLATFORM_VERIFIED : CLO_SERVICE_PLATFORM_FAILED);
    e = clo_store_platform_put(s->store, &entry);
    if (clo_failed(e)) clo_os_log_failure("platform-history", NULL, e);
    if (!valid) {
        clo_os_log(CLO_OS_LOG_ERROR, "platform-attestation", NULL, "failed: %s %s; no run starts until it succeeds", entry.reason, entry.detail);
        end_runs(s);
    } else if (before == CLO_SERVICE_PLATFORM_FAILED) {
        clo_os_log(CLO_OS_LOG_INFO, "platform-attestation", NULL, "succeeds again");
        clo_service_scheduler_wake(s);
    }
}

static void watch(void *context)
{
    clo_service *s = context;
    uint64_t next = 0;
    while (!atomic_load(&s->watch_stop)) {
        uint64_t now = clo_os_now_ns();
        if (now >= next) {
            clo_service_platform_check(s);
            next = now + (uint64_t)s->config.reattest_seconds * UINT64_C(1000000000);
        }
        clo_os_sleep_ms(100);
    }
}

CLO_R clo_service_platform_start(clo_service *s) { return clo_os_thread_start(&s->watcher, "attest", watch, s); }

void clo_service_platform_stop(clo_service *s)
{
    atomic_store(&s->watch_stop, true);
    if (s->watcher != NULL) clo_os_thread_join(&s->watcher);
}

CLO_R clo_service_platform_require(clo_service *s)
{
    CLO_CHECKF(atomic_load(&s->platform) != CLO_SERVICE_PLATFORM_FAILED, CLO_E_AGAIN,
               "this operator's own attestation fails (GET /api/v1/attestation/history says why); no run is taken until it succeeds");
    return CLO_OK;
}
