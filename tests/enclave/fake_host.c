/* The host and the key services of the small world. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "enclave/link.h"
#include "fake_world.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/loop.h"
#include "os/net.h"
#include "wire/cbor.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static clo_err respond(fake_owner *o, unsigned status, const char *type, clo_span body)
{
    CLO_AUTO(clo_buf_free) clo_buf out = {0};
    clo_buf_init(&out, 2u << 20);
    CLO_TRY(clo_buf_printf(&out, "HTTP/1.1 %u X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status, type, body.n));
    CLO_TRY(clo_buf_put_span(&out, body));
    for (size_t at = 0; at < out.len;) {
        size_t n = 0;
        CLO_CHECK(clo_crypto_tls_write(o->tls, out.p + at, out.len - at, &n) == CLO_TLS_DONE, CLO_E_IO);
        at += n;
    }
    return CLO_OK;
}

static clo_err refuse_with(fake_owner *o, unsigned status, const char *code, const char *claim)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_wire_node *map = NULL;
    clo_arena_init(&a, 65536);
    clo_buf_init(&body, 65536);
    CLO_TRY(clo_wire_map(&a, &map));
    CLO_TRY(clo_wire_set_text(&a, map, "code", code));
    CLO_TRY(clo_wire_set_text(&a, map, "detail", "no"));
    CLO_TRY(clo_wire_set_text(&a, map, "instance", "urn:request:77"));
    CLO_TRY(clo_wire_set_text(&a, map, "claim", claim));
    CLO_TRY(clo_wire_set_text(&a, map, "expected", "at most 1"));
    CLO_TRY(clo_wire_set_text(&a, map, "actual", "2"));
    CLO_TRY(clo_wire_set_text(&a, map, "source", "agreement"));
    CLO_TRY(clo_wire_set_text(&a, map, "remedy", "ask for less"));
    CLO_TRY(clo_wire_cbor_encode(map, &body));
    return respond(o, status, "application/cbor", clo_buf_span(&body));
}

static clo_err refuse(fake_owner *o, const char *claim) { return refuse_with(o, 403, "budget", claim); }

/* What a key service checks of the channel: the proof is by the attested key over this very session. */
static clo_err channel_check(fake_owner *o, const clo_collab_release_request *r)
{
    uint8_t exporter[32], client[32], server[32];
    clo_crypto_public_key pk;
    CLO_AUTO(clo_buf_free) clo_buf message = {0};
    clo_buf_init(&message, 4096);
    CLO_TRY(clo_crypto_tls_exporter(o->tls, "EXPORTER-cloister-attest", exporter));
    CLO_CHECK(clo_crypto_tls_peer_spki(o->tls, client) && clo_crypto_tls_own_spki(o->tls, server), CLO_E_DENIED);
    CLO_CHECK(memcmp(client, r->binding.leaf_spki, 32) == 0, CLO_E_DENIED);
    CLO_TRY(clo_collab_channel_message(exporter, client, server, "runtime", r->evidence, &message));
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(r->binding.sign, 32), &pk));
    return clo_crypto_verify(&pk, clo_buf_span(&message), clo_span_of(r->channel_proof, 64));
}

