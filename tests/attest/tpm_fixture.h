/* A TPM's work made by hand: attestation keys (RSA-2048, P-256) with public areas and certificates, quotes, signatures, register values, and
 * event logs in the crypto-agile form. Nothing here shares code with the verifier but the structures' names. */
#ifndef TPM_FIXTURE_H
#define TPM_FIXTURE_H
#include "attest/tpm_event_log.h"
#include "base/clo_buf.h"
#include "crypto/verify_key.h"
#include "crypto/x509.h"

enum { TPM_NOW = 1800000000, TPM_AK_ATTRIBUTES = 0x50072 };
/* How a quote is signed. */
typedef enum { TPM_RSASSA, TPM_RSAPSS, TPM_ECDSA, TPM_RSASSA_SHA1 } tpm_how;

typedef struct {
    clo_buf root_pem, root_der, rsa_pem, rsa_der, ec_pem, ec_der; /* der: certificates */
    clo_crypto_cert *root, *rsa_cert, *ec_cert;
    clo_crypto_verify_key *rsa;
    clo_crypto_public_key ec;
} tpm_fixture;

CLO_R tpm_fixture_start(tpm_fixture *f);
void tpm_fixture_end(tpm_fixture *f);
/** TPMT_PUBLIC of the key that signs this way, appended. */
CLO_R tpm_fixture_area(const tpm_fixture *f, tpm_how how, uint32_t attributes, clo_buf *out);
/** TPMS_ATTEST over these registers: up to two selections {bank, registers}; hash of the PCR digest by `how`. extra is the nonce. */
typedef struct {
    uint16_t bank;
    uint32_t registers;
} tpm_pick;
CLO_R tpm_fixture_quote(tpm_how how, clo_span qualified_signer, clo_span extra, const tpm_pick *picks, size_t pick_count, const clo_attest_tpm_pcrs *pcrs,
                        clo_buf *out);
/** TPMT_SIGNATURE, appended. */
CLO_R tpm_fixture_sign(const tpm_fixture *f, tpm_how how, clo_span message, clo_buf *out);
/** {"sha256": {"0": hex, …}} of the known registers. */
CLO_R tpm_fixture_pcrs_json(const clo_attest_tpm_pcrs *pcrs, clo_buf *out);

/** The head of a log with these banks. */
CLO_R tpm_log_start(clo_buf *log, const uint16_t *banks, size_t count);
/** An event whose digests are of `measured`, with `data` written beside. */
CLO_R tpm_log_event(clo_buf *log, const uint16_t *banks, size_t count, uint32_t pcr, uint32_t type, clo_span measured, clo_span data);
/** UEFI_VARIABLE_DATA of SecureBoot. */
CLO_R tpm_log_secure_boot(clo_buf *data, bool on);
/** A whole log of a usual start: firmware, Secure Boot, separators, boot loader, kernel. */
CLO_R tpm_log_usual(clo_buf *log, const uint16_t *banks, size_t count, bool secure_boot);

#endif
