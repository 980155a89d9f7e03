/* The budget ledger: append-only, hash-chained rows, and the balances that they add up to. */
#include "crypto/hash.h"
#include "dp/zcdp.h"
#include "kms/kms_int.h"
#include <stdio.h>

static uint8_t *put_u64(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)(v >> (56 - 8 * i));
    return at + 8;
}

static uint8_t *put_bytes(uint8_t *at, const void *from, size_t n)
{
    memcpy(at, from, n);
    return at + n;
}

clo_err kms_ledger_hash(const clo_kms_entry *e, uint8_t out[32])
{
    static const char label[] = "cloister/v1 ledger";
    uint8_t bytes[sizeof label + 32 + 8 + 32 + 16 + 32 + 1 + 8 + 8 + 8];
    uint8_t *at = put_bytes(bytes, label, sizeof label);
    at = put_bytes(at, e->previous, sizeof e->previous);
    at = put_u64(at, (uint64_t)e->seq);
    at = put_bytes(at, e->dataset, sizeof e->dataset);
    at = put_bytes(at, e->run_id, sizeof e->run_id);
    at = put_bytes(at, e->agreement, sizeof e->agreement);
    *at++ = (uint8_t)e->kind;
    at = put_u64(at, e->rho.num);
    at = put_u64(at, e->rho.den);
    at = put_u64(at, (uint64_t)e->time);
    return clo_crypto_sha256(clo_span_of(bytes, (size_t)(at - bytes)), out);
}

clo_err kms_balance_get(kms_db *db, const uint8_t dataset[32], kms_balance *out, bool *found)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT \"limit\", spent, reserved, delta, runs, unit FROM balances WHERE dataset = ?1", "b",
                         (const void *)dataset, (size_t)32));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    kms_balance b = {.limit = clo_dp_rational_zero(), .spent = clo_dp_rational_zero(), .reserved = clo_dp_rational_zero()};
    if (row) {
        CLO_TRY(kms_column_rho(s, 0, &b.limit));
        CLO_TRY(kms_column_rho(s, 1, &b.spent));
        CLO_TRY(kms_column_rho(s, 2, &b.reserved));
        b.delta = sqlite3_column_double(s, 3);
        b.run_count = kms_column_int(s, 4);
        b.unit = kms_column_int(s, 5);
    }
    *out = b;
    *found = row;
    return CLO_OK;
}

clo_err kms_balance_put(kms_db *db, const uint8_t dataset[32], const char *name, const kms_balance *b)
{
    char limit[CLO_DP_RATIONAL_TEXT], spent[CLO_DP_RATIONAL_TEXT], reserved[CLO_DP_RATIONAL_TEXT];
    clo_dp_rational_format(limit, b->limit);
    clo_dp_rational_format(spent, b->spent);
    clo_dp_rational_format(reserved, b->reserved);
    return kms_db_run(
        db,
        "INSERT INTO balances(dataset, name, \"limit\", spent, reserved, delta, runs, unit) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        " ON CONFLICT(dataset) DO UPDATE SET name = CASE WHEN excluded.name = '' THEN name ELSE excluded.name END,"
        " \"limit\" = excluded.\"limit\", spent = excluded.spent, reserved = excluded.reserved, delta = excluded.delta,"
        " runs = excluded.runs, unit = excluded.unit",
        "bttttdii", (const void *)dataset, (size_t)32, name, limit, spent, reserved, b->delta, b->run_count, b->unit);
}

clo_err kms_ledger_append(kms_db *db, clo_kms_entry *e)
{
    {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s, "SELECT number, bytes FROM meta WHERE key = 'ledger_head'", ""));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        CLO_CHECKF(row, CLO_E_DATABASE, "the key service's database has lost the head of its ledger; restore it from a backup");
        e->seq = kms_column_int(s, 0) + 1;
        CLO_TRY(kms_column_fixed(s, 1, e->previous, sizeof e->previous));
    }
    CLO_TRY(kms_ledger_hash(e, e->hash));
    char rho[CLO_DP_RATIONAL_TEXT];
    clo_dp_rational_format(rho, e->rho);
    CLO_TRY(kms_db_run(db,
                       "INSERT INTO ledger(seq, dataset, run, agreement, kind, rho, time, previous, hash)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                       "ibbbitibb", e->seq, (const void *)e->dataset, sizeof e->dataset, (const void *)e->run_id,
                       sizeof e->run_id, (const void *)e->agreement, sizeof e->agreement, (int64_t)e->kind, rho, e->time,
                       (const void *)e->previous, sizeof e->previous, (const void *)e->hash, sizeof e->hash));
    return kms_db_run(db, "UPDATE meta SET number = ?1, bytes = ?2 WHERE key = 'ledger_head'", "ib", e->seq,
                      (const void *)e->hash, sizeof e->hash);
}

