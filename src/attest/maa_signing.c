/* Azure Attestation: the certificate behind the signing key, and the SGX quote of the service that it can carry. */
#include "attest/demands.h"
#include "attest/maa_int.h"
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/der.h"
#include "wire/json.h"

/* Open Enclave's report: version u32 = 1, type u32 = 2, size u64, then an SGX quote of version 3 whose report body is at 48. */
enum { OE_VERSION = 1, OE_TYPE = 2, QUOTE_BODY = 48, QUOTE_LEAST = 432 };

static const clo_wire_node *key_of_kid(const clo_wire_node *set, clo_span kid)
{
    const clo_wire_node *keys = set->type == CLO_WIRE_MAP ? clo_wire_get(set, "keys") : NULL;
    if (keys == NULL || keys->type != CLO_WIRE_ARRAY) return NULL;
    for (const clo_wire_node *key = keys->first; key != NULL; key = key->next) {
        if (key->type == CLO_WIRE_MAP && clo_span_equal(clo_attest_token_text(key, "kid"), kid)) return key;
    }
    return NULL;
}

static clo_err certificate_of(clo_arena *a, const clo_attest_part *jwks, clo_span kid, clo_crypto_cert **out)
{
    clo_wire_node *set = NULL;
    CLO_TRY(clo_wire_json_decode(a, jwks->bytes, &set));
    const clo_wire_node *key = key_of_kid(set, kid);
    const clo_wire_node *list = key == NULL ? NULL : clo_wire_get(key, "x5c");
    if (list == NULL || list->type != CLO_WIRE_ARRAY || list->first == NULL || list->first->type != CLO_WIRE_TEXT) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf der;
    clo_buf_init(&der, 64 * 1024);
    CLO_TRY(clo_base64_decode(&der, list->first->text));
    return clo_crypto_cert_parse(out, clo_buf_span(&der));
}

static clo_err quote_of(const clo_crypto_cert *cert, clo_span *quote)
{
    static const char *const oids[] = {"1.3.6.1.4.1.311.105.1", "1.2.840.113556.10.1.1"};
    for (size_t i = 0; i < sizeof oids / sizeof oids[0]; i++) {
        clo_span value = {NULL, 0};
        CLO_TRY(clo_crypto_cert_extension(cert, oids[i], &value));
        if (value.n == 0) continue;
        clo_span inner = value;
        if (value.p[0] == CLO_DER_OCTETS && !clo_failed(clo_wire_der_take(&inner, CLO_DER_OCTETS, &value))) inner = value;
        clo_rd r = clo_rd_init(value);
        uint32_t version = clo_rd_u32le(&r), type = clo_rd_u32le(&r);
        uint64_t size = clo_rd_u64le(&r);
        CLO_CHECKF(!r.bad && version == OE_VERSION && type == OE_TYPE && size == r.left && size >= QUOTE_LEAST, CLO_E_MALFORMED,
                   "the signing certificate's extension holds no Open Enclave report");
        *quote = clo_rd_span(&r, r.left);
        return CLO_OK;
    }
    return CLO_OK;
}

static clo_err note_quote(clo_attest_context *c, clo_span quote)
{
    const uint8_t *body = quote.p + QUOTE_BODY;
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(c->arena, &map));
    CLO_TRY(clo_wire_set_bytes(c->arena, map, "mrenclave", clo_span_of(body + 64, 32)));
    CLO_TRY(clo_wire_set_bytes(c->arena, map, "mrsigner", clo_span_of(body + 128, 32)));
    CLO_TRY(clo_wire_set_int(c->arena, map, "isv_prod_id", body[256] | body[257] << 8));
    CLO_TRY(clo_wire_set_int(c->arena, map, "isv_svn", body[258] | body[259] << 8));
    CLO_TRY(clo_wire_set_bool(c->arena, map, "debug", (body[48] & 2) != 0));
    CLO_TRY(clo_wire_set_bytes(c->arena, map, "report_data", clo_span_of(body + 320, 64)));
    return clo_wire_set(c->arena, c->out->claims, "signing_quote", map);
}

/* The SubjectPublicKeyInfo of a certificate, with its head. */
static clo_err spki_of(clo_span cert, clo_span *out)
{
    clo_span whole = {NULL, 0}, tbs = {NULL, 0}, content;
    uint8_t tag = 0;
    CLO_TRY(clo_wire_der_take(&cert, CLO_DER_SEQUENCE, &whole));
    CLO_TRY(clo_wire_der_take(&whole, CLO_DER_SEQUENCE, &tbs));
    for (int before = 0; before < 6; before++) CLO_TRY(clo_wire_der_next(&tbs, &tag, &content)); /* version, serial, algorithm, issuer, validity, subject */
    const uint8_t *from = tbs.p;
    CLO_TRY(clo_wire_der_take(&tbs, CLO_DER_SEQUENCE, &content));
    *out = clo_span_of(from, (size_t)(content.p + content.n - from));
    return CLO_OK;
}

