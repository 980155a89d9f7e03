/* Registered agreements: submission, the orders that stop and resume them, lists. */
#include "kms/kms_int.h"
#include <stdio.h>

static uint32_t member_mask(const clo_collab_agreement *g) { return (uint32_t)((1ull << g->member_count) - 1); }

/* This service's second may be one ahead of what the machine's clock shows to others. */
enum { ORDER_SKEW_SECONDS = 2 };

/* A resume lifts the stops that came before it: later than all of them in the order of arrival, and signed no earlier than they arrived,
 * whatever time their signers wrote. */
static clo_err resumes_missing(kms_db *db, const clo_collab_agreement *g, int64_t stopped, uint32_t *missing)
{
    uint32_t mask = member_mask(g);
    for (size_t i = 0; i < g->member_count; i++) {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s,
                             "SELECT verb, time, rowid > (SELECT max(rowid) FROM orders WHERE agreement = ?1 AND verb = 'stop')"
                             " FROM orders WHERE agreement = ?1 AND party = ?2 ORDER BY sequence DESC LIMIT 1",
                             "bt", (const void *)g->id, sizeof g->id, g->members[i].party.name));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        if (!row) continue;
        char verb[16];
        kms_column_text(s, 0, verb, sizeof verb);
        if (strcmp(verb, "resume") == 0 && kms_column_int(s, 1) >= stopped && kms_column_int(s, 2) != 0) mask &= ~(1u << i);
    }
    *missing = mask;
    return CLO_OK;
}

static clo_err view_fill(sqlite3_stmt *s, int64_t now, clo_kms_agreement *out)
{
    *out = (clo_kms_agreement){.epoch = kms_column_int(s, 2)};
    CLO_TRY(kms_column_fixed(s, 0, out->id, sizeof out->id));
    CLO_TRY(kms_column_fixed(s, 1, out->lineage, sizeof out->lineage));
    kms_column_text(s, 3, out->title, sizeof out->title);
    out->not_after = kms_column_int(s, 4);
    int64_t state = kms_column_int(s, 5);
    CLO_CHECK(state >= 0 && state < CLO_AGREEMENT_STATES, CLO_E_DATABASE);
    out->state = (clo_collab_agreement_state)state;
    out->superseded = kms_column_int(s, 6) > out->epoch;
    bool may_expire = out->state == CLO_AGREEMENT_ACTIVE || out->state == CLO_AGREEMENT_SUSPENDED;
    if (may_expire && now >= out->not_after) out->state = CLO_AGREEMENT_EXPIRED;
    return CLO_OK;
}

static clo_err view_of(kms_db *db, const clo_collab_agreement *g, int64_t now, clo_kms_agreement *out)
{
    {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s,
                             "SELECT id, lineage, epoch, title, not_after, state,"
                             " (SELECT max(epoch) FROM agreements b WHERE b.lineage = a.lineage) FROM agreements a WHERE id = ?1",
                             "b", (const void *)g->id, sizeof g->id));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        CLO_CHECK(row, CLO_E_NOT_FOUND);
        CLO_TRY(view_fill(s, now, out));
    }
    if (out->state != CLO_AGREEMENT_SUSPENDED) return CLO_OK;
    kms_agreement_row st;
    CLO_TRY(kms_agreement_row_find(db, g->id, &st));
    out->resume_from = st.stopped;
    return resumes_missing(db, g, st.stopped, &out->resumes_missing);
}

typedef struct {
    kms_agreement_ref *ref;
    const clo_collab_order *order;
    clo_span order_bytes;
    clo_kms_agreement out;
} agreement_order;

static clo_err submit_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    agreement_order *o = context;
    CLO_TRY(kms_agreement_register(kms, db, o->ref, now));
    return view_of(db, o->ref->g, now, &o->out);
}

clo_err clo_kms_agreement_submit(clo_kms *kms, clo_span file, clo_kms_agreement *out)
{
    CLO_AUTO(kms_agreement_drop) kms_agreement_ref *ref = NULL;
    CLO_TRY(kms_agreement_get(kms, file, &ref));
    agreement_order o = {.ref = ref};
    CLO_TRY(kms_write(kms, submit_job, &o));
    *out = o.out;
    return CLO_OK;
}

