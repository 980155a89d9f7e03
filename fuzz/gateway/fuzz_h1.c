/* The request head parser and the chunk decoder. Invariants: spans stay inside the input; the verdict on a head does not depend on what
 * comes behind it; a chunked body decodes to the same content whatever the size of the pieces. */
#include "gateway/h1_parser.h"
#include <stdlib.h>
#include <string.h>

static void must(bool cond)
{
    if (!cond) abort();
}

static bool inside(clo_span s, const uint8_t *data, size_t size) { return s.p == NULL || (s.p >= data && s.p + s.n <= data + size); }

static uint64_t decode(clo_span in, size_t step, bool *bad, bool *ended)
{
    clo_gateway_h1_chunks c = {0};
    uint64_t sum = 0;
    *bad = *ended = false;
    while (in.n != 0 && !*ended) {
        size_t used = 0;
        clo_span content;
        clo_err e = clo_gateway_h1_chunks_next(&c, clo_span_of(in.p, in.n < step ? in.n : step), &used, &content, ended);
        *bad = clo_failed(e);
        if (*bad) break;
        must(used != 0 && used <= in.n);
        must(inside(content, in.p, in.n));
        for (size_t i = 0; i < content.n; i++) sum = sum * 31 + content.p[i] + 1;
        in = clo_span_of(in.p + used, in.n - used);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_gateway_h1_head head;
    size_t used = 0;
    clo_err e = clo_gateway_h1_head_parse(clo_span_of(data, size), &head, &used);
    if (clo_failed(e)) {
        must(used == 0);
        return 0;
    }
    must(used <= size);
    if (used == 0) return 0;
    must(inside(head.path, data, used) && inside(head.query, data, used) && inside(head.host, data, used));
    for (size_t i = 0; i < head.header_count; i++) must(inside(head.headers[i].name, data, used) && inside(head.headers[i].value, data, used));
    must(!(head.chunked && head.has_length));
    size_t again = 0;
    e = clo_gateway_h1_head_parse(clo_span_of(data, used), &head, &again);
    must(!clo_failed(e) && again == used);
    e = clo_gateway_h1_head_parse(clo_span_of(data, used - 1), &head, &again);
    must(!clo_failed(e) && again == 0);
    bool bad_one = false, bad_all = false, end_one = false, end_all = false;
    clo_span body = clo_span_of(data + used, size - used);
    uint64_t one = decode(body, 1, &bad_one, &end_one), all = decode(body, SIZE_MAX, &bad_all, &end_all);
    must(one == all && bad_one == bad_all && end_one == end_all);
    return 0;
}
