/* The in-memory database: loaded by this file, then sealed, so that the one SELECT of the program is all it can run. */
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "sql/sql_int.h"

struct clo_sql_base {
    const clo_sql_program *program;
    const clo_sql_plan *plan;
    const clo_wire_schema *schema;
    sqlite3 *db;
    sqlite3_stmt *insert, *select;
    clo_wire_cell *cells; /* one row */
    sqlite3_int64 heap_limit_before;
    const clo_dp_progress *progress; /* of the query that runs */
    clo_err stopped;
};

enum {
    MEMORY_DEFAULT = 1 << 30,
    MEMORY_MIN = 1 << 20,
    PROGRESS_ROWS = 4096,
    PROGRESS_OPERATIONS = 200000,
    SQL_TEXT_MAX = 8 * CLO_SQL_PROGRAM_MAX,
};

static clo_err database_error(sqlite3 *db, int code)
{
    if (code == SQLITE_NOMEM)
        return CLO_FAILF(CLO_E_NOMEM,
                         "the rows do not fit into the memory that the run may use; use fewer columns or more memory");
    if (code == SQLITE_TOOBIG) return CLO_FAILF(CLO_E_TOO_LARGE, "a value of the program is too large");
    if (code == SQLITE_AUTH || code == SQLITE_ERROR)
        return CLO_FAILF(CLO_E_MALFORMED, "the program is not accepted: simplify its WHERE expression");
    return CLO_FAILF(CLO_E_BUG, "the in-memory database failed with code %d (%d)", code,
                     db != NULL ? sqlite3_extended_errcode(db) : 0);
}

static clo_err run_text(clo_sql_base *b, const char *text)
{
    int code = sqlite3_exec(b->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? CLO_OK : database_error(b->db, code);
}

/* What SQLite may be asked to do once the rows are in: read our one table and call these functions. */
static int authorize(void *context, int action, const char *first, const char *second, const char *database, const char *trigger)
{
    static const char *const allowed[] = {"coalesce", "ifnull", "nullif", "length", "lower", "upper", "round"};
    (void)context;
    (void)database;
    if (trigger != NULL) return SQLITE_DENY;
    if (action == SQLITE_SELECT) return SQLITE_OK;
    if (action == SQLITE_READ) return first != NULL && strcmp(first, "rows") == 0 ? SQLITE_OK : SQLITE_DENY;
    if (action != SQLITE_FUNCTION || second == NULL) return SQLITE_DENY;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (strcasecmp(second, allowed[i]) == 0) return SQLITE_OK;
    return SQLITE_DENY;
}

static clo_err limit(clo_sql_base *b)
{
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, 1 << 20},        {SQLITE_LIMIT_SQL_LENGTH, SQL_TEXT_MAX},
        {SQLITE_LIMIT_COLUMN, 2000},           {SQLITE_LIMIT_EXPR_DEPTH, 1000},
        {SQLITE_LIMIT_COMPOUND_SELECT, 1},     {SQLITE_LIMIT_VDBE_OP, 100000},
        {SQLITE_LIMIT_FUNCTION_ARG, 8},        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1}, {SQLITE_LIMIT_VARIABLE_NUMBER, 1024},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},       {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    static const int off[] = {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
                              SQLITE_DBCONFIG_ENABLE_TRIGGER,
                              SQLITE_DBCONFIG_ENABLE_VIEW,
                              SQLITE_DBCONFIG_DQS_DML,
                              SQLITE_DBCONFIG_DQS_DDL,
                              SQLITE_DBCONFIG_TRUSTED_SCHEMA};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) (void)sqlite3_limit(b->db, limits[i][0], limits[i][1]);
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        int code = sqlite3_db_config(b->db, off[i], 0, NULL);
        if (code != SQLITE_OK) return database_error(b->db, code);
    }
    int code = sqlite3_db_config(b->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return code == SQLITE_OK ? CLO_OK : database_error(b->db, code);
}

static const char *storage(const clo_wire_column *c)
{
    switch (c->type) {
    case CLO_COLUMN_INT:
        return "INTEGER";
    case CLO_COLUMN_FLOAT:
        return "REAL";
    case CLO_COLUMN_CODE:
    case CLO_COLUMN_TEXT:
        break;
    }
    return "TEXT";
}

