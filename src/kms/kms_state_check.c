/* Do orders, amendments, keys and releases agree with the ledger? All changes are hashed and sorted, the ledger's state entries looked up among them,
 * and the orders replayed in the order in which the ledger has them. Whoever edits a state on disk would have to edit the ledger, which the
 * witnesses know. */
#include "kms/kms_state_check.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_ARENA = 48 << 20, SKEW_SECONDS = 2, CHANGES_MAX = 1 << 24 };

typedef enum { ORDER, AMENDMENT, KEY, RELEASE, LAYOUT } change_kind;
typedef struct {
    uint8_t digest[16]; /* the run id of its entry */
    uint8_t agreement[32];
    uint8_t kind, state; /* state: of a key */
    bool noted;          /* an entry tells of it */
    size_t index;        /* order, agreement, key; of a release: the entry of its first reservation */
} change;

typedef struct {
    char name[64];
    bool resumed;
} member;

typedef struct {
    uint8_t id[32], lineage[32];
    int64_t epoch, stopped, row_stopped;
    int row_state, state;
    bool here; /* registered, at this point of the replay */
    size_t member_count;
    member members[CLO_PARTIES_MAX];
} lineage_row;

typedef struct {
    uint32_t agreement, member;
    char verb[16];
    int64_t time, rowid;
} order_row;

typedef struct {
    uint8_t dataset[32];
    char id[CLO_KMS_ID];
    int row_state, state;
} key_row;

typedef struct {
    sqlite3 *db;
    clo_kms_ledger_report *report;
    change *changes;
    lineage_row *agreements;
    order_row *orders;
    key_row *keys;
    size_t change_count, agreement_count, order_count, key_count;
    int64_t layout_seq; /* where the ledger was brought forward; 0: it was not, INT64_MAX: it still is of an older layout */
} states;

static void states_end(states *c)
{
    free(c->changes);
    free(c->agreements);
    free(c->orders);
    free(c->keys);
}

static void statement_end(sqlite3_stmt **s) { (void)sqlite3_finalize(*s); }

static clo_err prepare(const states *c, const char *sql, sqlite3_stmt **out)
{
    CLO_CHECKF(sqlite3_prepare_v2(c->db, sql, -1, out, NULL) == SQLITE_OK, CLO_E_DATABASE, "the ledger cannot be read: %s", sqlite3_errmsg(c->db));
    return CLO_OK;
}

static clo_err step(const states *c, sqlite3_stmt *s, bool *row)
{
    int r = sqlite3_step(s);
    *row = r == SQLITE_ROW && c->report->valid; /* after the first objection nothing counts */
    CLO_CHECKF(r == SQLITE_ROW || r == SQLITE_DONE, CLO_E_DATABASE, "the ledger cannot be read: %s", sqlite3_errmsg(c->db));
    return CLO_OK;
}

__attribute__((format(printf, 3, 4))) static void object(states *c, int64_t seq, const char *fmt, ...)
{
    if (!c->report->valid) return;
    c->report->valid = false;
    c->report->bad_seq = seq;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(c->report->detail, sizeof c->report->detail, fmt, args);
    va_end(args);
}

static clo_span column(sqlite3_stmt *s, int i)
{
    const void *p = sqlite3_column_blob(s, i);
    return clo_span_of(p, p != NULL ? (size_t)sqlite3_column_bytes(s, i) : 0);
}

static bool fixed(sqlite3_stmt *s, int i, void *to, size_t n)
{
    clo_span v = column(s, i);
    if (v.n == n) memcpy(to, v.p, n);
    return v.n == n;
}

/* Room for one more in an array that doubles. */
static clo_err grow(void *array, size_t count, size_t size)
{
    void **to = array;
    if (count != 0 && (count & (count - 1)) != 0) return CLO_OK;
    CLO_CHECKF(count < CHANGES_MAX, CLO_E_TOO_MANY, "the ledger is too long to be checked");
    void *more = realloc(*to, (count == 0 ? 1 : 2 * count) * size);
    CLO_CHECK(more != NULL, CLO_E_NOMEM);
    *to = more;
    return CLO_OK;
}

