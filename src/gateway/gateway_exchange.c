/* The life of a request: made, its body taken in, failed or answered, sent, released. What its head decides is in gateway_admit.c, its work in
 * gateway_work.c. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include "gateway/problem.h"
#include "os/file.h"
#include "os/log.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { FREE_MAX = 256 };

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
        x->job = (clo_os_job){.run = clo_gateway_work_run, .context = x};
        x->done = (clo_os_loop_message){.receive = clo_gateway_work_done, .context = x};
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
    r->principal = (clo_gateway_principal){.kind = CLO_GATEWAY_PRINCIPAL_NONE}; /* its key, too, must not be taken for the next caller's */
    memset(r->params, 0, sizeof r->params);
    x->body_seen = x->sent = x->unconsumed = x->discarded = 0;
    x->head_bytes = clo_span_of(NULL, 0);
    x->event_at = 0;
    x->status_override = x->retry_after = 0;
    x->stream_id = 0;
    x->intake = x->body_ended = x->streamed = x->authenticated = x->begun = x->ended = x->failed = false;
    x->working = false;
    x->gone = x->answered = x->counted = x->too_large = x->crowded = x->sent_whole = x->deferred = false;
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
    clo_gateway_exchange_forget(x, x->held);
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

bool clo_gateway_exchange_submit(clo_gateway_exchange *x, clo_gateway_work work)
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
    if (x->working) return; /* clo_gateway_work_done goes on from here */
    if (x->begun && !x->ended) {
        x->ended = true;
        if (clo_gateway_exchange_submit(x, WORK_ABORT)) return;
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
    unsigned status = x->response.status;
    /* What is not there costs less than what is served; who is held off already is not counted again, or would be for ever. */
    if (status >= 400 && status < 500 && status != 404 && x->retry_after == 0) clo_gateway_failure_note(x->conn->home->server, x->conn->peer);
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

void clo_gateway_exchange_refuse(clo_gateway_exchange *x, clo_err e, unsigned status)
{
    clo_gateway_exchange_fail(x, e, status);
    clo_gateway_exchange_answer(x);
}

bool clo_gateway_exchange_upload(clo_gateway_exchange *x)
{
    clo_gateway_server *s = x->conn->home->server;
    if (atomic_fetch_add(&s->uploads, 1u) >= s->o.queue_max * 4) {
        atomic_fetch_sub(&s->uploads, 1u);
        clo_gateway_metric_add(s->overload_total, 1);
        clo_gateway_exchange_refuse(x, CLO_FAILF(CLO_E_AGAIN, "too many uploads are under way; try again shortly"), 0);
        return false;
    }
    x->streamed = true;
    clo_buf_init(&x->piece, PIECE_MAX);
    return clo_gateway_exchange_submit(x, WORK_BEGIN);
}

clo_err clo_gateway_exchange_body_limit(const clo_gateway_exchange *x)
{
    CLO_CHECKF(!x->too_large, CLO_E_TOO_LARGE, "the body may have at most %llu bytes", (unsigned long long)x->request.route->body_max);
    CLO_CHECKF(!x->crowded, CLO_E_AGAIN, "too many bytes of requests are waiting; try again shortly");
    return CLO_OK;
}

bool clo_gateway_exchange_next_piece(clo_gateway_exchange *x)
{
    if (x->working || x->answered || !x->begun) return true;
    if (x->too_large || x->crowded) {
        clo_gateway_exchange_refuse(x, clo_gateway_exchange_body_limit(x), 0);
        return false;
    }
    if (x->body.len == 0 && !x->body_ended) return true;
    clo_buf empty = x->piece;
    clo_buf_clear(&empty);
    x->piece = x->body;
    x->body = empty;
    if (clo_gateway_exchange_submit(x, x->body_ended ? WORK_END : WORK_DATA)) return true;
    clo_gateway_exchange_answer(x);
    return false;
}

size_t clo_gateway_exchange_room(const clo_gateway_exchange *x)
{
    if (x->answered || x->too_large || x->crowded) return SIZE_MAX;
    if (!x->intake && !x->request.http2) return 0;
    return x->streamed ? PIECE_MAX - x->body.len : SIZE_MAX;
}

/* Count bytes against their sender. false: it is over a limit. */
static bool hold(clo_gateway_exchange *x, size_t n)
{
    clo_gateway_server *s = x->conn->home->server;
    x->crowded = !clo_gateway_peers_hold(s->peers, x->conn->peer, n);
    if (x->crowded) clo_gateway_metric_add(s->overload_total, 1);
    else x->held += n;
    return !x->crowded;
}

void clo_gateway_exchange_forget(clo_gateway_exchange *x, size_t n)
{
    if (n == 0) return;
    clo_gateway_peers_forget(x->conn->home->server->peers, x->conn->peer, n);
    x->held -= n;
}

size_t clo_gateway_exchange_data(clo_gateway_exchange *x, clo_span in)
{
    if (x->answered || x->too_large || x->crowded) return in.n; /* dropped: the answer is on its way */
    /* HTTP/2 cannot be held back within its window. */
    if (!x->intake && !x->request.http2) return 0;
    size_t room = x->streamed ? PIECE_MAX - x->body.len : in.n;
    size_t n = in.n < room ? in.n : room;
    x->too_large = in.n > x->request.route->body_max - x->body_seen;
    if (x->too_large || !hold(x, n)) {
        if (x->streamed) (void)clo_gateway_exchange_next_piece(x);
        else if (!x->working) clo_gateway_exchange_refuse(x, clo_gateway_exchange_body_limit(x), 0);
        return in.n;
    }
    clo_err e = clo_buf_put(&x->body, in.p, n);
    if (clo_failed(e)) {
        if (x->working) return 0;
        clo_gateway_exchange_refuse(x, e, 0);
        return in.n;
    }
    x->body_seen += n;
    if (x->streamed) (void)clo_gateway_exchange_next_piece(x);
    return n;
}

void clo_gateway_exchange_data_end(clo_gateway_exchange *x)
{
    if (x->answered || x->body_ended) return;
    x->body_ended = true;
    if (x->streamed) (void)clo_gateway_exchange_next_piece(x);
    else if (!x->working) clo_gateway_exchange_run(x);
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
