/* Data keys under key encryption keys: import, reading, states. */
#include "collab/key_import.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include <stdio.h>

enum { DEK_AAD = 16 + 32 + 32 + 4 };
static const char dek_label[16] = "cloister/v1 dek"; /* with its zero byte */

clo_err kms_key_id(const uint8_t dataset[32], const uint8_t version[32], char id[CLO_KMS_ID])
{
    static const char label[16] = "cloister/v1 key";
    uint8_t bytes[16 + 32 + 32], hash[32];
    memcpy(bytes, label, 16);
    memcpy(bytes + 16, dataset, 32);
    memcpy(bytes + 48, version, 32);
    CLO_TRY(clo_crypto_sha256(clo_span_of(bytes, sizeof bytes), hash));
    clo_hex_encode(id, clo_span_of(hash, 16));
    return CLO_OK;
}

static void dek_aad(const uint8_t dataset[32], const uint8_t version[32], uint32_t kek_version, uint8_t aad[DEK_AAD])
{
    memcpy(aad, dek_label, 16);
    memcpy(aad + 16, dataset, 32);
    memcpy(aad + 48, version, 32);
    for (int i = 0; i < 4; i++) aad[80 + i] = (uint8_t)(kek_version >> (24 - 8 * i));
}

static clo_err wrap_under(const kms_kek *kek, const uint8_t dataset[32], const uint8_t version[32], const clo_key32 *dek,
                          uint8_t out[KMS_WRAPPED])
{
    uint8_t aad[DEK_AAD];
    dek_aad(dataset, version, kek->version, aad);
    CLO_TRY(clo_crypto_random(out, CLO_AEAD_NONCE));
    return clo_crypto_aead_seal(CLO_AEAD_AES_256_GCM, kek->key.b, clo_span_of(out, CLO_AEAD_NONCE), clo_span_of(aad, sizeof aad),
                                clo_span_of(dek->b, sizeof dek->b), out + CLO_AEAD_NONCE);
}

clo_err kms_dek_wrap(clo_kms *kms, const uint8_t dataset[32], const uint8_t version[32], const clo_key32 *dek,
                     uint8_t out[KMS_WRAPPED], uint32_t *kek_version)
{
    pthread_rwlock_rdlock(&kms->secrets_lock);
    const kms_kek *kek = &kms->secrets->keks[kms->secrets->kek_count - 1];
    *kek_version = kek->version;
    clo_err e = wrap_under(kek, dataset, version, dek, out);
    pthread_rwlock_unlock(&kms->secrets_lock);
    return e;
}

clo_err kms_dek_unwrap(clo_kms *kms, const uint8_t dataset[32], const uint8_t version[32], uint32_t kek_version,
                       const uint8_t wrapped[KMS_WRAPPED], clo_key32 *dek)
{
    clo_err e = CLO_OK;
    bool found = false;
    uint8_t aad[DEK_AAD];
    dek_aad(dataset, version, kek_version, aad);
    pthread_rwlock_rdlock(&kms->secrets_lock);
    for (uint32_t i = 0; i < kms->secrets->kek_count && !found; i++) {
        const kms_kek *kek = &kms->secrets->keks[i];
        found = kek->version == kek_version && kek->state != CLO_KMS_KEY_DESTROYED;
        if (found)
            e = clo_crypto_aead_open(CLO_AEAD_AES_256_GCM, kek->key.b, clo_span_of(wrapped, CLO_AEAD_NONCE),
                                     clo_span_of(aad, sizeof aad),
                                     clo_span_of(wrapped + CLO_AEAD_NONCE, KMS_WRAPPED - CLO_AEAD_NONCE), dek->b);
    }
    pthread_rwlock_unlock(&kms->secrets_lock);
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "key encryption key %u is gone; restore identity.kms from a backup",
               (unsigned)kek_version);
    return e;
}

/* ---- rows ---- */

static const char select_key[] =
    "SELECT id, name, dataset, version, state, created, changed, kek_version FROM deks WHERE id = ?1";

static clo_err key_fill(sqlite3_stmt *s, clo_kms_key *k)
{
    *k = (clo_kms_key){.created = 0};
    kms_column_text(s, 0, k->id, sizeof k->id);
    kms_column_text(s, 1, k->name, sizeof k->name);
    CLO_TRY(kms_column_fixed(s, 2, k->dataset, sizeof k->dataset));
    CLO_TRY(kms_column_fixed(s, 3, k->version, sizeof k->version));
    int64_t state = kms_column_int(s, 4);
    CLO_CHECK(state >= 0 && state < CLO_KMS_KEY_STATES, CLO_E_DATABASE);
    k->state = (clo_kms_key_state)state;
    k->created = kms_column_int(s, 5);
    k->changed = kms_column_int(s, 6);
    k->kek_version = kms_column_int(s, 7);
    return CLO_OK;
}

