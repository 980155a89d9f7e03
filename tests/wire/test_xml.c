/* Proves what of XML is read and what is refused, the canonical forms, and the opening of DSSE envelopes. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/dsse.h"
#include "wire/xml.h"

#include <string.h>

static uint32_t code_of(const char *text)
{
    CLO_AUTO(clo_wire_xml_free) clo_wire_xml *doc = NULL;
    clo_err e = clo_wire_xml_parse(clo_span_str(text), &doc);
    assert_true(clo_failed(e) == (doc == NULL));
    return e.code;
}

static void test_refusals(void **state)
{
    (void)state;
    assert_int_equal(code_of("<a/>"), 0);
    assert_int_equal(code_of("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><a/>"), 0);
    assert_int_equal(code_of(""), CLO_E_TOO_LARGE);
    static const char *const malformed[] = {"a", "<a>", "<a></b>", "<a/><b/>", "<a x=1/>", "<a x=\"1\" x=\"2\"/>", "<a>&lt</a>", "<a>&unknown;</a>", "<p:a/>", "<a>\xff</a>",
                                            "<a>\x01</a>", "<a x=\"<\"/>", "<a>]]></a>", "<a><![CDATA[x</a>", "<1/>"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        if (code_of(malformed[i]) != CLO_E_MALFORMED) fail_msg("%s: %s", malformed[i], clo_err_text());
    }
    static const char *const unsupported[] = {"<!DOCTYPE a><a/>", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
                                              "<!DOCTYPE a [<!ATTLIST a x CDATA \"d\">]><a/>", "<?pi x?><a/>", "<a><?pi?></a>"};
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        if (code_of(unsupported[i]) != CLO_E_UNSUPPORTED) fail_msg("%s: %s", unsupported[i], clo_err_text());
    }
    /* UTF-16 would hide a document type from whoever looks for its bytes. */
    CLO_AUTO(clo_wire_xml_free) clo_wire_xml *doc = NULL;
    assert_code(clo_wire_xml_parse(clo_span_of("\xff\xfe<\0a\0/\0>\0", 10), &doc), CLO_E_MALFORMED);
    assert_code(clo_wire_xml_parse(clo_span_of("<\0a\0/\0>\0", 8), &doc), CLO_E_MALFORMED);
}

static void repeat(clo_buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) assert_ok(clo_buf_put_str(b, text));
}

static void test_bombs(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 2 * CLO_XML_MAX);
    CLO_AUTO(clo_wire_xml_free) clo_wire_xml *doc = NULL;
    repeat(&b, "<a>", CLO_XML_DEPTH_MAX);
    repeat(&b, "</a>", CLO_XML_DEPTH_MAX);
    assert_ok(clo_wire_xml_parse(clo_buf_span(&b), &doc));
    clo_wire_xml_free(&doc);
    clo_buf_clear(&b);
    repeat(&b, "<a>", CLO_XML_DEPTH_MAX + 1);
    repeat(&b, "</a>", CLO_XML_DEPTH_MAX + 1);
    assert_code(clo_wire_xml_parse(clo_buf_span(&b), &doc), CLO_E_TOO_MANY);
    clo_buf_clear(&b);
    repeat(&b, "<a>", 100000);
    assert_code(clo_wire_xml_parse(clo_buf_span(&b), &doc), CLO_E_TOO_MANY);
    clo_buf_clear(&b);
    assert_ok(clo_buf_put_str(&b, "<a>"));
    repeat(&b, "<b/>", CLO_XML_ELEMENTS_MAX);
    assert_ok(clo_buf_put_str(&b, "</a>"));
    assert_code(clo_wire_xml_parse(clo_buf_span(&b), &doc), CLO_E_TOO_MANY);
    clo_buf_clear(&b);
    assert_ok(clo_buf_put_str(&b, "<a>"));
    repeat(&b, " ", CLO_XML_MAX);
    assert_code(clo_wire_xml_parse(clo_buf_span(&b), &doc), CLO_E_TOO_LARGE);
    assert_int_equal(code_of("<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;\">]><l>&c;</l>"), CLO_E_UNSUPPORTED);
}

