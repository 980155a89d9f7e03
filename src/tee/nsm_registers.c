/* The Nitro Secure Module's registers and random numbers. */
#include "base/clo_own.h"
#include "base/clo_ct.h"
#include "tee/nsm_int.h"

enum { RANDOM_MAX = 64 * 1024, CALL_ARENA = 64 * 1024 };

static clo_err index_set(clo_arena *a, unsigned index, clo_wire_node **arguments)
{
    CLO_CHECKF(index < CLO_TEE_NSM_PCRS, CLO_E_RANGE, "a Nitro enclave has PCRs 0 to 31, no PCR %u", index);
    CLO_TRY(clo_wire_map(a, arguments));
    return clo_wire_set_int(a, *arguments, "index", (int64_t)index);
}

static clo_err pcr_take(const clo_wire_node *answer, clo_tee_nsm_pcr *out)
{
    const clo_wire_node *data = answer == NULL ? NULL : clo_wire_get(answer, "data"), *lock = answer == NULL ? NULL : clo_wire_get(answer, "lock");
    bool sized = data != NULL && data->type == CLO_WIRE_BYTES && (data->text.n == 32 || data->text.n == 48 || data->text.n == 64);
    CLO_CHECKF(sized, CLO_E_MALFORMED, "the Nitro Secure Module's answer holds no PCR");
    CLO_CHECKF(lock == NULL || lock->type == CLO_WIRE_BOOL, CLO_E_MALFORMED, "the Nitro Secure Module's answer does not say whether the PCR is locked");
    clo_tee_nsm_pcr p = {.locked = lock != NULL && lock->boolean, .n = data->text.n};
    memcpy(p.value, data->text.p, p.n);
    *out = p;
    return CLO_OK;
}

CLO_R clo_tee_nsm_pcr_read(const clo_tee_guest_host *host, unsigned index, clo_tee_nsm_pcr *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, CALL_ARENA);
    clo_wire_node *arguments = NULL;
    const clo_wire_node *answer = NULL;
    CLO_TRY(index_set(&a, index, &arguments));
    CLO_TRY(clo_tee_nsm_ask(host, &a, "DescribePCR", arguments, &answer));
    return pcr_take(answer, out);
}

CLO_R clo_tee_nsm_pcr_extend(const clo_tee_guest_host *host, unsigned index, clo_span data, clo_tee_nsm_pcr *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, CALL_ARENA);
    clo_wire_node *arguments = NULL;
    const clo_wire_node *answer = NULL;
    CLO_CHECKF(data.n <= CLO_TEE_NSM_USER_DATA_MAX, CLO_E_RANGE, "a PCR is extended with at most %d bytes; hash longer ones", (int)CLO_TEE_NSM_USER_DATA_MAX);
    CLO_TRY(index_set(&a, index, &arguments));
    CLO_TRY(clo_wire_set_bytes(&a, arguments, "data", data));
    CLO_TRY(clo_tee_nsm_ask(host, &a, "ExtendPCR", arguments, &answer));
    return pcr_take(answer, out);
}

CLO_R clo_tee_nsm_pcr_lock(const clo_tee_guest_host *host, unsigned index)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, CALL_ARENA);
    clo_wire_node *arguments = NULL;
    const clo_wire_node *answer = NULL;
    CLO_TRY(index_set(&a, index, &arguments));
    return clo_tee_nsm_ask(host, &a, "LockPCR", arguments, &answer);
}

/* One answer's bytes into `to`; the module decides how many it gives. */
static clo_err random_some(const clo_tee_guest_host *host, uint8_t *to, size_t n, size_t *got)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, CALL_ARENA);
    const clo_wire_node *answer = NULL;
    CLO_TRY(clo_tee_nsm_ask(host, &a, "GetRandom", NULL, &answer));
    const clo_wire_node *bytes = answer == NULL ? NULL : clo_wire_get(answer, "random");
    CLO_CHECKF(bytes != NULL && bytes->type == CLO_WIRE_BYTES && bytes->text.n != 0, CLO_E_MALFORMED,
               "the Nitro Secure Module's answer holds no random bytes");
    *got = bytes->text.n < n ? bytes->text.n : n;
    memcpy(to, bytes->text.p, *got);
    return CLO_OK;
}

CLO_R clo_tee_nsm_random(const clo_tee_guest_host *host, void *to, size_t n)
{
    CLO_CHECKF(n <= RANDOM_MAX, CLO_E_RANGE, "at most %d random bytes may be asked for", (int)RANDOM_MAX);
    for (size_t done = 0, got = 0; done < n; done += got) {
        clo_err e = random_some(host, (uint8_t *)to + done, n - done, &got);
        if (!clo_failed(e)) continue;
        clo_wipe(to, n);
        return e;
    }
    return CLO_OK;
}
