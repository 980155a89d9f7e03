/* PSA tokens made in the test, with a key made in the test: for the verifier's tests and for a mock of the PSA client. */
#ifndef PSA_FIXTURE_H
#define PSA_FIXTURE_H
#include "crypto/sign.h"
#include "wire/tree.h"

/* What a token says beyond the usual. The usual: a secured device, a secure caller, two components, all claims there. */
typedef struct {
    bool legacy;       /* PSA_IOT_PROFILE_1 instead of RFC 9783's profile */
    clo_span nonce;    /* 32, 48 or 64 bytes */
    int64_t client_id; /* 0 = 3002 */
    int64_t lifecycle; /* 0 = 0x3000 */
} psa_fixture_options;

/** The claims as a CBOR map (integer keys), owned by the arena: change them, then sign. */
CLO_R psa_fixture_claims(clo_arena *a, const psa_fixture_options *o, clo_wire_node **out);
/** A tagged COSE_Sign1 over any payload, {1: alg} alone in the protected header, appended to out. */
CLO_R psa_fixture_sign(clo_arena *a, const clo_wire_node *claims, const clo_crypto_private_key *sk, clo_buf *out);
/** Claims and signature at once: what a device answers to a challenge. */
CLO_R psa_fixture_token(const psa_fixture_options *o, const clo_crypto_private_key *sk, clo_buf *out);
/** The public half as a JWK, as collateral "iak_public" has it. */
CLO_R psa_fixture_jwk(const clo_crypto_public_key *pk, clo_buf *out);

#endif
