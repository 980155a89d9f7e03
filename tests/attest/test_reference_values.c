/* Proves that reference values narrow a policy and never widen it, that a set is what its keeper signed, and that imports take from CoRIM and in-toto
 * exactly what is said there: forms that are not understood, wrong signatures, cut and changed files are refused. */
#include "cmocka_all.h"

#include "attest/corim.h"
#include "attest/intoto.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/cbor.h"
#include "wire/dsse.h"

#include <string.h>

enum { NOW = 1800000000 };
static clo_arena arena;
static clo_crypto_private_key sk, other_sk;
static clo_crypto_public_key pk, other_pk;
static uint8_t kid[32];

static clo_wire_node *bytes_of(uint8_t fill, size_t n)
{
    uint8_t value[64];
    clo_wire_node *node = NULL;
    memset(value, fill, sizeof value);
    assert_ok(clo_wire_bytes(&arena, clo_span_of(value, n), &node));
    return node;
}

static void empty_set(clo_attest_reference_set *set) { assert_ok(clo_attest_references_init(&arena, "test", 3, NOW - 10, set)); }

static void add(clo_attest_reference_set *set, const char *name, const char *version, const char *path, uint8_t fill, size_t n)
{
    clo_attest_reference *r = NULL;
    assert_ok(clo_attest_reference_add(&arena, set, name, version, "snp", NULL, &r));
    assert_ok(clo_attest_reference_allow(&arena, r, path, bytes_of(fill, n)));
}

static void test_set_round_trip(void **state)
{
    (void)state;
    clo_attest_reference_set set, back;
    clo_wire_node *place = NULL;
    clo_attest_reference *r = NULL;
    CLO_AUTO(clo_buf_free) clo_buf sealed;
    clo_buf_init(&sealed, 1 << 20);
    empty_set(&set);
    set.expires = NOW + 10;
    assert_ok(clo_wire_map(&arena, &place));
    assert_ok(clo_wire_set_text(&arena, place, "vendor", "ACME"));
    assert_ok(clo_wire_set_int(&arena, place, "layer", 1));
    assert_ok(clo_attest_reference_add(&arena, &set, "firmware", "1.2", "snp", place, &r));
    assert_ok(clo_attest_reference_allow(&arena, r, "measurement", bytes_of(1, 48)));
    assert_ok(clo_attest_reference_allow(&arena, r, "measurement", bytes_of(2, 48)));
    r->have_min_svn = true;
    r->min_svn = 7;
    add(&set, "other", "", "host_data", 3, 32);
    clo_wire_cose_signer signer = {.sk = &sk, .kid = clo_span_of(kid, 32)};
    assert_ok(clo_attest_references_seal(&arena, &set, &signer, &sealed));
    assert_ok(clo_attest_references_open(&arena, clo_buf_span(&sealed), &pk, 3, NOW, &back));
    assert_int_equal(back.count, 2);
    assert_int_equal(back.version, 3);
    assert_string_equal(back.values[0].name, "firmware");
    assert_string_equal(back.values[0].version, "1.2");
    assert_int_equal(back.values[0].min_svn, 7);
    assert_int_equal(clo_wire_get(back.values[0].claims, "measurement")->count, 2);
    assert_int_equal(clo_wire_get(back.values[0].environment, "layer")->integer, 1);
    assert_code(clo_attest_references_open(&arena, clo_buf_span(&sealed), &other_pk, 3, NOW, &back), CLO_E_BAD_SIGNATURE);
    assert_code(clo_attest_references_open(&arena, clo_buf_span(&sealed), &pk, 4, NOW, &back), CLO_E_REPLAYED);
    assert_code(clo_attest_references_open(&arena, clo_buf_span(&sealed), &pk, 3, NOW + 11, &back), CLO_E_EXPIRED);
    assert_code(clo_attest_references_open(&arena, clo_buf_span(&sealed), &pk, 3, NOW - 11, &back), CLO_E_EXPIRED);
    for (size_t i = 0; i < sealed.len; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        assert_true(clo_failed(clo_attest_references_open(&a, clo_span_of(sealed.p, i), &pk, 3, NOW, &back)));
        sealed.p[i] ^= 4;
        clo_err e = clo_attest_references_open(&a, clo_buf_span(&sealed), &pk, 3, NOW, &back);
        sealed.p[i] ^= 4;
        if (!clo_failed(e)) fail_msg("a flipped bit of byte %zu is accepted", i);
    }
}

