/* COSE_Key (RFC 9052 §7): public elliptic curve keys. */
#include "wire/cbor.h"
#include "wire/cose.h"

enum { KEY_KTY = 1, KEY_ALG = 3, KEY_OPS = 4, KEY_CRV = -1, KEY_X = -2, KEY_Y = -3, KEY_D = -4, EC2 = 2, OP_VERIFY = 2, ITEMS_MAX = 64, DEPTH_MAX = 8 };

static const struct {
    int64_t curve, alg;
    clo_crypto_sign_alg sign;
    size_t coordinate;
} curves[] = {
    {1, -7, CLO_SIGN_ES256, 32},
    {2, -35, CLO_SIGN_ES384, 48},
    {3, -36, CLO_SIGN_ES512, 66},
};

static bool may_verify(const clo_wire_node *map)
{
    const clo_wire_node *ops = clo_wire_get_int_key(map, KEY_OPS);
    if (ops == NULL) return true;
    if (ops->type != CLO_WIRE_ARRAY) return false;
    for (const clo_wire_node *op = ops->first; op != NULL; op = op->next) {
        if (op->type == CLO_WIRE_INT && op->integer == OP_VERIFY) return true;
    }
    return false;
}

static bool int_is(const clo_wire_node *map, int64_t key, int64_t value)
{
    const clo_wire_node *n = clo_wire_get_int_key(map, key);
    return n != NULL && n->type == CLO_WIRE_INT && n->integer == value;
}

static clo_err point_of(const clo_wire_node *map, clo_crypto_public_key *out)
{
    const clo_wire_node *x = clo_wire_get_int_key(map, KEY_X), *y = clo_wire_get_int_key(map, KEY_Y);
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        size_t n = curves[i].coordinate;
        if (!int_is(map, KEY_CRV, curves[i].curve)) continue;
        CLO_CHECKF(clo_wire_get_int_key(map, KEY_ALG) == NULL || int_is(map, KEY_ALG, curves[i].alg), CLO_E_UNSUPPORTED,
                   "the COSE key is meant for another algorithm");
        CLO_CHECKF(x != NULL && x->type == CLO_WIRE_BYTES && x->text.n == n && y != NULL && y->type == CLO_WIRE_BYTES && y->text.n == n,
                   CLO_E_MALFORMED, "the COSE key needs both coordinates in their full length");
        uint8_t point[CLO_SIGN_PUBLIC_MAX];
        point[0] = 4;
        memcpy(point + 1, x->text.p, n);
        memcpy(point + 1 + n, y->text.p, n);
        return clo_crypto_public_key_parse(curves[i].sign, clo_span_of(point, 1 + 2 * n), out);
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the COSE key is of no curve that is known");
}

CLO_R clo_wire_cose_key_read(clo_arena *a, clo_span bytes, clo_crypto_public_key *out)
{
    clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX, .depth_max = DEPTH_MAX, .allow_unsorted = true};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_cbor_decode(a, bytes, &limits, &map));
    CLO_CHECKF(map->type == CLO_WIRE_MAP && int_is(map, KEY_KTY, EC2), CLO_E_UNSUPPORTED, "the bytes are no elliptic curve COSE key");
    CLO_CHECKF(clo_wire_get_int_key(map, KEY_D) == NULL, CLO_E_MALFORMED, "the COSE key holds a private part");
    CLO_CHECKF(may_verify(map), CLO_E_UNSUPPORTED, "the COSE key is not meant for verifying");
    return point_of(map, out);
}
