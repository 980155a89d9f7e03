/* JSON by jansson into the tree; own writer. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"
#include "wire/wire_int.h"

static void json_release(json_t **j) { json_decref(*j); }

static clo_err convert(clo_arena *a, json_t *j, unsigned depth, clo_wire_node **out)
{
    CLO_CHECKF(depth < CLO_WIRE_DEPTH_MAX, CLO_E_TOO_MANY, "the JSON nests deeper than %d levels", CLO_WIRE_DEPTH_MAX);
    clo_wire_node *node = NULL, *child = NULL;
    switch (json_typeof(j)) {
    case JSON_NULL:
        return clo_wire_null(a, out);
    case JSON_TRUE:
        return clo_wire_bool(a, true, out);
    case JSON_FALSE:
        return clo_wire_bool(a, false, out);
    case JSON_INTEGER:
        return clo_wire_int(a, json_integer_value(j), out);
    case JSON_REAL:
        return clo_wire_float(a, json_real_value(j), out);
    case JSON_STRING:
        return clo_wire_text(a, clo_span_of(json_string_value(j), json_string_length(j)), out);
    case JSON_ARRAY:
        CLO_TRY(clo_wire_array(a, &node));
        for (size_t i = 0; i < json_array_size(j); i++) {
            CLO_TRY(convert(a, json_array_get(j, i), depth + 1, &child));
            clo_wire_link(node, child);
        }
        *out = node;
        return CLO_OK;
    case JSON_OBJECT:
        break;
    default:
        return CLO_FAIL(CLO_E_BUG);
    }
    CLO_TRY(clo_wire_map(a, &node));
    for (void *i = json_object_iter(j); i != NULL; i = json_object_iter_next(j, i)) {
        clo_wire_node *key = NULL;
        CLO_TRY(clo_wire_text(a, clo_span_str(json_object_iter_key(i)), &key));
        CLO_TRY(convert(a, json_object_iter_value(i), depth + 1, &child));
        child->key = key;
        clo_wire_link(node, child);
    }
    *out = node;
    return CLO_OK;
}

static clo_err jansson_failure(const json_error_t *e)
{
    uint32_t code = CLO_E_MALFORMED;
    enum json_error_code cause = json_error_code(e);
    if (cause == json_error_out_of_memory) code = CLO_E_NOMEM;
    if (cause == json_error_premature_end_of_input) code = CLO_E_TRUNCATED;
    if (cause == json_error_end_of_input_expected) code = CLO_E_TRAILING;
    if (cause == json_error_duplicate_key) code = CLO_E_DUPLICATE;
    if (cause == json_error_numeric_overflow) code = CLO_E_RANGE;
    if (cause == json_error_stack_overflow) code = CLO_E_TOO_MANY;
    /* jansson quotes the input near the error: its sentence may hold payload, so only its beginning is kept. */
    char reason[JSON_ERROR_TEXT_LENGTH];
    (void)snprintf(reason, sizeof reason, "%s", e->text);
    char *near = strstr(reason, " near ");
    if (near != NULL) *near = '\0';
    return CLO_FAILF(code, "JSON line %d, column %d: %s", e->line, e->column, reason);
}

clo_err clo_wire_json_decode(clo_arena *a, clo_span in, clo_wire_node **out)
{
    CLO_CHECKF(in.n > 0, CLO_E_TRUNCATED, "the JSON text is empty");
    json_error_t error;
    CLO_AUTO(json_release)
    json_t *root = json_loadb((const char *)in.p, in.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL) return jansson_failure(&error);
    clo_wire_node *node = NULL;
    CLO_TRY(convert(a, root, 0, &node));
    *out = node;
    return CLO_OK;
}

/* Counts what stands before a value or key: openings, commas and colons outside of strings. Whether the text is JSON at all is the parser's
 * to say: what is counted here is never less than what the parser would make of it. */
static clo_err check_bounds(clo_span in, size_t values_max, unsigned depth_max)
{
    size_t values = 1;
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (quoted) {
            if (c == '\\') i++;
            if (c == '"') quoted = false;
            continue;
        }
        if (c == '"') quoted = true;
        if (c == '[' || c == '{') depth++;
        if ((c == ']' || c == '}') && depth > 0) depth--;
        if (c == '[' || c == '{' || c == ',' || c == ':') values++;
        CLO_CHECKF(values <= values_max, CLO_E_TOO_MANY, "the JSON has more than %zu values", values_max);
        CLO_CHECKF(depth <= depth_max, CLO_E_TOO_MANY, "the JSON nests deeper than %u levels", depth_max);
    }
    return CLO_OK;
}

