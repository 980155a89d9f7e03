/* The home directory: making, opening and closing a key service. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include "os/file.h"
#include "os/log.h"
#include "wire/container.h"
#include <stdlib.h>

static const char owner_magic[8] = {'C', 'L', 'O', 'K', 'M', 'S', 'O', 'W'};
enum { OWNER_MAX = 1024 };

/* owner.pin: container (CLOKMSOW, 1) ‖ name (64, zero padded) ‖ Ed25519 key (32) ‖ HPKE key (32). */
static clo_err owner_write(const char *path, const clo_collab_party *owner)
{
    CLO_CHECKF(owner->sign.alg == CLO_SIGN_ED25519 && owner->sign.n == 32, CLO_E_UNSUPPORTED,
               "an owner's signing key must be Ed25519");
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, OWNER_MAX);
    CLO_TRY(clo_wire_container_put(&b, owner_magic, 1));
    CLO_TRY(clo_buf_put(&b, owner->name, sizeof owner->name));
    CLO_TRY(clo_buf_put(&b, owner->sign.bytes, 32));
    CLO_TRY(clo_buf_put(&b, owner->hpke, sizeof owner->hpke));
    return clo_os_file_write_new(path, clo_buf_span(&b), 0600);
}

static clo_err owner_read(const char *path, clo_collab_party *out)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, OWNER_MAX);
    CLO_TRY(clo_os_file_read(path, OWNER_MAX, &b));
    clo_span body = {NULL, 0};
    uint32_t version = 0;
    CLO_TRY(clo_wire_container_open(clo_buf_span(&b), owner_magic, 1, &version, &body));
    clo_rd r = clo_rd_init(body);
    clo_collab_party p = {.hpke = {0}};
    clo_rd_copy(&r, p.name, sizeof p.name);
    clo_span key = clo_rd_span(&r, 32);
    clo_rd_copy(&r, p.hpke, sizeof p.hpke);
    CLO_TRY(clo_rd_end(&r));
    CLO_CHECKF(p.name[sizeof p.name - 1] == '\0' && clo_name_valid(p.name), CLO_E_MALFORMED, "%s holds no party name", path);
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, key, &p.sign));
    *out = p;
    return CLO_OK;
}

static clo_err database_make(const char *path, const char *schema, bool durable)
{
    CLO_TRY(clo_os_file_write_new(path, clo_span_of(NULL, 0), 0600));
    kms_db db;
    CLO_TRY(kms_db_open(&db, path, durable));
    clo_err e = kms_db_script(&db, "BEGIN");
    if (!clo_failed(e)) e = kms_db_script(&db, schema);
    if (!clo_failed(e)) e = kms_db_script(&db, "COMMIT");
    kms_db_close(&db);
    return e;
}

static clo_err home_path(const char *home, const char *name, char path[640]) { return clo_os_path_join(path, 640, home, name); }

/* Does this database hold keys or budget? One whose making broke off has no tables. */
static bool database_used(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(db, "SELECT 1 FROM ledger UNION ALL SELECT 1 FROM deks LIMIT 1", -1, &s, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(s);
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
    return code != SQLITE_ERROR && code != SQLITE_DONE; /* ERROR: no such table; what cannot be read may be of worth */
}

/* A home without an identity is one whose making broke off: what it left is removed, unless there is anything of worth in it. */
static clo_err clear_half_made(const char *home)
{
    static const char *const names[] = {"owner.pin", "kms.db", "kms.db-wal", "kms.db-shm", "denials.db", "denials.db-wal", "denials.db-shm"};
    char path[640];
    CLO_TRY(home_path(home, "kms.db", path));
    CLO_CHECKF(!clo_os_file_exists(path) || !database_used(path), CLO_E_CONFLICT,
               "%s holds a key service's ledger but its identity.kms is missing; put that back from a backup", home);
    CLO_TRY(clo_os_dir_sweep(home));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CLO_TRY(home_path(home, names[i], path));
        CLO_TRY(clo_os_file_remove(path));
    }
    return CLO_OK;
}

