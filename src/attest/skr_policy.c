/* Secure key release policies: read, matched. skr_convert.c turns them into policies and back. */
#include "attest/skr_policy.h"
#include "attest/policy_claims.h"

#include <stdio.h>

enum { AUTHORITY_MAX = 256 };
static const char *const operators[] = {"equals", "notEquals", "less", "lessOrEquals", "greater", "greaterOrEquals", "exists"};
enum { OP_EQUALS, OP_NOT_EQUALS, OP_LESS, OP_LESS_OR_EQUALS, OP_GREATER, OP_GREATER_OR_EQUALS, OP_EXISTS, OPERATORS };

typedef struct {
    clo_arena *arena;
    unsigned conditions;
} reading;

static bool text_is(const clo_wire_node *n, const char *text) { return n->type == CLO_WIRE_TEXT && clo_span_equal(n->text, clo_span_str(text)); }
static bool text_clean(const clo_wire_node *n, size_t max)
{
    return n != NULL && n->type == CLO_WIRE_TEXT && n->text.n != 0 && n->text.n <= max && strlen((const char *)n->text.p) == n->text.n;
}

/* The operator of {"claim", op: value} and its value; OPERATORS where the object is no such condition. */
static unsigned operator_of(const clo_wire_node *condition, const clo_wire_node **value)
{
    for (unsigned i = 0; i < OPERATORS; i++) {
        *value = clo_wire_get(condition, operators[i]);
        if (*value != NULL) return i;
    }
    return OPERATORS;
}

static clo_err claim_read(reading *r, const clo_wire_node *node, clo_wire_node **out)
{
    const clo_wire_node *claim = clo_wire_get(node, "claim"), *value = NULL;
    clo_wire_node *copy = NULL;
    unsigned op = operator_of(node, &value);
    CLO_CHECKF(text_clean(claim, CLO_ATTEST_CLAIM_PATH), CLO_E_MALFORMED, "release policy: \"claim\" is a name of 1 to %d bytes",
               (int)CLO_ATTEST_CLAIM_PATH);
    CLO_CHECKF(op < OPERATORS && node->count == 2, CLO_E_MALFORMED,
               "release policy: the condition on %s needs exactly one of equals, notEquals, less, lessOrEquals, greater, greaterOrEquals, exists",
               (const char *)claim->text.p);
    CLO_TRY(clo_attest_claim_value_read(r->arena, value, (const char *)claim->text.p, &copy));
    value = copy;
    bool ordered = op >= OP_LESS && op <= OP_GREATER_OR_EQUALS;
    CLO_CHECKF(!ordered || value->type == CLO_WIRE_INT, CLO_E_MALFORMED, "release policy: %s of %s needs a whole number", operators[op],
               (const char *)claim->text.p);
    CLO_CHECKF(op != OP_EXISTS || (value->type == CLO_WIRE_BOOL && value->boolean), CLO_E_RANGE,
               "release policy: \"exists\" of %s must be true; a condition that a missing claim meets is not accepted", (const char *)claim->text.p);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(r->arena, &map));
    CLO_TRY(clo_wire_set_text(r->arena, map, "claim", (const char *)claim->text.p));
    CLO_TRY(clo_wire_set(r->arena, map, operators[op], copy));
    *out = map;
    return CLO_OK;
}

static clo_err condition_read(reading *r, const clo_wire_node *node, unsigned depth, clo_wire_node **out);

/* The list behind allOf or anyOf. */
static clo_err group_read(reading *r, const clo_wire_node *node, unsigned depth, clo_wire_node *to)
{
    const clo_wire_node *all = clo_wire_get(node, "allOf"), *any = clo_wire_get(node, "anyOf"), *list = all != NULL ? all : any;
    CLO_CHECKF((all == NULL) != (any == NULL) && list->type == CLO_WIRE_ARRAY && list->first != NULL, CLO_E_MALFORMED,
               "release policy: exactly one of allOf and anyOf, a list of at least one condition, is needed");
    clo_wire_node *copy = NULL, *one = NULL;
    CLO_TRY(clo_wire_array(r->arena, &copy));
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        CLO_TRY(condition_read(r, n, depth + 1, &one));
        CLO_TRY(clo_wire_append(copy, one));
    }
    return clo_wire_set(r->arena, to, all != NULL ? "allOf" : "anyOf", copy);
}

static clo_err condition_read(reading *r, const clo_wire_node *node, unsigned depth, clo_wire_node **out)
{
    CLO_CHECKF(node->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "release policy: a condition is an object");
    CLO_CHECKF(depth <= CLO_SKR_DEPTH_MAX && ++r->conditions <= CLO_SKR_CONDITIONS_MAX, CLO_E_TOO_MANY,
               "release policy: at most %d conditions, nested at most %d deep", (int)CLO_SKR_CONDITIONS_MAX, (int)CLO_SKR_DEPTH_MAX);
    if (clo_wire_get(node, "claim") != NULL) return claim_read(r, node, out);
    CLO_CHECKF(node->count == 1, CLO_E_UNKNOWN_FIELD, "release policy: a condition has \"claim\" and an operator, or allOf, or anyOf, and nothing else");
    CLO_TRY(clo_wire_map(r->arena, out));
    return group_read(r, node, depth, *out);
}

