/* CSV to table rows and reading them back, over rows shaped like a table of measurements (30 floats and a class). The peer is the
 * floor that the job has: one strtod per cell of the same text, or one copy of the same table. One JSON line per figure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/json.h"
#include "wire/table.h"

enum { COLUMNS = 31, ROWS = 200000, ROUNDS = 3 };

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(clo_err e)
{
    if (!clo_failed(e)) return;
    (void)fprintf(stderr, "bench_table: %s\n", clo_err_text());
    exit(1);
}

static clo_err to_buffer(void *context, clo_span row) { return clo_buf_put_span(context, row); }

static void make_schema(clo_arena *a, clo_wire_schema *out)
{
    clo_buf b;
    clo_wire_node *n = NULL;
    clo_buf_init(&b, 1 << 16);
    must(clo_buf_put_str(&b, "{\"columns\":{"));
    for (int i = 0; i < COLUMNS - 1; i++) must(clo_buf_printf(&b, "\"c%d\":{\"type\":\"float\",\"min\":0,\"max\":10000},", i));
    must(clo_buf_put_str(&b, "\"target\":{\"type\":\"int\",\"min\":0,\"max\":1}}}"));
    must(clo_wire_json_decode(a, clo_buf_span(&b), &n));
    must(clo_wire_schema_read(a, n, out));
    clo_buf_free(&b);
}

static void make_csv(const clo_wire_schema *s, clo_buf *out)
{
    uint64_t x = 1;
    for (size_t i = 0; i < s->column_count; i++) must(clo_buf_printf(out, "%s%s", i == 0 ? "" : ",", s->columns[i].name));
    must(clo_buf_put_u8(out, '\n'));
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < COLUMNS - 1; i++) {
            x = x * UINT64_C(6364136223846793005) + 1;
            must(clo_buf_printf(out, "%.5g,", (double)(x >> 40) / 4096));
        }
        must(clo_buf_printf(out, "%d\n", (int)(x >> 63)));
    }
}

/* The peer of encoding: find and convert every cell with the C library. */
static double plain_parse(const clo_buf *csv)
{
    const char *p = strchr((const char *)csv->p, '\n') + 1;
    double sum = 0;
    while (*p != '\0') {
        char *end = NULL;
        sum += strtod(p, &end);
        p = end + 1;
    }
    return sum;
}

static double encode(const clo_wire_schema *s, const clo_buf *csv, clo_buf *rows, uint64_t *count)
{
    clo_wire_csv *reader = NULL;
    double start = now();
    must(clo_wire_csv_new(&reader, s, to_buffer, rows));
    for (size_t at = 0; at < csv->len; at += 65536)
        must(clo_wire_csv_feed(reader, clo_span_of(csv->p + at, csv->len - at < 65536 ? csv->len - at : 65536)));
    must(clo_wire_csv_end(reader, count));
    clo_wire_csv_free(&reader);
    return now() - start;
}

static double read_back(const clo_wire_schema *s, clo_span rows, uint64_t count)
{
    clo_wire_cell cells[COLUMNS];
    clo_wire_table t = {.schema = s, .rest = rows, .rows_left = count};
    double start = now();
    for (uint64_t i = 0; i < count; i++) must(clo_wire_table_next(&t, cells));
    must(clo_wire_table_end(&t));
    return now() - start;
}

static void report(const char *name, double ours, double peer, const char *unit)
{
    (void)printf("{\"name\":\"%s\",\"ours\":%.1f,\"peer\":%.1f,\"unit\":\"%s\",\"ratio\":%.3f}\n", name, ours, peer, unit,
                 ours / peer);
}

int main(void)
{
    clo_arena a;
    clo_wire_schema s;
    clo_buf csv, rows;
    clo_arena_init(&a, 1 << 24);
    clo_buf_init(&csv, (size_t)1 << 30);
    clo_buf_init(&rows, (size_t)1 << 30);
    make_schema(&a, &s);
    make_csv(&s, &csv);
    must(clo_buf_put_u8(&csv, 0));
    csv.len--;
    double best_encode = 1e9, best_read = 1e9, best_parse = 1e9, best_copy = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t count = 0;
        clo_buf_clear(&rows);
        double t = encode(&s, &csv, &rows, &count);
        if (t < best_encode) best_encode = t;
        t = now();
        if (plain_parse(&csv) < 0) return 1;
        t = now() - t;
        if (t < best_parse) best_parse = t;
        t = read_back(&s, clo_buf_span(&rows), count);
        if (t < best_read) best_read = t;
        uint8_t *copy = malloc(rows.len);
        if (copy == NULL) return 1;
        memset(copy, 1, rows.len);
        t = now();
        memcpy(copy, rows.p, rows.len);
        t = now() - t;
        if (copy[rows.len / 2] == 77 && t < 0) return 1;
        free(copy);
        if (t < best_copy) best_copy = t;
    }
    report("csv-encode", (double)csv.len / best_encode * 1e-6, (double)csv.len / best_parse * 1e-6, "MB/s");
    report("table-read", ROWS / best_read * 1e-6, ROWS / best_copy * 1e-6, "Mrows/s");
    clo_buf_free(&csv);
    clo_buf_free(&rows);
    clo_arena_free(&a);
    return 0;
}
