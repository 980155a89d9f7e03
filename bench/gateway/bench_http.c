/* A small server for load generators: GET /status answers a short JSON from the loop thread, as the product's status route does; PUT /sink takes an upload.
 * Usage: bench_http DIR PORT [plain]; it makes DIR/tls.pem where absent, prints one line when it serves, ends on SIGTERM. */
#include "gateway/config.h"
#include "os/file.h"
#include "os/log.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clo_err status(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    (void)context;
    (void)request;
    return clo_gateway_response_jsonf(response,
                                      "{\"status\":\"operational\",\"tee_technology\":\"SIM\",\"attestation_status\":\"verified\",\"available_models\":[],"
                                      "\"system_metrics\":{\"available_memory\":\"%dGB\",\"cpu_utilization\":0.35,\"pending_requests\":%d}}\n",
                                      16, 5);
}

static clo_err pooled(void *context, clo_gateway_request *request, clo_gateway_response *response) { return status(context, request, response); }

/* PUT /sink: streamed into a file of the directory, as the operator takes sealed datasets. */
typedef struct {
    int fd;
    uint64_t size;
} sink;

static clo_err sink_begin(void *context, clo_gateway_request *request)
{
    void *memory = NULL;
    char path[512];
    CLO_TRY(clo_arena_alloc(request->arena, sizeof(sink), &memory));
    sink *to = memory;
    *to = (sink){.fd = -1};
    CLO_TRY(clo_os_path_join(path, sizeof path, context, "sink"));
    CLO_TRY(clo_os_file_open(&to->fd, path, CLO_OS_OPEN_CREATE, 0600));
    request->upload = to;
    return CLO_OK;
}

static clo_err sink_data(void *context, clo_gateway_request *request, clo_span piece)
{
    (void)context;
    sink *to = request->upload;
    CLO_TRY(clo_os_file_pwrite(to->fd, to->size, piece));
    to->size += piece.n;
    return CLO_OK;
}

static void sink_abort(void *context, clo_gateway_request *request)
{
    (void)context;
    sink *to = request->upload;
    clo_os_fd_close(&to->fd);
}

static clo_err sink_end(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    sink_abort(context, request);
    clo_gateway_response_status(response, 204);
    return CLO_OK;
}

static const clo_gateway_upload sink_upload = {.begin = sink_begin, .data = sink_data, .end = sink_end, .abort = sink_abort};

static const clo_gateway_route routes[] = {
    {.method = CLO_GATEWAY_PUT, .path = "/sink", .body_max = (uint64_t)1 << 40, .upload = &sink_upload},
    {.method = CLO_GATEWAY_GET, .path = "/status", .flags = CLO_GATEWAY_INLINE, .handler = status, .produces = "application/json"},
    {.method = CLO_GATEWAY_GET, .path = "/pooled", .handler = pooled, .produces = "application/json"},
};

static clo_err serve(void *context, const char *dir, unsigned port, bool plain, clo_gateway_server **server, clo_crypto_tls_context **tls)
{
    uint8_t spki[32];
    if (!plain) CLO_TRY(clo_gateway_identity_open(dir, "bench", 1800000000, false, tls, spki));
    const clo_gateway_options options = {.name = "bench_http",
                                         .port = (uint16_t)port,
                                         .tls = *tls,
                                         .http2 = !plain,
                                         .routes = routes,
                                         .context = context,
                                         .route_count = sizeof routes / sizeof routes[0],
                                         .standard_routes = true};
    return clo_gateway_server_start(server, &options);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_http DIR PORT [plain]\n");
        return 2;
    }
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    clo_gateway_server *server = NULL;
    clo_crypto_tls_context *tls = NULL;
    clo_err e = serve(argv[1], argv[1], (unsigned)strtoul(argv[2], NULL, 10), argc > 3, &server, &tls);
    if (clo_failed(e)) {
        (void)fprintf(stderr, "bench_http: %s\n", clo_err_text());
        return 3;
    }
    (void)printf("serving on %u\n", (unsigned)clo_gateway_server_port(server));
    (void)fflush(stdout);
    int signal = 0;
    (void)sigwait(&set, &signal);
    clo_gateway_server_stop(&server, 1000);
    clo_crypto_tls_context_free(&tls);
    return 0;
}
