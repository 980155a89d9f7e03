/* Any bytes as the parts of a TPM quote, each behind its 16-bit length: message, signature, public area, register values, log. Nobody answers
 * for the key, so nothing is ever valid. */
#include "attest/attest.h"
#include "base/clo_rd.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    static const char *const roles[] = {"message", "signature_tpmt", "ak_public_tpmt", "pcrs_json", "event_log"};
    clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.allow_sha1 = true;
    clo_attest_part parts[5];
    size_t count = 0;
    clo_rd r = clo_rd_init(clo_span_of(data, size));
    while (count < 5 && r.left != 0) {
        clo_rd sub = clo_rd_vec16(&r);
        if (sub.bad) break;
        (void)snprintf(parts[count].role, sizeof parts[count].role, "%s", roles[count]);
        parts[count++].bytes = clo_span_of(sub.p, sub.left);
    }
    if (!clo_failed(clo_attest_verify(&a, "tpm", parts, count, NULL, 0, &p, 0, &result)) && result.valid) abort();
    clo_arena_free(&a);
    return 0;
}
