/* Receipts: decoding is exact, and no receipt verifies without an anchor. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_collab_receipt r;
    if (clo_failed(clo_collab_receipt_decode(&a, clo_span_of(data, size), &r))) return 0;
    CLO_AUTO(clo_buf_free) clo_buf again;
    clo_buf_init(&again, (size_t)1 << 24);
    if (clo_failed(clo_collab_receipt_encode(&r, &again))) abort();
    if (!clo_span_equal(clo_buf_span(&again), clo_span_of(data, size))) abort();
    static clo_collab_receipt_verdict verdict; /* large */
    if (!clo_failed(clo_collab_receipt_verify(&a, clo_span_of(data, size), NULL, &verdict)) && verdict.valid) abort();
    return 0;
}
