/* Proves Azure Attestation's tokens: every published case; tokens signed here of each shape (SGX, SNP, TDX, virtual machines) with each claim
 * broken once; issuer, address of the keys, times, age; confusion of algorithms and keys; every cut and every flipped byte; bombs. */
#include "jwt_fixture.h"
#include "token_vectors.h"
#include "crypto/hash.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
enum { NOW = 1800000000, DAY = 86400 };
#define ISSUER "https://test.weu.attest.azure.net"
#define HEADER "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\",\"jku\":\"" ISSUER "/certs\"}"
#define ENVELOPE "\"iss\":\"" ISSUER "\",\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800028800,\"jti\":\"1\",\"x-ms-ver\":\"1.0\","
#define H16 "0102030405060708090a0b0c0d0e0f10"
#define H32 H16 H16
#define H48 H32 H16
#define H64 H32 H32
#define SNP_CLAIMS                                                                                                                                    \
    "\"x-ms-attestation-type\":\"sevsnpvm\",\"x-ms-sevsnpvm-launchmeasurement\":\"" H48 "\",\"x-ms-sevsnpvm-is-debuggable\":false,"                    \
    "\"x-ms-sevsnpvm-hostdata\":\"" H32 "\",\"x-ms-sevsnpvm-idkeydigest\":\"" H48 "\",\"x-ms-sevsnpvm-authorkeydigest\":\"" H48 "\","                  \
    "\"x-ms-sevsnpvm-reportdata\":\"" H64 "\",\"x-ms-sevsnpvm-guestsvn\":2,\"x-ms-sevsnpvm-bootloader-svn\":3,\"x-ms-sevsnpvm-tee-svn\":0,"            \
    "\"x-ms-sevsnpvm-snpfw-svn\":8,\"x-ms-sevsnpvm-microcode-svn\":115,\"x-ms-sevsnpvm-vmpl\":0,\"x-ms-sevsnpvm-migration-allowed\":false,"            \
    "\"x-ms-sevsnpvm-smt-allowed\":true"
#define TDX_CLAIMS                                                                                                                                    \
    "\"x-ms-attestation-type\":\"tdxvm\",\"tdx_mrtd\":\"" H48 "\",\"tdx_report_data\":\"" H64 "\",\"tdx_td_attributes\":\"0000001000000000\","          \
    "\"tdx_td_attributes_debug\":false,\"attester_tcb_status\":\"UpToDate\",\"attester_tcb_date\":\"2025-01-01T00:00:00Z\",\"dbgstat\":\"disabled\""

static jwt_identity signer, stranger;
static clo_arena keep;
static clo_attest_part jwks = {.role = "jwks"};

static clo_span kept(clo_buf *b)
{
    clo_span s = {NULL, 0};
    assert_ok(clo_arena_copy(&keep, clo_buf_span(b), &s));
    clo_buf_free(b);
    return s;
}

static clo_span set_of(const jwt_identity *const *who, const char *const *kids, const char *const *more, size_t count)
{
    clo_buf b;
    clo_buf_init(&b, 64 * 1024);
    assert_ok(clo_buf_put_str(&b, "{\"keys\":["));
    for (size_t i = 0; i < count; i++) {
        if (i != 0) assert_ok(clo_buf_put_u8(&b, ','));
        assert_ok(jwt_jwk(who[i], kids[i], more == NULL ? "" : more[i], &b));
    }
    assert_ok(clo_buf_put_str(&b, "]}"));
    return kept(&b);
}

