/* From method and path to the route. Literal segments win over parameters, parameters over a rest. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include <assert.h>
#include <stdlib.h>

typedef struct {
    const clo_gateway_route *route;
    clo_span segments[SEGMENTS_MAX]; /* of the pattern */
    uint8_t kinds[SEGMENTS_MAX];     /* see below */
    size_t count;
    uint32_t literal_hash;           /* of the whole path, where it has no parameter */
    bool literal;
} compiled;
enum { SEGMENT_LITERAL, SEGMENT_PARAM, SEGMENT_REST };
enum { HASH_SLOTS = 512 };

struct clo_gateway_router {
    size_t count, pattern_count;
    compiled *all;           /* literal ones first; then patterns, the more literal first */
    uint16_t slots[HASH_SLOTS]; /* index + 1 of literal paths */
};

static uint32_t hash_path(clo_span path)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < path.n; i++) h = (h ^ path.p[i]) * 16777619u;
    return h;
}

/* Next segment of a path that starts with '/'; false at the end. */
static bool next_segment(clo_span *rest, clo_span *segment)
{
    if (rest->n == 0 || rest->p[0] != '/') return false;
    const uint8_t *from = rest->p + 1;
    size_t n = rest->n - 1;
    const uint8_t *slash = memchr(from, '/', n);
    size_t size = slash == NULL ? n : (size_t)(slash - from);
    *segment = clo_span_of(from, size);
    *rest = clo_span_of(from + size, n - size);
    return true;
}

static clo_err compile(compiled *c, const clo_gateway_route *route)
{
    *c = (compiled){.route = route, .literal = true};
    const char *path = route->path;
    CLO_CHECKF(path != NULL && path[0] == '/', CLO_E_RANGE, "a route's path must start with \"/\"");
    CLO_CHECKF((route->handler != NULL) != (route->upload != NULL), CLO_E_RANGE, "the route %s needs a handler or an upload", path);
    CLO_CHECKF(route->method < CLO_GATEWAY_METHOD_COUNT, CLO_E_RANGE, "the route %s has no known method", path);
    CLO_CHECKF(route->upload != NULL || route->body_max <= BUFFERED_MAX, CLO_E_RANGE, "the route %s buffers bodies of more than 64 MiB", path);
    CLO_CHECKF((route->flags & CLO_GATEWAY_INLINE) == 0 || (route->upload == NULL && (route->flags & CLO_GATEWAY_IDEMPOTENT) == 0), CLO_E_RANGE,
               "the route %s is INLINE and cannot stream or be idempotent by the store", path);
    clo_span rest = clo_span_str(path), s;
    size_t params = 0;
    while (next_segment(&rest, &s)) {
        CLO_CHECKF(c->count < SEGMENTS_MAX, CLO_E_RANGE, "the route %s has too many segments", path);
        uint8_t kind = SEGMENT_LITERAL;
        if (s.n > 2 && s.p[0] == '{' && s.p[s.n - 1] == '}') kind = s.p[s.n - 2] == '*' ? SEGMENT_REST : SEGMENT_PARAM;
        if (kind != SEGMENT_LITERAL) {
            c->literal = false;
            CLO_CHECKF(++params <= CLO_GATEWAY_PARAMS_MAX, CLO_E_RANGE, "the route %s has too many parameters", path);
        }
        CLO_CHECKF(kind != SEGMENT_REST || rest.n == 0, CLO_E_RANGE, "the route %s has something behind its rest parameter", path);
        c->segments[c->count] = s;
        c->kinds[c->count++] = kind;
    }
    c->literal_hash = hash_path(clo_span_str(path));
    return CLO_OK;
}

static int more_literal_first(const void *va, const void *vb)
{
    const compiled *a = va, *b = vb;
    if (a->literal != b->literal) return a->literal ? -1 : 1;
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (a->kinds[i] != b->kinds[i]) return (int)a->kinds[i] - (int)b->kinds[i];
    /* Stable: by the place in the caller's table. */
    return a->route < b->route ? -1 : a->route > b->route;
}

static bool same_pattern(const compiled *a, const compiled *b)
{
    if (a->count != b->count || a->route->method != b->route->method) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->kinds[i] != b->kinds[i]) return false;
        if (a->kinds[i] == SEGMENT_LITERAL && !clo_span_equal(a->segments[i], b->segments[i])) return false;
    }
    return true;
}

