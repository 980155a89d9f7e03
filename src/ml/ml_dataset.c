#include <math.h>
#include <stdlib.h>

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "ml/ml_int.h"

void clo_ml_features_free(clo_ml_feature *features, size_t count)
{
    for (size_t i = 0; features != NULL && i < count; i++) free(features[i].code);
    free(features);
}

clo_err clo_ml_features_copy(const clo_ml_feature *from, size_t count, clo_ml_feature **out)
{
    clo_ml_feature *to = calloc(count + 1, sizeof *to);
    CLO_CHECK(to != NULL, CLO_E_NOMEM);
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].code = NULL;
        if (from[i].code == NULL) continue;
        to[i].code = strdup(from[i].code);
        if (to[i].code == NULL) {
            clo_ml_features_free(to, count);
            return CLO_FAIL(CLO_E_NOMEM);
        }
    }
    *out = to;
    return CLO_OK;
}

void clo_ml_dataset_free(clo_ml_dataset **held)
{
    clo_ml_dataset *d = *held;
    if (d == NULL) return;
    if (d->x != NULL) clo_wipe(d->x, d->row_capacity * d->feature_count * sizeof *d->x);
    if (d->y != NULL) clo_wipe(d->y, d->row_capacity);
    free(d->x);
    free(d->y);
    clo_ml_features_free(d->features, d->feature_count);
    free(d);
    *held = NULL;
}

static clo_err set_label(char to[64], const char *text)
{
    CLO_CHECKF(strlen(text) < 64, CLO_E_TOO_LARGE, "a code of the target column is longer than 63 bytes");
    memcpy(to, text, strlen(text) + 1);
    return CLO_OK;
}

static clo_err set_target(clo_ml_dataset *d, const clo_wire_schema *schema, const char *target)
{
    int index = clo_wire_schema_find(schema, target);
    CLO_CHECKF(index >= 0, CLO_E_NOT_FOUND, "there is no column \"%s\" to predict; name a column of the schema", target);
    const clo_wire_column *c = &schema->columns[index];
    /* Decided by the schema, not by a row: a run must not end in a way that depends on rows. */
    CLO_CHECKF(!c->nullable, CLO_E_UNSUPPORTED,
               "\"%s\" cannot be predicted: its values may be missing; seal only rows that have it", target);
    memcpy(d->target, c->name, sizeof d->target);
    if (c->type == CLO_COLUMN_CODE && c->code_count == 2) {
        CLO_TRY(set_label(d->labels[0], c->codes[0]));
        return set_label(d->labels[1], c->codes[1]);
    }
    bool binary = c->type == CLO_COLUMN_INT && c->bounded && fabs(c->min) < 0.5 && fabs(c->max - 1) < 0.5;
    CLO_CHECKF(binary, CLO_E_UNSUPPORTED,
               "\"%s\" cannot be predicted: a target is a whole number with bounds 0 and 1, or has two codes", target);
    CLO_TRY(set_label(d->labels[0], "0"));
    return set_label(d->labels[1], "1");
}

static clo_err add_feature(clo_ml_dataset *d, const clo_wire_column *c, const char *code)
{
    CLO_CHECKF(d->feature_count < CLO_ML_FEATURES_MAX, CLO_E_TOO_MANY, "the columns make more than %d features; leave some out",
               CLO_ML_FEATURES_MAX);
    clo_ml_feature *f = &d->features[d->feature_count];
    memcpy(f->column, c->name, sizeof f->column);
    f->min = code == NULL ? c->min : 0;
    f->max = code == NULL ? c->max : 1;
    if (code != NULL) {
        f->code = strdup(code);
        CLO_CHECK(f->code != NULL, CLO_E_NOMEM);
    }
    d->feature_count++;
    return CLO_OK;
}

static bool is_feature(const clo_ml_dataset *d, const clo_wire_schema *schema, const clo_wire_column *c)
{
    if (c->type == CLO_COLUMN_TEXT) return false;
    return strcmp(c->name, d->target) != 0 && strcmp(c->name, schema->target) != 0;
}

