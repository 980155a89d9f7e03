/* Required claims: found by path, compared by exact type and value. */
#include "attest/policy_claims.h"
#include "base/clo_text.h"

#include <stdio.h>

enum { STEPS_MAX = 16, DIGITS_MAX = 18 };

static bool is_digits(clo_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    }
    return s.n != 0;
}

/* What stands behind `key` and a dot, or nothing where they are the same; false where the path does not go on with this key. */
static bool path_step(clo_span path, clo_span key, clo_span *rest)
{
    if (key.n > path.n || (key.n != 0 && memcmp(path.p, key.p, key.n) != 0)) return false;
    *rest = clo_span_of(path.p + key.n, path.n - key.n);
    if (rest->n == 0) return true;
    if (rest->p[0] != '.' || rest->n == 1) return false;
    *rest = clo_span_of(rest->p + 1, rest->n - 1);
    return true;
}

static clo_span key_text(const clo_wire_node *key, char room[24])
{
    if (key->type == CLO_WIRE_TEXT) return key->text;
    if (key->type != CLO_WIRE_INT) return clo_span_of(NULL, 0);
    (void)snprintf(room, 24, "%lld", (long long)key->integer);
    return clo_span_str(room);
}

/* How many claims the path could mean; at most two are counted. */
static unsigned find(const clo_wire_node *at, clo_span path, unsigned steps, const clo_wire_node **out)
{
    if (path.n == 0) {
        *out = at;
        return 1;
    }
    if (steps == STEPS_MAX || (at->type != CLO_WIRE_MAP && at->type != CLO_WIRE_ARRAY)) return 0;
    unsigned found = 0;
    size_t index = 0;
    for (const clo_wire_node *n = at->first; n != NULL && found < 2; n = n->next, index++) {
        char room[24];
        clo_span rest, key;
        if (at->type == CLO_WIRE_MAP) {
            key = n->key == NULL ? clo_span_of(NULL, 0) : key_text(n->key, room);
        } else {
            (void)snprintf(room, sizeof room, "%zu", index);
            key = clo_span_str(room);
        }
        if (key.n != 0 && path_step(path, key, &rest)) found += find(n, rest, steps + 1, out);
    }
    return found;
}

const clo_wire_node *clo_attest_claim_find(const clo_wire_node *claims, const char *path)
{
    const clo_wire_node *out = NULL;
    clo_span text = clo_span_str(path);
    if (claims == NULL || text.n == 0) return NULL;
    return find(claims, text, 0, &out) == 1 ? out : NULL;
}

static bool hex_equal(clo_span bytes, clo_span text)
{
    static const char digits[] = "0123456789abcdef";
    if (text.n != 2 * bytes.n) return false;
    for (size_t i = 0; i < bytes.n; i++) {
        if (text.p[2 * i] != (uint8_t)digits[bytes.p[i] >> 4] || text.p[2 * i + 1] != (uint8_t)digits[bytes.p[i] & 15]) return false;
    }
    return true;
}

bool clo_attest_claim_equal(const clo_wire_node *claim, const clo_wire_node *wanted)
{
    if (claim->type == CLO_WIRE_BYTES && wanted->type == CLO_WIRE_TEXT) return hex_equal(claim->text, wanted->text);
    if (claim->type != wanted->type) return false;
    if (claim->type == CLO_WIRE_BOOL) return claim->boolean == wanted->boolean;
    if (claim->type == CLO_WIRE_INT) return claim->integer == wanted->integer;
    if (claim->type == CLO_WIRE_TEXT || claim->type == CLO_WIRE_BYTES) return clo_span_equal(claim->text, wanted->text);
    return false;
}

void clo_attest_claim_text(const clo_wire_node *n, char *to, size_t size)
{
    static const char *const kinds[] = {"null", "", "", "a fraction", "", "", "a list", "an object", "a tag"};
    char hex[2 * 64 + 1];
    if (n == NULL) {
        (void)snprintf(to, size, "absent");
    } else if (n->type == CLO_WIRE_BOOL) {
        (void)snprintf(to, size, "%s", n->boolean ? "true" : "false");
    } else if (n->type == CLO_WIRE_INT) {
        (void)snprintf(to, size, "%lld", (long long)n->integer);
    } else if (n->type == CLO_WIRE_TEXT) {
        (void)snprintf(to, size, "\"%s\"", (const char *)n->text.p);
    } else if (n->type == CLO_WIRE_BYTES) {
        clo_hex_encode(hex, clo_span_of(n->text.p, n->text.n < 64 ? n->text.n : 64));
        (void)snprintf(to, size, "%s%s", hex, n->text.n > 64 ? "…" : "");
    } else {
        (void)snprintf(to, size, "%s", kinds[n->type]);
    }
}

