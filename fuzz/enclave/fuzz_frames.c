/* The host protocol: the first two bytes choose message and direction, the rest is a head and a body. */
#include <string.h>

#include "enclave/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(clo_arena *a, unsigned which, clo_span in)
{
    static clo_enclave_start start;
    static clo_enclave_evidence evidence;
    clo_enclave_fetch fetch;
    clo_enclave_tunnel tunnel;
    clo_enclave_progress progress;
    clo_enclave_output output;
    clo_enclave_finish finish;
    clo_enclave_prepared prepared;
    clo_enclave_failed failed;
    clo_enclave_host_error error;
    clo_err e = CLO_OK;
    switch (which % 12) {
    case 0: e = clo_enclave_start_decode(a, in, &start); break;
    case 1: e = clo_enclave_fetch_decode(a, in, &fetch); break;
    case 2: e = clo_enclave_tunnel_decode(a, CLO_ENCLAVE_TUNNEL_OPEN, in, &tunnel); break;
    case 3: e = clo_enclave_tunnel_decode(a, CLO_ENCLAVE_TUNNEL_EXCHANGE, in, &tunnel); break;
    case 4: e = clo_enclave_tunnel_decode(a, CLO_ENCLAVE_TUNNEL_CLOSE, in, &tunnel); break;
    case 5: e = clo_enclave_evidence_decode(a, in, &evidence); break;
    case 6: e = clo_enclave_progress_decode(a, in, &progress); break;
    case 7: e = clo_enclave_output_decode(a, in, &output); break;
    case 8: e = clo_enclave_finish_decode(a, in, &finish); break;
    case 9: e = clo_enclave_failed_decode(a, in, &failed); break;
    case 10: e = clo_enclave_prepared_decode(a, in, &prepared); break;
    default: e = clo_enclave_host_error_decode(a, in, &error); break;
    }
    (void)clo_err_name(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    clo_arena a;
    clo_arena_init(&a, 4u << 20);
    uint8_t head[CLO_ENCLAVE_FRAME_HEAD] = {0};
    uint16_t number = 0;
    uint32_t body = 0;
    memcpy(head, data + 2, size - 2 < sizeof head ? size - 2 : sizeof head);
    clo_err e = clo_enclave_frame_head_read(head, (data[1] & 1) != 0, &number, &body);
    if (!clo_failed(e) && clo_enclave_message_find(number) == NULL) __builtin_trap();
    decode(&a, data[0], clo_span_of(data + 2, size - 2));
    clo_arena_free(&a);
    return 0;
}