static int set_up(void **state)
{
    (void)state;
    static const clo_crypto_cert_request request = {.common_name = ISSUER, .not_before = NOW - DAY, .not_after = NOW + DAY, .serial = 7};
    clo_arena_init(&keep, 64 << 20);
    if (clo_failed(jwt_identity_make(&signer, &request, NULL)) || clo_failed(jwt_identity_make(&stranger, &request, NULL))) return -1;
    const jwt_identity *who[] = {&stranger, &signer};
    static const char *const kids[] = {"k0", "k1"};
    jwks.bytes = set_of(who, kids, NULL, 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jwt_identity_free(&signer);
    jwt_identity_free(&stranger);
    clo_arena_free(&keep);
    clo_arena_free(&token_arena);
    return 0;
}

static clo_span signed_as(const char *header, const char *claims, const jwt_identity *i, clo_crypto_scheme scheme)
{
    clo_buf b;
    clo_buf_init(&b, 256 * 1024);
    assert_ok(jwt_make(header, claims, i, scheme, &b));
    return kept(&b);
}

static clo_span token_of(const char *claims) { return signed_as(HEADER, claims, &signer, CLO_SCHEME_RS256); }

static clo_attest_policy open_policy(void)
{
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    (void)snprintf(p.expected_issuer, sizeof p.expected_issuer, "%s", ISSUER);
    return p;
}

static const char *verdict(clo_span token, const clo_attest_policy *p) { return appraise("maa", token, &jwks, 1, p, NOW); }

static void expect(const char *claims, const clo_attest_policy *p, const char *wanted)
{
    const char *got = verdict(token_of(claims), p);
    if (strcmp(got, wanted) != 0) fail_msg("%s: %s (%s), wanted %s", claims, got, token_result.detail, wanted);
}

static void test_published(void **state)
{
    (void)state;
    published_cases("maa", 28, 0);
}

static void test_algorithms_and_keys(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    static const char claims[] = "{" ENVELOPE SNP_CLAIMS "}";
    assert_string_equal(verdict(token_of(claims), &p), "valid");
    assert_string_equal(appraise("auto", token_of(claims), &jwks, 1, &p, NOW), "valid");
    static const struct {
        const char *alg;
        clo_crypto_scheme scheme;
    } algs[] = {{"RS384", CLO_SCHEME_RS384}, {"RS512", CLO_SCHEME_RS512}, {"PS256", CLO_SCHEME_PS256}, {"ES256", CLO_SCHEME_RS256},
                {"none", CLO_SCHEME_RS256},  {"NONE", CLO_SCHEME_RS256},  {"rs256", CLO_SCHEME_RS256}, {"HS256", CLO_SCHEME_RS256}};
    for (size_t i = 0; i < COUNT(algs); i++) {
        char header[256];
        (void)snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"k1\"}", algs[i].alg);
        assert_string_equal(verdict(signed_as(header, claims, &signer, algs[i].scheme), &p), "forbidden_alg");
    }
    /* HMAC with the public key as its secret: the oldest trick. */
    clo_buf b, input;
    uint8_t mac[32];
    clo_buf_init(&b, 64 * 1024);
    clo_buf_init(&input, 64 * 1024);
    static const char hs[] = "{\"alg\":\"HS256\",\"kid\":\"k1\"}";
    assert_ok(clo_base64url_encode(&input, clo_span_str(hs)));
    assert_ok(clo_buf_put_u8(&input, '.'));
    assert_ok(clo_base64url_encode(&input, clo_span_str(claims)));
    assert_ok(clo_crypto_hmac(CLO_HASH_SHA256, clo_buf_span(&signer.der), clo_buf_span(&input), mac));
    clo_buf_free(&input);
    assert_ok(jwt_make_with(hs, claims, clo_span_of(mac, sizeof mac), &b));
    assert_string_equal(verdict(kept(&b), &p), "forbidden_alg");
    clo_buf_init(&b, 64 * 1024);
    assert_ok(jwt_make_with(HEADER, claims, clo_span_of(mac, 0), &b));
    assert_string_equal(verdict(kept(&b), &p), "bad_signature");
    /* Keys: of another id, of nobody, twice the same id, for another purpose, in another set, none. */
    static const struct {
        const char *header, *wanted;
    } headers[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"k0\"}", "bad_signature"}, {"{\"alg\":\"RS256\",\"kid\":\"nope\"}", "unknown_key"},
        {"{\"alg\":\"RS256\"}", "unknown_key"},                   {"{\"alg\":\"RS256\",\"kid\":\"\"}", "unknown_key"},
        {"{\"alg\":\"RS256\",\"kid\":1}", "malformed"},           {"{\"kid\":\"k1\"}", "malformed"},
        {"{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"k1\"}", "malformed"}, {"[]", "malformed"},
        {"{\"alg\":\"RS256\",\"kid\":\"k1\",\"crit\":[\"exp\"]}", "unsupported"}, {"{\"alg\":\"RS256\",\"kid\":\"k1\",\"b64\":false}", "unsupported"},
        {"{\"alg\":\"RS256\",\"kid\":\"k1\",\"zip\":\"DEF\"}", "unsupported"},
        {"{\"alg\":\"RS256\",\"kid\":\"k1\",\"jwk\":{\"kty\":\"RSA\"}}", "valid"}, /* a key that the token brings is not looked at */
    };
    for (size_t i = 0; i < COUNT(headers); i++) {
        const char *got = verdict(signed_as(headers[i].header, claims, &signer, CLO_SCHEME_RS256), &p);
        if (strcmp(got, headers[i].wanted) != 0) fail_msg("%s: %s (%s)", headers[i].header, got, token_result.detail);
    }
    const jwt_identity *who[] = {&signer, &signer};
    static const char *const same[] = {"k1", "k1"};
    static const char *const purposes[] = {",\"use\":\"enc\"", ",\"alg\":\"RS512\"", ",\"key_ops\":[\"sign\"]"};
    clo_attest_part set = {.role = "jwks", .bytes = set_of(who, same, NULL, 2)};
    assert_string_equal(appraise("maa", token_of(claims), &set, 1, &p, NOW), "unknown_key");
    for (size_t i = 0; i < COUNT(purposes); i++) {
        set.bytes = set_of(who, same, &purposes[i], 1);
        assert_string_equal(appraise("maa", token_of(claims), &set, 1, &p, NOW), "unknown_key");
    }
    static const char *const sets[] = {"", "{", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1]}"};
    for (size_t i = 0; i < COUNT(sets); i++) {
        set.bytes = clo_span_str(sets[i]);
        assert_string_equal(appraise("maa", token_of(claims), &set, 1, &p, NOW), "unknown_key");
    }
    assert_string_equal(appraise("maa", token_of(claims), NULL, 0, &p, NOW), "collateral_missing");
    /* Keys that came with the evidence are nobody's. */
    clo_attest_part both[2] = {{.role = "report", .bytes = token_of(claims)}, jwks};
    clo_arena_free(&token_arena);
    clo_arena_init(&token_arena, 1 << 20);
    assert_ok(clo_attest_verify(&token_arena, "maa", both, 2, NULL, 0, &p, NOW, &token_result));
    assert_string_equal(token_result.reason, "collateral_missing");
    /* A key by its certificate, and that certificate's own window. */
    clo_buf_init(&b, 64 * 1024);
    assert_ok(clo_buf_put_str(&b, "{\"keys\":["));
    assert_ok(jwt_jwk_x5c(&signer, "k1", &b));
    assert_ok(clo_buf_put_str(&b, "]}"));
    set.bytes = kept(&b);
    assert_string_equal(appraise("maa", token_of(claims), &set, 1, &p, NOW), "valid");
    assert_string_equal(appraise("maa", token_of(claims), &set, 1, &p, NOW + 2 * DAY), "collateral_expired");
    assert_string_equal(appraise("maa", token_of(claims), &set, 1, &p, NOW - 2 * DAY), "collateral_not_yet_valid");
}