static clo_err release(fake_world *w, fake_owner *o, clo_span body, bool renewal)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    CLO_AUTO(clo_buf_free) clo_buf info = {0}, sealed = {0}, out = {0};
    clo_collab_release_request *r = calloc(1, sizeof *r);
    clo_collab_release_reply *reply = calloc(1, sizeof *reply);
    clo_attest_result *result = calloc(1, sizeof *result);
    clo_arena_init(&a, 16u << 20);
    clo_buf_init(&info, 4096);
    clo_buf_init(&sealed, 4096);
    clo_buf_init(&out, 1 << 20);
    const clo_collab_runtime *runtime = NULL;
    const clo_collab_run_terms *terms = clo_collab_agreement_run(w->g, w->asked.run);
    clo_err e = clo_collab_release_request_decode(&a, body, r);
    if (!clo_failed(e)) e = channel_check(o, r);
    if (!clo_failed(e)) e = clo_collab_evidence_appraise(&a, NULL, w->g, terms, &r->binding, r->evidence, clo_os_clock_wall(clo_os_clock_system()), &runtime, result);
    size_t index = (size_t)(o - w->owners);
    if (!clo_failed(e) && memcmp(r->binding.nonces[index].bytes, o->nonce, CLO_NONCE) != 0) e = CLO_FAIL(CLO_E_REPLAYED);
    if (!clo_failed(e)) {
        *reply = (clo_collab_release_reply){.release_id = {1}, .lease_seconds = w->fault == FAULT_LEASE ? 1 : w->fault == FAULT_SHORT_LEASE ? 30 : 600, .expires = 1700000600};
        if (w->fault == FAULT_CLOCK && index == 1) reply->expires += 86400;
        uint8_t run_id[16];
        memcpy(run_id, w->asked.run_id, 16);
        if (w->fault == FAULT_RESEAL) run_id[0] ^= 1;
        if (!renewal) {
            e = clo_collab_release_info(w->g->id, run_id, o->m.id, o->nonce, r->evidence, reply->expires, &info);
            if (!clo_failed(e))
                e = clo_crypto_hpke_seal(r->binding.hpke, clo_buf_span(&info), clo_span_of(NULL, 0), clo_span_of(o->dek.b, 32), &sealed);
            reply->key_count = 1;
            memcpy(reply->keys[0].dataset, o->m.id, 32);
            reply->keys[0].sealed_dek = clo_buf_span(&sealed);
            o->releases++;
        } else {
            o->renewals++;
        }
    }
    if (!clo_failed(e)) e = clo_collab_release_reply_encode(reply, &out);
    free(r);
    free(reply);
    free(result);
    CLO_TRY(e);
    memset(o->nonce, 0, sizeof o->nonce); /* it counts once */
    o->hangs_up = w->fault == FAULT_LOST_REPLY && index == 1 && o->releases == 1;
    return o->hangs_up ? CLO_OK : respond(o, 200, "application/cbor", clo_buf_span(&out));
}

static clo_err commit(fake_world *w, fake_owner *o, clo_span body)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    CLO_AUTO(clo_buf_free) clo_buf info = {0}, out = {0};
    static clo_collab_release_token token;
    static clo_collab_commit_reply reply;
    clo_collab_commit_request r;
    clo_crypto_public_key pk;
    CLO_KEY32(share);
    clo_arena_init(&a, 4u << 20);
    clo_buf_init(&info, 4096);
    clo_buf_init(&out, 65536);
    CLO_TRY(clo_collab_commit_request_decode(&a, body, &r));
    CLO_CHECKF(w->prepared_count == OWNERS, CLO_E_CONFLICT, "a commit before the host could keep all requests");
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(w->evidence.binding.sign, 32), &pk));
    CLO_TRY(clo_collab_release_token_open(&a, r.token, &pk, &token));
    uint8_t named[32];
    CLO_TRY(clo_crypto_sha256(r.sealed_share, named));
    CLO_CHECK(token.share_count == OWNERS && memcmp(token.shares[o - w->owners], named, sizeof named) == 0, CLO_E_MALFORMED);
    CLO_TRY(clo_collab_share_info(w->g->id, w->asked.run_id, token.output, "kms", &info));
    CLO_TRY(clo_crypto_hpke_open(&o->kms_secret, clo_buf_span(&info), clo_span_of(NULL, 0), r.sealed_share, share.b, 32));
    memset(&reply, 0, sizeof reply);
    (void)snprintf(reply.owner, sizeof reply.owner, "%s", o->identity.public_half.name);
    CLO_KEY32(part);
    CLO_TRY(clo_collab_statement_share(w->g->id, w->asked.run_id, token.output, &share, &part));
    memcpy(reply.statement_share, part.b, sizeof reply.statement_share);
    for (size_t i = 0; i < token.recipient_count; i++) {
        const clo_collab_member *m = clo_collab_agreement_member(w->g, token.recipients[i]);
        clo_buf one = {0};
        clo_span kept = {NULL, 0};
        clo_buf_init(&one, 1024);
        clo_buf_clear(&info);
        CLO_TRY(clo_collab_share_info(w->g->id, w->asked.run_id, token.output, token.recipients[i], &info));
        clo_err e = clo_crypto_hpke_seal(m->party.hpke, clo_buf_span(&info), clo_span_of(NULL, 0), clo_span_of(share.b, 32), &one);
        if (!clo_failed(e)) e = clo_arena_copy(&a, clo_buf_span(&one), &kept);
        clo_buf_free(&one);
        CLO_TRY(e);
        (void)snprintf(reply.shares[i].recipient, 64, "%s", token.recipients[i]);
        reply.shares[i].sealed = kept;
        reply.share_count++;
    }
    o->commits++;
    CLO_TRY(clo_collab_commit_reply_encode(&reply, &out));
    return respond(o, 200, "application/cbor", clo_buf_span(&out));
}

