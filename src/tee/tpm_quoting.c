/* Quotes, and the registers that they are about. */
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "crypto/hash.h"
#include "tee/tpm_int.h"

#include <tss2/tss2_mu.h>

enum { QUOTE_TRIES = 5, NONCE_MAX = 64, MARSHAL_MAX = 2048, PCR_WORDS = 3 };

static void quote_init(clo_tee_tpm_quote *q)
{
    *q = (clo_tee_tpm_quote){.pcrs = {{0}}};
    clo_buf_init(&q->message, MARSHAL_MAX);
    clo_buf_init(&q->signature, MARSHAL_MAX);
    clo_buf_init(&q->ak, MARSHAL_MAX);
}

void clo_tee_tpm_quote_free(clo_tee_tpm_quote *q)
{
    clo_buf_free(&q->message);
    clo_buf_free(&q->signature);
    clo_buf_free(&q->ak);
}

static TPML_PCR_SELECTION selection_of(uint32_t mask)
{
    TPML_PCR_SELECTION s = {.count = 1, .pcrSelections = {{.hash = TPM2_ALG_SHA256, .sizeofSelect = PCR_WORDS}}};
    for (unsigned i = 0; i < PCR_WORDS; i++) s.pcrSelections[0].pcrSelect[i] = (uint8_t)(mask >> (8 * i));
    return s;
}

/* A TPM hands out at most eight registers in one answer; which ones, it says beside them. */
static clo_err pcrs_some(clo_tee_tpm *t, uint32_t *wanted, uint8_t pcrs[CLO_TEE_TPM_PCRS][32])
{
    TPML_PCR_SELECTION ask = selection_of(*wanted), *given = NULL;
    TPML_DIGEST *values = NULL;
    UINT32 counter = 0;
    CLO_TRY(clo_tee_tpm_check(Esys_PCR_Read(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &ask, &counter, &given, &values), "shows no registers"));
    uint32_t mask = 0, used = 0;
    bool shaped = given->count == 1 && given->pcrSelections[0].hash == TPM2_ALG_SHA256 && given->pcrSelections[0].sizeofSelect == PCR_WORDS;
    for (unsigned i = 0; shaped && i < PCR_WORDS; i++) mask |= (uint32_t)given->pcrSelections[0].pcrSelect[i] << (8 * i);
    shaped = shaped && mask != 0 && (mask & ~*wanted) == 0 && values->count <= 8;
    for (unsigned i = 0; shaped && i < CLO_TEE_TPM_PCRS; i++) {
        if ((mask >> i & 1) == 0) continue;
        shaped = used < values->count && values->digests[used].size == 32;
        if (shaped) memcpy(pcrs[i], values->digests[used++].buffer, 32);
    }
    shaped = shaped && used == values->count;
    Esys_Free(given);
    Esys_Free(values);
    CLO_CHECKF(shaped, CLO_E_MALFORMED, "the TPM shows other registers than were asked for (has it a SHA-256 bank?)");
    *wanted &= ~mask;
    return CLO_OK;
}

static clo_err pcrs_read(clo_tee_tpm *t, uint8_t pcrs[CLO_TEE_TPM_PCRS][32])
{
    uint32_t wanted = (1u << CLO_TEE_TPM_PCRS) - 1;
    while (wanted != 0) CLO_TRY(pcrs_some(t, &wanted, pcrs));
    return CLO_OK;
}

/* TPMS_ATTEST (TPM 2.0 Part 2, 10.12.8): is it a quote over this nonce, and what digest of registers does it state? */
static clo_err attest_look(clo_span message, clo_span nonce, clo_span *pcr_digest)
{
    clo_rd r = clo_rd_init(message);
    uint32_t magic = clo_rd_u32be(&r);
    uint16_t type = clo_rd_u16be(&r);
    (void)clo_rd_vec16(&r); /* signer */
    clo_rd extra = clo_rd_vec16(&r);
    (void)clo_rd_bytes(&r, 17 + 8); /* clock, firmware */
    uint32_t count = clo_rd_u32be(&r);
    for (uint32_t i = 0; i < count && !r.bad; i++) {
        (void)clo_rd_u16be(&r);
        uint8_t size = clo_rd_u8(&r);
        (void)clo_rd_bytes(&r, size);
    }
    clo_rd digest = clo_rd_vec16(&r);
    CLO_TRY(clo_rd_end(&r));
    CLO_CHECKF(magic == TPM2_GENERATED_VALUE && type == TPM2_ST_ATTEST_QUOTE, CLO_E_MALFORMED, "the TPM signed something that is no quote");
    CLO_CHECKF(extra.left == nonce.n && memcmp(extra.p, nonce.p, nonce.n) == 0, CLO_E_MALFORMED, "the TPM's quote is over another nonce than was asked for");
    *pcr_digest = clo_span_of(digest.p, digest.left);
    return CLO_OK;
}

