/* wycheproof: the primitives in use. `valid` must be accepted, `invalid` refused, `acceptable` may go either way. */
#include "area_crypto.h"
#include "base/clo_own.h"
#include "crypto/sign.h"
#include "crypto/verify_key.h"
#include "wire/jws.h"

typedef enum { REFUSED, ACCEPTED, WRONG, NO_PRIMITIVE, LONG_NONCE, KEY_CONTRADICTS } outcome;
typedef outcome (*case_run)(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test);

static outcome compare(clo_span want, const uint8_t *got, size_t n)
{
    return clo_span_equal(want, clo_span_of(got, n)) ? ACCEPTED : WRONG;
}
static bool text_is(const char *a, const char *b) { return a != NULL && strcmp(a, b) == 0; }

static outcome aead_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    (void)group;
    clo_span key = clo_vectors_bytes(a, test, "key"), iv = clo_vectors_bytes(a, test, "iv"),
             aad = clo_vectors_bytes(a, test, "aad");
    clo_span msg = clo_vectors_bytes(a, test, "msg"), ct = clo_vectors_bytes(a, test, "ct"),
             tag = clo_vectors_bytes(a, test, "tag");
    clo_crypto_aead_alg alg = CLO_AEAD_CHACHA20_POLY1305;
    if (text_is(clo_vectors_text(root, "algorithm"), "AES-GCM") && !clo_vectors_gcm_alg(key.n, &alg)) return NO_PRIMITIVE;
    if (key.n != clo_crypto_aead_key_size(alg)) return REFUSED;
    if (alg != CLO_AEAD_CHACHA20_POLY1305 && iv.n > CLO_AEAD_NONCE_MAX) return LONG_NONCE;
    uint8_t *sealed = clo_vectors_scratch(a, ct.n + tag.n), *opened = clo_vectors_scratch(a, ct.n),
            *made = clo_vectors_scratch(a, msg.n + 16);
    if (ct.n != 0) memcpy(sealed, ct.p, ct.n);
    if (tag.n != 0) memcpy(sealed + ct.n, tag.p, tag.n);
    if (clo_failed(clo_crypto_aead_open(alg, key.p, iv, aad, clo_span_of(sealed, ct.n + tag.n), opened))) return REFUSED;
    if (!clo_span_equal(msg, clo_span_of(opened, ct.n))) return WRONG;
    if (clo_failed(clo_crypto_aead_seal(alg, key.p, iv, aad, msg, made))) return WRONG;
    return compare(clo_span_of(sealed, ct.n + tag.n), made, msg.n + 16);
}

/* The key of an ECDSA or EdDSA group; NO_PRIMITIVE for curves and hash pairs that the product does not have. */
static outcome group_key(clo_arena *a, const clo_wire_node *group, clo_crypto_public_key *pk)
{
    const clo_wire_node *key = clo_wire_get(group, "publicKey");
    const char *curve = clo_vectors_text(key, "curve"), *sha = clo_vectors_text(group, "sha");
    if (text_is(curve, "edwards25519"))
        return clo_failed(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_vectors_bytes(a, key, "pk"), pk)) ? REFUSED
                                                                                                              : ACCEPTED;
    clo_crypto_sign_alg alg = CLO_SIGN_ES256;
    if (text_is(curve, "secp256r1") && text_is(sha, "SHA-256"))
        alg = CLO_SIGN_ES256;
    else if (text_is(curve, "secp384r1") && text_is(sha, "SHA-384"))
        alg = CLO_SIGN_ES384;
    else if (text_is(curve, "secp521r1") && text_is(sha, "SHA-512"))
        alg = CLO_SIGN_ES512;
    else
        return NO_PRIMITIVE;
    return clo_failed(clo_crypto_public_key_parse(alg, clo_vectors_bytes(a, key, "uncompressed"), pk)) ? REFUSED : ACCEPTED;
}

static outcome verify_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    (void)root;
    clo_crypto_public_key pk;
    outcome key = group_key(a, group, &pk);
    if (key != ACCEPTED) return key;
    clo_span msg = clo_vectors_bytes(a, test, "msg"), sig = clo_vectors_bytes(a, test, "sig");
    bool der = text_is(clo_vectors_text(group, "type"), "EcdsaVerify");
    clo_err e = der ? clo_crypto_verify_der(&pk, msg, sig) : clo_crypto_verify(&pk, msg, sig);
    return clo_failed(e) ? REFUSED : ACCEPTED;
}

