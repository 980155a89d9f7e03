/* The agreement from a tree: datasets, programs, runtimes, runs. */
#include <stdio.h>

#include "collab/agreement_int.h"
#include "dp/zcdp.h"
#include "ml/ml.h"

typedef struct {
    char text[96];
} place;
static place place_of(const char *list, size_t index, const char *member)
{
    place p;
    (void)snprintf(p.text, sizeof p.text, "agreement.%s[%zu]%s%s", list, index, member[0] != '\0' ? "." : "", member);
    return p;
}

/* An amount: "0.25" | {rho} | {epsilon, delta}; with `delta` (a dataset's budget) also {rho, delta}. */
static clo_err amount_read(clo_arena *a, const clo_wire_node *node, const char *what, clo_dp_rational *rho, double *delta)
{
    if (node->type != CLO_WIRE_MAP) return clo_collab_rho_read(a, node, what, rho);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, what);
    if (clo_wire_has(&f, "epsilon")) {
        double epsilon = 0, at = 0;
        clo_wire_take_float(&f, "epsilon", &epsilon);
        clo_wire_take_float(&f, "delta", &at);
        CLO_TRY(clo_wire_fields_end(&f));
        clo_err e = clo_dp_zcdp_rho(epsilon, at, rho);
        if (clo_failed(e)) return clo_err_prefix(e, what);
        CLO_CHECKF(!clo_dp_rational_is_zero(*rho), CLO_E_RANGE, "%s is too small to be spent; raise epsilon", what);
        if (delta != NULL) *delta = at;
        return CLO_OK;
    }
    clo_collab_take_rho(&f, "rho", rho);
    if (delta != NULL && clo_wire_has(&f, "delta")) clo_wire_take_float(&f, "delta", delta);
    return clo_wire_fields_end(&f);
}

clo_err clo_collab_dataset_terms_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_dataset_terms *out)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, place_of("datasets", index, "").text);
    const clo_wire_node *schema = NULL, *budget = NULL;
    clo_wire_take_name(&f, "name", out->name);
    clo_wire_take_name(&f, "owner", out->owner);
    clo_wire_take_map(&f, "schema", &schema);
    clo_wire_take_any(&f, "budget", &budget);
    CLO_TRY(clo_wire_fields_end(&f));
    clo_err e = clo_wire_schema_read(a, schema, &out->schema);
    if (clo_failed(e)) return clo_err_prefix(e, place_of("datasets", index, "schema").text);
    out->delta = 1e-6;
    return amount_read(a, budget, place_of("datasets", index, "budget").text, &out->rho, &out->delta);
}

static void sql_take(clo_wire_fields *f, clo_collab_program *p)
{
    clo_wire_take_text(f, "sql", &p->sql, CLO_PROGRAM_TEXT_MAX);
    if (clo_wire_has(f, "parameters"))
        clo_collab_take_names(f, "parameters", p->parameters, CLO_PARAMETERS_MAX, &p->parameter_count);
    if (strcmp(p->noise, CLO_NOISE_GAUSSIAN) != 0 && strcmp(p->noise, CLO_NOISE_LAPLACE) != 0)
        clo_wire_fields_fail(f, CLO_E_UNSUPPORTED, "noise", "must be \"" CLO_NOISE_GAUSSIAN "\" or \"" CLO_NOISE_LAPLACE "\"");
}

static void train_take(clo_wire_fields *f, clo_collab_program *p)
{
    clo_wire_take_str(f, "target", p->target, sizeof p->target);
    if (p->target[0] == '\0') clo_wire_fields_fail(f, CLO_E_MISSING_FIELD, "target", "must name the column that is learned");
    if (clo_wire_has(f, "steps")) clo_wire_take_int(f, "steps", &p->steps, 0, CLO_ML_STEPS_MAX);
    if (clo_wire_has(f, "clip")) {
        int64_t clip = 0;
        clo_wire_take_int(f, "clip", &clip, 0, 0);
    }
    if (strcmp(p->noise, CLO_NOISE_GAUSSIAN) != 0)
        clo_wire_fields_fail(f, CLO_E_UNSUPPORTED, "noise", "must be \"" CLO_NOISE_GAUSSIAN "\" for training");
}

clo_err clo_collab_program_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_program *out)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, place_of("programs", index, "").text);
    char kind[16];
    out->sql = "";
    clo_wire_take_name(&f, "name", out->name);
    clo_wire_take_str(&f, "kind", kind, sizeof kind);
    (void)snprintf(out->noise, sizeof out->noise, "%s", CLO_NOISE_GAUSSIAN);
    if (clo_wire_has(&f, "noise")) clo_wire_take_str(&f, "noise", out->noise, sizeof out->noise);
    if (strcmp(kind, "sql") == 0) {
        out->kind = CLO_PROGRAM_SQL;
        sql_take(&f, out);
    } else if (strcmp(kind, "train") == 0) {
        out->kind = CLO_PROGRAM_TRAIN;
        train_take(&f, out);
    } else {
        clo_wire_fields_fail(&f, CLO_E_UNSUPPORTED, "kind", "must be \"sql\" or \"train\"");
    }
    return clo_wire_fields_end(&f);
}

