/* Release policies into policies and back, where both say exactly the same; nothing is weakened on the way. */
#include "attest/policy_claims.h"
#include "attest/skr_policy.h"

#include <stdio.h>

/* Where the claims of a token's payload stand among a result's claims. */
#define TOKEN_CLAIMS "claims."

/* ---- import ---- */

/* One equality, or anyOf over equalities of one claim: its path and allowed values. */
static clo_err take_values(clo_arena *a, const clo_wire_node *condition, const char **path, clo_wire_node *values, bool *ok)
{
    const clo_wire_node *claim = clo_wire_get(condition, "claim"), *any = clo_wire_get(condition, "anyOf");
    *ok = false;
    if (claim != NULL) {
        const clo_wire_node *value = clo_wire_get(condition, "equals");
        if (value == NULL || (*path != NULL && strcmp(*path, (const char *)claim->text.p) != 0)) return CLO_OK;
        clo_wire_node *copy = NULL;
        *path = (const char *)claim->text.p;
        CLO_TRY(clo_wire_map(a, &copy));
        *copy = *value;
        copy->key = NULL;
        copy->next = NULL;
        *ok = values->count < CLO_ATTEST_CLAIM_VALUES_MAX;
        return *ok ? clo_wire_append(values, copy) : CLO_OK;
    }
    for (const clo_wire_node *n = any != NULL ? any->first : NULL; n != NULL; n = n->next) {
        if (clo_wire_get(n, "claim") == NULL) {
            *ok = false;
            return CLO_OK;
        }
        CLO_TRY(take_values(a, n, path, values, ok));
        if (!*ok) return CLO_OK;
    }
    return CLO_OK;
}

/* allOf of what required claims can say; a claim that stands there twice is left to the release policy itself. */
static clo_err take_all(clo_arena *a, const clo_wire_node *list, clo_wire_node *claims, bool *ok)
{
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        const clo_wire_node *nested = clo_wire_get(n, "allOf");
        if (nested != NULL) {
            CLO_TRY(take_all(a, nested, claims, ok));
        } else {
            const char *path = NULL;
            clo_wire_node *values = NULL;
            CLO_TRY(clo_wire_array(a, &values));
            CLO_TRY(take_values(a, n, &path, values, ok));
            const char *in_token = NULL;
            CLO_TRY(clo_arena_printf(a, &in_token, TOKEN_CLAIMS "%s", path == NULL ? "" : path));
            *ok = *ok && clo_wire_get(claims, in_token) == NULL && claims->count < CLO_ATTEST_CLAIMS_MAX && strlen(in_token) <= CLO_ATTEST_CLAIM_PATH;
            if (*ok) CLO_TRY(clo_wire_set(a, claims, in_token, values));
        }
        if (!*ok) return CLO_OK;
    }
    return CLO_OK;
}

CLO_R clo_attest_skr_import(clo_arena *a, const clo_wire_node *skr, clo_wire_node **out)
{
    clo_wire_node *read = NULL, *map = NULL, *claims = NULL, *list = NULL;
    CLO_TRY(clo_attest_skr_read(a, skr, &read));
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_map(a, &claims));
    const clo_wire_node *authorities = clo_wire_get(read, "anyOf"), *first = authorities->first, *any = clo_wire_get(first, "anyOf");
    const clo_wire_node *conditions = any == NULL ? clo_wire_get(first, "allOf") : NULL;
    bool ok = authorities->count == 1;
    if (ok && any != NULL) { /* an authority whose anyOf is over one claim says what a list of values says */
        clo_wire_node *one = NULL, *copy = NULL;
        CLO_TRY(clo_wire_array(a, &list));
        CLO_TRY(clo_wire_map(a, &one));
        CLO_TRY(clo_wire_array(a, &copy));
        copy->first = any->first;
        copy->last = any->last;
        copy->count = any->count;
        CLO_TRY(clo_wire_set(a, one, "anyOf", copy));
        CLO_TRY(clo_wire_append(list, one));
        conditions = list;
    }
    if (ok) CLO_TRY(take_all(a, conditions, claims, &ok));
    if (!ok) {
        CLO_TRY(clo_wire_set(a, map, "release_policy", read));
    } else {
        CLO_TRY(clo_wire_set_text(a, map, "expected_issuer", (const char *)clo_wire_get(first, "authority")->text.p));
        CLO_TRY(clo_wire_set(a, map, "required_claims", claims));
    }
    *out = map;
    return CLO_OK;
}

/* ---- export ---- */

