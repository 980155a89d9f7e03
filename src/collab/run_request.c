/* The signed request for one run. */
#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/collab_int.h"

static clo_err request_tree(clo_arena *a, const clo_collab_run_request *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *list = NULL, *parameters = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_REQUEST, &map));
    CLO_TRY(clo_collab_set_fixed(a, map, "agreement", r->agreement, sizeof r->agreement));
    CLO_TRY(clo_wire_set_int(a, map, "epoch", r->epoch));
    CLO_TRY(clo_wire_set_text(a, map, "run", r->run));
    CLO_TRY(clo_collab_set_fixed(a, map, "run_id", r->run_id, sizeof r->run_id));
    CLO_TRY(clo_wire_set_text(a, map, "starter", r->starter));
    CLO_TRY(clo_wire_set_int(a, map, "created", r->created));
    CLO_TRY(clo_collab_set_rho(a, map, "rho", r->rho));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < r->dataset_count; i++) {
        clo_wire_node *d = NULL;
        CLO_TRY(clo_wire_map(a, &d));
        CLO_TRY(clo_collab_set_fixed(a, d, "id", r->datasets[i].id, sizeof r->datasets[i].id));
        CLO_TRY(clo_collab_set_fixed(a, d, "version", r->datasets[i].version, sizeof r->datasets[i].version));
        CLO_TRY(clo_wire_append(list, d));
    }
    CLO_TRY(clo_wire_set(a, map, "datasets", list));
    CLO_TRY(clo_wire_map(a, &parameters));
    for (size_t i = 0; i < r->parameter_count; i++)
        CLO_TRY(clo_wire_set_text(a, parameters, r->parameters[i].name, r->parameters[i].value));
    CLO_TRY(clo_wire_set(a, map, "parameters", parameters));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_run_request_sign(const clo_collab_run_request *r, const clo_collab_identity *who, clo_buf *out)
{
    CLO_CHECKF(strcmp(r->starter, who->public_half.name) == 0, CLO_E_DENIED, "the request is of %s, but %s signs", r->starter,
               who->public_half.name);
    CLO_CHECK(r->dataset_count <= CLO_DATASETS_MAX && r->parameter_count <= CLO_RUN_PARAMETERS_MAX, CLO_E_TOO_MANY);
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 256 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(request_tree(&a, r, &map));
    return clo_collab_map_sign(map, &who->sign, CLO_TYPE_REQUEST, out);
}

static clo_err parameters_read(const clo_wire_node *map, clo_collab_run_request *r)
{
    CLO_CHECKF(map->count <= CLO_RUN_PARAMETERS_MAX, CLO_E_TOO_MANY, "request.parameters has more than %d members",
               CLO_RUN_PARAMETERS_MAX);
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) {
        size_t i = r->parameter_count;
        CLO_CHECKF(n->type == CLO_WIRE_TEXT && n->key->type == CLO_WIRE_TEXT, CLO_E_MALFORMED,
                   "request.parameters must be a map of texts");
        CLO_TRY(clo_str_set(r->parameters[i].name, sizeof r->parameters[i].name, n->key->text));
        CLO_TRY(clo_str_set(r->parameters[i].value, sizeof r->parameters[i].value, n->text));
        r->parameter_count++;
    }
    return CLO_OK;
}

static clo_err request_read(clo_arena *a, const clo_wire_node *map, clo_collab_run_request *r)
{
    const clo_wire_node *datasets = NULL, *parameters = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "request");
    clo_collab_take_format(&f, CLO_FORMAT_REQUEST);
    clo_wire_take_fixed(&f, "agreement", r->agreement, sizeof r->agreement);
    clo_wire_take_int(&f, "epoch", &r->epoch, 1, INT32_MAX);
    clo_wire_take_name(&f, "run", r->run);
    clo_wire_take_fixed(&f, "run_id", r->run_id, sizeof r->run_id);
    clo_wire_take_name(&f, "starter", r->starter);
    clo_wire_take_int(&f, "created", &r->created, 0, INT64_MAX);
    clo_collab_take_rho(&f, "rho", &r->rho);
    clo_wire_take_array(&f, "datasets", &datasets, CLO_DATASETS_MAX);
    clo_wire_take_map(&f, "parameters", &parameters);
    CLO_TRY(clo_wire_fields_end(&f));
    for (const clo_wire_node *n = datasets->first; n != NULL; n = n->next, r->dataset_count++) {
        char what[48];
        (void)snprintf(what, sizeof what, "request.datasets[%zu]", r->dataset_count);
        clo_wire_fields_open(&f, a, n, what);
        clo_wire_take_fixed(&f, "id", r->datasets[r->dataset_count].id, 32);
        clo_wire_take_fixed(&f, "version", r->datasets[r->dataset_count].version, 32);
        CLO_TRY(clo_wire_fields_end(&f));
    }
    return parameters_read(parameters, r);
}

clo_err clo_collab_run_request_peek(clo_arena *a, clo_span in, clo_collab_run_request *out)
{
    clo_wire_cose *cose = NULL;
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_open(a, in, CLO_TYPE_REQUEST, "the run request", &cose, &map));
    clo_collab_run_request r;
    memset(&r, 0, sizeof r);
    CLO_TRY(request_read(a, map, &r));
    CLO_TRY(request_tree(a, &r, &again));
    CLO_TRY(clo_collab_require_canonical(again, cose->payload, "the run request"));
    *out = r;
    return CLO_OK;
}

