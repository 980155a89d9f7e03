/* A TLS session with an owner's key service through the host's tunnel, and HTTP inside it. The host sees TLS records only. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "enclave/enclave_int.h"
#include "wire/cbor.h"

static clo_err tunnel_call(clo_enclave *e, clo_enclave_kms *k, uint16_t number, clo_span send, bool wait)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, CLO_ENCLAVE_TUNNEL_MAX + 4096);
    clo_enclave_tunnel m = {.send = send, .wait = wait};
    (void)snprintf(m.owner, sizeof m.owner, "%s", k->member->party.name);
    CLO_TRY(clo_enclave_tunnel_encode(number, &m, &body));
    return clo_enclave_ask(e, number, clo_buf_span(&body));
}

/* Send what TLS wants sent; where `wait`, also take in what has come. */
static clo_err pump(clo_enclave *e, clo_enclave_kms *k, bool wait, uint64_t deadline_ns)
{
    CLO_AUTO(clo_buf_free) clo_buf piece = {0};
    clo_buf_init(&piece, CLO_ENCLAVE_TUNNEL_MAX);
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(&piece, CLO_ENCLAVE_TUNNEL_MAX, &at));
    for (;;) {
        size_t n = clo_crypto_tls_drain(k->tls, at, CLO_ENCLAVE_TUNNEL_MAX);
        bool more = n == CLO_ENCLAVE_TUNNEL_MAX;
        if (n == 0 && !wait) return CLO_OK;
        bool waiting = wait && !more;
        clo_err err = tunnel_call(e, k, CLO_ENCLAVE_TUNNEL_EXCHANGE, clo_span_of(at, n), waiting);
        if (waiting && err.code == CLO_E_TIMEOUT) {
            CLO_CHECKF(clo_enclave_now(e) < deadline_ns, CLO_E_TIMEOUT, "the key service of %s does not answer", k->member->party.name);
            continue;
        }
        CLO_TRY(err);
        if (!waiting) continue;
        CLO_CHECKF(e->reply.len != 0, CLO_E_CLOSED, "the key service of %s closed the connection", k->member->party.name);
        return clo_crypto_tls_feed(k->tls, clo_buf_span(&e->reply));
    }
}

void clo_enclave_kms_close(clo_enclave *e, clo_enclave_kms *k)
{
    if (k->tls == NULL) return;
    (void)clo_crypto_tls_shutdown(k->tls);
    clo_err ignored = pump(e, k, false, 0);
    ignored = tunnel_call(e, k, CLO_ENCLAVE_TUNNEL_CLOSE, clo_span_of(NULL, 0), false);
    (void)ignored;
    clo_crypto_tls_free(&k->tls);
    k->closing = false;
}

static clo_err connect_tls(clo_enclave *e, clo_enclave_kms *k, uint64_t deadline_ns)
{
    CLO_TRY(tunnel_call(e, k, CLO_ENCLAVE_TUNNEL_OPEN, clo_span_of(NULL, 0), false));
    CLO_TRY(clo_crypto_tls_on_memory(&k->tls, k->context));
    for (;;) {
        clo_crypto_tls_status s = clo_crypto_tls_handshake(k->tls);
        if (s == CLO_TLS_DONE) return pump(e, k, false, deadline_ns);
        if (s == CLO_TLS_FAILED) {
            /* The alert is a courtesy; the verdict is our own sentence. */
            const clo_denial *denial = clo_err_denial();
            if (denial != NULL) {
                clo_denial kept = *denial;
                (void)snprintf(e->failed_owner, sizeof e->failed_owner, "%s", k->member->party.name);
                return clo_deny_again(CLO_E_DENIED, &kept);
            }
            return CLO_FAILF(CLO_E_CLOSED, "no TLS session with the key service of %s", k->member->party.name);
        }
        CLO_CHECKF(s == CLO_TLS_WANT_READ || s == CLO_TLS_WANT_WRITE, CLO_E_CLOSED, "the key service of %s closed the connection in the handshake",
                   k->member->party.name);
        CLO_TRY(pump(e, k, s == CLO_TLS_WANT_READ, deadline_ns));
    }
}

