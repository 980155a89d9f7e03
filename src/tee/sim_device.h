/* The software TEE's "hardware": measures a program at launch and signs reports about it, in the SEV-SNP report format, under a development
 * root made per installation. It runs on the operator's side and protects nothing; it exists so that the same verifier code runs. */
#ifndef CLO_TEE_SIM_DEVICE_H
#define CLO_TEE_SIM_DEVICE_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "tee/tee_measure.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_tee_sim clo_tee_sim;
/** Open, or make on first use, the development root in `directory` (ark.der, ask.der, vcek.der, crl.der, vcek key 0600). Given to the caller. */
CLO_R clo_tee_sim_open(clo_tee_sim **out, const char *directory);
void clo_tee_sim_free(clo_tee_sim **s);
/** The root certificate (DER), to be pinned; and its SHA-256. Borrowed. */
clo_span clo_tee_sim_root(const clo_tee_sim *s);
void clo_tee_sim_root_sha256(const clo_tee_sim *s, uint8_t out[32]);
/** Evidence bundle for a program with this measurement. */
CLO_R clo_tee_sim_report(const clo_tee_sim *s, const uint8_t measurement[48], const uint8_t host_data[32], const uint8_t report_data[64],
                         clo_buf *bundle);
/** Serve requests on `fd` until the other side closes or `stop_fd` becomes readable. Runs on the caller's thread; stop_fd may be -1.
 *  Frames: be32 length ‖ body. Body of 64 bytes = report data, answered with the bundle; body of 33 bytes = 'K' ‖ SHA-256 of a context,
 *  answered with 32 bytes that only this device gives to this measurement. Errors: MALFORMED (another length: the line is then dead), IO. */
CLO_R clo_tee_sim_serve(const clo_tee_sim *s, int fd, int stop_fd, const uint8_t measurement[48], const uint8_t host_data[32]);

#ifdef __cplusplus
}
#endif
#endif
