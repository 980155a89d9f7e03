/* Shared inside the TPM provider; nobody else sees tpm2-tss. */
#ifndef CLO_TEE_TPM_INT_H
#define CLO_TEE_TPM_INT_H
#include "tee/tpm_guest.h"

#include <tss2/tss2_esys.h>

struct clo_tee_tpm {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
};
/* The TPM's or the stack's answer as an error of ours; TSS2_RC_SUCCESS is success. `what`: "gave no quote". */
CLO_R clo_tee_tpm_check(TSS2_RC rc, const char *what);
/* A loaded primary key of the endorsement hierarchy; flush it. */
CLO_R clo_tee_tpm_ak_load(clo_tee_tpm *t, clo_tee_tpm_kind kind, ESYS_TR *key);
void clo_tee_tpm_flush(clo_tee_tpm *t, ESYS_TR *handle);
/* An object or index by its TPM handle. Errors: NOT_FOUND. */
CLO_R clo_tee_tpm_find(clo_tee_tpm *t, TPM2_HANDLE handle, ESYS_TR *out);
void clo_tee_tpm_release(clo_tee_tpm *t, ESYS_TR *handle);
#endif
