/* Proves that the software TEE's evidence passes the verifier end to end (device thread, socket, provider, bundle, appraisal), that no
 * changed byte and no other length does, that its root is made once and kept privately, and that it never passes as hardware. */
#include "cmocka_all.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "os/file.h"
#include "tee/sim_device.h"
#include "tee/tee.h"
#include "wire/cbor.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    char directory[256];
    clo_tee_sim *sim;
    uint8_t measurement[48], host_data[32], report_data[64];
    clo_buf bundle;
    int64_t now;
} fixture;

typedef struct {
    const fixture *f;
    int fd, stop_fd;
    uint32_t code;
} device_thread;

static void *device_run(void *argument)
{
    device_thread *d = argument;
    clo_err e = clo_tee_sim_serve(d->f->sim, d->fd, d->stop_fd, d->f->measurement, d->f->host_data);
    d->code = e.code;
    (void)close(d->fd);
    return NULL;
}

static int set_up(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    if (clo_failed(clo_os_dir_temporary("clo-sim-", f.directory))) return -1;
    if (clo_failed(clo_tee_sim_open(&f.sim, f.directory))) return -1;
    memset(f.measurement, 0x4d, sizeof f.measurement);
    memset(f.host_data, 0x48, sizeof f.host_data);
    memset(f.report_data, 0x52, sizeof f.report_data);
    clo_buf_init(&f.bundle, 64 * 1024);
    f.now = (int64_t)time(NULL);
    *state = &f;
    return clo_failed(clo_tee_sim_report(f.sim, f.measurement, f.host_data, f.report_data, &f.bundle)) ? -1 : 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    clo_buf_free(&f->bundle);
    clo_tee_sim_free(&f->sim);
    return clo_failed(clo_os_tree_remove(f->directory)) ? -1 : 0;
}

static clo_attest_policy policy_of(const fixture *f)
{
    clo_attest_policy p;
    clo_attest_policy_init(&p);
    p.allow_simulated = true;
    p.root_count = 1;
    clo_tee_sim_root_sha256(f->sim, p.roots[0]);
    p.measurement_count = 1;
    memcpy(p.measurements[0], f->measurement, 48);
    p.have_host_data = true;
    memcpy(p.host_data, f->host_data, 32);
    p.have_report_data = true;
    memcpy(p.report_data, f->report_data, 64);
    return p;
}

static clo_attest_result result;

static const char *verdict(clo_span bundle, const clo_attest_policy *p, int64_t now)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_err e = clo_attest_verify_bundle(&a, NULL, bundle, p, now, &result);
    if (clo_failed(e)) return clo_err_name(e);
    return result.valid ? "valid" : result.reason;
}

static void test_accepts_what_it_should(void **state)
{
    fixture *f = *state;
    clo_attest_policy p = policy_of(f);
    assert_string_equal(verdict(clo_buf_span(&f->bundle), &p, f->now), "valid");
    assert_string_equal(result.tee, "sim");
    assert_true(result.valid_until > f->now);
    for (size_t i = 0; i < result.check_count; i++) assert_true(result.checks[i].ok);
}

static void test_refuses_by_reason(void **state)
{
    fixture *f = *state;
    clo_span b = clo_buf_span(&f->bundle);
    clo_attest_policy p = policy_of(f);
    p.allow_simulated = false;
    assert_string_equal(verdict(b, &p, f->now), "simulated");
    assert_code(clo_attest_deny(&result, "agreement x"), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "evidence.simulated");
    p = policy_of(f);
    p.root_count = 0;
    assert_string_equal(verdict(b, &p, f->now), "wrong_root");
    p = policy_of(f);
    p.roots[0][5] ^= 1;
    assert_string_equal(verdict(b, &p, f->now), "wrong_root");
    p = policy_of(f);
    p.measurements[0][0] ^= 1;
    assert_string_equal(verdict(b, &p, f->now), "measurement_mismatch");
    p = policy_of(f);
    p.host_data[31] ^= 1;
    assert_string_equal(verdict(b, &p, f->now), "host_data_mismatch");
    p = policy_of(f);
    p.report_data[63] ^= 1;
    assert_string_equal(verdict(b, &p, f->now), "report_data_mismatch");
    p = policy_of(f);
    p.min_reported_tcb = (clo_attest_tcb){.have = true, .ucode = 2};
    assert_string_equal(verdict(b, &p, f->now), "tcb_too_low");
    p = policy_of(f);
    p.chip_count = 1;
    assert_string_equal(verdict(b, &p, f->now), "chip_not_allowed");
    p = policy_of(f);
    p.id_key_count = 1;
    p.id_keys[0][0] = 1;
    assert_string_equal(verdict(b, &p, f->now), "id_key_mismatch");
    p = policy_of(f);
    int64_t ten_years = 3653 * (int64_t)86400;
    assert_string_equal(verdict(b, &p, f->now + ten_years), "expired");
    assert_string_equal(verdict(b, &p, f->now - ten_years), "not_yet_valid");
}

