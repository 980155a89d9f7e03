/* Collateral that was accepted once: what its bytes say, so that the next appraisal verifies only the report. */
#include "attest/attest_int.h"
#include "crypto/hash.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct {
    uint64_t used; /* 0 = free */
    uint8_t key[32];
    snp_collateral collateral;
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
    for (size_t i = 0; i < CLO_ATTEST_CACHE_ENTRIES; i++) clo_crypto_loaded_free(&(*cache)->entries[i].collateral.chain.loaded);
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

bool clo_attest_cache_find(clo_attest_cache *cache, const uint8_t key[32], snp_collateral *out)
{
    (void)pthread_mutex_lock(&cache->lock);
    cache_entry *found = entry_find(cache, key);
    if (found != NULL) {
        found->used = ++cache->clock;
        *out = found->collateral;
        out->chain.loaded = NULL;
        if (found->collateral.chain.loaded != NULL && clo_failed(clo_crypto_loaded_share(found->collateral.chain.loaded, &out->chain.loaded)))
            out->chain.loaded = NULL; /* its bytes do as well */
        cache->counts.hits++;
    } else {
        cache->counts.misses++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return found != NULL;
}

void clo_attest_cache_put(clo_attest_cache *cache, const uint8_t key[32], const snp_collateral *collateral)
{
    clo_crypto_loaded_key *loaded = NULL;
    if (clo_failed(clo_crypto_load_public(&collateral->chain.key, &loaded))) return;
    (void)pthread_mutex_lock(&cache->lock);
    cache_entry *to = entry_find(cache, key); /* another thread may have been faster */
    if (to == NULL) {
        to = &cache->entries[0];
        for (size_t i = 1; i < CLO_ATTEST_CACHE_ENTRIES; i++) {
            if (cache->entries[i].used < to->used) to = &cache->entries[i];
        }
        if (to->used == 0) cache->counts.entries++;
    }
    to->used = ++cache->clock;
    memcpy(to->key, key, sizeof to->key);
    clo_crypto_loaded_free(&to->collateral.chain.loaded);
    to->collateral = *collateral;
    to->collateral.chain.loaded = loaded;
    (void)pthread_mutex_unlock(&cache->lock);
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

clo_err clo_attest_cache_key(const clo_attest_context *c, bool simulated, uint8_t key[32], bool *cacheable)
{
    static const char *const roles[] = {"vcek_or_vlek", "ask", "ark", "crl"};
    static const char *const other_ways[] = {"ask_ark_chain", "root", "surplus"};
    enum { ROLES = sizeof roles / sizeof roles[0], CRL = ROLES - 1 };
    clo_span parts[ROLES];
    *cacheable = false;
    if (c->cache == NULL) return CLO_OK;
    for (size_t i = 0; i < sizeof other_ways / sizeof other_ways[0]; i++) {
        if (clo_attest_part_find(c, other_ways[i]) != NULL) return CLO_OK;
    }
    for (size_t i = 0; i < ROLES; i++) {
        const clo_attest_part *part = clo_attest_part_find(c, roles[i]);
        parts[i] = part != NULL ? part->bytes : clo_span_of(NULL, 0);
        if (parts[i].n == 0 && i != CRL) return CLO_OK;
    }
    __attribute__((cleanup(clo_crypto_hasher_free))) clo_crypto_hasher *h = NULL;
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    CLO_TRY(put_span(h, clo_span_str("cloister/v1 accepted collateral")));
    CLO_TRY(put_number(h, simulated ? 1 : 0));
    CLO_TRY(put_span(h, clo_span_of(&c->policy->roots[0][0], c->policy->root_count * sizeof c->policy->roots[0])));
    for (size_t i = 0; i < ROLES; i++) CLO_TRY(put_span(h, parts[i]));
    CLO_TRY(clo_crypto_hasher_end(h, key));
    *cacheable = true;
    return CLO_OK;
}
