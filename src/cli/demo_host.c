#include "cli/demo_host.h"

#include "crypto/hash.h"
#include "os/file.h"
#include "os/net.h"

/* ---- what the operator has ---- */

static clo_err analyst_session(demo *d, clo_client_home *home, clo_collab_identity *who, clo_client_session **out)
{
    char dir[DEMO_PATH];
    CLO_TRY(demo_path(d, dir, "analyst/home"));
    CLO_TRY(clo_client_home_open(home, dir));
    CLO_TRY(clo_client_home_identity(home, who));
    return clo_client_session_open(out, &home->server, who);
}

/* Of the versions that the first run named, in its order: one dataset of each hospital. */
static clo_err fetch_manifests(demo_loot *l, clo_client_session *s)
{
    demo *d = l->d;
    clo_span bytes;
    void *memory = NULL;
    char path[160], version[65];
    CLO_TRY(clo_arena_alloc(d->a, sizeof(clo_collab_run_request), &memory));
    clo_collab_run_request *r = memory;
    CLO_TRY(demo_read(d, "analyst/statistics.request", &bytes));
    CLO_TRY(clo_collab_run_request_peek(d->a, bytes, r));
    CLO_CHECKF(r->dataset_count == DEMO_HOSPITALS, CLO_E_CONFLICT, "the run has %zu datasets instead of three", r->dataset_count);
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) {
        clo_hex_encode(version, clo_span_of(r->datasets[i].version, 32));
        (void)snprintf(path, sizeof path, "/api/v1/datasets/%s/manifest", version);
        CLO_TRY(clo_client_session_get(s, d->a, path, CLO_MANIFEST_MAX, &l->manifests[i]));
        CLO_TRY(clo_collab_manifest_open(d->a, l->manifests[i], NULL, &l->opened[i]));
        CLO_TRY(demo_path(d, l->blobs[i], "operator/home/blobs/dataset-%s", version));
    }
    return CLO_OK;
}

static clo_err fetch(demo_loot *l, clo_client_session *s, const char *id)
{
    demo *d = l->d;
    char path[160];
    uint32_t mask = 0;
    (void)snprintf(path, sizeof path, "/api/v1/agreements/%s/file", id);
    CLO_TRY(clo_client_session_get(s, d->a, path, CLI_FILE_MAX, &l->file));
    (void)snprintf(path, sizeof path, "/api/v1/agreements/%s/proof", id);
    CLO_TRY(clo_client_session_get(s, d->a, path, CLI_FILE_MAX, &l->proof));
    CLO_TRY(clo_collab_agreement_new(d->a, &l->agreement));
    CLO_TRY(clo_collab_agreement_file_open(d->a, l->file, l->agreement, &mask));
    return fetch_manifests(l, s);
}

clo_err demo_loot_take(demo *d, const char *agreement_id, demo_loot *out)
{
    clo_client_home home;
    clo_collab_identity who;
    clo_client_session *s = NULL;
    char dir[DEMO_PATH];
    memset(out, 0, sizeof *out);
    memset(&who, 0, sizeof who);
    out->d = d;
    CLO_TRY(demo_path(d, dir, "operator/home/sim-tee"));
    CLO_TRY(clo_tee_sim_open(&out->sim, dir));
    clo_err e = analyst_session(d, &home, &who, &s);
    if (!clo_failed(e)) e = fetch(out, s, agreement_id != NULL ? agreement_id : d->agreement_id);
    clo_client_session_free(&s);
    clo_collab_identity_wipe(&who);
    return e;
}

void demo_loot_free(demo_loot *l) { clo_tee_sim_free(&l->sim); }

/* ---- a request ---- */

static clo_err fill_request(demo *d, const clo_collab_agreement *g, const char *run, clo_collab_run_request *r)
{
    clo_span earlier;
    const clo_collab_run_terms *terms = clo_collab_agreement_run(g, run);
    CLO_CHECKF(terms != NULL, CLO_E_NOT_FOUND, "the agreement has no run %s", run);
    CLO_TRY(demo_read(d, "analyst/statistics.request", &earlier));
    CLO_TRY(clo_collab_run_request_peek(d->a, earlier, r)); /* the datasets and their versions */
    memcpy(r->agreement, g->id, sizeof r->agreement);
    r->epoch = g->epoch;
    (void)snprintf(r->run, sizeof r->run, "%s", run);
    r->created = clo_cli_now();
    r->rho = terms->rho;
    return clo_crypto_random(r->run_id, sizeof r->run_id);
}

clo_err demo_request_sign(demo *d, const clo_collab_agreement *g, const char *run, clo_span *out)
{
    char dir[DEMO_PATH];
    clo_client_home home;
    clo_collab_identity who;
    void *memory = NULL;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 1 << 20);
    CLO_TRY(clo_arena_alloc(d->a, sizeof(clo_collab_run_request), &memory));
    CLO_TRY(fill_request(d, g, run, memory));
    CLO_TRY(demo_path(d, dir, "analyst/home"));
    CLO_TRY(clo_client_home_open(&home, dir));
    CLO_TRY(clo_client_home_identity(&home, &who));
    clo_err e = clo_collab_run_request_sign(memory, &who, &bytes);
    clo_collab_identity_wipe(&who);
    CLO_TRY(e);
    return clo_arena_copy(d->a, clo_buf_span(&bytes), out);
}

