/* Proves the appraisal of Azure's virtual TPMs: every published case through the vector runner's area; with an HCL report and a TPM made here
 * (the hardware's signature waived, or the whole path under a test root), each broken size, binding, claim, key, quote and register with
 * its own reason; that hardware evidence is always asked for otherwise; and, on real evidence, that no shorter part and none with a flipped bit
 * is accepted. */
#include "cmocka_all.h"

#include "../../tools/vectors/vectors.h"
#include "attest/attest.h"
#include "attest/azure_hcl.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "chain_fixture.h"
#include "tpm_fixture.h"

#include <stdlib.h>
#include <unistd.h>

enum { ALL = 0xffffff };

static tpm_fixture tpm, second;
static clo_attest_result result;
static clo_attest_policy policy;
static clo_attest_tpm_pcrs pcrs;
static clo_attest_part parts[8], collateral[4];
static size_t part_count, collateral_count;
static clo_buf hcl, json, message, signature, values, vcek, crl;
static uint8_t qualified[34];
static const tpm_pick picks[] = {{CLO_TPM_SHA256, ALL}};

static int set_up(void **state)
{
    clo_buf *all[] = {&hcl, &json, &message, &signature, &values, &vcek, &crl};
    for (size_t i = 0; i < 7; i++) clo_buf_init(all[i], 65536);
    pcrs.count = 1;
    pcrs.banks[0].hash = CLO_TPM_SHA256;
    pcrs.banks[0].known = ALL;
    for (size_t i = 0; i < 24; i++) memset(pcrs.banks[0].values[i], (int)i, 32);
    return chain_set_up(state) != 0 || clo_failed(tpm_fixture_start(&tpm)) || clo_failed(tpm_fixture_start(&second)) ? -1 : 0;
}

static int tear_down(void **state)
{
    clo_buf *all[] = {&hcl, &json, &message, &signature, &values, &vcek, &crl};
    for (size_t i = 0; i < 7; i++) clo_buf_free(all[i]);
    tpm_fixture_end(&tpm);
    tpm_fixture_end(&second);
    return chain_tear_down(state);
}

static void part(const char *role, clo_span bytes)
{
    size_t i = 0;
    while (i < part_count && strcmp(parts[i].role, role) != 0) i++;
    if (i == part_count) part_count++;
    (void)snprintf(parts[i].role, sizeof parts[i].role, "%s", role);
    parts[i].bytes = bytes;
}

/* The report around these claims; hash 1..3, type 2 or 4. */
static void make_hcl(uint32_t type, uint32_t hash)
{
    static const clo_crypto_hash_alg algs[] = {CLO_HASH_SHA256, CLO_HASH_SHA384, CLO_HASH_SHA512};
    uint8_t hardware[AZURE_HARDWARE_SIZE] = {0}, zeros[12] = {0};
    assert_ok(clo_crypto_hash(algs[hash - 1], clo_buf_span(&json), hardware + (type == 4 ? 128 : 0x50)));
    clo_buf_clear(&hcl);
    assert_ok(clo_buf_put_str(&hcl, "HCLA"));
    assert_ok(clo_buf_put_u32le(&hcl, type == 4 ? 2 : 1));
    assert_ok(clo_buf_put_u32le(&hcl, (uint32_t)(1236 + json.len)));
    assert_ok(clo_buf_put_u32le(&hcl, 2));
    assert_ok(clo_buf_put_u32le(&hcl, 0));
    assert_ok(clo_buf_put(&hcl, zeros, 12));
    assert_ok(clo_buf_put(&hcl, hardware, sizeof hardware));
    const uint32_t head[] = {(uint32_t)(20 + json.len), 1, type, hash, (uint32_t)json.len};
    for (size_t i = 0; i < 5; i++) assert_ok(clo_buf_put_u32le(&hcl, head[i]));
    assert_ok(clo_buf_put_span(&hcl, clo_buf_span(&json)));
    assert_ok(clo_buf_put(&hcl, zeros, 12));
    part("hcl_report", clo_buf_span(&hcl));
}

