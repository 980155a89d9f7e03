/* Proves PSA tokens: every published case; tokens made here of both profiles and all three curves; each rule of RFC 9783 broken once; keys in
 * every form; MACs; every cut and every flipped bit of a valid token; bombs. */
#include "psa_fixture.h"
#include "token_vectors.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
enum { NOW = 1800000000 };

static clo_crypto_private_key sk;
static clo_crypto_public_key pk;
static clo_arena keep;
static clo_attest_part iak = {.role = "iak_public"};
static const uint8_t nonce[64] = {0xd1, 0x0e, 0xff};

static clo_span kept(clo_buf *b)
{
    clo_span s = {NULL, 0};
    assert_ok(clo_arena_copy(&keep, clo_buf_span(b), &s));
    clo_buf_free(b);
    return s;
}

static clo_span jwk_of(const clo_crypto_public_key *key)
{
    clo_buf b;
    clo_buf_init(&b, 4096);
    assert_ok(psa_fixture_jwk(key, &b));
    return kept(&b);
}

static int set_up(void **state)
{
    (void)state;
    clo_arena_init(&keep, 64 << 20);
    if (clo_failed(clo_crypto_sign_generate(CLO_SIGN_ES256, &sk, &pk))) return -1;
    iak.bytes = jwk_of(&pk);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clo_arena_free(&keep);
    clo_arena_free(&token_arena);
    return 0;
}

static psa_fixture_options usual(bool legacy) { return (psa_fixture_options){.legacy = legacy, .nonce = clo_span_of(nonce, sizeof nonce)}; }

static clo_attest_policy open_policy(void)
{
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.expected_nonce = clo_span_of(nonce, sizeof nonce);
    return p;
}

static clo_wire_node *claims_of(bool legacy)
{
    clo_wire_node *claims = NULL;
    psa_fixture_options o = usual(legacy);
    assert_ok(psa_fixture_claims(&keep, &o, &claims));
    return claims;
}

static clo_span signed_by(const clo_wire_node *claims, const clo_crypto_private_key *key)
{
    clo_buf b;
    clo_buf_init(&b, 64 * 1024);
    assert_ok(psa_fixture_sign(&keep, claims, key, &b));
    return kept(&b);
}

static const char *verdict(clo_span token, const clo_attest_policy *p) { return appraise("psa", token, &iak, 1, p, NOW); }

static void test_published(void **state)
{
    (void)state;
    published_cases("psa", 35, 2); /* two cases give the same bytes both verdicts */
}

static void test_valid(void **state)
{
    (void)state;
    static const clo_crypto_sign_alg algs[] = {CLO_SIGN_ES256, CLO_SIGN_ES384, CLO_SIGN_ES512};
    static const int64_t ids[] = {-7, -35, -36};
    clo_attest_policy p = open_policy();
    for (size_t i = 0; i < 2 * COUNT(algs); i++) {
        clo_crypto_private_key key;
        clo_crypto_public_key half;
        assert_ok(clo_crypto_sign_generate(algs[i / 2], &key, &half));
        clo_attest_part role = {.role = "iak_public", .bytes = jwk_of(&half)};
        clo_span token = signed_by(claims_of(i % 2 != 0), &key);
        assert_string_equal(appraise("psa", token, &role, 1, &p, NOW), "valid");
        assert_int_equal(clo_wire_get(token_result.claims, "alg")->integer, ids[i / 2]);
        assert_string_equal(clo_wire_get(token_result.claims, "lifecycle")->text.p, "secured");
        assert_string_equal(clo_wire_get(token_result.claims, "client")->text.p, "secure");
        assert_string_equal(appraise("auto", token, &role, 1, &p, NOW), "valid");
        assert_string_equal(verdict(token, &p), "bad_signature"); /* another key */
        assert_string_equal(appraise("psa", token, NULL, 0, &p, NOW), "collateral_missing");
    }
    /* The strict policy has nothing against it either. */
    clo_attest_policy_init(&p);
    p.require_crl = false;
    p.expected_nonce = clo_span_of(nonce, sizeof nonce);
    assert_string_equal(verdict(signed_by(claims_of(false), &sk), &p), "valid");
    p.expected_nonce = clo_span_of(nonce, 32);
    assert_string_equal(verdict(signed_by(claims_of(false), &sk), &p), "valid"); /* zeros behind the nonce */
    p.expected_nonce = clo_span_of("another nonce", 13);
    assert_string_equal(verdict(signed_by(claims_of(false), &sk), &p), "nonce_mismatch");
    p.have_report_data = true;
    p.expected_nonce = clo_span_of(NULL, 0);
    assert_string_equal(verdict(signed_by(claims_of(false), &sk), &p), "report_data_mismatch");
    memcpy(p.report_data, nonce, sizeof nonce);
    assert_string_equal(verdict(signed_by(claims_of(false), &sk), &p), "valid");
}