typedef struct {
    clo_arena *arena;
    clo_wire_node *list;
} conditions;

static clo_err condition_make(clo_arena *a, const char *claim, const char *op, clo_wire_node *value, clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, "claim", claim));
    return clo_wire_set(a, *out, op, value);
}

static clo_err add(conditions *c, const char *claim, const char *op, clo_wire_node *value)
{
    clo_wire_node *one = NULL;
    CLO_TRY(condition_make(c->arena, claim, op, value, &one));
    return clo_wire_append(c->list, one);
}

static clo_err add_int(conditions *c, const char *claim, const char *op, int64_t v)
{
    clo_wire_node *value = NULL;
    CLO_TRY(clo_wire_int(c->arena, v, &value));
    return add(c, claim, op, value);
}

static clo_err add_false(conditions *c, const char *claim)
{
    clo_wire_node *value = NULL;
    CLO_TRY(clo_wire_bool(c->arena, false, &value));
    return add(c, claim, "equals", value);
}

static clo_err add_text(conditions *c, const char *claim, const char *text)
{
    clo_wire_node *value = NULL;
    CLO_TRY(clo_wire_text(c->arena, clo_span_str(text), &value));
    return add(c, claim, "equals", value);
}

/* Bytes are hex text in tokens. */
static clo_err value_make(clo_arena *a, const clo_wire_node *v, clo_wire_node **out)
{
    if (v->type == CLO_WIRE_INT) return clo_wire_int(a, v->integer, out);
    if (v->type == CLO_WIRE_BOOL) return clo_wire_bool(a, v->boolean, out);
    if (v->type == CLO_WIRE_TEXT) return clo_wire_text(a, v->text, out);
    CLO_TRY(clo_wire_bytes(a, v->text, out));
    return clo_wire_hexify(a, *out);
}