static clo_err narrow(const clo_attest_reference_set *set, const char *name, const char *version, clo_attest_policy *p)
{
    return clo_attest_references_narrow(&arena, set, "snp", name, version, p);
}

static void test_narrow(void **state)
{
    (void)state;
    clo_attest_reference_set set;
    clo_attest_policy p;
    empty_set(&set);
    clo_attest_policy_init(&p);
    assert_code(narrow(&set, NULL, NULL, &p), CLO_E_NOT_FOUND);
    add(&set, "runtime", "1", "measurement", 1, 48);
    add(&set, "runtime", "2", "measurement", 2, 48);
    assert_code(clo_attest_references_narrow(&arena, &set, "tdx", NULL, NULL, &p), CLO_E_NOT_FOUND);
    assert_code(narrow(&set, "runtime", "3", &p), CLO_E_NOT_FOUND);
    /* Alternatives of one claim. */
    assert_ok(narrow(&set, NULL, NULL, &p));
    assert_int_equal(p.measurement_count, 2);
    assert_int_equal(clo_wire_get(p.required_claims, "measurement")->count, 2);
    /* Again, by another name: what both allow stays. */
    assert_ok(narrow(&set, "runtime", "2", &p));
    assert_int_equal(p.measurement_count, 1);
    assert_int_equal(p.measurements[0][0], 2);
    clo_attest_policy before = p;
    assert_code(narrow(&set, "runtime", "1", &p), CLO_E_DENIED);
    assert_memory_equal(&before, &p, sizeof p);
    /* A second claim: must hold too. */
    add(&set, "configuration", "1", "host_data", 9, 32);
    clo_attest_policy_init(&p);
    assert_ok(narrow(&set, "configuration", NULL, &p));
    assert_int_equal(p.measurement_count, 0);
    assert_ok(narrow(&set, "runtime", "1", &p));
    assert_int_equal(p.required_claims->count, 2);
    /* Alternatives with several claims each would mix. */
    clo_attest_policy_init(&p);
    assert_ok(clo_attest_reference_allow(&arena, &set.values[0], "host_data", bytes_of(4, 32)));
    assert_code(narrow(&set, "runtime", NULL, &p), CLO_E_CONFLICT);
    assert_ok(narrow(&set, "runtime", "1", &p));
    assert_int_equal(p.required_claims->count, 2);
    /* A policy that was written as text. */
    clo_wire_node *claims = NULL, *list = NULL, *text = NULL;
    char hex[97];
    memset(hex, '0', 96);
    for (size_t i = 1; i < 96; i += 2) hex[i] = '2';
    assert_ok(clo_wire_map(&arena, &claims));
    assert_ok(clo_wire_array(&arena, &list));
    assert_ok(clo_wire_text(&arena, clo_span_of(hex, 96), &text));
    assert_ok(clo_wire_append(list, text));
    assert_ok(clo_wire_set(&arena, claims, "measurement", list));
    clo_attest_policy_init(&p);
    p.required_claims = claims;
    assert_code(narrow(&set, "runtime", "1", &p), CLO_E_DENIED);
    assert_ok(narrow(&set, "runtime", "2", &p));
}

static void test_narrow_floor(void **state)
{
    (void)state;
    clo_attest_reference_set set;
    clo_attest_policy p;
    empty_set(&set);
    add(&set, "a", "1", "measurement", 1, 48);
    set.values[0].have_min_svn = true;
    set.values[0].min_svn = 5;
    clo_attest_policy_init(&p);
    p.min_guest_svn = 9;
    assert_ok(narrow(&set, NULL, NULL, &p));
    assert_int_equal(p.min_guest_svn, 9);
    p.min_guest_svn = 1;
    assert_ok(narrow(&set, NULL, NULL, &p));
    assert_int_equal(p.min_guest_svn, 5);
    memcpy(set.values[0].tee, "tdx", 4);
    assert_code(clo_attest_references_narrow(&arena, &set, "tdx", NULL, NULL, &p), CLO_E_UNSUPPORTED);
}

