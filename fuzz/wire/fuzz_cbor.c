/* Deterministic CBOR: whatever is accepted is the one encoding of what was read. The lenient form must only not break. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_buf_init(&out, (size_t)1 << 26);
    clo_wire_node *n = NULL;
    clo_span in = clo_span_of(data, size);
    clo_wire_cbor_limits lenient = {.allow_unsorted = true};
    if (!clo_failed(clo_wire_cbor_decode(&a, in, NULL, &n))) {
        if (clo_failed(clo_wire_cbor_encode(n, &out)) || !clo_span_equal(clo_buf_span(&out), in)) abort();
    }
    if (!clo_failed(clo_wire_cbor_decode(&a, in, &lenient, &n))) {
        clo_buf_clear(&out);
        if (clo_failed(clo_wire_cbor_encode(n, &out))) abort();
        if (clo_failed(clo_wire_cbor_decode(&a, clo_buf_span(&out), NULL, &n))) abort();
    }
    return 0;
}
