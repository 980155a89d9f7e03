/* Results under the claim names of Microsoft Azure Attestation, for whoever's policies are written for its tokens. */
#ifndef CLO_ATTEST_EAR_MAA_H
#define CLO_ATTEST_EAR_MAA_H
#include "attest/attest.h"
#ifdef __cplusplus
extern "C" {
#endif

/** The claims that such a token would have about this result: x-ms-attestation-type and the type's names (snp, sgx, tdx). Types without such
 *  names, the software TEE among them, get x-ms-attestation-type "cloister-TYPE" only, so that no policy for hardware can match them. */
CLO_R clo_attest_maa_claims(clo_arena *a, const clo_attest_result *r, clo_wire_node **out);

#ifdef __cplusplus
}
#endif
#endif
