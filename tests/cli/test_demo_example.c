/* Proves: the example's template, with files as the programs write them, is a valid agreement over the example's schema, and its
 * prices and budgets are such that the demo's runs fit and a second model does not; the demo's row searcher finds what is there,
 * in files and in memory, and nothing else. */
#include "cmocka_all.h"

#include "cli/demo_data.h"
#include "cli/demo_search.h"
#include "client/template.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEX "854abe3524a6fd793c8e83a23b1b35ef6033b30818b3fced4351e722ac59eb25"
#define LOG_KEY "operator.cloister/log+9f9580b7+AXuHjfGGXgvgF+vccGwZ5O7+JjKBoxi2SRczmuG7UAfv"
#define WITNESS_KEY "witness+d274d75f+BKoj2bHQSazt9gvK36ci5TD7svRXWHv/vHkowNYaWsPw"

typedef struct {
    char dir[256];
    clo_arena arena;
} fixture;

static int setup(void **state)
{
    static fixture f;
    clo_arena_init(&f.arena, 64 << 20);
    assert_ok(clo_os_dir_temporary("cloister-example-", f.dir));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    assert_ok(clo_os_tree_remove(f->dir));
    clo_arena_free(&f->arena);
    return 0;
}

static const char *path_of(const fixture *f, const char *name)
{
    static char path[600];
    assert_ok(clo_os_path_join(path, sizeof path, f->dir, name));
    return path;
}

static void put(const fixture *f, const char *name, clo_span bytes)
{
    assert_ok(clo_os_file_write_atomic(path_of(f, name), bytes, 0600));
}

static void put_party(const fixture *f, const char *name)
{
    clo_collab_identity who;
    char file[80], json[400];
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 65536);
    assert_ok(clo_collab_identity_make(name, &who));
    assert_ok(clo_collab_party_encode(&who, &bytes));
    clo_collab_identity_wipe(&who);
    (void)snprintf(file, sizeof file, "%s.party", name);
    put(f, file, clo_buf_span(&bytes));
    (void)snprintf(json, sizeof json,
                   "{\"url\":\"https://127.0.0.1:2\",\"spki\":\"" HEX
                   "\",\"hpke\":\"c9313b50b0ff06907b73eeb60dc925a1af19b5385c581d8e5c8111aa899de62e\",\"owner\":\"%s\"}",
                   name);
    (void)snprintf(file, sizeof file, "%s.kms.json", name);
    put(f, file, clo_span_str(json));
}

static bool fits(const clo_collab_agreement *g, int statistics, int models)
{
    clo_dp_rational sum = g->runs[0].rho;
    for (int i = 1; i < statistics; i++) assert_ok(clo_dp_rational_add(sum, g->runs[0].rho, &sum));
    for (int i = 0; i < models; i++) assert_ok(clo_dp_rational_add(sum, g->runs[1].rho, &sum));
    return clo_dp_rational_compare(sum, g->datasets[0].rho) <= 0;
}

static void example_is_an_agreement(void **state)
{
    fixture *f = *state;
    clo_wire_node *tree = NULL;
    clo_collab_agreement *g = NULL;
    put_party(f, "hospital-a");
    put_party(f, "hospital-b");
    put_party(f, "hospital-c");
    put_party(f, "analyst");
    put(f, "operator.json",
        clo_span_str("{\"name\":\"operator\",\"url\":\"https://127.0.0.1:1\",\"spki\":\"" HEX
                     "\",\"log\":{\"origin\":\"o\",\"vkey\":\"" LOG_KEY "\",\"witnesses\":[\"" WITNESS_KEY
                     "\"],\"quorum\":1},\"tee\":{\"kind\":\"sim\",\"root\":\"3000\",\"root_sha256\":\"" HEX "\"}}"));
    put(f, "cloister-enclave", clo_span_str("runtime"));
    put(f, "wdbc.schema.json", clo_demo_schema);
    put(f, "agreement.yaml", clo_demo_template);
    assert_ok(clo_client_template_read(&f->arena, path_of(f, "agreement.yaml"), &tree));
    assert_ok(clo_collab_agreement_new(&f->arena, &g));
    assert_ok(clo_collab_agreement_read(&f->arena, tree, g));
    assert_int_equal(g->member_count, 4);
    assert_int_equal(g->datasets[0].schema.column_count, 31);
    assert_true(fits(g, 4, 1));
    assert_false(fits(g, 1, 2));
    CLO_AUTO(clo_buf_free) clo_buf page;
    clo_buf_init(&page, 64 * 1024);
    assert_ok(clo_collab_agreement_describe(g, &page));
}

static uint32_t all_of(const demo_search *s) { return (uint32_t)((1ull << s->count) - 1); }

static void search_sees_files(void **state)
{
    fixture *f = *state;
    demo_search s;
    assert_ok(demo_search_rows(&f->arena, clo_demo_csv, &s));
    assert_true(s.count >= 16);
    put(f, "other", clo_demo_schema);
    assert_ok(demo_search_tree(&s, f->dir));
    assert_int_equal(s.found_mask, 0);
    CLO_AUTO(clo_buf_free) clo_buf all;
    clo_buf_init(&all, 16 << 20);
    /* Over the edge of a block, so that no block has the whole row. */
    uint8_t *at = NULL;
    size_t before = ((size_t)1 << 20) - 100;
    assert_ok(clo_buf_reserve(&all, before, &at));
    memset(at, 'x', before);
    all.len += before;
    assert_ok(clo_buf_put_span(&all, s.patterns[0]));
    put(f, "rows", clo_buf_span(&all));
    assert_ok(demo_search_tree(&s, f->dir));
    assert_int_equal(s.found_mask, 1);
}

static void search_sees_tables(void **state)
{
    fixture *f = *state;
    demo_search s;
    CLO_AUTO(clo_buf_free) clo_buf table;
    clo_buf_init(&table, 16 << 20);
    assert_ok(demo_search_rows(&f->arena, clo_demo_csv, &s));
    assert_ok(demo_search_table(&f->arena, clo_demo_csv, &table));
    demo_search_bytes(&s, clo_buf_span(&table), "table");
    assert_int_equal(s.found_mask, all_of(&s) & 0xaaaaaaaau); /* the binary half */
    demo_search_bytes(&s, clo_demo_csv, "csv");
    assert_int_equal(s.found_mask, all_of(&s));
}

static void search_sees_memory(void **state)
{
    fixture *f = *state;
    demo_search s;
    assert_ok(demo_search_rows(&f->arena, clo_demo_csv, &s));
    assert_ok(demo_search_memory(&s, getpid())); /* the embedded CSV, and the patterns themselves */
    assert_int_equal(s.found_mask, all_of(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(example_is_an_agreement, setup, teardown),
        cmocka_unit_test_setup_teardown(search_sees_files, setup, teardown),
        cmocka_unit_test_setup_teardown(search_sees_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(search_sees_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
