/* The host protocol: every word that crosses the gate between the operator's runtime host and the runtime, for both sides.
 *
 * A frame is be32 body size ‖ be16 message number ‖ be16 zero ‖ body. The host sends START once, unasked. From then on the runtime
 * drives: it sends a request and blocks for exactly one reply frame. The reply carries the same number and the reply's body, or
 * ERROR (the host could not), or CANCEL (the run was cancelled: the runtime wipes, sends FAILED with code CANCELLED, and ends).
 * Any request may be answered with ERROR or CANCEL, except FINISH and FAILED, which are answered with an empty reply; after that
 * reply the runtime closes the socket and exits.
 *
 * The ONE table (clo_enclave_messages):
 *
 *   number  name              sent by  request body                                          reply body
 *   1       START             host     CBOR {agreement, agreement_proof, request, manifests} (none)
 *   2       FETCH             runtime  CBOR {dataset, first, count}                          raw: `count` sealed chunks back to back
 *   3       TUNNEL_OPEN       runtime  CBOR {owner}                                          empty
 *   4       TUNNEL_EXCHANGE   runtime  CBOR {owner, send, wait}                              raw: bytes received
 *   5       TUNNEL_CLOSE      runtime  CBOR {owner}                                          empty
 *   6       EVIDENCE          runtime  CBOR {renewal, tee, binding, configuration, evidence} empty
 *   7       PROGRESS          runtime  CBOR {phase, text, done, total}                       empty
 *   8       OUTPUT            runtime  CBOR {offset, last, bytes}                            empty
 *   9       FINISH            runtime  CBOR {output, output_size, statement, commits}        empty
 *   11      PREPARED          runtime  CBOR {commits, statement}                             empty
 *   10      FAILED            runtime  CBOR {code, text, owner, reference, denial}           empty
 *   0x7ffe  CANCEL            host     empty                                                 (a reply only)
 *   0x7fff  ERROR             host     CBOR {code, text}                                     (a reply only)
 *
 * All CBOR is deterministic (wire/cbor.h); unknown members are errors. This file does no I/O; enclave/link.h moves frames. */
#ifndef CLO_ENCLAVE_FRAMES_H
#define CLO_ENCLAVE_FRAMES_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "collab/run.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CLO_ENCLAVE_START = 1,
    CLO_ENCLAVE_FETCH = 2,
    CLO_ENCLAVE_TUNNEL_OPEN = 3,
    CLO_ENCLAVE_TUNNEL_EXCHANGE = 4,
    CLO_ENCLAVE_TUNNEL_CLOSE = 5,
    CLO_ENCLAVE_EVIDENCE = 6,
    CLO_ENCLAVE_PROGRESS = 7,
    CLO_ENCLAVE_OUTPUT = 8,
    CLO_ENCLAVE_FINISH = 9,
    CLO_ENCLAVE_FAILED = 10,
    CLO_ENCLAVE_PREPARED = 11,
    CLO_ENCLAVE_CANCEL = 0x7ffe,
    CLO_ENCLAVE_ERROR = 0x7fff,
} clo_enclave_message_number;

enum {
    CLO_ENCLAVE_FRAME_HEAD = 8,
    CLO_ENCLAVE_START_MAX = 4 * 1024 * 1024,
    CLO_ENCLAVE_FETCH_MAX = 17 * 1024 * 1024,  /* one chunk of the largest size fits */
    CLO_ENCLAVE_FETCH_BATCH = 1024 * 1024,    /* what the runtime asks for at once, where chunks are smaller */
    CLO_ENCLAVE_TUNNEL_MAX = 256 * 1024,       /* bytes one exchange carries in each direction */
    CLO_ENCLAVE_OUTPUT_PIECE = 1024 * 1024,
    CLO_ENCLAVE_OUTPUT_FILE_MAX = 40 * 1024 * 1024, /* the whole sealed output file */
    CLO_ENCLAVE_COMMIT_MAX = 64 * 1024, /* one commit reply */
    CLO_ENCLAVE_TEXT_MAX = 512,
    CLO_ENCLAVE_WAIT_MS = 10000, /* how long the host waits for a byte in TUNNEL_EXCHANGE before it replies ERROR "timeout" */
};

