/* Import of in-toto statements (Statement v1 in a DSSE envelope): digests of subjects that a build system signed. */
#ifndef CLO_ATTEST_INTOTO_H
#define CLO_ATTEST_INTOTO_H
#include "attest/reference_values.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *tee, *path;     /* the claim that the digests are allowed values of: "snp", "measurement" */
    const char *algorithm;      /* which of a subject's digests: "sha256", "sha384", "sha512" */
    const char *subject;        /* only subjects of this name; NULL = all */
    const char *predicate_type; /* must be this; NULL = any */
    const char *version;        /* of the values; the statement has none */
    bool as_text;               /* the claim is a text, "sha256:HEX" (container images) */
    const clo_crypto_public_key *signer;
} clo_attest_intoto_use;

/** Errors: MALFORMED, UNSUPPORTED (payload, statement or predicate type), BAD_SIGNATURE, NOT_FOUND (no subject fits), TOO_MANY. On error the set is
 *  unchanged. */
CLO_R clo_attest_intoto_import(clo_arena *a, clo_span envelope, const clo_attest_intoto_use *use, clo_attest_reference_set *set);

#ifdef __cplusplus
}
#endif
#endif
