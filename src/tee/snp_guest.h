/* AMD SEV-SNP guests, over whatever device boundary they are given. */
#ifndef CLO_TEE_SNP_GUEST_H
#define CLO_TEE_SNP_GUEST_H
#include "tee/tee.h"
#include "tee/guest_host.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Evidence bundle over report_data: configfs-tsm where it is there, else the guest device. Certificates are those of the host's table;
 *  what the host leaves out is absent from the bundle, and the verifier says so. Errors: UNREACHABLE (no SNP here), AGAIN (others wrote the
 *  same entry, or the host is busy, in every try), MALFORMED (report of another length or over other data). */
CLO_R clo_tee_snp_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out);
/** The guest device's derived key (measurement and policy mixed in), then HKDF over context. Errors as above. */
CLO_R clo_tee_snp_derive_key(const clo_tee_guest_host *host, clo_span context, clo_key32 *out);
/** The guest device, or a configfs-tsm that serves SEV-SNP: never the directory alone, which TDX has too. */
bool clo_tee_snp_present(const clo_tee_guest_host *host);

#ifdef __cplusplus
}
#endif
#endif
