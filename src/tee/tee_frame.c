/* Whole reads and writes on a stream descriptor, and the device's end of a line. */
#include "base/clo_rd.h"
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

enum { FRAME_TIMEOUT_MS = 30 * 1000 };

static clo_err reply(int fd, int stop_fd, clo_span body)
{
    uint8_t head[4] = {(uint8_t)(body.n >> 24), (uint8_t)(body.n >> 16), (uint8_t)(body.n >> 8), (uint8_t)body.n};
    CLO_TRY(clo_tee_write_exact(fd, stop_fd, FRAME_TIMEOUT_MS, head, sizeof head));
    return clo_tee_write_exact(fd, stop_fd, FRAME_TIMEOUT_MS, body.p, body.n);
}

static clo_err key_answer(int fd, int stop_fd, const clo_tee_device *device, const uint8_t *body)
{
    CLO_CHECKF(body[0] == TEE_KEY_TAG, CLO_E_MALFORMED, "the TEE's device was asked for something it does not know");
    CLO_KEY32(key);
    clo_err e = device->key(device->context, body + 1, &key);
    return reply(fd, stop_fd, clo_span_of(key.b, clo_failed(e) ? 0 : sizeof key.b));
}

/* One request and its answer. *closed = there was none: the other side has ended. */
static clo_err serve_one(int fd, int stop_fd, const clo_tee_device *device, bool *closed)
{
    uint8_t head[4], body[TEE_REPORT_DATA];
    CLO_TRY(clo_tee_read_exact(fd, stop_fd, -1, head, sizeof head, closed));
    if (*closed) return CLO_OK;
    clo_rd r = clo_rd_init(clo_span_of(head, sizeof head));
    uint32_t n = clo_rd_u32be(&r);
    CLO_CHECKF(n == TEE_REPORT_DATA || n == TEE_KEY_REQUEST, CLO_E_MALFORMED, "the TEE's device was asked with a frame of %u bytes", n);
    CLO_TRY(clo_tee_read_exact(fd, stop_fd, FRAME_TIMEOUT_MS, body, n, NULL));
    if (n == TEE_KEY_REQUEST) return key_answer(fd, stop_fd, device, body);
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    clo_buf_init(&bundle, TEE_BUNDLE_MAX);
    if (clo_failed(device->evidence(device->context, body, &bundle))) clo_buf_clear(&bundle);
    return reply(fd, stop_fd, clo_buf_span(&bundle));
}

CLO_R clo_tee_serve(int fd, int stop_fd, const clo_tee_device *device)
{
    for (bool closed = false; !closed;) {
        clo_err e = serve_one(fd, stop_fd, device, &closed);
        if (e.code == CLO_E_CANCELLED) return CLO_OK;
        /* An ending runtime may die between two bytes: that is its end, not the device's failure. */
        if (e.code == CLO_E_CLOSED) return CLO_OK;
        CLO_TRY(e);
    }
    return CLO_OK;
}
