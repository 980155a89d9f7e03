/* What SGX and TDX share: the quote's signatures, Intel's collateral, and the QE. */
#include "attest/dcap_int.h"
#include "base/clo_own.h"
#include "crypto/hash.h"

#include <stdio.h>

static const char by_pck[] = "ECDSA P-256 by the PCK", by_key[] = "ECDSA P-256 by the attestation key";

/* *ok where a signature holds; an error that is not about the bytes is the call's. */
static clo_err outcome(clo_err e, bool *ok)
{
    *ok = !clo_failed(e);
    return *ok || clo_attest_err_is_about_input(e) ? CLO_OK : e;
}

static clo_err take_key(clo_attest_context *c, const dcap_quote *q, dcap_collateral *k)
{
    clo_crypto_public_key key = {.alg = CLO_SIGN_ES256, .n = 65};
    bool ok = k->platform_known;
    key.bytes[0] = 4;
    memcpy(key.bytes + 1, q->key.p, 64);
    if (!ok) CLO_TRY(outcome(clo_crypto_load_public(&key, &k->platform->attestation_key), &ok));
    (void)clo_attest_check_add(c->out, "attestation_key", ok, "bad_key", "a point of P-256", ok ? "a point of P-256" : "no point of it");
    return CLO_OK;
}

/* The QE's report carries SHA-256(attestation key ‖ authentication data) and zeros. */
static clo_err check_binding(clo_attest_context *c, const dcap_quote *q)
{
    __attribute__((cleanup(clo_crypto_hasher_free))) clo_crypto_hasher *h = NULL;
    uint8_t want[64] = {0};
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    CLO_TRY(clo_crypto_hasher_put(h, q->key));
    if (q->qe_auth_data.n != 0) CLO_TRY(clo_crypto_hasher_put(h, q->qe_auth_data));
    CLO_TRY(clo_crypto_hasher_end(h, want));
    (void)clo_attest_check_bytes(c->out, "qe.report_data", "key_binding", clo_span_of(want, sizeof want), q->qe.report_data);
    return CLO_OK;
}

static clo_err check_signatures(clo_attest_context *c, const dcap_quote *q, dcap_collateral *k)
{
    const dcap_platform *p = k->platform;
    bool ok = k->platform_known;
    CLO_TRY(take_key(c, q, k));
    if (!ok && p->key != NULL) CLO_TRY(outcome(clo_crypto_verify_with(p->key, CLO_SCHEME_ES256, q->qe.bytes, q->qe_signature), &ok));
    (void)clo_attest_check_add(c->out, "qe.signature", ok, "bad_signature", by_pck, ok ? by_pck : "no signature of it");
    CLO_TRY(check_binding(c, q));
    ok = false;
    if (p->attestation_key != NULL) CLO_TRY(outcome(clo_crypto_loaded_verify(p->attestation_key, q->signed_bytes, q->signature), &ok));
    (void)clo_attest_check_add(c->out, "signature", ok, "bad_signature", by_key, ok ? by_key : "no signature of it");
    return CLO_OK;
}

/* (value & mask) == want, byte by byte. */
static bool masked_equal(clo_span value, const uint8_t *mask, const uint8_t *want)
{
    for (size_t i = 0; i < value.n; i++) {
        if ((value.p[i] & mask[i]) != want[i]) return false;
    }
    return true;
}

/* The enclave that made the attestation key is the one that Intel describes. */
static void check_qe(clo_attest_context *c, const dcap_quote *q, const dcap_qe_identity *i)
{
    bool tdx = q->tee_type == DCAP_TEE_TDX;
    const dcap_sgx_body *qe = &q->qe;
    const uint8_t miscselect[4] = {(uint8_t)qe->miscselect, (uint8_t)(qe->miscselect >> 8), (uint8_t)(qe->miscselect >> 16), (uint8_t)(qe->miscselect >> 24)};
    (void)clo_attest_check_add(c->out, "qe_identity.id", i->tdx == tdx, "key_binding", tdx ? "TD_QE" : "QE", i->tdx ? "TD_QE" : "QE");
    (void)clo_attest_check_bytes(c->out, "qe.mrsigner", "key_binding", clo_span_of(i->mrsigner, sizeof i->mrsigner), qe->mrsigner);
    (void)clo_attest_check_number(c->out, "qe.isv_prod_id", qe->isv_prod_id == i->isv_prod_id, "key_binding", "=", i->isv_prod_id, qe->isv_prod_id);
    bool ok = masked_equal(qe->attributes, i->attributes_mask, i->attributes) &&
              masked_equal(clo_span_of(miscselect, sizeof miscselect), i->miscselect_mask, i->miscselect);
    (void)clo_attest_check_add(c->out, "qe.attributes", ok, "key_binding", "attributes and MISCSELECT of Intel's QE", ok ? "the same" : "others");
}

