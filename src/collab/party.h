/* A party: a name, a signing key (Ed25519), an HPKE key (X25519). */
#ifndef CLO_COLLAB_PARTY_H
#define CLO_COLLAB_PARTY_H
#include "base/clo_buf.h"
#include "crypto/hpke.h"
#include "crypto/sign.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char name[64];
    clo_crypto_public_key sign; /* Ed25519 */
    uint8_t hpke[32];           /* X25519 */
} clo_collab_party;
typedef struct {
    clo_collab_party public_half;
    clo_crypto_private_key sign;
    clo_key32 hpke;
} clo_collab_identity;

CLO_R clo_collab_identity_make(const char *name, clo_collab_identity *out);
void clo_collab_identity_wipe(clo_collab_identity *i);
/** Private file (CLOIDENT): container ‖ CBOR {name, sign_seed, hpke_secret}. out's content is secret: wipe it. */
CLO_R clo_collab_identity_encode(const clo_collab_identity *i, clo_buf *out);
CLO_R clo_collab_identity_decode(clo_span in, clo_collab_identity *out);
/** Public file (CLOPARTY): container ‖ COSE_Sign1 by the party itself over CBOR {name, sign_key, hpke_key}. */
CLO_R clo_collab_party_encode(const clo_collab_identity *i, clo_buf *out);
CLO_R clo_collab_party_decode(clo_span in, clo_collab_party *out);
/** kid of the party: SHA-256 of the signing key's bytes. */
CLO_R clo_collab_party_kid(const clo_collab_party *p, uint8_t out[32]);

/** Short-lived access token: base64url(COSE_Sign1 by the party over {party, kid, audience, issued, expires, nonce}); lifetime <= 300 s. */
CLO_R clo_collab_token_make(const clo_collab_identity *i, const char *audience, int64_t now, int64_t lifetime_s, clo_buf *text);
/** Look up the claimed party's kid (then find its key), … */
CLO_R clo_collab_token_peek(clo_span text, char party[64], uint8_t kid[32]);
/** … and verify under that key: signature, audience, window (30 s of skew). Errors: UNAUTHENTICATED with the reason. */
CLO_R clo_collab_token_verify(clo_span text, const clo_collab_party *p, const char *audience, int64_t now);

#ifdef __cplusplus
}
#endif
#endif
