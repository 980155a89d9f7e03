/* The runtimes' side of a release over TLS 1.3 and HTTP/1.1, kept alive. */
#include "bench_releases.h"
#include "kms/kms_fixture.h"

#include "broker/broker.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "os/file.h"
#include "os/net.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    world mine; /* the shared one with an arena of its own */
    runtime who;
    message m;
    clo_crypto_tls_context *context;
    clo_crypto_tls *tls;
    int fd;
} asker;

static world w;
static clo_broker_identity identity;
static asker *askers;

static void pump(const asker *a, clo_crypto_tls_status got)
{
    if (got != CLO_TLS_WANT_READ && got != CLO_TLS_WANT_WRITE) fail_msg("tls: %s", clo_err_text());
    assert_ok(clo_os_net_wait(a->fd, got == CLO_TLS_WANT_WRITE, clo_os_now_ns() + 30000000000ull));
}

static void asker_open(asker *a)
{
    clo_buf key, certificate, der;
    clo_os_net_url url;
    a->mine = w;
    clo_arena_init(&a->mine.arena, 64 << 20);
    runtime_make(&a->who);
    clo_buf_init(&key, 16384);
    clo_buf_init(&certificate, 16384);
    clo_buf_init(&der, 16384);
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &key));
    clo_crypto_cert_request q = {
        .common_name = "runtime", .not_before = w.time.wall_seconds - 60, .not_after = w.time.wall_seconds + 3600, .serial = 1};
    clo_crypto_cert *c = NULL;
    assert_ok(clo_crypto_cert_make(&q, clo_buf_span(&key), NULL, clo_buf_span(&key), &der));
    assert_ok(clo_crypto_cert_parse(&c, clo_buf_span(&der)));
    assert_ok(clo_crypto_cert_to_pem(c, &certificate));
    clo_crypto_cert_free(&c);
    clo_crypto_tls_options o = {.pinned_spki = identity.spki, .certificate_pem = clo_buf_span(&certificate), .private_pem = clo_buf_span(&key)};
    assert_ok(clo_crypto_tls_context_new(&a->context, &o));
    assert_ok(clo_os_net_url_parse(&url, identity.url));
    assert_ok(clo_os_net_connect(&a->fd, "127.0.0.1", url.port, 5000));
    assert_ok(clo_crypto_tls_on_socket(&a->tls, a->context, a->fd));
    for (clo_crypto_tls_status got; (got = clo_crypto_tls_handshake(a->tls)) != CLO_TLS_DONE;) pump(a, got);
    assert_true(clo_crypto_tls_own_spki(a->tls, a->who.leaf));
    clo_buf_free(&key);
    clo_buf_free(&certificate);
    clo_buf_free(&der);
}

static void asker_close(asker *a)
{
    clo_crypto_tls_free(&a->tls);
    clo_crypto_tls_context_free(&a->context);
    clo_os_fd_close(&a->fd);
    clo_arena_free(&a->mine.arena);
}

/* One answer of known length; the body stays in `raw`. */
static clo_span answer_read(asker *a, clo_buf *raw)
{
    size_t whole = SIZE_MAX, head = 0;
    while (raw->len < whole) {
        uint8_t *at = NULL;
        size_t n = 0;
        assert_ok(clo_buf_reserve(raw, 4096, &at));
        clo_crypto_tls_status got = clo_crypto_tls_read(a->tls, at, 4096, &n);
        if (got != CLO_TLS_DONE) {
            pump(a, got);
            continue;
        }
        raw->len += n;
        const uint8_t *end = memmem(raw->p, raw->len, "\r\n\r\n", 4);
        if (whole != SIZE_MAX || end == NULL) continue;
        head = (size_t)(end + 4 - raw->p);
        static const char name[] = "ontent-length: ";
        for (size_t i = 0; i + sizeof name < head; i++)
            if (strncasecmp((const char *)raw->p + i, name, sizeof name - 1) == 0)
                whole = head + (size_t)strtoul((const char *)raw->p + i + sizeof name - 1, NULL, 10);
        if (whole == SIZE_MAX) fail_msg("an answer without length");
    }
    if (memcmp(raw->p + 9, "200", 3) != 0) fail_msg("%.*s", (int)raw->len, (const char *)raw->p);
    return clo_span_of(raw->p + head, raw->len - head);
}

