/* The table of evidence types and the entry points. */
#include "attest/attest_int.h"
#include "attest/azure_hcl.h"
#include "attest/demands.h"
#include "attest/nitro_document.h"
#include "attest/token_int.h"
#include "attest/tpm_quote.h"

#include <stdio.h>

/* One line per type, in the order in which `auto` asks them: who looks closer comes first. */
static const clo_attest_type types[] = {
    {"snp", clo_attest_snp_verify, clo_attest_snp_recognise},
    {"sim", clo_attest_sim_verify, NULL},
    {"nvidia-gpu", clo_attest_nvidia_verify, clo_attest_nvidia_recognise},
    {"tdx", clo_attest_tdx_verify, clo_attest_tdx_recognise},
    {"sgx", clo_attest_sgx_verify, clo_attest_sgx_recognise},
    {"psa", clo_attest_psa_verify, clo_attest_psa_recognise},
    {"nitro", clo_attest_nitro_verify, clo_attest_nitro_recognise},
    {"tpm", clo_attest_tpm_verify, clo_attest_tpm_recognise},
    {"azure-vtpm", clo_attest_azure_verify, clo_attest_azure_recognise},
    {"maa", clo_attest_maa_verify, clo_attest_maa_recognise},
    {"gcp-confidential-space", clo_attest_google_verify, clo_attest_google_recognise},
    {"cca", clo_attest_cca_verify, clo_attest_cca_recognise},
    {"optee", clo_attest_optee_verify, NULL},
    {"composite", clo_attest_composite_verify, clo_attest_composite_recognise},
    {"ear", clo_attest_ear_verify, clo_attest_ear_recognise},
};

const clo_attest_part *clo_attest_part_find(const clo_attest_context *c, const char *role)
{
    for (size_t i = 0; i < c->evidence_count; i++) {
        if (strcmp(c->evidence[i].role, role) == 0) return &c->evidence[i];
    }
    for (size_t i = 0; i < c->collateral_count; i++) {
        if (strcmp(c->collateral[i].role, role) == 0) return &c->collateral[i];
    }
    return NULL;
}

clo_span clo_attest_part_bytes(const clo_attest_context *c, const char *role)
{
    const clo_attest_part *part = clo_attest_part_find(c, role);
    return part != NULL ? part->bytes : clo_span_of(NULL, 0);
}

bool clo_attest_err_is_about_input(clo_err e)
{
    clo_class k = clo_err_class(e);
    return k == CLO_CLASS_INPUT || k == CLO_CLASS_DENIED || k == CLO_CLASS_LIMIT;
}

const clo_attest_type *clo_attest_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].type, name) == 0) return &types[i];
    }
    return NULL;
}

static clo_err type_unsupported(const char *name)
{
    char known[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        int n = snprintf(known + used, sizeof known - used, "%s, ", types[i].type);
        used += n > 0 && (size_t)n < sizeof known - used ? (size_t)n : 0;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "\"%.32s\" is no type of evidence; use %sor auto", name, known);
}

static void part_set(clo_attest_part *parts, size_t *count, const char *role, clo_span bytes)
{
    if (bytes.n == 0 || *count == CLO_ATTEST_PARTS_MAX) return;
    (void)snprintf(parts[*count].role, sizeof parts[*count].role, "%s", role);
    parts[(*count)++].bytes = bytes;
}

/* A bundle's members under the roles that the verifiers look for. */
static void bundle_parts(const clo_attest_bundle *b, clo_attest_part *parts, size_t *count)
{
    static const char *const chain_roles[4] = {"ask", "ark", "surplus", "surplus"};
    part_set(parts, count, "report", b->report);
    part_set(parts, count, "vcek_or_vlek", b->ek);
    for (size_t i = 0; i < b->chain_count; i++) part_set(parts, count, chain_roles[i], b->chain[i]);
    part_set(parts, count, "crl", b->crl);
    for (size_t i = 0; i < b->part_count; i++) part_set(parts, count, b->parts[i].role, b->parts[i].bytes);
}

/* The roles that a bundle's parts may have: evidence alone. Anchors and keys to trust come from the caller. */
static bool bundle_parts_allowed(const clo_attest_bundle *b)
{
    static const char *const roles[] = {"hcl_report", "tpm_quote_message", "tpm_quote_signature", "pcrs_sha256", "td_quote", "message", "signature_tpmt",
                                        "ak_public_tpmt", "ak_public_spki_der", "pcrs_json", "event_log", "user_data", "optee_measurement"};
    for (size_t i = 0; i < b->part_count; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof roles / sizeof roles[0]; k++) known = known || strcmp(b->parts[i].role, roles[k]) == 0;
        if (!known) return false;
    }
    return true;
}

