/* CSV to table rows. A record is found by its line end outside quotes; its cells are read in place where they are plain. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_text.h"
#include "wire/table.h"
#include "wire/table_int.h"

/* A parsed cell: bits of the number, or the text. */
typedef struct {
    bool null;
    uint64_t bits;
    clo_span text;
} csv_cell;

struct clo_wire_csv {
    const clo_wire_schema *schema;
    clo_wire_csv_sink sink;
    void *context;
    clo_buf carry;    /* a record that began in an earlier piece */
    clo_buf unquoted; /* texts of quoted cells of one record */
    bool in_quotes;   /* where the scan of the carry stands */
    bool started, header_seen, over;
    uint64_t line;       /* of the record's first byte, from 1 */
    uint64_t blank_line; /* the first of a run of blank lines, or 0 */
    uint64_t row_count, row_bytes;
    size_t row_size;   /* of every row, or 0 where rows differ */
    uint16_t *order;   /* file position -> column */
    csv_cell *cells;   /* by column */
    uint32_t **sorted; /* by column: codes in text order */
    uint8_t *row;
};

/* One record while it is read. */
typedef struct {
    const uint8_t *start, *at, *end;
    size_t field; /* from 0 */
} record;

static uint64_t line_at(const clo_wire_csv *c, const record *r)
{
    uint64_t line = c->line;
    for (const uint8_t *p = r->start; p < r->at; p++) line += *p == '\n' ? 1u : 0u;
    return line;
}

static clo_err bad_field(const clo_wire_csv *c, const record *r, uint32_t code, const char *sentence)
{
    unsigned long long line = line_at(c, r);
    if (!c->header_seen) return CLO_FAILF(code, "CSV line %llu, header field %zu: %s", line, r->field + 1, sentence);
    const clo_wire_column *column = &c->schema->columns[c->order[r->field]];
    return CLO_FAILF(code, "CSV line %llu, column \"%s\": %s", line, column->name, sentence);
}

static size_t cell_size(const clo_wire_column *column, size_t text)
{
    switch (column->type) {
    case CLO_COLUMN_INT:
    case CLO_COLUMN_FLOAT:
        return 8;
    case CLO_COLUMN_CODE:
        return 4;
    case CLO_COLUMN_TEXT:
    default:
        return 2 + text;
    }
}

static size_t row_size_fixed(const clo_wire_schema *schema)
{
    size_t size = clo_wire_bitmap_bytes(schema);
    for (size_t i = 0; i < schema->column_count; i++) {
        const clo_wire_column *column = &schema->columns[i];
        if (column->nullable || column->type == CLO_COLUMN_TEXT) return 0;
        size += cell_size(column, 0);
    }
    return size;
}

clo_err clo_wire_csv_new(clo_wire_csv **out, const clo_wire_schema *schema, clo_wire_csv_sink sink, void *context)
{
    clo_wire_csv *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    *c = (clo_wire_csv){.schema = schema, .sink = sink, .context = context, .line = 1, .row_size = row_size_fixed(schema)};
    clo_buf_init(&c->carry, CLO_CSV_LINE_MAX);
    clo_buf_init(&c->unquoted, CLO_CSV_LINE_MAX);
    size_t n = schema->column_count, row_max = clo_wire_bitmap_bytes(schema);
    c->order = calloc(n, sizeof *c->order);
    c->cells = calloc(n, sizeof *c->cells);
    c->sorted = calloc(n, sizeof *c->sorted);
    clo_err e = c->order != NULL && c->cells != NULL && c->sorted != NULL ? CLO_OK : CLO_FAIL(CLO_E_NOMEM);
    for (size_t i = 0; i < n && !clo_failed(e); i++) {
        const clo_wire_column *column = &schema->columns[i];
        row_max += column->type == CLO_COLUMN_TEXT ? 2 + CLO_TABLE_TEXT_MAX : 8;
        if (column->type != CLO_COLUMN_CODE) continue;
        c->sorted[i] = calloc(column->code_count, sizeof **c->sorted);
        e = c->sorted[i] != NULL ? clo_wire_codes_sort(column->codes, column->code_count, c->sorted[i]) : CLO_FAIL(CLO_E_NOMEM);
    }
    c->row = malloc(row_max);
    if (!clo_failed(e) && c->row == NULL) e = CLO_FAIL(CLO_E_NOMEM);
    if (clo_failed(e))
        clo_wire_csv_free(&c);
    else
        *out = c;
    return e;
}

