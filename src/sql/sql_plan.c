/* What is measured, and why the noise suffices.
 *
 * Let D and D' be neighbours: the same number of rows, one row x replaced by x'. The run releases, for each primitive j and each
 * group g of a public domain, the integer T_j[g] = sum over the rows of g that pass WHERE of f_j(row), plus noise; everything
 * else in the output is computed from these noisy integers and public facts (post-processing), the withholding of small groups
 * included.
 *
 * 1. WHERE and the group of a row are functions of that row alone (sql_where.c; clo_sql_group_of), and so is f_j: 1 for counts
 * (of rows, or of rows where the column is not null), the grid value clo_sql_grid(v) in [-H, H] for sums (0 for null). No error
 *    can come out of them. So replacing one row takes f_j(x) out of at most one group and adds f_j(x') to at most one group.
 * 2. Counts, one cell (no GROUP BY): |change| <= 1, so L1 = 1 and L2^2 = 1. Several cells: -1 in one and +1 in another, so
 *    L1 = 2 and L2^2 = 2; within one cell at most 1.
 * 3. Sums: within one cell |f(x') - f(x)| <= 2H, so L1 = 2H and L2^2 = 4H^2. In two cells: H in each, L1 = 2H, L2^2 = 2H^2. A row
 * that WHERE drops or whose value is null contributes 0, which is inside both bounds. So L1 = 2H and L2^2 = 4H^2 always.
 * 4. Discrete Gaussian noise of variance s on every cell of j costs rho_j = L2^2 / (2 s) (Canonne, Kamath, Steinke 2020, theorem
 * 4, multivariate); discrete Laplace noise of scale b is (L1 / b)-DP, which costs rho_j = (L1 / b)^2 / 2 (Bun, Steinke 2016).
 * 5. Composition over j: the sum of rho_j, which is rho because each primitive gets rho / count exactly. zCDP under replacement.
 *
 * The grid: floating point enters f_j only inside one row, is clamped to [-H, H] at the end, and the sum runs in integers; so no
 * rounding, order or overflow of a floating-point sum can change the sensitivity. */
#include <math.h>

#include "dp/zcdp.h"
#include "sql/sql_int.h"

enum {
    GRID_HALF = 1 << 15
}; /* grid cells of half a column's range: rounding is far below any noise, totals fit 2^63 for 2^47 rows */

static clo_err add_count(clo_sql_plan *plan, const clo_sql_program *program, bool all_rows, size_t column, size_t *index)
{
    for (size_t i = 0; i < plan->primitive_count; i++) {
        const clo_sql_primitive *p = &plan->primitives[i];
        if (p->is_sum || p->all_rows != all_rows || (!all_rows && p->column != column)) continue;
        *index = i;
        return CLO_OK;
    }
    CLO_CHECKF(plan->primitive_count < CLO_SQL_PRIMITIVES_MAX, CLO_E_TOO_MANY, "the program measures too many quantities");
    bool cells = program->group_count > 0;
    *index = plan->primitive_count++;
    plan->primitives[*index] = (clo_sql_primitive){
        .all_rows = all_rows, .column = column, .step = 1, .sensitivity = cells ? 2 : 1, .sensitivity_squared = cells ? 2 : 1};
    return CLO_OK;
}

static clo_err add_sum(clo_sql_plan *plan, const clo_wire_column *c, size_t column, size_t *index)
{
    for (size_t i = 0; i < plan->primitive_count; i++) {
        if (!plan->primitives[i].is_sum || plan->primitives[i].column != column) continue;
        *index = i;
        return CLO_OK;
    }
    CLO_CHECKF(plan->primitive_count < CLO_SQL_PRIMITIVES_MAX, CLO_E_TOO_MANY, "the program measures too many quantities");
    double half_range = c->max / 2 - c->min / 2;
    CLO_CHECKF(isfinite(half_range) && half_range >= 0 && half_range < 1e300, CLO_E_RANGE,
               "the bounds of column \"%s\" are too far apart or reversed", c->name);
    int exponent = 0;
    double step = 1;
    if (half_range > 0) {
        (void)frexp(half_range, &exponent); /* half_range < 2^exponent, so half_range / step <= GRID_HALF */
        step = ldexp(1.0, exponent - 15);
    }
    CLO_CHECKF(step > 1e-300, CLO_E_RANGE, "the bounds of column \"%s\" are too close together", c->name);
    int64_t half = (int64_t)ceil(half_range / step);
    if (half < 1) half = 1;
    if (half > GRID_HALF) half = GRID_HALF;
    *index = plan->primitive_count++;
    plan->primitives[*index] = (clo_sql_primitive){.is_sum = true,
                                                   .column = column,
                                                   .middle = c->min + half_range,
                                                   .step = step,
                                                   .half = half,
                                                   .sensitivity = 2 * (uint64_t)half,
                                                   .sensitivity_squared = 4 * (uint64_t)half * (uint64_t)half};
    return CLO_OK;
}