static clo_err run(clo_attest_context *c, const clo_attest_type *type)
{
    clo_attest_result_open(c->out, type->type);
    CLO_TRY(type->verify(c));
    CLO_TRY(clo_attest_demands_judge(c));
    clo_attest_result_close(c->out);
    if (c->out->claims == NULL) CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    return CLO_OK;
}

/* A bundle that cannot be read is bad evidence, not a bad call. */
static clo_err result_malformed(clo_arena *a, const char *tee, clo_attest_result *out)
{
    const char *why = NULL;
    CLO_TRY(clo_arena_printf(a, &why, "%s", clo_err_text()));
    clo_attest_result_open(out, tee);
    (void)clo_attest_check_add(out, "bundle", false, "malformed", "an evidence bundle", why);
    clo_attest_result_close(out);
    return clo_wire_map(a, &out->claims);
}

/* Verify a bundle, as `type` or (NULL) as what it says it is; further collateral comes after the bundle's own. */
static clo_err verify_bundle(clo_attest_context *c, const char *type, clo_span bytes)
{
    clo_attest_bundle b;
    clo_err e = clo_attest_bundle_decode(c->arena, bytes, &b);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        return result_malformed(c->arena, type == NULL ? "" : type, c->out);
    }
    const clo_attest_type *found = clo_attest_type_find(b.tee);
    if (found == NULL || (type != NULL && strcmp(type, b.tee) != 0)) {
        clo_attest_result_open(c->out, type == NULL ? b.tee : type);
        (void)clo_attest_check_add(c->out, "tee", false, "malformed", type == NULL ? "a known type" : type, b.tee);
        clo_attest_result_close(c->out);
        return clo_wire_map(c->arena, &c->out->claims);
    }
    if (!bundle_parts_allowed(&b)) {
        clo_attest_result_open(c->out, b.tee);
        (void)clo_attest_check_add(c->out, "parts", false, "malformed", "roles of evidence", "a role that only the caller may give");
        clo_attest_result_close(c->out);
        return clo_wire_map(c->arena, &c->out->claims);
    }
    clo_attest_part parts[CLO_ATTEST_PARTS_MAX];
    size_t count = 0;
    bundle_parts(&b, parts, &count);
    c->evidence = parts;
    c->evidence_count = count;
    return run(c, found);
}

CLO_R clo_attest_verify(clo_arena *a, const char *type, const clo_attest_part *evidence, size_t evidence_count,
                        const clo_attest_part *collateral, size_t collateral_count, const clo_attest_policy *policy, int64_t now,
                        clo_attest_result *out)
{
    return clo_attest_verify_with(a, NULL, type, evidence, evidence_count, collateral, collateral_count, policy, now, out);
}

CLO_R clo_attest_verify_with(clo_arena *a, clo_attest_cache *cache, const char *type, const clo_attest_part *evidence, size_t evidence_count,
                             const clo_attest_part *collateral, size_t collateral_count, const clo_attest_policy *policy, int64_t now,
                             clo_attest_result *out)
{
    CLO_CHECKF(evidence_count <= CLO_ATTEST_PARTS_MAX && collateral_count <= CLO_ATTEST_PARTS_MAX, CLO_E_TOO_MANY,
               "evidence and collateral have at most %d parts each", (int)CLO_ATTEST_PARTS_MAX);
    clo_attest_context c = {.arena = a,
                            .policy = policy,
                            .cache = cache,
                            .evidence = evidence,
                            .collateral = collateral,
                            .evidence_count = evidence_count,
                            .collateral_count = collateral_count,
                            .now = now,
                            .out = out};
    bool any = strcmp(type, "auto") == 0;
    const clo_attest_type *found = any ? NULL : clo_attest_type_find(type);
    if (!any && found == NULL) return type_unsupported(type);
    for (size_t i = 0; i < evidence_count; i++) {
        if (strcmp(evidence[i].role, "bundle") == 0) return verify_bundle(&c, any ? NULL : type, evidence[i].bytes);
    }
    for (size_t i = 0; any && found == NULL && i < sizeof types / sizeof types[0]; i++) {
        if (types[i].recognise != NULL && types[i].recognise(evidence, evidence_count)) found = &types[i];
    }
    CLO_CHECKF(found != NULL, CLO_E_UNSUPPORTED, "the type of this evidence cannot be told from its bytes; name it");
    return run(&c, found);
}

CLO_R clo_attest_verify_bundle(clo_arena *a, clo_attest_cache *cache, clo_span bundle, const clo_attest_policy *policy, int64_t now,
                               clo_attest_result *out)
{
    clo_attest_context c = {.arena = a, .policy = policy, .cache = cache, .now = now, .out = out};
    return verify_bundle(&c, NULL, bundle);
}
