/* The engine interface: inputs, budget, output sink, progress, cancel. An engine sees numbers and a budget, never keys, files,
 * sockets, clocks or evidence. Adapters: engine_sql.c, engine_ml.c. */
#ifndef CLO_ENCLAVE_ENGINE_H
#define CLO_ENCLAVE_ENGINE_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "collab/agreement.h"
#include "collab/run.h"
#include "dp/sampler.h"
#include "wire/table.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_ENCLAVE_RESULT_MAX = 16 * 1024 * 1024 };

/* What is to be computed. Everything but the tables' bytes is public and checked before any key exists. */
typedef struct {
    size_t input_count;
    struct {
        const clo_wire_schema *schema;
        clo_span table;     /* in the clear inside the program child; in the runtime itself only its size is known before the child reads */
        uint64_t row_count; /* of the manifest */
        clo_wire_arrival arrival; /* in the child: of the table's bytes, one table after the other; zero = all are there */
    } inputs[CLO_DATASETS_MAX];
    const clo_collab_program *program;
    const clo_collab_run_request *request; /* parameters */
    clo_dp_rational rho;                   /* to be spent in full, on each input */
    uint64_t min_rows;
} clo_enclave_task;

typedef struct {
    const char *name;       /* "sql", "train" */
    const char *kind;       /* of the output: "table", "model" */
    const char *media_type; /* of the output's content */
    /** Public checks before any row is read: parameters, program against schemas. Errors carry a full sentence. */
    clo_err (*check)(const clo_enclave_task *task);
    /** Compute; append the result's bytes to `out`. Returns CANCELLED where progress said so. */
    clo_err (*run)(const clo_enclave_task *task, clo_dp_rng rng, clo_dp_progress progress, clo_buf *out);
    /** The guard, on the runtime's side: does `result` have the form of this engine's output, and what did it spend? Bytes of the child are
     *  not believed. Errors: MALFORMED. */
    clo_err (*inspect)(const clo_enclave_task *task, clo_span result, clo_dp_rational *spent);
} clo_enclave_engine;

extern const clo_enclave_engine clo_enclave_engine_sql;
extern const clo_enclave_engine clo_enclave_engine_train;
/** The engine of a program kind; NULL for an unknown one. */
const clo_enclave_engine *clo_enclave_engine_find(clo_collab_program_kind kind);

/** Exact randomness for engines: the process generator. */
clo_dp_rng clo_enclave_engine_rng(void);

#ifdef __cplusplus
}
#endif
#endif