static clo_err send_all(clo_enclave *e, clo_enclave_kms *k, clo_span bytes, uint64_t deadline_ns)
{
    while (bytes.n > 0) {
        size_t n = 0, piece = bytes.n < CLO_ENCLAVE_TUNNEL_MAX / 2 ? bytes.n : CLO_ENCLAVE_TUNNEL_MAX / 2;
        clo_crypto_tls_status s = clo_crypto_tls_write(k->tls, bytes.p, piece, &n);
        CLO_CHECKF(s == CLO_TLS_DONE || s == CLO_TLS_WANT_WRITE, CLO_E_CLOSED, "the TLS session with the key service of %s broke",
                   k->member->party.name);
        if (s == CLO_TLS_DONE) bytes = clo_span_of(bytes.p + n, bytes.n - n);
        CLO_TRY(pump(e, k, false, deadline_ns));
    }
    return CLO_OK;
}

static clo_err receive_response(clo_enclave *e, clo_enclave_kms *k, clo_enclave_http_response *r, uint64_t deadline_ns)
{
    uint8_t piece[8192];
    while (r->state != CLO_ENCLAVE_HTTP_DONE) {
        size_t n = 0;
        clo_crypto_tls_status s = clo_crypto_tls_read(k->tls, piece, sizeof piece, &n);
        if (s == CLO_TLS_DONE) {
            CLO_TRY(clo_enclave_http_response_feed(r, clo_span_of(piece, n)));
        } else if (s == CLO_TLS_WANT_READ || s == CLO_TLS_WANT_WRITE) {
            CLO_CHECKF(clo_enclave_now(e) < deadline_ns, CLO_E_TIMEOUT, "the key service of %s does not answer", k->member->party.name);
            CLO_TRY(pump(e, k, true, deadline_ns));
        } else {
            return CLO_FAILF(CLO_E_CLOSED, "the key service of %s closed the connection before its response was complete", k->member->party.name);
        }
    }
    return CLO_OK;
}

static void take_text(const clo_wire_node *map, const char *key, char *to, size_t to_size)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    if (n != NULL && n->type == CLO_WIRE_TEXT) (void)snprintf(to, to_size, "%.*s", (int)(n->text.n < to_size ? n->text.n : to_size), (const char *)n->text.p);
}

/* Which of our codes a refusal carries: by the name in its "code", where that is a verdict; else by the status. */
static uint32_t refusal_code(const char *name, unsigned status)
{
    uint32_t named = clo_err_code_named(name);
    clo_class class = clo_err_class((clo_err){named});
    if (class == CLO_CLASS_DENIED || class == CLO_CLASS_INPUT || class == CLO_CLASS_LIMIT) return named;
    if (status == 429 || status == 503) return CLO_E_AGAIN;
    return status >= 500 ? CLO_E_UNREACHABLE : status == 400 ? CLO_E_MALFORMED : status == 413 ? CLO_E_TOO_LARGE : CLO_E_DENIED;
}

