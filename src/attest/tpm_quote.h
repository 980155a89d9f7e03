/* TPM 2.0 structures of a quote (TCG TPM 2.0 Library, Part 2), register values, and the checks of a quote under a key that somebody else
 * answers for. Shared by the types tpm and azure-vtpm. Everything is big-endian; spans are borrowed from the input. */
#ifndef CLO_ATTEST_TPM_QUOTE_H
#define CLO_ATTEST_TPM_QUOTE_H
#include "attest/attest_int.h"
#include "attest/tpm_event_log.h"
#include "crypto/verify_key.h"

enum { TPM_SELECTIONS_MAX = 8 };
enum { TPM_ALG_RSA = 0x1, TPM_ALG_NULL = 0x10, TPM_ALG_RSASSA = 0x14, TPM_ALG_RSAPSS = 0x16, TPM_ALG_ECDSA = 0x18, TPM_ALG_ECC = 0x23 };

typedef struct {
    uint16_t hash;
    uint32_t registers; /* bit per selected register */
} tpm_selection;

/* TPMS_ATTEST of type quote. */
typedef struct {
    clo_span whole, qualified_signer, extra_data, firmware, pcr_digest;
    uint64_t clock;
    uint32_t reset_count, restart_count;
    uint8_t safe;
    size_t selection_count;
    tpm_selection selections[TPM_SELECTIONS_MAX];
} tpm_quote;

/* TPMT_SIGNATURE: RSASSA or RSAPSS (r alone) or ECDSA. */
typedef struct {
    uint16_t alg, hash;
    clo_span r, s;
} tpm_signature;

/* TPMT_PUBLIC of an RSA or EC key. */
typedef struct {
    uint16_t type, name_alg, scheme, scheme_hash, curve;
    uint32_t attributes, exponent;
    clo_span policy, x, y; /* x: the modulus of an RSA key */
} tpm_public;

/** A check of what was read: a failure about the bytes is a failed one and *ok = false; other failures are returned. */
CLO_R clo_attest_tpm_noted(clo_attest_context *c, clo_err e, const char *name, const char *reason, const char *expected, bool *ok);
static inline bool tpm_bit(uint32_t word, unsigned index) { return ((word >> index) & 1) != 0; }
/** The registers that a quote selects of a bank. */
uint32_t clo_attest_tpm_selected(const tpm_quote *q, uint16_t hash);

/** Layouts. Errors: TRUNCATED, TRAILING, MALFORMED, UNSUPPORTED. */
CLO_R clo_attest_tpm_quote_parse(clo_span bytes, tpm_quote *out);
CLO_R clo_attest_tpm_signature_parse(clo_span bytes, tpm_signature *out);
CLO_R clo_attest_tpm_public_parse(clo_span bytes, tpm_public *out);
/** Its key, given to the caller. Errors: MALFORMED, UNSUPPORTED (curve, size, exponent). */
CLO_R clo_attest_tpm_public_key(const tpm_public *p, clo_crypto_verify_key **out);
/** The manifests' `quote`. */
CLO_R clo_attest_tpm_quote_claims(clo_arena *a, const tpm_quote *q, clo_wire_node **out);

/** Register values: {"sha256": {"0": hex, …}, …} as JSON, or the 24 values of one bank one after the other. Errors: MALFORMED, DUPLICATE. */
CLO_R clo_attest_tpm_pcrs_json(clo_span json, clo_attest_tpm_pcrs *out);
CLO_R clo_attest_tpm_pcrs_raw(clo_span bytes, uint16_t hash, clo_attest_tpm_pcrs *out);
/** {"0": value, …} of one bank, only selected registers. */
CLO_R clo_attest_tpm_pcrs_claims(clo_arena *a, const clo_attest_tpm_bank *bank, uint32_t registers, clo_wire_node **out);
/** H over the selected registers in the quote's order. Errors: MISSING_FIELD (a value is not there), UNSUPPORTED. */
CLO_R clo_attest_tpm_pcr_digest(const tpm_quote *q, const clo_attest_tpm_pcrs *pcrs, clo_crypto_hash_alg hash, uint8_t out[CLO_HASH_MAX]);

/* What a quote is checked with. */
typedef struct {
    const tpm_quote *quote;
    const tpm_signature *signature;
    const clo_crypto_verify_key *key; /* NULL: none that can be used (a failed check said why) */
    const clo_attest_tpm_pcrs *pcrs;  /* NULL: not given */
    const char *signature_reason;     /* class where another key signed */
} tpm_quoted;
/** Checks "algorithm", "signature", "pcr_digest", "pcr_selection", "pcr_banks", "nonce" into c->out. Errors are errors of the call. */
CLO_R clo_attest_tpm_quote_judge(clo_attest_context *c, const tpm_quoted *q);
/** Replay, compare with the quoted values, judge Secure Boot, separators and debugging, and set the claim "event_log". `quoted`: registers of
 *  a quote whose digest and signature held. */
CLO_R clo_attest_tpm_log_judge(clo_attest_context *c, clo_span log, const tpm_quote *quote, const clo_attest_tpm_pcrs *quoted, clo_wire_node *claims);

CLO_R clo_attest_tpm_verify(clo_attest_context *c);
bool clo_attest_tpm_recognise(const clo_attest_part *evidence, size_t evidence_count);

#endif
