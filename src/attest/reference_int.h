/* Shared by the files about reference values. */
#ifndef CLO_ATTEST_REFERENCE_INT_H
#define CLO_ATTEST_REFERENCE_INT_H
#include "attest/reference_values.h"

/** Is the value among those of the list? */
bool clo_attest_reference_lists(const clo_wire_node *list, const clo_wire_node *value);
/** Add a copy of the value to the claim's list, once. Errors: RANGE (path), TOO_MANY, MALFORMED (kind). */
CLO_R clo_attest_reference_put(clo_arena *a, clo_wire_node *claims, const char *path, const clo_wire_node *value);

#endif
