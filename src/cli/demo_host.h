/* An operator gone bad: it has the operator's disk and its (software) TEE, and drives genuine or patched runtimes as it likes. */
#ifndef CLO_CLI_DEMO_HOST_H
#define CLO_CLI_DEMO_HOST_H
#include "cli/demo_world.h"
#include "service/runtime_host.h"

/* What the operator has of one agreement; made once, then only read. */
typedef struct {
    demo *d;
    clo_tee_sim *sim;
    clo_collab_agreement *agreement;
    clo_span file, proof;
    clo_span manifests[DEMO_HOSPITALS];
    clo_collab_manifest opened[DEMO_HOSPITALS];
    char blobs[DEMO_HOSPITALS][DEMO_PATH]; /* chunk streams in the operator's store */
} demo_loot;
/** Of the agreement with this id (NULL = the demo's), as registered at the operator, and the demo's three datasets. */
CLO_R demo_loot_take(demo *d, const char *agreement_id, demo_loot *out);
void demo_loot_free(demo_loot *l);

/** A run request that the analyst signs under this agreement, over the three datasets; bytes in the arena. */
CLO_R demo_request_sign(demo *d, const clo_collab_agreement *g, const char *run, clo_span *out);

/* One runtime under this host's control. */
typedef struct demo_host demo_host;
struct demo_host {
    const demo_loot *loot;
    clo_span file, proof, request; /* what START says */
    const char *detour_owner;      /* its tunnels lead to this port instead */
    uint16_t detour_port;
    /** The runtime's evidence, before the runtime sends it to any key service; then the run is cancelled. NULL = an honest host.
     */
    clo_err (*on_evidence)(demo_host *h, const clo_enclave_evidence *m);
    void *context;
    clo_err evidence_err; /* what on_evidence said, and its sentence */
    char evidence_text[400];
    bool cancel;
    /* how it ended */
    bool finished;
    clo_enclave_failed failed;
};
void demo_host_prepare(demo_host *h, const demo_loot *loot, clo_span request);
/** Run it to its end on this thread; *finished and failed say how. Errors: only where the host itself could not do its work. */
CLO_R demo_host_run(demo_host *h);

#endif
