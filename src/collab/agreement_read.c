/* The agreement from a tree: who takes part, who operates, what is logged. Datasets, programs, runtimes, runs: agreement_terms.c.
 */
#include <stdio.h>

#include "collab/agreement_int.h"

clo_err clo_collab_agreement_new(clo_arena *a, clo_collab_agreement **out)
{
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_collab_agreement), &p));
    *out = p;
    return CLO_OK;
}

/* A member that has one value in this version: there to be read, refused where it says anything else. */
static void take_fixed_word(clo_wire_fields *f, const char *key, const char *word)
{
    if (!clo_wire_has(f, key)) return;
    char found[64];
    clo_wire_take_str(f, key, found, sizeof found);
    if (clo_failed(f->err) || strcmp(found, word) == 0) return;
    char sentence[160];
    (void)snprintf(sentence, sizeof sentence, "must be \"%s\" in this version, but is \"%.40s\"", word, found);
    clo_wire_fields_fail(f, CLO_E_UNSUPPORTED, key, sentence);
}

static clo_err suites_read(clo_arena *a, const clo_wire_node *node)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "agreement.suites");
    take_fixed_word(&f, "hpke", CLO_SUITE_HPKE);
    take_fixed_word(&f, "sign", CLO_SUITE_SIGN);
    return clo_wire_fields_end(&f);
}

static clo_err governance_read(clo_arena *a, const clo_wire_node *node)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "agreement.governance");
    take_fixed_word(&f, "amend", "all");
    take_fixed_word(&f, "stop", "any");
    take_fixed_word(&f, "resume", "all");
    return clo_wire_fields_end(&f);
}

static void telemetry_take(clo_wire_fields *f, clo_collab_agreement *g)
{
    char words[3][64];
    size_t count = 0;
    if (!clo_wire_has(f, "telemetry")) return;
    clo_collab_take_names(f, "telemetry", words, 3, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], "counts") == 0)
            g->telemetry_counts = true;
        else if (strcmp(words[i], "timings") == 0)
            g->telemetry_timings = true;
        else if (strcmp(words[i], "states") == 0)
            g->telemetry_states = true;
        else
            clo_wire_fields_fail(f, CLO_E_UNSUPPORTED, "telemetry", "may list only counts, timings, states");
    }
}

static clo_err operator_read(clo_arena *a, const clo_wire_node *node, clo_collab_agreement *g)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "agreement.operator");
    clo_wire_take_name(&f, "name", g->operator_name);
    clo_wire_take_str(&f, "url", g->operator_url, sizeof g->operator_url);
    clo_wire_take_fixed(&f, "spki", g->operator_spki, sizeof g->operator_spki);
    return clo_wire_fields_end(&f);
}

static clo_err log_key_read(const char *text, uint8_t type, const char *what, clo_wire_note_key *out)
{
    clo_err e = clo_wire_note_key_parse(text, out);
    if (clo_failed(e)) return clo_err_prefix(e, what);
    CLO_CHECKF(out->type == type, CLO_E_MALFORMED,
               "%s is a key of type %u, not %u; a log signs with type 1, a witness with type 4", what, out->type, type);
    return CLO_OK;
}

static clo_err log_read(clo_arena *a, const clo_wire_node *node, clo_wire_log_policy *out)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "agreement.log");
    const char *vkey = "";
    const clo_wire_node *list = NULL;
    int64_t quorum = 0;
    clo_wire_take_text(&f, "vkey", &vkey, 512);
    clo_wire_take_array(&f, "witnesses", &list, sizeof out->witnesses / sizeof out->witnesses[0]);
    clo_wire_take_int(&f, "quorum", &quorum, 1, (int64_t)(sizeof out->witnesses / sizeof out->witnesses[0]));
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(log_key_read(vkey, 1, "agreement.log.vkey", &out->log));
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, i++) {
        char what[48];
        (void)snprintf(what, sizeof what, "agreement.log.witnesses[%zu]", i);
        CLO_TRY(clo_wire_node_text(a, n, what, &vkey, 512));
        CLO_TRY(log_key_read(vkey, 4, what, &out->witnesses[i]));
    }
    out->witness_count = i;
    out->quorum = (size_t)quorum;
    return CLO_OK;
}

