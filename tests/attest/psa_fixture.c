#include "psa_fixture.h"
#include "base/clo_own.h"
#include "wire/cbor.h"
#include "wire/cose_int.h"
#include "wire/json.h"
#include "wire/jws.h"

enum { TOKEN_MAX = 16 * 1024, ARENA_MAX = 256 * 1024 };

static const uint8_t filling[64] = {0x01, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
                                    0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0};

static clo_err put_int(clo_arena *a, clo_wire_node *map, int64_t key, int64_t v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_int(a, v, &n));
    return clo_wire_set_int_key(a, map, key, n);
}

static clo_err put_bytes(clo_arena *a, clo_wire_node *map, int64_t key, clo_span v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_bytes(a, v, &n));
    return clo_wire_set_int_key(a, map, key, n);
}

static clo_err put_text(clo_arena *a, clo_wire_node *map, int64_t key, const char *v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_text(a, clo_span_str(v), &n));
    return clo_wire_set_int_key(a, map, key, n);
}

static clo_err component(clo_arena *a, const char *type, uint8_t first, clo_wire_node *list)
{
    uint8_t value[32] = {first};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(put_text(a, map, 1, type));
    CLO_TRY(put_bytes(a, map, 2, clo_span_of(value, sizeof value)));
    CLO_TRY(put_text(a, map, 4, "1.2.3"));
    CLO_TRY(put_bytes(a, map, 5, clo_span_of(filling, 32)));
    CLO_TRY(put_text(a, map, 6, "sha-256"));
    return clo_wire_append(list, map);
}

clo_err psa_fixture_claims(clo_arena *a, const psa_fixture_options *o, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *list = NULL;
    bool old = o->legacy;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(put_bytes(a, map, old ? -75008 : 10, o->nonce));
    CLO_TRY(put_bytes(a, map, old ? -75009 : 256, clo_span_of(filling, 33)));
    CLO_TRY(put_text(a, map, old ? -75000 : 265, old ? "PSA_IOT_PROFILE_1" : "tag:psacertified.org,2023:psa#tfm"));
    CLO_TRY(put_int(a, map, old ? -75001 : 2394, o->client_id == 0 ? 3002 : o->client_id));
    CLO_TRY(put_int(a, map, old ? -75002 : 2395, o->lifecycle == 0 ? 0x3000 : o->lifecycle));
    CLO_TRY(put_bytes(a, map, old ? -75003 : 2396, clo_span_of(filling + 1, 32)));
    CLO_TRY(put_bytes(a, map, old ? -75004 : 2397, clo_span_of(filling + 2, 32)));
    CLO_TRY(put_text(a, map, old ? -75005 : 2398, "0604565272829-10010"));
    CLO_TRY(clo_wire_array(a, &list));
    CLO_TRY(component(a, "SPE", 0x51, list));
    CLO_TRY(component(a, "NSPE", 0x52, list));
    CLO_TRY(clo_wire_set_int_key(a, map, old ? -75006 : 2399, list));
    CLO_TRY(put_text(a, map, old ? -75010 : 2400, "verifier.example"));
    *out = map;
    return CLO_OK;
}

static clo_err encoded(clo_arena *a, const clo_wire_node *node, clo_span *out)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, TOKEN_MAX);
    CLO_TRY(clo_wire_cbor_encode(node, &b));
    return clo_arena_copy(a, clo_buf_span(&b), out);
}

static clo_err append(clo_arena *a, clo_wire_node *array, clo_span bytes)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_bytes(a, bytes, &n));
    return clo_wire_append(array, n);
}

clo_err psa_fixture_sign(clo_arena *a, const clo_wire_node *claims, const clo_crypto_private_key *sk, clo_buf *out)
{
    clo_wire_node *header = NULL, *array = NULL, *empty = NULL, *tag = NULL;
    clo_span payload, protected_header;
    uint8_t signature[CLO_SIGNATURE_MAX];
    int64_t alg = 0;
    CLO_AUTO(clo_buf_free) clo_buf structure;
    clo_buf_init(&structure, 2 * TOKEN_MAX);
    CLO_TRY(clo_wire_cose_alg_id(sk->alg, &alg));
    CLO_TRY(clo_wire_map(a, &header));
    CLO_TRY(put_int(a, header, 1, alg));
    CLO_TRY(encoded(a, header, &protected_header));
    CLO_TRY(encoded(a, claims, &payload));
    CLO_TRY(clo_wire_cose_structure(true, protected_header, clo_span_of(NULL, 0), clo_span_of(NULL, 0), payload, &structure));
    CLO_TRY(clo_crypto_sign(sk, clo_buf_span(&structure), signature));
    CLO_TRY(clo_wire_array(a, &array));
    CLO_TRY(clo_wire_map(a, &empty));
    CLO_TRY(append(a, array, protected_header));
    CLO_TRY(clo_wire_append(array, empty));
    CLO_TRY(append(a, array, payload));
    CLO_TRY(append(a, array, clo_span_of(signature, clo_crypto_signature_size(sk->alg))));
    CLO_TRY(clo_wire_tag(a, COSE_TAG_SIGN1, array, &tag));
    return clo_wire_cbor_encode(tag, out);
}

clo_err psa_fixture_token(const psa_fixture_options *o, const clo_crypto_private_key *sk, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    clo_wire_node *claims = NULL;
    CLO_TRY(psa_fixture_claims(&a, o, &claims));
    return psa_fixture_sign(&a, claims, sk, out);
}

clo_err psa_fixture_jwk(const clo_crypto_public_key *pk, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    clo_wire_node *jwk = NULL;
    CLO_TRY(clo_wire_jwk_make(&a, pk, &jwk));
    return clo_wire_json_encode(jwk, 0, out);
}
