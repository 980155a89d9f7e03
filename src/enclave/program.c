/* The program child and the runtime's end of it. */
#include "enclave/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/sandbox.h"

#define ROWS_MAX (UINT64_C(8) << 30)
enum { PAGE = 4096, PROGRESS_NS = 100000000, GO_STEPS = 256 };

typedef enum { EVENT_PROGRESS = 1, EVENT_DONE = 2, EVENT_FAILED = 3 } event_kind;
/* One write, one read: far below PIPE_BUF. Both ends are the same binary, so the layout is its own. */
typedef struct {
    uint32_t kind, code;
    uint64_t done, total, result_size;
    char phase[32];
} event;
_Static_assert(sizeof(event) == 64, "an event is 64 bytes without padding");

/* ---- the child ---- */

typedef struct {
    int fd;
    uint64_t sent_ns;
} child_report;

static clo_err child_send(int fd, const event *ev)
{
    const uint8_t *p = (const uint8_t *)ev;
    size_t left = sizeof *ev;
    while (left > 0) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR) continue;
        CLO_CHECK(n > 0, CLO_E_CLOSED);
        p += n;
        left -= (size_t)n;
    }
    return CLO_OK;
}

static clo_err child_step(void *context, const char *phase, uint64_t done, uint64_t total)
{
    child_report *r = context;
    uint64_t now = clo_os_now_ns();
    if (r->sent_ns != 0 && now - r->sent_ns < PROGRESS_NS) return CLO_OK;
    r->sent_ns = now;
    event ev = {.kind = EVENT_PROGRESS, .done = done, .total = total};
    (void)snprintf(ev.phase, sizeof ev.phase, "%s", phase);
    return child_send(r->fd, &ev);
}

typedef struct {
    int fd;
    uint64_t there; /* bytes of all tables that may be read */
} child_gate;
typedef struct {
    child_gate *gate;
    uint64_t before; /* bytes of the tables before this one */
    size_t size;
} child_table;

static clo_err child_wait(void *context, size_t bytes, size_t *there)
{
    const child_table *t = context;
    while (t->gate->there < t->before + bytes) {
        uint64_t now = 0;
        ssize_t n = read(t->gate->fd, &now, sizeof now); /* one write is one read: far below PIPE_BUF */
        if (n < 0 && errno == EINTR) continue;
        CLO_CHECK(n == (ssize_t)sizeof now && now > t->gate->there, CLO_E_CLOSED);
        t->gate->there = now;
    }
    *there = t->gate->there - t->before < t->size ? (size_t)(t->gate->there - t->before) : t->size;
    return CLO_OK;
}

static clo_err child_compute(const clo_enclave_program *p, const clo_enclave_task *task, const clo_enclave_engine *engine, child_report *report,
                             size_t *size)
{
    /* The result is written straight into the shared region: a buffer whose memory is fixed never grows. */
    clo_buf out = {.p = p->result.p, .len = 0, .cap = p->result.size, .max = p->result.size};
    clo_dp_progress progress = {.context = report, .step = child_step};
    CLO_TRY(clo_crypto_reseed()); /* the generator is a copy of the runtime's */
    CLO_TRY(engine->run(task, clo_enclave_engine_rng(), progress, &out));
    CLO_CHECK(out.p == p->result.p, CLO_E_BUG);
    *size = out.len;
    return CLO_OK;
}

