/* Proves CCA tokens: every published case; tokens made here in both collections (399, 907) and with both forms of the realm's key; each rule
 * broken once; the binder, the order of the verdicts, foreign keys; every cut and every flipped bit; bombs. */
#include "psa_fixture.h"
#include "token_vectors.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
enum { NOW = 1800000000 };

static clo_crypto_private_key cpak_sk, rak_sk;
static clo_crypto_public_key cpak_pk, rak_pk;
static clo_arena keep;
static clo_attest_part cpak = {.role = "cpak_public"};
static const uint8_t challenge[64] = {0xc4, 0xa1};

static clo_span kept(clo_buf *b)
{
    clo_span s = {NULL, 0};
    assert_ok(clo_arena_copy(&keep, clo_buf_span(b), &s));
    clo_buf_free(b);
    return s;
}

static int set_up(void **state)
{
    (void)state;
    clo_arena_init(&keep, 64 << 20);
    if (clo_failed(clo_crypto_sign_generate(CLO_SIGN_ES256, &cpak_sk, &cpak_pk)) || clo_failed(clo_crypto_sign_generate(CLO_SIGN_ES384, &rak_sk, &rak_pk))) return -1;
    clo_buf b;
    clo_buf_init(&b, 4096);
    if (clo_failed(psa_fixture_jwk(&cpak_pk, &b))) return -1;
    cpak.bytes = kept(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clo_arena_free(&keep);
    clo_arena_free(&token_arena);
    return 0;
}

static void remove_key(clo_wire_node *map, int64_t key)
{
    clo_wire_node *before = NULL, *n = map->first;
    for (; n != NULL && n->key->integer != key; n = n->next) before = n;
    if (n == NULL) return;
    if (before == NULL) map->first = n->next;
    if (before != NULL) before->next = n->next;
    if (map->last == n) map->last = before;
    map->count--;
}

static void put_bytes(clo_wire_node *map, int64_t key, clo_span v)
{
    clo_wire_node *n = NULL;
    remove_key(map, key);
    assert_ok(clo_wire_bytes(&keep, v, &n));
    assert_ok(clo_wire_set_int_key(&keep, map, key, n));
}

static void put_text(clo_wire_node *map, int64_t key, const char *v)
{
    clo_wire_node *n = NULL;
    remove_key(map, key);
    assert_ok(clo_wire_text(&keep, clo_span_str(v), &n));
    assert_ok(clo_wire_set_int_key(&keep, map, key, n));
}

static void put_int(clo_wire_node *map, int64_t key, int64_t v)
{
    clo_wire_node *n = NULL;
    remove_key(map, key);
    assert_ok(clo_wire_int(&keep, v, &n));
    assert_ok(clo_wire_set_int_key(&keep, map, key, n));
}

static void put_list(clo_wire_node *map, int64_t key, size_t count, size_t size)
{
    clo_wire_node *list = NULL, *n = NULL;
    uint8_t bytes[64] = {3};
    remove_key(map, key);
    assert_ok(clo_wire_array(&keep, &list));
    for (size_t i = 0; i < count; i++) {
        assert_ok(clo_wire_bytes(&keep, clo_span_of(bytes, size), &n));
        assert_ok(clo_wire_append(list, n));
    }
    assert_ok(clo_wire_set_int_key(&keep, map, key, list));
}

/* A COSE_Key of a P-384 point. */
static clo_span cose_key(const clo_crypto_public_key *pk)
{
    clo_wire_node *map = NULL;
    clo_buf b;
    clo_buf_init(&b, 4096);
    assert_ok(clo_wire_map(&keep, &map));
    put_int(map, 1, 2);
    put_int(map, -1, 2);
    put_bytes(map, -2, clo_span_of(pk->bytes + 1, 48));
    put_bytes(map, -3, clo_span_of(pk->bytes + 49, 48));
    assert_ok(clo_wire_cbor_encode(map, &b));
    return kept(&b);
}

typedef struct {
    clo_wire_node *platform, *realm;
} cca_claims;

/* The claims of a device that all is well with; newer: profiles of the drafts and a COSE_Key. */
static cca_claims usual(bool newer)
{
    static const uint8_t filling[64] = {1, 2, 3};
    cca_claims c = {NULL, NULL};
    psa_fixture_options o = {.nonce = clo_span_of(filling, 32)};
    assert_ok(psa_fixture_claims(&keep, &o, &c.platform));
    static const int64_t not_here[] = {2394, 2397, 2398};
    for (size_t i = 0; i < COUNT(not_here); i++) remove_key(c.platform, not_here[i]);
    put_text(c.platform, 265, newer ? "tag:arm.com,2023:cca_platform#1.0.0" : "http://arm.com/CCA-SSD/1.0.0");
    put_bytes(c.platform, 2401, clo_span_of(filling, 3));
    put_text(c.platform, 2402, "sha-256");
    assert_ok(clo_wire_map(&keep, &c.realm));
    put_bytes(c.realm, 10, clo_span_of(challenge, sizeof challenge));
    put_bytes(c.realm, 44235, clo_span_of(filling, 64));
    put_text(c.realm, 44236, "sha-256");
    put_bytes(c.realm, 44237, newer ? cose_key(&rak_pk) : clo_crypto_public_key_span(&rak_pk));
    put_bytes(c.realm, 44238, clo_span_of(filling, 32));
    put_list(c.realm, 44239, 4, 32);
    put_text(c.realm, 44240, "sha-256");
    if (newer) put_text(c.realm, 265, "tag:arm.com,2023:realm#1.0.0");
    return c;
}

/* The platform's challenge becomes the hash of what stands under 44237. */
static void bind(cca_claims *c, clo_crypto_hash_alg alg)
{
    uint8_t digest[64];
    const clo_wire_node *key = clo_wire_get_int_key(c->realm, 44237);
    if (key == NULL) return;
    assert_ok(clo_crypto_hash(alg, key->text, digest));
    put_bytes(c->platform, 10, clo_span_of(digest, clo_crypto_hash_size(alg)));
}

static clo_wire_node *entry(uint64_t tag, clo_span token)
{
    clo_wire_node *n = NULL, *record = NULL, *type = NULL;
    assert_ok(clo_wire_bytes(&keep, token, &n));
    if (tag == 399) return n;
    assert_ok(clo_wire_array(&keep, &record));
    assert_ok(clo_wire_int(&keep, 263, &type));
    assert_ok(clo_wire_append(record, type));
    assert_ok(clo_wire_append(record, n));
    return record;
}

static clo_span collection(uint64_t tag, clo_span platform, clo_span realm)
{
    clo_wire_node *map = NULL, *root = NULL;
    clo_buf b;
    clo_buf_init(&b, 64 * 1024);
    assert_ok(clo_wire_map(&keep, &map));
    assert_ok(clo_wire_set_int_key(&keep, map, 44234, entry(tag, platform)));
    assert_ok(clo_wire_set_int_key(&keep, map, 44241, entry(tag, realm)));
    assert_ok(clo_wire_tag(&keep, tag, map, &root));
    assert_ok(clo_wire_cbor_encode(root, &b));
    return kept(&b);
}

static clo_span sign(const clo_wire_node *claims, const clo_crypto_private_key *sk)
{
    clo_buf b;
    clo_buf_init(&b, 64 * 1024);
    assert_ok(psa_fixture_sign(&keep, claims, sk, &b));
    return kept(&b);
}

static clo_span token_of(const cca_claims *c, uint64_t tag) { return collection(tag, sign(c->platform, &cpak_sk), sign(c->realm, &rak_sk)); }

static const char *verdict(clo_span token)
{
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    return appraise("cca", token, &cpak, 1, &p, NOW);
}

static void test_published(void **state)
{
    (void)state;
    published_cases("cca", 37, 0);
}

static void test_valid(void **state)
{
    (void)state;
    clo_attest_policy p;
    clo_attest_policy_init(&p);
    p.require_crl = false;
    p.expected_nonce = clo_span_of(challenge, sizeof challenge);
    static const clo_crypto_hash_alg hashes[] = {CLO_HASH_SHA256, CLO_HASH_SHA384, CLO_HASH_SHA512};
    static const char *const names[] = {"sha-256", "sha-384", "sha-512"};
    for (size_t i = 0; i < 12; i++) {
        bool newer = i % 2 != 0;
        cca_claims c = usual(newer);
        put_text(c.realm, 44240, names[i / 4]);
        bind(&c, hashes[i / 4]);
        clo_span token = token_of(&c, i / 2 % 2 != 0 ? 907 : 399);
        assert_string_equal(appraise("cca", token, &cpak, 1, &p, NOW), "valid");
        assert_string_equal(clo_wire_get(token_result.claims, "rak_form")->text.p, newer ? "COSE_Key" : "raw SEC1 point");
        assert_string_equal(clo_wire_get(token_result.claims, "binder_hash")->text.p, names[i / 4]);
        assert_int_equal(clo_wire_get(token_result.claims, "platform_alg")->integer, -7);
        assert_int_equal(clo_wire_get(token_result.claims, "realm_alg")->integer, -35);
        assert_string_equal(appraise("auto", token, &cpak, 1, &p, NOW), "valid");
        assert_string_equal(appraise("cca", token, NULL, 0, &p, NOW), "collateral_missing");
        assert_string_equal(appraise("psa", token, &cpak, 1, &p, NOW), "malformed");
    }
    cca_claims c = usual(false);
    bind(&c, CLO_HASH_SHA256);
    clo_span token = token_of(&c, 399);
    p.expected_nonce = clo_span_of("other", 5);
    assert_string_equal(appraise("cca", token, &cpak, 1, &p, NOW), "nonce_mismatch");
    p.expected_nonce = clo_span_of(NULL, 0);
    p.have_report_data = true;
    assert_string_equal(appraise("cca", token, &cpak, 1, &p, NOW), "report_data_mismatch");
    memcpy(p.report_data, challenge, sizeof challenge);
    assert_string_equal(appraise("cca", token, &cpak, 1, &p, NOW), "valid");
    p.measurement_count = 1;
    assert_string_equal(appraise("cca", token, &cpak, 1, &p, NOW), "measurement_mismatch");
    p.measurements[0][0] = 1;
    p.measurements[0][1] = 2;
    p.measurements[0][2] = 3;
    assert_string_equal(appraise("cca", token, &cpak, 1, &p, NOW), "valid");
}

/* The first reason tells what is wrong first: signature of the platform, then the binding, then the realm's signature, then claims. */
static void test_binding(void **state)
{
    (void)state;
    clo_crypto_private_key other;
    clo_crypto_public_key other_pk;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES384, &other, &other_pk));
    cca_claims c = usual(false);
    assert_string_equal(verdict(token_of(&c, 399)), "key_binding"); /* not bound at all */
    bind(&c, CLO_HASH_SHA512);
    assert_string_equal(verdict(token_of(&c, 399)), "key_binding"); /* by another hash than the realm names */
    bind(&c, CLO_HASH_SHA256);
    clo_span platform = sign(c.platform, &cpak_sk), realm = sign(c.realm, &rak_sk);
    assert_string_equal(verdict(collection(399, platform, sign(c.realm, &other))), "bad_signature");
    assert_string_equal(verdict(collection(399, sign(c.platform, &other), realm)), "bad_signature");
    assert_string_equal(verdict(collection(399, realm, platform)), "bad_signature");
    assert_string_equal(verdict(collection(399, platform, platform)), "key_binding");
    put_bytes(c.realm, 44237, clo_crypto_public_key_span(&other_pk));
    assert_string_equal(verdict(collection(399, platform, sign(c.realm, &other))), "key_binding"); /* a realm of somebody else */
    uint8_t point[97];
    memcpy(point, rak_pk.bytes, sizeof point);
    point[96] ^= 1;
    put_bytes(c.realm, 44237, clo_span_of(point, sizeof point));
    bind(&c, CLO_HASH_SHA256);
    assert_string_equal(verdict(token_of(&c, 399)), "bad_key"); /* off the curve */
    /* The profile tells the key's form: the other form is none. */
    c = usual(false);
    put_bytes(c.realm, 44237, cose_key(&rak_pk));
    bind(&c, CLO_HASH_SHA256);
    assert_string_equal(verdict(token_of(&c, 399)), "bad_key");
    c = usual(true);
    put_bytes(c.realm, 44237, clo_crypto_public_key_span(&rak_pk));
    bind(&c, CLO_HASH_SHA256);
    assert_string_equal(verdict(token_of(&c, 399)), "bad_key");
}