clo_err kms_ledger_state(kms_db *db, const uint8_t *dataset, const uint8_t agreement[32], clo_span what, int64_t now)
{
    uint8_t digest[32];
    clo_kms_entry e = {.kind = CLO_KMS_ENTRY_STATE, .rho = clo_dp_rational_zero(), .time = now};
    CLO_TRY(clo_crypto_sha256(what, digest));
    memcpy(e.run_id, digest, sizeof e.run_id);
    memcpy(e.agreement, agreement, sizeof e.agreement);
    if (dataset != NULL) memcpy(e.dataset, dataset, sizeof e.dataset);
    return kms_ledger_append(db, &e);
}

clo_err kms_ledger_limit(kms_db *db, const uint8_t dataset[32], const char *name, double delta, const uint8_t agreement[32],
                         clo_dp_rational limit, bool raise, int64_t now)
{
    kms_balance b;
    bool found = false;
    CLO_TRY(kms_balance_get(db, dataset, &b, &found));
    if (delta > 0) b.delta = delta;
    if (found && !raise && clo_dp_rational_compare(limit, b.limit) >= 0) return kms_balance_put(db, dataset, name, &b);
    clo_kms_entry e = {.kind = CLO_KMS_ENTRY_LIMIT, .rho = limit, .time = now};
    memcpy(e.dataset, dataset, sizeof e.dataset);
    memcpy(e.agreement, agreement, sizeof e.agreement);
    CLO_TRY(kms_ledger_append(db, &e));
    b.limit = limit;
    return kms_balance_put(db, dataset, name, &b);
}

static clo_err deny_budget(const clo_collab_agreement *g, const clo_collab_dataset_terms *d, const kms_balance *b,
                           clo_dp_rational rho, bool by_agreement)
{
    char ask[CLO_DP_RATIONAL_TEXT], spent[CLO_DP_RATIONAL_TEXT], reserved[CLO_DP_RATIONAL_TEXT], limit[CLO_DP_RATIONAL_TEXT];
    clo_dp_rational_format(ask, rho);
    clo_dp_rational_format(spent, b->spent);
    clo_dp_rational_format(reserved, b->reserved);
    clo_dp_rational_format(limit, by_agreement ? d->rho : b->limit);
    char expected[200], actual[200], part[100];
    (void)snprintf(expected, sizeof expected, "spent + reserved + asked of dataset %s at most %s", d->name, limit);
    (void)snprintf(actual, sizeof actual, "%s + %s + %s", spent, reserved, ask);
    (void)snprintf(part, sizeof part, "datasets[%s].rho", d->name);
    kms_source source = kms_source_agreement(g->id, part);
    return CLO_DENY(CLO_E_BUDGET, "budget.rho", expected, actual,
                    by_agreement ? source.text : "lifetime limit at the owner's key service",
                    "ask for a cheaper run; only the owner can raise the lifetime budget of a dataset, by an amendment and at "
                    "its key service");
}

/* ---- amounts that stay exact ---- */

/* *unit becomes a multiple of itself and of den; false where there is none below 2^63. */
static bool unit_join(uint64_t *unit, uint64_t den)
{
    uint64_t a = *unit, b = den, joint = 0;
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    if (__builtin_mul_overflow(*unit / a, den, &joint) || joint > INT64_MAX) return false;
    *unit = joint;
    return true;
}

/* Of a dataset whose balance an older key service kept: of all that was ever reserved. */
static clo_err unit_of_history(kms_db *db, const uint8_t dataset[32], uint64_t *unit, bool *fits)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT DISTINCT rho FROM ledger WHERE dataset = ?1 AND kind = 1", "b", (const void *)dataset, (size_t)32));
    for (bool row = true; *fits;) {
        clo_dp_rational rho;
        CLO_TRY(kms_db_row(s, &row));
        if (!row) return CLO_OK;
        CLO_TRY(kms_column_rho(s, 0, &rho));
        *fits = unit_join(unit, rho.den);
    }
    return CLO_OK;
}

