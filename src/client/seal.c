#include "client/seal.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/key_import.h"
#include "crypto/hash.h"
#include "os/file.h"
#include "wire/container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 * 1024, BATCH_BYTES = 4 * 1024 * 1024, TAG = 16, PATH_MAX_HERE = 700 };

typedef struct {
    const clo_client_seal_options *o;
    int csv, out;
    uint64_t csv_size, done;
    uint64_t plain_size; /* counted by the first pass */
    /* second pass */
    clo_collab_manifest manifest;
    clo_crypto_stream *stream;
    clo_wire_merkle_range range;
    uint8_t *plain, *sealed;
    size_t plain_used, batch_chunks;
    uint64_t next_chunk, written, offset;
} sealing;

static void sealing_end(sealing *s)
{
    clo_crypto_stream_free(&s->stream);
    if (s->plain != NULL) clo_wipe(s->plain, (size_t)s->manifest.chunk_size * s->batch_chunks);
    free(s->plain);
    free(s->sealed);
    clo_os_fd_close(&s->csv);
    clo_os_fd_close(&s->out);
}

/* The whole file through the CSV reader. */
static clo_err feed_all(sealing *s, clo_wire_csv_sink sink, uint64_t *rows)
{
    clo_wire_csv *csv = NULL;
    CLO_TRY(clo_wire_csv_new(&csv, s->o->schema, sink, s));
    uint8_t *piece = malloc(PIECE);
    clo_err e = piece == NULL ? CLO_FAIL(CLO_E_NOMEM) : CLO_OK;
    for (uint64_t at = 0; !clo_failed(e) && at < s->csv_size;) {
        size_t n = s->csv_size - at < PIECE ? (size_t)(s->csv_size - at) : PIECE;
        e = clo_os_file_pread(s->csv, at, piece, n);
        if (!clo_failed(e)) e = clo_wire_csv_feed(csv, clo_span_of(piece, n));
        at += n;
        s->done += n;
        if (s->o->progress != NULL) s->o->progress(s->o->context, s->done, 2 * s->csv_size);
    }
    if (!clo_failed(e)) e = clo_wire_csv_end(csv, rows);
    if (piece != NULL) clo_wipe(piece, PIECE);
    free(piece);
    clo_wire_csv_free(&csv);
    return clo_failed(e) ? clo_err_prefix(e, s->o->csv_path) : CLO_OK;
}

static clo_err count_row(void *context, clo_span row)
{
    sealing *s = context;
    CLO_CHECK(!__builtin_add_overflow(s->plain_size, (uint64_t)row.n, &s->plain_size), CLO_E_OVERFLOW);
    return CLO_OK;
}

/* Seal and write what is in the plain buffer: whole chunks, and at the end the last one. */
static clo_err flush(sealing *s)
{
    const clo_collab_manifest *m = &s->manifest;
    uint64_t count = s->plain_used / m->chunk_size, left = m->chunk_count - s->next_chunk;
    bool last = s->written + s->plain_used == m->plain_size;
    if (last) count = left;
    CLO_CHECK(count <= left && count <= s->batch_chunks, CLO_E_BUG);
    if (count == 0) return CLO_OK;
    size_t plain = last ? s->plain_used : (size_t)count * m->chunk_size;
    CLO_TRY(clo_crypto_stream_seal_many(s->stream, s->next_chunk, count, clo_span_of(s->plain, plain), s->sealed,
                                        s->o->threads == 0 ? 2 : s->o->threads));
    size_t sealed = plain + (size_t)count * TAG;
    for (size_t i = 0, at = 0; i < count; i++) {
        clo_wire_hash leaf;
        size_t n = sealed - at < (size_t)m->chunk_size + TAG ? sealed - at : (size_t)m->chunk_size + TAG;
        CLO_TRY(clo_wire_merkle_leaf(clo_span_of(s->sealed + at, n), &leaf));
        CLO_TRY(clo_wire_merkle_range_add(&s->range, &leaf));
        at += n;
    }
    CLO_TRY(clo_os_file_pwrite(s->out, s->offset, clo_span_of(s->sealed, sealed)));
    s->offset += sealed;
    s->written += plain;
    s->next_chunk += count;
    s->plain_used -= plain;
    if (s->plain_used > 0) memmove(s->plain, s->plain + plain, s->plain_used);
    return CLO_OK;
}