/* ---- orders ---- */

static clo_err order_note(kms_db *db, const agreement_order *o)
{
    const clo_collab_order *order = o->order;
    int64_t last = INT64_MIN;
    {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s, "SELECT max(sequence) FROM orders WHERE agreement = ?1 AND party = ?2", "bt",
                             (const void *)order->agreement, sizeof order->agreement, order->party));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        if (row && sqlite3_column_type(s, 0) == SQLITE_INTEGER) last = kms_column_int(s, 0);
    }
    char expected[80], actual[40];
    (void)snprintf(expected, sizeof expected, "above %lld, this party's last", (long long)last);
    (void)snprintf(actual, sizeof actual, "%lld", (long long)order->sequence);
    if (order->sequence <= last)
        return CLO_DENY(CLO_E_REPLAYED, "order.sequence", expected, actual, "owner's key service", "sign a fresh order");
    return kms_db_run(db, "INSERT INTO orders(agreement, party, sequence, verb, time, bytes) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                      "btitib", (const void *)order->agreement, sizeof order->agreement, order->party, order->sequence,
                      order->verb, order->time, (const void *)o->order_bytes.p, o->order_bytes.n);
}

static clo_err order_step(kms_db *db, const agreement_order *o, int64_t now, kms_agreement_row *st)
{
    const clo_collab_order *order = o->order;
    bool suspended = st->state == CLO_AGREEMENT_SUSPENDED;
    if (strcmp(order->verb, "terminate") == 0) {
        CLO_TRY(clo_collab_agreement_step(&st->state, CLO_ORDER_TERMINATE));
    } else if (strcmp(order->verb, "stop") == 0) {
        if (!suspended) CLO_TRY(clo_collab_agreement_step(&st->state, CLO_ORDER_STOP));
        if (order->time > st->stopped) st->stopped = order->time;
        if (now - ORDER_SKEW_SECONDS > st->stopped) st->stopped = now - ORDER_SKEW_SECONDS;
    } else if (strcmp(order->verb, "resume") == 0) {
        CLO_CHECKF(suspended, CLO_E_CONFLICT, "agreement %s is %s; only a suspended agreement can be resumed",
                   kms_hex8(order->agreement).text, clo_collab_agreement_state_name(st->state));
        uint32_t missing = 0;
        CLO_TRY(resumes_missing(db, o->ref->g, st->stopped, &missing));
        if (missing == 0) CLO_TRY(clo_collab_agreement_step(&st->state, CLO_ORDER_ALL_RESUMED));
    } else {
        return CLO_FAILF(CLO_E_MALFORMED, "an order's verb must be stop, resume or terminate");
    }
    return CLO_OK;
}

static clo_err order_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    agreement_order *o = context;
    kms_agreement_row st;
    CLO_TRY(kms_agreement_row_find(db, o->order->agreement, &st));
    CLO_CHECKF(st.found, CLO_E_NOT_FOUND, "agreement %s is not registered here; submit it first",
               kms_hex8(o->order->agreement).text);
    CLO_TRY(order_note(db, o));
    CLO_TRY(order_step(db, o, now, &st));
    CLO_TRY(kms_ledger_state(db, NULL, o->order->agreement, o->order_bytes, now));
    CLO_TRY(kms_db_run(db, "UPDATE agreements SET state = ?2, stopped = ?3 WHERE id = ?1", "bii",
                       (const void *)o->order->agreement, sizeof o->order->agreement, (int64_t)st.state, st.stopped));
    CLO_TRY(view_of(db, o->ref->g, now, &o->out));
    o->out.late = strcmp(o->order->verb, "resume") == 0 && o->order->time < o->out.resume_from;
    return CLO_OK;
}