static void test_rules(void **state)
{
    (void)state;
    enum { DROP, INT, TEXT, BYTES, LIST };
    static const struct {
        bool realm;
        int64_t key;
        int kind;
        int64_t number; /* the number, or bytes, or count of a list */
        const char *text;
        const char *reason;
    } list[] = {
        {false, 265, DROP, 0, NULL, "claims"},       {false, 265, TEXT, 0, "http://arm.com/PSA-SSD/1.0.0", "claims"},
        {false, 10, DROP, 0, NULL, "key_binding"},   {false, 10, BYTES, 31, NULL, "key_binding"},
        {false, 2396, DROP, 0, NULL, "claims"},      {false, 2396, BYTES, 33, NULL, "claims"},
        {false, 256, DROP, 0, NULL, "claims"},       {false, 256, BYTES, 32, NULL, "claims"},
        {false, 256, BYTES, 33, NULL, "claims"},     {false, 2401, DROP, 0, NULL, "claims"},
        {false, 2401, TEXT, 0, "x", "claims"},       {false, 2395, DROP, 0, NULL, "claims"},
        {false, 2395, INT, 0x7f35, NULL, "claims"},  {false, 2395, INT, 0x4000, NULL, "debug"},
        {false, 2395, INT, 0x1000, NULL, "platform_policy"}, {false, 2399, DROP, 0, NULL, "claims"},
        {false, 2399, LIST, 0, NULL, "claims"},      {false, 2399, LIST, 1, NULL, "claims"},
        {false, 2400, DROP, 0, NULL, "valid"},       {false, 2400, TEXT, 0, "", "claims"},
        {false, 2402, DROP, 0, NULL, "claims"},      {false, 2402, TEXT, 0, "md5", "claims"},
        {false, 2402, INT, 1, NULL, "claims"},       {true, 10, DROP, 0, NULL, "claims"},
        {true, 10, BYTES, 32, NULL, "claims"},       {true, 44235, DROP, 0, NULL, "claims"},
        {true, 44235, BYTES, 63, NULL, "claims"},    {true, 44236, DROP, 0, NULL, "claims"},
        {true, 44236, TEXT, 0, "", "claims"},        {true, 44237, DROP, 0, NULL, "key_binding"},
        {true, 44237, BYTES, 15, NULL, "bad_key"},   {true, 44238, DROP, 0, NULL, "claims"},
        {true, 44238, BYTES, 16, NULL, "claims"},    {true, 44239, DROP, 0, NULL, "claims"},
        {true, 44239, LIST, 3, NULL, "claims"},      {true, 44239, LIST, 5, NULL, "claims"},
        {true, 44239, LIST, 4, NULL, "valid"},       {true, 44240, DROP, 0, NULL, "key_binding"},
        {true, 44240, TEXT, 0, "md5", "key_binding"}, {true, 265, TEXT, 0, "tag:arm.com,2023:realm#2.0.0", "bad_key"},
        {true, 4711, INT, 1, NULL, "valid"},
    };
    static const uint8_t zeros[128];
    for (size_t i = 0; i < COUNT(list); i++) {
        cca_claims c = usual(false);
        clo_wire_node *map = list[i].realm ? c.realm : c.platform;
        if (list[i].realm) bind(&c, CLO_HASH_SHA256);
        if (list[i].kind == DROP) remove_key(map, list[i].key);
        if (list[i].kind == INT) put_int(map, list[i].key, list[i].number);
        if (list[i].kind == TEXT) put_text(map, list[i].key, list[i].text);
        if (list[i].kind == BYTES) put_bytes(map, list[i].key, clo_span_of(zeros, (size_t)list[i].number));
        if (list[i].kind == LIST) put_list(map, list[i].key, (size_t)list[i].number, 32);
        if (list[i].key != 10) bind(&c, CLO_HASH_SHA256);
        const char *got = verdict(token_of(&c, 399));
        if (strcmp(got, list[i].reason) != 0) fail_msg("rule %zu (%lld): %s (%s), wanted %s", i, (long long)list[i].key, got, token_result.detail, list[i].reason);
    }
}

