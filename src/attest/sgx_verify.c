/* SGX: what is particular to the report body of an enclave. */
#include "attest/dcap_int.h"

#include <stdio.h>

static void check_body(clo_attest_context *c, const dcap_quote *q)
{
    const clo_attest_policy *p = c->policy;
    uint8_t flags = q->sgx.attributes.p[0];
    bool debug = (flags & DCAP_DEBUG) != 0;
    (void)clo_attest_check_add(c->out, "debug", p->allow_debug || !debug, "debug", p->allow_debug ? "any" : "off", debug ? "on" : "off");
    if (p->strict_reserved) {
        bool ok = q->sgx.reserved_zero && (flags & DCAP_INIT) != 0;
        (void)clo_attest_check_add(c->out, "reserved", ok, "malformed", "reserved bytes are zero, INIT is set", ok ? "so it is" : "not so");
    }
    clo_attest_dcap_check_identity(c, q->sgx.report_data, "mrenclave", q->sgx.mrenclave, q->sgx.config_id);
}

CLO_R clo_attest_sgx_verify(clo_attest_context *c) { return clo_attest_dcap_appraise(c, false, check_body); }

bool clo_attest_sgx_recognise(const clo_attest_part *evidence, size_t evidence_count) { return clo_attest_dcap_recognise(evidence, evidence_count, DCAP_TEE_SGX); }
