/* Private SQL aggregates over the union of several parties' tables.
 *
 *   SELECT item, ... FROM rows [WHERE expression] [GROUP BY column, ...]
 *   item:        grouping column | COUNT(*) | COUNT(column) | SUM(column) | AVG(column), each with an optional AS name
 *   expression:  OR, AND, NOT, = == <> != < <= > >=, [NOT] IN (list), [NOT] BETWEEN, IS [NOT] NULL, + - * /, parentheses,
 *                numbers, 'text', :parameter, columns, COALESCE, IFNULL, NULLIF, LENGTH, LOWER, UPPER, ROUND
 *
 * Keywords in any case; "quoted" column names; comments are refused. Grouping columns have a public domain (codes, or integers
 * with public bounds). SUM and AVG need public bounds. Nothing of SQL beyond this is accepted.
 * The unit of privacy is one row; neighbours replace one row (the number of rows is public). src/sql/sql_plan.c has the proof. */
#ifndef CLO_SQL_SQL_H
#define CLO_SQL_SQL_H
#include "dp/rational.h"
#include "dp/sampler.h"
#include "wire/table.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_SQL_PROGRAM_MAX = 16384, CLO_SQL_ITEMS_MAX = 64, CLO_SQL_GROUPS_MAX = 65536, CLO_SQL_INPUTS_MAX = 64 };

typedef enum { CLO_SQL_DISCRETE_GAUSSIAN, CLO_SQL_DISCRETE_LAPLACE } clo_sql_mechanism;

typedef struct {
    const clo_wire_schema *schema;
    clo_span table; /* table stream (wire/table.h), in the clear; borrowed, read once */
    clo_wire_arrival arrival; /* of the table's bytes; zero = all are there */
} clo_sql_input;

typedef struct {
    const clo_sql_input *inputs; /* 1..CLO_SQL_INPUTS_MAX, all with the same schema digest */
    size_t input_count;
    clo_span program;                /* text in the dialect above */
    const clo_wire_node *parameters; /* map name -> TEXT, INT or FLOAT for :name; NULL = none. All of them must be used */
    clo_dp_rational rho;             /* cost of the whole run, > 0; spent in full */
    clo_sql_mechanism mechanism;
    uint64_t min_rows;   /* a group whose noisy row count is below is withheld; 0 = 1 */
    uint64_t memory_max; /* bytes for the in-memory database; 0 = 1 GiB */
    clo_dp_rng rng;
    clo_dp_progress progress;
} clo_sql_request;

/** Would the program run on tables of this schema? For use when an agreement is made: same checks, no data.
 *  Errors: INPUT class with position ("line 1, column 24: …") and remedy. */
CLO_R clo_sql_check(clo_span program, const clo_wire_schema *schema);

/** What a run of this program and cost says of its noise (the member "noise" of the output below), from public values alone: for
 *  judging a price when an agreement is made, and an output that another process made. Owned by the arena. Errors: RANGE where the
 *  noise would be too large to represent, and those of clo_sql_check. */
CLO_R clo_sql_noise(clo_arena *a, clo_span program, const clo_wire_schema *schema, clo_dp_rational rho, clo_sql_mechanism mechanism,
                    clo_wire_node **out);

/** Run. *output (owned by the arena) is
 *    {"kind": "sql", "columns": [name, ...], "rows": [[cell, ...], ...], "suppressed": withheld rows,
 *     "min_rows", "noise": [{"column", "mechanism", "sigma" | "scale", "rho"}, ...], "rho": "n/d"}
 *  with one row per group of the public domain in its public order; in a withheld row the aggregates are null. Its size depends
 *  on public values only. "sigma" and "scale" are in units of the column.
 *  On error *output is unchanged. Errors: INPUT (program, parameters, schema mismatch, broken table), RANGE (rho),
 *  CANCELLED (by progress), TOO_LARGE, TOO_MANY, NOMEM, RNG. */
CLO_R clo_sql_run(clo_arena *a, const clo_sql_request *request, clo_wire_node **output);

#ifdef __cplusplus
}
#endif
#endif
