/* Proves the program child: it computes over the shared rows, table by table as they are announced, and gives a result; what it may not
 * do fails or kills it; errors on rows leave as their kind only; a dead child is an error, not a hang. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "enclave/program.h"
#include "os/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

static int mode;
enum { MODE_SUM, MODE_OPEN, MODE_SOCKET, MODE_EXEC, MODE_FORK, MODE_WRITE_ROWS, MODE_OTHER_FD, MODE_PTRACE, MODE_FAIL, MODE_HANG, MODE_HUGE, MODE_KILL, MODE_IN_TURN };

static int other_fd = -1;

/* Each forbidden thing reports 'A' where it was allowed, 'R' where it was refused; or the process dies of it. */
static clo_err run(const clo_enclave_task *t, clo_dp_rng rng, clo_dp_progress progress, clo_buf *out)
{
    bool allowed = false;
    uint8_t random[16];
    CLO_TRY(rng.fill(rng.context, random, sizeof random));
    CLO_TRY(clo_dp_progress_step(&progress, "looking; at <rows>", 1, 2));
    switch (mode) {
    case MODE_SUM: {
        uint64_t sum = 0;
        for (size_t i = 0; i < t->input_count; i++)
            for (size_t k = 0; k < t->inputs[i].table.n; k++) sum += t->inputs[i].table.p[k];
        return clo_buf_put_u64be(out, sum);
    }
    case MODE_IN_TURN: {
        uint64_t sum = 0;
        for (size_t i = 0; i < t->input_count; i++) {
            size_t there = 0;
            for (size_t k = 0; k < t->inputs[i].table.n; k++) {
                if (k == there) CLO_TRY(t->inputs[i].arrival.wait(t->inputs[i].arrival.context, k + 1, &there));
                sum += t->inputs[i].table.p[k];
            }
        }
        return clo_buf_put_u64be(out, sum);
    }
    case MODE_OPEN: allowed = open("/etc/passwd", O_RDONLY) >= 0 || open("/tmp/x-clo-test", O_RDWR | O_CREAT, 0600) >= 0; break;
    case MODE_SOCKET: allowed = socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0; break;
    case MODE_EXEC: {
        char path[] = "/bin/true";
        char *argv[] = {path, NULL};
        (void)execv(path, argv);
        allowed = true;
        break;
    }
    case MODE_FORK: allowed = fork() >= 0; break;
    case MODE_WRITE_ROWS: {
        (void)signal(SIGSEGV, SIG_DFL); /* the test frame has its own */
        uintptr_t at = (uintptr_t)t->inputs[0].table.p;
        *(volatile uint8_t *)at = 1;
        allowed = true;
        break;
    }
    case MODE_OTHER_FD: allowed = write(other_fd, "x", 1) == 1; break;
    case MODE_PTRACE: allowed = ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0; break;
    case MODE_FAIL: return CLO_FAILF(CLO_E_RANGE, "row 17 has the secret value 42");
    case MODE_HANG: for (;;) (void)clo_os_now_ns();
    case MODE_HUGE: {
        uint8_t *at = NULL;
        return clo_buf_reserve(out, CLO_ENCLAVE_RESULT_MAX + 1u, &at);
    }
    default: allowed = kill(getppid(), 0) == 0; break;
    }
    return clo_buf_put_u8(out, allowed ? 'A' : 'R');
}

static const clo_enclave_engine engine = {.name = "test", .kind = "table", .media_type = "x", .run = run};

static void start(clo_enclave_program *p, clo_enclave_task *t, int m)
{
    mode = m;
    *p = CLO_ENCLAVE_PROGRAM_NONE;
    *t = (clo_enclave_task){.input_count = 2};
    t->inputs[0].table.n = 5000;
    t->inputs[1].table.n = 3;
    assert_ok(clo_enclave_program_fork(p, t, &engine, NULL, 0));
    memset(p->tables[0], 2, 5000);
    memset(p->tables[1], 7, 3);
    assert_ok(clo_enclave_program_go(p, 4096));
}

static clo_err finish(clo_enclave_program *p, clo_enclave_program_event *ev)
{
    uint64_t deadline = clo_os_now_ns() + UINT64_C(10000000000);
    do CLO_TRY(clo_enclave_program_poll(p, 100, ev));
    while (ev->state != CLO_ENCLAVE_PROGRAM_DONE && clo_os_now_ns() < deadline);
    CLO_CHECK(ev->state == CLO_ENCLAVE_PROGRAM_DONE, CLO_E_TIMEOUT);
    return CLO_OK;
}

static void computes(void **state)
{
    (void)state;
    clo_enclave_program p;
    clo_enclave_task t;
    clo_enclave_program_event ev = {0};
    start(&p, &t, MODE_SUM);
    do assert_ok(clo_enclave_program_poll(&p, 1000, &ev));
    while (ev.state == CLO_ENCLAVE_PROGRAM_QUIET);
    assert_int_equal(ev.state, CLO_ENCLAVE_PROGRAM_PROGRESS);
    assert_string_equal(ev.phase, "looking? at ?rows?");
    assert_ok(finish(&p, &ev));
    assert_int_equal(ev.result.n, 8);
    assert_int_equal(ev.result.p[6] << 8 | ev.result.p[7], 10021);
    clo_enclave_program_end(&p);
    clo_enclave_program_end(&p);
}

