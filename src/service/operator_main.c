#include "service/routes_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "gateway/config.h"
#include "gateway/listen_address.h"
#include "os/ending.h"
#include "os/file.h"
#include "service/serve.h"
#include "service/service_arguments.h"
#include "service/service_schemas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static clo_err defaults(clo_service_config *c, const clo_service_arguments *a)
{
    char programs[400];
    CLO_TRY(clo_service_arguments_home(a, ".cloister-operator", c->home));
    CLO_TRY(clo_str_set(c->name, sizeof c->name, clo_span_str(a->name != NULL ? a->name : "operator")));
    CLO_CHECKF(clo_name_valid(c->name), CLO_E_USAGE, "--name has lower-case letters, digits, '.', '_' and '-' only");
    CLO_TRY(clo_str_set(c->address, sizeof c->address, clo_span_str("127.0.0.1")));
    CLO_TRY(clo_os_path_program_dir(programs, sizeof programs));
    (void)snprintf(c->enclave, sizeof c->enclave, "%s/cloister-enclave", programs);
    c->runs_max = 2;
    c->parties_max = 10000;
    c->reattest_seconds = 120;
    return CLO_OK;
}

static clo_err overrides(clo_service_config *c, const clo_service_arguments *a)
{
    if (a->listen != NULL) CLO_TRY(clo_gateway_listen_parse(a->listen, c->address, &c->port));
    if (a->url != NULL && c->url[0] != 0) CLO_TRY(clo_gateway_listen_url(a->url, c->address, c->port, c->url));
    if (a->enclave != NULL) CLO_TRY(clo_str_set(c->enclave, sizeof c->enclave, clo_span_str(a->enclave)));
    CLO_CHECKF(a->witness_count <= SERVICE_WITNESSES_MAX, CLO_E_TOO_MANY, "--witness is given more than %d times", SERVICE_WITNESSES_MAX);
    if (a->witness_count > 0) c->witness_count = 0;
    for (size_t i = 0; i < a->witness_count; i++) {
        CLO_TRY(clo_client_witness_parse(a->witnesses[i], &c->witnesses[i]));
        c->witness_count = i + 1;
    }
    return CLO_OK;
}

static clo_err make_home(clo_service_config *c, const clo_service_arguments *a)
{
    CLO_TRY(overrides(c, a));
    CLO_TRY(clo_gateway_listen_choose(c->address, &c->port));
    CLO_TRY(clo_gateway_listen_url(a->url, c->address, c->port, c->url));
    return clo_service_config_make(c);
}

static clo_err open_tls(clo_service *s)
{
    CLO_TRY(clo_gateway_identity_open(s->config.home, s->config.name, clo_os_clock_wall(s->clock), false, &s->listen.tls, s->spki));
    clo_hex_encode(s->audience, clo_span_of(s->spki, 32));
    return CLO_OK;
}

static bool ready(void *context, char why[160])
{
    const clo_service *s = context;
    clo_err e = clo_store_ping(s->store);
    if (!clo_failed(e)) e = clo_audit_log_usable(s->log);
    if (clo_failed(e)) (void)snprintf(why, 160, "%s", clo_err_text());
    return !clo_failed(e);
}

static clo_err start_server(clo_service *s)
{
    clo_gateway_options *o = &s->listen;
    clo_crypto_tls_context *tls = o->tls;
    *o = s->config.listen;
    o->tls = tls;
    o->name = "cloisterd";
    o->address = s->config.address;
    o->port = s->config.port;
    o->http2 = true;
    o->routes = clo_service_routes;
    o->route_count = clo_service_route_count;
    o->context = s;
    o->authenticator.authenticate = clo_service_authenticate;
    o->authenticator.context = s;
    o->idempotency = clo_gateway_replay_store_hooks(s->replay);
    o->schemas = clo_service_schemas;
    o->schema_count = clo_service_schema_count;
    o->title = "Cloister operator";
    o->openapi_path = "/api/v1/openapi.json";
    o->standard_routes = true;
    o->ready = ready;
    if (o->workers == 0) o->workers = 8;
    o->clock = s->clock;
    clo_gateway_server *server = NULL;
    CLO_TRY(clo_gateway_server_start(&server, o));
    __atomic_store_n(&s->server, server, __ATOMIC_RELEASE);
    clo_gateway_metrics *metrics = clo_gateway_server_metrics(s->server);
    CLO_TRY(clo_gateway_counter(metrics, "cloister_runs_total", "state=\"done\"", "Runs that ended, by how", &s->runs_done));
    return clo_gateway_counter(metrics, "cloister_runs_total", "state=\"failed\"", "Runs that ended, by how", &s->runs_failed);
}

static clo_err serve(clo_service *s)
{
    char line[400];
    CLO_TRY(open_tls(s));
    CLO_TRY(clo_service_open(s));
    clo_service_orders_settle(s); /* before anybody asks: a stop that was stored counts */
    CLO_TRY(clo_service_platform_start(s));
    CLO_TRY(clo_service_sampler_start(s));
    CLO_TRY(start_server(s));
    CLO_TRY(clo_service_scheduler_start(s));
    (void)snprintf(line, sizeof line, "cloisterd: serving %s at %s (software TEE (sim): no protection from the operator)", s->config.name, s->config.url);
    return clo_os_ending_wait(line);
}

static clo_err show(clo_service *s)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_wire_node *tree = NULL;
    CLO_TRY(open_tls(s));
    CLO_TRY(clo_service_open(s));
    CLO_TRY(clo_service_info(s, &a, &tree));
    return clo_service_print(tree);
}

CLO_R clo_service_operator_main(const clo_service_arguments *a)
{
    clo_service *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    int lock = -1;
    char path[600] = "";
    s->clock = clo_os_clock_system();
    bool init = a->verb != NULL;
    clo_os_ending_block();
    clo_err e = defaults(&s->config, a);
    if (!clo_failed(e)) e = clo_service_home_lock(s->config.home, &lock);
    if (!clo_failed(e)) e = clo_os_path_join(path, sizeof path, s->config.home, "cloisterd.yaml");
    if (!clo_failed(e) && init && clo_os_file_exists(path)) e = CLO_FAILF(CLO_E_EXISTS, "%s is a home already; start it with: cloisterd --home %s", s->config.home, s->config.home);
    bool fresh = !clo_failed(e) && !clo_os_file_exists(path) && a->config == NULL;
    if (fresh) e = make_home(&s->config, a);
    if (!clo_failed(e)) e = clo_service_config_load(&s->config, a->config);
    if (!clo_failed(e)) e = overrides(&s->config, a);
    if (!clo_failed(e) && fresh && !init) clo_service_home_say_new(s->config.home, "an operator");
    if (!clo_failed(e)) e = init ? show(s) : serve(s);
    clo_service_sampler_stop();
    clo_service_close(s);
    clo_os_fd_close(&lock);
    free(s);
    return e;
}
