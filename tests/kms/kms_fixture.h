/* A small world around one key service: two owners, an analyst, a log with its witness, a software TEE, runtimes that ask for
 * keys. */
#ifndef CLO_KMS_FIXTURE_H
#define CLO_KMS_FIXTURE_H
#include "cmocka_all.h"

#include "kms/kms_int.h"
#include "tee/sim_device.h"

typedef struct {
    clo_arena arena;
    char directory[256]; /* temporary; holds the TEE's root and the homes */
    clo_tee_sim *tee;
    clo_collab_identity a, b, analyst; /* a owns the key service under test */
    clo_crypto_private_key log_key, witness_key;
    uint8_t measurement[48];
    clo_os_clock_manual_state time;
    clo_os_clock clock;
    unsigned homes;
    /* the service under test */
    char home[300];
    clo_kms *kms;
    clo_key32 dek;
    clo_collab_manifest manifest_a, manifest_b;
    clo_span manifest_a_bytes, manifest_b_bytes;
    clo_collab_agreement *g;
    clo_span file, proof;
} world;

/* What differs from the usual agreement. Zero = usual. */
typedef struct {
    int epoch;
    const uint8_t *prev, *lineage;
    const char *budget, *price;       /* "0.05", "0.01" */
    int count_max;                    /* 100 */
    int64_t not_after;                /* + 30 days */
    const char *window;               /* extra lines of the run "means" */
    int lease;                        /* 60 */
    const uint8_t *hpke;              /* the service's key */
    const clo_collab_identity *owner; /* a */
    const char *title;
    const char *runtime;              /* more members of the runtime's map: ", chips: [...]" */
    bool simulated_forbidden;         /* a production agreement: it names real hardware only */
} terms;

typedef struct {
    clo_crypto_private_key sign;
    clo_crypto_public_key sign_public;
    clo_crypto_hpke_private hpke;
    clo_crypto_hpke_public hpke_public;
    uint8_t leaf[32];
} runtime;

/* A release message under construction: change what you like, then message_finish. */
typedef struct {
    runtime *who;
    clo_collab_run_request request;
    const clo_collab_identity *signer;
    clo_collab_release_request m;
    uint8_t measurement[48], report_data_twist;
    clo_kms_channel channel;
    bool channel_proof_wrong;
} message;

void world_open(world *w);
void world_close(world *w);
/* Set-up and end of a group of tests that share one world: group_open, group_close. */
#define WORLD_GROUP(name)                                                                                                        \
    static int group_open(void **state)                                                                                          \
    {                                                                                                                            \
        (void)state;                                                                                                             \
        world_open(&(name));                                                                                                     \
        return 0;                                                                                                                \
    }                                                                                                                            \
    static int group_close(void **state)                                                                                         \
    {                                                                                                                            \
        (void)state;                                                                                                             \
        world_close(&(name));                                                                                                    \
        return 0;                                                                                                                \
    }
/** A fresh home with an opened service, the agreement of `t` (NULL: usual), both manifests, the imported key. */
void world_begin(world *w, const terms *t);
void world_end(world *w);
/** Close and open the service again, as after a crash. */
void world_restart(world *w);
clo_collab_agreement *world_agreement(world *w, const terms *t, clo_span *file, clo_span *proof);
clo_span world_sign(world *w, const clo_collab_agreement *g, const clo_collab_identity *const *who, size_t count);
clo_span world_prove(world *w, clo_span file, bool witnessed);
/** Another sealed version of a's dataset, with its key. */
void world_dataset(world *w, const clo_collab_identity *owner, const char *name, clo_key32 *dek, clo_collab_manifest *m,
                   clo_span *bytes);
void world_import(world *w, const clo_collab_manifest *m, clo_span bytes, const clo_key32 *dek);
const char *world_hex(world *w, const void *p, size_t n);

void runtime_make(runtime *r);
/** A message that the service accepts: fresh run id, fresh nonce. */
void message_begin(world *w, message *m, runtime *who);
/** Sign, attest, prove the channel, encode. */
clo_span message_finish(world *w, message *m);
/** begin + finish + release; the reply must be good. run_id receives the run's. */
void release_ok(world *w, runtime *who, message *m, clo_collab_release_reply *reply);

/** The commit message of a released run; change the token first if you like. */
void token_begin(world *w, const message *m, clo_collab_release_token *t);
clo_span commit_finish(world *w, const message *m, const clo_collab_release_token *t, const runtime *signer,
                       const clo_key32 *share);

/** The call must fail with this code, and its denial must be of this claim, with all five words. */
void assert_claim(clo_err e, uint32_t code, const char *claim);
/** The ledger holds; entries = without the one of each release. */
void assert_ledger(world *w, uint64_t entries, uint64_t open);
/** spent and reserved of a's dataset, as texts. */
void assert_balance(world *w, const char *spent, const char *reserved);
#endif
