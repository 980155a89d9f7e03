/* A connection: bytes between its socket (plain or TLS) and its protocol, and its timer. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include "os/file.h"
#include "os/log.h"
#include "os/net.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BUDGET = 256 * 1024, LINGER_MS = 1000, LONG_MS = 3600 * 1000 };

static void ready(void *context, unsigned events);
static void timer_fired(void *context);

static void deadline(clo_gateway_conn *c, uint64_t delay_ms)
{
    c->deadline_ms = clo_os_loop_now_ms(c->home->loop) + delay_ms;
    /* A timer that fires too early looks again; only an earlier deadline moves it. */
    if (c->timer.place == 0 || c->timer.due_ms > c->deadline_ms)
        if (clo_failed(clo_os_loop_timer_set(c->home->loop, &c->timer, delay_ms))) c->closing = true;
}

void clo_gateway_conn_watch(clo_gateway_conn *c, clo_gateway_watch watch)
{
    const clo_gateway_options *o = &c->home->server->o;
    bool fresh = c->watch != watch;
    c->watch = watch;
    switch (watch) {
    case WATCH_IDLE: deadline(c, o->idle_timeout_ms); break;
    case WATCH_HANDSHAKE:
    case WATCH_HEAD:
        if (fresh) deadline(c, o->head_timeout_ms);
        break;
    case WATCH_BODY:
    case WATCH_SEND:
        if (fresh) {
            c->progress = 0;
            deadline(c, o->rate_window_ms);
        }
        break;
    case WATCH_WORK:
        if (fresh) deadline(c, LONG_MS);
        break;
    case WATCH_EVENTS:
        if (fresh) deadline(c, KEEP_ALIVE_MS);
        break;
    }
}

static void conn_free(clo_gateway_conn *c)
{
    clo_buf_free(&c->in);
    clo_buf_free(&c->out);
    free(c);
}

void clo_gateway_conn_unref(clo_gateway_conn *c)
{
    assert(c->refs != 0);
    if (--c->refs != 0 || !c->closed) return;
    clo_gateway_loop *l = c->home;
    conn_free(c);
    if (l->draining && l->conn_count == 0 && l->exchange_count == 0) clo_os_loop_stop(l->loop);
}

void clo_gateway_conn_close(clo_gateway_conn *c)
{
    if (c->closed) return;
    clo_gateway_loop *l = c->home;
    c->closed = true;
    c->refs++;
    if (c->protocol != NULL) c->protocol->closed(c);
    clo_os_loop_timer_clear(l->loop, &c->timer);
    clo_os_loop_remove(l->loop, &c->source);
    if (c->tls != NULL) (void)clo_crypto_tls_shutdown(c->tls);
    clo_crypto_tls_free(&c->tls);
    clo_os_fd_close(&c->source.fd);
    if (c->prev != NULL) c->prev->next = c->next;
    else l->conns = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    l->conn_count--;
    atomic_fetch_sub(&l->server->connections, 1u);
    clo_gateway_peers_leave(l->server->peers, c->peer);
    clo_gateway_conn_unref(c);
}

void clo_gateway_conn_adopt(clo_gateway_loop *home, int fd, const char *peer)
{
    clo_gateway_server *s = home->server;
    clo_gateway_conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        clo_os_fd_close(&fd);
        atomic_fetch_sub(&s->connections, 1u);
        clo_gateway_peers_leave(s->peers, peer);
        return;
    }
    c->home = home;
    c->source = (clo_os_loop_source){.fd = fd, .ready = ready, .context = c};
    c->timer = (clo_os_loop_timer){.fire = timer_fired, .context = c};
    memcpy(c->peer, peer, strnlen(peer, sizeof c->peer - 1));
    clo_buf_init(&c->in, IN_HIGH * 4);
    clo_buf_init(&c->out, OUT_MAX);
    c->next = home->conns;
    if (c->next != NULL) c->next->prev = c;
    home->conns = c;
    home->conn_count++;
    c->watch = WATCH_IDLE;
    clo_err e = clo_os_loop_add(home->loop, &c->source, CLO_OS_READABLE);
    if (!clo_failed(e) && s->o.tls != NULL) e = clo_crypto_tls_on_socket(&c->tls, s->o.tls, fd);
    if (s->o.tls == NULL && !s->o.http2) c->protocol = &clo_gateway_h1;
    clo_gateway_conn_watch(c, WATCH_HANDSHAKE);
    if (c->protocol != NULL) clo_gateway_conn_watch(c, WATCH_HEAD);
    if (clo_failed(e) || home->draining) clo_gateway_conn_close(c);
}

