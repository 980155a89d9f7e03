/* Proves that training is accurate (public data, several seeds, beside the non-private result), that its cost is the budget
 * exactly, that a row's influence on the exact sums keeps the stated bound, and that files and tables that are broken are
 * refused. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dp/dp_test_rng.h"
#include "dp/table_fixture.h"
#include "dp/zcdp.h"
#include "ml/ml.h"
#include "ml/ml_int.h"

static const char *const schema_json = "{\"target\": \"ill\", \"columns\": {"
                                       "\"a\": {\"type\": \"float\", \"min\": -10, \"max\": 30},"
                                       "\"b\": {\"type\": \"int\", \"min\": 0, \"max\": 8, \"nullable\": true},"
                                       "\"site\": {\"type\": \"code\", \"codes\": [\"x\", \"y\", \"z\"], \"nullable\": true},"
                                       "\"same\": {\"type\": \"float\", \"min\": 5, \"max\": 5},"
                                       "\"note\": {\"type\": \"text\", \"nullable\": true},"
                                       "\"ill\": {\"type\": \"code\", \"codes\": [\"no\", \"yes\"]}}}";

typedef struct {
    clo_arena arena;
    clo_wire_schema *schema;
    clo_span table;
    dp_test_rng rng;
} fixture;

static int setup(void **state)
{
    enum { ROWS = 2000 };
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->rng = (dp_test_rng){5, -1};
    clo_arena_init(&f->arena, (size_t)1 << 28);
    f->schema = table_fixture_schema(&f->arena, schema_json);
    CLO_AUTO(clo_buf_free) clo_buf csv = {0};
    clo_buf_init(&csv, 1 << 20);
    assert_ok(clo_buf_put_str(&csv, "a,b,site,same,note,ill\n"));
    for (int i = 0; i < ROWS; i++) {
        double a = (double)(dp_test_rng_next(&f->rng) >> 40) / 0x1p24 * 40 - 10;
        int b = (int)(dp_test_rng_next(&f->rng) % 10), site = (int)(dp_test_rng_next(&f->rng) % 4);
        bool ill = a / 10 + (b > 8 ? 4 : b) / 2.0 + (site == 2 ? 1.5 : 0) > 3.3;
        assert_ok(clo_buf_printf(&csv, "%.4f,", a));
        if (b <= 8) assert_ok(clo_buf_printf(&csv, "%d", b));
        assert_ok(clo_buf_printf(&csv, ",%s,5,n,%s\n",
                                 site == 3   ? ""
                                 : site == 2 ? "z"
                                 : site == 1 ? "y"
                                             : "x",
                                 ill ? "yes" : "no"));
    }
    f->table = table_fixture_table(&f->arena, f->schema, clo_buf_span(&csv));
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

static clo_ml_options private_options(fixture *f, uint64_t num, uint64_t den)
{
    clo_ml_options o = {.is_private = true, .rng = dp_test_rng_of(&f->rng)};
    assert_ok(clo_dp_rational_make(num, den, &o.rho));
    return o;
}

static void test_dataset(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *twice = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *train = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *test = NULL;
    clo_span csv = clo_span_str("a,b,site,same,note,ill\n-10,8,x,5,,no\n30,,z,5,hi,yes\n10,0,,5,,yes\n");
    clo_span table = table_fixture_table(&f->arena, f->schema, csv);
    static const float wanted[3][6] = {{-1, 1, 1, 0, 0, 0}, {1, 0, 0, 0, 1, 0}, {0, -1, 0, 0, 0, 0}};
    static const char *const columns[] = {"a", "b", "site", "site", "site", "same"};
    assert_ok(clo_ml_dataset_from_table(f->schema, NULL, table, &d));
    assert_int_equal(d->row_count, 3);
    assert_int_equal(d->feature_count, 6);
    assert_string_equal(d->labels[1], "yes");
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 6; j++) assert_true(fabs((double)(d->x[i * 6 + j] - wanted[i][j])) < 1e-6);
    for (size_t j = 0; j < 6; j++) assert_string_equal(d->features[j].column, columns[j]);
    assert_int_equal(d->y[0], 0);
    assert_int_equal(d->y[2], 1);
    const clo_span tables[] = {table, f->table, table};
    assert_ok(clo_ml_dataset_from_tables(f->schema, "ill", tables, 3, &twice));
    assert_int_equal(twice->row_count, 2006);
    assert_memory_equal(twice->x + 2003 * 6, d->x, 18 * sizeof *d->x);
    assert_ok(clo_ml_dataset_fold(twice, 5, 2, &train, &test));
    assert_int_equal(test->row_count, 401);
    assert_int_equal(train->row_count, 1605);
    assert_memory_equal(test->x, twice->x + 2 * 6, 6 * sizeof *d->x);
    assert_memory_equal(test->x + 6, twice->x + 7 * 6, 6 * sizeof *d->x);
}

static void test_dataset_refusals(void **state)
{
    fixture *f = *state;
    clo_ml_dataset *d = NULL;
    clo_wire_schema *no_target = table_fixture_schema(
        &f->arena, "{\"columns\": {\"a\": {\"type\": \"float\"}, \"t\": {\"type\": \"int\", \"min\": 0, \"max\": 1}}}");
    assert_code(clo_ml_dataset_new(no_target, NULL, &d), CLO_E_MISSING_FIELD);
    assert_code(clo_ml_dataset_new(no_target, "t", &d), CLO_E_RANGE); /* a has no bounds */
    assert_code(clo_ml_dataset_new(f->schema, "nothing", &d), CLO_E_NOT_FOUND);
    assert_code(clo_ml_dataset_new(f->schema, "site", &d), CLO_E_UNSUPPORTED);
    assert_code(clo_ml_dataset_new(f->schema, "a", &d), CLO_E_UNSUPPORTED);
    assert_code(clo_ml_dataset_new(f->schema, "note", &d), CLO_E_UNSUPPORTED);
    clo_wire_schema *gaps =
        table_fixture_schema(&f->arena, "{\"target\": \"t\", \"columns\": {\"a\": {\"type\": \"int\", \"min\": 0, \"max\": 1}, "
                                        "\"t\": {\"type\": \"int\", \"min\": 0, \"max\": 1, \"nullable\": true}}}");
    assert_code(clo_ml_dataset_new(gaps, NULL, &d), CLO_E_UNSUPPORTED);
    for (size_t cut = 0; cut < f->table.n; cut += 1 + f->table.n / 61) {
        clo_err e = clo_ml_dataset_from_table(f->schema, NULL, clo_span_of(f->table.p, cut), &d);
        assert_true(clo_failed(e) && clo_err_class(e) == CLO_CLASS_INPUT);
    }
    assert_null(d);
    assert_ok(clo_ml_dataset_new(f->schema, NULL, &d));
    assert_true(clo_failed(clo_ml_dataset_add(d, clo_span_of(f->table.p, f->table.n - 1))));
    assert_int_equal(d->row_count, 0);
    clo_ml_dataset_free(&d);
}

