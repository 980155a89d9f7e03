#include "tee/attester_process.h"

#include "crypto/hash.h"
#include "os/sandbox.h"
#include "tee/tee_int.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPEN_FILES = 32 };

static clo_err device_evidence(const void *context, const uint8_t report_data[64], clo_buf *out)
{
    const clo_tee_provider *p = context;
    return p->evidence(-1, report_data, out);
}

static clo_err device_key(const void *context, const uint8_t digest[32], clo_key32 *out)
{
    const clo_tee_provider *p = context;
    return p->derive_sealing_key(-1, clo_span_of(digest, 32), out);
}

__attribute__((noreturn)) static void attester_main(const clo_tee_provider *provider, pid_t parent, int fd)
{
    clo_os_sandbox_report report = {.landlock_abi = 0};
    clo_os_limits limits = {.open_files_max = OPEN_FILES};
    const clo_tee_device device = {.context = provider, .evidence = device_evidence, .key = device_key};
    /* The parent may have ended before the wish was heard. */
    bool kept = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
    clo_err e = clo_os_sandbox_harden(&report, &limits);
    if (!clo_failed(e)) e = clo_crypto_reseed(); /* the generator is a copy of the runtime's */
    if (kept && !clo_failed(e)) e = clo_tee_serve(fd, -1, &device);
    _exit(kept && !clo_failed(e) ? 0 : 1);
}

CLO_R clo_tee_attester_start(const clo_tee_provider *provider, const int *foreign, size_t foreign_count, int *fd)
{
    int line[2];
    pid_t parent = getpid();
    CLO_CHECKF(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) == 0, CLO_E_IO, "no line to the TEE's device can be made");
    pid_t child = fork();
    if (child == 0) {
        (void)close(line[0]);
        for (size_t i = 0; i < foreign_count; i++) (void)close(foreign[i]);
        attester_main(provider, parent, line[1]);
    }
    (void)close(line[1]);
    if (child > 0) {
        *fd = line[0];
        return CLO_OK;
    }
    (void)close(line[0]);
    return CLO_FAILF(CLO_E_IO, "no process for the TEE's device can be made");
}
