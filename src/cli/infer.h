/* A schema from the rows themselves, for local work without privacy: its bounds and codes are learned from the data, so it is
 * never for an agreement. */
#ifndef CLO_CLI_INFER_H
#define CLO_CLI_INFER_H
#include "wire/table.h"

enum { CLI_INFER_CODES_MAX = 256 };
/** Numbers become floats with the bounds that occur (whole numbers 0 and 1: an int), other texts become codes, empty cells are
 * missing values. *tree is what clo_wire_schema_read takes. Errors: those of the CSV; TOO_MANY distinct texts in a column. */
CLO_R clo_cli_schema_infer(clo_arena *a, clo_span csv, clo_wire_node **tree);

#endif
