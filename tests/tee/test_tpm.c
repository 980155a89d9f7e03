/* Proves the TPM provider against a real TPM in software (swtpm): quotes that the product's own verifier accepts, registers, indexes, keys
 * that are kept and sealing keys that follow the registers; and, against a device that answers what it likes, that nothing it says is taken
 * on trust. */
#include "swtpm_fixture.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "os/file.h"
#include "tee/tee.h"
#include "tee/tpm_guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define AK_HANDLE 0x81008f01u
static swtpm machine;
static clo_attest_result result;

static int set_up(void **state)
{
    (void)state;
    swtpm_start(&machine);
    if (!machine.there) print_message("skipped: %s\n", machine.why);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    swtpm_stop(&machine);
    return 0;
}

#define NEED_TPM \
    (void)state; \
    if (!machine.there) skip()

static void close_tpm(clo_tee_tpm **t) { clo_tee_tpm_close(t); }

/* The quote as the verifier's parts, under a policy that trusts its key. */
static const char *verdict(clo_tee_tpm_quote *q, clo_span nonce)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_attest_policy p;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy_init_open(&p);
    p.ak_trusted = true;
    p.expected_nonce = nonce;
    const clo_attest_part parts[] = {{"message", clo_buf_span(&q->message)},
                                     {"signature_tpmt", clo_buf_span(&q->signature)},
                                     {"ak_public_tpmt", clo_buf_span(&q->ak)},
                                     {"pcrs_sha256", clo_span_of(q->pcrs, sizeof q->pcrs)}};
    assert_ok(clo_attest_verify(&a, "tpm", parts, sizeof parts / sizeof parts[0], NULL, 0, &p, 1800000000, &result));
    return result.valid ? "valid" : result.reason;
}

static void test_quotes(void **state)
{
    NEED_TPM;
    CLO_AUTO(close_tpm) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote q = {.pcrs = {{0}}};
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote again = {.pcrs = {{0}}};
    uint8_t nonce[65];
    memset(nonce, 0x5a, sizeof nonce);
    assert_ok(clo_tee_tpm_open(&t, machine.connection));
    assert_code(clo_tee_tpm_quote_make(t, 0, clo_span_of(nonce, 0), &q), CLO_E_RANGE);
    assert_code(clo_tee_tpm_quote_make(t, 0, clo_span_of(nonce, 65), &q), CLO_E_RANGE);
    assert_code(clo_tee_tpm_quote_make(t, AK_HANDLE, clo_span_of(nonce, 64), &q), CLO_E_NOT_FOUND);
    assert_ok(clo_tee_tpm_quote_make(t, 0, clo_span_of(nonce, 64), &q));
    assert_string_equal(verdict(&q, clo_span_of(nonce, 64)), "valid");
    assert_string_equal(verdict(&q, clo_span_of(nonce, 63)), "nonce_mismatch");
    q.pcrs[3][0] ^= 1;
    assert_string_equal(verdict(&q, clo_span_of(nonce, 64)), "pcr_digest_mismatch");
    q.pcrs[3][0] ^= 1;
    q.message.p[20] ^= 1;
    assert_string_not_equal(verdict(&q, clo_span_of(nonce, 64)), "valid");
    q.message.p[20] ^= 1;
    /* The same key each time, and another TPM's state shows in the registers. */
    assert_ok(clo_tee_tpm_quote_make(t, 0, clo_span_of(nonce, 1), &again));
    assert_true(clo_span_equal(clo_buf_span(&q.ak), clo_buf_span(&again.ak)));
    assert_string_equal(verdict(&again, clo_span_of(nonce, 1)), "valid");
}

static void test_kept_key(void **state)
{
    NEED_TPM;
    CLO_AUTO(close_tpm) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote q = {.pcrs = {{0}}};
    assert_ok(clo_tee_tpm_open(&t, machine.connection));
    assert_ok(clo_tee_tpm_ak_keep(t, CLO_TEE_TPM_RSA, AK_HANDLE));
    assert_code(clo_tee_tpm_ak_keep(t, CLO_TEE_TPM_RSA, AK_HANDLE), CLO_E_EXISTS);
    assert_ok(clo_tee_tpm_quote_make(t, AK_HANDLE, clo_span_str("nonce"), &q));
    assert_string_equal(verdict(&q, clo_span_str("nonce")), "valid");
    /* It stays when the connection ends. */
    clo_tee_tpm_close(&t);
    clo_tee_tpm_quote_free(&q);
    assert_ok(clo_tee_tpm_open(&t, machine.connection));
    assert_ok(clo_tee_tpm_quote_make(t, AK_HANDLE, clo_span_str("again"), &q));
    assert_string_equal(verdict(&q, clo_span_str("again")), "valid");
}

