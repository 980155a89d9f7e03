/* Checking an enveloped XML signature. The shape is matched element by element, so that nothing stands in it that was not looked at. */
#include "wire/xml_signature.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/verify_key.h"

#define XMLDSIG_MORE "http://www.w3.org/2001/04/xmldsig-more#"
#define XMLENC "http://www.w3.org/2001/04/xmlenc#"

enum { SIGNATURE_BYTES_MAX = 1024, CERT_BYTES_MAX = 16 * 1024 };

static const struct {
    const char *name;
    clo_wire_xml_canonical_form form;
} forms[] = {
    {"http://www.w3.org/TR/2001/REC-xml-c14n-20010315", CLO_XML_C14N_1_0},
    {"http://www.w3.org/2006/12/xml-c14n11", CLO_XML_C14N_1_1},
    {"http://www.w3.org/2001/10/xml-exc-c14n#", CLO_XML_C14N_EXCLUSIVE},
};
static const struct {
    const char *name;
    clo_crypto_hash_alg hash;
} digests[] = {
    {XMLENC "sha256", CLO_HASH_SHA256},
    {XMLDSIG_MORE "sha384", CLO_HASH_SHA384},
    {XMLENC "sha512", CLO_HASH_SHA512},
};
static const struct {
    const char *name;
    clo_crypto_scheme scheme;
} schemes[] = {
    {XMLDSIG_MORE "ecdsa-sha256", CLO_SCHEME_ES256}, {XMLDSIG_MORE "ecdsa-sha384", CLO_SCHEME_ES384},
    {XMLDSIG_MORE "ecdsa-sha512", CLO_SCHEME_ES512}, {XMLDSIG_MORE "rsa-sha256", CLO_SCHEME_RS256},
    {XMLDSIG_MORE "rsa-sha384", CLO_SCHEME_RS384},   {XMLDSIG_MORE "rsa-sha512", CLO_SCHEME_RS512},
};

typedef struct {
    const clo_wire_xml_element *signature, *signed_info, *value, *key_info, *digest_value;
    clo_wire_xml_canonical_form info_form, document_form;
    clo_crypto_scheme scheme;
    clo_crypto_hash_alg hash;
} shape;

static bool is(const clo_wire_xml_element *e, const char *name) { return e != NULL && clo_wire_xml_is(e, CLO_XML_DSIG, name); }

/* The element after `*at` in document order, not below `without`. */
static const clo_wire_xml_element *next_in_document(const clo_wire_xml_element *at, const clo_wire_xml_element *without)
{
    const clo_wire_xml_element *below = at == without ? NULL : clo_wire_xml_child(at);
    if (below != NULL) return below;
    while (at != NULL) {
        const clo_wire_xml_element *beside = clo_wire_xml_next(at);
        if (beside != NULL) return beside;
        at = clo_wire_xml_parent(at);
    }
    return NULL;
}

static clo_err find_signature(const clo_wire_xml *doc, const clo_wire_xml_element **out)
{
    const clo_wire_xml_element *root = clo_wire_xml_root(doc), *found = NULL;
    for (const clo_wire_xml_element *e = clo_wire_xml_child(root); e != NULL; e = clo_wire_xml_next(e)) {
        if (!is(e, "Signature")) continue;
        CLO_CHECKF(found == NULL, CLO_E_MALFORMED, "the document has two signatures");
        found = e;
    }
    CLO_CHECKF(found != NULL, CLO_E_MALFORMED, "the document has no signature directly in its root element");
    CLO_CHECKF(clo_wire_xml_next(found) == NULL, CLO_E_MALFORMED, "there are elements behind the signature");
    for (const clo_wire_xml_element *e = root; e != NULL; e = next_in_document(e, found)) {
        CLO_CHECKF(e == found || !clo_wire_xml_is(e, CLO_XML_DSIG, NULL), CLO_E_MALFORMED,
                   "the document has an element of a signature outside its signature");
    }
    *out = found;
    return CLO_OK;
}

/* An element without content and with one attribute, Algorithm. */
static clo_err algorithm_of(const clo_wire_xml_element *e, clo_span *out)
{
    clo_span text;
    CLO_TRY(clo_wire_xml_text(e, &text));
    *out = clo_wire_xml_attribute(e, NULL, "Algorithm");
    CLO_CHECKF(text.n == 0 && out->p != NULL && clo_wire_xml_attribute_count(e) == 1, CLO_E_MALFORMED,
               "an algorithm of the signature has parameters, or no name");
    return CLO_OK;
}

