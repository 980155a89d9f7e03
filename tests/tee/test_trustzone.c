/* Proves the TrustZone provider against a mock of linux/tee.h with an attestation service behind it, and against a mock of the PSA client: what
 * they answer the product's verifiers accept, and every way they can fail or lie is noticed. */
#include "cmocka_all.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/verify_key.h"
#include "tee/trustzone_guest.h"
#include "wire/cbor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tee.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static clo_buf key_pem;
static clo_crypto_verify_key *public_key;
static struct {
    bool device, no_service, small_memory, no_memory;
    unsigned busy, secure_busy, pauses, sessions;
    int fail_with;
    uint32_t refuse;
    uint64_t claims; /* output size that is announced; 0 = the right one */
    int shared;
} driver;

static int mock_open(const char *path, int flags)
{
    (void)path;
    errno = ENOENT;
    return driver.device ? open("/dev/null", flags) : -1;
}

static void mock_pause(unsigned ms)
{
    (void)ms;
    driver.pauses++;
}

static void answer(struct tee_ioctl_invoke_arg *a)
{
    uint8_t *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, driver.shared, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    if (a->func == 0) {
        memcpy(memory + a->params[0].a, "\x01\x00\x01", 3);
        a->params[0].b = 3;
        memcpy(memory + a->params[1].a, clo_crypto_verify_key_modulus(public_key).p, 256);
        a->params[1].b = 256;
    } else {
        CLO_AUTO(clo_buf_free) clo_buf signature;
        uint8_t message[64 + 32];
        clo_buf_init(&signature, 1024);
        assert_int_equal(a->func, 3);
        assert_int_equal(a->params[0].b, 64);
        memcpy(message, memory + a->params[0].a, 64);
        memset(message + 64, 0x4f, 32);
        assert_ok(clo_crypto_keypair_sign(clo_buf_span(&key_pem), CLO_SCHEME_PS256, clo_span_of(message, sizeof message), &signature));
        memcpy(memory + a->params[1].a, message + 64, 32);
        memcpy(memory + a->params[1].a + 32, signature.p, signature.len);
        a->params[1].b = 32 + signature.len;
    }
    if (driver.claims != 0) a->params[1].b = driver.claims;
    (void)munmap(memory, 8192);
}

static int mock_control(int fd, unsigned long number, void *argument)
{
    (void)fd;
    if (number == TEE_IOC_CLOSE_SESSION) {
        driver.sessions--;
        return 0;
    }
    if (number == TEE_IOC_SHM_ALLOC) {
        struct tee_ioctl_shm_alloc_data *d = argument;
        if (driver.no_memory) {
            errno = ENOMEM;
            return -1;
        }
        if (driver.small_memory) d->size = 4096;
        d->id = 7;
        driver.shared = memfd_create("shared", MFD_CLOEXEC);
        assert_int_equal(ftruncate(driver.shared, 8192), 0);
        return dup(driver.shared);
    }
    struct tee_ioctl_buf_data *data = argument;
    if (driver.busy > 0 || driver.fail_with != 0) {
        errno = driver.busy > 0 ? EBUSY : driver.fail_with;
        if (driver.busy > 0) driver.busy--;
        return -1;
    }
    if (number == TEE_IOC_OPEN_SESSION) {
        struct tee_ioctl_open_session_arg *a = (void *)(uintptr_t)data->buf_ptr; // NOLINT(performance-no-int-to-ptr)
        assert_int_equal(a->uuid[0], 0x39);
        a->ret = driver.no_service ? 0xffff0008u : 0;
        a->session = 5;
        if (!driver.no_service) driver.sessions++;
        return 0;
    }
    assert_int_equal(number, TEE_IOC_INVOKE);
    struct tee_ioctl_invoke_arg *a = (void *)(uintptr_t)data->buf_ptr; // NOLINT(performance-no-int-to-ptr)
    assert_int_equal(a->session, 5);
    a->ret = driver.refuse;
    if (driver.secure_busy > 0) {
        driver.secure_busy--;
        a->ret = 0xffff000du;
    }
    if (a->ret == 0) answer(a);
    return 0;
}

static clo_tee_guest_host host(void)
{
    clo_tee_guest_host h = {.optee_device = "/mock/tee0", .open_file = mock_open, .control = mock_control, .pause_ms = mock_pause};
    return h;
}

