/* Accepting an EAR: evidence type "ear". Collateral "jwks": the keys of verifiers that the caller trusts. */
#include "attest/demands.h"
#include "attest/ear_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include "wire/jws.h"

#include <stdio.h>

enum { CLOCK_SKEW_S = 60, EAR_MAX = 32 * 1024, ITEMS_MAX = 512, SUBMODS_MAX = 8 };

static bool is_jwt(clo_span s) { return s.n > 3 && memcmp(s.p, "eyJ", 3) == 0; }

/* ---- reading ---- */

static clo_err name_members(clo_arena *a, clo_wire_node *map, const char *in)
{
    CLO_CHECKF(map->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "an EAR's %s is no map", in);
    for (clo_wire_node *n = map->first; n != NULL; n = n->next) {
        if (n->key->type == CLO_WIRE_TEXT) continue;
        const clo_attest_ear_label *found = NULL;
        for (size_t i = 0; i < clo_attest_ear_label_count; i++) {
            const clo_attest_ear_label *l = &clo_attest_ear_labels[i];
            if (n->key->type == CLO_WIRE_INT && n->key->integer == l->label && strcmp(l->in, in) == 0) found = l;
        }
        const char *number = NULL;
        if (found == NULL) CLO_TRY(clo_arena_printf(a, &number, "%lld", (long long)n->key->integer));
        const char *name = found != NULL ? found->name : number;
        CLO_CHECKF(clo_wire_get(map, name) == NULL, CLO_E_DUPLICATE, "an EAR has %s under its label and under its name", name);
        CLO_TRY(clo_wire_text(a, clo_span_str(name), &n->key));
    }
    return CLO_OK;
}

static clo_err name_all(clo_arena *a, clo_wire_node *map)
{
    CLO_TRY(name_members(a, map, ""));
    clo_wire_node *verifier = clo_wire_get(map, "ear.verifier-id"), *parts = clo_wire_get(map, "submods");
    if (verifier != NULL) CLO_TRY(name_members(a, verifier, "ear.verifier-id"));
    for (clo_wire_node *m = parts != NULL && parts->type == CLO_WIRE_MAP ? parts->first : NULL; m != NULL; m = m->next) {
        CLO_TRY(name_members(a, m, "submods"));
        clo_wire_node *vector = clo_wire_get(m, "ear.trustworthiness-vector"), *status = clo_wire_get(m, "ear.status");
        if (vector != NULL) CLO_TRY(name_members(a, vector, "ear.trustworthiness-vector"));
        if (status == NULL || status->type != CLO_WIRE_INT) continue;
        static const int values[] = {CLO_EAR_NONE, CLO_EAR_AFFIRMING, CLO_EAR_WARNING, CLO_EAR_CONTRAINDICATED};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            if (status->integer != values[i] || status->type != CLO_WIRE_INT) continue;
            status->type = CLO_WIRE_TEXT;
            CLO_TRY(clo_arena_copy(a, clo_span_str(clo_attest_ear_status_name(values[i])), &status->text));
        }
    }
    return CLO_OK;
}

typedef struct {
    bool jwt;
    clo_wire_jws jws;
    clo_wire_cose cose;
    clo_wire_node *claims;
} ear_token;

static clo_err token_read(clo_arena *a, clo_span bytes, ear_token *t)
{
    CLO_CHECKF(bytes.n <= EAR_MAX, CLO_E_TOO_LARGE, "an EAR has at most %d bytes", (int)EAR_MAX);
    while (bytes.n != 0 && (bytes.p[bytes.n - 1] == '\n' || bytes.p[bytes.n - 1] == '\r') && is_jwt(bytes)) bytes.n--;
    t->jwt = is_jwt(bytes);
    if (t->jwt) {
        CLO_TRY(clo_wire_jws_parse(a, bytes, &t->jws));
        CLO_CHECKF(t->jws.claims != NULL, CLO_E_MALFORMED, "the payload is no JSON object");
        t->claims = t->jws.claims;
    } else {
        CLO_TRY(clo_wire_cose_parse(a, bytes, true, &t->cose));
        CLO_CHECKF(t->cose.is_sign1, CLO_E_MALFORMED, "an EAR is a COSE_Sign1");
        clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX, .allow_unsorted = true};
        CLO_TRY(clo_wire_cbor_decode(a, t->cose.payload, &limits, &t->claims));
        CLO_CHECKF(t->claims->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the payload is no map");
        CLO_TRY(name_all(a, t->claims));
    }
    return CLO_OK;
}

