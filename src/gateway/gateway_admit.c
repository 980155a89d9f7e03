/* What the head of a request decides, on the loop thread: its id, its route, whether it is let in, and where its work begins. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

bool clo_gateway_exchange_take_token(clo_gateway_exchange *x, clo_gateway_buckets *buckets, const char *name)
{
    if (buckets == NULL || (x->request.route->flags & CLO_GATEWAY_UNLIMITED) != 0) return true;
    uint64_t now = clo_os_clock_monotonic(clo_gateway_clock(x->conn->home->server));
    return clo_gateway_buckets_take(buckets, name, now, &x->retry_after);
}

void clo_gateway_failure_note(clo_gateway_server *s, const char *peer)
{
    unsigned ignored = 0;
    (void)clo_gateway_buckets_take(s->failure_buckets, peer, clo_os_clock_monotonic(clo_gateway_clock(s)), &ignored);
}

bool clo_gateway_failures_many(clo_gateway_server *s, const char *peer, unsigned *retry_after)
{
    return clo_gateway_buckets_empty(s->failure_buckets, peer, clo_os_clock_monotonic(clo_gateway_clock(s)), retry_after);
}

static clo_err check_head(clo_gateway_exchange *x, bool has_body, unsigned *status)
{
    const clo_gateway_request *r = &x->request;
    const clo_gateway_route *route = r->route;
    CLO_CHECKF(clo_gateway_exchange_take_token(x, x->conn->home->server->peer_buckets, x->conn->peer), CLO_E_TOO_MANY,
               "too many requests from this address; wait %u seconds", x->retry_after);
    CLO_CHECKF((route->flags & CLO_GATEWAY_UNLIMITED) != 0 || !clo_gateway_failures_many(x->conn->home->server, x->conn->peer, &x->retry_after),
               CLO_E_TOO_MANY, "too many requests of this address were refused; wait %u seconds", x->retry_after);
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
        clo_gateway_exchange_refuse(x, e, status);
        return;
    }
    clo_buf_init(&x->body, route->upload != NULL ? (size_t)PIECE_MAX : (size_t)(route->body_max != 0 ? route->body_max : 1));
    if (route->upload != NULL) {
        x->body_ended = !has_body;
        if (!clo_gateway_exchange_upload(x) && !x->answered) clo_gateway_exchange_answer(x);
        return;
    }
    if (!has_body) {
        x->body_ended = true;
        clo_gateway_exchange_run(x);
        return;
    }
    bool large = x->request.body_size > AUTH_FIRST_BYTES; /* unknown is large */
    if (large && route->auth == CLO_GATEWAY_AUTH_PARTY && (route->flags & CLO_GATEWAY_INLINE) == 0) {
        if (!clo_gateway_exchange_submit(x, WORK_AUTH)) clo_gateway_exchange_answer(x);
        return;
    }
    x->intake = true;
}
