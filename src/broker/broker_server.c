/* Making and running the owner's daemon. */
#include "broker/broker_int.h"
#include "gateway/config.h"
#include "gateway/listen_address.h"
#include "os/file.h"
#include "os/log.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LISTEN_FILE_MAX = 1024, TICK_MS = 500, WORKERS = 16 /* most wait for the disk, and one sync serves all that do */ };

/* The file "listen": address, port and URL, one line each. */
static clo_err listen_write(const char *home, const char *address, uint16_t port, const char *url)
{
    char path[640];
    CLO_TRY(clo_os_path_join(path, sizeof path, home, "listen"));
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, LISTEN_FILE_MAX);
    CLO_TRY(clo_buf_printf(&b, "%s\n%u\n%s\n", address, (unsigned)port, url));
    return clo_os_file_write_atomic(path, clo_buf_span(&b), 0600);
}

static clo_err listen_read(const char *home, char address[64], uint16_t *port, char url[256])
{
    char path[640];
    CLO_TRY(clo_os_path_join(path, sizeof path, home, "listen"));
    CLO_CHECKF(clo_os_file_exists(path), CLO_E_NOT_FOUND, "%s is no home of a key service; make one with \"cloister-kms init\"",
               home);
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, LISTEN_FILE_MAX);
    CLO_TRY(clo_os_file_read(path, LISTEN_FILE_MAX, &b));
    clo_span lines[3], rest = clo_buf_span(&b);
    for (int i = 0; i < 3; i++) {
        const uint8_t *end = rest.n > 0 ? memchr(rest.p, '\n', rest.n) : NULL;
        CLO_CHECKF(end != NULL, CLO_E_MALFORMED, "%s is broken; write address, port and URL on a line each", path);
        lines[i] = clo_span_of(rest.p, (size_t)(end - rest.p));
        rest = clo_span_of(end + 1, rest.n - lines[i].n - 1);
    }
    uint64_t number = 0;
    CLO_TRY(clo_u64_parse(&number, lines[1]));
    CLO_CHECK(number <= 65535, CLO_E_RANGE);
    CLO_TRY(clo_str_set(address, 64, lines[0]));
    CLO_TRY(clo_str_set(url, 256, lines[2]));
    *port = (uint16_t)number;
    return CLO_OK;
}

/* The file "listen" is written last: a home without it is one whose making broke off, and the same command goes on with it. */
static bool half_made(const char *home)
{
    char path[640];
    return !clo_failed(clo_os_path_join(path, sizeof path, home, "listen")) && !clo_os_file_exists(path);
}

clo_err clo_broker_init(const char *home, clo_span owner_party, const char *listen, const char *url, const char *const *witnesses, size_t witness_count,
                        clo_broker_identity *out)
{
    clo_collab_party owner;
    CLO_TRY(clo_collab_party_decode(owner_party, &owner));
    uint8_t owner_kid[32];
    CLO_TRY(clo_collab_party_kid(&owner, owner_kid));
    char address[64] = "127.0.0.1";
    uint16_t port = 0;
    if (listen != NULL) CLO_TRY(clo_gateway_listen_parse(listen, address, &port));
    CLO_TRY(clo_gateway_listen_choose(address, &port));
    clo_broker_identity made = {.url = ""};
    CLO_TRY(clo_gateway_listen_url(url, address, port, made.url));
    clo_err e = clo_kms_init(home, &owner);
    if (e.code != CLO_E_EXISTS || !half_made(home)) CLO_TRY(e);
    clo_kms *kms = NULL;
    CLO_TRY(clo_kms_open(&kms, home, NULL));
    memcpy(made.hpke, clo_kms_hpke(kms), sizeof made.hpke);
    bool same = memcmp(clo_kms_owner_kid(kms), owner_kid, sizeof owner_kid) == 0;
    e = broker_ledger_key(kms, made.ledger);
    clo_kms_free(&kms);
    CLO_TRY(e);
    CLO_CHECKF(same, CLO_E_EXISTS, "%s was begun for another owner; choose another directory", home);
    clo_crypto_tls_context *tls = NULL;
    e = clo_gateway_identity_open(home, owner.name, clo_os_clock_wall(clo_os_clock_system()), true, &tls, made.spki);
    clo_crypto_tls_context_free(&tls);
    CLO_TRY(e);
    clo_broker_witnesses kept = {.count = 0};
    CLO_TRY(broker_witnesses_load(home, witnesses, witness_count, &kept));
    CLO_TRY(listen_write(home, address, port, made.url));
    *out = made;
    return CLO_OK;
}

