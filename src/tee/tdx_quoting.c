/* QGS messages (Intel DCAP, "qgs_msg_lib"): be32 length ‖ header {u16 major, u16 minor, u32 type, u32 size, u32 error} ‖ body, little-endian.
 * Request (type 0): u32 report size, u32 id list size, report. Answer (type 1): u32 id size, u32 quote size, id, quote. */
#include "tee/tdx_quoting.h"

#include "base/clo_rd.h"
#include "tee/tdx_guest.h"
#include "tee/tee_int.h"

#include <linux/vm_sockets.h>
#include <sys/socket.h>

enum { QGS_MAJOR = 1, QGS_REQUEST = 0, QGS_ANSWER = 1, QGS_HEADER = 16, QGS_TIMEOUT_MS = 30 * 1000, QGS_ERROR_BUSY = 0x1200a };

CLO_R clo_tee_tdx_quote_answer(clo_span message, clo_span *quote)
{
    clo_rd r = clo_rd_init(message);
    uint16_t major = clo_rd_u16le(&r);
    (void)clo_rd_u16le(&r);
    uint32_t type = clo_rd_u32le(&r);
    uint32_t size = clo_rd_u32le(&r);
    uint32_t error = clo_rd_u32le(&r);
    CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the quoting service's answer has no header");
    CLO_CHECKF(major == QGS_MAJOR && type == QGS_ANSWER && size == message.n, CLO_E_MALFORMED, "the quoting service's answer is no answer to a request for a quote");
    CLO_CHECKF(error != QGS_ERROR_BUSY, CLO_E_AGAIN, "the quoting service is busy; try again later");
    CLO_CHECKF(error == 0, CLO_E_DENIED, "the quoting service gives no quote (error 0x%x)", error);
    uint32_t id_size = clo_rd_u32le(&r);
    uint32_t quote_size = clo_rd_u32le(&r);
    (void)clo_rd_span(&r, id_size);
    clo_span found = clo_rd_span(&r, quote_size);
    CLO_TRY(clo_rd_end(&r));
    CLO_CHECKF(found.n != 0 && found.n < CLO_TEE_TSM_REPORT_MAX, CLO_E_MALFORMED, "the quoting service's quote has %zu bytes", found.n);
    *quote = found;
    return CLO_OK;
}

static clo_err request_put(clo_buf *out, const uint8_t td_report[1024])
{
    uint32_t size = QGS_HEADER + 8 + CLO_TEE_TDREPORT_SIZE;
    CLO_TRY(clo_buf_put_u32be(out, size));
    CLO_TRY(clo_buf_put_u32le(out, QGS_MAJOR)); /* major 1, minor 0 */
    CLO_TRY(clo_buf_put_u32le(out, QGS_REQUEST));
    CLO_TRY(clo_buf_put_u32le(out, size));
    CLO_TRY(clo_buf_put_u32le(out, 0));
    CLO_TRY(clo_buf_put_u32le(out, CLO_TEE_TDREPORT_SIZE));
    CLO_TRY(clo_buf_put_u32le(out, 0));
    return clo_buf_put(out, td_report, CLO_TEE_TDREPORT_SIZE);
}

CLO_R clo_tee_tdx_quote_over(int fd, const uint8_t td_report[1024], clo_buf *quote)
{
    CLO_AUTO(clo_buf_free) clo_buf message;
    uint8_t head[4], *at = NULL;
    clo_span found;
    clo_buf_init(&message, CLO_TEE_QGS_MESSAGE_MAX);
    CLO_TRY(request_put(&message, td_report));
    CLO_TRY(clo_tee_write_exact(fd, -1, QGS_TIMEOUT_MS, message.p, message.len));
    CLO_TRY(clo_tee_read_exact(fd, -1, QGS_TIMEOUT_MS, head, sizeof head, NULL));
    clo_rd r = clo_rd_init(clo_span_of(head, sizeof head));
    uint32_t n = clo_rd_u32be(&r);
    CLO_CHECKF(n >= QGS_HEADER && n <= CLO_TEE_QGS_MESSAGE_MAX, CLO_E_MALFORMED, "the quoting service announced %u bytes", n);
    clo_buf_clear(&message);
    CLO_TRY(clo_buf_reserve(&message, n, &at));
    CLO_TRY(clo_tee_read_exact(fd, -1, QGS_TIMEOUT_MS, at, n, NULL));
    message.len = n;
    CLO_TRY(clo_tee_tdx_quote_answer(clo_buf_span(&message), &found));
    return clo_buf_put_span(quote, found);
}

CLO_R clo_tee_tdx_quote_by_vsock(const uint8_t td_report[1024], clo_buf *quote)
{
    CLO_AUTO(clo_tee_fd_close) int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_port = CLO_TEE_QGS_PORT, .svm_cid = VMADDR_CID_HOST};
    CLO_CHECKF(fd >= 0 && connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address) == 0, CLO_E_UNREACHABLE,
               "no quoting service answers on vsock port %d of the host", (int)CLO_TEE_QGS_PORT);
    return clo_tee_tdx_quote_over(fd, td_report, quote);
}
