/* Proves that tokens and keys in JSON are taken in their one form only: tokens made here with every kind of key verify under their key and
 * under nothing else; none, HMAC, crit, b64, zip and every ill-formed part are refused; no truncation and no flipped bit passes; key sets
 * give exactly the key that the id names, where it may verify; thumbprints are those of RFC 8037; bombs are refused before they are read. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"
#include "wire/jws.h"

#include <stdlib.h>
#include <string.h>

static clo_arena arena;

static int fresh(void **state)
{
    (void)state;
    clo_arena_init(&arena, (size_t)64 << 20);
    return 0;
}
static int drop(void **state)
{
    (void)state;
    clo_arena_free(&arena);
    return 0;
}

static clo_span make_token(const clo_crypto_private_key *sk)
{
    clo_buf token;
    clo_wire_node *claims = NULL;
    clo_span out = {NULL, 0};
    clo_buf_init(&token, CLO_JWS_MAX);
    assert_ok(clo_wire_map(&arena, &claims));
    assert_ok(clo_wire_set_text(&arena, claims, "iss", "https://verifier.example"));
    assert_ok(clo_wire_set_int(&arena, claims, "iat", 1800000000));
    assert_ok(clo_wire_jws_make(&arena, sk, "JWT", claims, &token));
    assert_ok(clo_arena_copy(&arena, clo_buf_span(&token), &out));
    clo_buf_free(&token);
    return out;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        clo_crypto_sign_alg alg;
        clo_crypto_scheme scheme;
    } kinds[] = {{CLO_SIGN_ED25519, CLO_SCHEME_EDDSA}, {CLO_SIGN_ES256, CLO_SCHEME_ES256}, {CLO_SIGN_ES384, CLO_SCHEME_ES384}, {CLO_SIGN_ES512, CLO_SCHEME_ES512}};
    for (size_t i = 0; i < 4; i++) {
        clo_crypto_private_key sk;
        clo_crypto_public_key pk;
        clo_wire_node *jwk = NULL;
        clo_wire_jws jws;
        const char *thumbprint = NULL;
        CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
        CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *found = NULL;
        CLO_AUTO(clo_buf_free) clo_buf set;
        clo_buf_init(&set, 65536);
        assert_ok(clo_crypto_sign_generate(kinds[i].alg, &sk, &pk));
        clo_span token = make_token(&sk);
        assert_ok(clo_wire_jwk_make(&arena, &pk, &jwk));
        assert_ok(clo_wire_jwk_read(&arena, jwk, &key));
        assert_ok(clo_wire_jws_parse(&arena, token, &jws));
        assert_ok(clo_wire_jws_verify(&jws, key, kinds[i].scheme));
        assert_string_equal(jws.alg, clo_wire_jws_alg(kinds[i].scheme));
        assert_int_equal(clo_wire_get(jws.claims, "iat")->integer, 1800000000);
        assert_ok(clo_wire_jwk_thumbprint(&arena, &pk, &thumbprint));
        assert_true(clo_span_equal(jws.kid, clo_span_str(thumbprint)));
        assert_code(clo_wire_jws_verify(&jws, key, kinds[(i + 1) % 4].scheme), CLO_E_DENIED);
        assert_ok(clo_buf_put_str(&set, "{\"keys\":["));
        assert_ok(clo_wire_json_encode(jwk, 0, &set));
        assert_ok(clo_buf_put_str(&set, "]}"));
        assert_ok(clo_wire_jwks_find(&arena, clo_buf_span(&set), jws.kid, kinds[i].scheme, &found));
        assert_ok(clo_wire_jws_verify(&jws, found, kinds[i].scheme));
        clo_crypto_verify_key *none = NULL;
        assert_code(clo_wire_jwks_find(&arena, clo_buf_span(&set), jws.kid, kinds[(i + 1) % 4].scheme, &none), CLO_E_NOT_FOUND);
        assert_code(clo_wire_jwks_find(&arena, clo_buf_span(&set), clo_span_str("other"), kinds[i].scheme, &none), CLO_E_NOT_FOUND);
        clo_crypto_private_key_wipe(&sk);
    }
}

/* No prefix and no flipped bit of a token verifies; a changed last character of the signature cannot hide in left-over bits. */
static void test_altered(void **state)
{
    (void)state;
    clo_crypto_private_key sk;
    clo_crypto_public_key pk;
    clo_wire_jws jws;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk));
    clo_span token = make_token(&sk);
    uint8_t *bytes = malloc(token.n);
    assert_non_null(bytes);
    memcpy(bytes, token.p, token.n);
    assert_ok(clo_crypto_verify_key_of_public(&pk, &key));
    for (size_t cut = 0; cut < token.n; cut++) {
        if (!clo_failed(clo_wire_jws_parse(&arena, clo_span_of(bytes, cut), &jws))) assert_true(clo_failed(clo_wire_jws_verify(&jws, key, CLO_SCHEME_EDDSA)));
    }
    for (size_t at = 0; at < token.n * 8; at++) {
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
        if (!clo_failed(clo_wire_jws_parse(&arena, clo_span_of(bytes, token.n), &jws))) assert_true(clo_failed(clo_wire_jws_verify(&jws, key, CLO_SCHEME_EDDSA)));
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
    }
    free(bytes);
}

