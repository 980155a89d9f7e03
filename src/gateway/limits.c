/* Token buckets in a fixed hash table with least-recently-used replacement inside each set. */
#include "gateway/limits.h"
#include "base/clo_own.h"
#include "base/clo_span.h"
#include <pthread.h>
#include <stdlib.h>

enum { SET_SIZE = 8, NAME_MAX_BYTES = 64 };

typedef struct {
    char name[NAME_MAX_BYTES];
    double tokens;
    uint64_t at_ns; /* 0 = free */
} bucket;
struct clo_gateway_buckets {
    pthread_mutex_t lock; /* rank: leaf; guards the table */
    double per_second, burst;
    size_t set_count;
    bucket table[];
};

clo_err clo_gateway_buckets_new(clo_gateway_buckets **out, size_t names_max, double per_second, double burst)
{
    CLO_CHECK(names_max >= 1 && names_max <= (size_t)1 << 20 && per_second > 0.0, CLO_E_RANGE);
    size_t sets = (names_max + SET_SIZE - 1) / SET_SIZE;
    clo_gateway_buckets *b = calloc(1, sizeof *b + sets * SET_SIZE * sizeof(bucket));
    CLO_CHECK(b != NULL, CLO_E_NOMEM);
    b->per_second = per_second;
    b->burst = burst < 1.0 ? 1.0 : burst;
    b->set_count = sets;
    (void)pthread_mutex_init(&b->lock, NULL);
    *out = b;
    return CLO_OK;
}

void clo_gateway_buckets_free(clo_gateway_buckets **buckets)
{
    if (*buckets == NULL) return;
    (void)pthread_mutex_destroy(&(*buckets)->lock);
    free(*buckets);
    *buckets = NULL;
}

static size_t hash_name(const char *name)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *name != 0; name++) h = (h ^ (uint8_t)*name) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

static bucket *find(clo_gateway_buckets *b, const char *name, uint64_t now_ns)
{
    bucket *set = &b->table[hash_name(name) % b->set_count * SET_SIZE], *oldest = set;
    for (size_t i = 0; i < SET_SIZE; i++) {
        if (set[i].at_ns != 0 && strncmp(set[i].name, name, NAME_MAX_BYTES - 1) == 0) return &set[i];
        if (set[i].at_ns < oldest->at_ns) oldest = &set[i];
    }
    *oldest = (bucket){.tokens = b->burst, .at_ns = now_ns};
    size_t n = strnlen(name, NAME_MAX_BYTES - 1);
    memcpy(oldest->name, name, n);
    return oldest;
}

/* Are there tokens, and take one of them? */
static bool look(clo_gateway_buckets *buckets, const char *name, uint64_t now_ns, bool take, unsigned *retry_after_seconds)
{
    if (now_ns == 0) now_ns = 1;
    (void)pthread_mutex_lock(&buckets->lock);
    bucket *b = find(buckets, name, now_ns);
    if (now_ns > b->at_ns) {
        b->tokens += (double)(now_ns - b->at_ns) / 1e9 * buckets->per_second;
        if (b->tokens > buckets->burst) b->tokens = buckets->burst;
        b->at_ns = now_ns;
    }
    bool there = b->tokens >= 1.0;
    if (there && take) b->tokens -= 1.0;
    double seconds = there ? 0.0 : (1.0 - b->tokens) / buckets->per_second;
    (void)pthread_mutex_unlock(&buckets->lock);
    if (!there) *retry_after_seconds = seconds > 3600.0 ? 3600u : (unsigned)seconds + 1u;
    return there;
}

bool clo_gateway_buckets_take(clo_gateway_buckets *buckets, const char *name, uint64_t now_ns, unsigned *retry_after_seconds)
{
    return look(buckets, name, now_ns, true, retry_after_seconds);
}

bool clo_gateway_buckets_empty(clo_gateway_buckets *buckets, const char *name, uint64_t now_ns, unsigned *retry_after_seconds)
{
    return !look(buckets, name, now_ns, false, retry_after_seconds);
}
