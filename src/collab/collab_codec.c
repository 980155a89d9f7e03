/* Signed maps and canonical form. */
#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/collab_int.h"
#include "wire/cbor.h"

clo_err clo_collab_map_new(clo_arena *a, const char *format, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "format", format));
    *out = map;
    return CLO_OK;
}

void clo_collab_take_format(clo_wire_fields *f, const char *format)
{
    char found[64];
    clo_wire_take_str(f, "format", found, sizeof found);
    if (clo_failed(f->err) || strcmp(found, format) == 0) return;
    char sentence[128];
    (void)snprintf(sentence, sizeof sentence, "must be \"%s\", but is \"%.40s\"; use a program of the matching version", format,
                   found);
    clo_wire_fields_fail(f, CLO_E_VERSION, "format", sentence);
}

clo_err clo_collab_map_sign(const clo_wire_node *map, const clo_crypto_private_key *sk, const char *content_type, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf payload;
    clo_buf_init(&payload, CLO_COLLAB_OBJECT_MAX);
    CLO_TRY(clo_wire_cbor_encode(map, &payload));
    clo_crypto_public_key pk;
    CLO_TRY(clo_crypto_sign_public_of(sk, &pk));
    uint8_t kid[32];
    CLO_TRY(clo_wire_cose_kid(&pk, kid));
    clo_wire_cose_signer signer = {.sk = sk, .kid = clo_span_of(kid, sizeof kid)};
    return clo_wire_cose_sign1(out, &signer, content_type, clo_span_of(NULL, 0), clo_buf_span(&payload));
}

clo_err clo_collab_map_decode(clo_arena *a, clo_span in, size_t items_max, const char *what, clo_wire_node **out)
{
    CLO_CHECKF(in.n <= CLO_COLLAB_FILE_MAX, CLO_E_TOO_LARGE, "%s has %zu bytes; at most %d are allowed", what, in.n,
               CLO_COLLAB_FILE_MAX);
    clo_wire_node *map = NULL;
    const clo_wire_cbor_limits limits = {.items_max = items_max};
    clo_err e = clo_wire_cbor_decode(a, in, &limits, &map);
    if (clo_failed(e)) return clo_err_prefix(e, what);
    CLO_CHECKF(map->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "%s is not a map; fetch it again", what);
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_map_open(clo_arena *a, clo_span in, const char *content_type, const char *what, clo_wire_cose **cose,
                            clo_wire_node **map)
{
    CLO_CHECKF(in.n <= CLO_COLLAB_OBJECT_MAX, CLO_E_TOO_LARGE, "%s has %zu bytes; at most %d are allowed", what, in.n,
               CLO_COLLAB_OBJECT_MAX);
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_wire_cose), &p));
    clo_wire_cose *c = p;
    clo_err e = clo_wire_cose_parse(a, in, false, c);
    if (clo_failed(e)) return clo_err_prefix(e, what);
    CLO_CHECKF(c->is_sign1 && c->tagged && c->signature_count == 1, CLO_E_MALFORMED,
               "%s is not a tagged COSE_Sign1; fetch it again", what);
    CLO_CHECKF(clo_span_equal(c->content_type, clo_span_str(content_type)), CLO_E_MALFORMED,
               "%s has the content type \"%.*s\", not \"%s\"", what, (int)(c->content_type.n < 80 ? c->content_type.n : 80),
               c->content_type.n != 0 ? (const char *)c->content_type.p : "", content_type);
    CLO_CHECKF(c->unprotected == NULL || c->unprotected->count == 0, CLO_E_NOT_CANONICAL, "%s has headers outside its signature",
               what);
    clo_wire_node *m = NULL;
    CLO_TRY(clo_collab_map_decode(a, c->payload, CLO_COLLAB_ITEMS_MAX, what, &m));
    *cose = c;
    *map = m;
    return CLO_OK;
}

clo_err clo_collab_map_verify(const clo_wire_cose *cose, const clo_crypto_public_key *pk, const char *what)
{
    uint8_t kid[32];
    CLO_TRY(clo_wire_cose_kid(pk, kid));
    if (!clo_span_equal(cose->signatures[0].kid, clo_span_of(kid, sizeof kid)))
        return CLO_FAILF(CLO_E_BAD_SIGNATURE, "%s is signed by another key than the one expected; check who made it", what);
    clo_err e = clo_wire_cose_verify(cose, 0, pk, clo_span_of(NULL, 0));
    return clo_failed(e) ? clo_err_prefix(e, what) : CLO_OK;
}

clo_err clo_collab_require_canonical(const clo_wire_node *tree, clo_span bytes, const char *what)
{
    CLO_AUTO(clo_buf_free) clo_buf again;
    clo_buf_init(&again, CLO_COLLAB_FILE_MAX);
    CLO_TRY(clo_wire_cbor_encode(tree, &again));
    CLO_CHECKF(clo_span_equal(clo_buf_span(&again), bytes), CLO_E_NOT_CANONICAL,
               "%s is not in the one canonical form of its content; make it again with this program", what);
    return CLO_OK;
}

