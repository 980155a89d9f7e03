/* The TCB status of a quote: the levels that match, what they come to together (as Intel's quote verification library merges them), and what
 * the policy makes of it. */
#include "attest/dcap_int.h"
#include "base/clo_text.h"
#include "wire/json_view.h"

#include <stdio.h>

enum { MODULE_SVN = 0, MODULE_VERSION = 1, PLATFORM_FROM = 2 };

static bool at_least(const uint8_t *have, const uint8_t *want, size_t from)
{
    for (size_t i = from; i < DCAP_COMPONENTS; i++) {
        if (have[i] < want[i]) return false;
    }
    return true;
}

static const dcap_module *module_find(const dcap_tcb_info *info, uint8_t version)
{
    char id[DCAP_MODULE_ID_SIZE];
    (void)snprintf(id, sizeof id, "TDX_%02X", version);
    for (size_t i = 0; i < info->modules.count; i++) {
        if (strcmp(info->modules.module[i].id, id) == 0) return &info->modules.module[i];
    }
    return NULL;
}

static dcap_verdict svn_walk(const dcap_svn_levels *levels, uint16_t svn)
{
    for (size_t i = 0; i < levels->count; i++) {
        if (levels->level[i].isv_svn <= svn) return levels->level[i].verdict;
    }
    return (dcap_verdict){.status = DCAP_NOT_SUPPORTED};
}

/* The module's own bytes are compared here only where no version says that they are judged apart. */
static dcap_verdict platform_walk(const dcap_tcb_info *info, const dcap_pck *pck, const uint8_t *tee_tcb_svn)
{
    size_t from = tee_tcb_svn != NULL && tee_tcb_svn[MODULE_VERSION] > 0 ? PLATFORM_FROM : 0;
    for (size_t i = 0; i < info->level_count; i++) {
        const dcap_level *level = &info->levels[i];
        if (!at_least(pck->components, level->sgx, 0) || pck->pce_svn < level->pce_svn) continue;
        if (tee_tcb_svn == NULL || at_least(tee_tcb_svn, level->tdx, from)) return level->verdict;
    }
    return (dcap_verdict){.status = DCAP_NOT_SUPPORTED};
}

static dcap_status merge(dcap_status platform, bool out_of_date, bool revoked)
{
    if (revoked) return DCAP_REVOKED;
    if (!out_of_date) return platform;
    if (platform == DCAP_UP_TO_DATE || platform == DCAP_SW_HARDENING) return DCAP_OUT_OF_DATE;
    if (platform == DCAP_CONFIGURATION || platform == DCAP_CONFIGURATION_SW_HARDENING) return DCAP_OUT_OF_DATE_CONFIGURATION;
    return platform;
}

void clo_attest_dcap_evaluate(const dcap_tcb_info *info, const dcap_qe_identity *qe, const dcap_pck *pck, uint16_t qe_isv_svn,
                              const uint8_t *tee_tcb_svn, dcap_evaluation *out)
{
    dcap_evaluation e = {.platform = platform_walk(info, pck, tee_tcb_svn)};
    bool supported = e.platform.status != DCAP_NOT_SUPPORTED, out_of_date = false, revoked = false;
    e.date = e.platform.date;
    if (tee_tcb_svn != NULL && tee_tcb_svn[MODULE_VERSION] > 0) {
        e.have_module = true;
        e.module = module_find(info, tee_tcb_svn[MODULE_VERSION]);
        if (e.module != NULL) e.module_verdict = svn_walk(&e.module->levels, tee_tcb_svn[MODULE_SVN]);
        supported = supported && e.module_verdict.status != DCAP_NOT_SUPPORTED;
        if (e.module_verdict.date < e.date) e.date = e.module_verdict.date;
    }
    if (qe != NULL) {
        e.qe = svn_walk(&qe->levels, qe_isv_svn);
        supported = supported && e.qe.status != DCAP_NOT_SUPPORTED;
        if (e.qe.date < e.date) e.date = e.qe.date;
    }
    out_of_date = e.module_verdict.status == DCAP_OUT_OF_DATE || e.qe.status == DCAP_OUT_OF_DATE;
    revoked = e.module_verdict.status == DCAP_REVOKED || e.qe.status == DCAP_REVOKED;
    e.merged = supported ? merge(e.platform.status, out_of_date, revoked) : DCAP_NOT_SUPPORTED;
    *out = e;
}