static clo_err take_form(const clo_wire_xml_element *e, clo_wire_xml_canonical_form *out)
{
    clo_span name;
    CLO_TRY(algorithm_of(e, &name));
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (!clo_span_equal(name, clo_span_str(forms[i].name))) continue;
        *out = forms[i].form;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the signature's canonicalisation or transform is not accepted");
}

/* Transforms: the enveloped signature left out, then the canonical form (C14N 1.0 where none is named). */
static clo_err take_transforms(const clo_wire_xml_element *e, shape *s)
{
    const clo_wire_xml_element *first = clo_wire_xml_child(e);
    clo_span name;
    CLO_CHECKF(clo_wire_xml_only_elements(e) && clo_wire_xml_attribute_count(e) == 0 && is(first, "Transform"), CLO_E_MALFORMED,
               "the signature's transforms are not a list of them");
    CLO_TRY(algorithm_of(first, &name));
    CLO_CHECKF(clo_span_equal(name, clo_span_str(CLO_XML_DSIG "enveloped-signature")), CLO_E_UNSUPPORTED,
               "the signature's first transform is not enveloped-signature");
    const clo_wire_xml_element *second = clo_wire_xml_next(first);
    s->document_form = CLO_XML_C14N_1_0;
    if (second == NULL) return CLO_OK;
    CLO_CHECKF(is(second, "Transform") && clo_wire_xml_next(second) == NULL, CLO_E_MALFORMED, "the signature has more transforms than two");
    return take_form(second, &s->document_form);
}

static clo_err take_reference(const clo_wire_xml_element *e, shape *s)
{
    clo_span uri = clo_wire_xml_attribute(e, NULL, "URI"), name;
    CLO_CHECKF(clo_wire_xml_only_elements(e) && uri.p != NULL && uri.n == 0 && clo_wire_xml_attribute_count(e) == 1, CLO_E_MALFORMED,
               "the signature's reference is not to the whole document");
    const clo_wire_xml_element *transforms = clo_wire_xml_child(e);
    const clo_wire_xml_element *method = transforms == NULL ? NULL : clo_wire_xml_next(transforms);
    s->digest_value = method == NULL ? NULL : clo_wire_xml_next(method);
    CLO_CHECKF(is(transforms, "Transforms") && is(method, "DigestMethod") && is(s->digest_value, "DigestValue") &&
                   clo_wire_xml_next(s->digest_value) == NULL,
               CLO_E_MALFORMED, "the signature's reference is not Transforms, DigestMethod, DigestValue");
    CLO_TRY(take_transforms(transforms, s));
    CLO_TRY(algorithm_of(method, &name));
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        if (!clo_span_equal(name, clo_span_str(digests[i].name))) continue;
        s->hash = digests[i].hash;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the signature's digest is not SHA-256, SHA-384 or SHA-512");
}

static clo_err take_signed_info(const clo_wire_xml_element *e, shape *s)
{
    const clo_wire_xml_element *form = clo_wire_xml_child(e);
    const clo_wire_xml_element *method = form == NULL ? NULL : clo_wire_xml_next(form);
    const clo_wire_xml_element *reference = method == NULL ? NULL : clo_wire_xml_next(method);
    CLO_CHECKF(clo_wire_xml_only_elements(e) && clo_wire_xml_attribute_count(e) == 0 && is(form, "CanonicalizationMethod") &&
                   is(method, "SignatureMethod") && is(reference, "Reference") && clo_wire_xml_next(reference) == NULL,
               CLO_E_MALFORMED, "SignedInfo is not CanonicalizationMethod, SignatureMethod and one Reference");
    clo_span name;
    CLO_TRY(take_form(form, &s->info_form));
    CLO_TRY(take_reference(reference, s));
    CLO_TRY(algorithm_of(method, &name));
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!clo_span_equal(name, clo_span_str(schemes[i].name))) continue;
        s->scheme = schemes[i].scheme;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the signature's algorithm is not ECDSA or RSA with SHA-256, SHA-384 or SHA-512");
}

static clo_err take_shape(const clo_wire_xml *doc, shape *s)
{
    CLO_TRY(find_signature(doc, &s->signature));
    s->signed_info = clo_wire_xml_child(s->signature);
    s->value = s->signed_info == NULL ? NULL : clo_wire_xml_next(s->signed_info);
    s->key_info = s->value == NULL ? NULL : clo_wire_xml_next(s->value);
    CLO_CHECKF(clo_wire_xml_only_elements(s->signature) && clo_wire_xml_attribute_count(s->signature) == 0 && is(s->signed_info, "SignedInfo") &&
                   is(s->value, "SignatureValue") && is(s->key_info, "KeyInfo") && clo_wire_xml_next(s->key_info) == NULL &&
                   clo_wire_xml_attribute_count(s->value) == 0,
               CLO_E_MALFORMED, "the signature is not SignedInfo, SignatureValue, KeyInfo");
    return take_signed_info(s->signed_info, s);
}