clo_err clo_collab_set_u64(clo_arena *a, clo_wire_node *map, const char *key, uint64_t v)
{
    CLO_CHECKF(v <= INT64_MAX, CLO_E_RANGE, "%s is beyond 2^63 - 1", key);
    return clo_wire_set_int(a, map, key, (int64_t)v);
}

void clo_collab_take_u64(clo_wire_fields *f, const char *key, uint64_t *out)
{
    int64_t v = 0;
    clo_wire_take_int(f, key, &v, 0, INT64_MAX);
    *out = (uint64_t)v;
}

clo_err clo_collab_set_fixed(clo_arena *a, clo_wire_node *map, const char *key, const void *bytes, size_t n)
{
    return clo_wire_set_bytes(a, map, key, clo_span_of(bytes, n));
}

clo_err clo_collab_set_rho(clo_arena *a, clo_wire_node *map, const char *key, clo_dp_rational rho)
{
    CLO_CHECKF(clo_dp_rational_valid(rho), CLO_E_RANGE, "%s is not a fraction in lowest terms", key);
    char text[CLO_DP_RATIONAL_TEXT];
    clo_dp_rational_format(text, rho);
    return clo_wire_set_text(a, map, key, text);
}

clo_err clo_collab_rho_read(clo_arena *a, const clo_wire_node *n, const char *what, clo_dp_rational *out)
{
    clo_dp_rational v = clo_dp_rational_zero();
    if (n->type == CLO_WIRE_INT) {
        CLO_CHECKF(n->integer >= 0, CLO_E_RANGE, "%s must not be negative", what);
        CLO_TRY(clo_dp_rational_make((uint64_t)n->integer, 1, &v));
    } else if (n->type == CLO_WIRE_FLOAT) {
        return CLO_FAILF(CLO_E_MALFORMED, "%s must be exact: write the amount in quotes, as \"0.25\" or \"1/4\"", what);
    } else {
        const char *text = NULL;
        CLO_TRY(clo_wire_node_text(a, n, what, &text, CLO_DP_RATIONAL_TEXT - 1));
        clo_err e = clo_dp_rational_parse(clo_span_str(text), &v);
        if (clo_failed(e)) return clo_err_prefix(e, what);
    }
    *out = v;
    return CLO_OK;
}

void clo_collab_take_rho(clo_wire_fields *f, const char *key, clo_dp_rational *out)
{
    *out = clo_dp_rational_zero();
    const clo_wire_node *n = NULL;
    clo_wire_take_any(f, key, &n);
    if (clo_failed(f->err)) return;
    if (clo_failed(clo_collab_rho_read(f->arena, n, key, out)))
        clo_wire_fields_fail(f, CLO_E_MALFORMED, key, "must be an exact amount such as \"1/4\" or \"0.25\" in quotes");
}

clo_err clo_collab_set_names(clo_arena *a, clo_wire_node *map, const char *key, const char (*names)[64], size_t count)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_text(a, clo_span_str(names[i]), &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    return clo_wire_set(a, map, key, list);
}

void clo_collab_take_names(clo_wire_fields *f, const char *key, char (*names)[64], size_t count_max, size_t *count)
{
    *count = 0;
    const clo_wire_node *list = NULL;
    clo_wire_take_array(f, key, &list, count_max);
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, i++) {
        bool good = n->type == CLO_WIRE_TEXT && !clo_failed(clo_str_set(names[i], 64, n->text)) && clo_name_valid(names[i]);
        if (!good) {
            clo_wire_fields_fail(f, CLO_E_MALFORMED, key, "must be a list of names (a-z, 0-9, '.', '_', '-', at most 63)");
            return;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names[k], names[i]) != 0) continue;
            char sentence[128];
            (void)snprintf(sentence, sizeof sentence, "names \"%s\" twice; remove one", names[i]);
            clo_wire_fields_fail(f, CLO_E_DUPLICATE, key, sentence);
            return;
        }
    }
    *count = i;
}

clo_err clo_collab_put_domain(clo_buf *out, const char *purpose)
{
    CLO_TRY(clo_buf_put_str(out, "cloister/v1 "));
    CLO_TRY(clo_buf_put_str(out, purpose));
    return clo_buf_put_u8(out, 0);
}

clo_collab_short_id clo_collab_short(const uint8_t *id)
{
    clo_collab_short_id s;
    memset(&s, 0, sizeof s);
    clo_hex_encode(s.text, clo_span_of(id, 4));
    (void)snprintf(s.text + 8, sizeof s.text - 8, "…");
    return s;
}
