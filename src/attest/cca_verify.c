/* Arm CCA attestation tokens: a platform token by the platform's key (CPAK), a realm token by the key (RAK) that the platform vouches for. */
#include "attest/cca_int.h"
#include "wire/cbor.h"

#include <stdio.h>

/* The collection: map {44234: platform, 44241: realm} of byte strings (EAT collection, tag 399), or of [content type, byte string] records
 * (conceptual message wrapper, tag 907). 263 is CoAP's number of application/eat+cwt. */
enum { TAG_COLLECTION = 399, TAG_WRAPPER = 907, KEY_PLATFORM = 44234, KEY_REALM = 44241, CONTENT_EAT_CWT = 263, ITEMS_MAX = 32, DEPTH_MAX = 8 };

typedef struct {
    clo_span platform, realm;
} cca_parts;

static bool is_eat_cwt(const clo_wire_node *type)
{
    static const char name[] = "application/eat+cwt";
    if (type->type == CLO_WIRE_INT) return type->integer == CONTENT_EAT_CWT;
    size_t n = sizeof name - 1;
    return type->type == CLO_WIRE_TEXT && type->text.n >= n && memcmp(type->text.p, name, n) == 0 && (type->text.n == n || type->text.p[n] == ';');
}

static clo_err take_part(const clo_wire_node *map, int64_t key, bool wrapped, clo_span *out)
{
    const clo_wire_node *n = clo_wire_get_int_key(map, key);
    if (wrapped && n != NULL) {
        bool record = n->type == CLO_WIRE_ARRAY && (n->count == 2 || n->count == 3) && is_eat_cwt(n->first) &&
                      (n->count == 2 || n->last->type == CLO_WIRE_INT);
        n = record ? n->first->next : NULL;
    }
    CLO_CHECKF(n != NULL && n->type == CLO_WIRE_BYTES, CLO_E_MALFORMED, "the collection has no token under %lld", (long long)key);
    *out = n->text;
    return CLO_OK;
}

static clo_err open_collection(clo_arena *a, clo_span bytes, cca_parts *out)
{
    clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX, .depth_max = DEPTH_MAX, .allow_unsorted = true};
    clo_wire_node *root = NULL;
    CLO_TRY(clo_wire_cbor_decode(a, bytes, &limits, &root));
    CLO_CHECKF(root->type == CLO_WIRE_TAG && (root->tag == TAG_COLLECTION || root->tag == TAG_WRAPPER) && root->first->type == CLO_WIRE_MAP,
               CLO_E_MALFORMED, "the bytes are no collection of CCA tokens (tag 399 or 907)");
    const clo_wire_node *map = root->first;
    bool wrapped = root->tag == TAG_WRAPPER;
    /* Nothing signs the collection: what does not belong there is refused. */
    const clo_wire_node *kind = wrapped ? clo_wire_get(map, "__cmwc_t") : NULL;
    CLO_CHECKF(map->count == (kind == NULL ? 2U : 3U) && (kind == NULL || kind->type == CLO_WIRE_TEXT), CLO_E_MALFORMED,
               "the collection holds more than a platform and a realm token");
    CLO_TRY(take_part(map, KEY_PLATFORM, wrapped, &out->platform));
    return take_part(map, KEY_REALM, wrapped, &out->realm);
}

static clo_err judge_binder(clo_attest_context *c, const cca_realm *realm, clo_span binder)
{
    clo_crypto_hash_alg hash = CLO_HASH_SHA256;
    uint8_t want[CLO_HASH_MAX];
    bool known = realm->key.n != 0 && clo_attest_cca_hash(realm->key_hash, &hash);
    if (!known) {
        (void)clo_attest_check_add(c->out, "binder", false, "key_binding", "the hash of the realm's key", "no such key or hash");
        return CLO_OK;
    }
    CLO_TRY(clo_crypto_hash(hash, realm->key, want));
    (void)clo_attest_check_bytes(c->out, "binder", "key_binding", clo_span_of(want, clo_crypto_hash_size(hash)), binder);
    return CLO_OK;
}

static clo_err realm_key(clo_arena *a, const cca_realm *realm, clo_crypto_public_key *out)
{
    return realm->cose_key ? clo_wire_cose_key_read(a, realm->key, out) : clo_crypto_public_key_parse(CLO_SIGN_ES384, realm->key, out);
}

