/* A party's session with one server (operator or key service): pinned HTTPS, tokens made when needed. */
#ifndef CLO_CLIENT_SESSION_H
#define CLO_CLIENT_SESSION_H
#include "client/home.h"
#include "client/http_client.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_client_session clo_client_session;

/** who: copied, wiped by free; NULL = anonymous. Given to the caller. Errors: MISSING_FIELD where the server is not known. */
CLO_R clo_client_session_open(clo_client_session **out, const clo_client_server *server, const clo_collab_identity *who);
void clo_client_session_free(clo_client_session **s);

/** One request with a fresh enough token. Where an operator does not know the party yet, it is registered and the request made
 * again. */
CLO_R clo_client_session_do(clo_client_session *s, const clo_client_http_request *request, clo_buf *answer, unsigned *status);
/** A request whose answer is JSON, read into the arena. body: with its content type; n = 0 = none. Every text in it is one line: control
 * characters of a server become blanks. */
CLO_R clo_client_session_json(clo_client_session *s, clo_arena *a, const char *method, const char *path, const char *type,
                              clo_span body, clo_wire_node **out);
/** GET a list with all its pages: {key: array, "next": null}. path: may have a query. Errors also: TOO_MANY (1,000 pages). */
CLO_R clo_client_session_list(clo_client_session *s, clo_arena *a, const char *path, const char *key, clo_wire_node **out);
/** A request whose answer is bytes, copied into the arena. */
CLO_R clo_client_session_get(clo_client_session *s, clo_arena *a, const char *path, size_t max, clo_span *out);
/** The id under which the server can explain the last failure, or "". */
const char *clo_client_session_instance(const clo_client_session *s);
const char *clo_client_session_url(const clo_client_session *s);

#ifdef __cplusplus
}
#endif
#endif
