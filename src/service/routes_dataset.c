#include "service/routes_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/dataset.h"
#include "os/file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Owners see theirs; members of an agreement that names the dataset see it; to others it does not exist. */
static clo_err require_visible(clo_service *s, const clo_gateway_request *request, const clo_store_dataset *d)
{
    bool visible = memcmp(d->owner_kid, request->principal.key, 32) == 0;
    if (!visible) CLO_TRY(clo_store_scope_has(s->store, d->id, request->principal.key, &visible));
    CLO_CHECKF(visible, CLO_E_NOT_FOUND, "the operator has no such dataset; its owner pushes it with: cloister dataset push");
    return CLO_OK;
}

static clo_err view(clo_arena *a, const clo_store_dataset *d, clo_wire_node **out)
{
    clo_collab_manifest m;
    CLO_TRY(clo_collab_manifest_open(a, d->manifest, NULL, &m));
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_service_set_hex(a, *out, "id", d->id, 32));
    CLO_TRY(clo_wire_set_text(a, *out, "name", d->name));
    CLO_TRY(clo_wire_set_text(a, *out, "owner", d->owner));
    CLO_TRY(clo_service_set_hex(a, *out, "version", d->version, 32));
    CLO_TRY(clo_wire_set_int(a, *out, "received", (int64_t)d->received));
    CLO_TRY(clo_wire_set_int(a, *out, "size", (int64_t)d->size));
    CLO_TRY(clo_wire_set_bool(a, *out, "complete", d->complete));
    CLO_TRY(clo_wire_set_int(a, *out, "row_count", (int64_t)m.row_count));
    CLO_TRY(clo_wire_set_int(a, *out, "chunk_count", (int64_t)m.chunk_count));
    return clo_wire_set_time(a, *out, "created", d->created);
}

CLO_HANDLER(clo_service_post_dataset)
{
    clo_service *s = context;
    clo_collab_party owner;
    clo_collab_manifest m;
    uint8_t id[32];
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_service_caller(s, request, &owner));
    CLO_TRY(clo_collab_manifest_open(request->arena, request->body, &owner.sign, &m));
    CLO_TRY(clo_collab_dataset_id(&owner, m.name, id));
    if (strcmp(m.owner, owner.name) != 0 || memcmp(id, m.id, 32) != 0)
        return CLO_DENY(CLO_E_DENIED, "manifest.owner", owner.name, m.owner, "manifest", "the owner of the rows seals and pushes them");
    clo_store_dataset d = {.size = clo_collab_sealed_span(&m, 0, m.chunk_count), .created = clo_os_clock_wall(s->clock), .manifest = request->body};
    memcpy(d.version, m.version, 32);
    memcpy(d.id, m.id, 32);
    memcpy(d.name, m.name, sizeof d.name);
    memcpy(d.owner, m.owner, sizeof d.owner);
    memcpy(d.owner_kid, request->principal.key, 32);
    CLO_TRY(clo_store_dataset_put(s->store, &d));
    CLO_TRY(clo_store_dataset_get(s->store, request->arena, m.version, &d));
    CLO_TRY(view(request->arena, &d, &tree));
    return clo_gateway_response_tree(response, tree);
}

CLO_HANDLER(clo_service_get_datasets)
{
    clo_service *s = context;
    clo_store_dataset *list = NULL;
    size_t count = 0, max = 0;
    int64_t before = 0, next = 0;
    const char *wanted = NULL;
    clo_wire_node *array = NULL;
    /* ?id=HEX: the newest complete version of one dataset, for a member who is about to start a run on it. */
    CLO_TRY(clo_gateway_request_query(request, "id", &wanted));
    if (wanted != NULL) {
        uint8_t id[32];
        void *memory = NULL;
        CLO_TRY(clo_hex_decode(id, sizeof id, clo_span_str(wanted)));
        CLO_TRY(clo_arena_alloc(request->arena, sizeof *list, &memory));
        list = memory;
        CLO_TRY(clo_store_dataset_latest(s->store, request->arena, id, list));
        CLO_TRY(require_visible(s, request, list));
        count = 1;
    } else {
        CLO_TRY(clo_service_page(request, &before, &max));
        CLO_TRY(clo_store_dataset_list(s->store, request->arena, request->principal.key, before, max, &list, &count, &next));
    }
    CLO_TRY(clo_wire_array(request->arena, &array));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *tree = NULL;
        CLO_TRY(view(request->arena, &list[i], &tree));
        CLO_TRY(clo_wire_append(array, tree));
    }
    return clo_service_answer_list(request, response, "datasets", array, next);
}