/* The key as PEM text, as Open Enclave hashes it: with its final zero byte. */
static clo_err pem_of(clo_span spki, clo_buf *out)
{
    enum { LINE = 64 };
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 16 * 1024);
    CLO_TRY(clo_base64_encode(&text, spki));
    CLO_TRY(clo_buf_put_str(out, "-----BEGIN PUBLIC KEY-----\n"));
    for (size_t at = 0; at < text.len; at += LINE) {
        CLO_TRY(clo_buf_put(out, text.p + at, text.len - at < LINE ? text.len - at : LINE));
        CLO_TRY(clo_buf_put_u8(out, '\n'));
    }
    return clo_buf_put(out, "-----END PUBLIC KEY-----\n", sizeof "-----END PUBLIC KEY-----\n");
}

/* The quote's report data begins with the hash of the signing key: of its PEM text (with or without the zero byte) or of its DER. */
static clo_err judge_key(clo_attest_context *c, const clo_crypto_cert *cert, clo_span quote)
{
    CLO_AUTO(clo_buf_free) clo_buf pem;
    clo_buf_init(&pem, 16 * 1024);
    clo_span spki = {NULL, 0};
    CLO_TRY(spki_of(clo_crypto_cert_der(cert), &spki));
    CLO_TRY(pem_of(spki, &pem));
    const clo_span forms[] = {clo_buf_span(&pem), clo_span_of(pem.p, pem.len - 1), spki};
    bool found = false;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        uint8_t digest[32];
        CLO_TRY(clo_crypto_sha256(forms[i], digest));
        found = found || memcmp(digest, quote.p + QUOTE_BODY + 320, sizeof digest) == 0;
    }
    (void)clo_attest_check_add(c->out, "signing_quote.key", found, "key_binding", "the hash of the signing key", found ? "the hash of the signing key" : "other data");
    return CLO_OK;
}

/* What the caller demands of the machine is not demanded of the service. */
static clo_err service_policy(clo_attest_context *c, const clo_attest_policy **out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *p = memory;
    *p = *c->policy;
    p->have_report_data = p->have_host_data = p->have_product_tcb = p->min_reported_tcb.have = p->require_binding = false;
    p->expected_nonce = clo_span_of(NULL, 0);
    p->measurement_count = p->id_key_count = p->author_key_count = p->chip_count = 0;
    p->required_claims = p->release_policy = NULL;
    *out = p;
    return CLO_OK;
}

/* Where Intel's collateral is given, the service's enclave is verified like any other. */
static clo_err verify_quote(clo_attest_context *c, const clo_crypto_cert *cert, clo_span quote)
{
    const clo_attest_type *sgx = clo_attest_type_find("sgx");
    if (sgx == NULL || clo_attest_token_collateral(c, "tcb_info") == NULL) return CLO_OK;
    clo_attest_part report = {.role = "report", .bytes = quote};
    clo_attest_context inner = *c;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(clo_attest_result), &memory));
    inner.out = memory;
    inner.evidence = &report;
    inner.evidence_count = 1;
    CLO_TRY(service_policy(c, &inner.policy));
    clo_attest_result_open(inner.out, "sgx");
    CLO_TRY(sgx->verify(&inner));
    clo_attest_result_close(inner.out);
    bool ok = inner.out->valid;
    (void)clo_attest_check_add(c->out, "signing_quote", ok, ok ? "bad_signature" : inner.out->reason, "a valid quote of the service", ok ? "valid" : inner.out->detail);
    if (ok && inner.out->valid_until != 0 && inner.out->valid_until < c->out->valid_until) c->out->valid_until = inner.out->valid_until;
    clo_err e = judge_key(c, cert, quote);
    if (!clo_failed(e) || !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, "signing_quote.key", false, "key_binding", "the hash of the signing key", clo_err_text());
    return CLO_OK;
}

CLO_R clo_attest_maa_judge_certificate(clo_attest_context *c, const clo_wire_jws *jws)
{
    const clo_attest_part *jwks = clo_attest_token_collateral(c, "jwks");
    if (jwks == NULL || jws->kid.n == 0 || c->out->reason[0] != '\0') return CLO_OK;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    clo_err e = certificate_of(c->arena, jwks, jws->kid, &cert);
    clo_span quote = {NULL, 0};
    int64_t from = 0, to = 0;
    if (!clo_failed(e) && cert == NULL) return CLO_OK;
    if (!clo_failed(e)) e = clo_crypto_cert_window(cert, &from, &to);
    if (!clo_failed(e)) e = quote_of(cert, &quote);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, "key.certificate", false, "bad_key", "a certificate", clo_err_text());
        return CLO_OK;
    }
    (void)clo_attest_check_window(c->out, "key.certificate", "collateral_", from, to, c->now);
    if (quote.n == 0) return CLO_OK;
    CLO_TRY(note_quote(c, quote));
    return verify_quote(c, cert, quote);
}
