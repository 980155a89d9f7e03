/* Register values that come beside a quote, and the checks that every quote gets. */
#include "attest/tpm_quote.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json_view.h"

#include <stdio.h>

enum { PCRS_JSON_MAX = 32 * 1024 };

static clo_err take_bank(clo_span name, clo_span object, clo_attest_tpm_pcrs *out)
{
    static const uint16_t algs[] = {CLO_TPM_SHA1, CLO_TPM_SHA256, CLO_TPM_SHA384, CLO_TPM_SHA512};
    uint16_t alg = 0;
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        if (clo_span_equal(name, clo_span_str(clo_attest_tpm_hash_name(algs[i])))) alg = algs[i];
    }
    CLO_CHECKF(alg != 0, CLO_E_UNSUPPORTED, "the register values are of a bank that is not known here; sha1, sha256, sha384, sha512 are");
    CLO_CHECKF(clo_attest_tpm_bank_find(out, alg) == NULL && out->count < CLO_TPM_BANKS_MAX, CLO_E_DUPLICATE, "a bank of register values comes twice");
    clo_attest_tpm_bank *bank = &out->banks[out->count++];
    clo_crypto_hash_alg hash;
    clo_span key, value;
    bank->hash = alg;
    CLO_TRY(clo_attest_tpm_hash(alg, &hash));
    clo_wire_json_view v = clo_wire_json_view_object(object);
    while (clo_wire_json_view_next(&v, &key, &value)) {
        uint64_t index = 0;
        CLO_TRY(clo_u64_parse(&index, key));
        CLO_CHECKF(index < CLO_TPM_REGISTERS, CLO_E_RANGE, "a TPM has the registers 0 to %d", (int)CLO_TPM_REGISTERS - 1);
        CLO_CHECKF(!tpm_bit(bank->known, (unsigned)index), CLO_E_DUPLICATE, "the value of register %u comes twice", (unsigned)index);
        CLO_TRY(clo_wire_json_view_hex(value, bank->values[index], clo_crypto_hash_size(hash)));
        bank->known |= UINT32_C(1) << index;
    }
    return clo_wire_json_view_end(&v);
}

clo_err clo_attest_tpm_pcrs_json(clo_span json, clo_attest_tpm_pcrs *out)
{
    CLO_CHECKF(json.n <= PCRS_JSON_MAX, CLO_E_TOO_LARGE, "register values have at most %d bytes", (int)PCRS_JSON_MAX);
    memset(out, 0, sizeof *out);
    clo_wire_json_view v = clo_wire_json_view_object(json);
    clo_span key, value;
    while (clo_wire_json_view_next(&v, &key, &value)) CLO_TRY(take_bank(key, value, out));
    return clo_wire_json_view_end(&v);
}

clo_err clo_attest_tpm_pcrs_raw(clo_span bytes, uint16_t hash, clo_attest_tpm_pcrs *out)
{
    clo_crypto_hash_alg alg;
    CLO_TRY(clo_attest_tpm_hash(hash, &alg));
    size_t size = clo_crypto_hash_size(alg);
    CLO_CHECKF(bytes.n == CLO_TPM_REGISTERS * size, CLO_E_MALFORMED, "the register values have %zu bytes, not %d times %zu", bytes.n,
               (int)CLO_TPM_REGISTERS, size);
    memset(out, 0, sizeof *out);
    out->count = 1;
    out->banks[0].hash = hash;
    out->banks[0].known = (UINT32_C(1) << CLO_TPM_REGISTERS) - 1;
    for (size_t i = 0; i < CLO_TPM_REGISTERS; i++) memcpy(out->banks[0].values[i], bytes.p + i * size, size);
    return CLO_OK;
}

