/* What both roles do around their server: signals, the ready line, the end. */
#ifndef CLO_SERVICE_SERVE_H
#define CLO_SERVICE_SERVE_H
#include "base/clo_err.h"
#include "wire/tree.h"

/** Block SIGTERM and SIGINT (before threads start). */
void clo_service_signals_block(void);
/** Print `line` on standard output, then wait for SIGTERM or SIGINT. */
CLO_R clo_service_signals_wait(const char *line);
/** Print a tree as one JSON line on standard output. */
CLO_R clo_service_print(const clo_wire_node *tree);
/** Directory made, its daemon's lock taken; *fd is given. */
CLO_R clo_service_home_lock(const char *home, int *fd);

#endif
