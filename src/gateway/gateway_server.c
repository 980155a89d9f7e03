/* Starting and stopping: listener, loop threads, worker pools. */
#include "gateway/server.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "gateway/gateway_int.h"
#include "gateway/openapi.h"
#include "os/file.h"
#include "os/log.h"
#include "os/net.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOOPS_MAX = 8, BUCKET_NAMES = 65536, ACCEPTS_PER_ROUND = 64 };

const char *clo_gateway_date(clo_gateway_loop *l)
{
    uint64_t now = clo_os_loop_now_ms(l->loop);
    if (l->date[0] != 0 && now - l->date_at_ms < 500) return l->date;
    l->date_at_ms = now;
    struct timespec t = {0};
    struct tm parts = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    (void)gmtime_r(&t.tv_sec, &parts);
    (void)strftime(l->date, sizeof l->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return l->date;
}

/* Handing a connection to another loop. */
typedef struct {
    clo_os_loop_message message;
    clo_gateway_loop *to;
    int fd;
    char peer[46];
} handover;

static void take_over(void *context)
{
    handover *h = context;
    clo_gateway_conn_adopt(h->to, h->fd, h->peer);
    free(h);
}

static void give(clo_gateway_server *s, int fd, const char *peer)
{
    clo_gateway_loop *to = s->loops[s->next_loop++ % s->loop_count];
    if (to == s->loops[0]) {
        clo_gateway_conn_adopt(to, fd, peer);
        return;
    }
    handover *h = calloc(1, sizeof *h);
    if (h == NULL) {
        clo_gateway_conn_adopt(s->loops[0], fd, peer);
        return;
    }
    h->to = to;
    h->fd = fd;
    memcpy(h->peer, peer, sizeof h->peer);
    h->message = (clo_os_loop_message){.receive = take_over, .context = h};
    clo_os_loop_post(to->loop, &h->message);
}

static void accept_again(void *context)
{
    clo_gateway_server *s = context;
    clo_err e = s->listen_fd >= 0 ? clo_os_loop_change(s->loops[0]->loop, &s->listen_source, CLO_OS_READABLE) : CLO_OK;
    if (clo_failed(e)) clo_os_log_failure("accept", NULL, e);
}

static void accept_ready(void *context, unsigned events)
{
    (void)events;
    clo_gateway_server *s = context;
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        int fd = -1;
        char peer[46] = "";
        clo_err e = clo_os_net_accept(s->listen_fd, &fd, peer);
        if (e.code == CLO_E_AGAIN) return;
        if (clo_failed(e)) {
            /* Out of descriptors: spinning would not free one. */
            clo_os_log_failure("accept", NULL, e);
            e = clo_os_loop_timer_set(s->loops[0]->loop, &s->accept_timer, 100);
            if (!clo_failed(e)) e = clo_os_loop_change(s->loops[0]->loop, &s->listen_source, 0);
            if (clo_failed(e)) clo_os_log_failure("accept", NULL, e);
            return;
        }
        unsigned ignored = 0;
        if (atomic_fetch_add(&s->connections, 1u) >= s->o.connections_max || clo_gateway_failures_many(s, peer, &ignored) || !clo_gateway_peers_enter(s->peers, peer)) {
            atomic_fetch_sub(&s->connections, 1u);
            clo_gateway_metric_add(s->overload_total, 1);
            clo_os_fd_close(&fd);
            continue;
        }
        clo_gateway_metric_add(s->connections_total, 1);
        give(s, fd, peer);
    }
}

static void loop_run(void *context)
{
    clo_gateway_loop *l = context;
    clo_err e = clo_os_loop_run(l->loop);
    if (clo_failed(e)) clo_os_log_failure("loop", NULL, e);
}

static void end_if_empty(clo_gateway_loop *l)
{
    if (l->conn_count == 0 && l->exchange_count == 0) clo_os_loop_stop(l->loop);
}

static void grace_over(void *context)
{
    clo_gateway_loop *l = context;
    while (l->conns != NULL) clo_gateway_conn_close(l->conns);
    end_if_empty(l);
}

