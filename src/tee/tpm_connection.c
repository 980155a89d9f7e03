/* One connection to a TPM: opening, what its answers mean, keys. */
#include "base/clo_own.h"
#include "tee/tpm_int.h"

#include <stdlib.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

CLO_R clo_tee_tpm_check(TSS2_RC rc, const char *what)
{
    if (rc == TSS2_RC_SUCCESS) return CLO_OK;
    TSS2_RC code = rc & 0xffffu;
    bool stack = (rc & TSS2_RC_LAYER_MASK) != 0 && (rc & TSS2_RC_LAYER_MASK) != TSS2_RESMGR_TPM_RC_LAYER;
    if (stack && code == TSS2_BASE_RC_TRY_AGAIN) return CLO_FAILF(CLO_E_AGAIN, "the TPM is busy; try again later");
    if (!stack && (code == TPM2_RC_RETRY || code == TPM2_RC_YIELDED || code == TPM2_RC_TESTING)) return CLO_FAILF(CLO_E_AGAIN, "the TPM is busy; try again later");
    /* An answer that the stack could not take apart. */
    bool shape = stack && (code == TSS2_BASE_RC_MALFORMED_RESPONSE || code == TSS2_BASE_RC_INSUFFICIENT_RESPONSE || code == TSS2_BASE_RC_RSP_AUTH_FAILED ||
                           code == TSS2_BASE_RC_INSUFFICIENT_BUFFER || code == TSS2_BASE_RC_BAD_SIZE);
    return CLO_FAILF(shape ? (uint32_t)CLO_E_MALFORMED : (uint32_t)CLO_E_IO, "the TPM %s: %s (0x%x)", what, Tss2_RC_Decode(rc), rc);
}

CLO_R clo_tee_tpm_open(clo_tee_tpm **out, const char *connection)
{
    CLO_AUTO(clo_tee_tpm_close) clo_tee_tpm *t = calloc(1, sizeof *t);
    CLO_CHECK(t != NULL, CLO_E_NOMEM);
    TSS2_RC rc = Tss2_TctiLdr_Initialize(connection, &t->tcti);
    CLO_CHECKF(rc == TSS2_RC_SUCCESS, CLO_E_UNREACHABLE, "no TPM answers at %s (is it there, and may this user open it?)", connection);
    rc = Esys_Initialize(&t->esys, t->tcti, NULL);
    CLO_CHECKF(rc == TSS2_RC_SUCCESS, CLO_E_UNREACHABLE, "the TPM at %s cannot be used: %s", connection, Tss2_RC_Decode(rc));
    *out = CLO_TAKE(t);
    return CLO_OK;
}

void clo_tee_tpm_close(clo_tee_tpm **t)
{
    if (*t == NULL) return;
    if ((*t)->esys != NULL) Esys_Finalize(&(*t)->esys);
    if ((*t)->tcti != NULL) Tss2_TctiLdr_Finalize(&(*t)->tcti);
    free(*t);
    *t = NULL;
}

void clo_tee_tpm_flush(clo_tee_tpm *t, ESYS_TR *handle)
{
    if (*handle != ESYS_TR_NONE) (void)Esys_FlushContext(t->esys, *handle);
    *handle = ESYS_TR_NONE;
}

void clo_tee_tpm_release(clo_tee_tpm *t, ESYS_TR *handle)
{
    if (*handle != ESYS_TR_NONE) (void)Esys_TR_Close(t->esys, handle);
    *handle = ESYS_TR_NONE;
}

CLO_R clo_tee_tpm_find(clo_tee_tpm *t, TPM2_HANDLE handle, ESYS_TR *out)
{
    /* Asked first: looking for an object that is not there makes the stack complain on standard error. */
    TPMS_CAPABILITY_DATA *have = NULL;
    TPMI_YES_NO more = 0;
    CLO_TRY(clo_tee_tpm_check(Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, handle, 1, &more, &have),
                              "does not list its handles"));
    bool there = have->capability == TPM2_CAP_HANDLES && have->data.handles.count >= 1 && have->data.handles.handle[0] == handle;
    Esys_Free(have);
    CLO_CHECKF(there, CLO_E_NOT_FOUND, "the TPM has nothing at 0x%08x", handle);
    return clo_tee_tpm_check(Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, out), "does not show what it has there");
}

/* The template decides the key: whatever changes here changes every machine's attestation key. */
static TPM2B_PUBLIC ak_template(clo_tee_tpm_kind kind)
{
    TPM2B_PUBLIC p = {.publicArea = {.nameAlg = TPM2_ALG_SHA256,
                                     .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                                         TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
                                                         TPMA_OBJECT_SIGN_ENCRYPT}};
    if (kind == CLO_TEE_TPM_RSA) {
        p.publicArea.type = TPM2_ALG_RSA;
        p.publicArea.parameters.rsaDetail = (TPMS_RSA_PARMS){.symmetric = {.algorithm = TPM2_ALG_NULL},
                                                             .scheme = {.scheme = TPM2_ALG_RSASSA, .details = {.rsassa = {.hashAlg = TPM2_ALG_SHA256}}},
                                                             .keyBits = 2048};
    } else {
        p.publicArea.type = TPM2_ALG_ECC;
        p.publicArea.parameters.eccDetail = (TPMS_ECC_PARMS){.symmetric = {.algorithm = TPM2_ALG_NULL},
                                                             .scheme = {.scheme = TPM2_ALG_ECDSA, .details = {.ecdsa = {.hashAlg = TPM2_ALG_SHA256}}},
                                                             .curveID = TPM2_ECC_NIST_P256,
                                                             .kdf = {.scheme = TPM2_ALG_NULL}};
    }
    return p;
}

CLO_R clo_tee_tpm_ak_load(clo_tee_tpm *t, clo_tee_tpm_kind kind, ESYS_TR *key)
{
    TPM2B_PUBLIC template = ak_template(kind);
    TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    TPM2B_DATA outside = {.size = 0};
    TPML_PCR_SELECTION none = {.count = 0};
    TSS2_RC rc = Esys_CreatePrimary(t->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template, &outside, &none,
                                    key, NULL, NULL, NULL, NULL);
    return clo_tee_tpm_check(rc, "made no attestation key");
}

CLO_R clo_tee_tpm_ak_keep(clo_tee_tpm *t, clo_tee_tpm_kind kind, uint32_t handle)
{
    ESYS_TR key = ESYS_TR_NONE, kept = ESYS_TR_NONE;
    clo_err e = clo_tee_tpm_find(t, handle, &kept);
    if (!clo_failed(e)) {
        clo_tee_tpm_release(t, &kept);
        return CLO_FAILF(CLO_E_EXISTS, "the TPM has a key at 0x%08x already", handle);
    }
    if (e.code != CLO_E_NOT_FOUND) return e;
    CLO_TRY(clo_tee_tpm_ak_load(t, kind, &key));
    TSS2_RC rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, handle, &kept);
    clo_tee_tpm_flush(t, &key);
    clo_tee_tpm_release(t, &kept);
    return clo_tee_tpm_check(rc, "did not keep the attestation key");
}