void clo_wire_csv_free(clo_wire_csv **c)
{
    clo_wire_csv *v = *c;
    if (v == NULL) return;
    for (size_t i = 0; v->sorted != NULL && i < v->schema->column_count; i++) free(v->sorted[i]);
    free(v->sorted);
    free(v->order);
    free(v->cells);
    free(v->row);
    clo_buf_free(&v->carry);
    clo_buf_free(&v->unquoted);
    free(v);
    *c = NULL;
}

/* The next field's bytes, unquoted; r->at goes behind its comma or to the end. `quoted` tells "" from nothing. */
static clo_err take_field(clo_wire_csv *c, record *r, clo_span *out, bool *quoted)
{
    *quoted = r->at < r->end && *r->at == '"';
    if (!*quoted) {
        size_t left = (size_t)(r->end - r->at);
        const uint8_t *comma = left != 0 ? memchr(r->at, ',', left) : NULL;
        const uint8_t *stop = comma != NULL ? comma : r->end;
        *out = clo_span_of(r->at, (size_t)(stop - r->at));
        if (out->n != 0 && memchr(r->at, '"', out->n) != NULL)
            return bad_field(c, r, CLO_E_MALFORMED,
                             "a quote stands inside an unquoted cell; quote the whole cell and double the quote");
        if (out->n != 0 && memchr(r->at, '\r', out->n) != NULL)
            return bad_field(c, r, CLO_E_MALFORMED,
                             "a carriage return stands inside an unquoted cell; end lines with LF or CRLF");
        r->at = stop;
        return CLO_OK;
    }
    size_t from = c->unquoted.len;
    const uint8_t *p = r->at + 1;
    for (;;) {
        const uint8_t *quote = p < r->end ? memchr(p, '"', (size_t)(r->end - p)) : NULL;
        if (quote == NULL) return bad_field(c, r, CLO_E_MALFORMED, "the quote is never closed; close it or double it");
        bool doubled = quote + 1 < r->end && quote[1] == '"';
        CLO_TRY(clo_buf_put(&c->unquoted, p, (size_t)(quote - p) + (doubled ? 1 : 0)));
        p = quote + (doubled ? 2 : 1);
        if (!doubled) break;
    }
    if (p < r->end && *p != ',')
        return bad_field(c, r, CLO_E_MALFORMED, "text follows the closing quote; put a comma or double the quote");
    r->at = p;
    *out = clo_span_of(c->unquoted.p + from, c->unquoted.len - from);
    return CLO_OK;
}

static clo_err out_of_bounds(const clo_wire_csv *c, const record *r, const clo_wire_column *column)
{
    return CLO_FAILF(
        CLO_E_RANGE,
        "CSV line %llu, column \"%s\": the value is outside the schema's bounds %.12g to %.12g; clip it or widen the bounds",
        (unsigned long long)line_at(c, r), column->name, column->min, column->max);
}

static clo_err read_code(clo_wire_csv *c, const record *r, size_t index, clo_span field, csv_cell *cell)
{
    const clo_wire_column *column = &c->schema->columns[index];
    size_t low = 0, high = column->code_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t code = c->sorted[index][middle];
        const char *text = column->codes[code];
        size_t n = strlen(text);
        int order = memcmp(field.p, text, field.n < n ? field.n : n);
        if (order == 0 && field.n == n) {
            cell->bits = code;
            return CLO_OK;
        }
        if (order < 0 || (order == 0 && field.n < n))
            high = middle;
        else
            low = middle + 1;
    }
    int64_t v = -1;
    if (clo_wire_integer_read(field, &v) != field.n)
        return bad_field(c, r, CLO_E_MALFORMED,
                         "the cell is none of the schema's codes; correct it or add the code to the schema");
    if (v < 0 || (uint64_t)v >= column->code_count)
        return bad_field(c, r, CLO_E_RANGE, "the number is beyond the schema's list of codes");
    cell->bits = (uint64_t)v;
    return CLO_OK;
}

static clo_err read_text(clo_wire_csv *c, const record *r, clo_span field, csv_cell *cell)
{
    if (field.n > CLO_TABLE_TEXT_MAX) return bad_field(c, r, CLO_E_TOO_LARGE, "the text is longer than 4096 bytes; shorten it");
    if (field.n != 0 && memchr(field.p, 0, field.n) != NULL)
        return bad_field(c, r, CLO_E_MALFORMED, "the text has a zero byte; remove it");
    if (!clo_utf8_valid(field)) return bad_field(c, r, CLO_E_MALFORMED, "the text is not valid UTF-8; convert the file");
    cell->text = field;
    return CLO_OK;
}

