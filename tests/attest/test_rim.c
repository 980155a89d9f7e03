/* Proves that a manifest is only ever what its signature covers: other shapes, other algorithms, wrapped and moved content, cut and changed files
 * are refused. NVIDIA's published manifests too, where they are beside the project. */
#include "nvidia_fixture.h"

#include "../../tools/vectors/vectors.h"
#include "attest/rim_file.h"
#include "base/clo_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static clo_attest_rim rim;
static clo_buf usual;

/* What is in `rim` afterwards points nowhere. */
static uint32_t read_of(clo_span xml)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    return clo_attest_rim_read(&a, xml, &rim).code;
}

/* The usual manifest with the first `from` replaced by `to`. */
static uint32_t replaced(const char *from, const char *to)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    const char *text = NULL;
    clo_buf_init(&b, 1 << 20);
    assert_ok(clo_buf_cstr(&usual, &text));
    const char *at = strstr(text, from);
    if (at == NULL) fail_msg("the manifest has no %s", from);
    size_t before = (size_t)(at - text), after = before + strlen(from);
    assert_ok(clo_buf_put(&b, text, before));
    assert_ok(clo_buf_put_str(&b, to));
    assert_ok(clo_buf_put(&b, text + after, usual.len - after));
    return read_of(clo_buf_span(&b));
}

static void test_usual(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    assert_ok(clo_attest_rim_read(&a, clo_buf_span(&usual), &rim));
    assert_string_equal(rim.version, "550.90.07");
    assert_string_equal(rim.product, "GH100");
    assert_int_equal(rim.active, 32);
    assert_int_equal(rim.signer.count, 2);
    uint8_t value[48];
    gpu_measurement(4, value);
    assert_int_equal(rim.measurements[3].count, 2);
    assert_memory_equal(rim.measurements[3].values[1].p, value, 48);
    assert_true(rim.measurements[40].there && !rim.measurements[40].active && !rim.measurements[64].there);
}

static void test_content(void **state)
{
    (void)state;
    assert_int_equal(replaced("550.90.07", "550.90.08"), CLO_E_BAD_SIGNATURE);
    assert_int_equal(replaced("test &amp; co", "test &amp; Co"), CLO_E_BAD_SIGNATURE);
    assert_int_equal(replaced("  <n:Payload>", " <n:Payload>"), CLO_E_BAD_SIGNATURE);
    assert_int_equal(replaced("<n:Payload>", "<n:Payload><x/>"), CLO_E_BAD_SIGNATURE);
    /* What canonical forms do not see is no change. */
    assert_int_equal(replaced("<n:Payload>", "<n:Payload ><!-- a remark -->"), 0);
    assert_int_equal(replaced("name=\"GH100\" tagId=\"t1\"", "tagId='t1'   name='GH100'"), 0);
    /* Signed content that is no manifest. */
    static const char *const injected[] = {"<n:Payload xmlns:n=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\"/>",
                                           "<n:Meta xmlns:n=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" colloquialVersion=\"9\"/>"};
    CLO_AUTO(clo_buf_free) clo_buf xml;
    clo_buf_init(&xml, 1 << 20);
    for (size_t i = 0; i < sizeof injected / sizeof injected[0]; i++) {
        gpu_rim_make(&(gpu_rim_options){.inject = injected[i]}, &xml);
        assert_int_equal(read_of(clo_buf_span(&xml)), CLO_E_MALFORMED);
    }
    gpu_rim_make(&(gpu_rim_options){.inject = "<x xmlns=\"u:x\"/>"}, &xml);
    assert_int_equal(read_of(clo_buf_span(&xml)), 0);
    gpu_rim_make(&(gpu_rim_options){.other_signer = true}, &xml);
    assert_int_equal(read_of(clo_buf_span(&xml)), CLO_E_BAD_SIGNATURE);
}

#define DS "http://www.w3.org/2000/09/xmldsig#"

