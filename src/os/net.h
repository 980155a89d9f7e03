/* Sockets. Deadlines are monotonic nanoseconds (clo_os_now_ns() + …); 0 = no deadline. */
#ifndef CLO_OS_NET_H
#define CLO_OS_NET_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Listen on a numeric address ("127.0.0.1", "::1", "0.0.0.0"); port 0 = the kernel chooses. Non-blocking, close-on-exec.
 *  *bound is the port. Errors: CONFLICT (port in use), RANGE (bad address), IO. */
CLO_R clo_os_net_listen(int *fd, const char *address, uint16_t port, uint16_t *bound);
/** Accept one connection, non-blocking with NODELAY; `peer` receives the numeric address (46 bytes).
 *  Errors: AGAIN (none waiting), TOO_MANY (no descriptors), IO. */
CLO_R clo_os_net_accept(int listen_fd, int *fd, char peer[46]);
/** Connect by host name or address; the socket is non-blocking with NODELAY. Errors: UNREACHABLE, TIMEOUT. */
CLO_R clo_os_net_connect(int *fd, const char *host, uint16_t port, unsigned timeout_ms);
/** A connected pair of stream sockets, blocking, close-on-exec. */
CLO_R clo_os_net_pair(int fds[2]);
CLO_R clo_os_net_set_blocking(int fd, bool blocking);
/** Wait until readable (or writable). Errors: TIMEOUT, IO. */
CLO_R clo_os_net_wait(int fd, bool writable, uint64_t deadline_ns);
/** All bytes, on a blocking or non-blocking socket. Errors: TIMEOUT, CLOSED, IO. */
CLO_R clo_os_net_send_all(int fd, clo_span bytes, uint64_t deadline_ns);
/** Exactly n bytes. Errors: CLOSED (end before the first byte), TRUNCATED (end inside), TIMEOUT, IO. */
CLO_R clo_os_net_receive_all(int fd, void *to, size_t n, uint64_t deadline_ns);
/** 1..size bytes; *n = 0 at the end of the stream. Errors: TIMEOUT, IO. */
CLO_R clo_os_net_receive(int fd, void *to, size_t size, uint64_t deadline_ns, size_t *n);

typedef struct {
    char host[256];
    uint16_t port;
    char path[256]; /* with its leading "/", without a trailing one; empty where absent */
} clo_os_net_url;
/** "https://host[:port][/path]" (IPv6 in brackets); nothing else. Errors: MALFORMED, UNSUPPORTED (other schemes). */
CLO_R clo_os_net_url_parse(clo_os_net_url *out, const char *text);

#ifdef __cplusplus
}
#endif
#endif
