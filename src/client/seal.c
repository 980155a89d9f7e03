#include "client/seal.h"

#include "base/clo_own.h"
#include "base/clo_ct.h"
#include "base/clo_text.h"
#include "client/chunks.h"
#include "collab/key_import.h"
#include "crypto/hash.h"
#include "os/file.h"
#include "wire/container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 * 1024, TAG = 16, PATH_MAX_HERE = 700, SPILL_MAX = 64 * 1024 * 1024 };

typedef struct {
    const clo_client_seal_options *o;
    int csv, out;
    uint64_t csv_size, done;
    clo_collab_manifest manifest;
    clo_crypto_stream *stream;
    uint64_t offset; /* of chunk 0 in the sealed file */
    /* second pass: rows as they are parsed */
    clo_wire_csv *reader;
    clo_crypto_hasher *rows; /* digest of what it gives */
    uint8_t *piece;
    uint64_t at;       /* of the CSV */
    uint64_t produced; /* plain bytes */
    uint8_t *to;       /* of the batch that is being filled */
    size_t room;
    clo_buf spill; /* rows of the last piece that did not fit */
    size_t spill_at;
} sealing;

static void sealing_end(sealing *s)
{
    clo_crypto_stream_free(&s->stream);
    clo_wire_csv_free(&s->reader);
    clo_crypto_hasher_free(&s->rows);
    if (s->piece != NULL) clo_wipe(s->piece, PIECE);
    free(s->piece);
    if (s->spill.p != NULL) clo_wipe(s->spill.p, s->spill.cap);
    clo_buf_free(&s->spill);
    clo_os_fd_close(&s->csv);
    clo_os_fd_close(&s->out);
}

/* The next piece of the file through the reader; at the end of the file its end. */
static clo_err feed_piece(sealing *s, clo_wire_csv *csv, uint64_t *rows)
{
    size_t n = s->csv_size - s->at < PIECE ? (size_t)(s->csv_size - s->at) : PIECE;
    if (n != 0) CLO_TRY(clo_os_file_pread(s->csv, s->at, s->piece, n));
    clo_err e = clo_wire_csv_feed(csv, clo_span_of(s->piece, n));
    s->at += n;
    s->done += n;
    if (s->o->progress != NULL) s->o->progress(s->o->context, s->done, 2 * s->csv_size);
    if (!clo_failed(e) && s->at == s->csv_size) e = clo_wire_csv_end(csv, rows);
    return clo_failed(e) ? clo_err_prefix(e, s->o->csv_path) : CLO_OK;
}

/* First pass: the sizes alone, which every chunk is bound to. Cells are read, and checked, in the second. */
static clo_err count(sealing *s, uint64_t *rows, uint64_t *bytes)
{
    CLO_AUTO(clo_wire_csv_free) clo_wire_csv *csv = NULL;
    CLO_TRY(clo_wire_csv_new(&csv, s->o->schema, NULL, NULL));
    s->at = 0;
    do CLO_TRY(feed_piece(s, csv, rows));
    while (s->at < s->csv_size);
    *bytes = clo_wire_csv_bytes(csv);
    s->at = 0;
    return CLO_OK;
}

static clo_err take_bytes(void *context, clo_span bytes)
{
    sealing *s = context;
    CLO_TRY(clo_crypto_hasher_put(s->rows, bytes));
    size_t n = bytes.n < s->room ? bytes.n : s->room;
    if (n != 0) memcpy(s->to, bytes.p, n);
    s->to += n;
    s->room -= n;
    return n == bytes.n ? CLO_OK : clo_buf_put(&s->spill, bytes.p + n, bytes.n - n);
}

static clo_err changed(const sealing *s)
{
    return CLO_FAILF(CLO_E_CONFLICT, "%s changed while it was read; seal it again", s->o->csv_path);
}

/* clo_client_plain_source: exactly as many rows as were counted, or the file is not the one that was counted. */
static clo_err next_rows(void *context, uint8_t *to, size_t n)
{
    sealing *s = context;
    uint64_t rows = 0;
    s->to = to;
    s->room = n;
    s->produced += n;
    bool last = s->produced == s->manifest.plain_size, ended = s->at == s->csv_size;
    size_t kept = s->spill.len - s->spill_at, taken = kept < n ? kept : n;
    if (taken != 0) memcpy(to, s->spill.p + s->spill_at, taken);
    s->to += taken;
    s->room -= taken;
    s->spill_at += taken;
    if (s->spill_at == s->spill.len) {
        clo_buf_clear(&s->spill);
        s->spill_at = 0;
    }
    while (!ended && (s->room > 0 || last)) {
        CLO_TRY(feed_piece(s, s->reader, &rows));
        ended = s->at == s->csv_size;
        if (ended && rows != s->manifest.row_count) return changed(s);
    }
    return s->room > 0 || (last && s->spill.len != s->spill_at) ? changed(s) : CLO_OK;
}

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
static clo_err prepare(sealing *s, uint64_t rows, uint64_t bytes, clo_key32 *dek)
{
    const clo_client_seal_options *o = s->o;
    clo_collab_manifest *m = &s->manifest;
    clo_crypto_stream_info info;
    CLO_TRY(clo_str_set(m->name, sizeof m->name, clo_span_str(o->name)));
    CLO_TRY(clo_str_set(m->owner, sizeof m->owner, clo_span_str(o->owner->public_half.name)));
    CLO_TRY(clo_collab_dataset_id(&o->owner->public_half, o->name, m->id));
    CLO_TRY(clo_crypto_random(m->version_id, sizeof m->version_id));
    CLO_TRY(clo_crypto_random(m->stream_id, sizeof m->stream_id));
    CLO_TRY(clo_crypto_random(dek->b, sizeof dek->b));
    memcpy(m->schema_digest, o->schema->digest, sizeof m->schema_digest);
    m->chunk_size = o->chunk_size == 0 ? (uint32_t)CLO_STREAM_CHUNK_DEFAULT : o->chunk_size;
    CLO_CHECK(!__builtin_add_overflow(bytes, (uint64_t)CLO_TABLE_HEAD, &m->plain_size), CLO_E_OVERFLOW);
    m->row_count = rows;
    m->created = o->now;
    clo_collab_manifest_stream(m, &info);
    m->chunk_count = clo_crypto_stream_chunk_count(&info);
    CLO_CHECKF(m->chunk_count > 0, CLO_E_RANGE, "the table is too large for chunks of %u bytes", m->chunk_size);
    return clo_crypto_stream_new(&s->stream, dek, &info, m->commitment);
}