/* Reading and writing: *n bytes moved; more = try again at once; blocked = wait for the socket. */
typedef enum { MOVED, BLOCKED, ENDED, BROKEN } move;

static move move_of(clo_crypto_tls_status status)
{
    switch (status) {
    case CLO_TLS_DONE: return MOVED;
    case CLO_TLS_WANT_READ:
    case CLO_TLS_WANT_WRITE: return BLOCKED;
    case CLO_TLS_CLOSED: return ENDED;
    case CLO_TLS_FAILED: break;
    }
    return BROKEN;
}

static move conn_read(clo_gateway_conn *c, uint8_t *to, size_t size, size_t *n)
{
    if (c->tls != NULL) return move_of(clo_crypto_tls_read(c->tls, to, size, n));
    ssize_t got = recv(c->source.fd, to, size, 0);
    *n = got > 0 ? (size_t)got : 0;
    if (got > 0) return MOVED;
    if (got == 0) return ENDED;
    return errno == EAGAIN || errno == EINTR ? BLOCKED : BROKEN;
}

static move conn_write(clo_gateway_conn *c, const uint8_t *from, size_t size, size_t *n)
{
    if (c->tls != NULL) return move_of(clo_crypto_tls_write(c->tls, from, size, n));
    ssize_t put = send(c->source.fd, from, size, MSG_NOSIGNAL);
    *n = put > 0 ? (size_t)put : 0;
    if (put >= 0) return MOVED;
    return errno == EAGAIN || errno == EINTR ? BLOCKED : BROKEN;
}

static bool choose_protocol(clo_gateway_conn *c, bool h2)
{
    c->protocol = &clo_gateway_h1;
    if (h2) {
        c->protocol = &clo_gateway_h2;
        if (clo_failed(clo_gateway_h2_start(c))) return false;
    }
    clo_gateway_conn_watch(c, WATCH_HEAD);
    return true;
}

/* false: wait or closed. */
static bool handshake(clo_gateway_conn *c)
{
    switch (clo_crypto_tls_handshake(c->tls)) {
    case CLO_TLS_DONE: break;
    case CLO_TLS_WANT_READ:
        if (clo_failed(clo_os_loop_change(c->home->loop, &c->source, CLO_OS_READABLE))) clo_gateway_conn_close(c);
        return false;
    case CLO_TLS_WANT_WRITE:
        if (clo_failed(clo_os_loop_change(c->home->loop, &c->source, CLO_OS_WRITABLE))) clo_gateway_conn_close(c);
        return false;
    case CLO_TLS_CLOSED:
    case CLO_TLS_FAILED:
        clo_gateway_failure_note(c->home->server, c->peer);
        clo_os_log(CLO_OS_LOG_DEBUG, "tls.failed", NULL, "%s", clo_err_text());
        clo_gateway_conn_close(c);
        return false;
    }
    clo_gateway_channel *ch = &c->channel;
    ch->has_exporter = !clo_failed(clo_crypto_tls_exporter(c->tls, "EXPORTER-cloister-attest", ch->exporter));
    ch->has_peer = clo_crypto_tls_peer_spki(c->tls, ch->peer_spki);
    ch->has_own = clo_crypto_tls_own_spki(c->tls, ch->own_spki);
    if (choose_protocol(c, strcmp(clo_crypto_tls_alpn(c->tls), "h2") == 0)) return true;
    clo_gateway_conn_close(c);
    return false;
}

