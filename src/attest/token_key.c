/* Public keys as deployments hand them over: JWK, PEM or DER SubjectPublicKeyInfo, COSE_Key, raw points. */
#include "attest/token_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire/json.h"

enum { KEY_BYTES_MAX = 16 * 1024, COSE_KTY = 1, COSE_ALG = 3, COSE_KEY_OPS = 4, COSE_CRV = -1, COSE_X = -2, COSE_Y = -3, COSE_D = -4, COSE_EC2 = 2, COSE_VERIFY = 2 };

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
    const clo_wire_node *ops = clo_wire_get_int_key(map, COSE_KEY_OPS);
    if (ops == NULL) return true;
    if (ops->type != CLO_WIRE_ARRAY) return false;
    for (const clo_wire_node *op = ops->first; op != NULL; op = op->next) {
        if (op->type == CLO_WIRE_INT && op->integer == COSE_VERIFY) return true;
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
    const clo_wire_node *x = clo_wire_get_int_key(map, COSE_X), *y = clo_wire_get_int_key(map, COSE_Y);
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        size_t n = curves[i].coordinate;
        if (!int_is(map, COSE_CRV, curves[i].curve)) continue;
        CLO_CHECKF(clo_wire_get_int_key(map, COSE_ALG) == NULL || int_is(map, COSE_ALG, curves[i].alg), CLO_E_UNSUPPORTED,
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

CLO_R clo_attest_cose_key(clo_arena *a, clo_span bytes, clo_crypto_public_key *out)
{
    clo_wire_cbor_limits limits = {.items_max = 64, .allow_unsorted = true};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_cbor_decode(a, bytes, &limits, &map));
    CLO_CHECKF(map->type == CLO_WIRE_MAP && int_is(map, COSE_KTY, COSE_EC2), CLO_E_UNSUPPORTED, "the bytes are no elliptic curve COSE key");
    CLO_CHECKF(clo_wire_get_int_key(map, COSE_D) == NULL, CLO_E_MALFORMED, "the COSE key holds a private part");
    CLO_CHECKF(may_verify(map), CLO_E_UNSUPPORTED, "the COSE key is not meant for verifying");
    return point_of(map, out);
}

/* The bytes between "-----BEGIN PUBLIC KEY-----" and its end; line ends are dropped. */
static clo_err pem_body(clo_span pem, clo_buf *der)
{
    static const char begin[] = "-----BEGIN PUBLIC KEY-----", end[] = "-----END PUBLIC KEY-----";
    size_t from = sizeof begin - 1, to = from;
    CLO_CHECKF(pem.n > from && memcmp(pem.p, begin, from) == 0, CLO_E_UNSUPPORTED, "the text is no public key in PEM");
    while (to < pem.n && pem.p[to] != '-') to++;
    CLO_CHECKF(pem.n - to >= sizeof end - 1 && memcmp(pem.p + to, end, sizeof end - 1) == 0, CLO_E_MALFORMED, "the PEM text has no end");
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, KEY_BYTES_MAX);
    for (size_t i = from; i < to; i++) {
        if (pem.p[i] != '\n' && pem.p[i] != '\r') CLO_TRY(clo_buf_put_u8(&text, pem.p[i]));
    }
    return clo_base64_decode(der, clo_buf_span(&text));
}

static clo_err key_of_json(clo_arena *a, clo_span bytes, clo_crypto_verify_key **out)
{
    clo_wire_node *jwk = NULL;
    CLO_TRY(clo_wire_json_decode(a, bytes, &jwk));
    CLO_CHECKF(jwk->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the JSON is no key");
    return clo_wire_jwk_read(a, jwk, out);
}

static clo_err key_of_pem(clo_span bytes, clo_crypto_verify_key **out)
{
    CLO_AUTO(clo_buf_free) clo_buf der;
    clo_buf_init(&der, KEY_BYTES_MAX);
    CLO_TRY(pem_body(bytes, &der));
    return clo_crypto_verify_key_of_spki(clo_buf_span(&der), out);
}

CLO_R clo_attest_token_key(clo_arena *a, clo_span bytes, clo_crypto_verify_key **out)
{
    CLO_CHECKF(bytes.n != 0 && bytes.n <= KEY_BYTES_MAX, CLO_E_MALFORMED, "the key is empty or longer than 16 KiB");
    if (bytes.p[0] == '-') return key_of_pem(bytes, out);
    if (bytes.p[0] == 0x30) return clo_crypto_verify_key_of_spki(bytes, out);
    if (bytes.p[0] == '{' || bytes.p[0] == ' ' || bytes.p[0] == '\n') return key_of_json(a, bytes, out);
    clo_crypto_public_key key = {.n = 0};
    clo_err e = CLO_OK;
    if (bytes.p[0] == 4 && bytes.n == 65) {
        e = clo_crypto_public_key_parse(CLO_SIGN_ES256, bytes, &key);
    } else if (bytes.p[0] == 4 && bytes.n == 97) {
        e = clo_crypto_public_key_parse(CLO_SIGN_ES384, bytes, &key);
    } else if (bytes.p[0] == 4 && bytes.n == CLO_SIGN_PUBLIC_MAX) {
        e = clo_crypto_public_key_parse(CLO_SIGN_ES512, bytes, &key);
    } else {
        e = clo_attest_cose_key(a, bytes, &key);
    }
    CLO_TRY(e);
    return clo_crypto_verify_key_of_public(&key, out);
}

const clo_attest_part *clo_attest_token_collateral(const clo_attest_context *c, const char *role)
{
    for (size_t i = 0; i < c->collateral_count; i++) {
        if (strcmp(c->collateral[i].role, role) == 0) return &c->collateral[i];
    }
    return NULL;
}

CLO_R clo_attest_token_collateral_key(clo_attest_context *c, const char *role, clo_crypto_public_key *out, bool *ok)
{
    *ok = false;
    const clo_attest_part *part = clo_attest_token_collateral(c, role);
    if (part == NULL) {
        (void)clo_attest_check_add(c->out, "key", false, "collateral_missing", role, "none");
        return CLO_OK;
    }
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_err e = clo_attest_token_key(c->arena, part->bytes, &key);
    if (!clo_failed(e)) e = clo_crypto_verify_key_public(key, out);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    *ok = clo_attest_check_add(c->out, "key", !clo_failed(e), "bad_key", role, clo_failed(e) ? clo_err_text() : role);
    return CLO_OK;
}