/* A value as it is compared: TEXT, INT, BOOL or BYTES. */
CLO_R clo_attest_claim_value_read(clo_arena *a, const clo_wire_node *n, const char *path, clo_wire_node **out)
{
    if (n->type == CLO_WIRE_INT) return clo_wire_int(a, n->integer, out);
    if (n->type == CLO_WIRE_BOOL) return clo_wire_bool(a, n->boolean, out);
    if (n->type == CLO_WIRE_BYTES) return clo_wire_bytes(a, n->text, out);
    CLO_CHECKF(n->type == CLO_WIRE_TEXT, CLO_E_MALFORMED,
               "the value of %s is compared as a text, a whole number, true or false, and nothing else is", path);
    if (n->plain && clo_span_equal(n->text, clo_span_str("true"))) return clo_wire_bool(a, true, out);
    if (n->plain && clo_span_equal(n->text, clo_span_str("false"))) return clo_wire_bool(a, false, out);
    bool minus = n->text.n > 1 && n->text.p[0] == '-';
    if (n->plain && is_digits(clo_span_of(n->text.p + minus, n->text.n - minus))) {
        int64_t v = 0;
        CLO_CHECKF(n->text.n <= DIGITS_MAX, CLO_E_RANGE, "the value of %s: put quotes around a text that is all digits", path);
        CLO_TRY(clo_wire_node_int(n, path, &v));
        return clo_wire_int(a, v, out);
    }
    return clo_wire_text(a, n->text, out);
}

static clo_err values_read(clo_arena *a, const clo_wire_node *n, const char *path, clo_wire_node **out)
{
    clo_wire_node *one = NULL;
    CLO_TRY(clo_wire_array(a, out));
    if (n->type != CLO_WIRE_ARRAY) {
        CLO_TRY(clo_attest_claim_value_read(a, n, path, &one));
        return clo_wire_append(*out, one);
    }
    CLO_CHECKF(n->count != 0, CLO_E_RANGE, "policy.required_claims.%s is an empty list, which would allow nothing; leave it out or name a value",
               path);
    CLO_CHECKF(n->count <= CLO_ATTEST_CLAIM_VALUES_MAX, CLO_E_TOO_MANY, "policy.required_claims.%s: at most %d values", path,
               (int)CLO_ATTEST_CLAIM_VALUES_MAX);
    for (const clo_wire_node *v = n->first; v != NULL; v = v->next) {
        CLO_TRY(clo_attest_claim_value_read(a, v, path, &one));
        CLO_TRY(clo_wire_append(*out, one));
    }
    return CLO_OK;
}

CLO_R clo_attest_required_claims_read(clo_arena *a, const clo_wire_node *node, clo_wire_node **out)
{
    CLO_CHECKF(node->type == CLO_WIRE_MAP && node->count != 0, CLO_E_MALFORMED,
               "policy.required_claims is an object: path of a claim -> list of allowed values");
    CLO_CHECKF(node->count <= CLO_ATTEST_CLAIMS_MAX, CLO_E_TOO_MANY, "policy.required_claims: at most %d claims", (int)CLO_ATTEST_CLAIMS_MAX);
    clo_wire_node *map = NULL, *values = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    for (const clo_wire_node *n = node->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->key->type == CLO_WIRE_TEXT && n->key->text.n != 0 && n->key->text.n <= CLO_ATTEST_CLAIM_PATH &&
                       strlen((const char *)n->key->text.p) == n->key->text.n,
                   CLO_E_MALFORMED, "policy.required_claims: a path is a text of 1 to %d bytes", (int)CLO_ATTEST_CLAIM_PATH);
        const char *path = (const char *)n->key->text.p;
        CLO_TRY(values_read(a, n, path, &values));
        CLO_TRY(clo_wire_set(a, map, path, values));
    }
    *out = map;
    return CLO_OK;
}