static void test_reading(void **state)
{
    (void)state;
    CLO_AUTO(clo_wire_xml_free) clo_wire_xml *doc = NULL;
    assert_ok(clo_wire_xml_parse(clo_span_str("<r xmlns=\"u:d\" xmlns:p=\"u:p\" a=\"1&amp;&#50;\" p:a=\"3\"> <x>t&lt;</x><!--c--><p:x/><y>a<!--c-->b</y><z> </z></r>"), &doc));
    const clo_wire_xml_element *r = clo_wire_xml_root(doc), *x = clo_wire_xml_child(r), *p = clo_wire_xml_next(x), *y = clo_wire_xml_next(p), *z = clo_wire_xml_next(y);
    clo_span text;
    assert_true(clo_wire_xml_is(r, "u:d", "r") && !clo_wire_xml_is(r, NULL, "r") && !clo_wire_xml_is(r, "u:p", NULL) && clo_wire_xml_is(p, "u:p", "x"));
    assert_true(clo_span_equal(clo_wire_xml_attribute(r, NULL, "a"), clo_span_str("1&2")));
    assert_true(clo_span_equal(clo_wire_xml_attribute(r, "u:p", "a"), clo_span_str("3")));
    assert_null(clo_wire_xml_attribute(r, "u:d", "a").p);
    assert_int_equal(clo_wire_xml_attribute_count(r), 2);
    assert_ok(clo_wire_xml_text(x, &text));
    assert_true(clo_span_equal(text, clo_span_str("t<")));
    assert_code(clo_wire_xml_text(y, &text), CLO_E_MALFORMED);
    assert_code(clo_wire_xml_text(r, &text), CLO_E_MALFORMED);
    assert_true(clo_wire_xml_only_elements(z) && !clo_wire_xml_only_elements(y) && !clo_wire_xml_only_elements(r));
    assert_ptr_equal(clo_wire_xml_parent(z), r);
    assert_null(clo_wire_xml_parent(r));
    assert_null(clo_wire_xml_next(z));
}

static void canonical(const char *in, int child, int without, clo_wire_xml_canonical_form form, const char *want)
{
    CLO_AUTO(clo_wire_xml_free) clo_wire_xml *doc = NULL;
    CLO_AUTO(clo_buf_free) clo_buf out;
    const char *got = NULL;
    clo_buf_init(&out, 4096);
    assert_ok(clo_wire_xml_parse(clo_span_str(in), &doc));
    const clo_wire_xml_element *e = clo_wire_xml_child(clo_wire_xml_root(doc)), *parts[4] = {NULL};
    for (int i = 1; i < 4 && e != NULL; i++, e = clo_wire_xml_next(e)) parts[i] = e;
    assert_ok(clo_wire_xml_canonical(doc, parts[child], parts[without], form, &out));
    assert_ok(clo_buf_cstr(&out, &got));
    assert_string_equal(got, want);
}

static void test_canonical(void **state)
{
    (void)state;
    canonical("<?xml version=\"1.0\"?>\n\n<d  b = 'x\"y'   a='1'\n><e1   /><!-- gone --><e2 a=\"&#xD;&#9;\">\r\n&#13;&gt;&amp;<![CDATA[<x>]]></e2></d>\n<!-- gone -->\n", 0, 0, CLO_XML_C14N_1_0,
              "<d a=\"1\" b=\"x&quot;y\"><e1></e1><e2 a=\"&#xD;&#x9;\">\n&#xD;&gt;&amp;&lt;x&gt;</e2></d>");
    /* Attributes by namespace and name; a declaration that is there already is not repeated. */
    canonical("<d xmlns:b=\"u:1\" xmlns:a=\"u:2\" xmlns=\"u:0\"><e xmlns=\"u:0\" z=\"1\" b:y=\"2\" a:x=\"3\"/></d>", 0, 0, CLO_XML_C14N_1_1,
              "<d xmlns=\"u:0\" xmlns:a=\"u:2\" xmlns:b=\"u:1\"><e z=\"1\" b:y=\"2\" a:x=\"3\"></e></d>");
    /* A part takes the declarations around it along; the exclusive form only those that it uses. */
    canonical("<d xmlns:a=\"u:1\" xmlns:b=\"u:2\"> <b:e/> </d>", 1, 0, CLO_XML_C14N_1_0, "<b:e xmlns:a=\"u:1\" xmlns:b=\"u:2\"></b:e>");
    canonical("<d xmlns:a=\"u:1\" xmlns:b=\"u:2\"> <b:e/> </d>", 1, 0, CLO_XML_C14N_EXCLUSIVE, "<b:e xmlns:b=\"u:2\"></b:e>");
    canonical("<d><a/>x<s><t/></s></d>", 0, 2, CLO_XML_C14N_1_1, "<d><a></a>x</d>");
}

