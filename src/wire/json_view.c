#include "wire/json_view.h"
#include "base/clo_text.h"
#include "wire/tree.h"

_Static_assert(CLO_WIRE_DEPTH_MAX <= 32, "the kinds of the open brackets are bits of one word");

static bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static void skip_space(clo_span *s)
{
    while (s->n != 0 && is_space(s->p[0])) {
        s->p++;
        s->n--;
    }
}

/* What stops a scan: control characters and the two of a text, and outside of texts its quote and the brackets. */
enum { STOPS_TEXT = 1, STOPS_NESTED = 2 };
static const uint8_t stops[256] = {
    [0] = STOPS_TEXT,    [1] = STOPS_TEXT,    [2] = STOPS_TEXT,    [3] = STOPS_TEXT,    [4] = STOPS_TEXT,    [5] = STOPS_TEXT,    [6] = STOPS_TEXT,
    [7] = STOPS_TEXT,    [8] = STOPS_TEXT,    [9] = STOPS_TEXT,    [10] = STOPS_TEXT,   [11] = STOPS_TEXT,   [12] = STOPS_TEXT,   [13] = STOPS_TEXT,
    [14] = STOPS_TEXT,   [15] = STOPS_TEXT,   [16] = STOPS_TEXT,   [17] = STOPS_TEXT,   [18] = STOPS_TEXT,   [19] = STOPS_TEXT,   [20] = STOPS_TEXT,
    [21] = STOPS_TEXT,   [22] = STOPS_TEXT,   [23] = STOPS_TEXT,   [24] = STOPS_TEXT,   [25] = STOPS_TEXT,   [26] = STOPS_TEXT,   [27] = STOPS_TEXT,
    [28] = STOPS_TEXT,   [29] = STOPS_TEXT,   [30] = STOPS_TEXT,   [31] = STOPS_TEXT,   ['\\'] = STOPS_TEXT, ['"'] = STOPS_TEXT | STOPS_NESTED,
    ['{'] = STOPS_NESTED, ['['] = STOPS_NESTED, ['}'] = STOPS_NESTED, [']'] = STOPS_NESTED,
};

/* Bytes of the text that begins with a quote at `at`, both quotes included; 0 where it does not end. */
static size_t text_size(const uint8_t *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if ((stops[at[i]] & STOPS_TEXT) == 0) continue;
        if (at[i] == '"') return i + 1;
        if (at[i] != '\\') return 0;
        i++;
    }
    return 0;
}

/* Bytes of the object or array that begins at `at`; 0 where it does not nest or end. */
static size_t nested_size(const uint8_t *at, size_t n)
{
    uint32_t kinds = 0; /* bit 0 is the innermost bracket: 1 = object */
    unsigned depth = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = at[i];
        if ((stops[c] & STOPS_NESTED) == 0) continue;
        if (c == '"') {
            size_t size = text_size(at + i, n - i);
            if (size == 0) return 0;
            i += size - 1;
        } else if (c == '{' || c == '[') {
            if (++depth > CLO_WIRE_DEPTH_MAX) return 0;
            kinds = kinds << 1 | (c == '{' ? 1u : 0u);
        } else {
            if ((kinds & 1) != (c == '}' ? 1u : 0u)) return 0;
            kinds >>= 1;
            if (--depth == 0) return i + 1;
        }
    }
    return 0;
}

static size_t scalar_size(const uint8_t *at, size_t n)
{
    size_t i = 0;
    while (i < n && (at[i] == '-' || at[i] == '+' || at[i] == '.' || (at[i] >= '0' && at[i] <= '9') || (at[i] >= 'A' && at[i] <= 'Z') ||
                     (at[i] >= 'a' && at[i] <= 'z')))
        i++;
    return i;
}

/* Take one value off the front. */
static bool take_value(clo_span *in, clo_span *value)
{
    skip_space(in);
    if (in->n == 0) return false;
    uint8_t c = in->p[0];
    size_t size = c == '"' ? text_size(in->p, in->n) : c == '{' || c == '[' ? nested_size(in->p, in->n) : scalar_size(in->p, in->n);
    if (size == 0) return false;
    *value = clo_span_of(in->p, size);
    in->p += size;
    in->n -= size;
    return true;
}

static bool take_byte(clo_span *in, uint8_t want)
{
    skip_space(in);
    if (in->n == 0 || in->p[0] != want) return false;
    in->p++;
    in->n--;
    return true;
}

static clo_wire_json_view view_open(clo_span text, uint8_t open, uint8_t close)
{
    clo_wire_json_view v = {.rest = text, .close = close};
    v.bad = !take_byte(&v.rest, open);
    return v;
}

clo_wire_json_view clo_wire_json_view_object(clo_span text) { return view_open(text, '{', '}'); }
clo_wire_json_view clo_wire_json_view_array(clo_span text) { return view_open(text, '[', ']'); }

static bool view_close(clo_wire_json_view *v)
{
    skip_space(&v->rest);
    v->done = true;
    v->bad = v->rest.n != 0;
    return false;
}

static bool view_fail(clo_wire_json_view *v)
{
    v->bad = true;
    return false;
}

bool clo_wire_json_view_next(clo_wire_json_view *v, clo_span *key, clo_span *value)
{
    clo_span name = {NULL, 0}, found = {NULL, 0};
    if (v->bad || v->done) return false;
    if (take_byte(&v->rest, v->close)) return view_close(v);
    if (v->begun && !take_byte(&v->rest, ',')) return view_fail(v);
    v->begun = true;
    if (v->close == '}') {
        clo_span quoted = {NULL, 0};
        if (!take_value(&v->rest, &quoted) || clo_failed(clo_wire_json_view_text(quoted, &name)) || !take_byte(&v->rest, ':')) return view_fail(v);
    }
    if (!take_value(&v->rest, &found)) return view_fail(v);
    *key = name;
    *value = found;
    return true;
}

CLO_R clo_wire_json_view_end(const clo_wire_json_view *v)
{
    CLO_CHECKF(v->done && !v->bad, CLO_E_MALFORMED, "the JSON text is not well-formed");
    return CLO_OK;
}

CLO_R clo_wire_json_view_text(clo_span value, clo_span *out)
{
    CLO_CHECKF(value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"', CLO_E_MALFORMED, "a JSON text is wanted");
    for (size_t i = 1; i + 1 < value.n; i++) {
        uint8_t c = value.p[i];
        CLO_CHECKF(c >= 0x20 && c < 0x7f && c != '\\' && c != '"', CLO_E_MALFORMED, "a JSON text here is printable ASCII without escapes");
    }
    *out = clo_span_of(value.p + 1, value.n - 2);
    return CLO_OK;
}

CLO_R clo_wire_json_view_uint(clo_span value, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    CLO_TRY(clo_u64_parse(&v, value));
    CLO_CHECKF(v <= max, CLO_E_RANGE, "the number is larger than %llu", (unsigned long long)max);
    *out = v;
    return CLO_OK;
}

CLO_R clo_wire_json_view_hex(clo_span value, void *to, size_t n)
{
    clo_span text = {NULL, 0};
    CLO_TRY(clo_wire_json_view_text(value, &text));
    return clo_hex_decode(to, n, text);
}
