/* Proves how TDX, Nitro and SGX guests collect evidence, against mocks of the device boundary: a configfs-tsm tree, device calls that are
 * functions, a quoting service on a socket, Gramine's files in a temporary directory. Every device is also absent, busy, short, oversized
 * and hostile. What a verifier says of real evidence is the verifiers' tests' business. */
#include "cmocka_all.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "os/file.h"
#include "tee/gramine_guest.h"
#include "tee/nitro_guest.h"
#include "tee/snp_guest.h"
#include "tee/tdx_guest.h"
#include "tee/tdx_quoting.h"
#include "wire/cbor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUOTE = 1200, DOCUMENT_MAX = 0x3000 };

/* The mock kernel's state. */
static struct {
    char directory[256], entry[512];
    const char *provider; /* of configfs-tsm; NULL = absent */
    bool tdx_device, nsm_device, other_data, disturbed, short_write;
    size_t quote_size;
    unsigned version, busy, calls, pauses, entries, generation;
    int fail_with; /* errno of a device call, 0 = none */
    /* NSM */
    const char *nsm_error;
    bool nsm_garbage, nsm_bare, nsm_other_verb;
    uint64_t nsm_length; /* 0 = the right one */
    bool locked[32];
    uint8_t pcr[32][48];
} kernel;

static void put_file(const char *name, const void *bytes, size_t n)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/%s", kernel.entry, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    (void)close(fd);
}

static size_t get_file(const char *name, uint8_t *to, size_t n)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/%s", kernel.entry, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t got = read(fd, to, n);
    (void)close(fd);
    return (size_t)got;
}

static void put_generation(void)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%u\n", kernel.generation);
    put_file("generation", text, (size_t)n);
}

/* The part of a quote that the guest looks at. */
static void make_quote(uint8_t quote[QUOTE], const uint8_t data[64])
{
    memset(quote, 0x77, QUOTE);
    quote[0] = (uint8_t)kernel.version;
    quote[1] = 0;
    size_t at = kernel.version == 3 ? 48 + 320 : kernel.version == 5 ? 54 + 520 : 48 + 520;
    memcpy(quote + at, data, 64);
    if (kernel.other_data) quote[at + 63] ^= 1;
}

static int mock_mkdir(const char *path, mode_t mode)
{
    errno = ENOENT;
    if (kernel.provider == NULL || mkdir(path, mode) != 0) return -1;
    kernel.entries++;
    kernel.generation = 3;
    (void)snprintf(kernel.entry, sizeof kernel.entry, "%s", path);
    put_file("inblob", "", 0);
    put_file("provider", kernel.provider, strlen(kernel.provider));
    put_generation();
    return 0;
}

static int mock_rmdir(const char *path)
{
    kernel.entries--;
    return clo_failed(clo_os_tree_remove(path)) ? -1 : 0;
}

static int device_open(bool there)
{
    if (there) return open("/dev/null", O_RDWR);
    errno = ENOENT;
    return -1;
}

static int mock_open(const char *path, int flags)
{
    if (strcmp(path, "/mock/tdx") == 0) return device_open(kernel.tdx_device);
    if (strcmp(path, "/mock/nsm") == 0) return device_open(kernel.nsm_device);
    if (strcmp(path, "/mock/sev") == 0) return device_open(false);
    const char *name = strrchr(path, '/') + 1;
    if (strcmp(name, "outblob") == 0 || strcmp(name, "quote") == 0) {
        uint8_t data[64], quote[QUOTE];
        if (kernel.busy > 0) {
            kernel.busy--;
            errno = strcmp(name, "quote") == 0 ? EBUSY : EWOULDBLOCK;
            return -1;
        }
        if (strcmp(name, "quote") == 0) (void)snprintf(kernel.entry, sizeof kernel.entry, "%s", kernel.directory);
        assert_int_equal(get_file(strcmp(name, "quote") == 0 ? "user_report_data" : "inblob", data, 64), 64);
        make_quote(quote, data);
        if (kernel.quote_size > QUOTE) {
            uint8_t *huge = calloc(1, kernel.quote_size);
            put_file(name, huge, kernel.quote_size);
            free(huge);
        } else {
            put_file(name, quote, kernel.quote_size);
        }
        if (kernel.disturbed) {
            kernel.generation++;
            put_generation();
        }
    }
    if (kernel.short_write && (flags & O_ACCMODE) == O_WRONLY) return open("/dev/full", flags);
    return open(path, flags);
}