/* equals, or anyOf of equals. */
static clo_err add_values(conditions *c, const char *claim, const clo_wire_node *values)
{
    clo_wire_node *value = NULL, *group = NULL, *list = NULL, *one = NULL;
    if (values->count == 1) {
        CLO_TRY(value_make(c->arena, values->first, &value));
        return add(c, claim, "equals", value);
    }
    CLO_TRY(clo_wire_map(c->arena, &group));
    CLO_TRY(clo_wire_array(c->arena, &list));
    for (const clo_wire_node *n = values->first; n != NULL; n = n->next) {
        CLO_TRY(value_make(c->arena, n, &value));
        CLO_TRY(condition_make(c->arena, claim, "equals", value, &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_set(c->arena, group, "anyOf", list));
    return clo_wire_append(c->list, group);
}

static clo_err add_bytes(conditions *c, const char *claim, const uint8_t *values, size_t size, size_t count)
{
    clo_wire_node *list = NULL, *one = NULL;
    if (count == 0) return CLO_OK;
    CLO_TRY(clo_wire_array(c->arena, &list));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(clo_wire_bytes(c->arena, clo_span_of(values + i * size, size), &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    return add_values(c, claim, list);
}

static clo_err cannot(const char *member)
{
    return CLO_FAILF(CLO_E_UNSUPPORTED, "a release policy cannot say what \"%s\" of this policy demands; leave it out first, or keep this policy", member);
}

static clo_err export_snp(conditions *c, const clo_attest_policy *p)
{
    CLO_TRY(add_text(c, "x-ms-attestation-type", "sevsnpvm"));
    CLO_TRY(add_bytes(c, "x-ms-sevsnpvm-launchmeasurement", &p->measurements[0][0], 48, p->measurement_count));
    CLO_TRY(add_bytes(c, "x-ms-sevsnpvm-hostdata", p->host_data, 32, p->have_host_data ? 1 : 0));
    CLO_TRY(add_bytes(c, "x-ms-sevsnpvm-reportdata", p->report_data, 64, p->have_report_data ? 1 : 0));
    CLO_TRY(add_bytes(c, "x-ms-sevsnpvm-idkeydigest", &p->id_keys[0][0], 48, p->id_key_count));
    CLO_TRY(add_bytes(c, "x-ms-sevsnpvm-authorkeydigest", &p->author_keys[0][0], 48, p->author_key_count));
    if (!p->allow_debug) CLO_TRY(add_false(c, "x-ms-sevsnpvm-is-debuggable"));
    if (!p->allow_migration_agent) CLO_TRY(add_false(c, "x-ms-sevsnpvm-migration-allowed"));
    if (p->vmpl_max < CLO_ATTEST_VMPL_MAX) CLO_TRY(add_int(c, "x-ms-sevsnpvm-vmpl", "lessOrEquals", p->vmpl_max));
    if (p->min_guest_svn != 0) CLO_TRY(add_int(c, "x-ms-sevsnpvm-guestsvn", "greaterOrEquals", p->min_guest_svn));
    if (!p->min_reported_tcb.have) return CLO_OK;
    const clo_attest_tcb *t = &p->min_reported_tcb;
    if (t->fmc != 0) return cannot("min_reported_tcb.fmc");
    CLO_TRY(add_int(c, "x-ms-sevsnpvm-bootloader-svn", "greaterOrEquals", t->bl));
    CLO_TRY(add_int(c, "x-ms-sevsnpvm-tee-svn", "greaterOrEquals", t->tee));
    CLO_TRY(add_int(c, "x-ms-sevsnpvm-snpfw-svn", "greaterOrEquals", t->snp));
    return add_int(c, "x-ms-sevsnpvm-microcode-svn", "greaterOrEquals", t->ucode);
}

/* Members that no claim of a token of this type shows. */
static const char *inexpressible(const clo_attest_policy *p, bool snp)
{
    if (p->expected_nonce.n != 0) return "expected_nonce";
    if (p->root_count != 0) return "roots";
    if (p->chip_count != 0) return "chips";
    if (p->have_product_tcb) return "min_reported_tcb by product";
    if (p->min_tcb_date != 0) return "min_tcb_date";
    if (p->min_tcb_evaluation_number != 0) return "min_tcb_evaluation_number";
    if (p->max_age_s != 0) return "max_age_seconds";
    if (p->part_count != 0) return "parts";
    if (p->release_policy != NULL && p->required_claims != NULL) return "release_policy beside required_claims";
    if (snp) return NULL;
    if (p->measurement_count != 0) return "measurements";
    if (p->have_host_data) return "host_data";
    if (p->have_report_data) return "expected_report_data";
    if (p->id_key_count != 0) return "id_key_digests";
    if (p->author_key_count != 0) return "author_key_digests";
    if (p->min_reported_tcb.have || p->min_guest_svn != 0) return "min_reported_tcb";
    return NULL;
}

CLO_R clo_attest_skr_export(clo_arena *a, const clo_attest_policy *p, const char *authority, const char *type, clo_wire_node **out)
{
    bool snp = strcmp(type, "snp") == 0;
    const char *member = inexpressible(p, snp);
    if (member != NULL) return cannot(member);
    clo_wire_node *map = NULL, *one = NULL, *authorities = NULL;
    conditions c = {.arena = a};
    CLO_TRY(clo_wire_array(a, &c.list));
    if (snp) {
        CLO_TRY(export_snp(&c, p));
    } else if (strcmp(type, "sgx") == 0) {
        CLO_TRY(add_text(&c, "x-ms-attestation-type", "sgx"));
        if (!p->allow_debug) CLO_TRY(add_false(&c, "x-ms-sgx-is-debuggable"));
    } else if (strcmp(type, "tdx") == 0) {
        CLO_TRY(add_text(&c, "x-ms-attestation-type", "tdxvm"));
        if (!p->allow_debug) CLO_TRY(add_false(&c, "tdx_td_attributes_debug"));
    }
    for (const clo_wire_node *n = p->required_claims != NULL ? p->required_claims->first : NULL; n != NULL; n = n->next) {
        const char *path = (const char *)n->key->text.p;
        if (strncmp(path, TOKEN_CLAIMS, strlen(TOKEN_CLAIMS)) != 0) return cannot("required_claims of anything but a token's claims");
        CLO_TRY(add_values(&c, path + strlen(TOKEN_CLAIMS), n));
    }
    if (p->release_policy != NULL) {
        if (c.list->count != 0) return cannot("release_policy beside other members");
        return clo_attest_skr_read(a, p->release_policy, out);
    }
    CLO_CHECKF(c.list->count != 0, CLO_E_UNSUPPORTED, "this policy demands nothing of a token's claims; a release policy needs at least one condition");
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "version", "1.0.0"));
    CLO_TRY(clo_wire_array(a, &authorities));
    CLO_TRY(clo_wire_map(a, &one));
    CLO_TRY(clo_wire_set_text(a, one, "authority", authority));
    CLO_TRY(clo_wire_set(a, one, "allOf", c.list));
    CLO_TRY(clo_wire_append(authorities, one));
    CLO_TRY(clo_wire_set(a, map, "anyOf", authorities));
    return clo_attest_skr_read(a, map, out);
}