static clo_err key_find(kms_db *db, const char *id, clo_kms_key *out, bool *found)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, select_key, "t", id));
    CLO_TRY(kms_db_row(s, found));
    return *found ? key_fill(s, out) : CLO_OK;
}

clo_err kms_dek_require(kms_db *db, const uint8_t dataset[32], const uint8_t version[32], const char *name)
{
    char id[CLO_KMS_ID], actual[160];
    CLO_TRY(kms_key_id(dataset, version, id));
    clo_kms_key k;
    bool found = false;
    CLO_TRY(key_find(db, id, &k, &found));
    if (!found) {
        (void)snprintf(actual, sizeof actual, "no key for version %s of dataset %s", kms_hex8(version).text, name);
        return CLO_DENY(
            CLO_E_NOT_FOUND, "key.present", "the key of the requested dataset version", actual, "owner's key service",
            "the owner pushes this version with \"cloister dataset push\", or the request names a version that is here");
    }
    if (k.state == CLO_KMS_KEY_ENABLED) return CLO_OK;
    (void)snprintf(actual, sizeof actual, "%s (key %s)", clo_kms_key_state_name(k.state), id);
    return CLO_DENY(CLO_E_DENIED, "key.state", "enabled", actual, "owner's key service",
                    "the owner enables the key again (\"cloister key enable\"); a revoked or destroyed key never comes back");
}

/* ---- import ---- */

typedef struct {
    const clo_collab_manifest *m;
    clo_span manifest;
    const clo_key32 *dek;
    const uint8_t *rows; /* keyed digest */
    clo_kms_key *out;
} import_order;

static clo_err import_again(clo_kms *kms, kms_db *db, const import_order *o, const clo_kms_key *have)
{
    uint8_t wrapped[KMS_WRAPPED];
    CLO_CHECKF(have->state == CLO_KMS_KEY_ENABLED || have->state == CLO_KMS_KEY_DISABLED, CLO_E_CONFLICT,
               "the key of this version was %s here; seal the dataset anew for a fresh version",
               clo_kms_key_state_name(have->state));
    {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s, "SELECT wrapped FROM deks WHERE id = ?1", "t", have->id));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        CLO_CHECK(row, CLO_E_DATABASE);
        CLO_TRY(kms_column_fixed(s, 0, wrapped, sizeof wrapped));
    }
    CLO_KEY32(known);
    CLO_TRY(kms_dek_unwrap(kms, o->m->id, o->m->version, (uint32_t)have->kek_version, wrapped, &known));
    /* Whether an owner's two imports agree is no secret. */
    bool same = !clo_ct_declassify(clo_ct_differ(known.b, o->dek->b, sizeof known.b));
    CLO_CHECKF(same, CLO_E_CONFLICT, "another key is already kept for this version of dataset %s", o->m->name);
    /* A version that an older key service took in: its rows were not noted then. */
    if (o->m->row_count > 0)
        CLO_TRY(kms_db_run(db, "INSERT OR IGNORE INTO dataset_rows(digest, dataset, name) VALUES(?1, ?2, ?3)", "bbt", (const void *)o->rows, (size_t)32,
                           (const void *)o->m->id, sizeof o->m->id, o->m->name));
    *o->out = *have;
    return CLO_OK;
}

/* Rows have one budget for life: whoever brings the same ones under another name would begin a new one. */
static clo_err rows_require_new(kms_db *db, const import_order *o)
{
    const clo_collab_manifest *m = o->m;
    if (m->row_count == 0) return CLO_OK;
    char name[64], expected[120];
    uint8_t dataset[32];
    {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s, "SELECT dataset, name FROM dataset_rows WHERE digest = ?1", "b", (const void *)o->rows, (size_t)32));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        if (!row)
            return kms_db_run(db, "INSERT INTO dataset_rows(digest, dataset, name) VALUES(?1, ?2, ?3)", "bbt", (const void *)o->rows,
                              (size_t)32, (const void *)m->id, sizeof m->id, m->name);
        CLO_TRY(kms_column_fixed(s, 0, dataset, sizeof dataset));
        kms_column_text(s, 1, name, sizeof name);
    }
    if (memcmp(dataset, m->id, sizeof dataset) == 0) return CLO_OK;
    (void)snprintf(expected, sizeof expected, "dataset %s, under which these rows came first", name);
    return CLO_DENY(CLO_E_DENIED, "dataset.rows", expected, m->name, "owner's key service",
                    "seal them under the first name: their budget is there; \"cloister budget set\" gives it more");
}

