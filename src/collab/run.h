/* One run: request, binding of the evidence, key release in two phases, statement, receipt. The words that runtime and key service exchange. */
#ifndef CLO_COLLAB_RUN_H
#define CLO_COLLAB_RUN_H
#include "collab/agreement.h"
#include "collab/dataset.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_RUN_PARAMETERS_MAX = 16, CLO_EVIDENCE_MAX = 65536, CLO_CONFIGURATION_MAX = 4096, CLO_NONCE = 72 };

typedef struct {
    uint8_t agreement[32];
    int64_t epoch;
    char run[64];          /* name in agreement.runs */
    uint8_t run_id[16];    /* fresh, random, by the starter */
    char starter[64];
    int64_t created;
    size_t dataset_count;  /* in the order of the run's terms */
    struct {
        uint8_t id[32];
        uint8_t version[32];
    } datasets[CLO_DATASETS_MAX];
    clo_dp_rational rho;   /* the ask: must equal the run's price */
    size_t parameter_count;
    struct {
        char name[64];
        char value[128];
    } parameters[CLO_RUN_PARAMETERS_MAX];
} clo_collab_run_request;
CLO_R clo_collab_run_request_sign(const clo_collab_run_request *r, const clo_collab_identity *who, clo_buf *out);
/* A request is released for at most this long after its starter made it: whoever carries it cannot choose the day. */
enum { CLO_RUN_REQUEST_AGE_MAX = 86400 };
/** Verify against the agreement: id, epoch, run name, starter's right and signature, datasets, ask, parameters declared. Denials: run.starter, run.epoch, … */
CLO_R clo_collab_run_request_open(clo_arena *a, clo_span in, const clo_collab_agreement *g, clo_collab_run_request *out,
                                  const clo_collab_run_terms **terms);

/** Read a request without verifying anything but its form, for those who only route it. */
CLO_R clo_collab_run_request_peek(clo_arena *a, clo_span in, clo_collab_run_request *out);

/* Everything that affects security beside the runtime's program: what its kernel granted it, and the terms that it goes by. */
typedef struct {
    char runtime[64];                             /* name and version of the program */
    char tee[24], engine[24];
    bool layers[CLO_LAYERS];                      /* which are active */
    int64_t landlock_abi;                         /* 0 = none */
    int64_t reattest_seconds, lease_seconds, compute_seconds_max, result_bytes_max;
} clo_collab_configuration;
/** Deterministic CBOR; only the suites of this version. */
CLO_R clo_collab_configuration_encode(const clo_collab_configuration *c, clo_buf *out);
CLO_R clo_collab_configuration_decode(clo_arena *a, clo_span in, clo_collab_configuration *out);
/** Does g->runtimes[runtime] accept it for this run? Denials: configuration.tee, .engine, .times, .layers (a layer is inactive that is not in may_lack). */
CLO_R clo_collab_configuration_judge(const clo_collab_configuration *c, const clo_collab_agreement *g, const clo_collab_run_terms *terms,
                                     size_t runtime);

/* What the runtime's evidence is bound to. */
typedef struct {
    size_t nonce_count;                           /* one per owner, in clo_collab_run_owners order */
    struct { uint8_t bytes[CLO_NONCE]; } nonces[CLO_PARTIES_MAX];
    uint8_t agreement[32];
    int64_t epoch;
    uint8_t request[32];                          /* SHA-256 of the signed request */
    uint8_t hpke[32];                             /* runtime's HPKE key */
    uint8_t sign[32];                             /* runtime's Ed25519 key */
    uint8_t leaf_spki[32];                        /* SHA-256 of the runtime's TLS leaf SPKI */
    clo_span configuration;                       /* clo_collab_configuration, encoded; its SHA-256 is bound. Borrowed */
} clo_collab_binding;
/** report_data of architecture §3 step 5. */
CLO_R clo_collab_binding_report_data(const clo_collab_binding *b, uint8_t out[64]);
CLO_R clo_collab_binding_tree(clo_arena *a, const clo_collab_binding *b, clo_wire_node **out);
/** `what` begins every sentence. The configuration is of the arena. */
CLO_R clo_collab_binding_read(clo_arena *a, const clo_wire_node *node, const char *what, clo_collab_binding *out);
/** What the runtime's Ed25519 key signs to bind its evidence to one TLS session: "cloister/v1 channel" ‖ 0 ‖ exporter ‖ client SPKI ‖ server SPKI ‖ role ‖ SHA-256(evidence). */
CLO_R clo_collab_channel_message(const uint8_t exporter[32], const uint8_t client_spki[32], const uint8_t server_spki[32], const char *role,
                                 clo_span evidence, clo_buf *out);