/* Hand bytes to the protocol; what it does not use waits in c->in. false: closed. */
static bool understand(clo_gateway_conn *c, clo_span fresh)
{
    c->inside = true;
    size_t used = 0;
    bool good = true;
    if (c->in.len == 0) {
        used = c->protocol->input(c, fresh);
        if (used < fresh.n) good = !clo_failed(clo_buf_put(&c->in, fresh.p + used, fresh.n - used));
    } else {
        good = !clo_failed(clo_buf_put_span(&c->in, fresh));
        if (good) used = c->protocol->input(c, clo_buf_span(&c->in));
        if (used != 0 && used < c->in.len) memmove(c->in.p, c->in.p + used, c->in.len - used);
        c->in.len -= used;
        if (c->in.len == 0) clo_buf_free(&c->in);
    }
    c->inside = false;
    if (!good) clo_gateway_conn_close(c);
    return good;
}

static bool may_read(const clo_gateway_conn *c) { return !c->peer_done && c->in.len < IN_HIGH && clo_gateway_conn_waiting(c) < OUT_HIGH * 2; }

/* The end of what the peer sends. */
static void peer_ended(clo_gateway_conn *c)
{
    c->peer_done = true;
    c->inside = true;
    c->protocol->ended(c);
    c->inside = false;
}

/* Read what is there. false: closed. */
static bool take_input(clo_gateway_conn *c)
{
    size_t total = 0;
    while (may_read(c)) {
        size_t n = 0;
        move m = conn_read(c, c->home->scratch, sizeof c->home->scratch, &n);
        if (m == BLOCKED) return true;
        if (m == BROKEN) {
            clo_gateway_conn_close(c);
            return false;
        }
        if (m == ENDED) {
            peer_ended(c);
            return true;
        }
        c->progress += n;
        total += n;
        if (!c->lingering && !understand(c, clo_span_of(c->home->scratch, n))) return false;
        bool more = c->tls != NULL ? clo_crypto_tls_pending(c->tls) != 0 : n == sizeof c->home->scratch;
        /* What the TLS layer holds is invisible to epoll, so the budget must not stop before it is empty. */
        if (!more || (c->tls == NULL && total >= READ_BUDGET)) return true;
    }
    return true;
}

/* All was sent. Closing at once could make the kernel reset the connection and destroy the answer on its way, so the last bytes of
 * the peer are awaited for a moment. */
static void linger(clo_gateway_conn *c)
{
    if (c->peer_done || c->lingering) {
        if (c->peer_done) clo_gateway_conn_close(c);
        return;
    }
    c->lingering = true;
    clo_buf_free(&c->in);
    if (c->tls != NULL) (void)clo_crypto_tls_shutdown(c->tls);
    (void)shutdown(c->source.fd, SHUT_WR);
    c->watch = WATCH_HANDSHAKE;
    deadline(c, LINGER_MS);
    if (clo_failed(clo_os_loop_change(c->home->loop, &c->source, CLO_OS_READABLE))) clo_gateway_conn_close(c);
}

/* Write what waits. false: blocked or closed. */
static bool write_out(clo_gateway_conn *c)
{
    while (c->out_at < c->out.len) {
        size_t n = 0;
        move m = conn_write(c, c->out.p + c->out_at, c->out.len - c->out_at, &n);
        c->out_at += n;
        c->progress += n;
        if (m == BLOCKED) {
            c->write_blocked = true;
            if (c->out_at >= OUT_HIGH / 2) {
                memmove(c->out.p, c->out.p + c->out_at, c->out.len - c->out_at);
                c->out.len -= c->out_at;
                c->out_at = 0;
            }
            return false;
        }
        if (m != MOVED) {
            clo_gateway_conn_close(c);
            return false;
        }
    }
    c->write_blocked = false;
    c->out_at = 0;
    clo_buf_clear(&c->out);
    return true;
}

