/* The software TEE: SNP's report, chain, TCB and policy code under a development root that the policy pins. It proves which program the
 * operator's own machine says it started, and protects nothing from that operator. */
#include "attest/attest_int.h"

CLO_R clo_attest_sim_verify(clo_attest_context *c)
{
    bool allowed = c->policy->allow_simulated;
    (void)clo_attest_check_add(c->out, "simulated", allowed, "simulated", allowed ? "simulated evidence is allowed" : "evidence of hardware",
                               "evidence of the software TEE");
    return clo_attest_snp_appraise(c, true);
}
