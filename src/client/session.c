#include "client/session.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "os/clock.h"
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_SECONDS = 300, TOKEN_RENEW_SECONDS = 120, ANSWER_MAX = 64 << 20, PAGES_MAX = 1000 };

struct clo_client_session {
    clo_client_http *http;
    clo_client_server server;
    bool named, registered;
    clo_collab_identity who;
    uint64_t token_made_ns;
    bool have_token;
};

clo_err clo_client_session_open(clo_client_session **out, const clo_client_server *server, const clo_collab_identity *who)
{
    CLO_CHECKF(server->known, CLO_E_MISSING_FIELD,
               "the server is not known; run: cloister init --operator FILE, or give --server URL --pin HEX");
    clo_client_session *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    s->server = *server;
    if (who != NULL) {
        s->named = true;
        s->who = *who;
    }
    clo_err e = clo_client_http_new(&s->http, server->url, server->spki);
    if (clo_failed(e)) {
        clo_client_session_free(&s);
        return e;
    }
    *out = s;
    return CLO_OK;
}

void clo_client_session_free(clo_client_session **s)
{
    if (*s == NULL) return;
    clo_client_http_free(&(*s)->http);
    clo_collab_identity_wipe(&(*s)->who);
    free(*s);
    *s = NULL;
}

const char *clo_client_session_instance(const clo_client_session *s) { return clo_client_http_instance(s->http); }
const char *clo_client_session_url(const clo_client_session *s) { return s->server.url; }

static clo_err refresh_token(clo_client_session *s)
{
    if (!s->named) return CLO_OK;
    uint64_t now = clo_os_now_ns();
    if (s->have_token && now - s->token_made_ns < (uint64_t)TOKEN_RENEW_SECONDS * 1000000000u) return CLO_OK;
    char audience[65];
    clo_hex_encode(audience, clo_span_of(s->server.spki, 32));
    CLO_AUTO(clo_buf_free) clo_buf token;
    clo_buf_init(&token, 4096);
    const char *text = NULL;
    CLO_TRY(clo_collab_token_make(&s->who, audience, clo_os_clock_wall(clo_os_clock_system()), TOKEN_SECONDS, &token));
    CLO_TRY(clo_buf_cstr(&token, &text));
    CLO_TRY(clo_client_http_token(s->http, text));
    s->have_token = true;
    s->token_made_ns = now;
    return CLO_OK;
}

static clo_err register_party(clo_client_session *s)
{
    CLO_AUTO(clo_buf_free) clo_buf party;
    clo_buf_init(&party, 65536);
    CLO_TRY(clo_collab_party_encode(&s->who, &party));
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("POST", "/api/v1/parties");
    r.content_type = "application/octet-stream";
    r.body = clo_buf_span(&party);
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, 65536);
    return clo_client_http_do(s->http, &r, &answer, NULL);
}

clo_err clo_client_session_do(clo_client_session *s, const clo_client_http_request *request, clo_buf *answer, unsigned *status)
{
    CLO_TRY(refresh_token(s));
    clo_err e = clo_client_http_do(s->http, request, answer, status);
    if (e.code != CLO_E_UNAUTHENTICATED || !s->named || s->registered || strncmp(request->path, "/api/v1/", 8) != 0) return e;
    s->registered = true;
    CLO_TRY(register_party(s));
    return clo_client_http_do(s->http, request, answer, status);
}

static void flatten(clo_wire_node *n)
{
    for (; n != NULL; n = n->next) {
        char *text = n->type == CLO_WIRE_TEXT ? (char *)(uintptr_t)n->text.p : NULL; /* lies in the arena */
        for (size_t i = 0; text != NULL && i < n->text.n; i++)
            if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) text[i] = ' ';
        flatten(n->first);
    }
}

clo_err clo_client_session_json(clo_client_session *s, clo_arena *a, const char *method, const char *path, const char *type,
                                clo_span body, clo_wire_node **out)
{
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, ANSWER_MAX);
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST(method, path);
    r.content_type = type;
    r.body = body;
    CLO_TRY(clo_client_session_do(s, &r, &answer, NULL));
    clo_err e = clo_wire_json_decode(a, clo_buf_span(&answer), out);
    if (clo_failed(e)) return clo_err_prefix(e, s->server.url);
    flatten(*out);
    return CLO_OK;
}

static clo_err take_page(const clo_wire_node *page, const char *key, clo_wire_node *all)
{
    const clo_wire_node *list = page->type == CLO_WIRE_MAP ? clo_wire_get(page, key) : NULL;
    CLO_CHECKF(list != NULL && list->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "the server's answer has no list \"%s\"", key);
    for (clo_wire_node *n = list->first, *next = NULL; n != NULL; n = next) {
        next = n->next;
        n->next = NULL;
        CLO_TRY(clo_wire_append(all, n));
    }
    return CLO_OK;
}

clo_err clo_client_session_list(clo_client_session *s, clo_arena *a, const char *path, const char *key, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *all = NULL, *end = NULL;
    char page_path[400], cursor[32] = "";
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_array(a, &all));
    for (unsigned pages = 0;; pages++) {
        clo_wire_node *page = NULL;
        CLO_CHECKF(pages < PAGES_MAX, CLO_E_TOO_MANY, "%s has more than %d pages of %s", s->server.url, PAGES_MAX, key);
        int n = snprintf(page_path, sizeof page_path, "%s%climit=200%s%s", path, strchr(path, '?') != NULL ? '&' : '?',
                         cursor[0] != 0 ? "&cursor=" : "", cursor);
        CLO_CHECK(n > 0 && (size_t)n < sizeof page_path, CLO_E_TOO_LARGE);
        CLO_TRY(clo_client_session_json(s, a, "GET", page_path, NULL, clo_span_of(NULL, 0), &page));
        CLO_TRY(take_page(page, key, all));
        const char *next = clo_client_text(page, "next");
        if (next == NULL) break;
        CLO_CHECKF(next[0] != 0 && strlen(next) < sizeof cursor && strspn(next, "0123456789") == strlen(next), CLO_E_MALFORMED,
                   "the server's answer has no usable \"next\"");
        (void)snprintf(cursor, sizeof cursor, "%s", next);
    }
    CLO_TRY(clo_wire_set(a, map, key, all));
    CLO_TRY(clo_wire_null(a, &end));
    CLO_TRY(clo_wire_set(a, map, "next", end));
    *out = map;
    return CLO_OK;
}

clo_err clo_client_session_get(clo_client_session *s, clo_arena *a, const char *path, size_t max, clo_span *out)
{
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, max);
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("GET", path);
    r.accept = "*/*";
    CLO_TRY(clo_client_session_do(s, &r, &answer, NULL));
    return clo_arena_copy(a, clo_buf_span(&answer), out);
}
