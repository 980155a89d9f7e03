/* The dataset manifest and the layout of the sealed file. */

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/collab_int.h"
#include "crypto/hash.h"
#include "wire/container.h"

clo_err clo_collab_dataset_id(const clo_collab_party *owner, const char *name, uint8_t out[32])
{
    static const char domain[] = "cloister/v1 dataset"; /* its end is the zero byte */
    uint8_t message[sizeof domain + 32 + 64];
    size_t name_size = strnlen(name, 64);
    memcpy(message, domain, sizeof domain);
    memcpy(message + sizeof domain, owner->sign.bytes, 32);
    memcpy(message + sizeof domain + 32, name, name_size);
    return clo_crypto_sha256(clo_span_of(message, sizeof domain + 32 + name_size), out);
}

void clo_collab_manifest_stream(const clo_collab_manifest *m, clo_crypto_stream_info *out)
{
    clo_crypto_stream_info info = {.type = "dataset", .chunk_size = m->chunk_size, .plain_size = m->plain_size};
    memcpy(info.stream_id, m->stream_id, sizeof info.stream_id);
    memcpy(info.object_id, m->id, sizeof info.object_id);
    memcpy(info.version_id, m->version_id, sizeof info.version_id);
    *out = info;
}

clo_err clo_collab_manifest_tree(clo_arena *a, const clo_collab_manifest *m, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_MANIFEST, &map));
    CLO_TRY(clo_wire_set_text(a, map, "name", m->name));
    CLO_TRY(clo_wire_set_text(a, map, "owner", m->owner));
    CLO_TRY(clo_collab_set_fixed(a, map, "id", m->id, sizeof m->id));
    CLO_TRY(clo_collab_set_fixed(a, map, "version", m->version, sizeof m->version));
    CLO_TRY(clo_collab_set_fixed(a, map, "version_id", m->version_id, sizeof m->version_id));
    CLO_TRY(clo_collab_set_fixed(a, map, "stream_id", m->stream_id, sizeof m->stream_id));
    CLO_TRY(clo_collab_set_fixed(a, map, "commitment", m->commitment, sizeof m->commitment));
    CLO_TRY(clo_collab_set_fixed(a, map, "schema_digest", m->schema_digest, sizeof m->schema_digest));
    CLO_TRY(clo_collab_set_u64(a, map, "chunk_size", m->chunk_size));
    CLO_TRY(clo_collab_set_u64(a, map, "chunk_count", m->chunk_count));
    CLO_TRY(clo_collab_set_u64(a, map, "plain_size", m->plain_size));
    CLO_TRY(clo_collab_set_u64(a, map, "row_count", m->row_count));
    CLO_TRY(clo_wire_set_int(a, map, "created", m->created));
    *out = map;
    return CLO_OK;
}

static clo_err manifest_check(const clo_collab_manifest *m)
{
    CLO_CHECKF(clo_name_valid(m->name) && clo_name_valid(m->owner), CLO_E_MALFORMED,
               "the manifest's name or owner is not a valid name");
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(m, &info);
    CLO_CHECKF(m->chunk_size >= CLO_STREAM_CHUNK_MIN && m->chunk_size <= CLO_STREAM_CHUNK_MAX, CLO_E_RANGE,
               "the manifest's chunk size %u is outside %d..%d", m->chunk_size, CLO_STREAM_CHUNK_MIN, CLO_STREAM_CHUNK_MAX);
    CLO_CHECKF(m->chunk_count != 0 && m->chunk_count == clo_crypto_stream_chunk_count(&info), CLO_E_RANGE,
               "the manifest's chunk count does not fit its sizes; seal the rows again");
    CLO_CHECKF(m->plain_size >= CLO_TABLE_HEAD && m->row_count <= m->plain_size - CLO_TABLE_HEAD, CLO_E_RANGE,
               "the manifest's row count does not fit its sizes; seal the rows again");
    CLO_CHECKF(m->created >= 0, CLO_E_RANGE, "the manifest's time is out of range");
    return CLO_OK;
}