static clo_err set_features(clo_ml_dataset *d, const clo_wire_schema *schema)
{
    d->features = calloc(CLO_ML_FEATURES_MAX, sizeof *d->features);
    CLO_CHECK(d->features != NULL, CLO_E_NOMEM);
    for (size_t i = 0; i < schema->column_count; i++) {
        const clo_wire_column *c = &schema->columns[i];
        if (!is_feature(d, schema, c)) continue;
        if (c->type == CLO_COLUMN_CODE) {
            for (size_t k = 0; k < c->code_count; k++) CLO_TRY(add_feature(d, c, c->codes[k]));
            continue;
        }
        CLO_CHECKF(c->bounded && isfinite(c->max - c->min), CLO_E_RANGE,
                   "column \"%s\" needs public bounds to train on; give it a min and a max in the schema", c->name);
        CLO_TRY(add_feature(d, c, NULL));
    }
    CLO_CHECKF(d->feature_count > 0, CLO_E_RANGE, "the schema has no column to learn from");
    return CLO_OK;
}

clo_err clo_ml_dataset_new(const clo_wire_schema *schema, const char *target, clo_ml_dataset **out)
{
    CLO_CHECKF(schema != NULL, CLO_E_MISSING_FIELD, "a data set needs a schema");
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = calloc(1, sizeof *d);
    CLO_CHECK(d != NULL, CLO_E_NOMEM);
    d->schema = schema;
    memcpy(d->schema_digest, schema->digest, sizeof d->schema_digest);
    if (target == NULL) target = schema->target;
    CLO_CHECKF(target != schema->target || target[0] != '\0', CLO_E_MISSING_FIELD,
               "the schema names no target; say which column to predict");
    if (target[0] != '\0') CLO_TRY(set_target(d, schema, target));
    CLO_TRY(set_features(d, schema));
    *out = CLO_TAKE(d);
    return CLO_OK;
}

/* Room for `more` rows. New memory is filled by copy and the old is wiped: realloc would leave rows behind. */
static clo_err reserve(clo_ml_dataset *d, uint64_t more)
{
    size_t rows = 0, cells = 0, bytes = 0;
    CLO_CHECKF(!__builtin_add_overflow(d->row_count, more, &rows), CLO_E_TOO_LARGE, "the tables have too many rows");
    if (rows <= d->row_capacity && d->x != NULL) return CLO_OK;
    CLO_CHECKF(!__builtin_mul_overflow(rows, d->feature_count, &cells) && !__builtin_mul_overflow(cells, sizeof *d->x, &bytes),
               CLO_E_TOO_LARGE, "the tables have too many rows");
    float *x = malloc(bytes + sizeof *d->x);
    uint8_t *y = malloc(rows + 1);
    if (x == NULL || y == NULL) {
        free(x);
        free(y);
        return CLO_FAILF(CLO_E_NOMEM, "the rows do not fit into memory");
    }
    if (d->x != NULL) {
        memcpy(x, d->x, d->row_count * d->feature_count * sizeof *x);
        memcpy(y, d->y, d->row_count);
        clo_wipe(d->x, d->row_capacity * d->feature_count * sizeof *d->x);
        clo_wipe(d->y, d->row_capacity);
        free(d->x);
        free(d->y);
    }
    d->x = x;
    d->y = y;
    d->row_capacity = rows;
    return CLO_OK;
}

/* A function of this one value and public bounds, always in [-1, 1]. */
static float scaled(const clo_wire_column *c, const clo_wire_cell *cell)
{
    double half = c->max / 2 - c->min / 2;
    if (cell->null || !(half > 0)) return 0;
    double v = (cell->number - c->min) / half - 1;
    return (float)fmin(fmax(v, -1), 1);
}

static clo_err take_row(clo_ml_dataset *d, const clo_wire_cell *cells, float *x, uint8_t *y)
{
    size_t at = 0;
    *y = 0;
    for (size_t i = 0; i < d->schema->column_count; i++) {
        const clo_wire_column *c = &d->schema->columns[i];
        const clo_wire_cell *cell = &cells[i];
        if (d->target[0] != '\0' && strcmp(c->name, d->target) == 0) {
            CLO_CHECKF(!cell->null, CLO_E_RANGE, "a row has no value in the target column \"%s\"; remove the row", c->name);
            *y = cell->integer != 0;
        }
        if (!is_feature(d, d->schema, c)) continue;
        if (c->type == CLO_COLUMN_CODE) {
            for (size_t k = 0; k < c->code_count; k++) x[at++] = !cell->null && (size_t)cell->integer == k ? 1.0f : 0.0f;
        } else {
            x[at++] = scaled(c, cell);
        }
    }
    return CLO_OK;
}