/* rows(g, the columns that WHERE reads, one integer per primitive but the first): names are ours, never the schema's. */
static clo_err create(clo_sql_base *b)
{
    CLO_AUTO(clo_buf_free) clo_buf table = {0}, insert = {0};
    const char *text = NULL;
    clo_buf_init(&table, SQL_TEXT_MAX);
    clo_buf_init(&insert, SQL_TEXT_MAX);
    CLO_TRY(clo_buf_put_str(&table, "CREATE TABLE rows(g INTEGER NOT NULL"));
    CLO_TRY(clo_buf_put_str(&insert, "INSERT INTO rows VALUES(?"));
    for (size_t i = 1; i < b->plan->primitive_count; i++) {
        CLO_TRY(clo_buf_printf(&table, ", p%zu INTEGER", i));
        CLO_TRY(clo_buf_put_str(&insert, ",?"));
    }
    for (size_t i = 0; i < b->schema->column_count; i++) {
        if (!b->program->where_columns[i]) continue;
        CLO_TRY(clo_buf_printf(&table, ", c%zu %s", i, storage(&b->schema->columns[i])));
        CLO_TRY(clo_buf_put_str(&insert, ",?"));
    }
    CLO_TRY(clo_buf_put_str(&table, ") STRICT"));
    CLO_TRY(clo_buf_put_str(&insert, ")"));
    CLO_TRY(clo_buf_cstr(&table, &text));
    CLO_TRY(run_text(b, text));
    CLO_TRY(clo_buf_cstr(&insert, &text));
    int code = sqlite3_prepare_v2(b->db, text, -1, &b->insert, NULL);
    return code == SQLITE_OK ? CLO_OK : database_error(b->db, code);
}

clo_err clo_sql_base_open(const clo_sql_program *program, const clo_sql_plan *plan, const clo_wire_schema *schema,
                          uint64_t memory_max, clo_sql_base **out)
{
    if (memory_max == 0) memory_max = MEMORY_DEFAULT;
    CLO_CHECKF(memory_max >= MEMORY_MIN && memory_max <= INT64_MAX, CLO_E_RANGE, "a run needs at least 1 MiB of memory");
    CLO_AUTO(clo_sql_base_free) clo_sql_base *b = calloc(1, sizeof *b);
    CLO_CHECK(b != NULL, CLO_E_NOMEM);
    b->program = program;
    b->plan = plan;
    b->schema = schema;
    b->heap_limit_before = sqlite3_hard_heap_limit64((sqlite3_int64)memory_max);
    b->cells = calloc(schema->column_count + 1, sizeof *b->cells);
    CLO_CHECK(b->cells != NULL, CLO_E_NOMEM);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int code = sqlite3_open_v2(":memory:", &b->db, flags, NULL);
    if (code != SQLITE_OK) return database_error(b->db, code);
    CLO_TRY(limit(b));
    /* No journal: a failed load ends the run. secure_delete: pages are zeroed when they are dropped. */
    CLO_TRY(run_text(b, "PRAGMA journal_mode=OFF; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON; BEGIN"));
    CLO_TRY(create(b));
    *out = CLO_TAKE(b);
    return CLO_OK;
}

void clo_sql_base_free(clo_sql_base **held)
{
    clo_sql_base *b = *held;
    if (b == NULL) return;
    (void)sqlite3_finalize(b->insert);
    (void)sqlite3_finalize(b->select);
    (void)sqlite3_close(b->db);
    (void)sqlite3_hard_heap_limit64(b->heap_limit_before);
    if (b->cells != NULL) clo_wipe(b->cells, (b->schema->column_count + 1) * sizeof *b->cells);
    free(b->cells);
    free(b);
    *held = NULL;
}

static int bind_cell(sqlite3_stmt *s, int at, const clo_wire_column *c, const clo_wire_cell *cell)
{
    if (cell->null) return sqlite3_bind_null(s, at);
    if (c->type == CLO_COLUMN_INT) return sqlite3_bind_int64(s, at, cell->integer);
    if (c->type == CLO_COLUMN_FLOAT) return sqlite3_bind_double(s, at, cell->number);
    return sqlite3_bind_text64(s, at, (const char *)cell->text.p, cell->text.n, SQLITE_STATIC, SQLITE_UTF8);
}

static clo_err insert_row(clo_sql_base *b)
{
    uint64_t group = 0;
    int at = 1;
    CLO_TRY(clo_sql_group_of(b->program, b->plan, b->schema, b->cells, &group));
    int code = sqlite3_bind_int64(b->insert, at++, (sqlite3_int64)group);
    for (size_t i = 1; i < b->plan->primitive_count && code == SQLITE_OK; i++) {
        const clo_sql_primitive *p = &b->plan->primitives[i];
        const clo_wire_cell *cell = &b->cells[p->column];
        int64_t value = cell->null ? 0 : p->is_sum ? clo_sql_grid(p, cell->number) : 1;
        code = sqlite3_bind_int64(b->insert, at++, value);
    }
    for (size_t i = 0; i < b->schema->column_count && code == SQLITE_OK; i++)
        if (b->program->where_columns[i]) code = bind_cell(b->insert, at++, &b->schema->columns[i], &b->cells[i]);
    if (code == SQLITE_OK) {
        int stepped = sqlite3_step(b->insert);
        code = sqlite3_reset(b->insert);
        if (code == SQLITE_OK && stepped != SQLITE_DONE) code = stepped;
    }
    return code == SQLITE_OK ? CLO_OK : database_error(b->db, code);
}

clo_err clo_sql_base_load(clo_sql_base *b, const clo_sql_input *input, const clo_dp_progress *progress, uint64_t *row_count)
{
    clo_wire_table rows = {0};
    uint64_t count = 0;
    CLO_TRY(clo_wire_table_open_arriving(b->schema, input->table, input->arrival, &rows, &count));
    for (uint64_t i = 0; i < count; i++) {
        if (i % PROGRESS_ROWS == 0) CLO_TRY(clo_dp_progress_step(progress, "load", i, count));
        CLO_TRY(clo_wire_table_next(&rows, b->cells));
        CLO_TRY(insert_row(b));
    }
    CLO_TRY(clo_wire_table_end(&rows));
    *row_count += count;
    return CLO_OK;
}

