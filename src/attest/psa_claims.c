/* Claims of PSA kind (RFC 9783), which CCA platform tokens share: forms, lengths, lifecycle, software components. */
#include "attest/psa_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"

#include <stdio.h>

enum { COMPONENTS_MAX = 64, DEPTH_MAX = 16 };

static bool is_hash_size(size_t n) { return n == 32 || n == 48 || n == 64; }

static bool claim_check(const token_claims *t, const char *name, bool ok, const char *expected, const char *actual)
{
    char full[48];
    (void)snprintf(full, sizeof full, "%s%s", t->prefix, name);
    return clo_attest_check_add(t->result, full, ok, "claims", expected, actual);
}

bool clo_attest_psa_check(const token_claims *t, const char *name, bool ok, const char *expected, const char *actual)
{
    return claim_check(t, name, ok, expected, actual);
}

bool clo_attest_psa_bytes(const token_claims *t, const char *key, const char *name, bool required, token_length rule, size_t min, size_t max,
                          clo_span *out)
{
    *out = clo_span_of(NULL, 0);
    const clo_wire_node *n = clo_wire_get(t->map, key);
    if (n == NULL && !required) return true;
    char want[64], got[64];
    if (rule == TOKEN_HASH) {
        (void)snprintf(want, sizeof want, "32, 48 or 64 bytes");
    } else if (rule == TOKEN_EXACT) {
        (void)snprintf(want, sizeof want, "%zu bytes", min);
    } else {
        (void)snprintf(want, sizeof want, "%zu to %zu bytes", min, max);
    }
    if (n == NULL || n->type != CLO_WIRE_BYTES) return claim_check(t, name, false, want, n == NULL ? "absent" : "no byte string");
    size_t size = n->text.n;
    bool ok = rule == TOKEN_HASH ? is_hash_size(size) : rule == TOKEN_EXACT ? size == min : size >= min && size <= max;
    (void)snprintf(got, sizeof got, "%zu bytes", size);
    if (ok) *out = n->text;
    return claim_check(t, name, ok, want, got);
}

bool clo_attest_psa_text(const token_claims *t, const char *key, const char *name, bool required, clo_span *out)
{
    *out = clo_span_of(NULL, 0);
    const clo_wire_node *n = clo_wire_get(t->map, key);
    if (n == NULL && !required) return true;
    bool ok = n != NULL && n->type == CLO_WIRE_TEXT && n->text.n != 0;
    if (ok) *out = n->text;
    return claim_check(t, name, ok, "a text", n == NULL ? "absent" : ok ? "a text" : "empty or no text");
}

bool clo_attest_psa_instance(const token_claims *t, const char *key, clo_span *out)
{
    if (!clo_attest_psa_bytes(t, key, "instance_id", true, TOKEN_EXACT, 33, 33, out)) return false;
    bool random = out->p[0] == 1;
    return claim_check(t, "instance_id.kind", random, "1 (a random UEID)", random ? "1 (a random UEID)" : "another kind");
}

static const char *const lifecycles[] = {"unknown", "assembly_and_test", "rot_provisioning", "secured", "non_rot_debug", "recoverable_rot_debug", "decommissioned"};

bool clo_attest_psa_lifecycle(const token_claims *t, const char *key, const char **state)
{
    *state = NULL;
    const clo_wire_node *n = clo_wire_get(t->map, key);
    bool ok = n != NULL && n->type == CLO_WIRE_INT && n->integer >= 0 && n->integer <= 0x60ff && (n->integer & 0x0f00) == 0;
    if (ok) *state = lifecycles[n->integer >> 12];
    char got[32] = "absent";
    if (n != NULL) (void)snprintf(got, sizeof got, "%s", "no number");
    if (n != NULL && n->type == CLO_WIRE_INT) (void)snprintf(got, sizeof got, "%lld", (long long)n->integer);
    return claim_check(t, "lifecycle", ok, "a state of seven (0x0000-0x60ff)", got);
}

void clo_attest_psa_lifecycle_judge(clo_attest_context *c, const char *state)
{
    if (state == NULL) return;
    bool secured = strcmp(state, "secured") == 0;
    bool debug = strcmp(state, "non_rot_debug") == 0 || strcmp(state, "recoverable_rot_debug") == 0;
    (void)clo_attest_check_add(c->out, "debug", c->policy->allow_debug || !debug, "debug", c->policy->allow_debug ? "any" : "off", debug ? state : "off");
    (void)clo_attest_check_add(c->out, "lifecycle.state", secured || debug, "platform_policy", "secured", state);
}

/* NULL, or what is wrong with one component. */
static const char *component_fault(const clo_wire_node *one)
{
    static const char *const texts[] = {"1", "4", "6"};
    if (one->type != CLO_WIRE_MAP) return "no map";
    const clo_wire_node *value = clo_wire_get(one, "2"), *signer = clo_wire_get(one, "5");
    if (value == NULL || value->type != CLO_WIRE_BYTES || !is_hash_size(value->text.n)) return "measurement value is not 32, 48 or 64 bytes";
    if (signer == NULL || signer->type != CLO_WIRE_BYTES || !is_hash_size(signer->text.n)) return "signer id is not 32, 48 or 64 bytes";
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const clo_wire_node *n = clo_wire_get(one, texts[i]);
        if (n != NULL && n->type != CLO_WIRE_TEXT) return "type, version and description are texts";
    }
    return NULL;
}

