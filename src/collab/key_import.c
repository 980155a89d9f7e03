#include "collab/key_import.h"
#include "base/clo_own.h"
#include "wire/cbor.h"

static const char import_label[] = "cloister/v1 key import";
static const char rows_label[] = "cloister/v1 rows";
enum { SEALED_DEK = 32 + 32 + 16, IMPORT_INFO_MAX = 128, ROWS_DIGEST = 32 };

static clo_err import_info(const clo_collab_manifest *m, clo_buf *info)
{
    CLO_TRY(clo_buf_put(info, import_label, sizeof import_label));
    CLO_TRY(clo_buf_put(info, m->id, sizeof m->id));
    return clo_buf_put(info, m->version, sizeof m->version);
}

static clo_err import_message(clo_arena *a, clo_span manifest, const uint8_t rows[32], clo_span sealed, clo_buf *out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_bytes(a, map, "manifest", manifest));
    CLO_TRY(clo_wire_set_bytes(a, map, "rows", clo_span_of(rows, ROWS_DIGEST)));
    CLO_TRY(clo_wire_set_bytes(a, map, "sealed_dek", sealed));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_collab_rows_digest_new(const uint8_t schema_digest[32], clo_crypto_hasher **out)
{
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(rows_label, sizeof rows_label)));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(schema_digest, 32)));
    *out = CLO_TAKE(h);
    return CLO_OK;
}

clo_err clo_collab_key_import_make(clo_span manifest, const clo_collab_manifest *m, const uint8_t rows[32], const clo_key32 *dek,
                                   const uint8_t kms_hpke[32], clo_buf *out)
{
    CLO_CHECKF(manifest.n <= CLO_MANIFEST_MAX, CLO_E_TOO_LARGE, "the manifest has %zu bytes, at most %d are allowed", manifest.n,
               CLO_MANIFEST_MAX);
    CLO_AUTO(clo_buf_free) clo_buf info;
    clo_buf_init(&info, IMPORT_INFO_MAX);
    CLO_AUTO(clo_buf_free) clo_buf sealed;
    clo_buf_init(&sealed, SEALED_DEK);
    CLO_TRY(import_info(m, &info));
    CLO_TRY(clo_crypto_hpke_seal(kms_hpke, clo_buf_span(&info), clo_span_of(NULL, 0), clo_span_of(dek->b, sizeof dek->b), &sealed));
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 2 * CLO_MANIFEST_MAX);
    return import_message(&a, manifest, rows, clo_buf_span(&sealed), out);
}

clo_err clo_collab_key_import_decode(clo_arena *a, clo_span message, clo_span *manifest, uint8_t rows[32], clo_span *sealed_dek)
{
    CLO_CHECKF(message.n <= CLO_MANIFEST_MAX + 256, CLO_E_TOO_LARGE, "the key import has %zu bytes, at most %d are allowed", message.n,
               CLO_MANIFEST_MAX + 256);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_cbor_decode(a, message, NULL, &map));
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "key import");
    clo_span m = {NULL, 0}, r = {NULL, 0}, s = {NULL, 0};
    clo_wire_take_bytes(&f, "manifest", &m, CLO_MANIFEST_MAX);
    clo_wire_take_bytes(&f, "rows", &r, ROWS_DIGEST);
    clo_wire_take_bytes(&f, "sealed_dek", &s, SEALED_DEK);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(s.n == SEALED_DEK, CLO_E_RANGE, "key import.sealed_dek has %zu bytes, it must have %d", s.n, SEALED_DEK);
    CLO_CHECKF(r.n == ROWS_DIGEST, CLO_E_RANGE, "key import.rows has %zu bytes, it must have %d", r.n, ROWS_DIGEST);
    memcpy(rows, r.p, ROWS_DIGEST);
    *manifest = m;
    *sealed_dek = s;
    return CLO_OK;
}

clo_err clo_collab_key_import_open(const clo_collab_manifest *m, clo_span sealed_dek, const clo_key32 *kms_secret, clo_key32 *dek)
{
    CLO_AUTO(clo_buf_free) clo_buf info;
    clo_buf_init(&info, IMPORT_INFO_MAX);
    CLO_TRY(import_info(m, &info));
    return clo_crypto_hpke_open(kms_secret, clo_buf_span(&info), clo_span_of(NULL, 0), sealed_dek, dek->b, sizeof dek->b);
}
