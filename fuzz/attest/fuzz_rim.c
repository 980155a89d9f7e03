/* Any bytes as a reference integrity manifest: what is read has values of full length. */
#include "attest/rim_file.h"
#include "base/clo_own.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_rim rim;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    if (clo_failed(clo_attest_rim_read(&a, clo_span_of(data, size), &rim))) return 0;
    if (rim.active == 0 || rim.version[0] == '\0' || rim.signer.count == 0) abort();
    for (size_t i = 0; i < CLO_ATTEST_RIM_INDEXES; i++) {
        for (size_t k = 0; k < rim.measurements[i].count; k++) {
            if (rim.measurements[i].values[k].n < 32) abort();
        }
    }
    return 0;
}