clo_err clo_kms_order(clo_kms *kms, clo_span order, clo_kms_agreement *out)
{
    enum { ORDER_MAX = 16384 };
    CLO_CHECKF(order.n <= ORDER_MAX, CLO_E_TOO_LARGE, "the order has %zu bytes, at most %d are allowed", order.n, ORDER_MAX);
    uint8_t id[32];
    CLO_TRY(kms_signed_peek(order, "agreement", id, sizeof id));
    CLO_AUTO(kms_agreement_drop) kms_agreement_ref *ref = NULL;
    CLO_TRY(kms_agreement_load(kms, id, &ref));
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_collab_order opened;
    CLO_TRY(clo_collab_order_open(&a, order, ref->g, &opened));
    CLO_CHECKF(memcmp(opened.agreement, ref->g->id, sizeof opened.agreement) == 0, CLO_E_MALFORMED,
               "the order is for another agreement");
    agreement_order o = {.ref = ref, .order = &opened, .order_bytes = order};
    CLO_TRY(kms_write(kms, order_job, &o));
    *out = o.out;
    return CLO_OK;
}

/* ---- lists ---- */

typedef struct {
    clo_arena *arena;
    const uint8_t *viewer;
    clo_kms_agreement *items;
    size_t count;
} agreement_listing;
enum { AGREEMENTS_LISTED_MAX = 1000 };

static clo_err list_rows(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    agreement_listing *l = context;
    void *items = NULL;
    CLO_TRY(clo_arena_array(l->arena, AGREEMENTS_LISTED_MAX, sizeof(clo_kms_agreement), &items));
    l->items = items;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(
        db, &s,
        "SELECT id, lineage, epoch, title, not_after, state, (SELECT max(epoch) FROM agreements b WHERE b.lineage = a.lineage)"
        " FROM agreements a WHERE ?1 IS NULL OR EXISTS (SELECT 1 FROM members m WHERE m.kid = ?1 AND m.agreement = a.id)"
        " ORDER BY registered DESC, id LIMIT 1000",
        l->viewer != NULL ? "b" : "n", (const void *)l->viewer, (size_t)32));
    for (bool row = true; l->count < AGREEMENTS_LISTED_MAX; l->count++) {
        CLO_TRY(kms_db_row(s, &row));
        if (!row) break;
        CLO_TRY(view_fill(s, now, &l->items[l->count]));
    }
    return CLO_OK;
}

static clo_err list_missing(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    agreement_order *o = context;
    return view_of(db, o->ref->g, now, &o->out);
}

clo_err clo_kms_agreement_list(clo_kms *kms, clo_arena *a, const uint8_t *viewer, clo_kms_agreement **out, size_t *count)
{
    agreement_listing l = {.arena = a, .viewer = viewer};
    CLO_TRY(kms_read(kms, list_rows, &l));
    for (size_t i = 0; i < l.count; i++) {
        if (l.items[i].state != CLO_AGREEMENT_SUSPENDED) continue;
        CLO_AUTO(kms_agreement_drop) kms_agreement_ref *ref = NULL;
        CLO_TRY(kms_agreement_load(kms, l.items[i].id, &ref));
        agreement_order o = {.ref = ref};
        CLO_TRY(kms_read(kms, list_missing, &o));
        l.items[i] = o.out;
    }
    *out = l.items;
    *count = l.count;
    return CLO_OK;
}

typedef struct {
    const uint8_t *kid;
    clo_collab_party party;
} party_read;

static clo_err party_rows(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    party_read *p = context;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT name, sign, hpke FROM members WHERE kid = ?1 LIMIT 1", "b", (const void *)p->kid,
                         (size_t)32));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    CLO_CHECKF(row, CLO_E_UNAUTHENTICATED, "the token's key belongs to no party of an agreement that this key service knows");
    kms_column_text(s, 0, p->party.name, sizeof p->party.name);
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, kms_column_span(s, 1), &p->party.sign));
    return kms_column_fixed(s, 2, p->party.hpke, sizeof p->party.hpke);
}

clo_err clo_kms_party_find(clo_kms *kms, const uint8_t kid[32], clo_collab_party *out)
{
    if (memcmp(kid, kms->owner_kid, 32) == 0) {
        *out = kms->owner;
        return CLO_OK;
    }
    party_read p = {.kid = kid};
    CLO_TRY(kms_read(kms, party_rows, &p));
    *out = p.party;
    return CLO_OK;
}