/* What has not been announced is waited for, within a table and between tables, and read only then. */
static void tables_come_in_turn(void **state)
{
    (void)state;
    clo_enclave_program p;
    clo_enclave_task t;
    clo_enclave_program_event ev = {0};
    start(&p, &t, MODE_IN_TURN);
    uint64_t until = clo_os_now_ns() + UINT64_C(300000000);
    while (clo_os_now_ns() < until) {
        assert_ok(clo_enclave_program_poll(&p, 50, &ev));
        assert_int_not_equal(ev.state, CLO_ENCLAVE_PROGRAM_DONE);
    }
    memset(p.tables[0] + 4096, 3, 5000 - 4096);
    assert_ok(clo_enclave_program_go(&p, 5000));
    assert_code(clo_enclave_program_go(&p, 4999), CLO_E_BUG); /* never less, never more than there can be */
    assert_code(clo_enclave_program_go(&p, 5004), CLO_E_BUG);
    memset(p.tables[1], 8, 3);
    assert_ok(clo_enclave_program_go(&p, 5003));
    assert_ok(finish(&p, &ev));
    assert_int_equal(ev.result.p[6] << 8 | ev.result.p[7], 10024 + (5000 - 4096));
    clo_enclave_program_end(&p);
    /* A runtime that is gone before: the child ends too. */
    start(&p, &t, MODE_IN_TURN);
    (void)close(p.go_fd);
    p.go_fd = -1;
    assert_code(finish(&p, &ev), CLO_E_CLOSED);
    clo_enclave_program_end(&p);
}

static void forbidden(int m, bool must_die)
{
    clo_enclave_program p;
    clo_enclave_task t;
    clo_enclave_program_event ev = {0};
    start(&p, &t, m);
    clo_err e = finish(&p, &ev);
    if (must_die) {
        assert_code(e, CLO_E_IO);
        if (strstr(clo_err_text(), "signal") == NULL) fail_msg("mode %d: %s", m, clo_err_text());
    } else {
        assert_ok(e);
        assert_int_equal(ev.result.n, 1);
        assert_int_equal(ev.result.p[0], 'R');
    }
    clo_enclave_program_end(&p);
}

static void is_shut_in(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    other_fd = fds[1];
    forbidden(MODE_OPEN, false);
    forbidden(MODE_SOCKET, false);
    forbidden(MODE_FORK, false);
    forbidden(MODE_OTHER_FD, false);
    forbidden(MODE_KILL, false);
    forbidden(MODE_EXEC, true);
    forbidden(MODE_PTRACE, true);
#if !defined(__SANITIZE_ADDRESS__)
    forbidden(MODE_WRITE_ROWS, true);
#endif
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void errors_say_nothing_of_rows(void **state)
{
    (void)state;
    clo_enclave_program p;
    clo_enclave_task t;
    clo_enclave_program_event ev = {0};
    start(&p, &t, MODE_FAIL);
    assert_code(finish(&p, &ev), CLO_E_RANGE);
    assert_null(strstr(clo_err_text(), "42"));
    clo_enclave_program_end(&p);
    start(&p, &t, MODE_HUGE);
    assert_code(finish(&p, &ev), CLO_E_TOO_LARGE);
    clo_enclave_program_end(&p);
}

static void hanging_child_is_killed(void **state)
{
    (void)state;
    clo_enclave_program p;
    clo_enclave_task t;
    clo_enclave_program_event ev = {0};
    start(&p, &t, MODE_HANG);
    for (int i = 0; i < 3; i++) assert_ok(clo_enclave_program_poll(&p, 50, &ev));
    pid_t pid = p.pid;
    clo_enclave_program_end(&p);
    assert_int_equal(kill(pid, 0), -1);
    /* Killed by somebody else: noticed at once. */
    start(&p, &t, MODE_HANG);
    assert_int_equal(kill(p.pid, SIGKILL), 0);
    clo_err e = CLO_OK;
    for (int i = 0; i < 5 && !clo_failed(e); i++) e = clo_enclave_program_poll(&p, 2000, &ev);
    assert_int_equal(e.code, CLO_E_IO);
    clo_enclave_program_end(&p);
}

static void bounds(void **state)
{
    (void)state;
    clo_enclave_program p = CLO_ENCLAVE_PROGRAM_NONE;
    clo_enclave_task t = {.input_count = 2};
    t.inputs[0].table.n = SIZE_MAX - 10;
    t.inputs[1].table.n = 100;
    assert_code(clo_enclave_program_fork(&p, &t, &engine, NULL, 0), CLO_E_TOO_LARGE);
    clo_enclave_program_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(computes), cmocka_unit_test(is_shut_in), cmocka_unit_test(errors_say_nothing_of_rows),
                                       cmocka_unit_test(hanging_child_is_killed), cmocka_unit_test(bounds),
                                       cmocka_unit_test(tables_come_in_turn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
