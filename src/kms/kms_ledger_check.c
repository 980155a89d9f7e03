/* The independent check of a ledger. It shares no code with what writes the ledger: own connection, own reading, own hash, own
 * sums. */
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "kms/kms_state_check.h"
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    uint8_t dataset[32];
    bool have_limit;
    clo_dp_rational limit, spent, reserved;
    int64_t committed;
} account;

enum { ACCOUNTS_MAX = 100000 };
typedef struct {
    sqlite3 *db;
    clo_kms_ledger_report *report;
    account *accounts;
    size_t account_count, account_room;
    int64_t seq;
    uint8_t head[32];
} audit;

static void audit_end(audit *a)
{
    free(a->accounts);
    (void)sqlite3_close(a->db);
}

static void statement_end(sqlite3_stmt **s) { (void)sqlite3_finalize(*s); }

static clo_err prepare(audit *a, const char *sql, sqlite3_stmt **out)
{
    if (sqlite3_prepare_v2(a->db, sql, -1, out, NULL) != SQLITE_OK)
        return CLO_FAILF(CLO_E_DATABASE, "the ledger cannot be read: %s", sqlite3_errmsg(a->db));
    return CLO_OK;
}

static clo_err step(audit *a, sqlite3_stmt *s, bool *row)
{
    int r = sqlite3_step(s);
    *row = r == SQLITE_ROW;
    CLO_CHECKF(*row || r == SQLITE_DONE, CLO_E_DATABASE, "the ledger cannot be read: %s", sqlite3_errmsg(a->db));
    return CLO_OK;
}

__attribute__((format(printf, 3, 4))) static void object(audit *a, int64_t seq, const char *fmt, ...)
{
    if (!a->report->valid) return; /* the first objection stays */
    a->report->valid = false;
    a->report->bad_seq = seq;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(a->report->detail, sizeof a->report->detail, fmt, args);
    va_end(args);
}

static account *account_of(audit *a, const uint8_t dataset[32])
{
    for (size_t i = 0; i < a->account_count; i++)
        if (memcmp(a->accounts[i].dataset, dataset, 32) == 0) return &a->accounts[i];
    if (a->account_count == a->account_room) {
        size_t room = a->account_room == 0 ? 16 : a->account_room * 2;
        account *more = room <= ACCOUNTS_MAX ? realloc(a->accounts, room * sizeof *more) : NULL;
        if (more == NULL) return NULL;
        a->accounts = more;
        a->account_room = room;
    }
    account *fresh = &a->accounts[a->account_count++];
    *fresh = (account){.limit = clo_dp_rational_zero(), .spent = clo_dp_rational_zero(), .reserved = clo_dp_rational_zero()};
    memcpy(fresh->dataset, dataset, 32);
    return fresh;
}

static const uint8_t *blob(sqlite3_stmt *s, int column, int size)
{
    const void *p = sqlite3_column_blob(s, column);
    return p != NULL && sqlite3_column_bytes(s, column) == size ? p : NULL;
}

static clo_err put64(clo_crypto_hasher *h, uint64_t v)
{
    uint8_t b[8];
    for (int i = 7; i >= 0; i--, v >>= 8) b[i] = (uint8_t)v;
    return clo_crypto_hasher_put(h, clo_span_of(b, sizeof b));
}

/* "cloister/v1 ledger" ‖ 0 ‖ previous ‖ be64 seq ‖ dataset ‖ run ‖ agreement ‖ kind ‖ be64 num ‖ be64 den ‖ be64 time */
static clo_err row_hash(sqlite3_stmt *s, const uint8_t previous[32], clo_dp_rational rho, uint8_t out[32])
{
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    uint8_t kind = (uint8_t)sqlite3_column_int64(s, 4);
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of("cloister/v1 ledger", 19)));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(previous, 32)));
    CLO_TRY(put64(h, (uint64_t)sqlite3_column_int64(s, 0)));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(sqlite3_column_blob(s, 1), 32)));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(sqlite3_column_blob(s, 2), 16)));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(sqlite3_column_blob(s, 3), 32)));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(&kind, 1)));
    CLO_TRY(put64(h, rho.num));
    CLO_TRY(put64(h, rho.den));
    CLO_TRY(put64(h, (uint64_t)sqlite3_column_int64(s, 6)));
    return clo_crypto_hasher_end(h, out);
}

static void book_end(audit *a, account *acc, int64_t seq, clo_dp_rational rho, bool commit)
{
    if (clo_failed(clo_dp_rational_sub(acc->reserved, rho, &acc->reserved))) {
        object(a, seq, "entry %" PRId64 " ends more than was reserved", seq);
        return;
    }
    a->report->reserved_count--;
    if (!commit) return;
    acc->committed++;
    if (clo_failed(clo_dp_rational_add(acc->spent, rho, &acc->spent)))
        object(a, seq, "entry %" PRId64 ": the sum is too large", seq);
}

