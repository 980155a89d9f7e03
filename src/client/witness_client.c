#include "client/witness_client.h"

#include "audit/witness.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/note.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TRIES = 3, BODY_MAX = 128 * 1024, ANSWER_MAX = 16 * 1024, NOTE_ARENA_MAX = 256 * 1024 };

CLO_R clo_client_witness_parse(const char *text, clo_client_witness *out)
{
    clo_client_witness w = {.size = 0};
    clo_wire_note_key key;
    const char *first = strchr(text, ','), *second = first == NULL ? NULL : strchr(first + 1, ',');
    CLO_CHECKF(second != NULL, CLO_E_USAGE, "--witness takes URL,SPKIHEX,VKEY as the witness printed them at its init");
    CLO_TRY(clo_str_set(w.url, sizeof w.url, clo_span_of(text, (size_t)(first - text))));
    CLO_TRY(clo_hex_decode(w.spki, 32, clo_span_of(first + 1, (size_t)(second - first - 1))));
    CLO_TRY(clo_str_set(w.vkey, sizeof w.vkey, clo_span_str(second + 1)));
    CLO_TRY(clo_wire_note_key_parse(w.vkey, &key));
    *out = w;
    return CLO_OK;
}

void clo_client_witness_close(clo_client_witness *w) { clo_client_http_free(&w->http); }

static clo_err post(clo_client_witness *w, const char *path, clo_span body, unsigned timeout_ms, clo_buf *answer, unsigned *status)
{
    if (w->http == NULL) CLO_TRY(clo_client_http_new(&w->http, w->url, w->spki));
    clo_client_http_request request = CLO_CLIENT_HTTP_REQUEST("POST", path);
    request.content_type = "text/plain";
    request.accept = "*/*";
    request.body = body;
    request.timeout_ms = timeout_ms;
    return clo_client_http_do(w->http, &request, answer, status);
}

static clo_err other_history(const clo_client_witness *w, uint64_t size)
{
    char expected[120], actual[120];
    if (w->size > size) {
        (void)snprintf(expected, sizeof expected, "at least the %" PRIu64 " entries that the witness has cosigned", w->size);
        (void)snprintf(actual, sizeof actual, "%" PRIu64 " entries", size);
    } else {
        (void)snprintf(expected, sizeof expected, "a log that begins with the %" PRIu64 " entries that the witness has cosigned", w->size);
        (void)snprintf(actual, sizeof actual, "%" PRIu64 " entries that begin otherwise", size);
    }
    return CLO_DENY(CLO_E_CONFLICT, "log.history", expected, actual, w->url, "this log was set back or altered: restore its newest copy");
}

/* Of what a witness answered, the lines that are its own cosignature of this note: any other line in a checkpoint could only spoil it. */
static clo_err keep_lines(const clo_client_witness *w, clo_span note, clo_span answer, clo_buf *lines)
{
    clo_wire_note_key key;
    size_t kept = lines->len;
    const uint8_t *end = note.n == 0 ? NULL : memmem(note.p, note.n, "\n\n", 2);
    CLO_TRY(clo_wire_note_key_parse(w->vkey, &key));
    CLO_CHECK(end != NULL, CLO_E_MALFORMED);
    for (clo_span rest = answer; rest.n > 0;) {
        const uint8_t *stop = memchr(rest.p, '\n', rest.n);
        if (stop == NULL) break;
        clo_span line = clo_span_of(rest.p, (size_t)(stop - rest.p) + 1);
        rest = clo_span_of(stop + 1, rest.n - line.n);
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf one;
        clo_arena_init(&a, NOTE_ARENA_MAX);
        clo_buf_init(&one, BODY_MAX);
        clo_wire_note signed_note;
        CLO_TRY(clo_buf_put(&one, note.p, (size_t)(end - note.p) + 2));
        CLO_TRY(clo_buf_put_span(&one, line));
        if (clo_failed(clo_wire_note_parse(&a, clo_buf_span(&one), &signed_note))) continue;
        if (!clo_failed(clo_wire_note_verify(&signed_note, &key, NULL))) CLO_TRY(clo_buf_put_span(lines, line));
    }
    CLO_CHECKF(lines->len > kept, CLO_E_BAD_SIGNATURE, "the witness %s answered without its signature", w->url);
    return CLO_OK;
}

/* One question from the size that the witness is believed to have; *status 409: w->size is what it has. */
static clo_err offer_once(clo_client_witness *w, const clo_client_witness_offer *o, clo_buf *lines, unsigned *status)
{
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    CLO_AUTO(clo_buf_free) clo_buf body, answer;
    clo_buf_init(&body, BODY_MAX);
    clo_buf_init(&answer, ANSWER_MAX);
    *status = 0;
    if (w->size > o->size) return other_history(w, o->size);
    if (w->size > 0 && w->size < o->size) CLO_TRY(o->consistency(o->context, w->size, o->size, path, &count));
    CLO_TRY(clo_audit_witness_request(w->size, path, count, o->note, &body));
    clo_err e = post(w, "/add-checkpoint", clo_buf_span(&body), o->timeout_ms, &answer, status);
    if (!clo_failed(e)) {
        w->size = o->size;
        return keep_lines(w, o->note, clo_buf_span(&answer), lines);
    }
    if (*status == 422) return other_history(w, o->size);
    if (*status == 404) return CLO_FAILF(CLO_E_NOT_FOUND, "the witness %s does not know this log; its operator adds it with --log", w->url);
    const char *theirs = clo_client_http_refusal(w->http); /* C2SP tlog-witness: the size it has, and a newline */
    if (*status == 409 && clo_failed(clo_u64_parse(&w->size, clo_span_of(theirs, strcspn(theirs, "\n"))))) *status = 0;
    return e;
}

CLO_R clo_client_witness_ask(clo_client_witness *w, const clo_client_witness_offer *offer, clo_buf *lines)
{
    clo_err e = CLO_OK;
    unsigned status = 409;
    for (int i = 0; i < TRIES && status == 409; i++) e = offer_once(w, offer, lines, &status);
    return e;
}

CLO_R clo_client_witness_introduce(clo_client_witness *w, const char *log_vkey, unsigned timeout_ms)
{
    char line[600];
    (void)snprintf(line, sizeof line, "%s\n", log_vkey);
    return post(w, "/logs", clo_span_str(line), timeout_ms, NULL, NULL);
}
