#include "service/runtime_host.h"

#include "base/clo_own.h"
#include "collab/run.h"
#include "enclave/enclave.h"
#include "enclave/link.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/process.h"
#include "service/runtime_tunnel.h"
#include "service/workload.h"
#include "tee/tee_measure.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STALL_MS = 900000 /* the runtime renews its evidence more often */, POLL_MS = 500, CANCEL_GRACE_MS = 15000, FRAME_MS = 60000, BODY_MAX = CLO_ENCLAVE_FETCH_MAX + (1 << 20), ARENA_MAX = 48 << 20 };

/* One runtime and what belongs to it. */
typedef struct {
    const clo_service_host_options *options;
    clo_os_process process;
    int host_fd, device_fd; /* our ends */
    clo_os_thread *device;
    uint8_t measurement[48], host_data[32];
    clo_service_tunnels tunnels;
    bool ended;          /* FINISH or FAILED came */
    clo_err outcome;     /* how it ended, and the sentence or denial of that */
    bool have_denial;
    clo_denial denial;
    char text[512];
} runtime;

/* What is done afterwards must not hide why the run ended. */
static void keep_outcome(runtime *r, clo_err e)
{
    const clo_denial *d = clo_failed(e) ? clo_err_denial() : NULL;
    r->outcome = e;
    r->have_denial = d != NULL;
    if (d != NULL) r->denial = *d;
    (void)snprintf(r->text, sizeof r->text, "%s", clo_failed(e) ? clo_err_text() : "");
}

static void serve_device(void *context)
{
    runtime *r = context;
    (void)clo_tee_sim_serve(r->options->sim, r->device_fd, -1, r->measurement, r->host_data).code;
}

CLO_R clo_service_host_measure(const char *enclave_path, uint8_t measurement[48])
{
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_TRY(clo_os_file_open(&fd, enclave_path, CLO_OS_OPEN_READ, 0));
    return clo_tee_sim_measure_fd(fd, measurement);
}

/* Measure and execute the same open file: what is attested is what runs. */
static clo_err launch(runtime *r)
{
    CLO_AUTO(clo_os_fd_close) int program = -1;
    CLO_AUTO(clo_os_fd_close) int child_host = -1;
    CLO_AUTO(clo_os_fd_close) int child_device = -1;
    CLO_TRY(clo_os_file_open(&program, r->options->enclave_path, CLO_OS_OPEN_READ, 0));
    CLO_TRY(clo_tee_sim_measure_fd(program, r->measurement));
    CLO_TRY(clo_service_workload(r->options->start, r->measurement, r->host_data));
    int pair[2];
    CLO_TRY(clo_os_net_pair(pair));
    r->host_fd = pair[0];
    child_host = pair[1];
    CLO_TRY(clo_os_net_pair(pair));
    r->device_fd = pair[0];
    child_device = pair[1];
    const char *argv[] = {"cloister-enclave", NULL};
    const clo_os_fd_map fds[] = {{child_host, CLO_ENCLAVE_HOST_FD}, {child_device, CLO_ENCLAVE_DEVICE_FD}};
    const clo_os_spawn spawn = {.exec_fd = program, .argv = argv, .fds = fds, .fd_count = 2, .die_with_parent = true, .new_session = true};
    CLO_TRY(clo_os_process_spawn(&r->process, &spawn));
    return clo_os_thread_start(&r->device, "sim-device", serve_device, r);
}

static clo_err reply(runtime *r, uint16_t number, clo_err e, const clo_buf *body)
{
    uint64_t deadline = clo_os_now_ns() + (uint64_t)FRAME_MS * 1000000;
    if (clo_failed(e)) return clo_enclave_link_reply_error(r->host_fd, e, deadline);
    return clo_enclave_link_reply(r->host_fd, number, clo_buf_span(body), deadline);
}

