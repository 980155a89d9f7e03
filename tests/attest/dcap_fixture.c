#include "dcap_fixture.h"

#include "base/clo_text.h"
#include "crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>

dcap_identity dcap_root, dcap_ca, dcap_pck_identity, dcap_signer, dcap_stranger;
clo_attest_result dcap_result;
static clo_crypto_private_key attestation_key;
static clo_crypto_public_key attestation_public;

static const uint8_t qe_mrsigner[32] = {0x8c, 0x4f, 0x57};
#define LEVEL_HEAD "{\"tcb\":{\"sgxtcbcomponents\":"
static const char sixteen_fives[] = "[{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},"
                                    "{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5},{\"svn\":5}]";

static void identity_new(dcap_identity *i)
{
    clo_buf_init(&i->key, 8192);
    clo_buf_init(&i->der, 8192);
    i->cert = NULL;
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &i->key));
}

static void identity_end(dcap_identity *i)
{
    clo_buf_free(&i->key);
    clo_buf_free(&i->der);
    clo_crypto_cert_free(&i->cert);
}

int dcap_set_up(void **state)
{
    (void)state;
    identity_new(&dcap_root);
    identity_new(&dcap_ca);
    identity_new(&dcap_pck_identity);
    identity_new(&dcap_signer);
    identity_new(&dcap_stranger);
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES256, &attestation_key, &attestation_public));
    dcap_certify(NULL);
    return 0;
}

int dcap_tear_down(void **state)
{
    (void)state;
    identity_end(&dcap_root);
    identity_end(&dcap_ca);
    identity_end(&dcap_pck_identity);
    identity_end(&dcap_signer);
    identity_end(&dcap_stranger);
    return 0;
}

/* ---- certificates ---- */

static void der_put(clo_buf *to, uint8_t tag, clo_span content)
{
    assert_ok(clo_buf_put_u8(to, tag));
    if (content.n >= 0x100) {
        assert_ok(clo_buf_put_u8(to, 0x82));
        assert_ok(clo_buf_put_u16be(to, (uint16_t)content.n));
    } else {
        if (content.n >= 0x80) assert_ok(clo_buf_put_u8(to, 0x81));
        assert_ok(clo_buf_put_u8(to, (uint8_t)content.n));
    }
    assert_ok(clo_buf_put_span(to, content));
}

/* SEQUENCE { extension OID . arcs, tag value } */
static void item_put(clo_buf *to, const char *arcs, size_t arc_count, uint8_t tag, clo_span value)
{
    static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    uint8_t whole[16];
    CLO_AUTO(clo_buf_free) clo_buf item;
    clo_buf_init(&item, 4096);
    memcpy(whole, oid, sizeof oid);
    memcpy(whole + sizeof oid, arcs, arc_count);
    der_put(&item, 0x06, clo_span_of(whole, sizeof oid + arc_count));
    der_put(&item, tag, value);
    der_put(to, 0x30, clo_buf_span(&item));
}

static void number_put(clo_buf *to, char last, uint8_t value)
{
    uint8_t bytes[2] = {0, value};
    char arcs[2] = {2, last};
    item_put(to, arcs, 2, 0x02, value < 0x80 ? clo_span_of(bytes + 1, 1) : clo_span_of(bytes, 2));
}

static void extension_make(const dcap_certificates *c, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf tcb;
    CLO_AUTO(clo_buf_free) clo_buf list;
    clo_buf_init(&tcb, 4096);
    clo_buf_init(&list, 4096);
    uint8_t component = c->component == 0 ? 5 : c->component, bytes[16], type = 1;
    for (char i = 1; i <= 16; i++) number_put(&tcb, i, component);
    number_put(&tcb, 17, c->pce_svn == 0 ? 11 : c->pce_svn);
    memset(bytes, component, sizeof bytes);
    item_put(&tcb, "\x02\x12", 2, 0x04, clo_span_of(bytes, 16));
    memset(bytes, 0xa1, sizeof bytes);
    item_put(&list, "\x01", 1, 0x04, clo_span_of(bytes, 16));
    item_put(&list, "\x02", 1, 0x30, clo_buf_span(&tcb));
    item_put(&list, "\x03", 1, 0x04, clo_span_of("\0\0", 2));
    if (!c->extension_cut) item_put(&list, "\x04", 1, 0x04, clo_span_of("\x90\xc0\x6f\0\0\0", 6));
    item_put(&list, "\x05", 1, 0x0a, clo_span_of(&type, 1));
    memset(bytes, 0xb2, sizeof bytes);
    item_put(&list, "\x06", 1, 0x04, clo_span_of(bytes, 16));
    der_put(out, 0x30, clo_buf_span(&list));
}

