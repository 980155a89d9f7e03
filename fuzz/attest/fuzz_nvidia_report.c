/* Any bytes as a GPU's exchange and as its certificates: never a valid verdict, and spans inside the input. */
#include "attest/nvidia_int.h"
#include "base/clo_own.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static nvidia_report r;
    static clo_attest_result result;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    if (!clo_failed(clo_attest_nvidia_parse(clo_span_of(data, size), &r))) {
        if (r.signature.p + r.signature.n + r.trailing != data + size || r.signed_bytes.p != data) abort();
        for (size_t i = 0; i < NVIDIA_INDEX_MAX; i++) {
            if (r.measurements[i].p != NULL && (r.measurements[i].p < r.record.p || r.measurements[i].p + r.measurements[i].n > r.record.p + r.record.n)) abort();
        }
    }
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    clo_attest_part evidence[1] = {{.role = "report", .bytes = clo_span_of(data, size)}}, more[1] = {{.role = "cert_chain", .bytes = clo_span_of(data, size / 2)}};
    if (clo_failed(clo_attest_verify(&a, "nvidia-gpu", evidence, 1, more, 1, &p, 1800000000, &result))) return 0;
    if (result.valid) abort();
    return 0;
}
