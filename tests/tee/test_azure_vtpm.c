/* Proves the evidence of Azure's confidential VMs end to end on an imitation: a TPM in software holds an attestation key at 0x81000003 and, in
 * index 0x01400001, an HCL report whose claims name that key and whose SNP report a test root answers for. What the provider collects, the
 * product's verifier accepts under that root alone; every part of the binding, when changed, is refused. */
#include "swtpm_fixture.h"

#include "attest/attest.h"
#include "attest/chain_fixture.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "tee/tpm_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static swtpm machine;
static clo_attest_result result;
static clo_buf vcek, hcl;
static uint8_t nonce[64];

static void put32(clo_buf *b, uint32_t v) { assert_ok(clo_buf_put_u32le(b, v)); }

/* The claims of a paravisor that vouches for the key at 0x81000003. */
static void make_claims(clo_span modulus, clo_buf *json)
{
    assert_ok(clo_buf_put_str(json, "{\"keys\":[{\"kid\":\"HCLAkPub\",\"key_ops\":[\"sign\"],\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""));
    assert_ok(clo_base64url_encode(json, modulus));
    assert_ok(clo_buf_put_str(json, "\"}],\"vm-configuration\":{\"secure-boot\":true,\"tpm-enabled\":true},\"user-data\":\""));
    for (unsigned i = 0; i < 64; i++) assert_ok(clo_buf_put_str(json, "00"));
    assert_ok(clo_buf_put_str(json, "\"}"));
}

static void make_hcl(clo_span modulus, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf json;
    uint8_t report[1184];
    clo_buf_init(&json, 2048);
    make_claims(modulus, &json);
    report_usual(report);
    assert_ok(clo_crypto_sha256(clo_buf_span(&json), report + 0x50));
    report_sign(report);
    uint32_t data = 20 + (uint32_t)json.len;
    assert_ok(clo_buf_put_str(out, "HCLA"));
    put32(out, 1);
    put32(out, 1216 + data);
    put32(out, 2);
    for (unsigned i = 0; i < 4; i++) put32(out, 0);
    assert_ok(clo_buf_put(out, report, sizeof report));
    put32(out, data);
    put32(out, 1);
    put32(out, 2);
    put32(out, 1);
    put32(out, (uint32_t)json.len);
    assert_ok(clo_buf_put_span(out, clo_buf_span(&json)));
}

/* What a machine of Azure's has before its owner ever logs in. */
static void provision(void)
{
    clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote q = {.pcrs = {{0}}};
    assert_ok(clo_tee_tpm_open(&t, machine.connection));
    assert_ok(clo_tee_tpm_ak_keep(t, CLO_TEE_TPM_RSA, CLO_TEE_AZURE_AK));
    assert_ok(clo_tee_tpm_quote_make(t, CLO_TEE_AZURE_AK, clo_span_str("setup"), &q));
    make_hcl(clo_span_of(q.ak.p + q.ak.len - 256, 256), &hcl);
    assert_ok(clo_tee_tpm_nv_write(t, CLO_TEE_AZURE_HCL_REPORT, clo_buf_span(&hcl)));
    clo_tee_tpm_close(&t);
}

static int set_up(void **state)
{
    (void)setenv("TSS2_LOG", "all+none", 1);
    swtpm_start(&machine);
    if (!machine.there) {
        print_message("skipped: %s\n", machine.why);
        return 0;
    }
    if (chain_set_up(state) != 0) return -1;
    make_ca(&ark, "ARK-Milan", NULL, NOW - 10 * DAY, NOW + 10 * DAY);
    make_ca(&ask, "SEV-Milan", &ark, NOW - 10 * DAY, NOW + 10 * DAY);
    clo_buf_init(&vcek, 16384);
    clo_buf_init(&hcl, 4096);
    vcek_options o = usual;
    o.product = "Milan-B0";
    make_vcek(&o, &vcek);
    memset(nonce, 0x6e, sizeof nonce);
    provision();
    return 0;
}

static int tear_down(void **state)
{
    if (machine.there) (void)chain_tear_down(state);
    clo_buf_free(&vcek);
    clo_buf_free(&hcl);
    swtpm_stop(&machine);
    return 0;
}

#define NEED_TPM \
    (void)state; \
    if (!machine.there) skip()

static void policy_of(clo_attest_policy *p)
{
    clo_attest_policy_init_open(p);
    p->custom_root = true;
    p->have_report_data = true;
    memcpy(p->report_data, nonce, sizeof nonce);
}

static const char *verdict(clo_span bundle, const clo_attest_policy *p, const identity *root)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf chain;
    clo_arena_init(&a, 8 << 20);
    clo_buf_init(&chain, 32768);
    assert_ok(clo_crypto_cert_to_pem(ask.cert, &chain));
    assert_ok(clo_crypto_cert_to_pem(ark.cert, &chain));
    clo_attest_part evidence = {"bundle", bundle};
    const clo_attest_part collateral[] = {{"vcek_or_vlek", clo_buf_span(&vcek)}, {"ask_ark_chain", clo_buf_span(&chain)}, {"root", clo_buf_span(&root->der)}};
    assert_ok(clo_attest_verify(&a, "azure-vtpm", &evidence, 1, collateral, 3, p, NOW, &result));
    return result.valid ? "valid" : result.reason;
}

static void take_evidence(clo_buf *bundle)
{
    clo_buf_init(bundle, 64 * 1024);
    assert_ok(clo_tee_azure_evidence(machine.connection, nonce, bundle));
}

static void test_accepted_under_its_root_alone(void **state)
{
    NEED_TPM;
    CLO_AUTO(clo_buf_free) clo_buf bundle = {.p = NULL};
    clo_attest_policy p;
    assert_true(clo_tee_azure_present(machine.connection));
    take_evidence(&bundle);
    policy_of(&p);
    const char *said = verdict(clo_buf_span(&bundle), &p, &ark);
    for (size_t i = 0; i < result.check_count; i++) {
        if (!result.checks[i].ok) print_message("%s: expected %s, got %s\n", result.checks[i].name, result.checks[i].expected, result.checks[i].actual);
    }
    assert_string_equal(said, "valid");
    assert_string_equal(verdict(clo_buf_span(&bundle), &p, &other), "wrong_root");
    p.custom_root = false;
    assert_string_equal(verdict(clo_buf_span(&bundle), &p, &ark), "wrong_root");
    policy_of(&p);
    p.report_data[0] ^= 1;
    assert_string_not_equal(verdict(clo_buf_span(&bundle), &p, &ark), "valid");
}

static const char *changed(const clo_attest_bundle *b, const char *role, size_t at, const clo_attest_policy *p)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    CLO_AUTO(clo_buf_free) clo_buf copy;
    clo_attest_bundle other_bundle = *b;
    clo_buf_init(&bytes, 64 * 1024);
    clo_buf_init(&copy, 16 * 1024);
    for (size_t i = 0; i < b->part_count; i++) {
        if (strcmp(b->parts[i].role, role) != 0) continue;
        assert_true(at < b->parts[i].bytes.n);
        assert_ok(clo_buf_put_span(&copy, b->parts[i].bytes));
        copy.p[at] ^= 1;
        other_bundle.parts[i].bytes = clo_buf_span(&copy);
    }
    assert_int_not_equal(copy.len, 0);
    assert_ok(clo_attest_bundle_encode(&other_bundle, &bytes));
    return verdict(clo_buf_span(&bytes), p, &ark);
}

