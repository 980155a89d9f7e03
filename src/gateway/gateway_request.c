/* What handlers ask a request. */
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "gateway/gateway_int.h"
#include "wire/cbor.h"
#include "wire/json.h"
#include <assert.h>
#include <strings.h>

const char *clo_gateway_request_param(const clo_gateway_request *request, const char *name)
{
    int at = clo_gateway_route_param(request->route, name);
    assert(at >= 0);
    return request->params[at];
}

clo_span clo_gateway_request_header(const clo_gateway_request *request, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < request->header_count; i++) {
        const clo_gateway_header *h = &request->headers[i];
        if (h->name.n == n && strncasecmp((const char *)h->name.p, name, n) == 0) return h->value;
    }
    return clo_span_of(NULL, 0);
}

/* The next name=value of a query. */
static bool next_pair(clo_span *rest, clo_span *name, clo_span *value)
{
    while (rest->n != 0 && rest->p[0] == '&') *rest = clo_span_of(rest->p + 1, rest->n - 1);
    if (rest->n == 0) return false;
    const uint8_t *end = memchr(rest->p, '&', rest->n);
    size_t n = end == NULL ? rest->n : (size_t)(end - rest->p);
    const uint8_t *equals = memchr(rest->p, '=', n);
    *name = clo_span_of(rest->p, equals == NULL ? n : (size_t)(equals - rest->p));
    *value = equals == NULL ? clo_span_of(rest->p, 0) : clo_span_of(equals + 1, n - name->n - 1);
    *rest = clo_span_of(rest->p + n, rest->n - n);
    return true;
}

clo_err clo_gateway_request_query(const clo_gateway_request *request, const char *name, const char **out)
{
    clo_span rest = request->query, key, value;
    const char *found = NULL;
    while (next_pair(&rest, &key, &value)) {
        if (!clo_span_equal(key, clo_span_str(name))) continue;
        CLO_CHECKF(found == NULL, CLO_E_DUPLICATE, "the query has \"%s\" twice", name);
        clo_err e = clo_gateway_percent_decode(request->arena, value, true, &found);
        if (clo_failed(e)) return clo_err_prefix(e, name);
    }
    *out = found;
    return CLO_OK;
}

clo_err clo_gateway_request_query_int(const clo_gateway_request *request, const char *name, int64_t standard, int64_t min, int64_t max,
                                      int64_t *out)
{
    const char *text = NULL;
    CLO_TRY(clo_gateway_request_query(request, name, &text));
    int64_t value = standard;
    if (text != NULL) {
        clo_err e = clo_i64_parse(&value, clo_span_str(text));
        if (clo_failed(e)) return clo_err_prefix(e, name);
        CLO_CHECKF(value >= min && value <= max, CLO_E_RANGE, "\"%s\" must be within %lld..%lld", name, (long long)min, (long long)max);
    }
    *out = value;
    return CLO_OK;
}

static bool is_media(clo_span value, const char *type)
{
    size_t n = strlen(type);
    if (value.n < n || strncasecmp((const char *)value.p, type, n) != 0) return false;
    return value.n == n || value.p[n] == ';' || value.p[n] == ' ';
}

clo_err clo_gateway_request_tree(const clo_gateway_request *request, clo_wire_node **out)
{
    clo_span type = clo_gateway_request_header(request, "content-type");
    CLO_CHECKF(request->body.n != 0, CLO_E_MISSING_FIELD, "the request has no body");
    if (is_media(type, "application/cbor") || is_media(type, "application/cose")) return clo_wire_cbor_decode(request->arena, request->body, NULL, out);
    CLO_CHECKF(is_media(type, "application/json"), CLO_E_UNSUPPORTED, "send the body as application/json or application/cbor");
    return clo_wire_json_decode(request->arena, request->body, out);
}

bool clo_gateway_request_exporter(const clo_gateway_request *request, uint8_t out[32])
{
    if (request->channel->has_exporter) memcpy(out, request->channel->exporter, 32);
    return request->channel->has_exporter;
}

bool clo_gateway_request_peer_spki(const clo_gateway_request *request, uint8_t out[32])
{
    if (request->channel->has_peer) memcpy(out, request->channel->peer_spki, 32);
    return request->channel->has_peer;
}

bool clo_gateway_request_own_spki(const clo_gateway_request *request, uint8_t out[32])
{
    if (request->channel->has_own) memcpy(out, request->channel->own_spki, 32);
    return request->channel->has_own;
}

/* Is `etag` in a comma-separated list of entity tags, or is the list "*"? Weak tags match only where `weak`. */
bool clo_gateway_etag_listed(clo_span list, const char *etag, bool weak)
{
    size_t n = strlen(etag), i = 0;
    while (i < list.n) {
        while (i < list.n && (list.p[i] == ' ' || list.p[i] == '\t' || list.p[i] == ',')) i++;
        size_t from = i;
        while (i < list.n && list.p[i] != ',') i++;
        clo_span item = clo_span_of(list.p + from, i - from);
        while (item.n != 0 && (item.p[item.n - 1] == ' ' || item.p[item.n - 1] == '\t')) item.n--;
        if (item.n == 1 && item.p[0] == '*') return true;
        if (weak && item.n > 2 && item.p[0] == 'W' && item.p[1] == '/') item = clo_span_of(item.p + 2, item.n - 2);
        if (item.n == n && memcmp(item.p, etag, n) == 0) return true;
    }
    return false;
}

clo_err clo_gateway_request_if_match(const clo_gateway_request *request, const char *etag)
{
    clo_span list = clo_gateway_request_header(request, "if-match");
    if (list.p == NULL || clo_gateway_etag_listed(list, etag, false)) return CLO_OK;
    /* The request is the first member of its exchange. */
    clo_gateway_exchange *x = (clo_gateway_exchange *)(uintptr_t)request;
    x->status_override = 412;
    return CLO_FAILF(CLO_E_CONFLICT, "it has changed since you read it (its tag is %s now); read it again", etag);
}

clo_err clo_gateway_bearer_token(const clo_gateway_request *request, clo_span *token)
{
    static const char scheme[] = "Bearer ";
    clo_span v = clo_gateway_request_header(request, "authorization");
    *token = clo_span_of(NULL, 0);
    if (v.p == NULL) return CLO_OK;
    CLO_CHECKF(v.n > sizeof scheme - 1 && strncasecmp((const char *)v.p, scheme, sizeof scheme - 1) == 0, CLO_E_UNAUTHENTICATED,
               "Authorization must be: Bearer TOKEN");
    clo_span t = clo_span_of(v.p + sizeof scheme - 1, v.n - (sizeof scheme - 1));
    CLO_CHECKF(memchr(t.p, ' ', t.n) == NULL, CLO_E_UNAUTHENTICATED, "the bearer token has a blank inside");
    *token = t;
    return CLO_OK;
}