static clo_err put_plain(sealing *s, clo_span bytes)
{
    size_t room = (size_t)s->manifest.chunk_size * s->batch_chunks;
    CLO_CHECKF(s->written + s->plain_used + bytes.n <= s->manifest.plain_size, CLO_E_CONFLICT,
               "%s changed while it was read; seal it again", s->o->csv_path);
    while (bytes.n > 0) {
        size_t n = room - s->plain_used < bytes.n ? room - s->plain_used : bytes.n;
        memcpy(s->plain + s->plain_used, bytes.p, n);
        s->plain_used += n;
        bytes = clo_span_of(bytes.p + n, bytes.n - n);
        if (s->plain_used == room) CLO_TRY(flush(s));
    }
    return CLO_OK;
}

static clo_err seal_row(void *context, clo_span row) { return put_plain(context, row); }

static clo_err write_head(sealing *s, clo_span manifest)
{
    CLO_AUTO(clo_buf_free) clo_buf head;
    clo_buf_init(&head, CLO_MANIFEST_MAX + 64);
    CLO_TRY(clo_wire_container_put(&head, CLO_MAGIC_SEALED, 1));
    CLO_TRY(clo_buf_put_u32be(&head, (uint32_t)manifest.n));
    CLO_TRY(clo_buf_put_span(&head, manifest));
    s->offset = head.len;
    return clo_os_file_pwrite(s->out, 0, clo_buf_span(&head));
}

/* Everything of the manifest but its root; the stream that seals the chunks. */
static clo_err prepare(sealing *s, uint64_t rows, clo_key32 *dek)
{
    const clo_client_seal_options *o = s->o;
    clo_collab_manifest *m = &s->manifest;
    clo_crypto_stream_info info;
    CLO_TRY(clo_str_set(m->name, sizeof m->name, clo_span_str(o->name)));
    CLO_TRY(clo_str_set(m->owner, sizeof m->owner, clo_span_str(o->owner->public_half.name)));
    clo_collab_dataset_id(&o->owner->public_half, o->name, m->id);
    CLO_TRY(clo_crypto_random(m->version_id, sizeof m->version_id));
    CLO_TRY(clo_crypto_random(m->stream_id, sizeof m->stream_id));
    CLO_TRY(clo_crypto_random(dek->b, sizeof dek->b));
    memcpy(m->schema_digest, o->schema->digest, sizeof m->schema_digest);
    m->chunk_size = o->chunk_size == 0 ? (uint32_t)CLO_STREAM_CHUNK_DEFAULT : o->chunk_size;
    m->plain_size = CLO_TABLE_HEAD + s->plain_size;
    m->row_count = rows;
    m->created = o->now;
    clo_collab_manifest_stream(m, &info);
    m->chunk_count = clo_crypto_stream_chunk_count(&info);
    CLO_CHECKF(m->chunk_count > 0, CLO_E_RANGE, "the table is too large for chunks of %u bytes", m->chunk_size);
    CLO_TRY(clo_crypto_stream_new(&s->stream, dek, &info, m->commitment));
    s->batch_chunks = BATCH_BYTES / m->chunk_size == 0 ? 1 : BATCH_BYTES / m->chunk_size;
    if (s->batch_chunks > m->chunk_count) s->batch_chunks = (size_t)m->chunk_count;
    s->plain = malloc((size_t)m->chunk_size * s->batch_chunks);
    s->sealed = malloc(((size_t)m->chunk_size + TAG) * s->batch_chunks);
    CLO_CHECK(s->plain != NULL && s->sealed != NULL, CLO_E_NOMEM);
    return CLO_OK;
}

