/* YAML: whatever is accepted can be written as JSON. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_buf_init(&out, (size_t)1 << 26);
    clo_wire_node *n = NULL;
    if (clo_failed(clo_wire_yaml_decode(&a, clo_span_of(data, size), &n))) return 0;
    if (clo_failed(clo_wire_json_encode(n, 0, &out))) abort();
    return 0;
}
