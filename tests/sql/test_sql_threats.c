/* An analyst against the engine: twenty thousand queries that try to tell whether one row has one value (differencing, narrowing, adaptive repetition),
 * judged against what the budget allows; and an output's side doors (cells, order, size, float tails, errors). The planted engine with too little
 * noise must be found out by the same judge. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dp/dp_test_rng.h"
#include "dp/table_fixture.h"
#include "sql/sql.h"
#include "wire/cbor.h"

enum { ROWS = 24, QUERIES = 20000 };
static const uint64_t seed = 0x7410;
static const char *const schema_json = "{\"columns\": {\"site\": {\"type\": \"code\", \"codes\": [\"north\", \"south\"]},"
                                       "\"age\": {\"type\": \"int\", \"min\": 0, \"max\": 100},"
                                       "\"name\": {\"type\": \"text\", \"nullable\": true},"
                                       "\"score\": {\"type\": \"float\", \"min\": -1.5, \"max\": 2.5, \"nullable\": true}}}";

typedef struct {
    clo_arena keep, arena; /* keep: schema and tables; arena: one run */
    clo_wire_schema *schema;
    clo_sql_input with, without; /* neighbours: the target's row is 100 years old, or is replaced by one of 20 */
    dp_test_rng rng;
} attack;

static clo_sql_input table(attack *t, const char *target)
{
    CLO_AUTO(clo_buf_free) clo_buf csv = {0};
    clo_buf_init(&csv, 1 << 16);
    assert_ok(clo_buf_put_str(&csv, "site,age,name,score\n"));
    for (int i = 1; i < ROWS; i++)
        assert_ok(clo_buf_printf(&csv, "%s,%d,p%d,%.3f\n", i % 2 != 0 ? "north" : "south", 20 + i, i, (double)i / 10));
    assert_ok(clo_buf_put_str(&csv, target));
    return (clo_sql_input){.schema = t->schema, .table = table_fixture_table(&t->keep, t->schema, clo_buf_span(&csv))};
}

static int setup(void **state)
{
    attack *t = calloc(1, sizeof *t);
    assert_non_null(t);
    clo_arena_init(&t->keep, (size_t)1 << 24);
    clo_arena_init(&t->arena, (size_t)1 << 28);
    t->schema = table_fixture_schema(&t->keep, schema_json);
    t->with = table(t, "south,100,target,2.5\n");
    t->without = table(t, "north,20,p0,-1.5\n");
    t->rng = (dp_test_rng){seed, -1};
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    attack *t = *state;
    clo_arena_free(&t->arena);
    clo_arena_free(&t->keep);
    free(t);
    return 0;
}

static clo_dp_rational q(uint64_t n, uint64_t d)
{
    clo_dp_rational r = clo_dp_rational_zero();
    assert_ok(clo_dp_rational_make(n, d, &r));
    return r;
}

static clo_wire_node *ask(attack *t, bool with, const char *program, clo_dp_rational rho)
{
    clo_wire_node *out = NULL;
    clo_sql_request r = {.inputs = with ? &t->with : &t->without, .input_count = 1, .program = clo_span_str(program), .rho = rho,
                         .rng = dp_test_rng_of(&t->rng)};
    clo_arena_free(&t->arena);
    clo_arena_init(&t->arena, (size_t)1 << 28);
    assert_ok(clo_sql_run(&t->arena, &r, &out));
    return out;
}

/* The first aggregate of the only row; a withheld one says "below the minimum", which the attacker takes for 0. */
static double cell(const clo_wire_node *out)
{
    const clo_wire_node *n = clo_wire_get(out, "rows")->first->first;
    return n->type == CLO_WIRE_NULL ? 0 : n->type == CLO_WIRE_INT ? (double)n->integer : n->number;
}

/* ---- T10 ---- */

/* What an attacker makes of `steps` answers: the sum of their evidence for "the target is in". The budget of the whole attack is `rho`. */
typedef double (*strategy)(attack *t, bool with, clo_dp_rational rho, unsigned steps);

/* N against N - 1: all rows, and all rows but the target's. */
static double difference(attack *t, bool with, clo_dp_rational rho, unsigned steps)
{
    clo_dp_rational each = clo_dp_rational_zero();
    double evidence = 0;
    assert_ok(clo_dp_rational_divide(rho, 2ull * steps, &each));
    for (unsigned i = 0; i < steps; i++) {
        double all = cell(ask(t, with, "SELECT COUNT(*) FROM rows", each));
        double others = cell(ask(t, with, "SELECT COUNT(*) FROM rows WHERE name <> 'target'", each));
        evidence += all - others - 0.5;
    }
    return evidence;
}