static clo_err write_chunks(sealing *s, clo_buf *manifest)
{
    uint8_t head[CLO_TABLE_HEAD];
    uint64_t rows = 0;
    clo_wire_hash root;
    /* The manifest's size does not depend on the root: sign once to know where the chunks begin. */
    CLO_TRY(clo_collab_manifest_sign(&s->manifest, s->o->owner, manifest));
    size_t size = manifest->len;
    CLO_TRY(write_head(s, clo_buf_span(manifest)));
    CLO_TRY(clo_wire_table_head(s->o->schema, s->manifest.row_count, head));
    CLO_TRY(put_plain(s, clo_span_of(head, sizeof head)));
    CLO_TRY(feed_all(s, seal_row, &rows));
    CLO_CHECKF(rows == s->manifest.row_count && s->written + s->plain_used == s->manifest.plain_size, CLO_E_CONFLICT,
               "%s changed while it was read; seal it again", s->o->csv_path);
    CLO_TRY(flush(s));
    CLO_TRY(clo_wire_merkle_range_root(&s->range, &root));
    memcpy(s->manifest.version, root.b, sizeof s->manifest.version);
    clo_buf_clear(manifest);
    CLO_TRY(clo_collab_manifest_sign(&s->manifest, s->o->owner, manifest));
    CLO_CHECK(manifest->len == size, CLO_E_BUG);
    CLO_TRY(write_head(s, clo_buf_span(manifest)));
    CLO_TRY(clo_os_file_sync(s->out));
    return clo_os_fd_finish(&s->out);
}

static clo_err seal_into(sealing *s, const char *temporary, uint64_t rows)
{
    CLO_KEY32(dek);
    CLO_AUTO(clo_buf_free) clo_buf manifest, key;
    clo_buf_init(&manifest, CLO_MANIFEST_MAX);
    clo_buf_init(&key, CLO_MANIFEST_MAX + 1024);
    CLO_TRY(prepare(s, rows, &dek));
    CLO_TRY(clo_os_file_open(&s->out, temporary, CLO_OS_OPEN_CREATE, 0600));
    CLO_TRY(clo_os_file_truncate(s->out, 0));
    CLO_TRY(write_chunks(s, &manifest));
    CLO_TRY(clo_collab_key_import_make(clo_buf_span(&manifest), &s->manifest, &dek, s->o->kms_hpke, &key));
    CLO_TRY(clo_os_file_write_atomic(s->o->key_path, clo_buf_span(&key), 0600));
    return clo_os_file_rename(temporary, s->o->sealed_path);
}

clo_err clo_client_dataset_seal(const clo_client_seal_options *options, clo_collab_manifest *out)
{
    char temporary[PATH_MAX_HERE];
    uint64_t rows = 0;
    CLO_CHECKF(clo_name_valid(options->name), CLO_E_MALFORMED, "\"%.70s\" is no name of a dataset; use 1 to 63 of a-z 0-9 . _ -",
               options->name);
    int n = snprintf(temporary, sizeof temporary, "%s.part", options->sealed_path);
    CLO_CHECK(n > 0 && (size_t)n < sizeof temporary, CLO_E_TOO_LARGE);
    sealing *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    s->o = options;
    s->csv = s->out = -1;
    clo_err e = clo_os_file_open(&s->csv, options->csv_path, CLO_OS_OPEN_READ, 0);
    if (!clo_failed(e)) e = clo_os_file_size_fd(s->csv, &s->csv_size);
    if (!clo_failed(e)) e = feed_all(s, count_row, &rows);
    if (!clo_failed(e)) {
        e = seal_into(s, temporary, rows);
        if (clo_failed(e)) {
            clo_os_fd_close(&s->out);
            (void)clo_os_file_remove(temporary).code;
        }
    }
    if (!clo_failed(e)) *out = s->manifest;
    sealing_end(s);
    free(s);
    return e;
}

