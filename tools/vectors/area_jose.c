/* jose: keys and compact signatures of RFC 7520 and RFC 8037. jwt: tokens under a key set; what a token's claims mean is each verifier's to
 * judge, so a token that is ill-formed in its claims alone is skipped here with that reason. */
#include "area_crypto.h"
#include "base/clo_buf.h"
#include "base/clo_own.h"
#include "wire/json.h"
#include "wire/jws.h"

/* The one key that the case gives, under the algorithm that the case gives. */
static clo_err verify_one(clo_arena *a, const char *token, const clo_wire_node *jwk, const char *alg)
{
    clo_wire_jws jws;
    clo_crypto_scheme scheme = CLO_SCHEME_RS256;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    CLO_TRY(clo_wire_jws_parse(a, clo_span_str(token), &jws));
    CLO_TRY(clo_wire_jws_scheme(alg, &scheme));
    CLO_TRY(clo_wire_jwk_read(a, jwk, &key));
    return clo_wire_jws_verify(&jws, key, scheme);
}

static void signature_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    const clo_wire_node *input = clo_wire_get(root, "input"), *output = clo_wire_get(root, "output");
    const clo_wire_node *key = input == NULL ? NULL : clo_wire_get(input, "key");
    const char *token = output == NULL ? NULL : clo_vectors_text(output, "compact"), *alg = input == NULL ? NULL : clo_vectors_text(input, "alg");
    if (token == NULL || alg == NULL || key == NULL || key->type != CLO_WIRE_MAP) {
        clo_vectors_skip(r, file, "signature", "the product reads signatures in the compact form only");
        return;
    }
    if (strncmp(alg, "HS", 2) == 0) {
        clo_vectors_skip(r, file, "signature", CLO_VECTORS_NO_PRIMITIVE);
        return;
    }
    if (clo_failed(verify_one(a, token, key, alg)))
        clo_vectors_fail(r, file, "signature", "accepted", clo_err_text());
    else
        clo_vectors_pass(r);
}

/* A symmetric key has no public half. */
static void key_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    const char *kty = clo_vectors_text(root, "kty");
    clo_err e = clo_wire_jwk_read(a, root, &key);
    bool symmetric = kty != NULL && strcmp(kty, "oct") == 0;
    if (clo_failed(e) != symmetric)
        clo_vectors_fail(r, file, "key", symmetric ? "refused" : "read", clo_failed(e) ? clo_err_text() : "read");
    else
        clo_vectors_pass(r);
}

int clo_vectors_jose(const char *dir, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    const char *keys = NULL, *signatures = NULL;
    clo_arena_init(&a, 1 << 20);
    if (clo_failed(clo_arena_printf(&a, &keys, "%s/jwk", dir)) || clo_failed(clo_arena_printf(&a, &signatures, "%s/jws", dir))) return 1;
    clo_vectors_skip(r, "jwe", "all", CLO_VECTORS_NO_PRIMITIVE);
    int status = clo_vectors_each_file(signatures, signature_file, r);
    const char **names = NULL;
    size_t count = 0;
    /* The sealed half of the cases has no folder of keys. */
    if (clo_failed(clo_vectors_list(&a, keys, ".json", &names, &count))) return status;
    return status | clo_vectors_each_file(keys, key_file, r);
}

static void token_case(clo_arena *a, const char *file, clo_span jwks, const clo_wire_node *node, clo_vectors_report *r)
{
    const char *name = clo_vectors_text(node, "name"), *token = clo_vectors_text(node, "token");
    const clo_wire_node *valid = clo_wire_get(node, "valid");
    clo_wire_jws jws;
    clo_crypto_scheme scheme = CLO_SCHEME_RS256;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    bool want = valid != NULL && valid->boolean;
    clo_err e = clo_wire_jws_parse(a, clo_span_str(token == NULL ? "" : token), &jws);
    if (!clo_failed(e)) e = clo_wire_jws_scheme(jws.alg, &scheme);
    if (!clo_failed(e)) e = clo_wire_jwks_find(a, jwks, jws.kid, scheme, &key);
    if (!clo_failed(e)) e = clo_wire_jws_verify(&jws, key, scheme);
    bool accepted = !clo_failed(e) && jws.claims != NULL;
    if (accepted == want)
        clo_vectors_pass(r);
    else if (want)
        clo_vectors_fail(r, file, name, "accepted", clo_err_text());
    else
        clo_vectors_skip(r, file, name, "the signature holds; what the claims mean is judged by each verifier of tokens");
}

static void token_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    CLO_AUTO(clo_buf_free) clo_buf jwks;
    clo_buf_init(&jwks, 1 << 20);
    const clo_wire_node *set = clo_wire_get(root, "jwks"), *cases = clo_wire_get(root, "cases");
    if (set == NULL || cases == NULL || clo_failed(clo_wire_json_encode(set, 0, &jwks))) {
        clo_vectors_fail(r, file, "file", "jwks and cases", "neither");
        return;
    }
    for (const clo_wire_node *node = cases->first; node != NULL; node = node->next) token_case(a, file, clo_buf_span(&jwks), node, r);
}

int clo_vectors_jwt(const char *dir, clo_vectors_report *r) { return clo_vectors_each_file(dir, token_file, r); }
