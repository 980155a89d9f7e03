/* One request and its answer: what is decided on the loop thread, what runs on a worker, and how it ends. */
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "gateway/gateway_int.h"
#include "gateway/problem.h"
#include "os/file.h"
#include "os/log.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { FREE_MAX = 256, RECORDED_MAX = 1024 * 1024 };

static void run_work(void *context);
static void work_done(void *context);

clo_gateway_exchange *clo_gateway_exchange_new(clo_gateway_conn *c)
{
    clo_gateway_loop *l = c->home;
    clo_gateway_exchange *x = l->free_exchanges;
    if (x != NULL) {
        l->free_exchanges = x->next;
        l->free_count--;
    } else {
        x = calloc(1, sizeof *x);
        if (x == NULL) return NULL;
        clo_arena_init(&x->arena, ARENA_MAX);
        x->response.fd = -1;
        x->response.x = x;
        clo_gateway_response_reset(&x->response);
        x->job = (clo_os_job){.run = run_work, .context = x};
        x->done = (clo_os_loop_message){.receive = work_done, .context = x};
        x->request.request_id = x->request_id;
        x->request.arena = &x->arena;
    }
    x->conn = c;
    x->next = x->prev = NULL;
    x->request.channel = &c->channel;
    x->request.peer = c->peer;
    x->request.http2 = c->h2 != NULL;
    c->refs++;
    l->exchange_count++;
    return x;
}

/* Back to the state of a fresh one, keeping its memory. */
static void wipe(clo_gateway_exchange *x)
{
    clo_gateway_response_reset(&x->response);
    clo_gateway_listener_free(&x->listener);
    if (x->arena.head != NULL) clo_arena_free(&x->arena);
    clo_arena_init(&x->arena, ARENA_MAX);
    if (x->body.cap != 0) clo_buf_free(&x->body);
    if (x->piece.cap != 0) clo_buf_free(&x->piece);
    if (x->event_text.cap != 0) clo_buf_free(&x->event_text);
    clo_gateway_request *r = &x->request;
    r->route = NULL;
    r->body = clo_span_of(NULL, 0);
    r->upload = NULL;
    r->principal.kind = CLO_GATEWAY_PRINCIPAL_NONE;
    r->principal.name[0] = 0;
    memset(r->params, 0, sizeof r->params);
    x->body_seen = x->sent = x->unconsumed = x->discarded = 0;
    x->head_bytes = clo_span_of(NULL, 0);
    x->event_at = 0;
    x->status_override = x->retry_after = 0;
    x->stream_id = 0;
    x->intake = x->body_ended = x->streamed = x->authenticated = x->begun = x->ended = x->failed = false;
    x->working = false;
    x->gone = x->answered = x->counted = x->too_large = x->sent_whole = x->deferred = false;
}

static void count_end(clo_gateway_exchange *x)
{
    clo_gateway_server *s = x->conn->home->server;
    if (!x->counted) return;
    atomic_fetch_sub_explicit(&s->pending, 1u, memory_order_relaxed);
    if (x->streamed) atomic_fetch_sub_explicit(&s->uploads, 1u, memory_order_relaxed);
    unsigned class = x->answered ? x->response.status / 100 : 0;
    clo_gateway_metric_add(s->requests[class >= 2 && class <= 5 ? class : 0], 1);
    clo_gateway_metric_observe(s->seconds, (double)(clo_os_now_ns() - x->started_ns) / 1e9);
}

static void give_back(clo_gateway_exchange *x)
{
    clo_gateway_conn *c = x->conn;
    clo_gateway_loop *l = c->home;
    count_end(x);
    wipe(x);
    l->exchange_count--;
    if (l->free_count < FREE_MAX) {
        x->next = l->free_exchanges;
        l->free_exchanges = x;
        l->free_count++;
    } else {
        free(x);
    }
    clo_gateway_conn_unref(c);
}