/* WHERE that only the target can pass. */
static double narrow(attack *t, bool with, clo_dp_rational rho, unsigned steps)
{
    clo_dp_rational each = clo_dp_rational_zero();
    double evidence = 0;
    assert_ok(clo_dp_rational_divide(rho, steps, &each));
    for (unsigned i = 0; i < steps; i++)
        evidence += cell(ask(t, with, "SELECT COUNT(*) FROM rows WHERE name = 'target' AND age >= 99", each)) - 0.5;
    return evidence;
}

/* The value that moves furthest, over everybody. */
static double sum(attack *t, bool with, clo_dp_rational rho, unsigned steps)
{
    clo_dp_rational each = clo_dp_rational_zero();
    double evidence = 0;
    assert_ok(clo_dp_rational_divide(rho, steps, &each));
    for (unsigned i = 0; i < steps; i++) evidence += cell(ask(t, with, "SELECT SUM(age) FROM rows", each)) - 796;
    return evidence;
}

/* Adaptive: the bound moves to where the last answer looked more like the target. */
static double adaptive(attack *t, bool with, clo_dp_rational rho, unsigned steps)
{
    clo_dp_rational each = clo_dp_rational_zero();
    double evidence = 0, low = 50;
    assert_ok(clo_dp_rational_divide(rho, steps, &each));
    for (unsigned i = 0; i < steps; i++) {
        char program[120];
        (void)snprintf(program, sizeof program, "SELECT COUNT(*) FROM rows WHERE age > %d AND site = 'south'", (int)low);
        double seen = cell(ask(t, with, program, each)) - 0.5;
        evidence += seen;
        low = seen > 0 ? fmin(low + 10, 99) : fmax(low - 10, 44); /* above 43 there is nobody else */
    }
    return evidence;
}

/* How much better than guessing: true minus false positives of the best threshold at 0. */
static double advantage(attack *t, strategy s, clo_dp_rational rho, unsigned steps, unsigned trials)
{
    unsigned hits = 0, alarms = 0;
    for (unsigned i = 0; i < trials; i++) {
        hits += s(t, true, rho, steps) > 0;
        alarms += s(t, false, rho, steps) > 0;
    }
    return ((double)hits - (double)alarms) / trials;
}

/* rho-zCDP bounds the divergence by rho, hence (Pinsker) every test's advantage by sqrt(rho / 2). The measured one has a binomial error: each of the two
 * rates has variance at most 1 / (4 trials); five deviations. */
static double allowed(double rho, unsigned trials) { return sqrt(rho / 2) + 5 * sqrt(0.5 / trials); }

static const struct {
    const char *name;
    strategy s;
    unsigned steps, queries_each;
} strategies[] = {{"difference", difference, 1, 2}, {"narrow", narrow, 1, 1},     {"sum", sum, 1, 1},
                  {"narrow, 8 times", narrow, 8, 8}, {"adaptive", adaptive, 8, 8}};

static void T10_differencing_and_narrowing(void **state)
{
    attack *t = *state;
    enum { COUNT = sizeof strategies / sizeof strategies[0] };
    for (size_t i = 0; i < COUNT; i++) {
        unsigned trials = QUERIES / COUNT / 2 / strategies[i].queries_each * (strategies[i].queries_each > 2 ? 2 : 1);
        double got = advantage(t, strategies[i].s, q(1, 4), strategies[i].steps, trials), bound = allowed(0.25, trials);
        print_message("# %s: advantage %.3f of at most %.3f (%u trials, rho 1/4)\n", strategies[i].name, got, bound, trials);
        assert_true(got <= bound);
    }
    /* With so large a budget the same attackers win: the judge is awake. */
    for (size_t i = 0; i < COUNT; i++) {
        double got = advantage(t, strategies[i].s, q(200, 1), strategies[i].steps, 60);
        print_message("# %s: advantage %.3f at rho 200\n", strategies[i].name, got);
        assert_true(got > 0.8);
        assert_true(got > allowed(0.25, 1000));
    }
}

/* ---- T13 ---- */

static size_t encoded_size(const clo_wire_node *out, bool cells)
{
    size_t n = 0;
    if (!cells) return clo_wire_get(out, "rows")->count * 1000 + clo_wire_get(out, "columns")->count;
    for (const clo_wire_node *row = clo_wire_get(out, "rows")->first; row != NULL; row = row->next) n += row->count;
    return n;
}

