/* One run from START to FINISH or FAILED, step by step, and the erasure after it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clo_own.h"
#include "enclave/enclave_int.h"
#include "tee/attester_process.h"

enum { ARENA_MAX = 64 * 1024 * 1024, START_SECONDS = 60, POLL_MS = 200, FAILED_SECONDS = 10 };
#define REPORT_NS (CLO_ENCLAVE_SECOND / 2)

/* Deadlines of sockets are of the machine's own monotonic clock, whatever clock a test gives. */
static uint64_t deadline_after(uint64_t seconds) { return clo_os_now_ns() + seconds * CLO_ENCLAVE_SECOND; }

static clo_err ask_within(clo_enclave *e, uint16_t number, clo_span body, uint64_t seconds)
{
    uint16_t dropped = 0;
    uint64_t deadline = deadline_after(seconds);
    if (e->fetching) CLO_TRY(clo_enclave_link_receive(e->options->host_fd, true, &dropped, &e->reply, deadline));
    e->fetching = false;
    return clo_enclave_link_call(e->options->host_fd, number, body, &e->reply, deadline);
}

clo_err clo_enclave_ask(clo_enclave *e, uint16_t number, clo_span body) { return ask_within(e, number, body, CLO_ENCLAVE_REPLY_SECONDS); }

clo_err clo_enclave_fetch_begin(clo_enclave *e, const clo_enclave_fetch *f)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, 2048);
    CLO_CHECK(!e->fetching, CLO_E_BUG);
    CLO_TRY(clo_enclave_fetch_encode(f, &body));
    CLO_TRY(clo_enclave_link_send(e->options->host_fd, CLO_ENCLAVE_FETCH, false, clo_buf_span(&body), deadline_after(CLO_ENCLAVE_REPLY_SECONDS)));
    e->fetching = true;
    return CLO_OK;
}

clo_err clo_enclave_fetch_end(clo_enclave *e)
{
    CLO_CHECK(e->fetching, CLO_E_BUG);
    e->fetching = false;
    return clo_enclave_link_answer(e->options->host_fd, CLO_ENCLAVE_FETCH, &e->chunks, deadline_after(CLO_ENCLAVE_REPLY_SECONDS));
}

clo_err clo_enclave_report(clo_enclave *e, clo_enclave_phase phase, const char *text, uint64_t done, uint64_t total)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, 4096);
    clo_enclave_progress m = {.phase = phase, .done = done, .total = total};
    (void)snprintf(m.text, sizeof m.text, "%s", text);
    /* What the agreement's telemetry does not list, the host is not told; the message still goes, since its answer may be a cancel. */
    const clo_collab_agreement *g = e->agreement;
    if (g != NULL && !g->telemetry_counts) m.done = m.total = 0;
    if (g != NULL && !g->telemetry_states) {
        m.phase = CLO_ENCLAVE_PHASE_STARTING;
        m.text[0] = '\0';
    }
    CLO_TRY(clo_enclave_progress_encode(&m, &body));
    return clo_enclave_ask(e, CLO_ENCLAVE_PROGRESS, clo_buf_span(&body));
}

void clo_enclave_failure_keep(clo_enclave_failure *f, clo_err err)
{
    *f = (clo_enclave_failure){.err = err};
    if (!clo_failed(err)) return;
    (void)snprintf(f->text, sizeof f->text, "%s", clo_err_text());
    const clo_denial *d = clo_err_denial();
    f->have_denial = d != NULL;
    if (d != NULL) f->denial = *d;
}

clo_err clo_enclave_failure_again(const clo_enclave_failure *f)
{
    if (!clo_failed(f->err)) return CLO_OK;
    return f->have_denial ? clo_deny_again(f->err.code, &f->denial) : clo_err_again(f->err.code, f->text);
}

/* A hardware TEE's device is a path and calls that the sandbox denies: a process of its own keeps them, behind a line like the software TEE's. */
static clo_err device_keep(clo_enclave *e)
{
    e->asked = e->provider;
    e->device = e->options->device_fd;
    if (!e->options->sandbox || e->device >= 0) return CLO_OK;
    const int foreign[] = {e->options->host_fd};
    CLO_TRY(clo_tee_attester_start(e->provider, foreign, 1, &e->device));
    e->asked = &clo_tee_provider_sim;
    return CLO_OK;
}

