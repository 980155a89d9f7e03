/* The operator's store: metadata in SQLite (WAL, STRICT), bulk ciphertext as files in a directory. It holds nothing secret: every blob is
 * sealed to somebody else, every object is signed by somebody else.
 *
 * Threads: every function but open and close may be called from any thread (one connection behind one lock; statements are short). */
#ifndef CLO_STORE_H
#define CLO_STORE_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_store clo_store;
/** Open or create home/operator.db and home/blobs. Errors: DATABASE, VERSION (made by a newer program), IO. */
CLO_R clo_store_open(clo_store **out, const char *home);
void clo_store_close(clo_store **s);
/** Is the database in its place, and does it answer? SQLite itself goes on writing to a file that was removed. Errors: DATABASE. */
CLO_R clo_store_ping(clo_store *s);

/* Parties: the first key registered under a name stays, at least as long as anything here needs it. */
typedef struct {
    char name[64];
    uint8_t kid[32];
    clo_span file; /* *.party; arena */
    int64_t created;
} clo_store_party;
/** Insert. The same name and key again is success; a name that another key has, or a key that has another name: CONFLICT. No more than `max` are kept:
 *  the oldest that no agreement and no dataset needs, and that was not registered within the last day, makes room (who had it registers again on
 *  use); where there is none: CONFLICT. */
CLO_R clo_store_party_put(clo_store *s, const clo_store_party *p, int64_t max);
CLO_R clo_store_party_by_kid(clo_store *s, clo_arena *a, const uint8_t kid[32], clo_store_party *out); /* NOT_FOUND */
/** Names and keys (no files), newest first; pages as below. */
CLO_R clo_store_party_list(clo_store *s, clo_arena *a, int64_t before, size_t max, clo_store_party **out, size_t *count, int64_t *next);

/* Agreements and who may see them. */
typedef struct {
    uint8_t id[32], lineage[32];
    int64_t epoch, not_after, created;
    char title[256];
    char state[16];
    uint32_t signed_mask;
    uint32_t resumes_missing; /* bit per member, see collab orders */
    int64_t log_index;        /* -1 = not logged yet */
    clo_span file;            /* *.agreement; arena; empty in lists */
    clo_span proof;           /* tlog-proof; arena; empty in lists */
} clo_store_agreement;
/** Insert or replace, with the kids of its members (their only way to see it). */
CLO_R clo_store_agreement_put(clo_store *s, const clo_store_agreement *g, const uint8_t (*member_kids)[32], size_t member_count);
/** Note that the agreement names this dataset: its members may then see it. */
CLO_R clo_store_scope_put(clo_store *s, const uint8_t dataset[32], const uint8_t agreement[32]);
/** Is the dataset named by an agreement of this key? */
CLO_R clo_store_scope_has(clo_store *s, const uint8_t dataset[32], const uint8_t kid[32], bool *visible);
CLO_R clo_store_agreement_get(clo_store *s, clo_arena *a, const uint8_t id[32], clo_store_agreement *out); /* NOT_FOUND */
/** The keys of its members: at most max. */
CLO_R clo_store_agreement_kids(clo_store *s, const uint8_t id[32], uint8_t (*kids)[32], size_t max, size_t *count);
/** Is this key a member? */
CLO_R clo_store_agreement_member(clo_store *s, const uint8_t id[32], const uint8_t kid[32], bool *member);
/** The member's agreements, newest first, at most `max`, older than the row `before` (0 = from the newest). *next = row for the next page or 0. */
CLO_R clo_store_agreement_list(clo_store *s, clo_arena *a, const uint8_t kid[32], int64_t before, size_t max, clo_store_agreement **out,
                               size_t *count, int64_t *next);
