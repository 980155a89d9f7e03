/* COSE objects, our own form and that of others; the signed bytes of each signature can be made. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/cose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int foreign = 0; foreign < 2; foreign++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf out;
        clo_arena_init(&a, (size_t)1 << 26);
        clo_buf_init(&out, (size_t)1 << 26);
        clo_wire_cose c;
        if (clo_failed(clo_wire_cose_parse(&a, clo_span_of(data, size), foreign != 0, &c))) continue;
        for (size_t i = 0; i < c.signature_count; i++)
            if (clo_failed(clo_wire_cose_signed_bytes(&c, i, clo_span_of(data, size), &out))) abort();
    }
    return 0;
}