void clo_gateway_conn_flush(clo_gateway_conn *c)
{
    if (c->closed || c->lingering || c->protocol == NULL) return;
    c->refs++;
    for (;;) {
        bool drained = write_out(c);
        if (c->closed) break;
        if (!drained) break;
        c->inside = true;
        c->protocol->output(c);
        c->inside = false;
        if (clo_gateway_conn_waiting(c) == 0) break;
    }
    if (!c->closed) {
        bool waiting = clo_gateway_conn_waiting(c) != 0;
        if (c->closing && !waiting) {
            linger(c);
        } else {
            if (!waiting && c->out.cap > 8192) clo_buf_free(&c->out);
            unsigned interest = (may_read(c) ? CLO_OS_READABLE : 0u) | (waiting ? CLO_OS_WRITABLE : 0u);
            if (clo_failed(clo_os_loop_change(c->home->loop, &c->source, interest))) clo_gateway_conn_close(c);
        }
    }
    clo_gateway_conn_unref(c);
}

void clo_gateway_conn_continue(clo_gateway_conn *c)
{
    if (c->closed || c->inside || c->lingering || c->protocol == NULL) return;
    c->refs++;
    bool open = understand(c, clo_span_of(NULL, 0));
    if (open) clo_gateway_conn_flush(c);
    /* Bytes that the TLS layer had decrypted before a pause do not show up in epoll. */
    if (!c->closed && !c->lingering && c->tls != NULL && clo_crypto_tls_pending(c->tls) != 0 && may_read(c)) {
        if (take_input(c)) clo_gateway_conn_flush(c);
    }
    clo_gateway_conn_unref(c);
}

static void ready(void *context, unsigned events)
{
    clo_gateway_conn *c = context;
    c->refs++;
    bool open = true;
    if ((events & CLO_OS_HANGUP) != 0 && (events & CLO_OS_READABLE) == 0) {
        clo_gateway_conn_close(c);
        open = false;
    }
    if (open && c->protocol == NULL && c->tls != NULL) {
        open = handshake(c);
        if (open && clo_failed(clo_os_loop_change(c->home->loop, &c->source, CLO_OS_READABLE))) clo_gateway_conn_close(c);
        open = open && !c->closed;
    } else if (open && c->protocol == NULL && !choose_protocol(c, true)) {
        clo_gateway_conn_close(c);
        open = false;
    }
    if (open && (events & (CLO_OS_READABLE | CLO_OS_HANGUP)) != 0) open = take_input(c);
    if (open && c->lingering && c->peer_done) clo_gateway_conn_close(c);
    if (open && !c->closed) clo_gateway_conn_flush(c);
    clo_gateway_conn_unref(c);
}

/* Did the window bring the least rate? */
static bool enough(const clo_gateway_conn *c)
{
    const clo_gateway_options *o = &c->home->server->o;
    return c->progress >= (uint64_t)o->body_rate_min * o->rate_window_ms / 1000;
}

static void timer_fired(void *context)
{
    clo_gateway_conn *c = context;
    uint64_t now = clo_os_loop_now_ms(c->home->loop);
    if (now < c->deadline_ms) {
        if (clo_failed(clo_os_loop_timer_set(c->home->loop, &c->timer, c->deadline_ms - now))) clo_gateway_conn_close(c);
        return;
    }
    c->refs++;
    if (c->lingering || c->protocol == NULL) {
        clo_gateway_conn_close(c);
    } else if ((c->watch == WATCH_BODY || c->watch == WATCH_SEND) && enough(c)) {
        c->progress = 0;
        deadline(c, c->home->server->o.rate_window_ms);
    } else if (c->watch == WATCH_WORK) {
        deadline(c, LONG_MS);
    } else {
        clo_gateway_watch was = c->watch;
        c->inside = true;
        c->protocol->timeout(c);
        c->inside = false;
        if (!c->closed && c->watch == was) deadline(c, was == WATCH_EVENTS ? (uint64_t)KEEP_ALIVE_MS : (uint64_t)c->home->server->o.rate_window_ms);
        if (!c->closed) clo_gateway_conn_flush(c);
    }
    clo_gateway_conn_unref(c);
}
