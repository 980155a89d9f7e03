#include <math.h>
#include <stdlib.h>

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "sql/sql_int.h"

/* Everything of one run, on the heap: programs and plans are large. */
typedef struct {
    clo_sql_program program;
    clo_sql_plan plan;
    int64_t *totals; /* exact, then noisy; cell_count x primitive_count */
    int64_t *noise;
    size_t total_count;
    uint64_t row_count, suppressed;
} run;

static void run_free(run **held)
{
    run *r = *held;
    if (r == NULL) return;
    if (r->totals != NULL) clo_wipe(r->totals, r->total_count * sizeof *r->totals);
    if (r->noise != NULL) clo_wipe(r->noise, r->total_count * sizeof *r->noise);
    free(r->totals);
    free(r->noise);
    clo_sql_program_free(&r->program);
    free(r);
    *held = NULL;
}

static clo_err run_new(clo_span program, const clo_wire_schema *schema, run **out)
{
    CLO_AUTO(run_free) run *r = calloc(1, sizeof *r);
    CLO_CHECK(r != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_sql_parse(program, schema, &r->program));
    CLO_TRY(clo_sql_plan_make(&r->program, schema, &r->plan));
    *out = CLO_TAKE(r);
    return CLO_OK;
}

clo_err clo_sql_check(clo_span program, const clo_wire_schema *schema)
{
    CLO_AUTO(run_free) run *r = NULL;
    CLO_AUTO(clo_sql_base_free) clo_sql_base *base = NULL;
    CLO_CHECKF(schema != NULL, CLO_E_MISSING_FIELD, "a program needs the schema of its rows");
    CLO_TRY(run_new(program, schema, &r));
    CLO_TRY(clo_sql_base_open(&r->program, &r->plan, schema, 0, &base));
    return clo_sql_base_seal(base);
}

/* All noise of the release in one batch, before the first row is read: its duration can tell nothing about the rows. */
static clo_err draw_noise(run *r, const clo_sql_request *request)
{
    enum { PROGRESS_DRAWS = 4096 };
    CLO_AUTO(clo_dp_sampler_wipe) clo_dp_sampler sampler;
    clo_dp_sampler_init(&sampler, request->rng);
    size_t width = r->plan.primitive_count;
    r->total_count = (size_t)r->plan.cell_count * width;
    r->noise = calloc(r->total_count, sizeof *r->noise);
    r->totals = calloc(r->total_count, sizeof *r->totals);
    CLO_CHECK(r->noise != NULL && r->totals != NULL, CLO_E_NOMEM);
    for (size_t i = 0; i < r->total_count; i++) {
        clo_dp_rational noise = r->plan.primitives[i % width].noise;
        if (i % PROGRESS_DRAWS == 0) CLO_TRY(clo_dp_progress_step(&request->progress, "noise", i, r->total_count));
        if (request->mechanism == CLO_SQL_DISCRETE_GAUSSIAN)
            CLO_TRY(clo_dp_sample_gaussian(&sampler, noise, &r->noise[i]));
        else
            CLO_TRY(clo_dp_sample_laplace(&sampler, noise, &r->noise[i]));
    }
    return CLO_OK;
}

static clo_err measure(run *r, const clo_sql_request *request)
{
    CLO_AUTO(clo_sql_base_free) clo_sql_base *base = NULL;
    CLO_TRY(clo_sql_base_open(&r->program, &r->plan, request->inputs[0].schema, request->memory_max, &base));
    for (size_t i = 0; i < request->input_count; i++)
        CLO_TRY(clo_sql_base_load(base, &request->inputs[i], &request->progress, &r->row_count));
    CLO_TRY(clo_sql_base_seal(base));
    CLO_TRY(clo_sql_base_query(base, request->parameters, &request->progress, r->row_count, r->totals));
    for (size_t i = 0; i < r->total_count; i++)
        CLO_CHECKF(!__builtin_add_overflow(r->totals[i], r->noise[i], &r->totals[i]), CLO_E_OVERFLOW,
                   "a sum does not fit in 64 bits");
    return CLO_OK;
}

