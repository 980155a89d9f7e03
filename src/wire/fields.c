/* Reading an object by schema. */
#include <math.h>
#include <stdio.h>

#include "base/clo_text.h"
#include "wire/tree.h"

enum { FIELDS_MAX = 64 };
static const clo_wire_node empty_array = {.type = CLO_WIRE_ARRAY};
static const clo_wire_node empty_map = {.type = CLO_WIRE_MAP};
static const clo_wire_node empty_null = {.type = CLO_WIRE_NULL};

static const char *type_name(const clo_wire_node *n)
{
    static const char *const names[] = {"null",  "a truth value", "an integer", "a number",      "text",
                                        "bytes", "a list",        "a map",      "a tagged value"};
    return names[n->type];
}

/* " (line N)" where the line is known. */
typedef struct {
    char text[24];
} place;
static place place_of(const clo_wire_node *n)
{
    place p = {{0}};
    if (n != NULL && n->line != 0) (void)snprintf(p.text, sizeof p.text, " (line %u)", n->line);
    return p;
}

static clo_err wrong_type(const clo_wire_node *n, const char *what, const char *wanted)
{
    return CLO_FAILF(CLO_E_MALFORMED, "%s%s must be %s, but is %s", what, place_of(n).text, wanted, type_name(n));
}

static bool is_word(const clo_wire_node *n, const char *word) { return clo_span_equal(n->text, clo_span_str(word)); }

static bool is_null(const clo_wire_node *n)
{
    if (n->type == CLO_WIRE_NULL) return true;
    return n->type == CLO_WIRE_TEXT && n->plain && (n->text.n == 0 || is_word(n, "~") || is_word(n, "null"));
}

/* The thread's sentence may be overwritten before `end` is called: keep it. */
static void latch(clo_wire_fields *f, clo_err e)
{
    if (clo_failed(f->err)) return;
    f->err = e;
    (void)snprintf(f->text, sizeof f->text, "%s", clo_err_text());
}

void clo_wire_fields_open(clo_wire_fields *f, clo_arena *arena, const clo_wire_node *node, const char *what)
{
    *f = (clo_wire_fields){.map = node, .arena = arena};
    (void)snprintf(f->path, sizeof f->path, "%s", what);
    if (node == NULL) return;
    if (node->type != CLO_WIRE_MAP) {
        f->map = NULL;
        latch(f, wrong_type(node, f->path, "a map"));
    } else if (node->count > FIELDS_MAX) {
        f->map = NULL;
        latch(f, CLO_FAILF(CLO_E_TOO_MANY, "%s%s has %zu members; at most %d are allowed", f->path, place_of(node).text,
                           node->count, FIELDS_MAX));
    }
}

/* The member, marked as taken; NULL where there is none. */
static const clo_wire_node *find(clo_wire_fields *f, const char *key)
{
    if (f->map == NULL) return NULL;
    clo_span wanted = clo_span_str(key);
    unsigned index = 0;
    for (const clo_wire_node *n = f->map->first; n != NULL; n = n->next, index++) {
        if (n->key->type != CLO_WIRE_TEXT || !clo_span_equal(n->key->text, wanted)) continue;
        f->taken |= UINT64_C(1) << index;
        return n;
    }
    return NULL;
}

typedef struct {
    char text[240];
} member_name;
static member_name name_of(const clo_wire_fields *f, const char *key)
{
    member_name m;
    (void)snprintf(m.text, sizeof m.text, "%s%s%.63s", f->path, f->path[0] != '\0' ? "." : "", key);
    return m;
}

/* A required member, or NULL and the cursor has failed. */
static const clo_wire_node *need(clo_wire_fields *f, const char *key)
{
    if (clo_failed(f->err)) return NULL;
    const clo_wire_node *n = find(f, key);
    if (n != NULL && !is_null(n)) return n;
    /* A plain empty scalar may be meant as empty text: the callers that take text accept quoted "" only. */
    latch(f,
          CLO_FAILF(CLO_E_MISSING_FIELD, "%s%s is missing; add it", name_of(f, key).text, place_of(n != NULL ? n : f->map).text));
    return NULL;
}