static void make_json(const tpm_fixture *of, const char *kid)
{
    clo_buf_clear(&json);
    assert_ok(clo_buf_printf(&json, "{\"keys\":[{\"kid\":\"HCLEkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQ\"},{\"kid\":\"%s\",\"key_ops\":[\"sign\"],\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"", kid));
    assert_ok(clo_base64url_encode(&json, clo_crypto_verify_key_modulus(of->rsa)));
    assert_ok(clo_buf_put_str(&json, "\"}],\"vm-configuration\":{\"secure-boot\":true},\"user-data\":\""));
    for (size_t i = 0; i < 64; i++) assert_ok(clo_buf_put_str(&json, "0a"));
    assert_ok(clo_buf_put_str(&json, "\"}"));
}

static void make_quote(const tpm_fixture *by, clo_span signer, clo_span nonce)
{
    clo_buf_clear(&message);
    clo_buf_clear(&signature);
    assert_ok(tpm_fixture_quote(TPM_RSASSA, signer, nonce, picks, 1, &pcrs, &message));
    assert_ok(tpm_fixture_sign(by, TPM_RSASSA, clo_buf_span(&message), &signature));
    part("tpm_quote_message", clo_buf_span(&message));
    part("tpm_quote_signature", clo_span_of(signature.p + 6, signature.len - 6));
}

static int fresh(void **state)
{
    (void)state;
    clo_attest_policy_init(&policy);
    policy.skip_hardware_signature = true;
    policy.expected_nonce = clo_span_str("challenge");
    part_count = collateral_count = 0;
    make_json(&tpm, "HCLAkPub");
    make_hcl(2, 1);
    if (clo_failed(clo_attest_azure_qualified_name(clo_crypto_verify_key_modulus(tpm.rsa), qualified))) return -1;
    make_quote(&tpm, clo_span_of(qualified, 34), clo_span_str("challenge"));
    clo_buf_clear(&values);
    for (size_t i = 0; i < 24; i++) {
        if (clo_failed(clo_buf_put(&values, pcrs.banks[0].values[i], 32))) return -1;
    }
    part("pcrs_sha256", clo_buf_span(&values));
    return 0;
}

static const char *verdict_at(int64_t now)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    assert_ok(clo_attest_verify(&a, "azure-vtpm", parts, part_count, collateral, collateral_count, &policy, now, &result));
    result.claims = NULL;
    return result.valid ? "valid" : result.reason;
}
static const char *verdict(void) { return verdict_at(TPM_NOW); }

static const char *folder(char path[512])
{
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, 512, "%s/vectors/attestation/azure-vtpm", shared != NULL ? shared : "../shared");
    return access(path, R_OK) == 0 ? path : NULL;
}

static void published(void **state)
{
    (void)state;
    char path[512];
    if (folder(path) == NULL) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed + r.skipped, 0);
    assert_true(r.passed >= 16);
}

static void good(void **state)
{
    (void)state;
    assert_string_equal(verdict(), "valid");
    part("tpm_quote_signature", clo_buf_span(&signature)); /* as TPMT_SIGNATURE */
    assert_string_equal(verdict(), "valid");
    for (uint32_t type = 2; type <= 4; type += 2) {
        for (uint32_t hash = 1; hash <= 3; hash++) {
            make_hcl(type, hash);
            assert_string_equal(verdict(), "valid");
        }
    }
    policy.have_report_data = true;
    memset(policy.report_data, 0x0a, 64); /* the user data */
    assert_string_equal(verdict(), "valid");
    policy.report_data[0] = 1;
    assert_string_equal(verdict(), "report_data_mismatch");
    policy.expected_nonce = clo_span_of(NULL, 0);
    make_quote(&tpm, clo_span_of(qualified, 34), clo_span_of(policy.report_data, 64));
    assert_string_equal(verdict(), "valid");
    policy.have_report_data = false;
    part_count = 1; /* the report alone, where the caller asks for no more */
    assert_string_equal(verdict(), "valid");
    policy.expected_nonce = clo_span_str("challenge");
    assert_string_equal(verdict(), "nonce_mismatch");
}

/* Nothing but waiving it stands in for the hardware's evidence. */
static void hardware_is_asked_for(void **state)
{
    (void)state;
    policy.skip_hardware_signature = false;
    assert_string_not_equal(verdict(), "valid");
    make_hcl(4, 1);
    assert_string_equal(verdict(), "malformed"); /* no TD quote */
    part("td_quote", clo_buf_span(&values));
    assert_string_equal(verdict(), "malformed");
    policy.custom_root = policy.ak_trusted = policy.skip_signature = true;
    assert_string_equal(verdict(), "malformed");
    part_count = 1;
    assert_string_equal(verdict(), "malformed"); /* nor a quote */
}

