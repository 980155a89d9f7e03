/* COSE_Mac0 (RFC 9052 §6.2) with HMAC: reading and verifying. */
#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "wire/cbor.h"
#include "wire/cose_int.h"
#include "wire/wire_int.h"

enum { ITEMS_MAX = 64, DEPTH_MAX = 8, KEY_LEAST = 16 };

static const struct {
    int64_t id;
    clo_crypto_hash_alg hash;
} algorithms[] = {
    {5, CLO_HASH_SHA256},
    {6, CLO_HASH_SHA384},
    {7, CLO_HASH_SHA512},
};

/* HMAC and AES-MAC by their registered numbers: an object with another algorithm is no MAC, whatever its tag says. */
static bool is_mac(int64_t alg) { return (alg >= 4 && alg <= 7) || alg == 14 || alg == 15 || alg == 25 || alg == 26; }

CLO_R clo_wire_cose_mac0_parse(clo_arena *a, clo_span in, clo_wire_cose_mac0 *out)
{
    clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX, .depth_max = DEPTH_MAX, .allow_unsorted = true};
    clo_wire_node *root = NULL, *map = NULL;
    CLO_TRY(clo_wire_cbor_decode(a, in, &limits, &root));
    const clo_wire_node *array = root->type == CLO_WIRE_TAG && root->tag == COSE_TAG_MAC0 ? root->first : NULL;
    CLO_CHECKF(array != NULL && array->type == CLO_WIRE_ARRAY && array->count == 4, CLO_E_MALFORMED, "the bytes are no COSE_Mac0 with its tag (17)");
    const clo_wire_node *header = array->first, *unprotected = header->next, *payload = unprotected->next, *tag = payload->next;
    CLO_CHECKF(header->type == CLO_WIRE_BYTES && unprotected->type == CLO_WIRE_MAP && payload->type == CLO_WIRE_BYTES && tag->type == CLO_WIRE_BYTES,
               CLO_E_MALFORMED, "COSE: a part of the COSE_Mac0 has another type");
    CLO_TRY(clo_wire_cbor_decode(a, header->text, &limits, &map));
    const clo_wire_node *alg = map->type == CLO_WIRE_MAP ? clo_wire_get_int_key(map, COSE_ALG) : NULL;
    CLO_CHECKF(alg != NULL && alg->type == CLO_WIRE_INT, CLO_E_MALFORMED, "COSE: the protected header names no algorithm");
    CLO_CHECKF(is_mac(alg->integer), CLO_E_MALFORMED, "COSE: the object is tagged as a MAC, but its algorithm is none");
    CLO_CHECKF(clo_wire_get_int_key(unprotected, COSE_ALG) == NULL, CLO_E_DUPLICATE, "COSE: a header is both protected and unprotected");
    CLO_CHECKF(clo_wire_get_int_key(map, COSE_CRIT) == NULL && clo_wire_get_int_key(unprotected, COSE_CRIT) == NULL, CLO_E_UNSUPPORTED,
               "COSE: a header marked critical is not known to this program; use a newer one");
    *out = (clo_wire_cose_mac0){.alg = alg->integer, .protected_header = header->text, .payload = payload->text, .tag = tag->text};
    return CLO_OK;
}

static clo_err put_bytes(clo_buf *out, clo_span s)
{
    CLO_TRY(clo_wire_cbor_put_head(out, 2, s.n));
    return clo_buf_put_span(out, s);
}

static clo_err structure_of(const clo_wire_cose_mac0 *mac, clo_span external_aad, clo_buf *out)
{
    static const char context[] = "MAC0";
    CLO_TRY(clo_wire_cbor_put_head(out, 4, 4));
    CLO_TRY(clo_wire_cbor_put_head(out, 3, sizeof context - 1));
    CLO_TRY(clo_buf_put_str(out, context));
    CLO_TRY(put_bytes(out, mac->protected_header));
    CLO_TRY(put_bytes(out, external_aad));
    return put_bytes(out, mac->payload);
}

CLO_R clo_wire_cose_mac0_verify(const clo_wire_cose_mac0 *mac, clo_span key, clo_span external_aad)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (algorithms[i].id != mac->alg) continue;
        CLO_CHECKF(key.n >= KEY_LEAST, CLO_E_UNSUPPORTED, "a MAC key needs at least %d bytes", KEY_LEAST);
        CLO_AUTO(clo_buf_free) clo_buf structure;
        clo_buf_init(&structure, COSE_BYTES_MAX);
        uint8_t want[CLO_HASH_MAX];
        size_t n = clo_crypto_hash_size(algorithms[i].hash);
        CLO_TRY(structure_of(mac, external_aad, &structure));
        CLO_TRY(clo_crypto_hmac(algorithms[i].hash, key, clo_buf_span(&structure), want));
        /* The verdict is what the caller asked for. */
        bool same = mac->tag.n == n && !clo_ct_declassify(clo_ct_differ(want, mac->tag.p, n));
        clo_wipe(want, sizeof want);
        CLO_CHECKF(same, CLO_E_BAD_SIGNATURE, "COSE: the MAC was not made with this key");
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "COSE: MAC algorithm %lld is not accepted; use HMAC 256/256, 384/384 or 512/512", (long long)mac->alg);
}
