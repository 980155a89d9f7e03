/* The agreement as a page for people. */
#include <stdio.h>

#include "attest/policy_diff.h"
#include "base/clo_own.h"
#include "collab/agreement_int.h"
#include "dp/zcdp.h"

static clo_err put_names(clo_buf *out, const char (*names)[64], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *between = i == 0 ? "" : i + 1 == count ? " and " : ", ";
        CLO_TRY(clo_buf_printf(out, "%s%s", between, names[i]));
    }
    return CLO_OK;
}

/* A decimal where the amount is one of at most 9 digits, else the fraction. */
static void amount_text(char to[CLO_DP_RATIONAL_TEXT], clo_dp_rational rho)
{
    enum { DIGITS = 9 };
    const uint64_t grid = 1000000000;
    if (rho.den == 1 || grid % rho.den != 0) {
        clo_dp_rational_format(to, rho);
        return;
    }
    (void)snprintf(to, CLO_DP_RATIONAL_TEXT, "%llu.%0*llu", (unsigned long long)(rho.num / rho.den), (int)DIGITS,
                   (unsigned long long)(rho.num % rho.den * (grid / rho.den)));
    for (size_t n = strlen(to); to[n - 1] == '0'; n--) to[n - 1] = '\0';
}

/* "epsilon 4 at delta 1e-05 (rho 0.25)" */
static clo_err put_amount(clo_buf *out, clo_dp_rational rho, double delta)
{
    char text[CLO_DP_RATIONAL_TEXT];
    amount_text(text, rho);
    double epsilon = 0;
    if (clo_failed(clo_dp_zcdp_epsilon(rho, delta, &epsilon))) return clo_buf_printf(out, "rho %s", text);
    return clo_buf_printf(out, "epsilon %.3g at delta %g (rho %s)", epsilon, delta, text);
}

static clo_err put_parties(const clo_collab_agreement *g, clo_buf *out)
{
    CLO_TRY(clo_buf_put_str(out, "\nWho takes part\n"));
    for (size_t i = 0; i < g->member_count; i++) {
        const clo_collab_member *m = &g->members[i];
        uint8_t kid[32];
        CLO_TRY(clo_collab_party_kid(&m->party, kid));
        CLO_TRY(clo_buf_printf(out, "  %s, %s, key %s", m->party.name, m->data_owner ? "data owner" : "analyst",
                               clo_collab_short(kid).text));
        if (m->data_owner) CLO_TRY(clo_buf_printf(out, "; its key service is %s", m->kms_url));
        CLO_TRY(clo_buf_put_str(out, "\n"));
    }
    return clo_buf_put_str(out, "  Any one of them can stop it at once; resuming and amending need all.\n");
}

static clo_err put_datasets(const clo_collab_agreement *g, clo_buf *out)
{
    CLO_TRY(clo_buf_put_str(out, "\nWhich data\n"));
    for (size_t i = 0; i < g->dataset_count; i++) {
        const clo_collab_dataset_terms *d = &g->datasets[i];
        CLO_TRY(clo_buf_printf(out, "  %s of %s: %zu columns; over its lifetime at most ", d->name, d->owner,
                               d->schema.column_count));
        CLO_TRY(put_amount(out, d->rho, d->delta));
        CLO_TRY(clo_buf_put_str(out, " may be learned from it.\n"));
    }
    return CLO_OK;
}

/* The program's text, indented. */
static clo_err put_sql(const char *sql, clo_buf *out)
{
    while (*sql != '\0') {
        size_t n = strcspn(sql, "\n");
        if (n != 0) CLO_TRY(clo_buf_printf(out, "      %.*s\n", (int)n, sql));
        sql += n;
        if (*sql == '\n') sql++;
    }
    return CLO_OK;
}

static clo_err put_run(const clo_collab_agreement *g, const clo_collab_run_terms *r, clo_buf *out)
{
    const clo_collab_program *p = clo_collab_agreement_program(g, r->program);
    const clo_collab_dataset_terms *d = clo_collab_agreement_dataset(g, r->datasets[0]);
    CLO_CHECK(p != NULL && d != NULL, CLO_E_BUG);
    CLO_TRY(clo_buf_printf(out, "  %s: ", r->name));
    CLO_TRY(put_names(out, r->starters, r->starter_count));
    CLO_TRY(clo_buf_printf(out, " may start it %s%lld %s, over ", r->count_max == 1 ? "" : "up to ", (long long)r->count_max,
                           r->count_max == 1 ? "time" : "times"));
    CLO_TRY(put_names(out, r->datasets, r->dataset_count));
    CLO_TRY(clo_buf_put_str(out, ".\n    The result goes to "));
    CLO_TRY(put_names(out, r->recipients, r->recipient_count));
    CLO_TRY(clo_buf_put_str(out, " and to nobody else.\n    Each run costs every dataset "));
    CLO_TRY(put_amount(out, r->rho, d->delta));
    CLO_TRY(clo_buf_printf(out, "; nothing about fewer than %lld rows is published.\n", (long long)r->min_rows));
    char from[21], until[21];
    clo_time_format(from, r->not_before);
    clo_time_format(until, r->not_after != 0 ? r->not_after : g->not_after);
    if (r->not_before != 0) CLO_TRY(clo_buf_printf(out, "    Only from %s until %s.\n", from, until));
    if (r->not_before == 0 && r->not_after != 0) CLO_TRY(clo_buf_printf(out, "    Only until %s.\n", until));
    if (p->kind == CLO_PROGRAM_TRAIN) {
        CLO_TRY(
            clo_buf_printf(out, "    It trains a logistic regression that predicts \"%s\", with %s noise", p->target, p->noise));
        if (p->steps != 0) CLO_TRY(clo_buf_printf(out, ", in %lld steps", (long long)p->steps));
        return clo_buf_put_str(out, ".\n");
    }
    CLO_TRY(clo_buf_printf(out, "    It answers this query, with %s noise:\n", p->noise));
    CLO_TRY(put_sql(p->sql, out));
    if (p->parameter_count == 0) return CLO_OK;
    CLO_TRY(clo_buf_put_str(out, "    The starter sets "));
    CLO_TRY(put_names(out, p->parameters, p->parameter_count));
    return clo_buf_put_str(out, ".\n");
}

