/* Proves: the example's template, filled in the way its README says, is a valid agreement over the example's schema. */
#include "collab_fixture.h"

#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"

enum { FILE_MAX = 256 * 1024 };

static clo_span file_read(fixture *f, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) fail_msg("%s is missing", path);
    void *p = NULL;
    assert_ok(clo_arena_alloc(&f->arena, FILE_MAX, &p));
    size_t n = fread(p, 1, FILE_MAX, file);
    assert_int_equal(fclose(file), 0);
    return clo_span_of(p, n);
}

/* The value of @NAME@: by the kind of thing that its name ends in. */
static const char *value_of(fixture *f, clo_span name)
{
    static const uint8_t some[48] = {9, 8, 7};
    const char *text = NULL;
    assert_ok(clo_arena_str(&f->arena, name, &text));
    if (strcmp(text, "NOT_AFTER") == 0) return "2027-01-31T00:00:00Z";
    if (strcmp(text, "LOG_VKEY") == 0 || strcmp(text, "WITNESS_VKEY") == 0) {
        bool is_log = text[0] == 'L';
        clo_crypto_public_key pk;
        clo_wire_note_key key;
        assert_ok(clo_crypto_sign_public_of(is_log ? &f->log_key : &f->witness_key, &pk));
        assert_ok(clo_wire_note_key_make(is_log ? "log.example" : "witness.example", is_log ? 1 : 4, &pk, &key));
        CLO_AUTO(clo_buf_free) clo_buf b;
        clo_buf_init(&b, 1024);
        assert_ok(clo_wire_note_key_text(&key, &b));
        clo_span out;
        assert_ok(clo_arena_copy(&f->arena, clo_buf_span(&b), &out));
        return (const char *)out.p;
    }
    if (strstr(text, "URL") != NULL) return "https://127.0.0.1:9000";
    return fixture_hex(f, clo_span_of(some, strcmp(text, "MEASUREMENT") == 0 ? 48 : 32));
}

static void fill(fixture *f, clo_span template, clo_buf *out)
{
    for (size_t i = 0; i < template.n; i++) {
        size_t end = i + 1;
        bool is_name = template.p[i] == '@';
        while (is_name && end < template.n && template.p[end] != '@' && template.p[end] != '\n') end++;
        if (!is_name || end >= template.n || template.p[end] != '@') {
            assert_ok(clo_buf_put_u8(out, template.p[i]));
            continue;
        }
        clo_span name = clo_span_of(template.p + i + 1, end - i - 1);
        if (clo_span_equal(name, clo_span_str("NAME")))
            assert_ok(clo_buf_put_str(out, "NAME"));
        else
            assert_ok(clo_buf_put_str(out, value_of(f, name)));
        i = end;
    }
}

/* What `party: FILE` and `schema: FILE` stand for. */
static void resolve(fixture *f, clo_wire_node *tree)
{
    size_t i = 0;
    for (clo_wire_node *n = clo_wire_get(tree, "parties")->first; n != NULL; n = n->next, i++) {
        clo_wire_node *reference = clo_wire_get(n, "party");
        assert_non_null(reference);
        clo_wire_node *map = NULL;
        assert_ok(clo_wire_map(&f->arena, &map));
        assert_ok(clo_wire_set_text(&f->arena, map, "name", f->parties[i].public_half.name));
        assert_ok(clo_wire_set_bytes(&f->arena, map, "sign_key", clo_crypto_public_key_span(&f->parties[i].public_half.sign)));
        assert_ok(clo_wire_set_bytes(&f->arena, map, "hpke_key", clo_span_of(f->parties[i].public_half.hpke, 32)));
        map->last->next = reference->next; /* the reference is the first member */
        map->count += n->count - 1;
        map->last = n->last;
        n->first = map->first;
        n->count = map->count;
    }
    for (clo_wire_node *n = clo_wire_get(tree, "datasets")->first; n != NULL; n = n->next) {
        clo_wire_node *schema = clo_wire_get(n, "schema"), *json = NULL;
        assert_int_equal(schema->type, CLO_WIRE_TEXT);
        assert_ok(clo_wire_json_decode(&f->arena, file_read(f, "examples/breast-cancer/breast-cancer.schema.json"), &json));
        schema->type = CLO_WIRE_MAP;
        schema->first = json->first;
        schema->last = json->last;
        schema->count = json->count;
    }
}

static void test_breast_cancer(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    CLO_AUTO(clo_buf_free) clo_buf yaml;
    clo_buf_init(&yaml, FILE_MAX);
    fill(&f, file_read(&f, "examples/breast-cancer/agreement.yaml.in"), &yaml);
    clo_wire_node *tree = NULL;
    assert_ok(clo_wire_yaml_decode(&f.arena, clo_buf_span(&yaml), &tree));
    resolve(&f, tree);
    clo_collab_agreement *g = NULL;
    assert_ok(clo_collab_agreement_new(&f.arena, &g));
    assert_ok(clo_collab_agreement_read(&f.arena, tree, g));
    assert_int_equal(g->datasets[0].schema.column_count, 31);
    /* Two statistics and one model fit into the budget; a second model does not. */
    clo_dp_rational sum;
    assert_ok(clo_dp_rational_add(g->runs[0].rho, g->runs[0].rho, &sum));
    assert_ok(clo_dp_rational_add(sum, g->runs[1].rho, &sum));
    assert_true(clo_dp_rational_compare(sum, g->datasets[0].rho) <= 0);
    assert_ok(clo_dp_rational_add(sum, g->runs[1].rho, &sum));
    assert_true(clo_dp_rational_compare(sum, g->datasets[0].rho) > 0);
    CLO_AUTO(clo_buf_free) clo_buf page;
    clo_buf_init(&page, 64 * 1024);
    assert_ok(clo_collab_agreement_describe(g, &page));
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_breast_cancer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
