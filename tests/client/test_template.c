/* Proves that a template with file references compiles to the agreement that the files describe, and that each missing, wrong or
 * foreign file is an error that names it. */
#include "client_fixture.h"

#include "client/template.h"

#define SPKI "854abe3524a6fd793c8e83a23b1b35ef6033b30818b3fced4351e722ac59eb25"
#define HPKE "c9313b50b0ff06907b73eeb60dc925a1af19b5385c581d8e5c8111aa899de62e"
#define LOG_KEY "operator.cloister/log+9f9580b7+AXuHjfGGXgvgF+vccGwZ5O7+JjKBoxi2SRczmuG7UAfv"
#define WITNESS_KEY "witness+d274d75f+BKoj2bHQSazt9gvK36ci5TD7svRXWHv/vHkowNYaWsPw"
#define OPERATOR                                                                                                                 \
    "{\"name\":\"operator\",\"url\":\"https://127.0.0.1:1\",\"spki\":\"" SPKI "\",\"log\":{\"origin\":\"o\",\"vkey\":\"" LOG_KEY \
    "\",\"witnesses\":[\"" WITNESS_KEY "\"],\"quorum\":1},\"tee\":{\"kind\":\"sim\",\"root\":\"3000\",\"root_sha256\":\"" SPKI   \
    "\"}}"
#define HEAD "format: cloister-agreement/1\ntitle: T\nnot_after: 2099-01-01T00:00:00Z\nallow_simulated: true\n"
#define OPERATOR_LINE "operator: operator.json\n"
#define PARTIES "parties:\n  - {party: hospital.party, kms: hospital.kms.json}\n  - {party: analyst.party}\n"
#define DATASETS                                                                                                                 \
    "datasets:\n  - {name: rows, owner: hospital, schema: {file: sets.json, set: one}, budget: {epsilon: 3, delta: 1e-6}}\n"
#define PROGRAMS "programs:\n  - {name: count, kind: sql, sql: {file: count.sql}}\n"
#define RUNTIMES "runtimes:\n  - {tee: sim, measurements: [{program: runtime.bin}], roots: operator}\n"
#define RUNS                                                                                                                     \
    "runs:\n  - {name: count, program: count, datasets: [rows], starters: [analyst], recipients: [analyst], price: {rho: "       \
    "\"0.05\"}, "                                                                                                                \
    "count_max: 3, min_rows: 10}\n"
#define WHOLE HEAD OPERATOR_LINE PARTIES DATASETS PROGRAMS RUNTIMES RUNS

static void make_party(client_fixture *f, const char *name, const char *file)
{
    clo_collab_identity who;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 65536);
    assert_ok(clo_collab_identity_make(name, &who));
    assert_ok(clo_collab_party_encode(&who, &bytes));
    assert_ok(clo_os_file_write_atomic(client_path(f, file), clo_buf_span(&bytes), 0644));
    clo_collab_identity_wipe(&who);
}

static int setup(void **state)
{
    (void)client_setup(state);
    client_fixture *f = *state;
    make_party(f, "hospital", "hospital.party");
    make_party(f, "analyst", "analyst.party");
    (void)client_write(f, "operator.json", OPERATOR);
    (void)client_write(f, "hospital.kms.json",
                       "{\"url\":\"https://127.0.0.1:2\",\"spki\":\"" SPKI "\",\"hpke\":\"" HPKE "\",\"owner\":\"hospital\"}");
    (void)client_write(f, "sets.json", "{\"one\":{\"columns\":{\"age\":{\"type\":\"int\",\"min\":0,\"max\":120}}},\"two\":{}}");
    (void)client_write(f, "count.sql", "SELECT COUNT(*) AS n FROM rows");
    (void)client_write(f, "runtime.bin", "runtime");
    return 0;
}

static clo_err compile(client_fixture *f, const char *text, clo_collab_agreement **g)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_client_template_read(&f->arena, client_write(f, "t.yaml", text), &tree));
    CLO_TRY(clo_collab_agreement_new(&f->arena, g));
    return clo_collab_agreement_read(&f->arena, tree, *g);
}

