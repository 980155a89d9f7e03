#include "client/http_client.h"

#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/http_problem.h"
#include "os/file.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBLEM_MAX = 64 * 1024, TOKEN_MAX = 4096, URL_MAX = 512 };

struct clo_client_http {
    CURL *curl;
    char base[256];
    char pin[80];     /* empty: the machine's authorities decide */
    char pin_hex[65]; /* the pin as people are given it */
    char authorization[TOKEN_MAX + 32];
    char instance[80];
    char refusal[256];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void start_curl(void) { (void)curl_global_init(CURL_GLOBAL_DEFAULT); }

static clo_err client_new(clo_client_http **out, const char *base_url)
{
    (void)pthread_once(&once, start_curl);
    CLO_CHECKF(strncmp(base_url, "https://", 8) == 0 && strchr(base_url + 8, '/') == NULL && strlen(base_url) < 250,
               CLO_E_MALFORMED, "\"%.100s\" is no server address; write https://host:port", base_url);
    clo_client_http *c = calloc(1, sizeof *c);
    CLO_CHECK(c != NULL, CLO_E_NOMEM);
    (void)snprintf(c->base, sizeof c->base, "%s", base_url);
    c->curl = curl_easy_init();
    if (c->curl == NULL) {
        free(c);
        return CLO_FAIL(CLO_E_NOMEM);
    }
    *out = c;
    return CLO_OK;
}

CLO_R clo_client_http_new(clo_client_http **out, const char *base_url, const uint8_t *spki)
{
    CLO_CHECKF(spki != NULL, CLO_E_MISSING_FIELD, "the pin of %.100s is not known; give its SPKI SHA-256", base_url);
    clo_client_http *c = NULL;
    CLO_TRY(client_new(&c, base_url));
    CLO_AUTO(clo_buf_free) clo_buf pin;
    clo_buf_init(&pin, 100);
    const char *text = NULL;
    clo_err e = clo_base64_encode(&pin, clo_span_of(spki, 32));
    if (!clo_failed(e)) e = clo_buf_cstr(&pin, &text);
    if (clo_failed(e)) {
        clo_client_http_free(&c);
        return e;
    }
    (void)snprintf(c->pin, sizeof c->pin, "sha256//%s", text);
    clo_hex_encode(c->pin_hex, clo_span_of(spki, 32));
    *out = c;
    return CLO_OK;
}

CLO_R clo_client_http_new_public(clo_client_http **out, const char *base_url) { return client_new(out, base_url); }

void clo_client_http_free(clo_client_http **c)
{
    if (*c == NULL) return;
    if ((*c)->curl != NULL) curl_easy_cleanup((*c)->curl);
    clo_wipe((*c)->authorization, sizeof(*c)->authorization);
    free(*c);
    *c = NULL;
}

CLO_R clo_client_http_token(clo_client_http *c, const char *token)
{
    CLO_CHECK(token == NULL || strlen(token) < TOKEN_MAX, CLO_E_TOO_LARGE);
    c->authorization[0] = 0;
    if (token != NULL) (void)snprintf(c->authorization, sizeof c->authorization, "Authorization: Bearer %s", token);
    return CLO_OK;
}

const char *clo_client_http_refusal(const clo_client_http *c) { return c->refusal; }

const char *clo_client_http_header(const clo_client_http *c, const char *name)
{
    struct curl_header *header = NULL;
    return curl_easy_header(c->curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

uint64_t clo_client_http_retry_after(const clo_client_http *c)
{
    curl_off_t wait = 0;
    return curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0 ? (uint64_t)wait : 0;
}

const char *clo_client_http_instance(const clo_client_http *c) { return c->instance; }

/* One transfer: where bytes come from and go to, and the first error of our own on the way. */
typedef struct {
    const clo_client_http_request *request;
    clo_client_http *client;
    clo_buf *answer;
    clo_buf problem;
    uint64_t sent, size;
    clo_err err;
} transfer;

static bool succeeded(const transfer *t)
{
    long status = 0;
    (void)curl_easy_getinfo(t->client->curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static size_t take_bytes(char *from, size_t size, size_t count, void *context)
{
    transfer *t = context;
    clo_span piece = clo_span_of(from, size * count);
    if (!succeeded(t))
        t->err = clo_buf_put_span(&t->problem, piece);
    else if (t->request->sink != NULL)
        t->err = t->request->sink(t->request->context, piece);
    else if (t->answer != NULL)
        t->err = clo_buf_put_span(t->answer, piece);
    return clo_failed(t->err) ? 0 : piece.n;
}

static size_t give_bytes(char *to, size_t size, size_t count, void *context)
{
    transfer *t = context;
    uint64_t left = t->size - t->sent;
    size_t n = size * count < left ? size * count : (size_t)left;
    if (n == 0) return 0;
    if (t->request->upload_fd >= 0) {
        t->err = clo_os_file_pread(t->request->upload_fd, t->request->upload_offset + t->sent, to, n);
        if (clo_failed(t->err)) return CURL_READFUNC_ABORT;
    } else
        memcpy(to, t->request->body.p + t->sent, n);
    t->sent += n;
    return n;
}

static int rewind_bytes(void *context, curl_off_t offset, int origin)
{
    transfer *t = context;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->size) return CURL_SEEKFUNC_FAIL;
    t->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int note_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    transfer *t = context;
    bool upload = t->request->upload_fd >= 0;
    if (t->request->progress != NULL)
        t->request->progress(t->request->context, (uint64_t)(upload ? up : down), (uint64_t)(upload ? up_total : down_total));
    return 0;
}

static clo_err set_headers(clo_client_http *c, const clo_client_http_request *r, struct curl_slist **headers)
{
    char line[300];
    const char *lines[4] = {c->authorization[0] != 0 ? c->authorization : NULL, NULL, "Expect:", NULL};
    (void)snprintf(line, sizeof line, "Accept: %.200s", r->accept != NULL ? r->accept : "application/json");
    lines[1] = line;
    char type[300];
    if (r->content_type != NULL) {
        (void)snprintf(type, sizeof type, "Content-Type: %.200s", r->content_type);
        lines[3] = type;
    }
    for (size_t i = 0; i < 4; i++) {
        if (lines[i] == NULL) continue;
        struct curl_slist *longer = curl_slist_append(*headers, lines[i]);
        CLO_CHECK(longer != NULL, CLO_E_NOMEM);
        *headers = longer;
    }
    return CLO_OK;
}

static void set_trust(clo_client_http *c)
{
    bool pinned = c->pin[0] != 0;
    (void)curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, pinned ? (long)CURL_SSLVERSION_TLSv1_3 : (long)CURL_SSLVERSION_TLSv1_2);
    /* A pin is the whole trust: the leaf is self-signed and its key must be exactly this one. */
    (void)curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, pinned ? 0L : 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, pinned ? 0L : 2L);
    if (pinned) (void)curl_easy_setopt(c->curl, CURLOPT_PINNEDPUBLICKEY, c->pin);
}

static void set_options(clo_client_http *c, transfer *t, const char *url, struct curl_slist *headers)
{
    const clo_client_http_request *r = t->request;
    unsigned timeout = r->timeout_ms == 0 ? 60000 : r->timeout_ms;
    curl_easy_reset(c->curl); /* keeps the connection */
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    set_trust(c);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, timeout < 10000 ? (long)timeout : 10000L);
    /* A stream may be silent between events; an answer that trickles in byte by byte is none, and who named a time gets it kept. */
    bool streams = r->sink != NULL || r->upload_fd >= 0;
    (void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, streams || r->timeout_ms == 0 ? 0L : (long)r->timeout_ms);
    (void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, streams ? 1L : 1024L);
    (void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)(timeout / 1000 + 1));
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_bytes);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, note_progress);
    (void)curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, t);
    (void)curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, r->progress == NULL ? 1L : 0L);
    if (strcmp(r->method, "GET") == 0) return;
    t->size = r->upload_fd >= 0 ? r->upload_size : r->body.n;
    (void)curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, r->method);
    (void)curl_easy_setopt(c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->size);
    (void)curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, give_bytes);
    (void)curl_easy_setopt(c->curl, CURLOPT_READDATA, t);
    (void)curl_easy_setopt(c->curl, CURLOPT_SEEKFUNCTION, rewind_bytes);
    (void)curl_easy_setopt(c->curl, CURLOPT_SEEKDATA, t);
}