static clo_err change_add(states *c, change_kind kind, uint8_t state, const uint8_t *agreement, clo_span what, size_t index)
{
    uint8_t digest[32];
    CLO_TRY(grow(&c->changes, c->change_count, sizeof *c->changes));
    CLO_TRY(clo_crypto_sha256(what, digest));
    change *one = &c->changes[c->change_count++];
    *one = (change){.kind = (uint8_t)kind, .state = state, .index = index};
    memcpy(one->digest, digest, sizeof one->digest);
    if (agreement != NULL) memcpy(one->agreement, agreement, sizeof one->agreement);
    return CLO_OK;
}

/* ---- what there is ---- */

static clo_err order_take(states *c, sqlite3_stmt *s, const clo_collab_agreement *g, size_t agreement)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_collab_order order;
    const char *party = (const char *)sqlite3_column_text(s, 1), *verb = (const char *)sqlite3_column_text(s, 3);
    clo_err e = clo_collab_order_open(&a, column(s, 5), g, &order);
    if (e.code == CLO_E_NOMEM) return e;
    /* A repeated stop raises the sequence of the one that is kept. */
    if (clo_failed(e) || party == NULL || verb == NULL || strcmp(party, order.party) != 0 || strcmp(verb, order.verb) != 0 ||
        sqlite3_column_int64(s, 4) != order.time || sqlite3_column_int64(s, 2) < order.sequence) {
        object(c, 0, "an order of %.60s is not the one that was signed", party != NULL ? party : "somebody");
        return CLO_OK;
    }
    CLO_TRY(grow(&c->orders, c->order_count, sizeof *c->orders));
    order_row *o = &c->orders[c->order_count];
    *o = (order_row){.agreement = (uint32_t)agreement, .time = order.time, .rowid = sqlite3_column_int64(s, 0)};
    memcpy(o->verb, order.verb, sizeof o->verb);
    while (o->member < g->member_count && strcmp(g->members[o->member].party.name, order.party) != 0) o->member++;
    return change_add(c, ORDER, 0, g->id, column(s, 5), c->order_count++);
}

static clo_err orders_take(states *c, const clo_collab_agreement *g, size_t agreement)
{
    CLO_AUTO(statement_end) sqlite3_stmt *s = NULL;
    CLO_TRY(prepare(c, "SELECT rowid, party, sequence, verb, time, bytes FROM orders WHERE agreement = ?1 ORDER BY rowid", &s));
    CLO_CHECK(sqlite3_bind_blob(s, 1, g->id, sizeof g->id, SQLITE_STATIC) == SQLITE_OK, CLO_E_DATABASE);
    for (bool row = true;;) {
        CLO_TRY(step(c, s, &row));
        if (!row) return CLO_OK;
        CLO_TRY(order_take(c, s, g, agreement));
    }
}

static clo_err agreement_take(states *c, sqlite3_stmt *s)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, FILE_ARENA);
    clo_collab_agreement *g = NULL;
    uint32_t signed_mask = 0;
    uint8_t id[32] = {0}, lineage[32];
    CLO_TRY(clo_collab_agreement_new(&a, &g));
    clo_err e = clo_collab_agreement_file_open(&a, column(s, 6), g, &signed_mask);
    if (!clo_failed(e)) e = clo_collab_agreement_require_signed(g, signed_mask);
    if (e.code == CLO_E_NOMEM) return e;
    bool good = fixed(s, 0, id, sizeof id) && fixed(s, 1, lineage, sizeof lineage) && !clo_failed(e) && memcmp(g->id, id, sizeof id) == 0 &&
                memcmp(g->lineage, lineage, sizeof lineage) == 0 && sqlite3_column_int64(s, 2) == g->epoch &&
                sqlite3_column_int64(s, 3) == g->not_after;
    if (!good) {
        char hex[9];
        clo_hex_encode(hex, clo_span_of(id, 4));
        object(c, 0, "agreement %s is not the one that its parties signed", hex);
        return CLO_OK;
    }
    CLO_TRY(grow(&c->agreements, c->agreement_count, sizeof *c->agreements));
    size_t index = c->agreement_count++;
    lineage_row *r = &c->agreements[index];
    *r = (lineage_row){.epoch = g->epoch, .row_stopped = sqlite3_column_int64(s, 5), .row_state = (int)sqlite3_column_int64(s, 4),
                       .state = CLO_AGREEMENT_ACTIVE, .member_count = g->member_count};
    memcpy(r->id, id, sizeof id);
    memcpy(r->lineage, lineage, sizeof lineage);
    for (size_t i = 0; i < g->member_count; i++) memcpy(r->members[i].name, g->members[i].party.name, sizeof r->members[i].name);
    if (g->epoch > 1) CLO_TRY(change_add(c, AMENDMENT, 0, id, column(s, 6), index));
    return orders_take(c, g, index);
}

