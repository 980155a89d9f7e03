/* CSV in two pieces and in one: the same rows or the same error; every row that comes out can be read as a table row. */
#include "base/clo_own.h"
#include "fuzz_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static clo_err to_buffer(void *context, clo_span row) { return clo_buf_put_span(context, row); }

static clo_err convert(clo_span in, size_t cut, clo_buf *rows, uint64_t *count)
{
    CLO_AUTO(clo_wire_csv_free) clo_wire_csv *csv = NULL;
    CLO_TRY(clo_wire_csv_new(&csv, fuzz_schema(), to_buffer, rows));
    CLO_TRY(clo_wire_csv_feed(csv, clo_span_of(in.p, cut)));
    CLO_TRY(clo_wire_csv_feed(csv, clo_span_of(in.p + cut, in.n - cut)));
    return clo_wire_csv_end(csv, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    CLO_AUTO(clo_buf_free) clo_buf whole;
    CLO_AUTO(clo_buf_free) clo_buf halves;
    clo_buf_init(&whole, (size_t)1 << 26);
    clo_buf_init(&halves, (size_t)1 << 26);
    clo_span in = clo_span_of(data, size);
    uint64_t count = 0, again = 0;
    clo_err e = convert(in, 0, &whole, &count), f = convert(in, data[0] % size, &halves, &again);
    if (e.code != f.code || count != again || !clo_span_equal(clo_buf_span(&whole), clo_buf_span(&halves))) abort();
    clo_wire_table t = {.schema = fuzz_schema(), .rest = clo_buf_span(&whole), .rows_left = count};
    clo_wire_cell cells[4];
    if (clo_failed(e)) return 0;
    for (uint64_t i = 0; i < count; i++)
        if (clo_failed(clo_wire_table_next(&t, cells))) abort();
    if (clo_failed(clo_wire_table_end(&t))) abort();
    return 0;
}
