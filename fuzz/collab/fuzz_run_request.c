/* Run requests, before their signature is looked at. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_collab_run_request r;
    if (clo_failed(clo_collab_run_request_peek(&a, clo_span_of(data, size), &r))) return 0;
    if (r.dataset_count > CLO_DATASETS_MAX || r.parameter_count > CLO_RUN_PARAMETERS_MAX) abort();
    return 0;
}
