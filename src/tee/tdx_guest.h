/* Intel TDX guests: quotes by configfs-tsm; where that is absent the TDREPORT by /dev/tdx_guest, which only a quoting service on the same
 * host can turn into something that others can check. */
#ifndef CLO_TEE_TDX_GUEST_H
#define CLO_TEE_TDX_GUEST_H
#include "tee/guest_host.h"
#include "tee/tee.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_TEE_TDREPORT_SIZE = 1024 };
/** The guest device, or a configfs-tsm that serves TDX. */
bool clo_tee_tdx_present(const clo_tee_guest_host *host);
/** TDG.MR.REPORT over these 64 bytes (ioctl of linux/tdx-guest.h). Errors: UNREACHABLE (no such device), AGAIN (busy in every try), IO,
 *  MALFORMED (over other data). */
CLO_R clo_tee_tdx_report(const clo_tee_guest_host *host, const uint8_t report_data[64], uint8_t td_report[CLO_TEE_TDREPORT_SIZE]);
/** Evidence bundle {tee "tdx", report: the quote}. Errors also: UNSUPPORTED (a TDREPORT, but nobody who turns it into a quote). */
CLO_R clo_tee_tdx_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