bool clo_wire_has(clo_wire_fields *f, const char *key)
{
    const clo_wire_node *n = clo_wire_get(f->map, key);
    if (n == NULL) return false;
    if (!is_null(n)) return true;
    (void)find(f, key);
    return false;
}

clo_err clo_wire_node_text(clo_arena *a, const clo_wire_node *n, const char *what, const char **out, size_t bytes_max)
{
    if (n->type != CLO_WIRE_TEXT) return wrong_type(n, what, "text");
    CLO_CHECKF(n->text.n <= bytes_max, CLO_E_TOO_LARGE, "%s%s has %zu bytes; at most %zu are allowed", what, place_of(n).text,
               n->text.n, bytes_max);
    CLO_CHECKF(n->text.n == 0 || memchr(n->text.p, 0, n->text.n) == NULL, CLO_E_MALFORMED, "%s%s has a zero byte in its text",
               what, place_of(n).text);
    return clo_arena_str(a, n->text, out);
}

clo_err clo_wire_node_fixed(const clo_wire_node *n, const char *what, void *to, size_t bytes)
{
    if (n->type == CLO_WIRE_BYTES) {
        CLO_CHECKF(n->text.n == bytes, CLO_E_MALFORMED, "%s%s must have %zu bytes, but has %zu", what, place_of(n).text, bytes,
                   n->text.n);
        if (bytes != 0) memcpy(to, n->text.p, bytes);
        return CLO_OK;
    }
    if (n->type != CLO_WIRE_TEXT) return wrong_type(n, what, "bytes (hex text)");
    if (n->text.n != bytes * 2 || clo_failed(clo_hex_decode(to, bytes, n->text)))
        return CLO_FAILF(CLO_E_MALFORMED, "%s%s must be %zu hex digits", what, place_of(n).text, bytes * 2);
    return CLO_OK;
}

clo_err clo_wire_node_int(const clo_wire_node *n, const char *what, int64_t *out)
{
    if (n->type == CLO_WIRE_INT) {
        *out = n->integer;
        return CLO_OK;
    }
    if (n->type != CLO_WIRE_TEXT || !n->plain) return wrong_type(n, what, "an integer");
    int64_t v = 0;
    if (clo_failed(clo_i64_parse(&v, n->text)))
        return CLO_FAILF(CLO_E_MALFORMED, "%s%s must be an integer, but is \"%.40s\"", what, place_of(n).text,
                         (const char *)n->text.p);
    *out = v;
    return CLO_OK;
}

clo_err clo_wire_node_float(const clo_wire_node *n, const char *what, double *out)
{
    if (n->type == CLO_WIRE_FLOAT) {
        *out = n->number;
        return CLO_OK;
    }
    if (n->type == CLO_WIRE_INT) {
        *out = (double)n->integer;
        return CLO_OK;
    }
    if (n->type != CLO_WIRE_TEXT || !n->plain) return wrong_type(n, what, "a number");
    double v = 0;
    if (clo_failed(clo_f64_parse(&v, n->text)))
        return CLO_FAILF(CLO_E_MALFORMED, "%s%s must be a number, but is \"%.40s\"", what, place_of(n).text,
                         (const char *)n->text.p);
    *out = v;
    return CLO_OK;
}

static clo_err node_bool(const clo_wire_node *n, const char *what, bool *out)
{
    if (n->type == CLO_WIRE_BOOL) {
        *out = n->boolean;
        return CLO_OK;
    }
    bool plain = n->type == CLO_WIRE_TEXT && n->plain;
    if (!plain || (!is_word(n, "true") && !is_word(n, "false"))) return wrong_type(n, what, "true or false");
    *out = is_word(n, "true");
    return CLO_OK;
}

