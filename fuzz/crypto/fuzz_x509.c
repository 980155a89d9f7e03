/* Certificates (DER, PEM), revocation lists and every view of them. */
#include "crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Either verdict is right here; only crashes count. */
static void ignore(clo_err e) { (void)e; }
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_crypto_cert *certs[4] = {NULL};
    clo_crypto_crl *crl = NULL;
    size_t count = 0;
    clo_span in = clo_span_of(data, size);
    if (!clo_failed(clo_crypto_cert_parse_pem(certs, 4, &count, in))) {
        for (size_t i = 0; i < count; i++) {
            int64_t from = 0, to = 0;
            char name[64];
            uint8_t digest[32];
            clo_crypto_public_key key;
            clo_span value;
            ignore(clo_crypto_cert_window(certs[i], &from, &to));
            ignore(clo_crypto_cert_common_name(certs[i], name, sizeof name));
            ignore(clo_crypto_cert_issuer_common_name(certs[i], name, sizeof name));
            ignore(clo_crypto_cert_public_key(certs[i], &key));
            ignore(clo_crypto_cert_spki_sha256(certs[i], digest));
            ignore(clo_crypto_cert_extension(certs[i], "2.5.29.19", &value));
            ignore(clo_crypto_cert_signed_by(certs[i], certs[0]));
            (void)clo_crypto_cert_is_ca(certs[i]);
            (void)clo_crypto_cert_is_pss384(certs[i]);
        }
    }
    if (!clo_failed(clo_crypto_crl_parse(&crl, in))) {
        int64_t from = 0, to = 0;
        ignore(clo_crypto_crl_window(crl, &from, &to));
        clo_crypto_crl_free(&crl);
    }
    for (size_t i = 0; i < count; i++) clo_crypto_cert_free(&certs[i]);
    return 0;
}
