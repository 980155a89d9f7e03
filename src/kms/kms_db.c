/* SQLite: connections, statements, and the group commit of writers. */
#include "kms/kms_int.h"
#include "os/file.h"
#include "os/log.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A disk that refuses is no secret: whoever asks is told, and may ask again when its owner has looked. */
static clo_err disk_error(sqlite3 *db, int code)
{
    clo_os_log(CLO_OS_LOG_ERROR, "ledger-write", NULL, "%s (%d, system error %d)", sqlite3_errmsg(db), code, sqlite3_system_errno(db));
    return CLO_FAILF(CLO_E_AGAIN, "the key service cannot write its ledger: %s; its owner must look at the disk, then try again",
                     (code & 0xff) == SQLITE_FULL ? "the disk is full" : (code & 0xff) == SQLITE_READONLY ? "it is read-only" : "the disk fails");
}

static clo_err db_error(sqlite3 *db, const char *doing)
{
    int code = sqlite3_extended_errcode(db);
    if ((code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_READONLY) return disk_error(db, code);
    if ((code & 0xff) == SQLITE_BUSY) return CLO_FAILF(CLO_E_AGAIN, "the key service's database is busy (%s); try again", doing);
    return CLO_FAILF(CLO_E_DATABASE, "the key service's database failed (%s): %s (%d)", doing, sqlite3_errmsg(db), code);
}

/* Keep a descriptor of the write-ahead log, which SQLite makes at the first look and keeps as long as it has the database open. */
static clo_err wal_watch(kms_db *db, const char *path)
{
    CLO_TRY(kms_db_script(db, "SELECT count(*) FROM sqlite_schema"));
    (void)snprintf(db->wal_path, sizeof db->wal_path, "%s-wal", path);
    return clo_os_file_open(&db->wal_fd, db->wal_path, CLO_OS_OPEN_READ, 0);
}

/* SQLite goes on writing to files that somebody has removed; what it then promises would be forgotten at the next start. */
static clo_err files_still(kms_db *db)
{
    int moved = 0;
    (void)sqlite3_file_control(db->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved != 0 || clo_failed(clo_os_file_still(db->wal_fd, db->wal_path)))
        return CLO_FAILF(CLO_E_AGAIN, "the key service's ledger was removed or replaced while it served; its owner must restore its home and restart it");
    return CLO_OK;
}

/* 512 KiB of pages for each connection. With SQLite's 2 MiB the heap grows by 4 KiB for each run, a thousand runs long; what is asked for
 * again and again is far less. */
#define CACHE_PAGES "PRAGMA cache_size=-512;"

clo_err kms_db_open(kms_db *db, const char *path, bool durable)
{
    *db = (kms_db){.db = NULL, .wal_fd = -1};
    if (sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK) {
        clo_err e =
            CLO_FAILF(CLO_E_DATABASE, "%s cannot be opened: %s", path, db->db != NULL ? sqlite3_errmsg(db->db) : "no memory");
        kms_db_close(db);
        return e;
    }
    (void)sqlite3_busy_timeout(db->db, 5000);
    clo_err e = kms_db_script(
        db, durable ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                      "PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON;" CACHE_PAGES
                    : CACHE_PAGES "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF;");
    if (!clo_failed(e) && durable) e = wal_watch(db, path);
    if (clo_failed(e)) kms_db_close(db);
    return e;
}

void kms_db_close(kms_db *db)
{
    for (size_t i = 0; i < db->statement_count; i++) (void)sqlite3_finalize(db->statements[i].statement);
    (void)sqlite3_close(db->db);
    if (db->db != NULL) clo_os_fd_close(&db->wal_fd);
    *db = (kms_db){.db = NULL, .wal_fd = -1};
}

clo_err kms_db_script(kms_db *db, const char *sql)
{
    if (sqlite3_exec(db->db, sql, NULL, NULL, NULL) != SQLITE_OK) return db_error(db->db, "script");
    return CLO_OK;
}

static clo_err statement_of(kms_db *db, const char *sql, sqlite3_stmt **out)
{
    for (size_t i = 0; i < db->statement_count; i++)
        if (db->statements[i].sql == sql) {
            *out = db->statements[i].statement;
            return CLO_OK;
        }
    assert(db->statement_count < KMS_STATEMENTS_MAX);
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v3(db->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK) return db_error(db->db, "prepare");
    db->statements[db->statement_count].sql = sql;
    db->statements[db->statement_count].statement = s;
    db->statement_count++;
    *out = s;
    return CLO_OK;
}

static clo_err bind_all(sqlite3_stmt *s, const char *format, va_list *args)
{
    int ok = SQLITE_OK;
    for (int i = 0; format[i] != '\0' && ok == SQLITE_OK; i++) {
        switch (format[i]) {
        case 'i':
            ok = sqlite3_bind_int64(s, i + 1, va_arg(*args, int64_t));
            break;
        case 'd':
            ok = sqlite3_bind_double(s, i + 1, va_arg(*args, double));
            break;
        case 't':
            ok = sqlite3_bind_text(s, i + 1, va_arg(*args, const char *), -1, SQLITE_TRANSIENT);
            break;
        case 'n':
            ok = sqlite3_bind_null(s, i + 1);
            break;
        case 'b': {
            const void *p = va_arg(*args, const void *);
            size_t n = va_arg(*args, size_t);
            ok = sqlite3_bind_blob64(s, i + 1, p != NULL ? p : "", n, SQLITE_TRANSIENT);
            break;
        }
        default:
            assert(false);
        }
    }
    if (ok != SQLITE_OK) return db_error(sqlite3_db_handle(s), "bind");
    return CLO_OK;
}

clo_err kms_db_query(kms_db *db, sqlite3_stmt **out, const char *sql, const char *format, ...)
{
    sqlite3_stmt *s = NULL;
    CLO_TRY(statement_of(db, sql, &s));
    va_list args;
    va_start(args, format);
    clo_err e = bind_all(s, format, &args);
    va_end(args);
    if (clo_failed(e)) {
        (void)sqlite3_clear_bindings(s);
        return e;
    }
    *out = s;
    return CLO_OK;
}

clo_err kms_db_row(sqlite3_stmt *s, bool *row)
{
    int r = sqlite3_step(s);
    if (r != SQLITE_ROW && r != SQLITE_DONE) return db_error(sqlite3_db_handle(s), "step");
    *row = r == SQLITE_ROW;
    return CLO_OK;
}

void kms_db_end(sqlite3_stmt **s)
{
    if (*s == NULL) return;
    (void)sqlite3_reset(*s);
    (void)sqlite3_clear_bindings(*s);
    *s = NULL;
}

clo_err kms_db_run(kms_db *db, const char *sql, const char *format, ...)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(statement_of(db, sql, &s));
    va_list args;
    va_start(args, format);
    clo_err e = bind_all(s, format, &args);
    va_end(args);
    CLO_TRY(e);
    bool row = false;
    return kms_db_row(s, &row);
}