static clo_err read_manifest(clo_arena *a, int fd, const clo_crypto_public_key *owner, clo_collab_manifest *out,
                             clo_span *manifest, uint64_t *content)
{
    uint8_t head[CLO_CONTAINER_HEAD + 4];
    clo_span body;
    CLO_TRY(clo_os_file_pread(fd, 0, head, sizeof head));
    CLO_TRY(clo_wire_container_open(clo_span_of(head, sizeof head), CLO_MAGIC_SEALED, 1, NULL, &body));
    size_t n = (size_t)head[16] << 24 | (size_t)head[17] << 16 | (size_t)head[18] << 8 | head[19];
    CLO_CHECKF(n > 0 && n <= CLO_MANIFEST_MAX, CLO_E_TOO_LARGE, "the manifest would have %zu bytes; the file is damaged", n);
    void *bytes = NULL;
    CLO_TRY(clo_arena_alloc(a, n, &bytes));
    CLO_TRY(clo_os_file_pread(fd, sizeof head, bytes, n));
    CLO_TRY(clo_collab_manifest_open(a, clo_span_of(bytes, n), owner, out));
    *manifest = clo_span_of(bytes, n);
    *content = clo_collab_sealed_offset(n, out, 0);
    return CLO_OK;
}

clo_err clo_client_sealed_manifest(clo_arena *a, const char *path, const clo_crypto_public_key *owner, clo_collab_manifest *out,
                                   clo_span *manifest, uint64_t *content)
{
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    clo_err e = read_manifest(a, fd, owner, out, manifest, content);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}

static clo_err check_chunks(int fd, const clo_collab_manifest *m, uint64_t content)
{
    clo_wire_merkle_range range;
    clo_wire_hash leaf, root;
    memset(&range, 0, sizeof range);
    uint64_t size = 0, end = content + clo_collab_sealed_span(m, 0, m->chunk_count);
    CLO_TRY(clo_os_file_size_fd(fd, &size));
    CLO_CHECKF(size >= end, CLO_E_TRUNCATED, "the file has %llu bytes, its manifest promises %llu; copy it again",
               (unsigned long long)size, (unsigned long long)end);
    CLO_CHECKF(size == end, CLO_E_TRAILING, "the file has bytes behind its last chunk");
    uint8_t *chunk = malloc((size_t)m->chunk_size + TAG);
    CLO_CHECK(chunk != NULL, CLO_E_NOMEM);
    clo_err e = CLO_OK;
    for (uint64_t i = 0, at = content; !clo_failed(e) && i < m->chunk_count; i++) {
        size_t n = (size_t)clo_collab_sealed_span(m, i, 1);
        e = clo_os_file_pread(fd, at, chunk, n);
        if (!clo_failed(e)) e = clo_wire_merkle_leaf(clo_span_of(chunk, n), &leaf);
        if (!clo_failed(e)) e = clo_wire_merkle_range_add(&range, &leaf);
        at += n;
    }
    free(chunk);
    CLO_TRY(e);
    CLO_TRY(clo_wire_merkle_range_root(&range, &root));
    if (memcmp(root.b, m->version, sizeof m->version) == 0) return CLO_OK;
    char expected[65], actual[65];
    clo_hex_encode(expected, clo_span_of(m->version, 32));
    clo_hex_encode(actual, clo_span_of(root.b, 32));
    return CLO_DENY(CLO_E_DENIED, "dataset.root", expected, actual, "manifest",
                    "the chunks are not the ones that were sealed; take the file from its owner again");
}

clo_err clo_client_sealed_check(clo_arena *a, const char *path, const clo_crypto_public_key *owner, clo_collab_manifest *out,
                                clo_span *manifest)
{
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    uint64_t content = 0;
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    clo_err e = read_manifest(a, fd, owner, out, manifest, &content);
    if (!clo_failed(e)) e = check_chunks(fd, out, content);
    if (clo_failed(e) && clo_err_denial() == NULL) return clo_err_prefix(e, path);
    return e;
}
