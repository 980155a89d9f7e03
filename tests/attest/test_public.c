/* Proves the public interface: a verdict with its claims, checks and times over the golden evidence, every error of every call, what a copied
 * policy keeps, and that a cache and several threads change nothing. */
#include "cmocka_all.h"

#include <cloister/attest.h>
#include <pthread.h>
#include <string.h>

#define ROOT "d7006bf51842ade18acc967464761b26595f8a7b762ce19cc97d8a5ac833fb60"
enum { MADE = 1795205319, THREADS = 4 };
static const char policy_json[] = "{\"allow_simulated\":true,\"require_binding\":false,\"roots\":[\"" ROOT "\"]}";
static uint8_t bundle[65536];
static size_t bundle_size;

static int set_up(void **state)
{
    (void)state;
    FILE *f = fopen("tests/attest/golden/sim_evidence.cbor", "rb");
    if (f == NULL) return -1;
    bundle_size = fread(bundle, 1, sizeof bundle, f);
    (void)fclose(f);
    return 0;
}

static cloister_attest_policy *policy(const char *json, bool open)
{
    cloister_attest_policy *p = NULL;
    if (cloister_attest_policy_read(json, strlen(json), open, &p) != CLOISTER_OK) fail_msg("%s: %s", json, cloister_error_text());
    return p;
}

static cloister_attest_parts *evidence(void)
{
    cloister_attest_parts *parts = cloister_attest_parts_new();
    assert_non_null(parts);
    assert_int_equal(cloister_attest_parts_add(parts, "bundle", bundle, bundle_size), CLOISTER_OK);
    return parts;
}

static cloister_attest_result *verify(const cloister_attest_policy *p, cloister_attest_cache *cache)
{
    cloister_attest_parts *parts = evidence();
    cloister_attest_result *r = NULL;
    if (cloister_attest_verify("auto", parts, NULL, p, MADE, cache, &r) != CLOISTER_OK) fail_msg("%s", cloister_error_text());
    cloister_attest_parts_free(parts);
    return r;
}

static void test_verdict(void **state)
{
    (void)state;
    cloister_attest_policy *p = policy(policy_json, false);
    cloister_attest_result *r = verify(p, NULL);
    cloister_attest_check check;
    assert_true(cloister_attest_result_valid(r));
    assert_string_equal(cloister_attest_result_reason(r), "");
    assert_string_equal(cloister_attest_result_detail(r), "");
    assert_string_equal(cloister_attest_result_type(r), "sim");
    assert_string_equal(cloister_attest_result_tcb_status(r), "UpToDate");
    assert_int_equal(cloister_attest_result_advisory_count(r), 0);
    assert_string_equal(cloister_attest_result_advisory(r, 0), "");
    assert_true(cloister_attest_result_valid_until(r) > MADE);
    assert_non_null(strstr(cloister_attest_result_claims(r), "\"measurement\":\""));
    assert_non_null(strstr(cloister_attest_result_json(r), "\"verdict\":\"valid\""));
    size_t count = cloister_attest_result_check_count(r);
    assert_true(count > 10 && cloister_attest_result_check(r, count - 1, &check) && check.ok && check.name[0] != '\0');
    assert_false(cloister_attest_result_check(r, count, &check));
    cloister_attest_result_free(r);
    cloister_attest_policy_free(p);
    p = policy("{}", false);
    r = verify(p, NULL);
    assert_false(cloister_attest_result_valid(r));
    assert_string_equal(cloister_attest_result_reason(r), "simulated");
    assert_int_equal(cloister_attest_result_valid_until(r), 0);
    cloister_attest_result_free(r);
    cloister_attest_policy_free(p);
}

static void expect_reason(const cloister_attest_policy *p, const char *reason)
{
    cloister_attest_result *r = verify(p, NULL);
    assert_string_equal(cloister_attest_result_reason(r), reason);
    cloister_attest_result_free(r);
}