static void test_shape(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        uint32_t code;
    } cases[] = {
        {"URI=\"\"", "URI=\"#t1\"", CLO_E_MALFORMED},
        {"<ds:Reference URI=\"\">", "<ds:Reference>", CLO_E_MALFORMED},
        {"<ds:Reference URI=\"\">", "<ds:Reference URI=\"\" Id=\"x\">", CLO_E_MALFORMED},
        {"</ds:Reference>", "</ds:Reference><ds:Reference URI=\"#x\"/>", CLO_E_MALFORMED},
        {"<ds:Transform Algorithm=\"" DS "enveloped-signature\"/>", "", CLO_E_UNSUPPORTED},
        {"<ds:Transform Algorithm=\"" DS "enveloped-signature\"/>", "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"/>", CLO_E_UNSUPPORTED},
        {"<ds:Transform Algorithm=\"" DS "enveloped-signature\"/>",
         "<ds:Transform Algorithm=\"" DS "enveloped-signature\"><ds:XPath>self::x</ds:XPath></ds:Transform>", CLO_E_MALFORMED},
        {"</ds:Transforms>", "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/></ds:Transforms>", CLO_E_MALFORMED},
        {"xmldsig-more#sha384", "xmldsig-more#md5", CLO_E_UNSUPPORTED},
        {"http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2000/09/xmldsig#sha1", CLO_E_UNSUPPORTED},
        {"xmldsig-more#ecdsa-sha384", "xmldsig-more#hmac-sha384", CLO_E_UNSUPPORTED},
        {"xmldsig-more#ecdsa-sha384", "xmldsig-more#ecdsa-sha1", CLO_E_UNSUPPORTED},
        {"xmldsig-more#ecdsa-sha384", "xmldsig-more#rsa-sha384", CLO_E_UNSUPPORTED}, /* does not fit the key */
        {"xml-c14n11\"/><ds:SignatureMethod", "xml-c14n11#WithComments\"/><ds:SignatureMethod", CLO_E_UNSUPPORTED},
        {"<ds:SignedInfo>", "<ds:SignedInfo Id=\"x\">", CLO_E_MALFORMED},
        {"<ds:SignedInfo>", "<ds:SignedInfo><!-- -->", CLO_E_MALFORMED},
        {"<ds:DigestValue>", "<ds:DigestValue><!-- -->", CLO_E_MALFORMED},
        {"<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyValue/>", CLO_E_MALFORMED},
        {"<ds:X509Data>", "<ds:X509Data><ds:X509SubjectName/>", CLO_E_MALFORMED},
        {"</ds:KeyInfo>", "</ds:KeyInfo><ds:Object/>", CLO_E_MALFORMED},
        {"</ds:Signature>", "</ds:Signature><x/>", CLO_E_MALFORMED},
        {"</ds:Signature>", "</ds:Signature><ds:Signature xmlns:ds=\"" DS "\"/>", CLO_E_MALFORMED},
        {"<n:Payload>", "<n:Payload><ds:Signature xmlns:ds=\"" DS "\"/>", CLO_E_MALFORMED},
        {"xmlns:ds=\"" DS "\"", "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig\"", CLO_E_MALFORMED},
        {"<SoftwareIdentity", "<!DOCTYPE x [<!ATTLIST x y ID #IMPLIED>]><SoftwareIdentity", CLO_E_UNSUPPORTED},
        {"<SoftwareIdentity", "<?xml-stylesheet href=\"x\"?><SoftwareIdentity", CLO_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t code = replaced(cases[i].from, cases[i].to);
        if (code != cases[i].code) fail_msg("case %zu: %s (%s), wanted %s", i, clo_err_name((clo_err){code}), clo_err_text(), clo_err_name((clo_err){cases[i].code}));
    }
}

/* The signed document hidden inside another one, with or without its signature moved out: the reference is to the whole file, always. */
static void test_wrapping(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf b;
    const char *text = NULL;
    clo_buf_init(&b, 1 << 20);
    assert_ok(clo_buf_cstr(&usual, &text));
    const char *signature = strstr(text, "<ds:Signature "), *end = strstr(text, "</SoftwareIdentity>");
    static const char evil[] = "<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" name=\"GH100\" tagId=\"t2\">"
                               "<Meta colloquialVersion=\"1\"/><Payload/>";
    assert_ok(clo_buf_printf(&b, "%s<x>%s</x></SoftwareIdentity>", evil, text));
    assert_int_equal(read_of(clo_buf_span(&b)), CLO_E_MALFORMED);
    clo_buf_clear(&b);
    assert_ok(clo_buf_printf(&b, "%s<x>%.*s</SoftwareIdentity></x>%.*s</SoftwareIdentity>", evil, (int)(signature - text), text, (int)(end - signature), signature));
    assert_int_equal(read_of(clo_buf_span(&b)), CLO_E_BAD_SIGNATURE);
    clo_buf_clear(&b);
    assert_ok(clo_buf_printf(&b, "%s%.*s</SoftwareIdentity>", evil, (int)(end - signature), signature));
    assert_int_equal(read_of(clo_buf_span(&b)), CLO_E_BAD_SIGNATURE);
}

static void test_every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n < usual.len; n += n < usual.len - 64 ? 37 : 1) assert_int_not_equal(read_of(clo_span_of(usual.p, n)), 0);
}

