/* Shared inside the owner's daemon. */
#ifndef CLO_BROKER_INT_H
#define CLO_BROKER_INT_H
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "broker/broker.h"
#include "client/witness_client.h"
#include <pthread.h>

typedef struct {
    size_t count;
    clo_client_witness items[CLO_KMS_WITNESSES_MAX];
} clo_broker_witnesses;

/* A thread that does something every half second. */
typedef struct {
    pthread_t thread;
    bool running, stop;
    pthread_mutex_t lock; /* leaf; guards stop */
    pthread_cond_t wake;
    clo_broker *broker;
    void (*tick)(clo_broker *b);
} broker_ticker;

struct clo_broker {
    clo_kms *kms;
    clo_crypto_tls_context *tls;
    clo_gateway_server *server;
    clo_broker_identity identity;
    char audience[65]; /* hex of identity.spki */
    char address[64];
    broker_ticker sweeper, witnesser;
    unsigned witness_skips; /* of the witness thread */
    clo_broker_witnesses witnesses; /* asked by one thread at a time, which the key service sees to */
    clo_gateway_metric *releases, *renewals, *commits, *denials, *nonces, *expired;
};

extern const clo_gateway_route broker_routes[];
size_t broker_route_count(void);
/** Who sent a request: a party token for this service's audience. context = the broker. */
clo_err broker_authenticate(void *context, const clo_gateway_request *request, clo_gateway_principal *out);

/** Answer a failure under a fresh id of the denial store. */
clo_err broker_refuse(clo_broker *b, const clo_gateway_request *request, clo_gateway_response *response, const char *what,
                      clo_err e);

/** The home's witnesses and `more` (texts "URL,SPKIHEX,VKEY"), which are kept there from then on. */
clo_err broker_witnesses_load(const char *home, const char *const *more, size_t more_count, clo_broker_witnesses *out);
/** Give them to the key service, and ask them a first time. At most waiters_max requests wait for them. */
clo_err broker_witnesses_use(clo_broker *b, unsigned waiters_max);
void broker_witnesses_close(clo_broker *b);
/** Verifier key of the ledger's log, as text. */
clo_err broker_ledger_key(const clo_kms *kms, char to[256]);

/* The views of broker_views.c: trees whose BYTES the response turns into hex for JSON. */
CLO_R broker_view_key(clo_arena *a, const clo_kms_key *k, clo_wire_node **out);
CLO_R broker_view_agreement(clo_arena *a, const clo_kms_agreement *g, clo_wire_node **out);
CLO_R broker_view_budget(clo_arena *a, const clo_kms_budget *b, clo_wire_node **out);
CLO_R broker_view_entry(clo_arena *a, const clo_kms_entry *e, clo_wire_node **out);
CLO_R broker_view_run(clo_arena *a, const clo_kms_run *r, clo_wire_node **out);
CLO_R broker_view_denial(clo_arena *a, const clo_kms_denial *d, clo_wire_node **out);
CLO_R broker_view_info(clo_arena *a, const clo_broker *b, clo_wire_node **out);
CLO_R broker_view_ledger(clo_arena *a, const clo_broker *b, clo_wire_node **out);

#endif