/* Building CoRIM by its numbers. */
static clo_wire_node *map_of(void)
{
    clo_wire_node *n = NULL;
    assert_ok(clo_wire_map(&arena, &n));
    return n;
}
static clo_wire_node *list_of(clo_wire_node *one)
{
    clo_wire_node *n = NULL;
    assert_ok(clo_wire_array(&arena, &n));
    if (one != NULL) assert_ok(clo_wire_append(n, one));
    return n;
}
static clo_wire_node *text_of(const char *text)
{
    clo_wire_node *n = NULL;
    assert_ok(clo_wire_text(&arena, clo_span_str(text), &n));
    return n;
}
static clo_wire_node *int_of(int64_t v)
{
    clo_wire_node *n = NULL;
    assert_ok(clo_wire_int(&arena, v, &n));
    return n;
}
static clo_wire_node *tag_of(uint64_t tag, clo_wire_node *inside)
{
    clo_wire_node *n = NULL;
    assert_ok(clo_wire_tag(&arena, tag, inside, &n));
    return n;
}
static clo_wire_node *put(clo_wire_node *map, int64_t key, clo_wire_node *value)
{
    assert_ok(clo_wire_set_int_key(&arena, map, key, value));
    return map;
}
static clo_wire_node *pair(clo_wire_node *a, clo_wire_node *b)
{
    clo_wire_node *n = list_of(a);
    assert_ok(clo_wire_append(n, b));
    return n;
}
static clo_wire_node *packed(const clo_wire_node *n)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_wire_node *out = NULL;
    clo_buf_init(&b, 1 << 20);
    assert_ok(clo_wire_cbor_encode(n, &b));
    assert_ok(clo_wire_bytes(&arena, clo_buf_span(&b), &out));
    return out;
}
static clo_wire_node *digests(int64_t alg, size_t n, uint8_t fill) { return list_of(pair(int_of(alg), bytes_of(fill, n))); }
static clo_wire_node *measurement(clo_wire_node *key, clo_wire_node *values)
{
    clo_wire_node *m = put(map_of(), 1, values);
    return key == NULL ? m : put(m, 0, key);
}
static clo_wire_node *environment(void) { return put(map_of(), 0, put(put(put(map_of(), 0, tag_of(37, bytes_of(7, 16))), 1, text_of("ACME")), 2, text_of("RoadRunner"))); }
static clo_wire_node *comid(int64_t kind, clo_wire_node *measurements)
{
    clo_wire_node *triples = put(map_of(), kind, list_of(pair(environment(), measurements)));
    return put(put(map_of(), 1, put(map_of(), 0, text_of("tag"))), 4, triples);
}
static clo_wire_node *manifest(clo_wire_node *inside) { return put(put(map_of(), 0, text_of("id")), 1, list_of(tag_of(506, packed(inside)))); }

static clo_err import_node(const clo_wire_node *root, const char *tee, clo_attest_reference_set *set)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 1 << 20);
    assert_ok(clo_wire_cbor_encode(root, &b));
    clo_attest_corim_use use = {.tee = tee, .now = NOW};
    return clo_attest_corim_import(&arena, clo_buf_span(&b), &use, set);
}

static clo_err import_one(clo_wire_node *key, clo_wire_node *values, const char *tee, clo_attest_reference_set *set)
{
    empty_set(set);
    return import_node(tag_of(501, manifest(comid(0, list_of(measurement(key, values))))), tee, set);
}

static void first_value(const clo_attest_reference_set *set, const char *path, uint8_t fill, size_t n)
{
    const clo_wire_node *list = clo_wire_get(set->values[0].claims, path);
    if (list == NULL) fail_msg("no claim %s", path);
    assert_int_equal(list->first->text.n, n);
    assert_int_equal(list->first->text.p[0], fill);
}