dcap_status clo_attest_dcap_relaunch(dcap_status launch, dcap_status current)
{
    if (launch != DCAP_OUT_OF_DATE && launch != DCAP_OUT_OF_DATE_CONFIGURATION) return launch;
    bool configuration = current == DCAP_CONFIGURATION || current == DCAP_CONFIGURATION_SW_HARDENING;
    if (current != DCAP_UP_TO_DATE && current != DCAP_SW_HARDENING && !configuration) return launch;
    return configuration || launch == DCAP_OUT_OF_DATE_CONFIGURATION ? DCAP_RELAUNCH_CONFIGURATION : DCAP_RELAUNCH;
}

/* ---- the result ---- */

static void note_advisory(clo_attest_result *r, clo_span name)
{
    for (size_t i = 0; i < r->advisory_count; i++) {
        if (clo_span_equal(name, clo_span_str(r->advisories[i]))) return;
    }
    if (r->advisory_count == CLO_ATTEST_ADVISORIES_MAX || name.n >= CLO_ATTEST_ADVISORY_SIZE) return;
    char *to = r->advisories[r->advisory_count++];
    memcpy(to, name.p, name.n);
    to[name.n] = '\0';
}

/* The advisories as a list, and noted in the result. */
static clo_err set_advisories(clo_attest_context *c, clo_wire_node *map, clo_span json)
{
    clo_wire_node *list = NULL, *one = NULL;
    CLO_TRY(clo_wire_array(c->arena, &list));
    clo_wire_json_view v = clo_wire_json_view_array(json.n != 0 ? json : clo_span_str("[]"));
    clo_span none, value, text;
    while (clo_wire_json_view_next(&v, &none, &value)) {
        CLO_TRY(clo_wire_json_view_text(value, &text));
        CLO_TRY(clo_wire_text(c->arena, text, &one));
        CLO_TRY(clo_wire_append(list, one));
        note_advisory(c->out, text);
    }
    return clo_wire_set(c->arena, map, "advisories", list);
}

static clo_err set_verdict(clo_attest_context *c, const char *key, const dcap_verdict *v, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(c->arena, &map));
    CLO_TRY(clo_wire_set_text(c->arena, map, "status", clo_attest_dcap_status_name(v->status)));
    CLO_TRY(clo_wire_set_time(c->arena, map, "date", v->date));
    CLO_TRY(set_advisories(c, map, v->advisories));
    *out = map;
    return clo_wire_set(c->arena, c->out->tcb, key, map);
}

static bool module_matches(const dcap_module *m, const dcap_td_body *td)
{
    for (size_t i = 0; i < sizeof m->attributes; i++) {
        if ((td->seam_attributes.p[i] & m->mask[i]) != m->attributes[i]) return false;
    }
    return memcmp(m->mrsigner, td->mr_signer_seam.p, sizeof m->mrsigner) == 0;
}

static clo_err set_parts(clo_attest_context *c, const dcap_quote *q, const dcap_tcb_info *info, const dcap_qe_identity *qe, const dcap_evaluation *e)
{
    clo_wire_node *map = NULL;
    clo_arena *a = c->arena;
    CLO_TRY(clo_wire_map(a, &c->out->tcb));
    if (e->platform.status != DCAP_NOT_SUPPORTED) CLO_TRY(set_verdict(c, "platform", &e->platform, &map));
    if (e->have_module && e->module != NULL) {
        CLO_TRY(set_verdict(c, "module", &e->module_verdict, &map));
        CLO_TRY(clo_wire_set_text(a, map, "id", e->module->id));
        CLO_TRY(clo_wire_set_bool(a, map, "matches", module_matches(e->module, &q->td)));
    }
    if (qe != NULL) CLO_TRY(set_verdict(c, "qe", &e->qe, &map));
    CLO_TRY(clo_wire_set_int(a, c->out->tcb, "evaluation_data_number", info->evaluation_number));
    if (e->merged != DCAP_NOT_SUPPORTED) CLO_TRY(clo_wire_set_time(a, c->out->tcb, "date", e->date));
    return clo_wire_set_bytes(a, c->out->tcb, "fmspc", clo_span_of(info->fmspc, sizeof info->fmspc));
}

