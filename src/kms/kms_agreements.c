/* Agreements at the key service: opened ones in a small cache, registered ones in the database, orders that stop and resume them.
 */
#include "collab/leaf.h"
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { AGREEMENT_FILE_MAX = 4 << 20, AGREEMENT_ARENA = 48 << 20 };

/* ---- cache ---- */

static void ref_free(kms_agreement_ref *r)
{
    clo_arena_free(&r->arena);
    free(r);
}

/* Under the cache lock. */
static void ref_unhold(kms_agreement_ref *r)
{
    assert(r->references > 0);
    if (--r->references == 0) ref_free(r);
}

void kms_agreement_drop(kms_agreement_ref **ref)
{
    if (*ref == NULL) return;
    pthread_mutex_t *lock = (*ref)->lock;
    pthread_mutex_lock(lock);
    ref_unhold(*ref);
    pthread_mutex_unlock(lock);
    *ref = NULL;
}

static kms_agreement_ref *cache_find(clo_kms *kms, const uint8_t *id, const uint8_t *file_digest)
{
    kms_agreement_ref *found = NULL;
    pthread_mutex_lock(&kms->cache_lock);
    for (size_t i = 0; i < KMS_CACHE_MAX && found == NULL; i++) {
        kms_agreement_ref *r = kms->cache[i];
        if (r == NULL) continue;
        const uint8_t *have = id != NULL ? r->g->id : r->file_digest, *wanted = id != NULL ? id : file_digest;
        if (memcmp(have, wanted, 32) == 0) found = r;
    }
    if (found != NULL) {
        found->references++;
        found->used = ++kms->cache_clock;
    }
    pthread_mutex_unlock(&kms->cache_lock);
    return found;
}

static void cache_put(clo_kms *kms, kms_agreement_ref *r)
{
    pthread_mutex_lock(&kms->cache_lock);
    size_t slot = 0;
    for (size_t i = 0; i < KMS_CACHE_MAX; i++) {
        if (kms->cache[i] == NULL) {
            slot = i;
            break;
        }
        if (kms->cache[i]->used < kms->cache[slot]->used) slot = i;
    }
    if (kms->cache[slot] != NULL) ref_unhold(kms->cache[slot]);
    r->references++;
    r->used = ++kms->cache_clock;
    kms->cache[slot] = r;
    pthread_mutex_unlock(&kms->cache_lock);
}

void kms_agreement_cache_free(clo_kms *kms)
{
    for (size_t i = 0; i < KMS_CACHE_MAX; i++) kms_agreement_drop(&kms->cache[i]);
}

/* ---- opening ---- */

size_t kms_agreement_own_index(const clo_kms *kms, const clo_collab_agreement *g)
{
    for (size_t i = 0; i < g->member_count; i++)
        if (strcmp(g->members[i].party.name, kms->owner.name) == 0) return i;
    return CLO_PARTIES_MAX;
}

static clo_err require_owner(const clo_kms *kms, const clo_collab_agreement *g)
{
    size_t own = kms_agreement_own_index(kms, g);
    kms_source source = kms_source_agreement(g->id, "parties");
    if (own == CLO_PARTIES_MAX)
        return CLO_DENY(CLO_E_DENIED, "agreement.owner", kms->owner.name, "not among the parties", source.text,
                        "use an agreement that the owner of this key service is a party of");
    const clo_collab_member *m = &g->members[own];
    /* The owner's key is the one pinned when this service was made, never one that the file brings along. */
    if (!clo_crypto_public_key_equal(&m->party.sign, &kms->owner.sign)) {
        uint8_t kid[32] = {0};
        CLO_TRY(clo_collab_party_kid(&m->party, kid));
        return CLO_DENY(CLO_E_DENIED, "agreement.owner_key", kms_hex8(kms->owner_kid).text, kms_hex8(kid).text, source.text,
                        "put the owner's own public party file into the agreement and sign it again");
    }
    if (!m->data_owner || memcmp(m->kms_hpke, kms->hpke_public, sizeof m->kms_hpke) != 0)
        return CLO_DENY(CLO_E_DENIED, "agreement.kms_key", kms_hex8(kms->hpke_public).text, kms_hex8(m->kms_hpke).text,
                        source.text, "put the identity that \"cloister-kms init\" printed into the agreement and sign it again");
    return CLO_OK;
}

