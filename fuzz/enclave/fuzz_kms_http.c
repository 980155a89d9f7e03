/* The HTTP client parser: however the bytes are cut, the verdict and what was read are the same. */
#include <string.h>

#include "enclave/kms_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static clo_err read_in(clo_enclave_http_response *r, const uint8_t *p, size_t n, size_t step)
{
    clo_enclave_http_response_init(r);
    for (size_t at = 0; at < n; at += step) CLO_TRY(clo_enclave_http_response_feed(r, clo_span_of(p + at, n - at < step ? n - at : step)));
    return clo_enclave_http_response_end(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536) return 0;
    clo_enclave_http_response whole, cut;
    size_t step = 1u + data[0] % 32u;
    clo_err a = read_in(&whole, data + 1, size - 1, size);
    clo_err b = read_in(&cut, data + 1, size - 1, step);
    if (clo_failed(a) != clo_failed(b)) __builtin_trap();
    if (!clo_failed(a) && (whole.status != cut.status || !clo_span_equal(clo_buf_span(&whole.body), clo_buf_span(&cut.body)))) __builtin_trap();
    clo_enclave_http_response_free(&whole);
    clo_enclave_http_response_free(&cut);
    return 0;
}
