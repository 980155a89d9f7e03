/* JWTs with RSA signatures, keys and key sets made in the test. */
#ifndef JWT_FIXTURE_H
#define JWT_FIXTURE_H
#include "base/clo_buf.h"
#include "crypto/verify_key.h"
#include "crypto/x509.h"

typedef struct {
    clo_buf pem, der;      /* private key; certificate */
    clo_crypto_cert *cert; /* self-signed unless certified by another */
} jwt_identity;

/** A new RSA-2048 key; certificate by issuer, or by itself where that is NULL. */
CLO_R jwt_identity_make(jwt_identity *i, const clo_crypto_cert_request *request, const jwt_identity *issuer);
void jwt_identity_free(jwt_identity *i);
/** Header and claims as JSON texts, signed with the identity's key and this scheme, appended to out. */
CLO_R jwt_make(const char *header, const char *claims, const jwt_identity *i, clo_crypto_scheme scheme, clo_buf *out);
/** The two first parts and these signature bytes. */
CLO_R jwt_make_with(const char *header, const char *claims, clo_span signature, clo_buf *out);
/** One JWK by n and e, with these further members (", \"alg\": …" or ""), appended to out. */
CLO_R jwt_jwk(const jwt_identity *i, const char *kid, const char *more, clo_buf *out);
/** One JWK with the certificate alone. */
CLO_R jwt_jwk_x5c(const jwt_identity *i, const char *kid, clo_buf *out);
/** RFC 7638 thumbprint of the key. */
CLO_R jwt_thumbprint(const jwt_identity *i, clo_buf *out);

#endif
