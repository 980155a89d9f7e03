/* The appraisal policy of a runtime: its own members, and those that the agreement writes under `appraisal`. */
#include "base/clo_own.h"
#include "collab/agreement_int.h"

CLO_R clo_collab_runtime_policy(clo_arena *a, const clo_collab_runtime *r, clo_attest_policy *out)
{
    /* Said by other members or by each run; or never negotiable (no debug, revocation lists, VMPL 0, bound to the run). */
    static const char *const elsewhere[] = {"allow_simulated",      "measurements",     "roots", "chips",       "host_data",   "expected_nonce", "expected_challenge",
                                            "expected_report_data", "min_reported_tcb", "parts", "allow_debug", "require_crl", "vmpl_max",       "require_binding"};
    const clo_attest_policy *own = &r->policy;
    if (r->appraisal == NULL) {
        *out = *own;
        return CLO_OK;
    }
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        CLO_CHECKF(clo_wire_get(r->appraisal, elsewhere[i]) == NULL, CLO_E_MALFORMED,
                   "agreement.runtimes[].appraisal: \"%s\" does not belong there: other members or each run say it, or it is not negotiable", elsewhere[i]);
    clo_err e = clo_attest_policy_read(a, r->appraisal, out);
    if (clo_failed(e)) return clo_err_prefix(e, "agreement.runtimes[].appraisal");
    out->measurement_count = own->measurement_count;
    memcpy(out->measurements, own->measurements, sizeof out->measurements);
    out->root_count = own->root_count;
    memcpy(out->roots, own->roots, sizeof out->roots);
    out->chip_count = own->chip_count;
    memcpy(out->chips, own->chips, sizeof out->chips);
    out->min_reported_tcb = own->min_reported_tcb;
    return CLO_OK;
}