static void test_corim_values(void **state)
{
    (void)state;
    clo_attest_reference_set set;
    assert_ok(import_one(NULL, put(put(map_of(), 0, put(map_of(), 0, text_of("1.0.1"))), 2, digests(7, 48, 5)), "snp", &set));
    assert_int_equal(set.count, 1);
    assert_string_equal(set.values[0].name, "RoadRunner");
    assert_string_equal(set.values[0].version, "1.0.1");
    assert_string_equal((const char *)clo_wire_get(set.values[0].environment, "vendor")->text.p, "ACME");
    assert_int_equal(clo_wire_get(set.values[0].environment, "class_id")->text.n, 16);
    first_value(&set, "measurement", 5, 48);
    assert_ok(import_one(text_of("host_data"), put(map_of(), 4, tag_of(560, bytes_of(6, 32))), "snp", &set));
    first_value(&set, "host_data", 6, 32);
    assert_ok(import_one(int_of(4), put(map_of(), 2, digests(-16, 32, 8)), "tpm", &set));
    first_value(&set, "pcrs.4", 8, 32);
    assert_ok(import_one(NULL, put(map_of(), 14, put(map_of(), 1, digests(7, 48, 9))), "tdx", &set));
    first_value(&set, "body.rtmr1", 9, 48);
    assert_ok(import_one(NULL, put(map_of(), 1, tag_of(553, int_of(3))), "snp", &set));
    assert_true(set.values[0].have_min_svn && set.values[0].min_svn == 3);
    assert_ok(import_one(NULL, put(map_of(), 1, tag_of(552, int_of(3))), "snp", &set));
    assert_int_equal(clo_wire_get(set.values[0].claims, "guest_svn")->first->integer, 3);
    /* One measurement that is no list (older drafts), and bytes around the tag. */
    empty_set(&set);
    clo_wire_node *old = tag_of(506, comid(0, measurement(NULL, put(map_of(), 2, digests(7, 48, 5)))));
    assert_ok(import_node(tag_of(501, put(put(map_of(), 0, text_of("id")), 1, list_of(packed(old)))), "snp", &set));
    /* Endorsed values are not reference values. */
    empty_set(&set);
    assert_code(import_node(tag_of(501, manifest(comid(1, list_of(measurement(NULL, put(map_of(), 2, digests(7, 48, 5))))))), "snp", &set), CLO_E_NOT_FOUND);
}

static void test_corim_refusals(void **state)
{
    (void)state;
    clo_attest_reference_set set;
    assert_code(import_one(NULL, put(map_of(), 2, digests(7, 47, 5)), "snp", &set), CLO_E_MALFORMED);
    assert_code(import_one(NULL, put(map_of(), 2, digests(6, 16, 5)), "snp", &set), CLO_E_UNSUPPORTED);
    assert_code(import_one(NULL, put(map_of(), 2, list_of(NULL)), "snp", &set), CLO_E_MALFORMED);
    assert_code(import_one(NULL, put(put(map_of(), 2, digests(7, 48, 5)), 3, map_of()), "snp", &set), CLO_E_UNSUPPORTED); /* flags */
    assert_code(import_one(NULL, put(put(map_of(), 4, tag_of(560, bytes_of(1, 48))), 5, bytes_of(1, 48)), "snp", &set), CLO_E_UNSUPPORTED);
    assert_code(import_one(NULL, put(map_of(), 4, tag_of(563, pair(bytes_of(1, 4), bytes_of(1, 4)))), "snp", &set), CLO_E_UNSUPPORTED);
    assert_code(import_one(NULL, put(map_of(), 2, digests(7, 48, 5)), "maa", &set), CLO_E_UNSUPPORTED);
    assert_code(import_one(int_of(2), put(map_of(), 2, digests(7, 48, 5)), "snp", &set), CLO_E_UNSUPPORTED);
    assert_code(import_one(tag_of(37, bytes_of(1, 16)), put(map_of(), 2, digests(7, 48, 5)), "snp", &set), CLO_E_UNSUPPORTED);
    assert_int_equal(set.count, 0);
    empty_set(&set);
    assert_code(import_node(manifest(comid(0, list_of(measurement(NULL, put(map_of(), 2, digests(7, 48, 5)))))), "snp", &set), CLO_E_MALFORMED); /* no tag */
    for (int late = 0; late < 2; late++) {
        clo_wire_node *root = manifest(comid(0, list_of(measurement(NULL, put(map_of(), 2, digests(7, 48, 5))))));
        (void)put(root, 4, put(put(map_of(), 0, tag_of(1, int_of(late ? NOW - 9 : NOW + 1))), 1, tag_of(1, int_of(late ? NOW - 1 : NOW + 9))));
        assert_code(import_node(tag_of(501, root), "snp", &set), CLO_E_EXPIRED);
    }
}

