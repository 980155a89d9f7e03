/* Proves the appraisal of Nitro attestation documents: every published case through the vector runner's area; with a hierarchy made here, a
 * good document in each encoding and each broken rule, certificate, anchor, window, list and policy with its own reason; that a cached
 * path gives the same verdicts and never hides a change; that no shorter document and none with a flipped bit is accepted; and that what an
 * appraisal takes of memory is bounded. */
#include "cmocka_all.h"

#include "../../tools/vectors/vectors.h"
#include "attest/attest.h"
#include "base/clo_own.h"
#include "nitro_fixture.h"
#include "wire/cbor.h"

#include <stdlib.h>
#include <unistd.h>

enum { DAY = 86400 };

static nitro_fixture aws, other;
static clo_attest_result result;
static clo_attest_policy policy;
static clo_attest_part collateral[4];
static size_t collateral_count;
static clo_attest_cache *cache;
static nitro_wishes wishes;

static int set_up(void **state)
{
    (void)state;
    return clo_failed(nitro_fixture_start(&aws, NITRO_NOW)) || clo_failed(nitro_fixture_start(&other, NITRO_NOW)) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    nitro_fixture_end(&aws);
    nitro_fixture_end(&other);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    for (size_t i = 0; i <= NITRO_AUTHORITIES; i++) {
        clo_crypto_cert_request r = nitro_fixture_request(i, NITRO_NOW);
        if (clo_failed(nitro_fixture_certify(&aws, i, &r, NULL))) return -1;
    }
    clo_attest_policy_init(&policy);
    policy.custom_root = true;
    wishes = (nitro_wishes){.debug = false};
    collateral[0] = (clo_attest_part){"root", nitro_fixture_root(&aws)};
    collateral_count = 1;
    cache = NULL;
    return 0;
}

static const char *verdict_of(clo_span document, int64_t now)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_attest_part part = {"report", document};
    assert_ok(clo_attest_verify_with(&a, cache, "nitro", &part, 1, collateral, collateral_count, &policy, now, &result));
    result.claims = NULL; /* the arena's */
    return result.valid ? "valid" : result.reason;
}

static const char *verdict_at(int64_t now)
{
    CLO_AUTO(clo_buf_free) clo_buf document;
    clo_buf_init(&document, 65536);
    assert_ok(nitro_fixture_document(&aws, &wishes, &document));
    return verdict_of(clo_buf_span(&document), now);
}
static const char *verdict(void) { return verdict_at(NITRO_NOW); }

static void published(void **state)
{
    (void)state;
    char path[512];
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/nitro", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed + r.skipped, 0);
    assert_true(r.passed >= 27);
}

static void good(void **state)
{
    (void)state;
    assert_string_equal(verdict(), "valid");
    assert_int_equal(result.valid_until, NITRO_NOW + 2 * 3600);
    wishes.tagged = true;
    assert_string_equal(verdict(), "valid");
    wishes.user_data = clo_span_of("", 0);
    wishes.nonce = clo_span_str("n");
    wishes.public_key = clo_span_str("k");
    assert_string_equal(verdict(), "valid");
    policy.custom_root = false; /* the real root alone */
    assert_string_equal(verdict(), "wrong_root");
    policy.custom_root = true;
    clo_crypto_cert_sha256(aws.authorities[0].cert, policy.roots[0]);
    policy.root_count = 1;
    assert_string_equal(verdict(), "valid");
    policy.roots[0][0] ^= 1;
    assert_string_equal(verdict(), "wrong_root");
    policy.root_count = 0;
    collateral[0].bytes = nitro_fixture_root(&other);
    assert_string_equal(verdict(), "wrong_root");
}