static clo_err on_tunnel(runtime *r, clo_arena *a, uint16_t number, clo_span body, clo_buf *out)
{
    clo_enclave_tunnel m;
    CLO_TRY(clo_enclave_tunnel_decode(a, number, body, &m));
    if (number == CLO_ENCLAVE_TUNNEL_OPEN) return clo_service_tunnel_open(&r->tunnels, &r->options->ops, m.owner);
    if (number == CLO_ENCLAVE_TUNNEL_EXCHANGE) return clo_service_tunnel_exchange(&r->tunnels, &m, out);
    clo_service_tunnel_close(&r->tunnels, m.owner);
    return CLO_OK;
}

static clo_err on_prepared(const clo_service_host_ops *ops, clo_arena *a, clo_span body)
{
    clo_enclave_prepared m;
    CLO_TRY(clo_enclave_prepared_decode(a, body, &m));
    return ops->prepared == NULL ? CLO_OK : ops->prepared(ops->context, &m);
}

static clo_err on_progress(const clo_service_host_ops *ops, clo_arena *a, clo_span body)
{
    clo_enclave_progress m;
    CLO_TRY(clo_enclave_progress_decode(a, body, &m));
    ops->progress(ops->context, &m);
    return CLO_OK;
}

static clo_err on_evidence(const clo_service_host_ops *ops, clo_arena *a, clo_span body)
{
    clo_enclave_evidence *m = NULL;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof *m, &memory));
    m = memory;
    CLO_TRY(clo_enclave_evidence_decode(a, body, m));
    ops->evidence(ops->context, m);
    return CLO_OK;
}

static clo_err on_end(runtime *r, clo_arena *a, uint16_t number, clo_span body)
{
    const clo_service_host_ops *ops = &r->options->ops;
    if (number == CLO_ENCLAVE_FINISH) {
        clo_enclave_finish m;
        CLO_TRY(clo_enclave_finish_decode(a, body, &m));
        keep_outcome(r, ops->finish(ops->context, &m));
        r->ended = true;
        return CLO_OK;
    }
    clo_enclave_failed m;
    CLO_TRY(clo_enclave_failed_decode(a, body, &m));
    ops->failed(ops->context, &m);
    keep_outcome(r, m.have_denial ? clo_deny_again(m.code, &m.denial) : clo_err_again(m.code, m.text));
    r->ended = true;
    return CLO_OK;
}

/* Answer one request of the runtime. */
static clo_err serve(runtime *r, uint16_t number, clo_span body)
{
    const clo_service_host_ops *ops = &r->options->ops;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, BODY_MAX);
    clo_err e = CLO_OK;
    clo_enclave_fetch fetch;
    clo_enclave_output output;
    switch (number) {
    case CLO_ENCLAVE_FETCH:
        e = clo_enclave_fetch_decode(&a, body, &fetch);
        if (!clo_failed(e)) e = ops->fetch(ops->context, &fetch, &out);
        break;
    case CLO_ENCLAVE_TUNNEL_OPEN:
    case CLO_ENCLAVE_TUNNEL_EXCHANGE:
    case CLO_ENCLAVE_TUNNEL_CLOSE:
        e = on_tunnel(r, &a, number, body, &out);
        break;
    case CLO_ENCLAVE_EVIDENCE:
        e = on_evidence(ops, &a, body);
        break;
    case CLO_ENCLAVE_PROGRESS:
        e = on_progress(ops, &a, body);
        break;
    case CLO_ENCLAVE_OUTPUT:
        e = clo_enclave_output_decode(&a, body, &output);
        if (!clo_failed(e)) e = ops->output(ops->context, &output);
        break;
    case CLO_ENCLAVE_PREPARED:
        e = on_prepared(ops, &a, body);
        break;
    case CLO_ENCLAVE_FINISH:
    case CLO_ENCLAVE_FAILED:
        CLO_TRY(on_end(r, &a, number, body));
        break;
    default:
        e = CLO_FAILF(CLO_E_MALFORMED, "the runtime sent a message that it may not send");
    }
    return reply(r, number, e, &out);
}

