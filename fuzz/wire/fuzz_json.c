/* JSON: what was read is written and read again to the same text. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf first;
    CLO_AUTO(clo_buf_free) clo_buf second;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_buf_init(&first, (size_t)1 << 26);
    clo_buf_init(&second, (size_t)1 << 26);
    clo_wire_node *n = NULL;
    if (clo_failed(clo_wire_json_decode(&a, clo_span_of(data, size), &n))) return 0;
    if (clo_failed(clo_wire_json_encode(n, 1, &first)) || clo_failed(clo_wire_json_decode(&a, clo_buf_span(&first), &n)) ||
        clo_failed(clo_wire_json_encode(n, 1, &second)) || !clo_span_equal(clo_buf_span(&first), clo_buf_span(&second)))
        abort();
    return 0;
}
