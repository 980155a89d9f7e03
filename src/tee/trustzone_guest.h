/* Arm TrustZone. Two ways to a token: PSA initial attestation (RFC 9783), where the machine has a client for it, and the attestation service of
 * OP-TEE behind /dev/tee0 (linux/tee.h), which signs a hash of the secure world's own memory. Both vouch for the secure world and, by PSA, for
 * the boot chain; the runtime's own process is in the normal world. */
#ifndef CLO_TEE_TRUSTZONE_GUEST_H
#define CLO_TEE_TRUSTZONE_GUEST_H
#include "base/clo_span.h"
#include "tee/guest_host.h"
#include "tee/tee.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The client half of PSA initial attestation, psa_initial_attest_get_token: a machine's own library or driver. */
typedef struct {
    /** A token over a challenge of 32, 48 or 64 bytes into `token` (size bytes); *written of them. Zero is success, as in psa/error.h; PSA_ERROR
     *  values are negative. */
    int32_t (*get_token)(void *context, const uint8_t *challenge, size_t challenge_size, uint8_t *token, size_t size, size_t *written);
    void *context;
} clo_tee_psa_client;
enum { CLO_TEE_PSA_TOKEN_MAX = 8 * 1024, CLO_TEE_OPTEE_SIGNATURE_MAX = 512 };
/** Evidence bundle {tee "psa", report: the token}; report_data is the challenge. Errors: UNREACHABLE (no such service), AGAIN (busy), MALFORMED
 *  (no COSE message with this challenge), IO. */
CLO_R clo_tee_psa_evidence(const clo_tee_psa_client *client, const uint8_t report_data[64], clo_buf *out);

bool clo_tee_optee_present(const clo_tee_guest_host *host);
/** Evidence bundle {tee "optee", report: SHA-256 of the TEE's memory ‖ RSASSA-PSS signature over nonce and hash}; report_data is the nonce.
 *  Errors: UNREACHABLE (no device, or no attestation service in it), AGAIN (busy in every try), MALFORMED (what it answered), IO. */
CLO_R clo_tee_optee_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out);
/** The service's RSA public key, big-endian: what a verifier's side must come to know by another way. Errors as above. */
CLO_R clo_tee_optee_public_key(const clo_tee_guest_host *host, clo_buf *exponent, clo_buf *modulus);

#ifdef __cplusplus
}
#endif
#endif
