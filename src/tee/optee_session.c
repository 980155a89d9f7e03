#include "tee/optee_session.h"

#include "tee/tee_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tee.h>
#include <sys/mman.h>

enum { OPTEE_TRIES = 5, PARAMETERS = 4 };
#define TEEC_ERROR_BUSY 0xffff000du
#define TEEC_ERROR_ITEM_NOT_FOUND 0xffff0008u

/* The kernel's variable structure with room for the parameters that are used. */
typedef struct {
    uint32_t func, session, cancel_id, ret, ret_origin, num_params;
    struct tee_ioctl_param params[PARAMETERS];
} invoke_argument;
_Static_assert(sizeof(invoke_argument) == sizeof(struct tee_ioctl_invoke_arg) + PARAMETERS * sizeof(struct tee_ioctl_param), "struct tee_ioctl_invoke_arg");

/* One call of the driver, again while it is busy. ret is where the secure world's answer stands in the argument. */
static clo_err control(const clo_tee_guest_host *host, int fd, unsigned long number, void *argument, size_t size, const uint32_t *ret)
{
    for (unsigned i = 0; i < OPTEE_TRIES; i++) {
        struct tee_ioctl_buf_data data = {.buf_ptr = (uint64_t)(uintptr_t)argument, .buf_len = size};
        if (i > 0) host->pause_ms(20u << i);
        int status = host->control(fd, number, &data);
        if (status == 0 && *ret != TEEC_ERROR_BUSY) return CLO_OK;
        bool busy = status == 0 || errno == EBUSY || errno == EAGAIN || errno == EINTR;
        CLO_CHECKF(busy, CLO_E_IO, "the TEE's driver failed (error %d)", errno);
    }
    return CLO_FAILF(CLO_E_AGAIN, "the TEE was busy in every try; try again later");
}

static clo_err memory_share(clo_tee_optee *s)
{
    struct tee_ioctl_shm_alloc_data data = {.size = OPTEE_BUFFERS * OPTEE_BUFFER};
    s->shared_fd = s->host->control(s->fd, TEE_IOC_SHM_ALLOC, &data);
    CLO_CHECKF(s->shared_fd >= 0, CLO_E_IO, "the TEE shares no memory (error %d)", errno);
    CLO_CHECKF(data.size >= OPTEE_BUFFERS * OPTEE_BUFFER, CLO_E_MALFORMED, "the TEE shares less memory than was asked for");
    void *p = mmap(NULL, OPTEE_BUFFERS * OPTEE_BUFFER, PROT_READ | PROT_WRITE, MAP_SHARED, s->shared_fd, 0);
    CLO_CHECKF(p != MAP_FAILED, CLO_E_IO, "the TEE's shared memory cannot be mapped (error %d)", errno);
    s->shared = p;
    s->shared_id = data.id;
    return CLO_OK;
}

CLO_R clo_tee_optee_open(clo_tee_optee *s, const clo_tee_guest_host *host, const uint8_t uuid[16])
{
    *s = (clo_tee_optee){.host = host, .fd = -1, .shared_fd = -1};
    s->fd = host->open_file(host->optee_device, O_RDWR | O_CLOEXEC);
    CLO_CHECKF(s->fd >= 0, CLO_E_UNREACHABLE, "%s cannot be opened (is there a TEE, and may this user use it?)", host->optee_device);
    struct tee_ioctl_open_session_arg argument = {.clnt_login = TEE_IOCTL_LOGIN_PUBLIC};
    memcpy(argument.uuid, uuid, sizeof argument.uuid);
    CLO_TRY(control(host, s->fd, TEE_IOC_OPEN_SESSION, &argument, sizeof argument, &argument.ret));
    CLO_CHECKF(argument.ret != TEEC_ERROR_ITEM_NOT_FOUND, CLO_E_UNREACHABLE, "the TEE has no attestation service (OP-TEE: CFG_ATTESTATION_PTA)");
    CLO_CHECKF(argument.ret == 0, CLO_E_IO, "the TEE opens no session (0x%x)", argument.ret);
    s->session = argument.session;
    s->open = true;
    return memory_share(s);
}

void clo_tee_optee_close(clo_tee_optee *s)
{
    struct tee_ioctl_close_session_arg argument = {.session = s->session};
    if (s->shared != NULL) (void)munmap(s->shared, OPTEE_BUFFERS * OPTEE_BUFFER);
    clo_tee_fd_close(&s->shared_fd);
    if (s->open) (void)s->host->control(s->fd, TEE_IOC_CLOSE_SESSION, &argument);
    clo_tee_fd_close(&s->fd);
    *s = (clo_tee_optee){.fd = -1, .shared_fd = -1};
}

CLO_R clo_tee_optee_call(clo_tee_optee *s, uint32_t command, clo_span input, const size_t offered[OPTEE_BUFFERS], clo_span outputs[OPTEE_BUFFERS])
{
    invoke_argument argument = {.func = command, .session = s->session, .num_params = PARAMETERS};
    for (size_t i = 0; i < OPTEE_BUFFERS; i++) {
        size_t n = offered[i] == 0 ? input.n : offered[i];
        CLO_CHECK(n <= OPTEE_BUFFER, CLO_E_RANGE);
        argument.params[i] = (struct tee_ioctl_param){.attr = offered[i] == 0 ? TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INPUT : TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_OUTPUT,
                                                      .a = (uint64_t)(i * OPTEE_BUFFER),
                                                      .b = (uint64_t)n,
                                                      .c = (uint64_t)(uint32_t)s->shared_id};
        if (offered[i] == 0) memcpy(s->shared + i * OPTEE_BUFFER, input.p, input.n);
    }
    /* The key's algorithm comes in a third parameter; unused ones are of no type. */
    if (offered[0] != 0) argument.params[2].attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_OUTPUT;
    CLO_TRY(control(s->host, s->fd, TEE_IOC_INVOKE, &argument, sizeof argument, &argument.ret));
    CLO_CHECKF(argument.ret == 0, CLO_E_IO, "the TEE's attestation service refuses (0x%x)", argument.ret);
    for (size_t i = 0; i < OPTEE_BUFFERS; i++) {
        CLO_CHECKF(offered[i] == 0 || argument.params[i].b <= offered[i], CLO_E_MALFORMED, "the TEE's attestation service answered more than was asked for");
        outputs[i] = clo_span_of(s->shared + i * OPTEE_BUFFER, offered[i] == 0 ? 0 : (size_t)argument.params[i].b);
    }
    return CLO_OK;
}