static clo_err key_take(states *c, sqlite3_stmt *s)
{
    CLO_TRY(grow(&c->keys, c->key_count, sizeof *c->keys));
    key_row *k = &c->keys[c->key_count];
    const char *id = (const char *)sqlite3_column_text(s, 0);
    *k = (key_row){.row_state = (int)sqlite3_column_int64(s, 2), .state = CLO_KMS_KEY_ENABLED};
    if (id == NULL || strlen(id) >= sizeof k->id || !fixed(s, 1, k->dataset, sizeof k->dataset) || k->row_state < 0 ||
        k->row_state >= CLO_KMS_KEY_STATES) {
        object(c, 0, "a key's record is malformed");
        return CLO_OK;
    }
    (void)snprintf(k->id, sizeof k->id, "%s", id);
    for (int state = 0; state < CLO_KMS_KEY_STATES; state++) {
        char what[CLO_KMS_ID + 32];
        (void)snprintf(what, sizeof what, "%s%s", k->id, clo_kms_key_state_name((clo_kms_key_state)state));
        CLO_TRY(change_add(c, KEY, (uint8_t)state, NULL, clo_span_str(what), c->key_count));
    }
    c->key_count++;
    return CLO_OK;
}

static clo_err release_take(states *c, sqlite3_stmt *s)
{
    uint8_t what[16 + 32], agreement[32];
    if (!fixed(s, 0, what, 16) || !fixed(s, 1, what + 16, 32) || !fixed(s, 2, agreement, sizeof agreement)) {
        object(c, 0, "a release's record is malformed");
        return CLO_OK;
    }
    return change_add(c, RELEASE, 0, agreement, clo_span_of(what, sizeof what), (size_t)sqlite3_column_int64(s, 3));
}

static clo_err take_all(states *c, const char *sql, clo_err (*take)(states *c, sqlite3_stmt *s))
{
    CLO_AUTO(statement_end) sqlite3_stmt *s = NULL;
    CLO_TRY(prepare(c, sql, &s));
    for (bool row = true;;) {
        CLO_TRY(step(c, s, &row));
        if (!row) return CLO_OK;
        CLO_TRY(take(c, s));
    }
}

/* ---- the entries ---- */

static int change_compare(const void *a, const void *b)
{
    const change *x = a, *y = b;
    int d = memcmp(x->digest, y->digest, sizeof x->digest);
    return d != 0 ? d : memcmp(x->agreement, y->agreement, sizeof x->agreement);
}

/* The change that the entry in `s` (seq, dataset, run, agreement, time) tells of; NULL: none. */
static change *change_of(const states *c, sqlite3_stmt *s)
{
    static const uint8_t none[32];
    change wanted = {.kind = ORDER};
    uint8_t dataset[32];
    if (!fixed(s, 1, dataset, sizeof dataset) || !fixed(s, 2, wanted.digest, sizeof wanted.digest) ||
        !fixed(s, 3, wanted.agreement, sizeof wanted.agreement))
        return NULL;
    change *found = bsearch(&wanted, c->changes, c->change_count, sizeof wanted, change_compare);
    if (found == NULL) return NULL;
    const uint8_t *of = found->kind == KEY ? c->keys[found->index].dataset : none;
    return memcmp(of, dataset, sizeof dataset) == 0 ? found : NULL;
}

