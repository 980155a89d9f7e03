#include "store/store_int.h"

#include "base/clo_own.h"

#include <string.h>

enum { PARTY_KEPT_SECONDS = 86400 };

/* Why an insert changed nothing; success where the very same is there. *full = nothing stands against it but the number of parties. */
static clo_err explain_refusal(clo_store *s, const clo_store_party *p, bool *full)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT name = ?1, kid = ?2 FROM party WHERE name = ?1 OR kid = ?2 ORDER BY name = ?1 DESC LIMIT 1");
    clo_store_bind_text(&q, p->name);
    clo_store_bind_blob(&q, clo_store_kid(p->kid));
    bool found = clo_store_query_row(&q);
    bool name = found && clo_store_column_int(&q) != 0, key = found && clo_store_column_int(&q) != 0;
    CLO_TRY(clo_store_query_end(&q));
    *full = !found;
    if (!found || (name && key)) return CLO_OK;
    if (name)
        return CLO_DENY(CLO_E_CONFLICT, "party.name", "a name that no other key has", p->name, "operator",
                        "choose another name, or use the key that was registered under this one");
    return CLO_DENY(CLO_E_CONFLICT, "party.key", "a key that has no other name", p->name, "operator", "use the name that this key was registered under");
}

/* A registration that nobody builds upon, and that is no longer new. */
static clo_err make_room(clo_store *s, int64_t now, int *changed)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "DELETE FROM party WHERE rowid = (SELECT p.rowid FROM party p WHERE p.created < ? AND NOT EXISTS"
                                 " (SELECT 1 FROM member m WHERE m.kid = p.kid) AND NOT EXISTS (SELECT 1 FROM dataset d WHERE d.owner_kid = p.kid)"
                                 " ORDER BY p.rowid LIMIT 1)");
    clo_store_bind_int(&q, now - PARTY_KEPT_SECONDS);
    return clo_store_query_run(&q, changed);
}

CLO_R clo_store_party_put(clo_store *s, const clo_store_party *p, int64_t max)
{
    for (int tries = 0; tries < 2; tries++) {
        clo_store_query q;
        int changed = 0;
        bool full = false;
        clo_store_query_begin(&q, s, "INSERT INTO party(name, kid, file, created) SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS"
                                     " (SELECT 1 FROM party WHERE name = ?1 OR kid = ?2) AND (SELECT count(*) FROM party) < ?5");
        clo_store_bind_text(&q, p->name);
        clo_store_bind_blob(&q, clo_store_kid(p->kid));
        clo_store_bind_blob(&q, p->file);
        clo_store_bind_int(&q, p->created);
        clo_store_bind_int(&q, max);
        CLO_TRY(clo_store_query_run(&q, &changed));
        if (changed == 1) return CLO_OK;
        CLO_TRY(explain_refusal(s, p, &full));
        if (!full) return CLO_OK;
        CLO_TRY(make_room(s, p->created, &changed));
        if (changed == 0) break;
    }
    return CLO_FAILF(CLO_E_CONFLICT, "the operator keeps at most %lld parties, and all of them are new or in use; it can raise parties_max in cloisterd.yaml",
                     (long long)max);
}

static void read_party(clo_store_query *q, clo_arena *a, clo_store_party *out)
{
    clo_store_column_str(q, out->name, sizeof out->name);
    clo_store_column_fixed(q, out->kid, sizeof out->kid);
    clo_store_column_blob(q, a, &out->file);
    out->created = clo_store_column_int(q);
}

CLO_R clo_store_party_by_kid(clo_store *s, clo_arena *a, const uint8_t kid[32], clo_store_party *out)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT name, kid, file, created FROM party WHERE kid = ?");
    clo_store_bind_blob(&q, clo_store_kid(kid));
    bool found = clo_store_query_row(&q);
    if (found) read_party(&q, a, out);
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "no party with that key is registered here; register with: cloister party export");
    return CLO_OK;
}

CLO_R clo_store_party_list(clo_store *s, clo_arena *a, int64_t before, size_t max, clo_store_party **out, size_t *count, int64_t *next)
{
    void *array = NULL;
    size_t n = 0;
    int64_t last = 0;
    bool more = false;
    CLO_TRY(clo_arena_array(a, max + 1, sizeof(clo_store_party), &array));
    clo_store_party *list = array;
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT rowid, name, kid, created FROM party WHERE ?1 = 0 OR rowid < ?1 ORDER BY rowid DESC");
    clo_store_bind_int(&q, before);
    for (; clo_store_query_page(&q, n, max, &more); n++) {
        last = clo_store_column_int(&q);
        clo_store_column_str(&q, list[n].name, sizeof list[n].name);
        clo_store_column_fixed(&q, list[n].kid, sizeof list[n].kid);
        list[n].file = clo_span_of(NULL, 0);
        list[n].created = clo_store_column_int(&q);
    }
    CLO_TRY(clo_store_query_end(&q));
    *out = list;
    *count = n;
    *next = more ? last : 0;
    return CLO_OK;
}

