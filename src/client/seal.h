/* A table of rows into a sealed dataset, at its owner's: constant memory, all threads, nothing half-written. */
#ifndef CLO_CLIENT_SEAL_H
#define CLO_CLIENT_SEAL_H
#include "collab/dataset.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *csv_path;
    const char *name; /* of the dataset, as in the agreement */
    const clo_wire_schema *schema;
    const clo_collab_identity *owner;
    const uint8_t *kms_hpke; /* 32 bytes: the owner's key service, which alone can open the key file */
    const char *sealed_path; /* *.sealed, replaced atomically */
    const char *key_path;    /* the data key, sealed to the key service (collab/key_import.h); replaced atomically, first */
    unsigned threads;        /* 0 = 2 */
    uint32_t chunk_size;     /* 0 = the default */
    int64_t now;             /* seconds since 1970 */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
} clo_client_seal_options;

/** Read the CSV twice: once to count (every chunk is bound to the whole size), once to check every cell and seal what it says. On an error
 * nothing is left. The data key is made here, sealed to the key service and forgotten. Errors: those of wire/table.h with the file's name, line and column; CONFLICT where the file changed meanwhile; IO.
 */
CLO_R clo_client_dataset_seal(const clo_client_seal_options *options, clo_collab_manifest *out);

/** Check a sealed file without any key: the owner's signature (owner NULL = form only), the size, the Merkle root over all
 * chunks. The manifest's bytes are owned by the arena. */
CLO_R clo_client_sealed_check(clo_arena *a, const char *path, const clo_crypto_public_key *owner, clo_collab_manifest *out,
                              clo_span *manifest);
/** The manifest alone; *content = where the chunks begin. */
CLO_R clo_client_sealed_manifest(clo_arena *a, const char *path, const clo_crypto_public_key *owner, clo_collab_manifest *out,
                                 clo_span *manifest, uint64_t *content);

#ifdef __cplusplus
}
#endif
#endif
