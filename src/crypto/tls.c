/* TLS 1.3 sessions. Pins are checked inside the handshake, before any application byte. */
#include "crypto/tls.h"
#include "base/clo_ct.h"
#include "base/clo_text.h"
#include "crypto/tls_int.h"
#include "crypto/x509_int.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>

enum { MEMORY_MAX = 1024 * 1024 }; /* bytes that wait on either side of a memory session */

struct clo_crypto_tls_context {
    SSL_CTX *ctx;
    bool server, http2, has_leaf;
    uint8_t pin[32], own_spki[32];
};

void clo_crypto_tls_context_free(clo_crypto_tls_context **c)
{
    if (*c == NULL) return;
    SSL_CTX_free((*c)->ctx);
    free(*c);
    *c = NULL;
}

void clo_crypto_tls_free(clo_crypto_tls **t)
{
    if (*t == NULL) return;
    SSL_free((*t)->ssl);
    free(*t);
    *t = NULL;
}

/* Replaces chain building: trust is the pin (client) or is decided by the caller from the reported SPKI (server). TLS itself
 * proves that the peer holds the leaf's key. */
static int verify_leaf(X509_STORE_CTX *store, void *argument)
{
    (void)argument;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    clo_crypto_tls *t = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    uint8_t spki[32];
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    if (t == NULL || leaf == NULL || clo_failed(clo_crypto_x509_spki(leaf, spki))) return 0;
    if (!t->context->server && memcmp(spki, t->context->pin, 32) != 0) {
        char expected[65], actual[65];
        clo_hex_encode(expected, clo_span_of(t->context->pin, 32));
        clo_hex_encode(actual, clo_span_of(spki, 32));
        t->refused = true;
        (void)CLO_DENY(
            CLO_E_DENIED, "tls.server.spki", expected, actual, "the pin that the caller gave",
            "check that the address leads to the right server; if its key was really replaced, get the new pin from its owner");
        return 0;
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static const uint8_t alpn_h2[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
static clo_span alpn_offer(bool http2) { return http2 ? clo_span_of(alpn_h2, 12) : clo_span_of(alpn_h2 + 3, 9); }

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in, unsigned in_size,
                       void *argument)
{
    (void)ssl;
    const clo_crypto_tls_context *c = argument;
    clo_span ours = alpn_offer(c->http2);
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_size, ours.p, (unsigned)ours.n, in, in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Leaf first: the certificate and the chain that is sent with it. */
static clo_err use_certificate(clo_crypto_tls_context *c, const clo_crypto_cert *cert, bool leaf)
{
    CLO_AUTO(clo_crypto_x509_auto) X509 *x = NULL;
    CLO_TRY(clo_crypto_cert_full(cert, &x));
    if (!leaf) return SSL_CTX_add1_chain_cert(c->ctx, x) == 1 ? CLO_OK : clo_crypto_fail(CLO_E_NOMEM, "the TLS certificate chain could not be loaded");
    return SSL_CTX_use_certificate(c->ctx, x) == 1 ? CLO_OK : clo_crypto_fail(CLO_E_USAGE, "the TLS certificate cannot be used");
}

static clo_err load_leaf(clo_crypto_tls_context *c, const clo_crypto_tls_options *options)
{
    clo_crypto_cert *chain[8] = {NULL};
    size_t count = 0;
    CLO_TRY(clo_crypto_cert_parse_pem(chain, 8, &count, options->certificate_pem));
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    clo_err e = clo_crypto_pem_key(options->private_pem, &key);
    if (!clo_failed(e)) e = use_certificate(c, chain[0], true);
    if (!clo_failed(e) && SSL_CTX_use_PrivateKey(c->ctx, key) != 1) e = clo_crypto_fail(CLO_E_USAGE, "the TLS certificate and private key do not belong together");
    for (size_t i = 1; i < count && !clo_failed(e); i++) e = use_certificate(c, chain[i], false);
    if (!clo_failed(e)) e = clo_crypto_cert_spki_sha256(chain[0], c->own_spki);
    for (size_t i = 0; i < count; i++) clo_crypto_cert_free(&chain[i]);
    c->has_leaf = !clo_failed(e);
    return e;
}

clo_err clo_crypto_tls_context_new(clo_crypto_tls_context **out, const clo_crypto_tls_options *options)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(options->server || options->pinned_spki != NULL, CLO_E_USAGE, "a TLS client needs the pin of its server");
    CLO_CHECKF(!options->server || options->certificate_pem.n != 0, CLO_E_USAGE, "a TLS server needs a certificate");
    CLO_AUTO(clo_crypto_tls_context_free) clo_crypto_tls_context *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    c->server = options->server;
    c->http2 = options->http2;
    if (!c->server) memcpy(c->pin, options->pinned_spki, 32);
    int groups[3] = {NID_X25519, NID_X9_62_prime256v1, NID_secp384r1};
    c->ctx = OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1
                 ? SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method())
                 : NULL;
    if (c->ctx == NULL || SSL_CTX_set_min_proto_version(c->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(c->ctx, TLS1_3_VERSION) != 1 || SSL_CTX_set1_groups(c->ctx, groups, 3) != 1 ||
        SSL_CTX_set_num_tickets(c->ctx, 0) != 1)
        return clo_crypto_fail(CLO_E_NOMEM, "TLS could not start");
    /* No resumption: each session shows its leaf and has its own exporter value. */
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(c->ctx,
                           SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_security_level(c->ctx, 2);
    SSL_CTX_set_cert_verify_callback(c->ctx, verify_leaf, NULL);
    SSL_CTX_set_verify(c->ctx, !c->server || options->ask_client_leaf ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (options->certificate_pem.n != 0) CLO_TRY(load_leaf(c, options));
    clo_span offer = alpn_offer(c->http2);
    if (c->server)
        SSL_CTX_set_alpn_select_cb(c->ctx, choose_alpn, c);
    else if (SSL_CTX_set_alpn_protos(c->ctx, offer.p, (unsigned)offer.n) != 0)
        return clo_crypto_fail(CLO_E_NOMEM, "TLS could not start");
    *out = CLO_TAKE(c);
    return CLO_OK;
}

clo_err clo_crypto_tls_session(clo_crypto_tls **out, clo_crypto_tls_context *context)
{
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *t = calloc(1, sizeof *t);
    CLO_CHECK(t != NULL, CLO_E_NOMEM);
    t->context = context;
    t->ssl = SSL_new(context->ctx);
    if (t->ssl == NULL || SSL_set_app_data(t->ssl, t) != 1) return clo_crypto_fail(CLO_E_NOMEM, "a TLS session could not start");
    if (context->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    *out = CLO_TAKE(t);
    return CLO_OK;
}

clo_err clo_crypto_tls_on_memory(clo_crypto_tls **out, clo_crypto_tls_context *context)
{
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *t = NULL;
    CLO_TRY(clo_crypto_tls_session(&t, context));
    BIO *in = BIO_new(BIO_s_mem());
    BIO *to = BIO_new(BIO_s_mem());
    if (in == NULL || to == NULL) {
        (void)BIO_free(in);
        (void)BIO_free(to);
        return clo_crypto_fail(CLO_E_NOMEM, "a TLS session could not start");
    }
    SSL_set_bio(t->ssl, in, to); /* takes both */
    t->in = in;
    t->out = to;
    *out = CLO_TAKE(t);
    return CLO_OK;
}

/* What a call that returned `result` means. */
static clo_crypto_tls_status status_of(clo_crypto_tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
        return CLO_TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return CLO_TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return CLO_TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return CLO_TLS_CLOSED;
    default:
        break;
    }
    if (!t->refused) {
        unsigned long why = ERR_peek_error();
        const char *reason = why != 0 ? ERR_reason_error_string(why) : NULL;
        bool cut = why == 0 || ERR_GET_REASON(why) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        (void)CLO_FAILF(CLO_E_CLOSED, "the TLS session failed: %s",
                        cut ? "the peer cut the connection" : (reason != NULL ? reason : "the peer broke the protocol"));
    }
    ERR_clear_error();
    return CLO_TLS_FAILED;
}

clo_crypto_tls_status clo_crypto_tls_handshake(clo_crypto_tls *t)
{
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    if (result != 1) return status_of(t, result);
    const unsigned char *name = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(t->ssl, &name, &n);
    if (n != 0 && n < sizeof t->alpn) {
        memcpy(t->alpn, name, n);
        t->alpn[n] = 0;
    }
    return CLO_TLS_DONE;
}

clo_crypto_tls_status clo_crypto_tls_read(clo_crypto_tls *t, void *to, size_t size, size_t *n)
{
    *n = 0;
    ERR_clear_error();
    int result = SSL_read_ex(t->ssl, to, size, n);
    return result == 1 ? CLO_TLS_DONE : status_of(t, result);
}

clo_crypto_tls_status clo_crypto_tls_write(clo_crypto_tls *t, const void *from, size_t size, size_t *n)
{
    *n = 0;
    if (size == 0) return CLO_TLS_DONE;
    if (t->out != NULL && BIO_ctrl_pending(t->out) >= MEMORY_MAX) return CLO_TLS_WANT_WRITE;
    ERR_clear_error();
    int result = SSL_write_ex(t->ssl, from, size, n);
    return result == 1 ? CLO_TLS_DONE : status_of(t, result);
}

clo_crypto_tls_status clo_crypto_tls_shutdown(clo_crypto_tls *t)
{
    if (!SSL_is_init_finished(t->ssl)) return CLO_TLS_DONE;
    ERR_clear_error();
    int result = SSL_shutdown(t->ssl);
    return result >= 0 ? CLO_TLS_DONE : status_of(t, result); /* 0: our half is closed, which is all that we wait for */
}

size_t clo_crypto_tls_pending(const clo_crypto_tls *t) { return (size_t)SSL_pending(t->ssl); }

clo_err clo_crypto_tls_feed(clo_crypto_tls *t, clo_span in)
{
    CLO_CHECKF(t->in != NULL, CLO_E_USAGE, "a TLS session on a socket reads its own bytes");
    size_t waiting = BIO_ctrl_pending(t->in);
    CLO_CHECKF(waiting <= MEMORY_MAX && in.n <= MEMORY_MAX - waiting, CLO_E_TOO_LARGE,
               "more than %d bytes wait to be decrypted; read first", MEMORY_MAX);
    size_t written = 0;
    if (in.n != 0 && (BIO_write_ex(t->in, in.p, in.n, &written) != 1 || written != in.n))
        return clo_crypto_fail(CLO_E_NOMEM, "the TLS session could not take its input");
    return CLO_OK;
}

size_t clo_crypto_tls_drain(clo_crypto_tls *t, void *to, size_t size)
{
    size_t n = 0;
    if (t->out == NULL || size == 0 || BIO_ctrl_pending(t->out) == 0) return 0;
    return BIO_read_ex(t->out, to, size, &n) == 1 ? n : 0;
}

clo_err clo_crypto_tls_exporter(clo_crypto_tls *t, const char *label, uint8_t out[32])
{
    CLO_CHECKF(SSL_is_init_finished(t->ssl) == 1, CLO_E_USAGE, "a TLS exporter value exists after the handshake");
    if (SSL_export_keying_material(t->ssl, out, 32, label, strlen(label), NULL, 0, 0) == 1) return CLO_OK;
    clo_wipe(out, 32);
    return clo_crypto_fail(CLO_E_NOMEM, "the TLS exporter failed");
}

bool clo_crypto_tls_peer_spki(const clo_crypto_tls *t, uint8_t out[32])
{
    const X509 *leaf = SSL_get0_peer_certificate(t->ssl);
    return leaf != NULL && !clo_failed(clo_crypto_x509_spki(leaf, out));
}

bool clo_crypto_tls_own_spki(const clo_crypto_tls *t, uint8_t out[32])
{
    if (!t->context->has_leaf) return false;
    memcpy(out, t->context->own_spki, 32);
    return true;
}

const char *clo_crypto_tls_alpn(const clo_crypto_tls *t) { return t->alpn; }