static void test_corim_signed(void **state)
{
    (void)state;
    clo_attest_reference_set set;
    CLO_AUTO(clo_buf_free) clo_buf payload;
    CLO_AUTO(clo_buf_free) clo_buf cose;
    clo_buf_init(&payload, 1 << 16);
    clo_buf_init(&cose, 1 << 16);
    assert_ok(clo_wire_cbor_encode(tag_of(501, manifest(comid(0, list_of(measurement(NULL, put(map_of(), 2, digests(7, 48, 5))))))), &payload));
    clo_wire_cose_signer signer = {.sk = &sk, .kid = clo_span_of(kid, 32)};
    assert_ok(clo_wire_cose_sign1(&cose, &signer, "application/rim+cbor", clo_span_of(NULL, 0), clo_buf_span(&payload)));
    clo_attest_corim_use use = {.tee = "snp", .now = NOW, .signer = &pk};
    empty_set(&set);
    assert_ok(clo_attest_corim_import(&arena, clo_buf_span(&cose), &use, &set));
    first_value(&set, "measurement", 5, 48);
    for (size_t i = 0; i < cose.len; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        assert_true(clo_failed(clo_attest_corim_import(&a, clo_span_of(cose.p, i), &use, &set)));
        cose.p[i] ^= 1;
        if (!clo_failed(clo_attest_corim_import(&a, clo_buf_span(&cose), &use, &set))) fail_msg("a flipped bit of byte %zu is accepted", i);
        cose.p[i] ^= 1;
    }
    /* Who wants a signature gets one, and an unsigned reader takes none. */
    assert_true(clo_failed(clo_attest_corim_import(&arena, clo_buf_span(&payload), &use, &set)));
    use.signer = &other_pk;
    assert_code(clo_attest_corim_import(&arena, clo_buf_span(&cose), &use, &set), CLO_E_BAD_SIGNATURE);
    use.signer = NULL;
    assert_true(clo_failed(clo_attest_corim_import(&arena, clo_buf_span(&cose), &use, &set)));
    clo_buf_clear(&cose);
    assert_ok(clo_wire_cose_sign1(&cose, &signer, "text/plain", clo_span_of(NULL, 0), clo_buf_span(&payload)));
    use.signer = &pk;
    assert_code(clo_attest_corim_import(&arena, clo_buf_span(&cose), &use, &set), CLO_E_UNSUPPORTED);
}

static const char *envelope(const char *type, const char *body)
{
    CLO_AUTO(clo_buf_free) clo_buf covered;
    CLO_AUTO(clo_buf_free) clo_buf text;
    const char *payload = NULL, *sig = NULL, *out = NULL;
    uint8_t signature[64];
    clo_buf_init(&covered, 1 << 16);
    clo_buf_init(&text, 1 << 16);
    assert_ok(clo_wire_dsse_signed_bytes(type, clo_span_str(body), &covered));
    assert_ok(clo_crypto_sign(&sk, clo_buf_span(&covered), signature));
    assert_ok(clo_base64_encode(&text, clo_span_str(body)));
    assert_ok(clo_arena_str(&arena, clo_buf_span(&text), &payload));
    clo_buf_clear(&text);
    assert_ok(clo_base64_encode(&text, clo_span_of(signature, 64)));
    assert_ok(clo_arena_str(&arena, clo_buf_span(&text), &sig));
    assert_ok(clo_arena_printf(&arena, &out, "{\"payloadType\":\"%s\",\"payload\":\"%s\",\"signatures\":[{\"sig\":\"%s\"}]}", type, payload, sig));
    return out;
}