/* What is open may be committed or given back in any order: each sum on the way must be exact, or no reservation could be ended any more. They all
 * are multiples of 1/unit and at most `total`. */
static clo_err require_exact(kms_db *db, const clo_collab_dataset_terms *d, const kms_balance *b, clo_dp_rational rho, clo_dp_rational total,
                             int64_t *unit)
{
    uint64_t joint = b->spent.den, units = 0;
    bool fits = true;
    if (!clo_dp_rational_is_zero(b->reserved)) {
        if (b->unit > 0)
            joint = (uint64_t)b->unit;
        else
            CLO_TRY(unit_of_history(db, d->id, &joint, &fits));
    }
    fits = fits && unit_join(&joint, rho.den) && !__builtin_mul_overflow(joint, total.num / total.den + 1, &units) && units <= INT64_MAX;
    *unit = (int64_t)joint;
    if (fits) return CLO_OK;
    char ask[CLO_DP_RATIONAL_TEXT], spent[CLO_DP_RATIONAL_TEXT], reserved[CLO_DP_RATIONAL_TEXT], actual[200];
    clo_dp_rational_format(ask, rho);
    clo_dp_rational_format(spent, b->spent);
    clo_dp_rational_format(reserved, b->reserved);
    (void)snprintf(actual, sizeof actual, "%s asked, %s spent, %s reserved", ask, spent, reserved);
    return CLO_DENY(CLO_E_BUDGET, "budget.unit", "amounts with a common denominator below 2^63", actual, "owner's key service",
                    "let the prices of runs be multiples of a billionth, as 0.01 is; or wait until the open runs on this dataset are over");
}

clo_err kms_ledger_reserve(kms_db *db, const clo_collab_agreement *g, const clo_collab_dataset_terms *d, const uint8_t run_id[16],
                           clo_dp_rational rho, int64_t now)
{
    kms_balance b;
    bool found = false;
    CLO_TRY(kms_balance_get(db, d->id, &b, &found));
    CLO_CHECKF(found, CLO_E_BUG, "dataset %s has no balance although its agreement is registered", d->name);
    clo_dp_rational total = rho, reserved = rho;
    bool fits = !clo_failed(clo_dp_rational_add(b.reserved, rho, &reserved)) &&
                !clo_failed(clo_dp_rational_add(b.spent, reserved, &total));
    bool by_agreement = clo_dp_rational_compare(d->rho, b.limit) <= 0;
    if (!fits || clo_dp_rational_compare(total, by_agreement ? d->rho : b.limit) > 0)
        return deny_budget(g, d, &b, rho, by_agreement);
    CLO_TRY(require_exact(db, d, &b, rho, total, &b.unit));
    clo_kms_entry e = {.kind = CLO_KMS_ENTRY_RESERVE, .rho = rho, .time = now};
    memcpy(e.dataset, d->id, sizeof e.dataset);
    memcpy(e.run_id, run_id, sizeof e.run_id);
    memcpy(e.agreement, g->id, sizeof e.agreement);
    CLO_TRY(kms_ledger_append(db, &e));
    b.reserved = reserved;
    return kms_balance_put(db, d->id, d->name, &b);
}

/* A run's reservations, copied out before rows are added. */
typedef struct {
    size_t count;
    clo_kms_entry entries[CLO_DATASETS_MAX];
} reservations;

static clo_err reservations_of(kms_db *db, const uint8_t run_id[16], reservations *out)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT dataset, agreement, rho FROM ledger WHERE run = ?1 AND kind = 1 ORDER BY seq", "b",
                         (const void *)run_id, (size_t)16));
    out->count = 0;
    for (bool row = true;;) {
        CLO_TRY(kms_db_row(s, &row));
        if (!row) return CLO_OK;
        CLO_CHECK(out->count < CLO_DATASETS_MAX, CLO_E_DATABASE);
        clo_kms_entry *e = &out->entries[out->count++];
        *e = (clo_kms_entry){.seq = 0};
        CLO_TRY(kms_column_fixed(s, 0, e->dataset, sizeof e->dataset));
        CLO_TRY(kms_column_fixed(s, 1, e->agreement, sizeof e->agreement));
        CLO_TRY(kms_column_rho(s, 2, &e->rho));
        memcpy(e->run_id, run_id, sizeof e->run_id);
    }
}