static clo_err signature_put(const TPMT_SIGNATURE *signature, clo_buf *out)
{
    uint8_t bytes[MARSHAL_MAX];
    size_t n = 0;
    CLO_TRY(clo_tee_tpm_check(Tss2_MU_TPMT_SIGNATURE_Marshal(signature, bytes, sizeof bytes, &n), "gave a signature of an unknown kind"));
    return clo_buf_put(out, bytes, n);
}

/* One try. */
static clo_err quote_try(clo_tee_tpm *t, ESYS_TR key, clo_span nonce, clo_tee_tpm_quote *q)
{
    TPM2B_DATA data = {.size = (UINT16)nonce.n};
    TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    TPML_PCR_SELECTION all = selection_of((1u << CLO_TEE_TPM_PCRS) - 1);
    TPM2B_ATTEST *quoted = NULL;
    TPMT_SIGNATURE *signature = NULL;
    memcpy(data.buffer, nonce.p, nonce.n);
    CLO_TRY(clo_tee_tpm_check(Esys_Quote(t->esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, &scheme, &all, &quoted, &signature),
                              "gave no quote"));
    clo_buf_clear(&q->message);
    clo_buf_clear(&q->signature);
    clo_err e = clo_buf_put(&q->message, quoted->attestationData, quoted->size);
    if (!clo_failed(e)) e = signature_put(signature, &q->signature);
    Esys_Free(quoted);
    Esys_Free(signature);
    CLO_TRY(e);
    clo_span stated = {NULL, 0};
    uint8_t digest[32];
    CLO_TRY(attest_look(clo_buf_span(&q->message), nonce, &stated));
    CLO_TRY(pcrs_read(t, q->pcrs));
    CLO_TRY(clo_crypto_sha256(clo_span_of(q->pcrs, sizeof q->pcrs), digest));
    CLO_CHECKF(clo_span_equal(stated, clo_span_of(digest, sizeof digest)), CLO_E_AGAIN, "the TPM's registers changed while it was asked about them");
    return CLO_OK;
}

static clo_err public_put(clo_tee_tpm *t, ESYS_TR key, clo_buf *out)
{
    TPM2B_PUBLIC *public_area = NULL;
    uint8_t bytes[MARSHAL_MAX];
    size_t n = 0;
    CLO_TRY(clo_tee_tpm_check(Esys_ReadPublic(t->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public_area, NULL, NULL), "shows no public key"));
    TSS2_RC rc = Tss2_MU_TPMT_PUBLIC_Marshal(&public_area->publicArea, bytes, sizeof bytes, &n);
    Esys_Free(public_area);
    CLO_TRY(clo_tee_tpm_check(rc, "has a key of an unknown kind"));
    return clo_buf_put(out, bytes, n);
}

static clo_err quote_by(clo_tee_tpm *t, ESYS_TR key, clo_span nonce, clo_tee_tpm_quote *out)
{
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote q;
    quote_init(&q);
    CLO_TRY(public_put(t, key, &q.ak));
    clo_err e = CLO_OK;
    for (unsigned i = 0; i < QUOTE_TRIES; i++) {
        e = quote_try(t, key, nonce, &q);
        if (e.code != CLO_E_AGAIN) break;
    }
    CLO_TRY(e);
    *out = q;
    quote_init(&q);
    return CLO_OK;
}

CLO_R clo_tee_tpm_quote_make(clo_tee_tpm *t, uint32_t handle, clo_span nonce, clo_tee_tpm_quote *out)
{
    CLO_CHECKF(nonce.n >= 1 && nonce.n <= NONCE_MAX, CLO_E_RANGE, "a quote's nonce has 1 to %d bytes", (int)NONCE_MAX);
    ESYS_TR key = ESYS_TR_NONE;
    if (handle != 0) {
        CLO_TRY(clo_tee_tpm_find(t, handle, &key));
        clo_err e = quote_by(t, key, nonce, out);
        clo_tee_tpm_release(t, &key);
        return e;
    }
    /* Not every TPM knows P-256. */
    if (clo_failed(clo_tee_tpm_ak_load(t, CLO_TEE_TPM_ECC, &key))) CLO_TRY(clo_tee_tpm_ak_load(t, CLO_TEE_TPM_RSA, &key));
    clo_err e = quote_by(t, key, nonce, out);
    clo_tee_tpm_flush(t, &key);
    return e;
}

CLO_R clo_tee_tpm_pcr_extend(clo_tee_tpm *t, unsigned index, const uint8_t digest[32])
{
    CLO_CHECKF(index < CLO_TEE_TPM_PCRS, CLO_E_RANGE, "a TPM has PCRs 0 to 23, no PCR %u", index);
    TPML_DIGEST_VALUES values = {.count = 1, .digests = {{.hashAlg = TPM2_ALG_SHA256}}};
    memcpy(values.digests[0].digest.sha256, digest, 32);
    return clo_tee_tpm_check(Esys_PCR_Extend(t->esys, ESYS_TR_PCR0 + index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &values), "did not extend the register");
}