static void test_envelope(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    clo_span token = token_of("{" ENVELOPE SNP_CLAIMS "}");
    assert_string_equal(appraise("maa", token, &jwks, 1, &p, NOW - 1), "not_yet_valid");
    assert_string_equal(appraise("maa", token, &jwks, 1, &p, NOW), "valid");
    assert_int_equal(token_result.valid_until, NOW + 28799);
    assert_string_equal(appraise("maa", token, &jwks, 1, &p, NOW + 28799), "valid");
    assert_string_equal(appraise("maa", token, &jwks, 1, &p, NOW + 28800), "expired");
    p.max_age_s = 600;
    assert_string_equal(appraise("maa", token, &jwks, 1, &p, NOW + 600), "valid");
    assert_string_equal(appraise("maa", token, &jwks, 1, &p, NOW + 601), "stale");
    p.max_age_s = 0;
    static const struct {
        const char *envelope, *wanted;
    } times[] = {
        {"\"iss\":\"" ISSUER "\",\"iat\":1800000000", "claims"},
        {"\"iss\":\"" ISSUER "\",\"exp\":1800000001", "claims"},
        {"\"iss\":\"" ISSUER "\",\"nbf\":1800000000,\"exp\":1800000001", "valid"},
        {"\"iss\":\"" ISSUER "\",\"iat\":1800000000,\"exp\":1800000001", "valid"},
        {"\"iss\":\"" ISSUER "\",\"iat\":1800000001,\"nbf\":1799999999,\"exp\":1800000009", "not_yet_valid"},
        {"\"iss\":\"" ISSUER "\",\"iat\":1800000000,\"exp\":1800000000", "claims"},
        {"\"iss\":\"" ISSUER "\",\"iat\":1800000000,\"exp\":1800000001.5", "claims"},
        {"\"iss\":\"" ISSUER "\",\"iat\":1800000000,\"exp\":\"1800000001\"", "claims"},
        {"\"iss\":\"" ISSUER "\",\"iat\":-1,\"exp\":1800000001", "claims"},
        {"\"iss\":\"" ISSUER "/\",\"iat\":1800000000,\"exp\":1800000001", "issuer_mismatch"},
        {"\"iss\":\"https://TEST.weu.attest.azure.net\",\"iat\":1800000000,\"exp\":1800000001", "issuer_mismatch"},
        {"\"iss\":[\"" ISSUER "\"],\"iat\":1800000000,\"exp\":1800000001", "issuer_mismatch"},
        {"\"iat\":1800000000,\"exp\":1800000001", "issuer_mismatch"},
    };
    for (size_t i = 0; i < COUNT(times); i++) {
        char claims[4096];
        (void)snprintf(claims, sizeof claims, "{%s," SNP_CLAIMS "}", times[i].envelope);
        expect(claims, &p, times[i].wanted);
    }
    static const struct {
        const char *jku, *wanted;
    } places[] = {
        {"\"" ISSUER "/certs\"", "valid"},
        {"\"HTTPS://test.weu.attest.azure.net/certs\"", "issuer_mismatch"},
        {"\"https://TEST.weu.attest.azure.net/other?x\"", "valid"},
        {"\"http://test.weu.attest.azure.net/certs\"", "issuer_mismatch"},
        {"\"https://evil.example/certs\"", "issuer_mismatch"},
        {"\"https://test.weu.attest.azure.net.evil.example/certs\"", "issuer_mismatch"},
        {"\"https://test.weu.attest.azure.net@evil.example/certs\"", "issuer_mismatch"},
        {"\"https://test.weu.attest.azure.net:8443/certs\"", "issuer_mismatch"},
        {"\"https://test.weu.attest.azure.net\\\\@evil.example\"", "issuer_mismatch"},
        {"\"https://\"", "issuer_mismatch"},
        {"1", "issuer_mismatch"},
    };
    for (size_t i = 0; i < COUNT(places); i++) {
        char header[256];
        (void)snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"k1\",\"jku\":%s}", places[i].jku);
        const char *got = verdict(signed_as(header, "{" ENVELOPE SNP_CLAIMS "}", &signer, CLO_SCHEME_RS256), &p);
        if (strcmp(got, places[i].wanted) != 0) fail_msg("%s: %s (%s)", places[i].jku, got, token_result.detail);
    }
    /* The strict policy names its issuer. */
    clo_attest_policy_init(&p);
    p.require_crl = false;
    assert_string_equal(verdict(token, &p), "issuer_mismatch");
    (void)snprintf(p.expected_issuer, sizeof p.expected_issuer, "%s", ISSUER);
    assert_string_equal(verdict(token, &p), "valid");
}

