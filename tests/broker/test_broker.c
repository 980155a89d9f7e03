/* The owner's daemon over real TLS: who may call what, a whole run from key import to shares, refusals that can be explained by
 * their id, a relayed session, and every route without credentials. */
#include "kms/kms_fixture.h"

#include "broker/broker.h"
#include "client/http_client.h"
#include "collab/key_import.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "os/file.h"
#include "os/net.h"
#include "wire/cbor.h"
#include "wire/json.h"
#include <stdio.h>
#include <stdlib.h>

static world w;
static clo_broker *b;
static clo_broker_identity identity;
static uint16_t port;

static void broker_begin(void)
{
    clo_buf party;
    clo_buf_init(&party, 64 << 10);
    assert_ok(clo_collab_party_encode(&w.a, &party));
    (void)snprintf(w.home, sizeof w.home, "%s/broker%u", w.directory, w.homes++);
    assert_ok(clo_broker_init(w.home, clo_buf_span(&party), NULL, NULL, NULL, 0, &identity));
    clo_buf_free(&party);
    assert_ok(clo_broker_start(&b, &(clo_broker_options){.home = w.home}));
    w.kms = clo_broker_kms(b);
    clo_os_net_url url;
    assert_ok(clo_os_net_url_parse(&url, identity.url));
    port = url.port;
    assert_string_equal(clo_broker_identity_of(b)->url, identity.url);
    assert_memory_equal(clo_broker_identity_of(b)->spki, identity.spki, 32);
    assert_memory_equal(clo_broker_identity_of(b)->hpke, identity.hpke, 32);
    clo_key32 other;
    w.g = world_agreement(&w, NULL, &w.file, &w.proof);
    world_dataset(&w, &w.a, "rows-a", &w.dek, &w.manifest_a, &w.manifest_a_bytes);
    world_dataset(&w, &w.b, "rows-b", &other, &w.manifest_b, &w.manifest_b_bytes);
}

static void broker_end(void)
{
    w.kms = NULL;
    clo_broker_stop(&b, 1000);
    assert_null(b);
}

/* ---- a client with a party's token ---- */

static clo_err call(const clo_collab_identity *who, const char *method, const char *path, const char *type, clo_span body,
                    clo_buf *answer, unsigned *status, char instance[64])
{
    clo_client_http *c = NULL;
    clo_buf token;
    char audience[65];
    const char *text = NULL;
    clo_buf_init(&token, 8192);
    clo_hex_encode(audience, clo_span_of(identity.spki, 32));
    assert_ok(clo_client_http_new(&c, identity.url, identity.spki));
    if (who != NULL) {
        assert_ok(clo_collab_token_make(who, audience, w.time.wall_seconds, 120, &token));
        assert_ok(clo_buf_cstr(&token, &text));
        assert_ok(clo_client_http_token(c, text));
    }
    clo_client_http_request q = CLO_CLIENT_HTTP_REQUEST(method, path);
    q.content_type = type;
    q.body = body;
    clo_err e = clo_client_http_do(c, &q, answer, status);
    if (instance != NULL) (void)snprintf(instance, 64, "%s", clo_client_http_instance(c));
    clo_client_http_free(&c);
    clo_buf_free(&token);
    return e;
}

static clo_wire_node *get(const clo_collab_identity *who, const char *path)
{
    clo_buf answer;
    clo_wire_node *tree = NULL;
    clo_buf_init(&answer, 1 << 20);
    assert_ok(call(who, "GET", path, NULL, clo_span_of(NULL, 0), &answer, NULL, NULL));
    assert_ok(clo_wire_json_decode(&w.arena, clo_buf_span(&answer), &tree));
    clo_buf_free(&answer);
    return tree;
}

static const char *text_of(const clo_wire_node *map, const char *key)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    assert_non_null(n);
    assert_int_equal(n->type, CLO_WIRE_TEXT);
    return (const char *)n->text.p;
}

