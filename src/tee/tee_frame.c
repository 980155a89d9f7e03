/* Whole reads and writes on a stream descriptor. */
#include "tee/tee_int.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static clo_err wait_for(int fd, int stop_fd, short events, int timeout_ms)
{
    struct pollfd watched[2] = {{.fd = fd, .events = events}, {.fd = stop_fd, .events = POLLIN}};
    for (;;) {
        int n = poll(watched, stop_fd >= 0 ? 2 : 1, timeout_ms);
        if (n < 0 && errno == EINTR) continue;
        CLO_CHECKF(n >= 0, CLO_E_IO, "the line to the TEE device failed");
        CLO_CHECKF(n > 0, CLO_E_TIMEOUT, "the TEE device did not answer within %d ms", timeout_ms);
        CLO_CHECK(stop_fd < 0 || watched[1].revents == 0, CLO_E_CANCELLED);
        return CLO_OK;
    }
}

CLO_R clo_tee_read_exact(int fd, int stop_fd, int timeout_ms, void *to, size_t n, bool *closed)
{
    if (closed != NULL) *closed = false;
    for (size_t done = 0; done < n;) {
        CLO_TRY(wait_for(fd, stop_fd, POLLIN, timeout_ms));
        ssize_t got = read(fd, (uint8_t *)to + done, n - done);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (closed != NULL && done == 0 && (got == 0 || (got < 0 && errno == ECONNRESET))) {
            *closed = true;
            return CLO_OK;
        }
        CLO_CHECKF(got > 0, CLO_E_CLOSED, "the other side closed the line to the TEE device");
        done += (size_t)got;
    }
    return CLO_OK;
}

CLO_R clo_tee_write_exact(int fd, int stop_fd, int timeout_ms, const void *from, size_t n)
{
    bool socket = true;
    for (size_t done = 0; done < n;) {
        CLO_TRY(wait_for(fd, stop_fd, POLLOUT, timeout_ms));
        const uint8_t *at = (const uint8_t *)from + done;
        ssize_t put = socket ? send(fd, at, n - done, MSG_NOSIGNAL) : write(fd, at, n - done);
        if (put < 0 && socket && errno == ENOTSOCK) {
            socket = false;
            continue;
        }
        if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        CLO_CHECKF(put > 0, CLO_E_CLOSED, "the other side closed the line to the TEE device");
        done += (size_t)put;
    }
    return CLO_OK;
}