static void test_sgx(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    uint8_t digest[32];
    char report_data[129], claims[4096];
    assert_ok(clo_crypto_sha256(clo_span_str("hello"), digest));
    clo_hex_encode(report_data, clo_span_of(digest, sizeof digest));
    memset(report_data + 64, '0', 64);
    report_data[128] = '\0';
    static const struct {
        const char *claims, *wanted;
    } cases[] = {
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false,\"x-ms-sgx-ehd\":\"aGVsbG8\"", "valid"},
        {"\"sgx-mrenclave\":\"" H32 "\",\"sgx-mrsigner\":\"" H32 "\",\"is-debuggable\":false,\"aas-ehd\":\"aGVsbG8\"", "valid"},
        {"\"sgx-mrenclave\":\"" H32 "\",\"sgx-mrsigner\":\"" H32 "\",\"is-debuggable\":false,\"maa-ehd\":\"aGVsbG9\"", "claims"}, /* left-over bits */
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false,\"x-ms-sgx-ehd\":\"aGVsbGA\"", "binding"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":true", "debug"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false,\"is-debuggable\":true", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"sgx-mrenclave\":\"" H16 H16 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false", "valid"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"sgx-mrenclave\":\"" H16 "00000000000000000000000000000000\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\"", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false", "claims"},
        {"\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H16 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false", "claims"},
        {"\"x-ms-sgx-mrenclave\":1,\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":0", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":\"false\"", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false,\"x-ms-sgx-svn\":-1", "claims"},
        {"\"x-ms-sgx-mrenclave\":\"" H32 "\",\"x-ms-sgx-mrsigner\":\"" H32 "\",\"x-ms-sgx-is-debuggable\":false,\"x-ms-sgx-collateral\":1", "claims"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(claims, sizeof claims, "{" ENVELOPE "\"x-ms-attestation-type\":\"sgx\",\"x-ms-sgx-report-data\":\"%s\",%s}", report_data, cases[i].claims);
        expect(claims, &p, cases[i].wanted);
    }
    (void)snprintf(claims, sizeof claims, "{" ENVELOPE "\"x-ms-attestation-type\":\"sgx\",\"x-ms-sgx-report-data\":\"%s\",%s}", report_data, cases[0].claims);
    p.expected_nonce = clo_span_str("hello");
    expect(claims, &p, "valid"); /* the runtime data is the nonce */
    p.expected_nonce = clo_span_of(digest, sizeof digest);
    expect(claims, &p, "valid"); /* the report data begins with it, zeros follow */
    p.expected_nonce = clo_span_str("hallo");
    expect(claims, &p, "nonce_mismatch");
    p.expected_nonce = clo_span_of(NULL, 0);
    p.have_report_data = true;
    expect(claims, &p, "report_data_mismatch");
    memcpy(p.report_data, digest, sizeof digest);
    expect(claims, &p, "valid");
    p.measurement_count = 1;
    expect(claims, &p, "measurement_mismatch");
    assert_ok(clo_hex_decode(p.measurements[0], 32, clo_span_str(H32)));
    expect(claims, &p, "valid");
}