/* Phase one: POST /v1/release. Renewal (POST /v1/renew) sends the same message with fresh nonce and evidence. */
typedef struct {
    clo_span agreement_file, agreement_proof, request;
    size_t manifest_count;
    clo_span manifests[CLO_DATASETS_MAX];
    clo_collab_binding binding;
    clo_span evidence;
    uint8_t channel_proof[64];
} clo_collab_release_request;
CLO_R clo_collab_release_request_encode(const clo_collab_release_request *r, clo_buf *out);
CLO_R clo_collab_release_request_decode(clo_arena *a, clo_span in, clo_collab_release_request *out);
typedef struct {
    uint8_t dataset[32];
    clo_span sealed_dek;     /* HPKE to binding.hpke, info = clo_collab_release_info */
} clo_collab_released_key;
typedef struct {
    uint8_t release_id[16];
    int64_t lease_seconds;
    int64_t expires;         /* of the key service's clock; part of the info */
    size_t key_count;
    clo_collab_released_key keys[CLO_DATASETS_MAX];
} clo_collab_release_reply;
CLO_R clo_collab_release_reply_encode(const clo_collab_release_reply *r, clo_buf *out);
CLO_R clo_collab_release_reply_decode(clo_arena *a, clo_span in, clo_collab_release_reply *out);
/** HPKE info of a released DEK: "cloister/v1 release" ‖ 0 ‖ agreement ‖ run id ‖ dataset id ‖ nonce of this owner ‖ SHA-256(evidence) ‖ be64 expires. */
CLO_R clo_collab_release_info(const uint8_t agreement[32], const uint8_t run_id[16], const uint8_t dataset[32], const uint8_t nonce[CLO_NONCE],
                              clo_span evidence, int64_t expires, clo_buf *out);

/* Phase two: POST /v1/commit. */
typedef struct {
    uint8_t agreement[32];
    int64_t epoch;
    uint8_t run_id[16];
    uint8_t request[32];
    uint8_t output[32];      /* SHA-256 of the sealed output file */
    uint64_t output_size;
    size_t recipient_count;
    char recipients[CLO_PARTIES_MAX][64];
    size_t spend_count;      /* every dataset of the run */
    struct {
        uint8_t dataset[32];
        clo_dp_rational rho;
    } spends[CLO_DATASETS_MAX];
    size_t share_count;      /* SHA-256 of the sealed share of each owner, in clo_collab_run_owners order: nobody else can put in another */
    uint8_t shares[CLO_PARTIES_MAX][32];
    bool guards_passed;
    char guards[256];        /* e.g. "min-rows 20: passed; output schema: passed" */
    uint8_t evidence[32];    /* SHA-256 */
} clo_collab_release_token;
CLO_R clo_collab_release_token_sign(const clo_collab_release_token *t, const clo_crypto_private_key *runtime, clo_buf *out);
CLO_R clo_collab_release_token_open(clo_arena *a, clo_span in, const clo_crypto_public_key *runtime, clo_collab_release_token *out);
typedef struct {
    clo_span token;          /* COSE_Sign1 */
    clo_span sealed_share;   /* 32-byte share, HPKE to the key service's key, info = clo_collab_share_info(…, "kms") */
} clo_collab_commit_request;
CLO_R clo_collab_commit_request_encode(const clo_collab_commit_request *r, clo_buf *out);
CLO_R clo_collab_commit_request_decode(clo_arena *a, clo_span in, clo_collab_commit_request *out);
typedef struct {
    char owner[64];          /* whose key service */
    uint8_t statement_share[32]; /* clo_collab_statement_share of the owner's share: all of them together show the prepared statement */
    bool without_statement;  /* no statement_share: kept by a key service of the time before there was one. Recipients can open the output */
    size_t share_count;      /* one per recipient */
    struct {
        char recipient[64];
        clo_span sealed;     /* HPKE to the recipient's key, info = clo_collab_share_info(…, recipient) */
    } shares[CLO_PARTIES_MAX];
} clo_collab_commit_reply;
CLO_R clo_collab_commit_reply_encode(const clo_collab_commit_reply *r, clo_buf *out);
CLO_R clo_collab_commit_reply_decode(clo_arena *a, clo_span in, clo_collab_commit_reply *out);
/** Does the calling thread's last failure, of a commit or of a question for its reply, mean that the spend is durable and only the reply is held
 *  back? Only AGAIN with claim ledger.witness does: any other AGAIN (a full disk, a busy server) says nothing of the spend. */
