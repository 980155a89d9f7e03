/* Inside against outside: a whole run in the sandboxed runtime (attestation, key release, chunks opened, program, guards, sealing, commits)
 * against the same engine called directly on the clear tables, over a million rows of two owners. One JSON line per figure. */
#include "cmocka_all.h"

#include "enclave/engine.h"
#include "fake_world.h"
#include "os/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clo_err quiet(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)context;
    (void)phase;
    (void)done;
    (void)total;
    return CLO_OK;
}

static double outside(fake_world *w, const char *run)
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
    uint64_t began = clo_os_now_ns();
    if (clo_failed(engine->run(&task, clo_enclave_engine_rng(), progress, &out))) {
        (void)fprintf(stderr, "bench_enclave_run: %s\n", clo_err_text());
        exit(1);
    }
    double seconds = (double)(clo_os_now_ns() - began) / 1e9;
    clo_buf_free(&out);
    return seconds;
}

static void measure(const char *name, const char *run, uint64_t rows)
{
    fake_world *w = calloc(1, sizeof *w);
    if (w == NULL) exit(1);
    fake_world_make(w, FAULT_NONE, run, rows / OWNERS);
    double peer = outside(w, run);
    fake_world_run(w);
    if (!w->finished) {
        (void)fprintf(stderr, "bench_enclave_run: %s\n", w->failure.text);
        exit(1);
    }
    (void)printf("{\"name\":\"%s\",\"ours\":%.3f,\"peer\":%.3f,\"unit\":\"s\",\"ratio\":%.3f}\n", name, w->seconds, peer, w->seconds / peer);
    (void)fflush(stdout);
    fake_world_free(w);
    free(w);
}

int main(int argc, char **argv)
{
    fake_runtime_main(argc, argv);
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    measure("enclave_sql_inside_outside", "count", rows);
    measure("enclave_train_inside_outside", "learn", rows);
    return 0;
}
