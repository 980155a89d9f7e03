/* Proves that the engine computes what the program says (against direct computation, with a budget so large that noise vanishes),
 * that noise and withholding follow the stated rules under a seeded source, that the budget is split exactly, that broken input
 * ends without output, and that replacing any one row never changes the exact integers by more than the stated sensitivity. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dp/dp_test_rng.h"
#include "dp/table_fixture.h"
#include "dp/zcdp.h"
#include "sql/sql.h"
#include "sql/sql_int.h"

static const char *const schema_json = "{\"columns\": {"
                                       "\"site\": {\"type\": \"code\", \"codes\": [\"north\", \"south\", \"it's\"]},"
                                       "\"age\": {\"type\": \"int\", \"min\": 0, \"max\": 100},"
                                       "\"score\": {\"type\": \"float\", \"min\": -50.0, \"max\": 150.0, \"nullable\": true},"
                                       "\"sick\": {\"type\": \"int\", \"min\": 0, \"max\": 1, \"nullable\": true},"
                                       "\"note\": {\"type\": \"text\", \"nullable\": true},"
                                       "\"free\": {\"type\": \"float\"}}}";

enum { ROWS = 300 };
typedef struct {
    int site, age, sick; /* sick -1: null */
    double score;        /* NAN: null */
    char note[16];
} row;
typedef struct {
    clo_arena arena;
    clo_wire_schema *schema;
    row rows[ROWS];
    clo_sql_input inputs[3];
    dp_test_rng rng;
} fixture;

static const char *const sites[] = {"north", "south", "it's"};

static clo_span make_table(fixture *f, size_t from, size_t to)
{
    CLO_AUTO(clo_buf_free) clo_buf csv = {0};
    clo_buf_init(&csv, 1 << 20);
    assert_ok(clo_buf_put_str(&csv, "site,age,score,sick,note,free\n"));
    for (size_t i = from; i < to; i++) {
        const row *r = &f->rows[i];
        assert_ok(clo_buf_printf(&csv, "%s,%d,", sites[r->site], r->age));
        if (!isnan(r->score)) assert_ok(clo_buf_printf(&csv, "%.17g", r->score));
        assert_ok(clo_buf_put_str(&csv, ","));
        if (r->sick >= 0) assert_ok(clo_buf_printf(&csv, "%d", r->sick));
        assert_ok(clo_buf_printf(&csv, ",%s,%d\n", r->note, (int)i));
    }
    return table_fixture_table(&f->arena, f->schema, clo_buf_span(&csv));
}

static void make_inputs(fixture *f)
{
    static const size_t ends[] = {0, 100, 170, ROWS};
    for (size_t i = 0; i < 3; i++) f->inputs[i] = (clo_sql_input){.schema = f->schema, .table = make_table(f, ends[i], ends[i + 1])};
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    clo_arena_init(&f->arena, (size_t)1 << 28);
    f->schema = table_fixture_schema(&f->arena, schema_json);
    f->rng = (dp_test_rng){99, -1};
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t v = dp_test_rng_next(&f->rng);
        row *r = &f->rows[i];
        r->site = (int)(v % 5) % 3 == 2 && v % 7 != 0 ? 0 : (int)(v % 5) % 3;
        r->age = (int)(v >> 8 & 0xff) % 101;
        r->sick = (v >> 16 & 15) == 0 ? -1 : (int)(v >> 20 & 1);
        r->score = (v >> 24 & 15) == 0 ? (double)NAN : (double)(v >> 32 & 0xffff) / 65536.0 * 200 - 50;
        (void)snprintf(r->note, sizeof r->note, "%s%d", (v >> 50 & 1) != 0 ? "Ab" : "cd", (int)(v >> 52 & 3));
    }
    make_inputs(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    clo_arena_free(&f->arena);
    free(f);
    return 0;
}

static clo_dp_rational q(uint64_t n, uint64_t d)
{
    clo_dp_rational r = clo_dp_rational_zero();
    assert_ok(clo_dp_rational_make(n, d, &r));
    return r;
}

