/* Building and searching the tree. */
#include "wire/tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_text.h"
#include "wire/wire_int.h"

static clo_err node_new(clo_arena *a, clo_wire_type type, clo_wire_node **out)
{
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_wire_node), &p));
    clo_wire_node *n = p;
    n->type = type;
    *out = n;
    return CLO_OK;
}

clo_err clo_wire_null(clo_arena *a, clo_wire_node **out) { return node_new(a, CLO_WIRE_NULL, out); }

clo_err clo_wire_bool(clo_arena *a, bool v, clo_wire_node **out)
{
    clo_wire_node *n = NULL;
    CLO_TRY(node_new(a, CLO_WIRE_BOOL, &n));
    n->boolean = v;
    *out = n;
    return CLO_OK;
}

clo_err clo_wire_int(clo_arena *a, int64_t v, clo_wire_node **out)
{
    clo_wire_node *n = NULL;
    CLO_TRY(node_new(a, CLO_WIRE_INT, &n));
    n->integer = v;
    *out = n;
    return CLO_OK;
}

clo_err clo_wire_float(clo_arena *a, double v, clo_wire_node **out)
{
    CLO_CHECKF(isfinite(v), CLO_E_RANGE, "the number is infinite or not a number; only finite numbers are allowed");
    clo_wire_node *n = NULL;
    CLO_TRY(node_new(a, CLO_WIRE_FLOAT, &n));
    n->number = v;
    *out = n;
    return CLO_OK;
}

clo_err clo_wire_text(clo_arena *a, clo_span v, clo_wire_node **out)
{
    CLO_CHECKF(clo_utf8_valid(v), CLO_E_MALFORMED, "the text is not valid UTF-8");
    clo_wire_node *n = NULL;
    CLO_TRY(node_new(a, CLO_WIRE_TEXT, &n));
    CLO_TRY(clo_arena_copy(a, v, &n->text));
    *out = n;
    return CLO_OK;
}

clo_err clo_wire_bytes(clo_arena *a, clo_span v, clo_wire_node **out)
{
    clo_wire_node *n = NULL;
    CLO_TRY(node_new(a, CLO_WIRE_BYTES, &n));
    CLO_TRY(clo_arena_copy(a, v, &n->text));
    *out = n;
    return CLO_OK;
}

clo_err clo_wire_array(clo_arena *a, clo_wire_node **out) { return node_new(a, CLO_WIRE_ARRAY, out); }

clo_err clo_wire_map(clo_arena *a, clo_wire_node **out) { return node_new(a, CLO_WIRE_MAP, out); }

clo_err clo_wire_tag(clo_arena *a, uint64_t tag, clo_wire_node *content, clo_wire_node **out)
{
    CLO_CHECK(content != NULL && content->next == NULL && content->key == NULL, CLO_E_BUG);
    clo_wire_node *n = NULL;
    CLO_TRY(node_new(a, CLO_WIRE_TAG, &n));
    n->tag = tag;
    n->first = n->last = content;
    n->count = 1;
    *out = n;
    return CLO_OK;
}

void clo_wire_link(clo_wire_node *parent, clo_wire_node *child)
{
    if (parent->last == NULL)
        parent->first = child;
    else
        parent->last->next = child;
    parent->last = child;
    parent->count++;
}

/* A node has one parent: `next` and `key` belong to it. */
static bool is_free(const clo_wire_node *parent, const clo_wire_node *n)
{
    return n != NULL && n != parent && n->next == NULL && n->key == NULL && parent->last != n;
}

clo_err clo_wire_append(clo_wire_node *array, clo_wire_node *value)
{
    CLO_CHECK(array->type == CLO_WIRE_ARRAY && is_free(array, value), CLO_E_BUG);
    clo_wire_link(array, value);
    return CLO_OK;
}

int clo_wire_key_compare(const clo_wire_node *a, const clo_wire_node *b)
{
    if (a->type == CLO_WIRE_TEXT && b->type == CLO_WIRE_TEXT) {
        if (a->text.n != b->text.n) return a->text.n < b->text.n ? -1 : 1;
        return a->text.n == 0 ? 0 : memcmp(a->text.p, b->text.p, a->text.n);
    }
    if (a->type != b->type) return a->type == CLO_WIRE_INT ? -1 : 1; /* integers come before text */
    bool a_negative = a->integer < 0, b_negative = b->integer < 0;
    if (a_negative != b_negative) return b_negative ? -1 : 1;
    if (a->integer == b->integer) return 0;
    bool less = a_negative ? a->integer > b->integer : a->integer < b->integer; /* -1 is encoded before -2 */
    return less ? -1 : 1;
}

static int compare_members(const void *x, const void *y)
{
    const clo_wire_node *const *a = x;
    const clo_wire_node *const *b = y;
    return clo_wire_key_compare((*a)->key, (*b)->key);
}

clo_err clo_wire_map_sorted(const clo_wire_node *map, const clo_wire_node ***out)
{
    *out = NULL;
    bool sorted = true;
    for (const clo_wire_node *n = map->first; n != NULL && n->next != NULL && sorted; n = n->next)
        sorted = clo_wire_key_compare(n->key, n->next->key) < 0;
    if (sorted) return CLO_OK;
    const clo_wire_node **members = calloc(map->count, sizeof *members);
    CLO_CHECK(members != NULL, CLO_E_NOMEM);
    size_t i = 0;
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) members[i++] = n;
    qsort(members, i, sizeof *members, compare_members);
    *out = members;
    return CLO_OK;
}

