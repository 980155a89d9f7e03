/* The firmware's event log (TCG PC Client Platform Firmware Profile, crypto-agile form): what was measured into which register, read and
 * replayed. A log proves nothing by itself: it explains registers whose replayed value equals the value that a quote signed. */
#ifndef CLO_ATTEST_TPM_EVENT_LOG_H
#define CLO_ATTEST_TPM_EVENT_LOG_H
#include "base/clo_err.h"
#include "base/clo_rd.h"
#include "base/clo_span.h"
#include "crypto/hash.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_TPM_REGISTERS = 24, CLO_TPM_BANKS_MAX = 5, CLO_TPM_LOG_MAX = 1 << 20 };
/* TPM_ALG_ID of the hashes that are replayed; other banks of a log are stepped over. */
enum { CLO_TPM_SHA1 = 0x4, CLO_TPM_SHA256 = 0xb, CLO_TPM_SHA384 = 0xc, CLO_TPM_SHA512 = 0xd };
/* TCG event types that are told apart here. */
#define CLO_TPM_EV_NO_ACTION UINT32_C(0x3)
#define CLO_TPM_EV_SEPARATOR UINT32_C(0x4)
#define CLO_TPM_EV_VARIABLE_CONFIG UINT32_C(0x80000001)
#define CLO_TPM_EV_EFI_ACTION UINT32_C(0x80000007)

/* Registers of one bank. */
typedef struct {
    uint16_t hash;
    uint32_t known; /* bit per register with a value; of a replay: those that the log has measurements for */
    uint8_t values[CLO_TPM_REGISTERS][CLO_HASH_MAX];
} clo_attest_tpm_bank;
typedef struct {
    size_t count;
    clo_attest_tpm_bank banks[CLO_TPM_BANKS_MAX];
} clo_attest_tpm_pcrs; /* 8 KiB */

typedef struct {
    uint32_t pcr, type;
    size_t digest_count;
    struct {
        uint16_t hash;
        clo_span digest;
    } digests[CLO_TPM_BANKS_MAX];
    clo_span data; /* borrowed from the log, as the digests are */
} clo_attest_tpm_event;

typedef struct {
    clo_rd rd;
    size_t bank_count;
    struct {
        uint16_t hash, size;
    } banks[CLO_TPM_BANKS_MAX];
} clo_attest_tpm_log;

/** The hash of a TPM_ALG_ID. Errors: UNSUPPORTED. */
CLO_R clo_attest_tpm_hash(uint16_t tpm_alg, clo_crypto_hash_alg *out);
/** "sha1", "sha256", "sha384", "sha512"; NULL for others. */
const char *clo_attest_tpm_hash_name(uint16_t tpm_alg);
/** The TCG name of an event type, e.g. "EV_SEPARATOR"; "event" where it has none here. */
const char *clo_attest_tpm_event_name(uint32_t type);
/** The bank of this hash, or NULL. */
const clo_attest_tpm_bank *clo_attest_tpm_bank_find(const clo_attest_tpm_pcrs *pcrs, uint16_t hash);

/** Read the head (the Spec ID event). Errors: TRUNCATED, MALFORMED, UNSUPPORTED (the SHA-1-only form), TOO_LARGE. */
CLO_R clo_attest_tpm_log_open(clo_span bytes, clo_attest_tpm_log *out);
/** The next event; *there is false at the end. Errors: TRUNCATED, MALFORMED. */
CLO_R clo_attest_tpm_log_next(clo_attest_tpm_log *log, clo_attest_tpm_event *out, bool *there);
/** What the registers of every bank hold after all events, from a start of zeros (ones in 17..22) and the locality that the log states.
 *  event_count (may be NULL): events behind the head. Errors: as above. */
CLO_R clo_attest_tpm_log_replay(clo_span bytes, clo_attest_tpm_pcrs *out, size_t *event_count);

#ifdef __cplusplus
}
#endif
#endif
