/* Frames over a stream socket. */
#include "enclave/link.h"

#include <stdio.h>
#include <string.h>

#include "base/clo_own.h"
#include "os/net.h"

enum { TOGETHER = 2048 };

clo_err clo_enclave_link_send(int fd, uint16_t number, bool reply, clo_span body, uint64_t deadline_ns)
{
    const clo_enclave_message *m = clo_enclave_message_find(number);
    CLO_CHECK(m != NULL, CLO_E_BUG);
    CLO_CHECKF(body.n <= (reply ? m->reply_max : m->request_max), CLO_E_TOO_LARGE, "%s of %zu bytes exceeds the protocol's maximum", m->name,
               body.n);
    /* Head and the first bytes in one call: most frames are short, and each call wakes the other side. */
    uint8_t first[CLO_ENCLAVE_FRAME_HEAD + TOGETHER];
    size_t n = body.n < TOGETHER ? body.n : TOGETHER;
    clo_enclave_frame_head(first, number, (uint32_t)body.n);
    if (n != 0) memcpy(first + CLO_ENCLAVE_FRAME_HEAD, body.p, n);
    CLO_TRY(clo_os_net_send_all(fd, clo_span_of(first, CLO_ENCLAVE_FRAME_HEAD + n), deadline_ns));
    return body.n == n ? CLO_OK : clo_os_net_send_all(fd, clo_span_of(body.p + n, body.n - n), deadline_ns);
}

clo_err clo_enclave_link_receive(int fd, bool reply, uint16_t *number, clo_buf *body, uint64_t deadline_ns)
{
    uint8_t head[CLO_ENCLAVE_FRAME_HEAD];
    uint8_t *at = NULL;
    uint16_t n = 0;
    uint32_t size = 0;
    clo_buf_clear(body);
    CLO_TRY(clo_os_net_receive_all(fd, head, sizeof head, deadline_ns));
    CLO_TRY(clo_enclave_frame_head_read(head, reply, &n, &size));
    if (size != 0) {
        CLO_TRY(clo_buf_reserve(body, size, &at));
        CLO_TRY(clo_os_net_receive_all(fd, at, size, deadline_ns));
        body->len = size;
    }
    *number = n;
    return CLO_OK;
}

/* The host's word why it could not; any code beyond the listed ones is taken for IO. */
static clo_err host_failed(clo_span body)
{
    static const uint32_t known[] = {CLO_E_UNREACHABLE, CLO_E_TIMEOUT, CLO_E_CLOSED, CLO_E_NOT_FOUND, CLO_E_IO, CLO_E_AGAIN, CLO_E_TOO_LARGE};
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_arena_init(&a, 64 * 1024);
    clo_enclave_host_error m = {0};
    CLO_TRY(clo_enclave_host_error_decode(&a, body, &m));
    uint32_t code = CLO_E_IO;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i] == m.code) code = m.code;
    return clo_err_prefix(clo_err_again(code, m.text), "the runtime host");
}

clo_err clo_enclave_link_call(int fd, uint16_t number, clo_span body, clo_buf *reply, uint64_t deadline_ns)
{
    CLO_TRY(clo_enclave_link_send(fd, number, false, body, deadline_ns));
    return clo_enclave_link_answer(fd, number, reply, deadline_ns);
}

clo_err clo_enclave_link_answer(int fd, uint16_t number, clo_buf *reply, uint64_t deadline_ns)
{
    uint16_t got = 0;
    CLO_TRY(clo_enclave_link_receive(fd, true, &got, reply, deadline_ns));
    if (got == CLO_ENCLAVE_CANCEL) return CLO_FAILF(CLO_E_CANCELLED, "the run was cancelled");
    if (got == CLO_ENCLAVE_ERROR) return host_failed(clo_buf_span(reply));
    CLO_CHECKF(got == number, CLO_E_MALFORMED, "the runtime host answered message %u with message %u", (unsigned)number, (unsigned)got);
    return CLO_OK;
}

clo_err clo_enclave_link_reply(int fd, uint16_t number, clo_span body, uint64_t deadline_ns)
{
    return clo_enclave_link_send(fd, number, true, body, deadline_ns);
}

clo_err clo_enclave_link_reply_error(int fd, clo_err e, uint64_t deadline_ns)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, 4096);
    clo_enclave_host_error m = {.code = e.code};
    (void)snprintf(m.text, sizeof m.text, "%s", clo_err_text());
    CLO_TRY(clo_enclave_host_error_encode(&m, &body));
    return clo_enclave_link_send(fd, CLO_ENCLAVE_ERROR, true, clo_buf_span(&body), deadline_ns);
}

clo_err clo_enclave_link_reply_cancel(int fd, uint64_t deadline_ns)
{
    return clo_enclave_link_send(fd, CLO_ENCLAVE_CANCEL, true, clo_span_of(NULL, 0), deadline_ns);
}