static void test_snp(void **state)
{
    (void)state;
    static const char claims[] = "{" ENVELOPE SNP_CLAIMS "}";
    static const struct {
        const char *from, *to, *wanted;
    } changes[] = {
        {"is-debuggable\":false", "is-debuggable\":true", "debug"},
        {"is-debuggable\":false", "is-debuggable\":null", "claims"},
        {"is-debuggable\"", "is-debuggablE\"", "claims"},
        {"migration-allowed\":false", "migration-allowed\":\"no\"", "claims"},
        {"launchmeasurement", "launchmeasuremenT", "claims"},
        {"hostdata\":\"01", "hostdata\":\"0", "claims"},
        {"hostdata\":\"01", "hostdata\":\"0g", "claims"},
        {"vmpl\":0", "vmpl\":4", "vmpl"},
        {"vmpl\":0", "vmpl\":\"0\"", "claims"},
        {"microcode-svn\":115", "microcode-svn\":-1", "claims"},
        {"sevsnpvm\",", "sevsnpvn\",", "unsupported"},
        {"\"x-ms-ver\":\"1.0\"", "\"x-ms-ver\":1", "claims"},
        {"\"jti\":\"1\"", "\"x-ms-runtime\":\"1\"", "claims"},
        {"guestsvn\":2", "guestsvn\":0", "valid"},
    };
    clo_attest_policy p = open_policy();
    for (size_t i = 0; i < COUNT(changes); i++) {
        char text[4096];
        const char *at = strstr(claims, changes[i].from);
        assert_non_null(at);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - claims), claims, changes[i].to, at + strlen(changes[i].from));
        expect(text, &p, changes[i].wanted);
    }
    p.min_reported_tcb = (clo_attest_tcb){.have = true, .bl = 3, .tee = 0, .snp = 8, .ucode = 115};
    expect(claims, &p, "valid");
    p.min_reported_tcb.ucode = 116;
    expect(claims, &p, "tcb_too_low");
    p.min_reported_tcb.have = false;
    p.min_guest_svn = 2;
    expect(claims, &p, "valid");
    p.min_guest_svn = 3;
    expect(claims, &p, "tcb_too_low");
    p.min_guest_svn = 0;
    p.have_product_tcb = true;
    expect(claims, &p, "tcb_too_low");
    p.have_product_tcb = false;
    p.have_host_data = true;
    expect(claims, &p, "host_data_mismatch");
    assert_ok(clo_hex_decode(p.host_data, 32, clo_span_str(H32)));
    p.id_key_count = 1;
    expect(claims, &p, "id_key_mismatch");
    assert_ok(clo_hex_decode(p.id_keys[0], 48, clo_span_str(H48)));
    p.author_key_count = 1;
    expect(claims, &p, "author_key_mismatch");
    assert_ok(clo_hex_decode(p.author_keys[0], 48, clo_span_str(H48)));
    p.measurement_count = 1;
    expect(claims, &p, "measurement_mismatch");
    assert_ok(clo_hex_decode(p.measurements[0], 48, clo_span_str(H48)));
    expect(claims, &p, "valid");
    p.allow_debug = true;
    expect("{" ENVELOPE "\"x-ms-sevsnpvm-is-debuggable\":true,\"x-ms-sevsnpvm-launchmeasurement\":\"" H48 "\",\"x-ms-attestation-type\":\"sevsnpvm\"}", &p, "host_data_mismatch");
}

