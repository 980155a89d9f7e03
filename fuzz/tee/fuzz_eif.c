/* Any bytes as an enclave image, with and without a checksum that holds: its sections lie inside it, one after the other. */
#include "tee/eif_image.h"
#include "tee/measure.h"

#include <stdlib.h>

enum { HEADER = 548 };

static uint32_t crc_of(const uint8_t *p, size_t n, uint32_t crc)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (unsigned k = 0; k < 8; k++) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    return crc;
}

static void try_one(clo_span file)
{
    clo_tee_eif image;
    clo_arena a;
    clo_tee_measured m;
    clo_arena_init(&a, 16 << 20);
    if (!clo_failed(clo_tee_measured_open(&a, &m))) (void)!clo_failed(clo_tee_measure_nitro(file, &m));
    clo_arena_free(&a);
    if (clo_failed(clo_tee_eif_parse(file, &image))) return;
    const uint8_t *at = file.p + HEADER;
    for (size_t i = 0; i < image.count; i++) {
        if (image.sections[i].bytes.p != at + 12) abort();
        at = image.sections[i].bytes.p + image.sections[i].bytes.n;
    }
    if (at != file.p + file.n) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_one(clo_span_of(data, size));
    if (size < HEADER) return 0;
    uint8_t *copy = malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    uint32_t crc = crc_of(copy + HEADER, size - HEADER, crc_of(copy, HEADER - 4, 0xffffffffu)) ^ 0xffffffffu;
    for (unsigned i = 0; i < 4; i++) copy[HEADER - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
    try_one(clo_span_of(copy, size));
    free(copy);
    return 0;
}
