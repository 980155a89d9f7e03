/* Proves the appraisal of NVIDIA evidence with a test root: the valid case, the reason class of every check's failure, revocation by OCSP answers and
 * by lists, manifests, and that no shorter and no changed report is accepted. The published cases too, where they are beside the project. */
#include "nvidia_fixture.h"

#include "../../tools/vectors/vectors.h"
#include "attest/nvidia_int.h"

#include <stdlib.h>
#include <unistd.h>

static clo_attest_result result;
static clo_buf report, chain, driver_rim, vbios_rim, ocsp[4], crl, request_nonce;

static const gpu_report_options usual_report;
static const gpu_rim_options usual_driver, usual_vbios = {.vbios = true};

static void make_usual(void)
{
    gpu_report_make(&usual_report, &report);
    gpu_chain(&chain);
    gpu_rim_make(&usual_driver, &driver_rim);
    gpu_rim_make(&usual_vbios, &vbios_rim);
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_device, .issuer = &gpu_ca}, &ocsp[0]);
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_ca, .issuer = &gpu_root, .signer = &gpu_responder, .sha256 = true}, &ocsp[1]);
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_rim_signer, .issuer = &gpu_rim_root}, &ocsp[2]);
    clo_buf_clear(&ocsp[3]);
    clo_buf_clear(&crl);
    clo_buf_clear(&request_nonce);
}

static void policy_usual(clo_attest_policy *p)
{
    clo_attest_policy_init(p);
    p->custom_root = true;
    p->expected_nonce = clo_span_of(gpu_nonce, 32);
}

static void part(clo_attest_part *parts, size_t *n, const char *role, const clo_buf *bytes)
{
    if (bytes->len == 0) return;
    (void)snprintf(parts[*n].role, sizeof parts[*n].role, "%s", role);
    parts[(*n)++].bytes = clo_buf_span(bytes);
}

static const char *verdict_at(const clo_attest_policy *p, int64_t now)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_part evidence[1] = {{.role = "report", .bytes = clo_buf_span(&report)}}, more[16];
    size_t n = 0;
    part(more, &n, "cert_chain", &chain);
    part(more, &n, "root", &gpu_root.der);
    part(more, &n, "rim_root", &gpu_rim_root.der);
    part(more, &n, "driver_rim", &driver_rim);
    part(more, &n, "vbios_rim", &vbios_rim);
    part(more, &n, "ocsp", &ocsp[0]);
    part(more, &n, "ocsp_2", &ocsp[1]);
    part(more, &n, "ocsp_3", &ocsp[2]);
    part(more, &n, "ocsp_4", &ocsp[3]);
    part(more, &n, "crl", &crl);
    part(more, &n, "ocsp_nonce", &request_nonce);
    assert_ok(clo_attest_verify(&a, "nvidia-gpu", evidence, 1, more, n, p, now, &result));
    return result.valid ? "valid" : result.reason;
}

static const char *verdict(const clo_attest_policy *p) { return verdict_at(p, GPU_NOW); }

static void expect(const clo_attest_policy *p, const char *reason)
{
    const char *got = verdict(p);
    if (strcmp(got, reason) != 0) fail_msg("wanted %s, got %s (%s)", reason, got, result.detail);
}

static void test_valid(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    expect(&p, "valid");
    assert_int_equal(result.valid_until, GPU_NOW + GPU_DAY);
    assert_true(result.check_count >= 20);
    gpu_report_make(&(gpu_report_options){.no_fwid = true}, &report);
    expect(&p, "valid");
    /* Without a custom root the vendor's anchors count. */
    p.custom_root = false;
    expect(&p, "wrong_root");
}