static clo_err serve(fake_world *w, fake_owner *o, const char *head, clo_span body)
{
    if (strncmp(head, "GET /v1/nonce ", 14) == 0) {
        CLO_TRY(clo_crypto_random(o->nonce, CLO_NONCE));
        return respond(o, 200, "application/octet-stream", clo_span_of(o->nonce, CLO_NONCE));
    }
    bool south = o == &w->owners[1];
    if (strncmp(head, "POST /v1/release ", 17) == 0) return w->fault == FAULT_DENY_RELEASE && south ? refuse(o, "budget.rho") : release(w, o, body, false);
    if (strncmp(head, "POST /v1/renew ", 15) == 0) return w->fault == FAULT_LEASE ? refuse(o, "release.lease") : release(w, o, body, true);
    bool waits = w->fault == FAULT_WAIT && !south && w->owners[1].commits == 0;
    if (waits && strncmp(head, "POST /v1/commit ", 16) == 0) return refuse_with(o, 503, "again", "ledger.witness");
    bool busy = !south && (w->fault == FAULT_BUSY || (w->fault == FAULT_BUSY_ONCE && !o->was_busy));
    if (busy && strncmp(head, "POST /v1/commit ", 16) == 0) {
        o->was_busy = true;
        return respond(o, 503, "text/plain", clo_span_str("later"));
    }
    if (strncmp(head, "POST /v1/commit ", 16) == 0) return w->fault == FAULT_DENY_COMMIT && south ? refuse(o, "budget.rho") : commit(w, o, body);
    return CLO_FAIL(CLO_E_NOT_FOUND);
}

/* Answer every complete request that has come in. */
static clo_err requests_serve(fake_world *w, fake_owner *o)
{
    const char *text = NULL;
    CLO_TRY(clo_buf_cstr(&o->in, &text));
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) return CLO_OK;
    size_t head = (size_t)(end - text) + 4;
    const char *length = strstr(text, "Content-Length: ");
    size_t body = length != NULL && length < end ? (size_t)strtoul(length + 16, NULL, 10) : 0;
    if (o->in.len < head + body) return CLO_OK;
    CLO_CHECK(o->in.len == head + body, CLO_E_TRAILING);
    clo_err e = serve(w, o, text, clo_span_of(o->in.p + head, body));
    clo_buf_clear(&o->in);
    return e;
}

static clo_err server_step(fake_world *w, fake_owner *o, clo_span in)
{
    CLO_TRY(clo_crypto_tls_feed(o->tls, in));
    clo_crypto_tls_status s = clo_crypto_tls_handshake(o->tls);
    if (s != CLO_TLS_DONE) return s == CLO_TLS_FAILED || s == CLO_TLS_CLOSED ? CLO_FAIL(CLO_E_CLOSED) : CLO_OK;
    for (;;) {
        uint8_t piece[4096];
        size_t n = 0;
        s = clo_crypto_tls_read(o->tls, piece, sizeof piece, &n);
        if (s != CLO_TLS_DONE) break;
        CLO_TRY(clo_buf_put(&o->in, piece, n));
        clo_err e = requests_serve(w, o);
        if (clo_failed(e) && !clo_failed(w->served)) {
            print_message("key service: %s\n", clo_err_text());
            w->served = e;
        }
    }
    return s == CLO_TLS_FAILED ? CLO_FAIL(CLO_E_CLOSED) : CLO_OK;
}