/* {bl, tee, snp, ucode, [fmc]}: floors of the security version numbers; what is left out is 0. */
static clo_err tcb_read(clo_arena *a, const clo_wire_node *node, const char *what, clo_attest_tcb *out)
{
    static const char *const names[] = {"bl", "tee", "snp", "ucode", "fmc"};
    uint8_t *const values[] = {&out->bl, &out->tee, &out->snp, &out->ucode, &out->fmc};
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, what);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t v = 0;
        if (clo_wire_has(&f, names[i])) clo_wire_take_int(&f, names[i], &v, 0, UINT8_MAX);
        *values[i] = (uint8_t)v;
    }
    CLO_TRY(clo_wire_fields_end(&f));
    out->have = true;
    return CLO_OK;
}

/* A list of byte strings of one size. */
static clo_err list_read(const clo_wire_node *list, const char *what, void *to, size_t size, size_t *count)
{
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, i++)
        CLO_TRY(clo_wire_node_fixed(n, what, (uint8_t *)to + i * size, size));
    *count = i;
    return CLO_OK;
}

/* Names of layers that need not be active, each once and in their order. */
static clo_err may_lack_read(clo_arena *a, const clo_wire_node *list, const char *what, uint32_t *out)
{
    uint32_t mask = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        const char *name = "";
        unsigned layer = 0;
        CLO_TRY(clo_wire_node_text(a, n, what, &name, 63));
        while (layer < CLO_LAYERS && strcmp(clo_collab_layer_name(layer), name) != 0) layer++;
        CLO_CHECKF(layer < CLO_LAYERS, CLO_E_UNSUPPORTED, "%s: \"%s\" is no layer of the runtime's sandbox", what, name);
        CLO_CHECKF(!clo_collab_layer_mandatory(layer), CLO_E_DENIED, "%s: no runtime works without \"%s\"; remove it", what, name);
        CLO_CHECKF((mask >> layer & 1) == 0, CLO_E_DUPLICATE, "%s: \"%s\" stands there twice", what, name);
        mask |= UINT32_C(1) << layer;
    }
    *out = mask;
    return CLO_OK;
}

clo_err clo_collab_runtime_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_runtime *out)
{
    clo_attest_policy *p = &out->policy;
    clo_attest_policy_init(p);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, place_of("runtimes", index, "").text);
    const clo_wire_node *measurements = NULL, *roots = NULL, *chips = NULL, *tcb = NULL, *may_lack = NULL;
    clo_wire_take_str(&f, "tee", out->tee, sizeof out->tee);
    clo_wire_take_array(&f, "measurements", &measurements, sizeof p->measurements / sizeof p->measurements[0]);
    if (clo_wire_has(&f, "roots")) clo_wire_take_array(&f, "roots", &roots, CLO_ATTEST_ROOTS_MAX);
    if (clo_wire_has(&f, "chips")) clo_wire_take_array(&f, "chips", &chips, sizeof p->chips / sizeof p->chips[0]);
    if (clo_wire_has(&f, "min_tcb")) clo_wire_take_map(&f, "min_tcb", &tcb);
    if (clo_wire_has(&f, "may_lack")) clo_wire_take_array(&f, "may_lack", &may_lack, CLO_LAYERS);
    if (clo_wire_has(&f, "appraisal")) clo_wire_take_map(&f, "appraisal", &out->appraisal);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(list_read(measurements, place_of("runtimes", index, "measurements").text, p->measurements, sizeof p->measurements[0],
                      &p->measurement_count));
    if (roots != NULL)
        CLO_TRY(list_read(roots, place_of("runtimes", index, "roots").text, p->roots, sizeof p->roots[0], &p->root_count));
    if (chips != NULL)
        CLO_TRY(list_read(chips, place_of("runtimes", index, "chips").text, p->chips, sizeof p->chips[0], &p->chip_count));
    if (may_lack != NULL) CLO_TRY(may_lack_read(a, may_lack, place_of("runtimes", index, "may_lack").text, &out->may_lack));
    if (tcb != NULL) CLO_TRY(tcb_read(a, tcb, place_of("runtimes", index, "min_tcb").text, &p->min_reported_tcb));
    return CLO_OK;
}

clo_err clo_collab_run_terms_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_run_terms *out)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, place_of("runs", index, "").text);
    const clo_wire_node *price = NULL;
    clo_wire_take_name(&f, "name", out->name);
    clo_wire_take_name(&f, "program", out->program);
    clo_collab_take_names(&f, "datasets", out->datasets, CLO_DATASETS_MAX, &out->dataset_count);
    clo_collab_take_names(&f, "starters", out->starters, CLO_PARTIES_MAX, &out->starter_count);
    clo_collab_take_names(&f, "recipients", out->recipients, CLO_PARTIES_MAX, &out->recipient_count);
    clo_wire_take_any(&f, "price", &price);
    clo_wire_take_int(&f, "count_max", &out->count_max, 1, CLO_RUN_COUNT_MAX);
    clo_wire_take_int(&f, "min_rows", &out->min_rows, 1, INT32_MAX);
    if (clo_wire_has(&f, "not_before")) clo_wire_take_time(&f, "not_before", &out->not_before);
    if (clo_wire_has(&f, "not_after")) clo_wire_take_time(&f, "not_after", &out->not_after);
    CLO_TRY(clo_wire_fields_end(&f));
    return amount_read(a, price, place_of("runs", index, "price").text, &out->rho, NULL);
}
