#include "store/store_int.h"

#include <string.h>

#define SHORT "row, id, agreement, run, starter, starter_kid, state, phase, text, done, total, created, changed, tee, log_index, code, owner, denial, length(commits) > 0"
#define LONG SHORT ", request, binding, evidence, statement, prepared, commits, receipt"
#define FINAL "('done', 'failed', 'cancelled')"

static clo_span run_key(const uint8_t *id) { return clo_span_of(id, 16); }

static void bind_state(clo_store_query *q, const clo_store_run *r)
{
    clo_store_bind_text(q, r->state);
    clo_store_bind_text(q, r->phase);
    clo_store_bind_text(q, r->text);
    clo_store_bind_int(q, (int64_t)r->done);
    clo_store_bind_int(q, (int64_t)r->total);
    clo_store_bind_int(q, r->changed);
    clo_store_bind_text(q, r->tee);
    clo_store_bind_int(q, r->log_index);
    clo_store_bind_text(q, r->code);
    clo_store_bind_text(q, r->owner);
    clo_store_bind_denial(q, r->have_denial, &r->denial);
    clo_store_bind_blob(q, r->binding);
    clo_store_bind_blob(q, r->evidence);
    clo_store_bind_blob(q, r->statement);
    clo_store_bind_blob(q, r->prepared);
    clo_store_bind_blob(q, r->commits);
    clo_store_bind_blob(q, r->receipt);
}

CLO_R clo_store_run_put(clo_store *s, const clo_store_run *r)
{
    clo_store_query q;
    int changed = 0;
    clo_store_query_begin(&q, s,
                          "INSERT INTO run(state, phase, text, done, total, changed, tee, log_index, code, owner, denial, binding, evidence, statement,"
                          " prepared, commits, receipt, id, agreement, run, starter, starter_kid, created, request)"
                          " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO NOTHING");
    bind_state(&q, r);
    clo_store_bind_blob(&q, run_key(r->id));
    clo_store_bind_blob(&q, clo_store_kid(r->agreement));
    clo_store_bind_text(&q, r->run);
    clo_store_bind_text(&q, r->starter);
    clo_store_bind_blob(&q, clo_store_kid(r->starter_kid));
    clo_store_bind_int(&q, r->created);
    clo_store_bind_blob(&q, r->request);
    CLO_TRY(clo_store_query_run(&q, &changed));
    if (changed == 1) return CLO_OK;
    clo_store_query_begin(&q, s, "SELECT 1 FROM run WHERE id = ? AND request = ?");
    clo_store_bind_blob(&q, run_key(r->id));
    clo_store_bind_blob(&q, r->request);
    bool same = clo_store_query_row(&q);
    CLO_TRY(clo_store_query_end(&q));
    if (same) return CLO_FAILF(CLO_E_EXISTS, "this run was requested before");
    return CLO_DENY(CLO_E_CONFLICT, "run.id", "a fresh run id", "one that another request used", "operator", "start the run again: a new id is made");
}

CLO_R clo_store_run_update(clo_store *s, const clo_store_run *r)
{
    clo_store_query q;
    clo_store_query_begin(&q, s,
                          "UPDATE run SET state=?, phase=?, text=?, done=?, total=?, changed=?, tee=?, log_index=?, code=?, owner=?, denial=?, binding=?,"
                          " evidence=?, statement=?, prepared=?, commits=?, receipt=? WHERE id=?");
    bind_state(&q, r);
    clo_store_bind_blob(&q, run_key(r->id));
    return clo_store_query_run(&q, NULL);
}

static int64_t read_short(clo_store_query *q, clo_store_run *out)
{
    int64_t row = clo_store_column_int(q);
    clo_store_column_fixed(q, out->id, sizeof out->id);
    clo_store_column_fixed(q, out->agreement, sizeof out->agreement);
    clo_store_column_str(q, out->run, sizeof out->run);
    clo_store_column_str(q, out->starter, sizeof out->starter);
    clo_store_column_fixed(q, out->starter_kid, sizeof out->starter_kid);
    clo_store_column_str(q, out->state, sizeof out->state);
    clo_store_column_str(q, out->phase, sizeof out->phase);
    clo_store_column_str(q, out->text, sizeof out->text);
    out->done = (uint64_t)clo_store_column_int(q);
    out->total = (uint64_t)clo_store_column_int(q);
    out->created = clo_store_column_int(q);
    out->changed = clo_store_column_int(q);
    clo_store_column_str(q, out->tee, sizeof out->tee);
    out->log_index = clo_store_column_int(q);
    clo_store_column_str(q, out->code, sizeof out->code);
    clo_store_column_str(q, out->owner, sizeof out->owner);
    clo_store_column_denial(q, &out->have_denial, &out->denial);
    out->released = clo_store_column_int(q) != 0;
    return row;
}