static void book_reserve(audit *a, account *acc, int64_t seq, clo_dp_rational rho)
{
    clo_dp_rational total;
    a->report->reserved_count++;
    if (clo_failed(clo_dp_rational_add(acc->reserved, rho, &acc->reserved)) ||
        clo_failed(clo_dp_rational_add(acc->spent, acc->reserved, &total)))
        object(a, seq, "entry %" PRId64 ": the sum is too large", seq);
    else if (!acc->have_limit || clo_dp_rational_compare(total, acc->limit) > 0)
        object(a, seq, "entry %" PRId64 " reserves more than the dataset's limit", seq);
}

static void book(audit *a, sqlite3_stmt *s, int64_t seq, clo_dp_rational rho)
{
    if (sqlite3_column_int64(s, 4) == 5) { /* a change beside budgets */
        if (!clo_dp_rational_is_zero(rho)) object(a, seq, "entry %" PRId64 " changes no budget but has an amount", seq);
        return;
    }
    account *acc = account_of(a, blob(s, 1, 32));
    if (acc == NULL) {
        object(a, seq, "too many datasets");
        return;
    }
    switch (sqlite3_column_int64(s, 4)) {
    case 1:
        book_reserve(a, acc, seq, rho);
        break;
    case 2:
        book_end(a, acc, seq, rho, true);
        break;
    case 3:
        book_end(a, acc, seq, rho, false);
        break;
    case 4:
        acc->limit = rho;
        acc->have_limit = true;
        break;
    default:
        object(a, seq, "entry %" PRId64 " is of an unknown kind", seq);
    }
}

static clo_err check_row(audit *a, sqlite3_stmt *s)
{
    int64_t seq = sqlite3_column_int64(s, 0);
    const char *text = (const char *)sqlite3_column_text(s, 5);
    const uint8_t *previous = blob(s, 7, 32), *hash = blob(s, 8, 32);
    clo_dp_rational rho;
    if (blob(s, 1, 32) == NULL || blob(s, 2, 16) == NULL || blob(s, 3, 32) == NULL || previous == NULL || hash == NULL ||
        text == NULL || clo_failed(clo_dp_rational_parse(clo_span_str(text), &rho))) {
        object(a, seq, "entry %" PRId64 " is malformed", seq);
        return CLO_OK;
    }
    uint8_t wanted[32];
    CLO_TRY(row_hash(s, a->head, rho, wanted));
    if (seq != a->seq + 1)
        object(a, seq, "entry %" PRId64 " follows entry %" PRId64, seq, a->seq);
    else if (memcmp(previous, a->head, 32) != 0)
        object(a, seq, "entry %" PRId64 " does not follow the hash of the one before", seq);
    else if (memcmp(hash, wanted, 32) != 0)
        object(a, seq, "entry %" PRId64 " was altered: its hash is wrong", seq);
    book(a, s, seq, rho);
    a->seq = seq;
    memcpy(a->head, hash, 32);
    a->report->entry_count++;
    return CLO_OK;
}

static clo_err check_chain(audit *a)
{
    CLO_AUTO(statement_end) sqlite3_stmt *s = NULL;
    CLO_TRY(prepare(a, "SELECT seq, dataset, run, agreement, kind, rho, time, previous, hash FROM ledger ORDER BY seq", &s));
    for (bool row = true;;) {
        CLO_TRY(step(a, s, &row));
        if (!row) return CLO_OK;
        CLO_TRY(check_row(a, s));
        if (!a->report->valid) return CLO_OK;
    }
}

static clo_err check_head(audit *a)
{
    CLO_AUTO(statement_end) sqlite3_stmt *s = NULL;
    CLO_TRY(prepare(a, "SELECT number, bytes FROM meta WHERE key = 'ledger_head'", &s));
    bool row = false;
    CLO_TRY(step(a, s, &row));
    const uint8_t *head = row ? blob(s, 1, 32) : NULL;
    if (head == NULL || sqlite3_column_int64(s, 0) != a->seq || memcmp(head, a->head, 32) != 0)
        object(a, 0,
               "the ledger ends at entry %" PRId64 ", but its recorded head is another one: entries are missing or were added",
               a->seq);
    return CLO_OK;
}