static void halt(states *c, lineage_row *g, const order_row *o, int64_t time)
{
    if (strcmp(o->verb, "terminate") == 0) {
        g->state = CLO_AGREEMENT_TERMINATED;
        return;
    }
    if (g->state != CLO_AGREEMENT_TERMINATED) g->state = CLO_AGREEMENT_SUSPENDED;
    if (o->time > g->stopped) g->stopped = o->time;
    if (time - SKEW_SECONDS > g->stopped) g->stopped = time - SKEW_SECONDS;
    for (size_t i = 0; i < c->agreement_count; i++)
        if (memcmp(c->agreements[i].lineage, g->lineage, sizeof g->lineage) == 0)
            for (size_t k = 0; k < c->agreements[i].member_count; k++) c->agreements[i].members[k].resumed = false;
}

static lineage_row *newest_of(states *c, lineage_row *g)
{
    lineage_row *newest = g;
    for (size_t i = 0; i < c->agreement_count; i++) {
        lineage_row *one = &c->agreements[i];
        if (one->here && one->epoch > newest->epoch && memcmp(one->lineage, g->lineage, sizeof g->lineage) == 0) newest = one;
    }
    return newest;
}

static void replay_order(states *c, const order_row *o, int64_t seq, int64_t time)
{
    lineage_row *g = &c->agreements[o->agreement], *newest = newest_of(c, g);
    if (strcmp(o->verb, "resume") != 0) {
        halt(c, g, o, time);
        if (newest != g && seq > c->layout_seq) halt(c, newest, o, time);
        return;
    }
    if (g->state != CLO_AGREEMENT_SUSPENDED || o->member >= g->member_count) return;
    g->members[o->member].resumed = o->time >= g->stopped;
    for (size_t i = 0; i < g->member_count; i++)
        if (!g->members[i].resumed) return;
    g->state = CLO_AGREEMENT_ACTIVE;
}

/* What bringing the layout forward did: the newest of a lineage takes over what an older one was ordered. */
static void replay_layout(states *c)
{
    for (size_t i = 0; i < c->agreement_count; i++) {
        lineage_row *g = &c->agreements[i], *newest = newest_of(c, g);
        if (newest == g || (g->state != CLO_AGREEMENT_SUSPENDED && g->state != CLO_AGREEMENT_TERMINATED)) continue;
        if (newest->state != CLO_AGREEMENT_TERMINATED) newest->state = g->state;
        if (g->stopped > newest->stopped) newest->stopped = g->stopped;
    }
}

static void replay(states *c, sqlite3_stmt *s)
{
    int64_t seq = sqlite3_column_int64(s, 0);
    const change *one = change_of(c, s);
    if (one == NULL) return;
    if (one->kind == ORDER) replay_order(c, &c->orders[one->index], seq, sqlite3_column_int64(s, 4));
    if (one->kind == AMENDMENT) c->agreements[one->index].here = true;
    if (one->kind == KEY) c->keys[one->index].state = one->state;
    if (one->kind == LAYOUT) replay_layout(c);
}

static void note(states *c, sqlite3_stmt *s)
{
    int64_t seq = sqlite3_column_int64(s, 0);
    change *one = change_of(c, s);
    if (one == NULL) {
        object(c, seq, "entry %" PRId64 " tells of an order, an amendment, a key's state or a release that is not here, or was altered", seq);
        return;
    }
    if (one->noted && one->kind != KEY) object(c, seq, "entry %" PRId64 " tells again of what an earlier one told", seq);
    one->noted = true;
    if (one->kind == LAYOUT) c->layout_seq = seq;
}

static clo_err over_entries(states *c, void (*each)(states *c, sqlite3_stmt *s))
{
    CLO_AUTO(statement_end) sqlite3_stmt *s = NULL;
    CLO_TRY(prepare(c, "SELECT seq, dataset, run, agreement, time FROM ledger WHERE kind = 5 ORDER BY seq", &s));
    for (bool row = true;;) {
        CLO_TRY(step(c, s, &row));
        if (!row) return CLO_OK;
        each(c, s);
    }
}

