/* Inside of the store: the connection, the lock, and short helpers for statements. */
#ifndef CLO_STORE_INT_H
#define CLO_STORE_INT_H
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>

struct clo_store {
    sqlite3 *db;
    char blobs[512], wal_path[640];
    int wal_fd; /* shows whether the write-ahead log is still in its place; -1 */
    pthread_mutex_t lock; /* the connection is used by one thread at a time */
};

/* A statement under way: prepared, bound in order, stepped, finalised; it holds the store's lock from begin to end. */
typedef struct {
    clo_store *store;
    sqlite3_stmt *stmt;
    int bound, column;
    clo_err err;
} clo_store_query;

void clo_store_query_begin(clo_store_query *q, clo_store *s, const char *sql);
void clo_store_bind_text(clo_store_query *q, const char *v);
void clo_store_bind_blob(clo_store_query *q, clo_span v);
void clo_store_bind_int(clo_store_query *q, int64_t v);
/** The next row? The first error latches and ends the rows. */
bool clo_store_query_row(clo_store_query *q);
/** The next row of a page that has `have` of `max` rows; *more = there is one, but the page is full. */
bool clo_store_query_page(clo_store_query *q, size_t have, size_t max, bool *more);
/* Columns in order of the row; a value that does not fit latches DATABASE. */
int64_t clo_store_column_int(clo_store_query *q);
void clo_store_column_str(clo_store_query *q, char *to, size_t size);
void clo_store_column_fixed(clo_store_query *q, void *to, size_t n);
void clo_store_column_blob(clo_store_query *q, clo_arena *a, clo_span *out);
/** Finalise, release the lock, give the first error. */
CLO_R clo_store_query_end(clo_store_query *q);
/** Run a statement that has no rows. */
CLO_R clo_store_query_run(clo_store_query *q, int *changed);
void clo_store_bind_denial(clo_store_query *q, bool have, const clo_denial *d);
void clo_store_column_denial(clo_store_query *q, bool *have, clo_denial *d);
static inline clo_span clo_store_kid(const uint8_t *kid) { return clo_span_of(kid, 32); }

#endif
