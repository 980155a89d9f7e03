/* Any JSON as a policy: what is read strictly is written and read again to the same object. */
#include "attest/attest.h"
#include "wire/cbor.h"
#include "wire/json.h"

#include <stdlib.h>

static void write_policy(clo_arena *a, const clo_attest_policy *p, clo_buf *out, clo_wire_node **tree)
{
    if (clo_failed(clo_attest_policy_tree(a, p, tree)) || clo_failed(clo_wire_cbor_encode(*tree, out))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_arena a;
    clo_buf one, two;
    clo_arena_init(&a, 1 << 22);
    clo_buf_init(&one, 1 << 16);
    clo_buf_init(&two, 1 << 16);
    clo_attest_policy p, back;
    clo_wire_node *node = NULL, *tree = NULL, *again = NULL;
    if (!clo_failed(clo_wire_json_decode(&a, clo_span_of(data, size), &node))) {
        (void)!clo_failed(clo_attest_policy_read_open(&a, node, &p));
        if (!clo_failed(clo_attest_policy_read(&a, node, &p))) {
            write_policy(&a, &p, &one, &tree);
            if (clo_failed(clo_attest_policy_read(&a, tree, &back))) abort();
            write_policy(&a, &back, &two, &again);
            if (!clo_span_equal(clo_buf_span(&one), clo_buf_span(&two))) abort();
        }
    }
    clo_buf_free(&one);
    clo_buf_free(&two);
    clo_arena_free(&a);
    return 0;
}
