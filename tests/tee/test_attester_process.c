/* Proves that a hardware TEE's device can be asked from within the runtime's sandbox: a process made before keeps it, answers evidence and keys over
 * a line, says when the device fails, and ends with the line. The device is a provider made up here that opens a file for each answer. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "os/file.h"
#include "os/sandbox.h"
#include "tee/attester_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool fake_probe(int device) { return device < 0; }

/* The report data backwards, if the device's file can be opened; data that begin with 0xee it refuses. */
static clo_err fake_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    CLO_AUTO(clo_os_fd_close) int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CLO_CHECKF(fd >= 0 && report_data[0] != 0xee, CLO_E_IO, "the device refuses");
    for (size_t i = 64; i-- > 0;) CLO_TRY(clo_buf_put_u8(out, report_data[i]));
    return CLO_OK;
}

static clo_err fake_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    CLO_CHECKF(context.n == 32, CLO_E_RANGE, "another context");
    for (size_t i = 0; i < 32; i++) out->b[i] = (uint8_t)(context.p[i] ^ 0x55);
    return CLO_OK;
}

static clo_err no_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    (void)context;
    (void)out;
    return CLO_FAILF(CLO_E_UNSUPPORTED, "no keys here");
}

static const char *fake_describe(void) { return "made up"; }
static const clo_tee_provider fake = {"fake", fake_probe, fake_evidence, fake_key, fake_describe};
static const clo_tee_provider keyless = {"keyless", fake_probe, fake_evidence, no_key, fake_describe};

/* Evidence over n bytes of value first, as it must be. */
static clo_err ask(int fd, uint8_t first)
{
    CLO_AUTO(clo_buf_free) clo_buf out;
    uint8_t data[64];
    for (size_t i = 0; i < 64; i++) data[i] = (uint8_t)(first + i);
    clo_buf_init(&out, 64 * 1024);
    CLO_TRY(clo_tee_provider_sim.evidence(fd, data, &out));
    CLO_CHECK(out.len == 64 && out.p[63] == first && out.p[0] == (uint8_t)(first + 63), CLO_E_MALFORMED);
    return CLO_OK;
}

static void test_asked_over_a_line(void **state)
{
    (void)state;
    int fd = -1;
    CLO_KEY32(one);
    CLO_KEY32(two);
    assert_ok(clo_tee_attester_start(&fake, NULL, 0, &fd));
    assert_ok(ask(fd, 1));
    assert_ok(ask(fd, 2));
    assert_code(ask(fd, 0xee), CLO_E_IO);
    assert_ok(ask(fd, 3)); /* one failure is not the end */
    assert_ok(clo_tee_provider_sim.derive_sealing_key(fd, clo_span_str("a"), &one));
    assert_ok(clo_tee_provider_sim.derive_sealing_key(fd, clo_span_str("b"), &two));
    assert_memory_not_equal(one.b, two.b, 32);
    (void)close(fd);
    int status = 0;
    assert_true(wait(&status) > 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_ok(clo_tee_attester_start(&keyless, NULL, 0, &fd));
    assert_code(clo_tee_provider_sim.derive_sealing_key(fd, clo_span_str("a"), &one), CLO_E_IO);
    assert_int_equal(write(fd, "\xff\xff\xff\xff", 4), 4); /* a frame of no kind ends it */
    assert_true(wait(&status) > 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_true(clo_failed(ask(fd, 1)));
    (void)close(fd);
}

static void test_keeps_nothing_foreign(void **state)
{
    (void)state;
    int fd = -1, ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_ok(clo_tee_attester_start(&fake, &ends[1], 1, &fd));
    (void)close(ends[1]);
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1); /* nobody holds the other end */
    assert_true((p.revents & POLLHUP) != 0);
    (void)close(ends[0]);
    assert_ok(ask(fd, 9));
    (void)close(fd);
    (void)wait(NULL);
}

/* The runtime's own layers: the device is out of its reach, the line is not. */
static int sandboxed(void)
{
    int fd = -1;
    clo_os_sandbox_report report = {.landlock_abi = 0};
    clo_os_limits limits = {.open_files_max = 64};
    clo_os_seccomp filter = {.profile = CLO_OS_PROFILE_RUNTIME};
    CLO_AUTO(clo_buf_free) clo_buf out;
    uint8_t data[64] = {0};
    clo_buf_init(&out, 1024);
    if (clo_failed(clo_tee_attester_start(&fake, NULL, 0, &fd))) return 10;
    if (clo_failed(clo_os_sandbox_harden(&report, &limits)) || clo_failed(clo_os_sandbox_deny_paths(&report))) return 11;
    if (clo_failed(clo_os_sandbox_system_calls(&report, &filter))) return 12;
    if (!clo_failed(fake.evidence(-1, data, &out))) return 13;
    if (clo_failed(ask(fd, 7))) return 14;
    return clo_failed(ask(fd, 8)) ? 15 : 0;
}

static void test_within_the_sandbox(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(sandboxed());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The first that probes, in the order given. */
static void test_first_that_is_there(void **state)
{
    (void)state;
    const clo_tee_provider *const list[] = {&clo_tee_provider_sim, &keyless, &fake};
    assert_ptr_equal(clo_tee_find_in(list, 3, -1), &keyless);
    assert_ptr_equal(clo_tee_find_in(list, 3, 0), &clo_tee_provider_sim);
    assert_null(clo_tee_find_in(list, 1, -1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_over_a_line),
        cmocka_unit_test(test_keeps_nothing_foreign),
        cmocka_unit_test(test_within_the_sandbox),
        cmocka_unit_test(test_first_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
