/* Collateral that was accepted once: what its bytes say, so that the next appraisal verifies only what is new. */
#include "attest/chain.h"
#include "crypto/hash.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct {
    uint64_t used; /* 0 = free */
    uint8_t key[32];
    clo_attest_verified *kept;
} cache_entry;

/* The lock ranks below every lock of a caller: nothing that locks is called while it is held. */
struct clo_attest_cache {
    pthread_mutex_t lock;
    uint64_t clock;
    clo_attest_cache_counts counts;
    cache_entry entries[CLO_ATTEST_CACHE_ENTRIES];
};

clo_err clo_attest_cache_new(clo_attest_cache **out)
{
    clo_attest_cache *made = calloc(1, sizeof *made);
    CLO_CHECK(made != NULL, CLO_E_NOMEM);
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return CLO_FAIL(CLO_E_NOMEM);
    }
    *out = made;
    return CLO_OK;
}

void clo_attest_cache_free(clo_attest_cache **cache)
{
    if (*cache == NULL) return;
    for (size_t i = 0; i < CLO_ATTEST_CACHE_ENTRIES; i++) clo_attest_verified_release((*cache)->entries[i].kept);
    (void)pthread_mutex_destroy(&(*cache)->lock);
    free(*cache);
    *cache = NULL;
}

clo_attest_cache_counts clo_attest_cache_count(clo_attest_cache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    clo_attest_cache_counts counts = cache->counts;
    (void)pthread_mutex_unlock(&cache->lock);
    return counts;
}

static cache_entry *entry_find(clo_attest_cache *cache, const uint8_t key[32])
{
    for (size_t i = 0; i < CLO_ATTEST_CACHE_ENTRIES; i++) {
        if (cache->entries[i].used != 0 && memcmp(cache->entries[i].key, key, 32) == 0) return &cache->entries[i];
    }
    return NULL;
}

static clo_attest_verified *share(clo_attest_verified *v)
{
    unsigned before = __atomic_fetch_add(&v->owners, 1, __ATOMIC_RELAXED);
    assert(before != 0);
    return v;
}

void clo_attest_verified_release(clo_attest_verified *v)
{
    if (v == NULL) return;
    /* The last owner sees everything that the others did to it before they let go. */
    if (__atomic_fetch_sub(&v->owners, 1, __ATOMIC_ACQ_REL) == 1) v->destroy(v);
}

clo_attest_verified *clo_attest_cache_take(clo_attest_cache *cache, const uint8_t key[32])
{
    if (cache == NULL) return NULL;
    (void)pthread_mutex_lock(&cache->lock);
    cache_entry *found = entry_find(cache, key);
    clo_attest_verified *kept = NULL;
    if (found != NULL) {
        found->used = ++cache->clock;
        kept = share(found->kept);
        cache->counts.hits++;
    } else {
        cache->counts.misses++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return kept;
}

void clo_attest_cache_keep(clo_attest_cache *cache, const uint8_t key[32], clo_attest_verified *v)
{
    if (cache == NULL) return;
    (void)pthread_mutex_lock(&cache->lock);
    cache_entry *to = entry_find(cache, key); /* another thread may have been faster */
    if (to == NULL) {
        to = &cache->entries[0];
        for (size_t i = 1; i < CLO_ATTEST_CACHE_ENTRIES; i++) {
            if (cache->entries[i].used < to->used) to = &cache->entries[i];
        }
        if (to->used == 0) cache->counts.entries++;
    }
    clo_attest_verified *old = to->kept;
    to->used = ++cache->clock;
    memcpy(to->key, key, sizeof to->key);
    to->kept = share(v);
    (void)pthread_mutex_unlock(&cache->lock);
    clo_attest_verified_release(old);
}

static clo_err put_number(clo_crypto_hasher *h, uint64_t number)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    return clo_crypto_hasher_put(h, clo_span_of(bytes, sizeof bytes));
}

static clo_err put_span(clo_crypto_hasher *h, clo_span s)
{
    CLO_TRY(put_number(h, s.n));
    return s.n == 0 ? CLO_OK : clo_crypto_hasher_put(h, s);
}

clo_err clo_attest_cache_key_parts(const clo_attest_context *c, const char *kind, const clo_span *parts, size_t count, uint8_t key[32])
{
    __attribute__((cleanup(clo_crypto_hasher_free))) clo_crypto_hasher *h = NULL;
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    CLO_TRY(put_span(h, clo_span_str("cloister/v1 accepted collateral")));
    CLO_TRY(put_span(h, clo_span_str(kind)));
    CLO_TRY(put_number(h, c->policy->custom_root ? 1 : 0));
    CLO_TRY(put_span(h, clo_span_of(&c->policy->roots[0][0], c->policy->root_count * sizeof c->policy->roots[0])));
    for (size_t i = 0; i < count; i++) CLO_TRY(put_span(h, parts[i]));
    return clo_crypto_hasher_end(h, key);
}