static void test_collections(void **state)
{
    (void)state;
    cca_claims c = usual(true);
    bind(&c, CLO_HASH_SHA256);
    clo_span platform = sign(c.platform, &cpak_sk), realm = sign(c.realm, &rak_sk);
    clo_wire_node *map = NULL, *root = NULL;
    for (unsigned i = 0; i < 8; i++) {
        clo_buf b;
        clo_buf_init(&b, 64 * 1024);
        assert_ok(clo_wire_map(&keep, &map));
        uint64_t tag = i == 0 ? 400 : i < 4 ? 399 : 907;
        if (i != 1) assert_ok(clo_wire_set_int_key(&keep, map, 44234, entry(tag == 400 ? 399 : tag, platform)));
        if (i != 2) assert_ok(clo_wire_set_int_key(&keep, map, 44241, entry(i == 4 ? 399 : tag == 400 ? 399 : tag, realm)));
        if (i == 3) put_int(map, 1, 1);                                       /* a stranger */
        if (i == 5) assert_ok(clo_wire_set_text(&keep, map, "__cmwc_t", "x")); /* the wrapper's own type */
        if (i == 6) clo_wire_get_int_key(map, 44241)->first->integer = 61;     /* another content type */
        if (i == 7) assert_ok(clo_wire_set_text(&keep, map, "other", "x"));
        assert_ok(clo_wire_tag(&keep, tag, map, &root));
        assert_ok(clo_wire_cbor_encode(root, &b));
        assert_string_equal(verdict(kept(&b)), i == 5 ? "valid" : "malformed");
    }
}

