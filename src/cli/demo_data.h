/* The example's files (examples/breast-cancer), which the demo carries so that it runs wherever the program is. */
#ifndef CLO_CLI_DEMO_DATA_H
#define CLO_CLI_DEMO_DATA_H
#include "base/clo_span.h"

extern const clo_span clo_demo_csv, clo_demo_schema, clo_demo_template;

#endif
