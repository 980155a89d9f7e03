#include "gateway/listen_address.h"

#include "base/clo_text.h"
#include "os/file.h"
#include "os/net.h"

#include <stdio.h>
#include <string.h>

CLO_R clo_gateway_listen_parse(const char *text, char address[64], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number = 0;
    bool good = colon != NULL && !clo_failed(clo_u64_parse(&number, clo_span_str(colon + 1))) && number <= 65535;
    clo_span host = clo_span_of(text, good ? (size_t)(colon - text) : 0);
    if (good && host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') host = clo_span_of(host.p + 1, host.n - 2);
    if (!good || host.n == 0 || clo_failed(clo_str_set(address, 64, host)))
        return CLO_FAILF(CLO_E_USAGE, "\"%.80s\" is no place to listen on; write ADDRESS:PORT, e.g. 127.0.0.1:7001", text);
    *port = (uint16_t)number;
    return CLO_OK;
}

CLO_R clo_gateway_listen_choose(const char *address, uint16_t *port)
{
    int fd = -1;
    CLO_TRY(clo_os_net_listen(&fd, address, *port, port));
    clo_os_fd_close(&fd);
    return CLO_OK;
}

CLO_R clo_gateway_listen_url(const char *url, const char *address, uint16_t port, char out[256])
{
    bool v6 = strchr(address, ':') != NULL;
    int n = url != NULL ? snprintf(out, 256, "%s", url)
                        : snprintf(out, 256, "https://%s%s%s:%u", v6 ? "[" : "", address, v6 ? "]" : "", (unsigned)port);
    CLO_CHECK(n > 0 && n < 256, CLO_E_TOO_LARGE);
    clo_os_net_url parsed;
    CLO_TRY(clo_os_net_url_parse(&parsed, out));
    CLO_CHECKF(parsed.path[0] == 0, CLO_E_MALFORMED, "\"%s\" has a path; write https://host:port", out);
    return CLO_OK;
}
