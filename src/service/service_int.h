/* Inside of the operator's daemon. */
#ifndef CLO_SERVICE_INT_H
#define CLO_SERVICE_INT_H
#include "audit/tlog.h"
#include "client/witness_client.h"
#include "gateway/server.h"
#include "os/loop.h"
#include "service/service.h"
#include "service/verifier.h"
#include "store/store.h"
#include "tee/sim_device.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SERVICE_WITNESSES_MAX = 4, SERVICE_RUNS_MAX = 16, SERVICE_ARENA_MAX = 64 << 20, SERVICE_PROOF_MS = 15000,
       SERVICE_REFRESH_MS = 3000, SERVICE_WITNESSED_MS = 60000 /* an agreement's proof for a run is younger: key services take none that is old */ };

/* cloisterd.yaml */
typedef struct {
    char home[512], name[64], url[256], address[64], enclave[512];
    uint16_t port;
    int64_t runs_max, parties_max;
    int64_t reattest_seconds; /* between two appraisals of this platform */
    clo_crypto_public_key collateral_key; /* of collateral bundles; n = 0 where none is pinned */
    int64_t record_evidence;  /* how many pieces of evidence that parties sent are kept for replay; 0 = none */
    size_t witness_count;
    clo_client_witness witnesses[SERVICE_WITNESSES_MAX]; /* questions: the log's witness thread only */
    clo_gateway_options listen; /* limits and timeouts of "listen"; address and port stand above */
} clo_service_config;

/* A run under way: which, and whether somebody asked to end it. */
typedef struct {
    bool used, cancel;
    uint8_t id[16];
} clo_service_slot;

typedef enum { CLO_SERVICE_PLATFORM_PENDING, CLO_SERVICE_PLATFORM_VERIFIED, CLO_SERVICE_PLATFORM_FAILED } clo_service_platform;

typedef struct clo_service {
    clo_service_config config;
    const clo_os_clock *clock;
    int64_t started; /* wall time */
    clo_store *store;
    clo_audit_log *log;
    clo_gateway_hub *hub;
    clo_gateway_replay_store *replay;
    clo_gateway_buckets *registrations; /* new parties, per address */
    clo_tee_sim *sim;
    clo_crypto_private_key log_sk;
    clo_wire_note_key log_key;
    char log_vkey[512], origin[256];
    char audience[65];
    uint8_t spki[32], measurement[48];
    clo_gateway_server *server;
    clo_gateway_options listen;
    /* Scheduler: one thread per run that may be under way. */
    pthread_mutex_t lock; /* guards slots, stop; before the store's lock */
    pthread_cond_t wake, settle;
    bool stop, locks_ready;
    clo_service_slot slots[SERVICE_RUNS_MAX];
    struct clo_service_worker {
        struct clo_service *service;
        size_t index;
    } workers[SERVICE_RUNS_MAX];
    clo_os_thread *threads[SERVICE_RUNS_MAX], *settler;
    clo_gateway_metric *runs_done, *runs_failed;
    clo_service_verifier verifier;
    _Atomic int platform; /* clo_service_platform: what the last appraisal of this platform said */
    atomic_bool watch_stop;
    clo_os_thread *watcher;
} clo_service;

extern const clo_gateway_route clo_service_routes[];
extern const size_t clo_service_route_count;

/* service_config.c */
CLO_R clo_service_config_make(clo_service_config *c);               /* write home/cloisterd.yaml */
CLO_R clo_service_config_load(clo_service_config *c, const char *path); /* over the defaults in c */

/* service_state.c */
CLO_R clo_service_open(clo_service *s);
void clo_service_close(clo_service *s);
CLO_R clo_service_info(clo_service *s, clo_arena *a, clo_wire_node **out);

/* scheduler.c */
CLO_R clo_service_scheduler_start(clo_service *s);
void clo_service_scheduler_wake(clo_service *s);
void clo_service_scheduler_stop(clo_service *s);
/** End a run that is under way; false where it is not. */
bool clo_service_scheduler_cancel(clo_service *s, const uint8_t id[16]);
/** Is a worker at this run? */
bool clo_service_scheduler_has(clo_service *s, const uint8_t id[16]);
bool clo_service_stopping(clo_service *s);
void clo_service_settler_wake(clo_service *s);
/** Wait to be woken, at most so long. */
void clo_service_settler_wait(clo_service *s, unsigned seconds);

/* run_recover.c: the settler's thread. It ends runs that nobody works at: released ones get their receipt as soon as the log and its
 * witness can, those whose runtime was lost are looked up at the owners' key services. */
void clo_service_settler_run(void *service);

/* routes_agreement.c: register the orders that are stored but that a crash or a failing disk kept from the log, and let their agreements follow them.
 * What cannot be done now is told in the daemon's own log and stays open. */
void clo_service_orders_settle(clo_service *s);

/* run_execute.c: do one run that was taken from the queue; leaves it in a final state. */
void clo_service_run_execute(clo_service *s, clo_store_run *run, const bool *cancel);

/* platform_watch.c */
CLO_R clo_service_platform_start(clo_service *s);
void clo_service_platform_stop(clo_service *s);
/** One appraisal: state, history, and what follows from it. */
void clo_service_platform_check(clo_service *s);
/** No new run while the platform's attestation fails. Errors: AGAIN. */
CLO_R clo_service_platform_require(clo_service *s);

/* run_view.c */
CLO_R clo_service_run_tree(clo_arena *a, const clo_store_run *r, clo_wire_node **out);
/** Publish the run on its own topic and, where `members`, on the topic of each member of its agreement (hex of its key id). */
void clo_service_run_publish(clo_service *s, const clo_store_run *r, bool members);

/* witness_link.c */
clo_err clo_service_witness_ask(void *service, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines);

/* registration.c: see that what begins now can be recorded to its end: database and log are in their places, with room for an entry. Errors:
 * AGAIN, with the reason for whoever asks. */
CLO_R clo_service_require_records(clo_service *s);
/* Register an object in the log, once; *index >= 0. */
CLO_R clo_service_log_append(clo_service *s, const char *type, clo_span object, uint64_t *index);

#endif
