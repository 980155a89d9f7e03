/* What handlers answer. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include "os/file.h"
#include "wire/cbor.h"
#include "wire/json.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { JSONF_MAX = 64 * 1024, TREE_MAX = 16 * 1024 * 1024 };

void clo_gateway_response_reset(clo_gateway_response *r)
{
    if (r->kind == BODY_FILE) clo_os_fd_close(&r->fd);
    r->status = 200;
    r->kind = BODY_NONE;
    r->type = NULL;
    r->body = clo_span_of(NULL, 0);
    r->fd = -1;
    r->offset = r->size = 0;
    r->etag = NULL;
    r->header_count = 0;
    r->hub = NULL;
    r->topic = NULL;
}

void clo_gateway_response_status(clo_gateway_response *response, unsigned status)
{
    assert(status >= 200);
    assert(status <= 599);
    response->status = status;
}

clo_err clo_gateway_response_header(clo_gateway_response *response, const char *name, const char *value)
{
    CLO_CHECK(response->header_count < RESPONSE_HEADERS_MAX, CLO_E_TOO_MANY);
    for (const unsigned char *p = (const unsigned char *)name; *p != 0; p++)
        CLO_CHECKF(*p > 0x20 && *p < 0x7f && *p != ':', CLO_E_MALFORMED, "a response header's name has a bad character");
    for (const unsigned char *p = (const unsigned char *)value; *p != 0; p++)
        CLO_CHECKF(*p >= 0x20 && *p != 0x7f, CLO_E_MALFORMED, "a response header's value has a control character");
    clo_gateway_response_header_pair pair = {0};
    CLO_TRY(clo_arena_str(&response->x->arena, clo_span_str(name), &pair.name));
    CLO_TRY(clo_arena_str(&response->x->arena, clo_span_str(value), &pair.value));
    response->headers[response->header_count++] = pair;
    return CLO_OK;
}

void clo_gateway_response_borrow(clo_gateway_response *response, const char *type, clo_span body)
{
    if (response->kind == BODY_FILE) clo_os_fd_close(&response->fd);
    response->kind = BODY_BYTES;
    response->type = type;
    response->body = body;
    response->size = body.n;
}

clo_err clo_gateway_response_bytes(clo_gateway_response *response, const char *type, clo_span body)
{
    clo_span copy;
    CLO_TRY(clo_arena_copy(&response->x->arena, body, &copy));
    clo_gateway_response_borrow(response, type, copy);
    return CLO_OK;
}

clo_err clo_gateway_response_jsonf(clo_gateway_response *response, const char *fmt, ...)
{
    char small[1024];
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    clo_err e = n < 0 || n >= JSONF_MAX ? CLO_FAIL(CLO_E_TOO_LARGE) : CLO_OK;
    void *to = NULL;
    if (!clo_failed(e)) e = clo_arena_alloc(&response->x->arena, (size_t)n + 1, &to);
    if (!clo_failed(e)) {
        if ((size_t)n < sizeof small) memcpy(to, small, (size_t)n + 1);
        else (void)vsnprintf(to, (size_t)n + 1, fmt, again);
        clo_gateway_response_borrow(response, "application/json", clo_span_of(to, (size_t)n));
    }
    va_end(again);
    return e;
}

static clo_err tree_body(clo_gateway_response *response, const clo_wire_node *node, bool cbor)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, TREE_MAX);
    if (cbor) {
        CLO_TRY(clo_wire_cbor_encode(node, &b));
    } else {
        CLO_TRY(clo_wire_json_encode(node, 0, &b));
        CLO_TRY(clo_buf_put_u8(&b, '\n'));
    }
    return clo_gateway_response_bytes(response, cbor ? "application/cbor" : "application/json", clo_buf_span(&b));
}

clo_err clo_gateway_response_tree(clo_gateway_response *response, const clo_wire_node *node)
{
    clo_span accept = clo_gateway_request_header(&response->x->request, "accept");
    bool cbor = accept.n != 0 && memmem(accept.p, accept.n, "application/cbor", 16) != NULL;
    return tree_body(response, node, cbor);
}

clo_err clo_gateway_response_cbor(clo_gateway_response *response, const clo_wire_node *node) { return tree_body(response, node, true); }

clo_err clo_gateway_response_file(clo_gateway_response *response, const char *type, int fd, uint64_t offset, uint64_t size)
{
    if (response->kind == BODY_FILE) clo_os_fd_close(&response->fd);
    response->kind = BODY_FILE;
    response->type = type;
    response->fd = fd;
    response->offset = offset;
    response->size = size;
    return CLO_OK;
}

clo_err clo_gateway_response_etag(clo_gateway_response *response, const char *etag)
{
    for (const unsigned char *p = (const unsigned char *)etag; *p != 0; p++)
        CLO_CHECKF(*p > 0x20 && *p < 0x7f, CLO_E_MALFORMED, "an entity tag has a bad character");
    return clo_arena_str(&response->x->arena, clo_span_str(etag), &response->etag);
}

clo_err clo_gateway_response_events(clo_gateway_response *response, clo_gateway_hub *hub, const char *topic)
{
    const char *copy = NULL;
    CLO_TRY(clo_arena_str(&response->x->arena, clo_span_str(topic), &copy));
    if (response->kind == BODY_FILE) clo_os_fd_close(&response->fd);
    response->kind = BODY_EVENTS;
    response->type = "text/event-stream";
    response->hub = hub;
    response->topic = copy;
    return CLO_OK;
}

static bool digits(clo_span *s, uint64_t *out)
{
    size_t n = 0;
    uint64_t v = 0;
    while (n < s->n && n < 18 && s->p[n] >= '0' && s->p[n] <= '9') v = v * 10 + (uint64_t)(s->p[n++] - '0');
    *s = clo_span_of(s->p + n, s->n - n);
    *out = v;
    return n != 0;
}

/* One range "bytes=a-b", "bytes=a-" or "bytes=-n"; several or other units are ignored, as RFC 9110 §14.2 allows.
 * Returns 0 (none), 206 or 416. */
