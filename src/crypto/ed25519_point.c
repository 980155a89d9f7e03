/* Is an Ed25519 public key a point at all? OpenSSL loads any 32 bytes and only fails at verification, and it accepts the eight
 * points of small order, under which one signature fits many messages. Public data only: variable time is fine. RFC 8032 §5.1.3.
 */
#include "crypto/crypto_int.h"
#include <openssl/bn.h>

static void bn_auto(BIGNUM **p) { BN_free(*p); }
static void bn_ctx_auto(BN_CTX **p) { BN_CTX_free(*p); }

/* y coordinates (little-endian) of the points of small order; x is fixed by the sign bit. */
static const uint8_t small_order[5][32] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}};

bool clo_crypto_ed25519_usable(const uint8_t encoding[32])
{
    uint8_t y_bytes[32];
    memcpy(y_bytes, encoding, 32);
    y_bytes[31] &= 0x7f;
    for (size_t i = 0; i < 5; i++)
        if (memcmp(y_bytes, small_order[i], 32) == 0) return false;

    CLO_AUTO(bn_ctx_auto) BN_CTX *ctx = BN_CTX_new();
    CLO_AUTO(bn_auto) BIGNUM *p = BN_new();
    CLO_AUTO(bn_auto) BIGNUM *y = BN_lebin2bn(y_bytes, 32, NULL);
    CLO_AUTO(bn_auto) BIGNUM *y2 = BN_new();
    CLO_AUTO(bn_auto) BIGNUM *v = BN_new();
    CLO_AUTO(bn_auto) BIGNUM *d = NULL;
    CLO_AUTO(bn_auto) BIGNUM *e = BN_new();
    if (ctx == NULL || p == NULL || y == NULL || y2 == NULL || v == NULL || e == NULL) return false;
    /* p = 2^255 - 19, d = -121665/121666 */
    if (BN_hex2bn(&d, "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3") == 0) return false;
    if (BN_set_bit(p, 255) != 1 || BN_sub_word(p, 19) != 1 || BN_cmp(y, p) >= 0) return false;
    /* x^2 = (y^2 - 1) / (d y^2 + 1) is a square iff (y^2 - 1)(d y^2 + 1) is, by Euler's criterion. The denominator is never 0
     * because -1/d is no square. x = 0 only for y = ±1, which were refused above. */
    bool ok = BN_mod_sqr(y2, y, p, ctx) == 1 && BN_mod_mul(v, d, y2, p, ctx) == 1 && BN_add_word(v, 1) == 1 &&
              BN_sub_word(y2, 1) == 1 && BN_mod_mul(v, v, y2, p, ctx) == 1 && BN_copy(e, p) != NULL && BN_sub_word(e, 1) == 1 &&
              BN_rshift1(e, e) == 1 && BN_mod_exp(v, v, e, p, ctx) == 1;
    return ok && BN_is_one(v);
}