static void test_learns(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    assert_ok(clo_ml_dataset_from_table(f->schema, NULL, f->table, &d));
    for (int i = 0; i < 2; i++) {
        CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
        clo_ml_evaluation e = {0};
        clo_ml_options o = private_options(f, 1, 2);
        o.is_private = i == 1;
        assert_ok(clo_ml_train(d, &o, &m));
        assert_ok(clo_ml_model_evaluate(m, d, &e));
        assert_true(e.accuracy > (i == 0 ? 0.96 : 0.93));
        assert_true(e.auc > 0.98);
        assert_int_equal(e.true_positives + e.false_negatives, e.positives);
        assert_int_equal(e.true_positives + e.true_negatives, e.correct);
        assert_int_equal(e.true_positives + e.true_negatives + e.false_positives + e.false_negatives, e.rows);
        assert_int_equal(m->is_private, i == 1);
        assert_int_equal(clo_dp_rational_is_zero(m->rho), i == 0);
    }
}

/* 3/20 rho for the centre and the rest for the steps: sigma^2 gives back exactly the share of a step. */
static void test_budget_is_exact(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    clo_ml_options o = private_options(f, 216000000, 1000000000);
    assert_ok(clo_ml_dataset_from_table(f->schema, NULL, f->table, &d));
    assert_ok(clo_ml_train(d, &o, &m));
    clo_dp_rational step = {0, 1}, all = {0, 1};
    uint64_t bound = 2 * 256 * 1024;
    assert_ok(clo_dp_zcdp_gaussian(bound * bound, m->sigma_squared, &step));
    assert_ok(clo_dp_rational_times(step, m->steps, &all));
    clo_dp_rational wanted = {0, 1};
    assert_ok(clo_dp_rational_times(o.rho, 17, &wanted));
    assert_ok(clo_dp_rational_divide(wanted, 20, &wanted));
    assert_true(clo_dp_rational_compare(all, wanted) <= 0);
    assert_true(clo_dp_rational_double(all) > clo_dp_rational_double(wanted) * (1 - 1e-9));
    assert_int_equal(clo_dp_rational_compare(m->rho, o.rho), 0);
}

