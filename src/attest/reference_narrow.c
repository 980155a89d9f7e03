/* Narrowing a policy by reference values. */
#include "attest/reference_int.h"

/* What the chosen values say together. */
typedef struct {
    size_t chosen, most;   /* how many values; the most claims that one of them names */
    bool shared;           /* two of them name the same claim */
    clo_wire_node *claims; /* MAP path -> ARRAY */
    bool have_min_svn;
    uint32_t min_svn;
} choice;

static clo_err choose_one(clo_arena *a, const clo_attest_reference *r, choice *out)
{
    out->chosen++;
    out->most = r->claims->count > out->most ? r->claims->count : out->most;
    for (const clo_wire_node *list = r->claims->first; list != NULL; list = list->next) {
        out->shared = out->shared || clo_wire_get(out->claims, (const char *)list->key->text.p) != NULL;
    }
    for (const clo_wire_node *list = r->claims->first; list != NULL; list = list->next) {
        for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(clo_attest_reference_put(a, out->claims, (const char *)list->key->text.p, n));
    }
    if (!r->have_min_svn) return CLO_OK;
    out->min_svn = out->have_min_svn && out->min_svn > r->min_svn ? out->min_svn : r->min_svn;
    out->have_min_svn = true;
    return CLO_OK;
}

static clo_err choose(clo_arena *a, const clo_attest_reference_set *set, const char *tee, const char *name, const char *version, choice *out)
{
    CLO_TRY(clo_wire_map(a, &out->claims));
    for (size_t i = 0; i < set->count; i++) {
        const clo_attest_reference *r = &set->values[i];
        if (strcmp(r->tee, tee) != 0 || (name != NULL && strcmp(r->name, name) != 0) || (version != NULL && strcmp(r->version, version) != 0)) continue;
        CLO_TRY(choose_one(a, r, out));
    }
    CLO_CHECKF(out->chosen != 0 && (out->claims->count != 0 || out->have_min_svn), CLO_E_NOT_FOUND,
               "the set of reference values says nothing about this type, name and version");
    /* Alternatives of one claim are a list; alternatives of several would let combinations pass that nobody stated. */
    CLO_CHECKF(!out->shared || (out->most == 1 && out->claims->count == 1), CLO_E_CONFLICT,
               "several reference values fit, with several claims each; name the one version that is meant");
    return CLO_OK;
}

/* The claims that both demand: what was there, and the values of the set where both name a path. */
static clo_err merge_claims(clo_arena *a, const clo_wire_node *before, const clo_wire_node *more, clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(a, out));
    for (const clo_wire_node *list = before == NULL ? NULL : before->first; list != NULL; list = list->next) {
        const char *path = (const char *)list->key->text.p;
        const clo_wire_node *other = clo_wire_get(more, path);
        size_t kept = 0;
        for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
            if (other != NULL && !clo_attest_reference_lists(other, n)) continue;
            CLO_TRY(clo_attest_reference_put(a, *out, path, n));
            kept++;
        }
        CLO_CHECKF(kept != 0, CLO_E_DENIED, "policy and reference values have no value of claim %.60s in common", path);
    }
    for (const clo_wire_node *list = more->first; list != NULL; list = list->next) {
        const char *path = (const char *)list->key->text.p;
        if (before != NULL && clo_wire_get(before, path) != NULL) continue;
        for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(clo_attest_reference_put(a, *out, path, n));
    }
    return CLO_OK;
}

/* The launch measurement has a place of its own in the policy, which agreements and key services look at. */
static clo_err merge_measurements(const clo_wire_node *list, clo_attest_policy *p)
{
    clo_attest_policy narrowed = *p;
    narrowed.measurement_count = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_BYTES && n->text.n == sizeof p->measurements[0], CLO_E_MALFORMED, "a launch measurement has not 48 bytes");
        bool wanted = p->measurement_count == 0;
        for (size_t i = 0; i < p->measurement_count; i++) wanted = wanted || memcmp(p->measurements[i], n->text.p, n->text.n) == 0;
        if (!wanted) continue;
        CLO_CHECKF(narrowed.measurement_count < CLO_ATTEST_MEASUREMENTS_MAX, CLO_E_TOO_MANY, "a policy has at most %d measurements; name a version",
                   (int)CLO_ATTEST_MEASUREMENTS_MAX);
        memcpy(narrowed.measurements[narrowed.measurement_count++], n->text.p, n->text.n);
    }
    CLO_CHECKF(narrowed.measurement_count != 0, CLO_E_DENIED, "policy and reference values have no measurement in common");
    *p = narrowed;
    return CLO_OK;
}

CLO_R clo_attest_references_narrow(clo_arena *a, const clo_attest_reference_set *set, const char *tee, const char *name, const char *version,
                                   clo_attest_policy *policy)
{
    bool amd = strcmp(tee, "snp") == 0 || strcmp(tee, "sim") == 0;
    choice c = {.chosen = 0};
    clo_wire_node *merged = NULL;
    clo_attest_policy p = *policy;
    CLO_TRY(choose(a, set, tee, name, version, &c));
    CLO_CHECKF(!c.have_min_svn || amd, CLO_E_UNSUPPORTED, "a floor of the security version can be checked in snp evidence only");
    if (c.have_min_svn && c.min_svn > p.min_guest_svn) p.min_guest_svn = c.min_svn;
    CLO_TRY(merge_claims(a, p.required_claims, c.claims, &merged));
    p.required_claims = merged;
    const clo_wire_node *measurement = amd ? clo_wire_get(c.claims, "measurement") : NULL;
    if (measurement != NULL) CLO_TRY(merge_measurements(measurement, &p));
    *policy = p;
    return CLO_OK;
}