static void nsm_answer(const clo_wire_node *request, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_wire_node *root = NULL, *body = NULL;
    const char *verb = request->type == CLO_WIRE_TEXT ? (const char *)request->text.p : (const char *)request->first->key->text.p;
    assert_ok(clo_wire_map(&a, &root));
    assert_ok(clo_wire_map(&a, &body));
    if (kernel.nsm_error != NULL) {
        assert_ok(clo_wire_set_text(&a, root, "Error", kernel.nsm_error));
        assert_ok(clo_wire_cbor_encode(root, out));
        return;
    }
    const clo_wire_node *index = request->type == CLO_WIRE_MAP ? clo_wire_get(request->first, "index") : NULL;
    if (strcmp(verb, "Attestation") == 0) {
        const clo_wire_node *data = clo_wire_get(request->first, "user_data");
        assert_non_null(clo_wire_get(request->first, "nonce"));
        assert_int_equal(clo_wire_get(request->first, "public_key")->type, CLO_WIRE_NULL);
        clo_wire_node *payload = NULL, *list = NULL, *one = NULL;
        CLO_AUTO(clo_buf_free) clo_buf bytes;
        clo_buf_init(&bytes, 4096);
        assert_ok(clo_wire_map(&a, &payload));
        uint8_t held[64];
        memcpy(held, data->text.p, 64);
        if (kernel.other_data) held[0] ^= 1;
        assert_ok(clo_wire_set_bytes(&a, payload, "user_data", clo_span_of(held, 64)));
        assert_ok(clo_wire_cbor_encode(payload, &bytes));
        assert_ok(clo_wire_array(&a, &list));
        clo_span parts[4] = {clo_span_str("p"), clo_span_str("u"), clo_buf_span(&bytes), clo_span_str("s")};
        for (size_t i = 0; i < 4; i++) {
            assert_ok(clo_wire_bytes(&a, parts[i], &one));
            assert_ok(clo_wire_append(list, one));
        }
        clo_buf_clear(&bytes);
        assert_ok(clo_wire_cbor_encode(list, &bytes));
        assert_ok(clo_wire_set_bytes(&a, body, "document", clo_buf_span(&bytes)));
    } else if (strcmp(verb, "DescribePCR") == 0 || strcmp(verb, "ExtendPCR") == 0) {
        uint8_t *pcr = kernel.pcr[index->integer];
        if (verb[0] == 'E') pcr[0] = (uint8_t)(pcr[0] + clo_wire_get(request->first, "data")->text.p[0]);
        assert_ok(clo_wire_set_bytes(&a, body, "data", clo_span_of(pcr, 48)));
        if (verb[0] == 'D') assert_ok(clo_wire_set_bool(&a, body, "lock", kernel.locked[index->integer]));
    } else if (strcmp(verb, "LockPCR") == 0) {
        kernel.locked[index->integer] = true;
        assert_ok(clo_wire_text(&a, clo_span_str("LockPCR"), &root));
    } else {
        assert_string_equal(verb, "GetRandom");
        uint8_t random[100];
        memset(random, 0x40 + (int)kernel.calls, sizeof random);
        assert_ok(clo_wire_set_bytes(&a, body, "random", clo_span_of(random, sizeof random)));
    }
    if (kernel.nsm_bare) assert_ok(clo_wire_text(&a, clo_span_str(verb), &root));
    if (root->type == CLO_WIRE_MAP) assert_ok(clo_wire_set(&a, root, kernel.nsm_other_verb ? "Other" : verb, body));
    assert_ok(clo_wire_cbor_encode(root, out));
}

typedef struct {
    uint64_t request, request_bytes, response, response_bytes;
} nsm_call;

static int mock_nsm(nsm_call *c)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(&out, DOCUMENT_MAX);
    clo_wire_node *request = NULL;
    assert_int_equal(c->response_bytes, DOCUMENT_MAX);
    assert_ok(clo_wire_cbor_decode(&a, clo_span_of((const void *)(uintptr_t)c->request, c->request_bytes), NULL, &request)); // NOLINT(performance-no-int-to-ptr)
    nsm_answer(request, &out);
    if (kernel.nsm_garbage) memset(out.p, 0xff, out.len);
    memcpy((void *)(uintptr_t)c->response, out.p, out.len); // NOLINT(performance-no-int-to-ptr)
    c->response_bytes = kernel.nsm_length != 0 ? kernel.nsm_length : out.len;
    return 0;
}