/* What the proof rests on: a row as the model sees it has a norm below 1, whatever its values are. */
static void test_row_norm(void **state)
{
    fixture *f = *state;
    enum { WIDTH = 4096 };
    static float x[WIDTH], u[WIDTH + 1];
    static double center[WIDTH];
    static const size_t widths[] = {1, 2, 30, 1000, WIDTH};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        for (int trial = 0; trial < 40; trial++) {
            double square = 0;
            for (size_t j = 0; j < widths[i]; j++) {
                x[j] = (float)((double)(dp_test_rng_next(&f->rng) >> 11) / 0x1p52 - 1);
                if (trial % 4 == 1) x[j] = dp_test_rng_next(&f->rng) % 2 != 0 ? 1 : -1;
                center[j] = trial % 3 == 0 ? (x[j] > 0 ? -1 : 1) : 0;
            }
            clo_ml_row_transform(x, center, 4 / sqrt((double)widths[i]), widths[i], u);
            for (size_t j = 0; j <= widths[i]; j++) {
                double q = rint((double)u[j] * 1024);
                square += q * q;
            }
            assert_true(square <= 1024.0 * 1024.0);
        }
    }
}

static clo_err cancel_at(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)total;
    return strcmp(phase, (const char *)context) == 0 && done > 3 ? CLO_FAIL(CLO_E_CANCELLED) : CLO_OK;
}

static void test_refusals(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *empty = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *unlabelled = NULL;
    clo_ml_model *m = NULL;
    assert_ok(clo_ml_dataset_from_table(f->schema, NULL, f->table, &d));
    assert_ok(clo_ml_dataset_new(f->schema, NULL, &empty));
    assert_ok(clo_ml_dataset_from_table(f->schema, "", f->table, &unlabelled));
    assert_int_equal(unlabelled->feature_count, d->feature_count);
    clo_ml_options o = private_options(f, 1, 2);
    assert_code(clo_ml_train(empty, &o, &m), CLO_E_RANGE);
    assert_code(clo_ml_train(unlabelled, &o, &m), CLO_E_RANGE);
    o.rho.num = 0;
    assert_code(clo_ml_train(d, &o, &m), CLO_E_RANGE);
    o = private_options(f, 1, 1000000000);
    assert_code(clo_ml_train(d, &o, &m), CLO_E_RANGE);
    o = private_options(f, 1, 2);
    o.steps = CLO_ML_STEPS_MAX + 1;
    assert_code(clo_ml_train(d, &o, &m), CLO_E_RANGE);
    o = private_options(f, 1, 2);
    o.rng.fill = NULL;
    assert_code(clo_ml_train(d, &o, &m), CLO_E_RNG);
    for (long after = 0; after < 4; after++) {
        dp_test_rng failing = {1, after};
        o = private_options(f, 1, 2);
        o.rng = dp_test_rng_of(&failing);
        assert_code(clo_ml_train(d, &o, &m), CLO_E_RNG);
    }
    char phases[2][8] = {"noise", "train"};
    for (size_t i = 0; i < 2; i++) {
        o = private_options(f, 1, 2);
        o.progress = (clo_dp_progress){phases[i], cancel_at};
        assert_code(clo_ml_train(d, &o, &m), CLO_E_CANCELLED);
    }
    assert_null(m);
}

