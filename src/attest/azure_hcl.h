/* The report of Azure's paravisor (HCL) in the virtual TPM's NV index 0x01400001: the hardware's report and claims that it is bound to. */
#ifndef CLO_ATTEST_AZURE_HCL_H
#define CLO_ATTEST_AZURE_HCL_H
#include "attest/attest_int.h"
#include "crypto/hash.h"
#include "crypto/verify_key.h"

enum { AZURE_HCL_MAX = 16 * 1024, AZURE_HARDWARE_SIZE = 1184, AZURE_REPORT_SNP = 2, AZURE_REPORT_TDX = 4 };

typedef struct {
    uint32_t version, report_size, request_type, status, data_size, data_version, report_type, hash_type, claims_size;
    clo_span hardware;    /* SNP report, or TDREPORT and zeros */
    clo_span claims;      /* JSON */
    clo_span report_data; /* the hardware's, 64 bytes */
    bool reserved_zero;   /* what no signature covers is zero */
    clo_crypto_hash_alg hash;
    uint8_t bound[64];    /* the hash of the claims, zero-padded: what the hardware's report data must be */
} azure_hcl;

/** Layout. Errors: TRUNCATED, MALFORMED, VERSION, UNSUPPORTED (kind of report, hash), TOO_LARGE. */
CLO_R clo_attest_azure_hcl_parse(clo_span bytes, azure_hcl *out);
/** The manifests' `hcl`. */
CLO_R clo_attest_azure_hcl_claims(clo_arena *a, const azure_hcl *h, clo_wire_node **out);
/** The attestation key that the claims name HCLAkPub, given to the caller. Errors: MALFORMED, MISSING_FIELD, DUPLICATE, UNSUPPORTED. */
CLO_R clo_attest_azure_ak(clo_arena *a, const clo_wire_node *claims, clo_crypto_verify_key **out);
/** The TPM's qualified name of that key, as its quotes state it: Azure makes it from one template, a restricted RSA-2048 signing key right
 *  under the endorsement hierarchy. */
CLO_R clo_attest_azure_qualified_name(clo_span modulus, uint8_t out[34]);

CLO_R clo_attest_azure_verify(clo_attest_context *c);
bool clo_attest_azure_recognise(const clo_attest_part *evidence, size_t evidence_count);

#endif
