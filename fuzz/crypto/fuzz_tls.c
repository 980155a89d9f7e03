/* A server's memory session fed by a stranger, in pieces whose size the first byte gives. */
#include "crypto/tls.h"
#include "crypto/x509.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static clo_crypto_tls_context *server_make(void)
{
    clo_buf key, der, pem;
    clo_crypto_cert *c = NULL;
    clo_crypto_tls_context *context = NULL;
    clo_buf_init(&key, 65536);
    clo_buf_init(&der, 65536);
    clo_buf_init(&pem, 65536);
    clo_crypto_cert_request request = {.common_name = "fuzz", .not_after = 10, .serial = 1};
    if (clo_failed(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &key)) ||
        clo_failed(clo_crypto_cert_make(&request, clo_buf_span(&key), NULL, clo_span_of(NULL, 0), &der)) ||
        clo_failed(clo_crypto_cert_parse(&c, clo_buf_span(&der))) || clo_failed(clo_crypto_cert_to_pem(c, &pem)))
        abort();
    clo_crypto_tls_options options = {.server = true,
                                      .certificate_pem = clo_buf_span(&pem),
                                      .private_pem = clo_buf_span(&key),
                                      .ask_client_leaf = true,
                                      .http2 = true};
    if (clo_failed(clo_crypto_tls_context_new(&context, &options))) abort();
    clo_crypto_cert_free(&c);
    clo_buf_free(&key);
    clo_buf_free(&der);
    clo_buf_free(&pem);
    return context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_crypto_tls_context *context;
    if (context == NULL) context = server_make();
    if (size == 0) return 0;
    clo_crypto_tls *t = NULL;
    if (clo_failed(clo_crypto_tls_on_memory(&t, context))) abort();
    size_t piece = (size_t)data[0] + 1;
    for (size_t at = 1; at < size; at += piece) {
        uint8_t out[4096];
        if (clo_failed(clo_crypto_tls_feed(t, clo_span_of(data + at, size - at < piece ? size - at : piece)))) break;
        if (clo_crypto_tls_handshake(t) == CLO_TLS_FAILED) break;
        while (clo_crypto_tls_drain(t, out, sizeof out) != 0) continue;
    }
    clo_crypto_tls_free(&t);
    return 0;
}