/* What the evidence must show beyond measurement and firmware, or may lack. */
static clo_err put_appraisal(const clo_collab_runtime *r, clo_buf *out)
{
    if (r->appraisal == NULL) return CLO_OK;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    void *memory = NULL;
    clo_attest_policy_change *changes = NULL;
    size_t count = 0;
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_attest_policy), &memory));
    clo_err e = clo_attest_policy_read(&a, r->appraisal, memory);
    if (clo_failed(e)) return clo_buf_printf(out, "    Its appraisal policy cannot be read (%s): no key will be released to it.\n", clo_err_text());
    CLO_TRY(clo_attest_policy_describe(&a, memory, &changes, &count));
    for (size_t i = 0; i < count; i++)
        CLO_TRY(clo_buf_printf(out, "    %s: %s.\n", changes[i].admits ? "Also accepted" : "Refused", changes[i].text));
    return CLO_OK;
}

static clo_err put_runtimes(const clo_collab_agreement *g, clo_buf *out)
{
    CLO_TRY(clo_buf_put_str(out, "\nWhere it is computed\n"));
    for (size_t i = 0; i < g->runtime_count; i++) {
        const clo_collab_runtime *r = &g->runtimes[i];
        bool is_sim = strcmp(r->tee, "sim") == 0;
        CLO_TRY(
            clo_buf_printf(out, "  %s, program", is_sim ? "software TEE (sim): no protection from the operator" : "AMD SEV-SNP"));
        for (size_t k = 0; k < r->policy.measurement_count; k++)
            CLO_TRY(clo_buf_printf(out, "%s %s", k != 0 ? " or" : "", clo_collab_short(r->policy.measurements[k]).text));
        const clo_attest_tcb *t = &r->policy.min_reported_tcb;
        if (t->have)
            CLO_TRY(clo_buf_printf(out, "; firmware at least boot loader %u, TEE %u, SNP %u, microcode %u", t->bl, t->tee, t->snp,
                                   t->ucode));
        CLO_TRY(clo_buf_put_str(out, "\n"));
        for (unsigned layer = 0, shown = 0; layer < CLO_LAYERS; layer++)
            if ((r->may_lack >> layer & 1) != 0)
                CLO_TRY(clo_buf_printf(out, "%s%s", shown++ == 0 ? "    It may run where the machine does not give it: " : ", ",
                                       clo_collab_layer_name(layer)));
        if (r->may_lack != 0) CLO_TRY(clo_buf_put_str(out, "\n"));
        CLO_TRY(put_appraisal(r, out));
    }
    CLO_TRY(clo_buf_printf(out,
                           "  A released key holds for %lld s unless renewed; the runtime proves itself again every %lld s.\n",
                           (long long)g->lease_seconds, (long long)g->reattest_seconds));
    CLO_TRY(clo_buf_printf(out, "  The operator is %s at %s. It sees ciphertext", g->operator_name, g->operator_url));
    if (g->telemetry_counts) CLO_TRY(clo_buf_put_str(out, ", counts"));
    if (g->telemetry_timings) CLO_TRY(clo_buf_put_str(out, ", timings"));
    if (g->telemetry_states) CLO_TRY(clo_buf_put_str(out, ", states"));
    return clo_buf_put_str(out, ".\n");
}

clo_err clo_collab_agreement_describe(const clo_collab_agreement *g, clo_buf *out)
{
    char until[21], id[65];
    clo_time_format(until, g->not_after);
    clo_hex_encode(id, clo_span_of(g->id, sizeof g->id));
    CLO_TRY(clo_buf_printf(out, "%s\nAgreement %s, epoch %lld, in force until %s\n", g->title, id, (long long)g->epoch, until));
    if (g->epoch > 1) CLO_TRY(clo_buf_printf(out, "It amends agreement %s.\n", clo_collab_short(g->prev).text));
    if (g->allow_simulated)
        CLO_TRY(clo_buf_put_str(
            out, "WARNING: it accepts the software TEE (sim): no protection from the operator. Not for real data.\n"));
    CLO_TRY(put_parties(g, out));
    CLO_TRY(put_datasets(g, out));
    CLO_TRY(clo_buf_put_str(out, "\nWhat may be computed\n"));
    for (size_t i = 0; i < g->run_count; i++) CLO_TRY(put_run(g, &g->runs[i], out));
    CLO_TRY(put_runtimes(g, out));
    CLO_TRY(clo_buf_printf(out,
                           "\nWhat is recorded\n  This agreement and every run are registered in the log %s, seen by at least "
                           "%zu of %zu witnesses (",
                           g->log.log.name, g->log.quorum, g->log.witness_count));
    for (size_t i = 0; i < g->log.witness_count; i++)
        CLO_TRY(clo_buf_printf(out, "%s%s", i != 0 ? ", " : "", g->log.witnesses[i].name));
    return clo_buf_put_str(out, ").\n");
}
