/* Intel TDX seen from inside. */
#include "tee/tdx_guest.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "tee/tee_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>

/* linux/tdx-guest.h, and where a quote and a TDREPORT carry the 64 bytes. */
typedef struct {
    uint8_t report_data[64], td_report[CLO_TEE_TDREPORT_SIZE];
} report_request;
_Static_assert(sizeof(report_request) == 1088, "struct tdx_report_req");
#define TDX_CMD_GET_REPORT0 _IOWR('T', 1, report_request)
enum { TDX_TRIES = 5, QUOTE_HEADER = 48, QUOTE_MIN = 48 + 584, V5_BODY_AT = 54, BODY_REPORT_DATA = 520, TDREPORT_REPORT_DATA = 128 };

bool clo_tee_tdx_present(const clo_tee_guest_host *host)
{
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(host->tdx_device, O_RDWR | O_CLOEXEC);
    return fd >= 0 || clo_tee_tsm_serves(host, "tdx_guest");
}

CLO_R clo_tee_tdx_report(const clo_tee_guest_host *host, const uint8_t report_data[64], uint8_t td_report[CLO_TEE_TDREPORT_SIZE])
{
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(host->tdx_device, O_RDWR | O_CLOEXEC);
    CLO_CHECKF(fd >= 0, CLO_E_UNREACHABLE, "%s cannot be opened (is this a TDX guest, and may this user open it?)", host->tdx_device);
    report_request request = {.td_report = {0}};
    int status = -1;
    for (unsigned i = 0; i < TDX_TRIES && status != 0; i++) {
        if (i > 0) host->pause_ms(20u << i);
        memcpy(request.report_data, report_data, sizeof request.report_data);
        status = host->control(fd, TDX_CMD_GET_REPORT0, &request);
        bool busy = status != 0 && (errno == EBUSY || errno == EAGAIN || errno == EINTR);
        CLO_CHECKF(status == 0 || busy, CLO_E_IO, "the TDX module refused a report (error %d)", errno);
    }
    CLO_CHECKF(status == 0, CLO_E_AGAIN, "the TDX module was busy in every try; try again later");
    CLO_CHECKF(memcmp(request.td_report + TDREPORT_REPORT_DATA, report_data, TEE_REPORT_DATA) == 0, CLO_E_MALFORMED,
               "the TDREPORT is over other data than was asked for");
    memcpy(td_report, request.td_report, sizeof request.td_report);
    return CLO_OK;
}

/* The quote's own word on the 64 bytes; everything else about it is the verifier's business. */
static clo_err quote_check(clo_span quote, const uint8_t report_data[64])
{
    CLO_CHECKF(quote.n >= QUOTE_MIN, CLO_E_MALFORMED, "a TD quote of %zu bytes is too short", quote.n);
    clo_rd r = clo_rd_init(quote);
    uint16_t version = clo_rd_u16le(&r);
    CLO_CHECKF(version == 4 || version == 5, CLO_E_MALFORMED, "a TD quote of version %u is not known", version);
    size_t at = (version == 5 ? (size_t)V5_BODY_AT : (size_t)QUOTE_HEADER) + BODY_REPORT_DATA;
    CLO_CHECKF(quote.n >= at + TEE_REPORT_DATA && memcmp(quote.p + at, report_data, TEE_REPORT_DATA) == 0, CLO_E_MALFORMED,
               "the TD quote is over other data than was asked for");
    return CLO_OK;
}

CLO_R clo_tee_tdx_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf quote;
    clo_buf_init(&quote, CLO_TEE_TSM_REPORT_MAX);
    clo_err e = clo_tee_tsm_report(host, "tdx_guest", report_data, &quote, NULL);
    if (e.code == CLO_E_UNREACHABLE) {
        uint8_t td_report[CLO_TEE_TDREPORT_SIZE];
        CLO_TRY(clo_tee_tdx_report(host, report_data, td_report));
        CLO_CHECKF(host->td_quote != NULL, CLO_E_UNSUPPORTED,
                   "this kernel gives a TDREPORT but no quote; use Linux 6.7 or later (configfs-tsm), or a program that can reach the quoting service");
        clo_buf_clear(&quote);
        e = host->td_quote(td_report, &quote);
    }
    CLO_TRY(e);
    CLO_TRY(quote_check(clo_buf_span(&quote), report_data));
    clo_attest_bundle b = {.tee = "tdx", .report = clo_buf_span(&quote)};
    return clo_attest_bundle_encode(&b, out);
}

static bool tdx_probe(int device)
{
    (void)device;
    return clo_tee_tdx_present(&clo_tee_guest_system);
}

static clo_err tdx_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    return clo_tee_tdx_evidence(&clo_tee_guest_system, report_data, out);
}

static clo_err tdx_sealing_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    (void)context;
    (void)out;
    return CLO_FAILF(CLO_E_UNSUPPORTED, "TDX derives no sealing keys; have the owners' key services release them");
}

static const char *tdx_describe(void)
{
    return "Intel TDX: memory encrypted and integrity-protected against the host; no sealing keys; not against physical attacks on the memory bus";
}

const clo_tee_provider clo_tee_provider_tdx = {
    .name = "tdx",
    .probe = tdx_probe,
    .evidence = tdx_evidence,
    .derive_sealing_key = tdx_sealing_key,
    .describe = tdx_describe,
};