static clo_err ref_open(clo_kms *kms, kms_agreement_ref *r, clo_span file)
{
    CLO_TRY(clo_arena_copy(&r->arena, file, &r->file));
    CLO_TRY(clo_collab_agreement_new(&r->arena, &r->g));
    clo_err e = clo_collab_agreement_file_open(&r->arena, r->file, r->g, &r->signed_mask);
    CLO_TRY(kms_deny_wrap(e, "agreement.file", "a well-formed agreement with valid signatures", "the agreement file",
                          "send the agreement file as it was signed"));
    CLO_TRY(require_owner(kms, r->g));
    return clo_collab_agreement_require_signed(r->g, r->signed_mask);
}

clo_err kms_agreement_get(clo_kms *kms, clo_span file, kms_agreement_ref **out)
{
    CLO_CHECKF(file.n <= AGREEMENT_FILE_MAX, CLO_E_TOO_LARGE, "the agreement file has %zu bytes, at most %d are allowed", file.n,
               AGREEMENT_FILE_MAX);
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(file, digest));
    kms_agreement_ref *r = cache_find(kms, NULL, digest);
    if (r == NULL) {
        r = calloc(1, sizeof *r);
        CLO_CHECK(r != NULL, CLO_E_NOMEM);
        clo_arena_init(&r->arena, AGREEMENT_ARENA);
        memcpy(r->file_digest, digest, sizeof digest);
        r->lock = &kms->cache_lock;
        r->references = 1;
        clo_err e = ref_open(kms, r, file);
        if (clo_failed(e)) {
            ref_free(r);
            return e;
        }
        cache_put(kms, r);
    }
    *out = r;
    return CLO_OK;
}

typedef struct {
    const uint8_t *id;
    clo_buf file;
} file_read;

static clo_err read_file(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    file_read *f = context;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT file FROM agreements WHERE id = ?1", "b", (const void *)f->id, (size_t)32));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    CLO_CHECKF(row, CLO_E_NOT_FOUND, "agreement %s is not registered here; submit it first", kms_hex8(f->id).text);
    return clo_buf_put_span(&f->file, kms_column_span(s, 0));
}

clo_err kms_agreement_load(clo_kms *kms, const uint8_t id[32], kms_agreement_ref **out)
{
    kms_agreement_ref *r = cache_find(kms, id, NULL);
    if (r != NULL) {
        *out = r;
        return CLO_OK;
    }
    file_read f = {.id = id};
    clo_buf_init(&f.file, AGREEMENT_FILE_MAX);
    clo_err e = kms_read(kms, read_file, &f);
    if (!clo_failed(e)) e = kms_agreement_get(kms, clo_buf_span(&f.file), out);
    clo_buf_free(&f.file);
    CLO_TRY(e);
    if (memcmp((*out)->g->id, id, 32) == 0) return CLO_OK;
    kms_agreement_drop(out);
    return CLO_FAILF(CLO_E_DATABASE, "the key service's database holds another agreement in the place of %s; restore it from a backup", kms_hex8(id).text);
}

/* The witnesses' time bounds ours from both sides: a clock far behind it would let leases and agreements live too long, and a
 * checkpoint far behind the clock may be all that somebody who withholds stops wants us to see. */