static clo_attest_bundle decoded(const fixture *f, clo_arena *a)
{
    clo_attest_bundle b;
    assert_ok(clo_attest_bundle_decode(a, clo_buf_span(&f->bundle), &b));
    return b;
}

static const char *verdict_of(const clo_attest_bundle *b, const clo_attest_policy *p, int64_t now)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 64 * 1024);
    assert_ok(clo_attest_bundle_encode(b, &bytes));
    return verdict(clo_buf_span(&bytes), p, now);
}

static void test_missing_and_foreign_parts(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p = policy_of(f);
    clo_attest_bundle whole = decoded(f, &a), b = whole;
    b.crl.n = 0;
    assert_string_equal(verdict_of(&b, &p, f->now), "collateral_missing");
    p.require_crl = false;
    assert_string_equal(verdict_of(&b, &p, f->now), "valid");
    p = policy_of(f);
    b = whole;
    b.ek.n = 0;
    assert_string_equal(verdict_of(&b, &p, f->now), "collateral_missing");
    b = whole;
    b.chain_count = 0;
    assert_string_equal(verdict_of(&b, &p, f->now), "collateral_missing");
    b = whole;
    b.chain_count = 1;
    assert_string_equal(verdict_of(&b, &p, f->now), "bad_chain");
    b = whole;
    b.chain[1] = b.chain[0];
    assert_string_equal(verdict_of(&b, &p, f->now), "bad_chain");
    b = whole;
    b.chain[2] = b.chain[1];
    b.chain_count = 3;
    assert_string_equal(verdict_of(&b, &p, f->now), "bad_chain");
    b = whole;
    b.ek = b.chain[0];
    assert_string_equal(verdict_of(&b, &p, f->now), "bad_chain");
    b = whole;
    b.crl.n -= 1;
    assert_string_equal(verdict_of(&b, &p, f->now), "bad_collateral_signature");
    b = whole;
    b.report = b.ek;
    assert_string_equal(verdict_of(&b, &p, f->now), "malformed");
}

/* Simulated evidence under the name of hardware: refused for its root, even where the policy pins that root and allows simulation. */
static void test_never_passes_as_hardware(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p = policy_of(f);
    clo_attest_bundle b = decoded(f, &a);
    memcpy(b.tee, "snp", 4);
    assert_string_equal(verdict_of(&b, &p, f->now), "bad_chain");
    bool root_refused = false;
    for (size_t i = 0; i < result.check_count; i++) root_refused = root_refused || (strcmp(result.checks[i].name, "root") == 0 && !result.checks[i].ok);
    assert_true(root_refused);
    memcpy(b.tee, "tdx", 4);
    assert_string_equal(verdict_of(&b, &p, f->now), "malformed");
}

