/* Rotation of the key encryption keys. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include "os/file.h"

enum { REWRAP_ROWS = 256 };
typedef struct {
    uint32_t to;
    size_t done;
} rewrap_order;

typedef struct {
    char id[CLO_KMS_ID];
    uint8_t dataset[32], version[32], wrapped[KMS_WRAPPED];
    uint32_t kek_version;
} rewrap_row;

static clo_err rewrap_one(clo_kms *kms, kms_db *db, const rewrap_row *r)
{
    CLO_KEY32(dek);
    uint8_t wrapped[KMS_WRAPPED];
    uint32_t version = 0;
    CLO_TRY(kms_dek_unwrap(kms, r->dataset, r->version, r->kek_version, r->wrapped, &dek));
    CLO_TRY(kms_dek_wrap(kms, r->dataset, r->version, &dek, wrapped, &version));
    return kms_db_run(db, "UPDATE deks SET wrapped = ?2, kek_version = ?3 WHERE id = ?1", "tbi", r->id, (const void *)wrapped,
                      sizeof wrapped, (int64_t)version);
}

static clo_err rewrap_next(kms_db *db, uint32_t to, rewrap_row *r, bool *found)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(
        db, &s,
        "SELECT id, dataset, version, wrapped, kek_version FROM deks WHERE kek_version < ?1 AND wrapped IS NOT NULL LIMIT 1", "i",
        (int64_t)to));
    CLO_TRY(kms_db_row(s, found));
    if (!*found) return CLO_OK;
    kms_column_text(s, 0, r->id, sizeof r->id);
    CLO_TRY(kms_column_fixed(s, 1, r->dataset, sizeof r->dataset));
    CLO_TRY(kms_column_fixed(s, 2, r->version, sizeof r->version));
    CLO_TRY(kms_column_fixed(s, 3, r->wrapped, sizeof r->wrapped));
    r->kek_version = (uint32_t)kms_column_int(s, 4);
    return CLO_OK;
}

static clo_err rewrap_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)now;
    rewrap_order *o = context;
    o->done = 0;
    while (o->done < REWRAP_ROWS) {
        rewrap_row r;
        bool found = false;
        CLO_TRY(rewrap_next(db, o->to, &r, &found));
        if (!found) break;
        CLO_TRY(rewrap_one(kms, db, &r));
        o->done++;
    }
    return CLO_OK;
}

static clo_err ring_save(clo_kms *kms)
{
    char path[640];
    CLO_TRY(clo_os_path_join(path, sizeof path, kms->home, "identity.kms"));
    return kms_secrets_write(path, kms->secrets, false);
}

/* There is room. The ring is unchanged on failure. */
static clo_err ring_append(clo_kms *kms, uint32_t *version)
{
    kms_secrets *s = kms->secrets;
    kms_kek *last = &s->keks[s->kek_count - 1], *fresh = &s->keks[s->kek_count];
    CLO_TRY(clo_crypto_random(fresh->key.b, sizeof fresh->key.b));
    fresh->version = last->version + 1;
    fresh->state = CLO_KMS_KEY_ENABLED;
    last->state = CLO_KMS_KEY_DISABLED;
    s->kek_count++;
    clo_err e = ring_save(kms);
    if (clo_failed(e)) {
        s->kek_count--;
        last->state = CLO_KMS_KEY_ENABLED;
        clo_wipe(fresh, sizeof *fresh);
        return e;
    }
    *version = fresh->version;
    return CLO_OK;
}

/* Makes room by forgetting the oldest destroyed KEK, adds a new one and saves the ring; the ring is unchanged on failure. */
static clo_err ring_add(clo_kms *kms, uint32_t *version)
{
    enum { OTHERS = KMS_KEKS_MAX - 1 };
    kms_secrets *s = kms->secrets;
    if (s->kek_count < KMS_KEKS_MAX) return ring_append(kms, version);
    CLO_CHECKF(s->keks[0].state == CLO_KMS_KEY_DESTROYED, CLO_E_TOO_MANY, "there are %d key encryption keys in use", KMS_KEKS_MAX);
    uint32_t oldest = s->keks[0].version; /* all that is left of it */
    memmove(&s->keks[0], &s->keks[1], OTHERS * sizeof s->keks[0]);
    s->kek_count = OTHERS;
    clo_wipe(&s->keks[OTHERS], sizeof s->keks[0]);
    clo_err e = ring_append(kms, version);
    if (!clo_failed(e)) return CLO_OK;
    memmove(&s->keks[1], &s->keks[0], OTHERS * sizeof s->keks[0]);
    s->keks[0] = (kms_kek){.version = oldest, .state = CLO_KMS_KEY_DESTROYED};
    s->kek_count = KMS_KEKS_MAX;
    return e;
}

static clo_err ring_prune(clo_kms *kms)
{
    kms_secrets *s = kms->secrets;
    for (uint32_t i = 0; i + 1 < s->kek_count; i++) {
        clo_key32_wipe(&s->keks[i].key);
        s->keks[i].state = CLO_KMS_KEY_DESTROYED;
    }
    return ring_save(kms);
}

static clo_err rotate(clo_kms *kms, int64_t *version)
{
    rewrap_order o = {.to = 0};
    pthread_rwlock_wrlock(&kms->secrets_lock);
    clo_err e = ring_add(kms, &o.to);
    pthread_rwlock_unlock(&kms->secrets_lock);
    CLO_TRY(e);
    /* Writers come one after another, and each import takes the newest KEK there is: what used an older one is in the database by
     * now. */
    do {
        CLO_TRY(kms_write(kms, rewrap_job, &o));
    } while (o.done == REWRAP_ROWS);
    pthread_rwlock_wrlock(&kms->secrets_lock);
    e = ring_prune(kms);
    pthread_rwlock_unlock(&kms->secrets_lock);
    CLO_TRY(e);
    *version = o.to;
    return CLO_OK;
}

clo_err clo_kms_kek_rotate(clo_kms *kms, int64_t *version)
{
    pthread_mutex_lock(&kms->rotation_lock);
    clo_err e = rotate(kms, version);
    pthread_mutex_unlock(&kms->rotation_lock);
    return e;
}

clo_err clo_kms_kek_list(clo_kms *kms, clo_arena *a, clo_kms_kek **out, size_t *count)
{
    void *items = NULL;
    CLO_TRY(clo_arena_array(a, KMS_KEKS_MAX, sizeof(clo_kms_kek), &items));
    clo_kms_kek *keks = items;
    pthread_rwlock_rdlock(&kms->secrets_lock);
    *count = kms->secrets->kek_count;
    for (size_t i = 0; i < *count; i++)
        keks[i] =
            (clo_kms_kek){.version = kms->secrets->keks[i].version, .state = (clo_kms_key_state)kms->secrets->keks[i].state};
    pthread_rwlock_unlock(&kms->secrets_lock);
    *out = keks;
    return CLO_OK;
}
