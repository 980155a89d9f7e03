/* The TD quoting service of the host (Intel DCAP's QGS), reached through vsock. Not part of the runtime: it opens a socket. */
#ifndef CLO_TEE_TDX_QUOTING_H
#define CLO_TEE_TDX_QUOTING_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_TEE_QGS_PORT = 4050, CLO_TEE_QGS_MESSAGE_MAX = 40 * 1024 };
/** A quote over this TDREPORT from port 4050 of the host, appended. Errors: UNREACHABLE, AGAIN (the service says so), TIMEOUT, CLOSED,
 *  MALFORMED, DENIED (the service's error). */
CLO_R clo_tee_tdx_quote_by_vsock(const uint8_t td_report[1024], clo_buf *quote);
/** The same conversation over a connected stream socket. */
CLO_R clo_tee_tdx_quote_over(int fd, const uint8_t td_report[1024], clo_buf *quote);
/** The quote within the service's answer (without its length prefix), borrowed. Errors: TRUNCATED, TRAILING, MALFORMED, AGAIN, DENIED. */
CLO_R clo_tee_tdx_quote_answer(clo_span message, clo_span *quote);

#ifdef __cplusplus
}
#endif
#endif
