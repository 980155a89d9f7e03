/* Log proofs: parsed, written again, and verified against a policy that accepts nothing. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char vkey[] = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, (size_t)1 << 24);
    clo_wire_log_policy policy = {.quorum = 0};
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    uint64_t index = 0;
    clo_span note = {0}, in = clo_span_of(data, size);
    if (clo_failed(clo_wire_note_key_parse(vkey, &policy.log))) abort();
    (void)clo_failed(clo_wire_tlog_proof_verify(in, in, &policy, NULL, NULL, NULL));
    if (clo_failed(clo_wire_tlog_proof_parse(in, &index, path, &count, &note))) return 0;
    if (clo_failed(clo_wire_tlog_proof_write(index, path, count, note, &out))) abort();
    if (out.len > in.n) abort(); /* only extra data is dropped */
    return 0;
}
