/* Directories, child processes and their output. */
#include "cli/demo_world.h"

#include "cli/demo_data.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/net.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum { COMMAND_SECONDS = 120, READY_SECONDS = 20, STOP_MS = 15000, OUTPUT_MAX = 8 << 20, ARGUMENTS_MAX = 40 };

const char *const demo_hospitals[DEMO_HOSPITALS] = {"hospital-a", "hospital-b", "hospital-c"};

static volatile sig_atomic_t interrupted;
static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}
bool demo_interrupted(void) { return interrupted != 0; }

static clo_err go_on(void)
{
    CLO_CHECKF(!demo_interrupted(), CLO_E_CANCELLED, "interrupted; everything was stopped");
    return CLO_OK;
}

clo_err demo_path(const demo *d, char to[DEMO_PATH], const char *fmt, ...)
{
    va_list list;
    int n = snprintf(to, DEMO_PATH, "%s/", d->dir);
    CLO_CHECK(n > 0 && n < DEMO_PATH, CLO_E_TOO_LARGE);
    va_start(list, fmt);
    int more = vsnprintf(to + n, (size_t)(DEMO_PATH - n), fmt, list);
    va_end(list);
    CLO_CHECKF(more >= 0 && more < DEMO_PATH - n, CLO_E_TOO_LARGE, "the path of the demo's directory is too long");
    return CLO_OK;
}

clo_err demo_write(const demo *d, const char *name, clo_span bytes)
{
    char path[DEMO_PATH];
    CLO_TRY(demo_path(d, path, "%s", name));
    return clo_os_file_write_atomic(path, bytes, 0644);
}

clo_err demo_read(const demo *d, const char *name, clo_span *out)
{
    char path[DEMO_PATH];
    CLO_TRY(demo_path(d, path, "%s", name));
    return clo_cli_read(d->c, path, out);
}

/* ---- opening and closing ---- */

static clo_err make_dirs(demo *d)
{
    static const char *const names[] = {"hospital-a", "hospital-b", "hospital-c", "analyst", "operator", "witness", "shared"};
    char path[DEMO_PATH];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CLO_TRY(demo_path(d, path, "%s", names[i]));
        CLO_TRY(clo_os_dir_make(path));
    }
    return CLO_OK;
}

clo_err demo_open(demo *d, const char *keep)
{
    for (size_t i = 0; i < DEMO_DAEMONS; i++) d->daemons[i] = (demo_daemon){.process = CLO_OS_PROCESS_NONE, .said_fd = -1};
    d->began_ns = clo_os_now_ns();
    CLO_TRY(clo_os_path_program_dir(d->programs, sizeof d->programs));
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (keep == NULL) {
        CLO_TRY(clo_os_dir_temporary("cloister-demo-", d->dir));
        return make_dirs(d);
    }
    CLO_CHECKF(!clo_os_dir_exists(keep) && !clo_os_file_exists(keep), CLO_E_EXISTS,
               "%s exists already; give --keep a directory that does not", keep);
    CLO_TRY(clo_os_dir_make(keep));
    d->keep = true;
    char *absolute = realpath(keep, NULL);
    CLO_CHECKF(absolute != NULL, CLO_E_IO, "%s could not be made", keep);
    clo_err e = clo_str_set(d->dir, sizeof d->dir, clo_span_str(absolute));
    free(absolute);
    CLO_TRY(e);
    return make_dirs(d);
}

static void daemon_end(demo_daemon *m)
{
    clo_os_process_kill(&m->process);
    clo_os_fd_close(&m->said_fd);
}

void demo_close(demo *d)
{
    for (size_t i = DEMO_DAEMONS; i-- > 0;) {
        demo_daemon *m = &d->daemons[i];
        clo_os_process_end end;
        if (m->process.pid != 0) {
            (void)clo_os_process_signal(&m->process, SIGTERM).code;
            (void)clo_os_process_wait(&m->process, 5000, &end).code;
        }
        daemon_end(m);
    }
    if (!d->keep && d->dir[0] != 0) (void)clo_os_tree_remove(d->dir).code;
}

/* ---- commands ---- */

/* All that comes from a socket until its end. */
static clo_err drain(demo *d, int fd, const char **out)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, OUTPUT_MAX);
    uint64_t deadline =
        clo_os_now_ns() + (d->patience_ms != 0 ? (uint64_t)d->patience_ms * 1000000u : (uint64_t)COMMAND_SECONDS * 1000000000u);
    for (;;) {
        uint8_t piece[4096];
        size_t n = 0;
        CLO_TRY(go_on());
        clo_err e = clo_os_net_receive(fd, piece, sizeof piece, clo_os_now_ns() + 200000000u, &n);
        if (e.code == CLO_E_TIMEOUT && clo_os_now_ns() < deadline) continue;
        CLO_TRY(e);
        if (n == 0) break;
        CLO_TRY(clo_buf_put(&text, piece, n));
    }
    return clo_arena_str(d->a, clo_buf_span(&text), out);
}

