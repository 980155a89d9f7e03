/* Proves T18: the configuration of a runtime is part of what its evidence covers, member by member; an agreement accepts it only with every
 * layer active, or with exactly those missing that its runtime entry names; and no agreement can do without the mandatory ones. */
#include "collab_fixture.h"

#include <stdio.h>

#include "base/clo_own.h"
#include "wire/cbor.h"

static fixture f;
static clo_collab_agreement *g;

static int setup(void **state)
{
    (void)state;
    fixture_open(&f, NULL);
    g = fixture_agreement(&f);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static void usual(clo_collab_configuration *c) { assert_ok(clo_collab_configuration_decode(&f.arena, fixture_configuration(&f, g, "sql"), c)); }

static void report_data_of(const clo_collab_configuration *c, uint8_t out[64])
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, CLO_CONFIGURATION_MAX);
    assert_ok(clo_collab_configuration_encode(c, &b));
    clo_collab_binding binding = {.nonce_count = 1, .epoch = 1, .configuration = clo_buf_span(&b)};
    assert_ok(clo_collab_binding_report_data(&binding, out));
}

/* Each member is flipped; each time the report data of the evidence differs. */
static void T18_every_option_changes_the_report(void **state)
{
    (void)state;
    clo_collab_configuration c;
    uint8_t first[64], now[64];
    usual(&c);
    report_data_of(&c, first);
    int64_t *const numbers[] = {&c.landlock_abi, &c.reattest_seconds, &c.lease_seconds, &c.compute_seconds_max, &c.result_bytes_max};
    char *const texts[] = {c.runtime, c.tee, c.engine};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (*numbers[i])++;
        report_data_of(&c, now);
        assert_memory_not_equal(first, now, 64);
        (*numbers[i])--;
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        texts[i][0] ^= 1;
        report_data_of(&c, now);
        assert_memory_not_equal(first, now, 64);
        texts[i][0] ^= 1;
    }
    for (unsigned i = 0; i < CLO_LAYERS; i++) {
        c.layers[i] = false;
        report_data_of(&c, now);
        assert_memory_not_equal(first, now, 64);
        c.layers[i] = true;
    }
    report_data_of(&c, now);
    assert_memory_equal(first, now, 64);
}

static void T18_an_inactive_layer_is_refused_unless_named(void **state)
{
    (void)state;
    clo_collab_configuration c;
    usual(&c);
    const clo_collab_run_terms *terms = &g->runs[0];
    assert_ok(clo_collab_configuration_judge(&c, g, terms, 0));
    for (unsigned i = 0; i < CLO_LAYERS; i++) {
        c.layers[i] = false;
        assert_code(clo_collab_configuration_judge(&c, g, terms, 0), CLO_E_DENIED);
        assert_string_equal(clo_err_denial()->claim, "configuration.layers");
        char actual[64];
        (void)snprintf(actual, sizeof actual, "inactive: %s", clo_collab_layer_name(i));
        assert_string_equal(clo_err_denial()->actual, actual);
        assert_non_null(strstr(clo_err_denial()->remedy, clo_collab_layer_name(i)));
        /* Another layer's permission does not help; its own does. */
        g->runtimes[0].may_lack = UINT32_C(1) << ((i + 1) % CLO_LAYERS);
        assert_code(clo_collab_configuration_judge(&c, g, terms, 0), CLO_E_DENIED);
        g->runtimes[0].may_lack = UINT32_C(1) << i;
        assert_ok(clo_collab_configuration_judge(&c, g, terms, 0));
        g->runtimes[0].may_lack = 0;
        c.layers[i] = true;
    }
}