clo_err clo_wire_json_decode_bounded(clo_arena *a, clo_span in, size_t values_max, unsigned depth_max, clo_wire_node **out)
{
    CLO_TRY(check_bounds(in, values_max, depth_max));
    return clo_wire_json_decode(a, in, out);
}

static clo_err put_text(clo_buf *out, clo_span s)
{
    CLO_TRY(clo_buf_put_u8(out, '"'));
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        CLO_TRY(clo_buf_put(out, s.p + from, i - from));
        from = i + 1;
        if (c == '"' || c == '\\')
            CLO_TRY(clo_buf_printf(out, "\\%c", c));
        else if (c == '\n')
            CLO_TRY(clo_buf_put_str(out, "\\n"));
        else
            CLO_TRY(clo_buf_printf(out, "\\u%04x", (unsigned)c));
    }
    if (s.n > from) CLO_TRY(clo_buf_put(out, s.p + from, s.n - from));
    return clo_buf_put_u8(out, '"');
}

static clo_err put_line(clo_buf *out, unsigned indent, unsigned depth)
{
    if (indent == 0) return CLO_OK;
    CLO_TRY(clo_buf_put_u8(out, '\n'));
    uint8_t *at = NULL;
    size_t n = (size_t)indent * depth;
    if (n == 0) return CLO_OK;
    CLO_TRY(clo_buf_reserve(out, n, &at));
    memset(at, ' ', n);
    out->len += n;
    return CLO_OK;
}

static clo_err encode(const clo_wire_node *n, unsigned indent, unsigned depth, clo_buf *out);

static clo_err encode_children(const clo_wire_node *n, unsigned indent, unsigned depth, clo_buf *out)
{
    bool map = n->type == CLO_WIRE_MAP;
    CLO_TRY(clo_buf_put_u8(out, map ? '{' : '['));
    for (const clo_wire_node *c = n->first; c != NULL; c = c->next) {
        CLO_TRY(put_line(out, indent, depth + 1));
        if (map) {
            if (c->key->type == CLO_WIRE_INT)
                CLO_TRY(clo_buf_printf(out, "\"%lld\"", (long long)c->key->integer));
            else
                CLO_TRY(put_text(out, c->key->text));
            CLO_TRY(clo_buf_put_str(out, indent != 0 ? ": " : ":"));
        }
        CLO_TRY(encode(c, indent, depth + 1, out));
        if (c->next != NULL) CLO_TRY(clo_buf_put_u8(out, ','));
    }
    if (n->count != 0) CLO_TRY(put_line(out, indent, depth));
    return clo_buf_put_u8(out, map ? '}' : ']');
}

static clo_err encode(const clo_wire_node *n, unsigned indent, unsigned depth, clo_buf *out)
{
    CLO_CHECKF(depth < CLO_WIRE_DEPTH_MAX, CLO_E_TOO_MANY, "the value nests deeper than %d levels", CLO_WIRE_DEPTH_MAX);
    char text[32];
    switch (n->type) {
    case CLO_WIRE_NULL:
        return clo_buf_put_str(out, "null");
    case CLO_WIRE_BOOL:
        return clo_buf_put_str(out, n->boolean ? "true" : "false");
    case CLO_WIRE_INT:
        return clo_buf_printf(out, "%lld", (long long)n->integer);
    case CLO_WIRE_FLOAT:
        clo_wire_float_text(text, n->number);
        return clo_buf_put_str(out, text);
    case CLO_WIRE_TEXT:
        return put_text(out, n->text);
    case CLO_WIRE_BYTES:
        CLO_TRY(clo_buf_put_u8(out, '"'));
        CLO_TRY(clo_buf_put_hex(out, n->text));
        return clo_buf_put_u8(out, '"');
    case CLO_WIRE_ARRAY:
    case CLO_WIRE_MAP:
        return encode_children(n, indent, depth, out);
    case CLO_WIRE_TAG:
        return encode(n->first, indent, depth + 1, out);
    default:
        return CLO_FAIL(CLO_E_BUG);
    }
}

clo_err clo_wire_json_encode(const clo_wire_node *node, unsigned indent, clo_buf *out)
{
    size_t before = out->len;
    clo_err e = encode(node, indent, 0, out);
    if (clo_failed(e)) out->len = before;
    return e;
}

void clo_wire_float_text(char to[32], double v)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(to, 32, "%.*g", digits, v);
        double back = strtod(to, NULL);
        if (memcmp(&back, &v, sizeof v) == 0) break;
    }
    if (strpbrk(to, ".eEni") == NULL) {
        size_t n = strlen(to);
        memcpy(to + n, ".0", 3);
    }
}
