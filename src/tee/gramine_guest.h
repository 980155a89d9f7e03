/* Intel SGX enclaves under Gramine: its pseudo-files below /dev/attestation. */
#ifndef CLO_TEE_GRAMINE_GUEST_H
#define CLO_TEE_GRAMINE_GUEST_H
#include "tee/guest_host.h"
#include "tee/tee.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Is this an SGX enclave whose manifest asks for DCAP quotes? */
bool clo_tee_sgx_present(const clo_tee_guest_host *host);
/** Evidence bundle {tee "sgx", report: the quote}. Errors: UNREACHABLE (no Gramine, or attestation is "none" or "epid"), AGAIN (busy), IO,
 *  TOO_LARGE, MALFORMED (over other data). */
CLO_R clo_tee_sgx_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out);
/** From Gramine's key of this MRENCLAVE on this processor, by HKDF over context. Errors: UNREACHABLE, MALFORMED (not 16 bytes), IO. */
CLO_R clo_tee_sgx_derive_key(const clo_tee_guest_host *host, clo_span context, clo_key32 *out);

#ifdef __cplusplus
}
#endif
#endif