static void certify(dcap_identity *i, const dcap_identity *issuer, clo_crypto_cert_request r)
{
    clo_buf_clear(&i->der);
    clo_crypto_cert_free(&i->cert);
    r.not_before = r.not_before == 0 ? DCAP_NOW - 100 * DCAP_DAY : r.not_before;
    r.not_after = r.not_after == 0 ? DCAP_NOW + 100 * DCAP_DAY : r.not_after;
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&i->key), issuer == NULL ? NULL : issuer->cert, clo_buf_span(issuer == NULL ? &i->key : &issuer->key), &i->der));
    assert_ok(clo_crypto_cert_parse(&i->cert, clo_buf_span(&i->der)));
}

static const char *or_usual(const char *text, const char *usual) { return text == NULL ? usual : text; }

void dcap_certify(const dcap_certificates *given)
{
    static const dcap_certificates usual = {.pck_name = NULL};
    const dcap_certificates *c = given == NULL ? &usual : given;
    CLO_AUTO(clo_buf_free) clo_buf extension;
    clo_buf_init(&extension, 4096);
    extension_make(c, &extension);
    const clo_crypto_extension list[] = {{"1.2.840.113741.1.13.1", clo_buf_span(&extension)}};
    certify(&dcap_root, NULL, (clo_crypto_cert_request){.common_name = "Intel SGX Root CA", .is_ca = true, .serial = 1});
    certify(&dcap_stranger, NULL, (clo_crypto_cert_request){.common_name = "Intel SGX Root CA", .is_ca = true, .serial = 2});
    certify(&dcap_ca, &dcap_root,
            (clo_crypto_cert_request){.common_name = or_usual(c->ca_name, "Intel SGX PCK Platform CA"), .is_ca = !c->ca_signs_nothing, .serial = 3, .not_after = c->ca_to});
    certify(&dcap_pck_identity, c->pck_by_root ? &dcap_root : &dcap_ca,
            (clo_crypto_cert_request){.common_name = or_usual(c->pck_name, "Intel SGX PCK Certificate"), .serial = 4, .not_after = c->pck_to,
                                      .extensions = list, .extension_count = c->no_extension ? 0 : 1});
    certify(&dcap_signer, &dcap_root,
            (clo_crypto_cert_request){.common_name = or_usual(c->signer_name, "Intel SGX TCB Signing"), .serial = 5, .not_before = c->signer_from, .not_after = c->signer_to});
}

void dcap_pem_make(clo_buf *out, const dcap_identity *const *chain)
{
    for (size_t i = 0; chain[i] != NULL; i++) assert_ok(clo_crypto_cert_to_pem(chain[i]->cert, out));
}

void dcap_crl_make(const dcap_identity *issuer, int64_t from, int64_t to, const dcap_identity *revoked, clo_buf *out)
{
    const clo_crypto_cert *list[1] = {revoked == NULL ? NULL : revoked->cert};
    assert_ok(clo_crypto_crl_make(issuer->cert, clo_buf_span(&issuer->key), from, to, list, revoked == NULL ? 0 : 1, out));
}

/* ---- quotes ---- */

void dcap_plan_usual(dcap_plan *p, uint16_t version, dcap_body_type body)
{
    static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    memset(p, 0, sizeof *p);
    p->version = version;
    p->body_type = (uint16_t)body;
    p->zero_ended = true;
    p->header[0] = (uint8_t)version;
    p->header[2] = 2;
    p->header[4] = body == DCAP_BODY_SGX ? 0 : DCAP_TEE_TDX;
    memcpy(p->header + 12, vendor, sizeof vendor);
    p->body_size = body == DCAP_BODY_SGX ? DCAP_SGX_BODY_SIZE : body == DCAP_BODY_TD10 ? DCAP_TD10_BODY_SIZE : DCAP_TD15_BODY_SIZE;
    if (body == DCAP_BODY_SGX) {
        p->body[48] = DCAP_INIT | 0x04;
        memset(p->body + 64, 0x11, 32);  /* MRENCLAVE */
        memset(p->body + 128, 0x22, 32); /* MRSIGNER */
        memset(p->body + 320, 0x33, 64); /* report data */
    } else {
        memcpy(p->body, "\x05\x01\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05", 16);
        p->body[120 + 3] = 0x10;         /* SEPT_VE_DISABLE */
        memset(p->body + 136, 0x11, 48); /* MRTD */
        memset(p->body + 520, 0x33, 64);
        memcpy(p->body + 584, p->body, 16);
    }
    p->qe[48] = 0x15;
    memcpy(p->qe + 128, qe_mrsigner, sizeof qe_mrsigner);
    p->qe[256] = body == DCAP_BODY_SGX ? 1 : 2;
    p->qe[258] = 5; /* ISV SVN */
    memset(p->auth_data, 0x44, sizeof p->auth_data);
}