static void test_tdx_and_machines(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    expect("{" ENVELOPE TDX_CLAIMS "}", &p, "valid");
    assert_string_equal(token_result.tcb_status, "UpToDate");
    expect("{" ENVELOPE TDX_CLAIMS ",\"tdx_is_debuggable\":true}", &p, "debug");
    expect("{" ENVELOPE TDX_CLAIMS ",\"tdx_rtmr0\":\"00\"}", &p, "claims");
    expect("{" ENVELOPE TDX_CLAIMS ",\"tdx_mrsignerseam\":\"" H48 "\"}", &p, "platform_policy");
    expect("{" ENVELOPE "\"x-ms-attestation-type\":\"tdxvm\",\"tdx_mrtd\":\"" H48 "\"}", &p, "claims");
    expect("{" ENVELOPE "\"x-ms-attestation-type\":\"tdxvm\",\"tdx_mrtd\":\"" H48 "\",\"dbgstat\":\"enabled\"}", &p, "debug");
    expect("{" ENVELOPE "\"x-ms-attestation-type\":\"tdxvm\",\"tdx_mrtd\":\"" H48 "\",\"tdx_td_attributes\":\"0100000000000000\"}", &p, "debug");
    p.min_tcb_date = NOW;
    expect("{" ENVELOPE TDX_CLAIMS "}", &p, "tcb_date");
    p.min_tcb_date = 0;
    p.accept_tcb_status = CLO_ATTEST_TCB_UP_TO_DATE;
    p.any_advisory = false;
    expect("{" ENVELOPE TDX_CLAIMS "}", &p, "valid");
    expect("{" ENVELOPE TDX_CLAIMS ",\"attester_advisory_ids\":[\"INTEL-SA-00001\"]}", &p, "advisory");
    expect("{" ENVELOPE "\"x-ms-attestation-type\":\"tdxvm\",\"tdx_mrtd\":\"" H48 "\",\"dbgstat\":\"disabled\",\"attester_tcb_status\":\"OutOfDate\"}", &p, "tcb_status");
    expect("{" ENVELOPE "\"x-ms-attestation-type\":\"tdxvm\",\"tdx_mrtd\":\"" H48 "\",\"dbgstat\":\"disabled\",\"attester_tcb_status\":\"Splendid\"}", &p, "tcb_status");
    static const struct {
        const char *claims, *wanted;
    } machines[] = {
        {"\"x-ms-isolation-tee\":{\"x-ms-compliance-status\":\"azure-compliant-cvm\"," SNP_CLAIMS ",\"x-ms-runtime\":{\"user-data\":\"00FF\"}}", "valid"},
        {"\"x-ms-isolation-tee\":{" TDX_CLAIMS "}", "valid"},
        {"\"x-ms-isolation-tee\":{\"x-ms-compliance-status\":\"not\"," SNP_CLAIMS "}", "platform_policy"},
        {"\"x-ms-isolation-tee\":1", "claims"},
        {"\"secureboot\":true", "platform_policy"},
        {"\"x-ms-isolation-tee\":{\"x-ms-attestation-type\":\"azurevm\"}", "unsupported"},
        {"\"x-ms-isolation-tee\":{\"x-ms-attestation-type\":\"sevsnpvm\"}", "claims"},
        {"\"x-ms-isolation-tee\":{\"x-ms-attestation-type\":\"tpm\"}", "unsupported"},
        {"\"x-ms-azurevm-kerneldebug-enabled\":true,\"x-ms-isolation-tee\":{" SNP_CLAIMS "}", "debug"},
        {"\"x-ms-azurevm-vmid\":7,\"x-ms-isolation-tee\":{" SNP_CLAIMS "}", "claims"},
    };
    p.expected_nonce = clo_span_of("\x00\xff", 2);
    for (size_t i = 0; i < COUNT(machines); i++) {
        char claims[4096];
        if (i == 1) p.expected_nonce = clo_span_of(NULL, 0);
        (void)snprintf(claims, sizeof claims, "{" ENVELOPE "\"x-ms-attestation-type\":\"azurevm\",%s}", machines[i].claims);
        expect(claims, &p, machines[i].wanted);
    }
    p.expected_nonce = clo_span_str("n1");
    expect("{" ENVELOPE "\"x-ms-runtime\":{\"client-payload\":{\"nonce\":\"bjE=\"}},\"x-ms-attestation-type\":\"tpm\"}", &p, "valid");
    expect("{" ENVELOPE "\"nonce\":\"n1\",\"x-ms-attestation-type\":\"tpm\"}", &p, "valid");
    expect("{" ENVELOPE "\"nonce\":\"n2\",\"x-ms-attestation-type\":\"tpm\"}", &p, "nonce_mismatch");
}

static void test_skipped_signature(void **state)
{
    (void)state;
    clo_attest_policy p = open_policy();
    p.skip_signature = true;
    clo_span token = signed_as(HEADER, "{" ENVELOPE SNP_CLAIMS "}", &stranger, CLO_SCHEME_RS256);
    assert_string_equal(verdict(token, &p), "valid");
    assert_non_null(strstr(token_result.detail, "signature was not checked"));
    assert_string_equal(verdict(signed_as("{\"alg\":\"none\"}", "{" ENVELOPE SNP_CLAIMS "}", &stranger, CLO_SCHEME_RS256), &p), "forbidden_alg");
    p.skip_signature = false;
    assert_string_equal(verdict(token, &p), "bad_signature");
}

