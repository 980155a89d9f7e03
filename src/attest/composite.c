/* Composite evidence: every part by its own verifier, all bound to one nonce through the root part's commitment (evidence_record.h). */
#include "attest/demands.h"
#include "attest/evidence_record.h"
#include "base/clo_own.h"

#include <stdio.h>

/* What a composite may bring along. Anchors and keys to trust come from the caller alone ("NAME.role" or "role" among the collateral). */
static const char *const carried_roles[] = {
    "report", "message", "signature_tpmt", "ak_public_tpmt", "ak_public_spki_der", "pcrs_json", "pcrs_sha256", "event_log", "hcl_report",
    "tpm_quote_message", "tpm_quote_signature", "td_quote", "user_data", "optee_measurement", "vcek_or_vlek", "ask", "ark", "ask_ark_chain",
    "crl", "cert_chain", "tcb_info", "qe_identity", "tcb_signing_chain", "root_ca_crl", "pck_ca_crl", "pck_cert", "pck_sign_chain",
    "ak_certificate", "ak_chain", "driver_rim", "vbios_rim", "ocsp", "document", "quote",
};

static bool carried(const clo_attest_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof carried_roles / sizeof carried_roles[0]; k++) known = known || strcmp(parts[i].role, carried_roles[k]) == 0;
        if (!known) return false;
    }
    return true;
}

typedef struct {
    clo_attest_context *c;
    const clo_attest_record *parts;
    size_t count;
    uint8_t shown[64]; /* what the root shows */
    size_t shown_size;
    bool in_report_data;
    clo_attest_result *scratch;
    clo_attest_submodule *submodules;
} composite;

/* The caller's collateral comes before the part's own, so that nothing which the part brings stands in its way. */
static void collateral_of(const composite *m, const clo_attest_record *r, clo_attest_part *to, size_t *count)
{
    size_t name = strlen(r->name);
    for (size_t i = 0; i < m->c->collateral_count && *count < CLO_ATTEST_PARTS_MAX; i++) {
        const clo_attest_part *p = &m->c->collateral[i];
        bool own = strncmp(p->role, r->name, name) == 0 && p->role[name] == '.';
        if (!own && strchr(p->role, '.') != NULL) continue;
        to[*count] = *p;
        if (own) (void)snprintf(to[*count].role, sizeof to[*count].role, "%s", p->role + name + 1);
        (*count)++;
    }
    for (size_t i = 0; i < r->collateral_count && *count < CLO_ATTEST_PARTS_MAX; i++) to[(*count)++] = r->collateral[i];
}