static void layout(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{0, 'h'}, {4, 3}, {8, 1}, {12, 1}, {16, 1}, {20, 1}, {1216, 1}, {1220, 2}, {1224, 3}, {1228, 4}, {1228, 0}, {1232, 1}, {1235, 0xff}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t before = hcl.p[cases[i].at];
        hcl.p[cases[i].at] = cases[i].value;
        if (strcmp(verdict(), "malformed") != 0) fail_msg("byte %zu: %s (%s)", cases[i].at, result.reason, result.detail);
        hcl.p[cases[i].at] = before;
    }
    hcl.p[hcl.len - 1] = 1; /* behind the report */
    assert_string_equal(verdict(), "malformed");
    policy.strict_reserved = false;
    assert_string_equal(verdict(), "valid");
    parts[0].bytes.n = 0;
    assert_string_equal(verdict(), "malformed");
    static uint8_t large[AZURE_HCL_MAX + 1];
    parts[0].bytes = clo_span_of(large, sizeof large);
    assert_string_equal(verdict(), "malformed");
}

static void claims(void **state)
{
    (void)state;
    hcl.p[1236 + 3] ^= 0x20; /* "keys" */
    assert_string_equal(verdict(), "report_data_mismatch");
    hcl.p[1236 + 3] ^= 0x20;
    hcl.p[32 + 0x50 + 40] = 1; /* behind the hash */
    assert_string_equal(verdict(), "report_data_mismatch");
    make_json(&tpm, "HCLAkPvb");
    make_hcl(2, 1);
    assert_string_equal(verdict(), "bad_key");
    make_json(&tpm, "HCLEkPub");
    json.p[json.len - 1] = ']';
    make_hcl(2, 1);
    assert_string_equal(verdict(), "malformed");
    static const char *const bad[] = {"[]", "1", "{", "{\"keys\":1}", "{\"keys\":[{\"kid\":\"HCLAkPub\"},{\"kid\":\"HCLAkPub\"}]}",
                                      "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"Aw\",\"n\":\"AQ\"}]}", "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clo_buf_clear(&json);
        assert_ok(clo_buf_put_str(&json, bad[i]));
        make_hcl(2, 1);
        assert_string_equal(verdict(), i < 3 || i == 6 ? "malformed" : "bad_key");
    }
    clo_buf_clear(&json); /* many values */
    assert_ok(clo_buf_put_str(&json, "[0"));
    for (size_t i = 0; i < 5000; i++) assert_ok(clo_buf_put_str(&json, ",0"));
    assert_ok(clo_buf_put_str(&json, "]"));
    make_hcl(2, 1);
    assert_string_equal(verdict(), "malformed");
}

static void quotes(void **state)
{
    (void)state;
    policy.expected_nonce = clo_span_str("challengf");
    assert_string_equal(verdict(), "nonce_mismatch");
    policy.expected_nonce = clo_span_str("challenge");
    signature.p[100] ^= 1;
    assert_string_equal(verdict(), "bad_signature");
    signature.p[100] ^= 1;
    message.p[message.len - 1] ^= 1;
    assert_string_equal(verdict(), "bad_signature");
    message.p[message.len - 1] ^= 1;
    message.p[0] = 0;
    assert_string_equal(verdict(), "malformed");
    message.p[0] = 0xff;
    values.p[77] ^= 1;
    assert_string_equal(verdict(), "pcr_digest_mismatch");
    values.p[77] ^= 1;
    part("pcrs_sha256", clo_span_of(values.p, values.len - 1));
    assert_string_equal(verdict(), "malformed");
    part("pcrs_sha256", clo_buf_span(&values));
    part("tpm_quote_signature", clo_span_of(signature.p, 3));
    assert_string_equal(verdict(), "malformed");
    uint8_t foreign[34];
    assert_ok(clo_attest_azure_qualified_name(clo_crypto_verify_key_modulus(second.rsa), foreign));
    make_quote(&second, clo_span_of(foreign, 34), clo_span_str("challenge")); /* another machine's TPM */
    assert_string_equal(verdict(), "key_binding");
}

/* ---- the whole path under a test root ---- */

