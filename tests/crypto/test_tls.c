/* Proves TLS sessions: memory against memory and socket against memory, exporter and SPKI on both sides, wrong pin refused with
 * its denial, ALPN, a cut at every byte of the server's first flight, altered records, an attacker in the middle, orderly and
 * rude closing, limits. */
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "crypto_test.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    clo_buf key, pem;
    uint8_t spki[32];
} identity;
static identity server_id, client_id, other_id;
static clo_crypto_tls_context *server_context, *client_context;

static void identity_make(identity *id, clo_crypto_keypair_kind kind)
{
    CLO_AUTO(clo_buf_free) clo_buf der;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *c = NULL;
    clo_buf_init(&der, 65536);
    clo_buf_init(&id->key, 65536);
    clo_buf_init(&id->pem, 65536);
    /* long expired: trust is the pin, not the calendar */
    clo_crypto_cert_request request = {
        .common_name = "leaf", .not_before = 0, .not_after = 10, .serial = 1, .dns_name = "localhost"};
    assert_ok(clo_crypto_keypair_make(kind, &id->key));
    assert_ok(clo_crypto_cert_make(&request, clo_buf_span(&id->key), NULL, clo_span_of(NULL, 0), &der));
    assert_ok(clo_crypto_cert_parse(&c, clo_buf_span(&der)));
    assert_ok(clo_crypto_cert_spki_sha256(c, id->spki));
    assert_ok(clo_crypto_cert_to_pem(c, &id->pem));
}

static clo_crypto_tls_context *context_make(bool server, const identity *own, const uint8_t *pin, bool ask, bool http2)
{
    clo_crypto_tls_options o = {.server = server, .pinned_spki = pin, .ask_client_leaf = ask, .http2 = http2};
    if (own != NULL) {
        o.certificate_pem = clo_buf_span(&own->pem);
        o.private_pem = clo_buf_span(&own->key);
    }
    clo_crypto_tls_context *c = NULL;
    assert_ok(clo_crypto_tls_context_new(&c, &o));
    return c;
}

