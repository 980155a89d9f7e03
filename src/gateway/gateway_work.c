/* The work of a request: who sent it, its handler, once per Idempotency-Key; on a worker, or on the loop for INLINE routes. */
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "gateway/gateway_int.h"
#include "os/log.h"
#include <stdio.h>
#include <string.h>

enum { RECORDED_MAX = 1024 * 1024 };

/* Who is it? On the loop thread for INLINE routes, else on a worker. */
static clo_err authenticate(clo_gateway_exchange *x)
{
    const clo_gateway_server *s = x->conn->home->server;
    if (x->authenticated || x->request.route->auth != CLO_GATEWAY_AUTH_PARTY) return CLO_OK;
    CLO_CHECKF(s->o.authenticator.authenticate != NULL, CLO_E_UNAUTHENTICATED, "this server has no way to know who you are");
    CLO_TRY(s->o.authenticator.authenticate(s->o.authenticator.context, &x->request, &x->request.principal));
    CLO_CHECKF(x->request.principal.kind != CLO_GATEWAY_PRINCIPAL_NONE, CLO_E_UNAUTHENTICATED, "send a token: Authorization: Bearer TOKEN");
    CLO_CHECKF(clo_gateway_exchange_take_token(x, s->principal_buckets, x->request.principal.name), CLO_E_TOO_MANY, "too many requests of this party; wait %u seconds",
               x->retry_after);
    x->authenticated = true;
    return CLO_OK;
}

static void run_inline(clo_gateway_exchange *x)
{
    clo_gateway_server *s = x->conn->home->server;
    x->request.body = clo_buf_span(&x->body);
    clo_err e = authenticate(x);
    if (!clo_failed(e)) e = x->request.route->handler(s->o.context, &x->request, &x->response);
    if (clo_failed(e)) clo_gateway_exchange_fail(x, e, 0);
    clo_gateway_exchange_answer(x);
}

/* The whole buffered body is here. */
void clo_gateway_exchange_run(clo_gateway_exchange *x)
{
    if ((x->request.route->flags & CLO_GATEWAY_INLINE) != 0) {
        run_inline(x);
        return;
    }
    x->request.body = clo_buf_span(&x->body);
    if (!clo_gateway_exchange_submit(x, WORK_HANDLE)) clo_gateway_exchange_answer(x);
}

static clo_err record(const clo_gateway_idempotency *store, clo_gateway_exchange *x, const char *key)
{
    const clo_gateway_response *r = &x->response;
    clo_gateway_recorded recorded = {.status = r->status};
    bool keep = r->status < 500 && r->status != 429 && r->kind != BODY_FILE && r->kind != BODY_EVENTS && r->body.n <= RECORDED_MAX;
    if (!keep) return store->finish(store->context, x->request.principal.name, key, NULL);
    clo_buf_init(&recorded.body, RECORDED_MAX);
    (void)snprintf(recorded.type, sizeof recorded.type, "%s", r->type != NULL ? r->type : "");
    clo_err e = clo_buf_put_span(&recorded.body, r->kind == BODY_BYTES ? r->body : clo_span_of(NULL, 0));
    if (!clo_failed(e)) e = store->finish(store->context, x->request.principal.name, key, &recorded);
    clo_buf_free(&recorded.body);
    return e;
}

static clo_err fingerprint(const clo_gateway_exchange *x, uint8_t out[32])
{
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    const clo_gateway_request *r = &x->request;
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_str(clo_gateway_method_name(r->method))));
    CLO_TRY(clo_crypto_hasher_put(h, r->path));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of("?", 1)));
    CLO_TRY(clo_crypto_hasher_put(h, r->query));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of("\n", 1)));
    CLO_TRY(clo_crypto_hasher_put(h, r->body));
    return clo_crypto_hasher_end(h, out);
}

static clo_err call_handler(clo_gateway_exchange *x)
{
    clo_gateway_server *s = x->conn->home->server;
    clo_err e = x->request.route->handler(s->o.context, &x->request, &x->response);
    if (clo_failed(e)) clo_gateway_exchange_fail(x, e, 0);
    return e;
}

