/* The agreement's canonical tree, its bytes and its ids. */
#include "base/clo_own.h"
#include "collab/agreement_int.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

static clo_err set_note_key(clo_arena *a, clo_wire_node *to, const char *key, const clo_wire_note_key *k)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 1024);
    CLO_TRY(clo_wire_note_key_text(k, &text));
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_text(a, clo_buf_span(&text), &n));
    return key != NULL ? clo_wire_set(a, to, key, n) : clo_wire_append(to, n);
}

static clo_err log_tree(clo_arena *a, const clo_wire_log_policy *log, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *list = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(set_note_key(a, map, "vkey", &log->log));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < log->witness_count; i++) CLO_TRY(set_note_key(a, list, NULL, &log->witnesses[i]));
    CLO_TRY(clo_wire_set(a, map, "witnesses", list));
    CLO_TRY(clo_wire_set_int(a, map, "quorum", (int64_t)log->quorum));
    *out = map;
    return CLO_OK;
}

static clo_err party_tree(clo_arena *a, const clo_collab_member *m, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *service = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "name", m->party.name));
    CLO_TRY(clo_wire_set_text(a, map, "role", m->data_owner ? "data-owner" : "analyst"));
    CLO_TRY(clo_wire_set_bytes(a, map, "sign_key", clo_crypto_public_key_span(&m->party.sign)));
    CLO_TRY(clo_collab_set_fixed(a, map, "hpke_key", m->party.hpke, sizeof m->party.hpke));
    if (m->data_owner) {
        CLO_TRY(clo_wire_map(a, &service));
        CLO_TRY(clo_wire_set_text(a, service, "url", m->kms_url));
        CLO_TRY(clo_collab_set_fixed(a, service, "spki", m->kms_spki, sizeof m->kms_spki));
        CLO_TRY(clo_collab_set_fixed(a, service, "hpke_key", m->kms_hpke, sizeof m->kms_hpke));
        CLO_TRY(clo_wire_set(a, map, "key_service", service));
    }
    *out = map;
    return CLO_OK;
}

static clo_err dataset_tree(clo_arena *a, const clo_collab_dataset_terms *d, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *schema = NULL, *budget = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "name", d->name));
    CLO_TRY(clo_wire_set_text(a, map, "owner", d->owner));
    CLO_TRY(clo_wire_schema_tree(a, &d->schema, &schema));
    CLO_TRY(clo_wire_set(a, map, "schema", schema));
    CLO_TRY(clo_wire_map(a, &budget));
    CLO_TRY(clo_collab_set_rho(a, budget, "rho", d->rho));
    CLO_TRY(clo_wire_set_float(a, budget, "delta", d->delta));
    CLO_TRY(clo_wire_set(a, map, "budget", budget));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_program_tree(clo_arena *a, const clo_collab_program *p, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    bool is_sql = p->kind == CLO_PROGRAM_SQL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "name", p->name));
    CLO_TRY(clo_wire_set_text(a, map, "kind", is_sql ? "sql" : "train"));
    CLO_TRY(clo_wire_set_text(a, map, "noise", p->noise));
    if (is_sql) {
        CLO_TRY(clo_wire_set_text(a, map, "sql", p->sql));
        CLO_TRY(clo_collab_set_names(a, map, "parameters", p->parameters, p->parameter_count));
    } else {
        CLO_TRY(clo_wire_set_text(a, map, "target", p->target));
        CLO_TRY(clo_wire_set_int(a, map, "steps", p->steps));
    }
    *out = map;
    return CLO_OK;
}

static clo_err set_list(clo_arena *a, clo_wire_node *map, const char *key, const void *items, size_t size, size_t count)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_bytes(a, clo_span_of((const uint8_t *)items + i * size, size), &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    return clo_wire_set(a, map, key, list);
}

static clo_err runtime_tree(clo_arena *a, const clo_collab_runtime *r, clo_wire_node **out)
{
    const clo_attest_policy *p = &r->policy;
    clo_wire_node *map = NULL, *tcb = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "tee", r->tee));
    CLO_TRY(set_list(a, map, "measurements", p->measurements, sizeof p->measurements[0], p->measurement_count));
    if (p->root_count != 0) CLO_TRY(set_list(a, map, "roots", p->roots, sizeof p->roots[0], p->root_count));
    if (p->chip_count != 0) CLO_TRY(set_list(a, map, "chips", p->chips, sizeof p->chips[0], p->chip_count));
    if (p->min_reported_tcb.have) {
        const clo_attest_tcb *t = &p->min_reported_tcb;
        CLO_TRY(clo_wire_map(a, &tcb));
        CLO_TRY(clo_wire_set_int(a, tcb, "bl", t->bl));
        CLO_TRY(clo_wire_set_int(a, tcb, "tee", t->tee));
        CLO_TRY(clo_wire_set_int(a, tcb, "snp", t->snp));
        CLO_TRY(clo_wire_set_int(a, tcb, "ucode", t->ucode));
        CLO_TRY(clo_wire_set_int(a, tcb, "fmc", t->fmc));
        CLO_TRY(clo_wire_set(a, map, "min_tcb", tcb));
    }
    if (r->may_lack != 0) {
        clo_wire_node *list = NULL, *name = NULL;
        CLO_TRY(clo_wire_array(a, &list));
        for (unsigned i = 0; i < CLO_LAYERS; i++) {
            if ((r->may_lack >> i & 1) == 0) continue;
            CLO_TRY(clo_wire_text(a, clo_span_str(clo_collab_layer_name(i)), &name));
            CLO_TRY(clo_wire_append(list, name));
        }
        CLO_TRY(clo_wire_set(a, map, "may_lack", list));
    }
    if (r->appraisal != NULL) { /* as it stands, once more below a new parent */
        clo_wire_node *copy = NULL;
        CLO_TRY(clo_wire_map(a, &copy));
        *copy = *r->appraisal;
        copy->key = NULL;
        copy->next = NULL;
        CLO_TRY(clo_wire_set(a, map, "appraisal", copy));
    }
    *out = map;
    return CLO_OK;
}

