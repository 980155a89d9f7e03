/* JSON Web Signatures: reading, verifying and making the compact form. */
#include "wire/jws.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"
#include "wire/jws_int.h"

#include <strings.h>

static const struct {
    const char *alg;
    clo_crypto_scheme scheme;
} schemes[] = {
    {"ES256", CLO_SCHEME_ES256}, {"ES384", CLO_SCHEME_ES384}, {"ES512", CLO_SCHEME_ES512}, {"EdDSA", CLO_SCHEME_EDDSA}, {"RS256", CLO_SCHEME_RS256},
    {"RS384", CLO_SCHEME_RS384}, {"RS512", CLO_SCHEME_RS512}, {"PS256", CLO_SCHEME_PS256}, {"PS384", CLO_SCHEME_PS384}, {"PS512", CLO_SCHEME_PS512},
};

clo_err clo_wire_jws_scheme(const char *alg, clo_crypto_scheme *out)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strcmp(alg, schemes[i].alg) != 0) continue;
        *out = schemes[i].scheme;
        return CLO_OK;
    }
    CLO_CHECKF(strcasecmp(alg, "none") != 0, CLO_E_DENIED, "a token without a signature (alg none) proves nothing");
    CLO_CHECKF(strncmp(alg, "HS", 2) != 0, CLO_E_DENIED, "a token under a shared secret (alg %.15s) proves nothing to a third party", alg);
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the signature algorithm of the token is not known");
}

const char *clo_wire_jws_alg(clo_crypto_scheme scheme)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (schemes[i].scheme == scheme) return schemes[i].alg;
    }
    return "";
}

clo_err clo_wire_base64_take(clo_arena *a, clo_span text, bool url, clo_span *out)
{
    void *memory = NULL;
    size_t room = text.n / 4 * 3 + 4;
    CLO_TRY(clo_arena_alloc(a, room, &memory));
    clo_buf to = {.p = memory, .cap = room, .max = room}; /* full at birth: it never grows away from the arena */
    CLO_TRY(url ? clo_base64url_decode(&to, text) : clo_base64_decode(&to, text));
    *out = clo_buf_span(&to);
    return CLO_OK;
}

static clo_err take_x5c(clo_arena *a, clo_wire_jws *j)
{
    const clo_wire_node *list = clo_wire_get(j->header, "x5c");
    if (list == NULL) return CLO_OK;
    CLO_CHECKF(list->type == CLO_WIRE_ARRAY && list->count != 0, CLO_E_MALFORMED, "the token's x5c is no list of certificates");
    CLO_CHECKF(list->count <= CLO_JWS_X5C_MAX, CLO_E_TOO_MANY, "the token brings more than %d certificates", CLO_JWS_X5C_MAX);
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_TEXT && n->text.n != 0, CLO_E_MALFORMED, "the token's x5c holds something that is no certificate");
        CLO_TRY(clo_wire_base64_take(a, n->text, false, &j->x5c[j->x5c_count]));
        j->x5c_count++;
    }
    return CLO_OK;
}

static clo_err take_header(clo_arena *a, clo_span bytes, clo_wire_jws *j)
{
    /* What these say changes what the signature covers or how the payload is read, and nobody here understands it. */
    static const char *const refused[] = {"crit", "b64", "zip"};
    CLO_TRY(clo_wire_json_decode_bounded(a, bytes, CLO_JWS_HEADER_VALUES_MAX, CLO_JWS_DEPTH_MAX, &j->header));
    CLO_CHECKF(j->header->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the token's header is no JSON object");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CLO_CHECKF(clo_wire_get(j->header, refused[i]) == NULL, CLO_E_UNSUPPORTED, "the token's header has %s, which is not supported", refused[i]);
    }
    const clo_wire_node *alg = clo_wire_get(j->header, "alg"), *kid = clo_wire_get(j->header, "kid");
    CLO_CHECKF(alg != NULL && alg->type == CLO_WIRE_TEXT && alg->text.n != 0, CLO_E_MALFORMED, "the token's header names no algorithm");
    CLO_TRY(clo_str_set(j->alg, sizeof j->alg, alg->text));
    CLO_CHECKF(kid == NULL || kid->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "the token's kid is no text");
    if (kid != NULL) j->kid = kid->text;
    return take_x5c(a, j);
}

/* The payload as a JSON object, where it is one. */
static clo_err take_claims(clo_arena *a, clo_wire_jws *j)
{
    clo_wire_node *claims = NULL;
    clo_err e = clo_wire_json_decode_bounded(a, j->payload, CLO_JWS_VALUES_MAX, CLO_JWS_DEPTH_MAX, &claims);
    if (clo_failed(e)) return clo_err_class(e) == CLO_CLASS_INPUT || e.code == CLO_E_TOO_MANY ? CLO_OK : e;
    if (claims->type == CLO_WIRE_MAP) j->claims = claims;
    return CLO_OK;
}

