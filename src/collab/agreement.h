/* The agreement: who may compute what on which data, for whom, at which price. YAML or JSON in; deterministic CBOR as the signed form;
 * id = SHA-256 of that; COSE_Sign with one signature per party. Described member by member in docs/formats.md. */
#ifndef CLO_COLLAB_AGREEMENT_H
#define CLO_COLLAB_AGREEMENT_H
#include "attest/attest.h"
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "collab/party.h"
#include "dp/rational.h"
#include "os/sandbox.h"
#include "wire/note.h"
#include "wire/table.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_PARTIES_MAX = 16, CLO_DATASETS_MAX = 32, CLO_PROGRAMS_MAX = 16, CLO_RUNTIMES_MAX = 8, CLO_RUNS_MAX = 16, CLO_PROGRAM_TEXT_MAX = 8192,
       CLO_PARAMETERS_MAX = 16, CLO_AGREEMENT_MAX = 512 * 1024 };

typedef struct {
    clo_collab_party party;
    bool data_owner;       /* has datasets and a key service */
    char kms_url[256];     /* "https://host:port", empty where not data_owner */
    uint8_t kms_spki[32];  /* SHA-256 of the key service's TLS SPKI */
    uint8_t kms_hpke[32];  /* the key service's HPKE key (receives DEKs and output-key shares) */
} clo_collab_member;

typedef struct {
    char name[64];
    char owner[64];
    uint8_t id[32];               /* SHA-256("cloister/v1 dataset" ‖ 0 ‖ owner's signing key ‖ name): the same rows' name never changes */
    clo_wire_schema schema;
    clo_dp_rational rho;          /* lifetime budget, zCDP */
    double delta;                 /* at which epsilon is shown, (0, 0.01] */
} clo_collab_dataset_terms;

typedef enum { CLO_PROGRAM_SQL, CLO_PROGRAM_TRAIN } clo_collab_program_kind;
typedef struct {
    char name[64];
    clo_collab_program_kind kind;
    const char *sql;              /* kind sql: the text; :name parameters are declared below */
    char target[64];              /* kind train */
    int64_t steps;                /* kind train; 0 = engine's default */
    double clip;                  /* kind train; always 0 in this version: rows have norm <= 1, so gradients are clipped at 1 */
    char noise[24];               /* "discrete-gaussian" (default) | "discrete-laplace" (sql only) */
    size_t parameter_count;       /* names that a run request may set; values are numbers or codes */
    char parameters[CLO_PARAMETERS_MAX][64];
    uint8_t digest[32];           /* SHA-256 of the program's CBOR */
} clo_collab_program;

/* Layers of a runtime's protection against its own mistakes: those of the sandbox (os/sandbox.h), then those of its memory. */
enum {
    CLO_LAYER_SECRET_MEMORY = CLO_OS_LAYER_COUNT, /* keys in pages outside swap */
    CLO_LAYER_LOCKED_ROWS,                        /* rows in pages outside swap */
    CLO_LAYERS
};
/** Its name in agreements and configurations; "unknown" beyond the last. */
const char *clo_collab_layer_name(unsigned layer);
/** The runtime refuses to go on without it, so no agreement can do without it either. */
bool clo_collab_layer_mandatory(unsigned layer);

typedef struct {
    char tee[24];                 /* "sim", "snp" */
    clo_attest_policy policy;     /* measurement(s), host data, TCB floors, roots; report_data is set per run */
    uint32_t may_lack;            /* bit i: layer i need not be active */
    const clo_wire_node *appraisal; /* further members of the appraisal policy, as written; NULL = none. Whoever judges evidence reads it:
                                       clo_collab_runtime_policy. The runtime itself only carries it */
} clo_collab_runtime;
/** What this runtime's evidence must satisfy: the strictest policy, what `appraisal` says, and measurements, roots, chips and floors of the
 *  runtime. Errors: of clo_attest_policy_read; MALFORMED where appraisal says what the agreement says elsewhere, or names a nonce. */
CLO_R clo_collab_runtime_policy(clo_arena *a, const clo_collab_runtime *r, clo_attest_policy *out);

typedef struct {
    char name[64];
    char program[64];
    size_t dataset_count;
    char datasets[CLO_DATASETS_MAX][64];
    size_t starter_count;
    char starters[CLO_PARTIES_MAX][64];
    size_t recipient_count;
    char recipients[CLO_PARTIES_MAX][64];
    clo_dp_rational rho;          /* price of one run, on each of its datasets */
    int64_t count_max;            /* how often it may be run under this agreement, >= 1 */
    int64_t min_rows;             /* guard: >= 1 */
    int64_t not_before, not_after; /* window; 0 = the agreement's */
} clo_collab_run_terms;

typedef struct {
    char title[256];
    uint8_t id[32];               /* SHA-256 of the canonical CBOR */
    uint8_t prev[32];             /* id of the agreement that this one amends; all zero for the first */
    uint8_t lineage[32];          /* id of the first agreement of the chain of amendments; for the first: its own id (computed) */
    int64_t epoch;                /* 1, then strictly increasing */
    int64_t not_after;
    bool allow_simulated;
    int64_t lease_seconds;        /* 10..86400, default 600: how long a release holds without renewal */
    int64_t reattest_seconds;     /* 1..3600, default 120 */
    char operator_name[64];
    char operator_url[256];
    uint8_t operator_spki[32];
    clo_wire_log_policy log;      /* transparency log, witnesses, quorum */
    bool telemetry_counts, telemetry_timings, telemetry_states; /* what the operator may see of a run beyond its existence */
    size_t member_count;
    clo_collab_member members[CLO_PARTIES_MAX];
    size_t dataset_count;
    clo_collab_dataset_terms datasets[CLO_DATASETS_MAX];
    size_t program_count;
    clo_collab_program programs[CLO_PROGRAMS_MAX];
    size_t runtime_count;
    clo_collab_runtime runtimes[CLO_RUNTIMES_MAX];
    size_t run_count;
    clo_collab_run_terms runs[CLO_RUNS_MAX];
    clo_span cbor;                /* the canonical bytes; arena */
} clo_collab_agreement;           /* large: allocate it (clo_collab_agreement_new), never on the stack */