clo_err clo_collab_manifest_sign(const clo_collab_manifest *m, const clo_collab_identity *owner, clo_buf *out)
{
    CLO_TRY(manifest_check(m));
    CLO_CHECKF(strcmp(m->owner, owner->public_half.name) == 0, CLO_E_DENIED, "the manifest's owner is %s, but %s signs", m->owner,
               owner->public_half.name);
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_manifest_tree(&a, m, &map));
    return clo_collab_map_sign(map, &owner->sign, CLO_TYPE_MANIFEST, out);
}

static void manifest_take(clo_wire_fields *f, clo_collab_manifest *m)
{
    int64_t chunk_size = 0;
    clo_collab_take_format(f, CLO_FORMAT_MANIFEST);
    clo_wire_take_name(f, "name", m->name);
    clo_wire_take_name(f, "owner", m->owner);
    clo_wire_take_fixed(f, "id", m->id, sizeof m->id);
    clo_wire_take_fixed(f, "version", m->version, sizeof m->version);
    clo_wire_take_fixed(f, "version_id", m->version_id, sizeof m->version_id);
    clo_wire_take_fixed(f, "stream_id", m->stream_id, sizeof m->stream_id);
    clo_wire_take_fixed(f, "commitment", m->commitment, sizeof m->commitment);
    clo_wire_take_fixed(f, "schema_digest", m->schema_digest, sizeof m->schema_digest);
    clo_wire_take_int(f, "chunk_size", &chunk_size, CLO_STREAM_CHUNK_MIN, CLO_STREAM_CHUNK_MAX);
    m->chunk_size = (uint32_t)chunk_size;
    clo_collab_take_u64(f, "chunk_count", &m->chunk_count);
    clo_collab_take_u64(f, "plain_size", &m->plain_size);
    clo_collab_take_u64(f, "row_count", &m->row_count);
    clo_wire_take_int(f, "created", &m->created, 0, INT64_MAX);
}

clo_err clo_collab_manifest_open(clo_arena *a, clo_span in, const clo_crypto_public_key *owner, clo_collab_manifest *out)
{
    CLO_CHECKF(in.n <= CLO_MANIFEST_MAX, CLO_E_TOO_LARGE, "the manifest has %zu bytes; at most %d are allowed", in.n,
               CLO_MANIFEST_MAX);
    clo_wire_cose *cose = NULL;
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_open(a, in, CLO_TYPE_MANIFEST, "the manifest", &cose, &map));
    clo_collab_manifest m;
    memset(&m, 0, sizeof m);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "manifest");
    manifest_take(&f, &m);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(manifest_check(&m));
    clo_wire_node *again = NULL;
    CLO_TRY(clo_collab_manifest_tree(a, &m, &again));
    CLO_TRY(clo_collab_require_canonical(again, cose->payload, "the manifest"));
    if (owner != NULL) {
        CLO_TRY(clo_collab_map_verify(cose, owner, "the manifest"));
        clo_collab_party party;
        memset(&party, 0, sizeof party);
        party.sign = *owner;
        uint8_t id[32];
        CLO_TRY(clo_collab_dataset_id(&party, m.name, id));
        if (memcmp(id, m.id, sizeof id) != 0)
            return CLO_DENY(CLO_E_DENIED, "manifest.id", "the id of this owner's key and this name", "another id",
                            "the format of manifests", "seal the rows again under the owner's current key");
    }
    *out = m;
    return CLO_OK;
}

uint64_t clo_collab_sealed_offset(size_t manifest_size, const clo_collab_manifest *m, uint64_t first)
{
    return (uint64_t)CLO_CONTAINER_HEAD + 4u + manifest_size + first * ((uint64_t)m->chunk_size + 16u);
}

uint64_t clo_collab_sealed_span(const clo_collab_manifest *m, uint64_t first, uint64_t count)
{
    if (first >= m->chunk_count || count == 0) return 0;
    if (count > m->chunk_count - first) count = m->chunk_count - first;
    uint64_t sealed = count * ((uint64_t)m->chunk_size + 16u);
    if (first + count < m->chunk_count) return sealed;
    uint64_t last = m->plain_size - (m->chunk_count - 1) * m->chunk_size;
    return sealed - m->chunk_size + last;
}
