#include "attest/attest.h"
#include "wire/cbor.h"

#include <stdio.h>

enum { BUNDLE_MAX = 64 * 1024, PART_MAX = 16 * 1024, BUNDLE_ITEMS_MAX = 32 };

CLO_R clo_attest_bundle_decode(clo_arena *a, clo_span in, clo_attest_bundle *out)
{
    CLO_CHECKF(in.n <= BUNDLE_MAX, CLO_E_TOO_LARGE, "an evidence bundle has at most %d bytes", (int)BUNDLE_MAX);
    clo_wire_node *root = NULL;
    clo_wire_cbor_limits limits = {.items_max = BUNDLE_ITEMS_MAX};
    CLO_TRY(clo_wire_cbor_decode(a, in, &limits, &root));
    clo_attest_bundle b = {.tee = ""};
    clo_wire_fields f;
    const clo_wire_node *chain = NULL;
    clo_wire_fields_open(&f, a, root, "evidence");
    clo_wire_take_str(&f, "tee", b.tee, sizeof b.tee);
    clo_wire_take_bytes(&f, "report", &b.report, PART_MAX);
    if (clo_wire_has(&f, "ek")) clo_wire_take_bytes(&f, "ek", &b.ek, PART_MAX);
    if (clo_wire_has(&f, "crl")) clo_wire_take_bytes(&f, "crl", &b.crl, BUNDLE_MAX);
    clo_wire_take_array(&f, "chain", &chain, sizeof b.chain / sizeof b.chain[0]);
    CLO_TRY(clo_wire_fields_end(&f));
    for (const clo_wire_node *n = chain->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_BYTES && n->text.n <= PART_MAX, CLO_E_MALFORMED, "evidence.chain holds DER certificates as byte strings");
        b.chain[b.chain_count++] = n->text;
    }
    *out = b;
    return CLO_OK;
}

CLO_R clo_attest_bundle_encode(const clo_attest_bundle *bundle, clo_buf *out)
{
    CLO_CHECK(bundle->chain_count <= sizeof bundle->chain / sizeof bundle->chain[0], CLO_E_TOO_MANY);
    __attribute__((cleanup(clo_arena_free))) clo_arena a;
    clo_arena_init(&a, 4 * (size_t)BUNDLE_MAX);
    clo_wire_node *map = NULL, *chain = NULL;
    CLO_TRY(clo_wire_map(&a, &map));
    CLO_TRY(clo_wire_set_text(&a, map, "tee", bundle->tee));
    CLO_TRY(clo_wire_set_bytes(&a, map, "report", bundle->report));
    if (bundle->ek.n != 0) CLO_TRY(clo_wire_set_bytes(&a, map, "ek", bundle->ek));
    if (bundle->crl.n != 0) CLO_TRY(clo_wire_set_bytes(&a, map, "crl", bundle->crl));
    CLO_TRY(clo_wire_array(&a, &chain));
    for (size_t i = 0; i < bundle->chain_count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_bytes(&a, bundle->chain[i], &one));
        CLO_TRY(clo_wire_append(chain, one));
    }
    CLO_TRY(clo_wire_set(&a, map, "chain", chain));
    return clo_wire_cbor_encode(map, out);
}