static void T18_terms_are_those_of_the_agreement(void **state)
{
    (void)state;
    clo_collab_configuration c;
    const struct {
        int64_t *number;
        char *text;
        const char *claim;
    } cases[] = {{&c.lease_seconds, NULL, "configuration.times"},
                 {&c.reattest_seconds, NULL, "configuration.times"},
                 {NULL, c.tee, "configuration.tee"},
                 {NULL, c.engine, "configuration.engine"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        usual(&c);
        if (cases[i].number != NULL) (*cases[i].number)++;
        else cases[i].text[0] ^= 1;
        assert_code(clo_collab_configuration_judge(&c, g, &g->runs[0], 0), CLO_E_DENIED);
        assert_string_equal(clo_err_denial()->claim, cases[i].claim);
    }
}

static void T18_only_optional_layers_can_be_named(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        uint32_t code;
    } cases[] = {{"[seccomp]", CLO_E_DENIED},         {"[no-dump]", CLO_E_DENIED},      {"[landlock, no-new-privileges]", CLO_E_DENIED}, {"[rlimits]", CLO_E_DENIED},
                 {"[Landlock]", CLO_E_UNSUPPORTED},   {"[all]", CLO_E_UNSUPPORTED},     {"[landlock, landlock]", CLO_E_DUPLICATE},
                 {"[\"landlock\\0\"]", CLO_E_MALFORMED}, {"landlock", CLO_E_MALFORMED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = NULL;
        assert_ok(clo_arena_printf(&f.arena, &text, "tee: sim\n    may_lack: %s\n", cases[i].list));
        clo_collab_agreement *other = NULL;
        clo_err e = fixture_read(&f, fixture_with(&f, "tee: sim\n", text), &other);
        if (!clo_failed(e)) fail_msg("%s was accepted", cases[i].list);
        if (i < 7) assert_int_equal(e.code, cases[i].code);
    }
    clo_collab_agreement *good = NULL;
    assert_ok(fixture_read(&f, fixture_with(&f, "tee: sim\n", "tee: sim\n    may_lack: [locked-rows, landlock]\n"), &good));
    assert_int_equal(good->runtimes[0].may_lack, UINT32_C(1) << CLO_OS_LAYER_LANDLOCK | UINT32_C(1) << CLO_LAYER_LOCKED_ROWS);
    clo_collab_agreement *again = NULL;
    assert_ok(clo_collab_agreement_new(&f.arena, &again));
    assert_ok(clo_collab_agreement_decode(&f.arena, good->cbor, again));
    assert_int_equal(again->runtimes[0].may_lack, good->runtimes[0].may_lack);
    assert_memory_not_equal(good->id, g->id, 32);
}

/* An amendment that lets a layer be missing widens, and one that takes it back does not. */
static void T18_a_tolerated_layer_widens(void **state)
{
    (void)state;
    clo_collab_agreement *more = NULL;
    clo_collab_change *changes = NULL;
    size_t count = 0;
    assert_ok(fixture_read(&f, fixture_with(&f, "tee: sim\n", "tee: sim\n    may_lack: [landlock]\n"), &more));
    assert_ok(clo_collab_agreement_diff(&f.arena, g, more, &changes, &count));
    assert_int_equal(count, 1);
    assert_true(changes[0].widens);
    assert_string_equal(changes[0].path, "runtimes[sim].may_lack");
    assert_ok(clo_collab_agreement_diff(&f.arena, more, g, &changes, &count));
    assert_int_equal(count, 1);
    assert_false(changes[0].widens);
}

static clo_err parse(void *context, clo_span in)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_collab_configuration c;
    const clo_collab_run_terms *terms = context;
    CLO_TRY(clo_collab_configuration_decode(&a, in, &c));
    return clo_collab_configuration_judge(&c, g, terms, 0);
}

static void reading_is_strict(void **state)
{
    (void)state;
    clo_span good = fixture_configuration(&f, g, "sql");
    for (size_t n = 0; n < good.n; n++) assert_true(clo_failed(parse(&g->runs[0], clo_span_of(good.p, n))));
    clo_wire_node *map = NULL;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, CLO_CONFIGURATION_MAX);
    assert_ok(clo_wire_cbor_decode(&f.arena, good, NULL, &map));
    assert_ok(clo_wire_set_bool(&f.arena, map, "debug", true));
    assert_ok(clo_wire_cbor_encode(map, &b));
    assert_code(parse(&g->runs[0], clo_buf_span(&b)), CLO_E_UNKNOWN_FIELD);
    uint8_t large[CLO_CONFIGURATION_MAX + 1] = {0};
    assert_code(parse(&g->runs[0], clo_span_of(large, sizeof large)), CLO_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(T18_every_option_changes_the_report),
                                       cmocka_unit_test(T18_an_inactive_layer_is_refused_unless_named),
                                       cmocka_unit_test(T18_terms_are_those_of_the_agreement),
                                       cmocka_unit_test(T18_only_optional_layers_can_be_named),
                                       cmocka_unit_test(T18_a_tolerated_layer_widens),
                                       cmocka_unit_test(reading_is_strict)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