/* ---- the host's side of the protocol ---- */

static clo_err op_fetch(void *context, const clo_enclave_fetch *m, clo_buf *out)
{
    const demo_host *h = context;
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) {
        const clo_collab_manifest *manifest = &h->loot->opened[i];
        if (memcmp(manifest->id, m->dataset, 32) != 0) continue;
        CLO_CHECK(m->count > 0 && m->first < manifest->chunk_count && m->count <= manifest->chunk_count - m->first, CLO_E_RANGE);
        uint64_t size = clo_collab_sealed_span(manifest, m->first, m->count);
        uint8_t *at = NULL;
        CLO_AUTO(clo_os_fd_close) int fd = -1;
        CLO_TRY(clo_os_file_open(&fd, h->loot->blobs[i], CLO_OS_OPEN_READ, 0));
        CLO_TRY(clo_buf_reserve(out, (size_t)size, &at));
        CLO_TRY(clo_os_file_pread(fd, m->first * ((uint64_t)manifest->chunk_size + 16), at, (size_t)size));
        out->len += (size_t)size;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_NOT_FOUND, "the run has no such dataset");
}

static clo_err op_address(void *context, const char *owner, char host[256], uint16_t *port)
{
    const demo_host *h = context;
    const clo_collab_member *member = clo_collab_agreement_member(h->loot->agreement, owner);
    CLO_CHECKF(member != NULL, CLO_E_NOT_FOUND, "%s has no key service", owner);
    clo_os_net_url url;
    CLO_TRY(clo_os_net_url_parse(&url, member->kms_url));
    (void)snprintf(host, 256, "%s", url.host);
    *port = h->detour_owner != NULL && strcmp(h->detour_owner, owner) == 0 ? h->detour_port : url.port;
    return CLO_OK;
}

static void op_evidence(void *context, const clo_enclave_evidence *m)
{
    demo_host *h = context;
    if (h->on_evidence == NULL || m->renewal) return;
    h->evidence_err = h->on_evidence(h, m);
    if (clo_failed(h->evidence_err)) (void)snprintf(h->evidence_text, sizeof h->evidence_text, "%s", clo_err_text());
    h->cancel = true;
}

static void op_progress(void *context, const clo_enclave_progress *m)
{
    (void)context;
    (void)m;
}

static clo_err op_output(void *context, const clo_enclave_output *m)
{
    (void)context;
    (void)m;
    return CLO_OK;
}

static clo_err op_finish(void *context, const clo_enclave_finish *m)
{
    demo_host *h = context;
    (void)m;
    h->finished = true;
    return CLO_OK;
}

static void op_failed(void *context, const clo_enclave_failed *m)
{
    demo_host *h = context;
    h->failed = *m;
}

static bool op_cancelled(void *context)
{
    const demo_host *h = context;
    return h->cancel || demo_interrupted();
}

void demo_host_prepare(demo_host *h, const demo_loot *loot, clo_span request)
{
    memset(h, 0, sizeof *h);
    h->loot = loot;
    h->file = loot->file;
    h->proof = loot->proof;
    h->request = request;
}

clo_err demo_host_run(demo_host *h)
{
    const demo_loot *l = h->loot;
    char enclave[2 * DEMO_PATH];
    clo_enclave_start start = {
        .agreement_file = h->file, .agreement_proof = h->proof, .request = h->request, .manifest_count = DEMO_HOSPITALS};
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) start.manifests[i] = l->manifests[i];
    CLO_TRY(clo_os_path_join(enclave, sizeof enclave, l->d->programs, "cloister-enclave"));
    const clo_service_host_options options = {.enclave_path = enclave,
                                              .sim = l->sim,
                                              .start = &start,
                                              .ops = {.fetch = op_fetch,
                                                      .address = op_address,
                                                      .evidence = op_evidence,
                                                      .progress = op_progress,
                                                      .output = op_output,
                                                      .finish = op_finish,
                                                      .failed = op_failed,
                                                      .cancelled = op_cancelled,
                                                      .context = h}};
    clo_err e = clo_service_host_run(&options);
    CLO_CHECKF(!demo_interrupted(), CLO_E_CANCELLED, "interrupted; everything was stopped");
    if (clo_failed(h->evidence_err)) return clo_err_again(h->evidence_err.code, h->evidence_text);
    if (h->finished || h->cancel || clo_failed((clo_err){h->failed.code})) return CLO_OK;
    return clo_failed(e) ? e : CLO_FAILF(CLO_E_CONFLICT, "the runtime ended without a word");
}
