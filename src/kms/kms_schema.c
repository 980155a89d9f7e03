/* The layout of kms.db, its number, and the way to it from older ones. */
#include "kms/kms_int.h"
#include "os/log.h"

/* The number stands in PRAGMA user_version. Layout 1 has none: its table `meta` says schema = 1, and it may lack `dataset_rows`. Programs of
 * its time refuse a database whose `meta` says nothing of a schema. Layout 2 has no `balances.unit`, and its programs applied a stop to the agreement
 * that it names alone. */
enum { LAYOUT = 3, NUMBERED = 2 };
#define LAYOUT_IS_NEWEST "PRAGMA user_version=3;"

/* Which rows came under which dataset: keyed digests, so that the file tells nobody anything about them. */
#define DATASET_ROWS                                                                                                             \
    "CREATE TABLE IF NOT EXISTS dataset_rows(digest BLOB PRIMARY KEY, dataset BLOB NOT NULL, name TEXT NOT NULL) STRICT, WITHOUT ROWID;"

const char kms_schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, number INTEGER, bytes BLOB) STRICT;"
    "CREATE TABLE deks(id TEXT PRIMARY KEY, dataset BLOB NOT NULL, version BLOB NOT NULL, name TEXT NOT NULL, manifest BLOB NOT "
    "NULL,"
    " state INTEGER NOT NULL, kek_version INTEGER NOT NULL, wrapped BLOB, created INTEGER NOT NULL, changed INTEGER NOT NULL,"
    " UNIQUE(dataset, version)) STRICT;"
    "CREATE INDEX deks_kek ON deks(kek_version);"
    DATASET_ROWS
    "CREATE TABLE agreements(id BLOB PRIMARY KEY, lineage BLOB NOT NULL, epoch INTEGER NOT NULL, title TEXT NOT NULL,"
    " not_after INTEGER NOT NULL, state INTEGER NOT NULL, stopped INTEGER NOT NULL, file BLOB NOT NULL, registered INTEGER NOT "
    "NULL) STRICT;"
    "CREATE INDEX agreements_lineage ON agreements(lineage, epoch);"
    "CREATE TABLE members(kid BLOB NOT NULL, agreement BLOB NOT NULL, name TEXT NOT NULL, sign BLOB NOT NULL, hpke BLOB NOT NULL,"
    " PRIMARY KEY(kid, agreement)) STRICT;"
    "CREATE TABLE agreement_datasets(agreement BLOB NOT NULL, dataset BLOB NOT NULL, PRIMARY KEY(agreement, dataset)) STRICT;"
    "CREATE TABLE orders(agreement BLOB NOT NULL, party TEXT NOT NULL, sequence INTEGER NOT NULL, verb TEXT NOT NULL, time "
    "INTEGER NOT NULL,"
    " bytes BLOB NOT NULL, PRIMARY KEY(agreement, party, sequence)) STRICT;"
    "CREATE TABLE nonces(hash BLOB PRIMARY KEY, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX nonces_expires ON nonces(expires);"
    "CREATE TABLE ledger(seq INTEGER PRIMARY KEY, dataset BLOB NOT NULL, run BLOB NOT NULL, agreement BLOB NOT NULL, kind "
    "INTEGER NOT NULL,"
    " rho TEXT NOT NULL, time INTEGER NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX ledger_reserved ON ledger(run, dataset) WHERE kind = 1;"
    "CREATE UNIQUE INDEX ledger_ended ON ledger(run, dataset) WHERE kind IN (2, 3);"
    "CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TABLE balances(dataset BLOB PRIMARY KEY, name TEXT NOT NULL, \"limit\" TEXT NOT NULL, spent TEXT NOT NULL, reserved "
    "TEXT NOT NULL,"
    " delta REAL NOT NULL, runs INTEGER NOT NULL, unit INTEGER NOT NULL) STRICT;"
    "CREATE TABLE releases(run BLOB PRIMARY KEY, release BLOB NOT NULL, agreement BLOB NOT NULL, epoch INTEGER NOT NULL, "
    "run_name TEXT NOT NULL,"
    " starter TEXT NOT NULL, tee TEXT NOT NULL, request BLOB NOT NULL, runtime BLOB NOT NULL, hpke BLOB NOT NULL,"
    " leaf BLOB NOT NULL, evidence BLOB NOT NULL, evidence_last BLOB NOT NULL, state INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL) STRICT;"
    "CREATE INDEX releases_open ON releases(expires) WHERE state = 1;"
    "CREATE INDEX releases_run_name ON releases(agreement, run_name, state);"
    "CREATE TRIGGER releases_no_delete BEFORE DELETE ON releases BEGIN SELECT RAISE(ABORT, 'releases are never removed'); END;"
    "CREATE TABLE commits(run BLOB PRIMARY KEY, token_digest BLOB NOT NULL, token BLOB NOT NULL, reply BLOB NOT NULL,"
    " time INTEGER NOT NULL) STRICT;"
    "CREATE TRIGGER commits_no_update BEFORE UPDATE ON commits BEGIN SELECT RAISE(ABORT, 'commits are never changed'); END;"
    "CREATE TRIGGER commits_no_delete BEFORE DELETE ON commits BEGIN SELECT RAISE(ABORT, 'commits are never removed'); END;"
    "INSERT INTO meta(key, number) VALUES('time_max', 0);"
    "INSERT INTO meta(key, number, bytes) VALUES('ledger_head', 0, zeroblob(32));" LAYOUT_IS_NEWEST;