static bool is_in(const char (*names)[64], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* "a, b, c", cut to size. */
static void join(char *to, size_t to_size, const char (*names)[64], size_t count)
{
    size_t used = 0;
    to[0] = '\0';
    for (size_t i = 0; i < count && used + 1 < to_size; i++) {
        int n = snprintf(to + used, to_size - used, "%s%s", i != 0 ? ", " : "", names[i]);
        if (n < 0) return;
        used += (size_t)n;
    }
}

static clo_err datasets_check(const clo_collab_agreement *g, const clo_collab_run_terms *t, const clo_collab_run_request *r,
                              const char *source)
{
    char expected[64], actual[64];
    (void)snprintf(expected, sizeof expected, "%zu datasets", t->dataset_count);
    (void)snprintf(actual, sizeof actual, "%zu datasets", r->dataset_count);
    if (r->dataset_count != t->dataset_count)
        return CLO_DENY(CLO_E_DENIED, "run.datasets", expected, actual, source,
                        "name every dataset of the run, in the agreement's order");
    for (size_t i = 0; i < t->dataset_count; i++) {
        const clo_collab_dataset_terms *d = clo_collab_agreement_dataset(g, t->datasets[i]);
        CLO_CHECK(d != NULL, CLO_E_BUG);
        if (memcmp(d->id, r->datasets[i].id, sizeof d->id) != 0)
            return CLO_DENY(CLO_E_DENIED, "run.datasets", t->datasets[i], "another dataset", source,
                            "name every dataset of the run, in the agreement's order");
    }
    return CLO_OK;
}

static clo_err parameters_check(const clo_collab_program *p, const clo_collab_run_request *r, const char *source)
{
    char declared[200];
    join(declared, sizeof declared, p->parameters, p->parameter_count);
    for (size_t i = 0; i < r->parameter_count; i++)
        if (!is_in(p->parameters, p->parameter_count, r->parameters[i].name))
            return CLO_DENY(CLO_E_DENIED, "run.parameters", p->parameter_count != 0 ? declared : "no parameters",
                            r->parameters[i].name, source, "set only what the program declares");
    if (r->parameter_count != p->parameter_count)
        return CLO_DENY(CLO_E_DENIED, "run.parameters", declared, "some are not set", source, "set each with --param NAME=VALUE");
    return CLO_OK;
}

/* The request against what the parties signed; its signature last, so that a stranger learns the more useful reason first. */
static clo_err request_check(const clo_collab_agreement *g, const clo_collab_run_request *r, const clo_collab_run_terms **terms,
                             const clo_collab_member **starter)
{
    char source[120], actual[CLO_DP_RATIONAL_TEXT], expected[200];
    (void)snprintf(source, sizeof source, "agreement %s", clo_collab_short(g->id).text);
    if (memcmp(r->agreement, g->id, sizeof g->id) != 0)
        return CLO_DENY(CLO_E_DENIED, "run.agreement", clo_collab_short(g->id).text, clo_collab_short(r->agreement).text, source,
                        "make the request for the agreement in force");
    if (r->epoch != g->epoch) {
        (void)snprintf(expected, sizeof expected, "%lld", (long long)g->epoch);
        (void)snprintf(actual, sizeof actual, "%lld", (long long)r->epoch);
        return CLO_DENY(CLO_E_DENIED, "run.epoch", expected, actual, source, "make the request for the agreement in force");
    }
    const clo_collab_run_terms *t = clo_collab_agreement_run(g, r->run);
    if (t == NULL)
        return CLO_DENY(CLO_E_DENIED, "run.name", "a run of the agreement", r->run, source,
                        "see `cloister agreement show` for its runs");
    (void)snprintf(source, sizeof source, "agreement %s runs[%s]", clo_collab_short(g->id).text, t->name);
    const clo_collab_member *m = clo_collab_agreement_member(g, r->starter);
    if (m == NULL || !is_in(t->starters, t->starter_count, r->starter)) {
        join(expected, sizeof expected, t->starters, t->starter_count);
        return CLO_DENY(CLO_E_DENIED, "run.starter", expected, r->starter, source, "ask one of the starters to start it");
    }
    CLO_TRY(datasets_check(g, t, r, source));
    if (clo_dp_rational_compare(r->rho, t->rho) != 0) {
        clo_dp_rational_format(expected, t->rho);
        clo_dp_rational_format(actual, r->rho);
        return CLO_DENY(CLO_E_DENIED, "run.ask", expected, actual, source, "ask exactly the price that the agreement states");
    }
    const clo_collab_program *p = clo_collab_agreement_program(g, t->program);
    CLO_CHECK(p != NULL, CLO_E_BUG);
    CLO_TRY(parameters_check(p, r, source));
    *terms = t;
    *starter = m;
    return CLO_OK;
}

clo_err clo_collab_run_request_open(clo_arena *a, clo_span in, const clo_collab_agreement *g, clo_collab_run_request *out,
                                    const clo_collab_run_terms **terms)
{
    clo_wire_cose *cose = NULL;
    clo_wire_node *map = NULL;
    clo_collab_run_request r;
    memset(&r, 0, sizeof r);
    const clo_collab_run_terms *t = NULL;
    const clo_collab_member *starter = NULL;
    CLO_TRY(clo_collab_run_request_peek(a, in, &r));
    CLO_TRY(request_check(g, &r, &t, &starter));
    CLO_TRY(clo_collab_map_open(a, in, CLO_TYPE_REQUEST, "the run request", &cose, &map));
    CLO_TRY(clo_collab_map_verify(cose, &starter->party.sign, "the run request"));
    *out = r;
    if (terms != NULL) *terms = t;
    return CLO_OK;
}