static int mock_control(int fd, unsigned long number, void *argument)
{
    (void)fd;
    kernel.calls++;
    if (kernel.busy > 0) {
        kernel.busy--;
        errno = EBUSY;
        return -1;
    }
    if (kernel.fail_with != 0) {
        errno = kernel.fail_with;
        return -1;
    }
    if ((number >> 8 & 0xff) == 0x0a) return mock_nsm(argument);
    assert_int_equal(number >> 8 & 0xff, 'T');
    uint8_t *both = argument;
    memset(both + 64, 0, 1024);
    memcpy(both + 64 + 128, both, 64);
    if (kernel.other_data) both[64 + 128] ^= 1;
    return 0;
}

static void mock_pause(unsigned ms)
{
    (void)ms;
    kernel.pauses++;
}

/* The quoting service on the other end of a socket. */
static struct {
    uint32_t error, announce, quote_extra;
    bool hang_up, other_type;
} service;

static void put32(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static void *service_run(void *argument)
{
    int fd = *(int *)argument;
    uint8_t request[4 + 16 + 8 + 1024], answer[4 + 16 + 8 + QUOTE] = {0};
    size_t have = 0;
    while (have < sizeof request) {
        ssize_t n = read(fd, request + have, sizeof request - have);
        if (n <= 0) return NULL;
        have += (size_t)n;
    }
    uint32_t size = sizeof answer - 4;
    if (service.announce != 0) size = service.announce;
    answer[0] = (uint8_t)(size >> 24);
    answer[1] = (uint8_t)(size >> 16);
    answer[2] = (uint8_t)(size >> 8);
    answer[3] = (uint8_t)size;
    answer[4] = 1;
    put32(answer + 8, service.other_type ? 0 : 1);
    put32(answer + 12, sizeof answer - 4);
    put32(answer + 16, service.error);
    put32(answer + 24, QUOTE + service.quote_extra);
    make_quote(answer + 28, request + 28 + 128);
    ssize_t put = write(fd, answer, service.hang_up ? 30 : sizeof answer);
    (void)put;
    (void)close(fd);
    return NULL;
}

static clo_err mock_quote(const uint8_t td_report[1024], clo_buf *quote)
{
    int fds[2];
    pthread_t thread;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(pthread_create(&thread, NULL, service_run, &fds[1]), 0);
    clo_err e = clo_tee_tdx_quote_over(fds[0], td_report, quote);
    (void)close(fds[0]);
    (void)pthread_join(thread, NULL);
    return e;
}

static clo_tee_guest_host host(void)
{
    clo_tee_guest_host h = {.tsm_directory = kernel.directory,
                            .sev_device = "/mock/sev",
                            .tdx_device = "/mock/tdx",
                            .nsm_device = "/mock/nsm",
                            .gramine_directory = kernel.directory,
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
    memset(&service, 0, sizeof service);
    kernel.version = 4;
    kernel.quote_size = QUOTE;
    return clo_failed(clo_os_dir_temporary("clo-guests-", kernel.directory)) ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    if (kernel.entries != 0) return -1; /* no entry is left behind */
    return clo_failed(clo_os_tree_remove(kernel.directory)) ? -1 : 0;
}

typedef clo_err evidence_fn(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out);

/* Ask; what comes out must be a bundle of this kind, or nothing at all. */
static clo_err ask(evidence_fn *evidence, const clo_tee_guest_host *h, const char *tee, size_t report_size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_attest_bundle b;
    uint8_t data[64];
    memset(data, 0x33, sizeof data);
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(&bytes, 64 * 1024);
    clo_err e = evidence(h, data, &bytes);
    if (clo_failed(e)) {
        assert_int_equal(bytes.len, 0);
        return e;
    }
    assert_ok(clo_attest_bundle_decode(&a, clo_buf_span(&bytes), &b));
    assert_string_equal(b.tee, tee);
    if (report_size != 0) assert_int_equal(b.report.n, report_size);
    return CLO_OK;
}

static clo_err ask_tdx(void)
{
    clo_tee_guest_host h = host();
    return ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE);
}

static void test_tdx_by_tsm(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    assert_false(clo_tee_tdx_present(&h));
    assert_code(ask_tdx(), CLO_E_UNREACHABLE);
    kernel.provider = "tdx_guest\n";
    assert_true(clo_tee_tdx_present(&h));
    assert_ok(ask_tdx());
    kernel.version = 5;
    assert_ok(ask_tdx());
    kernel.version = 3;
    assert_code(ask_tdx(), CLO_E_MALFORMED);
    kernel.version = 4;
    kernel.other_data = true;
    assert_code(ask_tdx(), CLO_E_MALFORMED);
    kernel.other_data = false;
    kernel.quote_size = 600;
    assert_code(ask_tdx(), CLO_E_MALFORMED);
    kernel.quote_size = 0;
    assert_code(ask_tdx(), CLO_E_MALFORMED);
    kernel.quote_size = 200 * 1024;
    assert_code(ask_tdx(), CLO_E_TOO_LARGE);
}

static void test_tsm_busy(void **state)
{
    (void)state;
    kernel.provider = "tdx_guest\n";
    kernel.busy = 2;
    assert_ok(ask_tdx());
    assert_int_equal(kernel.pauses, 2);
    kernel.busy = 1000;
    assert_code(ask_tdx(), CLO_E_AGAIN);
    kernel.busy = 0;
    kernel.disturbed = true;
    assert_code(ask_tdx(), CLO_E_AGAIN);
    kernel.disturbed = false;
    kernel.short_write = true;
    assert_code(ask_tdx(), CLO_E_IO);
}

/* Requests that others left behind are stepped over, up to a number. */
static void test_tsm_full(void **state)
{
    (void)state;
    char path[400];
    kernel.provider = "tdx_guest\n";
    for (unsigned i = 0; i < 16; i++) {
        (void)snprintf(path, sizeof path, "%s/cloister-%ld-%u", kernel.directory, (long)gettid(), i);
        assert_int_equal(mkdir(path, 0700), 0);
        if (i == 14) assert_ok(ask_tdx());
    }
    assert_code(ask_tdx(), CLO_E_AGAIN);
}

/* The two that share configfs-tsm are told apart by its provider alone. */
static void test_never_confused(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    kernel.provider = "sev_guest\n";
    assert_true(clo_tee_snp_present(&h));
    assert_false(clo_tee_tdx_present(&h));
    assert_code(ask_tdx(), CLO_E_UNREACHABLE);
    kernel.provider = "tdx_guest\n";
    assert_false(clo_tee_snp_present(&h));
    assert_true(clo_tee_tdx_present(&h));
    assert_code(ask(clo_tee_snp_evidence, &h, "snp", 1184), CLO_E_UNREACHABLE);
    kernel.provider = "arm_cca_guest\n";
    assert_false(clo_tee_snp_present(&h) || clo_tee_tdx_present(&h) || clo_tee_nitro_present(&h) || clo_tee_sgx_present(&h));
}

static void test_tdx_by_device(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    kernel.tdx_device = true;
    assert_true(clo_tee_tdx_present(&h));
    assert_code(ask_tdx(), CLO_E_UNSUPPORTED); /* a TDREPORT alone */
    h.td_quote = mock_quote;
    assert_ok(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE));
    kernel.busy = 2;
    assert_ok(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE));
    kernel.busy = 1000;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_AGAIN);
    kernel.busy = 0;
    kernel.fail_with = EINVAL;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_IO);
    kernel.fail_with = 0;
    kernel.other_data = true;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_MALFORMED);
}

