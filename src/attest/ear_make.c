/* EAR: one tree of claims under its JSON names, signed as JWT or, with the labels of the CWT form, as COSE_Sign1. */
#include "attest/ear.h"
#include "attest/ear_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include "wire/jws.h"

#include <stdio.h>

enum { TOKEN_MAX = 256 * 1024 };

const char *const clo_attest_ear_claim_names[CLO_EAR_CLAIMS] = {
    "instance-identity", "configuration", "executables", "file-system", "hardware", "runtime-opaque", "storage-opaque", "sourced-data",
};

const char *clo_attest_ear_status_name(int status)
{
    return status == CLO_EAR_AFFIRMING ? "affirming" : status == CLO_EAR_WARNING ? "warning" : status == CLO_EAR_NONE ? "none" : "contraindicated";
}

CLO_R clo_attest_policy_id(clo_arena *a, const clo_attest_policy *p, const char **out)
{
    clo_wire_node *tree = NULL;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 64 * 1024);
    uint8_t digest[32];
    char hex[65];
    clo_err e = clo_attest_policy_tree(a, p, &tree);
    if (clo_failed(e)) {
        if (e.code != CLO_E_RANGE) return e;
        return clo_arena_printf(a, out, "urn:cloister:policy:open");
    }
    CLO_TRY(clo_wire_cbor_encode(tree, &bytes));
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&bytes), digest));
    clo_hex_encode(hex, clo_span_of(digest, sizeof digest));
    return clo_arena_printf(a, out, "urn:cloister:policy:sha256:%s", hex);
}

int64_t clo_attest_ear_expiry(const clo_attest_result *r, const clo_attest_ear_options *o)
{
    int64_t end = o->now + (o->lifetime_s != 0 ? o->lifetime_s : CLO_EAR_LIFETIME_S);
    return r->valid && r->valid_until != 0 && r->valid_until < end ? r->valid_until : end;
}

typedef struct {
    const char *tee, *reason, *detail, *tcb_status;
    bool valid;
    const clo_wire_node *claims;
} said;

/* A node of another tree once more, below a new parent. */
static clo_err share(clo_arena *a, const clo_wire_node *n, clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(a, out));
    **out = *n;
    (*out)->key = NULL;
    (*out)->next = NULL;
    return CLO_OK;
}

static clo_err submodule_claims(clo_arena *a, const said *s, const clo_attest_ear_vector *v, const char *policy_id, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *vector = NULL, *verdict = NULL, *claims = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "ear.status", clo_attest_ear_status_name(v->status)));
    CLO_TRY(clo_wire_map(a, &vector));
    for (size_t i = 0; i < CLO_EAR_CLAIMS; i++) {
        if (v->claims[i] != 0) CLO_TRY(clo_wire_set_int(a, vector, clo_attest_ear_claim_names[i], v->claims[i]));
    }
    CLO_TRY(clo_wire_set(a, map, "ear.trustworthiness-vector", vector));
    if (policy_id != NULL) CLO_TRY(clo_wire_set_text(a, map, "ear.appraisal-policy-id", policy_id));
    CLO_TRY(clo_wire_map(a, &verdict));
    CLO_TRY(clo_wire_set_text(a, verdict, "verdict", s->valid ? "valid" : "invalid"));
    CLO_TRY(clo_wire_set_text(a, verdict, "tee", s->tee));
    if (!s->valid) CLO_TRY(clo_wire_set_text(a, verdict, "reason", s->reason));
    if (!s->valid) CLO_TRY(clo_wire_set_text(a, verdict, "detail", s->detail));
    if (s->tcb_status[0] != '\0') CLO_TRY(clo_wire_set_text(a, verdict, "tcb_status", s->tcb_status));
    CLO_TRY(clo_wire_set(a, map, "ear.cloister.verdict", verdict));
    if (s->valid && s->claims != NULL) { /* what failed evidence claims is nobody's result */
        CLO_TRY(share(a, s->claims, &claims));
        CLO_TRY(clo_wire_set(a, map, "ear.veraison.annotated-evidence", claims));
    }
    *out = map;
    return CLO_OK;
}

