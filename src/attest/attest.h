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

enum { CLO_ATTEST_PARTS_MAX = 24, CLO_ATTEST_CHECKS_MAX = 64, CLO_ATTEST_REPORT_DATA = 64, CLO_ATTEST_ROOTS_MAX = 8 };

/* A named piece of evidence or collateral: "report", "vcek_or_vlek", "ask_ark_chain", "crl", "root", … (roles of each type's file). */
typedef struct {
    char role[32];
    clo_span bytes;
} clo_attest_part;

typedef struct {
    bool have;
    uint8_t fmc, bl, tee, snp, ucode; /* floors of the SVNs; fmc counts on Turin only */
} clo_attest_tcb;

/* TCB statuses that a policy can accept (Intel PCS API v4). Revoked is none of them. */
enum {
    CLO_ATTEST_TCB_UP_TO_DATE = 1 << 0,
    CLO_ATTEST_TCB_SW_HARDENING = 1 << 1,
    CLO_ATTEST_TCB_CONFIGURATION = 1 << 2,
    CLO_ATTEST_TCB_CONFIGURATION_SW_HARDENING = 1 << 3,
    CLO_ATTEST_TCB_OUT_OF_DATE = 1 << 4,
    CLO_ATTEST_TCB_OUT_OF_DATE_CONFIGURATION = 1 << 5,
    CLO_ATTEST_TCB_RELAUNCH = 1 << 6,
    CLO_ATTEST_TCB_RELAUNCH_CONFIGURATION = 1 << 7,
    CLO_ATTEST_TCB_ANY = 0xff,
};

enum { CLO_ATTEST_ADVISORIES_MAX = 64, CLO_ATTEST_ADVISORY_SIZE = 32, CLO_ATTEST_ISSUER_SIZE = 256, CLO_ATTEST_GRACE_MAX = 90 * 86400 };
enum { CLO_ATTEST_CLAIMS_MAX = 32, CLO_ATTEST_CLAIM_VALUES_MAX = 32, CLO_ATTEST_CLAIM_PATH = 120, CLO_ATTEST_PART_NAME = 16 };
/* AMD's products, whose firmware counts differently: indexes of product_tcb. */
enum { CLO_ATTEST_MILAN, CLO_ATTEST_GENOA, CLO_ATTEST_TURIN, CLO_ATTEST_PRODUCTS };
enum { CLO_ATTEST_MEASUREMENTS_MAX = 8, CLO_ATTEST_CHIPS_MAX = 16, CLO_ATTEST_DIGESTS_MAX = 4, CLO_ATTEST_VMPL_MAX = 3 };

typedef struct clo_attest_policy clo_attest_policy;
/* What a composite's part of this name must satisfy. */
typedef struct {
    char name[CLO_ATTEST_PART_NAME];
    const clo_attest_policy *policy;
} clo_attest_part_policy;