static unsigned range_of(clo_span v, uint64_t size, uint64_t *first, uint64_t *count)
{
    if (v.n < 8 || strncasecmp((const char *)v.p, "bytes=", 6) != 0) return 0;
    v = clo_span_of(v.p + 6, v.n - 6);
    uint64_t a = 0, b = UINT64_MAX;
    bool has_a = digits(&v, &a);
    if (v.n == 0 || v.p[0] != '-') return 0;
    v = clo_span_of(v.p + 1, v.n - 1);
    bool has_b = digits(&v, &b);
    if (v.n != 0 || (!has_a && !has_b)) return 0;
    if (!has_a) {
        if (b == 0 || size == 0) return 416;
        a = b > size ? 0 : size - b;
        b = size - 1;
    }
    if (!has_b || b >= size) b = size == 0 ? 0 : size - 1;
    if (a >= size) return 416;
    if (a > b) return 0;
    *first = a;
    *count = b - a + 1;
    return 206;
}

void clo_gateway_response_finish(clo_gateway_exchange *x)
{
    clo_gateway_response *r = &x->response;
    bool reading = x->request.method == CLO_GATEWAY_GET || x->request.method == CLO_GATEWAY_HEAD;
    if (r->status != 200 || !reading) return;
    if (r->etag != NULL) {
        clo_span list = clo_gateway_request_header(&x->request, "if-none-match");
        if (list.p != NULL && clo_gateway_etag_listed(list, r->etag, true)) {
            r->status = 304;
            return;
        }
    }
    if (r->kind != BODY_FILE) return;
    clo_span v = clo_gateway_request_header(&x->request, "range");
    clo_span condition = clo_gateway_request_header(&x->request, "if-range");
    if (v.p == NULL || (condition.p != NULL && (r->etag == NULL || !clo_gateway_etag_listed(condition, r->etag, false)))) return;
    uint64_t first = 0, count = 0;
    unsigned status = range_of(v, r->size, &first, &count);
    if (status == 0) return;
    char text[96];
    if (status == 206)
        (void)snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first, (unsigned long long)(first + count - 1),
                       (unsigned long long)r->size);
    else
        (void)snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)r->size);
    if (clo_failed(clo_gateway_response_header(r, "Content-Range", text))) return;
    r->status = status;
    r->offset += first;
    r->size = count; /* 0 for 416 */
}

bool clo_gateway_response_length(const clo_gateway_response *r, uint64_t *length)
{
    *length = r->kind == BODY_NONE ? 0 : r->size;
    return r->kind != BODY_EVENTS;
}

bool clo_gateway_response_has_body(const clo_gateway_exchange *x)
{
    if (x->request.method == CLO_GATEWAY_HEAD || x->response.status == 204 || x->response.status == 304) return false;
    return x->response.kind == BODY_EVENTS || (x->response.kind != BODY_NONE && x->response.size != 0);
}
