/* Proves that event logs of the crypto-agile form are replayed as TPMs extend (each bank against an own computation, start-up locality,
 * registers that start with ones, events that measure nothing), and that no cut or broken log is taken for a whole one. */
#include "cmocka_all.h"

#include "attest/tpm_event_log.h"
#include "base/clo_own.h"
#include "tpm_fixture.h"

#include <string.h>

static const uint16_t banks[] = {CLO_TPM_SHA1, CLO_TPM_SHA256, CLO_TPM_SHA384, 0x12};
static clo_attest_tpm_pcrs pcrs;

static void extend(clo_crypto_hash_alg hash, uint8_t *value, const char *measured)
{
    uint8_t both[128];
    size_t n = clo_crypto_hash_size(hash);
    memcpy(both, value, n);
    assert_ok(clo_crypto_hash(hash, clo_span_str(measured), both + n));
    assert_ok(clo_crypto_hash(hash, clo_span_of(both, 2 * n), value));
}

static void usual(clo_buf *log)
{
    clo_buf_init(log, 65536);
    assert_ok(tpm_log_usual(log, banks, 4, true));
}

static void replay(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf log;
    size_t events = 0;
    usual(&log);
    assert_ok(clo_attest_tpm_log_replay(clo_buf_span(&log), &pcrs, &events));
    assert_int_equal(events, 15);
    assert_int_equal(pcrs.count, 3); /* SM3 is stepped over */
    for (size_t i = 0; i < 3; i++) {
        static const clo_crypto_hash_alg hashes[] = {CLO_HASH_SHA1, CLO_HASH_SHA256, CLO_HASH_SHA384};
        uint8_t value[64] = {0};
        size_t n = clo_crypto_hash_size(hashes[i]);
        const clo_attest_tpm_bank *bank = clo_attest_tpm_bank_find(&pcrs, banks[i]);
        assert_non_null(bank);
        extend(hashes[i], value, "kernel_cmdline: quiet");
        assert_memory_equal(bank->values[8], value, n);
        memset(value, 0, sizeof value);
        value[n - 1] = 3; /* the locality */
        extend(hashes[i], value, "v1");
        uint8_t both[128];
        memcpy(both, value, n);
        assert_ok(clo_crypto_hash(hashes[i], clo_span_of("\0\0\0\0", 4), both + n));
        assert_ok(clo_crypto_hash(hashes[i], clo_span_of(both, 2 * n), value));
        assert_memory_equal(bank->values[0], value, n);
        memset(value, 0xff, sizeof value);
        assert_memory_equal(bank->values[17], value, n);
        assert_int_equal(bank->known, 0xbff & ~0x400);
    }
}

static void cuts(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf log;
    size_t whole = 0, events = 0;
    usual(&log);
    for (size_t n = 0; n < log.len; n++) {
        if (!clo_failed(clo_attest_tpm_log_replay(clo_span_of(log.p, n), &pcrs, &events))) whole++;
    }
    assert_int_equal(whole, 15); /* only between events: the head alone, then one more each */
    assert_ok(clo_buf_put_u8(&log, 0));
    assert_code(clo_attest_tpm_log_replay(clo_buf_span(&log), &pcrs, NULL), CLO_E_TRUNCATED);
}

/* A byte of the log at this offset replaced. */
static uint32_t code_with(size_t at, uint8_t value)
{
    CLO_AUTO(clo_buf_free) clo_buf log;
    usual(&log);
    log.p[at] = value;
    return clo_attest_tpm_log_replay(clo_buf_span(&log), &pcrs, NULL).code;
}

static void broken_heads(void **state)
{
    (void)state;
    assert_int_equal(code_with(0, 1), CLO_E_UNSUPPORTED);   /* of another register */
    assert_int_equal(code_with(4, 4), CLO_E_UNSUPPORTED);   /* a measurement: the SHA-1-only form */
    assert_int_equal(code_with(32 + 14, '2'), CLO_E_UNSUPPORTED); /* Spec ID Event02 */
    assert_int_equal(code_with(32 + 24, 0), CLO_E_MALFORMED);  /* no banks */
    assert_int_equal(code_with(32 + 24, 6), CLO_E_MALFORMED);
    assert_int_equal(code_with(32 + 24, 17), CLO_E_MALFORMED);
    assert_int_equal(code_with(32 + 28, 0xb), CLO_E_MALFORMED);  /* SHA-256 of 20 bytes */
    assert_int_equal(code_with(32 + 30, 32), CLO_E_MALFORMED);
    assert_int_equal(code_with(32 + 36, 0x12), CLO_E_DUPLICATE);
    assert_int_equal(code_with(32 + 44, 1), CLO_E_TRUNCATED); /* vendor information that is not there */
    size_t event = 32 + 45;
    assert_int_equal(code_with(event + 8, 5), CLO_E_MALFORMED);   /* more digests than banks */
    assert_int_equal(code_with(event + 12, 0x99), CLO_E_MALFORMED);
    size_t second = event + 12 + (2 + 20) + (2 + 32) + (2 + 48) + (2 + 32) + 4 + 17;
    assert_int_equal(code_with(second, 24), CLO_E_MALFORMED);     /* no such register */
    assert_int_equal(code_with(second - 1, 5), CLO_E_MALFORMED);  /* no such locality */
}

static void twice(void **state)
{
    (void)state;
    static const uint16_t same[] = {CLO_TPM_SHA256, CLO_TPM_SHA256};
    CLO_AUTO(clo_buf_free) clo_buf log;
    clo_buf_init(&log, 4096);
    assert_ok(tpm_log_start(&log, same, 2));
    assert_code(clo_attest_tpm_log_replay(clo_buf_span(&log), &pcrs, NULL), CLO_E_DUPLICATE);
    clo_buf_clear(&log);
    assert_ok(tpm_log_start(&log, banks, 2));
    assert_ok(tpm_log_event(&log, same, 2, 1, 1, clo_span_str("x"), clo_span_str("x")));
    assert_code(clo_attest_tpm_log_replay(clo_buf_span(&log), &pcrs, NULL), CLO_E_DUPLICATE);
    clo_buf_clear(&log);
    assert_ok(tpm_log_start(&log, banks, 2));
    assert_ok(tpm_log_event(&log, banks, 2, 0, 1, clo_span_str("x"), clo_span_str("x")));
    assert_ok(tpm_log_event(&log, banks, 2, 0, CLO_TPM_EV_NO_ACTION, clo_span_str(""), clo_span_of("StartupLocality\0\3", 17)));
    assert_code(clo_attest_tpm_log_replay(clo_buf_span(&log), &pcrs, NULL), CLO_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replay), cmocka_unit_test(cuts), cmocka_unit_test(broken_heads), cmocka_unit_test(twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
