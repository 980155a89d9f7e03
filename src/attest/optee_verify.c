/* OP-TEE's attestation pseudo TA: a SHA-256 (of a trusted application's signed header, of its memory, or of the TEE's), signed with
 * RSASSA-PSS (SHA-256, salt 32) over SHA-256(nonce ‖ hash). Which of the three was asked for is known to who asked, not to the bytes. */
#include "attest/token_int.h"
#include "base/clo_own.h"
#include "wire/public_key.h"

#include <stdio.h>

enum { HASH = 32, NONCE_MAX = 1024, SIGNATURE_LEAST = 256, SIGNATURE_MOST = 1024 };

static clo_err take_key(clo_attest_context *c, clo_crypto_verify_key **key)
{
    const clo_attest_part *part = clo_attest_token_collateral(c, "attestation_key");
    if (part == NULL) {
        (void)clo_attest_check_add(c->out, "key", false, "collateral_missing", "attestation_key", "none");
        return CLO_OK;
    }
    clo_err e = clo_wire_public_key_read(c->arena, part->bytes, key);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    bool ok = !clo_failed(e) && clo_crypto_verify_key_fits(*key, CLO_SCHEME_PS256);
    (void)clo_attest_check_add(c->out, "key", ok, "bad_key", "an RSA key", clo_failed(e) ? clo_err_text() : ok ? "an RSA key" : "another key");
    if (!ok) clo_crypto_verify_key_free(key);
    return CLO_OK;
}

/* What the caller asked with: it is part of what is signed and does not come back. */
static clo_span nonce_of(const clo_attest_policy *p)
{
    return p->have_report_data && p->expected_nonce.n == 0 ? clo_span_of(p->report_data, sizeof p->report_data) : p->expected_nonce;
}

static clo_err judge_signature(clo_attest_context *c, const clo_crypto_verify_key *key, clo_span hash, clo_span signature)
{
    const clo_attest_policy *p = c->policy;
    clo_span nonce = nonce_of(p);
    bool both = p->have_report_data && p->expected_nonce.n != 0 && !clo_span_equal(p->expected_nonce, clo_span_of(p->report_data, sizeof p->report_data));
    bool ok = nonce.n != 0 && nonce.n <= NONCE_MAX && !both;
    /* That the signature holds is what shows the nonce. */
    if (!clo_attest_check_add(c->out, "nonce.given", ok, "nonce_mismatch", "one nonce that was asked with", both ? "two" : ok ? "one" : "none")) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf message;
    clo_buf_init(&message, NONCE_MAX + HASH);
    CLO_TRY(clo_buf_put_span(&message, nonce));
    CLO_TRY(clo_buf_put_span(&message, hash));
    clo_err e = clo_crypto_verify_with(key, CLO_SCHEME_PS256, clo_buf_span(&message), signature);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    ok = !clo_failed(e);
    (void)clo_attest_check_add(c->out, "signature", ok, "bad_signature", "RSASSA-PSS over nonce and hash", ok ? "made by the key" : "not made by the key over this nonce");
    if (p->expected_nonce.n != 0) (void)clo_attest_check_add(c->out, "nonce", ok, "nonce_mismatch", "the expected nonce", ok ? "the expected nonce" : "unknown");
    if (p->have_report_data) (void)clo_attest_check_add(c->out, "report_data", ok, "report_data_mismatch", "the expected data", ok ? "the expected data" : "unknown");
    return CLO_OK;
}

CLO_R clo_attest_optee_verify(clo_attest_context *c)
{
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    size_t n = part == NULL ? 0 : part->bytes.n;
    char got[32];
    (void)snprintf(got, sizeof got, "%zu bytes", n);
    if (!clo_attest_check_add(c->out, "report", n >= HASH + SIGNATURE_LEAST && n <= HASH + SIGNATURE_MOST, "malformed", "a hash and an RSA signature", got))
        return CLO_OK;
    clo_span hash = clo_span_of(part->bytes.p, HASH), signature = clo_span_of(part->bytes.p + HASH, n - HASH);
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    CLO_TRY(take_key(c, &key));
    if (key != NULL) CLO_TRY(judge_signature(c, key, hash, signature));
    clo_attest_token_measurement(c, hash);
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    if (key != NULL) CLO_TRY(clo_wire_set_int(c->arena, c->out->claims, "key_bits", clo_crypto_verify_key_rsa_bits(key)));
    return clo_wire_set_bytes(c->arena, c->out->claims, "hash", hash);
}