static void put_key(void)
{
    clo_buf body, answer;
    clo_buf_init(&body, 64 << 10);
    clo_buf_init(&answer, 64 << 10);
    assert_ok(clo_collab_key_import_make(w.manifest_a_bytes, &w.manifest_a, w.manifest_a.version, &w.dek, identity.hpke, &body));
    assert_ok(call(&w.a, "POST", "/v1/keys", "application/cbor", clo_buf_span(&body), &answer, NULL, NULL));
    clo_buf_free(&body);
    clo_buf_free(&answer);
}

/* ---- a runtime with a leaf of its own ---- */

typedef struct {
    clo_buf key, certificate;
    clo_crypto_tls_context *context;
    clo_crypto_tls *tls;
    int fd;
} session;

static void pump(session *s, clo_crypto_tls_status got)
{
    uint64_t deadline = clo_os_now_ns() + 10000000000ull;
    if (got == CLO_TLS_WANT_READ)
        assert_ok(clo_os_net_wait(s->fd, false, deadline));
    else if (got == CLO_TLS_WANT_WRITE)
        assert_ok(clo_os_net_wait(s->fd, true, deadline));
    else
        fail_msg("tls: %s", clo_err_text());
}

/* leaf_of: the session whose leaf, with its private key, this one uses too; NULL = a fresh one. */
static void session_open_as(session *s, bool with_leaf, const session *leaf_of)
{
    memset(s, 0, sizeof *s);
    clo_buf der;
    clo_buf_init(&s->key, 16384);
    clo_buf_init(&s->certificate, 16384);
    clo_buf_init(&der, 16384);
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &s->key));
    clo_crypto_cert_request q = {
        .common_name = "runtime", .not_before = w.time.wall_seconds - 60, .not_after = w.time.wall_seconds + 3600, .serial = 1};
    assert_ok(clo_crypto_cert_make(&q, clo_buf_span(&s->key), NULL, clo_buf_span(&s->key), &der));
    clo_crypto_cert *c = NULL;
    assert_ok(clo_crypto_cert_parse(&c, clo_buf_span(&der)));
    assert_ok(clo_crypto_cert_to_pem(c, &s->certificate));
    clo_crypto_cert_free(&c);
    clo_buf_free(&der);
    if (leaf_of != NULL) {
        clo_buf_clear(&s->key);
        clo_buf_clear(&s->certificate);
        assert_ok(clo_buf_put_span(&s->key, clo_buf_span(&leaf_of->key)));
        assert_ok(clo_buf_put_span(&s->certificate, clo_buf_span(&leaf_of->certificate)));
    }
    clo_crypto_tls_options o = {.pinned_spki = identity.spki};
    if (with_leaf) {
        o.certificate_pem = clo_buf_span(&s->certificate);
        o.private_pem = clo_buf_span(&s->key);
    }
    assert_ok(clo_crypto_tls_context_new(&s->context, &o));
    assert_ok(clo_os_net_connect(&s->fd, "127.0.0.1", port, 5000));
    assert_ok(clo_crypto_tls_on_socket(&s->tls, s->context, s->fd));
    for (clo_crypto_tls_status got; (got = clo_crypto_tls_handshake(s->tls)) != CLO_TLS_DONE;) pump(s, got);
}

static void session_open(session *s, bool with_leaf) { session_open_as(s, with_leaf, NULL); }

static void session_close(session *s)
{
    clo_crypto_tls_free(&s->tls);
    clo_crypto_tls_context_free(&s->context);
    clo_os_fd_close(&s->fd);
    clo_buf_free(&s->key);
    clo_buf_free(&s->certificate);
}