static clo_err number_of(kms_db *db, const char *sql, int64_t *out)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    bool row = false;
    CLO_TRY(kms_db_query(db, &s, sql, ""));
    CLO_TRY(kms_db_row(s, &row));
    *out = row ? kms_column_int(s, 0) : 0;
    return CLO_OK;
}

/* To layout 2, and from there. The newest agreement of a lineage takes over what an older one of it was ordered: states rise from suspended to
 * terminated. */
#define TO_NUMBERED DATASET_ROWS "DELETE FROM meta WHERE key = 'schema';"
#define OLDER "FROM agreements b WHERE b.lineage = a.lineage AND b.epoch < a.epoch AND b.state IN (3, 5)"
#define TO_NEWEST                                                                                                                \
    "ALTER TABLE balances ADD COLUMN unit INTEGER NOT NULL DEFAULT 0;"                                                           \
    "UPDATE agreements AS a SET stopped = max(stopped, (SELECT max(b.stopped) " OLDER ")), state = max(state, (SELECT max(b.state) " OLDER "))"  \
    " WHERE EXISTS (SELECT 1 " OLDER ") AND NOT EXISTS (SELECT 1 FROM agreements c WHERE c.lineage = a.lineage AND c.epoch > a.epoch);"
_Static_assert(CLO_AGREEMENT_SUSPENDED == 3 && CLO_AGREEMENT_TERMINATED == 5, "states in TO_NEWEST");

/* The entry tells those who check the ledger where the rules of this layout begin. */
static clo_err upgrade_script(kms_db *db, const char *script)
{
    static const char what[] = "cloister/v1 ledger layout 3";
    static const uint8_t nobody[32];
    int64_t now = 0;
    CLO_TRY(kms_db_script(db, "BEGIN IMMEDIATE"));
    CLO_TRY(kms_db_script(db, script));
    CLO_TRY(number_of(db, "SELECT number FROM meta WHERE key = 'time_max'", &now));
    CLO_TRY(kms_ledger_state(db, NULL, nobody, clo_span_of(what, sizeof what - 1), now));
    return kms_db_script(db, LAYOUT_IS_NEWEST "COMMIT");
}

clo_err kms_schema_upgrade(kms_db *db, const char *home)
{
    int64_t layout = 0, unnumbered = 0;
    CLO_TRY(number_of(db, "PRAGMA user_version", &layout));
    CLO_CHECKF(layout <= LAYOUT, CLO_E_VERSION,
               "%s/kms.db was made by a newer key service (layout %lld, this program knows none above %d); use that program", home, (long long)layout,
               LAYOUT);
    if (layout == LAYOUT) return CLO_OK;
    CLO_TRY(number_of(db, "SELECT number FROM meta WHERE key = 'schema'", &unnumbered));
    CLO_CHECKF(layout == NUMBERED || (layout == 0 && unnumbered == 1), CLO_E_VERSION, "%s/kms.db has a layout that this program does not know; restore the home from a backup",
               home);
    clo_err e = upgrade_script(db, layout == NUMBERED ? TO_NEWEST : TO_NUMBERED TO_NEWEST);
    if (clo_failed(e) && sqlite3_get_autocommit(db->db) == 0) (void)sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    CLO_TRY(e);
    clo_os_log(CLO_OS_LOG_INFO, "layout", NULL, "kms.db of an older key service was brought to layout %d", LAYOUT);
    return CLO_OK;
}
