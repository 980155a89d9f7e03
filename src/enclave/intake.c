/* START, verified: agreement by every party and in the log, request by an allowed starter, manifests by their owners. The host may
 * have swapped, aged or invented any of it. */
#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/leaf.h"
#include "enclave/enclave_int.h"

enum { LEAF_MAX = 1024 };

static clo_err agreement_open(clo_enclave *e)
{
    uint32_t signed_mask = 0;
    CLO_TRY(clo_collab_agreement_new(&e->arena, &e->agreement));
    CLO_TRY(clo_collab_agreement_file_open(&e->arena, e->start.agreement_file, e->agreement, &signed_mask));
    CLO_TRY(clo_collab_agreement_require_signed(e->agreement, signed_mask));
    CLO_AUTO(clo_buf_free) clo_buf leaf = {0};
    clo_buf_init(&leaf, LEAF_MAX);
    CLO_TRY(clo_collab_leaf(CLO_LEAF_AGREEMENT, e->start.agreement_file, &leaf));
    uint64_t witnessed_at = 0;
    CLO_TRY(clo_wire_tlog_proof_verify(e->start.agreement_proof, clo_buf_span(&leaf), &e->agreement->log, NULL, NULL, &witnessed_at));
    CLO_CHECK(witnessed_at <= INT64_MAX, CLO_E_RANGE);
    e->witnessed_at = (int64_t)witnessed_at;
    return CLO_OK;
}

/* The host's clock and the witnessed time each bound from one side; the key services judge by clocks of their own. */
static clo_err window_check(const clo_enclave *e)
{
    const clo_collab_run_terms *t = e->terms;
    int64_t now = clo_os_clock_wall(e->clock);
    int64_t end = t->not_after != 0 && t->not_after < e->agreement->not_after ? t->not_after : e->agreement->not_after;
    int64_t latest = now > e->witnessed_at ? now : e->witnessed_at;
    char expected[48], actual[48], when[21];
    clo_time_format(when, end);
    (void)snprintf(expected, sizeof expected, "no later than %s", when);
    clo_time_format(when, latest);
    (void)snprintf(actual, sizeof actual, "%s", when);
    if (end != 0 && latest > end)
        return CLO_DENY(CLO_E_EXPIRED, "agreement.not_after", expected, actual, "agreement", "agree on an amendment with a later end");
    if (t->not_before != 0 && now < t->not_before) {
        clo_time_format(when, t->not_before);
        (void)snprintf(expected, sizeof expected, "no earlier than %s", when);
        return CLO_DENY(CLO_E_DENIED, "run.window", expected, actual, "agreement", "start the run inside its window");
    }
    return CLO_OK;
}

static clo_err denied_manifest(const clo_collab_dataset_terms *d, const char *claim, const char *expected, const char *actual)
{
    char source[96];
    (void)snprintf(source, sizeof source, "agreement, dataset %s", d->name);
    return CLO_DENY(CLO_E_DENIED, claim, expected, actual, source, "push the dataset version that the request names, with its own manifest");
}

static clo_err manifest_check(clo_enclave *e, size_t i)
{
    clo_collab_manifest *m = &e->manifests[i];
    const clo_collab_dataset_terms *d = clo_collab_agreement_dataset_by_id(e->agreement, e->request.datasets[i].id);
    CLO_CHECKF(d != NULL, CLO_E_NOT_FOUND, "dataset %zu of the request is not in the agreement", i);
    const clo_collab_member *owner = clo_collab_agreement_member(e->agreement, d->owner);
    CLO_CHECKF(owner != NULL, CLO_E_NOT_FOUND, "the owner of dataset %s is not a member of the agreement", d->name);
    clo_err err = clo_collab_manifest_open(&e->arena, e->start.manifests[i], &owner->party.sign, m);
    if (clo_failed(err)) return err;
    if (memcmp(m->id, d->id, 32) != 0) return denied_manifest(d, "dataset.id", d->name, m->name);
    if (strcmp(m->owner, d->owner) != 0) return denied_manifest(d, "dataset.owner", d->owner, m->owner);
    char expected[65], actual[65];
    clo_hex_encode(expected, clo_span_of(e->request.datasets[i].version, 32));
    clo_hex_encode(actual, clo_span_of(m->version, 32));
    if (memcmp(m->version, e->request.datasets[i].version, 32) != 0) return denied_manifest(d, "dataset.version", expected, actual);
    clo_hex_encode(expected, clo_span_of(d->schema.digest, 32));
    clo_hex_encode(actual, clo_span_of(m->schema_digest, 32));
    if (memcmp(m->schema_digest, d->schema.digest, 32) != 0) return denied_manifest(d, "dataset.schema", expected, actual);
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(m, &info);
    CLO_CHECKF(m->chunk_count != 0 && clo_crypto_stream_chunk_count(&info) == m->chunk_count, CLO_E_MALFORMED,
               "the manifest of dataset %s contradicts itself about its chunks", d->name);
    CLO_CHECKF(m->plain_size >= CLO_TABLE_HEAD && m->plain_size <= SIZE_MAX, CLO_E_RANGE, "dataset %s is too small to be a table", d->name);
    CLO_CHECK(!__builtin_add_overflow(e->row_count, m->row_count, &e->row_count), CLO_E_OVERFLOW);
    e->task.inputs[i].schema = &d->schema;
    e->task.inputs[i].table = clo_span_of(NULL, (size_t)m->plain_size);
    e->task.inputs[i].row_count = m->row_count;
    return CLO_OK;
}

static clo_err rows_guard(const clo_enclave *e)
{
    char expected[64], actual[64];
    (void)snprintf(expected, sizeof expected, "at least %lld rows", (long long)e->terms->min_rows);
    (void)snprintf(actual, sizeof actual, "%llu rows in all datasets", (unsigned long long)e->row_count);
    if (e->row_count >= (uint64_t)e->terms->min_rows) return CLO_OK;
    return CLO_DENY(CLO_E_DENIED, "guard.min_rows", expected, actual, "agreement, run terms", "run on more rows");
}

clo_err clo_enclave_intake(clo_enclave *e)
{
    CLO_TRY(clo_enclave_start_decode(&e->arena, clo_buf_span(&e->start_body), &e->start));
    CLO_TRY(agreement_open(e));
    CLO_TRY(clo_collab_run_request_open(&e->arena, e->start.request, e->agreement, &e->request, &e->terms));
    e->program = clo_collab_agreement_program(e->agreement, e->terms->program);
    CLO_CHECKF(e->program != NULL, CLO_E_NOT_FOUND, "the run's program is not in the agreement");
    CLO_TRY(window_check(e));
    CLO_CHECKF(e->start.manifest_count == e->request.dataset_count, CLO_E_MISSING_FIELD, "START has %zu manifests for %zu datasets",
               e->start.manifest_count, e->request.dataset_count);
    CLO_CHECKF(e->terms->min_rows >= 1, CLO_E_RANGE, "the run's min_rows must be at least 1");
    e->task.input_count = e->request.dataset_count;
    e->task.program = e->program;
    e->task.request = &e->request;
    e->task.rho = e->request.rho;
    e->task.min_rows = (uint64_t)e->terms->min_rows;
    for (size_t i = 0; i < e->request.dataset_count; i++) CLO_TRY(manifest_check(e, i));
    CLO_TRY(rows_guard(e));
    e->engine = clo_enclave_engine_find(e->program->kind);
    CLO_CHECKF(e->engine != NULL, CLO_E_UNSUPPORTED, "this runtime has no engine for program %s", e->program->name);
    return e->engine->check(&e->task);
}
