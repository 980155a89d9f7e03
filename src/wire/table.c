/* Reading the binary table: every byte is checked as it is read. */
#include "wire/table.h"

#include <endian.h>
#include <math.h>

#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "wire/container.h"
#include "wire/table_int.h"

enum { TABLE_VERSION = 1 };

clo_err clo_wire_table_head(const clo_wire_schema *schema, uint64_t row_count, uint8_t out[CLO_TABLE_HEAD])
{
    clo_buf b;
    clo_buf_init(&b, CLO_TABLE_HEAD);
    clo_err e = clo_wire_container_put(&b, CLO_MAGIC_TABLE, TABLE_VERSION);
    if (!clo_failed(e)) e = clo_buf_put_u32be(&b, (uint32_t)schema->column_count);
    if (!clo_failed(e)) e = clo_buf_put(&b, schema->digest, sizeof schema->digest);
    if (!clo_failed(e)) e = clo_buf_put_u64be(&b, row_count);
    if (!clo_failed(e)) {
        memset(out, 0, CLO_TABLE_HEAD);
        memcpy(out, b.p, b.len);
    }
    clo_buf_free(&b);
    return e;
}

static size_t row_max(const clo_wire_schema *s)
{
    size_t n = clo_wire_bitmap_bytes(s);
    for (size_t i = 0; i < s->column_count; i++) n += s->columns[i].type == CLO_COLUMN_TEXT ? 2 + CLO_TABLE_TEXT_MAX : 8;
    return n;
}

/* Have the first `bytes` of the table, or all of it where it is shorter. */
static clo_err arrive(clo_wire_table *t, size_t bytes)
{
    size_t there = 0, size = (size_t)(t->rest.p - t->table) + t->rest.n;
    if (bytes > size) bytes = size;
    CLO_TRY(t->arrival.wait(t->arrival.context, bytes, &there));
    CLO_CHECK(there >= bytes && there <= size, CLO_E_BUG);
    t->there = t->table + there;
    return CLO_OK;
}

clo_err clo_wire_table_open(const clo_wire_schema *schema, clo_span table, clo_wire_table *out, uint64_t *row_count)
{
    return clo_wire_table_open_arriving(schema, table, (clo_wire_arrival){NULL, NULL}, out, row_count);
}

