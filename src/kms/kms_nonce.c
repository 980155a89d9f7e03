/* The service's time and its nonces. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include <stdio.h>

enum { NONCE_VERSION = 1, NONCE_AT_TIME = 1, NONCE_AT_RANDOM = 9, NONCE_AT_BINDING = 25, NONCE_AT_MAC = 40, NONCE_MAC = 32 };
_Static_assert(NONCE_AT_MAC + NONCE_MAC == CLO_NONCE, "the parts of a nonce fill it");

/* A clock that is slewed may be a little behind what the monotonic clock has made of it. */
enum { TOLERANCE = 5 };

void kms_time_start(clo_kms *kms, int64_t persisted, bool *went_back)
{
    int64_t wall = clo_os_clock_wall(kms->clock);
    kms->time_mono = clo_os_clock_monotonic(kms->clock);
    kms->time_now = wall > persisted ? wall : persisted;
    kms->time_persisted = persisted;
    *went_back = wall + TOLERANCE < persisted;
}

clo_err clo_kms_now(clo_kms *kms, int64_t *now)
{
    enum { NS = 1000000000 };
    uint64_t mono = clo_os_clock_monotonic(kms->clock);
    int64_t wall = clo_os_clock_wall(kms->clock);
    pthread_mutex_lock(&kms->time_lock);
    uint64_t seconds = mono > kms->time_mono ? (mono - kms->time_mono) / NS : 0;
    int64_t due = kms->time_now + (int64_t)seconds;
    bool jumped = wall > due + CLO_KMS_CLOCK_JUMP_SECONDS;
    if (!jumped) {
        kms->time_mono += seconds * NS;
        kms->time_now = wall > due ? wall : due;
    }
    int64_t result = kms->time_now;
    pthread_mutex_unlock(&kms->time_lock);
    if (jumped) {
        char actual[80];
        (void)snprintf(actual, sizeof actual, "%lld s ahead", (long long)(wall - due));
        return CLO_DENY(CLO_E_DENIED, "clock.wall", "at most 600 s ahead of the monotonic clock", actual, "key service",
                        "correct the clock of the key service's machine; restart cloister-kms if the change was intended");
    }
    *now = result;
    return CLO_OK;
}

static clo_err nonce_mac(const clo_kms *kms, const uint8_t nonce[CLO_NONCE], uint8_t mac[NONCE_MAC])
{
    return clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(kms->secrets->nonce.b, sizeof kms->secrets->nonce.b),
                           clo_span_of(nonce, NONCE_AT_MAC), mac);
}

clo_err clo_kms_nonce(clo_kms *kms, uint8_t out[CLO_NONCE])
{
    int64_t now = 0;
    CLO_TRY(clo_kms_now(kms, &now));
    uint8_t nonce[CLO_NONCE] = {NONCE_VERSION};
    uint64_t ms = (uint64_t)now * 1000;
    for (int i = 0; i < 8; i++) nonce[NONCE_AT_TIME + i] = (uint8_t)(ms >> (56 - 8 * i));
    CLO_TRY(clo_crypto_random(nonce + NONCE_AT_RANDOM, NONCE_AT_BINDING - NONCE_AT_RANDOM));
    memcpy(nonce + NONCE_AT_BINDING, kms->nonce_binding, sizeof kms->nonce_binding);
    CLO_TRY(nonce_mac(kms, nonce, nonce + NONCE_AT_MAC));
    memcpy(out, nonce, sizeof nonce);
    return CLO_OK;
}

static clo_err nonce_check(const clo_kms *kms, const uint8_t nonce[CLO_NONCE], int64_t now)
{
    static const char remedy[] = "fetch a fresh nonce from this key service and make new evidence for it";
    uint8_t mac[NONCE_MAC];
    CLO_TRY(nonce_mac(kms, nonce, mac));
    if (clo_ct_declassify(clo_ct_differ(mac, nonce + NONCE_AT_MAC, sizeof mac)))
        return CLO_DENY(CLO_E_DENIED, "nonce.mac", "a nonce made by this key service", "its authentication code does not match",
                        "key service", remedy);
    clo_rd r = clo_rd_init(clo_span_of(nonce + NONCE_AT_TIME, 8));
    int64_t made = (int64_t)(clo_rd_u64be(&r) / 1000);
    char actual[80];
    (void)snprintf(actual, sizeof actual, "%lld s old", (long long)(now - made));
    if (made > now || now - made > CLO_KMS_NONCE_SECONDS)
        return CLO_DENY(CLO_E_EXPIRED, "nonce.time", "at most 60 s old", actual, "key service", remedy);
    return CLO_OK;
}

clo_err kms_nonce_find(clo_kms *kms, const clo_collab_binding *b, int64_t now, size_t *index)
{
    for (size_t i = 0; i < b->nonce_count; i++) {
        const uint8_t *nonce = b->nonces[i].bytes;
        if (nonce[0] != NONCE_VERSION || memcmp(nonce + NONCE_AT_BINDING, kms->nonce_binding, sizeof kms->nonce_binding) != 0)
            continue;
        CLO_TRY(nonce_check(kms, nonce, now));
        *index = i;
        return CLO_OK;
    }
    return CLO_DENY(CLO_E_DENIED, "nonce.owner", "a nonce of this key service among the binding's nonces", "none", "key service",
                    "fetch a nonce from the key service of every owner of the run's datasets");
}

clo_err kms_nonce_deny_used(void)
{
    return CLO_DENY(CLO_E_REPLAYED, "nonce.unused", "a nonce that no release has used", "it was used before", "key service",
                    "fetch a fresh nonce from this key service and make new evidence for it");
}

clo_err kms_nonce_use(kms_db *db, const uint8_t nonce[CLO_NONCE], int64_t now)
{
    uint8_t hash[32];
    CLO_TRY(clo_crypto_sha256(clo_span_of(nonce, CLO_NONCE), hash));
    /* Expired nonces are refused by their time for ever, because the service's time never goes back. */
    CLO_TRY(kms_db_run(db, "DELETE FROM nonces WHERE expires < ?1", "i", now));
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT 1 FROM nonces WHERE hash = ?1", "b", (const void *)hash, sizeof hash));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    if (row) return kms_nonce_deny_used();
    return kms_db_run(db, "INSERT INTO nonces(hash, expires) VALUES(?1, ?2)", "bi", (const void *)hash, sizeof hash,
                      now + CLO_KMS_NONCE_SECONDS);
}
