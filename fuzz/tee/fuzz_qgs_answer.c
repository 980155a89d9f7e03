/* Any bytes as the quoting service's answer: the quote lies inside it. */
#include "tee/tdx_quoting.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_span quote;
    if (clo_failed(clo_tee_tdx_quote_answer(clo_span_of(data, size), &quote))) return 0;
    if (quote.n == 0 || quote.n > size || quote.p != data + size - quote.n) abort();
    return 0;
}