static clo_err spawn(const demo *d, const char *cwd, const char *const *argv, int out_fd, int err_fd, clo_os_process *process)
{
    char program[2 * DEMO_PATH], place[DEMO_PATH];
    const clo_os_fd_map fds[] = {{out_fd, 1}, {err_fd, 2}};
    CLO_TRY(clo_os_path_join(program, sizeof program, d->programs, argv[0]));
    CLO_TRY(demo_path(d, place, "%s", cwd));
    const clo_os_spawn options = {.path = program,
                                  .exec_fd = -1,
                                  .argv = argv,
                                  .inherit_env = true,
                                  .cwd = place,
                                  .fds = fds,
                                  .fd_count = 2,
                                  .die_with_parent = true,
                                  .new_session = true};
    return clo_os_process_spawn(process, &options);
}

clo_err demo_program(demo *d, const char *cwd, const char *const *argv)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    CLO_AUTO(clo_os_process_kill) clo_os_process process = CLO_OS_PROCESS_NONE;
    clo_os_process_end end = {.code = -1};
    CLO_TRY(go_on());
    CLO_TRY(clo_os_net_pair(out));
    clo_err e = clo_os_net_pair(err);
    if (!clo_failed(e)) e = spawn(d, cwd, argv, out[1], err[1], &process);
    clo_os_fd_close(&out[1]);
    clo_os_fd_close(&err[1]);
    d->last = (demo_result){.code = -1, .out = "", .err = ""};
    if (!clo_failed(e)) e = drain(d, out[0], &d->last.out);
    if (!clo_failed(e)) e = drain(d, err[0], &d->last.err);
    clo_os_fd_close(&out[0]);
    clo_os_fd_close(&err[0]);
    CLO_TRY(e);
    CLO_TRY(clo_os_process_wait(&process, COMMAND_SECONDS * 1000, &end));
    d->last.code = end.exited ? end.code : 128 + end.signal;
    return CLO_OK;
}

static clo_err run_cli(demo *d, const char *party, va_list list)
{
    const char *argv[ARGUMENTS_MAX] = {"cloister", "--home", "home"};
    size_t n = 3;
    for (const char *word = va_arg(list, const char *); word != NULL && n + 1 < ARGUMENTS_MAX; word = va_arg(list, const char *))
        argv[n++] = word;
    argv[n] = NULL;
    return demo_program(d, party, argv);
}

/* Run and want an exit code; a failure says the first words of what the command said. */
static clo_err run_wanting(demo *d, const char *party, va_list list, int wanted)
{
    va_list again;
    va_copy(again, list);
    const char *verb = va_arg(again, const char *);
    va_end(again);
    CLO_TRY(run_cli(d, party, list));
    if (d->last.code == wanted) return CLO_OK;
    char said[400];
    (void)snprintf(said, sizeof said, "%.*s", (int)strcspn(d->last.err, "\n"), d->last.err);
    return CLO_FAILF(CLO_E_CONFLICT, "%s: cloister %s ended with exit code %d where %d was due: %s", party, verb, d->last.code, wanted, said);
}

clo_err demo_cli(demo *d, const char *party, ...)
{
    va_list list;
    va_start(list, party);
    clo_err e = run_wanting(d, party, list, 0);
    va_end(list);
    return e;
}

clo_err demo_cli_refused(demo *d, const char *party, ...)
{
    va_list list;
    va_start(list, party);
    clo_err e = run_wanting(d, party, list, 1);
    va_end(list);
    return e;
}

clo_err demo_cli_any(demo *d, const char *party, ...)
{
    va_list list;
    va_start(list, party);
    clo_err e = run_cli(d, party, list);
    va_end(list);
    return e;
}

clo_err demo_json(demo *d, clo_wire_node **out) { return clo_wire_json_decode(d->a, clo_span_str(d->last.out), out); }

clo_err demo_member(const clo_wire_node *map, const char *key, const char **out)
{
    *out = clo_client_text(map, key);
    CLO_CHECKF(*out != NULL, CLO_E_NOT_FOUND, "the answer has no \"%s\"", key);
    return CLO_OK;
}

/* ---- daemons ---- */