static clo_err harden(clo_enclave *e)
{
    if (!e->options->sandbox) return CLO_OK;
    clo_os_limits limits = {.open_files_max = 64};
    CLO_TRY(clo_os_sandbox_harden(&e->sandbox, &limits));
    CLO_TRY(clo_os_sandbox_namespaces(&e->sandbox));
    CLO_TRY(clo_os_sandbox_deny_paths(&e->sandbox));
    clo_os_seccomp filter = {.profile = CLO_OS_PROFILE_RUNTIME, .allow_fork = true};
    return clo_os_sandbox_system_calls(&e->sandbox, &filter);
}

/* The fork is over: from here on no process can be made any more. */
static clo_err harden_again(clo_enclave *e)
{
    if (!e->options->sandbox) return CLO_OK;
    clo_os_seccomp filter = {.profile = CLO_OS_PROFILE_RUNTIME};
    return clo_os_sandbox_system_calls(&e->sandbox, &filter);
}

static clo_err start_receive(clo_enclave *e)
{
    uint16_t number = 0;
    uint64_t deadline = clo_os_now_ns() + START_SECONDS * CLO_ENCLAVE_SECOND;
    clo_buf_init(&e->start_body, CLO_ENCLAVE_START_MAX);
    CLO_TRY(clo_enclave_link_receive(e->options->host_fd, false, &number, &e->start_body, deadline));
    CLO_CHECKF(number == CLO_ENCLAVE_START, CLO_E_MALFORMED, "the first frame must be START, but is message %u", (unsigned)number);
    return CLO_OK;
}

static clo_err sandbox_report(clo_enclave *e)
{
    CLO_AUTO(clo_buf_free) clo_buf text = {0};
    const char *line = "";
    clo_buf_init(&text, 2048);
    CLO_TRY(clo_os_sandbox_report_text(&e->sandbox, &text));
    CLO_TRY(clo_buf_cstr(&text, &line));
    return clo_enclave_report(e, CLO_ENCLAVE_PHASE_STARTING, line, 0, 0);
}

static clo_err compute(clo_enclave *e, clo_enclave_program_event *done)
{
    uint64_t started = clo_enclave_now(e), reported = 0;
    clo_enclave_program_event last = {.state = CLO_ENCLAVE_PROGRAM_QUIET, .phase = "computing"};
    CLO_TRY(clo_enclave_report(e, CLO_ENCLAVE_PHASE_COMPUTING, last.phase, 0, 0));
    for (;;) {
        clo_enclave_program_event ev;
        CLO_TRY(clo_enclave_program_poll(&e->child, POLL_MS, &ev));
        if (ev.state == CLO_ENCLAVE_PROGRAM_DONE) {
            *done = ev;
            return CLO_OK;
        }
        if (ev.state == CLO_ENCLAVE_PROGRAM_PROGRESS) last = ev;
        uint64_t now = clo_enclave_now(e);
        CLO_CHECKF(now - started < CLO_ENCLAVE_COMPUTE_SECONDS_MAX * CLO_ENCLAVE_SECOND, CLO_E_TIMEOUT, "the program ran longer than %d s",
                   CLO_ENCLAVE_COMPUTE_SECONDS_MAX);
        CLO_TRY(clo_enclave_lease_keep(e));
        if (now - reported < REPORT_NS) continue;
        reported = now;
        CLO_TRY(clo_enclave_report(e, CLO_ENCLAVE_PHASE_COMPUTING, last.phase, last.done, last.total));
    }
}

