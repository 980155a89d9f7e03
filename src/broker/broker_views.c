/* What the service's things look like outside. */
#include "broker/broker_int.h"
#include <stdio.h>

static clo_err set_rho(clo_arena *a, clo_wire_node *map, const char *key, clo_dp_rational rho)
{
    char text[CLO_DP_RATIONAL_TEXT];
    clo_dp_rational_format(text, rho);
    return clo_wire_set_text(a, map, key, text);
}

static clo_err set_id(clo_arena *a, clo_wire_node *map, const char *key, const uint8_t *bytes, size_t n)
{
    return clo_wire_set_bytes(a, map, key, clo_span_of(bytes, n));
}

clo_err broker_view_key(clo_arena *a, const clo_kms_key *k, clo_wire_node **out)
{
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_set_text(a, m, "id", k->id));
    CLO_TRY(clo_wire_set_text(a, m, "name", k->name));
    CLO_TRY(set_id(a, m, "dataset", k->dataset, sizeof k->dataset));
    CLO_TRY(set_id(a, m, "version", k->version, sizeof k->version));
    CLO_TRY(clo_wire_set_text(a, m, "state", clo_kms_key_state_name(k->state)));
    CLO_TRY(clo_wire_set_int(a, m, "kek_version", k->kek_version));
    CLO_TRY(clo_wire_set_time(a, m, "created", k->created));
    CLO_TRY(clo_wire_set_time(a, m, "changed", k->changed));
    *out = m;
    return CLO_OK;
}

clo_err broker_view_agreement(clo_arena *a, const clo_kms_agreement *g, clo_wire_node **out)
{
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(set_id(a, m, "id", g->id, sizeof g->id));
    CLO_TRY(set_id(a, m, "lineage", g->lineage, sizeof g->lineage));
    CLO_TRY(clo_wire_set_text(a, m, "title", g->title));
    CLO_TRY(clo_wire_set_int(a, m, "epoch", g->epoch));
    CLO_TRY(clo_wire_set_time(a, m, "not_after", g->not_after));
    CLO_TRY(clo_wire_set_text(a, m, "state", clo_collab_agreement_state_name(g->state)));
    CLO_TRY(clo_wire_set_bool(a, m, "superseded", g->superseded));
    CLO_TRY(clo_wire_set_int(a, m, "resumes_missing", g->resumes_missing));
    if (g->resume_from != 0) CLO_TRY(clo_wire_set_time(a, m, "resume_from", g->resume_from));
    if (g->late) {
        char from[21], detail[160];
        clo_time_format(from, g->resume_from);
        (void)snprintf(detail, sizeof detail, "this resume does not count: it was signed before %s, and a party's stop came after it; sign it again", from);
        CLO_TRY(clo_wire_set_text(a, m, "detail", detail));
    }
    *out = m;
    return CLO_OK;
}

clo_err broker_view_budget(clo_arena *a, const clo_kms_budget *b, clo_wire_node **out)
{
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_set_text(a, m, "name", b->name));
    CLO_TRY(set_id(a, m, "dataset", b->dataset, sizeof b->dataset));
    CLO_TRY(set_rho(a, m, "limit", b->limit));
    CLO_TRY(set_rho(a, m, "spent", b->spent));
    CLO_TRY(set_rho(a, m, "reserved", b->reserved));
    CLO_TRY(set_rho(a, m, "left", b->left));
    CLO_TRY(clo_wire_set_float(a, m, "delta", b->delta));
    CLO_TRY(clo_wire_set_float(a, m, "epsilon_limit", b->epsilon_limit));
    CLO_TRY(clo_wire_set_float(a, m, "epsilon_spent", b->epsilon_spent));
    CLO_TRY(clo_wire_set_float(a, m, "epsilon_left", b->epsilon_left));
    CLO_TRY(clo_wire_set_int(a, m, "runs", (int64_t)b->run_count));
    *out = m;
    return CLO_OK;
}

clo_err broker_view_entry(clo_arena *a, const clo_kms_entry *e, clo_wire_node **out)
{
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_set_int(a, m, "seq", e->seq));
    CLO_TRY(clo_wire_set_text(a, m, "kind", clo_kms_entry_kind_name(e->kind)));
    CLO_TRY(set_id(a, m, "dataset", e->dataset, sizeof e->dataset));
    CLO_TRY(set_id(a, m, "run", e->run_id, sizeof e->run_id));
    CLO_TRY(set_id(a, m, "agreement", e->agreement, sizeof e->agreement));
    CLO_TRY(set_rho(a, m, "rho", e->rho));
    CLO_TRY(clo_wire_set_time(a, m, "time", e->time));
    CLO_TRY(set_id(a, m, "previous", e->previous, sizeof e->previous));
    CLO_TRY(set_id(a, m, "hash", e->hash, sizeof e->hash));
    *out = m;
    return CLO_OK;
}

