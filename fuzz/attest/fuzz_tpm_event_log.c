/* Any bytes as a firmware event log: what is replayed is what is read event by event. */
#include "attest/tpm_event_log.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_tpm_pcrs pcrs;
    clo_span bytes = clo_span_of(data, size);
    size_t events = 0, read = 0;
    bool there = true;
    if (clo_failed(clo_attest_tpm_log_replay(bytes, &pcrs, &events))) return 0;
    clo_attest_tpm_log log;
    clo_attest_tpm_event e;
    if (clo_failed(clo_attest_tpm_log_open(bytes, &log))) abort();
    while (there) {
        if (clo_failed(clo_attest_tpm_log_next(&log, &e, &there))) abort();
        read += there;
    }
    if (read != events || pcrs.count > CLO_TPM_BANKS_MAX) abort();
    return 0;
}