static clo_err node_time(const clo_wire_node *n, const char *what, int64_t *out)
{
    if (n->type == CLO_WIRE_INT) {
        *out = n->integer;
        return CLO_OK;
    }
    if (n->type != CLO_WIRE_TEXT) return wrong_type(n, what, "a time (2026-01-31T12:00:00Z)");
    int64_t v = 0;
    if (clo_failed(clo_time_parse(&v, n->text)) && (!n->plain || clo_failed(clo_i64_parse(&v, n->text))))
        return CLO_FAILF(CLO_E_MALFORMED, "%s%s must be a time such as 2026-01-31T12:00:00Z, but is \"%.40s\"", what,
                         place_of(n).text, (const char *)n->text.p);
    *out = v;
    return CLO_OK;
}

static clo_err node_bytes(clo_arena *a, const clo_wire_node *n, const char *what, clo_span *out, size_t bytes_max)
{
    bool hex = n->type == CLO_WIRE_TEXT;
    if (!hex && n->type != CLO_WIRE_BYTES) return wrong_type(n, what, "bytes (hex text)");
    size_t size = hex ? n->text.n / 2 : n->text.n;
    CLO_CHECKF(size <= bytes_max, CLO_E_TOO_LARGE, "%s%s has %zu bytes; at most %zu are allowed", what, place_of(n).text, size,
               bytes_max);
    if (!hex) {
        *out = n->text;
        return CLO_OK;
    }
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, size + 1, &p));
    if (n->text.n % 2 != 0 || clo_failed(clo_hex_decode(p, size, n->text)))
        return CLO_FAILF(CLO_E_MALFORMED, "%s%s must be an even number of hex digits", what, place_of(n).text);
    *out = clo_span_of(p, size);
    return CLO_OK;
}

void clo_wire_take_text(clo_wire_fields *f, const char *key, const char **out, size_t bytes_max)
{
    *out = "";
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    const char *text = NULL;
    clo_err e = clo_wire_node_text(f->arena, n, name_of(f, key).text, &text, bytes_max);
    if (clo_failed(e))
        latch(f, e);
    else
        *out = text;
}

void clo_wire_take_str(clo_wire_fields *f, const char *key, char *to, size_t to_size)
{
    memset(to, 0, to_size);
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    if (n->type != CLO_WIRE_TEXT) {
        latch(f, wrong_type(n, name_of(f, key).text, "text"));
        return;
    }
    if (n->text.n >= to_size) {
        latch(f, CLO_FAILF(CLO_E_TOO_LARGE, "%s%s has %zu bytes; at most %zu are allowed", name_of(f, key).text, place_of(n).text,
                           n->text.n, to_size - 1));
        return;
    }
    clo_err e = clo_str_set(to, to_size, n->text);
    if (clo_failed(e)) latch(f, clo_err_prefix(e, name_of(f, key).text));
}

void clo_wire_take_name(clo_wire_fields *f, const char *key, char to[64])
{
    clo_wire_take_str(f, key, to, 64);
    if (clo_failed(f->err) || clo_name_valid(to)) return;
    latch(f, CLO_FAILF(CLO_E_MALFORMED,
                       "%s%s must be a name of a-z, 0-9, '.', '_', '-' that starts with a letter or digit, but is \"%s\"",
                       name_of(f, key).text, place_of(clo_wire_get(f->map, key)).text, to));
    memset(to, 0, 64);
}

void clo_wire_take_bytes(clo_wire_fields *f, const char *key, clo_span *out, size_t bytes_max)
{
    *out = clo_span_of(NULL, 0);
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    clo_err e = node_bytes(f->arena, n, name_of(f, key).text, out, bytes_max);
    if (clo_failed(e)) latch(f, e);
}

