/* An attacker's own TLS session with a key service: own leaf, own keys, the key service's real protocol. */
#ifndef CLO_CLI_DEMO_CHANNEL_H
#define CLO_CLI_DEMO_CHANNEL_H
#include "cli/demo_world.h"
#include "crypto/tls.h"
#include "os/loop.h"

/* Who the attacker is. */
typedef struct {
    clo_buf key_pem, certificate_pem;
    uint8_t spki[32];
    clo_crypto_private_key sign;
    uint8_t sign_public[32];
} demo_leaf;
CLO_R demo_leaf_make(demo_leaf *out);
void demo_leaf_free(demo_leaf *leaf);

/* What a key service said no to. */
typedef struct {
    unsigned status;
    clo_denial denial;
    char id[80]; /* for `cloister explain` */
} demo_refusal;

typedef struct {
    const clo_collab_member *member; /* whose key service */
    int fd;
    clo_crypto_tls_context *context;
    clo_crypto_tls *tls;
} demo_channel;
CLO_R demo_channel_open(demo_channel *ch, const demo_leaf *leaf, const clo_collab_member *member);
void demo_channel_close(demo_channel *ch);
CLO_R demo_channel_nonce(demo_channel *ch, uint8_t out[CLO_NONCE]);
/** Sign for this very session with the attacker's key. */
CLO_R demo_channel_prove(demo_channel *ch, const demo_leaf *leaf, clo_collab_release_request *r);
/** POST /v1/release. Success only where it is refused; *out says why. A release is an error: the attack worked. */
CLO_R demo_channel_release(demo_channel *ch, const clo_collab_release_request *r, demo_refusal *out);

/* A server with the attacker's key, for one connection. */
typedef struct {
    const demo_leaf *leaf;
    int listen_fd;
    uint16_t port;
    clo_os_thread *thread;
    bool connected, completed; /* somebody came; and took the attacker for the key service */
} demo_impostor;
CLO_R demo_impostor_start(demo_impostor *m, const demo_leaf *leaf);
void demo_impostor_stop(demo_impostor *m);

#endif
