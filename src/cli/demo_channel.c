#include "cli/demo_channel.h"

#include "crypto/x509.h"
#include "enclave/kms_http.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/net.h"
#include "wire/cbor.h"

enum { PEM_MAX = 8192, EXCHANGE_SECONDS = 10, CONNECT_MS = 5000, BODY_MAX = 8 << 20 };
#define SECOND UINT64_C(1000000000)
#define YEAR_2020 INT64_C(1577836800)
#define YEAR_2100 INT64_C(4102444800)

/* ---- the attacker's keys ---- */

static clo_err certify(demo_leaf *leaf, clo_crypto_cert **certificate)
{
    CLO_AUTO(clo_buf_free) clo_buf der;
    clo_buf_init(&der, PEM_MAX);
    const clo_crypto_cert_request request = {
        .common_name = "somebody", .not_before = YEAR_2020, .not_after = YEAR_2100, .serial = 1};
    CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &leaf->key_pem));
    CLO_TRY(clo_crypto_cert_make(&request, clo_buf_span(&leaf->key_pem), NULL, clo_buf_span(&leaf->key_pem), &der));
    CLO_TRY(clo_crypto_cert_parse(certificate, clo_buf_span(&der)));
    CLO_TRY(clo_crypto_cert_spki_sha256(*certificate, leaf->spki));
    return clo_crypto_cert_to_pem(*certificate, &leaf->certificate_pem);
}

clo_err demo_leaf_make(demo_leaf *out)
{
    clo_crypto_cert *certificate = NULL;
    clo_crypto_public_key pk;
    memset(out, 0, sizeof *out);
    clo_buf_init(&out->key_pem, PEM_MAX);
    clo_buf_init(&out->certificate_pem, PEM_MAX);
    clo_err e = certify(out, &certificate);
    clo_crypto_cert_free(&certificate);
    CLO_TRY(e);
    CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ED25519, &out->sign, &pk));
    memcpy(out->sign_public, pk.bytes, 32);
    return CLO_OK;
}

void demo_leaf_free(demo_leaf *leaf)
{
    if (leaf->key_pem.p != NULL) clo_wipe(leaf->key_pem.p, leaf->key_pem.cap);
    clo_buf_free(&leaf->key_pem);
    clo_buf_free(&leaf->certificate_pem);
    clo_crypto_private_key_wipe(&leaf->sign);
}

/* ---- the session ---- */

static clo_err wait_for(int fd, clo_crypto_tls_status s, uint64_t deadline)
{
    if (s == CLO_TLS_WANT_READ || s == CLO_TLS_WANT_WRITE) return clo_os_net_wait(fd, s == CLO_TLS_WANT_WRITE, deadline);
    if (s == CLO_TLS_CLOSED) return CLO_FAILF(CLO_E_CLOSED, "the key service closed the connection");
    return CLO_FAILF(CLO_E_CLOSED, "the TLS session broke off");
}

static clo_err handshake(clo_crypto_tls *tls, int fd)
{
    uint64_t deadline = clo_os_now_ns() + EXCHANGE_SECONDS * SECOND;
    for (;;) {
        clo_crypto_tls_status s = clo_crypto_tls_handshake(tls);
        if (s == CLO_TLS_DONE) return CLO_OK;
        CLO_TRY(wait_for(fd, s, deadline));
    }
}

clo_err demo_channel_open(demo_channel *ch, const demo_leaf *leaf, const clo_collab_member *member)
{
    clo_os_net_url url;
    *ch = (demo_channel){.member = member, .fd = -1};
    CLO_TRY(clo_os_net_url_parse(&url, member->kms_url));
    const clo_crypto_tls_options options = {.certificate_pem = clo_buf_span(&leaf->certificate_pem),
                                            .private_pem = clo_buf_span(&leaf->key_pem),
                                            .pinned_spki = member->kms_spki};
    clo_err e = clo_crypto_tls_context_new(&ch->context, &options);
    if (!clo_failed(e)) e = clo_os_net_connect(&ch->fd, url.host, url.port, CONNECT_MS);
    if (!clo_failed(e)) e = clo_crypto_tls_on_socket(&ch->tls, ch->context, ch->fd);
    if (!clo_failed(e)) e = handshake(ch->tls, ch->fd);
    if (clo_failed(e)) demo_channel_close(ch);
    return e;
}

void demo_channel_close(demo_channel *ch)
{
    clo_crypto_tls_free(&ch->tls);
    clo_crypto_tls_context_free(&ch->context);
    clo_os_fd_close(&ch->fd);
}

static clo_err send_all(demo_channel *ch, clo_span bytes, uint64_t deadline)
{
    while (bytes.n > 0) {
        size_t n = 0;
        clo_crypto_tls_status s = clo_crypto_tls_write(ch->tls, bytes.p, bytes.n, &n);
        if (s == CLO_TLS_DONE)
            bytes = clo_span_of(bytes.p + n, bytes.n - n);
        else
            CLO_TRY(wait_for(ch->fd, s, deadline));
    }
    return CLO_OK;
}

