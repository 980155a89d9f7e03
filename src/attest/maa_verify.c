/* Azure Attestation (MAA): a JWT by the keys of the pinned issuer. */
#include "attest/maa_int.h"

#include <stdio.h>

/* Bytes of "https://authority" at the front of a URL; 0 where it is none, or where a reader could be led astray (user information,
 * backslashes). */
static size_t origin_size(clo_span url)
{
    static const char scheme[] = "https://";
    size_t n = sizeof scheme - 1;
    if (url.n <= n || memcmp(url.p, scheme, n) != 0) return 0;
    size_t i = n;
    for (; i < url.n && url.p[i] != '/' && url.p[i] != '?' && url.p[i] != '#'; i++) {
        if (url.p[i] == '@' || url.p[i] == '\\' || url.p[i] <= ' ' || url.p[i] >= 0x7f) return 0;
    }
    return i == n ? 0 : i;
}

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c; }

static bool same_origin(clo_span a, clo_span b)
{
    size_t n = origin_size(a);
    if (n == 0 || n != origin_size(b)) return false;
    for (size_t i = 0; i < n; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    }
    return true;
}

/* The header's address of the key set is never used, but one that lies elsewhere tells of a token that is not the issuer's. */
static void judge_jku(clo_attest_context *c, const clo_wire_jws *jws)
{
    const clo_wire_node *jku = clo_wire_get(jws->header, "jku");
    if (jku == NULL) return;
    clo_span issuer = c->policy->expected_issuer[0] != '\0' ? clo_span_str(c->policy->expected_issuer) : clo_attest_token_text(jws->claims, "iss");
    bool ok = jku->type == CLO_WIRE_TEXT && same_origin(jku->text, issuer);
    char got[136] = "no text";
    if (jku->type == CLO_WIRE_TEXT) (void)snprintf(got, sizeof got, "%s", (const char *)jku->text.p);
    (void)clo_attest_check_add(c->out, "jku", ok, "issuer_mismatch", "an address of the issuer", got);
}

CLO_R clo_attest_maa_verify(clo_attest_context *c)
{
    clo_wire_jws jws = {.header = NULL};
    bool ok = false;
    CLO_TRY(clo_attest_jwt_open(c, &jws, &ok));
    if (!ok) return CLO_OK;
    if (c->policy->skip_signature) {
        (void)clo_attest_check_add(c->out, "signature.skipped", true, "bad_signature", "not checked: the policy skips it", "not checked");
    } else {
        CLO_TRY(clo_attest_jwt_verify_jwks(c, &jws));
        CLO_TRY(clo_attest_maa_judge_certificate(c, &jws));
    }
    clo_attest_jwt_judge_envelope(c, jws.claims);
    judge_jku(c, &jws);
    CLO_TRY(clo_attest_maa_judge(c, jws.claims));
    if (c->policy->skip_signature && c->out->reason[0] == '\0') {
        (void)snprintf(c->out->detail, sizeof c->out->detail, "the signature was not checked: the policy skips it; shape and claims only");
    }
    return CLO_OK;
}

bool clo_attest_maa_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    return clo_attest_jwt_payload_has(evidence, evidence_count, "\"x-ms-ver\"") ||
           clo_attest_jwt_payload_has(evidence, evidence_count, "\"x-ms-attestation-type\"");
}
