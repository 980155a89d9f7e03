/* TPM 2.0 quotes: the quote under its attestation key, the registers, the event log, and who answers for the key.
 *
 * Roles: message (TPMS_ATTEST), signature_tpmt, the key as ak_public_tpmt or ak_public_spki_der and/or ak_certificate (with ak_chain, leaf's
 * issuer first), pcrs_json or pcrs_sha256, event_log; collateral root, crl_N. A key counts where its certificate chains to a root that the
 * policy pins, where the policy pins SHA-256 of its public area (which is its TPM name) or SubjectPublicKeyInfo itself, or where the caller
 * vouches for it. */
#include "attest/chain.h"
#include "attest/tpm_quote.h"

#include "base/clo_own.h"

#include <stdio.h>

enum { FIXED_TPM = 1, FIXED_PARENT = 4, DATA_ORIGIN = 5, RESTRICTED = 16, DECRYPT = 17, SIGN = 18 };

typedef struct {
    bool have_area, have_public;
    tpm_public area;
    clo_crypto_verify_key *key;
    uint8_t sha256[32]; /* of the public part as it was given */
    clo_attest_chain chain;
} tpm_ak;

static void ak_end(tpm_ak *ak)
{
    clo_crypto_verify_key_free(&ak->key);
    clo_attest_chain_free(&ak->chain);
}

static clo_err take_public(clo_attest_context *c, tpm_ak *ak)
{
    const clo_attest_part *area = clo_attest_part_find(c, "ak_public_tpmt"), *spki = clo_attest_part_find(c, "ak_public_spki_der");
    const clo_attest_part *given = area != NULL ? area : spki;
    bool ok = false;
    if (given == NULL) return CLO_OK;
    ak->have_public = true;
    CLO_TRY(clo_crypto_sha256(given->bytes, ak->sha256));
    if (area == NULL) return clo_attest_tpm_noted(c, clo_crypto_verify_key_of_spki(spki->bytes, &ak->key), "ak", "bad_key", "a SubjectPublicKeyInfo", &ok);
    CLO_TRY(clo_attest_tpm_noted(c, clo_attest_tpm_public_parse(area->bytes, &ak->area), "ak", "malformed", "a public area (TPMT_PUBLIC)", &ok));
    if (!ok) return CLO_OK;
    ak->have_area = true;
    return clo_attest_tpm_noted(c, clo_attest_tpm_public_key(&ak->area, &ak->key), "ak.key", "bad_key", "an RSA or EC key that is strong enough", &ok);
}

static bool same_key(const clo_crypto_verify_key *a, const clo_crypto_verify_key *b)
{
    clo_crypto_public_key x, y;
    if (clo_crypto_verify_key_rsa_bits(a) != 0) return clo_span_equal(clo_crypto_verify_key_modulus(a), clo_crypto_verify_key_modulus(b));
    return !clo_failed(clo_crypto_verify_key_public(a, &x)) && !clo_failed(clo_crypto_verify_key_public(b, &y)) && clo_crypto_public_key_equal(&x, &y);
}

/* The certificate, its issuers, and the pinned root behind them. Its key is the public part's, where both are there. */
static clo_err take_certificate(clo_attest_context *c, tpm_ak *ak)
{
    static const char *const roles[] = {"ak_certificate", "ak_chain", "root"};
    if (clo_attest_part_find(c, "ak_certificate") == NULL) return CLO_OK;
    bool ok = true;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0] && ok; i++) {
        const clo_attest_part *part = clo_attest_part_find(c, roles[i]);
        if (part == NULL || (i == 2 && clo_crypto_cert_self_issued(ak->chain.certs[ak->chain.count - 1]))) continue;
        CLO_TRY(clo_attest_tpm_noted(c, clo_attest_chain_take(&ak->chain, part->bytes), roles[i], "bad_chain", "X.509 certificates", &ok));
    }
    if (!ok || ak->chain.count == 0) return CLO_OK;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *certified = NULL;
    CLO_TRY(clo_attest_tpm_noted(c, clo_crypto_verify_key_of_cert(ak->chain.certs[0], &certified), "ak_certificate.key", "bad_key", "an RSA or EC key that is strong enough", &ok));
    if (!ok) return CLO_OK;
    if (ak->key == NULL) {
        if (!ak->have_public) ak->key = CLO_TAKE(certified);
        return CLO_OK;
    }
    bool same = same_key(ak->key, certified);
    (void)clo_attest_check_add(c->out, "ak_certificate.subject", same, "key_binding", "the attestation key", same ? "the attestation key" : "another key");
    return CLO_OK;
}

