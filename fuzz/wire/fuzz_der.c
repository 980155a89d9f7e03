/* Any bytes as DER, walked to a bounded depth by every kind of take: what is taken lies inside the input, a failed take moves nothing. */
#include "wire/der.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(clo_span in, unsigned depth)
{
    while (in.n != 0) {
        clo_span rest = in, content = {NULL, 0};
        uint64_t number = 0;
        char oid[64];
        uint8_t tag = 0;
        if (clo_failed(clo_wire_der_next(&rest, &tag, &content))) return;
        clo_span again = in;
        if (tag == CLO_DER_INTEGER && clo_failed(clo_wire_der_take_uint(&again, &number)) && again.p != in.p) abort();
        if (tag == CLO_DER_OID && clo_failed(clo_wire_der_take_oid(&again, oid, sizeof oid)) && again.p != in.p) abort();
        if (content.p < in.p || content.n > in.n || rest.n >= in.n || content.p + content.n != rest.p) abort();
        if ((tag & 0x20) != 0 && depth != 0) walk(content, depth - 1);
        in = rest;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(clo_span_of(data, size), 8);
    return 0;
}
