/* Proves verdict, reason class, fields, TCB and Intel's own merged status on every published TDX case; the evaluation of TCB levels on made
 * ones, among them a pair that splits "compare all components" from "leave the module's two out"; and every pair of statuses that merge. */
#include "dcap_fixture.h"

#include "../../tools/vectors/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void test_published_cases(void **state)
{
    (void)state;
    char path[512];
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/tdx", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.skipped, 0);
    assert_true(r.passed >= 51);
}

/* A TCB info of two levels: all components `high`, status `first`; all `low`, status `second`. */
static void info_make(dcap_tcb_info *info, uint8_t high, dcap_status first, uint8_t low, dcap_status second)
{
    memset(info, 0, sizeof *info);
    info->tdx = true;
    info->level_count = 2;
    memset(info->levels[0].sgx, 3, 16);
    memset(info->levels[1].sgx, 3, 16);
    memset(info->levels[0].tdx, high, 16);
    memset(info->levels[1].tdx, low, 16);
    info->levels[0].verdict = (dcap_verdict){.status = first, .date = 200};
    info->levels[1].verdict = (dcap_verdict){.status = second, .date = 100};
}

static void module_make(dcap_tcb_info *info, const char *id, uint16_t svn, dcap_status at, dcap_status below)
{
    dcap_module *m = &info->modules.module[info->modules.count++];
    (void)snprintf(m->id, sizeof m->id, "%s", id);
    m->levels.count = 2;
    m->levels.level[0] = (dcap_svn_level){.isv_svn = svn, .verdict = {.status = at, .date = 150}};
    m->levels.level[1] = (dcap_svn_level){.isv_svn = 1, .verdict = {.status = below, .date = 50}};
}

/* TEE_TCB_SVN[1] > 0: the module's two components are not the platform's. A verifier that compares all sixteen misses the first level in
 * the first case and takes it in the second. */
static void test_module_components(void **state)
{
    (void)state;
    static dcap_tcb_info info;
    dcap_pck pck = {.pce_svn = 1};
    dcap_evaluation e;
    uint8_t svn[16];
    memset(pck.components, 3, sizeof pck.components);
    info_make(&info, 5, DCAP_UP_TO_DATE, 2, DCAP_OUT_OF_DATE);
    module_make(&info, "TDX_01", 3, DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE);
    memset(svn, 5, sizeof svn);
    svn[0] = 3; /* below the level's 5: the module's own SVN */
    svn[1] = 1;
    clo_attest_dcap_evaluate(&info, NULL, &pck, 0, svn, &e);
    assert_int_equal(e.platform.status, DCAP_UP_TO_DATE);
    assert_int_equal(e.module_verdict.status, DCAP_UP_TO_DATE);
    assert_int_equal(e.merged, DCAP_UP_TO_DATE);
    assert_int_equal(e.date, 150);
    svn[1] = 0; /* no version: all sixteen count */
    clo_attest_dcap_evaluate(&info, NULL, &pck, 0, svn, &e);
    assert_false(e.have_module);
    assert_int_equal(e.merged, DCAP_NOT_SUPPORTED);
    svn[0] = svn[1] = 5; /* the level's components are reached, but there is no module 5 */
    clo_attest_dcap_evaluate(&info, NULL, &pck, 0, svn, &e);
    assert_int_equal(e.platform.status, DCAP_UP_TO_DATE);
    assert_null(e.module);
    assert_int_equal(e.merged, DCAP_NOT_SUPPORTED);
    svn[1] = 1;
    svn[0] = 2; /* an old module under a good platform */
    clo_attest_dcap_evaluate(&info, NULL, &pck, 0, svn, &e);
    assert_int_equal(e.platform.status, DCAP_UP_TO_DATE);
    assert_int_equal(e.merged, DCAP_OUT_OF_DATE);
    assert_int_equal(e.date, 50);
    svn[2] = 4; /* the loader below the first level */
    clo_attest_dcap_evaluate(&info, NULL, &pck, 0, svn, &e);
    assert_int_equal(e.platform.status, DCAP_OUT_OF_DATE);
    pck.components[15] = 2;
    memset(svn + 2, 5, 14);
    clo_attest_dcap_evaluate(&info, NULL, &pck, 0, svn, &e);
    assert_int_equal(e.platform.status, DCAP_NOT_SUPPORTED);
}

