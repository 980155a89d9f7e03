/* PCRs of a firmware's event log, and what each event put into them. */
#include "attest/tpm_event_log.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "tee/measure_int.h"

#include <stdio.h>
#include <stdlib.h>

CLO_R clo_tee_event_log_steps(clo_span event_log, uint16_t hash, const char *into, unsigned first, clo_tee_measured *out)
{
    clo_attest_tpm_log log;
    clo_attest_tpm_event event;
    bool there = true;
    CLO_TRY(clo_attest_tpm_log_open(event_log, &log));
    for (;;) {
        CLO_TRY(clo_attest_tpm_log_next(&log, &event, &there));
        if (!there) return CLO_OK;
        if (event.type == CLO_TPM_EV_NO_ACTION || event.pcr < first) continue;
        for (size_t i = 0; i < event.digest_count; i++) {
            char name[24];
            if (event.digests[i].hash != hash) continue;
            (void)snprintf(name, sizeof name, "%s%u", into, event.pcr - first);
            CLO_TRY(clo_tee_measured_step(out, name, clo_attest_tpm_event_name(event.type), 0, event.data.n, event.digests[i].digest));
        }
    }
}

static clo_err bank_put(const clo_attest_tpm_bank *bank, clo_tee_measured *out)
{
    clo_crypto_hash_alg alg = CLO_HASH_SHA256;
    const char *hash = clo_attest_tpm_hash_name(bank->hash);
    char name[24];
    size_t n = bank->hash == CLO_TPM_SHA1 ? 20 : 0;
    if (n == 0) {
        CLO_TRY(clo_attest_tpm_hash(bank->hash, &alg));
        n = clo_crypto_hash_size(alg);
    }
    for (unsigned i = 0; i < CLO_TPM_REGISTERS; i++) {
        if ((bank->known >> i & 1) == 0) continue;
        (void)snprintf(name, sizeof name, "%s.pcr%u", hash, i);
        CLO_TRY(clo_tee_measured_value(out, name, clo_span_of(bank->values[i], n)));
    }
    return CLO_OK;
}

static void pcrs_free(clo_attest_tpm_pcrs **p) { free(*p); }

CLO_R clo_tee_measure_tpm(clo_span event_log, clo_tee_measured *out)
{
    CLO_AUTO(pcrs_free) clo_attest_tpm_pcrs *pcrs = calloc(1, sizeof *pcrs);
    CLO_CHECK(pcrs != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_attest_tpm_log_replay(event_log, pcrs, NULL));
    for (size_t i = 0; i < pcrs->count; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%s.pcr", clo_attest_tpm_hash_name(pcrs->banks[i].hash));
        CLO_TRY(bank_put(&pcrs->banks[i], out));
        CLO_TRY(clo_tee_event_log_steps(event_log, pcrs->banks[i].hash, name, 0, out));
    }
    return CLO_OK;
}
