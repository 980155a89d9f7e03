/* HTTP/2 by nghttp2: a stream is an exchange. Flow control is given back only for what was worked off. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STREAMS_MAX = 128,
    EXCHANGES_MAX = 256,           /* with those whose streams were reset while a worker has them */
    STREAM_WINDOW = 1024 * 1024,
    CONNECTION_WINDOW = 4 * 1024 * 1024,
    HEAD_BYTES_MAX = 16 * 1024,
    DISCARD_MAX = 64 * 1024,
    RESETS_BURST = 200,
    RESETS_PER_SECOND = 20,
};
_Static_assert((int)STREAM_WINDOW <= (int)PIECE_MAX, "a stream's window must fit the read-ahead buffer");

static void fail(clo_gateway_conn *c, uint32_t code)
{
    if (c->h2_failed) return;
    c->h2_failed = true;
    if (nghttp2_session_terminate_session(c->h2, code) != 0) c->closing = true;
}

static void stream_link(clo_gateway_conn *c, clo_gateway_exchange *x)
{
    x->next = c->streams;
    x->prev = NULL;
    if (x->next != NULL) x->next->prev = x;
    c->streams = x;
    c->stream_count++;
}

static void stream_unlink(clo_gateway_conn *c, clo_gateway_exchange *x)
{
    if (x->prev != NULL) x->prev->next = x->next;
    else c->streams = x->next;
    if (x->next != NULL) x->next->prev = x->prev;
    x->next = x->prev = NULL;
    c->stream_count--;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    clo_gateway_conn *c = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (c->refs > EXCHANGES_MAX) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    clo_gateway_exchange *x = clo_gateway_exchange_new(c);
    if (x == NULL) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    x->stream_id = frame->hd.stream_id;
    x->head.header_count = 0;
    x->head.method = CLO_GATEWAY_METHOD_UNKNOWN;
    x->request.method = CLO_GATEWAY_METHOD_UNKNOWN;
    x->request.path = x->request.query = clo_span_of(NULL, 0);
    x->request.headers = x->head.headers;
    x->request.header_count = 0;
    x->request.body_size = UINT64_MAX;
    stream_link(c, x);
    return nghttp2_session_set_stream_user_data(session, x->stream_id, x) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static clo_gateway_method method_of(clo_span text)
{
    for (unsigned i = 0; i < CLO_GATEWAY_METHOD_COUNT; i++)
        if (clo_span_equal(text, clo_span_str(clo_gateway_method_name((clo_gateway_method)i)))) return (clo_gateway_method)i;
    return CLO_GATEWAY_METHOD_UNKNOWN;
}

static void take_path(clo_gateway_request *r, clo_span target)
{
    const uint8_t *mark = memchr(target.p, '?', target.n);
    r->path = mark == NULL ? target : clo_span_of(target.p, (size_t)(mark - target.p));
    r->query = mark == NULL ? clo_span_of(NULL, 0) : clo_span_of(mark + 1, target.n - r->path.n - 1);
}

static clo_err take_header(clo_gateway_exchange *x, clo_span name, clo_span value)
{
    clo_gateway_header h;
    CLO_TRY(clo_arena_copy(&x->arena, name, &h.name));
    CLO_TRY(clo_arena_copy(&x->arena, value, &h.value));
    if (clo_span_equal(name, clo_span_str(":method"))) {
        x->request.method = method_of(h.value);
    } else if (clo_span_equal(name, clo_span_str(":path"))) {
        take_path(&x->request, h.value);
    } else if (name.n != 0 && name.p[0] == ':') {
        if (clo_span_equal(name, clo_span_str(":authority"))) h.name = clo_span_str("host");
        else return CLO_OK;
        x->head.headers[x->head.header_count++] = h;
    } else {
        x->head.headers[x->head.header_count++] = h;
    }
    return CLO_OK;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size, const uint8_t *value,
                     size_t value_size, uint8_t flags, void *user)
{
    (void)flags;
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    clo_gateway_exchange *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (x == NULL || x->too_large) return 0;
    if (x->head.header_count >= CLO_GATEWAY_HEADERS_MAX || x->arena.used + name_size + value_size > HEAD_BYTES_MAX ||
        clo_failed(take_header(x, clo_span_of(name, name_size), clo_span_of(value, value_size))))
        x->too_large = true;
    return 0;
}

static bool target_valid(clo_span path)
{
    if (path.n == 0 || path.p[0] != '/') return path.n == 1 && path.p[0] == '*';
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= 0x20 || path.p[i] >= 0x7f || strchr("\"#<>\\^`{|}", path.p[i]) != NULL) return false;
    return true;
}

