/* Keys: raw forms to OpenSSL's and back, key generation, Diffie-Hellman. */
#include "base/clo_ct.h"
#include "crypto/crypto_int.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <pthread.h>
#include <stdio.h>

typedef struct {
    const char *group;
    int nid;
    size_t scalar, point;
} curve_facts;

static const curve_facts *curve_of(clo_crypto_sign_alg alg)
{
    static const curve_facts curves[] = {
        {"P-256", NID_X9_62_prime256v1, 32, 65}, {"P-384", NID_secp384r1, 48, 97}, {"P-521", NID_secp521r1, 66, 133}};
    switch (alg) {
    case CLO_SIGN_ES256:
        return &curves[0];
    case CLO_SIGN_ES384:
        return &curves[1];
    case CLO_SIGN_ES512:
        return &curves[2];
    case CLO_SIGN_ED25519:
    default:
        return NULL;
    }
}

static void bn_auto(BIGNUM **p) { BN_clear_free(*p); }
static void group_auto(EC_GROUP **p) { EC_GROUP_free(*p); }
static void point_auto(EC_POINT **p) { EC_POINT_clear_free(*p); }
static void bld_auto(OSSL_PARAM_BLD **p) { OSSL_PARAM_BLD_free(*p); }
static void params_auto(OSSL_PARAM **p) { OSSL_PARAM_free(*p); }

/* The scalar as a constant-time number; NULL where it is 0 or not below the order, or memory is short. */
static BIGNUM *scalar_of(const EC_GROUP *group, const uint8_t *scalar, size_t n)
{
    BIGNUM *d = BN_secure_new();
    if (d == NULL || BN_bin2bn(scalar, (int)n, d) == NULL || BN_is_zero(d) || BN_cmp(d, EC_GROUP_get0_order(group)) >= 0) {
        BN_clear_free(d);
        return NULL;
    }
    BN_set_flags(d, BN_FLG_CONSTTIME);
    return d;
}

static const char scalar_refused[] = "the private key is not a number between 1 and the order of its curve";

clo_err clo_crypto_ec_public(clo_crypto_sign_alg alg, const uint8_t *scalar, uint8_t *point)
{
    const curve_facts *curve = curve_of(alg);
    CLO_CHECKF(curve != NULL, CLO_E_UNSUPPORTED, "this curve is not available");
    CLO_AUTO(group_auto) EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);
    CLO_CHECK(group != NULL, CLO_E_NOMEM);
    CLO_AUTO(bn_auto) BIGNUM *d = scalar_of(group, scalar, curve->scalar);
    if (d == NULL) return clo_crypto_fail(CLO_E_MALFORMED, scalar_refused);
    CLO_AUTO(point_auto) EC_POINT *q = EC_POINT_new(group);
    if (q == NULL || EC_POINT_mul(group, q, d, NULL, NULL, NULL) != 1 ||
        EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point, curve->point, NULL) != curve->point)
        return clo_crypto_fail(CLO_E_NOMEM, "the public key could not be computed");
    return CLO_OK;
}

/* point: empty for a private key, which signs and agrees without its public half. */
static clo_err ec_key_make(const char *group, const BIGNUM *d, clo_span point, EVP_PKEY **out)
{
    CLO_AUTO(bld_auto) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    bool ok = build != NULL && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
              (point.n == 0 || OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n) == 1) &&
              (d == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1);
    CLO_AUTO(params_auto) OSSL_PARAM *params = ok ? OSSL_PARAM_BLD_to_param(build) : NULL;
    CLO_AUTO(clo_crypto_pkey_ctx_auto) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    int selection = d == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR;
    EVP_PKEY *key = NULL;
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, selection, params) != 1)
        return clo_crypto_fail(CLO_E_MALFORMED, "the key is not a point of its curve");
    *out = key;
    return CLO_OK;
}

/* The parameters of each curve as keys without a point: a copy is four times faster than a key made by its curve's name. */
static EVP_PKEY *curve_templates[3];
static const clo_crypto_sign_alg curve_algs[3] = {CLO_SIGN_ES256, CLO_SIGN_ES384, CLO_SIGN_ES512};

static void curve_templates_make(void)
{
    for (size_t i = 0; i < 3; i++) {
        char group[8];
        (void)snprintf(group, sizeof group, "%s", curve_of(curve_algs[i])->group);
        OSSL_PARAM params[2] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0), OSSL_PARAM_construct_end()};
        CLO_AUTO(clo_crypto_pkey_ctx_auto) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &curve_templates[i], EVP_PKEY_KEY_PARAMETERS, params) != 1)
            curve_templates[i] = NULL;
    }
}

