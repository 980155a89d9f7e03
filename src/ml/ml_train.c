/* Logistic regression by full-batch gradients of clipped residuals, on an integer grid, with exact discrete Gaussian noise.
 *
 *   centre:    s = sum over rows of round(GRID_CENTER * x) + noise; c = s / (n GRID_CENTER), clamped, shrunk where noise
 * dominates row:       u = (scale (x - c), BIAS_INPUT), scaled down to a norm below 1, X = round(GRID_ROW * u) (integers) each
 * step: r = clamp(sigmoid(w u) - y, -clip, clip), R = round(GRID_RESIDUAL * r)                          (integer) g = sum over
 * rows of R X + noise;  w <- w - rate * (g / (n GRID_ROW GRID_RESIDUAL) + decay * w) result:    mean of the last half of the w, a
 * function of released values (post-processing)
 *
 * What it costs (zCDP; neighbours replace one row; n is public):
 * - Centre. A numeric feature is in [-1, 1], so its integer moves by at most 2 GRID_CENTER; the features of one code column move
 * in at most two places by GRID_CENTER. L2^2 <= GRID_CENTER^2 (4 numeric + 2 code columns). The Gaussian noise is set to cost rho
 * 3/20.
 * - Step. Given c and w (already released), a row contributes the integer vector R X, which depends on that row alone. |R| <=
 *   GRID_RESIDUAL clip and ||X|| <= GRID_ROW are checked in integers, so one row has norm at most B = GRID_RESIDUAL clip
 * GRID_ROW, and a replacement moves g by at most 2 B. The noise of each of T steps is set to cost rho 17 / (20 T).
 * - Adaptive composition: 3/20 + T 17 / (20 T) = 1, exactly rho.
 * Floating point is inside a row or behind the noise only; the sums over rows are integers, so neither their order nor rounding
 * changes the sensitivity. All noise is drawn before the rows are used, in one batch. */
#include <math.h>
#include <stdlib.h>

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "dp/zcdp.h"
#include "ml/ml_int.h"

/* Tuned on public data sets over many seeds; not on the rows of a run. */
enum {
    GRID_CENTER = 256,
    GRID_ROW = 1024,
    GRID_RESIDUAL = 512,
    BLOCK_ROWS = 2048, /* each |R X| <= 2^19, so their sum stays below 2^31 */
    LANES = 8,
    PRIVATE_STEPS = 20,
    PLAIN_STEPS = 300,
    CENTER_SHARE = 3,
    SHARES = 20,
};
_Static_assert((int64_t)GRID_ROW *GRID_RESIDUAL *BLOCK_ROWS <= INT32_MAX, "a block of rows must not overflow its 32-bit sums");
static const double BIAS_INPUT = 0.25, SCALE = 4.0, WEIGHT_NORM_MAX = 1000.0, PRIVATE_CLIP = 0.5;

typedef struct {
    double rate, momentum, decay, clip;
    uint32_t averaged; /* last steps that the result is the mean of */
} method;

typedef struct {
    const clo_ml_dataset *d;
    const clo_ml_options *options;
    method how;
    uint32_t steps;
    size_t features, width, stride; /* width = features + 1, stride = width rounded up to LANES */
    clo_ml_model *model;
    int16_t *rows;  /* row_count x stride */
    int64_t *noise; /* features of the centre, then steps x width */
    size_t noise_count;
    double center_sigma; /* of a centre sum, in units of a feature */
    float *weights32;    /* of the current step, divided by GRID_ROW; stride long */
    double *weights, *velocity, *mean;
    int64_t *gradient;
    int32_t *block;
} training;

static void wipe_free(void *p, size_t bytes)
{
    if (p != NULL) clo_wipe(p, bytes);
    free(p);
}

static void training_free(training *t)
{
    clo_ml_model_free(&t->model);
    wipe_free(t->rows, t->d->row_count * t->stride * sizeof *t->rows);
    wipe_free(t->noise, t->noise_count * sizeof *t->noise);
    free(t->weights32);
    free(t->weights);
    free(t->velocity);
    free(t->mean);
    wipe_free(t->gradient, t->stride * sizeof *t->gradient);
    wipe_free(t->block, t->stride * sizeof *t->block);
}

