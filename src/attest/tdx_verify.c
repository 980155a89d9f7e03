/* TDX: what is particular to the report body of a trust domain. */
#include "attest/dcap_int.h"
#include "base/clo_text.h"

enum { TUD = 0xff, TD_DEBUG = 0x01, SEPT_VE_DISABLE_BYTE = 3, SEPT_VE_DISABLE = 0x10 };

/* Attributes 0-7 (TUD) make a TD untrusted; DEBUG is one of them. Of the others the strict policy knows SEPT_VE_DISABLE alone, and wants it:
 * without it the host can raise exceptions inside the TD. */
static void check_attributes(clo_attest_context *c, clo_span attributes)
{
    const clo_attest_policy *p = c->policy;
    uint8_t tud = attributes.p[0], bad = (uint8_t)(tud & (p->allow_debug ? TUD & ~TD_DEBUG : TUD));
    (void)clo_attest_check_add(c->out, "debug", bad == 0, "debug", p->allow_debug ? "no untrusted attribute but DEBUG" : "off",
                               tud == 0 ? "off" : (tud & TD_DEBUG) != 0 ? "on" : "another untrusted attribute");
    if (p->any_td_attributes) return;
    uint8_t want[8] = {0};
    want[0] = tud;
    want[SEPT_VE_DISABLE_BYTE] = SEPT_VE_DISABLE;
    (void)clo_attest_check_bytes(c->out, "td_attributes", "platform_policy", clo_span_of(want, sizeof want), attributes);
}

static void check_body(clo_attest_context *c, const dcap_quote *q)
{
    const dcap_td_body *td = &q->td;
    check_attributes(c, td->td_attributes);
    bool zero = dcap_all_zero(td->seam_attributes);
    (void)clo_attest_check_add(c->out, "seam_attributes", zero, "platform_policy", "zero", zero ? "zero" : "not zero");
    zero = dcap_all_zero(td->mr_signer_seam);
    (void)clo_attest_check_add(c->out, "mr_signer_seam", zero, "platform_policy", "zero: Intel's module", zero ? "zero" : "another signer");
    clo_attest_dcap_check_identity(c, td->report_data, "mr_td", td->mr_td, td->mr_config_id);
}

CLO_R clo_attest_tdx_verify(clo_attest_context *c) { return clo_attest_dcap_appraise(c, true, check_body); }

bool clo_attest_tdx_recognise(const clo_attest_part *evidence, size_t evidence_count) { return clo_attest_dcap_recognise(evidence, evidence_count, DCAP_TEE_TDX); }
