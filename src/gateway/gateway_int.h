/* Shared inside the gateway: connection, exchange (one request and its answer), loop thread, server.
 *
 * Who touches what: a connection and its exchanges belong to one loop thread. While a job of an exchange is with a worker
 * (`working`), the worker owns request, response, arena and piece; the loop owns body and everything else. A connection's
 * memory lives until its last exchange is released, so that what a request points to stays valid. */
#ifndef CLO_GATEWAY_INT_H
#define CLO_GATEWAY_INT_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "crypto/tls.h"
#include "gateway/events.h"
#include "gateway/h1_parser.h"
#include "gateway/limits.h"
#include "gateway/request.h"
#include "gateway/response.h"
#include "gateway/route.h"
#include "gateway/server.h"
#include "os/loop.h"
#include <stdatomic.h>

enum {
    OUT_HIGH = 64 * 1024,          /* the answer pauses while this much waits to be written */
    OUT_MAX = 1024 * 1024,
    IN_HIGH = 32 * 1024,           /* reading pauses while this much waits to be understood */
    PIECE_MAX = 1024 * 1024,       /* read ahead of a streamed upload; the HTTP/2 stream window */
    BUFFERED_MAX = 64 * 1024 * 1024,
    ARENA_MAX = 8 * 1024 * 1024,
    RESPONSE_HEADERS_MAX = 24,
    SEGMENTS_MAX = 16,
    KEEP_ALIVE_MS = 15000,         /* comments on silent event streams */
    AUTH_FIRST_BYTES = 64 * 1024,  /* bodies above this are asked for only once the sender is known */
};

typedef struct clo_gateway_conn clo_gateway_conn;
typedef struct clo_gateway_exchange clo_gateway_exchange;
typedef struct clo_gateway_loop clo_gateway_loop;
typedef struct clo_gateway_listener clo_gateway_listener;
typedef struct clo_gateway_router clo_gateway_router;

struct clo_gateway_channel {
    bool has_exporter, has_peer, has_own;
    uint8_t exporter[32], peer_spki[32], own_spki[32];
};

typedef enum { BODY_NONE, BODY_BYTES, BODY_FILE, BODY_EVENTS } clo_gateway_body_kind;
typedef struct {
    const char *name, *value;
} clo_gateway_response_header_pair;
struct clo_gateway_response {
    clo_gateway_exchange *x;
    unsigned status;
    clo_gateway_body_kind kind;
    const char *type;
    clo_span body;
    int fd;
    uint64_t offset, size; /* of the body, for BYTES too */
    const char *etag;
    clo_gateway_response_header_pair headers[RESPONSE_HEADERS_MAX];
    size_t header_count;
    clo_gateway_hub *hub;
    const char *topic;
};

typedef enum { WORK_AUTH, WORK_HANDLE, WORK_BEGIN, WORK_DATA, WORK_END, WORK_ABORT } clo_gateway_work;

struct clo_gateway_exchange {
    clo_gateway_request request;
    clo_gateway_response response;
    clo_gateway_conn *conn;
    clo_gateway_exchange *next; /* free list; HTTP/2: streams of the connection */
    clo_gateway_exchange *prev;
    clo_arena arena;
    clo_gateway_h1_head head;
    clo_span head_bytes; /* HTTP/1: where the head lies in the connection's buffer; empty once it was copied */
    char request_id[CLO_GATEWAY_REQUEST_ID_MAX + 1];
    uint64_t started_ns;
    /* Intake of the body. */
    clo_buf body;        /* buffered whole, or waiting pieces */
    clo_buf piece;       /* with a worker */
    uint64_t body_seen;
    size_t held;         /* bytes of it that are counted against the peer */
    bool intake;         /* the body may come */
    bool body_ended;
    bool streamed;       /* upload callbacks */
    bool too_large;      /* head or body */
    bool crowded;        /* the peer, or all, hold too much */
    /* Work. */
    clo_gateway_work work;
    clo_os_job job;
    clo_os_loop_message done;
    atomic_bool working; /* written by the loop thread; orders the flags below, which the worker writes meanwhile */
    bool authenticated, begun, ended, failed;
    bool gone, answered, counted;
    unsigned status_override; /* 412 of a failed precondition; 0 = by class */
    unsigned retry_after;
    /* Sending of the answer. */
    uint64_t sent;
    clo_buf event_text;
    size_t event_at;
    clo_gateway_listener *listener;
    /* HTTP/2. */
    int32_t stream_id;
    bool sent_whole, deferred;
    uint64_t discarded;  /* body bytes that came after the answer */
    uint64_t unconsumed; /* body bytes whose flow-control window has not been given back */
};

