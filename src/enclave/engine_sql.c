/* The SQL engine behind the engine interface. The result is deterministic CBOR of the map that clo_sql_run describes. */
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "enclave/engine.h"
#include "sql/sql.h"
#include "wire/cbor.h"

enum { TREE_MAX = 256 * 1024 * 1024, NOISE_MAX = 1 << 20, CELLS_MAX = CLO_SQL_GROUPS_MAX * CLO_SQL_ITEMS_MAX + 65536 };

/* A parameter's value arrives as text: a whole number, a number, or a code. */
static clo_err parameters_make(clo_arena *a, const clo_collab_run_request *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    for (size_t i = 0; i < r->parameter_count; i++) {
        const char *name = r->parameters[i].name, *value = r->parameters[i].value;
        clo_span text = clo_span_str(value);
        int64_t whole = 0;
        double number = 0;
        if (!clo_failed(clo_i64_parse(&whole, text))) CLO_TRY(clo_wire_set_int(a, map, name, whole));
        else if (!clo_failed(clo_f64_parse(&number, text))) CLO_TRY(clo_wire_set_float(a, map, name, number));
        else CLO_TRY(clo_wire_set_text(a, map, name, value));
    }
    *out = map;
    return CLO_OK;
}

static clo_err check(const clo_enclave_task *t)
{
    CLO_CHECKF(t->input_count >= 1 && t->input_count <= CLO_SQL_INPUTS_MAX, CLO_E_RANGE, "a sql program reads 1 to %d datasets", CLO_SQL_INPUTS_MAX);
    CLO_CHECKF(t->program->sql != NULL, CLO_E_MISSING_FIELD, "program %s has no sql text", t->program->name);
    for (size_t i = 1; i < t->input_count; i++)
        CLO_CHECKF(memcmp(t->inputs[i].schema->digest, t->inputs[0].schema->digest, 32) == 0, CLO_E_UNSUPPORTED,
                   "the datasets of a sql program must have one schema; use datasets sealed under the same schema");
    CLO_TRY(clo_sql_check(clo_span_str(t->program->sql), t->inputs[0].schema));
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_arena_init(&a, 64 * 1024);
    clo_wire_node *parameters = NULL;
    return parameters_make(&a, t->request, &parameters);
}

static clo_sql_mechanism mechanism_of(const clo_enclave_task *t)
{
    return strcmp(t->program->noise, "discrete-laplace") == 0 ? CLO_SQL_DISCRETE_LAPLACE : CLO_SQL_DISCRETE_GAUSSIAN;
}

static clo_err run(const clo_enclave_task *t, clo_dp_rng rng, clo_dp_progress progress, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_arena_init(&a, TREE_MAX);
    clo_sql_input inputs[CLO_DATASETS_MAX];
    clo_wire_node *parameters = NULL, *result = NULL;
    CLO_TRY(parameters_make(&a, t->request, &parameters));
    for (size_t i = 0; i < t->input_count; i++)
        inputs[i] = (clo_sql_input){.schema = t->inputs[i].schema, .table = t->inputs[i].table, .arrival = t->inputs[i].arrival};
    clo_sql_request r = {.inputs = inputs, .input_count = t->input_count, .program = clo_span_str(t->program->sql),
                         .parameters = parameters, .rho = t->rho, .min_rows = t->min_rows, .rng = rng, .progress = progress};
    r.mechanism = mechanism_of(t);
    CLO_TRY(clo_sql_run(&a, &r, &result));
    return clo_wire_cbor_encode(result, out);
}

/* The noise that the result tells of must be the one that the agreed program and price make; the child is not asked. */
static clo_err noise_check(clo_arena *a, const clo_enclave_task *t, const clo_wire_node *told)
{
    CLO_AUTO(clo_buf_free) clo_buf is, should;
    clo_wire_node *expected = NULL;
    clo_buf_init(&is, NOISE_MAX);
    clo_buf_init(&should, NOISE_MAX);
    CLO_TRY(clo_sql_noise(a, clo_span_str(t->program->sql), t->inputs[0].schema, t->rho, mechanism_of(t), &expected));
    CLO_TRY(clo_wire_cbor_encode(expected, &should));
    CLO_TRY(clo_wire_cbor_encode(told, &is));
    CLO_CHECKF(clo_span_equal(clo_buf_span(&is), clo_buf_span(&should)), CLO_E_MALFORMED, "the result was made with other noise than was agreed");
    return CLO_OK;
}

static clo_err inspect(const clo_enclave_task *t, clo_span result, clo_dp_rational *spent)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_arena_init(&a, TREE_MAX);
    clo_wire_cbor_limits limits = {.items_max = CELLS_MAX};
    clo_wire_node *root = NULL;
    clo_wire_fields f;
    const clo_wire_node *columns = NULL, *rows = NULL, *noise = NULL;
    char kind[16];
    const char *rho = "";
    int64_t suppressed = 0, min_rows = 0;
    CLO_TRY(clo_wire_cbor_decode(&a, result, &limits, &root));
    clo_wire_fields_open(&f, &a, root, "result");
    clo_wire_take_str(&f, "kind", kind, sizeof kind);
    clo_wire_take_array(&f, "columns", &columns, CLO_SQL_ITEMS_MAX);
    clo_wire_take_array(&f, "rows", &rows, CLO_SQL_GROUPS_MAX);
    clo_wire_take_int(&f, "suppressed", &suppressed, 0, CLO_SQL_GROUPS_MAX);
    clo_wire_take_int(&f, "min_rows", &min_rows, 0, INT64_MAX);
    clo_wire_take_array(&f, "noise", &noise, 4 * CLO_SQL_ITEMS_MAX);
    clo_wire_take_text(&f, "rho", &rho, CLO_DP_RATIONAL_TEXT);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(strcmp(kind, "sql") == 0, CLO_E_MALFORMED, "the result is not of kind sql");
    CLO_CHECKF((uint64_t)min_rows >= t->min_rows, CLO_E_MALFORMED, "the result was made under another minimum of rows");
    for (const clo_wire_node *row = rows->first; row != NULL; row = row->next) {
        CLO_CHECKF(row->type == CLO_WIRE_ARRAY && row->count == columns->count, CLO_E_MALFORMED, "a row of the result does not fit its columns");
        for (const clo_wire_node *c = row->first; c != NULL; c = c->next)
            CLO_CHECKF(c->type != CLO_WIRE_ARRAY && c->type != CLO_WIRE_MAP && c->type != CLO_WIRE_BYTES && c->type != CLO_WIRE_TAG,
                       CLO_E_MALFORMED, "a cell of the result is no scalar");
    }
    CLO_TRY(noise_check(&a, t, noise));
    return clo_dp_rational_parse(clo_span_str(rho), spent);
}

const clo_enclave_engine clo_enclave_engine_sql = {
    .name = "sql", .kind = "table", .media_type = "application/cbor", .check = check, .run = run, .inspect = inspect};

static clo_err fill(void *context, uint8_t *to, size_t n)
{
    (void)context;
    return clo_crypto_random(to, n);
}

clo_dp_rng clo_enclave_engine_rng(void) { return (clo_dp_rng){.context = NULL, .fill = fill}; }

const clo_enclave_engine *clo_enclave_engine_find(clo_collab_program_kind kind)
{
    switch (kind) {
    case CLO_PROGRAM_SQL: return &clo_enclave_engine_sql;
    case CLO_PROGRAM_TRAIN: return &clo_enclave_engine_train;
    }
    return NULL;
}
