/* Proves verdict, reason class and parsed fields on every published SEV-SNP case, through the vector runner's own area; and that no
 * flipped byte of a real report and no shorter one is accepted. Skipped where the shared vectors are absent. */
#include "cmocka_all.h"

#include "../../tools/vectors/vectors.h"
#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder(char path[512])
{
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, 512, "%s/vectors/attestation/snp", shared != NULL ? shared : "../shared");
    return access(path, R_OK) == 0 ? path : NULL;
}

static void test_published_cases(void **state)
{
    (void)state;
    char path[512];
    if (folder(path) == NULL) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.skipped, 0);
    assert_true(r.passed >= 36);
}

static clo_attest_result result;

/* The real Genoa report of version 5 with its certificates, at a time within their windows. */
static bool load(clo_arena *a, clo_attest_part parts[3])
{
    char path[512];
    if (folder(path) == NULL) return false;
    static const char *const names[] = {"oak-genoa-v5.report.bin", "oak-genoa-v5.ek.der", "ask_ark_genoa.pem"};
    static const char *const roles[] = {"report", "vcek_or_vlek", "ask_ark_chain"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(parts[i].role, sizeof parts[i].role, "%s", roles[i]);
        assert_ok(clo_vectors_read(a, path, names[i], &parts[i].bytes));
    }
    return true;
}

static const char *verdict(const char *type, const clo_attest_part *parts, const clo_attest_policy *p, const char *at)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    int64_t now = 0;
    assert_ok(clo_time_parse(&now, clo_span_str(at)));
    clo_err e = clo_attest_verify(&a, type, parts, 1, parts + 1, 2, p, now, &result);
    if (clo_failed(e)) return clo_err_name(e);
    return result.valid ? "valid" : result.reason;
}

static void test_boundaries_of_the_window(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_part parts[3];
    clo_attest_policy p;
    if (!load(&a, parts)) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_attest_policy_init_open(&p);
    assert_string_equal(verdict("snp", parts, &p, "2025-08-07T17:21:40Z"), "not_yet_valid");
    assert_string_equal(verdict("snp", parts, &p, "2025-08-07T17:21:41Z"), "valid");
    assert_string_equal(verdict("snp", parts, &p, "2032-08-07T17:21:41Z"), "valid");
    char until[21];
    clo_time_format(until, result.valid_until);
    assert_string_equal(until, "2032-08-07T17:21:41Z");
    assert_string_equal(verdict("snp", parts, &p, "2032-08-07T17:21:42Z"), "expired");
    assert_string_equal(verdict("auto", parts, &p, "2026-01-01T00:00:00Z"), "valid");
    /* Real evidence is no simulated evidence, whatever is pinned. */
    p.allow_simulated = true;
    p.root_count = 1;
    assert_ok(clo_hex_decode(p.roots[0], 32, clo_span_str("4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1")));
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "valid");
    assert_string_equal(verdict("sim", parts, &p, "2026-01-01T00:00:00Z"), "bad_chain");
    /* A pin narrows AMD's roots. */
    p.roots[0][0] ^= 1;
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "wrong_root");
    /* The strict policy asks for the revocation list. */
    clo_attest_policy_init(&p);
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "collateral_missing");
    p.require_crl = false;
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "valid");
}

/* A floor for each product: the report's own counts, and a product without a floor is refused. Genoa: bl 10, tee 0, snp 25, ucode 84. */
static void test_product_floors(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_part parts[3];
    clo_attest_policy p;
    if (!load(&a, parts)) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_attest_policy_init_open(&p);
    p.have_product_tcb = true;
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "tcb_too_low");
    p.product_tcb[CLO_ATTEST_MILAN] = (clo_attest_tcb){.have = true};
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "tcb_too_low");
    p.product_tcb[CLO_ATTEST_GENOA] = (clo_attest_tcb){.have = true, .bl = 10, .snp = 25, .ucode = 84};
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "valid");
    assert_string_equal(result.tcb_status, "UpToDate");
    p.product_tcb[CLO_ATTEST_GENOA].snp = 26;
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "tcb_too_low");
    assert_string_equal(result.tcb_status, "OutOfDate");
    p.product_tcb[CLO_ATTEST_GENOA].snp = 25;
    p.min_reported_tcb = (clo_attest_tcb){.have = true, .bl = 11};
    assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "tcb_too_low");
}

static void test_changed_real_reports(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_part parts[3];
    clo_attest_policy p;
    if (!load(&a, parts)) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_attest_policy_init_open(&p);
    uint8_t report[1184];
    memcpy(report, parts[0].bytes.p, sizeof report);
    parts[0].bytes.p = report;
    for (size_t i = 0; i < sizeof report; i += 3) {
        report[i] ^= (uint8_t)(0x80u >> (i % 8));
        p.strict_reserved = true;
        assert_string_not_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "valid");
        report[i] ^= (uint8_t)(0x80u >> (i % 8));
    }
    p.strict_reserved = false;
    for (size_t n = 0; n < sizeof report; n += 5) {
        parts[0].bytes.n = n;
        assert_string_equal(verdict("snp", parts, &p, "2026-01-01T00:00:00Z"), "malformed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_cases),
        cmocka_unit_test(test_boundaries_of_the_window),
        cmocka_unit_test(test_product_floors),
        cmocka_unit_test(test_changed_real_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