/* The service's own words become the failure of this run. */
static clo_err refusal(clo_enclave *e, const clo_enclave_kms *k, const clo_enclave_http_response *r)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_arena_init(&a, 256 * 1024);
    clo_wire_node *map = NULL;
    clo_denial d = {{0}, {0}, {0}, {0}, {0}};
    char code[32] = "", detail[400] = "";
    (void)snprintf(e->failed_owner, sizeof e->failed_owner, "%s", k->member->party.name);
    if (strcmp(r->content_type, "application/cbor") != 0 || clo_failed(clo_wire_cbor_decode(&a, clo_buf_span(&r->body), NULL, &map)) ||
        map->type != CLO_WIRE_MAP)
        return CLO_FAILF(refusal_code("", r->status), "the key service of %s answered with HTTP status %u", k->member->party.name, r->status);
    take_text(map, "code", code, sizeof code);
    take_text(map, "detail", detail, sizeof detail);
    take_text(map, "claim", d.claim, sizeof d.claim);
    take_text(map, "expected", d.expected, sizeof d.expected);
    take_text(map, "actual", d.actual, sizeof d.actual);
    take_text(map, "source", d.source, sizeof d.source);
    take_text(map, "remedy", d.remedy, sizeof d.remedy);
    take_text(map, "instance", e->failed_reference, sizeof e->failed_reference);
    uint32_t number = refusal_code(code, r->status);
    if (d.claim[0] != '\0') return clo_deny_again(number, &d);
    return CLO_FAILF(number, "the key service of %s: %s", k->member->party.name, detail[0] != '\0' ? detail : clo_err_name((clo_err){number}));
}

static clo_err call_once(clo_enclave *e, clo_enclave_kms *k, const char *method, const char *path, clo_enclave_kms_prepare prepare,
                         void *context, clo_enclave_http_response *r)
{
    uint64_t deadline = clo_enclave_now(e) + CLO_ENCLAVE_EXCHANGE_SECONDS * CLO_ENCLAVE_SECOND;
    if (k->tls == NULL) CLO_TRY(connect_tls(e, k, deadline));
    CLO_AUTO(clo_buf_free) clo_buf body = {0}, message = {0};
    clo_buf_init(&body, CLO_ENCLAVE_START_MAX + CLO_EVIDENCE_MAX + 65536);
    clo_buf_init(&message, CLO_ENCLAVE_START_MAX + CLO_EVIDENCE_MAX + 131072);
    if (prepare != NULL) CLO_TRY(prepare(e, k, context, &body));
    CLO_TRY(clo_enclave_http_request(&message, method, path, k->host, prepare != NULL ? "application/cbor" : NULL, clo_buf_span(&body)));
    CLO_TRY(send_all(e, k, clo_buf_span(&message), deadline));
    CLO_TRY(receive_response(e, k, r, deadline));
    k->closing = r->close;
    return CLO_OK;
}

bool clo_enclave_kms_unreached(clo_err err)
{
    return err.code == CLO_E_CLOSED || err.code == CLO_E_TIMEOUT || err.code == CLO_E_UNREACHABLE || err.code == CLO_E_IO || err.code == CLO_E_AGAIN;
}

clo_err clo_enclave_kms_call(clo_enclave *e, clo_enclave_kms *k, unsigned attempts, const char *method, const char *path,
                             clo_enclave_kms_prepare prepare, void *context, clo_buf *reply)
{
    clo_err err = CLO_OK;
    for (unsigned attempt = 0; attempt < attempts; attempt++) {
        CLO_AUTO(clo_enclave_http_response_free) clo_enclave_http_response r;
        clo_enclave_http_response_init(&r);
        if (attempt > 0) clo_os_sleep_ms(300u * attempt);
        err = call_once(e, k, method, path, prepare, context, &r);
        if (clo_failed(err) || k->closing) {
            clo_enclave_failure kept;
            clo_enclave_failure_keep(&kept, err);
            clo_enclave_kms_close(e, k);
            err = clo_enclave_failure_again(&kept);
        }
        if (clo_enclave_kms_unreached(err)) continue;
        CLO_TRY(err);
        if (r.status < 400) {
            e->failed_owner[0] = '\0';
            e->failed_reference[0] = '\0';
            clo_buf_clear(reply);
            return clo_buf_put_span(reply, clo_buf_span(&r.body));
        }
        err = refusal(e, k, &r);
        if (err.code != CLO_E_AGAIN) return err;
    }
    (void)snprintf(e->failed_owner, sizeof e->failed_owner, "%s", k->member->party.name);
    return err;
}
