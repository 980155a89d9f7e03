/* Public keys of any kind and the signature schemes that evidence uses, over OpenSSL's EVP. */
#include "crypto/verify_key.h"
#include "crypto/x509_int.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, RSA_EXPONENT_MIN = 65537, RSA_EXPONENT_BITS_MAX = 64, SPKI_MAX = 4096 };

struct clo_crypto_verify_key {
    EVP_PKEY *key;
    unsigned rsa_bits;                /* 0 = not RSA */
    clo_crypto_public_key public_key; /* where it is not RSA */
    size_t modulus_size;
    uint8_t modulus[RSA_BITS_MAX / 8];
};

typedef struct {
    bool rsa, pss, any_salt;
    clo_crypto_sign_alg alg; /* where not RSA */
    clo_crypto_hash_alg hash;
} scheme_facts;

static const scheme_facts *facts_of(clo_crypto_scheme scheme)
{
    static const scheme_facts all[] = {
        [CLO_SCHEME_EDDSA] = {.alg = CLO_SIGN_ED25519},
        [CLO_SCHEME_ES256] = {.alg = CLO_SIGN_ES256, .hash = CLO_HASH_SHA256},
        [CLO_SCHEME_ES384] = {.alg = CLO_SIGN_ES384, .hash = CLO_HASH_SHA384},
        [CLO_SCHEME_ES512] = {.alg = CLO_SIGN_ES512, .hash = CLO_HASH_SHA512},
        [CLO_SCHEME_RS256] = {.rsa = true, .hash = CLO_HASH_SHA256},
        [CLO_SCHEME_RS384] = {.rsa = true, .hash = CLO_HASH_SHA384},
        [CLO_SCHEME_RS512] = {.rsa = true, .hash = CLO_HASH_SHA512},
        [CLO_SCHEME_PS256] = {.rsa = true, .pss = true, .hash = CLO_HASH_SHA256},
        [CLO_SCHEME_PS384] = {.rsa = true, .pss = true, .hash = CLO_HASH_SHA384},
        [CLO_SCHEME_PS512] = {.rsa = true, .pss = true, .hash = CLO_HASH_SHA512},
        [CLO_SCHEME_PS256_ANY_SALT] = {.rsa = true, .pss = true, .any_salt = true, .hash = CLO_HASH_SHA256},
        [CLO_SCHEME_PS384_ANY_SALT] = {.rsa = true, .pss = true, .any_salt = true, .hash = CLO_HASH_SHA384},
        [CLO_SCHEME_PS512_ANY_SALT] = {.rsa = true, .pss = true, .any_salt = true, .hash = CLO_HASH_SHA512},
        [CLO_SCHEME_RS1] = {.rsa = true, .hash = CLO_HASH_SHA1},
    };
    return (unsigned)scheme < sizeof all / sizeof all[0] ? &all[scheme] : NULL;
}

void clo_crypto_verify_key_free(clo_crypto_verify_key **key)
{
    if (*key == NULL) return;
    EVP_PKEY_free((*key)->key);
    free(*key);
    *key = NULL;
}

static void bn_auto(BIGNUM **p) { BN_free(*p); }
static void bld_auto(OSSL_PARAM_BLD **p) { OSSL_PARAM_BLD_free(*p); }
static void params_auto(OSSL_PARAM **p) { OSSL_PARAM_free(*p); }

/* A modulus that could be one, and an exponent for which a bare cube root forges nothing. */
static clo_err take_rsa(clo_crypto_verify_key *made, const BIGNUM *n, const BIGNUM *e)
{
    int bits = BN_num_bits(n);
    CLO_CHECKF(bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX, CLO_E_UNSUPPORTED, "RSA keys have between %d and %d bits, not %d", RSA_BITS_MIN,
               RSA_BITS_MAX, bits);
    CLO_CHECKF(BN_is_odd(n) && BN_is_odd(e), CLO_E_MALFORMED, "the modulus and the exponent of an RSA key are odd");
    CLO_CHECKF(BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX && BN_get_word(e) >= RSA_EXPONENT_MIN, CLO_E_UNSUPPORTED,
               "the exponent of an RSA key is at least 65537 and has at most 64 bits");
    made->rsa_bits = (unsigned)bits;
    made->modulus_size = (size_t)BN_num_bytes(n);
    (void)BN_bn2bin(n, made->modulus);
    return CLO_OK;
}

/* Takes the OpenSSL key, also on failure. */
static clo_err key_wrap(EVP_PKEY *given, clo_crypto_verify_key **out)
{
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = given;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *made = calloc(1, sizeof *made);
    CLO_CHECK(made != NULL, CLO_E_NOMEM);
    if (EVP_PKEY_is_a(key, "RSA")) {
        CLO_AUTO(bn_auto) BIGNUM *n = NULL;
        CLO_AUTO(bn_auto) BIGNUM *e = NULL;
        if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1 || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
            return clo_crypto_fail(CLO_E_MALFORMED, "the RSA key is unreadable");
        CLO_TRY(take_rsa(made, n, e));
    } else {
        CLO_TRY(clo_crypto_pkey_raw_public(key, &made->public_key));
    }
    made->key = CLO_TAKE(key);
    *out = CLO_TAKE(made);
    return CLO_OK;
}

