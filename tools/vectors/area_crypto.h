/* Shared by the areas of crypto: running one file after the other, and reading cases. */
#ifndef CLO_VECTORS_AREA_CRYPTO_H
#define CLO_VECTORS_AREA_CRYPTO_H
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "vectors.h"

/* Calls `run` for every .json file of dir whose root decodes; a file that does not is one failed case. */
typedef void (*clo_vectors_file)(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r);
int clo_vectors_each_file(const char *dir, clo_vectors_file run, clo_vectors_report *r);

/* A hex member, empty where absent. An odd digit count or other text is the runner's own failure and ends it. */
clo_span clo_vectors_bytes(clo_arena *a, const clo_wire_node *map, const char *key);
/* n bytes of scratch. */
uint8_t *clo_vectors_scratch(clo_arena *a, size_t n);
/* "group/case" or "case" as text. */
const char *clo_vectors_name(clo_arena *a, const clo_wire_node *test, const char *id_key);
/* Pass where equal, else fail with both in hex. */
void clo_vectors_expect(clo_arena *a, clo_vectors_report *r, const char *file, const char *name, clo_span expected, clo_span got);

/* Key sizes to algorithm; false where the product has none. */
bool clo_vectors_gcm_alg(size_t key_size, clo_crypto_aead_alg *alg);
bool clo_vectors_hash_alg(const char *name, clo_crypto_hash_alg *alg);

#define CLO_VECTORS_NO_PRIMITIVE "the product does not have this primitive"
#endif
