/* Proves: people's YAML compiles to one canonical form and no other is accepted; what does not fit together is refused with its
 * path and line; signatures, merging, amendments, states and orders do what the agreement says. */
#include "collab_fixture.h"

#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "dp/zcdp.h"
#include "wire/cbor.h"
#include "wire/json.h"

static void test_read(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f), *again = NULL, *third = NULL;
    assert_int_equal(g->member_count, 4);
    assert_int_equal(g->dataset_count, 3);
    assert_memory_equal(g->id, g->lineage, 32);
    assert_true(g->telemetry_counts && g->telemetry_states && !g->telemetry_timings);
    /* The budget in epsilon is compiled to rho and never rounds up. */
    double epsilon = 0;
    assert_ok(clo_dp_zcdp_epsilon(g->datasets[0].rho, g->datasets[0].delta, &epsilon));
    assert_true(epsilon <= 3.0 && epsilon > 2.999);
    clo_collab_run_terms *r = &g->runs[1];
    assert_int_equal(r->rho.num, 1);
    assert_int_equal(r->rho.den, 20);
    size_t owners[CLO_PARTIES_MAX];
    assert_int_equal(clo_collab_run_owners(g, r, owners), 3);
    assert_int_equal(owners[2], 2);
    assert_ptr_equal(clo_collab_agreement_dataset_by_id(g, g->datasets[1].id), &g->datasets[1]);
    assert_null(clo_collab_agreement_member(g, "nobody"));

    assert_ok(clo_collab_agreement_new(&f.arena, &again));
    assert_ok(clo_collab_agreement_decode(&f.arena, g->cbor, again));
    assert_memory_equal(g->id, again->id, 32);
    /* JSON of the canonical tree is read back to the same agreement. */
    clo_wire_node *tree = NULL;
    assert_ok(clo_collab_agreement_tree(&f.arena, g, &tree));
    CLO_AUTO(clo_buf_free) clo_buf json;
    clo_buf_init(&json, 1 << 20);
    assert_ok(clo_wire_json_encode(tree, 2, &json));
    assert_ok(clo_wire_json_decode(&f.arena, clo_buf_span(&json), &tree));
    assert_ok(clo_collab_agreement_new(&f.arena, &third));
    assert_ok(clo_collab_agreement_read(&f.arena, tree, third));
    assert_memory_equal(g->id, third->id, 32);
    fixture_close(&f);
}

typedef struct {
    const char *from, *to;
    uint32_t code;
    const char *says; /* part of the sentence */
} bad_case;