static clo_err explain_curl(const clo_client_http *c, CURLcode code)
{
    char actual[300];
    switch ((int)code) {
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        (void)snprintf(actual, sizeof actual, "another key at %s", c->base);
        return CLO_DENY(CLO_E_DENIED, "tls.pin", c->pin_hex, actual, c->base,
                        "somebody else answers at this address, or the server was set up anew: ask its operator for the pin");
    case CURLE_PEER_FAILED_VERIFICATION:
        return CLO_DENY(CLO_E_DENIED, "tls.certificate", "a certificate for this name from an authority that this machine trusts", curl_easy_strerror(code), c->base,
                        "see that the address is right and that this machine's authorities are up to date; a mirror is named with its pin");
    case CURLE_OPERATION_TIMEDOUT:
        return CLO_FAILF(CLO_E_TIMEOUT, "%s did not answer in time; try again", c->base);
    case CURLE_OUT_OF_MEMORY:
        return CLO_FAIL(CLO_E_NOMEM);
    default:
        return CLO_FAILF(CLO_E_UNREACHABLE, "%s cannot be reached (%s); see that the service runs and the address is right",
                         c->base, curl_easy_strerror(code));
    }
}

CLO_R clo_client_http_do(clo_client_http *c, const clo_client_http_request *request, clo_buf *answer, unsigned *status)
{
    char url[URL_MAX + 256];
    c->instance[0] = 0;
    if (status != NULL) *status = 0;
    CLO_CHECK(request->path[0] == '/' && strlen(request->path) < URL_MAX, CLO_E_MALFORMED);
    (void)snprintf(url, sizeof url, "%s%s", c->base, request->path);
    size_t answer_before = answer != NULL ? answer->len : 0;
    transfer t = {.request = request, .client = c, .answer = answer, .err = CLO_OK};
    clo_buf_init(&t.problem, PROBLEM_MAX);
    struct curl_slist *headers = NULL;
    clo_err e = set_headers(c, request, &headers);
    CURLcode code = CURLE_OK;
    if (!clo_failed(e)) {
        set_options(c, &t, url, headers);
        code = curl_easy_perform(c->curl);
    }
    long http = 0;
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &http);
    if (status != NULL) *status = (unsigned)http;
    (void)snprintf(c->refusal, sizeof c->refusal, "%.*s", (int)(t.problem.len < 255 ? t.problem.len : 255),
                   t.problem.len > 0 ? (const char *)t.problem.p : "");
    if (!clo_failed(e)) {
        /* Our own error explains more than curl's "write failed"; a problem document more than a reset behind it. */
        if (clo_failed(t.err))
            e = t.err;
        else if (http >= 300 && t.problem.len > 0)
            e = clo_client_problem_read(clo_buf_span(&t.problem), (unsigned)http, c->base, c->instance);
        else if (code != CURLE_OK)
            e = explain_curl(c, code);
        else if (!succeeded(&t))
            e = clo_client_problem_read(clo_buf_span(&t.problem), (unsigned)http, c->base, c->instance);
    }
    if (clo_failed(e) && answer != NULL) answer->len = answer_before;
    curl_slist_free_all(headers);
    clo_buf_free(&t.problem);
    return e;
}
