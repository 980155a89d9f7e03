/* cloister model …: the runtime's engine on local rows. */
#include "cli/cli_int.h"
#include "cli/infer.h"

#include "crypto/hash.h"
#include "dp/zcdp.h"
#include "ml/ml.h"
#include "os/clock.h"
#include "os/file.h"

#include <math.h>
#include <stdlib.h>

enum { TABLE_MAX = 1 << 30, FOLDS_MAX = 100 };

static clo_err put_row(void *context, clo_span row) { return clo_buf_put_span(context, row); }

static void free_csv(clo_wire_csv **csv) { clo_wire_csv_free(csv); }

/* CSV rows into the table form that engines read. */
static clo_err read_table(clo_span bytes, const char *path, const clo_wire_schema *schema, clo_buf *table)
{
    uint8_t head[CLO_TABLE_HEAD] = {0};
    uint64_t rows = 0;
    CLO_TRY(clo_buf_put(table, head, sizeof head));
    CLO_AUTO(free_csv) clo_wire_csv *csv = NULL;
    CLO_TRY(clo_wire_csv_new(&csv, schema, put_row, table));
    clo_err e = clo_wire_csv_feed(csv, bytes);
    if (!clo_failed(e)) e = clo_wire_csv_end(csv, &rows);
    if (clo_failed(e)) return clo_err_prefix(e, path);
    CLO_TRY(clo_wire_table_head(schema, rows, head));
    memcpy(table->p, head, sizeof head);
    return CLO_OK;
}

/* Without --schema the columns are learned from the rows, which costs nothing only where nothing is private. */
static clo_err read_schema(clo_cli *c, clo_span bytes, const char *path, clo_wire_schema *schema)
{
    const char *given = clo_cli_value(c, "--schema");
    clo_wire_node *tree = NULL;
    if (given != NULL) return clo_cli_schema(c, given, clo_cli_value(c, "--set"), schema, NULL);
    CLO_CHECKF(!clo_cli_flag(c, "--epsilon"), CLO_E_USAGE,
               "private training needs --schema: bounds that are read from the rows are not public");
    clo_err e = clo_cli_schema_infer(&c->arena, bytes, &tree);
    if (!clo_failed(e)) e = clo_wire_schema_read(&c->arena, tree, schema);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}

static clo_err read_rows(clo_cli *c, const char *target, clo_ml_dataset **out)
{
    const char *data = NULL;
    clo_span bytes;
    CLO_TRY(clo_cli_require(c, "--data", &data));
    CLO_TRY(clo_cli_read(c, data, &bytes));
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_wire_schema), &memory)); /* the data set borrows it */
    clo_wire_schema *schema = memory;
    CLO_TRY(read_schema(c, bytes, data, schema));
    CLO_AUTO(clo_buf_free) clo_buf table;
    clo_buf_init(&table, TABLE_MAX);
    CLO_TRY(read_table(bytes, data, schema, &table));
    return clo_ml_dataset_from_table(schema, target, clo_buf_span(&table), out);
}

static clo_err require_kind(clo_cli *c)
{
    const char *kind = clo_cli_value(c, "--kind");
    CLO_CHECKF(kind == NULL || strcmp(kind, "logistic") == 0, CLO_E_UNSUPPORTED,
               "--kind %.40s is not in this version; it trains: logistic", kind);
    return CLO_OK;
}

static clo_err fill_random(void *context, uint8_t *to, size_t n)
{
    (void)context;
    return clo_crypto_random(to, n);
}

typedef struct {
    double epsilon, delta;
    uint64_t steps, folds;
    clo_ml_options options;
} training;

static clo_err take_training(clo_cli *c, training *t)
{
    *t = (training){.delta = 1e-6};
    CLO_TRY(require_kind(c));
    CLO_TRY(clo_cli_value_number(c, "--epsilon", &t->epsilon));
    CLO_TRY(clo_cli_value_number(c, "--delta", &t->delta));
    CLO_TRY(clo_cli_value_count(c, "--steps", CLO_ML_STEPS_MAX, &t->steps));
    CLO_TRY(clo_cli_value_count(c, "--folds", FOLDS_MAX, &t->folds));
    CLO_CHECKF(t->folds != 1, CLO_E_USAGE, "--folds needs at least 2");
    t->options = (clo_ml_options){.steps = (uint32_t)t->steps, .rng = {.context = NULL, .fill = fill_random}};
    if (t->epsilon > 0) {
        t->options.is_private = true;
        CLO_TRY(clo_dp_zcdp_rho(t->epsilon, t->delta, &t->options.rho));
    }
    return CLO_OK;
}

