/* What an owner's client sends to its own key service to entrust a dataset's key: CBOR {manifest: COSE_Sign1, rows: 32 bytes, sealed_dek: 80 bytes}.
 * The DEK is HPKE-sealed to the service's key, info = "cloister/v1 key import" ‖ 0 ‖ dataset id ‖ version, no AAD.
 * rows = SHA-256("cloister/v1 rows" ‖ 0 ‖ schema digest ‖ every row as it is sealed): by it the service knows rows again that come under another
 * name, so that their budget does not begin anew. */
#ifndef CLO_COLLAB_KEY_IMPORT_H
#define CLO_COLLAB_KEY_IMPORT_H
#include "collab/dataset.h"
#include "crypto/hash.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Seal `dek` to the service's HPKE key and append the message. `manifest` = the signed manifest's bytes, m = what is in it. */
CLO_R clo_collab_key_import_make(clo_span manifest, const clo_collab_manifest *m, const uint8_t rows[32], const clo_key32 *dek,
                                 const uint8_t kms_hpke[32], clo_buf *out);
/** Split the message; spans are owned by the arena. */
CLO_R clo_collab_key_import_decode(clo_arena *a, clo_span message, clo_span *manifest, uint8_t rows[32], clo_span *sealed_dek);
/** A digest of rows, begun: put each row as it is sealed (wire/table.h), then end it. Free it with clo_crypto_hasher_free. */
CLO_R clo_collab_rows_digest_new(const uint8_t schema_digest[32], clo_crypto_hasher **out);
/** Open the sealed DEK of a message whose manifest has been verified. Errors: AUTHENTICATION. */
CLO_R clo_collab_key_import_open(const clo_collab_manifest *m, clo_span sealed_dek, const clo_key32 *kms_secret, clo_key32 *dek);

#ifdef __cplusplus
}
#endif
#endif