clo_err clo_attest_tpm_pcrs_claims(clo_arena *a, const clo_attest_tpm_bank *bank, uint32_t registers, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    clo_crypto_hash_alg hash;
    CLO_TRY(clo_attest_tpm_hash(bank->hash, &hash));
    CLO_TRY(clo_wire_map(a, &map));
    for (unsigned i = 0; i < CLO_TPM_REGISTERS; i++) {
        char name[4];
        if (!tpm_bit(bank->known & registers, i)) continue;
        (void)snprintf(name, sizeof name, "%u", i);
        CLO_TRY(clo_wire_set_bytes(a, map, name, clo_span_of(bank->values[i], clo_crypto_hash_size(hash))));
    }
    *out = map;
    return CLO_OK;
}

uint32_t clo_attest_tpm_selected(const tpm_quote *q, uint16_t hash)
{
    for (size_t i = 0; i < q->selection_count; i++) {
        if (q->selections[i].hash == hash) return q->selections[i].registers;
    }
    return 0;
}

clo_err clo_attest_tpm_pcr_digest(const tpm_quote *q, const clo_attest_tpm_pcrs *pcrs, clo_crypto_hash_alg hash, uint8_t out[CLO_HASH_MAX])
{
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    CLO_TRY(clo_crypto_hasher_new(&h, hash));
    for (size_t i = 0; i < q->selection_count; i++) {
        const tpm_selection *s = &q->selections[i];
        const clo_attest_tpm_bank *bank = clo_attest_tpm_bank_find(pcrs, s->hash);
        clo_crypto_hash_alg of_bank = CLO_HASH_SHA256;
        if (bank != NULL) CLO_TRY(clo_attest_tpm_hash(bank->hash, &of_bank));
        for (unsigned k = 0; k < 32; k++) {
            if (!tpm_bit(s->registers, k)) continue;
            CLO_CHECKF(bank != NULL && k < CLO_TPM_REGISTERS && tpm_bit(bank->known, k), CLO_E_MISSING_FIELD, "no value of register %u in bank 0x%x", k,
                       (unsigned)s->hash);
            CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(bank->values[k], clo_crypto_hash_size(of_bank))));
        }
    }
    return clo_crypto_hasher_end(h, out);
}

/* The scheme of a TPM's signature; false where there is none of these. */
static bool scheme_of(const tpm_signature *s, clo_crypto_scheme *out)
{
    static const struct {
        uint16_t alg, hash;
        clo_crypto_scheme scheme;
    } schemes[] = {
        {TPM_ALG_RSASSA, CLO_TPM_SHA1, CLO_SCHEME_RS1},
        {TPM_ALG_RSASSA, CLO_TPM_SHA256, CLO_SCHEME_RS256},
        {TPM_ALG_RSASSA, CLO_TPM_SHA384, CLO_SCHEME_RS384},
        {TPM_ALG_RSASSA, CLO_TPM_SHA512, CLO_SCHEME_RS512},
        {TPM_ALG_RSAPSS, CLO_TPM_SHA256, CLO_SCHEME_PS256_ANY_SALT},
        {TPM_ALG_RSAPSS, CLO_TPM_SHA384, CLO_SCHEME_PS384_ANY_SALT},
        {TPM_ALG_RSAPSS, CLO_TPM_SHA512, CLO_SCHEME_PS512_ANY_SALT},
        {TPM_ALG_ECDSA, CLO_TPM_SHA256, CLO_SCHEME_ES256},
        {TPM_ALG_ECDSA, CLO_TPM_SHA384, CLO_SCHEME_ES384},
        {TPM_ALG_ECDSA, CLO_TPM_SHA512, CLO_SCHEME_ES512},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (schemes[i].alg != s->alg || schemes[i].hash != s->hash) continue;
        *out = schemes[i].scheme;
        return true;
    }
    return false;
}

