/* The confidential runtime: one process, one run. */
#ifndef CLO_ENCLAVE_H
#define CLO_ENCLAVE_H
#include "base/clo_err.h"
#include "enclave/frames.h"
#include "os/clock.h"
#include "tee/tee.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_ENCLAVE_HOST_FD = 3, CLO_ENCLAVE_DEVICE_FD = 4 };

/* What the program is given by its main; the run itself comes in START. */
typedef struct {
    int host_fd;                        /* stream socket to the runtime host; borrowed */
    int device_fd;                      /* software TEE, or -1 */
    bool sandbox;                       /* true in the product; what is in force goes into the evidence either way */
    const clo_os_clock *clock;          /* NULL = the machine's; only its monotonic half is relied on */
    const clo_tee_provider *provider;   /* NULL = clo_tee_find(device_fd) */
} clo_enclave_options;

/** Do one run from START to FINISH or FAILED. Everything secret is wiped on return. On failure FAILED has been sent where the host
 *  still listens, and the error is returned. Never logs. Without sandbox it may be called from a thread of a test. */
CLO_R clo_enclave_run(const clo_enclave_options *options);

/** Refuse whatever the host could have injected: any argument beyond argv[0], any environment, descriptors beyond 0..2, host and device (those from
 *  1024 on are closed instead).
 *  Errors: DENIED with claim "runtime.environment", "runtime.arguments" or "runtime.descriptors". */
CLO_R clo_enclave_refuse_injection(int argc, char *const *argv, char *const *environment);

/** Exit code of the program for an error: 0 success, else 1 refused, 2 malformed, 3 environment, 4 limit, 5 bug, 6 cancelled. */
int clo_enclave_exit_code(clo_err e);

#ifdef __cplusplus
}
#endif
#endif
