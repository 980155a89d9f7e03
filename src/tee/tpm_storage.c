/* NV indexes and the sealing key. */
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "tee/tpm_int.h"

enum { NV_BLOCK = 512, SEAL_PCRS = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 12 | 1 << 14 };

static clo_err nv_size(clo_tee_tpm *t, ESYS_TR index, size_t *size)
{
    TPM2B_NV_PUBLIC *public_area = NULL;
    CLO_TRY(clo_tee_tpm_check(Esys_NV_ReadPublic(t->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public_area, NULL), "does not describe the index"));
    *size = public_area->nvPublic.dataSize;
    Esys_Free(public_area);
    return CLO_OK;
}

/* At most n bytes at this offset; the TPM may give fewer, never none. */
static clo_err nv_block(clo_tee_tpm *t, ESYS_TR index, size_t n, size_t offset, clo_buf *out)
{
    TPM2B_MAX_NV_BUFFER *data = NULL;
    TSS2_RC rc = Esys_NV_Read(t->esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, (UINT16)n, (UINT16)offset, &data);
    if (rc != TSS2_RC_SUCCESS) rc = Esys_NV_Read(t->esys, index, index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, (UINT16)n, (UINT16)offset, &data);
    CLO_TRY(clo_tee_tpm_check(rc, "does not let the index be read"));
    bool fits = data->size >= 1 && data->size <= n;
    clo_err e = fits ? clo_buf_put(out, data->buffer, data->size) : CLO_FAILF(CLO_E_MALFORMED, "the TPM gave %u bytes where %zu were asked for", (unsigned)data->size, n);
    Esys_Free(data);
    return e;
}

static clo_err nv_take(clo_tee_tpm *t, ESYS_TR index, clo_buf *out)
{
    size_t size = 0, from = out->len;
    CLO_TRY(nv_size(t, index, &size));
    CLO_CHECKF(size <= CLO_TEE_TPM_NV_MAX && size <= out->max - out->len, CLO_E_TOO_LARGE, "the TPM's index has %zu bytes", size);
    while (out->len - from < size) {
        size_t left = size - (out->len - from);
        CLO_TRY(nv_block(t, index, left < NV_BLOCK ? left : NV_BLOCK, out->len - from, out));
    }
    return CLO_OK;
}

CLO_R clo_tee_tpm_nv_read(clo_tee_tpm *t, uint32_t index, clo_buf *out)
{
    ESYS_TR handle = ESYS_TR_NONE;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, CLO_TEE_TPM_NV_MAX);
    CLO_TRY(clo_tee_tpm_find(t, index, &handle));
    clo_err e = nv_take(t, handle, &bytes);
    clo_tee_tpm_release(t, &handle);
    CLO_TRY(e);
    return clo_buf_put_span(out, clo_buf_span(&bytes));
}

static clo_err nv_put(clo_tee_tpm *t, ESYS_TR index, clo_span bytes)
{
    for (size_t at = 0; at < bytes.n; at += NV_BLOCK) {
        TPM2B_MAX_NV_BUFFER data = {.size = (UINT16)(bytes.n - at < NV_BLOCK ? bytes.n - at : NV_BLOCK)};
        memcpy(data.buffer, bytes.p + at, data.size);
        CLO_TRY(clo_tee_tpm_check(Esys_NV_Write(t->esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, (UINT16)at),
                                  "does not let the index be written"));
    }
    return CLO_OK;
}

CLO_R clo_tee_tpm_nv_write(clo_tee_tpm *t, uint32_t index, clo_span bytes)
{
    ESYS_TR handle = ESYS_TR_NONE;
    TPM2B_AUTH empty = {.size = 0};
    CLO_CHECKF(bytes.n >= 1 && bytes.n <= CLO_TEE_TPM_NV_MAX, CLO_E_RANGE, "an index holds 1 to %d bytes", (int)CLO_TEE_TPM_NV_MAX);
    clo_err e = clo_tee_tpm_find(t, index, &handle);
    if (!clo_failed(e)) {
        size_t size = 0;
        e = nv_size(t, handle, &size);
        if (!clo_failed(e)) e = size == bytes.n ? nv_put(t, handle, bytes) : CLO_FAILF(CLO_E_EXISTS, "the TPM has an index 0x%08x of %zu bytes", index, size);
        clo_tee_tpm_release(t, &handle);
        return e;
    }
    if (e.code != CLO_E_NOT_FOUND) return e;
    TPM2B_NV_PUBLIC space = {.nvPublic = {.nvIndex = index,
                                          .nameAlg = TPM2_ALG_SHA256,
                                          .attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD,
                                          .dataSize = (UINT16)bytes.n}};
    CLO_TRY(clo_tee_tpm_check(Esys_NV_DefineSpace(t->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &empty, &space, &handle),
                              "does not define the index"));
    e = nv_put(t, handle, bytes);
    clo_tee_tpm_release(t, &handle);
    return e;
}

