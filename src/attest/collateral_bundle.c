#include "attest/collateral_bundle.h"

#include "attest/policy_claims.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"

#define FORMAT "cloister-collateral/1"
#define CONTENT_TYPE "application/cloister-collateral"

enum { CBOR_ITEMS_MAX = 100000, WHEN_MAX = 8 };

static clo_err item_tree(clo_arena *a, const clo_attest_collateral_item *i, clo_wire_node **out)
{
    clo_wire_node *when = NULL;
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, "type", i->type));
    CLO_TRY(clo_wire_set_text(a, *out, "role", i->role));
    CLO_TRY(clo_wire_map(a, &when));
    for (const clo_wire_node *n = i->when == NULL ? NULL : i->when->first; n != NULL; n = n->next)
        CLO_TRY(clo_wire_set_text(a, when, (const char *)n->key->text.p, (const char *)n->text.p));
    CLO_TRY(clo_wire_set(a, *out, "when", when));
    return clo_wire_set_bytes(a, *out, "bytes", i->bytes);
}

CLO_R clo_attest_collateral_seal(clo_arena *a, const clo_attest_collateral_set *set, const clo_wire_cose_signer *signer, clo_buf *out)
{
    clo_wire_node *map = NULL, *items = NULL, *one = NULL;
    CLO_CHECKF(set->count <= CLO_COLLATERAL_ITEMS_MAX, CLO_E_TOO_MANY, "a bundle has at most %d items", CLO_COLLATERAL_ITEMS_MAX);
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "format", FORMAT));
    CLO_TRY(clo_wire_set_int(a, map, "version", set->version));
    CLO_TRY(clo_wire_set_int(a, map, "issued", set->issued));
    CLO_TRY(clo_wire_set_int(a, map, "not_after", set->not_after));
    CLO_TRY(clo_wire_array(a, &items));
    for (size_t i = 0; i < set->count; i++) {
        CLO_TRY(item_tree(a, &set->items[i], &one));
        CLO_TRY(clo_wire_append(items, one));
    }
    CLO_TRY(clo_wire_set(a, map, "items", items));
    CLO_AUTO(clo_buf_free) clo_buf payload;
    clo_buf_init(&payload, CLO_COLLATERAL_BUNDLE_MAX);
    CLO_TRY(clo_wire_cbor_encode(map, &payload));
    return clo_wire_cose_sign1(out, signer, CONTENT_TYPE, clo_span_of(NULL, 0), clo_buf_span(&payload));
}

static clo_err item_read(clo_arena *a, const clo_wire_node *node, clo_attest_collateral_item *out)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "collateral item");
    clo_wire_take_str(&f, "type", out->type, sizeof out->type);
    clo_wire_take_str(&f, "role", out->role, sizeof out->role);
    clo_wire_take_map(&f, "when", &out->when);
    clo_wire_take_bytes(&f, "bytes", &out->bytes, CLO_COLLATERAL_BUNDLE_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(out->type[0] != 0 && out->role[0] != 0 && out->when->count <= WHEN_MAX, CLO_E_RANGE, "a collateral item has a type, a role and at most %d conditions", WHEN_MAX);
    /* An anchor is never taken from what somebody collected. */
    CLO_CHECKF(strcmp(out->role, "root") != 0 && strcmp(out->role, "rim_root") != 0, CLO_E_DENIED, "a bundle cannot bring a root of trust: policies pin those");
    for (const clo_wire_node *n = out->when->first; n != NULL; n = n->next)
        CLO_CHECKF(n->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "a condition of a collateral item is a text");
    return CLO_OK;
}

static clo_err set_read(clo_arena *a, const clo_wire_node *tree, clo_attest_collateral_set *out)
{
    clo_wire_fields f;
    char format[40];
    const clo_wire_node *items = NULL;
    void *memory = NULL;
    clo_wire_fields_open(&f, a, tree, "collateral bundle");
    clo_wire_take_str(&f, "format", format, sizeof format);
    clo_wire_take_int(&f, "version", &out->version, 1, INT64_MAX / 2);
    clo_wire_take_int(&f, "issued", &out->issued, 0, INT64_MAX / 2);
    clo_wire_take_int(&f, "not_after", &out->not_after, 0, INT64_MAX / 2);
    clo_wire_take_array(&f, "items", &items, CLO_COLLATERAL_ITEMS_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(strcmp(format, FORMAT) == 0, CLO_E_VERSION, "the bundle's format is not %s", FORMAT);
    CLO_TRY(clo_arena_array(a, items->count + 1, sizeof(clo_attest_collateral_item), &memory));
    out->items = memory;
    for (const clo_wire_node *n = items->first; n != NULL; n = n->next) CLO_TRY(item_read(a, n, &out->items[out->count++]));
    return CLO_OK;
}

CLO_R clo_attest_collateral_open(clo_arena *a, clo_span in, const clo_crypto_public_key *key, int64_t min_version, int64_t now,
                                 clo_attest_collateral_set *out)
{
    void *memory = NULL;
    clo_wire_node *tree = NULL;
    clo_attest_collateral_set set = {0};
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_wire_cose), &memory));
    clo_wire_cose *cose = memory;
    CLO_TRY(clo_wire_cose_parse(a, in, false, cose));
    CLO_CHECKF(cose->is_sign1 && clo_span_equal(cose->content_type, clo_span_str(CONTENT_TYPE)), CLO_E_MALFORMED, "the file is no signed collateral bundle");
    CLO_TRY(clo_wire_cose_verify(cose, 0, key, clo_span_of(NULL, 0)));
    const clo_wire_cbor_limits limits = {.items_max = CBOR_ITEMS_MAX};
    CLO_TRY(clo_wire_cbor_decode(a, cose->payload, &limits, &tree));
    CLO_TRY(set_read(a, tree, &set));
    CLO_CHECKF(set.version >= min_version, CLO_E_REPLAYED, "the bundle is of version %lld; %lld is installed already", (long long)set.version, (long long)min_version);
    CLO_CHECKF(set.issued <= now && now <= set.not_after, CLO_E_EXPIRED, "the bundle is not valid at this time");
    *out = set;
    return CLO_OK;
}

static bool fits(const clo_attest_collateral_item *i, const char *type, const clo_wire_node *claims)
{
    if (strcmp(i->type, type) != 0) return false;
    for (const clo_wire_node *n = i->when->first; n != NULL; n = n->next) {
        const clo_wire_node *claim = claims == NULL ? NULL : clo_attest_claim_find(claims, (const char *)n->key->text.p);
        if (claim == NULL || !clo_attest_claim_equal(claim, n)) return false;
    }
    return true;
}

void clo_attest_collateral_select(const clo_attest_collateral_set *set, const char *type, const clo_wire_node *claims, clo_attest_part *parts,
                                  size_t *count, size_t max)
{
    for (size_t i = 0; i < set->count && *count < max; i++) {
        const clo_attest_collateral_item *item = &set->items[i];
        bool there = false;
        for (size_t k = 0; k < *count; k++) there = there || strcmp(parts[k].role, item->role) == 0;
        if (there || !fits(item, type, claims)) continue;
        clo_attest_part *part = &parts[(*count)++];
        memcpy(part->role, item->role, sizeof part->role);
        part->bytes = item->bytes;
    }
}
