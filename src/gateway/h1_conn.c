/* HTTP/1.1 on a connection: one request at a time, pipelined ones wait in the input. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include "gateway/problem.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { FILL_BYTES = 32 * 1024, DISCARD_MAX = 64 * 1024 };

static clo_err put(clo_gateway_conn *c, const char *text, size_t n) { return clo_buf_put(&c->out, text, n); }
static clo_err put_text(clo_gateway_conn *c, const char *text) { return clo_buf_put(&c->out, text, strlen(text)); }

static clo_err put_number(clo_gateway_conn *c, uint64_t v)
{
    char digits[24];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    return put(c, digits + at, sizeof digits - at);
}

static clo_err write_head(clo_gateway_conn *c, const clo_gateway_exchange *x)
{
    const clo_gateway_response *r = &x->response;
    uint64_t length = 0;
    bool counted = clo_gateway_response_length(r, &length);
    if (r->status == 200) {
        CLO_TRY(put(c, "HTTP/1.1 200 OK\r\nDate: ", 23));
    } else {
        CLO_TRY(put(c, "HTTP/1.1 ", 9));
        CLO_TRY(put_number(c, r->status));
        CLO_TRY(put(c, " ", 1));
        CLO_TRY(put_text(c, clo_gateway_status_text(r->status)));
        CLO_TRY(put(c, "\r\nDate: ", 8));
    }
    CLO_TRY(put_text(c, clo_gateway_date(c->home)));
    CLO_TRY(put(c, "\r\nX-Request-Id: ", 16));
    CLO_TRY(put_text(c, x->request_id));
    if (r->type != NULL && r->status != 304) {
        CLO_TRY(put(c, "\r\nContent-Type: ", 16));
        CLO_TRY(put_text(c, r->type));
    }
    if (counted && r->status != 204 && r->status != 304) {
        CLO_TRY(put(c, "\r\nContent-Length: ", 18));
        CLO_TRY(put_number(c, length));
    }
    if (!counted) {
        CLO_TRY(put_text(c, "\r\nCache-Control: no-store"));
        if (x->head.minor == 1 && clo_gateway_response_has_body(x)) CLO_TRY(put_text(c, "\r\nTransfer-Encoding: chunked"));
        else c->keep_alive = false;
    }
    if (r->kind == BODY_FILE) CLO_TRY(put_text(c, "\r\nAccept-Ranges: bytes"));
    if (r->etag != NULL) {
        CLO_TRY(put_text(c, "\r\nETag: "));
        CLO_TRY(put_text(c, r->etag));
    }
    for (size_t i = 0; i < r->header_count; i++) {
        CLO_TRY(put(c, "\r\n", 2));
        CLO_TRY(put_text(c, r->headers[i].name));
        CLO_TRY(put(c, ": ", 2));
        CLO_TRY(put_text(c, r->headers[i].value));
    }
    if (!c->keep_alive) CLO_TRY(put_text(c, "\r\nConnection: close"));
    else if (x->head.minor == 0) CLO_TRY(put_text(c, "\r\nConnection: keep-alive"));
    return put(c, "\r\n\r\n", 4);
}

static void request_done(clo_gateway_conn *c)
{
    clo_gateway_exchange *x = c->x;
    c->x = NULL;
    c->scan = 0;
    clo_gateway_exchange_release(x);
    if (c->home->draining) c->keep_alive = false;
    if (c->keep_alive && !c->peer_done) {
        c->h1_state = H1_HEAD;
        clo_gateway_conn_watch(c, WATCH_IDLE);
    } else {
        c->h1_state = H1_CLOSE;
        c->closing = true;
    }
}

/* One piece of the body into the output; false: nothing to put now. */
static bool put_piece(clo_gateway_conn *c, bool *end)
{
    clo_gateway_exchange *x = c->x;
    bool chunked = x->response.kind == BODY_EVENTS && x->head.minor == 1;
    size_t frame = chunked ? 6 : 0, n = 0; /* "xxxx\r\n" */
    uint8_t *at = NULL;
    size_t want = FILL_BYTES;
    if (x->response.kind != BODY_EVENTS && x->response.size - x->sent < want) want = (size_t)(x->response.size - x->sent);
    clo_err e = clo_buf_reserve(&c->out, frame + want + 2, &at);
    if (!clo_failed(e)) e = clo_gateway_exchange_fill(x, at + frame, want, &n, end);
    if (clo_failed(e)) {
        /* The head promised more than can be given: only cutting the connection tells. */
        c->h1_state = H1_CLOSE;
        c->keep_alive = false;
        c->closing = true;
        *end = true;
        return false;
    }
    if (n == 0) return false;
    if (chunked) {
        char size[8];
        (void)snprintf(size, sizeof size, "%04zx\r\n", n);
        memcpy(at, size, 6);
        memcpy(at + frame + n, "\r\n", 2);
        n += 8;
    }
    c->out.len += n;
    return true;
}

