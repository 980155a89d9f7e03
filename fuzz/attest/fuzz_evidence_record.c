/* Any bytes as an evidence record and as a composite: what is read is written again to the same bytes, and a composite is never valid. */
#include "attest/evidence_record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_record record;
    static clo_attest_result result;
    static clo_attest_policy p;
    clo_arena a;
    clo_buf out;
    clo_arena_init(&a, 1 << 23);
    clo_buf_init(&out, 1 << 21);
    clo_span in = clo_span_of(data, size);
    clo_attest_record *parts = NULL;
    size_t count = 0;
    if (!clo_failed(clo_attest_record_decode(&a, in, &record))) {
        if (clo_failed(clo_attest_record_encode(&record, &out)) || !clo_span_equal(clo_buf_span(&out), in)) abort();
    }
    if (!clo_failed(clo_attest_composite_decode(&a, in, &parts, &count))) {
        if (clo_failed(clo_attest_composite_encode(parts, count, &out)) || !clo_span_equal(clo_buf_span(&out), in)) abort();
    }
    clo_attest_policy_init_open(&p);
    p.expected_nonce = clo_span_str("nonce");
    clo_attest_part part = {"report", in};
    if (clo_failed(clo_attest_verify(&a, "composite", &part, 1, NULL, 0, &p, 1800000000, &result)) || result.valid) abort();
    clo_buf_free(&out);
    clo_arena_free(&a);
    return 0;
}
