/* Shared by the two halves of HPKE. */
#ifndef CLO_CRYPTO_HPKE_INT_H
#define CLO_CRYPTO_HPKE_INT_H
#include "crypto/crypto_int.h"
#include "crypto/hpke.h"

/* LabeledExtract and LabeledExpand, RFC 9180 §4; info comes in at most 3 parts. */
CLO_R clo_crypto_hpke_labeled_extract(clo_crypto_hash_alg hash, clo_span suite_id, clo_span salt, const char *label, clo_span ikm,
                                      uint8_t *prk);
CLO_R clo_crypto_hpke_labeled_expand(clo_crypto_hash_alg hash, clo_span suite_id, clo_span prk, const char *label,
                                     const clo_span *info, size_t info_count, uint8_t *out, size_t n);

/* Bytes of a serialized public key; 0 for a KEM we do not have. */
size_t clo_crypto_hpke_public_size(uint16_t kem);

/* Encap or AuthEncap (sender != NULL); ephemeral NULL = fresh. */
CLO_R clo_crypto_hpke_encap(uint16_t kem, const clo_crypto_hpke_public *recipient, const clo_crypto_hpke_private *sender,
                            const clo_crypto_hpke_private *ephemeral, clo_key32 *shared, clo_crypto_hpke_public *enc);
/* Decap or AuthDecap (sender != NULL). */
CLO_R clo_crypto_hpke_decap(uint16_t kem, const clo_crypto_hpke_private *sk, clo_span enc, const clo_crypto_hpke_public *sender,
                            clo_key32 *shared);
#endif
