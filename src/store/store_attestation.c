/* What the verifier keeps: signed policies and reference values, recorded evidence, the history of this platform. */
#include "base/clo_own.h"
#include "store/store_int.h"

#include <string.h>

enum { OBJECTS_MAX = 1000, PLATFORM_KEEP = 1000 };

static clo_err count_of(clo_store *s, const char *sql, const char *kind, const char *name, int64_t *out)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, sql);
    clo_store_bind_text(&q, kind);
    clo_store_bind_text(&q, name);
    *out = clo_store_query_row(&q) ? clo_store_column_int(&q) : 0;
    return clo_store_query_end(&q);
}

static clo_err check_room(clo_store *s, const clo_store_attest_object *o)
{
    int64_t n = 0;
    CLO_TRY(count_of(s, "SELECT count(*) FROM attest_object WHERE kind = ? AND (name = ? OR version = 1)", o->kind, o->name, &n));
    CLO_CHECKF(n < OBJECTS_MAX, CLO_E_TOO_MANY, "the operator keeps at most %d names and versions", OBJECTS_MAX);
    return CLO_OK;
}

CLO_R clo_store_attest_object_put(clo_store *s, const clo_store_attest_object *o)
{
    clo_store_query q;
    int changed = 0;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 8 << 20);
    clo_store_attest_object known;
    if (!clo_failed(clo_store_attest_object_get(s, &a, o->kind, o->name, o->version, &known)) && clo_span_equal(known.file, o->file)) return CLO_OK;
    CLO_TRY(check_room(s, o));
    clo_store_query_begin(&q, s,
                          "INSERT INTO attest_object(kind, name, version, owner_kid, created, log_index, file) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
                          " WHERE ?3 = 1 + (SELECT coalesce(max(version), 0) FROM attest_object WHERE kind = ?1 AND name = ?2)"
                          " AND NOT EXISTS (SELECT 1 FROM attest_object WHERE kind = ?1 AND name = ?2 AND owner_kid <> ?4)");
    clo_store_bind_text(&q, o->kind);
    clo_store_bind_text(&q, o->name);
    clo_store_bind_int(&q, o->version);
    clo_store_bind_blob(&q, clo_store_kid(o->owner_kid));
    clo_store_bind_int(&q, o->created);
    clo_store_bind_int(&q, o->log_index);
    clo_store_bind_blob(&q, o->file);
    CLO_TRY(clo_store_query_run(&q, &changed));
    if (changed == 1) return CLO_OK;
    bool taken = !clo_failed(clo_store_attest_object_get(s, &a, o->kind, o->name, 0, &known)) && memcmp(known.owner_kid, o->owner_kid, 32) != 0;
    if (taken) return CLO_FAILF(CLO_E_CONFLICT, "another party keeps %s; take a name of your own", o->name);
    return CLO_FAILF(CLO_E_CONFLICT, "version %lld of %s is not the next one; look up the newest and add one", (long long)o->version, o->name);
}

static void read_object(clo_store_query *q, clo_store_attest_object *out)
{
    clo_store_column_str(q, out->kind, sizeof out->kind);
    clo_store_column_str(q, out->name, sizeof out->name);
    out->version = clo_store_column_int(q);
    clo_store_column_fixed(q, out->owner_kid, sizeof out->owner_kid);
    out->created = clo_store_column_int(q);
    out->log_index = clo_store_column_int(q);
}

CLO_R clo_store_attest_object_get(clo_store *s, clo_arena *a, const char *kind, const char *name, int64_t version, clo_store_attest_object *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s,
                          "SELECT kind, name, version, owner_kid, created, log_index, file FROM attest_object WHERE kind = ?1 AND name = ?2"
                          " AND (?3 = 0 OR version = ?3) ORDER BY version DESC LIMIT 1");
    clo_store_bind_text(&q, kind);
    clo_store_bind_text(&q, name);
    clo_store_bind_int(&q, version);
    bool found = clo_store_query_row(&q);
    if (found) {
        read_object(&q, out);
        clo_store_column_blob(&q, a, &out->file);
    }
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "the operator has no %s of this name and version", strcmp(kind, "policy") == 0 ? "policy" : "reference values");
    return CLO_OK;
}

CLO_R clo_store_attest_object_list(clo_store *s, clo_arena *a, const char *kind, int64_t before, size_t max, clo_store_attest_object **out,
                                   size_t *count, int64_t *next)
{
    void *array = NULL;
    size_t n = 0;
    int64_t last = 0;
    bool more = false;
    clo_store_query q;
    CLO_TRY(clo_arena_array(a, max + 1, sizeof(clo_store_attest_object), &array));
    clo_store_attest_object *list = array;
    clo_store_query_begin(&q, s,
                          "SELECT kind, name, version, owner_kid, created, log_index, row FROM attest_object AS o WHERE kind = ?1 AND (?2 = 0 OR row < ?2)"
                          " AND version = (SELECT max(version) FROM attest_object WHERE kind = o.kind AND name = o.name) ORDER BY row DESC");
    clo_store_bind_text(&q, kind);
    clo_store_bind_int(&q, before);
    while (clo_store_query_page(&q, n, max, &more)) {
        memset(&list[n], 0, sizeof list[n]);
        read_object(&q, &list[n++]);
        last = clo_store_column_int(&q);
    }
    CLO_TRY(clo_store_query_end(&q));
    *out = list;
    *count = n;
    *next = more ? last : 0;
    return CLO_OK;
}