static void drain(void *context)
{
    clo_gateway_loop *l = context;
    clo_gateway_server *s = l->server;
    l->draining = true;
    if (l->index == 0 && s->listen_fd >= 0) {
        clo_os_loop_remove(l->loop, &s->listen_source);
        clo_os_fd_close(&s->listen_fd);
        /* The others hear of it behind the last connection that was handed to them. */
        for (unsigned i = 1; i < s->loop_count; i++) clo_os_loop_post(s->loops[i]->loop, &s->loops[i]->drain_message);
    }
    for (clo_gateway_conn *c = l->conns, *next = NULL; c != NULL; c = next) {
        next = c->next;
        if (c->protocol == NULL) {
            clo_gateway_conn_close(c);
        } else {
            c->refs++;
            c->protocol->drain(c);
            if (!c->closed) clo_gateway_conn_flush(c);
            clo_gateway_conn_unref(c);
        }
    }
    if (clo_failed(clo_os_loop_timer_set(l->loop, &l->grace_timer, s->grace_ms))) grace_over(l);
    end_if_empty(l);
}

static clo_err loop_new(clo_gateway_server *s, unsigned index)
{
    clo_gateway_loop *l = calloc(1, sizeof *l);
    CLO_CHECK(l != NULL, CLO_E_NOMEM);
    s->loops[index] = l;
    s->loop_count = index + 1;
    l->server = s;
    l->index = index;
    l->grace_timer = (clo_os_loop_timer){.fire = grace_over, .context = l};
    l->drain_message = (clo_os_loop_message){.receive = drain, .context = l};
    return clo_os_loop_new(&l->loop);
}

static double ask_connections(void *context) { return (double)atomic_load(&((clo_gateway_server *)context)->connections); }
static double ask_pending(void *context) { return (double)atomic_load(&((clo_gateway_server *)context)->pending); }

static clo_err own_metrics(clo_gateway_server *s)
{
    static const char *const classes[6] = {"class=\"aborted\"", NULL, "class=\"2xx\"", "class=\"3xx\"", "class=\"4xx\"", "class=\"5xx\""};
    static const double bounds[] = {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60};
    CLO_TRY(clo_gateway_metrics_new(&s->metrics));
    for (size_t i = 0; i < 6; i++)
        if (classes[i] != NULL)
            CLO_TRY(clo_gateway_counter(s->metrics, "cloister_http_requests_total", classes[i], "Requests by class of their answer.", &s->requests[i]));
    CLO_TRY(clo_gateway_histogram(s->metrics, "cloister_http_request_seconds", NULL, "Time from the end of a request's head to the end of its answer.",
                                  bounds, sizeof bounds / sizeof bounds[0], &s->seconds));
    CLO_TRY(clo_gateway_counter(s->metrics, "cloister_http_connections_total", NULL, "Connections accepted.", &s->connections_total));
    CLO_TRY(clo_gateway_counter(s->metrics, "cloister_http_overload_total", NULL, "Requests and connections refused for want of room.",
                                &s->overload_total));
    CLO_TRY(clo_gateway_gauge_fn(s->metrics, "cloister_http_connections", NULL, "Open connections.", ask_connections, s));
    return clo_gateway_gauge_fn(s->metrics, "cloister_http_pending", NULL, "Requests being worked on.", ask_pending, s);
}

static void standard_options(clo_gateway_options *o)
{
    if (o->name == NULL) o->name = "cloister";
    if (o->address == NULL) o->address = "127.0.0.1";
    if (o->loops == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        o->loops = n < 1 ? 1 : (unsigned)n;
    }
    if (o->loops > LOOPS_MAX) o->loops = LOOPS_MAX;
    if (o->workers == 0) o->workers = 4;
    if (o->queue_max == 0) o->queue_max = 256;
    if (o->connections_max == 0) o->connections_max = 10000;
    if (o->connections_per_peer_max == 0) o->connections_per_peer_max = 1000;
    if (o->held_max == 0) o->held_max = 256u << 20;
    if (o->held_per_peer_max == 0) o->held_per_peer_max = 96u << 20;
    if (o->limits.failures_per_second <= 0.0) {
        o->limits.failures_per_second = 50.0;
        o->limits.failures_burst = 1000.0;
    }
    if (o->head_timeout_ms == 0) o->head_timeout_ms = 10000;
    if (o->idle_timeout_ms == 0) o->idle_timeout_ms = 60000;
    if (o->body_rate_min == 0) o->body_rate_min = 1024;
    if (o->rate_window_ms == 0) o->rate_window_ms = 10000;
}

