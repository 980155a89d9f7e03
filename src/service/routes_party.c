#include "service/routes_int.h"

#include "base/clo_text.h"

#include <string.h>

CLO_HANDLER(clo_service_get_info)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_service_info(context, request->arena, &tree));
    return clo_gateway_response_tree(response, tree);
}

static clo_err view(clo_arena *a, const char *name, const uint8_t kid[32], clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, "name", name));
    return clo_service_set_hex(a, *out, "kid", kid, 32);
}

/* A party that is registered already costs nothing, and is never held off. */
static clo_err admit(clo_service *s, const clo_gateway_request *request, const clo_store_party *record)
{
    clo_store_party known;
    unsigned seconds = 0;
    if (!clo_failed(clo_store_party_by_kid(s->store, request->arena, record->kid, &known)) && strcmp(known.name, record->name) == 0) return CLO_OK;
    CLO_CHECKF(clo_gateway_buckets_take(s->registrations, request->peer, clo_os_clock_monotonic(s->clock), &seconds), CLO_E_TOO_MANY,
               "too many new parties were registered from your address; try again in %u seconds", seconds);
    return CLO_OK;
}

/* The file is signed with the key that it names: nobody takes a name for a key that is not theirs. */
CLO_HANDLER(clo_service_post_party)
{
    clo_service *s = context;
    clo_collab_party party;
    clo_store_party record = {.file = request->body, .created = clo_os_clock_wall(s->clock)};
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_collab_party_decode(request->body, &party));
    CLO_TRY(clo_collab_party_kid(&party, record.kid));
    CLO_TRY(clo_str_set(record.name, sizeof record.name, clo_span_str(party.name)));
    CLO_TRY(admit(s, request, &record));
    CLO_TRY(clo_store_party_put(s->store, &record, s->config.parties_max));
    CLO_TRY(view(request->arena, record.name, record.kid, &tree));
    return clo_gateway_response_tree(response, tree);
}

CLO_HANDLER(clo_service_get_parties)
{
    clo_service *s = context;
    clo_store_party *list = NULL;
    size_t count = 0, max = 0;
    int64_t before = 0, next = 0;
    clo_wire_node *array = NULL;
    CLO_TRY(clo_service_page(request, &before, &max));
    CLO_TRY(clo_store_party_list(s->store, request->arena, before, max, &list, &count, &next));
    CLO_TRY(clo_wire_array(request->arena, &array));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *tree = NULL;
        CLO_TRY(view(request->arena, list[i].name, list[i].kid, &tree));
        CLO_TRY(clo_wire_append(array, tree));
    }
    return clo_service_answer_list(request, response, "parties", array, next);
}
