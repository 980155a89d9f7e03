/* The seam of authentication: the service says who a request comes from; routes say what they ask for. People, roles and
 * sessions come in here without change of a route. */
#ifndef CLO_GATEWAY_AUTH_H
#define CLO_GATEWAY_AUTH_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_gateway_request clo_gateway_request;

typedef enum {
    CLO_GATEWAY_PRINCIPAL_NONE,
    CLO_GATEWAY_PRINCIPAL_PARTY, /* a party's short-lived token */
} clo_gateway_principal_kind;

typedef struct {
    clo_gateway_principal_kind kind;
    char name[64];   /* of the party */
    uint8_t key[32]; /* identifier of the key that signed (SHA-256 of the public key, or the key itself), as the authenticator says */
} clo_gateway_principal;

typedef enum {
    CLO_GATEWAY_AUTH_NONE,    /* public: the authenticator is not asked */
    CLO_GATEWAY_AUTH_CHANNEL, /* the handler itself checks an attested channel or a signed body; the authenticator is not asked */
    CLO_GATEWAY_AUTH_PARTY,   /* a principal or 401 */
} clo_gateway_auth_kind;

/** Tell who sent the request, before its body is read (body is empty). Runs on the loop thread (INLINE routes) or on a worker.
 *  Errors: UNAUTHENTICATED → 401 with WWW-Authenticate; others by their class. */
typedef clo_err (*clo_gateway_authenticate_fn)(void *context, const clo_gateway_request *request, clo_gateway_principal *out);
typedef struct {
    clo_gateway_authenticate_fn authenticate;
    void *context;
} clo_gateway_authenticator;

/** The token of "Authorization: Bearer …", borrowed from the request; empty where the header is absent. Errors: UNAUTHENTICATED (another scheme, blanks inside). */
CLO_R clo_gateway_bearer_token(const clo_gateway_request *request, clo_span *token);

#ifdef __cplusplus
}
#endif
#endif
