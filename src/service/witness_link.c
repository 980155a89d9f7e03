#include "service/service_int.h"

enum { WITNESS_TIMEOUT_MS = 5000 };

static clo_err consistency(void *log, uint64_t old_size, uint64_t size, clo_wire_hash *path, size_t *count)
{
    return clo_audit_log_consistency(log, old_size, size, path, count);
}

clo_err clo_service_witness_ask(void *service, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines)
{
    clo_service *s = service;
    size_t answered = 0;
    const clo_client_witness_offer offer = {note, size, consistency, log, WITNESS_TIMEOUT_MS};
    for (size_t i = 0; i < s->config.witness_count; i++)
        if (!clo_failed(clo_client_witness_ask(&s->config.witnesses[i], &offer, lines))) answered++;
    return answered > 0 ? CLO_OK : CLO_FAILF(CLO_E_UNREACHABLE, "no witness answered");
}
