/* What must hold between the members of an agreement. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/agreement_int.h"
#include "ml/ml.h"
#include "sql/sql.h"

/* "https://host[:port]" and nothing behind it. */
static bool url_valid(const char *url)
{
    static const char scheme[] = "https://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) return false;
    const char *host = url + sizeof scheme - 1;
    size_t n = 0;
    if (host[0] == '[') {
        n = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        if (n < 3 || host[n] != ']') return false;
        n++;
    } else {
        n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
        if (n == 0) return false;
    }
    if (host[n] == '\0') return true;
    if (host[n] != ':') return false;
    uint64_t port = 0;
    return !clo_failed(clo_u64_parse(&port, clo_span_str(host + n + 1))) && port >= 1 && port <= 65535;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) any |= p[i];
    return any == 0;
}

static clo_err twice(const char *list, size_t index, const char *name)
{
    return CLO_FAILF(CLO_E_DUPLICATE, "agreement.%s[%zu]: \"%s\" is there twice; give each its own name and key", list, index,
                     name);
}

static clo_err parties_check(const clo_collab_agreement *g)
{
    CLO_CHECKF(g->member_count >= 1, CLO_E_MISSING_FIELD, "agreement.parties is empty; name who takes part");
    for (size_t i = 0; i < g->member_count; i++) {
        const clo_collab_member *m = &g->members[i];
        for (size_t k = 0; k < i; k++) {
            const clo_collab_party *other = &g->members[k].party;
            if (strcmp(other->name, m->party.name) == 0) return twice("parties", i, m->party.name);
            if (clo_crypto_public_key_equal(&other->sign, &m->party.sign)) return twice("parties", i, "sign_key");
        }
        CLO_CHECKF(!is_zero(m->party.hpke, sizeof m->party.hpke), CLO_E_RANGE, "agreement.parties[%zu].hpke_key is all zero", i);
        if (!m->data_owner) continue;
        CLO_CHECKF(url_valid(m->kms_url), CLO_E_MALFORMED, "agreement.parties[%zu].key_service.url must be https://host:port", i);
        CLO_CHECKF(!is_zero(m->kms_hpke, sizeof m->kms_hpke), CLO_E_RANGE,
                   "agreement.parties[%zu].key_service.hpke_key is all zero", i);
    }
    return CLO_OK;
}

static clo_err datasets_check(const clo_collab_agreement *g)
{
    CLO_CHECKF(g->dataset_count >= 1, CLO_E_MISSING_FIELD, "agreement.datasets is empty; name the data");
    for (size_t i = 0; i < g->dataset_count; i++) {
        const clo_collab_dataset_terms *d = &g->datasets[i];
        for (size_t k = 0; k < i; k++)
            if (strcmp(g->datasets[k].name, d->name) == 0) return twice("datasets", i, d->name);
        const clo_collab_member *owner = clo_collab_agreement_member(g, d->owner);
        CLO_CHECKF(owner != NULL, CLO_E_MALFORMED,
                   "agreement.datasets[%zu].owner: no party is named \"%s\"; add it under parties", i, d->owner);
        CLO_CHECKF(owner->data_owner, CLO_E_MISSING_FIELD,
                   "agreement.datasets[%zu].owner: %s has no key service; give it role: data-owner and key_service", i, d->owner);
        CLO_CHECKF(d->schema.column_count >= 1, CLO_E_MISSING_FIELD, "agreement.datasets[%zu].schema has no columns", i);
        CLO_CHECKF(!clo_dp_rational_is_zero(d->rho), CLO_E_RANGE,
                   "agreement.datasets[%zu].budget is zero; nothing could ever be computed", i);
        CLO_CHECKF(d->delta > 0 && d->delta <= 0.01, CLO_E_RANGE,
                   "agreement.datasets[%zu].budget.delta must be above 0 and at most 0.01", i);
    }
    return CLO_OK;
}

static bool is_declared(const clo_collab_program *p, const char *name, size_t n, bool used[CLO_PARAMETERS_MAX])
{
    for (size_t i = 0; i < p->parameter_count; i++) {
        if (strlen(p->parameters[i]) != n || memcmp(p->parameters[i], name, n) != 0) continue;
        used[i] = true;
        return true;
    }
    return false;
}

/* Each :name outside quotes is declared, each declared name is used. */
static clo_err sql_parameters_check(const clo_collab_program *p, size_t index)
{
    bool used[CLO_PARAMETERS_MAX] = {false};
    char quote = '\0';
    for (const char *at = p->sql; *at != '\0'; at++) {
        if (quote != '\0') {
            if (*at == quote) quote = '\0';
        } else if (*at == '\'' || *at == '"') {
            quote = *at;
        } else if (*at == ':') {
            size_t n = strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
            CLO_CHECKF(is_declared(p, at + 1, n, used), CLO_E_MALFORMED,
                       "agreement.programs[%zu].sql uses :%.*s, which is not declared; add it to parameters", index,
                       (int)(n < 63 ? n : 63), at + 1);
            at += n;
        }
    }
    for (size_t i = 0; i < p->parameter_count; i++)
        CLO_CHECKF(used[i], CLO_E_UNKNOWN_FIELD,
                   "agreement.programs[%zu].parameters: \"%s\" is not used by the program; remove it", index, p->parameters[i]);
    return CLO_OK;
}