void clo_ml_row_transform(const float *x, const double *center, double scale, size_t feature_count, float *out)
{
    double limit = 1 - (sqrt((double)feature_count + 1) / 2 + 1) / GRID_ROW; /* room for rounding to the grid */
    double square = BIAS_INPUT * BIAS_INPUT;
    for (size_t j = 0; j < feature_count; j++) {
        double v = ((double)x[j] - center[j]) * scale;
        out[j] = (float)v;
        square += v * v;
    }
    out[feature_count] = (float)BIAS_INPUT;
    if (square <= limit * limit) return;
    float shrink = (float)(limit / sqrt(square));
    for (size_t j = 0; j <= feature_count; j++) out[j] *= shrink;
}

/* X of one row. The norm is checked in integers: a row that did not keep the bound counts as zero. */
static void grid_row(const float *u, size_t width, int16_t *to)
{
    int64_t square = 0;
    for (size_t j = 0; j < width; j++) {
        float v = u[j] * GRID_ROW;
        int32_t q = v >= -GRID_ROW && v <= GRID_ROW ? (int32_t)lrintf(v) : GRID_ROW + 1; /* not a number: over the bound */
        to[j] = (int16_t)q;
        square += (int64_t)q * q;
    }
    if (square > (int64_t)GRID_ROW * GRID_ROW) memset(to, 0, width * sizeof *to);
}

/* The grid residual of one row, by dot product of the row with the weights; within +-limit always. */
static int32_t residual(const int16_t *restrict row, const float *restrict w, size_t stride, uint8_t label, int32_t limit)
{
    float lanes[LANES] = {0};
    for (size_t j = 0; j < stride; j += LANES)
        for (size_t k = 0; k < LANES; k++) lanes[k] += (float)row[j + k] * w[j + k];
    float z = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    float r = (1.0f / (1.0f + expf(-z)) - (float)label) * GRID_RESIDUAL;
    if (!(r > (float)-limit)) return -limit; /* also what is no number */
    return r < (float)limit ? (int32_t)lrintf(r) : limit;
}

static void accumulate(int32_t *restrict sum, const int16_t *restrict row, size_t stride, int16_t factor)
{
    for (size_t j = 0; j < stride; j++) sum[j] += (int32_t)row[j] * factor;
}

/* gradient = sum over all rows of R X, exactly. */
static void exact_gradient(training *t)
{
    int32_t limit = (int32_t)(GRID_RESIDUAL * t->how.clip);
    memset(t->gradient, 0, t->stride * sizeof *t->gradient);
    for (size_t from = 0; from < t->d->row_count; from += BLOCK_ROWS) {
        size_t to = t->d->row_count - from < BLOCK_ROWS ? t->d->row_count : from + BLOCK_ROWS;
        memset(t->block, 0, t->stride * sizeof *t->block);
        for (size_t i = from; i < to; i++) {
            const int16_t *row = t->rows + i * t->stride;
            accumulate(t->block, row, t->stride, (int16_t)residual(row, t->weights32, t->stride, t->d->y[i], limit));
        }
        for (size_t j = 0; j < t->stride; j++) t->gradient[j] += t->block[j];
    }
}

static clo_err draw(const training *t, clo_dp_sampler *s, clo_dp_rational sigma_squared, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++) CLO_TRY(clo_dp_sample_gaussian(s, sigma_squared, &t->noise[from + i]));
    return CLO_OK;
}

static uint64_t center_sensitivity_squared(const clo_ml_dataset *d)
{
    uint64_t units = 0;
    for (size_t j = 0; j < d->feature_count; j++) {
        const clo_ml_feature *f = &d->features[j];
        if (f->code == NULL)
            units += 4;
        else if (j == 0 || d->features[j - 1].code == NULL || strcmp(d->features[j - 1].column, f->column) != 0)
            units += 2;
    }
    return units * GRID_CENTER * GRID_CENTER;
}

/* Variances of the centre's noise and of each step's, from what is public: the features and the cost. */
static clo_err split_noise(const clo_ml_dataset *d, clo_dp_rational rho, uint32_t steps, uint64_t bound, clo_dp_rational *of_center, clo_dp_rational *of_step)
{
    clo_dp_rational center = {0, 1}, step = {0, 1};
    CLO_TRY(clo_dp_rational_times(rho, CENTER_SHARE, &center));
    CLO_TRY(clo_dp_rational_divide(center, SHARES, &center));
    CLO_TRY(clo_dp_rational_sub(rho, center, &step));
    CLO_TRY(clo_dp_rational_divide(step, steps, &step));
    CLO_TRY(clo_dp_zcdp_sigma_squared(center_sensitivity_squared(d), center, of_center));
    return clo_dp_zcdp_sigma_squared(bound * bound, step, of_step);
}

