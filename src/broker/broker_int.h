/* Shared inside the owner's daemon. */
#ifndef CLO_BROKER_INT_H
#define CLO_BROKER_INT_H
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "broker/broker.h"
#include <pthread.h>

struct clo_broker {
    clo_kms *kms;
    clo_crypto_tls_context *tls;
    clo_gateway_server *server;
    clo_broker_identity identity;
    char audience[65]; /* hex of identity.spki */
    char address[64];
    pthread_t sweeper;
    bool sweeping;
    pthread_mutex_t sweep_lock; /* leaf */
    pthread_cond_t sweep_wake;
    bool sweep_stop;
    clo_gateway_metric *releases, *renewals, *commits, *denials, *nonces, *expired;
};

extern const clo_gateway_route broker_routes[];
size_t broker_route_count(void);
/** Who sent a request: a party token for this service's audience. context = the broker. */
clo_err broker_authenticate(void *context, const clo_gateway_request *request, clo_gateway_principal *out);

/** Answer a failure under a fresh id of the denial store. */
clo_err broker_refuse(clo_broker *b, const clo_gateway_request *request, clo_gateway_response *response, const char *what,
                      clo_err e);

/* The views of broker_views.c: trees whose BYTES the response turns into hex for JSON. */
CLO_R broker_view_key(clo_arena *a, const clo_kms_key *k, clo_wire_node **out);
CLO_R broker_view_agreement(clo_arena *a, const clo_kms_agreement *g, clo_wire_node **out);
CLO_R broker_view_budget(clo_arena *a, const clo_kms_budget *b, clo_wire_node **out);
CLO_R broker_view_entry(clo_arena *a, const clo_kms_entry *e, clo_wire_node **out);
CLO_R broker_view_run(clo_arena *a, const clo_kms_run *r, clo_wire_node **out);
CLO_R broker_view_denial(clo_arena *a, const clo_kms_denial *d, clo_wire_node **out);
CLO_R broker_view_info(clo_arena *a, const clo_broker *b, clo_wire_node **out);
/** A time as RFC 3339 text. */
CLO_R broker_set_time(clo_arena *a, clo_wire_node *map, const char *key, int64_t seconds);

#endif