/* The answer, as far as the output has room. true: it is complete. */
static bool respond(clo_gateway_conn *c)
{
    clo_gateway_exchange *x = c->x;
    if (!c->head_written) {
        c->head_written = true;
        if (clo_failed(write_head(c, x))) {
            c->keep_alive = false;
            return true;
        }
        clo_gateway_conn_watch(c, WATCH_SEND);
    }
    if (!clo_gateway_response_has_body(x)) return true;
    bool end = false;
    while (!end && clo_gateway_conn_waiting(c) < OUT_HIGH)
        if (!put_piece(c, &end)) break;
    if (x->response.kind == BODY_EVENTS && clo_gateway_conn_waiting(c) < OUT_HIGH) clo_gateway_conn_watch(c, WATCH_EVENTS);
    return end;
}

/* A head that cannot be understood: answer and close. */
static void bad_head(clo_gateway_conn *c, clo_err e)
{
    unsigned status = 400;
    if (e.code == CLO_E_TOO_LARGE || e.code == CLO_E_TOO_MANY) status = 431;
    else if (e.code == CLO_E_UNSUPPORTED) status = 501;
    else if (e.code == CLO_E_VERSION) status = 505;
    else if (e.code == CLO_E_RANGE) status = 414;
    else if (e.code == CLO_E_TIMEOUT) status = 408;
    c->keep_alive = false;
    c->x->head.minor = 1;
    c->x->request.method = CLO_GATEWAY_METHOD_UNKNOWN;
    c->x->request.header_count = 0;
    c->x->request.path = clo_span_of(NULL, 0);
    memcpy(c->x->request_id, "unread", 7);
    clo_gateway_exchange_fail(c->x, e, status);
    clo_gateway_exchange_answer(c->x);
}

/* Where bytes came before, look for the empty line first: a head that drips in must not be parsed anew for every byte. */
static bool head_may_be_whole(clo_gateway_conn *c, clo_span in)
{
    size_t at = c->scan;
    if (at == 0 || in.n > CLO_GATEWAY_H1_HEAD_MAX) return true;
    while (at < in.n) {
        const uint8_t *lf = memchr(in.p + at, '\n', in.n - at);
        if (lf == NULL) {
            c->scan = in.n;
            return false;
        }
        size_t next = (size_t)(lf - in.p) + 1;
        if (next == in.n || (in.p[next] == '\r' && next + 1 == in.n)) {
            c->scan = next - 1;
            return false;
        }
        if (in.p[next] == '\n' || (in.p[next] == '\r' && in.p[next + 1] == '\n')) return true;
        at = next;
    }
    return false;
}

