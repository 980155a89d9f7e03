/* TCP connections from the host to the owners' key services, on behalf of one runtime. */
#ifndef CLO_SERVICE_RUNTIME_TUNNEL_H
#define CLO_SERVICE_RUNTIME_TUNNEL_H
#include "collab/agreement.h"
#include "service/runtime_host.h"

typedef struct {
    struct {
        char owner[64];
        int fd;
    } open[CLO_PARTIES_MAX];
    size_t count;
} clo_service_tunnels;

/** Connect (an open connection of this owner is closed first). */
CLO_R clo_service_tunnel_open(clo_service_tunnels *t, const clo_service_host_ops *ops, const char *owner);
/** Forward m->send; where m->wait, append what came back (nothing = the peer closed). Errors: TIMEOUT, CLOSED, NOT_FOUND. */
CLO_R clo_service_tunnel_exchange(clo_service_tunnels *t, const clo_enclave_tunnel *m, clo_buf *out);
void clo_service_tunnel_close(clo_service_tunnels *t, const char *owner);
void clo_service_tunnels_close(clo_service_tunnels *t);

#endif