/* The same document with lengths that a break ends, as some libraries write. */
static void open_lengths(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf document, open;
    clo_buf_init(&document, 65536);
    clo_buf_init(&open, 65536);
    assert_ok(nitro_fixture_document(&aws, &wishes, &document));
    assert_int_equal(document.p[0], 0x84);
    assert_ok(clo_buf_put_u8(&open, 0x9f));
    assert_ok(clo_buf_put(&open, document.p + 1, document.len - 1));
    assert_ok(clo_buf_put_u8(&open, 0xff));
    assert_string_equal(verdict_of(clo_buf_span(&open), NITRO_NOW), "valid");
    assert_ok(clo_buf_put_u8(&open, 0xff));
    assert_string_equal(verdict_of(clo_buf_span(&open), NITRO_NOW), "malformed");
}

/* ---- the document's rules ---- */

typedef struct {
    const char *key; /* replaced */
    enum { REMOVE, TEXT, BYTES, NUMBER, ARRAY } kind;
    size_t n; /* bytes of it, the number, or elements */
    const char *reason;
} broken;

static void unlink_member(clo_wire_node *map, const char *key)
{
    clo_wire_node *before = NULL;
    for (clo_wire_node *n = map->first; n != NULL; before = n, n = n->next) {
        if (!clo_span_equal(n->key->text, clo_span_str(key))) continue;
        if (before == NULL) map->first = n->next;
        else before->next = n->next;
        if (map->last == n) map->last = before;
        map->count--;
        return;
    }
}

static clo_err break_rule(clo_arena *a, clo_wire_node *map, void *context)
{
    static uint8_t filler[2048];
    const broken *b = context;
    clo_wire_node *value = NULL, *one = NULL;
    memset(filler, 'x', sizeof filler);
    unlink_member(map, b->key);
    switch (b->kind) {
    case TEXT: CLO_TRY(clo_wire_text(a, clo_span_of(filler, b->n), &value)); break;
    case BYTES: CLO_TRY(clo_wire_bytes(a, clo_span_of(filler, b->n), &value)); break;
    case NUMBER: CLO_TRY(clo_wire_int(a, (int64_t)b->n, &value)); break;
    case ARRAY:
        CLO_TRY(clo_wire_array(a, &value));
        for (size_t i = 0; i < b->n; i++) {
            CLO_TRY(clo_wire_bytes(a, clo_span_of(filler, 1025), &one));
            CLO_TRY(clo_wire_append(value, one));
        }
        break;
    case REMOVE: return CLO_OK;
    default: return CLO_FAIL(CLO_E_BUG);
    }
    return clo_wire_set(a, map, b->key, value);
}

