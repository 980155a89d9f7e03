/* Any bytes as a model file: refused, or a model that describes and encodes itself again. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "ml/ml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    CLO_AUTO(clo_buf_free) clo_buf again = {0};
    clo_err e = clo_ml_model_decode(clo_span_of(data, size), &m);
    if (clo_failed(e)) {
        if (clo_err_class(e) != CLO_CLASS_INPUT && clo_err_class(e) != CLO_CLASS_LIMIT) abort();
        return 0;
    }
    clo_buf_init(&again, (size_t)1 << 26);
    if (clo_failed(clo_ml_model_encode(m, &again))) abort();
    return 0;
}
