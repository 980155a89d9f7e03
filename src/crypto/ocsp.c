/* OCSP responses. The path of the responder is judged here and not by OpenSSL's OCSP_basic_verify, which reads the clock. */
#include "crypto/ocsp.h"

#include "crypto/x509_int.h"
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

struct clo_crypto_ocsp {
    OCSP_BASICRESP *basic;
    clo_span nonce;
};

void clo_crypto_ocsp_free(clo_crypto_ocsp **o)
{
    if (*o == NULL) return;
    OCSP_BASICRESP_free((*o)->basic);
    free(*o);
    *o = NULL;
}

static void response_auto(OCSP_RESPONSE **r) { OCSP_RESPONSE_free(*r); }
static void id_auto(OCSP_CERTID **i) { OCSP_CERTID_free(*i); }

/* Extensions that are critical change the meaning; none is known here. The nonce is not a critical matter. */
static bool extensions_known(OCSP_BASICRESP *basic)
{
    for (int i = 0; i < OCSP_BASICRESP_get_ext_count(basic); i++) {
        X509_EXTENSION *e = OCSP_BASICRESP_get_ext(basic, i);
        if (X509_EXTENSION_get_critical(e) != 0 && OBJ_obj2nid(X509_EXTENSION_get_object(e)) != NID_id_pkix_OCSP_Nonce) return false;
    }
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *one = OCSP_resp_get0(basic, i);
        for (int k = 0; k < OCSP_SINGLERESP_get_ext_count(one); k++)
            if (X509_EXTENSION_get_critical(OCSP_SINGLERESP_get_ext(one, k)) != 0) return false;
    }
    return true;
}

static clo_span nonce_of(OCSP_BASICRESP *basic)
{
    int at = OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce, -1);
    if (at < 0) return clo_span_of(NULL, 0);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(OCSP_BASICRESP_get_ext(basic, at));
    const uint8_t *p = ASN1_STRING_get0_data(value);
    size_t n = (size_t)ASN1_STRING_length(value);
    /* OCTET STRING inside (RFC 9654); responders of old put the bytes as they are. */
    if (n >= 2 && p[0] == 4 && p[1] < 0x80 && (size_t)p[1] == n - 2) return clo_span_of(p + 2, n - 2);
    return clo_span_of(p, n);
}

static void bytes_auto(uint8_t **p) { OPENSSL_free(*p); }

/* What is verified is the encoding made anew: it must be the one that came. The basic response stands at the end of the whole. */
static bool canonical(OCSP_RESPONSE *response, OCSP_BASICRESP *basic, clo_span der)
{
    CLO_AUTO(bytes_auto) uint8_t *whole = NULL;
    CLO_AUTO(bytes_auto) uint8_t *inside = NULL;
    int n = i2d_OCSP_RESPONSE(response, &whole), m = i2d_OCSP_BASICRESP(basic, &inside);
    return n > 0 && m > 0 && m < n && clo_span_equal(clo_span_of(whole, (size_t)n), der) && memcmp(der.p + (n - m), inside, (size_t)m) == 0;
}

