#include "nvidia_fixture.h"

#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/xml.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>

gpu_identity gpu_root, gpu_ca, gpu_device, gpu_leaf, gpu_other_root, gpu_rim_root, gpu_rim_signer, gpu_responder;
uint8_t gpu_fwid[48], gpu_nonce[32];
static gpu_identity *const all[] = {&gpu_root, &gpu_ca, &gpu_device, &gpu_leaf, &gpu_other_root, &gpu_rim_root, &gpu_rim_signer, &gpu_responder};
static uint64_t serial = 100;

/* NVIDIA's form of the extension: version, key, and the FWID at the end. */
static size_t dice(uint8_t to[128])
{
    static const uint8_t head[] = {0x30, 0x44, 0x02, 0x01, 0x01, 0x30, 0x00, 0x30, 0x3d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x04, 0x30};
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, gpu_fwid, 48);
    return sizeof head + 48;
}

void gpu_certify(gpu_identity *i, const char *name, const gpu_identity *issuer, char kind, int64_t from, int64_t to)
{
    static const uint8_t eku[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09};
    uint8_t room[128];
    clo_crypto_extension one = {.oid = kind == 'l' ? "2.23.133.5.4.1" : "2.5.29.37"};
    one.der = kind == 'l' ? clo_span_of(room, dice(room)) : clo_span_of(eku, sizeof eku);
    clo_crypto_cert_request r = {.common_name = name, .not_before = from, .not_after = to, .is_ca = kind == 'r', .serial = serial++};
    r.extensions = &one;
    r.extension_count = kind == 'l' || kind == 'o' ? 1 : 0;
    clo_buf_clear(&i->der);
    clo_crypto_cert_free(&i->cert);
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&i->pem), issuer == NULL ? NULL : issuer->cert, clo_buf_span(issuer == NULL ? &i->pem : &issuer->pem), &i->der));
    assert_ok(clo_crypto_cert_parse(&i->cert, clo_buf_span(&i->der)));
}

void gpu_chain(clo_buf *pem)
{
    clo_buf_clear(pem);
    gpu_identity *const chain[] = {&gpu_leaf, &gpu_device, &gpu_ca, &gpu_root};
    for (size_t i = 0; i < 4; i++) assert_ok(clo_crypto_cert_to_pem(chain[i]->cert, pem));
}

void gpu_measurement(unsigned index, uint8_t to[48])
{
    for (unsigned i = 0; i < 48; i++) to[i] = (uint8_t)(index * 7 + i);
}

static void put_u16le(clo_buf *b, size_t v)
{
    assert_ok(clo_buf_put_u8(b, (uint8_t)(v & 0xff)));
    assert_ok(clo_buf_put_u8(b, (uint8_t)(v >> 8)));
}

static void put_field(clo_buf *b, uint16_t type, const void *value, size_t n)
{
    put_u16le(b, type);
    put_u16le(b, n);
    assert_ok(clo_buf_put(b, value, n));
}

static void put_opaque(const gpu_report_options *o, clo_buf *out)
{
    static const uint8_t vbios[8] = {0, 0x9f, 0, 0x96, 1, 0, 0, 0};
    CLO_AUTO(clo_buf_free) clo_buf fields;
    clo_buf_init(&fields, 4096);
    const char *driver = o->driver == NULL ? "550.90.07" : o->driver;
    uint8_t nvdec = o->nvdec_enabled ? 0xaa : 0x55, fwid[48];
    memcpy(fwid, gpu_fwid, 48);
    if (o->other_fwid) fwid[0] ^= 1;
    put_field(&fields, 6, vbios, 8);
    put_field(&fields, 3, driver, strlen(driver) + 1);
    put_field(&fields, 11, &nvdec, 1);
    if (!o->no_fwid) put_field(&fields, 20, fwid, 48);
    put_u16le(out, fields.len);
    assert_ok(clo_buf_put_span(out, clo_buf_span(&fields)));
}

void gpu_report_sign(clo_buf *report)
{
    clo_crypto_private_key key;
    assert_ok(clo_crypto_keypair_private(clo_buf_span(&gpu_leaf.pem), &key));
    assert_ok(clo_crypto_sign(&key, clo_span_of(report->p, report->len - 96), report->p + report->len - 96));
}

void gpu_report_make(const gpu_report_options *o, clo_buf *out)
{
    static const uint8_t request[4] = {0x11, 0xe0, 1, 0xff}, response[4] = {0x11, 0x60, 0, 0}, signature[96] = {0};
    uint8_t value[48];
    clo_buf_clear(out);
    assert_ok(clo_buf_put(out, request, 4));
    assert_ok(clo_buf_put(out, gpu_nonce, 32));
    assert_ok(clo_buf_put_u8(out, 0));
    assert_ok(clo_buf_put(out, response, 4));
    size_t length = GPU_BLOCKS * 55;
    assert_ok(clo_buf_put_u8(out, GPU_BLOCKS));
    put_u16le(out, length & 0xffff);
    assert_ok(clo_buf_put_u8(out, (uint8_t)(length >> 16)));
    for (unsigned i = 1; i <= GPU_BLOCKS; i++) {
        gpu_measurement(i, value);
        if (i == o->changed_block) value[5] ^= 0x10;
        assert_ok(clo_buf_put_u8(out, (uint8_t)(o->twice != 0 && i == o->twice + 1u ? o->twice : i)));
        assert_ok(clo_buf_put_u8(out, 1));
        put_u16le(out, 51);
        assert_ok(clo_buf_put_u8(out, 1));
        put_u16le(out, 48);
        assert_ok(clo_buf_put(out, value, 48));
    }
    assert_ok(clo_buf_put(out, gpu_fwid, 32));
    put_opaque(o, out);
    assert_ok(clo_buf_put(out, signature, 96));
    gpu_report_sign(out);
}