clo_err clo_crypto_verify_key_of_cert(const clo_crypto_cert *cert, clo_crypto_verify_key **out)
{
    EVP_PKEY *key = cert->key;
    if (key == NULL) return clo_crypto_fail(CLO_E_UNSUPPORTED, "the certificate's public key is of an unknown kind");
    if (EVP_PKEY_up_ref(key) != 1) return clo_crypto_fail(CLO_E_NOMEM, "the key could not be shared");
    if (!cert->light) return key_wrap(key, out);
    clo_crypto_verify_key *made = calloc(1, sizeof *made);
    if (made == NULL) {
        EVP_PKEY_free(key);
        return CLO_FAIL(CLO_E_NOMEM);
    }
    made->key = key;
    made->public_key = cert->raw;
    *out = made;
    return CLO_OK;
}

clo_err clo_crypto_verify_key_of_spki(clo_span der, clo_crypto_verify_key **out)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(der.n != 0 && der.n <= SPKI_MAX, CLO_E_MALFORMED, "a public key file has between 1 byte and 4 KiB");
    const uint8_t *at = der.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.n);
    if (key == NULL) return clo_crypto_fail(CLO_E_MALFORMED, "the bytes are not a SubjectPublicKeyInfo in DER");
    if (at != der.p + der.n) {
        EVP_PKEY_free(key);
        return clo_crypto_fail(CLO_E_TRAILING, "there are bytes behind the public key");
    }
    return key_wrap(key, out);
}

clo_err clo_crypto_verify_key_of_public(const clo_crypto_public_key *key, clo_crypto_verify_key **out)
{
    CLO_CHECKF(key->alg != CLO_SIGN_ED25519 || (key->n == 32 && clo_crypto_ed25519_usable(key->bytes)), CLO_E_MALFORMED,
               "the bytes are not a usable point of edwards25519");
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *made = calloc(1, sizeof *made);
    CLO_CHECK(made != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_crypto_pkey_public(key, &made->key));
    made->public_key = *key;
    *out = CLO_TAKE(made);
    return CLO_OK;
}

static clo_span without_zeros(clo_span s)
{
    while (s.n != 0 && s.p[0] == 0) s = clo_span_of(s.p + 1, s.n - 1);
    return s;
}

clo_err clo_crypto_verify_key_of_rsa(clo_span modulus, clo_span exponent, clo_crypto_verify_key **out)
{
    CLO_TRY(clo_crypto_init_quick());
    modulus = without_zeros(modulus);
    exponent = without_zeros(exponent);
    CLO_CHECKF(modulus.n != 0 && exponent.n != 0, CLO_E_MALFORMED, "an RSA key has a modulus and an exponent");
    CLO_CHECKF(modulus.n <= RSA_BITS_MAX / 8 && exponent.n <= RSA_EXPONENT_BITS_MAX / 8, CLO_E_UNSUPPORTED,
               "an RSA key has at most %d bits and an exponent of at most 64", RSA_BITS_MAX);
    CLO_AUTO(bn_auto) BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.n, NULL);
    CLO_AUTO(bn_auto) BIGNUM *e = BN_bin2bn(exponent.p, (int)exponent.n, NULL);
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *made = calloc(1, sizeof *made);
    CLO_CHECK(n != NULL && e != NULL && made != NULL, CLO_E_NOMEM);
    CLO_TRY(take_rsa(made, n, e));
    CLO_AUTO(bld_auto) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    bool ok = build != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
              OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1;
    CLO_AUTO(params_auto) OSSL_PARAM *params = ok ? OSSL_PARAM_BLD_to_param(build) : NULL;
    CLO_AUTO(clo_crypto_pkey_ctx_auto) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &made->key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return clo_crypto_fail(CLO_E_MALFORMED, "the RSA key could not be loaded");
    *out = CLO_TAKE(made);
    return CLO_OK;
}

unsigned clo_crypto_verify_key_rsa_bits(const clo_crypto_verify_key *key) { return key->rsa_bits; }

clo_err clo_crypto_verify_key_public(const clo_crypto_verify_key *key, clo_crypto_public_key *out)
{
    CLO_CHECKF(key->rsa_bits == 0, CLO_E_UNSUPPORTED, "an RSA key has no point");
    *out = key->public_key;
    return CLO_OK;
}

clo_span clo_crypto_verify_key_modulus(const clo_crypto_verify_key *key) { return clo_span_of(key->modulus, key->modulus_size); }

bool clo_crypto_verify_key_fits(const clo_crypto_verify_key *key, clo_crypto_scheme scheme)
{
    const scheme_facts *f = facts_of(scheme);
    if (f == NULL) return false;
    return f->rsa ? key->rsa_bits != 0 : key->rsa_bits == 0 && key->public_key.alg == f->alg;
}