static void put_u16le(clo_buf *to, size_t v)
{
    assert_ok(clo_buf_put_u8(to, (uint8_t)v));
    assert_ok(clo_buf_put_u8(to, (uint8_t)(v >> 8)));
}

static void put_qe_part(const dcap_plan *p, clo_buf *out)
{
    uint8_t qe[384], bound[96], rs[64];
    clo_crypto_private_key pck;
    CLO_AUTO(clo_buf_free) clo_buf chain;
    clo_buf_init(&chain, DCAP_QUOTE_MAX);
    memcpy(qe, p->qe, sizeof qe);
    memcpy(bound, attestation_public.bytes + 1, 64);
    memcpy(bound + 64, p->auth_data, 32);
    if (!p->keep_report_data) assert_ok(clo_crypto_sha256(clo_span_of(bound, sizeof bound), qe + 320));
    assert_ok(clo_crypto_keypair_private(clo_buf_span(&dcap_pck_identity.key), &pck));
    assert_ok(clo_crypto_sign(&pck, clo_span_of(qe, sizeof qe), rs));
    assert_ok(clo_buf_put(out, qe, sizeof qe));
    assert_ok(clo_buf_put(out, rs, sizeof rs));
    put_u16le(out, sizeof p->auth_data);
    assert_ok(clo_buf_put(out, p->auth_data, sizeof p->auth_data));
    const dcap_identity *const certs[] = {&dcap_pck_identity, &dcap_ca, &dcap_root, NULL};
    if (!p->pck_apart) dcap_pem_make(&chain, certs);
    if (p->pck_apart) assert_ok(clo_buf_put_str(&chain, "a PPID and two SVNs"));
    if (p->zero_ended) assert_ok(clo_buf_put_u8(&chain, 0));
    put_u16le(out, p->pck_apart ? 1u : (size_t)DCAP_CERT_CHAIN);
    assert_ok(clo_buf_put_u32le(out, (uint32_t)chain.len));
    assert_ok(clo_buf_put_span(out, clo_buf_span(&chain)));
}

void dcap_quote_make(const dcap_plan *p, clo_buf *out)
{
    uint8_t rs[64];
    CLO_AUTO(clo_buf_free) clo_buf part;
    clo_buf_init(&part, DCAP_QUOTE_MAX);
    clo_buf_clear(out);
    assert_ok(clo_buf_put(out, p->header, sizeof p->header));
    if (p->version == 5) {
        put_u16le(out, p->body_type);
        assert_ok(clo_buf_put_u32le(out, (uint32_t)p->body_size));
    }
    assert_ok(clo_buf_put(out, p->body, p->body_size));
    assert_ok(clo_crypto_sign(&attestation_key, clo_buf_span(out), rs));
    put_qe_part(p, &part);
    assert_ok(clo_buf_put_u32le(out, (uint32_t)(128 + (p->version == 3 ? 0u : 6u) + part.len)));
    assert_ok(clo_buf_put(out, rs, sizeof rs));
    assert_ok(clo_buf_put(out, attestation_public.bytes + 1, 64));
    if (p->version != 3) {
        put_u16le(out, 6);
        assert_ok(clo_buf_put_u32le(out, (uint32_t)part.len));
    }
    assert_ok(clo_buf_put_span(out, clo_buf_span(&part)));
    for (size_t i = 0; i < p->trailing; i++) assert_ok(clo_buf_put_u8(out, (uint8_t)i));
}

/* ---- documents ---- */

