#include "attest/attest.h"
#include "base/clo_text.h"
#include "wire/cbor.h"

#include <stdio.h>

enum { BUNDLE_MAX = 64 * 1024, PART_MAX = 16 * 1024, BUNDLE_ITEMS_MAX = 64 };

static clo_err parts_take(const clo_wire_node *map, clo_attest_bundle *b)
{
    CLO_CHECKF(map->count != 0 && map->count <= CLO_ATTEST_BUNDLE_PARTS_MAX, CLO_E_TOO_MANY, "evidence.parts has 1 to %d members",
               (int)CLO_ATTEST_BUNDLE_PARTS_MAX);
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) {
        clo_attest_part *part = &b->parts[b->part_count];
        bool named = n->key->type == CLO_WIRE_TEXT && n->key->text.n != 0 && n->key->text.n < sizeof part->role;
        CLO_CHECKF(named && n->type == CLO_WIRE_BYTES && n->text.n != 0, CLO_E_MALFORMED, "evidence.parts holds byte strings by role");
        CLO_TRY(clo_str_set(part->role, sizeof part->role, n->key->text));
        part->bytes = n->text;
        b->part_count++;
    }
    return CLO_OK;
}

CLO_R clo_attest_bundle_decode(clo_arena *a, clo_span in, clo_attest_bundle *out)
{
    CLO_CHECKF(in.n <= BUNDLE_MAX, CLO_E_TOO_LARGE, "an evidence bundle has at most %d bytes", (int)BUNDLE_MAX);
    clo_wire_node *root = NULL;
    clo_wire_cbor_limits limits = {.items_max = BUNDLE_ITEMS_MAX};
    CLO_TRY(clo_wire_cbor_decode(a, in, &limits, &root));
    clo_attest_bundle b = {.tee = ""};
    clo_wire_fields f;
    const clo_wire_node *chain = NULL, *parts = NULL;
    clo_wire_fields_open(&f, a, root, "evidence");
    clo_wire_take_str(&f, "tee", b.tee, sizeof b.tee);
    if (clo_wire_has(&f, "parts")) clo_wire_take_map(&f, "parts", &parts);
    bool reported = parts == NULL || clo_wire_has(&f, "report");
    if (reported) clo_wire_take_bytes(&f, "report", &b.report, PART_MAX);
    if (clo_wire_has(&f, "ek")) clo_wire_take_bytes(&f, "ek", &b.ek, PART_MAX);
    if (clo_wire_has(&f, "crl")) clo_wire_take_bytes(&f, "crl", &b.crl, BUNDLE_MAX);
    clo_wire_take_array(&f, "chain", &chain, sizeof b.chain / sizeof b.chain[0]);
    CLO_TRY(clo_wire_fields_end(&f));
    for (const clo_wire_node *n = chain->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_BYTES && n->text.n <= PART_MAX, CLO_E_MALFORMED, "evidence.chain holds DER certificates as byte strings");
        b.chain[b.chain_count++] = n->text;
    }
    CLO_CHECKF(parts == NULL || !reported || b.report.n != 0, CLO_E_NOT_CANONICAL, "evidence.report is empty: leave it out");
    if (parts != NULL) CLO_TRY(parts_take(parts, &b));
    *out = b;
    return CLO_OK;
}

static clo_err parts_put(clo_arena *a, clo_wire_node *map, const clo_attest_bundle *bundle)
{
    clo_wire_node *parts = NULL;
    if (bundle->part_count == 0) return CLO_OK;
    CLO_CHECK(bundle->part_count <= CLO_ATTEST_BUNDLE_PARTS_MAX, CLO_E_TOO_MANY);
    CLO_TRY(clo_wire_map(a, &parts));
    for (size_t i = 0; i < bundle->part_count; i++) CLO_TRY(clo_wire_set_bytes(a, parts, bundle->parts[i].role, bundle->parts[i].bytes));
    return clo_wire_set(a, map, "parts", parts);
}

CLO_R clo_attest_bundle_encode(const clo_attest_bundle *bundle, clo_buf *out)
{
    CLO_CHECK(bundle->chain_count <= sizeof bundle->chain / sizeof bundle->chain[0], CLO_E_TOO_MANY);
    __attribute__((cleanup(clo_arena_free))) clo_arena a;
    clo_arena_init(&a, 4 * (size_t)BUNDLE_MAX);
    clo_wire_node *map = NULL, *chain = NULL;
    CLO_TRY(clo_wire_map(&a, &map));
    CLO_TRY(clo_wire_set_text(&a, map, "tee", bundle->tee));
    if (bundle->report.n != 0 || bundle->part_count == 0) CLO_TRY(clo_wire_set_bytes(&a, map, "report", bundle->report));
    if (bundle->ek.n != 0) CLO_TRY(clo_wire_set_bytes(&a, map, "ek", bundle->ek));
    if (bundle->crl.n != 0) CLO_TRY(clo_wire_set_bytes(&a, map, "crl", bundle->crl));
    CLO_TRY(clo_wire_array(&a, &chain));
    for (size_t i = 0; i < bundle->chain_count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_bytes(&a, bundle->chain[i], &one));
        CLO_TRY(clo_wire_append(chain, one));
    }
    CLO_TRY(clo_wire_set(&a, map, "chain", chain));
    CLO_TRY(parts_put(&a, map, bundle));
    return clo_wire_cbor_encode(map, out);
}
