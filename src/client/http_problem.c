#include "client/http_problem.h"

#include "base/clo_own.h"
#include "wire/json.h"

#include <stdio.h>
#include <string.h>

static const char *member(const clo_wire_node *map, const char *key)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    return n != NULL && n->type == CLO_WIRE_TEXT ? (const char *)n->text.p : NULL;
}

static void copy(char *to, size_t size, const char *from) { (void)snprintf(to, size, "%s", from == NULL ? "" : from); }

void clo_client_denial_read(const clo_wire_node *map, clo_denial *out)
{
    memset(out, 0, sizeof *out);
    copy(out->claim, sizeof out->claim, member(map, "claim"));
    copy(out->expected, sizeof out->expected, member(map, "expected"));
    copy(out->actual, sizeof out->actual, member(map, "actual"));
    copy(out->source, sizeof out->source, member(map, "source"));
    copy(out->remedy, sizeof out->remedy, member(map, "remedy"));
}

static uint32_t code_of_status(unsigned status)
{
    switch (status) {
    case 401:
        return CLO_E_UNAUTHENTICATED;
    case 404:
        return CLO_E_NOT_FOUND;
    case 409:
        return CLO_E_CONFLICT;
    case 413:
        return CLO_E_TOO_LARGE;
    case 429:
        return CLO_E_TOO_MANY;
    case 503:
        return CLO_E_AGAIN;
    default:
        return status >= 500 ? CLO_E_UNREACHABLE : status == 403 ? CLO_E_DENIED : CLO_E_MALFORMED;
    }
}

clo_err clo_client_problem_read(clo_span body, unsigned status, const char *from, char instance[80])
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_wire_node *map = NULL;
    instance[0] = 0;
    if (body.n == 0 || clo_failed(clo_wire_json_decode(&a, body, &map)) || map->type != CLO_WIRE_MAP)
        return CLO_FAILF(code_of_status(status), "%s answered with status %u and no explanation", from, status);
    const char *id = member(map, "instance"), *name = member(map, "code"), *detail = member(map, "detail"),
               *claim = member(map, "claim");
    const char *tail = id == NULL ? NULL : strrchr(id, ':');
    copy(instance, 80, tail == NULL ? id : tail + 1);
    uint32_t code = name == NULL ? 0 : clo_err_code_named(name);
    /* A server's failure is not ours: the caller must see it as the other side's. */
    if (code == 0 || code >> 24 == CLO_CLASS_BUG || code >> 24 == CLO_CLASS_ENV) code = code_of_status(status);
    if (claim == NULL) return clo_err_again(code, detail != NULL ? detail : member(map, "title"));
    clo_denial d;
    clo_client_denial_read(map, &d);
    return clo_deny_again(code, &d);
}
