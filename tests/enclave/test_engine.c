/* The guard of each engine believes nothing of a result: another noise, number of steps or cost than program and price make is refused. */
#include "../dp/table_fixture.h" /* includes cmocka */

#include "enclave/engine.h"
#include "ml/ml.h"
#include "sql/sql.h"
#include "wire/cbor.h"
#include <stdlib.h>
#include <string.h>

static const char schema_text[] = "{\"columns\":{\"age\":{\"type\":\"int\",\"min\":0,\"max\":100},\"ill\":{\"type\":\"code\",\"codes\":[\"no\",\"yes\"]}},\"target\":\"ill\"}";

typedef struct {
    clo_arena arena;
    clo_collab_program program;
    clo_enclave_task task;
} work;

static void work_open(work *w, const char *sql, uint64_t rows)
{
    clo_buf csv;
    memset(w, 0, sizeof *w);
    clo_arena_init(&w->arena, 64 << 20);
    clo_buf_init(&csv, 1 << 20);
    assert_ok(clo_buf_put_str(&csv, "age,ill\n"));
    for (uint64_t i = 0; i < rows; i++) assert_ok(clo_buf_printf(&csv, "%u,%s\n", (unsigned)(i * 37 % 100), i % 3 == 0 ? "yes" : "no"));
    w->task.input_count = 1;
    w->task.inputs[0].schema = table_fixture_schema(&w->arena, schema_text);
    w->task.inputs[0].table = table_fixture_table(&w->arena, w->task.inputs[0].schema, clo_buf_span(&csv));
    w->task.inputs[0].row_count = rows;
    w->task.program = &w->program;
    w->task.rho = (clo_dp_rational){1, 10};
    w->task.min_rows = 5;
    w->program.sql = sql;
    (void)snprintf(w->program.noise, sizeof w->program.noise, "discrete-gaussian");
    (void)snprintf(w->program.target, sizeof w->program.target, "ill");
    clo_buf_free(&csv);
}

static clo_err judge(const work *w, const clo_enclave_engine *engine, const clo_buf *result, clo_dp_rational *spent)
{
    return engine->inspect(&w->task, clo_buf_span(result), spent);
}

static void sql_noise(void **state)
{
    (void)state;
    work *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CLO_AUTO(clo_buf_free) clo_buf result = {0}, twisted = {0};
    clo_collab_run_request *request = calloc(1, sizeof *request);
    clo_wire_node *root = NULL;
    clo_dp_rational spent = clo_dp_rational_zero();
    work_open(w, "SELECT COUNT(*) AS n, AVG(age) AS age FROM rows", 200);
    w->task.request = request;
    clo_buf_init(&result, 1 << 20);
    clo_buf_init(&twisted, 1 << 20);
    assert_ok(clo_enclave_engine_sql.run(&w->task, clo_enclave_engine_rng(), (clo_dp_progress){.step = NULL}, &result));
    assert_ok(judge(w, &clo_enclave_engine_sql, &result, &spent));
    assert_int_equal(clo_dp_rational_compare(spent, w->task.rho), 0);
    /* The same result, as of a run with half the noise. */
    assert_ok(clo_wire_cbor_decode(&w->arena, clo_buf_span(&result), NULL, &root));
    clo_wire_node *entry = clo_wire_get(root, "noise")->first, *sigma = NULL;
    for (clo_wire_node *n = entry->first; n != NULL; n = n->next)
        if (n->type == CLO_WIRE_FLOAT) sigma = n;
    assert_non_null(sigma);
    sigma->number /= 2;
    assert_ok(clo_wire_cbor_encode(root, &twisted));
    assert_code(judge(w, &clo_enclave_engine_sql, &twisted, &spent), CLO_E_MALFORMED);
    /* A true result, judged under another price or program. */
    w->task.rho = (clo_dp_rational){1, 20};
    assert_code(judge(w, &clo_enclave_engine_sql, &result, &spent), CLO_E_MALFORMED);
    w->task.rho = (clo_dp_rational){1, 10};
    w->program.sql = "SELECT COUNT(*) AS n, SUM(age) AS age, COUNT(age) AS k FROM rows";
    assert_ok(judge(w, &clo_enclave_engine_sql, &result, &spent)); /* the same primitives */
    w->program.sql = "SELECT COUNT(*) AS n FROM rows";
    assert_code(judge(w, &clo_enclave_engine_sql, &result, &spent), CLO_E_MALFORMED);
    clo_arena_free(&w->arena);
    free(request);
    free(w);
}

static void train_noise(void **state)
{
    (void)state;
    work *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CLO_AUTO(clo_buf_free) clo_buf result = {0}, twisted = {0};
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    clo_dp_rational spent = clo_dp_rational_zero();
    work_open(w, NULL, 200);
    w->program.kind = CLO_PROGRAM_TRAIN;
    clo_buf_init(&result, 1 << 20);
    clo_buf_init(&twisted, 1 << 20);
    assert_ok(clo_enclave_engine_train.run(&w->task, clo_enclave_engine_rng(), (clo_dp_progress){.step = NULL}, &result));
    assert_ok(judge(w, &clo_enclave_engine_train, &result, &spent));
    assert_ok(clo_ml_model_decode(clo_buf_span(&result), &m));
    m->sigma_squared.num /= 4;
    assert_ok(clo_dp_rational_make(m->sigma_squared.num, m->sigma_squared.den, &m->sigma_squared));
    assert_ok(clo_ml_model_encode(m, &twisted));
    assert_code(judge(w, &clo_enclave_engine_train, &twisted, &spent), CLO_E_MALFORMED);
    w->program.steps = 7;
    assert_code(judge(w, &clo_enclave_engine_train, &result, &spent), CLO_E_MALFORMED);
    clo_arena_free(&w->arena);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sql_noise), cmocka_unit_test(train_noise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
