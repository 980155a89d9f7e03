#include "cli/infer.h"

#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdlib.h>
#include <string.h>

enum { TABLE_MAX = 1 << 30 };

typedef struct {
    bool any, text, missing;
    bool binary; /* every number is 0 or 1 */
    double min, max;
    size_t code_count;
    const char *codes[CLI_INFER_CODES_MAX];
} column_facts;

static clo_err put_row(void *context, clo_span row) { return clo_buf_put_span(context, row); }
static void free_csv(clo_wire_csv **csv) { clo_wire_csv_free(csv); }

static clo_err add_text_column(clo_arena *a, clo_wire_node *columns, const char *name)
{
    clo_wire_node *one = NULL;
    CLO_TRY(clo_wire_map(a, &one));
    CLO_TRY(clo_wire_set_text(a, one, "type", "text"));
    CLO_TRY(clo_wire_set_bool(a, one, "nullable", true));
    return clo_wire_set(a, columns, name, one);
}

/* The names of the header line; "" inside a quoted name is one quote. */
static clo_err read_header(clo_arena *a, clo_span csv, clo_wire_node *columns)
{
    char name[128];
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; i <= csv.n; i++) {
        char ch = i < csv.n ? (char)csv.p[i] : '\n';
        if (ch == '"') {
            if (quoted && i + 1 < csv.n && csv.p[i + 1] == '"')
                i++;
            else {
                quoted = !quoted;
                continue;
            }
        } else if (!quoted && (ch == ',' || ch == '\n')) {
            if (n > 0 && ch == '\n' && name[n - 1] == '\r') n--;
            name[n] = 0;
            CLO_TRY(add_text_column(a, columns, name));
            n = 0;
            if (ch == '\n') return CLO_OK;
            continue;
        }
        CLO_CHECKF(n + 1 < sizeof name, CLO_E_TOO_LARGE, "line 1: a column's name is longer than %zu bytes", sizeof name - 1);
        name[n++] = ch;
    }
    return CLO_OK;
}

/* The whole file as a table of texts. */
static clo_err read_texts(clo_arena *a, clo_span csv, clo_wire_schema *schema, clo_buf *table)
{
    clo_wire_node *top = NULL, *columns = NULL;
    uint8_t head[CLO_TABLE_HEAD] = {0};
    uint64_t rows = 0;
    CLO_TRY(clo_wire_map(a, &top));
    CLO_TRY(clo_wire_map(a, &columns));
    CLO_TRY(read_header(a, csv, columns));
    CLO_TRY(clo_wire_set(a, top, "columns", columns));
    CLO_TRY(clo_wire_schema_read(a, top, schema));
    CLO_TRY(clo_buf_put(table, head, sizeof head));
    CLO_AUTO(free_csv) clo_wire_csv *reader = NULL;
    CLO_TRY(clo_wire_csv_new(&reader, schema, put_row, table));
    CLO_TRY(clo_wire_csv_feed(reader, csv));
    CLO_TRY(clo_wire_csv_end(reader, &rows));
    CLO_TRY(clo_wire_table_head(schema, rows, head));
    memcpy(table->p, head, sizeof head);
    return CLO_OK;
}

static clo_err add_code(clo_arena *a, column_facts *f, clo_span text, const char *column)
{
    for (size_t i = 0; i < f->code_count; i++)
        if (clo_span_equal(clo_span_str(f->codes[i]), text)) return CLO_OK;
    CLO_CHECKF(f->code_count < CLI_INFER_CODES_MAX, CLO_E_TOO_MANY,
               "column %s has more than %d different texts; leave it out, or give --schema", column, CLI_INFER_CODES_MAX);
    return clo_arena_str(a, text, &f->codes[f->code_count++]);
}