static clo_err programs_check(const clo_collab_agreement *g)
{
    CLO_CHECKF(g->program_count >= 1, CLO_E_MISSING_FIELD, "agreement.programs is empty; say what may be computed");
    for (size_t i = 0; i < g->program_count; i++) {
        const clo_collab_program *p = &g->programs[i];
        for (size_t k = 0; k < i; k++)
            if (strcmp(g->programs[k].name, p->name) == 0) return twice("programs", i, p->name);
        if (p->kind == CLO_PROGRAM_SQL) CLO_TRY(sql_parameters_check(p, i));
    }
    return CLO_OK;
}

/* The training engine judges schema, target and price itself. */
static clo_err train_check(const clo_collab_program *p, const clo_wire_schema *s, clo_dp_rational rho)
{
    clo_ml_dataset *d = NULL;
    CLO_TRY(clo_ml_dataset_new(s, p->target, &d));
    clo_ml_noise noise;
    clo_err e = clo_ml_noise_of(d, rho, (uint32_t)p->steps, &noise);
    clo_ml_dataset_free(&d);
    return e;
}

static clo_err sql_check(const clo_collab_program *p, const clo_wire_schema *s, clo_dp_rational rho)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_wire_node *noise = NULL;
    CLO_TRY(clo_sql_check(clo_span_str(p->sql), s));
    return clo_sql_noise(&a, clo_span_str(p->sql), s, rho,
                         strcmp(p->noise, CLO_NOISE_LAPLACE) == 0 ? CLO_SQL_DISCRETE_LAPLACE : CLO_SQL_DISCRETE_GAUSSIAN, &noise);
}

static clo_err run_program_check(const clo_collab_agreement *g, const clo_collab_run_terms *r, size_t index)
{
    char what[96];
    (void)snprintf(what, sizeof what, "agreement.runs[%zu].program", index);
    const clo_collab_program *p = clo_collab_agreement_program(g, r->program);
    CLO_CHECKF(p != NULL, CLO_E_MALFORMED, "%s: no program is named \"%s\"; add it under programs", what, r->program);
    const clo_collab_dataset_terms *first = NULL;
    for (size_t i = 0; i < r->dataset_count; i++) {
        const clo_collab_dataset_terms *d = clo_collab_agreement_dataset(g, r->datasets[i]);
        CLO_CHECKF(d != NULL, CLO_E_MALFORMED, "agreement.runs[%zu].datasets: no dataset is named \"%s\"; add it under datasets",
                   index, r->datasets[i]);
        if (first == NULL) first = d;
        CLO_CHECKF(memcmp(first->schema.digest, d->schema.digest, sizeof d->schema.digest) == 0, CLO_E_CONFLICT,
                   "agreement.runs[%zu].datasets: \"%s\" and \"%s\" have different schemas; a run computes over one", index,
                   first->name, d->name);
        CLO_CHECKF(clo_dp_rational_compare(r->rho, d->rho) <= 0, CLO_E_BUDGET,
                   "agreement.runs[%zu].price is more than the whole budget of \"%s\"; lower it or raise the budget", index,
                   d->name);
    }
    CLO_CHECKF(first != NULL, CLO_E_MISSING_FIELD, "agreement.runs[%zu].datasets is empty", index);
    clo_err e = p->kind == CLO_PROGRAM_SQL ? sql_check(p, &first->schema, r->rho) : train_check(p, &first->schema, r->rho);
    return clo_failed(e) ? clo_err_prefix(e, what) : CLO_OK;
}

static clo_err people_check(const clo_collab_agreement *g, size_t index, const char *list, const char (*names)[64], size_t count)
{
    CLO_CHECKF(count != 0, CLO_E_MISSING_FIELD, "agreement.runs[%zu].%s is empty", index, list);
    for (size_t i = 0; i < count; i++)
        CLO_CHECKF(clo_collab_agreement_member(g, names[i]) != NULL, CLO_E_MALFORMED,
                   "agreement.runs[%zu].%s: no party is named \"%s\"; add it under parties", index, list, names[i]);
    return CLO_OK;
}