/* The next request, watching for a cancel meanwhile. Errors: CANCELLED after the grace. */
static clo_err wait_for_request(runtime *r, bool *cancel)
{
    const clo_service_host_ops *ops = &r->options->ops;
    uint64_t since = 0, began = clo_os_now_ns();
    while (true) {
        *cancel = ops->cancelled(ops->context);
        uint64_t now = clo_os_now_ns();
        CLO_CHECKF(now - began < (uint64_t)STALL_MS * 1000000, CLO_E_CLOSED, "it was silent for %d minutes", STALL_MS / 60000);
        if (*cancel && since == 0) since = now;
        if (*cancel && now - since > (uint64_t)CANCEL_GRACE_MS * 1000000) return CLO_FAILF(CLO_E_CANCELLED, "the run was cancelled");
        clo_err e = clo_os_net_wait(r->host_fd, false, now + (uint64_t)POLL_MS * 1000000);
        if (!clo_failed(e)) return CLO_OK;
        if (e.code != CLO_E_TIMEOUT) return e;
    }
}

static clo_err converse(runtime *r)
{
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, BODY_MAX);
    CLO_TRY(clo_enclave_start_encode(r->options->start, &body));
    CLO_TRY(clo_enclave_link_send(r->host_fd, CLO_ENCLAVE_START, false, clo_buf_span(&body), clo_os_now_ns() + (uint64_t)FRAME_MS * 1000000));
    while (!r->ended) {
        bool cancel = false;
        uint16_t number = 0;
        CLO_TRY(wait_for_request(r, &cancel));
        CLO_TRY(clo_enclave_link_receive(r->host_fd, false, &number, &body, clo_os_now_ns() + (uint64_t)FRAME_MS * 1000000));
        if (cancel && number != CLO_ENCLAVE_FINISH && number != CLO_ENCLAVE_FAILED)
            CLO_TRY(clo_enclave_link_reply_cancel(r->host_fd, clo_os_now_ns() + (uint64_t)FRAME_MS * 1000000));
        else
            CLO_TRY(serve(r, number, clo_buf_span(&body)));
    }
    return CLO_OK;
}

/* A conversation that broke off: say how the process ended, where that is known. */
static clo_err explain_loss(runtime *r, clo_err e)
{
    clo_os_process_end end;
    char how[160];
    if (e.code != CLO_E_CLOSED && e.code != CLO_E_TRUNCATED && e.code != CLO_E_IO) return e;
    (void)snprintf(how, sizeof how, "%s", e.code == CLO_E_CLOSED && clo_err_text()[0] != 0 ? clo_err_text() : "it closed its connection");
    if (r->process.pid != 0 && !clo_failed(clo_os_process_wait(&r->process, 2000, &end))) {
        char text[64];
        clo_os_process_end_text(&end, text);
        (void)snprintf(how, sizeof how, "%s", text);
    }
    return CLO_FAILF(CLO_E_CLOSED, "the runtime was lost (%s)", how);
}

/* The process is gone, its device is no longer served, its connections are closed. */
static void end_runtime(runtime *r)
{
    clo_os_process_end end;
    clo_service_tunnels_close(&r->tunnels);
    clo_os_fd_close(&r->host_fd);
    if (r->process.pid != 0 && (!r->ended || clo_failed(clo_os_process_wait(&r->process, 5000, &end)))) clo_os_process_kill(&r->process);
    if (r->device != NULL) clo_os_thread_join(&r->device); /* ends as its other side, the process, is gone */
    clo_os_fd_close(&r->device_fd);
}

CLO_R clo_service_host_run(const clo_service_host_options *options)
{
    runtime r = {.options = options, .host_fd = -1, .device_fd = -1, .process = {.pidfd = -1}};
    clo_err e = launch(&r);
    if (!clo_failed(e)) e = converse(&r);
    if (!r.ended) keep_outcome(&r, explain_loss(&r, e)); /* where it ended by itself, what it said counts */
    end_runtime(&r);
    if (!clo_failed(r.outcome)) return CLO_OK;
    return r.have_denial ? clo_deny_again(r.outcome.code, &r.denial) : clo_err_again(r.outcome.code, r.text);
}
