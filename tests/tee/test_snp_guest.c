/* Proves how an SEV-SNP guest collects evidence, against a mock of the kernel: a configfs-tsm directory in a temporary place and a guest
 * device that is a function. Real reports cannot be made here; the verifier's own tests use real ones. */
#include "cmocka_all.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "os/file.h"
#include "tee/snp_guest.h"
#include "tee/tee_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The mock kernel's state. */
static struct {
    char directory[256], entry[512];
    bool tsm, device, table, other_data, disturbed_once, disturbed_always, no_auxblob, not_snp, short_report, bare_only;
    unsigned busy, calls, pauses, entries, generation;
    uint32_t firmware_status;
    uint8_t data[64];
} kernel;

static const uint8_t vcek_guid[16] = {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd};
static const uint8_t ark_guid_uefi[16] = {0xa4, 0x06, 0xb4, 0xc0, 0x03, 0xa8, 0x52, 0x49, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae};
static const uint8_t ask_guid[16] = {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82};

static void put32(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static void make_report(uint8_t report[1184])
{
    memset(report, 0, 1184);
    put32(report, 2);
    memcpy(report + 0x50, kernel.data, 64);
    if (kernel.other_data) report[0x50] ^= 1;
}

/* Three certificates of four bytes each behind their entries. */
static size_t make_table(uint8_t *table)
{
    static const uint8_t *const guids[] = {vcek_guid, ask_guid, ark_guid_uefi};
    memset(table, 0, 128);
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(table + (size_t)i * 24, guids[i], 16);
        put32(table + (size_t)i * 24 + 16, 96 + 4 * i);
        put32(table + (size_t)i * 24 + 20, 4);
        memset(table + 96 + 4 * (size_t)i, 'a' + (int)i, 4);
    }
    return 108;
}

static void put_file(const char *name, const void *bytes, size_t n)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", kernel.entry, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    (void)close(fd);
}

static void put_generation(void)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%u\n", kernel.generation);
    put_file("generation", text, (size_t)n);
}

static int mock_mkdir(const char *path, mode_t mode)
{
    errno = ENOENT;
    if (!kernel.tsm || mkdir(path, mode) != 0) return -1;
    kernel.entries++;
    kernel.generation = 0;
    (void)snprintf(kernel.entry, sizeof kernel.entry, "%s", path);
    put_file("inblob", "", 0);
    put_file("provider", kernel.not_snp ? "tdx_guest\n" : "sev_guest\n", 10);
    put_generation();
    return 0;
}

static int mock_rmdir(const char *path)
{
    kernel.entries--;
    return clo_failed(clo_os_tree_remove(path)) ? -1 : 0;
}

/* Reading outblob makes the report from what stands in inblob, as the kernel does. */
static int mock_open(const char *path, int flags)
{
    if (strcmp(path, "/mock/sev-guest") == 0) return kernel.device ? open("/dev/null", flags) : -1;
    const char *name = strrchr(path, '/') + 1;
    if (strcmp(name, "outblob") == 0) {
        char inblob[600];
        uint8_t report[1184];
        (void)snprintf(inblob, sizeof inblob, "%s/inblob", kernel.entry);
        int fd = open(inblob, O_RDONLY);
        assert_int_equal(read(fd, kernel.data, 64), 64);
        (void)close(fd);
        make_report(report);
        put_file("outblob", report, kernel.short_report ? 1183 : 1184);
        if (kernel.disturbed_once || kernel.disturbed_always) {
            kernel.disturbed_once = false;
            kernel.generation++;
            put_generation();
        }
    }
    if (strcmp(name, "auxblob") == 0) {
        uint8_t table[128];
        if (kernel.no_auxblob) {
            errno = ENOENT;
            return -1;
        }
        put_file("auxblob", table, kernel.table ? make_table(table) : 0);
    }
    return open(path, flags);
}

typedef struct {
    uint8_t version;
    uint64_t request, response, info;
} mock_call;