clo_err clo_wire_table_open_arriving(const clo_wire_schema *schema, clo_span table, clo_wire_arrival arrival, clo_wire_table *out, uint64_t *row_count)
{
    clo_wire_table t = {.schema = schema, .rest = table, .arrival = arrival, .table = table.p, .there = table.p + table.n, .row_max = row_max(schema)};
    if (arrival.wait != NULL) CLO_TRY(arrive(&t, CLO_TABLE_HEAD));
    uint32_t version = 0;
    clo_span body = {0};
    CLO_TRY(clo_wire_container_open(table, CLO_MAGIC_TABLE, TABLE_VERSION, &version, &body));
    clo_rd r = clo_rd_init(body);
    uint32_t columns = clo_rd_u32be(&r);
    clo_span digest = clo_rd_span(&r, sizeof schema->digest);
    uint64_t rows = clo_rd_u64be(&r);
    uint32_t padding = clo_rd_u32be(&r);
    CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the table ends within its head; fetch it again");
    CLO_CHECKF(padding == 0, CLO_E_NOT_CANONICAL, "the table's head has bytes other than zero in its padding");
    CLO_CHECKF(columns == schema->column_count && clo_span_equal(digest, clo_span_of(schema->digest, sizeof schema->digest)),
               CLO_E_MALFORMED, "the table was made with another schema; use the schema it was sealed with");
    CLO_CHECKF(rows <= r.left / clo_wire_bitmap_bytes(schema), CLO_E_TRUNCATED,
               "the table announces more rows than it has; fetch it again");
    t.rest = clo_span_of(r.p, r.left);
    t.rows_left = rows;
    *out = t;
    if (row_count != NULL) *row_count = rows;
    return CLO_OK;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static clo_err bad_cell(const clo_wire_column *c, uint32_t code, const char *sentence)
{
    return CLO_FAILF(code, "table column \"%s\": %s", c->name, sentence);
}

static clo_err read_text(const clo_wire_column *c, const uint8_t **at, const uint8_t *end, clo_wire_cell *cell)
{
    const uint8_t *p = *at;
    if (end - p < 2) return bad_cell(c, CLO_E_TRUNCATED, "the row is cut; fetch the table again");
    size_t n = (size_t)p[0] | (size_t)p[1] << 8;
    p += 2;
    if ((size_t)(end - p) < n) return bad_cell(c, CLO_E_TRUNCATED, "the row is cut; fetch the table again");
    cell->text = clo_span_of(p, n);
    if (n > CLO_TABLE_TEXT_MAX) return bad_cell(c, CLO_E_TOO_LARGE, "a text is too long");
    if (n != 0 && memchr(p, 0, n) != NULL) return bad_cell(c, CLO_E_MALFORMED, "a text has a zero byte");
    if (!clo_utf8_valid(cell->text)) return bad_cell(c, CLO_E_MALFORMED, "a text is not valid UTF-8");
    *at = p + n;
    return CLO_OK;
}

static clo_err read_cell(const clo_wire_column *c, const uint8_t **at, const uint8_t *end, clo_wire_cell *cell)
{
    if (c->type == CLO_COLUMN_TEXT) return read_text(c, at, end, cell);
    const uint8_t *p = *at;
    size_t size = c->type == CLO_COLUMN_CODE ? 4 : 8;
    if ((size_t)(end - p) < size) return bad_cell(c, CLO_E_TRUNCATED, "the row is cut; fetch the table again");
    *at = p + size;
    if (c->type == CLO_COLUMN_CODE) {
        uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        if (v >= c->code_count) return bad_cell(c, CLO_E_RANGE, "a code is beyond the schema's list");
        cell->integer = v;
        cell->number = (double)v;
        cell->text = clo_span_str(c->codes[v]);
        return CLO_OK;
    }
    uint64_t bits = load64(p);
    if (c->type == CLO_COLUMN_INT) {
        memcpy(&cell->integer, &bits, sizeof bits);
        cell->number = (double)cell->integer;
    } else {
        memcpy(&cell->number, &bits, sizeof bits);
        if (!isfinite(cell->number)) return bad_cell(c, CLO_E_RANGE, "a number is infinite or not a number");
    }
    if (c->bounded && !(cell->number >= c->min && cell->number <= c->max))
        return bad_cell(c, CLO_E_RANGE, "a value is outside the schema's bounds");
    return CLO_OK;
}

static clo_err read_row(const clo_wire_table *t, const uint8_t **at, clo_wire_cell *cells)
{
    const clo_wire_schema *s = t->schema;
    const uint8_t *bitmap = t->rest.p, *end = t->rest.p + t->rest.n;
    size_t bitmap_bytes = clo_wire_bitmap_bytes(s);
    CLO_CHECKF(t->rows_left > 0, CLO_E_RANGE, "the table has no further row");
    CLO_CHECKF(t->rest.n >= bitmap_bytes, CLO_E_TRUNCATED, "the table is cut; fetch it again");
    CLO_CHECKF(s->column_count % 8 == 0 || bitmap[bitmap_bytes - 1] >> s->column_count % 8 == 0, CLO_E_NOT_CANONICAL,
               "the table has a null mark for a column that does not exist");
    const uint8_t *p = bitmap + bitmap_bytes;
    for (size_t i = 0; i < s->column_count; i++) {
        const clo_wire_column *c = &s->columns[i];
        clo_wire_cell *cell = &cells[i];
        *cell = (clo_wire_cell){0};
        if ((bitmap[i / 8] >> i % 8 & 1) != 0) {
            if (!c->nullable) return bad_cell(c, CLO_E_RANGE, "a cell is empty, but the schema does not allow it");
            cell->null = true;
            continue;
        }
        CLO_TRY(read_cell(c, &p, end, cell));
    }
    *at = p;
    return CLO_OK;
}

clo_err clo_wire_table_next(clo_wire_table *t, clo_wire_cell *cells)
{
    const uint8_t *p = NULL;
    clo_err e = CLO_OK;
    if ((size_t)(t->there - t->rest.p) < t->row_max && (size_t)(t->there - t->rest.p) < t->rest.n)
        e = arrive(t, (size_t)(t->rest.p - t->table) + t->row_max);
    if (!clo_failed(e)) e = read_row(t, &p, cells);
    if (clo_failed(e)) {
        memset(cells, 0, t->schema->column_count * sizeof *cells);
        return e;
    }
    t->rest = clo_span_of(p, t->rest.n - (size_t)(p - t->rest.p));
    t->rows_left--;
    return CLO_OK;
}

clo_err clo_wire_table_end(const clo_wire_table *t)
{
    CLO_CHECKF(t->rows_left == 0, CLO_E_TRUNCATED, "%llu rows of the table were not read", (unsigned long long)t->rows_left);
    CLO_CHECKF(t->rest.n == 0, CLO_E_TRAILING, "%zu bytes follow the table's last row", t->rest.n);
    return CLO_OK;
}