/* Rows whose values are as different as can be give results of one shape: the same rows of public groups in public order, the same cells. */
static void T13_shape_is_public(void **state)
{
    attack *t = *state;
    static const char *const programs[] = {"SELECT site, COUNT(*), AVG(score) FROM rows GROUP BY site",
                                           "SELECT age, COUNT(*) FROM rows WHERE name = 'target' GROUP BY age",
                                           "SELECT SUM(score) FROM rows WHERE age > 99"};
    clo_sql_input kept = t->without;
    for (size_t i = 0; i < 3; i++) {
        size_t shape[3], cells[3];
        for (int k = 0; k < 3; k++) {
            t->without = k == 2 ? (clo_sql_input){.schema = t->schema, .table = table_fixture_table(&t->keep, t->schema, clo_span_str("site,age,name,score\n"))} : kept;
            const clo_wire_node *out = ask(t, k == 0, programs[i], q(1, 10));
            shape[k] = encoded_size(out, false);
            cells[k] = encoded_size(out, true);
            if (i == 0) assert_string_equal((const char *)clo_wire_get(out, "rows")->first->first->text.p, "north");
            if (i == 1) assert_int_equal(clo_wire_get(out, "rows")->first->first->integer, 0);
            assert_string_equal((const char *)clo_wire_get(out, "rho")->text.p, "1/10");
        }
        assert_true(shape[0] == shape[1] && shape[1] == shape[2]);
        assert_true(cells[0] == cells[1] && cells[1] == cells[2]);
    }
    t->without = kept;
}

/* The tail of a float has no room for a message: every sum is a whole number of public steps around a public middle, with both neighbours. */
static void T13_float_tail(void **state)
{
    attack *t = *state;
    for (int i = 0; i < 400; i++) {
        const clo_wire_node *out = ask(t, i % 2 == 0, "SELECT COUNT(score) AS n, SUM(score) AS s FROM rows", q(1, 1));
        const clo_wire_node *row = clo_wire_get(out, "rows")->first;
        if (row->first->type == CLO_WIRE_NULL) continue;
        /* bounds -1.5 .. 2.5: middle 0.5, step 2^-13 (half range 2 < 2^2, 2^15 cells of half a range) */
        double steps = (row->first->next->number - 0.5 * (double)row->first->integer) * 8192;
        assert_true(fabs(steps - round(steps)) < 1e-6);
    }
}

/* Whatever a program asks of whatever rows, it ends the same way: no error, and with it no bit, depends on them. */
static void T13_no_error_depends_on_rows(void **state)
{
    attack *t = *state;
    static const char *const programs[] = {
        "SELECT COUNT(*) FROM rows WHERE 1 / (age - 100) > 0",
        "SELECT COUNT(*) FROM rows WHERE 9223372036854775807 + age > 0",
        "SELECT COUNT(*) FROM rows WHERE -9223372036854775807 - age - age < 0",
        "SELECT COUNT(*) FROM rows WHERE age * 9223372036854775807 * 9223372036854775807 > 1e300",
        "SELECT COUNT(*) FROM rows WHERE score * 1e308 * 1e308 * 1e308 > 0",
        "SELECT COUNT(*) FROM rows WHERE ROUND(score, age) > 1",
        "SELECT COUNT(*) FROM rows WHERE LENGTH(name) / NULLIF(age, 100) > 0",
        "SELECT COUNT(*) FROM rows WHERE name > age OR name * 1 > 0",
        "SELECT COUNT(*) FROM rows WHERE COALESCE(score, name, 0) > 1",
        "SELECT SUM(score) FROM rows WHERE UPPER(name) = 'TARGET' AND 1 / 0 > 0",
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        uint32_t code[2];
        for (int with = 0; with < 2; with++) {
            clo_wire_node *out = NULL;
            clo_sql_request r = {.inputs = with != 0 ? &t->with : &t->without, .input_count = 1, .program = clo_span_str(programs[i]), .rho = q(1, 2),
                                 .rng = dp_test_rng_of(&t->rng)};
            clo_err e = clo_sql_run(&t->keep, &r, &out);
            code[with] = e.code;
            if (clo_failed(e) && clo_err_class(e) != CLO_CLASS_INPUT) fail_msg("%s: %s", programs[i], clo_err_text());
        }
        if (code[0] != code[1]) fail_msg("%s ends differently with one row replaced", programs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(T10_differencing_and_narrowing, setup, teardown),
        cmocka_unit_test_setup_teardown(T13_shape_is_public, setup, teardown),
        cmocka_unit_test_setup_teardown(T13_float_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(T13_no_error_depends_on_rows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
