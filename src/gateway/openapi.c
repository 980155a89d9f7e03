/* The OpenAPI document: one operation per route, from the same table that dispatches. */
#include "gateway/openapi.h"
#include "base/clo_arena.h"
#include "base/clo_own.h"
#include "gateway/gateway_int.h"
#include "gateway/problem.h"
#include "wire/json.h"
#include <stdio.h>
#include <strings.h>

static clo_err text_member(clo_buf *out, const char *name, const char *value)
{
    CLO_TRY(clo_buf_printf(out, "\"%s\":", name));
    return clo_gateway_json_string(out, value);
}

static const char *method_key(clo_gateway_method method)
{
    static const char *const keys[CLO_GATEWAY_METHOD_COUNT] = {"get", "head", "post", "put", "patch", "delete", "options"};
    return keys[method];
}

/* "/x/{rest*}" is written as "/x/{rest}". */
static clo_err write_path(clo_buf *out, const char *path)
{
    CLO_TRY(clo_buf_put_u8(out, '"'));
    for (; *path != 0; path++)
        if (*path != '*') CLO_TRY(clo_buf_put_u8(out, (uint8_t)*path));
    return clo_buf_put_str(out, "\":{");
}

static clo_err write_parameters(clo_buf *out, const char *path)
{
    const char *between = "";
    CLO_TRY(clo_buf_put_str(out, ",\"parameters\":["));
    for (const char *open = strchr(path, '{'); open != NULL; open = strchr(open + 1, '{')) {
        int n = (int)strcspn(open + 1, "*}");
        CLO_TRY(clo_buf_printf(out, "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}", between, n, open + 1));
        between = ",";
    }
    return clo_buf_put_str(out, "]");
}

static clo_err write_schema(clo_buf *out, const char *name)
{
    if (name == NULL) return clo_buf_put_str(out, "{}");
    return clo_buf_printf(out, "{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}", name);
}

/* "a, b" as {"a":…,"b":…} */
static clo_err write_content(clo_buf *out, const char *types, const char *schema)
{
    CLO_TRY(clo_buf_put_str(out, "\"content\":{"));
    const char *between = "";
    if (types == NULL) types = schema != NULL ? "application/json" : "application/octet-stream";
    while (*types != 0) {
        int n = (int)strcspn(types, ",");
        CLO_TRY(clo_buf_printf(out, "%s\"%.*s\":", between, n, types));
        CLO_TRY(write_schema(out, schema));
        between = ",";
        types += n;
        types += strspn(types, ", ");
    }
    return clo_buf_put_str(out, "}");
}

static clo_err write_operation_id(clo_buf *out, const clo_gateway_route *r)
{
    CLO_TRY(clo_buf_printf(out, "\"operationId\":\"%s", method_key(r->method)));
    bool gap = true;
    for (const char *p = r->path; *p != 0; p++) {
        bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (word && gap) CLO_TRY(clo_buf_put_u8(out, '_'));
        if (word) CLO_TRY(clo_buf_put_u8(out, (uint8_t)*p));
        gap = !word;
    }
    return clo_buf_put_str(out, "\"");
}

static clo_err write_operation(clo_buf *out, const clo_gateway_route *r)
{
    CLO_TRY(clo_buf_printf(out, "\"%s\":{", method_key(r->method)));
    CLO_TRY(write_operation_id(out, r));
    CLO_TRY(clo_buf_put_u8(out, ','));
    CLO_TRY(text_member(out, "summary", r->summary != NULL ? r->summary : ""));
    if (r->tag != NULL) {
        CLO_TRY(clo_buf_put_str(out, ",\"tags\":["));
        CLO_TRY(clo_gateway_json_string(out, r->tag));
        CLO_TRY(clo_buf_put_str(out, "]"));
    }
    if (strchr(r->path, '{') != NULL) CLO_TRY(write_parameters(out, r->path));
    if (r->body_max != 0) {
        CLO_TRY(clo_buf_put_str(out, ",\"requestBody\":{\"required\":true,"));
        CLO_TRY(write_content(out, r->consumes, r->request_schema));
        CLO_TRY(clo_buf_put_str(out, "}"));
    }
    CLO_TRY(clo_buf_put_str(out, r->auth == CLO_GATEWAY_AUTH_PARTY ? ",\"security\":[{\"party\":[]}]" : ",\"security\":[]"));
    unsigned success = r->success != 0 ? r->success : 200;
    CLO_TRY(clo_buf_printf(out, ",\"responses\":{\"%u\":{\"description\":\"%s\"", success, clo_gateway_status_text(success)));
    if (success != 204 && success != 304) {
        CLO_TRY(clo_buf_put_u8(out, ','));
        CLO_TRY(write_content(out, r->produces, r->response_schema));
    }
    return clo_buf_put_str(out, "},\"default\":{\"$ref\":\"#/components/responses/Problem\"}}}");
}