static clo_err runs_check(const clo_collab_agreement *g)
{
    CLO_CHECKF(g->run_count >= 1, CLO_E_MISSING_FIELD, "agreement.runs is empty; say which computation may be started by whom");
    for (size_t i = 0; i < g->run_count; i++) {
        const clo_collab_run_terms *r = &g->runs[i];
        for (size_t k = 0; k < i; k++)
            if (strcmp(g->runs[k].name, r->name) == 0) return twice("runs", i, r->name);
        CLO_CHECKF(!clo_dp_rational_is_zero(r->rho), CLO_E_RANGE,
                   "agreement.runs[%zu].price is zero; every result costs something", i);
        CLO_TRY(run_program_check(g, r, i));
        CLO_TRY(people_check(g, i, "starters", r->starters, r->starter_count));
        CLO_TRY(people_check(g, i, "recipients", r->recipients, r->recipient_count));
        int64_t end = r->not_after != 0 ? r->not_after : g->not_after;
        CLO_CHECKF(r->not_before >= 0 && r->not_before < end && end <= g->not_after, CLO_E_RANGE,
                   "agreement.runs[%zu]: its window must begin before it ends, and end with the agreement or earlier", i);
    }
    return CLO_OK;
}

static clo_err runtimes_check(const clo_collab_agreement *g)
{
    CLO_CHECKF(g->runtime_count >= 1, CLO_E_MISSING_FIELD, "agreement.runtimes is empty; say which runtime is trusted");
    for (size_t i = 0; i < g->runtime_count; i++) {
        const clo_collab_runtime *r = &g->runtimes[i];
        bool is_sim = strcmp(r->tee, "sim") == 0;
        CLO_CHECKF(is_sim || strcmp(r->tee, "snp") == 0, CLO_E_UNSUPPORTED,
                   "agreement.runtimes[%zu].tee must be \"snp\" or \"sim\"", i);
        CLO_CHECKF(r->policy.measurement_count != 0, CLO_E_MISSING_FIELD,
                   "agreement.runtimes[%zu].measurements is empty; list what `cloister measure` prints", i);
        CLO_CHECKF(!is_sim || g->allow_simulated, CLO_E_DENIED,
                   "agreement.runtimes[%zu] is the software TEE, which does not protect from the operator; remove it, or say "
                   "allow_simulated: true",
                   i);
        CLO_CHECKF(!is_sim || r->policy.root_count != 0, CLO_E_MISSING_FIELD,
                   "agreement.runtimes[%zu].roots is empty; the software TEE has no vendor, so pin its root", i);
        CLO_CHECKF(is_sim || r->policy.min_reported_tcb.have, CLO_E_MISSING_FIELD,
                   "agreement.runtimes[%zu].min_tcb is missing; state the oldest firmware that you accept", i);
    }
    return CLO_OK;
}

static clo_err log_check(const clo_wire_log_policy *log)
{
    CLO_CHECKF(log->witness_count >= 1, CLO_E_MISSING_FIELD,
               "agreement.log.witnesses is empty; without a witness the operator could show two logs");
    CLO_CHECKF(log->quorum >= 1 && log->quorum <= log->witness_count, CLO_E_RANGE,
               "agreement.log.quorum must be 1 to the number of witnesses");
    for (size_t i = 0; i < log->witness_count; i++) {
        CLO_CHECKF(!clo_crypto_public_key_equal(&log->log.key, &log->witnesses[i].key), CLO_E_CONFLICT,
                   "agreement.log.witnesses[%zu] is the log itself; name an independent witness", i);
        for (size_t k = 0; k < i; k++)
            if (clo_crypto_public_key_equal(&log->witnesses[k].key, &log->witnesses[i].key))
                return twice("log.witnesses", i, log->witnesses[i].name);
    }
    return CLO_OK;
}

/* What people read before they sign must not be able to draw over it. */
static bool visible(const char *text)
{
    for (clo_span rest = clo_span_str(text); rest.n > 0; rest = clo_span_of(rest.p + 1, rest.n - 1))
        if (clo_utf8_hidden(rest) > 0) return false;
    return true;
}

clo_err clo_collab_agreement_check(const clo_collab_agreement *g)
{
    CLO_CHECKF(g->title[0] != '\0', CLO_E_MISSING_FIELD, "agreement.title is empty");
    CLO_CHECKF(visible(g->title), CLO_E_MALFORMED, "agreement.title has a line break, a control character or a mark that reorders text");
    CLO_CHECKF(g->not_after > 0 && g->not_after < INT64_C(253402300800), CLO_E_RANGE,
               "agreement.not_after must be a time before the year 10000");
    CLO_CHECKF(url_valid(g->operator_url), CLO_E_MALFORMED, "agreement.operator.url must be https://host:port");
    CLO_CHECKF(g->epoch == 1 || !is_zero(g->prev, sizeof g->prev), CLO_E_RANGE,
               "agreement.prev is all zero; name the agreement that this one amends");
    CLO_CHECKF(g->epoch == 1 || !is_zero(g->lineage, sizeof g->lineage), CLO_E_RANGE,
               "agreement.lineage is all zero; name the first agreement");
    CLO_TRY(parties_check(g));
    CLO_TRY(datasets_check(g));
    CLO_TRY(programs_check(g));
    CLO_TRY(runtimes_check(g));
    CLO_TRY(log_check(&g->log));
    return runs_check(g);
}
