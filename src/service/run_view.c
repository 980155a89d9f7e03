#include "service/service_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"

#include <string.h>

static clo_err denial_tree(clo_arena *a, const clo_store_run *r, clo_wire_node **out)
{
    if (!r->have_denial) return clo_wire_null(a, out);
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_denial(a, *out, &r->denial));
    return clo_wire_set_text(a, *out, "owner", r->owner);
}

CLO_R clo_service_run_tree(clo_arena *a, const clo_store_run *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *child = NULL;
    char hex[65];
    CLO_TRY(clo_wire_map(a, &map));
    clo_hex_encode(hex, clo_span_of(r->id, 16));
    CLO_TRY(clo_wire_set_text(a, map, "id", hex));
    clo_hex_encode(hex, clo_span_of(r->agreement, 32));
    CLO_TRY(clo_wire_set_text(a, map, "agreement", hex));
    CLO_TRY(clo_wire_set_text(a, map, "run", r->run));
    CLO_TRY(clo_wire_set_text(a, map, "starter", r->starter));
    CLO_TRY(clo_wire_set_text(a, map, "state", r->state));
    CLO_TRY(clo_wire_set_text(a, map, "phase", r->phase));
    CLO_TRY(clo_wire_set_text(a, map, "text", r->text));
    CLO_TRY(clo_wire_set_int(a, map, "done", (int64_t)r->done));
    CLO_TRY(clo_wire_set_int(a, map, "total", (int64_t)r->total));
    CLO_TRY(clo_wire_set_time(a, map, "created", r->created));
    CLO_TRY(clo_wire_set_time(a, map, "changed", r->changed));
    CLO_TRY(clo_wire_set_text(a, map, "tee", r->tee));
    CLO_TRY(clo_wire_set_bool(a, map, "simulated", strcmp(r->tee, "sim") == 0));
    CLO_TRY(clo_wire_set_text(a, map, "error", r->code));
    CLO_TRY(clo_wire_set_bool(a, map, "released", r->released || r->commits.n > 0));
    CLO_TRY(denial_tree(a, r, &child));
    CLO_TRY(clo_wire_set(a, map, "denial", child));
    if (r->log_index < 0)
        CLO_TRY(clo_wire_null(a, &child));
    else
        CLO_TRY(clo_wire_int(a, r->log_index, &child));
    CLO_TRY(clo_wire_set(a, map, "log_index", child));
    *out = map;
    return CLO_OK;
}

static void publish_to_members(clo_service *s, const clo_store_run *r, clo_span event)
{
    enum { MEMBERS_MAX = 32 };
    uint8_t kids[MEMBERS_MAX][32];
    size_t count = 0;
    if (clo_failed(clo_store_agreement_kids(s->store, r->agreement, kids, MEMBERS_MAX, &count))) return;
    for (size_t i = 0; i < count; i++) {
        char topic[65];
        clo_hex_encode(topic, clo_span_of(kids[i], 32));
        (void)clo_gateway_hub_publish(s->hub, topic, "run", event).code;
    }
}

/* A listener that misses an event asks again: nothing here may fail the run. */
void clo_service_run_publish(clo_service *s, const clo_store_run *r, bool members)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 16 * 1024);
    clo_wire_node *tree = NULL;
    char topic[65];
    clo_err e = clo_service_run_tree(&a, r, &tree);
    if (!clo_failed(e)) e = clo_wire_json_encode(tree, 0, &text);
    clo_hex_encode(topic, clo_span_of(r->id, 16));
    if (!clo_failed(e)) e = clo_gateway_hub_publish(s->hub, topic, "run", clo_buf_span(&text));
    if (!clo_failed(e) && members) publish_to_members(s, r, clo_buf_span(&text));
}