static const bad_case bad_cases[] = {
    {"format: cloister-agreement/1\n", "", CLO_E_MISSING_FIELD, "format"},
    {"cloister-agreement/1", "cloister-agreement/2", CLO_E_VERSION, "format"},
    {"epoch: 1", "epoch: 0", CLO_E_RANGE, "(line 3)"},
    {"epoch: 1", "epoch: 2", CLO_E_MISSING_FIELD, "prev"},
    {"epoch: 1", "epoch: 1\nepoch: 1", CLO_E_DUPLICATE, "epoch"},
    {"epoch: 1", "epoch: \"1\"", CLO_E_MALFORMED, "epoch"},
    {"epoch: 1", "epoch: 1\nextra: 1", CLO_E_UNKNOWN_FIELD, "extra"},
    {"title: Breast cancer, three hospitals", "title: \"\"", CLO_E_MISSING_FIELD, "title"},
    {"title: Breast cancer, three hospitals", "title: \"x\\nIt spends nothing\"", CLO_E_MALFORMED, "title"},
    {"title: Breast cancer, three hospitals", "title: \"x\\x1b[2J\"", CLO_E_MALFORMED, "title"},
    {"title: Breast cancer, three hospitals", "title: \"x\\u202Ey\"", CLO_E_MALFORMED, "title"},
    {"2027-01-01T00:00:00Z", "tomorrow", CLO_E_MALFORMED, "not_after"},
    {"allow_simulated: true", "allow_simulated: false", CLO_E_DENIED, "runtimes[0]"},
    {"allow_simulated: true", "allow_simulated: yes", CLO_E_MALFORMED, "allow_simulated"},
    {"lease_seconds: 300", "lease_seconds: 9", CLO_E_RANGE, "lease_seconds"},
    {"reattest_seconds: 60", "reattest_seconds: 3601", CLO_E_RANGE, "reattest_seconds"},
    {"telemetry: [states, counts]", "telemetry: [rows]", CLO_E_UNSUPPORTED, "telemetry"},
    {"telemetry: [states, counts]", "suites: {hpke: rot13}", CLO_E_UNSUPPORTED, "suites.hpke"},
    {"telemetry: [states, counts]", "governance: {stop: all}", CLO_E_UNSUPPORTED, "governance.stop"},
    {"https://127.0.0.1:8443", "http://127.0.0.1:8443", CLO_E_MALFORMED, "operator.url"},
    {"https://127.0.0.1:8443", "https://127.0.0.1:0", CLO_E_MALFORMED, "operator.url"},
    {"https://127.0.0.1:9001", "https://127.0.0.1:9001/x", CLO_E_MALFORMED, "parties[0].key_service.url"},
    {"quorum: 1", "quorum: 2", CLO_E_RANGE, "quorum"},
    {"quorum: 1", "quorum: 0", CLO_E_RANGE, "quorum"},
    {"name: hospital-b", "name: hospital-a", CLO_E_DUPLICATE, "parties[1]"},
    {"name: hospital-b", "name: Hospital B", CLO_E_MALFORMED, "parties[1].name"},
    {"role: analyst", "role: boss", CLO_E_UNSUPPORTED, "role"},
    {"role: analyst", "role: data-owner", CLO_E_MISSING_FIELD, "key_service"},
    {"sign_key: ", "sign_key: 00", CLO_E_MALFORMED, "parties[0].sign_key"},
    {"name: rows-b", "name: rows-a", CLO_E_DUPLICATE, "datasets[1]"},
    {"owner: hospital-b", "owner: nobody", CLO_E_MALFORMED, "datasets[1].owner"},
    {"owner: hospital-b", "owner: analyst", CLO_E_MISSING_FIELD, "datasets[1].owner"},
    {"budget: {epsilon: 3, delta: 1e-6}", "budget: {epsilon: -3, delta: 1e-6}", CLO_E_RANGE, "datasets[0].budget"},
    {"budget: {epsilon: 3, delta: 1e-6}", "budget: {epsilon: 3}", CLO_E_MISSING_FIELD, "delta"},
    {"budget: {epsilon: 3, delta: 1e-6}", "budget: {rho: \"0\"}", CLO_E_RANGE, "budget is zero"},
    {"budget: {epsilon: 3, delta: 1e-6}", "budget: {rho: \"1\", delta: 0.5}", CLO_E_RANGE, "delta"},
    {"budget: {epsilon: 3, delta: 1e-6}", "budget: {rho: nan}", CLO_E_MALFORMED, "rho"},
    {"budget: {epsilon: 3, delta: 1e-6}", "budget: {epsilon: nan, delta: 1e-6}", CLO_E_MALFORMED, "epsilon"},
    {"min: 6.5, max: 28.5", "min: 28.5, max: 6.5", 0, "datasets[0].schema"},
    {"radius: {type: float, min: 6.5, max: 28.5}", "radius: {type: float, min: 6.5, max: 29}", CLO_E_CONFLICT,
     "different schemas"},
    {"kind: sql", "kind: python", CLO_E_UNSUPPORTED, "kind"},
    {"AVG(radius)", "AVG(colour)", 0, "runs[0].program"},
    {"AVG(radius)", "radius", 0, "runs[0].program"},
    {"area >= :floor", "area >= :limit", CLO_E_MALFORMED, ":limit"},
    {"parameters: [floor]", "parameters: [floor, other]", CLO_E_UNKNOWN_FIELD, "other"},
    {"parameters: [floor]", "parameters: [floor, floor]", CLO_E_DUPLICATE, "parameters"},
    {"target: malignant\n    steps", "target: radius\n    steps", 0, "radius"},
    {"target: malignant\n    steps", "target: colour\n    steps", 0, "colour"},
    {"target: malignant\n    steps", "target: \"\"\n    steps", CLO_E_MISSING_FIELD, "target"},
    {"steps: 20", "steps: 20\n    noise: discrete-laplace", CLO_E_UNSUPPORTED, "noise"},
    {"steps: 20", "steps: 100000", CLO_E_RANGE, "steps"},
    {"steps: 20", "clip: 2", CLO_E_RANGE, "clip"},
    {"program: means\n", "program: medians\n", CLO_E_MALFORMED, "runs[0].program"},
    {"datasets: [rows-a, rows-b, rows-c]", "datasets: []", CLO_E_MISSING_FIELD, "runs[0].datasets"},
    {"datasets: [rows-a, rows-b, rows-c]", "datasets: [rows-a, rows-a]", CLO_E_DUPLICATE, "rows-a"},
    {"datasets: [rows-a, rows-b, rows-c]", "datasets: [rows-x]", CLO_E_MALFORMED, "rows-x"},
    {"starters: [analyst]", "starters: [nobody]", CLO_E_MALFORMED, "starters"},
    {"starters: [analyst]", "starters: []", CLO_E_MISSING_FIELD, "starters"},
    {"recipients: [analyst, hospital-a]", "recipients: [operator]", CLO_E_MALFORMED, "recipients"},
    {"price: \"0.01\"", "price: \"1000\"", CLO_E_BUDGET, "price"},
    {"price: \"0.01\"", "price: \"0\"", CLO_E_RANGE, "price"},
    {"price: \"0.01\"", "price: -1", CLO_E_MALFORMED, "price"},
    {"price: {rho: \"1/20\"}", "price: {rho: \"1/1000000000\"}", CLO_E_RANGE, "runs[1]"}, /* its noise could not be represented */
    {"price: \"0.01\"", "price: \"1/1000000000000\"", CLO_E_RANGE, "runs[0]"},          /* nor that of a query */
    {"count_max: 3", "count_max: 0", CLO_E_RANGE, "count_max"},
    {"min_rows: 20", "min_rows: 0", CLO_E_RANGE, "min_rows"},
    {"not_before: 2026-02-01", "not_before: 2026-12-02", CLO_E_RANGE, "window"},
    {"not_after: 2026-12-01", "not_after: 2027-12-01", CLO_E_RANGE, "window"},
    {"tee: sim", "tee: sgx", CLO_E_UNSUPPORTED, "tee"},
    {"tee: sim", "tee: snp", CLO_E_MISSING_FIELD, "min_tcb"},
    {"measurements: [ab", "measurements: [", CLO_E_MALFORMED, "measurements"},
    {"    roots: [cd", "    roots: []\n    chips: [cd", CLO_E_MALFORMED, "chips"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        const bad_case *c = &bad_cases[i];
        fixture f;
        fixture_open(&f, NULL);
        clo_collab_agreement *g = NULL;
        clo_err e = fixture_read(&f, fixture_with(&f, c->from, c->to), &g);
        if (!clo_failed(e)) fail_msg("\"%s\" was accepted", c->to);
        if (c->code != 0 && e.code != c->code) fail_msg("\"%s\": %s (%s)", c->to, clo_err_text(), clo_err_name(e));
        if (strstr(clo_err_text(), c->says) == NULL)
            fail_msg("\"%s\": the sentence \"%s\" does not say \"%s\"", c->to, clo_err_text(), c->says);
        fixture_close(&f);
    }
}