static clo_span ask(asker *a, const char *line, clo_span body, clo_buf *raw)
{
    clo_buf request;
    clo_buf_init(&request, 8 << 20);
    assert_ok(clo_buf_printf(&request, "%s HTTP/1.1\r\nHost: kms\r\n", line));
    if (body.n != 0)
        assert_ok(clo_buf_printf(&request, "Content-Type: application/cbor\r\nAccept: application/cbor\r\nContent-Length: %zu\r\n", body.n));
    assert_ok(clo_buf_put_str(&request, "\r\n"));
    assert_ok(clo_buf_put_span(&request, body));
    for (size_t sent = 0; sent < request.len;) {
        size_t n = 0;
        clo_crypto_tls_status got = clo_crypto_tls_write(a->tls, request.p + sent, request.len - sent, &n);
        if (got != CLO_TLS_DONE) pump(a, got);
        sent += n;
    }
    clo_buf_free(&request);
    return answer_read(a, raw);
}

static void release_over_tls(size_t self, size_t number)
{
    (void)number;
    asker *a = &askers[self];
    clo_buf nonce, answer;
    clo_buf_init(&nonce, 64 << 10);
    clo_buf_init(&answer, 64 << 10);
    clo_arena_free(&a->mine.arena);
    clo_arena_init(&a->mine.arena, 64 << 20);
    clo_span fresh = ask(a, "GET /v1/nonce", clo_span_of(NULL, 0), &nonce);
    message_begin(&a->mine, &a->m, &a->who);
    assert_int_equal(fresh.n, CLO_NONCE);
    memcpy(a->m.m.binding.nonces[0].bytes, fresh.p, CLO_NONCE);
    assert_ok(clo_crypto_tls_exporter(a->tls, "EXPORTER-cloister-attest", a->m.channel.exporter));
    assert_true(clo_crypto_tls_peer_spki(a->tls, a->m.channel.server_spki));
    clo_span reply = ask(a, "POST /v1/release", message_finish(&a->mine, &a->m), &answer);
    void *read = NULL;
    assert_ok(clo_arena_alloc(&a->mine.arena, sizeof(clo_collab_release_reply), &read));
    assert_ok(clo_collab_release_reply_decode(&a->mine.arena, reply, read));
    assert_int_equal(((clo_collab_release_reply *)read)->key_count, 1);
    clo_buf_free(&nonce);
    clo_buf_free(&answer);
}

figures releases_over_tls(size_t callers, size_t count)
{
    clo_buf party;
    clo_broker *b = NULL;
    clo_key32 other;
    world_open(&w);
    clo_buf_init(&party, 64 << 10);
    assert_ok(clo_collab_party_encode(&w.a, &party));
    (void)snprintf(w.home, sizeof w.home, "%s/broker", w.directory);
    assert_ok(clo_broker_init(w.home, clo_buf_span(&party), NULL, NULL, NULL, 0, &identity));
    clo_buf_free(&party);
    /* All callers come from one address here. */
    clo_broker_options options = {.home = w.home, .listen.limits = {.peer_per_second = 1000000, .peer_burst = 1000000}};
    assert_ok(clo_broker_start(&b, &options));
    w.kms = clo_broker_kms(b);
    w.g = world_agreement(&w, &(terms){.budget = "1000", .price = "0.000001", .count_max = 1000000}, &w.file, &w.proof);
    world_dataset(&w, &w.a, "rows-a", &w.dek, &w.manifest_a, &w.manifest_a_bytes);
    world_dataset(&w, &w.b, "rows-b", &other, &w.manifest_b, &w.manifest_b_bytes);
    world_import(&w, &w.manifest_a, w.manifest_a_bytes, &w.dek);
    askers = calloc(callers, sizeof *askers);
    assert_non_null(askers);
    for (size_t i = 0; i < callers; i++) asker_open(&askers[i]);
    (void)measure(1, 4, release_over_tls);
    figures f = measure(callers, count, release_over_tls);
    for (size_t i = 0; i < callers; i++) asker_close(&askers[i]);
    free(askers);
    clo_broker_stop(&b, 1000);
    world_close(&w);
    return f;
}
