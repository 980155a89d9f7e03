/* Appraisal of evidence: bytes, collateral, policy and a time in; a verdict with its reasons out. No I/O, no clock, no global state.
 *
 * The caller names the trust anchors (roots pinned in the policy, or the vendors' built-in ones). A chain that the evidence
 * brings along is never an anchor. What is absent from the policy is the strictest. */
#ifndef CLO_ATTEST_H
#define CLO_ATTEST_H
#include "base/clo_arena.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_ATTEST_PARTS_MAX = 16, CLO_ATTEST_CHECKS_MAX = 64, CLO_ATTEST_REPORT_DATA = 64, CLO_ATTEST_ROOTS_MAX = 8 };

/* A named piece of evidence or collateral: "report", "vcek_or_vlek", "ask_ark_chain", "crl", "root", … (roles of each type's file). */
typedef struct {
    char role[32];
    clo_span bytes;
} clo_attest_part;

typedef struct {
    bool have;
    uint8_t fmc, bl, tee, snp, ucode; /* floors of the SVNs; fmc counts on Turin only */
} clo_attest_tcb;

/* The appraisal policy. All-zero (clo_attest_policy_init) is the strictest. */
typedef struct {
    bool allow_debug;
    bool allow_simulated;       /* accept evidence of the software TEE */
    bool have_report_data;
    uint8_t report_data[64];
    clo_span expected_nonce;    /* types that carry a nonce */
    clo_attest_tcb min_reported_tcb;
    bool require_crl;           /* true by clo_attest_policy_init */
    bool strict_reserved;
    uint8_t vmpl_max;           /* 0 by default */
    size_t measurement_count;   /* 0 = any (the vectors' cases); the product always names one */
    uint8_t measurements[8][48];
    bool have_host_data;
    uint8_t host_data[32];
    size_t root_count;          /* extra pinned anchors: SHA-256 of DER root certificates; for sim the only ones */
    uint8_t roots[CLO_ATTEST_ROOTS_MAX][32];
    size_t chip_count;          /* allow-list of chip ids; 0 = any */
    uint8_t chips[16][64];
    bool skip_tcb_certificate_match; /* never set by the product; a case's check_tcb_matches_cert=false */
    bool skip_chip_match;
} clo_attest_policy;
void clo_attest_policy_init(clo_attest_policy *p);
/** Read the object that stands under `policy` in the vectors' manifests and in agreements; unknown members are errors. */
CLO_R clo_attest_policy_read(clo_arena *a, const clo_wire_node *node, clo_attest_policy *out);

typedef struct {
    char name[48];
    bool ok;
    char expected[136];
    char actual[136];
} clo_attest_check;

typedef struct {
    bool valid;
    char reason[32];  /* class of the first failing check; empty where valid: malformed bad_signature bad_chain expired revoked debug
                         report_data_mismatch tcb_too_low measurement_mismatch simulated collateral_missing … */
    char detail[256];
    char tee[24];
    clo_wire_node *claims; /* MAP with the manifests' `fields` names; binary as BYTES; arena */
    char tcb_status[32];
    size_t check_count;
    clo_attest_check checks[CLO_ATTEST_CHECKS_MAX];
    int64_t valid_until; /* earliest end of the windows that were relied on */
} clo_attest_result;

/** Appraise. type: "snp", "sim", later others, or "auto". Returns an error only where the call itself is wrong (unknown type, arena full);
 *  bad evidence is a result with valid = false. Every check that was made is listed, also after the first failure where that is possible. */
CLO_R clo_attest_verify(clo_arena *a, const char *type, const clo_attest_part *evidence, size_t evidence_count,
                        const clo_attest_part *collateral, size_t collateral_count, const clo_attest_policy *policy, int64_t now,
                        clo_attest_result *out);

/* The evidence bundle that an attester sends: deterministic CBOR map {"tee": text, "report": bytes, "ek": DER, "chain": [DER…], "crl": DER or absent}. */
typedef struct {
    char tee[24];
    clo_span report, ek, crl;
    size_t chain_count;
    clo_span chain[4]; /* intermediate first, root last */
} clo_attest_bundle;
CLO_R clo_attest_bundle_decode(clo_arena *a, clo_span in, clo_attest_bundle *out);
CLO_R clo_attest_bundle_encode(const clo_attest_bundle *bundle, clo_buf *out);
/** Appraise a bundle (type from its tee member). */
CLO_R clo_attest_verify_bundle(clo_arena *a, clo_span bundle, const clo_attest_policy *policy, int64_t now, clo_attest_result *out);
/** The denial of a negative result: claim "evidence.<check>", expected, actual of the first failing check. Returns DENIED. */
clo_err clo_attest_deny(const clo_attest_result *result, const char *source);
/** The result as the JSON object of `attest verify --json`. */
CLO_R clo_attest_result_tree(clo_arena *a, const clo_attest_result *result, clo_wire_node **out);

#ifdef __cplusplus
}
#endif
#endif
