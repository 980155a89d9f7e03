/* Registered agreements: submission, the orders that stop and resume them, lists. */
#include "kms/kms_int.h"
#include <stdio.h>

static uint32_t member_mask(const clo_collab_agreement *g) { return (uint32_t)((1ull << g->member_count) - 1); }

enum {
    ORDER_SKEW_SECONDS = 2, /* this service's second may be one ahead of what the machine's clock shows to others */
    ORDERS_MAX = 1000       /* of one party on one agreement: then it must be amended before that party can resume it once more */
};

#define LAST_STOP "(SELECT max(o.rowid) FROM orders o JOIN agreements a ON a.id = o.agreement WHERE a.lineage = ?1 AND o.verb = 'stop')"

/* A resume lifts the stops of its lineage that came before it: later than all of them in the order of arrival, and signed no earlier than they
 * arrived, whatever time their signers wrote. */
static clo_err resumes_missing(kms_db *db, const clo_collab_agreement *g, int64_t stopped, uint32_t *missing)
{
    uint32_t mask = member_mask(g);
    for (size_t i = 0; i < g->member_count; i++) {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s,
                             "SELECT verb, time, rowid > " LAST_STOP " FROM orders WHERE agreement = ?2 AND party = ?3"
                             " ORDER BY sequence DESC LIMIT 1",
                             "bbt", (const void *)g->lineage, sizeof g->lineage, (const void *)g->id, sizeof g->id,
                             g->members[i].party.name));
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

/* What this service has of the order's party. */
typedef struct {
    int64_t count, last; /* last sequence */
    bool idle;           /* its last order is a stop, and nobody of the lineage has ordered a resume since the last stop */
} order_past;

static clo_err past_of(kms_db *db, const agreement_order *o, order_past *out)
{
    const clo_collab_order *order = o->order;
    const uint8_t *lineage = o->ref->g->lineage;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s,
                         "SELECT count(*), max(sequence), max(rowid) FILTER (WHERE verb = 'stop') IS max(rowid) AND NOT EXISTS"
                         " (SELECT 1 FROM orders o JOIN agreements a ON a.id = o.agreement WHERE a.lineage = ?1 AND o.verb = 'resume' AND o.rowid > " LAST_STOP ")"
                         " FROM orders WHERE agreement = ?2 AND party = ?3",
                         "bbt", (const void *)lineage, (size_t)32, (const void *)order->agreement, sizeof order->agreement, order->party));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    CLO_CHECK(row, CLO_E_DATABASE);
    *out = (order_past){.count = kms_column_int(s, 0), .last = INT64_MIN};
    if (out->count == 0) return CLO_OK;
    out->last = kms_column_int(s, 1);
    out->idle = kms_column_int(s, 2) != 0;
    return CLO_OK;
}

static clo_err require_sequence(const clo_collab_order *order, const order_past *past)
{
    char expected[80], actual[40];
    (void)snprintf(expected, sizeof expected, "above %lld, this party's last", (long long)past->last);
    (void)snprintf(actual, sizeof actual, "%lld", (long long)order->sequence);
    if (order->sequence <= past->last)
        return CLO_DENY(CLO_E_REPLAYED, "order.sequence", expected, actual, "owner's key service", "sign a fresh order");
    CLO_CHECKF(past->count < ORDERS_MAX || strcmp(order->verb, "resume") != 0, CLO_E_TOO_MANY,
               "%s has given %d orders on agreement %s; sign an amendment instead of resuming it", order->party, ORDERS_MAX,
               kms_hex8(order->agreement).text);
    return CLO_OK;
}

/* A stop of what its party has stopped already adds nothing but a later time and sequence. */
static clo_err order_keep(kms_db *db, const agreement_order *o, const order_past *past, bool repeated, int64_t now)
{
    const clo_collab_order *order = o->order;
    if (repeated)
        return kms_db_run(db, "UPDATE orders SET sequence = ?4 WHERE agreement = ?1 AND party = ?2 AND sequence = ?3", "btii",
                          (const void *)order->agreement, sizeof order->agreement, order->party, past->last, order->sequence);
    CLO_TRY(kms_ledger_state(db, NULL, order->agreement, o->order_bytes, now));
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

static clo_err row_keep(kms_db *db, const uint8_t id[32], const kms_agreement_row *st)
{
    return kms_db_run(db, "UPDATE agreements SET state = ?2, stopped = ?3 WHERE id = ?1", "bii", (const void *)id, (size_t)32,
                      (int64_t)st->state, st->stopped);
}

/* Who stops an agreement that has been amended means what runs under it now; who is no party of that has no say in it, and is told so. */
static clo_err require_say(kms_db *db, const agreement_order *o, const uint8_t newest[32], int64_t epoch)
{
    uint8_t kid[32];
    bool row = false;
    const clo_collab_member *m = clo_collab_agreement_member(o->ref->g, o->order->party);
    CLO_CHECK(m != NULL, CLO_E_BUG);
    CLO_TRY(clo_collab_party_kid(&m->party, kid));
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT 1 FROM members WHERE kid = ?1 AND agreement = ?2 AND name = ?3", "bbt", (const void *)kid, sizeof kid,
                         (const void *)newest, (size_t)32, o->order->party));
    CLO_TRY(kms_db_row(s, &row));
    if (row) return CLO_OK;
    char expected[120], actual[120];
    (void)snprintf(expected, sizeof expected, "an order of a party of agreement %s, the newest of its lineage (epoch %lld)", kms_hex8(newest).text,
                   (long long)epoch);
    (void)snprintf(actual, sizeof actual, "a party of agreement %s alone", kms_hex8(o->order->agreement).text);
    return CLO_DENY(CLO_E_DENIED, "agreement.epoch", expected, actual, "owner's key service",
                    "a party of the newest amendment stops it, under the key that it names");
}

static clo_err order_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    agreement_order *o = context;
    const clo_collab_order *order = o->order;
    kms_agreement_row st, last;
    order_past past = {.count = 0};
    uint8_t newest[32];
    int64_t epoch = 0;
    CLO_TRY(kms_agreement_row_find(db, order->agreement, &st));
    CLO_CHECKF(st.found, CLO_E_NOT_FOUND, "agreement %s is not registered here; submit it first", kms_hex8(order->agreement).text);
    CLO_TRY(past_of(db, o, &past));
    CLO_TRY(require_sequence(order, &past));
    CLO_TRY(kms_agreement_newest(db, st.lineage, &epoch, newest));
    bool halts = strcmp(order->verb, "resume") != 0, amended = memcmp(newest, order->agreement, sizeof newest) != 0;
    bool repeated = strcmp(order->verb, "stop") == 0 && st.state == CLO_AGREEMENT_SUSPENDED && past.idle;
    if (halts && amended) {
        CLO_TRY(require_say(db, o, newest, epoch));
        CLO_TRY(kms_agreement_row_find(db, newest, &last));
        repeated = repeated && last.state == CLO_AGREEMENT_SUSPENDED;
        CLO_TRY(order_step(db, o, now, &last));
        CLO_TRY(row_keep(db, newest, &last));
    }
    CLO_TRY(order_keep(db, o, &past, repeated, now));
    CLO_TRY(order_step(db, o, now, &st));
    CLO_TRY(row_keep(db, order->agreement, &st));
    CLO_TRY(view_of(db, o->ref->g, now, &o->out));
    o->out.late = strcmp(order->verb, "resume") == 0 && order->time < o->out.resume_from;
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
