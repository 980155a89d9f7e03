/* How many connections, and how many bytes of request bodies, each address holds. */
#include "gateway/gateway_int.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct peer_entry peer_entry;
struct peer_entry {
    peer_entry *next;
    size_t count; /* of connections */
    size_t held;  /* bytes; they may outlive the connection while a worker has them */
    char peer[46];
};
enum { SLOTS = 1024 };
struct clo_gateway_peers {
    pthread_mutex_t lock; /* rank: leaf; guards all below */
    size_t per_peer_max, held_max, held_per_peer_max, held;
    peer_entry *slots[SLOTS];
};

clo_err clo_gateway_peers_new(clo_gateway_peers **out, const clo_gateway_options *o)
{
    clo_gateway_peers *p = calloc(1, sizeof *p);
    CLO_CHECK(p != NULL, CLO_E_NOMEM);
    p->per_peer_max = o->connections_per_peer_max;
    p->held_max = o->held_max;
    p->held_per_peer_max = o->held_per_peer_max;
    (void)pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return CLO_OK;
}

void clo_gateway_peers_free(clo_gateway_peers **peers)
{
    clo_gateway_peers *p = *peers;
    *peers = NULL;
    if (p == NULL) return;
    for (size_t i = 0; i < SLOTS; i++) {
        for (peer_entry *e = p->slots[i]; e != NULL;) {
            peer_entry *next = e->next;
            free(e);
            e = next;
        }
    }
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

static peer_entry **find(clo_gateway_peers *p, const char *peer)
{
    uint32_t h = 2166136261u;
    for (const char *c = peer; *c != 0; c++) h = (h ^ (uint8_t)*c) * 16777619u;
    peer_entry **at = &p->slots[h % SLOTS];
    while (*at != NULL && strcmp((*at)->peer, peer) != 0) at = &(*at)->next;
    return at;
}

bool clo_gateway_peers_enter(clo_gateway_peers *peers, const char *peer)
{
    (void)pthread_mutex_lock(&peers->lock);
    peer_entry **at = find(peers, peer);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL) memcpy((*at)->peer, peer, strnlen(peer, sizeof (*at)->peer - 1));
    }
    bool entered = *at != NULL && (*at)->count < peers->per_peer_max;
    if (entered) (*at)->count++;
    (void)pthread_mutex_unlock(&peers->lock);
    return entered;
}

static void drop_if_idle(peer_entry **at)
{
    peer_entry *e = *at;
    if (e->count != 0 || e->held != 0) return;
    *at = e->next;
    free(e);
}

void clo_gateway_peers_leave(clo_gateway_peers *peers, const char *peer)
{
    (void)pthread_mutex_lock(&peers->lock);
    peer_entry **at = find(peers, peer);
    if (*at != NULL && (*at)->count != 0) {
        (*at)->count--;
        drop_if_idle(at);
    }
    (void)pthread_mutex_unlock(&peers->lock);
}

bool clo_gateway_peers_hold(clo_gateway_peers *peers, const char *peer, size_t n)
{
    (void)pthread_mutex_lock(&peers->lock);
    peer_entry *e = *find(peers, peer);
    bool room = e != NULL && n <= peers->held_max - peers->held && n <= peers->held_per_peer_max - e->held;
    if (room) {
        e->held += n;
        peers->held += n;
    }
    (void)pthread_mutex_unlock(&peers->lock);
    return room;
}

void clo_gateway_peers_forget(clo_gateway_peers *peers, const char *peer, size_t n)
{
    (void)pthread_mutex_lock(&peers->lock);
    peer_entry **at = find(peers, peer);
    assert(*at != NULL);
    assert((*at)->held >= n);
    (*at)->held -= n;
    peers->held -= n;
    drop_if_idle(at);
    (void)pthread_mutex_unlock(&peers->lock);
}