static void check_tcb_info(clo_attest_context *c, const dcap_quote *q, const dcap_platform *p, const dcap_tcb_info *info)
{
    bool tdx = q->tee_type == DCAP_TEE_TDX;
    (void)clo_attest_check_add(c->out, "tcb_info.id", info->tdx == tdx, "fmspc_mismatch", tdx ? "TDX" : "SGX", info->tdx ? "TDX" : "SGX");
    if (p->have_pck) {
        (void)clo_attest_check_bytes(c->out, "tcb_info.fmspc", "fmspc_mismatch", clo_span_of(p->pck.fmspc, 6), clo_span_of(info->fmspc, 6));
        (void)clo_attest_check_bytes(c->out, "tcb_info.pceid", "fmspc_mismatch", clo_span_of(p->pck.pceid, 2), clo_span_of(info->pceid, 2));
    }
    (void)clo_attest_check_collateral_window(c, "tcb_info.window", info->issued, info->next_update);
}

static clo_err judge_documents(clo_attest_context *c, const dcap_quote *q, const dcap_collateral *k)
{
    const dcap_documents *d = k->documents;
    if (d == NULL) return CLO_OK;
    if (d->have_tcb_info) check_tcb_info(c, q, k->platform, &d->tcb_info);
    if (d->have_qe_identity) {
        (void)clo_attest_check_collateral_window(c, "qe_identity.window", d->qe_identity.issued, d->qe_identity.next_update);
        check_qe(c, q, &d->qe_identity);
    }
    if (!d->have_tcb_info || !k->platform->have_pck || d->tcb_info.tdx != (q->tee_type == DCAP_TEE_TDX)) return CLO_OK;
    return clo_attest_dcap_tcb_judge(c, q, &k->platform->pck, &d->tcb_info, d->have_qe_identity ? &d->qe_identity : NULL);
}

/* An allow-list names platforms by their instance id or PPID, 16 bytes and zeros behind them. */
static void check_platform_allowed(clo_attest_context *c, const dcap_platform *p)
{
    const clo_attest_policy *policy = c->policy;
    if (policy->chip_count == 0) return;
    uint8_t instance[64] = {0}, ppid[64] = {0};
    memcpy(instance, p->pck.platform_instance, 16);
    memcpy(ppid, p->pck.ppid, 16);
    bool found = false;
    for (size_t i = 0; i < policy->chip_count; i++) {
        found = found || memcmp(policy->chips[i], ppid, 64) == 0 || (p->pck.have_platform_instance && memcmp(policy->chips[i], instance, 64) == 0);
    }
    (void)clo_attest_check_add(c->out, "platform", p->have_pck && found, "chip_not_allowed", "a platform that the policy names",
                               found ? "one of them" : "another");
}

