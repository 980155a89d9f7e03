/* Training and use of models over typed tables: logistic regression, private or not.
 *
 * Features come from the schema's public facts only: a numeric column is scaled by its public bounds to [-1, 1] (a missing
 * value becomes the midpoint, 0), a code column becomes one feature per code (a missing value: all zero). Text columns are not
 * features. The target is an integer column with bounds 0 and 1, or a code column with two codes (the second is "positive"),
 * never nullable. The unit of privacy is one row; neighbours replace one row: the number of rows is public (it stands in the
 * manifests). src/ml/ml_train.c has the algorithm and the proof of its cost. */
#ifndef CLO_ML_ML_H
#define CLO_ML_ML_H
#include "base/clo_buf.h"
#include "dp/rational.h"
#include "dp/sampler.h"
#include "wire/table.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_ML_FEATURES_MAX = 4096, CLO_ML_STEPS_MAX = 1000, CLO_ML_MODEL_VERSION = 1 };

/* One column of the feature matrix: where it comes from. */
typedef struct {
    char column[64];
    char *code;      /* code columns: the code that makes it 1; else NULL */
    double min, max; /* numeric columns: public bounds */
} clo_ml_feature;

/* Rows in the clear, dense: features scaled as above, labels 0/1. Wiped by free. */
typedef struct {
    clo_ml_feature *features;
    size_t feature_count;
    float *x;   /* row_count x feature_count, row-major, each in [-1, 1] */
    uint8_t *y; /* row_count labels; NULL where the data set has no target */
    size_t row_count, row_capacity;
    char target[64];
    char labels[2][64]; /* texts of the two classes */
    uint8_t schema_digest[32];
    const clo_wire_schema *schema; /* borrowed while rows are added */
} clo_ml_dataset;

/** An empty data set for tables of this schema. target: a column, or NULL = the schema's target, or "" = no labels (predict only;
 *  the schema's target, where there is one, is no feature then either). Given to the caller; free with clo_ml_dataset_free. Looks
 * at the schema only, so it also is the check of a training program when an agreement is made. */
CLO_R clo_ml_dataset_new(const clo_wire_schema *schema, const char *target, clo_ml_dataset **out);
/** Append all rows of one table. On error the data set is as before. Errors: INPUT (broken table, null label), NOMEM. */
CLO_R clo_ml_dataset_add(clo_ml_dataset *d, clo_span table);
/** The same while the table's bytes are still arriving (wire/table.h). */
CLO_R clo_ml_dataset_add_arriving(clo_ml_dataset *d, clo_span table, clo_wire_arrival arrival);
/** new + add of each table. */
CLO_R clo_ml_dataset_from_tables(const clo_wire_schema *schema, const char *target, const clo_span *tables, size_t table_count,
                                 clo_ml_dataset **out);
/** new + add of one table. */
CLO_R clo_ml_dataset_from_table(const clo_wire_schema *schema, const char *target, clo_span table, clo_ml_dataset **out);
/** Split by row index: row i goes to `test` where i mod fold_count == fold, else to `train`. Both are given to the caller. */
CLO_R clo_ml_dataset_fold(const clo_ml_dataset *d, size_t fold_count, size_t fold, clo_ml_dataset **train, clo_ml_dataset **test);
/** Wipe and free; usable with CLO_AUTO (NULL allowed). */
void clo_ml_dataset_free(clo_ml_dataset **d);

typedef struct {
    bool is_private;     /* false: no noise, no budget; for a data owner's own rows, never inside a run */
    clo_dp_rational rho; /* private: cost of the whole training, spent in full */
    uint32_t steps;      /* full-batch steps, 1..CLO_ML_STEPS_MAX; 0 = the fixed default */
    clo_dp_rng rng;      /* private only */
    clo_dp_progress progress;
} clo_ml_options;

typedef struct {
    clo_ml_feature *features;
    double *weights; /* feature_count + 1; the last is the bias */
    double *center;  /* feature_count: learned (private: paid for) centre of each feature, subtracted before scaling */
    double scale;    /* rows are multiplied by this and then scaled down to norm 1 where longer */
    size_t feature_count;
    char target[64];
    char labels[2][64];
    uint8_t schema_digest[32];
    uint64_t row_count; /* rows trained on; public */
    uint32_t steps;
    bool is_private;
    clo_dp_rational rho;           /* spent */
    clo_dp_rational sigma_squared; /* of each gradient coordinate, in grid units */
} clo_ml_model;

/* What a private training says of its noise. */
typedef struct {
    uint32_t steps;
    clo_dp_rational sigma_squared; /* as in the model */
} clo_ml_noise;
/** The noise of a private training on these features at this cost. Looks at the schema only: for judging a price when an agreement is made, and a
 *  model that another process made. Errors: RANGE where the noise would be too large to represent. steps as in clo_ml_options. */
CLO_R clo_ml_noise_of(const clo_ml_dataset *d, clo_dp_rational rho, uint32_t steps, clo_ml_noise *out);
/** Train a logistic regression. *out is given to the caller; free with clo_ml_model_free.
 *  Errors: RANGE (no rows, rho 0, too much noise to represent), CANCELLED, RNG, NOMEM. On error *out is unchanged. */
CLO_R clo_ml_train(const clo_ml_dataset *d, const clo_ml_options *options, clo_ml_model **out);
void clo_ml_model_free(clo_ml_model **m);

/** Append the model file (container CLOMODEL, version 1, deterministic CBOR) to out. */
CLO_R clo_ml_model_encode(const clo_ml_model *m, clo_buf *out);
/** Read a model file: hostile bytes. *out is given to the caller. */
CLO_R clo_ml_model_decode(clo_span file, clo_ml_model **out);
/** A summary for people (and `model show --json`): kind, target, features, rows, steps, privacy. Owned by the arena. */
CLO_R clo_ml_model_describe(clo_arena *a, const clo_ml_model *m, clo_wire_node **out);

/** probabilities[row_count] of the positive class. Errors: MALFORMED where the features differ from the model's. */
CLO_R clo_ml_model_predict(const clo_ml_model *m, const clo_ml_dataset *d, double *probabilities);

typedef struct {
    uint64_t rows, positives, correct;
    uint64_t true_positives, false_positives, true_negatives, false_negatives;
    double accuracy, auc; /* auc: ties count half; 0.5 where one class is absent */
} clo_ml_evaluation;
/** Compare predictions with labels. Not private: for the owner of the rows or public data. */
CLO_R clo_ml_model_evaluate(const clo_ml_model *m, const clo_ml_dataset *d, clo_ml_evaluation *out);

#ifdef __cplusplus
}
#endif
#endif
