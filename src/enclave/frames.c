/* The table of messages and the head of a frame. */
#include "enclave/frames.h"

#include "base/clo_rd.h"

enum { SLACK = 4096, SMALL = 2048 }; /* room for the CBOR around a body's large member */

const clo_enclave_message clo_enclave_messages[] = {
    {CLO_ENCLAVE_START, "START", true, CLO_ENCLAVE_START_MAX, 0},
    {CLO_ENCLAVE_FETCH, "FETCH", false, SMALL, CLO_ENCLAVE_FETCH_MAX},
    {CLO_ENCLAVE_TUNNEL_OPEN, "TUNNEL_OPEN", false, SMALL, 0},
    {CLO_ENCLAVE_TUNNEL_EXCHANGE, "TUNNEL_EXCHANGE", false, CLO_ENCLAVE_TUNNEL_MAX + SLACK, CLO_ENCLAVE_TUNNEL_MAX},
    {CLO_ENCLAVE_TUNNEL_CLOSE, "TUNNEL_CLOSE", false, SMALL, 0},
    {CLO_ENCLAVE_EVIDENCE, "EVIDENCE", false, CLO_EVIDENCE_MAX + CLO_CONFIGURATION_MAX + SLACK, 0},
    {CLO_ENCLAVE_PROGRESS, "PROGRESS", false, SMALL, 0},
    {CLO_ENCLAVE_OUTPUT, "OUTPUT", false, CLO_ENCLAVE_OUTPUT_PIECE + SLACK, 0},
    {CLO_ENCLAVE_FINISH, "FINISH", false, CLO_PARTIES_MAX * CLO_ENCLAVE_COMMIT_MAX + 64 * 1024, 0},
    {CLO_ENCLAVE_FAILED, "FAILED", false, SLACK, 0},
    {CLO_ENCLAVE_PREPARED, "PREPARED", false, CLO_PARTIES_MAX * CLO_ENCLAVE_COMMIT_MAX + 64 * 1024, 0},
    {CLO_ENCLAVE_CANCEL, "CANCEL", true, 0, 0},
    {CLO_ENCLAVE_ERROR, "ERROR", true, 0, SMALL},
};
const size_t clo_enclave_message_count = sizeof clo_enclave_messages / sizeof clo_enclave_messages[0];

const clo_enclave_message *clo_enclave_message_find(uint16_t number)
{
    for (size_t i = 0; i < clo_enclave_message_count; i++)
        if (clo_enclave_messages[i].number == number) return &clo_enclave_messages[i];
    return NULL;
}

void clo_enclave_frame_head(uint8_t out[CLO_ENCLAVE_FRAME_HEAD], uint16_t number, uint32_t body_size)
{
    for (unsigned i = 0; i < 4; i++) out[i] = (uint8_t)(body_size >> (24 - 8 * i));
    out[4] = (uint8_t)(number >> 8);
    out[5] = (uint8_t)number;
    out[6] = 0;
    out[7] = 0;
}

clo_err clo_enclave_frame_head_read(const uint8_t in[CLO_ENCLAVE_FRAME_HEAD], bool reply, uint16_t *number, uint32_t *body_size)
{
    clo_rd r = clo_rd_init(clo_span_of(in, CLO_ENCLAVE_FRAME_HEAD));
    uint32_t size = clo_rd_u32be(&r);
    uint16_t n = clo_rd_u16be(&r);
    uint16_t zero = clo_rd_u16be(&r);
    CLO_TRY(clo_rd_end(&r));
    const clo_enclave_message *m = clo_enclave_message_find(n);
    CLO_CHECKF(m != NULL, CLO_E_MALFORMED, "frame of unknown message %u; both sides must speak the same version of the protocol", (unsigned)n);
    CLO_CHECKF(zero == 0, CLO_E_MALFORMED, "the two bytes after the message number of %s must be zero", m->name);
    uint32_t max = reply ? m->reply_max : m->request_max;
    CLO_CHECKF(size <= max, CLO_E_TOO_LARGE, "a %s of %s announces %u bytes; at most %u are allowed", reply ? "reply" : "request", m->name,
               (unsigned)size, (unsigned)max);
    *number = n;
    *body_size = size;
    return CLO_OK;
}

const char *clo_enclave_phase_name(clo_enclave_phase phase)
{
    static const char *const names[CLO_ENCLAVE_PHASE_COUNT] = {"starting", "attesting", "releasing", "reading", "computing", "committing"};
    return (unsigned)phase < CLO_ENCLAVE_PHASE_COUNT ? names[phase] : "unknown";
}
