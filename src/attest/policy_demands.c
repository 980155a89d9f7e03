/* What a policy demands beyond a type's own checks. A demand that the type has no check for is refused: a policy is never half kept. */
#include "attest/demands.h"
#include "attest/ear_maa.h"
#include "attest/policy_claims.h"
#include "attest/skr_policy.h"

#include <stdio.h>

static const struct {
    const char *reason;
    uint32_t bit;
} judged_reasons[] = {
    {"report_data_mismatch", CLO_JUDGED_REPORT_DATA}, {"nonce_mismatch", CLO_JUDGED_NONCE},
    {"measurement_mismatch", CLO_JUDGED_MEASUREMENT}, {"host_data_mismatch", CLO_JUDGED_HOST_DATA},
    {"id_key_mismatch", CLO_JUDGED_ID_KEY},           {"author_key_mismatch", CLO_JUDGED_AUTHOR_KEY},
    {"chip_not_allowed", CLO_JUDGED_CHIP},            {"wrong_root", CLO_JUDGED_ROOT},
    {"issuer_mismatch", CLO_JUDGED_ISSUER},           {"tcb_too_low", CLO_JUDGED_TCB},
    {"tcb_date", CLO_JUDGED_TCB_DATE},                {"evaluation_number", CLO_JUDGED_EVALUATION},
    {"stale", CLO_JUDGED_AGE},                        {"debug", CLO_JUDGED_DEBUG},
    {"bad_signature", CLO_JUDGED_SIGNATURE},
};

uint32_t clo_attest_judged_bit(const char *reason)
{
    for (size_t i = 0; i < sizeof judged_reasons / sizeof judged_reasons[0]; i++) {
        if (judged_reasons[i].reason[0] == reason[0] && strcmp(judged_reasons[i].reason, reason) == 0) return judged_reasons[i].bit;
    }
    return 0;
}

static void judge_demands(clo_attest_context *c)
{
    const clo_attest_policy *p = c->policy;
    const struct {
        bool demanded;
        const char *member, *reason;
    } demands[] = {
        {p->have_report_data, "expected_report_data", "report_data_mismatch"},
        {p->expected_nonce.n != 0, "expected_nonce", "nonce_mismatch"},
        {p->measurement_count != 0, "measurements", "measurement_mismatch"},
        {p->have_host_data, "host_data", "host_data_mismatch"},
        {p->id_key_count != 0, "id_key_digests", "id_key_mismatch"},
        {p->author_key_count != 0, "author_key_digests", "author_key_mismatch"},
        {p->chip_count != 0, "chips", "chip_not_allowed"},
        {p->root_count != 0, "roots", "wrong_root"},
        {p->expected_issuer[0] != '\0', "expected_issuer", "issuer_mismatch"},
        {p->min_reported_tcb.have || p->have_product_tcb || p->min_guest_svn != 0, "min_reported_tcb", "tcb_too_low"},
        {p->min_tcb_date != 0, "min_tcb_date", "tcb_date"},
        {p->min_tcb_evaluation_number != 0, "min_tcb_evaluation_number", "evaluation_number"},
        {p->max_age_s != 0, "max_age_seconds", "stale"},
    };
    uint32_t judged = c->out->judged;
    for (size_t i = 0; i < sizeof demands / sizeof demands[0]; i++) {
        if (!demands[i].demanded || (judged & clo_attest_judged_bit(demands[i].reason)) != 0) continue;
        char name[48];
        (void)snprintf(name, sizeof name, "policy.%s", demands[i].member);
        (void)clo_attest_check_add(c->out, name, false, demands[i].reason, "evidence in which this can be checked", "evidence that does not show it");
    }
}

static void judge_claims(clo_attest_context *c)
{
    if (c->policy->required_claims == NULL) return;
    for (const clo_wire_node *n = c->policy->required_claims->first; n != NULL; n = n->next) {
        const char *path = (const char *)n->key->text.p;
        const clo_wire_node *claim = clo_attest_claim_find(c->out->claims, path);
        bool ok = false;
        for (const clo_wire_node *v = n->first; v != NULL && claim != NULL && !ok; v = v->next) ok = clo_attest_claim_equal(claim, v);
        char name[48], want[136], got[136], first[120];
        (void)snprintf(name, sizeof name, "claim.%s", path);
        clo_attest_claim_text(n->first, first, sizeof first);
        if (n->count == 1) {
            (void)snprintf(want, sizeof want, "%s", first);
        } else {
            (void)snprintf(want, sizeof want, "one of %zu values (%s, …)", n->count, first);
        }
        clo_attest_claim_text(claim, got, sizeof got);
        (void)clo_attest_check_add(c->out, name, ok, "measurement_mismatch", want, got);
    }
}

static clo_err judge_release_policy(clo_attest_context *c)
{
    if (c->policy->release_policy == NULL) return CLO_OK;
    /* Tokens speak for their issuer; of other evidence no member named "iss" does. */
    bool token = strcmp(c->out->tee, "maa") == 0 || strcmp(c->out->tee, "gcp-confidential-space") == 0;
    const clo_wire_node *claims = token ? clo_wire_get(c->out->claims, "claims") : NULL;
    const clo_wire_node *issuer = claims != NULL && claims->type == CLO_WIRE_MAP ? clo_wire_get(claims, "iss") : NULL;
    clo_wire_node *made = NULL;
    const char *authority = !token ? NULL : issuer != NULL && issuer->type == CLO_WIRE_TEXT ? (const char *)issuer->text.p : "";
    if (!token) {
        CLO_TRY(clo_attest_maa_claims(c->arena, c->out, &made));
        claims = made;
    }
    char why[200];
    bool ok = clo_attest_skr_match(c->policy->release_policy, claims, authority, why);
    (void)clo_attest_check_add(c->out, "release_policy", ok, "measurement_mismatch", "claims that the release policy allows", why);
    return CLO_OK;
}

CLO_R clo_attest_demands_judge(clo_attest_context *c)
{
    if (c->out->claims == NULL) CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    judge_demands(c);
    judge_claims(c);
    CLO_TRY(judge_release_policy(c));
    if (c->policy->require_binding) {
        bool bound = c->policy->have_report_data || c->policy->expected_nonce.n != 0;
        (void)clo_attest_check_add(c->out, "binding", bound, "binding", "evidence bound to a nonce or to keys of this exchange",
                                   bound ? "bound" : "the policy names no expected_nonce and no expected_report_data");
    }
    return CLO_OK;
}
