/* Rules of the claims of CCA platform and realm tokens (RMM specification, draft-ffm-rats-cca-token). */
#include "attest/cca_int.h"

#include <stdio.h>

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
enum { MEASUREMENTS = 4, RAW_KEY = 97, COSE_KEY_MAX = 1024, CONFIG_MAX = 4096 };

static bool text_in(clo_span s, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (clo_span_equal(s, clo_span_str(list[i]))) return true;
    }
    return false;
}

static bool judge_name(const token_claims *t, const char *key, const char *name, bool required, const char *const *list, size_t count, clo_span *out)
{
    *out = clo_span_of(NULL, 0);
    const clo_wire_node *n = clo_wire_get(t->map, key);
    if (n == NULL && !required) return true;
    bool ok = n != NULL && n->type == CLO_WIRE_TEXT && text_in(n->text, list, count);
    char want[96], got[96] = "absent";
    (void)snprintf(want, sizeof want, "%s or the like", list[0]);
    if (n != NULL) (void)snprintf(got, sizeof got, "%.90s", n->type == CLO_WIRE_TEXT ? (const char *)n->text.p : "no text");
    if (ok) *out = n->text;
    return clo_attest_psa_check(t, name, ok, want, got);
}

/* IANA's textual names of the hashes that are as long as a measurement may be. */
static const char *const hash_names[] = {"sha-256", "sha-384", "sha-512", "shake128", "shake256"};

void clo_attest_cca_judge_platform(const token_claims *t, const char **state)
{
    static const char *const profiles[] = {"http://arm.com/CCA-SSD/1.0.0", "tag:arm.com,2023:cca_platform#1.0.0"};
    clo_span ignored;
    (void)judge_name(t, "265", "profile", true, profiles, COUNT(profiles), &ignored);
    (void)clo_attest_psa_bytes(t, "10", "challenge", true, TOKEN_HASH, 0, 0, &ignored);
    (void)clo_attest_psa_bytes(t, "2396", "implementation_id", true, TOKEN_EXACT, 32, 32, &ignored);
    (void)clo_attest_psa_instance(t, "256", &ignored);
    (void)clo_attest_psa_bytes(t, "2401", "config", true, TOKEN_RANGE, 0, CONFIG_MAX, &ignored);
    (void)clo_attest_psa_lifecycle(t, "2395", state);
    (void)clo_attest_psa_components(t, "2399");
    (void)clo_attest_psa_text(t, "2400", "verification_service", false, &ignored);
    (void)judge_name(t, "2402", "hash_algorithm", true, hash_names, COUNT(hash_names), &ignored);
}

static void judge_measurements(const token_claims *t)
{
    const clo_wire_node *list = clo_wire_get(t->map, "44239");
    bool ok = list != NULL && list->type == CLO_WIRE_ARRAY && list->count == MEASUREMENTS;
    for (const clo_wire_node *one = ok ? list->first : NULL; one != NULL; one = one->next) {
        ok = ok && one->type == CLO_WIRE_BYTES && (one->text.n == 32 || one->text.n == 48 || one->text.n == 64);
    }
    (void)clo_attest_psa_check(t, "extensible_measurements", ok, "four of 32, 48 or 64 bytes", ok ? "four" : list == NULL ? "absent" : "another list");
}

static clo_span span_of(const clo_wire_node *map, const char *key, clo_wire_type type)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    return n != NULL && n->type == type ? n->text : clo_span_of(NULL, 0);
}

void clo_attest_cca_read_realm(const clo_wire_node *map, cca_realm *out)
{
    *out = (cca_realm){.challenge = span_of(map, "10", CLO_WIRE_BYTES),
                       .key = span_of(map, "44237", CLO_WIRE_BYTES),
                       .measurement = span_of(map, "44238", CLO_WIRE_BYTES),
                       .key_hash = span_of(map, "44240", CLO_WIRE_TEXT),
                       .cose_key = clo_wire_get(map, "265") != NULL};
}

static void judge_key(clo_arena *a, const token_claims *t, bool cose_key, bool whole_key)
{
    clo_span key;
    bool ok = cose_key ? clo_attest_psa_bytes(t, "44237", "public_key", true, TOKEN_RANGE, 1, COSE_KEY_MAX, &key)
                       : clo_attest_psa_bytes(t, "44237", "public_key", true, TOKEN_EXACT, RAW_KEY, RAW_KEY, &key);
    if (!ok || !cose_key || whole_key) return;
    clo_crypto_public_key read;
    ok = !clo_failed(clo_wire_cose_key_read(a, key, &read));
    (void)clo_attest_psa_check(t, "public_key.form", ok, "a COSE_Key", ok ? "a COSE_Key" : "other bytes");
}