static bool padding_set(EVP_PKEY_CTX *ctx, const scheme_facts *f, const EVP_MD *md)
{
    if (!f->rsa) return true;
    if (!f->pss) return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, f->any_salt ? RSA_PSS_SALTLEN_AUTO : RSA_PSS_SALTLEN_DIGEST) == 1;
}

static clo_err check_fits(const clo_crypto_verify_key *key, clo_crypto_scheme scheme, clo_span signature)
{
    CLO_CHECKF(clo_crypto_verify_key_fits(key, scheme), CLO_E_UNSUPPORTED, "the key is not of the kind that this signature algorithm takes");
    size_t want = key->rsa_bits != 0 ? key->modulus_size : clo_crypto_signature_size(key->public_key.alg);
    CLO_CHECKF(signature.n == want, CLO_E_BAD_SIGNATURE, "the signature has %zu bytes, this key makes %zu", signature.n, want);
    return CLO_OK;
}

clo_err clo_crypto_verify_digest_with(const clo_crypto_verify_key *key, clo_crypto_scheme scheme, clo_span digest, clo_span signature)
{
    CLO_TRY(check_fits(key, scheme, signature));
    const scheme_facts *f = facts_of(scheme);
    CLO_CHECKF(scheme != CLO_SCHEME_EDDSA, CLO_E_UNSUPPORTED, "EdDSA signs messages, not digests");
    CLO_CHECKF(digest.n == clo_crypto_hash_size(f->hash), CLO_E_BAD_SIGNATURE, "the digest has %zu bytes, this algorithm's has %zu", digest.n,
               clo_crypto_hash_size(f->hash));
    static const char wrong[] = "the signature does not verify: the bytes were altered or another key signed";
    if (!f->rsa)
        return clo_crypto_ecdsa_check_p1363(&key->public_key, key->key, digest, signature) ? CLO_OK : clo_crypto_fail(CLO_E_BAD_SIGNATURE, wrong);
    const EVP_MD *md = clo_crypto_md(f->hash);
    CLO_AUTO(clo_crypto_pkey_ctx_auto) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, NULL);
    if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1 || !padding_set(ctx, f, md) || EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
        return clo_crypto_fail(CLO_E_NOMEM, "verification could not start");
    if (EVP_PKEY_verify(ctx, signature.p, signature.n, digest.p, digest.n) != 1) return clo_crypto_fail(CLO_E_BAD_SIGNATURE, wrong);
    return CLO_OK;
}

clo_err clo_crypto_verify_with(const clo_crypto_verify_key *key, clo_crypto_scheme scheme, clo_span message, clo_span signature)
{
    CLO_TRY(check_fits(key, scheme, signature));
    if (scheme == CLO_SCHEME_EDDSA) return clo_crypto_verify(&key->public_key, message, signature);
    const scheme_facts *f = facts_of(scheme);
    uint8_t digest[CLO_HASH_MAX];
    CLO_TRY(clo_crypto_hash(f->hash, message, digest));
    return clo_crypto_verify_digest_with(key, scheme, clo_span_of(digest, clo_crypto_hash_size(f->hash)), signature);
}

clo_err clo_crypto_keypair_sign(clo_span private_pem, clo_crypto_scheme scheme, clo_span message, clo_buf *signature)
{
    const scheme_facts *f = facts_of(scheme);
    CLO_CHECK(f != NULL, CLO_E_UNSUPPORTED);
    if (!f->rsa) {
        CLO_AUTO(clo_crypto_private_key_wipe) clo_crypto_private_key sk = {.alg = f->alg};
        uint8_t made[CLO_SIGNATURE_MAX];
        CLO_TRY(clo_crypto_keypair_private(private_pem, &sk));
        CLO_CHECKF(sk.alg == f->alg, CLO_E_UNSUPPORTED, "the key is not of the kind that this signature algorithm takes");
        CLO_TRY(clo_crypto_sign(&sk, message, made));
        return clo_buf_put(signature, made, clo_crypto_signature_size(sk.alg));
    }
    CLO_AUTO(clo_crypto_pkey_auto) EVP_PKEY *key = NULL;
    CLO_TRY(clo_crypto_pem_key(private_pem, &key));
    CLO_CHECKF(EVP_PKEY_is_a(key, "RSA"), CLO_E_UNSUPPORTED, "the key is not of the kind that this signature algorithm takes");
    uint8_t digest[CLO_HASH_MAX], *at = NULL;
    size_t n = (size_t)EVP_PKEY_get_size(key);
    const EVP_MD *md = clo_crypto_md(f->hash);
    CLO_TRY(clo_crypto_hash(f->hash, message, digest));
    CLO_TRY(clo_buf_reserve(signature, n, &at));
    CLO_AUTO(clo_crypto_pkey_ctx_auto) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 || !padding_set(ctx, f, md) || EVP_PKEY_CTX_set_signature_md(ctx, md) != 1 ||
        EVP_PKEY_sign(ctx, at, &n, digest, clo_crypto_hash_size(f->hash)) != 1)
        return clo_crypto_fail(CLO_E_RNG, "signing failed inside OpenSSL");
    signature->len += n;
    return CLO_OK;
}