static clo_err verify_realm(clo_attest_context *c, const psa_token *token, const cca_realm *realm)
{
    clo_crypto_public_key key;
    clo_err e = realm->key.n != 0 ? realm_key(c->arena, realm, &key) : CLO_FAILF(CLO_E_MALFORMED, "the realm token holds no key");
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    const char *form = realm->cose_key ? "a COSE_Key" : "a P-384 point";
    if (!clo_attest_check_add(c->out, "realm.key", !clo_failed(e), "bad_key", form, clo_failed(e) ? clo_err_text() : form)) return CLO_OK;
    return clo_attest_psa_verify_by(c, "realm.signature", token, &key);
}

static clo_err note_claims(clo_attest_context *c, const psa_token *platform, const psa_token *realm, const cca_realm *facts, const char *state)
{
    clo_arena *a = c->arena;
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_int(a, map, "platform_alg", platform->cose.signatures[0].alg));
    CLO_TRY(clo_wire_set_int(a, map, "realm_alg", realm->cose.signatures[0].alg));
    CLO_TRY(clo_wire_set_text(a, map, "rak_form", facts->cose_key ? "COSE_Key" : "raw SEC1 point"));
    if (facts->key_hash.n != 0) CLO_TRY(clo_wire_set_text(a, map, "binder_hash", (const char *)facts->key_hash.p));
    if (state != NULL) CLO_TRY(clo_wire_set_text(a, map, "lifecycle", state));
    CLO_TRY(clo_wire_set(a, map, "platform", platform->claims));
    CLO_TRY(clo_wire_set(a, map, "realm", realm->claims));
    c->out->claims = map;
    return CLO_OK;
}

static clo_err judge_tokens(clo_attest_context *c, const psa_token *platform, const psa_token *realm)
{
    clo_crypto_public_key cpak;
    const char *state = NULL;
    bool have_key = false;
    cca_realm facts;
    CLO_TRY(clo_attest_token_collateral_key(c, "cpak_public", &cpak, &have_key));
    if (have_key) CLO_TRY(clo_attest_psa_verify_by(c, "platform.signature", platform, &cpak));
    clo_attest_cca_read_realm(realm->claims, &facts);
    const clo_wire_node *binder = clo_wire_get(platform->claims, "10");
    CLO_TRY(judge_binder(c, &facts, binder != NULL && binder->type == CLO_WIRE_BYTES ? binder->text : clo_span_of(NULL, 0)));
    CLO_TRY(verify_realm(c, realm, &facts));
    token_claims of_platform = {.result = c->out, .map = platform->claims, .prefix = "platform."};
    token_claims of_realm = {.result = c->out, .map = realm->claims, .prefix = "realm."};
    clo_attest_cca_judge_platform(&of_platform, &state);
    clo_attest_cca_judge_realm(c->arena, &of_realm, true);
    clo_attest_psa_lifecycle_judge(c, state);
    clo_attest_token_challenge(c, facts.challenge);
    clo_attest_token_measurement(c, facts.measurement);
    return note_claims(c, platform, realm, &facts, state);
}

CLO_R clo_attest_cca_verify(clo_attest_context *c)
{
    if (c->policy->claims_only) return clo_attest_cca_verify_json(c);
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    if (part == NULL || part->bytes.n == 0 || part->bytes.n > TOKEN_CCA_MAX) {
        (void)clo_attest_check_add(c->out, "collection", false, "malformed", "a collection of at most 8 KiB", part == NULL ? "none" : "another size");
        return CLO_OK;
    }
    cca_parts parts = {.platform = {NULL, 0}};
    psa_token platform, realm;
    bool have_platform = false, have_realm = false;
    clo_err e = open_collection(c->arena, part->bytes, &parts);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    if (!clo_attest_check_add(c->out, "collection", !clo_failed(e), "malformed", "a platform and a realm token", clo_failed(e) ? clo_err_text() : "both"))
        return CLO_OK;
    CLO_TRY(clo_attest_psa_open(c, "platform.token", parts.platform, &platform, &have_platform));
    CLO_TRY(clo_attest_psa_open(c, "realm.token", parts.realm, &realm, &have_realm));
    return have_platform && have_realm ? judge_tokens(c, &platform, &realm) : CLO_OK;
}

bool clo_attest_cca_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    if (evidence_count == 0 || strcmp(evidence[0].role, "report") != 0) return false;
    clo_span s = evidence[0].bytes;
    return s.n > 3 && s.n <= TOKEN_CCA_MAX && s.p[0] == 0xd9 && ((s.p[1] == 0x01 && s.p[2] == 0x8f) || (s.p[1] == 0x03 && s.p[2] == 0x8b));
}