static clo_sql_request request_of(fixture *f, const char *program, clo_dp_rational rho)
{
    return (clo_sql_request){
        .inputs = f->inputs, .input_count = 3, .program = clo_span_str(program), .rho = rho, .rng = dp_test_rng_of(&f->rng)};
}

static clo_wire_node *run_exact(fixture *f, const char *program, const char *parameters)
{
    clo_wire_node *out = NULL, *map = NULL;
    clo_sql_request r = request_of(f, program, q(1000000000, 1));
    if (parameters != NULL) {
        assert_ok(clo_wire_json_decode(&f->arena, clo_span_str(parameters), &map));
        r.parameters = map;
    }
    assert_ok(clo_sql_check(r.program, f->schema));
    assert_ok(clo_sql_run(&f->arena, &r, &out));
    return out;
}

static const clo_wire_node *cell_at(const clo_wire_node *output, size_t r, size_t c)
{
    const clo_wire_node *n = clo_wire_get(output, "rows")->first;
    while (r-- > 0) n = n->next;
    n = n->first;
    while (c-- > 0) n = n->next;
    return n;
}

static double number_at(const clo_wire_node *output, size_t r, size_t c)
{
    const clo_wire_node *n = cell_at(output, r, c);
    return n->type == CLO_WIRE_INT ? (double)n->integer : n->type == CLO_WIRE_FLOAT ? n->number : (double)NAN;
}

static void test_groups_against_direct(void **state)
{
    fixture *f = *state;
    clo_wire_node *out = run_exact(
        f, "select site, COUNT(*), count(score) as n, SUM(score), AVG(score) AS mean, avg(age) from ROWS group by site;", NULL);
    assert_int_equal(clo_wire_get(out, "columns")->count, 6);
    assert_int_equal(clo_wire_get(out, "rows")->count, 3);
    for (size_t s = 0; s < 3; s++) {
        double count = 0, n = 0, sum = 0, ages = 0;
        for (size_t i = 0; i < ROWS; i++) {
            if (f->rows[i].site != (int)s) continue;
            count++;
            ages += f->rows[i].age;
            if (isnan(f->rows[i].score)) continue;
            n++;
            sum += f->rows[i].score;
        }
        assert_string_equal((const char *)cell_at(out, s, 0)->text.p, sites[s]);
        assert_true(fabs(number_at(out, s, 1) - count) < 0.5);
        assert_true(fabs(number_at(out, s, 2) - n) < 0.5);
        assert_true(fabs(number_at(out, s, 3) - sum) < 0.01 * n + 1);
        assert_true(fabs(number_at(out, s, 4) - sum / n) < 0.02);
        assert_true(fabs(number_at(out, s, 5) - ages / count) < 0.02);
    }
}

/* Each WHERE expression beside the same in C. */
static bool want(const row *r, int which)
{
    bool score = !isnan(r->score);
    switch (which) {
    case 0:
        return r->age >= 18 && r->age < 65;
    case 1:
        return r->site == 0 || (r->site == 2 && r->age != 40);
    case 2:
        return !score;
    case 3:
        return score && r->age * 2 + 10 > r->score;
    case 4:
        return r->site == 0 || r->site == 2;
    case 5:
        return r->age < 30 || r->age > 60;
    case 6:
        return strcmp(r->note, "Ab1") == 0 || strcmp(r->note, "cd2") == 0;
    case 7:
        return (r->note[0] == 'A') && r->sick == 1;
    case 8:
        return r->age > 33;
    case 9:
        return strcmp(r->note, "cd2") == 0;
    case 10:
        return (score ? r->score : -1) >= 0;
    case 11:
        return r->sick >= 0 && r->sick != 1;
    default:
        return true;
    }
}

