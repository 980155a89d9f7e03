/* Google Confidential Space: a JWT by a key of the issuer's set, or by the leaf of the chain in its header, which must lead to Google's
 * pinned root. */
#include "attest/chain.h"
#include "attest/token_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"

#include <stdio.h>

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
enum { NONCES_MAX = 6, DIGEST = 32, CERTIFICATES_MAX = 4 };

static const char *const rules[] = {
    "!t iss", "!t sub", "!T aud", "T eat_nonce", "t eat_profile", "!b secboot", "u oemid", "!t hwmodel", "!t swname", "T swversion", "!t dbgstat",
    "T attester_tcb", "!m submods", "T google_service_accounts", "m tdx",
};
static const char *const submodule_rules[] = {
    "!m container", "m confidential_space", "m gce",
};
static const char *const container_rules[] = {
    "t image_reference", "!t image_digest", "t image_id", "t restart_policy", "T args", "m env", "T cmd_override", "m env_override",
    "a image_signatures",
};

/* Google's key ids are RFC 7638 thumbprints; its keys have the exponent 65537, and with another one the id does not match. */
static clo_err thumbprint(const clo_crypto_verify_key *key, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 4096);
    uint8_t digest[DIGEST];
    CLO_TRY(clo_buf_put_str(&text, "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\""));
    CLO_TRY(clo_base64url_encode(&text, clo_crypto_verify_key_modulus(key)));
    CLO_TRY(clo_buf_put_str(&text, "\"}"));
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&text), digest));
    return clo_base64url_encode(out, clo_span_of(digest, sizeof digest));
}

static clo_err judge_kid(clo_attest_context *c, const clo_wire_jws *jws, const clo_crypto_verify_key *key)
{
    CLO_AUTO(clo_buf_free) clo_buf want;
    clo_buf_init(&want, 64);
    const char *text = NULL;
    CLO_TRY(thumbprint(key, &want));
    CLO_TRY(clo_buf_cstr(&want, &text));
    char got[64];
    (void)snprintf(got, sizeof got, "%.*s", (int)(jws->kid.n < 60 ? jws->kid.n : 60), jws->kid.n == 0 ? "" : (const char *)jws->kid.p);
    (void)clo_attest_check_add(c->out, "key", clo_span_equal(jws->kid, clo_buf_span(&want)), "unknown_key", text, got);
    return CLO_OK;
}

static clo_err take_chain(const clo_wire_jws *jws, clo_attest_chain *chain, clo_crypto_verify_key **key)
{
    CLO_CHECKF(jws->x5c_count <= CERTIFICATES_MAX, CLO_E_TOO_MANY, "the header holds more than %d certificates", CERTIFICATES_MAX);
    for (size_t i = 0; i < jws->x5c_count; i++) CLO_TRY(clo_attest_chain_take(chain, jws->x5c[i]));
    CLO_CHECKF(chain->count != 0, CLO_E_MALFORMED, "the header holds no certificate");
    return clo_crypto_verify_key_of_cert(chain->certs[0], key);
}

static clo_err verify_by_chain(clo_attest_context *c, const clo_wire_jws *jws)
{
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = "x5c"};
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_err e = take_chain(jws, &chain, &key);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, "x5c", false, "bad_chain", "certificates of an RSA key up to the root", clo_err_text());
        return CLO_OK;
    }
    bool ok = false;
    CLO_TRY(judge_kid(c, jws, key));
    CLO_TRY(clo_attest_chain_judge(c, &chain, CLO_ATTEST_ANCHOR_GOOGLE, false, &ok));
    bool leaf = !clo_crypto_cert_is_ca(chain.certs[0]);
    (void)clo_attest_check_add(c->out, "x5c.leaf", leaf, "bad_chain", "no authority", leaf ? "no authority" : "an authority");
    /* Leaves live for weeks and name no list; the root's list covers the intermediate. */
    const clo_attest_part *crl = clo_attest_token_collateral(c, "crl");
    if (chain.count > 2 && (crl != NULL || c->policy->require_crl)) {
        CLO_TRY(clo_attest_chain_revocation(c, &chain, chain.count - 2, crl == NULL ? clo_span_of(NULL, 0) : crl->bytes, &ok));
    }
    return clo_attest_jwt_verify_key(c, jws, key);
}

static void text_of(char *to, size_t size, clo_span s)
{
    (void)snprintf(to, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.n == 0 ? "" : (const char *)s.p);
}

static bool check_text(clo_attest_context *c, const char *name, const char *reason, clo_span actual, const char *const *allowed, size_t count)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) found = found || clo_span_equal(actual, clo_span_str(allowed[i]));
    char want[136], got[64];
    (void)snprintf(want, sizeof want, "%s%s", allowed[0], count > 1 ? " or the like" : "");
    text_of(got, sizeof got, actual);
    return clo_attest_check_add(c->out, name, found, reason, want, got);
}

