/* Agreement files: whatever is accepted merges with itself to the same bytes. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/agreement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    if (clo_failed(clo_collab_agreement_new(&a, &g))) return 0;
    if (clo_failed(clo_collab_agreement_file_open(&a, clo_span_of(data, size), g, &mask))) return 0;
    CLO_AUTO(clo_buf_free) clo_buf merged;
    clo_buf_init(&merged, (size_t)1 << 24);
    if (clo_failed(clo_collab_agreement_file_merge(clo_span_of(data, size), clo_span_of(data, size), &merged))) abort();
    if (!clo_span_equal(clo_buf_span(&merged), clo_span_of(data, size))) abort();
    return 0;
}