static void document_make(const char *member, const clo_buf *body, const dcap_identity *signer, clo_buf *out)
{
    uint8_t rs[64];
    char hex[129];
    clo_crypto_private_key key;
    assert_ok(clo_crypto_keypair_private(clo_buf_span(&signer->key), &key));
    assert_ok(clo_crypto_sign(&key, clo_buf_span(body), rs));
    clo_hex_encode(hex, clo_span_of(rs, sizeof rs));
    clo_buf_clear(out);
    assert_ok(clo_buf_printf(out, "{\"%s\":", member));
    assert_ok(clo_buf_put_span(out, clo_buf_span(body)));
    assert_ok(clo_buf_printf(out, ",\"signature\":\"%s\"}", hex));
}

static void put_window(clo_buf *body, int64_t issued, int64_t next_update)
{
    char from[21], to[21];
    clo_time_format(from, issued == 0 ? DCAP_NOW - DCAP_DAY : issued);
    clo_time_format(to, next_update == 0 ? DCAP_NOW + DCAP_DAY : next_update);
    assert_ok(clo_buf_printf(body, "\"issueDate\":\"%s\",\"nextUpdate\":\"%s\",", from, to));
}

static void put_usual_levels(const dcap_documents_plan *d, clo_buf *body)
{
    if (d->version2) {
        assert_ok(clo_buf_put_str(body, "[{\"tcb\":{"));
        for (int i = 1; i <= 16; i++) assert_ok(clo_buf_printf(body, "\"sgxtcbcomp%02dsvn\":5,", i));
        assert_ok(clo_buf_put_str(body, "\"pcesvn\":11},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]"));
        return;
    }
    assert_ok(clo_buf_printf(body, "[" LEVEL_HEAD "%s,\"pcesvn\":11%s%s},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]", sixteen_fives,
                             d->tdx ? ",\"tdxtcbcomponents\":" : "", d->tdx ? sixteen_fives : ""));
}

#define MODULE_IDENTITY                                                                                                             \
    "\"mrsigner\":\"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\","           \
    "\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\""

void dcap_tcb_info_make(const dcap_documents_plan *d, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, 65536);
    assert_ok(clo_buf_put_u8(&body, '{'));
    if (!d->version2) assert_ok(clo_buf_printf(&body, "\"id\":\"%s\",", or_usual(d->id, d->tdx ? "TDX" : "SGX")));
    assert_ok(clo_buf_printf(&body, "\"version\":%d,", d->version2 ? 2 : 3));
    put_window(&body, d->issued, d->next_update);
    assert_ok(clo_buf_printf(&body, "\"fmspc\":\"%s\",\"pceId\":\"%s\",\"tcbType\":0,\"tcbEvaluationDataNumber\":%u,%s", or_usual(d->fmspc, "90C06f000000"),
                             or_usual(d->pceid, "0000"), d->evaluation_number == 0 ? 17 : d->evaluation_number, or_usual(d->extra, "")));
    if (d->tdx) {
        assert_ok(clo_buf_put_str(&body, "\"tdxModule\":{" MODULE_IDENTITY "},"));
        assert_ok(clo_buf_put_str(&body, or_usual(d->modules, "\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE_IDENTITY ",\"tcbLevels\":["
                                                              "{\"tcb\":{\"isvsvn\":5},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"},"
                                                              "{\"tcb\":{\"isvsvn\":2},\"tcbDate\":\"2024-01-01T00:00:00Z\",\"tcbStatus\":\"OutOfDate\","
                                                              "\"advisoryIDs\":[\"INTEL-SA-01036\"]}]}],")));
    }
    assert_ok(clo_buf_put_str(&body, "\"tcbLevels\":"));
    if (d->levels != NULL) assert_ok(clo_buf_put_str(&body, d->levels));
    if (d->levels == NULL) put_usual_levels(d, &body);
    assert_ok(clo_buf_put_u8(&body, '}'));
    document_make("tcbInfo", &body, d->signer == NULL ? &dcap_signer : d->signer, out);
}

