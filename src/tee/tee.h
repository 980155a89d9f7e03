/* The attester: where evidence comes from on each platform. Guest half; the enclave links it. */
#ifndef CLO_TEE_H
#define CLO_TEE_H
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/* One platform. Providers are const tables; `device` is the inherited descriptor of the software TEE, -1 elsewhere. */
typedef struct clo_tee_provider {
    const char *name; /* "sim", "snp" */
    bool (*probe)(int device);
    /** Evidence bundle (attest.h) over these 64 bytes, appended to out. Errors: UNREACHABLE, CLOSED, TIMEOUT (the device), AGAIN
     *  (others use it at the same time), MALFORMED (what it answered). */
    clo_err (*evidence)(int device, const uint8_t report_data[64], clo_buf *out);
    /** A key that only this measurement on this machine can derive, bound to `context`. */
    clo_err (*derive_sealing_key)(int device, clo_span context, clo_key32 *out);
    /** One line for people: what protects, and what does not. */
    const char *(*describe)(void);
} clo_tee_provider;

/** The software TEE: asks the simulated device on descriptor `device`. It gives no protection from the operator. */
extern const clo_tee_provider clo_tee_provider_sim;
/** AMD SEV-SNP: configfs-tsm, else /dev/sev-guest; certificates from the auxiliary blob. The device boundary is in snp_guest.h. */
extern const clo_tee_provider clo_tee_provider_snp;
/** The provider of this machine: sim only where `device` >= 0, else the first that probes; NULL where none. */
const clo_tee_provider *clo_tee_find(int device);

#ifdef __cplusplus
}
#endif
#endif