static void test_every_changed_byte_of_the_report(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_attest_policy p = policy_of(f), open;
    clo_attest_policy_init_open(&open);
    open.allow_simulated = true;
    open.root_count = 1;
    memcpy(open.roots[0], p.roots[0], 32);
    clo_attest_bundle b = decoded(f, &a);
    uint8_t report[1184];
    assert_int_equal(b.report.n, sizeof report);
    memcpy(report, b.report.p, sizeof report);
    b.report = clo_span_of(report, sizeof report);
    for (size_t i = 0; i < sizeof report; i++) {
        report[i] ^= (uint8_t)(1u << (i % 8));
        assert_string_not_equal(verdict_of(&b, &p, f->now), "valid");
        /* The open policy ignores only what no signature covers. */
        if (i % 16 == 0) {
            bool valid = strcmp(verdict_of(&b, &open, f->now), "valid") == 0;
            assert_int_equal(valid, i >= 0x330);
        }
        report[i] ^= (uint8_t)(1u << (i % 8));
    }
    assert_string_equal(verdict_of(&b, &p, f->now), "valid");
    for (size_t n = 0; n < sizeof report; n++) {
        b.report.n = n;
        assert_string_equal(verdict_of(&b, &p, f->now), "malformed");
    }
    uint8_t longer[1185] = {0};
    memcpy(longer, report, sizeof report);
    b.report = clo_span_of(longer, sizeof longer);
    assert_string_equal(verdict_of(&b, &p, f->now), "malformed");
    p.allow_trailing_bytes = true;
    assert_string_equal(verdict_of(&b, &p, f->now), "valid");
}

static void test_changed_and_cut_bundles(void **state)
{
    fixture *f = *state;
    clo_attest_policy p = policy_of(f);
    size_t n = f->bundle.len;
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    memcpy(bytes, f->bundle.p, n);
    for (size_t i = 0; i < n; i += 3) {
        bytes[i] ^= (uint8_t)(1u << (i % 8));
        if (strcmp(verdict(clo_span_of(bytes, n), &p, f->now), "valid") == 0) fail_msg("a change at byte %zu passes", i);
        bytes[i] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t i = 0; i < n; i += 7) assert_string_equal(verdict(clo_span_of(bytes, i), &p, f->now), "malformed");
    free(bytes);
}

