#include <math.h>
#include <stdlib.h>

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "ml/ml_int.h"

static bool same_number(double a, double b) { return !(a < b) && !(a > b); }

static clo_err check_features(const clo_ml_model *m, const clo_ml_dataset *d)
{
    CLO_CHECKF(m->feature_count == d->feature_count, CLO_E_MALFORMED,
               "the model has %zu features, the rows have %zu; use rows of the model's schema", m->feature_count,
               d->feature_count);
    for (size_t i = 0; i < m->feature_count; i++) {
        const clo_ml_feature *a = &m->features[i], *b = &d->features[i];
        bool same = strcmp(a->column, b->column) == 0 && (a->code == NULL) == (b->code == NULL);
        if (same && a->code != NULL) same = strcmp(a->code, b->code) == 0;
        if (same && a->code == NULL) same = same_number(a->min, b->min) && same_number(a->max, b->max);
        CLO_CHECKF(
            same, CLO_E_MALFORMED,
            "feature %zu is \"%s\" in the model and \"%s\" in the rows, or has other bounds; use rows of the model's schema",
            i + 1, a->column, b->column);
    }
    return CLO_OK;
}

clo_err clo_ml_model_predict(const clo_ml_model *m, const clo_ml_dataset *d, double *probabilities)
{
    CLO_TRY(check_features(m, d));
    float *u = calloc(m->feature_count + 1, sizeof *u);
    CLO_CHECK(u != NULL, CLO_E_NOMEM);
    for (size_t i = 0; i < d->row_count; i++) {
        double z = 0;
        clo_ml_row_transform(d->x + i * d->feature_count, m->center, m->scale, m->feature_count, u);
        for (size_t j = 0; j <= m->feature_count; j++) z += m->weights[j] * (double)u[j];
        probabilities[i] = 1 / (1 + exp(-z));
    }
    clo_wipe(u, (m->feature_count + 1) * sizeof *u);
    free(u);
    return CLO_OK;
}

typedef struct {
    double score;
    uint8_t label;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = (const scored *)a, *y = (const scored *)b;
    return (x->score > y->score) - (x->score < y->score);
}

/* Mann-Whitney: the chance that a positive row scores above a negative one, ties half. */
static double area(scored *rows, size_t count)
{
    double below = 0, wins = 0, positives = 0;
    qsort(rows, count, sizeof *rows, by_score);
    for (size_t i = 0; i < count;) {
        double tied_positives = 0, tied_negatives = 0;
        size_t j = i;
        for (; j < count && same_number(rows[j].score, rows[i].score); j++) {
            tied_positives += rows[j].label;
            tied_negatives += 1 - rows[j].label;
        }
        wins += tied_positives * (below + tied_negatives / 2);
        below += tied_negatives;
        positives += tied_positives;
        i = j;
    }
    return positives > 0 && below > 0 ? wins / (positives * below) : 0.5;
}

static void count(clo_ml_evaluation *e, bool label, bool predicted)
{
    e->rows++;
    e->positives += label;
    e->correct += label == predicted;
    e->true_positives += label && predicted;
    e->false_positives += !label && predicted;
    e->true_negatives += !label && !predicted;
    e->false_negatives += label && !predicted;
}

clo_err clo_ml_model_evaluate(const clo_ml_model *m, const clo_ml_dataset *d, clo_ml_evaluation *out)
{
    CLO_CHECKF(strcmp(d->target, m->target) == 0 && d->row_count > 0, CLO_E_MALFORMED, "there are no rows labelled with \"%s\"",
               m->target);
    double *p = calloc(d->row_count, sizeof *p);
    scored *rows = calloc(d->row_count, sizeof *rows);
    clo_ml_evaluation e = {0};
    clo_err err = p != NULL && rows != NULL ? clo_ml_model_predict(m, d, p) : CLO_FAIL(CLO_E_NOMEM);
    if (!clo_failed(err)) {
        for (size_t i = 0; i < d->row_count; i++) {
            rows[i] = (scored){p[i], d->y[i]};
            count(&e, d->y[i] != 0, p[i] >= 0.5);
        }
        e.accuracy = (double)e.correct / (double)e.rows;
        e.auc = area(rows, d->row_count);
        *out = e;
    }
    if (p != NULL) clo_wipe(p, d->row_count * sizeof *p);
    if (rows != NULL) clo_wipe(rows, d->row_count * sizeof *rows);
    free(p);
    free(rows);
    return err;
}
