#include "service/routes_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>
#include <string.h>

static clo_err party_of(clo_service *s, clo_arena *a, const uint8_t kid[32], clo_collab_party *out)
{
    clo_store_party record;
    CLO_TRY(clo_store_party_by_kid(s->store, a, kid, &record));
    return clo_collab_party_decode(record.file, out);
}

clo_err clo_service_authenticate(void *service, const clo_gateway_request *request, clo_gateway_principal *out)
{
    clo_service *s = service;
    clo_span token;
    char name[64];
    clo_collab_party party;
    CLO_TRY(clo_gateway_bearer_token(request, &token));
    CLO_CHECKF(token.n > 0, CLO_E_UNAUTHENTICATED, "this needs a party's token in the Authorization header");
    CLO_TRY(clo_collab_token_peek(token, name, out->key));
    clo_err e = party_of(s, request->arena, out->key, &party);
    if (clo_failed(e) && e.code == CLO_E_NOT_FOUND)
        return CLO_FAILF(CLO_E_UNAUTHENTICATED, "the party %s with this key is not registered here; run: cloister init --server %s …", name, s->config.url);
    CLO_TRY(e);
    CLO_TRY(clo_collab_token_verify(token, &party, s->audience, clo_os_clock_wall(s->clock)));
    out->kind = CLO_GATEWAY_PRINCIPAL_PARTY;
    (void)snprintf(out->name, sizeof out->name, "%s", party.name);
    return CLO_OK;
}

CLO_R clo_service_caller(clo_service *s, const clo_gateway_request *request, clo_collab_party *out)
{
    return party_of(s, request->arena, request->principal.key, out);
}

CLO_R clo_service_param_id(const clo_gateway_request *request, const char *name, void *to, size_t n)
{
    if (clo_failed(clo_hex_decode(to, n, clo_span_str(clo_gateway_request_param(request, name)))))
        return CLO_FAILF(CLO_E_NOT_FOUND, "there is no such %s: an id has %zu hex digits", name, 2 * n);
    return CLO_OK;
}

CLO_R clo_service_agreement_for(clo_service *s, const clo_gateway_request *request, const uint8_t id[32], clo_store_agreement *out)
{
    bool member = false;
    CLO_TRY(clo_store_agreement_member(s->store, id, request->principal.key, &member));
    CLO_CHECKF(member, CLO_E_NOT_FOUND, "the operator has no such agreement, or you are no member of it");
    return clo_store_agreement_get(s->store, request->arena, id, out);
}

CLO_R clo_service_member_of(const clo_collab_agreement *g, const clo_gateway_request *request, const clo_collab_member **out)
{
    for (size_t i = 0; i < g->member_count; i++) {
        uint8_t kid[32];
        CLO_TRY(clo_collab_party_kid(&g->members[i].party, kid));
        if (memcmp(kid, request->principal.key, sizeof kid) != 0) continue;
        *out = &g->members[i];
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_NOT_FOUND, "you are no member of this agreement");
}

CLO_R clo_service_run_for(clo_service *s, const clo_gateway_request *request, clo_store_run **out)
{
    uint8_t id[16];
    bool member = false;
    void *memory = NULL;
    CLO_TRY(clo_service_param_id(request, "id", id, sizeof id));
    CLO_TRY(clo_arena_alloc(request->arena, sizeof(clo_store_run), &memory));
    clo_store_run *run = memory;
    CLO_TRY(clo_store_run_get(s->store, request->arena, id, run));
    CLO_TRY(clo_store_agreement_member(s->store, run->agreement, request->principal.key, &member));
    CLO_CHECKF(member, CLO_E_NOT_FOUND, "the operator has no such run, or you are no member of its agreement");
    *out = run;
    return CLO_OK;
}

CLO_R clo_service_agreement_parse(clo_arena *a, const clo_store_agreement *record, clo_collab_agreement **out, uint32_t *signed_mask)
{
    CLO_TRY(clo_collab_agreement_new(a, out));
    return clo_collab_agreement_file_open(a, record->file, *out, signed_mask);
}

CLO_R clo_service_page(const clo_gateway_request *request, int64_t *before, size_t *max)
{
    int64_t limit = 0;
    CLO_TRY(clo_gateway_request_query_int(request, "limit", 50, 1, 200, &limit));
    CLO_TRY(clo_gateway_request_query_int(request, "cursor", 0, 0, INT64_MAX, before));
    *max = (size_t)limit;
    return CLO_OK;
}

CLO_R clo_service_answer_list(const clo_gateway_request *request, clo_gateway_response *response, const char *name, clo_wire_node *array,
                              int64_t next)
{
    clo_wire_node *map = NULL, *cursor = NULL;
    char text[24];
    CLO_TRY(clo_wire_map(request->arena, &map));
    CLO_TRY(clo_wire_set(request->arena, map, name, array));
    (void)snprintf(text, sizeof text, "%lld", (long long)next);
    if (next != 0)
        CLO_TRY(clo_wire_text(request->arena, clo_span_str(text), &cursor));
    else
        CLO_TRY(clo_wire_null(request->arena, &cursor));
    CLO_TRY(clo_wire_set(request->arena, map, "next", cursor));
    return clo_gateway_response_tree(response, map);
}

CLO_R clo_service_set_hex(clo_arena *a, clo_wire_node *map, const char *key, const void *bytes, size_t n)
{
    char hex[129];
    CLO_CHECK(n <= 64, CLO_E_RANGE);
    clo_hex_encode(hex, clo_span_of(bytes, n));
    return clo_wire_set_text(a, map, key, hex);
}