__attribute__((noreturn)) static void child_main(const clo_enclave_program *p, clo_enclave_task *task, const clo_enclave_engine *engine,
                                                 int go_fd, int event_fd)
{
    clo_os_sandbox_report layers = {0};
    const int fds[] = {go_fd, event_fd};
    clo_os_seccomp filter = {.profile = CLO_OS_PROFILE_PROGRAM, .fds = fds, .fd_count = 2};
    event ev = {.kind = EVENT_FAILED, .code = CLO_E_BUG};
    clo_err e = clo_os_region_protect(&p->rows);
    if (!clo_failed(e) && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) e = CLO_FAIL(CLO_E_IO);
    if (!clo_failed(e)) e = clo_os_sandbox_system_calls(&layers, &filter);
    /* While the runtime is busy with attestation: pages that both will need. */
    clo_os_region_warm(&p->rows);
    child_gate gate = {.fd = go_fd};
    static child_table tables[CLO_DATASETS_MAX];
    uint64_t before = 0;
    size_t there = 0;
    for (size_t i = 0; i < task->input_count; i++) {
        // cppcheck-suppress autoVariables ; this function does not return
        tables[i] = (child_table){.gate = &gate, .before = before, .size = task->inputs[i].table.n};
        task->inputs[i].arrival = (clo_wire_arrival){.wait = child_wait, .context = &tables[i]};
        before += task->inputs[i].table.n;
    }
    if (!clo_failed(e) && before > 0 && clo_failed(child_wait(&tables[0], 1, &there))) _exit(0);
    child_report report = {.fd = event_fd, .sent_ns = 0};
    size_t size = 0;
    if (!clo_failed(e)) e = child_compute(p, task, engine, &report, &size);
    if (clo_failed(e)) ev.code = e.code;
    else ev = (event){.kind = EVENT_DONE, .result_size = size};
    _exit(clo_failed(child_send(event_fd, &ev)) ? 3 : 0);
}

/* ---- the runtime's end ---- */

static clo_err regions_make(clo_enclave_program *p, clo_enclave_task *task)
{
    uint64_t total = 0, at[CLO_DATASETS_MAX];
    for (size_t i = 0; i < task->input_count; i++) {
        uint64_t n = task->inputs[i].table.n;
        CLO_CHECKF(n <= ROWS_MAX - total, CLO_E_TOO_LARGE, "the datasets of this run have more than 8 GiB of rows; run on fewer or smaller datasets");
        at[i] = total;
        p->bytes += n;
        total += (n + PAGE - 1) / PAGE * PAGE;
        CLO_CHECKF(total <= ROWS_MAX, CLO_E_TOO_LARGE, "the datasets of this run have more than 8 GiB of rows; run on fewer or smaller datasets");
    }
    CLO_TRY(clo_os_region_new(&p->rows, total > 0 ? (size_t)total : PAGE));
    CLO_TRY(clo_os_region_new(&p->result, CLO_ENCLAVE_RESULT_MAX));
    for (size_t i = 0; i < task->input_count; i++) {
        p->tables[i] = (uint8_t *)p->rows.p + at[i];
        task->inputs[i].table.p = p->tables[i];
    }
    return CLO_OK;
}

clo_err clo_enclave_program_fork(clo_enclave_program *p, clo_enclave_task *task, const clo_enclave_engine *engine, const int *close_fds,
                                 size_t close_count)
{
    int go[2] = {-1, -1}, events[2] = {-1, -1};
    CLO_TRY(regions_make(p, task));
    CLO_CHECK(pipe2(go, O_CLOEXEC) == 0, CLO_E_IO);
    if (pipe2(events, O_CLOEXEC) != 0) {
        clo_os_fd_close(&go[0]);
        clo_os_fd_close(&go[1]);
        return CLO_FAIL(CLO_E_IO);
    }
    pid_t pid = fork();
    if (pid == 0) {
        clo_os_fd_close(&go[1]);
        clo_os_fd_close(&events[0]);
        for (size_t i = 0; i < close_count; i++) {
            int fd = close_fds[i];
            clo_os_fd_close(&fd);
        }
        child_main(p, task, engine, go[0], events[1]);
    }
    clo_os_fd_close(&go[0]);
    clo_os_fd_close(&events[1]);
    p->go_fd = go[1];
    p->event_fd = events[0];
    CLO_CHECKF(pid > 0, CLO_E_NOMEM, "cannot start the program child: %s", strerrordesc_np(errno));
    p->pid = pid;
    return CLO_OK;
}

clo_err clo_enclave_program_go(clo_enclave_program *p, uint64_t bytes)
{
    CLO_CHECK(bytes >= p->told && bytes <= p->bytes, CLO_E_BUG);
    if (bytes == p->told || (bytes < p->bytes && bytes - p->told < p->bytes / GO_STEPS)) return CLO_OK;
    ssize_t n = 0;
    do n = write(p->go_fd, &bytes, sizeof bytes);
    while (n < 0 && errno == EINTR);
    /* A child that has ended says why where its events are read. */
    CLO_CHECK(n == (ssize_t)sizeof bytes || (n < 0 && errno == EPIPE), CLO_E_IO);
    p->told = bytes;
    return CLO_OK;
}

