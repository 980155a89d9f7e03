/* The written form of a policy: members that the reader, the writer and the comparison share. */
#ifndef CLO_ATTEST_POLICY_INT_H
#define CLO_ATTEST_POLICY_INT_H
#include "attest/attest.h"

/* A member that is true or false. */
typedef struct {
    const char *key;
    size_t offset;
    bool strict;        /* what absence means to the strict reader */
    bool open_only;     /* published cases only */
    const char *admits; /* what the less strict value lets through, for people */
} policy_flag;
extern const policy_flag clo_attest_policy_flags[];
extern const size_t clo_attest_policy_flag_count;
static inline bool policy_flag_get(const clo_attest_policy *p, const policy_flag *f)
{
    bool v;
    memcpy(&v, (const uint8_t *)p + f->offset, sizeof v);
    return v;
}

extern const char *const clo_attest_tcb_status_names[8]; /* by bit of CLO_ATTEST_TCB_* */
extern const char *const clo_attest_product_names[CLO_ATTEST_PRODUCTS];

#endif