/* The appraisal policy. clo_attest_policy_init is the strictest. */
struct clo_attest_policy {
    bool allow_debug;
    bool allow_simulated;       /* accept evidence of the software TEE */
    bool have_report_data;
    uint8_t report_data[64];
    clo_span expected_nonce;    /* types that carry a nonce */
    clo_attest_tcb min_reported_tcb;
    bool have_product_tcb;      /* floors by product: a product without one is refused */
    clo_attest_tcb product_tcb[CLO_ATTEST_PRODUCTS];
    bool require_crl;           /* true by clo_attest_policy_init */
    bool strict_reserved;       /* reserved bytes, also those no signature covers, must be zero; true by clo_attest_policy_init */
    bool allow_trailing_bytes;  /* bytes behind the evidence are ignored, never parsed */
    bool allow_provisional_firmware; /* current firmware that is not committed yet (the host can still roll it back) */
    bool allow_migration_agent; /* a guest that its policy lets a migration agent move */
    uint32_t min_guest_svn;
    uint8_t vmpl_max;           /* 0 by default */
    size_t measurement_count;   /* 0 = any (the vectors' cases); the product always names one */
    uint8_t measurements[CLO_ATTEST_MEASUREMENTS_MAX][48];
    bool have_host_data;
    uint8_t host_data[32];
    size_t id_key_count;        /* allowed id key digests; 0 = any */
    uint8_t id_keys[CLO_ATTEST_DIGESTS_MAX][48];
    size_t author_key_count;    /* allowed author key digests; 0 = any */
    uint8_t author_keys[CLO_ATTEST_DIGESTS_MAX][48];
    size_t root_count;          /* pinned anchors, SHA-256 of DER root certificates. sim: the only ones. snp: they narrow the vendor's
                                   built-in roots and never widen them, so that no pin makes simulated evidence pass as hardware */
    uint8_t roots[CLO_ATTEST_ROOTS_MAX][32];
    size_t chip_count;          /* allow-list of chip ids; 0 = any */
    uint8_t chips[CLO_ATTEST_CHIPS_MAX][64];
    /* SGX, TDX and whatever else comes with a TCB status. */
    uint32_t accept_tcb_status; /* set of CLO_ATTEST_TCB_*; UP_TO_DATE by clo_attest_policy_init */
    int64_t min_tcb_date;       /* 0 = any */
    uint32_t min_tcb_evaluation_number;
    bool any_advisory;          /* false: each advisory of the matched levels must be in the list */
    size_t advisory_count;
    char advisories[CLO_ATTEST_ADVISORIES_MAX][CLO_ATTEST_ADVISORY_SIZE];
    int64_t collateral_grace_s; /* how long after its next update collateral (never a certificate) still counts; 0..CLO_ATTEST_GRACE_MAX */
    bool any_td_attributes;     /* TDX: SEPT_VE_DISABLE clear, PERFMON and other attributes beyond debug are accepted */
    /* Types with a nonce, an issuer or a time of their own. */
    char expected_issuer[CLO_ATTEST_ISSUER_SIZE]; /* JWTs: empty = refused by the strict policy */
    bool any_issuer;            /* JWTs: no expected_issuer is needed; only ever set by clo_attest_policy_init_open */
    int64_t max_age_s;          /* evidence that states its time (Nitro, JWT iat): now - time <= this; 0 = no limit */
    bool allow_mac;             /* COSE_Mac0 */
    bool allow_sha1;            /* TPM SHA-1 banks */
    bool allow_certificate_hold; /* nvidia-gpu: a certificate that is on hold (OCSP) counts as not revoked */
    const clo_wire_node *required_claims; /* MAP path -> list of allowed values, judged over the result's claims ("mrenclave", "pcrs.4",
                                   "body.rtmr1"): absent or other = measurement_mismatch. Borrowed from the policy's arena; NULL = none */
    const clo_wire_node *release_policy; /* Azure SKR release policy (skr_policy.h), judged over the claims too; NULL = none */
    bool require_binding;       /* a nonce or report data must be demanded, else "binding"; on by clo_attest_policy_read where not said */
    size_t part_count;          /* composite: exactly these parts; 0 = any parts, each judged by this whole policy */
    const clo_attest_part_policy *parts;
    /* Only ever set by clo_attest_policy_read_open: published cases whose files do not hold everything. */
    bool custom_root;           /* a collateral "root" may replace the vendor's anchor */
    bool claims_only;           /* the evidence is the claims' JSON: no signature is there to check (psa, cca) */
    bool skip_revocation;       /* nvidia-gpu */
    bool skip_signature;        /* maa: shape and claims only; the verdict's detail says so */
    bool skip_hardware_signature; /* azure-vtpm: binding only */
    bool ak_trusted;            /* tpm: the caller vouches for the AK */
    bool skip_tcb_certificate_match; /* never set by the product; a case's check_tcb_matches_cert=false */
    bool skip_chip_match;
};
void clo_attest_policy_init(clo_attest_policy *p);
/** The starting point of `attest verify` and of published test evidence, where the caller names only what he wants checked: any VMPL, no
 *  revocation list demanded, unsigned padding ignored, provisional firmware and migration agents accepted. Never used for a release. */