void clo_attest_cca_judge_realm(clo_arena *a, const token_claims *t, bool whole_key)
{
    static const char *const profiles[] = {"tag:arm.com,2023:realm#1.0.0"};
    clo_span ignored;
    (void)judge_name(t, "265", "profile", false, profiles, COUNT(profiles), &ignored);
    (void)clo_attest_psa_bytes(t, "10", "challenge", true, TOKEN_EXACT, 64, 64, &ignored);
    (void)clo_attest_psa_bytes(t, "44235", "personalization", true, TOKEN_EXACT, 64, 64, &ignored);
    (void)clo_attest_psa_bytes(t, "44238", "initial_measurement", true, TOKEN_HASH, 0, 0, &ignored);
    judge_measurements(t);
    (void)judge_name(t, "44236", "hash_algorithm", true, hash_names, COUNT(hash_names), &ignored);
    judge_key(a, t, clo_wire_get(t->map, "265") != NULL, whole_key);
    (void)judge_name(t, "44240", "public_key_hash_algorithm", true, hash_names, 3, &ignored);
}

bool clo_attest_cca_hash(clo_span name, clo_crypto_hash_alg *out)
{
    static const clo_crypto_hash_alg hashes[] = {CLO_HASH_SHA256, CLO_HASH_SHA384, CLO_HASH_SHA512};
    for (size_t i = 0; i < COUNT(hashes); i++) {
        if (!clo_span_equal(name, clo_span_str(hash_names[i]))) continue;
        *out = hashes[i];
        return true;
    }
    return false;
}

static const token_json_name platform_names[] = {
    {"cca-platform-profile", "265", false},          {"cca-platform-challenge", "10", true},
    {"cca-platform-implementation-id", "2396", true}, {"cca-platform-instance-id", "256", true},
    {"cca-platform-config", "2401", true},           {"cca-platform-lifecycle", "2395", false},
    {"cca-platform-sw-components", "2399", false},   {"cca-platform-service-indicator", "2400", false},
    {"cca-platform-hash-algo-id", "2402", false},
};
static const token_json_name realm_names[] = {
    {"cca-realm-profile", "265", false},
    {"cca-realm-challenge", "10", true},
    {"cca-realm-personalization-value", "44235", true},
    {"cca-realm-initial-measurement", "44238", true},
    {"cca-realm-extensible-measurements", "44239", true},
    {"cca-realm-hash-algo-id", "44236", false},
    {"cca-realm-public-key", "44237", true},
    {"cca-realm-public-key-hash-algo-id", "44240", false},
};

static bool any_of(const clo_wire_node *json, const token_json_name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (clo_wire_get(json, names[i].name) != NULL) return true;
    }
    return false;
}

static clo_err judge_json(clo_attest_context *c, const clo_wire_node *json, bool is_platform, clo_wire_node **claims)
{
    const token_json_name *names = is_platform ? platform_names : realm_names;
    size_t count = is_platform ? COUNT(platform_names) : COUNT(realm_names);
    CLO_TRY(clo_attest_psa_of_json(c->arena, json, names, count, claims));
    token_claims t = {.result = c->out, .map = *claims, .prefix = is_platform ? "platform." : "realm."};
    if (is_platform) {
        const char *state = NULL;
        clo_attest_cca_judge_platform(&t, &state);
    } else {
        cca_realm realm;
        clo_attest_cca_read_realm(*claims, &realm);
        clo_attest_cca_judge_realm(c->arena, &t, false);
        clo_attest_token_challenge(c, realm.challenge);
    }
    return clo_wire_set(c->arena, c->out->claims, is_platform ? "platform" : "realm", *claims);
}

CLO_R clo_attest_cca_verify_json(clo_attest_context *c)
{
    const clo_wire_node *json = NULL;
    clo_wire_node *claims = NULL;
    CLO_TRY(clo_attest_psa_json_open(c, &json));
    if (json == NULL) return CLO_OK;
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    const clo_wire_node *platform = clo_wire_get(json, "cca-platform-token"), *realm = clo_wire_get(json, "cca-realm-delegated-token");
    if (platform == NULL && any_of(json, platform_names, COUNT(platform_names))) platform = json;
    if (realm == NULL && any_of(json, realm_names, COUNT(realm_names))) realm = json;
    bool ok = (platform != NULL || realm != NULL) && (platform == NULL || platform->type == CLO_WIRE_MAP) && (realm == NULL || realm->type == CLO_WIRE_MAP);
    if (!clo_attest_check_add(c->out, "claims.kind", ok, "claims", "platform or realm claims", ok ? "platform or realm claims" : "neither")) return CLO_OK;
    if (platform != NULL) CLO_TRY(judge_json(c, platform, true, &claims));
    return realm != NULL ? judge_json(c, realm, false, &claims) : CLO_OK;
}
