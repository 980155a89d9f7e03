/* TPM structures: layouts, keys and claims. */
#include "attest/tpm_quote.h"

#include "base/clo_buf.h"

#include <stdio.h>

static const uint32_t generated = 0xff544347u; /* TPM_GENERATED_VALUE */
enum { ST_QUOTE = 0x8018, NONCE_MAX = 128, NAME_MAX = 68 };
enum { CURVE_P256 = 3, CURVE_P384 = 4, CURVE_P521 = 5 };

clo_err clo_attest_tpm_noted(clo_attest_context *c, clo_err e, const char *name, const char *reason, const char *expected, bool *ok)
{
    *ok = !clo_failed(e);
    if (!*ok && !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, name, *ok, reason, expected, *ok ? "read" : clo_err_text());
    return CLO_OK;
}

/* A TPM2B: its 16-bit size and bytes. */
static clo_span take_sized(clo_rd *r, size_t most)
{
    clo_rd sub = clo_rd_vec16(r);
    if (sub.bad || sub.left > most) {
        r->bad = true;
        r->left = 0;
        return clo_span_of(NULL, 0);
    }
    return clo_span_of(sub.p, sub.left);
}

static clo_err take_selections(clo_rd *r, tpm_quote *q)
{
    uint32_t count = clo_rd_u32be(r);
    CLO_CHECKF(r->bad || count <= TPM_SELECTIONS_MAX, CLO_E_MALFORMED, "the quote selects of %u banks", (unsigned)count);
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        tpm_selection s = {.hash = clo_rd_u16be(r)};
        uint8_t size = clo_rd_u8(r);
        CLO_CHECKF(r->bad || size <= 4, CLO_E_MALFORMED, "the quote selects registers beyond 32");
        for (unsigned k = 0; k < size; k++) s.registers |= (uint32_t)clo_rd_u8(r) << (8 * k);
        for (size_t k = 0; k < q->selection_count; k++)
            CLO_CHECKF(q->selections[k].hash != s.hash, CLO_E_DUPLICATE, "the quote selects of bank 0x%x twice", (unsigned)s.hash);
        q->selections[q->selection_count++] = s;
    }
    return CLO_OK;
}

clo_err clo_attest_tpm_quote_parse(clo_span bytes, tpm_quote *out)
{
    tpm_quote q = {.whole = bytes};
    clo_rd r = clo_rd_init(bytes);
    uint32_t magic = clo_rd_u32be(&r);
    uint16_t type = clo_rd_u16be(&r);
    CLO_CHECKF(r.bad || magic == generated, CLO_E_MALFORMED, "the bytes were not made by a TPM: they begin with 0x%08x", (unsigned)magic);
    CLO_CHECKF(r.bad || type == ST_QUOTE, CLO_E_MALFORMED, "the TPM attests something else than registers (type 0x%04x)", (unsigned)type);
    q.qualified_signer = take_sized(&r, NAME_MAX);
    q.extra_data = take_sized(&r, NONCE_MAX);
    q.clock = clo_rd_u64be(&r);
    q.reset_count = clo_rd_u32be(&r);
    q.restart_count = clo_rd_u32be(&r);
    q.safe = clo_rd_u8(&r);
    q.firmware = clo_rd_span(&r, 8);
    CLO_TRY(take_selections(&r, &q));
    q.pcr_digest = take_sized(&r, CLO_HASH_MAX);
    CLO_TRY(clo_rd_end(&r));
    CLO_CHECKF(q.safe <= 1, CLO_E_MALFORMED, "the quote's clock is neither safe nor unsafe");
    *out = q;
    return CLO_OK;
}

clo_err clo_attest_tpm_signature_parse(clo_span bytes, tpm_signature *out)
{
    clo_rd r = clo_rd_init(bytes);
    tpm_signature s = {.alg = clo_rd_u16be(&r)};
    s.hash = clo_rd_u16be(&r);
    s.r = take_sized(&r, 1024);
    bool rsa = s.alg == TPM_ALG_RSASSA || s.alg == TPM_ALG_RSAPSS;
    CLO_CHECKF(r.bad || rsa || s.alg == TPM_ALG_ECDSA, CLO_E_UNSUPPORTED, "signature algorithm 0x%04x of the TPM is not known here", (unsigned)s.alg);
    if (!rsa) s.s = take_sized(&r, 66);
    CLO_TRY(clo_rd_end(&r));
    *out = s;
    return CLO_OK;
}

/* A scheme and its hash, which TPM_ALG_NULL has not. */
static void take_scheme(clo_rd *r, tpm_public *p)
{
    p->scheme = clo_rd_u16be(r);
    if (p->scheme != TPM_ALG_NULL) p->scheme_hash = clo_rd_u16be(r);
}

