/* Intel's ECDSA quotes (SGX and TDX, "DCAP"), shared by the files dcap_*.c: the quote's layout, the PCK certificate's extension, TCB info and
 * QE identity, and the TCB evaluation. Source: Intel SGX ECDSA QuoteLib reference, Intel TDX DCAP quoting library API, PCS API v4.
 *
 * Roles of the parts. Evidence: "report" (the quote; "quote" is the same). Collateral: "pck_cert" and "pck_sign_chain" (only where the quote
 * does not bring its PCK chain), "pck_ca_crl" (revocation list of the PCK CA), "root_ca_crl", "tcb_info", "qe_identity" (both in the form
 * of the Provisioning Certification Service), "tcb_signing_chain", "root". */
#ifndef CLO_ATTEST_DCAP_INT_H
#define CLO_ATTEST_DCAP_INT_H
#include "attest/chain.h"
#include "crypto/verify_key.h"

enum {
    DCAP_HEADER_SIZE = 48,
    DCAP_SGX_BODY_SIZE = 384,
    DCAP_TD10_BODY_SIZE = 584,
    DCAP_TD15_BODY_SIZE = 648,
    DCAP_COMPONENTS = 16,
    DCAP_CERT_CHAIN = 5,           /* certification data: a PEM chain */
    DCAP_CERT_DATA_MAX = 16 * 1024, /* chains in the field have below 4 KiB */
    DCAP_TEE_SGX = 0,
    DCAP_TEE_TDX = 0x81,
    DCAP_DEBUG = 0x02,             /* SGX attributes, first byte */
    DCAP_INIT = 0x01,
};
typedef enum { DCAP_BODY_SGX = 1, DCAP_BODY_TD10 = 2, DCAP_BODY_TD15 = 3 } dcap_body_type;

/* SGX report body; also the QE's own report. Spans are borrowed from the quote's bytes. */
typedef struct {
    clo_span bytes, cpusvn, ext_prod_id, attributes, mrenclave, mrsigner, config_id, family_id, report_data;
    uint32_t miscselect;
    uint16_t isv_prod_id, isv_svn, config_svn;
    bool reserved_zero;
} dcap_sgx_body;

typedef struct {
    clo_span tee_tcb_svn, mr_seam, mr_signer_seam, seam_attributes, td_attributes, xfam, mr_td, mr_config_id, mr_owner, mr_owner_config, rtmr[4], report_data;
    clo_span tee_tcb_svn2, mr_service_td; /* TD 1.5; empty before */
} dcap_td_body;

typedef struct {
    uint16_t version, key_type, qe_svn, pce_svn;
    uint32_t tee_type, body_size, signature_size;
    dcap_body_type body_type;
    clo_span vendor, user_data;
    dcap_sgx_body sgx; /* where body_type says so */
    dcap_td_body td;
    clo_span signed_bytes, signature, key; /* key: x‖y of the attestation key */
    dcap_sgx_body qe;
    clo_span qe_signature, qe_auth_data, cert_data;
    uint16_t cert_type;
    size_t trailing; /* bytes behind the declared ones; never looked at */
} dcap_quote;
/** Layout only. Errors: TRUNCATED, TRAILING (inside the signature data), VERSION, UNSUPPORTED, MALFORMED. */
CLO_R clo_attest_dcap_parse(clo_span bytes, dcap_quote *out);
/** The manifests' `fields`. */
CLO_R clo_attest_dcap_claims(clo_arena *a, const dcap_quote *q, clo_wire_node **out);

/* The extension 1.2.840.113741.1.13.1 of a PCK certificate. */
typedef struct {
    uint8_t ppid[16], components[DCAP_COMPONENTS], cpusvn[16], pceid[2], fmspc[6], platform_instance[16];
    uint16_t pce_svn;
    uint8_t sgx_type; /* 0 standard, 1 scalable, 2 scalable with integrity */
    bool have_platform_instance;
} dcap_pck;
CLO_R clo_attest_dcap_pck(const clo_crypto_cert *cert, dcap_pck *out);
/** Adds member "pck" to the claims. */
CLO_R clo_attest_dcap_pck_claims(clo_arena *a, const dcap_pck *p, clo_wire_node *claims);

typedef enum {
    DCAP_NOT_SUPPORTED, /* no level matches */
    DCAP_UP_TO_DATE,
    DCAP_SW_HARDENING,
    DCAP_CONFIGURATION,
    DCAP_CONFIGURATION_SW_HARDENING,
    DCAP_OUT_OF_DATE,
    DCAP_OUT_OF_DATE_CONFIGURATION,
    DCAP_RELAUNCH,
    DCAP_RELAUNCH_CONFIGURATION,
    DCAP_REVOKED,
    DCAP_STATUS_COUNT,
} dcap_status;
/** Intel's name of a status. */
const char *clo_attest_dcap_status_name(dcap_status s);

/* What a TCB level says. */
typedef struct {
    dcap_status status;
    int64_t date;
    clo_span advisories; /* a JSON array of texts; empty where there are none */
} dcap_verdict;
typedef struct {
    uint8_t sgx[DCAP_COMPONENTS], tdx[DCAP_COMPONENTS];
    uint16_t pce_svn;
    dcap_verdict verdict;
} dcap_level;
typedef struct {
    uint16_t isv_svn;
    dcap_verdict verdict;
} dcap_svn_level;

