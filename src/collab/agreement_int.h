/* Shared by the agreement's files. */
#ifndef CLO_COLLAB_AGREEMENT_INT_H
#define CLO_COLLAB_AGREEMENT_INT_H
#include "base/clo_text.h"
#include "collab/collab_int.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CLO_SUITE_HPKE "x25519-sha256-aes256gcm"
#define CLO_SUITE_SIGN "ed25519"
#define CLO_NOISE_GAUSSIAN "discrete-gaussian"
#define CLO_NOISE_LAPLACE "discrete-laplace"
enum { CLO_RUN_COUNT_MAX = 1000000 };

CLO_R clo_collab_dataset_terms_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_dataset_terms *out);
CLO_R clo_collab_program_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_program *out);
CLO_R clo_collab_runtime_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_runtime *out);
CLO_R clo_collab_run_terms_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_run_terms *out);

/** Compute ids, digests, `cbor` of a checked agreement. */
CLO_R clo_collab_agreement_seal(clo_arena *a, clo_collab_agreement *g);

#ifdef __cplusplus
}
#endif
#endif
