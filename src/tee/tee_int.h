/* Shared inside tee: frames on a descriptor, SNP certificate tables, the software TEE's root. */
#ifndef CLO_TEE_INT_H
#define CLO_TEE_INT_H
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include "base/clo_own.h"
#include "base/clo_span.h"
#include "crypto/sign.h"
#include "tee/guest_host.h"

enum {
    TEE_REPORT_DATA = 64,
    TEE_REPORT_SIZE = 1184,
    TEE_BUNDLE_MAX = 64 * 1024,
    TEE_KEY_REQUEST = 33, /* 'K' ‖ SHA-256(context) */
    TEE_KEY_TAG = 'K',
};

/* Exactly n bytes. timeout_ms < 0 = for ever; stop_fd >= 0: CANCELLED when it becomes readable. *closed = the other side ended before the
 * first byte (then the call succeeds and `to` is untouched); NULL where that is an error too. */
CLO_R clo_tee_read_exact(int fd, int stop_fd, int timeout_ms, void *to, size_t n, bool *closed);
/* Never raises SIGPIPE on a socket. */
CLO_R clo_tee_write_exact(int fd, int stop_fd, int timeout_ms, const void *from, size_t n);

/* The device's end of a line (sim_device.h describes its frames). A failure of a verb is answered with an empty frame. */
typedef struct {
    const void *context;
    clo_err (*evidence)(const void *context, const uint8_t report_data[64], clo_buf *out);
    clo_err (*key)(const void *context, const uint8_t digest[32], clo_key32 *out);
} clo_tee_device;
/* Serve until the other side closes or stop_fd becomes readable. Errors: MALFORMED (a frame of another length: the line is then dead), IO. */
CLO_R clo_tee_serve(int fd, int stop_fd, const clo_tee_device *device);

void clo_tee_fd_close(int *fd);
/* A device file from its start to its end, appended. Errors: AGAIN (busy), IO, TOO_LARGE (a byte more than fits is too much already). */
CLO_R clo_tee_file_read(const clo_tee_guest_host *host, const char *path, clo_buf *out);
/* Up to n bytes of an open file, until its end. Errors: AGAIN, IO. */
CLO_R clo_tee_file_take(int fd, void *to, size_t n, size_t *have);
/* One write of all the bytes, as device files want them. Errors: AGAIN (busy), IO. */
CLO_R clo_tee_file_write(const clo_tee_guest_host *host, const char *path, clo_span bytes);

/* Certificates that an SNP host hands its guest (GHCB specification, certificate table). Spans borrowed from the table; empty = absent. */
typedef struct {
    clo_span vcek, vlek, ask, ark, crl; /* ask: the intermediate of whichever key the host uses */
} clo_tee_snp_certificates;
CLO_R clo_tee_snp_certificates_parse(clo_span table, clo_tee_snp_certificates *out);

/* What a development root's directory holds, in memory. */
typedef struct {
    clo_buf ark, ask, vcek, crl;         /* DER */
    clo_crypto_private_key vcek_key;
    clo_key32 sealing;                   /* root of sealing keys */
    uint8_t chip_id[64];
} clo_tee_sim_root_files;
void clo_tee_sim_root_wipe(clo_tee_sim_root_files *r);
/* Load, or make where the directory is not complete. One process at a time (lock file). */
CLO_R clo_tee_sim_root_open(clo_tee_sim_root_files *out, const char *directory, int64_t now);

/* SVNs of the simulated firmware; the same in certificate and report. */
enum { TEE_SIM_SVN_BOOT_LOADER = 1, TEE_SIM_SVN_TEE = 0, TEE_SIM_SVN_SNP = 1, TEE_SIM_SVN_MICROCODE = 1 };

#endif
