/* Proves the appraisal of TPM quotes: every published case through the vector runner's area; with keys made here, each scheme, each broken
 * structure, attribute, digest, nonce, bank, log and trust with its own reason; what a log claims is only what quoted registers prove; no
 * shorter quote and none with a flipped bit is accepted. */
#include "cmocka_all.h"

#include "../../tools/vectors/vectors.h"
#include "attest/attest.h"
#include "base/clo_own.h"
#include "tpm_fixture.h"

#include <stdlib.h>
#include <unistd.h>

enum { DAY = 86400, ALL = 0xffffff };

static tpm_fixture tpm;
static clo_attest_result result;
static clo_attest_policy policy;
static clo_attest_tpm_pcrs pcrs;
static clo_attest_part parts[8], collateral[3];
static size_t part_count, collateral_count;
static clo_buf area, message, signature, json, event_log;
static const tpm_pick usual_picks[] = {{CLO_TPM_SHA256, ALL}, {CLO_TPM_SHA384, 0x81}};
static bool secure_boot, secure_boot_there;

static int set_up(void **state)
{
    (void)state;
    clo_buf *all[] = {&area, &message, &signature, &json, &event_log};
    for (size_t i = 0; i < 5; i++) clo_buf_init(all[i], 65536);
    return clo_failed(tpm_fixture_start(&tpm)) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    clo_buf *all[] = {&area, &message, &signature, &json, &event_log};
    for (size_t i = 0; i < 5; i++) clo_buf_free(all[i]);
    tpm_fixture_end(&tpm);
    return 0;
}

static void part(const char *role, clo_span bytes)
{
    size_t i = 0;
    while (i < part_count && strcmp(parts[i].role, role) != 0) i++;
    if (i == part_count) part_count++;
    (void)snprintf(parts[i].role, sizeof parts[i].role, "%s", role);
    parts[i].bytes = bytes;
}

static void parts_of(tpm_how how, const tpm_pick *picks, size_t pick_count)
{
    clo_buf *all[] = {&area, &message, &signature, &json};
    for (size_t i = 0; i < 4; i++) clo_buf_clear(all[i]);
    assert_ok(tpm_fixture_area(&tpm, how, TPM_AK_ATTRIBUTES, &area));
    assert_ok(tpm_fixture_quote(how, clo_span_str("signer"), clo_span_str("the nonce"), picks, pick_count, &pcrs, &message));
    assert_ok(tpm_fixture_sign(&tpm, how, clo_buf_span(&message), &signature));
    assert_ok(tpm_fixture_pcrs_json(&pcrs, &json));
    part_count = collateral_count = 0;
    part("ak_public_tpmt", clo_buf_span(&area));
    part("message", clo_buf_span(&message));
    part("signature_tpmt", clo_buf_span(&signature));
    part("pcrs_json", clo_buf_span(&json));
}

static int fresh(void **state)
{
    (void)state;
    static const uint16_t banks[] = {CLO_TPM_SHA1, CLO_TPM_SHA256, CLO_TPM_SHA384};
    clo_buf_clear(&event_log);
    if (clo_failed(tpm_log_usual(&event_log, banks, 3, true))) return -1;
    if (clo_failed(clo_attest_tpm_log_replay(clo_buf_span(&event_log), &pcrs, NULL))) return -1;
    for (size_t i = 0; i < pcrs.count; i++) pcrs.banks[i].known = ALL;
    clo_attest_policy_init(&policy);
    policy.ak_trusted = true;
    policy.expected_nonce = clo_span_str("the nonce");
    parts_of(TPM_RSASSA, usual_picks, 2);
    return 0;
}

static const char *verdict_at(int64_t now)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    assert_ok(clo_attest_verify(&a, "tpm", parts, part_count, collateral, collateral_count, &policy, now, &result));
    const clo_wire_node *log = clo_wire_get(result.claims, "event_log"), *on = log == NULL ? NULL : clo_wire_get(log, "secure_boot");
    secure_boot_there = on != NULL;
    secure_boot = on != NULL && on->boolean;
    result.claims = NULL;
    return result.valid ? "valid" : result.reason;
}
static const char *verdict(void) { return verdict_at(TPM_NOW); }

