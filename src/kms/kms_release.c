/* Phase one: one transaction that makes the reservation and the release record durable, then the keys, sealed to the runtime. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- rows ---- */

#define RELEASE_COLUMNS                                                                                                          \
    "run, release, agreement, epoch, run_name, starter, tee, request, runtime, hpke, leaf, evidence, evidence_last, state, "     \
    "created, expires"

static clo_err release_fill(sqlite3_stmt *s, kms_release *r)
{
    CLO_TRY(kms_column_fixed(s, 0, r->run_id, sizeof r->run_id));
    CLO_TRY(kms_column_fixed(s, 1, r->release_id, sizeof r->release_id));
    CLO_TRY(kms_column_fixed(s, 2, r->agreement, sizeof r->agreement));
    r->epoch = kms_column_int(s, 3);
    kms_column_text(s, 4, r->run, sizeof r->run);
    kms_column_text(s, 5, r->starter, sizeof r->starter);
    kms_column_text(s, 6, r->tee, sizeof r->tee);
    CLO_TRY(kms_column_fixed(s, 7, r->request, sizeof r->request));
    CLO_TRY(kms_column_fixed(s, 8, r->runtime, sizeof r->runtime));
    CLO_TRY(kms_column_fixed(s, 9, r->hpke, sizeof r->hpke));
    CLO_TRY(kms_column_fixed(s, 10, r->leaf, sizeof r->leaf));
    CLO_TRY(kms_column_fixed(s, 11, r->evidence, sizeof r->evidence));
    CLO_TRY(kms_column_fixed(s, 12, r->evidence_last, sizeof r->evidence_last));
    r->state = (int)kms_column_int(s, 13);
    r->created = kms_column_int(s, 14);
    r->expires = kms_column_int(s, 15);
    return CLO_OK;
}

clo_err kms_release_find(kms_db *db, const uint8_t run_id[16], kms_release *out, bool *found)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(
        kms_db_query(db, &s, "SELECT " RELEASE_COLUMNS " FROM releases WHERE run = ?1", "b", (const void *)run_id, (size_t)16));
    CLO_TRY(kms_db_row(s, found));
    return *found ? release_fill(s, out) : CLO_OK;
}

static clo_err release_insert(kms_db *db, const kms_release *r)
{
    return kms_db_run(db,
                      "INSERT INTO releases(" RELEASE_COLUMNS ")"
                      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                      "bbbitttbbbbbbiii", (const void *)r->run_id, sizeof r->run_id, (const void *)r->release_id,
                      sizeof r->release_id, (const void *)r->agreement, sizeof r->agreement, r->epoch, r->run, r->starter, r->tee,
                      (const void *)r->request, sizeof r->request, (const void *)r->runtime, sizeof r->runtime,
                      (const void *)r->hpke, sizeof r->hpke, (const void *)r->leaf, sizeof r->leaf, (const void *)r->evidence,
                      sizeof r->evidence, (const void *)r->evidence_last, sizeof r->evidence_last, (int64_t)r->state, r->created,
                      r->expires);
}

/* ---- the transaction ---- */

typedef struct {
    const kms_claim *claim;
    kms_release release;   /* out */
    int64_t lease_seconds; /* out: what is left of the lease */
} release_order;

static int64_t lease_end(const kms_claim *c, int64_t now)
{
    int64_t end = now + c->ref->g->lease_seconds, window_end = kms_claim_window_end(c);
    return end < window_end ? end : window_end;
}

static clo_err require_count(kms_db *db, const kms_claim *c)
{
    int64_t count = 0;
    {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        /* Over the whole lineage: an amendment does not begin to count anew. */
        CLO_TRY(kms_db_query(db, &s,
                             "SELECT count(*) FROM agreements a JOIN releases r ON r.agreement = a.id WHERE a.lineage = ?1 AND r.run_name = ?2 AND "
                             "r.state IN (1, 2)",
                             "bt", (const void *)c->ref->g->lineage, sizeof c->ref->g->lineage, c->terms->name));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        if (row) count = kms_column_int(s, 0);
    }
    if (count < c->terms->count_max) return CLO_OK;
    char expected[48], actual[48], part[100];
    (void)snprintf(expected, sizeof expected, "at most %lld", (long long)c->terms->count_max);
    (void)snprintf(actual, sizeof actual, "this would be number %lld", (long long)count + 1);
    (void)snprintf(part, sizeof part, "runs[%s].count_max", c->terms->name);
    return CLO_DENY(CLO_E_DENIED, "run.count", expected, actual, kms_source_agreement(c->ref->g->id, part).text,
                    "sign an amendment that allows more runs");
}