static void test_report(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    static const struct {
        size_t at;
        uint8_t value;
        const char *reason;
    } changes[] = {
        {0, 0x12, "malformed"},  {1, 0xe1, "malformed"},  {2, 0, "malformed"},     {3, 1, "malformed"},       {36, 8, "malformed"},
        {37, 0x10, "malformed"}, {38, 0x61, "malformed"}, {41, 63, "malformed"},   {41, 65, "malformed"},     {42, 0xff, "malformed"},
        {44, 1, "malformed"},    {45, 0, "malformed"},    {46, 2, "malformed"},    {47, 0xff, "malformed"},   {50, 0xff, "malformed"},
        {60, 0x77, "bad_signature"}, {41 + 4 + 64 * 55 + 5, 9, "bad_signature"}, {4, 0xee, "bad_signature"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t before = report.p[changes[i].at];
        report.p[changes[i].at] = changes[i].value;
        expect(&p, changes[i].reason);
        report.p[changes[i].at] = before;
    }
    gpu_report_make(&(gpu_report_options){.twice = 7}, &report);
    expect(&p, "malformed");
    gpu_report_make(&(gpu_report_options){.other_fwid = true}, &report);
    expect(&p, "key_binding");
    gpu_report_make(&usual_report, &report);
    assert_ok(clo_buf_put_u8(&report, 0));
    expect(&p, "malformed");
    p.allow_trailing_bytes = true;
    expect(&p, "valid");
    clo_buf_clear(&report);
    expect(&p, "malformed");
}

static void test_policy(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    uint8_t other[32] = {1};
    p.expected_nonce = clo_span_of(other, 32);
    expect(&p, "nonce_mismatch");
    p.expected_nonce = clo_span_of(gpu_nonce, 31);
    expect(&p, "nonce_mismatch");
    policy_usual(&p);
    p.have_report_data = true;
    expect(&p, "report_data_mismatch");
    policy_usual(&p);
    p.measurement_count = 1;
    expect(&p, "measurement_mismatch");
    policy_usual(&p);
    p.root_count = 1;
    memset(p.roots[0], 7, 32);
    expect(&p, "wrong_root");
}

static void test_chain_of_device(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    int64_t from = GPU_NOW - 10 * GPU_DAY, to = GPU_NOW + 10 * GPU_DAY;
    /* Leaf missing, intermediate missing, root alone, nothing, rubbish. */
    gpu_identity *const sets[][4] = {{&gpu_device, &gpu_ca, &gpu_root, NULL}, {&gpu_leaf, &gpu_ca, &gpu_root, NULL}, {&gpu_root, NULL, NULL, NULL},
                                     {&gpu_leaf, &gpu_device, &gpu_root, NULL}, {&gpu_leaf, &gpu_ca, &gpu_device, &gpu_root}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        clo_buf_clear(&chain);
        for (size_t k = 0; k < 4 && sets[i][k] != NULL; k++) assert_ok(clo_crypto_cert_to_pem(sets[i][k]->cert, &chain));
        expect(&p, "bad_chain");
    }
    clo_buf_clear(&chain);
    expect(&p, "collateral_missing");
    assert_ok(clo_buf_put_str(&chain, "no certificates"));
    expect(&p, "bad_chain");
    gpu_certify(&gpu_leaf, "GH100 A01 GSP FMC LF", &gpu_device, 'l', from, GPU_NOW - 1);
    gpu_chain(&chain);
    expect(&p, "expired");
    gpu_certify(&gpu_leaf, "GH100 A01 GSP FMC LF", &gpu_device, 'l', GPU_NOW + 1, to);
    gpu_chain(&chain);
    expect(&p, "not_yet_valid");
    gpu_certify(&gpu_leaf, "GH100 A01 something else", &gpu_device, 'l', from, to);
    gpu_chain(&chain);
    expect(&p, "bad_chain");
    gpu_certify(&gpu_leaf, "XY100 A01 GSP FMC LF", &gpu_device, 'l', from, to);
    gpu_chain(&chain);
    expect(&p, "unsupported");
    gpu_certify(&gpu_leaf, "GH100 A01 GSP FMC LF", &gpu_device, 's', from, to);
    gpu_chain(&chain);
    expect(&p, "key_binding"); /* names a firmware that its certificate does not */
    gpu_certify(&gpu_leaf, "GH100 A01 GSP FMC LF", &gpu_device, 'l', from, to);
    gpu_chain(&chain);
    expect(&p, "valid");
}

static void test_revocation(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    static const struct {
        gpu_ocsp_options o;
        const char *reason, *with_hold;
    } cases[] = {
        {{.revoked = true, .reason = 1}, "revoked", "revoked"},
        {{.revoked = true, .reason = 6}, "revoked", "valid"},
        {{.revoked = true, .reason = -1}, "revoked", "revoked"},
        {{.unknown = true}, "collateral_missing", "collateral_missing"},
        {{.twice = true}, "malformed", "malformed"},
        {{.from = GPU_NOW - 3, .to = GPU_NOW - 1}, "collateral_expired", "collateral_expired"},
        {{.from = GPU_NOW + 1}, "collateral_not_yet_valid", "collateral_not_yet_valid"},
        {{.no_next = true}, "collateral_expired", "collateral_expired"},
        {{.signer = &gpu_root}, "bad_collateral_signature", "bad_collateral_signature"},
        {{.signer = &gpu_responder}, "bad_collateral_signature", "bad_collateral_signature"}, /* another issuer's responder */
        {{.with_nonce = true}, "valid", "valid"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gpu_ocsp_options o = cases[i].o;
        o.subject = &gpu_device;
        o.issuer = &gpu_ca;
        gpu_ocsp_make(&o, &ocsp[0]);
        p.allow_certificate_hold = false;
        expect(&p, cases[i].reason);
        p.allow_certificate_hold = true;
        expect(&p, cases[i].with_hold);
    }
    p.allow_certificate_hold = false;
    /* Grace is for windows, not for a certificate of the responder. */
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_device, .issuer = &gpu_ca, .from = GPU_NOW - 9, .to = GPU_NOW - 5}, &ocsp[0]);
    p.collateral_grace_s = 4;
    expect(&p, "collateral_expired");
    p.collateral_grace_s = 5;
    expect(&p, "valid");
    p.collateral_grace_s = 0;
    /* A nonce counts where the caller says which. */
    make_usual();
    clo_buf_clear(&driver_rim);
    clo_buf_clear(&vbios_rim);
    p.require_crl = false;
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_device, .issuer = &gpu_ca, .with_nonce = true}, &ocsp[0]);
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_ca, .issuer = &gpu_root, .with_nonce = true}, &ocsp[1]);
    assert_ok(clo_buf_put(&request_nonce, "0123456789abcde", 16));
    expect(&p, "valid");
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_ca, .issuer = &gpu_root}, &ocsp[1]);
    expect(&p, "nonce_mismatch");
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_ca, .issuer = &gpu_root, .with_nonce = true}, &ocsp[1]);
    request_nonce.p[3] ^= 1;
    expect(&p, "nonce_mismatch");
    policy_usual(&p);
    /* A second answer that says revoked counts, whatever the first says. */
    make_usual();
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_device, .issuer = &gpu_ca, .revoked = true}, &ocsp[3]);
    expect(&p, "revoked");
    /* Each certificate needs its answer: the architecture's CA, the manifest's signer. */
    for (size_t i = 0; i < 3; i++) {
        make_usual();
        clo_buf_clear(&ocsp[i]);
        expect(&p, "collateral_missing");
    }
    p.skip_revocation = true;
    expect(&p, "valid");
    p.skip_revocation = false;
    make_usual();
    for (size_t n = 0; n < ocsp[0].len; n += 7) {
        clo_buf whole = ocsp[0];
        ocsp[0].len = n;
        const char *got = verdict(&p);
        assert_true(strcmp(got, "malformed") == 0 || strcmp(got, "collateral_missing") == 0);
        ocsp[0] = whole;
    }
}