/** An order that was accepted (kept for ever); `sequence` must rise per party: REPLAYED. */
CLO_R clo_store_order_put(clo_store *s, const uint8_t agreement[32], const char *party, const char *verb, int64_t sequence, clo_span order);
typedef struct {
    int64_t row;
    uint8_t agreement[32];
    clo_span file; /* as it was given; arena */
} clo_store_order;
/** The oldest order behind this row that is stored but not settled yet: of the agreement, or of any (NULL). NOT_FOUND. */
CLO_R clo_store_order_open(clo_store *s, clo_arena *a, const uint8_t *agreement, int64_t after, clo_store_order *out);
/** It is in the log, and the agreement's state follows it. */
CLO_R clo_store_order_settle(clo_store *s, int64_t row);

/* Datasets: manifest and how much of the content is here. */
typedef struct {
    uint8_t version[32], id[32];
    char name[64], owner[64];
    uint8_t owner_kid[32];
    int64_t created;
    uint64_t size, received;
    bool complete;
    clo_span manifest; /* COSE; arena */
} clo_store_dataset;
/** Announce. The same manifest again is success and changes nothing; another one for this version: CONFLICT. */
CLO_R clo_store_dataset_put(clo_store *s, const clo_store_dataset *d);
/** `received` bytes are durable. It only rises, and a complete version stays complete: an upload that was cut may report late. */
CLO_R clo_store_dataset_progress(clo_store *s, const uint8_t version[32], uint64_t received, bool complete);
/** The content was wrong and is gone: start again from byte 0. */
CLO_R clo_store_dataset_reset(clo_store *s, const uint8_t version[32]);
CLO_R clo_store_dataset_get(clo_store *s, clo_arena *a, const uint8_t version[32], clo_store_dataset *out); /* NOT_FOUND */
/** All versions of an owner's datasets, newest first; pages as above. */
CLO_R clo_store_dataset_list(clo_store *s, clo_arena *a, const uint8_t owner_kid[32], int64_t before, size_t max, clo_store_dataset **out,
                             size_t *count, int64_t *next);
/** The newest complete version of a dataset id. */
CLO_R clo_store_dataset_latest(clo_store *s, clo_arena *a, const uint8_t id[32], clo_store_dataset *out); /* NOT_FOUND */

/* Runs. */
typedef struct {
    uint8_t id[16];
    uint8_t agreement[32];
    char run[64], starter[64];
    uint8_t starter_kid[32];
    char state[16];
    char phase[24];
    char text[512];
    uint64_t done, total;
    int64_t created, changed;
    char tee[24];
    int64_t log_index;       /* of the statement; -1 */
    char code[32];           /* error name where failed */
    char owner[64];          /* whose key service refused, or empty */
    bool have_denial;
    clo_denial denial;
    bool released;           /* every key service committed: recipients can open the output. Read only, follows `commits` */
    clo_span request;        /* COSE; arena; empty in lists, like all that follow */
    clo_span binding, evidence, statement;
    clo_span prepared;       /* the runtime's PREPARED frame: what the settler may still send, and the hidden statement, if the runtime is lost */
    clo_span commits;        /* CBOR array of commit replies */
    clo_span receipt;        /* *.receipt */
} clo_store_run;
/** Insert; the same request under the same id: EXISTS (look it up); another: CONFLICT. */
CLO_R clo_store_run_put(clo_store *s, const clo_store_run *r);
/** Replace everything but the request, in one transaction. */
CLO_R clo_store_run_update(clo_store *s, const clo_store_run *r);
CLO_R clo_store_run_get(clo_store *s, clo_arena *a, const uint8_t id[16], clo_store_run *out); /* NOT_FOUND */
/** Runs of the member's agreements, newest first, paged as agreements. agreement may be NULL (all). */
CLO_R clo_store_run_list(clo_store *s, clo_arena *a, const uint8_t kid[32], const uint8_t *agreement, int64_t before, size_t max,
                         clo_store_run **out, size_t *count, int64_t *next);