/* RSASSA-PKCS1-v1_5 and RSASSA-PSS where the group's hash, mask and salt are those of a scheme, and the key is not one the product refuses. */
static outcome rsa_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    (void)root;
    static const struct {
        const char *sha;
        int64_t salt;
        clo_crypto_scheme pkcs1, pss;
    } schemes[] = {{"SHA-256", 32, CLO_SCHEME_RS256, CLO_SCHEME_PS256}, {"SHA-384", 48, CLO_SCHEME_RS384, CLO_SCHEME_PS384}, {"SHA-512", 64, CLO_SCHEME_RS512, CLO_SCHEME_PS512}};
    bool pss = text_is(clo_vectors_text(group, "type"), "RsassaPssVerify");
    const char *sha = clo_vectors_text(group, "sha"), *mask = clo_vectors_text(group, "mgfSha");
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!text_is(sha, schemes[i].sha)) continue;
        if (pss && (!text_is(mask, sha) || clo_vectors_int(group, "sLen", -1) != schemes[i].salt)) return NO_PRIMITIVE;
        CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
        clo_err e = clo_crypto_verify_key_of_spki(clo_vectors_bytes(a, group, "publicKeyDer"), &key);
        if (e.code == CLO_E_UNSUPPORTED) return NO_PRIMITIVE;
        if (clo_failed(e)) return REFUSED;
        e = clo_crypto_verify_with(key, pss ? schemes[i].pss : schemes[i].pkcs1, clo_vectors_bytes(a, test, "msg"), clo_vectors_bytes(a, test, "sig"));
        return clo_failed(e) ? REFUSED : ACCEPTED;
    }
    return NO_PRIMITIVE;
}

/* A token under the one public key of its group: the key's own alg and use decide, as for a key of a set. */
static outcome jws_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    (void)root;
    const clo_wire_node *jwk = clo_wire_get(group, "public");
    const char *alg = clo_vectors_text(jwk, "alg"), *use = clo_vectors_text(jwk, "use"), *jws = clo_vectors_text(test, "jws");
    clo_wire_jws parsed;
    clo_crypto_scheme scheme = CLO_SCHEME_RS256;
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    if (jwk == NULL) return NO_PRIMITIVE; /* a MAC */
    if (jws == NULL || (use != NULL && !text_is(use, "sig")) || alg == NULL) return REFUSED;
    if (clo_failed(clo_wire_jws_scheme(alg, &scheme))) return KEY_CONTRADICTS;
    if (clo_failed(clo_wire_jws_parse(a, clo_span_str(jws), &parsed)) || clo_failed(clo_wire_jwk_read(a, jwk, &key))) return REFUSED;
    clo_err e = clo_wire_jws_verify(&parsed, key, scheme);
    if (clo_failed(e) && strcmp(parsed.alg, alg) != 0) return KEY_CONTRADICTS;
    return clo_failed(e) ? REFUSED : ACCEPTED;
}

static outcome hkdf_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    (void)group;
    const char *algorithm = clo_vectors_text(root, "algorithm");
    clo_crypto_hash_alg alg = CLO_HASH_SHA256;
    if (algorithm == NULL || !clo_vectors_hash_alg(algorithm + strlen("HKDF-"), &alg)) return NO_PRIMITIVE;
    int64_t size = clo_vectors_int(test, "size", 0);
    if (size < 0 || size > 1 << 24) return NO_PRIMITIVE;
    uint8_t *got = clo_vectors_scratch(a, (size_t)size);
    if (clo_failed(clo_crypto_hkdf(alg, clo_vectors_bytes(a, test, "salt"), clo_vectors_bytes(a, test, "ikm"),
                                   clo_vectors_bytes(a, test, "info"), got, (size_t)size)))
        return REFUSED;
    return compare(clo_vectors_bytes(a, test, "okm"), got, (size_t)size);
}

/* A short tag is the front of the whole one. */
static outcome hmac_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    const char *algorithm = clo_vectors_text(root, "algorithm");
    clo_crypto_hash_alg alg = CLO_HASH_SHA256;
    if (text_is(algorithm, "HMACSHA384"))
        alg = CLO_HASH_SHA384;
    else if (text_is(algorithm, "HMACSHA512"))
        alg = CLO_HASH_SHA512;
    else if (!text_is(algorithm, "HMACSHA256"))
        return NO_PRIMITIVE;
    uint8_t got[CLO_HASH_MAX];
    size_t size = (size_t)clo_vectors_int(group, "tagSize", 0) / 8;
    if (size == 0 || size > clo_crypto_hash_size(alg)) return NO_PRIMITIVE;
    if (clo_failed(clo_crypto_hmac(alg, clo_vectors_bytes(a, test, "key"), clo_vectors_bytes(a, test, "msg"), got))) return WRONG;
    return clo_span_equal(clo_vectors_bytes(a, test, "tag"), clo_span_of(got, size)) ? ACCEPTED : REFUSED;
}

static outcome x25519_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    (void)root;
    if (!text_is(clo_vectors_text(group, "curve"), "curve25519")) return NO_PRIMITIVE;
    clo_span secret = clo_vectors_bytes(a, test, "private"), theirs = clo_vectors_bytes(a, test, "public");
    uint8_t got[32];
    if (secret.n != 32 || theirs.n != 32 || clo_failed(clo_crypto_x25519(secret.p, theirs.p, got))) return REFUSED;
    return compare(clo_vectors_bytes(a, test, "shared"), got, 32);
}