static clo_err call(demo_channel *ch, const char *method, const char *path, clo_span body, clo_enclave_http_response *r)
{
    CLO_AUTO(clo_buf_free) clo_buf message;
    clo_buf_init(&message, BODY_MAX + PEM_MAX);
    clo_os_net_url url;
    char host[300];
    uint64_t deadline = clo_os_now_ns() + EXCHANGE_SECONDS * SECOND;
    CLO_TRY(clo_os_net_url_parse(&url, ch->member->kms_url));
    (void)snprintf(host, sizeof host, "%s:%u", url.host, (unsigned)url.port);
    CLO_TRY(clo_enclave_http_request(&message, method, path, host, body.n > 0 ? "application/cbor" : NULL, body));
    CLO_TRY(send_all(ch, clo_buf_span(&message), deadline));
    while (r->state != CLO_ENCLAVE_HTTP_DONE) {
        uint8_t piece[4096];
        size_t n = 0;
        clo_crypto_tls_status s = clo_crypto_tls_read(ch->tls, piece, sizeof piece, &n);
        if (s == CLO_TLS_DONE)
            CLO_TRY(clo_enclave_http_response_feed(r, clo_span_of(piece, n)));
        else
            CLO_TRY(wait_for(ch->fd, s, deadline));
    }
    return CLO_OK;
}

clo_err demo_channel_nonce(demo_channel *ch, uint8_t out[CLO_NONCE])
{
    CLO_AUTO(clo_enclave_http_response_free) clo_enclave_http_response r;
    clo_enclave_http_response_init(&r);
    CLO_TRY(call(ch, "GET", "/v1/nonce", clo_span_of(NULL, 0), &r));
    CLO_CHECKF(r.status == 200 && r.body.len == CLO_NONCE, CLO_E_CONFLICT, "the key service gave no nonce");
    memcpy(out, r.body.p, CLO_NONCE);
    return CLO_OK;
}

clo_err demo_channel_prove(demo_channel *ch, const demo_leaf *leaf, clo_collab_release_request *r)
{
    uint8_t exporter[32], own[32], peer[32];
    CLO_AUTO(clo_buf_free) clo_buf message;
    clo_buf_init(&message, 4096);
    CLO_CHECK(clo_crypto_tls_own_spki(ch->tls, own) && clo_crypto_tls_peer_spki(ch->tls, peer), CLO_E_BUG);
    CLO_TRY(clo_crypto_tls_exporter(ch->tls, "EXPORTER-cloister-attest", exporter));
    CLO_TRY(clo_collab_channel_message(exporter, own, peer, "runtime", r->evidence, &message));
    return clo_crypto_sign(&leaf->sign, clo_buf_span(&message), r->channel_proof);
}

static void take(const clo_wire_node *map, const char *key, char *to, size_t size)
{
    const char *text = clo_client_text(map, key);
    (void)snprintf(to, size, "%s", text == NULL ? "" : text);
}

clo_err demo_channel_release(demo_channel *ch, const clo_collab_release_request *request, demo_refusal *out)
{
    CLO_AUTO(clo_enclave_http_response_free) clo_enclave_http_response r;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_wire_node *map = NULL;
    char instance[120];
    clo_enclave_http_response_init(&r);
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(&body, BODY_MAX);
    memset(out, 0, sizeof *out);
    CLO_TRY(clo_collab_release_request_encode(request, &body));
    CLO_TRY(call(ch, "POST", "/v1/release", clo_buf_span(&body), &r));
    out->status = r.status;
    CLO_CHECKF(r.status >= 400, CLO_E_CONFLICT, "THE ATTACK WORKED: the key service of %s released a key",
               ch->member->party.name);
    CLO_TRY(clo_wire_cbor_decode(&a, clo_buf_span(&r.body), NULL, &map));
    take(map, "claim", out->denial.claim, sizeof out->denial.claim);
    take(map, "expected", out->denial.expected, sizeof out->denial.expected);
    take(map, "actual", out->denial.actual, sizeof out->denial.actual);
    take(map, "source", out->denial.source, sizeof out->denial.source);
    take(map, "remedy", out->denial.remedy, sizeof out->denial.remedy);
    take(map, "instance", instance, sizeof instance);
    const char *last = strrchr(instance, ':');
    return clo_str_set(out->id, sizeof out->id, clo_span_str(last == NULL ? instance : last + 1));
}

/* ---- a server that claims to be a key service ---- */

static clo_err impersonate(demo_impostor *m)
{
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    char peer[46];
    clo_crypto_tls_context *context = NULL;
    clo_crypto_tls *tls = NULL;
    CLO_TRY(clo_os_net_wait(m->listen_fd, false, clo_os_now_ns() + EXCHANGE_SECONDS * SECOND));
    CLO_TRY(clo_os_net_accept(m->listen_fd, &fd, peer));
    m->connected = true;
    const clo_crypto_tls_options options = {.server = true,
                                            .certificate_pem = clo_buf_span(&m->leaf->certificate_pem),
                                            .private_pem = clo_buf_span(&m->leaf->key_pem),
                                            .ask_client_leaf = true};
    clo_err e = clo_crypto_tls_context_new(&context, &options);
    if (!clo_failed(e)) e = clo_crypto_tls_on_socket(&tls, context, fd);
    if (!clo_failed(e)) e = handshake(tls, fd);
    if (!clo_failed(e)) m->completed = true;
    clo_crypto_tls_free(&tls);
    clo_crypto_tls_context_free(&context);
    return e;
}

static void serve_one(void *context) { (void)impersonate(context).code; /* that it fails is what is hoped for */ }

clo_err demo_impostor_start(demo_impostor *m, const demo_leaf *leaf)
{
    *m = (demo_impostor){.leaf = leaf, .listen_fd = -1};
    CLO_TRY(clo_os_net_listen(&m->listen_fd, "127.0.0.1", 0, &m->port));
    return clo_os_thread_start(&m->thread, "impostor", serve_one, m);
}

void demo_impostor_stop(demo_impostor *m)
{
    if (m->thread != NULL) clo_os_thread_join(&m->thread);
    clo_os_fd_close(&m->listen_fd);
}
