/* Proves Confidential Space tokens: every published case; tokens signed here by a key set and by a chain under a custom root, each link, window
 * and list broken once; each claim broken once; nonces in their forms; every cut, and flipped bits of every byte; bombs. */
#include "jwt_fixture.h"
#include "token_vectors.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
enum { NOW = 1800000000, DAY = 86400 };
#define ISSUER "https://confidentialcomputing.googleapis.com"
#define ENVELOPE "\"iss\":\"" ISSUER "\",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800003600,"
#define DIGEST "0102030405060708090a0b0c0d0e0f100102030405060708090a0b0c0d0e0f10"
#define SUBMODS "\"submods\":{\"container\":{\"image_digest\":\"sha256:" DIGEST "\",\"args\":[\"x\"]}}"
#define CLAIMS                                                                                                                                   \
    "{" ENVELOPE "\"aud\":\"me\",\"sub\":\"vm\",\"eat_nonce\":[\"first\",\"c2Vjb25k\"],\"secboot\":true,\"oemid\":11129,\"hwmodel\":\"GCP_INTEL_TDX\"," \
    "\"swname\":\"CONFIDENTIAL_SPACE\",\"swversion\":[\"250800\"],\"dbgstat\":\"disabled-since-boot\","                                              \
    "\"tdx\":{\"gcp_attester_tcb_status\":\"UpToDate\",\"gcp_attester_tcb_date\":\"2025-01-01T00:00:00Z\"}," SUBMODS "}"

static jwt_identity root, middle, leaf, other;
static clo_arena keep;
static clo_attest_part roles[3];
static char kid[64];

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
    clo_crypto_cert_request ca = {.common_name = "root", .not_before = NOW - 9 * DAY, .not_after = NOW + 9 * DAY, .serial = 1, .is_ca = true};
    clo_crypto_cert_request end = {.common_name = "leaf", .not_before = NOW - DAY, .not_after = NOW + DAY, .serial = 3};
    clo_arena_init(&keep, 64 << 20);
    if (clo_failed(jwt_identity_make(&root, &ca, NULL)) || clo_failed(jwt_identity_make(&other, &ca, NULL))) return -1;
    ca.common_name = "intermediate";
    ca.serial = 2;
    if (clo_failed(jwt_identity_make(&middle, &ca, &root)) || clo_failed(jwt_identity_make(&leaf, &end, &middle))) return -1;
    clo_buf b;
    const char *text = NULL;
    clo_buf_init(&b, 128);
    if (clo_failed(jwt_thumbprint(&leaf, &b)) || clo_failed(clo_buf_cstr(&b, &text))) return -1;
    (void)snprintf(kid, sizeof kid, "%s", text);
    clo_buf_free(&b);
    (void)snprintf(roles[0].role, sizeof roles[0].role, "root");
    roles[0].bytes = clo_buf_span(&root.der);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jwt_identity *all[] = {&root, &middle, &leaf, &other};
    for (size_t i = 0; i < COUNT(all); i++) jwt_identity_free(all[i]);
    clo_arena_free(&keep);
    clo_arena_free(&token_arena);
    return 0;
}

static const char *header_of(const char *alg, const char *key_id, const jwt_identity *const *chain, size_t count)
{
    clo_buf b;
    const char *text = NULL;
    clo_buf_init(&b, 64 * 1024);
    assert_ok(clo_buf_printf(&b, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"", alg, key_id));
    for (size_t i = 0; i < count; i++) {
        assert_ok(clo_buf_put_str(&b, i == 0 ? ",\"x5c\":[\"" : "\",\""));
        assert_ok(clo_base64_encode(&b, clo_buf_span(&chain[i]->der)));
    }
    assert_ok(clo_buf_put_str(&b, count != 0 ? "\"]}" : "}"));
    assert_ok(clo_arena_str(&keep, clo_buf_span(&b), &text));
    clo_buf_free(&b);
    return text;
}

static clo_span signed_as(const char *header, const char *claims, const jwt_identity *i, clo_crypto_scheme scheme)
{
    clo_buf b;
    clo_buf_init(&b, 256 * 1024);
    assert_ok(jwt_make(header, claims, i, scheme, &b));
    return kept(&b);
}

static clo_span token_of(const char *claims)
{
    const jwt_identity *chain[] = {&leaf, &middle, &root};
    return signed_as(header_of("RS256", kid, chain, 3), claims, &leaf, CLO_SCHEME_RS256);
}