bool clo_attest_psa_components(const token_claims *t, const char *key)
{
    static const char want[] = "1 to 64 components, each with measurement and signer";
    const clo_wire_node *list = clo_wire_get(t->map, key);
    if (list == NULL || list->type != CLO_WIRE_ARRAY) return claim_check(t, "software_components", false, want, list == NULL ? "absent" : "no list");
    char got[96];
    (void)snprintf(got, sizeof got, "%zu components", list->count);
    if (list->count == 0 || list->count > COMPONENTS_MAX) return claim_check(t, "software_components", false, want, got);
    size_t index = 0;
    for (const clo_wire_node *one = list->first; one != NULL; one = one->next, index++) {
        const char *fault = component_fault(one);
        if (fault == NULL) continue;
        (void)snprintf(got, sizeof got, "component %zu: %s", index, fault);
        return claim_check(t, "software_components", false, want, got);
    }
    return claim_check(t, "software_components", true, want, got);
}

static clo_err name_keys(clo_arena *a, clo_wire_node *node, unsigned depth)
{
    CLO_CHECKF(depth < DEPTH_MAX, CLO_E_TOO_MANY, "the claims nest deeper than %d levels", DEPTH_MAX);
    for (clo_wire_node *n = node->first; n != NULL; n = n->next) {
        if (n->key != NULL && n->key->type == CLO_WIRE_INT) {
            char text[24];
            (void)snprintf(text, sizeof text, "%lld", (long long)n->key->integer);
            clo_wire_node *name = NULL;
            CLO_TRY(clo_wire_text(a, clo_span_str(text), &name));
            n->key = name;
        }
        CLO_TRY(name_keys(a, n, depth + 1));
    }
    return CLO_OK;
}

CLO_R clo_attest_cbor_name_keys(clo_arena *a, clo_wire_node *node) { return name_keys(a, node, 0); }

/* base64 as JSON has it: padded. A text that is none stays what it is. */
static clo_err bytes_of(clo_arena *a, const clo_wire_node *n, clo_wire_node **out)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, TOKEN_JSON_MAX);
    if (n->type == CLO_WIRE_TEXT && !clo_failed(clo_base64_decode(&bytes, n->text))) return clo_wire_bytes(a, clo_buf_span(&bytes), out);
    return n->type == CLO_WIRE_TEXT ? clo_wire_text(a, n->text, out) : clo_wire_null(a, out);
}

static clo_err value_of(clo_arena *a, const clo_wire_node *n, const token_json_name *name, const token_json_name *names, size_t count, unsigned depth,
                        clo_wire_node **out);

static clo_err map_of(clo_arena *a, const clo_wire_node *json, const token_json_name *names, size_t count, unsigned depth, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    for (size_t i = 0; i < count; i++) {
        const clo_wire_node *n = clo_wire_get(json, names[i].name);
        if (n == NULL || n->type == CLO_WIRE_NULL || clo_wire_get(map, names[i].key) != NULL) continue;
        clo_wire_node *value = NULL;
        CLO_TRY(value_of(a, n, &names[i], names, count, depth, &value));
        CLO_TRY(clo_wire_set(a, map, names[i].key, value));
    }
    *out = map;
    return CLO_OK;
}

static const token_json_name component_names[] = {
    {"measurement-type", "1", false}, {"measurement-value", "2", true}, {"version", "4", false}, {"signer-id", "5", true}, {"measurement-description", "6", false},
};

static clo_err value_of(clo_arena *a, const clo_wire_node *n, const token_json_name *name, const token_json_name *names, size_t count, unsigned depth,
                        clo_wire_node **out)
{
    if (n->type == CLO_WIRE_ARRAY) {
        CLO_CHECKF(n->count <= COMPONENTS_MAX && depth == 0, CLO_E_TOO_MANY, "a list of claims is too long or too deep");
        CLO_TRY(clo_wire_array(a, out));
        for (const clo_wire_node *one = n->first; one != NULL; one = one->next) {
            clo_wire_node *value = NULL;
            CLO_TRY(value_of(a, one, name, names, count, depth + 1, &value));
            CLO_TRY(clo_wire_append(*out, value));
        }
        return CLO_OK;
    }
    if (n->type == CLO_WIRE_MAP) {
        if (depth > 1) return clo_wire_null(a, out);
        return map_of(a, n, component_names, sizeof component_names / sizeof component_names[0], depth + 1, out);
    }
    if (name->bytes) return bytes_of(a, n, out);
    if (n->type == CLO_WIRE_TEXT) return clo_wire_text(a, n->text, out);
    return n->type == CLO_WIRE_INT ? clo_wire_int(a, n->integer, out) : clo_wire_null(a, out);
}

CLO_R clo_attest_psa_of_json(clo_arena *a, const clo_wire_node *json, const token_json_name *names, size_t count, clo_wire_node **out)
{
    return map_of(a, json, names, count, 0, out);
}

CLO_R clo_attest_psa_json_open(clo_attest_context *c, const clo_wire_node **out)
{
    *out = NULL;
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    clo_wire_node *node = NULL;
    if (part == NULL || part->bytes.n > TOKEN_JSON_MAX) {
        (void)clo_attest_check_add(c->out, "claims", false, "malformed", "a claims set in JSON of at most 8 KiB", part == NULL ? "none" : "a longer one");
        return CLO_OK;
    }
    clo_err e = clo_wire_json_decode(c->arena, part->bytes, &node);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    bool ok = !clo_failed(e) && node->type == CLO_WIRE_MAP;
    if (clo_attest_check_add(c->out, "claims", ok, "malformed", "a claims set in JSON", ok ? "a claims set in JSON" : clo_failed(e) ? clo_err_text() : "no object"))
        *out = node;
    return CLO_OK;
}