static void whole_path(void **state)
{
    (void)state;
    uint8_t report[AZURE_HARDWARE_SIZE];
    make_ca(&ark, "ARK-Milan", NULL, NOW - 10 * DAY, NOW + 10 * DAY);
    make_ca(&ask, "SEV-Milan", &ark, NOW - 10 * DAY, NOW + 10 * DAY);
    vcek_options o = usual;
    o.product = "Milan-B0";
    clo_buf_clear(&vcek);
    make_vcek(&o, &vcek);
    report_usual(report);
    memcpy(report + 0x50, hcl.p + 32 + 0x50, 64);
    report_sign(report);
    memcpy(hcl.p + 32, report, sizeof report);
    policy.skip_hardware_signature = false;
    policy.custom_root = true;
    CLO_AUTO(clo_buf_free) clo_buf chain;
    clo_buf_init(&chain, 32768);
    assert_ok(clo_crypto_cert_to_pem(ask.cert, &chain));
    assert_ok(clo_crypto_cert_to_pem(ark.cert, &chain));
    collateral[0] = (clo_attest_part){"vcek_or_vlek", clo_buf_span(&vcek)};
    collateral[1] = (clo_attest_part){"ask_ark_chain", clo_buf_span(&chain)};
    collateral[2] = (clo_attest_part){"root", clo_buf_span(&ark.der)};
    collateral_count = 3;
    assert_string_equal(verdict(), "collateral_missing"); /* strict: no list */
    for (size_t i = 0; i < 2; i++) {
        const clo_crypto_cert *revoked = ask.cert;
        clo_buf_clear(&crl);
        assert_ok(clo_crypto_crl_make(ark.cert, clo_buf_span(&ark.pem), NOW - DAY, NOW + DAY, &revoked, i, &crl));
        collateral[3] = (clo_attest_part){"crl", clo_buf_span(&crl)};
        collateral_count = 4;
        assert_string_equal(verdict(), i == 0 ? "valid" : "revoked");
    }
    policy.require_crl = false;
    collateral_count = 3;
    assert_string_equal(verdict(), "valid");
    policy.min_reported_tcb = (clo_attest_tcb){.have = true, .bl = 4};
    assert_string_equal(verdict(), "tcb_too_low");
    policy.min_reported_tcb.have = false;
    hcl.p[32 + 0x90] ^= 1; /* the measurement */
    assert_string_equal(verdict(), "bad_signature");
    hcl.p[32 + 0x90] ^= 1;
    report[0x0a] |= 8; /* a guest that can be debugged */
    report_sign(report);
    memcpy(hcl.p + 32, report, sizeof report);
    assert_string_equal(verdict(), "debug");
    policy.allow_debug = true;
    assert_string_equal(verdict(), "valid");
    policy.custom_root = false;
    assert_string_equal(verdict(), "wrong_root");
    policy.custom_root = true;
    clo_buf_clear(&vcek);
    make_vcek(&(vcek_options){.product = "Milan-B0", .kind = "SEV-VCEK", .boot_loader = 9, .hardware_id_bytes = 64, .from = NOW - DAY, .to = NOW + DAY}, &vcek);
    collateral[0].bytes = clo_buf_span(&vcek);
    assert_string_equal(verdict(), "tcb_mismatch");
}

/* ---- real evidence ---- */

/* Parts of a published machine, with AMD's certificates where it has some. */
static bool load(clo_arena *a, const char *name)
{
    char path[512], file[96];
    static const struct {
        const char *role, *suffix;
    } of[] = {{"hcl_report", "hcl-report.bin"}, {"tpm_quote_message", "quote.msg"}, {"tpm_quote_signature", "quote.sig"}, {"pcrs_sha256", "pcrs.bin"}};
    if (folder(path) == NULL) return false;
    part_count = 0;
    for (size_t i = 0; i < 4; i++) {
        clo_span bytes;
        (void)snprintf(file, sizeof file, "%s.%s", name, of[i].suffix);
        assert_ok(clo_vectors_read(a, path, file, &bytes));
        part(of[i].role, bytes);
    }
    collateral[0] = (clo_attest_part){.role = "vcek_or_vlek"};
    collateral[1] = (clo_attest_part){.role = "ask_ark_chain"};
    if (strstr(name, "-snp-") != NULL) {
        (void)snprintf(file, sizeof file, "%s.vcek.der", name);
        assert_ok(clo_vectors_read(a, path, file, &collateral[0].bytes));
    }
    assert_ok(clo_vectors_read(a, path, "ask_ark_milan.pem", &collateral[1].bytes));
    collateral_count = 2;
    clo_attest_policy_init_open(&policy);
    policy.strict_reserved = true;
    policy.expected_nonce = clo_span_str("challenge");
    return true;
}

