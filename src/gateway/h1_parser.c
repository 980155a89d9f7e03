/* The strict request head parser. One pass over the bytes; whatever is not plainly right is refused. */
#include "gateway/h1_parser.h"
#include <string.h>
#include <strings.h>

enum { TARGET_MAX = 8192, METHOD_MAX = 16 };

/* Character classes. */
enum { TOKEN = 1, TARGET = 2, VALUE = 4, HOST = 8 };
/* By byte. TOKEN: tchar of RFC 9110; TARGET: what RFC 3986 lets stand in a path or query, and "[]"; VALUE: visible characters, blank,
 * tab and bytes above 0x7f; HOST: reg-name, port and brackets. The test derives the same table from the definitions. */
static const uint8_t classes[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  4,  0,  0,  0,  0,  0,  0, /* 00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 10 */
     4, 15,  4,  5, 15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15,  6, /* 20 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 14,  4, 14,  4,  6, /* 30 */
     6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 40 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14,  4, 14,  5, 15, /* 50 */
     5, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 60 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  4,  5,  4, 15,  0, /* 70 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* 80 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* 90 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* a0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* b0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* c0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* d0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* e0 */
     4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4,  4, /* f0 */
};

typedef struct {
    const uint8_t *at, *end;
} cursor;
typedef enum { GOT, MORE, BAD } outcome;

/* A run of one class; the byte behind it stays. */
static clo_span run(cursor *c, uint8_t class)
{
    const uint8_t *from = c->at;
    while (c->at < c->end && (classes[*c->at] & class) != 0) c->at++;
    return clo_span_of(from, (size_t)(c->at - from));
}

static outcome expect(cursor *c, const char *text, size_t n)
{
    size_t have = (size_t)(c->end - c->at);
    size_t look = have < n ? have : n;
    if (memcmp(c->at, text, look) != 0) return BAD;
    if (have < n) return MORE;
    c->at += n;
    return GOT;
}

static bool same(clo_span a, const char *name)
{
    size_t n = strlen(name);
    return a.n == n && strncasecmp((const char *)a.p, name, n) == 0;
}

static const char *const method_names[CLO_GATEWAY_METHOD_COUNT] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

const char *clo_gateway_method_name(clo_gateway_method method) { return method < CLO_GATEWAY_METHOD_COUNT ? method_names[method] : "UNKNOWN"; }

static clo_gateway_method method_of(clo_span text)
{
    for (unsigned i = 0; i < CLO_GATEWAY_METHOD_COUNT; i++)
        if (clo_span_equal(text, clo_span_str(method_names[i]))) return (clo_gateway_method)i;
    return CLO_GATEWAY_METHOD_UNKNOWN;
}

/* Absolute form: the authority goes to `authority`, the rest is the path. */
static clo_err target_split(clo_span target, clo_gateway_h1_head *h, clo_span *authority)
{
    *authority = clo_span_of(NULL, 0);
    if (target.n == 1 && target.p[0] == '*') {
        CLO_CHECKF(h->method == CLO_GATEWAY_OPTIONS, CLO_E_MALFORMED, "the target \"*\" goes with OPTIONS only");
    } else if (target.p[0] != '/') {
        size_t scheme = 0;
        if (target.n > 8 && strncasecmp((const char *)target.p, "https://", 8) == 0) scheme = 8;
        else if (target.n > 7 && strncasecmp((const char *)target.p, "http://", 7) == 0) scheme = 7;
        CLO_CHECKF(scheme != 0, CLO_E_MALFORMED, "the request target must start with \"/\"");
        size_t n = 0;
        while (scheme + n < target.n && (classes[target.p[scheme + n]] & HOST) != 0) n++;
        *authority = clo_span_of(target.p + scheme, n);
        CLO_CHECKF(n != 0 && scheme + n < target.n && target.p[scheme + n] == '/', CLO_E_MALFORMED, "the absolute request target has no path");
        target = clo_span_of(target.p + scheme + n, target.n - scheme - n);
    }
    const uint8_t *mark = memchr(target.p, '?', target.n);
    h->path = mark == NULL ? target : clo_span_of(target.p, (size_t)(mark - target.p));
    h->query = mark == NULL ? clo_span_of(NULL, 0) : clo_span_of(mark + 1, target.n - h->path.n - 1);
    return CLO_OK;
}