/* ---- threads of its own ---- */

static void *tick_run(void *context)
{
    broker_ticker *t = context;
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        pthread_mutex_unlock(&t->lock);
        t->tick(t->broker);
        pthread_mutex_lock(&t->lock);
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (!t->stop) (void)pthread_cond_timedwait(&t->wake, &t->lock, &until);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void ticker_init(broker_ticker *t, clo_broker *b, void (*tick)(clo_broker *b))
{
    pthread_condattr_t monotonic;
    *t = (broker_ticker){.broker = b, .tick = tick};
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static clo_err ticker_start(broker_ticker *t)
{
    CLO_CHECK(pthread_create(&t->thread, NULL, tick_run, t) == 0, CLO_E_NOMEM);
    t->running = true;
    return CLO_OK;
}

static void ticker_stop(broker_ticker *t)
{
    if (t->running) {
        pthread_mutex_lock(&t->lock);
        t->stop = true;
        pthread_cond_signal(&t->wake);
        pthread_mutex_unlock(&t->lock);
        (void)pthread_join(t->thread, NULL);
    }
    (void)pthread_cond_destroy(&t->wake);
    (void)pthread_mutex_destroy(&t->lock);
}

static void sweep(clo_broker *b)
{
    size_t ended = 0;
    clo_err e = clo_kms_sweep(b->kms, &ended);
    if (clo_failed(e)) clo_os_log_failure("sweep", NULL, e);
    clo_gateway_metric_add(b->expired, ended);
}

/* A thread of its own: a witness that does not answer keeps no lease from ending. One that refuses is asked every two seconds. */
static void witness(clo_broker *b)
{
    clo_kms_witnessing w;
    clo_kms_ledger_witnessing(b->kms, &w);
    if (w.waiting && ++b->witness_skips % 4 != 0) return;
    (void)clo_kms_ledger_witness(b->kms).code; /* logged by the key service */
}

static bool ready(void *context, char why[160])
{
    clo_broker *b = context;
    int64_t now = 0;
    clo_kms_witnessing w;
    clo_kms_ledger_witnessing(b->kms, &w);
    bool witnessed = w.state == CLO_KMS_WITNESSED_NONE || w.state == CLO_KMS_WITNESSED_CONFIRMED;
    if (witnessed && !clo_failed(clo_kms_now(b->kms, &now))) return true;
    (void)snprintf(why, 160, "%.159s", witnessed ? clo_err_text() : w.denial.actual);
    return false;
}

static clo_err make_metrics(clo_broker *b)
{
    clo_gateway_metrics *m = clo_gateway_server_metrics(b->server);
    CLO_TRY(clo_gateway_counter(m, "cloister_kms_nonces_total", NULL, "Nonces given out.", &b->nonces));
    CLO_TRY(clo_gateway_counter(m, "cloister_kms_releases_total", NULL, "Releases of phase one.", &b->releases));
    CLO_TRY(clo_gateway_counter(m, "cloister_kms_renewals_total", NULL, "Leases extended.", &b->renewals));
    CLO_TRY(clo_gateway_counter(m, "cloister_kms_commits_total", NULL, "Commits of phase two.", &b->commits));
    CLO_TRY(clo_gateway_counter(m, "cloister_kms_refusals_total", NULL, "Requests refused or failed.", &b->denials));
    return clo_gateway_counter(m, "cloister_kms_leases_expired_total", NULL, "Leases that ended without commit.", &b->expired);
}

static clo_err open_home(clo_broker *b, const clo_broker_options *options, clo_gateway_options *listen)
{
    uint16_t port = 0;
    char url[256];
    CLO_TRY(listen_read(options->home, b->address, &port, url));
    if (listen->address == NULL) listen->address = b->address;
    bool moved = listen->port != 0 && listen->port != port;
    if (listen->port == 0) listen->port = port;
    /* The URL of the init call counts unless the place has changed. */
    if (options->url != NULL)
        CLO_TRY(clo_gateway_listen_url(options->url, "", 0, b->identity.url));
    else
        CLO_TRY(clo_gateway_listen_url(moved ? NULL : url, listen->address, listen->port, b->identity.url));
    CLO_TRY(clo_kms_open(&b->kms, options->home, options->clock));
    memcpy(b->identity.hpke, clo_kms_hpke(b->kms), sizeof b->identity.hpke);
    CLO_TRY(broker_ledger_key(b->kms, b->identity.ledger));
    CLO_TRY(broker_witnesses_load(options->home, options->witnesses, options->witness_count, &b->witnesses));
    int64_t now = 0;
    CLO_TRY(clo_kms_now(b->kms, &now));
    CLO_TRY(clo_gateway_identity_open(options->home, clo_kms_owner(b->kms)->name, now, true, &b->tls, b->identity.spki));
    clo_hex_encode(b->audience, clo_span_of(b->identity.spki, sizeof b->identity.spki));
    return CLO_OK;
}

static clo_err serve(clo_broker *b, const clo_broker_options *options)
{
    clo_gateway_options g = options->listen;
    CLO_TRY(open_home(b, options, &g));
    if (g.workers == 0) g.workers = WORKERS;
    /* Orders, releases and renewals go on while commits wait for a witness. */
    CLO_TRY(broker_witnesses_use(b, g.workers < 2 ? 1 : g.workers - (g.workers + 3) / 4));
    g.name = "cloister-kms";
    g.tls = b->tls;
    g.http2 = false;
    g.routes = broker_routes;
    g.route_count = broker_route_count();
    g.context = b;
    g.authenticator = (clo_gateway_authenticator){broker_authenticate, b};
    g.title = "Cloister key service";
    g.openapi_path = "/v1/openapi.json";
    g.standard_routes = true;
    g.ready = ready;
    g.clock = options->clock;
    bool limited = g.limits.peer_per_second > 0 || g.limits.principal_per_second > 0;
    if (!limited) {
        g.limits.peer_per_second = 500;
        g.limits.peer_burst = 1000;
    }
    CLO_TRY(clo_gateway_server_start(&b->server, &g));
    CLO_TRY(make_metrics(b));
    CLO_TRY(ticker_start(&b->sweeper));
    return b->witnesses.count > 0 ? ticker_start(&b->witnesser) : CLO_OK;
}

clo_err clo_broker_start(clo_broker **out, const clo_broker_options *options)
{
    assert(options->home != NULL);
    clo_broker *b = calloc(1, sizeof *b);
    CLO_CHECK(b != NULL, CLO_E_NOMEM);
    ticker_init(&b->sweeper, b, sweep);
    ticker_init(&b->witnesser, b, witness);
    clo_err e = serve(b, options);
    if (clo_failed(e)) {
        clo_broker_stop(&b, 0);
        return e;
    }
    *out = b;
    return CLO_OK;
}

const clo_broker_identity *clo_broker_identity_of(const clo_broker *broker) { return &broker->identity; }
clo_kms *clo_broker_kms(const clo_broker *broker) { return broker->kms; }

void clo_broker_stop(clo_broker **broker, unsigned grace_ms)
{
    clo_broker *b = *broker;
    if (b == NULL) return;
    *broker = NULL;
    ticker_stop(&b->sweeper);
    ticker_stop(&b->witnesser);
    if (b->server != NULL) clo_gateway_server_stop(&b->server, grace_ms);
    clo_crypto_tls_context_free(&b->tls);
    clo_kms_free(&b->kms);
    broker_witnesses_close(b);
    free(b);
}
