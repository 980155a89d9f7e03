/* Proves OP-TEE's signed hashes: valid with the nonce that was asked with; another nonce, key, hash or salt length is none; every cut and
 * flipped bit; keys in their forms. */
#include "jwt_fixture.h"
#include "token_vectors.h"

enum { NOW = 1800000000, HASH = 32 };

static jwt_identity device, other;
static uint8_t report[HASH + 256];
static size_t report_size;
static clo_buf jwk;
static clo_attest_part key = {.role = "attestation_key"};
static const char asked[] = "nonce of this run";

static int set_up(void **state)
{
    (void)state;
    static const clo_crypto_cert_request request = {.common_name = "device", .not_before = NOW - 9, .not_after = NOW + 9, .serial = 1};
    if (clo_failed(jwt_identity_make(&device, &request, NULL)) || clo_failed(jwt_identity_make(&other, &request, NULL))) return -1;
    clo_buf message, signature;
    clo_buf_init(&message, 1024);
    clo_buf_init(&signature, 1024);
    clo_buf_init(&jwk, 4096);
    memset(report, 0x5a, HASH);
    if (clo_failed(clo_buf_put_str(&message, asked)) || clo_failed(clo_buf_put(&message, report, HASH))) return -1;
    if (clo_failed(clo_crypto_keypair_sign(clo_buf_span(&device.pem), CLO_SCHEME_PS256, clo_buf_span(&message), &signature)) || signature.len != 256) return -1;
    memcpy(report + HASH, signature.p, 256);
    report_size = sizeof report;
    clo_buf_free(&message);
    clo_buf_free(&signature);
    if (clo_failed(jwt_jwk(&device, "k", "", &jwk))) return -1;
    key.bytes = clo_buf_span(&jwk);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jwt_identity_free(&device);
    jwt_identity_free(&other);
    clo_buf_free(&jwk);
    clo_arena_free(&token_arena);
    return 0;
}

static clo_attest_policy usual(void)
{
    clo_attest_policy p;
    clo_attest_policy_init(&p);
    p.require_crl = false;
    p.expected_nonce = clo_span_str(asked);
    return p;
}

static const char *verdict(const clo_attest_policy *p) { return appraise("optee", clo_span_of(report, report_size), &key, 1, p, NOW); }

static void test_verdicts(void **state)
{
    (void)state;
    clo_attest_policy p = usual();
    assert_string_equal(verdict(&p), "valid");
    assert_int_equal(clo_wire_get(token_result.claims, "key_bits")->integer, 2048);
    assert_true(clo_span_equal(clo_wire_get(token_result.claims, "hash")->text, clo_span_of(report, HASH)));
    p.measurement_count = 1;
    assert_string_equal(verdict(&p), "measurement_mismatch");
    memset(p.measurements[0], 0x5a, HASH);
    assert_string_equal(verdict(&p), "valid");
    p.expected_nonce = clo_span_str("nonce of that run");
    assert_string_equal(verdict(&p), "bad_signature");
    p.expected_nonce = clo_span_of(NULL, 0);
    assert_string_equal(verdict(&p), "nonce_mismatch");
    p = usual();
    p.have_report_data = true; /* two that differ */
    assert_string_equal(verdict(&p), "nonce_mismatch");
    p = usual();
    assert_string_equal(appraise("optee", clo_span_of(report, sizeof report), NULL, 0, &p, NOW), "collateral_missing");
    clo_buf b;
    clo_buf_init(&b, 4096);
    assert_ok(jwt_jwk(&other, "k", "", &b));
    clo_attest_part wrong = {.role = "attestation_key", .bytes = clo_buf_span(&b)};
    assert_string_equal(appraise("optee", clo_span_of(report, sizeof report), &wrong, 1, &p, NOW), "bad_signature");
    wrong.bytes = clo_span_str("{}");
    assert_string_equal(appraise("optee", clo_span_of(report, sizeof report), &wrong, 1, &p, NOW), "bad_key");
    clo_buf_free(&b);
    /* PKCS #1 v1.5 over the same is another scheme. */
    clo_buf message, signature;
    uint8_t forged[sizeof report];
    clo_buf_init(&message, 1024);
    clo_buf_init(&signature, 1024);
    memcpy(forged, report, sizeof forged);
    assert_ok(clo_buf_put_str(&message, asked));
    assert_ok(clo_buf_put(&message, report, HASH));
    assert_ok(clo_crypto_keypair_sign(clo_buf_span(&device.pem), CLO_SCHEME_RS256, clo_buf_span(&message), &signature));
    memcpy(forged + HASH, signature.p, 256);
    assert_string_equal(appraise("optee", clo_span_of(forged, sizeof forged), &key, 1, &p, NOW), "bad_signature");
    clo_buf_free(&message);
    clo_buf_free(&signature);
}

static void test_altered(void **state)
{
    (void)state;
    clo_attest_policy p = usual();
    for (report_size = 0; report_size < sizeof report; report_size++) assert_string_equal(verdict(&p), "malformed");
    for (size_t at = 0; at < sizeof report * 8; at++) {
        report[at / 8] ^= (uint8_t)(1u << (at % 8));
        assert_string_equal(verdict(&p), "bad_signature");
        report[at / 8] ^= (uint8_t)(1u << (at % 8));
    }
    assert_string_equal(verdict(&p), "valid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts), cmocka_unit_test(test_altered)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
