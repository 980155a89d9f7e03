/* Moving frames over a stream socket, blocking, with deadlines; used by the runtime and by the runtime host. */
#ifndef CLO_ENCLAVE_LINK_H
#define CLO_ENCLAVE_LINK_H
#include "enclave/frames.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Write one frame. deadline_ns as in os/net.h. Errors: TOO_LARGE (beyond the table), TIMEOUT, CLOSED, IO. */
CLO_R clo_enclave_link_send(int fd, uint16_t number, bool reply, clo_span body, uint64_t deadline_ns);
/** Read one frame; `body` is cleared first and its maximum need not exceed the table's. Errors: CLOSED (end before a frame),
 *  TRUNCATED, MALFORMED, TOO_LARGE, TIMEOUT, IO, NOMEM. */
CLO_R clo_enclave_link_receive(int fd, bool reply, uint16_t *number, clo_buf *body, uint64_t deadline_ns);

/** Runtime side: send a request and take its reply into `reply` (cleared first). A reply of another number is MALFORMED; CANCEL
 *  becomes CANCELLED; ERROR becomes the host's code and sentence. */
CLO_R clo_enclave_link_call(int fd, uint16_t number, clo_span body, clo_buf *reply, uint64_t deadline_ns);
/** The second half of it: the reply to a request that was sent before. */
CLO_R clo_enclave_link_answer(int fd, uint16_t number, clo_buf *reply, uint64_t deadline_ns);

/* Host side: reply with a body, an error (of the calling thread's record), or CANCEL. */
CLO_R clo_enclave_link_reply(int fd, uint16_t number, clo_span body, uint64_t deadline_ns);
CLO_R clo_enclave_link_reply_error(int fd, clo_err e, uint64_t deadline_ns);
CLO_R clo_enclave_link_reply_cancel(int fd, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif
#endif