/* One way to break a claim: another value under a key, or (type NULL) none. */
typedef struct {
    int64_t key;
    clo_wire_type type;
    int64_t number;
    const char *text; /* TEXT, or the bytes' filling */
    size_t size;
    const char *reason;
} breakage;

static void break_claim(clo_wire_node *claims, const breakage *b)
{
    clo_wire_node *value = NULL, *before = NULL;
    clo_wire_node *n = claims->first;
    for (; n != NULL && !(n->key->type == CLO_WIRE_INT && n->key->integer == b->key); n = n->next) before = n;
    if (n != NULL) { /* unlink */
        if (before == NULL) claims->first = n->next;
        if (before != NULL) before->next = n->next;
        if (claims->last == n) claims->last = before;
        claims->count--;
    }
    uint8_t bytes[128];
    memset(bytes, 1, sizeof bytes);
    if (b->type == CLO_WIRE_NULL) return;
    if (b->type == CLO_WIRE_INT) {
        assert_ok(clo_wire_int(&keep, b->number, &value));
    } else if (b->type == CLO_WIRE_TEXT) {
        assert_ok(clo_wire_text(&keep, clo_span_str(b->text), &value));
    } else if (b->type == CLO_WIRE_ARRAY) {
        assert_ok(clo_wire_array(&keep, &value));
    } else {
        if (b->text != NULL) bytes[0] = (uint8_t)b->text[0];
        assert_ok(clo_wire_bytes(&keep, clo_span_of(bytes, b->size), &value));
    }
    assert_ok(clo_wire_set_int_key(&keep, claims, b->key, value));
}

static void check_breakages(bool legacy, const breakage *list, size_t count)
{
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *claims = claims_of(legacy);
        break_claim(claims, &list[i]);
        const char *got = verdict(signed_by(claims, &sk), &p);
        if (strcmp(got, list[i].reason) != 0) fail_msg("breakage %zu of key %lld: %s (%s), wanted %s", i, (long long)list[i].key, got, token_result.detail, list[i].reason);
    }
}

