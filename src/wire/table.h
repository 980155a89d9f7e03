/* Schema, CSV and the typed binary table that is sealed and that engines read.
 *
 * Table stream: container head (CLOTABLE, 1), be32 column count, 32-byte schema digest, be64 row count, then the rows.
 * A row: null bitmap of ceil(columns / 8) bytes (bit c%8 of byte c/8 set = null), then each non-null cell in column order:
 * int i64 LE, float f64 LE (finite), code u32 LE (index into codes), text u16 LE length + UTF-8. */
#ifndef CLO_WIRE_TABLE_H
#define CLO_WIRE_TABLE_H
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_TABLE_COLUMNS_MAX = 512, CLO_TABLE_CODES_MAX = 4096, CLO_TABLE_TEXT_MAX = 4096, CLO_CSV_LINE_MAX = 1 << 20 };
typedef enum { CLO_COLUMN_INT, CLO_COLUMN_FLOAT, CLO_COLUMN_CODE, CLO_COLUMN_TEXT } clo_wire_column_type;
typedef struct {
    char name[64];
    clo_wire_column_type type;
    bool bounded; /* min and max given: public bounds (required for DP sums and training) */
    double min, max;
    bool nullable;
    const char *const *codes; /* code columns: the public list */
    size_t code_count;
} clo_wire_column;
typedef struct {
    clo_wire_column *columns; /* owned by the arena */
    size_t column_count;
    char target[64];    /* optional target column, empty where none */
    uint8_t digest[32]; /* SHA-256 of the schema's deterministic CBOR */
} clo_wire_schema;

/** From the JSON form of one set: {"columns": {name: {"type": "int|float|code|text", "min", "max", "codes": [...], "missing":
 * n}…}, "target"…}; "rows", "features", "kind", "origin", "licence", "missing", "note" are accepted and ignored; a column with
 * "codes" (its own, or in a map "codes" beside "columns") is a code column whatever its type says, bounded by its list (its CSV
 * cells are the code's text or, where no code reads so, the index); "missing" > 0 or "nullable" allows empty cells. Also accepts
 * the canonical form that clo_wire_schema_tree makes. */
CLO_R clo_wire_schema_read(clo_arena *a, const clo_wire_node *node, clo_wire_schema *out);
CLO_R clo_wire_schema_tree(clo_arena *a, const clo_wire_schema *schema, clo_wire_node **out);
/** Index of a column by name, or -1. */
int clo_wire_schema_find(const clo_wire_schema *schema, const char *name);

/* Streaming CSV (RFC 4180, header required, LF or CRLF, quoted fields) to table rows; constant memory. The sink receives encoded
 * rows (the caller writes the table head once row_count is known, see clo_wire_table_head). */
typedef struct clo_wire_csv clo_wire_csv;
typedef clo_err (*clo_wire_csv_sink)(void *context, clo_span encoded_row);
/** Without a sink (NULL) a reader only counts: rows and bytes come out as they do with one, much faster, because no cell is converted. Only
 * a file that is read with a sink too is known to be right. */
CLO_R clo_wire_csv_new(clo_wire_csv **out, const clo_wire_schema *schema, clo_wire_csv_sink sink, void *context);
/** Feed any piece of the file. A float beyond a bound by less than 1e-9 of the bounds' distance is moved onto it. Errors name
 * line and column: MALFORMED (type, NaN, quote), RANGE (beyond the schema's bounds), TOO_LARGE (line), …; the sink's own errors
 * are passed on. After an error the reader is dead (USAGE). */
CLO_R clo_wire_csv_feed(clo_wire_csv *c, clo_span piece);
/** The file is over. */
CLO_R clo_wire_csv_end(clo_wire_csv *c, uint64_t *row_count);
/** Bytes of all encoded rows so far. */
uint64_t clo_wire_csv_bytes(const clo_wire_csv *c);
void clo_wire_csv_free(clo_wire_csv **c);

/** The 64-byte table head: container head ‖ be32 columns ‖ schema digest ‖ be64 rows, zero padded to 64. */
enum { CLO_TABLE_HEAD = 64 };
CLO_R clo_wire_table_head(const clo_wire_schema *schema, uint64_t row_count, uint8_t out[CLO_TABLE_HEAD]);

/* Reading a table: hostile bytes, checked as they are read. */
typedef struct {
    bool null;
    int64_t integer; /* INT, CODE */
    double number;   /* FLOAT, and the value of INT and CODE as a double */
    clo_span text;   /* TEXT (borrowed); CODE: the code's text */
} clo_wire_cell;
/* A table whose bytes are still being put in their place, from its beginning on. */
typedef struct {
    /** Return when at least the first `bytes` of the table are there (bytes <= its size), and say how many are. NULL = all of them. */
    clo_err (*wait)(void *context, size_t bytes, size_t *there);
    void *context;
} clo_wire_arrival;
typedef struct {
    const clo_wire_schema *schema;
    clo_span rest;
    uint64_t rows_left;
    clo_wire_arrival arrival;
    const uint8_t *table, *there; /* its first byte; the end of what has arrived */
    size_t row_max;               /* bytes of the longest row that the schema allows */
} clo_wire_table;
/** Check the head against the schema. */
CLO_R clo_wire_table_open(const clo_wire_schema *schema, clo_span table, clo_wire_table *out, uint64_t *row_count);
/** The same for a table that is still arriving: no byte is looked at before it is there. Errors besides: what `wait` says. */
CLO_R clo_wire_table_open_arriving(const clo_wire_schema *schema, clo_span table, clo_wire_arrival arrival, clo_wire_table *out,
                                   uint64_t *row_count);
/** The next row into cells[column_count]; RANGE where a cell is outside the schema's bounds or codes. */
CLO_R clo_wire_table_next(clo_wire_table *t, clo_wire_cell *cells);
/** All rows were read and nothing is left. */
CLO_R clo_wire_table_end(const clo_wire_table *t);

#ifdef __cplusplus
}
#endif
#endif