clo_err clo_wire_map_check_unique(const clo_wire_node *map, const char *what)
{
    const clo_wire_node **members = NULL;
    CLO_TRY(clo_wire_map_sorted(map, &members));
    if (members == NULL) return CLO_OK;
    const clo_wire_node *twice = NULL;
    for (size_t i = 1; i < map->count && twice == NULL; i++)
        if (clo_wire_key_compare(members[i - 1]->key, members[i]->key) == 0) twice = members[i]->key;
    free(members);
    if (twice == NULL) return CLO_OK;
    if (twice->type == CLO_WIRE_INT)
        return CLO_FAILF(CLO_E_DUPLICATE, "%s: key %lld is there twice", what, (long long)twice->integer);
    return CLO_FAILF(CLO_E_DUPLICATE, "%s: key \"%.60s\" is there twice%s; remove one of them", what, (const char *)twice->text.p,
                     twice->text.n > 60 ? "…" : "");
}

static clo_err set_key(clo_arena *a, clo_wire_node *map, const clo_wire_node *wanted, clo_wire_node *value)
{
    CLO_CHECK(map->type == CLO_WIRE_MAP && is_free(map, value), CLO_E_BUG);
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next)
        CLO_CHECK(clo_wire_key_compare(n->key, wanted) != 0, CLO_E_DUPLICATE);
    clo_wire_node *key = NULL;
    if (wanted->type == CLO_WIRE_TEXT)
        CLO_TRY(clo_wire_text(a, wanted->text, &key));
    else
        CLO_TRY(clo_wire_int(a, wanted->integer, &key));
    value->key = key;
    clo_wire_link(map, value);
    return CLO_OK;
}

clo_err clo_wire_set(clo_arena *a, clo_wire_node *map, const char *key, clo_wire_node *value)
{
    clo_wire_node wanted = {.type = CLO_WIRE_TEXT, .text = clo_span_str(key)};
    return set_key(a, map, &wanted, value);
}

clo_err clo_wire_set_int_key(clo_arena *a, clo_wire_node *map, int64_t key, clo_wire_node *value)
{
    clo_wire_node wanted = {.type = CLO_WIRE_INT, .integer = key};
    return set_key(a, map, &wanted, value);
}

clo_err clo_wire_set_text(clo_arena *a, clo_wire_node *map, const char *key, const char *v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_text(a, clo_span_str(v), &n));
    return clo_wire_set(a, map, key, n);
}

clo_err clo_wire_set_bytes(clo_arena *a, clo_wire_node *map, const char *key, clo_span v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_bytes(a, v, &n));
    return clo_wire_set(a, map, key, n);
}

clo_err clo_wire_set_int(clo_arena *a, clo_wire_node *map, const char *key, int64_t v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_int(a, v, &n));
    return clo_wire_set(a, map, key, n);
}

clo_err clo_wire_set_float(clo_arena *a, clo_wire_node *map, const char *key, double v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_float(a, v, &n));
    return clo_wire_set(a, map, key, n);
}

clo_err clo_wire_set_bool(clo_arena *a, clo_wire_node *map, const char *key, bool v)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_bool(a, v, &n));
    return clo_wire_set(a, map, key, n);
}

clo_err clo_wire_set_time(clo_arena *a, clo_wire_node *map, const char *key, int64_t seconds)
{
    char text[21];
    clo_time_format(text, seconds);
    return clo_wire_set_text(a, map, key, text);
}

clo_err clo_wire_set_denial(clo_arena *a, clo_wire_node *map, const clo_denial *d)
{
    CLO_TRY(clo_wire_set_text(a, map, "claim", d->claim));
    CLO_TRY(clo_wire_set_text(a, map, "expected", d->expected));
    CLO_TRY(clo_wire_set_text(a, map, "actual", d->actual));
    CLO_TRY(clo_wire_set_text(a, map, "source", d->source));
    return clo_wire_set_text(a, map, "remedy", d->remedy);
}

clo_wire_node *clo_wire_get(const clo_wire_node *map, const char *key)
{
    if (map == NULL || map->type != CLO_WIRE_MAP) return NULL;
    clo_span wanted = clo_span_str(key);
    for (clo_wire_node *n = map->first; n != NULL; n = n->next)
        if (n->key->type == CLO_WIRE_TEXT && clo_span_equal(n->key->text, wanted)) return n;
    return NULL;
}

clo_wire_node *clo_wire_get_int_key(const clo_wire_node *map, int64_t key)
{
    if (map == NULL || map->type != CLO_WIRE_MAP) return NULL;
    for (clo_wire_node *n = map->first; n != NULL; n = n->next)
        if (n->key->type == CLO_WIRE_INT && n->key->integer == key) return n;
    return NULL;
}

static clo_err hexify(clo_arena *a, clo_wire_node *node, unsigned depth)
{
    CLO_CHECKF(depth < CLO_WIRE_DEPTH_MAX, CLO_E_TOO_MANY, "the value nests deeper than %d levels", CLO_WIRE_DEPTH_MAX);
    if (node->type == CLO_WIRE_BYTES) {
        void *p = NULL;
        CLO_TRY(clo_arena_array(a, node->text.n * 2 + 1, 1, &p));
        clo_hex_encode(p, node->text);
        node->text = clo_span_of(p, node->text.n * 2);
        node->type = CLO_WIRE_TEXT;
    }
    for (clo_wire_node *n = node->first; n != NULL; n = n->next) CLO_TRY(hexify(a, n, depth + 1));
    return CLO_OK;
}

clo_err clo_wire_hexify(clo_arena *a, clo_wire_node *node) { return hexify(a, node, 0); }
