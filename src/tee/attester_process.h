/* A process of its own for a hardware TEE's device. The runtime shuts itself into a sandbox that denies every path and device call before it has
 * any secret; this process, made before that, keeps them and does nothing but ask the device for what the runtime sends it. */
#ifndef CLO_TEE_ATTESTER_PROCESS_H
#define CLO_TEE_ATTESTER_PROCESS_H
#include "tee/tee.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Start it. `foreign` are descriptors that it must not keep. *fd is given to the caller: a line that speaks as the software TEE's device does
 *  (sim_device.h), so clo_tee_provider_sim's verbs are how to ask; closing it ends the process, as the caller's end does. A device that fails
 *  is an empty answer (IO). Call it while there is one thread and no secret. Errors: IO. */
CLO_R clo_tee_attester_start(const clo_tee_provider *provider, const int *foreign, size_t foreign_count, int *fd);

#ifdef __cplusplus
}
#endif
#endif
