#include "service/service_int.h"

#include "audit/witness.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/http_client.h"

#include <string.h>

enum { WITNESS_TIMEOUT_MS = 5000, TRIES = 3 };

/* One witness: offer the consistency from the size it last had; a 409 tells the size it has. */
static clo_err ask_one(clo_service_witness *w, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines)
{
    clo_client_http *http = NULL;
    CLO_TRY(clo_client_http_new(&http, w->url, w->spki));
    clo_err e = CLO_OK;
    for (int i = 0; i < TRIES; i++) {
        clo_wire_hash path[CLO_MERKLE_PATH_MAX];
        size_t count = 0;
        CLO_AUTO(clo_buf_free) clo_buf body, answer;
        clo_buf_init(&body, 128 * 1024);
        clo_buf_init(&answer, 16 * 1024);
        e = w->size > size ? CLO_FAILF(CLO_E_CONFLICT, "the witness %s knows a longer log: this one was rolled back", w->url) : CLO_OK;
        if (!clo_failed(e) && w->size > 0 && w->size < size) e = clo_audit_log_consistency(log, w->size, size, path, &count);
        if (!clo_failed(e)) e = clo_audit_witness_request(w->size, path, count, note, &body);
        if (clo_failed(e)) break;
        clo_client_http_request request = CLO_CLIENT_HTTP_REQUEST("POST", "/add-checkpoint");
        request.content_type = "text/plain";
        request.accept = "*/*";
        request.body = clo_buf_span(&body);
        request.timeout_ms = WITNESS_TIMEOUT_MS;
        unsigned status = 0;
        e = clo_client_http_do(http, &request, &answer, &status);
        if (!clo_failed(e)) {
            w->size = size;
            e = clo_buf_put_span(lines, clo_buf_span(&answer));
            break;
        }
        if (status != 409) break;
        const char *theirs = clo_client_http_refusal(http); /* C2SP tlog-witness: the size it has, and a newline */
        if (clo_failed(clo_u64_parse(&w->size, clo_span_of(theirs, strcspn(theirs, "\n"))))) break;
    }
    clo_client_http_free(&http);
    return e;
}

clo_err clo_service_witness_ask(void *service, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines)
{
    clo_service *s = service;
    size_t answered = 0;
    for (size_t i = 0; i < s->config.witness_count; i++)
        if (!clo_failed(ask_one(&s->config.witnesses[i], log, note, size, lines))) answered++;
    return answered > 0 ? CLO_OK : CLO_FAILF(CLO_E_UNREACHABLE, "no witness answered");
}
