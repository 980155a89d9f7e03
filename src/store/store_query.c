#include "store/store_int.h"

#include "base/clo_text.h"

#include <stdio.h>
#include <string.h>

static clo_err database_error(const clo_store *s) { return CLO_FAILF(CLO_E_DATABASE, "the operator's database failed: %s", sqlite3_errmsg(s->db)); }

void clo_store_query_begin(clo_store_query *q, clo_store *s, const char *sql)
{
    *q = (clo_store_query){.store = s};
    (void)pthread_mutex_lock(&s->lock);
    if (sqlite3_prepare_v2(s->db, sql, -1, &q->stmt, NULL) != SQLITE_OK) q->err = database_error(s);
}

static void bound(clo_store_query *q, int rc)
{
    if (!clo_failed(q->err) && rc != SQLITE_OK) q->err = database_error(q->store);
}

void clo_store_bind_text(clo_store_query *q, const char *v)
{
    if (!clo_failed(q->err)) bound(q, sqlite3_bind_text(q->stmt, ++q->bound, v, -1, SQLITE_TRANSIENT));
}

void clo_store_bind_blob(clo_store_query *q, clo_span v)
{
    if (clo_failed(q->err)) return;
    q->bound++;
    bound(q, v.n == 0 ? sqlite3_bind_zeroblob(q->stmt, q->bound, 0) : sqlite3_bind_blob64(q->stmt, q->bound, v.p, v.n, SQLITE_TRANSIENT));
}

void clo_store_bind_int(clo_store_query *q, int64_t v)
{
    if (!clo_failed(q->err)) bound(q, sqlite3_bind_int64(q->stmt, ++q->bound, v));
}

bool clo_store_query_row(clo_store_query *q)
{
    if (clo_failed(q->err)) return false;
    int rc = sqlite3_step(q->stmt);
    q->column = 0;
    if (rc == SQLITE_ROW) return true;
    if (rc != SQLITE_DONE) q->err = database_error(q->store);
    return false;
}

bool clo_store_query_page(clo_store_query *q, size_t have, size_t max, bool *more)
{
    bool row = clo_store_query_row(q);
    *more = row && have == max;
    return row && have < max;
}

int64_t clo_store_column_int(clo_store_query *q) { return sqlite3_column_int64(q->stmt, q->column++); }

void clo_store_column_str(clo_store_query *q, char *to, size_t size)
{
    int at = q->column++;
    const void *text = sqlite3_column_text(q->stmt, at);
    clo_err e = clo_str_set(to, size, clo_span_of(text, (size_t)sqlite3_column_bytes(q->stmt, at)));
    if (clo_failed(e) && !clo_failed(q->err)) q->err = CLO_FAILF(CLO_E_DATABASE, "the operator's database holds a text that is too long");
}

void clo_store_column_fixed(clo_store_query *q, void *to, size_t n)
{
    int at = q->column++;
    const void *bytes = sqlite3_column_blob(q->stmt, at);
    if ((size_t)sqlite3_column_bytes(q->stmt, at) == n && bytes != NULL)
        memcpy(to, bytes, n);
    else if (!clo_failed(q->err))
        q->err = CLO_FAILF(CLO_E_DATABASE, "the operator's database holds an identifier of the wrong size");
}

void clo_store_column_blob(clo_store_query *q, clo_arena *a, clo_span *out)
{
    int at = q->column++;
    const void *bytes = sqlite3_column_blob(q->stmt, at);
    clo_err e = clo_arena_copy(a, clo_span_of(bytes, (size_t)sqlite3_column_bytes(q->stmt, at)), out);
    if (clo_failed(e) && !clo_failed(q->err)) q->err = e;
}

CLO_R clo_store_query_end(clo_store_query *q)
{
    (void)sqlite3_finalize(q->stmt);
    (void)pthread_mutex_unlock(&q->store->lock);
    return q->err;
}

CLO_R clo_store_query_run(clo_store_query *q, int *changed)
{
    while (clo_store_query_row(q)) {
    }
    if (changed != NULL) *changed = sqlite3_changes(q->store->db);
    return clo_store_query_end(q);
}

/* A denial is five texts behind one another, each with its end: one column, no separate table. */
void clo_store_bind_denial(clo_store_query *q, bool have, const clo_denial *d)
{
    char joined[sizeof *d];
    size_t n = 0;
    const char *parts[] = {d->claim, d->expected, d->actual, d->source, d->remedy};
    for (size_t i = 0; have && i < 5; i++) {
        size_t size = strlen(parts[i]) + 1;
        memcpy(joined + n, parts[i], size);
        n += size;
    }
    clo_store_bind_blob(q, clo_span_of(joined, n));
}

void clo_store_column_denial(clo_store_query *q, bool *have, clo_denial *d)
{
    int at = q->column++;
    const char *bytes = sqlite3_column_blob(q->stmt, at);
    size_t left = (size_t)sqlite3_column_bytes(q->stmt, at);
    *have = left > 0;
    memset(d, 0, sizeof *d);
    char *to[] = {d->claim, d->expected, d->actual, d->source, d->remedy};
    const size_t sizes[] = {sizeof d->claim, sizeof d->expected, sizeof d->actual, sizeof d->source, sizeof d->remedy};
    for (size_t i = 0; i < 5 && left > 0; i++) {
        size_t n = strnlen(bytes, left);
        if (n == left) return;
        (void)snprintf(to[i], sizes[i], "%s", bytes);
        bytes += n + 1;
        left -= n + 1;
    }
}
