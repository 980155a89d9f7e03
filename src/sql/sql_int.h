/* Shared inside the SQL engine: tokens, the parsed program, the plan of what is measured and with how much noise. */
#ifndef CLO_SQL_INT_H
#define CLO_SQL_INT_H
#include "base/clo_buf.h"
#include "sql/sql.h"

enum {
    CLO_SQL_PARAMETERS_MAX = 32,
    CLO_SQL_GROUP_COLUMNS_MAX = 8,
    CLO_SQL_DEPTH_MAX = 24,  /* nested parentheses and calls */
    CLO_SQL_TERMS_MAX = 400, /* operands in the WHERE expression */
    CLO_SQL_PRIMITIVES_MAX = 2 * CLO_SQL_ITEMS_MAX + 1,
    CLO_SQL_NAME_MAX = 128,
};

typedef enum {
    CLO_SQL_TOKEN_END,
    CLO_SQL_TOKEN_WORD,   /* identifier or keyword */
    CLO_SQL_TOKEN_QUOTED, /* "identifier" */
    CLO_SQL_TOKEN_NUMBER,
    CLO_SQL_TOKEN_STRING,    /* 'text' */
    CLO_SQL_TOKEN_PARAMETER, /* :name */
    CLO_SQL_TOKEN_SYMBOL,    /* one or two characters */
} clo_sql_token_type;

typedef struct {
    clo_sql_token_type type;
    clo_span text; /* as written: with quotes, without the colon of a parameter */
    unsigned line, column;
} clo_sql_token;

typedef struct {
    clo_span program;
    size_t at;
    unsigned line, column;
    clo_sql_token token; /* the current one */
} clo_sql_lexer;

CLO_R clo_sql_lexer_open(clo_sql_lexer *x, clo_span program);
/** Move to the next token. Errors: MALFORMED with the position. */
CLO_R clo_sql_lexer_next(clo_sql_lexer *x);
bool clo_sql_token_is(const clo_sql_token *t, const char *word_or_symbol);

typedef enum { CLO_SQL_GROUP, CLO_SQL_COUNT_ALL, CLO_SQL_COUNT, CLO_SQL_SUM, CLO_SQL_AVG } clo_sql_item_kind;
typedef struct {
    clo_sql_item_kind kind;
    size_t column; /* schema index; unused for COUNT(*) */
    char name[CLO_SQL_NAME_MAX];
    size_t count, sum; /* indexes of its primitives (plan) */
} clo_sql_item;

typedef struct {
    clo_sql_item items[CLO_SQL_ITEMS_MAX];
    size_t item_count;
    size_t groups[CLO_SQL_GROUP_COLUMNS_MAX]; /* schema indexes */
    size_t group_count;
    char parameters[CLO_SQL_PARAMETERS_MAX][64];
    size_t parameter_count;
    bool has_where;
    clo_buf where;                             /* canonical text over the columns c0, c1, ... and ?1, ?2, ... */
    bool where_columns[CLO_TABLE_COLUMNS_MAX]; /* columns that it reads */
} clo_sql_program;

/** Parse a program against a schema. `out` is large: give it heap memory. Free it with clo_sql_program_free, also after an error.
 */
CLO_R clo_sql_parse(clo_span program, const clo_wire_schema *schema, clo_sql_program *out);
void clo_sql_program_free(clo_sql_program *p);
/** The WHERE expression up to the clause's end; the lexer stands on its first token. */
CLO_R clo_sql_parse_where(clo_sql_lexer *x, const clo_wire_schema *schema, clo_sql_program *out);
/** The column that the current token names; moves on. */
CLO_R clo_sql_parse_column(clo_sql_lexer *x, const clo_wire_schema *schema, size_t *column);
/** "line 1, column 2: ..." */
clo_err clo_sql_error_at(const clo_sql_token *t, uint32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A primitive is one integer per group that gets noise: a row count, or a sum of centred grid values. */
typedef struct {
    bool is_sum;
    bool all_rows; /* COUNT(*): column is unused */
    size_t column;
    double middle, step;          /* sums: value = middle + step * grid value */
    int64_t half;                 /* sums: grid values lie in -half .. half */
    uint64_t sensitivity_squared; /* L2, over all groups */
    uint64_t sensitivity;         /* L1, over all groups */
    clo_dp_rational noise;        /* sigma^2 or scale, grid units */
    clo_dp_rational rho;
} clo_sql_primitive;

typedef struct {
    clo_sql_primitive primitives[CLO_SQL_PRIMITIVES_MAX]; /* [0] is COUNT(*) */
    size_t primitive_count;
    uint64_t radix[CLO_SQL_GROUP_COLUMNS_MAX]; /* size of each grouping column's domain */
    uint64_t cell_count;                       /* groups of the public domain; 1 without GROUP BY */
} clo_sql_plan;

/** Decide what is measured. Sets the items' primitive indexes. */
CLO_R clo_sql_plan_make(clo_sql_program *program, const clo_wire_schema *schema, clo_sql_plan *plan);
/** Give each primitive its share of rho and its noise. */
CLO_R clo_sql_plan_budget(clo_sql_plan *plan, clo_dp_rational rho, clo_sql_mechanism mechanism);
/** The grid value of a number: a function of this one number and public facts only, always in -half .. half. */
int64_t clo_sql_grid(const clo_sql_primitive *p, double value);
/** The group of a row, 0 .. cell_count-1. */
CLO_R clo_sql_group_of(const clo_sql_program *program, const clo_sql_plan *plan, const clo_wire_schema *schema,
                       const clo_wire_cell *cells, uint64_t *group);

/* The in-memory database. */
typedef struct clo_sql_base clo_sql_base;
/** Open an empty database whose table has what the program needs, and prepare the loading of rows. */
CLO_R clo_sql_base_open(const clo_sql_program *program, const clo_sql_plan *plan, const clo_wire_schema *schema,
                        uint64_t memory_max, clo_sql_base **out);
void clo_sql_base_free(clo_sql_base **b);
/** Load all rows of one table; *row_count grows by their number. */
CLO_R clo_sql_base_load(clo_sql_base *b, const clo_sql_input *input, const clo_dp_progress *progress, uint64_t *row_count);
/** Loading is over: from here on only the one SELECT can run. Prepares it, which proves that SQLite accepts the WHERE text. */
CLO_R clo_sql_base_seal(clo_sql_base *b);
/** Run it over all rows: totals[group * primitive_count + primitive] are the exact values. */
CLO_R clo_sql_base_query(clo_sql_base *b, const clo_wire_node *parameters, const clo_dp_progress *progress, uint64_t row_count,
                         int64_t *totals);
#endif
