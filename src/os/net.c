/* Sockets with deadlines. */
#include "os/net.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "os/clock.h"
#include "os/file.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static clo_err fail_socket(const char *doing) { return CLO_FAILF(CLO_E_IO, "cannot %s: %s", doing, strerrordesc_np(errno)); }

static void set_nodelay(int fd)
{
    int on = 1;
    /* Fails on sockets that are not TCP, where there is nothing to set. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address_any;

static clo_err address_parse(const char *text, uint16_t port, address_any *out, socklen_t *n)
{
    address_any a = {.v6 = {0}};
    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
        *n = sizeof a.v4;
    } else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(port);
        *n = sizeof a.v6;
    } else {
        return CLO_FAILF(CLO_E_RANGE, "\"%s\" is no numeric address; write one like 127.0.0.1 or ::1", text);
    }
    *out = a;
    return CLO_OK;
}

clo_err clo_os_net_listen(int *fd, const char *address, uint16_t port, uint16_t *bound)
{
    address_any a;
    socklen_t n = 0;
    CLO_TRY(address_parse(address, port, &a, &n));
    CLO_AUTO(clo_os_fd_close) int s = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return fail_socket("make a socket");
    int on = 1;
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return fail_socket("set up a socket");
    if (bind(s, &a.any, n) != 0) {
        CLO_CHECKF(errno != EADDRINUSE, CLO_E_CONFLICT, "port %u of %s is in use; stop that program or choose another port", (unsigned)port, address);
        return fail_socket("bind a socket");
    }
    if (listen(s, 1024) != 0) return fail_socket("listen");
    address_any at;
    socklen_t at_size = sizeof at;
    if (getsockname(s, &at.any, &at_size) != 0) return fail_socket("read a socket's address");
    *bound = ntohs(at.any.sa_family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
    *fd = s;
    s = -1;
    return CLO_OK;
}

clo_err clo_os_net_accept(int listen_fd, int *fd, char peer[46])
{
    address_any a;
    socklen_t n = sizeof a;
    int s = accept4(listen_fd, &a.any, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (s < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED || errno == EPROTO) return CLO_FAIL(CLO_E_AGAIN);
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return CLO_FAIL(CLO_E_TOO_MANY);
        return fail_socket("accept a connection");
    }
    set_nodelay(s);
    const void *from = a.any.sa_family == AF_INET6 ? (const void *)&a.v6.sin6_addr : (const void *)&a.v4.sin_addr;
    if (inet_ntop(a.any.sa_family, from, peer, 46) == NULL) memcpy(peer, "?", 2);
    *fd = s;
    return CLO_OK;
}

static clo_err connect_one(int *fd, const struct addrinfo *to, uint64_t deadline)
{
    CLO_AUTO(clo_os_fd_close) int s = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return fail_socket("make a socket");
    set_nodelay(s);
    if (connect(s, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return fail_socket("connect");
        CLO_TRY(clo_os_net_wait(s, true, deadline));
        int why = 0;
        socklen_t n = sizeof why;
        if (getsockopt(s, SOL_SOCKET, SO_ERROR, &why, &n) != 0) return fail_socket("connect");
        errno = why;
        if (why != 0) return fail_socket("connect");
    }
    *fd = s;
    s = -1;
    return CLO_OK;
}

clo_err clo_os_net_connect(int *fd, const char *host, uint16_t port, unsigned timeout_ms)
{
    uint64_t deadline = clo_os_now_ns() + (uint64_t)timeout_ms * 1000000u;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    int failed = getaddrinfo(host, service, &hints, &all);
    CLO_CHECKF(failed == 0, CLO_E_UNREACHABLE, "cannot find the host %s: %s", host, gai_strerror(failed));
    clo_err e = CLO_OK;
    bool connected = false;
    for (const struct addrinfo *at = all; at != NULL && !connected; at = at->ai_next) {
        e = connect_one(fd, at, deadline);
        connected = !clo_failed(e);
    }
    freeaddrinfo(all);
    if (connected) return CLO_OK;
    if (e.code == CLO_E_TIMEOUT) return CLO_FAILF(CLO_E_TIMEOUT, "%s port %u does not answer within %u ms", host, (unsigned)port, timeout_ms);
    char why[160];
    (void)snprintf(why, sizeof why, "%s", clo_err_text());
    return CLO_FAILF(CLO_E_UNREACHABLE, "cannot reach %s port %u (%s): is it running?", host, (unsigned)port, why);
}

clo_err clo_os_net_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return fail_socket("make a socket pair");
    return CLO_OK;
}

clo_err clo_os_net_set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return fail_socket("look at a socket");
    flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    if (fcntl(fd, F_SETFL, flags) != 0) return fail_socket("set up a socket");
    return CLO_OK;
}

clo_err clo_os_net_wait(int fd, bool writable, uint64_t deadline_ns)
{
    for (;;) {
        int wait_ms = -1;
        if (deadline_ns != 0) {
            uint64_t now = clo_os_now_ns();
            uint64_t left = deadline_ns > now ? (deadline_ns - now + 999999u) / 1000000u : 0;
            wait_ms = left > 3600000u ? 3600000 : (int)left;
        }
        struct pollfd p = {.fd = fd, .events = writable ? POLLOUT : POLLIN};
        int n = poll(&p, 1, wait_ms);
        if (n > 0) return CLO_OK;
        if (n < 0 && errno != EINTR) return fail_socket("wait for a socket");
        if (deadline_ns != 0 && clo_os_now_ns() >= deadline_ns) return CLO_FAIL(CLO_E_TIMEOUT);
    }
}

clo_err clo_os_net_send_all(int fd, clo_span bytes, uint64_t deadline_ns)
{
    size_t done = 0;
    while (done < bytes.n) {
        int flags = MSG_NOSIGNAL | (deadline_ns != 0 ? MSG_DONTWAIT : 0);
        ssize_t n = send(fd, bytes.p + done, bytes.n - done, flags);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            CLO_TRY(clo_os_net_wait(fd, true, deadline_ns));
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return CLO_FAILF(CLO_E_CLOSED, "the other side closed the connection");
        } else if (errno != EINTR) {
            return fail_socket("send");
        }
    }
    return CLO_OK;
}

clo_err clo_os_net_receive(int fd, void *to, size_t size, uint64_t deadline_ns, size_t *n)
{
    for (;;) {
        ssize_t got = recv(fd, to, size, deadline_ns != 0 ? MSG_DONTWAIT : 0);
        if (got >= 0) {
            *n = (size_t)got;
            return CLO_OK;
        }
        if (errno == ECONNRESET) {
            *n = 0;
            return CLO_OK;
        }
        if (errno == EAGAIN) CLO_TRY(clo_os_net_wait(fd, false, deadline_ns));
        else if (errno != EINTR) return fail_socket("receive");
    }
}

clo_err clo_os_net_receive_all(int fd, void *to, size_t n, uint64_t deadline_ns)
{
    size_t done = 0;
    while (done < n) {
        size_t got = 0;
        CLO_TRY(clo_os_net_receive(fd, (uint8_t *)to + done, n - done, deadline_ns, &got));
        CLO_CHECKF(got != 0 || done != 0, CLO_E_CLOSED, "the other side closed the connection");
        CLO_CHECKF(got != 0, CLO_E_TRUNCATED, "the connection ended inside a message");
        done += got;
    }
    return CLO_OK;
}

static clo_err host_set(clo_os_net_url *url, clo_span host)
{
    CLO_CHECKF(host.n != 0, CLO_E_MALFORMED, "the URL names no host");
    static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
    for (size_t i = 0; i < host.n; i++)
        CLO_CHECKF(memchr(characters, host.p[i], sizeof characters - 1) != NULL, CLO_E_MALFORMED, "the URL's host has a character that no host has");
    return clo_str_set(url->host, sizeof url->host, host);
}

clo_err clo_os_net_url_parse(clo_os_net_url *out, const char *text)
{
    static const char scheme[] = "https://";
    CLO_CHECKF(strncmp(text, scheme, sizeof scheme - 1) == 0, CLO_E_UNSUPPORTED, "\"%.100s\" is no https:// URL", text);
    const char *at = text + sizeof scheme - 1;
    size_t authority = strcspn(at, "/?#");
    CLO_CHECKF(at[authority] == 0 || at[authority] == '/', CLO_E_MALFORMED, "the URL may not have a query or a fragment");
    clo_os_net_url url = {.port = 443};
    const char *end = at + authority, *colon = NULL;
    if (at[0] == '[') {
        const char *close = memchr(at, ']', authority);
        CLO_CHECKF(close != NULL, CLO_E_MALFORMED, "the URL's IPv6 address lacks its closing bracket");
        CLO_TRY(host_set(&url, clo_span_of(at + 1, (size_t)(close - at - 1))));
        CLO_CHECKF(close + 1 == end || close[1] == ':', CLO_E_MALFORMED, "the URL has something between its host and its port");
        colon = close + 1 < end ? close + 1 : NULL;
    } else {
        colon = memchr(at, ':', authority);
        CLO_TRY(host_set(&url, clo_span_of(at, (size_t)((colon != NULL ? colon : end) - at))));
    }
    if (colon != NULL) {
        uint64_t port = 0;
        CLO_TRY(clo_u64_parse(&port, clo_span_of(colon + 1, (size_t)(end - colon - 1))));
        CLO_CHECKF(port >= 1 && port <= 65535, CLO_E_RANGE, "the URL's port is not within 1..65535");
        url.port = (uint16_t)port;
    }
    size_t path_size = strlen(end);
    for (const char *p = end; *p != 0; p++)
        CLO_CHECKF(*p > 0x20 && *p < 0x7f && strchr("?#\"\\<>^`{|}", *p) == NULL, CLO_E_MALFORMED,
                   "the URL may not have a query, a fragment, blanks, quotes or control characters");
    if (path_size != 0 && end[path_size - 1] == '/') path_size--;
    CLO_TRY(clo_str_set(url.path, sizeof url.path, clo_span_of(end, path_size)));
    *out = url;
    return CLO_OK;
}
