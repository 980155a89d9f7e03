#include "store/store_int.h"

#include <string.h>

#define COLUMNS "version, id, name, owner, owner_kid, created, size, received, complete, manifest"

CLO_R clo_store_dataset_put(clo_store *s, const clo_store_dataset *d)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "INSERT INTO dataset(" COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(version) DO NOTHING");
    clo_store_bind_blob(&q, clo_store_kid(d->version));
    clo_store_bind_blob(&q, clo_store_kid(d->id));
    clo_store_bind_text(&q, d->name);
    clo_store_bind_text(&q, d->owner);
    clo_store_bind_blob(&q, clo_store_kid(d->owner_kid));
    clo_store_bind_int(&q, d->created);
    clo_store_bind_int(&q, (int64_t)d->size);
    clo_store_bind_int(&q, (int64_t)d->received);
    clo_store_bind_int(&q, d->complete ? 1 : 0);
    clo_store_bind_blob(&q, d->manifest);
    CLO_TRY(clo_store_query_run(&q, NULL));
    clo_store_query_begin(&q, s, "SELECT 1 FROM dataset WHERE version = ? AND owner_kid = ? AND manifest = ?");
    clo_store_bind_blob(&q, clo_store_kid(d->version));
    clo_store_bind_blob(&q, clo_store_kid(d->owner_kid));
    clo_store_bind_blob(&q, d->manifest);
    bool same = clo_store_query_row(&q);
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(same, CLO_E_CONFLICT, "this version was announced before with another manifest; seal the rows again");
    return CLO_OK;
}

CLO_R clo_store_dataset_progress(clo_store *s, const uint8_t version[32], uint64_t received, bool complete)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "UPDATE dataset SET received = max(received, ?), complete = ? WHERE version = ? AND complete = 0");
    clo_store_bind_int(&q, (int64_t)received);
    clo_store_bind_int(&q, complete ? 1 : 0);
    clo_store_bind_blob(&q, clo_store_kid(version));
    return clo_store_query_run(&q, NULL);
}

CLO_R clo_store_dataset_reset(clo_store *s, const uint8_t version[32])
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "UPDATE dataset SET received = 0 WHERE version = ? AND complete = 0");
    clo_store_bind_blob(&q, clo_store_kid(version));
    return clo_store_query_run(&q, NULL);
}

static void read_dataset(clo_store_query *q, clo_arena *a, clo_store_dataset *out)
{
    clo_store_column_fixed(q, out->version, sizeof out->version);
    clo_store_column_fixed(q, out->id, sizeof out->id);
    clo_store_column_str(q, out->name, sizeof out->name);
    clo_store_column_str(q, out->owner, sizeof out->owner);
    clo_store_column_fixed(q, out->owner_kid, sizeof out->owner_kid);
    out->created = clo_store_column_int(q);
    out->size = (uint64_t)clo_store_column_int(q);
    out->received = (uint64_t)clo_store_column_int(q);
    out->complete = clo_store_column_int(q) != 0;
    clo_store_column_blob(q, a, &out->manifest);
}

static clo_err get_one(clo_store *s, clo_arena *a, const char *sql, const uint8_t *key, clo_store_dataset *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, sql);
    clo_store_bind_blob(&q, clo_store_kid(key));
    bool found = clo_store_query_row(&q);
    if (found) read_dataset(&q, a, out);
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "the operator has no such dataset; its owner pushes it with: cloister dataset push");
    return CLO_OK;
}

CLO_R clo_store_dataset_get(clo_store *s, clo_arena *a, const uint8_t version[32], clo_store_dataset *out)
{
    return get_one(s, a, "SELECT " COLUMNS " FROM dataset WHERE version = ?", version, out);
}

CLO_R clo_store_dataset_latest(clo_store *s, clo_arena *a, const uint8_t id[32], clo_store_dataset *out)
{
    return get_one(s, a, "SELECT " COLUMNS " FROM dataset WHERE id = ? AND complete = 1 ORDER BY row DESC LIMIT 1", id, out);
}

CLO_R clo_store_dataset_list(clo_store *s, clo_arena *a, const uint8_t owner_kid[32], int64_t before, size_t max, clo_store_dataset **out,
                             size_t *count, int64_t *next)
{
    void *array = NULL;
    size_t n = 0;
    int64_t last = 0;
    bool more = false;
    CLO_TRY(clo_arena_array(a, max + 1, sizeof(clo_store_dataset), &array));
    clo_store_dataset *list = array;
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT " COLUMNS ", row FROM dataset WHERE owner_kid = ?1 AND (?2 = 0 OR row < ?2) ORDER BY row DESC");
    clo_store_bind_blob(&q, clo_store_kid(owner_kid));
    clo_store_bind_int(&q, before);
    while (clo_store_query_page(&q, n, max, &more)) {
        read_dataset(&q, a, &list[n++]);
        last = clo_store_column_int(&q);
    }
    CLO_TRY(clo_store_query_end(&q));
    *out = list;
    *count = n;
    *next = more ? last : 0;
    return CLO_OK;
}
