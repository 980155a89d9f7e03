/* Shared by the maker and the reader of EARs. */
#ifndef CLO_ATTEST_EAR_INT_H
#define CLO_ATTEST_EAR_INT_H
#include "attest/ear.h"

#define CLO_EAR_CWT_TYPE "application/eat+cwt"

/* A member's label in the CWT form; `in` is the member whose map it stands in ("" = the top, "submods" = each submodule). */
typedef struct {
    const char *in, *name;
    int64_t label;
} clo_attest_ear_label;
extern const clo_attest_ear_label clo_attest_ear_labels[];
extern const size_t clo_attest_ear_label_count;
extern const char *const clo_attest_ear_claim_names[CLO_EAR_CLAIMS];
const char *clo_attest_ear_status_name(int status);

#endif