/* What a connection waits for, which decides what its timer means. */
typedef enum { WATCH_HANDSHAKE, WATCH_IDLE, WATCH_HEAD, WATCH_BODY, WATCH_SEND, WATCH_WORK, WATCH_EVENTS } clo_gateway_watch;

/* HTTP/1.1 and HTTP/2 below a connection. */
typedef struct {
    /** Understand bytes; returns how many were used (the rest comes again with more behind it). */
    size_t (*input)(clo_gateway_conn *c, clo_span in);
    /** Put more of the answers into c->out, up to OUT_HIGH. */
    void (*output)(clo_gateway_conn *c);
    /** The peer will send no more. */
    void (*ended)(clo_gateway_conn *c);
    void (*timeout)(clo_gateway_conn *c);
    /** An exchange has its answer (called once each). */
    void (*answered)(clo_gateway_exchange *x);
    /** An exchange takes (more of) its body now; n bytes were worked off. */
    void (*resume)(clo_gateway_exchange *x, size_t n);
    /** An event stream has something to send. */
    void (*events)(clo_gateway_exchange *x);
    /** The connection is being closed: let go of all exchanges. */
    void (*closed)(clo_gateway_conn *c);
    /** The server drains: finish what runs, take nothing new. */
    void (*drain)(clo_gateway_conn *c);
} clo_gateway_protocol;

typedef enum { H1_HEAD, H1_BODY, H1_WAIT, H1_RESPOND, H1_CLOSE } clo_gateway_h1_state;

struct clo_gateway_conn {
    clo_gateway_loop *home;
    clo_gateway_conn *prev, *next;
    clo_os_loop_source source;
    clo_os_loop_timer timer;
    clo_crypto_tls *tls;
    const clo_gateway_protocol *protocol; /* NULL during the handshake */
    clo_gateway_channel channel;
    char peer[46];
    size_t refs; /* exchanges alive */
    bool closed, closing, peer_done, inside, lingering, write_blocked;
    clo_gateway_watch watch;
    uint64_t deadline_ms, progress;
    clo_buf in, out;
    size_t out_at;
    /* HTTP/1.1 */
    clo_gateway_h1_state h1_state;
    clo_gateway_exchange *x;
    clo_gateway_h1_chunks chunks;
    uint64_t body_left;
    size_t scan;
    bool keep_alive, head_written, continue_due;
    /* HTTP/2 */
    struct nghttp2_session *h2;
    clo_gateway_exchange *streams;
    size_t stream_count;
    double reset_tokens;
    uint64_t reset_at_ms;
    bool h2_failed;
};

struct clo_gateway_loop {
    clo_gateway_server *server;
    clo_os_loop *loop;
    clo_os_thread *thread;
    unsigned index;
    clo_gateway_conn *conns;
    size_t conn_count, exchange_count;
    clo_gateway_exchange *free_exchanges;
    size_t free_count;
    uint64_t id_counter;
    char date[32];
    uint64_t date_at_ms;
    bool draining;
    clo_os_loop_timer grace_timer;
    clo_os_loop_message drain_message;
    uint8_t scratch[64 * 1024];
};

typedef struct clo_gateway_peers clo_gateway_peers;
struct clo_gateway_server {
    clo_gateway_options o;
    char *name;
    clo_gateway_router *router;
    clo_gateway_route *routes; /* the caller's and the standard ones */
    size_t route_count;
    clo_gateway_metrics *metrics;
    clo_gateway_metric *requests[6], *seconds, *connections_total, *overload_total;
    clo_gateway_buckets *peer_buckets, *principal_buckets, *failure_buckets;
    clo_os_pool *workers, *uploaders;
    clo_gateway_peers *peers;
    clo_gateway_loop **loops;
    unsigned loop_count, next_loop;
    int listen_fd;
    uint16_t port;
    clo_os_loop_source listen_source;
    clo_os_loop_timer accept_timer;
    atomic_size_t pending, connections, uploads;
    clo_buf openapi;
    uint32_t id_prefix;
    unsigned grace_ms;
};

