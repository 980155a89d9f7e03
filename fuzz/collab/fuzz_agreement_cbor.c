/* Canonical agreements: whatever is accepted is its own encoding, can be described and differs from itself in nothing. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/agreement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_collab_agreement *g = NULL;
    if (clo_failed(clo_collab_agreement_new(&a, &g))) return 0;
    if (clo_failed(clo_collab_agreement_decode(&a, clo_span_of(data, size), g))) return 0;
    if (!clo_span_equal(g->cbor, clo_span_of(data, size))) abort();
    CLO_AUTO(clo_buf_free) clo_buf page;
    clo_buf_init(&page, (size_t)1 << 24);
    if (clo_failed(clo_collab_agreement_describe(g, &page))) abort();
    clo_collab_change *changes = NULL;
    size_t count = 0;
    if (clo_failed(clo_collab_agreement_diff(&a, g, g, &changes, &count)) || count != 0) abort();
    return 0;
}
