/* Shared inside attest: the context of one appraisal, the list of checks, and the parsed SNP structures. */
#ifndef CLO_ATTEST_INT_H
#define CLO_ATTEST_INT_H
#include "attest/attest.h"
#include "crypto/verify_key.h"
#include "crypto/x509.h"

/* One appraisal. Verifiers of types get this and fill `out`. */
typedef struct {
    clo_arena *arena;
    const clo_attest_policy *policy;
    const clo_attest_part *evidence, *collateral;
    size_t evidence_count, collateral_count;
    clo_attest_cache *cache; /* NULL = none */
    int64_t now;
    clo_attest_result *out;
    bool given_root_known; /* the hash of the "root" among the collateral was taken; chain.c */
    uint8_t given_root[32];
} clo_attest_context;

/* One line of the dispatch table: a type, the verifier, and how `auto` recognises it (NULL = never). */
typedef struct {
    const char *type;
    clo_err (*verify)(clo_attest_context *c);
    bool (*recognise)(const clo_attest_part *evidence, size_t evidence_count);
} clo_attest_type;

CLO_R clo_attest_snp_verify(clo_attest_context *c);
CLO_R clo_attest_sim_verify(clo_attest_context *c);
CLO_R clo_attest_nvidia_verify(clo_attest_context *c);
bool clo_attest_nvidia_recognise(const clo_attest_part *evidence, size_t evidence_count);
CLO_R clo_attest_sgx_verify(clo_attest_context *c);
CLO_R clo_attest_tdx_verify(clo_attest_context *c);
bool clo_attest_sgx_recognise(const clo_attest_part *evidence, size_t evidence_count);
bool clo_attest_tdx_recognise(const clo_attest_part *evidence, size_t evidence_count);
bool clo_attest_snp_recognise(const clo_attest_part *evidence, size_t evidence_count);

/** A part by role, evidence before collateral; NULL where absent. */
const clo_attest_part *clo_attest_part_find(const clo_attest_context *c, const char *role);
/** Its bytes; none where it is absent. */
clo_span clo_attest_part_bytes(const clo_attest_context *c, const char *role);
/** The failure is about the bytes, not about this machine: it becomes a failed check instead of an error of the call. */
bool clo_attest_err_is_about_input(clo_err e);

/** Note a check. The first failed one gives the result its reason and detail. The texts are copied and cut. Returns ok. */
bool clo_attest_check_add(clo_attest_result *r, const char *name, bool ok, const char *reason, const char *expected, const char *actual);
/** Equality of public bytes, shown as hex. */
bool clo_attest_check_bytes(clo_attest_result *r, const char *name, const char *reason, clo_span expected, clo_span actual);
/** One of `count` allowed values of n bytes each, stored one after the other. */
bool clo_attest_check_one_of(clo_attest_result *r, const char *name, const char *reason, const uint8_t *allowed, size_t count, clo_span actual);
bool clo_attest_check_number(clo_attest_result *r, const char *name, bool ok, const char *reason, const char *relation, uint64_t bound,
                             uint64_t actual);
/** not_before <= now <= not_after; both ends belong to the window. Lowers r->valid_until. prefix "" or "collateral_". */
bool clo_attest_check_window(clo_attest_result *r, const char *name, const char *prefix, int64_t not_before, int64_t not_after, int64_t now);
/** "" and the verdict: valid where no check failed. */
void clo_attest_result_close(clo_attest_result *r);
void clo_attest_result_open(clo_attest_result *r, const char *tee);

enum { SNP_REPORT_SIZE = 1184, SNP_SIGNED_SIZE = 0x2a0, SNP_SCALAR = 72, SNP_UNSIGNED_FROM = 0x330 };
typedef enum { SNP_PRODUCT_UNKNOWN, SNP_PRODUCT_MILAN, SNP_PRODUCT_GENOA, SNP_PRODUCT_TURIN, SNP_PRODUCT_SIMULATED } snp_product;
typedef struct {
    bool turin; /* the layout in which fmc is there */
    uint8_t fmc, bl, tee, snp, ucode;
} snp_tcb;
typedef struct {
    uint8_t build, minor, major;
} snp_firmware;