static clo_err run_steps(clo_enclave *e)
{
    CLO_CHECKF(e->provider != NULL, CLO_E_UNSUPPORTED, "this machine has no TEE that the runtime knows, and no software TEE was given");
    CLO_TRY(clo_crypto_init());
    CLO_TRY(device_keep(e));
    CLO_TRY(harden(e));
    CLO_TRY(start_receive(e));
    CLO_TRY(sandbox_report(e));
    CLO_TRY(clo_enclave_intake(e));
    const int outside[] = {e->options->host_fd, e->device};
    CLO_TRY(clo_enclave_program_fork(&e->child, &e->task, e->engine, outside, e->device >= 0 ? 2 : 1));
    CLO_TRY(harden_again(e));
    /* The child has a copy of the generator as it was: no key may come from that state. */
    CLO_TRY(clo_crypto_reseed());
    CLO_TRY(clo_enclave_keys_make(e));
    CLO_TRY(clo_enclave_configuration_make(e));
    CLO_TRY(clo_enclave_release(e));
    CLO_TRY(clo_enclave_rows_read(e));
    clo_enclave_program_event done;
    CLO_TRY(compute(e, &done));
    clo_os_region_free(&e->child.rows); /* nobody needs the rows any more */
    return clo_enclave_output_release(e, done.result);
}

/* Erasure. Keys and rows are overwritten before anything else is said to the host. */
static void erase(clo_enclave *e)
{
    clo_enclave_program_end(&e->child);
    if (e->asked != e->provider) (void)close(e->device); /* its process ends with the line */
    for (size_t i = 0; i < e->kms_count; i++) {
        clo_crypto_tls_free(&e->kms[i].tls);
        clo_crypto_tls_context_free(&e->kms[i].context);
        clo_buf_free(&e->kms[i].commit);
    }
    clo_os_secret_free(&e->page);
    e->secrets = NULL;
    clo_buf_free(&e->output);
    clo_buf_free(&e->evidence);
    clo_buf_free(&e->configuration);
    clo_buf_free(&e->start_body);
    clo_arena_free(&e->arena);
}

static void failed_send(clo_enclave *e, const clo_enclave_failure *f)
{
    clo_enclave_failed m = {.code = f->err.code, .have_denial = f->have_denial, .denial = f->denial};
    (void)snprintf(m.text, sizeof m.text, "%s", f->text[0] != '\0' ? f->text : clo_err_name(f->err));
    (void)snprintf(m.owner, sizeof m.owner, "%s", e->failed_owner);
    (void)snprintf(m.reference, sizeof m.reference, "%s", e->failed_reference);
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, 4096);
    clo_err ignored = clo_enclave_failed_encode(&m, &body);
    if (!clo_failed(ignored)) ignored = ask_within(e, CLO_ENCLAVE_FAILED, clo_buf_span(&body), FAILED_SECONDS);
    (void)ignored; /* the host may be gone; there is nobody else to tell */
}

clo_err clo_enclave_run(const clo_enclave_options *options)
{
    clo_enclave *e = calloc(1, sizeof *e);
    CLO_CHECK(e != NULL, CLO_E_NOMEM);
    e->options = options;
    e->clock = options->clock != NULL ? options->clock : clo_os_clock_system();
    e->provider = options->provider != NULL ? options->provider : clo_tee_find(options->device_fd);
    e->child = CLO_ENCLAVE_PROGRAM_NONE;
    clo_arena_init(&e->arena, ARENA_MAX);
    clo_buf_init(&e->reply, CLO_ENCLAVE_FETCH_MAX);
    clo_buf_init(&e->chunks, CLO_ENCLAVE_FETCH_MAX);
    clo_enclave_failure failure;
    clo_enclave_failure_keep(&failure, run_steps(e));
    erase(e);
    if (clo_failed(failure.err)) failed_send(e, &failure);
    clo_buf_free(&e->reply);
    clo_buf_free(&e->chunks);
    clo_wipe(e, sizeof *e);
    free(e);
    return clo_enclave_failure_again(&failure);
}

int clo_enclave_exit_code(clo_err e)
{
    if (e.code == CLO_E_CANCELLED) return 6;
    switch (clo_err_class(e)) {
    case CLO_CLASS_OK: return 0;
    case CLO_CLASS_DENIED: return 1;
    case CLO_CLASS_INPUT: return 2;
    case CLO_CLASS_AGAIN: case CLO_CLASS_ENV: return 3;
    case CLO_CLASS_LIMIT: return 4;
    case CLO_CLASS_BUG: break;
    }
    return 5;
}