clo_err kms_ledger_end(kms_db *db, const uint8_t run_id[16], clo_kms_entry_kind kind, int64_t now)
{
    reservations r;
    CLO_TRY(reservations_of(db, run_id, &r));
    for (size_t i = 0; i < r.count; i++) {
        clo_kms_entry *e = &r.entries[i];
        kms_balance b;
        bool found = false;
        CLO_TRY(kms_balance_get(db, e->dataset, &b, &found));
        CLO_CHECKF(found, CLO_E_DATABASE, "a reservation's dataset has no balance");
        e->kind = kind;
        e->time = now;
        CLO_TRY(kms_ledger_append(db, e));
        CLO_TRY(clo_dp_rational_sub(b.reserved, e->rho, &b.reserved));
        if (kind == CLO_KMS_ENTRY_COMMIT) {
            CLO_TRY(clo_dp_rational_add(b.spent, e->rho, &b.spent));
            b.run_count++;
        }
        CLO_TRY(kms_balance_put(db, e->dataset, "", &b));
    }
    return CLO_OK;
}

enum { SWEEP_MAX = 256 };
static clo_err sweep_due(kms_db *db, int64_t now, bool all, uint8_t runs[][16], size_t *count)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT run FROM releases WHERE state = 1 AND expires <= ?1 ORDER BY expires LIMIT 256", "i",
                         all ? INT64_MAX : now)); /* a range of the index: nothing is read where nothing is due */
    *count = 0;
    for (bool row = true; *count < SWEEP_MAX; ++*count) {
        CLO_TRY(kms_db_row(s, &row));
        if (!row) break;
        CLO_TRY(kms_column_fixed(s, 0, runs[*count], 16));
    }
    return CLO_OK;
}

clo_err kms_sweep_in(clo_kms *kms, kms_db *db, int64_t now, bool all, size_t *ended)
{
    (void)kms;
    uint8_t runs[SWEEP_MAX][16];
    size_t count = 0;
    CLO_TRY(sweep_due(db, now, all, runs, &count));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(kms_ledger_end(db, runs[i], CLO_KMS_ENTRY_EXPIRE, now));
        CLO_TRY(
            kms_db_run(db, "UPDATE releases SET state = 3 WHERE run = ?1 AND state = 1", "b", (const void *)runs[i], (size_t)16));
    }
    *ended = count;
    return CLO_OK;
}

static clo_err sweep_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    return kms_sweep_in(kms, db, now, false, context);
}

static clo_err sweep_peek(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    uint8_t runs[SWEEP_MAX][16];
    CLO_TRY(sweep_due(db, now, false, runs, context));
    return CLO_OK;
}

clo_err clo_kms_sweep(clo_kms *kms, size_t *ended)
{
    size_t total = 0, due = 0;
    if (ended != NULL) *ended = 0;
    int64_t now = 0;
    CLO_TRY(clo_kms_now(kms, &now));
    CLO_TRY(kms_read(kms, sweep_peek, &due));
    pthread_mutex_lock(&kms->time_lock);
    bool persist = now >= kms->time_persisted + CLO_KMS_NONCE_SECONDS;
    pthread_mutex_unlock(&kms->time_lock);
    /* An idle service writes its time once a minute, so that a restart cannot go further back than that. */
    while (due > 0 || persist) {
        persist = false;
        CLO_TRY(kms_write(kms, sweep_job, &due));
        total += due;
        if (due < SWEEP_MAX) break;
    }
    if (ended != NULL) *ended = total;
    return CLO_OK;
}

/* ---- views ---- */

typedef struct {
    clo_arena *arena;
    const uint8_t *viewer;
    int64_t after;
    size_t max, count;
    void *items;
} listing;

static clo_err budget_fill(sqlite3_stmt *s, clo_kms_budget *b)
{
    CLO_TRY(kms_column_fixed(s, 0, b->dataset, sizeof b->dataset));
    kms_column_text(s, 1, b->name, sizeof b->name);
    CLO_TRY(kms_column_rho(s, 2, &b->limit));
    CLO_TRY(kms_column_rho(s, 3, &b->spent));
    CLO_TRY(kms_column_rho(s, 4, &b->reserved));
    b->delta = sqlite3_column_double(s, 5);
    b->run_count = (uint64_t)kms_column_int(s, 6);
    clo_dp_rational used;
    CLO_TRY(clo_dp_rational_add(b->spent, b->reserved, &used));
    b->left = clo_dp_rational_zero();
    /* A rest that has no exact form cannot be reserved from: it is shown as nothing. */
    if (clo_dp_rational_compare(b->limit, used) > 0) (void)clo_dp_rational_sub(b->limit, used, &b->left).code;
    if (b->delta > 0) {
        CLO_TRY(clo_dp_zcdp_epsilon(b->limit, b->delta, &b->epsilon_limit));
        CLO_TRY(clo_dp_zcdp_epsilon(b->spent, b->delta, &b->epsilon_spent));
        CLO_TRY(clo_dp_zcdp_epsilon(b->left, b->delta, &b->epsilon_left));
    }
    return CLO_OK;
}

