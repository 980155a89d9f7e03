/* One piece of evidence with its collateral as one file: what a recorder keeps for replay, and what composites are made of.
 *
 * Deterministic CBOR: {"format": "cloister-evidence/1", "type": text, "at": seconds (absent = unknown), "evidence": {role: bytes},
 * "collateral": {role: bytes}}. A composite is {"format": "cloister-composite/1", "parts": [{"name": text, and the record's members}]}. */
#ifndef CLO_ATTEST_EVIDENCE_RECORD_H
#define CLO_ATTEST_EVIDENCE_RECORD_H
#include "attest/attest.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_RECORD_MAX = 1 << 20, CLO_RECORD_ROLES_MAX = 20, CLO_COMPOSITE_PARTS_MAX = 4 };

typedef struct {
    char name[CLO_ATTEST_PART_NAME]; /* of a composite's part: letters, digits, '-'; else empty */
    char type[24];
    int64_t at; /* when it was appraised; 0 = unknown */
    size_t evidence_count, collateral_count;
    clo_attest_part evidence[CLO_RECORD_ROLES_MAX], collateral[CLO_RECORD_ROLES_MAX]; /* sorted by role */
} clo_attest_record;

/** Spans of the arena. Errors: MALFORMED, TOO_MANY, TOO_LARGE, NOT_CANONICAL… of CBOR. */
CLO_R clo_attest_record_decode(clo_arena *a, clo_span in, clo_attest_record *out);
CLO_R clo_attest_record_encode(const clo_attest_record *r, clo_buf *out);
/** 1..CLO_COMPOSITE_PARTS_MAX parts, names unique. parts is the arena's. */
CLO_R clo_attest_composite_decode(clo_arena *a, clo_span in, clo_attest_record **parts, size_t *count);
CLO_R clo_attest_composite_encode(const clo_attest_record *parts, size_t count, clo_buf *out);

/* Composite evidence under one nonce. The first part is the root: its report data (or nonce, for types that have only that) is the commitment to
 * the nonce, to whatever else the caller binds, and to the digests of all other parts' evidence. Every other part carries its own nonce,
 * derived from the caller's and from the part's name. */

/** SHA-256("cloister/v1 composite nonce" ‖ 0 ‖ be32 size ‖ nonce ‖ name): what the part of this name quotes, signs or is asked with. */
CLO_R clo_attest_composite_nonce(clo_span nonce, const char *name, uint8_t out[32]);
/** SHA-512("cloister/v1 composite" ‖ 0 ‖ be32 size ‖ nonce ‖ be32 size ‖ bound ‖ be32 count ‖ for each part but the first: be32 size ‖ name ‖ be32
 *  size ‖ type ‖ SHA-256 of its evidence (per role in order: be32 size ‖ role ‖ be32 size ‖ bytes)). bound may be empty. */
CLO_R clo_attest_composite_commitment(clo_span nonce, clo_span bound, const clo_attest_record *parts, size_t count, uint8_t out[64]);
/** What a root part of this type must show of the commitment, and where: report data (64 bytes), or its nonce (64 bytes; 32 for TPM quotes:
 *  SHA-256 of the commitment). Errors: UNSUPPORTED for types that cannot be the root. */
CLO_R clo_attest_composite_root(const char *type, const uint8_t commitment[64], bool *in_report_data, uint8_t out[64], size_t *size);

#ifdef __cplusplus
}
#endif
#endif
