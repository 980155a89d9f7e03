/* Any bytes as CoRIM: what is taken can be stored, read back and narrow a policy. */
#include "attest/corim.h"
#include "base/clo_own.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const tees[] = {"snp", "tdx", "nitro", "tpm"};
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_arena_init(&a, 16 << 20);
    clo_buf_init(&out, 4 << 20);
    clo_attest_reference_set set, back;
    clo_attest_corim_use use = {.tee = tees[size % 4], .now = 1800000000, .endorsed = true};
    if (clo_failed(clo_attest_references_init(&a, "f", 1, 0, &set))) return 0;
    if (clo_failed(clo_attest_corim_import(&a, clo_span_of(data, size), &use, &set))) {
        if (set.count != 0) abort();
        return 0;
    }
    if (clo_failed(clo_attest_references_encode(&a, &set, &out))) return 0;
    if (clo_failed(clo_attest_references_decode(&a, clo_buf_span(&out), &back)) || back.count != set.count) abort();
    clo_attest_policy p;
    clo_attest_policy_init(&p);
    (void)clo_failed(clo_attest_references_narrow(&a, &set, use.tee, NULL, NULL, &p));
    return 0;
}