CLO_R clo_crypto_ocsp_parse(clo_crypto_ocsp **out, clo_span der)
{
    CLO_TRY(clo_crypto_init_quick());
    CLO_CHECKF(der.n != 0 && der.n <= CLO_OCSP_MAX, CLO_E_TOO_LARGE, "an OCSP response has between 1 byte and 64 KiB");
    const uint8_t *at = der.p;
    CLO_AUTO(response_auto) OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.n);
    if (response == NULL) return clo_crypto_fail(CLO_E_MALFORMED, "the bytes are not an OCSP response in DER");
    CLO_CHECKF(at == der.p + der.n, CLO_E_TRAILING, "there are bytes behind the OCSP response");
    CLO_CHECKF(OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL, CLO_E_UNSUPPORTED,
               "the OCSP responder gave no answer; ask it again");
    CLO_AUTO(clo_crypto_ocsp_free) clo_crypto_ocsp *o = calloc(1, sizeof *o);
    CLO_CHECK(o != NULL, CLO_E_NOMEM);
    o->basic = OCSP_response_get1_basic(response);
    if (o->basic == NULL) return clo_crypto_fail(CLO_E_UNSUPPORTED, "the OCSP response is not of the basic type");
    CLO_CHECKF(canonical(response, o->basic, der), CLO_E_NOT_CANONICAL, "the OCSP response is not encoded in DER");
    CLO_CHECKF(OCSP_resp_count(o->basic) <= CLO_OCSP_ANSWERS_MAX, CLO_E_TOO_MANY, "the OCSP response has too many answers");
    CLO_CHECKF(extensions_known(o->basic), CLO_E_UNSUPPORTED, "the OCSP response has a critical extension that is not understood");
    o->nonce = nonce_of(o->basic);
    *out = CLO_TAKE(o);
    return CLO_OK;
}

clo_span clo_crypto_ocsp_nonce(const clo_crypto_ocsp *o) { return o->nonce; }

/* Does this answer's id name the certificate? The id says with which hash it was made. */
static bool names(const OCSP_SINGLERESP *one, const clo_crypto_cert *cert, const clo_crypto_cert *issuer)
{
    static const int accepted[] = {NID_sha1, NID_sha256, NID_sha384, NID_sha512};
    const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(one);
    ASN1_OBJECT *hash = NULL;
    /* The getter is not const, and changes nothing. */
    OCSP_CERTID *open = (OCSP_CERTID *)(uintptr_t)id;
    if (id == NULL || OCSP_id_get0_info(NULL, &hash, NULL, NULL, open) != 1) return false;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        if (OBJ_obj2nid(hash) != accepted[i]) continue;
        CLO_AUTO(id_auto) OCSP_CERTID *want = OCSP_cert_to_id(EVP_get_digestbynid(accepted[i]), cert->x509, issuer->x509);
        return want != NULL && OCSP_id_cmp(want, id) == 0;
    }
    return false;
}

CLO_R clo_crypto_ocsp_find(const clo_crypto_ocsp *o, const clo_crypto_cert *cert, const clo_crypto_cert *issuer, clo_crypto_ocsp_answer *out)
{
    OCSP_SINGLERESP *found = NULL;
    for (int i = 0; i < OCSP_resp_count(o->basic); i++) {
        OCSP_SINGLERESP *one = OCSP_resp_get0(o->basic, i);
        if (!names(one, cert, issuer)) continue;
        CLO_CHECKF(found == NULL, CLO_E_DUPLICATE, "the OCSP response has two answers about one certificate");
        found = one;
    }
    ERR_clear_error();
    CLO_CHECKF(found != NULL, CLO_E_NOT_FOUND, "the OCSP response says nothing about this certificate");
    ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
    clo_crypto_ocsp_answer answer = {.status = CLO_OCSP_UNKNOWN, .reason = -1};
    int status = OCSP_single_get0_status(found, &answer.reason, NULL, &from, &to);
    if (status == V_OCSP_CERTSTATUS_GOOD) answer.status = CLO_OCSP_GOOD;
    if (status == V_OCSP_CERTSTATUS_REVOKED) answer.status = CLO_OCSP_REVOKED;
    CLO_TRY(clo_crypto_asn1_seconds(from, &answer.this_update));
    answer.next_update = answer.this_update;
    if (to != NULL) CLO_TRY(clo_crypto_asn1_seconds(to, &answer.next_update));
    *out = answer;
    return CLO_OK;
}

