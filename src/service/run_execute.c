#include "service/run_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/run.h"
#include "crypto/hash.h"
#include "os/file.h"
#include "os/net.h"
#include "service/runtime_host.h"
#include "wire/cbor.h"

#include <stdio.h>
#include <string.h>

/* One run under way: what the host needs to serve the runtime, and the record that people see. */
typedef struct {
    clo_service *service;
    clo_store_run *run;
    clo_arena *arena;
    const bool *cancel;
    clo_collab_agreement *agreement;
    clo_store_agreement *record;
    clo_collab_run_request *request;
    struct {
        clo_collab_manifest manifest;
        int fd; /* the chunk stream */
    } data[CLO_DATASETS_MAX];
    size_t data_count;
    clo_span manifests[CLO_DATASETS_MAX];
    char output_path[640];
    int output_fd;
    uint64_t output_size;
    bool output_complete; /* durable here: from now on a commit can release it */
    bool finished;        /* FINISH came */
} execution;

static void save(execution *x)
{
    x->run->changed = clo_os_clock_wall(x->service->clock);
    (void)clo_store_run_update(x->service->store, x->run).code; /* of progress; the next change tries again, the final one insists */
    clo_service_run_publish(x->service, x->run, true);
}

static clo_err load_inputs(execution *x)
{
    clo_service *s = x->service;
    for (size_t i = 0; i < x->request->dataset_count; i++) {
        clo_store_dataset d;
        char path[640];
        CLO_TRY(clo_store_dataset_get(s->store, x->arena, x->request->datasets[i].version, &d));
        CLO_CHECKF(d.complete, CLO_E_NOT_FOUND, "dataset %s is not uploaded completely; its owner runs: cloister dataset push %s", d.name, d.name);
        CLO_TRY(clo_collab_manifest_open(x->arena, d.manifest, NULL, &x->data[i].manifest));
        CLO_TRY(clo_store_blob_path(s->store, "dataset", clo_span_of(d.version, 32), path));
        x->data[i].fd = -1;
        CLO_TRY(clo_os_file_open(&x->data[i].fd, path, CLO_OS_OPEN_READ, 0));
        x->manifests[i] = d.manifest;
        x->data_count = i + 1;
    }
    return CLO_OK;
}

static clo_err load(execution *x)
{
    void *memory = NULL;
    const clo_collab_run_terms *terms = NULL;
    uint32_t signed_mask = 0;
    CLO_TRY(clo_arena_alloc(x->arena, sizeof *x->record, &memory));
    x->record = memory;
    CLO_TRY(clo_store_agreement_get(x->service->store, x->arena, x->run->agreement, x->record));
    CLO_TRY(clo_collab_agreement_new(x->arena, &x->agreement));
    CLO_TRY(clo_collab_agreement_file_open(x->arena, x->record->file, x->agreement, &signed_mask));
    CLO_TRY(clo_arena_alloc(x->arena, sizeof *x->request, &memory));
    x->request = memory;
    CLO_TRY(clo_collab_run_request_open(x->arena, x->run->request, x->agreement, x->request, &terms));
    CLO_TRY(load_inputs(x));
    CLO_TRY(clo_store_blob_path(x->service->store, "output", clo_span_of(x->run->id, 16), x->output_path));
    CLO_TRY(clo_os_file_remove(x->output_path));
    return clo_os_file_open(&x->output_fd, x->output_path, CLO_OS_OPEN_NEW, 0600);
}

static clo_err op_fetch(void *context, const clo_enclave_fetch *m, clo_buf *out)
{
    execution *x = context;
    for (size_t i = 0; i < x->data_count; i++) {
        const clo_collab_manifest *manifest = &x->data[i].manifest;
        if (memcmp(manifest->id, m->dataset, 32) != 0) continue;
        CLO_CHECK(m->count > 0 && m->first < manifest->chunk_count && m->count <= manifest->chunk_count - m->first, CLO_E_RANGE);
        uint64_t size = clo_collab_sealed_span(manifest, m->first, m->count);
        CLO_CHECK(size <= CLO_ENCLAVE_FETCH_MAX, CLO_E_TOO_LARGE);
        uint8_t *at = NULL;
        CLO_TRY(clo_buf_reserve(out, (size_t)size, &at));
        CLO_TRY(clo_os_file_pread(x->data[i].fd, m->first * ((uint64_t)manifest->chunk_size + 16), at, (size_t)size));
        out->len += (size_t)size;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_NOT_FOUND, "the run has no such dataset");
}