static int start(void **state)
{
    (void)state;
    memset(&driver, 0, sizeof driver);
    driver.device = true;
    driver.shared = -1;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (driver.shared >= 0) (void)close(driver.shared);
    return driver.sessions == 0 ? 0 : -1; /* every session was closed */
}

static clo_attest_result result;

static clo_err ask(clo_buf *bundle)
{
    uint8_t data[64];
    clo_tee_guest_host h = host();
    memset(data, 0x2a, sizeof data);
    clo_buf_clear(bundle);
    clo_err e = clo_tee_optee_evidence(&h, data, bundle);
    if (clo_failed(e)) assert_int_equal(bundle->len, 0);
    if (driver.shared >= 0) (void)close(driver.shared);
    driver.shared = -1;
    return e;
}

static void test_optee_verifies(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    CLO_AUTO(clo_buf_free) clo_buf exponent;
    CLO_AUTO(clo_buf_free) clo_buf modulus;
    CLO_AUTO(clo_buf_free) clo_buf jwk;
    clo_attest_policy p;
    clo_arena_init(&a, 4 << 20);
    clo_buf_init(&bundle, 8192);
    clo_buf_init(&exponent, 8);
    clo_buf_init(&modulus, 512);
    clo_buf_init(&jwk, 1024);
    clo_tee_guest_host h = host();
    assert_true(clo_tee_optee_present(&h));
    (void)close(driver.shared);
    /* Whoever set the machine up has noted its key. */
    assert_ok(clo_tee_optee_public_key(&h, &exponent, &modulus));
    assert_ok(clo_buf_put_str(&jwk, "{\"kty\":\"RSA\",\"e\":\""));
    assert_ok(clo_base64url_encode(&jwk, clo_buf_span(&exponent)));
    assert_ok(clo_buf_put_str(&jwk, "\",\"n\":\""));
    assert_ok(clo_base64url_encode(&jwk, clo_buf_span(&modulus)));
    assert_ok(clo_buf_put_str(&jwk, "\"}"));
    assert_ok(ask(&bundle));
    clo_attest_policy_init_open(&p);
    p.have_report_data = true;
    memset(p.report_data, 0x2a, 64);
    const clo_attest_part evidence = {"bundle", clo_buf_span(&bundle)}, key = {"attestation_key", clo_buf_span(&jwk)};
    assert_ok(clo_attest_verify(&a, "optee", &evidence, 1, &key, 1, &p, 1800000000, &result));
    assert_string_equal(result.reason, "");
    assert_true(result.valid);
    p.report_data[5] ^= 1;
    assert_ok(clo_attest_verify(&a, "optee", &evidence, 1, &key, 1, &p, 1800000000, &result));
    assert_false(result.valid);
}

static void test_optee_failures(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    clo_buf_init(&bundle, 8192);
    driver.device = false;
    assert_code(ask(&bundle), CLO_E_UNREACHABLE);
    driver.device = true;
    driver.no_service = true;
    assert_code(ask(&bundle), CLO_E_UNREACHABLE);
    driver.no_service = false;
    driver.busy = 2;
    assert_ok(ask(&bundle));
    assert_int_equal(driver.pauses, 2);
    driver.secure_busy = 2;
    assert_ok(ask(&bundle));
    driver.busy = 100;
    assert_code(ask(&bundle), CLO_E_AGAIN);
    driver.busy = 0;
    driver.secure_busy = 100;
    assert_code(ask(&bundle), CLO_E_AGAIN);
    driver.secure_busy = 0;
    driver.fail_with = EINVAL;
    assert_code(ask(&bundle), CLO_E_IO);
    driver.fail_with = 0;
    driver.refuse = 0xffff0006u;
    assert_code(ask(&bundle), CLO_E_IO);
    driver.refuse = 0;
    driver.no_memory = true;
    assert_code(ask(&bundle), CLO_E_IO);
    driver.no_memory = false;
    driver.small_memory = true;
    assert_code(ask(&bundle), CLO_E_MALFORMED);
    driver.small_memory = false;
    driver.claims = 100; /* no room for a signature */
    assert_code(ask(&bundle), CLO_E_MALFORMED);
    driver.claims = 545; /* more than was offered */
    assert_code(ask(&bundle), CLO_E_MALFORMED);
    driver.claims = UINT64_MAX;
    assert_code(ask(&bundle), CLO_E_MALFORMED);
}

/* ---- PSA ---- */

static struct {
    int32_t status;
    bool other_challenge, garbage, too_much, old_numbers;
} psa;