static void published(void **state)
{
    (void)state;
    char path[512];
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/tpm", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed + r.skipped, 0);
    assert_true(r.passed >= 21);
}

static void schemes(void **state)
{
    (void)state;
    static const tpm_how hows[] = {TPM_RSASSA, TPM_RSAPSS, TPM_ECDSA};
    for (size_t i = 0; i < 3; i++) {
        parts_of(hows[i], usual_picks, 2);
        assert_string_equal(verdict(), "valid");
        /* Another key's signature, and another scheme than the key's own. */
        clo_buf_clear(&signature);
        assert_ok(tpm_fixture_sign(&tpm, hows[(i + 1) % 3], clo_buf_span(&message), &signature));
        part("signature_tpmt", clo_buf_span(&signature));
        assert_string_equal(verdict(), hows[i] == TPM_RSASSA ? "bad_key" : "bad_signature");
    }
    parts_of(TPM_RSASSA_SHA1, usual_picks, 2);
    assert_string_equal(verdict(), "forbidden_alg");
    policy.allow_sha1 = true;
    assert_string_equal(verdict(), "valid");
}

static void banks(void **state)
{
    (void)state;
    static const tpm_pick weak[] = {{CLO_TPM_SHA1, 0xff}, {CLO_TPM_SHA256, 0xff}}, none[] = {{CLO_TPM_SHA256, 0}};
    parts_of(TPM_RSASSA, weak, 2);
    assert_string_equal(verdict(), "forbidden_alg");
    policy.allow_sha1 = true;
    assert_string_equal(verdict(), "valid");
    parts_of(TPM_RSASSA, none, 1);
    assert_string_equal(verdict(), "pcr_digest_mismatch");
    parts_of(TPM_RSASSA, usual_picks, 0);
    assert_string_equal(verdict(), "pcr_digest_mismatch");
    parts_of(TPM_RSASSA, usual_picks, 2);
    pcrs.banks[1].values[3][0] ^= 1;
    clo_buf_clear(&json);
    assert_ok(tpm_fixture_pcrs_json(&pcrs, &json));
    part("pcrs_json", clo_buf_span(&json));
    assert_string_equal(verdict(), "pcr_digest_mismatch");
    pcrs.banks[1].values[3][0] ^= 1;
    pcrs.banks[1].known = 0xff; /* values of others are not there */
    clo_buf_clear(&json);
    assert_ok(tpm_fixture_pcrs_json(&pcrs, &json));
    part("pcrs_json", clo_buf_span(&json));
    assert_string_equal(verdict(), "pcr_digest_mismatch");
}