/* Nothing before the responder's certificate, which the signature does not cover, can be changed or cut. */
static void test_ocsp_bits(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    clo_buf_clear(&driver_rim);
    clo_buf_clear(&vbios_rim);
    p.require_crl = false;
    expect(&p, "valid");
    const uint8_t *cert = memmem(ocsp[0].p, ocsp[0].len, gpu_ca.der.p, gpu_ca.der.len);
    assert_non_null(cert);
    size_t covered = (size_t)(cert - ocsp[0].p);
    for (size_t i = 0; i < covered; i++) {
        uint8_t bit = (uint8_t)(1u << (i * 3 % 8));
        ocsp[0].p[i] ^= bit;
        if (strcmp(verdict(&p), "valid") == 0) fail_msg("a flipped bit of byte %zu is accepted", i);
        ocsp[0].p[i] ^= bit;
    }
    clo_buf whole = ocsp[0];
    for (size_t n = 1; n < whole.len; n += 3) {
        ocsp[0].len = n;
        if (strcmp(verdict(&p), "valid") == 0) fail_msg("%zu bytes are accepted", n);
    }
    ocsp[0] = whole;
}

static void test_responder(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    int64_t from = GPU_NOW - 10 * GPU_DAY, to = GPU_NOW + 10 * GPU_DAY;
    gpu_certify(&gpu_responder, "Test responder", &gpu_root, 'o', from, GPU_NOW - 1);
    make_usual();
    expect(&p, "collateral_expired");
    gpu_certify(&gpu_responder, "Test responder", &gpu_root, 's', from, to); /* without the usage */
    make_usual();
    expect(&p, "bad_collateral_signature");
    gpu_certify(&gpu_responder, "Test responder", &gpu_other_root, 'o', from, to);
    make_usual();
    expect(&p, "bad_collateral_signature");
    gpu_certify(&gpu_responder, "Test responder", &gpu_root, 'o', from, to);
    make_usual();
    expect(&p, "valid");
}

