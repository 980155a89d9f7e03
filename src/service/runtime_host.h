/* The operator's half of a run: start the measured runtime, speak the host protocol with it, forward its bytes.
 *
 * The host learns nothing: what it forwards is TLS between runtime and key services, what it reads for the runtime is ciphertext. */
#ifndef CLO_SERVICE_RUNTIME_HOST_H
#define CLO_SERVICE_RUNTIME_HOST_H
#include "enclave/frames.h"
#include "tee/sim_device.h"
#ifdef __cplusplus
extern "C" {
#endif

/* What the host does for the runtime; each may fail, and the failure is told to the runtime. `context` is the caller's. */
typedef struct {
    /** Append exactly the sealed bytes of these chunks. */
    clo_err (*fetch)(void *context, const clo_enclave_fetch *m, clo_buf *out);
    /** Host and port of an owner's key service. */
    clo_err (*address)(void *context, const char *owner, char host[256], uint16_t *port);
    void (*evidence)(void *context, const clo_enclave_evidence *m);
    void (*progress)(void *context, const clo_enclave_progress *m);
    clo_err (*output)(void *context, const clo_enclave_output *m);
    /** The commit requests, before the first is sent; they must be durable on return. NULL = not kept. */
    clo_err (*prepared)(void *context, const clo_enclave_prepared *m);
    clo_err (*finish)(void *context, const clo_enclave_finish *m);
    void (*failed)(void *context, const clo_enclave_failed *m);
    /** Asked about twice a second: end this run? */
    bool (*cancelled)(void *context);
    void *context;
} clo_service_host_ops;

typedef struct {
    const char *enclave_path;     /* the runtime's executable */
    const clo_tee_sim *sim;       /* the software TEE's device */
    const clo_enclave_start *start;
    clo_service_host_ops ops;
} clo_service_host_options;

/** Run one runtime to its end on the calling thread. Success: FINISH came and `finish` agreed. Else the runtime's failure with its denial, or CLOSED
 *  ("the runtime was lost"), CANCELLED, NOT_FOUND (no executable). The process is gone on return. */
CLO_R clo_service_host_run(const clo_service_host_options *options);

/** Measurement of the runtime's executable, from the file. */
CLO_R clo_service_host_measure(const char *enclave_path, uint8_t measurement[48]);

#ifdef __cplusplus
}
#endif
#endif