static void values(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{", "[]", "{\"md5\": {}}", "{\"sha256\": {\"24\": \"00\"}}", "{\"sha256\": {\"x\": \"00\"}}", "{\"sha256\": {\"0\": \"00\"}}",
                                      "{\"sha256\": {}, \"sha256\": {}}", "{\"sha256\": 1}", "{\"sha256\": {\"01\": \"\"}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        part("pcrs_json", clo_span_str(bad[i]));
        assert_string_equal(verdict(), "malformed");
    }
    static const tpm_pick one[] = {{CLO_TPM_SHA256, ALL}};
    uint8_t raw[24 * 32];
    parts_of(TPM_ECDSA, one, 1);
    for (size_t i = 0; i < 24; i++) memcpy(raw + 32 * i, pcrs.banks[1].values[i], 32);
    (void)snprintf(parts[3].role, sizeof parts[3].role, "pcrs_sha256");
    parts[3].bytes = clo_span_of(raw, sizeof raw);
    assert_string_equal(verdict(), "valid");
    parts[3].bytes.n--;
    assert_string_equal(verdict(), "malformed");
    part_count = 3; /* none at all: the quote alone */
    assert_string_equal(verdict(), "valid");
}

static void nonces(void **state)
{
    (void)state;
    policy.expected_nonce = clo_span_str("the nonc");
    assert_string_equal(verdict(), "nonce_mismatch");
    policy.expected_nonce = clo_span_of(NULL, 0);
    assert_string_equal(verdict(), "valid");
    uint8_t data[64];
    memset(data, 9, sizeof data);
    policy.have_report_data = true;
    memcpy(policy.report_data, data, 64);
    assert_string_equal(verdict(), "report_data_mismatch");
    clo_buf_clear(&message);
    clo_buf_clear(&signature);
    assert_ok(tpm_fixture_quote(TPM_RSASSA, clo_span_str("signer"), clo_span_of(data, 64), usual_picks, 2, &pcrs, &message));
    assert_ok(tpm_fixture_sign(&tpm, TPM_RSASSA, clo_buf_span(&message), &signature));
    part("message", clo_buf_span(&message));
    part("signature_tpmt", clo_buf_span(&signature));
    assert_string_equal(verdict(), "valid");
    policy.have_report_data = false;
    policy.measurement_count = 1; /* a quote shows none */
    assert_string_equal(verdict(), "measurement_mismatch");
}

static void attributes(void **state)
{
    (void)state;
    static const struct {
        unsigned bit;
        const char *verdict;
    } cases[] = {{1, "bad_key"}, {4, "bad_key"}, {5, "bad_key"}, {6, "valid"}, {10, "valid"}, {16, "bad_key"}, {17, "bad_key"}, {18, "bad_key"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_buf_clear(&area);
        assert_ok(tpm_fixture_area(&tpm, TPM_RSASSA, TPM_AK_ATTRIBUTES ^ (UINT32_C(1) << cases[i].bit), &area));
        part("ak_public_tpmt", clo_buf_span(&area));
        assert_string_equal(verdict(), cases[i].verdict);
    }
}

static void areas(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        const char *verdict;
    } cases[] = {{1, 0x8, "malformed"},  {1, 0x23, "malformed"}, {11, 0x6, "malformed"}, {13, 0x16, "bad_key"}, {15, 0x0c, "bad_key"},
                 {16, 4, "malformed"},   {21, 3, "bad_key"},     {23, 1, "malformed"},   {279, 0, "bad_signature"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t before = area.p[cases[i].at];
        area.p[cases[i].at] = cases[i].value;
        if (cases[i].at == 279) area.p[279] = (uint8_t)(before ^ 2); /* another odd modulus */
        const char *got = verdict();
        if (strcmp(got, cases[i].verdict) != 0) fail_msg("byte %zu: %s (%s)", cases[i].at, got, result.detail);
        area.p[cases[i].at] = before;
    }
    parts_of(TPM_ECDSA, usual_picks, 2);
    area.p[17] = 0x10; /* no such curve */
    assert_string_equal(verdict(), "bad_key");
    area.p[17] = 3;
    area.p[30] ^= 1; /* off the curve */
    assert_string_equal(verdict(), "bad_key");
}

static void trust(void **state)
{
    (void)state;
    policy.ak_trusted = false;
    assert_string_equal(verdict(), "unknown_key");
    policy.root_count = 1;
    assert_string_equal(verdict(), "wrong_root");
    assert_ok(clo_crypto_sha256(clo_buf_span(&area), policy.roots[0]));
    assert_string_equal(verdict(), "valid");
    policy.root_count = 0;
    /* By certificate, with the root that the policy pins. */
    part("ak_certificate", clo_buf_span(&tpm.rsa_der));
    collateral[0] = (clo_attest_part){"root", clo_buf_span(&tpm.root_der)};
    collateral_count = 1;
    assert_string_equal(verdict(), "wrong_root");
    policy.root_count = 1;
    clo_crypto_cert_sha256(tpm.root, policy.roots[0]);
    assert_string_equal(verdict(), "valid");
    assert_string_equal(verdict_at(TPM_NOW + DAY + 1), "expired");
    assert_string_equal(verdict_at(TPM_NOW - DAY - 1), "not_yet_valid");
    policy.roots[0][3] ^= 1;
    assert_string_equal(verdict(), "wrong_root");
    policy.roots[0][3] ^= 1;
    part("ak_certificate", clo_buf_span(&tpm.ec_der)); /* of another key */
    assert_string_equal(verdict(), "key_binding");
    part("ak_certificate", clo_span_str("none"));
    assert_string_equal(verdict(), "bad_chain");
    /* The certificate alone. */
    parts[0] = (clo_attest_part){"ak_certificate", clo_buf_span(&tpm.rsa_der)};
    part_count = 4;
    assert_string_equal(verdict(), "valid");
    collateral_count = 0;
    part("ak_chain", clo_buf_span(&tpm.root_der));
    assert_string_equal(verdict(), "valid");
    part("ak_chain", clo_buf_span(&tpm.ec_der)); /* no authority */
    assert_string_equal(verdict(), "bad_chain");
    part_count = 4;
    parts[0] = parts[3];
    part_count = 3;
    assert_string_equal(verdict(), "malformed"); /* no key at all */
}

static void revocation(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf list;
    clo_buf_init(&list, 8192);
    const clo_crypto_cert *revoked = tpm.rsa_cert;
    part("ak_certificate", clo_buf_span(&tpm.rsa_der));
    policy.root_count = 1;
    clo_crypto_cert_sha256(tpm.root, policy.roots[0]);
    collateral[0] = (clo_attest_part){"root", clo_buf_span(&tpm.root_der)};
    collateral_count = 2;
    for (size_t i = 0; i < 2; i++) {
        clo_buf_clear(&list);
        assert_ok(clo_crypto_crl_make(tpm.root, clo_buf_span(&tpm.root_pem), TPM_NOW - DAY, TPM_NOW + 60, &revoked, i, &list));
        collateral[1] = (clo_attest_part){"crl", clo_buf_span(&list)};
        assert_string_equal(verdict(), i == 0 ? "valid" : "revoked");
    }
    assert_string_equal(verdict_at(TPM_NOW + 61), "collateral_expired");
    list.p[list.len - 1] ^= 1;
    assert_string_equal(verdict(), "bad_collateral_signature");
}

/* ---- the event log ---- */

static void log_claims(void **state)
{
    (void)state;
    part("event_log", clo_buf_span(&event_log));
    assert_string_equal(verdict(), "valid");
    assert_true(secure_boot_there && secure_boot);
    parts[3] = parts[4]; /* without values the log's stand in */
    part_count = 4;
    assert_string_equal(verdict(), "valid");
    assert_true(secure_boot);
    static const tpm_pick few[] = {{CLO_TPM_SHA256, 0x11}};
    parts_of(TPM_RSASSA, few, 1);
    part("event_log", clo_buf_span(&event_log));
    assert_string_equal(verdict(), "valid");
    assert_false(secure_boot_there); /* register 7 is not quoted: nothing proves it */
}

/* A quote over what this log's events make. */
static void take_log(void)
{
    assert_ok(clo_attest_tpm_log_replay(clo_buf_span(&event_log), &pcrs, NULL));
    for (size_t i = 0; i < pcrs.count; i++) pcrs.banks[i].known = ALL;
    static const tpm_pick one[] = {{CLO_TPM_SHA256, ALL}};
    parts_of(TPM_RSASSA, one, 1);
    part("event_log", clo_buf_span(&event_log));
}

static void log_judged(void **state)
{
    (void)state;
    static const uint16_t sha256[] = {CLO_TPM_SHA256};
    clo_span zeros = clo_span_of("\0\0\0\0", 4);
    CLO_AUTO(clo_buf_free) clo_buf off;
    clo_buf_init(&off, 256);
    assert_ok(tpm_log_secure_boot(&off, false));
    clo_buf_clear(&event_log);
    assert_ok(tpm_log_usual(&event_log, sha256, 1, false));
    take_log();
    assert_string_equal(verdict(), "valid");
    assert_true(secure_boot_there && !secure_boot);
    /* The variable again, behind the separator. */
    assert_ok(tpm_log_event(&event_log, sha256, 1, 7, CLO_TPM_EV_VARIABLE_CONFIG, clo_buf_span(&off), clo_buf_span(&off)));
    take_log();
    assert_string_equal(verdict(), "event_log_mismatch");
    /* Data that say something else than what was measured. */
    CLO_AUTO(clo_buf_free) clo_buf on;
    clo_buf_init(&on, 256);
    assert_ok(tpm_log_secure_boot(&on, true));
    clo_buf_clear(&event_log);
    assert_ok(tpm_log_start(&event_log, sha256, 1));
    assert_ok(tpm_log_event(&event_log, sha256, 1, 7, CLO_TPM_EV_VARIABLE_CONFIG, clo_buf_span(&off), clo_buf_span(&on)));
    assert_ok(tpm_log_event(&event_log, sha256, 1, 7, CLO_TPM_EV_SEPARATOR, zeros, zeros));
    take_log();
    assert_string_equal(verdict(), "event_log_mismatch");
    assert_false(secure_boot);
    /* A register that nobody closed; a separator that states an error; the firmware's debugger. */
    clo_buf_clear(&event_log);
    assert_ok(tpm_log_start(&event_log, sha256, 1));
    assert_ok(tpm_log_event(&event_log, sha256, 1, 2, 0x80000004u, clo_span_str("a driver"), clo_span_str("a driver")));
    take_log();
    assert_string_equal(verdict(), "event_log_mismatch");
    assert_ok(tpm_log_event(&event_log, sha256, 1, 2, CLO_TPM_EV_SEPARATOR, clo_span_of("\1\0\0\0", 4), clo_span_of("\1\0\0\0", 4)));
    take_log();
    assert_string_equal(verdict(), "event_log_mismatch");
    clo_buf_clear(&event_log);
    assert_ok(tpm_log_usual(&event_log, sha256, 1, true));
    assert_ok(tpm_log_event(&event_log, sha256, 1, 7, CLO_TPM_EV_EFI_ACTION, clo_span_str("UEFI Debug Mode"), clo_span_str("UEFI Debug Mode")));
    take_log();
    assert_string_equal(verdict(), "debug");
    policy.allow_debug = true;
    assert_string_equal(verdict(), "valid");
}

/* As much as fits into 64 KiB: what is claimed of it stays bounded, and with it what the appraisal allocates (its arena has 64 KiB). */
static void log_large(void **state)
{
    (void)state;
    static const uint16_t sha256[] = {CLO_TPM_SHA256};
    static const uint32_t registers[] = {4, 7, 8, 9, 11};
    clo_buf_clear(&event_log);
    assert_ok(tpm_log_usual(&event_log, sha256, 1, true));
    for (size_t i = 0; event_log.len + 60 < 65536; i++) assert_ok(tpm_log_event(&event_log, sha256, 1, registers[i % 5], 0xd, clo_span_of(&i, 1), clo_span_of(&i, 1)));
    take_log();
    assert_string_equal(verdict(), "valid");
    assert_true(secure_boot);
}

static void log_mismatches(void **state)
{
    (void)state;
    static const uint16_t sha1[] = {CLO_TPM_SHA1}, sha256[] = {CLO_TPM_SHA256};
    CLO_AUTO(clo_buf_free) clo_buf other;
    clo_buf_init(&other, 65536);
    part("event_log", clo_span_str("no log"));
    assert_string_equal(verdict(), "malformed");
    assert_ok(tpm_log_usual(&other, sha1, 1, true)); /* no bank that counts */
    part("event_log", clo_buf_span(&other));
    assert_string_equal(verdict(), "event_log_mismatch");
    clo_buf_clear(&other);
    assert_ok(tpm_log_start(&other, sha256, 1)); /* the firmware's events left out */
    part("event_log", clo_buf_span(&other));
    assert_string_equal(verdict(), "event_log_mismatch");
    clo_buf_clear(&other);
    assert_ok(tpm_log_usual(&other, sha256, 1, true));
    assert_ok(tpm_log_event(&other, sha256, 1, 9, 0xd, clo_span_str("more"), clo_span_str("more")));
    part("event_log", clo_buf_span(&other));
    assert_string_equal(verdict(), "event_log_mismatch");
    /* Registers beyond the firmware's that the log knows nothing of may hold what the system measured later. */
    pcrs.banks[1].values[10][5] ^= 1;
    parts_of(TPM_RSASSA, usual_picks, 2);
    part("event_log", clo_buf_span(&event_log));
    assert_string_equal(verdict(), "valid");
}

/* ---- hostile bytes ---- */

static void truncations_and_flips(void **state)
{
    (void)state;
    pcrs.banks[0].known = 0; /* only values that the quote is about */
    pcrs.banks[2].known = 0x81;
    parts_of(TPM_RSASSA, usual_picks, 2);
    part("event_log", clo_buf_span(&event_log));
    assert_string_equal(verdict(), "valid");
    for (size_t p = 0; p < part_count; p++) {
        clo_span whole = parts[p].bytes;
        bool is_log = strcmp(parts[p].role, "event_log") == 0;
        size_t shorter = 0; /* logs that say nothing of registers 8, 9, 11, which are not the firmware's */
        for (size_t n = 0; n < whole.n; n++) {
            parts[p].bytes.n = n;
            /* An empty log or list of values is one that was not sent. */
            if (strcmp(verdict(), "valid") == 0 && !(n == 0 && is_log) && !(is_log && ++shorter <= 3)) fail_msg("%s cut to %zu bytes is accepted", parts[p].role, n);
        }
        parts[p].bytes = whole;
        uint8_t *bytes = malloc(whole.n);
        assert_non_null(bytes);
        memcpy(bytes, whole.p, whole.n);
        parts[p].bytes.p = bytes;
        for (size_t i = 0; i < 8 * whole.n; i++) {
            /* Not covered: the letter case of hex digits; a log's SHA-1 digests, event names and heads that no quoted register knows of. */
            if (is_log || (strcmp(parts[p].role, "pcrs_json") == 0 && i % 8 == 5)) continue;
            bytes[i / 8] = (uint8_t)(bytes[i / 8] ^ (1u << (i % 8)));
            bool accepted = strcmp(verdict(), "valid") == 0;
            bytes[i / 8] = (uint8_t)(bytes[i / 8] ^ (1u << (i % 8)));
            /* userWithAuth, noDA and their like say nothing about quotes; a zero exponent is the usual one. */
            bool idle = strcmp(parts[p].role, "ak_public_tpmt") == 0 && (i / 8 == 2 || i / 8 == 3 || (i >= 32 && i < 64));
            if (accepted && !idle) fail_msg("%s with bit %zu of byte %zu flipped is accepted", parts[p].role, i % 8, i / 8);
        }
        free(bytes);
        parts[p].bytes = whole;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),
        cmocka_unit_test_setup(schemes, fresh),
        cmocka_unit_test_setup(banks, fresh),
        cmocka_unit_test_setup(values, fresh),
        cmocka_unit_test_setup(nonces, fresh),
        cmocka_unit_test_setup(attributes, fresh),
        cmocka_unit_test_setup(areas, fresh),
        cmocka_unit_test_setup(trust, fresh),
        cmocka_unit_test_setup(revocation, fresh),
        cmocka_unit_test_setup(log_claims, fresh),
        cmocka_unit_test_setup(log_judged, fresh),
        cmocka_unit_test_setup(log_large, fresh),
        cmocka_unit_test_setup(log_mismatches, fresh),
        cmocka_unit_test_setup(truncations_and_flips, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