/* A vector of the DSSE specification: type, payload, what is signed. */
static void test_dsse_bytes(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf out;
    const char *got = NULL;
    clo_buf_init(&out, 256);
    assert_ok(clo_wire_dsse_signed_bytes("http://example.com/HelloWorld", clo_span_str("hello world"), &out));
    assert_ok(clo_buf_cstr(&out, &got));
    assert_string_equal(got, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

static void envelope(clo_arena *a, const clo_crypto_private_key *sk, const char *type, const char *body, const char *more, const char **out)
{
    CLO_AUTO(clo_buf_free) clo_buf covered;
    CLO_AUTO(clo_buf_free) clo_buf text;
    uint8_t signature[64];
    const char *payload = NULL, *sig = NULL;
    clo_buf_init(&covered, 4096);
    clo_buf_init(&text, 4096);
    assert_ok(clo_wire_dsse_signed_bytes(type, clo_span_str(body), &covered));
    assert_ok(clo_crypto_sign(sk, clo_buf_span(&covered), signature));
    assert_ok(clo_base64_encode(&text, clo_span_str(body)));
    assert_ok(clo_arena_str(a, clo_buf_span(&text), &payload));
    clo_buf_clear(&text);
    assert_ok(clo_base64_encode(&text, clo_span_of(signature, 64)));
    assert_ok(clo_arena_str(a, clo_buf_span(&text), &sig));
    assert_ok(clo_arena_printf(a, out, "{\"payloadType\":\"%s\",\"payload\":\"%s\",\"signatures\":[%s{\"keyid\":\"k\",\"sig\":\"%s\"}]}", type, payload, more, sig));
}

static void test_dsse(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_crypto_private_key sk, other_sk;
    clo_crypto_public_key pk, other;
    const char *json = NULL;
    clo_span payload;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk));
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &other_sk, &other));
    envelope(&a, &sk, "t/x", "{\"a\":1}", "", &json);
    assert_ok(clo_wire_dsse_open(&a, clo_span_str(json), "t/x", &pk, &payload));
    assert_true(clo_span_equal(payload, clo_span_str("{\"a\":1}")));
    assert_code(clo_wire_dsse_open(&a, clo_span_str(json), "t/y", &pk, &payload), CLO_E_UNSUPPORTED);
    assert_code(clo_wire_dsse_open(&a, clo_span_str(json), "t/x", &other, &payload), CLO_E_BAD_SIGNATURE);
    envelope(&a, &sk, "t/x", "{\"a\":1}", "{\"sig\":\"AAAA\"},", &json);
    assert_ok(clo_wire_dsse_open(&a, clo_span_str(json), "t/x", &pk, &payload)); /* one good signature suffices */
    envelope(&a, &sk, "t/x", "{\"a\":1}", "{},", &json);
    assert_code(clo_wire_dsse_open(&a, clo_span_str(json), "t/x", &pk, &payload), CLO_E_MALFORMED);
    static const char *const malformed[] = {"", "[]", "{}", "{\"payloadType\":\"t/x\",\"payload\":\"e30=\"}", "{\"payloadType\":\"t/x\",\"payload\":\"e30=\",\"signatures\":[]}",
                                            "{\"payloadType\":\"t/x\",\"payload\":\"!\",\"signatures\":[{\"sig\":\"AAAA\"}]}"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) assert_true(clo_failed(clo_wire_dsse_open(&a, clo_span_str(malformed[i]), "t/x", &pk, &payload)));
    size_t n = strlen(json);
    for (size_t i = 0; i < n; i++) assert_true(clo_failed(clo_wire_dsse_open(&a, clo_span_of(json, i), "t/x", &pk, &payload)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_bombs),      cmocka_unit_test(test_reading),
        cmocka_unit_test(test_canonical), cmocka_unit_test(test_dsse_bytes), cmocka_unit_test(test_dsse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