static clo_err op_address(void *context, const char *owner, char host[256], uint16_t *port)
{
    const execution *x = context;
    const clo_collab_member *member = clo_collab_agreement_member(x->agreement, owner);
    CLO_CHECKF(member != NULL && member->data_owner, CLO_E_NOT_FOUND, "%s has no key service in this agreement", owner);
    clo_os_net_url url;
    CLO_TRY(clo_os_net_url_parse(&url, member->kms_url));
    (void)snprintf(host, 256, "%s", url.host);
    *port = url.port;
    return CLO_OK;
}

static clo_err keep_binding(execution *x, const clo_enclave_evidence *m)
{
    CLO_AUTO(clo_buf_free) clo_buf frame;
    clo_buf_init(&frame, 1 << 20);
    CLO_TRY(clo_enclave_evidence_encode(m, &frame));
    CLO_TRY(clo_arena_copy(x->arena, clo_buf_span(&frame), &x->run->binding));
    return clo_arena_copy(x->arena, m->evidence, &x->run->evidence);
}

static void op_evidence(void *context, const clo_enclave_evidence *m)
{
    execution *x = context;
    if (m->renewal) return;
    (void)clo_str_set(x->run->tee, sizeof x->run->tee, clo_span_str(m->tee)).code;
    (void)keep_binding(x, m).code; /* without it the receipt cannot be made, and the run says so */
    save(x);
}

static void op_progress(void *context, const clo_enclave_progress *m)
{
    execution *x = context;
    const char *phase = clo_enclave_phase_name(m->phase);
    bool changed = strcmp(x->run->phase, phase) != 0;
    (void)snprintf(x->run->phase, sizeof x->run->phase, "%s", phase);
    (void)snprintf(x->run->state, sizeof x->run->state, "%s", phase);
    (void)snprintf(x->run->text, sizeof x->run->text, "%s", m->text);
    x->run->done = m->done;
    x->run->total = m->total;
    if (changed)
        save(x);
    else
        clo_service_run_publish(x->service, x->run, false);
}

static clo_err op_output(void *context, const clo_enclave_output *m)
{
    execution *x = context;
    CLO_CHECK(m->offset == x->output_size && x->output_size + m->bytes.n <= CLO_ENCLAVE_OUTPUT_FILE_MAX, CLO_E_RANGE);
    CLO_TRY(clo_os_file_pwrite(x->output_fd, m->offset, m->bytes));
    x->output_size += m->bytes.n;
    if (!m->last) return CLO_OK;
    CLO_TRY(clo_os_file_sync(x->output_fd));
    CLO_TRY(clo_store_blob_sync(x->service->store));
    x->output_complete = true;
    return CLO_OK;
}

/* Spans as one CBOR array of bytes, owned by the run's arena. */
static clo_err keep_spans(execution *x, const clo_span *spans, size_t count, clo_span *out)
{
    clo_wire_node *array = NULL, *item = NULL;
    CLO_TRY(clo_wire_array(x->arena, &array));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(clo_wire_bytes(x->arena, spans[i], &item));
        CLO_TRY(clo_wire_append(array, item));
    }
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 4 << 20);
    CLO_TRY(clo_wire_cbor_encode(array, &bytes));
    return clo_arena_copy(x->arena, clo_buf_span(&bytes), out);
}

/* Durable before the runtime sends the first of them: a lost runtime must not leave one owner's budget spent and another's not. */
static clo_err op_prepared(void *context, const clo_enclave_prepared *m)
{
    execution *x = context;
    CLO_CHECKF(x->output_complete, CLO_E_CONFLICT, "the runtime would commit before its output is here");
    CLO_AUTO(clo_buf_free) clo_buf frame;
    clo_buf_init(&frame, 4 << 20);
    CLO_TRY(clo_enclave_prepared_encode(m, &frame));
    CLO_TRY(clo_arena_copy(x->arena, clo_buf_span(&frame), &x->run->prepared));
    x->run->changed = clo_os_clock_wall(x->service->clock);
    return clo_store_run_update(x->service->store, x->run);
}

static clo_err check_output(execution *x, const clo_enclave_finish *m)
{
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, CLO_ENCLAVE_OUTPUT_FILE_MAX);
    CLO_TRY(clo_os_file_read(x->output_path, CLO_ENCLAVE_OUTPUT_FILE_MAX, &file));
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&file), digest));
    CLO_CHECKF(m->output_size == file.len && memcmp(digest, m->output, 32) == 0, CLO_E_CONFLICT, "the stored output is not the one that the runtime sealed");
    return CLO_OK;
}