static uint64_t gradient_bound(double clip) { return 2 * (uint64_t)(GRID_RESIDUAL * clip) * GRID_ROW; }

clo_err clo_ml_noise_of(const clo_ml_dataset *d, clo_dp_rational rho, uint32_t steps, clo_ml_noise *out)
{
    clo_dp_rational center = {0, 1}, step = {0, 1};
    CLO_CHECKF(steps <= CLO_ML_STEPS_MAX, CLO_E_RANGE, "a training has at most %d steps", CLO_ML_STEPS_MAX);
    uint32_t count = steps > 0 ? steps : PRIVATE_STEPS;
    CLO_TRY(split_noise(d, rho, count, gradient_bound(PRIVATE_CLIP), &center, &step));
    *out = (clo_ml_noise){.steps = count, .sigma_squared = step};
    return CLO_OK;
}

/* Draw all noise of the training. */
static clo_err draw_noise(training *t)
{
    CLO_AUTO(clo_dp_sampler_wipe) clo_dp_sampler sampler;
    clo_dp_rational center = {0, 1}, step = {0, 1};
    clo_dp_sampler_init(&sampler, t->options->rng);
    CLO_TRY(split_noise(t->d, t->options->rho, t->steps, gradient_bound(t->how.clip), &center, &step));
    t->center_sigma = sqrt(clo_dp_rational_double(center)) / GRID_CENTER;
    CLO_TRY(draw(t, &sampler, center, 0, t->features));
    t->model->sigma_squared = step;
    t->model->rho = t->options->rho;
    for (size_t i = 0; i < t->steps; i++) {
        CLO_TRY(clo_dp_progress_step(&t->options->progress, "noise", i, t->steps));
        CLO_TRY(draw(t, &sampler, step, t->features + i * t->width, t->width));
    }
    return CLO_OK;
}

/* The centre of each feature from a noisy integer sum. Shrinking towards 0 by the known noise is post-processing. */
static void find_center(training *t)
{
    const clo_ml_dataset *d = t->d;
    double n = (double)d->row_count, spread = 0.5 * n;
    double shrink = spread * spread / (spread * spread + t->center_sigma * t->center_sigma);
    int64_t *sums = t->gradient; /* scratch of the same length */
    memset(sums, 0, t->stride * sizeof *sums);
    for (size_t i = 0; i < d->row_count; i++) {
        const float *x = d->x + i * t->features;
        for (size_t j = 0; j < t->features; j++) {
            float v = x[j] * GRID_CENTER;
            float low = d->features[j].code != NULL ? 0.0f : (float)-GRID_CENTER;
            sums[j] += v >= low && v <= (float)GRID_CENTER ? (int64_t)lrintf(v) : 0;
        }
    }
    for (size_t j = 0; j < t->features; j++) {
        double mean = (double)(sums[j] + t->noise[j]) / (n * GRID_CENTER);
        t->model->center[j] = fmin(fmax(mean, -1), 1) * shrink;
    }
}

static clo_err make_rows(training *t)
{
    CLO_CHECK(t->d->row_count <= SIZE_MAX / t->stride / sizeof *t->rows, CLO_E_TOO_LARGE);
    t->rows = calloc(t->d->row_count * t->stride, sizeof *t->rows);
    float *u = calloc(t->width, sizeof *u);
    if (t->rows == NULL || u == NULL) {
        free(u);
        return CLO_FAILF(CLO_E_NOMEM, "the rows do not fit into memory");
    }
    for (size_t i = 0; i < t->d->row_count; i++) {
        clo_ml_row_transform(t->d->x + i * t->features, t->model->center, t->model->scale, t->features, u);
        grid_row(u, t->width, t->rows + i * t->stride);
    }
    wipe_free(u, t->width * sizeof *u);
    return CLO_OK;
}

