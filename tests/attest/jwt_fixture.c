#include "jwt_fixture.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"

enum { TEXT_MAX = 64 * 1024 };

CLO_R jwt_identity_make(jwt_identity *i, const clo_crypto_cert_request *request, const jwt_identity *issuer)
{
    clo_buf_init(&i->pem, TEXT_MAX);
    clo_buf_init(&i->der, TEXT_MAX);
    i->cert = NULL;
    CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_RSA2048, &i->pem));
    CLO_TRY(clo_crypto_cert_make(request, clo_buf_span(&i->pem), issuer == NULL ? NULL : issuer->cert, clo_buf_span(issuer == NULL ? &i->pem : &issuer->pem), &i->der));
    return clo_crypto_cert_parse(&i->cert, clo_buf_span(&i->der));
}

void jwt_identity_free(jwt_identity *i)
{
    clo_buf_free(&i->pem);
    clo_buf_free(&i->der);
    clo_crypto_cert_free(&i->cert);
}

static clo_err put_input(const char *header, const char *claims, clo_buf *out)
{
    CLO_TRY(clo_base64url_encode(out, clo_span_str(header)));
    CLO_TRY(clo_buf_put_u8(out, '.'));
    return clo_base64url_encode(out, clo_span_str(claims));
}

CLO_R jwt_make_with(const char *header, const char *claims, clo_span signature, clo_buf *out)
{
    CLO_TRY(put_input(header, claims, out));
    CLO_TRY(clo_buf_put_u8(out, '.'));
    return clo_base64url_encode(out, signature);
}

CLO_R jwt_make(const char *header, const char *claims, const jwt_identity *i, clo_crypto_scheme scheme, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf input;
    CLO_AUTO(clo_buf_free) clo_buf signature;
    clo_buf_init(&input, TEXT_MAX);
    clo_buf_init(&signature, TEXT_MAX);
    CLO_TRY(put_input(header, claims, &input));
    CLO_TRY(clo_crypto_keypair_sign(clo_buf_span(&i->pem), scheme, clo_buf_span(&input), &signature));
    return jwt_make_with(header, claims, clo_buf_span(&signature), out);
}

static clo_err put_modulus(const jwt_identity *i, clo_buf *out)
{
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    CLO_TRY(clo_crypto_verify_key_of_cert(i->cert, &key));
    return clo_base64url_encode(out, clo_crypto_verify_key_modulus(key));
}

CLO_R jwt_jwk(const jwt_identity *i, const char *kid, const char *more, clo_buf *out)
{
    CLO_TRY(clo_buf_printf(out, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"e\":\"AQAB\",\"n\":\"", kid));
    CLO_TRY(put_modulus(i, out));
    return clo_buf_printf(out, "\"%s}", more);
}

CLO_R jwt_jwk_x5c(const jwt_identity *i, const char *kid, clo_buf *out)
{
    CLO_TRY(clo_buf_printf(out, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"x5c\":[\"", kid));
    CLO_TRY(clo_base64_encode(out, clo_buf_span(&i->der)));
    return clo_buf_put_str(out, "\"]}");
}

CLO_R jwt_thumbprint(const jwt_identity *i, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    uint8_t digest[32];
    clo_buf_init(&text, TEXT_MAX);
    CLO_TRY(clo_buf_put_str(&text, "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\""));
    CLO_TRY(put_modulus(i, &text));
    CLO_TRY(clo_buf_put_str(&text, "\"}"));
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&text), digest));
    return clo_base64url_encode(out, clo_span_of(digest, sizeof digest));
}