static unsigned session_post(session *s, const char *path, const char *accept, clo_span body, clo_buf *answer)
{
    clo_buf request, raw;
    clo_buf_init(&request, 8 << 20);
    clo_buf_init(&raw, 1 << 20);
    assert_ok(clo_buf_printf(&request,
                             "POST %s HTTP/1.1\r\nHost: kms\r\nContent-Type: application/cbor\r\nAccept: %s\r\nContent-Length: "
                             "%zu\r\nConnection: close\r\n\r\n",
                             path, accept, body.n));
    assert_ok(clo_buf_put_span(&request, body));
    for (size_t sent = 0; sent < request.len;) {
        size_t n = 0;
        clo_crypto_tls_status got = clo_crypto_tls_write(s->tls, request.p + sent, request.len - sent, &n);
        if (got == CLO_TLS_DONE)
            sent += n;
        else
            pump(s, got);
    }
    for (;;) {
        uint8_t piece[4096];
        size_t n = 0;
        clo_crypto_tls_status got = clo_crypto_tls_read(s->tls, piece, sizeof piece, &n);
        if (got == CLO_TLS_CLOSED) break;
        if (got == CLO_TLS_DONE)
            assert_ok(clo_buf_put(&raw, piece, n));
        else
            pump(s, got);
    }
    const uint8_t *end = memmem(raw.p, raw.len, "\r\n\r\n", 4);
    assert_non_null(end);
    assert_true(raw.len > 12);
    uint64_t status = 0;
    assert_ok(clo_u64_parse(&status, clo_span_of(raw.p + 9, 3)));
    assert_ok(clo_buf_put(answer, end + 4, raw.len - (size_t)(end + 4 - raw.p)));
    clo_buf_free(&request);
    clo_buf_free(&raw);
    return (unsigned)status;
}

static void bind_session(session *s, message *m, runtime *r)
{
    assert_true(clo_crypto_tls_own_spki(s->tls, r->leaf));
    message_begin(&w, m, r);
    assert_ok(clo_crypto_tls_exporter(s->tls, "EXPORTER-cloister-attest", m->channel.exporter));
    assert_true(clo_crypto_tls_peer_spki(s->tls, m->channel.server_spki));
}

/* ---- tests ---- */

static message m;
static runtime r;

static void test_whole_run(void **state)
{
    (void)state;
    broker_begin();
    put_key();
    runtime_make(&r);
    session s;
    clo_buf answer;
    clo_buf_init(&answer, 1 << 20);
    session_open(&s, true);
    bind_session(&s, &m, &r);
    assert_int_equal(session_post(&s, "/v1/release", "application/cbor", message_finish(&w, &m), &answer), 200);
    static clo_collab_release_reply reply;
    assert_ok(clo_collab_release_reply_decode(&w.arena, clo_buf_span(&answer), &reply));
    assert_int_equal(reply.key_count, 1);
    session_close(&s);

    static clo_collab_release_token token;
    clo_key32 share = {{3}};
    token_begin(&w, &m, &token);
    clo_span commit = commit_finish(&w, &m, &token, &r, &share);
    clo_buf_clear(&answer);
    session_open(&s, true);
    assert_int_equal(session_post(&s, "/v1/commit", "*/*", commit, &answer), 200);
    session_close(&s);
    char path[100];
    clo_buf shares;
    clo_buf_init(&shares, 1 << 20);
    (void)snprintf(path, sizeof path, "/v1/runs/%s/shares", world_hex(&w, m.request.run_id, 16));
    assert_ok(call(NULL, "GET", path, NULL, clo_span_of(NULL, 0), &shares, NULL, NULL));
    assert_true(clo_span_equal(clo_buf_span(&answer), clo_buf_span(&shares)));
    clo_buf_free(&shares);
    clo_buf_free(&answer);

    /* The owner sees everything; the analyst its agreements and their budgets; a stranger nothing. */
    assert_string_equal(text_of(clo_wire_get(get(&w.a, "/v1/runs"), "runs")->first, "state"), "committed");
    assert_int_equal(clo_wire_get(get(&w.a, "/v1/ledger"), "entries")->count, 4);
    assert_int_equal(clo_wire_get(get(&w.a, "/v1/ledger?after=1&limit=1"), "entries")->count, 1);
    assert_string_equal(text_of(clo_wire_get(get(&w.analyst, "/v1/budgets"), "budgets")->first, "spent"), "1/100");
    assert_string_equal(text_of(clo_wire_get(get(&w.b, "/v1/agreements"), "agreements")->first, "state"), "active");
    assert_string_equal(text_of(clo_wire_get(get(&w.a, "/v1/keys"), "keys")->first, "state"), "enabled");
    assert_string_equal(text_of(get(NULL, "/v1/info"), "owner"), "hospital-a");
    broker_end();
}