static clo_err import_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    import_order *o = context;
    const clo_collab_manifest *m = o->m;
    clo_kms_key k = {.state = CLO_KMS_KEY_ENABLED, .created = now, .changed = now};
    CLO_TRY(kms_key_id(m->id, m->version, k.id));
    clo_kms_key have;
    bool found = false;
    CLO_TRY(key_find(db, k.id, &have, &found));
    if (found) return import_again(kms, db, o, &have);
    CLO_TRY(rows_require_new(db, o));
    uint8_t wrapped[KMS_WRAPPED];
    uint32_t kek_version = 0;
    CLO_TRY(kms_dek_wrap(kms, m->id, m->version, o->dek, wrapped, &kek_version));
    (void)snprintf(k.name, sizeof k.name, "%s", m->name);
    memcpy(k.dataset, m->id, sizeof k.dataset);
    memcpy(k.version, m->version, sizeof k.version);
    k.kek_version = kek_version;
    CLO_TRY(kms_db_run(db,
                       "INSERT INTO deks(id, dataset, version, name, manifest, state, kek_version, wrapped, created, changed)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
                       "tbbtbiibi", k.id, (const void *)m->id, sizeof m->id, (const void *)m->version, sizeof m->version, m->name,
                       (const void *)o->manifest.p, o->manifest.n, (int64_t)k.state, k.kek_version, (const void *)wrapped,
                       sizeof wrapped, now));
    *o->out = k;
    return CLO_OK;
}

static clo_err rows_keyed(const clo_kms *kms, const uint8_t rows[32], uint8_t out[32])
{
    static const char label[] = "cloister/v1 known rows";
    uint8_t bytes[sizeof label + 32];
    memcpy(bytes, label, sizeof label);
    memcpy(bytes + sizeof label, rows, 32);
    return clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(kms->secrets->nonce.b, sizeof kms->secrets->nonce.b), clo_span_of(bytes, sizeof bytes),
                           out);
}

clo_err clo_kms_key_import(clo_kms *kms, clo_span message, clo_kms_key *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_span manifest, sealed;
    uint8_t rows[32], keyed[32];
    CLO_TRY(clo_collab_key_import_decode(&a, message, &manifest, rows, &sealed));
    CLO_TRY(rows_keyed(kms, rows, keyed));
    clo_collab_manifest m;
    CLO_TRY(clo_collab_manifest_open(&a, manifest, &kms->owner.sign, &m));
    uint8_t id[32];
    CLO_TRY(clo_collab_dataset_id(&kms->owner, m.name, id));
    if (memcmp(id, m.id, sizeof id) != 0 || strcmp(m.owner, kms->owner.name) != 0)
        return CLO_DENY(CLO_E_DENIED, "dataset.owner", kms->owner.name, m.owner, "pinned owner of this key service",
                        "send the key to the key service of the dataset's own owner");
    CLO_KEY32(dek);
    CLO_TRY(clo_collab_key_import_open(&m, sealed, &kms->secrets->hpke, &dek));
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(&m, &info);
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *stream = NULL;
    clo_err e = clo_crypto_stream_open(&stream, &dek, &info, m.commitment);
    CLO_TRY(kms_deny_wrap(e, "dataset.commitment", "the key that the manifest commits to", "manifest",
                          "import the key that sealed this version"));
    clo_kms_key k;
    import_order o = {&m, manifest, &dek, keyed, &k};
    CLO_TRY(kms_write(kms, import_job, &o));
    *out = k;
    return CLO_OK;
}

/* ---- reading ---- */

typedef struct {
    const uint8_t *dataset, *version;
    int64_t kek_version;
    uint8_t wrapped[KMS_WRAPPED];
} dek_row;

static clo_err dek_read(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    dek_row *d = context;
    CLO_TRY(kms_dek_require(db, d->dataset, d->version, ""));
    char id[CLO_KMS_ID];
    CLO_TRY(kms_key_id(d->dataset, d->version, id));
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT kek_version, wrapped FROM deks WHERE id = ?1", "t", id));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    CLO_CHECK(row, CLO_E_NOT_FOUND);
    d->kek_version = kms_column_int(s, 0);
    return kms_column_fixed(s, 1, d->wrapped, sizeof d->wrapped);
}

clo_err kms_dek_open(clo_kms *kms, const uint8_t dataset[32], const uint8_t version[32], clo_key32 *dek)
{
    dek_row d = {.dataset = dataset, .version = version};
    CLO_TRY(kms_read(kms, dek_read, &d));
    clo_err e = kms_dek_unwrap(kms, dataset, version, (uint32_t)d.kek_version, d.wrapped, dek);
    if (e.code != CLO_E_NOT_FOUND) return e;
    /* A rotation came between the two: the row has moved to a newer KEK. */
    CLO_TRY(kms_read(kms, dek_read, &d));
    return kms_dek_unwrap(kms, dataset, version, (uint32_t)d.kek_version, d.wrapped, dek);
}

