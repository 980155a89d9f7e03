/* Answers by Idempotency-Key, in memory: the last ones of a fixed number. */
#include "gateway/idempotency.h"
#include "base/clo_own.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 128, PRINCIPAL_MAX = 64, BODY_MAX = 1024 * 1024 };

typedef struct {
    char principal[PRINCIPAL_MAX];
    char key[KEY_MAX + 1];
    uint8_t fingerprint[32];
    bool used, finished;
    uint64_t touched;
    unsigned status;
    char type[64];
    clo_buf body;
} slot;
struct clo_gateway_replay_store {
    pthread_mutex_t lock; /* rank: leaf; guards all below */
    size_t capacity;
    uint64_t clock;
    slot slots[];
};

clo_err clo_gateway_replay_store_new(clo_gateway_replay_store **out, size_t capacity)
{
    CLO_CHECK(capacity >= 1 && capacity <= 100000, CLO_E_RANGE);
    clo_gateway_replay_store *s = calloc(1, sizeof *s + capacity * sizeof(slot));
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->capacity = capacity;
    for (size_t i = 0; i < capacity; i++) clo_buf_init(&s->slots[i].body, BODY_MAX);
    *out = s;
    return CLO_OK;
}

void clo_gateway_replay_store_free(clo_gateway_replay_store **store)
{
    clo_gateway_replay_store *s = *store;
    *store = NULL;
    if (s == NULL) return;
    for (size_t i = 0; i < s->capacity; i++) clo_buf_free(&s->slots[i].body);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

static slot *find(clo_gateway_replay_store *s, const char *principal, const char *key)
{
    for (size_t i = 0; i < s->capacity; i++)
        if (s->slots[i].used && strcmp(s->slots[i].key, key) == 0 && strcmp(s->slots[i].principal, principal) == 0) return &s->slots[i];
    return NULL;
}

/* A free slot, or the oldest finished one. */
static slot *claim(clo_gateway_replay_store *s)
{
    slot *best = NULL;
    for (size_t i = 0; i < s->capacity; i++) {
        slot *at = &s->slots[i];
        if (!at->used) return at;
        if (at->finished && (best == NULL || at->touched < best->touched)) best = at;
    }
    return best;
}

static clo_err begin_locked(clo_gateway_replay_store *s, const char *principal, const char *key, const uint8_t fingerprint[32], bool *found,
                            clo_gateway_recorded *recorded)
{
    slot *at = find(s, principal, key);
    if (at != NULL) {
        CLO_CHECKF(memcmp(at->fingerprint, fingerprint, 32) == 0, CLO_E_CONFLICT,
                   "this Idempotency-Key was used for another request; take a fresh one");
        CLO_CHECKF(at->finished, CLO_E_AGAIN, "the first request of this Idempotency-Key is still being worked on");
        CLO_TRY(clo_buf_put_span(&recorded->body, clo_buf_span(&at->body)));
        recorded->status = at->status;
        memcpy(recorded->type, at->type, sizeof recorded->type);
        *found = true;
        return CLO_OK;
    }
    *found = false;
    at = claim(s);
    CLO_CHECKF(at != NULL, CLO_E_AGAIN, "too many requests with Idempotency-Key are being worked on");
    CLO_CHECK(strlen(principal) < PRINCIPAL_MAX && strlen(key) <= KEY_MAX, CLO_E_TOO_LARGE);
    clo_buf_free(&at->body);
    memcpy(at->principal, principal, strlen(principal) + 1);
    memcpy(at->key, key, strlen(key) + 1);
    memcpy(at->fingerprint, fingerprint, 32);
    at->used = true;
    at->finished = false;
    at->touched = ++s->clock;
    return CLO_OK;
}

static clo_err begin(void *context, const char *principal, const char *key, const uint8_t fingerprint[32], bool *found,
                     clo_gateway_recorded *recorded)
{
    clo_gateway_replay_store *s = context;
    (void)pthread_mutex_lock(&s->lock);
    clo_err e = begin_locked(s, principal, key, fingerprint, found, recorded);
    (void)pthread_mutex_unlock(&s->lock);
    return e;
}

static clo_err finish(void *context, const char *principal, const char *key, const clo_gateway_recorded *recorded)
{
    clo_gateway_replay_store *s = context;
    clo_err e = CLO_OK;
    (void)pthread_mutex_lock(&s->lock);
    slot *at = find(s, principal, key);
    if (at != NULL) {
        if (recorded != NULL) e = clo_buf_put_span(&at->body, clo_buf_span(&recorded->body));
        if (recorded == NULL || clo_failed(e)) {
            at->used = false;
        } else {
            at->status = recorded->status;
            memcpy(at->type, recorded->type, sizeof at->type);
            at->finished = true;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return e;
}

clo_gateway_idempotency clo_gateway_replay_store_hooks(clo_gateway_replay_store *store)
{
    return (clo_gateway_idempotency){.begin = begin, .finish = finish, .context = store};
}