static void test_merge(void **state)
{
    (void)state;
    static const struct {
        dcap_status platform, module, qe, merged;
    } cases[] = {
        {DCAP_UP_TO_DATE, DCAP_UP_TO_DATE, DCAP_UP_TO_DATE, DCAP_UP_TO_DATE},
        {DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE, DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE},
        {DCAP_UP_TO_DATE, DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE},
        {DCAP_SW_HARDENING, DCAP_UP_TO_DATE, DCAP_UP_TO_DATE, DCAP_SW_HARDENING},
        {DCAP_SW_HARDENING, DCAP_OUT_OF_DATE, DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE},
        {DCAP_CONFIGURATION, DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE_CONFIGURATION},
        {DCAP_CONFIGURATION_SW_HARDENING, DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE_CONFIGURATION},
        {DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE, DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE},
        {DCAP_OUT_OF_DATE_CONFIGURATION, DCAP_UP_TO_DATE, DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE_CONFIGURATION},
        {DCAP_REVOKED, DCAP_OUT_OF_DATE, DCAP_UP_TO_DATE, DCAP_REVOKED},
        {DCAP_UP_TO_DATE, DCAP_REVOKED, DCAP_UP_TO_DATE, DCAP_REVOKED},
        {DCAP_CONFIGURATION, DCAP_OUT_OF_DATE, DCAP_REVOKED, DCAP_REVOKED},
    };
    static dcap_tcb_info info;
    static dcap_qe_identity qe;
    dcap_pck pck = {.pce_svn = 1};
    uint8_t svn[16];
    memset(pck.components, 3, sizeof pck.components);
    memset(svn, 5, sizeof svn);
    svn[1] = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dcap_evaluation e;
        info_make(&info, 5, cases[i].platform, 1, DCAP_REVOKED);
        module_make(&info, "TDX_01", 3, cases[i].module, DCAP_REVOKED);
        qe.levels.count = 1;
        qe.levels.level[0] = (dcap_svn_level){.isv_svn = 2, .verdict = {.status = cases[i].qe, .date = 300}};
        clo_attest_dcap_evaluate(&info, &qe, &pck, 2, svn, &e);
        if (e.merged != cases[i].merged) fail_msg("case %zu: %s", i, clo_attest_dcap_status_name(e.merged));
        assert_int_equal(e.date, 150);
        clo_attest_dcap_evaluate(&info, &qe, &pck, 1, svn, &e);
        assert_int_equal(e.merged, DCAP_NOT_SUPPORTED);
    }
}

static void test_relaunch(void **state)
{
    (void)state;
    static const struct {
        dcap_status launch, current, want;
    } cases[] = {
        {DCAP_UP_TO_DATE, DCAP_UP_TO_DATE, DCAP_UP_TO_DATE},
        {DCAP_OUT_OF_DATE, DCAP_UP_TO_DATE, DCAP_RELAUNCH},
        {DCAP_OUT_OF_DATE, DCAP_SW_HARDENING, DCAP_RELAUNCH},
        {DCAP_OUT_OF_DATE, DCAP_CONFIGURATION, DCAP_RELAUNCH_CONFIGURATION},
        {DCAP_OUT_OF_DATE, DCAP_CONFIGURATION_SW_HARDENING, DCAP_RELAUNCH_CONFIGURATION},
        {DCAP_OUT_OF_DATE_CONFIGURATION, DCAP_UP_TO_DATE, DCAP_RELAUNCH_CONFIGURATION},
        {DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE, DCAP_OUT_OF_DATE},
        {DCAP_OUT_OF_DATE, DCAP_REVOKED, DCAP_OUT_OF_DATE},
        {DCAP_REVOKED, DCAP_UP_TO_DATE, DCAP_REVOKED},
        {DCAP_CONFIGURATION, DCAP_UP_TO_DATE, DCAP_CONFIGURATION},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_int_equal(clo_attest_dcap_relaunch(cases[i].launch, cases[i].current), cases[i].want);
    /* A whole quote: launched under an old module, updated since. */
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 5, DCAP_BODY_TD15);
    plan.body[0] = 3;
    dcap_case_make(&t, &plan, NULL);
    assert_string_equal(dcap_verdict_of(&t, NULL, &p, DCAP_NOW), "tcb_status");
    assert_string_equal(dcap_result.tcb_status, "TDRelaunchAdvised");
    p.accept_tcb_status |= CLO_ATTEST_TCB_RELAUNCH;
    p.any_advisory = true;
    assert_string_equal(dcap_verdict_of(&t, NULL, &p, DCAP_NOW), "valid");
    dcap_case_free(&t);
    plan.body[584] = 3; /* not updated */
    dcap_case_make(&t, &plan, NULL);
    assert_string_equal(dcap_verdict_of(&t, NULL, &p, DCAP_NOW), "tcb_status");
    assert_string_equal(dcap_result.tcb_status, "OutOfDate");
    dcap_case_free(&t);
    plan.body[585] = 9; /* a module that Intel does not know */
    dcap_case_make(&t, &plan, NULL);
    assert_string_equal(dcap_verdict_of(&t, NULL, &p, DCAP_NOW), "tcb_not_supported");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published_cases), cmocka_unit_test(test_module_components), cmocka_unit_test(test_merge),
                                       cmocka_unit_test(test_relaunch)};
    return cmocka_run_group_tests(tests, dcap_set_up, dcap_tear_down);
}