/* gateway_conn.c */
void clo_gateway_conn_adopt(clo_gateway_loop *home, int fd, const char *peer);
void clo_gateway_conn_close(clo_gateway_conn *c);
/** Write what waits, let the protocol put more behind it, set the interests; may close the connection. */
void clo_gateway_conn_flush(clo_gateway_conn *c);
/** Hand waiting input to the protocol again (after a pause), then flush. */
void clo_gateway_conn_continue(clo_gateway_conn *c);
void clo_gateway_conn_watch(clo_gateway_conn *c, clo_gateway_watch watch);
void clo_gateway_conn_unref(clo_gateway_conn *c);
static inline size_t clo_gateway_conn_waiting(const clo_gateway_conn *c) { return c->out.len - c->out_at; }

/* h1_conn.c, h2_conn.c */
extern const clo_gateway_protocol clo_gateway_h1;
extern const clo_gateway_protocol clo_gateway_h2;
CLO_R clo_gateway_h2_start(clo_gateway_conn *c);

/* gateway_exchange.c */
clo_gateway_exchange *clo_gateway_exchange_new(clo_gateway_conn *c);
/** gateway_admit.c. The head is complete (x->head and x->request.http2 are filled): decide, answer or start. `has_body` = one is coming. */
void clo_gateway_exchange_start(clo_gateway_exchange *x, bool has_body);
/** Body bytes that it would take now; 0 = wait for resume. */
size_t clo_gateway_exchange_room(const clo_gateway_exchange *x);
/** Body bytes; returns how many were taken (fewer = wait for resume). */
size_t clo_gateway_exchange_data(clo_gateway_exchange *x, clo_span in);
void clo_gateway_exchange_data_end(clo_gateway_exchange *x);
/** The peer has gone or the answer was sent: the exchange is released once no worker has it. */
void clo_gateway_exchange_release(clo_gateway_exchange *x);
/** Fill the response with the problem of a failure, using the thread's error record. */
void clo_gateway_exchange_fail(clo_gateway_exchange *x, clo_err e, unsigned status);
/** Mark as answered and tell the protocol. */
void clo_gateway_exchange_answer(clo_gateway_exchange *x);
/** Hand the exchange to a worker. false: there is no room, and the answer says so (not told to the protocol yet). */
bool clo_gateway_exchange_submit(clo_gateway_exchange *x, clo_gateway_work work);
/** Fail and answer. */
void clo_gateway_exchange_refuse(clo_gateway_exchange *x, clo_err e, unsigned status);
/** Begin a streamed upload. false: there is no room; it may be answered already. */
bool clo_gateway_exchange_upload(clo_gateway_exchange *x);
/** Give waiting bytes of an upload to a worker where none has some. false: it was answered instead, and x may be gone. */
bool clo_gateway_exchange_next_piece(clo_gateway_exchange *x);
/** n bytes of the body are held no longer. */
void clo_gateway_exchange_forget(clo_gateway_exchange *x, size_t n);
/** Why the body is not taken any more: TOO_LARGE, AGAIN (its sender or all hold too much); success where it is. */
clo_err clo_gateway_exchange_body_limit(const clo_gateway_exchange *x);
/** Copy the next part of the answer's body. *end where it was the last; n = 0 without *end: nothing yet (events). Errors: IO (file). */
CLO_R clo_gateway_exchange_fill(clo_gateway_exchange *x, uint8_t *to, size_t size, size_t *n, bool *end);