CLO_R clo_store_evidence_put(clo_store *s, const clo_store_evidence *e, int64_t keep)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "INSERT INTO evidence(id, kid, time, type, verdict, file) VALUES(?,?,?,?,?,?)");
    clo_store_bind_blob(&q, clo_span_of(e->id, sizeof e->id));
    clo_store_bind_blob(&q, clo_store_kid(e->kid));
    clo_store_bind_int(&q, e->time);
    clo_store_bind_text(&q, e->type);
    clo_store_bind_text(&q, e->verdict);
    clo_store_bind_blob(&q, e->file);
    CLO_TRY(clo_store_query_run(&q, NULL));
    clo_store_query_begin(&q, s, "DELETE FROM evidence WHERE row <= (SELECT max(row) FROM evidence) - ?");
    clo_store_bind_int(&q, keep);
    return clo_store_query_run(&q, NULL);
}

static void read_evidence(clo_store_query *q, clo_store_evidence *out)
{
    clo_store_column_fixed(q, out->id, sizeof out->id);
    clo_store_column_fixed(q, out->kid, sizeof out->kid);
    out->time = clo_store_column_int(q);
    clo_store_column_str(q, out->type, sizeof out->type);
    clo_store_column_str(q, out->verdict, sizeof out->verdict);
}

CLO_R clo_store_evidence_get(clo_store *s, clo_arena *a, const uint8_t id[16], const uint8_t kid[32], clo_store_evidence *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, "SELECT id, kid, time, type, verdict, file FROM evidence WHERE id = ? AND kid = ?");
    clo_store_bind_blob(&q, clo_span_of(id, 16));
    clo_store_bind_blob(&q, clo_store_kid(kid));
    bool found = clo_store_query_row(&q);
    if (found) {
        read_evidence(&q, out);
        clo_store_column_blob(&q, a, &out->file);
    }
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "no evidence of yours is recorded under that id (any more)");
    return CLO_OK;
}

CLO_R clo_store_evidence_list(clo_store *s, clo_arena *a, const uint8_t kid[32], int64_t before, size_t max, clo_store_evidence **out, size_t *count,
                              int64_t *next)
{
    void *array = NULL;
    size_t n = 0;
    int64_t last = 0;
    bool more = false;
    clo_store_query q;
    CLO_TRY(clo_arena_array(a, max + 1, sizeof(clo_store_evidence), &array));
    clo_store_evidence *list = array;
    clo_store_query_begin(&q, s, "SELECT id, kid, time, type, verdict, row FROM evidence WHERE kid = ?1 AND (?2 = 0 OR row < ?2) ORDER BY row DESC");
    clo_store_bind_blob(&q, clo_store_kid(kid));
    clo_store_bind_int(&q, before);
    while (clo_store_query_page(&q, n, max, &more)) {
        memset(&list[n], 0, sizeof list[n]);
        read_evidence(&q, &list[n++]);
        last = clo_store_column_int(&q);
    }
    CLO_TRY(clo_store_query_end(&q));
    *out = list;
    *count = n;
    *next = more ? last : 0;
    return CLO_OK;
}

CLO_R clo_store_platform_put(clo_store *s, const clo_store_platform *p)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "INSERT INTO platform(time, tee, verdict, reason, detail, valid_until) VALUES(?,?,?,?,?,?)");
    clo_store_bind_int(&q, p->time);
    clo_store_bind_text(&q, p->tee);
    clo_store_bind_text(&q, p->verdict);
    clo_store_bind_text(&q, p->reason);
    clo_store_bind_text(&q, p->detail);
    clo_store_bind_int(&q, p->valid_until);
    CLO_TRY(clo_store_query_run(&q, NULL));
    clo_store_query_begin(&q, s, "DELETE FROM platform WHERE row <= (SELECT max(row) FROM platform) - ?");
    clo_store_bind_int(&q, PLATFORM_KEEP);
    return clo_store_query_run(&q, NULL);
}

CLO_R clo_store_platform_list(clo_store *s, clo_arena *a, int64_t before, size_t max, clo_store_platform **out, size_t *count, int64_t *next)
{
    void *array = NULL;
    size_t n = 0;
    int64_t last = 0;
    bool more = false;
    clo_store_query q;
    CLO_TRY(clo_arena_array(a, max + 1, sizeof(clo_store_platform), &array));
    clo_store_platform *list = array;
    clo_store_query_begin(&q, s, "SELECT time, tee, verdict, reason, detail, valid_until, row FROM platform WHERE ?1 = 0 OR row < ?1 ORDER BY row DESC");
    clo_store_bind_int(&q, before);
    while (clo_store_query_page(&q, n, max, &more)) {
        clo_store_platform *p = &list[n++];
        memset(p, 0, sizeof *p);
        p->time = clo_store_column_int(&q);
        clo_store_column_str(&q, p->tee, sizeof p->tee);
        clo_store_column_str(&q, p->verdict, sizeof p->verdict);
        clo_store_column_str(&q, p->reason, sizeof p->reason);
        clo_store_column_str(&q, p->detail, sizeof p->detail);
        p->valid_until = clo_store_column_int(&q);
        last = clo_store_column_int(&q);
    }
    CLO_TRY(clo_store_query_end(&q));
    *out = list;
    *count = n;
    *next = more ? last : 0;
    return CLO_OK;
}
