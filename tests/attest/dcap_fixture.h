/* Quotes of SGX and TDX and all collateral that Intel would give for them, made afresh under an own root: a machine, its QE, an enclave or a TD. */
#ifndef DCAP_FIXTURE_H
#define DCAP_FIXTURE_H
#include "cmocka_all.h"

#include "attest/attest.h"
#include "attest/dcap_int.h"
#include "base/clo_own.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

#include <string.h>

enum { DCAP_NOW = 1800000000, DCAP_DAY = 86400, DCAP_QUOTE_MAX = 16384 };

/* A key pair and its certificate. */
typedef struct {
    clo_buf key, der;
    clo_crypto_cert *cert;
} dcap_identity;

/* What a test makes different about certificates and lists; zero values are the usual ones. */
typedef struct {
    const char *pck_name, *ca_name, *signer_name;
    bool ca_signs_nothing;       /* the PCK CA is no authority */
    bool pck_by_root, no_extension, extension_cut;
    int64_t pck_to, ca_to, signer_from, signer_to;
    uint8_t component;           /* all 16 of the PCK; 0 = 5 */
    uint8_t pce_svn;             /* 0 = 11 */
} dcap_certificates;

/* What Intel's documents say; texts are JSON. NULL = the usual. */
typedef struct {
    bool tdx, version2;
    const char *id, *fmspc, *pceid, *levels, *modules, *qe_id, *qe_levels, *qe_mrsigner, *qe_attributes, *extra;
    int64_t issued, next_update, qe_next_update;
    uint32_t evaluation_number, qe_evaluation_number;
    const dcap_identity *signer;
} dcap_documents_plan;

/* A quote before it is signed. */
typedef struct {
    uint16_t version, body_type;
    uint8_t header[48], body[648], qe[384], auth_data[32];
    size_t body_size, trailing;
    bool keep_report_data;  /* the QE report's binding is as it stands in qe */
    bool pck_apart;         /* certification data of type 1; the chain comes as collateral */
    bool zero_ended;        /* the PEM chain ends in a zero byte, as in the field */
} dcap_plan;

extern dcap_identity dcap_root, dcap_ca, dcap_pck_identity, dcap_signer, dcap_stranger;
int dcap_set_up(void **state);
int dcap_tear_down(void **state);
/** Certify all keys anew. NULL: the usual. */
void dcap_certify(const dcap_certificates *c);

void dcap_plan_usual(dcap_plan *p, uint16_t version, dcap_body_type body);
/** The attestation key signs header and body, the PCK signs the QE report. */
void dcap_quote_make(const dcap_plan *p, clo_buf *out);
void dcap_tcb_info_make(const dcap_documents_plan *d, clo_buf *out);
void dcap_qe_identity_make(const dcap_documents_plan *d, clo_buf *out);
/** PEM of certificates, leaf first; ends at NULL. */
void dcap_pem_make(clo_buf *out, const dcap_identity *const *chain);
void dcap_crl_make(const dcap_identity *issuer, int64_t from, int64_t to, const dcap_identity *revoked, clo_buf *out);

/* Everything of one appraisal. parts[0] is the quote. */
typedef struct {
    clo_buf quote, tcb_info, qe_identity, signing_chain, root_crl, ca_crl, root, pck, authorities;
    clo_attest_part parts[10];
    size_t count;
} dcap_case;
/** The usual machine with this quote and these documents (NULL: the usual). Free with dcap_case_free. */
void dcap_case_make(dcap_case *t, const dcap_plan *p, const dcap_documents_plan *d);
/** Give the parts their bytes; a part of no bytes is left out. */
void dcap_case_parts(dcap_case *t);
void dcap_case_free(dcap_case *t);
/** Strict, under the own root. */
void dcap_policy_usual(clo_attest_policy *p);
extern clo_attest_result dcap_result;
/** "valid" or the reason. cache may be NULL. */
const char *dcap_verdict_of(const dcap_case *t, clo_attest_cache *cache, const clo_attest_policy *p, int64_t now);
#endif
