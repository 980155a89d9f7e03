/* The vector runner: each area reads every case of a folder and reports it. */
#ifndef CLO_VECTORS_H
#define CLO_VECTORS_H
#include "base/clo_arena.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "wire/tree.h"

typedef struct {
    unsigned passed, failed, skipped;
} clo_vectors_report;

/** One case's outcome. A failing case prints "FAIL file case: expected E, got G" on stdout. */
void clo_vectors_pass(clo_vectors_report *r);
void clo_vectors_fail(clo_vectors_report *r, const char *file, const char *name, const char *expected, const char *got);
/** Prints "SKIP file case: reason". */
void clo_vectors_skip(clo_vectors_report *r, const char *file, const char *name, const char *reason);

/** A whole file (at most 64 MiB) into the arena; fails when absent. */
CLO_R clo_vectors_read(clo_arena *a, const char *dir, const char *name, clo_span *out);
/** A JSON file into a tree. */
CLO_R clo_vectors_json(clo_arena *a, const char *dir, const char *name, clo_wire_node **out);
/** Names (sorted, without dots) in dir that end in `suffix`. */
CLO_R clo_vectors_list(clo_arena *a, const char *dir, const char *suffix, const char ***names, size_t *count);
/** Hex text member → bytes in the arena (absent or null: empty span, *present = false). present may be NULL. */
CLO_R clo_vectors_hex(clo_arena *a, const clo_wire_node *map, const char *key, clo_span *out, bool *present);
/** Text member or NULL; integer member or fallback. */
const char *clo_vectors_text(const clo_wire_node *map, const char *key);
int64_t clo_vectors_int(const clo_wire_node *map, const char *key, int64_t fallback);

/* The areas (one file each: area_NAME.c): run every case of dir. Return nonzero only where dir cannot be read at all. */
int clo_vectors_hpke(const char *dir, clo_vectors_report *r);
int clo_vectors_aead(const char *dir, clo_vectors_report *r);
int clo_vectors_kdf(const char *dir, clo_vectors_report *r);
int clo_vectors_acvp(const char *dir, clo_vectors_report *r);
int clo_vectors_wycheproof(const char *dir, clo_vectors_report *r);
int clo_vectors_cose(const char *dir, clo_vectors_report *r);
int clo_vectors_merkle(const char *dir, clo_vectors_report *r);
int clo_vectors_tlog(const char *dir, clo_vectors_report *r);
int clo_vectors_attestation(const char *dir, clo_vectors_report *r); /* dir holds the types, or is one type's folder */
int clo_vectors_dp(const char *dir, clo_vectors_report *r);
int clo_vectors_jose(const char *dir, clo_vectors_report *r);
int clo_vectors_jwt(const char *dir, clo_vectors_report *r);
#endif
