/* /dev/sev-guest (linux/sev-guest.h): reports, the host's certificates, derived keys. */
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "crypto/hash.h"
#include "tee/snp_guest_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdlib.h>

enum { RESPONSE = 4000, RESPONSE_HEAD = 32, VMM_INVALID_LENGTH = 1, VMM_BUSY = 2, KEY_AT = 32 };

/* The kernel's structures, by their layout. */
typedef struct {
    uint8_t msg_version;
    uint64_t req_data, resp_data, exitinfo2; /* exitinfo2: firmware error low, VMM error high */
} guest_request;
typedef struct {
    uint8_t user_data[64];
    uint32_t vmpl;
    uint8_t reserved[28];
} report_request;
typedef struct {
    report_request data;
    uint64_t certs_address;
    uint32_t certs_len;
} extended_request;
typedef struct {
    uint32_t root_key_select, reserved;
    uint64_t guest_field_select;
    uint32_t vmpl, guest_svn;
    uint64_t tcb_version;
} key_request;
typedef struct {
    uint8_t data[RESPONSE];
} report_response;
typedef struct {
    uint8_t data[64];
} key_response;
_Static_assert(sizeof(guest_request) == 32 && sizeof(report_request) == 96 && sizeof(extended_request) == 112 && sizeof(key_request) == 32,
               "layouts of linux/sev-guest.h");

#define SNP_GET_REPORT _IOWR('S', 0x0, guest_request)
#define SNP_GET_DERIVED_KEY _IOWR('S', 0x1, guest_request)
#define SNP_GET_EXT_REPORT _IOWR('S', 0x2, guest_request)


/* One call; the hypervisor may be busy, then again with growing pauses. */
static clo_err call(const clo_tee_guest_host *host, int fd, unsigned long number, const void *request, void *response, uint32_t *vmm_error)
{
    guest_request g = {.msg_version = 1, .req_data = (uint64_t)(uintptr_t)request, .resp_data = (uint64_t)(uintptr_t)response};
    for (unsigned i = 0; i < SNP_TRIES; i++) {
        if (i > 0) host->pause_ms(50u << i);
        g.exitinfo2 = 0;
        int status = host->control(fd, number, &g);
        int why = errno;
        *vmm_error = (uint32_t)(g.exitinfo2 >> 32);
        if (status == 0) return CLO_OK;
        if (*vmm_error == VMM_INVALID_LENGTH) return CLO_FAILF(CLO_E_TOO_LARGE, "the host's certificate table needs more room");
        bool busy = *vmm_error == VMM_BUSY || why == EAGAIN || why == EINTR;
        CLO_CHECKF(busy, CLO_E_IO, "the SEV firmware refused (firmware error %u, host error %u)", (uint32_t)g.exitinfo2, *vmm_error);
    }
    return CLO_FAILF(CLO_E_AGAIN, "the host answered \"busy\" to every request for a report; try again later");
}

static clo_err response_take(const report_response *response, uint8_t report[TEE_REPORT_SIZE])
{
    clo_rd r = clo_rd_init(clo_span_of(response->data, sizeof response->data));
    uint32_t status = clo_rd_u32le(&r);
    uint32_t size = clo_rd_u32le(&r);
    CLO_CHECKF(status == 0 && size == TEE_REPORT_SIZE, CLO_E_MALFORMED, "the SEV firmware answered with status %u and %u bytes", status, size);
    memcpy(report, response->data + RESPONSE_HEAD, TEE_REPORT_SIZE);
    return CLO_OK;
}

static clo_err device_open(const clo_tee_guest_host *host, int *fd)
{
    *fd = host->open_file(host->sev_device, O_RDWR | O_CLOEXEC);
    CLO_CHECKF(*fd >= 0, CLO_E_UNREACHABLE, "%s cannot be opened (is this an SEV-SNP guest, and may this user open it?)", host->sev_device);
    return CLO_OK;
}

/* The extended call also brings the certificates; the host says how much room they need. */
static clo_err extended(const clo_tee_guest_host *host, int fd, const uint8_t report_data[64], clo_tee_snp_raw *out)
{
    extended_request request = {.certs_len = 16 * 1024};
    report_response response = {.data = {0}};
    memcpy(request.data.user_data, report_data, sizeof request.data.user_data);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *room = NULL;
        uint32_t vmm_error = 0, size = request.certs_len;
        clo_buf_clear(&out->table);
        CLO_TRY(clo_buf_reserve(&out->table, size, &room));
        memset(room, 0, size);
        request.certs_address = (uint64_t)(uintptr_t)room;
        clo_err e = call(host, fd, SNP_GET_EXT_REPORT, &request, &response, &vmm_error);
        if (e.code == CLO_E_TOO_LARGE && request.certs_len > size && request.certs_len <= SNP_TABLE_MAX) continue;
        CLO_TRY(e);
        out->table.len = size;
        return response_take(&response, out->report);
    }
    return CLO_FAILF(CLO_E_TOO_LARGE, "the host keeps asking for more room for its certificates");
}

CLO_R clo_tee_snp_by_device(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_tee_snp_raw *out)
{
    CLO_AUTO(clo_tee_fd_close) int fd = -1;
    CLO_TRY(device_open(host, &fd));
    clo_err e = extended(host, fd, report_data, out);
    if (!clo_failed(e) || e.code == CLO_E_AGAIN) return e;
    /* Hosts without certificates refuse the extended call: take the bare report. */
    report_request request = {.vmpl = 0};
    report_response response = {.data = {0}};
    uint32_t vmm_error = 0;
    memcpy(request.user_data, report_data, sizeof request.user_data);
    clo_buf_clear(&out->table);
    CLO_TRY(call(host, fd, SNP_GET_REPORT, &request, &response, &vmm_error));
    return response_take(&response, out->report);
}

CLO_R clo_tee_snp_derive_key(const clo_tee_guest_host *host, clo_span context, clo_key32 *out)
{
    CLO_AUTO(clo_tee_fd_close) int fd = -1;
    CLO_TRY(device_open(host, &fd));
    /* VCEK-rooted, with guest policy (bit 0), measurement (bit 3) mixed in: another image or policy derives another key. */
    key_request request = {.guest_field_select = 1u << 0 | 1u << 3};
    key_response response = {.data = {0}};
    uint32_t vmm_error = 0;
    CLO_TRY(call(host, fd, SNP_GET_DERIVED_KEY, &request, &response, &vmm_error));
    clo_rd r = clo_rd_init(clo_span_of(response.data, sizeof response.data));
    uint32_t status = clo_rd_u32le(&r);
    clo_err e = CLO_OK;
    CLO_KEY32(key);
    static const char salt[] = "cloister/v1 snp seal";
    if (status != 0) {
        e = CLO_FAILF(CLO_E_IO, "the SEV firmware derived no key (status %u)", status);
    } else {
        e = clo_crypto_hkdf(CLO_HASH_SHA384, clo_span_of(salt, sizeof salt), clo_span_of(response.data + KEY_AT, 32), context, key.b, sizeof key.b);
    }
    clo_wipe(&response, sizeof response);
    CLO_TRY(e);
    clo_key32_copy(out, &key);
    return CLO_OK;
}
