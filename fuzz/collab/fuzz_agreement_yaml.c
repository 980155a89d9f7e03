/* People's agreements: whatever is accepted compiles to canonical bytes that decode to the same id. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/agreement.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    clo_wire_node *tree = NULL;
    clo_collab_agreement *g = NULL, *again = NULL;
    if (clo_failed(clo_wire_yaml_decode(&a, clo_span_of(data, size), &tree))) return 0;
    if (clo_failed(clo_collab_agreement_new(&a, &g)) || clo_failed(clo_collab_agreement_new(&a, &again))) return 0;
    if (clo_failed(clo_collab_agreement_read(&a, tree, g))) return 0;
    if (clo_failed(clo_collab_agreement_decode(&a, g->cbor, again))) abort();
    if (memcmp(g->id, again->id, sizeof g->id) != 0) abort();
    return 0;
}