static void files_become_the_agreement(void **state)
{
    client_fixture *f = *state;
    clo_collab_agreement *g = NULL;
    assert_ok(compile(f, WHOLE, &g));
    assert_int_equal(g->member_count, 2);
    assert_true(g->members[0].data_owner);
    assert_false(g->members[1].data_owner);
    assert_string_equal(g->members[0].kms_url, "https://127.0.0.1:2");
    assert_string_equal(g->operator_name, "operator");
    assert_int_equal(g->log.quorum, 1);
    assert_string_equal(g->programs[0].sql, "SELECT COUNT(*) AS n FROM rows");
    assert_int_equal(g->runtimes[0].policy.measurement_count, 1);
    assert_int_equal(g->runtimes[0].policy.root_count, 1);
    assert_string_equal(g->datasets[0].schema.columns[0].name, "age");
    uint8_t before[32];
    memcpy(before, g->id, 32);
    assert_ok(compile(f, WHOLE, &g)); /* the same words give the same agreement */
    assert_memory_equal(before, g->id, 32);
    (void)client_write(f, "runtime.bin", "another runtime");
    assert_ok(compile(f, WHOLE, &g));
    assert_memory_not_equal(before, g->id, 32);
}

static void files_that_are_wrong_are_named(void **state)
{
    client_fixture *f = *state;
    static const struct {
        const char *file, *content; /* NULL = removed */
        uint32_t code;
    } cases[] = {{"hospital.party", NULL, CLO_E_NOT_FOUND},
                 {"hospital.party", "junk", 0},
                 {"hospital.kms.json", NULL, CLO_E_NOT_FOUND},
                 {"hospital.kms.json", "{\"url\":\"https://127.0.0.1:2\"}", CLO_E_MISSING_FIELD},
                 {"hospital.kms.json", "[]", CLO_E_MALFORMED},
                 {"hospital.kms.json",
                  "{\"url\":\"https://127.0.0.1:2\",\"spki\":\"" SPKI "\",\"hpke\":\"" HPKE "\",\"owner\":\"other\"}",
                  CLO_E_CONFLICT},
                 {"operator.json", NULL, CLO_E_NOT_FOUND},
                 {"operator.json", "{", 0},
                 {"sets.json", NULL, CLO_E_NOT_FOUND},
                 {"sets.json", "{\"two\":{}}", CLO_E_NOT_FOUND},
                 {"count.sql", NULL, CLO_E_NOT_FOUND},
                 {"runtime.bin", NULL, CLO_E_NOT_FOUND}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_collab_agreement *g = NULL;
        if (i > 0) {
            (void)client_teardown(state);
            (void)setup(state);
        }
        f = *state;
        if (cases[i].content != NULL)
            (void)client_write(f, cases[i].file, cases[i].content);
        else
            assert_ok(clo_os_file_remove(client_path(f, cases[i].file)));
        clo_err e = compile(f, WHOLE, &g);
        assert_true(clo_failed(e));
        if (cases[i].code != 0 && e.code != cases[i].code) fail_msg("case %zu: %s: %s", i, clo_err_name(e), clo_err_text());
        if (strstr(clo_err_text(), cases[i].file) == NULL && strncmp(cases[i].file, "operator", 8) != 0)
            fail_msg("case %zu: %s", i, clo_err_text());
    }
}

static void templates_that_are_wrong_are_refused(void **state)
{
    client_fixture *f = *state;
    clo_collab_agreement *g = NULL;
    clo_wire_node *tree = NULL;
    assert_code(clo_client_template_read(&f->arena, client_path(f, "nothing.yaml"), &tree), CLO_E_NOT_FOUND);
    assert_true(clo_failed(compile(f, "- a\n- b\n", &g)));
    assert_true(clo_failed(compile(f, "title: [\n", &g)));
    assert_code(compile(f, HEAD HEAD, &g), CLO_E_DUPLICATE);
    assert_code(compile(f, WHOLE "surprise: 1\n", &g), CLO_E_UNKNOWN_FIELD);
    /* The operator's root is only there where an operator's file is. */
    assert_code(compile(f, HEAD PARTIES DATASETS PROGRAMS RUNTIMES RUNS, &g), CLO_E_MISSING_FIELD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_become_the_agreement, setup, client_teardown),
        cmocka_unit_test_setup_teardown(files_that_are_wrong_are_named, setup, client_teardown),
        cmocka_unit_test_setup_teardown(templates_that_are_wrong_are_refused, setup, client_teardown),
    };
    return cmocka_run_group_tests_name("client template", tests, NULL, NULL);
}