static clo_span compact(const char *header, const char *payload, const char *signature)
{
    clo_buf out;
    clo_span kept = {NULL, 0};
    clo_buf_init(&out, 1 << 20);
    assert_ok(clo_base64url_encode(&out, clo_span_str(header)));
    assert_ok(clo_buf_put_u8(&out, '.'));
    assert_ok(clo_base64url_encode(&out, clo_span_str(payload)));
    assert_ok(clo_buf_put_u8(&out, '.'));
    assert_ok(clo_buf_put_str(&out, signature));
    assert_ok(clo_arena_copy(&arena, clo_buf_span(&out), &kept));
    clo_buf_free(&out);
    return kept;
}

static void test_refused_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint32_t code;
    } cases[] = {
        {"{\"alg\":\"RS256\"}", 0},
        {"{\"alg\":\"none\"}", 0}, /* parsed; no scheme is given for it */
        {"{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", CLO_E_UNSUPPORTED},
        {"{\"alg\":\"RS256\",\"b64\":false}", CLO_E_UNSUPPORTED},
        {"{\"alg\":\"RS256\",\"zip\":\"DEF\"}", CLO_E_UNSUPPORTED},
        {"{}", CLO_E_MALFORMED},
        {"{\"alg\":\"\"}", CLO_E_MALFORMED},
        {"{\"alg\":7}", CLO_E_MALFORMED},
        {"{\"alg\":\"RS256RS256RS256RS256\"}", CLO_E_TOO_LARGE},
        {"{\"alg\":\"RS256\",\"alg\":\"RS256\"}", CLO_E_DUPLICATE},
        {"{\"alg\":\"RS256\",\"kid\":[\"a\"]}", CLO_E_MALFORMED},
        {"{\"alg\":\"RS256\",\"x5c\":[]}", CLO_E_MALFORMED},
        {"{\"alg\":\"RS256\",\"x5c\":\"MA==\"}", CLO_E_MALFORMED},
        {"{\"alg\":\"RS256\",\"x5c\":[7]}", CLO_E_MALFORMED},
        {"{\"alg\":\"RS256\",\"x5c\":[\"MA\"]}", CLO_E_MALFORMED},
        {"{\"alg\":\"RS256\",\"x5c\":[\"MA==\"]}", 0},
        {"{\"alg\":\"RS256\",\"x5c\":[\"MA==\",\"MA==\",\"MA==\",\"MA==\",\"MA==\",\"MA==\",\"MA==\",\"MA==\",\"MA==\"]}", CLO_E_TOO_MANY},
        {"[]", CLO_E_MALFORMED},
        {"\"alg\"", CLO_E_MALFORMED},
        {"", CLO_E_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_wire_jws jws;
        assert_code(clo_wire_jws_parse(&arena, compact(cases[i].header, "{}", "AAAA"), &jws), cases[i].code);
    }
    static const char *const denied[] = {"none", "None", "NONE", "HS256", "HS384", "HS512"};
    clo_crypto_scheme scheme = CLO_SCHEME_PS512;
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) assert_code(clo_wire_jws_scheme(denied[i], &scheme), CLO_E_DENIED);
    static const char *const unknown[] = {"", "RS1", "rs256", "ES256K", "RSA-OAEP"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) assert_code(clo_wire_jws_scheme(unknown[i], &scheme), CLO_E_UNSUPPORTED);
    assert_int_equal(scheme, CLO_SCHEME_PS512);
}