bool clo_collab_commit_held(clo_err e);
/** "cloister/v1 share" ‖ 0 ‖ agreement ‖ run id ‖ output digest ‖ to. */
CLO_R clo_collab_share_info(const uint8_t agreement[32], const uint8_t run_id[16], const uint8_t output[32], const char *to, clo_buf *out);

/* A statement that is signed before the commits is a receipt for something that has not happened. So the runtime hides it under the XOR of one key per owner,
 * which the owner's key service alone can make and gives away with its commit: whoever has all replies has the statement, with the runtime or without. */
/** HKDF-SHA-256 of an owner's share of the output key, info "cloister/v1 statement" ‖ 0 ‖ agreement ‖ run id ‖ output digest. Says nothing of the share. */
CLO_R clo_collab_statement_share(const uint8_t agreement[32], const uint8_t run_id[16], const uint8_t output[32], const clo_key32 *share, clo_key32 *out);
/** AES-256-GCM under a key that is used once. show: AUTHENTICATION where a share is missing or wrong; RANGE. */
CLO_R clo_collab_statement_hide(const clo_key32 *key, clo_span statement, clo_buf *out);
CLO_R clo_collab_statement_show(const clo_key32 *key, clo_span hidden, clo_buf *out);

/* The sealed output file: container (CLOOUTPT, 1) ‖ be32 head length ‖ CBOR head {run_id, agreement, stream_id, version_id, commitment, chunk_size,
 * plain_size} ‖ chunk stream (type "output", object id = run id padded with zeros). What is inside: clo_collab_output. */
typedef struct {
    char kind[16];       /* "table" | "model" */
    char name[64];       /* of the run */
    char media_type[64]; /* of content: "application/cbor", "application/cloister-model" */
    clo_span content;
} clo_collab_output;
enum { CLO_OUTPUT_MAX = 64 << 20, CLO_OUTPUT_HEAD_MAX = 1024 };
/** The plain text of an output: CBOR {kind, name, media_type, content} and optionally "pad" (bytes, ignored), with which the runtime hides the
 *  size. content is owned by the arena. */
CLO_R clo_collab_output_decode(clo_arena *a, clo_span plain, clo_collab_output *out);
typedef struct {
    uint8_t run_id[16];
    uint8_t agreement[32];
    uint8_t stream_id[16], version_id[16], commitment[32];
    uint32_t chunk_size;
    uint64_t plain_size;
} clo_collab_output_head;
/** Seal a whole output under a fresh key (given out as *key). */
CLO_R clo_collab_output_seal(const uint8_t run_id[16], const uint8_t agreement[32], clo_span plain, clo_key32 *key, clo_buf *file);
/** The head alone, without a key. */
CLO_R clo_collab_output_peek(clo_span file, clo_collab_output_head *head);
/** Open with the combined key. plain's content is secret of the recipient. head may be NULL. */
CLO_R clo_collab_output_open(clo_span file, const clo_key32 *key, clo_collab_output_head *head, clo_buf *plain);

/* Statement: COSE_Sign1 by the runtime. Its bytes are the leaf of the transparency log. */
typedef struct {
    uint8_t agreement[32];
    int64_t epoch;
    uint8_t run_id[16];
    char run[64], program[64];
    uint8_t program_digest[32];
    size_t input_count;
    struct {
        uint8_t id[32], version[32];
        clo_dp_rational rho;
    } inputs[CLO_DATASETS_MAX];
    uint8_t request[32];      /* also covers the parameters */
    uint8_t output[32];
    size_t recipient_count;
    char recipients[CLO_PARTIES_MAX][64];
    char guards[256];
    uint8_t evidence[32];
    char tee[24];
    uint8_t runtime[32];      /* Ed25519 key of the runtime */
    int64_t not_before, not_after; /* time bounds as known from the key services' replies */
} clo_collab_statement;
CLO_R clo_collab_statement_sign(const clo_collab_statement *s, const clo_crypto_private_key *runtime, clo_buf *out);
/** runtime = NULL: verify under the key that the statement itself names (then only the evidence says whose key that is). */
CLO_R clo_collab_statement_open(clo_arena *a, clo_span in, const clo_crypto_public_key *runtime, clo_collab_statement *out);