/* An attacker in the middle: what the runtime proved over its own session is worthless on the attacker's. */
static void test_relayed_session(void **state)
{
    (void)state;
    broker_begin();
    put_key();
    runtime_make(&r);
    session inner, outer;
    clo_buf answer;
    clo_buf_init(&answer, 1 << 20);
    session_open(&inner, true);
    bind_session(&inner, &m, &r);
    clo_span body = message_finish(&w, &m);
    session_open(&outer, true);
    assert_int_equal(session_post(&outer, "/v1/release", "application/cbor", body, &answer), 403);
    clo_wire_node *problem = NULL;
    assert_ok(clo_wire_cbor_decode(&w.arena, clo_buf_span(&answer), NULL, &problem));
    assert_string_equal(text_of(problem, "claim"), "channel.leaf");
    session_close(&outer);
    /* Without a leaf, and as JSON this time; the id explains it. */
    clo_buf_clear(&answer);
    session_open(&outer, false);
    assert_int_equal(session_post(&outer, "/v1/release", "*/*", body, &answer), 403);
    assert_ok(clo_wire_json_decode(&w.arena, clo_buf_span(&answer), &problem));
    assert_string_equal(text_of(problem, "claim"), "channel.leaf");
    const char *instance = text_of(problem, "instance");
    char path[100];
    assert_non_null(strrchr(instance, ':'));
    (void)snprintf(path, sizeof path, "/v1/explain/%s", strrchr(instance, ':') + 1);
    clo_wire_node *why = get(NULL, path);
    assert_string_equal(text_of(why, "claim"), "channel.leaf");
    assert_string_equal(text_of(why, "actual"), "none was shown");
    assert_string_equal(text_of(why, "what"), "release");
    session_close(&outer);
    session_close(&inner);
    clo_buf_free(&answer);
    broker_end();
}

/* What a proxy sends on its own session, and the claim that the refusal names. */
static void refused_at(session *s, clo_span body, const char *claim)
{
    clo_buf answer;
    clo_wire_node *problem = NULL;
    clo_buf_init(&answer, 1 << 20);
    assert_int_equal(session_post(s, "/v1/release", "application/cbor", body, &answer), 403);
    assert_ok(clo_wire_cbor_decode(&w.arena, clo_buf_span(&answer), NULL, &problem));
    assert_string_equal(text_of(problem, "claim"), claim);
    assert_true(text_of(problem, "expected")[0] != '\0' && text_of(problem, "actual")[0] != '\0');
    clo_buf_free(&answer);
}

