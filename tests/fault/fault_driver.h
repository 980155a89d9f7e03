/* What the scenarios of the fault driver share: each is a list of steps that may be repeated, done once under faults and once after a restart. */
#ifndef CLO_FAULT_DRIVER_H
#define CLO_FAULT_DRIVER_H
#include "base/clo_err.h"

#include <stdbool.h>

typedef struct {
    const char *name;
    /** Once, in the parent, before any fault: what the children share. `template` is a home to copy, already an empty folder. */
    void (*prepare)(const char *template);
    /** In a child: all steps on this home. `again` = after a restart, without faults; `late` = the first child had let time pass. */
    void (*work)(const char *home, bool again, bool late);
} fault_scenario;

extern const fault_scenario fault_log, fault_witness, fault_store, fault_kms, fault_kms_init;

/** Tell the reader that this was acknowledged (or, where e is a failure, that it was refused, and why); true where acknowledged. */
bool fault_say(const char *what, clo_err e);
/** A plain fact for the reader. */
__attribute__((format(printf, 1, 2))) void fault_tell(const char *format, ...);

#endif