static clo_err submods(clo_arena *a, const clo_attest_result *r, const clo_attest_policy *p, const char *policy_id, clo_wire_node **out)
{
    clo_attest_ear_vector v;
    clo_wire_node *one = NULL;
    CLO_TRY(clo_wire_map(a, out));
    if (r->submodule_count == 0 || strcmp(r->tee, "composite") != 0) {
        said s = {.tee = r->tee, .reason = r->reason, .detail = r->detail, .tcb_status = r->tcb_status, .valid = r->valid, .claims = r->claims};
        clo_attest_ear_derive(r, NULL, p, &v);
        CLO_TRY(submodule_claims(a, &s, &v, policy_id, &one));
        return clo_wire_set(a, *out, r->tee[0] != '\0' ? r->tee : "unknown", one);
    }
    bool all = true;
    for (size_t i = 0; i < r->submodule_count; i++) {
        const clo_attest_submodule *m = &r->submodules[i];
        said s = {.tee = m->tee, .reason = m->reason, .detail = m->detail, .tcb_status = m->tcb_status, .valid = m->valid, .claims = m->claims};
        clo_attest_ear_derive(r, m, p, &v);
        all = all && m->valid;
        CLO_TRY(submodule_claims(a, &s, &v, policy_id, &one));
        CLO_TRY(clo_wire_set(a, *out, m->name, one));
    }
    if (r->valid || !all) return CLO_OK;
    /* Every part held and the whole did not: the binding of the parts says so itself. */
    said s = {.tee = r->tee, .reason = r->reason, .detail = r->detail, .tcb_status = "", .valid = false};
    clo_attest_ear_derive(r, NULL, p, &v);
    CLO_TRY(submodule_claims(a, &s, &v, policy_id, &one));
    return clo_wire_set(a, *out, "composite", one);
}

CLO_R clo_attest_ear_claims(clo_arena *a, const clo_attest_result *r, const clo_attest_policy *p, const clo_attest_ear_options *o, clo_wire_node **out)
{
    CLO_CHECKF(o->nonce.n == 0 || (o->nonce.n >= CLO_EAR_NONCE_MIN && o->nonce.n <= CLO_EAR_NONCE_MAX), CLO_E_RANGE,
               "the nonce of an EAR has %d to %d bytes", (int)CLO_EAR_NONCE_MIN, (int)CLO_EAR_NONCE_MAX);
    clo_wire_node *map = NULL, *verifier = NULL, *parts = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "eat_profile", CLO_EAR_PROFILE));
    if (o->issuer != NULL) CLO_TRY(clo_wire_set_text(a, map, "iss", o->issuer));
    CLO_TRY(clo_wire_set_int(a, map, "iat", o->now));
    CLO_TRY(clo_wire_set_int(a, map, "exp", clo_attest_ear_expiry(r, o)));
    CLO_TRY(clo_wire_map(a, &verifier));
    CLO_TRY(clo_wire_set_text(a, verifier, "developer", o->developer != NULL ? o->developer : "Cloister"));
    CLO_TRY(clo_wire_set_text(a, verifier, "build", o->build != NULL ? o->build : "cloister " CLO_VERSION));
    CLO_TRY(clo_wire_set(a, map, "ear.verifier-id", verifier));
    if (o->nonce.n != 0) CLO_TRY(clo_wire_set_bytes(a, map, "eat_nonce", o->nonce));
    if (o->raw_evidence.n != 0) CLO_TRY(clo_wire_set_bytes(a, map, "ear.raw-evidence", o->raw_evidence));
    CLO_TRY(submods(a, r, p, o->policy_id, &parts));
    CLO_TRY(clo_wire_set(a, map, "submods", parts));
    *out = map;
    return CLO_OK;
}

/* The two binary members of the top level are base64url in JSON; others are claims, in the product's hex. */
static clo_err to_base64url(clo_arena *a, clo_wire_node *map, const char *key)
{
    clo_wire_node *n = clo_wire_get(map, key);
    if (n == NULL) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, TOKEN_MAX);
    CLO_TRY(clo_base64url_encode(&text, n->text));
    n->type = CLO_WIRE_TEXT;
    return clo_arena_copy(a, clo_buf_span(&text), &n->text);
}

