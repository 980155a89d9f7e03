/* What the tests of token verifiers share: published cases of a type, and one appraisal in one line. */
#ifndef TOKEN_VECTORS_H
#define TOKEN_VECTORS_H
#include "cmocka_all.h"

#include "../../tools/vectors/vectors.h"
#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN_ALLOCATION_MAX = 64 * 1024 };

/* The last appraisal's result and the arena it lives in; appraise() begins a new one. */
static clo_attest_result token_result;
static clo_arena token_arena;

static inline const char *appraise(const char *type, clo_span evidence, const clo_attest_part *collateral, size_t count, const clo_attest_policy *policy,
                                   int64_t now)
{
    clo_attest_part part = {.role = "report", .bytes = evidence};
    clo_arena_free(&token_arena);
    clo_arena_init(&token_arena, 1 << 20);
    clo_err e = clo_attest_verify(&token_arena, type, &part, 1, collateral, count, policy, now, &token_result);
    if (clo_failed(e)) return clo_err_name(e);
    return token_result.valid ? "valid" : token_result.reason;
}

/* With too little memory there is an error or a refusal, never a leak; with enough the verdict is the usual one. */
static inline void small_arenas(const char *type, clo_span evidence, const clo_attest_part *collateral, size_t count, const clo_attest_policy *policy, int64_t now)
{
    clo_attest_part part = {.role = "report", .bytes = evidence};
    bool valid = false;
    for (size_t max = 16; max <= TOKEN_ALLOCATION_MAX; max += 16 + max / 64) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, max);
        clo_err e = clo_attest_verify(&a, type, &part, 1, collateral, count, policy, now, &token_result);
        bool now_valid = !clo_failed(e) && token_result.valid;
        assert_true(now_valid || !valid);
        valid = now_valid;
    }
    assert_true(valid);
}

static inline void published_cases(const char *type, unsigned least, unsigned skipped)
{
    char path[512];
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/%s", shared != NULL ? shared : "../shared", type);
    if (access(path, R_OK) != 0) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.skipped, skipped);
    assert_true(r.passed >= least);
}

#endif