typedef struct {
    clo_wire_cell *cells;
    size_t count;
} cell_row;

static void cell_row_free(cell_row *r)
{
    if (r->cells != NULL) clo_wipe(r->cells, r->count * sizeof *r->cells);
    free(r->cells);
}

clo_err clo_ml_dataset_add(clo_ml_dataset *d, clo_span table)
{
    return clo_ml_dataset_add_arriving(d, table, (clo_wire_arrival){NULL, NULL});
}

clo_err clo_ml_dataset_add_arriving(clo_ml_dataset *d, clo_span table, clo_wire_arrival arrival)
{
    CLO_CHECKF(d->schema != NULL, CLO_E_USAGE, "rows can be added only where they were read before");
    CLO_AUTO(cell_row_free)
    cell_row row = {.cells = calloc(d->schema->column_count + 1, sizeof *row.cells), .count = d->schema->column_count + 1};
    clo_wire_table rows = {0};
    uint64_t count = 0;
    CLO_CHECK(row.cells != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_wire_table_open_arriving(d->schema, table, arrival, &rows, &count));
    CLO_TRY(reserve(d, count));
    for (uint64_t i = 0; i < count; i++) {
        size_t at = d->row_count + i;
        CLO_TRY(clo_wire_table_next(&rows, row.cells));
        CLO_TRY(take_row(d, row.cells, d->x + at * d->feature_count, d->y + at));
    }
    CLO_TRY(clo_wire_table_end(&rows));
    d->row_count += count; /* only whole tables count */
    return CLO_OK;
}

clo_err clo_ml_dataset_from_tables(const clo_wire_schema *schema, const char *target, const clo_span *tables, size_t table_count,
                                   clo_ml_dataset **out)
{
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    uint64_t rows = 0, count = 0;
    CLO_TRY(clo_ml_dataset_new(schema, target, &d));
    for (size_t i = 0; i < table_count; i++) {
        clo_wire_table head = {0};
        CLO_TRY(clo_wire_table_open(schema, tables[i], &head, &count));
        CLO_CHECKF(!__builtin_add_overflow(rows, count, &rows), CLO_E_TOO_LARGE, "the tables have too many rows");
    }
    CLO_TRY(reserve(d, rows));
    for (size_t i = 0; i < table_count; i++) CLO_TRY(clo_ml_dataset_add(d, tables[i]));
    *out = CLO_TAKE(d);
    return CLO_OK;
}

clo_err clo_ml_dataset_from_table(const clo_wire_schema *schema, const char *target, clo_span table, clo_ml_dataset **out)
{
    return clo_ml_dataset_from_tables(schema, target, &table, 1, out);
}

/* An empty copy with room for `rows`. */
static clo_err like(const clo_ml_dataset *d, size_t rows, clo_ml_dataset **out)
{
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *to = calloc(1, sizeof *to);
    CLO_CHECK(to != NULL, CLO_E_NOMEM);
    *to = *d;
    to->features = NULL;
    to->x = NULL;
    to->y = NULL;
    to->row_count = to->row_capacity = 0;
    to->schema = NULL;
    CLO_TRY(clo_ml_features_copy(d->features, d->feature_count, &to->features));
    CLO_TRY(reserve(to, rows));
    *out = CLO_TAKE(to);
    return CLO_OK;
}

clo_err clo_ml_dataset_fold(const clo_ml_dataset *d, size_t fold_count, size_t fold, clo_ml_dataset **train,
                            clo_ml_dataset **test)
{
    CLO_CHECKF(fold_count >= 2 && fold < fold_count, CLO_E_RANGE, "a split needs at least 2 folds");
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *in = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *held = NULL;
    CLO_TRY(like(d, d->row_count, &in));
    CLO_TRY(like(d, d->row_count / fold_count + 1, &held));
    for (size_t i = 0; i < d->row_count; i++) {
        clo_ml_dataset *to = i % fold_count == fold ? held : in;
        memcpy(to->x + to->row_count * d->feature_count, d->x + i * d->feature_count, d->feature_count * sizeof *d->x);
        to->y[to->row_count++] = d->y[i];
    }
    *train = CLO_TAKE(in);
    *test = CLO_TAKE(held);
    return CLO_OK;
}