static void judge_platform(clo_attest_context *c, const clo_wire_node *claims)
{
    static const char *const models[] = {"GCP_INTEL_TDX", "GCP_AMD_SEV", "GCP_AMD_SEV_ES", "GCP_AMD_SEV_SNP"};
    static const char *const system[] = {"CONFIDENTIAL_SPACE"};
    static const char *const disabled[] = {"disabled-since-boot", "disabled", "disabled-permanently", "disabled-fully-and-permanently"};
    (void)check_text(c, "hwmodel", "platform_policy", clo_attest_token_text(claims, "hwmodel"), models, COUNT(models));
    (void)check_text(c, "swname", "platform_policy", clo_attest_token_text(claims, "swname"), system, COUNT(system));
    const clo_wire_node *secboot = clo_wire_get(claims, "secboot");
    bool on = secboot != NULL && secboot->boolean;
    (void)clo_attest_check_add(c->out, "secboot", on, "platform_policy", "on", on ? "on" : "off");
    if (c->policy->allow_debug) {
        (void)clo_attest_check_add(c->out, "debug", true, "debug", "any", "allowed");
    } else {
        (void)check_text(c, "debug", "debug", clo_attest_token_text(claims, "dbgstat"), disabled, COUNT(disabled));
    }
    const clo_wire_node *tdx = clo_wire_get(claims, "tdx");
    if (tdx != NULL) clo_attest_jwt_tcb(c, tdx, "gcp_attester_tcb_status", "gcp_attester_tcb_date", "gcp_attester_advisory_ids");
}

static void judge_nonce(clo_attest_context *c, const clo_wire_node *claims, const char *name, const char *reason, clo_span wanted)
{
    const clo_wire_node *n = clo_wire_get(claims, "eat_nonce");
    bool found = false, list = n != NULL && n->type == CLO_WIRE_ARRAY, few = !list || n->count <= NONCES_MAX;
    for (const clo_wire_node *one = list ? n->first : n; one != NULL; one = list ? one->next : NULL) {
        found = found || (one->type == CLO_WIRE_TEXT && clo_attest_token_text_is(one->text, wanted));
    }
    (void)clo_attest_check_add(c->out, name, found && few, reason, "in eat_nonce, as text, hex or base64",
                               !few ? "more than six nonces" : found ? "there" : n == NULL ? "no eat_nonce" : "other nonces");
}

/* "sha256:" and 64 hex digits. */
static bool digest_of(clo_span text, uint8_t to[DIGEST])
{
    static const char kind[] = "sha256:";
    size_t n = sizeof kind - 1;
    return text.n == n + 2 * DIGEST && memcmp(text.p, kind, n) == 0 && !clo_failed(clo_hex_decode(to, DIGEST, clo_span_of(text.p + n, 2 * DIGEST)));
}

static void judge_container(clo_attest_context *c, const clo_wire_node *claims)
{
    const clo_wire_node *submods = clo_wire_get(claims, "submods");
    if (!clo_attest_token_shape(c->out, "claims.submods", submods, submodule_rules, COUNT(submodule_rules))) return;
    const clo_wire_node *container = clo_wire_get(submods, "container");
    if (!clo_attest_token_shape(c->out, "claims.container", container, container_rules, COUNT(container_rules))) return;
    uint8_t digest[DIGEST];
    bool ok = digest_of(clo_attest_token_text(container, "image_digest"), digest);
    if (!ok) clo_attest_token_claim_bad(c->out, "image_digest", "sha256: and 64 hex digits", "another form");
    clo_attest_token_measurement(c, clo_span_of(digest, ok ? sizeof digest : 0));
}

CLO_R clo_attest_google_verify(clo_attest_context *c)
{
    clo_wire_jws jws = {.header = NULL};
    bool ok = false;
    CLO_TRY(clo_attest_jwt_open(c, &jws, &ok));
    if (!ok) return CLO_OK;
    if (jws.x5c_count != 0 && clo_attest_token_collateral(c, "jwks") == NULL) {
        if (clo_attest_jwt_is_rs256(&jws)) CLO_TRY(verify_by_chain(c, &jws));
    } else {
        CLO_TRY(clo_attest_jwt_verify_jwks(c, &jws));
    }
    clo_attest_jwt_judge_envelope(c, jws.claims);
    if (!clo_attest_token_shape(c->out, "claims", jws.claims, rules, COUNT(rules))) return CLO_OK;
    judge_platform(c, jws.claims);
    if (c->policy->expected_nonce.n != 0) judge_nonce(c, jws.claims, "nonce", "nonce_mismatch", c->policy->expected_nonce);
    if (c->policy->have_report_data) {
        judge_nonce(c, jws.claims, "report_data", "report_data_mismatch", clo_span_of(c->policy->report_data, sizeof c->policy->report_data));
    }
    judge_container(c, jws.claims);
    return CLO_OK;
}

bool clo_attest_google_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    return clo_attest_jwt_payload_has(evidence, evidence_count, "\"submods\"") && clo_attest_jwt_payload_has(evidence, evidence_count, "\"hwmodel\"");
}
