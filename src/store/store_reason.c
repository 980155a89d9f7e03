#include "store/store_int.h"

#include <string.h>

enum { REASONS_MAX = 20000 };

CLO_R clo_store_reason_put(clo_store *s, const clo_store_reason *r)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "INSERT OR REPLACE INTO reason(id, kid, time, what, code, text, denial) VALUES(?,?,?,?,?,?,?)");
    clo_store_bind_text(&q, r->id);
    clo_store_bind_blob(&q, clo_store_kid(r->kid));
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

CLO_R clo_store_reason_get(clo_store *s, const char *id, const uint8_t kid[32], clo_store_reason *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, "SELECT id, kid, time, what, code, text, denial FROM reason WHERE id = ?1 AND kid IN (?2, zeroblob(32))"
                                 " ORDER BY kid = ?2 DESC LIMIT 1");
    clo_store_bind_text(&q, id);
    clo_store_bind_blob(&q, clo_store_kid(kid));
    bool found = clo_store_query_row(&q);
    if (found) {
        clo_store_column_str(&q, out->id, sizeof out->id);
        clo_store_column_fixed(&q, out->kid, sizeof out->kid);
        out->time = clo_store_column_int(&q);
        clo_store_column_str(&q, out->what, sizeof out->what);
        clo_store_column_str(&q, out->code, sizeof out->code);
        clo_store_column_str(&q, out->text, sizeof out->text);
        clo_store_column_denial(&q, &out->have_denial, &out->denial);
    }
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "nothing is known to you under that id; ids come with each refusal and each run");
    return CLO_OK;
}
