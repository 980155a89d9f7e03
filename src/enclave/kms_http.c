/* A strict, bounded HTTP/1.1 client parser (RFC 9112 without transfer codings). */
#include "enclave/kms_http.h"

#include "base/clo_text.h"

static char lower(uint8_t c) { return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); }

static bool is_token(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

clo_err clo_enclave_http_request(clo_buf *out, const char *method, const char *path, const char *host, const char *content_type, clo_span body)
{
    CLO_TRY(clo_buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: application/cbor\r\n", method, path, host));
    if (content_type != NULL) CLO_TRY(clo_buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, body.n));
    CLO_TRY(clo_buf_put_str(out, "\r\n"));
    return clo_buf_put_span(out, body);
}

void clo_enclave_http_response_init(clo_enclave_http_response *r)
{
    *r = (clo_enclave_http_response){.state = CLO_ENCLAVE_HTTP_HEAD};
    clo_buf_init(&r->head, CLO_ENCLAVE_HTTP_HEAD_MAX);
    clo_buf_init(&r->body, CLO_ENCLAVE_HTTP_BODY_MAX);
}

void clo_enclave_http_response_free(clo_enclave_http_response *r)
{
    clo_buf_free(&r->head);
    clo_buf_free(&r->body);
    r->state = CLO_ENCLAVE_HTTP_DEAD;
}

static clo_err bad(const char *what) { return CLO_FAILF(CLO_E_MALFORMED, "the key service's HTTP response is malformed: %s", what); }

/* The next line without its CR LF; a bare CR or LF or any other control byte but a tab is refused. */
static clo_err next_line(clo_span *rest, clo_span *line)
{
    for (size_t i = 0; i < rest->n; i++) {
        uint8_t c = rest->p[i];
        if (c == '\r' && i + 1 < rest->n && rest->p[i + 1] == '\n') {
            *line = clo_span_of(rest->p, i);
            *rest = clo_span_of(rest->p + i + 2, rest->n - i - 2);
            return CLO_OK;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f) return bad("a control byte in the head");
    }
    return bad("a line without its end");
}

static clo_err read_status(clo_span line, unsigned *status)
{
    static const char version[] = "HTTP/1.1 ";
    size_t n = sizeof version - 1;
    if (line.n < n + 3 || memcmp(line.p, version, n) != 0) return bad("not an HTTP/1.1 status line");
    if (line.n > n + 3 && line.p[n + 3] != ' ') return bad("a status that is not three digits");
    uint64_t value = 0;
    clo_err e = clo_u64_parse(&value, clo_span_of(line.p + n, 3));
    if (clo_failed(e)) return bad("a status that is not three digits");
    CLO_CHECKF(value >= 200 && value <= 599, CLO_E_UNSUPPORTED, "the key service answered with HTTP status %u, which is no final answer",
               (unsigned)value);
    *status = (unsigned)value;
    return CLO_OK;
}

static bool name_is(clo_span name, const char *wanted)
{
    if (name.n != strlen(wanted)) return false;
    for (size_t i = 0; i < name.n; i++)
        if (lower(name.p[i]) != wanted[i]) return false;
    return true;
}

static clo_err read_header(clo_enclave_http_response *r, clo_span line, bool *have_length, bool *have_type)
{
    size_t colon = 0;
    while (colon < line.n && is_token(line.p[colon])) colon++;
    if (colon == 0 || colon == line.n || line.p[colon] != ':') return bad("a header without a proper name");
    clo_span name = clo_span_of(line.p, colon);
    clo_span value = clo_span_of(line.p + colon + 1, line.n - colon - 1);
    while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t')) value = clo_span_of(value.p + 1, value.n - 1);
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t')) value.n--;
    CLO_CHECKF(!name_is(name, "transfer-encoding"), CLO_E_UNSUPPORTED, "the key service answered with a transfer coding; it must send Content-Length");
    if (name_is(name, "content-length")) {
        uint64_t size = 0;
        CLO_CHECKF(!*have_length, CLO_E_DUPLICATE, "the key service's HTTP response has two Content-Length headers");
        clo_err e = clo_u64_parse(&size, value);
        if (clo_failed(e)) return bad("Content-Length is no number");
        CLO_CHECKF(size <= CLO_ENCLAVE_HTTP_BODY_MAX, CLO_E_TOO_LARGE, "the key service's HTTP response has %llu bytes; at most %d are allowed",
                   (unsigned long long)size, CLO_ENCLAVE_HTTP_BODY_MAX);
        r->body_size = (size_t)size;
        *have_length = true;
    } else if (name_is(name, "content-type")) {
        CLO_CHECKF(!*have_type, CLO_E_DUPLICATE, "the key service's HTTP response has two Content-Type headers");
        size_t n = 0;
        while (n < value.n && n + 1 < sizeof r->content_type && value.p[n] != ';' && value.p[n] != ' ') n++;
        for (size_t i = 0; i < n; i++) r->content_type[i] = lower(value.p[i]);
        r->content_type[n] = '\0';
        *have_type = true;
    } else if (name_is(name, "connection")) {
        r->close = name_is(value, "close");
    }
    return CLO_OK;
}

static clo_err read_head(clo_enclave_http_response *r)
{
    clo_span rest = clo_buf_span(&r->head), line;
    bool have_length = false, have_type = false;
    CLO_TRY(next_line(&rest, &line));
    CLO_TRY(read_status(line, &r->status));
    for (unsigned i = 0;; i++) {
        CLO_TRY(next_line(&rest, &line));
        if (line.n == 0) break;
        CLO_CHECKF(i < CLO_ENCLAVE_HTTP_HEADERS_MAX, CLO_E_TOO_MANY, "the key service's HTTP response has more than %d headers",
                   CLO_ENCLAVE_HTTP_HEADERS_MAX);
        CLO_TRY(read_header(r, line, &have_length, &have_type));
    }
    if (!have_length && r->status != 204) return bad("no Content-Length");
    if (r->status == 204 && r->body_size != 0) return bad("a 204 with a body");
    return CLO_OK;
}

/* The head ends with the first empty line; what is behind it belongs to the body. */
static clo_err feed_head(clo_enclave_http_response *r, clo_span *in)
{
    while (in->n > 0) {
        CLO_TRY(clo_buf_put(&r->head, in->p, 1));
        *in = clo_span_of(in->p + 1, in->n - 1);
        size_t n = r->head.len;
        /* A bare LF is refused before more is read: "\n\n" must not wait for ever for a proper end. */
        if (r->head.p[n - 1] == '\n' && (n < 2 || r->head.p[n - 2] != '\r')) return bad("a line feed without its carriage return");
        if (n < 4 || memcmp(r->head.p + n - 4, "\r\n\r\n", 4) != 0) continue;
        CLO_TRY(read_head(r));
        r->state = r->body_size == 0 ? CLO_ENCLAVE_HTTP_DONE : CLO_ENCLAVE_HTTP_BODY;
        break;
    }
    return CLO_OK;
}

static clo_err feed(clo_enclave_http_response *r, clo_span in)
{
    if (r->state == CLO_ENCLAVE_HTTP_HEAD) CLO_TRY(feed_head(r, &in));
    if (r->state == CLO_ENCLAVE_HTTP_BODY && in.n > 0) {
        size_t take = r->body_size - r->body.len;
        if (take > in.n) take = in.n;
        CLO_TRY(clo_buf_put(&r->body, in.p, take));
        in = clo_span_of(in.p + take, in.n - take);
        if (r->body.len == r->body_size) r->state = CLO_ENCLAVE_HTTP_DONE;
    }
    CLO_CHECKF(in.n == 0, CLO_E_TRAILING, "the key service sent bytes behind its HTTP response");
    return CLO_OK;
}

clo_err clo_enclave_http_response_feed(clo_enclave_http_response *r, clo_span in)
{
    CLO_CHECKF(r->state != CLO_ENCLAVE_HTTP_DEAD, CLO_E_MALFORMED, "the HTTP response was refused before");
    clo_err e = feed(r, in);
    if (clo_failed(e)) clo_enclave_http_response_free(r);
    return e;
}

clo_err clo_enclave_http_response_end(const clo_enclave_http_response *r)
{
    CLO_CHECKF(r->state == CLO_ENCLAVE_HTTP_DONE, CLO_E_TRUNCATED, "the key service closed the connection inside its HTTP response");
    return CLO_OK;
}
