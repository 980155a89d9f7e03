/* The device boundary of SEV-SNP guests, so that tests can stand in for the kernel. */
#ifndef CLO_TEE_SNP_GUEST_H
#define CLO_TEE_SNP_GUEST_H
#include "tee/tee.h"
#include <sys/types.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Paths and system calls. The defaults (clo_tee_snp_host_system) are the kernel's. */
typedef struct {
    const char *tsm_directory; /* /sys/kernel/config/tsm/report */
    const char *guest_device;  /* /dev/sev-guest */
    int (*make_directory)(const char *path, mode_t mode);
    int (*remove_directory)(const char *path);
    int (*open_file)(const char *path, int flags);
    int (*control)(int fd, unsigned long request, void *argument); /* ioctl */
    void (*pause_ms)(unsigned ms);                                 /* between retries */
} clo_tee_snp_host;
extern const clo_tee_snp_host clo_tee_snp_host_system;

/** Evidence bundle over report_data: configfs-tsm where it is there, else the guest device. Certificates are those of the host's table;
 *  what the host leaves out is absent from the bundle, and the verifier says so. Errors: UNREACHABLE (no SNP here), AGAIN (others wrote the
 *  same entry, or the host is busy, in every try), MALFORMED (report of another length or over other data). */
CLO_R clo_tee_snp_evidence(const clo_tee_snp_host *host, const uint8_t report_data[64], clo_buf *out);
/** The guest device's derived key (measurement and policy mixed in), then HKDF over context. Errors as above. */
CLO_R clo_tee_snp_derive_key(const clo_tee_snp_host *host, clo_span context, clo_key32 *out);
bool clo_tee_snp_present(const clo_tee_snp_host *host);

#ifdef __cplusplus
}
#endif
#endif
