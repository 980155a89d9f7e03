/* The event hub. Publishing copies the event once; every listener queue holds references to it. */
#include "gateway/events.h"
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DATA_MAX = 16 * 1024, KEPT_MAX = 256, QUEUE_MAX = 256, TOPIC_NAME_MAX = 128, SILENT_MAX = 64 };

typedef struct {
    size_t references; /* under the hub's lock */
    uint64_t number;   /* within the topic, from 1 */
    size_t n;
    char text[];       /* as sent */
} event;
typedef struct topic topic;
struct topic {
    topic *next;
    char name[TOPIC_NAME_MAX];
    event *kept[KEPT_MAX]; /* ring; the newest is at (number - 1) % KEPT_MAX */
    uint64_t number;
    uint64_t touched;
    clo_gateway_listener *listeners;
};
struct clo_gateway_hub {
    pthread_mutex_t lock; /* rank: above a loop's message list; guards all topics and listeners */
    topic *topics;
    size_t topic_count, topics_max, listener_count;
    uint64_t published, clock;
    uint32_t epoch; /* part of the ids, so that ids of an earlier life are known as such */
};
struct clo_gateway_listener {
    clo_gateway_listener *next;
    clo_gateway_hub *hub;
    topic *topic;
    clo_os_loop *loop;
    clo_os_loop_message message;
    void (*wake)(void *context);
    void *context;
    event *queue[QUEUE_MAX];
    size_t first, count;
    uint64_t lost;
    bool posted, dead;
};

clo_err clo_gateway_hub_new(clo_gateway_hub **out, size_t topics_max)
{
    CLO_CHECK(topics_max >= 1, CLO_E_RANGE);
    clo_gateway_hub *h = calloc(1, sizeof *h);
    CLO_CHECK(h != NULL, CLO_E_NOMEM);
    (void)pthread_mutex_init(&h->lock, NULL);
    h->topics_max = topics_max;
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    h->epoch = (uint32_t)now.tv_sec ^ (uint32_t)now.tv_nsec << 12;
    *out = h;
    return CLO_OK;
}

static void event_drop(event *e)
{
    if (e != NULL && --e->references == 0) free(e);
}

static void topic_free(topic *t)
{
    for (size_t i = 0; i < KEPT_MAX; i++) event_drop(t->kept[i]);
    free(t);
}