/* The value of one grouping column in a group: the group number is read from its last column backwards. */
static clo_err group_cell(clo_arena *a, const run *r, const clo_wire_schema *schema, size_t column, uint64_t group,
                          clo_wire_node **out)
{
    for (size_t i = r->program.group_count; i-- > 0;) {
        uint64_t index = group % r->plan.radix[i];
        group /= r->plan.radix[i];
        if (r->program.groups[i] != column) continue;
        const clo_wire_column *c = &schema->columns[column];
        if (c->nullable && index == r->plan.radix[i] - 1) return clo_wire_null(a, out);
        if (c->type == CLO_COLUMN_INT) return clo_wire_int(a, (int64_t)ceil(c->min) + (int64_t)index, out);
        return clo_wire_text(a, clo_span_str(c->codes[index]), out);
    }
    return CLO_FAILF(CLO_E_BUG, "a selected column is not grouped by");
}

static double within(double v, double low, double high) { return fmin(fmax(v, low), high); }

/* From noisy integers and public facts alone. */
static clo_err aggregate_cell(clo_arena *a, const run *r, const clo_wire_schema *schema, const clo_sql_item *it,
                              const int64_t *noisy, clo_wire_node **out)
{
    if (it->kind == CLO_SQL_COUNT_ALL) return clo_wire_int(a, noisy[0], out);
    int64_t count = noisy[it->count];
    if (it->kind == CLO_SQL_COUNT) return clo_wire_int(a, count, out);
    const clo_sql_primitive *p = &r->plan.primitives[it->sum];
    const clo_wire_column *c = &schema->columns[it->column];
    double centred = (double)noisy[it->sum] * p->step;
    if (it->kind == CLO_SQL_SUM) {
        double sum = centred + p->middle * (double)count;
        return isfinite(sum) ? clo_wire_float(a, sum, out) : clo_wire_null(a, out);
    }
    if (count < 1) return clo_wire_null(a, out);
    return clo_wire_float(a, within(p->middle + centred / (double)count, c->min, c->max), out);
}

static clo_err row_node(clo_arena *a, run *r, const clo_sql_request *request, uint64_t group, clo_wire_node **out)
{
    const int64_t *noisy = r->totals + group * r->plan.primitive_count;
    uint64_t min_rows = request->min_rows > 0 ? request->min_rows : 1;
    bool withheld = noisy[0] < 0 || (uint64_t)noisy[0] < min_rows;
    clo_wire_node *row = NULL;
    CLO_TRY(clo_wire_array(a, &row));
    r->suppressed += withheld;
    for (size_t i = 0; i < r->program.item_count; i++) {
        const clo_sql_item *it = &r->program.items[i];
        const clo_wire_schema *schema = request->inputs[0].schema;
        clo_wire_node *cell = NULL;
        if (it->kind == CLO_SQL_GROUP)
            CLO_TRY(group_cell(a, r, schema, it->column, group, &cell));
        else if (withheld)
            CLO_TRY(clo_wire_null(a, &cell));
        else
            CLO_TRY(aggregate_cell(a, r, schema, it, noisy, &cell));
        CLO_TRY(clo_wire_append(row, cell));
    }
    *out = row;
    return CLO_OK;
}

static clo_err noise_node(clo_arena *a, const run *r, const clo_wire_schema *schema, clo_sql_mechanism mechanism, clo_wire_node **out)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < r->plan.primitive_count; i++) {
        const clo_sql_primitive *p = &r->plan.primitives[i];
        const char *name = "count(*)";
        char rho[CLO_DP_RATIONAL_TEXT];
        clo_wire_node *entry = NULL;
        CLO_TRY(clo_wire_map(a, &entry));
        if (!p->all_rows)
            CLO_TRY(clo_arena_printf(a, &name, "%s(%s)", p->is_sum ? "sum" : "count", schema->columns[p->column].name));
        CLO_TRY(clo_wire_set_text(a, entry, "column", name));
        clo_dp_rational_format(rho, p->rho);
        double width = clo_dp_rational_double(p->noise);
        if (mechanism == CLO_SQL_DISCRETE_GAUSSIAN) {
            CLO_TRY(clo_wire_set_text(a, entry, "mechanism", "discrete-gaussian"));
            CLO_TRY(clo_wire_set_float(a, entry, "sigma", sqrt(width) * p->step));
        } else {
            CLO_TRY(clo_wire_set_text(a, entry, "mechanism", "discrete-laplace"));
            CLO_TRY(clo_wire_set_float(a, entry, "scale", width * p->step));
        }
        CLO_TRY(clo_wire_set_text(a, entry, "rho", rho));
        CLO_TRY(clo_wire_append(list, entry));
    }
    *out = list;
    return CLO_OK;
}