/* Published bounds are often rounded: a number beyond one by less than 1e-9 of their distance is moved onto it. */
static bool fit_bounds(const clo_wire_column *column, double *v)
{
    if (!column->bounded || (*v >= column->min && *v <= column->max)) return true;
    double slack = (column->max - column->min) * 1e-9;
    if (!(*v >= column->min - slack && *v <= column->max + slack)) return false;
    *v = *v < column->min ? column->min : column->max;
    return true;
}

/* The general way: any cell, quoted or not. */
static clo_err read_field(clo_wire_csv *c, record *r, size_t index, csv_cell *cell)
{
    const clo_wire_column *column = &c->schema->columns[index];
    record before = *r; /* messages name where the cell begins */
    clo_span field = {0};
    bool quoted = false;
    CLO_TRY(take_field(c, r, &field, &quoted));
    if (field.n == 0 && (!quoted || column->type != CLO_COLUMN_TEXT)) {
        if (column->nullable) {
            cell->null = true;
            return CLO_OK;
        }
        if (column->type != CLO_COLUMN_TEXT)
            return bad_field(c, &before, CLO_E_MALFORMED,
                             "the cell is empty; fill it in or mark the column nullable in the schema");
    }
    int64_t integer = 0;
    double number = 0;
    switch (column->type) {
    case CLO_COLUMN_TEXT:
        return read_text(c, &before, field, cell);
    case CLO_COLUMN_CODE:
        return read_code(c, &before, index, field, cell);
    case CLO_COLUMN_INT:
        if (clo_wire_integer_read(field, &integer) != field.n)
            return bad_field(c, &before, CLO_E_MALFORMED,
                             "the cell is not an integer (such as -12); correct it or change the column's type");
        if (column->bounded && !((double)integer >= column->min && (double)integer <= column->max))
            return out_of_bounds(c, &before, column);
        memcpy(&cell->bits, &integer, sizeof integer);
        return CLO_OK;
    case CLO_COLUMN_FLOAT:
        break;
    default:
        return CLO_FAIL(CLO_E_BUG);
    }
    if (clo_wire_decimal_read(field, &number) != field.n)
        return bad_field(
            c, &before, CLO_E_MALFORMED,
            "the cell is not a finite decimal number (such as -1.5e3); NaN and inf are not allowed; leave a missing cell empty");
    if (!fit_bounds(column, &number)) return out_of_bounds(c, &before, column);
    memcpy(&cell->bits, &number, sizeof number);
    return CLO_OK;
}

/* The usual way: a plain float that ends at a comma or at the record's end. False: take the general way. */
static bool read_plain_float(record *r, const clo_wire_column *column, csv_cell *cell)
{
    double v = 0;
    size_t n = clo_wire_decimal_read(clo_span_of(r->at, (size_t)(r->end - r->at)), &v);
    const uint8_t *stop = r->at + n;
    if (n == 0 || (stop != r->end && *stop != ',')) return false;
    if (column->bounded && !(v >= column->min && v <= column->max)) return false;
    memcpy(&cell->bits, &v, sizeof v);
    r->at = stop;
    return true;
}

/* The same for an integer. */
static bool read_plain_integer(record *r, const clo_wire_column *column, csv_cell *cell)
{
    int64_t v = 0;
    size_t n = clo_wire_integer_read(clo_span_of(r->at, (size_t)(r->end - r->at)), &v);
    const uint8_t *stop = r->at + n;
    if (n == 0 || (stop != r->end && *stop != ',')) return false;
    if (column->bounded && !((double)v >= column->min && (double)v <= column->max)) return false;
    memcpy(&cell->bits, &v, sizeof v);
    r->at = stop;
    return true;
}

static clo_err wrong_count(const clo_wire_csv *c, size_t found, bool more)
{
    return CLO_FAILF(CLO_E_MALFORMED, "CSV line %llu: the row has %s%zu cells, the header has %zu; complete or quote the row",
                     (unsigned long long)c->line, more ? "more than " : "", found, c->schema->column_count);
}

static void put64(uint8_t *to, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) to[i] = (uint8_t)(v >> 8 * i);
}

