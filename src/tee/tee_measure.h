/* Launch measurements, computed offline from the artefact: what the platform will say of a program once it is started. */
#ifndef CLO_TEE_MEASURE_H
#define CLO_TEE_MEASURE_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/** The software TEE's measurement of an executable: SHA-384("cloister/v1 sim launch" ‖ 0 ‖ SHA-384(file bytes)), read from an open regular
 *  file from its start (the descriptor's position stays). Errors: IO, TOO_LARGE (1 GiB). */
CLO_R clo_tee_sim_measure_fd(int fd, uint8_t out[48]);
/** The same from a path. Errors also: NOT_FOUND. */
CLO_R clo_tee_measure_sim(const char *path, uint8_t out[48]);
/** The same from bytes in memory. */
CLO_R clo_tee_sim_measure_bytes(clo_span file, uint8_t out[48]);

#ifdef __cplusplus
}
#endif
#endif
