/* Proves Nitro evidence end to end: a security module on the other end of a socket signs under a test root what the provider asks it for, and the
 * product's verifier accepts the bundle under that root, for this data alone. */
#include "cmocka_all.h"

#include "attest/attest.h"
#include "attest/nitro_fixture.h"
#include "base/clo_own.h"
#include "tee/nitro_guest.h"
#include "wire/cbor.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_MAX = 0x3000 };
static nitro_fixture fixture;
static clo_attest_result result;
static pthread_t module_thread;
static int module_line[2]; /* the enclave's end, the module's end */

/* One request, one answer, until the enclave hangs up. Datagrams keep them apart. */
static void *module_run(void *argument)
{
    (void)argument;
    static uint8_t request[MESSAGE_MAX];
    for (ssize_t n = 0; (n = read(module_line[1], request, sizeof request)) > 0;) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf document;
        CLO_AUTO(clo_buf_free) clo_buf answer;
        clo_wire_node *root = NULL, *body = NULL, *asked = NULL;
        clo_arena_init(&a, 1 << 20);
        clo_buf_init(&document, MESSAGE_MAX);
        clo_buf_init(&answer, MESSAGE_MAX);
        if (clo_failed(clo_wire_cbor_decode(&a, clo_span_of(request, (size_t)n), NULL, &asked))) return NULL;
        nitro_wishes wishes = {.user_data = clo_wire_get(clo_wire_get(asked, "Attestation"), "user_data")->text};
        if (clo_failed(nitro_fixture_document(&fixture, &wishes, &document)) || clo_failed(clo_wire_map(&a, &root)) || clo_failed(clo_wire_map(&a, &body)) ||
            clo_failed(clo_wire_set_bytes(&a, body, "document", clo_buf_span(&document))) || clo_failed(clo_wire_set(&a, root, "Attestation", body)) ||
            clo_failed(clo_wire_cbor_encode(root, &answer)) || write(module_line[1], answer.p, answer.len) < 0)
            return NULL;
    }
    return NULL;
}

typedef struct {
    uint64_t request, request_bytes, response, response_bytes;
} nsm_call;

static int line_open(const char *path, int flags)
{
    (void)flags;
    if (strcmp(path, "/mock/nsm") == 0) return dup(module_line[0]);
    errno = ENOENT;
    return -1;
}

static int line_control(int fd, unsigned long number, void *argument)
{
    (void)number;
    nsm_call *c = argument;
    if (write(fd, (const void *)(uintptr_t)c->request, c->request_bytes) < 0) return -1; // NOLINT(performance-no-int-to-ptr)
    ssize_t n = read(fd, (void *)(uintptr_t)c->response, c->response_bytes);             // NOLINT(performance-no-int-to-ptr)
    if (n < 0) return -1;
    c->response_bytes = (uint64_t)n;
    return 0;
}

static void line_pause(unsigned ms) { (void)ms; }

static int set_up(void **state)
{
    (void)state;
    if (clo_failed(nitro_fixture_start(&fixture, NITRO_NOW)) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, module_line) != 0) return -1;
    return pthread_create(&module_thread, NULL, module_run, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    (void)close(module_line[0]);
    (void)pthread_join(module_thread, NULL);
    (void)close(module_line[1]);
    nitro_fixture_end(&fixture);
    return 0;
}

static const char *verdict(clo_span bundle, uint8_t first, bool custom_root)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_attest_policy p;
    clo_arena_init(&a, 8 << 20);
    clo_attest_policy_init_open(&p);
    p.custom_root = custom_root;
    p.have_report_data = true;
    memset(p.report_data, 0x11, 64);
    p.report_data[0] = first;
    const clo_attest_part evidence = {"bundle", bundle}, root = {"root", nitro_fixture_root(&fixture)};
    assert_ok(clo_attest_verify(&a, "nitro", &evidence, 1, &root, 1, &p, NITRO_NOW, &result));
    return result.valid ? "valid" : result.reason;
}

static void test_module_on_a_socket(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    const clo_tee_guest_host host = {.nsm_device = "/mock/nsm", .open_file = line_open, .control = line_control, .pause_ms = line_pause};
    uint8_t data[64];
    memset(data, 0x11, sizeof data);
    clo_buf_init(&bundle, 64 * 1024);
    assert_true(clo_tee_nitro_present(&host));
    for (unsigned i = 0; i < 3; i++) {
        clo_buf_clear(&bundle);
        assert_ok(clo_tee_nitro_evidence(&host, data, &bundle));
        assert_string_equal(verdict(clo_buf_span(&bundle), 0x11, true), "valid");
    }
    assert_string_equal(verdict(clo_buf_span(&bundle), 0x12, true), "report_data_mismatch");
    assert_string_equal(verdict(clo_buf_span(&bundle), 0x11, false), "wrong_root");
    bundle.p[bundle.len / 2] ^= 1;
    assert_string_not_equal(verdict(clo_buf_span(&bundle), 0x11, true), "valid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_module_on_a_socket)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