#define DS "http://www.w3.org/2000/09/xmldsig#"
#define C14N11 "http://www.w3.org/2006/12/xml-c14n11"

static void rim_text(const gpu_rim_options *o, const char *digest, const char *signature, clo_buf *xml)
{
    clo_buf_clear(xml);
    const char *version = o->version != NULL ? o->version : o->vbios ? "96.00.9F.00.01" : "550.90.07";
    assert_ok(clo_buf_printf(xml,
                             "<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" "
                             "xmlns:n=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" xmlns:h=\"http://www.w3.org/2001/04/xmlenc#sha384\" "
                             "name=\"GH100\" tagId=\"t1\">\n  <n:Entity name=\"test &amp; co\"/>\n  <n:Meta colloquialVersion=\"%s\" product=\"%s\"/>\n  <n:Payload>\n",
                             version, o->product == NULL ? "GH100" : o->product));
    for (unsigned i = 0; i < (o->few ? 4u : (unsigned)GPU_BLOCKS); i++) {
        bool active = o->few ? i < 2 : o->vbios ? i >= 32 : i < 32;
        uint8_t value[48];
        char hex[97];
        gpu_measurement(i + 1, value);
        if (o->wrong != 0 && i == o->wrong) value[0] ^= 1;
        clo_hex_encode(hex, clo_span_of(value, 48));
        assert_ok(clo_buf_printf(xml, "    <n:Resource type=\"Measurement\" index=\"%u\" active=\"%s\" alternatives=\"2\" h:Hash0=\"%096d\" h:Hash1=\"%s\" size=\"48\"/>\n", i,
                                 active ? "True" : "False", 0, hex));
    }
    assert_ok(clo_buf_printf(xml, "  </n:Payload>\n%s", o->inject == NULL ? "" : o->inject));
    assert_ok(clo_buf_printf(xml,
                             "<ds:Signature xmlns:ds=\"" DS "\"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm=\"" C14N11 "\"/>"
                             "<ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384\"/><ds:Reference URI=\"\"><ds:Transforms>"
                             "<ds:Transform Algorithm=\"" DS "enveloped-signature\"/><ds:Transform Algorithm=\"" C14N11 "\"/></ds:Transforms>"
                             "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#sha384\"/><ds:DigestValue>%s</ds:DigestValue>"
                             "</ds:Reference></ds:SignedInfo><ds:SignatureValue>%s</ds:SignatureValue><ds:KeyInfo><ds:X509Data>",
                             digest, signature));
    gpu_identity *const signers[] = {&gpu_rim_signer, &gpu_rim_root};
    for (size_t i = 0; i < 2; i++) {
        CLO_AUTO(clo_buf_free) clo_buf text;
        clo_buf_init(&text, 8192);
        assert_ok(clo_base64_encode(&text, clo_buf_span(&signers[i]->der)));
        assert_ok(clo_buf_printf(xml, "<ds:X509Certificate>%.*s\n%.*s</ds:X509Certificate>", 64, (const char *)text.p, (int)text.len - 64, (const char *)text.p + 64));
    }
    assert_ok(clo_buf_put_str(xml, "</ds:X509Data></ds:KeyInfo></ds:Signature></SoftwareIdentity>"));
}

/* Canonical form of the document without its signature, or of SignedInfo. */
static void canonical(clo_span xml, bool info, clo_buf *out)
{
    CLO_AUTO(clo_wire_xml_free) clo_wire_xml *doc = NULL;
    assert_ok(clo_wire_xml_parse(xml, &doc));
    const clo_wire_xml_element *e = clo_wire_xml_child(clo_wire_xml_root(doc)), *signature = NULL;
    for (; e != NULL; e = clo_wire_xml_next(e)) signature = e;
    clo_buf_clear(out);
    assert_ok(clo_wire_xml_canonical(doc, info ? clo_wire_xml_child(signature) : NULL, info ? NULL : signature, CLO_XML_C14N_1_1, out));
}

