/* Proves: each change of an agreement is named and judged the right way; a change that no rule knows widens. */
#include "collab_fixture.h"

#include "base/clo_own.h"

typedef struct {
    const char *from, *to;
    const char *path;
    bool widens;
} diff_case;

static const diff_case cases[] = {
    {"title: Breast cancer", "title: Heart disease", "title", false},
    {"2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "not_after", true},
    {"2027-01-01T00:00:00Z", "2026-12-31T00:00:00Z", "not_after", false},
    {"lease_seconds: 300", "lease_seconds: 600", "lease_seconds", true},
    {"lease_seconds: 300", "lease_seconds: 30", "lease_seconds", false},
    {"reattest_seconds: 60", "reattest_seconds: 120", "reattest_seconds", true},
    {"telemetry: [states, counts]", "telemetry: [states, counts, timings]", "telemetry", true},
    {"telemetry: [states, counts]", "telemetry: [states]", "telemetry", false},
    {"{name: operator", "{name: other", "operator.name", true},
    {"https://127.0.0.1:8443", "https://10.0.0.1:8443", "operator.url", true},
    {"https://127.0.0.1:9001", "https://127.0.0.1:9004", "parties[hospital-a].key_service.url", true},
    {"spki: 0000000000000000000000000000000000000000000000000000000000000001",
     "spki: 0000000000000000000000000000000000000000000000000000000000000009", "parties[hospital-a].key_service.spki", true},
    {"budget: {epsilon: 3,", "budget: {epsilon: 4,", "datasets[rows-a].budget.rho", true},
    {"budget: {epsilon: 3,", "budget: {epsilon: 2,", "datasets[rows-a].budget.rho", false},
    {"AVG(radius)", "AVG(area)", "programs[means].sql", true},
    {"steps: 20", "steps: 21", "programs[model].steps", true},
    {"steps: 20", "steps: 19", "programs[model].steps", true},
    {"recipients: [analyst, hospital-a]", "recipients: [analyst, hospital-a, hospital-b]", "runs[means].recipients", true},
    {"recipients: [analyst, hospital-a]", "recipients: [analyst]", "runs[means].recipients", false},
    {"recipients: [analyst, hospital-a]", "recipients: [hospital-a, analyst]", "runs[means].recipients", false},
    {"starters: [analyst]", "starters: [analyst, hospital-c]", "runs[means].starters", true},
    {"datasets: [rows-a, rows-b, rows-c]", "datasets: [rows-a, rows-b]", "runs[means].datasets", true},
    {"price: \"0.01\"", "price: \"0.02\"", "runs[means].price", true},
    {"price: \"0.01\"", "price: \"0.001\"", "runs[means].price", false},
    {"count_max: 3", "count_max: 4", "runs[means].count_max", true},
    {"count_max: 3", "count_max: 2", "runs[means].count_max", false},
    {"min_rows: 20", "min_rows: 19", "runs[means].min_rows", true},
    {"min_rows: 20", "min_rows: 21", "runs[means].min_rows", false},
    {"not_before: 2026-02-01", "not_before: 2026-01-01", "runs[model].not_before", true},
    {"    not_before: 2026-02-01T00:00:00Z\n", "", "runs[model].not_before", true},
    {"min_rows: 20\n", "min_rows: 20\n    not_before: 2026-02-01T00:00:00Z\n", "runs[means].not_before", false},
    {"    not_after: 2026-12-01T00:00:00Z\n", "", "runs[model].not_after", true},
    {"min_rows: 20\n", "min_rows: 20\n    not_after: 2026-02-01T00:00:00Z\n", "runs[means].not_after", false},
    {"tee: sim\n", "tee: sim\n    min_tcb: {snp: 8}\n", "runtimes[sim].min_tcb", false},
    {"tee: sim\n", "tee: sim\n    appraisal: {collateral_grace_seconds: 60}\n", "runtimes[sim].appraisal.collateral_grace_seconds", true},
    {"tee: sim\n", "tee: sim\n    appraisal: {required_claims: {guest_svn: 3}}\n", "runtimes[sim].appraisal.required_claims.guest_svn", false},
    {"tee: sim\n", "tee: sim\n    appraisal: {vmpl_maximum: 1}\n", "runtimes[sim].appraisal", true},
    {"tee: sim\n", "tee: sim\n    chips: []\n", "", false},
};

static void check_one(fixture *f, const clo_collab_agreement *old, const clo_collab_agreement *next, const char *path,
                      bool widens)
{
    clo_collab_change *changes = NULL;
    size_t count = 0;
    assert_ok(clo_collab_agreement_diff(&f->arena, old, next, &changes, &count));
    if (path[0] == '\0') {
        assert_int_equal(count, 0);
        return;
    }
    if (count != 1)
        fail_msg("%s: %zu changes, the first is %s: %s", path, count, count != 0 ? changes[0].path : "",
                 count != 0 ? changes[0].text : "");
    assert_string_equal(changes[0].path, path);
    if (changes[0].widens != widens) fail_msg("%s: \"%s\" is judged the wrong way", path, changes[0].text);
    assert_true(changes[0].text[0] != '\0');
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f;
        fixture_open(&f, NULL);
        clo_collab_agreement *old = fixture_agreement(&f), *next = NULL;
        assert_ok(fixture_read(&f, fixture_with(&f, cases[i].from, cases[i].to), &next));
        check_one(&f, old, next, cases[i].path, cases[i].widens);
        fixture_close(&f);
    }
}

