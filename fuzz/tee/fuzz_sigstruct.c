/* Any bytes as a signed enclave or a page stream: MRENCLAVE comes out of a SIGSTRUCT only with a signature that holds, which no mutation finds. */
#include "tee/measure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_arena a;
    clo_tee_measured m;
    clo_arena_init(&a, 4 << 20);
    if (!clo_failed(clo_tee_measured_open(&a, &m))) (void)!clo_failed(clo_tee_measure_sgx(clo_span_of(data, size), &m));
    clo_arena_free(&a);
    return 0;
}
