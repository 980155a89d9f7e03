/* Proves verdict, reason class, fields, TCB and Intel's own merged status on every published SGX case, through the vector runner's own area;
 * that no flipped byte of a real quote and no shorter one is accepted; and that Intel's authorities that are known by their hash carry
 * the root's signature. Skipped where the shared vectors are absent. */
#include "cmocka_all.h"

#include "../../tools/vectors/vectors.h"
#include "attest/attest.h"
#include "attest/chain.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder(char path[512], const char *type)
{
    const char *shared = getenv("CLOISTER_SHARED");
    (void)snprintf(path, 512, "%s/vectors/attestation/%s", shared != NULL ? shared : "../shared", type);
    return access(path, R_OK) == 0 ? path : NULL;
}

static void test_published_cases(void **state)
{
    (void)state;
    char path[512];
    if (folder(path, "sgx") == NULL) skip_because("the published evidence is not beside the project (../shared/vectors)");
    clo_vectors_report r = {0};
    assert_int_equal(clo_vectors_attestation(path, &r), 0);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.skipped, 0);
    assert_true(r.passed >= 36);
}

static clo_attest_result result;

static void test_real_quote_changed(void **state)
{
    (void)state;
    char path[512];
    if (folder(path, "sgx") == NULL) skip_because("the published evidence is not beside the project (../shared/vectors)");
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    static const char *const files[][2] = {{"report", "phala-sgx-v3.quote.bin"},           {"root", "intel-sgx-root-ca.pem"},
                                           {"tcb_info", "phala-sgx-2025-06.tcbinfo.json"}, {"qe_identity", "phala-sgx-2025-06.qeidentity.json"},
                                           {"tcb_signing_chain", "phala-sgx-2025-06.tcbsign-chain.pem"}, {"root_ca_crl", "phala-sgx-2025-06.rootca.crl"},
                                           {"pck_ca_crl", "phala-sgx-2025-06.pckca.crl"}};
    clo_attest_part parts[7];
    for (size_t i = 0; i < 7; i++) {
        (void)snprintf(parts[i].role, sizeof parts[i].role, "%s", files[i][0]);
        assert_ok(clo_vectors_read(&a, path, files[i][1], &parts[i].bytes));
    }
    clo_attest_policy p;
    int64_t now = 0;
    clo_attest_policy_init_open(&p);
    assert_ok(clo_time_parse(&now, clo_span_str("2025-07-04T10:28:44Z")));
    size_t size = parts[0].bytes.n;
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    memcpy(bytes, parts[0].bytes.p, size);
    for (size_t at = 0; at <= size; at += at < 1100 ? 3 : 17) {
        CLO_AUTO(clo_arena_free) clo_arena b;
        clo_arena_init(&b, 1 << 20);
        parts[0].bytes = clo_span_of(bytes, at < size ? at : size);
        assert_ok(clo_attest_verify(&b, "sgx", parts, 1, parts + 1, 6, &p, now, &result));
        assert_true(result.valid == (at >= size));
        if (at >= size) break;
        parts[0].bytes = clo_span_of(bytes, size);
        bytes[at] ^= (uint8_t)(1u << (at % 8));
        assert_ok(clo_attest_verify(&b, "sgx", parts, 1, parts + 1, 6, &p, now, &result));
        bool blank = at > 1100 && (bytes[at] <= 0x20 || (bytes[at] ^ (1u << (at % 8))) <= 0x20); /* of the PEM text, which no signature covers */
        assert_true(!result.valid || blank);
        bytes[at] ^= (uint8_t)(1u << (at % 8));
    }
    free(bytes);
}

/* The certificates of a published file, the last of which is the root. */
static void check_known(const char *type, const char *file, const char *name, unsigned *found)
{
    char path[512];
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = "known"};
    clo_span bytes;
    char got[128];
    clo_arena_init(&a, 1 << 20);
    assert_non_null(folder(path, type));
    assert_ok(clo_vectors_read(&a, path, file, &bytes));
    assert_ok(clo_attest_chain_take(&chain, bytes));
    assert_true(chain.count >= 2);
    const clo_crypto_cert *cert = chain.certs[chain.count - 2], *root = chain.certs[chain.count - 1];
    assert_ok(clo_crypto_cert_common_name(cert, got, sizeof got));
    assert_string_equal(got, name);
    assert_true(clo_attest_chain_link_known(cert, root));
    assert_ok(clo_crypto_cert_signed_by(cert, root));
    assert_false(clo_attest_chain_link_known(root, cert));
    assert_false(clo_attest_chain_link_known(root, root));
    (*found)++;
}

static void test_known_authorities(void **state)
{
    (void)state;
    char path[512];
    unsigned found = 0;
    if (folder(path, "tdx") == NULL) skip_because("the published evidence is not beside the project (../shared/vectors)");
    check_known("tdx", "google-2023-06.tcbsign-chain.pem", "Intel SGX TCB Signing", &found);
    check_known("tdx", "phala-tdx-2026-02.tcbsign-chain.pem", "Intel SGX TCB Signing", &found);
    check_known("sgx", "phala-sgx-v3.quote.bin", "Intel SGX PCK Processor CA", &found);
    check_known("tdx", "phala-tdx-v4.quote.bin", "Intel SGX PCK Platform CA", &found);
    assert_int_equal(found, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published_cases), cmocka_unit_test(test_real_quote_changed), cmocka_unit_test(test_known_authorities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
