/* Revocation of NVIDIA's chains: OCSP responses first, as NVIDIA publishes no lists; lists where somebody made them. All come as input. */
#include "attest/nvidia_int.h"
#include "base/clo_own.h"
#include "crypto/ocsp.h"

#include <stdio.h>

/* Everything there is about revocation, parsed once. */
typedef struct {
    size_t count;
    clo_crypto_ocsp *responses[CLO_ATTEST_PARTS_MAX];
    size_t list_count;
    clo_span lists[CLO_ATTEST_PARTS_MAX];
    clo_span nonce;
} collected;

static void collected_end(collected *k)
{
    for (size_t i = 0; i < k->count; i++) clo_crypto_ocsp_free(&k->responses[i]);
}

static bool role_is(const char *role, const char *kind)
{
    size_t n = strlen(kind);
    return strncmp(role, kind, n) == 0 && (role[n] == '\0' || role[n] == '_');
}

static clo_err collect_part(clo_attest_context *c, const clo_attest_part *part, collected *k)
{
    if (strcmp(part->role, "ocsp_nonce") == 0) {
        k->nonce = part->bytes;
    } else if (role_is(part->role, "crl") && k->list_count < CLO_ATTEST_PARTS_MAX) {
        k->lists[k->list_count++] = part->bytes;
    } else if (role_is(part->role, "ocsp") && k->count < CLO_ATTEST_PARTS_MAX) {
        clo_err e = clo_crypto_ocsp_parse(&k->responses[k->count], part->bytes);
        if (!clo_failed(e)) {
            k->count++;
            return CLO_OK;
        }
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, part->role, false, "malformed", "an OCSP response", clo_err_text());
    }
    return CLO_OK;
}

static clo_err collect(clo_attest_context *c, collected *k)
{
    for (size_t i = 0; i < c->evidence_count; i++) CLO_TRY(collect_part(c, &c->evidence[i], k));
    for (size_t i = 0; i < c->collateral_count; i++) CLO_TRY(collect_part(c, &c->collateral[i], k));
    return CLO_OK;
}

static bool check_status(clo_attest_context *c, const char *name, const clo_crypto_ocsp_answer *answer)
{
    bool hold = answer->status == CLO_OCSP_REVOKED && answer->reason == CLO_OCSP_REASON_HOLD;
    bool ok = answer->status == CLO_OCSP_GOOD || (hold && c->policy->allow_certificate_hold);
    const char *actual = answer->status == CLO_OCSP_GOOD      ? "good"
                         : answer->status == CLO_OCSP_UNKNOWN ? "unknown to the responder"
                         : hold                               ? "certificate hold"
                                                              : "revoked";
    const char *expected = c->policy->allow_certificate_hold ? "good, or certificate hold" : "good";
    return clo_attest_check_add(c->out, name, ok, answer->status == CLO_OCSP_UNKNOWN ? "collateral_missing" : "revoked", expected, actual);
}

/* One response that has an answer about the certificate: who signed it, for which request, when, and what it says. */
static clo_err judge_answer(clo_attest_context *c, const char *name, const clo_crypto_ocsp *o, const clo_crypto_cert *issuer,
                            const clo_crypto_ocsp_answer *answer, clo_span nonce)
{
    int64_t until = INT64_MAX, to = answer->next_update;
    clo_err e = clo_crypto_ocsp_signed_by(o, issuer, c->now, &until);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    bool expired = e.code == CLO_E_EXPIRED;
    if (!clo_attest_check_add(c->out, name, !clo_failed(e), expired ? "collateral_expired" : "bad_collateral_signature",
                              "an answer of the issuer or its responder", clo_failed(e) ? clo_err_text() : "signed by it")) {
        return CLO_OK;
    }
    if (until < c->out->valid_until) c->out->valid_until = until;
    if (nonce.n != 0) {
        bool same = clo_span_equal(nonce, clo_crypto_ocsp_nonce(o));
        (void)clo_attest_check_add(c->out, name, same, "nonce_mismatch", "the nonce of the request", same ? "the nonce of the request" : "another or none");
    }
    if (to <= INT64_MAX - c->policy->collateral_grace_s) to += c->policy->collateral_grace_s;
    (void)clo_attest_check_window(c->out, name, "collateral_", answer->this_update, to, c->now);
    (void)check_status(c, name, answer);
    return CLO_OK;
}

/* The list that this certificate's issuer signed; else the first one, whose judgement then says what is wrong with it. */
static clo_span list_for(const collected *k, const clo_crypto_cert *issuer)
{
    for (size_t i = 0; i < k->list_count; i++) {
        CLO_AUTO(clo_crypto_crl_free) clo_crypto_crl *crl = NULL;
        if (clo_failed(clo_crypto_crl_parse(&crl, k->lists[i]))) continue;
        if (!clo_failed(clo_crypto_crl_signed_by(crl, issuer))) return k->lists[i];
    }
    return k->list_count == 0 ? clo_span_of(NULL, 0) : k->lists[0];
}

static clo_err judge_cert(clo_attest_context *c, const clo_attest_chain *chain, size_t index, const collected *k)
{
    const clo_crypto_cert *cert = chain->certs[index], *issuer = chain->certs[index + 1];
    char name[48];
    bool answered = false;
    (void)snprintf(name, sizeof name, "%s.revocation.%zu", chain->name, index);
    for (size_t i = 0; i < k->count; i++) {
        clo_crypto_ocsp_answer answer;
        clo_err e = clo_crypto_ocsp_find(k->responses[i], cert, issuer, &answer);
        if (e.code == CLO_E_NOT_FOUND) continue;
        answered = true;
        if (clo_failed(e)) {
            if (!clo_attest_err_is_about_input(e)) return e;
            (void)clo_attest_check_add(c->out, name, false, "malformed", "one answer about a certificate", clo_err_text());
            continue;
        }
        CLO_TRY(judge_answer(c, name, k->responses[i], issuer, &answer, k->nonce));
    }
    if (k->list_count != 0) {
        bool ok = false;
        clo_span list = list_for(k, issuer);
        /* A list of somebody else says nothing against an answer of the right responder. */
        CLO_AUTO(clo_crypto_crl_free) clo_crypto_crl *crl = NULL;
        bool own = !clo_failed(clo_crypto_crl_parse(&crl, list)) && !clo_failed(clo_crypto_crl_signed_by(crl, issuer));
        if (own || !answered) return clo_attest_chain_revocation(c, chain, index, list, &ok);
    }
    if (!answered) {
        (void)clo_attest_check_add(c->out, name, false, "collateral_missing", "an OCSP response or a revocation list about this certificate", "none");
    }
    return CLO_OK;
}

CLO_R clo_attest_nvidia_revocation(clo_attest_context *c, const clo_attest_chain *chain, size_t from)
{
    if (c->policy->skip_revocation) return CLO_OK;
    CLO_AUTO(collected_end) collected k = {.count = 0};
    CLO_TRY(collect(c, &k));
    for (size_t i = from; i + 1 < chain->count; i++) CLO_TRY(judge_cert(c, chain, i, &k));
    return CLO_OK;
}