static void test_model_file(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *back = NULL;
    CLO_AUTO(clo_buf_free) clo_buf file = {0};
    CLO_AUTO(clo_buf_free) clo_buf again = {0};
    clo_ml_options o = private_options(f, 1, 2);
    clo_ml_evaluation before = {0}, after = {0};
    clo_buf_init(&file, 1 << 20);
    clo_buf_init(&again, 1 << 20);
    assert_ok(clo_ml_dataset_from_table(f->schema, NULL, f->table, &d));
    assert_ok(clo_ml_train(d, &o, &m));
    assert_ok(clo_ml_model_encode(m, &file));
    assert_ok(clo_ml_model_decode(clo_buf_span(&file), &back));
    assert_ok(clo_ml_model_encode(back, &again));
    assert_true(clo_span_equal(clo_buf_span(&file), clo_buf_span(&again)));
    assert_ok(clo_ml_model_evaluate(m, d, &before));
    assert_ok(clo_ml_model_evaluate(back, d, &after));
    assert_int_equal(before.correct, after.correct);
    clo_ml_model *bad = NULL;
    for (size_t cut = 0; cut < file.len; cut++) {
        clo_err e = clo_ml_model_decode(clo_span_of(file.p, cut), &bad);
        assert_true(clo_failed(e) && clo_err_class(e) == CLO_CLASS_INPUT);
    }
    assert_null(bad);
    for (size_t at = 0; at < file.len; at++) {
        file.p[at] ^= (uint8_t)(1 << at % 8);
        if (!clo_failed(clo_ml_model_decode(clo_buf_span(&file), &bad)))
            clo_ml_model_free(&bad); /* a flipped digit of a weight is a weight */
        assert_null(bad);
        file.p[at] ^= (uint8_t)(1 << at % 8);
    }
    clo_wire_node *text = NULL;
    assert_ok(clo_ml_model_describe(&f->arena, m, &text));
    assert_int_equal(clo_wire_get(text, "features")->integer, 6);
    assert_string_equal((const char *)clo_wire_get(text, "rho")->text.p, "1/2");
}

static void test_predict_refuses_other_rows(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *other = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    clo_ml_options o = private_options(f, 1, 2);
    double p[4] = {0};
    clo_ml_evaluation e = {0};
    assert_ok(clo_ml_dataset_from_table(f->schema, NULL, f->table, &d));
    assert_ok(clo_ml_train(d, &o, &m));
    clo_wire_schema *s =
        table_fixture_schema(&f->arena, "{\"target\": \"ill\", \"columns\": {\"a\": {\"type\": \"float\", \"min\": 0, \"max\": "
                                        "1}, \"ill\": {\"type\": \"int\", \"min\": 0, \"max\": 1}}}");
    assert_ok(clo_ml_dataset_new(s, NULL, &other));
    assert_code(clo_ml_model_predict(m, other, p), CLO_E_MALFORMED);
    clo_ml_dataset_free(&other);
    assert_ok(clo_ml_dataset_from_table(f->schema, "", f->table, &other));
    assert_code(clo_ml_model_evaluate(m, other, &e), CLO_E_MALFORMED);
    d->features[0].max = 31;
    assert_code(clo_ml_model_evaluate(m, d, &e), CLO_E_MALFORMED);
}