static void crl_of(const gpu_identity *issuer, const gpu_identity *listed, int64_t from, int64_t to)
{
    const clo_crypto_cert *list[1] = {listed == NULL ? NULL : listed->cert};
    clo_buf_clear(&crl);
    assert_ok(clo_crypto_crl_make(issuer->cert, clo_buf_span(&issuer->pem), from, to, list, listed == NULL ? 0 : 1, &crl));
}

static void test_lists(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    clo_buf_clear(&ocsp[1]); /* about the architecture's CA: by the root's list */
    crl_of(&gpu_root, NULL, GPU_NOW - 5, GPU_NOW + 5);
    expect(&p, "valid");
    assert_int_equal(result.valid_until, GPU_NOW + 5);
    crl_of(&gpu_root, &gpu_ca, GPU_NOW - 5, GPU_NOW + 5);
    expect(&p, "revoked");
    crl_of(&gpu_root, NULL, GPU_NOW - 5, GPU_NOW - 1);
    expect(&p, "collateral_expired");
    crl_of(&gpu_root, NULL, GPU_NOW + 1, GPU_NOW + 5);
    expect(&p, "collateral_not_yet_valid");
    crl_of(&gpu_other_root, NULL, GPU_NOW - 5, GPU_NOW + 5);
    expect(&p, "bad_collateral_signature");
    /* The root's list against the responder's good answer. */
    make_usual();
    crl_of(&gpu_root, &gpu_ca, GPU_NOW - 5, GPU_NOW + 5);
    expect(&p, "revoked");
}