static void test_every_part_binds(void **state)
{
    NEED_TPM;
    CLO_AUTO(clo_buf_free) clo_buf bundle = {.p = NULL};
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_attest_bundle b;
    clo_attest_policy p;
    clo_arena_init(&a, 1 << 20);
    take_evidence(&bundle);
    policy_of(&p);
    assert_ok(clo_attest_bundle_decode(&a, clo_buf_span(&bundle), &b));
    assert_string_equal(b.tee, "azure-vtpm");
    assert_int_equal(b.part_count, 4);
    assert_string_equal(changed(&b, "hcl_report", 1236 + 70, &p), "report_data_mismatch"); /* the key in the claims */
    assert_string_not_equal(changed(&b, "hcl_report", 32 + 0x90, &p), "valid");           /* the measurement */
    assert_string_not_equal(changed(&b, "tpm_quote_message", 60, &p), "valid");
    assert_string_not_equal(changed(&b, "tpm_quote_signature", 100, &p), "valid");
    assert_string_equal(changed(&b, "pcrs_sha256", 5, &p), "pcr_digest_mismatch");
    /* A root that the evidence brings along is refused unread. */
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 64 * 1024);
    b.parts[b.part_count++] = (clo_attest_part){"root", clo_buf_span(&ark.der)};
    assert_ok(clo_attest_bundle_encode(&b, &bytes));
    assert_string_equal(verdict(clo_buf_span(&bytes), &p, &ark), "malformed");
}

/* The paravisor finds the caller's bytes where it looks for them, also the second time. */
static void test_user_data(void **state)
{
    NEED_TPM;
    uint8_t data[64];
    for (uint8_t round = 1; round < 3; round++) {
        clo_tee_tpm *t = NULL;
        CLO_AUTO(clo_buf_free) clo_buf bundle;
        CLO_AUTO(clo_buf_free) clo_buf held;
        clo_buf_init(&bundle, 64 * 1024);
        clo_buf_init(&held, 64);
        memset(data, round, sizeof data);
        assert_ok(clo_tee_azure_evidence(machine.connection, data, &bundle));
        assert_ok(clo_tee_tpm_open(&t, machine.connection));
        assert_ok(clo_tee_tpm_nv_read(t, CLO_TEE_AZURE_USER_DATA, &held));
        clo_tee_tpm_close(&t);
        assert_true(clo_span_equal(clo_buf_span(&held), clo_span_of(data, sizeof data)));
    }
}

static void test_not_azure(void **state)
{
    NEED_TPM;
    /* Something else in the index is no HCL report. */
    swtpm plain;
    clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_buf_free) clo_buf out;
    static const uint8_t junk[1400] = {'H', 'C', 'L', 'B'};
    clo_buf_init(&out, 1024);
    swtpm_start(&plain);
    if (!plain.there) skip();
    assert_false(clo_tee_azure_present(plain.connection));
    assert_ok(clo_tee_tpm_open(&t, plain.connection));
    assert_ok(clo_tee_tpm_nv_write(t, CLO_TEE_AZURE_HCL_REPORT, clo_span_of(junk, sizeof junk)));
    clo_tee_tpm_close(&t);
    assert_false(clo_tee_azure_present(plain.connection));
    assert_code(clo_tee_azure_evidence(plain.connection, nonce, &out), CLO_E_MALFORMED);
    swtpm_stop(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted_under_its_root_alone),
        cmocka_unit_test(test_every_part_binds),
        cmocka_unit_test(test_user_data),
        cmocka_unit_test(test_not_azure),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