clo_err clo_attest_tpm_public_parse(clo_span bytes, tpm_public *out)
{
    clo_rd r = clo_rd_init(bytes);
    tpm_public p = {.type = clo_rd_u16be(&r)};
    p.name_alg = clo_rd_u16be(&r);
    p.attributes = clo_rd_u32be(&r);
    p.policy = take_sized(&r, CLO_HASH_MAX);
    uint16_t symmetric = clo_rd_u16be(&r);
    CLO_CHECKF(r.bad || p.type == TPM_ALG_RSA || p.type == TPM_ALG_ECC, CLO_E_UNSUPPORTED, "the attestation key is of type 0x%04x; RSA and ECC are known",
               (unsigned)p.type);
    CLO_CHECKF(r.bad || symmetric == TPM_ALG_NULL, CLO_E_MALFORMED, "the attestation key is made for encryption");
    take_scheme(&r, &p);
    if (p.type == TPM_ALG_RSA) {
        uint16_t bits = clo_rd_u16be(&r);
        p.exponent = clo_rd_u32be(&r);
        p.x = take_sized(&r, 1024);
        CLO_CHECKF(r.bad || p.x.n * 8 == bits, CLO_E_MALFORMED, "the modulus has %zu bytes, not %u bits", p.x.n, (unsigned)bits);
    } else {
        p.curve = clo_rd_u16be(&r);
        uint16_t kdf = clo_rd_u16be(&r);
        if (kdf != TPM_ALG_NULL) (void)clo_rd_u16be(&r);
        p.x = take_sized(&r, 66);
        p.y = take_sized(&r, 66);
    }
    CLO_TRY(clo_rd_end(&r));
    *out = p;
    return CLO_OK;
}

clo_err clo_attest_tpm_public_key(const tpm_public *p, clo_crypto_verify_key **out)
{
    if (p->type == TPM_ALG_RSA) {
        uint32_t e = p->exponent == 0 ? 65537 : p->exponent;
        uint8_t exponent[4] = {(uint8_t)(e >> 24), (uint8_t)(e >> 16), (uint8_t)(e >> 8), (uint8_t)e};
        return clo_crypto_verify_key_of_rsa(p->x, clo_span_of(exponent, sizeof exponent), out);
    }
    static const struct {
        uint16_t curve;
        clo_crypto_sign_alg alg;
        size_t half;
    } curves[] = {{CURVE_P256, CLO_SIGN_ES256, 32}, {CURVE_P384, CLO_SIGN_ES384, 48}, {CURVE_P521, CLO_SIGN_ES512, 66}};
    size_t i = 0, count = sizeof curves / sizeof curves[0];
    while (i < count && curves[i].curve != p->curve) i++;
    CLO_CHECKF(i < count, CLO_E_UNSUPPORTED, "curve 0x%04x of the TPM is not known here", (unsigned)p->curve);
    size_t half = curves[i].half;
    CLO_CHECKF(p->x.n <= half && p->y.n <= half, CLO_E_MALFORMED, "the point of the attestation key is too long for its curve");
    uint8_t point[CLO_SIGN_PUBLIC_MAX] = {4};
    memcpy(point + 1 + half - p->x.n, p->x.p, p->x.n);
    memcpy(point + 1 + 2 * half - p->y.n, p->y.p, p->y.n);
    clo_crypto_public_key key;
    CLO_TRY(clo_crypto_public_key_parse(curves[i].alg, clo_span_of(point, 1 + 2 * half), &key));
    return clo_crypto_verify_key_of_public(&key, out);
}

static clo_err selection_claims(clo_arena *a, const tpm_selection *s, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *list = NULL, *n = NULL;
    char hash[8];
    (void)snprintf(hash, sizeof hash, "0x%x", (unsigned)s->hash);
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "hash", hash));
    CLO_TRY(clo_wire_array(a, &list));
    for (unsigned i = 0; i < 32; i++) {
        if (((s->registers >> i) & 1) == 0) continue;
        CLO_TRY(clo_wire_int(a, i, &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    CLO_TRY(clo_wire_set(a, map, "pcrs", list));
    *out = map;
    return CLO_OK;
}

clo_err clo_attest_tpm_quote_claims(clo_arena *a, const tpm_quote *q, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *list = NULL, *one = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "type", "0x8018"));
    CLO_TRY(clo_wire_set_bytes(a, map, "qualified_signer", q->qualified_signer));
    CLO_TRY(clo_wire_set_bytes(a, map, "extra_data", q->extra_data));
    CLO_TRY(clo_wire_set_int(a, map, "clock", q->clock <= INT64_MAX ? (int64_t)q->clock : INT64_MAX));
    CLO_TRY(clo_wire_set_int(a, map, "reset_count", q->reset_count));
    CLO_TRY(clo_wire_set_int(a, map, "restart_count", q->restart_count));
    CLO_TRY(clo_wire_set_int(a, map, "safe", q->safe));
    CLO_TRY(clo_wire_set_bytes(a, map, "firmware_version", q->firmware));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < q->selection_count; i++) {
        CLO_TRY(selection_claims(a, &q->selections[i], &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_set(a, map, "pcr_select", list));
    CLO_TRY(clo_wire_set_bytes(a, map, "pcr_digest", q->pcr_digest));
    CLO_TRY(clo_wire_set_int(a, map, "trailing", 0));
    *out = map;
    return CLO_OK;
}