/* The proxy holds the runtime's leaf key itself, so that its own session shows the attested leaf: the exporter still is another. */
static void T01_proxy_with_the_leaf_key(void **state)
{
    (void)state;
    session inner, outer;
    broker_begin();
    put_key();
    runtime_make(&r);
    session_open(&inner, true);
    bind_session(&inner, &m, &r);
    clo_span body = message_finish(&w, &m);
    session_open_as(&outer, true, &inner);
    uint8_t spki[32];
    assert_true(clo_crypto_tls_own_spki(outer.tls, spki));
    assert_memory_equal(spki, r.leaf, 32);
    refused_at(&outer, body, "channel.binding");
    session_close(&outer);
    /* Nor does what was proved to another server, or for the other end of a session, count here. */
    for (int i = 0; i < 2; i++) {
        session_open_as(&outer, true, &inner);
        bind_session(&outer, &m, &r);
        if (i == 0) m.channel.server_spki[7] ^= 1;
        body = message_finish(&w, &m);
        if (i == 1) {
            clo_buf reflected, encoded;
            clo_buf_init(&reflected, 4096);
            clo_buf_init(&encoded, 8 << 20);
            assert_ok(clo_collab_channel_message(m.channel.exporter, m.channel.server_spki, m.channel.client_spki, "key-service",
                                                 m.m.evidence, &reflected));
            assert_ok(clo_crypto_sign(&r.sign, clo_buf_span(&reflected), m.m.channel_proof));
            assert_ok(clo_collab_release_request_encode(&m.m, &encoded));
            refused_at(&outer, clo_buf_span(&encoded), "channel.binding");
            clo_buf_free(&reflected);
            clo_buf_free(&encoded);
        } else {
            refused_at(&outer, body, "channel.binding");
        }
        session_close(&outer);
    }
    session_close(&inner);
    clo_kms_run *runs = NULL;
    size_t count = 1;
    assert_ok(clo_kms_run_list(w.kms, &w.arena, 10, &runs, &count));
    assert_int_equal(count, 0);
    broker_end();
}

/* Even a runtime that proves the proxy's session for it gives the proxy nothing: what comes over is sealed to the attested key. */
static void T01_forced_relay_yields_ciphertext(void **state)
{
    (void)state;
    session inner, outer;
    runtime proxy;
    clo_buf answer, info;
    static clo_collab_release_reply got;
    uint8_t dek[32];
    clo_buf_init(&answer, 1 << 20);
    clo_buf_init(&info, 1024);
    broker_begin();
    put_key();
    runtime_make(&r);
    runtime_make(&proxy);
    session_open(&inner, true);
    session_open_as(&outer, true, &inner);
    bind_session(&outer, &m, &r); /* the runtime signs the proxy's exporter */
    assert_int_equal(session_post(&outer, "/v1/release", "application/cbor", message_finish(&w, &m), &answer), 200);
    assert_ok(clo_collab_release_reply_decode(&w.arena, clo_buf_span(&answer), &got));
    assert_null(memmem(answer.p, answer.len, w.dek.b, 32));
    assert_ok(clo_collab_release_info(w.g->id, m.request.run_id, w.manifest_a.id, m.m.binding.nonces[0].bytes, m.m.evidence,
                                      got.expires, &info));
    clo_span sealed = got.keys[0].sealed_dek;
    assert_code(clo_crypto_hpke_open(&proxy.hpke.secret, clo_buf_span(&info), clo_span_of(NULL, 0), sealed, dek, 32),
                CLO_E_AUTHENTICATION);
    assert_ok(clo_crypto_hpke_open(&r.hpke.secret, clo_buf_span(&info), clo_span_of(NULL, 0), sealed, dek, 32));
    assert_memory_equal(dek, w.dek.b, 32);
    session_close(&outer);
    session_close(&inner);
    clo_buf_free(&answer);
    clo_buf_free(&info);
    broker_end();
}