/* The run is over and released; what is left is registration and the receipt. The record is stored by the caller, who can wait for a full
 * disk; the runtime cannot. */
static clo_err op_finish(void *context, const clo_enclave_finish *m)
{
    execution *x = context;
    x->finished = true;
    CLO_TRY(check_output(x, m));
    CLO_TRY(keep_spans(x, m->commits, m->commit_count, &x->run->commits));
    CLO_TRY(clo_arena_copy(x->arena, m->statement, &x->run->statement));
    (void)snprintf(x->run->state, sizeof x->run->state, "committing");
    (void)snprintf(x->run->text, sizeof x->run->text, "registering the statement in the transparency log");
    return CLO_OK;
}

static void op_failed(void *context, const clo_enclave_failed *m)
{
    execution *x = context;
    (void)snprintf(x->run->owner, sizeof x->run->owner, "%s", m->owner);
}

static bool op_cancelled(void *context)
{
    const execution *x = context;
    return __atomic_load_n(x->cancel, __ATOMIC_ACQUIRE);
}

/* Key services want a checkpoint that the witnesses cosigned lately. Where none is to be had they are shown what there is, and say so. */
static clo_err fresh_proof(execution *x, clo_span *out)
{
    clo_service *s = x->service;
    CLO_AUTO(clo_buf_free) clo_buf proof;
    clo_buf_init(&proof, CLO_NOTE_MAX + 65536);
    *out = x->record->proof;
    if (x->record->log_index < 0 || clo_failed(clo_audit_log_refresh(s->log, SERVICE_WITNESSED_MS, SERVICE_REFRESH_MS))) return CLO_OK;
    CLO_TRY(clo_audit_log_proof(s->log, (uint64_t)x->record->log_index, 0, &proof));
    return clo_arena_copy(x->arena, clo_buf_span(&proof), out);
}

static clo_err run_it(execution *x)
{
    clo_service *s = x->service;
    clo_span proof;
    CLO_TRY(load(x));
    CLO_TRY(fresh_proof(x, &proof));
    clo_enclave_start start = {.agreement_file = x->record->file, .agreement_proof = proof, .request = x->run->request,
                               .manifest_count = x->data_count};
    memcpy(start.manifests, x->manifests, sizeof start.manifests);
    const clo_service_host_options options = {
        .enclave_path = s->config.enclave, .sim = s->sim, .start = &start,
        .ops = {.fetch = op_fetch, .address = op_address, .evidence = op_evidence, .progress = op_progress, .output = op_output,
                .prepared = op_prepared,
                .finish = op_finish, .failed = op_failed, .cancelled = op_cancelled, .context = x}};
    return clo_service_host_run(&options);
}

static void settle(execution *x, clo_err e)
{
    clo_service *s = x->service;
    if (!clo_failed(e)) {
        if (clo_service_run_save(s, x->run)) clo_service_run_finish(s, x->run, SERVICE_PROOF_MS); /* once stored, a restart finishes it */
    } else if (x->output_complete && !x->finished && (clo_err_denial() == NULL || x->run->prepared.n > 0))
        clo_service_run_leave(s, x->run, e); /* one owner may have committed before another refused */
    else if (e.code == CLO_E_CANCELLED && clo_service_stopping(s))
        clo_service_run_conclude(s, x->run, CLO_FAILF(CLO_E_CANCELLED, "the operator was stopped; nothing was released: start the run again"));
    else if (clo_err_denial() == NULL && (clo_err_class(e) == CLO_CLASS_ENV || clo_err_class(e) == CLO_CLASS_AGAIN))
        clo_service_run_conclude(s, x->run, clo_err_prefix(e, "nothing was released, start the run again"));
    else
        clo_service_run_conclude(s, x->run, e);
}

void clo_service_run_execute(clo_service *s, clo_store_run *run, const bool *cancel)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, SERVICE_ARENA_MAX);
    void *memory = NULL;
    clo_err e = clo_arena_alloc(&a, sizeof(execution), &memory);
    if (clo_failed(e)) {
        clo_service_run_conclude(s, run, e);
        return;
    }
    execution *x = memory;
    *x = (execution){.service = s, .run = run, .arena = &a, .cancel = cancel, .output_fd = -1};
    save(x);
    e = run_it(x);
    for (size_t i = 0; i < x->data_count; i++) clo_os_fd_close(&x->data[i].fd);
    clo_os_fd_close(&x->output_fd);
    settle(x, e);
}