CLO_R clo_attest_ear_jwt(clo_arena *a, const clo_attest_result *r, const clo_attest_policy *p, const clo_attest_ear_options *o, clo_buf *out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_attest_ear_claims(a, r, p, o, &map));
    CLO_TRY(to_base64url(a, map, "eat_nonce"));
    CLO_TRY(to_base64url(a, map, "ear.raw-evidence"));
    return clo_wire_jws_make(a, o->key, "JWT", map, out);
}

/* ---- labels of the CWT form ---- */

const clo_attest_ear_label clo_attest_ear_labels[] = {
    {"", "iss", 1},
    {"", "exp", 4},
    {"", "iat", 6},
    {"", "eat_nonce", 10},
    {"", "eat_profile", 265},
    {"", "submods", 266},
    {"", "ear.raw-evidence", 1002},
    {"", "ear.verifier-id", 1004},
    {"ear.verifier-id", "developer", 0},
    {"ear.verifier-id", "build", 1},
    {"submods", "ear.status", 1000},
    {"submods", "ear.trustworthiness-vector", 1001},
    {"submods", "ear.appraisal-policy-id", 1003},
    {"ear.trustworthiness-vector", "instance-identity", 0},
    {"ear.trustworthiness-vector", "configuration", 1},
    {"ear.trustworthiness-vector", "executables", 2},
    {"ear.trustworthiness-vector", "file-system", 3},
    {"ear.trustworthiness-vector", "hardware", 4},
    {"ear.trustworthiness-vector", "runtime-opaque", 5},
    {"ear.trustworthiness-vector", "storage-opaque", 6},
    {"ear.trustworthiness-vector", "sourced-data", 7},
};
const size_t clo_attest_ear_label_count = sizeof clo_attest_ear_labels / sizeof clo_attest_ear_labels[0];

static void label_members(clo_wire_node *map, const char *in)
{
    for (clo_wire_node *n = map->first; n != NULL; n = n->next) {
        for (size_t i = 0; i < clo_attest_ear_label_count; i++) {
            const clo_attest_ear_label *l = &clo_attest_ear_labels[i];
            if (n->key->type != CLO_WIRE_TEXT || strcmp(l->in, in) != 0 || !clo_span_equal(n->key->text, clo_span_str(l->name))) continue;
            n->key->type = CLO_WIRE_INT;
            n->key->integer = l->label;
        }
    }
}

static void label_all(clo_wire_node *map)
{
    label_members(clo_wire_get(map, "ear.verifier-id"), "ear.verifier-id");
    for (clo_wire_node *m = clo_wire_get(map, "submods")->first; m != NULL; m = m->next) {
        clo_wire_node *status = clo_wire_get(m, "ear.status");
        label_members(clo_wire_get(m, "ear.trustworthiness-vector"), "ear.trustworthiness-vector");
        static const int values[] = {CLO_EAR_NONE, CLO_EAR_AFFIRMING, CLO_EAR_WARNING, CLO_EAR_CONTRAINDICATED};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            if (status->type != CLO_WIRE_TEXT || strcmp(clo_attest_ear_status_name(values[i]), (const char *)status->text.p) != 0) continue;
            status->type = CLO_WIRE_INT;
            status->integer = values[i];
        }
        label_members(m, "submods");
    }
    label_members(map, "");
}

CLO_R clo_attest_ear_cwt(clo_arena *a, const clo_attest_result *r, const clo_attest_policy *p, const clo_attest_ear_options *o, clo_buf *out)
{
    clo_wire_node *map = NULL;
    CLO_AUTO(clo_buf_free) clo_buf payload;
    clo_buf_init(&payload, TOKEN_MAX);
    clo_crypto_public_key pk;
    const char *kid = NULL;
    CLO_TRY(clo_attest_ear_claims(a, r, p, o, &map));
    label_all(map);
    CLO_TRY(clo_wire_cbor_encode(map, &payload));
    CLO_TRY(clo_crypto_sign_public_of(o->key, &pk));
    CLO_TRY(clo_wire_jwk_thumbprint(a, &pk, &kid));
    clo_wire_cose_signer signer = {.sk = o->key, .kid = clo_span_str(kid)};
    return clo_wire_cose_sign1(out, &signer, CLO_EAR_CWT_TYPE, clo_span_of(NULL, 0), clo_buf_span(&payload));
}
