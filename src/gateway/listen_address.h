/* Where a daemon listens, and the URL under which others reach it. */
#ifndef CLO_GATEWAY_LISTEN_ADDRESS_H
#define CLO_GATEWAY_LISTEN_ADDRESS_H
#include "base/clo_err.h"
#ifdef __cplusplus
extern "C" {
#endif

/** "ADDRESS:PORT" or "[::1]:PORT"; port 0 = choose later. Errors: USAGE. */
CLO_R clo_gateway_listen_parse(const char *text, char address[64], uint16_t *port);
/** Where *port is 0, a port that is free now; else check that it is free. Errors: CONFLICT. */
CLO_R clo_gateway_listen_choose(const char *address, uint16_t *port);
/** url where given (https://host[:port] only), else "https://ADDRESS:PORT". Errors: MALFORMED, UNSUPPORTED, TOO_LARGE. */
CLO_R clo_gateway_listen_url(const char *url, const char *address, uint16_t port, char out[256]);

#ifdef __cplusplus
}
#endif
#endif