static void test_refused_shapes(void **state)
{
    (void)state;
    static const char *const cases[] = {"", ".", "..", "...", "e30", "e30.e30", "e30=.e30.AA", "e30.e30.AA.AA", " e30.e30.AA", "e30.e30.AA\n", "e30.e31.AAA", "e30.e30.AB"};
    clo_wire_jws jws;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_true(clo_failed(clo_wire_jws_parse(&arena, clo_span_str(cases[i]), &jws)));
    /* A payload that is no object is kept as bytes. */
    static const char *const payloads[] = {"", "plain text", "[1]", "{\"a\":1,\"a\":2}", "{\"a\":1}x"};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        assert_ok(clo_wire_jws_parse(&arena, compact("{\"alg\":\"ES256\"}", payloads[i], ""), &jws));
        assert_null(jws.claims);
        assert_true(clo_span_equal(jws.payload, clo_span_str(payloads[i])));
        assert_int_equal(jws.signature.n, 0);
    }
    char *large = malloc(CLO_JWS_MAX + 1);
    assert_non_null(large);
    memset(large, 'A', CLO_JWS_MAX + 1);
    assert_code(clo_wire_jws_parse(&arena, clo_span_of(large, CLO_JWS_MAX + 1), &jws), CLO_E_TOO_LARGE);
    /* Bombs: many values, deep nesting. */
    char bomb[4096];
    memset(bomb, '[', sizeof bomb - 1);
    bomb[sizeof bomb - 1] = 0;
    size_t before = arena.used;
    assert_code(clo_wire_jws_parse(&arena, compact(bomb, "{}", "AAAA"), &jws), CLO_E_TOO_MANY);
    for (size_t i = 0; i + 2 < sizeof bomb; i += 2) memcpy(bomb + i, "0,", 2);
    bomb[0] = '[';
    assert_code(clo_wire_jws_parse(&arena, compact(bomb, "{}", "AAAA"), &jws), CLO_E_TOO_MANY);
    assert_true(arena.used - before < 64 * 1024);
    free(large);
}

static clo_err read_key(const char *json)
{
    clo_wire_node *node = NULL;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    assert_ok(clo_wire_json_decode(&arena, clo_span_str(json), &node));
    return clo_wire_jwk_read(&arena, node, &key);
}

#define X25 "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define XP "\"x\":\"nbNTgKdn87Fucz9E_AiHH1U5X7Gab0YMpd4MNHhHdrk\""
#define YP "\"y\":\"olwEeti_m5H8q6iP4K_15t9EWTpJiC4b_SmXkRGm_Ug\""

static void test_keys(void **state)
{
    (void)state;
    assert_ok(read_key("{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," X25 "}"));
    assert_ok(read_key("{\"kty\":\"EC\",\"crv\":\"P-256\"," XP "," YP "}"));
    static const struct {
        const char *json;
        uint32_t code;
    } cases[] = {
        {"[]", CLO_E_MALFORMED},
        {"{}", CLO_E_UNSUPPORTED},
        {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", CLO_E_UNSUPPORTED},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\"," XP "," YP "}", CLO_E_UNSUPPORTED},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\"," XP "," YP "}", CLO_E_MALFORMED},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," XP "}", CLO_E_MALFORMED},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," XP ",\"y\":\"nbNTgKdn87Fucz9E_AiHH1U5X7Gab0YMpd4MNHhHdrk\"}", CLO_E_MALFORMED}, /* off the curve */
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", CLO_E_MALFORMED},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", CLO_E_UNSUPPORTED},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\"}", CLO_E_MALFORMED},
        {"{\"kty\":\"RSA\",\"n\":7,\"e\":\"AQAB\"}", CLO_E_MALFORMED},
        {"{\"kty\":\"RSA\",\"x5c\":[]}", CLO_E_MALFORMED},
        {"{\"kty\":\"RSA\",\"x5c\":[\"AAAA\"]}", CLO_E_MALFORMED},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," X25 ",\"x5c\":[\"AAAA\"]}", CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_code(read_key(cases[i].json), cases[i].code);
    /* RFC 8037 Appendix A.3 */
    clo_crypto_public_key pk = {.alg = CLO_SIGN_ED25519, .n = 32};
    const char *thumbprint = NULL;
    assert_ok(clo_hex_decode(pk.bytes, 32, clo_span_str("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")));
    assert_ok(clo_wire_jwk_thumbprint(&arena, &pk, &thumbprint));
    assert_string_equal(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

static void set_x5c(clo_wire_node *jwk, clo_span base64)
{
    clo_wire_node *list = NULL, *text = NULL;
    assert_ok(clo_wire_text(&arena, base64, &text));
    assert_ok(clo_wire_array(&arena, &list));
    assert_ok(clo_wire_append(list, text));
    assert_ok(clo_wire_set(&arena, jwk, "x5c", list));
}

static void test_key_from_certificate(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf pem;
    CLO_AUTO(clo_buf_free) clo_buf der;
    CLO_AUTO(clo_buf_free) clo_buf json;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_crypto_public_key pk;
    clo_wire_node *jwk = NULL;
    clo_buf_init(&pem, 8192);
    clo_buf_init(&der, 8192);
    clo_buf_init(&json, 8192);
    clo_crypto_cert_request r = {.common_name = "token signer", .not_before = 1, .not_after = 2, .serial = 1};
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &pem));
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&pem), NULL, clo_span_of(NULL, 0), &der));
    assert_ok(clo_crypto_cert_parse(&cert, clo_buf_span(&der)));
    assert_ok(clo_crypto_cert_public_key(cert, &pk));
    assert_ok(clo_base64_encode(&json, clo_buf_span(&der)));
    /* alone; beside the same key; beside another */
    assert_ok(clo_wire_map(&arena, &jwk));
    assert_ok(clo_wire_set_text(&arena, jwk, "kty", "EC"));
    set_x5c(jwk, clo_buf_span(&json));
    assert_ok(clo_wire_jwk_read(&arena, jwk, &key));
    assert_true(clo_crypto_verify_key_fits(key, CLO_SCHEME_ES256));
    clo_crypto_verify_key_free(&key);
    assert_ok(clo_wire_jwk_make(&arena, &pk, &jwk));
    set_x5c(jwk, clo_buf_span(&json));
    assert_ok(clo_wire_jwk_read(&arena, jwk, &key));
    clo_crypto_verify_key_free(&key);
    clo_crypto_private_key sk;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES256, &sk, &pk));
    assert_ok(clo_wire_jwk_make(&arena, &pk, &jwk));
    set_x5c(jwk, clo_buf_span(&json));
    assert_code(clo_wire_jwk_read(&arena, jwk, &key), CLO_E_MALFORMED);
}

