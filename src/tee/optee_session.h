/* A session with a trusted application behind /dev/tee0, and calls with up to two buffers (GlobalPlatform TEE client, by linux/tee.h). */
#ifndef CLO_TEE_OPTEE_SESSION_H
#define CLO_TEE_OPTEE_SESSION_H
#include "base/clo_span.h"
#include "tee/guest_host.h"

typedef struct {
    const clo_tee_guest_host *host;
    int fd, shared_fd;
    int32_t shared_id;
    uint32_t session;
    uint8_t *shared; /* one page for each buffer */
    bool open;
} clo_tee_optee;
enum { OPTEE_BUFFER = 4096, OPTEE_BUFFERS = 2 };
/* Errors: UNREACHABLE (no device, or the application is not there), AGAIN, IO. */
CLO_R clo_tee_optee_open(clo_tee_optee *s, const clo_tee_guest_host *host, const uint8_t uuid[16]);
void clo_tee_optee_close(clo_tee_optee *s);
/* One buffer: in (input.n bytes) or out; what comes back is a span in shared memory that the secure world can still write: copy it once.
 * sizes[i] = bytes offered for output i (0 = buffer i is the input). Errors: AGAIN, MALFORMED (more than was offered), IO. */
CLO_R clo_tee_optee_call(clo_tee_optee *s, uint32_t command, clo_span input, const size_t offered[OPTEE_BUFFERS], clo_span outputs[OPTEE_BUFFERS]);
#endif