static void test_quoting_service(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    kernel.tdx_device = true;
    h.td_quote = mock_quote;
    service.error = 0x1200a;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_AGAIN);
    service.error = 0x12001;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_DENIED);
    service.error = 0;
    service.other_type = true;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_MALFORMED);
    service.other_type = false;
    service.quote_extra = 1;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_TRUNCATED);
    service.quote_extra = (uint32_t)-1;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_TRAILING);
    service.quote_extra = 0;
    service.hang_up = true;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_CLOSED);
    service.hang_up = false;
    service.announce = 0x7fffffff;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_MALFORMED);
    service.announce = 3;
    assert_code(ask(clo_tee_tdx_evidence, &h, "tdx", QUOTE), CLO_E_MALFORMED);
    /* Any prefix of an answer is refused. */
    uint8_t message[16 + 8 + 10] = {1, 0, 0, 0, 1, 0, 0, 0, 34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10};
    clo_span quote;
    assert_ok(clo_tee_tdx_quote_answer(clo_span_of(message, sizeof message), &quote));
    assert_int_equal(quote.n, 10);
    for (size_t n = 0; n < sizeof message; n++) assert_true(clo_failed(clo_tee_tdx_quote_answer(clo_span_of(message, n), &quote)));
}

static clo_err ask_nitro(void)
{
    clo_tee_guest_host h = host();
    return ask(clo_tee_nitro_evidence, &h, "nitro", 0);
}