static clo_err budget_rows(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    listing *l = context;
    CLO_TRY(clo_arena_array(l->arena, l->max, sizeof(clo_kms_budget), &l->items));
    clo_kms_budget *items = l->items;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(
        kms_db_query(db, &s,
                     "SELECT dataset, name, \"limit\", spent, reserved, delta, runs FROM balances b WHERE ?2 IS NULL OR EXISTS"
                     " (SELECT 1 FROM members m JOIN agreement_datasets d ON d.agreement = m.agreement WHERE m.kid = ?2 AND "
                     "d.dataset = b.dataset)"
                     " ORDER BY name, dataset LIMIT ?1",
                     l->viewer != NULL ? "ib" : "in", (int64_t)l->max, (const void *)l->viewer, (size_t)32));
    for (bool row = true; l->count < l->max; l->count++) {
        CLO_TRY(kms_db_row(s, &row));
        if (!row) break;
        CLO_TRY(budget_fill(s, &items[l->count]));
    }
    return CLO_OK;
}

clo_err clo_kms_budget_list(clo_kms *kms, clo_arena *a, const uint8_t *viewer, clo_kms_budget **out, size_t *count)
{
    listing l = {.arena = a, .viewer = viewer, .max = 1000};
    CLO_TRY(kms_read(kms, budget_rows, &l));
    *out = l.items;
    *count = l.count;
    return CLO_OK;
}

typedef struct {
    const uint8_t *dataset;
    clo_dp_rational limit;
} budget_order;

static clo_err budget_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    const budget_order *o = context;
    static const uint8_t by_owner[32];
    kms_balance b;
    bool found = false;
    CLO_TRY(kms_balance_get(db, o->dataset, &b, &found));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "no agreement with dataset %s is registered here", kms_hex8(o->dataset).text);
    return kms_ledger_limit(db, o->dataset, "", 0, by_owner, o->limit, true, now);
}

clo_err clo_kms_budget_set(clo_kms *kms, const uint8_t dataset[32], clo_dp_rational limit)
{
    budget_order o = {dataset, limit};
    return kms_write(kms, budget_job, &o);
}

static clo_err ledger_rows(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    listing *l = context;
    CLO_TRY(clo_arena_array(l->arena, l->max, sizeof(clo_kms_entry), &l->items));
    clo_kms_entry *items = l->items;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(
        db, &s,
        "SELECT seq, dataset, run, agreement, kind, rho, time, previous, hash FROM ledger WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        "ii", l->after, (int64_t)l->max));
    for (bool row = true; l->count < l->max; l->count++) {
        CLO_TRY(kms_db_row(s, &row));
        if (!row) break;
        clo_kms_entry *e = &items[l->count];
        e->seq = kms_column_int(s, 0);
        CLO_TRY(kms_column_fixed(s, 1, e->dataset, sizeof e->dataset));
        CLO_TRY(kms_column_fixed(s, 2, e->run_id, sizeof e->run_id));
        CLO_TRY(kms_column_fixed(s, 3, e->agreement, sizeof e->agreement));
        e->kind = (clo_kms_entry_kind)kms_column_int(s, 4);
        CLO_TRY(kms_column_rho(s, 5, &e->rho));
        e->time = kms_column_int(s, 6);
        CLO_TRY(kms_column_fixed(s, 7, e->previous, sizeof e->previous));
        CLO_TRY(kms_column_fixed(s, 8, e->hash, sizeof e->hash));
    }
    return CLO_OK;
}

clo_err clo_kms_ledger_list(clo_kms *kms, clo_arena *a, int64_t after, size_t max, clo_kms_entry **out, size_t *count)
{
    CLO_CHECKF(max >= 1 && max <= 1000, CLO_E_RANGE, "limit must be 1..1000");
    listing l = {.arena = a, .after = after, .max = max};
    CLO_TRY(kms_read(kms, ledger_rows, &l));
    *out = l.items;
    *count = l.count;
    return CLO_OK;
}