void clo_gateway_hub_free(clo_gateway_hub **hub)
{
    clo_gateway_hub *h = *hub;
    *hub = NULL;
    if (h == NULL) return;
    while (h->topics != NULL) {
        topic *t = h->topics;
        h->topics = t->next;
        topic_free(t);
    }
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

/* Of too many topics, or too many that nobody listens to (each has its last events in memory), the longest silent one goes. */
static void make_room(clo_gateway_hub *h)
{
    topic **victim = NULL;
    size_t silent = 0;
    for (topic **at = &h->topics; *at != NULL; at = &(*at)->next) {
        if ((*at)->listeners != NULL) continue;
        silent++;
        if (victim == NULL || (*at)->touched < (*victim)->touched) victim = at;
    }
    if (victim == NULL || (silent < SILENT_MAX && h->topic_count < h->topics_max)) return;
    topic *t = *victim;
    *victim = t->next;
    h->topic_count--;
    topic_free(t);
}

static clo_err topic_get(clo_gateway_hub *h, const char *name, topic **out)
{
    for (topic *t = h->topics; t != NULL; t = t->next) {
        if (strcmp(t->name, name) != 0) continue;
        t->touched = ++h->clock;
        *out = t;
        return CLO_OK;
    }
    make_room(h);
    CLO_CHECKF(h->topic_count < h->topics_max, CLO_E_TOO_MANY, "too many event topics are being listened to");
    topic *t = calloc(1, sizeof *t);
    CLO_CHECK(t != NULL, CLO_E_NOMEM);
    memcpy(t->name, name, strlen(name) + 1);
    t->touched = ++h->clock;
    t->next = h->topics;
    h->topics = t;
    h->topic_count++;
    *out = t;
    return CLO_OK;
}

static void enqueue(clo_gateway_listener *l, event *e)
{
    if (l->count == QUEUE_MAX) {
        event_drop(l->queue[l->first]);
        l->first = (l->first + 1) % QUEUE_MAX;
        l->count--;
        l->lost++;
    }
    l->queue[(l->first + l->count++) % QUEUE_MAX] = e;
    e->references++;
}

static void post(clo_gateway_listener *l)
{
    if (l->posted) return;
    l->posted = true;
    clo_os_loop_post(l->loop, &l->message);
}

/* "id: EPOCH-NUMBER", "event: NAME", one "data: " per line, an empty line. */
static clo_err event_make(event **out, uint32_t epoch, uint64_t number, const char *name, clo_span data)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, DATA_MAX * 8);
    CLO_TRY(clo_buf_printf(&b, "id: %08x-%llu\n", epoch, (unsigned long long)number));
    if (name != NULL) CLO_TRY(clo_buf_printf(&b, "event: %s\n", name));
    size_t at = 0;
    do {
        size_t n = 0;
        while (at + n < data.n && data.p[at + n] != '\n' && data.p[at + n] != '\r') n++;
        CLO_TRY(clo_buf_put_str(&b, "data: "));
        CLO_TRY(clo_buf_put(&b, data.p + at, n));
        CLO_TRY(clo_buf_put_u8(&b, '\n'));
        at += n + 1;
    } while (at < data.n);
    CLO_TRY(clo_buf_put_u8(&b, '\n'));
    event *e = malloc(sizeof *e + b.len);
    CLO_CHECK(e != NULL, CLO_E_NOMEM);
    e->references = 1;
    e->number = number;
    e->n = b.len;
    memcpy(e->text, b.p, b.len);
    *out = e;
    return CLO_OK;
}

static clo_err publish_locked(clo_gateway_hub *h, const char *name, const char *event_name, clo_span data)
{
    topic *t = NULL;
    event *e = NULL;
    CLO_TRY(topic_get(h, name, &t));
    CLO_TRY(event_make(&e, h->epoch, t->number + 1, event_name, data));
    event **slot = &t->kept[t->number % KEPT_MAX];
    event_drop(*slot);
    *slot = e;
    t->number++;
    h->published++;
    for (clo_gateway_listener *l = t->listeners; l != NULL; l = l->next) {
        enqueue(l, e);
        post(l);
    }
    return CLO_OK;
}

clo_err clo_gateway_hub_publish(clo_gateway_hub *hub, const char *topic_name, const char *event_name, clo_span data)
{
    CLO_CHECKF(data.n <= DATA_MAX, CLO_E_TOO_LARGE, "an event has at most %d bytes", DATA_MAX);
    CLO_CHECKF(strlen(topic_name) < TOPIC_NAME_MAX, CLO_E_TOO_LARGE, "a topic's name has at most %d bytes", TOPIC_NAME_MAX - 1);
    CLO_CHECKF(event_name == NULL || (strlen(event_name) <= 64 && strpbrk(event_name, "\r\n") == NULL), CLO_E_MALFORMED,
               "an event's name is one short word");
    (void)pthread_mutex_lock(&hub->lock);
    clo_err e = publish_locked(hub, topic_name, event_name, data);
    (void)pthread_mutex_unlock(&hub->lock);
    return e;
}

uint64_t clo_gateway_hub_published(clo_gateway_hub *hub)
{
    (void)pthread_mutex_lock(&hub->lock);
    uint64_t n = hub->published;
    (void)pthread_mutex_unlock(&hub->lock);
    return n;
}

size_t clo_gateway_hub_listeners(clo_gateway_hub *hub)
{
    (void)pthread_mutex_lock(&hub->lock);
    size_t n = hub->listener_count;
    (void)pthread_mutex_unlock(&hub->lock);
    return n;
}

static void listener_drop(clo_gateway_listener *l)
{
    while (l->count != 0) {
        event_drop(l->queue[l->first]);
        l->first = (l->first + 1) % QUEUE_MAX;
        l->count--;
    }
}