static clo_err emit_row(clo_wire_csv *c)
{
    const clo_wire_schema *s = c->schema;
    size_t bitmap_bytes = clo_wire_bitmap_bytes(s);
    memset(c->row, 0, bitmap_bytes);
    uint8_t *p = c->row + bitmap_bytes;
    for (size_t i = 0; i < s->column_count; i++) {
        const csv_cell *cell = &c->cells[i];
        if (cell->null) {
            c->row[i / 8] = (uint8_t)(c->row[i / 8] | 1u << i % 8);
            continue;
        }
        switch (s->columns[i].type) {
        case CLO_COLUMN_INT:
        case CLO_COLUMN_FLOAT:
            put64(p, cell->bits);
            p += 8;
            break;
        case CLO_COLUMN_CODE:
            for (unsigned k = 0; k < 4; k++) p[k] = (uint8_t)(cell->bits >> 8 * k);
            p += 4;
            break;
        case CLO_COLUMN_TEXT:
        default:
            p[0] = (uint8_t)cell->text.n;
            p[1] = (uint8_t)(cell->text.n >> 8);
            if (cell->text.n != 0) memcpy(p + 2, cell->text.p, cell->text.n);
            p += 2 + cell->text.n;
            break;
        }
    }
    c->row_count++;
    c->row_bytes += (uint64_t)(p - c->row);
    return c->sink(c->context, clo_span_of(c->row, (size_t)(p - c->row)));
}

/* A cell that is only counted. */
static clo_err count_field(clo_wire_csv *c, record *r, size_t index)
{
    const clo_wire_column *column = &c->schema->columns[index];
    clo_span field = {0};
    bool quoted = false;
    CLO_TRY(take_field(c, r, &field, &quoted));
    bool null = column->nullable && field.n == 0 && (!quoted || column->type != CLO_COLUMN_TEXT);
    if (!null) c->row_bytes += cell_size(column, field.n);
    return CLO_OK;
}

static clo_err read_cell(clo_wire_csv *c, record *r, size_t index)
{
    const clo_wire_column *column = &c->schema->columns[index];
    csv_cell *cell = &c->cells[index];
    if (c->sink == NULL) return count_field(c, r, index);
    cell->null = false;
    if (column->type == CLO_COLUMN_FLOAT && read_plain_float(r, column, cell)) return CLO_OK;
    if (column->type == CLO_COLUMN_INT && read_plain_integer(r, column, cell)) return CLO_OK;
    return read_field(c, r, index, cell);
}

static clo_err read_row(clo_wire_csv *c, record *r)
{
    const clo_wire_schema *s = c->schema;
    for (r->field = 0; r->field < s->column_count; r->field++) {
        CLO_TRY(read_cell(c, r, c->order[r->field]));
        if (r->at == r->end) {
            if (r->field + 1 != s->column_count) return wrong_count(c, r->field + 1, false);
        } else if (r->field + 1 == s->column_count) {
            return wrong_count(c, s->column_count, true);
        } else {
            r->at++;
        }
    }
    if (c->sink != NULL) return emit_row(c);
    c->row_count++;
    c->row_bytes += clo_wire_bitmap_bytes(s);
    return CLO_OK;
}

static clo_err read_header(clo_wire_csv *c, record *r)
{
    const clo_wire_schema *s = c->schema;
    bool seen[CLO_TABLE_COLUMNS_MAX] = {false};
    for (r->field = 0;; r->field++) {
        record before = *r;
        clo_span name = {0};
        bool quoted = false;
        CLO_TRY(take_field(c, r, &name, &quoted));
        size_t index = 0;
        while (index < s->column_count && !clo_span_equal(name, clo_span_str(s->columns[index].name))) index++;
        if (index == s->column_count)
            return bad_field(c, &before, CLO_E_MALFORMED,
                             "the schema has no column of this name; add it to the schema or remove it here");
        if (seen[index]) return bad_field(c, &before, CLO_E_DUPLICATE, "the column is there twice; remove one");
        seen[index] = true;
        c->order[r->field] = (uint16_t)index;
        if (r->at == r->end) break;
        r->at++;
    }
    for (size_t i = 0; i < s->column_count; i++)
        CLO_CHECKF(seen[i], CLO_E_MISSING_FIELD, "CSV line %llu: the header lacks the schema's column \"%s\"; add it",
                   (unsigned long long)c->line, s->columns[i].name);
    c->header_seen = true;
    return CLO_OK;
}

/* One record without its line feed. */
static clo_err take_record(clo_wire_csv *c, const uint8_t *p, size_t n, bool has_quotes)
{
    uint64_t lines = 1;
    for (size_t i = 0; has_quotes && i < n; i++) lines += p[i] == '\n' ? 1u : 0u;
    if (!c->started && n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        n -= 3;
    }
    c->started = true;
    if (n != 0 && p[n - 1] == '\r') n--;
    if (n == 0 && (!c->header_seen || c->schema->column_count > 1)) {
        if (c->blank_line == 0) c->blank_line = c->line;
        c->line++;
        return CLO_OK;
    }
    CLO_CHECKF(c->blank_line == 0, CLO_E_MALFORMED, "CSV line %llu is blank; remove it", (unsigned long long)c->blank_line);
    clo_buf_clear(&c->unquoted);
    if (has_quotes) {
        uint8_t *room = NULL;
        CLO_TRY(clo_buf_reserve(&c->unquoted, n, &room)); /* the spans into it stay where they are */
    }
    record r = {.start = p, .at = p, .end = p + n};
    CLO_TRY(c->header_seen ? read_row(c, &r) : read_header(c, &r));
    c->line += lines;
    return CLO_OK;
}

