/* Appraisal of a runtime's evidence under the agreement: one judge for key service, runtime and receipt. */
#include <stdio.h>

#include "collab/collab_int.h"

typedef struct {
    const clo_collab_agreement *g;
    const clo_collab_run_terms *terms;
    uint8_t report_data[64];
    clo_span evidence;
    clo_attest_cache *cache;
    int64_t now;
} appraisal;

/* One runtime with one of its measurements: the workload digest depends on the measurement, so each has a policy of its own. */
static clo_err appraise_one(clo_arena *a, const appraisal *p, const clo_collab_runtime *r, size_t measurement,
                            clo_attest_result *result)
{
    clo_attest_policy policy;
    CLO_TRY(clo_collab_runtime_policy(a, r, &policy));
    policy.allow_simulated = p->g->allow_simulated && strcmp(r->tee, "sim") == 0;
    policy.allow_debug = false;
    policy.measurement_count = 1;
    memcpy(policy.measurements[0], r->policy.measurements[measurement], sizeof policy.measurements[0]);
    policy.have_report_data = true;
    memcpy(policy.report_data, p->report_data, sizeof policy.report_data);
    uint8_t workload[48];
    policy.have_host_data = true;
    CLO_TRY(clo_collab_workload_digest(p->g, p->terms, policy.measurements[0], workload, policy.host_data));
    return clo_attest_verify_bundle(a, p->cache, p->evidence, &policy, p->now, result);
}

/* How far an appraisal came: the denial to show is of the runtime that fits best. */
static size_t score(const clo_attest_result *r)
{
    size_t good = 0;
    for (size_t i = 0; i < r->check_count; i++)
        if (r->checks[i].ok) good++;
    return good;
}

static clo_err none_fits(const clo_collab_agreement *g, const char *tee)
{
    char expected[200] = "", source[96];
    size_t used = 0;
    for (size_t i = 0; i < g->runtime_count && used + 32 < sizeof expected; i++) {
        int n = snprintf(expected + used, sizeof expected - used, "%s%s", i != 0 ? " or " : "", g->runtimes[i].tee);
        if (n > 0) used += (size_t)n;
    }
    (void)snprintf(source, sizeof source, "agreement %s runtimes", clo_collab_short(g->id).text);
    return CLO_DENY(CLO_E_DENIED, "evidence.tee", expected, tee, source,
                    "run on a TEE that the agreement names, or amend the agreement");
}

clo_err clo_collab_evidence_appraise(clo_arena *a, clo_attest_cache *cache, const clo_collab_agreement *g,
                                     const clo_collab_run_terms *terms, const clo_collab_binding *b, clo_span evidence, int64_t now,
                                     const clo_collab_runtime **runtime, clo_attest_result *result)
{
    CLO_CHECKF(evidence.n <= CLO_EVIDENCE_MAX, CLO_E_TOO_LARGE, "the evidence has %zu bytes; at most %d are allowed", evidence.n,
               CLO_EVIDENCE_MAX);
    clo_attest_bundle bundle;
    memset(&bundle, 0, sizeof bundle);
    clo_err e = clo_attest_bundle_decode(a, evidence, &bundle);
    if (clo_failed(e)) return clo_err_prefix(e, "the evidence");
    appraisal p = {.g = g, .terms = terms, .evidence = evidence, .cache = cache, .now = now};
    CLO_TRY(clo_collab_binding_report_data(b, p.report_data));
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_result), &memory)); /* too large for the stack */
    clo_attest_result *one = memory;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_collab_configuration), &memory));
    clo_collab_configuration *configuration = memory;
    CLO_TRY(clo_collab_configuration_decode(a, b->configuration, configuration));
    size_t best = SIZE_MAX, best_score = 0, misfit = SIZE_MAX;
    for (size_t i = 0; i < g->runtime_count; i++) {
        const clo_collab_runtime *r = &g->runtimes[i];
        if (strcmp(r->tee, bundle.tee) != 0) continue;
        for (size_t k = 0; k < r->policy.measurement_count; k++) {
            CLO_TRY(appraise_one(a, &p, r, k, one));
            if (one->valid) {
                *result = *one;
                e = clo_collab_configuration_judge(configuration, g, terms, i);
                if (!clo_failed(e)) {
                    *runtime = r;
                    return CLO_OK;
                }
                misfit = misfit == SIZE_MAX ? i : misfit;
            }
            if (best != SIZE_MAX && score(one) <= best_score) continue;
            best = i;
            best_score = score(one);
            *result = *one;
        }
    }
    if (best == SIZE_MAX) return none_fits(g, bundle.tee);
    if (misfit != SIZE_MAX) return clo_collab_configuration_judge(configuration, g, terms, misfit);
    char source[96];
    (void)snprintf(source, sizeof source, "agreement %s runtimes[%zu]", clo_collab_short(g->id).text, best);
    return clo_attest_deny(result, source);
}