clo_err clo_sql_base_seal(clo_sql_base *b)
{
    CLO_AUTO(clo_buf_free) clo_buf select = {0};
    const char *text = NULL, *tail = NULL;
    clo_buf_init(&select, SQL_TEXT_MAX);
    (void)sqlite3_finalize(b->insert);
    b->insert = NULL;
    CLO_TRY(run_text(b, "COMMIT; PRAGMA query_only=ON"));
    int code = sqlite3_set_authorizer(b->db, authorize, NULL);
    if (code != SQLITE_OK) return database_error(b->db, code);
    CLO_TRY(clo_buf_put_str(&select, "SELECT g"));
    for (size_t i = 1; i < b->plan->primitive_count; i++) CLO_TRY(clo_buf_printf(&select, ", p%zu", i));
    CLO_TRY(clo_buf_put_str(&select, " FROM rows"));
    if (b->program->has_where) {
        CLO_TRY(clo_buf_put_str(&select, " WHERE ( "));
        CLO_TRY(clo_buf_put_span(&select, clo_buf_span(&b->program->where)));
        CLO_TRY(clo_buf_put_str(&select, ")"));
    }
    CLO_TRY(clo_buf_cstr(&select, &text));
    code = sqlite3_prepare_v2(b->db, text, -1, &b->select, &tail);
    if (code != SQLITE_OK) return database_error(b->db, code);
    CLO_CHECKF(*tail == '\0' && sqlite3_stmt_readonly(b->select) != 0, CLO_E_BUG, "the query is not one reading statement");
    return CLO_OK;
}

static int tick(void *context)
{
    clo_sql_base *b = context;
    b->stopped = clo_dp_progress_step(b->progress, "query", 0, 1);
    return clo_failed(b->stopped) ? 1 : 0;
}

static clo_err bind_parameters(clo_sql_base *b, const clo_wire_node *parameters)
{
    size_t given = parameters != NULL ? parameters->count : 0;
    CLO_CHECKF(parameters == NULL || parameters->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the parameters of a run are no map");
    for (size_t i = 0; i < b->program->parameter_count; i++) {
        const char *name = b->program->parameters[i];
        const clo_wire_node *v = given > 0 ? clo_wire_get(parameters, name) : NULL;
        CLO_CHECKF(v != NULL, CLO_E_MISSING_FIELD, "the program needs the parameter \"%s\"; give it with --param %s=VALUE", name,
                   name);
        int at = (int)i + 1, code = SQLITE_MISMATCH;
        if (v->type == CLO_WIRE_INT) code = sqlite3_bind_int64(b->select, at, v->integer);
        if (v->type == CLO_WIRE_FLOAT) code = sqlite3_bind_double(b->select, at, v->number);
        if (v->type == CLO_WIRE_TEXT)
            code = sqlite3_bind_text64(b->select, at, (const char *)v->text.p, v->text.n, SQLITE_STATIC, SQLITE_UTF8);
        CLO_CHECKF(code == SQLITE_OK, CLO_E_MALFORMED, "the parameter \"%s\" must be a text or a number", name);
    }
    CLO_CHECKF(given <= b->program->parameter_count, CLO_E_UNKNOWN_FIELD,
               "a parameter is given that the program does not use; leave it out");
    return CLO_OK;
}

clo_err clo_sql_base_query(clo_sql_base *b, const clo_wire_node *parameters, const clo_dp_progress *progress, uint64_t row_count,
                           int64_t *totals)
{
    CLO_TRY(bind_parameters(b, parameters));
    b->progress = progress;
    b->stopped = CLO_OK;
    sqlite3_progress_handler(b->db, PROGRESS_OPERATIONS, tick, b);
    size_t width = b->plan->primitive_count;
    uint64_t seen = 0;
    int code = SQLITE_OK;
    while ((code = sqlite3_step(b->select)) == SQLITE_ROW) {
        uint64_t group = (uint64_t)sqlite3_column_int64(b->select, 0);
        CLO_CHECKF(group < b->plan->cell_count && ++seen <= row_count, CLO_E_BUG, "the query gave a row that was not loaded");
        int64_t *to = totals + group * width;
        to[0]++;
        for (size_t i = 1; i < width; i++) {
            int64_t value = sqlite3_column_int64(b->select, (int)i);
            CLO_CHECKF(!__builtin_add_overflow(to[i], value, &to[i]), CLO_E_OVERFLOW, "a sum does not fit in 64 bits");
        }
    }
    sqlite3_progress_handler(b->db, 0, NULL, NULL);
    if (code == SQLITE_INTERRUPT && clo_failed(b->stopped)) return b->stopped;
    return code == SQLITE_DONE ? CLO_OK : database_error(b->db, code);
}