static void start(clo_gateway_exchange *x, bool ended)
{
    clo_gateway_request *r = &x->request;
    r->header_count = x->head.header_count;
    x->head.minor = 1;
    clo_span length = clo_gateway_request_header(r, "content-length");
    if (length.p != NULL) {
        /* nghttp2 has checked its form and holds the body to it. */
        r->body_size = 0;
        for (size_t i = 0; i < length.n && i < 18; i++) r->body_size = r->body_size * 10 + (uint64_t)(length.p[i] - '0');
    } else if (ended) {
        r->body_size = 0;
    }
    if (x->too_large || !target_valid(r->path)) {
        clo_err e = x->too_large ? CLO_FAILF(CLO_E_TOO_LARGE, "the request head is too large") : CLO_FAILF(CLO_E_MALFORMED, "the path is malformed");
        memcpy(x->request_id, "unread", 7);
        clo_gateway_exchange_fail(x, e, x->too_large ? 431 : 400);
        x->too_large = false;
        clo_gateway_exchange_answer(x);
        return;
    }
    clo_gateway_exchange_start(x, !ended);
}

/* Streams that are opened and reset at once cost us work and the peer nothing. */
static void count_reset(clo_gateway_conn *c)
{
    uint64_t now = clo_os_loop_now_ms(c->home->loop);
    c->reset_tokens += (double)(now - c->reset_at_ms) / 1000.0 * RESETS_PER_SECOND;
    if (c->reset_tokens > RESETS_BURST) c->reset_tokens = RESETS_BURST;
    c->reset_at_ms = now;
    c->reset_tokens -= 1.0;
    if (c->reset_tokens < 0.0) fail(c, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    clo_gateway_conn *c = user;
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM) count_reset(c);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    clo_gateway_exchange *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (x == NULL) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) start(x, ended);
    else if (ended) clo_gateway_exchange_data_end(x);
    return 0;
}

static void give_back_window(clo_gateway_conn *c, int32_t stream_id, size_t n)
{
    if (n != 0 && nghttp2_session_consume(c->h2, stream_id, n) != 0) fail(c, NGHTTP2_INTERNAL_ERROR);
}

/* An answer that ended before the request's body did: a small rest is let come, since clients take a reset for a failure; a long one is
 * cut off. */