static void received(void *context)
{
    clo_gateway_listener *l = context;
    (void)pthread_mutex_lock(&l->hub->lock);
    l->posted = false;
    bool dead = l->dead;
    (void)pthread_mutex_unlock(&l->hub->lock);
    if (dead) free(l);
    else l->wake(l->context);
}

/* What came after the id that the client saw last. An id of another life, or one that was dropped, brings all that is kept; without an id it is
 * the newest event, so that who comes late knows how things stand. */
static void catch_up(clo_gateway_listener *l, const char *last_event_id)
{
    unsigned epoch = 0;
    unsigned long long number = 0;
    topic *t = l->topic;
    if (last_event_id == NULL) {
        if (t->number != 0) enqueue(l, t->kept[(t->number - 1) % KEPT_MAX]);
        return;
    }
    if (strlen(last_event_id) > 32 || sscanf(last_event_id, "%8x-%llu", &epoch, &number) != 2 || epoch != l->hub->epoch || number > t->number)
        number = 0;
    uint64_t kept = t->number < KEPT_MAX ? t->number : KEPT_MAX;
    uint64_t first = t->number - kept + 1;
    if (number != 0 && number + 1 < first) l->lost = first - number - 1;
    if (number + 1 > first) first = number + 1;
    for (uint64_t n = first; n <= t->number; n++) enqueue(l, t->kept[(n - 1) % KEPT_MAX]);
}

clo_err clo_gateway_listener_new(clo_gateway_listener **out, clo_gateway_hub *hub, const char *topic_name, const char *last_event_id,
                                 clo_os_loop *loop, void (*wake)(void *context), void *context)
{
    CLO_CHECK(strlen(topic_name) < TOPIC_NAME_MAX, CLO_E_TOO_LARGE);
    clo_gateway_listener *l = calloc(1, sizeof *l);
    CLO_CHECK(l != NULL, CLO_E_NOMEM);
    *l = (clo_gateway_listener){.hub = hub, .loop = loop, .wake = wake, .context = context};
    l->message = (clo_os_loop_message){.receive = received, .context = l};
    (void)pthread_mutex_lock(&hub->lock);
    clo_err e = topic_get(hub, topic_name, &l->topic);
    if (!clo_failed(e)) {
        catch_up(l, last_event_id);
        l->next = l->topic->listeners;
        l->topic->listeners = l;
        hub->listener_count++;
    }
    (void)pthread_mutex_unlock(&hub->lock);
    if (clo_failed(e)) free(l);
    else *out = l;
    return e;
}

static clo_err take_locked(clo_gateway_listener *l, clo_buf *out, size_t bytes)
{
    if (l->lost != 0) {
        CLO_TRY(clo_buf_printf(out, "event: lagged\ndata: {\"lost\":%llu}\n\n", (unsigned long long)l->lost));
        l->lost = 0;
    }
    while (l->count != 0 && out->len < bytes) {
        event *e = l->queue[l->first];
        CLO_TRY(clo_buf_put(out, e->text, e->n));
        event_drop(e);
        l->first = (l->first + 1) % QUEUE_MAX;
        l->count--;
    }
    return CLO_OK;
}

clo_err clo_gateway_listener_take(clo_gateway_listener *l, clo_buf *out, size_t bytes)
{
    (void)pthread_mutex_lock(&l->hub->lock);
    clo_err e = take_locked(l, out, bytes);
    (void)pthread_mutex_unlock(&l->hub->lock);
    return e;
}

void clo_gateway_listener_free(clo_gateway_listener **listener)
{
    clo_gateway_listener *l = *listener;
    *listener = NULL;
    if (l == NULL) return;
    clo_gateway_hub *h = l->hub;
    (void)pthread_mutex_lock(&h->lock);
    clo_gateway_listener **at = &l->topic->listeners;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
    h->listener_count--;
    listener_drop(l);
    l->dead = true;
    /* A message on its way frees it when it arrives. */
    bool posted = l->posted;
    (void)pthread_mutex_unlock(&h->lock);
    if (!posted) free(l);
}