/* The certificate of the key can carry the service's SGX quote: it is shown, and judged where Intel's collateral is there. */
static void test_signing_quote(void **state)
{
    (void)state;
    enum { HEADER_SIZE = 16, QUOTE = 500 };
    uint8_t report[HEADER_SIZE + QUOTE] = {1, 0, 0, 0, 2, 0, 0, 0, QUOTE & 0xff, QUOTE >> 8};
    memset(report + HEADER_SIZE + 48 + 64, 0xe1, 32);
    static const char *const oids[] = {"1.3.6.1.4.1.311.105.1", "1.2.840.113556.10.1.1"};
    clo_attest_policy p = open_policy();
    clo_span token = token_of("{" ENVELOPE SNP_CLAIMS "}");
    for (unsigned i = 0; i < 5; i++) {
        jwt_identity bearer;
        clo_buf b;
        if (i == 2) report[0] = 2;
        if (i == 3) report[8]++;
        clo_crypto_extension extension = {.oid = oids[i % 2], .der = clo_span_of(report, i == 4 ? 10 : sizeof report)};
        clo_crypto_cert_request request = {.common_name = ISSUER, .not_before = NOW - DAY, .not_after = NOW + DAY, .serial = 7, .extensions = &extension, .extension_count = 1};
        assert_ok(jwt_identity_make(&bearer, &request, NULL));
        clo_buf_init(&b, 64 * 1024);
        assert_ok(clo_buf_put_str(&b, "{\"keys\":["));
        assert_ok(jwt_jwk_x5c(&bearer, "k1", &b));
        assert_ok(clo_buf_put_str(&b, "]}"));
        clo_attest_part roles[2] = {{.role = "jwks", .bytes = kept(&b)}, {.role = "tcb_info", .bytes = clo_span_str("{}")}};
        token = signed_as(HEADER, "{" ENVELOPE SNP_CLAIMS "}", &bearer, CLO_SCHEME_RS256);
        assert_string_equal(appraise("maa", token, roles, 1, &p, NOW), i < 2 ? "valid" : "bad_key");
        if (i < 2) {
            const clo_wire_node *quote = clo_wire_get(token_result.claims, "signing_quote");
            assert_non_null(quote);
            assert_int_equal(clo_wire_get(quote, "mrenclave")->text.p[31], 0xe1);
            assert_string_equal(appraise("maa", token, roles, 2, &p, NOW), "malformed"); /* no quote at all, and now it matters */
        }
        if (i == 2) report[0] = 1;
        if (i == 3) report[8]--;
        jwt_identity_free(&bearer);
    }
}

/* A real quote with Intel's collateral in the certificate: the quote holds, and it vouches for another key. */
static void test_real_signing_quote(void **state)
{
    (void)state;
    enum { THEN = 1751624924 };
    static const char *const files[][2] = {
        {"tcb_info", "phala-sgx-2025-06.tcbinfo.json"},   {"qe_identity", "phala-sgx-2025-06.qeidentity.json"}, {"root", "intel-sgx-root-ca.pem"},
        {"root_ca_crl", "phala-sgx-2025-06.rootca.crl"},  {"pck_ca_crl", "phala-sgx-2025-06.pckca.crl"},        {"tcb_signing_chain", "phala-sgx-2025-06.tcbsign-chain.pem"},
    };
    char path[512];
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/sgx", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_attest_part roles[COUNT(files) + 1];
    for (size_t i = 0; i < COUNT(files); i++) {
        (void)snprintf(roles[i].role, sizeof roles[i].role, "%s", files[i][0]);
        assert_ok(clo_vectors_read(&keep, path, files[i][1], &roles[i].bytes));
    }
    clo_span quote;
    clo_buf report, b;
    assert_ok(clo_vectors_read(&keep, path, "phala-sgx-v3.quote.bin", &quote));
    clo_buf_init(&report, 64 * 1024);
    assert_ok(clo_buf_put_u32le(&report, 1));
    assert_ok(clo_buf_put_u32le(&report, 2));
    assert_ok(clo_buf_put_u64le(&report, quote.n));
    assert_ok(clo_buf_put_span(&report, quote));
    clo_crypto_extension extension = {.oid = "1.3.6.1.4.1.311.105.1", .der = clo_buf_span(&report)};
    clo_crypto_cert_request request = {.common_name = ISSUER, .not_before = THEN - DAY, .not_after = THEN + DAY, .serial = 7, .extensions = &extension, .extension_count = 1};
    jwt_identity bearer;
    assert_ok(jwt_identity_make(&bearer, &request, NULL));
    clo_buf_init(&b, 64 * 1024);
    assert_ok(clo_buf_put_str(&b, "{\"keys\":["));
    assert_ok(jwt_jwk_x5c(&bearer, "k1", &b));
    assert_ok(clo_buf_put_str(&b, "]}"));
    roles[COUNT(files)] = (clo_attest_part){.role = "jwks", .bytes = kept(&b)};
    clo_span token = signed_as(HEADER, "{\"iss\":\"" ISSUER "\",\"iat\":1751624920,\"exp\":1751624990," SNP_CLAIMS "}", &bearer, CLO_SCHEME_RS256);
    clo_attest_policy p = open_policy();
    p.allow_trailing_bytes = true;
    assert_string_equal(appraise("maa", token, roles, COUNT(files) + 1, &p, THEN), "key_binding");
    bool held = false;
    for (size_t i = 0; i < token_result.check_count; i++) held = held || (strcmp(token_result.checks[i].name, "signing_quote") == 0 && token_result.checks[i].ok);
    assert_true(held);
    assert_string_equal(appraise("maa", token, roles + 1, COUNT(files), &p, THEN), "valid"); /* without Intel's collateral it is only shown */
    clo_buf_free(&report);
    jwt_identity_free(&bearer);
}