/* TPMs leave out leading zeros of r, s and of RSA signatures; the verification takes fixed lengths. */
static clo_span signature_fixed(const tpm_quoted *q, uint8_t to[1024])
{
    const tpm_signature *s = q->signature;
    clo_crypto_public_key key;
    size_t size = clo_crypto_verify_key_modulus(q->key).n;
    memset(to, 0, 1024);
    if (s->alg != TPM_ALG_ECDSA) {
        if (size < s->r.n) return s->r;
        memcpy(to + size - s->r.n, s->r.p, s->r.n);
        return clo_span_of(to, size);
    }
    if (clo_failed(clo_crypto_verify_key_public(q->key, &key))) return clo_span_of(to, 0);
    size_t half = clo_crypto_signature_size(key.alg) / 2;
    if (s->r.n > half || s->s.n > half) return clo_span_of(to, 0);
    memcpy(to + half - s->r.n, s->r.p, s->r.n);
    memcpy(to + 2 * half - s->s.n, s->s.p, s->s.n);
    return clo_span_of(to, 2 * half);
}

static clo_err judge_signature(clo_attest_context *c, const tpm_quoted *q)
{
    clo_crypto_scheme scheme;
    bool held = false;
    bool weak = q->signature->hash == CLO_TPM_SHA1 && !c->policy->allow_sha1;
    bool known = scheme_of(q->signature, &scheme);
    char got[64];
    (void)snprintf(got, sizeof got, "0x%04x with hash 0x%04x", (unsigned)q->signature->alg, (unsigned)q->signature->hash);
    if (!clo_attest_check_add(c->out, "algorithm", known && !weak, "forbidden_alg", c->policy->allow_sha1 ? "RSASSA, RSAPSS or ECDSA" : "RSASSA, RSAPSS or ECDSA, no SHA-1", got))
        return CLO_OK;
    const char *actual = "no usable attestation key";
    if (q->key != NULL) {
        uint8_t fixed[1024];
        clo_err e = clo_crypto_verify_with(q->key, scheme, q->quote->whole, signature_fixed(q, fixed));
        if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
        held = !clo_failed(e);
        actual = held ? "signed by the attestation key" : "not signed by the attestation key";
    }
    (void)clo_attest_check_add(c->out, "signature", held, q->signature_reason, "signed by the attestation key", actual);
    return CLO_OK;
}

static void judge_banks(clo_attest_context *c, const tpm_quote *q)
{
    bool any = false, weak = false;
    for (size_t i = 0; i < q->selection_count; i++) {
        any = any || q->selections[i].registers != 0;
        weak = weak || (q->selections[i].hash == CLO_TPM_SHA1 && q->selections[i].registers != 0);
    }
    (void)clo_attest_check_add(c->out, "pcr_selection", any, "pcr_digest_mismatch", "at least one register", any ? "registers" : "none");
    if (!c->policy->allow_sha1) {
        (void)clo_attest_check_add(c->out, "pcr_banks", !weak, "forbidden_alg", "no SHA-1 bank", weak ? "a SHA-1 bank" : "no SHA-1 bank");
    }
}

static clo_err judge_digest(clo_attest_context *c, const tpm_quoted *q)
{
    uint8_t digest[CLO_HASH_MAX];
    clo_crypto_hash_alg hash;
    if (q->pcrs == NULL || clo_failed(clo_attest_tpm_hash(q->signature->hash, &hash))) return CLO_OK;
    clo_err e = clo_attest_tpm_pcr_digest(q->quote, q->pcrs, hash, digest);
    if (!clo_failed(e)) {
        (void)clo_attest_check_bytes(c->out, "pcr_digest", "pcr_digest_mismatch", q->quote->pcr_digest, clo_span_of(digest, clo_crypto_hash_size(hash)));
        return CLO_OK;
    }
    if (!clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, "pcr_digest", false, "pcr_digest_mismatch", "a value of every selected register", clo_err_text());
    return CLO_OK;
}

clo_err clo_attest_tpm_quote_judge(clo_attest_context *c, const tpm_quoted *q)
{
    const clo_attest_policy *p = c->policy;
    CLO_TRY(judge_signature(c, q));
    CLO_TRY(judge_digest(c, q));
    judge_banks(c, q->quote);
    if (p->expected_nonce.n != 0) (void)clo_attest_check_bytes(c->out, "nonce", "nonce_mismatch", p->expected_nonce, q->quote->extra_data);
    return CLO_OK;
}