static clo_err write_chunks(sealing *s, clo_buf *manifest)
{
    uint8_t head[CLO_TABLE_HEAD];
    clo_wire_hash root;
    /* The manifest's size does not depend on the root: sign once to know where the chunks begin. */
    CLO_TRY(clo_collab_manifest_sign(&s->manifest, s->o->owner, manifest));
    size_t size = manifest->len;
    CLO_TRY(write_head(s, clo_buf_span(manifest)));
    CLO_TRY(clo_wire_table_head(s->o->schema, s->manifest.row_count, head));
    CLO_TRY(clo_buf_put(&s->spill, head, sizeof head));
    CLO_TRY(clo_collab_rows_digest_new(s->o->schema->digest, &s->rows));
    CLO_TRY(clo_wire_csv_new(&s->reader, s->o->schema, take_bytes, s));
    clo_client_chunks chunks = {.fd = s->out, .offset = s->offset, .stream = s->stream, .source = next_rows, .context = s, .threads = s->o->threads};
    clo_collab_manifest_stream(&s->manifest, &chunks.info);
    CLO_TRY(clo_client_chunks_write(&chunks, &root));
    memcpy(s->manifest.version, root.b, sizeof s->manifest.version);
    clo_buf_clear(manifest);
    CLO_TRY(clo_collab_manifest_sign(&s->manifest, s->o->owner, manifest));
    CLO_CHECK(manifest->len == size, CLO_E_BUG);
    CLO_TRY(write_head(s, clo_buf_span(manifest)));
    CLO_TRY(clo_os_file_sync(s->out));
    return clo_os_fd_finish(&s->out);
}

static clo_err seal_into(sealing *s, const char *temporary, uint64_t rows, uint64_t bytes)
{
    CLO_KEY32(dek);
    CLO_AUTO(clo_buf_free) clo_buf manifest, key;
    clo_buf_init(&manifest, CLO_MANIFEST_MAX);
    clo_buf_init(&key, CLO_MANIFEST_MAX + 1024);
    CLO_TRY(prepare(s, rows, bytes, &dek));
    CLO_TRY(clo_os_file_open(&s->out, temporary, CLO_OS_OPEN_CREATE, 0600));
    CLO_TRY(clo_os_file_truncate(s->out, 0));
    CLO_TRY(write_chunks(s, &manifest));
    uint8_t digest[32];
    CLO_TRY(clo_crypto_hasher_end(s->rows, digest));
    CLO_TRY(clo_collab_key_import_make(clo_buf_span(&manifest), &s->manifest, digest, &dek, s->o->kms_hpke, &key));
    CLO_TRY(clo_os_file_write_atomic(s->o->key_path, clo_buf_span(&key), 0600));
    return clo_os_file_rename(temporary, s->o->sealed_path);
}

static clo_err seal(sealing *s, const char *temporary)
{
    uint64_t rows = 0, bytes = 0;
    s->piece = malloc(PIECE);
    CLO_CHECK(s->piece != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_os_file_open(&s->csv, s->o->csv_path, CLO_OS_OPEN_READ, 0));
    CLO_TRY(clo_os_file_size_fd(s->csv, &s->csv_size));
    CLO_TRY(count(s, &rows, &bytes));
    clo_err e = seal_into(s, temporary, rows, bytes);
    if (clo_failed(e)) {
        clo_os_fd_close(&s->out);
        (void)clo_os_file_remove(temporary).code;
    }
    return e;
}

clo_err clo_client_dataset_seal(const clo_client_seal_options *options, clo_collab_manifest *out)
{
    char temporary[PATH_MAX_HERE];
    CLO_CHECKF(clo_name_valid(options->name), CLO_E_MALFORMED, "\"%.70s\" is no name of a dataset; use 1 to 63 of a-z 0-9 . _ -",
               options->name);
    int n = snprintf(temporary, sizeof temporary, "%s.part", options->sealed_path);
    CLO_CHECK(n > 0 && (size_t)n < sizeof temporary, CLO_E_TOO_LARGE);
    sealing *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    s->o = options;
    s->csv = s->out = -1;
    clo_buf_init(&s->spill, SPILL_MAX);
    clo_err e = seal(s, temporary);
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