static size_t take_head(clo_gateway_conn *c, clo_span in)
{
    if (in.n == 0 || !head_may_be_whole(c, in)) return 0;
    if (c->x == NULL) {
        c->x = clo_gateway_exchange_new(c);
        if (c->x == NULL) {
            c->closing = true;
            c->h1_state = H1_CLOSE;
            return in.n;
        }
    }
    clo_gateway_exchange *x = c->x;
    size_t used = 0;
    clo_err e = clo_gateway_h1_head_parse(in, &x->head, &used);
    c->head_written = false;
    if (clo_failed(e)) {
        c->h1_state = H1_WAIT;
        bad_head(c, e);
        return 0;
    }
    if (used == 0) {
        c->scan = in.n > 2 ? in.n - 2 : 1;
        clo_gateway_conn_watch(c, WATCH_HEAD);
        return 0;
    }
    const clo_gateway_h1_head *h = &x->head;
    bool has_body = h->chunked || (h->has_length && h->length != 0);
    x->head_bytes = clo_span_of(in.p, used);
    x->request.method = h->method;
    x->request.path = h->path;
    x->request.query = h->query;
    x->request.headers = h->headers;
    x->request.header_count = h->header_count;
    x->request.body_size = h->chunked ? UINT64_MAX : h->length;
    c->keep_alive = h->keep_alive && !c->home->draining;
    c->chunks = (clo_gateway_h1_chunks){0};
    c->body_left = h->chunked ? UINT64_MAX : h->length;
    c->continue_due = has_body && h->expect_continue;
    c->h1_state = has_body ? H1_BODY : H1_WAIT;
    if (has_body) clo_gateway_conn_watch(c, WATCH_BODY);
    clo_gateway_exchange_start(x, has_body);
    return used;
}

/* The body is not read to its end: small rests are skipped so that the connection lives on, others close it. */
static void skip_or_close(clo_gateway_conn *c)
{
    if (c->body_left > DISCARD_MAX || c->continue_due) c->keep_alive = false;
    if (!c->keep_alive) c->h1_state = H1_WAIT;
}

static void bad_body(clo_gateway_conn *c, clo_err e)
{
    clo_gateway_exchange *x = c->x;
    c->keep_alive = false;
    c->h1_state = H1_WAIT;
    if (x->answered) return;
    if (x->working) {
        /* A worker has the request: what is cut off now ends by abort. */
        c->h1_state = H1_CLOSE;
        c->closing = true;
        return;
    }
    clo_gateway_exchange_fail(x, e, 0);
    clo_gateway_exchange_answer(x);
}

static size_t take_body(clo_gateway_conn *c, clo_span in)
{
    clo_gateway_exchange *x = c->x;
    if (x->answered && c->h1_state == H1_BODY) skip_or_close(c);
    if (c->h1_state != H1_BODY) return 0;
    if (x->intake && c->continue_due) {
        c->continue_due = false;
        if (clo_failed(put_text(c, "HTTP/1.1 100 Continue\r\n\r\n"))) c->closing = true;
    }
    if (in.n == 0) return 0;
    c->continue_due = false;
    size_t used = 0, room = clo_gateway_exchange_room(x);
    bool done = false;
    if (room < in.n) in.n = room;
    if (in.n != 0 && x->head.chunked) {
        clo_span content;
        clo_err e = clo_gateway_h1_chunks_next(&c->chunks, in, &used, &content, &done);
        if (clo_failed(e)) {
            bad_body(c, e);
            return 0;
        }
        if (content.n != 0) (void)clo_gateway_exchange_data(x, content);
    } else if (in.n != 0) {
        size_t n = in.n < c->body_left ? in.n : (size_t)c->body_left;
        used = clo_gateway_exchange_data(x, clo_span_of(in.p, n));
        c->body_left -= used;
        done = c->body_left == 0;
    }
    if (done) {
        c->h1_state = H1_WAIT;
        clo_gateway_conn_watch(c, WATCH_WORK);
        clo_gateway_exchange_data_end(x);
    } else if (used == 0) {
        /* The worker is slower than the peer. */
        clo_gateway_conn_watch(c, WATCH_WORK);
    } else {
        clo_gateway_conn_watch(c, WATCH_BODY);
    }
    return used;
}