enum { DCAP_LEVELS_MAX = 64, DCAP_SVN_LEVELS_MAX = 32, DCAP_MODULES_MAX = 8, DCAP_MODULE_ID_SIZE = 8 };
typedef struct {
    size_t count;
    dcap_svn_level level[DCAP_SVN_LEVELS_MAX];
} dcap_svn_levels;
typedef struct {
    bool there;
    char id[DCAP_MODULE_ID_SIZE]; /* "TDX_01"; empty in tdxModule, which is for modules without a version */
    uint8_t mrsigner[48], attributes[8], mask[8];
    dcap_svn_levels levels;
} dcap_module;
typedef struct {
    size_t count;
    dcap_module module[DCAP_MODULES_MAX];
} dcap_modules;
typedef struct {
    uint32_t version, type, evaluation_number;
    clo_span id, level_list;
    bool tdx;
    int64_t issued, next_update;
    uint8_t fmspc[6], pceid[2];
    dcap_module module;
    dcap_modules modules;
    size_t level_count;
    dcap_level levels[DCAP_LEVELS_MAX];
} dcap_tcb_info;
typedef struct {
    uint32_t version, evaluation_number;
    clo_span id;
    bool tdx; /* of the TD quoting enclave */
    int64_t issued, next_update;
    uint8_t miscselect[4], miscselect_mask[4], attributes[16], attributes_mask[16], mrsigner[32];
    uint16_t isv_prod_id;
    dcap_svn_levels levels;
} dcap_qe_identity;

/** {"<member>": X, "signature": hex} in any order: the exact bytes of X, which the signature covers, and r‖s. Errors: MALFORMED. */
CLO_R clo_attest_dcap_document(clo_span json, const char *member, clo_span *signed_bytes, uint8_t signature[64]);
/** The signed objects. Spans in them are borrowed from `json`. Errors: MALFORMED, DUPLICATE, MISSING_FIELD, RANGE, TOO_MANY, VERSION. */
CLO_R clo_attest_dcap_tcb_info(clo_span json, dcap_tcb_info *out);
CLO_R clo_attest_dcap_qe_identity(clo_span json, dcap_qe_identity *out);

/* The TCB of one quote, its parts and what they come to. */
typedef struct {
    const dcap_module *module; /* the identity of the module's version; NULL where it has none */
    dcap_verdict platform, module_verdict, qe; /* status DCAP_NOT_SUPPORTED: no level */
    bool have_module;                          /* the module is judged apart */
    dcap_status merged;
    int64_t date;                              /* the earliest */
} dcap_evaluation;
/** tee_tcb_svn: 16 bytes of a TD report, or NULL for SGX. qe: NULL where there is no identity. */
void clo_attest_dcap_evaluate(const dcap_tcb_info *info, const dcap_qe_identity *qe, const dcap_pck *pck, uint16_t qe_isv_svn,
                              const uint8_t *tee_tcb_svn, dcap_evaluation *out);
/** The status of a TD whose module was updated after its launch: what it was launched under and what runs now. */
dcap_status clo_attest_dcap_relaunch(dcap_status launch, dcap_status current);
/** Judges status, date, advisories and evaluation numbers by the policy, and fills tcb_status, tcb and advisories of the result. */
CLO_R clo_attest_dcap_tcb_judge(clo_attest_context *c, const dcap_quote *q, const dcap_pck *pck, const dcap_tcb_info *info,
                                const dcap_qe_identity *qe);

/* What a cache keeps. The platform's half is that this attestation key was made by this QE under this PCK: it stays the same over all quotes of
 * a machine until its QE or its TCB changes. The documents' half changes apart from it. */
typedef struct {
    clo_attest_verified base;
    clo_attest_chain chain; /* PCK, its CA, root */
    clo_attest_crl pck_ca_crl, root_ca_crl;
    clo_crypto_verify_key *key; /* of the PCK; NULL: none of P-256 */
    clo_crypto_loaded_key *attestation_key; /* NULL: no point of P-256 */
    bool have_pck;
    dcap_pck pck;
} dcap_platform;
typedef struct {
    clo_attest_verified base;
    clo_attest_chain chain; /* TCB signing certificate, root */
    bool have_tcb_info, have_qe_identity; /* signed by it */
    uint8_t *text; /* what the spans in the documents point into */
    dcap_tcb_info tcb_info;
    dcap_qe_identity qe_identity;
} dcap_documents;
/* One appraisal's hold of them. */
typedef struct {
    dcap_platform *platform;
    dcap_documents *documents;      /* NULL: there are none and none are needed */
    bool platform_known, documents_known; /* from the cache */
    uint8_t platform_key[32], documents_key[32];
} dcap_collateral;
/** PCK chain: "pck.*" checks. collateral->platform is set on success, with as much as could be learned. */
CLO_R clo_attest_dcap_take_platform(clo_attest_context *c, const dcap_quote *q, dcap_collateral *to);
/** Revocation lists, documents and their chain: "pck_ca.crl*", "root_ca.crl*", "tcb_signing.*", "tcb_info.signature", "qe_identity.signature".
 *  Afterwards everything whose checks all held is in the cache. */
CLO_R clo_attest_dcap_take_documents(clo_attest_context *c, dcap_collateral *to);
void clo_attest_dcap_collateral_release(dcap_collateral *collateral);

/** Everything that SGX and TDX share; `body` judges the report body. */
CLO_R clo_attest_dcap_appraise(clo_attest_context *c, bool tdx, void (*body)(clo_attest_context *c, const dcap_quote *q));
/** Report data, nonce, measurement and host data, which every report body has under other names. */
void clo_attest_dcap_check_identity(clo_attest_context *c, clo_span report_data, const char *measurement_name, clo_span measurement, clo_span host_data);
bool clo_attest_dcap_recognise(const clo_attest_part *evidence, size_t evidence_count, uint32_t tee_type);

static inline bool dcap_all_zero(clo_span s)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < s.n; i++) seen = (uint8_t)(seen | s.p[i]);
    return seen == 0;
}

#endif
