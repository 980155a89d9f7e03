/* What an owner's client sends to entrust a key. */
#include "collab/key_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_arena a;
    clo_span manifest, sealed;
    uint8_t rows[32];
    clo_collab_manifest m;
    clo_arena_init(&a, 1 << 20);
    if (!clo_failed(clo_collab_key_import_decode(&a, clo_span_of(data, size), &manifest, rows, &sealed)))
        (void)!clo_failed(clo_collab_manifest_open(&a, manifest, NULL, &m));
    clo_arena_free(&a);
    return 0;
}