static clo_err load(clo_service *s, const clo_gateway_request *request, clo_store_dataset *d)
{
    uint8_t version[32];
    CLO_TRY(clo_service_param_id(request, "version", version, sizeof version));
    CLO_TRY(clo_store_dataset_get(s->store, request->arena, version, d));
    return require_visible(s, request, d);
}

CLO_HANDLER(clo_service_get_dataset)
{
    clo_store_dataset d;
    clo_wire_node *tree = NULL;
    CLO_TRY(load(context, request, &d));
    CLO_TRY(view(request->arena, &d, &tree));
    return clo_gateway_response_tree(response, tree);
}

CLO_HANDLER(clo_service_get_manifest)
{
    clo_store_dataset d;
    CLO_TRY(load(context, request, &d));
    return clo_gateway_response_bytes(response, "application/cose", d.manifest);
}

/* An upload under way. */
typedef struct upload {
    uint8_t version[32]; /* fixed before it enters the list: others read it there */
    clo_store_dataset dataset;
    char path[640];
    int fd;
    struct upload *next;
} upload;

/* All that are under way. A version has one at a time: two would write the same file, and what one of them has completed is never touched again. */
static pthread_mutex_t uploads_lock = PTHREAD_MUTEX_INITIALIZER;
static upload *uploads;

static clo_err enter(upload *u)
{
    bool taken = false;
    (void)pthread_mutex_lock(&uploads_lock);
    for (const upload *o = uploads; o != NULL; o = o->next) taken = taken || memcmp(o->version, u->version, 32) == 0;
    u->next = uploads;
    if (!taken) uploads = u;
    (void)pthread_mutex_unlock(&uploads_lock);
    CLO_CHECKF(!taken, CLO_E_AGAIN, "another upload of this version is under way; continue when it has ended");
    return CLO_OK;
}

static void leave(upload *u)
{
    clo_os_fd_close(&u->fd);
    (void)pthread_mutex_lock(&uploads_lock);
    for (upload **at = &uploads; *at != NULL; at = &(*at)->next) {
        if (*at != u) continue;
        *at = u->next;
        break;
    }
    (void)pthread_mutex_unlock(&uploads_lock);
}

/* As it stands now that nobody else writes it. */
static clo_err open_content(clo_service *s, const clo_gateway_request *request, upload *u)
{
    int64_t offset = 0;
    CLO_TRY(load(s, request, &u->dataset));
    CLO_CHECKF(!u->dataset.complete, CLO_E_EXISTS, "this version is here completely");
    CLO_TRY(clo_gateway_request_query_int(request, "offset", 0, 0, INT64_MAX, &offset));
    CLO_CHECKF((uint64_t)offset == u->dataset.received, CLO_E_CONFLICT, "the upload must continue at byte %llu", (unsigned long long)u->dataset.received);
    CLO_TRY(clo_store_blob_path(s->store, "dataset", clo_span_of(u->dataset.version, 32), u->path));
    return clo_os_file_open(&u->fd, u->path, CLO_OS_OPEN_CREATE, 0600);
}

static clo_err begin_upload(void *context, clo_gateway_request *request)
{
    clo_service *s = context;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(request->arena, sizeof(upload), &memory));
    upload *u = memory;
    u->fd = -1;
    CLO_TRY(load(s, request, &u->dataset));
    CLO_CHECKF(memcmp(u->dataset.owner_kid, request->principal.key, 32) == 0, CLO_E_NOT_FOUND, "only its owner uploads a dataset");
    memcpy(u->version, u->dataset.version, sizeof u->version);
    CLO_TRY(enter(u));
    clo_err e = open_content(s, request, u);
    if (clo_failed(e)) leave(u);
    request->upload = u;
    return e;
}

