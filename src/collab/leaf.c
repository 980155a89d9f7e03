#include "collab/leaf.h"

#include "base/clo_own.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

CLO_R clo_collab_leaf(const char *type, clo_span object, clo_buf *out)
{
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(object, digest));
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4096);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(&a, &map));
    CLO_TRY(clo_wire_set_text(&a, map, "type", type));
    CLO_TRY(clo_wire_set_bytes(&a, map, "digest", clo_span_of(digest, sizeof digest)));
    return clo_wire_cbor_encode(map, out);
}