static bool hidden(const clo_gateway_route *r) { return (r->flags & CLO_GATEWAY_HIDDEN) != 0; }

static clo_err write_paths(clo_buf *out, const clo_gateway_route *routes, size_t route_count)
{
    const char *between = "";
    for (size_t i = 0; i < route_count; i++) {
        bool before = hidden(&routes[i]);
        for (size_t k = 0; k < i && !before; k++) before = !hidden(&routes[k]) && strcmp(routes[k].path, routes[i].path) == 0;
        if (before) continue;
        CLO_TRY(clo_buf_put_str(out, between));
        CLO_TRY(write_path(out, routes[i].path));
        const char *inner = "";
        for (size_t k = i; k < route_count; k++) {
            if (hidden(&routes[k]) || strcmp(routes[k].path, routes[i].path) != 0) continue;
            CLO_TRY(clo_buf_put_str(out, inner));
            CLO_TRY(write_operation(out, &routes[k]));
            inner = ",";
        }
        CLO_TRY(clo_buf_put_str(out, "}"));
        between = ",\n";
    }
    return CLO_OK;
}

static const char components[] =
    "\"responses\":{\"Problem\":{\"description\":\"RFC 9457 problem details\",\"content\":{\"application/problem+json\":{\"schema\":"
    "{\"$ref\":\"#/components/schemas/Problem\"}}}}},\"securitySchemes\":{\"party\":{\"type\":\"http\",\"scheme\":\"bearer\","
    "\"description\":\"A token of at most 300 seconds, signed with the party's key.\"}},\n\"schemas\":{\"Problem\":{\"type\":\"object\","
    "\"required\":[\"type\",\"title\",\"status\"],\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
    "\"status\":{\"type\":\"integer\"},\"code\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"},\"instance\":{\"type\":\"string\"},"
    "\"claim\":{\"type\":\"string\"},\"expected\":{\"type\":\"string\"},\"actual\":{\"type\":\"string\"},\"source\":{\"type\":\"string\"},"
    "\"remedy\":{\"type\":\"string\"}}}";

static clo_err check_schema(const clo_gateway_schema *schema)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 * 1024 * 1024);
    clo_wire_node *node = NULL;
    clo_err e = clo_wire_json_decode(&a, clo_span_str(schema->json), &node);
    return clo_failed(e) ? clo_err_prefix(e, schema->name) : e;
}

static clo_err write_document(clo_buf *out, const char *title, const char *version, const clo_gateway_route *routes, size_t route_count,
                              const clo_gateway_schema *schemas, size_t schema_count)
{
    CLO_TRY(clo_buf_put_str(out, "{\"openapi\":\"3.1.0\",\"info\":{"));
    CLO_TRY(text_member(out, "title", title));
    CLO_TRY(clo_buf_put_u8(out, ','));
    CLO_TRY(text_member(out, "version", version));
    CLO_TRY(clo_buf_put_str(out, "},\n\"paths\":{"));
    CLO_TRY(write_paths(out, routes, route_count));
    CLO_TRY(clo_buf_put_str(out, "},\n\"components\":{"));
    CLO_TRY(clo_buf_put_str(out, components));
    for (size_t i = 0; i < schema_count; i++) {
        CLO_TRY(check_schema(&schemas[i]));
        CLO_TRY(clo_buf_put_str(out, ",\n"));
        CLO_TRY(clo_gateway_json_string(out, schemas[i].name));
        CLO_TRY(clo_buf_put_u8(out, ':'));
        CLO_TRY(clo_buf_put_str(out, schemas[i].json));
    }
    return clo_buf_put_str(out, "}}}\n");
}

clo_err clo_gateway_openapi_write(clo_buf *out, const char *title, const char *version, const clo_gateway_route *routes, size_t route_count,
                                  const clo_gateway_schema *schemas, size_t schema_count)
{
    size_t before = out->len;
    clo_err e = write_document(out, title, version, routes, route_count, schemas, schema_count);
    if (clo_failed(e)) out->len = before;
    return e;
}
