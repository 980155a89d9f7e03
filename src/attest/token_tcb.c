/* The TCB status that a service states in its token, in Intel's words, against the policy. */
#include "attest/policy_int.h"
#include "attest/token_int.h"
#include "base/clo_text.h"

#include <stdio.h>

static void judge_status(clo_attest_context *c, clo_span status)
{
    uint32_t bit = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (clo_span_equal(status, clo_span_str(clo_attest_tcb_status_names[i]))) bit = UINT32_C(1) << i;
    }
    if (clo_failed(clo_str_set(c->out->tcb_status, sizeof c->out->tcb_status, status))) c->out->tcb_status[0] = '\0';
    (void)clo_attest_check_add(c->out, "tcb_status", (c->policy->accept_tcb_status & bit) != 0, "tcb_status", "an accepted status", c->out->tcb_status);
}

static void judge_date(clo_attest_context *c, clo_span date)
{
    int64_t at = 0;
    bool ok = !clo_failed(clo_time_parse(&at, date)) && at >= c->policy->min_tcb_date;
    char want[32];
    clo_time_format(want, c->policy->min_tcb_date);
    char got[40];
    (void)snprintf(got, sizeof got, "%.*s", (int)(date.n < 32 ? date.n : 32), date.n == 0 ? "" : (const char *)date.p);
    (void)clo_attest_check_add(c->out, "tcb_date", ok, "tcb_date", want, got);
}

static bool advisory_allowed(const clo_attest_policy *p, clo_span id)
{
    for (size_t i = 0; i < p->advisory_count; i++) {
        if (clo_span_equal(id, clo_span_str(p->advisories[i]))) return true;
    }
    return p->any_advisory;
}

static void judge_advisories(clo_attest_context *c, const clo_wire_node *list)
{
    clo_attest_result *r = c->out;
    const clo_wire_node *one = list->type == CLO_WIRE_ARRAY ? list->first : list;
    bool ok = true;
    char bad[CLO_ATTEST_ADVISORY_SIZE] = "none";
    for (; one != NULL; one = list->type == CLO_WIRE_ARRAY ? one->next : NULL) {
        bool noted = r->advisory_count < CLO_ATTEST_ADVISORIES_MAX &&
                     !clo_failed(clo_str_set(r->advisories[r->advisory_count], CLO_ATTEST_ADVISORY_SIZE, one->text));
        if (noted) r->advisory_count++;
        if (ok && (!noted || !advisory_allowed(c->policy, one->text))) {
            ok = false;
            (void)snprintf(bad, sizeof bad, "%.*s", (int)(one->text.n < sizeof bad ? one->text.n : sizeof bad - 1), (const char *)one->text.p);
        }
    }
    (void)clo_attest_check_add(r, "advisories", ok, "advisory", "accepted advisories only", bad);
}

void clo_attest_jwt_tcb(clo_attest_context *c, const clo_wire_node *map, const char *status, const char *date, const char *advisories)
{
    clo_span name = clo_attest_token_text(map, status);
    if (name.n != 0) judge_status(c, name);
    if (c->policy->min_tcb_date != 0) judge_date(c, clo_attest_token_text(map, date));
    const clo_wire_node *list = advisories == NULL ? NULL : clo_wire_get(map, advisories);
    if (list != NULL && (list->type == CLO_WIRE_TEXT || list->type == CLO_WIRE_ARRAY)) judge_advisories(c, list);
}
