/* Tables for tests of the engines: a schema from JSON text and a table stream from CSV text, both owned by an arena. */
#ifndef CLO_TABLE_FIXTURE_H
#define CLO_TABLE_FIXTURE_H
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "wire/json.h"
#include "wire/table.h"

static inline clo_err table_fixture_row(void *context, clo_span row) { return clo_buf_put_span((clo_buf *)context, row); }

static inline clo_wire_schema *table_fixture_schema(clo_arena *a, const char *json)
{
    clo_wire_node *node = NULL;
    void *schema = NULL;
    assert_ok(clo_wire_json_decode(a, clo_span_str(json), &node));
    assert_ok(clo_arena_alloc(a, sizeof(clo_wire_schema), &schema));
    assert_ok(clo_wire_schema_read(a, node, (clo_wire_schema *)schema));
    return (clo_wire_schema *)schema;
}

static inline clo_span table_fixture_table(clo_arena *a, const clo_wire_schema *schema, clo_span csv)
{
    CLO_AUTO(clo_buf_free) clo_buf rows = {0};
    CLO_AUTO(clo_buf_free) clo_buf all = {0};
    CLO_AUTO(clo_wire_csv_free) clo_wire_csv *reader = NULL;
    uint8_t head[CLO_TABLE_HEAD];
    uint64_t count = 0;
    clo_span out = {0};
    clo_buf_init(&rows, (size_t)1 << 28);
    clo_buf_init(&all, (size_t)1 << 28);
    assert_ok(clo_wire_csv_new(&reader, schema, table_fixture_row, &rows));
    assert_ok(clo_wire_csv_feed(reader, csv));
    assert_ok(clo_wire_csv_end(reader, &count));
    assert_ok(clo_wire_table_head(schema, count, head));
    assert_ok(clo_buf_put(&all, head, sizeof head));
    assert_ok(clo_buf_put_span(&all, clo_buf_span(&rows)));
    assert_ok(clo_arena_copy(a, clo_buf_span(&all), &out));
    return out;
}
#endif