static clo_err require_witnessed(const kms_agreement_ref *r, uint64_t witnessed, int64_t now, bool renewal)
{
    int64_t witnessed_at = witnessed <= INT64_MAX ? (int64_t)witnessed : INT64_MAX;
    char expected[60], actual[21];
    kms_source source = kms_source_agreement(r->g->id, "log");
    if (witnessed_at - CLO_KMS_CLOCK_JUMP_SECONDS > now) {
        clo_time_format(actual, witnessed_at);
        (void)snprintf(expected, sizeof expected, "%s or later", actual);
        clo_time_format(actual, now);
        return CLO_DENY(CLO_E_DENIED, "clock.witnessed", expected, actual, source.text,
                        "correct the clock of the key service's machine: it is behind the log's witnesses");
    }
    if (renewal || now - witnessed_at <= CLO_KMS_WITNESSED_SECONDS) return CLO_OK;
    clo_time_format(actual, now - CLO_KMS_WITNESSED_SECONDS);
    (void)snprintf(expected, sizeof expected, "cosigned by witnesses at %s or later", actual);
    clo_time_format(actual, witnessed_at);
    return CLO_DENY(CLO_E_DENIED, "log.fresh", expected, actual, source.text,
                    "see that the operator reaches the log's witnesses, then start the run again");
}

clo_err kms_agreement_require_logged(kms_agreement_ref *r, clo_span proof, int64_t now, bool renewal)
{
    uint64_t witnessed_at = 0;
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(proof, digest));
    pthread_mutex_lock(r->lock);
    bool known = r->have_proof && memcmp(r->proof_digest, digest, sizeof digest) == 0;
    witnessed_at = r->witnessed_at;
    pthread_mutex_unlock(r->lock);
    if (known) return require_witnessed(r, witnessed_at, now, renewal);
    CLO_AUTO(clo_buf_free) clo_buf leaf;
    clo_buf_init(&leaf, 4096);
    CLO_TRY(clo_collab_leaf(CLO_LEAF_AGREEMENT, r->file, &leaf));
    kms_source source = kms_source_agreement(r->g->id, "log");
    CLO_TRY(kms_deny_wrap(clo_wire_tlog_proof_verify(proof, clo_buf_span(&leaf), &r->g->log, NULL, NULL, &witnessed_at),
                          "log.inclusion", "a witnessed proof that the agreement is in the log", source.text,
                          "submit the agreement to the operator and wait for its witnessed proof"));
    pthread_mutex_lock(r->lock);
    memcpy(r->proof_digest, digest, sizeof digest);
    r->witnessed_at = witnessed_at;
    r->have_proof = true;
    pthread_mutex_unlock(r->lock);
    return require_witnessed(r, witnessed_at, now, renewal);
}

/* ---- manifests ---- */

bool kms_agreement_knows_manifest(kms_agreement_ref *r, const clo_collab_dataset_terms *d, const uint8_t digest[32])
{
    size_t i = (size_t)(d - r->g->datasets);
    pthread_mutex_lock(r->lock);
    bool known = r->manifests[i].have && memcmp(r->manifests[i].digest, digest, sizeof r->manifests[i].digest) == 0;
    pthread_mutex_unlock(r->lock);
    return known;
}

void kms_agreement_note_manifest(kms_agreement_ref *r, const clo_collab_dataset_terms *d, const uint8_t digest[32])
{
    size_t i = (size_t)(d - r->g->datasets);
    pthread_mutex_lock(r->lock);
    memcpy(r->manifests[i].digest, digest, sizeof r->manifests[i].digest);
    r->manifests[i].have = true;
    pthread_mutex_unlock(r->lock);
}

/* ---- registered ones ---- */

clo_err kms_agreement_row_find(kms_db *db, const uint8_t id[32], kms_agreement_row *out)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT lineage, epoch, not_after, state, stopped FROM agreements WHERE id = ?1", "b",
                         (const void *)id, (size_t)32));
    *out = (kms_agreement_row){.found = false};
    CLO_TRY(kms_db_row(s, &out->found));
    if (!out->found) return CLO_OK;
    CLO_TRY(kms_column_fixed(s, 0, out->lineage, sizeof out->lineage));
    out->epoch = kms_column_int(s, 1);
    out->not_after = kms_column_int(s, 2);
    int64_t state = kms_column_int(s, 3);
    CLO_CHECK(state >= 0 && state < CLO_AGREEMENT_STATES, CLO_E_DATABASE);
    out->state = (clo_collab_agreement_state)state;
    out->stopped = kms_column_int(s, 4);
    return CLO_OK;
}