CLO_R clo_attest_ear_decode(clo_arena *a, clo_span bytes, clo_wire_node **claims)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(ear_token), &memory));
    ear_token *t = memory;
    CLO_TRY(token_read(a, bytes, t));
    *claims = t->claims;
    return CLO_OK;
}

bool clo_attest_ear_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    if (evidence_count != 1 || evidence[0].bytes.n > EAR_MAX) return false;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    clo_wire_node *claims = NULL;
    if (clo_failed(clo_attest_ear_decode(&a, evidence[0].bytes, &claims))) return false;
    const clo_wire_node *profile = clo_wire_get(claims, "eat_profile");
    return profile != NULL && profile->type == CLO_WIRE_TEXT && clo_span_equal(profile->text, clo_span_str(CLO_EAR_PROFILE));
}

/* ---- judging ---- */

static bool check(clo_attest_context *c, const char *name, bool ok, const char *reason, const char *expected, const char *actual)
{
    return clo_attest_check_add(c->out, name, ok, reason, expected, actual);
}

static clo_err signature_verify(clo_attest_context *c, const ear_token *t, clo_span jwks, const char **reason)
{
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_crypto_scheme scheme = CLO_SCHEME_EDDSA;
    *reason = "forbidden_alg";
    if (t->jwt) {
        CLO_TRY(clo_wire_jws_scheme(t->jws.alg, &scheme));
        *reason = "unknown_key";
        CLO_TRY(clo_wire_jwks_find(c->arena, jwks, t->jws.kid, scheme, &key));
        *reason = "bad_signature";
        return clo_wire_jws_verify(&t->jws, key, scheme);
    }
    static const struct {
        int64_t alg;
        clo_crypto_scheme scheme;
    } algs[] = {{-8, CLO_SCHEME_EDDSA}, {-7, CLO_SCHEME_ES256}, {-35, CLO_SCHEME_ES384}, {-36, CLO_SCHEME_ES512}};
    bool known = false;
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        if (t->cose.signatures[0].alg != algs[i].alg) continue;
        scheme = algs[i].scheme;
        known = true;
    }
    CLO_CHECKF(known, CLO_E_UNSUPPORTED, "algorithm %lld", (long long)t->cose.signatures[0].alg);
    *reason = "unknown_key";
    CLO_TRY(clo_wire_jwks_find(c->arena, jwks, t->cose.signatures[0].kid, scheme, &key));
    *reason = "bad_signature";
    clo_crypto_public_key pk;
    CLO_TRY(clo_crypto_verify_key_public(key, &pk));
    return clo_wire_cose_verify(&t->cose, 0, &pk, clo_span_of(NULL, 0));
}

static clo_err judge_signature(clo_attest_context *c, const ear_token *t)
{
    const clo_attest_part *jwks = clo_attest_part_find(c, "jwks");
    if (jwks == NULL) {
        (void)check(c, "signature", false, "collateral_missing", "collateral \"jwks\": the keys of trusted verifiers", "none");
        return CLO_OK;
    }
    const char *reason = "";
    clo_err e = signature_verify(c, t, jwks->bytes, &reason);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    char actual[136] = "signed by a trusted verifier";
    if (clo_failed(e)) (void)snprintf(actual, sizeof actual, "%s", clo_err_text());
    (void)check(c, "signature", !clo_failed(e), clo_failed(e) ? reason : "bad_signature", "a signature of a trusted verifier", actual);
    return CLO_OK;
}