static int mock_control(int fd, unsigned long number, void *argument)
{
    (void)fd;
    mock_call *c = argument;
    uint8_t *request = (uint8_t *)(uintptr_t)c->request, *response = (uint8_t *)(uintptr_t)c->response; // NOLINT(performance-no-int-to-ptr)
    kernel.calls++;
    assert_int_equal(c->version, 1);
    if (kernel.busy > 0) {
        kernel.busy--;
        c->info = (uint64_t)2 << 32;
        errno = EIO;
        return -1;
    }
    unsigned which = (unsigned)(number & 0xff);
    if (which == 1) {
        memset(response + 32, 0x5a, 32);
        return 0;
    }
    memcpy(kernel.data, request, 64);
    if (which == 2) {
        uint64_t address = 0;
        uint32_t length = 0;
        memcpy(&address, request + 96, 8);
        memcpy(&length, request + 104, 4);
        if (kernel.bare_only) {
            errno = ENOTTY;
            return -1;
        }
        if (kernel.table && length < 20000) {
            length = 20480;
            memcpy(request + 104, &length, 4);
            c->info = (uint64_t)1 << 32;
            errno = ENOSPC;
            return -1;
        }
        if (kernel.table) (void)make_table((uint8_t *)(uintptr_t)address); // NOLINT(performance-no-int-to-ptr)
    }
    put32(response, kernel.firmware_status);
    put32(response + 4, 1184);
    make_report(response + 32);
    return 0;
}

static void mock_pause(unsigned ms)
{
    (void)ms;
    kernel.pauses++;
}

static clo_tee_guest_host host(void)
{
    clo_tee_guest_host h = {.tsm_directory = kernel.directory,
                          .sev_device = "/mock/sev-guest",
                          .make_directory = mock_mkdir,
                          .remove_directory = mock_rmdir,
                          .open_file = mock_open,
                          .control = mock_control,
                          .pause_ms = mock_pause};
    return h;
}

static int start(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    return clo_failed(clo_os_dir_temporary("clo-tsm-", kernel.directory)) ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    /* Whatever happened, no entry is left behind. */
    if (kernel.entries != 0) return -1;
    return clo_failed(clo_os_tree_remove(kernel.directory)) ? -1 : 0;
}

static clo_err ask(clo_arena *a, clo_buf *bytes, clo_attest_bundle *b)
{
    uint8_t data[64];
    memset(data, 0x33, sizeof data);
    clo_tee_guest_host h = host();
    CLO_TRY(clo_tee_snp_evidence(&h, data, bytes));
    CLO_TRY(clo_attest_bundle_decode(a, clo_buf_span(bytes), b));
    assert_string_equal(b->tee, "snp");
    assert_int_equal(b->report.n, 1184);
    assert_memory_equal(b->report.p + 0x50, data, 64);
    return CLO_OK;
}

#define OPEN_CASE                                    \
    CLO_AUTO(clo_arena_free) clo_arena a;            \
    CLO_AUTO(clo_buf_free) clo_buf bytes;            \
    clo_attest_bundle b = {.tee = ""};               \
    clo_arena_init(&a, 1 << 20);                     \
    clo_buf_init(&bytes, 64 * 1024)

static void assert_certificates(const clo_attest_bundle *b)
{
    assert_true(clo_span_equal(b->ek, clo_span_str("aaaa")));
    assert_int_equal(b->chain_count, 2);
    assert_true(clo_span_equal(b->chain[0], clo_span_str("bbbb")));
    assert_true(clo_span_equal(b->chain[1], clo_span_str("cccc")));
}

static void test_tsm(void **state)
{
    (void)state;
    OPEN_CASE;
    kernel.tsm = true;
    kernel.table = true;
    assert_ok(ask(&a, &bytes, &b));
    assert_certificates(&b);
    clo_buf_clear(&bytes);
    kernel.table = false;
    assert_ok(ask(&a, &bytes, &b));
    assert_int_equal(b.ek.n + b.chain_count, 0);
    clo_buf_clear(&bytes);
    kernel.no_auxblob = true;
    assert_ok(ask(&a, &bytes, &b));
    assert_int_equal(b.ek.n, 0);
    clo_tee_guest_host h = host();
    assert_true(clo_tee_snp_present(&h));
}

static void test_tsm_disturbed(void **state)
{
    (void)state;
    OPEN_CASE;
    kernel.tsm = true;
    kernel.disturbed_once = true;
    assert_ok(ask(&a, &bytes, &b));
    assert_int_equal(kernel.pauses, 1);
    clo_buf_clear(&bytes);
    kernel.disturbed_always = true;
    assert_code(ask(&a, &bytes, &b), CLO_E_AGAIN);
    kernel.disturbed_always = false;
    kernel.other_data = true;
    assert_code(ask(&a, &bytes, &b), CLO_E_MALFORMED);
    kernel.other_data = false;
    kernel.short_report = true;
    assert_code(ask(&a, &bytes, &b), CLO_E_MALFORMED);
    assert_int_equal(bytes.len, 0);
}

