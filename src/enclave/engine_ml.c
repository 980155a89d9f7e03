/* The training engine behind the engine interface. The result is a model file (ml/ml.h). */
#include "base/clo_own.h"
#include "enclave/engine.h"
#include "ml/ml.h"

static clo_err check(const clo_enclave_task *t)
{
    CLO_CHECKF(t->input_count >= 1, CLO_E_RANGE, "a train program reads at least one dataset");
    for (size_t i = 1; i < t->input_count; i++)
        CLO_CHECKF(memcmp(t->inputs[i].schema->digest, t->inputs[0].schema->digest, 32) == 0, CLO_E_UNSUPPORTED,
                   "the datasets of a train program must have one schema; use datasets sealed under the same schema");
    CLO_CHECKF(t->request->parameter_count == 0, CLO_E_UNSUPPORTED, "a train program takes no parameters; start the run without them");
    CLO_CHECKF(t->program->steps >= 0 && t->program->steps <= CLO_ML_STEPS_MAX, CLO_E_RANGE, "a train program makes 1 to %d steps", CLO_ML_STEPS_MAX);
    clo_ml_dataset *d = NULL;
    CLO_TRY(clo_ml_dataset_new(t->inputs[0].schema, t->program->target[0] != '\0' ? t->program->target : NULL, &d));
    clo_ml_dataset_free(&d);
    return CLO_OK;
}

static clo_err run(const clo_enclave_task *t, clo_dp_rng rng, clo_dp_progress progress, clo_buf *out)
{
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    CLO_TRY(clo_ml_dataset_new(t->inputs[0].schema, t->program->target[0] != '\0' ? t->program->target : NULL, &d));
    for (size_t i = 0; i < t->input_count; i++) {
        CLO_TRY(clo_dp_progress_step(&progress, "reading rows", i, t->input_count));
        CLO_TRY(clo_ml_dataset_add_arriving(d, t->inputs[i].table, t->inputs[i].arrival));
    }
    clo_ml_options options = {.is_private = true, .rho = t->rho, .steps = (uint32_t)t->program->steps, .rng = rng, .progress = progress};
    CLO_TRY(clo_ml_train(d, &options, &m));
    return clo_ml_model_encode(m, out);
}

static clo_err inspect(const clo_enclave_task *t, clo_span result, clo_dp_rational *spent)
{
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    uint64_t rows = 0;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    clo_ml_noise noise;
    CLO_TRY(clo_ml_model_decode(result, &m));
    CLO_TRY(clo_ml_dataset_new(t->inputs[0].schema, t->program->target[0] != '\0' ? t->program->target : NULL, &d));
    CLO_TRY(clo_ml_noise_of(d, t->rho, (uint32_t)t->program->steps, &noise));
    CLO_CHECKF(m->steps == noise.steps, CLO_E_MALFORMED, "the model was trained in another number of steps than was agreed");
    CLO_CHECKF(clo_dp_rational_compare(m->sigma_squared, noise.sigma_squared) == 0, CLO_E_MALFORMED,
               "the model was trained with other noise than was agreed");
    CLO_CHECKF(m->is_private, CLO_E_MALFORMED, "the model was trained without noise");
    CLO_CHECKF(memcmp(m->schema_digest, t->inputs[0].schema->digest, 32) == 0, CLO_E_MALFORMED, "the model is of another schema");
    for (size_t i = 0; i < t->input_count; i++) rows += t->inputs[i].row_count;
    CLO_CHECKF(m->row_count == rows, CLO_E_MALFORMED, "the model was trained on another number of rows than the datasets have");
    *spent = m->rho;
    return CLO_OK;
}

const clo_enclave_engine clo_enclave_engine_train = {
    .name = "train", .kind = "model", .media_type = "application/cloister-model", .check = check, .run = run, .inspect = inspect};