/* gateway_admit.c */
/** A request of this address was refused, or its handshake failed. */
void clo_gateway_failure_note(clo_gateway_server *s, const char *peer);
/** Has it failed too often lately? */
bool clo_gateway_failures_many(clo_gateway_server *s, const char *peer, unsigned *retry_after);
/** One request of this name's rate; false: it must wait x->retry_after seconds. */
bool clo_gateway_exchange_take_token(clo_gateway_exchange *x, clo_gateway_buckets *buckets, const char *name);

/* gateway_work.c */
/** The whole buffered body is here: run the handler, here or on a worker. */
void clo_gateway_exchange_run(clo_gateway_exchange *x);
/** On a worker: the step that x->work names; then clo_gateway_work_done is posted to the loop. Both: context = the exchange. */
void clo_gateway_work_run(void *exchange);
void clo_gateway_work_done(void *exchange);

/* gateway_router.c */
CLO_R clo_gateway_router_new(clo_gateway_router **out, const clo_gateway_route *routes, size_t route_count);
void clo_gateway_router_free(clo_gateway_router **router);
typedef enum { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD, ROUTE_BAD_PATH } clo_gateway_route_outcome;
/** Find the route of method and path, decode parameters into the request's arena. `allowed` gets a bit per method of the path. */
clo_gateway_route_outcome clo_gateway_router_find(const clo_gateway_router *router, clo_gateway_request *request, unsigned *allowed);
/** Position of a parameter's name in the pattern; -1 where it has none. */
int clo_gateway_route_param(const clo_gateway_route *route, const char *name);
/** Percent-decode (and, for queries, '+' to blank) into the arena. Errors: MALFORMED. */
CLO_R clo_gateway_percent_decode(clo_arena *arena, clo_span in, bool plus, const char **out);

/* gateway_request.c */
/** Is the tag in the list of an If-Match or If-None-Match (or is that "*")? `weak` compares weakly. */
bool clo_gateway_etag_listed(clo_span list, const char *etag, bool weak);

/* gateway_response.c */
void clo_gateway_response_reset(clo_gateway_response *r);
/** Apply If-None-Match and Range; close nothing. */
void clo_gateway_response_finish(clo_gateway_exchange *x);
/** Length of the body that the head must tell; false for events. */
bool clo_gateway_response_length(const clo_gateway_response *r, uint64_t *length);
/** Is a body sent at all (HEAD, 204, 304: no)? */
bool clo_gateway_response_has_body(const clo_gateway_exchange *x);

/* gateway_events.c */
/** Listen to a topic: `wake` runs on the loop thread whenever events wait. */
CLO_R clo_gateway_listener_new(clo_gateway_listener **out, clo_gateway_hub *hub, const char *topic, const char *last_event_id,
                               clo_os_loop *loop, void (*wake)(void *context), void *context);
/** Append waiting events to out, at least one where there is one, up to about `bytes`. */
CLO_R clo_gateway_listener_take(clo_gateway_listener *l, clo_buf *out, size_t bytes);
void clo_gateway_listener_free(clo_gateway_listener **l);

/* gateway_standard.c: /healthz, /readyz, /metrics, the OpenAPI document */
CLO_R clo_gateway_standard_routes(clo_gateway_server *s);

/* gateway_peers.c: connections and held bytes of bodies, per address */
CLO_R clo_gateway_peers_new(clo_gateway_peers **out, const clo_gateway_options *o);
void clo_gateway_peers_free(clo_gateway_peers **peers);
bool clo_gateway_peers_enter(clo_gateway_peers *peers, const char *peer);
void clo_gateway_peers_leave(clo_gateway_peers *peers, const char *peer);
/** Count n more bytes held for a peer that has a connection; false where it or all would hold too much. */
bool clo_gateway_peers_hold(clo_gateway_peers *peers, const char *peer, size_t n);
void clo_gateway_peers_forget(clo_gateway_peers *peers, const char *peer, size_t n);

/* problem.c */
/** A JSON string with its quotes. */
CLO_R clo_gateway_json_string(clo_buf *out, const char *text);
/** Text of the Date header as of now. */
const char *clo_gateway_date(clo_gateway_loop *l);
static inline const clo_os_clock *clo_gateway_clock(const clo_gateway_server *s) { return s->o.clock != NULL ? s->o.clock : clo_os_clock_system(); }
#endif