static void real_truncations_and_flips(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    if (!load(&a, "trustee-az-snp-v1")) skip_because("the published evidence is not beside the project (../shared/vectors)");
    int64_t now = 0;
    assert_ok(clo_time_parse(&now, clo_span_str("2025-03-29T16:26:55Z")));
    assert_string_equal(verdict_at(now), "valid");
    for (size_t p = 0; p < part_count; p++) {
        clo_span whole = parts[p].bytes;
        bool has_tail = strcmp(parts[p].role, "hcl_report") == 0; /* zeros up to the size of the NV index */
        for (size_t n = 0; n < whole.n; n += n < 200 ? 1 : 37) {
            parts[p].bytes.n = n;
            bool none = n == 0 && strcmp(parts[p].role, "pcrs_sha256") == 0; /* as good as not sent */
            if (strcmp(verdict_at(now), "valid") == 0 && !none && !(has_tail && n >= 2346)) fail_msg("%s cut to %zu bytes is accepted", parts[p].role, n);
        }
        uint8_t *bytes = malloc(whole.n);
        assert_non_null(bytes);
        memcpy(bytes, whole.p, whole.n);
        parts[p].bytes = clo_span_of(bytes, whole.n);
        for (size_t i = 0; i < whole.n; i++) {
            uint8_t mask = (uint8_t)(1u << (i % 8));
            bytes[i] ^= mask;
            if (strcmp(verdict_at(now), "valid") == 0) fail_msg("%s with byte %zu flipped by 0x%02x is accepted", parts[p].role, i, mask);
            bytes[i] ^= mask;
        }
        free(bytes);
        parts[p].bytes = whole;
    }
    policy.require_crl = true; /* what the policy asks of the hardware's evidence holds inside too */
    assert_string_equal(verdict_at(now), "collateral_missing");
    policy.require_crl = false;
    policy.measurement_count = 1;
    assert_string_equal(verdict_at(now), "measurement_mismatch");
    policy.measurement_count = 0;
    policy.have_report_data = true;
    assert_string_equal(verdict_at(now), "valid"); /* this machine's user data are zeros */
    policy.report_data[5] = 1;
    assert_string_equal(verdict_at(now), "report_data_mismatch");
    policy.have_report_data = false;
    collateral_count = 0;
    assert_string_equal(verdict_at(now), "collateral_missing");
}

/* TDX: the TDREPORT is not signed for us; what it shares with the quote must be the same there. */
static void real_td(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    char path[512];
    clo_span quote, whole;
    int64_t now = 0;
    if (!load(&a, "trustee-az-tdx-v1")) skip_because("the published evidence is not beside the project (../shared/vectors)");
    collateral[0] = (clo_attest_part){.role = "root"};
    assert_ok(clo_vectors_read(&a, folder(path), "intel-sgx-root-ca.pem", &collateral[0].bytes));
    assert_ok(clo_vectors_read(&a, folder(path), "trustee-az-tdx-v1.td-quote.bin", &quote));
    collateral_count = 1;
    assert_ok(clo_time_parse(&now, clo_span_str("2023-11-12T21:00:51Z")));
    assert_string_equal(verdict_at(now), "malformed"); /* no quote of the TD */
    part("td_quote", quote);
    assert_string_equal(verdict_at(now), "valid");
    uint8_t *bytes = malloc(parts[0].bytes.n);
    assert_non_null(bytes);
    whole = parts[0].bytes;
    memcpy(bytes, whole.p, whole.n);
    parts[0].bytes.p = bytes;
    for (size_t i = 0; i < 400; i++) { /* attributes to RTMR3 */
        bytes[32 + 512 + i] ^= (uint8_t)(1u << (i % 8));
        assert_string_equal(verdict_at(now), "key_binding");
        bytes[32 + 512 + i] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t i = 0; i < 64; i++) {
        bytes[32 + 128 + i] ^= 1;
        assert_string_equal(verdict_at(now), "report_data_mismatch");
        bytes[32 + 128 + i] ^= 1;
    }
    free(bytes);
    parts[0].bytes = whole;
    part("td_quote", clo_span_of(quote.p, 631)); /* cut within its body */
    assert_string_equal(verdict_at(now), "malformed");
    part("td_quote", whole);
    assert_string_not_equal(verdict_at(now), "valid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),
        cmocka_unit_test_setup(good, fresh),
        cmocka_unit_test_setup(hardware_is_asked_for, fresh),
        cmocka_unit_test_setup(layout, fresh),
        cmocka_unit_test_setup(claims, fresh),
        cmocka_unit_test_setup(quotes, fresh),
        cmocka_unit_test_setup(whole_path, fresh),
        cmocka_unit_test(real_truncations_and_flips),
        cmocka_unit_test(real_td),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
