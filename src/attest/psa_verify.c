/* PSA attestation tokens (RFC 9783, and the profile PSA_IOT_PROFILE_1 before it). */
#include "attest/psa_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include "wire/json.h"

#include <stdio.h>

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
enum { TAG_MAC0_BYTE = 0xd1, SEED_LEAST = 8, SEED_MOST = 32, EAN = 13, EAN_ADDON = 5 };

/* The keys of a profile. */
typedef struct {
    bool legacy;
    const char *profile, *client, *lifecycle, *implementation, *seed, *certification, *components, *no_components, *nonce, *instance, *service;
} psa_keys;
static const psa_keys keys_v2 = {false, "265", "2394", "2395", "2396", "2397", "2398", "2399", NULL, "10", "256", "2400"};
static const psa_keys keys_legacy = {true,     "-75000", "-75001", "-75002", "-75003", "-75004",
                                     "-75005", "-75006", "-75007", "-75008", "-75009", "-75010"};

static const token_json_name names_v2[] = {
    {"eat-profile", "265", false},
    {"psa-nonce", "10", true},
    {"psa-instance-id", "256", true},
    {"psa-client-id", "2394", false},
    {"psa-security-lifecycle", "2395", false},
    {"psa-implementation-id", "2396", true},
    {"psa-boot-seed", "2397", true},
    {"psa-certification-reference", "2398", false},
    {"psa-software-components", "2399", false},
    {"psa-verification-service-indicator", "2400", false},
    {"psa-profile", "-75000", false},
    {"psa-hwver", "-75005", false},
    {"psa-no-software-measurements", "-75007", false},
};
static const token_json_name names_legacy[] = {
    {"psa-profile", "-75000", false},
    {"psa-client-id", "-75001", false},
    {"psa-security-lifecycle", "-75002", false},
    {"psa-implementation-id", "-75003", true},
    {"psa-boot-seed", "-75004", true},
    {"psa-hwver", "-75005", false},
    {"psa-certification-reference", "-75005", false},
    {"psa-software-components", "-75006", false},
    {"psa-no-software-measurements", "-75007", false},
    {"psa-no-sw-measurement", "-75007", false},
    {"psa-nonce", "-75008", true},
    {"psa-instance-id", "-75009", true},
    {"psa-verification-service-indicator", "-75010", false},
};

static bool digits(clo_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    }
    return true;
}

/* An EAN-13, with "-" and five digits behind it in the newer profile, with or without them in the older. */
static bool certification_ok(clo_span s, bool legacy)
{
    if (s.n == EAN) return legacy && digits(s);
    return s.n == EAN + 1 + EAN_ADDON && digits(clo_span_of(s.p, EAN)) && s.p[EAN] == '-' && digits(clo_span_of(s.p + EAN + 1, EAN_ADDON));
}

static void judge_profile(const token_claims *t, const psa_keys *k)
{
    const clo_wire_node *n = clo_wire_get(t->map, k->profile);
    char got[64] = "absent";
    if (n != NULL) (void)snprintf(got, sizeof got, "%.60s", n->type == CLO_WIRE_TEXT ? (const char *)n->text.p : "no text");
    bool ok = false;
    if (k->legacy) {
        /* The older profile does not demand its name: its keys tell it. */
        ok = n == NULL || (n->type == CLO_WIRE_TEXT && strcmp(got, "PSA_IOT_PROFILE_1") == 0);
    } else {
        ok = n != NULL && n->type == CLO_WIRE_TEXT && (strcmp(got, "http://arm.com/psa/2.0.0") == 0 || strcmp(got, "tag:psacertified.org,2023:psa#tfm") == 0);
    }
    (void)clo_attest_psa_check(t, "profile", ok, k->legacy ? "PSA_IOT_PROFILE_1" : "a PSA profile of RFC 9783", got);
}

/* Who asked for the token: a negative number is the non-secure side. */
static const char *judge_client(const token_claims *t, const psa_keys *k)
{
    const clo_wire_node *n = clo_wire_get(t->map, k->client);
    bool ok = n != NULL && n->type == CLO_WIRE_INT && n->integer != 0 && n->integer >= INT32_MIN && n->integer <= INT32_MAX;
    char got[32] = "absent or no number";
    if (n != NULL && n->type == CLO_WIRE_INT) (void)snprintf(got, sizeof got, "%lld", (long long)n->integer);
    (void)clo_attest_psa_check(t, "client_id", ok, "32 bits with sign, not 0", got);
    return !ok ? NULL : n->integer < 0 ? "non-secure" : "secure";
}

static void judge_certification(const token_claims *t, const char *key, bool legacy)
{
    const clo_wire_node *n = clo_wire_get(t->map, key);
    if (n == NULL) return;
    bool ok = n->type == CLO_WIRE_TEXT && certification_ok(n->text, legacy);
    (void)clo_attest_psa_check(t, "certification", ok, legacy ? "EAN-13 or EAN-13+5" : "EAN-13+5", ok ? "such a number" : "another form");
}