static void test_not_canonical(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f), *out = NULL;
    assert_ok(clo_collab_agreement_new(&f.arena, &out));
    /* The people's form as CBOR is not the signed form. */
    clo_wire_node *tree = NULL;
    CLO_AUTO(clo_buf_free) clo_buf cbor;
    clo_buf_init(&cbor, 1 << 20);
    assert_ok(clo_wire_yaml_decode(&f.arena, clo_buf_span(&f.yaml), &tree));
    assert_ok(clo_wire_cbor_encode(tree, &cbor));
    assert_true(clo_failed(clo_collab_agreement_decode(&f.arena, clo_buf_span(&cbor), out)));
    /* The canonical tree with an amount in another spelling. */
    clo_buf_clear(&cbor);
    assert_ok(clo_collab_agreement_tree(&f.arena, g, &tree));
    clo_wire_node *price = clo_wire_get(clo_wire_get(tree, "runs")->first, "price");
    assert_non_null(price);
    price->text = clo_span_str("0.01");
    assert_ok(clo_wire_cbor_encode(tree, &cbor));
    assert_code(clo_collab_agreement_decode(&f.arena, clo_buf_span(&cbor), out), CLO_E_NOT_CANONICAL);
    /* Cuts. */
    for (size_t n = 0; n < g->cbor.n; n += 13) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 16 << 20);
        assert_true(clo_failed(clo_collab_agreement_decode(&a, clo_span_of(g->cbor.p, n), out)));
    }
    fixture_close(&f);
}

