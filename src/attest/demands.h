/* What every appraisal does beyond its type: demands of the policy, parts of composites, results accepted as evidence. */
#ifndef CLO_ATTEST_DEMANDS_H
#define CLO_ATTEST_DEMANDS_H
#include "attest/attest_int.h"

/* Classes of reasons that a policy can demand a check of: clo_attest_check_add notes each in result->judged, whether it passed or not. */
enum {
    CLO_JUDGED_REPORT_DATA = 1 << 0,
    CLO_JUDGED_NONCE = 1 << 1,
    CLO_JUDGED_MEASUREMENT = 1 << 2,
    CLO_JUDGED_HOST_DATA = 1 << 3,
    CLO_JUDGED_ID_KEY = 1 << 4,
    CLO_JUDGED_AUTHOR_KEY = 1 << 5,
    CLO_JUDGED_CHIP = 1 << 6,
    CLO_JUDGED_ROOT = 1 << 7,
    CLO_JUDGED_ISSUER = 1 << 8,
    CLO_JUDGED_TCB = 1 << 9,
    CLO_JUDGED_TCB_DATE = 1 << 10,
    CLO_JUDGED_EVALUATION = 1 << 11,
    CLO_JUDGED_AGE = 1 << 12,
    CLO_JUDGED_DEBUG = 1 << 13,
    CLO_JUDGED_SIGNATURE = 1 << 14,
};
/** The bit of a reason, 0 where it has none. */
uint32_t clo_attest_judged_bit(const char *reason);
/** After the type's verifier: what the policy demands and this type has no check for is refused; then required claims, release policy and
 *  binding. Part of every appraisal (appraise.c), also of each part of a composite. */
CLO_R clo_attest_demands_judge(clo_attest_context *c);
/** The line of a type; NULL where there is none. */
const clo_attest_type *clo_attest_type_find(const char *name);

CLO_R clo_attest_ear_verify(clo_attest_context *c);
bool clo_attest_ear_recognise(const clo_attest_part *evidence, size_t evidence_count);
CLO_R clo_attest_composite_verify(clo_attest_context *c);
bool clo_attest_composite_recognise(const clo_attest_part *evidence, size_t evidence_count);

#endif