static void test_where_against_direct(void **state)
{
    fixture *f = *state;
    static const char *const texts[] = {
        "age >= 18 AND age < 65",
        "site = 'north' OR site = 'it''s' AND NOT age = 40",
        "score IS NULL",
        "age * 2 + 10 > score",
        "site IN ('north', 'it''s')",
        "age NOT BETWEEN 30 AND 60",
        "note IN ('Ab1', 'cd2')",
        "UPPER(\"note\") < 'B' AND (sick = 1)",
        "age > :cut",
        "note = :text",
        "COALESCE(score, -1) >= 0",
        "sick <> 1",
    };
    for (int i = 0; i < (int)(sizeof texts / sizeof texts[0]); i++) {
        char program[256];
        double count = 0, ages = 0;
        (void)snprintf(program, sizeof program, "SELECT COUNT(*), SUM(age) FROM rows WHERE %s", texts[i]);
        clo_wire_node *out = run_exact(f, program, i == 8 ? "{\"cut\": 33}" : i == 9 ? "{\"text\": \"cd2\"}" : NULL);
        for (size_t k = 0; k < ROWS; k++) {
            if (!want(&f->rows[k], i)) continue;
            count++;
            ages += f->rows[k].age;
        }
        if (fabs(number_at(out, 0, 0) - count) > 0.5 || fabs(number_at(out, 0, 1) - ages) > 0.01 * count + 1)
            fail_msg("%s: %f of %f, sum %f of %f", texts[i], number_at(out, 0, 0), count, number_at(out, 0, 1), ages);
    }
}

/* Every group of the public domain is there, the empty ones withheld; null is a group where the column can be null. */
static void test_public_domain(void **state)
{
    fixture *f = *state;
    clo_wire_node *out = run_exact(f, "SELECT sick, site, COUNT(*) AS n FROM rows WHERE sick = 1 GROUP BY site, sick", NULL);
    assert_int_equal(clo_wire_get(out, "rows")->count, 9);
    assert_int_equal(clo_wire_get(out, "suppressed")->integer, 6);
    for (size_t i = 0; i < 9; i++) {
        const clo_wire_node *sick = cell_at(out, i, 0);
        if (i % 3 == 2) assert_int_equal(sick->type, CLO_WIRE_NULL);
        if (i % 3 < 2) assert_int_equal(sick->integer, i % 3);
        assert_int_equal(cell_at(out, i, 2)->type, i % 3 == 1 ? CLO_WIRE_INT : CLO_WIRE_NULL);
    }
}

static void test_min_rows(void **state)
{
    fixture *f = *state;
    clo_wire_node *all = run_exact(f, "SELECT site, COUNT(*) FROM rows GROUP BY site", NULL), *out = NULL;
    for (size_t s = 0; s < 3; s++) {
        int64_t exact = cell_at(all, s, 1)->integer;
        clo_sql_request r = request_of(f, "SELECT site, AVG(age) FROM rows GROUP BY site", q(1000000000, 1));
        r.min_rows = (uint64_t)exact;
        assert_ok(clo_sql_run(&f->arena, &r, &out));
        assert_int_equal(cell_at(out, s, 1)->type, CLO_WIRE_FLOAT);
        r.min_rows = (uint64_t)exact + 1;
        assert_ok(clo_sql_run(&f->arena, &r, &out));
        assert_int_equal(cell_at(out, s, 1)->type, CLO_WIRE_NULL);
    }
    /* The decision is made on the noisy count: at a threshold equal to the exact count it goes either way. */
    int withheld = 0;
    for (int i = 0; i < 200; i++) {
        clo_sql_request r = request_of(f, "SELECT COUNT(*) FROM rows", q(1, 50));
        r.min_rows = ROWS;
        assert_ok(clo_sql_run(&f->arena, &r, &out));
        withheld += (int)clo_wire_get(out, "suppressed")->integer;
    }
    assert_in_range(withheld, 50, 150);
}

