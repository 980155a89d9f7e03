/* JSON Web Keys: public keys only. */
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"
#include "wire/jws_int.h"

#include <stdio.h>

enum { JWK_NUMBER_MAX = 1024, JWKS_KEYS_MAX = 256, JWKS_VALUES_MAX = 8192 };

typedef struct {
    const char *kty, *crv; /* crv NULL: RSA */
    clo_crypto_sign_alg alg;
    clo_crypto_scheme scheme;
    size_t width; /* bytes of x, and of y where kty is EC */
} curve_facts;

static const curve_facts curves[] = {
    {"EC", "P-256", CLO_SIGN_ES256, CLO_SCHEME_ES256, 32},
    {"EC", "P-384", CLO_SIGN_ES384, CLO_SCHEME_ES384, 48},
    {"EC", "P-521", CLO_SIGN_ES512, CLO_SCHEME_ES512, 66},
    {"OKP", "Ed25519", CLO_SIGN_ED25519, CLO_SCHEME_EDDSA, 32},
};

static bool text_is(const clo_wire_node *n, const char *text)
{
    return n != NULL && n->type == CLO_WIRE_TEXT && clo_span_equal(n->text, clo_span_str(text));
}

static const curve_facts *curve_of(clo_crypto_sign_alg alg)
{
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (curves[i].alg == alg) return &curves[i];
    }
    return NULL;
}

clo_err clo_wire_jwk_scheme(clo_crypto_sign_alg alg, clo_crypto_scheme *out)
{
    const curve_facts *curve = curve_of(alg);
    CLO_CHECKF(curve != NULL, CLO_E_UNSUPPORTED, "this kind of key signs no tokens");
    *out = curve->scheme;
    return CLO_OK;
}

/* A base64url member. */
static clo_err take_number(clo_arena *a, const clo_wire_node *jwk, const char *name, clo_span *out)
{
    const clo_wire_node *n = clo_wire_get(jwk, name);
    CLO_CHECKF(n != NULL && n->type == CLO_WIRE_TEXT && n->text.n != 0, CLO_E_MALFORMED, "the key lacks %s", name);
    CLO_CHECKF(n->text.n <= 2 * JWK_NUMBER_MAX, CLO_E_TOO_LARGE, "the key's %s is too long", name);
    return clo_wire_base64_take(a, n->text, true, out);
}

static clo_err read_curve(clo_arena *a, const clo_wire_node *jwk, const curve_facts *curve, clo_crypto_verify_key **out)
{
    clo_span x = {NULL, 0}, y = {NULL, 0};
    clo_crypto_public_key key = {.alg = curve->alg};
    bool point = curve->alg != CLO_SIGN_ED25519;
    CLO_TRY(take_number(a, jwk, "x", &x));
    if (point) CLO_TRY(take_number(a, jwk, "y", &y));
    CLO_CHECKF(x.n == curve->width && (!point || y.n == curve->width), CLO_E_MALFORMED, "a coordinate on %s has %zu bytes", curve->crv, curve->width);
    if (point) key.bytes[key.n++] = 4;
    memcpy(key.bytes + key.n, x.p, x.n);
    key.n += x.n;
    if (point) memcpy(key.bytes + key.n, y.p, y.n);
    key.n += y.n;
    return clo_crypto_verify_key_of_public(&key, out);
}

/* The key of the first certificate of x5c. */
static clo_err read_x5c(clo_arena *a, const clo_wire_node *list, clo_crypto_verify_key **out)
{
    clo_span der = {NULL, 0};
    CLO_CHECKF(list->type == CLO_WIRE_ARRAY && list->first != NULL && list->first->type == CLO_WIRE_TEXT, CLO_E_MALFORMED,
               "the key's x5c is no list of certificates");
    CLO_TRY(clo_wire_base64_take(a, list->first->text, false, &der));
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    CLO_TRY(clo_crypto_cert_parse(&cert, der));
    return clo_crypto_verify_key_of_cert(cert, out);
}

static bool same_key(const clo_crypto_verify_key *a, const clo_crypto_verify_key *b)
{
    clo_crypto_public_key x, y;
    if (clo_crypto_verify_key_rsa_bits(a) != clo_crypto_verify_key_rsa_bits(b)) return false;
    if (clo_crypto_verify_key_rsa_bits(a) != 0) return clo_span_equal(clo_crypto_verify_key_modulus(a), clo_crypto_verify_key_modulus(b));
    return !clo_failed(clo_crypto_verify_key_public(a, &x)) && !clo_failed(clo_crypto_verify_key_public(b, &y)) && clo_crypto_public_key_equal(&x, &y);
}

static clo_err read_bare(clo_arena *a, const clo_wire_node *jwk, clo_crypto_verify_key **out)
{
    const clo_wire_node *kty = clo_wire_get(jwk, "kty"), *crv = clo_wire_get(jwk, "crv");
    if (text_is(kty, "RSA")) {
        clo_span n = {NULL, 0}, e = {NULL, 0};
        CLO_TRY(take_number(a, jwk, "n", &n));
        CLO_TRY(take_number(a, jwk, "e", &e));
        return clo_crypto_verify_key_of_rsa(n, e, out);
    }
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (text_is(kty, curves[i].kty) && text_is(crv, curves[i].crv)) return read_curve(a, jwk, &curves[i], out);
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the key is neither RSA nor on P-256, P-384, P-521 or Ed25519");
}

