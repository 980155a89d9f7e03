/* The transparency log: an append-only Merkle tree (RFC 6962) served as C2SP tlog-tiles, with signed, witnessed checkpoints.
 *
 * On disk (one directory):
 *   journal     records be32 length ‖ data ‖ 32-byte leaf hash; the only source of truth
 *   checkpoint  the published signed note, at most some milliseconds old; a journal that is shorter than it means truncation, and the log refuses to open
 * Group commit: appenders wait in a queue; one committer thread writes a whole group with one write and one fdatasync, signs one
 * checkpoint. Witnesses are asked beside it, for the newest checkpoint at a time. Threads: every function but open and close may be called from any thread. */
#ifndef CLO_AUDIT_TLOG_H
#define CLO_AUDIT_TLOG_H
#include "base/clo_buf.h"
#include "crypto/sign.h"
#include "wire/note.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_AUDIT_ENTRY_MAX = 60000, CLO_AUDIT_TILE = 256 };

typedef struct clo_audit_log clo_audit_log;

typedef struct {
    const char *directory;
    const char *origin;                  /* log name: "host.example/log" */
    const clo_crypto_private_key *sk;    /* Ed25519; copied */
    /** Ask the witnesses to cosign: body of C2SP add-checkpoint for a consistency from old_size; append their signature lines to `lines`.
     *  Called on a thread of its own, so that a slow witness delays nobody else. NULL = no witness. A failure leaves the checkpoint unwitnessed until the next try. */
    clo_err (*witness)(void *context, clo_audit_log *log, clo_span checkpoint_note, uint64_t size, clo_buf *lines);
    void *context;
    unsigned retry_ms;                   /* how soon an unwitnessed checkpoint is tried again; 0 = 1000 */
} clo_audit_log_options;

/** Open or create; recovers from a torn tail (unacknowledged records only). Errors: CONFLICT (truncated or altered journal), IO. */
CLO_R clo_audit_log_open(clo_audit_log **out, const clo_audit_log_options *options);
/** Stop the threads and close. */
void clo_audit_log_close(clo_audit_log **log);
/** Append one entry; returns when it is durable and in a signed checkpoint. Errors: TOO_LARGE, AGAIN (queue full: 8,192), IO. */
CLO_R clo_audit_log_append(clo_audit_log *log, clo_span data, uint64_t *index);
/** Index of the newest entry with exactly this data, for who may have been interrupted after its append. Looks at every leaf. Errors: NOT_FOUND. */
CLO_R clo_audit_log_find(clo_audit_log *log, clo_span data, uint64_t *index);
/** tlog-proof@v1 of an entry against the last published checkpoint that has it; waits up to wait_ms for one with cosignatures where the
 *  log has witnesses. Errors: NOT_FOUND, AGAIN (no witnessed checkpoint yet). */
CLO_R clo_audit_log_proof(clo_audit_log *log, uint64_t index, unsigned wait_ms, clo_buf *out);
/** Have the published checkpoint cosigned again where its cosignatures are older than max_age_ms; waits up to wait_ms. At once where the
 *  log has no witnesses. Errors: AGAIN (no witness answered in time). */
CLO_R clo_audit_log_refresh(clo_audit_log *log, unsigned max_age_ms, unsigned wait_ms);
/** The published checkpoint (signed note with cosignatures). */
CLO_R clo_audit_log_checkpoint(clo_audit_log *log, clo_buf *out);
/** Can the next entry be written: the journal is in its place, and there is room on the disk for an entry of the largest size, which is kept
 *  for it? Asked before work begins that will have to be entered. Errors: IO, with the reason. */
CLO_R clo_audit_log_usable(clo_audit_log *log);
/** Entries and size now. */
uint64_t clo_audit_log_size(clo_audit_log *log);
/** Consistency path from old_size to new_size. */
CLO_R clo_audit_log_consistency(clo_audit_log *log, uint64_t old_size, uint64_t new_size, clo_wire_hash *path, size_t *count);
/** C2SP tlog-tiles: `width` hashes (1..256) of tile (level, index), 32 bytes each … Errors: NOT_FOUND beyond the published tree. */
CLO_R clo_audit_log_tile(clo_audit_log *log, unsigned level, uint64_t index, unsigned width, clo_buf *out);
/** … and `width` entries of an entry bundle, each be16 length ‖ data. */
CLO_R clo_audit_log_bundle(clo_audit_log *log, uint64_t index, unsigned width, clo_buf *out);
/** Parse a tile path behind "/log/": "tile/<L>/<N>[.p/<W>]", "tile/entries/<N>[.p/<W>]"; N in groups "x001/234". */
CLO_R clo_audit_tile_path(const char *path, bool *entries, unsigned *level, uint64_t *index, unsigned *width);

/** An independent reader: recompute the tree from the journal and check the checkpoint under this key. Used by tests and `cloister audit`. */
CLO_R clo_audit_log_check(const char *directory, const clo_wire_note_key *key, uint64_t *size);

#ifdef __cplusplus
}
#endif
#endif