/* Only a key that its TPM made, keeps and uses for its own structures alone keeps anybody from making quotes by hand. */
static void judge_area(clo_attest_context *c, const tpm_ak *ak, const tpm_signature *s)
{
    static const uint32_t must = UINT32_C(1) << FIXED_TPM | UINT32_C(1) << FIXED_PARENT | UINT32_C(1) << DATA_ORIGIN | UINT32_C(1) << RESTRICTED | UINT32_C(1) << SIGN;
    static const uint32_t must_not = UINT32_C(1) << DECRYPT;
    if (!ak->have_area) return;
    char got[64];
    (void)snprintf(got, sizeof got, "0x%x", (unsigned)ak->area.attributes);
    bool ok = (ak->area.attributes & must) == must && (ak->area.attributes & must_not) == 0;
    (void)clo_attest_check_add(c->out, "ak.attributes", ok, "bad_key", "fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign, not decrypt", got);
    if (s == NULL) return;
    bool fits = ak->area.scheme == s->alg && ak->area.scheme_hash == s->hash;
    (void)snprintf(got, sizeof got, "0x%04x with hash 0x%04x", (unsigned)s->alg, (unsigned)s->hash);
    (void)clo_attest_check_add(c->out, "ak.scheme", fits, "bad_key", "the key's own signature scheme", fits ? "the key's own signature scheme" : got);
}

/* crl_N is the list of the Nth authority below the root, crl_0 (or crl) the root's own. Who names no list needs none. */
static clo_err judge_lists(clo_attest_context *c, const clo_attest_chain *chain)
{
    for (size_t i = 0; i + 1 < chain->count; i++) {
        char role[32];
        clo_span named = {NULL, 0}, list;
        bool ok = false;
        (void)snprintf(role, sizeof role, "crl_%zu", chain->count - 2 - i);
        list = clo_attest_part_bytes(c, role);
        if (list.n == 0 && i + 2 == chain->count) list = clo_attest_part_bytes(c, "crl");
        clo_err e = clo_crypto_cert_extension(chain->certs[i], "2.5.29.31", &named);
        if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
        if (list.n != 0 || clo_failed(e) || named.p != NULL) CLO_TRY(clo_attest_chain_revocation(c, chain, i, list, &ok));
    }
    return CLO_OK;
}

static clo_err judge_trust(clo_attest_context *c, const tpm_ak *ak)
{
    const clo_attest_policy *p = c->policy;
    bool ok = false;
    if (ak->chain.count != 0) {
        CLO_TRY(clo_attest_chain_judge(c, &ak->chain, CLO_ATTEST_ANCHOR_PINNED, false, &ok));
        return judge_lists(c, &ak->chain);
    }
    if (p->root_count != 0) {
        (void)clo_attest_check_one_of(c->out, "ak.pin", "wrong_root", &p->roots[0][0], p->root_count, clo_span_of(ak->sha256, sizeof ak->sha256));
        return CLO_OK;
    }
    (void)clo_attest_check_add(c->out, "ak.trust", p->ak_trusted, "unknown_key", "a key with a certificate, or pinned (roots)",
                               p->ak_trusted ? "vouched for by the caller" : "a key that nobody answers for");
    return CLO_OK;
}

static clo_err take_pcrs(clo_attest_context *c, clo_attest_tpm_pcrs *pcrs, bool *there)
{
    const clo_attest_part *json = clo_attest_part_find(c, "pcrs_json"), *raw = clo_attest_part_find(c, "pcrs_sha256"),
                          *log = clo_attest_part_find(c, "event_log");
    if (json != NULL) return clo_attest_tpm_noted(c, clo_attest_tpm_pcrs_json(json->bytes, pcrs), "pcrs", "malformed", "values of registers by bank and number", there);
    if (raw != NULL) return clo_attest_tpm_noted(c, clo_attest_tpm_pcrs_raw(raw->bytes, CLO_TPM_SHA256, pcrs), "pcrs", "malformed", "24 values of SHA-256", there);
    *there = false;
    if (log == NULL) return CLO_OK;
    /* Without values the log's own stand in; the quote's digest tells whether they are right. */
    clo_err e = clo_attest_tpm_log_replay(log->bytes, pcrs, NULL);
    if (clo_failed(e)) return clo_attest_err_is_about_input(e) ? CLO_OK : e;
    for (size_t i = 0; i < pcrs->count; i++) pcrs->banks[i].known = (UINT32_C(1) << CLO_TPM_REGISTERS) - 1;
    *there = true;
    return CLO_OK;
}