static clo_err set_evaluation(clo_cli *c, clo_wire_node *map, const clo_ml_evaluation *e)
{
    CLO_TRY(clo_wire_set_float(&c->arena, map, "accuracy", e->accuracy));
    return clo_wire_set_float(&c->arena, map, "auc", e->auc);
}

static clo_err one_fold(clo_cli *c, const clo_ml_dataset *d, const training *t, size_t fold, clo_wire_node *list,
                        clo_ml_evaluation *sum)
{
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *train = NULL, *test = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *model = NULL;
    clo_ml_evaluation e;
    clo_wire_node *one = NULL;
    CLO_TRY(clo_ml_dataset_fold(d, (size_t)t->folds, fold, &train, &test));
    CLO_TRY(clo_ml_train(train, &t->options, &model));
    CLO_TRY(clo_ml_model_evaluate(model, test, &e));
    CLO_TRY(clo_wire_map(&c->arena, &one));
    CLO_TRY(set_evaluation(c, one, &e));
    CLO_TRY(clo_wire_append(list, one));
    sum->accuracy += e.accuracy / (double)t->folds;
    sum->auc += e.auc / (double)t->folds;
    clo_cli_say(c, "fold %zu: accuracy %.4f, AUC %.4f\n", fold, e.accuracy, e.auc);
    return CLO_OK;
}

static clo_err set_privacy(clo_cli *c, clo_wire_node *map, const training *t, const clo_ml_model *m)
{
    clo_wire_node *privacy = NULL;
    char rho[CLO_DP_RATIONAL_TEXT];
    double epsilon = 0;
    if (m == NULL || !m->is_private) {
        CLO_TRY(clo_wire_null(&c->arena, &privacy));
        return clo_wire_set(&c->arena, map, "privacy", privacy);
    }
    clo_dp_rational_format(rho, m->rho);
    CLO_TRY(clo_dp_zcdp_epsilon(m->rho, t->delta, &epsilon));
    CLO_TRY(clo_wire_map(&c->arena, &privacy));
    CLO_TRY(clo_wire_set_float(&c->arena, privacy, "epsilon", epsilon));
    CLO_TRY(clo_wire_set_float(&c->arena, privacy, "delta", t->delta));
    CLO_TRY(clo_wire_set_text(&c->arena, privacy, "accountant", "zcdp"));
    CLO_TRY(clo_wire_set_text(&c->arena, privacy, "rho", rho));
    CLO_TRY(clo_wire_set_float(&c->arena, privacy, "sigma", sqrt(clo_dp_rational_double(m->sigma_squared))));
    CLO_TRY(clo_wire_set_float(&c->arena, privacy, "sampling_rate", 1.0));
    CLO_TRY(clo_wire_set_int(&c->arena, privacy, "steps", (int64_t)m->steps));
    clo_cli_say(c, "privacy: epsilon %.4g at delta %.2g (rho %s)\n", epsilon, t->delta, rho);
    return clo_wire_set(&c->arena, map, "privacy", privacy);
}

clo_err clo_cli_model_train(clo_cli *c)
{
    training t;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *model = NULL;
    clo_wire_node *map = NULL, *folds = NULL, *mean = NULL;
    clo_ml_evaluation e = {.accuracy = 0};
    const char *out = clo_cli_value(c, "--out");
    uint64_t started = clo_os_now_ns();
    CLO_TRY(take_training(c, &t));
    CLO_TRY(read_rows(c, clo_cli_value(c, "--target"), &d));
    clo_arena *a = &c->arena;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "kind", "logistic"));
    CLO_TRY(clo_wire_set_int(a, map, "rows", (int64_t)d->row_count));
    CLO_TRY(clo_wire_set_int(a, map, "features", (int64_t)d->feature_count));
    CLO_TRY(clo_wire_array(a, &folds));
    for (size_t i = 0; i < t.folds; i++) CLO_TRY(one_fold(c, d, &t, i, folds, &e));
    CLO_TRY(clo_ml_train(d, &t.options, &model));
    if (t.folds == 0) CLO_TRY(clo_ml_model_evaluate(model, d, &e));
    CLO_TRY(clo_wire_set(a, map, "folds", folds));
    CLO_TRY(clo_wire_map(a, &mean));
    CLO_TRY(set_evaluation(c, mean, &e));
    CLO_TRY(clo_wire_set(a, map, t.folds == 0 ? "training" : "mean", mean));
    clo_cli_say(c, "%s: accuracy %.4f, AUC %.4f (%zu rows, %zu features)\n",
                t.folds == 0 ? "on its own training rows" : "mean of the folds", e.accuracy, e.auc, d->row_count,
                d->feature_count);
    CLO_TRY(set_privacy(c, map, &t, model));
    if (out != NULL) {
        CLO_AUTO(clo_buf_free) clo_buf file;
        clo_buf_init(&file, CLI_FILE_MAX);
        CLO_TRY(clo_ml_model_encode(model, &file));
        CLO_TRY(clo_os_file_write_atomic(out, clo_buf_span(&file), 0600));
        CLO_TRY(clo_wire_set_text(a, map, "model", out));
        clo_cli_say(c, "written to %s\n", out);
    }
    CLO_TRY(clo_wire_set_float(a, map, "seconds", (double)(clo_os_now_ns() - started) / 1e9));
    return clo_cli_emit(c, map);
}