void dcap_qe_identity_make(const dcap_documents_plan *d, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf body;
    char mrsigner[65];
    clo_buf_init(&body, 65536);
    clo_hex_encode(mrsigner, clo_span_of(qe_mrsigner, sizeof qe_mrsigner));
    assert_ok(clo_buf_printf(&body, "{\"id\":\"%s\",\"version\":2,", or_usual(d->qe_id, d->tdx ? "TD_QE" : "QE")));
    put_window(&body, 0, d->qe_next_update);
    assert_ok(clo_buf_printf(&body,
                             "\"tcbEvaluationDataNumber\":%u,\"miscselect\":\"00000000\",\"miscselectMask\":\"FFFFFFFF\",\"attributes\":\"%s\","
                             "\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":\"%s\",\"isvprodid\":%d,\"tcbLevels\":%s}",
                             d->qe_evaluation_number == 0 ? 17 : d->qe_evaluation_number, or_usual(d->qe_attributes, "11000000000000000000000000000000"),
                             or_usual(d->qe_mrsigner, mrsigner), d->tdx ? 2 : 1,
                             or_usual(d->qe_levels, "[{\"tcb\":{\"isvsvn\":5},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]")));
    document_make("enclaveIdentity", &body, d->signer == NULL ? &dcap_signer : d->signer, out);
}

/* ---- cases ---- */

void dcap_case_make(dcap_case *t, const dcap_plan *p, const dcap_documents_plan *given)
{
    dcap_documents_plan usual = {.tdx = p->body_type != DCAP_BODY_SGX};
    const dcap_documents_plan *d = given == NULL ? &usual : given;
    const dcap_identity *const signing[] = {&dcap_signer, &dcap_root, NULL}, *const top[] = {&dcap_root, NULL}, *const leaf[] = {&dcap_pck_identity, NULL},
                        *const authorities[] = {&dcap_ca, &dcap_root, NULL};
    clo_buf *all[] = {&t->quote, &t->tcb_info, &t->qe_identity, &t->signing_chain, &t->root_crl, &t->ca_crl, &t->root, &t->pck, &t->authorities};
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) clo_buf_init(all[i], 131072);
    dcap_quote_make(p, &t->quote);
    dcap_tcb_info_make(d, &t->tcb_info);
    dcap_qe_identity_make(d, &t->qe_identity);
    dcap_pem_make(&t->signing_chain, signing);
    dcap_pem_make(&t->root, top);
    if (p->pck_apart) {
        dcap_pem_make(&t->pck, leaf);
        dcap_pem_make(&t->authorities, authorities);
    }
    dcap_crl_make(&dcap_root, DCAP_NOW - DCAP_DAY, DCAP_NOW + DCAP_DAY, NULL, &t->root_crl);
    if (dcap_ca.cert != NULL && clo_crypto_cert_is_ca(dcap_ca.cert)) dcap_crl_make(&dcap_ca, DCAP_NOW - DCAP_DAY, DCAP_NOW + DCAP_DAY, NULL, &t->ca_crl);
    dcap_case_parts(t);
}

void dcap_case_parts(dcap_case *t)
{
    const struct {
        const char *role;
        const clo_buf *bytes;
    } all[] = {{"report", &t->quote},       {"tcb_info", &t->tcb_info},   {"qe_identity", &t->qe_identity}, {"tcb_signing_chain", &t->signing_chain}, {"root_ca_crl", &t->root_crl},
               {"pck_ca_crl", &t->ca_crl},  {"root", &t->root},           {"pck_cert", &t->pck},            {"pck_sign_chain", &t->authorities}};
    t->count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].bytes->len == 0) continue;
        clo_attest_part *part = &t->parts[t->count++];
        (void)snprintf(part->role, sizeof part->role, "%s", all[i].role);
        part->bytes = clo_buf_span(all[i].bytes);
    }
}

void dcap_case_free(dcap_case *t)
{
    clo_buf *all[] = {&t->quote, &t->tcb_info, &t->qe_identity, &t->signing_chain, &t->root_crl, &t->ca_crl, &t->root, &t->pck, &t->authorities};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) clo_buf_free(all[i]);
}

void dcap_policy_usual(clo_attest_policy *p)
{
    clo_attest_policy_init(p);
    p->custom_root = true;
}

const char *dcap_verdict_of(const dcap_case *t, clo_attest_cache *cache, const clo_attest_policy *p, int64_t now)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    const char *type = t->quote.len > 4 && t->quote.p[4] == DCAP_TEE_TDX ? "tdx" : "sgx";
    assert_ok(clo_attest_verify_with(&a, cache, type, t->parts, 1, t->parts + 1, t->count - 1, p, now, &dcap_result));
    dcap_result.claims = NULL; /* the arena's */
    dcap_result.tcb = NULL;
    return dcap_result.valid ? "valid" : dcap_result.reason;
}