static clo_err put_members(clo_store *s, const clo_store_agreement *g, const uint8_t (*kids)[32], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        clo_store_query q;
        clo_store_query_begin(&q, s, "INSERT OR IGNORE INTO member(kid, agreement) VALUES(?, ?)");
        clo_store_bind_blob(&q, clo_store_kid(kids[i]));
        clo_store_bind_blob(&q, clo_store_kid(g->id));
        CLO_TRY(clo_store_query_run(&q, NULL));
    }
    return CLO_OK;
}

/* Members first: an agreement without members is seen by nobody, a member of nothing sees nothing. Either order of a crash is safe. */
CLO_R clo_store_agreement_put(clo_store *s, const clo_store_agreement *g, const uint8_t (*member_kids)[32], size_t member_count)
{
    CLO_TRY(put_members(s, g, member_kids, member_count));
    clo_store_query q;
    clo_store_query_begin(&q, s,
                          "INSERT INTO agreement(id, lineage, epoch, not_after, created, title, state, signed, resumes, log_index, file, proof)"
                          " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) ON CONFLICT(id) DO UPDATE SET state=?7, signed=?8, resumes=?9, log_index=?10,"
                          " file=?11, proof=?12");
    clo_store_bind_blob(&q, clo_store_kid(g->id));
    clo_store_bind_blob(&q, clo_store_kid(g->lineage));
    clo_store_bind_int(&q, g->epoch);
    clo_store_bind_int(&q, g->not_after);
    clo_store_bind_int(&q, g->created);
    clo_store_bind_text(&q, g->title);
    clo_store_bind_text(&q, g->state);
    clo_store_bind_int(&q, g->signed_mask);
    clo_store_bind_int(&q, g->resumes_missing);
    clo_store_bind_int(&q, g->log_index);
    clo_store_bind_blob(&q, g->file);
    clo_store_bind_blob(&q, g->proof);
    return clo_store_query_run(&q, NULL);
}

#define AGREEMENT_COLUMNS "a.row, a.id, a.lineage, a.epoch, a.not_after, a.created, a.title, a.state, a.signed, a.resumes, a.log_index"

static int64_t read_agreement(clo_store_query *q, clo_store_agreement *out)
{
    int64_t row = clo_store_column_int(q);
    clo_store_column_fixed(q, out->id, sizeof out->id);
    clo_store_column_fixed(q, out->lineage, sizeof out->lineage);
    out->epoch = clo_store_column_int(q);
    out->not_after = clo_store_column_int(q);
    out->created = clo_store_column_int(q);
    clo_store_column_str(q, out->title, sizeof out->title);
    clo_store_column_str(q, out->state, sizeof out->state);
    out->signed_mask = (uint32_t)clo_store_column_int(q);
    out->resumes_missing = (uint32_t)clo_store_column_int(q);
    out->log_index = clo_store_column_int(q);
    return row;
}

CLO_R clo_store_agreement_get(clo_store *s, clo_arena *a, const uint8_t id[32], clo_store_agreement *out)
{
    clo_store_query q;
    uint8_t wanted[32];
    memcpy(wanted, id, sizeof wanted); /* id may be a member of *out: reading a record anew */
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, "SELECT " AGREEMENT_COLUMNS ", a.file, a.proof FROM agreement a WHERE a.id = ?");
    clo_store_bind_blob(&q, clo_store_kid(wanted));
    bool found = clo_store_query_row(&q);
    if (found) {
        (void)read_agreement(&q, out);
        clo_store_column_blob(&q, a, &out->file);
        clo_store_column_blob(&q, a, &out->proof);
    }
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "the operator has no such agreement, or you are no member of it");
    return CLO_OK;
}

CLO_R clo_store_agreement_kids(clo_store *s, const uint8_t id[32], uint8_t (*kids)[32], size_t max, size_t *count)
{
    clo_store_query q;
    *count = 0;
    clo_store_query_begin(&q, s, "SELECT kid FROM member WHERE agreement = ?");
    clo_store_bind_blob(&q, clo_store_kid(id));
    while (*count < max && clo_store_query_row(&q)) clo_store_column_fixed(&q, kids[(*count)++], 32);
    return clo_store_query_end(&q);
}

