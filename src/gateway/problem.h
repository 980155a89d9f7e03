/* Failures as RFC 9457 problem details; the one place where classes become HTTP statuses. */
#ifndef CLO_GATEWAY_PROBLEM_H
#define CLO_GATEWAY_PROBLEM_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#ifdef __cplusplus
extern "C" {
#endif

/* HTTP status of a failure:
 *   INPUT 400 · UNAUTHENTICATED 401 · NOT_FOUND 404 · EXISTS, CONFLICT 409 · other DENIED 403 · TOO_LARGE 413 · TOO_MANY 429 ·
 *   AGAIN 503 · ENV 500 · BUG 500. */
unsigned clo_gateway_problem_status(clo_err e);
/** The reason phrase of a status. */
const char *clo_gateway_status_text(unsigned status);

/** Append {"type","title","status","detail","instance","code"} and, where denial is not NULL, claim, expected, actual, source, remedy.
 *  type = "https://cloister.dev/problems/NAME" with the code's name. detail = text; internal failures (ENV, BUG) show the
 *  code's name only, the sentence goes to the log. instance = request id as "urn:request:ID"; may be NULL. */
CLO_R clo_gateway_problem_write(clo_buf *out, unsigned status, clo_err e, const char *text, const clo_denial *denial, const char *request_id);

#ifdef __cplusplus
}
#endif
#endif