static void judge_components(const token_claims *t, const psa_keys *k)
{
    const clo_wire_node *none = k->no_components == NULL ? NULL : clo_wire_get(t->map, k->no_components);
    const clo_wire_node *list = clo_wire_get(t->map, k->components);
    bool empty = list == NULL || (list->type == CLO_WIRE_ARRAY && list->count == 0);
    if (none == NULL || !empty) (void)clo_attest_psa_components(t, k->components);
    if (none == NULL) return;
    bool ok = empty && none->type == CLO_WIRE_INT && none->integer == 1;
    (void)clo_attest_psa_check(t, "no_software_measurements", ok, "1, and no components", ok ? "1, and no components" : "another value, or components too");
}

/* Every rule of the profile. *nonce, *state, *client stay empty where their claim is wrong. */
static void judge_claims(const token_claims *t, const psa_keys *k, clo_span *nonce, const char **state, const char **client)
{
    clo_span ignored;
    judge_profile(t, k);
    (void)clo_attest_psa_bytes(t, k->nonce, "nonce_claim", true, TOKEN_HASH, 0, 0, nonce);
    (void)clo_attest_psa_instance(t, k->instance, &ignored);
    (void)clo_attest_psa_bytes(t, k->implementation, "implementation_id", true, TOKEN_EXACT, 32, 32, &ignored);
    *client = judge_client(t, k);
    (void)clo_attest_psa_lifecycle(t, k->lifecycle, state);
    (void)clo_attest_psa_bytes(t, k->seed, "boot_seed", k->legacy, k->legacy ? TOKEN_EXACT : TOKEN_RANGE, k->legacy ? SEED_MOST : SEED_LEAST, SEED_MOST, &ignored);
    judge_certification(t, k->certification, k->legacy);
    judge_components(t, k);
    (void)clo_attest_psa_text(t, k->service, "verification_service", false, &ignored);
}

/* Claims are of one profile; a set that mixes them could say two things. */
static const psa_keys *keys_of(const token_claims *t)
{
    bool newer = clo_wire_get(t->map, keys_v2.profile) != NULL || clo_wire_get(t->map, keys_v2.nonce) != NULL, legacy = false;
    for (const clo_wire_node *n = t->map->first; n != NULL; n = n->next) legacy = legacy || (n->key->text.n == 6 && memcmp(n->key->text.p, "-750", 4) == 0);
    (void)clo_attest_psa_check(t, "one_profile", !(legacy && newer), "keys of one profile", legacy && newer ? "keys of both" : "keys of one profile");
    return newer ? &keys_v2 : &keys_legacy;
}

/* Writers of JSON put the older profile's name and hardware version beside the newer ones: then these must be right too. */
static void judge_older_names(const token_claims *t)
{
    judge_certification(t, keys_legacy.certification, true);
    judge_profile(t, &keys_legacy);
    bool none = clo_wire_get(t->map, keys_legacy.no_components) != NULL;
    (void)clo_attest_psa_check(t, "no_software_measurements", !none, "not in this profile", none ? "there" : "not there");
}

static clo_err finish(clo_attest_context *c, clo_wire_node *claims, const char *state, const char *client)
{
    CLO_TRY(clo_wire_set(c->arena, c->out->claims, "claims", claims));
    if (state != NULL) CLO_TRY(clo_wire_set_text(c->arena, c->out->claims, "lifecycle", state));
    return client == NULL ? CLO_OK : clo_wire_set_text(c->arena, c->out->claims, "client", client);
}

static clo_err verify_json(clo_attest_context *c)
{
    const clo_wire_node *json = NULL;
    CLO_TRY(clo_attest_psa_json_open(c, &json));
    if (json == NULL) return CLO_OK;
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    clo_wire_node *claims = NULL;
    bool newer = clo_wire_get(json, "eat-profile") != NULL;
    size_t count = COUNT(names_legacy);
    if (newer) count = COUNT(names_v2);
    CLO_TRY(clo_attest_psa_of_json(c->arena, json, newer ? names_v2 : names_legacy, count, &claims));
    token_claims t = {.result = c->out, .map = claims, .prefix = "claims."};
    clo_span nonce;
    const char *state = NULL, *client = NULL;
    judge_claims(&t, newer ? &keys_v2 : &keys_legacy, &nonce, &state, &client);
    if (newer) judge_older_names(&t);
    clo_attest_token_challenge(c, nonce);
    return finish(c, claims, state, client);
}

static clo_err judge_token(clo_attest_context *c, clo_wire_node *map)
{
    token_claims t = {.result = c->out, .map = map, .prefix = "claims."};
    clo_span nonce;
    const char *state = NULL, *client = NULL;
    judge_claims(&t, keys_of(&t), &nonce, &state, &client);
    clo_attest_psa_lifecycle_judge(c, state);
    clo_attest_token_challenge(c, nonce);
    return finish(c, map, state, client);
}