static clo_err tunnel(fake_world *w, uint16_t number, clo_span body, clo_buf *reply)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_enclave_tunnel m;
    clo_arena_init(&a, 1 << 20);
    CLO_TRY(clo_enclave_tunnel_decode(&a, number, body, &m));
    fake_owner *o = strcmp(m.owner, "north") == 0 ? &w->owners[0] : &w->owners[1];
    if (number != CLO_ENCLAVE_TUNNEL_EXCHANGE) {
        clo_crypto_tls_free(&o->tls);
        clo_buf_clear(&o->in);
        return number == CLO_ENCLAVE_TUNNEL_OPEN ? clo_crypto_tls_on_memory(&o->tls, o->context) : CLO_OK;
    }
    CLO_CHECK(o->tls != NULL, CLO_E_CLOSED);
    uint8_t *flip = NULL;
    if (w->fault == FAULT_TUNNEL_FLIP && m.send.n > 200) {
        CLO_CHECK((flip = malloc(m.send.n)) != NULL, CLO_E_NOMEM);
        memcpy(flip, m.send.p, m.send.n);
        flip[m.send.n - 5] ^= 1;
        m.send.p = flip;
    }
    clo_err dead = m.send.n != 0 ? server_step(w, o, m.send) : CLO_OK;
    free(flip);
    if (o->hangs_up) {
        o->hangs_up = false;
        clo_crypto_tls_free(&o->tls);
        return CLO_OK;
    }
    if (!m.wait) return CLO_OK;
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(reply, CLO_ENCLAVE_TUNNEL_MAX, &at));
    reply->len = clo_crypto_tls_drain(o->tls, at, CLO_ENCLAVE_TUNNEL_MAX);
    if (reply->len == 0 && !clo_failed(dead)) return CLO_FAILF(CLO_E_TIMEOUT, "nothing came");
    return CLO_OK;
}

static clo_err fetch(fake_world *w, clo_span body, clo_buf *reply)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_enclave_fetch m;
    clo_arena_init(&a, 65536);
    CLO_TRY(clo_enclave_fetch_decode(&a, body, &m));
    size_t i = memcmp(m.dataset, w->owners[0].m.id, 32) == 0 ? 0 : 1;
    const fake_owner *o = &w->owners[w->fault == FAULT_CHUNK_SWAP ? 0 : i];
    uint64_t n = clo_collab_sealed_span(&o->m, m.first, m.count);
    CLO_TRY(clo_buf_put(reply, o->sealed.p + m.first * (o->m.chunk_size + 16u), (size_t)n));
    if (w->fault == FAULT_CHUNK_FLIP && i == 1) reply->p[reply->len / 2] ^= 4;
    if (w->fault == FAULT_CHUNK_SHORT) reply->len--;
    return CLO_OK;
}

static clo_err take_output(fake_world *w, clo_span body)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_enclave_output m;
    clo_arena_init(&a, 4u << 20);
    CLO_TRY(clo_enclave_output_decode(&a, body, &m));
    CLO_CHECK(m.offset == w->output.len, CLO_E_RANGE);
    return clo_buf_put_span(&w->output, m.bytes);
}

static clo_err take_finish(fake_world *w, clo_span body)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_enclave_finish m;
    uint8_t digest[32];
    clo_arena_init(&a, 4u << 20);
    CLO_TRY(clo_enclave_finish_decode(&a, body, &m));
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&w->output), digest));
    CLO_CHECK(memcmp(digest, m.output, 32) == 0 && m.output_size == w->output.len && m.commit_count == OWNERS, CLO_E_MALFORMED);
    CLO_TRY(clo_buf_put_span(&w->statement, m.statement));
    for (size_t i = 0; i < OWNERS; i++) CLO_TRY(clo_buf_put_span(&w->commits[i], m.commits[i]));
    w->finished = true;
    return CLO_OK;
}