static void test_indexes(void **state)
{
    NEED_TPM;
    CLO_AUTO(close_tpm) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_buf_free) clo_buf got;
    CLO_AUTO(clo_buf_free) clo_buf small;
    uint8_t bytes[1900];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
    clo_buf_init(&got, 4096);
    clo_buf_init(&small, 100);
    assert_ok(clo_tee_tpm_open(&t, machine.connection));
    assert_code(clo_tee_tpm_nv_read(t, 0x01400010, &got), CLO_E_NOT_FOUND);
    assert_ok(clo_tee_tpm_nv_write(t, 0x01400010, clo_span_of(bytes, sizeof bytes)));
    assert_code(clo_tee_tpm_nv_write(t, 0x01400010, clo_span_of(bytes, 10)), CLO_E_EXISTS);
    assert_code(clo_tee_tpm_nv_write(t, 0x01400011, clo_span_of(bytes, 0)), CLO_E_RANGE);
    bytes[1] ^= 1; /* one of the same size is written anew */
    assert_ok(clo_tee_tpm_nv_write(t, 0x01400010, clo_span_of(bytes, sizeof bytes)));
    assert_ok(clo_tee_tpm_nv_read(t, 0x01400010, &got));
    assert_true(clo_span_equal(clo_buf_span(&got), clo_span_of(bytes, sizeof bytes)));
    assert_code(clo_tee_tpm_nv_read(t, 0x01400010, &small), CLO_E_TOO_LARGE);
    assert_int_equal(small.len, 0);
}

static void test_sealing_follows_registers(void **state)
{
    NEED_TPM;
    CLO_AUTO(close_tpm) clo_tee_tpm *t = NULL;
    CLO_KEY32(one);
    CLO_KEY32(again);
    CLO_KEY32(other);
    uint8_t digest[32];
    memset(digest, 9, sizeof digest);
    assert_ok(clo_tee_tpm_open(&t, machine.connection));
    assert_ok(clo_tee_tpm_derive_key(t, clo_span_str("a"), &one));
    assert_ok(clo_tee_tpm_derive_key(t, clo_span_str("a"), &again));
    assert_memory_equal(one.b, again.b, 32);
    assert_ok(clo_tee_tpm_derive_key(t, clo_span_str("b"), &other));
    assert_memory_not_equal(one.b, other.b, 32);
    assert_ok(clo_tee_tpm_pcr_extend(t, 10, digest)); /* not among those that seal */
    assert_ok(clo_tee_tpm_derive_key(t, clo_span_str("a"), &again));
    assert_memory_equal(one.b, again.b, 32);
    assert_ok(clo_tee_tpm_pcr_extend(t, 8, digest));
    assert_ok(clo_tee_tpm_derive_key(t, clo_span_str("a"), &again));
    assert_memory_not_equal(one.b, again.b, 32);
    assert_code(clo_tee_tpm_pcr_extend(t, 24, digest), CLO_E_RANGE);
}

static void test_evidence(void **state)
{
    NEED_TPM;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    clo_attest_policy p;
    uint8_t data[64];
    char log[300];
    memset(data, 0x21, sizeof data);
    clo_arena_init(&a, 4 << 20);
    clo_buf_init(&bundle, 64 * 1024);
    clo_attest_policy_init_open(&p);
    p.ak_trusted = true;
    p.have_report_data = true;
    memcpy(p.report_data, data, sizeof data);
    assert_ok(clo_tee_tpm_evidence(machine.connection, NULL, data, &bundle));
    assert_ok(clo_attest_verify_bundle(&a, NULL, clo_buf_span(&bundle), &p, 1800000000, &result));
    assert_string_equal(result.reason, "");
    assert_true(result.valid);
    p.report_data[0] ^= 1;
    assert_ok(clo_attest_verify_bundle(&a, NULL, clo_buf_span(&bundle), &p, 1800000000, &result));
    assert_false(result.valid);
    p.ak_trusted = false;
    p.report_data[0] ^= 1;
    assert_ok(clo_attest_verify_bundle(&a, NULL, clo_buf_span(&bundle), &p, 1800000000, &result));
    assert_false(result.valid);
    /* A log that is not there, or too large, is left out. */
    clo_buf_clear(&bundle);
    (void)snprintf(log, sizeof log, "%s/no-such-log", machine.directory);
    assert_ok(clo_tee_tpm_evidence(machine.connection, log, data, &bundle));
    size_t without = bundle.len;
    static const uint8_t big[50 * 1024] = {1};
    assert_ok(clo_os_file_write_atomic(log, clo_span_of(big, sizeof big), 0600));
    clo_buf_clear(&bundle);
    assert_ok(clo_tee_tpm_evidence(machine.connection, log, data, &bundle));
    assert_in_range(bundle.len, without - 8, without + 8);
    assert_ok(clo_os_file_write_atomic(log, clo_span_of(big, 1000), 0600));
    clo_buf_clear(&bundle);
    assert_ok(clo_tee_tpm_evidence(machine.connection, log, data, &bundle));
    assert_true(bundle.len > without + 1000);
    assert_false(clo_tee_azure_present(machine.connection));
    clo_buf_clear(&bundle);
    assert_code(clo_tee_azure_evidence(machine.connection, data, &bundle), CLO_E_UNREACHABLE);
}