static bool same_runtime(const kms_claim *c, const kms_release *r)
{
    const clo_collab_binding *b = &c->message.binding;
    return memcmp(r->runtime, b->sign, sizeof r->runtime) == 0 && memcmp(r->hpke, b->hpke, sizeof r->hpke) == 0 &&
           memcmp(r->leaf, b->leaf_spki, sizeof r->leaf) == 0 && memcmp(r->request, b->request, sizeof r->request) == 0 &&
           memcmp(r->agreement, b->agreement, sizeof r->agreement) == 0;
}

/* A run id belongs to the first runtime that it was released to: a clone, a restart or a rolled-back operator gets nothing. */
static clo_err require_same_runtime(const kms_claim *c, const kms_release *r)
{
    if (same_runtime(c, r)) return CLO_OK;
    char expected[100], actual[100];
    (void)snprintf(expected, sizeof expected, "runtime %s, to which this run was released", kms_hex8(r->runtime).text);
    (void)snprintf(actual, sizeof actual, "runtime %s", kms_hex8(c->message.binding.sign).text);
    return CLO_DENY(CLO_E_CONFLICT, "run.id", expected, actual, "owner's key service",
                    "a run id is released once; start a new run with a fresh run id");
}

clo_err kms_release_require_open(const kms_release *r, int64_t now)
{
    if (r->state == KMS_RUN_COMMITTED)
        return CLO_DENY(CLO_E_CONFLICT, "run.state", "reserved", "committed", "owner's key service",
                        "the run is over; start a new run");
    char at[21], until[21];
    clo_time_format(at, now);
    clo_time_format(until, r->expires);
    if (r->state == KMS_RUN_EXPIRED || now >= r->expires)
        return CLO_DENY(CLO_E_EXPIRED, "run.lease", until, at, "owner's key service",
                        "the lease is over and its budget was given back; start a new run");
    return CLO_OK;
}

static void release_make(const kms_claim *c, int64_t now, kms_release *r)
{
    const clo_collab_binding *b = &c->message.binding;
    memcpy(r->run_id, c->request.run_id, sizeof r->run_id);
    memcpy(r->agreement, c->ref->g->id, sizeof r->agreement);
    r->epoch = c->ref->g->epoch;
    (void)snprintf(r->run, sizeof r->run, "%s", c->terms->name);
    (void)snprintf(r->starter, sizeof r->starter, "%s", c->request.starter);
    (void)snprintf(r->tee, sizeof r->tee, "%s", c->tee);
    memcpy(r->request, b->request, sizeof r->request);
    memcpy(r->runtime, b->sign, sizeof r->runtime);
    memcpy(r->hpke, b->hpke, sizeof r->hpke);
    memcpy(r->leaf, b->leaf_spki, sizeof r->leaf);
    memcpy(r->evidence, c->evidence_digest, sizeof r->evidence);
    memcpy(r->evidence_last, c->evidence_digest, sizeof r->evidence_last);
    r->state = KMS_RUN_RESERVED;
    r->created = now;
    r->expires = lease_end(c, now);
}

/* Two copies of one ledger that release a run in the same second would else have the same entries, whichever runtimes they gave the keys to; the
 * release id is random, so that they differ, and a witness that saw one refuses the other. */
static clo_err note_release(kms_db *db, const kms_release *r, int64_t now)
{
    uint8_t what[sizeof r->release_id + sizeof r->runtime];
    memcpy(what, r->release_id, sizeof r->release_id);
    memcpy(what + sizeof r->release_id, r->runtime, sizeof r->runtime);
    return kms_ledger_state(db, NULL, r->agreement, clo_span_of(what, sizeof what), now);
}

