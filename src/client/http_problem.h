/* A problem document (RFC 9457) back into an error with its denial, as if it had failed here. */
#ifndef CLO_CLIENT_HTTP_PROBLEM_H
#define CLO_CLIENT_HTTP_PROBLEM_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Always returns a failure. instance (80 bytes) receives the id at the end of "instance", or "". `from` names the server in
 *  sentences for answers that are no problem document. */
clo_err clo_client_problem_read(clo_span body, unsigned status, const char *from, char instance[80]);

/** The five words of a denial from a map; what is not there is empty. */
void clo_client_denial_read(const clo_wire_node *map, clo_denial *out);

#ifdef __cplusplus
}
#endif
#endif