static bool of_alphabet(clo_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_')) return false;
    }
    return true;
}

/* Letters that make no whole bytes (a signature that was cut) are a signature that no key made, not another format: empty. */
static clo_err take_signature(clo_arena *a, clo_span text, clo_span *out)
{
    clo_err e = clo_wire_base64_take(a, text, true, out);
    if (!clo_failed(e) || clo_err_class(e) != CLO_CLASS_INPUT || !of_alphabet(text)) return e;
    *out = clo_span_of(NULL, 0);
    return CLO_OK;
}

clo_err clo_wire_jws_parse(clo_arena *a, clo_span compact, clo_wire_jws *out)
{
    CLO_CHECKF(compact.n <= CLO_JWS_MAX, CLO_E_TOO_LARGE, "a token has at most 64 KiB");
    const uint8_t *first = compact.n != 0 ? memchr(compact.p, '.', compact.n) : NULL;
    CLO_CHECKF(first != NULL, CLO_E_MALFORMED, "a token has three parts with points between them");
    size_t header_size = (size_t)(first - compact.p), rest = compact.n - header_size - 1;
    const uint8_t *second = rest != 0 ? memchr(first + 1, '.', rest) : NULL;
    CLO_CHECKF(second != NULL, CLO_E_MALFORMED, "a token has three parts with points between them");
    size_t signed_size = (size_t)(second - compact.p);
    clo_span header = {NULL, 0};
    clo_wire_jws j = {.signed_input = clo_span_of(compact.p, signed_size)};
    /* A fourth part would put a point into the signature, which is not of the alphabet. */
    CLO_TRY(take_signature(a, clo_span_of(second + 1, compact.n - signed_size - 1), &j.signature));
    CLO_TRY(clo_wire_base64_take(a, clo_span_of(compact.p, header_size), true, &header));
    CLO_TRY(take_header(a, header, &j));
    CLO_TRY(clo_wire_base64_take(a, clo_span_of(first + 1, (size_t)(second - first) - 1), true, &j.payload));
    CLO_TRY(take_claims(a, &j));
    *out = j;
    return CLO_OK;
}

clo_err clo_wire_jws_verify(const clo_wire_jws *jws, const clo_crypto_verify_key *key, clo_crypto_scheme scheme)
{
    clo_crypto_scheme named = scheme;
    CLO_TRY(clo_wire_jws_scheme(jws->alg, &named));
    CLO_CHECKF(named == scheme, CLO_E_DENIED, "the token is signed with %s, its key is for %s", jws->alg, clo_wire_jws_alg(scheme));
    return clo_crypto_verify_with(key, scheme, jws->signed_input, jws->signature);
}

clo_err clo_wire_jws_make(clo_arena *a, const clo_crypto_private_key *key, const char *typ, const clo_wire_node *claims, clo_buf *out)
{
    enum { JSON_MAX = CLO_JWS_MAX / 4 * 3 };
    clo_crypto_public_key half;
    clo_crypto_scheme scheme = CLO_SCHEME_EDDSA;
    const char *kid = NULL;
    clo_wire_node *header = NULL;
    uint8_t signature[CLO_SIGNATURE_MAX];
    CLO_TRY(clo_crypto_sign_public_of(key, &half));
    CLO_TRY(clo_wire_jwk_scheme(half.alg, &scheme));
    CLO_TRY(clo_wire_jwk_thumbprint(a, &half, &kid));
    CLO_TRY(clo_wire_map(a, &header));
    CLO_TRY(clo_wire_set_text(a, header, "alg", clo_wire_jws_alg(scheme)));
    CLO_TRY(clo_wire_set_text(a, header, "kid", kid));
    if (typ != NULL) CLO_TRY(clo_wire_set_text(a, header, "typ", typ));
    CLO_AUTO(clo_buf_free) clo_buf json;
    CLO_AUTO(clo_buf_free) clo_buf made;
    clo_buf_init(&json, JSON_MAX);
    clo_buf_init(&made, CLO_JWS_MAX);
    CLO_TRY(clo_wire_json_encode(header, 0, &json));
    CLO_TRY(clo_base64url_encode(&made, clo_buf_span(&json)));
    CLO_TRY(clo_buf_put_u8(&made, '.'));
    clo_buf_clear(&json);
    CLO_TRY(clo_wire_json_encode(claims, 0, &json));
    CLO_TRY(clo_base64url_encode(&made, clo_buf_span(&json)));
    CLO_TRY(clo_crypto_sign(key, clo_buf_span(&made), signature));
    CLO_TRY(clo_buf_put_u8(&made, '.'));
    CLO_TRY(clo_base64url_encode(&made, clo_span_of(signature, clo_crypto_signature_size(key->alg))));
    return clo_buf_put_span(out, clo_buf_span(&made));
}