/* Noise has the stated width, for both mechanisms. */
static void test_noise_width(void **state)
{
    fixture *f = *state;
    enum { RUNS = 400 };
    for (int m = 0; m < 2; m++) {
        double squares = 0, wanted = 0;
        for (int i = 0; i < RUNS; i++) {
            clo_wire_node *out = NULL;
            CLO_AUTO(clo_arena_free) clo_arena a = {0};
            clo_arena_init(&a, 1 << 20);
            clo_sql_request r = request_of(f, "SELECT COUNT(*), SUM(age) FROM rows", q(1, 8));
            r.mechanism = m == 0 ? CLO_SQL_DISCRETE_GAUSSIAN : CLO_SQL_DISCRETE_LAPLACE;
            assert_ok(clo_sql_run(&a, &r, &out));
            const clo_wire_node *noise = clo_wire_get(out, "noise")->first;
            double width = clo_wire_get(noise, m == 0 ? "sigma" : "scale")->number;
            wanted = m == 0 ? width * width : 2 * width * width;
            squares += pow(number_at(out, 0, 0) - ROWS, 2);
            assert_string_equal((const char *)clo_wire_get(noise, "rho")->text.p, "1/16");
        }
        if (fabs(squares / RUNS / wanted - 1) > 0.5) fail_msg("mechanism %d: variance %f, wanted %f", m, squares / RUNS, wanted);
    }
}

/* The shares of the primitives add up to the budget exactly, and each one's noise costs at most its share. */
static void test_budget_is_exact(void **state)
{
    fixture *f = *state;
    static const char *const programs[] = {
        "SELECT COUNT(*) FROM rows",
        "SELECT site, COUNT(*), AVG(age), AVG(score), SUM(score), COUNT(score) FROM rows GROUP BY site",
        "SELECT SUM(sick), AVG(sick), COUNT(note) FROM rows WHERE age > 3",
    };
    static const size_t counts[] = {1, 4, 4};
    for (size_t i = 0; i < 3; i++) {
        for (int m = 0; m < 2; m++) {
            clo_sql_program *p = calloc(1, sizeof *p);
            clo_sql_plan *plan = calloc(1, sizeof *plan);
            clo_dp_rational sum = clo_dp_rational_zero(), rho = q(123456789, 1000000000);
            assert_ok(clo_sql_parse(clo_span_str(programs[i]), f->schema, p));
            assert_ok(clo_sql_plan_make(p, f->schema, plan));
            assert_ok(clo_sql_plan_budget(plan, rho, m == 0 ? CLO_SQL_DISCRETE_GAUSSIAN : CLO_SQL_DISCRETE_LAPLACE));
            assert_int_equal(plan->primitive_count, counts[i]);
            for (size_t k = 0; k < plan->primitive_count; k++) {
                const clo_sql_primitive *x = &plan->primitives[k];
                double width = clo_dp_rational_double(x->noise), share = clo_dp_rational_double(x->rho);
                double cost = m == 0 ? (double)x->sensitivity_squared / (2 * width) : pow((double)x->sensitivity / width, 2) / 2;
                assert_true(cost <= share * (1 + 1e-12) && cost >= share * 0.98);
                assert_ok(clo_dp_rational_add(sum, x->rho, &sum));
            }
            assert_int_equal(clo_dp_rational_compare(sum, rho), 0);
            clo_sql_program_free(p);
            free(p);
            free(plan);
        }
    }
}

static void totals_of(fixture *f, const char *text, clo_sql_plan *plan, int64_t *totals, size_t room)
{
    clo_sql_program *p = calloc(1, sizeof *p);
    CLO_AUTO(clo_sql_base_free) clo_sql_base *b = NULL;
    uint64_t rows = 0;
    assert_ok(clo_sql_parse(clo_span_str(text), f->schema, p));
    assert_ok(clo_sql_plan_make(p, f->schema, plan));
    assert_true(plan->cell_count * plan->primitive_count <= room);
    assert_ok(clo_sql_base_open(p, plan, f->schema, 0, &b));
    for (size_t i = 0; i < 3; i++) assert_ok(clo_sql_base_load(b, &f->inputs[i], NULL, &rows));
    assert_ok(clo_sql_base_seal(b));
    memset(totals, 0, room * sizeof *totals);
    assert_ok(clo_sql_base_query(b, NULL, NULL, rows, totals));
    clo_sql_base_free(&b);
    clo_sql_program_free(p);
    free(p);
}