static clo_err replay(clo_gateway_exchange *x, const clo_gateway_recorded *recorded)
{
    const char *type = NULL;
    CLO_TRY(clo_arena_str(&x->arena, clo_span_str(recorded->type), &type));
    if (type[0] != 0) CLO_TRY(clo_gateway_response_bytes(&x->response, type, clo_buf_span(&recorded->body)));
    x->response.status = recorded->status;
    return clo_gateway_response_header(&x->response, "Idempotency-Replayed", "true");
}

static clo_err call_once(clo_gateway_exchange *x)
{
    const clo_gateway_idempotency *store = &x->conn->home->server->o.idempotency;
    clo_span key = clo_gateway_request_header(&x->request, "idempotency-key");
    if (key.p == NULL || store->begin == NULL || (x->request.route->flags & CLO_GATEWAY_IDEMPOTENT) == 0) return call_handler(x);
    const char *name = NULL;
    uint8_t print[32];
    bool found = false;
    clo_gateway_recorded recorded = {0};
    CLO_CHECKF(key.n >= 1 && key.n <= 128, CLO_E_RANGE, "Idempotency-Key must have 1..128 characters");
    CLO_TRY(clo_arena_str(&x->arena, key, &name));
    CLO_TRY(fingerprint(x, print));
    clo_buf_init(&recorded.body, RECORDED_MAX);
    clo_err e = store->begin(store->context, x->request.principal.name, name, print, &found, &recorded);
    if (!clo_failed(e) && found) e = replay(x, &recorded);
    clo_buf_free(&recorded.body);
    if (clo_failed(e) || found) return e;
    e = call_handler(x);
    clo_err noted = record(store, x, name);
    if (clo_failed(noted)) clo_os_log_failure("idempotency", x->request_id, noted);
    return e;
}

static clo_err work_step(clo_gateway_exchange *x)
{
    const clo_gateway_upload *upload = x->request.route->upload;
    void *context = x->conn->home->server->o.context;
    switch (x->work) {
    case WORK_AUTH: return authenticate(x);
    case WORK_HANDLE: CLO_TRY(authenticate(x)); return call_once(x);
    case WORK_BEGIN:
        CLO_TRY(authenticate(x));
        CLO_TRY(upload->begin(context, &x->request));
        x->begun = true;
        return CLO_OK;
    case WORK_DATA: return upload->data(context, &x->request, clo_buf_span(&x->piece));
    case WORK_END:
        if (x->piece.len != 0) CLO_TRY(upload->data(context, &x->request, clo_buf_span(&x->piece)));
        x->ended = true;
        return upload->end(context, &x->request, &x->response);
    case WORK_ABORT: upload->abort(context, &x->request); return CLO_OK;
    }
    return CLO_FAIL(CLO_E_BUG);
}

void clo_gateway_work_run(void *context)
{
    clo_gateway_exchange *x = context;
    clo_err e = work_step(x);
    if (clo_failed(e) && !x->failed) clo_gateway_exchange_fail(x, e, 0);
    if (x->failed && x->begun && !x->ended) {
        x->ended = true;
        x->request.route->upload->abort(x->conn->home->server->o.context, &x->request);
    }
    clo_os_loop_post(x->conn->home->loop, &x->done);
}

/* Back on the loop thread. */
void clo_gateway_work_done(void *context)
{
    clo_gateway_exchange *x = context;
    x->working = false;
    if (x->gone) {
        clo_gateway_exchange_release(x);
        return;
    }
    clo_gateway_conn *c = x->conn;
    size_t n = x->piece.len;
    clo_buf_clear(&x->piece);
    clo_gateway_exchange_forget(x, n);
    c->refs++; /* what follows may close the connection */
    if (x->failed || x->work == WORK_HANDLE || x->work == WORK_END) {
        clo_gateway_exchange_answer(x);
    } else {
        x->intake = true;
        if (x->streamed) {
            if (clo_gateway_exchange_next_piece(x)) c->protocol->resume(x, n);
        } else if (x->too_large || x->crowded) {
            clo_gateway_exchange_refuse(x, clo_gateway_exchange_body_limit(x), 0);
        } else if (x->body_ended) {
            clo_gateway_exchange_run(x);
        } else {
            c->protocol->resume(x, x->body.len);
        }
    }
    clo_gateway_conn_unref(c);
}