static clo_err run_tree(clo_arena *a, const clo_collab_run_terms *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "name", r->name));
    CLO_TRY(clo_wire_set_text(a, map, "program", r->program));
    CLO_TRY(clo_collab_set_names(a, map, "datasets", r->datasets, r->dataset_count));
    CLO_TRY(clo_collab_set_names(a, map, "starters", r->starters, r->starter_count));
    CLO_TRY(clo_collab_set_names(a, map, "recipients", r->recipients, r->recipient_count));
    CLO_TRY(clo_collab_set_rho(a, map, "price", r->rho));
    CLO_TRY(clo_wire_set_int(a, map, "count_max", r->count_max));
    CLO_TRY(clo_wire_set_int(a, map, "min_rows", r->min_rows));
    if (r->not_before != 0) CLO_TRY(clo_wire_set_int(a, map, "not_before", r->not_before));
    if (r->not_after != 0) CLO_TRY(clo_wire_set_int(a, map, "not_after", r->not_after));
    *out = map;
    return CLO_OK;
}

static clo_err fixed_members_set(clo_arena *a, clo_wire_node *map, const clo_collab_agreement *g)
{
    clo_wire_node *suites = NULL, *governance = NULL, *oper = NULL;
    CLO_TRY(clo_wire_map(a, &suites));
    CLO_TRY(clo_wire_set_text(a, suites, "hpke", CLO_SUITE_HPKE));
    CLO_TRY(clo_wire_set_text(a, suites, "sign", CLO_SUITE_SIGN));
    CLO_TRY(clo_wire_set(a, map, "suites", suites));
    CLO_TRY(clo_wire_map(a, &governance));
    CLO_TRY(clo_wire_set_text(a, governance, "amend", "all"));
    CLO_TRY(clo_wire_set_text(a, governance, "stop", "any"));
    CLO_TRY(clo_wire_set_text(a, governance, "resume", "all"));
    CLO_TRY(clo_wire_set(a, map, "governance", governance));
    static const char words[3][64] = {"counts", "timings", "states"};
    const bool said[3] = {g->telemetry_counts, g->telemetry_timings, g->telemetry_states};
    clo_wire_node *telemetry = NULL, *word = NULL;
    CLO_TRY(clo_wire_array(a, &telemetry));
    for (size_t i = 0; i < 3; i++) {
        if (!said[i]) continue;
        CLO_TRY(clo_wire_text(a, clo_span_str(words[i]), &word));
        CLO_TRY(clo_wire_append(telemetry, word));
    }
    CLO_TRY(clo_wire_set(a, map, "telemetry", telemetry));
    CLO_TRY(clo_wire_map(a, &oper));
    CLO_TRY(clo_wire_set_text(a, oper, "name", g->operator_name));
    CLO_TRY(clo_wire_set_text(a, oper, "url", g->operator_url));
    CLO_TRY(clo_collab_set_fixed(a, oper, "spki", g->operator_spki, sizeof g->operator_spki));
    return clo_wire_set(a, map, "operator", oper);
}

static clo_err lists_set(clo_arena *a, clo_wire_node *map, const clo_collab_agreement *g)
{
    clo_wire_node *lists[5] = {NULL}, *n = NULL;
    static const char *const names[5] = {"parties", "datasets", "programs", "runtimes", "runs"};
    for (size_t i = 0; i < 5; i++) {
        CLO_TRY(clo_wire_array(a, &lists[i]));
        CLO_TRY(clo_wire_set(a, map, names[i], lists[i]));
    }
    for (size_t i = 0; i < g->member_count; i++) {
        CLO_TRY(party_tree(a, &g->members[i], &n));
        CLO_TRY(clo_wire_append(lists[0], n));
    }
    for (size_t i = 0; i < g->dataset_count; i++) {
        CLO_TRY(dataset_tree(a, &g->datasets[i], &n));
        CLO_TRY(clo_wire_append(lists[1], n));
    }
    for (size_t i = 0; i < g->program_count; i++) {
        CLO_TRY(clo_collab_program_tree(a, &g->programs[i], &n));
        CLO_TRY(clo_wire_append(lists[2], n));
    }
    for (size_t i = 0; i < g->runtime_count; i++) {
        CLO_TRY(runtime_tree(a, &g->runtimes[i], &n));
        CLO_TRY(clo_wire_append(lists[3], n));
    }
    for (size_t i = 0; i < g->run_count; i++) {
        CLO_TRY(run_tree(a, &g->runs[i], &n));
        CLO_TRY(clo_wire_append(lists[4], n));
    }
    return CLO_OK;
}

