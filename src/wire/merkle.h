/* Merkle trees of RFC 6962 / RFC 9162 over SHA-256. */
#ifndef CLO_WIRE_MERKLE_H
#define CLO_WIRE_MERKLE_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint8_t b[32];
} clo_wire_hash;
enum { CLO_MERKLE_PATH_MAX = 64 };

CLO_R clo_wire_merkle_leaf(clo_span data, clo_wire_hash *out); /* SHA-256(0x00 ‖ data) */
CLO_R clo_wire_merkle_node(const clo_wire_hash *left, const clo_wire_hash *right, clo_wire_hash *out); /* SHA-256(0x01 ‖ l ‖ r) */
/** Root over leaf hashes; the empty tree is SHA-256(""). */
CLO_R clo_wire_merkle_root(const clo_wire_hash *leaves, uint64_t count, clo_wire_hash *out);
/** Append-only root in constant memory: add leaf hashes, then take the root. */
typedef struct {
    uint64_t count;
    clo_wire_hash stack[CLO_MERKLE_PATH_MAX];
} clo_wire_merkle_range;
CLO_R clo_wire_merkle_range_add(clo_wire_merkle_range *r, const clo_wire_hash *leaf);
CLO_R clo_wire_merkle_range_root(const clo_wire_merkle_range *r, clo_wire_hash *out);
/** RFC 9162 §2.1.3.2. path_count hashes. Errors: DENIED (does not prove), RANGE (index >= size). */
CLO_R clo_wire_merkle_inclusion(const clo_wire_hash *leaf, uint64_t index, uint64_t size, const clo_wire_hash *path,
                                size_t path_count, const clo_wire_hash *root);
/* The hash over leaves [start, end) of a log. */
typedef struct {
    uint64_t start, end;
    clo_wire_hash hash;
} clo_wire_merkle_part;
enum { CLO_MERKLE_PARTS_MAX = 2 * CLO_MERKLE_PATH_MAX + 1 };
/** Every part of the tree whose hash a (verified) inclusion proof shows: the leaf, what lies beside the way, what lies on it, the root. Two proofs of one
 *  log, whatever their sizes, show equal hashes for equal parts. Errors: RANGE, DENIED (a path of another length). */
CLO_R clo_wire_merkle_inclusion_parts(const clo_wire_hash *leaf, uint64_t index, uint64_t size, const clo_wire_hash *path,
                                      size_t path_count, clo_wire_merkle_part parts[CLO_MERKLE_PARTS_MAX], size_t *count);
/** RFC 9162 §2.1.4.2. size1 = 0 is refused (RANGE): every tree continues the empty one, so there is nothing to prove. */
CLO_R clo_wire_merkle_consistency(uint64_t size1, uint64_t size2, const clo_wire_hash *path, size_t path_count,
                                  const clo_wire_hash *root1, const clo_wire_hash *root2);
/** Is [start, end) the range of a subtree that a log can have (draft-ietf-plants-merkle-tree-certs §4.1)? Errors: RANGE. */
CLO_R clo_wire_merkle_subtree_check(uint64_t start, uint64_t end);
/** Inclusion of leaf number `index` of the log in the subtree [start, end), §4.3. */
CLO_R clo_wire_merkle_subtree_inclusion(const clo_wire_hash *leaf, uint64_t index, uint64_t start, uint64_t end,
                                        const clo_wire_hash *path, size_t path_count, const clo_wire_hash *root);
/** The subtree [start, end) with root1 is part of the tree of `size` leaves with root2, §4.4. An empty subtree is part of every
 *  tree of at least `end` leaves, whatever root2. */
CLO_R clo_wire_merkle_subtree_consistency(uint64_t start, uint64_t end, uint64_t size, const clo_wire_hash *path,
                                          size_t path_count, const clo_wire_hash *root1, const clo_wire_hash *root2);
/** Proof makers over a hash source: get(context, level, index) yields the hash of the complete subtree of 2^level leaves number
 * `index`. */
typedef clo_err (*clo_wire_merkle_get)(void *context, unsigned level, uint64_t index, clo_wire_hash *out);
/** path has room for CLO_MERKLE_PATH_MAX hashes. Errors: RANGE (index, sizes; trees beyond 2^63 leaves), and those of get. */
CLO_R clo_wire_merkle_prove_inclusion(uint64_t index, uint64_t size, clo_wire_merkle_get get, void *context, clo_wire_hash *path,
                                      size_t *path_count);
CLO_R clo_wire_merkle_prove_consistency(uint64_t size1, uint64_t size2, clo_wire_merkle_get get, void *context,
                                        clo_wire_hash *path, size_t *path_count);
CLO_R clo_wire_merkle_root_of(uint64_t size, clo_wire_merkle_get get, void *context, clo_wire_hash *out);

#ifdef __cplusplus
}
#endif
#endif
