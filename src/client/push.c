#include "client/push.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/seal.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 4 << 20, TRIES = 6 };

static clo_err push_key(const clo_client_push_options *o, clo_arena *a)
{
    clo_wire_node *answer = NULL;
    CLO_AUTO(clo_buf_free) clo_buf key;
    clo_buf_init(&key, CLO_MANIFEST_MAX + 1024);
    CLO_TRY(clo_os_file_read(o->key_path, CLO_MANIFEST_MAX + 1024, &key));
    return clo_client_session_json(o->kms, a, "POST", "/v1/keys", "application/cbor", clo_buf_span(&key), &answer);
}

typedef struct {
    uint64_t received;
    bool complete;
} remote;

static clo_err read_remote(const clo_wire_node *answer, remote *out)
{
    const clo_wire_node *received = clo_wire_get(answer, "received"), *complete = clo_wire_get(answer, "complete");
    CLO_CHECKF(received != NULL && received->type == CLO_WIRE_INT && received->integer >= 0 && complete != NULL &&
                   complete->type == CLO_WIRE_BOOL,
               CLO_E_MALFORMED, "the operator's answer about the dataset is not understood");
    out->received = (uint64_t)received->integer;
    out->complete = complete->boolean;
    return CLO_OK;
}

static bool worth_another_try(clo_err e)
{
    return e.code == CLO_E_TIMEOUT || e.code == CLO_E_AGAIN || e.code == CLO_E_UNREACHABLE || e.code == CLO_E_CLOSED ||
           e.code == CLO_E_CONFLICT;
}

typedef struct {
    const clo_client_push_options *o;
    uint64_t base, total;
} reporting;

static void report(void *context, uint64_t done, uint64_t total)
{
    (void)total;
    reporting *r = context;
    if (r->o->progress != NULL) r->o->progress(r->o->context, r->base + done, r->total);
}

static clo_err push_content(const clo_client_push_options *o, clo_arena *a, int fd, uint64_t content, uint64_t size,
                            const char *id, remote *at)
{
    char path[160];
    reporting r = {.o = o, .base = at->received, .total = size};
    CLO_CHECKF(at->received <= size, CLO_E_MALFORMED, "the operator claims to have more bytes than there are");
    (void)snprintf(path, sizeof path, "/api/v1/datasets/%s/content?offset=%llu", id, (unsigned long long)at->received);
    clo_client_http_request request = CLO_CLIENT_HTTP_REQUEST("PUT", path);
    request.content_type = "application/octet-stream";
    request.upload_fd = fd;
    request.upload_offset = content + at->received;
    request.upload_size = size - at->received;
    request.progress = report;
    request.context = &r;
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, 65536);
    (void)a;
    return clo_client_session_do(o->server, &request, &answer, NULL);
}

clo_err clo_client_dataset_push(const clo_client_push_options *o, clo_collab_manifest *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    clo_collab_manifest m;
    clo_span manifest;
    uint64_t content = 0;
    CLO_TRY(clo_client_sealed_manifest(&a, o->sealed_path, NULL, &m, &manifest, &content));
    if (o->key_path != NULL) CLO_TRY(push_key(o, &a));
    clo_wire_node *answer = NULL;
    remote at = {0, false};
    CLO_TRY(clo_client_session_json(o->server, &a, "POST", "/api/v1/datasets", "application/cose", manifest, &answer));
    CLO_TRY(read_remote(answer, &at));
    uint64_t size = clo_collab_sealed_span(&m, 0, m.chunk_count);
    char id[65], path[160];
    clo_hex_encode(id, clo_span_of(m.version, 32));
    (void)snprintf(path, sizeof path, "/api/v1/datasets/%s", id);
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_TRY(clo_os_file_open(&fd, o->sealed_path, CLO_OS_OPEN_READ, 0));
    for (int try = 0; !at.complete; try++) {
        clo_err e = push_content(o, &a, fd, content, size, id, &at);
        if (clo_failed(e) && (!worth_another_try(e) || try + 1 == TRIES)) return e;
        if (clo_failed(e)) clo_os_sleep_ms(200u << (unsigned)try);
        clo_err look = clo_client_session_json(o->server, &a, "GET", path, NULL, clo_span_of(NULL, 0), &answer);
        if (clo_failed(look)) {
            if (!worth_another_try(look) || try + 1 == TRIES) return look;
            continue;
        }
        CLO_TRY(read_remote(answer, &at));
    }
    *out = m;
    return CLO_OK;
}