static clo_err mac_key(clo_attest_context *c, clo_buf *key)
{
    const clo_attest_part *part = clo_attest_token_collateral(c, "iak_mac");
    CLO_CHECKF(part != NULL, CLO_E_NOT_FOUND, "the symmetric key (iak_mac) is not given");
    if (part->bytes.n == 0 || part->bytes.p[0] != '{') return clo_buf_put_span(key, part->bytes);
    clo_wire_node *jwk = NULL;
    CLO_TRY(clo_wire_json_decode(c->arena, part->bytes, &jwk));
    CLO_CHECKF(jwk->type == CLO_WIRE_MAP && clo_span_equal(clo_attest_token_text(jwk, "kty"), clo_span_str("oct")), CLO_E_MALFORMED, "the JWK is no symmetric key");
    return clo_base64url_decode(key, clo_attest_token_text(jwk, "k"));
}

/* A symmetric key tells nobody but its holders who made the token: only where the policy says so. */
static clo_err verify_mac(clo_attest_context *c, clo_span bytes)
{
    bool allowed = c->policy->allow_mac;
    clo_wire_cose_mac0 mac = {.alg = 0};
    CLO_AUTO(clo_buf_free) clo_buf key;
    clo_buf_init(&key, 1024);
    clo_err e = clo_wire_cose_mac0_parse(c->arena, bytes, &mac);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    if (!clo_attest_check_add(c->out, "token", !clo_failed(e), "malformed", "a COSE_Mac0 token", clo_failed(e) ? clo_err_text() : "a COSE_Mac0 token"))
        return CLO_OK;
    if (!clo_attest_check_add(c->out, "mac", allowed, "unsupported", "a signature (COSE_Sign1)", allowed ? "a MAC, which the policy allows" : "a MAC (COSE_Mac0)"))
        return CLO_OK;
    e = mac_key(c, &key);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    if (!clo_attest_check_add(c->out, "key", !clo_failed(e), "collateral_missing", "iak_mac", clo_failed(e) ? clo_err_text() : "iak_mac")) return CLO_OK;
    e = clo_wire_cose_mac0_verify(&mac, clo_buf_span(&key), clo_span_of(NULL, 0));
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, "signature", !clo_failed(e), "bad_signature", "HMAC by the key", clo_failed(e) ? clo_err_text() : "made with it");
    clo_wire_node *claims = NULL;
    e = clo_attest_psa_claims_read(c->arena, mac.payload, &claims);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    if (!clo_attest_check_add(c->out, "payload", !clo_failed(e), "malformed", "a map of claims", clo_failed(e) ? clo_err_text() : "a map of claims")) return CLO_OK;
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    CLO_TRY(clo_wire_set_int(c->arena, c->out->claims, "alg", mac.alg));
    return judge_token(c, claims);
}

CLO_R clo_attest_psa_verify(clo_attest_context *c)
{
    if (c->policy->claims_only) return verify_json(c);
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    if (part == NULL || part->bytes.n == 0 || part->bytes.n > TOKEN_PSA_MAX) {
        (void)clo_attest_check_add(c->out, "token", false, "malformed", "a token of at most 8 KiB", part == NULL ? "none" : "another size");
        return CLO_OK;
    }
    if (part->bytes.p[0] == TAG_MAC0_BYTE) return verify_mac(c, part->bytes);
    psa_token token;
    clo_crypto_public_key key;
    bool parsed = false, have_key = false;
    CLO_TRY(clo_attest_psa_open(c, "token", part->bytes, &token, &parsed));
    if (!parsed) return CLO_OK;
    CLO_TRY(clo_attest_token_collateral_key(c, "iak_public", &key, &have_key));
    if (have_key) CLO_TRY(clo_attest_psa_verify_by(c, "signature", &token, &key));
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    CLO_TRY(clo_wire_set_int(c->arena, c->out->claims, "alg", token.cose.signatures[0].alg));
    return judge_token(c, token.claims);
}

static bool holds(clo_span s, const char *letters)
{
    size_t n = strlen(letters);
    for (size_t i = 0; i + n <= s.n; i++) {
        if (memcmp(s.p + i, letters, n) == 0) return true;
    }
    return false;
}

bool clo_attest_psa_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    if (evidence_count == 0 || strcmp(evidence[0].role, "report") != 0) return false;
    clo_span s = evidence[0].bytes;
    if (s.n < 2 || s.n > TOKEN_PSA_MAX || (s.p[0] != 0xd2 && s.p[0] != TAG_MAC0_BYTE) || s.p[1] != 0x84) return false;
    return holds(s, "PSA_IOT_PROFILE_1") || holds(s, "http://arm.com/psa/") || holds(s, "tag:psacertified.org,");
}
