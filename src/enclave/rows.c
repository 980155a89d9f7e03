/* Sealed chunks in, rows in the shared region out. Every chunk is a leaf of the version that the request names. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "enclave/enclave_int.h"
#include "wire/merkle.h"

/* What dataset_read keeps between batches. */
typedef struct {
    size_t input;
    const clo_collab_manifest *m;
    clo_crypto_stream *stream;
    clo_crypto_stream_info info;
    clo_wire_merkle_range tree;
    uint64_t batch;  /* chunks that are asked for at once */
    uint64_t before; /* bytes of the tables before this one */
} reading;

static void reading_end(reading *r) { clo_crypto_stream_free(&r->stream); }

static uint64_t batch_count(const reading *r, uint64_t first)
{
    return r->m->chunk_count - first < r->batch ? r->m->chunk_count - first : r->batch;
}

static clo_err batch_ask(clo_enclave *e, const reading *r, uint64_t first)
{
    clo_enclave_fetch f = {.first = first, .count = batch_count(r, first)};
    memcpy(f.dataset, r->m->id, 32);
    return clo_enclave_fetch_begin(e, &f);
}

static clo_err batch_take(clo_enclave *e, const reading *r, uint64_t first)
{
    CLO_TRY(clo_enclave_fetch_end(e));
    uint64_t count = batch_count(r, first);
    CLO_CHECKF(e->chunks.len == clo_collab_sealed_span(r->m, first, count), CLO_E_TRUNCATED,
               "the host sent %zu bytes for chunks %llu to %llu of dataset %s", e->chunks.len, (unsigned long long)first,
               (unsigned long long)(first + count - 1), r->m->name);
    return CLO_OK;
}

/* Chunk by chunk, while its bytes are near: its leaf, then its rows. */
static clo_err batch_open(clo_enclave *e, reading *r, uint64_t first)
{
    clo_span rest = clo_buf_span(&e->chunks);
    for (uint64_t c = first; c < first + batch_count(r, first); c++) {
        size_t n = clo_crypto_stream_chunk_plain(&r->info, c) + 16;
        clo_wire_hash leaf;
        CLO_CHECK(n <= rest.n, CLO_E_BUG);
        CLO_TRY(clo_wire_merkle_leaf(clo_span_of(rest.p, n), &leaf));
        CLO_TRY(clo_wire_merkle_range_add(&r->tree, &leaf));
        CLO_TRY(clo_crypto_stream_open_chunk(r->stream, c, clo_span_of(rest.p, n), e->child.tables[r->input] + c * r->m->chunk_size));
        rest = clo_span_of(rest.p + n, rest.n - n);
    }
    return CLO_OK;
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

static clo_err stream_open(clo_enclave *e, reading *r)
{
    clo_collab_manifest_stream(r->m, &r->info);
    clo_err err = clo_crypto_stream_open(&r->stream, &e->secrets->deks[r->input], &r->info, r->m->commitment);
    clo_key32_wipe(&e->secrets->deks[r->input]);
    if (err.code != CLO_E_AUTHENTICATION) return err;
    return CLO_DENY(CLO_E_AUTHENTICATION, "dataset.key", "the key whose commitment stands in the manifest", "another key", r->m->name,
                    "the owner's key service holds a wrong key for this version; import the right one");
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

/* The chunks before `chunk` opened: the program may read what they hold. */
static clo_err announce(clo_enclave *e, const reading *r, uint64_t chunk)
{
    uint64_t n = chunk < r->m->chunk_count ? chunk * r->m->chunk_size : e->task.inputs[r->input].table.n;
    return clo_enclave_program_go(&e->child, r->before + n);
}

/* One batch is opened while the host looks for the next. */
static clo_err dataset_read(clo_enclave *e, size_t i, uint64_t before, uint64_t *done, uint64_t total)
{
    CLO_AUTO(reading_end) reading r = {.input = i, .m = &e->manifests[i], .before = before};
    CLO_TRY(stream_open(e, &r));
    r.batch = CLO_ENCLAVE_FETCH_BATCH / ((uint64_t)r.m->chunk_size + 16);
    if (r.batch == 0) r.batch = 1;
    for (uint64_t first = 0; first < r.m->chunk_count; first += r.batch) {
        if (first == 0) CLO_TRY(batch_ask(e, &r, first));
        CLO_TRY(batch_take(e, &r, first));
        CLO_TRY(clo_enclave_lease_keep(e));
        *done += batch_count(&r, first);
        CLO_TRY(clo_enclave_report(e, CLO_ENCLAVE_PHASE_READING, r.m->name, *done, total));
        if (r.m->chunk_count - first > r.batch) CLO_TRY(batch_ask(e, &r, first + r.batch));
        clo_err err = batch_open(e, &r, first);
        if (err.code == CLO_E_AUTHENTICATION) return chunk_denied(r.m);
        CLO_TRY(err);
        if (first == 0) CLO_TRY(head_check(e, i));
        CLO_TRY(announce(e, &r, first + batch_count(&r, first)));
    }
    return root_check(r.m, &r.tree);
}

clo_err clo_enclave_rows_read(clo_enclave *e)
{
    uint64_t total = 0, done = 0, before = 0;
    for (size_t i = 0; i < e->request.dataset_count; i++) total += e->manifests[i].chunk_count;
    for (size_t i = 0; i < e->request.dataset_count; i++) {
        CLO_TRY(dataset_read(e, i, before, &done, total));
        before += e->task.inputs[i].table.n;
    }
    return clo_enclave_report(e, CLO_ENCLAVE_PHASE_READING, "all chunks opened", done, total);
}