static clo_err set_claims(clo_arena *a, const tpm_quote *q, const tpm_ak *ak, const clo_attest_tpm_pcrs *pcrs, clo_wire_node *claims)
{
    clo_wire_node *node = NULL;
    CLO_TRY(clo_attest_tpm_quote_claims(a, q, &node));
    CLO_TRY(clo_wire_set(a, claims, "quote", node));
    if (ak->have_area) {
        char text[16];
        (void)snprintf(text, sizeof text, "0x%x", (unsigned)ak->area.attributes);
        CLO_TRY(clo_wire_set_text(a, claims, "ak_object_attributes", text));
    } else {
        CLO_TRY(clo_wire_null(a, &node));
        CLO_TRY(clo_wire_set(a, claims, "ak_object_attributes", node));
    }
    if (ak->have_public) CLO_TRY(clo_wire_set_bytes(a, claims, "ak_sha256", clo_span_of(ak->sha256, sizeof ak->sha256)));
    for (size_t i = 0; i < q->selection_count && pcrs != NULL; i++) {
        const clo_attest_tpm_bank *bank = clo_attest_tpm_bank_find(pcrs, q->selections[i].hash);
        if (bank == NULL) continue;
        char name[16] = "pcrs";
        if (i != 0) (void)snprintf(name, sizeof name, "pcrs_%s", clo_attest_tpm_hash_name(bank->hash));
        CLO_TRY(clo_attest_tpm_pcrs_claims(a, bank, q->selections[i].registers, &node));
        CLO_TRY(clo_wire_set(a, claims, name, node));
    }
    return CLO_OK;
}

/* The part of the appraisal for which a quote that could be read is needed. */
static clo_err judge_quote(clo_attest_context *c, const tpm_quote *q, const tpm_signature *s, const tpm_ak *ak)
{
    clo_attest_tpm_pcrs pcrs;
    bool have_pcrs = false;
    CLO_TRY(take_pcrs(c, &pcrs, &have_pcrs));
    tpm_quoted quoted = {.quote = q, .signature = s, .key = ak->key, .pcrs = have_pcrs ? &pcrs : NULL, .signature_reason = "bad_signature"};
    if (s != NULL) CLO_TRY(clo_attest_tpm_quote_judge(c, &quoted));
    if (c->policy->have_report_data) {
        (void)clo_attest_check_bytes(c->out, "report_data", "report_data_mismatch", clo_span_of(c->policy->report_data, sizeof c->policy->report_data), q->extra_data);
    }
    CLO_TRY(set_claims(c->arena, q, ak, quoted.pcrs, c->out->claims));
    clo_span log = clo_attest_part_bytes(c, "event_log");
    if (log.n != 0 && have_pcrs) CLO_TRY(clo_attest_tpm_log_judge(c, log, q, &pcrs, c->out->claims));
    return CLO_OK;
}

CLO_R clo_attest_tpm_verify(clo_attest_context *c)
{
    CLO_AUTO(ak_end) tpm_ak ak = {.chain = {.name = "ak"}};
    tpm_quote q;
    tpm_signature s;
    bool have_quote = false, have_signature = false;
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    CLO_TRY(clo_attest_tpm_noted(c, clo_attest_tpm_quote_parse(clo_attest_part_bytes(c, "message"), &q), "message", "malformed", "a quote (TPMS_ATTEST)", &have_quote));
    CLO_TRY(clo_attest_tpm_noted(c, clo_attest_tpm_signature_parse(clo_attest_part_bytes(c, "signature_tpmt"), &s), "signature_tpmt", "malformed", "a signature (TPMT_SIGNATURE)",
                  &have_signature));
    CLO_TRY(take_public(c, &ak));
    CLO_TRY(take_certificate(c, &ak));
    if (ak.key == NULL && !ak.have_public && ak.chain.count == 0) {
        (void)clo_attest_check_add(c->out, "ak", false, "malformed", "ak_public_tpmt, ak_public_spki_der or ak_certificate", "none");
    }
    if (have_quote) CLO_TRY(judge_quote(c, &q, have_signature ? &s : NULL, &ak));
    judge_area(c, &ak, have_signature ? &s : NULL);
    return judge_trust(c, &ak);
}

bool clo_attest_tpm_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    for (size_t i = 0; i < evidence_count; i++) {
        if (strcmp(evidence[i].role, "message") == 0) return evidence[i].bytes.n > 6 && memcmp(evidence[i].bytes.p, "\xff\x54\x43\x47\x80\x18", 6) == 0;
    }
    return false;
}