#define INTOTO "application/vnd.in-toto+json"
#define HEX48 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
#define HEX32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void test_intoto(void **state)
{
    (void)state;
    clo_attest_reference_set set;
    const char *statement = "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":\"runtime\",\"digest\":{\"sha384\":\"" HEX48 "\",\"sha256\":\"" HEX32
                            "\"}},{\"name\":\"notes\",\"digest\":{\"sha256\":\"" HEX32 "\"}}],\"predicateType\":\"https://slsa.dev/provenance/v1\",\"predicate\":{}}";
    clo_attest_intoto_use use = {.tee = "snp", .path = "measurement", .algorithm = "sha384", .version = "7", .signer = &pk};
    empty_set(&set);
    assert_ok(clo_attest_intoto_import(&arena, clo_span_str(envelope(INTOTO, statement)), &use, &set));
    assert_int_equal(set.count, 1);
    assert_string_equal(set.values[0].name, "runtime");
    assert_string_equal(set.values[0].version, "7");
    first_value(&set, "measurement", 0, 48);
    clo_attest_policy p;
    clo_attest_policy_init(&p);
    assert_ok(narrow(&set, "runtime", "7", &p));
    assert_int_equal(p.measurement_count, 1);
    use.algorithm = "sha256";
    use.path = "claims.submods.container.image_digest";
    use.subject = "notes";
    use.as_text = true;
    use.predicate_type = "https://slsa.dev/provenance/v1";
    empty_set(&set);
    assert_ok(clo_attest_intoto_import(&arena, clo_span_str(envelope(INTOTO, statement)), &use, &set));
    assert_string_equal((const char *)clo_wire_get(set.values[0].claims, use.path)->first->text.p, "sha256:" HEX32);
    use.subject = "absent";
    assert_code(clo_attest_intoto_import(&arena, clo_span_str(envelope(INTOTO, statement)), &use, &set), CLO_E_NOT_FOUND);
    use.subject = NULL;
    use.predicate_type = "https://spdx.dev/Document";
    assert_code(clo_attest_intoto_import(&arena, clo_span_str(envelope(INTOTO, statement)), &use, &set), CLO_E_UNSUPPORTED);
    use.predicate_type = NULL;
    assert_code(clo_attest_intoto_import(&arena, clo_span_str(envelope("text/plain", statement)), &use, &set), CLO_E_UNSUPPORTED);
    use.signer = &other_pk;
    assert_code(clo_attest_intoto_import(&arena, clo_span_str(envelope(INTOTO, statement)), &use, &set), CLO_E_BAD_SIGNATURE);
    use.signer = &pk;
    use.algorithm = "sha1";
    assert_code(clo_attest_intoto_import(&arena, clo_span_str(envelope(INTOTO, statement)), &use, &set), CLO_E_USAGE);
    use.algorithm = "sha256";
    static const char *const bad[] = {"[]", "{}", "{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"subject\":[]}", "{\"_type\":\"https://in-toto.io/Statement/v1\"}",
                                      "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[1]}", "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":\"x\"}]}",
                                      "{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":\"x\",\"digest\":{\"sha256\":\"00\"}}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_true(clo_failed(clo_attest_intoto_import(&arena, clo_span_str(envelope(INTOTO, bad[i])), &use, &set)));
    assert_int_equal(set.count, 1);
}

static int set_up(void **state)
{
    (void)state;
    clo_arena_init(&arena, 64 << 20);
    bool bad = clo_failed(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk)) || clo_failed(clo_crypto_sign_generate(CLO_SIGN_ED25519, &other_sk, &other_pk)) ||
               clo_failed(clo_wire_cose_kid(&pk, kid));
    return bad ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    clo_arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_round_trip), cmocka_unit_test(test_narrow),       cmocka_unit_test(test_narrow_floor), cmocka_unit_test(test_corim_values),
        cmocka_unit_test(test_corim_refusals), cmocka_unit_test(test_corim_signed), cmocka_unit_test(test_intoto),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
