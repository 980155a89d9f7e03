/* The dataset manifest and the sealed file.
 *
 * *.sealed: container (CLOSEAL\n, 1) ‖ be32 manifest length ‖ manifest (COSE_Sign1 by the owner) ‖ the chunk stream (crypto/stream.h, type "dataset").
 * Merkle leaf i = the sealed chunk i (nonce-free ciphertext with tag); root = the dataset version. */
#ifndef CLO_COLLAB_DATASET_H
#define CLO_COLLAB_DATASET_H
#include "collab/party.h"
#include "crypto/stream.h"
#include "wire/merkle.h"
#include "wire/table.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char name[64];
    char owner[64];
    uint8_t id[32];             /* as in the agreement */
    uint8_t version[32];        /* Merkle root over the sealed chunks */
    uint8_t version_id[16];     /* of the stream info */
    uint8_t stream_id[16];
    uint8_t commitment[32];     /* of the DEK */
    uint8_t schema_digest[32];
    uint32_t chunk_size;
    uint64_t plain_size, chunk_count, row_count;
    int64_t created;
} clo_collab_manifest;

/** The id of the owner's dataset of this name: SHA-256 over a label, the owner's signing key and the name. Errors: NOMEM. */
CLO_R clo_collab_dataset_id(const clo_collab_party *owner, const char *name, uint8_t out[32]);
void clo_collab_manifest_stream(const clo_collab_manifest *m, clo_crypto_stream_info *out);
CLO_R clo_collab_manifest_sign(const clo_collab_manifest *m, const clo_collab_identity *owner, clo_buf *out);
/** Parse and check consistency (sizes, counts); owner = NULL skips the signature and the id (open it again with the key before relying on it). */
CLO_R clo_collab_manifest_open(clo_arena *a, clo_span in, const clo_crypto_public_key *owner, clo_collab_manifest *out);
CLO_R clo_collab_manifest_tree(clo_arena *a, const clo_collab_manifest *m, clo_wire_node **out);
/** Offset of chunk `first` in a sealed file whose manifest bytes have this length, and the size of `count` chunks. */
uint64_t clo_collab_sealed_offset(size_t manifest_size, const clo_collab_manifest *m, uint64_t first);
uint64_t clo_collab_sealed_span(const clo_collab_manifest *m, uint64_t first, uint64_t count);
enum { CLO_MANIFEST_MAX = 16384 };

#ifdef __cplusplus
}
#endif
#endif