static clo_err key_service_read(clo_arena *a, const clo_wire_node *node, const char *what, clo_collab_member *m)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, what);
    clo_wire_take_str(&f, "url", m->kms_url, sizeof m->kms_url);
    clo_wire_take_fixed(&f, "spki", m->kms_spki, sizeof m->kms_spki);
    clo_wire_take_fixed(&f, "hpke_key", m->kms_hpke, sizeof m->kms_hpke);
    return clo_wire_fields_end(&f);
}

static clo_err party_read(clo_arena *a, const clo_wire_node *node, size_t index, clo_collab_member *m)
{
    char what[64];
    (void)snprintf(what, sizeof what, "agreement.parties[%zu]", index);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, what);
    char role[32];
    uint8_t key[32];
    const clo_wire_node *service = NULL;
    clo_wire_take_name(&f, "name", m->party.name);
    clo_wire_take_str(&f, "role", role, sizeof role);
    clo_wire_take_fixed(&f, "sign_key", key, sizeof key);
    clo_wire_take_fixed(&f, "hpke_key", m->party.hpke, sizeof m->party.hpke);
    m->data_owner = strcmp(role, "data-owner") == 0;
    if (!m->data_owner && strcmp(role, "analyst") != 0)
        clo_wire_fields_fail(&f, CLO_E_UNSUPPORTED, "role", "must be \"data-owner\" or \"analyst\"");
    if (m->data_owner) clo_wire_take_map(&f, "key_service", &service);
    CLO_TRY(clo_wire_fields_end(&f));
    clo_err e = clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(key, sizeof key), &m->party.sign);
    (void)snprintf(what, sizeof what, "agreement.parties[%zu].sign_key", index);
    if (clo_failed(e)) return clo_err_prefix(e, what);
    if (!m->data_owner) return CLO_OK;
    (void)snprintf(what, sizeof what, "agreement.parties[%zu].key_service", index);
    return key_service_read(a, service, what, m);
}

typedef struct {
    const clo_wire_node *suites, *governance, *oper, *log, *parties, *datasets, *programs, *runtimes, *runs;
} sections;

static void head_take(clo_wire_fields *f, clo_collab_agreement *g, sections *s)
{
    if (clo_wire_has(f, "format"))
        clo_collab_take_format(f, CLO_FORMAT_AGREEMENT);
    else
        clo_wire_fields_fail(f, CLO_E_MISSING_FIELD, "format", "is missing; begin with: format: " CLO_FORMAT_AGREEMENT);
    clo_wire_take_str(f, "title", g->title, sizeof g->title);
    g->epoch = 1;
    if (clo_wire_has(f, "epoch")) clo_wire_take_int(f, "epoch", &g->epoch, 1, INT32_MAX);
    if (g->epoch > 1) {
        clo_wire_take_fixed(f, "prev", g->prev, sizeof g->prev);
        clo_wire_take_fixed(f, "lineage", g->lineage, sizeof g->lineage);
    }
    clo_wire_take_time(f, "not_after", &g->not_after);
    if (clo_wire_has(f, "allow_simulated")) clo_wire_take_bool(f, "allow_simulated", &g->allow_simulated);
    g->lease_seconds = 600;
    if (clo_wire_has(f, "lease_seconds")) clo_wire_take_int(f, "lease_seconds", &g->lease_seconds, 10, 86400);
    g->reattest_seconds = 120;
    if (clo_wire_has(f, "reattest_seconds")) clo_wire_take_int(f, "reattest_seconds", &g->reattest_seconds, 1, 3600);
    if (clo_wire_has(f, "suites")) clo_wire_take_map(f, "suites", &s->suites);
    if (clo_wire_has(f, "governance")) clo_wire_take_map(f, "governance", &s->governance);
    telemetry_take(f, g);
    clo_wire_take_map(f, "operator", &s->oper);
    clo_wire_take_map(f, "log", &s->log);
    clo_wire_take_array(f, "parties", &s->parties, CLO_PARTIES_MAX);
    clo_wire_take_array(f, "datasets", &s->datasets, CLO_DATASETS_MAX);
    clo_wire_take_array(f, "programs", &s->programs, CLO_PROGRAMS_MAX);
    clo_wire_take_array(f, "runtimes", &s->runtimes, CLO_RUNTIMES_MAX);
    clo_wire_take_array(f, "runs", &s->runs, CLO_RUNS_MAX);
}