static clo_err look_at(clo_arena *a, column_facts *f, const clo_wire_cell *cell, const char *column)
{
    double v = 0;
    if (cell->null) {
        f->missing = true;
        return CLO_OK;
    }
    if (!f->text && clo_failed(clo_f64_parse(&v, cell->text))) f->text = true;
    if (f->text) return add_code(a, f, cell->text, column);
    if (!f->any) f->binary = true;
    f->binary = f->binary && (clo_span_equal(cell->text, clo_span_str("0")) || clo_span_equal(cell->text, clo_span_str("1")));
    if (!f->any || v < f->min) f->min = v;
    if (!f->any || v > f->max) f->max = v;
    f->any = true;
    return CLO_OK;
}

static clo_err pass(clo_arena *a, const clo_wire_schema *schema, clo_span bytes, column_facts *facts, bool codes_only)
{
    clo_wire_table t;
    uint64_t rows = 0;
    void *memory = NULL;
    CLO_TRY(clo_wire_table_open(schema, bytes, &t, &rows));
    CLO_TRY(clo_arena_array(a, schema->column_count, sizeof(clo_wire_cell), &memory));
    clo_wire_cell *cells = memory;
    for (uint64_t i = 0; i < rows; i++) {
        CLO_TRY(clo_wire_table_next(&t, cells));
        for (size_t k = 0; k < schema->column_count; k++)
            if (!codes_only || facts[k].text) CLO_TRY(look_at(a, &facts[k], &cells[k], schema->columns[k].name));
    }
    return clo_wire_table_end(&t);
}

static int by_text(const void *x, const void *y) { return strcmp(*(const char *const *)x, *(const char *const *)y); }

static clo_err column_tree(clo_arena *a, column_facts *f, clo_wire_node **out)
{
    clo_wire_node *one = NULL, *list = NULL;
    CLO_TRY(clo_wire_map(a, &one));
    *out = one;
    if (f->missing) CLO_TRY(clo_wire_set_bool(a, one, "nullable", true));
    if (!f->text) {
        bool whole = f->binary && f->any;
        CLO_TRY(clo_wire_set_text(a, one, "type", whole ? "int" : "float"));
        CLO_TRY(clo_wire_set_float(a, one, "min", whole ? 0 : f->min));
        /* Bounds must be apart; a constant column carries nothing. */
        return clo_wire_set_float(a, one, "max", whole ? 1 : f->max > f->min ? f->max : f->min + 1);
    }
    qsort(f->codes, f->code_count, sizeof f->codes[0], by_text);
    CLO_TRY(clo_wire_set_text(a, one, "type", "code"));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < f->code_count; i++) {
        clo_wire_node *code = NULL;
        CLO_TRY(clo_wire_text(a, clo_span_str(f->codes[i]), &code));
        CLO_TRY(clo_wire_append(list, code));
    }
    return clo_wire_set(a, one, "codes", list);
}

clo_err clo_cli_schema_infer(clo_arena *a, clo_span csv, clo_wire_node **tree)
{
    clo_wire_schema schema;
    CLO_AUTO(clo_buf_free) clo_buf table;
    clo_buf_init(&table, TABLE_MAX);
    void *memory = NULL;
    clo_wire_node *top = NULL, *columns = NULL;
    CLO_TRY(read_texts(a, csv, &schema, &table));
    CLO_TRY(clo_arena_array(a, schema.column_count, sizeof(column_facts), &memory));
    column_facts *facts = memory;
    CLO_TRY(pass(a, &schema, clo_buf_span(&table), facts, false));
    CLO_TRY(pass(a, &schema, clo_buf_span(&table), facts, true)); /* numbers that came before the first text are codes, too */
    CLO_TRY(clo_wire_map(a, &top));
    CLO_TRY(clo_wire_map(a, &columns));
    for (size_t i = 0; i < schema.column_count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(column_tree(a, &facts[i], &one));
        CLO_TRY(clo_wire_set(a, columns, schema.columns[i].name, one));
    }
    CLO_TRY(clo_wire_set(a, top, "columns", columns));
    *tree = top;
    return CLO_OK;
}
