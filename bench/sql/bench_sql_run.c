/* Seconds of a grouped aggregate with a WHERE expression over a million rows, load included. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clo_own.h"
#include "crypto/hash.h"
#include "sql/sql.h"

static clo_err fill(void *context, uint8_t *to, size_t n)
{
    (void)context;
    return clo_crypto_random(to, n);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A table of the two columns, written as wire/table.h describes it. */
static clo_err make_table(const clo_wire_schema *schema, uint64_t rows, clo_buf *out)
{
    uint8_t head[CLO_TABLE_HEAD];
    uint64_t state = 1;
    CLO_TRY(clo_wire_table_head(schema, rows, head));
    CLO_TRY(clo_buf_put(out, head, sizeof head));
    for (uint64_t i = 0; i < rows; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        CLO_TRY(clo_buf_put_u8(out, 0));
        CLO_TRY(clo_buf_put_u32le(out, (uint32_t)(state >> 40) % 4));
        CLO_TRY(clo_buf_put_u64le(out, (state >> 33) % 101));
    }
    return CLO_OK;
}

int main(void)
{
    enum { ROWS = 1000000 };
    static const char *const codes[] = {"a", "b", "c", "d"};
    static clo_wire_column columns[] = {
        {.name = "site", .type = CLO_COLUMN_CODE, .bounded = true, .min = 0, .max = 3, .codes = codes, .code_count = 4},
        {.name = "age", .type = CLO_COLUMN_INT, .bounded = true, .min = 0, .max = 100},
    };
    clo_wire_schema schema = {.columns = columns, .column_count = 2};
    CLO_AUTO(clo_buf_free) clo_buf table = {0};
    CLO_AUTO(clo_arena_free) clo_arena arena = {0};
    clo_wire_node *output = NULL;
    clo_buf_init(&table, (size_t)1 << 28);
    clo_arena_init(&arena, (size_t)1 << 24);
    if (clo_failed(make_table(&schema, ROWS, &table))) return 1;
    clo_sql_input input = {.schema = &schema, .table = clo_buf_span(&table)};
    clo_sql_request request = {.inputs = &input,
                               .input_count = 1,
                               .program = clo_span_str("SELECT site, COUNT(*), AVG(age) FROM rows WHERE age > 17 GROUP BY site"),
                               .rng = {NULL, fill}};
    if (clo_failed(clo_dp_rational_make(1, 4, &request.rho))) return 1;
    double start = now();
    if (clo_failed(clo_sql_run(&arena, &request, &output))) {
        printf("%s\n", clo_err_text());
        return 1;
    }
    printf("sql over 1e6 rows: %.2f s\n", now() - start);
    return 0;
}
