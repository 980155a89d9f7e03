#include "store/store.h"

#include "base/clo_text.h"
#include "os/file.h"
#include "store/store_int.h"

#include <stdio.h>
#include <stdlib.h>

/* In PRAGMA user_version. What older versions, or none, may lack: see `upgrade`. */
enum { SCHEMA_VERSION = 4 };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS party(name TEXT PRIMARY KEY, kid BLOB NOT NULL UNIQUE, file BLOB NOT NULL, created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS agreement(row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, lineage BLOB NOT NULL, epoch INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL, created INTEGER NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL, signed INTEGER NOT NULL,"
    " resumes INTEGER NOT NULL, log_index INTEGER NOT NULL, file BLOB NOT NULL, proof BLOB NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS member(kid BLOB NOT NULL, agreement BLOB NOT NULL, PRIMARY KEY(kid, agreement)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS member_agreement ON member(agreement);"
    "CREATE TABLE IF NOT EXISTS scope(dataset BLOB NOT NULL, agreement BLOB NOT NULL, PRIMARY KEY(dataset, agreement)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS orders(agreement BLOB NOT NULL, party TEXT NOT NULL, sequence INTEGER NOT NULL, verb TEXT NOT NULL,"
    " file BLOB NOT NULL, settled INTEGER NOT NULL DEFAULT 1, PRIMARY KEY(agreement, party, sequence)) STRICT;"
    "CREATE INDEX IF NOT EXISTS orders_open ON orders(settled) WHERE settled = 0;"
    "CREATE TABLE IF NOT EXISTS dataset(row INTEGER PRIMARY KEY, version BLOB NOT NULL UNIQUE, id BLOB NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL,"
    " owner_kid BLOB NOT NULL, created INTEGER NOT NULL, size INTEGER NOT NULL, received INTEGER NOT NULL, complete INTEGER NOT NULL,"
    " manifest BLOB NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS dataset_id ON dataset(id, complete);"
    "CREATE TABLE IF NOT EXISTS run(row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, agreement BLOB NOT NULL, run TEXT NOT NULL, starter TEXT NOT NULL,"
    " starter_kid BLOB NOT NULL, state TEXT NOT NULL, phase TEXT NOT NULL, text TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,"
    " created INTEGER NOT NULL, changed INTEGER NOT NULL, tee TEXT NOT NULL, log_index INTEGER NOT NULL, code TEXT NOT NULL, owner TEXT NOT NULL,"
    " denial BLOB NOT NULL, request BLOB NOT NULL, binding BLOB NOT NULL, evidence BLOB NOT NULL, statement BLOB NOT NULL, prepared BLOB NOT NULL, commits BLOB NOT NULL,"
    " receipt BLOB NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS run_state ON run(state, row);"
    "CREATE INDEX IF NOT EXISTS run_agreement ON run(agreement, row);"
    "CREATE TABLE IF NOT EXISTS reason(row INTEGER PRIMARY KEY, id TEXT NOT NULL, kid BLOB NOT NULL, time INTEGER NOT NULL, what TEXT NOT NULL, code TEXT NOT NULL,"
    " text TEXT NOT NULL, denial BLOB NOT NULL, UNIQUE(id, kid)) STRICT;"
    "CREATE TABLE IF NOT EXISTS attest_object(row INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, owner_kid BLOB NOT NULL,"
    " created INTEGER NOT NULL, log_index INTEGER NOT NULL, file BLOB NOT NULL, UNIQUE(kind, name, version)) STRICT;"
    "CREATE TABLE IF NOT EXISTS evidence(row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kid BLOB NOT NULL, time INTEGER NOT NULL, type TEXT NOT NULL,"
    " verdict TEXT NOT NULL, file BLOB NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS evidence_kid ON evidence(kid, row);"
    "CREATE TABLE IF NOT EXISTS platform(row INTEGER PRIMARY KEY, time INTEGER NOT NULL, tee TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,"
    " detail TEXT NOT NULL, valid_until INTEGER NOT NULL) STRICT;";

static clo_err run_sql(clo_store *s, const char *sql)
{
    CLO_CHECKF(sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK, CLO_E_DATABASE, "the operator's database failed: %s", sqlite3_errmsg(s->db));
    return CLO_OK;
}

static clo_err ask(clo_store *s, const char *sql, int64_t *answer)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, sql);
    *answer = clo_store_query_row(&q) ? clo_store_column_int(&q) : 0;
    return clo_store_query_end(&q);
}

