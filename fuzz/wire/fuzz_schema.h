/* A schema with every kind of column, for the CSV and the table targets, and one whose rows all have one size. */
#ifndef CLO_FUZZ_SCHEMA_H
#define CLO_FUZZ_SCHEMA_H
#include <stdlib.h>

#include "wire/json.h"
#include "wire/table.h"

static inline void fuzz_schema_read(clo_arena *arena, const char *text, clo_wire_schema *schema)
{
    clo_wire_node *n = NULL;
    clo_arena_init(arena, 1 << 20);
    if (clo_failed(clo_wire_json_decode(arena, clo_span_str(text), &n)) || clo_failed(clo_wire_schema_read(arena, n, schema))) abort();
}

static inline const clo_wire_schema *fuzz_schema(void)
{
    static const char text[] =
        "{\"columns\":{\"i\":{\"type\":\"int\",\"min\":0,\"max\":99},\"f\":{\"type\":\"float\",\"nullable\":true},"
        "\"c\":{\"type\":\"code\",\"codes\":[\"F\",\"M\"]},\"t\":{\"type\":\"text\",\"nullable\":true}}}";
    static clo_arena arena;
    static clo_wire_schema schema;
    if (schema.column_count == 0) fuzz_schema_read(&arena, text, &schema);
    return &schema;
}

static inline const clo_wire_schema *fuzz_schema_plain(void)
{
    static const char text[] = "{\"columns\":{\"i\":{\"type\":\"int\",\"min\":0,\"max\":99},\"f\":{\"type\":\"float\"}}}";
    static clo_arena arena;
    static clo_wire_schema schema;
    if (schema.column_count == 0) fuzz_schema_read(&arena, text, &schema);
    return &schema;
}
#endif