/* The product takes points; a SubjectPublicKeyInfo counts as one where it is the usual DER form for P-256. */
static outcome ecdh_case(clo_arena *a, const clo_wire_node *root, const clo_wire_node *group, const clo_wire_node *test)
{
    (void)root;
    static const uint8_t head[26] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                                     0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
    if (!text_is(clo_vectors_text(group, "curve"), "secp256r1")) return NO_PRIMITIVE;
    clo_span theirs = clo_vectors_bytes(a, test, "public"), number = clo_vectors_bytes(a, test, "private");
    if (text_is(clo_vectors_text(group, "encoding"), "asn")) {
        if (theirs.n < sizeof head || memcmp(theirs.p, head, sizeof head) != 0) return REFUSED;
        theirs = clo_span_of(theirs.p + sizeof head, theirs.n - sizeof head);
    }
    while (number.n > 32 && number.p[0] == 0) number = clo_span_of(number.p + 1, number.n - 1);
    if (number.n > 32) return REFUSED;
    uint8_t secret[32] = {0}, got[32];
    if (number.n != 0) memcpy(secret + 32 - number.n, number.p, number.n);
    if (clo_failed(clo_crypto_ecdh_p256(secret, theirs, got))) return REFUSED;
    return compare(clo_vectors_bytes(a, test, "shared"), got, 32);
}

/* By the type of the group and, where several algorithms share a type, the file's algorithm. */
static case_run find_run(const clo_wire_node *root, const clo_wire_node *group)
{
    static const struct {
        const char *type, *algorithm;
        case_run run;
    } runs[] = {{"AeadTest", "AES-GCM", aead_case},   {"AeadTest", "CHACHA20-POLY1305", aead_case},
                {"EcdsaVerify", NULL, verify_case},   {"EcdsaP1363Verify", NULL, verify_case},
                {"EddsaVerify", NULL, verify_case},   {"HkdfTest", NULL, hkdf_case},
                {"RsassaPkcs1Verify", NULL, rsa_case}, {"RsassaPssVerify", NULL, rsa_case},
                {"JsonWebSignature", NULL, jws_case},
                {"MacTest", "HMACSHA256", hmac_case}, {"MacTest", "HMACSHA384", hmac_case},
                {"MacTest", "HMACSHA512", hmac_case}, {"XdhComp", NULL, x25519_case},
                {"EcdhTest", NULL, ecdh_case},        {"EcdhEcpointTest", NULL, ecdh_case}};
    const char *type = clo_vectors_text(group, "type"), *algorithm = clo_vectors_text(root, "algorithm");
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        if (text_is(type, runs[i].type) && (runs[i].algorithm == NULL || text_is(algorithm, runs[i].algorithm)))
            return runs[i].run;
    return NULL;
}

static void judge(clo_vectors_report *r, const char *file, const char *name, const char *result, outcome got)
{
    static const char *const words[] = {"refused", "accepted", "accepted with a wrong value"};
    bool valid = text_is(result, "valid"), invalid = text_is(result, "invalid");
    if (got == NO_PRIMITIVE)
        clo_vectors_skip(r, file, name, CLO_VECTORS_NO_PRIMITIVE);
    else if (got == LONG_NONCE)
        clo_vectors_skip(r, file, name, "the product takes AES-GCM nonces of at most 128 bytes");
    else if (got == KEY_CONTRADICTS && valid)
        clo_vectors_skip(r, file, name, "the key names another algorithm than the token (RFC 7517, 4.4): the product refuses it");
    else if (got == KEY_CONTRADICTS)
        clo_vectors_pass(r);
    else if ((valid && got == ACCEPTED) || (invalid && got == REFUSED) || (!valid && !invalid && got != WRONG))
        clo_vectors_pass(r);
    else
        clo_vectors_fail(r, file, name, result != NULL ? result : "a verdict", words[got]);
}

static void wycheproof_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    const clo_wire_node *groups = clo_wire_get(root, "testGroups");
    for (const clo_wire_node *group = groups != NULL ? groups->first : NULL; group != NULL; group = group->next) {
        case_run run = find_run(root, group);
        const clo_wire_node *tests = clo_wire_get(group, "tests");
        for (const clo_wire_node *test = tests != NULL ? tests->first : NULL; test != NULL; test = test->next)
            judge(r, file, clo_vectors_name(a, test, "tcId"), clo_vectors_text(test, "result"),
                  run != NULL ? run(a, root, group, test) : NO_PRIMITIVE);
    }
}

int clo_vectors_wycheproof(const char *dir, clo_vectors_report *r) { return clo_vectors_each_file(dir, wycheproof_file, r); }