static void test_signatures(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f), *out = NULL;
    assert_ok(clo_collab_agreement_new(&f.arena, &out));
    uint32_t mask = 99;
    clo_span none = fixture_signed(&f, g, 0), three = fixture_signed(&f, g, 3), all = fixture_signed(&f, g, 4);
    assert_ok(clo_collab_agreement_file_open(&f.arena, none, out, &mask));
    assert_int_equal(mask, 0);
    assert_code(clo_collab_agreement_require_signed(out, mask), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "agreement.signatures");
    assert_ok(clo_collab_agreement_file_open(&f.arena, three, out, &mask));
    assert_int_equal(mask, 7);
    assert_code(clo_collab_agreement_require_signed(out, mask), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->actual, "missing: analyst");
    assert_ok(clo_collab_agreement_file_open(&f.arena, all, out, &mask));
    assert_ok(clo_collab_agreement_require_signed(out, mask));

    /* Signing in another order, on separate copies, and merging gives the same file. */
    CLO_AUTO(clo_buf_free) clo_buf x;
    CLO_AUTO(clo_buf_free) clo_buf merged;
    clo_buf_init(&x, 1 << 20);
    clo_buf_init(&merged, 1 << 20);
    assert_ok(clo_collab_agreement_file_sign(none, &f.parties[3], &x));
    assert_ok(clo_collab_agreement_file_merge(clo_buf_span(&x), three, &merged));
    assert_true(clo_span_equal(clo_buf_span(&merged), all));

    clo_buf_clear(&x);
    assert_code(clo_collab_agreement_file_sign(three, &f.parties[0], &x), CLO_E_EXISTS);
    clo_collab_identity stranger;
    fixture_identity("mallory", 9, &stranger);
    assert_code(clo_collab_agreement_file_sign(three, &stranger, &x), CLO_E_DENIED);
    fixture_identity("analyst", 9, &stranger);
    assert_code(clo_collab_agreement_file_sign(three, &stranger, &x), CLO_E_DENIED);
    assert_int_equal(x.len, 0);

    clo_collab_agreement *other = NULL;
    assert_ok(fixture_read(&f, fixture_with(&f, "count_max: 3", "count_max: 4"), &other));
    assert_code(clo_collab_agreement_file_merge(all, fixture_signed(&f, other, 0), &merged), CLO_E_CONFLICT);
    fixture_close(&f);
}

static clo_err parse_file(void *context, clo_span in)
{
    (void)context;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 16 << 20);
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    CLO_TRY(clo_collab_agreement_new(&a, &g));
    CLO_TRY(clo_collab_agreement_file_open(&a, in, g, &mask));
    CLO_CHECK(mask == 15, CLO_E_DENIED);
    return CLO_OK;
}

static void test_hostile_file(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    fixture_hostile(parse_file, NULL, fixture_signed(&f, fixture_agreement(&f), 4));
    fixture_close(&f);
}

static void test_amends(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f), *next = NULL;
    const char *to = NULL;
    const char *id = fixture_hex(&f, clo_span_of(g->id, 32));
    assert_ok(clo_arena_printf(&f.arena, &to, "epoch: 2\nprev: %s\nlineage: %s", id, id));
    assert_ok(fixture_read(&f, fixture_with(&f, "epoch: 1", to), &next));
    assert_ok(clo_collab_agreement_require_amends(g, next));
    assert_memory_equal(next->lineage, g->id, 32);
    assert_code(clo_collab_agreement_require_amends(next, next), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "agreement.prev");
    assert_code(clo_collab_agreement_require_amends(next, g), CLO_E_DENIED);
    clo_collab_agreement *decoded = NULL;
    assert_ok(clo_collab_agreement_new(&f.arena, &decoded));
    assert_ok(clo_collab_agreement_decode(&f.arena, next->cbor, decoded));
    assert_memory_equal(decoded->prev, g->id, 32);
    fixture_close(&f);
}

static void test_describe(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f);
    CLO_AUTO(clo_buf_free) clo_buf page;
    clo_buf_init(&page, 64 * 1024);
    assert_ok(clo_collab_agreement_describe(g, &page));
    const char *text = NULL;
    assert_ok(clo_buf_cstr(&page, &text));
    static const char *const wanted[] = {"Breast cancer, three hospitals",
                                         "software TEE (sim): no protection from the operator",
                                         "hospital-b",
                                         "rows-a",
                                         "analyst and hospital-a",
                                         "up to 3 times",
                                         "fewer than 20 rows",
                                         "(rho 0.01)",
                                         "2027-01-01T00:00:00Z",
                                         "SELECT malignant",
                                         "predicts \"malignant\"",
                                         "log.example",
                                         "witness.example",
                                         "https://127.0.0.1:8443"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strstr(text, wanted[i]) == NULL) fail_msg("the page does not say \"%s\":\n%s", wanted[i], text);
    fixture_close(&f);
}