clo_err clo_gateway_router_new(clo_gateway_router **out, const clo_gateway_route *routes, size_t route_count)
{
    CLO_CHECKF(route_count < HASH_SLOTS, CLO_E_RANGE, "there are too many routes");
    CLO_AUTO(clo_gateway_router_free) clo_gateway_router *r = calloc(1, sizeof *r);
    CLO_CHECK(r != NULL, CLO_E_NOMEM);
    r->all = calloc(route_count + 1, sizeof *r->all);
    CLO_CHECK(r->all != NULL, CLO_E_NOMEM);
    for (size_t i = 0; i < route_count; i++) {
        CLO_TRY(compile(&r->all[r->count], &routes[i]));
        for (size_t k = 0; k < r->count; k++)
            CLO_CHECKF(!same_pattern(&r->all[k], &r->all[r->count]), CLO_E_RANGE, "the route %s %s is there twice",
                       clo_gateway_method_name(routes[i].method), routes[i].path);
        r->count++;
    }
    qsort(r->all, r->count, sizeof *r->all, more_literal_first);
    for (size_t i = 0; i < r->count && r->all[i].literal; i++) {
        size_t at = r->all[i].literal_hash % HASH_SLOTS;
        while (r->slots[at] != 0) at = (at + 1) % HASH_SLOTS;
        r->slots[at] = (uint16_t)(i + 1);
    }
    *out = CLO_TAKE(r);
    return CLO_OK;
}

void clo_gateway_router_free(clo_gateway_router **router)
{
    if (*router == NULL) return;
    free((*router)->all);
    free(*router);
    *router = NULL;
}

static bool answers(const clo_gateway_route *route, clo_gateway_method method)
{
    return route->method == method || (method == CLO_GATEWAY_HEAD && route->method == CLO_GATEWAY_GET);
}

static unsigned method_bits(const clo_gateway_route *route)
{
    unsigned bits = 1u << route->method;
    if (route->method == CLO_GATEWAY_GET) bits |= 1u << CLO_GATEWAY_HEAD;
    return bits;
}

static bool matches(const compiled *c, clo_span path, clo_span *params)
{
    clo_span rest = path, s;
    size_t at = 0, param = 0;
    while (at < c->count && c->kinds[at] != SEGMENT_REST) {
        if (!next_segment(&rest, &s)) return false;
        if (c->kinds[at] == SEGMENT_PARAM) {
            if (s.n == 0) return false;
            params[param++] = s;
        } else if (!clo_span_equal(s, c->segments[at])) {
            return false;
        }
        at++;
    }
    if (at == c->count) return rest.n == 0;
    if (rest.n < 2) return false;
    params[param] = clo_span_of(rest.p + 1, rest.n - 1);
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

clo_err clo_gateway_percent_decode(clo_arena *arena, clo_span in, bool plus, const char **out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(arena, in.n + 1, &memory));
    char *to = memory;
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (c == '%') {
            int high = -1, low = -1;
            if (in.n - i > 2) {
                high = hex_digit(in.p[i + 1]);
                low = hex_digit(in.p[i + 2]);
            }
            CLO_CHECKF(high >= 0 && low >= 0, CLO_E_MALFORMED, "a percent sign is not followed by two hexadecimal digits");
            c = (uint8_t)(high << 4 | low);
            CLO_CHECKF(c >= 0x20 && c != 0x7f, CLO_E_MALFORMED, "a percent-encoded control character is refused");
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        to[n++] = (char)c;
    }
    to[n] = 0;
    *out = to;
    return CLO_OK;
}

static clo_gateway_route_outcome take(const compiled *c, clo_gateway_request *request, const clo_span *params)
{
    size_t param = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->kinds[i] == SEGMENT_LITERAL) continue;
        if (clo_failed(clo_gateway_percent_decode(request->arena, params[param], false, &request->params[param]))) return ROUTE_BAD_PATH;
        param++;
    }
    request->route = c->route;
    return ROUTE_FOUND;
}

clo_gateway_route_outcome clo_gateway_router_find(const clo_gateway_router *router, clo_gateway_request *request, unsigned *allowed)
{
    clo_span path = request->path, params[CLO_GATEWAY_PARAMS_MAX] = {{NULL, 0}};
    *allowed = 0;
    for (size_t at = hash_path(path) % HASH_SLOTS; router->slots[at] != 0; at = (at + 1) % HASH_SLOTS) {
        const compiled *c = &router->all[router->slots[at] - 1];
        if (!clo_span_equal(path, clo_span_str(c->route->path))) continue;
        if (answers(c->route, request->method)) return take(c, request, params);
        *allowed |= method_bits(c->route);
    }
    for (size_t i = 0; i < router->count; i++) {
        const compiled *c = &router->all[i];
        if (c->literal || !matches(c, path, params)) continue;
        if (answers(c->route, request->method)) return take(c, request, params);
        *allowed |= method_bits(c->route);
    }
    return *allowed == 0 ? ROUTE_NO_PATH : ROUTE_NO_METHOD;
}

int clo_gateway_route_param(const clo_gateway_route *route, const char *name)
{
    size_t n = strlen(name);
    int at = 0;
    clo_span rest = clo_span_str(route->path), s;
    while (next_segment(&rest, &s)) {
        if (s.n < 3 || s.p[0] != '{' || s.p[s.n - 1] != '}') continue;
        clo_span inner = clo_span_of(s.p + 1, s.n - 2 - (s.p[s.n - 2] == '*'));
        if (inner.n == n && memcmp(inner.p, name, n) == 0) return at;
        at++;
    }
    return -1;
}