static void rules(void **state)
{
    (void)state;
    static broken cases[] = {
        {"module_id", REMOVE, 0, "malformed"},   {"module_id", TEXT, 0, "malformed"},      {"module_id", BYTES, 9, "malformed"},
        {"module_id", TEXT, 257, "malformed"},   {"digest", REMOVE, 0, "malformed"},       {"digest", TEXT, 6, "malformed"},
        {"timestamp", REMOVE, 0, "malformed"},   {"timestamp", NUMBER, 0, "malformed"},    {"timestamp", TEXT, 3, "malformed"},
        {"pcrs", REMOVE, 0, "malformed"},        {"pcrs", ARRAY, 1, "malformed"},          {"certificate", REMOVE, 0, "malformed"},
        {"certificate", BYTES, 0, "bad_signature"}, {"certificate", BYTES, 30, "bad_signature"}, {"certificate", TEXT, 3, "malformed"},
        {"cabundle", REMOVE, 0, "malformed"},    {"cabundle", ARRAY, 0, "malformed"},      {"cabundle", ARRAY, 1, "bad_chain"},
        {"cabundle", ARRAY, 8, "malformed"},     {"public_key", BYTES, 1024, "valid"},     {"public_key", BYTES, 1025, "malformed"},
        {"user_data", BYTES, 512, "valid"},      {"user_data", BYTES, 513, "malformed"},   {"nonce", BYTES, 512, "valid"},
        {"nonce", BYTES, 513, "malformed"},      {"nonce", TEXT, 3, "malformed"},          {"public_key", REMOVE, 0, "valid"},
        {"user_data", REMOVE, 0, "valid"},       {"nonce", REMOVE, 0, "valid"},            {"more", NUMBER, 7, "valid"},
        {"user_data", NUMBER, 1, "malformed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wishes.edit = break_rule;
        wishes.context = &cases[i];
        const char *got = verdict();
        if (strcmp(got, cases[i].reason) != 0) fail_msg("%s %d %zu: %s (%s)", cases[i].key, (int)cases[i].kind, cases[i].n, got, result.detail);
    }
    wishes.edit = NULL;
    wishes.unprotected = true;
    assert_string_equal(verdict(), "malformed");
    wishes.unprotected = false;
    wishes.es256_label = true;
    assert_string_equal(verdict(), "bad_signature");
}

static clo_err short_register(clo_arena *a, clo_wire_node *map, void *context)
{
    const size_t *n = context;
    clo_wire_node *pcrs = clo_wire_get(map, "pcrs");
    CLO_TRY(clo_wire_bytes(a, clo_span_of("0123456789012345678901234567890123456789012345678901234567890123", *n), &pcrs->first));
    clo_wire_node *one = pcrs->first, *key = NULL;
    CLO_TRY(clo_wire_int(a, 31, &key));
    one->key = key;
    pcrs->last = one;
    pcrs->count = 1;
    return CLO_OK;
}

static clo_err far_register(clo_arena *a, clo_wire_node *map, void *context)
{
    size_t n = 48;
    (void)context;
    CLO_TRY(short_register(a, map, &n));
    clo_wire_get(map, "pcrs")->first->key->integer = 32;
    return CLO_OK;
}

static void registers(void **state)
{
    (void)state;
    policy.allow_debug = true; /* no PCR0-2 in these */
    static size_t sizes[] = {32, 48, 64, 31, 47, 33, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        wishes.edit = short_register;
        wishes.context = &sizes[i];
        assert_string_equal(verdict(), i < 3 ? "valid" : "malformed");
    }
    wishes.edit = far_register;
    assert_string_equal(verdict(), "malformed");
}

/* ---- certificates ---- */

static void recertify(size_t index, const clo_crypto_cert_request *r, const nitro_identity *issuer) { assert_ok(nitro_fixture_certify(&aws, index, r, issuer)); }

static void recertify_below(size_t index)
{
    for (size_t i = index; i <= NITRO_AUTHORITIES; i++) {
        clo_crypto_cert_request r = nitro_fixture_request(i, NITRO_NOW);
        recertify(i, &r, NULL);
    }
}

static void certificates(void **state)
{
    (void)state;
    clo_crypto_cert_request r = nitro_fixture_request(NITRO_AUTHORITIES, NITRO_NOW);
    recertify(NITRO_AUTHORITIES, &r, &other.authorities[NITRO_AUTHORITIES - 1]);
    assert_string_equal(verdict(), "bad_chain");
    recertify(NITRO_AUTHORITIES, &r, &aws.authorities[1]); /* an authority is left out */
    assert_string_equal(verdict(), "bad_chain");
    r.is_ca = true;
    recertify(NITRO_AUTHORITIES, &r, NULL);
    assert_string_equal(verdict(), "bad_chain");
    recertify_below(NITRO_AUTHORITIES);
    for (size_t i = 1; i < NITRO_AUTHORITIES; i++) {
        r = nitro_fixture_request(i, NITRO_NOW);
        r.is_ca = r.limited = false;
        recertify(i, &r, NULL);
        recertify_below(i + 1);
        assert_string_equal(verdict(), "bad_chain");
        recertify_below(i);
    }
    r = nitro_fixture_request(1, NITRO_NOW);
    r.path_length = 1; /* there are two below */
    recertify(1, &r, NULL);
    recertify_below(2);
    assert_string_equal(verdict(), "bad_chain");
    recertify_below(1);
    assert_string_equal(verdict(), "valid");
    clo_buf *pem = &aws.authorities[2].pem; /* an authority on another curve */
    for (int i = 0; i < 2; i++) {
        clo_buf_clear(pem);
        assert_ok(clo_crypto_keypair_make(i == 0 ? CLO_KEYPAIR_P256 : CLO_KEYPAIR_P384, pem));
        recertify_below(2);
        assert_string_equal(verdict(), i == 0 ? "bad_chain" : "valid");
    }
}

static clo_err reverse_bundle(clo_arena *a, clo_wire_node *map, void *context)
{
    (void)context;
    clo_wire_node *old = clo_wire_get(map, "cabundle"), *one = NULL;
    clo_span certs[NITRO_AUTHORITIES];
    size_t n = 0;
    for (const clo_wire_node *c = old->first; c != NULL; c = c->next) certs[n++] = c->text;
    old->first = old->last = NULL;
    old->count = 0;
    while (n > 0) {
        CLO_TRY(clo_wire_bytes(a, certs[--n], &one));
        CLO_TRY(clo_wire_append(old, one));
    }
    return CLO_OK;
}

static void bundle_order(void **state)
{
    (void)state;
    wishes.edit = reverse_bundle;
    assert_string_equal(verdict(), "bad_chain");
}

static void windows(void **state)
{
    (void)state;
    assert_string_equal(verdict_at(NITRO_NOW + 2 * 3600), "valid");
    assert_string_equal(verdict_at(NITRO_NOW + 2 * 3600 + 1), "expired");
    assert_string_equal(verdict_at(NITRO_NOW - 3600), "valid");
    assert_string_equal(verdict_at(NITRO_NOW - 3601), "not_yet_valid");
    for (size_t i = 0; i < NITRO_AUTHORITIES; i++) {
        clo_crypto_cert_request r = nitro_fixture_request(i, NITRO_NOW);
        r.not_after = NITRO_NOW - 1;
        recertify(i, &r, NULL);
        recertify_below(i + 1);
        collateral[0].bytes = nitro_fixture_root(&aws);
        assert_string_equal(verdict(), "expired");
        recertify_below(i);
        collateral[0].bytes = nitro_fixture_root(&aws);
    }
}

/* ---- lists ---- */

static void lists(void **state)
{
    (void)state;
    /* CRLDistributionPoints is what makes a list due. */
    static const uint8_t point[] = {0x30, 0x14, 0x30, 0x12, 0xa0, 0x10, 0xa0, 0x0e, 0x86, 0x0c, 'h', 't', 't', 'p', ':', '/', '/', 'a', '/', 'c', 'r', 'l'};
    clo_crypto_extension extension = {"2.5.29.31", clo_span_of(point, sizeof point)};
    clo_crypto_cert_request r = nitro_fixture_request(2, NITRO_NOW);
    r.extensions = &extension;
    r.extension_count = 1;
    recertify(2, &r, NULL);
    recertify_below(3);
    assert_string_equal(verdict(), "collateral_missing");
    policy.require_crl = false;
    assert_string_equal(verdict(), "valid");
    policy.require_crl = true;
    CLO_AUTO(clo_buf_free) clo_buf crl, empty;
    clo_buf_init(&crl, 8192);
    clo_buf_init(&empty, 8192);
    const clo_crypto_cert *revoked = aws.authorities[2].cert;
    const nitro_identity *issuer = &aws.authorities[1];
    assert_ok(clo_crypto_crl_make(issuer->cert, clo_buf_span(&issuer->pem), NITRO_NOW - DAY, NITRO_NOW + 3600, NULL, 0, &empty));
    assert_ok(clo_crypto_crl_make(issuer->cert, clo_buf_span(&issuer->pem), NITRO_NOW - DAY, NITRO_NOW + 3600, &revoked, 1, &crl));
    collateral_count = 2;
    collateral[1] = (clo_attest_part){"crl_1", clo_buf_span(&empty)};
    assert_string_equal(verdict(), "valid");
    assert_int_equal(result.valid_until, NITRO_NOW + 3600);
    assert_string_equal(verdict_at(NITRO_NOW + 3601), "collateral_expired");
    policy.collateral_grace_s = 60;
    assert_string_equal(verdict_at(NITRO_NOW + 3601), "valid");
    collateral[1].bytes = clo_buf_span(&crl);
    assert_string_equal(verdict(), "revoked");
    (void)snprintf(collateral[1].role, sizeof collateral[1].role, "crl_2"); /* not by that authority */
    assert_string_equal(verdict(), "bad_collateral_signature");
    (void)snprintf(collateral[1].role, sizeof collateral[1].role, "crl_1");
    clo_buf_clear(&crl);
    assert_ok(clo_crypto_crl_make(other.authorities[1].cert, clo_buf_span(&other.authorities[1].pem), NITRO_NOW - DAY, NITRO_NOW + DAY, NULL, 0, &crl));
    collateral[1].bytes = clo_buf_span(&crl);
    assert_string_equal(verdict(), "bad_collateral_signature");
    collateral[1].bytes = clo_span_str("no list");
    assert_string_equal(verdict(), "bad_collateral_signature");
    clo_buf_clear(&crl);
    assert_ok(clo_crypto_crl_make(issuer->cert, clo_buf_span(&issuer->pem), NITRO_NOW + 1, NITRO_NOW + DAY, NULL, 0, &crl));
    collateral[1].bytes = clo_buf_span(&crl);
    assert_string_equal(verdict(), "collateral_not_yet_valid");
}

/* ---- policy ---- */

static void demands(void **state)
{
    (void)state;
    uint8_t data[80];
    memset(data, 7, sizeof data);
    wishes.nonce = clo_span_str("nonce of the caller");
    wishes.user_data = clo_span_of(data, 64);
    policy.expected_nonce = clo_span_str("nonce of the caller");
    assert_string_equal(verdict(), "valid");
    policy.expected_nonce = clo_span_str("nonce of the calle");
    assert_string_equal(verdict(), "nonce_mismatch");
    policy.expected_nonce = clo_span_of(NULL, 0);
    policy.have_report_data = true;
    memset(policy.report_data, 7, 64);
    assert_string_equal(verdict(), "valid");
    wishes.user_data.n = 80;
    assert_string_equal(verdict(), "valid");
    wishes.user_data.n = 63;
    assert_string_equal(verdict(), "report_data_mismatch");
    wishes.user_data = clo_span_of(NULL, 0);
    assert_string_equal(verdict(), "report_data_mismatch");
    policy.have_report_data = false;
    policy.measurement_count = 2;
    memset(policy.measurements[1], 0x10, 48);
    assert_string_equal(verdict(), "valid");
    policy.measurements[1][47] ^= 1;
    assert_string_equal(verdict(), "measurement_mismatch");
    policy.measurement_count = 0;
    policy.have_host_data = true; /* nothing of a Nitro document can show it */
    assert_string_equal(verdict(), "host_data_mismatch");
    policy.have_host_data = false;
    wishes.debug = true;
    assert_string_equal(verdict(), "debug");
    policy.allow_debug = true;
    assert_string_equal(verdict(), "valid");
}

static void age(void **state)
{
    (void)state;
    policy.max_age_s = 300;
    assert_string_equal(verdict_at(NITRO_NOW + 300), "valid");
    assert_int_equal(result.valid_until, NITRO_NOW + 300);
    assert_string_equal(verdict_at(NITRO_NOW + 301), "stale");
    assert_string_equal(verdict_at(NITRO_NOW - 300), "valid");
    assert_string_equal(verdict_at(NITRO_NOW - 301), "stale");
    wishes.timestamp_ms = INT64_MAX;
    assert_string_equal(verdict(), "stale");
}

/* ---- the cache ---- */

static void cached(void **state)
{
    (void)state;
    assert_ok(clo_attest_cache_new(&cache));
    assert_string_equal(verdict(), "valid");
    assert_string_equal(verdict(), "valid");
    assert_int_equal(clo_attest_cache_count(cache).hits, 1);
    assert_string_equal(verdict_at(NITRO_NOW + 2 * 3600 + 1), "expired");
    policy.root_count = 1; /* other pins are another path */
    assert_string_equal(verdict(), "wrong_root");
    assert_string_equal(verdict(), "wrong_root");
    policy.root_count = 0;
    collateral[0].bytes = nitro_fixture_root(&other);
    assert_string_equal(verdict(), "wrong_root");
    policy.custom_root = false;
    assert_string_equal(verdict(), "wrong_root");
    policy.custom_root = true;
    collateral[0].bytes = nitro_fixture_root(&aws);
    clo_crypto_cert_request r = nitro_fixture_request(NITRO_AUTHORITIES, NITRO_NOW);
    recertify(NITRO_AUTHORITIES, &r, &other.authorities[NITRO_AUTHORITIES - 1]);
    assert_string_equal(verdict(), "bad_chain"); /* the path is cached, the leaf is not of it */
    recertify_below(NITRO_AUTHORITIES);
    r = nitro_fixture_request(3, NITRO_NOW);
    r.is_ca = r.limited = false;
    recertify(3, &r, NULL);
    recertify_below(4);
    assert_string_equal(verdict(), "bad_chain");
    assert_string_equal(verdict(), "bad_chain"); /* failures are not kept */
    clo_attest_cache_free(&cache);
}

/* ---- hostile bytes ---- */

static void truncations_and_flips(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf document;
    clo_buf_init(&document, 65536);
    wishes.nonce = clo_span_str("nonce");
    assert_ok(nitro_fixture_document(&aws, &wishes, &document));
    for (size_t n = 0; n < document.len; n++) assert_string_equal(verdict_of(clo_span_of(document.p, n), NITRO_NOW), "malformed");
    assert_ok(clo_buf_put_u8(&document, 0));
    assert_string_equal(verdict_of(clo_buf_span(&document), NITRO_NOW), "malformed");
    document.len--;
    for (size_t i = 0; i < document.len; i++) {
        uint8_t mask = (uint8_t)(1u << (i % 8));
        document.p[i] ^= mask;
        if (strcmp(verdict_of(clo_buf_span(&document), NITRO_NOW), "valid") == 0) fail_msg("byte %zu flipped by 0x%02x is accepted", i, mask);
        document.p[i] ^= mask;
    }
    assert_string_equal(verdict_of(clo_buf_span(&document), NITRO_NOW), "valid");
}

/* Items that promise much: refused early, within the arena of 64 KiB that every verdict here has. */
static void bombs(void **state)
{
    (void)state;
    static uint8_t bytes[64 * 1024];
    static const uint8_t fillers[] = {0x80, 0x81, 0x9f, 0xa0, 0xbf, 0xd2, 0x5f, 0x7f, 0x00, 0x40};
    for (size_t i = 0; i < sizeof fillers; i++) {
        memset(bytes, fillers[i], sizeof bytes);
        assert_string_equal(verdict_of(clo_span_of(bytes, sizeof bytes), NITRO_NOW), "malformed");
        assert_string_equal(verdict_of(clo_span_of(bytes, 16 * 1024), NITRO_NOW), "malformed");
        memcpy(bytes, "\x84\x44\xa1\x01\x38\x22\xa0\x59\x3f\x00", 10); /* in the payload */
        assert_string_equal(verdict_of(clo_span_of(bytes, 16 * 1024), NITRO_NOW), "malformed");
        memcpy(bytes, "\x99\x3f\x00", 3);
        assert_string_equal(verdict_of(clo_span_of(bytes, 16 * 1024), NITRO_NOW), "malformed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),
        cmocka_unit_test_setup(good, fresh),
        cmocka_unit_test_setup(open_lengths, fresh),
        cmocka_unit_test_setup(rules, fresh),
        cmocka_unit_test_setup(registers, fresh),
        cmocka_unit_test_setup(certificates, fresh),
        cmocka_unit_test_setup(bundle_order, fresh),
        cmocka_unit_test_setup(windows, fresh),
        cmocka_unit_test_setup(lists, fresh),
        cmocka_unit_test_setup(demands, fresh),
        cmocka_unit_test_setup(age, fresh),
        cmocka_unit_test_setup(cached, fresh),
        cmocka_unit_test_setup(truncations_and_flips, fresh),
        cmocka_unit_test_setup(bombs, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
