/* The head of every file of the product, and what a wrong file is called. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const magics[] = {CLO_MAGIC_AGREEMENT, CLO_MAGIC_SEALED, CLO_MAGIC_RECEIPT, CLO_MAGIC_OUTPUT,
                                         CLO_MAGIC_IDENTITY,  CLO_MAGIC_PARTY,  CLO_MAGIC_TABLE,   CLO_MAGIC_MODEL};
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        CLO_AUTO(clo_buf_free) clo_buf again;
        clo_buf_init(&again, (size_t)1 << 26);
        uint32_t version = 0;
        clo_span body = {0}, in = clo_span_of(data, size);
        if (clo_failed(clo_wire_container_open(in, magics[i], 3, &version, &body))) continue;
        if (clo_failed(clo_wire_container_put(&again, magics[i], version)) || clo_failed(clo_buf_put_span(&again, body)) ||
            !clo_span_equal(clo_buf_span(&again), in))
            abort();
    }
    return 0;
}
