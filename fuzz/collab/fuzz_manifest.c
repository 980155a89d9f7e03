/* Dataset manifests: whatever is accepted has a layout without overflow. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_collab_manifest m;
    if (clo_failed(clo_collab_manifest_open(&a, clo_span_of(data, size), NULL, &m))) return 0;
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(&m, &info);
    if (clo_collab_sealed_span(&m, 0, m.chunk_count) != clo_crypto_stream_sealed_size(&info)) abort();
    return 0;
}