/* Reasons of version 1 had no reader of their own: nobody could be told them again. */
static clo_err upgrade_in(clo_store *s)
{
    static const char lacks[] = "SELECT count(*) > 0 AND sum(name = 'prepared') = 0 FROM pragma_table_info('run')";
    static const char unowned[] = "SELECT count(*) > 0 AND sum(name = 'kid') = 0 FROM pragma_table_info('reason')";
    static const char unsettled[] = "SELECT count(*) > 0 AND sum(name = 'settled') = 0 FROM pragma_table_info('orders')";
    int64_t yes = 0;
    CLO_TRY(ask(s, lacks, &yes));
    if (yes != 0) CLO_TRY(run_sql(s, "ALTER TABLE run ADD COLUMN prepared BLOB NOT NULL DEFAULT x''"));
    CLO_TRY(ask(s, unowned, &yes));
    if (yes != 0) CLO_TRY(run_sql(s, "DROP TABLE reason; DROP TABLE IF EXISTS idempotency"));
    CLO_TRY(ask(s, unsettled, &yes)); /* before version 3 nothing said which orders were done: all count as done */
    if (yes != 0) CLO_TRY(run_sql(s, "ALTER TABLE orders ADD COLUMN settled INTEGER NOT NULL DEFAULT 1"));
    CLO_TRY(run_sql(s, schema));
    char set[64];
    (void)snprintf(set, sizeof set, "PRAGMA user_version=%d", SCHEMA_VERSION);
    return run_sql(s, set);
}

/* The tables of this version, in one transaction, made or brought forward from an older one. */
static clo_err upgrade(clo_store *s, const char *path)
{
    int64_t version = 0;
    CLO_TRY(ask(s, "PRAGMA user_version", &version));
    CLO_CHECKF(version <= SCHEMA_VERSION, CLO_E_VERSION, "%s was made by a newer program (version %lld, this one knows none above %d); use that program", path,
               (long long)version, SCHEMA_VERSION);
    if (version == SCHEMA_VERSION) return CLO_OK;
    CLO_TRY(run_sql(s, "BEGIN IMMEDIATE"));
    clo_err e = upgrade_in(s);
    if (!clo_failed(e)) e = run_sql(s, "COMMIT");
    if (clo_failed(e)) (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return e;
}

static clo_err prepare_database(clo_store *s, const char *path)
{
    CLO_CHECKF(sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL) == SQLITE_OK, CLO_E_DATABASE,
               "cannot open %s", path);
    (void)sqlite3_busy_timeout(s->db, 5000);
    CLO_TRY(run_sql(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"));
    CLO_TRY(upgrade(s, path));
    /* SQLite makes it at the first look and keeps it as long as the database is open. */
    CLO_CHECK(snprintf(s->wal_path, sizeof s->wal_path, "%s-wal", path) < (int)sizeof s->wal_path, CLO_E_TOO_LARGE);
    return clo_os_file_open(&s->wal_fd, s->wal_path, CLO_OS_OPEN_READ, 0);
}

CLO_R clo_store_open(clo_store **out, const char *home)
{
    clo_store *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->wal_fd = -1;
    char path[600];
    clo_err e = clo_os_path_join(s->blobs, sizeof s->blobs, home, "blobs");
    if (!clo_failed(e)) e = clo_os_dir_make(s->blobs);
    if (!clo_failed(e)) e = clo_os_path_join(path, sizeof path, home, "operator.db");
    if (!clo_failed(e)) e = prepare_database(s, path);
    if (clo_failed(e)) {
        clo_store_close(&s);
        return e;
    }
    *out = s;
    return CLO_OK;
}

void clo_store_close(clo_store **s)
{
    if (*s == NULL) return;
    (void)sqlite3_close((*s)->db);
    clo_os_fd_close(&(*s)->wal_fd);
    (void)pthread_mutex_destroy(&(*s)->lock);
    free(*s);
    *s = NULL;
}

CLO_R clo_store_ping(clo_store *s)
{
    clo_store_query q;
    int moved = 0;
    (void)pthread_mutex_lock(&s->lock);
    (void)sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    (void)pthread_mutex_unlock(&s->lock);
    CLO_CHECKF(moved == 0 && !clo_failed(clo_os_file_still(s->wal_fd, s->wal_path)), CLO_E_DATABASE, "the operator's database was removed or replaced");
    clo_store_query_begin(&q, s, "SELECT count(*) FROM sqlite_schema");
    return clo_store_query_run(&q, NULL);
}

CLO_R clo_store_blob_path(const clo_store *s, const char *kind, clo_span id, char to[640])
{
    char hex[65];
    CLO_CHECK(id.n <= 32, CLO_E_RANGE);
    clo_hex_encode(hex, id);
    CLO_CHECK(snprintf(to, 640, "%s/%s-%s", s->blobs, kind, hex) < 640, CLO_E_TOO_LARGE);
    return CLO_OK;
}

CLO_R clo_store_blob_sync(const clo_store *s) { return clo_os_dir_sync(s->blobs); }