void clo_attest_policy_init_open(clo_attest_policy *p);
/** Read a written policy over the strictest one: what is absent stays strict, and the members that only published cases need are errors, as
 *  unknown ones are. Members (docs/attestation.md has their meaning): allow_debug, allow_simulated, allow_trailing_bytes,
 *  allow_provisional_firmware, allow_migration_agent, allow_mac, allow_sha1, allow_certificate_hold, any_advisory, any_td_attributes, strict_reserved, require_crl,
 *  require_collateral, require_binding, expected_report_data, expected_nonce (or expected_challenge), expected_issuer, min_reported_tcb
 *  {fmc, bl, tee, snp, ucode} or {Milan, Genoa, Turin: the same}, min_guest_svn, vmpl_max, measurements, host_data, id_key_digests,
 *  author_key_digests, roots, chips, accept_tcb_status, min_tcb_date, min_tcb_evaluation_number, accepted_advisories,
 *  collateral_grace_seconds, max_age_seconds, required_claims, release_policy, parts. */
CLO_R clo_attest_policy_read(clo_arena *a, const clo_wire_node *node, clo_attest_policy *out);
/** The same over clo_attest_policy_init_open, with check_tcb_matches_cert, check_chip_id, custom_root, level "claims only", revocation "skip",
 *  signature and hardware_signature "skip…", ak_trusted "given" too: the object that stands under `policy` in the vectors' manifests and that
 *  `attest verify --policy` takes. */
CLO_R clo_attest_policy_read_open(clo_arena *a, const clo_wire_node *node, clo_attest_policy *out);
/** The object that clo_attest_policy_read gives back as `p`: only members that differ from the strictest. Errors: RANGE where `p` holds what
 *  only the open reader can set. */
CLO_R clo_attest_policy_tree(clo_arena *a, const clo_attest_policy *p, clo_wire_node **out);

typedef struct {
    char name[48];
    bool ok;
    char reason[32]; /* the class that it has, or would have, where it failed */
    char expected[136];
    char actual[136];
} clo_attest_check;

/* One part of composite evidence, or of a type that carries another's evidence. */
typedef struct {
    char name[CLO_ATTEST_PART_NAME], tee[24];
    bool valid;
    char reason[32], detail[256], tcb_status[48];
    uint32_t judged;
    clo_wire_node *claims;
    size_t check_count;
    const clo_attest_check *checks;
} clo_attest_submodule;

typedef struct {
    bool valid;
    char reason[32];  /* class of the first failing check; empty where valid: malformed bad_signature bad_chain wrong_root expired
                         not_yet_valid revoked collateral_missing collateral_expired collateral_not_yet_valid bad_collateral_signature
                         key_binding tcb_mismatch chip_id_mismatch tcb_too_low provisional_firmware simulated debug vmpl migration
                         platform_policy report_data_mismatch nonce_mismatch measurement_mismatch host_data_mismatch id_key_mismatch
                         author_key_mismatch chip_not_allowed tcb_status tcb_not_supported tcb_date advisory evaluation_number
                         fmspc_mismatch bad_key pcr_digest_mismatch event_log_mismatch claims forbidden_alg unknown_key issuer_mismatch
                         unsupported stale binding */
    char detail[256];
    char tee[24];
    clo_wire_node *claims; /* MAP with the manifests' `fields` names; binary as BYTES; arena */
    char tcb_status[48];   /* merged; empty where the type has none */
    clo_wire_node *tcb;    /* MAP of what stands behind it (each type's file says which members), or NULL. sgx, tdx: "platform", "qe" {status,
                              date, advisories}, "module" {id, status, date, advisories, matches} (a TDX module with a version), each absent where
                              there is none; "date" (the earliest), "evaluation_data_number", "fmspc" */
    size_t advisory_count; /* of every level that was matched, once each */
    char advisories[CLO_ATTEST_ADVISORIES_MAX][CLO_ATTEST_ADVISORY_SIZE];
    size_t check_count;
    clo_attest_check checks[CLO_ATTEST_CHECKS_MAX];
    int64_t valid_until; /* earliest end of the windows that were relied on */
    uint32_t judged;     /* which classes of reasons had a check at all (attest_int.h) */
    size_t submodule_count;
    const clo_attest_submodule *submodules; /* arena */
} clo_attest_result; /* large (20 KiB): in an arena or static, never on the stack */