static void test_absent(void **state)
{
    (void)state;
    CLO_AUTO(close_tpm) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_buf_free) clo_buf out;
    uint8_t data[64] = {0};
    clo_buf_init(&out, 1024);
    assert_code(clo_tee_tpm_open(&t, "device:/nonexistent/tpm"), CLO_E_UNREACHABLE);
    assert_code(clo_tee_tpm_open(&t, "nonsense:x"), CLO_E_UNREACHABLE);
    assert_code(clo_tee_tpm_evidence("device:/nonexistent/tpm", NULL, data, &out), CLO_E_UNREACHABLE);
    assert_false(clo_tee_azure_present("device:/nonexistent/tpm"));
    if (access(CLO_TEE_TPM_DEVICE, F_OK) == 0) skip();
    assert_false(clo_tee_provider_tpm.probe(-1));
    assert_false(clo_tee_provider_azure_vtpm.probe(-1));
    assert_code(clo_tee_provider_tpm.evidence(-1, data, &out), CLO_E_UNREACHABLE);
    CLO_KEY32(key);
    assert_code(clo_tee_provider_azure_vtpm.derive_sealing_key(-1, clo_span_str("a"), &key), CLO_E_UNREACHABLE);
}

/* A device that gives the same answer to every command, on the other end of a terminal line. */
typedef struct {
    int master;
    const uint8_t *answer;
    size_t answer_bytes;
} hostile;

static void *hostile_run(void *argument)
{
    hostile *h = argument;
    uint8_t command[4096];
    while (read(h->master, command, sizeof command) > 0) {
        if (write(h->master, h->answer, h->answer_bytes) < 0) break;
    }
    return NULL;
}

static clo_err ask_hostile(const uint8_t *answer, size_t n)
{
    hostile h = {.master = posix_openpt(O_RDWR | O_NOCTTY), .answer = answer, .answer_bytes = n};
    char name[128], connection[160];
    struct termios raw;
    pthread_t thread;
    assert_true(h.master >= 0);
    assert_int_equal(grantpt(h.master), 0);
    assert_int_equal(unlockpt(h.master), 0);
    assert_int_equal(ptsname_r(h.master, name, sizeof name), 0);
    int keep = open(name, O_RDWR | O_NOCTTY);
    assert_true(keep >= 0);
    assert_int_equal(tcgetattr(keep, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(keep, TCSANOW, &raw), 0);
    assert_int_equal(pthread_create(&thread, NULL, hostile_run, &h), 0);
    (void)snprintf(connection, sizeof connection, "device:%s", name);
    CLO_AUTO(close_tpm) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote q = {.pcrs = {{0}}};
    CLO_AUTO(clo_buf_free) clo_buf out;
    CLO_KEY32(key);
    clo_buf_init(&out, 8192);
    clo_err e = clo_tee_tpm_open(&t, connection);
    if (!clo_failed(e)) {
        assert_true(clo_failed(clo_tee_tpm_nv_read(t, CLO_TEE_AZURE_HCL_REPORT, &out)));
        assert_true(clo_failed(clo_tee_tpm_derive_key(t, clo_span_str("a"), &key)));
        assert_true(clo_failed(clo_tee_tpm_quote_make(t, CLO_TEE_AZURE_AK, clo_span_str("n"), &q)));
        e = clo_tee_tpm_quote_make(t, 0, clo_span_str("n"), &q);
        assert_int_equal(q.message.len + out.len, 0);
    }
    clo_tee_tpm_close(&t);
    (void)close(keep);
    (void)close(h.master);
    (void)pthread_join(thread, NULL);
    return e;
}

static void test_hostile_device(void **state)
{
    (void)state;
    static const uint8_t success[] = {0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0};
    static const uint8_t short_answer[] = {0x80, 0x01, 0, 0, 0, 10, 0, 0};
    static const uint8_t announces_much[] = {0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 2, 3};
    static const uint8_t announces_little[] = {0x80, 0x01, 0, 0, 0, 2, 0, 0, 0, 0};
    static const uint8_t refuses[] = {0x80, 0x01, 0, 0, 0, 10, 0, 0, 1, 1};
    uint8_t garbage[4000];
    memset(garbage, 0xff, sizeof garbage);
    assert_true(clo_failed(ask_hostile(success, sizeof success)));
    assert_true(clo_failed(ask_hostile(short_answer, sizeof short_answer)));
    assert_true(clo_failed(ask_hostile(announces_much, sizeof announces_much)));
    assert_true(clo_failed(ask_hostile(announces_little, sizeof announces_little)));
    assert_code(ask_hostile(refuses, sizeof refuses), CLO_E_IO);
    assert_true(clo_failed(ask_hostile(garbage, sizeof garbage)));
}

int main(void)
{
    /* The stack talks to people about every refusal that is provoked here. */
    (void)setenv("TSS2_LOG", "all+none", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotes),   cmocka_unit_test(test_kept_key), cmocka_unit_test(test_indexes), cmocka_unit_test(test_sealing_follows_registers),
        cmocka_unit_test(test_evidence), cmocka_unit_test(test_absent),   cmocka_unit_test(test_hostile_device),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