/* Every protected route refuses no token, a stranger's, one for another audience; the owner's routes refuse other members. */
static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *type;
        bool owner_only;
    } routes[] = {
        {"GET", "/v1/agreements", NULL, false},
        {"POST", "/v1/keys", "application/cbor", true},
        {"GET", "/v1/keys", NULL, true},
        {"POST", "/v1/keys/rotate", NULL, true},
        {"POST", "/v1/keys/00/enable", NULL, true},
        {"POST", "/v1/keys/00/disable", NULL, true},
        {"POST", "/v1/keys/00/revoke", NULL, true},
        {"POST", "/v1/keys/00/destroy", NULL, true},
        {"GET", "/v1/budgets", NULL, false},
        {"POST", "/v1/budgets/00", "application/json", true},
        {"GET", "/v1/ledger", NULL, true},
        {"GET", "/v1/runs", NULL, true},
    };
    broker_begin();
    clo_collab_identity stranger;
    assert_ok(clo_collab_identity_make("hospital-a", &stranger));
    clo_kms_agreement g;
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        clo_buf answer;
        unsigned status = 0;
        clo_span body = strcmp(routes[i].method, "POST") == 0 ? clo_span_str("{}") : clo_span_of(NULL, 0);
        clo_buf_init(&answer, 1 << 20);
        assert_true(clo_failed(call(NULL, routes[i].method, routes[i].path, routes[i].type, body, &answer, &status, NULL)));
        assert_int_equal(status, 401);
        assert_true(clo_failed(call(&stranger, routes[i].method, routes[i].path, routes[i].type, body, &answer, &status, NULL)));
        assert_int_equal(status, 401);
        if (routes[i].owner_only) {
            assert_claim(call(&w.analyst, routes[i].method, routes[i].path, routes[i].type, body, &answer, &status, NULL),
                         CLO_E_DENIED, "caller.party");
            assert_int_equal(status, 403);
        } else {
            assert_ok(call(&w.analyst, routes[i].method, routes[i].path, routes[i].type, body, &answer, &status, NULL));
        }
        clo_buf_free(&answer);
    }
    /* A token for another service. */
    clo_broker_identity here = identity;
    clo_client_http *c = NULL;
    clo_buf token, answer;
    const char *text = NULL;
    char audience[65];
    clo_buf_init(&token, 8192);
    clo_buf_init(&answer, 1 << 20);
    here.spki[0] ^= 1;
    clo_hex_encode(audience, clo_span_of(here.spki, 32));
    assert_ok(clo_client_http_new(&c, identity.url, identity.spki));
    assert_ok(clo_collab_token_make(&w.a, audience, w.time.wall_seconds, 120, &token));
    assert_ok(clo_buf_cstr(&token, &text));
    assert_ok(clo_client_http_token(c, text));
    clo_client_http_request q = CLO_CLIENT_HTTP_REQUEST("GET", "/v1/ledger");
    assert_code(clo_client_http_do(c, &q, &answer, NULL), CLO_E_UNAUTHENTICATED);
    clo_client_http_free(&c);
    clo_buf_free(&token);
    clo_buf_free(&answer);
    broker_end();
}