static void test_nitro(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    assert_false(clo_tee_nitro_present(&h));
    assert_code(ask_nitro(), CLO_E_UNREACHABLE);
    kernel.nsm_device = true;
    assert_true(clo_tee_nitro_present(&h));
    assert_ok(ask_nitro());
    kernel.busy = 2;
    assert_ok(ask_nitro());
    kernel.busy = 1000;
    assert_code(ask_nitro(), CLO_E_AGAIN);
    kernel.busy = 0;
    kernel.fail_with = EMSGSIZE;
    assert_code(ask_nitro(), CLO_E_IO);
    kernel.fail_with = 0;
    kernel.other_data = true;
    assert_code(ask_nitro(), CLO_E_MALFORMED);
    kernel.other_data = false;
    kernel.nsm_error = "InternalError";
    assert_code(ask_nitro(), CLO_E_DENIED);
    kernel.nsm_error = NULL;
    kernel.nsm_garbage = true;
    assert_true(clo_failed(ask_nitro()));
    kernel.nsm_garbage = false;
    kernel.nsm_bare = true;
    assert_code(ask_nitro(), CLO_E_MALFORMED);
    kernel.nsm_bare = false;
    kernel.nsm_other_verb = true;
    assert_code(ask_nitro(), CLO_E_MALFORMED);
    kernel.nsm_other_verb = false;
    kernel.nsm_length = DOCUMENT_MAX + 1;
    assert_code(ask_nitro(), CLO_E_MALFORMED);
    for (kernel.nsm_length = 1; kernel.nsm_length < 60; kernel.nsm_length++) assert_true(clo_failed(ask_nitro()));
    CLO_AUTO(clo_buf_free) clo_buf document;
    clo_buf_init(&document, DOCUMENT_MAX);
    uint8_t long_data[513] = {0};
    clo_span none = {NULL, 0};
    assert_code(clo_tee_nsm_attest(&h, clo_span_of(long_data, 513), none, none, &document), CLO_E_RANGE);
}

static void test_nitro_registers(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    clo_tee_nsm_pcr pcr = {.n = 0};
    uint8_t random[250] = {0};
    assert_code(clo_tee_nsm_pcr_read(&h, 0, &pcr), CLO_E_UNREACHABLE);
    kernel.nsm_device = true;
    kernel.pcr[16][0] = 5;
    assert_ok(clo_tee_nsm_pcr_read(&h, 16, &pcr));
    assert_false(pcr.locked);
    assert_int_equal(pcr.n, 48);
    assert_int_equal(pcr.value[0], 5);
    assert_ok(clo_tee_nsm_pcr_extend(&h, 16, clo_span_str("\x02"), &pcr));
    assert_int_equal(pcr.value[0], 7);
    assert_ok(clo_tee_nsm_pcr_lock(&h, 16));
    assert_ok(clo_tee_nsm_pcr_read(&h, 16, &pcr));
    assert_true(pcr.locked);
    assert_code(clo_tee_nsm_pcr_read(&h, 32, &pcr), CLO_E_RANGE);
    assert_code(clo_tee_nsm_pcr_lock(&h, 32), CLO_E_RANGE);
    kernel.calls = 0;
    assert_ok(clo_tee_nsm_random(&h, random, sizeof random));
    assert_int_equal(kernel.calls, 3);
    assert_int_equal(random[249], 0x43);
    kernel.nsm_bare = true;
    assert_code(clo_tee_nsm_random(&h, random, sizeof random), CLO_E_MALFORMED);
    assert_int_equal(random[0], 0);
    assert_code(clo_tee_nsm_pcr_read(&h, 16, &pcr), CLO_E_MALFORMED);
    kernel.nsm_bare = false;
    kernel.nsm_error = "ReadOnlyIndex";
    assert_code(clo_tee_nsm_pcr_extend(&h, 0, clo_span_str("x"), &pcr), CLO_E_DENIED);
    assert_code(clo_tee_nsm_random(&h, random, 65537), CLO_E_RANGE);
}