/* One update from the noisy gradient; the weights stay within a ball, so they are finite whatever the noise was. */
static void update(training *t, const int64_t *noise)
{
    double unit = 1.0 / ((double)t->d->row_count * GRID_ROW * GRID_RESIDUAL), square = 0;
    for (size_t j = 0; j < t->width; j++) {
        double g = (double)(t->gradient[j] + noise[j]) * unit + t->how.decay * t->weights[j];
        t->velocity[j] = t->how.momentum * t->velocity[j] + g;
        t->weights[j] -= t->how.rate * t->velocity[j];
        square += t->weights[j] * t->weights[j];
    }
    double shrink = square > WEIGHT_NORM_MAX * WEIGHT_NORM_MAX ? WEIGHT_NORM_MAX / sqrt(square) : 1;
    for (size_t j = 0; j < t->width; j++) {
        t->weights[j] *= shrink;
        t->weights32[j] = (float)(t->weights[j] / GRID_ROW);
    }
}

static clo_err descend(training *t)
{
    uint32_t first = t->steps - t->how.averaged;
    for (uint32_t i = 0; i < t->steps; i++) {
        CLO_TRY(clo_dp_progress_step(&t->options->progress, "train", i, t->steps));
        exact_gradient(t);
        update(t, t->noise + t->features + (t->options->is_private ? i * t->width : 0));
        if (i < first) continue;
        for (size_t j = 0; j < t->width; j++) t->mean[j] += t->weights[j] / t->how.averaged;
    }
    memcpy(t->model->weights, t->mean, t->width * sizeof *t->mean);
    return clo_dp_progress_step(&t->options->progress, "train", t->steps, t->steps);
}

static clo_err allocate(training *t)
{
    t->noise_count = t->features + (t->options->is_private ? t->steps : 1) * t->width; /* without noise: zeros */
    t->noise = calloc(t->noise_count, sizeof *t->noise);
    t->weights32 = calloc(t->stride, sizeof *t->weights32);
    t->weights = calloc(t->width, sizeof *t->weights);
    t->velocity = calloc(t->width, sizeof *t->velocity);
    t->mean = calloc(t->width, sizeof *t->mean);
    t->gradient = calloc(t->stride, sizeof *t->gradient);
    t->block = calloc(t->stride, sizeof *t->block);
    bool complete = t->noise != NULL && t->weights32 != NULL && t->weights != NULL && t->velocity != NULL && t->mean != NULL;
    CLO_CHECK(complete && t->gradient != NULL && t->block != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_ml_model_new(t->d, &t->model));
    t->model->scale = SCALE / sqrt((double)t->features);
    t->model->steps = t->steps;
    t->model->is_private = t->options->is_private;
    return CLO_OK;
}

static clo_err check(const clo_ml_dataset *d, const clo_ml_options *o)
{
    CLO_CHECKF(d->row_count >= 1 && d->target[0] != '\0', CLO_E_RANGE, "there are no labelled rows to train on");
    CLO_CHECKF(d->feature_count >= 1 && d->feature_count <= CLO_ML_FEATURES_MAX, CLO_E_RANGE,
               "there are no features to train on");
    CLO_CHECKF(o->steps <= CLO_ML_STEPS_MAX, CLO_E_RANGE, "a training has at most %d steps", CLO_ML_STEPS_MAX);
    if (!o->is_private) return CLO_OK;
    CLO_CHECKF(clo_dp_rational_valid(o->rho) && !clo_dp_rational_is_zero(o->rho), CLO_E_RANGE,
               "the privacy budget of a training must be above 0");
    CLO_CHECKF(o->rng.fill != NULL, CLO_E_RNG, "a private training needs a random source");
    return CLO_OK;
}

clo_err clo_ml_train(const clo_ml_dataset *d, const clo_ml_options *options, clo_ml_model **out)
{
    CLO_TRY(check(d, options));
    CLO_AUTO(training_free)
    training t = {.d = d, .options = options, .features = d->feature_count, .width = d->feature_count + 1};
    t.stride = (t.width + LANES - 1) / LANES * LANES;
    t.steps = options->steps > 0 ? options->steps : options->is_private ? PRIVATE_STEPS : PLAIN_STEPS;
    t.how = options->is_private ? (method){.rate = 16, .clip = PRIVATE_CLIP, .averaged = (t.steps + 1) / 2}
                                : (method){.rate = 16, .momentum = 0.9, .decay = 1e-4, .clip = 1, .averaged = 1};
    CLO_TRY(allocate(&t));
    if (options->is_private) CLO_TRY(draw_noise(&t));
    find_center(&t);
    CLO_TRY(make_rows(&t));
    CLO_TRY(descend(&t));
    *out = CLO_TAKE(t.model);
    return CLO_OK;
}