/* One line of the table. */
typedef struct {
    uint16_t number;
    const char *name;
    bool from_host;       /* START, CANCEL, ERROR */
    uint32_t request_max; /* largest request body; 0 where it is a reply only */
    uint32_t reply_max;   /* largest reply body */
} clo_enclave_message;
extern const clo_enclave_message clo_enclave_messages[];
extern const size_t clo_enclave_message_count;
/** The line of this number, or NULL. */
const clo_enclave_message *clo_enclave_message_find(uint16_t number);

/** Head of a frame. Errors: none. */
void clo_enclave_frame_head(uint8_t out[CLO_ENCLAVE_FRAME_HEAD], uint16_t number, uint32_t body_size);
/** Read a head: the number must be in the table and the size within its largest request (reply = false) or reply (reply = true).
 *  Errors: MALFORMED (unknown number, non-zero padding), TOO_LARGE. */
CLO_R clo_enclave_frame_head_read(const uint8_t in[CLO_ENCLAVE_FRAME_HEAD], bool reply, uint16_t *number, uint32_t *body_size);

/* Bodies. Each has _encode (append to out) and _decode (texts and bytes owned by the arena). Errors of decode: those of
 * wire/cbor.h and of the field reader; TOO_LARGE, RANGE beyond what the comments say. */

/* START: what the operator was given by others; nothing of it is believed. */
typedef struct {
    clo_span agreement_file;  /* *.agreement */
    clo_span agreement_proof; /* tlog-proof of the agreement; may be empty */
    clo_span request;         /* COSE_Sign1 by the starter */
    size_t manifest_count;    /* in the order of the request's datasets */
    clo_span manifests[CLO_DATASETS_MAX];
} clo_enclave_start;
CLO_R clo_enclave_start_encode(const clo_enclave_start *m, clo_buf *out);
CLO_R clo_enclave_start_decode(clo_arena *a, clo_span in, clo_enclave_start *out);

/* FETCH: chunks first .. first+count-1 of the dataset version that the request names. Reply: exactly their sealed bytes. */
typedef struct {
    uint8_t dataset[32];
    uint64_t first, count;
} clo_enclave_fetch;
CLO_R clo_enclave_fetch_encode(const clo_enclave_fetch *m, clo_buf *out);
CLO_R clo_enclave_fetch_decode(clo_arena *a, clo_span in, clo_enclave_fetch *out);

/* TUNNEL_OPEN: a TCP connection to the key service of this owner (member of the agreement, its kms_url). An open one is closed first.
 * TUNNEL_CLOSE: drop it; closing what is not open is no error.
 * TUNNEL_EXCHANGE: write `send` (may be empty), then, where `wait`, block up to CLO_ENCLAVE_WAIT_MS for at least one byte and reply
 * with what there is (1..CLO_ENCLAVE_TUNNEL_MAX); an empty reply to `wait` says that the peer has closed. Without `wait` the reply
 * is empty at once. Nothing within the time: ERROR TIMEOUT, and the tunnel stays open. */
typedef struct {
    char owner[64];
    clo_span send; /* EXCHANGE only */
    bool wait;     /* EXCHANGE only */
} clo_enclave_tunnel;
CLO_R clo_enclave_tunnel_encode(uint16_t number, const clo_enclave_tunnel *m, clo_buf *out);
CLO_R clo_enclave_tunnel_decode(clo_arena *a, uint16_t number, clo_span in, clo_enclave_tunnel *out);

/* EVIDENCE: for the receipt and for whoever asks the operator. The one with renewal = false belongs into the receipt: the statement
 * and the release token name its digest. */
typedef struct {
    bool renewal;
    char tee[24];
    clo_collab_binding binding;
    clo_span evidence;
} clo_enclave_evidence;
CLO_R clo_enclave_evidence_encode(const clo_enclave_evidence *m, clo_buf *out);
CLO_R clo_enclave_evidence_decode(clo_arena *a, clo_span in, clo_enclave_evidence *out);

