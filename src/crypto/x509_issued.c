/* Who signed a certificate. */
#include "crypto/x509_int.h"
#include <openssl/asn1.h>
#include <openssl/err.h>

/* A critical extension that nobody here understands makes a certificate unusable (RFC 5280 §4.2). */
static bool critical_known(const X509 *x)
{
    for (int i = 0; i < X509_get_ext_count(x); i++) {
        X509_EXTENSION *e = X509_get_ext(x, i);
        if (X509_EXTENSION_get_critical(e) != 0 && X509_supported_extension(e) != 1) return false;
    }
    return true;
}

/* SHA-256, SHA-384, SHA-512, or a scheme that hashes inside (Ed25519): for SHA-1 and older, collisions can be bought. */
static bool digest_strong(X509 *x)
{
    int md = NID_undef, key = NID_undef;
    if (X509_get_signature_info(x, &md, &key, NULL, NULL) != 1) return false;
    return md == NID_sha256 || md == NID_sha384 || md == NID_sha512 || (md == NID_undef && key == NID_ED25519);
}

/* Names, key identifiers and the issuer's key usage. OpenSSL asks for the usage last, behind the issuer's key. */
static bool may_have_issued(const clo_crypto_cert *issuer, const clo_crypto_cert *c)
{
    if ((X509_get_extension_flags(c->x509) & EXFLAG_PROXY) != 0) return false; /* proxies of people (RFC 3820) have no place here */
    int answer = X509_check_issued(issuer->x509, c->x509);
    if (!issuer->light || answer != X509_V_ERR_NO_ISSUER_PUBLIC_KEY) return answer == X509_V_OK;
    uint32_t usage = X509_get_key_usage(issuer->x509);
    return usage == UINT32_MAX || (usage & KU_KEY_CERT_SIGN) != 0;
}

/* The bytes that the signature covers: the first element of the certificate. */
static bool signed_bytes(const clo_crypto_cert *c, clo_span *out)
{
    const uint8_t *at = c->der, *inner = NULL;
    long n = 0;
    int tag = 0, class = 0;
    if ((ASN1_get_object(&at, &n, &tag, &class, (long)c->der_size) & 0x80) != 0) return false;
    inner = at;
    if ((ASN1_get_object(&inner, &n, &tag, &class, n) & 0x80) != 0) return false;
    *out = clo_span_of(at, (size_t)(inner - at) + (size_t)n);
    return true;
}

static bool ecdsa_holds(const clo_crypto_cert *c, const clo_crypto_cert *issuer)
{
    const ASN1_BIT_STRING *signature = NULL;
    const X509_ALGOR *algor = NULL;
    int digest = NID_undef, kind = NID_undef;
    clo_span covered = {NULL, 0};
    uint8_t hash[CLO_HASH_MAX];
    X509_get0_signature(&signature, &algor, c->x509);
    if (X509_ALGOR_cmp(algor, X509_get0_tbs_sigalg(c->x509)) != 0 || (signature->flags & 7) != 0 || !EVP_PKEY_is_a(issuer->key, "EC")) return false;
    if (OBJ_find_sigid_algs(X509_get_signature_nid(c->x509), &digest, &kind) != 1 || kind != NID_X9_62_id_ecPublicKey) return false;
    clo_crypto_hash_alg alg = digest == NID_sha256 ? CLO_HASH_SHA256 : digest == NID_sha384 ? CLO_HASH_SHA384 : CLO_HASH_SHA512;
    if ((alg == CLO_HASH_SHA512 && digest != NID_sha512) || !signed_bytes(c, &covered) || clo_failed(clo_crypto_hash(alg, covered, hash))) return false;
    return clo_crypto_ecdsa_check(&issuer->raw, issuer->key, clo_span_of(hash, clo_crypto_hash_size(alg)),
                                  clo_span_of(ASN1_STRING_get0_data(signature), (size_t)ASN1_STRING_length(signature)));
}

clo_err clo_crypto_cert_signed_by(const clo_crypto_cert *c, const clo_crypto_cert *issuer)
{
    CLO_CHECKF(critical_known(c->x509) && critical_known(issuer->x509), CLO_E_BAD_SIGNATURE,
               "a certificate has a critical extension that is not understood");
    if (X509_check_ca(issuer->x509) != 1)
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the issuing certificate is not one of an authority");
    if (!may_have_issued(issuer, c))
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE,
                               "the certificate names another issuer, or the issuer may not sign certificates");
    CLO_CHECKF(digest_strong(c->x509), CLO_E_BAD_SIGNATURE, "the certificate is signed with a digest that is too weak or unknown");
    if (issuer->key == NULL || !(c->light ? ecdsa_holds(c, issuer) : X509_verify(c->x509, issuer->key) == 1))
        return clo_crypto_fail(CLO_E_BAD_SIGNATURE, "the certificate's signature does not verify under its issuer's key");
    return CLO_OK;
}