static clo_err release_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    release_order *o = context;
    const kms_claim *c = o->claim;
    CLO_TRY(kms_agreement_require_active(db, c->ref->g, now, true));
    CLO_TRY(kms_agreement_register(kms, db, c->ref, now));
    CLO_TRY(kms_nonce_use(db, c->message.binding.nonces[c->nonce_index].bytes, now));
    for (size_t i = 0; i < c->dataset_count; i++)
        CLO_TRY(kms_dek_require(db, c->datasets[i].terms->id, c->datasets[i].version, c->datasets[i].terms->name));
    kms_release known;
    bool found = false;
    CLO_TRY(kms_release_find(db, c->request.run_id, &known, &found));
    if (found) {
        CLO_TRY(require_same_runtime(c, &known));
        CLO_TRY(kms_release_require_open(&known, now));
        /* The keys go out under this evidence now; the run's token and statement will name it. */
        CLO_TRY(kms_db_run(db, "UPDATE releases SET evidence = ?2, evidence_last = ?2 WHERE run = ?1", "bb", (const void *)known.run_id,
                           sizeof known.run_id, (const void *)c->evidence_digest, sizeof c->evidence_digest));
        o->release = known;
        o->lease_seconds = known.expires - now;
        return CLO_OK;
    }
    size_t ended = 0;
    CLO_TRY(kms_sweep_in(kms, db, now, false, &ended));
    CLO_TRY(require_count(db, c));
    release_make(c, now, &o->release);
    o->lease_seconds = o->release.expires - now;
    for (size_t i = 0; i < c->dataset_count; i++)
        CLO_TRY(kms_ledger_reserve(db, c->ref->g, c->datasets[i].terms, o->release.run_id, c->request.rho, now));
    CLO_TRY(release_insert(db, &o->release));
    return note_release(db, &o->release, now);
}

/* ---- after COMMIT ---- */

static clo_err seal_key(clo_kms *kms, kms_claim *c, const kms_release *r, size_t i, clo_collab_released_key *out)
{
    const clo_collab_dataset_terms *d = c->datasets[i].terms;
    CLO_KEY32(dek);
    CLO_TRY(kms_dek_open(kms, d->id, c->datasets[i].version, &dek));
    CLO_AUTO(clo_buf_free) clo_buf info;
    clo_buf_init(&info, 1024);
    CLO_TRY(clo_collab_release_info(r->agreement, r->run_id, d->id, c->message.binding.nonces[c->nonce_index].bytes,
                                    c->message.evidence, r->expires, &info));
    CLO_AUTO(clo_buf_free) clo_buf sealed;
    clo_buf_init(&sealed, 256);
    CLO_TRY(clo_crypto_hpke_seal(c->message.binding.hpke, clo_buf_span(&info), clo_span_of(NULL, 0),
                                 clo_span_of(dek.b, sizeof dek.b), &sealed));
    memcpy(out->dataset, d->id, sizeof out->dataset);
    return clo_arena_copy(&c->arena, clo_buf_span(&sealed), &out->sealed_dek);
}

static clo_err reply_encode(const release_order *o, clo_collab_release_reply *reply, clo_buf *out)
{
    memcpy(reply->release_id, o->release.release_id, sizeof reply->release_id);
    reply->lease_seconds = o->lease_seconds;
    reply->expires = o->release.expires;
    return clo_collab_release_reply_encode(reply, out);
}

static clo_err release_claim(clo_kms *kms, kms_claim *c, clo_buf *reply)
{
    release_order o = {.claim = c};
    CLO_TRY(clo_crypto_random(o.release.release_id, sizeof o.release.release_id));
    CLO_TRY(kms_write(kms, release_job, &o));
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_collab_release_reply), &p));
    clo_collab_release_reply *answer = p;
    for (size_t i = 0; i < c->dataset_count; i++) CLO_TRY(seal_key(kms, c, &o.release, i, &answer->keys[i]));
    answer->key_count = c->dataset_count;
    return reply_encode(&o, answer, reply);
}

/* ---- renewal ---- */