/* PROGRESS: public facts only. */
typedef enum {
    CLO_ENCLAVE_PHASE_STARTING,
    CLO_ENCLAVE_PHASE_ATTESTING,
    CLO_ENCLAVE_PHASE_RELEASING,
    CLO_ENCLAVE_PHASE_READING,
    CLO_ENCLAVE_PHASE_COMPUTING,
    CLO_ENCLAVE_PHASE_COMMITTING,
    CLO_ENCLAVE_PHASE_COUNT,
} clo_enclave_phase;
/** "starting", "attesting", "releasing", "reading", "computing", "committing". */
const char *clo_enclave_phase_name(clo_enclave_phase phase);
typedef struct {
    clo_enclave_phase phase; /* by its name on the wire */
    char text[CLO_ENCLAVE_TEXT_MAX];
    uint64_t done, total; /* 0/0 where the phase has no count */
} clo_enclave_progress;
CLO_R clo_enclave_progress_encode(const clo_enclave_progress *m, clo_buf *out);
CLO_R clo_enclave_progress_decode(clo_arena *a, clo_span in, clo_enclave_progress *out);

/* OUTPUT: the sealed output file in pieces, in order, from offset 0; it comes before any commit and is useless without the shares. */
typedef struct {
    uint64_t offset;
    bool last;
    clo_span bytes; /* 1..CLO_ENCLAVE_OUTPUT_PIECE */
} clo_enclave_output;
CLO_R clo_enclave_output_encode(const clo_enclave_output *m, clo_buf *out);
CLO_R clo_enclave_output_decode(clo_arena *a, clo_span in, clo_enclave_output *out);

/* PREPARED: the signed commit requests (clo_collab_commit_request, encoded), one per owner, in clo_collab_run_owners order, before the first
 * of them is sent. The host stores them: if the runtime is lost between two commits, the host can finish what was begun, so that no
 * owner's budget is spent for an output that nobody can open. The shares in them are sealed to the key services. With them the signed statement, which
 * the replies to all of them show and nothing else does: the run gets its receipt without this runtime, and none before it was released. */
typedef struct {
    clo_span statement; /* clo_collab_statement_hide */
    size_t commit_count;
    clo_span commits[CLO_PARTIES_MAX];
} clo_enclave_prepared;
CLO_R clo_enclave_prepared_encode(const clo_enclave_prepared *m, clo_buf *out);
CLO_R clo_enclave_prepared_decode(clo_arena *a, clo_span in, clo_enclave_prepared *out);

/* FINISH: the run is complete. */
typedef struct {
    uint8_t output[32];      /* SHA-256 of the sealed output file; the host compares with what it received */
    uint64_t output_size;
    clo_span statement;      /* COSE_Sign1 by the runtime: the leaf of the log */
    size_t commit_count;     /* one per owner, in clo_collab_run_owners order */
    clo_span commits[CLO_PARTIES_MAX]; /* clo_collab_commit_reply, encoded: the recipients' sealed shares */
} clo_enclave_finish;
CLO_R clo_enclave_finish_encode(const clo_enclave_finish *m, clo_buf *out);
CLO_R clo_enclave_finish_decode(clo_arena *a, clo_span in, clo_enclave_finish *out);

/* FAILED: the run is over without a release. No data in any of it: the sentence of the error, or the denial (of a key service:
 * verbatim, and then `owner` names whose). */
typedef struct {
    uint32_t code; /* clo_err code */
    char text[CLO_ENCLAVE_TEXT_MAX];
    char owner[64];     /* empty where the refusal is the runtime's own */
    char reference[96]; /* the key service's name for the refusal ("urn:request:ID", for explain); empty where it gave none */
    bool have_denial;
    clo_denial denial;
} clo_enclave_failed;
CLO_R clo_enclave_failed_encode(const clo_enclave_failed *m, clo_buf *out);
CLO_R clo_enclave_failed_decode(clo_arena *a, clo_span in, clo_enclave_failed *out);

/* ERROR: why the host could not. The code is one of UNREACHABLE, TIMEOUT, CLOSED, NOT_FOUND, IO, AGAIN, TOO_LARGE; the runtime
 * takes any other for IO. */
typedef struct {
    uint32_t code;
    char text[CLO_ENCLAVE_TEXT_MAX];
} clo_enclave_host_error;
CLO_R clo_enclave_host_error_encode(const clo_enclave_host_error *m, clo_buf *out);
CLO_R clo_enclave_host_error_decode(clo_arena *a, clo_span in, clo_enclave_host_error *out);

#ifdef __cplusplus
}
#endif
#endif
