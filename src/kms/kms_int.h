/* Shared inside the key service. Locks, in the order in which they may be taken:
 * rotation (KEK rotation, one at a time) > commit (the queue of writers; never held over a transaction) > the writer's connection
 * (the leader's alone) > reader > cache > secrets (read-write, KEK ring) > witness > time > denials. None is held while evidence or
 * signatures are verified, or a witness is asked. */
#ifndef CLO_KMS_INT_H
#define CLO_KMS_INT_H
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "kms/kms.h"
#include "os/secmem.h"
#include <pthread.h>
#include <sqlite3.h>

/* ---- database: a connection with its prepared statements ---- */

enum { KMS_STATEMENTS_MAX = 96 };
typedef struct {
    sqlite3 *db;
    char wal_path[660];
    int wal_fd; /* of a durable one: shows whether the write-ahead log is still in its place; -1 */
    size_t statement_count;
    struct {
        const char *sql; /* the literal: compared by address */
        sqlite3_stmt *statement;
    } statements[KMS_STATEMENTS_MAX];
} kms_db;

clo_err kms_db_open(kms_db *db, const char *path, bool durable);
void kms_db_close(kms_db *db);
/** Run a statement without rows. Format letters: i int64_t, d double, t const char *, b const void * and size_t, n NULL. `sql` is
 * a literal. */
clo_err kms_db_run(kms_db *db, const char *sql, const char *format, ...);
/** Prepare and bind a query; step it with kms_db_row, end it with kms_db_end (CLO_AUTO). */
clo_err kms_db_query(kms_db *db, sqlite3_stmt **out, const char *sql, const char *format, ...);
clo_err kms_db_row(sqlite3_stmt *s, bool *row);
void kms_db_end(sqlite3_stmt **s);
/** A script of statements. */
clo_err kms_db_script(kms_db *db, const char *sql);
/** Columns, checked: DATABASE where the stored value has another type or size. */
clo_err kms_column_fixed(sqlite3_stmt *s, int column, void *to, size_t n);
clo_err kms_column_rho(sqlite3_stmt *s, int column, clo_dp_rational *out);
void kms_column_text(sqlite3_stmt *s, int column, char *to, size_t to_size);
clo_span kms_column_span(sqlite3_stmt *s, int column);
int64_t kms_column_int(sqlite3_stmt *s, int column);
extern const char kms_schema[];
/** Bring an older layout of kms.db to this program's, in one transaction. Errors: VERSION (newer, or unknown). */
clo_err kms_schema_upgrade(kms_db *db, const char *home);
extern const char kms_denials_schema[];

/* ---- secrets ---- */

enum { KMS_KEKS_MAX = 64, KMS_WRAPPED = 12 + 32 + 16 };
typedef struct {
    clo_key32 key;
    uint32_t version;
    uint8_t state; /* clo_kms_key_state: enabled wraps and unwraps, disabled unwraps, destroyed has no key */
} kms_kek;
typedef struct {
    clo_key32 hpke;
    clo_key32 nonce;
    uint32_t kek_count;
    kms_kek keks[KMS_KEKS_MAX];
} kms_secrets;

clo_err kms_secrets_make(kms_secrets *s);
/** identity.kms: container (CLOKMSID, 1) ‖ hpke secret ‖ nonce key ‖ be32 count ‖ count × {be32 version ‖ state ‖ key}. */
clo_err kms_secrets_write(const char *path, const kms_secrets *s, bool fresh);
clo_err kms_secrets_parse(clo_span file, kms_secrets *s);
clo_err kms_secrets_read(const char *path, kms_secrets *s);

/* ---- opened agreements, shared by threads ---- */