void gpu_rim_make(const gpu_rim_options *o, clo_buf *xml)
{
    CLO_AUTO(clo_buf_free) clo_buf form;
    CLO_AUTO(clo_buf_free) clo_buf digest;
    CLO_AUTO(clo_buf_free) clo_buf signature;
    clo_buf_init(&form, 1 << 20);
    clo_buf_init(&digest, 256);
    clo_buf_init(&signature, 256);
    uint8_t hash[48], rs[96];
    const char *digest_text = NULL, *signature_text = NULL;
    rim_text(o, "", "", xml);
    canonical(clo_buf_span(xml), false, &form);
    assert_ok(clo_crypto_hash(CLO_HASH_SHA384, clo_buf_span(&form), hash));
    assert_ok(clo_base64_encode(&digest, clo_span_of(hash, 48)));
    assert_ok(clo_buf_cstr(&digest, &digest_text));
    rim_text(o, digest_text, "", xml);
    canonical(clo_buf_span(xml), true, &form);
    clo_crypto_private_key key;
    assert_ok(clo_crypto_keypair_private(clo_buf_span(o->other_signer ? &gpu_rim_root.pem : &gpu_rim_signer.pem), &key));
    assert_ok(clo_crypto_sign(&key, clo_buf_span(&form), rs));
    assert_ok(clo_base64_encode(&signature, clo_span_of(rs, 96)));
    assert_ok(clo_buf_cstr(&signature, &signature_text));
    rim_text(o, digest_text, signature_text, xml);
}

static X509 *x509_of(const gpu_identity *i)
{
    const uint8_t *at = i->der.p;
    X509 *x = d2i_X509(NULL, &at, (long)i->der.len);
    assert_non_null(x);
    return x;
}

void gpu_ocsp_make(const gpu_ocsp_options *o, clo_buf *der)
{
    const gpu_identity *signed_by = o->signer == NULL ? o->issuer : o->signer;
    X509 *subject = x509_of(o->subject), *issuer = x509_of(o->issuer), *signer = x509_of(signed_by);
    BIO *bio = BIO_new_mem_buf(signed_by->pem.p, (int)signed_by->pem.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(o->sha256 ? EVP_sha256() : EVP_sha1(), subject, issuer);
    ASN1_TIME *from = ASN1_GENERALIZEDTIME_set(NULL, (time_t)(o->from != 0 ? o->from : GPU_NOW - GPU_DAY));
    ASN1_TIME *to = o->no_next ? NULL : ASN1_GENERALIZEDTIME_set(NULL, (time_t)(o->to != 0 ? o->to : GPU_NOW + GPU_DAY));
    int status = o->revoked ? V_OCSP_CERTSTATUS_REVOKED : o->unknown ? V_OCSP_CERTSTATUS_UNKNOWN : V_OCSP_CERTSTATUS_GOOD;
    for (int i = 0; i < (o->twice ? 2 : 1); i++) assert_non_null(OCSP_basic_add1_status(basic, id, status, o->reason, o->revoked ? from : NULL, from, to));
    unsigned char nonce[16] = "0123456789abcde";
    if (o->with_nonce) assert_int_equal(OCSP_basic_add1_nonce(basic, nonce, 16), 1);
    assert_int_equal(OCSP_basic_sign(basic, signer, key, EVP_sha384(), NULL, 0), 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    uint8_t *bytes = NULL;
    int n = i2d_OCSP_RESPONSE(response, &bytes);
    assert_true(n > 0);
    clo_buf_clear(der);
    assert_ok(clo_buf_put(der, bytes, (size_t)n));
    OPENSSL_free(bytes);
    OCSP_RESPONSE_free(response);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(subject);
    X509_free(issuer);
    X509_free(signer);
}

int gpu_set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 48; i++) gpu_fwid[i] = (uint8_t)(0xf0 ^ i);
    for (size_t i = 0; i < 32; i++) gpu_nonce[i] = (uint8_t)(0x21 + i);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        clo_buf_init(&all[i]->pem, 8192);
        clo_buf_init(&all[i]->der, 8192);
        if (clo_failed(clo_crypto_keypair_make(CLO_KEYPAIR_P384, &all[i]->pem))) return -1;
    }
    int64_t from = GPU_NOW - 10 * GPU_DAY, to = GPU_NOW + 10 * GPU_DAY;
    gpu_certify(&gpu_root, "Test Device Identity CA", NULL, 'r', from, to);
    gpu_certify(&gpu_ca, "Test GH100 Identity", &gpu_root, 'r', from, to);
    gpu_certify(&gpu_device, "GH100 A01 GSP BROM", &gpu_ca, 'r', from, to);
    gpu_certify(&gpu_leaf, "GH100 A01 GSP FMC LF", &gpu_device, 'l', from, to);
    gpu_certify(&gpu_other_root, "Other CA", NULL, 'r', from, to);
    gpu_certify(&gpu_rim_root, "Test RIM CA", NULL, 'r', from, to);
    gpu_certify(&gpu_rim_signer, "Test RIM signer", &gpu_rim_root, 's', from, to);
    gpu_certify(&gpu_responder, "Test responder", &gpu_root, 'o', from, to);
    return 0;
}

int gpu_tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        clo_buf_free(&all[i]->pem);
        clo_buf_free(&all[i]->der);
        clo_crypto_cert_free(&all[i]->cert);
    }
    return 0;
}