/* Orders and amendments without an entry are of a time before there were such entries, so they come before all that have one; releases without are of
 * an older layout. */
static void require_entries(states *c)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < c->change_count; i++) {
        const change *one = &c->changes[i];
        if (one->kind == ORDER && one->noted && c->orders[one->index].rowid < first) first = c->orders[one->index].rowid;
        if (one->kind == AMENDMENT) c->agreements[one->index].here = !one->noted; /* until its entry is replayed */
    }
    for (size_t i = 0; i < c->change_count; i++) {
        const change *one = &c->changes[i];
        if (one->noted || one->kind == KEY || one->kind == LAYOUT) continue;
        bool early = c->layout_seq != 0;
        if (one->kind == ORDER) early = early && c->orders[one->index].rowid < first;
        if (one->kind == RELEASE) early = one->index < (uint64_t)c->layout_seq;
        if (!early) object(c, 0, "%s has no entry in the ledger", one->kind == ORDER ? "an order" : one->kind == RELEASE ? "a release" : "an amendment");
    }
}

/* ---- the states ---- */

static int strictness(int state) { return state == CLO_AGREEMENT_ACTIVE ? 0 : state == CLO_AGREEMENT_TERMINATED ? 2 : 1; }

static void compare(states *c)
{
    for (size_t i = 0; i < c->agreement_count; i++) {
        const lineage_row *g = &c->agreements[i];
        char hex[9];
        clo_hex_encode(hex, clo_span_of(g->id, 4));
        if (strictness(g->row_state) < strictness(g->state) || (g->state == CLO_AGREEMENT_SUSPENDED && g->row_stopped < g->stopped))
            object(c, 0, "agreement %s is %s, but by its parties' orders it is %s", hex,
                   clo_collab_agreement_state_name((clo_collab_agreement_state)g->row_state),
                   clo_collab_agreement_state_name((clo_collab_agreement_state)g->state));
    }
    for (size_t i = 0; i < c->key_count; i++)
        if (c->keys[i].row_state < c->keys[i].state)
            object(c, 0, "key %s is %s, but the ledger has it %s", c->keys[i].id, clo_kms_key_state_name((clo_kms_key_state)c->keys[i].row_state),
                   clo_kms_key_state_name((clo_kms_key_state)c->keys[i].state));
}

static clo_err layout_of(states *c, sqlite3_stmt *s)
{
    enum { WITH_MARK = 3 };
    if (sqlite3_column_int64(s, 0) < WITH_MARK) c->layout_seq = INT64_MAX;
    return CLO_OK;
}

static clo_err check(states *c)
{
    CLO_TRY(take_all(c, "PRAGMA user_version", layout_of));
    CLO_TRY(take_all(c, "SELECT id, lineage, epoch, not_after, state, stopped, file FROM agreements", agreement_take));
    CLO_TRY(take_all(c, "SELECT id, dataset, state FROM deks", key_take));
    CLO_TRY(take_all(c, "SELECT release, runtime, agreement, (SELECT min(seq) FROM ledger e WHERE e.run = r.run AND e.kind = 1) FROM releases r", release_take));
    CLO_TRY(change_add(c, LAYOUT, 0, NULL, clo_span_str("cloister/v1 ledger layout 3"), 0));
    if (!c->report->valid) return CLO_OK;
    qsort(c->changes, c->change_count, sizeof *c->changes, change_compare);
    for (size_t i = 0; i < c->agreement_count; i++) c->agreements[i].here = true;
    CLO_TRY(over_entries(c, note));
    require_entries(c);
    CLO_TRY(over_entries(c, replay));
    compare(c);
    return CLO_OK;
}

clo_err kms_state_check(sqlite3 *db, clo_kms_ledger_report *report)
{
    states c = {.db = db, .report = report};
    clo_err e = check(&c);
    states_end(&c);
    return e;
}
