#include "store/store_int.h"

#include <string.h>

enum { REASONS_MAX = 20000, DAY = 86400 };

CLO_R clo_store_reason_put(clo_store *s, const clo_store_reason *r)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "INSERT OR REPLACE INTO reason(id, time, what, code, text, denial) VALUES(?,?,?,?,?,?)");
    clo_store_bind_text(&q, r->id);
    clo_store_bind_int(&q, r->time);
    clo_store_bind_text(&q, r->what);
    clo_store_bind_text(&q, r->code);
    clo_store_bind_text(&q, r->text);
    clo_store_bind_denial(&q, r->have_denial, &r->denial);
    CLO_TRY(clo_store_query_run(&q, NULL));
    clo_store_query_begin(&q, s, "DELETE FROM reason WHERE row <= (SELECT max(row) FROM reason) - ?");
    clo_store_bind_int(&q, REASONS_MAX);
    return clo_store_query_run(&q, NULL);
}

CLO_R clo_store_reason_get(clo_store *s, const char *id, clo_store_reason *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, "SELECT id, time, what, code, text, denial FROM reason WHERE id = ?");
    clo_store_bind_text(&q, id);
    bool found = clo_store_query_row(&q);
    if (found) {
        clo_store_column_str(&q, out->id, sizeof out->id);
        out->time = clo_store_column_int(&q);
        clo_store_column_str(&q, out->what, sizeof out->what);
        clo_store_column_str(&q, out->code, sizeof out->code);
        clo_store_column_str(&q, out->text, sizeof out->text);
        clo_store_column_denial(&q, &out->have_denial, &out->denial);
    }
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "nothing is known under that id; ids come with each refusal and each run");
    return CLO_OK;
}

CLO_R clo_store_idempotency_get(clo_store *s, clo_arena *a, const char *key, unsigned *status, clo_span *body)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT status, body FROM idempotency WHERE key = ?");
    clo_store_bind_text(&q, key);
    bool found = clo_store_query_row(&q);
    if (found) {
        *status = (unsigned)clo_store_column_int(&q);
        clo_store_column_blob(&q, a, body);
    }
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECK(found, CLO_E_NOT_FOUND);
    return CLO_OK;
}

CLO_R clo_store_idempotency_put(clo_store *s, const char *key, int64_t now, unsigned status, clo_span body)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "DELETE FROM idempotency WHERE time < ?");
    clo_store_bind_int(&q, now - DAY);
    CLO_TRY(clo_store_query_run(&q, NULL));
    clo_store_query_begin(&q, s, "INSERT OR IGNORE INTO idempotency(key, time, status, body) VALUES(?,?,?,?)");
    clo_store_bind_text(&q, key);
    clo_store_bind_int(&q, now);
    clo_store_bind_int(&q, status);
    clo_store_bind_blob(&q, body);
    return clo_store_query_run(&q, NULL);
}