static clo_err agreement_parse(clo_arena *a, const clo_wire_node *tree, clo_collab_agreement *g)
{
    sections s;
    memset(&s, 0, sizeof s);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, tree, "agreement");
    head_take(&f, g, &s);
    CLO_TRY(clo_wire_fields_end(&f));
    if (s.suites != NULL) CLO_TRY(suites_read(a, s.suites));
    if (s.governance != NULL) CLO_TRY(governance_read(a, s.governance));
    CLO_TRY(operator_read(a, s.oper, g));
    CLO_TRY(log_read(a, s.log, &g->log));
    for (const clo_wire_node *n = s.parties->first; n != NULL; n = n->next, g->member_count++)
        CLO_TRY(party_read(a, n, g->member_count, &g->members[g->member_count]));
    for (const clo_wire_node *n = s.datasets->first; n != NULL; n = n->next, g->dataset_count++)
        CLO_TRY(clo_collab_dataset_terms_read(a, n, g->dataset_count, &g->datasets[g->dataset_count]));
    for (const clo_wire_node *n = s.programs->first; n != NULL; n = n->next, g->program_count++)
        CLO_TRY(clo_collab_program_read(a, n, g->program_count, &g->programs[g->program_count]));
    for (const clo_wire_node *n = s.runtimes->first; n != NULL; n = n->next, g->runtime_count++)
        CLO_TRY(clo_collab_runtime_read(a, n, g->runtime_count, &g->runtimes[g->runtime_count]));
    for (const clo_wire_node *n = s.runs->first; n != NULL; n = n->next, g->run_count++)
        CLO_TRY(clo_collab_run_terms_read(a, n, g->run_count, &g->runs[g->run_count]));
    return CLO_OK;
}

clo_err clo_collab_agreement_read(clo_arena *a, const clo_wire_node *tree, clo_collab_agreement *out)
{
    clo_collab_agreement *g = NULL;
    CLO_TRY(clo_collab_agreement_new(a, &g));
    CLO_TRY(agreement_parse(a, tree, g));
    CLO_TRY(clo_collab_agreement_check(g));
    CLO_TRY(clo_collab_agreement_seal(a, g));
    *out = *g;
    return CLO_OK;
}

clo_err clo_collab_agreement_decode(clo_arena *a, clo_span cbor, clo_collab_agreement *out)
{
    CLO_CHECKF(cbor.n <= CLO_AGREEMENT_MAX, CLO_E_TOO_LARGE, "the agreement has %zu bytes; at most %d are allowed", cbor.n,
               CLO_AGREEMENT_MAX);
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_collab_map_decode(a, cbor, CLO_COLLAB_AGREEMENT_ITEMS_MAX, "the agreement", &tree));
    clo_collab_agreement *g = NULL;
    CLO_TRY(clo_collab_agreement_new(a, &g));
    CLO_TRY(clo_collab_agreement_read(a, tree, g));
    CLO_CHECKF(clo_span_equal(g->cbor, cbor), CLO_E_NOT_CANONICAL,
               "the agreement is not in the one canonical form of its content; compile it again with `cloister agreement new`");
    *out = *g;
    return CLO_OK;
}