/* Method SP target SP HTTP/1.x CRLF */
static clo_err request_line(cursor *c, clo_gateway_h1_head *h, clo_span *authority, bool *more)
{
    h->method_text = run(c, TOKEN);
    CLO_CHECKF(h->method_text.n <= METHOD_MAX, CLO_E_MALFORMED, "the method is longer than %d characters", METHOD_MAX);
    *more = c->at == c->end;
    if (*more) return CLO_OK;
    CLO_CHECKF(h->method_text.n != 0 && *c->at == ' ', CLO_E_MALFORMED, "the request line does not start with a method and one blank");
    c->at++;
    clo_span target = run(c, TARGET);
    CLO_CHECKF(target.n <= TARGET_MAX, CLO_E_RANGE, "the request target is longer than %d bytes", TARGET_MAX);
    *more = c->at == c->end;
    if (*more) return CLO_OK;
    CLO_CHECKF(target.n != 0 && *c->at == ' ', CLO_E_MALFORMED, "the request target has a character that must be percent-encoded");
    c->at++;
    outcome o = expect(c, "HTTP/", 5);
    CLO_CHECKF(o != BAD, CLO_E_MALFORMED, "the request line does not end with an HTTP version");
    *more = o == MORE || c->end - c->at < 5;
    if (*more) return CLO_OK;
    CLO_CHECKF(c->at[0] == '1' && c->at[1] == '.' && (c->at[2] == '0' || c->at[2] == '1'), CLO_E_VERSION,
               "only HTTP/1.0 and HTTP/1.1 are spoken in this form");
    h->minor = (unsigned)(c->at[2] - '0');
    c->at += 3;
    CLO_CHECKF(expect(c, "\r\n", 2) == GOT, CLO_E_MALFORMED, "the request line does not end with CR LF");
    h->method = method_of(h->method_text);
    return target_split(target, h, authority);
}