/* Changes that the fixture's text does not hold: made on a copy of the struct. */
static void test_made(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *old = fixture_agreement(&f), *next = fixture_agreement(&f);

    old->allow_simulated = false;
    check_one(&f, old, next, "allow_simulated", true);
    check_one(&f, next, old, "allow_simulated", false);
    old->allow_simulated = true;

    next->runtimes[0].policy.measurement_count = 2;
    check_one(&f, old, next, "runtimes[sim].measurements", true);
    check_one(&f, next, old, "runtimes[sim].measurements", false);
    next->runtimes[0].policy.measurement_count = 1;

    next->runtimes[0].policy.min_reported_tcb = (clo_attest_tcb){.have = true, .snp = 7};
    old->runtimes[0].policy.min_reported_tcb = (clo_attest_tcb){.have = true, .snp = 8};
    check_one(&f, old, next, "runtimes[sim].min_tcb.snp", true);
    check_one(&f, next, old, "runtimes[sim].min_tcb.snp", false);
    old->runtimes[0].policy.min_reported_tcb.have = false;
    check_one(&f, next, old, "runtimes[sim].min_tcb", true);
    next->runtimes[0].policy.min_reported_tcb.have = false;

    next->runtimes[0].policy.chip_count = 1;
    check_one(&f, old, next, "runtimes[sim].chips", false);
    check_one(&f, next, old, "runtimes[sim].chips", true);
    next->runtimes[0].policy.chip_count = 0;

    next->log.witness_count = 2;
    next->log.witnesses[1] = next->log.witnesses[0];
    next->log.witnesses[1].name[0] = 'x';
    check_one(&f, old, next, "log.witnesses", true);
    check_one(&f, next, old, "log.witnesses", true);
    old->log = next->log;
    next->log.quorum = 2;
    check_one(&f, old, next, "log.quorum", false);
    check_one(&f, next, old, "log.quorum", true);
    old->log = next->log;

    fixture_identity("hospital-a", 9, &f.parties[0]);
    next->members[0].party.sign = f.parties[0].public_half.sign;
    check_one(&f, old, next, "parties[hospital-a].sign_key", true);
    next->members[0].party.sign = old->members[0].party.sign;

    next->member_count--;
    check_one(&f, old, next, "parties[analyst]", true);
    check_one(&f, next, old, "parties[analyst]", true);
    next->member_count++;
    next->run_count--;
    check_one(&f, old, next, "runs[model]", false);
    check_one(&f, next, old, "runs[model]", true);
    next->run_count++;
    next->dataset_count--;
    check_one(&f, next, old, "datasets[rows-c]", true);
    next->dataset_count++;
    next->datasets[0].schema.columns[0].max = 40.0;
    next->datasets[1].schema = old->datasets[1].schema;
    fixture_close(&f);
}

static void test_amendment(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *old = fixture_agreement(&f), *next = NULL;
    const char *to = NULL;
    const char *id = fixture_hex(&f, clo_span_of(old->id, 32));
    assert_ok(clo_arena_printf(&f.arena, &to, "epoch: 2\nprev: %s\nlineage: %s", id, id));
    assert_ok(fixture_read(&f, fixture_with(&f, "epoch: 1", to), &next));
    clo_collab_change *changes = NULL;
    size_t count = 0;
    assert_ok(clo_collab_agreement_diff(&f.arena, old, next, &changes, &count));
    assert_int_equal(count, 3); /* epoch, prev, lineage */
    for (size_t i = 0; i < count; i++) assert_false(changes[i].widens);
    memset(next->lineage, 7, sizeof next->lineage);
    assert_ok(clo_collab_agreement_diff(&f.arena, old, next, &changes, &count));
    assert_true(changes[count - 1].widens);
    assert_ok(clo_collab_agreement_diff(&f.arena, old, old, &changes, &count));
    assert_int_equal(count, 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_made),
                                       cmocka_unit_test(test_amendment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