static clo_err find(const char *json, const char *kid)
{
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    return clo_wire_jwks_find(&arena, clo_span_str(json), clo_span_str(kid), CLO_SCHEME_EDDSA, &key);
}

#define KEY(members) "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," X25 members "}"

static void test_sets(void **state)
{
    (void)state;
    assert_ok(find("{\"keys\":[" KEY(",\"kid\":\"a\"") "," KEY(",\"kid\":\"b\"") "]}", "b"));
    assert_ok(find("{\"keys\":[" KEY(",\"kid\":\"a\",\"use\":\"enc\"") "," KEY(",\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"EdDSA\",\"key_ops\":[\"verify\"]") "]}", "a"));
    assert_ok(find("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\",\"kid\":\"z\"}," KEY(",\"kid\":\"a\"") "]}", "a"));
    assert_code(find("{\"keys\":[" KEY(",\"kid\":\"a\"") "," KEY(",\"kid\":\"a\"") "]}", "a"), CLO_E_DUPLICATE);
    assert_code(find("{\"keys\":[" KEY(",\"kid\":\"a\",\"use\":\"enc\"") "]}", "a"), CLO_E_NOT_FOUND);
    assert_code(find("{\"keys\":[" KEY(",\"kid\":\"a\",\"alg\":\"ES256\"") "]}", "a"), CLO_E_NOT_FOUND);
    assert_code(find("{\"keys\":[" KEY(",\"kid\":\"a\",\"key_ops\":[\"sign\"]") "]}", "a"), CLO_E_NOT_FOUND);
    assert_code(find("{\"keys\":[" KEY(",\"kid\":\"a\",\"key_ops\":\"verify\"") "]}", "a"), CLO_E_NOT_FOUND);
    assert_code(find("{\"keys\":[" KEY(",\"kid\":\"\"") "]}", ""), CLO_E_NOT_FOUND);
    assert_code(find("{\"keys\":[" KEY("") "]}", ""), CLO_E_NOT_FOUND);
    assert_code(find("{\"keys\":[7]}", "a"), CLO_E_MALFORMED);
    assert_code(find("{\"keys\":{}}", "a"), CLO_E_MALFORMED);
    assert_code(find("[]", "a"), CLO_E_MALFORMED);
    assert_code(find("{", "a"), CLO_E_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, fresh, drop),
        cmocka_unit_test_setup_teardown(test_altered, fresh, drop),
        cmocka_unit_test_setup_teardown(test_refused_headers, fresh, drop),
        cmocka_unit_test_setup_teardown(test_refused_shapes, fresh, drop),
        cmocka_unit_test_setup_teardown(test_keys, fresh, drop),
        cmocka_unit_test_setup_teardown(test_key_from_certificate, fresh, drop),
        cmocka_unit_test_setup_teardown(test_sets, fresh, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