clo_err kms_agreement_newest(kms_db *db, const uint8_t lineage[32], int64_t *epoch, uint8_t id[32])
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT epoch, id FROM agreements WHERE lineage = ?1 ORDER BY epoch DESC LIMIT 1", "b",
                         (const void *)lineage, (size_t)32));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    *epoch = 0;
    if (!row) return CLO_OK;
    *epoch = kms_column_int(s, 0);
    return kms_column_fixed(s, 1, id, 32);
}

static clo_err require_epoch(kms_db *db, const clo_collab_agreement *g)
{
    int64_t newest = 0;
    uint8_t id[32];
    CLO_TRY(kms_agreement_newest(db, g->lineage, &newest, id));
    if (newest == 0 || newest < g->epoch || memcmp(id, g->id, sizeof id) == 0) return CLO_OK;
    char expected[200], actual[120];
    (void)snprintf(expected, sizeof expected, "epoch %lld (agreement %s), the newest that this key service knows",
                   (long long)newest, kms_hex8(id).text);
    (void)snprintf(actual, sizeof actual, "epoch %lld (agreement %s)", (long long)g->epoch, kms_hex8(g->id).text);
    return CLO_DENY(CLO_E_DENIED, "agreement.epoch", expected, actual, "owner's key service",
                    "use the newest amendment of this agreement, which all parties have signed");
}

clo_err kms_agreement_require_active(kms_db *db, const clo_collab_agreement *g, int64_t now, bool unknown_ok)
{
    kms_source source = kms_source_agreement(g->id, "not_after");
    char at[21], until[21];
    clo_time_format(at, now);
    clo_time_format(until, g->not_after);
    if (now >= g->not_after)
        return CLO_DENY(CLO_E_EXPIRED, "agreement.not_after", until, at, source.text,
                        "sign an amendment or a new agreement with a later not_after");
    kms_agreement_row st;
    CLO_TRY(kms_agreement_row_find(db, g->id, &st));
    CLO_CHECKF(st.found || unknown_ok, CLO_E_NOT_FOUND, "agreement %s is not registered here", kms_hex8(g->id).text);
    if (st.found && st.state != CLO_AGREEMENT_ACTIVE)
        return CLO_DENY(CLO_E_DENIED, "agreement.state", "active", clo_collab_agreement_state_name(st.state),
                        "orders of the parties",
                        "a suspended agreement is active again once every party has signed \"cloister agreement resume\"; a "
                        "terminated one never is");
    return require_epoch(db, g);
}

/* Where the amendment's predecessor is known, it must really amend it. */
static clo_err require_lineage(kms_db *db, const clo_collab_agreement *g)
{
    kms_agreement_row prev;
    CLO_TRY(kms_agreement_row_find(db, g->prev, &prev));
    if (!prev.found) return CLO_OK;
    char expected[120], actual[120];
    (void)snprintf(expected, sizeof expected, "lineage %s, epoch above %lld", kms_hex8(prev.lineage).text, (long long)prev.epoch);
    (void)snprintf(actual, sizeof actual, "lineage %s, epoch %lld", kms_hex8(g->lineage).text, (long long)g->epoch);
    if (memcmp(prev.lineage, g->lineage, sizeof prev.lineage) != 0 || g->epoch <= prev.epoch)
        return CLO_DENY(CLO_E_CONFLICT, "agreement.prev", expected, actual, kms_source_agreement(g->prev, NULL).text,
                        "make the amendment again from the newest agreement");
    if (prev.state == CLO_AGREEMENT_TERMINATED)
        return CLO_DENY(CLO_E_CONFLICT, "agreement.prev", "an agreement that is not terminated", "terminated",
                        kms_source_agreement(g->prev, NULL).text, "start with a new agreement");
    return CLO_OK;
}