/* Random replacements of one row, extremes among them: no exact total moves by more than its sensitivity. */
static void test_sensitivity_holds(void **state)
{
    fixture *f = *state;
    static const char *const programs[] = {
        "SELECT COUNT(*), SUM(score), SUM(age), COUNT(sick) FROM rows WHERE age * 3 > score OR sick = 1",
        "SELECT COUNT(*), SUM(score), SUM(age), AVG(sick) FROM rows GROUP BY site, sick",
    };
    enum { ROOM = 128 };
    static int64_t before[ROOM], after[ROOM];
    clo_sql_plan *plan = calloc(1, sizeof *plan);
    uint64_t reached = 0;
    for (size_t i = 0; i < 2; i++) {
        for (int trial = 0; trial < 60; trial++) {
            uint64_t v = dp_test_rng_next(&f->rng);
            row *r = &f->rows[v % ROWS];
            *r = (row){.site = (int)((v >> 10) % 3),
                       .age = (v >> 12 & 1) ? 100 : 0,
                       .sick = (int)(v >> 13 & 1),
                       .score = (v >> 14 & 1) ? 150 : -50,
                       .note = "x"};
            make_inputs(f);
            totals_of(f, programs[i], plan, before, ROOM);
            uint64_t w = dp_test_rng_next(&f->rng);
            *r = (row){.site = (int)((w >> 10) % 3),
                       .age = (w >> 12 & 1) ? 100 : 0,
                       .sick = (int)(w >> 13 & 3) - 1,
                       .score = (w >> 15 & 3) == 0 ? (double)NAN
                                : (w >> 17 & 1)    ? 150
                                                   : -50,
                       .note = "x"};
            if (r->sick > 1) r->sick = 1;
            make_inputs(f);
            totals_of(f, programs[i], plan, after, ROOM);
            for (size_t k = 0; k < plan->primitive_count; k++) {
                uint64_t l1 = 0, l2 = 0;
                for (size_t g = 0; g < plan->cell_count; g++) {
                    uint64_t d = (uint64_t)llabs(after[g * plan->primitive_count + k] - before[g * plan->primitive_count + k]);
                    l1 += d;
                    l2 += d * d;
                }
                assert_true(l1 <= plan->primitives[k].sensitivity);
                assert_true(l2 <= plan->primitives[k].sensitivity_squared);
                reached |= (uint64_t)(l2 == plan->primitives[k].sensitivity_squared) << (i * 8 + k);
            }
        }
    }
    free(plan);
    assert_true((reached & 0xff) != 0 && (reached >> 8) != 0); /* the bounds are tight: some replacement reaches them */
}

static void test_grid_extremes(void **state)
{
    (void)state;
    clo_sql_primitive p = {.is_sum = true, .middle = 50, .step = 0.01, .half = 5000};
    assert_int_equal(clo_sql_grid(&p, 50), 0);
    assert_int_equal(clo_sql_grid(&p, 100), 5000);
    assert_int_equal(clo_sql_grid(&p, 0), -5000);
    assert_int_equal(clo_sql_grid(&p, 1e308), 5000);
    assert_int_equal(clo_sql_grid(&p, -1e308), -5000);
    assert_int_equal(clo_sql_grid(&p, HUGE_VAL), 5000);
    assert_int_equal(clo_sql_grid(&p, -HUGE_VAL), -5000);
    assert_int_equal(clo_sql_grid(&p, (double)NAN), -5000);
}

static clo_err cancel_at(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return strcmp(phase, (const char *)context) == 0 ? CLO_FAIL(CLO_E_CANCELLED) : CLO_OK;
}