static bool take_time(const clo_wire_node *claims, const char *key, int64_t *out)
{
    const clo_wire_node *n = clo_wire_get(claims, key);
    if (n == NULL || n->type != CLO_WIRE_INT || n->integer < 0 || n->integer > INT64_MAX / 2) return false;
    *out = n->integer;
    return true;
}

static void judge_times(clo_attest_context *c, const clo_wire_node *claims)
{
    int64_t iat = 0, exp = 0;
    char text[40], want[48];
    if (!take_time(claims, "iat", &iat)) {
        (void)check(c, "iat", false, "claims", "a time", "none");
        return;
    }
    clo_time_format(text, iat);
    (void)check(c, "iat", iat <= c->now + CLOCK_SKEW_S, "not_yet_valid", "not in the future", text);
    if (take_time(claims, "exp", &exp)) {
        if (exp < c->out->valid_until) c->out->valid_until = exp;
        clo_time_format(text, exp);
        (void)check(c, "exp", c->now <= exp, "expired", "in the future", text);
    } else {
        (void)check(c, "exp", clo_wire_get(claims, "exp") == NULL && c->policy->max_age_s != 0, "claims", "a time, or a policy with max_age_seconds", "none");
    }
    if (c->policy->max_age_s == 0) return;
    (void)snprintf(want, sizeof want, "at most %lld s", (long long)c->policy->max_age_s);
    (void)snprintf(text, sizeof text, "%lld s", (long long)(c->now - iat));
    (void)check(c, "age", c->now - iat <= c->policy->max_age_s, "stale", want, text);
    if (iat + c->policy->max_age_s < c->out->valid_until) c->out->valid_until = iat + c->policy->max_age_s;
}

static clo_err judge_nonce(clo_attest_context *c, const clo_wire_node *claims)
{
    if (c->policy->expected_nonce.n == 0) return CLO_OK;
    const clo_wire_node *n = clo_wire_get(claims, "eat_nonce");
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 256);
    clo_span got = clo_span_of(NULL, 0);
    if (n != NULL && n->type == CLO_WIRE_BYTES) got = n->text;
    if (n != NULL && n->type == CLO_WIRE_TEXT && !clo_failed(clo_base64url_decode(&bytes, n->text))) got = clo_buf_span(&bytes);
    (void)clo_attest_check_bytes(c->out, "nonce", "nonce_mismatch", c->policy->expected_nonce, got);
    return CLO_OK;
}

static void judge_issuer(clo_attest_context *c, const clo_wire_node *claims)
{
    const clo_wire_node *profile = clo_wire_get(claims, "eat_profile"), *issuer = clo_wire_get(claims, "iss");
    bool text = profile != NULL && profile->type == CLO_WIRE_TEXT;
    (void)check(c, "eat_profile", text && clo_span_equal(profile->text, clo_span_str(CLO_EAR_PROFILE)), "claims", CLO_EAR_PROFILE,
                text ? (const char *)profile->text.p : "none");
    if (c->policy->expected_issuer[0] == '\0') return;
    text = issuer != NULL && issuer->type == CLO_WIRE_TEXT;
    (void)check(c, "iss", text && clo_span_equal(issuer->text, clo_span_str(c->policy->expected_issuer)), "issuer_mismatch",
                c->policy->expected_issuer, text ? (const char *)issuer->text.p : "none");
}

/* The worst tier that the vector's values stand for; false where one is no number of a vector. */
static bool vector_tier(const clo_wire_node *vector, int *worst)
{
    *worst = CLO_EAR_NONE;
    for (const clo_wire_node *n = vector != NULL && vector->type == CLO_WIRE_MAP ? vector->first : NULL; n != NULL; n = n->next) {
        if (n->type != CLO_WIRE_INT || n->integer < -128 || n->integer > 127) return false;
        int64_t size = n->integer < 0 ? -n->integer : n->integer;
        int tier = size < 2 ? CLO_EAR_NONE : size < CLO_EAR_WARNING ? CLO_EAR_AFFIRMING : size < CLO_EAR_CONTRAINDICATED ? CLO_EAR_WARNING
                                                                                                                      : CLO_EAR_CONTRAINDICATED;
        if (tier > *worst) *worst = tier;
    }
    return vector == NULL || vector->type == CLO_WIRE_MAP;
}

