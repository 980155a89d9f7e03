/* The sealed output file. */
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "collab/collab_int.h"
#include "crypto/hash.h"
#include "crypto/stream.h"
#include "wire/cbor.h"
#include "wire/container.h"

clo_err clo_collab_output_decode(clo_arena *a, clo_span plain, clo_collab_output *out)
{
    clo_wire_node *map = NULL;
    clo_err e = clo_wire_cbor_decode(a, plain, NULL, &map);
    if (clo_failed(e)) return clo_err_prefix(e, "the output");
    clo_collab_output o;
    memset(&o, 0, sizeof o);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "output");
    clo_wire_take_str(&f, "kind", o.kind, sizeof o.kind);
    clo_wire_take_name(&f, "name", o.name);
    clo_wire_take_str(&f, "media_type", o.media_type, sizeof o.media_type);
    clo_wire_take_bytes(&f, "content", &o.content, CLO_OUTPUT_MAX);
    clo_span pad; /* the runtime fills the whole to a power of two, so that the size tells nothing */
    if (clo_wire_has(&f, "pad")) clo_wire_take_bytes(&f, "pad", &pad, CLO_OUTPUT_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    *out = o;
    return CLO_OK;
}

static void stream_info(const clo_collab_output_head *h, clo_crypto_stream_info *out)
{
    clo_crypto_stream_info info = {.type = "output", .chunk_size = h->chunk_size, .plain_size = h->plain_size};
    memcpy(info.stream_id, h->stream_id, sizeof info.stream_id);
    memcpy(info.object_id, h->run_id, sizeof h->run_id);
    memcpy(info.version_id, h->version_id, sizeof info.version_id);
    *out = info;
}

static clo_err head_tree(clo_arena *a, const clo_collab_output_head *h, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_collab_set_fixed(a, map, "run_id", h->run_id, sizeof h->run_id));
    CLO_TRY(clo_collab_set_fixed(a, map, "agreement", h->agreement, sizeof h->agreement));
    CLO_TRY(clo_collab_set_fixed(a, map, "stream_id", h->stream_id, sizeof h->stream_id));
    CLO_TRY(clo_collab_set_fixed(a, map, "version_id", h->version_id, sizeof h->version_id));
    CLO_TRY(clo_collab_set_fixed(a, map, "commitment", h->commitment, sizeof h->commitment));
    CLO_TRY(clo_collab_set_u64(a, map, "chunk_size", h->chunk_size));
    CLO_TRY(clo_collab_set_u64(a, map, "plain_size", h->plain_size));
    *out = map;
    return CLO_OK;
}

static clo_err file_head_put(const clo_collab_output_head *h, clo_buf *file)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 16 * 1024);
    CLO_AUTO(clo_buf_free) clo_buf head;
    clo_buf_init(&head, CLO_OUTPUT_HEAD_MAX);
    clo_wire_node *map = NULL;
    CLO_TRY(head_tree(&a, h, &map));
    CLO_TRY(clo_wire_cbor_encode(map, &head));
    CLO_TRY(clo_wire_container_put(file, CLO_MAGIC_OUTPUT, 1));
    CLO_TRY(clo_buf_put_u32be(file, (uint32_t)head.len));
    return clo_buf_put_span(file, clo_buf_span(&head));
}

static clo_err seal(clo_collab_output_head *h, clo_span plain, clo_key32 *key, clo_buf *file)
{
    CLO_TRY(clo_crypto_random(h->stream_id, sizeof h->stream_id));
    CLO_TRY(clo_crypto_random(h->version_id, sizeof h->version_id));
    CLO_TRY(clo_crypto_random(key->b, sizeof key->b));
    clo_crypto_stream_info info;
    stream_info(h, &info);
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *stream = NULL;
    CLO_TRY(clo_crypto_stream_new(&stream, key, &info, h->commitment));
    CLO_TRY(file_head_put(h, file));
    size_t sealed = (size_t)clo_crypto_stream_sealed_size(&info); /* plain.n <= CLO_OUTPUT_MAX */
    uint8_t *to = NULL;
    CLO_TRY(clo_buf_reserve(file, sealed, &to));
    CLO_TRY(clo_crypto_stream_seal_many(stream, 0, clo_crypto_stream_chunk_count(&info), plain, to, 1));
    file->len += sealed;
    return CLO_OK;
}