static void test_owner_work(void **state)
{
    (void)state;
    clo_buf answer;
    char path[120], id[CLO_KMS_ID], instance[64];
    clo_buf_init(&answer, 1 << 20);
    broker_begin();
    put_key();
    /* An agreement needs no token, but every signature, the owner's among them. */
    CLO_AUTO(clo_buf_free) clo_buf unsigned_file;
    clo_buf_init(&unsigned_file, 1 << 20);
    assert_ok(clo_collab_agreement_file_make(w.g, &unsigned_file));
    assert_claim(call(NULL, "POST", "/v1/agreements", "application/octet-stream", clo_buf_span(&unsigned_file), &answer, NULL, NULL),
                 CLO_E_DENIED, "agreement.signatures");
    assert_ok(call(NULL, "POST", "/v1/agreements", "application/octet-stream", w.file, &answer, NULL, NULL));
    assert_ok(kms_key_id(w.manifest_a.id, w.manifest_a.version, id));
    static const char *const verbs[] = {"disable", "enable", "revoke", "destroy"};
    static const char *const states[] = {"disabled", "enabled", "revoked", "destroyed"};
    for (size_t i = 0; i < 4; i++) {
        clo_wire_node *k = NULL;
        clo_buf_clear(&answer);
        (void)snprintf(path, sizeof path, "/v1/keys/%s/%s", id, verbs[i]);
        assert_ok(call(&w.a, "POST", path, "application/json", clo_span_of(NULL, 0), &answer, NULL, NULL));
        assert_ok(clo_wire_json_decode(&w.arena, clo_buf_span(&answer), &k));
        assert_string_equal(text_of(k, "state"), states[i]);
    }
    clo_buf_clear(&answer);
    (void)snprintf(path, sizeof path, "/v1/keys/%s/enable", id);
    assert_code(call(&w.a, "POST", path, "application/json", clo_span_of(NULL, 0), &answer, NULL, instance), CLO_E_CONFLICT);
    assert_true(instance[0] != '\0');
    assert_ok(call(&w.a, "POST", "/v1/keys/rotate", "application/json", clo_span_of(NULL, 0), &answer, NULL, NULL));
    (void)snprintf(path, sizeof path, "/v1/budgets/%s", world_hex(&w, w.manifest_a.id, 32));
    assert_ok(call(&w.a, "POST", path, "application/json", clo_span_str("{\"limit\":\"1/2\"}"), &answer, NULL, NULL));
    assert_string_equal(text_of(clo_wire_get(get(&w.a, "/v1/budgets"), "budgets")->first, "limit"), "1/2");
    assert_code(call(&w.a, "POST", path, "application/json", clo_span_str("{\"limit\":\"-1\"}"), &answer, NULL, NULL),
                CLO_E_MALFORMED);
    /* An order needs no token: its signature is what counts. */
    clo_collab_order o = {.verb = "stop", .party = "hospital-b", .time = w.time.wall_seconds, .sequence = 1};
    memcpy(o.agreement, w.g->id, 32);
    clo_buf order;
    clo_buf_init(&order, 16384);
    assert_ok(clo_collab_order_make(&w.b, &o, &order));
    assert_ok(call(NULL, "POST", "/v1/orders", "application/cose", clo_buf_span(&order), &answer, NULL, NULL));
    assert_string_equal(text_of(clo_wire_get(get(&w.a, "/v1/agreements"), "agreements")->first, "state"), "suspended");
    /* One that does not count is told so, with the reason. */
    o = (clo_collab_order){.verb = "resume", .party = "hospital-b", .time = w.time.wall_seconds - 100, .sequence = 2};
    memcpy(o.agreement, w.g->id, 32);
    clo_buf_clear(&order);
    clo_buf_clear(&answer);
    assert_ok(clo_collab_order_make(&w.b, &o, &order));
    assert_ok(call(NULL, "POST", "/v1/orders", "application/cose", clo_buf_span(&order), &answer, NULL, NULL));
    assert_non_null(memmem(answer.p, answer.len, "this resume does not count", 26));
    clo_buf_free(&order);
    /* A nonce has 72 bytes and is never the same. */
    clo_buf_clear(&answer);
    clo_client_http *c = NULL;
    clo_client_http_request q = CLO_CLIENT_HTTP_REQUEST("GET", "/v1/nonce");
    q.accept = "application/octet-stream";
    assert_ok(clo_client_http_new(&c, identity.url, identity.spki));
    assert_ok(clo_client_http_do(c, &q, &answer, NULL));
    assert_ok(clo_client_http_do(c, &q, &answer, NULL));
    assert_int_equal(answer.len, 2 * CLO_NONCE);
    assert_memory_not_equal(answer.p, answer.p + CLO_NONCE, CLO_NONCE);
    clo_buf_clear(&answer);
    q = CLO_CLIENT_HTTP_REQUEST("GET", "/metrics");
    q.accept = "*/*";
    assert_ok(clo_client_http_do(c, &q, &answer, NULL));
    assert_non_null(memmem(answer.p, answer.len, "cloister_kms_nonces_total 2", 27));
    clo_client_http_free(&c);
    clo_buf_free(&answer);
    broker_end();
}

WORLD_GROUP(w)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_run),
        cmocka_unit_test(test_relayed_session),
        cmocka_unit_test(T01_proxy_with_the_leaf_key),
        cmocka_unit_test(T01_forced_relay_yields_ciphertext),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_owner_work),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