/* One submodule: affirming; with a warning where the policy takes more than UpToDate; the software TEE where it is allowed. */
static void judge_submodule(clo_attest_context *c, const clo_wire_node *m)
{
    char name[48], actual[64];
    int worst = CLO_EAR_NONE;
    (void)snprintf(name, sizeof name, "submods.%.30s", (const char *)m->key->text.p);
    const clo_wire_node *status = m->type == CLO_WIRE_MAP ? clo_wire_get(m, "ear.status") : NULL;
    bool text = status != NULL && status->type == CLO_WIRE_TEXT;
    bool sound = text && vector_tier(clo_wire_get(m, "ear.trustworthiness-vector"), &worst);
    (void)snprintf(actual, sizeof actual, "%s", text ? (const char *)status->text.p : "no ear.status");
    int tier = strcmp(actual, "affirming") == 0 ? CLO_EAR_AFFIRMING : strcmp(actual, "warning") == 0 ? CLO_EAR_WARNING : CLO_EAR_CONTRAINDICATED;
    if (!check(c, name, sound && tier >= worst, "claims", "a status no better than its vector", actual)) return;
    const clo_wire_node *verdict = clo_wire_get(m, "ear.cloister.verdict");
    const clo_wire_node *word = verdict != NULL ? clo_wire_get(verdict, "verdict") : NULL, *tee = verdict != NULL ? clo_wire_get(verdict, "tee") : NULL;
    bool simulated = tee != NULL && tee->type == CLO_WIRE_TEXT && clo_span_equal(tee->text, clo_span_str("sim"));
    bool valid = word != NULL && word->type == CLO_WIRE_TEXT && clo_span_equal(word->text, clo_span_str("valid"));
    if (simulated && valid) {
        (void)check(c, name, c->policy->allow_simulated, "simulated", c->policy->allow_simulated ? "simulated evidence is allowed" : "evidence of hardware",
                    "evidence of the software TEE");
        return;
    }
    bool warnings = c->policy->accept_tcb_status != CLO_ATTEST_TCB_UP_TO_DATE;
    bool ok = tier == CLO_EAR_AFFIRMING || (tier == CLO_EAR_WARNING && warnings);
    (void)check(c, name, ok, tier == CLO_EAR_WARNING ? "tcb_status" : "claims", warnings ? "affirming or warning" : "affirming", actual);
}

CLO_R clo_attest_ear_verify(clo_attest_context *c)
{
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(ear_token), &memory));
    ear_token *t = memory;
    clo_err e = part != NULL ? token_read(c->arena, part->bytes, t) : CLO_FAILF(CLO_E_MISSING_FIELD, "there is no token");
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        char why[136];
        (void)snprintf(why, sizeof why, "%s", clo_err_text());
        (void)check(c, "token", false, "malformed", "an EAR as JWT or CWT", why);
        return CLO_OK;
    }
    c->out->claims = t->claims;
    CLO_TRY(judge_signature(c, t));
    judge_issuer(c, t->claims);
    judge_times(c, t->claims);
    CLO_TRY(judge_nonce(c, t->claims));
    const clo_wire_node *parts = clo_wire_get(t->claims, "submods");
    bool some = parts != NULL && parts->type == CLO_WIRE_MAP && parts->count != 0 && parts->count <= SUBMODS_MAX;
    if (!check(c, "submods", some, "claims", "1 to 8 submodules", some ? "there" : "none, or too many")) return CLO_OK;
    for (const clo_wire_node *m = parts->first; m != NULL; m = m->next) judge_submodule(c, m);
    return CLO_OK;
}
