/* Public keys as deployments hand them over. */
#include "wire/public_key.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cose.h"
#include "wire/json.h"
#include "wire/jws.h"

enum { KEY_BYTES_MAX = 16 * 1024 };

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

CLO_R clo_wire_public_key_read(clo_arena *a, clo_span bytes, clo_crypto_verify_key **out)
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
        e = clo_wire_cose_key_read(a, bytes, &key);
    }
    CLO_TRY(e);
    return clo_crypto_verify_key_of_public(&key, out);
}