/* Signed tokens. Role "report" is the token; keys are read from the collateral alone, in any form (JWK, PEM or DER SubjectPublicKeyInfo,
 * COSE_Key, raw SEC1 point). Their claims trees keep the names that stand in the token (CBOR numbers as text).
 *   "maa"                    JWT of Azure Attestation. jwks: the issuer's key set. Claims {header, claims, signing_quote}; Intel's collateral
 *                            (tcb_info and the rest of "sgx") has the quote in the key's certificate verified too.
 *   "gcp-confidential-space" JWT. jwks, or the chain in its header to Google's root; crl: the root's list. Claims {header, claims}.
 *   "psa"                    PSA token (RFC 9783, PSA_IOT_PROFILE_1): TrustZone devices. iak_public, or iak_mac with allow_mac. Claims {alg,
 *                            claims {"10": …}, lifecycle, client}.
 *   "cca"                    collection (tag 399 or 907). cpak_public. Claims {platform_alg, realm_alg, rak_form, binder_hash, lifecycle,
 *                            platform {"10": …}, realm {…}}.
 *   "optee"                  what OP-TEE's attestation pseudo TA returns: a SHA-256 and its RSASSA-PSS signature over nonce and hash; the nonce is
 *                            the policy's. attestation_key (RSA). Claims {hash, key_bits}. OP-TEE devices that make PSA tokens are "psa". */

/* Machines.
 *   "nitro"       attestation document of an AWS Nitro Enclave. Role "report" (or "document"); crl_N: the list that cabundle[N] issued ("crl" is
 *                 crl_0, the root's), asked for where a certificate names one. expected_nonce is the document's nonce, expected_report_data
 *                 the beginning of its user_data, measurements PCR0, max_age_s goes both ways from its timestamp. Claims: module_id,
 *                 timestamp_ms, pcrs {"0": …}, public_key, user_data, nonce, debug_mode, …
 *   "tpm"         TPM 2.0 quote. message (TPMS_ATTEST), signature_tpmt, the attestation key as ak_public_tpmt or ak_public_spki_der and/or
 *                 ak_certificate with ak_chain (leaf's issuer first), pcrs_json or pcrs_sha256, event_log (crypto-agile). The key counts where
 *                 its certificate chains to a root in `roots` (crl_N: the list of the Nth authority below it), where `roots` has SHA-256 of
 *                 the public part as given, or by ak_trusted. Nonce and report data are the quote's qualifying data. Claims: quote, pcrs
 *                 (first selected bank; pcrs_sha384, … the others), event_log {secure_boot, separators, events}, ak_sha256.
 *   "azure-vtpm"  hcl_report, tpm_quote_message, tpm_quote_signature, pcrs_sha256 or pcrs_json, td_quote (TDX), event_log; collateral as for
 *                 "snp" and "tdx", whose checks are named "hardware.…" and take every member of the policy but nonce and report data: these
 *                 are the quote's, report data may also stand in the claims' user-data. Claims: hcl, snp or td_quote, tpm_quote, pcrs,
 *                 vm_configuration, user_data, nonce. */

/** Appraise. type: "snp", "sim", later others, or "auto". Roles of snp and sim: "report" (or "bundle" with everything in it), "vcek_or_vlek",
 *  "ask_ark_chain" (or "ask" and "ark"), "crl" (of the ARK), "ask_crl" (of the ASK, optional), "root" (narrows the anchors to this one). Returns an error only where the call itself is wrong (unknown type:
 *  UNSUPPORTED; arena full); bad evidence is a result with valid = false. Every check that was made is listed, also after the first failure where that is possible. */