enum { KMS_CACHE_MAX = 32 };
typedef struct {
    pthread_mutex_t *lock; /* the cache lock */
    size_t references;     /* under lock */
    clo_arena arena;
    clo_collab_agreement *g;
    uint32_t signed_mask;
    uint8_t file_digest[32];
    clo_span file; /* arena */
    bool have_proof;
    uint8_t proof_digest[32]; /* the last inclusion proof that held, under lock like the next */
    uint64_t witnessed_at;
    struct {
        bool have;
        uint8_t digest[32]; /* the last manifest of this dataset whose owner's signature held, under lock */
    } manifests[CLO_DATASETS_MAX];
    uint64_t used; /* for eviction */
} kms_agreement_ref;

struct clo_kms {
    char home[512];
    int lock_fd;
    const clo_os_clock *clock;
    clo_collab_party owner;
    uint8_t owner_kid[32];
    uint8_t hpke_public[32];
    uint8_t nonce_binding[15];
    clo_os_secret secret_pages;
    kms_secrets *secrets; /* in secret_pages; keks under secrets_lock, the rest constant */
    pthread_rwlock_t secrets_lock;
    pthread_mutex_t rotation_lock;

    pthread_mutex_t commit_lock;
    pthread_cond_t commit_done;
    struct kms_job *queue_first, *queue_last;
    bool leading;
    kms_db writer;
    pthread_mutex_t reader_lock;
    kms_db reader;
    pthread_mutex_t cache_lock;
    kms_agreement_ref *cache[KMS_CACHE_MAX];
    uint64_t cache_clock;
    clo_attest_cache *collateral; /* has its own lock, taken last and over no call */
    pthread_mutex_t time_lock;
    int64_t time_now; /* at time_mono */
    uint64_t time_mono;
    int64_t time_persisted;
    pthread_mutex_t denials_lock;
    kms_db denials;
    clo_kms_witnesses witnesses; /* constant after the start */
    pthread_mutex_t witness_lock;
    pthread_cond_t witness_done;
    uint64_t witness_rounds_begun, witness_rounds_ended;
    unsigned witness_waiters; /* commits */
    clo_wire_merkle_range witness_range; /* over the entries that are cosigned; the asking thread alone */
    clo_kms_witnessing witnessing;

    /* Tests stop the process, or fail, at a named point of a write. NULL in the product. */
    clo_err (*fault)(void *context, const char *point);
    void *fault_context;
};

/* ---- group commit ---- */

/** Runs inside the transaction, on any thread; everything it changes must be in the database. now = the service's time. */
typedef clo_err (*kms_job_fn)(clo_kms *kms, kms_db *db, int64_t now, void *context);
/** Run `fn` in a transaction shared with other callers; returns after COMMIT (durable) or with its failure (nothing of it is
 * kept). */
clo_err kms_write(clo_kms *kms, kms_job_fn fn, void *context);
/** Run `fn` on the reading connection. */
clo_err kms_read(clo_kms *kms, kms_job_fn fn, void *context);
clo_err kms_fault_at(clo_kms *kms, const char *point);

/* ---- time ---- */

/** Start from the persisted maximum; *went_back tells that the wall clock is behind it. */
void kms_time_start(clo_kms *kms, int64_t persisted, bool *went_back);

/* ---- nonces ---- */

/** Which of the nonces is this service's, valid and in time (by MAC, not by place). Denials nonce.*. */
clo_err kms_nonce_find(clo_kms *kms, const clo_collab_binding *b, int64_t now, size_t *index);
/** Inside a transaction: refuse one that was used, note it as used. */
clo_err kms_nonce_use(kms_db *db, const uint8_t nonce[CLO_NONCE], int64_t now);

/** The refusal of a used nonce. */
clo_err kms_nonce_deny_used(void);

/* ---- data keys ---- */

clo_err kms_dek_wrap(clo_kms *kms, const uint8_t dataset[32], const uint8_t version[32], const clo_key32 *dek,
                     uint8_t out[KMS_WRAPPED], uint32_t *kek_version);
clo_err kms_dek_unwrap(clo_kms *kms, const uint8_t dataset[32], const uint8_t version[32], uint32_t kek_version,
                       const uint8_t wrapped[KMS_WRAPPED], clo_key32 *dek);