CLO_R clo_attest_skr_read(clo_arena *a, const clo_wire_node *node, clo_wire_node **out)
{
    reading r = {.arena = a};
    CLO_CHECKF(node->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "a release policy is an object");
    const clo_wire_node *version = clo_wire_get(node, "version"), *list = clo_wire_get(node, "anyOf");
    CLO_CHECKF(version != NULL && text_is(version, "1.0.0"), CLO_E_UNSUPPORTED, "release policy: version must be \"1.0.0\"");
    CLO_CHECKF(list != NULL && list->type == CLO_WIRE_ARRAY && list->first != NULL && node->count == 2, CLO_E_MALFORMED,
               "release policy: besides version it has anyOf, a list of at least one authority, and nothing else");
    clo_wire_node *map = NULL, *copy = NULL, *one = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "version", "1.0.0"));
    CLO_TRY(clo_wire_array(a, &copy));
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        const clo_wire_node *authority = n->type == CLO_WIRE_MAP ? clo_wire_get(n, "authority") : NULL;
        CLO_CHECKF(text_clean(authority, AUTHORITY_MAX) && strncmp((const char *)authority->text.p, "https://", 8) == 0 && n->count == 2,
                   CLO_E_MALFORMED, "release policy: each element of anyOf has an authority (https://…) and allOf or anyOf");
        CLO_CHECKF(++r.conditions <= CLO_SKR_CONDITIONS_MAX, CLO_E_TOO_MANY, "release policy: too many authorities");
        CLO_TRY(clo_wire_map(a, &one));
        CLO_TRY(clo_wire_set_text(a, one, "authority", (const char *)authority->text.p));
        CLO_TRY(group_read(&r, n, 1, one));
        CLO_TRY(clo_wire_append(copy, one));
    }
    CLO_TRY(clo_wire_set(a, map, "anyOf", copy));
    *out = map;
    return CLO_OK;
}

static bool claim_match(const clo_wire_node *condition, const clo_wire_node *claims, char why[200])
{
    const char *path = (const char *)clo_wire_get(condition, "claim")->text.p;
    const clo_wire_node *value = NULL, *claim = clo_attest_claim_find(claims, path);
    unsigned op = operator_of(condition, &value);
    bool ok = claim != NULL;
    if (ok && op <= OP_NOT_EQUALS) {
        bool same_type = claim->type == value->type || (claim->type == CLO_WIRE_BYTES && value->type == CLO_WIRE_TEXT);
        ok = same_type && clo_attest_claim_equal(claim, value) == (op == OP_EQUALS);
    } else if (ok && op != OP_EXISTS) {
        int64_t v = claim->integer, w = value->integer;
        bool holds[OPERATORS] = {[OP_LESS] = v < w, [OP_LESS_OR_EQUALS] = v <= w, [OP_GREATER] = v > w, [OP_GREATER_OR_EQUALS] = v >= w};
        ok = claim->type == CLO_WIRE_INT && holds[op];
    }
    if (!ok) {
        char want[64], got[64];
        clo_attest_claim_text(value, want, sizeof want);
        clo_attest_claim_text(claim, got, sizeof got);
        (void)snprintf(why, 200, "%.60s is %s, not %s %s", path, got, operators[op], want);
    }
    return ok;
}

static bool group_match(const clo_wire_node *group, const clo_wire_node *claims, char why[200]);

static bool condition_match(const clo_wire_node *condition, const clo_wire_node *claims, char why[200])
{
    return clo_wire_get(condition, "claim") != NULL ? claim_match(condition, claims, why) : group_match(condition, claims, why);
}

/* Depth is bounded by the reader. */
static bool group_match(const clo_wire_node *group, const clo_wire_node *claims, char why[200])
{
    const clo_wire_node *all = clo_wire_get(group, "allOf"), *list = all != NULL ? all : clo_wire_get(group, "anyOf");
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        bool ok = condition_match(n, claims, why);
        if (ok != (all != NULL)) return ok;
    }
    return all != NULL;
}

/* Addresses of issuers are written with and without a slash at the end. */
static bool authority_is(const clo_wire_node *n, const char *issuer)
{
    clo_span a = n->text, b = clo_span_str(issuer);
    if (a.n != 0 && a.p[a.n - 1] == '/') a.n--;
    if (b.n != 0 && b.p[b.n - 1] == '/') b.n--;
    return clo_span_equal(a, b);
}

bool clo_attest_skr_match(const clo_wire_node *policy, const clo_wire_node *claims, const char *issuer, char why[200])
{
    char room[200];
    if (why == NULL) why = room;
    (void)snprintf(why, 200, "no authority of the policy is %.120s", issuer == NULL ? "" : issuer);
    for (const clo_wire_node *n = clo_wire_get(policy, "anyOf")->first; n != NULL; n = n->next) {
        if (issuer != NULL && !authority_is(clo_wire_get(n, "authority"), issuer)) continue;
        if (!group_match(n, claims, why)) continue;
        (void)snprintf(why, 200, "the conditions of %.120s hold", (const char *)clo_wire_get(n, "authority")->text.p);
        return true;
    }
    return false;
}
