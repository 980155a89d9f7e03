/* Policies and reference values of the verifier: versioned, signed by their owners, each version registered in the log; and the bundle of collateral. */
#include "attest/reference_values.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "service/routes_int.h"

#include <stdio.h>
#include <string.h>

/* Which file this is: its name and version, once its signature by the caller held. */
static clo_err open_policy(clo_service *s, const clo_gateway_request *request, const clo_collab_party *caller, clo_store_attest_object *o)
{
    (void)s;
    clo_service_policy_file file;
    CLO_TRY(clo_service_policy_open(request->arena, request->body, &caller->sign, &file));
    (void)snprintf(o->name, sizeof o->name, "%s", file.name);
    o->version = file.version;
    return CLO_OK;
}

static clo_err open_values(clo_service *s, const clo_gateway_request *request, const clo_collab_party *caller, clo_store_attest_object *o)
{
    clo_attest_reference_set set;
    CLO_TRY(clo_attest_references_open(request->arena, request->body, &caller->sign, 1, clo_os_clock_wall(s->clock), &set));
    CLO_CHECKF(clo_name_valid(set.name), CLO_E_RANGE, "the set's name has lower-case letters, digits, '.', '_' and '-' only, at most 63");
    (void)snprintf(o->name, sizeof o->name, "%s", set.name);
    o->version = set.version;
    return CLO_OK;
}

typedef struct {
    const char *kind, *list, *leaf;
    clo_err (*open)(clo_service *s, const clo_gateway_request *request, const clo_collab_party *caller, clo_store_attest_object *o);
} object_kind;
static const object_kind policies = {"policy", "policies", "attest-policy", open_policy};
static const object_kind values = {"reference-values", "reference_values", "reference-values", open_values};

static clo_err view(clo_arena *a, const clo_store_attest_object *o, clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, "name", o->name));
    CLO_TRY(clo_wire_set_int(a, *out, "version", o->version));
    CLO_TRY(clo_service_set_hex(a, *out, "owner", o->owner_kid, sizeof o->owner_kid));
    CLO_TRY(clo_wire_set_time(a, *out, "created", o->created));
    return clo_wire_set_int(a, *out, "log_index", o->log_index);
}

/* Before anything is registered: the store decides again, for two that come at once. *known: this very file is there already. */
static clo_err check_next(clo_service *s, clo_arena *a, const clo_store_attest_object *o, bool *known, clo_store_attest_object *newest)
{
    clo_err e = clo_store_attest_object_get(s->store, a, o->kind, o->name, 0, newest);
    *known = false;
    CLO_CHECKF(clo_failed(e) || memcmp(newest->owner_kid, o->owner_kid, sizeof o->owner_kid) == 0, CLO_E_CONFLICT, "another party keeps %s; take a name of your own", o->name);
    if (clo_failed(e) && e.code != CLO_E_NOT_FOUND) return e;
    int64_t next = clo_failed(e) ? 1 : newest->version + 1;
    if (o->version == next) return CLO_OK;
    *known = o->version == next - 1 && clo_span_equal(newest->file, o->file);
    CLO_CHECKF(*known, CLO_E_CONFLICT, "version %lld of %s is not the next one, which is %lld", (long long)o->version, o->name, (long long)next);
    return CLO_OK;
}

static clo_err post(clo_service *s, const object_kind *k, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_collab_party caller;
    clo_store_attest_object o = {.created = clo_os_clock_wall(s->clock), .file = request->body};
    clo_wire_node *tree = NULL;
    uint64_t index = 0;
    CLO_TRY(clo_service_require_records(s));
    CLO_TRY(clo_service_caller(s, request, &caller));
    CLO_TRY(k->open(s, request, &caller, &o));
    (void)snprintf(o.kind, sizeof o.kind, "%s", k->kind);
    memcpy(o.owner_kid, request->principal.key, sizeof o.owner_kid);
    clo_store_attest_object newest;
    bool known = false;
    CLO_TRY(check_next(s, request->arena, &o, &known, &newest));
    if (!known) {
        CLO_TRY(clo_service_log_append(s, k->leaf, request->body, &index));
        o.log_index = (int64_t)index;
        CLO_TRY(clo_store_attest_object_put(s->store, &o));
    }
    CLO_TRY(view(request->arena, known ? &newest : &o, &tree));
    return clo_gateway_response_tree(response, tree);
}

static clo_err get_list(clo_service *s, const object_kind *k, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_store_attest_object *list = NULL;
    size_t count = 0, max = 0;
    int64_t before = 0, next = 0;
    clo_wire_node *array = NULL, *one = NULL;
    CLO_TRY(clo_service_page(request, &before, &max));
    CLO_TRY(clo_store_attest_object_list(s->store, request->arena, k->kind, before, max, &list, &count, &next));
    CLO_TRY(clo_wire_array(request->arena, &array));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(view(request->arena, &list[i], &one));
        CLO_TRY(clo_wire_append(array, one));
    }
    return clo_service_answer_list(request, response, k->list, array, next);
}

static clo_err get_one(clo_service *s, const object_kind *k, clo_gateway_request *request, clo_gateway_response *response)
{
    clo_store_attest_object o;
    int64_t version = 0;
    uint8_t digest[32];
    char etag[67];
    CLO_TRY(clo_gateway_request_query_int(request, "version", 0, 1, INT64_MAX / 2, &version));
    CLO_TRY(clo_store_attest_object_get(s->store, request->arena, k->kind, clo_gateway_request_param(request, "name"), version, &o));
    CLO_TRY(clo_crypto_sha256(o.file, digest));
    etag[0] = '"';
    clo_hex_encode(etag + 1, clo_span_of(digest, sizeof digest));
    memcpy(etag + 65, "\"", 2);
    CLO_TRY(clo_gateway_response_etag(response, etag));
    return clo_gateway_response_bytes(response, "application/cose", o.file);
}

CLO_HANDLER(clo_service_post_policy) { return post(context, &policies, request, response); }
CLO_HANDLER(clo_service_get_policies) { return get_list(context, &policies, request, response); }
CLO_HANDLER(clo_service_get_policy) { return get_one(context, &policies, request, response); }
CLO_HANDLER(clo_service_post_values) { return post(context, &values, request, response); }
CLO_HANDLER(clo_service_get_values_list) { return get_list(context, &values, request, response); }
CLO_HANDLER(clo_service_get_values) { return get_one(context, &values, request, response); }

static clo_err answer_collateral(clo_service *s, clo_gateway_response *response)
{
    clo_attest_collateral_set set = clo_service_collateral_installed(&s->verifier);
    char issued[21], until[21];
    CLO_CHECKF(set.version > 0, CLO_E_NOT_FOUND, "no collateral bundle is installed");
    clo_time_format(issued, set.issued);
    clo_time_format(until, set.not_after);
    return clo_gateway_response_jsonf(response, "{\"version\":%lld,\"issued\":\"%s\",\"not_after\":\"%s\",\"items\":%zu}", (long long)set.version, issued, until, set.count);
}

CLO_HANDLER(clo_service_put_collateral)
{
    clo_service *s = context;
    CLO_TRY(clo_service_collateral_install(&s->verifier, request->body, clo_os_clock_wall(s->clock)));
    return answer_collateral(s, response);
}

CLO_HANDLER(clo_service_get_collateral)
{
    (void)request;
    return answer_collateral(context, response);
}
