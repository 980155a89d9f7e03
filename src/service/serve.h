/* What both roles do around their server: their home and what they print. */
#ifndef CLO_SERVICE_SERVE_H
#define CLO_SERVICE_SERVE_H
#include "base/clo_err.h"
#include "wire/tree.h"

/** Say on standard error that `home` was none and was made now, so that a mistyped --home is seen. role: "an operator" or "a witness". */
void clo_service_home_say_new(const char *home, const char *role);
/** Print a tree as one JSON line on standard output. */
CLO_R clo_service_print(const clo_wire_node *tree);
/** Directory made, its daemon's lock taken; *fd is given. */
CLO_R clo_service_home_lock(const char *home, int *fd);

#endif