static void test_altered(void **state)
{
    (void)state;
    for (unsigned newer = 0; newer < 2; newer++) {
        cca_claims c = usual(newer != 0);
        bind(&c, CLO_HASH_SHA256);
        clo_span token = token_of(&c, newer != 0 ? 907 : 399);
        uint8_t *bytes = malloc(token.n + 1);
        assert_non_null(bytes);
        memcpy(bytes, token.p, token.n);
        bytes[token.n] = 0;
        assert_string_equal(verdict(clo_span_of(bytes, token.n + 1)), "malformed");
        for (size_t cut = 0; cut < token.n; cut++) assert_string_equal(verdict(clo_span_of(bytes, cut)), "malformed");
        for (size_t at = 0; at < token.n * 8; at += 3) { /* at least two bits of each byte */
            bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
            if (strcmp(verdict(clo_span_of(bytes, token.n)), "valid") == 0) fail_msg("bit %zu of byte %zu is not covered", at % 8, at / 8);
            bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
        }
        free(bytes);
    }
}

static void test_bombs(void **state)
{
    (void)state;
    enum { SIZE = 64 * 1024 };
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    static const uint8_t fillings[] = {0x81, 0xa1, 0x00, 0xd9, 0x9f, 0x40, 0x80};
    static const size_t sizes[] = {64, 8 * 1024, SIZE};
    for (size_t i = 0; i < COUNT(fillings) * COUNT(sizes); i++) {
        memset(bytes, fillings[i / COUNT(sizes)], SIZE);
        memcpy(bytes, "\xd9\x01\x8f\xa2", 4);
        assert_string_equal(verdict(clo_span_of(bytes, sizes[i % COUNT(sizes)])), "malformed");
        assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    }
    free(bytes);
    cca_claims c = usual(false);
    static const uint8_t zeros[3000];
    put_bytes(c.realm, 1, clo_span_of(zeros, sizeof zeros));
    put_bytes(c.platform, 1, clo_span_of(zeros, sizeof zeros));
    bind(&c, CLO_HASH_SHA256);
    assert_string_equal(verdict(token_of(&c, 907)), "valid");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    c = usual(true);
    bind(&c, CLO_HASH_SHA256);
    small_arenas("cca", token_of(&c, 907), &cpak, 1, &p, NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),   cmocka_unit_test(test_valid),   cmocka_unit_test(test_binding), cmocka_unit_test(test_rules),
        cmocka_unit_test(test_collections), cmocka_unit_test(test_altered), cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