static size_t input(clo_gateway_conn *c, clo_span in)
{
    size_t at = 0;
    for (;;) {
        clo_span rest = clo_span_of(in.p + at, in.n - at);
        size_t used = 0;
        clo_gateway_h1_state was = c->h1_state;
        switch (c->h1_state) {
        case H1_HEAD:
            /* Answers that nobody fetches must not pile up. */
            if (clo_gateway_conn_waiting(c) >= OUT_HIGH) return at;
            used = take_head(c, rest);
            break;
        case H1_BODY: used = take_body(c, rest); break;
        case H1_WAIT:
            if (!c->x->answered) return at;
            c->h1_state = H1_RESPOND;
            break;
        case H1_RESPOND:
            if (!respond(c)) return at;
            request_done(c);
            break;
        case H1_CLOSE: return in.n;
        }
        at += used;
        if (used == 0 && c->h1_state == was) return at;
    }
}

static void output(clo_gateway_conn *c)
{
    if (c->h1_state != H1_RESPOND) return;
    if (!respond(c)) return;
    request_done(c);
    /* Pipelined requests that waited behind this answer. */
    if (c->in.len == 0 || c->h1_state != H1_HEAD) return;
    size_t used = input(c, clo_buf_span(&c->in));
    if (used != 0 && used < c->in.len) memmove(c->in.p, c->in.p + used, c->in.len - used);
    c->in.len -= used;
}

static void ended(clo_gateway_conn *c)
{
    bool partial = c->h1_state == H1_BODY || (c->x != NULL && c->x->answered && c->x->response.kind == BODY_EVENTS);
    c->keep_alive = false;
    /* Half closed after a whole request: it still gets its answer. */
    if (partial || c->h1_state == H1_HEAD) c->closing = true;
    if (partial || (c->h1_state == H1_HEAD && clo_gateway_conn_waiting(c) == 0)) {
        c->out_at = c->out.len;
        clo_gateway_conn_close(c);
    }
}

static void timeout(clo_gateway_conn *c)
{
    static const char comment[] = "000e\r\n: keep-alive\n\n\r\n";
    if (c->watch == WATCH_EVENTS) {
        clo_err e = c->x->head.minor == 1 ? put(c, comment, sizeof comment - 1) : put_text(c, ": keep-alive\n\n");
        if (clo_failed(e)) clo_gateway_conn_close(c);
        return;
    }
    bool told = c->watch == WATCH_HEAD && c->h1_state == H1_HEAD && c->in.len != 0 && c->x != NULL && !c->x->answered;
    if (!told) {
        clo_gateway_conn_close(c);
        return;
    }
    c->h1_state = H1_WAIT;
    bad_head(c, CLO_FAILF(CLO_E_TIMEOUT, "the request head did not come within %u ms", c->home->server->o.head_timeout_ms));
    (void)input(c, clo_span_of(NULL, 0));
}

static void pump(clo_gateway_conn *c)
{
    if (!c->inside) clo_gateway_conn_continue(c);
}

static void answered(clo_gateway_exchange *x) { pump(x->conn); }
static void resume(clo_gateway_exchange *x, size_t n)
{
    (void)n;
    pump(x->conn);
}
static void events(clo_gateway_exchange *x)
{
    if (!x->conn->inside) clo_gateway_conn_flush(x->conn);
}

static void closed(clo_gateway_conn *c)
{
    clo_gateway_exchange *x = c->x;
    c->x = NULL;
    if (x != NULL) clo_gateway_exchange_release(x);
}

static void drain(clo_gateway_conn *c)
{
    bool streaming = c->x != NULL && c->x->answered && c->x->response.kind == BODY_EVENTS;
    c->keep_alive = false;
    bool idle = c->h1_state == H1_HEAD && c->in.len == 0;
    if (streaming || (idle && clo_gateway_conn_waiting(c) == 0)) clo_gateway_conn_close(c);
    else if (idle) c->closing = true;
}

const clo_gateway_protocol clo_gateway_h1 = {
    .input = input,
    .output = output,
    .ended = ended,
    .timeout = timeout,
    .answered = answered,
    .resume = resume,
    .events = events,
    .closed = closed,
    .drain = drain,
};