/* The *.receipt file: container (CLORECPT, 1) ‖ CBOR {statement, proof, agreement, agreement_proof, request, binding, evidence}. */
typedef struct {
    clo_span statement, proof, agreement_file, agreement_proof, request, evidence;
    clo_collab_binding binding;
} clo_collab_receipt;
CLO_R clo_collab_receipt_encode(const clo_collab_receipt *r, clo_buf *out);
CLO_R clo_collab_receipt_decode(clo_arena *a, clo_span file, clo_collab_receipt *out);

/* Trust anchors of an offline verifier: what it knows from elsewhere. */
typedef struct {
    bool have_log;
    clo_wire_log_policy log;      /* must equal the agreement's log keys when given */
    size_t tee_root_count;
    uint8_t tee_roots[8][32];     /* software-TEE roots that the reader pinned; vendors' roots are built in */
    size_t party_count;
    clo_collab_party parties[CLO_PARTIES_MAX]; /* keys of parties the reader knows; a name that differs in key is a denial */
} clo_collab_roots;
typedef struct {
    char name[48];
    bool ok;
    char detail[240];
} clo_collab_receipt_check;
typedef struct {
    bool valid;
    bool simulated;
    size_t check_count;
    clo_collab_receipt_check checks[32];
    clo_collab_statement statement;
    char agreement_title[256];
    uint64_t log_index, log_size, witnessed_at;
} clo_collab_receipt_verdict;
/** Verify everything offline: agreement signatures, request, binding, evidence re-appraised under the agreement's runtime policy at the witnessed time,
 *  statement signature by the attested key, all digests, inclusion and witnesses of both proofs, roots. Never stops at the first failure where it can go on. */
CLO_R clo_collab_receipt_verify(clo_arena *a, clo_span file, const clo_collab_roots *roots, clo_collab_receipt_verdict *out);

/* Two receipts against each other: do their proofs belong to one history of one log? */
typedef struct {
    bool same_log;          /* both name one log, by its key and name */
    bool contradict;        /* the log signed two histories */
    bool whole;             /* the larger tree was shown to continue the smaller one; else some entries could not be compared */
    char detail[240];
} clo_collab_receipt_comparison;
/** The log's signatures and the inclusions are verified (without them nothing follows); nothing else of the receipts is. Errors: those of reading, and
 *  the denials of clo_wire_tlog_proof_verify. */
CLO_R clo_collab_receipt_compare(clo_arena *a, clo_span one, clo_span two, clo_collab_receipt_comparison *out);

/** The workload digest (architecture §5): SHA-384 of the deterministic CBOR {runtime: measurement, program: digest, schemas: [digests], capabilities: [...],
 *  output: {min_rows, recipients}, version: 1}. The platform carries its SHA-256 in HOST_DATA, set by the host at launch. */
CLO_R clo_collab_workload_digest(const clo_collab_agreement *g, const clo_collab_run_terms *terms, const uint8_t measurement[48], uint8_t digest[48],
                                 uint8_t host_data[32]);

/** Shared by key service, runtime and receipt verifier: appraise evidence for a binding under the agreement's runtimes (any one that accepts); host data must be
 *  that of the workload, and the bound configuration one that the runtime's entry accepts. On success *runtime is that one. Denials:
 *  evidence.<check> with source "agreement <id8> runtimes[i]", configuration.*. cache: collateral accepted before, borrowed, or NULL for none. */
CLO_R clo_collab_evidence_appraise(clo_arena *a, clo_attest_cache *cache, const clo_collab_agreement *g, const clo_collab_run_terms *terms,
                                   const clo_collab_binding *b, clo_span evidence, int64_t now, const clo_collab_runtime **runtime, clo_attest_result *result);

#ifdef __cplusplus
}
#endif
#endif