static void test_policies(void **state)
{
    (void)state;
    uint8_t data[64];
    memset(data, 3, sizeof data); /* what the golden evidence was made over */
    cloister_attest_policy *p = policy(policy_json, false), *copy = NULL, *none = NULL;
    assert_int_equal(cloister_attest_policy_set_report_data(p, data), CLOISTER_OK);
    expect_reason(p, "");
    assert_int_equal(cloister_attest_policy_copy(p, &copy), CLOISTER_OK);
    cloister_attest_policy_free(p);
    expect_reason(copy, "");
    assert_int_equal(cloister_attest_policy_set_nonce(copy, "another", 7), CLOISTER_OK);
    expect_reason(copy, "nonce_mismatch");
    assert_int_equal(cloister_attest_policy_copy(copy, &p), CLOISTER_OK);
    cloister_attest_policy_free(copy);
    expect_reason(p, "nonce_mismatch");
    assert_int_equal(cloister_attest_policy_set_nonce(p, data, 0), CLOISTER_INPUT);
    assert_int_equal(cloister_attest_policy_set_nonce(p, data, 1025), CLOISTER_INPUT);
    cloister_attest_policy_free(p);
    p = policy("{\"allow_simulated\":true,\"roots\":[\"" ROOT "\"]}", false);
    expect_reason(p, "binding");
    cloister_attest_policy_free(p);
    assert_int_equal(cloister_attest_policy_read("{\"allow_debgu\":true}", 20, false, &none), CLOISTER_INPUT);
    assert_non_null(strstr(cloister_error_text(), "allow_debgu"));
    assert_int_equal(cloister_attest_policy_read("{", 1, false, &none), CLOISTER_INPUT);
    assert_int_equal(cloister_attest_policy_read("{\"custom_root\":true}", 20, false, &none), CLOISTER_INPUT);
    assert_null(none);
    assert_int_equal(cloister_attest_policy_read(NULL, 0, false, &none), CLOISTER_OK);
    cloister_attest_policy_free(none);
    cloister_attest_policy_free(NULL);
}

static void test_errors(void **state)
{
    (void)state;
    cloister_attest_policy *p = policy("{}", true);
    cloister_attest_parts *parts = cloister_attest_parts_new();
    cloister_attest_result *r = NULL;
    assert_int_equal(cloister_attest_parts_add(parts, "", "x", 1), CLOISTER_INPUT);
    assert_int_equal(cloister_attest_parts_add(parts, "a role that is longer than any", "x", 1), CLOISTER_OK);
    assert_int_equal(cloister_attest_parts_add(parts, "a role that is longer than any role", "x", 1), CLOISTER_INPUT);
    assert_int_equal(cloister_attest_parts_add(parts, NULL, "x", (size_t)1 << 30), CLOISTER_LIMIT);
    for (int i = 1; i < 24; i++) assert_int_equal(cloister_attest_parts_add(parts, NULL, NULL, 0), CLOISTER_OK);
    assert_int_equal(cloister_attest_parts_add(parts, NULL, NULL, 0), CLOISTER_LIMIT);
    assert_int_equal(cloister_attest_verify("nonsense", parts, NULL, p, 0, NULL, &r), CLOISTER_INPUT);
    assert_non_null(strstr(cloister_error_text(), "nonsense"));
    assert_int_equal(cloister_attest_verify("snp", parts, parts, p, 0, NULL, &r), CLOISTER_OK); /* bad evidence is a result */
    assert_string_equal(cloister_attest_result_reason(r), "malformed");
    cloister_attest_result_free(r);
    cloister_attest_parts_free(parts);
    cloister_attest_policy_free(p);
    cloister_attest_result_free(NULL);
    cloister_attest_parts_free(NULL);
    cloister_attest_cache_free(NULL);
    assert_string_equal(cloister_version(), CLO_VERSION);
}

static cloister_attest_cache *shared_cache;
static cloister_attest_policy *shared_policy;
static void *many(void *counted)
{
    for (int i = 0; i < 50; i++) {
        cloister_attest_parts *parts = evidence();
        cloister_attest_result *r = NULL;
        if (cloister_attest_verify("sim", parts, NULL, shared_policy, MADE, shared_cache, &r) == CLOISTER_OK && cloister_attest_result_valid(r))
            (*(int *)counted)++;
        cloister_attest_result_free(r);
        cloister_attest_parts_free(parts);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int counted[THREADS] = {0};
    shared_cache = cloister_attest_cache_new();
    shared_policy = policy(policy_json, false);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, many, &counted[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(counted[i], 50);
    }
    cloister_attest_policy_free(shared_policy);
    cloister_attest_cache_free(shared_cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdict),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