static clo_err renew_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    release_order *o = context;
    const kms_claim *c = o->claim;
    CLO_TRY(kms_agreement_require_active(db, c->ref->g, now, false));
    CLO_TRY(kms_nonce_use(db, c->message.binding.nonces[c->nonce_index].bytes, now));
    bool found = false;
    CLO_TRY(kms_release_find(db, c->request.run_id, &o->release, &found));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "run %s was never released here; ask for a release first",
               kms_hex_of(c->request.run_id, 16).text);
    CLO_TRY(require_same_runtime(c, &o->release));
    CLO_TRY(kms_release_require_open(&o->release, now));
    o->release.expires = lease_end(c, now);
    o->lease_seconds = o->release.expires - now;
    return kms_db_run(db, "UPDATE releases SET expires = ?2, evidence_last = ?3 WHERE run = ?1", "bib",
                      (const void *)o->release.run_id, sizeof o->release.run_id, o->release.expires,
                      (const void *)c->evidence_digest, sizeof c->evidence_digest);
}

static clo_err renew_claim(clo_kms *kms, kms_claim *c, clo_buf *reply)
{
    release_order o = {.claim = c};
    CLO_TRY(kms_write(kms, renew_job, &o));
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_collab_release_reply), &p));
    return reply_encode(&o, p, reply);
}

static clo_err serve(clo_kms *kms, clo_span body, const clo_kms_channel *channel, bool renewal, clo_buf *reply)
{
    int64_t now = 0;
    CLO_TRY(kms_witness_require_sound(kms, true));
    CLO_TRY(clo_kms_now(kms, &now));
    kms_claim *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    clo_err e = kms_claim_verify(kms, body, channel, renewal, now, c);
    if (!clo_failed(e)) e = renewal ? renew_claim(kms, c, reply) : release_claim(kms, c, reply);
    kms_claim_free(c);
    free(c);
    return e;
}

clo_err clo_kms_release(clo_kms *kms, clo_span body, const clo_kms_channel *channel, clo_buf *reply)
{
    return serve(kms, body, channel, false, reply);
}

clo_err clo_kms_renew(clo_kms *kms, clo_span body, const clo_kms_channel *channel, clo_buf *reply)
{
    return serve(kms, body, channel, true, reply);
}

/* ---- list ---- */

typedef struct {
    clo_arena *arena;
    size_t max, count;
    clo_kms_run *items;
} run_listing;

static clo_err run_rows(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    static const char *const states[] = {"unknown", "reserved", "committed", "expired"};
    run_listing *l = context;
    void *items = NULL;
    CLO_TRY(clo_arena_array(l->arena, l->max, sizeof(clo_kms_run), &items));
    l->items = items;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT " RELEASE_COLUMNS " FROM releases ORDER BY created DESC, run LIMIT ?1", "i",
                         (int64_t)l->max));
    for (bool row = true; l->count < l->max; l->count++) {
        CLO_TRY(kms_db_row(s, &row));
        if (!row) break;
        kms_release r;
        CLO_TRY(release_fill(s, &r));
        CLO_CHECK(r.state >= KMS_RUN_RESERVED && r.state <= KMS_RUN_EXPIRED, CLO_E_DATABASE);
        if (r.state == KMS_RUN_RESERVED && now >= r.expires) r.state = KMS_RUN_EXPIRED;
        clo_kms_run *out = &l->items[l->count];
        memcpy(out->run_id, r.run_id, sizeof out->run_id);
        memcpy(out->release_id, r.release_id, sizeof out->release_id);
        memcpy(out->agreement, r.agreement, sizeof out->agreement);
        memcpy(out->runtime, r.runtime, sizeof out->runtime);
        memcpy(out->evidence, r.evidence, sizeof out->evidence);
        memcpy(out->request, r.request, sizeof out->request);
        memcpy(out->run, r.run, sizeof out->run);
        memcpy(out->starter, r.starter, sizeof out->starter);
        memcpy(out->tee, r.tee, sizeof out->tee);
        (void)snprintf(out->state, sizeof out->state, "%s", states[r.state]);
        out->epoch = r.epoch;
        out->created = r.created;
        out->expires = r.expires;
    }
    return CLO_OK;
}

clo_err clo_kms_run_list(clo_kms *kms, clo_arena *a, size_t max, clo_kms_run **out, size_t *count)
{
    CLO_CHECKF(max >= 1 && max <= 1000, CLO_E_RANGE, "limit must be 1..1000");
    run_listing l = {.arena = a, .max = max};
    CLO_TRY(kms_read(kms, run_rows, &l));
    *out = l.items;
    *count = l.count;
    return CLO_OK;
}