static void test_manifests(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    static const struct {
        gpu_rim_options driver;
        const char *reason;
    } cases[] = {
        {{.version = "550.90.08"}, "measurement_mismatch"}, {{.product = "GB100"}, "measurement_mismatch"},
        {{.wrong = 9}, "measurement_mismatch"},             {{.vbios = true, .version = "550.90.07"}, "measurement_mismatch"}, /* both have the same indexes */
        {{.other_signer = true}, "bad_collateral_signature"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_usual();
        gpu_rim_make(&cases[i].driver, &driver_rim);
        expect(&p, cases[i].reason);
    }
    make_usual();
    gpu_report_make(&(gpu_report_options){.changed_block = 40}, &report);
    expect(&p, "measurement_mismatch");
    /* Measurement 36 (35 from 0) counts only where the decoder is on. */
    gpu_report_make(&(gpu_report_options){.changed_block = 36}, &report);
    expect(&p, "valid");
    gpu_report_make(&(gpu_report_options){.changed_block = 36, .nvdec_enabled = true}, &report);
    expect(&p, "measurement_mismatch");
    /* Strict: something must say what the firmware should be. */
    make_usual();
    clo_buf_clear(&driver_rim);
    expect(&p, "valid");
    clo_buf_clear(&vbios_rim);
    expect(&p, "collateral_missing");
    p.require_crl = false;
    expect(&p, "valid");
}

static void test_signer_of_manifest(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    int64_t from = GPU_NOW - 10 * GPU_DAY, to = GPU_NOW + 10 * GPU_DAY;
    gpu_certify(&gpu_rim_signer, "Test RIM signer", &gpu_rim_root, 's', from, GPU_NOW - 1);
    make_usual();
    expect(&p, "collateral_expired");
    gpu_certify(&gpu_rim_signer, "Test RIM signer", &gpu_other_root, 's', from, to);
    make_usual();
    expect(&p, "bad_chain");
    gpu_certify(&gpu_rim_signer, "Test RIM signer", &gpu_rim_root, 'r', from, to);
    make_usual();
    expect(&p, "bad_chain");
    gpu_certify(&gpu_rim_signer, "Test RIM signer", &gpu_rim_root, 's', from, to);
    make_usual();
    gpu_ocsp_make(&(gpu_ocsp_options){.subject = &gpu_rim_signer, .issuer = &gpu_rim_root, .revoked = true}, &ocsp[2]);
    expect(&p, "revoked");
    make_usual();
    expect(&p, "valid");
}

static void test_every_length_and_bit(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_usual(&p);
    make_usual();
    clo_buf_clear(&driver_rim);
    clo_buf_clear(&vbios_rim);
    p.require_crl = false;
    p.skip_revocation = true;
    /* The shortest chain that stands, for speed. */
    gpu_certify(&gpu_leaf, "GH100 A01 GSP FMC LF", &gpu_root, 'l', GPU_NOW - GPU_DAY, GPU_NOW + GPU_DAY);
    clo_buf_clear(&chain);
    assert_ok(clo_crypto_cert_to_pem(gpu_leaf.cert, &chain));
    assert_ok(clo_crypto_cert_to_pem(gpu_root.cert, &chain));
    expect(&p, "valid");
    size_t whole = report.len;
    for (size_t n = 0; n < whole; n++) {
        static nvidia_report parsed;
        assert_true(clo_failed(clo_attest_nvidia_parse(clo_span_of(report.p, n), &parsed)));
    }
    for (size_t i = 0; i < whole; i++) {
        uint8_t bit = (uint8_t)(1u << (i * 5 % 8));
        report.p[i] ^= bit;
        if (strcmp(verdict(&p), "valid") == 0) fail_msg("a flipped bit of byte %zu is accepted", i);
        report.p[i] ^= bit;
    }
    expect(&p, "valid");
    gpu_certify(&gpu_leaf, "GH100 A01 GSP FMC LF", &gpu_device, 'l', GPU_NOW - 10 * GPU_DAY, GPU_NOW + 10 * GPU_DAY);
}

/* The largest exchange that is read, and 64 KiB of rubbish: little memory. */
static void test_bounds(void **state)
{
    (void)state;
    enum { BLOCKS = 96, SIZE = 64, FIELDS = 32, FIELD = 60 };
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 1 << 20);
    uint8_t zero[128] = {0};
    uint32_t length = BLOCKS * (SIZE + 7);
    assert_ok(clo_buf_put(&b, "\x11\xe0\x01\xff", 4));
    assert_ok(clo_buf_put(&b, zero, 33));
    assert_ok(clo_buf_put(&b, "\x11\x60\0\0", 4));
    assert_ok(clo_buf_put(&b, (uint8_t[]){BLOCKS, (uint8_t)length, (uint8_t)(length >> 8), 0}, 4));
    for (unsigned i = 1; i <= BLOCKS; i++) {
        assert_ok(clo_buf_put(&b, (uint8_t[]){(uint8_t)i, 1, SIZE + 3, 0, 1, SIZE, 0}, 7));
        assert_ok(clo_buf_put(&b, zero, SIZE));
    }
    assert_ok(clo_buf_put(&b, zero, 32));
    length = FIELDS * (FIELD + 4);
    assert_ok(clo_buf_put(&b, (uint8_t[]){(uint8_t)length, (uint8_t)(length >> 8)}, 2));
    for (unsigned i = 0; i < FIELDS; i++) {
        assert_ok(clo_buf_put(&b, (uint8_t[]){(uint8_t)(100 + i), 0, FIELD, 0}, 4));
        assert_ok(clo_buf_put(&b, zero, FIELD));
    }
    assert_ok(clo_buf_put(&b, zero, 96));
    clo_attest_policy p;
    clo_attest_policy_init_open(&p);
    for (int big = 0; big < 2; big++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        p.allow_trailing_bytes = big != 0;
        for (size_t i = 0; big != 0 && b.len < 65536; i++) assert_ok(clo_buf_put_u8(&b, (uint8_t)i));
        clo_attest_part evidence[1] = {{.role = "report", .bytes = clo_buf_span(&b)}};
        assert_ok(clo_attest_verify(&a, "nvidia-gpu", evidence, 1, NULL, 0, &p, GPU_NOW, &result));
        assert_string_equal(result.reason, "collateral_missing");
        assert_int_equal(clo_wire_get(clo_wire_get(result.claims, "spdm"), "n_blocks")->integer, BLOCKS);
        if (a.used > 65536) fail_msg("%zu bytes", a.used);
    }
}

