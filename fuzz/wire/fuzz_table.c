/* The rows of a table; the head is put before them so that it fits the schema. */
#include "base/clo_own.h"
#include "fuzz_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, (size_t)1 << 26);
    uint8_t head[CLO_TABLE_HEAD];
    clo_wire_table t;
    clo_wire_cell cells[4];
    uint64_t rows = 0;
    (void)clo_failed(clo_wire_table_open(fuzz_schema(), clo_span_of(data, size), &t, &rows));
    if (size == 0 || clo_failed(clo_wire_table_head(fuzz_schema(), data[0], head)) ||
        clo_failed(clo_buf_put(&b, head, sizeof head)) || clo_failed(clo_buf_put(&b, data + 1, size - 1)) ||
        clo_failed(clo_wire_table_open(fuzz_schema(), clo_buf_span(&b), &t, &rows)))
        return 0;
    while (!clo_failed(clo_wire_table_next(&t, cells))) continue;
    (void)clo_failed(clo_wire_table_end(&t));
    return 0;
}