/* The responder named itself by its name or by the SHA-1 of its key. */
static bool is_responder(const OCSP_BASICRESP *basic, const X509 *cert)
{
    const ASN1_OCTET_STRING *key = NULL;
    const X509_NAME *name = NULL;
    if (OCSP_resp_get0_id(basic, &key, &name) != 1) return false;
    if (name != NULL) return X509_NAME_cmp(name, X509_get_subject_name(cert)) == 0;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    return key != NULL && X509_pubkey_digest(cert, EVP_sha1(), digest, &n) == 1 && ASN1_STRING_length(key) == (int)n &&
           memcmp(ASN1_STRING_get0_data(key), digest, n) == 0;
}

static bool hash_long_enough(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object = NULL;
    int hash = NID_undef, kind = NID_undef;
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    if (OBJ_find_sigid_algs(OBJ_obj2nid(object), &hash, &kind) != 1) return false;
    return hash == NID_sha256 || hash == NID_sha384 || hash == NID_sha512 || kind == NID_ED25519;
}

static bool signature_holds(const OCSP_BASICRESP *basic, X509 *signer)
{
    const X509_ALGOR *algorithm = OCSP_resp_get0_tbs_sigalg(basic);
    EVP_PKEY *key = X509_get0_pubkey(signer);
    return key != NULL && hash_long_enough(algorithm) &&
           ASN1_item_verify(ASN1_ITEM_rptr(OCSP_RESPDATA), algorithm, OCSP_resp_get0_signature(basic), OCSP_resp_get0_respdata(basic), key) == 1;
}

/* A certificate that the issuer gave to a responder for signing answers (RFC 6960 §4.2.2.2). */
static bool is_delegate(X509 *cert, X509 *issuer)
{
    uint32_t flags = X509_get_extension_flags(cert);
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    for (int i = 0; i < X509_get_ext_count(cert); i++) {
        X509_EXTENSION *e = X509_get_ext(cert, i);
        if (X509_EXTENSION_get_critical(e) != 0 && X509_supported_extension(e) != 1) return false;
    }
    return (flags & EXFLAG_INVALID) == 0 && (flags & EXFLAG_XKUSAGE) != 0 && (X509_get_extended_key_usage(cert) & XKU_OCSP_SIGN) != 0 &&
           (X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE) != 0 && X509_check_issued(issuer, cert) == X509_V_OK && key != NULL &&
           X509_verify(cert, key) == 1;
}

static clo_err bad(const char *why) { return clo_crypto_fail(CLO_E_BAD_SIGNATURE, why); }

CLO_R clo_crypto_ocsp_signed_by(const clo_crypto_ocsp *o, const clo_crypto_cert *issuer, int64_t now, int64_t *until)
{
    *until = INT64_MAX;
    CLO_AUTO(clo_crypto_x509_auto) X509 *authority = NULL;
    CLO_TRY(clo_crypto_cert_full(issuer, &authority));
    if (X509_check_ca(authority) == 1 && is_responder(o->basic, authority)) {
        return signature_holds(o->basic, authority) ? CLO_OK : bad("the OCSP response's signature does not verify under the issuer's key");
    }
    const STACK_OF(X509) *certs = OCSP_resp_get0_certs(o->basic);
    for (int i = 0; i < sk_X509_num(certs) && i < 8; i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (!is_responder(o->basic, cert)) continue;
        if (!is_delegate(cert, authority)) return bad("the OCSP responder's certificate is not one that the issuer gave for that");
        if (!signature_holds(o->basic, cert)) return bad("the OCSP response's signature does not verify under the responder's key");
        int64_t from = 0, to = 0;
        CLO_TRY(clo_crypto_asn1_seconds(X509_get0_notBefore(cert), &from));
        CLO_TRY(clo_crypto_asn1_seconds(X509_get0_notAfter(cert), &to));
        CLO_CHECKF(from <= now && now <= to, CLO_E_EXPIRED, "the OCSP responder's certificate has expired, or is not valid yet");
        *until = to;
        return CLO_OK;
    }
    return bad("the OCSP response is signed neither by the issuer nor by a responder whose certificate comes along");
}