/* A value of fewer bytes stands at the start of the policy's 48, zeros follow. */
void clo_attest_dcap_check_identity(clo_attest_context *c, clo_span report_data, const char *measurement_name, clo_span measurement, clo_span host_data)
{
    const clo_attest_policy *p = c->policy;
    if (p->have_report_data) {
        (void)clo_attest_check_bytes(c->out, "report_data", "report_data_mismatch", clo_span_of(p->report_data, sizeof p->report_data), report_data);
    }
    if (p->expected_nonce.n != 0) {
        size_t n = p->expected_nonce.n;
        bool same = n <= report_data.n && memcmp(p->expected_nonce.p, report_data.p, n) == 0 &&
                    dcap_all_zero(clo_span_of(report_data.p + n, report_data.n - n));
        (void)clo_attest_check_add(c->out, "nonce", same, "nonce_mismatch", "the expected nonce, zero-padded", same ? "the expected nonce" : "other bytes");
    }
    if (p->measurement_count != 0) {
        uint8_t padded[48] = {0};
        memcpy(padded, measurement.p, measurement.n);
        (void)clo_attest_check_one_of(c->out, measurement_name, "measurement_mismatch", &p->measurements[0][0], p->measurement_count,
                                      clo_span_of(padded, sizeof padded));
    }
    if (p->have_host_data) {
        bool same = memcmp(host_data.p, p->host_data, sizeof p->host_data) == 0 &&
                    dcap_all_zero(clo_span_of(host_data.p + sizeof p->host_data, host_data.n - sizeof p->host_data));
        (void)clo_attest_check_add(c->out, "host_data", same, "host_data_mismatch", "the policy's 32 bytes, zero-padded", same ? "the same" : "other bytes");
    }
}

static const clo_attest_part *find_quote(const clo_attest_context *c)
{
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    return part != NULL ? part : clo_attest_part_find(c, "quote");
}

/* Notes a failed check and leaves parsed false where the bytes are no quote of this TEE. */
static void take_quote(clo_attest_context *c, bool tdx, dcap_quote *q, bool *parsed)
{
    const clo_attest_part *part = find_quote(c);
    const char *want = tdx ? "a TDX quote of version 4 or 5" : "an SGX quote of version 3, 4 or 5";
    *parsed = false;
    if (part == NULL) {
        (void)clo_attest_check_add(c->out, "quote", false, "malformed", want, "none");
        return;
    }
    clo_err e = clo_attest_dcap_parse(part->bytes, q);
    bool right = !clo_failed(e) && (q->tee_type == DCAP_TEE_TDX) == tdx;
    char got[136];
    (void)snprintf(got, sizeof got, "%zu bytes%s%s", part->bytes.n, right ? "" : ": ", right ? "" : clo_failed(e) ? clo_err_text() : "a quote of the other TEE");
    *parsed = clo_attest_check_add(c->out, "quote", right, "malformed", want, got);
}

static clo_err set_claims(clo_attest_context *c, const dcap_quote *q, const dcap_platform *p)
{
    CLO_TRY(clo_attest_dcap_claims(c->arena, q, &c->out->claims));
    return p->have_pck ? clo_attest_dcap_pck_claims(c->arena, &p->pck, c->out->claims) : CLO_OK;
}

CLO_R clo_attest_dcap_appraise(clo_attest_context *c, bool tdx, void (*body)(clo_attest_context *c, const dcap_quote *q))
{
    CLO_AUTO(clo_attest_dcap_collateral_release) dcap_collateral k = {.platform = NULL};
    dcap_quote q;
    bool parsed = false;
    take_quote(c, tdx, &q, &parsed);
    if (!parsed) return CLO_OK;
    CLO_TRY(clo_attest_dcap_take_platform(c, &q, &k));
    CLO_TRY(check_signatures(c, &q, &k));
    CLO_TRY(clo_attest_dcap_take_documents(c, &k));
    CLO_TRY(judge_documents(c, &q, &k));
    body(c, &q);
    check_platform_allowed(c, k.platform);
    if (!c->policy->allow_trailing_bytes) {
        (void)clo_attest_check_number(c->out, "trailing_bytes", q.trailing == 0, "malformed", "=", 0, q.trailing);
    }
    return set_claims(c, &q, k.platform);
}

bool clo_attest_dcap_recognise(const clo_attest_part *evidence, size_t evidence_count, uint32_t tee_type)
{
    if (evidence_count == 0 || (strcmp(evidence[0].role, "report") != 0 && strcmp(evidence[0].role, "quote") != 0)) return false;
    dcap_quote q;
    return !clo_failed(clo_attest_dcap_parse(evidence[0].bytes, &q)) && q.tee_type == tee_type;
}