static clo_err read_model(clo_cli *c, const char *path, clo_ml_model **out)
{
    clo_span file;
    CLO_TRY(clo_cli_read(c, path, &file));
    clo_err e = clo_ml_model_decode(file, out);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}

clo_err clo_cli_model_evaluate(clo_cli *c)
{
    const char *path = NULL;
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *model = NULL;
    clo_ml_evaluation e;
    clo_wire_node *map = NULL;
    CLO_TRY(clo_cli_require(c, "--model", &path));
    CLO_TRY(require_kind(c));
    CLO_TRY(read_model(c, path, &model));
    CLO_TRY(read_rows(c, model->target, &d));
    CLO_TRY(clo_ml_model_evaluate(model, d, &e));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "kind", "logistic"));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "rows", (int64_t)e.rows));
    CLO_TRY(set_evaluation(c, map, &e));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "true_positives", (int64_t)e.true_positives));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "false_positives", (int64_t)e.false_positives));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "true_negatives", (int64_t)e.true_negatives));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "false_negatives", (int64_t)e.false_negatives));
    clo_cli_say(c, "accuracy %.4f, AUC %.4f over %llu rows\n", e.accuracy, e.auc, (unsigned long long)e.rows);
    return clo_cli_emit(c, map);
}

static clo_err write_predictions(const double *p, size_t count, const clo_ml_model *m, const char *out)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, TABLE_MAX);
    CLO_TRY(clo_buf_put_str(&text, "probability,label\n"));
    for (size_t i = 0; i < count; i++) CLO_TRY(clo_buf_printf(&text, "%.9g,%s\n", p[i], m->labels[p[i] >= 0.5 ? 1 : 0]));
    if (out != NULL) return clo_os_file_write_atomic(out, clo_buf_span(&text), 0600);
    CLO_CHECK(fwrite(text.p, 1, text.len, stdout) == text.len, CLO_E_IO);
    return CLO_OK;
}

clo_err clo_cli_model_predict(clo_cli *c)
{
    const char *path = NULL, *out = clo_cli_value(c, "--out");
    CLO_AUTO(clo_ml_dataset_free) clo_ml_dataset *d = NULL;
    CLO_AUTO(clo_ml_model_free) clo_ml_model *model = NULL;
    void *memory = NULL;
    clo_wire_node *map = NULL, *list = NULL;
    CLO_TRY(clo_cli_require(c, "--model", &path));
    CLO_TRY(require_kind(c));
    CLO_TRY(read_model(c, path, &model));
    CLO_TRY(read_rows(c, "", &d));
    CLO_TRY(clo_arena_array(&c->arena, d->row_count + 1, sizeof(double), &memory));
    double *p = memory;
    CLO_TRY(clo_ml_model_predict(model, d, p));
    if (!c->json || out != NULL) CLO_TRY(write_predictions(p, d->row_count, model, out));
    if (!c->json) return CLO_OK;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_array(&c->arena, &list));
    for (size_t i = 0; i < d->row_count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_float(&c->arena, p[i], &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    CLO_TRY(clo_wire_set_int(&c->arena, map, "rows", (int64_t)d->row_count));
    CLO_TRY(clo_wire_set(&c->arena, map, "probabilities", list));
    return clo_cli_emit(c, map);
}

clo_err clo_cli_model_show(clo_cli *c)
{
    CLO_AUTO(clo_ml_model_free) clo_ml_model *model = NULL;
    clo_wire_node *tree = NULL;
    CLO_TRY(read_model(c, c->args[0], &model));
    CLO_TRY(clo_ml_model_describe(&c->arena, model, &tree));
    char text[140];
    for (const clo_wire_node *n = tree->first; n != NULL; n = n->next) {
        if (n->key == NULL || n->key->type != CLO_WIRE_TEXT) continue;
        clo_cli_text_of(n, text, sizeof text);
        clo_cli_say(c, "%-16s %s\n", (const char *)n->key->text.p, text);
    }
    return clo_cli_emit(c, tree);
}