static clo_err take_piece(void *context, clo_gateway_request *request, clo_span piece)
{
    (void)context;
    upload *u = request->upload;
    CLO_CHECKF(piece.n <= u->dataset.size - u->dataset.received, CLO_E_TOO_LARGE, "the content is longer than its manifest says (%llu bytes)",
               (unsigned long long)u->dataset.size);
    CLO_TRY(clo_os_file_pwrite(u->fd, u->dataset.received, piece));
    u->dataset.received += piece.n;
    return CLO_OK;
}

/* Read the sealed chunks back and compare their Merkle root with the version, in the memory of one chunk. */
static clo_err check_root(const upload *u, clo_arena *a)
{
    clo_collab_manifest m;
    CLO_TRY(clo_collab_manifest_open(a, u->dataset.manifest, NULL, &m));
    clo_wire_merkle_range range = {0};
    uint8_t *chunk = malloc((size_t)m.chunk_size + 16);
    CLO_CHECK(chunk != NULL, CLO_E_NOMEM);
    clo_err e = CLO_OK;
    for (uint64_t i = 0, at = 0; i < m.chunk_count && !clo_failed(e); i++) {
        size_t n = (size_t)clo_collab_sealed_span(&m, i, 1);
        clo_wire_hash leaf;
        e = clo_os_file_pread(u->fd, at, chunk, n);
        if (!clo_failed(e)) e = clo_wire_merkle_leaf(clo_span_of(chunk, n), &leaf);
        if (!clo_failed(e)) e = clo_wire_merkle_range_add(&range, &leaf);
        at += n;
    }
    free(chunk);
    clo_wire_hash root;
    if (!clo_failed(e)) e = clo_wire_merkle_range_root(&range, &root);
    if (!clo_failed(e) && memcmp(root.b, m.version, 32) != 0)
        e = CLO_FAILF(CLO_E_MALFORMED, "the content does not have the Merkle root that its manifest names; push it again from the sealed file");
    return e;
}

static void drop_upload(void *context, clo_gateway_request *request)
{
    clo_service *s = context;
    upload *u = request->upload;
    /* What was received stays, so that the owner can continue. */
    if (u->fd >= 0 && !clo_failed(clo_os_file_sync(u->fd)))
        (void)clo_store_dataset_progress(s->store, u->dataset.version, u->dataset.received, false).code;
    leave(u);
}

/* All that was sent is here. */
static clo_err keep_content(clo_service *s, upload *u, clo_arena *a)
{
    u->dataset.complete = u->dataset.received == u->dataset.size;
    CLO_TRY(clo_os_file_sync(u->fd));
    CLO_TRY(clo_store_blob_sync(s->store));
    clo_err e = u->dataset.complete ? check_root(u, a) : CLO_OK;
    if (e.code == CLO_E_MALFORMED) {
        /* Nothing of a wrong content is kept. */
        CLO_TRY(clo_os_file_remove(u->path));
        CLO_TRY(clo_store_dataset_reset(s->store, u->dataset.version));
        return CLO_FAILF(CLO_E_MALFORMED, "the content does not have the Merkle root that its manifest names; push it again from the sealed file");
    }
    CLO_TRY(e);
    return clo_store_dataset_progress(s->store, u->dataset.version, u->dataset.received, u->dataset.complete);
}

static clo_err end_upload(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    upload *u = request->upload;
    clo_wire_node *tree = NULL;
    clo_err e = keep_content(context, u, request->arena);
    leave(u);
    CLO_TRY(e);
    CLO_TRY(view(request->arena, &u->dataset, &tree));
    return clo_gateway_response_tree(response, tree);
}

const clo_gateway_upload clo_service_dataset_upload = {.begin = begin_upload, .data = take_piece, .end = end_upload, .abort = drop_upload};