static void test_through_the_provider(void **state)
{
    fixture *f = *state;
    int pair[2], stop[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe(stop), 0);
    device_thread d = {.f = f, .fd = pair[1], .stop_fd = stop[0]};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, device_run, &d), 0);
    const clo_tee_provider *tee = clo_tee_find(pair[0]);
    assert_ptr_equal(tee, &clo_tee_provider_sim);
    assert_non_null(strstr(tee->describe(), "protects nothing"));
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    clo_buf_init(&bundle, 64 * 1024);
    uint8_t asked[64];
    memset(asked, 7, sizeof asked);
    assert_ok(tee->evidence(pair[0], asked, &bundle));
    clo_attest_policy p = policy_of(f);
    memcpy(p.report_data, asked, sizeof asked);
    assert_string_equal(verdict(clo_buf_span(&bundle), &p, f->now), "valid");
    /* Sealing keys: the same again for the same context, another for another. */
    CLO_KEY32(one);
    CLO_KEY32(again);
    CLO_KEY32(other);
    assert_ok(tee->derive_sealing_key(pair[0], clo_span_str("a"), &one));
    assert_ok(tee->derive_sealing_key(pair[0], clo_span_str("a"), &again));
    assert_ok(tee->derive_sealing_key(pair[0], clo_span_str("b"), &other));
    assert_memory_equal(one.b, again.b, 32);
    assert_memory_not_equal(one.b, other.b, 32);
    /* A buffer that is too small is an error of the caller, not a half-written bundle. */
    clo_buf small;
    clo_buf_init(&small, 100);
    assert_code(tee->evidence(pair[0], asked, &small), CLO_E_TOO_LARGE);
    assert_int_equal(small.len, 0);
    clo_buf_free(&small);
    assert_int_equal(write(stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(d.code, 0);
    (void)close(pair[0]);
    (void)close(stop[0]);
    (void)close(stop[1]);
}

static void test_hostile_requests(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t n;
        uint32_t code;
    } cases[] = {
        {"", 0, 0}, {"\0\0", 2, 0}, {"\0\0\0\x40half", 8, 0}, {"\xff\xff\xff\xff", 4, CLO_E_MALFORMED}, {"\0\0\0\x3f", 4, CLO_E_MALFORMED},
        {"\0\0\0\x21Xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37, CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(write(pair[0], cases[i].bytes, cases[i].n), cases[i].n);
        (void)shutdown(pair[0], SHUT_WR);
        device_thread d = {.f = f, .fd = pair[1], .stop_fd = -1};
        (void)device_run(&d);
        assert_int_equal(d.code, cases[i].code);
        (void)close(pair[0]);
    }
}

/* A device that lies: a huge or empty reply, or silence by closing. */
static void test_hostile_device(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t code;
    } cases[] = {{"\xff\xff\xff\xff", CLO_E_MALFORMED}, {"\0\0\0\0", CLO_E_IO}, {"\0\0\x40\0", CLO_E_CLOSED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int pair[2];
        uint8_t asked[64] = {0};
        CLO_AUTO(clo_buf_free) clo_buf out;
        clo_buf_init(&out, 64 * 1024);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(write(pair[1], cases[i].bytes, 4), 4);
        (void)shutdown(pair[1], SHUT_WR);
        assert_code(clo_tee_provider_sim.evidence(pair[0], asked, &out), cases[i].code);
        assert_int_equal(out.len, 0);
        (void)close(pair[0]);
        (void)close(pair[1]);
    }
    uint8_t asked[64] = {0};
    clo_buf none;
    clo_buf_init(&none, 16);
    assert_code(clo_tee_provider_sim.evidence(-1, asked, &none), CLO_E_UNREACHABLE);
}

static void test_root_is_made_once(void **state)
{
    fixture *f = *state;
    clo_tee_sim *again = NULL;
    assert_ok(clo_tee_sim_open(&again, f->directory));
    assert_true(clo_span_equal(clo_tee_sim_root(again), clo_tee_sim_root(f->sim)));
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    clo_buf_init(&bundle, 64 * 1024);
    assert_ok(clo_tee_sim_report(again, f->measurement, f->host_data, f->report_data, &bundle));
    clo_attest_policy p = policy_of(f);
    assert_string_equal(verdict(clo_buf_span(&bundle), &p, f->now), "valid");
    clo_tee_sim_free(&again);
    assert_null(again);
    clo_tee_sim_free(&again);
    static const char *const names[] = {"ark.der", "ask.der", "vcek.der", "crl.der", "vcek.key", "sealing.key"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        struct stat st;
        (void)snprintf(path, sizeof path, "%s/%s", f->directory, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void test_damaged_root_is_refused(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"ark.der", "vcek.der", "vcek.key", "sealing.key"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char copy[300], path[512];
        (void)snprintf(copy, sizeof copy, "%s-copy%zu", f->directory, i);
        assert_ok(clo_os_tree_copy(f->directory, copy));
        (void)snprintf(path, sizeof path, "%s/%s", copy, names[i]);
        if (i == 0) assert_ok(clo_os_file_remove(path));
        if (i != 0) assert_int_equal(truncate(path, 20), 0);
        clo_tee_sim *s = NULL;
        clo_err e = clo_tee_sim_open(&s, copy);
        assert_true(clo_failed(e));
        assert_null(s);
        assert_ok(clo_os_tree_remove(copy));
    }
}

static void test_measure(void **state)
{
    (void)state;
    uint8_t by_path[48], by_fd[48], by_bytes[48];
    char path[] = "/tmp/clo-measureXXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "program", 7), 7);
    assert_ok(clo_tee_measure_sim(path, by_path));
    assert_ok(clo_tee_sim_measure_fd(fd, by_fd));
    assert_ok(clo_tee_sim_measure_bytes(clo_span_str("program"), by_bytes));
    assert_memory_equal(by_path, by_fd, 48);
    assert_memory_equal(by_path, by_bytes, 48);
    assert_ok(clo_tee_sim_measure_bytes(clo_span_str("programs"), by_bytes));
    assert_memory_not_equal(by_path, by_bytes, 48);
    (void)close(fd);
    (void)unlink(path);
    assert_code(clo_tee_measure_sim(path, by_path), CLO_E_NOT_FOUND);
    assert_code(clo_tee_measure_sim("/tmp", by_path), CLO_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_what_it_should), cmocka_unit_test(test_refuses_by_reason),
        cmocka_unit_test(test_missing_and_foreign_parts), cmocka_unit_test(test_never_passes_as_hardware),
        cmocka_unit_test(test_every_changed_byte_of_the_report), cmocka_unit_test(test_changed_and_cut_bundles),
        cmocka_unit_test(test_through_the_provider), cmocka_unit_test(test_hostile_requests), cmocka_unit_test(test_hostile_device),
        cmocka_unit_test(test_root_is_made_once), cmocka_unit_test(test_damaged_root_is_refused), cmocka_unit_test(test_measure),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
