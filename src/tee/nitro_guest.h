/* AWS Nitro enclaves: the Nitro Secure Module behind /dev/nsm (linux/nsm.h; requests and answers are CBOR, "nsm-api"). */
#ifndef CLO_TEE_NITRO_GUEST_H
#define CLO_TEE_NITRO_GUEST_H
#include "base/clo_span.h"
#include "tee/guest_host.h"
#include "tee/tee.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_TEE_NSM_PCRS = 32, CLO_TEE_NSM_USER_DATA_MAX = 512, CLO_TEE_NSM_NONCE_MAX = 512, CLO_TEE_NSM_KEY_MAX = 1024 };
bool clo_tee_nitro_present(const clo_tee_guest_host *host);
/** Attestation document over what is given; an empty span is null. Errors: UNREACHABLE (no module), AGAIN (busy in every try), RANGE (too
 *  long), DENIED (the module's own error, named), MALFORMED (its answer), IO. */
CLO_R clo_tee_nsm_attest(const clo_tee_guest_host *host, clo_span user_data, clo_span nonce, clo_span public_key, clo_buf *document);
/** Evidence bundle {tee "nitro", report: the document}: report_data is the document's user_data. Errors as above. */
CLO_R clo_tee_nitro_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out);

typedef struct {
    bool locked;
    size_t n; /* 32, 48 or 64 */
    uint8_t value[64];
} clo_tee_nsm_pcr;
/** DescribePCR. Errors as above; RANGE: index beyond 31. */
CLO_R clo_tee_nsm_pcr_read(const clo_tee_guest_host *host, unsigned index, clo_tee_nsm_pcr *out);
/** ExtendPCR: the new value is H(old ‖ data). Only PCRs 16 to 31 that are not locked take it. Errors as above. */
CLO_R clo_tee_nsm_pcr_extend(const clo_tee_guest_host *host, unsigned index, clo_span data, clo_tee_nsm_pcr *out);
/** LockPCR: its value stays as it is until the enclave ends. Errors as above. */
CLO_R clo_tee_nsm_pcr_lock(const clo_tee_guest_host *host, unsigned index);
/** GetRandom until n bytes are there (at most 64 KiB: RANGE). On error `to` is wiped. Errors as above. */
CLO_R clo_tee_nsm_random(const clo_tee_guest_host *host, void *to, size_t n);

#ifdef __cplusplus
}
#endif
#endif
