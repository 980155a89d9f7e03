/* The routes that every daemon has. */
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include "gateway/openapi.h"
#include <stdlib.h>

enum { METRICS_MAX_BYTES = 4 * 1024 * 1024, OPENAPI_MAX_BYTES = 4 * 1024 * 1024, STANDARD_MAX = 4 };

/* Handlers get the caller's context; the server is found through the exchange that the request is part of. */
static clo_gateway_server *server_of(const clo_gateway_request *request)
{
    return ((const clo_gateway_exchange *)(const void *)request)->conn->home->server;
}

static clo_err healthz(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    clo_gateway_response_borrow(response, "application/json", clo_span_str("{\"status\":\"ok\"}\n"));
    return CLO_OK;
}

static clo_err readyz(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    char why[160] = "";
    const clo_gateway_options *o = &server_of(request)->o;
    CLO_CHECKF(o->ready == NULL || o->ready(context, why), CLO_E_AGAIN, "not ready: %s", why);
    clo_gateway_response_borrow(response, "application/json", clo_span_str("{\"status\":\"ready\"}\n"));
    return CLO_OK;
}

static clo_err metrics(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, METRICS_MAX_BYTES);
    CLO_TRY(clo_gateway_metrics_write(server_of(request)->metrics, &b));
    return clo_gateway_response_bytes(response, "text/plain; version=0.0.4; charset=utf-8", clo_buf_span(&b));
}

static clo_err openapi(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    clo_gateway_response_borrow(response, "application/json", clo_buf_span(&server_of(request)->openapi));
    return CLO_OK;
}

static const clo_gateway_route standard[] = {
    {.method = CLO_GATEWAY_GET, .path = "/healthz", .flags = CLO_GATEWAY_INLINE | CLO_GATEWAY_UNLIMITED, .handler = healthz,
     .tag = "health", .summary = "Is the process alive?", .produces = "application/json"},
    {.method = CLO_GATEWAY_GET, .path = "/readyz", .flags = CLO_GATEWAY_UNLIMITED, .handler = readyz,
     .tag = "health", .summary = "Can it take work?", .produces = "application/json"},
    {.method = CLO_GATEWAY_GET, .path = "/metrics", .flags = CLO_GATEWAY_UNLIMITED, .handler = metrics,
     .tag = "health", .summary = "Metrics in the Prometheus text format", .produces = "text/plain"},
};

clo_err clo_gateway_standard_routes(clo_gateway_server *s)
{
    const clo_gateway_options *o = &s->o;
    s->routes = calloc(o->route_count + STANDARD_MAX, sizeof *s->routes);
    CLO_CHECK(s->routes != NULL, CLO_E_NOMEM);
    if (o->route_count != 0) memcpy(s->routes, o->routes, o->route_count * sizeof *s->routes);
    s->route_count = o->route_count;
    for (size_t i = 0; o->standard_routes && i < sizeof standard / sizeof standard[0]; i++) s->routes[s->route_count++] = standard[i];
    clo_buf_init(&s->openapi, OPENAPI_MAX_BYTES);
    if (o->openapi_path == NULL) return CLO_OK;
    s->routes[s->route_count++] = (clo_gateway_route){.method = CLO_GATEWAY_GET,
                                                     .path = o->openapi_path,
                                                     .flags = CLO_GATEWAY_INLINE,
                                                     .handler = openapi,
                                                     .tag = "meta",
                                                     .summary = "This document",
                                                     .produces = "application/json"};
    return clo_gateway_openapi_write(&s->openapi, o->title != NULL ? o->title : o->name, o->version != NULL ? o->version : CLO_VERSION, s->routes,
                                     s->route_count, o->schemas, o->schema_count);
}
