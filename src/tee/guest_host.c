/* The kernel's side of the device boundary. */
#include "tee/guest_host.h"

#include "tee/tee_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int system_open(const char *path, int flags) { return open(path, flags | O_CLOEXEC); }
static int system_control(int fd, unsigned long request, void *argument) { return ioctl(fd, request, argument); }
static void system_pause(unsigned ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L};
    (void)nanosleep(&t, NULL);
}

const clo_tee_guest_host clo_tee_guest_system = {
    .tsm_directory = "/sys/kernel/config/tsm/report",
    .sev_device = "/dev/sev-guest",
    .tdx_device = "/dev/tdx_guest",
    .nsm_device = "/dev/nsm",
    .gramine_directory = "/dev/attestation",
    .optee_device = "/dev/tee0",
    .make_directory = mkdir,
    .remove_directory = rmdir,
    .open_file = system_open,
    .control = system_control,
    .pause_ms = system_pause,
};

void clo_tee_fd_close(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

static uint32_t code_of(int why) { return why == EWOULDBLOCK || why == EBUSY ? (uint32_t)CLO_E_AGAIN : (uint32_t)CLO_E_IO; }

CLO_R clo_tee_file_take(int fd, void *to, size_t n, size_t *have)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = read(fd, (uint8_t *)to + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        CLO_CHECKF(got >= 0, code_of(errno), "a device file cannot be read");
        if (got == 0) break;
        done += (size_t)got;
    }
    *have = done;
    return CLO_OK;
}

CLO_R clo_tee_file_read(const clo_tee_guest_host *host, const char *path, clo_buf *out)
{
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(path, O_RDONLY | O_CLOEXEC);
    CLO_CHECKF(fd >= 0, code_of(errno), "cannot open %s", path);
    for (;;) {
        uint8_t *at = NULL;
        size_t got = 0, room = out->max - out->len < 4096 ? out->max - out->len : 4096;
        CLO_CHECKF(room > 0, CLO_E_TOO_LARGE, "%s is larger than %zu bytes", path, out->max - 1);
        CLO_TRY(clo_buf_reserve(out, room, &at));
        clo_err e = clo_tee_file_take(fd, at, room, &got);
        if (clo_failed(e)) return clo_err_prefix(e, path);
        out->len += got;
        if (got < room) return CLO_OK;
    }
}

CLO_R clo_tee_file_write(const clo_tee_guest_host *host, const char *path, clo_span bytes)
{
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(path, O_WRONLY | O_CLOEXEC);
    CLO_CHECKF(fd >= 0, code_of(errno), "cannot open %s", path);
    ssize_t put = write(fd, bytes.p, bytes.n);
    CLO_CHECKF(put >= 0, code_of(errno), "cannot write %s", path);
    CLO_CHECKF((size_t)put == bytes.n, CLO_E_IO, "%s took %zd of %zu bytes", path, put, bytes.n);
    return CLO_OK;
}
