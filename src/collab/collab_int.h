/* Shared inside the module: signed maps, canonical form, small lists. Every signed object of the module is one deterministic CBOR
 * map with text keys; its type and version stand in its member "format" and in the content type of the signature's protected
 * header. */
#ifndef CLO_COLLAB_INT_H
#define CLO_COLLAB_INT_H
#include "collab/run.h"
#include "wire/cose.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Items of CBOR: strangers send messages, so they may cost little; an agreement has a line for each column of each dataset. */
enum { CLO_COLLAB_ITEMS_MAX = 4096, CLO_COLLAB_AGREEMENT_ITEMS_MAX = 65536 };
enum { CLO_COLLAB_OBJECT_MAX = 1 << 20, CLO_COLLAB_FILE_MAX = 4 << 20 };

/** A fresh map with its member "format". */
CLO_R clo_collab_map_new(clo_arena *a, const char *format, clo_wire_node **out);
/** Take "format" and refuse any other value. */
void clo_collab_take_format(clo_wire_fields *f, const char *format);
/** Deterministic encoding of a map, as COSE_Sign1 under this key, appended to out. */
CLO_R clo_collab_map_sign(const clo_wire_node *map, const clo_crypto_private_key *sk, const char *content_type, clo_buf *out);
/** Parse a COSE_Sign1 of this content type and its payload (a map); nothing is verified yet. `what` begins every sentence. */
CLO_R clo_collab_map_open(clo_arena *a, clo_span in, const char *content_type, const char *what, clo_wire_cose **cose,
                          clo_wire_node **map);
/** Verify what clo_collab_map_open parsed: the header's key id must be the key's, and the signature its own. */
CLO_R clo_collab_map_verify(const clo_wire_cose *cose, const clo_crypto_public_key *pk, const char *what);
/** Decode CBOR whose root must be a map. */
CLO_R clo_collab_map_decode(clo_arena *a, clo_span in, size_t items_max, const char *what, clo_wire_node **out);
/** NOT_CANONICAL unless the tree encodes to exactly these bytes. */
CLO_R clo_collab_require_canonical(const clo_wire_node *tree, clo_span bytes, const char *what);

/** 64-bit unsigned members: CBOR integers of 0..2^63-1. */
CLO_R clo_collab_set_u64(clo_arena *a, clo_wire_node *map, const char *key, uint64_t v);
void clo_collab_take_u64(clo_wire_fields *f, const char *key, uint64_t *out);
CLO_R clo_collab_set_fixed(clo_arena *a, clo_wire_node *map, const char *key, const void *bytes, size_t n);
/** Exact privacy amounts: canonical text "n" or "n/d". */
CLO_R clo_collab_set_rho(clo_arena *a, clo_wire_node *map, const char *key, clo_dp_rational rho);
void clo_collab_take_rho(clo_wire_fields *f, const char *key, clo_dp_rational *out);
CLO_R clo_collab_rho_read(clo_arena *a, const clo_wire_node *n, const char *what, clo_dp_rational *out);
/** Lists of unique names. */
CLO_R clo_collab_set_names(clo_arena *a, clo_wire_node *map, const char *key, const char (*names)[64], size_t count);
void clo_collab_take_names(clo_wire_fields *f, const char *key, char (*names)[64], size_t count_max, size_t *count);

/** "cloister/v1 <purpose>" and a zero byte: the head of everything that is hashed or bound outside CBOR. */
CLO_R clo_collab_put_domain(clo_buf *out, const char *purpose);
/** The first 8 hex digits of an id, for sentences. */
typedef struct {
    char text[20];
} clo_collab_short_id;
clo_collab_short_id clo_collab_short(const uint8_t *id);

/* Topics of the agreement. */
CLO_R clo_collab_agreement_check(const clo_collab_agreement *g);
CLO_R clo_collab_program_tree(clo_arena *a, const clo_collab_program *p, clo_wire_node **out);

#define CLO_FORMAT_AGREEMENT "cloister-agreement/1"
#define CLO_FORMAT_PARTY "cloister-party/1"
#define CLO_FORMAT_TOKEN "cloister-token/1"
#define CLO_FORMAT_MANIFEST "cloister-manifest/1"
#define CLO_FORMAT_REQUEST "cloister-request/1"
#define CLO_FORMAT_RELEASE "cloister-release/1"
#define CLO_FORMAT_STATEMENT "cloister-statement/1"
#define CLO_FORMAT_ORDER "cloister-order/1"
#define CLO_TYPE_AGREEMENT "application/cloister-agreement+cbor"
#define CLO_TYPE_PARTY "application/cloister-party+cbor"
#define CLO_TYPE_TOKEN "application/cloister-token+cbor"
#define CLO_TYPE_MANIFEST "application/cloister-manifest+cbor"
#define CLO_TYPE_REQUEST "application/cloister-request+cbor"
#define CLO_TYPE_RELEASE "application/cloister-release+cbor"
#define CLO_TYPE_STATEMENT "application/cloister-statement+cbor"
#define CLO_TYPE_ORDER "application/cloister-order+cbor"

#ifdef __cplusplus
}
#endif
#endif