/* ATTESTATION_REPORT (AMD 56860). Spans are borrowed from the report's bytes. */
typedef struct {
    uint32_t version, guest_svn, vmpl, signature_algorithm, flags;
    uint64_t policy, platform_info;
    clo_span family_id, image_id, report_data, measurement, host_data, id_key_digest, author_key_digest, report_id, report_id_ma, chip_id;
    clo_span current_tcb, reported_tcb, committed_tcb, launch_tcb; /* 8 bytes each as they stand */
    uint8_t cpuid_family, cpuid_model, cpuid_stepping;             /* version >= 3 */
    snp_firmware current, committed;
    uint64_t launch_mitigations, current_mitigations;              /* version >= 5 */
    bool signed_reserved_zero, unsigned_reserved_zero;
    clo_span signed_bytes, signature_r, signature_s;
} snp_report;
/** Layout only. Errors: TRUNCATED, TRAILING, VERSION, UNSUPPORTED (signature algorithm). */
CLO_R clo_attest_snp_parse(clo_span bytes, snp_report *out);
/** TCB bytes by the product's layout. */
snp_tcb clo_attest_snp_tcb(clo_span tcb, bool turin);
snp_product clo_attest_snp_product_of_cpuid(uint8_t family, uint8_t model);
const char *clo_attest_snp_product_name(snp_product p);
/** The manifests' `fields`. */
CLO_R clo_attest_snp_claims(clo_arena *a, const snp_report *r, bool turin, clo_wire_node **out);

/* VCEK or VLEK with AMD's extensions (AMD 57230). */
typedef struct {
    bool vlek;
    char product_text[32];
    snp_product product;
    snp_tcb tcb;
    uint8_t hardware_id[64];
    size_t hardware_id_bytes; /* 64, 8 on Turin, 0 for a VLEK */
    char csp[128];
} snp_endorsement;
CLO_R clo_attest_snp_endorsement(const clo_crypto_cert *cert, snp_endorsement *out);

/* What certificates and a revocation list say, whatever the time, the policy and the report. */
typedef struct {
    bool there, have_window;
    char name[64]; /* common name, empty where there is none that can be read */
    int64_t from, to;
} snp_cert_facts;
typedef struct {
    bool have_endorsement;
    snp_endorsement endorsement;
    bool have_key;
    clo_crypto_public_key key; /* of the VCEK or VLEK */
    const clo_crypto_verify_key *loaded; /* the same key, ready; NULL where no cache keeps it */
    snp_cert_facts ek, ask, ark;
    uint8_t root[32]; /* SHA-256 of the ARK */
    int64_t crl_from, crl_to, chips_from, chips_to; /* of the ARK's list, of the ASK's */
    bool crl_lists_ask, crl_lists_ark, chips_list_ek;
} snp_collateral;
/* The collateral of one appraisal. */
typedef struct {
    snp_collateral facts;
    struct clo_attest_verified *kept; /* what the cache keeps of it, and whose the loaded key is; NULL = none */
} snp_chain;
void clo_attest_snp_chain_free(snp_chain *chain);
/** The key of this context's collateral: kind, the policy's pinned roots and the exact bytes of VCEK or VLEK, ASK and ARK (apart or in one
 *  file), given root and revocation list. Not cacheable: no cache, an incomplete chain or a certificate too many. */
CLO_R clo_attest_cache_key(const clo_attest_context *c, bool simulated, uint8_t key[32], bool *cacheable);

/** Judge certificates and revocation list of the context; every finding is a check in c->out. `simulated` chooses the anchors. Free `out`
 *  with clo_attest_snp_chain_free in any case. */
CLO_R clo_attest_snp_chain(clo_attest_context *c, bool simulated, snp_chain *out);
/** Everything after "is simulated evidence wanted at all", shared by snp and sim. */
CLO_R clo_attest_snp_appraise(clo_attest_context *c, bool simulated);

#endif
