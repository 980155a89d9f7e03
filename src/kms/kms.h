/* The key service of one data owner: it keeps the keys of the owner's datasets and gives them to exactly the runtime, run and
 * agreement that the owner has signed, in two phases.
 *
 * Invariants (each has a test):
 *  - no key leaves before its nonce, run id, reservation and release record are durable (SQLite, WAL, synchronous=FULL);
 *  - a run id is released to one runtime signing key, once and for ever; a nonce counts once;
 *  - the ledger is append-only and hash-chained; each reservation ends in exactly one of commit or expire;
 *  - spent + reserved of a dataset never exceeds min(agreement's term, smallest limit ever seen or explicitly raised);
 *  - where witnesses are set, no share of an output leaves before all of them cosigned the entry that paid for it, and nothing is
 *    released or committed on a ledger that one of them knows longer or otherwise;
 *  - the service's time never goes back; a jump of the host's clock refuses, it never allows;
 *  - a release needs a checkpoint of the agreement's log that its witnesses cosigned at most CLO_KMS_WITNESSED_SECONDS ago: who
 *    cuts the service from log and witnesses ends its releases;
 *  - every refusal names claim, expected, actual, source, remedy.
 *
 * Thread safety: every function that takes a `clo_kms` may be called by any number of threads, except open and free. Writers
 * that arrive together share one transaction (group commit). */