/* base64 of an element's text, in which white space may stand anywhere. */
static clo_err take_base64(const clo_wire_xml_element *e, clo_buf *out)
{
    clo_span text;
    CLO_TRY(clo_wire_xml_text(e, &text));
    CLO_AUTO(clo_buf_free) clo_buf dense;
    clo_buf_init(&dense, 2 * CERT_BYTES_MAX);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') CLO_TRY(clo_buf_put_u8(&dense, c));
    }
    return clo_base64_decode(out, clo_buf_span(&dense));
}

static clo_err take_certs(clo_arena *a, const clo_wire_xml_element *key_info, clo_wire_xml_signer *out)
{
    const clo_wire_xml_element *data = clo_wire_xml_child(key_info);
    CLO_CHECKF(is(data, "X509Data") && clo_wire_xml_next(data) == NULL && clo_wire_xml_only_elements(key_info) && clo_wire_xml_only_elements(data),
               CLO_E_MALFORMED, "KeyInfo holds something else than certificates");
    CLO_AUTO(clo_buf_free) clo_buf der;
    clo_buf_init(&der, CERT_BYTES_MAX);
    for (const clo_wire_xml_element *e = clo_wire_xml_child(data); e != NULL; e = clo_wire_xml_next(e)) {
        CLO_CHECKF(is(e, "X509Certificate"), CLO_E_MALFORMED, "KeyInfo holds something else than certificates");
        CLO_CHECKF(out->count < CLO_XML_CERTS_MAX, CLO_E_TOO_MANY, "the signature has more than %d certificates", (int)CLO_XML_CERTS_MAX);
        clo_buf_clear(&der);
        CLO_TRY(take_base64(e, &der));
        CLO_TRY(clo_arena_copy(a, clo_buf_span(&der), &out->certs[out->count]));
        out->count++;
    }
    CLO_CHECKF(out->count != 0, CLO_E_MALFORMED, "the signature has no certificate");
    return CLO_OK;
}

static clo_err check_digest(const clo_wire_xml *doc, const shape *s, clo_buf *work)
{
    uint8_t digest[CLO_HASH_MAX];
    CLO_TRY(clo_wire_xml_canonical(doc, NULL, s->signature, s->document_form, work));
    CLO_TRY(clo_crypto_hash(s->hash, clo_buf_span(work), digest));
    CLO_AUTO(clo_buf_free) clo_buf want;
    clo_buf_init(&want, CLO_HASH_MAX);
    CLO_TRY(take_base64(s->digest_value, &want));
    CLO_CHECKF(clo_span_equal(clo_buf_span(&want), clo_span_of(digest, clo_crypto_hash_size(s->hash))), CLO_E_BAD_SIGNATURE,
               "the document is not what was signed: its digest differs");
    return CLO_OK;
}

static clo_err check_signature(const clo_wire_xml *doc, const shape *s, clo_span cert_der, clo_buf *work)
{
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    CLO_AUTO(clo_buf_free) clo_buf value;
    clo_buf_init(&value, SIGNATURE_BYTES_MAX);
    CLO_TRY(take_base64(s->value, &value));
    CLO_TRY(clo_crypto_cert_parse(&cert, cert_der));
    CLO_TRY(clo_crypto_verify_key_of_cert(cert, &key));
    CLO_CHECKF(clo_crypto_verify_key_fits(key, s->scheme), CLO_E_UNSUPPORTED, "the signature's algorithm does not fit the signer's key");
    clo_buf_clear(work);
    CLO_TRY(clo_wire_xml_canonical(doc, s->signed_info, NULL, s->info_form, work));
    return clo_crypto_verify_with(key, s->scheme, clo_buf_span(work), clo_buf_span(&value));
}

CLO_R clo_wire_xml_signature_verify(clo_arena *a, const clo_wire_xml *doc, clo_wire_xml_signer *out)
{
    shape s = {.signature = NULL};
    clo_wire_xml_signer signer = {.count = 0};
    CLO_AUTO(clo_buf_free) clo_buf work;
    clo_buf_init(&work, 4 * CLO_XML_MAX);
    CLO_TRY(take_shape(doc, &s));
    CLO_TRY(take_certs(a, s.key_info, &signer));
    CLO_TRY(check_digest(doc, &s, &work));
    CLO_TRY(check_signature(doc, &s, signer.certs[0], &work));
    *out = signer;
    return CLO_OK;
}
