/* Problem details, and the one mapping from classes to statuses. */
#include "gateway/problem.h"
#include "base/clo_text.h"
#include "gateway/gateway_int.h"

unsigned clo_gateway_problem_status(clo_err e)
{
    switch (e.code) {
    case CLO_E_UNAUTHENTICATED: return 401;
    case CLO_E_NOT_FOUND: return 404;
    case CLO_E_EXISTS:
    case CLO_E_CONFLICT: return 409;
    case CLO_E_TOO_LARGE: return 413;
    case CLO_E_TOO_MANY: return 429;
    default: break;
    }
    switch (clo_err_class(e)) {
    case CLO_CLASS_OK: return 200;
    case CLO_CLASS_INPUT: return 400;
    case CLO_CLASS_DENIED: return 403;
    case CLO_CLASS_LIMIT: return 429;
    case CLO_CLASS_AGAIN: return 503;
    case CLO_CLASS_ENV:
    case CLO_CLASS_BUG: break;
    }
    return 500;
}

const char *clo_gateway_status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } all[] = {
        {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"}, {303, "See Other"},
        {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"},
        {411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
        {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"}, {422, "Unprocessable Content"}, {428, "Precondition Required"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"}, {501, "Not Implemented"},
        {503, "Service Unavailable"}, {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].status == status) return all[i].text;
    return "Status";
}

clo_err clo_gateway_json_string(clo_buf *out, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    /* Text that came from outside may be cut in the middle of a character. */
    bool utf8 = clo_utf8_valid(clo_span_str(text));
    CLO_TRY(clo_buf_put_u8(out, '"'));
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p++) {
        if (*p == '"' || *p == '\\') {
            CLO_TRY(clo_buf_put_u8(out, '\\'));
            CLO_TRY(clo_buf_put_u8(out, *p));
        } else if (*p < 0x20 || *p == 0x7f) {
            char escape[6] = {'\\', 'u', '0', '0', hex[*p >> 4], hex[*p & 15]};
            CLO_TRY(clo_buf_put(out, escape, sizeof escape));
        } else {
            CLO_TRY(clo_buf_put_u8(out, *p >= 0x80 && !utf8 ? '?' : *p));
        }
    }
    return clo_buf_put_u8(out, '"');
}

static clo_err member(clo_buf *out, const char *name, const char *value)
{
    CLO_TRY(clo_buf_printf(out, ",\"%s\":", name));
    return clo_gateway_json_string(out, value);
}

static clo_err write_members(clo_buf *out, unsigned status, clo_err e, const char *text, const clo_denial *denial, const char *request_id)
{
    const char *name = clo_failed(e) ? clo_err_name(e) : "http";
    bool internal = clo_err_class(e) == CLO_CLASS_ENV || clo_err_class(e) == CLO_CLASS_BUG;
    CLO_TRY(clo_buf_printf(out, "{\"type\":\"https://cloister.dev/problems/%s\",\"title\":\"%s\",\"status\":%u,\"code\":\"%s\"", name,
                           clo_gateway_status_text(status), status, name));
    if (internal) text = "The service could not do this; its log has the reason under the request id.";
    if (text != NULL && text[0] != 0) CLO_TRY(member(out, "detail", text));
    if (request_id != NULL) {
        CLO_TRY(clo_buf_put_str(out, ",\"instance\":\"urn:request:"));
        CLO_TRY(clo_buf_printf(out, "%s\"", request_id));
    }
    if (denial != NULL && !internal) {
        CLO_TRY(member(out, "claim", denial->claim));
        CLO_TRY(member(out, "expected", denial->expected));
        CLO_TRY(member(out, "actual", denial->actual));
        CLO_TRY(member(out, "source", denial->source));
        CLO_TRY(member(out, "remedy", denial->remedy));
    }
    return clo_buf_put_str(out, "}\n");
}

clo_err clo_gateway_problem_write(clo_buf *out, unsigned status, clo_err e, const char *text, const clo_denial *denial, const char *request_id)
{
    size_t before = out->len;
    clo_err written = write_members(out, status, e, text, denial, request_id);
    if (clo_failed(written)) out->len = before;
    return written;
}
