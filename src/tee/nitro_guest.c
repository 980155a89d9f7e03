/* The Nitro Secure Module seen from inside the enclave. */
#include "tee/nitro_guest.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "tee/nsm_int.h"
#include "tee/tee_int.h"
#include "wire/cbor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>

/* linux/nsm.h */
typedef struct {
    uint64_t address, length;
} nsm_span;
typedef struct {
    nsm_span request, response;
} nsm_raw;
_Static_assert(sizeof(nsm_raw) == 32, "struct nsm_raw");
#define NSM_IOCTL_RAW _IOWR(0x0a, 0, nsm_raw)
enum { NSM_REQUEST_MAX = 0x1000, NSM_RESPONSE_MAX = 0x3000, NSM_TRIES = 5, NSM_ITEMS_MAX = 128, NSM_ARENA = 64 * 1024 };

bool clo_tee_nitro_present(const clo_tee_guest_host *host)
{
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(host->nsm_device, O_RDWR | O_CLOEXEC);
    return fd >= 0;
}

/* Bytes to the module and back; the length that it answers is checked before it counts. */
static clo_err exchange(const clo_tee_guest_host *host, clo_span request, uint8_t *response, size_t *response_bytes)
{
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(host->nsm_device, O_RDWR | O_CLOEXEC);
    CLO_CHECKF(fd >= 0, CLO_E_UNREACHABLE, "%s cannot be opened (is this a Nitro enclave?)", host->nsm_device);
    CLO_CHECKF(request.n <= NSM_REQUEST_MAX, CLO_E_RANGE, "a request of %zu bytes is too long for the Nitro Secure Module", request.n);
    for (unsigned i = 0; i < NSM_TRIES; i++) {
        if (i > 0) host->pause_ms(20u << i);
        nsm_raw raw = {.request = {(uint64_t)(uintptr_t)request.p, request.n}, .response = {(uint64_t)(uintptr_t)response, NSM_RESPONSE_MAX}};
        int status = host->control(fd, NSM_IOCTL_RAW, &raw);
        if (status == 0) {
            CLO_CHECKF(raw.response.length > 0 && raw.response.length <= NSM_RESPONSE_MAX, CLO_E_MALFORMED,
                       "the Nitro Secure Module announced an answer of %llu bytes", (unsigned long long)raw.response.length);
            *response_bytes = (size_t)raw.response.length;
            return CLO_OK;
        }
        CLO_CHECKF(errno == EBUSY || errno == EAGAIN || errno == EINTR, CLO_E_IO, "the Nitro Secure Module failed (error %d)", errno);
    }
    return CLO_FAILF(CLO_E_AGAIN, "the Nitro Secure Module was busy in every try; try again later");
}

static bool is_word(const clo_wire_node *n, const char *word)
{
    return n->type == CLO_WIRE_TEXT && clo_span_equal(n->text, clo_span_str(word));
}