static clo_err domain(const clo_sql_program *program, const clo_wire_schema *schema, clo_sql_plan *plan)
{
    plan->cell_count = 1;
    for (size_t i = 0; i < program->group_count; i++) {
        const clo_wire_column *c = &schema->columns[program->groups[i]];
        uint64_t size = c->code_count;
        if (c->type == CLO_COLUMN_INT) {
            double span = floor(c->max) - ceil(c->min);
            CLO_CHECKF(fabs(c->min) < 0x1p53 && fabs(c->max) < 0x1p53 && span >= 0 && span < CLO_SQL_GROUPS_MAX, CLO_E_TOO_MANY,
                       "column \"%s\" has too many possible values to group by; narrow its public bounds", c->name);
            size = (uint64_t)span + 1;
        }
        size += c->nullable ? 1 : 0;
        CLO_CHECKF(size > 0 && size <= CLO_SQL_GROUPS_MAX / plan->cell_count, CLO_E_TOO_MANY,
                   "the grouping columns have more than %d combinations; group by fewer columns", CLO_SQL_GROUPS_MAX);
        plan->radix[i] = size;
        plan->cell_count *= size;
    }
    return CLO_OK;
}

clo_err clo_sql_plan_make(clo_sql_program *program, const clo_wire_schema *schema, clo_sql_plan *plan)
{
    size_t rows = 0;
    memset(plan, 0, sizeof *plan);
    CLO_TRY(domain(program, schema, plan));
    CLO_TRY(add_count(plan, program, true, 0, &rows)); /* always: small groups are withheld by it */
    for (size_t i = 0; i < program->item_count; i++) {
        clo_sql_item *it = &program->items[i];
        const clo_wire_column *c = &schema->columns[it->column];
        if (it->kind == CLO_SQL_GROUP || it->kind == CLO_SQL_COUNT_ALL) continue;
        CLO_TRY(add_count(plan, program, !c->nullable, c->nullable ? it->column : 0, &it->count));
        if (it->kind != CLO_SQL_COUNT) CLO_TRY(add_sum(plan, c, it->column, &it->sum));
    }
    return CLO_OK;
}

clo_err clo_sql_plan_budget(clo_sql_plan *plan, clo_dp_rational rho, clo_sql_mechanism mechanism)
{
    clo_dp_rational share = {0, 1};
    CLO_CHECKF(clo_dp_rational_valid(rho) && !clo_dp_rational_is_zero(rho), CLO_E_RANGE,
               "the privacy budget of a run must be above 0");
    CLO_TRY(clo_dp_rational_divide(rho, plan->primitive_count, &share));
    for (size_t i = 0; i < plan->primitive_count; i++) {
        clo_sql_primitive *p = &plan->primitives[i];
        p->rho = share;
        if (mechanism == CLO_SQL_DISCRETE_GAUSSIAN)
            CLO_TRY(clo_dp_zcdp_sigma_squared(p->sensitivity_squared, share, &p->noise));
        else
            CLO_TRY(clo_dp_zcdp_scale(p->sensitivity, share, &p->noise));
    }
    return CLO_OK;
}

int64_t clo_sql_grid(const clo_sql_primitive *p, double value)
{
    double v = (value - p->middle) / p->step;
    if (!(v >= (double)-p->half)) return -p->half; /* also what is no number */
    if (v >= (double)p->half) return p->half;
    return (int64_t)floor(v + 0.5) > p->half ? p->half : (int64_t)floor(v + 0.5);
}

clo_err clo_sql_group_of(const clo_sql_program *program, const clo_sql_plan *plan, const clo_wire_schema *schema,
                         const clo_wire_cell *cells, uint64_t *group)
{
    uint64_t g = 0;
    for (size_t i = 0; i < program->group_count; i++) {
        const clo_wire_column *c = &schema->columns[program->groups[i]];
        const clo_wire_cell *cell = &cells[program->groups[i]];
        uint64_t index = plan->radix[i] - 1; /* null, where the column has it */
        if (!cell->null) index = (uint64_t)(cell->integer - (c->type == CLO_COLUMN_INT ? (int64_t)ceil(c->min) : 0));
        CLO_CHECKF(index < plan->radix[i] && (!cell->null || c->nullable), CLO_E_RANGE,
                   "a value of column \"%s\" is outside its public domain", c->name);
        g = g * plan->radix[i] + index;
    }
    *group = g;
    return CLO_OK;
}
