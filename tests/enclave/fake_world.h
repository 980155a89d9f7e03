/* A small world for runs of the runtime: two owners with key services that live in the host's thread (TLS over memory), an analyst, a log
 * with a witness, a software TEE, and a host that can be told to misbehave. Every misbehaviour is really carried out on the bytes. */
#ifndef CLO_TEST_FAKE_WORLD_H
#define CLO_TEST_FAKE_WORLD_H
#include "collab/run.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "crypto/tls.h"
#include "enclave/enclave.h"
#include "os/process.h"
#include "tee/sim_device.h"

typedef enum {
    FAULT_NONE,
    FAULT_PIN,             /* the server's key is not the one that the agreement names */
    FAULT_DEK,             /* the key service holds another key */
    FAULT_CHUNK_SWAP,      /* north's chunk is served for south's */
    FAULT_CHUNK_FLIP,
    FAULT_CHUNK_SHORT,
    FAULT_ROOT,            /* the owner signed, and the analyst asked for, a version that the chunks do not have */
    FAULT_CANCEL,          /* while computing */
    FAULT_DENY_RELEASE,
    FAULT_DENY_COMMIT,
    FAULT_AGREEMENT_FLIP,
    FAULT_UNSIGNED,        /* south did not sign */
    FAULT_PROOF,           /* of another object */
    FAULT_REQUEST_FLIP,
    FAULT_STRANGER,        /* the request is signed by one who may not start */
    FAULT_MANIFEST_FLIP,
    FAULT_MANIFEST_SWAP,   /* each owner's manifest in the other's place */
    FAULT_WRONG_FRAME,     /* a reply of another number */
    FAULT_TUNNEL_FLIP,     /* the host changes a byte inside TLS */
    FAULT_LEASE,           /* a lease of 1 s, and renewal is refused */
    FAULT_LOST_REPLY,      /* no fault: south's first release reply is lost with its connection */
    FAULT_SHORT_LEASE,     /* no fault: leases of 30 s, so that the runtime renews at every occasion */
    FAULT_CLOCK,           /* south's clock is a day ahead */
    FAULT_WAIT,            /* no fault: north keeps its share back until south has committed */
    FAULT_BUSY,            /* north is too busy to commit, and says so without more */
    FAULT_BUSY_ONCE,       /* no fault: only the first time */
    FAULT_SILENT,          /* no fault: an agreement without telemetry */
    FAULT_OTHER_ROWS,      /* no fault: all rows are as different from the usual ones as the schema allows */
    FAULT_RESEAL,          /* the key is sealed for another run */
    FAULT_NO_START,        /* the host sends PROGRESS first */
    FAULT_MIN_ROWS,
    FAULT_STRICT,          /* no fault where the kernel grants every layer: the agreement tolerates the absence of none */
} fault;

enum { OWNERS = 2 };
typedef struct {
    clo_collab_identity identity;
    clo_key32 kms_secret;
    uint8_t kms_public[32];
    clo_crypto_tls_context *context;
    uint8_t spki[32];
    clo_key32 dek;
    clo_buf table, sealed, manifest;
    clo_collab_manifest m;
    /* one session */
    clo_crypto_tls *tls;
    clo_buf in;
    uint8_t nonce[CLO_NONCE];
    unsigned releases, renewals, commits;
    bool hangs_up, was_busy;
} fake_owner;

typedef struct {
    fault fault;
    clo_arena arena;
    fake_owner owners[OWNERS];
    clo_collab_identity analyst;
    clo_collab_agreement *g;
    clo_buf file, proof, request;
    clo_collab_run_request asked;
    clo_tee_sim *device; /* shared by all worlds */
    uint8_t measurement[48], host_data[32];
    clo_err served; /* of the key services: an unexpected failure in the fake itself */

    /* what the runtime said */
    clo_enclave_evidence evidence;
    clo_buf evidence_bytes, output, statement;
    clo_buf commits[OWNERS];
    clo_enclave_failed failure;
    uint64_t counted; /* sum of all totals in PROGRESS */
    size_t prepared_count; /* commit requests that the host was given */
    clo_buf heard;         /* number and size of each frame but those of TLS and progress */
    clo_buf hidden;        /* … and the statement, which the commit replies show */
    bool finished, failed;
    clo_os_process_end end;
    char sandbox[CLO_ENCLAVE_TEXT_MAX];
    unsigned phases; /* bit per phase seen */
    uint64_t rows;
    double seconds;
} fake_world;

/* The file that is started as the runtime; NULL = this very program (fake_runtime_main). */
extern const char *fake_world_program;
/** It, open for reading. */
int fake_world_program_open(void);

/** Build everything for a run ("count" = sql, "learn" = train) with rows_each rows per owner. */
void fake_world_make(fake_world *w, fault f, const char *run, uint64_t rows_each);
/** What a run before this one left: replies, output, sessions. */
void fake_world_forget(fake_world *w);
/** Start the runtime and be its host until it ends. A world can be run again. */
void fake_world_run(fake_world *w);
/** Combine the shares of a finished run as the analyst and give the content back. */
void fake_world_open(fake_world *w, clo_buf *plain);
void fake_world_free(fake_world *w);

/** To be called first in main: where this process was started as the runtime, run it and exit. */
void fake_runtime_main(int argc, char **argv);
#endif