static clo_err take_evidence(fake_world *w, clo_span body)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_enclave_evidence m;
    clo_arena_init(&a, 1u << 20);
    CLO_TRY(clo_enclave_evidence_decode(&a, body, &m));
    if (m.renewal) return CLO_OK;
    clo_buf_clear(&w->evidence_bytes); /* a release that was asked for again */
    CLO_TRY(clo_buf_put_span(&w->evidence_bytes, m.evidence));
    w->evidence = m;
    w->evidence.binding.configuration = w->evidence.evidence = clo_span_of(NULL, 0); /* of this call's arena */
    return CLO_OK;
}

/* What of a request could carry a message to the host. TLS bytes vary by themselves; progress is looked at by its content. */
static clo_err hear(fake_world *w, uint16_t number, clo_span body)
{
    if (number == CLO_ENCLAVE_TUNNEL_OPEN || number == CLO_ENCLAVE_TUNNEL_EXCHANGE || number == CLO_ENCLAVE_TUNNEL_CLOSE) return CLO_OK;
    if (number == CLO_ENCLAVE_PROGRESS) return CLO_OK;
    return clo_buf_printf(&w->heard, "%u:%zu\n", number, body.n);
}

/* One request of the runtime; the reply's body, or an error to be replied. */
static clo_err handle(fake_world *w, uint16_t number, clo_span body, clo_buf *reply, bool *cancel)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_enclave_progress p;
    clo_enclave_prepared prepared;
    clo_arena_init(&a, 1u << 20);
    CLO_TRY(hear(w, number, body));
    switch (number) {
    case CLO_ENCLAVE_FETCH: return fetch(w, body, reply);
    case CLO_ENCLAVE_TUNNEL_OPEN: case CLO_ENCLAVE_TUNNEL_EXCHANGE: case CLO_ENCLAVE_TUNNEL_CLOSE: return tunnel(w, number, body, reply);
    case CLO_ENCLAVE_EVIDENCE: return take_evidence(w, body);
    case CLO_ENCLAVE_PROGRESS:
        CLO_TRY(clo_enclave_progress_decode(&a, body, &p));
        w->phases |= 1u << p.phase;
        w->counted += p.total;
        if (p.phase == CLO_ENCLAVE_PHASE_STARTING) memcpy(w->sandbox, p.text, sizeof w->sandbox);
        *cancel = w->fault == FAULT_CANCEL && p.phase == CLO_ENCLAVE_PHASE_COMPUTING;
        return CLO_OK;
    case CLO_ENCLAVE_OUTPUT: return take_output(w, body);
    case CLO_ENCLAVE_PREPARED:
        CLO_TRY(clo_enclave_prepared_decode(&a, body, &prepared));
        w->prepared_count = prepared.commit_count;
        clo_buf_clear(&w->hidden);
        return clo_buf_put_span(&w->hidden, prepared.statement);
    case CLO_ENCLAVE_FINISH: return take_finish(w, body);
    case CLO_ENCLAVE_FAILED:
        w->failed = true;
        return clo_enclave_failed_decode(&a, body, &w->failure);
    default: return CLO_FAIL(CLO_E_MALFORMED);
    }
}

static void start_send(fake_world *w, int fd, uint64_t deadline)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, CLO_ENCLAVE_START_MAX);
    if (w->fault == FAULT_AGREEMENT_FLIP) w->file.p[w->file.len / 2] ^= 1;
    if (w->fault == FAULT_REQUEST_FLIP) w->request.p[w->request.len - 1] ^= 1;
    if (w->fault == FAULT_MANIFEST_FLIP) w->owners[1].manifest.p[w->owners[1].manifest.len - 1] ^= 1;
    size_t swap = w->fault == FAULT_MANIFEST_SWAP ? 1 : 0;
    clo_enclave_start m = {.agreement_file = clo_buf_span(&w->file), .agreement_proof = clo_buf_span(&w->proof), .request = clo_buf_span(&w->request),
                           .manifest_count = OWNERS,
                           .manifests = {clo_buf_span(&w->owners[swap].manifest), clo_buf_span(&w->owners[1 - swap].manifest)}};
    assert_ok(clo_enclave_start_encode(&m, &body));
    if (w->fault == FAULT_NO_START) {
        assert_ok(clo_enclave_link_send(fd, CLO_ENCLAVE_PROGRESS, false, clo_span_of("x", 1), deadline));
        return;
    }
    assert_ok(clo_enclave_link_send(fd, CLO_ENCLAVE_START, false, clo_buf_span(&body), deadline));
}