/* The part's own policy, or the whole one where it names no parts; with the binding that the composite demands of it. */
static clo_err policy_of(const composite *m, size_t index, clo_attest_policy **out)
{
    const clo_attest_policy *whole = m->c->policy, *from = whole;
    void *memory = NULL;
    for (size_t i = 0; i < whole->part_count; i++) {
        if (strcmp(whole->parts[i].name, m->parts[index].name) == 0) from = whole->parts[i].policy;
    }
    CLO_TRY(clo_arena_alloc(m->c->arena, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *p = memory;
    *p = *from;
    if (from == whole) p->required_claims = p->release_policy = NULL; /* judged over the whole's claims */
    p->part_count = 0;
    p->parts = NULL;
    p->require_binding = true;
    p->have_report_data = index == 0 && m->in_report_data;
    p->expected_nonce = clo_span_of(NULL, 0);
    if (p->have_report_data) {
        memcpy(p->report_data, m->shown, sizeof p->report_data);
    } else if (index == 0) {
        p->expected_nonce = clo_span_of(m->shown, m->shown_size);
    } else {
        uint8_t nonce[32];
        CLO_TRY(clo_attest_composite_nonce(whole->expected_nonce, m->parts[index].name, nonce));
        CLO_TRY(clo_arena_copy(m->c->arena, clo_span_of(nonce, sizeof nonce), &p->expected_nonce));
    }
    *out = p;
    return CLO_OK;
}

/* The part's result into its submodule and into the whole: its failed checks, its windows, its advisories. */
static clo_err merge(const composite *m, size_t index)
{
    clo_attest_result *whole = m->c->out;
    const clo_attest_result *r = m->scratch;
    clo_attest_submodule *s = &m->submodules[index];
    char name[48], expected[64];
    memcpy(s->name, m->parts[index].name, sizeof s->name);
    memcpy(s->tee, r->tee, sizeof s->tee);
    memcpy(s->reason, r->reason, sizeof s->reason);
    memcpy(s->detail, r->detail, sizeof s->detail);
    memcpy(s->tcb_status, r->tcb_status, sizeof s->tcb_status);
    s->valid = r->valid;
    s->judged = r->judged;
    s->claims = r->claims;
    void *memory = NULL;
    CLO_TRY(clo_arena_array(m->c->arena, r->check_count != 0 ? r->check_count : 1, sizeof(clo_attest_check), &memory));
    if (r->check_count != 0) memcpy(memory, r->checks, r->check_count * sizeof r->checks[0]);
    s->checks = memory;
    s->check_count = r->check_count;
    for (size_t i = 0; i < r->check_count; i++) {
        if (r->checks[i].ok) continue;
        (void)snprintf(name, sizeof name, "%s.%.30s", s->name, r->checks[i].name);
        (void)clo_attest_check_add(whole, name, false, r->checks[i].reason, r->checks[i].expected, r->checks[i].actual);
    }
    (void)snprintf(name, sizeof name, "part.%s", s->name);
    (void)snprintf(expected, sizeof expected, "valid %s evidence, bound to the nonce", s->tee);
    (void)clo_attest_check_add(whole, name, r->valid, r->valid ? "binding" : r->reason, expected, r->valid ? "valid and bound" : r->reason);
    /* Parts with policies of their own do not answer for what the whole demands. */
    if (m->c->policy->part_count == 0) whole->judged |= r->judged;
    if (r->valid && r->valid_until != 0 && r->valid_until < whole->valid_until) whole->valid_until = r->valid_until;
    for (size_t i = 0; i < r->advisory_count && whole->advisory_count < CLO_ATTEST_ADVISORIES_MAX; i++)
        memcpy(whole->advisories[whole->advisory_count++], r->advisories[i], sizeof r->advisories[i]);
    if (index == 0) memcpy(whole->tcb_status, r->tcb_status, sizeof whole->tcb_status);
    return CLO_OK;
}

static clo_err part_verify(const composite *m, size_t index)
{
    const clo_attest_record *r = &m->parts[index];
    const clo_attest_type *type = clo_attest_type_find(r->type);
    bool usable = type != NULL && type->verify != clo_attest_composite_verify && carried(r->evidence, r->evidence_count) &&
                  carried(r->collateral, r->collateral_count);
    clo_attest_result_open(m->scratch, usable ? type->type : r->type);
    clo_attest_part collateral[CLO_ATTEST_PARTS_MAX];
    clo_attest_context c = *m->c;
    c.evidence = r->evidence;
    c.evidence_count = r->evidence_count;
    c.collateral = collateral;
    c.collateral_count = 0;
    c.out = m->scratch;
    c.given_root_known = false; /* each part may have a root of its own */
    if (usable) {
        clo_attest_policy *policy = NULL;
        CLO_TRY(policy_of(m, index, &policy));
        c.policy = policy;
        collateral_of(m, r, collateral, &c.collateral_count);
        CLO_TRY(type->verify(&c));
        CLO_TRY(clo_attest_demands_judge(&c));
    } else {
        (void)clo_attest_check_add(m->scratch, "part", false, "malformed", "a known type, with roles of evidence and certificates only", r->type);
        CLO_TRY(clo_wire_map(c.arena, &m->scratch->claims));
    }
    clo_attest_result_close(m->scratch);
    return merge(m, index);
}

/* Exactly the parts that the policy names. */
static void judge_names(const composite *m)
{
    const clo_attest_policy *p = m->c->policy;
    for (size_t i = 0; i < p->part_count; i++) {
        bool there = false;
        for (size_t k = 0; k < m->count; k++) there = there || strcmp(p->parts[i].name, m->parts[k].name) == 0;
        char name[48];
        (void)snprintf(name, sizeof name, "part.%s", p->parts[i].name);
        if (!there) (void)clo_attest_check_add(m->c->out, name, false, "binding", "a part of this name", "none");
    }
    if (p->part_count != 0) {
        char want[32], got[32];
        (void)snprintf(want, sizeof want, "%zu", p->part_count);
        (void)snprintf(got, sizeof got, "%zu", m->count);
        (void)clo_attest_check_add(m->c->out, "parts", m->count == p->part_count, "binding", want, got);
    }
}

static clo_err judge(composite *m)
{
    clo_attest_context *c = m->c;
    const clo_attest_policy *p = c->policy;
    uint8_t commitment[64];
    if (p->expected_nonce.n == 0) /* refused, but what the parts claim can be looked at */
        (void)clo_attest_check_add(c->out, "nonce", false, "binding", "expected_nonce in the policy: all parts are bound to it", "none");
    clo_span bound = p->have_report_data ? clo_span_of(p->report_data, sizeof p->report_data) : clo_span_of(NULL, 0);
    CLO_TRY(clo_attest_composite_commitment(p->expected_nonce, bound, m->parts, m->count, commitment));
    clo_err e = clo_attest_composite_root(m->parts[0].type, commitment, &m->in_report_data, m->shown, &m->shown_size);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, "root", !clo_failed(e), "binding", "a first part that can carry the commitment", m->parts[0].type);
    if (clo_failed(e)) return CLO_OK;
    void *memory = NULL;
    CLO_TRY(clo_arena_array(c->arena, m->count, sizeof(clo_attest_submodule), &memory));
    m->submodules = memory;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(clo_attest_result), &memory));
    m->scratch = memory;
    judge_names(m);
    for (size_t i = 0; i < m->count; i++) {
        clo_wire_node *claims = NULL;
        CLO_TRY(part_verify(m, i));
        if (m->submodules[i].claims == NULL) continue;
        CLO_TRY(clo_wire_map(c->arena, &claims));
        *claims = *m->submodules[i].claims;
        claims->key = NULL;
        claims->next = NULL;
        CLO_TRY(clo_wire_set(c->arena, c->out->claims, m->parts[i].name, claims));
    }
    c->out->judged |= CLO_JUDGED_NONCE | CLO_JUDGED_REPORT_DATA; /* both are in the commitment that the root was held against */
    c->out->submodules = m->submodules;
    c->out->submodule_count = m->count;
    return CLO_OK;
}