static clo_attest_policy open_policy(void)
{
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    p.custom_root = true;
    (void)snprintf(p.expected_issuer, sizeof p.expected_issuer, "%s", ISSUER);
    return p;
}

static const char *verdict(clo_span token, const clo_attest_policy *p) { return appraise("gcp-confidential-space", token, roles, 1, p, NOW); }

static void expect(const char *claims, const clo_attest_policy *p, const char *wanted)
{
    const char *got = verdict(token_of(claims), p);
    if (strcmp(got, wanted) != 0) fail_msg("%s: %s (%s), wanted %s", claims, got, token_result.detail, wanted);
}

static void test_published(void **state)
{
    (void)state;
    published_cases("gcp-confidential-space", 13, 0);
}

static void test_chain(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    const jwt_identity *whole[] = {&leaf, &middle, &root}, *forged[] = {&leaf, &other, &root}, *foreign[] = {&leaf, &middle, &other}, *upside[] = {&middle, &leaf, &root};
    clo_span token = token_of(CLAIMS);
    assert_string_equal(verdict(token, &p), "valid");
    assert_string_equal(token_result.tcb_status, "UpToDate");
    assert_string_equal(appraise("auto", token, roles, 1, &p, NOW), "valid");
    assert_string_equal(appraise("maa", token, roles, 1, &p, NOW), "collateral_missing");
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, whole, 2), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "valid"); /* the root is the caller's anyway */
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, whole, 1), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "bad_chain");
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, forged, 3), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "bad_chain");
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, foreign, 3), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "bad_chain");
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, upside, 3), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "unknown_key");
    assert_string_equal(verdict(signed_as(header_of("RS256", "nope", whole, 3), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "unknown_key");
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, whole, 3), CLAIMS, &middle, CLO_SCHEME_RS256), &p), "bad_signature");
    assert_string_equal(verdict(signed_as(header_of("RS384", kid, whole, 3), CLAIMS, &leaf, CLO_SCHEME_RS384), &p), "forbidden_alg");
    assert_string_equal(verdict(signed_as(header_of("PS256", kid, whole, 3), CLAIMS, &leaf, CLO_SCHEME_PS256), &p), "forbidden_alg");
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, whole, 0), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "collateral_missing");
    assert_string_equal(verdict(signed_as("{\"alg\":\"RS256\",\"kid\":\"k\",\"x5c\":[\"AAAA\"]}", CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "bad_chain");
    assert_string_equal(verdict(signed_as("{\"alg\":\"RS256\",\"kid\":\"k\",\"x5c\":[\"A-A_\"]}", CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "malformed");
    assert_string_equal(verdict(signed_as("{\"alg\":\"RS256\",\"kid\":\"k\",\"x5c\":[]}", CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "malformed");
    /* An authority that signs a token itself. */
    clo_buf b;
    const char *name = NULL;
    clo_buf_init(&b, 128);
    assert_ok(jwt_thumbprint(&middle, &b));
    assert_ok(clo_buf_cstr(&b, &name));
    const jwt_identity *authority[] = {&middle, &root};
    assert_string_equal(verdict(signed_as(header_of("RS256", name, authority, 2), CLAIMS, &middle, CLO_SCHEME_RS256), &p), "bad_chain");
    clo_buf_free(&b);
    /* The anchor: Google's alone, where the policy does not say otherwise; the caller's root must be the chain's. */
    p.custom_root = false;
    assert_string_equal(verdict(token, &p), "wrong_root");
    p.custom_root = true;
    roles[0].bytes = clo_buf_span(&other.der);
    assert_string_equal(verdict(token, &p), "wrong_root");
    roles[0].bytes = clo_buf_span(&root.der);
    assert_string_equal(appraise("gcp-confidential-space", token, NULL, 0, &p, NOW), "wrong_root");
    assert_string_equal(appraise("gcp-confidential-space", token, roles, 1, &p, NOW - 2 * DAY), "not_yet_valid");
    assert_string_equal(appraise("gcp-confidential-space", token, roles, 1, &p, NOW + 2 * DAY), "expired");
}

static void test_revocation(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    clo_span token = token_of(CLAIMS);
    const clo_crypto_cert *revoked[] = {middle.cert};
    clo_buf good, bad, old, foreign;
    clo_buf *lists[] = {&good, &bad, &old, &foreign};
    for (size_t i = 0; i < COUNT(lists); i++) clo_buf_init(lists[i], 8192);
    assert_ok(clo_crypto_crl_make(root.cert, clo_buf_span(&root.pem), NOW - DAY, NOW + DAY, NULL, 0, &good));
    assert_ok(clo_crypto_crl_make(root.cert, clo_buf_span(&root.pem), NOW - DAY, NOW + DAY, revoked, 1, &bad));
    assert_ok(clo_crypto_crl_make(root.cert, clo_buf_span(&root.pem), NOW - 3 * DAY, NOW - 2 * DAY, NULL, 0, &old));
    assert_ok(clo_crypto_crl_make(other.cert, clo_buf_span(&other.pem), NOW - DAY, NOW + DAY, NULL, 0, &foreign));
    static const char *const wanted[] = {"valid", "revoked", "collateral_expired", "bad_collateral_signature"};
    (void)snprintf(roles[1].role, sizeof roles[1].role, "crl");
    for (size_t i = 0; i < COUNT(lists); i++) {
        roles[1].bytes = clo_buf_span(lists[i]);
        assert_string_equal(appraise("gcp-confidential-space", token, roles, 2, &p, NOW), wanted[i]);
    }
    p.require_crl = true;
    assert_string_equal(appraise("gcp-confidential-space", token, roles, 1, &p, NOW), "collateral_missing");
    roles[1].bytes = clo_buf_span(&good);
    assert_string_equal(appraise("gcp-confidential-space", token, roles, 2, &p, NOW), "valid");
    for (size_t i = 0; i < COUNT(lists); i++) clo_buf_free(lists[i]);
}

static void test_key_set(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    clo_buf b;
    clo_buf_init(&b, 64 * 1024);
    assert_ok(clo_buf_put_str(&b, "{\"keys\":["));
    assert_ok(jwt_jwk(&other, "k1", ",\"alg\":\"RS256\",\"use\":\"sig\"", &b));
    assert_ok(clo_buf_put_str(&b, "]}"));
    clo_attest_part jwks = {.role = "jwks", .bytes = kept(&b)};
    clo_span token = signed_as("{\"alg\":\"RS256\",\"kid\":\"k1\"}", CLAIMS, &other, CLO_SCHEME_RS256);
    assert_string_equal(appraise("gcp-confidential-space", token, &jwks, 1, &p, NOW), "valid");
    assert_string_equal(appraise("gcp-confidential-space", token_of(CLAIMS), &jwks, 1, &p, NOW), "unknown_key"); /* who gives keys means them */
    token = signed_as("{\"alg\":\"RS256\",\"kid\":\"k1\"}", CLAIMS, &leaf, CLO_SCHEME_RS256);
    assert_string_equal(appraise("gcp-confidential-space", token, &jwks, 1, &p, NOW), "bad_signature");
    p.custom_root = false;
    clo_attest_policy_init(&p);
    p.require_crl = false;
    (void)snprintf(p.expected_issuer, sizeof p.expected_issuer, "%s", ISSUER);
    token = signed_as("{\"alg\":\"RS256\",\"kid\":\"k1\"}", CLAIMS, &other, CLO_SCHEME_RS256);
    assert_string_equal(appraise("gcp-confidential-space", token, &jwks, 1, &p, NOW), "valid");
}

static void test_claims(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *wanted;
    } changes[] = {
        {"\"secboot\":true", "\"secboot\":false", "platform_policy"},
        {"\"secboot\":true", "\"secboot\":1", "claims"},
        {"\"secboot\":true,", "", "claims"},
        {"GCP_INTEL_TDX", "GCP_SHIELDED_VM", "platform_policy"},
        {"GCP_INTEL_TDX", "GCP_AMD_SEV", "valid"},
        {"\"hwmodel\":\"GCP_INTEL_TDX\",", "", "claims"},
        {"CONFIDENTIAL_SPACE", "GCE", "platform_policy"},
        {"disabled-since-boot", "enabled", "debug"},
        {"\"dbgstat\":\"disabled-since-boot\",", "", "claims"},
        {"\"aud\":\"me\",", "", "claims"},
        {"\"aud\":\"me\"", "\"aud\":[\"me\",\"you\"]", "valid"},
        {"\"aud\":\"me\"", "\"aud\":[1]", "claims"},
        {"\"sub\":\"vm\",", "", "claims"},
        {"\"oemid\":11129", "\"oemid\":\"11129\"", "claims"},
        {"\"swversion\":[\"250800\"]", "\"swversion\":[250800]", "claims"},
        {"\"eat_nonce\":[\"first\",\"c2Vjb25k\"]", "\"eat_nonce\":7", "claims"},
        {"sha256:01", "sha256:0", "claims"},
        {"sha256:", "sha512:", "claims"},
        {"\"image_digest\"", "\"image_digesT\"", "claims"},
        {"\"args\":[\"x\"]", "\"args\":{}", "claims"},
        {"\"container\"", "\"containeR\"", "claims"},
        {"\"submods\":{", "\"submods\":1,\"x\":{", "claims"},
        {ISSUER, "https://accounts.google.com", "issuer_mismatch"},
        {"\"exp\":1800003600", "\"exp\":1800000000", "claims"},
    };
    clo_attest_policy p = open_policy();
    static const char claims[] = CLAIMS;
    for (size_t i = 0; i < COUNT(changes); i++) {
        char text[4096];
        const char *at = strstr(claims, changes[i].from);
        assert_non_null(at);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - claims), claims, changes[i].to, at + strlen(changes[i].from));
        expect(text, &p, changes[i].wanted);
    }
    p.accept_tcb_status = CLO_ATTEST_TCB_OUT_OF_DATE;
    expect(claims, &p, "tcb_status");
    p.accept_tcb_status = CLO_ATTEST_TCB_ANY;
    p.measurement_count = 1;
    expect(claims, &p, "measurement_mismatch");
    assert_ok(clo_hex_decode(p.measurements[0], 32, clo_span_str(DIGEST)));
    expect(claims, &p, "valid");
    p.allow_debug = true;
    p.expected_nonce = clo_span_str("first");
    expect(claims, &p, "valid");
    p.expected_nonce = clo_span_str("second"); /* in base64 */
    expect(claims, &p, "valid");
    p.expected_nonce = clo_span_str("third");
    expect(claims, &p, "nonce_mismatch");
    p.expected_nonce = clo_span_of(NULL, 0);
    p.have_report_data = true;
    expect(claims, &p, "report_data_mismatch");
    static const char eighty_eight[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="; /* 64 zero bytes */
    char text[4096];
    const char *at = strstr(claims, "[\"first\",\"c2Vjb25k\"]");
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s\"%s\"%s", (int)(at - claims), claims, eighty_eight, at + 20);
    expect(text, &p, "valid");
    p.have_report_data = false;
    p.expected_nonce = clo_span_str("7");
    (void)snprintf(text, sizeof text, "%.*s[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\"]%s", (int)(at - claims), claims, at + 20);
    expect(text, &p, "nonce_mismatch"); /* more than six nonces are none of Google's */
}

static void test_altered(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    clo_span token = token_of(CLAIMS);
    uint8_t *bytes = malloc(token.n);
    assert_non_null(bytes);
    memcpy(bytes, token.p, token.n);
    for (size_t cut = 0; cut < token.n; cut++) assert_string_not_equal(verdict(clo_span_of(bytes, cut), &p), "valid");
    for (size_t at = 0; at < token.n * 8; at += 7) { /* at least one bit of each byte */
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
        assert_string_not_equal(verdict(clo_span_of(bytes, token.n), &p), "valid");
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
    }
    assert_string_equal(verdict(clo_span_of(bytes, token.n), &p), "valid");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    small_arenas("gcp-confidential-space", token, roles, 1, &p, NOW);
    free(bytes);
}

/* Certificates by the dozen, and one that is no end of bytes. */
static void test_bombs(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    const jwt_identity *many[9];
    for (size_t i = 0; i < COUNT(many); i++) many[i] = &root;
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, many, COUNT(many)), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "malformed");
    assert_string_equal(verdict(signed_as(header_of("RS256", kid, many, 8), CLAIMS, &leaf, CLO_SCHEME_RS256), &p), "bad_chain");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_chain),   cmocka_unit_test(test_revocation), cmocka_unit_test(test_key_set),
        cmocka_unit_test(test_claims),    cmocka_unit_test(test_altered), cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
