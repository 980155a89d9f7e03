/* Inside against outside: a whole run in the sandboxed runtime (attestation, key release, chunks opened, program, guards, sealing, commits)
 * against the same engine called directly on the clear tables, over a million rows of two owners. One JSON line per figure.
 * Usage: bench_enclave_run [ROWS [ROUNDS [RUNTIME]]]; RUNTIME is cloister-enclave, without it this program is its own runtime. */
#include "cmocka_all.h"

#include "enclave/engine.h"
#include "fake_world.h"
#include "os/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static clo_err quiet(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)context;
    (void)phase;
    (void)done;
    (void)total;
    return CLO_OK;
}

typedef struct {
    double wall, cpu; /* seconds */
} cost;

static double cpu_seconds(int who)
{
    struct rusage u;
    (void)getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void best(cost *so_far, double wall, double cpu)
{
    if (wall < so_far->wall) so_far->wall = wall;
    if (cpu < so_far->cpu) so_far->cpu = cpu;
}

static void outside(fake_world *w, const char *run, cost *c)
{
    const clo_collab_run_terms *terms = clo_collab_agreement_run(w->g, run);
    const clo_collab_program *program = clo_collab_agreement_program(w->g, terms->program);
    const clo_enclave_engine *engine = clo_enclave_engine_find(program->kind);
    clo_enclave_task task = {.input_count = OWNERS, .program = program, .request = &w->asked, .rho = terms->rho, .min_rows = (uint64_t)terms->min_rows};
    for (size_t i = 0; i < OWNERS; i++) {
        task.inputs[i].schema = &w->g->datasets[i].schema;
        task.inputs[i].table = clo_buf_span(&w->owners[i].table);
        task.inputs[i].row_count = w->rows;
    }
    clo_buf out;
    clo_buf_init(&out, CLO_ENCLAVE_RESULT_MAX);
    clo_dp_progress progress = {.context = NULL, .step = quiet};
    double cpu = cpu_seconds(RUSAGE_SELF);
    uint64_t began = clo_os_now_ns();
    if (clo_failed(engine->run(&task, clo_enclave_engine_rng(), progress, &out))) {
        (void)fprintf(stderr, "bench_enclave_run: %s\n", clo_err_text());
        exit(1);
    }
    best(c, (double)(clo_os_now_ns() - began) / 1e9, cpu_seconds(RUSAGE_SELF) - cpu);
    clo_buf_free(&out);
}

/* The processor time is of both sides: the runtime and its child, and the host with the key services and the software TEE. */
static void inside(fake_world *w, cost *c)
{
    double cpu = cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN);
    fake_world_run(w);
    if (!w->finished) {
        (void)fprintf(stderr, "bench_enclave_run: %s\n", w->failure.text);
        exit(1);
    }
    best(c, w->seconds, cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN) - cpu);
}

/* The two take turns and the best round of each counts, so that a busy machine disturbs both alike. */
static void measure(const char *name, const char *run, uint64_t rows, unsigned rounds)
{
    fake_world *w = calloc(1, sizeof *w);
    if (w == NULL) exit(1);
    fake_world_make(w, FAULT_NONE, run, rows / OWNERS);
    cost ours = {1e9, 1e9}, peer = {1e9, 1e9};
    for (unsigned i = 0; i < rounds; i++) {
        outside(w, run, &peer);
        inside(w, &ours);
    }
    (void)printf("{\"name\":\"%s\",\"ours\":%.3f,\"peer\":%.3f,\"unit\":\"s\",\"ratio\":%.3f,\"ours_cpu\":%.3f,\"peer_cpu\":%.3f}\n", name, ours.wall,
                 peer.wall, ours.wall / peer.wall, ours.cpu, peer.cpu);
    (void)fflush(stdout);
    fake_world_free(w);
    free(w);
}

int main(int argc, char **argv)
{
    fake_runtime_main(argc, argv);
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;
    if (argc > 3) fake_world_program = argv[3];
    measure("enclave_sql_inside_outside", "count", rows, rounds);
    measure("enclave_train_inside_outside", "learn", rows, rounds);
    return 0;
}