static void host_serve(fake_world *w, int fd)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0}, reply = {0};
    clo_buf_init(&body, CLO_ENCLAVE_START_MAX);
    clo_buf_init(&reply, CLO_ENCLAVE_FETCH_MAX);
    uint64_t deadline = clo_os_now_ns() + UINT64_C(100000000000);
    start_send(w, fd, deadline);
    for (;;) {
        uint16_t number = 0;
        bool cancel = false;
        if (clo_failed(clo_enclave_link_receive(fd, false, &number, &body, deadline))) return;
        clo_buf_clear(&reply);
        clo_err e = handle(w, number, clo_buf_span(&body), &reply, &cancel);
        clo_err sent = CLO_OK;
        if (clo_failed(e)) sent = clo_enclave_link_reply_error(fd, e, deadline);
        else if (cancel) sent = clo_enclave_link_reply_cancel(fd, deadline);
        else if (w->fault == FAULT_WRONG_FRAME && number == CLO_ENCLAVE_EVIDENCE) sent = clo_enclave_link_reply(fd, CLO_ENCLAVE_FETCH, clo_span_of("x", 1), deadline);
        else sent = clo_enclave_link_reply(fd, number, clo_buf_span(&reply), deadline);
        if (clo_failed(sent)) return;
    }
}

typedef struct {
    fake_world *w;
    int fd;
} device_context;
static void device_main(void *context)
{
    device_context *d = context;
    clo_err ignored = clo_tee_sim_serve(d->w->device, d->fd, -1, d->w->measurement, d->w->host_data);
    (void)ignored;
}

void fake_world_run(fake_world *w)
{
    int host[2], device[2];
    clo_os_thread *thread = NULL;
    clo_os_process child = CLO_OS_PROCESS_NONE;
    CLO_AUTO(clo_os_fd_close) int self = fake_world_program_open();
    fake_world_forget(w);
    clo_buf_init(&w->evidence_bytes, CLO_EVIDENCE_MAX);
    clo_buf_init(&w->output, CLO_ENCLAVE_OUTPUT_FILE_MAX);
    clo_buf_init(&w->statement, 65536);
    clo_buf_init(&w->heard, 1 << 20);
    clo_buf_init(&w->hidden, 65536);
    for (size_t i = 0; i < OWNERS; i++) clo_buf_init(&w->commits[i], 65536);
    assert_ok(clo_os_net_pair(host));
    assert_ok(clo_os_net_pair(device));
    device_context d = {.w = w, .fd = device[0]};
    assert_ok(clo_os_thread_start(&thread, "sim-device", device_main, &d));
    const char *const argv[] = {"cloister-enclave", NULL};
    const clo_os_fd_map fds[] = {{host[1], 3}, {device[1], 4}, {2, 2}};
    clo_os_spawn options = {.exec_fd = self, .argv = argv, .fds = fds, .fd_count = 3, .die_with_parent = true};
    uint64_t began = clo_os_now_ns();
    assert_ok(clo_os_process_spawn(&child, &options));
    (void)close(host[1]);
    (void)close(device[1]);
    host_serve(w, host[0]);
    (void)close(host[0]);
    assert_ok(clo_os_process_wait(&child, 60000, &w->end));
    w->seconds = (double)(clo_os_now_ns() - began) / 1e9;
    clo_os_thread_join(&thread);
    (void)close(device[0]);
}
