#include "ml/ml.h"

#include <math.h>
#include <stdlib.h>

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "ml/ml_int.h"
#include "wire/cbor.h"
#include "wire/container.h"

enum { MODEL_MEMORY_MAX = 64 << 20 };

clo_err clo_ml_model_new(const clo_ml_dataset *d, clo_ml_model **out)
{
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = calloc(1, sizeof *m);
    CLO_CHECK(m != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_ml_features_copy(d->features, d->feature_count, &m->features));
    m->feature_count = d->feature_count;
    m->weights = calloc(d->feature_count + 1, sizeof *m->weights);
    m->center = calloc(d->feature_count + 1, sizeof *m->center);
    CLO_CHECK(m->weights != NULL && m->center != NULL, CLO_E_NOMEM);
    memcpy(m->target, d->target, sizeof m->target);
    memcpy(m->labels, d->labels, sizeof m->labels);
    memcpy(m->schema_digest, d->schema_digest, sizeof m->schema_digest);
    m->row_count = d->row_count;
    m->rho = m->sigma_squared = clo_dp_rational_zero();
    *out = CLO_TAKE(m);
    return CLO_OK;
}

void clo_ml_model_free(clo_ml_model **held)
{
    clo_ml_model *m = *held;
    if (m == NULL) return;
    if (m->weights != NULL) clo_wipe(m->weights, (m->feature_count + 1) * sizeof *m->weights);
    if (m->center != NULL) clo_wipe(m->center, m->feature_count * sizeof *m->center);
    free(m->weights);
    free(m->center);
    clo_ml_features_free(m->features, m->feature_count);
    free(m);
    *held = NULL;
}

static clo_err put_numbers(clo_arena *a, clo_wire_node *map, const char *key, const double *values, size_t count)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_float(a, values[i], &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    return clo_wire_set(a, map, key, list);
}

static clo_err put_features(clo_arena *a, clo_wire_node *map, const clo_ml_model *m)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < m->feature_count; i++) {
        clo_wire_node *f = NULL;
        CLO_TRY(clo_wire_map(a, &f));
        CLO_TRY(clo_wire_set_text(a, f, "column", m->features[i].column));
        if (m->features[i].code != NULL) {
            CLO_TRY(clo_wire_set_text(a, f, "code", m->features[i].code));
        } else {
            CLO_TRY(clo_wire_set_float(a, f, "min", m->features[i].min));
            CLO_TRY(clo_wire_set_float(a, f, "max", m->features[i].max));
        }
        CLO_TRY(clo_wire_append(list, f));
    }
    return clo_wire_set(a, map, "features", list);
}

/* What a file and a description have in common. */
static clo_err put_facts(clo_arena *a, clo_wire_node *map, const clo_ml_model *m)
{
    char rho[CLO_DP_RATIONAL_TEXT], sigma[CLO_DP_RATIONAL_TEXT];
    clo_wire_node *labels = NULL, *label = NULL;
    CLO_TRY(clo_wire_set_text(a, map, "kind", "logistic"));
    CLO_TRY(clo_wire_set_text(a, map, "target", m->target));
    CLO_TRY(clo_wire_array(a, &labels));
    for (size_t i = 0; i < 2; i++) {
        CLO_TRY(clo_wire_text(a, clo_span_str(m->labels[i]), &label));
        CLO_TRY(clo_wire_append(labels, label));
    }
    CLO_TRY(clo_wire_set(a, map, "labels", labels));
    CLO_TRY(clo_wire_set_bytes(a, map, "schema", clo_span_of(m->schema_digest, sizeof m->schema_digest)));
    CLO_TRY(clo_wire_set_int(a, map, "rows", (int64_t)m->row_count));
    CLO_TRY(clo_wire_set_int(a, map, "steps", m->steps));
    CLO_TRY(clo_wire_set_bool(a, map, "private", m->is_private));
    clo_dp_rational_format(rho, m->rho);
    clo_dp_rational_format(sigma, m->sigma_squared);
    CLO_TRY(clo_wire_set_text(a, map, "rho", rho));
    return clo_wire_set_text(a, map, "sigma_squared", sigma);
}

clo_err clo_ml_model_describe(clo_arena *a, const clo_ml_model *m, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(put_facts(a, map, m));
    CLO_TRY(clo_wire_set_int(a, map, "features", (int64_t)m->feature_count));
    *out = map;
    return CLO_OK;
}

clo_err clo_ml_model_encode(const clo_ml_model *m, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_wire_node *map = NULL;
    clo_arena_init(&a, MODEL_MEMORY_MAX);
    clo_buf_init(&body, MODEL_MEMORY_MAX);
    CLO_TRY(clo_wire_map(&a, &map));
    CLO_TRY(put_facts(&a, map, m));
    CLO_TRY(put_features(&a, map, m));
    CLO_TRY(put_numbers(&a, map, "weights", m->weights, m->feature_count + 1));
    CLO_TRY(put_numbers(&a, map, "center", m->center, m->feature_count));
    CLO_TRY(clo_wire_set_float(&a, map, "scale", m->scale));
    CLO_TRY(clo_wire_container_put(&body, CLO_MAGIC_MODEL, CLO_ML_MODEL_VERSION));
    CLO_TRY(clo_wire_cbor_encode(map, &body));
    return clo_buf_put_span(out, clo_buf_span(&body));
}