/** Zeroed agreement in the arena. */
CLO_R clo_collab_agreement_new(clo_arena *a, clo_collab_agreement **out);
/** From a tree of YAML/JSON (people's form) or of CBOR (canonical form): all checks of the schema and between members (names resolve, every dataset has an
 *  owner with a key service, programs check against the schemas, sim needs allow_simulated, run prices fit budgets, …); then `cbor` and `id` are computed.
 *  Errors name the path and, for YAML, the line. */
CLO_R clo_collab_agreement_read(clo_arena *a, const clo_wire_node *tree, clo_collab_agreement *out);
/** Canonical tree (the one that is encoded; JSON of it is what `show --json` prints). */
CLO_R clo_collab_agreement_tree(clo_arena *a, const clo_collab_agreement *g, clo_wire_node **out);
/** From canonical CBOR; refuses CBOR that is not exactly what _tree would encode. */
CLO_R clo_collab_agreement_decode(clo_arena *a, clo_span cbor, clo_collab_agreement *out);
/** For people: a page of text (sentences, not keys). */
CLO_R clo_collab_agreement_describe(const clo_collab_agreement *g, clo_buf *out);

const clo_collab_member *clo_collab_agreement_member(const clo_collab_agreement *g, const char *name);
const clo_collab_dataset_terms *clo_collab_agreement_dataset(const clo_collab_agreement *g, const char *name);
const clo_collab_dataset_terms *clo_collab_agreement_dataset_by_id(const clo_collab_agreement *g, const uint8_t id[32]);
const clo_collab_program *clo_collab_agreement_program(const clo_collab_agreement *g, const char *name);
const clo_collab_run_terms *clo_collab_agreement_run(const clo_collab_agreement *g, const char *name);
/** Owners of a run's datasets, in member order, each once: the order of nonces and shares. indexes[] are member indexes. */
size_t clo_collab_run_owners(const clo_collab_agreement *g, const clo_collab_run_terms *run, size_t indexes[CLO_PARTIES_MAX]);

/* The *.agreement file: container (CLOAGREE) ‖ COSE_Sign, content type "application/cloister-agreement+cbor". */
CLO_R clo_collab_agreement_file_make(const clo_collab_agreement *g, clo_buf *out);               /* no signature yet: proposed */
CLO_R clo_collab_agreement_file_sign(clo_span file, const clo_collab_identity *who, clo_buf *out); /* adds one; refuses strangers and a second one */
/** Parse; *signed_mask gets bit i where member i's signature is there and valid (a wrong signature is an error). */
CLO_R clo_collab_agreement_file_open(clo_arena *a, clo_span file, clo_collab_agreement *out, uint32_t *signed_mask);
/** Merge the signatures of two files of the same agreement. */
CLO_R clo_collab_agreement_file_merge(clo_span one, clo_span two, clo_buf *out);
/** All members signed? Else DENIED: claim "agreement.signatures", actual = the names that are missing. */
CLO_R clo_collab_agreement_require_signed(const clo_collab_agreement *g, uint32_t signed_mask);
/** `next` is a proper amendment of `g`: prev = id, epoch greater, same lineage. */
CLO_R clo_collab_agreement_require_amends(const clo_collab_agreement *g, const clo_collab_agreement *next);

/* Semantic difference: each change with what it means; `widens` = lets something happen that the old one did not. */
typedef struct {
    bool widens;
    char path[160];
    char text[240];
} clo_collab_change;
enum { CLO_CHANGES_MAX = 256 };
CLO_R clo_collab_agreement_diff(clo_arena *a, const clo_collab_agreement *old, const clo_collab_agreement *next, clo_collab_change **changes,
                                size_t *count);

/* States and the orders that change them; an order is a COSE_Sign1 by one party over {agreement id, verb, time, sequence}. */
typedef enum { CLO_AGREEMENT_DRAFT, CLO_AGREEMENT_PROPOSED, CLO_AGREEMENT_ACTIVE, CLO_AGREEMENT_SUSPENDED, CLO_AGREEMENT_EXPIRED, CLO_AGREEMENT_TERMINATED, CLO_AGREEMENT_STATES } clo_collab_agreement_state;
typedef enum { CLO_ORDER_PROPOSE, CLO_ORDER_ALL_SIGNED, CLO_ORDER_STOP, CLO_ORDER_ALL_RESUMED, CLO_ORDER_EXPIRE, CLO_ORDER_TERMINATE, CLO_ORDERS } clo_collab_agreement_order;
const char *clo_collab_agreement_state_name(clo_collab_agreement_state s);
/** Table [state][order]; illegal pairs: CONFLICT and the state stays. */
CLO_R clo_collab_agreement_step(clo_collab_agreement_state *s, clo_collab_agreement_order order);
typedef struct {
    uint8_t agreement[32];
    char verb[16]; /* "stop", "resume", "terminate" */
    char party[64];
    int64_t time, sequence;
} clo_collab_order;
CLO_R clo_collab_order_make(const clo_collab_identity *who, const clo_collab_order *order, clo_buf *out);
/** Verify against the members' keys. */
CLO_R clo_collab_order_open(clo_arena *a, clo_span in, const clo_collab_agreement *g, clo_collab_order *out);

#ifdef __cplusplus
}
#endif
#endif