static void test_altered(void **state)
{
    (void)state;
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    clo_span token = token_of("{" ENVELOPE SNP_CLAIMS "}");
    uint8_t *bytes = malloc(token.n + 1);
    assert_non_null(bytes);
    memcpy(bytes, token.p, token.n);
    for (size_t cut = 0; cut < token.n; cut++) assert_string_not_equal(verdict(clo_span_of(bytes, cut), &p), "valid");
    for (size_t at = 0; at < token.n * 8; at++) {
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
        assert_string_not_equal(verdict(clo_span_of(bytes, token.n), &p), "valid");
        bytes[at / 8] ^= (uint8_t)(1u << (at % 8));
    }
    small_arenas("maa", token, &jwks, 1, &p, NOW);
    static const char ends[] = "\n =A.";
    for (size_t i = 0; i < sizeof ends; i++) { /* the end of the text too */
        bytes[token.n] = (uint8_t)ends[i];
        assert_string_not_equal(verdict(clo_span_of(bytes, token.n + 1), &p), "valid");
    }
    free(bytes);
}

static void test_bombs(void **state)
{
    (void)state;
    enum { SIZE = 40 * 1024 };
    clo_attest_policy p = open_policy();
    char *text = malloc(SIZE + 1);
    assert_non_null(text);
    static const char *const units[] = {"[", "{\"a\":", "1,", "\"\",", "[],", " ", "\\u0000"};
    static const size_t sizes[] = {100, 4000, 10000, SIZE};
    for (size_t i = 0; i < COUNT(units) * COUNT(sizes); i++) {
        const char *unit = units[i / COUNT(sizes)];
        size_t n = strlen(unit), size = sizes[i % COUNT(sizes)], at = 0;
        text[at++] = '[';
        for (; at + n <= size; at += n) memcpy(text + at, unit, n);
        text[at] = '\0';
        clo_buf b;
        clo_buf_init(&b, 256 * 1024);
        assert_ok(jwt_make_with(HEADER, text, clo_span_str("x"), &b));
        assert_string_equal(verdict(kept(&b), &p), "malformed");
        assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
        clo_buf_init(&b, 256 * 1024);
        assert_ok(jwt_make_with(text, "{}", clo_span_str("x"), &b));
        assert_string_equal(verdict(kept(&b), &p), "malformed");
        assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    }
    /* As many values as are read at all. */
    size_t at = (size_t)snprintf(text, SIZE, "{" ENVELOPE SNP_CLAIMS ",\"a\":[");
    for (size_t i = 0; i < 440; i++) at += (size_t)snprintf(text + at, SIZE - at, "%s\"b\"", i == 0 ? "" : ",");
    (void)snprintf(text + at, SIZE - at, "]}");
    assert_string_equal(verdict(token_of(text), &p), "valid");
    assert_true(token_arena.used <= TOKEN_ALLOCATION_MAX);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_algorithms_and_keys), cmocka_unit_test(test_envelope), cmocka_unit_test(test_sgx),
        cmocka_unit_test(test_snp),       cmocka_unit_test(test_tdx_and_machines),    cmocka_unit_test(test_skipped_signature),
        cmocka_unit_test(test_signing_quote), cmocka_unit_test(test_real_signing_quote), cmocka_unit_test(test_altered), cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