static clo_err ask_sgx(void)
{
    clo_tee_guest_host h = host();
    return ask(clo_tee_sgx_evidence, &h, "sgx", QUOTE);
}

static void test_gramine(void **state)
{
    (void)state;
    clo_tee_guest_host h = host();
    CLO_KEY32(one);
    CLO_KEY32(other);
    kernel.version = 3;
    assert_false(clo_tee_sgx_present(&h));
    assert_code(ask_sgx(), CLO_E_UNREACHABLE);
    (void)snprintf(kernel.entry, sizeof kernel.entry, "%s", kernel.directory);
    put_file("attestation_type", "none", 4);
    put_file("user_report_data", "", 0);
    assert_false(clo_tee_sgx_present(&h));
    assert_code(ask_sgx(), CLO_E_UNREACHABLE);
    put_file("attestation_type", "dcap", 4);
    assert_true(clo_tee_sgx_present(&h));
    assert_ok(ask_sgx());
    kernel.busy = 1;
    assert_ok(ask_sgx());
    kernel.busy = 1000;
    assert_code(ask_sgx(), CLO_E_AGAIN);
    kernel.busy = 0;
    kernel.other_data = true;
    assert_code(ask_sgx(), CLO_E_MALFORMED);
    kernel.other_data = false;
    kernel.quote_size = 431;
    assert_code(ask_sgx(), CLO_E_MALFORMED);
    kernel.quote_size = 100 * 1024;
    assert_code(ask_sgx(), CLO_E_TOO_LARGE);
    assert_code(clo_tee_sgx_derive_key(&h, clo_span_str("a"), &one), CLO_E_UNREACHABLE);
    char keys[300];
    (void)snprintf(keys, sizeof keys, "%s/keys", kernel.directory);
    assert_int_equal(mkdir(keys, 0700), 0);
    put_file("keys/_sgx_mrenclave", "0123456789abcdef", 16);
    assert_ok(clo_tee_sgx_derive_key(&h, clo_span_str("a"), &one));
    assert_ok(clo_tee_sgx_derive_key(&h, clo_span_str("b"), &other));
    assert_memory_not_equal(one.b, other.b, 32);
    assert_ok(clo_tee_sgx_derive_key(&h, clo_span_str("a"), &other));
    assert_memory_equal(one.b, other.b, 32);
    put_file("keys/_sgx_mrenclave", "0123456789abcde", 15);
    assert_code(clo_tee_sgx_derive_key(&h, clo_span_str("a"), &one), CLO_E_MALFORMED);
    put_file("keys/_sgx_mrenclave", "0123456789abcdef0", 17);
    assert_code(clo_tee_sgx_derive_key(&h, clo_span_str("a"), &one), CLO_E_MALFORMED);
}

/* Providers without sealing keys say so, and on a machine without any TEE nothing is found. */
static void test_providers(void **state)
{
    (void)state;
    CLO_KEY32(key);
    assert_code(clo_tee_provider_tdx.derive_sealing_key(-1, clo_span_str("a"), &key), CLO_E_UNSUPPORTED);
    assert_code(clo_tee_provider_nitro.derive_sealing_key(-1, clo_span_str("a"), &key), CLO_E_UNSUPPORTED);
    assert_non_null(strstr(clo_tee_provider_tdx.describe(), "no sealing keys"));
    assert_non_null(strstr(clo_tee_provider_nitro.describe(), "no sealing keys"));
    assert_non_null(strstr(clo_tee_provider_sgx.describe(), "sealing keys"));
    const clo_tee_provider *found = clo_tee_find(-1);
    if (found != NULL) assert_string_not_equal(found->name, "sim");
    assert_ptr_equal(clo_tee_find(0), &clo_tee_provider_sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tdx_by_tsm, start, stop),
        cmocka_unit_test_setup_teardown(test_tsm_busy, start, stop),
        cmocka_unit_test_setup_teardown(test_tsm_full, start, stop),
        cmocka_unit_test_setup_teardown(test_never_confused, start, stop),
        cmocka_unit_test_setup_teardown(test_tdx_by_device, start, stop),
        cmocka_unit_test_setup_teardown(test_quoting_service, start, stop),
        cmocka_unit_test_setup_teardown(test_nitro, start, stop),
        cmocka_unit_test_setup_teardown(test_nitro_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_gramine, start, stop),
        cmocka_unit_test(test_providers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
