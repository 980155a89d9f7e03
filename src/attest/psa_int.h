/* Claims and tokens of PSA kind, shared by psa and cca. */
#ifndef CLO_ATTEST_PSA_INT_H
#define CLO_ATTEST_PSA_INT_H
#include "attest/token_int.h"
#include "wire/cose.h"

/** Integer keys become text, at every level: the claims tree of the manifests. */
CLO_R clo_attest_cbor_name_keys(clo_arena *a, clo_wire_node *node);

/* Claims of PSA kind. One judge works on a map with text keys; each rule is one check of reason "claims". */
typedef struct {
    clo_attest_result *result;
    const clo_wire_node *map;
    const char *prefix; /* of the checks' names: "platform." */
} token_claims;
typedef enum { TOKEN_HASH, TOKEN_EXACT, TOKEN_RANGE } token_length; /* 32/48/64 bytes; exactly min; min..max */
/** Bytes claim; *out empty where absent or wrong. */
bool clo_attest_psa_bytes(const token_claims *t, const char *key, const char *name, bool required, token_length rule, size_t min, size_t max,
                            clo_span *out);
bool clo_attest_psa_text(const token_claims *t, const char *key, const char *name, bool required, clo_span *out);
bool clo_attest_psa_instance(const token_claims *t, const char *key, clo_span *out);
/** Lifecycle: seven ranges of 256 values. *state: its name, NULL where wrong. */
bool clo_attest_psa_lifecycle(const token_claims *t, const char *key, const char **state);
/** After the signature: the device must be secured, or in a debug state where the policy allows debug. */
void clo_attest_psa_lifecycle_judge(clo_attest_context *c, const char *state);
bool clo_attest_psa_components(const token_claims *t, const char *key);
/** A check of the set's own. */
bool clo_attest_psa_check(const token_claims *t, const char *name, bool ok, const char *expected, const char *actual);

/* A signed token of PSA kind: a COSE_Sign1 with its tag, claims with named keys. */
typedef struct {
    clo_wire_cose cose;
    clo_wire_node *claims; /* NULL where the payload could not be read */
} psa_token;
/** Parse; `name` of the check ("token", "platform.token"). *ok: it could be read. */
CLO_R clo_attest_psa_open(clo_attest_context *c, const char *name, clo_span bytes, psa_token *out, bool *ok);
/** A payload's map of claims, keys named. Errors: MALFORMED and others of class INPUT or LIMIT. */
CLO_R clo_attest_psa_claims_read(clo_arena *a, clo_span payload, clo_wire_node **out);
/** Verify by this key, check `name`. */
CLO_R clo_attest_psa_verify_by(clo_attest_context *c, const char *name, const psa_token *token, const clo_crypto_public_key *key);

/* Names of a claims set in JSON, and the keys that they have in CBOR. */
typedef struct {
    const char *name, *key;
    bool bytes; /* base64 text in JSON */
} token_json_name;
/** A map with the CBOR keys from one with the JSON names; base64 becomes bytes (what cannot be decoded stays text and so fails its rule). */
CLO_R clo_attest_psa_of_json(clo_arena *a, const clo_wire_node *json, const token_json_name *names, size_t count, clo_wire_node **out);
/** The evidence as a JSON object (claims only); NULL and a failed check "malformed" otherwise. */
CLO_R clo_attest_psa_json_open(clo_attest_context *c, const clo_wire_node **out);

#endif