static void test_published_cases(void **state)
{
    (void)state;
    char path[512];
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, sizeof path, "%s/vectors/attestation/nvidia-gpu", shared != NULL ? shared : "../shared");
    if (access(path, R_OK) != 0) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.skipped, 0);
    assert_true(r.passed >= 22);
}

static int set_up(void **state)
{
    clo_buf *const buffers[] = {&report, &chain, &driver_rim, &vbios_rim, &ocsp[0], &ocsp[1], &ocsp[2], &ocsp[3], &crl, &request_nonce};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) clo_buf_init(buffers[i], 1 << 20);
    return gpu_set_up(state);
}

static int tear_down(void **state)
{
    clo_buf *const buffers[] = {&report, &chain, &driver_rim, &vbios_rim, &ocsp[0], &ocsp[1], &ocsp[2], &ocsp[3], &crl, &request_nonce};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) clo_buf_free(buffers[i]);
    return gpu_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),      cmocka_unit_test(test_report),    cmocka_unit_test(test_policy),
        cmocka_unit_test(test_chain_of_device), cmocka_unit_test(test_revocation), cmocka_unit_test(test_responder), cmocka_unit_test(test_ocsp_bits),
        cmocka_unit_test(test_lists),      cmocka_unit_test(test_manifests), cmocka_unit_test(test_signer_of_manifest),
        cmocka_unit_test(test_every_length_and_bit), cmocka_unit_test(test_bounds), cmocka_unit_test(test_published_cases),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
