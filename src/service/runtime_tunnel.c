#include "service/runtime_tunnel.h"

#include "base/clo_text.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/net.h"

#include <string.h>

enum { CONNECT_MS = 5000 };

static int *find(clo_service_tunnels *t, const char *owner)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->open[i].owner, owner) == 0) return &t->open[i].fd;
    return NULL;
}

CLO_R clo_service_tunnel_open(clo_service_tunnels *t, const clo_service_host_ops *ops, const char *owner)
{
    char host[256];
    uint16_t port = 0;
    int *fd = find(t, owner);
    CLO_TRY(ops->address(ops->context, owner, host, &port));
    if (fd == NULL) {
        CLO_CHECK(t->count < CLO_PARTIES_MAX, CLO_E_TOO_MANY);
        CLO_TRY(clo_str_set(t->open[t->count].owner, sizeof t->open[0].owner, clo_span_str(owner)));
        fd = &t->open[t->count++].fd;
        *fd = -1;
    }
    clo_os_fd_close(fd);
    clo_err e = clo_os_net_connect(fd, host, port, CONNECT_MS);
    return clo_failed(e) ? clo_err_prefix(e, owner) : CLO_OK;
}

CLO_R clo_service_tunnel_exchange(clo_service_tunnels *t, const clo_enclave_tunnel *m, clo_buf *out)
{
    int *fd = find(t, m->owner);
    CLO_CHECKF(fd != NULL && *fd >= 0, CLO_E_CLOSED, "there is no connection to the key service of %s", m->owner);
    uint64_t deadline = clo_os_now_ns() + (uint64_t)CLO_ENCLAVE_WAIT_MS * 1000000;
    CLO_TRY(clo_os_net_send_all(*fd, m->send, deadline));
    if (!m->wait) return CLO_OK;
    uint8_t *at = NULL;
    size_t n = 0;
    CLO_TRY(clo_buf_reserve(out, CLO_ENCLAVE_TUNNEL_MAX, &at));
    CLO_TRY(clo_os_net_receive(*fd, at, CLO_ENCLAVE_TUNNEL_MAX, deadline, &n));
    out->len += n;
    return CLO_OK;
}

void clo_service_tunnel_close(clo_service_tunnels *t, const char *owner)
{
    int *fd = find(t, owner);
    if (fd != NULL) clo_os_fd_close(fd);
}

void clo_service_tunnels_close(clo_service_tunnels *t)
{
    for (size_t i = 0; i < t->count; i++) clo_os_fd_close(&t->open[i].fd);
    t->count = 0;
}