static void test_refusals(void **state)
{
    fixture *f = *state;
    clo_wire_node *out = NULL;
    clo_sql_request good = request_of(f, "SELECT COUNT(*) FROM rows WHERE age > 3", q(1, 2)), r = good;
    assert_ok(clo_sql_run(&f->arena, &r, &out));
    out = NULL;
    r.rho = q(0, 1);
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_RANGE);
    r = good;
    r.rho = (clo_dp_rational){1, 0};
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_RANGE);
    r = good;
    r.input_count = 0;
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_TOO_MANY);
    r = good;
    r.program = clo_span_str("SELECT COUNT(*) FROM rows WHERE age > :x");
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_MISSING_FIELD);
    clo_wire_node *map = NULL;
    assert_ok(clo_wire_json_decode(&f->arena, clo_span_str("{\"x\": 1}"), &map));
    r = good;
    r.parameters = map;
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_UNKNOWN_FIELD);
    assert_ok(clo_wire_json_decode(&f->arena, clo_span_str("{\"x\": [1]}"), &map));
    r.program = clo_span_str("SELECT COUNT(*) FROM rows WHERE age > :x");
    r.parameters = map;
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_MALFORMED);
    static const char *const phases[] = {"noise", "load", "done"};
    for (size_t i = 0; i < 3; i++) {
        char phase[8];
        (void)snprintf(phase, sizeof phase, "%s", phases[i]);
        r = good;
        r.progress = (clo_dp_progress){phase, cancel_at};
        assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_CANCELLED);
    }
    f->rng.fail_after = 0;
    assert_code(clo_sql_run(&f->arena, &good, &out), CLO_E_RNG);
    f->rng.fail_after = -1;
    assert_null(out);
}

static void test_broken_tables(void **state)
{
    fixture *f = *state;
    clo_wire_node *out = NULL;
    clo_sql_input inputs[2] = {f->inputs[0], f->inputs[1]};
    clo_sql_request r = request_of(f, "SELECT COUNT(*) FROM rows WHERE note = 'x'", q(1, 2));
    r.inputs = inputs;
    r.input_count = 2;
    for (size_t cut = 0; cut < f->inputs[1].table.n; cut += 1 + f->inputs[1].table.n / 97) {
        inputs[1].table.n = cut;
        clo_err e = clo_sql_run(&f->arena, &r, &out);
        assert_true(clo_failed(e) && clo_err_class(e) == CLO_CLASS_INPUT);
    }
    assert_null(out);
    clo_wire_schema *other =
        table_fixture_schema(&f->arena, "{\"columns\": {\"age\": {\"type\": \"int\"}, \"note\": {\"type\": \"text\"}}}");
    inputs[1].schema = other;
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_MALFORMED);
}

/* Memory ends as an error, and SQLite's limit of the process is what it was. */
static void test_memory(void **state)
{
    fixture *f = *state;
    clo_wire_node *out = NULL;
    CLO_AUTO(clo_buf_free) clo_buf csv = {0};
    clo_buf_init(&csv, 1 << 24);
    assert_ok(clo_buf_put_str(&csv, "site,age,score,sick,note,free\n"));
    for (int i = 0; i < 20000; i++)
        assert_ok(clo_buf_put_str(&csv, "north,5,,,a note of some length that takes memory in every row,1.5\n"));
    clo_sql_input large = {.schema = f->schema, .table = table_fixture_table(&f->arena, f->schema, clo_buf_span(&csv))};
    clo_sql_request r = request_of(f, "SELECT COUNT(*) FROM rows WHERE note = 'x'", q(1, 2));
    r.inputs = &large;
    r.input_count = 1;
    r.memory_max = 1 << 20;
    clo_err e = clo_sql_run(&f->arena, &r, &out);
    assert_code(e, CLO_E_NOMEM);
    r.memory_max = 0;
    assert_ok(clo_sql_run(&f->arena, &r, &out));
    r.memory_max = 1000;
    assert_code(clo_sql_run(&f->arena, &r, &out), CLO_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_groups_against_direct, setup, teardown),
        cmocka_unit_test_setup_teardown(test_where_against_direct, setup, teardown),
        cmocka_unit_test_setup_teardown(test_public_domain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_min_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_noise_width, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sensitivity_holds, setup, teardown),
        cmocka_unit_test(test_grid_extremes),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