clo_err clo_sql_noise(clo_arena *a, clo_span program, const clo_wire_schema *schema, clo_dp_rational rho, clo_sql_mechanism mechanism,
                      clo_wire_node **out)
{
    CLO_AUTO(run_free) run *r = NULL;
    CLO_TRY(run_new(program, schema, &r));
    CLO_TRY(clo_sql_plan_budget(&r->plan, rho, mechanism));
    return noise_node(a, r, schema, mechanism, out);
}

static clo_err result_node(clo_arena *a, run *r, const clo_sql_request *request, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *columns = NULL, *rows = NULL, *noise = NULL;
    char rho[CLO_DP_RATIONAL_TEXT];
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_array(a, &columns));
    CLO_TRY(clo_wire_array(a, &rows));
    for (size_t i = 0; i < r->program.item_count; i++) {
        clo_wire_node *name = NULL;
        CLO_TRY(clo_wire_text(a, clo_span_str(r->program.items[i].name), &name));
        CLO_TRY(clo_wire_append(columns, name));
    }
    for (uint64_t g = 0; g < r->plan.cell_count; g++) {
        clo_wire_node *row = NULL;
        CLO_TRY(row_node(a, r, request, g, &row));
        CLO_TRY(clo_wire_append(rows, row));
    }
    CLO_TRY(noise_node(a, r, request->inputs[0].schema, request->mechanism, &noise));
    clo_dp_rational_format(rho, request->rho);
    CLO_TRY(clo_wire_set_text(a, map, "kind", "sql"));
    CLO_TRY(clo_wire_set(a, map, "columns", columns));
    CLO_TRY(clo_wire_set(a, map, "rows", rows));
    CLO_TRY(clo_wire_set_int(a, map, "suppressed", (int64_t)r->suppressed));
    CLO_TRY(clo_wire_set_int(a, map, "min_rows", request->min_rows > 0 ? (int64_t)request->min_rows : 1));
    CLO_TRY(clo_wire_set(a, map, "noise", noise));
    CLO_TRY(clo_wire_set_text(a, map, "rho", rho));
    *out = map;
    return CLO_OK;
}

static clo_err check_request(const clo_sql_request *request)
{
    CLO_CHECKF(request->input_count >= 1 && request->input_count <= CLO_SQL_INPUTS_MAX, CLO_E_TOO_MANY,
               "a run has 1 to %d input tables", CLO_SQL_INPUTS_MAX);
    CLO_CHECKF(request->min_rows <= INT64_MAX, CLO_E_RANGE, "the minimum number of rows is too large");
    CLO_CHECKF(request->mechanism == CLO_SQL_DISCRETE_GAUSSIAN || request->mechanism == CLO_SQL_DISCRETE_LAPLACE,
               CLO_E_UNSUPPORTED, "the noise mechanism must be discrete-gaussian or discrete-laplace");
    for (size_t i = 0; i < request->input_count; i++) {
        const clo_wire_schema *schema = request->inputs[i].schema;
        CLO_CHECKF(schema != NULL, CLO_E_MISSING_FIELD, "input table %zu has no schema", i + 1);
        CLO_CHECKF(memcmp(schema->digest, request->inputs[0].schema->digest, sizeof schema->digest) == 0, CLO_E_MALFORMED,
                   "input table %zu has another schema than the first; the parties must use the same schema file", i + 1);
    }
    return CLO_OK;
}

clo_err clo_sql_run(clo_arena *a, const clo_sql_request *request, clo_wire_node **output)
{
    CLO_AUTO(run_free) run *r = NULL;
    clo_wire_node *result = NULL;
    CLO_TRY(check_request(request));
    CLO_TRY(run_new(request->program, request->inputs[0].schema, &r));
    CLO_TRY(clo_sql_plan_budget(&r->plan, request->rho, request->mechanism));
    CLO_TRY(draw_noise(r, request));
    CLO_TRY(measure(r, request));
    CLO_TRY(result_node(a, r, request, &result));
    CLO_TRY(clo_dp_progress_step(&request->progress, "done", 1, 1));
    *output = result;
    return CLO_OK;
}