/* Wait for the end of the child; how it ended becomes the error where that was not by exit code 0. */
static clo_err child_reap(clo_enclave_program *p)
{
    int status = 0;
    pid_t got = 0;
    do got = waitpid(p->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    p->pid = 0;
    CLO_CHECKF(got > 0, CLO_E_IO, "the program child was lost");
    CLO_CHECKF(!WIFSIGNALED(status), CLO_E_IO, "the program child was killed by signal %d", WTERMSIG(status));
    CLO_CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, CLO_E_IO, "the program child ended with exit code %d", WEXITSTATUS(status));
    return CLO_OK;
}

/* What an engine says about data stays inside: only the kind of failure leaves. */
static clo_err child_failed(uint32_t code)
{
    clo_err e = {code};
    switch (clo_err_class(e)) {
    case CLO_CLASS_INPUT: case CLO_CLASS_DENIED: case CLO_CLASS_LIMIT: case CLO_CLASS_AGAIN: case CLO_CLASS_ENV:
        return CLO_FAILF(code, "the program failed on the rows (%s); its own message stays inside, because it may depend on them", clo_err_name(e));
    case CLO_CLASS_OK: case CLO_CLASS_BUG: break;
    }
    return CLO_FAILF(CLO_E_BUG, "the program child failed for a reason of its own");
}

static clo_err event_done(clo_enclave_program *p, const event *ev, clo_enclave_program_event *out)
{
    /* The bytes are looked at only when nobody can change them any more. */
    CLO_TRY(child_reap(p));
    CLO_CHECKF(ev->result_size <= p->result.size, CLO_E_TOO_LARGE, "the program announces a result beyond the maximum");
    out->state = CLO_ENCLAVE_PROGRAM_DONE;
    out->result = clo_span_of(p->result.p, (size_t)ev->result_size);
    return CLO_OK;
}

static void event_progress(const event *ev, clo_enclave_program_event *out)
{
    out->state = CLO_ENCLAVE_PROGRAM_PROGRESS;
    out->done = ev->done > INT64_MAX ? INT64_MAX : ev->done;
    out->total = ev->total > INT64_MAX ? INT64_MAX : ev->total;
    for (size_t i = 0; i + 1 < sizeof out->phase && ev->phase[i] != '\0'; i++) {
        char c = ev->phase[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '-';
        out->phase[i] = fine ? c : '?';
        out->phase[i + 1] = '\0';
    }
}

clo_err clo_enclave_program_poll(clo_enclave_program *p, unsigned timeout_ms, clo_enclave_program_event *out)
{
    clo_enclave_program_event got = {.state = CLO_ENCLAVE_PROGRAM_QUIET};
    struct pollfd wait = {.fd = p->event_fd, .events = POLLIN};
    int ready = poll(&wait, 1, (int)timeout_ms);
    CLO_CHECK(ready >= 0 || errno == EINTR, CLO_E_IO);
    if (ready > 0) {
        event ev = {0};
        ssize_t n = read(p->event_fd, &ev, sizeof ev);
        if (n <= 0) {
            CLO_TRY(child_reap(p));
            return CLO_FAILF(CLO_E_IO, "the program child ended without a result");
        }
        CLO_CHECKF(n == (ssize_t)sizeof ev, CLO_E_MALFORMED, "the program child sent half an event");
        if (ev.kind == EVENT_PROGRESS) event_progress(&ev, &got);
        else if (ev.kind == EVENT_DONE) CLO_TRY(event_done(p, &ev, &got));
        else return child_failed(ev.code);
    }
    *out = got;
    return CLO_OK;
}

void clo_enclave_program_end(clo_enclave_program *p)
{
    if (p->pid > 0) {
        (void)kill(p->pid, SIGKILL);
        (void)child_reap(p);
    }
    clo_os_fd_close(&p->go_fd);
    clo_os_fd_close(&p->event_fd);
    clo_os_region_free(&p->rows);
    clo_os_region_free(&p->result);
    *p = CLO_ENCLAVE_PROGRAM_NONE;
}