clo_err clo_collab_output_seal(const uint8_t run_id[16], const uint8_t agreement[32], clo_span plain, clo_key32 *key,
                               clo_buf *file)
{
    CLO_CHECKF(plain.n <= CLO_OUTPUT_MAX, CLO_E_TOO_LARGE, "the output has %zu bytes; at most %d are allowed", plain.n,
               CLO_OUTPUT_MAX);
    clo_collab_output_head h = {.chunk_size = CLO_STREAM_CHUNK_DEFAULT, .plain_size = plain.n};
    memcpy(h.run_id, run_id, sizeof h.run_id);
    memcpy(h.agreement, agreement, sizeof h.agreement);
    size_t before = file->len;
    clo_err e = seal(&h, plain, key, file);
    if (clo_failed(e)) {
        file->len = before;
        clo_key32_wipe(key);
    }
    return e;
}

static clo_err file_split(clo_span file, clo_collab_output_head *out, clo_span *chunks)
{
    clo_span body;
    CLO_TRY(clo_wire_container_open(file, CLO_MAGIC_OUTPUT, 1, NULL, &body));
    clo_rd r = clo_rd_init(body);
    uint32_t head_size = clo_rd_u32be(&r);
    CLO_CHECKF(head_size <= CLO_OUTPUT_HEAD_MAX, CLO_E_TOO_LARGE, "the output file's head has %u bytes; at most %d are allowed",
               head_size, CLO_OUTPUT_HEAD_MAX);
    clo_span head_bytes = clo_rd_span(&r, head_size);
    CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the output file ends within its head; fetch it again");
    *chunks = clo_rd_span(&r, r.left);

    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_decode(&a, head_bytes, CLO_COLLAB_ITEMS_MAX, "the output file's head", &map));
    clo_collab_output_head h;
    memset(&h, 0, sizeof h);
    int64_t chunk_size = 0;
    clo_wire_fields f;
    clo_wire_fields_open(&f, &a, map, "output");
    clo_wire_take_fixed(&f, "run_id", h.run_id, sizeof h.run_id);
    clo_wire_take_fixed(&f, "agreement", h.agreement, sizeof h.agreement);
    clo_wire_take_fixed(&f, "stream_id", h.stream_id, sizeof h.stream_id);
    clo_wire_take_fixed(&f, "version_id", h.version_id, sizeof h.version_id);
    clo_wire_take_fixed(&f, "commitment", h.commitment, sizeof h.commitment);
    clo_wire_take_int(&f, "chunk_size", &chunk_size, CLO_STREAM_CHUNK_MIN, CLO_STREAM_CHUNK_MAX);
    clo_collab_take_u64(&f, "plain_size", &h.plain_size);
    CLO_TRY(clo_wire_fields_end(&f));
    h.chunk_size = (uint32_t)chunk_size;
    CLO_TRY(head_tree(&a, &h, &again));
    CLO_TRY(clo_collab_require_canonical(again, head_bytes, "the output file's head"));
    clo_crypto_stream_info info;
    stream_info(&h, &info);
    CLO_CHECKF(h.plain_size <= CLO_OUTPUT_MAX, CLO_E_TOO_LARGE, "the output has more than %d bytes", CLO_OUTPUT_MAX);
    CLO_CHECKF(clo_crypto_stream_sealed_size(&info) == chunks->n, CLO_E_TRUNCATED,
               "the output file has not the size that its head states; fetch it again");
    *out = h;
    return CLO_OK;
}

clo_err clo_collab_output_peek(clo_span file, clo_collab_output_head *head)
{
    clo_span chunks;
    return file_split(file, head, &chunks);
}

clo_err clo_collab_output_open(clo_span file, const clo_key32 *key, clo_collab_output_head *head, clo_buf *plain)
{
    clo_collab_output_head h;
    clo_span chunks;
    CLO_TRY(file_split(file, &h, &chunks));
    clo_crypto_stream_info info;
    stream_info(&h, &info);
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *stream = NULL;
    CLO_TRY(clo_crypto_stream_open(&stream, key, &info, h.commitment));
    uint8_t *to = NULL;
    CLO_TRY(clo_buf_reserve(plain, (size_t)h.plain_size, &to)); /* at once: growing would leave copies behind */
    CLO_TRY(clo_crypto_stream_open_many(stream, 0, clo_crypto_stream_chunk_count(&info), chunks, to, 1));
    plain->len += (size_t)h.plain_size;
    if (head != NULL) *head = h;
    return CLO_OK;
}
