/* A TPM 2.0 by tpm2-tss (ESYS): quotes, registers, NV indexes, a sealing key; and the vTPM of Azure's confidential VMs. Never linked into the
 * runtime: a TPM vouches for the whole machine's boot, and its software stack is large. */
#ifndef CLO_TEE_TPM_GUEST_H
#define CLO_TEE_TPM_GUEST_H
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CLO_TEE_TPM_DEVICE "/dev/tpmrm0"
#define CLO_TEE_TPM_CONNECTION "device:" CLO_TEE_TPM_DEVICE
#define CLO_TEE_TPM_EVENT_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"
enum {
    CLO_TEE_TPM_PCRS = 24,
    CLO_TEE_TPM_NV_MAX = 8 * 1024,
    CLO_TEE_AZURE_HCL_REPORT = 0x01400001, /* NV index of the HCL report … */
    CLO_TEE_AZURE_USER_DATA = 0x01400002,  /* … and of the 64 bytes that the next one takes into its claims */
};
#define CLO_TEE_AZURE_AK 0x81000003u /* persistent handle of the attestation key */

/* One connection; one thread at a time. */
typedef struct clo_tee_tpm clo_tee_tpm;
/** connection: a tpm2-tss TCTI configuration ("device:/dev/tpmrm0", "swtpm:host=127.0.0.1,port=2321"). Given to the caller.
 *  Errors: UNREACHABLE. Every call below: AGAIN (the TPM is busy), IO (what it refused, with its code), MALFORMED (what it answered). */
CLO_R clo_tee_tpm_open(clo_tee_tpm **out, const char *connection);
void clo_tee_tpm_close(clo_tee_tpm **t);

typedef enum { CLO_TEE_TPM_ECC, CLO_TEE_TPM_RSA } clo_tee_tpm_kind;
/** A restricted signing key of this TPM, the same one each time (a primary key of the endorsement hierarchy: P-256 with ECDSA, or RSA-2048 with
 *  RSASSA, SHA-256), kept at this persistent handle. Errors also: EXISTS. */
CLO_R clo_tee_tpm_ak_keep(clo_tee_tpm *t, clo_tee_tpm_kind kind, uint32_t handle);

typedef struct {
    clo_buf message;   /* TPMS_ATTEST */
    clo_buf signature; /* TPMT_SIGNATURE */
    clo_buf ak;        /* TPMT_PUBLIC */
    uint8_t pcrs[CLO_TEE_TPM_PCRS][32]; /* SHA-256 bank */
} clo_tee_tpm_quote;
void clo_tee_tpm_quote_free(clo_tee_tpm_quote *q);
/** A quote over all 24 SHA-256 PCRs by the key at a persistent handle, or (0) by a key as of clo_tee_tpm_ak_keep that is not kept. nonce: 1..64
 *  bytes. The registers are read beside it and agree with it: where they change in between, it is asked for again. Errors also: NOT_FOUND (no
 *  such key), RANGE, AGAIN (they changed in every try). */
CLO_R clo_tee_tpm_quote_make(clo_tee_tpm *t, uint32_t handle, clo_span nonce, clo_tee_tpm_quote *out);
/** An NV index' content (read with owner or its own empty authorisation), appended. Errors also: NOT_FOUND, TOO_LARGE. */
CLO_R clo_tee_tpm_nv_read(clo_tee_tpm *t, uint32_t index, clo_buf *out);
/** Define an index of this size where there is none, and write it; for machines that keep something there for others to read. Errors also:
 *  EXISTS (there is one of another size). */
CLO_R clo_tee_tpm_nv_write(clo_tee_tpm *t, uint32_t index, clo_span bytes);
/** Extend a register of the SHA-256 bank. */
CLO_R clo_tee_tpm_pcr_extend(clo_tee_tpm *t, unsigned index, const uint8_t digest[32]);
/** A key that this TPM derives only while PCRs 0, 2, 4, 7, 8, 9, 12 and 14 (firmware, boot loader, Secure Boot, kernel and its command line)
 *  are what they are now, by HKDF over context. */
CLO_R clo_tee_tpm_derive_key(clo_tee_tpm *t, clo_span context, clo_key32 *out);

/** Evidence bundle {tee "tpm", parts: message, signature_tpmt, ak_public_tpmt, pcrs_json, event_log (where that file is there and fits)};
 *  report_data is the quote's nonce. event_log_path may be NULL. */
CLO_R clo_tee_tpm_evidence(const char *connection, const char *event_log_path, const uint8_t report_data[64], clo_buf *out);
/** Evidence bundle {tee "azure-vtpm", parts: hcl_report, tpm_quote_message, tpm_quote_signature, pcrs_sha256}. report_data is
 *  the quote's nonce, and the user data of a fresh HCL report where the machine lets the guest write them. What Azure's metadata service
 *  would add (the VCEK and its chain, or the TD quote of the TDREPORT) is collateral that the verifier's side brings. Errors also: UNREACHABLE
 *  (no HCL report: this is no confidential VM of Azure's). */
CLO_R clo_tee_azure_evidence(const char *connection, const uint8_t report_data[64], clo_buf *out);
/** Is there an HCL report? */
bool clo_tee_azure_present(const char *connection);

#ifdef __cplusplus
}
#endif
#endif
