/**
 * @file cloister/attest.h
 * Appraisal of attestation evidence: bytes, collateral, a policy and a time in; a verdict with all its reasons out.
 *
 * The library does no I/O, asks no clock and has no global state. Everything hostile is bounded. Any number of threads may call it at once; an
 * object is used by one thread at a time, except that policies, sets of parts and caches may be shared once they are complete.
 *
 * Bad evidence is a result whose verdict is negative, not an error. A function that can fail returns CLOISTER_OK or another status, and then
 * cloister_error_text() has a sentence.
 *
 * Usable from C (C99 and later) and C++. Link with: cc program.c $(pkg-config --cflags --libs cloister)
 */
#ifndef CLOISTER_ATTEST_H
#define CLOISTER_ATTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CLOISTER_API __attribute__((visibility("default")))
#else
#define CLOISTER_API
#endif

/** What a call that failed means. */
enum {
    CLOISTER_OK = 0,
    CLOISTER_INPUT = 1,  /**< an argument cannot be used: unknown type, malformed policy, unknown member */
    CLOISTER_LIMIT = 2,  /**< too large or too many */
    CLOISTER_MEMORY = 3, /**< the machine has no memory left, or its cryptography failed */
};

/** What an appraisal asks for. */
typedef struct cloister_attest_policy cloister_attest_policy;
/** Pieces of evidence, or of collateral, by role. */
typedef struct cloister_attest_parts cloister_attest_parts;
/** Collateral whose signatures were verified before. Optional; saves time, changes no verdict. */
typedef struct cloister_attest_cache cloister_attest_cache;
/** A verdict and its reasons. */
typedef struct cloister_attest_result cloister_attest_result;

/** The calling thread's last failure as a sentence that says what is wrong and what to do. Never NULL; valid until the thread's next call. */
CLOISTER_API const char *cloister_error_text(void);
/** The library's version, "MAJOR.MINOR.PATCH". */
CLOISTER_API const char *cloister_version(void);

/**
 * Read a policy.
 *
 * @param json  the policy object (docs/attestation.md lists its members); NULL = "{}".
 * @param size  its bytes.
 * @param open  false: what is absent is the strictest, and the verdict is negative where the policy names no nonce and no report data.
 *              true: what is absent is not asked for. For looking at evidence, never for releasing anything.
 * @param out   given to the caller; free with cloister_attest_policy_free().
 */
CLOISTER_API int cloister_attest_policy_read(const char *json, size_t size, bool open, cloister_attest_policy **out);
/** A copy, to be changed for one exchange. */
CLOISTER_API int cloister_attest_policy_copy(const cloister_attest_policy *policy, cloister_attest_policy **out);
/** The evidence must carry this nonce, 1 to 1024 bytes (most types have room for 64). */
CLOISTER_API int cloister_attest_policy_set_nonce(cloister_attest_policy *policy, const void *nonce, size_t size);
/** The report data must be these 64 bytes. */
CLOISTER_API int cloister_attest_policy_set_report_data(cloister_attest_policy *policy, const void *report_data);
/** NULL is allowed. */
CLOISTER_API void cloister_attest_policy_free(cloister_attest_policy *policy);

/** An empty set; NULL where there is no memory. */
CLOISTER_API cloister_attest_parts *cloister_attest_parts_new(void);
/**
 * Add a part.
 *
 * @param role  NULL or "report" for evidence that is one file, "bundle" for this product's bundles; else the role of the type's page:
 *              "tcb_info", "crl", "root", "jwks"…; at most 31 bytes.
 * @param bytes copied.
 */
CLOISTER_API int cloister_attest_parts_add(cloister_attest_parts *parts, const char *role, const void *bytes, size_t size);
/** NULL is allowed. */
CLOISTER_API void cloister_attest_parts_free(cloister_attest_parts *parts);

/** A cache for any number of threads; NULL where there is no memory. */
CLOISTER_API cloister_attest_cache *cloister_attest_cache_new(void);
/** NULL is allowed. */
CLOISTER_API void cloister_attest_cache_free(cloister_attest_cache *cache);

/**
 * Appraise evidence.
 *
 * @param type       "snp", "tdx", "sgx", "nitro", "tpm", "azure-vtpm", "maa", "gcp-confidential-space", "nvidia-gpu", "psa", "cca", "optee",
 *                   "composite", "ear", "sim"; or "auto" to tell it from the bytes.
 * @param evidence   what the attester sent.
 * @param collateral what the caller trusts and knows: certificates, revocation lists, TCB information, keys. NULL = none.
 * @param policy     what must hold.
 * @param time       seconds since 1970 at which to judge.
 * @param cache      NULL = none.
 * @param out        given to the caller, also where the verdict is negative; free with cloister_attest_result_free().
 */
CLOISTER_API int cloister_attest_verify(const char *type, const cloister_attest_parts *evidence, const cloister_attest_parts *collateral,
                                        const cloister_attest_policy *policy, int64_t time, cloister_attest_cache *cache,
                                        cloister_attest_result **out);
/** NULL is allowed. */
CLOISTER_API void cloister_attest_result_free(cloister_attest_result *result);

/* What a result says. Texts are never NULL and live as long as the result. */

/** Every check passed. */
CLOISTER_API bool cloister_attest_result_valid(const cloister_attest_result *result);
/** Class of the first check that failed ("bad_signature", "revoked", "nonce_mismatch"…); empty where valid. */
CLOISTER_API const char *cloister_attest_result_reason(const cloister_attest_result *result);
/** That check in one sentence. */
CLOISTER_API const char *cloister_attest_result_detail(const cloister_attest_result *result);
/** The type as which the evidence was judged. */
CLOISTER_API const char *cloister_attest_result_type(const cloister_attest_result *result);
/** The claims of the evidence as a JSON object; to be believed only where the result is valid. */
CLOISTER_API const char *cloister_attest_result_claims(const cloister_attest_result *result);
/** "UpToDate", "OutOfDate"…; empty where the type has none. */
CLOISTER_API const char *cloister_attest_result_tcb_status(const cloister_attest_result *result);
/** Number of security advisories of the platform. */
CLOISTER_API size_t cloister_attest_result_advisory_count(const cloister_attest_result *result);
/** Name of advisory `index`; empty beyond the last. */
CLOISTER_API const char *cloister_attest_result_advisory(const cloister_attest_result *result, size_t index);
/** Seconds since 1970 at which the verdict lapses: the earliest end of what it relied on; 0 = no such end, or not valid. */
CLOISTER_API int64_t cloister_attest_result_valid_until(const cloister_attest_result *result);
/** The whole result as one JSON document: verdict, reason, detail, tee, claims, tcb, checks. */
CLOISTER_API const char *cloister_attest_result_json(const cloister_attest_result *result);

/** One check: what was looked at, whether it passed, what was wanted and what was found. */
typedef struct {
    const char *name;
    bool ok;
    const char *expected;
    const char *actual;
} cloister_attest_check;
/** Number of checks that were made. */
CLOISTER_API size_t cloister_attest_result_check_count(const cloister_attest_result *result);
/** Check `index`; false, and *out unchanged, beyond the last. */
CLOISTER_API bool cloister_attest_result_check(const cloister_attest_result *result, size_t index, cloister_attest_check *out);

#ifdef __cplusplus
}
#endif
#endif