static clo_err insert_members(kms_db *db, const clo_collab_agreement *g)
{
    for (size_t i = 0; i < g->member_count; i++) {
        const clo_collab_party *p = &g->members[i].party;
        uint8_t kid[32];
        CLO_TRY(clo_collab_party_kid(p, kid));
        CLO_TRY(kms_db_run(db, "INSERT OR IGNORE INTO members(kid, agreement, name, sign, hpke) VALUES(?1, ?2, ?3, ?4, ?5)",
                           "bbtbb", (const void *)kid, sizeof kid, (const void *)g->id, sizeof g->id, p->name,
                           (const void *)p->sign.bytes, p->sign.n, (const void *)p->hpke, sizeof p->hpke));
    }
    return CLO_OK;
}

/* A stop or an end holds for the whole lineage: an amendment that everybody signed before it is no way around it. */
static clo_err require_lineage_open(kms_db *db, const clo_collab_agreement *g)
{
    int64_t newest = 0;
    uint8_t id[32];
    kms_agreement_row last;
    CLO_TRY(kms_agreement_newest(db, g->lineage, &newest, id));
    if (newest == 0) return CLO_OK;
    CLO_TRY(kms_agreement_row_find(db, id, &last));
    CLO_CHECK(last.found, CLO_E_DATABASE);
    if (last.state != CLO_AGREEMENT_SUSPENDED && last.state != CLO_AGREEMENT_TERMINATED) return CLO_OK;
    return CLO_DENY(CLO_E_CONFLICT, "agreement.lineage", "a lineage that no party has stopped", clo_collab_agreement_state_name(last.state),
                    kms_source_agreement(id, NULL).text,
                    "resume the newest agreement of this lineage, which needs every party; after a termination start with a new one");
}

clo_err kms_agreement_register(clo_kms *kms, kms_db *db, const kms_agreement_ref *ref, int64_t now)
{
    const clo_collab_agreement *g = ref->g;
    kms_agreement_row st;
    CLO_TRY(kms_agreement_row_find(db, g->id, &st));
    if (st.found) return CLO_OK;
    CLO_TRY(require_lineage(db, g));
    CLO_TRY(require_epoch(db, g));
    CLO_TRY(require_lineage_open(db, g));
    clo_collab_agreement_state state = CLO_AGREEMENT_DRAFT;
    CLO_TRY(clo_collab_agreement_step(&state, CLO_ORDER_PROPOSE));
    CLO_TRY(clo_collab_agreement_step(&state, CLO_ORDER_ALL_SIGNED));
    CLO_TRY(kms_db_run(db,
                       "INSERT INTO agreements(id, lineage, epoch, title, not_after, state, stopped, file, registered)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8)",
                       "bbitiibi", (const void *)g->id, sizeof g->id, (const void *)g->lineage, sizeof g->lineage, g->epoch,
                       g->title, g->not_after, (int64_t)state, (const void *)ref->file.p, ref->file.n, now));
    CLO_TRY(insert_members(db, g));
    if (g->epoch > 1) CLO_TRY(kms_ledger_state(db, NULL, g->id, ref->file, now));
    for (size_t i = 0; i < g->dataset_count; i++) {
        const clo_collab_dataset_terms *d = &g->datasets[i];
        if (strcmp(d->owner, kms->owner.name) != 0) continue;
        CLO_TRY(kms_db_run(db, "INSERT INTO agreement_datasets(agreement, dataset) VALUES(?1, ?2)", "bb", (const void *)g->id,
                           sizeof g->id, (const void *)d->id, sizeof d->id));
        CLO_TRY(kms_ledger_limit(db, d->id, d->name, d->delta, g->id, d->rho, false, now));
    }
    return CLO_OK;
}
