/* Shared by the files about TLS. Sessions on sockets stand apart, so that a program that only uses memory sessions links no
 * socket call. */
#ifndef CLO_CRYPTO_TLS_INT_H
#define CLO_CRYPTO_TLS_INT_H
#include "crypto/crypto_int.h"
#include "crypto/tls.h"
#include <openssl/ssl.h>

struct clo_crypto_tls {
    SSL *ssl;
    const clo_crypto_tls_context *context; /* borrowed */
    BIO *in, *out;                         /* memory sessions; owned by ssl */
    bool refused;                          /* our own verdict failed the handshake: its sentence stands */
    char alpn[16];
};

/* A session without its transport; given. */
CLO_R clo_crypto_tls_session(clo_crypto_tls **out, clo_crypto_tls_context *context);
#endif