/* The signer's certificate is the same, or one that its issuer did not sign: the chain's judgement refuses it. */
static bool signer_judged(clo_span got, clo_span was)
{
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    if (clo_span_equal(got, was)) return true;
    assert_ok(clo_crypto_cert_parse(&cert, got));
    return clo_failed(clo_crypto_cert_signed_by(cert, gpu_rim_root.cert));
}

/* A changed byte is refused, or it stands where nothing is said: in white space, or in a certificate. */
static void test_bits(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    static clo_attest_rim before;
    const char *text = NULL;
    assert_ok(clo_attest_rim_read(&a, clo_buf_span(&usual), &before));
    assert_ok(clo_buf_cstr(&usual, &text));
    size_t signature = (size_t)(strstr(text, "<ds:Signature ") - text);
    for (size_t i = 0; i < usual.len; i += i < signature ? 11 : 2) {
        CLO_AUTO(clo_arena_free) clo_arena b;
        clo_arena_init(&b, 4 << 20);
        uint8_t bit = (uint8_t)(1u << (i * 3 % 7));
        usual.p[i] ^= bit;
        clo_err e = clo_attest_rim_read(&b, clo_buf_span(&usual), &rim);
        if (!clo_failed(e)) {
            bool same = strcmp(rim.version, before.version) == 0 && rim.active == before.active && signer_judged(rim.signer.certs[0], before.signer.certs[0]);
            for (size_t k = 0; k < CLO_ATTEST_RIM_INDEXES && same; k++) {
                same = rim.measurements[k].count == before.measurements[k].count;
                for (size_t v = 0; v < rim.measurements[k].count && same; v++) same = clo_span_equal(rim.measurements[k].values[v], before.measurements[k].values[v]);
            }
            if (!same) fail_msg("a flipped bit of byte %zu changes what is read", i);
        }
        usual.p[i] ^= bit;
    }
}

static void test_published(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    char path[512];
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/nvidia-gpu", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip_because("the published manifests are not beside the project (../shared/vectors)");
    static const char *const names[] = {"rim-1010_0200_882_96005E0001_PROD.swidtag", "rim-Driver_RIM_test_no_gpu.swidtag"};
    static const char *const versions[] = {"96.00.5E.00.01", "545.00"};
    static const size_t active[] = {12, 21};
    for (size_t i = 0; i < 2; i++) {
        clo_span xml;
        assert_ok(clo_vectors_read(&a, path, names[i], &xml));
        assert_ok(clo_attest_rim_read(&a, xml, &rim));
        assert_string_equal(rim.version, versions[i]);
        assert_string_equal(rim.product, "GH100");
        assert_int_equal(rim.active, active[i]);
        assert_int_equal(rim.signer.count, 4);
    }
}

/* The published report of this very firmware matches its published manifest; the signer's certificate ended in 2025. */
static void test_published_firmware(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    char path[512];
    static clo_attest_result result;
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/nvidia-gpu", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip_because("the published manifests are not beside the project (../shared/vectors)");
    clo_attest_part evidence[1] = {{.role = "report"}}, more[2] = {{.role = "cert_chain"}, {.role = "vbios_rim"}};
    assert_ok(clo_vectors_read(&a, path, "sdk-hopper-535.spdm.bin", &evidence[0].bytes));
    assert_ok(clo_vectors_read(&a, path, "sdk-hopper-535.chain.pem", &more[0].bytes));
    assert_ok(clo_vectors_read(&a, path, "rim-1010_0200_882_96005E0001_PROD.swidtag", &more[1].bytes));
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.skip_revocation = true;
    int64_t now = 0;
    assert_ok(clo_time_parse(&now, clo_span_str("2024-06-01T00:00:00Z")));
    assert_ok(clo_attest_verify(&a, "nvidia-gpu", evidence, 1, more, 2, &p, now, &result));
    if (!result.valid) fail_msg("%s: %s", result.reason, result.detail);
    assert_ok(clo_time_parse(&now, clo_span_str("2026-01-01T00:00:00Z")));
    assert_ok(clo_attest_verify(&a, "nvidia-gpu", evidence, 1, more, 2, &p, now, &result));
    assert_string_equal(result.reason, "collateral_expired");
}

static int set_up(void **state)
{
    clo_buf_init(&usual, 1 << 20);
    if (gpu_set_up(state) != 0) return -1;
    gpu_rim_make(&(gpu_rim_options){.vbios = false}, &usual);
    return 0;
}

static int tear_down(void **state)
{
    clo_buf_free(&usual);
    return gpu_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual),    cmocka_unit_test(test_content),      cmocka_unit_test(test_shape), cmocka_unit_test(test_wrapping),
        cmocka_unit_test(test_every_length), cmocka_unit_test(test_bits), cmocka_unit_test(test_published), cmocka_unit_test(test_published_firmware),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