static int64_t read_long(clo_store_query *q, clo_arena *a, clo_store_run *out)
{
    int64_t row = read_short(q, out);
    clo_store_column_blob(q, a, &out->request);
    clo_store_column_blob(q, a, &out->binding);
    clo_store_column_blob(q, a, &out->evidence);
    clo_store_column_blob(q, a, &out->statement);
    clo_store_column_blob(q, a, &out->prepared);
    clo_store_column_blob(q, a, &out->commits);
    clo_store_column_blob(q, a, &out->receipt);
    return row;
}

CLO_R clo_store_run_get(clo_store *s, clo_arena *a, const uint8_t id[16], clo_store_run *out)
{
    clo_store_query q;
    uint8_t wanted[16];
    memcpy(wanted, id, sizeof wanted); /* id may be a member of *out */
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, "SELECT " LONG " FROM run WHERE id = ?");
    clo_store_bind_blob(&q, run_key(wanted));
    bool found = clo_store_query_row(&q);
    if (found) (void)read_long(&q, a, out);
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "the operator has no such run, or you are no member of its agreement");
    return CLO_OK;
}

CLO_R clo_store_run_list(clo_store *s, clo_arena *a, const uint8_t kid[32], const uint8_t *agreement, int64_t before, size_t max,
                         clo_store_run **out, size_t *count, int64_t *next)
{
    void *array = NULL;
    size_t n = 0;
    int64_t last = 0;
    CLO_TRY(clo_arena_array(a, max + 1, sizeof(clo_store_run), &array));
    clo_store_run *list = array;
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT " SHORT " FROM run WHERE agreement IN (SELECT agreement FROM member WHERE kid = ?1)"
                                 " AND (?2 = 0 OR row < ?2) AND (length(?3) = 0 OR agreement = ?3) ORDER BY row DESC");
    clo_store_bind_blob(&q, clo_store_kid(kid));
    clo_store_bind_int(&q, before);
    clo_store_bind_blob(&q, agreement != NULL ? clo_store_kid(agreement) : clo_span_of(NULL, 0));
    bool more = false;
    while (clo_store_query_page(&q, n, max, &more)) last = read_short(&q, &list[n++]);
    CLO_TRY(clo_store_query_end(&q));
    *out = list;
    *count = n;
    *next = more ? last : 0;
    return CLO_OK;
}

CLO_R clo_store_run_take(clo_store *s, clo_arena *a, clo_store_run *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, "UPDATE run SET state = 'starting' WHERE row = (SELECT row FROM run WHERE state = 'queued' ORDER BY row LIMIT 1)"
                                 " RETURNING " LONG);
    bool found = clo_store_query_row(&q);
    if (found) (void)read_long(&q, a, out);
    if (found) (void)clo_store_query_row(&q); /* to its end, so that it commits */
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECK(found, CLO_E_NOT_FOUND);
    return CLO_OK;
}

CLO_R clo_store_run_cancel_queued(clo_store *s, const uint8_t id[16], int64_t now, bool *cancelled)
{
    clo_store_query q;
    int changed = 0;
    clo_store_query_begin(&q, s, "UPDATE run SET state = 'cancelled', code = 'cancelled', changed = ? WHERE id = ? AND state = 'queued'");
    clo_store_bind_int(&q, now);
    clo_store_bind_blob(&q, run_key(id));
    CLO_TRY(clo_store_query_run(&q, &changed));
    *cancelled = changed == 1;
    return CLO_OK;
}

CLO_R clo_store_run_unsettled(clo_store *s, clo_arena *a, int64_t *row, clo_store_run *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, "SELECT " LONG " FROM run WHERE state NOT IN " FINAL " AND state <> 'queued' AND row > ? ORDER BY row LIMIT 1");
    clo_store_bind_int(&q, *row);
    bool found = clo_store_query_row(&q);
    int64_t at = found ? read_long(&q, a, out) : 0;
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECK(found, CLO_E_NOT_FOUND);
    *row = at;
    return CLO_OK;
}

CLO_R clo_store_run_active(clo_store *s, uint64_t *queued, uint64_t *active)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state <> 'queued') FROM run"
                                 " WHERE state NOT IN " FINAL);
    if (clo_store_query_row(&q)) {
        *queued = (uint64_t)clo_store_column_int(&q);
        *active = (uint64_t)clo_store_column_int(&q);
    }
    return clo_store_query_end(&q);
}
