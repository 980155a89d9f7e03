/* The device boundary of every guest: paths and system calls, so that tests can stand in for the kernel. */
#ifndef CLO_TEE_GUEST_HOST_H
#define CLO_TEE_GUEST_HOST_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include <sys/types.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The defaults (clo_tee_guest_system) are the kernel's. */
typedef struct {
    const char *tsm_directory;     /* /sys/kernel/config/tsm/report */
    const char *sev_device;        /* /dev/sev-guest */
    const char *tdx_device;        /* /dev/tdx_guest */
    const char *nsm_device;        /* /dev/nsm */
    const char *gramine_directory; /* /dev/attestation */
    const char *optee_device;      /* /dev/tee0 */
    int (*make_directory)(const char *path, mode_t mode);
    int (*remove_directory)(const char *path);
    int (*open_file)(const char *path, int flags);
    int (*control)(int fd, unsigned long request, void *argument); /* ioctl */
    void (*pause_ms)(unsigned ms);                                 /* between retries */
    /* TDX without configfs-tsm: who turns a TDREPORT into a quote (tdx_quoting.h); NULL = nobody. Errors: UNREACHABLE, MALFORMED, AGAIN. */
    clo_err (*td_quote)(const uint8_t td_report[1024], clo_buf *quote);
} clo_tee_guest_host;
extern const clo_tee_guest_host clo_tee_guest_system;

/* configfs-tsm (Linux >= 6.7, Documentation/ABI/testing/configfs-tsm): reports of whichever TEE the kernel found. */
enum { CLO_TEE_TSM_REPORT_MAX = 32 * 1024, CLO_TEE_TSM_AUXILIARY_MAX = 64 * 1024 };
/** Does this machine's configfs-tsm serve the TEE with this kernel name ("sev_guest", "tdx_guest")? */
bool clo_tee_tsm_serves(const clo_tee_guest_host *host, const char *provider);
/** A report over these 64 bytes, appended to `report`; what the kernel has beside it (the certificate table of SNP) to `auxiliary`, which may
 *  be NULL. Errors: UNREACHABLE (no configfs-tsm, or it serves another TEE), AGAIN (others wrote the same entry in every try), TOO_LARGE, IO. */
CLO_R clo_tee_tsm_report(const clo_tee_guest_host *host, const char *provider, const uint8_t report_data[64], clo_buf *report, clo_buf *auxiliary);

#ifdef __cplusplus
}
#endif
#endif
