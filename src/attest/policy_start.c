/* The strict and the open starting point of a policy. */
#include "attest/attest.h"

void clo_attest_policy_init(clo_attest_policy *p)
{
    memset(p, 0, sizeof *p);
    p->require_crl = true;
    p->strict_reserved = true;
    p->accept_tcb_status = CLO_ATTEST_TCB_UP_TO_DATE;
}

void clo_attest_policy_init_open(clo_attest_policy *p)
{
    memset(p, 0, sizeof *p);
    p->vmpl_max = CLO_ATTEST_VMPL_MAX;
    p->allow_provisional_firmware = true;
    p->allow_migration_agent = true;
    p->accept_tcb_status = CLO_ATTEST_TCB_ANY;
    p->any_advisory = true;
    p->any_td_attributes = true;
    p->any_issuer = true;
}
