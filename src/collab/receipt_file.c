/* The *.receipt file. */
#include "base/clo_own.h"
#include "collab/collab_int.h"
#include "wire/cbor.h"
#include "wire/container.h"

enum { PROOF_MAX = 64 * 1024 };

static clo_err receipt_tree(clo_arena *a, const clo_collab_receipt *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *binding = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_bytes(a, map, "statement", r->statement));
    CLO_TRY(clo_wire_set_bytes(a, map, "proof", r->proof));
    CLO_TRY(clo_wire_set_bytes(a, map, "agreement", r->agreement_file));
    CLO_TRY(clo_wire_set_bytes(a, map, "agreement_proof", r->agreement_proof));
    CLO_TRY(clo_wire_set_bytes(a, map, "request", r->request));
    CLO_TRY(clo_collab_binding_tree(a, &r->binding, &binding));
    CLO_TRY(clo_wire_set(a, map, "binding", binding));
    CLO_TRY(clo_wire_set_bytes(a, map, "evidence", r->evidence));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_receipt_encode(const clo_collab_receipt *r, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, CLO_COLLAB_FILE_MAX);
    clo_wire_node *map = NULL;
    CLO_TRY(receipt_tree(&a, r, &map));
    CLO_TRY(clo_wire_container_put(out, CLO_MAGIC_RECEIPT, 1));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_collab_receipt_decode(clo_arena *a, clo_span file, clo_collab_receipt *out)
{
    clo_span body;
    CLO_TRY(clo_wire_container_open(file, CLO_MAGIC_RECEIPT, 1, NULL, &body));
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_decode(a, body, CLO_COLLAB_ITEMS_MAX, "the receipt", &map));
    clo_collab_receipt r;
    memset(&r, 0, sizeof r);
    const clo_wire_node *binding = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "receipt");
    clo_wire_take_bytes(&f, "statement", &r.statement, CLO_COLLAB_OBJECT_MAX);
    clo_wire_take_bytes(&f, "proof", &r.proof, PROOF_MAX);
    clo_wire_take_bytes(&f, "agreement", &r.agreement_file, CLO_COLLAB_OBJECT_MAX);
    clo_wire_take_bytes(&f, "agreement_proof", &r.agreement_proof, PROOF_MAX);
    clo_wire_take_bytes(&f, "request", &r.request, CLO_COLLAB_OBJECT_MAX);
    clo_wire_take_map(&f, "binding", &binding);
    clo_wire_take_bytes(&f, "evidence", &r.evidence, CLO_EVIDENCE_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(clo_collab_binding_read(a, binding, "receipt.binding", &r.binding));
    CLO_TRY(receipt_tree(a, &r, &again));
    CLO_TRY(clo_collab_require_canonical(again, body, "the receipt"));
    *out = r;
    return CLO_OK;
}
