/* The attestation document of an AWS Nitro Enclave: its fields and the rules that AWS' attestation process states for them. */
#ifndef CLO_ATTEST_NITRO_DOCUMENT_H
#define CLO_ATTEST_NITRO_DOCUMENT_H
#include "attest/attest_int.h"
#include "wire/cose.h"

enum { NITRO_DOCUMENT_MAX = 16 * 1024, NITRO_PCRS = 32, NITRO_BUNDLE_MAX = 7, NITRO_CERT_MAX = 1024 };

/* Spans are of the arena; p is NULL where the field is absent or null. */
typedef struct {
    clo_span module_id, digest, certificate, public_key, user_data, nonce;
    uint64_t timestamp_ms;
    uint32_t pcr_mask;
    clo_span pcrs[NITRO_PCRS];
    size_t bundle_count;
    clo_span bundle[NITRO_BUNDLE_MAX]; /* root first */
} nitro_document;

/** The payload's map. Only what cannot be read at all is an error; the rules are judged apart. Errors: MALFORMED, DUPLICATE, MISSING_FIELD,
 *  TOO_MANY and the others of CBOR. */
CLO_R clo_attest_nitro_document_parse(clo_arena *a, clo_span payload, nitro_document *out);
/** NULL where the document keeps all rules, else the sentence of the first that it breaks. */
const char *clo_attest_nitro_document_fault(const nitro_document *d);
/** Debug mode: none of the registers 0 to 2 measures anything. */
bool clo_attest_nitro_debug(const nitro_document *d);
/** The manifests' `fields`. */
CLO_R clo_attest_nitro_claims(clo_arena *a, const nitro_document *d, bool tagged, clo_wire_node **out);

CLO_R clo_attest_nitro_verify(clo_attest_context *c);
bool clo_attest_nitro_recognise(const clo_attest_part *evidence, size_t evidence_count);

#endif
