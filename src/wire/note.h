/* C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof@v1. */
#ifndef CLO_WIRE_NOTE_H
#define CLO_WIRE_NOTE_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "crypto/sign.h"
#include "wire/merkle.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_NOTE_MAX = 64 * 1024, CLO_NOTE_SIGNATURES_MAX = 32 };
/* A verifier key "name+hash+base64(type ‖ key)": type 0x01 Ed25519, 0x04 Ed25519 cosignature/v1. */
typedef struct {
    char name[256];
    uint8_t type;
    uint8_t id[4];
    clo_crypto_public_key key;
} clo_wire_note_key;
CLO_R clo_wire_note_key_parse(const char *vkey, clo_wire_note_key *out);
/** vkey text of a public key under a name, for type 1 (log) or 4 (witness). */
CLO_R clo_wire_note_key_make(const char *name, uint8_t type, const clo_crypto_public_key *pk, clo_wire_note_key *out);
CLO_R clo_wire_note_key_text(const clo_wire_note_key *k, clo_buf *out);

typedef struct {
    clo_span body; /* text before the signatures, including its last newline */
    size_t signature_count;
    struct {
        char name[256];
        uint8_t id[4];
        clo_span blob; /* after the 4-byte id; arena */
    } signatures[CLO_NOTE_SIGNATURES_MAX];
} clo_wire_note;
CLO_R clo_wire_note_parse(clo_arena *a, clo_span text, clo_wire_note *out);
/** Verify the signature of this key (type 1: body; type 4: cosignature/v1 with its time, which is returned; else 0).
 *  Errors: NOT_FOUND (key did not sign), BAD_SIGNATURE. */
CLO_R clo_wire_note_verify(const clo_wire_note *n, const clo_wire_note_key *k, uint64_t *cosigned_at);
/** body ‖ "\n" ‖ signature line, appended to out; body must end in a newline. */
CLO_R clo_wire_note_sign(clo_span body, const char *name, const clo_crypto_private_key *sk, clo_buf *out);
/** The same for a log that signs often: `key` is the verifier key of `sk`. */
CLO_R clo_wire_note_sign_loaded(clo_span body, const clo_wire_note_key *key, const clo_crypto_loaded_key *sk, clo_buf *out);
/** One signature line "— name base64(id ‖ blob)\n" of a cosignature/v1 at `time`. */
CLO_R clo_wire_note_cosign(clo_span body, const char *name, const clo_crypto_private_key *sk, uint64_t time, clo_buf *line);

typedef struct {
    char origin[256];
    uint64_t size;
    clo_wire_hash root;
} clo_wire_checkpoint;
/** The body of a checkpoint note. Refuses leading zeros, wrong hash size, missing lines. */
CLO_R clo_wire_checkpoint_parse(clo_span body, clo_wire_checkpoint *out);
CLO_R clo_wire_checkpoint_write(const clo_wire_checkpoint *c, clo_buf *out);

/* What a verifier demands of a log. */
typedef struct {
    clo_wire_note_key log;
    clo_wire_note_key witnesses[8];
    size_t witness_count;
    size_t quorum;
} clo_wire_log_policy;
/** "c2sp.org/tlog-proof@v1\n[extra base64\n]index N\nhash…\n\ncheckpoint": make (without extra) … */
CLO_R clo_wire_tlog_proof_write(uint64_t index, const clo_wire_hash *path, size_t path_count, clo_span checkpoint_note,
                                clo_buf *out);
/** … take apart, without any verification; the note is borrowed from proof, extra data is dropped … */
CLO_R clo_wire_tlog_proof_parse(clo_span proof, uint64_t *index, clo_wire_hash path[CLO_MERKLE_PATH_MAX], size_t *path_count,
                                clo_span *checkpoint_note);
/** … and verify for a leaf: signature of the log, origin = log name, quorum of witnesses, inclusion. out may be NULL.
 *  Denials name log.signature, log.origin, log.witnesses, log.inclusion. *witnessed_at = the quorum-th latest cosignature time.
 */
CLO_R clo_wire_tlog_proof_verify(clo_span proof, clo_span leaf_data, const clo_wire_log_policy *policy, clo_wire_checkpoint *out,
                                 uint64_t *index, uint64_t *witnessed_at);
/** Verify a checkpoint note by the same policy. */
CLO_R clo_wire_checkpoint_verify(clo_span note, const clo_wire_log_policy *policy, clo_wire_checkpoint *out,
                                 uint64_t *witnessed_at);

#ifdef __cplusplus
}
#endif
#endif