/* The line feed that ends the record, or NULL; *in_quotes and *has_quotes go on from where the last scan stopped. */
static const uint8_t *find_end(const uint8_t *p, const uint8_t *end, bool *in_quotes, bool *has_quotes)
{
    const uint8_t *feed = NULL; /* the next one, once it was looked for: not anew behind every quote */
    bool looked = false;
    while (p < end) {
        if (!*in_quotes && (!looked || (feed != NULL && feed < p))) {
            feed = memchr(p, '\n', (size_t)(end - p));
            looked = true;
        }
        const uint8_t *stop = !*in_quotes && feed != NULL ? feed : end;
        const uint8_t *quote = stop > p ? memchr(p, '"', (size_t)(stop - p)) : NULL;
        if (quote == NULL) return *in_quotes ? NULL : feed;
        *in_quotes = !*in_quotes;
        *has_quotes = true;
        p = quote + 1;
    }
    return NULL;
}

static clo_err line_too_long(const clo_wire_csv *c)
{
    return CLO_FAILF(CLO_E_TOO_LARGE,
                     "CSV line %llu is longer than %d bytes; break it up, or close a quote that stands open there",
                     (unsigned long long)c->line, CLO_CSV_LINE_MAX);
}

/* Where nothing is asked but the count, and no quote is near, rows of one size are their lines. What may be a blank line, and whatever is
 * before the first row, is left to the general way. Gives where it stopped. */
static const uint8_t *count_lines(clo_wire_csv *c, const uint8_t *p, const uint8_t *end)
{
    if (!c->header_seen || c->carry.len != 0 || c->blank_line != 0) return p;
    while (p < end) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL || stop - p <= 1 || stop - p > CLO_CSV_LINE_MAX) break;
        c->row_count++;
        c->row_bytes += c->row_size;
        c->line++;
        p = stop + 1;
    }
    return p;
}

static clo_err feed(clo_wire_csv *c, clo_span piece)
{
    const uint8_t *p = piece.p, *end = piece.p + piece.n;
    bool lines = c->sink == NULL && c->row_size != 0 && piece.n != 0 && memchr(p, '"', piece.n) == NULL;
    while (p < end) {
        if (lines) p = count_lines(c, p, end);
        if (p == end) break;
        size_t room = CLO_CSV_LINE_MAX - c->carry.len;
        const uint8_t *limit = (size_t)(end - p) > room ? p + room + 1 : end;
        bool has_quotes = c->carry.len != 0; /* a carried record may have them */
        const uint8_t *stop = find_end(p, limit, &c->in_quotes, &has_quotes);
        if (stop == NULL) {
            if (limit != end || (size_t)(end - p) > room) return line_too_long(c);
            return clo_buf_put(&c->carry, p, (size_t)(end - p));
        }
        if (c->carry.len != 0) {
            CLO_TRY(clo_buf_put(&c->carry, p, (size_t)(stop - p)));
            CLO_TRY(take_record(c, c->carry.p, c->carry.len, true));
            clo_buf_clear(&c->carry);
        } else {
            CLO_TRY(take_record(c, p, (size_t)(stop - p), has_quotes));
        }
        p = stop + 1;
    }
    return CLO_OK;
}

clo_err clo_wire_csv_feed(clo_wire_csv *c, clo_span piece)
{
    CLO_CHECKF(!c->over, CLO_E_USAGE, "the CSV reader has ended or failed; begin again with a new one");
    clo_err e = feed(c, piece);
    if (clo_failed(e)) c->over = true;
    return e;
}

uint64_t clo_wire_csv_bytes(const clo_wire_csv *c) { return c->row_bytes; }

clo_err clo_wire_csv_end(clo_wire_csv *c, uint64_t *row_count)
{
    CLO_CHECKF(!c->over, CLO_E_USAGE, "the CSV reader has ended or failed; begin again with a new one");
    c->over = true;
    if (c->carry.len != 0) CLO_TRY(take_record(c, c->carry.p, c->carry.len, true));
    CLO_CHECKF(c->header_seen, CLO_E_TRUNCATED, "the CSV file is empty; its first line must name the columns");
    *row_count = c->row_count;
    return CLO_OK;
}