#ifndef CLO_KMS_H
#define CLO_KMS_H
#include "collab/run.h"
#include "os/clock.h"
#include "wire/note.h"
#ifdef __cplusplus
extern "C" {
#endif

enum {
    CLO_KMS_NONCE_SECONDS = 60,
    CLO_KMS_CLOCK_JUMP_SECONDS = 600, /* wall clock may run ahead of the monotonic one by this much */
    CLO_KMS_WITNESSED_SECONDS = 600,  /* no release on a checkpoint that the witnesses cosigned longer ago */
    CLO_KMS_DENIALS_MAX = 10000,
    CLO_KMS_ID = 33, /* hex of a 16-byte id, with its end */
};

typedef struct clo_kms clo_kms;

/* ---- the service itself ---- */

/** Make the home of a new key service: identity (HPKE key, nonce key, first KEK; file identity.kms, 0600), the pinned owner
 * (owner.pin) and the database. Errors: EXISTS (home is one already), IO. */
CLO_R clo_kms_init(const char *home, const clo_collab_party *owner);
/** Open a home: takes its lock, checks the ledger's chain, ends leases that ended meanwhile. clock NULL = the machine's
 * (borrowed). Given to the caller. Errors: NOT_FOUND (no such home), CONFLICT (another process serves it), DATABASE (tampered or
 * broken). */
CLO_R clo_kms_open(clo_kms **out, const char *home, const clo_os_clock *clock);
void clo_kms_free(clo_kms **kms);
/** The owner; borrowed. */
const clo_collab_party *clo_kms_owner(const clo_kms *kms);
/** SHA-256 of the owner's signing key. */
const uint8_t *clo_kms_owner_kid(const clo_kms *kms);
/** Public HPKE key: DEKs and output-key shares are sealed to it. */
const uint8_t *clo_kms_hpke(const clo_kms *kms);
/** The service's time: never goes back, advances at least with the monotonic clock. Errors: DENIED claim clock.wall where the
 * host's clock jumped ahead. */
CLO_R clo_kms_now(clo_kms *kms, int64_t *now);
/** A member of any registered agreement by the key identifier of a token. Errors: UNAUTHENTICATED. */
CLO_R clo_kms_party_find(clo_kms *kms, const uint8_t kid[32], clo_collab_party *out);

/* ---- key encryption keys and data keys ---- */

typedef enum {
    CLO_KMS_KEY_ENABLED,
    CLO_KMS_KEY_DISABLED,
    CLO_KMS_KEY_REVOKED,
    CLO_KMS_KEY_DESTROYED,
    CLO_KMS_KEY_STATES
} clo_kms_key_state;
const char *clo_kms_key_state_name(clo_kms_key_state s);
typedef enum {
    CLO_KMS_KEY_ENABLE,
    CLO_KMS_KEY_DISABLE,
    CLO_KMS_KEY_REVOKE,
    CLO_KMS_KEY_DESTROY,
    CLO_KMS_KEY_VERBS
} clo_kms_key_verb;
typedef struct {
    char id[CLO_KMS_ID];
    char name[64]; /* of the dataset */
    uint8_t dataset[32], version[32];
    clo_kms_key_state state;
    int64_t created, changed;
    int64_t kek_version;
} clo_kms_key;

/** Take in {manifest, digest of the rows, sealed DEK} (collab/key_import.h): the manifest must be the owner's, the DEK must match its
 * commitment. The same import again is success; another DEK for the same version is CONFLICT. Rows that came under another dataset
 * before are refused (claim dataset.rows): their budget is there. */
CLO_R clo_kms_key_import(clo_kms *kms, clo_span message, clo_kms_key *out);
/** All keys, newest first; array owned by the arena. */
CLO_R clo_kms_key_list(clo_kms *kms, clo_arena *a, clo_kms_key **out, size_t *count);
/** Change a key's state: enabled <-> disabled; revoked is final but for destroy; destroyed erases the wrapped key and is final.
 *  Errors: NOT_FOUND, CONFLICT (no such transition). */
CLO_R clo_kms_key_change(clo_kms *kms, const char *id, clo_kms_key_verb verb, clo_kms_key *out);
/** New KEK version: rewraps every data key, then destroys the KEKs that wrap nothing any more. *version = the new one. */
CLO_R clo_kms_kek_rotate(clo_kms *kms, int64_t *version);
typedef struct {
    int64_t version;
    clo_kms_key_state state; /* enabled, disabled, destroyed */
} clo_kms_kek;
CLO_R clo_kms_kek_list(clo_kms *kms, clo_arena *a, clo_kms_kek **out, size_t *count);

/* ---- agreements ---- */

typedef struct {
    uint8_t id[32], lineage[32];
    char title[256];
    int64_t epoch, not_after;
    clo_collab_agreement_state state; /* as of now: expiry counted in */
    bool superseded;                  /* a later epoch of the lineage is known */
    uint32_t resumes_missing;         /* bit per member that must still order "resume"; 0 unless suspended */
    int64_t resume_from;              /* a resume counts if it was signed then or later; 0 unless suspended */
    bool late;                        /* answer to an order: this resume was signed earlier, and does not count */
} clo_kms_agreement;
/** Register a signed file: complete signatures, the pinned owner among the members under its own key, this service's HPKE key in
 * it, a proper amendment where its predecessor is known, epoch not below the lineage's. A release registers an unknown agreement
 * by the same rule. The same file again is success. */
CLO_R clo_kms_agreement_submit(clo_kms *kms, clo_span file, clo_kms_agreement *out);
/** Newest first. viewer = key identifier of a party: only agreements that it is a member of; NULL = all. */
CLO_R clo_kms_agreement_list(clo_kms *kms, clo_arena *a, const uint8_t *viewer, clo_kms_agreement **out, size_t *count);
/** A member's signed order. stop: any one, at once; terminate: any one, for ever; resume: counts once every member has ordered it
 * after the last stop: it arrived later, and was signed no earlier than that one arrived. A party's sequence must rise. Errors: NOT_FOUND (agreement unknown here), REPLAYED,
 * CONFLICT (terminated). */
CLO_R clo_kms_order(clo_kms *kms, clo_span order, clo_kms_agreement *out);

/* ---- release in two phases ---- */

/** A single-use nonce: version (1) ‖ be64 milliseconds ‖ 16 random bytes ‖ first 15 bytes of SHA-256(service's HPKE key ‖ owner
 * kid) ‖ HMAC-SHA-256 over what precedes. Stateless until a release uses it. */
CLO_R clo_kms_nonce(clo_kms *kms, uint8_t out[CLO_NONCE]);

/* What the transport knows about the session that a message came on. */
typedef struct {
    bool have_exporter, have_client, have_server;
    uint8_t exporter[32];
    uint8_t client_spki[32];
    uint8_t server_spki[32];
} clo_kms_channel;

/** Phase one: body of POST /v1/release -> body of the reply, appended to `reply` (only after COMMIT). Every failure is noted for
 *  clo_kms_explain by the caller (clo_kms_denial_note). Denials: nonce.*, channel.*, agreement.*, log.*, run.*, dataset.*, key.*,
 *  evidence.*, budget.rho, clock.*. */
CLO_R clo_kms_release(clo_kms *kms, clo_span body, const clo_kms_channel *channel, clo_buf *reply);
/** Renewal: the same message with a fresh nonce and fresh evidence by the same runtime keys; the reply has no keys, its expires
 * is the new end of the lease. Errors also: NOT_FOUND (no such release), EXPIRED, CONFLICT (committed). */
CLO_R clo_kms_renew(clo_kms *kms, clo_span body, const clo_kms_channel *channel, clo_buf *reply);
/** Phase two: body of POST /v1/commit -> encoded commit reply. The identical token again gets the identical reply; another one
 * CONFLICT; after the lease EXPIRED; under a stopped agreement DENIED. Where the witnesses of the ledger cannot be asked the spend is
 * recorded and the reply is kept back: AGAIN with claim ledger.witness, ask again. No other failure has that claim. Until the witnesses have
 * confirmed the ledger once since the start, a refusal is AGAIN with claim ledger.confirmed: a newer copy may know better. */
CLO_R clo_kms_commit(clo_kms *kms, clo_span body, clo_buf *reply);
/** The commit reply of a run once more (its shares are HPKE-sealed to their recipients). Errors: AGAIN as there, NOT_FOUND (not committed,
 * or unknown); where a commit would be refused, too: EXPIRED, DENIED as there. */
CLO_R clo_kms_shares(clo_kms *kms, const uint8_t run_id[16], clo_buf *reply);
/** End the leases that are over: each becomes one `expire` entry per dataset (refund). Call it every second or so. *ended may be
 * NULL. */
CLO_R clo_kms_sweep(clo_kms *kms, size_t *ended);

/* ---- budget and ledger ---- */

typedef struct {
    char name[64]; /* as last seen in an agreement */
    uint8_t dataset[32];
    clo_dp_rational limit; /* lifetime */
    clo_dp_rational spent, reserved, left;
    double delta;
    double epsilon_limit, epsilon_spent, epsilon_left; /* for people: clo_dp_zcdp_epsilon at delta of limit, spent, left */
    uint64_t run_count;                                /* committed */
} clo_kms_budget;
/** viewer = key identifier of a party: only datasets of agreements that it is a member of; NULL = all. */
CLO_R clo_kms_budget_list(clo_kms *kms, clo_arena *a, const uint8_t *viewer, clo_kms_budget **out, size_t *count);
/** The owner's explicit word: set the lifetime limit of a dataset (may raise it; agreements only ever lower it). */
CLO_R clo_kms_budget_set(clo_kms *kms, const uint8_t dataset[32], clo_dp_rational limit);

typedef enum {
    CLO_KMS_ENTRY_RESERVE = 1,
    CLO_KMS_ENTRY_COMMIT = 2,
    CLO_KMS_ENTRY_EXPIRE = 3,
    CLO_KMS_ENTRY_LIMIT = 4,
    CLO_KMS_ENTRY_STATE = 5
} clo_kms_entry_kind;
const char *clo_kms_entry_kind_name(clo_kms_entry_kind k);
/* A row of the ledger. hash = SHA-256("cloister/v1 ledger" ‖ 0 ‖ previous ‖ be64 seq ‖ dataset ‖ run id ‖ agreement ‖ kind (1) ‖
 * be64 num ‖ be64 den ‖ be64 time); previous of the first = 32 zero bytes. LIMIT entries (a limit set by agreement or owner) have
 * run id zero. STATE entries hold what a rollback must not undo beside budgets: an order, an amendment, a key's state, to whom a run was released;
 * rho is 0, run id the first 16 bytes of SHA-256 of what changed (the order's or agreement's bytes; key id ‖ name of its state; release id ‖ the
 * runtime's signing key), dataset zero but for keys. Where an older layout was brought forward: of "cloister/v1 ledger layout 3". */
typedef struct {
    int64_t seq;
    uint8_t dataset[32];
    uint8_t run_id[16];
    uint8_t agreement[32];
    clo_kms_entry_kind kind;
    clo_dp_rational rho;
    int64_t time;
    uint8_t previous[32], hash[32];
} clo_kms_entry;
/** Entries with seq > after, in order, at most `max` (1..1000). */
CLO_R clo_kms_ledger_list(clo_kms *kms, clo_arena *a, int64_t after, size_t max, clo_kms_entry **out, size_t *count);

typedef struct {
    bool valid;
    uint64_t entry_count;
    uint64_t reserved_count; /* reservations still open */
    uint8_t head[32];
    int64_t bad_seq;  /* first offending row, 0 where none or not a row's */
    char detail[240]; /* why it is not valid */
} clo_kms_ledger_report;
/** Independent check of a service's database file (home/kms.db), read-only, by its own code: chain, sequence, each reservation
 * ended at most once, no entry without its reservation, balances, releases and their reservations, no limit exceeded. Works
 * beside a running service. An untrue ledger is a report, not an error. */
CLO_R clo_kms_ledger_check(const char *database, clo_kms_ledger_report *out);

/* ---- witnesses of the ledger ---- */

/* The ledger is a log (RFC 6962) of this service: leaf data = a row's hash, origin "cloister-kms/" ‖ hex of the first 16 bytes of
 * SHA-256(the log's key). Witnesses remember the longest checkpoint that they cosigned: a disk that was set back is found out. */
enum { CLO_KMS_WITNESSES_MAX = 4 };
typedef struct {
    size_t count; /* 0: a rollback of this service's disk is not found out */
    clo_wire_note_key keys[CLO_KMS_WITNESSES_MAX];
    unsigned patience_ms; /* how long a commit waits for witnesses that do not answer before it says AGAIN */
    unsigned waiters_max; /* how many commits may wait at once, a third of them while witnesses do not answer: what a caller has threads for beside
                             other work. The others are told AGAIN at once. 0: any number */
    /** Ask every witness to cosign `note`, a checkpoint of `size` entries; append their signature lines. Called by one thread at a
     *  time; it may call clo_kms_ledger_consistency. Errors: CONFLICT with claim log.history where a witness knows a longer or
     *  another log, which is final; anything else is tried again. */
    clo_err (*cosign)(void *context, clo_kms *kms, clo_span note, uint64_t size, clo_buf *lines);
    void *context;
} clo_kms_witnesses;
/** Before other threads use the service. Copied. */
void clo_kms_witnesses_set(clo_kms *kms, const clo_kms_witnesses *witnesses);
/** The log's verifier key; the same for the life of a home. */
CLO_R clo_kms_ledger_key(const clo_kms *kms, clo_wire_note_key *out);
/** From within cosign: proof that the tree of old_size entries begins the one of `size`. */
CLO_R clo_kms_ledger_consistency(clo_kms *kms, uint64_t old_size, uint64_t size, clo_wire_hash *path, size_t *count);
/** Have every entry that is there now cosigned; nothing to do where they are. Call it at start and every second or so. Errors:
 *  DENIED claim ledger.rollback, AGAIN claim ledger.witness (not reached). */
CLO_R clo_kms_ledger_witness(clo_kms *kms);
typedef enum {
    CLO_KMS_WITNESSED_NONE,       /* no witness is configured */
    CLO_KMS_WITNESSED_NOT_YET,    /* not one round has held since the start: nothing is released */
    CLO_KMS_WITNESSED_CONFIRMED,  /* entry_count entries are cosigned */
    CLO_KMS_WITNESSED_ROLLED_BACK /* nothing is released or committed until the newest copy is restored */
} clo_kms_witnessed_state;
typedef struct {
    clo_kms_witnessed_state state;
    bool waiting; /* the last round failed */
    uint64_t entry_count;
    int64_t witnessed_at; /* by the witnesses' clocks; 0 = never since the start */
    clo_denial denial;    /* why, where waiting or not confirmed */
} clo_kms_witnessing;
void clo_kms_ledger_witnessing(clo_kms *kms, clo_kms_witnessing *out);

/* ---- runs as the owner sees them ---- */

typedef struct {
    uint8_t run_id[16], release_id[16];
    uint8_t agreement[32];
    int64_t epoch;
    char run[64], starter[64];
    char state[16]; /* "reserved", "committed", "expired" */
    char tee[24];
    uint8_t runtime[32], evidence[32], request[32];
    int64_t created, expires;
} clo_kms_run;
CLO_R clo_kms_run_list(clo_kms *kms, clo_arena *a, size_t max, clo_kms_run **out, size_t *count);

/* ---- denials ---- */

/** Keep the calling thread's last failure under a fresh random id, so that `explain` can tell it later. `what`: "release",
 * "commit"… Never fails: an id is given also where it could not be kept. */
void clo_kms_denial_note(clo_kms *kms, const char *what, clo_err e, char id[CLO_KMS_ID]);
typedef struct {
    char id[CLO_KMS_ID];
    int64_t time;
    char what[32], code[32], text[512];
    bool have_denial;
    clo_denial denial;
} clo_kms_denial;
/** Errors: NOT_FOUND. */
CLO_R clo_kms_explain(clo_kms *kms, const char *id, clo_kms_denial *out);

#ifdef __cplusplus
}
#endif
#endif