/* ---- the policy ---- */

static uint32_t status_bit(dcap_status s)
{
    static const uint32_t bits[DCAP_STATUS_COUNT] = {
        [DCAP_UP_TO_DATE] = CLO_ATTEST_TCB_UP_TO_DATE,
        [DCAP_SW_HARDENING] = CLO_ATTEST_TCB_SW_HARDENING,
        [DCAP_CONFIGURATION] = CLO_ATTEST_TCB_CONFIGURATION,
        [DCAP_CONFIGURATION_SW_HARDENING] = CLO_ATTEST_TCB_CONFIGURATION_SW_HARDENING,
        [DCAP_OUT_OF_DATE] = CLO_ATTEST_TCB_OUT_OF_DATE,
        [DCAP_OUT_OF_DATE_CONFIGURATION] = CLO_ATTEST_TCB_OUT_OF_DATE_CONFIGURATION,
        [DCAP_RELAUNCH] = CLO_ATTEST_TCB_RELAUNCH,
        [DCAP_RELAUNCH_CONFIGURATION] = CLO_ATTEST_TCB_RELAUNCH_CONFIGURATION,
    };
    return bits[s];
}

static void check_status(clo_attest_context *c, dcap_status merged)
{
    char want[136] = "";
    for (dcap_status s = DCAP_UP_TO_DATE; s < DCAP_REVOKED; s++) {
        if ((c->policy->accept_tcb_status & status_bit(s)) == 0) continue;
        size_t n = strlen(want);
        (void)snprintf(want + n, sizeof want - n, "%s%s", n == 0 ? "" : ", ", clo_attest_dcap_status_name(s));
    }
    if ((c->policy->accept_tcb_status & CLO_ATTEST_TCB_ANY) == CLO_ATTEST_TCB_ANY) (void)snprintf(want, sizeof want, "any but Revoked");
    bool ok = (c->policy->accept_tcb_status & status_bit(merged)) != 0;
    (void)clo_attest_check_add(c->out, "tcb.status", ok, "tcb_status", want, clo_attest_dcap_status_name(merged));
}

static void check_advisories(clo_attest_context *c)
{
    const clo_attest_policy *p = c->policy;
    if (p->any_advisory) return;
    const char *refused = NULL;
    for (size_t i = 0; i < c->out->advisory_count && refused == NULL; i++) {
        bool allowed = false;
        for (size_t k = 0; k < p->advisory_count; k++) allowed = allowed || strcmp(c->out->advisories[i], p->advisories[k]) == 0;
        if (!allowed) refused = c->out->advisories[i];
    }
    /* A full list may have left some out. */
    if (refused == NULL && c->out->advisory_count == CLO_ATTEST_ADVISORIES_MAX) refused = "more advisories than can be listed";
    (void)clo_attest_check_add(c->out, "tcb.advisories", refused == NULL, "advisory", "only those that the policy names", refused == NULL ? "none other" : refused);
}

static void check_date(clo_attest_context *c, int64_t date)
{
    if (c->policy->min_tcb_date == 0) return;
    char want[40], text[21], got[21];
    clo_time_format(text, c->policy->min_tcb_date);
    (void)snprintf(want, sizeof want, "%s or later", text);
    clo_time_format(got, date);
    (void)clo_attest_check_add(c->out, "tcb.date", date >= c->policy->min_tcb_date, "tcb_date", want, got);
}

