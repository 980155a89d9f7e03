/* Sealed chunks in, rows in the shared region out. Every chunk is a leaf of the version that the request names. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "enclave/enclave_int.h"
#include "wire/merkle.h"

static clo_err batch_read(clo_enclave *e, size_t i, clo_crypto_stream *stream, uint64_t first, uint64_t count, clo_wire_merkle_range *tree)
{
    const clo_collab_manifest *m = &e->manifests[i];
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, 2048);
    clo_enclave_fetch f = {.first = first, .count = count};
    memcpy(f.dataset, m->id, 32);
    CLO_TRY(clo_enclave_fetch_encode(&f, &body));
    CLO_TRY(clo_enclave_ask(e, CLO_ENCLAVE_FETCH, clo_buf_span(&body)));
    clo_span sealed = clo_buf_span(&e->reply);
    CLO_CHECKF(sealed.n == clo_collab_sealed_span(m, first, count), CLO_E_TRUNCATED, "the host sent %zu bytes for chunks %llu to %llu of dataset %s",
               sealed.n, (unsigned long long)first, (unsigned long long)(first + count - 1), m->name);
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(m, &info);
    clo_span rest = sealed;
    for (uint64_t c = 0; c < count; c++) {
        size_t n = clo_crypto_stream_chunk_plain(&info, first + c) + 16;
        clo_wire_hash leaf;
        CLO_CHECK(n <= rest.n, CLO_E_BUG);
        CLO_TRY(clo_wire_merkle_leaf(clo_span_of(rest.p, n), &leaf));
        CLO_TRY(clo_wire_merkle_range_add(tree, &leaf));
        rest = clo_span_of(rest.p + n, rest.n - n);
    }
    return clo_crypto_stream_open_many(stream, first, count, sealed, e->child.tables[i] + first * m->chunk_size, 1);
}

static clo_err root_check(const clo_collab_manifest *m, const clo_wire_merkle_range *tree)
{
    clo_wire_hash root;
    char expected[65], actual[65];
    CLO_TRY(clo_wire_merkle_range_root(tree, &root));
    if (memcmp(root.b, m->version, 32) == 0) return CLO_OK;
    clo_hex_encode(expected, clo_span_of(m->version, 32));
    clo_hex_encode(actual, clo_span_of(root.b, 32));
    return CLO_DENY(CLO_E_DENIED, "dataset.version", expected, actual, "run request", "the operator's copy of the dataset is not what was pushed; push it again");
}

/* A chunk that does not open is the operator's doing: say which dataset, as a denial. */
static clo_err chunk_denied(const clo_collab_manifest *m)
{
    return CLO_DENY(CLO_E_AUTHENTICATION, "dataset.chunk", "chunks sealed by the owner for this dataset, version and place",
                    "a chunk that does not authenticate", m->name, "the operator's copy of the dataset was changed; push it again");
}

static clo_err dataset_read(clo_enclave *e, size_t i, uint64_t *done, uint64_t total)
{
    const clo_collab_manifest *m = &e->manifests[i];
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *stream = NULL;
    clo_wire_merkle_range tree = {0};
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(m, &info);
    clo_err err = clo_crypto_stream_open(&stream, &e->secrets->deks[i], &info, m->commitment);
    clo_key32_wipe(&e->secrets->deks[i]);
    if (err.code == CLO_E_AUTHENTICATION)
        return CLO_DENY(CLO_E_AUTHENTICATION, "dataset.key", "the key whose commitment stands in the manifest", "another key", m->name,
                        "the owner's key service holds a wrong key for this version; import the right one");
    CLO_TRY(err);
    uint64_t batch = CLO_ENCLAVE_FETCH_BATCH / ((uint64_t)m->chunk_size + 16);
    if (batch == 0) batch = 1;
    for (uint64_t first = 0; first < m->chunk_count; first += batch) {
        uint64_t count = m->chunk_count - first < batch ? m->chunk_count - first : batch;
        CLO_TRY(clo_enclave_lease_keep(e));
        CLO_TRY(clo_enclave_report(e, CLO_ENCLAVE_PHASE_READING, m->name, *done, total));
        err = batch_read(e, i, stream, first, count, &tree);
        if (err.code == CLO_E_AUTHENTICATION) return chunk_denied(m);
        CLO_TRY(err);
        *done += count;
    }
    return root_check(m, &tree);
}

/* The table's head is public (it repeats the manifest): a table that announces other rows than the owner signed is refused here, before
 * the program sees it. */
static clo_err head_check(const clo_enclave *e, size_t i)
{
    clo_wire_table table;
    uint64_t rows = 0;
    CLO_TRY(clo_wire_table_open(e->task.inputs[i].schema, e->task.inputs[i].table, &table, &rows));
    CLO_CHECKF(rows == e->manifests[i].row_count, CLO_E_MALFORMED, "dataset %s does not have the rows that its manifest announces", e->manifests[i].name);
    return CLO_OK;
}

clo_err clo_enclave_rows_read(clo_enclave *e)
{
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < e->request.dataset_count; i++) total += e->manifests[i].chunk_count;
    for (size_t i = 0; i < e->request.dataset_count; i++) {
        CLO_TRY(dataset_read(e, i, &done, total));
        CLO_TRY(head_check(e, i));
    }
    return clo_enclave_report(e, CLO_ENCLAVE_PHASE_READING, "all chunks opened", done, total);
}
