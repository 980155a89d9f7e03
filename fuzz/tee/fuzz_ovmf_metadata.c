/* Any bytes as a firmware: what its tables point at lies inside it, and what may be added at launch is bounded. */
#include "tee/measure_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_tee_sev_firmware sev;
    static clo_tee_td_firmware td;
    clo_span file = clo_span_of(data, size);
    if (!clo_failed(clo_tee_sev_firmware_parse(file, &sev))) {
        for (size_t i = 0; i < sev.count; i++) {
            if (sev.sections[i].size % 4096 != 0) abort();
        }
    }
    if (clo_failed(clo_tee_td_firmware_parse(file, &td))) return 0;
    uint64_t added = 0;
    for (size_t i = 0; i < td.count; i++) {
        const clo_tee_td_section *s = &td.sections[i];
        if (s->data_offset > size || s->data_size > size - s->data_offset || s->data_size > s->size) abort();
        if ((s->attributes & 2) == 0) added += s->size;
    }
    if (added > UINT64_C(256) << 20) abort();
    if (added > 1 << 20) return 0; /* hashing it would only take time */
    clo_arena a;
    clo_tee_measured m;
    clo_tee_tdx_launch launch = {.firmware = file};
    clo_arena_init(&a, 4 << 20);
    if (!clo_failed(clo_tee_measured_open(&a, &m))) (void)!clo_failed(clo_tee_measure_tdx(&launch, &m));
    clo_arena_free(&a);
    return 0;
}