void clo_wire_take_fixed(clo_wire_fields *f, const char *key, void *to, size_t n)
{
    memset(to, 0, n);
    const clo_wire_node *node = need(f, key);
    if (node == NULL) return;
    clo_err e = clo_wire_node_fixed(node, name_of(f, key).text, to, n);
    if (!clo_failed(e)) return;
    latch(f, e);
    memset(to, 0, n);
}

void clo_wire_take_int(clo_wire_fields *f, const char *key, int64_t *out, int64_t min, int64_t max)
{
    *out = 0;
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    int64_t v = 0;
    clo_err e = clo_wire_node_int(n, name_of(f, key).text, &v);
    if (clo_failed(e)) {
        latch(f, e);
    } else if (v < min || v > max) {
        latch(f, CLO_FAILF(CLO_E_RANGE, "%s%s must be %lld to %lld, but is %lld", name_of(f, key).text, place_of(n).text,
                           (long long)min, (long long)max, (long long)v));
    } else {
        *out = v;
    }
}

void clo_wire_take_float(clo_wire_fields *f, const char *key, double *out)
{
    *out = 0;
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    clo_err e = clo_wire_node_float(n, name_of(f, key).text, out);
    if (clo_failed(e)) latch(f, e);
}

void clo_wire_take_bool(clo_wire_fields *f, const char *key, bool *out)
{
    *out = false;
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    clo_err e = node_bool(n, name_of(f, key).text, out);
    if (clo_failed(e)) latch(f, e);
}

void clo_wire_take_time(clo_wire_fields *f, const char *key, int64_t *seconds)
{
    *seconds = 0;
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    clo_err e = node_time(n, name_of(f, key).text, seconds);
    if (clo_failed(e)) latch(f, e);
}

void clo_wire_take_array(clo_wire_fields *f, const char *key, const clo_wire_node **out, size_t count_max)
{
    *out = &empty_array;
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    if (n->type != CLO_WIRE_ARRAY)
        latch(f, wrong_type(n, name_of(f, key).text, "a list"));
    else if (n->count > count_max)
        latch(f, CLO_FAILF(CLO_E_TOO_MANY, "%s%s has %zu elements; at most %zu are allowed", name_of(f, key).text,
                           place_of(n).text, n->count, count_max));
    else
        *out = n;
}

void clo_wire_take_map(clo_wire_fields *f, const char *key, const clo_wire_node **out)
{
    *out = &empty_map;
    const clo_wire_node *n = need(f, key);
    if (n == NULL) return;
    if (n->type != CLO_WIRE_MAP)
        latch(f, wrong_type(n, name_of(f, key).text, "a map"));
    else
        *out = n;
}

void clo_wire_take_any(clo_wire_fields *f, const char *key, const clo_wire_node **out)
{
    const clo_wire_node *n = need(f, key);
    *out = n != NULL ? n : &empty_null;
}

void clo_wire_fields_fail(clo_wire_fields *f, uint32_t code, const char *key, const char *sentence)
{
    if (clo_failed(f->err)) return;
    latch(f, CLO_FAILF(code, "%s%s %s", name_of(f, key).text, place_of(clo_wire_get(f->map, key)).text, sentence));
}

clo_err clo_wire_fields_end(clo_wire_fields *f)
{
    if (clo_failed(f->err)) return clo_err_again(f->err.code, f->text);
    if (f->map == NULL) return CLO_OK;
    unsigned index = 0;
    for (const clo_wire_node *n = f->map->first; n != NULL; n = n->next, index++) {
        bool taken = (f->taken >> index & 1u) != 0;
        if (taken) continue;
        if (n->key->type != CLO_WIRE_TEXT)
            return CLO_FAILF(CLO_E_UNKNOWN_FIELD, "%s has an unknown member %lld; remove it", f->path,
                             (long long)n->key->integer);
        return CLO_FAILF(CLO_E_UNKNOWN_FIELD, "%s has an unknown member \"%.60s\"%s; remove it or check its spelling", f->path,
                         (const char *)n->key->text.p, place_of(n).text);
    }
    return CLO_OK;
}