static void server_free(clo_gateway_server **server)
{
    clo_gateway_server *s = *server;
    *server = NULL;
    if (s == NULL) return;
    clo_os_pool_free(&s->workers);
    clo_os_pool_free(&s->uploaders);
    for (unsigned i = 0; i < s->loop_count; i++) {
        clo_gateway_loop *l = s->loops[i];
        while (l->free_exchanges != NULL) {
            clo_gateway_exchange *x = l->free_exchanges;
            l->free_exchanges = x->next;
            free(x);
        }
        clo_os_loop_free(&l->loop);
        free(l);
    }
    free(s->loops);
    clo_os_fd_close(&s->listen_fd);
    clo_gateway_router_free(&s->router);
    free(s->routes);
    clo_gateway_buckets_free(&s->peer_buckets);
    clo_gateway_buckets_free(&s->principal_buckets);
    clo_gateway_buckets_free(&s->failure_buckets);
    clo_gateway_peers_free(&s->peers);
    clo_gateway_metrics_free(&s->metrics);
    clo_buf_free(&s->openapi);
    free(s);
}

static clo_err prepare(clo_gateway_server *s)
{
    const clo_gateway_options *o = &s->o;
    CLO_TRY(own_metrics(s));
    CLO_TRY(clo_gateway_standard_routes(s));
    CLO_TRY(clo_gateway_router_new(&s->router, s->routes, s->route_count));
    CLO_TRY(clo_gateway_peers_new(&s->peers, o));
    if (o->limits.peer_per_second > 0.0)
        CLO_TRY(clo_gateway_buckets_new(&s->peer_buckets, BUCKET_NAMES, o->limits.peer_per_second, o->limits.peer_burst));
    if (o->limits.principal_per_second > 0.0)
        CLO_TRY(clo_gateway_buckets_new(&s->principal_buckets, BUCKET_NAMES, o->limits.principal_per_second, o->limits.principal_burst));
    CLO_TRY(clo_gateway_buckets_new(&s->failure_buckets, BUCKET_NAMES, o->limits.failures_per_second, o->limits.failures_burst));
    CLO_TRY(clo_crypto_random(&s->id_prefix, sizeof s->id_prefix));
    CLO_TRY(clo_os_pool_new(&s->workers, "worker", o->workers, o->queue_max));
    CLO_TRY(clo_os_pool_new(&s->uploaders, "upload", 2, o->queue_max * 8));
    s->loops = calloc(o->loops, sizeof(clo_gateway_loop *));
    CLO_CHECK(s->loops != NULL, CLO_E_NOMEM);
    for (unsigned i = 0; i < o->loops; i++) CLO_TRY(loop_new(s, i));
    clo_err e = clo_os_net_listen(&s->listen_fd, o->address, o->port, &s->port);
    if (clo_failed(e)) return clo_err_prefix(e, o->name);
    s->listen_source = (clo_os_loop_source){.fd = s->listen_fd, .ready = accept_ready, .context = s};
    s->accept_timer = (clo_os_loop_timer){.fire = accept_again, .context = s};
    return clo_os_loop_add(s->loops[0]->loop, &s->listen_source, CLO_OS_READABLE);
}

clo_err clo_gateway_server_start(clo_gateway_server **out, const clo_gateway_options *options)
{
    CLO_AUTO(server_free) clo_gateway_server *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    s->listen_fd = -1;
    s->o = *options;
    standard_options(&s->o);
    CLO_TRY(prepare(s));
    for (unsigned i = 0; i < s->loop_count; i++) {
        clo_err e = clo_os_thread_start(&s->loops[i]->thread, "loop", loop_run, s->loops[i]);
        if (!clo_failed(e)) continue;
        for (unsigned k = 0; k < i; k++) {
            clo_os_loop_stop(s->loops[k]->loop);
            clo_os_thread_join(&s->loops[k]->thread);
        }
        return e;
    }
    *out = CLO_TAKE(s);
    return CLO_OK;
}

uint16_t clo_gateway_server_port(const clo_gateway_server *server) { return server->port; }
clo_gateway_metrics *clo_gateway_server_metrics(clo_gateway_server *server) { return server->metrics; }
size_t clo_gateway_server_pending(const clo_gateway_server *server) { return atomic_load(&server->pending); }

void clo_gateway_server_stop(clo_gateway_server **server, unsigned grace_ms)
{
    clo_gateway_server *s = *server;
    if (s == NULL) return;
    s->grace_ms = grace_ms;
    clo_os_loop_post(s->loops[0]->loop, &s->loops[0]->drain_message);
    for (unsigned i = 0; i < s->loop_count; i++) clo_os_thread_join(&s->loops[i]->thread);
    server_free(server);
}
