/* Shared by the programs of the constant-time run. Each marks its secrets as undefined memory; valgrind then reports every branch
 * and index that depends on one. The twin ct_leak_NAME plants a leak into the same data flow and must be reported. */
#ifndef CLO_CT_TEST_PROGRAM_H
#define CLO_CT_TEST_PROGRAM_H
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include <stdio.h>
#include <stdlib.h>

/* Ends the program where a call that must work does not. */
static inline void ct_must(clo_err e)
{
    if (!clo_failed(e)) return;
    (void)fprintf(stderr, "%s\n", clo_err_text());
    exit(3);
}
/* An observable effect, so that the compiler keeps the planted branch. */
static inline void ct_observe(const char *what) { (void)puts(what); }
#endif
