/* Proves: the request parser takes what RFC 9112 asks for and refuses everything that two parsers could read differently; that a head cut
 * at any length asks for more and never reads beyond; and that the chunk decoder yields the same content however its input is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "gateway/h1_parser.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clo_gateway_h1_head head;

/* From memory of exactly the input's size, so that a sanitizer sees a read beyond it. */
static clo_err parse(const char *text, size_t n, size_t *used)
{
    uint8_t *copy = malloc(n + 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    uint8_t *exact = malloc(n == 0 ? 1 : n);
    assert_non_null(exact);
    memcpy(exact, copy, n);
    free(copy);
    clo_err e = clo_gateway_h1_head_parse(clo_span_of(exact, n), &head, used);
    free(exact);
    return e;
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        clo_gateway_method method;
        bool keep, chunked;
        uint64_t length;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", CLO_GATEWAY_GET, true, false, 0},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", CLO_GATEWAY_GET, true, false, 0},
        {"HEAD /x?y=1 HTTP/1.1\r\nhost:a:80\r\n\r\n", CLO_GATEWAY_HEAD, true, false, 0},
        {"GET / HTTP/1.0\r\n\r\n", CLO_GATEWAY_GET, false, false, 0},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", CLO_GATEWAY_GET, true, false, 0},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", CLO_GATEWAY_GET, false, false, 0},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n", CLO_GATEWAY_POST, true, false, 12},
        {"PUT / HTTP/1.1\r\nHost: [::1]:8\r\nTransfer-Encoding: Chunked\r\n\r\n", CLO_GATEWAY_PUT, true, true, 0},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", CLO_GATEWAY_OPTIONS, true, false, 0},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", CLO_GATEWAY_METHOD_UNKNOWN, true, false, 0},
        {"get / HTTP/1.1\r\nHost: a\r\n\r\n", CLO_GATEWAY_METHOD_UNKNOWN, true, false, 0},
        {"GET http://a/x HTTP/1.1\r\nHost: A\r\n\r\n", CLO_GATEWAY_GET, true, false, 0},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa4 \t\r\nY:\r\n\r\n", CLO_GATEWAY_GET, true, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t used = 0, n = strlen(cases[i].text);
        clo_err e = parse(cases[i].text, n, &used);
        if (clo_failed(e) || used != n) print_message("# case %zu: %s\n", i, clo_err_text());
        assert_int_equal(e.code, 0);
        assert_int_equal(used, n);
        assert_int_equal(head.method, cases[i].method);
        assert_int_equal(head.keep_alive, cases[i].keep);
        assert_int_equal(head.chunked, cases[i].chunked);
        assert_int_equal(head.length, cases[i].length);
        for (size_t cut = 0; cut < n; cut++) {
            e = parse(cases[i].text, cut, &used);
            assert_int_equal(e.code, 0);
            assert_int_equal(used, 0);
        }
    }
}

static void test_fields(void **state)
{
    (void)state;
    static const char text[] = "GET /a/b?c=d&e HTTP/1.1\r\nHost: h:1\r\nX-One:  two \r\nExpect: 100-continue\r\n\r\nrest";
    size_t used = 0;
    clo_err e = clo_gateway_h1_head_parse(clo_span_of(text, sizeof text - 1), &head, &used);
    assert_int_equal(e.code, 0);
    assert_int_equal(used, sizeof text - 5);
    assert_true(clo_span_equal(head.path, clo_span_str("/a/b")));
    assert_true(clo_span_equal(head.query, clo_span_str("c=d&e")));
    assert_true(clo_span_equal(head.host, clo_span_str("h:1")));
    assert_int_equal(head.header_count, 3);
    assert_true(clo_span_equal(head.headers[1].name, clo_span_str("X-One")));
    assert_true(clo_span_equal(head.headers[1].value, clo_span_str("two")));
    assert_true(head.expect_continue);
}

