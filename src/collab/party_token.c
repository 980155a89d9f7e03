/* Short-lived access tokens, signed with the party's key. */
#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/collab_int.h"
#include "crypto/hash.h"

enum { TOKEN_SECONDS_MAX = 300, TOKEN_SKEW = 30, TOKEN_TEXT_MAX = 2048, AUDIENCE_MAX = 128 };

typedef struct {
    char party[64];
    uint8_t kid[32];
    char audience[AUDIENCE_MAX];
    int64_t issued, expires;
    uint8_t nonce[16];
} token;

static clo_err token_tree(clo_arena *a, const token *t, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_TOKEN, &map));
    CLO_TRY(clo_wire_set_text(a, map, "party", t->party));
    CLO_TRY(clo_collab_set_fixed(a, map, "kid", t->kid, sizeof t->kid));
    CLO_TRY(clo_wire_set_text(a, map, "audience", t->audience));
    CLO_TRY(clo_wire_set_int(a, map, "issued", t->issued));
    CLO_TRY(clo_wire_set_int(a, map, "expires", t->expires));
    CLO_TRY(clo_collab_set_fixed(a, map, "nonce", t->nonce, sizeof t->nonce));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_token_make(const clo_collab_identity *i, const char *audience, int64_t now, int64_t lifetime_s, clo_buf *text)
{
    CLO_CHECKF(lifetime_s >= 1 && lifetime_s <= TOKEN_SECONDS_MAX, CLO_E_RANGE, "a token lives 1 to %d seconds",
               TOKEN_SECONDS_MAX);
    CLO_CHECKF(now >= 0 && now <= INT64_MAX - TOKEN_SECONDS_MAX, CLO_E_RANGE, "the clock is out of range");
    token t;
    memset(&t, 0, sizeof t);
    memcpy(t.party, i->public_half.name, sizeof t.party);
    CLO_TRY(clo_collab_party_kid(&i->public_half, t.kid));
    CLO_TRY(clo_str_set(t.audience, sizeof t.audience, clo_span_str(audience)));
    t.issued = now;
    t.expires = now + lifetime_s;
    CLO_TRY(clo_crypto_random(t.nonce, sizeof t.nonce));
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(token_tree(&a, &t, &map));
    CLO_AUTO(clo_buf_free) clo_buf cose;
    clo_buf_init(&cose, TOKEN_TEXT_MAX);
    CLO_TRY(clo_collab_map_sign(map, &i->sign, CLO_TYPE_TOKEN, &cose));
    return clo_base64url_encode(text, clo_buf_span(&cose));
}

static clo_err token_parse(clo_arena *a, clo_span text, token *out, clo_wire_cose **cose)
{
    CLO_CHECKF(text.n <= TOKEN_TEXT_MAX, CLO_E_TOO_LARGE, "the token is longer than %d bytes", TOKEN_TEXT_MAX);
    CLO_AUTO(clo_buf_free) clo_buf raw;
    clo_buf_init(&raw, TOKEN_TEXT_MAX);
    CLO_TRY(clo_base64url_decode(&raw, text));
    clo_span kept;
    CLO_TRY(clo_arena_copy(a, clo_buf_span(&raw), &kept));
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_open(a, kept, CLO_TYPE_TOKEN, "the token", cose, &map));
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "token");
    memset(out, 0, sizeof *out);
    clo_collab_take_format(&f, CLO_FORMAT_TOKEN);
    clo_wire_take_name(&f, "party", out->party);
    clo_wire_take_fixed(&f, "kid", out->kid, sizeof out->kid);
    clo_wire_take_str(&f, "audience", out->audience, sizeof out->audience);
    clo_wire_take_int(&f, "issued", &out->issued, 0, INT64_MAX / 2);
    clo_wire_take_int(&f, "expires", &out->expires, 0, INT64_MAX / 2);
    clo_wire_take_fixed(&f, "nonce", out->nonce, sizeof out->nonce);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(clo_span_equal((*cose)->signatures[0].kid, clo_span_of(out->kid, sizeof out->kid)), CLO_E_MALFORMED,
               "the token names another key than its signature");
    clo_wire_node *again = NULL;
    CLO_TRY(token_tree(a, out, &again));
    return clo_collab_require_canonical(again, (*cose)->payload, "the token");
}

/* Whatever is wrong with a token, its bearer is nobody. */
static clo_err nobody(clo_err e)
{
    if (!clo_failed(e) || clo_err_class(e) == CLO_CLASS_ENV || clo_err_class(e) == CLO_CLASS_BUG) return e;
    char text[320];
    (void)snprintf(text, sizeof text, "%s", clo_err_text());
    return CLO_FAILF(CLO_E_UNAUTHENTICATED, "the access token was refused: %.280s", text);
}

clo_err clo_collab_token_peek(clo_span text, char party[64], uint8_t kid[32])
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    token t;
    clo_wire_cose *cose = NULL;
    CLO_TRY(nobody(token_parse(&a, text, &t, &cose)));
    memcpy(party, t.party, sizeof t.party);
    memcpy(kid, t.kid, sizeof t.kid);
    return CLO_OK;
}

static clo_err token_check(clo_span text, const clo_collab_party *p, const char *audience, int64_t now)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    token t;
    clo_wire_cose *cose = NULL;
    CLO_TRY(token_parse(&a, text, &t, &cose));
    CLO_TRY(clo_collab_map_verify(cose, &p->sign, "the token"));
    CLO_CHECKF(strcmp(t.party, p->name) == 0, CLO_E_DENIED, "it names the party %s, but its key is of %s", t.party, p->name);
    CLO_CHECKF(strcmp(t.audience, audience) == 0, CLO_E_DENIED, "it was made for %s, not for %s; ask for a token for this server",
               t.audience, audience);
    CLO_CHECKF(t.expires > t.issued && t.expires - t.issued <= TOKEN_SECONDS_MAX, CLO_E_DENIED,
               "its lifetime is longer than %d seconds", TOKEN_SECONDS_MAX);
    CLO_CHECKF(now >= 0 && now <= INT64_MAX - TOKEN_SKEW, CLO_E_RANGE, "the server's clock is out of range");
    CLO_CHECKF(t.issued <= now + TOKEN_SKEW, CLO_E_EXPIRED, "it is not valid yet; set the clocks of both machines");
    CLO_CHECKF(now < t.expires + TOKEN_SKEW, CLO_E_EXPIRED, "it has expired; make a new one");
    return CLO_OK;
}

clo_err clo_collab_token_verify(clo_span text, const clo_collab_party *p, const char *audience, int64_t now)
{
    return nobody(token_check(text, p, audience, now));
}
