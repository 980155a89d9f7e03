/* The shapes of Azure Attestation's claims. */
#ifndef CLO_ATTEST_MAA_INT_H
#define CLO_ATTEST_MAA_INT_H
#include "attest/token_int.h"

/** Judge the claims of one attestation type ("sgx", "sevsnpvm", "tdxvm", "azurevm", …) that stand in `claims`; `root` is the whole token
 *  (runtime data, nonce). */
CLO_R clo_attest_maa_judge(clo_attest_context *c, const clo_wire_node *root);
/** The key's certificate in the issuer's key set: its window, and the SGX quote of the service that it carries (claims "signing_quote"). */
CLO_R clo_attest_maa_judge_certificate(clo_attest_context *c, const clo_wire_jws *jws);

#endif