/** The DEK of an enabled key, read and unwrapped. Denials key.*. */
clo_err kms_dek_open(clo_kms *kms, const uint8_t dataset[32], const uint8_t version[32], clo_key32 *dek);
/** Refuse unless there is an enabled key for this version. */
clo_err kms_dek_require(kms_db *db, const uint8_t dataset[32], const uint8_t version[32], const char *name);
clo_err kms_key_id(const uint8_t dataset[32], const uint8_t version[32], char id[CLO_KMS_ID]);

/* ---- agreements ---- */

/** Open a signed file (or find it opened): complete signatures, pinned owner, this service's key. Release with
 * kms_agreement_drop. */
clo_err kms_agreement_get(clo_kms *kms, clo_span file, kms_agreement_ref **out);
/** A registered agreement by its id. Errors: NOT_FOUND. */
clo_err kms_agreement_load(clo_kms *kms, const uint8_t id[32], kms_agreement_ref **out);
void kms_agreement_drop(kms_agreement_ref **ref);
void kms_agreement_cache_free(clo_kms *kms);
/** Was this very manifest of `d`, a dataset of the agreement, verified under its owner's key before? */
bool kms_agreement_knows_manifest(kms_agreement_ref *ref, const clo_collab_dataset_terms *d, const uint8_t digest[32]);
/** Note that it was. */
void kms_agreement_note_manifest(kms_agreement_ref *ref, const clo_collab_dataset_terms *d, const uint8_t digest[32]);
/** Refuse unless `proof` shows the file in the agreement's log, with its quorum of witnesses; for a release (not a renewal, for
 * which the runtime has only the proof of its start) they must have cosigned lately. */
clo_err kms_agreement_require_logged(kms_agreement_ref *ref, clo_span proof, int64_t now, bool renewal);
/* A row of the table of agreements. */
typedef struct {
    bool found;
    clo_collab_agreement_state state;
    int64_t epoch, not_after, stopped; /* stopped: when the last stop came, or later where its signer said so */
    uint8_t lineage[32];
} kms_agreement_row;
clo_err kms_agreement_row_find(kms_db *db, const uint8_t id[32], kms_agreement_row *out);
/** The newest registered agreement of a lineage; *epoch = 0: none. */
clo_err kms_agreement_newest(kms_db *db, const uint8_t lineage[32], int64_t *epoch, uint8_t id[32]);
/** Inside a transaction: register where unknown; limits of own datasets are taken over. */
clo_err kms_agreement_register(clo_kms *kms, kms_db *db, const kms_agreement_ref *ref, int64_t now);
/** Inside a transaction or a read: refuse unless active, the newest of its lineage, not expired. Unknown counts as active where
 * `unknown_ok`. */
clo_err kms_agreement_require_active(kms_db *db, const clo_collab_agreement *g, int64_t now, bool unknown_ok);
/** This service's owner as a member; never NULL for a ref. */
size_t kms_agreement_own_index(const clo_kms *kms, const clo_collab_agreement *g);

/* ---- ledger ---- */

typedef struct {
    clo_dp_rational limit, spent, reserved;
    double delta;
    int64_t run_count;
    int64_t unit; /* every amount reserved since nothing was is a multiple of 1/unit; 0: not known yet (an older layout) */
} kms_balance;
clo_err kms_balance_get(kms_db *db, const uint8_t dataset[32], kms_balance *out, bool *found);
clo_err kms_balance_put(kms_db *db, const uint8_t dataset[32], const char *name, const kms_balance *b);
clo_err kms_ledger_append(kms_db *db, clo_kms_entry *e);
clo_err kms_ledger_hash(const clo_kms_entry *e, uint8_t out[32]);
clo_err kms_ledger_reserve(kms_db *db, const clo_collab_agreement *g, const clo_collab_dataset_terms *d, const uint8_t run_id[16],
                           clo_dp_rational rho, int64_t now);