static bool submit(clo_gateway_exchange *x, clo_gateway_work work)
{
    clo_gateway_server *s = x->conn->home->server;
    x->work = work;
    x->working = true;
    /* Steps of an upload that was let in are never refused: their number is bounded by the uploads. */
    clo_err e = clo_os_pool_submit(x->streamed ? s->uploaders : s->workers, &x->job);
    if (!clo_failed(e)) return true;
    x->working = false;
    clo_gateway_metric_add(s->overload_total, 1);
    clo_gateway_exchange_fail(x, e, 0);
    return false;
}

void clo_gateway_exchange_release(clo_gateway_exchange *x)
{
    x->gone = true;
    if (x->working) return; /* work_done goes on from here */
    if (x->begun && !x->ended) {
        x->ended = true;
        if (submit(x, WORK_ABORT)) return;
    }
    give_back(x);
}

/* Failures. */

static clo_err fill_problem(clo_gateway_exchange *x, unsigned status, clo_err e, const char *text, const clo_denial *denial)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 64 * 1024);
    CLO_TRY(clo_gateway_problem_write(&b, status, e, text, denial, x->request_id));
    CLO_TRY(clo_gateway_response_bytes(&x->response, "application/problem+json", clo_buf_span(&b)));
    x->response.status = status;
    if (status == 401) CLO_TRY(clo_gateway_response_header(&x->response, "WWW-Authenticate", "Bearer realm=\"cloister\""));
    if (status == 429 || status == 503) {
        char seconds[16];
        (void)snprintf(seconds, sizeof seconds, "%u", x->retry_after != 0 ? x->retry_after : 1u);
        CLO_TRY(clo_gateway_response_header(&x->response, "Retry-After", seconds));
    }
    return CLO_OK;
}

void clo_gateway_exchange_fail(clo_gateway_exchange *x, clo_err e, unsigned status)
{
    char text[600];
    clo_denial denial;
    const clo_denial *noted = clo_err_denial();
    (void)snprintf(text, sizeof text, "%s", clo_err_text());
    if (noted != NULL) denial = *noted;
    if (status == 0) status = x->status_override != 0 ? x->status_override : clo_gateway_problem_status(e);
    clo_class class = clo_err_class(e);
    if (class == CLO_CLASS_ENV || class == CLO_CLASS_BUG) clo_os_log_failure("request.failed", x->request_id, e);
    else clo_os_log(CLO_OS_LOG_DEBUG, "request.refused", x->request_id, "%s: %s", clo_err_name(e), text);
    clo_gateway_response_reset(&x->response);
    x->failed = true;
    if (clo_failed(fill_problem(x, status, e, text, noted != NULL ? &denial : NULL))) {
        clo_gateway_response_reset(&x->response);
        x->response.status = status;
    }
}

static void wake(void *context)
{
    clo_gateway_exchange *x = context;
    x->conn->protocol->events(x);
}

void clo_gateway_exchange_answer(clo_gateway_exchange *x)
{
    assert(!x->answered);
    x->answered = true;
    x->intake = false;
    clo_os_log(CLO_OS_LOG_DEBUG, "request", x->request_id, "%s %.*s %u %s", clo_gateway_method_name(x->request.method),
               (int)(x->request.path.n > 200 ? 200 : x->request.path.n), (const char *)x->request.path.p, x->response.status, x->conn->peer);
    if (!x->failed) clo_gateway_response_finish(x);
    if (x->response.kind == BODY_EVENTS && x->request.method != CLO_GATEWAY_HEAD) {
        const char *last = NULL;
        clo_span v = clo_gateway_request_header(&x->request, "last-event-id");
        clo_err e = v.p == NULL ? CLO_OK : clo_arena_str(&x->arena, v, &last);
        clo_buf_init(&x->event_text, OUT_MAX);
        if (!clo_failed(e))
            e = clo_gateway_listener_new(&x->listener, x->response.hub, x->response.topic, last, x->conn->home->loop,
                                         wake, x);
        if (clo_failed(e)) clo_gateway_exchange_fail(x, e, 0);
    }
    x->conn->protocol->answered(x);
}