static clo_err header_line(cursor *c, clo_gateway_header *out, bool *more)
{
    out->name = run(c, TOKEN);
    *more = c->at == c->end;
    if (*more) return CLO_OK;
    CLO_CHECKF(out->name.n != 0 && *c->at == ':', CLO_E_MALFORMED,
               "a header line does not start with a name and a colon (folded lines and blanks before the colon are refused)");
    c->at++;
    clo_span v = run(c, VALUE);
    outcome o = expect(c, "\r\n", 2);
    CLO_CHECKF(o != BAD, CLO_E_MALFORMED, "a header value has a control character or does not end with CR LF");
    *more = o == MORE;
    if (*more) return CLO_OK;
    while (v.n != 0 && (v.p[0] == ' ' || v.p[0] == '\t')) v = clo_span_of(v.p + 1, v.n - 1);
    while (v.n != 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t')) v.n--;
    out->value = v;
    return CLO_OK;
}

static clo_err length_parse(clo_span v, uint64_t *out)
{
    CLO_CHECKF(v.n != 0 && v.n <= 18, CLO_E_MALFORMED, "Content-Length is empty or absurdly long");
    uint64_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        CLO_CHECKF(v.p[i] >= '0' && v.p[i] <= '9', CLO_E_MALFORMED, "Content-Length may have digits only");
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    *out = n;
    return CLO_OK;
}

static void connection_tokens(clo_span v, bool *close, bool *keep)
{
    size_t i = 0;
    while (i < v.n) {
        while (i < v.n && (v.p[i] == ' ' || v.p[i] == '\t' || v.p[i] == ',')) i++;
        size_t from = i;
        while (i < v.n && (classes[v.p[i]] & TOKEN) != 0) i++;
        clo_span token = clo_span_of(v.p + from, i - from);
        if (same(token, "close")) *close = true;
        if (same(token, "keep-alive")) *keep = true;
        if (i == from) i++;
    }
}

typedef struct {
    bool host, length, coding, close, keep;
} seen;

/* The headers that decide about framing and routing. */
static clo_err meaning(clo_gateway_h1_head *h, const clo_gateway_header *at, seen *s)
{
    switch (at->name.n) {
    case 4:
        if (!same(at->name, "host")) break;
        CLO_CHECKF(!s->host, CLO_E_MALFORMED, "the request has two Host headers");
        s->host = true;
        h->host = at->value;
        for (size_t i = 0; i < at->value.n; i++)
            CLO_CHECKF((classes[at->value.p[i]] & HOST) != 0, CLO_E_MALFORMED, "Host has a character that no host has");
        break;
    case 6:
        if (!same(at->name, "expect")) break;
        CLO_CHECKF(same(at->value, "100-continue"), CLO_E_MALFORMED, "the only expectation understood is 100-continue");
        h->expect_continue = h->minor == 1;
        break;
    case 7:
        if (same(at->name, "upgrade") && same(at->value, "h2c")) h->upgrade_h2c = true;
        break;
    case 10:
        if (same(at->name, "connection")) connection_tokens(at->value, &s->close, &s->keep);
        break;
    case 14:
        if (!same(at->name, "content-length")) break;
        CLO_CHECKF(!s->length, CLO_E_MALFORMED, "the request has two Content-Length headers");
        s->length = true;
        CLO_TRY(length_parse(at->value, &h->length));
        break;
    case 17:
        if (!same(at->name, "transfer-encoding")) break;
        CLO_CHECKF(!s->coding, CLO_E_MALFORMED, "the request has two Transfer-Encoding headers");
        s->coding = true;
        CLO_CHECKF(same(at->value, "chunked"), CLO_E_UNSUPPORTED, "the only transfer coding understood is chunked");
        break;
    default: break;
    }
    return CLO_OK;
}

static clo_err framing(clo_gateway_h1_head *h, const seen *s, clo_span authority)
{
    CLO_CHECKF(!(s->length && s->coding), CLO_E_MALFORMED, "a request may have Content-Length or Transfer-Encoding, not both");
    CLO_CHECKF(!s->coding || h->minor == 1, CLO_E_MALFORMED, "HTTP/1.0 has no Transfer-Encoding");
    CLO_CHECKF(s->host || h->minor == 0, CLO_E_MALFORMED, "the request has no Host header");
    if (authority.n != 0)
        CLO_CHECKF(!s->host || (h->host.n == authority.n && strncasecmp((const char *)h->host.p, (const char *)authority.p, authority.n) == 0),
                   CLO_E_MALFORMED, "the request target and Host name different hosts");
    if (authority.n != 0) h->host = authority;
    h->chunked = s->coding;
    h->has_length = s->length;
    h->keep_alive = !s->close && (h->minor == 1 || s->keep);
    return CLO_OK;
}

static clo_err head_at(cursor *c, clo_gateway_h1_head *h, bool *more)
{
    clo_span authority = clo_span_of(NULL, 0);
    seen s = {0};
    outcome o = expect(c, "\r\n", 2); /* RFC 9112 §2.2: one empty line before the request line */
    *more = o == MORE;
    if (*more) return CLO_OK;
    CLO_TRY(request_line(c, h, &authority, more));
    while (!*more) {
        if (c->at == c->end) {
            *more = true;
            return CLO_OK;
        }
        if (*c->at == '\r') {
            o = expect(c, "\r\n", 2);
            CLO_CHECKF(o != BAD, CLO_E_MALFORMED, "a header line starts with a bare CR");
            *more = o == MORE;
            return *more ? CLO_OK : framing(h, &s, authority);
        }
        CLO_CHECKF(h->header_count < CLO_GATEWAY_HEADERS_MAX, CLO_E_TOO_MANY, "the request has more than %d headers", CLO_GATEWAY_HEADERS_MAX);
        clo_gateway_header *at = &h->headers[h->header_count];
        CLO_TRY(header_line(c, at, more));
        if (*more) return CLO_OK;
        h->header_count++;
        CLO_TRY(meaning(h, at, &s));
    }
    return CLO_OK;
}

clo_err clo_gateway_h1_head_parse(clo_span in, clo_gateway_h1_head *out, size_t *used)
{
    size_t look = in.n > CLO_GATEWAY_H1_HEAD_MAX ? CLO_GATEWAY_H1_HEAD_MAX : in.n;
    cursor c = {.at = in.p, .end = in.p + look};
    bool more = false;
    *used = 0;
    out->method = CLO_GATEWAY_METHOD_UNKNOWN;
    out->method_text = out->path = out->query = out->host = clo_span_of(NULL, 0);
    out->minor = 1;
    out->header_count = 0;
    out->chunked = out->has_length = out->keep_alive = out->expect_continue = out->upgrade_h2c = false;
    out->length = 0;
    if (look == 0) return CLO_OK;
    CLO_TRY(head_at(&c, out, &more));
    if (more) {
        CLO_CHECKF(look < CLO_GATEWAY_H1_HEAD_MAX, CLO_E_TOO_LARGE, "the request head is longer than %d bytes", CLO_GATEWAY_H1_HEAD_MAX);
        return CLO_OK;
    }
    *used = (size_t)(c.at - in.p);
    return CLO_OK;
}