/** End every reservation of a run by commit or expire. */
clo_err kms_ledger_end(kms_db *db, const uint8_t run_id[16], clo_kms_entry_kind kind, int64_t now);
clo_err kms_ledger_limit(kms_db *db, const uint8_t dataset[32], const char *name, double delta, const uint8_t agreement[32],
                         clo_dp_rational limit, bool raise, int64_t now);
/** Note in the ledger that something beside budgets changed, so that a rollback shows: what = its bytes, of `dataset` or NULL. */
clo_err kms_ledger_state(kms_db *db, const uint8_t *dataset, const uint8_t agreement[32], clo_span what, int64_t now);
/** Inside a transaction: end the leases that are over at `now`, or all open ones. */
clo_err kms_sweep_in(clo_kms *kms, kms_db *db, int64_t now, bool all, size_t *ended);

/* ---- releases ---- */

enum { KMS_RUN_RESERVED = 1, KMS_RUN_COMMITTED = 2, KMS_RUN_EXPIRED = 3 };
typedef struct {
    uint8_t run_id[16], release_id[16], agreement[32];
    int64_t epoch;
    char run[64], starter[64], tee[24];
    uint8_t request[32], runtime[32], hpke[32], leaf[32], evidence[32], evidence_last[32];
    int state;
    int64_t created, expires;
} kms_release;
clo_err kms_release_find(kms_db *db, const uint8_t run_id[16], kms_release *out, bool *found);
/** Refuse unless reserved and within its lease. */
clo_err kms_release_require_open(const kms_release *r, int64_t now);

/* What a release or renewal message turned out to be, everything verified that needs no transaction. */
typedef struct {
    clo_arena arena;
    clo_collab_release_request message;
    kms_agreement_ref *ref;
    const clo_collab_run_terms *terms;
    clo_collab_run_request request;
    const clo_collab_runtime *runtime;
    char tee[24];
    size_t own_member;
    size_t nonce_index;
    uint8_t evidence_digest[32];
    size_t dataset_count; /* this owner's datasets of the run */
    struct {
        const clo_collab_dataset_terms *terms;
        uint8_t version[32];
    } datasets[CLO_DATASETS_MAX];
} kms_claim;
/** Verify a message, cheap checks first. claim is large: allocate it. kms_claim_free on every path. */
clo_err kms_claim_verify(clo_kms *kms, clo_span body, const clo_kms_channel *channel, bool renewal, int64_t now, kms_claim *out);
void kms_claim_free(kms_claim *c);
/** When the run's window, or the agreement, ends: no lease goes beyond it. */
int64_t kms_claim_window_end(const kms_claim *c);

/** A member of fixed size in the payload of a COSE_Sign1 that nobody has verified yet: only to find the key that verifies it. */
clo_err kms_signed_peek(clo_span cose_bytes, const char *key, void *to, size_t n);

/* ---- witnesses ---- */

/** Refuse where the ledger is known to be rolled back; with `confirmed` also before the first round of this start has held. */
clo_err kms_witness_require_sound(clo_kms *kms, bool confirmed);
/** Refuse unless the entries of a committed run are cosigned; `ask` asks the witnesses where they are not yet. */
clo_err kms_witness_require_commit(clo_kms *kms, const uint8_t run_id[16], bool ask);
/** `e`, which tells what became of a run; where it is a refusal and the witnesses have not confirmed yet that this ledger is the newest: AGAIN. */
clo_err kms_witness_confirmed_refusal(clo_kms *kms, clo_err e);

/* ---- words of denials ---- */

/** "agreement 3f9a12cd" and, where `part` is not NULL, " part". */
typedef struct {
    char text[120];
} kms_source;
kms_source kms_source_agreement(const uint8_t id[32], const char *part);
typedef struct {
    char text[65];
} kms_hex;
kms_hex kms_hex8(const uint8_t *id);
kms_hex kms_hex_of(const uint8_t *bytes, size_t n);
/** Give a refusal that has no denial of its own one; other failures and denials pass through. */
clo_err kms_deny_wrap(clo_err e, const char *claim, const char *expected, const char *source, const char *remedy);

#endif