CLO_R clo_attest_composite_verify(clo_attest_context *c)
{
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    clo_attest_record *parts = NULL;
    size_t count = 0;
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    clo_err e = part != NULL ? clo_attest_composite_decode(c->arena, part->bytes, &parts, &count) : CLO_FAILF(CLO_E_MISSING_FIELD, "there is none");
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        char why[136];
        (void)snprintf(why, sizeof why, "%s", clo_err_text());
        (void)clo_attest_check_add(c->out, "composite", false, "malformed", "a composite of 1 to 4 parts", why);
        return CLO_OK;
    }
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(composite), &memory));
    composite *m = memory;
    m->c = c;
    m->parts = parts;
    m->count = count;
    return judge(m);
}

bool clo_attest_composite_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    static const char end[] = "fformatt" "cloister-composite/1"; /* heads of texts of 6 and 20 bytes: the last member of every composite */
    size_t n = sizeof end - 1;
    if (evidence_count != 1 || evidence[0].bytes.n < n || memcmp(evidence[0].bytes.p + evidence[0].bytes.n - n, end, n) != 0) return false;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 * (size_t)CLO_RECORD_MAX);
    clo_attest_record *parts = NULL;
    size_t count = 0;
    return !clo_failed(clo_attest_composite_decode(&a, evidence[0].bytes, &parts, &count));
}