clo_err clo_collab_agreement_tree(clo_arena *a, const clo_collab_agreement *g, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *log = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_AGREEMENT, &map));
    CLO_TRY(clo_wire_set_text(a, map, "title", g->title));
    CLO_TRY(clo_wire_set_int(a, map, "epoch", g->epoch));
    if (g->epoch > 1) {
        CLO_TRY(clo_collab_set_fixed(a, map, "prev", g->prev, sizeof g->prev));
        CLO_TRY(clo_collab_set_fixed(a, map, "lineage", g->lineage, sizeof g->lineage));
    }
    CLO_TRY(clo_wire_set_int(a, map, "not_after", g->not_after));
    CLO_TRY(clo_wire_set_bool(a, map, "allow_simulated", g->allow_simulated));
    CLO_TRY(clo_wire_set_int(a, map, "lease_seconds", g->lease_seconds));
    CLO_TRY(clo_wire_set_int(a, map, "reattest_seconds", g->reattest_seconds));
    CLO_TRY(fixed_members_set(a, map, g));
    CLO_TRY(log_tree(a, &g->log, &log));
    CLO_TRY(clo_wire_set(a, map, "log", log));
    CLO_TRY(lists_set(a, map, g));
    *out = map;
    return CLO_OK;
}

static clo_err program_digest(clo_arena *a, clo_collab_program *p)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, CLO_AGREEMENT_MAX);
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_collab_program_tree(a, p, &tree));
    CLO_TRY(clo_wire_cbor_encode(tree, &bytes));
    return clo_crypto_sha256(clo_buf_span(&bytes), p->digest);
}

clo_err clo_collab_agreement_seal(clo_arena *a, clo_collab_agreement *g)
{
    for (size_t i = 0; i < g->dataset_count; i++) {
        const clo_collab_member *owner = clo_collab_agreement_member(g, g->datasets[i].owner);
        CLO_CHECK(owner != NULL, CLO_E_BUG);
        CLO_TRY(clo_collab_dataset_id(&owner->party, g->datasets[i].name, g->datasets[i].id));
    }
    for (size_t i = 0; i < g->program_count; i++) CLO_TRY(program_digest(a, &g->programs[i]));
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, CLO_AGREEMENT_MAX);
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_collab_agreement_tree(a, g, &tree));
    clo_err e = clo_wire_cbor_encode(tree, &bytes);
    if (clo_failed(e)) return clo_err_prefix(e, "the agreement");
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&bytes), g->id));
    if (g->epoch == 1) memcpy(g->lineage, g->id, sizeof g->lineage);
    return clo_arena_copy(a, clo_buf_span(&bytes), &g->cbor);
}

const clo_collab_member *clo_collab_agreement_member(const clo_collab_agreement *g, const char *name)
{
    for (size_t i = 0; i < g->member_count; i++)
        if (strcmp(g->members[i].party.name, name) == 0) return &g->members[i];
    return NULL;
}

const clo_collab_dataset_terms *clo_collab_agreement_dataset(const clo_collab_agreement *g, const char *name)
{
    for (size_t i = 0; i < g->dataset_count; i++)
        if (strcmp(g->datasets[i].name, name) == 0) return &g->datasets[i];
    return NULL;
}

const clo_collab_dataset_terms *clo_collab_agreement_dataset_by_id(const clo_collab_agreement *g, const uint8_t id[32])
{
    for (size_t i = 0; i < g->dataset_count; i++)
        if (memcmp(g->datasets[i].id, id, 32) == 0) return &g->datasets[i];
    return NULL;
}

const clo_collab_program *clo_collab_agreement_program(const clo_collab_agreement *g, const char *name)
{
    for (size_t i = 0; i < g->program_count; i++)
        if (strcmp(g->programs[i].name, name) == 0) return &g->programs[i];
    return NULL;
}

const clo_collab_run_terms *clo_collab_agreement_run(const clo_collab_agreement *g, const char *name)
{
    for (size_t i = 0; i < g->run_count; i++)
        if (strcmp(g->runs[i].name, name) == 0) return &g->runs[i];
    return NULL;
}

size_t clo_collab_run_owners(const clo_collab_agreement *g, const clo_collab_run_terms *run, size_t indexes[CLO_PARTIES_MAX])
{
    size_t count = 0;
    for (size_t m = 0; m < g->member_count; m++) {
        bool owns = false;
        for (size_t i = 0; i < run->dataset_count; i++) {
            const clo_collab_dataset_terms *d = clo_collab_agreement_dataset(g, run->datasets[i]);
            owns = owns || (d != NULL && strcmp(d->owner, g->members[m].party.name) == 0);
        }
        if (owns) indexes[count++] = m;
    }
    return count;
}