/* Each row that a query yields is an objection. */
static const struct {
    const char *sql, *sentence;
} rules[] = {
    {"SELECT seq FROM ledger WHERE kind = 1 GROUP BY run, dataset HAVING count(*) > 1", "a run reserved twice on one dataset"},
    {"SELECT seq FROM ledger WHERE kind IN (2, 3) GROUP BY run, dataset HAVING count(*) > 1", "a reservation was ended twice"},
    {"SELECT e.seq FROM ledger e WHERE e.kind IN (2, 3) AND NOT EXISTS (SELECT 1 FROM ledger r WHERE r.kind = 1 AND r.run = e.run"
     " AND r.dataset = e.dataset AND r.rho = e.rho AND r.seq < e.seq)",
     "an entry ends a reservation that was never made"},
    {"SELECT r.seq FROM ledger r WHERE r.kind = 1 AND NOT EXISTS (SELECT 1 FROM releases l WHERE l.run = r.run AND l.agreement = "
     "r.agreement)",
     "a reservation has no release"},
    {"SELECT 0 FROM releases l WHERE NOT EXISTS (SELECT 1 FROM ledger r WHERE r.kind = 1 AND r.run = l.run)",
     "a release has no reservation"},
    {"SELECT e.seq FROM releases l JOIN ledger e ON e.run = l.run AND e.kind IN (2, 3) WHERE l.state <> e.kind",
     "a release and its ledger entries tell different ends"},
    {"SELECT r.seq FROM releases l JOIN ledger r ON r.run = l.run AND r.kind = 1 WHERE l.state <> 1 AND NOT EXISTS"
     " (SELECT 1 FROM ledger e WHERE e.kind = l.state AND e.run = r.run AND e.dataset = r.dataset)",
     "a run is over but its reservation is not"},
    {"SELECT 0 FROM releases l WHERE (l.state = 2) <> EXISTS (SELECT 1 FROM commits c WHERE c.run = l.run)",
     "a committed run and its stored shares do not belong together"},
};

static clo_err check_rules(audit *a)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0] && a->report->valid; i++) {
        CLO_AUTO(statement_end) sqlite3_stmt *s = NULL;
        CLO_TRY(prepare(a, rules[i].sql, &s));
        bool row = false;
        CLO_TRY(step(a, s, &row));
        if (row) object(a, sqlite3_column_int64(s, 0), "%s", rules[i].sentence);
    }
    return CLO_OK;
}

static bool same_amount(sqlite3_stmt *s, int column, clo_dp_rational wanted)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    clo_dp_rational have;
    return text != NULL && !clo_failed(clo_dp_rational_parse(clo_span_str(text), &have)) &&
           clo_dp_rational_compare(have, wanted) == 0;
}

static clo_err check_balances(audit *a)
{
    CLO_AUTO(statement_end) sqlite3_stmt *s = NULL;
    CLO_TRY(prepare(a, "SELECT dataset, \"limit\", spent, reserved, runs, name FROM balances", &s));
    size_t seen = 0;
    for (bool row = true;; seen++) {
        CLO_TRY(step(a, s, &row));
        if (!row) break;
        const uint8_t *dataset = blob(s, 0, 32);
        account *acc = dataset != NULL ? account_of(a, dataset) : NULL;
        if (acc == NULL || !acc->have_limit || !same_amount(s, 1, acc->limit) || !same_amount(s, 2, acc->spent) ||
            !same_amount(s, 3, acc->reserved) || sqlite3_column_int64(s, 4) != acc->committed) {
            object(a, 0, "the balance of dataset %.63s is not the sum of its entries", (const char *)sqlite3_column_text(s, 5));
            return CLO_OK;
        }
    }
    if (seen != a->account_count) object(a, 0, "a dataset of the ledger has no balance");
    return CLO_OK;
}

static clo_err check_all(audit *a, const char *database)
{
    /* One read transaction: a running service may go on writing. */
    if (sqlite3_open_v2(database, &a->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return CLO_FAILF(CLO_E_DATABASE, "%s cannot be opened: %s", database,
                         a->db != NULL ? sqlite3_errmsg(a->db) : "no memory");
    (void)sqlite3_busy_timeout(a->db, 5000);
    if (sqlite3_exec(a->db, "PRAGMA trusted_schema=OFF; BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return CLO_FAILF(CLO_E_DATABASE, "%s cannot be read: %s", database, sqlite3_errmsg(a->db));
    CLO_TRY(check_chain(a));
    if (a->report->valid) CLO_TRY(check_head(a));
    if (a->report->valid) CLO_TRY(check_rules(a));
    if (a->report->valid) CLO_TRY(check_balances(a));
    return a->report->valid ? kms_state_check(a->db, a->report) : CLO_OK;
}

clo_err clo_kms_ledger_check(const char *database, clo_kms_ledger_report *out)
{
    clo_kms_ledger_report report = {.valid = true};
    audit a = {.report = &report};
    clo_err e = check_all(&a, database);
    memcpy(report.head, a.head, sizeof report.head);
    audit_end(&a);
    if (!clo_failed(e)) *out = report;
    return e;
}