clo_err kms_column_fixed(sqlite3_stmt *s, int column, void *to, size_t n)
{
    const void *p = sqlite3_column_blob(s, column);
    size_t have = (size_t)sqlite3_column_bytes(s, column);
    CLO_CHECKF(p != NULL && have == n, CLO_E_DATABASE, "column %s of the key service's database has %zu bytes instead of %zu",
               sqlite3_column_name(s, column), have, n);
    memcpy(to, p, n);
    return CLO_OK;
}

clo_err kms_column_rho(sqlite3_stmt *s, int column, clo_dp_rational *out)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    CLO_CHECK(text != NULL, CLO_E_DATABASE);
    if (clo_failed(clo_dp_rational_parse(clo_span_str(text), out)))
        return CLO_FAILF(CLO_E_DATABASE, "an amount in the key service's database is no rational number");
    return CLO_OK;
}

void kms_column_text(sqlite3_stmt *s, int column, char *to, size_t to_size)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    (void)snprintf(to, to_size, "%s", text != NULL ? text : "");
}

clo_span kms_column_span(sqlite3_stmt *s, int column)
{
    const void *p = sqlite3_column_blob(s, column);
    return clo_span_of(p, p != NULL ? (size_t)sqlite3_column_bytes(s, column) : 0);
}

int64_t kms_column_int(sqlite3_stmt *s, int column) { return sqlite3_column_int64(s, column); }

/* ---- group commit ----
 * A caller queues its job; the first one without a leader becomes it and runs all that wait in one transaction, each under a
 * savepoint, so that one fsync serves them all and a refused job takes nothing of the others with it. */

struct kms_job {
    struct kms_job *next;
    kms_job_fn fn;
    void *context;
    bool done;
    clo_err e;
    bool have_denial;
    clo_denial denial;
    char text[512];
};
enum { KMS_GROUP_MAX = 256 };

static void job_note(struct kms_job *job, clo_err e)
{
    job->e = e;
    const clo_denial *d = clo_err_denial();
    job->have_denial = d != NULL;
    if (d != NULL) job->denial = *d;
    (void)snprintf(job->text, sizeof job->text, "%s", clo_err_text());
}