static void test_auc(void **state)
{
    (void)state;
    /* One feature, the weight decides the score: 3 of 4 pairs are in order, and with equal scores every pair is half. */
    float x[] = {-1, 1, 0, 0.5f};
    uint8_t y[] = {0, 0, 1, 1};
    clo_ml_feature feature = {.column = "a", .min = 0, .max = 1};
    double weights[] = {1, 0}, center[] = {0, 0};
    clo_ml_dataset d = {.features = &feature, .feature_count = 1, .x = x, .y = y, .row_count = 4, .target = "t"};
    clo_ml_model m = {.features = &feature, .weights = weights, .center = center, .scale = 1, .feature_count = 1, .target = "t"};
    clo_ml_evaluation e = {0};
    assert_ok(clo_ml_model_evaluate(&m, &d, &e));
    assert_true(fabs(e.auc - 0.5) < 1e-9);
    assert_int_equal(e.positives, 2);
    x[1] = 0.25f;
    assert_ok(clo_ml_model_evaluate(&m, &d, &e));
    assert_true(fabs(e.auc - 0.75) < 1e-9);
    weights[0] = 0;
    assert_ok(clo_ml_model_evaluate(&m, &d, &e));
    assert_true(fabs(e.auc - 0.5) < 1e-9);
    y[0] = y[1] = 1;
    assert_ok(clo_ml_model_evaluate(&m, &d, &e));
    assert_true(fabs(e.auc - 0.5) < 1e-9);
}

static clo_span read_file(clo_arena *a, const char *dir, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) return clo_span_of(NULL, 0);
    void *bytes = NULL;
    assert_ok(clo_arena_alloc(a, 8 << 20, &bytes));
    size_t n = fread(bytes, 1, 8 << 20, file);
    (void)fclose(file);
    return clo_span_of(bytes, n);
}

/* The Wisconsin breast-cancer table: five folds, row i in fold i mod 5, epsilon 3 at delta 1e-5 per training. */
static void test_breast_cancer(void **state)
{
    fixture *f = *state;
    const char *shared = getenv("CLOISTER_SHARED");
    char dir[400];
    (void)snprintf(dir, sizeof dir, "%s/data", shared != NULL ? shared : "../shared");
    clo_span csv = read_file(&f->arena, dir, "breast_cancer.csv"), json = read_file(&f->arena, dir, "schema.json");
    if (csv.n == 0 || json.n == 0) skip_because("the data sets are not beside the project (../shared/data)");
    clo_wire_node *sets = NULL;
    clo_wire_schema schema;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    assert_ok(clo_wire_json_decode(&f->arena, json, &sets));
    assert_ok(clo_wire_schema_read(&f->arena, clo_wire_get(sets, "breast_cancer"), &schema));
    assert_ok(clo_ml_dataset_from_table(&schema, NULL, table_fixture_table(&f->arena, &schema, csv), &d));
    assert_int_equal(d->row_count, 569);
    enum { SEEDS = 8 };
    double sum = 0, worst = 1, plain = 0;
    for (int seed = 0; seed <= SEEDS; seed++) {
        double mean = 0;
        for (size_t fold = 0; fold < 5; fold++) {
            CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *train = NULL;
            CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *test = NULL;
            CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
            clo_ml_evaluation e = {0};
            f->rng = (dp_test_rng){1000 + (uint64_t)seed, -1};
            clo_ml_options o = private_options(f, 1, 2);
            assert_ok(clo_dp_zcdp_rho(3, 1e-5, &o.rho));
            o.is_private = seed < SEEDS;
            assert_ok(clo_ml_dataset_fold(d, 5, fold, &train, &test));
            assert_ok(clo_ml_train(train, &o, &m));
            assert_ok(clo_ml_model_evaluate(m, test, &e));
            mean += e.accuracy / 5;
        }
        if (seed == SEEDS) {
            plain = mean;
        } else {
            sum += mean;
            worst = fmin(worst, mean);
        }
    }
    print_message("# seeds 1000..%d: epsilon 3 mean %.4f, worst seed %.4f; not private %.4f\n", 1000 + SEEDS - 1, sum / SEEDS,
                  worst, plain);
    assert_true(sum / SEEDS >= 0.95);
    assert_true(worst >= 0.93);
    assert_true(plain >= 0.965);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dataset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dataset_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_norm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_predict_refuses_other_rows, setup, teardown),
        cmocka_unit_test(test_auc),
        cmocka_unit_test_setup_teardown(test_breast_cancer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