clo_err clo_kms_init(const char *home, const clo_collab_party *owner)
{
    char path[640];
    CLO_AUTO(clo_os_fd_close) int lock = -1;
    CLO_TRY(clo_crypto_init());
    CLO_TRY(clo_os_dir_make(home));
    CLO_TRY(home_path(home, "identity.kms", path));
    CLO_CHECKF(!clo_os_file_exists(path), CLO_E_EXISTS, "%s is the home of a key service already; choose another directory",
               home);
    CLO_TRY(home_path(home, "lock", path));
    CLO_TRY(clo_os_lock_take(path, &lock));
    CLO_TRY(clear_half_made(home));
    CLO_TRY(home_path(home, "owner.pin", path));
    CLO_TRY(owner_write(path, owner));
    CLO_TRY(home_path(home, "kms.db", path));
    CLO_TRY(database_make(path, kms_schema, true));
    CLO_TRY(home_path(home, "denials.db", path));
    CLO_TRY(database_make(path, kms_denials_schema, false));
    CLO_AUTO(clo_os_secret_free) clo_os_secret pages = {0};
    CLO_TRY(clo_os_secret_new(&pages, sizeof(kms_secrets), false));
    CLO_TRY(kms_secrets_make(pages.p));
    /* The identity comes last: a home that has it is complete. */
    CLO_TRY(home_path(home, "identity.kms", path));
    return kms_secrets_write(path, pages.p, true);
}

static clo_err open_identity(clo_kms *k)
{
    char path[640];
    CLO_TRY(home_path(k->home, "owner.pin", path));
    CLO_TRY(owner_read(path, &k->owner));
    CLO_TRY(clo_collab_party_kid(&k->owner, k->owner_kid));
    CLO_TRY(clo_os_secret_new(&k->secret_pages, sizeof(kms_secrets), false));
    k->secrets = k->secret_pages.p;
    CLO_TRY(home_path(k->home, "identity.kms", path));
    CLO_TRY(kms_secrets_read(path, k->secrets));
    clo_crypto_hpke_private sk = {.kem = CLO_HPKE_KEM_X25519};
    clo_crypto_hpke_public pk;
    clo_key32_copy(&sk.secret, &k->secrets->hpke);
    clo_err e = clo_crypto_hpke_public_of(&sk, &pk);
    clo_crypto_hpke_private_wipe(&sk);
    CLO_TRY(e);
    memcpy(k->hpke_public, pk.bytes, sizeof k->hpke_public);
    uint8_t both[64], hash[32];
    memcpy(both, k->hpke_public, 32);
    memcpy(both + 32, k->owner_kid, 32);
    CLO_TRY(clo_crypto_sha256(clo_span_of(both, sizeof both), hash));
    memcpy(k->nonce_binding, hash, sizeof k->nonce_binding);
    return CLO_OK;
}

static clo_err read_time(clo_kms *kms, int64_t *persisted)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(&kms->reader, &s, "SELECT number FROM meta WHERE key = 'time_max'", ""));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    CLO_CHECK(row, CLO_E_DATABASE);
    *persisted = kms_column_int(s, 0);
    return CLO_OK;
}

static clo_err end_all(clo_kms *kms, kms_db *db, int64_t now, void *context) { return kms_sweep_in(kms, db, now, true, context); }

static clo_err open_databases(clo_kms *k)
{
    char path[640];
    CLO_TRY(home_path(k->home, "kms.db", path));
    CLO_TRY(kms_db_open(&k->writer, path, true));
    CLO_TRY(kms_schema_upgrade(&k->writer, k->home));
    CLO_TRY(kms_db_open(&k->reader, path, true));
    clo_kms_ledger_report report;
    CLO_TRY(clo_kms_ledger_check(path, &report));
    CLO_CHECKF(report.valid, CLO_E_DATABASE, "the ledger of %s does not add up: %s; restore the home from a backup", k->home,
               report.detail);
    CLO_TRY(home_path(k->home, "denials.db", path));
    CLO_TRY(kms_db_open(&k->denials, path, false));
    int64_t persisted = 0;
    bool went_back = false;
    CLO_TRY(read_time(k, &persisted));
    kms_time_start(k, persisted, &went_back);
    if (!went_back) return clo_kms_sweep(k, NULL);
    /* Nobody can tell how long the service was down: no lease is taken on trust. Ending one early only refuses its commit. */
    clo_os_log(CLO_OS_LOG_WARNING, "clock-behind", NULL,
               "the clock is behind the last time that this key service saw; open leases end");
    size_t ended = 1;
    while (ended > 0) CLO_TRY(kms_write(k, end_all, &ended));
    return CLO_OK;
}