/* The copy of a template; NULL where there is none. */
static EVP_PKEY *curve_template(clo_crypto_sign_alg alg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (pthread_once(&once, curve_templates_make) != 0) return NULL;
    for (size_t i = 0; i < 3; i++) {
        if (curve_algs[i] == alg && curve_templates[i] != NULL) return EVP_PKEY_dup(curve_templates[i]);
    }
    return NULL;
}

clo_err clo_crypto_pkey_public(const clo_crypto_public_key *pk, EVP_PKEY **out)
{
    CLO_TRY(clo_crypto_init_quick());
    const curve_facts *curve = curve_of(pk->alg);
    if (curve == NULL) {
        CLO_CHECKF(pk->alg == CLO_SIGN_ED25519 && pk->n == 32, CLO_E_MALFORMED, "an Ed25519 public key has 32 bytes, not %zu",
                   pk->n);
        *out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pk->bytes, 32);
        return *out != NULL ? CLO_OK : clo_crypto_fail(CLO_E_NOMEM, "the public key could not be loaded");
    }
    CLO_CHECKF(pk->n == curve->point && pk->bytes[0] == 4, CLO_E_MALFORMED,
               "a %s public key is an uncompressed point of %zu bytes", curve->group, curve->point);
    EVP_PKEY *key = curve_template(pk->alg);
    if (key == NULL) return ec_key_make(curve->group, NULL, clo_crypto_public_key_span(pk), out);
    if (EVP_PKEY_set1_encoded_public_key(key, pk->bytes, pk->n) != 1) {
        EVP_PKEY_free(key);
        return clo_crypto_fail(CLO_E_MALFORMED, "the key is not a point of its curve");
    }
    *out = key;
    return CLO_OK;
}

clo_err clo_crypto_pkey_private(const clo_crypto_private_key *sk, EVP_PKEY **out)
{
    CLO_TRY(clo_crypto_init_quick());
    const curve_facts *curve = curve_of(sk->alg);
    if (curve == NULL) {
        CLO_CHECKF(sk->alg == CLO_SIGN_ED25519, CLO_E_UNSUPPORTED, "this signature algorithm is not available");
        *out = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, sk->bytes, 32);
        return *out != NULL ? CLO_OK : clo_crypto_fail(CLO_E_NOMEM, "the private key could not be loaded");
    }
    CLO_AUTO(group_auto) EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);
    CLO_CHECK(group != NULL, CLO_E_NOMEM);
    CLO_AUTO(bn_auto) BIGNUM *d = scalar_of(group, sk->bytes, curve->scalar);
    if (d == NULL) return clo_crypto_fail(CLO_E_MALFORMED, scalar_refused);
    return ec_key_make(curve->group, d, clo_span_of(NULL, 0), out);
}

clo_err clo_crypto_sign_public_of(const clo_crypto_private_key *sk, clo_crypto_public_key *pk)
{
    clo_crypto_public_key made = {.alg = sk->alg};
    const curve_facts *curve = curve_of(sk->alg);
    if (curve != NULL) {
        made.n = curve->point;
        CLO_TRY(clo_crypto_ec_public(sk->alg, sk->bytes, made.bytes));
    } else {
        CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
        CLO_TRY(clo_crypto_pkey_private(sk, &key));
        made.n = 32;
        size_t n = 32;
        if (EVP_PKEY_get_raw_public_key(key, made.bytes, &n) != 1 || n != 32)
            return clo_crypto_fail(CLO_E_NOMEM, "the public key could not be computed");
    }
    *pk = made;
    return CLO_OK;
}

clo_err clo_crypto_sign_generate(clo_crypto_sign_alg alg, clo_crypto_private_key *sk, clo_crypto_public_key *pk)
{
    const curve_facts *curve = curve_of(alg);
    CLO_CHECKF(curve != NULL || alg == CLO_SIGN_ED25519, CLO_E_UNSUPPORTED, "this signature algorithm is not available");
    CLO_AUTO(clo_crypto_private_key_wipe) clo_crypto_private_key made = {.alg = alg};
    clo_crypto_public_key half = {.alg = alg};
    size_t n = curve != NULL ? curve->scalar : 32;
    /* Rejection sampling of the scalar; the chance of even one retry is below 2^-31 for each curve (P-521 after its mask). */
    clo_err e = CLO_FAIL(CLO_E_RNG);
    for (int attempt = 0; attempt < 16 && clo_failed(e); attempt++) {
        CLO_TRY(clo_crypto_random(made.bytes, n));
        if (alg == CLO_SIGN_ES512) made.bytes[0] &= 1u;
        e = clo_crypto_sign_public_of(&made, &half);
    }
    CLO_TRY(e);
    *sk = made;
    *pk = half;
    return CLO_OK;
}

