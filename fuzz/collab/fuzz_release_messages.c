/* The messages of both release phases: whatever is accepted is its own encoding. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_span in = clo_span_of(data, size);
    CLO_AUTO(clo_buf_free) clo_buf again;
    clo_buf_init(&again, (size_t)1 << 24);
    clo_collab_release_request r;
    if (!clo_failed(clo_collab_release_request_decode(&a, in, &r))) {
        if (clo_failed(clo_collab_release_request_encode(&r, &again)) || !clo_span_equal(clo_buf_span(&again), in)) abort();
    }
    clo_collab_release_reply p;
    clo_buf_clear(&again);
    if (!clo_failed(clo_collab_release_reply_decode(&a, in, &p))) {
        if (clo_failed(clo_collab_release_reply_encode(&p, &again)) || !clo_span_equal(clo_buf_span(&again), in)) abort();
    }
    clo_collab_commit_request c;
    clo_buf_clear(&again);
    if (!clo_failed(clo_collab_commit_request_decode(&a, in, &c))) {
        if (clo_failed(clo_collab_commit_request_encode(&c, &again)) || !clo_span_equal(clo_buf_span(&again), in)) abort();
    }
    clo_collab_commit_reply y;
    clo_buf_clear(&again);
    if (!clo_failed(clo_collab_commit_reply_decode(&a, in, &y))) {
        if (clo_failed(clo_collab_commit_reply_encode(&y, &again)) || !clo_span_equal(clo_buf_span(&again), in)) abort();
    }
    return 0;
}