static clo_err open_home(clo_kms *k, const char *home)
{
    CLO_TRY(clo_crypto_init());
    CLO_TRY(clo_str_set(k->home, sizeof k->home, clo_span_str(home)));
    char path[640];
    CLO_TRY(home_path(home, "identity.kms", path));
    CLO_CHECKF(clo_os_file_exists(path), CLO_E_NOT_FOUND, "%s is no home of a key service; make one with \"cloister-kms init\"",
               home);
    CLO_TRY(home_path(home, "lock", path));
    CLO_TRY(clo_os_lock_take(path, &k->lock_fd));
    CLO_TRY(clo_os_dir_sweep(home));
    CLO_TRY(open_identity(k));
    return open_databases(k);
}

clo_err clo_kms_open(clo_kms **out, const char *home, const clo_os_clock *clock)
{
    clo_kms *k = calloc(1, sizeof *k);
    CLO_CHECK(k != NULL, CLO_E_NOMEM);
    k->lock_fd = -1;
    k->clock = clock != NULL ? clock : clo_os_clock_system();
    (void)pthread_rwlock_init(&k->secrets_lock, NULL);
    (void)pthread_mutex_init(&k->rotation_lock, NULL);
    (void)pthread_mutex_init(&k->commit_lock, NULL);
    (void)pthread_cond_init(&k->commit_done, NULL);
    (void)pthread_mutex_init(&k->reader_lock, NULL);
    (void)pthread_mutex_init(&k->cache_lock, NULL);
    (void)pthread_mutex_init(&k->time_lock, NULL);
    (void)pthread_mutex_init(&k->denials_lock, NULL);
    (void)pthread_mutex_init(&k->witness_lock, NULL);
    (void)pthread_cond_init(&k->witness_done, NULL);
    clo_err e = clo_attest_cache_new(&k->collateral);
    if (!clo_failed(e)) e = open_home(k, home);
    if (clo_failed(e)) {
        clo_kms_free(&k);
        return e;
    }
    *out = k;
    return CLO_OK;
}

void clo_kms_free(clo_kms **kms)
{
    clo_kms *k = *kms;
    if (k == NULL) return;
    *kms = NULL;
    kms_agreement_cache_free(k);
    clo_attest_cache_free(&k->collateral);
    kms_db_close(&k->writer);
    kms_db_close(&k->reader);
    kms_db_close(&k->denials);
    clo_os_secret_free(&k->secret_pages);
    clo_os_fd_close(&k->lock_fd);
    (void)pthread_rwlock_destroy(&k->secrets_lock);
    (void)pthread_mutex_destroy(&k->rotation_lock);
    (void)pthread_mutex_destroy(&k->commit_lock);
    (void)pthread_cond_destroy(&k->commit_done);
    (void)pthread_mutex_destroy(&k->reader_lock);
    (void)pthread_mutex_destroy(&k->cache_lock);
    (void)pthread_mutex_destroy(&k->time_lock);
    (void)pthread_mutex_destroy(&k->denials_lock);
    (void)pthread_mutex_destroy(&k->witness_lock);
    (void)pthread_cond_destroy(&k->witness_done);
    free(k);
}

const clo_collab_party *clo_kms_owner(const clo_kms *kms) { return &kms->owner; }
const uint8_t *clo_kms_owner_kid(const clo_kms *kms) { return kms->owner_kid; }
const uint8_t *clo_kms_hpke(const clo_kms *kms) { return kms->hpke_public; }
