/* The attester: where evidence comes from on each platform. Guest half; the enclave links it. */
#ifndef CLO_TEE_H
#define CLO_TEE_H
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/* One platform. Providers are const tables; `device` is the inherited descriptor of the software TEE, -1 elsewhere. */
typedef struct clo_tee_provider {
    const char *name; /* the type of its evidence (attest.h) where it has one of its own; "trustzone" gives "psa" or "optee" */
    bool (*probe)(int device);
    /** Evidence bundle (attest.h) over these 64 bytes, appended to out. Errors: UNREACHABLE, CLOSED, TIMEOUT (the device), AGAIN
     *  (others use it at the same time), MALFORMED (what it answered). */
    clo_err (*evidence)(int device, const uint8_t report_data[64], clo_buf *out);
    /** A key that only this measurement on this machine can derive, bound to `context`. Errors also: UNSUPPORTED where the platform has no
     *  such keys (TDX, Nitro, TrustZone); describe says so. */
    clo_err (*derive_sealing_key)(int device, clo_span context, clo_key32 *out);
    /** One line for people: what protects, and what does not. */
    const char *(*describe)(void);
} clo_tee_provider;

/** The software TEE: asks the simulated device on descriptor `device`. It gives no protection from the operator. */
extern const clo_tee_provider clo_tee_provider_sim;
/** AMD SEV-SNP: configfs-tsm, else /dev/sev-guest; certificates from the auxiliary blob (snp_guest.h). */
extern const clo_tee_provider clo_tee_provider_snp;
/** Intel TDX: configfs-tsm (tdx_guest.h). No sealing keys. */
extern const clo_tee_provider clo_tee_provider_tdx;
/** AWS Nitro enclaves: /dev/nsm (nitro_guest.h). No sealing keys. */
extern const clo_tee_provider clo_tee_provider_nitro;
/** Intel SGX under Gramine: /dev/attestation (gramine_guest.h). */
extern const clo_tee_provider clo_tee_provider_sgx;
/** The provider of this machine for the runtime: sim only where `device` >= 0, and then nothing else; otherwise the first that probes of
 *  sgx, nitro, tdx, snp; NULL where none. Each probe asks its own device, or configfs-tsm for the name of its TEE: a directory that several
 *  TEEs share proves nothing. */
const clo_tee_provider *clo_tee_find(int device);
/** The first of `count` that probes, or NULL. */
const clo_tee_provider *clo_tee_find_in(const clo_tee_provider *const *providers, size_t count, int device);

/* What follows vouches for a whole machine, not for the runtime alone, and is never linked into the runtime (tpm2-tss is large). */

/** Azure confidential VMs: the vTPM's quote with the hardware report of its HCL (tpm_guest.h). */
extern const clo_tee_provider clo_tee_provider_azure_vtpm;
/** A TPM 2.0: measured boot of an ordinary machine, no protection of its memory. */
extern const clo_tee_provider clo_tee_provider_tpm;
/** Arm TrustZone: PSA initial attestation or OP-TEE's attestation service (trustzone_guest.h). */
extern const clo_tee_provider clo_tee_provider_trustzone;
/** As clo_tee_find, and behind snp also azure-vtpm, tpm, trustzone: an Azure VM whose report also shows in a guest device is taken as what
 *  the device says; a TPM counts only where nothing better is there. */
const clo_tee_provider *clo_tee_find_any(int device);
/** By name, or NULL. */
const clo_tee_provider *clo_tee_named(const char *name);

#ifdef __cplusplus
}
#endif
#endif