static int setup(void **state)
{
    (void)state;
    identity_make(&server_id, CLO_KEYPAIR_P256);
    identity_make(&client_id, CLO_KEYPAIR_ED25519);
    identity_make(&other_id, CLO_KEYPAIR_P256);
    server_context = context_make(true, &server_id, NULL, true, true);
    client_context = context_make(false, &client_id, server_id.spki, false, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity *all[] = {&server_id, &client_id, &other_id};
    for (size_t i = 0; i < 3; i++) {
        clo_buf_free(&all[i]->key);
        clo_buf_free(&all[i]->pem);
    }
    clo_crypto_tls_context_free(&server_context);
    clo_crypto_tls_context_free(&client_context);
    return 0;
}

static void carry(clo_crypto_tls *from, clo_crypto_tls *to)
{
    uint8_t bytes[4096];
    for (size_t n = clo_crypto_tls_drain(from, bytes, sizeof bytes); n != 0; n = clo_crypto_tls_drain(from, bytes, sizeof bytes))
        assert_ok(clo_crypto_tls_feed(to, clo_span_of(bytes, n)));
}

/* Both handshakes to their end; the client's last status first. */
static void shake(clo_crypto_tls *c, clo_crypto_tls *s, clo_crypto_tls_status *client, clo_crypto_tls_status *server)
{
    *client = *server = CLO_TLS_WANT_READ;
    for (int round = 0; round < 10; round++) {
        if (*client == CLO_TLS_WANT_READ) *client = clo_crypto_tls_handshake(c);
        carry(c, s);
        if (*client == CLO_TLS_FAILED) return;
        if (*server == CLO_TLS_WANT_READ) *server = clo_crypto_tls_handshake(s);
        carry(s, c);
        if (*server == CLO_TLS_FAILED) return;
    }
}

static void memory_pair(void **state)
{
    (void)state;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *c = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
    assert_ok(clo_crypto_tls_on_memory(&c, client_context));
    assert_ok(clo_crypto_tls_on_memory(&s, server_context));
    clo_crypto_tls_status client, server;
    uint8_t a[32], b[32], early[32];
    assert_code(clo_crypto_tls_exporter(c, "EXPORTER-cloister-attest", early), CLO_E_USAGE);
    assert_false(clo_crypto_tls_peer_spki(c, a));
    shake(c, s, &client, &server);
    assert_int_equal(client, CLO_TLS_DONE);
    assert_int_equal(server, CLO_TLS_DONE);
    assert_ok(clo_crypto_tls_exporter(c, "EXPORTER-cloister-attest", a));
    assert_ok(clo_crypto_tls_exporter(s, "EXPORTER-cloister-attest", b));
    assert_memory_equal(a, b, 32);
    assert_ok(clo_crypto_tls_exporter(s, "EXPORTER-other", b));
    assert_memory_not_equal(a, b, 32);
    assert_true(clo_crypto_tls_peer_spki(c, a));
    assert_memory_equal(a, server_id.spki, 32);
    assert_true(clo_crypto_tls_peer_spki(s, a));
    assert_memory_equal(a, client_id.spki, 32);
    assert_true(clo_crypto_tls_own_spki(s, a));
    assert_memory_equal(a, server_id.spki, 32);
    assert_string_equal(clo_crypto_tls_alpn(c), "h2");
    assert_string_equal(clo_crypto_tls_alpn(s), "h2");

    static uint8_t big[100000], got[100000];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (uint8_t)(i * 31);
    size_t sent = 0, received = 0, n = 0;
    assert_int_equal(clo_crypto_tls_read(s, got, sizeof got, &n), CLO_TLS_WANT_READ);
    while (received < sizeof big) {
        if (sent < sizeof big) {
            assert_int_equal(clo_crypto_tls_write(c, big + sent, sizeof big - sent, &n), CLO_TLS_DONE);
            sent += n;
        }
        carry(c, s);
        while (clo_crypto_tls_read(s, got + received, 777 < sizeof got - received ? 777 : sizeof got - received, &n) ==
               CLO_TLS_DONE) {
            received += n;
            if (received == sizeof got) break;
        }
    }
    assert_memory_equal(got, big, sizeof big);
    assert_int_equal(clo_crypto_tls_write(c, big, 100, &n), CLO_TLS_DONE);
    carry(c, s);
    assert_int_equal(clo_crypto_tls_read(s, got, 40, &n), CLO_TLS_DONE);
    assert_int_equal(clo_crypto_tls_pending(s), 60);
    assert_int_equal(clo_crypto_tls_read(s, got, 100, &n), CLO_TLS_DONE);
    assert_int_equal(clo_crypto_tls_write(c, big, 0, &n), CLO_TLS_DONE);
    assert_int_equal(clo_crypto_tls_shutdown(c), CLO_TLS_DONE);
    carry(c, s);
    assert_int_equal(clo_crypto_tls_read(s, got, 100, &n), CLO_TLS_CLOSED);
}

static void wrong_pin(void **state)
{
    (void)state;
    CLO_AUTO(clo_crypto_tls_context_free) clo_crypto_tls_context *wrong = context_make(false, NULL, other_id.spki, false, false);
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *c = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
    assert_ok(clo_crypto_tls_on_memory(&c, wrong));
    assert_ok(clo_crypto_tls_on_memory(&s, server_context));
    clo_crypto_tls_status client, server;
    shake(c, s, &client, &server);
    assert_int_equal(client, CLO_TLS_FAILED);
    assert_non_null(clo_err_denial());
    assert_string_equal(clo_err_denial()->claim, "tls.server.spki");
    char want[65];
    clo_hex_encode(want, clo_span_of(other_id.spki, 32));
    assert_string_equal(clo_err_denial()->expected, want);
    assert_int_equal(clo_crypto_tls_handshake(s), CLO_TLS_FAILED);
    uint8_t a[32];
    assert_false(clo_crypto_tls_own_spki(c, a));
}

/* Whoever sits between the two and ends both sessions fails the pin, and even with a stolen pin list sees another exporter value.
 */
static void middle(void **state)
{
    (void)state;
    CLO_AUTO(clo_crypto_tls_context_free) clo_crypto_tls_context *evil = context_make(true, &other_id, NULL, true, true);
    CLO_AUTO(clo_crypto_tls_context_free)
    clo_crypto_tls_context *fooled = context_make(false, &client_id, other_id.spki, false, true);
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *c = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *m = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *forward = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
    clo_crypto_tls_status one, two;
    assert_ok(clo_crypto_tls_on_memory(&c, fooled));
    assert_ok(clo_crypto_tls_on_memory(&m, evil));
    assert_ok(clo_crypto_tls_on_memory(&forward, client_context));
    assert_ok(clo_crypto_tls_on_memory(&s, server_context));
    shake(c, m, &one, &two);
    assert_int_equal(one, CLO_TLS_DONE);
    shake(forward, s, &one, &two);
    assert_int_equal(one, CLO_TLS_DONE);
    uint8_t a[32], b[32];
    assert_ok(clo_crypto_tls_exporter(c, "EXPORTER-cloister-attest", a));
    assert_ok(clo_crypto_tls_exporter(s, "EXPORTER-cloister-attest", b));
    assert_memory_not_equal(a, b, 32);
}

static void no_client_leaf_and_http1(void **state)
{
    (void)state;
    CLO_AUTO(clo_crypto_tls_context_free) clo_crypto_tls_context *bare = context_make(false, NULL, server_id.spki, false, false);
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *c = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
    clo_crypto_tls_status client, server;
    uint8_t a[32];
    assert_ok(clo_crypto_tls_on_memory(&c, bare));
    assert_ok(clo_crypto_tls_on_memory(&s, server_context));
    shake(c, s, &client, &server);
    assert_int_equal(client, CLO_TLS_DONE);
    assert_int_equal(server, CLO_TLS_DONE);
    assert_false(clo_crypto_tls_peer_spki(s, a));
    assert_string_equal(clo_crypto_tls_alpn(s), "http/1.1");
}

static void damaged(void **state)
{
    (void)state;
    /* each byte of the server's first flight altered, some of them also cut off there */
    for (size_t at = 0; at < 700; at += 7) {
        CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *c = NULL;
        CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
        uint8_t flight[8192];
        assert_ok(clo_crypto_tls_on_memory(&c, client_context));
        assert_ok(clo_crypto_tls_on_memory(&s, server_context));
        assert_int_equal(clo_crypto_tls_handshake(c), CLO_TLS_WANT_READ);
        carry(c, s);
        assert_int_equal(clo_crypto_tls_handshake(s), CLO_TLS_WANT_READ);
        size_t n = clo_crypto_tls_drain(s, flight, sizeof flight);
        assert_true(n > 700);
        assert_ok(clo_crypto_tls_feed(c, clo_span_of(flight, at)));
        assert_int_equal(clo_crypto_tls_handshake(c), CLO_TLS_WANT_READ);
        flight[at] ^= 0x40;
        assert_ok(clo_crypto_tls_feed(c, clo_span_of(flight + at, n - at)));
        clo_crypto_tls_status status = clo_crypto_tls_handshake(c);
        /* a changed length may leave the client waiting for more; it must never finish. Record headers say "legacy" bytes that
         * TLS 1.3 tells receivers to ignore. */
        if (status == CLO_TLS_DONE) assert_true(at < 16 || flight[at] == (0x03 ^ 0x40));
    }
}

static void rude_close_on_socket(void **state)
{
    (void)state;
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *c = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
    assert_ok(clo_crypto_tls_on_socket(&c, client_context, fd[0]));
    assert_ok(clo_crypto_tls_on_socket(&s, server_context, fd[1]));
    clo_crypto_tls_status client = CLO_TLS_WANT_READ, server = CLO_TLS_WANT_READ;
    for (int round = 0; round < 10; round++) {
        if (client == CLO_TLS_WANT_READ) client = clo_crypto_tls_handshake(c);
        if (server == CLO_TLS_WANT_READ) server = clo_crypto_tls_handshake(s);
    }
    assert_int_equal(client, CLO_TLS_DONE);
    assert_int_equal(server, CLO_TLS_DONE);
    size_t n = 0;
    uint8_t got[16];
    assert_int_equal(clo_crypto_tls_write(c, "hello", 5, &n), CLO_TLS_DONE);
    assert_int_equal(clo_crypto_tls_read(s, got, sizeof got, &n), CLO_TLS_DONE);
    assert_int_equal(n, 5);
    assert_memory_equal(got, "hello", 5);
    assert_code(clo_crypto_tls_feed(c, clo_span_str("x")), CLO_E_USAGE);
    assert_int_equal(clo_crypto_tls_drain(c, got, 16), 0);
    /* the socket fills up */
    static uint8_t big[65536];
    clo_crypto_tls_status status = CLO_TLS_DONE;
    for (int i = 0; i < 1000 && status == CLO_TLS_DONE; i++) status = clo_crypto_tls_write(c, big, sizeof big, &n);
    assert_int_equal(status, CLO_TLS_WANT_WRITE);
    assert_int_equal(close(fd[0]), 0);
    static uint8_t sink[65536];
    do status = clo_crypto_tls_read(s, sink, sizeof sink, &n);
    while (status == CLO_TLS_DONE);
    assert_int_equal(status, CLO_TLS_FAILED); /* not CLOSED: the peer never said that it was done */
    assert_int_equal(close(fd[1]), 0);
}

static void limits_and_options(void **state)
{
    (void)state;
    clo_crypto_tls_context *none = NULL;
    clo_crypto_tls_options o = {.server = false};
    assert_code(clo_crypto_tls_context_new(&none, &o), CLO_E_USAGE);
    o.server = true;
    assert_code(clo_crypto_tls_context_new(&none, &o), CLO_E_USAGE);
    o.certificate_pem = clo_buf_span(&server_id.pem);
    o.private_pem = clo_buf_span(&other_id.key);
    assert_code(clo_crypto_tls_context_new(&none, &o), CLO_E_USAGE);
    o.private_pem = clo_span_str("no key");
    assert_code(clo_crypto_tls_context_new(&none, &o), CLO_E_MALFORMED);
    o.certificate_pem = clo_span_str("no certificate");
    assert_code(clo_crypto_tls_context_new(&none, &o), CLO_E_MALFORMED);
    assert_null(none);
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
    static uint8_t junk[1024 * 1024 + 1];
    assert_ok(clo_crypto_tls_on_memory(&s, server_context));
    assert_code(clo_crypto_tls_feed(s, clo_span_of(junk, sizeof junk)), CLO_E_TOO_LARGE);
    assert_ok(clo_crypto_tls_feed(s, clo_span_of(junk, sizeof junk - 1)));
    assert_code(clo_crypto_tls_feed(s, clo_span_of(junk, 1)), CLO_E_TOO_LARGE);
    assert_int_equal(clo_crypto_tls_handshake(s), CLO_TLS_FAILED);
    /* a plain HTTP request on a TLS port */
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *http = NULL;
    assert_ok(clo_crypto_tls_on_memory(&http, server_context));
    assert_ok(clo_crypto_tls_feed(http, clo_span_str("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    assert_int_equal(clo_crypto_tls_handshake(http), CLO_TLS_FAILED);
    assert_true(strlen(clo_err_text()) > 0);
}

static void memory_write_limit(void **state)
{
    (void)state;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *c = NULL;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *s = NULL;
    clo_crypto_tls_status client, server;
    assert_ok(clo_crypto_tls_on_memory(&c, client_context));
    assert_ok(clo_crypto_tls_on_memory(&s, server_context));
    shake(c, s, &client, &server);
    static uint8_t big[65536];
    size_t n = 0, total = 0;
    clo_crypto_tls_status status = CLO_TLS_DONE;
    for (int i = 0; i < 1000 && status == CLO_TLS_DONE; i++) {
        status = clo_crypto_tls_write(c, big, sizeof big, &n);
        total += n;
    }
    assert_int_equal(status, CLO_TLS_WANT_WRITE);
    assert_true(total < (size_t)2 * 1024 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_pair),
        cmocka_unit_test(wrong_pin),
        cmocka_unit_test(middle),
        cmocka_unit_test(damaged),
        cmocka_unit_test(no_client_leaf_and_http1),
        cmocka_unit_test(rude_close_on_socket),
        cmocka_unit_test(limits_and_options),
        cmocka_unit_test(memory_write_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