#define G "GET / HTTP/1.1\r\nHost: a\r\n"
#define P "POST / HTTP/1.1\r\nHost: a\r\n"
static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t code;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\n\n", CLO_E_MALFORMED},                 /* bare LF */
        {"GET / HTTP/1.1\r\nHost: a\n\r\n", CLO_E_MALFORMED},
        {"GET / HTTP/1.1\r\nHost: a\r\n\n", CLO_E_MALFORMED},
        {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", CLO_E_MALFORMED},     /* bare CR */
        {G "X: a\r\n b\r\n\r\n", CLO_E_MALFORMED},                        /* obs-fold */
        {G "X: a\r\n\tb\r\n\r\n", CLO_E_MALFORMED},
        {G "X : a\r\n\r\n", CLO_E_MALFORMED},                             /* blank before the colon */
        {G "X\r\n\r\n", CLO_E_MALFORMED},
        {G ": a\r\n\r\n", CLO_E_MALFORMED},
        {G "X: a\x01\r\n\r\n", CLO_E_MALFORMED},
        {G "X(: a\r\n\r\n", CLO_E_MALFORMED},
        {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET / \r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET /\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},                    /* HTTP/0.9 */
        {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET /# HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", CLO_E_VERSION},
        {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", CLO_E_VERSION},
        {"GET / http/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CLO_E_VERSION},
        {"GET / HTTP/1.1\r\n\r\n", CLO_E_MALFORMED},                      /* no Host */
        {G "Host: a\r\n\r\n", CLO_E_MALFORMED},                           /* two */
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", CLO_E_MALFORMED},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", CLO_E_MALFORMED},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", CLO_E_MALFORMED},
        {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: 3, 3\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: +3\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: -3\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: 0x3\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: 3 4\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length:\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: 99999999999999999999\r\n\r\n", CLO_E_MALFORMED},
        {P "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", CLO_E_MALFORMED}, /* CL.TE */
        {P "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", CLO_E_MALFORMED}, /* TE.CL */
        {P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", CLO_E_MALFORMED},
        {P "Transfer-Encoding: identity\r\n\r\n", CLO_E_UNSUPPORTED},
        {P "Transfer-Encoding: gzip, chunked\r\n\r\n", CLO_E_UNSUPPORTED},
        {P "Transfer-Encoding: chunked, identity\r\n\r\n", CLO_E_UNSUPPORTED},
        {P "Transfer-Encoding: xchunked\r\n\r\n", CLO_E_UNSUPPORTED},
        {P "Transfer-Encoding: \"chunked\"\r\n\r\n", CLO_E_UNSUPPORTED},
        {P "Transfer-Encoding:\r\n\r\n", CLO_E_UNSUPPORTED},
        {P "Transfer-Encoding : chunked\r\n\r\n", CLO_E_MALFORMED},
        {P "Transfer-Encoding: chunked\x0b\r\n\r\n", CLO_E_MALFORMED},
        {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", CLO_E_MALFORMED},
        {P "Expect: the-unexpected\r\n\r\n", CLO_E_MALFORMED},
        {"AVERYLONGMETHODNAME / HTTP/1.1\r\nHost: a\r\n\r\n", CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t used = 0;
        clo_err e = parse(cases[i].text, strlen(cases[i].text), &used);
        if (e.code != cases[i].code) print_message("# case %zu: %s: %s\n", i, cases[i].text, clo_err_text());
        assert_int_equal(e.code, cases[i].code);
        assert_int_equal(used, 0);
    }
    size_t used = 0;
    assert_int_equal(parse(G "X: a\0b\r\n\r\n", sizeof(G "X: a\0b\r\n\r\n") - 1, &used).code, CLO_E_MALFORMED);
}

static void test_limits(void **state)
{
    (void)state;
    size_t used = 0, n = 0;
    char *text = malloc(40000);
    assert_non_null(text);
    n = (size_t)snprintf(text, 40000, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + n, 'x', 39000);
    assert_int_equal(clo_gateway_h1_head_parse(clo_span_of(text, CLO_GATEWAY_H1_HEAD_MAX - 1), &head, &used).code, 0);
    assert_int_equal(used, 0);
    assert_int_equal(clo_gateway_h1_head_parse(clo_span_of(text, CLO_GATEWAY_H1_HEAD_MAX), &head, &used).code, CLO_E_TOO_LARGE);
    n = (size_t)snprintf(text, 40000, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 99; i++) n += (size_t)snprintf(text + n, 40000 - n, "A%d: b\r\n", i);
    memcpy(text + n, "\r\n", 2);
    assert_int_equal(clo_gateway_h1_head_parse(clo_span_of(text, n + 2), &head, &used).code, 0);
    assert_int_equal(head.header_count, 100);
    memcpy(text + n, "B: c\r\n\r\n", 8);
    assert_int_equal(clo_gateway_h1_head_parse(clo_span_of(text, n + 8), &head, &used).code, CLO_E_TOO_MANY);
    n = (size_t)snprintf(text, 40000, "GET /");
    memset(text + n, 'x', 8200);
    assert_int_equal(clo_gateway_h1_head_parse(clo_span_of(text, n + 8200), &head, &used).code, CLO_E_RANGE);
    free(text);
}

/* Every byte in each class of place is judged as RFC 9110 and RFC 3986 say. */
static void test_classes(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[64];
        size_t used = 0;
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool token = alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
        bool target = alnum || (c != 0 && strchr("-._~!$&'()*+,;=:@/?%[]", (int)c) != NULL);
        bool value = c == 9 || (c >= 0x20 && c != 0x7f);
        int n = snprintf(text, sizeof text, G "X_Y: a\r\n\r\n");
        text[26] = (char)c; /* the '_' */
        assert_int_equal(!clo_failed(parse(text, (size_t)n, &used)) && used == (size_t)n, token || c == ':');
        n = snprintf(text, sizeof text, "GET /x_y HTTP/1.1\r\nHost: a\r\n\r\n");
        text[6] = (char)c;
        assert_int_equal(!clo_failed(parse(text, (size_t)n, &used)) && used == (size_t)n, target);
        n = snprintf(text, sizeof text, G "X: a_b\r\n\r\n");
        text[29] = (char)c;
        assert_int_equal(!clo_failed(parse(text, (size_t)n, &used)) && used == (size_t)n, value);
    }
}

typedef struct {
    char content[64];
    size_t n, used;
    bool done;
    clo_err err;
} decoded;

static decoded decode(const char *text, size_t n, size_t step)
{
    decoded d = {.err = CLO_OK};
    clo_gateway_h1_chunks c = {0};
    while (d.used < n && !d.done) {
        size_t give = n - d.used < step ? n - d.used : step, used = 0;
        clo_span content;
        d.err = clo_gateway_h1_chunks_next(&c, clo_span_of(text + d.used, give), &used, &content, &d.done);
        if (clo_failed(d.err)) return d;
        assert_true(used != 0);
        assert_true(d.n + content.n <= sizeof d.content);
        if (content.n != 0) memcpy(d.content + d.n, content.p, content.n);
        d.n += content.n;
        d.used += used;
    }
    return d;
}

static void test_chunks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *content;
        uint32_t code;
    } cases[] = {
        {"0\r\n\r\n", "", 0},
        {"3\r\nabc\r\n0\r\n\r\n", "abc", 0},
        {"3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nT: u\r\nV: w\r\n\r\n", "abc0123456789", 0},
        {"3\nabc\r\n0\r\n\r\n", "", CLO_E_MALFORMED},
        {"3\r\nabcd\r\n0\r\n\r\n", "", CLO_E_MALFORMED},
        {"3\r\nab\r\n0\r\n\r\n", "", CLO_E_MALFORMED},
        {"3\r\nabc\n0\r\n\r\n", "", CLO_E_MALFORMED},
        {"\r\n", "", CLO_E_MALFORMED},
        {"-1\r\n", "", CLO_E_MALFORMED},
        {"+3\r\nabc", "", CLO_E_MALFORMED},
        {"0x3\r\nabc", "", CLO_E_MALFORMED},
        {" 3\r\nabc", "", CLO_E_MALFORMED},
        {"3 \r\nabc", "", CLO_E_MALFORMED},
        {"g\r\n", "", CLO_E_MALFORMED},
        {"fffffffffffff\r\n", "", CLO_E_MALFORMED},
        {"3;a\nb\r\nabc\r\n0\r\n\r\n", "", CLO_E_MALFORMED},
        {"0\r\n T: u\r\n\r\n", "", CLO_E_MALFORMED},
        {"0\r\nT: u\n\r\n", "", CLO_E_MALFORMED},
        {"0\r\n\rX", "", CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i].text);
        for (size_t step = 1; step <= n; step++) {
            decoded d = decode(cases[i].text, n, step);
            if (d.err.code != cases[i].code) print_message("# case %zu step %zu\n", i, step);
            assert_int_equal(d.err.code, cases[i].code);
            if (cases[i].code != 0) continue;
            assert_true(d.done);
            assert_int_equal(d.used, n);
            assert_int_equal(d.n, strlen(cases[i].content));
            assert_memory_equal(d.content, cases[i].content, d.n);
        }
    }
    char big[600];
    memset(big, 'a', sizeof big);
    memcpy(big, "3;", 2);
    assert_int_equal(decode(big, sizeof big, 7).err.code, CLO_E_TOO_LARGE);
}

static void test_corpus(void **state)
{
    (void)state;
    /* Any prefix of any byte string is answered without a read beyond it. */
    uint32_t seed = 12345;
    static const char alphabet[] = "GET / HTTP/1.\r\n: aHostContent-Length0123chunkedTransfer-Encoding\t\n\r";
    for (int round = 0; round < 20000; round++) {
        char text[80];
        size_t n = 0, used = 0;
        for (; n < sizeof text; n++) {
            seed = seed * 1664525u + 1013904223u;
            text[n] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        if (round % 2 == 0) memcpy(text, "GET / HTTP/1.1\r\nHost: a\r\n", 25);
        clo_err e = parse(text, n, &used);
        assert_true(clo_failed(e) || used <= n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_fields), cmocka_unit_test(test_bad),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_classes), cmocka_unit_test(test_chunks), cmocka_unit_test(test_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