/* A session bound to the registers' present values. */
static clo_err policy_start(clo_tee_tpm *t, TPM2_SE kind, ESYS_TR *session)
{
    TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    TPM2B_DIGEST now = {.size = 0};
    TPML_PCR_SELECTION pcrs = {.count = 1, .pcrSelections = {{.hash = TPM2_ALG_SHA256, .sizeofSelect = 3, .pcrSelect = {SEAL_PCRS & 0xff, SEAL_PCRS >> 8, 0}}}};
    CLO_TRY(clo_tee_tpm_check(Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, kind, &none,
                                                    TPM2_ALG_SHA256, session),
                              "starts no session"));
    return clo_tee_tpm_check(Esys_PolicyPCR(t->esys, *session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &now, &pcrs), "does not bind to its registers");
}

/* An HMAC key whose value depends on the registers (the policy is part of the template) and which works only while they stay so. */
static clo_err sealing_load(clo_tee_tpm *t, ESYS_TR *key)
{
    ESYS_TR trial = ESYS_TR_NONE;
    TPM2B_DIGEST *policy = NULL;
    clo_err e = policy_start(t, TPM2_SE_TRIAL, &trial);
    if (!clo_failed(e)) e = clo_tee_tpm_check(Esys_PolicyGetDigest(t->esys, trial, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &policy), "states no policy");
    clo_tee_tpm_flush(t, &trial);
    CLO_TRY(e);
    TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_NODA |
                                           TPMA_OBJECT_SIGN_ENCRYPT,
                       .authPolicy = *policy,
                       .parameters = {.keyedHashDetail = {.scheme = {.scheme = TPM2_ALG_HMAC, .details = {.hmac = {.hashAlg = TPM2_ALG_SHA256}}}}}}};
    Esys_Free(policy);
    TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    TPM2B_DATA outside = {.size = 0};
    TPML_PCR_SELECTION none = {.count = 0};
    return clo_tee_tpm_check(Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template, &outside,
                                                &none, key, NULL, NULL, NULL, NULL),
                             "derives no sealing key");
}

CLO_R clo_tee_tpm_derive_key(clo_tee_tpm *t, clo_span context, clo_key32 *out)
{
    static const char domain[] = "cloister/v1 tpm seal";
    ESYS_TR key = ESYS_TR_NONE, session = ESYS_TR_NONE;
    TPM2B_MAX_BUFFER message = {.size = sizeof domain};
    TPM2B_DIGEST *mac = NULL;
    memcpy(message.buffer, domain, sizeof domain);
    CLO_TRY(sealing_load(t, &key));
    clo_err e = policy_start(t, TPM2_SE_POLICY, &session);
    if (!clo_failed(e))
        e = clo_tee_tpm_check(Esys_HMAC(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &message, TPM2_ALG_SHA256, &mac), "derives no sealing key");
    clo_tee_tpm_flush(t, &key);
    clo_tee_tpm_flush(t, &session);
    CLO_TRY(e);
    CLO_KEY32(made);
    e = mac->size == 32 ? clo_crypto_hkdf(CLO_HASH_SHA384, clo_span_of(domain, sizeof domain), clo_span_of(mac->buffer, 32), context, made.b, sizeof made.b)
                        : CLO_FAILF(CLO_E_MALFORMED, "the TPM's sealing key has %u bytes, not 32", (unsigned)mac->size);
    clo_wipe(mac, sizeof *mac);
    Esys_Free(mac);
    CLO_TRY(e);
    clo_key32_copy(out, &made);
    return CLO_OK;
}
