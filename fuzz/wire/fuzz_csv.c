/* CSV in two pieces and in one: the same rows or the same error; every row that comes out can be read as a table row; counting alone gives
 * the same numbers for all that can be read. */
#include "base/clo_own.h"
#include "fuzz_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static clo_err to_buffer(void *context, clo_span row) { return clo_buf_put_span(context, row); }

/* rows NULL: count only. */
static clo_err convert(const clo_wire_schema *schema, clo_span in, size_t cut, clo_buf *rows, uint64_t *count, uint64_t *bytes)
{
    CLO_AUTO(clo_wire_csv_free) clo_wire_csv *csv = NULL;
    CLO_TRY(clo_wire_csv_new(&csv, schema, rows != NULL ? to_buffer : NULL, rows));
    CLO_TRY(clo_wire_csv_feed(csv, clo_span_of(in.p, cut)));
    CLO_TRY(clo_wire_csv_feed(csv, clo_span_of(in.p + cut, in.n - cut)));
    CLO_TRY(clo_wire_csv_end(csv, count));
    *bytes = clo_wire_csv_bytes(csv);
    return CLO_OK;
}

static void count_too(const clo_wire_schema *schema, clo_span in, uint64_t rows, uint64_t size)
{
    uint64_t count = 0, bytes = 0;
    if (clo_failed(convert(schema, in, in.p[0] % in.n, NULL, &count, &bytes)) || count != rows || bytes != size) abort();
}

static void under(const clo_wire_schema *schema, clo_span in)
{
    CLO_AUTO(clo_buf_free) clo_buf whole;
    CLO_AUTO(clo_buf_free) clo_buf halves;
    clo_buf_init(&whole, (size_t)1 << 26);
    clo_buf_init(&halves, (size_t)1 << 26);
    uint64_t count = 0, again = 0, bytes = 0;
    clo_err e = convert(schema, in, 0, &whole, &count, &bytes), f = convert(schema, in, in.p[0] % in.n, &halves, &again, &bytes);
    if (e.code != f.code || count != again || !clo_span_equal(clo_buf_span(&whole), clo_buf_span(&halves))) abort();
    clo_wire_table t = {.schema = schema, .rest = clo_buf_span(&whole), .rows_left = count};
    clo_wire_cell cells[4];
    if (clo_failed(e)) return;
    for (uint64_t i = 0; i < count; i++)
        if (clo_failed(clo_wire_table_next(&t, cells))) abort();
    if (clo_failed(clo_wire_table_end(&t))) abort();
    count_too(schema, in, count, whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    under(fuzz_schema(), clo_span_of(data, size));
    under(fuzz_schema_plain(), clo_span_of(data, size));
    return 0;
}