static int32_t mock_token(void *context, const uint8_t *challenge, size_t challenge_size, uint8_t *token, size_t size, size_t *written)
{
    (void)context;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_wire_node *claims = NULL, *bytes = NULL, *list = NULL, *one = NULL;
    uint8_t held[64];
    clo_arena_init(&a, 1 << 16);
    clo_buf_init(&out, 4096);
    assert_int_equal(challenge_size, 64);
    memcpy(held, challenge, 64);
    if (psa.other_challenge) held[63] ^= 1;
    assert_ok(clo_wire_map(&a, &claims));
    assert_ok(clo_wire_bytes(&a, clo_span_of(held, 64), &bytes));
    assert_ok(clo_wire_set_int_key(&a, claims, psa.old_numbers ? -75008 : 10, bytes));
    assert_ok(clo_wire_cbor_encode(claims, &out));
    assert_ok(clo_wire_array(&a, &list));
    const clo_span parts[4] = {clo_span_str("p"), clo_span_str("u"), clo_buf_span(&out), clo_span_str("s")};
    for (size_t i = 0; i < 4; i++) {
        assert_ok(clo_wire_bytes(&a, parts[i], &one));
        assert_ok(clo_wire_append(list, one));
    }
    clo_buf_clear(&out);
    assert_ok(clo_wire_cbor_encode(list, &out));
    assert_true(out.len <= size);
    memcpy(token, out.p, out.len);
    if (psa.garbage) memset(token, 0xff, out.len);
    *written = psa.too_much ? size + 1 : out.len;
    return psa.status;
}

static clo_err ask_psa(void)
{
    const clo_tee_psa_client client = {.get_token = mock_token};
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    clo_attest_bundle b;
    uint8_t data[64] = {9};
    clo_arena_init(&a, 1 << 16);
    clo_buf_init(&bundle, 16384);
    CLO_TRY(clo_tee_psa_evidence(&client, data, &bundle));
    assert_ok(clo_attest_bundle_decode(&a, clo_buf_span(&bundle), &b));
    assert_string_equal(b.tee, "psa");
    return CLO_OK;
}

static void test_psa_client(void **state)
{
    (void)state;
    memset(&psa, 0, sizeof psa);
    assert_ok(ask_psa());
    psa.old_numbers = true;
    assert_ok(ask_psa());
    psa.other_challenge = true;
    assert_code(ask_psa(), CLO_E_MALFORMED);
    psa.other_challenge = false;
    psa.garbage = true;
    assert_true(clo_failed(ask_psa()));
    psa.garbage = false;
    psa.too_much = true;
    assert_code(ask_psa(), CLO_E_MALFORMED);
    psa.too_much = false;
    psa.status = -131;
    assert_code(ask_psa(), CLO_E_AGAIN);
    psa.status = -140;
    assert_code(ask_psa(), CLO_E_UNREACHABLE);
    psa.status = -132;
    assert_code(ask_psa(), CLO_E_IO);
}

static void test_provider(void **state)
{
    (void)state;
    CLO_KEY32(key);
    assert_code(clo_tee_provider_trustzone.derive_sealing_key(-1, clo_span_str("a"), &key), CLO_E_UNSUPPORTED);
    assert_non_null(strstr(clo_tee_provider_trustzone.describe(), "no sealing keys"));
    assert_ptr_equal(clo_tee_named("trustzone"), &clo_tee_provider_trustzone);
    assert_ptr_equal(clo_tee_named("azure-vtpm"), &clo_tee_provider_azure_vtpm);
    assert_null(clo_tee_named("none"));
    assert_ptr_equal(clo_tee_find_any(3), &clo_tee_provider_sim);
}

static int set_up(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf der;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    clo_crypto_cert_request r = {.common_name = "secure world", .not_before = 1700000000, .not_after = 1900000000, .serial = 1};
    clo_buf_init(&key_pem, 16384);
    clo_buf_init(&der, 4096);
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_RSA2048, &key_pem));
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&key_pem), NULL, clo_buf_span(&key_pem), &der));
    assert_ok(clo_crypto_cert_parse(&cert, clo_buf_span(&der)));
    assert_ok(clo_crypto_verify_key_of_cert(cert, &public_key));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clo_buf_free(&key_pem);
    clo_crypto_verify_key_free(&public_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_optee_verifies, start, stop),
        cmocka_unit_test_setup_teardown(test_optee_failures, start, stop),
        cmocka_unit_test(test_psa_client),
        cmocka_unit_test(test_provider),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
