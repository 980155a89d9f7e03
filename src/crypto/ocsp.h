/* OCSP responses (RFC 6960) as an input: what a responder said about certificates at some time. Nothing is fetched here. */
#ifndef CLO_CRYPTO_OCSP_H
#define CLO_CRYPTO_OCSP_H
#include "crypto/x509.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_crypto_ocsp clo_crypto_ocsp;
typedef enum { CLO_OCSP_GOOD, CLO_OCSP_REVOKED, CLO_OCSP_UNKNOWN } clo_crypto_ocsp_status;
typedef struct {
    clo_crypto_ocsp_status status;
    int reason;                       /* CRLReason of a revocation: 6 = certificateHold; -1 where none is given */
    int64_t this_update, next_update; /* next_update = this_update where the responder gave none */
} clo_crypto_ocsp_answer;
enum { CLO_OCSP_MAX = 64 * 1024, CLO_OCSP_ANSWERS_MAX = 64, CLO_OCSP_REASON_HOLD = 6 };

/** One OCSPResponse in DER, nothing behind it, successful and of the basic type. Given to the caller.
 *  Errors: MALFORMED, NOT_CANONICAL, TRAILING, TOO_LARGE, TOO_MANY, UNSUPPORTED (status, type, critical extension), NOMEM. */
CLO_R clo_crypto_ocsp_parse(clo_crypto_ocsp **out, clo_span der);
void clo_crypto_ocsp_free(clo_crypto_ocsp **o);
/** What it says about this certificate of this issuer (names and keys by SHA-1 or SHA-2, as the responder chose). Nothing is verified here.
 *  Errors: NOT_FOUND, DUPLICATE (two answers about it). */
CLO_R clo_crypto_ocsp_find(const clo_crypto_ocsp *o, const clo_crypto_cert *cert, const clo_crypto_cert *issuer, clo_crypto_ocsp_answer *out);
/** The response is signed by the issuer itself or by a responder that the issuer certified for that (extended key usage OCSPSigning, window
 *  around `now`), with SHA-256 or longer. *until: when the responder's certificate ends, INT64_MAX for the issuer. Errors: BAD_SIGNATURE,
 *  EXPIRED (responder). */
CLO_R clo_crypto_ocsp_signed_by(const clo_crypto_ocsp *o, const clo_crypto_cert *issuer, int64_t now, int64_t *until);
/** The nonce of the request that it answers, borrowed; empty where it has none. */
clo_span clo_crypto_ocsp_nonce(const clo_crypto_ocsp *o);

#ifdef __cplusplus
}
#endif
#endif
