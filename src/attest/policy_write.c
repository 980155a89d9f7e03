/* A policy as the object that the strict reader gives back as the same policy. */
#include "attest/attest.h"
#include "attest/policy_int.h"

static clo_err set_list(clo_arena *a, clo_wire_node *map, const char *key, const uint8_t *values, size_t size, size_t count)
{
    if (count == 0) return CLO_OK;
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_bytes(a, clo_span_of(values + i * size, size), &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    return clo_wire_set(a, map, key, list);
}

static clo_err append_text(clo_arena *a, clo_wire_node *list, const char *text)
{
    clo_wire_node *one = NULL;
    CLO_TRY(clo_wire_text(a, clo_span_str(text), &one));
    return clo_wire_append(list, one);
}

static clo_err set_number(clo_arena *a, clo_wire_node *map, const char *key, int64_t v)
{
    return v == 0 ? CLO_OK : clo_wire_set_int(a, map, key, v);
}

static clo_err set_svns(clo_arena *a, clo_wire_node *map, const char *key, const clo_attest_tcb *t)
{
    clo_wire_node *tcb = NULL;
    CLO_TRY(clo_wire_map(a, &tcb));
    CLO_TRY(clo_wire_set_int(a, tcb, "fmc", t->fmc));
    CLO_TRY(clo_wire_set_int(a, tcb, "bl", t->bl));
    CLO_TRY(clo_wire_set_int(a, tcb, "tee", t->tee));
    CLO_TRY(clo_wire_set_int(a, tcb, "snp", t->snp));
    CLO_TRY(clo_wire_set_int(a, tcb, "ucode", t->ucode));
    return clo_wire_set(a, map, key, tcb);
}

static clo_err set_tcb(clo_arena *a, clo_wire_node *map, const clo_attest_policy *p)
{
    if (p->min_reported_tcb.have) return set_svns(a, map, "min_reported_tcb", &p->min_reported_tcb);
    if (!p->have_product_tcb) return CLO_OK;
    clo_wire_node *products = NULL;
    CLO_TRY(clo_wire_map(a, &products));
    for (size_t i = 0; i < CLO_ATTEST_PRODUCTS; i++) {
        if (p->product_tcb[i].have) CLO_TRY(set_svns(a, products, clo_attest_product_names[i], &p->product_tcb[i]));
    }
    return clo_wire_set(a, map, "min_reported_tcb", products);
}

static clo_err set_statuses(clo_arena *a, clo_wire_node *map, const clo_attest_policy *p)
{
    clo_wire_node *list = NULL;
    if (p->accept_tcb_status != CLO_ATTEST_TCB_UP_TO_DATE) {
        CLO_TRY(clo_wire_array(a, &list));
        for (unsigned i = 0; i < 8; i++) {
            if ((p->accept_tcb_status >> i & 1) != 0) CLO_TRY(append_text(a, list, clo_attest_tcb_status_names[i]));
        }
        CLO_TRY(clo_wire_set(a, map, "accept_tcb_status", list));
    }
    if (p->advisory_count == 0) return CLO_OK;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < p->advisory_count; i++) CLO_TRY(append_text(a, list, p->advisories[i]));
    return clo_wire_set(a, map, "accepted_advisories", list);
}

static clo_err set_identity(clo_arena *a, clo_wire_node *map, const clo_attest_policy *p)
{
    if (p->have_report_data) CLO_TRY(clo_wire_set_bytes(a, map, "expected_report_data", clo_span_of(p->report_data, sizeof p->report_data)));
    if (p->expected_nonce.n != 0) CLO_TRY(clo_wire_set_bytes(a, map, "expected_nonce", p->expected_nonce));
    if (p->expected_issuer[0] != '\0') CLO_TRY(clo_wire_set_text(a, map, "expected_issuer", p->expected_issuer));
    CLO_TRY(set_list(a, map, "measurements", &p->measurements[0][0], 48, p->measurement_count));
    if (p->have_host_data) CLO_TRY(clo_wire_set_bytes(a, map, "host_data", clo_span_of(p->host_data, sizeof p->host_data)));
    CLO_TRY(set_list(a, map, "id_key_digests", &p->id_keys[0][0], 48, p->id_key_count));
    CLO_TRY(set_list(a, map, "author_key_digests", &p->author_keys[0][0], 48, p->author_key_count));
    CLO_TRY(set_list(a, map, "roots", &p->roots[0][0], 32, p->root_count));
    return set_list(a, map, "chips", &p->chips[0][0], 64, p->chip_count);
}

/* The tree is copied by reference: it is in the policy's arena, which outlives this one in every caller. */
static clo_err set_tree(clo_arena *a, clo_wire_node *map, const char *key, const clo_wire_node *tree)
{
    if (tree == NULL) return CLO_OK;
    clo_wire_node *copy = NULL;
    CLO_TRY(clo_wire_map(a, &copy));
    clo_wire_node *key_of_copy = copy->key;
    *copy = *tree;
    copy->key = key_of_copy;
    copy->next = NULL;
    return clo_wire_set(a, map, key, copy);
}

static clo_err policy_tree(clo_arena *a, const clo_attest_policy *p, bool part, clo_wire_node **out)
{
    CLO_CHECKF(!p->skip_tcb_certificate_match && !p->skip_chip_match && !p->custom_root && !p->claims_only && !p->skip_revocation &&
                   !p->skip_signature && !p->skip_hardware_signature && !p->ak_trusted,
               CLO_E_RANGE, "a policy that leaves checks out, as published cases need, has no written form");
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    for (size_t i = 0; i < clo_attest_policy_flag_count; i++) {
        const policy_flag *flag = &clo_attest_policy_flags[i];
        bool v = policy_flag_get(p, flag), strict = flag->strict && !(part && strcmp(flag->key, "require_binding") == 0);
        if (v != strict) CLO_TRY(clo_wire_set_bool(a, map, flag->key, v));
    }
    CLO_TRY(set_identity(a, map, p));
    CLO_TRY(set_tcb(a, map, p));
    CLO_TRY(set_number(a, map, "min_guest_svn", p->min_guest_svn));
    CLO_TRY(set_number(a, map, "vmpl_max", p->vmpl_max));
    CLO_TRY(set_statuses(a, map, p));
    if (p->min_tcb_date != 0) CLO_TRY(clo_wire_set_time(a, map, "min_tcb_date", p->min_tcb_date));
    CLO_TRY(set_number(a, map, "min_tcb_evaluation_number", p->min_tcb_evaluation_number));
    CLO_TRY(set_number(a, map, "collateral_grace_seconds", p->collateral_grace_s));
    CLO_TRY(set_number(a, map, "max_age_seconds", p->max_age_s));
    CLO_TRY(set_tree(a, map, "required_claims", p->required_claims));
    CLO_TRY(set_tree(a, map, "release_policy", p->release_policy));
    *out = map;
    return CLO_OK;
}

CLO_R clo_attest_policy_tree(clo_arena *a, const clo_attest_policy *p, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *parts = NULL, *one = NULL;
    CLO_TRY(policy_tree(a, p, false, &map));
    if (p->part_count != 0) {
        CLO_TRY(clo_wire_map(a, &parts));
        for (size_t i = 0; i < p->part_count; i++) {
            CLO_TRY(policy_tree(a, p->parts[i].policy, true, &one));
            CLO_TRY(clo_wire_set(a, parts, p->parts[i].name, one));
        }
        CLO_TRY(clo_wire_set(a, map, "parts", parts));
    }
    *out = map;
    return CLO_OK;
}