CLO_R clo_attest_verify(clo_arena *a, const char *type, const clo_attest_part *evidence, size_t evidence_count,
                        const clo_attest_part *collateral, size_t collateral_count, const clo_attest_policy *policy, int64_t now,
                        clo_attest_result *out);

/* The evidence bundle that an attester sends: deterministic CBOR map {"tee": text, "report": bytes, "ek": DER, "chain": [DER…], "crl": DER,
 * "parts": {role: bytes}}. ek, crl and parts may be absent; report too where there are parts. Parts are evidence of types that have more than
 * one piece (TPM quotes, HCL reports); what would be an anchor or a key to trust is never taken from a bundle. */
enum { CLO_ATTEST_BUNDLE_PARTS_MAX = 12 };
typedef struct {
    char tee[24];
    clo_span report, ek, crl;
    size_t chain_count;
    clo_span chain[4]; /* intermediate first, root last */
    size_t part_count;
    clo_attest_part parts[CLO_ATTEST_BUNDLE_PARTS_MAX];
} clo_attest_bundle;
CLO_R clo_attest_bundle_decode(clo_arena *a, clo_span in, clo_attest_bundle *out);
CLO_R clo_attest_bundle_encode(const clo_attest_bundle *bundle, clo_buf *out);

/* Collateral (certificates and revocation list) that some appraisal accepted, so that the next one with the same bytes under the same pinned
 * roots need not verify its signatures again. It holds what the bytes say and nothing that depends on time, policy or report: windows,
 * revocation, anchors, names and TCB are judged on every appraisal, with the same checks and the same words. At most
 * CLO_ATTEST_CACHE_ENTRIES, the one used longest ago gives way; nothing is kept of evidence that failed. For any number of threads. */
typedef struct clo_attest_cache clo_attest_cache;
enum { CLO_ATTEST_CACHE_ENTRIES = 16 };
typedef struct {
    uint64_t hits, misses; /* look-ups since it was made */
    size_t entries;
} clo_attest_cache_counts;
/** Given to the caller. Errors: NOMEM. */
CLO_R clo_attest_cache_new(clo_attest_cache **out);
void clo_attest_cache_free(clo_attest_cache **cache);
clo_attest_cache_counts clo_attest_cache_count(clo_attest_cache *cache);

/** clo_attest_verify with a cache: borrowed, or NULL for none. */
CLO_R clo_attest_verify_with(clo_arena *a, clo_attest_cache *cache, const char *type, const clo_attest_part *evidence, size_t evidence_count,
                             const clo_attest_part *collateral, size_t collateral_count, const clo_attest_policy *policy, int64_t now,
                             clo_attest_result *out);
/** Appraise a bundle (type from its tee member). cache: borrowed, or NULL for none. */
CLO_R clo_attest_verify_bundle(clo_arena *a, clo_attest_cache *cache, clo_span bundle, const clo_attest_policy *policy, int64_t now,
                               clo_attest_result *out);
/** The denial of a negative result: claim "evidence.<check>", expected, actual of the first failing check. Returns DENIED. */
clo_err clo_attest_deny(const clo_attest_result *result, const char *source);
/* What a class of reasons means to people. */
typedef struct {
    const char *reason;
    const char *source; /* who set what was expected: "the policy", "the vendor's certificates"… */
    const char *remedy; /* what the reader can do about it */
} clo_attest_advice;
/** Never NULL: unknown classes get general words. */
const clo_attest_advice *clo_attest_advice_of(const char *reason);
/** The result as the JSON object of `attest verify --json`. */
CLO_R clo_attest_result_tree(clo_arena *a, const clo_attest_result *result, clo_wire_node **out);

#ifdef __cplusplus
}
#endif
#endif