clo_err clo_crypto_public_key_parse(clo_crypto_sign_alg alg, clo_span bytes, clo_crypto_public_key *out)
{
    clo_crypto_public_key made = {.alg = alg, .n = bytes.n};
    const curve_facts *curve = curve_of(alg);
    CLO_CHECKF(curve != NULL || alg == CLO_SIGN_ED25519, CLO_E_UNSUPPORTED, "this signature algorithm is not available");
    size_t want = curve != NULL ? curve->point : 32;
    CLO_CHECKF(bytes.n == want, CLO_E_MALFORMED, "the public key has %zu bytes, this algorithm's have %zu", bytes.n, want);
    memcpy(made.bytes, bytes.p, bytes.n);
    if (curve != NULL) {
        CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
        CLO_TRY(clo_crypto_pkey_public(&made, &key));
    } else {
        CLO_CHECKF(clo_crypto_ed25519_usable(made.bytes), CLO_E_MALFORMED, "the bytes are not a usable point of edwards25519");
    }
    *out = made;
    return CLO_OK;
}

clo_err clo_crypto_pkey_raw_public(EVP_PKEY *key, clo_crypto_public_key *out)
{
    static const struct {
        const char *group;
        clo_crypto_sign_alg alg;
        int half;
    } curves[] = {{"prime256v1", CLO_SIGN_ES256, 32}, {"secp384r1", CLO_SIGN_ES384, 48}, {"secp521r1", CLO_SIGN_ES512, 66}};
    static const char unreadable[] = "the public key is unreadable";
    clo_crypto_public_key made = {.alg = CLO_SIGN_ED25519, .n = 32};
    size_t n = 32;
    if (EVP_PKEY_is_a(key, "ED25519")) {
        if (EVP_PKEY_get_raw_public_key(key, made.bytes, &n) != 1 || n != 32) return clo_crypto_fail(CLO_E_MALFORMED, unreadable);
        CLO_CHECKF(clo_crypto_ed25519_usable(made.bytes), CLO_E_MALFORMED, "the bytes are not a usable point of edwards25519");
        *out = made;
        return CLO_OK;
    }
    char group[40] = "";
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &n) != 1) group[0] = 0;
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (strcmp(group, curves[i].group) != 0) continue;
        /* OpenSSL made the key from an encoding and thereby put the point on its curve. */
        int half = curves[i].half;
        CLO_AUTO(bn_auto) BIGNUM *x = NULL;
        CLO_AUTO(bn_auto) BIGNUM *y = NULL;
        made = (clo_crypto_public_key){.alg = curves[i].alg, .n = 1 + 2 * (size_t)half, .bytes = {4}};
        if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1 ||
            BN_bn2binpad(x, made.bytes + 1, half) != half || BN_bn2binpad(y, made.bytes + 1 + half, half) != half)
            return clo_crypto_fail(CLO_E_MALFORMED, unreadable);
        *out = made;
        return CLO_OK;
    }
    return clo_crypto_fail(CLO_E_UNSUPPORTED, "the public key is neither on P-256, P-384, P-521 nor Ed25519");
}

static clo_err derive32(EVP_PKEY *own, EVP_PKEY *peer, uint8_t shared[32])
{
    CLO_AUTO(clo_crypto_pkey_ctx_auto) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    CLO_CHECK(ctx != NULL, CLO_E_NOMEM);
    size_t n = 32;
    uint8_t made[32] = {0};
    if (EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 && EVP_PKEY_derive(ctx, made, &n) == 1 &&
        n == 32) {
        memcpy(shared, made, 32);
        clo_wipe(made, sizeof made);
        return CLO_OK;
    }
    clo_wipe(made, sizeof made);
    clo_wipe(shared, 32);
    return clo_crypto_fail(CLO_E_AUTHENTICATION, "the peer's public key gives no shared secret (it is of small order)");
}

clo_err clo_crypto_x25519(const uint8_t secret[32], const uint8_t public_key[32], uint8_t shared[32])
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, 32);
    if (own == NULL || peer == NULL) return clo_crypto_fail(CLO_E_NOMEM, "the X25519 keys could not be loaded");
    /* OpenSSL refuses the all-zero result itself; RFC 7748 §6.1. */
    return derive32(own, peer, shared);
}

clo_err clo_crypto_ecdh_p256(const uint8_t secret[32], clo_span public_point, uint8_t shared[32])
{
    clo_crypto_public_key theirs;
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ES256, public_point, &theirs));
    CLO_AUTO(clo_crypto_private_key_wipe) clo_crypto_private_key ours = {.alg = CLO_SIGN_ES256};
    memcpy(ours.bytes, secret, 32);
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *own = NULL;
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *peer = NULL;
    CLO_TRY(clo_crypto_pkey_private(&ours, &own));
    CLO_TRY(clo_crypto_pkey_public(&theirs, &peer));
    return derive32(own, peer, shared);
}
