/* Proves that nothing but listed bytes of a quote may change and no shorter one passes; that documents of hostile shapes behind a good
 * signature are refused and never wrongly read; and that memory and time are bounded whatever lengths a quote claims. */
#include "dcap_fixture.h"

#include <stdio.h>
#include <time.h>

/* Every shorter quote and every flipped byte, in four kinds: never valid, but where the bytes are listed as unsigned; and never slow. */
static void test_flips_and_cuts(void **state)
{
    (void)state;
    static const struct {
        uint16_t version;
        dcap_body_type body;
    } kinds[] = {{3, DCAP_BODY_SGX}, {4, DCAP_BODY_TD10}, {5, DCAP_BODY_TD15}};
    clo_attest_policy p;
    dcap_policy_usual(&p);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        CLO_AUTO(dcap_case_free) dcap_case t;
        dcap_plan plan;
        dcap_plan_usual(&plan, kinds[i].version, kinds[i].body);
        plan.zero_ended = false;
        dcap_case_make(&t, &plan, NULL);
        size_t size = t.quote.len, step = 0;
        for (size_t n = 0; n < size; n += n < 1100 ? 1 : 7) {
            t.parts[0].bytes = clo_span_of(t.quote.p, n);
            if (strcmp(dcap_verdict_of(&t, NULL, &p, DCAP_NOW), "valid") == 0) fail_msg("cut at %zu is valid", n);
        }
        dcap_case_parts(&t);
        for (size_t at = 0; at < size; at += at < 1300 ? 1 : 5) {
            uint8_t bit = (uint8_t)(1u << (step++ % 8));
            t.quote.p[at] ^= bit;
            clock_t begin = clock();
            const char *got = dcap_verdict_of(&t, NULL, &p, DCAP_NOW);
            double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
            /* White space of the PEM text is not signed. */
            bool blank = at > 1200 && (t.quote.p[at] == '\n' || (t.quote.p[at] ^ bit) == '\n');
            if (strcmp(got, "valid") == 0 && !blank) fail_msg("byte %zu with bit 0x%02x flipped is valid", at, bit);
            if (seconds > 0.2) fail_msg("byte %zu took %.3f s", at, seconds);
            t.quote.p[at] ^= bit;
        }
        assert_string_equal(dcap_verdict_of(&t, NULL, &p, DCAP_NOW), "valid");
    }
}

/* Documents of hostile shapes behind a good signature: refused, never wrongly read. */
static void test_hostile_documents(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(clo_buf_free) clo_buf deep;
    CLO_AUTO(clo_buf_free) clo_buf many;
    clo_buf_init(&deep, 65536);
    clo_buf_init(&many, 65536);
    assert_ok(clo_buf_put_str(&deep, "\"x\":"));
    for (int i = 0; i < 2000; i++) assert_ok(clo_buf_put_u8(&deep, '['));
    for (int i = 0; i < 2000; i++) assert_ok(clo_buf_put_u8(&deep, ']'));
    assert_ok(clo_buf_put_u8(&deep, ','));
    assert_ok(clo_buf_put_u8(&many, '['));
    for (int i = 0; i < 65; i++)
        assert_ok(clo_buf_printf(&many, "%s{\"tcb\":{\"isvsvn\":%d},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}", i == 0 ? "" : ",", 90 - i));
    assert_ok(clo_buf_put_u8(&many, ']'));
    const char *depth = NULL, *count = NULL;
    assert_ok(clo_buf_cstr(&deep, &depth));
    assert_ok(clo_buf_cstr(&many, &count));
    const dcap_documents_plan plans[] = {{.extra = depth},
                                         {.qe_levels = count},
                                         {.extra = "\"x\":[1,],"},
                                         {.extra = "\"x\":{\"a\" 1},"},
                                         {.extra = "\"x\":\"\\u0000\",\"issueDate\":7,"},
                                         {.fmspc = "90C06f00000"},
                                         {.fmspc = "90C06f0000zz"},
                                         {.levels = "{}"},
                                         {.levels = "[[]]"},
                                         {.levels = "[{\"tcb\":{\"sgxtcbcomponents\":[{\"svn\":5}],\"pcesvn\":11},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]"}};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        CLO_AUTO(dcap_case_free) dcap_case t;
        dcap_plan plan;
        dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
        dcap_case_make(&t, &plan, &plans[i]);
        const char *got = dcap_verdict_of(&t, NULL, &p, DCAP_NOW);
        bool stepped_over = i == 2 || i == 3; /* unknown members need only nest */
        if (strcmp(got, stepped_over ? "valid" : "malformed") != 0) fail_msg("document %zu: %s (%s)", i, got, dcap_result.detail);
    }
}

/* Memory of one appraisal: everything that is handed back fits into 64 KiB. */
static void test_memory(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    CLO_AUTO(clo_arena_free) clo_arena a;
    dcap_plan plan;
    dcap_plan_usual(&plan, 5, DCAP_BODY_TD15);
    dcap_case_make(&t, &plan, NULL);
    clo_arena_init(&a, 64 << 10);
    assert_ok(clo_attest_verify(&a, "tdx", t.parts, 1, t.parts + 1, t.count - 1, &p, DCAP_NOW, &dcap_result));
    assert_true(dcap_result.valid);
    CLO_AUTO(clo_arena_free) clo_arena small;
    clo_arena_init(&small, 1024);
    assert_code(clo_attest_verify(&small, "tdx", t.parts, 1, t.parts + 1, t.count - 1, &p, DCAP_NOW, &dcap_result), CLO_E_TOO_LARGE);
}

static void put_u32(uint8_t *at, size_t v)
{
    for (size_t i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (8 * i));
}

/* 64 KiB of quote: lengths that reach over everything, certification data full of certificates or of text, and much behind the end. */
static void test_large(void **state)
{
    (void)state;
    enum { SIZE = 64 << 10, SIGNATURE = 48 + 384, CERT = SIGNATURE + 4 + 128 + 384 + 64 + 2 + 32 };
    clo_attest_policy p;
    dcap_policy_usual(&p);
    p.allow_trailing_bytes = true;
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
    dcap_case_make(&t, &plan, NULL);
    static uint8_t large[SIZE];
    size_t chain = t.quote.len - CERT - 6;
    for (size_t fill = 0; fill < 5; fill++) {
        memset(large, "\xff-\0 ["[fill], sizeof large);
        memcpy(large, t.quote.p, t.quote.len);
        size_t claimed = fill == 0 ? SIZE : DCAP_CERT_DATA_MAX;
        for (size_t at = CERT + 6 + chain; fill == 1 && at + chain <= CERT + 6 + claimed; at += chain) memcpy(large + at, t.quote.p + CERT + 6, chain);
        put_u32(large + CERT + 2, claimed);
        put_u32(large + SIGNATURE, CERT + 6 + claimed - SIGNATURE - 4);
        t.parts[0].bytes = clo_span_of(large, sizeof large);
        clock_t begin = clock();
        const char *got = dcap_verdict_of(&t, NULL, &p, DCAP_NOW);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (strcmp(got, fill < 2 ? "malformed" : "valid") != 0) fail_msg("fill %zu: %s", fill, got); /* text behind a chain is skipped */
        if (seconds > 0.1) fail_msg("fill %zu took %.3f s", fill, seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flips_and_cuts), cmocka_unit_test(test_hostile_documents), cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_large)};
    return cmocka_run_group_tests(tests, dcap_set_up, dcap_tear_down);
}