static clo_err take_features(clo_arena *a, const clo_wire_node *list, clo_ml_model *m)
{
    m->features = calloc(list->count + 1, sizeof *m->features);
    CLO_CHECK(m->features != NULL, CLO_E_NOMEM);
    m->feature_count = list->count;
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, i++) {
        clo_ml_feature *f = &m->features[i];
        const char *code = NULL;
        clo_wire_fields fields;
        clo_wire_fields_open(&fields, a, n, "model.features");
        clo_wire_take_str(&fields, "column", f->column, sizeof f->column);
        f->max = 1;
        if (clo_wire_has(&fields, "code")) {
            clo_wire_take_text(&fields, "code", &code, CLO_TABLE_TEXT_MAX);
        } else {
            clo_wire_take_float(&fields, "min", &f->min);
            clo_wire_take_float(&fields, "max", &f->max);
            if (!(f->min <= f->max)) clo_wire_fields_fail(&fields, CLO_E_RANGE, "max", "is below min");
        }
        CLO_TRY(clo_wire_fields_end(&fields));
        if (code == NULL) continue;
        f->code = strdup(code);
        CLO_CHECK(f->code != NULL, CLO_E_NOMEM);
    }
    return CLO_OK;
}

static clo_err take_numbers(const clo_wire_node *list, const char *what, size_t count, double **out)
{
    CLO_CHECKF(list->count == count, CLO_E_MALFORMED, "%s has %zu numbers instead of %zu", what, list->count, count);
    *out = calloc(count + 1, sizeof **out);
    CLO_CHECK(*out != NULL, CLO_E_NOMEM);
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(clo_wire_node_float(n, what, &(*out)[i++]));
    return CLO_OK;
}

static clo_err take_amount(clo_wire_fields *f, const char *key, clo_dp_rational *out)
{
    char text[CLO_DP_RATIONAL_TEXT];
    clo_wire_take_str(f, key, text, sizeof text);
    if (clo_failed(f->err)) return CLO_OK; /* reported at the end */
    return clo_dp_rational_parse(clo_span_str(text), out);
}

static clo_err take_labels(const clo_wire_node *list, clo_arena *a, clo_ml_model *m)
{
    CLO_CHECKF(list->count == 2, CLO_E_MALFORMED, "model.labels must be two texts");
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, i++) {
        const char *text = NULL;
        CLO_TRY(clo_wire_node_text(a, n, "model.labels", &text, sizeof m->labels[0] - 1));
        memcpy(m->labels[i], text, strlen(text) + 1);
    }
    return CLO_OK;
}

static clo_err take_model(clo_arena *a, const clo_wire_node *node, clo_ml_model *m)
{
    clo_wire_fields f;
    char kind[16] = "";
    const clo_wire_node *features = NULL, *weights = NULL, *center = NULL, *labels = NULL;
    int64_t rows = 0, steps = 0;
    clo_wire_fields_open(&f, a, node, "model");
    clo_wire_take_str(&f, "kind", kind, sizeof kind);
    clo_wire_take_str(&f, "target", m->target, sizeof m->target);
    clo_wire_take_array(&f, "labels", &labels, 2);
    clo_wire_take_fixed(&f, "schema", m->schema_digest, sizeof m->schema_digest);
    clo_wire_take_int(&f, "rows", &rows, 1, INT64_MAX);
    clo_wire_take_int(&f, "steps", &steps, 1, CLO_ML_STEPS_MAX);
    clo_wire_take_bool(&f, "private", &m->is_private);
    clo_wire_take_float(&f, "scale", &m->scale);
    clo_wire_take_array(&f, "features", &features, CLO_ML_FEATURES_MAX);
    clo_wire_take_array(&f, "weights", &weights, CLO_ML_FEATURES_MAX + 1);
    clo_wire_take_array(&f, "center", &center, CLO_ML_FEATURES_MAX);
    CLO_TRY(take_amount(&f, "rho", &m->rho));
    CLO_TRY(take_amount(&f, "sigma_squared", &m->sigma_squared));
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(strcmp(kind, "logistic") == 0, CLO_E_UNSUPPORTED, "the model is of kind \"%s\"; this program knows logistic",
               kind);
    CLO_CHECKF(features->count > 0 && m->target[0] != '\0', CLO_E_MALFORMED, "the model has no features or no target");
    CLO_CHECKF(m->scale > 0 && m->scale <= 1e6, CLO_E_RANGE, "model.scale is out of range");
    m->row_count = (uint64_t)rows;
    m->steps = (uint32_t)steps;
    CLO_TRY(take_labels(labels, a, m));
    CLO_TRY(take_features(a, features, m));
    CLO_TRY(take_numbers(weights, "model.weights", m->feature_count + 1, &m->weights));
    return take_numbers(center, "model.center", m->feature_count, &m->center);
}

clo_err clo_ml_model_decode(clo_span file, clo_ml_model **out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    uint32_t version = 0;
    clo_span body = {0};
    clo_wire_node *node = NULL;
    clo_arena_init(&a, MODEL_MEMORY_MAX);
    CLO_TRY(clo_wire_container_open(file, CLO_MAGIC_MODEL, CLO_ML_MODEL_VERSION, &version, &body));
    CLO_TRY(clo_wire_cbor_decode(&a, body, NULL, &node));
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = calloc(1, sizeof *m);
    CLO_CHECK(m != NULL, CLO_E_NOMEM);
    m->rho = m->sigma_squared = clo_dp_rational_zero();
    CLO_TRY(take_model(&a, node, m));
    *out = CLO_TAKE(m);
    return CLO_OK;
}