clo_err broker_view_run(clo_arena *a, const clo_kms_run *r, clo_wire_node **out)
{
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(set_id(a, m, "run_id", r->run_id, sizeof r->run_id));
    CLO_TRY(set_id(a, m, "release_id", r->release_id, sizeof r->release_id));
    CLO_TRY(set_id(a, m, "agreement", r->agreement, sizeof r->agreement));
    CLO_TRY(clo_wire_set_int(a, m, "epoch", r->epoch));
    CLO_TRY(clo_wire_set_text(a, m, "run", r->run));
    CLO_TRY(clo_wire_set_text(a, m, "starter", r->starter));
    CLO_TRY(clo_wire_set_text(a, m, "state", r->state));
    CLO_TRY(clo_wire_set_text(a, m, "tee", r->tee));
    CLO_TRY(set_id(a, m, "runtime", r->runtime, sizeof r->runtime));
    CLO_TRY(set_id(a, m, "request", r->request, sizeof r->request));
    CLO_TRY(set_id(a, m, "evidence", r->evidence, sizeof r->evidence));
    CLO_TRY(clo_wire_set_time(a, m, "created", r->created));
    CLO_TRY(clo_wire_set_time(a, m, "expires", r->expires));
    *out = m;
    return CLO_OK;
}

clo_err broker_view_denial(clo_arena *a, const clo_kms_denial *d, clo_wire_node **out)
{
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_set_text(a, m, "id", d->id));
    CLO_TRY(clo_wire_set_time(a, m, "time", d->time));
    CLO_TRY(clo_wire_set_text(a, m, "what", d->what));
    CLO_TRY(clo_wire_set_text(a, m, "code", d->code));
    CLO_TRY(clo_wire_set_text(a, m, "detail", d->text));
    if (d->have_denial) CLO_TRY(clo_wire_set_denial(a, m, &d->denial));
    *out = m;
    return CLO_OK;
}

clo_err broker_view_ledger(clo_arena *a, const clo_broker *b, clo_wire_node **out)
{
    static const char *const states[] = {"without witness", "not confirmed", "witnessed", "rolled back"};
    clo_kms_witnessing w;
    clo_wire_node *m = NULL;
    clo_kms_ledger_witnessing(b->kms, &w);
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_set_text(a, m, "key", b->identity.ledger));
    CLO_TRY(clo_wire_set_text(a, m, "state", states[w.state]));
    if (w.state == CLO_KMS_WITNESSED_NONE)
        CLO_TRY(clo_wire_set_text(a, m, "detail", "a rollback of this machine's disk is not found out: no witness is configured"));
    if (w.witnessed_at != 0) {
        CLO_TRY(clo_wire_set_int(a, m, "entries", (int64_t)w.entry_count));
        CLO_TRY(clo_wire_set_time(a, m, "witnessed_at", w.witnessed_at));
    }
    if (w.waiting) {
        char detail[700];
        (void)snprintf(detail, sizeof detail, "expected %s, found %s (%s); %s", w.denial.expected, w.denial.actual, w.denial.source,
                       w.denial.remedy);
        CLO_TRY(clo_wire_set_text(a, m, "detail", detail));
    }
    *out = m;
    return CLO_OK;
}

clo_err broker_view_info(clo_arena *a, const clo_broker *b, clo_wire_node **out)
{
    clo_wire_node *m = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_set_text(a, m, "url", b->identity.url));
    CLO_TRY(set_id(a, m, "spki", b->identity.spki, sizeof b->identity.spki));
    CLO_TRY(set_id(a, m, "hpke", b->identity.hpke, sizeof b->identity.hpke));
    CLO_TRY(clo_wire_set_text(a, m, "owner", clo_kms_owner(b->kms)->name));
    CLO_TRY(set_id(a, m, "owner_kid", clo_kms_owner_kid(b->kms), 32));
    CLO_TRY(clo_wire_set_text(a, m, "audience", b->audience));
    CLO_TRY(clo_wire_set_text(a, m, "version", CLO_VERSION));
    clo_wire_node *ledger = NULL;
    CLO_TRY(broker_view_ledger(a, b, &ledger));
    CLO_TRY(clo_wire_set(a, m, "ledger", ledger));
    *out = m;
    return CLO_OK;
}

clo_err clo_broker_identity_json(const clo_broker_identity *identity, const char *owner, clo_buf *out)
{
    char spki[65], hpke[65];
    clo_hex_encode(spki, clo_span_of(identity->spki, sizeof identity->spki));
    clo_hex_encode(hpke, clo_span_of(identity->hpke, sizeof identity->hpke));
    return clo_buf_printf(out, "{\"url\":\"%s\",\"spki\":\"%s\",\"hpke\":\"%s\",\"owner\":\"%s\",\"ledger\":\"%s\"}", identity->url, spki,
                          hpke, owner, identity->ledger);
}
