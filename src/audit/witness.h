/* A witness (C2SP tlog-witness): remembers the last checkpoint of each log that it knows and cosigns only consistent successors. */
#ifndef CLO_AUDIT_WITNESS_H
#define CLO_AUDIT_WITNESS_H
#include "base/clo_buf.h"
#include "crypto/sign.h"
#include "os/clock.h"
#include "wire/note.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_audit_witness clo_audit_witness;
/** State is one file per log under directory, replaced atomically before any cosignature leaves. */
CLO_R clo_audit_witness_open(clo_audit_witness **out, const char *directory, const char *name, const clo_crypto_private_key *sk,
                             const clo_os_clock *clock);
void clo_audit_witness_close(clo_audit_witness **w);
/** Trust a log by its verifier key. */
CLO_R clo_audit_witness_add_log(clo_audit_witness *w, const clo_wire_note_key *key);
/** POST /add-checkpoint: "old N\n" ‖ base64 proof lines ‖ "\n" ‖ checkpoint note. *status: 200 (lines = cosignature), 400, 403 (bad signature),
 *  404 (unknown log), 409 (old is not our size: lines = our size in decimal and newline), 422 (proof does not hold). Errors only for IO. */
CLO_R clo_audit_witness_add_checkpoint(clo_audit_witness *w, clo_span body, unsigned *status, clo_buf *lines);
/** Body of such a request. */
CLO_R clo_audit_witness_request(uint64_t old_size, const clo_wire_hash *path, size_t count, clo_span note, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
