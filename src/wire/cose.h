/* COSE_Sign1 and COSE_Sign (RFC 9052) with Ed25519 (EdDSA) and ECDSA (ES256, ES384, ES512); the payload is attached. */
#ifndef CLO_WIRE_COSE_H
#define CLO_WIRE_COSE_H
#include "crypto/sign.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_COSE_SIGNERS_MAX = 32 };

typedef struct {
    const clo_crypto_private_key *sk;
    clo_span kid; /* who: the product uses the SHA-256 of the public key bytes */
} clo_wire_cose_signer;

typedef struct {
    int64_t alg;               /* COSE algorithm id: -8, -7, -35, -36 */
    clo_span kid;              /* from the protected, else the unprotected header; borrowed from the arena */
    clo_span protected_header; /* as encoded */
    clo_span signature;
} clo_wire_cose_signature;

typedef struct {
    bool tagged;
    bool is_sign1;
    clo_span payload;
    clo_span content_type; /* text content type in the protected header, empty where absent */
    clo_span body_protected;
    const clo_wire_node *unprotected;
    size_t signature_count; /* Sign1: 1 */
    clo_wire_cose_signature signatures[CLO_COSE_SIGNERS_MAX];
} clo_wire_cose;

/** Make a tagged COSE_Sign1 (tag 18): protected {1: alg, 3: content_type, 4: kid}. */
CLO_R clo_wire_cose_sign1(clo_buf *out, const clo_wire_cose_signer *signer, const char *content_type, clo_span external_aad,
                          clo_span payload);
/** Make a tagged COSE_Sign (tag 98) with count >= 0 signatures. */
CLO_R clo_wire_cose_sign(clo_buf *out, const clo_wire_cose_signer *signers, size_t count, const char *content_type,
                         clo_span external_aad, clo_span payload);
/** Add a signature to a COSE_Sign (DUPLICATE where that kid has signed). */
CLO_R clo_wire_cose_sign_add(clo_buf *out, clo_span cose, const clo_wire_cose_signer *signer, clo_span external_aad);
/** Parse either form (tagged or not; `limits` as clo_wire_cbor_decode, our own objects pass NULL = deterministic only).
 *  Refuses crit headers it does not know, duplicate labels across buckets, a detached payload, an alg outside the protected
 * header (which only `foreign` objects may have: the key decides the algorithm all the same). */
CLO_R clo_wire_cose_parse(clo_arena *a, clo_span in, bool foreign, clo_wire_cose *out);
/** Verify signature `index` with this key: the algorithm must fit the key. Errors: BAD_SIGNATURE, UNSUPPORTED. */
CLO_R clo_wire_cose_verify(const clo_wire_cose *c, size_t index, const clo_crypto_public_key *pk, clo_span external_aad);
/** The same for evidence and other public data, by clo_crypto_verify_public (crypto/verify_key.h), which is faster on P-384. */
CLO_R clo_wire_cose_verify_public(const clo_wire_cose *c, size_t index, const clo_crypto_public_key *pk, clo_span external_aad);
/** The bytes that signature `index` covers (Sig_structure, RFC 9052 §4.4), appended to out. */
CLO_R clo_wire_cose_signed_bytes(const clo_wire_cose *c, size_t index, clo_span external_aad, clo_buf *out);

/* COSE_Mac0 of others (foreign encodings allowed): everyone who can check it could have made it. */
typedef struct {
    int64_t alg; /* 5, 6, 7: HMAC 256/256, 384/384, 512/512 */
    clo_span protected_header, payload, tag; /* of the arena */
} clo_wire_cose_mac0;
/** With its tag (17), an algorithm in the protected header and an attached payload. Errors: MALFORMED, DUPLICATE, UNSUPPORTED and the decoder's. */
CLO_R clo_wire_cose_mac0_parse(clo_arena *a, clo_span in, clo_wire_cose_mac0 *out);
/** Errors: BAD_SIGNATURE, UNSUPPORTED (algorithm; a key below 16 bytes). */
CLO_R clo_wire_cose_mac0_verify(const clo_wire_cose_mac0 *mac, clo_span key, clo_span external_aad);
/** A COSE_Key of type EC2 (P-256, P-384, P-521) with both coordinates, in any encoding; alg and key_ops must not forbid verifying. Errors:
 *  MALFORMED (a private part too), UNSUPPORTED. */
CLO_R clo_wire_cose_key_read(clo_arena *a, clo_span bytes, clo_crypto_public_key *out);
/** The product's kid of a key: SHA-256 of its bytes. */
CLO_R clo_wire_cose_kid(const clo_crypto_public_key *pk, uint8_t out[32]);

#ifdef __cplusplus
}
#endif
#endif