static void test_states(void **state)
{
    (void)state;
    enum { NO = CLO_AGREEMENT_STATES };
    /* Written out again from the architecture, every cell. */
    static const int wanted[CLO_AGREEMENT_STATES][CLO_ORDERS] = {
        {CLO_AGREEMENT_PROPOSED, NO, NO, NO, CLO_AGREEMENT_EXPIRED, CLO_AGREEMENT_TERMINATED},
        {NO, CLO_AGREEMENT_ACTIVE, NO, NO, CLO_AGREEMENT_EXPIRED, CLO_AGREEMENT_TERMINATED},
        {NO, NO, CLO_AGREEMENT_SUSPENDED, NO, CLO_AGREEMENT_EXPIRED, CLO_AGREEMENT_TERMINATED},
        {NO, NO, CLO_AGREEMENT_SUSPENDED, CLO_AGREEMENT_ACTIVE, CLO_AGREEMENT_EXPIRED, CLO_AGREEMENT_TERMINATED},
        {NO, NO, NO, NO, NO, NO},
        {NO, NO, NO, NO, NO, NO},
    };
    for (unsigned s = 0; s < CLO_AGREEMENT_STATES; s++)
        for (unsigned o = 0; o < CLO_ORDERS; o++) {
            clo_collab_agreement_state now = (clo_collab_agreement_state)s;
            clo_err e = clo_collab_agreement_step(&now, (clo_collab_agreement_order)o);
            if (wanted[s][o] == NO) {
                assert_code(e, CLO_E_CONFLICT);
                assert_int_equal(now, s);
            } else {
                assert_ok(e);
                assert_int_equal(now, wanted[s][o]);
            }
        }
    assert_string_equal(clo_collab_agreement_state_name(CLO_AGREEMENT_SUSPENDED), "suspended");
}

typedef struct {
    const clo_collab_agreement *g;
} order_context;
static clo_err parse_order(void *context, clo_span in)
{
    const order_context *c = context;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_collab_order o;
    return clo_collab_order_open(&a, in, c->g, &o);
}

static void test_orders(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f), *other = NULL;
    clo_collab_order o = {.verb = "stop", .party = "hospital-b", .time = FIXTURE_TIME, .sequence = 7}, again;
    memcpy(o.agreement, g->id, 32);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 4096);
    assert_ok(clo_collab_order_make(&f.parties[1], &o, &out));
    assert_ok(clo_collab_order_open(&f.arena, clo_buf_span(&out), g, &again));
    assert_string_equal(again.verb, "stop");
    assert_int_equal(again.sequence, 7);
    order_context c = {.g = g};
    fixture_hostile(parse_order, &c, clo_buf_span(&out));
    assert_ok(fixture_read(&f, fixture_with(&f, "count_max: 3", "count_max: 4"), &other));
    assert_code(clo_collab_order_open(&f.arena, clo_buf_span(&out), other, &again), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "order.agreement");
    clo_buf_clear(&out);
    assert_code(clo_collab_order_make(&f.parties[0], &o, &out), CLO_E_DENIED);
    memcpy(o.verb, "burn", sizeof "burn");
    assert_code(clo_collab_order_make(&f.parties[1], &o, &out), CLO_E_USAGE);
    /* A stranger's order, well signed. */
    clo_collab_identity stranger;
    fixture_identity("mallory", 9, &stranger);
    memcpy(o.verb, "stop", sizeof "stop");
    memcpy(o.party, "mallory", sizeof "mallory");
    assert_ok(clo_collab_order_make(&stranger, &o, &out));
    assert_code(clo_collab_order_open(&f.arena, clo_buf_span(&out), g, &again), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "order.party");
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),       cmocka_unit_test(test_bad),    cmocka_unit_test(test_not_canonical),
        cmocka_unit_test(test_signatures), cmocka_unit_test(test_amends), cmocka_unit_test(test_describe),
        cmocka_unit_test(test_states),     cmocka_unit_test(test_orders), cmocka_unit_test(test_hostile_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