static const breakage newer_rules[] = {
    {10, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {10, CLO_WIRE_BYTES, 0, NULL, 31, "claims"},
    {10, CLO_WIRE_BYTES, 0, NULL, 33, "claims"},
    {10, CLO_WIRE_BYTES, 0, NULL, 48, "valid"},
    {10, CLO_WIRE_BYTES, 0, NULL, 65, "claims"},
    {10, CLO_WIRE_ARRAY, 0, NULL, 0, "claims"},
    {10, CLO_WIRE_TEXT, 0, "00000000000000000000000000000000", 0, "claims"},
    {256, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {256, CLO_WIRE_BYTES, 0, NULL, 32, "claims"},
    {256, CLO_WIRE_BYTES, 0, NULL, 34, "claims"},
    {256, CLO_WIRE_BYTES, 0, "\2", 33, "claims"},
    {265, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {265, CLO_WIRE_TEXT, 0, "http://arm.com/psa/2.0.0", 0, "valid"},
    {265, CLO_WIRE_TEXT, 0, "http://arm.com/psa/3.0.0", 0, "claims"},
    {265, CLO_WIRE_TEXT, 0, "PSA_IOT_PROFILE_1", 0, "claims"},
    {265, CLO_WIRE_INT, 2, NULL, 0, "claims"},
    {2394, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {2394, CLO_WIRE_INT, -1, NULL, 0, "valid"},
    {2394, CLO_WIRE_INT, 0, NULL, 0, "claims"},
    {2394, CLO_WIRE_INT, INT32_MIN, NULL, 0, "valid"},
    {2394, CLO_WIRE_INT, (int64_t)INT32_MAX + 1, NULL, 0, "claims"},
    {2394, CLO_WIRE_INT, (int64_t)INT32_MIN - 1, NULL, 0, "claims"},
    {2394, CLO_WIRE_TEXT, 0, "1", 0, "claims"},
    {2395, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {2395, CLO_WIRE_INT, 0x30ff, NULL, 0, "valid"},
    {2395, CLO_WIRE_INT, 0x3100, NULL, 0, "claims"},
    {2395, CLO_WIRE_INT, 0x4000, NULL, 0, "debug"},
    {2395, CLO_WIRE_INT, 0x50ff, NULL, 0, "debug"},
    {2395, CLO_WIRE_INT, 0, NULL, 0, "platform_policy"},
    {2395, CLO_WIRE_INT, 0x1000, NULL, 0, "platform_policy"},
    {2395, CLO_WIRE_INT, 0x2001, NULL, 0, "platform_policy"},
    {2395, CLO_WIRE_INT, 0x60ff, NULL, 0, "platform_policy"},
    {2395, CLO_WIRE_INT, 0x6100, NULL, 0, "claims"},
    {2395, CLO_WIRE_INT, 0x7000, NULL, 0, "claims"},
    {2395, CLO_WIRE_INT, -1, NULL, 0, "claims"},
    {2395, CLO_WIRE_INT, 0x13000, NULL, 0, "claims"},
    {2396, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {2396, CLO_WIRE_BYTES, 0, NULL, 31, "claims"},
    {2396, CLO_WIRE_BYTES, 0, NULL, 33, "claims"},
    {2397, CLO_WIRE_NULL, 0, NULL, 0, "valid"},
    {2397, CLO_WIRE_BYTES, 0, NULL, 7, "claims"},
    {2397, CLO_WIRE_BYTES, 0, NULL, 8, "valid"},
    {2397, CLO_WIRE_BYTES, 0, NULL, 33, "claims"},
    {2398, CLO_WIRE_NULL, 0, NULL, 0, "valid"},
    {2398, CLO_WIRE_TEXT, 0, "0604565272829", 0, "claims"},
    {2398, CLO_WIRE_TEXT, 0, "0604565272829-1001", 0, "claims"},
    {2398, CLO_WIRE_TEXT, 0, "060456527282a-10010", 0, "claims"},
    {2398, CLO_WIRE_TEXT, 0, "0604565272829+10010", 0, "claims"},
    {2399, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {2399, CLO_WIRE_ARRAY, 0, NULL, 0, "claims"},
    {2399, CLO_WIRE_INT, 1, NULL, 0, "claims"},
    {2400, CLO_WIRE_NULL, 0, NULL, 0, "valid"},
    {2400, CLO_WIRE_TEXT, 0, "", 0, "claims"},
    {2400, CLO_WIRE_INT, 1, NULL, 0, "claims"},
    {-75008, CLO_WIRE_BYTES, 0, NULL, 32, "claims"}, /* two profiles at once */
    {-75007, CLO_WIRE_INT, 1, NULL, 0, "claims"},
    {4711, CLO_WIRE_INT, 1, NULL, 0, "valid"},       /* further claims are the maker's business */
};
static const breakage legacy_rules[] = {
    {-75000, CLO_WIRE_NULL, 0, NULL, 0, "valid"},
    {-75000, CLO_WIRE_TEXT, 0, "PSA_IOT_PROFILE_2", 0, "claims"},
    {-75001, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {-75002, CLO_WIRE_INT, 0x4001, NULL, 0, "debug"},
    {-75003, CLO_WIRE_BYTES, 0, NULL, 16, "claims"},
    {-75004, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {-75004, CLO_WIRE_BYTES, 0, NULL, 8, "claims"},
    {-75005, CLO_WIRE_TEXT, 0, "0604565272829", 0, "valid"},
    {-75005, CLO_WIRE_TEXT, 0, "060456527282", 0, "claims"},
    {-75006, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {-75007, CLO_WIRE_INT, 1, NULL, 0, "claims"}, /* and components */
    {-75008, CLO_WIRE_NULL, 0, NULL, 0, "claims"},
    {-75009, CLO_WIRE_BYTES, 0, NULL, 32, "claims"},
    {-75010, CLO_WIRE_TEXT, 0, "", 0, "claims"},
};

static void test_rules(void **state)
{
    (void)state;
    check_breakages(false, newer_rules, COUNT(newer_rules));
    check_breakages(true, legacy_rules, COUNT(legacy_rules));
    /* No measurements, said so: the older profile alone knows that. */
    clo_attest_policy p = open_policy();
    clo_wire_node *claims = claims_of(true);
    break_claim(claims, &(breakage){.key = -75006, .type = CLO_WIRE_NULL});
    break_claim(claims, &(breakage){.key = -75007, .type = CLO_WIRE_INT, .number = 1});
    assert_string_equal(verdict(signed_by(claims, &sk), &p), "valid");
    break_claim(claims, &(breakage){.key = -75007, .type = CLO_WIRE_INT, .number = 2});
    assert_string_equal(verdict(signed_by(claims, &sk), &p), "claims");
    /* Debug states where the policy says so; other states never. */
    p.allow_debug = true;
    claims = claims_of(false);
    break_claim(claims, &(breakage){.key = 2395, .type = CLO_WIRE_INT, .number = 0x4000});
    assert_string_equal(verdict(signed_by(claims, &sk), &p), "valid");
    break_claim(claims, &(breakage){.key = 2395, .type = CLO_WIRE_INT, .number = 0x6000});
    assert_string_equal(verdict(signed_by(claims, &sk), &p), "platform_policy");
}

static void test_components(void **state)
{
    (void)state;
    static const breakage list[] = {
        {2, CLO_WIRE_NULL, 0, NULL, 0, "claims"},     {2, CLO_WIRE_BYTES, 0, NULL, 20, "claims"}, {2, CLO_WIRE_BYTES, 0, NULL, 64, "valid"},
        {5, CLO_WIRE_NULL, 0, NULL, 0, "claims"},     {5, CLO_WIRE_BYTES, 0, NULL, 31, "claims"}, {5, CLO_WIRE_BYTES, 0, NULL, 48, "valid"},
        {1, CLO_WIRE_INT, 1, NULL, 0, "claims"},      {4, CLO_WIRE_BYTES, 0, NULL, 4, "claims"},  {6, CLO_WIRE_INT, 5, NULL, 0, "claims"},
        {1, CLO_WIRE_NULL, 0, NULL, 0, "valid"},      {7, CLO_WIRE_INT, 5, NULL, 0, "valid"},
    };
    clo_attest_policy p = open_policy();
    for (size_t i = 0; i < COUNT(list); i++) {
        clo_wire_node *claims = claims_of(false);
        break_claim(clo_wire_get_int_key(claims, 2399)->last, &list[i]);
        assert_string_equal(verdict(signed_by(claims, &sk), &p), list[i].reason);
    }
}

static void test_key_forms(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    clo_span token = signed_by(claims_of(false), &sk);
    /* SubjectPublicKeyInfo of P-256: a fixed head and the point. */
    uint8_t spki[26 + 65];
    assert_ok(clo_hex_decode(spki, 26, clo_span_str("3059301306072a8648ce3d020106082a8648ce3d030107034200")));
    memcpy(spki + 26, pk.bytes, 65);
    clo_buf pem;
    clo_buf_init(&pem, 4096);
    assert_ok(clo_buf_put_str(&pem, "-----BEGIN PUBLIC KEY-----\n"));
    assert_ok(clo_base64_encode(&pem, clo_span_of(spki, sizeof spki)));
    assert_ok(clo_buf_put_str(&pem, "\n-----END PUBLIC KEY-----\n"));
    clo_wire_node *key = NULL, *n = NULL;
    assert_ok(clo_wire_map(&keep, &key));
    assert_ok(clo_wire_int(&keep, 2, &n));
    assert_ok(clo_wire_set_int_key(&keep, key, 1, n));
    assert_ok(clo_wire_int(&keep, 1, &n));
    assert_ok(clo_wire_set_int_key(&keep, key, -1, n));
    assert_ok(clo_wire_bytes(&keep, clo_span_of(pk.bytes + 1, 32), &n));
    assert_ok(clo_wire_set_int_key(&keep, key, -2, n));
    assert_ok(clo_wire_bytes(&keep, clo_span_of(pk.bytes + 33, 32), &n));
    assert_ok(clo_wire_set_int_key(&keep, key, -3, n));
    clo_buf cose;
    clo_buf_init(&cose, 4096);
    assert_ok(clo_wire_cbor_encode(key, &cose));
    clo_span pem_text = kept(&pem), cose_key = kept(&cose);
    clo_span forms[] = {iak.bytes, clo_span_of(spki, sizeof spki), pem_text, cose_key, clo_span_of(pk.bytes, 65)};
    for (size_t i = 0; i < COUNT(forms); i++) {
        clo_attest_part role = {.role = "iak_public", .bytes = forms[i]};
        assert_string_equal(appraise("psa", token, &role, 1, &p, NOW), "valid");
        for (size_t cut = 0; cut < forms[i].n; cut++) {
            role.bytes = clo_span_of(forms[i].p, cut);
            if (i == 2 && cut == forms[i].n - 1) continue; /* the last line end */
            assert_string_not_equal(appraise("psa", token, &role, 1, &p, NOW), "valid");
        }
    }
    /* A private part, another purpose, another curve. */
    static const char *const bad[] = {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", "{\"kty\":\"EC\",\"crv\":\"P-256\"}", "[]", "hello", "{"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        clo_attest_part role = {.role = "iak_public", .bytes = clo_span_str(bad[i])};
        assert_string_equal(appraise("psa", token, &role, 1, &p, NOW), "bad_key");
    }
    assert_ok(clo_wire_bytes(&keep, clo_span_of(sk.bytes, 32), &n));
    assert_ok(clo_wire_set_int_key(&keep, key, -4, n));
    clo_buf_init(&cose, 4096);
    assert_ok(clo_wire_cbor_encode(key, &cose));
    clo_attest_part role = {.role = "iak_public", .bytes = kept(&cose)};
    assert_string_equal(appraise("psa", token, &role, 1, &p, NOW), "bad_key");
    /* A key that the evidence brings along vouches for nothing. */
    clo_attest_part both[2] = {{.role = "report", .bytes = token}, iak};
    clo_arena_free(&token_arena);
    clo_arena_init(&token_arena, 1 << 20);
    assert_ok(clo_attest_verify(&token_arena, "psa", both, 2, NULL, 0, &p, NOW, &token_result));
    assert_string_equal(token_result.reason, "collateral_missing");
}

static void test_altered(void **state)
{
    (void)state;
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    clo_span token = signed_by(claims_of(false), &sk);
    uint8_t *bytes = malloc(token.n + 1);
    assert_non_null(bytes);
    memcpy(bytes, token.p, token.n);
    bytes[token.n] = 0;
    assert_string_equal(verdict(clo_span_of(bytes, token.n + 1), &p), "malformed");
    for (size_t cut = 0; cut < token.n; cut++) assert_string_equal(verdict(clo_span_of(bytes, cut), &p), "malformed");
    for (size_t at = 0; at < token.n * 8; at++) {
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
        assert_string_not_equal(verdict(clo_span_of(bytes, token.n), &p), "valid");
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
    }
    assert_string_equal(verdict(clo_span_of(bytes, token.n), &p), "valid");
    small_arenas("psa", token, &iak, 1, &p, NOW);
    /* Untagged, and in the tag of a CWT: other formats. */
    assert_string_equal(verdict(clo_span_of(bytes + 1, token.n - 1), &p), "malformed");
    free(bytes);
}

/* Deep or wide input is refused before it costs anything. */
static void test_bombs(void **state)
{
    (void)state;
    enum { SIZE = 64 * 1024 };
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    static const uint8_t fillings[] = {0x81, 0xa1, 0x00, 0xd2, 0x9f, 0xbf, 0x40, 0x80};
    static const size_t sizes[] = {64, 8 * 1024, 8 * 1024 + 1, SIZE};
    for (size_t i = 0; i < COUNT(fillings) * COUNT(sizes); i++) {
        memset(bytes, fillings[i / COUNT(sizes)], SIZE);
        bytes[0] = 0xd2;
        bytes[1] = 0x84;
        assert_string_equal(verdict(clo_span_of(bytes, sizes[i % COUNT(sizes)]), &p), "malformed");
        assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
        bytes[0] = 0xd1;
        assert_string_equal(verdict(clo_span_of(bytes, sizes[i % COUNT(sizes)]), &p), "malformed");
        assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    }
    /* A wide header that nothing signs. */
    size_t at = 0;
    memcpy(bytes, "\xd2\x84\x43\xa1\x01\x26\xb9\x08\x00", 9);
    for (at = 9; at < 8000; at++) bytes[at] = (uint8_t)(at % 2 == 0 ? 0x20 : 0x61);
    assert_string_equal(verdict(clo_span_of(bytes, at), &p), "malformed");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    memcpy(bytes, "\xd2\x84\x43\xa1\x01\x26\xa1\x18\x63\x99\x0f\x00", 12);
    memset(bytes + 12, 0x80, 8000);
    assert_string_equal(verdict(clo_span_of(bytes, 8000), &p), "malformed");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    /* A signed payload that is wide, and one that is deep. */
    clo_wire_node *list = NULL, *n = NULL, *claims = claims_of(false);
    assert_ok(clo_wire_array(&keep, &list));
    for (size_t i = 0; i < 2000; i++) {
        assert_ok(clo_wire_int(&keep, 1, &n));
        assert_ok(clo_wire_append(list, n));
    }
    assert_ok(clo_wire_set_int_key(&keep, claims, 1, list));
    assert_string_equal(verdict(signed_by(claims, &sk), &p), "malformed");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    claims = claims_of(false);
    assert_ok(clo_wire_int(&keep, 1, &n));
    for (size_t i = 0; i < 20; i++) {
        assert_ok(clo_wire_array(&keep, &list));
        assert_ok(clo_wire_append(list, n));
        n = list;
    }
    assert_ok(clo_wire_set_int_key(&keep, claims, 1, list));
    assert_string_equal(verdict(signed_by(claims, &sk), &p), "malformed");
    /* The largest token that is read at all. */
    claims = claims_of(false);
    uint8_t wide[7000] = {0};
    assert_ok(clo_wire_bytes(&keep, clo_span_of(wide, sizeof wide), &n));
    assert_ok(clo_wire_set_int_key(&keep, claims, 1, n));
    assert_string_equal(verdict(signed_by(claims, &sk), &p), "valid");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    free(bytes);
}

/* HMAC 256/256 over a MAC structure, made by hand. */
static clo_span mac_token(const clo_wire_node *claims, const uint8_t key[32], uint8_t alg)
{
    clo_buf payload, structure, out;
    uint8_t tag[32];
    const uint8_t header[3] = {0xa1, 0x01, alg};
    clo_buf_init(&payload, 8192);
    clo_buf_init(&structure, 16384);
    clo_buf_init(&out, 16384);
    assert_ok(clo_wire_cbor_encode(claims, &payload));
    const uint8_t head[] = {0x59, (uint8_t)(payload.len >> 8), (uint8_t)payload.len};
    assert_ok(clo_buf_put(&structure, "\x84\x64MAC0\x43", 7));
    assert_ok(clo_buf_put(&structure, header, sizeof header));
    assert_ok(clo_buf_put(&structure, "\x40", 1));
    assert_ok(clo_buf_put(&structure, head, sizeof head));
    assert_ok(clo_buf_put_span(&structure, clo_buf_span(&payload)));
    assert_ok(clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(key, 32), clo_buf_span(&structure), tag));
    assert_ok(clo_buf_put(&out, "\xd1\x84\x43", 3));
    assert_ok(clo_buf_put(&out, header, sizeof header));
    assert_ok(clo_buf_put(&out, "\xa0", 1));
    assert_ok(clo_buf_put(&out, head, sizeof head));
    assert_ok(clo_buf_put_span(&out, clo_buf_span(&payload)));
    assert_ok(clo_buf_put(&out, "\x58\x20", 2));
    assert_ok(clo_buf_put(&out, tag, sizeof tag));
    clo_buf_free(&payload);
    clo_buf_free(&structure);
    return kept(&out);
}

static void test_mac(void **state)
{
    (void)state;
    static const uint8_t key[32] = {7};
    clo_attest_policy p = open_policy();
    clo_span token = mac_token(claims_of(false), key, 5);
    clo_attest_part raw = {.role = "iak_mac", .bytes = clo_span_of(key, sizeof key)};
    clo_attest_part jwk = {.role = "iak_mac", .bytes = clo_span_str("{\"kty\":\"oct\",\"k\":\"BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}")};
    assert_string_equal(appraise("psa", token, &raw, 1, &p, NOW), "unsupported");
    p.allow_mac = true;
    assert_string_equal(appraise("psa", token, &raw, 1, &p, NOW), "valid");
    assert_string_equal(appraise("psa", token, &jwk, 1, &p, NOW), "valid");
    assert_string_equal(appraise("psa", token, NULL, 0, &p, NOW), "collateral_missing");
    assert_string_equal(appraise("psa", token, &iak, 1, &p, NOW), "collateral_missing"); /* a public key is no MAC key */
    raw.bytes.n = 15;
    assert_string_equal(appraise("psa", token, &raw, 1, &p, NOW), "bad_signature");
    raw.bytes.n = 32;
    assert_string_equal(appraise("psa", mac_token(claims_of(false), key, 4), &raw, 1, &p, NOW), "bad_signature"); /* a tag of 64 bits */
    assert_string_equal(appraise("psa", mac_token(claims_of(false), key, 0x26), &raw, 1, &p, NOW), "malformed"); /* ES256 under the tag of a MAC */
    /* The public key's bytes as a MAC key: the caller's key is for one kind only. */
    uint8_t *bytes = malloc(token.n);
    assert_non_null(bytes);
    memcpy(bytes, token.p, token.n);
    for (size_t at = 0; at < token.n * 8; at++) {
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
        assert_string_not_equal(appraise("psa", clo_span_of(bytes, token.n), &raw, 1, &p, NOW), "valid");
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
    }
    for (size_t cut = 0; cut < token.n; cut++) assert_string_equal(appraise("psa", clo_span_of(bytes, cut), &raw, 1, &p, NOW), "malformed");
    free(bytes);
}

static void test_claims_only(void **state)
{
    (void)state;
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.claims_only = true;
    assert_string_equal(verdict(signed_by(claims_of(false), &sk), &p), "malformed");
    assert_string_equal(verdict(clo_span_str("{"), &p), "malformed");
    assert_string_equal(verdict(clo_span_str("[]"), &p), "malformed");
    assert_string_equal(verdict(clo_span_str("{\"eat-profile\":1,\"eat-profile\":1}"), &p), "malformed");
    assert_string_equal(verdict(clo_span_str("{}"), &p), "claims");
#define SET(profile, more)                                                                                                                       \
    "{" profile "\"psa-client-id\":1,\"psa-security-lifecycle\":12288,\"psa-implementation-id\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"," \
    "\"psa-boot-seed\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\",\"psa-nonce\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\","           \
    "\"psa-instance-id\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh\",\"psa-software-components\":[{\"measurement-value\":"                      \
    "\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\",\"signer-id\":\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"}]" more "}"
#define NEWER "\"eat-profile\":\"http://arm.com/psa/2.0.0\","
#define OLDER "\"psa-profile\":\"PSA_IOT_PROFILE_1\","
    static const struct {
        const char *set, *wanted;
    } sets[] = {
        {SET(NEWER, ""), "valid"},
        {SET(OLDER, ""), "valid"},
        {SET(NEWER OLDER, ",\"psa-hwver\":\"1234567890123\""), "valid"},
        {SET(NEWER, ",\"psa-hwver\":\"123456789012\""), "claims"},
        {SET(NEWER "\"psa-profile\":\"X\",", ""), "claims"},
        {SET("\"psa-profile\":\"X\",", ""), "claims"},
        {SET("\"eat-profile\":\"X\",", ""), "claims"},
        {SET("\"eat-profile\":null,", ""), "claims"},
        {SET(NEWER, ",\"psa-no-software-measurements\":1"), "claims"},
        {SET(OLDER, ",\"psa-no-software-measurements\":1"), "claims"},
        {SET(NEWER, ",\"psa-certification-reference\":\"1234567890123-12345\""), "valid"},
        {SET(NEWER, ",\"psa-certification-reference\":\"1234567890123\""), "claims"},
        {SET(OLDER, ",\"psa-certification-reference\":\"1234567890123\""), "valid"},
        {SET(NEWER, ",\"psa-verification-service-indicator\":\"\""), "claims"},
    };
    for (size_t i = 0; i < COUNT(sets); i++) {
        const char *got = verdict(clo_span_str(sets[i].set), &p);
        if (strcmp(got, sets[i].wanted) != 0) fail_msg("set %zu: %s (%s)", i, got, token_result.detail);
    }
    p.claims_only = false;
    assert_string_equal(verdict(clo_span_str("{}"), &p), "malformed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_valid),   cmocka_unit_test(test_rules), cmocka_unit_test(test_components),
        cmocka_unit_test(test_key_forms), cmocka_unit_test(test_altered), cmocka_unit_test(test_bombs), cmocka_unit_test(test_mac),
        cmocka_unit_test(test_claims_only),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