CLO_R clo_store_agreement_member(clo_store *s, const uint8_t id[32], const uint8_t kid[32], bool *member)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT 1 FROM member WHERE kid = ? AND agreement = ?");
    clo_store_bind_blob(&q, clo_store_kid(kid));
    clo_store_bind_blob(&q, clo_store_kid(id));
    *member = clo_store_query_row(&q);
    return clo_store_query_end(&q);
}

CLO_R clo_store_agreement_list(clo_store *s, clo_arena *a, const uint8_t kid[32], int64_t before, size_t max, clo_store_agreement **out,
                               size_t *count, int64_t *next)
{
    void *array = NULL;
    size_t n = 0;
    int64_t last = 0;
    CLO_TRY(clo_arena_array(a, max + 1, sizeof(clo_store_agreement), &array));
    clo_store_agreement *list = array;
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT " AGREEMENT_COLUMNS " FROM agreement a JOIN member m ON m.agreement = a.id WHERE m.kid = ?"
                                 " AND (?2 = 0 OR a.row < ?2) ORDER BY a.row DESC");
    clo_store_bind_blob(&q, clo_store_kid(kid));
    clo_store_bind_int(&q, before);
    bool more = false;
    while (clo_store_query_page(&q, n, max, &more)) last = read_agreement(&q, &list[n++]);
    CLO_TRY(clo_store_query_end(&q));
    *out = list;
    *count = n;
    *next = more ? last : 0;
    return CLO_OK;
}

CLO_R clo_store_order_put(clo_store *s, const uint8_t agreement[32], const char *party, const char *verb, int64_t sequence, clo_span order)
{
    clo_store_query q;
    int changed = 0;
    clo_store_query_begin(&q, s, "INSERT INTO orders(agreement, party, sequence, verb, file, settled) SELECT ?1, ?2, ?3, ?4, ?5, 0 WHERE NOT EXISTS"
                                 " (SELECT 1 FROM orders WHERE agreement = ?1 AND party = ?2 AND sequence >= ?3)");
    clo_store_bind_blob(&q, clo_store_kid(agreement));
    clo_store_bind_text(&q, party);
    clo_store_bind_int(&q, sequence);
    clo_store_bind_text(&q, verb);
    clo_store_bind_blob(&q, order);
    CLO_TRY(clo_store_query_run(&q, &changed));
    if (changed == 0)
        return CLO_DENY(CLO_E_REPLAYED, "order.sequence", "a higher sequence than the party's last order", "the same or a lower one", party,
                        "sign a new order");
    return CLO_OK;
}

CLO_R clo_store_order_open(clo_store *s, clo_arena *a, const uint8_t *agreement, int64_t after, clo_store_order *out)
{
    clo_store_query q;
    memset(out, 0, sizeof *out);
    clo_store_query_begin(&q, s, agreement != NULL ? "SELECT rowid, agreement, file FROM orders WHERE settled = 0 AND rowid > ? AND agreement = ? ORDER BY rowid LIMIT 1"
                                                   : "SELECT rowid, agreement, file FROM orders WHERE settled = 0 AND rowid > ? ORDER BY rowid LIMIT 1");
    clo_store_bind_int(&q, after);
    if (agreement != NULL) clo_store_bind_blob(&q, clo_store_kid(agreement));
    bool found = clo_store_query_row(&q);
    if (found) {
        out->row = clo_store_column_int(&q);
        clo_store_column_fixed(&q, out->agreement, sizeof out->agreement);
        clo_store_column_blob(&q, a, &out->file);
    }
    CLO_TRY(clo_store_query_end(&q));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "every order is settled");
    return CLO_OK;
}

CLO_R clo_store_order_settle(clo_store *s, int64_t row)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "UPDATE orders SET settled = 1 WHERE rowid = ?");
    clo_store_bind_int(&q, row);
    return clo_store_query_run(&q, NULL);
}

CLO_R clo_store_scope_put(clo_store *s, const uint8_t dataset[32], const uint8_t agreement[32])
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "INSERT OR IGNORE INTO scope(dataset, agreement) VALUES(?, ?)");
    clo_store_bind_blob(&q, clo_store_kid(dataset));
    clo_store_bind_blob(&q, clo_store_kid(agreement));
    return clo_store_query_run(&q, NULL);
}

CLO_R clo_store_scope_has(clo_store *s, const uint8_t dataset[32], const uint8_t kid[32], bool *visible)
{
    clo_store_query q;
    clo_store_query_begin(&q, s, "SELECT 1 FROM scope s JOIN member m ON m.agreement = s.agreement WHERE s.dataset = ? AND m.kid = ? LIMIT 1");
    clo_store_bind_blob(&q, clo_store_kid(dataset));
    clo_store_bind_blob(&q, clo_store_kid(kid));
    *visible = clo_store_query_row(&q);
    return clo_store_query_end(&q);
}