static void cut_rest(nghttp2_session *session, const clo_gateway_exchange *x)
{
    if (x->sent_whole && x->discarded > DISCARD_MAX) (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_NO_ERROR);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    /* A peer that makes us reset its streams costs as much as one that resets them itself (CVE-2025-8671). */
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR && frame->rst_stream.error_code != NGHTTP2_CANCEL)
        count_reset(user);
    bool ends = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    clo_gateway_exchange *x = ends ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
    if (x == NULL) return 0;
    x->sent_whole = true;
    cut_rest(session, x);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t n, void *user)
{
    (void)flags;
    clo_gateway_conn *c = user;
    clo_gateway_exchange *x = nghttp2_session_get_stream_user_data(session, stream_id);
    if (x == NULL || x->answered) {
        give_back_window(c, stream_id, n);
        if (x != NULL) {
            x->discarded += n;
            cut_rest(session, x);
        }
        return 0;
    }
    bool hold = x->streamed || !x->intake;
    x->unconsumed += n;
    size_t taken = clo_gateway_exchange_data(x, clo_span_of(data, n));
    if (taken < n) return NGHTTP2_ERR_CALLBACK_FAILURE; /* beyond its window: nghttp2 would have refused it */
    if (!hold || x->answered) {
        give_back_window(c, stream_id, (size_t)x->unconsumed);
        x->unconsumed = 0;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user)
{
    (void)error;
    clo_gateway_conn *c = user;
    clo_gateway_exchange *x = nghttp2_session_get_stream_user_data(session, stream_id);
    if (x == NULL) return 0;
    (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    /* The connection's window must not shrink by what a dead stream held. */
    if (x->unconsumed != 0) (void)nghttp2_session_consume_connection(session, (size_t)x->unconsumed);
    stream_unlink(c, x);
    clo_gateway_exchange_release(x);
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *to, size_t size, uint32_t *flags, nghttp2_data_source *source,
                         void *user)
{
    (void)session;
    (void)stream_id;
    (void)user;
    clo_gateway_exchange *x = source->ptr;
    size_t n = 0;
    bool end = false;
    if (clo_failed(clo_gateway_exchange_fill(x, to, size, &n, &end))) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    x->deferred = n == 0 && !end;
    return x->deferred ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

typedef struct {
    nghttp2_nv nv[RESPONSE_HEADERS_MAX + 8];
    size_t count;
    char lower[RESPONSE_HEADERS_MAX][64];
} head_list;

static void add(head_list *h, const char *name, const char *value)
{
    h->nv[h->count++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                                     .value = (uint8_t *)(uintptr_t)value,
                                     .namelen = strlen(name),
                                     .valuelen = strlen(value),
                                     .flags = NGHTTP2_NV_FLAG_NONE};
}

static void submit_answer(clo_gateway_exchange *x)
{
    clo_gateway_conn *c = x->conn;
    const clo_gateway_response *r = &x->response;
    head_list h = {.count = 0};
    char status[16], length_text[24];
    uint64_t length = 0;
    (void)snprintf(status, sizeof status, "%u", r->status);
    add(&h, ":status", status);
    add(&h, "date", clo_gateway_date(c->home));
    add(&h, "x-request-id", x->request_id);
    if (r->type != NULL && r->status != 304) add(&h, "content-type", r->type);
    if (!clo_gateway_response_length(r, &length)) {
        add(&h, "cache-control", "no-store");
    } else if (r->status != 204 && r->status != 304) {
        (void)snprintf(length_text, sizeof length_text, "%llu", (unsigned long long)length);
        add(&h, "content-length", length_text);
    }
    if (r->kind == BODY_FILE) add(&h, "accept-ranges", "bytes");
    if (r->etag != NULL) add(&h, "etag", r->etag);
    for (size_t i = 0; i < r->header_count; i++) {
        char *to = h.lower[i];
        size_t n = 0;
        for (const char *p = r->headers[i].name; *p != 0 && n < 63; p++) to[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        add(&h, to, r->headers[i].value);
    }
    nghttp2_data_provider provider = {.source.ptr = x, .read_callback = read_body};
    bool body = clo_gateway_response_has_body(x);
    if (nghttp2_submit_response(c->h2, x->stream_id, h.nv, h.count, body ? &provider : NULL) != 0) fail(c, NGHTTP2_INTERNAL_ERROR);
    give_back_window(c, x->stream_id, (size_t)x->unconsumed);
    x->unconsumed = 0;
}

static clo_err session_make(clo_gateway_conn *c, nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_send_header_block_length(option, 64 * 1024);
    CLO_CHECK(nghttp2_session_server_new2(&c->h2, callbacks, c, option) == 0, CLO_E_NOMEM);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    CLO_CHECK(nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]) == 0, CLO_E_NOMEM);
    CLO_CHECK(nghttp2_session_set_local_window_size(c->h2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0, CLO_E_NOMEM);
    return CLO_OK;
}

clo_err clo_gateway_h2_start(clo_gateway_conn *c)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    clo_err e = CLO_OK;
    c->reset_tokens = RESETS_BURST;
    c->reset_at_ms = clo_os_loop_now_ms(c->home->loop);
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) e = CLO_FAIL(CLO_E_NOMEM);
    if (!clo_failed(e)) e = session_make(c, callbacks, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return e;
}

/* What the connection waits for as a whole. */
static void choose_watch(clo_gateway_conn *c)
{
    if (c->stream_count == 0) {
        if (c->watch != WATCH_HEAD) clo_gateway_conn_watch(c, WATCH_IDLE);
        return;
    }
    bool events = false, moving = clo_gateway_conn_waiting(c) != 0;
    for (const clo_gateway_exchange *x = c->streams; x != NULL && !moving; x = x->next) {
        bool stream = x->answered && x->response.kind == BODY_EVENTS;
        events = events || stream;
        moving = (x->answered && !stream) || (!x->answered && x->intake && !x->body_ended && !x->working);
    }
    clo_gateway_conn_watch(c, moving ? WATCH_SEND : events ? WATCH_EVENTS : WATCH_WORK);
}

static size_t input(clo_gateway_conn *c, clo_span in)
{
    if (in.n == 0) return 0;
    if (c->h2_failed) return in.n;
    ssize_t n = nghttp2_session_mem_recv(c->h2, in.p, in.n);
    if (n < 0) {
        c->h2_failed = true;
        c->closing = true;
        return in.n;
    }
    if (c->watch == WATCH_HEAD && c->stream_count != 0) c->watch = WATCH_IDLE;
    return in.n;
}

static void output(clo_gateway_conn *c)
{
    while (clo_gateway_conn_waiting(c) < OUT_HIGH) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(c->h2, &data);
        if (n == 0) break;
        if (n < 0 || clo_failed(clo_buf_put(&c->out, data, (size_t)n))) {
            c->closing = true;
            break;
        }
    }
    if (nghttp2_session_want_read(c->h2) == 0 && nghttp2_session_want_write(c->h2) == 0) c->closing = true;
    if (c->closing) return;
    choose_watch(c);
}

static void ended(clo_gateway_conn *c) { clo_gateway_conn_close(c); }

static void timeout(clo_gateway_conn *c)
{
    switch (c->watch) {
    case WATCH_EVENTS:
        if (nghttp2_submit_ping(c->h2, NGHTTP2_FLAG_NONE, NULL) != 0) clo_gateway_conn_close(c);
        break;
    case WATCH_IDLE:
        /* The second time it is closed by force. */
        if (c->h2_failed) clo_gateway_conn_close(c);
        else fail(c, NGHTTP2_NO_ERROR);
        break;
    case WATCH_HANDSHAKE:
    case WATCH_HEAD:
    case WATCH_BODY:
    case WATCH_SEND:
    case WATCH_WORK: clo_gateway_conn_close(c); break;
    }
}

static void pump(clo_gateway_conn *c)
{
    if (!c->inside) clo_gateway_conn_flush(c);
}

static void answered(clo_gateway_exchange *x)
{
    submit_answer(x);
    pump(x->conn);
}

static void resume(clo_gateway_exchange *x, size_t n)
{
    clo_gateway_conn *c = x->conn;
    if (n > x->unconsumed) n = (size_t)x->unconsumed;
    x->unconsumed -= n;
    give_back_window(c, x->stream_id, n);
    pump(c);
}

static void events(clo_gateway_exchange *x)
{
    if (x->deferred && nghttp2_session_resume_data(x->conn->h2, x->stream_id) == 0) x->deferred = false;
    pump(x->conn);
}

static void closed(clo_gateway_conn *c)
{
    while (c->streams != NULL) {
        clo_gateway_exchange *x = c->streams;
        stream_unlink(c, x);
        clo_gateway_exchange_release(x);
    }
    nghttp2_session_del(c->h2);
    c->h2 = NULL;
}

static void drain(clo_gateway_conn *c)
{
    (void)nghttp2_submit_goaway(c->h2, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->h2), NGHTTP2_NO_ERROR, NULL, 0);
    for (clo_gateway_exchange *x = c->streams; x != NULL; x = x->next)
        if (x->answered && x->response.kind == BODY_EVENTS)
            (void)nghttp2_submit_rst_stream(c->h2, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_CANCEL);
    clo_gateway_conn_flush(c);
    if (!c->closed && c->stream_count == 0) c->closing = true;
}

const clo_gateway_protocol clo_gateway_h2 = {
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
