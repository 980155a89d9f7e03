/* TLS 1.3 over OpenSSL, on a socket (services) or on memory buffers (the enclave, whose host only forwards bytes).
 *
 * Trust is by pinned SubjectPublicKeyInfo, not by certificate authority: a client names the SHA-256 that the server's leaf
 * must have; a server may ask for a client leaf and reports its SPKI. The exporter binds attestation to the channel. No
 * resumption, no tickets: every session shows its leaf and has its own exporter value. A session belongs to one thread at a time.
 * The first socket
 * session makes a process that left SIGPIPE at its default ignore it (children that it starts must reset it). */
#ifndef CLO_CRYPTO_TLS_H
#define CLO_CRYPTO_TLS_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_crypto_tls_context clo_crypto_tls_context;
typedef struct clo_crypto_tls clo_crypto_tls;

typedef struct {
    bool server;
    clo_span certificate_pem; /* own leaf (and chain); empty = none (clients only) */
    clo_span private_pem;
    bool ask_client_leaf;       /* servers: request (not require) a client certificate, any issuer */
    const uint8_t *pinned_spki; /* clients: 32 bytes, required */
    bool http2;                 /* offer/accept ALPN "h2" beside "http/1.1" */
} clo_crypto_tls_options;

/** Given to the caller. A context may be shared by threads and outlives its sessions. A pin that does not match fails the
 * handshake with the denial `tls.server.spki`. Errors: USAGE, MALFORMED, NOMEM. */
CLO_R clo_crypto_tls_context_new(clo_crypto_tls_context **out, const clo_crypto_tls_options *options);
void clo_crypto_tls_context_free(clo_crypto_tls_context **c);

/** A session on a non-blocking socket (borrowed) … */
CLO_R clo_crypto_tls_on_socket(clo_crypto_tls **out, clo_crypto_tls_context *context, int fd);
/** … or on memory: feed what came in, take what must go out. */
CLO_R clo_crypto_tls_on_memory(clo_crypto_tls **out, clo_crypto_tls_context *context);
void clo_crypto_tls_free(clo_crypto_tls **t);

typedef enum {
    CLO_TLS_DONE,       /* the operation finished (for read: n > 0 bytes) */
    CLO_TLS_WANT_READ,  /* needs incoming bytes */
    CLO_TLS_WANT_WRITE, /* needs outgoing space */
    CLO_TLS_CLOSED,     /* the peer closed in an orderly way */
    CLO_TLS_FAILED,     /* protocol or pin failure: clo_err_text says which */
} clo_crypto_tls_status;
/** Each works until it needs bytes or space; call again after that. Memory sessions: drain after every call. read: size > 0.
 * shutdown sends our close and does not wait for the peer's. A connection that ends without the peer's close is FAILED, not
 * CLOSED. */
clo_crypto_tls_status clo_crypto_tls_handshake(clo_crypto_tls *t);
clo_crypto_tls_status clo_crypto_tls_read(clo_crypto_tls *t, void *to, size_t size, size_t *n);
clo_crypto_tls_status clo_crypto_tls_write(clo_crypto_tls *t, const void *from, size_t size, size_t *n);
clo_crypto_tls_status clo_crypto_tls_shutdown(clo_crypto_tls *t);
/** Bytes already decrypted and waiting (poll does not see them). */
size_t clo_crypto_tls_pending(const clo_crypto_tls *t);
/** Memory sessions: hand in all of `in` (at most 1 MiB may wait, else TOO_LARGE); copy out up to size bytes that must be sent.
 * write answers WANT_WRITE where 1 MiB waits to be drained. */
CLO_R clo_crypto_tls_feed(clo_crypto_tls *t, clo_span in);
size_t clo_crypto_tls_drain(clo_crypto_tls *t, void *to, size_t size);

/** RFC 8446 §7.5 exporter after the handshake; the project uses label "EXPORTER-cloister-attest", no context. */
CLO_R clo_crypto_tls_exporter(clo_crypto_tls *t, const char *label, uint8_t out[32]);
/** SHA-256 of the peer's and of the own leaf's SPKI; false where that side has no certificate. */
bool clo_crypto_tls_peer_spki(const clo_crypto_tls *t, uint8_t out[32]);
bool clo_crypto_tls_own_spki(const clo_crypto_tls *t, uint8_t out[32]);
/** "h2", "http/1.1" or "". */
const char *clo_crypto_tls_alpn(const clo_crypto_tls *t);

#ifdef __cplusplus
}
#endif
#endif
