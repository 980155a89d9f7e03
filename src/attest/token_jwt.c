/* JWTs of attestation services: the envelope that is the same for all of them. */
#include "attest/token_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>
#include <stdlib.h>

bool clo_attest_jwt_is_rs256(const clo_wire_jws *jws) { return strcmp(jws->alg, "RS256") == 0; }

static clo_span trimmed(const clo_attest_context *c, clo_span s)
{
    /* A final line end is what files have; anything else at the end is the caller's to allow. */
    if (s.n != 0 && s.p[s.n - 1] == '\n' && c->policy->allow_trailing_bytes) s.n--;
    return s;
}

CLO_R clo_attest_jwt_open(clo_attest_context *c, clo_wire_jws *jws, bool *ok)
{
    *ok = false;
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    clo_span bytes = part == NULL ? clo_span_of(NULL, 0) : trimmed(c, part->bytes);
    if (bytes.n == 0 || bytes.n > TOKEN_JWT_MAX) {
        (void)clo_attest_check_add(c->out, "token", false, "malformed", "a token of at most 16 KiB", part == NULL ? "none" : "another size");
        return CLO_OK;
    }
    clo_err e = clo_wire_jws_parse(c->arena, bytes, jws);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        const char *reason = e.code == CLO_E_UNSUPPORTED ? "unsupported" : "malformed";
        (void)clo_attest_check_add(c->out, "token", false, reason, "a signed JSON token", clo_err_text());
        return CLO_OK;
    }
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    CLO_TRY(clo_wire_set(c->arena, c->out->claims, "header", jws->header));
    if (!clo_attest_check_add(c->out, "token", jws->claims != NULL, "malformed", "claims in JSON", jws->claims != NULL ? "claims in JSON" : "none"))
        return CLO_OK;
    CLO_TRY(clo_wire_set(c->arena, c->out->claims, "claims", jws->claims));
    (void)clo_attest_check_add(c->out, "alg", clo_attest_jwt_is_rs256(jws), "forbidden_alg", "RS256", jws->alg);
    *ok = true;
    return CLO_OK;
}

CLO_R clo_attest_jwt_verify_key(clo_attest_context *c, const clo_wire_jws *jws, const clo_crypto_verify_key *key)
{
    clo_err e = clo_wire_jws_verify(jws, key, CLO_SCHEME_RS256);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, "signature", !clo_failed(e), "bad_signature", "RS256 by the issuer's key",
                               clo_failed(e) ? "not signed by it" : "signed by it");
    return CLO_OK;
}

CLO_R clo_attest_jwt_verify_jwks(clo_attest_context *c, const clo_wire_jws *jws)
{
    const clo_attest_part *jwks = clo_attest_token_collateral(c, "jwks");
    if (jwks == NULL) {
        (void)clo_attest_check_add(c->out, "key", false, "collateral_missing", "the issuer's keys (jwks)", "none");
        return CLO_OK;
    }
    if (!clo_attest_jwt_is_rs256(jws)) return CLO_OK;
    if (jws->kid.n == 0) {
        (void)clo_attest_check_add(c->out, "key", false, "unknown_key", "a key id", "none");
        return CLO_OK;
    }
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_err e = clo_wire_jwks_find(c->arena, jwks->bytes, jws->kid, CLO_SCHEME_RS256, &key);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, "key", false, "unknown_key", "exactly one key of the issuer with this id", clo_err_text());
        return CLO_OK;
    }
    char kid[64];
    (void)snprintf(kid, sizeof kid, "%.*s", (int)(jws->kid.n < sizeof kid ? jws->kid.n : sizeof kid - 1), (const char *)jws->kid.p);
    (void)clo_attest_check_add(c->out, "key", true, "unknown_key", "exactly one key of the issuer with this id", kid);
    return clo_attest_jwt_verify_key(c, jws, key);
}

static void judge_issuer(clo_attest_context *c, const clo_wire_node *claims)
{
    const clo_attest_policy *p = c->policy;
    clo_span iss = clo_attest_token_text(claims, "iss");
    char got[136];
    (void)snprintf(got, sizeof got, "%.*s", (int)(iss.n < sizeof got ? iss.n : sizeof got - 1), iss.n == 0 ? "" : (const char *)iss.p);
    if (p->expected_issuer[0] == '\0') {
        if (!p->any_issuer) (void)clo_attest_check_add(c->out, "issuer", false, "issuer_mismatch", "an issuer that the policy names", got);
        return;
    }
    (void)clo_attest_check_add(c->out, "issuer", clo_span_equal(iss, clo_span_str(p->expected_issuer)), "issuer_mismatch", p->expected_issuer, got);
}

/* *present: it is there. False where it is there and no whole number of seconds since 1970. */
static bool take_time(const clo_wire_node *claims, const char *name, int64_t *out, bool *present)
{
    const clo_wire_node *n = clo_wire_get(claims, name);
    *present = n != NULL;
    if (n == NULL) return true;
    if (n->type != CLO_WIRE_INT || n->integer < 0) return false;
    *out = n->integer;
    return true;
}

static void judge_times(clo_attest_context *c, const clo_wire_node *claims)
{
    int64_t iat = 0, nbf = 0, exp = 0;
    bool have_iat = false, have_nbf = false, have_exp = false;
    bool ok = take_time(claims, "iat", &iat, &have_iat);
    ok = take_time(claims, "nbf", &nbf, &have_nbf) && ok;
    ok = take_time(claims, "exp", &exp, &have_exp) && ok;
    int64_t from = !have_nbf || (have_iat && iat > nbf) ? iat : nbf;
    ok = ok && have_exp && (have_iat || have_nbf) && from < exp;
    if (!clo_attest_check_add(c->out, "times", ok, "claims", "exp, and iat or nbf before it", ok ? "there" : "absent, no numbers, or out of order")) return;
    /* exp itself is too late (RFC 7519 §4.1.4). */
    (void)clo_attest_check_window(c->out, "window", "", from, exp - 1, c->now);
    if (c->policy->max_age_s == 0) return;
    int64_t age = c->now - (have_iat ? iat : nbf);
    (void)clo_attest_check_number(c->out, "age", age <= c->policy->max_age_s, "stale", "seconds, at most", (uint64_t)c->policy->max_age_s,
                                  age < 0 ? 0 : (uint64_t)age);
}

void clo_attest_jwt_judge_envelope(clo_attest_context *c, const clo_wire_node *claims)
{
    judge_issuer(c, claims);
    judge_times(c, claims);
}

bool clo_attest_jwt_payload_has(const clo_attest_part *evidence, size_t evidence_count, const char *letters)
{
    if (evidence_count == 0 || strcmp(evidence[0].role, "report") != 0) return false;
    clo_span s = evidence[0].bytes;
    if (s.n < 3 || s.n > TOKEN_JWT_MAX || memcmp(s.p, "eyJ", 3) != 0) return false;
    const uint8_t *from = memchr(s.p, '.', s.n);
    if (from == NULL) return false;
    from++;
    const uint8_t *to = memchr(from, '.', s.n - (size_t)(from - s.p));
    if (to == NULL) return false;
    CLO_AUTO(clo_buf_free) clo_buf payload;
    clo_buf_init(&payload, TOKEN_JWT_MAX);
    if (clo_failed(clo_base64url_decode(&payload, clo_span_of(from, (size_t)(to - from))))) return false;
    size_t n = strlen(letters);
    for (size_t i = 0; i + n <= payload.len; i++) {
        if (memcmp(payload.p + i, letters, n) == 0) return true;
    }
    return false;
}