/* Its one line on standard output says that it serves. */
static clo_err wait_ready(demo_daemon *m, const char *name)
{
    char line[512] = "";
    size_t n = 0;
    uint64_t deadline = clo_os_now_ns() + (uint64_t)READY_SECONDS * 1000000000u;
    while (n == 0 || (line[n - 1] != '\n' && n + 1 < sizeof line)) {
        size_t got = 0;
        CLO_TRY(go_on());
        clo_err e = clo_os_net_receive(m->said_fd, line + n, sizeof line - 1 - n, clo_os_now_ns() + 200000000u, &got);
        if (e.code == CLO_E_TIMEOUT && clo_os_now_ns() < deadline) continue;
        if (clo_failed(e) || got == 0) return CLO_FAILF(CLO_E_CLOSED, "%s did not start; its log says why", name);
        n += got;
    }
    line[n] = 0;
    CLO_CHECKF(strstr(line, " at https://") != NULL, CLO_E_CLOSED, "%s said \"%.100s\" instead of serving", name, line);
    return CLO_OK;
}

static clo_err start(demo *d, demo_daemon_name which, const char *cwd, const char *const *argv, const char *log)
{
    demo_daemon *m = &d->daemons[which];
    char path[DEMO_PATH];
    int said[2] = {-1, -1};
    CLO_AUTO(clo_os_fd_close) int log_fd = -1;
    CLO_TRY(demo_path(d, path, "%s/%s", cwd, log));
    CLO_TRY(clo_os_file_open(&log_fd, path, CLO_OS_OPEN_APPEND, 0600));
    CLO_TRY(clo_os_net_pair(said));
    clo_err e = spawn(d, cwd, argv, said[1], log_fd, &m->process);
    clo_os_fd_close(&said[1]);
    m->said_fd = said[0];
    if (!clo_failed(e)) e = wait_ready(m, argv[0]);
    if (clo_failed(e)) {
        daemon_end(m);
        return clo_err_prefix(e, path);
    }
    return CLO_OK;
}

clo_err demo_operator_start(demo *d, const char *enclave_path)
{
    const char *argv[] = {"cloisterd", "--home", "home", enclave_path != NULL ? "--enclave" : NULL, enclave_path, NULL};
    return start(d, DEMO_OPERATOR, "operator", argv, "operator.log");
}

clo_err demo_daemon_start(demo *d, demo_daemon_name which)
{
    if (which == DEMO_OPERATOR) return demo_operator_start(d, NULL);
    if (which == DEMO_WITNESS) {
        const char *argv[] = {"cloisterd", "--role", "witness", "--home", "home", "--log", d->log_vkey, NULL};
        return start(d, which, "witness", argv, "witness.log");
    }
    const char *argv[] = {"cloister-kms", "--home", "kms", NULL};
    return start(d, which, demo_hospitals[which - DEMO_KMS_A], argv, "kms.log");
}

clo_err demo_daemon_stop(demo *d, demo_daemon_name which)
{
    demo_daemon *m = &d->daemons[which];
    clo_os_process_end end;
    if (m->process.pid == 0) return CLO_OK;
    CLO_TRY(clo_os_process_signal(&m->process, SIGTERM));
    clo_err e = clo_os_process_wait(&m->process, STOP_MS, &end);
    daemon_end(m);
    return clo_failed(e) ? clo_err_prefix(e, "a daemon did not end on SIGTERM") : CLO_OK;
}

void demo_daemon_kill(demo *d, demo_daemon_name which) { daemon_end(&d->daemons[which]); }

pid_t demo_daemon_pid(const demo *d, demo_daemon_name which) { return d->daemons[which].process.pid; }

/* ---- telling ---- */

static double seconds_since(uint64_t since_ns) { return (double)(clo_os_now_ns() - since_ns) / 1e9; }

void demo_chapter(demo *d, const char *title)
{
    if (d->c->json) return;
    d->chapter++;
    (void)printf("\n%u. %s  [%.1f s]\n\n", d->chapter, title, seconds_since(d->began_ns));
    (void)fflush(stdout);
}

void demo_gap(const demo *d)
{
    if (!d->c->json) (void)printf("\n");
}

void demo_say(const demo *d, const char *fmt, ...)
{
    if (d->c->json) return;
    va_list list;
    va_start(list, fmt);
    (void)printf("   ");
    (void)vprintf(fmt, list);
    (void)printf("\n");
    va_end(list);
    (void)fflush(stdout);
}

void demo_held(const demo *d, const char *fmt, ...)
{
    if (d->c->json) return;
    va_list list;
    va_start(list, fmt);
    (void)printf("   [ok] ");
    (void)vprintf(fmt, list);
    (void)printf("\n");
    va_end(list);
    (void)fflush(stdout);
}

void demo_quote(const demo *d, const char *text, unsigned lines)
{
    if (d->c->json) return;
    for (unsigned i = 0; *text != 0 && (lines == 0 || i < lines); i++) {
        size_t n = strcspn(text, "\n");
        (void)printf("      | %.*s\n", (int)n, text);
        text += n;
        if (*text == '\n') text++;
    }
    (void)fflush(stdout);
}