/* The module that the report names must be the one that Intel describes. */
static void check_module(clo_attest_context *c, const dcap_quote *q, const dcap_tcb_info *info, const dcap_evaluation *e)
{
    char id[32];
    const dcap_module *m = e->have_module ? e->module : &info->module;
    (void)snprintf(id, sizeof id, "an identity of TDX_%02X", q->td.tee_tcb_svn.p[MODULE_VERSION]);
    if (e->have_module && !clo_attest_check_add(c->out, "tdx_module", m != NULL, "tcb_not_supported", id, m != NULL ? m->id : "none")) return;
    bool ok = module_matches(m, &q->td);
    (void)clo_attest_check_add(c->out, "tdx_module.identity", ok, "tcb_not_supported", "signer and attributes of Intel's module", ok ? "the same" : "others");
    if (!e->have_module) return;
    const char *status = clo_attest_dcap_status_name(e->module_verdict.status);
    (void)clo_attest_check_add(c->out, "tdx_module.level", e->module_verdict.status != DCAP_NOT_SUPPORTED, "tcb_not_supported", "a TCB level", status);
}

CLO_R clo_attest_dcap_tcb_judge(clo_attest_context *c, const dcap_quote *q, const dcap_pck *pck, const dcap_tcb_info *info,
                                const dcap_qe_identity *qe)
{
    dcap_evaluation e, current;
    bool tdx = q->tee_type == DCAP_TEE_TDX;
    clo_attest_dcap_evaluate(info, qe, pck, q->qe.isv_svn, tdx ? q->td.tee_tcb_svn.p : NULL, &e);
    dcap_status merged = e.merged;
    bool have_current = q->body_type == DCAP_BODY_TD15;
    if (have_current) {
        clo_attest_dcap_evaluate(info, qe, pck, q->qe.isv_svn, q->td.tee_tcb_svn2.p, &current);
        if (merged != DCAP_NOT_SUPPORTED) merged = current.merged == DCAP_NOT_SUPPORTED ? DCAP_NOT_SUPPORTED : clo_attest_dcap_relaunch(merged, current.merged);
    }
    CLO_TRY(set_parts(c, q, info, qe, &e));
    (void)snprintf(c->out->tcb_status, sizeof c->out->tcb_status, "%s", clo_attest_dcap_status_name(merged));
    if (tdx) check_module(c, q, info, &e);
    (void)clo_attest_check_add(c->out, "tcb.level", e.platform.status != DCAP_NOT_SUPPORTED, "tcb_not_supported", "a TCB level that the platform reaches",
                               clo_attest_dcap_status_name(e.platform.status));
    if (qe != NULL) {
        (void)clo_attest_check_add(c->out, "qe.level", e.qe.status != DCAP_NOT_SUPPORTED, "tcb_not_supported", "a TCB level", clo_attest_dcap_status_name(e.qe.status));
    }
    if (have_current) {
        (void)clo_attest_check_add(c->out, "tcb.level.current", current.merged != DCAP_NOT_SUPPORTED, "tcb_not_supported",
                                   "a TCB level for what runs now", clo_attest_dcap_status_name(current.merged));
    }
    (void)clo_attest_check_number(c->out, "tcb.evaluation_number", info->evaluation_number >= c->policy->min_tcb_evaluation_number, "evaluation_number",
                                  "at least", c->policy->min_tcb_evaluation_number, info->evaluation_number);
    if (qe != NULL) {
        (void)clo_attest_check_number(c->out, "qe.evaluation_number", qe->evaluation_number >= c->policy->min_tcb_evaluation_number, "evaluation_number",
                                      "at least", c->policy->min_tcb_evaluation_number, qe->evaluation_number);
    }
    if (merged == DCAP_NOT_SUPPORTED) return CLO_OK;
    check_status(c, merged);
    check_date(c, e.date);
    check_advisories(c);
    return CLO_OK;
}