static void refuse(clo_gateway_exchange *x, clo_err e, unsigned status)
{
    clo_gateway_exchange_fail(x, e, status);
    clo_gateway_exchange_answer(x);
}

/* Deciding. */

static void make_request_id(clo_gateway_exchange *x)
{
    clo_span given = clo_gateway_request_header(&x->request, "x-request-id");
    bool good = given.n >= 1 && given.n <= CLO_GATEWAY_REQUEST_ID_MAX;
    for (size_t i = 0; good && i < given.n; i++) {
        uint8_t c = given.p[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    }
    if (good) {
        memcpy(x->request_id, given.p, given.n);
        x->request_id[given.n] = 0;
        return;
    }
    static const char hex[] = "0123456789abcdef";
    clo_gateway_loop *l = x->conn->home;
    uint64_t parts[2] = {(uint64_t)l->server->id_prefix << 8 | l->index, ++l->id_counter};
    char *to = x->request_id;
    for (int shift = 36; shift >= 0; shift -= 4) *to++ = hex[parts[0] >> shift & 15];
    *to++ = '-';
    for (int shift = 40; shift >= 0; shift -= 4) *to++ = hex[parts[1] >> shift & 15];
    *to = 0;
}

/* Is `type` within the Accept header? Absent header, wildcards, quality 0 not looked at but for "*" and "type" with q=0 refused. */
static bool accepted(clo_span accept, const char *type)
{
    if (accept.p == NULL || accept.n == 0) return true;
    size_t n = strlen(type), major = (size_t)(strchr(type, '/') - type);
    size_t i = 0;
    while (i < accept.n) {
        while (i < accept.n && (accept.p[i] == ' ' || accept.p[i] == ',' || accept.p[i] == '\t')) i++;
        const char *at = (const char *)accept.p + i;
        size_t size = 0, whole = 0;
        while (i + whole < accept.n && at[whole] != ',') whole++;
        while (size < whole && at[size] != ';' && at[size] != ' ') size++;
        bool refused = whole > size && memmem(at + size, whole - size, "q=0", 3) != NULL && memmem(at + size, whole - size, "q=0.", 4) == NULL;
        bool matches = (size == 3 && memcmp(at, "*/*", 3) == 0) || (size == n && strncasecmp(at, type, n) == 0) ||
                       (size == major + 2 && strncasecmp(at, type, major + 1) == 0 && at[size - 1] == '*');
        if (matches && !refused) return true;
        i += whole;
    }
    return false;
}

static bool consumed(clo_span type, const char *list)
{
    size_t size = 0;
    while (size < type.n && type.p[size] != ';' && type.p[size] != ' ') size++;
    while (*list != 0) {
        size_t n = strcspn(list, ",");
        if (n == size && strncasecmp(list, (const char *)type.p, n) == 0) return true;
        list += n + (list[n] == ',');
        while (*list == ' ') list++;
    }
    return false;
}

static clo_err find_route(clo_gateway_exchange *x, unsigned *status, bool *options)
{
    clo_gateway_request *r = &x->request;
    unsigned allowed = 0;
    *options = false;
    if (r->method == CLO_GATEWAY_METHOD_UNKNOWN) {
        *status = 501;
        return CLO_FAILF(CLO_E_UNSUPPORTED, "this method is not implemented");
    }
    switch (clo_gateway_router_find(x->conn->home->server->router, r, &allowed)) {
    case ROUTE_FOUND: return CLO_OK;
    case ROUTE_BAD_PATH: return clo_err_prefix((clo_err){CLO_E_MALFORMED}, "the path");
    case ROUTE_NO_PATH: return CLO_FAILF(CLO_E_NOT_FOUND, "nothing has this path; see the OpenAPI document for what there is");
    case ROUTE_NO_METHOD: break;
    }
    char allow[80] = "";
    size_t n = 0;
    for (unsigned m = 0; m < CLO_GATEWAY_METHOD_COUNT; m++)
        if ((allowed >> m & 1u) != 0) n += (size_t)snprintf(allow + n, sizeof allow - n, "%s%s", n != 0 ? ", " : "", clo_gateway_method_name((clo_gateway_method)m));
    *options = r->method == CLO_GATEWAY_OPTIONS;
    *status = 405;
    clo_err e = *options ? CLO_OK : CLO_FAILF(CLO_E_UNSUPPORTED, "this path takes: %s", allow);
    if (clo_failed(e)) clo_gateway_exchange_fail(x, e, 405);
    CLO_TRY(clo_gateway_response_header(&x->response, "Allow", allow));
    return e;
}

static bool take_token(clo_gateway_exchange *x, clo_gateway_buckets *buckets, const char *name)
{
    if (buckets == NULL || (x->request.route->flags & CLO_GATEWAY_UNLIMITED) != 0) return true;
    uint64_t now = clo_os_clock_monotonic(clo_gateway_clock(x->conn->home->server));
    return clo_gateway_buckets_take(buckets, name, now, &x->retry_after);
}

static clo_err check_head(clo_gateway_exchange *x, bool has_body, unsigned *status)
{
    const clo_gateway_request *r = &x->request;
    const clo_gateway_route *route = r->route;
    CLO_CHECKF(take_token(x, x->conn->home->server->peer_buckets, x->conn->peer), CLO_E_TOO_MANY,
               "too many requests from this address; wait %u seconds", x->retry_after);
    if (route->produces != NULL && !accepted(clo_gateway_request_header(r, "accept"), route->produces)) {
        *status = 406;
        return CLO_FAILF(CLO_E_UNSUPPORTED, "this answers in %s only", route->produces);
    }
    if (!has_body) return CLO_OK;
    CLO_CHECKF(route->body_max != 0, CLO_E_TOO_LARGE, "this operation takes no body");
    CLO_CHECKF(r->body_size == UINT64_MAX || r->body_size <= route->body_max, CLO_E_TOO_LARGE, "the body may have at most %llu bytes",
               (unsigned long long)route->body_max);
    if (route->consumes != NULL && !consumed(clo_gateway_request_header(r, "content-type"), route->consumes)) {
        *status = 415;
        return CLO_FAILF(CLO_E_UNSUPPORTED, "this takes a body of %s only", route->consumes);
    }
    return CLO_OK;
}

/* Who is it? On the loop thread for INLINE routes, else on a worker. */
static clo_err authenticate(clo_gateway_exchange *x)
{
    const clo_gateway_server *s = x->conn->home->server;
    if (x->authenticated || x->request.route->auth != CLO_GATEWAY_AUTH_PARTY) return CLO_OK;
    CLO_CHECKF(s->o.authenticator.authenticate != NULL, CLO_E_UNAUTHENTICATED, "this server has no way to know who you are");
    CLO_TRY(s->o.authenticator.authenticate(s->o.authenticator.context, &x->request, &x->request.principal));
    CLO_CHECKF(x->request.principal.kind != CLO_GATEWAY_PRINCIPAL_NONE, CLO_E_UNAUTHENTICATED, "send a token: Authorization: Bearer TOKEN");
    CLO_CHECKF(take_token(x, s->principal_buckets, x->request.principal.name), CLO_E_TOO_MANY, "too many requests of this party; wait %u seconds",
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
static void run_buffered(clo_gateway_exchange *x)
{
    if ((x->request.route->flags & CLO_GATEWAY_INLINE) != 0) {
        run_inline(x);
        return;
    }
    x->request.body = clo_buf_span(&x->body);
    if (!submit(x, WORK_HANDLE)) clo_gateway_exchange_answer(x);
}

static void shift(clo_span *s, clo_span from, clo_span to)
{
    if (s->p != NULL) s->p = to.p + (s->p - from.p);
}

/* The head lies in a buffer that the connection uses again: whatever outlives this call gets a copy. */
static clo_err pin_head(clo_gateway_exchange *x)
{
    clo_span from = x->head_bytes, to;
    if (from.n == 0) return CLO_OK;
    CLO_TRY(clo_arena_copy(&x->arena, from, &to));
    shift(&x->request.path, from, to);
    shift(&x->request.query, from, to);
    for (size_t i = 0; i < x->head.header_count; i++) {
        shift(&x->head.headers[i].name, from, to);
        shift(&x->head.headers[i].value, from, to);
    }
    x->head_bytes = clo_span_of(NULL, 0);
    return CLO_OK;
}

static bool start_upload(clo_gateway_exchange *x)
{
    clo_gateway_server *s = x->conn->home->server;
    if (atomic_fetch_add(&s->uploads, 1u) >= s->o.queue_max * 4) {
        atomic_fetch_sub(&s->uploads, 1u);
        clo_gateway_metric_add(s->overload_total, 1);
        refuse(x, CLO_FAILF(CLO_E_AGAIN, "too many uploads are under way; try again shortly"), 0);
        return false;
    }
    x->streamed = true;
    clo_buf_init(&x->piece, PIECE_MAX);
    return submit(x, WORK_BEGIN);
}

void clo_gateway_exchange_start(clo_gateway_exchange *x, bool has_body)
{
    unsigned status = 0;
    bool options = false;
    atomic_fetch_add_explicit(&x->conn->home->server->pending, 1u, memory_order_relaxed);
    x->counted = true;
    x->started_ns = clo_os_now_ns();
    make_request_id(x);
    clo_err e = find_route(x, &status, &options);
    if (clo_failed(e)) {
        /* 405 has filled its answer, with the list of methods. */
        if (status != 405) clo_gateway_exchange_fail(x, e, status);
        clo_gateway_exchange_answer(x);
        return;
    }
    if (options) {
        x->response.status = 204;
        clo_gateway_exchange_answer(x);
        return;
    }
    e = check_head(x, has_body, &status);
    const clo_gateway_route *route = x->request.route;
    if (!clo_failed(e) && (has_body || (route->flags & CLO_GATEWAY_INLINE) == 0)) e = pin_head(x);
    if (clo_failed(e)) {
        refuse(x, e, status);
        return;
    }
    clo_buf_init(&x->body, route->upload != NULL ? (size_t)PIECE_MAX : (size_t)(route->body_max != 0 ? route->body_max : 1));
    if (route->upload != NULL) {
        x->body_ended = !has_body;
        if (!start_upload(x) && !x->answered) clo_gateway_exchange_answer(x);
        return;
    }
    if (!has_body) {
        x->body_ended = true;
        run_buffered(x);
        return;
    }
    bool large = x->request.body_size > AUTH_FIRST_BYTES; /* unknown is large */
    if (large && route->auth == CLO_GATEWAY_AUTH_PARTY && (route->flags & CLO_GATEWAY_INLINE) == 0) {
        if (!submit(x, WORK_AUTH)) clo_gateway_exchange_answer(x);
        return;
    }
    x->intake = true;
}

/* The body. */

/* Give the waiting bytes to a worker where none has some. false: it was answered instead, and x may be gone. */
static bool next_piece(clo_gateway_exchange *x)
{
    if (x->working || x->answered || !x->begun) return true;
    if (x->too_large) {
        refuse(x, CLO_FAILF(CLO_E_TOO_LARGE, "the body may have at most %llu bytes", (unsigned long long)x->request.route->body_max), 0);
        return false;
    }
    if (x->body.len == 0 && !x->body_ended) return true;
    clo_buf empty = x->piece;
    clo_buf_clear(&empty);
    x->piece = x->body;
    x->body = empty;
    if (submit(x, x->body_ended ? WORK_END : WORK_DATA)) return true;
    clo_gateway_exchange_answer(x);
    return false;
}

size_t clo_gateway_exchange_room(const clo_gateway_exchange *x)
{
    if (x->answered || x->too_large) return SIZE_MAX;
    if (!x->intake && !x->request.http2) return 0;
    return x->streamed ? PIECE_MAX - x->body.len : SIZE_MAX;
}

size_t clo_gateway_exchange_data(clo_gateway_exchange *x, clo_span in)
{
    if (x->answered || x->too_large) return in.n; /* dropped: the answer is on its way */
    /* HTTP/2 cannot be held back within its window. */
    if (!x->intake && !x->request.http2) return 0;
    if (in.n > x->request.route->body_max - x->body_seen) {
        x->too_large = true;
        if (x->streamed) (void)next_piece(x);
        else if (!x->working)
            refuse(x, CLO_FAILF(CLO_E_TOO_LARGE, "the body may have at most %llu bytes", (unsigned long long)x->request.route->body_max), 0);
        return in.n;
    }
    size_t room = x->streamed ? PIECE_MAX - x->body.len : in.n;
    size_t n = in.n < room ? in.n : room;
    clo_err e = clo_buf_put(&x->body, in.p, n);
    if (clo_failed(e)) {
        if (x->working) return 0;
        refuse(x, e, 0);
        return in.n;
    }
    x->body_seen += n;
    if (x->streamed) (void)next_piece(x);
    return n;
}

void clo_gateway_exchange_data_end(clo_gateway_exchange *x)
{
    if (x->answered || x->body_ended) return;
    x->body_ended = true;
    if (x->streamed) (void)next_piece(x);
    else if (!x->working) run_buffered(x);
}

/* On a worker. */

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

static void run_work(void *context)
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
static void work_done(void *context)
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
    c->refs++; /* what follows may close the connection */
    if (x->failed || x->work == WORK_HANDLE || x->work == WORK_END) {
        clo_gateway_exchange_answer(x);
    } else {
        x->intake = true;
        if (x->streamed) {
            if (next_piece(x)) c->protocol->resume(x, n);
        } else if (x->too_large) {
            refuse(x, CLO_FAILF(CLO_E_TOO_LARGE, "the body may have at most %llu bytes", (unsigned long long)x->request.route->body_max), 0);
        } else if (x->body_ended) {
            run_buffered(x);
        } else {
            c->protocol->resume(x, x->body.len);
        }
    }
    clo_gateway_conn_unref(c);
}

/* Sending. */

static clo_err fill_events(clo_gateway_exchange *x, uint8_t *to, size_t size, size_t *n)
{
    if (x->event_at == x->event_text.len) {
        clo_buf_clear(&x->event_text);
        x->event_at = 0;
        CLO_TRY(clo_gateway_listener_take(x->listener, &x->event_text, size));
    }
    size_t left = x->event_text.len - x->event_at;
    *n = left < size ? left : size;
    if (*n != 0) memcpy(to, x->event_text.p + x->event_at, *n);
    x->event_at += *n;
    return CLO_OK;
}

clo_err clo_gateway_exchange_fill(clo_gateway_exchange *x, uint8_t *to, size_t size, size_t *n, bool *end)
{
    clo_gateway_response *r = &x->response;
    *n = 0;
    *end = false;
    if (r->kind == BODY_EVENTS) return fill_events(x, to, size, n);
    uint64_t left = r->size - x->sent;
    size_t take = left < size ? (size_t)left : size;
    if (r->kind == BODY_FILE) CLO_TRY(clo_os_file_pread(r->fd, r->offset + x->sent, to, take));
    else if (take != 0) memcpy(to, r->body.p + x->sent, take);
    x->sent += take;
    *n = take;
    *end = x->sent == r->size;
    return CLO_OK;
}
