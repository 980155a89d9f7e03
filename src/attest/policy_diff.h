/* What a new policy admits that the old one did not, and the other way round, in words. */
#ifndef CLO_ATTEST_POLICY_DIFF_H
#define CLO_ATTEST_POLICY_DIFF_H
#include "attest/attest.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_POLICY_CHANGES_MAX = 256 };
typedef struct {
    bool admits;     /* the new one admits it; else: the new one refuses it and the old one did not */
    char member[96]; /* "measurements", "required_claims.pcrs.4", "parts.gpu.allow_debug" */
    char text[240];
} clo_attest_policy_change;

/** The list is the arena's. A change that cannot be decided stands there both ways. Errors: TOO_MANY. */
CLO_R clo_attest_policy_diff(clo_arena *a, const clo_attest_policy *old, const clo_attest_policy *next, clo_attest_policy_change **changes,
                             size_t *count);
/** What a policy admits beyond the strictest one, and what it demands beyond it: the difference from the strictest. */
CLO_R clo_attest_policy_describe(clo_arena *a, const clo_attest_policy *p, clo_attest_policy_change **changes, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