clo_err kms_fault_at(clo_kms *kms, const char *point)
{
    return kms->fault != NULL ? kms->fault(kms->fault_context, point) : CLO_OK;
}

static clo_err group_begin(clo_kms *kms, int64_t *now)
{
    CLO_TRY(clo_kms_now(kms, now));
    CLO_TRY(files_still(&kms->writer));
    CLO_TRY(kms_db_run(&kms->writer, "BEGIN IMMEDIATE", ""));
    return CLO_OK;
}

static clo_err group_job(clo_kms *kms, struct kms_job *job, int64_t now)
{
    CLO_TRY(kms_db_run(&kms->writer, "SAVEPOINT job", ""));
    clo_err e = job->fn(kms, &kms->writer, now, job->context);
    if (clo_failed(e)) {
        job_note(job, e);
        CLO_TRY(kms_db_run(&kms->writer, "ROLLBACK TO job", ""));
    }
    return kms_db_run(&kms->writer, "RELEASE job", "");
}

static clo_err group_end(clo_kms *kms, int64_t now)
{
    CLO_TRY(kms_db_run(&kms->writer, "UPDATE meta SET number = max(number, ?1) WHERE key = 'time_max'", "i", now));
    CLO_TRY(kms_fault_at(kms, "before-commit"));
    CLO_TRY(kms_db_run(&kms->writer, "COMMIT", ""));
    pthread_mutex_lock(&kms->time_lock);
    if (now > kms->time_persisted) kms->time_persisted = now;
    pthread_mutex_unlock(&kms->time_lock);
    return CLO_OK;
}

static void group_run(clo_kms *kms, struct kms_job *first)
{
    int64_t now = 0;
    clo_err e = group_begin(kms, &now);
    for (struct kms_job *job = first; job != NULL && !clo_failed(e); job = job->next) e = group_job(kms, job, now);
    if (!clo_failed(e)) e = group_end(kms, now);
    if (!clo_failed(e)) return;
    for (struct kms_job *job = first; job != NULL; job = job->next)
        if (!clo_failed(job->e)) job_note(job, e);
    if (sqlite3_get_autocommit(kms->writer.db) == 0) (void)sqlite3_exec(kms->writer.db, "ROLLBACK", NULL, NULL, NULL);
}

/* Takes up to KMS_GROUP_MAX jobs off the queue. */
static struct kms_job *queue_take(clo_kms *kms)
{
    struct kms_job *first = kms->queue_first, *last = first;
    for (int n = 1; n < KMS_GROUP_MAX && last->next != NULL; n++) last = last->next;
    kms->queue_first = last->next;
    if (kms->queue_first == NULL) kms->queue_last = NULL;
    last->next = NULL;
    return first;
}

clo_err kms_write(clo_kms *kms, kms_job_fn fn, void *context)
{
    struct kms_job *job = calloc(1, sizeof *job);
    CLO_CHECK(job != NULL, CLO_E_NOMEM);
    job->fn = fn;
    job->context = context;
    pthread_mutex_lock(&kms->commit_lock);
    if (kms->queue_last != NULL)
        kms->queue_last->next = job;
    else
        kms->queue_first = job;
    kms->queue_last = job;
    while (!job->done) {
        if (kms->leading) {
            pthread_cond_wait(&kms->commit_done, &kms->commit_lock);
            continue;
        }
        kms->leading = true;
        struct kms_job *group = queue_take(kms);
        pthread_mutex_unlock(&kms->commit_lock);
        group_run(kms, group);
        pthread_mutex_lock(&kms->commit_lock);
        while (group != NULL) {
            struct kms_job *next = group->next; /* a job that is done belongs to its caller again */
            group->done = true;
            group = next;
        }
        kms->leading = false;
        pthread_cond_broadcast(&kms->commit_done);
    }
    pthread_mutex_unlock(&kms->commit_lock);
    clo_err e = job->e;
    if (clo_failed(e)) e = job->have_denial ? clo_deny_again(e.code, &job->denial) : clo_err_again(e.code, job->text);
    free(job);
    CLO_TRY(e);
    return kms_fault_at(kms, "after-commit");
}

clo_err kms_read(clo_kms *kms, kms_job_fn fn, void *context)
{
    int64_t now = 0;
    CLO_TRY(clo_kms_now(kms, &now));
    pthread_mutex_lock(&kms->reader_lock);
    clo_err e = fn(kms, &kms->reader, now, context);
    pthread_mutex_unlock(&kms->reader_lock);
    return e;
}