typedef struct {
    clo_arena *arena;
    clo_kms_key *items;
    size_t count;
} key_listing;
enum { KEYS_LISTED_MAX = 10000 };

static clo_err key_rows(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    key_listing *l = context;
    int64_t total = 0;
    {
        CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
        CLO_TRY(kms_db_query(db, &s, "SELECT count(*) FROM deks", ""));
        bool row = false;
        CLO_TRY(kms_db_row(s, &row));
        if (row) total = kms_column_int(s, 0);
    }
    size_t max = total < KEYS_LISTED_MAX ? (size_t)total : KEYS_LISTED_MAX;
    void *items = NULL;
    CLO_TRY(clo_arena_array(l->arena, max + 1, sizeof(clo_kms_key), &items));
    l->items = items;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(
        db, &s, "SELECT id, name, dataset, version, state, created, changed, kek_version FROM deks ORDER BY created DESC, id",
        ""));
    for (bool row = true; l->count < max; l->count++) {
        CLO_TRY(kms_db_row(s, &row));
        if (!row) break;
        CLO_TRY(key_fill(s, &l->items[l->count]));
    }
    return CLO_OK;
}

clo_err clo_kms_key_list(clo_kms *kms, clo_arena *a, clo_kms_key **out, size_t *count)
{
    key_listing l = {.arena = a};
    CLO_TRY(kms_read(kms, key_rows, &l));
    *out = l.items;
    *count = l.count;
    return CLO_OK;
}

/* ---- states ---- */

/* What each verb makes of each state; KEY_STATES = no such transition. */
static const uint8_t next_state[CLO_KMS_KEY_STATES][CLO_KMS_KEY_VERBS] = {
    /*                           ENABLE                DISABLE                REVOKE                DESTROY */
    [CLO_KMS_KEY_ENABLED] = {CLO_KMS_KEY_ENABLED, CLO_KMS_KEY_DISABLED, CLO_KMS_KEY_REVOKED, CLO_KMS_KEY_DESTROYED},
    [CLO_KMS_KEY_DISABLED] = {CLO_KMS_KEY_ENABLED, CLO_KMS_KEY_DISABLED, CLO_KMS_KEY_REVOKED, CLO_KMS_KEY_DESTROYED},
    [CLO_KMS_KEY_REVOKED] = {CLO_KMS_KEY_STATES, CLO_KMS_KEY_STATES, CLO_KMS_KEY_REVOKED, CLO_KMS_KEY_DESTROYED},
    [CLO_KMS_KEY_DESTROYED] = {CLO_KMS_KEY_STATES, CLO_KMS_KEY_STATES, CLO_KMS_KEY_STATES, CLO_KMS_KEY_DESTROYED},
};

typedef struct {
    const char *id;
    clo_kms_key_verb verb;
    clo_kms_key out;
} change_order;

static clo_err change_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    change_order *o = context;
    bool found = false;
    CLO_TRY(key_find(db, o->id, &o->out, &found));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "there is no key %.40s; see \"cloister key list\"", o->id);
    uint8_t next = next_state[o->out.state][o->verb];
    CLO_CHECKF(next < CLO_KMS_KEY_STATES, CLO_E_CONFLICT, "key %s is %s for ever; seal the dataset anew for a fresh version",
               o->out.id, clo_kms_key_state_name(o->out.state));
    if (next == o->out.state) return CLO_OK;
    o->out.state = (clo_kms_key_state)next;
    o->out.changed = now;
    static const uint8_t by_owner[32];
    char what[CLO_KMS_ID + 32];
    int n = snprintf(what, sizeof what, "%s%s", o->out.id, clo_kms_key_state_name(o->out.state));
    CLO_TRY(kms_ledger_state(db, o->out.dataset, by_owner, clo_span_of(what, (size_t)n), now));
    if (next == CLO_KMS_KEY_DESTROYED) CLO_TRY(kms_db_run(db, "UPDATE deks SET wrapped = NULL WHERE id = ?1", "t", o->id));
    return kms_db_run(db, "UPDATE deks SET state = ?2, changed = ?3 WHERE id = ?1", "tii", o->id, (int64_t)next, now);
}

clo_err clo_kms_key_change(clo_kms *kms, const char *id, clo_kms_key_verb verb, clo_kms_key *out)
{
    CLO_CHECKF((unsigned)verb < CLO_KMS_KEY_VERBS, CLO_E_RANGE, "this is no change of a key's state");
    change_order o = {.id = id, .verb = verb};
    CLO_TRY(kms_write(kms, change_job, &o));
    *out = o.out;
    return CLO_OK;
}
