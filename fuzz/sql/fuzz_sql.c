/* Any bytes as a SQL program over a fixed schema: refused with a position, or accepted by our parser and by SQLite alike. */
#include "sql/sql.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const codes[] = {"north", "south"};
    static clo_wire_column columns[] = {
        {.name = "site", .type = CLO_COLUMN_CODE, .bounded = true, .min = 0, .max = 1, .codes = codes, .code_count = 2},
        {.name = "age", .type = CLO_COLUMN_INT, .bounded = true, .min = 0, .max = 100},
        {.name = "score", .type = CLO_COLUMN_FLOAT, .bounded = true, .min = -5, .max = 1e6, .nullable = true},
        {.name = "note", .type = CLO_COLUMN_TEXT, .nullable = true},
    };
    clo_wire_schema schema = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    clo_err e = clo_sql_check(clo_span_of(data, size), &schema);
    if (clo_failed(e) && clo_err_class(e) != CLO_CLASS_INPUT && clo_err_class(e) != CLO_CLASS_LIMIT) abort();
    return 0;
}