static clo_err answer_of(const clo_wire_node *root, const char *verb, const clo_wire_node **answer)
{
    *answer = NULL;
    if (is_word(root, verb)) return CLO_OK;
    const clo_wire_node *error = clo_wire_get(root, "Error");
    CLO_CHECKF(error == NULL || error->type != CLO_WIRE_TEXT, CLO_E_DENIED, "the Nitro Secure Module refuses %s: %.40s", verb,
               error != NULL && error->type == CLO_WIRE_TEXT ? (const char *)error->text.p : "");
    const clo_wire_node *body = clo_wire_get(root, verb);
    CLO_CHECKF(root->count == 1 && body != NULL && body->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the Nitro Secure Module's answer is not one to %s", verb);
    *answer = body;
    return CLO_OK;
}

CLO_R clo_tee_nsm_ask(const clo_tee_guest_host *host, clo_arena *a, const char *verb, clo_wire_node *arguments, const clo_wire_node **answer)
{
    CLO_AUTO(clo_buf_free) clo_buf request;
    clo_wire_node *root = NULL;
    void *response = NULL;
    size_t n = 0;
    clo_buf_init(&request, NSM_REQUEST_MAX);
    if (arguments == NULL) {
        CLO_TRY(clo_wire_text(a, clo_span_str(verb), &root));
    } else {
        CLO_TRY(clo_wire_map(a, &root));
        CLO_TRY(clo_wire_set(a, root, verb, arguments));
    }
    CLO_TRY(clo_wire_cbor_encode(root, &request));
    CLO_TRY(clo_arena_alloc(a, NSM_RESPONSE_MAX, &response));
    CLO_TRY(exchange(host, clo_buf_span(&request), response, &n));
    clo_wire_cbor_limits limits = {.items_max = NSM_ITEMS_MAX, .allow_unsorted = true};
    CLO_TRY(clo_wire_cbor_decode(a, clo_span_of(response, n), &limits, &root));
    return answer_of(root, verb, answer);
}

static clo_err set_optional(clo_arena *a, clo_wire_node *map, const char *key, clo_span value, size_t max)
{
    clo_wire_node *null = NULL;
    CLO_CHECKF(value.n <= max, CLO_E_RANGE, "%s of an attestation document has at most %zu bytes", key, max);
    if (value.n != 0) return clo_wire_set_bytes(a, map, key, value);
    CLO_TRY(clo_wire_null(a, &null));
    return clo_wire_set(a, map, key, null);
}

CLO_R clo_tee_nsm_attest(const clo_tee_guest_host *host, clo_span user_data, clo_span nonce, clo_span public_key, clo_buf *document)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, NSM_ARENA);
    clo_wire_node *arguments = NULL;
    const clo_wire_node *answer = NULL;
    CLO_TRY(clo_wire_map(&a, &arguments));
    CLO_TRY(set_optional(&a, arguments, "user_data", user_data, CLO_TEE_NSM_USER_DATA_MAX));
    CLO_TRY(set_optional(&a, arguments, "nonce", nonce, CLO_TEE_NSM_NONCE_MAX));
    CLO_TRY(set_optional(&a, arguments, "public_key", public_key, CLO_TEE_NSM_KEY_MAX));
    CLO_TRY(clo_tee_nsm_ask(host, &a, "Attestation", arguments, &answer));
    const clo_wire_node *bytes = answer == NULL ? NULL : clo_wire_get(answer, "document");
    CLO_CHECKF(bytes != NULL && bytes->type == CLO_WIRE_BYTES && bytes->text.n != 0, CLO_E_MALFORMED,
               "the Nitro Secure Module's answer holds no attestation document");
    return clo_buf_put_span(document, bytes->text);
}

/* The document's own word on the 64 bytes: its payload must hold them as user_data. */
static clo_err document_check(clo_arena *a, clo_span document, const uint8_t report_data[64])
{
    clo_wire_node *root = NULL, *payload = NULL;
    clo_wire_cbor_limits limits = {.items_max = NSM_ITEMS_MAX, .allow_unsorted = true};
    CLO_TRY(clo_wire_cbor_decode(a, document, &limits, &root));
    const clo_wire_node *list = root->type == CLO_WIRE_TAG ? root->first : root;
    bool shaped = list->type == CLO_WIRE_ARRAY && list->count == 4 && list->first->next->next->type == CLO_WIRE_BYTES;
    CLO_CHECKF(shaped, CLO_E_MALFORMED, "the attestation document is no COSE_Sign1");
    CLO_TRY(clo_wire_cbor_decode(a, list->first->next->next->text, &limits, &payload));
    const clo_wire_node *data = clo_wire_get(payload, "user_data");
    CLO_CHECKF(data != NULL && data->type == CLO_WIRE_BYTES && clo_span_equal(data->text, clo_span_of(report_data, TEE_REPORT_DATA)), CLO_E_MALFORMED,
               "the attestation document is over other data than was asked for");
    return CLO_OK;
}

CLO_R clo_tee_nitro_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf document;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_buf_init(&document, NSM_RESPONSE_MAX);
    clo_arena_init(&a, 4 * NSM_ARENA);
    clo_span none = {NULL, 0};
    CLO_TRY(clo_tee_nsm_attest(host, clo_span_of(report_data, TEE_REPORT_DATA), none, none, &document));
    CLO_TRY(document_check(&a, clo_buf_span(&document), report_data));
    clo_attest_bundle b = {.tee = "nitro", .report = clo_buf_span(&document)};
    return clo_attest_bundle_encode(&b, out);
}

static bool nitro_probe(int device)
{
    (void)device;
    return clo_tee_nitro_present(&clo_tee_guest_system);
}

static clo_err nitro_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    return clo_tee_nitro_evidence(&clo_tee_guest_system, report_data, out);
}

static clo_err nitro_sealing_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    (void)context;
    (void)out;
    return CLO_FAILF(CLO_E_UNSUPPORTED, "Nitro enclaves have no sealing keys and no storage; have the owners' key services release them");
}

static const char *nitro_describe(void)
{
    return "AWS Nitro enclave: out of reach of the parent instance's users and kernel; no sealing keys; AWS's hypervisor and hardware are trusted";
}

const clo_tee_provider clo_tee_provider_nitro = {
    .name = "nitro",
    .probe = nitro_probe,
    .evidence = nitro_evidence,
    .derive_sealing_key = nitro_sealing_key,
    .describe = nitro_describe,
};
