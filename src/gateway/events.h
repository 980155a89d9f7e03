/* Server-sent events: topics that any thread publishes to and any number of connections listen to.
 *
 * The hub keeps the last events of each topic for Last-Event-ID; a listener without one begins with the newest. A listener that falls behind loses the oldest events of its
 * bounded queue and is told so by an event "lagged" with the number lost. */
#ifndef CLO_GATEWAY_EVENTS_H
#define CLO_GATEWAY_EVENTS_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_gateway_hub clo_gateway_hub;

/** topics_max topics exist at a time, of which 64 without listeners (the longest silent one makes room). Given to the caller; it must outlive
 *  the server that serves it. */
CLO_R clo_gateway_hub_new(clo_gateway_hub **out, size_t topics_max);
void clo_gateway_hub_free(clo_gateway_hub **hub);
/** Publish from any thread: never blocks on a listener. event = short word or NULL ("message"), data = text without line breaks at
 *  its end; at most 16 KiB. Errors: TOO_LARGE, NOMEM. */
CLO_R clo_gateway_hub_publish(clo_gateway_hub *hub, const char *topic, const char *event, clo_span data);
/** Events published in all, and listeners now. */
uint64_t clo_gateway_hub_published(clo_gateway_hub *hub);
size_t clo_gateway_hub_listeners(clo_gateway_hub *hub);

#ifdef __cplusplus
}
#endif
#endif