clo_err clo_wire_jwk_read(clo_arena *a, const clo_wire_node *jwk, clo_crypto_verify_key **out)
{
    CLO_CHECKF(jwk != NULL && jwk->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "a key is a JSON object");
    const clo_wire_node *x5c = clo_wire_get(jwk, "x5c");
    bool bare = clo_wire_get(jwk, "n") != NULL || clo_wire_get(jwk, "x") != NULL;
    if (x5c != NULL && !bare) return read_x5c(a, x5c, out);
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *made = NULL;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *certified = NULL;
    CLO_TRY(read_bare(a, jwk, &made));
    if (x5c != NULL) {
        /* RFC 7517 §4.7: both say the same key. */
        CLO_TRY(read_x5c(a, x5c, &certified));
        CLO_CHECKF(same_key(made, certified), CLO_E_MALFORMED, "the key's certificate is for another key");
    }
    *out = CLO_TAKE(made);
    return CLO_OK;
}

/* Is verifying under this scheme among what the key says it is for? */
static bool permits(const clo_wire_node *jwk, clo_crypto_scheme scheme)
{
    const clo_wire_node *use = clo_wire_get(jwk, "use"), *alg = clo_wire_get(jwk, "alg"), *ops = clo_wire_get(jwk, "key_ops");
    if (use != NULL && !text_is(use, "sig")) return false;
    if (alg != NULL && !text_is(alg, clo_wire_jws_alg(scheme))) return false;
    if (ops == NULL) return true;
    if (ops->type != CLO_WIRE_ARRAY) return false;
    for (const clo_wire_node *n = ops->first; n != NULL; n = n->next) {
        if (text_is(n, "verify")) return true;
    }
    return false;
}

clo_err clo_wire_jwks_find(clo_arena *a, clo_span jwks_json, clo_span kid, clo_crypto_scheme scheme, clo_crypto_verify_key **out)
{
    clo_wire_node *set = NULL;
    const clo_wire_node *found = NULL;
    CLO_TRY(clo_wire_json_decode_bounded(a, jwks_json, JWKS_VALUES_MAX, CLO_JWS_DEPTH_MAX, &set));
    const clo_wire_node *keys = set->type == CLO_WIRE_MAP ? clo_wire_get(set, "keys") : NULL;
    CLO_CHECKF(keys != NULL && keys->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "the key set has no list of keys");
    CLO_CHECKF(keys->count <= JWKS_KEYS_MAX, CLO_E_TOO_MANY, "a key set has at most %d keys", JWKS_KEYS_MAX);
    for (const clo_wire_node *n = keys->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the key set holds something that is no key");
        const clo_wire_node *id = clo_wire_get(n, "kid");
        if (id == NULL || id->type != CLO_WIRE_TEXT || !clo_span_equal(id->text, kid) || !permits(n, scheme)) continue;
        CLO_CHECKF(found == NULL, CLO_E_DUPLICATE, "the key set has two keys of this id");
        found = n;
    }
    CLO_CHECKF(found != NULL && kid.n != 0, CLO_E_NOT_FOUND, "the key set has no key of this id for signatures");
    return clo_wire_jwk_read(a, found, out);
}

static clo_err set_number(clo_arena *a, clo_wire_node *jwk, const char *name, clo_span bytes)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_wire_node *node = NULL;
    clo_buf_init(&text, JWK_NUMBER_MAX);
    CLO_TRY(clo_base64url_encode(&text, bytes));
    CLO_TRY(clo_wire_text(a, clo_buf_span(&text), &node));
    return clo_wire_set(a, jwk, name, node);
}

/* The members that identify the key, in the order of RFC 7638 §3.2. */
static clo_err make_bare(clo_arena *a, const clo_crypto_public_key *key, const curve_facts **curve, clo_wire_node **out)
{
    *curve = curve_of(key->alg);
    bool point = key->alg != CLO_SIGN_ED25519;
    CLO_CHECKF(*curve != NULL && key->n == (*curve)->width * (point ? 2 : 1) + (point ? 1 : 0), CLO_E_UNSUPPORTED, "this kind of key has no JWK");
    size_t width = (*curve)->width;
    const uint8_t *x = key->bytes + (point ? 1 : 0);
    clo_wire_node *jwk = NULL;
    CLO_TRY(clo_wire_map(a, &jwk));
    CLO_TRY(clo_wire_set_text(a, jwk, "crv", (*curve)->crv));
    CLO_TRY(clo_wire_set_text(a, jwk, "kty", (*curve)->kty));
    CLO_TRY(set_number(a, jwk, "x", clo_span_of(x, width)));
    if (point) CLO_TRY(set_number(a, jwk, "y", clo_span_of(x + width, width)));
    *out = jwk;
    return CLO_OK;
}

clo_err clo_wire_jwk_thumbprint(clo_arena *a, const clo_crypto_public_key *key, const char **out)
{
    const curve_facts *curve = NULL;
    clo_wire_node *jwk = NULL;
    uint8_t digest[32];
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, JWK_NUMBER_MAX);
    CLO_TRY(make_bare(a, key, &curve, &jwk));
    CLO_TRY(clo_wire_json_encode(jwk, 0, &text));
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&text), digest));
    clo_buf_clear(&text);
    CLO_TRY(clo_base64url_encode(&text, clo_span_of(digest, sizeof digest)));
    return clo_arena_str(a, clo_buf_span(&text), out);
}

clo_err clo_wire_jwk_make(clo_arena *a, const clo_crypto_public_key *key, clo_wire_node **out)
{
    const curve_facts *curve = NULL;
    clo_wire_node *jwk = NULL;
    const char *kid = NULL;
    CLO_TRY(make_bare(a, key, &curve, &jwk));
    CLO_TRY(clo_wire_jwk_thumbprint(a, key, &kid));
    CLO_TRY(clo_wire_set_text(a, jwk, "kid", kid));
    CLO_TRY(clo_wire_set_text(a, jwk, "use", "sig"));
    CLO_TRY(clo_wire_set_text(a, jwk, "alg", clo_wire_jws_alg(curve->scheme)));
    *out = jwk;
    return CLO_OK;
}