/** Oldest queued run becomes "starting" and is returned; NOT_FOUND where none waits. */
CLO_R clo_store_run_take(clo_store *s, clo_arena *a, clo_store_run *out);
/** A queued run becomes "cancelled"; *cancelled = false where it was not queued (any more). */
CLO_R clo_store_run_cancel_queued(clo_store *s, const uint8_t id[16], int64_t now, bool *cancelled);
/** The first run behind row *row that is neither queued nor final; *row = its row. NOT_FOUND where there is none. */
CLO_R clo_store_run_unsettled(clo_store *s, clo_arena *a, int64_t *row, clo_store_run *out);
/** Runs now in a state that is neither queued nor final. */
CLO_R clo_store_run_active(clo_store *s, uint64_t *queued, uint64_t *active);

/* Policies and reference values of the verifier: each version is a file that its owner signed, and stays. */
typedef struct {
    char kind[24], name[64]; /* kind "policy" or "reference-values" */
    int64_t version;         /* from 1, without gaps */
    uint8_t owner_kid[32];   /* who signed version 1 signs all */
    int64_t created, log_index;
    clo_span file; /* COSE; arena; empty in lists */
} clo_store_attest_object;
/** The next version. The same file again is success. Errors: CONFLICT (another file of this version, a gap, another owner), TOO_MANY (1,000 names
 *  or versions of one name). */
CLO_R clo_store_attest_object_put(clo_store *s, const clo_store_attest_object *o);
/** version 0 = the newest. NOT_FOUND. */
CLO_R clo_store_attest_object_get(clo_store *s, clo_arena *a, const char *kind, const char *name, int64_t version, clo_store_attest_object *out);
/** The newest version of each name; pages as above. */
CLO_R clo_store_attest_object_list(clo_store *s, clo_arena *a, const char *kind, int64_t before, size_t max, clo_store_attest_object **out,
                                   size_t *count, int64_t *next);

/* Evidence that was recorded for replay: the newest `keep` stay. */
typedef struct {
    uint8_t id[16], kid[32]; /* kid: who sent it */
    int64_t time;
    char type[24], verdict[16];
    clo_span file; /* evidence record; arena; empty in lists */
} clo_store_evidence;
CLO_R clo_store_evidence_put(clo_store *s, const clo_store_evidence *e, int64_t keep);
CLO_R clo_store_evidence_get(clo_store *s, clo_arena *a, const uint8_t id[16], const uint8_t kid[32], clo_store_evidence *out); /* NOT_FOUND */
CLO_R clo_store_evidence_list(clo_store *s, clo_arena *a, const uint8_t kid[32], int64_t before, size_t max, clo_store_evidence **out, size_t *count,
                              int64_t *next);

/* What the appraisals of this platform said: the newest 1,000 stay. */
typedef struct {
    int64_t time, valid_until;
    char tee[24], verdict[16], reason[32], detail[256];
} clo_store_platform;
CLO_R clo_store_platform_put(clo_store *s, const clo_store_platform *p);
CLO_R clo_store_platform_list(clo_store *s, clo_arena *a, int64_t before, size_t max, clo_store_platform **out, size_t *count, int64_t *next);

/* Reasons of refused requests, for explain: the newest 20,000 stay. */
typedef struct {
    char id[40];      /* of the request */
    uint8_t kid[32];  /* who asked; zero = nobody that is known. Ids are chosen by clients: each has its own */
    int64_t time;
    char what[64], code[32], text[512];
    bool have_denial;
    clo_denial denial;
} clo_store_reason;
CLO_R clo_store_reason_put(clo_store *s, const clo_store_reason *r);
/** What this key was told, or else what an unknown sender was told under this id. NOT_FOUND. */
CLO_R clo_store_reason_get(clo_store *s, const char *id, const uint8_t kid[32], clo_store_reason *out);

/* Blobs: home/blobs/KIND-HEX; names are made here, never taken from outside. */
/** Make the names of blobs durable. */
CLO_R clo_store_blob_sync(const clo_store *s);
CLO_R clo_store_blob_path(const clo_store *s, const char *kind, clo_span id, char to[640]);

#ifdef __cplusplus
}
#endif
#endif
