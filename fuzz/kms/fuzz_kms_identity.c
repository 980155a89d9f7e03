/* The file that the service's secrets rest in. */
#include "kms/kms_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kms_secrets s;
    (void)!clo_failed(kms_secrets_parse(clo_span_of(data, size), &s));
    return 0;
}