static void test_no_snp(void **state)
{
    (void)state;
    OPEN_CASE;
    assert_code(ask(&a, &bytes, &b), CLO_E_UNREACHABLE);
    kernel.tsm = true;
    kernel.not_snp = true;
    assert_code(ask(&a, &bytes, &b), CLO_E_UNREACHABLE);
    /* Another TEE's configfs-tsm is none of SNP's. */
    clo_tee_guest_host h = host();
    assert_false(clo_tee_snp_present(&h));
    kernel.not_snp = false;
    assert_true(clo_tee_snp_present(&h));
}

static void test_device(void **state)
{
    (void)state;
    OPEN_CASE;
    kernel.device = true;
    assert_ok(ask(&a, &bytes, &b));
    assert_int_equal(b.ek.n, 0);
    clo_buf_clear(&bytes);
    kernel.table = true; /* the host first asks for more room */
    assert_ok(ask(&a, &bytes, &b));
    assert_certificates(&b);
    clo_buf_clear(&bytes);
    kernel.bare_only = true;
    assert_ok(ask(&a, &bytes, &b));
    assert_int_equal(b.ek.n, 0);
    clo_buf_clear(&bytes);
    kernel.bare_only = false;
    kernel.busy = 3;
    assert_ok(ask(&a, &bytes, &b));
    assert_int_equal(kernel.pauses, 3);
    clo_buf_clear(&bytes);
    kernel.busy = 1000;
    kernel.calls = 0;
    assert_code(ask(&a, &bytes, &b), CLO_E_AGAIN);
    assert_true(kernel.calls <= 10);
    kernel.busy = 0;
    kernel.firmware_status = 0x16;
    assert_code(ask(&a, &bytes, &b), CLO_E_MALFORMED);
}

static void test_derived_key(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    CLO_KEY32(one);
    CLO_KEY32(again);
    CLO_KEY32(other);
    assert_code(clo_tee_snp_derive_key(&h, clo_span_str("a"), &one), CLO_E_UNREACHABLE);
    kernel.device = true;
    assert_ok(clo_tee_snp_derive_key(&h, clo_span_str("a"), &one));
    assert_ok(clo_tee_snp_derive_key(&h, clo_span_str("a"), &again));
    assert_ok(clo_tee_snp_derive_key(&h, clo_span_str("b"), &other));
    assert_memory_equal(one.b, again.b, 32);
    assert_memory_not_equal(one.b, other.b, 32);
}

static void test_certificate_tables(void **state)
{
    (void)state;
    uint8_t table[128];
    clo_tee_snp_certificates c;
    size_t n = make_table(table);
    assert_ok(clo_tee_snp_certificates_parse(clo_span_of(table, n), &c));
    assert_int_equal(c.vcek.n, 4);
    assert_int_equal(c.vlek.n, 0);
    assert_ok(clo_tee_snp_certificates_parse(clo_span_of(NULL, 0), &c));
    assert_int_equal(c.vcek.n, 0);
    for (size_t cut = 1; cut < n; cut++) assert_true(clo_failed(clo_tee_snp_certificates_parse(clo_span_of(table, cut), &c)));
    put32(table + 16, 0xfffffff0);
    assert_code(clo_tee_snp_certificates_parse(clo_span_of(table, n), &c), CLO_E_RANGE);
    (void)make_table(table);
    put32(table + 20, 0xffffffff);
    assert_code(clo_tee_snp_certificates_parse(clo_span_of(table, n), &c), CLO_E_RANGE);
    (void)make_table(table);
    memcpy(table + 24, vcek_guid, 16);
    assert_code(clo_tee_snp_certificates_parse(clo_span_of(table, n), &c), CLO_E_DUPLICATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tsm, start, stop),
        cmocka_unit_test_setup_teardown(test_tsm_disturbed, start, stop),
        cmocka_unit_test_setup_teardown(test_no_snp, start, stop),
        cmocka_unit_test_setup_teardown(test_device, start, stop),
        cmocka_unit_test_setup_teardown(test_derived_key, start, stop),
        cmocka_unit_test(test_certificate_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
