/* Signed objects that are looked into before anybody has verified them, to find the key: orders and tokens. */
#include "kms/kms_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t id[32];
    (void)!clo_failed(kms_signed_peek(clo_span_of(data, size), "agreement", id, 32));
    (void)!clo_failed(kms_signed_peek(clo_span_of(data, size), "run_id", id, 16));
    return 0;
}
