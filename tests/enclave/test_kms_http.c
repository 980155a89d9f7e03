/* Proves the HTTP client parser: what is well formed is read whatever way the bytes are cut; every deviation is refused with its code. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "enclave/kms_http.h"
#include <string.h>

static clo_err read_all(const char *text, size_t step, clo_enclave_http_response *r)
{
    size_t n = strlen(text);
    for (size_t at = 0; at < n; at += step) CLO_TRY(clo_enclave_http_response_feed(r, clo_span_of(text + at, n - at < step ? n - at : step)));
    return clo_enclave_http_response_end(r);
}

static const struct {
    const char *name, *text;
    uint32_t code;
    unsigned status;
    const char *body, *type;
} cases[] = {
    {"usual", "HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: 5\r\n\r\nhello", 0, 200, "hello", "application/cbor"},
    {"parameters", "HTTP/1.1 403 Forbidden\r\ncontent-type:Application/CBOR; x=1\r\nCONTENT-LENGTH:\t2 \r\nConnection: close\r\n\r\nno", 0, 403, "no",
     "application/cbor"},
    {"empty body", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 0, 200, "", ""},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 0, 200, "", ""},
    {"no content", "HTTP/1.1 204 No Content\r\n\r\n", 0, 204, "", ""},
    {"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"interim", "HTTP/1.1 100 Continue\r\n\r\n", CLO_E_UNSUPPORTED, 0, "", ""},
    {"short status", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"long status", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"no length", "HTTP/1.1 200 OK\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", CLO_E_DUPLICATE, 0, "", ""},
    {"two types", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: a\r\nContent-Type: a\r\n\r\n", CLO_E_DUPLICATE, 0, "", ""},
    {"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", CLO_E_MALFORMED, 0, "", ""},
    {"hex length", "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\nx", CLO_E_MALFORMED, 0, "", ""},
    {"huge length", "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n", CLO_E_TOO_LARGE, 0, "", ""},
    {"overflowing length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CLO_E_UNSUPPORTED, 0, "", ""},
    {"both", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ntransfer-encoding: identity\r\n\r\nhello", CLO_E_UNSUPPORTED, 0, "", ""},
    {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", CLO_E_MALFORMED, 0, "", ""},
    {"bare CR", "HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"space before colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"no colon", "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"empty name", "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"control byte", "HTTP/1.1 200 OK\r\nA: \x01\r\nContent-Length: 0\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"trailing", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", CLO_E_TRAILING, 0, "", ""},
    {"cut body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxy", CLO_E_TRUNCATED, 0, "", ""},
    {"cut head", "HTTP/1.1 200 OK\r\nContent-Le", CLO_E_TRUNCATED, 0, "", ""},
    {"junk", "hello\r\n\r\n", CLO_E_MALFORMED, 0, "", ""},
    {"nothing", "", CLO_E_TRUNCATED, 0, "", ""},
};

static void responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step <= 64; step += 7) {
            CLO_AUTO(clo_enclave_http_response_free) clo_enclave_http_response r;
            clo_enclave_http_response_init(&r);
            clo_err e = read_all(cases[i].text, step, &r);
            if (e.code != cases[i].code) fail_msg("%s: %s (%s)", cases[i].name, clo_err_name(e), clo_err_text());
            if (clo_failed(e)) continue;
            assert_int_equal(r.status, cases[i].status);
            assert_string_equal(r.content_type, cases[i].type);
            assert_int_equal(r.body.len, strlen(cases[i].body));
            if (r.body.len != 0) assert_memory_equal(r.body.p, cases[i].body, r.body.len);
        }
    }
}

static void bounds(void **state)
{
    (void)state;
    /* An endless head, and too many headers. */
    CLO_AUTO(clo_enclave_http_response_free) clo_enclave_http_response r;
    clo_enclave_http_response_init(&r);
    clo_err e = clo_enclave_http_response_feed(&r, clo_span_str("HTTP/1.1 200 OK\r\nA: "));
    for (size_t i = 0; i < CLO_ENCLAVE_HTTP_HEAD_MAX && !clo_failed(e); i++) e = clo_enclave_http_response_feed(&r, clo_span_str("x"));
    assert_int_equal(e.code, CLO_E_TOO_LARGE);
    assert_true(clo_failed(clo_enclave_http_response_feed(&r, clo_span_str("x"))));
    clo_enclave_http_response_init(&r);
    e = clo_enclave_http_response_feed(&r, clo_span_str("HTTP/1.1 200 OK\r\n"));
    for (size_t i = 0; i < CLO_ENCLAVE_HTTP_HEADERS_MAX + 1u && !clo_failed(e); i++) e = clo_enclave_http_response_feed(&r, clo_span_str("A: b\r\n"));
    if (!clo_failed(e)) e = clo_enclave_http_response_feed(&r, clo_span_str("\r\n"));
    assert_int_equal(e.code, CLO_E_TOO_MANY);
}

static void requests(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf out = {0};
    const char *text = NULL;
    clo_buf_init(&out, 4096);
    assert_ok(clo_enclave_http_request(&out, "GET", "/v1/nonce", "kms:1", NULL, clo_span_of(NULL, 0)));
    assert_ok(clo_buf_cstr(&out, &text));
    assert_string_equal(text, "GET /v1/nonce HTTP/1.1\r\nHost: kms:1\r\nAccept: application/cbor\r\n\r\n");
    clo_buf_clear(&out);
    assert_ok(clo_enclave_http_request(&out, "POST", "/v1/renew", "kms:1", "application/cbor", clo_span_str("abc")));
    assert_ok(clo_buf_cstr(&out, &text));
    assert_non_null(strstr(text, "Content-Type: application/cbor\r\nContent-Length: 3\r\n\r\nabc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(responses), cmocka_unit_test(bounds), cmocka_unit_test(requests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
